//! Sums over a trailing span in a few coarse slots: for what is shown, and for alarms
//! that need no second's precision. A hundred times smaller than a window.

use std::time::Duration;

use super::window::Slot;
use crate::model::Tick;

/// A ring of slots of one width. Its span ends now and is up to one slot shorter
/// than the ring, because the running slot is not over.
#[derive(Clone, Debug)]
pub struct Trail<S> {
    slots: Vec<S>,
    /// Seconds in a slot.
    width: u64,
    /// The running slot, counted from the process's first second.
    head: u64,
    /// When it was made.
    began: Tick,
}

impl<S: Slot> Trail<S> {
    /// An empty one with so many slots (at least one) of so many seconds (at least one).
    pub fn new(width: Duration, slots: usize, now: Tick) -> Self {
        let width = width.as_secs().max(1);
        Self {
            slots: vec![S::default(); slots.max(1)],
            width,
            head: now.secs() / width,
            began: now,
        }
    }

    /// Changes what is known around `at`. A moment newer than all before moves the
    /// trail on; one older than the ring is ignored.
    pub fn change(&mut self, at: Tick, change: impl FnOnce(&mut S)) {
        self.advance(at);
        let slot = at.secs() / self.width;
        if slot + self.length() > self.head {
            let index = self.index(slot);
            change(&mut self.slots[index]);
        }
    }

    /// Changes the running slot: for what is told without its moment.
    pub fn change_now(&mut self, change: impl FnOnce(&mut S)) {
        let index = self.index(self.head);
        change(&mut self.slots[index]);
    }

    /// Moves the trail on to `now`; never back.
    pub fn advance(&mut self, now: Tick) {
        let to = now.secs() / self.width;
        if to >= self.head + self.length() {
            self.slots.fill(S::default());
            self.head = to;
        }
        while self.head < to {
            self.head += 1;
            let index = self.index(self.head);
            self.slots[index] = S::default();
        }
    }

    /// The sum over the span.
    pub fn total(&self) -> S {
        let mut total = S::default();
        self.slots.iter().for_each(|slot| total.add(slot));
        total
    }

    /// Since when it counts: the beginning of the oldest slot, or its own.
    pub fn since(&self) -> Tick {
        let oldest = (self.head + 1).saturating_sub(self.length());
        Tick::from_secs(oldest * self.width).max(self.began)
    }

    fn length(&self) -> u64 {
        self.slots.len() as u64
    }

    fn index(&self, slot: u64) -> usize {
        usize::try_from(slot % self.length()).expect("an index of the ring")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::window::counting::Count;

    #[test]
    fn a_day_of_hours_says_since_when_it_counts() {
        let start = Tick::from_secs(90 * 60);
        let mut day: Trail<Count> = Trail::new(Duration::from_secs(3600), 24, start);
        assert_eq!(day.since(), start, "younger than a day");
        day.change(start, |slot| slot.0 += 1);
        day.advance(Tick::from_secs(24 * 3600 + 3599));
        assert_eq!((day.total().0, day.since()), (1, start));
        day.advance(Tick::from_secs(25 * 3600));
        assert_eq!(day.total().0, 0, "its hour is over since a day");
        assert_eq!(day.since(), Tick::from_secs(2 * 3600));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_trail_agrees_with_keeping_every_event(
            steps in prop::collection::vec(
                (prop_oneof![4 => 0u64..15, 1 => 0u64..200], prop_oneof![3 => Just(0u64), 1 => 0u64..90]),
                1..120,
            ),
        ) {
            let mut trail: Trail<Count> = Trail::new(Duration::from_secs(10), 6, Tick(0));
            let (mut now, mut events) = (0u64, Vec::new());
            for (gap, older) in steps {
                now += gap;
                trail.advance(Tick::from_secs(now));
                let at = now.saturating_sub(older);
                trail.change(Tick::from_secs(at), |slot| slot.0 += 1);
                events.push(at / 10);
                let kept = events.iter().filter(|slot| **slot + 6 > now / 10).count() as i64;
                prop_assert_eq!(trail.total().0, kept);
            }
        }
    }
}
