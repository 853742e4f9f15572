//! Whether a backend is up, as its own health check tells.

use std::time::Duration;

/// How a backend is asked for its health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The path that is fetched.
    pub path: String,
    /// How often.
    pub every: Duration,
    /// No answer within this time is a bad one.
    pub timeout: Duration,
    /// The status of a good answer.
    pub expect: u16,
    /// So many bad answers in a row mean that it is down.
    pub fall: u32,
    /// So many good answers in a row mean that it is up again.
    pub rise: u32,
}
