//! Counters over a trailing span, in so few parts that they can be added up at every
//! answer.

use std::time::Duration;

use crate::model::Tick;

/// A ring of counters that forgets what is older than its parts together.
#[derive(Clone, Debug)]
pub(super) struct Ring<T, const N: usize> {
    parts: [T; N],
    /// How long one part is, in microseconds.
    width: u64,
    /// The newest part, counted from the beginning of time.
    head: u64,
}

impl<T: Copy + Default, const N: usize> Ring<T, N> {
    /// An empty ring over that span.
    pub(super) fn new(span: Duration, now: Tick) -> Self {
        let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let width = (span / N as u64).max(1);
        Self {
            parts: [T::default(); N],
            width,
            head: now.0 / width,
        }
    }

    /// The part of this moment, all before it up to date.
    pub(super) fn at(&mut self, now: Tick) -> &mut T {
        let to = now.0 / self.width;
        let steps = to.saturating_sub(self.head).min(N as u64);
        for step in 0..steps {
            self.parts[Self::place(to - step)] = T::default();
        }
        self.head = self.head.max(to);
        &mut self.parts[Self::place(self.head)]
    }

    /// Every part that is not older than the span.
    pub(super) fn all(&mut self, now: Tick) -> impl Iterator<Item = T> + '_ {
        self.at(now);
        self.parts.iter().copied()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.parts = [T::default(); N];
    }

    fn place(part: u64) -> usize {
        usize::try_from(part % N as u64).unwrap_or(0)
    }
}
