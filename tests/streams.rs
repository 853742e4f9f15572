//! Websockets as a provider and two backends see them: real sockets, a real
//! websocket library at both ends, and every stream accounted for exactly once.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{SinkExt, StreamExt};
use switchback::calls::Hints;
use switchback::document::FlawSet;
use switchback::measure::{Observation, Streamed};
use switchback::model::{Backend, PerBackend, Percentage, Protocol, Tick};
use switchback::protocol::{CallEvent, EventKind};
use switchback::proxy::settings::{Affinity, HostHeader, Limits, Route, Settings, Upstream};
use switchback::proxy::worker::{self, Drain};
use switchback::proxy::{Routing, Shared, listener};
use switchback::split::tenants::{self, Source, Unlisted};
use switchback::split::token::TokenKey;
use switchback::split::{By, Hash, Scheme, Split, Subject};
use switchback::table::Table;
use switchback::tally::Tally;
use switchback::trust::Trust;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use Backend::{Legacy, New};
use Streamed::{Closed, Opened, Refused};

const CONNECTED: &str = r#"{"event":"connected","version":"1.0.0"}"#;
const HANDSHAKE: &str = "Host: voice.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c3dpdGNoYmFjayB0ZXN0cw==\r\n\r\n";
/// What proves that the handshake above was understood.
const ACCEPT: &str = "1xEo9GAbFFhp8tjCac9ToyMKAVI=";

type Provider = WebSocketStream<TcpStream>;

/// A proxy in front of two backends.
struct Edge {
    at: SocketAddr,
    shared: Shared,
    drain: watch::Sender<Drain>,
    worker: Option<thread::JoinHandle<()>>,
    seen: Mutex<Vec<Observation>>,
}

impl Edge {
    fn new(legacy: SocketAddr, new: SocketAddr) -> Self {
        Self::with(legacy, new, |_| {})
    }

    fn with(legacy: SocketAddr, new: SocketAddr, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let settings = Settings {
            public: None,
            trusted_proxies: Vec::new(),
            backends: PerBackend {
                legacy: upstream(legacy),
                new: upstream(new),
            },
            routes: vec![Route {
                number: 0,
                path: "/ivr".into(),
                protocol: Protocol::Twilio,
                tenant: vec![Source::To],
                sources: Vec::new(),
                served: Vec::new(),
                timeout: Duration::from_secs(5),
                verify: None,
                affinity: Affinity::Memory,
            }],
            directory: None,
            unlisted: Unlisted::Key,
            limits,
            short: Duration::from_secs(5),
            addresses: None,
            token_secret: None,
        };
        let routing = Routing {
            split: split(1, false),
            habits: FlawSet::NONE,
            settings: Arc::new(settings),
            tokens: Arc::new(TokenKey::new(b"a secret of the tests")),
        };
        let shared = Shared {
            routing: Arc::new(ArcSwap::from_pointee(routing)),
            table: Arc::new(Table::new(1000, 7, Duration::from_secs(5))),
            tally: Arc::new(Tally::new(1)),
            trust: Arc::new(Trust::new()),
            workers: 1,
        };
        let socket = listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = socket.local_addr().unwrap();
        let (drain, told) = watch::channel(Drain::No);
        let worker = thread::spawn({
            let shared = shared.clone();
            move || worker::run(0, vec![socket], shared, told).unwrap()
        });
        let edge = Self {
            at,
            shared,
            drain,
            worker: Some(worker),
            seen: Mutex::default(),
        };
        for (call, to) in [("CA-new", "acme"), ("CA-old", "legacy-only")] {
            edge.begin(call, to);
        }
        edge
    }

    /// A call is seen for the first time.
    fn begin(&self, call: &str, to: &str) {
        let event = CallEvent::new(Some(call.into()), EventKind::Start);
        let subject = Subject {
            tenant: tenants::tenant(Some(to), None, Unlisted::Key),
            call: Some(call),
            caller: None,
        };
        let routing = self.shared.routing.load();
        let now = Tick::from_secs(4000);
        self.shared
            .table
            .place(&event, &subject, Hints::default(), &routing.split, now);
    }

    fn latch(&self) {
        let before = self.shared.routing.load_full();
        self.shared.routing.store(Arc::new(Routing {
            split: split(before.split.generation + 1, true),
            ..(*before).clone()
        }));
    }

    /// A provider opens a stream.
    async fn open(
        &self,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Provider, HeaderMap), Error> {
        let mut request = format!("ws://voice.example.com{target}").into_client_request()?;
        for (name, value) in headers {
            let name = HeaderName::from_static(name);
            request
                .headers_mut()
                .insert(name, HeaderValue::from_str(value)?);
        }
        let stream = TcpStream::connect(self.at).await.unwrap();
        let (provider, answer) = client_async(request, stream).await?;
        Ok((provider, answer.into_parts().0.headers))
    }

    async fn stream(&self, target: &str) -> Provider {
        self.open(target, &[]).await.unwrap().0
    }

    /// The status a handshake is refused with, and the body.
    async fn refused(&self, target: &str) -> (u16, String) {
        match self.open(target, &[]).await {
            Err(Error::Http(answer)) => {
                let body = answer.body().clone().unwrap_or_default();
                (answer.status().as_u16(), String::from_utf8(body).unwrap())
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Sends bytes on a connection of their own; gives all that came back.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut all = Vec::new();
        // A reset after the answer is an end too.
        drop(stream.read_to_end(&mut all).await);
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Waits until so much became of streams, in this order, and nothing more.
    async fn accounts(&self, expected: &[(Backend, Streamed)]) {
        let mut streams = Vec::new();
        for _ in 0..1000 {
            streams = self.seen(|seen| match seen {
                Observation::Stream { backend, what } => Some((*backend, *what)),
                _ => None,
            });
            if streams.len() >= expected.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(streams, expected);
    }

    /// The statuses that requests were refused with.
    fn refusals(&self) -> Vec<u16> {
        self.seen(|seen| match seen {
            Observation::Refused { status } => Some(*status),
            _ => None,
        })
    }

    fn seen<T>(&self, pick: impl Fn(&Observation) -> Option<T>) -> Vec<T> {
        let mut seen = self.seen.lock().unwrap();
        self.shared.tally.drain(&mut seen);
        seen.iter().filter_map(pick).collect()
    }

    /// Waits until the worker has ended.
    async fn ended(&self) {
        while !self.worker.as_ref().unwrap().is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.drain.send_replace(Drain::Now);
        if let Some(worker) = self.worker.take() {
            let ended = worker.join();
            assert!(thread::panicking() || ended.is_ok());
        }
    }
}

/// Everything goes to new, but for one tenant.
fn split(generation: u64, latched: bool) -> Split {
    Split {
        generation,
        latched,
        latched_since: None,
        enabled: true,
        percentage: Percentage::FULL,
        enabled_tenants: Default::default(),
        disabled_tenants: ["legacy-only".into()].into(),
        scheme: Scheme {
            by: By::Tenant,
            hash: Hash::Java31,
        },
    }
}

fn upstream(at: SocketAddr) -> Upstream {
    Upstream {
        host: at.ip().to_string(),
        port: at.port(),
        authority: at.to_string(),
        host_header: HostHeader::Public,
        names: Vec::new(),
        claim: None,
    }
}

/// A backend: `act` is given each connection.
async fn backend<F: Future<Output = ()> + Send + 'static>(
    act: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(act(stream));
        }
    });
    at
}

type Heads = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// A backend that takes every stream and says back what it hears, with its name;
/// and the handshakes it was sent.
async fn robot(name: &'static str) -> (SocketAddr, Heads) {
    let heads = Heads::default();
    let kept = heads.clone();
    let at = backend(move |stream| {
        let heads = kept.clone();
        async move {
            let Some(mut socket) = take(stream, &heads).await else {
                return;
            };
            while let Some(Ok(message)) = socket.next().await {
                let answer = match message {
                    Message::Text(text) => Message::text(format!("{name}: {text}")),
                    Message::Binary(bytes) => Message::Binary(bytes),
                    _ => continue,
                };
                if socket.send(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (at, heads)
}

/// Takes a stream as a backend; of subprotocols the first, of extensions none.
async fn take(stream: TcpStream, heads: &Heads) -> Option<Provider> {
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let callback = |request: &server::Request, mut answer: server::Response| {
        let headers = request.headers().clone();
        if let Some(offered) = headers.get("sec-websocket-protocol") {
            let first = offered.to_str().unwrap().split(',').next().unwrap();
            let first = HeaderValue::from_str(first).unwrap();
            answer.headers_mut().insert("sec-websocket-protocol", first);
        }
        let kept = (request.uri().to_string(), headers);
        heads.lock().unwrap().push(kept);
        Ok(answer)
    };
    accept_hdr_async(stream, callback).await.ok()
}

/// A backend that answers the first bytes it hears with these, keeps what it hears
/// after them, and never hangs up.
async fn stubborn(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = heard.clone();
    let at = backend(move |mut stream| {
        let heard = kept.clone();
        async move {
            let mut piece = [0; 4096];
            while let Ok(got @ 1..) = stream.read(&mut piece).await {
                heard.lock().unwrap().extend_from_slice(&piece[..got]);
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (at, heard)
}

/// Where nobody listens.
async fn nobody() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    socket.local_addr().unwrap()
}

async fn say(provider: &mut Provider, text: &str) {
    provider.send(Message::text(text)).await.unwrap();
}

async fn hear(provider: &mut Provider) -> String {
    match provider.next().await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

/// The code the stream was closed with; None where it just ended.
async fn closed(provider: &mut Provider) -> Option<CloseCode> {
    while let Some(Ok(message)) = provider.next().await {
        if let Message::Close(close) = message {
            return close.map(|close| close.code);
        }
    }
    None
}

/// The message that names a call.
fn start(call: &str) -> String {
    format!(
        r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"AC5","callSid":"{call}"}},"streamSid":"MZ5"}}"#
    )
}

#[tokio::test]
async fn a_stream_whose_url_names_its_call_is_its_backend_s_from_the_handshake_on() {
    let (legacy, at_legacy) = robot("legacy").await;
    let (new, at_new) = robot("new").await;
    let edge = Edge::new(legacy, new);
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
    let edge = Edge::new(legacy, new);
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
    let edge = Edge::new(legacy, new);
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
        (nobody().await, 502, ""),
    ] {
        let edge = Edge::new(other, new);
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
    let edge = Edge::new(new, new);
    let twice = format!("GET /ivr/stream?CallSid=CA-new HTTP/1.1\r\n{HANDSHAKE}").repeat(2);
    let last = "GET /ivr?CallSid=CA-old HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = edge.raw(format!("{twice}{last}").as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 403 ").count(), 3, "{answers}");
}

#[tokio::test]
async fn a_backend_that_dies_ends_the_stream_and_is_accounted_for() {
    let dies = backend(|stream| async move {
        let mut socket = take(stream, &Heads::default()).await.unwrap();
        socket.next().await.unwrap().unwrap();
        socket.send(Message::text("last words")).await.unwrap();
    })
    .await;
    let edge = Edge::new(dies, dies);
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
    let edge = Edge::new(new, new);
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
async fn a_megabyte_each_way_arrives_whole_though_nobody_hurries() {
    let (new, _) = robot("new").await;
    let edge = Edge::new(new, new);
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
    let edge = Edge::new(deaf, deaf);
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

#[tokio::test]
async fn a_stream_on_which_nothing_moves_is_closed_and_one_that_is_used_is_not() {
    let (new, _) = robot("new").await;
    let edge = Edge::with(new, new, |limits| {
        limits.stream_idle_timeout = Duration::from_millis(400);
        // They are no limits of a stream.
        limits.idle_timeout = Duration::from_millis(100);
        limits.head_timeout = Duration::from_millis(100);
        limits.body_timeout = Duration::from_millis(100);
    });
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
    let edge = Edge::new(new, new);
    let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    say(&mut provider, "hello").await;
    assert_eq!(hear(&mut provider).await, "new: hello");
}

#[tokio::test]
async fn a_drain_lets_streams_go_on_longer_than_requests_and_then_says_goodbye() {
    let (new, _) = robot("new").await;
    let (slow, _) = stubborn("").await;
    let edge = Edge::with(slow, new, |limits| {
        limits.drain_timeout = Duration::from_millis(600);
        limits.stream_drain_timeout = Duration::from_millis(1500);
    });
    let mut provider = edge.stream("/ivr/stream?CallSid=CA-new").await;
    let asking = edge.raw(b"GET /ivr?CallSid=CA-old HTTP/1.1\r\nHost: a\r\n\r\n");
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
    let edge = Edge::new(new, new);
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
    let edge = Edge::new(new, new);
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
    let edge = Edge::with(new, new, |limits| limits.streams = 2);
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

#[tokio::test]
async fn behind_a_handshake_that_is_not_taken_stands_another_request() {
    let (backend, heard) = stubborn("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let edge = Edge::new(backend, backend);
    let both = format!(
        "GET /ivr/stream?CallSid=CA-new HTTP/1.1\r\n{HANDSHAKE}GET /ivr/secret?CallSid=CA-old HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    );
    let answers = edge.raw(both.as_bytes()).await;
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
            let edge = Edge::new(backend, backend);
            let answers = edge
                .raw(format!("GET {target} HTTP/1.1\r\n{HANDSHAKE}{early}").as_bytes())
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
    let edge = Edge::new(backend, backend);
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
async fn a_stream_that_names_no_call_in_its_first_64_kib_goes_where_unknown_calls_go() {
    let (legacy, _) = robot("legacy").await;
    let (new, _) = robot("new").await;
    let edge = Edge::new(legacy, new);
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
    let edge = Edge::new(legacy, new);
    let mut provider = edge.stream("/ivr/stream").await;
    tokio::time::sleep(Duration::from_millis(5500)).await;
    say(&mut provider, &start("CA-new")).await;
    assert!(
        hear(&mut provider).await.starts_with("legacy: "),
        "too late"
    );
}

#[tokio::test]
async fn what_is_no_handshake_is_a_request_like_any_other() {
    let (backend, heard) = stubborn("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let edge = Edge::new(backend, backend);
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
        let answer = edge.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{wrong}: {answer}");
    }
    let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
    assert_eq!(heard.matches("GET /ivr").count(), 4);
    assert!(!heard.contains("upgrade"), "{heard}");
    edge.accounts(&[]).await;
}
