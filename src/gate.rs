//! How much one backend is asked at once.

use std::time::Duration;

/// How much a backend takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Requests on their way to it at once, over all workers.
    pub concurrency: usize,
    /// Webhooks that may wait until one of those is answered; one more is turned away.
    pub queue: usize,
    /// How long each may wait; then it is turned away.
    pub wait: Duration,
}
