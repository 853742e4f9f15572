//! Where the rollout stands, as the fold of its journal.
//!
//! Nothing is kept that the entries do not tell: what runs now is what
//! [`Rollout::apply`] made of every entry since the first, in the same code that
//! reads them back after a crash. An entry carries what it led to, not only what
//! was asked, so that a journal folds to the same state after these rules change.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::measure::totals::Totals;
use crate::model::{Percentage, Wall};
use crate::split::{Live, Scheme, Split};

pub mod calendar;
mod checkpoint;
mod compare;
mod data;
mod decide;
mod entry;
pub mod forecast;
pub mod plan;
mod proof;
#[cfg(test)]
mod properties;
pub(crate) mod stages;
mod wishes;

pub use checkpoint::{Checkpoint, Follows};
pub use data::RestoreOrder;
pub(crate) use decide::NO_PLAN;
pub use decide::{Refusal, RefusalKind, TENANT_BYTES, TENANTS_MAX};
pub(crate) use entry::shown;
pub use entry::{Action, Entry, Evidence, Snapshot};
pub use plan::{Emergency, Moment, Plan, Stage, Standing, Waives};
pub use proof::{Proof, Step, Taken};
pub use wishes::WishOutcome;

/// A rollout: all that was decided, folded.
///
/// A new one is `idle`: switched on, at 0 %, with nobody listed, so that every
/// call goes to legacy and one `set` is enough to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    phase: Phase,
    phase_since: Wall,
    because: Option<String>,
    percentage: Percentage,
    enabled: bool,
    latched: bool,
    latched_since: Option<Wall>,
    moves_live: bool,
    stopped: bool,
    stage: Option<Standing>,
    // Shared, because every order is decided on a copy of all this.
    totals: Arc<Totals>,
    proof: Proof,
    former: Option<Former>,
    tenants: BTreeMap<String, Listed>,
    seen: Option<Wishes>,
    generation: u64,
    spent: u64,
    sequence: u64,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            phase: Phase::Idle,
            phase_since: Wall::default(),
            because: None,
            percentage: Percentage::ZERO,
            enabled: true,
            latched: false,
            latched_since: None,
            moves_live: false,
            stopped: false,
            stage: None,
            totals: Arc::default(),
            proof: Proof::default(),
            former: None,
            tenants: BTreeMap::new(),
            seen: None,
            generation: 0,
            spent: 0,
            sequence: 0,
        }
    }
}

impl Rollout {
    /// The state that a journal's entries lead to.
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut rollout = Self::default();
        for entry in entries {
            rollout.apply(entry);
        }
        rollout
    }

    /// Takes over what an entry led to.
    pub fn apply(&mut self, entry: &Entry) {
        match &entry.action {
            Action::Checkpoint(kept) => return self.restore(entry, kept),
            // It begins a journal: nothing before it is believed, also where an older
            // segment is read together with it.
            Action::JournalDamaged { .. } => self.forget(),
            _ => {}
        }
        let after = &entry.after;
        if self.phase != after.phase {
            self.phase_since = entry.stamp.at;
            self.because = after.phase.stopped().then(|| entry.because());
        }
        self.phase = after.phase;
        self.percentage = after.percentage;
        self.enabled = after.enabled;
        let turned = self.latched != after.latched;
        if turned {
            self.latched_since = entry.latches_at();
        }
        self.latched = after.latched;
        self.moves_live = after.moves_live;
        self.stopped = after.stopped;
        if entry.action == Action::Advance && self.stage.is_none() && after.stage.is_some() {
            Arc::make_mut(&mut self.totals).begin_plan();
        }
        self.stage.clone_from(&after.stage);
        if let Action::Totals(hour) = &entry.action {
            Arc::make_mut(&mut self.totals).take((**hour).clone());
        }
        self.proof.apply(entry, turned);
        self.former = after.former;
        for (id, listed) in &after.tenants {
            match listed {
                Some(listed) => self.tenants.insert(id.clone(), *listed),
                None => self.tenants.remove(id),
            };
        }
        if let Some(seen) = &entry.seen {
            self.seen = Some(seen.clone());
        }
        if after.latched {
            self.spent = self.spent.max(entry.generation);
        }
        self.pass_over(entry);
    }

    /// Keeps nothing but the numbers that were given out.
    fn forget(&mut self) {
        *self = Self {
            generation: self.generation,
            sequence: self.sequence,
            ..Self::default()
        };
    }

    /// Takes note of an order that was decided and not carried out, because its
    /// record failed: its numbers are not given out again.
    pub fn pass_over(&mut self, entry: &Entry) {
        self.generation = self.generation.max(entry.generation);
        self.sequence = self.sequence.max(entry.stamp.sequence);
    }

    /// The entry, decided on this state, made to hold whether or not `raise`, which
    /// still waits for its record, is in the journal before it.
    ///
    /// A step toward legacy waits for nothing, not even for a raise that is on its
    /// way to a slow disk. It overtakes it: the raise is not carried out any more,
    /// and this entry names everything that the raise would have touched, as it was
    /// before. Call [`Rollout::pass_over`] when a raise is sent to be recorded, so
    /// that an entry that overtakes it has numbers of its own.
    #[must_use]
    pub fn overtaking(&self, mut entry: Entry, raise: &Entry) -> Entry {
        for id in raise.after.tenants.keys() {
            let listed = self.tenants.get(id).copied();
            entry.before.tenants.entry(id.clone()).or_insert(listed);
            entry.after.tenants.entry(id.clone()).or_insert(listed);
        }
        if raise.seen.is_some() && entry.seen.is_none() {
            // Not seen, so that the next reload brings its wishes again. Where no
            // file was ever seen, the raise's own note has to do.
            entry.seen.clone_from(&self.seen);
        }
        entry.note_overtaken(raise.stamp.sequence);
        entry
    }

    /// What places new calls.
    pub fn split(&self, scheme: &Scheme) -> Split {
        let on = |list| {
            self.tenants()
                .filter(move |(_, of)| *of == list)
                .map(|(id, _)| Box::from(id))
                .collect()
        };
        Split {
            generation: self.generation,
            latched: self.latched,
            latched_since: self.latched_since,
            moves_live: self.moves_live,
            stopped: self.stopped,
            enabled: self.enabled,
            percentage: self.percentage,
            enabled_tenants: on(List::Enabled),
            disabled_tenants: on(List::Disabled),
            scheme: scheme.clone(),
        }
    }

    /// Where it stands.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Since when it stands there.
    pub const fn phase_since(&self) -> Wall {
        self.phase_since
    }

    /// Who stopped it and why, in one sentence, while it is stopped.
    pub fn because(&self) -> Option<&str> {
        self.because.as_deref()
    }

    /// The share of new asked for; 0 while latched.
    pub const fn percentage(&self) -> Percentage {
        self.percentage
    }

    /// Is the split switched on?
    pub const fn enabled(&self) -> bool {
        self.enabled
    }

    /// Does every new call go to legacy until a person clears the latch?
    pub const fn latched(&self) -> bool {
        self.latched
    }

    /// Since when, by the calendar. None where nothing is latched, and where nobody
    /// knows because the latch was only found.
    pub const fn latched_since(&self) -> Option<Wall> {
        self.latched_since
    }

    /// What becomes of calls that are on new when their next call would go to legacy.
    pub const fn live(&self) -> Live {
        Live::moving(self.moves_live)
    }

    /// Does an emergency stop let nobody through?
    pub const fn stopped(&self) -> bool {
        self.stopped
    }

    /// Where it stands in its plan; None before the first stage, and where the plan
    /// does not say.
    pub const fn stage(&self) -> Option<&Standing> {
        self.stage.as_ref()
    }

    /// The hours that were added up.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// How far it is proven that the latch does what it says.
    pub const fn proof(&self) -> &Proof {
        &self.proof
    }

    /// What ran before the latch: the most that `resume` may go back to.
    pub const fn former(&self) -> Option<Former> {
        self.former
    }

    /// Tenants on a list, in order of their ids.
    pub fn tenants(&self) -> impl Iterator<Item = (&str, List)> {
        self.tenants
            .iter()
            .map(|(id, listed)| (id.as_str(), listed.list()))
    }

    /// Generation of the routing this state asks for. Rises by one with every
    /// change of placement.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Calls placed under this generation or an earlier one came before the last
    /// latch was cleared: what they still have to say is about the past. 0 while
    /// there was no latch.
    pub const fn spent(&self) -> u64 {
        self.spent
    }

    /// What was hashed and how when the file was last seen, in words. None where no
    /// file was, or one from before this was noted.
    pub fn scheme(&self) -> Option<&str> {
        self.seen.as_ref()?.scheme.as_deref()
    }

    /// The highest sequence number given out; 0 before the first entry.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How a tenant is listed, if it is.
    pub fn listed(&self, id: &str) -> Option<Listed> {
        self.tenants.get(id).copied()
    }

    /// Every tenant on a list and how it came there, in order of their ids.
    pub fn all_listed(&self) -> impl Iterator<Item = (&str, Listed)> {
        self.tenants
            .iter()
            .map(|(id, listed)| (id.as_str(), *listed))
    }

    /// The phase that follows from where calls go. Within a plan everything on new is
    /// not the end: that comes when the last stage has been soaked as well.
    fn running_phase(&self) -> Phase {
        let listed = || self.tenants().any(|(_, list)| list == List::Enabled);
        if !self.enabled {
            Phase::Idle
        } else if self.percentage == Percentage::FULL && self.stage.is_none() {
            Phase::Complete
        } else if self.percentage > Percentage::ZERO || listed() {
            Phase::Soaking
        } else {
            Phase::Idle
        }
    }
}

/// What ran when the latch was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// The share of new.
    pub percentage: Percentage,
    /// Was the split switched on?
    pub enabled: bool,
}

/// How a tenant came to be on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Always new.
    Enabled,
    /// Always legacy, by a person's `tenant disable` or by the file.
    Disabled,
    /// Always legacy, by a rollback: neither the file nor `tenant enable` takes it
    /// off, only `tenant clear`.
    RolledBack,
    /// On new because a stage picked it by hand; a step back behind that stage takes it off.
    Picked,
    /// On legacy because it calls too much for the stage; a later one takes it off.
    Later,
}

impl Listed {
    /// The list it is on.
    pub const fn list(self) -> List {
        match self {
            Self::Enabled | Self::Picked => List::Enabled,
            Self::Disabled | Self::RolledBack | Self::Later => List::Disabled,
        }
    }

    /// The word for it in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::RolledBack => "rolled-back",
            Self::Picked => "picked",
            Self::Later => "later",
        }
    }

    /// The standing of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Enabled,
            Self::Disabled,
            Self::RolledBack,
            Self::Picked,
            Self::Later,
        ]
        .into_iter()
        .find(|listed| listed.name() == name)
    }

    /// How near to new: disabled, on no list, enabled.
    const fn nearness(listed: Option<Self>) -> u8 {
        match listed {
            Some(Self::Disabled | Self::RolledBack | Self::Later) => 0,
            None => 1,
            Some(Self::Enabled | Self::Picked) => 2,
        }
    }
}

impl From<List> for Listed {
    fn from(list: List) -> Self {
        match list {
            List::Enabled => Self::Enabled,
            List::Disabled => Self::Disabled,
        }
    }
}

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
    /// What is hashed and how, in words ([`Scheme::told`](crate::split::Scheme::told)).
    /// No wish: whoever loads the file makes sure that it is meant before it comes here.
    pub scheme: Option<String>,
}

/// A moment and a sequence number: the head of every journal entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Higher than the entry's before; the first is 1. A gap is an order whose
    /// record failed and which was therefore not carried out.
    pub sequence: u64,
    /// When, by the calendar.
    pub at: Wall,
}
