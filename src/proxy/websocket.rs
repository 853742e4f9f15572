//! A call's audio, live: `<Stream>` and ConversationRelay, on the call's backend.
//!
//! A handshake comes as a request and hyper answers it; after a 101 the connection
//! is taken from hyper, and [`run`] carries bytes between provider and backend
//! until either ends. Where the handshake's URL says which call it is,
//! its backend is asked first and the provider is told what it said, whatever that
//! is. Where it does not, we say yes ourselves, read up to the frame that names the
//! call, and only then ask that call's backend, which hears everything from the
//! first byte. It is asked without extensions then, and with the first of the
//! subprotocols offered, because that is what we have agreed to.
//!
//! A tunnel begins with a 101 and never before. Bytes that a client sends behind
//! its handshake are another request if the answer is not 101; if it is,
//! they were sent by somebody who wants two readers to disagree, and the connection
//! closes.
//!
//! In memory a stream costs what its two connections do. While it is looked at for
//! its call that is up to twice [`peek::MAX`] more, for at most [`NAMING`].

mod account;
mod frames;
mod peek;
mod pump;
mod upgrade;

pub(super) use pump::LINGER;
pub(super) use upgrade::{first_protocol, is_handshake};

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tokio::io::AsyncReadExt;

use crate::clock;
use crate::measure::{Cause, Fault, Observation};
use crate::model::Backend;
use crate::protocol::signature::TwilioToken;
use crate::proxy::body::Reply;
use crate::proxy::head::{Outgoing, Upgrade};
use crate::proxy::peer::Peer;
use crate::proxy::pool::Link;
use crate::proxy::settings::Settings;
use crate::proxy::strict::Refusal;
use crate::proxy::upstream::{self, Answer, Failure};
use crate::proxy::wire::{Conn, Wire};
use crate::proxy::worker::Worker;

use account::Account;
use peek::{Look, Peek, Violation};
use pump::{Ended, Pump};
use upgrade::Said;

/// A provider names the call in its first frames, at once. One that has not in
/// this time goes where calls go that nobody knows.
const NAMING: Duration = Duration::from_secs(5);

/// Close codes (RFC 6455, 7.4.1).
mod code {
    /// Nothing was wrong.
    pub(super) const NORMAL: u16 = 1000;
    /// We stop, or nobody said anything any more.
    pub(super) const GOING_AWAY: u16 = 1001;
    /// The provider broke the protocol.
    pub(super) const PROTOCOL_ERROR: u16 = 1002;
    /// The backend does not take it.
    pub(super) const INTERNAL_ERROR: u16 = 1011;
    /// Nobody is let through now (registered with IANA after the RFC).
    pub(super) const TRY_AGAIN_LATER: u16 = 1013;
}

/// A handshake, and what is needed to repeat it to a backend. Owned, for it may
/// outlive its request.
#[derive(Debug)]
pub(super) struct Handshake {
    /// On whose core.
    pub(super) worker: Rc<Worker>,
    /// The settings it came under.
    pub(super) settings: Arc<Settings>,
    /// What the provider sent.
    pub(super) head: Parts,
    /// Path and query as a backend is to receive them.
    pub(super) target: String,
    /// Who sent it.
    pub(super) peer: Peer,
    /// Signs it anew for the backend's own URL.
    pub(super) resign: Option<TwilioToken>,
    /// A backend must answer it in this time.
    pub(super) timeout: Duration,
}

/// Whose stream it is.
#[derive(Debug)]
pub(super) enum Whose {
    /// Of a call on this backend.
    On(Backend),
    /// Its frames will say.
    Named(Finder),
}

/// Finds the backend of a call by the ids its stream names, the best first. With
/// none, or none that is known: where such a call would begin. None: an emergency stop
/// lets it not begin.
pub(super) struct Finder(pub(super) Box<Find>);

/// What a [`Finder`] asks.
pub(super) type Find = dyn Fn(&[&str]) -> Option<Backend>;

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Finder")
    }
}

/// What is to become of a connection after its 101.
pub(super) struct Plan {
    handshake: Handshake,
    account: Account,
    next: Next,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not its worker: that holds the connection which holds this.
        f.debug_struct("Plan")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Next {
    /// The backend has switched too, and has said this already.
    Pump(Link, Bytes),
    /// No backend knows of it yet.
    Find(Finder),
}

/// Answers a handshake. After a 101 the connection's [`Plan`] says how it goes on.
///
/// # Errors
///
/// There are as many streams as may be, or the client did not wait for the answer.
pub(super) async fn answer(
    conn: &Conn,
    handshake: Handshake,
    whose: Whose,
) -> Result<Response<Reply>, Refusal> {
    let Some(account) = Account::open(&handshake.worker) else {
        return Err(Refusal::polite(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many streams\n",
        ));
    };
    conn.upgrading.set(true);
    let answered = match whose {
        Whose::On(backend) => relay(conn, handshake, account, backend).await,
        Whose::Named(finder) => {
            let headers = upgrade::agreed(&handshake.head);
            switch(conn, handshake, account, Next::Find(finder), headers)
        }
    };
    // Until the 101 is written, and that is the last that hyper writes.
    conn.upgrading.set(conn.streaming.get());
    conn.answered.set(clock::tick());
    answered
}

/// Asks the backend and passes on what it says.
async fn relay(
    conn: &Conn,
    handshake: Handshake,
    mut account: Account,
    backend: Backend,
) -> Result<Response<Reply>, Refusal> {
    account.asked(backend);
    let deadline = clock::tick() + handshake.timeout;
    let asked = handshake.ask(conn, backend, Upgrade::AsIs);
    let said = conn.within(deadline, asked).await;
    match said.unwrap_or_else(|| Err(Failure::timeout())) {
        Ok(Said::Yes(link, head, rest)) => {
            let next = Next::Pump(link, rest);
            switch(conn, handshake, account, next, head.headers)
        }
        Ok(Said::No(answer)) => {
            say_declined(backend, answer.head.status);
            Ok(pass_on(answer))
        }
        Err(failure) => {
            say_failed(backend, &failure);
            let status = match failure.cause {
                Cause::Timeout => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            };
            let mut response = Response::new(Reply::from(""));
            *response.status_mut() = status;
            Ok(response)
        }
    }
}

/// The 101 itself, and what comes after.
fn switch(
    conn: &Conn,
    handshake: Handshake,
    mut account: Account,
    next: Next,
    headers: HeaderMap,
) -> Result<Response<Reply>, Refusal> {
    if !conn.nothing_ahead() {
        account.settle();
        return Err(Refusal::closing(
            StatusCode::BAD_REQUEST,
            "wait for the answer to a handshake\n",
        ));
    }
    if matches!(next, Next::Pump(..)) {
        account.opened();
    }
    conn.plan.replace(Some(Box::new(Plan {
        handshake,
        account,
        next,
    })));
    conn.streaming.set(true);
    let mut response = Response::new(Reply::from(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    Ok(response)
}

/// A backend's answer to a handshake that it does not take. One longer than any
/// document is not passed on: nobody would read it.
fn pass_on(answer: Answer) -> Response<Reply> {
    let (status, body) = match answer.body {
        upstream::Body::Whole(body) => (answer.head.status, body),
        upstream::Body::Long(..) => (StatusCode::BAD_GATEWAY, Bytes::new()),
    };
    let mut response = Response::new(Reply::Whole(body));
    *response.status_mut() = status;
    *response.headers_mut() = answer.head.headers;
    response
}

/// A stream's life after its 101. `early` came between the 101 and now.
pub(super) async fn run(conn: &Conn, mut wire: Wire, early: Bytes, plan: Box<Plan>) {
    let Plan {
        handshake,
        mut account,
        next,
    } = *plan;
    let opened = match next {
        Next::Pump(link, down) => Ok((link, early.to_vec(), down.to_vec())),
        Next::Find(finder) => {
            tokio::select! {
                opened = find(conn, &mut wire, &early, &handshake, &finder, &mut account) => opened,
                () = conn.cut_off() => Err(code::GOING_AWAY),
            }
        }
    };
    let (link, up, down) = match opened {
        Ok(opened) => opened,
        Err(code) => {
            // Said before anybody can see that it is so.
            drop(account);
            pump::last_word(&mut wire, &frames::close(code, None)).await;
            return pump::hang_up(&mut wire).await;
        }
    };
    let idle = handshake.settings.limits.stream_idle_timeout;
    let [a, b, c, d, ..] = handshake.worker.lot().to_be_bytes();
    // What a handshake holds is not needed any more, and a stream may be long.
    drop(handshake);
    let mut pump = Pump::new(wire, link.stream, up, down);
    let ended = tokio::select! {
        ended = pump.run(idle, pump::HALF_OPEN) => Some(ended),
        () = conn.cut_off() => None,
    };
    match ended {
        Some(Ended::Whole) => {}
        Some(Ended::Provider(error)) => tracing::debug!(%error, "A provider broke off a stream."),
        Some(Ended::Backend(error)) => tracing::info!(%error, "A backend broke off a stream."),
        Some(Ended::Idle) | None => pump.cut(code::GOING_AWAY, [a, b, c, d]).await,
    }
    drop(account);
}

/// Reads until the call is named and asks its backend. Gives the connection to it,
/// with what the provider and the backend have said already. Err: the code to close
/// with.
async fn find(
    conn: &Conn,
    wire: &mut Wire,
    early: &[u8],
    handshake: &Handshake,
    finder: &Finder,
    account: &mut Account,
) -> Result<(Link, Vec<u8>, Vec<u8>), u16> {
    let mut peek = Peek::default();
    let looked = tokio::time::timeout(NAMING, look(wire, early, &mut peek)).await;
    let ids = match looked.unwrap_or(Ok(Look::Enough)) {
        Ok(Look::Named(ids)) => ids,
        Ok(Look::More | Look::Enough) => Vec::new(),
        Ok(Look::Closed) => return Err(code::NORMAL),
        Err(violation) => {
            tracing::debug!(%violation, "A stream was closed.");
            return Err(code::PROTOCOL_ERROR);
        }
    };
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let Some(backend) = (finder.0)(&ids) else {
        account.settle();
        let status = StatusCode::SERVICE_UNAVAILABLE.as_u16();
        handshake.worker.note(Observation::Refused { status });
        return Err(code::TRY_AGAIN_LATER);
    };
    account.asked(backend);
    let deadline = clock::tick() + handshake.timeout;
    let asked = handshake.ask(conn, backend, Upgrade::Plain);
    let said = conn.within(deadline, asked).await;
    match said.unwrap_or_else(|| Err(Failure::timeout())) {
        Ok(Said::Yes(link, _, down)) => {
            account.opened();
            Ok((link, peek.into_bytes(), down.to_vec()))
        }
        Ok(Said::No(answer)) => {
            say_declined(backend, answer.head.status);
            Err(code::INTERNAL_ERROR)
        }
        Err(failure) => {
            say_failed(backend, &failure);
            Err(code::INTERNAL_ERROR)
        }
    }
}

/// Reads until there is something to say about it.
async fn look(wire: &mut Wire, early: &[u8], peek: &mut Peek) -> Result<Look, Violation> {
    // hyper's buffer is no longer than what may be looked at.
    let mut look = peek.see(early)?;
    let mut piece = [0; 2048];
    while look == Look::More {
        let room = peek.room().min(piece.len());
        let room = piece.get_mut(..room).unwrap_or_default();
        match wire.read(room).await {
            Ok(got @ 1..) => look = peek.see(room.get(..got).unwrap_or_default())?,
            Ok(0) | Err(_) => return Ok(Look::Closed),
        }
    }
    Ok(look)
}

impl Handshake {
    /// Asks a backend for the same.
    async fn ask(&self, conn: &Conn, backend: Backend, upgrade: Upgrade) -> Result<Said, Failure> {
        let worker = &self.worker;
        let upstream = &self.settings.backends[backend];
        let mut message = Vec::with_capacity(1024);
        let outgoing = Outgoing {
            head: &self.head,
            target: &self.target,
            body: 0,
            is_read: false,
            upgrade,
            peer: self.peer,
            peer_text: &conn.peer_text,
            public: self.settings.public.as_ref(),
            upstream,
            lots: [worker.lot(), worker.lot(), worker.lot()],
        };
        let signature = (self.resign.as_ref()).map(|token| outgoing.signed_by(token, b""));
        outgoing.write(signature.as_ref(), &mut message);
        let accept = upgrade::accept(&self.head);
        upgrade::ask(worker, (backend, upstream), &message, &accept).await
    }
}

fn say_declined(backend: Backend, status: StatusCode) {
    tracing::info!(
        backend = backend.name(),
        status = status.as_u16(),
        "A backend did not take a stream."
    );
}

fn say_failed(backend: Backend, failure: &Failure) {
    let cause = failure.cause.name();
    let source = failure.source.as_deref();
    if failure.cause.fault() == Fault::Backend {
        tracing::info!(
            backend = backend.name(),
            cause,
            source,
            "A backend did not take a stream."
        );
    } else {
        tracing::warn!(
            backend = backend.name(),
            cause,
            source,
            "A stream could not be opened."
        );
    }
}
