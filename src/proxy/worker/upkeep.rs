//! What a worker does besides serving: it shows that it turns, closes connections to
//! backends that nobody needs, parks quiet ones of providers, and passes on that everything
//! goes to legacy.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::{BREATH, Worker};
use crate::clock;
use crate::proxy::pulse::{BEAT, Mishap};

/// A provider's connection that has been quiet for this long is parked.
const QUIET: Duration = Duration::from_secs(1);
/// How often idle connections to backends are looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// Work that must never end: what panics begins anew, because a worker that has
/// stopped accepting looks well from outside and serves nobody.
pub(super) async fn tireless<F: Future<Output = ()>>(worker: Rc<Worker>, work: impl Fn() -> F) {
    while AssertUnwindSafe(work()).catch_unwind().await.is_err() {
        worker
            .shared
            .pulse
            .note(Mishap::Panic, &"a bug in the worker itself");
        tokio::time::sleep(BREATH).await;
    }
}

impl Worker {
    /// Does some work apart from the request it began in. A panic ends it and nothing
    /// else, and is counted as one of a request is.
    pub(in crate::proxy) fn apart(self: Rc<Self>, work: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                self.shared
                    .pulse
                    .note(Mishap::Panic, &"a bug in what goes on after an answer");
            }
        });
    }
}

/// Shows that this worker turns.
pub(super) async fn beat(worker: Rc<Worker>) {
    let mut every = every(BEAT);
    loop {
        every.tick().await;
        worker.shared.pulse.beat(worker.index, clock::tick());
    }
}

/// Closes connections to backends that nobody has needed for a while.
pub(super) async fn sweep(worker: Rc<Worker>) {
    let mut every = every(SWEEP);
    loop {
        every.tick().await;
        let now = clock::tick();
        worker.pools.legacy.sweep(now);
        worker.pools.new.sweep(now);
    }
}

/// Parks connections of providers that have been quiet for a while.
pub(super) async fn park(worker: Rc<Worker>) {
    let mut every = every(QUIET);
    loop {
        every.tick().await;
        let quiet_since = clock::tick() - QUIET;
        for conn in worker.active.borrow().values() {
            conn.ask_to_park(quiet_since);
        }
    }
}

/// Tells those who wait for new that everything goes to legacy.
pub(super) async fn flip(worker: Rc<Worker>) {
    let mut flips = worker.shared.flips.subscribe();
    while flips.changed().await.is_ok() {
        worker.flips.notify_waiters();
    }
}

fn every(period: Duration) -> Interval {
    let mut every = interval_at(clock::instant(clock::tick() + period), period);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every
}
