//! One worker: a thread's whole life, from the first accept to the last answer.
//!
//! Everything a connection needs lives on its worker's core and is shared with no
//! other: connections to backends, buffers, timers. A worker that is slow delays
//! its own connections and nobody else's.

mod connection;
mod door;
mod ending;
mod upkeep;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::document::seen::Seen;
use crate::measure::Observation;
use crate::model::PerBackend;
use crate::proxy::Shared;
use crate::proxy::pool::Pool;
use crate::proxy::settings::Limits;
use crate::proxy::upstream::{self, Failure, INPUT};
use crate::proxy::wire::Conn;
use door::accept;
use ending::{empty_queue, finish, wait_for_handshakes};
use upkeep::{beat, flip, park, sweep, tireless};

/// A request head may be this long; more is 431.
const HEAD_MAX: usize = 32 * 1024;
/// What is read ahead of one connection, at most.
const READ_AHEAD: usize = HEAD_MAX + 1024;
/// After an accept that failed for want of descriptors or memory, we wait this
/// long: connections must end before another can begin, and spinning helps nobody.
const BREATH: Duration = Duration::from_millis(50);
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

    pub(super) fn limits(&self) -> Limits {
        self.shared.routing.load().settings.limits
    }

    /// This worker's part of a limit over all of them, at least one.
    fn part_of(&self, limit: usize) -> usize {
        limit.div_ceil(self.shared.workers.max(1)).max(1)
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

#[cfg(test)]
mod tests;
