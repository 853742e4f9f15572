//! Calls that new has begun already: who is sent to legacy's entry, and who stays.

use switchback::split::Split;

use super::*;
use crate::lab::split;

#[test]
fn midway_the_caller_is_sent_to_legacy_s_entry_once() {
    let (legacy, received) = recorder(LEGACY);
    let new = after_request(|mut stream, number| {
        let text = if number == 0 {
            SOUND
        } else {
            "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
        };
        stream.write_all(text.as_bytes()).unwrap();
    });
    let edge = Edge::with(legacy, new, |settings| {
        set(
            settings,
            Rescue {
                entry: Some("/ivr/welcome".into()),
                ..of(Mode::Every)
            },
        );
    });
    assert!(edge.raw(&webhook("CA1", "t")).ends_with("<Response/>"));
    let answer = edge.raw(&digits("CA1"));
    assert!(
        answer.contains("<Redirect method=\"POST\">/ivr/welcome</Redirect>"),
        "{answer}"
    );
    assert_eq!(backend_of(&edge, "CA1"), (Backend::Legacy, Because::Moved));
    assert_eq!(
        received.lock().unwrap().len(),
        0,
        "it comes when the caller does"
    );
    assert_eq!(rescues(&edge)[0].result, RescueResult::Moved);
    assert!(
        edge.raw(&digits("CA1")).contains("legacy"),
        "from now on like any other"
    );
}

#[test]
fn midway_without_the_route_s_word_nobody_else_is_asked() {
    let (legacy, received) = recorder(LEGACY);
    let new = after_request(|mut stream, number| {
        if number == 0 {
            stream.write_all(SOUND.as_bytes()).unwrap();
        }
    });
    let edge = edge(legacy, new, Mode::Start);
    edge.voice("CA1", "t");
    assert!(edge.raw(&digits("CA1")).contains("<Say"));
    assert_eq!(received.lock().unwrap().len(), 0);
    assert_eq!(backend_of(&edge, "CA1").0, Backend::New);
}

#[test]
fn a_leg_s_whisper_gets_silence_and_an_event_its_failure() {
    let (legacy, _) = recorder(LEGACY);
    let edge = edge(legacy, nobody(), Mode::Every);
    edge.begin("CA1", "t");
    let leg = form("CA2", "t") + "&ParentCallSid=CA1";
    let answer = edge.raw(&post("/ivr", &leg, "Connection: close\r\n"));
    assert!(answer.contains("<Response></Response>"), "{answer}");
    let event = form("CA1", "t") + "&CallbackSource=call-progress-events";
    let answer = edge.raw(&post("/ivr", &event, "Connection: close\r\n"));
    assert_eq!(status(&answer), 502, "the provider may deliver it again");
}

#[test]
fn a_live_call_is_moved_when_the_step_back_says_so() {
    for (moves_live, entry, moved) in [
        (true, Some("/ivr/welcome"), true),
        (false, Some("/ivr/welcome"), false),
        (true, None, false),
    ] {
        let (legacy, _) = recorder(LEGACY);
        let (new, _) = recorder(SOUND);
        let edge = Edge::with(legacy, new, |settings| {
            set(
                settings,
                Rescue {
                    entry: entry.map(Into::into),
                    ..of(Mode::Start)
                },
            );
        });
        edge.voice("CA1", "t");
        let generation = edge.generation() + 1;
        edge.publish(Split {
            moves_live,
            ..split(generation, true)
        });
        let leg = form("CA2", "t") + "&ParentCallSid=CA1";
        let leg = edge.raw(&post("/ivr", &leg, "Connection: close\r\n"));
        assert!(
            leg.ends_with("<Response/>"),
            "whoever is being connected hears nothing of it"
        );
        let answer = edge.raw(&digits("CA1"));
        assert_eq!(answer.contains("<Redirect"), moved, "{answer}");
        assert_eq!(backend_of(&edge, "CA1").0 == Backend::Legacy, moved);
        assert!(
            !edge.raw(&digits("CA1")).contains("<Redirect"),
            "once a call"
        );
    }
}
