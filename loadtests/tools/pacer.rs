//! Wakes the load generator when the next request is due.
//!
//! `epoll` sleeps in whole milliseconds; at 4,000 requests a second one is due
//! every 250 microseconds. A thread that only sleeps is the safe way to be on time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mio::Waker;

use crate::clock;

/// Shorter waits than this are not worth a wake-up of their own, in nanoseconds.
const SHORTEST: u64 = 20_000;

/// Ends the thread when dropped.
pub(crate) struct Pacer(Arc<AtomicBool>);

impl Pacer {
    /// Rings `waker` at `begin` and every `step` nanoseconds after it.
    pub(crate) fn start(waker: Waker, begin: u64, step: f64) -> Self {
        // A thread inherits it: 1 microsecond instead of 50 late. Where it cannot be
        // set, latencies of all proxies are measured with the same lateness.
        std::fs::write("/proc/self/timerslack_ns", "1000").ok();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let past = clock::now().saturating_sub(begin) + SHORTEST;
                let due = begin + ((past as f64 / step).ceil() * step) as u64;
                thread::sleep(Duration::from_nanos(due.saturating_sub(clock::now())));
                if waker.wake().is_err() {
                    return;
                }
            }
        });
        Self(stop)
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
