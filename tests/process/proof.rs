//! What live calls do at a rollback, and the proof that it took: step by step in the
//! journal and in the status, also over a restart.

use serde_json::{Value, json};

use super::lab::{Lab, NEAR};

/// The steps in the journal's file, in their order.
fn recorded(lab: &Lab) -> Vec<String> {
    let journal = lab.journal();
    let steps = journal
        .iter()
        .filter(|line| line["action"] == "verification");
    steps
        .map(|line| line["step"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn verification(lab: &Lab) -> Value {
    lab.status()["verification"].clone()
}

/// The steps in the status.
fn shown(lab: &Lab) -> Vec<String> {
    let seen = verification(lab);
    let steps = seen["steps"].as_array().cloned().unwrap_or_default();
    steps
        .iter()
        .map(|taken| taken["step"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_rollback_that_moves_is_answered_journalled_and_proven_step_by_step() {
    let mut lab = Lab::started(|file| file.percentage = 60);
    let call = lab.fresh();
    let welcome = lab.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
    assert_eq!(welcome.side(), "new");
    lab.until("it is seen on new", || {
        lab.status()["backends"]["new"]["calls_active"] == 1
    });

    let said = lab.order(&["rollback", "total", "--live", "move", "--reason", "silence"]);
    assert!(
        said.out.contains("no route names an `entry`"),
        "{}",
        said.out
    );
    let rollback = lab.journal();
    let rollback = rollback
        .iter()
        .find(|line| line["action"] == "rollback-total")
        .unwrap();
    assert_eq!(rollback["after"]["moves_live"], true, "{rollback}");
    lab.until("it begins", || recorded(&lab) == ["started"]);
    let started = lab.get("/api/v1/journal?limit=1").json()["entries"][0].clone();
    assert_eq!(
        (&started["step"], &started["count"]),
        (&json!("started"), &json!(1))
    );
    let seen = verification(&lab);
    assert_eq!(seen["live"], "move");
    assert_eq!(
        (&seen["live_on_new"], &seen["live_on_new_at_start"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        lab.metric("switchback_verification{step=\"started\"}"),
        Some(1.0)
    );

    // A restart goes on where it was.
    lab.kill();
    lab.start();
    assert_eq!(shown(&lab), ["started"]);
    let seen = verification(&lab);
    assert_eq!(
        (&seen["live"], &seen["live_on_new_at_start"]),
        (&json!("move"), &json!(1))
    );

    assert_eq!(lab.finish(NEAR, &call, "callee").side(), "new");
    lab.until("new is drained", || {
        recorded(&lab) == ["started", "drained"]
    });
    lab.until("no new call came", || shown(&lab).len() == 3);
    lab.until("that is on disk", || {
        recorded(&lab) == ["started", "drained", "no-new-calls"]
    });
    let people = lab.order(&["status"]).out;
    assert!(
        people.contains("[x] no new call has reached new"),
        "{people}"
    );
    assert!(people.contains("[x] no call is live on new"), "{people}");
    let metric = |step: &str| lab.metric(&format!("switchback_verification{{step=\"{step}\"}}"));
    assert_eq!(metric("drained"), Some(1.0));
    assert_eq!(
        metric("verified"),
        Some(0.0),
        "the measures have not stood yet"
    );
    assert_eq!(
        lab.metric("switchback_verification_escalations_total"),
        Some(0.0)
    );

    lab.order(&["resume", "--reason", "mended"]);
    assert_eq!(verification(&lab), Value::Null);
    assert_eq!(
        lab.metric("switchback_verification{step=\"drained\"}"),
        Some(0.0)
    );
}

#[test]
fn what_live_calls_do_can_be_asked_again_and_a_wrong_word_is_refused() {
    let lab = Lab::started(|file| file.percentage = 60);
    let body = json!({ "level": "total", "live": "cut", "reason": "x" });
    let refused = lab.post("/api/v1/rollback", &body);
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("`drain`"), "{}", refused.text());
    assert_eq!(lab.status()["latched"], false);

    lab.order(&["rollback", "total", "--reason", "x"]);
    assert_eq!(verification(&lab)["live"], "drain");
    lab.order(&["rollback", "total", "--live", "move", "--reason", "x"]);
    assert_eq!(verification(&lab)["live"], "move");
    let back = lab.order(&["rollback", "total", "--reason", "x"]);
    assert!(back.out.contains("not moved any more"), "{}", back.out);
    assert_eq!(verification(&lab)["live"], "drain");
}

#[test]
fn a_row_of_the_file_says_what_its_reversal_does_to_live_calls() {
    let lab = Lab::started(|file| {
        file.percentage = 60;
        file.rules = "[[reversal]]\nname = \"critical\"\nmeasure = \"critical_errors\"\n\
                      above = 0\nover = \"1h\"\naction = \"reverse\"\nlive = \"move\"\n";
    });
    assert_eq!(lab.report("critical_error", &json!({})).status(), 200);
    let reversal = lab.reversal();
    assert_eq!(reversal["after"]["moves_live"], true, "{reversal}");
    assert_eq!(verification(&lab)["live"], "move");
}
