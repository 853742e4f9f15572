//! An emergency stop on the line: who calls anew hears the last resort, and nobody is
//! asked; what runs goes on.

use std::sync::Arc;

use switchback::document::last_resort::LastResort;
use switchback::measure::{Observation, RescueResult};
use switchback::model::{Backend, Protocol};
use switchback::proxy::settings::Settings;
use switchback::split::{Because, Split};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::backend::{SOUND, recorder};
use super::http::{form, post, status, webhook};
use super::lab::{Edge, split};
use super::socket::{closed, hear, robot, say, start};

const OWN: &str = "<Response><Say>Later</Say><Hangup/></Response>";

fn stop(edge: &Edge) {
    edge.publish(Split {
        stopped: true,
        ..split(edge.generation() + 1, true)
    });
}

fn says_own(settings: &mut Settings) {
    let own = LastResort::own(Protocol::Twilio, OWN).unwrap();
    settings.routes[0].rescue.last_resort = Some(Arc::new(own));
}

fn step(call: &str, field: &str) -> String {
    let body = form(call, "acme") + field;
    post("/ivr", &body, "Connection: close\r\n")
}

fn stops(edge: &Edge) -> Vec<RescueResult> {
    edge.seen(|seen| match seen {
        Observation::Rescued(rescued) => Some(rescued.result),
        _ => None,
    })
}

#[test]
fn who_calls_anew_hears_the_last_resort_at_once_and_who_talks_goes_on() {
    let (legacy, at_legacy) = recorder(SOUND);
    let (new, at_new) = recorder(SOUND);
    let edge = Edge::with(legacy, new, says_own);
    assert_eq!(edge.voice("CA-runs", "acme"), 200);
    edge.answered(1);
    stop(&edge);
    // Asked twice, as a provider asks again, it is the same.
    for _ in 0..2 {
        let answer = edge.raw(&webhook("CA-anew", "acme"));
        assert_eq!(status(&answer), 200);
        assert!(answer.ends_with(OWN), "{answer}");
    }
    let asked = || {
        (
            at_legacy.lock().unwrap().len(),
            at_new.lock().unwrap().len(),
        )
    };
    assert_eq!(asked(), (0, 1), "nobody heard of it");
    assert_eq!(stops(&edge), [RescueResult::Stopped; 2]);
    let placed = edge.placed();
    let why = |at: usize| (placed[at].placement.backend, placed[at].placement.because);
    assert_eq!(why(1), (Backend::Legacy, Because::Stopped));
    assert!(!placed[1].begins && !placed[1].starts);

    let runs = edge.raw(&step("CA-runs", "&Digits=1"));
    assert!(runs.ends_with("<Response/>"), "{runs}");
    assert_eq!(asked(), (0, 2), "it is where it was");
    // How the call ended is told as ever, and says nothing of legacy.
    let over = step(
        "CA-anew",
        "&CallbackSource=call-progress-events&CallDuration=4",
    );
    let over = over.replace("CallStatus=ringing", "CallStatus=busy&x=");
    assert_eq!(status(&edge.raw(&over)), 200);
    assert_eq!(asked(), (1, 2));
    let ends = edge.seen(|seen| match seen {
        Observation::Ended(ended) => Some(ended.counts),
        _ => None,
    });
    assert_eq!(ends, [false]);
    assert_eq!(
        edge.answered(3).len(),
        3,
        "the last resort is no answer of theirs"
    );
}

#[test]
fn a_call_that_events_told_of_first_is_stopped_too_and_begins_when_the_stop_is_over() {
    let (legacy, at_legacy) = recorder(SOUND);
    let (new, _) = recorder(SOUND);
    let edge = Edge::with(legacy, new, says_own);
    stop(&edge);
    let event = step("CA1", "&CallbackSource=call-progress-events");
    assert_eq!(status(&edge.raw(&event)), 200);
    assert_eq!(at_legacy.lock().unwrap().len(), 1, "events go on");
    assert!(edge.raw(&webhook("CA1", "acme")).ends_with(OWN));
    assert!(edge.raw(&step("CA1", "&Digits=1")).ends_with(OWN));
    assert_eq!(at_legacy.lock().unwrap().len(), 1);
    edge.publish(split(edge.generation() + 1, false));
    assert!(edge.raw(&webhook("CA1", "acme")).ends_with("<Response/>"));
    assert_eq!(at_legacy.lock().unwrap().len(), 2);
}

#[test]
fn every_protocol_says_its_own_shipped_words_where_the_route_names_none() {
    const ASSISTANT: &str = r#"{"message":{"type":"assistant-request","call":{"id":"v-1"},"phoneNumber":{"number":"+12025550171"}}}"#;
    const INITIATED: &str = r#"{"data":{"event_type":"call.initiated","id":"e-1","payload":{"call_control_id":"v3:c","call_leg_id":"l","call_session_id":"s","direction":"incoming","state":"parked","from":"+12025550171","to":"+12025550172"}}}"#;
    for (protocol, kind, body, words) in [
        (
            Protocol::Twilio,
            "application/x-www-form-urlencoded",
            &*form("CA1", "t"),
            "<Say ",
        ),
        (
            Protocol::TelnyxTexml,
            "application/x-www-form-urlencoded",
            &*form("CA1", "t"),
            "<Say ",
        ),
        (Protocol::Vapi, "application/json", ASSISTANT, "\"error\":"),
        // Its webhooks are answered by a status: nobody picks up.
        (
            Protocol::TelnyxCallControl,
            "application/json",
            INITIATED,
            "",
        ),
    ] {
        let (legacy, at_legacy) = recorder(SOUND);
        let edge = Edge::with(legacy, legacy, |settings| {
            settings.routes[0].protocol = protocol;
        });
        stop(&edge);
        let answer = edge.raw(&format!(
            "POST /ivr HTTP/1.1\r\nHost: v\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(status(&answer), 200, "{protocol:?}");
        assert!(answer.contains(words), "{protocol:?}: {answer}");
        assert_eq!(stops(&edge), [RescueResult::Stopped], "{protocol:?}");
        assert!(at_legacy.lock().unwrap().is_empty(), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_stream_of_an_unknown_call_is_refused_and_one_of_a_call_that_runs_is_not() {
    let (legacy, _) = robot("legacy").await;
    let (new, at_new) = robot("new").await;
    let edge = Edge::new(legacy, new);
    edge.begin("CA-new", "acme");
    stop(&edge);
    let (status, why) = edge.refused("/ivr/stream?CallSid=CA-nobody").await;
    assert_eq!((status, why.contains("emergency stop")), (503, true));
    let mut provider = edge.stream("/ivr/stream").await;
    say(&mut provider, &start("CA-nobody")).await;
    assert_eq!(closed(&mut provider).await, Some(CloseCode::Again));
    assert_eq!(edge.refusals(), [503, 503]);

    for target in ["/ivr/stream?CallSid=CA-new", "/ivr/stream"] {
        let mut provider = edge.stream(target).await;
        say(&mut provider, &start("CA-new")).await;
        assert!(hear(&mut provider).await.starts_with("new: "), "{target}");
    }
    assert_eq!(at_new.lock().unwrap().len(), 2);
}
