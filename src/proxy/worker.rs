//! One worker: a thread's whole life, from the first accept to the last answer.
//!
//! Everything a connection needs lives on its worker's core and is shared with no
//! other: connections to backends, buffers, timers. A worker that is slow delays
//! its own connections and nobody else's.

mod upkeep;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::clock;
use crate::document::seen::Seen;
use crate::measure::Observation;
use crate::model::{PerBackend, Tick};
use crate::proxy::pool::Pool;
use crate::proxy::pulse::Mishap;
use crate::proxy::settings::Limits;
use crate::proxy::transport::Transport;
use crate::proxy::upstream::{self, Failure, INPUT};
use crate::proxy::websocket::Plan;
use crate::proxy::wire::{Conn, Parking, Wire};
use crate::proxy::{Shared, http2, listener, peer, request, sources, tls, websocket};
use upkeep::{beat, park, sweep, tireless};

/// A request head may be this long; more is 431.
const HEAD_MAX: usize = 32 * 1024;
/// What is read ahead of one connection, at most.
const READ_AHEAD: usize = HEAD_MAX + 1024;
/// After an accept that failed for want of descriptors or memory, we wait this
/// long: connections must end before another can begin, and spinning helps nobody.
const BREATH: Duration = Duration::from_millis(50);
/// Between the last connection that may begin and the closing of the port: the
/// others' handshakes end. Longer than any round trip to a provider should be.
const HANDSHAKE: Duration = Duration::from_millis(250);
/// After the last websockets were told to end: they say so to both sides, hang up,
/// and wait that long for the others to hear it.
const GOODBYE: Duration = websocket::LINGER.saturating_add(Duration::from_millis(250));
/// Between the last accept and the closing of idle connections: requests that
/// were on their way when we were told to stop still arrive.
const LAST_CALL: Duration = Duration::from_millis(250);
/// Connections of one worker that may keep hyper's buffers while they are quiet; with
/// more, each is parked as soon as its request is answered. (Parking frees memory for
/// the next connection, not for other processes: what is in use at once counts.)
const ACTIVE_MAX: usize = 256;
/// Buffers kept for the next request, by one worker; more are freed.
const SCRATCHES: usize = 16;
/// A message buffer that has grown beyond this is freed instead of kept.
const MESSAGE_KEPT: usize = 64 * 1024;

/// What a worker is to do about new and running work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drain {
    /// Serve.
    #[default]
    No,
    /// Take what waits in the accept queue, close the port, finish what runs
    /// (requests for at most `limits.drain_timeout`, websockets for at most
    /// `limits.stream_drain_timeout`), stop.
    Gently,
    /// Stop.
    Now,
}

/// Runs a worker on this thread until it is drained. `index` is its place in the
/// tally; the sockets are its own (see [`listener::bind`](super::listener::bind)).
///
/// # Errors
///
/// The runtime could not be built, or a listener not be registered: no
/// descriptors are left.
pub fn run(
    index: usize,
    listeners: Vec<std::net::TcpListener>,
    shared: Shared,
    drain: watch::Receiver<Drain>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(live(Worker::new(index, shared), listeners, drain))
}

/// One worker's belongings.
#[derive(Debug)]
pub(super) struct Worker {
    /// What it shares.
    pub(super) shared: Shared,
    /// Its connections to backends.
    pub(super) pools: PerBackend<Pool>,
    index: usize,
    http: http1::Builder,
    scratches: RefCell<Vec<Scratch>>,
    /// Documents it has judged before.
    pub(super) seen: RefCell<Seen>,
    connections: RefCell<HashMap<u64, Rc<Conn>>>,
    /// Those that are not parked.
    active: RefCell<HashMap<u64, Rc<Conn>>>,
    accepted: Cell<u64>,
    /// Rings whenever a connection ends.
    ended: Notify,
    /// Rings when everything is sent to legacy.
    pub(super) flips: Notify,
    draining: Cell<bool>,
    lots: Cell<u64>,
    /// Websockets that are open or being opened.
    streams: Cell<usize>,
    /// Late answers that are waited for, apart from their requests.
    pub(super) lates: Cell<usize>,
    /// It was said that there is no room for more of them.
    said_full: Cell<bool>,
}

/// Buffers for one request in flight.
#[derive(Debug)]
pub(super) struct Scratch {
    /// The request as it goes to the backend.
    pub(super) message: Vec<u8>,
    /// What comes from the backend; as long as it is, all of it can be read into.
    pub(super) input: Vec<u8>,
}

impl Worker {
    fn new(index: usize, shared: Shared) -> Rc<Self> {
        let mut http = http1::Builder::new();
        // Below 16 KiB one flat write costs less than a vectored one. Time is
        // watched by `wire`, for less than hyper's own timer costs.
        http.writev(false)
            .half_close(false)
            .max_buf_size(READ_AHEAD)
            .max_header_size(HEAD_MAX)
            .header_read_timeout(None);
        Rc::new(Self {
            shared,
            pools: PerBackend::default(),
            index,
            http,
            scratches: RefCell::default(),
            seen: RefCell::new(Seen::new(rand::random())),
            connections: RefCell::default(),
            active: RefCell::default(),
            accepted: Cell::new(0),
            ended: Notify::new(),
            flips: Notify::new(),
            draining: Cell::new(false),
            lots: Cell::new(rand::random()),
            streams: Cell::new(0),
            lates: Cell::new(0),
            said_full: Cell::new(false),
        })
    }

    /// Tells the engine.
    pub(super) fn note(&self, observation: Observation) {
        self.shared.tally.add(self.index, observation);
    }

    /// Are we about to stop?
    pub(super) fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Buffers for a request.
    pub(super) fn scratch(&self) -> Scratch {
        self.scratches
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Scratch {
                message: Vec::with_capacity(2048),
                input: vec![0; INPUT],
            })
    }

    /// Takes buffers back.
    pub(super) fn keep(&self, mut scratch: Scratch) {
        let mut kept = self.scratches.borrow_mut();
        if kept.len() < SCRATCHES && scratch.message.capacity() <= MESSAGE_KEPT {
            scratch.message.clear();
            scratch.input.truncate(INPUT);
            scratch.input.shrink_to(INPUT);
            kept.push(scratch);
        }
    }

    /// Are so many connections active that one should be parked as soon as its
    /// request is answered?
    pub(super) fn crowded(&self) -> bool {
        self.active.borrow().len() > ACTIVE_MAX
    }

    /// A random number, good enough for an id that only has to be different
    /// (SplitMix64 from a random start).
    pub(super) fn lot(&self) -> u64 {
        let state = self.lots.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.lots.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Takes a place for a websocket; false if this worker's part of
    /// `limits.streams` is taken.
    pub(super) fn take_stream(&self) -> bool {
        let streams = self.streams.get();
        let max = self.part_of(self.limits().streams);
        if streams >= max {
            if !self.said_full.replace(true) {
                tracing::warn!(
                    streams,
                    "A websocket was refused because as many are open as may be; raise limits.streams."
                );
            }
            return false;
        }
        self.streams.set(streams + 1);
        true
    }

    /// Gives a place back.
    pub(super) fn leave_stream(&self) {
        self.streams.set(self.streams.get() - 1);
        self.said_full.set(false);
    }

    /// No connection to a backend. What of it is our own doing is counted and said.
    pub(super) fn no_connection(&self, error: io::Error) -> Failure {
        let own = upstream::own_doing(&error);
        if let Some(mishap) = own {
            self.shared.pulse.note(mishap, &error);
        }
        Failure::connect(error)
    }

    /// A connection's place among those of its source, where they are bounded. None:
    /// it has no place.
    fn place_for(&self, peer: SocketAddr) -> Option<Option<sources::Place>> {
        let routing = self.shared.routing.load();
        let settings = &routing.settings;
        let most = settings.limits.connections_per_source;
        if most == 0 || peer::Peer::new(peer.ip(), &settings.trusted_proxies).trusted {
            return Some(None);
        }
        self.shared.sources.take(peer.ip(), most).map(Some)
    }

    pub(super) fn limits(&self) -> Limits {
        self.shared.routing.load().settings.limits
    }

    /// This worker's part of the connection limit.
    fn connections_max(&self) -> usize {
        self.part_of(self.limits().connections)
    }

    /// This worker's part of a limit over all of them, at least one.
    fn part_of(&self, limit: usize) -> usize {
        limit.div_ceil(self.shared.workers.max(1)).max(1)
    }

    fn is_full(&self) -> bool {
        self.connections.borrow().len() >= self.connections_max()
    }
}

/// From the first accept to the last answer.
async fn live(
    worker: Rc<Worker>,
    listeners: Vec<std::net::TcpListener>,
    mut drain: watch::Receiver<Drain>,
) -> io::Result<()> {
    let mut accepting: Vec<(Rc<TcpListener>, JoinHandle<()>)> = Vec::new();
    for listener in listeners {
        let listener = Rc::new(TcpListener::from_std(listener)?);
        let (own, open) = (worker.clone(), listener.clone());
        let task = tireless(worker.clone(), move || accept(own.clone(), open.clone()));
        accepting.push((listener, tokio::task::spawn_local(task)));
    }
    let (sweeper, parker, flipper) = (worker.clone(), worker.clone(), worker.clone());
    let sweeping = tireless(worker.clone(), move || sweep(sweeper.clone()));
    let parking = tireless(worker.clone(), move || park(parker.clone()));
    let flipping = tireless(worker.clone(), move || flip(flipper.clone()));
    let upkeep = [
        tokio::task::spawn_local(sweeping),
        tokio::task::spawn_local(parking),
        tokio::task::spawn_local(flipping),
        tokio::task::spawn_local(beat(worker.clone())),
    ];
    // A sender that is gone cannot tell us to stop any more: stop.
    let now = matches!(
        drain.wait_for(|drain| *drain != Drain::No).await.as_deref(),
        Ok(Drain::Now)
    );
    worker.draining.set(true);
    // A supervisor's socket stays open for whoever comes next, so nothing that begins
    // now is lost; and what is done to it would outlive us.
    if !now && !worker.shared.inherited {
        wait_for_handshakes(accepting.iter().map(|(listener, _)| &**listener)).await;
    }
    for (listener, task) in accepting {
        task.abort();
        // Its task must let go of the listener before we can have it.
        drop(task.await);
        empty_queue(&worker, listener);
    }
    let hurry = async {
        if drain.wait_for(|drain| *drain == Drain::Now).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    if !now {
        tokio::select! {
            () = finish(&worker) => {}
            () = hurry => {}
        }
    }
    for task in upkeep {
        task.abort();
    }
    // A websocket about to begin is held by its connection and holds us.
    for conn in worker.connections.take().into_values() {
        drop(conn.plan.take());
    }
    Ok(())
}

/// Tells those who wait for new that everything goes to legacy.
async fn flip(worker: Rc<Worker>) {
    let mut flips = worker.shared.flips.subscribe();
    while flips.changed().await.is_ok() {
        worker.flips.notify_waiters();
    }
}

/// Takes connections for as long as there is room for them.
async fn accept(worker: Rc<Worker>, listener: Rc<TcpListener>) {
    loop {
        while worker.is_full() {
            // The rest waits in the kernel's queue.
            worker.ended.notified().await;
        }
        match listener.accept().await {
            Ok((stream, peer)) => admit(&worker, stream, peer),
            Err(error) if is_the_client_s(&error) => {}
            Err(error) => {
                worker.shared.pulse.note(Mishap::Accept, &error);
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// It hung up while it waited; the next one need not wait for that.
fn is_the_client_s(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Lets no new connection begin, and goes on accepting those that have begun.
async fn wait_for_handshakes(mut listeners: impl Iterator<Item = &TcpListener>) {
    // Where the kernel cannot, waiting would only let more of them in.
    if listeners.all(|listener| listener::close_the_gate(listener).is_ok()) {
        tokio::time::sleep(HANDSHAKE).await;
    }
}

/// Takes what waits in the accept queue, then closes the port.
fn empty_queue(worker: &Rc<Worker>, listener: Rc<TcpListener>) {
    let Some(listener) = Rc::into_inner(listener) else {
        return;
    };
    // The system's own accept, because tokio's knows only what it has polled.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok((stream, peer)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            admit(worker, stream, peer);
        }
    }
}

/// Waits until every connection has ended, or the time for it is over: one time for
/// requests, another for websockets, which last as long as calls do.
async fn finish(worker: &Rc<Worker>) {
    let now = clock::tick();
    let all_ended = async {
        while !worker.connections.borrow().is_empty() {
            worker.ended.notified().await;
        }
    };
    let last_call = async {
        tokio::time::sleep(LAST_CALL).await;
        for conn in worker.connections.borrow().values() {
            conn.close();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = all_ended => {}
        () = last_call => {}
        () = cut_late(worker, now) => {}
    }
}

/// Ends what runs for too long after `drained`, and returns when all of it must be over.
async fn cut_late(worker: &Worker, drained: Tick) {
    let limits = worker.limits();
    let requests = async {
        tokio::time::sleep_until(clock::instant(drained + limits.drain_timeout)).await;
        cut(worker, false);
    };
    let streams = async {
        tokio::time::sleep_until(clock::instant(drained + limits.stream_drain_timeout)).await;
        cut(worker, true);
        tokio::time::sleep(GOODBYE).await;
    };
    tokio::join!(requests, streams);
}

/// Ends what still runs: the websockets, or all else.
fn cut(worker: &Worker, streams: bool) {
    let connections = worker.connections.borrow();
    let late = connections
        .values()
        .filter(|conn| conn.streaming.get() == streams);
    let mut cut = 0;
    for conn in late {
        conn.cut();
        cut += 1;
    }
    match (cut, streams) {
        (0, _) => {}
        (_, true) => tracing::warn!(
            cut,
            "Websockets were still open when the time for them (limits.stream_drain_timeout) was over."
        ),
        (_, false) => tracing::warn!(
            cut,
            "Requests were still running when the time to finish them was over."
        ),
    }
}

/// Begins a connection.
fn admit(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let Some(place) = worker.place_for(peer) else {
        return worker.shared.pulse.note(Mishap::Source, &peer.ip());
    };
    // Without it a small answer waits for the acknowledgement of the last one.
    // If the kernel will not, answers are late but right.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused.");
    }
    // tokio takes a new socket for readable until the system says that it is not.
    // Whatever else the system says, a read will hear it too.
    drop(stream.try_io(Interest::READABLE, || {
        SockRef::from(&stream).peek(&mut [MaybeUninit::uninit()])
    }));
    let id = worker.accepted.get();
    worker.accepted.set(id + 1);
    let now = clock::tick();
    let conn = Conn::new(peer.ip(), now);
    worker.connections.borrow_mut().insert(id, conn.clone());
    let speaks = worker
        .shared
        .routing
        .load()
        .settings
        .tls
        .as_ref()
        .map(|tls| tls.config());
    let limits = worker.limits();
    if let Some(config) = speaks {
        conn.secure.set(true);
        let life = secure(worker.clone(), conn.clone(), (stream, config), id, now);
        // On the heap, because plain ones should not carry room for it.
        let life = serve(worker.clone(), conn, Box::pin(life), id);
        tokio::task::spawn_local(keeping(place, life));
        return;
    }
    let wire = Wire::new(Transport::Plain(stream), conn.clone(), limits, now);
    let life = converse(worker.clone(), conn.clone(), wire, id);
    tokio::task::spawn_local(keeping(place, serve(worker.clone(), conn, life, id)));
}

/// A life in a place that is given back at its end.
async fn keeping(place: Option<sources::Place>, life: impl Future<Output = ()>) {
    life.await;
    drop(place);
}

/// The life of a connection that begins with a TLS handshake, for which it has the time
/// of a head.
async fn secure(
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    (stream, config): (TcpStream, Arc<ServerConfig>),
    id: u64,
    now: Tick,
) {
    let limits = worker.limits();
    let greeting = tls::greet(&conn, stream, config, now + limits.head_timeout);
    match Box::pin(greeting).await {
        Ok(stream) if stream.is_http2() => {
            Box::pin(http2::converse(&worker, &conn, stream)).await;
        }
        Ok(stream) => {
            let wire = Wire::new(stream, conn.clone(), limits, clock::tick());
            converse(worker, conn, wire, id).await;
        }
        Err(why) => worker.note(Observation::Unsecured(why)),
    }
}

/// A connection's life. A panic ends it and nothing else.
async fn serve(worker: Rc<Worker>, conn: Rc<Conn>, life: impl Future<Output = ()>, id: u64) {
    let mut life = pin!(life);
    let life = poll_fn(|cx| {
        // A websocket ends by itself, with a word to both sides.
        if conn.cut.get() && !conn.streaming.get() {
            return Poll::Ready(());
        }
        life.as_mut().poll(cx)
    });
    if AssertUnwindSafe(life).catch_unwind().await.is_err() {
        worker.shared.pulse.note(Mishap::Panic, &"a bug");
        worker.note(Observation::Refused { status: 500 });
    }
    worker.active.borrow_mut().remove(&id);
    worker.connections.borrow_mut().remove(&id);
    worker.ended.notify_waiters();
}

/// Parked until the client says something, with hyper until it is quiet again.
async fn converse(worker: Rc<Worker>, conn: Rc<Conn>, mut wire: Wire, id: u64) {
    while wire.next().await {
        worker.active.borrow_mut().insert(id, conn.clone());
        let left = attend(&worker, &conn, wire).await;
        worker.active.borrow_mut().remove(&id);
        match left {
            Left::Quiet(quiet) => wire = quiet,
            Left::Switched(wire, early, plan) => {
                // On the heap, because most connections are none.
                return Box::pin(websocket::run(&conn, wire, early, plan)).await;
            }
            Left::Over => return,
        }
    }
}

/// How hyper leaves a connection.
enum Left {
    /// It is quiet and can be parked.
    Quiet(Wire),
    /// It is a websocket now. With what hyper had read behind the handshake.
    Switched(Wire, Bytes, Box<Plan>),
    /// It has ended.
    Over,
}

/// Answers requests until the connection ends, or is given back.
async fn attend(worker: &Rc<Worker>, conn: &Rc<Conn>, wire: Wire) -> Left {
    let service = {
        let (worker, conn) = (worker.clone(), conn.clone());
        service_fn(move |request| request::serve(worker.clone(), conn.clone(), request))
    };
    // On the heap, because there it is gone when the connection is parked.
    let mut http = Box::pin(worker.http.serve_connection(TokioIo::new(wire), service));
    let mut told = false;
    let ended = poll_fn(|cx| {
        // hyper would add its own word to the answer of a handshake.
        if !told && conn.closing.get() && !conn.upgrading.get() {
            told = true;
            // What has come already is still answered.
            if let Poll::Ready(ended) = http.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            http.as_mut().graceful_shutdown();
        }
        let mut polled = http.as_mut().poll(cx);
        if polled.is_pending() && conn.parking.get() == Parking::Asked {
            // After an answer hyper trusts that there is still nothing to read; only
            // when polled once more does it ask the wire, which knows.
            polled = http.as_mut().poll(cx);
        }
        match polled {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if conn.may_park() && !told => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    let Some(ended) = ended else {
        return Left::Quiet(Pin::into_inner(http).into_parts().io.into_inner());
    };
    let plan = conn.plan.take();
    if let Err(error) = ended {
        // The client's doing, nearly always: it hung up, or sent no HTTP. Those
        // that hyper refused by itself never came to `request`.
        if error.is_parse() {
            let status = if error.is_parse_too_large() { 431 } else { 400 };
            worker.note(Observation::Refused { status });
        }
        tracing::debug!(%error, "A connection ended early.");
    } else if let Some(plan) = plan {
        // The 101 is written.
        let parts = Pin::into_inner(http).into_parts();
        return Left::Switched(parts.io.into_inner(), parts.read_buf, plan);
    }
    Left::Over
}

#[cfg(test)]
mod tests;
