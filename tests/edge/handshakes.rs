//! Handshakes that are not taken, and what may stand behind them on a connection.

use switchback::measure::Streamed::Refused;
use switchback::model::Backend::New;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::backend::nobody;
use super::lab::Edge;
use super::socket::{closed, robot, say, start, stubborn};

/// The headers of a sound one.
const HANDSHAKE: &str = "Host: voice.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c3dpdGNoYmFjayB0ZXN0cw==\r\n\r\n";
/// What proves that the handshake above was understood.
const ACCEPT: &str = "1xEo9GAbFFhp8tjCac9ToyMKAVI=";

#[tokio::test]
async fn a_backend_that_does_not_take_a_stream_is_heard_or_the_stream_is_closed() {
    let no = "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\nX-Why: mood\r\n\r\nnot today";
    let wrong = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
    let (refuses, _) = stubborn(no).await;
    let (lies, _) = stubborn(wrong).await;
    let (rambles, _) = stubborn("SSH-2.0-OpenSSH\r\n\r\n").await;
    let (other, _) = robot("legacy").await;
    for (new, status, body) in [
        (refuses, 403, "not today"),
        (lies, 502, ""),
        (rambles, 502, ""),
        (nobody(), 502, ""),
    ] {
        let edge = Edge::new(other, new).in_calls();
        let answer = edge.refused("/ivr/stream?CallSid=CA-new").await;
        assert_eq!(answer, (status, body.to_owned()));
        edge.accounts(&[(New, Refused)]).await;
        let mut provider = edge.stream("/ivr/stream").await;
        say(&mut provider, &start("CA-new")).await;
        assert_eq!(closed(&mut provider).await, Some(CloseCode::Error));
        edge.accounts(&[(New, Refused), (New, Refused)]).await;
        assert!(edge.refusals().is_empty(), "it was no request's fault");
    }
}

#[tokio::test]
async fn a_connection_goes_on_after_a_handshake_that_was_not_taken() {
    let (new, _) = stubborn("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let edge = Edge::new(new, new).in_calls();
    let twice = format!("GET /ivr/stream?CallSid=CA-new HTTP/1.1\r\n{HANDSHAKE}").repeat(2);
    let last = "GET /ivr?CallSid=CA-old HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = edge.raw_async(&format!("{twice}{last}")).await;
    assert_eq!(answers.matches("HTTP/1.1 403 ").count(), 3, "{answers}");
}

#[tokio::test]
async fn behind_a_handshake_that_is_not_taken_stands_another_request() {
    let (backend, heard) = stubborn("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let edge = Edge::new(backend, backend).in_calls();
    let both = format!(
        "GET /ivr/stream?CallSid=CA-new HTTP/1.1\r\n{HANDSHAKE}GET /ivr/secret?CallSid=CA-old HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    );
    let answers = edge.raw_async(&both).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
    let (_, secret) = heard.split_once("GET /ivr/secret").unwrap();
    assert!(
        secret.contains("x-forwarded-for"),
        "it came as a request of its own: {heard}"
    );
    edge.accounts(&[(New, Refused)]).await;
}

#[tokio::test]
async fn nothing_passes_that_was_sent_before_the_101() {
    let yes: &'static str = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
    .leak();
    for target in ["/ivr/stream?CallSid=CA-new", "/ivr/stream"] {
        for early in [
            "GET /ivr/secret HTTP/1.1\r\nHost: a\r\n\r\n",
            "\u{1}\u{2}",
            "\r\n",
        ] {
            let (backend, heard) = stubborn(yes).await;
            let edge = Edge::new(backend, backend).in_calls();
            let answers = edge
                .raw_async(&format!("GET {target} HTTP/1.1\r\n{HANDSHAKE}{early}"))
                .await;
            assert!(answers.starts_with("HTTP/1.1 400 "), "{early:?}: {answers}");
            assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
            let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
            assert!(!heard.contains("secret"), "{heard}");
            assert!(heard.is_empty() || heard.ends_with("\r\n\r\n"), "{heard:?}");
            assert_eq!(edge.refusals(), [400]);
            // The backend did take it, so nothing is held against it.
            edge.accounts(&[]).await;
        }
    }
}

#[tokio::test]
async fn a_frame_without_a_mask_closes_a_stream_that_is_not_placed_yet() {
    let (backend, heard) = stubborn("").await;
    let edge = Edge::new(backend, backend).in_calls();
    let mut stream = TcpStream::connect(edge.at).await.unwrap();
    let request = format!("GET /ivr/stream HTTP/1.1\r\n{HANDSHAKE}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 2048];
    let got = stream.read(&mut head).await.unwrap();
    let head = String::from_utf8_lossy(&head[..got]).into_owned();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.to_lowercase()
            .contains(&format!("sec-websocket-accept: {ACCEPT}").to_lowercase())
    );
    assert!(!head.to_lowercase().contains("content-length"), "{head}");
    stream.write_all(b"\x81\x02{}").await.unwrap();
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest).await);
    assert_eq!(rest, [0x88, 2, 3, 234], "1002");
    assert_eq!(edge.refusals(), [400]);
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_handshake_is_a_request_like_any_other() {
    let (backend, heard) = stubborn("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let edge = Edge::new(backend, backend).in_calls();
    for (wrong, right) in [
        ("Upgrade: h2c", "Upgrade: websocket"),
        ("Connection: close", "Connection: Upgrade"),
        ("Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 13"),
        (
            "Sec-WebSocket-Key: short",
            "Sec-WebSocket-Key: c3dpdGNoYmFjayB0ZXN0cw==",
        ),
    ] {
        let head = HANDSHAKE.replace(right, wrong);
        let request = format!("GET /ivr?CallSid=CA-new HTTP/1.1\r\nConnection: close\r\n{head}");
        let answer = edge.raw_async(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{wrong}: {answer}");
    }
    let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
    assert_eq!(heard.matches("GET /ivr").count(), 4);
    assert!(!heard.contains("upgrade"), "{heard}");
    edge.accounts(&[]).await;
}
