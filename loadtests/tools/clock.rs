//! The tools' clock: nanoseconds, because a microsecond is 1 % of what is measured.

use std::sync::OnceLock;
use std::time::Instant;

// Not state: the zero of the scale, the same for every thread.
static ZERO: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since the first call, monotonic.
#[expect(
    clippy::disallowed_methods,
    reason = "a load generator measures; the house's clock counts microseconds"
)]
pub(crate) fn now() -> u64 {
    let since = ZERO.get_or_init(Instant::now).elapsed();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds in so many milliseconds.
pub(crate) const fn millis(count: u64) -> u64 {
    count.saturating_mul(1_000_000)
}
