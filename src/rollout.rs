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
mod draft;
mod entry;
pub mod forecast;
mod listed;
mod order;
mod phase;
pub mod plan;
mod proof;
#[cfg(test)]
mod properties;
mod refusal;
mod reloaded;
pub(crate) mod stages;
mod wishes;
mod words;

pub use checkpoint::{Checkpoint, Follows};
pub use data::RestoreOrder;
pub(crate) use decide::NO_PLAN;
pub use decide::{TENANT_BYTES, TENANTS_MAX};
pub use entry::{Action, Entry, Evidence, Snapshot};
pub use listed::{List, Listed};
pub use order::{Command, Entering, Level, Order};
pub use phase::Phase;
pub use plan::{Emergency, Moment, Plan, Stage, Standing, Waives};
pub use proof::{Proof, Step, Taken};
pub use refusal::{Refusal, RefusalKind};
pub use reloaded::Reread;
pub use wishes::{WishOutcome, Wishes};
pub(crate) use words::shown;

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
    judged_since: Option<Wall>,
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
            judged_since: None,
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
        self.judge_anew(entry);
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

    /// With another share, at a latch and its end, after a step back and when a hold is
    /// lifted, what new did before is over for the tables.
    fn judge_anew(&mut self, entry: &Entry) {
        let after = &entry.after;
        let moved = self.percentage != after.percentage || self.latched != after.latched;
        match &entry.action {
            Action::ClockStepped { by_ms } => {
                if let Some(since) = &mut self.judged_since {
                    since.0 = since.0.saturating_add(*by_ms);
                }
            }
            Action::Resume | Action::StepBack { .. } => self.judged_since = Some(entry.stamp.at),
            _ if moved => self.judged_since = Some(entry.stamp.at),
            _ => {}
        }
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

    /// From when on what new does is held against the tables, by the calendar; None where
    /// nothing was ever decided that made it begin anew.
    pub const fn judged_since(&self) -> Option<Wall> {
        self.judged_since
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

/// A moment and a sequence number: the head of every journal entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Higher than the entry's before; the first is 1. A gap is an order whose
    /// record failed and which was therefore not carried out.
    pub sequence: u64,
    /// When, by the calendar.
    pub at: Wall,
}
