//! What comes twice is passed on twice and counts once: an event of Call Control that
//! Telnyx delivers again, and a webhook that somebody sends once more.

use super::http;
use super::lab::{CALLER, FORM, Lab, NEAR, form};
use super::sign::TelnyxKey;

fn event(id: &str, attempt: u32) -> String {
    format!(
        r#"{{"data":{{"record_type":"event","event_type":"call.initiated","id":"{id}","occurred_at":"2026-11-20T11:12:13.000001Z","payload":{{"call_control_id":"v3:leg-{id}","call_leg_id":"leg","call_session_id":"session-{id}","connection_id":"2048","client_state":null,"direction":"incoming","state":"parked","from":"{CALLER}","to":"{NEAR}"}}}},"meta":{{"attempt":{attempt},"delivered_to":"https://voice.example.com/ivr"}}}}"#
    )
}

/// Webhooks that count, those that do not, and calls, over all their series.
fn counted(lab: &Lab) -> [f64; 3] {
    let text = lab.get("/metrics").text().to_owned();
    [
        "webhooks_total{",
        "webhooks_uncounted_total{",
        "calls_begun_total{",
    ]
    .map(|name| {
        let series = format!("switchback_{name}");
        let own = text.lines().filter(|line| line.starts_with(&series));
        own.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    })
}

#[test]
fn an_event_delivered_twice_is_passed_on_twice_and_counts_once() {
    let lab = Lab::started(|file| file.protocol = "telnyx-call-control");
    let mut sent = Vec::new();
    for (id, attempt, expected) in [
        ("e-1", 1, [1.0, 0.0, 1.0]),
        ("e-1", 2, [1.0, 1.0, 1.0]),
        ("e-1", 3, [1.0, 2.0, 1.0]),
        ("e-2", 1, [2.0, 2.0, 2.0]),
    ] {
        let body = event(id, attempt);
        let json = ("content-type", "application/json");
        let answer = http::ask(lab.webhooks(), "POST", "/ivr", &[json], &body).unwrap();
        assert_eq!(
            (answer.status(), answer.side()),
            (200, "new"),
            "{id} {attempt}"
        );
        sent.push(body.into_bytes());
        lab.until("it is counted", || counted(&lab) == expected);
    }
    let got: Vec<_> = lab.new.book().into_iter().map(|it| it.body).collect();
    assert_eq!(got, sent, "each delivery, as it came");
    assert_eq!(lab.status()["backends"]["new"]["calls_active"], 2);
}

#[test]
fn a_signature_that_was_there_before_counts_once_and_a_provider_s_retry_twice() {
    let key = TelnyxKey::new(5);
    let verify = format!(
        "verify = {{ mode = \"required\", public_keys = [\"{}\"] }}",
        key.public()
    );
    let lab = Lab::started(|file| file.route = verify.leak());
    let body = form(NEAR, "v3:again", "&CallStatus=ringing");
    let first = key.sign(&body);
    // A retry is signed anew, with a time of its own.
    let mut retry = key.sign(&body);
    lab.until("a second has gone by", || {
        retry = key.sign(&body);
        retry[0].1 != first[0].1
    });
    for (signed, expected) in [
        (&first, [1.0, 0.0, 1.0]),
        (&first, [1.0, 1.0, 1.0]),
        (&retry, [2.0, 1.0, 1.0]),
        (&first, [2.0, 2.0, 1.0]),
    ] {
        let [time, signature] = signed.each_ref().map(|(name, value)| (*name, &**value));
        let headers = [FORM, time, signature];
        let answer = http::ask(lab.webhooks(), "POST", "/ivr/welcome", &headers, &body);
        assert_eq!(answer.unwrap().side(), "new");
        lab.until("it is counted", || counted(&lab) == expected);
    }
    let replayed = "switchback_signatures_total{route=\"/ivr\",result=\"replayed\"}";
    assert_eq!(lab.metric(replayed), Some(2.0));
    assert_eq!(lab.new.times("v3:again"), 4);
}
