use proptest::prelude::*;

use super::super::{Does, Flaw, Judgement, MAX_BYTES, judge};
use super::*;

const SPEAKING: [Protocol; 2] = [Protocol::TelnyxTexml, Protocol::Twilio];

fn number() -> Number {
    Number::new("+15557640012").unwrap()
}

fn body(resort: &LastResort, asks: Asks) -> Bytes {
    resort.answer(asks, false, b"{}").unwrap().body
}

fn text(resort: &LastResort, asks: Asks) -> String {
    String::from_utf8(body(resort, asks).to_vec()).unwrap()
}

#[test]
fn what_we_ship_is_sound_for_each_provider_and_leads_nowhere() {
    for protocol in SPEAKING {
        for (forward, serves) in [(None, false), (Some(number()), true)] {
            let resort = LastResort::shipped(protocol, forward.as_ref());
            let said = resort.answer(Asks::Document, false, b"").unwrap();
            let expected = Judgement {
                flaw: None,
                does: Does {
                    serves,
                    ends: !serves,
                },
            };
            let judged = judge(protocol, Some(said.content_type), &said.body);
            assert_eq!(judged, expected, "{protocol:?} {forward:?}");
            let text = text(&resort, Asks::Document);
            for url in [
                "://", "href", "action", "url=", "Redirect", "Play", "callback",
            ] {
                assert!(!text.contains(url), "{url} in {text}");
            }
            let own = LastResort::own(protocol, said.body);
            assert!(own.is_ok(), "and could be an operator's own");
        }
    }
}

#[test]
fn a_caller_hears_sorry_in_two_languages_and_is_then_hung_up_or_connected() {
    for protocol in SPEAKING {
        let sorry = text(&LastResort::shipped(protocol, None), Asks::Document);
        let at = |part: &str| {
            sorry
                .find(part)
                .unwrap_or_else(|| panic!("{part}: {sorry}"))
        };
        assert!(at("language=\"en-US\">We are sorry") < at("language=\"es-MX\">Lo sentimos"));
        assert!(at("Lo sentimos") < at("<Hangup/>"));
        let connected = text(
            &LastResort::shipped(protocol, Some(&number())),
            Asks::Document,
        );
        assert!(connected.contains("<Dial><Number>+15557640012</Number></Dial>"));
    }
}

#[test]
fn who_is_beside_the_call_hears_nothing() {
    for protocol in SPEAKING {
        let resort = LastResort::shipped(protocol, Some(&number()));
        let said = resort.answer(Asks::Document, true, b"").unwrap();
        assert_eq!(said.content_type, "text/xml; charset=utf-8");
        let judged = judge(protocol, Some(said.content_type), &said.body);
        assert_eq!(judged.flaw, None);
        assert!(!judged.does.serves);
        assert!(said.body.ends_with(b"<Response></Response>\n"));
    }
}

#[test]
fn vapi_speaks_an_error_or_hands_the_caller_over() {
    let sorry = LastResort::shipped(Protocol::Vapi, None);
    let judged = vapi_reply::judge(Asks::Assistant, b"", &body(&sorry, Asks::Assistant));
    assert_eq!(judged.flaw, Some(Flaw::SaysError), "it is spoken");
    let json: serde_json::Value = serde_json::from_slice(&body(&sorry, Asks::Assistant)).unwrap();
    let spoken = json["error"].as_str().unwrap();
    assert!(spoken.starts_with("We are sorry") && spoken.contains("Lo sentimos"));

    let forward = LastResort::shipped(Protocol::Vapi, Some(&number()));
    let judged = vapi_reply::judge(Asks::Assistant, b"", &body(&forward, Asks::Assistant));
    assert_eq!((judged.flaw, judged.does.serves), (None, true));
    let json: serde_json::Value = serde_json::from_slice(&body(&forward, Asks::Assistant)).unwrap();
    assert_eq!(json["destination"]["type"], "number");
    assert_eq!(json["destination"]["number"], "+15557640012");
}

#[test]
fn vapi_gets_a_failure_for_each_tool_call_and_no_other() {
    let resort = LastResort::shipped(Protocol::Vapi, None);
    let said = |request: &str| resort.answer(Asks::Tools, false, request.as_bytes());
    let json = |request: &str| -> serde_json::Value {
        let said = said(request).unwrap();
        assert_eq!(said.content_type, "application/json");
        serde_json::from_slice(&said.body).unwrap()
    };
    let two = json(r#"{"message":{"toolCallList":[{"id":"a\"1"},{"id":"b"}]}}"#);
    let results = two["results"].as_array().unwrap();
    let ids: Vec<_> = results.iter().map(|it| &it["toolCallId"]).collect();
    assert_eq!(ids, ["a\"1", "b"]);
    for result in results {
        let error = result["error"].as_str().unwrap();
        assert!(!error.is_empty() && !error.contains('\n'));
    }
    let older = json(r#"{"message":{"functionCall":{"name":"book"}}}"#);
    assert!(older["result"].is_string(), "it has no id");
    for none in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"message":{}}"#,
        r#"{"message":{"toolCallList":[]}}"#,
    ] {
        assert_eq!(said(none), None, "{none}");
    }
}

#[test]
fn vapi_hears_of_no_destination_and_no_documents() {
    let resort = LastResort::shipped(Protocol::Vapi, None);
    let judged = |asks| vapi_reply::judge(asks, b"", &body(&resort, asks)).flaw;
    assert_eq!(judged(Asks::Destination), Some(Flaw::SaysError));
    assert_eq!(judged(Asks::Knowledge), None);
}

#[test]
fn where_there_is_nothing_to_say_the_failure_is_passed_on() {
    for protocol in Protocol::ALL {
        let resort = LastResort::shipped(protocol, Some(&number()));
        for asks in [Asks::Endpointing, Asks::Audio, Asks::Nothing] {
            assert_eq!(
                resort.answer(asks, false, b"{}"),
                None,
                "{protocol:?} {asks:?}"
            );
        }
        let is_vapi = protocol == Protocol::Vapi;
        for beside in [false, true] {
            let document = resort.answer(Asks::Document, beside, b"{}");
            assert_eq!(document.is_some(), SPEAKING.contains(&protocol));
            let assistant = resort.answer(Asks::Assistant, beside, b"{}");
            assert_eq!(assistant.is_some(), is_vapi);
        }
    }
}

#[test]
fn an_own_answer_is_said_byte_for_byte() {
    let document = "\u{feff}<?xml version='1.0'?><Response><Say>Estamos en obras.</Say></Response>";
    for protocol in SPEAKING {
        let resort = LastResort::own(protocol, document).unwrap();
        assert_eq!(text(&resort, Asks::Document), document);
    }
    for json in [
        r#"{"error":"We are closed."}"#,
        r#"{"destination":{"type":"number","number":"+15557640012"}}"#,
        r#"{"assistantId":"a-1"}"#,
    ] {
        let resort = LastResort::own(Protocol::Vapi, json).unwrap();
        assert_eq!(text(&resort, Asks::Assistant), json);
    }
}

#[test]
fn an_own_answer_that_asks_again_says_so() {
    for (asks_again, verbs) in [
        (true, "<Redirect>/ivr</Redirect>"),
        (true, "<Gather/><Hangup/>"),
        (true, "<Pause/>"),
        (false, "<Say>Closed.</Say>"),
        (false, "<Reject/>"),
        (false, "<Dial>+15557640012</Dial>"),
        (false, ""),
    ] {
        let document = format!("<Response>{verbs}</Response>");
        let own = LastResort::own(Protocol::Twilio, document).unwrap();
        assert_eq!(own.asks_again(), asks_again, "{verbs}");
    }
    let spoken = LastResort::own(Protocol::Vapi, r#"{"assistantId":"a-1"}"#).unwrap();
    assert!(!spoken.asks_again());
}

#[test]
fn an_own_answer_that_no_provider_would_run_is_refused_with_its_flaw() {
    let said = |protocol, body: &[u8]| {
        let refused = LastResort::own(protocol, body.to_vec()).unwrap_err();
        refused.to_string()
    };
    let texml = |body: &str| said(Protocol::TelnyxTexml, body.as_bytes());
    assert_eq!(
        texml("<Response>\n<Say>x</Sai>\n</Response>"),
        "in line 2 it is not well-formed XML"
    );
    assert_eq!(texml("<Response>"), "it is not well-formed XML");
    assert_eq!(texml("<Reply/>"), "its root element is not `Response`");
    assert_eq!(texml("<html></html>"), "it is an HTML page");
    assert_eq!(texml(" \n"), "it is empty");
    assert!(texml(" <?xml version=\"1.0\"?><Response/>").contains("white space before"));
    // Read as what it says it is it would be sound, but it is sent as UTF-8.
    let latin1 = b"<?xml version='1.0' encoding='latin1'?><Response><Say>\xf1</Say></Response>";
    assert_eq!(said(Protocol::Twilio, latin1), "it is not UTF-8");
    assert_eq!(said(Protocol::Twilio, b"\xff\xfe<\0"), "it is not UTF-8");

    let vapi = |body: &str| said(Protocol::Vapi, body.as_bytes());
    assert_eq!(vapi("{\n\"error\": }"), "in line 2 it is not JSON");
    assert!(vapi("{}").contains("no `error`, `destination`"));
    assert!(vapi("[]").contains("no `error`, `destination`"));
    assert!(vapi(r#"{"error":{"text":"x"}}"#).contains("`error` is a text"));
    assert!(vapi(r#"{"error":" "}"#).contains("`error` is a text"));
    assert!(vapi(r#"{"assistant":"a"}"#).contains("of the wrong kind"));

    let call_control = said(Protocol::TelnyxCallControl, b"<Response/>");
    assert!(call_control.contains("answered by a document"));
}

#[test]
fn an_own_answer_has_64_kib_and_not_one_byte_more() {
    let padded = |len: usize| {
        let document = "<Response/>";
        format!("{document}{}", " ".repeat(len - document.len()))
    };
    assert!(LastResort::own(Protocol::Twilio, padded(MAX_BYTES)).is_ok());
    let refused = LastResort::own(Protocol::Twilio, padded(MAX_BYTES + 1));
    assert_eq!(refused, Err(Unsound::TooLarge));
}

#[test]
fn a_number_is_dialled_but_never_shown() {
    let resort = LastResort::shipped(Protocol::Twilio, Some(&number()));
    assert_eq!(resort.to_string(), "forwarded to …12");
    assert_eq!(format!("{resort:?}"), "LastResort(forwarded to …12)");
    assert_eq!(format!("{:?}", number()), "Number(…12)");
    for text in [
        "15557640012",
        "+1 555 764 0012",
        "+0555764001",
        "+1555764",
        "+1555764001234567",
        "+155576400\u{0661}2",
        "+1555764001<",
        "",
        "+",
    ] {
        assert_eq!(Number::new(text), None, "{text}");
    }
    for text in ["+15557640", "+155576400123456"] {
        assert!(Number::new(text).is_some(), "{text}");
    }
}

#[test]
fn a_last_resort_is_told_in_words() {
    for (resort, words) in [
        (
            LastResort::shipped(Protocol::Twilio, None),
            "the shipped words",
        ),
        (
            LastResort::shipped(Protocol::TelnyxCallControl, None),
            "the status alone",
        ),
        (
            LastResort::own(Protocol::Twilio, "<Response/>").unwrap(),
            "a file of 11 bytes",
        ),
    ] {
        assert_eq!(resort.to_string(), words);
    }
}

#[test]
fn a_redirect_leads_to_the_entry_by_the_method_of_the_webhook() {
    for (method, written) in [
        (Method::GET, "GET"),
        (Method::HEAD, "GET"),
        (Method::POST, "POST"),
        (Method::PUT, "POST"),
    ] {
        let document = entry_redirect("/ivr/welcome?from=new&lang=es", &method);
        let expected = format!(
            "<Response><Redirect method=\"{written}\">/ivr/welcome?from=new&amp;lang=es\
             </Redirect></Response>"
        );
        let text = std::str::from_utf8(&document).unwrap();
        assert!(text.contains(&expected), "{text}");
        for protocol in SPEAKING {
            let judged = judge(protocol, Some(XML), &document);
            assert_eq!(judged, Judgement::default(), "sound, and the call goes on");
        }
    }
}

proptest! {
    #[test]
    fn a_redirect_is_sound_whatever_the_entry(entry in "/[!-~]{0,80}") {
        let document = entry_redirect(&entry, &Method::POST);
        prop_assert_eq!(judge(Protocol::Twilio, Some(XML), &document).flaw, None);
    }

    #[test]
    fn whatever_a_request_is_its_answer_is_json_or_none(
        ids in proptest::collection::vec("\\PC{0,12}", 0..5),
        cut in 0usize..200,
    ) {
        let calls: Vec<_> = ids.iter().map(|id| serde_json::json!({ "id": id })).collect();
        let request = serde_json::json!({ "message": { "toolCalls": calls } }).to_string();
        let resort = LastResort::shipped(Protocol::Vapi, None);
        let cut = cut.min(request.len());
        for request in [request.as_bytes(), request.as_bytes().get(..cut).unwrap_or_default()] {
            if let Some(said) = resort.answer(Asks::Tools, false, request) {
                let read = serde_json::from_slice::<serde_json::Value>(&said.body);
                prop_assert!(read.is_ok());
            }
        }
    }
}
