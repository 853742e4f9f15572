//! What requests tell the engine, without ever waiting for it.
//!
//! One buffer for each worker. The worker pushes under a lock that only the
//! engine's drain, ten times a second, can contend for; uncontended it costs the
//! same compare-and-swap an atomic counter would, and it keeps every observation
//! whole and in order, so that nothing is lost between two counters.

use parking_lot::Mutex;

use crate::measure::Observation;

/// How many observations a worker keeps for an engine that does not come. At
/// 50,000 requests a second this is about seven seconds of a stalled engine; past
/// it observations are dropped and counted in [`Drained::dropped`].
pub const CAPACITY: usize = 1 << 20;

/// Every worker's buffer.
#[derive(Debug)]
pub struct Tally {
    workers: Vec<Mutex<Buffer>>,
}

#[derive(Debug, Default)]
struct Buffer {
    waiting: Vec<Observation>,
    dropped: u64,
}

impl Tally {
    /// A tally for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    /// Adds one observation to a worker's buffer. A worker out of range (there is
    /// none) loses it.
    pub fn add(&self, worker: usize, observation: Observation) {
        let Some(buffer) = self.workers.get(worker) else {
            return;
        };
        let mut buffer = buffer.lock();
        if buffer.waiting.len() < CAPACITY {
            buffer.waiting.push(observation);
        } else {
            buffer.dropped += 1;
        }
    }

    /// Moves everything that waits into `into`, worker by worker, and says how
    /// many observations were dropped since the last time.
    pub fn drain(&self, into: &mut Vec<Observation>) -> u64 {
        let mut dropped = 0;
        for buffer in &self.workers {
            let mut buffer = buffer.lock();
            // append keeps the worker's allocation for the next hundred milliseconds.
            into.append(&mut buffer.waiting);
            dropped += std::mem::take(&mut buffer.dropped);
        }
        dropped
    }
}
