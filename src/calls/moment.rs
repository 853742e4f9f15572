//! A tick in four bytes.

use std::time::Duration;

use crate::model::Tick;

/// A moment in tenths of a second, or never. Reaches from a day before the zero
/// of the monotonic clock, so that a call from before a restart keeps its age,
/// to 13 years after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u32);

const PER_SECOND: u64 = 10;
const MICROS: u64 = 1_000_000 / PER_SECOND;
/// Tenths of a second in the day before zero.
const BEFORE_ZERO: u64 = 24 * 60 * 60 * PER_SECOND;

impl Moment {
    /// It has not happened. Before every other moment.
    pub const NEVER: Self = Self(0);

    /// The tick at whose tenth of a second it was; None for never. What happened
    /// before the clock's zero reads as zero.
    pub fn tick(self) -> Option<Tick> {
        (self != Self::NEVER).then(|| Tick(u64::from(self.0).saturating_sub(BEFORE_ZERO) * MICROS))
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::from(self.0.saturating_sub(earlier.0)) * (1000 / PER_SECOND))
    }

    /// So long before this moment; a day before the clock's zero at the earliest.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(tenths(span)).max(1))
    }

    /// How many whole spans lie between this moment and a later one.
    pub fn whole(self, span: Duration, later: Self) -> u128 {
        later.since(self).as_micros() / span.as_micros().max(1)
    }
}

impl From<Tick> for Moment {
    fn from(tick: Tick) -> Self {
        Self(u32::try_from(tick.0 / MICROS + BEFORE_ZERO).unwrap_or(u32::MAX))
    }
}

fn tenths(span: Duration) -> u32 {
    u32::try_from(span.as_millis() / u128::from(1000 / PER_SECOND)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_its_tick_to_a_tenth_of_a_second() {
        for micros in [0, 99_999, 100_000, 3_600_000_000, 86_400_000_000 * 365] {
            let moment = Moment::from(Tick(micros));
            assert_ne!(moment, Moment::NEVER);
            assert_eq!(moment.tick(), Some(Tick(micros / MICROS * MICROS)));
        }
        assert_eq!(Moment::NEVER.tick(), None);
    }

    #[test]
    fn a_call_from_before_a_restart_keeps_its_age() {
        let zero = Moment::from(Tick(0));
        let before = zero.before(Duration::from_secs(3 * 3600));
        assert_eq!(zero.since(before), Duration::from_secs(3 * 3600));
        assert_eq!(before.tick(), Some(Tick(0)));
        let ages_ago = zero.before(Duration::from_secs(1 << 40));
        assert!(ages_ago > Moment::NEVER);
        assert!(zero.since(ages_ago) > Duration::from_secs(23 * 3600));
    }
}
