//! HTTP as the provider and the backends speak it, byte for byte.

use std::io::{Read, Write};
use std::net::TcpStream;

/// A voice webhook after which the connection closes.
pub(crate) fn webhook(call: &str, to: &str) -> String {
    post("/ivr", &form(call, to), "Connection: close\r\n")
}

pub(crate) fn form(call: &str, to: &str) -> String {
    format!(
        "CallSid={call}&AccountSid=AC1&To={to}&From=%2B15550002&CallStatus=ringing&Direction=inbound"
    )
}

pub(crate) fn post(target: &str, body: &str, more: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: voice.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n{more}\r\n{body}",
        body.len()
    )
}

pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: voice.example.com\r\nConnection: close\r\n\r\n")
}

pub(crate) fn status(answer: &str) -> u16 {
    answer
        .get(9..12)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// Sends a webhook on a connection that stays, and reads its answer.
pub(crate) fn converse(mut stream: &TcpStream, request: impl AsRef<[u8]>) {
    stream.write_all(request.as_ref()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"<Response/>") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        assert!(
            read > 0,
            "closed after {}",
            String::from_utf8_lossy(&answer)
        );
        answer.extend_from_slice(&piece[..read]);
    }
    assert_eq!(status(&String::from_utf8(answer).unwrap()), 200);
}

pub(crate) fn read_all(stream: &mut impl Read) -> String {
    let mut all = Vec::new();
    // A reset after the answer is an end too.
    drop(stream.read_to_end(&mut all));
    String::from_utf8_lossy(&all).into_owned()
}

/// One request with a Content-Length body (or none); None when the peer closed.
pub(crate) fn read_request(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 65536];
    loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(bytes);
            }
        }
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
