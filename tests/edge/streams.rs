//! Streams: which backend they meet, and that all of them passes.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use switchback::measure::Streamed::{Closed, Opened};
use switchback::model::Backend::{Legacy, New};
use tokio_tungstenite::tungstenite::Message;

use super::lab::Edge;
use super::socket::{Heads, backend, closed, hear, robot, say, start, take};

/// The message that names nobody.
const CONNECTED: &str = r#"{"event":"connected","version":"1.0.0"}"#;

#[tokio::test]
async fn a_stream_whose_url_names_its_call_is_its_backend_s_from_the_handshake_on() {
    let (legacy, at_legacy) = robot("legacy").await;
    let (new, at_new) = robot("new").await;
    let edge = Edge::new(legacy, new).in_calls();
    for (call, name) in [("CA-old", "legacy"), ("CA-new", "new")] {
        let target = format!("/ivr/stream?CallSid={call}&x=%2B1");
        let headers = [
            ("sec-websocket-protocol", "audio.v1, audio.v2"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("x-twilio-signature", "c2lnbmF0dXJl"),
        ];
        let (mut provider, answer) = edge.open(&target, &headers).await.unwrap();
        assert_eq!(answer["sec-websocket-protocol"], "audio.v1");
        for word in ["one", "two"] {
            say(&mut provider, word).await;
            assert_eq!(hear(&mut provider).await, format!("{name}: {word}"));
        }
        let heads = if name == "new" { &at_new } else { &at_legacy };
        let (uri, head) = heads.lock().unwrap().remove(0);
        assert_eq!(uri, target);
        for (name, value) in headers {
            assert_eq!(head[name], value, "as the provider sent it");
        }
        assert_eq!(head["x-forwarded-for"], "127.0.0.1");
        assert_eq!(head["host"], "voice.example.com");
        provider.close(None).await.unwrap();
        assert!(
            closed(&mut provider).await.is_none(),
            "the backend's own Close"
        );
    }
    let both = [
        (Legacy, Opened),
        (Legacy, Closed),
        (New, Opened),
        (New, Closed),
    ];
    edge.accounts(&both).await;
    assert!(edge.refusals().is_empty());
}

#[tokio::test]
async fn a_stream_whose_first_frames_name_its_call_is_its_backend_s_from_the_first_byte_on() {
    let (legacy, at_legacy) = robot("legacy").await;
    let (new, at_new) = robot("new").await;
    let edge = Edge::new(legacy, new).in_calls();
    let telnyx = |call| {
        format!(
            r#"{{"event":"start","sequence_number":"1","start":{{"user_id":"u5","call_control_id":"{call}","call_session_id":"elsewhere","client_state":null}},"stream_id":"s5"}}"#
        )
    };
    let relay = |call| {
        format!(
            r#"{{"type":"setup","sessionId":"VX5","callSid":"{call}","parentCallSid":"","customParameters":{{}}}}"#
        )
    };
    for (naming, name) in [
        (start("CA-new"), "new"),
        (start("CA-old"), "legacy"),
        (telnyx("CA-new"), "new"),
        (telnyx("CA-old"), "legacy"),
        (relay("CA-new"), "new"),
        (relay("CA-old"), "legacy"),
        (start("CA-nobody-knows"), "legacy"),
    ] {
        let headers = [
            ("sec-websocket-protocol", "audio.v1, audio.v2"),
            ("sec-websocket-extensions", "permessage-deflate"),
        ];
        let (mut provider, answer) = edge.open("/ivr/stream", &headers).await.unwrap();
        assert_eq!(answer["sec-websocket-protocol"], "audio.v1");
        assert!(!answer.contains_key("sec-websocket-extensions"));
        say(&mut provider, CONNECTED).await;
        say(&mut provider, &naming).await;
        assert_eq!(hear(&mut provider).await, format!("{name}: {CONNECTED}"));
        assert_eq!(hear(&mut provider).await, format!("{name}: {naming}"));
        say(&mut provider, "hello").await;
        assert_eq!(hear(&mut provider).await, format!("{name}: hello"));
        let heads = if name == "new" { &at_new } else { &at_legacy };
        let (_, head) = heads.lock().unwrap().remove(0);
        assert_eq!(head["sec-websocket-protocol"], "audio.v1");
        assert!(!head.contains_key("sec-websocket-extensions"));
    }
}

#[tokio::test]
async fn a_stream_that_is_opened_again_meets_the_same_backend_whatever_the_split_says_now() {
    let (legacy, _) = robot("legacy").await;
    let (new, _) = robot("new").await;
    let edge = Edge::new(legacy, new).in_calls();
    for round in 0..3 {
        let mut provider = edge.stream("/ivr/stream").await;
        say(&mut provider, &start("CA-new")).await;
        assert!(hear(&mut provider).await.starts_with("new: "), "{round}");
        let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
        say(&mut provider, "again").await;
        assert_eq!(hear(&mut provider).await, "new: again");
        edge.latch();
    }
}

#[tokio::test]
async fn a_stream_that_names_no_call_in_its_first_64_kib_goes_where_unknown_calls_go() {
    let (legacy, _) = robot("legacy").await;
    let (new, _) = robot("new").await;
    let edge = Edge::new(legacy, new).in_calls();
    let mut provider = edge.stream("/ivr/stream").await;
    let padding = "x".repeat(64 * 1024);
    let long = format!(r#"{{"event":"start","start":{{"callSid":"CA-new","x":"{padding}"}}}}"#);
    say(&mut provider, CONNECTED).await;
    say(&mut provider, &long).await;
    assert_eq!(hear(&mut provider).await, format!("legacy: {CONNECTED}"));
    assert_eq!(hear(&mut provider).await, format!("legacy: {long}"));
    edge.accounts(&[(Legacy, Opened)]).await;
}

#[tokio::test]
async fn a_stream_that_says_nothing_goes_where_unknown_calls_go_in_the_end() {
    let (legacy, _) = robot("legacy").await;
    let (new, _) = robot("new").await;
    let edge = Edge::new(legacy, new).in_calls();
    let mut provider = edge.stream("/ivr/stream").await;
    tokio::time::sleep(Duration::from_millis(5500)).await;
    say(&mut provider, &start("CA-new")).await;
    assert!(
        hear(&mut provider).await.starts_with("legacy: "),
        "too late"
    );
}

#[tokio::test]
async fn a_megabyte_each_way_arrives_whole_though_nobody_hurries() {
    let (new, _) = robot("new").await;
    let edge = Edge::new(new, new).in_calls();
    let provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    let (mut talk, mut listen) = provider.split();
    let chunk = |number: usize| -> Vec<u8> {
        (0..16 * 1024)
            .map(|at| (number * 31 + at * 7) as u8)
            .collect()
    };
    let talking = async {
        for number in 0..64 {
            talk.send(Message::binary(chunk(number))).await.unwrap();
        }
    };
    let listening = async {
        for number in 0..64 {
            // The robot cannot go on, then the proxy, then we.
            if number % 8 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            match listen.next().await {
                Some(Ok(Message::Binary(bytes))) => assert!(bytes == chunk(number), "{number}"),
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::join!(talking, listening);
}

#[tokio::test]
async fn a_backend_that_does_not_read_stops_the_provider_and_fills_no_memory() {
    let deaf = backend(|stream| async move {
        let _socket = take(stream, &Heads::default()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let edge = Edge::new(deaf, deaf).in_calls();
    let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    let mut sent = 0_usize;
    let talking = async {
        loop {
            let message = Message::binary(vec![0; 64 * 1024]);
            if provider.send(message).await.is_err() {
                return;
            }
            sent += 64 * 1024;
        }
    };
    // What the system buffers for two connections is some megabytes; an unbounded
    // proxy would take all there is.
    drop(tokio::time::timeout(Duration::from_secs(2), talking).await);
    assert!(sent < 64 << 20, "{sent} bytes and nobody read them");
}
