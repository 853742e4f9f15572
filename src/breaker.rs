//! When a backend is not asked any more: after failures in a row, or when too many
//! of its answers fail.

use std::time::Duration;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// So many failures in a row open it.
    pub consecutive: u32,
    /// So large a share of failures opens it, 0..=1 …
    pub share: f64,
    /// … of at least so many answers …
    pub least: u32,
    /// … within this time.
    pub over: Duration,
    /// It stays open so long before one call is let through.
    pub open_for: Duration,
    /// So many good answers in a row close it again.
    pub close_after: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive: 5,
            share: 0.5,
            least: 20,
            over: Duration::from_secs(10),
            open_for: Duration::from_secs(5),
            close_after: 3,
        }
    }
}

/// Whether a backend is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It is.
    #[default]
    Closed,
    /// It is not.
    Open,
    /// One call at a time is let through, to see.
    HalfOpen,
}

impl State {
    /// The word for it in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}
