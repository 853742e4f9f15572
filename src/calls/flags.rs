//! What is known of a call, yes or no, in two bytes.

/// A set of yes-or-no facts about a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Pinned by events alone: no voice webhook of it was ever sent.
    pub const PROVISIONAL: Self = Self(1);
    /// A voice webhook of it was sent to its backend.
    pub const STARTED: Self = Self(1 << 1);
    /// A leg that another call made: no call of its own.
    pub const LEG: Self = Self(1 << 2);
    /// It goes out from the application.
    pub const OUTBOUND: Self = Self(1 << 3);
    /// The caller got what the application wanted to give.
    pub const SERVED: Self = Self(1 << 4);
    /// The last document the caller got ends the call.
    pub const ENDS: Self = Self(1 << 5);
    /// A voice webhook of it failed by its backend's fault.
    pub const FAILED: Self = Self(1 << 6);
    /// It is over, and how it ended comes with a report that follows.
    pub const AWAITS: Self = Self(1 << 7);
    /// While it awaits the report: the person on the line hung up.
    pub const HUNG_UP: Self = Self(1 << 8);
    /// While it awaits the report: too soon to mean anything.
    pub const BRIEF: Self = Self(1 << 9);
    /// The report it awaits comes under another of its ids: two providers speak of
    /// it, and only one of them sends a report.
    pub const BY_ALIAS: Self = Self(1 << 10);
    /// It has many legs, and the one it began with is known.
    pub const ROOTED: Self = Self(1 << 11);

    /// The caller has chosen from a menu.
    pub const CHOSE: Self = Self(1 << 12);

    /// A backend has soundly answered a voice webhook of it: it has a session there.
    pub const ANSWERED: Self = Self(1 << 13);

    /// Nothing is known.
    pub const NONE: Self = Self(0);

    const KNOWN: u16 = (1 << 14) - 1;

    /// The set with these in it.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set with these in it, if so.
    #[must_use]
    pub const fn with_if(self, other: Self, so: bool) -> Self {
        if so { self.with(other) } else { self }
    }

    /// The set without these.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Are these in it?
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What a file keeps: at most fourteen bits, which are all taken.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set a file kept; None if it holds what this version does not know.
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & !Self::KNOWN == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }
}
