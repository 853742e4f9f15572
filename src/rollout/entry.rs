//! One fact of a rollout: who did what, why, and what it led to.
//!
//! Somebody will read it a year later with nothing else at hand, so it carries
//! both sides of the change and, for a reversal, everything the rule saw.

use std::collections::BTreeMap;

use super::{Checkpoint, Former, Listed, Phase, Stamp, Standing, Step, Wishes};
use crate::measure::totals::Hour;
use crate::model::{Percentage, Wall};
use crate::rules::{Finding, Rule};

/// One fact, as it goes into the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place and moment.
    pub stamp: Stamp,
    /// Who: `operator via cli`, `file`, `rule errors-10-5m`, …
    pub actor: String,
    /// Why, in the words of whoever gave the order.
    pub reason: String,
    /// What was done.
    pub action: Action,
    /// How things stood.
    pub before: Snapshot,
    /// How they stand from now on.
    pub after: Snapshot,
    /// Generation of the routing from now on.
    pub generation: u64,
    /// What a rule saw, where a rule acted.
    pub evidence: Option<Evidence>,
    /// The file's wishes as last seen, where this entry took note of them.
    pub seen: Option<Wishes>,
    /// What whoever gave the order should know besides: tenants that stay on new,
    /// a split that is switched off.
    pub notes: Vec<String>,
}

/// The part of a state that an entry may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where the rollout stands.
    pub phase: Phase,
    /// The share of new asked for.
    pub percentage: Percentage,
    /// Is the split switched on?
    pub enabled: bool,
    /// Does everything go to legacy until a person clears the latch?
    pub latched: bool,
    /// Are live calls on new moved to legacy where their next call would go there?
    pub moves_live: bool,
    /// Does an emergency stop let nobody through?
    pub stopped: bool,
    /// Where it stands in its plan.
    pub stage: Option<Standing>,
    /// What ran before the latch.
    pub former: Option<Former>,
    /// Only the tenants that this entry touched; None is on no list.
    pub tenants: BTreeMap<String, Option<Listed>>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The percentage was set.
    Set,
    /// The advance was stopped.
    Hold,
    /// A hold or the latch was cleared.
    Resume,
    /// Level 1: a tenant was rolled back.
    RollbackTenant,
    /// Level 2: the percentage was rolled back.
    RollbackPartial,
    /// Level 3: everything was rolled back, latched.
    RollbackTotal,
    /// A tenant was put on the enabled list.
    TenantEnable,
    /// A tenant was put on the disabled list.
    TenantDisable,
    /// A tenant was taken off both lists.
    TenantClear,
    /// A rule took everything to legacy, latched.
    Reverse {
        /// The rule that tripped.
        rule: String,
    },
    /// A step of the verification after everything went to legacy. Changes nothing.
    Verification {
        /// Which.
        step: Step,
        /// What the step counts; see [`Step`].
        count: u64,
    },
    /// A stage of the plan began.
    Advance,
    /// The plan's last stage is over.
    Complete,
    /// A rule went back to the stage before, and holds there.
    StepBack {
        /// The rule that tripped.
        rule: String,
    },
    /// A rule took one tenant to legacy.
    DisableTenant {
        /// The rule that tripped.
        rule: String,
    },
    /// Nothing that begins reaches new; latched.
    EmergencyStop,
    /// Level 4: data is restored from a backup, or that is over. Changes nothing here.
    RollbackData {
        /// Its id.
        backup: String,
        /// Did it work? None: it begins.
        ok: Option<bool>,
    },
    /// An hour was added up. Changes nothing.
    Totals(Box<Hour>),
    /// The calendar was stepped: what counts by it is moved along.
    ClockStepped {
        /// By so many milliseconds.
        by_ms: i64,
    },
    /// Everything that led here, in one entry: the first of a segment of the journal.
    /// Changes nothing.
    Checkpoint(Box<Checkpoint>),
    /// The configuration file was read and its wishes noted.
    File,
    /// Another configuration is in force. Changes nothing by itself.
    Reloaded,
    /// At start the latch file was set, or could not be read.
    LatchedAtStart,
    /// The journal was damaged; this is the first entry of a new one.
    JournalDamaged {
        /// What the damaged one is called now.
        set_aside: String,
    },
    /// Written by another version. What it led to is in the snapshots, which is
    /// all the fold needs.
    Other(String),
}

impl Entry {
    /// When the latch that this entry sets came into force, by the calendar. None
    /// where it sets none, and where it only found one: then nobody knows.
    pub(super) const fn latches_at(&self) -> Option<Wall> {
        match self.action {
            Action::LatchedAtStart | Action::JournalDamaged { .. } => None,
            _ if self.after.latched => Some(self.stamp.at),
            _ => None,
        }
    }
}

impl Action {
    /// The word for it in the journal.
    pub fn name(&self) -> &str {
        match self {
            Self::Set => "set",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::RollbackTenant => "rollback-tenant",
            Self::RollbackPartial => "rollback-partial",
            Self::RollbackTotal => "rollback-total",
            Self::TenantEnable => "tenant-enable",
            Self::TenantDisable => "tenant-disable",
            Self::TenantClear => "tenant-clear",
            Self::Reverse { .. } => "reverse",
            Self::Verification { .. } => "verification",
            Self::Advance => "advance",
            Self::Complete => "complete",
            Self::StepBack { .. } => "step-back",
            Self::DisableTenant { .. } => "disable-tenant",
            Self::EmergencyStop => "emergency-stop",
            Self::RollbackData { .. } => "rollback-data",
            Self::Totals(_) => "totals",
            Self::ClockStepped { .. } => "clock-stepped",
            Self::Checkpoint(_) => "checkpoint",
            Self::File => "file",
            Self::Reloaded => "reloaded",
            Self::LatchedAtStart => "latched-at-start",
            Self::JournalDamaged { .. } => "journal-damaged",
            Self::Other(name) => name,
        }
    }

    /// The action of that name. `detail` is the rule of a reversal or the name a
    /// damaged journal was given. A verification and a restore are put together by
    /// their reader.
    pub fn from_name(name: &str, detail: Option<String>) -> Self {
        let plain = [
            Self::Set,
            Self::Hold,
            Self::Resume,
            Self::RollbackTenant,
            Self::RollbackPartial,
            Self::RollbackTotal,
            Self::TenantEnable,
            Self::TenantDisable,
            Self::TenantClear,
            Self::Advance,
            Self::Complete,
            Self::EmergencyStop,
            Self::File,
            Self::Reloaded,
            Self::LatchedAtStart,
        ];
        match (name, detail) {
            ("reverse", Some(rule)) => Self::Reverse { rule },
            ("step-back", Some(rule)) => Self::StepBack { rule },
            ("disable-tenant", Some(rule)) => Self::DisableTenant { rule },
            ("journal-damaged", Some(set_aside)) => Self::JournalDamaged { set_aside },
            (name, _) => plain
                .into_iter()
                .find(|action| action.name() == name)
                .unwrap_or_else(|| Self::Other(name.to_owned())),
        }
    }
}

/// What a rule saw when it acted: numbers and plain words, so that no later
/// version of the rules is needed to read it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The rule's name.
    pub rule: String,
    /// What it looks at: `error_rate`.
    pub measure: String,
    /// Seconds it looked over.
    pub over_secs: u64,
    /// The value for new, in the measure's unit.
    pub value: Option<f64>,
    /// Legacy's value over the same span.
    pub legacy: Option<f64>,
    /// The threshold that the value was held against.
    pub threshold: Option<f64>,
    /// Distinct calls (or events) behind the value.
    pub samples: u64,
    /// Distinct failed calls among them, where the measure is a rate.
    pub failed: u64,
    /// Evidence of the sequential test as a share of what trips: 1.0 trips.
    pub early: Option<f64>,
    /// The same in words.
    pub because: String,
    /// First 12 hex digits of the hash of the configuration in force.
    pub config_hash: String,
}

impl Evidence {
    /// What a row found, with everything needed to explain it later.
    pub fn new(row: &Rule, finding: &Finding, config_hash: &str) -> Self {
        // JSON has no word for infinity: such a number is left out.
        let finite = |number: f64| Some(number).filter(|number| number.is_finite());
        Self {
            rule: finding.rule.clone(),
            measure: row.measure.name().to_owned(),
            over_secs: row.over.as_secs(),
            value: finding.value.and_then(finite),
            legacy: finding.legacy.and_then(finite),
            threshold: finite(finding.threshold),
            samples: finding.samples,
            failed: finding.failed,
            early: finding.early.and_then(finite),
            because: finding.because.clone(),
            config_hash: config_hash.to_owned(),
        }
    }
}

impl Entry {
    /// The entry with what the rule saw.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence) -> Self {
        self.evidence = Some(evidence);
        self
    }

    /// Can it put more calls on new? Such an entry is recorded first and published
    /// after; every other one is published first.
    ///
    /// Read from what it led to, so that it holds for entries of other versions
    /// too. What is raised behind a split that is switched off counts as well: the
    /// next entry that switches it on would otherwise carry it along.
    pub fn is_raise(&self) -> bool {
        if let Action::Checkpoint(_) = self.action {
            return false;
        }
        let (before, after) = (&self.before, &self.after);
        let nearer = |(id, listed): (&String, &Option<Listed>)| {
            let was = before.tenants.get(id).copied().flatten();
            Listed::nearness(*listed) > Listed::nearness(was)
        };
        // A stage is on the disk before it begins, also one that puts no more on new.
        let begins = matches!(
            self.action,
            Action::Resume | Action::Advance | Action::Complete
        );
        begins
            || before.latched && !after.latched
            || !before.enabled && after.enabled
            || after.percentage > before.percentage
            || after.tenants.iter().any(nearer)
    }

    /// Must the latch file say latched before this entry goes into the journal?
    /// True also for one that finds it set: writing twice does no harm, and it
    /// catches a resume that was overtaken half way. The reason to write is
    /// [`Rollout::because`](super::Rollout::because).
    pub const fn latches(&self) -> bool {
        self.after.latched
    }

    /// What the latch file says of it, in case this entry does not make it to disk:
    /// the phase it led to, whether anybody gets through, and why.
    pub fn latch_reason(&self) -> String {
        let stopped = if self.after.stopped { STOPPED } else { "" };
        format!("{}{stopped}: {}", self.after.phase.name(), self.reason)
    }

    /// Does it clear the latch?
    pub const fn unlatches(&self) -> bool {
        self.before.latched && !self.after.latched
    }

    /// Says that it was decided before a raise with this number was on disk, which is
    /// therefore not carried out.
    pub(super) fn note_overtaken(&mut self, sequence: u64) {
        self.notes
            .push(format!("{OVERTAKES}{sequence}, which is not carried out."));
    }

    /// The raise that this entry overtook. It may be in the journal all the same.
    pub fn overtakes(&self) -> Option<u64> {
        let told = |note: &String| {
            let rest = note.strip_prefix(OVERTAKES)?;
            rest.split_once(',')?.0.parse().ok()
        };
        self.notes.iter().find_map(told)
    }
}

/// How the note begins that names an overtaken raise.
const OVERTAKES: &str = "It overtakes entry ";

/// What stands behind the phase in the latch file while an emergency stop lets nobody
/// through.
pub(super) const STOPPED: &str = " (last resort)";
