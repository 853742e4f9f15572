//! Where a rollout stands, in one word.

/// Where the rollout stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing runs on new; waiting for the first step.
    #[default]
    Idle,
    /// A share of calls runs on new and is watched.
    Soaking,
    /// A person or a rule stopped the advance.
    Held,
    /// A rule took everything to legacy; latched until a person clears it.
    Reversed,
    /// A person took everything to legacy; latched until a person clears it.
    RolledBack,
    /// Everything runs on new.
    Complete,
}

impl Phase {
    /// Every phase, for metrics that exist from the start.
    pub const ALL: [Self; 6] = [
        Self::Idle,
        Self::Soaking,
        Self::Held,
        Self::Reversed,
        Self::RolledBack,
        Self::Complete,
    ];

    /// The word for it in status, metrics and journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Soaking => "soaking",
            Self::Held => "held",
            Self::Reversed => "reversed",
            Self::RolledBack => "rolled-back",
            Self::Complete => "complete",
        }
    }

    /// The phase of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// Did somebody or something stop the rollout?
    pub const fn stopped(self) -> bool {
        matches!(self, Self::Held | Self::Reversed | Self::RolledBack)
    }
}
