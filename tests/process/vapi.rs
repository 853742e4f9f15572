//! Vapi's messages: those of no call, and those that are long.

use serde_json::{Value, json};

use super::http::{self, Message};
use super::lab::{CALLER, FAR, Lab, NEAR};
use super::line::{self, SECRET, token};

fn post(lab: &Lab, body: &str) -> Message {
    let json = ("content-type", "application/json");
    let answer = http::ask(lab.webhooks(), "POST", "/ivr", &[json], body);
    answer.unwrap_or_else(|error| panic!("{error}\n{}", lab.log()))
}

fn tell(lab: &Lab, kind: &str, more: &Value) -> Message {
    post(lab, &message(kind, more))
}

fn message(kind: &str, more: &Value) -> String {
    let mut message = more.clone();
    message["type"] = kind.into();
    json!({ "message": message }).to_string()
}

fn series(lab: &Lab, name: &str) -> Option<f64> {
    lab.metric(&format!("switchback_{name}"))
}

const SERVED: &str =
    "webhooks_total{backend=\"new\",route=\"/ivr\",kind=\"voice\",outcome=\"served\"}";
const FAILED: &str =
    "webhooks_total{backend=\"new\",route=\"/ivr\",kind=\"voice\",outcome=\"document\"}";
const TOLD: &str =
    "webhooks_total{backend=\"new\",route=\"/ivr\",kind=\"event\",outcome=\"served\"}";

#[test]
fn a_message_of_no_call_goes_where_its_tenant_goes_and_pins_nothing() {
    let lab = Lab::started(|file| {
        file.protocol = "vapi";
        file.rules = "[[alert]]\nname = \"crowd\"\nmeasure = \"concurrent_calls\"\n\
            above = 0\nover = \"1m\"\n";
    });
    let said = |number: &str| {
        json!({
            "timestamp": 1_795_000_000_321_u64,
            "phoneNumber": { "number": number },
            "messages": [{ "role": "user", "message": "the invoice", "time": 1 }],
            "messagesOpenAIFormatted": [{ "role": "user", "content": "the invoice" }],
        })
    };
    for _ in 0..3 {
        for (number, side) in [(NEAR, "new"), (FAR, "legacy")] {
            let answer = tell(&lab, "conversation-update", &said(number));
            assert_eq!((answer.status(), answer.side()), (200, side), "{number}");
        }
    }
    lab.order(&["set", "0", "--reason", "a pause"]);
    assert_eq!(
        tell(&lab, "conversation-update", &said(NEAR)).side(),
        "legacy"
    );
    lab.until("they are counted", || series(&lab, TOLD) == Some(3.0));
    lab.next_look();
    let status = lab.status();
    for side in ["legacy", "new"] {
        assert_eq!(status["backends"][side]["calls_active"], 0, "{side}");
        assert_eq!(status["backends"][side]["calls"], 0, "{side}");
    }
    assert_eq!(series(&lab, "call_table_size"), Some(0.0));
    assert_ne!(lab.rule("crowd")["firing"], true, "{}", lab.rule("crowd"));
    // The neighbour: with a call it is one.
    let mut of_a_call = said(NEAR);
    of_a_call["call"] = json!({ "id": "c-1", "type": "inboundPhoneCall" });
    tell(&lab, "conversation-update", &of_a_call);
    lab.until("a call is there", || {
        lab.status()["backends"]["legacy"]["calls_active"] == 1
    });
    lab.until("and the rule sees it", || lab.rule("crowd")["value"] == 0.0);
}

#[test]
fn a_report_of_two_hundred_kilobytes_passes_whole() {
    let lab = Lab::started(|file| file.protocol = "vapi");
    let call = json!({
        "id": "c-long",
        "type": "inboundPhoneCall",
        "customer": { "number": CALLER },
    });
    let line = json!({ "number": NEAR });
    let begin = json!({ "status": "in-progress", "call": call, "phoneNumber": line });
    assert_eq!(tell(&lab, "status-update", &begin).side(), "new");
    let turns: Vec<_> = (0..1200)
        .map(|turn| {
            let role = if turn % 2 == 0 { "bot" } else { "user" };
            let words =
                format!("turn {turn}: “naïve” \\ \"quoted\" \u{1f4de} and so it goes on and on");
            json!({ "role": role, "message": words, "secondsFromStart": turn, "time": turn })
        })
        .collect();
    let report = message(
        "end-of-call-report",
        &json!({
            "endedReason": "customer-ended-call",
            "call": call,
            "phoneNumber": line,
            "artifact": { "messages": turns, "transcript": "AI: hello\nUser: hello\n".repeat(3000) },
        }),
    );
    assert!(report.len() > 200_000, "{}", report.len());
    lab.order(&["set", "0", "--reason", "a pause"]);
    let answer = post(&lab, &report);
    assert_eq!((answer.status(), answer.side()), (200, "new"), "its call's");
    let got = lab.new.last();
    assert_eq!(
        got.header("content-length"),
        Some(&*report.len().to_string())
    );
    assert!(got.body == report.as_bytes(), "byte for byte");
    lab.until("its call is over", || {
        lab.status()["backends"]["new"]["calls_active"] == 0
    });
    assert!(!lab.log().contains("quoted"), "what was said is in no log");
}

#[test]
fn an_answer_of_a_tool_that_is_too_long_to_judge_passes_unjudged() {
    let lab = Lab::started(|file| file.protocol = "vapi");
    let asked = json!({
        "call": { "id": "c-tool", "type": "inboundPhoneCall" },
        "phoneNumber": { "number": NEAR },
        "toolCallList": [{ "id": "t-1", "name": "look_up", "arguments": {} }],
    });
    // Its result is for another call: wrong, if anybody looks.
    let wrong = |length: usize| {
        let result = json!({ "toolCallId": "t-2", "result": "x".repeat(length) });
        json!({ "results": [result] }).to_string()
    };
    for (length, expected) in [(1_500_000, [1.0, 0.0]), (1_000, [1.0, 1.0])] {
        let answer = wrong(length);
        lab.new.says("content-type: application/json", &answer);
        let got = tell(&lab, "tool-calls", &asked);
        assert_eq!((got.status(), got.side()), (200, "new"), "{length}");
        assert!(got.text() == answer, "byte for byte: {length}");
        lab.until("it is counted", || {
            [SERVED, FAILED].map(|name| series(&lab, name)) == expected.map(Some)
        });
    }
}

#[test]
fn an_assistant_s_server_is_us_and_its_url_carries_the_call_to_any_machine() {
    let machine =
        |percentage| line::machine(percentage, Some(SECRET), |file| file.protocol = "vapi");
    let (first, other) = (machine(50), machine(0));
    let answer = |url: &str| {
        format!(
            r#"{{"assistant": {{"name":"A","server":{{"url":"{url}","timeoutSeconds":20}}}} }}"#
        )
    };
    let own = format!("http://{}/ivr/assistant?x=1", first.new.address);
    first
        .new
        .says("content-type: application/json", &answer(&own));
    let call = json!({ "id": "c-afar", "type": "inboundPhoneCall" });
    let more = json!({ "call": call, "phoneNumber": { "number": NEAR } });
    let asked = tell(&first, "assistant-request", &more);
    assert_eq!(asked.side(), "new");
    let token = token(&asked);
    let ours = format!("/ivr/assistant?x=1&_sb={token}");
    assert_eq!(
        asked.text(),
        answer(&format!("https://voice.example.com{ours}"))
    );

    let told = message(
        "status-update",
        &json!({ "status": "in-progress", "call": call }),
    );
    let json = ("content-type", "application/json");
    let told = http::ask(other.webhooks(), "POST", &ours, &[json], &told).unwrap();
    assert_eq!(told.side(), "new");
    assert_eq!(other.new.last().first, "POST /ivr/assistant?x=1 HTTP/1.1");
    assert_eq!(tell(&other, "status-update", &more).side(), "new", "pinned");
}
