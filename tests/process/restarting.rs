//! What people reported of a stage, over a stop and over a crash: no gate is met because a
//! process began anew.

use serde_json::{Value, json};

use super::lab::{Lab, NEAR};

/// Met while nobody complains.
const CONTENT: &str = "soak = \"1h\"\ncalls_min = 20\n\
    gates = [{ measure = \"complaints\", below = 1, over = \"stage\" }]";

/// The first stage runs, with eighteen calls.
fn in_a_stage() -> Lab {
    let lab = Lab::planned("", &[("pilot", 5, CONTENT), ("all", 100, CONTENT)]).up();
    lab.order(&["advance", "--insist", "--reason", "a test"]);
    lab.begin_many(18, NEAR, "/ivr/welcome");
    lab.until("they are counted", || calls(&lab) == 18);
    lab
}

fn calls(lab: &Lab) -> u64 {
    lab.status()["plan"]["calls"].as_u64().expect("a number")
}

fn gate(lab: &Lab) -> (Value, Value) {
    let gate = lab.status()["plan"]["gates"][0].clone();
    (gate["verdict"].clone(), gate["value"].clone())
}

fn complain(lab: &Lab, times: u32) {
    for _ in 0..times {
        let reported = lab.report("complaint", &json!({}));
        assert_eq!(reported.status(), 200);
    }
    lab.until("the gate has heard", || gate(lab).0 == "trip");
}

#[test]
fn a_stop_forgets_neither_complaints_nor_calls_of_the_stage() {
    let mut lab = in_a_stage();
    complain(&lab, 3);
    let before = gate(&lab);
    assert_eq!(lab.stop().code(), Some(0));
    lab.start();
    lab.next_look();
    assert_eq!((gate(&lab), calls(&lab)), (before, 18));
    // And a second time, from what is on disk alone.
    let before = gate(&lab);
    assert_eq!(lab.stop().code(), Some(0));
    lab.start();
    lab.next_look();
    assert_eq!((gate(&lab), calls(&lab)), (before, 18));
}

#[test]
fn a_crash_forgets_no_complaint_that_is_a_second_old() {
    let mut lab = in_a_stage();
    complain(&lab, 1);
    let kept = || {
        let journal = lab.journal();
        journal
            .iter()
            .any(|line| line["hour"]["new"]["complaints"] == 1)
    };
    lab.until("it is on disk", kept);
    let before = gate(&lab);
    lab.kill();
    lab.start();
    lab.next_look();
    assert_eq!((gate(&lab), calls(&lab)), (before, 18));
}
