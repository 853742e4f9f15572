//! What can be asked of a rollout, by whom and why.

use std::collections::BTreeMap;

use super::{Emergency, List, Listed, Waives};
use crate::model::Percentage;
use crate::split::Live;

/// What an operator (or a rule, or the file) asks for, with who and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Who: `operator via cli`, `file`, `rule errors-10-5m`, …
    pub actor: String,
    /// Why, in the words of whoever gave it.
    pub reason: String,
    /// What is knowingly passed over: windows, evidence.
    pub waives: Waives,
    /// What.
    pub command: Command,
}

/// What can be asked of a rollout.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Set the percentage. A raise is refused while latched; anything above 0
    /// switches the split on if it was off.
    Percentage(Percentage),
    /// Stop advancing.
    Hold,
    /// Go on: clears a hold, or clears the latch at 0 % unless a percentage not
    /// above the former one is named.
    Resume {
        /// The percentage to resume at.
        percentage: Option<Percentage>,
    },
    /// A step back, and what becomes of live calls. Never raises anything.
    Rollback(Level, Live),
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
        /// What becomes of the calls that are on new.
        live: Live,
    },
    /// The next stage of the plan, or its end. The engine knows the plan and makes an
    /// [`Command::Enter`] or [`Command::Complete`] of it.
    Advance,
    /// A stage begins. Only the engine orders it.
    Enter(Entering),
    /// The last stage is over. Only the engine orders it.
    Complete,
    /// A row went back to the stage before, and holds there. Only the engine orders it.
    StepBack {
        /// The rule that tripped.
        rule: String,
        /// The stage; None: before the first, at 0 %.
        to: Option<Entering>,
    },
    /// A row found one tenant broken. Only the engine orders it.
    DisableTenant {
        /// The rule that tripped.
        rule: String,
        /// The tenant.
        id: String,
        /// What becomes of its calls that are on new.
        live: Live,
    },
    /// Everything that begins goes to legacy, or hears the last resort; latched.
    EmergencyStop(Emergency),
}

/// A stage as it begins: what it puts where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entering {
    /// Its name.
    pub stage: String,
    /// Its number in the plan; the first is 1.
    pub number: u16,
    /// The share of new.
    pub percentage: Percentage,
    /// Tenants that it picks ([`Listed::Picked`]), keeps for later ([`Listed::Later`])
    /// or lets go (None). Those that people or rollbacks have listed are left alone.
    pub tenants: BTreeMap<String, Option<Listed>>,
}

impl Command {
    /// The percentage it names, if it names one.
    pub const fn percentage(&self) -> Option<Percentage> {
        match self {
            Self::Percentage(to) | Self::Rollback(Level::Partial(to), _) => Some(*to),
            Self::Resume { percentage } => *percentage,
            Self::Enter(stage) => Some(stage.percentage),
            Self::StepBack { to, .. } => match to {
                Some(stage) => Some(stage.percentage),
                None => Some(Percentage::ZERO),
            },
            Self::Hold
            | Self::Rollback(..)
            | Self::Tenant { .. }
            | Self::Reverse { .. }
            | Self::Advance
            | Self::Complete
            | Self::DisableTenant { .. }
            | Self::EmergencyStop(_) => None,
        }
    }
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
