//! HTTP/2, for providers that choose it. Backends are asked in HTTP/1.1 all the same.
//!
//! A request of it is made to look as HTTP/1.1 would have brought it, so that one set
//! of checks holds for both. It has a [`Conn`] of its own, for its time is its own; the
//! connection's is watched here: how long it may do nothing, and how long an
//! answer may wait for a client that opens no window for it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::clock;
use crate::measure::Observation;
use crate::model::Tick;
use crate::proxy::body::Reply;
use crate::proxy::request;
use crate::proxy::settings::Limits;
use crate::proxy::transport::Transport;
use crate::proxy::wire::{Conn, Timer, WRITE_STALL};
use crate::proxy::worker::Worker;

/// Requests of one connection at once; more wait at the client.
const STREAMS: u32 = 100;
/// A request's head may be this long, each field counted with 32 bytes more; a longer
/// one is 431. It bounds what a few indexed bytes can unfold to.
const HEAD_MAX: u32 = 32 * 1024;
/// Requests taken back before they were looked at; with more the connection ends.
const RESET_PENDING: usize = 20;
/// Requests that we had to take back for errors of the client; with more it ends.
const RESET_LOCAL: usize = 100;
/// What a client may send of one body before it is taken.
const STREAM_WINDOW: u32 = 64 * 1024;
/// And of all bodies of a connection together.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What is kept of one answer for a client that does not take it yet.
const SEND_BUFFER: usize = 64 * 1024;
/// How often a client is asked whether it is still there, and how long it may take.
const PING: Duration = Duration::from_secs(20);
/// How far away an end is that is not in sight.
const FAR: Duration = Duration::from_secs(3600);
/// After the farewell, what is under way on the network still arrives.
const FAREWELL: Duration = Duration::from_secs(2);

/// Answers requests until the connection ends.
pub(super) async fn converse(worker: &Rc<Worker>, conn: &Rc<Conn>, stream: Transport) {
    let limits = worker.limits();
    let streams = Rc::new(Streams::new(clock::tick()));
    let service = {
        let (worker, conn, streams) = (worker.clone(), conn.clone(), streams.clone());
        service_fn(move |request| {
            let stream = Stream::open(&streams);
            let own = Conn::new(conn.peer, clock::tick());
            own.secure.set(true);
            own.body_until
                .set(Some(clock::tick() + limits.body_timeout));
            answer(worker.clone(), own, request, stream)
        })
    };
    let mut http = Box::pin(builder().serve_connection(TokioIo::new(stream), service));
    let mut timer = Timer::default();
    let mut leaving: Option<Tick> = None;
    let ended = poll_fn(|cx| {
        conn.wakes(cx);
        loop {
            if leaving.is_none() && conn.closing.get() {
                // Its requests are finished, and it hears that no more are taken.
                http.as_mut().graceful_shutdown();
                leaving = Some(clock::tick());
            }
            if let Poll::Ready(ended) = http.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            let deadline = match leaving {
                Some(left) if streams.is_idle() => left.max(streams.quiet_since.get()) + FAREWELL,
                _ => streams.deadline(&limits),
            };
            if timer.poll(cx, deadline).is_pending() {
                return Poll::Pending;
            }
            if leaving.is_some() || !streams.is_idle() {
                return Poll::Ready(Ok(()));
            }
            leaving = Some(clock::tick());
            http.as_mut().graceful_shutdown();
        }
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection ended early.");
    }
}

fn builder() -> Builder<Here> {
    let mut http = Builder::new(Here);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_MAX)
        .max_pending_accept_reset_streams(RESET_PENDING)
        .max_local_error_reset_streams(RESET_LOCAL)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    http
}

/// Runs what belongs to a connection on its own core.
#[derive(Clone, Copy, Debug)]
struct Here;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Answers one request. A panic ends it and nothing else.
async fn answer(
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    request: Request<Incoming>,
    stream: Stream,
) -> Result<Response<Taken>, Infallible> {
    let life = request::serve(worker.clone(), conn, as_http1(request));
    let response = match AssertUnwindSafe(life).catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(_) => {
            tracing::error!("A request made us panic; it is answered 500. Please report it.");
            worker.note(Observation::Refused { status: 500 });
            let mut response = Response::new(Reply::from(""));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    };
    stream.waits_for_client();
    Ok(response.map(|reply| Taken { reply, stream }))
}

/// The request as HTTP/1.1 would have brought it. What it may not have there it may not
/// have here: `strict` refuses it by the same words.
fn as_http1(request: Request<Incoming>) -> Request<Incoming> {
    let (mut head, body) = request.into_parts();
    head.version = Version::HTTP_11;
    if let Some(authority) = head.uri.authority() {
        name_host(&mut head.headers, authority.as_str());
    }
    if let Some(target) = head.uri.path_and_query()
        && head.method != http::Method::CONNECT
    {
        head.uri = Uri::from(target.clone());
    }
    join_cookies(&mut head.headers);
    if !body.is_end_stream() && !head.headers.contains_key(header::CONTENT_LENGTH) {
        // A body of unknown length, which has this name there. It goes no further.
        let chunked = HeaderValue::from_static("chunked");
        head.headers.insert(header::TRANSFER_ENCODING, chunked);
    }
    Request::from_parts(head, body)
}

/// The name it was asked for becomes its `Host`. With another one beside it there are
/// two, and that is refused.
fn name_host(headers: &mut HeaderMap, authority: &str) {
    let named = headers.get(header::HOST);
    if named.is_some_and(|named| named.as_bytes().eq_ignore_ascii_case(authority.as_bytes())) {
        return;
    }
    if let Ok(authority) = HeaderValue::from_str(authority) {
        headers.append(header::HOST, authority);
    }
}

/// HTTP/2 may cut a `Cookie` in pieces, of which HTTP/1.1 knows nothing (RFC 9113,
/// 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut pieces = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(_)) = (pieces.next(), pieces.next()) else {
        return;
    };
    let mut whole = first.as_bytes().to_vec();
    for piece in headers.get_all(header::COOKIE).iter().skip(1) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(piece.as_bytes());
    }
    if let Ok(whole) = HeaderValue::from_bytes(&whole) {
        headers.insert(header::COOKIE, whole);
    }
}

/// The requests of a connection that are not over.
#[derive(Debug)]
struct Streams {
    /// Each with the time since when its answer waits for the client; None while it
    /// waits for us. At most [`STREAMS`], and those that were just taken back.
    open: RefCell<HashMap<u64, Option<Tick>>>,
    next: Cell<u64>,
    /// When the last one was over.
    quiet_since: Cell<Tick>,
}

impl Streams {
    fn new(now: Tick) -> Self {
        Self {
            open: RefCell::default(),
            next: Cell::new(0),
            quiet_since: Cell::new(now),
        }
    }

    fn is_idle(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// When the connection has had its time: it does nothing, or a client lets an answer
    /// wait. Always further away while neither is so.
    fn deadline(&self, limits: &Limits) -> Tick {
        let open = self.open.borrow();
        if open.is_empty() {
            return self.quiet_since.get() + limits.idle_timeout;
        }
        let stalled = open.values().flatten().min();
        stalled.map_or_else(|| clock::tick() + FAR, |since| *since + WRITE_STALL)
    }
}

/// One of them.
#[derive(Debug)]
struct Stream {
    of: Rc<Streams>,
    number: u64,
}

impl Stream {
    fn open(streams: &Rc<Streams>) -> Self {
        let number = streams.next.get();
        streams.next.set(number + 1);
        streams.open.borrow_mut().insert(number, None);
        Self {
            of: streams.clone(),
            number,
        }
    }

    fn waits_for_client(&self) {
        let now = clock::tick();
        self.of.open.borrow_mut().insert(self.number, Some(now));
    }

    fn waits_for_us(&self) {
        self.of.open.borrow_mut().insert(self.number, None);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.of.open.borrow_mut().remove(&self.number);
        self.of.quiet_since.set(clock::tick());
    }
}

/// An answer's body, and how far the client has taken it: it is asked for more only
/// when there is a window for it.
#[derive(Debug)]
struct Taken {
    reply: Reply,
    stream: Stream,
}

impl Body for Taken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.reply).poll_frame(cx);
        match frame {
            Poll::Ready(_) => this.stream.waits_for_client(),
            Poll::Pending => this.stream.waits_for_us(),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.reply.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.reply.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_the_host_and_two_names_stay_two() {
        for (host, hosts) in [
            (None, vec!["voice.example.com"]),
            (Some("Voice.example.com"), vec!["Voice.example.com"]),
            (
                Some("else.example.com"),
                vec!["else.example.com", "voice.example.com"],
            ),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(header::HOST, HeaderValue::from_static(host));
            }
            name_host(&mut headers, "voice.example.com");
            let all: Vec<_> = headers.get_all(header::HOST).iter().collect();
            assert_eq!(all, hosts);
        }
    }

    #[test]
    fn a_cookie_in_pieces_becomes_one() {
        for (pieces, whole) in [
            (&["a=1", "b=2", "c=3"][..], Some("a=1; b=2; c=3")),
            (&["a=1"], Some("a=1")),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for piece in pieces {
                headers.append(header::COOKIE, HeaderValue::from_static(piece));
            }
            join_cookies(&mut headers);
            let mut all = headers.get_all(header::COOKIE).iter();
            assert_eq!(
                all.next().map(HeaderValue::as_bytes),
                whole.map(str::as_bytes)
            );
            assert_eq!(all.next(), None);
        }
    }

    #[test]
    fn a_connection_ends_when_it_does_nothing_or_lets_an_answer_wait() {
        let limits = Limits::default();
        let streams = Rc::new(Streams::new(Tick::from_secs(100)));
        assert_eq!(streams.deadline(&limits), Tick::from_secs(160));
        let one = Stream::open(&streams);
        let before = clock::tick();
        assert!(streams.deadline(&limits) >= before + FAR, "we work");
        one.waits_for_client();
        let waits = streams.deadline(&limits);
        assert!(waits >= before + WRITE_STALL && waits < before + FAR);
        one.waits_for_us();
        assert!(streams.deadline(&limits) >= before + FAR);
        drop(one);
        assert!(streams.is_idle());
        assert!(streams.deadline(&limits) >= before + limits.idle_timeout);
    }
}
