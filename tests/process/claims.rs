//! `claim`: calls that a backend starts itself are its own.

use std::fs;

use serde_json::Value;

use super::http::{self, Message};
use super::lab::{CALLER, FAR, FORM, Lab, NEAR};
use super::sign::TelnyxKey;

const CLAIM: &str = "claim = { query = \"origin\", value = \"new\" }";
const MARKED: &str = "/ivr/welcome?a=1&origin=new";

/// A webhook of a call that `from`, a number of ours, makes to a person.
fn call_out(lab: &Lab, from: &str, target: &str, call: &str, rest: &str) -> Message {
    call_out_with(lab, from, target, call, rest, &[])
}

fn call_out_with(
    lab: &Lab,
    from: &str,
    target: &str,
    call: &str,
    rest: &str,
    headers: &[(&str, &str)],
) -> Message {
    let body = body(from, call, rest);
    let headers = [&[FORM], headers].concat();
    http::ask(lab.webhooks(), "POST", target, &headers, &body).expect("an answer")
}

fn body(from: &str, call: &str, rest: &str) -> String {
    let [from, to] = [from, CALLER].map(|number| number.replace('+', "%2B"));
    format!("CallSid={call}&From={from}&To={to}{rest}")
}

fn explain(lab: &Lab, call: &str) -> Value {
    lab.get(&format!("/api/v1/explain?call={call}")).json()
}

#[test]
fn a_call_that_new_starts_itself_is_new_s_at_any_percentage_and_behind_a_latch() {
    let lab = Lab::started(|file| {
        file.percentage = 0;
        file.own = CLAIM;
    });
    for (number, latched) in [(1, false), (2, true)] {
        if latched {
            lab.order(&["set", "1", "--reason", "a beginning"]);
            lab.order(&["rollback", "total", "--reason", "silence"]);
        }
        let call = lab.fresh();
        let first = call_out(&lab, NEAR, MARKED, &call, "&CallStatus=in-progress");
        assert_eq!((first.status(), first.side()), (200, "new"));
        let sent = lab.new.last();
        assert_eq!(
            sent.first,
            format!("POST {MARKED} HTTP/1.1"),
            "with its mark"
        );
        let told = explain(&lab, &call);
        assert_eq!(told["because"], "claimed");
        assert_eq!(told["outbound"], true);
        // Later ones carry no mark.
        for rest in ["&Digits=1", "&CallStatus=in-progress"] {
            assert_eq!(call_out(&lab, NEAR, "/ivr/menu", &call, rest).side(), "new");
        }
        let placed = "switchback_placements_total{backend=\"new\",because=\"claimed\"}";
        lab.until("it is counted", || {
            lab.metric(placed) == Some(f64::from(number))
        });
        let unmarked = call_out(&lab, NEAR, "/ivr/welcome?origin=old", &lab.fresh(), "");
        assert_eq!(unmarked.side(), "legacy");
    }
    assert_eq!(
        lab.metric("switchback_new_calls_after_latch_total"),
        Some(0.0)
    );
}

#[test]
fn whoever_is_called_by_a_backend_and_hangs_up_abandoned_nothing() {
    let lab = Lab::started(|file| {
        file.percentage = 50;
        file.own = CLAIM;
        file.sections = "[calls]\nshort = \"100ms\"\nmature = \"1s\"".to_owned();
        file.rules = "[[alert]]\nname = \"left\"\nmeasure = \"abandonment_rate\"\n\
            above = \"90%\"\nover = \"5m\"\ncalls_min = 1\n";
    });
    // A call's age is kept in tenths of a second, and may not reach back behind the
    // raise that its evidence is about.
    lab.next_look();
    let (claimed, inbound) = (lab.fresh(), lab.fresh());
    call_out(&lab, NEAR, MARKED, &claimed, "&CallStatus=in-progress");
    lab.webhook(NEAR, "/ivr/welcome", &inbound, "&CallStatus=ringing");
    // On an outbound call the person is the one called.
    let end = "&CallStatus=completed&CallbackSource=call-progress-events\
        &HangupSource=callee&CallDuration=45";
    call_out(&lab, NEAR, "/ivr/status", &claimed, end);
    lab.finish(NEAR, &inbound, "caller");
    let left = lab.rule_at("left", 1);
    assert_eq!(left["value"], 1.0, "the inbound one: {left}");
    lab.next_look();
    assert_eq!(lab.rule("left")["samples"], 1, "and never the other");
    assert_eq!(explain(&lab, &claimed)["ended"], true);
}

#[test]
fn a_claimed_call_is_its_backend_s_after_a_crash_and_a_new_claim_after_a_reload() {
    let mut lab = Lab::started(|file| file.percentage = 0);
    assert_eq!(
        call_out(&lab, NEAR, MARKED, "unclaimed", "").side(),
        "legacy"
    );
    lab.rewrite(|file| file.own = CLAIM);
    lab.hangup();
    let start = "&CallStatus=in-progress";
    let saved = || fs::metadata(lab.state().join("pins")).map_or(0, |file| file.len());
    lab.until("the first pin is saved", || saved() > 0);
    lab.next_look();
    let before = saved();
    assert_eq!(call_out(&lab, NEAR, MARKED, "claimed", start).side(), "new");
    lab.until("its pin is saved", || saved() > before);
    lab.next_look();
    lab.kill();
    lab.start();
    for (call, side, because) in [
        ("unclaimed", "legacy", "hashed"),
        ("claimed", "new", "claimed"),
    ] {
        assert_eq!(call_out(&lab, NEAR, MARKED, call, "&Digits=1").side(), side);
        let told = explain(&lab, call);
        assert_eq!(told["because"], because, "{told}");
        assert_eq!(told["outbound"], because == "claimed", "{told}");
    }
}

#[test]
fn a_mark_that_nobody_signed_claims_nothing() {
    let key = TelnyxKey::new(3);
    for mode in ["report", "required"] {
        let verify = format!(
            "verify = {{ mode = \"{mode}\", public_keys = [\"{}\"] }}",
            key.public()
        );
        let lab = Lab::started(|file| {
            file.own = CLAIM;
            file.route = verify.leak();
        });
        let start = "&CallStatus=in-progress";
        let signed = |from, call: &str| {
            let headers = key.sign(&body(from, call, start));
            let headers = headers.each_ref().map(|(name, value)| (*name, &**value));
            call_out_with(&lab, from, MARKED, call, start, &headers)
        };
        assert_eq!(signed(FAR, "signed").side(), "new", "{mode}");
        assert_eq!(explain(&lab, "signed")["because"], "claimed");
        // Placed by the number of ours that calls, as it would be without a mark.
        for (from, side) in [(FAR, "legacy"), (NEAR, "new")] {
            let call = lab.fresh();
            let forged = call_out(&lab, from, MARKED, &call, start);
            let expected = match mode {
                "report" => (200, side),
                _ => (403, "-"),
            };
            assert_eq!((forged.status(), forged.side()), expected, "{mode} {from}");
            let asked = lab.get(&format!("/api/v1/explain?call={call}"));
            assert_eq!(asked.status(), 404, "it pins nothing");
        }
        let placed = "switchback_placements_total{backend=\"new\",because=\"claimed\"}";
        lab.until("one claim is counted", || lab.metric(placed) == Some(1.0));
    }
}
