//! Which backend a call meets, and what is told of it.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use switchback::measure::Outcome;
use switchback::model::{Percentage, Protocol};
use switchback::split::Split;

use super::backend::{SOUND, nobody, recorder};
use super::http::{read_request, status, webhook};
use super::lab::{Edge, split};

#[test]
fn a_call_meets_one_backend_and_its_answer_passes_unchanged() {
    let (legacy, at_legacy) = recorder(SOUND);
    let (new, at_new) = recorder(SOUND);
    let edge = Edge::new(legacy, new);
    let answer = edge.raw(&webhook("CA1", "%2B15550001"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n<Response/>"), "{answer}");
    for _ in 0..3 {
        assert_eq!(edge.voice("CA1", "%2B15550001"), 200);
    }
    assert_eq!(edge.voice("CA2", "legacy-only"), 200);
    assert_eq!(at_new.lock().unwrap().len(), 4);
    assert_eq!(at_legacy.lock().unwrap().len(), 1);
    assert!(
        edge.answered(5)
            .iter()
            .all(|answered| answered.outcome == Outcome::Served)
    );
    let placed = edge.placed();
    assert_eq!(placed.len(), 5);
    assert_eq!(placed.iter().filter(|placed| placed.begins).count(), 2);
    assert_eq!(placed.iter().filter(|placed| placed.starts).count(), 2);
}

#[test]
fn after_a_latch_no_new_call_reaches_new_and_running_ones_stay() {
    let (legacy, at_legacy) = recorder(SOUND);
    let (new, at_new) = recorder(SOUND);
    let edge = Edge::new(legacy, new);
    assert_eq!(edge.voice("CA1", "t"), 200);
    edge.latch();
    assert_eq!(edge.voice("CA1", "t"), 200);
    assert_eq!(edge.voice("CA2", "t"), 200);
    assert_eq!(at_new.lock().unwrap().len(), 2, "the running call stays");
    assert_eq!(
        at_legacy.lock().unwrap().len(),
        1,
        "the new one does not go"
    );
    edge.answered(3);
    assert!(edge.placed().iter().all(|placed| !placed.after_latch));
}

#[test]
fn what_names_no_call_goes_to_legacy_and_begins_nothing() {
    let (legacy, at_legacy) = recorder(SOUND);
    let edge = Edge::new(legacy, nobody());
    let answer = edge.raw("GET /ivr?x=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&answer), 200);
    assert_eq!(at_legacy.lock().unwrap().len(), 1);
    assert!(edge.answered(1)[0].voice.is_none());
    assert!(edge.placed().iter().all(|placed| !placed.begins));
}

// Found in a review: a provider's second delivery of an event was only looked at, so a
// call whose first delivery never left was not known to have started, and moved when
// the percentage did.
#[test]
fn a_call_that_begins_with_a_second_delivery_has_begun() {
    let (legacy, at_legacy) = recorder(SOUND);
    let new = nobody();
    let edge = Edge::with(legacy, new, |settings| {
        settings.routes[0].protocol = Protocol::TelnyxCallControl;
    });
    let event = |kind: &str, id: &str, more: &str| {
        let body = format!(
            r#"{{"data":{{"record_type":"event","event_type":"{kind}","id":"{id}","payload":{{"call_session_id":"s-1","call_control_id":"v3:c-1","to":"+15550001","direction":"incoming"{more}}}}}}}"#
        );
        let request = format!(
            "POST /ivr HTTP/1.1\r\nHost: v\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        status(&edge.raw(&request))
    };
    let parked = r#","state":"parked""#;
    assert_eq!(event("call.initiated", "evt-1", parked), 502, "not there");
    let socket = TcpListener::bind(new).unwrap();
    let served = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = socket.accept().unwrap();
            read_request(&mut stream).unwrap();
            let closing = SOUND.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
            stream.write_all(closing.as_bytes()).unwrap();
        }
    });
    assert_eq!(event("call.initiated", "evt-1", parked), 200, "tried again");
    edge.publish(Split {
        percentage: Percentage::new(0.0).unwrap(),
        ..split(edge.generation() + 1, false)
    });
    let gathered = r#","status":"valid","digits":"1""#;
    assert_eq!(event("call.gather.ended", "evt-2", gathered), 200);
    assert!(
        at_legacy.lock().unwrap().is_empty(),
        "it stays where it began"
    );
    served.join().unwrap();
    let answered = edge.answered(3);
    assert_eq!(answered.iter().filter(|it| it.counts).count(), 2);
    assert!(answered[1].voice.is_none(), "told before");
}
