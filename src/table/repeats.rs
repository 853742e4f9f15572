//! Which events were told already.
//!
//! A provider may deliver one event twice, and says so by giving both the same id. A
//! second delivery is passed on, since the first may have been lost on its way back,
//! but counts once.
//!
//! Two generations of ids in each shard, so that forgetting costs nothing: when the
//! younger is ten minutes old, or full, it becomes the older, and the older is let go.
//! Full means that more than a hundred thousand ids came within ten minutes; then a
//! repeat that comes late enough counts twice, and nothing worse happens.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::seat::Passed;
use crate::calls::Moment;
use crate::model::Tick;

/// So long a repeat is known for one.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// Ids kept in all.
const MOST: usize = 200_000;

/// Locks, so that workers seldom meet.
const SHARDS: usize = 16;

/// Ids kept in a generation of a shard.
const MOST_EACH: usize = MOST / SHARDS / 2;

/// Ids of events that came lately.
#[derive(Debug)]
pub(super) struct Repeats {
    seed: u64,
    shards: [Mutex<Shard>; SHARDS],
}

/// The ids whose hash begins alike.
#[derive(Debug, Default)]
struct Shard {
    /// When the younger generation began.
    since: Moment,
    younger: Ids,
    older: Ids,
}

/// When each was first told.
type Ids = HashMap<u128, Moment, Passed>;

impl Repeats {
    /// `seed` is secret, so nobody can make two ids meet on purpose.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    pub(super) fn repeated(&self, id: &str, now: Tick) -> bool {
        let key = xxh3_128_with_seed(id.as_bytes(), self.seed);
        // The upper half; the maps use the lower.
        let shard = usize::try_from(key >> 64).unwrap_or_default() % SHARDS;
        self.shards
            .get(shard)
            .is_some_and(|shard| shard.lock().repeated(key, now.into()))
    }
}

impl Shard {
    fn repeated(&mut self, key: u128, now: Moment) -> bool {
        let before = self.younger.get(&key).or_else(|| self.older.get(&key));
        if before.is_some_and(|before| now.since(*before) <= REMEMBERED) {
            return true;
        }
        if self.younger.len() >= MOST_EACH || now.since(self.since) > REMEMBERED {
            self.older = std::mem::take(&mut self.younger);
            self.since = now;
        }
        self.younger.insert(key, now);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tenths: u64) -> Tick {
        Tick(1_000_000_000 + tenths * 100_000)
    }

    #[test]
    fn a_second_delivery_within_ten_minutes_is_known_and_a_second_more_is_not() {
        // Wherever in a generation the first one falls.
        for first in [0, 1, 3_000, 5_999, 6_000, 6_001, 9_000] {
            let repeats = Repeats::new(42);
            assert!(!repeats.repeated("another", at(0)));
            assert!(!repeats.repeated("evt-1", at(first)), "{first}");
            assert!(repeats.repeated("evt-1", at(first)), "{first}");
            assert!(repeats.repeated("evt-1", at(first + 6_000)), "{first}");
            assert!(!repeats.repeated("evt-1", at(first + 6_010)), "{first}");
            assert!(repeats.repeated("evt-1", at(first + 6_010)), "{first}");
        }
    }

    #[test]
    fn two_events_are_two() {
        let repeats = Repeats::new(42);
        for n in 0..1000 {
            assert!(!repeats.repeated(&n.to_string(), at(n)));
        }
        assert!(repeats.repeated("0", at(1000)));
    }

    #[test]
    fn memory_is_bounded_and_the_youngest_stay() {
        let repeats = Repeats::new(42);
        let last = 3 * MOST as u64;
        for n in 0..last {
            assert!(!repeats.repeated(&n.to_string(), at(0)));
        }
        let kept = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.younger.len() + shard.older.len()
        };
        let kept: usize = repeats.shards.iter().map(kept).sum();
        assert!(kept <= MOST, "{kept}");
        for n in last - 50_000..last {
            assert!(repeats.repeated(&n.to_string(), at(1)), "{n}");
        }
    }

    #[test]
    fn threads_on_one_event_count_it_once() {
        for round in 0..200 {
            let repeats = Repeats::new(round);
            let fresh: usize = std::thread::scope(|scope| {
                let one = || usize::from(!repeats.repeated("evt-1", at(0)));
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .sum()
            });
            assert_eq!(fresh, 1);
        }
    }
}
