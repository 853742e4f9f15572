//! A caller never pays: what new fails, legacy answers, in the same request. Calls that are
//! under way are in `rescue/midway.rs`, breakers and caps in `rescue/gates.rs`.

mod gates;
mod midway;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use switchback::calls::rescue::Mode;
use switchback::document::last_resort::LastResort;
use switchback::measure::{CallEnd, Cause, Observation, Outcome, RescueResult, Rescued, Why};
use switchback::model::{Backend, Protocol};
use switchback::proxy::settings::{Rescue, Settings};
use switchback::split::Because;

use super::backend::{SOUND, after_request, nobody, recorder, reset};
use super::http::{form, get, post, status, webhook};
use super::lab::Edge;

const LEGACY: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 38\r\n\r\n<Response><Say>legacy</Say></Response>";
const AFTER: Duration = Duration::from_millis(200);

fn of(mode: Mode) -> Rescue {
    Rescue {
        mode,
        after: AFTER,
        entry: None,
        last_resort: Some(Arc::new(LastResort::shipped(Protocol::Twilio, None))),
    }
}

fn edge(legacy: SocketAddr, new: SocketAddr, mode: Mode) -> Edge {
    Edge::with(legacy, new, |settings| set(settings, of(mode)))
}

fn set(settings: &mut Settings, rescue: Rescue) {
    settings.routes[0].timeout = Duration::from_millis(800);
    settings.routes[0].rescue = rescue;
}

fn digits(call: &str) -> String {
    let body = form(call, "t") + "&Digits=1";
    post("/ivr", &body, "Connection: close\r\n")
}

/// Vapi asks who shall answer this call.
fn assistant_request() -> String {
    let body = r#"{"message":{"type":"assistant-request","call":{"id":"v-1"},"phoneNumber":{"number":"+12025550171"}}}"#;
    format!(
        "POST /ivr HTTP/1.1\r\nHost: v\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn says(text: &'static str) -> SocketAddr {
    after_request(move |mut stream, _| stream.write_all(text.as_bytes()).unwrap())
}

fn slow(after: Duration, text: &'static str) -> SocketAddr {
    after_request(move |mut stream, _| {
        thread::sleep(after);
        // Whoever asked may be gone.
        drop(stream.write_all(text.as_bytes()));
    })
}

fn hangs() -> SocketAddr {
    slow(Duration::from_secs(30), SOUND)
}

fn rescues(edge: &Edge) -> Vec<Rescued> {
    edge.seen(|seen| match seen {
        Observation::Rescued(rescued) => Some(*rescued),
        _ => None,
    })
}

fn ends(edge: &Edge) -> Vec<(Backend, CallEnd)> {
    edge.seen(|seen| match seen {
        Observation::Ended(ended) => Some((ended.backend, ended.end)),
        _ => None,
    })
}

fn backend_of(edge: &Edge, call: &str) -> (Backend, Because) {
    let view = edge.shared.table.find(call).unwrap();
    (view.backend, view.because)
}

#[test]
fn every_way_of_failing_is_answered_by_legacy_and_blamed_on_new() {
    const OOPS: &str =
        "HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>";
    const BROKEN: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 14\r\n\r\n<Response><Say";
    let cases = [
        (Cause::Connect, nobody()),
        (Cause::Reset, after_request(|stream, _| drop(stream))),
        (Cause::Reset, after_request(|stream, _| reset(stream))),
        (Cause::Malformed, says("SSH-2.0\r\n\r\n")),
        (Cause::Status, says(OOPS)),
        (Cause::Document, says(BROKEN)),
        (Cause::Timeout, hangs()),
    ];
    for (cause, new) in cases {
        let (legacy, received) = recorder(LEGACY);
        let edge = edge(legacy, new, Mode::Start);
        let answer = edge.raw(&webhook("CA1", "t"));
        assert_eq!(status(&answer), 200, "{cause:?}");
        assert!(
            answer.ends_with("<Response><Say>legacy</Say></Response>"),
            "{cause:?} {answer}"
        );
        let answered = edge.answered(2);
        let of = |backend| answered.iter().find(|one| one.backend == backend).unwrap();
        let (new, legacy) = (of(Backend::New), of(Backend::Legacy));
        assert_eq!(new.outcome, Outcome::Failed(cause));
        assert!(new.voice.is_some_and(|voice| voice.failed), "{cause:?}");
        assert_eq!(legacy.outcome, Outcome::Served, "{cause:?}");
        assert!(
            legacy
                .voice
                .is_some_and(|voice| !voice.failed && voice.previous.is_none())
        );
        assert_eq!(rescues(&edge)[0].result, RescueResult::Served, "{cause:?}");
        assert_eq!(ends(&edge), [(Backend::New, CallEnd::Rescued)], "{cause:?}");
        assert_eq!(
            backend_of(&edge, "CA1"),
            (Backend::Legacy, Because::Rescued)
        );
        // The same bytes, and what comes next goes there too.
        assert!(received.lock().unwrap()[0].ends_with(form("CA1", "t").as_bytes()));
        assert_eq!(status(&edge.raw(&digits("CA1"))), 200);
        assert_eq!(received.lock().unwrap().len(), 2, "{cause:?}");
    }
}

#[test]
fn an_answer_that_comes_late_is_measured_and_nobody_hears_it() {
    let (legacy, _) = recorder(LEGACY);
    let edge = edge(legacy, slow(AFTER * 2, SOUND), Mode::Start);
    assert!(edge.raw(&webhook("CA1", "t")).contains("legacy"));
    let answered = edge.answered(2);
    let new = answered
        .iter()
        .find(|one| one.backend == Backend::New)
        .unwrap();
    assert_eq!(new.outcome, Outcome::Served, "slow is not failed");
    assert!(new.latency_us.unwrap() >= 400_000);
    assert_eq!(rescues(&edge)[0].why, Why::Late);
    assert_eq!(ends(&edge), [], "new has lost no call");
    assert_eq!(backend_of(&edge, "CA1").0, Backend::Legacy);
}

#[test]
fn in_time_is_not_late() {
    let (legacy, received) = recorder(LEGACY);
    let edge = edge(legacy, slow(AFTER / 4, SOUND), Mode::Start);
    assert!(edge.raw(&webhook("CA1", "t")).ends_with("<Response/>"));
    assert_eq!(received.lock().unwrap().len(), 0);
    assert_eq!(rescues(&edge), []);
}

#[test]
fn what_new_says_late_is_used_if_legacy_fails() {
    for legacy in [nobody(), slow(AFTER * 2, "nonsense\r\n\r\n")] {
        let edge = edge(legacy, slow(AFTER * 3 / 2, SOUND), Mode::Start);
        assert!(edge.raw(&webhook("CA1", "t")).ends_with("<Response/>"));
        assert_eq!(rescues(&edge)[0].result, RescueResult::Late);
        assert_eq!(
            backend_of(&edge, "CA1").0,
            Backend::New,
            "it was not rescued after all"
        );
    }
}

#[test]
fn when_both_fail_the_caller_hears_the_last_resort() {
    let edge = edge(nobody(), nobody(), Mode::Start);
    let answer = edge.raw(&webhook("CA1", "t"));
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("<Say"), "{answer}");
    edge.answered(2);
    assert_eq!(rescues(&edge)[0].result, RescueResult::LastResort);
}

#[test]
fn without_a_last_resort_the_provider_s_own_fallback_acts() {
    let edge = Edge::with(nobody(), nobody(), |settings| {
        set(
            settings,
            Rescue {
                last_resort: None,
                ..of(Mode::Start)
            },
        );
    });
    assert_eq!(edge.voice("CA1", "t"), 502);
}

#[test]
fn legacy_s_own_callers_hear_the_last_resort_and_never_html() {
    let edge = edge(
        says(
            "HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
        ),
        nobody(),
        Mode::Start,
    );
    let answer = edge.raw(&webhook("CA1", "legacy-only"));
    assert_eq!(status(&answer), 200);
    assert!(!answer.contains("html"), "{answer}");
    assert_eq!(edge.outcome(), Outcome::Failed(Cause::Status));
}

#[test]
fn a_flaw_in_legacy_s_answer_replaces_nothing() {
    const ODD: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 14\r\n\r\n<Response><Say";
    for new in [nobody(), says(SOUND)] {
        let edge = edge(says(ODD), new, Mode::Start);
        assert!(
            edge.raw(&webhook("CA1", "legacy-only"))
                .ends_with("<Response><Say")
        );
    }
    let edge = edge(says(ODD), nobody(), Mode::Start);
    assert!(edge.raw(&webhook("CA1", "t")).ends_with("<Response><Say"));
}

#[test]
fn what_a_document_plays_is_asked_of_the_other_backend_when_it_is_not_there() {
    const NOT_THERE: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    const AUDIO: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 3\r\n\r\nmp3";
    for (legacy, new, expected) in [
        (NOT_THERE, AUDIO, 200),
        (AUDIO, NOT_THERE, 200),
        (NOT_THERE, NOT_THERE, 404),
        ("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", AUDIO, 403),
    ] {
        let edge = edge(says(legacy), says(new), Mode::Start);
        assert_eq!(
            status(&edge.raw(&get("/ivr/hello.mp3"))),
            expected,
            "{legacy} {new}"
        );
    }
}

#[test]
fn what_an_application_says_itself_is_heard_and_counts_as_a_failure() {
    const CLOSED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{\"error\":\"We are closed.\"}";
    let (legacy, asked) = recorder(LEGACY);
    let edge = Edge::with(legacy, says(CLOSED), |settings| {
        set(settings, of(Mode::Every));
        settings.routes[0].protocol = Protocol::Vapi;
    });
    assert!(edge.raw(&assistant_request()).contains("We are closed."));
    assert_eq!(asked.lock().unwrap().len(), 0);
    assert_eq!(edge.outcome(), Outcome::Failed(Cause::Document));
}

#[test]
fn an_assistant_request_is_rescued_with_legacy_s_assistant() {
    const ASSISTANT: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n{\"assistantId\":\"a-17\"}";
    let edge = Edge::with(says(ASSISTANT), nobody(), |settings| {
        set(settings, of(Mode::Start));
        settings.routes[0].protocol = Protocol::Vapi;
    });
    assert!(
        edge.raw(&assistant_request())
            .ends_with("{\"assistantId\":\"a-17\"}")
    );
    assert_eq!(rescues(&edge)[0].result, RescueResult::Served);
}
