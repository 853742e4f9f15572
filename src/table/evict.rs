//! Making room in a full table.
//!
//! Forgets first what ended (and whose end was told), then what is known by events alone, then what was
//! silent longest. A twentieth goes at once, so that the scan (a few
//! milliseconds for 200,000 calls) is paid once for thousands of new calls.

use std::sync::atomic::Ordering;

use super::{Entry, Table};
use crate::calls::{Flags, Moment};
use crate::model::CallKey;

/// What part of the table goes at once.
const SHARE: usize = 20;

/// The order of forgetting: smaller goes first.
type Rank = (Class, Moment);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Ended,
    EventOnly,
    Live,
}

impl Table {
    /// Makes room for one more entry. Whoever hits the cap does it; whoever else
    /// hits it meanwhile waits, so that the table exceeds its capacity by no
    /// more than one entry for each thread.
    pub(super) fn make_room(&self) {
        if self.len() < self.capacity {
            return;
        }
        let _one_at_a_time = self.evicting.lock();
        if self.len() < self.capacity {
            return;
        }
        let missed_least = self.missed_least((self.capacity / SHARE).max(1));
        for key in missed_least {
            if self.forget(key) {
                self.evictions.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn missed_least(&self, count: usize) -> impl Iterator<Item = CallKey> {
        let mut ranked: Vec<(Rank, CallKey)> = self
            .map
            .iter()
            .map(|place| (rank(place.value()), *place.key()))
            .collect();
        if count < ranked.len() {
            ranked.select_nth_unstable(count);
            ranked.truncate(count);
        }
        ranked.into_iter().map(|(_, key)| key)
    }
}

fn rank(entry: &Entry) -> Rank {
    match entry {
        Entry::Alias(alias) => (Class::Live, alias.seen),
        Entry::Call(call) if call.has_ended() && !call.awaits_report() => {
            (Class::Ended, call.ended())
        }
        Entry::Call(call) if call.flags().has(Flags::PROVISIONAL) => {
            (Class::EventOnly, call.seen())
        }
        Entry::Call(call) => (Class::Live, call.seen()),
    }
}
