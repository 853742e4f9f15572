use proptest::prelude::*;
use serde_json::json;

use super::*;

const ANYTHING_THAT_ASKS: [Asks; 5] = [
    Asks::Assistant,
    Asks::Tools,
    Asks::Destination,
    Asks::Knowledge,
    Asks::Endpointing,
];

const GOOD: Does = Does {
    serves: false,
    ends: false,
};

fn flaw(asks: Asks, answer: impl AsRef<[u8]>) -> Option<Flaw> {
    judge(asks, b"{}", answer.as_ref()).flaw
}

/// A request for these calls, in the newest shape.
fn request(ids: &[&str]) -> String {
    let calls: Vec<_> = ids
        .iter()
        .map(|id| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": {"n": 1}}}))
        .collect();
    json!({"message": {"type": "tool-calls", "toolCallList": calls, "toolCalls": calls}})
        .to_string()
}

fn tools(ids: &[&str], answer: &str) -> Option<Flaw> {
    judge(Asks::Tools, request(ids).as_bytes(), answer.as_bytes()).flaw
}

#[test]
fn an_answer_may_stand_in_the_schemas_wrapper() {
    for (answer, expected) in [
        ("{\"messageResponse\":{\"assistantId\":\"a\"}}", None),
        (
            "{\"messageResponse\":{\"error\":\"no\"}}",
            Some(Flaw::SaysError),
        ),
        ("{\"messageResponse\":{}}", Some(Flaw::NoResult)),
        ("{\"messageResponse\":\"a\",\"assistantId\":\"a\"}", None),
    ] {
        assert_eq!(flaw(Asks::Assistant, answer), expected, "{answer}");
    }
}

#[test]
fn what_nobody_reads_is_always_sound() {
    for asks in [Asks::Nothing, Asks::Audio] {
        for answer in ["", "\0\u{1}pcm", "{\"error\":\"no\"}", "<html>"] {
            assert_eq!(judge(asks, b"{}", answer.as_bytes()), Judgement::default());
        }
    }
}

#[test]
fn an_answer_that_is_none_fails_whatever_was_asked() {
    let deep = format!("{{\"x\":{}", "[".repeat(vapi::MAX_DEPTH));
    for asks in ANYTHING_THAT_ASKS {
        for (answer, expected) in [
            ("", Flaw::Empty),
            (" \r\n", Flaw::Empty),
            ("\u{feff}", Flaw::Empty),
            ("<!doctype html><h1>502</h1>", Flaw::NotJson),
            ("{", Flaw::NotJson),
            ("{} {}", Flaw::NotJson),
            ("{'error':1}", Flaw::NotJson),
            ("OK", Flaw::NotJson),
            ("null", Flaw::NoResult),
            ("[]", Flaw::NoResult),
            ("\"done\"", Flaw::NoResult),
            ("{}", Flaw::NoResult),
            ("{\"error\":\"\"}", Flaw::NoResult),
            ("{\"error\":null}", Flaw::NoResult),
            ("{\"error\":\"closed\"}", Flaw::SaysError),
            ("{\"error\":{\"code\":5}}", Flaw::SaysError),
            ("{\"error\":true}", Flaw::SaysError),
            (&deep, Flaw::TooLarge),
        ] {
            assert_eq!(flaw(asks, answer), Some(expected), "{asks:?}: {answer}");
        }
    }
}

#[test]
fn an_assistant_is_one_by_id_or_whole() {
    for (answer, expected) in [
        (r#"{"assistantId":"as-1"}"#, None),
        ("\u{feff} {\"assistantId\":\"as-1\"}\n", None),
        (
            r#"{"assistantId":"as-1","assistantOverrides":{},"error":""}"#,
            None,
        ),
        (r#"{"assistant":{"model":{}}}"#, None),
        (r#"{"squadId":"s"}"#, None),
        (r#"{"squad":{"members":[]}}"#, None),
        (r#"{"workflowId":"w"}"#, None),
        (r#"{"workflow":{}}"#, None),
        (r#"{"assistant":null,"assistantId":"as-1"}"#, None),
        (r#"{"assistantOverrides":{}}"#, Some(Flaw::NoResult)),
        (r#"{"assistantId":""}"#, Some(Flaw::NoResult)),
        (r#"{"assistantId":7}"#, Some(Flaw::BadResult)),
        (r#"{"assistant":"as-1"}"#, Some(Flaw::BadResult)),
        (r#"{"destination":"+12025550111"}"#, Some(Flaw::BadResult)),
        (
            r#"{"assistantId":"as-1","error":"no"}"#,
            Some(Flaw::SaysError),
        ),
    ] {
        assert_eq!(flaw(Asks::Assistant, answer), expected, "{answer}");
    }
}

#[test]
fn a_destination_serves_the_caller_and_an_error_ends_the_call() {
    let does = |asks, answer: &str| judge(asks, b"{}", answer.as_bytes()).does;
    let serves = Does {
        serves: true,
        ends: false,
    };
    let ends = Does {
        serves: false,
        ends: true,
    };
    let number = r#"{"destination":{"type":"number","number":"+12025550111"}}"#;
    let both = r#"{"destination":{"type":"sip","sipUri":"sip:a@example.com"},"error":"no"}"#;
    let assistant = r#"{"destination":{"type":"assistant","assistantName":"Bo"}}"#;
    for asks in [Asks::Assistant, Asks::Destination] {
        assert_eq!(does(asks, number), serves, "{asks:?}");
        assert_eq!(
            does(asks, assistant),
            GOOD,
            "another assistant is nobody yet"
        );
        assert_eq!(flaw(asks, assistant), None, "{asks:?}");
    }
    assert_eq!(
        flaw(Asks::Assistant, both),
        None,
        "the destination goes first"
    );
    assert_eq!(does(Asks::Assistant, both), serves);
    assert_eq!(flaw(Asks::Destination, both), Some(Flaw::SaysError));
    assert_eq!(does(Asks::Destination, both), GOOD, "the assistant goes on");
    assert_eq!(does(Asks::Assistant, r#"{"error":"closed"}"#), ends);
    assert_eq!(does(Asks::Assistant, r#"{"assistantId":"as-1"}"#), GOOD);
    assert_eq!(
        flaw(Asks::Destination, r#"{"destination":"desk"}"#),
        Some(Flaw::BadResult)
    );
}

#[test]
fn documents_may_be_few_or_a_message() {
    for (answer, expected) in [
        (
            r#"{"documents":[{"content":"c","similarity":0.9,"uuid":"u"}]}"#,
            None,
        ),
        (r#"{"documents":[]}"#, None),
        (r#"{"message":{"role":"system","content":"c"}}"#, None),
        (r#"{"documents":{}}"#, Some(Flaw::BadResult)),
        (r#"{"message":""}"#, Some(Flaw::NoResult)),
    ] {
        assert_eq!(flaw(Asks::Knowledge, answer), expected, "{answer}");
    }
}

#[test]
fn seconds_to_wait_are_a_number() {
    for (answer, expected) in [
        (r#"{"timeoutSeconds":0.5}"#, None),
        (r#"{"timeoutSeconds":0}"#, None),
        (r#"{"timeoutSeconds":-1}"#, Some(Flaw::BadResult)),
        (r#"{"timeoutSeconds":"1"}"#, Some(Flaw::BadResult)),
        (r#"{"timeout":1}"#, Some(Flaw::NoResult)),
    ] {
        assert_eq!(flaw(Asks::Endpointing, answer), expected, "{answer}");
    }
}

#[test]
fn every_tool_call_has_a_result_of_its_own() {
    let one = r#"{"results":[{"toolCallId":"t1","name":"look","result":"found"}]}"#;
    let two = r#"{"results":[{"toolCallId":"t2","result":"b"},{"toolCallId":"t1","result":"a","error":null}]}"#;
    assert_eq!(tools(&["t1"], one), None);
    assert_eq!(tools(&["t1", "t2"], two), None, "in whatever order");
    assert_eq!(
        tools(&["t1", "t2"], one),
        Some(Flaw::NoResult),
        "one is missing"
    );
    assert_eq!(
        tools(&["t1"], two),
        Some(Flaw::BadResult),
        "t2 was not asked for"
    );
    for (answer, expected) in [
        (r#"{"results":[]}"#, Flaw::NoResult),
        (r#"{"results":{}}"#, Flaw::NoResult),
        (r#"{"results":null}"#, Flaw::NoResult),
        (r#"{"result":"found"}"#, Flaw::NoResult),
        (r#"{"results":["found"]}"#, Flaw::BadResult),
        (r#"{"results":[["t1","found"]]}"#, Flaw::BadResult),
        (r#"{"results":[{"result":"found"}]}"#, Flaw::BadResult),
        (
            r#"{"results":[{"toolCallId":"t9","result":"found"}]}"#,
            Flaw::BadResult,
        ),
        (
            r#"{"results":[{"toolCallId":1,"result":"found"}]}"#,
            Flaw::BadResult,
        ),
        (r#"{"results":[{"toolCallId":"t1"}]}"#, Flaw::BadResult),
        (
            r#"{"results":[{"toolCallId":"t1","result":null}]}"#,
            Flaw::BadResult,
        ),
        (
            r#"{"results":[{"toolCallId":"t1","result":{"a":1}}]}"#,
            Flaw::BadResult,
        ),
        (
            r#"{"results":[{"toolCallId":"t1","result":5}]}"#,
            Flaw::BadResult,
        ),
        (
            r#"{"results":[{"toolCallId":"t1","error":{"a":1}}]}"#,
            Flaw::BadResult,
        ),
        (
            r#"{"results":[{"toolCallId":"t1","error":""}]}"#,
            Flaw::BadResult,
        ),
        (
            r#"{"results":[{"toolCallId":"t1","error":"database down"}]}"#,
            Flaw::SaysError,
        ),
        (
            r#"{"results":[{"toolCallId":"t1","result":"r","error":"e"}]}"#,
            Flaw::SaysError,
        ),
    ] {
        assert_eq!(tools(&["t1"], answer), Some(expected), "{answer}");
    }
    let lines =
        r#"{"results":[{"toolCallId":"t1","result":"a\nb","error":"","message":{}}],"extra":1}"#;
    assert_eq!(tools(&["t1"], lines), None);
    let twice =
        r#"{"results":[{"toolCallId":"t1","result":"a"},{"toolCallId":"t1","result":"b"}]}"#;
    assert_eq!(
        tools(&["t1", "t2"], twice),
        Some(Flaw::NoResult),
        "t2 has none"
    );
}

#[test]
fn calls_are_found_in_every_shape_of_request() {
    let ours = br#"{"results":[{"toolCallId":"t1","result":"r"}]}"#;
    let other = br#"{"results":[{"toolCallId":"t9","result":"r"}]}"#;
    for list in [
        json!({"toolCallList": [{"id": "t1", "name": "look", "parameters": {}}]}),
        json!({"toolCalls": [{"id": "t1", "function": {"name": "look", "arguments": "{}"}}]}),
        json!({"toolCallList": [], "toolCalls": [{"id": "t1"}]}),
        json!({"toolCallList": null, "toolWithToolCallList": [{"type": "function", "toolCall": {"id": "t1"}}]}),
    ] {
        let request = json!({ "message": list }).to_string();
        let flaw = |answer| judge(Asks::Tools, request.as_bytes(), answer).flaw;
        assert_eq!(flaw(ours), None, "{request}");
        assert_eq!(flaw(other), Some(Flaw::BadResult), "{request}");
    }
    for request in [
        &b""[..],
        b"{",
        b"{}",
        br#"{"message":{"toolCallList":[7]}}"#,
    ] {
        assert_eq!(
            judge(Asks::Tools, request, other).flaw,
            None,
            "what was asked is not known"
        );
    }
}

#[test]
fn an_older_function_call_is_answered_by_one_result() {
    let request =
        br#"{"message":{"type":"function-call","functionCall":{"name":"look","parameters":{}}}}"#;
    for (answer, expected) in [
        (r#"{"result":"found"}"#, None),
        (r#"{"results":[{"result":"found"}]}"#, None),
        (r#"{"result":{"a":1}}"#, Some(Flaw::BadResult)),
        (r#"{"results":[]}"#, Some(Flaw::NoResult)),
        (r#"{"error":"no"}"#, Some(Flaw::SaysError)),
        ("{}", Some(Flaw::NoResult)),
    ] {
        let judged = judge(Asks::Tools, request, answer.as_bytes());
        assert_eq!(judged.flaw, expected, "{answer}");
    }
}

#[test]
fn a_tool_nobody_waits_for_needs_no_result() {
    let request = |second: bool| {
        let with = |id: &str, is_async: bool| json!({"async": is_async, "toolCall": {"id": id}});
        json!({"message": {
            "toolCallList": [{"id": "t1"}, {"id": "t2"}],
            "toolWithToolCallList": [with("t1", true), with("t2", second)],
        }})
        .to_string()
    };
    let flaw = |request: &str, answer: &str| {
        judge(Asks::Tools, request.as_bytes(), answer.as_bytes()).flaw
    };
    let second = r#"{"results":[{"toolCallId":"t2","result":"r"}]}"#;
    let first = r#"{"results":[{"toolCallId":"t1","result":"r"}]}"#;
    assert_eq!(flaw(&request(true), ""), None, "both run on their own");
    assert_eq!(flaw(&request(false), second), None);
    assert_eq!(flaw(&request(false), first), Some(Flaw::NoResult));
    assert_eq!(flaw(&request(false), ""), Some(Flaw::Empty));
}

#[test]
fn a_result_of_hundreds_of_kilobytes_is_a_result() {
    let row = json!({"sku": "A1", "note": "„größer“ \\ line\n"}).to_string();
    let rows = format!("[{}]", vec![row; 6_000].join(","));
    let answer = json!({"results": [{"toolCallId": "t1", "result": rows}]}).to_string();
    assert!(answer.len() > 200_000);
    assert_eq!(tools(&["t1"], &answer), None);
    let cut = answer.get(..answer.len() - 4).unwrap();
    assert_eq!(tools(&["t1"], cut), Some(Flaw::NotJson));
}

#[test]
fn more_calls_than_are_compared_are_taken_at_their_word() {
    let names: Vec<_> = (0..300).map(|nth| format!("t{nth}")).collect();
    let ids: Vec<_> = names.iter().map(String::as_str).collect();
    let results: Vec<_> = ids
        .iter()
        .map(|id| json!({"toolCallId": id, "result": "r"}))
        .collect();
    let answer = json!({ "results": results }).to_string();
    assert_eq!(tools(&ids, &answer), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(
        answer in prop::collection::vec(any::<u8>(), 0..200),
        request in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        for asks in ANYTHING_THAT_ASKS {
            prop_assert!(judge(asks, &request, &answer).flaw.is_some(), "noise is no answer");
        }
    }

    #[test]
    fn any_calls_answered_one_by_one_are_sound(count in 1_usize..40, lost in any::<prop::sample::Index>()) {
        let names: Vec<_> = (0..count).map(|nth| format!("c{nth}")).collect();
        let ids: Vec<_> = names.iter().map(String::as_str).collect();
        let mut results: Vec<_> = ids.iter().map(|id| json!({"toolCallId": id, "result": "r"})).collect();
        let whole = json!({ "results": results }).to_string();
        prop_assert_eq!(tools(&ids, &whole), None);
        results.remove(lost.index(count));
        let fewer = json!({ "results": results }).to_string();
        prop_assert_eq!(tools(&ids, &fewer), Some(Flaw::NoResult));
    }
}
