//! Webhooks that were not served, whose fault it was, and what the provider is told.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use switchback::measure::{Cause, Outcome};
use switchback::model::Backend;

use super::backend::{SOUND, after_request, backend, nobody, recorder, reset};
use super::http::{read_request, status, webhook};
use super::lab::Edge;

#[test]
fn each_way_of_not_answering_has_its_cause_and_status() {
    type Act = Box<dyn Fn(TcpStream, usize) + Send + Sync>;
    let cases: [(Cause, u16, Act); 6] = [
        (Cause::Reset, 502, Box::new(|stream, _| drop(stream))),
        (Cause::Reset, 502, Box::new(|stream, _| reset(stream))),
        (
            Cause::Reset,
            502,
            Box::new(|mut stream, _| stream.write_all(b"HTTP/1.1 200 O").unwrap()),
        ),
        (
            Cause::Reset,
            502,
            Box::new(|mut stream, _| {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<Resp")
                    .unwrap();
            }),
        ),
        (
            Cause::Malformed,
            502,
            Box::new(|mut stream, _| stream.write_all(b"SSH-2.0\r\n\r\n").unwrap()),
        ),
        (
            Cause::Timeout,
            504,
            Box::new(|stream, _| {
                thread::sleep(Duration::from_secs(30));
                drop(stream);
            }),
        ),
    ];
    for (cause, expected, act) in cases {
        let new = after_request(act);
        let edge = Edge::with(nobody(), new, |settings| {
            settings.routes[0].timeout = Duration::from_millis(400);
        });
        assert_eq!(edge.voice("CA1", "t"), expected, "{cause:?}");
        let answered = edge.answered(1)[0];
        assert_eq!(answered.outcome, Outcome::Failed(cause));
        assert_eq!(answered.backend, Backend::New);
        assert_eq!(answered.latency_us.is_some(), cause == Cause::Timeout);
        assert!(answered.voice.is_some_and(|voice| voice.failed));
    }
}

#[test]
fn a_backend_that_is_not_there_is_a_502() {
    let edge = Edge::new(nobody(), nobody());
    assert_eq!(edge.voice("CA1", "t"), 502);
    assert_eq!(edge.outcome(), Outcome::Failed(Cause::Connect));
}

#[test]
fn a_failed_answer_passes_and_counts() {
    let (new, _) =
        recorder("HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\noops");
    let edge = Edge::new(nobody(), new);
    let answer = edge.raw(&webhook("CA1", "t"));
    assert_eq!(status(&answer), 500);
    assert!(answer.ends_with("oops"));
    assert_eq!(edge.outcome(), Outcome::Failed(Cause::Status));
}

#[test]
fn a_broken_document_passes_unchanged_and_counts() {
    let (new, _) =
        recorder("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 9\r\n\r\n<Response");
    let edge = Edge::new(nobody(), new);
    assert!(edge.raw(&webhook("CA1", "t")).ends_with("<Response"));
    assert_eq!(edge.outcome(), Outcome::Failed(Cause::Document));
}

#[test]
fn a_dead_pooled_connection_costs_nobody_anything() {
    let new = after_request(|mut stream, _| {
        stream.write_all(SOUND.as_bytes()).unwrap();
        // Closed right after the answer, without having said so.
    });
    let edge = Edge::new(nobody(), new);
    for count in 1..=20 {
        assert_eq!(edge.voice("CA1", "t"), 200, "webhook {count}");
        thread::sleep(Duration::from_millis(5));
    }
    edge.answered(20);
}

#[test]
fn a_pooled_connection_that_dies_after_the_request_is_stale_and_not_sent_again() {
    let requests = Arc::new(Mutex::new(0));
    let counted = requests.clone();
    let new = backend(move |mut stream, _| {
        if read_request(&mut stream).is_none() {
            return;
        }
        *counted.lock().unwrap() += 1;
        stream.write_all(SOUND.as_bytes()).unwrap();
        if read_request(&mut stream).is_some() {
            *counted.lock().unwrap() += 1;
        }
    });
    let edge = Edge::new(nobody(), new);
    assert_eq!(edge.voice("CA1", "t"), 200);
    assert_eq!(edge.voice("CA1", "t"), 502);
    assert_eq!(edge.answered(2)[1].outcome, Outcome::Failed(Cause::Stale));
    assert_eq!(*requests.lock().unwrap(), 2);
}

#[test]
fn a_provider_that_hangs_up_is_counted_by_how_long_it_waited() {
    for (waits, cause) in [(100, Cause::ClientGone), (1200, Cause::Abandoned)] {
        let new = after_request(|stream, _| {
            thread::sleep(Duration::from_secs(4));
            drop(stream);
        });
        let edge = Edge::new(nobody(), new);
        let mut stream = edge.connect();
        stream.write_all(webhook("CA1", "t").as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(waits));
        stream.shutdown(Shutdown::Both).unwrap();
        drop(stream);
        let answered = edge.answered(1)[0];
        assert_eq!(answered.outcome, Outcome::Failed(cause));
        assert_eq!(answered.voice.is_some(), cause == Cause::Abandoned);
    }
}
