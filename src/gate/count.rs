//! How many are in and how many wait, in one word.
//!
//! One word, so that no moment exists at which a cap is exceeded or somebody waits
//! beside a free place: whoever changes one of the three numbers sees the others as
//! they are.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a gate counts. Each number is below 2^21.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// So many may be in at once; [`Count::OPEN`]: any number.
    pub(super) limit: u32,
    /// So many are in.
    pub(super) in_flight: u32,
    /// So many wait.
    pub(super) queued: u32,
}

const BITS: u32 = 21;
const MASK: u64 = (1 << BITS) - 1;
/// One that is in, as part of the word.
const ONE_IN: u64 = 1 << BITS;

impl Count {
    /// No limit.
    pub(super) const OPEN: u32 = 0;

    pub(super) const fn is_open(self) -> bool {
        self.limit == Self::OPEN
    }

    /// One more is in, past nobody who waits.
    pub(super) fn entered(self) -> Option<Self> {
        (self.queued == 0 && self.has_room()).then_some(Self {
            in_flight: self.in_flight + 1,
            ..self
        })
    }

    /// One more waits, because there is no place.
    pub(super) fn lined_up(self, max: u32) -> Option<Self> {
        let must_wait = self.queued > 0 || !self.has_room();
        (must_wait && self.queued < max).then_some(Self {
            queued: self.queued + 1,
            ..self
        })
    }

    /// One who waited is in.
    pub(super) fn called(self) -> Option<Self> {
        let queued = self.queued.checked_sub(1)?;
        self.has_room().then_some(Self {
            in_flight: self.in_flight + 1,
            queued,
            ..self
        })
    }

    /// One who waited waits no more.
    pub(super) fn gone(self) -> Option<Self> {
        let queued = self.queued.checked_sub(1)?;
        Some(Self { queued, ..self })
    }

    const fn has_room(self) -> bool {
        // An open gate counts only those who waited when it was opened; the word must
        // hold them.
        let most = if self.is_open() {
            MASK as u32
        } else {
            self.limit
        };
        self.in_flight < most
    }

    const fn from_word(word: u64) -> Self {
        Self {
            limit: (word >> (2 * BITS) & MASK) as u32,
            in_flight: (word >> BITS & MASK) as u32,
            queued: (word & MASK) as u32,
        }
    }

    const fn word(self) -> u64 {
        (self.limit as u64) << (2 * BITS) | (self.in_flight as u64) << BITS | self.queued as u64
    }
}

/// A [`Count`] that all workers share.
#[derive(Debug, Default)]
pub(super) struct AtomicCount(AtomicU64);

impl AtomicCount {
    pub(super) fn load(&self) -> Count {
        Count::from_word(self.0.load(Ordering::Acquire))
    }

    /// Changes it in one step; gives what it is now. None: `change` refused.
    pub(super) fn update(&self, change: impl Fn(Count) -> Option<Count>) -> Option<Count> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let after = change(Count::from_word(seen))?;
            let swapped = self.0.compare_exchange_weak(
                seen,
                after.word(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swapped {
                Ok(_) => return Some(after),
                Err(now) => seen = now,
            }
        }
    }

    /// One less is in. Only for who was counted in.
    pub(super) fn leave(&self) -> Count {
        Count::from_word(self.0.fetch_sub(ONE_IN, Ordering::AcqRel) - ONE_IN)
    }

    pub(super) fn set_limit(&self, limit: u32) {
        self.update(|count| Some(Count { limit, ..count }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_numbers_fit_beside_each_other() {
        let most = (1 << BITS) - 1;
        for (limit, in_flight, queued) in [(0, 0, 0), (1, 0, most), (most, 1, 0), (0, most, 1)] {
            let count = Count {
                limit,
                in_flight,
                queued,
            };
            assert_eq!(Count::from_word(count.word()), count);
        }
    }

    #[test]
    fn nobody_enters_past_who_waits() {
        let count = Count {
            limit: 2,
            in_flight: 1,
            queued: 1,
        };
        assert_eq!(count.entered(), None);
        assert_eq!(count.lined_up(1), None, "and the line is full");
        let called = count.called().unwrap();
        assert_eq!((called.in_flight, called.queued), (2, 0));
        assert_eq!(called.called(), None);
        assert_eq!(called.entered(), None, "two are in");
    }
}
