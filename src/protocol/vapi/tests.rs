//! What is a message of Vapi's, of which kind, and what it asks for; whose call it is in
//! `tests/keys.rs`, how the call ended in `tests/end.rs`.

mod end;
mod keys;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ID: &str = "0190aaaa-1111-7222-8333-444455556666";

const HEAD: Head<'_> = Head {
    query: "",
    content_type: Some("application/json"),
    encoded: false,
};

/// A message as Vapi sends it, with these parts instead of its own.
fn message(kind: &str, parts: Value) -> String {
    let call = json!({
        "id": ID, "orgId": "org-9", "type": "inboundPhoneCall", "status": "in-progress",
        "phoneCallProvider": "telnyx", "phoneCallTransport": "pstn",
        "phoneCallProviderId": "v3:Zz_carrier", "phoneNumberId": "pn-3",
        "customer": {"number": "+12025550111"},
        "createdAt": "2026-03-04T05:06:00.000Z",
    });
    let mut message = json!({
        "type": kind, "timestamp": 1_780_000_000_000_u64, "call": call,
        "phoneNumber": {"id": "pn-3", "orgId": "org-9", "number": "+12025550199", "name": "front desk"},
        "customer": {"number": "+12025550111"},
    });
    merge(&mut message, parts);
    json!({ "message": message }).to_string()
}

fn merge(into: &mut Value, parts: Value) {
    match (into, parts) {
        (Value::Object(into), Value::Object(parts)) => {
            for (key, part) in parts {
                if part.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), part);
                }
            }
        }
        (into, part) => *into = part,
    }
}

fn read(body: &str) -> CallEvent<'_> {
    recognize(&HEAD, body.as_bytes()).unwrap_or_else(|| panic!("no message: {body}"))
}

fn is_none(body: impl AsRef<[u8]>) -> bool {
    recognize(&HEAD, body.as_ref()).is_none()
}

/// A report of an ended call in which these roles spoke.
fn report(reason: &str, evaluation: &Value, roles: &[&str]) -> String {
    let said: Vec<_> = roles
        .iter()
        .map(|role| json!({"role": role, "message": "…", "time": 5, "secondsFromStart": 1.5}))
        .collect();
    message(
        "end-of-call-report",
        json!({
            "endedReason": reason, "startedAt": "2026-03-04T05:06:07.900Z", "endedAt": "2026-03-04T05:06:49.100Z",
            "cost": 0.2, "costs": [{"type": "transport", "cost": 0.1}],
            "analysis": {"summary": "s", "successEvaluation": evaluation},
            "artifact": {"messages": said, "transcript": "t"},
            "call": {"status": "ended"},
        }),
    )
}

#[test]
fn every_type_of_message_has_its_kind_and_asks_for_its_answer() {
    use Asks::{Assistant, Audio, Destination, Endpointing, Knowledge, Nothing, Tools};
    use EventKind::{Progress, Report, Start, Step};
    for (kind, expected) in [
        ("assistant-request", (Start, Assistant)),
        ("tool-calls", (Step, Tools)),
        ("function-call", (Step, Tools)),
        ("transfer-destination-request", (Step, Destination)),
        ("handoff-destination-request", (Step, Destination)),
        ("knowledge-base-request", (Step, Knowledge)),
        ("voice-request", (Step, Audio)),
        ("call.endpointing.request", (Step, Endpointing)),
        ("phone-call-control", (Step, Nothing)),
        ("some-future-request", (Step, Nothing)),
        ("hang", (Progress, Nothing)),
        ("speech-update", (Progress, Nothing)),
        ("transcript", (Progress, Nothing)),
        ("transcript[transcriptType=\"final\"]", (Progress, Nothing)),
        ("conversation-update", (Progress, Nothing)),
        ("model-output", (Progress, Nothing)),
        ("transfer-update", (Progress, Nothing)),
        ("user-interrupted", (Progress, Nothing)),
        ("language-change-detected", (Progress, Nothing)),
        ("language-changed", (Progress, Nothing)),
        ("voice-input", (Progress, Nothing)),
        ("assistant.started", (Progress, Nothing)),
        ("assistant.speechStarted", (Progress, Nothing)),
        ("chat.created", (Report, Nothing)),
        ("chat.deleted", (Report, Nothing)),
        ("session.created", (Report, Nothing)),
        ("session.updated", (Report, Nothing)),
        ("session.deleted", (Report, Nothing)),
        ("call.deleted", (Report, Nothing)),
        ("call.delete.failed", (Report, Nothing)),
        ("some-future-update", (Progress, Nothing)),
    ] {
        let body = message(kind, json!({}));
        let event = read(&body);
        assert_eq!((event.kind, event.asks), expected, "{kind}");
        assert_eq!(event.call.as_deref(), Some(ID), "{kind}");
    }
}

#[test]
fn what_comes_after_the_end_pins_no_call() {
    for kind in ["conversation-update", "speech-update", "some-future-update"] {
        let body = message(kind, json!({"call": {"status": "ended"}}));
        assert_eq!(read(&body).kind, EventKind::Report, "{kind}");
    }
    let body = message(
        "some-future-update",
        json!({"call": {"status": "archived"}}),
    );
    assert_eq!(read(&body).kind, EventKind::Report, "not known to last");
}

#[test]
fn a_status_tells_how_far_the_call_is() {
    let facts = |answered, connected| Facts {
        answered,
        connected,
        ..Facts::default()
    };
    for (status, kind, expected) in [
        ("scheduled", EventKind::Progress, facts(false, false)),
        ("queued", EventKind::Progress, facts(false, false)),
        ("ringing", EventKind::Progress, facts(false, false)),
        ("in-progress", EventKind::Progress, facts(true, false)),
        ("forwarding", EventKind::Progress, facts(true, true)),
        ("dozing", EventKind::Progress, facts(false, false)),
        ("not-found", EventKind::Report, facts(false, false)),
        ("deletion-failed", EventKind::Report, facts(false, false)),
    ] {
        let body = message("status-update", json!({"status": status}));
        let event = read(&body);
        assert_eq!((event.kind, event.facts), (kind, expected), "{status}");
    }
    let body = message("speech-update", json!({"status": "in-progress"}));
    assert_eq!(
        read(&body).facts,
        facts(false, false),
        "that is no call's status"
    );
}

#[test]
fn parts_of_another_kind_count_as_absent() {
    let body = r#"{"message":{"type":"hang","call":{"id":"c-1","orgId":7,"customer":[{}],"assistantOverrides":"x",
        "metadata":[1]},"phoneNumber":"+1","customer":null,"assistant":false,"analysis":[],"artifact":1,"messages":{}}}"#;
    let event = read(body);
    assert_eq!(event.call.as_deref(), Some("c-1"));
    assert_eq!(event.keys, Keys::default());
    let body = r#"{"message":{"type":"hang","call":["c-1"]}}"#;
    assert_eq!(read(body).call, None);
}

#[test]
fn an_id_may_be_escaped_but_not_endless() {
    let body = r#"{"m\u0065ssage":{"type":"h\u0061ng","call":{"id":"c\u002d1"}}}"#;
    assert_eq!(read(body).call.as_deref(), Some("c-1"));
    for (length, is_there) in [(1024, true), (1025, false)] {
        let body = message("hang", json!({"call": {"id": "x".repeat(length)}}));
        assert_eq!(read(&body).call.is_some(), is_there, "{length}");
    }
}

#[test]
fn what_is_no_server_message_is_none() {
    let deep = |levels: usize| {
        let nest = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"message":{{"type":"hang","x":{nest}}}}}"#)
    };
    assert!(!is_none(deep(MAX_DEPTH - 2)));
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "message",
        r#"{"message":null}"#,
        r#"{"message":"hang"}"#,
        r#"{"message":{}}"#,
        r#"{"message":{"type":""}}"#,
        r#"{"message":{"type":7}}"#,
        r#"{"type":"hang"}"#,
        r#"{"message":["hang"]}"#,
        r#"[{"type":"hang"}]"#,
        r#"{"message":{"type":"hang"}"#,
        r#"{"message":{"type":"hang"}} x"#,
        r#"{"message":{"type":"hang","type":"hang"}}"#,
        r#"{"message":{"type":"hang"},"message":{"type":"hang"}}"#,
        r#"{"message":{"type":"hang","call":{"id":"a","id":"b"}}}"#,
        "CallSid=CA1&From=1",
        &deep(MAX_DEPTH - 1),
        &"[".repeat(100_000),
    ] {
        let start: String = body.chars().take(60).collect();
        assert!(is_none(body), "{start}");
    }
    assert!(is_none(b"{\"message\":{\"type\":\"\xff\"}}"));
}

#[test]
fn an_encoded_body_is_not_looked_into() {
    let head = Head {
        encoded: true,
        ..HEAD
    };
    let body = message("hang", json!({}));
    assert!(recognize(&head, body.as_bytes()).is_none());
}

#[test]
fn a_report_of_hundreds_of_kilobytes_is_read_where_it_lies() {
    let line = "she said: “naïve”\n".repeat(40);
    let said: Vec<_> = (0..300)
        .map(|nth| json!({"role": if nth % 2 == 0 { "bot" } else { "user" }, "message": line}))
        .collect();
    let body = message(
        "end-of-call-report",
        json!({"endedReason": "customer-ended-call", "artifact": {"messages": said, "transcript": line.repeat(90)}}),
    );
    assert!(body.len() > 200_000);
    let event = read(&body);
    assert_eq!(event.facts.speech, Some(true));
    assert!(matches!(event.call, Some(Cow::Borrowed(_))));
}

proptest! {
    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
        recognize(&HEAD, &body);
    }

    #[test]
    fn no_damage_to_a_message_panics(at in 0_usize..2000, byte in any::<u8>(), cut in 0_usize..2000) {
        let mut body = report("customer-ended-call", &json!("7/10"), &["bot", "user"]).into_bytes();
        let length = body.len();
        body[at % length] = byte;
        recognize(&HEAD, &body);
        body.truncate(cut % length);
        prop_assert!(is_none(&body), "it is not whole");
    }

    #[test]
    fn any_type_and_any_status_fall_into_a_kind(kind in "[a-z.-]{1,30}", status in "\\PC{0,12}", call in "\\PC{0,20}") {
        let body = message(&kind, json!({"status": status, "call": {"status": call}}));
        prop_assert!(recognize(&HEAD, body.as_bytes()).is_some());
    }
}
