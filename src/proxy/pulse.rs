//! What the workers show of themselves to whoever watches over the process: that
//! each still turns, and what went wrong that is no backend's and no caller's fault.
//!
//! Such mishaps come in floods: a process without descriptors fails twenty times a
//! second. Each kind is counted every time and said once a minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;
use crate::model::Tick;

/// A worker shows this often that it turns.
pub const BEAT: Duration = Duration::from_millis(250);
/// Between two log lines about the same kind of mishap.
const QUIET: Duration = Duration::from_secs(60);

/// What went wrong, and not by a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// A provider's connection could not be taken: no descriptors, no memory.
    Accept,
    /// A connection was closed at once: its source has as many as it may.
    Source,
    /// No connection to a backend could be opened, for want of a local port.
    Port,
    /// No connection to a backend could be opened, for want of a descriptor.
    Descriptor,
    /// A request made us panic; its connection was closed.
    Panic,
}

impl Mishap {
    /// Every kind, for metrics that exist from the start.
    pub const ALL: [Self; 5] = [
        Self::Accept,
        Self::Source,
        Self::Port,
        Self::Descriptor,
        Self::Panic,
    ];

    /// What an operator should know, and what to do about it.
    const fn sentence(self) -> &'static str {
        match self {
            Self::Accept => {
                "No connection can be taken; raise the descriptor limit (LimitNOFILE) or lower limits.connections."
            }
            Self::Source => {
                "A connection was closed at once, because its source has as many open as limits.connections_per_source says."
            }
            Self::Port => {
                "No local port is left to connect to a backend from. Let the backend keep connections open (HTTP keep-alive), or widen net.ipv4.ip_local_port_range. The backend is not blamed."
            }
            Self::Descriptor => {
                "No descriptor is left to connect to a backend; raise the descriptor limit (LimitNOFILE) or lower limits.connections. The backend is not blamed."
            }
            Self::Panic => {
                "A request made us panic; its connection was closed. The line before says where; please report it."
            }
        }
    }
}

/// The workers' signs of life and their mishaps.
#[derive(Debug)]
pub struct Pulse {
    /// When each worker last turned, as a tick.
    beats: Vec<AtomicU64>,
    mishaps: [Count; Mishap::ALL.len()],
}

/// How often something happened, and what of it was said.
#[derive(Debug, Default)]
struct Count {
    happened: AtomicU64,
    /// How often it had happened when it was last said.
    said: AtomicU64,
    /// When it may be said again, as a tick.
    quiet_until: AtomicU64,
}

impl Pulse {
    /// Of so many workers, which count as turning from `now` on.
    pub fn new(workers: usize, now: Tick) -> Self {
        Self {
            beats: (0..workers).map(|_| AtomicU64::new(now.0)).collect(),
            mishaps: Default::default(),
        }
    }

    /// A worker turns.
    pub fn beat(&self, worker: usize, now: Tick) {
        if let Some(beat) = self.beats.get(worker) {
            beat.store(now.0, Ordering::Relaxed);
        }
    }

    /// Has every worker turned since then?
    pub fn all_since(&self, moment: Tick) -> bool {
        let turned = |beat: &AtomicU64| beat.load(Ordering::Relaxed) >= moment.0;
        self.beats.iter().all(turned)
    }

    /// How often that happened since the process began.
    pub fn count(&self, mishap: Mishap) -> u64 {
        self.of(mishap).happened.load(Ordering::Relaxed)
    }

    /// Counts a mishap, and says it if that kind was not said lately. `what` is what
    /// the system or the source of it is; nothing that a caller said.
    pub(super) fn note(&self, mishap: Mishap, what: &dyn std::fmt::Display) {
        let times = self.happened(mishap, clock::tick());
        if let Some(times) = times {
            tracing::error!(%what, times, "{}", mishap.sentence());
        }
    }

    /// Counts. Some: it is to be said, and it happened so often since the last time.
    fn happened(&self, mishap: Mishap, now: Tick) -> Option<u64> {
        let count = self.of(mishap);
        let happened = count.happened.fetch_add(1, Ordering::Relaxed) + 1;
        let quiet_until = count.quiet_until.load(Ordering::Relaxed);
        if now.0 < quiet_until {
            return None;
        }
        // Of two workers that come at once, one says it.
        let next = (now + QUIET).0;
        let won = count.quiet_until.compare_exchange(
            quiet_until,
            next,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        won.ok()?;
        let said = count.said.swap(happened, Ordering::Relaxed);
        Some(happened.saturating_sub(said))
    }

    fn of(&self, mishap: Mishap) -> &Count {
        &self.mishaps[mishap as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Tick {
        Tick::from_secs(secs)
    }

    #[test]
    fn a_mishap_is_counted_each_time_and_said_once_a_minute() {
        let pulse = Pulse::new(1, secs(1));
        assert_eq!(pulse.happened(Mishap::Accept, secs(100)), Some(1));
        for _ in 0..1000 {
            assert_eq!(pulse.happened(Mishap::Accept, secs(159)), None);
        }
        assert_eq!(pulse.happened(Mishap::Accept, secs(160)), Some(1001));
        assert_eq!(pulse.happened(Mishap::Accept, secs(161)), None);
        assert_eq!(pulse.count(Mishap::Accept), 1003);
    }

    #[test]
    fn one_kind_does_not_silence_another() {
        let pulse = Pulse::new(1, secs(1));
        for mishap in Mishap::ALL {
            assert_eq!(pulse.happened(mishap, secs(5)), Some(1), "{mishap:?}");
            assert_eq!(pulse.count(mishap), 1);
        }
    }

    #[test]
    fn of_workers_that_come_at_once_one_says_it() {
        let pulse = Pulse::new(4, secs(1));
        let said: usize = std::thread::scope(|scope| {
            let one = || usize::from(pulse.happened(Mishap::Port, secs(9)).is_some());
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|it| it.join().unwrap()).sum()
        });
        assert_eq!((said, pulse.count(Mishap::Port)), (1, 4));
    }

    #[test]
    fn a_worker_that_stands_still_is_missed_though_the_others_turn() {
        let pulse = Pulse::new(2, secs(10));
        assert!(pulse.all_since(secs(10)), "they count from the start");
        pulse.beat(0, secs(20));
        pulse.beat(7, secs(20));
        assert!(!pulse.all_since(secs(11)));
        pulse.beat(1, secs(11));
        assert!(pulse.all_since(secs(11)));
        assert!(!pulse.all_since(secs(12)));
    }
}
