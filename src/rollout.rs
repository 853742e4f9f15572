//! Where the rollout stands, as the fold of its journal.
//!
//! Nothing is kept that the entries do not tell: what runs now is what
//! [`Rollout::apply`] made of every entry since the first, in the same code that
//! reads them back after a crash.

use std::collections::BTreeMap;

use crate::model::{Percentage, Wall};

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
}

/// What an operator (or a rule, or the file) asks for, with who and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Who: `operator via cli`, `file`, `rule errors-10-5m`, …
    pub actor: String,
    /// Why, in the words of whoever gave it.
    pub reason: String,
    /// What.
    pub command: Command,
}

/// What can be asked of a rollout.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Set the percentage. A raise is refused while latched.
    Percentage(Percentage),
    /// Stop advancing.
    Hold,
    /// Go on: clears a hold, or clears the latch at 0 % unless a percentage not
    /// above the former one is named.
    Resume {
        /// The percentage to resume at.
        percentage: Option<Percentage>,
    },
    /// A step back. Never raises anything.
    Rollback(Level),
    /// Puts a tenant on a list, or (None) takes it off both.
    Tenant {
        /// The tenant's id.
        id: String,
        /// The list.
        list: Option<List>,
    },
    /// The reversal table was hit. Only the engine orders it.
    Reverse {
        /// The rule that tripped.
        rule: String,
    },
}

/// How far an operator's step back goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Level {
    /// Level 1: disable one tenant.
    Tenant(String),
    /// Level 2: lower the percentage.
    Partial(Percentage),
    /// Level 3: percentage 0, disabled, latched.
    Total,
}

/// A hand-kept list of tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// Always new.
    Enabled,
    /// Always legacy.
    Disabled,
}

/// The part of the split that a configuration file wishes for. Each field (and
/// each list entry) applies when its value *changed* since the last load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `[split] enabled`.
    pub enabled: bool,
    /// `[split] percentage`.
    pub percentage: Percentage,
    /// `[split] enabled_tenants` and `disabled_tenants`.
    pub tenants: BTreeMap<String, List>,
}

/// A moment and a sequence number: the head of every journal entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// One more than the entry before; the first is 1.
    pub sequence: u64,
    /// When, by the calendar.
    pub at: Wall,
}
