//! The only file that reads a clock.

#![expect(
    clippy::disallowed_methods,
    reason = "this is where the clocks are read"
)]

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Tick, Wall};

// Not state: the zero of the monotonic scale, the same for every thread.
static ZERO: OnceLock<Instant> = OnceLock::new();

/// The monotonic moment.
pub fn tick() -> Tick {
    // One hour of head start, so that "an hour ago" exists from the first request.
    let since = ZERO.get_or_init(Instant::now).elapsed();
    Tick(3_600_000_000 + u64::try_from(since.as_micros()).unwrap_or(u64::MAX / 2))
}

/// The calendar's moment; a clock before 1970 reads as 1970.
pub fn wall() -> Wall {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The instant a tokio timer fires at for a tick.
pub fn instant(at: Tick) -> tokio::time::Instant {
    let zero = *ZERO.get_or_init(Instant::now);
    let since = std::time::Duration::from_micros(at.0.saturating_sub(3_600_000_000));
    tokio::time::Instant::from_std(zero + since)
}
