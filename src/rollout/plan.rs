//! The plan: which stages there are, and what each asks for before the next.
//!
//! Plain values, made from the file and never changed by what runs. Where the rollout
//! stands in its plan is the rollout's own ([`Standing`]), so that a plan may be edited
//! while it runs: a stage is known by its name.

use std::time::Duration;

use jiff::civil::Time;

use super::calendar::Calendar;
use crate::model::{Percentage, Wall};
use crate::rules::{Priority, Rule};

/// Most stages of a plan.
pub const STAGES_MAX: usize = 100;

/// What a rollout goes through, from first to last.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Who takes the next step once a stage allows it.
    pub advance: Advance,
    /// When steps toward new are allowed at all.
    pub calendar: Calendar,
    /// Calls an hour that are expected in all, where that is said; else what was seen.
    pub calls_per_hour: Option<f64>,
    /// In their order; at least one, at most [`STAGES_MAX`].
    pub stages: Vec<Stage>,
}

/// Who takes the next step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Advance {
    /// An operator, by `switchback advance`.
    #[default]
    Manual,
    /// The plan itself, as soon as everything allows it.
    Auto,
}

impl Advance {
    /// The word for it in configuration and status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Auto => "auto",
        }
    }
}

/// One stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name, unique in the plan.
    pub name: String,
    /// The share of new while it runs.
    pub percentage: Percentage,
    /// How long it runs at least.
    pub soak: Duration,
    /// How many distinct calls must have begun on new in it, at least: evidence paces a
    /// stage, not only the clock.
    pub calls_min: u64,
    /// Tenants picked by hand: on new from this stage on.
    pub tenants: Vec<String>,
    /// Which tenants the hash may take.
    pub volume: Volume,
    /// What must hold before the next stage. As rows: a gate that is not met trips, one
    /// that is met passes.
    pub gates: Vec<Rule>,
    /// For so long after it began its gates are not judged, and what they see is not
    /// counted: caches fill, pools warm up.
    pub warm_up: Duration,
    /// Its beginning waits for this moment of the plan.
    pub not_before: Option<NotBefore>,
    /// It begins only within these hours of a day.
    pub hours: Option<Hours>,
    /// It begins only on an operator's word, also where the plan advances by itself.
    pub approval: bool,
    /// Only alerts of these priorities are raised while it runs; empty: all.
    pub alerts: Vec<Priority>,
    /// Why it may begin although its rules are blind at its traffic.
    pub blind: Option<String>,
}

/// Which tenants the hash may take while a stage runs, by how much they call. Whoever
/// is on new already stays there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Volume {
    /// The half that calls least.
    Low,
    /// All but the tenth that calls most.
    Mix,
    /// All.
    #[default]
    All,
}

impl Volume {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Low, Self::Mix, Self::All];

    /// The word for it in configuration and status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Mix => "mix",
            Self::All => "all",
        }
    }
}

/// A moment of the plan: a time of day on its first, second, … day. Day 1 is the
/// calendar's day, in the plan's zone, on which the first stage began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBefore {
    /// From 1.
    pub day: u16,
    /// The time of day.
    pub at: Time,
}

/// Hours of a day, in the plan's zone; `to` before `from` runs over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// From then on.
    pub from: Time,
    /// Until just before then.
    pub to: Time,
}

/// Where a rollout stands in its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The stage's name.
    pub stage: String,
    /// Its number in the plan as it was then; the first is 1.
    pub number: u16,
    /// When it began, by the calendar. Moved along when the calendar is stepped, so that
    /// a soak lasts as long as it lasts.
    pub since: Wall,
    /// When the first stage of this run of the plan began: its day 1.
    pub begun: Wall,
}

/// What an operator knowingly passes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waives {
    /// Windows, hours and freezes: a hotfix.
    pub window: bool,
    /// Soak, evidence, gates and blind rules.
    pub evidence: bool,
}

/// When something outside is told, or asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Before a stage begins; if it fails, the stage does not begin.
    BeforeStage,
    /// After a stage was left forward.
    AfterStage,
    /// After the last stage.
    Complete,
    /// A rule took everything to legacy.
    Reversal,
    /// An operator did, or a rule stepped back.
    Rollback,
    /// An operator or a rule took one tenant to legacy.
    RollbackTenant,
    /// An emergency stop.
    EmergencyStop,
}

impl Moment {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::BeforeStage,
        Self::AfterStage,
        Self::Complete,
        Self::Reversal,
        Self::Rollback,
        Self::RollbackTenant,
        Self::EmergencyStop,
    ];

    /// The word for it in configuration and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeStage => "before-stage",
            Self::AfterStage => "after-stage",
            Self::Complete => "complete",
            Self::Reversal => "reversal",
            Self::Rollback => "rollback",
            Self::RollbackTenant => "rollback-tenant",
            Self::EmergencyStop => "emergency-stop",
        }
    }
}

/// Where an emergency stop sends calls that begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emergency {
    /// To legacy.
    #[default]
    Legacy,
    /// To nobody: they hear the last resort.
    LastResort,
}

impl Emergency {
    /// The word for it in configuration and orders.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::LastResort => "last-resort",
        }
    }
}
