//! Clients and backends that take their time, and clients that come in numbers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use switchback::measure::{Cause, Outcome};
use switchback::proxy::pulse::Mishap;

use super::backend::{SOUND, backend, nobody, recorder};
use super::http::{converse, form, post, read_all, read_request, status, webhook};
use super::lab::Edge;

/// A body too long to be sent together with its head, and longer than sockets hold.
const LONG: usize = 7 << 20;

/// A webhook with a long body.
fn long_webhook() -> String {
    let body = form("CA1", "t") + "&x=" + &"y".repeat(LONG);
    post("/ivr", &body, "Connection: close\r\n")
}

/// Reads a head and nothing behind it.
fn read_head(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        seen.extend_from_slice(&byte);
    }
}

/// Looks for half a second whether there is an answer.
fn is_answered(stream: &TcpStream) -> bool {
    let timeout = |span| stream.set_read_timeout(Some(span)).unwrap();
    timeout(Duration::from_millis(500));
    let answered = stream.peek(&mut [0]).is_ok();
    timeout(Duration::from_secs(10));
    answered
}

#[test]
fn a_body_that_trickles_is_408_long_before_its_time_is_over_and_a_steady_one_is_not() {
    let (new, _) = recorder(SOUND);
    let edge = Edge::with(new, new, |settings| {
        settings.limits.body_timeout = Duration::from_secs(60);
    });
    let send = |mut stream: TcpStream, bytes: usize| {
        let body = form("CA1", "t") + "&x=" + &"y".repeat(20_000);
        let request = post("/ivr", &body, "Connection: close\r\n");
        let (head, body) = request.split_at(request.len() - body.len());
        stream.write_all(head.as_bytes()).unwrap();
        for piece in body.as_bytes().chunks(bytes) {
            // It would go on for minutes, if it were let.
            if stream.write_all(piece).is_err() || is_answered(&stream) {
                break;
            }
        }
        status(&read_all(&mut stream))
    };
    // A hundred bytes a second, and three thousand.
    let (slow, good) = (edge.connect(), edge.connect());
    let trickling = thread::spawn(move || send(slow, 50));
    let steady = thread::spawn(move || send(good, 1500));
    assert_eq!(trickling.join().unwrap(), 408);
    assert_eq!(steady.join().unwrap(), 200);
    assert_eq!(edge.refusals(), [408]);
}

#[test]
fn a_backend_that_refuses_a_long_body_early_is_heard() {
    let new = backend(|mut stream, _| {
        read_head(&mut stream);
        let refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\n\r\ntoo long";
        stream.write_all(refusal.as_bytes()).unwrap();
        // It reads no more of it, and keeps the connection.
        thread::sleep(Duration::from_secs(20));
    });
    let edge = Edge::new(nobody(), new);
    let answer = edge.raw(&long_webhook());
    assert_eq!(status(&answer), 413, "{answer}");
    assert!(answer.ends_with("too long"));
    assert_eq!(edge.outcome(), Outcome::Failed(Cause::Status));
}

#[test]
fn a_connection_on_which_a_body_was_cut_short_is_not_used_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let new = backend(move |mut stream, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        read_head(&mut stream);
        let refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refusal.as_bytes()).unwrap();
        thread::sleep(Duration::from_secs(5));
    });
    let edge = Edge::new(nobody(), new);
    assert_eq!(status(&edge.raw(&long_webhook())), 413);
    // What is short is sent whole before anybody can refuse it.
    assert_eq!(edge.voice("CA1", "t"), 413);
    assert_eq!(connections.load(Ordering::Relaxed), 2);
}

#[test]
fn a_backend_that_accepts_a_long_body_early_still_gets_all_of_it() {
    let whole = Arc::new(AtomicUsize::new(0));
    let counted = whole.clone();
    let new = backend(move |mut stream, _| {
        let (some, rest) = SOUND.split_at(30);
        read_head(&mut stream);
        stream.write_all(some.as_bytes()).unwrap();
        let mut left = (form("CA1", "t") + "&x=").len() + LONG;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            left -= stream.read(&mut buffer).unwrap();
        }
        counted.fetch_add(1, Ordering::Relaxed);
        stream.write_all(rest.as_bytes()).unwrap();
    });
    let edge = Edge::new(nobody(), new);
    assert_eq!(status(&edge.raw(&long_webhook())), 200);
    assert_eq!(whole.load(Ordering::Relaxed), 1);
    assert_eq!(edge.outcome(), Outcome::Served);
}

#[test]
fn a_backend_that_never_reads_a_long_body_is_given_up_in_time() {
    let new = backend(|stream, _| {
        thread::sleep(Duration::from_secs(20));
        drop(stream);
    });
    let edge = Edge::with(nobody(), new, |settings| {
        settings.routes[0].timeout = Duration::from_millis(500);
    });
    assert_eq!(status(&edge.raw(&long_webhook())), 504);
    assert_eq!(edge.outcome(), Outcome::Failed(Cause::Timeout));
}

#[test]
fn a_backend_that_hangs_up_in_the_middle_of_a_long_body_has_failed_at_once() {
    let new = backend(|mut stream, _| read_head(&mut stream));
    let edge = Edge::new(nobody(), new);
    assert_eq!(status(&edge.raw(&long_webhook())), 502);
    assert_eq!(edge.outcome(), Outcome::Failed(Cause::Reset));
}

#[test]
fn a_source_has_so_many_connections_and_one_more_is_closed_as_it_comes() {
    let (new, _) = recorder(SOUND);
    let edge = Edge::with(new, new, |settings| {
        settings.limits.connections_per_source = 3;
    });
    let request = post("/ivr", &form("CA1", "t"), "");
    let mut held: Vec<_> = (0..3).map(|_| edge.connect()).collect();
    for stream in &held {
        converse(stream, &request);
    }
    assert_eq!(edge.raw(""), "", "closed without a word");
    assert_eq!(edge.shared.pulse.count(Mishap::Source), 1);
    drop(held.pop());
    // Its end may take a moment to be seen.
    while edge.raw(&webhook("CA1", "t")).is_empty() {
        thread::sleep(Duration::from_millis(10));
    }
    for stream in &held {
        converse(stream, &request);
    }
}

#[test]
fn a_trusted_proxy_speaks_for_many_and_has_no_such_bound() {
    let (new, _) = recorder(SOUND);
    let edge = Edge::with(new, new, |settings| {
        settings.limits.connections_per_source = 1;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let held: Vec<_> = (0..20).map(|_| edge.connect()).collect();
    for stream in &held {
        converse(stream, post("/ivr", &form("CA1", "t"), ""));
    }
    assert_eq!(edge.shared.pulse.count(Mishap::Source), 0);
}

#[test]
fn slow_clients_in_numbers_keep_no_good_one_waiting() {
    let (new, _) = recorder(SOUND);
    let edge = Edge::with(new, new, |settings| {
        settings.limits.head_timeout = Duration::from_secs(3);
    });
    let mut slow: Vec<_> = (0..300).map(|_| edge.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"POST /ivr HTTP/1.1\r\nHo").unwrap();
    }
    for _ in 0..100 {
        assert_eq!(edge.voice("CA1", "t"), 200);
    }
    for stream in &mut slow {
        assert_eq!(read_all(stream), "", "each is closed in the end");
    }
    assert_eq!(edge.voice("CA1", "t"), 200);
    edge.answered(101);
}

#[test]
fn a_drain_ends_five_hundred_requests_whole() {
    const RUNNING: usize = 500;
    let gate = Arc::new(Barrier::new(2));
    let open = gate.clone();
    let arrived = Arc::new(AtomicUsize::new(0));
    let counted = arrived.clone();
    // Together they wait for one that is the last.
    let new = backend(move |mut stream, _| {
        if read_request(&mut stream).is_some() {
            if counted.fetch_add(1, Ordering::SeqCst) + 1 == RUNNING {
                open.wait();
            }
            while counted.load(Ordering::SeqCst) < 2 * RUNNING {
                thread::sleep(Duration::from_millis(10));
            }
            stream.write_all(SOUND.as_bytes()).unwrap();
        }
    });
    let mut edge = Edge::new(nobody(), new);
    let mut running: Vec<_> = (0..RUNNING).map(|_| edge.connect()).collect();
    for (number, stream) in running.iter_mut().enumerate() {
        let request = post("/ivr", &form(&format!("CA{number}"), "t"), "");
        stream.write_all(request.as_bytes()).unwrap();
    }
    gate.wait();
    edge.drain
        .send_replace(switchback::proxy::worker::Drain::Gently);
    while TcpStream::connect_timeout(&edge.at, Duration::from_millis(100)).is_ok() {}
    arrived.store(2 * RUNNING, Ordering::SeqCst);
    for stream in &mut running {
        let answer = read_all(stream);
        assert_eq!(status(&answer), 200);
        assert!(answer.ends_with("<Response/>"), "{answer}");
    }
    edge.worker.take().unwrap().join().unwrap();
    assert_eq!(edge.answered(RUNNING).len(), RUNNING);
}

#[test]
fn a_client_that_never_reads_its_answers_does_not_keep_its_place() {
    // Together more than the sockets hold.
    const BYTES: usize = 60_000;
    let new = backend(|mut stream, _| {
        let body = "x".repeat(BYTES);
        while read_request(&mut stream).is_some() {
            let length = format!("Content-Length: {BYTES}");
            write!(stream, "HTTP/1.1 200 OK\r\n{length}\r\n\r\n{body}").unwrap();
        }
    });
    // There is room for one: the second is served only when the first was cut off.
    let edge = Edge::with(new, new, |settings| settings.limits.connections = 1);
    let mut deaf = edge.connect();
    for _ in 0..300 {
        let request = post("/ivr", &form("CA1", "t"), "");
        deaf.write_all(request.as_bytes()).unwrap();
    }
    let mut next = edge.connect();
    next.set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    next.write_all(webhook("CA2", "t").as_bytes()).unwrap();
    assert_eq!(status(&read_all(&mut next)), 200);
}

#[test]
fn a_flood_of_calls_and_tenants_is_bounded_and_a_call_in_progress_survives_it() {
    let (new, _) = recorder(SOUND);
    // Its table holds a thousand calls.
    let edge = Edge::new(new, new);
    let stream = edge.connect();
    let begin = |call: &str, tenant: &str| {
        converse(&stream, post("/ivr", &form(call, tenant), ""));
    };
    for number in 0..5000 {
        begin(&format!("CA-flood-{number}"), &format!("tenant-{number}"));
        if number % 100 == 0 {
            begin("CA-caller", "t");
        }
    }
    let table = &edge.shared.table;
    assert!(table.len() <= 1000, "{}", table.len());
    assert!(table.evictions() >= 4000);
    assert!(table.find("CA-caller").is_some(), "it was heard of lately");
    assert_eq!(edge.answered(5050).len(), 5050, "and all were answered");
}
