//! Webhooks and websockets through TLS, in and out.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use switchback::measure::{Cause, Observation, Outcome, Streamed, Unsecured};
use switchback::model::Backend;
use switchback::proxy::settings::Upstream;
use switchback::proxy::tls::{Inward, Outward};
use switchback::proxy::worker::Drain;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::backend::{SOUND, nobody, recorder};
use super::certificates::{Authority, Server, connect, converse, held, secured, shown};
use super::http::{form, post, read_all, read_request, status, webhook};
use super::lab::Edge;
use super::socket::{robot, say};

const HOST: &str = "voice.example.com";
/// Longer than a quiet connection keeps its buffers.
const PARKED: Duration = Duration::from_millis(2200);

/// One that speaks TLS to providers.
fn edge(new: SocketAddr, tls: &Arc<Inward>) -> Edge {
    Edge::with(new, new, |settings| settings.tls = Some(tls.clone()))
}

/// One that speaks TLS to its backends.
fn towards(new: SocketAddr, tls: &Arc<Outward>) -> Edge {
    Edge::with(new, new, |settings| {
        for side in Backend::ALL {
            let upstream: &mut Upstream = &mut settings.backends[side];
            upstream.tls = Some(tls.clone());
        }
    })
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

/// Answers every request soundly until the other end has enough.
fn serves(stream: &mut Server) {
    while read_request(stream).is_some() {
        if stream.write_all(SOUND.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn a_backend_over_tls_is_asked_on_connections_that_stay() {
    let ca = Authority::new();
    let config = ca.server(&ca.issue("b", &["ivr.example.com"]), false);
    let opened = Arc::new(AtomicUsize::new(0));
    let count = opened.clone();
    let new = secured(config, move |stream, _| {
        count.fetch_add(1, Ordering::Relaxed);
        serves(stream);
    });
    let edge = towards(new, &ca.outward("ivr.example.com", None));
    for _ in 0..5 {
        assert_eq!(edge.voice("CA1", "t"), 200);
        // Long enough for session tickets to be taken for an answer, were they.
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(opened.load(Ordering::Relaxed), 1);
    let answered = edge.answered(5);
    assert!(answered.iter().all(|one| one.outcome == Outcome::Served));
}

#[test]
fn a_large_webhook_reaches_a_backend_over_tls() {
    let ca = Authority::new();
    let config = ca.server(&ca.issue("b", &["ivr.example.com"]), false);
    let heard: Arc<Mutex<Vec<usize>>> = Arc::default();
    let kept = heard.clone();
    let new = secured(config, move |stream, _| {
        while let Some(request) = read_request(stream) {
            kept.lock().unwrap().push(request.len());
            stream.write_all(SOUND.as_bytes()).unwrap();
        }
    });
    let edge = towards(new, &ca.outward("ivr.example.com", None));
    let long = format!("{}&Digits={}", form("CA1", "t"), "1".repeat(1_000_000));
    let answer = edge.raw(&post("/ivr", &long, "Connection: close\r\n"));
    assert_eq!(status(&answer), 200);
    assert!(heard.lock().unwrap()[0] > 1_000_000);
}

#[test]
fn a_backend_over_tls_that_refuses_a_body_early_is_heard_at_once() {
    let ca = Authority::new();
    let config = ca.server(&ca.issue("b", &["ivr.example.com"]), false);
    let new = secured(config, move |stream, _| {
        let mut head = [0; 1024];
        stream.read_exact(&mut head).unwrap();
        let refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refusal.as_bytes()).unwrap();
        // It reads no further, and keeps the connection open.
        thread::sleep(Duration::from_secs(30));
    });
    let edge = Edge::with(new, new, |settings| {
        settings.backends.new.tls = Some(ca.outward("ivr.example.com", None));
        settings.limits.body = 64 << 20;
    });
    // More than the system takes for somebody who does not read.
    let long = format!("{}&Digits={}", form("CA1", "t"), "1".repeat(32 << 20));
    edge.raw(&post("/ivr", &long, "Connection: close\r\n"));
    assert_eq!(edge.outcome(), Outcome::Failed(Cause::Status));
}

#[test]
fn a_backend_that_closes_an_unused_connection_has_not_failed() {
    let ca = Authority::new();
    let config = ca.server(&ca.issue("b", &["ivr.example.com"]), false);
    for polite in [true, false] {
        let new = secured(config.clone(), move |stream, _| {
            if read_request(stream).is_some() {
                stream.write_all(SOUND.as_bytes()).unwrap();
                if polite {
                    stream.conn.send_close_notify();
                    drop(stream.flush());
                }
            }
        });
        let edge = towards(new, &ca.outward("ivr.example.com", None));
        for _ in 0..3 {
            assert_eq!(edge.voice("CA1", "t"), 200, "polite: {polite}");
            thread::sleep(Duration::from_millis(50));
        }
        let answered = edge.answered(3);
        assert!(answered.iter().all(|one| one.outcome == Outcome::Served));
    }
}

#[test]
fn a_backend_that_nobody_vouches_for_or_has_another_name_is_not_reached() {
    let (ca, other) = (Authority::new(), Authority::new());
    let config = ca.server(&ca.issue("b", &["ivr.example.com"]), false);
    let new = secured(config, |stream, _| serves(stream));
    for outward in [
        other.outward("ivr.example.com", None),
        ca.outward("else.example.com", None),
    ] {
        let edge = towards(new, &outward);
        assert_eq!(edge.voice("CA1", "t"), 502);
        assert_eq!(edge.outcome(), Outcome::Failed(Cause::Connect));
    }
    // Nor is one that does not speak it.
    let (plain, heard) = recorder("HTTP/1.1 400 Bad Request\r\n\r\n");
    let edge = Edge::with(plain, plain, |settings| {
        settings.backends.new.tls = Some(ca.outward("ivr.example.com", None));
        settings.routes[0].timeout = Duration::from_millis(300);
    });
    assert!(matches!(edge.voice("CA1", "t"), 502 | 504));
    assert!(
        heard.lock().unwrap().is_empty(),
        "nothing was sent in the clear"
    );
}

#[test]
fn a_handshake_that_a_backend_does_not_finish_ends_with_the_time_of_the_route() {
    let ca = Authority::new();
    let new = super::backend::backend(|stream, _| {
        thread::sleep(Duration::from_secs(5));
        drop(stream);
    });
    let tls = ca.outward("ivr.example.com", None);
    let edge = Edge::with(new, new, |settings| {
        settings.backends.new.tls = Some(tls);
        settings.routes[0].timeout = Duration::from_millis(300);
    });
    assert_eq!(edge.voice("CA1", "t"), 504);
    assert_eq!(edge.outcome(), Outcome::Failed(Cause::Timeout));
}

#[test]
fn a_backend_that_asks_who_we_are_is_shown_our_certificate() {
    let ca = Authority::new();
    let config = ca.server(&ca.issue("b", &["ivr.example.com"]), true);
    let new = secured(config, |stream, _| serves(stream));
    let ours = ca.issue("ours", &["switchback.example.com"]);
    for (shown, status) in [(Some(&ours), 200), (None, 502)] {
        let edge = towards(new, &ca.outward("ivr.example.com", shown));
        assert_eq!(edge.voice("CA1", "t"), status);
    }
}

#[test]
fn after_our_certificate_has_changed_connections_begin_anew() {
    let ca = Authority::new();
    let config = ca.server(&ca.issue("b", &["ivr.example.com"]), true);
    let shown: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = shown.clone();
    let new = secured(config, move |stream, _| {
        let chain = stream.conn.peer_certificates().unwrap();
        kept.lock().unwrap().push(chain[0].to_vec());
        serves(stream);
    });
    let ours = ca.issue("ours", &["switchback.example.com"]);
    let outward = ca.outward("ivr.example.com", Some(&ours));
    let edge = towards(new, &outward);
    assert_eq!(edge.voice("CA1", "t"), 200);
    ca.issue("ours", &["switchback.example.com"]);
    assert_eq!(outward.renew(), Ok(true));
    assert_eq!(edge.voice("CA1", "t"), 200);
    let shown = shown.lock().unwrap();
    assert_eq!(shown.len(), 2);
    assert_ne!(shown[0], shown[1]);
}

#[tokio::test]
async fn a_stream_reaches_a_backend_over_tls() {
    let ca = Authority::new();
    let config = ca.server(&ca.issue("b", &["ivr.example.com"]), false);
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let new = super::socket::backend(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() {
                    futures_util::SinkExt::send(&mut socket, message)
                        .await
                        .unwrap();
                }
            }
        }
    })
    .await;
    let edge = towards(new, &ca.outward("ivr.example.com", None)).in_calls();
    let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    for text in ["hello".to_owned(), "z".repeat(200_000)] {
        say(&mut provider, &text).await;
        assert_eq!(super::socket::hear(&mut provider).await, text);
    }
    provider.close(None).await.unwrap();
    drop(provider);
    edge.accounts(&[
        (Backend::New, Streamed::Opened),
        (Backend::New, Streamed::Closed),
    ])
    .await;
}
