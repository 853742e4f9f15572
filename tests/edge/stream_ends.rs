//! How streams end, and how many there may be: hanging up, silence, drains, a limit.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use switchback::measure::Streamed::{Closed, Opened};
use switchback::model::Backend::New;
use switchback::proxy::worker::Drain;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::lab::Edge;
use super::socket::{Heads, backend, closed, hear, robot, say, start, stubborn, take};

#[tokio::test]
async fn a_backend_that_dies_ends_the_stream_and_is_accounted_for() {
    let dies = backend(|stream| async move {
        let mut socket = take(stream, &Heads::default()).await.unwrap();
        socket.next().await.unwrap().unwrap();
        socket.send(Message::text("last words")).await.unwrap();
    })
    .await;
    let edge = Edge::new(dies, dies).in_calls();
    let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    say(&mut provider, "hello").await;
    assert_eq!(hear(&mut provider).await, "last words");
    assert_eq!(closed(&mut provider).await, None, "it just ends");
    drop(provider);
    edge.accounts(&[(New, Opened), (New, Closed)]).await;
}

#[tokio::test]
async fn a_provider_that_hangs_up_ends_the_stream_and_is_accounted_for() {
    let (new, _) = robot("new").await;
    let edge = Edge::new(new, new).in_calls();
    let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    say(&mut provider, "hello").await;
    assert_eq!(hear(&mut provider).await, "new: hello");
    drop(provider);
    edge.accounts(&[(New, Opened), (New, Closed)]).await;
    // One that leaves before it has said whose stream it is was nobody's.
    drop(edge.stream("/ivr/stream").await);
    while edge.refusals().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(edge.refusals(), [400]);
    edge.accounts(&[(New, Opened), (New, Closed)]).await;
}

#[tokio::test]
async fn a_stream_on_which_nothing_moves_is_closed_and_one_that_is_used_is_not() {
    let (new, _) = robot("new").await;
    let edge = Edge::with(new, new, |settings| {
        settings.limits.stream_idle_timeout = Duration::from_millis(400);
        // They are no limits of a stream.
        settings.limits.idle_timeout = Duration::from_millis(100);
        settings.limits.head_timeout = Duration::from_millis(100);
        settings.limits.body_timeout = Duration::from_millis(100);
    })
    .in_calls();
    let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        say(&mut provider, "still here").await;
        assert_eq!(hear(&mut provider).await, "new: still here");
    }
    assert_eq!(closed(&mut provider).await, Some(CloseCode::Away));
    edge.accounts(&[(New, Opened), (New, Closed)]).await;
}

#[tokio::test]
async fn a_quiet_stream_is_not_parked_away() {
    let (new, _) = robot("new").await;
    let edge = Edge::new(new, new).in_calls();
    let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    say(&mut provider, "hello").await;
    assert_eq!(hear(&mut provider).await, "new: hello");
}

#[tokio::test]
async fn a_drain_lets_streams_go_on_longer_than_requests_and_then_says_goodbye() {
    let (new, _) = robot("new").await;
    let (slow, _) = stubborn("").await;
    let edge = Edge::with(slow, new, |settings| {
        settings.limits.drain_timeout = Duration::from_millis(600);
        settings.limits.stream_drain_timeout = Duration::from_millis(1500);
    })
    .in_calls();
    let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    let asking = edge.raw_async("GET /ivr?CallSid=CA-old HTTP/1.1\r\nHost: a\r\n\r\n");
    let draining = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        edge.drain.send_replace(Drain::Gently);
    };
    let (answer, ()) = tokio::join!(asking, draining);
    assert_eq!(answer, "", "the request was cut");
    say(&mut provider, "still here").await;
    assert_eq!(hear(&mut provider).await, "new: still here");
    assert_eq!(closed(&mut provider).await, Some(CloseCode::Away));
    edge.ended().await;
    edge.accounts(&[(New, Opened), (New, Closed)]).await;
}

#[tokio::test]
async fn a_drain_ends_as_soon_as_the_last_stream_has() {
    let (new, _) = robot("new").await;
    let edge = Edge::new(new, new).in_calls();
    let mut provider = edge.stream("/ivr/stream").await;
    edge.drain.send_replace(Drain::Gently);
    tokio::time::sleep(Duration::from_millis(600)).await;
    say(&mut provider, &start("CA-new")).await;
    assert!(hear(&mut provider).await.starts_with("new: "));
    provider.close(None).await.unwrap();
    drop(provider);
    edge.ended().await;
    edge.accounts(&[(New, Opened), (New, Closed)]).await;
}

#[tokio::test]
async fn whoever_cannot_wait_ends_streams_at_once() {
    let (new, _) = robot("new").await;
    let edge = Edge::new(new, new).in_calls();
    let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    edge.drain.send_replace(Drain::Gently);
    tokio::time::sleep(Duration::from_millis(300)).await;
    edge.drain.send_replace(Drain::Now);
    assert_eq!(closed(&mut provider).await, None);
    edge.ended().await;
    edge.accounts(&[(New, Opened), (New, Closed)]).await;
}

#[tokio::test]
async fn one_stream_more_than_may_be_is_refused_until_another_ends() {
    let (new, _) = robot("new").await;
    let edge = Edge::with(new, new, |settings| settings.limits.streams = 2).in_calls();
    let mut first = edge.stream("/ivr/stream?CallSid=CA-new").await;
    // One that has not said whose it is takes a place too.
    let mut second = edge.stream("/ivr/stream").await;
    for target in ["/ivr/stream?CallSid=CA-new", "/ivr/stream"] {
        assert_eq!(edge.refused(target).await.0, 503);
    }
    assert_eq!(edge.refusals(), [503, 503]);
    say(&mut second, &start("CA-new")).await;
    hear(&mut second).await;
    first.close(None).await.unwrap();
    drop(first);
    edge.accounts(&[(New, Opened), (New, Opened), (New, Closed)])
        .await;
    let mut third = edge.stream("/ivr/stream?CallSid=CA-new").await;
    say(&mut third, "hello").await;
    assert_eq!(hear(&mut third).await, "new: hello");
}
