//! After a reversal: nothing new on new, what runs there finishes, and the way back.

use serde_json::{Value, json};

use super::lab::{Lab, NEAR};

fn at_sixty() -> Lab {
    Lab::started(|file| file.percentage = 60)
}

fn reverse(lab: &Lab) {
    assert_eq!(lab.report("critical_error", &json!({})).status(), 200);
    lab.until_latched();
}

#[test]
fn no_new_call_reaches_new_and_calls_on_it_finish_there() {
    let lab = at_sixty();
    let calls = [lab.fresh(), lab.fresh()];
    for call in &calls {
        let welcome = lab.webhook(NEAR, "/ivr/welcome", call, "&CallStatus=ringing");
        assert_eq!(welcome.side(), "new");
    }
    // Only an event was seen of this one: it is not there yet, and need not go.
    let provisional = lab.fresh();
    let rest = "&CallStatus=initiated&CallbackSource=call-progress-events";
    lab.webhook(NEAR, "/ivr/status", &provisional, rest);
    lab.until("both are counted", || {
        lab.status()["backends"]["new"]["calls"].as_u64() >= Some(2)
    });
    reverse(&lab);
    let had = lab.new.book().len();

    for _ in 0..100 {
        assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
    }
    let rest = "&CallStatus=ringing";
    let begins = lab.webhook(NEAR, "/ivr/welcome", &provisional, rest);
    assert_eq!(begins.side(), "legacy", "an event alone pins nothing");
    assert_eq!(lab.new.book().len(), had, "new's own book");

    for call in &calls {
        let menu = lab.webhook(NEAR, "/ivr/menu", call, "&Digits=1");
        assert_eq!((menu.status(), menu.side()), (200, "new"));
    }
    let verification = |name: &str| lab.status()["verification"][name].clone();
    lab.until("both are seen on new", || verification("live_on_new") == 2);
    for call in &calls {
        assert_eq!(lab.finish(NEAR, call, "callee").side(), "new");
    }
    lab.until("new is empty", || verification("live_on_new") == 0);
    assert_eq!(verification("new_calls_on_new"), 0);
    assert_eq!(
        lab.metric("switchback_new_calls_after_latch_total"),
        Some(0.0)
    );
}

#[test]
fn the_journals_line_explains_the_reversal() {
    let lab = at_sixty();
    reverse(&lab);
    let line = lab.reversal();
    assert_eq!(line["actor"], "rule critical");
    assert_eq!(line["rule"], "critical");
    assert_eq!(line["before"]["percentage"], 60.0);
    assert_eq!(line["after"]["latched"], true);
    assert_eq!(line["after"]["former"]["percentage"], 60.0);
    let evidence = &line["evidence"];
    assert_eq!(evidence["rule"], "critical");
    assert_eq!(evidence["measure"], "critical_errors");
    assert_eq!(evidence["value"], 1.0);
    assert_eq!(evidence["threshold"], 0.0);
    assert_eq!(evidence["samples"], 1);
    assert_eq!(evidence["over_secs"], 3600);
    assert_eq!(evidence["config_hash"], lab.status()["config_hash"]);
    let shown = lab.get("/api/v1/journal?limit=10").json();
    let entries = shown["entries"].as_array().unwrap();
    let same = |entry: &&Value| entry["action"] == "reverse";
    assert_eq!(entries.iter().filter(same).count(), 1, "{shown}");
}

#[test]
fn resume_clears_the_latch_at_zero_and_no_higher_than_before() {
    let lab = at_sixty();
    reverse(&lab);
    let above = lab.cli(&["resume", "--percentage", "61", "--reason", "hope"]);
    assert_eq!(above.code, 1);
    assert!(above.err.contains("60"), "the former: {}", above.err);
    assert_eq!(lab.cli(&["resume"]).code, 2, "without a reason");
    assert_eq!(lab.status()["latched"], true);

    lab.order(&["resume", "--reason", "mended"]);
    let status = lab.status();
    assert_eq!(status["latched"], false);
    assert_eq!(status["percentage"], 0);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
    lab.order(&["set", "60", "--reason", "again"]);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
}

#[test]
fn what_reversed_it_once_does_not_reverse_it_again_and_a_new_one_does() {
    let lab = at_sixty();
    reverse(&lab);
    lab.order(&["resume", "--percentage", "60", "--reason", "mended"]);
    lab.next_look();
    lab.next_look();
    assert_eq!(lab.status()["latched"], false, "the old error is history");
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    reverse(&lab);
    assert_eq!(
        lab.metric("switchback_reversals_total{rule=\"critical\"}"),
        Some(2.0)
    );
}

#[test]
fn with_nothing_on_new_there_is_nothing_to_reverse() {
    let lab = Lab::started(|file| file.percentage = 0);
    lab.report("critical_error", &json!({}));
    lab.until("it is seen", || lab.rule("critical")["firing"] == true);
    lab.next_look();
    assert_eq!(lab.status()["latched"], false);
    assert_eq!(lab.status()["phase"], "idle");
}
