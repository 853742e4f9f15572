//! Webhooks and websockets through TLS, on their way in.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use switchback::measure::{Observation, Outcome, Streamed, Unsecured};
use switchback::model::Backend;
use switchback::proxy::tls::Inward;
use switchback::proxy::worker::Drain;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::backend::{SOUND, nobody, recorder};
use super::certificates::{Authority, connect, converse, held, shown};
use super::http::{form, post, read_all, status, webhook};
use super::lab::Edge;
use super::socket::robot;

const HOST: &str = "voice.example.com";
/// Longer than a quiet connection keeps its buffers.
const PARKED: Duration = Duration::from_millis(2200);

/// One that speaks TLS to providers.
fn edge(new: SocketAddr, tls: &Arc<Inward>) -> Edge {
    Edge::with(new, new, |settings| settings.tls = Some(tls.clone()))
}

/// Waits until so many handshakes came to nothing.
fn unsecured(edge: &Edge, count: usize) -> Vec<Unsecured> {
    for _ in 0..1000 {
        let seen = edge.seen(|seen| match seen {
            Observation::Unsecured(why) => Some(*why),
            _ => None,
        });
        if seen.len() >= count {
            return seen;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{count} handshakes should have come to nothing");
}

#[test]
fn a_webhook_over_tls_is_answered_and_the_backend_is_told() {
    let ca = Authority::new();
    let tls = ca.inward(&[&ca.issue("a", &[HOST])]);
    let (new, heard) = recorder(SOUND);
    let edge = edge(new, &tls);
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let config = Arc::new(ca.client(versions));
        let mut stream = connect(config, edge.at, HOST).unwrap();
        stream.write_all(webhook("CA1", "t").as_bytes()).unwrap();
        assert_eq!(status(&read_all(&mut stream)), 200);
    }
    let heard = heard.lock().unwrap();
    let head = String::from_utf8_lossy(&heard[0]).to_lowercase();
    assert!(head.contains("x-forwarded-proto: https\r\n"), "{head}");
    edge.answered(2);
}

#[test]
fn http_1_is_what_is_agreed_upon() {
    let ca = Authority::new();
    let tls = ca.inward(&[&ca.issue("a", &[HOST])]);
    let edge = edge(nobody(), &tls);
    let mut config = ca.client(rustls::DEFAULT_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = connect(Arc::new(config.clone()), edge.at, HOST).unwrap();
    assert_eq!(client.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    config.alpn_protocols = vec![b"h2".to_vec()];
    assert!(connect(Arc::new(config), edge.at, HOST).is_err());
    assert_eq!(unsecured(&edge, 1), [Unsecured::Refused]);
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    let ca = Authority::new();
    let (first, second) = (
        ca.issue("a", &[HOST]),
        ca.issue("b", &["*.example.org", "example.net"]),
    );
    let edge = edge(nobody(), &ca.inward(&[&first, &second]));
    for (name, files) in [
        (HOST, &first),
        ("any.example.org", &second),
        ("EXAMPLE.net", &second),
    ] {
        let client = ca.connect(edge.at, name).unwrap();
        assert_eq!(shown(&client), held(files), "{name}");
    }
    let stranger = ca.connect(edge.at, "a.b.example.org");
    assert!(
        stranger.is_err(),
        "it is shown the first, which is not for it"
    );
}

#[test]
fn half_of_a_new_pair_changes_nothing_and_the_whole_of_it_does() {
    let ca = Authority::new();
    let files = ca.issue("a", &[HOST]);
    let before = held(&files);
    let tls = ca.inward(&[&files]);
    let edge = edge(nobody(), &tls);
    let other = ca.issue("b", &[HOST]);
    fs::copy(&other.cert, &files.cert).unwrap();
    let refused = tls.renew().unwrap_err();
    assert!(
        refused[0].to_string().contains("is not the key"),
        "{refused:?}"
    );
    assert_eq!(shown(&ca.connect(edge.at, HOST).unwrap()), before);
    fs::copy(&other.key, &files.key).unwrap();
    assert_eq!(tls.renew(), Ok(true));
    assert_eq!(shown(&ca.connect(edge.at, HOST).unwrap()), held(&other));
}

#[test]
fn rotations_under_way_lose_nothing() {
    const ROTATIONS: usize = 20;
    let ca = Authority::new();
    let files = ca.issue("a", &[HOST]);
    let tls = ca.inward(&[&files]);
    let (new, _) = recorder(SOUND);
    let edge = edge(new, &tls);
    let over = AtomicBool::new(false);
    let sent = AtomicUsize::new(0);
    let mut last = None;
    thread::scope(|scope| {
        // One that stays, and one that comes anew each time.
        scope.spawn(|| {
            let mut stays = ca.connect(edge.at, HOST).unwrap();
            while !over.load(Ordering::Relaxed) {
                converse(&mut stays, post("/ivr", &form("CA1", "t"), ""));
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let answer = ca.raw(edge.at, HOST, &webhook("CA2", "t"));
                assert_eq!(status(&answer), 200);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..ROTATIONS {
            last = Some(ca.issue("a", &[HOST]));
            assert_eq!(tls.renew(), Ok(true));
            thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Ordering::Relaxed);
    });
    let outcomes = edge.answered(sent.into_inner());
    assert!(outcomes.iter().all(|one| one.outcome == Outcome::Served));
    let shown = shown(&ca.connect(edge.at, HOST).unwrap());
    assert_eq!(shown, held(&last.unwrap()));
}

#[test]
fn handshakes_that_come_to_nothing_are_counted_and_end_in_time() {
    let ca = Authority::new();
    let tls = ca.inward(&[&ca.issue("a", &[HOST])]);
    let edge = Edge::with(nobody(), nobody(), |settings| {
        settings.tls = Some(tls);
        settings.limits.head_timeout = Duration::from_millis(200);
    });
    drop(edge.connect());
    assert_eq!(unsecured(&edge, 1), [Unsecured::Closed]);
    // No TLS at all, and one that waits for ever.
    drop(edge.raw(&webhook("CA1", "t")));
    let mut silent = edge.connect();
    assert_eq!(read_all(&mut silent), "");
    let mut counted = unsecured(&edge, 3);
    counted.sort_by_key(|why| why.name());
    assert_eq!(
        counted,
        [Unsecured::Closed, Unsecured::Late, Unsecured::Refused]
    );
    edge.answered(0);
}

#[test]
fn a_slow_head_within_tls_is_cut_off_too() {
    let ca = Authority::new();
    let tls = ca.inward(&[&ca.issue("a", &[HOST])]);
    let edge = Edge::with(nobody(), nobody(), |settings| {
        settings.tls = Some(tls);
        settings.limits.head_timeout = Duration::from_millis(300);
        settings.limits.idle_timeout = Duration::from_millis(300);
    });
    for sent in ["", "GET /ivr HTTP/1.1\r\nHost:"] {
        assert_eq!(ca.raw(edge.at, HOST, sent), "", "{sent:?}");
    }
}

#[test]
fn a_parked_connection_over_tls_answers_again_and_ends_with_the_drain() {
    let ca = Authority::new();
    let tls = ca.inward(&[&ca.issue("a", &[HOST])]);
    let (new, _) = recorder(SOUND);
    let edge = edge(new, &tls);
    let mut stream = ca.connect(edge.at, HOST).unwrap();
    let request = post("/ivr", &form("CA1", "t"), "");
    for _ in 0..2 {
        converse(&mut stream, &request);
        thread::sleep(PARKED);
    }
    // In two pieces, and two at once.
    let (head, rest) = request.split_at(30);
    stream.write_all(head.as_bytes()).unwrap();
    thread::sleep(PARKED);
    converse(&mut stream, rest);
    stream.write_all(request.repeat(2).as_bytes()).unwrap();
    let mut answers = String::new();
    while answers.matches("<Response/>").count() < 2 {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        answers.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    // One that has said nothing yet holds up nothing.
    let _silent = edge.connect();
    thread::sleep(PARKED);
    edge.drain.send_replace(Drain::Gently);
    let mut rest = Vec::new();
    assert_eq!(
        stream.read_to_end(&mut rest).unwrap(),
        0,
        "said, not cut off"
    );
    edge.answered(5);
}

#[test]
fn a_long_answer_reaches_a_client_over_tls_that_reads_late() {
    const BYTES: usize = 3_000_000;
    let ca = Authority::new();
    let tls = ca.inward(&[&ca.issue("a", &[HOST])]);
    let new = super::backend::after_request(|mut stream, _| {
        let body = "x".repeat(BYTES);
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n{body}"
        )
        .unwrap();
    });
    let edge = edge(new, &tls);
    let mut stream = ca.connect(edge.at, HOST).unwrap();
    stream.write_all(webhook("CA1", "t").as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(read_all(&mut stream).matches('x').count(), BYTES);
}

#[tokio::test]
async fn a_stream_passes_through_tls() {
    let ca = Authority::new();
    let tls = ca.inward(&[&ca.issue("a", &[HOST])]);
    let (new, heads) = robot("new").await;
    let edge = edge(new, &tls).in_calls();
    let connector = TlsConnector::from(Arc::new(ca.client(rustls::DEFAULT_VERSIONS)));
    let tcp = tokio::net::TcpStream::connect(edge.at).await.unwrap();
    let name = HOST.to_owned().try_into().unwrap();
    let secured = connector.connect(name, tcp).await.unwrap();
    let url = format!("wss://{HOST}/ivr/stream?CallSid=CA-new");
    let (mut provider, _) = client_async(url, secured).await.unwrap();
    let long = "y".repeat(100_000);
    for text in ["hello", &long] {
        futures_util::SinkExt::send(&mut provider, Message::text(text))
            .await
            .unwrap();
        let answer = provider.next().await.unwrap().unwrap();
        assert_eq!(answer.into_text().unwrap().as_str(), format!("new: {text}"));
    }
    assert_eq!(heads.lock().unwrap()[0].1["x-forwarded-proto"], "https");
    provider.close(None).await.unwrap();
    drop(provider);
    edge.accounts(&[
        (Backend::New, Streamed::Opened),
        (Backend::New, Streamed::Closed),
    ])
    .await;
}
