//! What is told of a call: where it was placed, and how it ended.

use crate::model::{Backend, CallKey, TenantKey, Tick};
use crate::split::Placement;

/// A request found its backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// When.
    pub at: Tick,
    /// Where and why.
    pub placement: Placement,
    /// The call, if the webhook names one.
    pub call: Option<CallKey>,
    /// This is the first time this call is seen, and it is now pinned.
    pub begins: bool,
    /// The first byte of a not yet started call went to new while the routing
    /// read just before it said "latched". Must never happen; counted so that
    /// its never happening can be shown.
    pub after_latch: bool,
    /// The first voice webhook of the call left for its backend.
    pub starts: bool,
}

/// A call is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// When we learnt it.
    pub at: Tick,
    /// When its first webhook came: the cohort it belongs to.
    pub began: Tick,
    /// Its backend.
    pub backend: Backend,
    /// Whose call.
    pub tenant: TenantKey,
    /// How it ended.
    pub end: CallEnd,
    /// Seconds it lasted, if known.
    pub duration_s: Option<u32>,
    /// Routing generation under which it was placed.
    pub generation: u64,
    /// Counts in end measures: an inbound root leg, not a child.
    pub counts: bool,
    /// It failed by the application's doing, however it ended: the platform says so,
    /// or a caller waited for an answer that did not come or was not sound.
    pub failed: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallEnd {
    /// The caller got what the application wanted to give.
    Served,
    /// The caller hung up before being served.
    Abandoned,
    /// The caller hung up within `short`; left out of the abandonment rate.
    Short,
    /// The caller was handed over to somebody else, as the application wanted.
    Transferred,
    /// The platform reported a failed call, and it was the application's doing.
    Failed,
    /// It failed by the doing of the platform or its carriers.
    ProviderFailed,
    /// Over, but the protocol cannot tell who hung up.
    Unknown,
    /// No end was ever seen; given up after four idle hours.
    Expired,
    /// It was taken from this backend because that failed; it ends elsewhere.
    Rescued,
}

impl CallEnd {
    /// Every end, for metrics that exist from the start.
    pub const ALL: [Self; 9] = [
        Self::Served,
        Self::Abandoned,
        Self::Short,
        Self::Transferred,
        Self::Failed,
        Self::ProviderFailed,
        Self::Unknown,
        Self::Expired,
        Self::Rescued,
    ];

    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Abandoned => "abandoned",
            Self::Short => "short",
            Self::Transferred => "transferred",
            Self::Failed => "failed",
            Self::ProviderFailed => "failed-provider",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Rescued => "rescued",
        }
    }
}
