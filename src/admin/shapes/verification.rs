//! What has been seen since everything went to legacy, as the API shows it.

use serde::{Deserialize, Serialize};

use super::rfc3339;
use crate::engine;

/// What has been seen since everything went to legacy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verification {
    /// Why everything went to legacy.
    pub reason: String,
    /// When, RFC 3339.
    pub since: String,
    /// What becomes of calls that were live on new: `drain` or `move`.
    pub live: String,
    /// New calls whose first byte went to new since. Must stay 0.
    pub new_calls_on_new: u64,
    /// Calls still running on new.
    pub live_on_new: u64,
    /// Calls that ran there when it began.
    pub live_on_new_at_start: u64,
    /// No reversing row is over its threshold now.
    pub measures_normal: bool,
    /// The steps taken, in their order.
    pub steps: Vec<Step>,
    /// New calls reached new all the same: somebody must look.
    pub escalated: bool,
    /// Everything is proven.
    pub done: bool,
}

/// A step of the verification that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// `started`, `no-new-calls`, `drained`, `measures-normal`, `verified`, `escalated`.
    pub step: String,
    /// When, RFC 3339.
    pub at: String,
}

impl From<&engine::Verification> for Verification {
    fn from(seen: &engine::Verification) -> Self {
        let steps = seen.steps.iter().map(|taken| Step {
            step: taken.step.name().to_owned(),
            at: rfc3339(taken.at),
        });
        Self {
            reason: seen.reason.clone(),
            since: rfc3339(seen.since),
            live: seen.live.name().to_owned(),
            new_calls_on_new: seen.new_calls_on_new,
            live_on_new: seen.live_on_new,
            live_on_new_at_start: seen.live_on_new_at_start,
            measures_normal: seen.measures_normal,
            steps: steps.collect(),
            escalated: seen.escalated,
            done: seen.done,
        }
    }
}
