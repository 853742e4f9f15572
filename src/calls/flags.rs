//! What is known of a call, yes or no, in one byte.

/// A set of yes-or-no facts about a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

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

    /// Nothing is known.
    pub const NONE: Self = Self(0);

    const KNOWN: u8 = (1 << 6) - 1;

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

    /// The byte a file keeps.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set a file kept; None if it holds what this version does not know.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::KNOWN == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }
}
