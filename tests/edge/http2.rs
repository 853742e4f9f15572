//! Webhooks over HTTP/2, with hyper's own client.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{Stream, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use switchback::clock;
use switchback::measure::Outcome;
use switchback::proxy::tls::Inward;
use switchback::proxy::worker::Drain;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::backend::{SOUND, after_request, recorder};
use super::certificates::Authority;
use super::http::{form, status};
use super::lab::Edge;

const HOST: &str = "voice.example.com";

type Sent = BoxBody<Bytes, Infallible>;

/// One that offers HTTP/2, and who vouches for it.
fn edge(
    new: SocketAddr,
    change: impl FnOnce(&mut switchback::proxy::settings::Limits),
) -> (Edge, Authority) {
    let ca = Authority::new();
    let files = ca.issue("a", &[HOST]);
    let edge = Edge::with(new, new, |settings| {
        settings.tls = Some(Arc::new(Inward::open(vec![files], true).unwrap()));
        change(&mut settings.limits);
    });
    (edge, ca)
}

/// A client that has agreed upon HTTP/2; its connection runs by itself.
async fn connect(
    edge: &Edge,
    ca: &Authority,
) -> (
    SendRequest<Sent>,
    tokio::task::JoinHandle<hyper::Result<()>>,
) {
    let mut config = ca.client(rustls::DEFAULT_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(edge.at).await.unwrap();
    let name = HOST.to_owned().try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    (client, tokio::spawn(connection))
}

fn post(call: &str) -> http::request::Builder {
    Request::builder()
        .method(Method::POST)
        .uri(format!("https://{HOST}/ivr?from={call}"))
        .header("content-type", "application/x-www-form-urlencoded")
}

/// A body that does not say how long it is.
fn unannounced(
    pieces: impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync + 'static,
) -> Sent {
    BoxBody::new(StreamBody::new(pieces))
}

fn voice(call: &str) -> Request<Sent> {
    let body = Full::new(Bytes::from(form(call, "t"))).boxed();
    post(call).body(body).unwrap()
}

#[tokio::test]
async fn a_webhook_over_http_2_reaches_the_backend_as_http_1() {
    let (new, heard) = recorder(SOUND);
    let (edge, ca) = edge(new, |_| {});
    let (mut client, _connection) = connect(&edge, &ca).await;
    let request = post("CA1")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Full::new(Bytes::from(form("CA1", "t"))).boxed())
        .unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "<Response/>");
    let heard = heard.lock().unwrap();
    let head = String::from_utf8_lossy(&heard[0]).to_lowercase();
    assert!(
        head.starts_with("post /ivr?from=ca1 http/1.1\r\n"),
        "{head}"
    );
    for line in [
        "host: voice.example.com",
        "x-forwarded-proto: https",
        "cookie: a=1; b=2",
    ] {
        assert_eq!(
            head.matches(&format!("\r\n{line}\r\n")).count(),
            1,
            "{line}: {head}"
        );
    }
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(edge.outcome(), Outcome::Served);
}

#[tokio::test]
async fn many_at_once_on_one_connection_are_all_answered() {
    let (new, _) = recorder(SOUND);
    let (edge, ca) = edge(new, |_| {});
    let (client, _connection) = connect(&edge, &ca).await;
    let all = (0..300).map(|number| {
        let mut client = client.clone();
        async move {
            client.ready().await.unwrap();
            let answer = client
                .send_request(voice(&format!("CA{number}")))
                .await
                .unwrap();
            let status = answer.status();
            drop(answer.into_body().collect().await.unwrap());
            status
        }
    });
    let all = join_all(all).await;
    assert!(
        all.iter().all(|status| *status == StatusCode::OK),
        "{all:?}"
    );
    edge.answered(300);
}

#[tokio::test]
async fn a_long_answer_passes_through_windows() {
    const BYTES: usize = 2_000_000;
    let new = after_request(|mut stream, _| {
        let body = "x".repeat(BYTES);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let (edge, ca) = edge(new, |_| {});
    let (mut client, _connection) = connect(&edge, &ca).await;
    let answer = client.send_request(voice("CA1")).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), BYTES);
}

#[tokio::test]
async fn what_http_1_may_not_http_2_may_not() {
    let (new, heard) = recorder(SOUND);
    let (edge, ca) = edge(new, |limits| limits.body = 1000);
    let (mut client, _connection) = connect(&edge, &ca).await;
    let with = |method: Method, uri: &str, host: Option<&str>, body: &'static str| {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        request
            .body(Full::new(Bytes::from_static(body.as_bytes())).boxed())
            .unwrap()
    };
    let url = "https://voice.example.com/ivr";
    let mut get_with_body = with(Method::GET, url, None, "");
    let piece = Frame::data(Bytes::from_static(b"x"));
    *get_with_body.body_mut() = unannounced(stream::iter([Ok(piece)]));
    let long: &'static str = Box::leak("x".repeat(2000).into_boxed_str());
    for (request, status) in [
        (with(Method::POST, url, Some("else.example.com"), ""), 400),
        (with(Method::GET, url, None, "body"), 400),
        (get_with_body, 400),
        (with(Method::TRACE, url, None, ""), 405),
        (
            with(Method::GET, "https://voice.example.com/ivr/../x", None, ""),
            400,
        ),
        (
            with(Method::GET, "https://voice.example.com/none", None, ""),
            404,
        ),
        (with(Method::POST, url, None, long), 413),
    ] {
        let what = format!("{request:?}");
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{what}");
    }
    assert!(heard.lock().unwrap().is_empty());
    edge.answered(0);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let (new, _) = recorder(SOUND);
    let (edge, ca) = edge(new, |limits| {
        limits.body_timeout = Duration::from_millis(200)
    });
    let (mut client, _connection) = connect(&edge, &ca).await;
    let request = post("CA1").body(unannounced(stream::pending())).unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    // The others go on.
    let answer = client.send_request(voice("CA1")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_connection_that_does_nothing_is_closed() {
    let (new, _) = recorder(SOUND);
    let (edge, ca) = edge(new, |limits| {
        limits.idle_timeout = Duration::from_millis(200)
    });
    let (_client, connection) = connect(&edge, &ca).await;
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_takes_nothing_more() {
    let new = after_request(|mut stream, _| {
        std::thread::sleep(Duration::from_millis(800));
        stream.write_all(SOUND.as_bytes()).unwrap();
    });
    let (edge, ca) = edge(new, |_| {});
    let (client, connection) = connect(&edge, &ca).await;
    let mut runs = client.clone();
    let running = tokio::spawn(async move { runs.send_request(voice("CA1")).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    edge.drain.send_replace(Drain::Gently);
    let answer = running.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    drop(answer.into_body().collect().await.unwrap());
    connection.await.unwrap().unwrap();
    edge.ended().await;
}

#[test]
fn who_does_not_choose_it_speaks_http_1() {
    let (new, _) = recorder(SOUND);
    let (edge, ca) = edge(new, |_| {});
    let answer = ca.raw(edge.at, HOST, &super::http::webhook("CA1", "t"));
    assert_eq!(status(&answer), 200);
}

/// A frame (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A client that writes its frames itself, with these settings.
fn raw(edge: &Edge, ca: &Authority, settings: &[u8]) -> super::certificates::Client {
    let mut config = ca.client(rustls::DEFAULT_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut stream = super::certificates::connect(Arc::new(config), edge.at, HOST).unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let hello = [&preface[..], &frame(SETTINGS, 0, 0, settings)].concat();
    stream.write_all(&hello).unwrap();
    stream
}

/// The head of a webhook whose call is named in its query.
fn head() -> Vec<u8> {
    // `:method GET` and `:scheme https` stand in the table; the names of the others do.
    let mut block = vec![0x82, 0x87];
    for (name, value) in [(0x04, "/ivr?CallSid=CA1&To=t"), (0x01, HOST)] {
        block.extend([name, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    block
}

/// Everything until the other end has had enough.
fn rest(mut stream: super::certificates::Client) -> Vec<u8> {
    let mut all = Vec::new();
    drop(stream.read_to_end(&mut all));
    all
}

/// Is one who behaves still served?
fn serves_others(edge: &Edge, ca: &Authority) {
    let answer = ca.raw(edge.at, HOST, &super::http::webhook("CA9", "t"));
    assert_eq!(status(&answer), 200);
}

#[test]
fn who_takes_back_a_flood_of_requests_is_cut_off() {
    const FLOOD: u32 = 20_000;
    let (new, heard) = recorder(SOUND);
    let (edge, ca) = edge(new, |_| {});
    let mut stream = raw(&edge, &ca, b"");
    let mut sent = 0;
    while sent < FLOOD {
        let mut burst = Vec::new();
        for _ in 0..100 {
            let id = 2 * sent + 1;
            burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, id, &head()));
            burst.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
            sent += 1;
        }
        if stream.write_all(&burst).is_err() {
            break;
        }
    }
    assert!(sent < FLOOD, "nobody cut it off");
    serves_others(&edge, &ca);
    let heard = heard.lock().unwrap().len();
    assert!(heard < 200, "{heard} requests reached the backend");
}

#[test]
fn a_head_that_unfolds_without_end_is_refused() {
    let (new, heard) = recorder(SOUND);
    let (edge, ca) = edge(new, |_| {});
    let mut stream = raw(&edge, &ca, b"");
    // One field enters the table, and then each byte is that field again.
    let mut block = head();
    block.extend([0x40, 1, b'a', 1, b'b']);
    let first = frame(HEADERS, END_STREAM, 1, &block);
    drop(stream.write_all(&first));
    let again = frame(CONTINUATION, 0, 1, &[0xbe; 16_000]);
    for _ in 0..200 {
        if stream.write_all(&again).is_err() {
            break;
        }
    }
    drop(stream.write_all(&frame(CONTINUATION, END_HEADERS, 1, &[0xbe])));
    drop(rest(stream));
    serves_others(&edge, &ca);
    assert_eq!(heard.lock().unwrap().len(), 1, "only the one who behaves");
}

#[test]
fn who_opens_no_window_for_an_answer_is_cut_off() {
    let (new, _) = recorder(SOUND);
    let (edge, ca) = edge(new, |_| {});
    // INITIAL_WINDOW_SIZE is 0.
    let mut stream = raw(&edge, &ca, &[0, 4, 0, 0, 0, 0]);
    stream
        .sock
        .set_read_timeout(Some(Duration::from_secs(40)))
        .unwrap();
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head());
    stream.write_all(&request).unwrap();
    let begun = clock::tick();
    let all = rest(stream);
    assert!(
        !all.windows(6).any(|bytes| bytes == b"<Respo"),
        "it had no room for it"
    );
    let took = clock::tick().since(begun);
    assert!(took < Duration::from_secs(35), "nobody cut it off");
}
