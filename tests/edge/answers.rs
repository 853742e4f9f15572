//! Requests and answers pass as they were sent, however they are framed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use switchback::measure::{Cause, Outcome};

use super::backend::{SOUND, after_request, backend, nobody, recorder};
use super::http::{converse, find, form, post, read_all, read_request, status, webhook};
use super::lab::Edge;

#[test]
fn answers_may_be_chunked_interim_or_end_with_the_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<Resp\r\n6\r\nonse/>\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\n<Response/>",
        "HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n<Response/>",
    ] {
        let new = after_request(move |mut stream, _| {
            for piece in answer.as_bytes().chunks(7) {
                stream.write_all(piece).unwrap();
                stream.flush().unwrap();
            }
        });
        let edge = Edge::new(nobody(), new);
        let got = edge.raw(&webhook("CA1", "t"));
        assert!(
            got.ends_with("\r\n\r\n<Response/>"),
            "{answer:?} gave {got:?}"
        );
        assert!(!got.to_lowercase().contains("transfer-encoding"), "{got:?}");
        assert_eq!(edge.outcome(), Outcome::Served);
    }
}

#[test]
fn a_long_answer_streams_through_whole_and_is_no_document() {
    const LENGTH: usize = 300_000;
    for head in [
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {LENGTH}\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        let new = after_request(move |mut stream, _| {
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&[b'x'; LENGTH]).unwrap();
        });
        let edge = Edge::new(nobody(), new);
        // Without `Connection: close`, an answer of unknown length is chunked.
        let got = edge.raw(&webhook("CA1", "t"));
        assert_eq!(
            got.matches('x').count() - got.split_once("\r\n\r\n").unwrap().0.matches('x').count(),
            LENGTH
        );
        assert_eq!(edge.outcome(), Outcome::Failed(Cause::Document));
    }
}

#[test]
fn a_head_request_has_no_body_and_the_connection_goes_on() {
    let new = backend(|mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            let head = SOUND.trim_end_matches("<Response/>");
            let answer = if request.starts_with(b"HEAD") {
                head
            } else {
                SOUND
            };
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let edge = Edge::new(new, new);
    let mut stream = edge.connect();
    let target = format!("/ivr?{}", form("CA1", "t"));
    write!(stream, "HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let both = read_all(&mut stream);
    assert_eq!(both.matches("HTTP/1.1 200 OK").count(), 2, "{both}");
    assert_eq!(both.matches("content-length: 11").count(), 2, "{both}");
    assert_eq!(both.matches("<Response/>").count(), 1, "{both}");
}

#[test]
fn old_clients_and_pipelined_requests_are_served() {
    let (new, at_new) = recorder(SOUND);
    let edge = Edge::new(new, new);
    let old = edge.raw(&format!("GET /ivr?{} HTTP/1.0\r\n\r\n", form("CA1", "t")));
    assert_eq!(status(&old), 200);
    let two = post("/ivr/1", &form("CA1", "t"), "")
        + &post("/ivr/2", &form("CA1", "t"), "Connection: close\r\n");
    assert_eq!(edge.raw(&two).matches("<Response/>").count(), 2);
    let received = at_new.lock().unwrap();
    let paths: Vec<_> = received
        .iter()
        .map(|request| request.split(|&byte| byte == b' ').nth(1).unwrap())
        .collect();
    assert_eq!(paths[1..], [&b"/ivr/1"[..], &b"/ivr/2"[..]]);
}

#[test]
fn expect_100_continue_is_answered_by_us_and_not_relayed() {
    let (legacy, at_legacy) = recorder(SOUND);
    let edge = Edge::new(legacy, legacy);
    let mut stream = edge.connect();
    let request = post(
        "/ivr",
        "CallSid=CA1",
        "Expect: 100-continue\r\nConnection: close\r\n",
    );
    let (head, body) = request.split_at(request.len() - 11);
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(status(&read_all(&mut stream)), 200);
    let received = at_legacy.lock().unwrap();
    assert!(find(&received[0].to_ascii_lowercase(), b"expect").is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn target_and_body_arrive_byte_for_byte(
        path in "(/[A-Za-z0-9_~!$&'()*+,;=:@%-]{0,12}){0,3}",
        query in "(\\?[A-Za-z0-9._~!$&'()*+,;=:@/?%-]{0,40})?",
        body in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        thread_local! {
            static WORLD: (Edge, Arc<Mutex<Vec<Vec<u8>>>>, TcpStream) = {
                let (at, record) = recorder(SOUND);
                let edge = Edge::new(at, at);
                let stream = edge.connect();
                (edge, record, stream)
            };
        }
        prop_assume!(!path.to_lowercase().contains("%2e"));
        let target = format!("/ivr{path}{query}");
        let received = WORLD.with(|(_, record, stream)| {
            let mut request = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            request.extend_from_slice(&body);
            converse(stream, request);
            record.lock().unwrap().pop().unwrap()
        });
        let line = format!("POST {target} HTTP/1.1\r\n");
        prop_assert!(received.starts_with(line.as_bytes()));
        prop_assert!(received.ends_with(&body));
        let head = find(&received, b"\r\n\r\n").unwrap() + 4;
        prop_assert_eq!(received.len() - head, body.len());
    }
}
