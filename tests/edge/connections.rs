//! Connections of providers: idle, parked without their buffers, and drained.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use switchback::proxy::worker::Drain;

use super::backend::{SOUND, after_request, backend, nobody, recorder, reset};
use super::http::{converse, form, post, read_all, read_request, status, webhook};
use super::lab::Edge;

/// Longer than a quiet connection keeps its buffers.
const PARKED: Duration = Duration::from_millis(2200);

#[test]
fn slow_heads_and_idle_connections_are_closed() {
    let edge = Edge::with(nobody(), nobody(), |settings| {
        settings.limits.head_timeout = Duration::from_millis(150);
        settings.limits.idle_timeout = Duration::from_millis(150);
    });
    for sent in ["", "GET /ivr HTTP/1.1\r\nHost:"] {
        assert_eq!(edge.raw(sent), "", "{sent:?}");
    }
}

#[test]
fn a_parked_connection_answers_again_and_again() {
    let (new, _) = recorder(SOUND);
    let edge = Edge::new(new, new);
    let mut stream = edge.connect();
    // The last one: an empty line after a body is legal, and nobody's request.
    for after in ["", "", "", "\r\n"] {
        let request = post("/ivr", &form("CA1", "t"), "") + after;
        converse(&stream, &request);
        thread::sleep(PARKED);
    }
    // In two pieces, and two at once.
    let request = post("/ivr", &form("CA1", "t"), "");
    let (head, rest) = request.split_at(30);
    stream.write_all(head.as_bytes()).unwrap();
    thread::sleep(PARKED);
    converse(&stream, rest);
    thread::sleep(PARKED);
    let two = request + &post("/ivr", &form("CA1", "t"), "Connection: close\r\n");
    stream.write_all(two.as_bytes()).unwrap();
    assert_eq!(read_all(&mut stream).matches("<Response/>").count(), 2);
    edge.answered(7);
}

#[test]
fn in_a_crowd_connections_are_parked_at_once_and_answer_all_the_same() {
    // More than may keep their buffers while they are quiet.
    const CROWD: usize = 300;
    let (new, _) = recorder(SOUND);
    let edge = Edge::new(new, new);
    let mut crowd: Vec<_> = (0..CROWD).map(|_| edge.connect()).collect();
    let request = post("/ivr", &form("CA1", "t"), "");
    for stream in &crowd {
        for _ in 0..3 {
            converse(stream, &request);
        }
    }
    // Many at once: more than hyper answers in one poll.
    let last = crowd.last_mut().unwrap();
    last.write_all(request.repeat(50).as_bytes()).unwrap();
    last.write_all(webhook("CA1", "t").as_bytes()).unwrap();
    assert_eq!(read_all(last).matches("<Response/>").count(), 51);
}

#[test]
fn what_is_refused_is_refused_after_parking_too() {
    let (new, _) = recorder(SOUND);
    let edge = Edge::new(new, new);
    let mut stream = edge.connect();
    converse(&stream, post("/ivr", &form("CA1", "t"), ""));
    thread::sleep(PARKED);
    stream
        .write_all(b"GET /ivr HTTP/1.1\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(status(&read_all(&mut stream)), 400);
}

#[test]
fn a_slow_answer_is_not_parked_away() {
    let new = after_request(|mut stream, _| {
        thread::sleep(PARKED);
        let (some, rest) = SOUND.split_at(30);
        stream.write_all(some.as_bytes()).unwrap();
        thread::sleep(PARKED);
        stream.write_all(rest.as_bytes()).unwrap();
    });
    let edge = Edge::new(new, new);
    converse(&edge.connect(), post("/ivr", &form("CA1", "t"), ""));
}

#[test]
fn a_long_answer_that_pauses_is_not_parked_away() {
    const HALF: usize = 400_000;
    let new = after_request(|mut stream, _| {
        let half = "x".repeat(HALF);
        let length = 2 * HALF;
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{half}"
        )
        .unwrap();
        thread::sleep(PARKED);
        stream.write_all(half.as_bytes()).unwrap();
    });
    let edge = Edge::new(new, new);
    let all = edge.raw(&webhook("CA1", "t"));
    assert_eq!(all.matches('x').count(), 2 * HALF);
}

#[test]
fn a_client_that_reads_late_still_gets_its_whole_answer() {
    // Together more than the sockets hold, each less than is called long.
    const BYTES: usize = 60_000;
    const COUNT: usize = 250;
    let new = backend(|mut stream, _| {
        let body = "x".repeat(BYTES);
        while read_request(&mut stream).is_some() {
            let length = format!("Content-Length: {BYTES}");
            write!(stream, "HTTP/1.1 200 OK\r\n{length}\r\n\r\n{body}").unwrap();
        }
    });
    let edge = Edge::new(new, new);
    let mut stream = edge.connect();
    for _ in 1..COUNT {
        stream
            .write_all(post("/ivr", &form("CA1", "t"), "").as_bytes())
            .unwrap();
    }
    stream.write_all(webhook("CA1", "t").as_bytes()).unwrap();
    thread::sleep(PARKED);
    assert_eq!(read_all(&mut stream).matches('x').count(), COUNT * BYTES);
}

#[test]
fn a_parked_connection_is_closed_when_it_has_been_idle_too_long() {
    let (new, _) = recorder(SOUND);
    let edge = Edge::with(new, new, |settings| {
        settings.limits.idle_timeout = PARKED;
    });
    let mut stream = edge.connect();
    converse(&stream, post("/ivr", &form("CA1", "t"), ""));
    assert_eq!(read_all(&mut stream), "", "closed without a word");
}

#[test]
fn a_client_that_hangs_up_while_parked_is_let_go() {
    let (new, _) = recorder(SOUND);
    // There is room for one: the second is served only if the first has gone.
    let edge = Edge::with(new, new, |settings| settings.limits.connections = 1);
    for gone in [drop, reset] {
        let stream = edge.connect();
        converse(&stream, post("/ivr", &form("CA1", "t"), ""));
        thread::sleep(PARKED);
        gone(stream);
    }
    assert_eq!(edge.voice("CA1", "t"), 200);
}

#[test]
fn draining_closes_parked_connections() {
    let (new, _) = recorder(SOUND);
    let mut edge = Edge::new(new, new);
    let mut never = edge.connect();
    let mut parked = edge.connect();
    converse(&parked, post("/ivr", &form("CA1", "t"), ""));
    thread::sleep(PARKED);
    edge.drain.send(Drain::Gently).unwrap();
    for stream in [&mut never, &mut parked] {
        assert_eq!(read_all(stream), "");
    }
    edge.worker.take().unwrap().join().unwrap();
}

#[test]
fn draining_finishes_what_runs_and_closes_what_is_idle() {
    let new = after_request(|mut stream, _| {
        thread::sleep(Duration::from_millis(600));
        stream.write_all(SOUND.as_bytes()).unwrap();
    });
    let mut edge = Edge::new(nobody(), new);
    let mut idle = edge.connect();
    let mut running = edge.connect();
    running
        .write_all(post("/ivr", &form("CA1", "t"), "").as_bytes())
        .unwrap();
    thread::sleep(Duration::from_millis(100));
    edge.drain.send(Drain::Gently).unwrap();
    assert_eq!(read_all(&mut idle), "");
    let answer = read_all(&mut running);
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("connection: close"), "{answer}");
    edge.worker.take().unwrap().join().unwrap();
    assert!(TcpStream::connect(edge.at).is_err(), "the port is closed");
    edge.answered(1);
}
