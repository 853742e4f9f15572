//! That another than its backend answered a webhook: why, and what came of it.

use crate::model::{Backend, CallKey, Tick};

/// A webhook was rescued, or could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// When it was certain; of an answer that was late, when it was late.
    pub at: Tick,
    /// The route's number.
    pub route: u16,
    /// The call, if the webhook names one.
    pub call: Option<CallKey>,
    /// Who should have answered.
    pub from: Backend,
    /// Why the other was asked.
    pub why: Why,
    /// What became of it.
    pub result: RescueResult,
    /// It is evidence: a genuine webhook.
    pub counts: bool,
}

/// Why a webhook was rescued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its backend failed.
    Failed,
    /// Its backend took longer than `rescue_after`.
    Late,
    /// Its backend was not asked: its breaker is open, it has enough to do, or an
    /// emergency stop lets nobody through.
    Kept,
    /// Everything went to legacy while it waited.
    Flip,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Failed, Self::Late, Self::Kept, Self::Flip];

    /// The word for it in explanations and recordings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Kept => "kept",
            Self::Flip => "flip",
        }
    }
}

/// What became of a rescue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RescueResult {
    /// Legacy answered.
    Served,
    /// The caller was sent to legacy's `entry`.
    Moved,
    /// Legacy failed too, and the backend that was late answered after all.
    Late,
    /// Nobody answered: the caller got the last resort.
    LastResort,
    /// Nobody answered, and there was nothing else to say.
    Failed,
    /// Nobody was asked: an emergency stop lets nobody through, and the caller got the
    /// last resort at once.
    Stopped,
}

impl RescueResult {
    /// Every result, for metrics that exist from the start.
    pub const ALL: [Self; 6] = [
        Self::Served,
        Self::Moved,
        Self::Late,
        Self::LastResort,
        Self::Failed,
        Self::Stopped,
    ];

    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Moved => "moved",
            Self::Late => "late",
            Self::LastResort => "last-resort",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}
