//! Events in the shapes Telnyx sends, with values of our own.

use proptest::prelude::*;

use super::*;
use crate::measure::Fault;
use crate::protocol::{Asks, EventKind, Facts, Final, FinalStatus, HungUp};

mod life;

const SESSION: &str = "51a0c7de-7711-4e0b-9f3c-90aa51d2e001";
const CONTROL: &str = "v3:aB-9_zYxWvUtSrQpOnMlKjIhGfEdCbA0123456789";
const IDS: &str = r#""call_session_id":"51a0c7de-7711-4e0b-9f3c-90aa51d2e001",
    "call_leg_id":"62b1-leg","connection_id":"4400990011",
    "call_control_id":"v3:aB-9_zYxWvUtSrQpOnMlKjIhGfEdCbA0123456789""#;
const NUMBERS: &str = r#""from":"+12025550111","to":"+12025550199","client_state":null"#;

const JSON: Head<'static> = Head {
    query: "",
    content_type: Some("application/json"),
    encoded: false,
};

/// The usual envelope around what a payload holds besides its ids.
fn event(event_type: &str, rest: &str) -> String {
    let rest = if rest.is_empty() {
        String::new()
    } else {
        format!(",{rest}")
    };
    format!(
        r#"{{"data":{{"record_type":"event","event_type":"{event_type}","id":"e-{event_type}",
        "occurred_at":"2027-02-03T04:06:10.250000Z","payload":{{{IDS}{rest}}}}},
        "meta":{{"attempt":1,"delivered_to":"https://calls.example.com/cc"}}}}"#
    )
}

fn read(body: &str) -> CallEvent<'_> {
    recognize(&JSON, body.as_bytes()).unwrap_or_else(|| panic!("an event: {body}"))
}

#[test]
fn the_session_is_the_call_and_the_control_id_its_leg() {
    let rest = format!(
        r#"{NUMBERS},"direction":"incoming","state":"parked","caller_id_name":"A \"B\"",
        "custom_headers":[{{"name":"X-T","value":"v"}}],"tags":["t:1"],"shaken_stir_validated":true"#
    );
    let body = event("call.initiated", &rest);
    let event = read(&body);
    assert_eq!(event.call.as_deref(), Some(SESSION));
    assert_eq!(event.leg.as_deref(), Some(CONTROL));
    assert_eq!(event.alias, event.leg);
    assert_eq!(event.parent, None);
    assert_eq!(event.id.as_deref(), Some("e-call.initiated"));
    assert_eq!(event.keys.to.as_deref(), Some("+12025550199"));
    assert_eq!(event.keys.from.as_deref(), Some("+12025550111"));
    assert_eq!(event.keys.connection.as_deref(), Some("4400990011"));
    assert_eq!(event.keys.account, None);
    assert!(!event.outbound && !event.ambiguous);
    assert!(
        matches!(event.call, Some(Cow::Borrowed(_))) && matches!(event.id, Some(Cow::Borrowed(_))),
        "what holds no escape is borrowed"
    );
    let again = body.replace(r#""attempt":1"#, r#""attempt":2"#);
    assert_eq!(read(&again), event, "a second delivery has the same id");

    let outgoing = body.replace("incoming", "outgoing");
    assert!(read(&outgoing).outbound);
}

#[test]
fn fewer_ids_are_enough_and_none_pin_nothing() {
    for (ids, call, leg) in [
        (
            r#""call_session_id":"s","call_control_id":"c","call_leg_id":"l""#,
            Some("s"),
            Some("c"),
        ),
        (
            r#""call_session_id":"s","call_leg_id":"l""#,
            Some("s"),
            Some("l"),
        ),
        (
            r#""call_session_id":"s","call_control_id":null"#,
            Some("s"),
            None,
        ),
        (
            r#""call_control_id":"c","call_leg_id":"l""#,
            Some("c"),
            None,
        ),
        (
            r#""call_session_id":"","call_control_id":"c""#,
            Some("c"),
            None,
        ),
        (
            r#""call_session_id":{"x":[1]},"call_control_id":["c"]"#,
            None,
            None,
        ),
        (r#""conference_id":"f","connection_id":77"#, None, None),
        (r#""call_session_id":12"#, Some("12"), None),
        (r#""call_session_id":"\u0073\/1""#, Some("s/1"), None),
    ] {
        let body = format!(r#"{{"data":{{"event_type":"conference.ended","payload":{{{ids}}}}}}}"#);
        let event = read(&body);
        assert_eq!(event.call.as_deref(), call, "{ids}");
        assert_eq!(event.leg.as_deref(), leg, "{ids}");
        assert_eq!(event.alias.as_deref(), leg, "{ids}");
    }
    let of = |length: usize| {
        let id = "x".repeat(length);
        format!(r#"{{"data":{{"event_type":"t","payload":{{"call_session_id":"{id}"}}}}}}"#)
    };
    assert!(read(&of(MAX_VALUE)).call.is_some());
    assert!(read(&of(MAX_VALUE + 1)).call.is_none(), "absurdly long");
}

#[test]
fn the_other_envelope_is_the_same_event() {
    let payload = format!(r#"{{{IDS},{NUMBERS},"digits":"4","status":"valid"}}"#);
    let inner = format!(
        r#"{{"event_type":"call.gather.ended","id":"e-1","occurred_at":"2027-02-03T04:06:10Z","payload":{payload}}}"#
    );
    let body = format!(
        r#"{{"call_leg_id":"62b1-leg","call_session_id":"{SESSION}","event_timestamp":"2027-02-03T04:06:10Z",
        "metadata":{{"attempt":1,"delivered_to":"https://x.example.com","event":{inner},"status":"delivered"}},
        "name":"call.gather.ended","organization_id":"org-7","type":"webhook","user_id":"u-7"}}"#
    );
    let usual = format!(r#"{{"data":{inner},"meta":{{}}}}"#);
    let (other, usual) = (read(&body), read(&usual));
    assert_eq!(other.keys.account.as_deref(), Some("org-7"));
    assert_eq!(
        CallEvent {
            keys: Keys {
                account: None,
                ..other.keys.clone()
            },
            ..other
        },
        usual
    );

    let outside = format!(
        r#"{{"call_session_id":"{SESSION}","call_leg_id":"l","name":"call.hangup","user_id":"u-7",
        "event_timestamp":"2027-02-03T04:06:10Z","metadata":{{"event":{{"id":"e-2",
        "payload":{{"start_time":"2027-02-03T04:06:00Z","hangup_cause":"time_limit"}}}}}}}}"#
    );
    let event = read(&outside);
    assert_eq!(event.call.as_deref(), Some(SESSION), "what is left out");
    assert_eq!(event.leg.as_deref(), Some("l"));
    assert_eq!(event.keys.account.as_deref(), Some("u-7"));
    let EventKind::Final(end) = event.kind else {
        panic!("{:?}", event.kind)
    };
    assert_eq!(end.duration_s, Some(10));
}

#[test]
fn a_get_carries_the_event_in_its_query() {
    let head = |query| Head {
        query,
        content_type: None,
        encoded: false,
    };
    for query in [
        "tenant=acme&event_type=call.gather.ended&event_id=e-1&call_session_id=s&call_control_id=v3%3Ac&to=%2B12025550199&digits=4&status=valid",
        "data.event_type=call.gather.ended&data.id=e-1&data.payload.call_session_id=s&data.payload.call_control_id=v3:c&data.payload.to=%2B12025550199&data.payload.digits=4",
        "data[event_type]=call.gather.ended&data[id]=e-1&data%5Bpayload%5D%5Bcall_session_id%5D=s&data[payload][call_control_id]=v3:c&data[payload][to]=%2B12025550199&data[payload][digits]=4&meta[attempt]=1",
        "metadata[event][event_type]=call.gather.ended&event[id]=e-1&payload.call_session_id=s&payload.call_control_id=v3:c&payload.to=%2B12025550199&payload.digits=4",
    ] {
        let event = recognize(&head(query), b"").expect(query);
        assert_eq!(event.kind, EventKind::Step, "{query}");
        assert_eq!(event.call.as_deref(), Some("s"), "{query}");
        assert_eq!(event.leg.as_deref(), Some("v3:c"), "{query}");
        assert_eq!(event.id.as_deref(), Some("e-1"), "{query}");
        assert_eq!(event.keys.to.as_deref(), Some("+12025550199"), "{query}");
        assert_eq!(event.facts.choice, Some(b'4'), "{query}");
        assert!(!event.ambiguous);
    }
    for (query, kind, call, id, ambiguous) in [
        (
            "call_session_id=s&direction=incoming",
            Some(EventKind::Start),
            Some("s"),
            None,
            false,
        ),
        (
            "call_session_id=s&direction=outgoing",
            Some(EventKind::Progress),
            Some("s"),
            None,
            false,
        ),
        (
            "call_session_id=s&id=7",
            Some(EventKind::Report),
            Some("s"),
            None,
            false,
        ),
        (
            "call_session_id=s&call_session_id=s",
            Some(EventKind::Report),
            Some("s"),
            None,
            false,
        ),
        (
            "call_session_id=s&payload[call_session_id]=t",
            Some(EventKind::Report),
            Some("s"),
            None,
            true,
        ),
        (
            "client[call_session_id]=s&event_type=call.answered",
            Some(EventKind::Step),
            None,
            None,
            false,
        ),
        (
            "event_type=call.transcription&is_final=false&call_session_id=s",
            Some(EventKind::Report),
            Some("s"),
            None,
            false,
        ),
        ("tenant=acme&id=7&to=1&status=ok", None, None, None, false),
        ("", None, None, None, false),
    ] {
        let event = recognize(&head(query), b"");
        assert_eq!(event.as_ref().map(|event| event.kind), kind, "{query}");
        let event = event.unwrap_or_else(|| CallEvent::new(None, EventKind::Report));
        assert_eq!(event.call.as_deref(), call, "{query}");
        assert_eq!(event.id.as_deref(), id, "{query}");
        assert_eq!(event.ambiguous, ambiguous, "{query}");
    }
    let hangup = recognize(&head("call_session_id=s&hangup_cause=user_busy"), b"").unwrap();
    assert!(matches!(
        hangup.kind,
        EventKind::Final(Final {
            status: FinalStatus::NotReached,
            ..
        })
    ));
}

#[test]
fn a_body_of_json_is_read_and_nothing_else() {
    let body = event("call.answered", NUMBERS);
    let bom = format!("\u{feff}  {body}\n");
    let twice = body.replace(r#""client_state":null"#, r#""to":"1""#);
    let unwanted_twice = body.replace(r#""client_state":null"#, r#""tags":1,"tags":2"#);
    let query = "event_type=call.answered&call_session_id=q";
    for (what, content_type, encoded, body, is_read) in [
        (
            "as announced",
            Some("application/json; charset=utf-8"),
            false,
            body.as_str(),
            true,
        ),
        (
            "announced otherwise",
            Some("text/plain"),
            false,
            &body,
            true,
        ),
        ("not announced", None, false, &body, true),
        ("with a mark and spaces", None, false, &bom, true),
        ("encoded", JSON.content_type, true, &body, false),
        ("a wanted field twice", None, false, &twice, false),
        (
            "an unwanted field twice",
            None,
            false,
            &unwanted_twice,
            true,
        ),
        (
            "an array",
            JSON.content_type,
            false,
            r#"[{"event_type":"call.answered"}]"#,
            false,
        ),
        (
            "no envelope",
            JSON.content_type,
            false,
            r#"{"event_type":"call.answered","payload":{}}"#,
            false,
        ),
        (
            "data of another kind",
            JSON.content_type,
            false,
            r#"{"data":[1,{"id":2}]}"#,
            false,
        ),
        (
            "data of no event",
            JSON.content_type,
            false,
            r#"{"data":{"id":"m-1","type":"sms"}}"#,
            false,
        ),
        ("a string", JSON.content_type, false, "\"x\"", false),
        ("null", JSON.content_type, false, "null", false),
        (
            "cut off",
            JSON.content_type,
            false,
            r#"{"data":{"event_type":"call.ans"#,
            false,
        ),
        (
            "something behind it",
            JSON.content_type,
            false,
            r#"{"data":{"event_type":"x"}}}"#,
            false,
        ),
        (
            "a form",
            Some("application/x-www-form-urlencoded"),
            false,
            query,
            false,
        ),
        ("blank", JSON.content_type, false, " ", false),
    ] {
        let head = Head {
            query,
            content_type,
            encoded,
        };
        let event = recognize(&head, body.as_bytes());
        assert_eq!(event.is_some(), is_read, "{what}");
        assert_ne!(
            event.and_then(|event| event.call).as_deref(),
            Some("q"),
            "beside a body the query is the operator's: {what}"
        );
    }
    let odd = r#"{"data":{"event_type":"call.gather.ended","id":5,"occurred_at":-1.5,"payload":{
        "call_session_id":"s","digits":7,"status":null,"transcription_data":"none","to":true}},"meta":[],"metadata":3}"#;
    let event = read(odd);
    assert_eq!(event.facts.choice, Some(b'7'), "odd types are no error");
    assert_eq!(event.id.as_deref(), Some("5"));
}

#[test]
fn depth_is_no_bomb() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let bomb = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        for body in [
            event("call.answered", &format!(r#""custom_headers":{bomb}"#)),
            event("call.answered", &format!(r#""to":{bomb}"#)),
            event("call.answered", &format!(r#""transcription_data":{bomb}"#)),
            format!(r#"{{"data":{bomb}}}"#),
            bomb.clone(),
        ] {
            recognize(&JSON, body.as_bytes());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        query in ".{0,80}",
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        encoded in any::<bool>(),
    ) {
        let head = Head { query: &query, content_type: None, encoded };
        recognize(&head, b"");
        recognize(&head, &bytes);
        let mut inside = br#"{"data":{"event_type":"call.hangup","payload":{"call_session_id":"s","#.to_vec();
        inside.extend(bytes);
        recognize(&head, &inside);
    }

    #[test]
    fn any_value_anywhere_falls_into_a_class(
        event_type in "(call|conference|streaming)\\.[a-z_.]{0,20}|call\\.(hangup|initiated|gather\\.ended)|\\PC{0,8}",
        name in "[a-z_]{1,12}|hangup_cause|start_time|direction|status|digits|reason|transcription_data",
        value in prop_oneof![
            any::<i64>().prop_map(|it| it.to_string()),
            any::<f64>().prop_map(|it| serde_json::json!(it).to_string()),
            "\\PC{0,12}".prop_map(|it| serde_json::json!(it).to_string()),
            Just("null".to_owned()), Just("[[],{}]".to_owned()), Just("{\"transcript\":[1]}".to_owned()),
        ],
    ) {
        let (event_type, name) = (serde_json::json!(event_type), serde_json::json!(name));
        let body = format!(
            r#"{{"data":{{"event_type":{event_type},"payload":{{{name}:{value},"call_session_id":"s"}}}}}}"#
        );
        let event = recognize(&JSON, body.as_bytes()).unwrap();
        prop_assert_eq!(event.call.as_deref(), Some("s"));
        let key = event.facts.choice;
        prop_assert!(key.is_none_or(|key| key.is_ascii_digit() || key == b'*' || key == b'#'));
    }

    #[test]
    fn a_query_says_what_a_body_says(
        values in prop::collection::vec("[a-zA-Z0-9+:_ é&=%]{1,12}", 8),
    ) {
        let names = ["call_session_id", "call_control_id", "to", "from", "connection_id",
            "hangup_source", "state", "reason"];
        let mut object = serde_json::Map::new();
        let mut query = "event_type=call.dequeued".to_owned();
        for (name, value) in names.into_iter().zip(&values) {
            object.insert(name.to_owned(), value.clone().into());
            let escaped: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
            query.push_str(&format!("&data%5Bpayload%5D%5B{name}%5D={escaped}"));
        }
        let body = serde_json::json!({"data": {"event_type": "call.dequeued", "payload": object}}).to_string();
        let head = Head { query: &query, content_type: None, encoded: false };
        prop_assert_eq!(recognize(&head, b""), recognize(&JSON, body.as_bytes()));
    }
}
