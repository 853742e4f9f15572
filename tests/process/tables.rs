//! Each row of the reversal table in the real process, and beside each "it trips"
//! the neighbour that must not.
//!
//! Windows are a minute long so that no test depends on its own speed. Good calls
//! come first: a rate that rises to its value was never above it on the way.

use std::thread;

use serde_json::json;

use super::lab::{FAR, Lab, NEAR};

/// The table's rows on the error rate, without the sequential test.
const ERRORS: &str = "
[[reversal]]
name = \"analyse\"
measure = \"error_rate\"
above = \"5%\"
over = \"1m\"
action = \"alert\"
[[reversal]]
name = \"reverse\"
measure = \"error_rate\"
above = \"10%\"
over = \"1m\"
action = \"reverse\"
early = false
";

fn with(rules: &'static str) -> Lab {
    Lab::started(|file| {
        file.percentage = 100;
        file.rules = rules;
    })
}

#[test]
fn an_error_rate_above_the_alert_only_alerts_and_above_the_limit_reverses() {
    let lab = with(ERRORS);
    lab.begin_many(76, NEAR, "/ivr/welcome");
    lab.begin_many(4, NEAR, "/ivr/welcome?new=500");
    let five = lab.rule_at("analyse", 80);
    assert_eq!(five["firing"], false, "5 % is not above 5 %: {five}");
    assert_eq!(five["verdict"], "pass");

    lab.begin(NEAR, "/ivr/welcome?new=500");
    let six = lab.rule_at("analyse", 81);
    assert_eq!(six["firing"], true, "{six}");
    assert_eq!(lab.status()["latched"], false, "an alert reverses nothing");

    // 8 of 80 would be 10 %; 5 of 81 and 4 more of 5 are 9 of 90: exactly 10 %.
    lab.begin_many(5, NEAR, "/ivr/welcome");
    lab.begin_many(4, NEAR, "/ivr/welcome?new=500");
    let ten = lab.rule_at("reverse", 90);
    assert_eq!(ten["verdict"], "pass", "10 % is not above 10 %: {ten}");
    assert_eq!(lab.status()["latched"], false);

    lab.begin(NEAR, "/ivr/welcome?new=500");
    lab.until_latched();
    assert_eq!(lab.status()["phase"], "reversed");
    assert_eq!(
        lab.metric("switchback_reversals_total{rule=\"reverse\"}"),
        Some(1.0)
    );
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
}

#[test]
fn a_document_that_cannot_run_is_an_error_whatever_its_status() {
    let lab = with(ERRORS);
    lab.begin_many(20, NEAR, "/ivr/welcome?new=broken");
    lab.until_latched();
    let errors = "switchback_webhooks_total{backend=\"new\",route=\"/ivr\",kind=\"voice\",outcome=\"document\"}";
    assert!(lab.metric(errors) >= Some(8.0));
}

#[test]
fn nineteen_calls_are_too_few_for_a_verdict_and_twenty_are_not() {
    let lab = with(ERRORS);
    lab.begin_many(19, NEAR, "/ivr/welcome?new=500");
    let few = lab.rule_at("reverse", 19);
    assert_eq!(few["verdict"], "inconclusive", "{few}");
    assert_eq!(lab.status()["latched"], false);
    // One caller who loops is one voice, however often he comes back.
    let looping = lab.fresh();
    for _ in 0..30 {
        lab.webhook(NEAR, "/ivr/menu?new=500", &looping, "&Digits=1");
    }
    lab.until_latched();
    let line = lab.reversal();
    assert_eq!(line["evidence"]["samples"], 20, "{line}");
    assert_eq!(line["evidence"]["failed"], 20, "{line}");
}

#[test]
fn seven_failed_calls_are_too_few_to_act_on_and_eight_are_not() {
    let lab = with(ERRORS);
    lab.begin_many(20, NEAR, "/ivr/welcome");
    lab.begin_many(7, NEAR, "/ivr/welcome?new=500");
    let seven = lab.rule_at("reverse", 27);
    assert_eq!(
        seven["verdict"], "inconclusive",
        "26 % but few calls: {seven}"
    );
    assert_eq!(seven["failed"], 7);
    assert_eq!(lab.status()["latched"], false);
    lab.begin(NEAR, "/ivr/welcome?new=500");
    lab.until_latched();
}

#[test]
fn a_total_outage_is_seen_in_about_six_calls_and_two_wrong_numbers_are_none() {
    let lab = with(
        "
[[reversal]]
name = \"reverse\"
measure = \"error_rate\"
above = \"10%\"
over = \"1m\"
action = \"reverse\"
",
    );
    let mut needed = 0;
    while lab.status()["latched"] == false {
        needed += 1;
        assert!(needed <= 10, "the sequential test saw nothing");
        lab.begin(NEAR, "/ivr/welcome?new=500");
        lab.until("it is counted", || {
            lab.status()["backends"]["new"]["errors"] == needed
        });
    }
    assert!(needed > 2, "reversed after {needed} calls");
    let line = lab.reversal();
    assert!(
        line["reason"].as_str().unwrap().contains("sequential"),
        "{line}"
    );
}

#[test]
fn where_legacy_is_as_bad_a_flip_helps_nobody_and_is_withheld() {
    let lab = Lab::started(|file| {
        file.percentage = 50;
        file.rules = ERRORS;
    });
    lab.begin_many(25, FAR, "/ivr/welcome?legacy=500");
    lab.until("legacy's failures are seen", || {
        lab.rule("reverse")["legacy"] == 1.0
    });
    lab.begin_many(25, NEAR, "/ivr/welcome?new=500");
    let withheld = lab.rule_at("reverse", 25);
    assert_ne!(withheld["verdict"], "trip");
    assert!(withheld["withheld"].is_string(), "{withheld}");
    assert_eq!(lab.status()["latched"], false);

    // Once legacy does well, new alone is bad.
    lab.begin_many(240, FAR, "/ivr/welcome");
    lab.until_latched();
}

const TIMES: &str = "
[[reversal]]
name = \"analyse\"
measure = \"response_time_mean\"
above = \"100ms\"
over = \"1m\"
action = \"alert\"
[[reversal]]
name = \"reverse\"
measure = \"response_time_mean\"
above = \"800ms\"
over = \"1m\"
action = \"reverse\"
early = false
";

#[test]
fn a_slow_backend_alerts_first_and_reverses_when_its_mean_is_over_the_limit() {
    let lab = with(TIMES);
    let all_at_once = |count: usize, target: &str| {
        thread::scope(|scope| {
            for _ in 0..count {
                scope.spawn(|| lab.begin(NEAR, target));
            }
        });
    };
    all_at_once(20, "/ivr/welcome?new=slow-200");
    let slow = lab.rule_at("analyse", 20);
    assert_eq!(slow["firing"], true, "{slow}");
    assert_eq!(slow["unit"], "ms");
    let limit = lab.rule("reverse");
    assert_eq!(limit["verdict"], "pass", "{limit}");
    assert_eq!(lab.status()["latched"], false);

    all_at_once(20, "/ivr/welcome?new=slow-2000");
    lab.until_latched();
    let line = lab.reversal();
    assert_eq!(line["evidence"]["rule"], "reverse");
    assert_eq!(line["evidence"]["threshold"], 800.0);
    assert!(line["evidence"]["value"].as_f64() > Some(800.0), "{line}");
}

const ABANDONMENT: &str = "
[[reversal]]
name = \"reverse\"
measure = \"abandonment_rate\"
above = \"25%\"
over = \"1m\"
action = \"reverse\"
early = false
";

#[test]
fn what_held_it_does_not_hold_it_again_after_a_resume() {
    let lab = Lab::started(|file| {
        file.percentage = 60;
        file.rules = "
[[reversal]]
name = \"hold\"
measure = \"error_rate\"
above = \"10%\"
over = \"10m\"
action = \"hold\"
";
    });
    let begins = |target: &str| lab.begin_many(25, NEAR, target);
    begins("/ivr/welcome?new=500");
    lab.until("it is held", || lab.status()["phase"] == "held");
    lab.order(&["resume", "--reason", "mended"]);
    lab.next_look();
    assert_eq!(lab.status()["phase"], "soaking");
    assert_eq!(lab.rule("hold")["samples"], 0, "the evidence begins anew");
    begins("/ivr/welcome");
    lab.rule_at("hold", 25);
    assert_eq!(lab.status()["phase"], "soaking");
    begins("/ivr/welcome?new=500");
    lab.until("it is held again", || lab.status()["phase"] == "held");
}

#[test]
fn callers_who_give_up_reverse_it_above_a_quarter_and_not_at_one() {
    let lab = Lab::started(|file| {
        file.percentage = 100;
        file.rules = ABANDONMENT;
        file.sections = "[calls]\nmature = \"1s\"\nshort = \"0s\"".to_owned();
    });
    // A call keeps its beginning to a tenth of a second, so that one in the very
    // tenth in which the percentage came into force is not sure to be after it.
    lab.next_look();
    lab.next_look();
    let call = |who: &str| {
        let call = lab.fresh();
        lab.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
        assert_eq!(lab.finish(NEAR, &call, who).side(), "new");
    };
    for _ in 0..24 {
        // The application hung up: whoever got that far was served.
        call("callee");
    }
    for _ in 0..8 {
        call("caller");
    }
    let quarter = lab.rule_at("reverse", 32);
    assert_eq!(quarter["value"], 0.25);
    assert_eq!(quarter["verdict"], "pass", "{quarter}");
    assert_eq!(lab.status()["latched"], false);
    call("caller");
    lab.until_latched();
    let line = lab.reversal();
    assert_eq!(line["evidence"]["samples"], 33, "{line}");
    assert_eq!(line["evidence"]["failed"], 9, "{line}");
}

#[test]
fn a_critical_error_reverses_at_once_and_a_complaint_or_legacys_own_does_not() {
    let lab = with(super::lab::CRITICAL);
    for (kind, more) in [
        ("complaint", json!({})),
        ("incident", json!({})),
        ("critical_error", json!({ "backend": "legacy" })),
    ] {
        assert_eq!(lab.report(kind, &more).status(), 200);
    }
    lab.next_look();
    assert_eq!(lab.status()["latched"], false);
    assert_eq!(lab.rule("critical")["verdict"], "pass");
    assert_eq!(lab.report("critical_error", &json!({})).status(), 200);
    lab.until_latched();
    assert_eq!(lab.status()["phase"], "reversed");
}

#[test]
fn an_alert_is_resolved_when_its_window_has_moved_on() {
    let lab = with(
        "
[[alert]]
name = \"short memory\"
measure = \"error_rate\"
above = \"10%\"
over = \"2s\"
calls_min = 1
priority = \"high\"
",
    );
    lab.begin_many(3, NEAR, "/ivr/welcome?new=500");
    lab.until("it fires", || lab.rule("short memory")["firing"] == true);
    let firing = "switchback_rule_firing{rule=\"short memory\"}";
    assert_eq!(lab.metric(firing), Some(1.0));
    lab.until("it is resolved", || {
        lab.rule("short memory")["firing"] == false
    });
    assert_eq!(lab.metric(firing), Some(0.0));
    assert_eq!(lab.status()["latched"], false);
}
