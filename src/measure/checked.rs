//! What was found of a webhook's signature.

use crate::model::Tick;

/// A webhook's signature was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// When.
    pub at: Tick,
    /// The route's number.
    pub route: u16,
    /// What was found.
    pub found: Found,
    /// It may count in a window, as far as its signature goes.
    pub counts: bool,
    /// It was answered 403 and went no further.
    pub refused: bool,
}

/// Whether a webhook is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// Signed by the provider.
    Verified,
    /// Signed by the provider, and seen before with the very same signature.
    Replayed,
    /// Not signed at all.
    Absent,
    /// Signed, but not by the provider, or not this, or too long ago.
    Rejected,
}

impl Found {
    /// Every finding, for metrics that exist from the start.
    pub const ALL: [Self; 4] = [Self::Verified, Self::Replayed, Self::Absent, Self::Rejected];

    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Replayed => "replayed",
            Self::Absent => "absent",
            Self::Rejected => "rejected",
        }
    }
}
