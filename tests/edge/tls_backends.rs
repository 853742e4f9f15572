//! Webhooks and websockets through TLS, on their way to a backend.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use switchback::measure::{Cause, Outcome, Streamed};
use switchback::model::Backend;
use switchback::proxy::settings::Upstream;
use switchback::proxy::tls::Outward;

use super::backend::{SOUND, recorder};
use super::certificates::{Authority, Server, secured};
use super::http::{form, post, read_request, status};
use super::lab::Edge;
use super::socket::say;

/// One that speaks TLS to its backends.
fn towards(new: SocketAddr, tls: &Arc<Outward>) -> Edge {
    Edge::with(new, new, |settings| {
        for side in Backend::ALL {
            let upstream: &mut Upstream = &mut settings.backends[side];
            upstream.tls = Some(tls.clone());
        }
    })
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
