//! How a call ended, by its last status and by the report that follows it.

use super::*;
use crate::measure::Fault;

fn end_of(kind: &str, parts: Value) -> Final {
    let body = message(kind, parts);
    match read(&body).kind {
        EventKind::Final(end) => end,
        other => panic!("{other:?} is no end: {body}"),
    }
}

#[test]
fn an_ended_call_tells_who_hung_up_and_whether_a_report_follows() {
    let ended = |status, by, report_follows| Final {
        status,
        by,
        duration_s: None,
        report_follows,
    };
    use FinalStatus::{Completed, Failed, NotReached, Transferred};
    for (reason, expected) in [
        (
            "customer-ended-call",
            ended(Completed, Some(HungUp::Caller), true),
        ),
        (
            "customer-ended-call-during-transfer",
            ended(Completed, Some(HungUp::Caller), true),
        ),
        (
            "assistant-said-end-call-phrase",
            ended(Completed, Some(HungUp::Callee), false),
        ),
        ("assistant-forwarded-call", ended(Transferred, None, false)),
        ("silence-timed-out", ended(Completed, None, false)),
        ("customer-busy", ended(NotReached, None, false)),
        (
            "assistant-request-failed",
            ended(Failed(Fault::Backend), None, false),
        ),
        (
            "pipeline-error-vapi-llm-failed",
            ended(Failed(Fault::Provider), None, false),
        ),
        ("nobody-knows", ended(Completed, None, false)),
    ] {
        let parts = json!({"status": "ended", "endedReason": reason});
        assert_eq!(end_of("status-update", parts), expected, "{reason}");
        let parts = json!({"status": "ended", "call": {"endedReason": reason}});
        assert_eq!(
            end_of("status-update", parts),
            expected,
            "{reason}, told of the call"
        );
    }
    let plain = end_of("status-update", json!({"status": "ended"}));
    assert_eq!(plain, ended(Completed, None, false));
}

#[test]
fn who_hung_up_is_relative_to_the_leg() {
    let by = |reason| {
        let call = json!({"type": "outboundPhoneCall"});
        let parts = json!({"status": "ended", "endedReason": reason, "call": call});
        end_of("status-update", parts).by
    };
    assert_eq!(by("customer-ended-call"), Some(HungUp::Callee));
    assert_eq!(by("assistant-ended-call"), Some(HungUp::Caller));
}

#[test]
fn a_caller_who_spoke_and_got_what_he_wanted_was_served() {
    let yes = json!("true");
    for (reason, evaluation, roles, connected, speech) in [
        (
            "customer-ended-call",
            &yes,
            &["bot", "user"] as &[&str],
            true,
            Some(true),
        ),
        ("customer-ended-call", &yes, &["bot"], false, Some(false)),
        ("customer-ended-call", &yes, &[], false, None),
        (
            "customer-ended-call",
            &json!("false"),
            &["bot", "user"],
            false,
            Some(true),
        ),
        (
            "customer-ended-call",
            &json!(8),
            &["user"],
            true,
            Some(true),
        ),
        (
            "exceeded-max-duration",
            &yes,
            &["bot", "user"],
            true,
            Some(true),
        ),
        (
            "assistant-forwarded-call",
            &yes,
            &["bot", "user"],
            false,
            Some(true),
        ),
        ("worker-shutdown", &yes, &["bot", "user"], false, Some(true)),
    ] {
        let body = report(reason, evaluation, roles);
        let facts = read(&body).facts;
        let expected = Facts {
            connected,
            speech,
            ..Facts::default()
        };
        assert_eq!(facts, expected, "{reason}, {evaluation}, {roles:?}");
    }
}

#[test]
fn a_report_ends_its_call_at_once_and_says_how_long_it_took() {
    let body = report("customer-ended-call", &json!("true"), &["user"]);
    let expected = Final {
        status: FinalStatus::Completed,
        by: Some(HungUp::Caller),
        duration_s: Some(41),
        report_follows: false,
    };
    assert_eq!(read(&body).kind, EventKind::Final(expected));
    let times = |from: Value, to: Value, more: Value| {
        let mut parts = json!({"startedAt": from, "endedAt": to});
        merge(&mut parts, more);
        end_of("end-of-call-report", parts).duration_s
    };
    let (from, to) = ("2026-03-04T05:06:00Z", "2026-03-04T05:07:10Z");
    assert_eq!(times(json!(from), json!(to), json!({})), Some(70));
    assert_eq!(
        times(json!(to), json!(from), json!({})),
        None,
        "the end first"
    );
    assert_eq!(times(json!("soon"), json!(to), json!({})), None);
    let seconds = json!({"durationSeconds": 12.8});
    assert_eq!(times(json!(""), json!(to), seconds), Some(12));
    let of_call = json!({"call": {"startedAt": from, "endedAt": to}});
    assert_eq!(times(json!(7), json!(7), of_call), Some(70));
}

#[test]
fn an_older_report_keeps_its_messages_elsewhere() {
    let body = message(
        "end-of-call-report",
        json!({"endedReason": "customer-ended-call", "messages": [{"role": "user", "message": "hello"}]}),
    );
    assert_eq!(read(&body).facts.speech, Some(true));
}
