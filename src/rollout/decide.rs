//! What follows from an order, or why it is refused.
//!
//! Two asymmetries hold everywhere. A step toward legacy is never refused for the
//! state the rollout is in: asked twice, it is recorded twice. A step toward new
//! is refused while latched, with the one command that helps. What a plan and its rows
//! ask for stands in `stages.rs` beside this.

use super::draft::Draft;
use super::entry::STOPPED;
use super::refusal::{Refusal, conflict, invalid};
use super::words::shown;
use super::{
    Action, Command, Entry, Level, List, Listed, Live, Order, Phase, Plan, Rollout, Snapshot, Step,
};
use crate::measure::totals::Hour;
use crate::model::{Percentage, Wall};

/// Longest tenant id an order may name, in bytes; a longer one is refused.
pub const TENANT_BYTES: usize = 256;

/// Most tenants that orders may put on the lists together; beyond it `tenant
/// enable` and `tenant disable` are refused. A rollback never is.
pub const TENANTS_MAX: usize = 100_000;

/// What an order to advance is told where there is nothing to advance in.
pub(crate) const NO_PLAN: &str = "there is no plan: write its stages as `[[plan.stage]]` into the \
     configuration, or change the share of new with `switchback set PERCENT --reason …`";

impl Rollout {
    /// What follows from an order. Changes nothing: [`Rollout::apply`] does.
    ///
    /// # Errors
    ///
    /// An order that makes no sense, that would raise anything while latched, a
    /// rollback to a higher percentage, a hold or a reversal of what is already
    /// latched, a resume of what is not stopped.
    pub fn decide(&self, order: &Order, at: Wall) -> Result<Entry, Refusal> {
        self.decide_in(order, None, at)
    }

    /// As [`Rollout::decide`], where this plan is in force: it says in which stage a
    /// resume goes on.
    ///
    /// # Errors
    ///
    /// As [`Rollout::decide`]; besides, a stage that begins or ends while the rollout is
    /// held or latched.
    pub fn decide_in(
        &self,
        order: &Order,
        plan: Option<&Plan>,
        at: Wall,
    ) -> Result<Entry, Refusal> {
        let mut draft = Draft::of(self);
        let action = match &order.command {
            Command::Percentage(to) => draft.set(*to)?,
            Command::Hold => draft.hold()?,
            Command::Resume { percentage } => draft.resume(*percentage, &order.reason, plan, at)?,
            Command::Rollback(Level::Tenant(id), live) => draft.rollback_tenant(id, *live)?,
            Command::Rollback(Level::Partial(to), live) => draft.rollback_partial(*to, *live)?,
            Command::Rollback(Level::Total, live) => draft.rollback_total(*live),
            Command::Tenant { id, list } => draft.tenant(id, *list)?,
            Command::Reverse { rule, live } => draft.reverse(rule, *live)?,
            Command::Advance => return Err(conflict(NO_PLAN.to_owned())),
            Command::Enter(entering) => draft.enter(entering, at)?,
            Command::Complete => draft.complete()?,
            Command::StepBack { rule, to } => draft.step_back(rule, to.as_ref(), at),
            Command::DisableTenant { rule, id, live } => draft.disable_tenant(rule, id, *live)?,
            Command::EmergencyStop(to) => draft.emergency_stop(*to),
        };
        Ok(draft.into_entry(action, &order.actor, &order.reason, at))
    }

    /// A step of the verification, in words that go on after a colon. It changes
    /// nothing but what is proven.
    pub fn verification(&self, step: Step, count: u64, words: &str, at: Wall) -> Entry {
        let action = Action::Verification { step, count };
        Draft::of(self).into_entry(action, "switchback", words, at)
    }

    /// An hour that was added up. It changes nothing but the totals.
    pub fn totals_entry(&self, hour: Hour, at: Wall) -> Entry {
        let action = Action::Totals(Box::new(hour));
        Draft::of(self).into_entry(action, "switchback", "the hour is over", at)
    }

    /// What follows from a latch file found set, or unreadable, at start. None if
    /// the journal says so already: latched, and stopped where the file says that too.
    ///
    /// It was written by a reversal or a total rollback whose journal line did not
    /// make it to disk, or not cleared by a resume that crashed half way.
    pub fn latched_at_start(&self, reason: &str, at: Wall) -> Option<Entry> {
        // What the latch was set with begins with the phase (see `Entry::latch_reason`).
        let rolled_back = reason.strip_prefix(Phase::RolledBack.name());
        let stopped = rolled_back.is_some_and(|rest| rest.starts_with(STOPPED));
        if self.latched && (self.stopped || !stopped) {
            return None;
        }
        let phase = match rolled_back {
            Some(_) => Phase::RolledBack,
            None => Phase::Reversed,
        };
        Some(self.found_latched(phase, stopped, reason, at))
    }

    /// What follows where a latch that a resume was to clear stands all the same, and let
    /// nobody through if it is `stopped`. None if it is latched anyway.
    pub fn latched_again(&self, reason: &str, stopped: bool, at: Wall) -> Option<Entry> {
        let phase = match stopped {
            true => Phase::RolledBack,
            false => Phase::Reversed,
        };
        (!self.latched).then(|| self.found_latched(phase, stopped, reason, at))
    }

    fn found_latched(&self, phase: Phase, stopped: bool, reason: &str, at: Wall) -> Entry {
        let mut draft = Draft::of(self);
        // Whether it was to move live calls stood in the line that is lost.
        draft.latch(phase, Live::Drain);
        draft.to.stopped = stopped;
        draft.into_entry(Action::LatchedAtStart, "switchback", reason, at)
    }

    /// The first entry of the journal that follows a damaged one. `self` is the
    /// fold of what could be read before the damage and `unread` the number of
    /// lines after it, none of which can have raised a number by more than one.
    ///
    /// Latched, at 0 %, with nothing to resume to. Tenants known to be disabled
    /// stay so, because that is toward legacy; those enabled are forgotten.
    pub fn after_damage(&self, set_aside: &str, reason: &str, unread: u64, at: Wall) -> Entry {
        let none = Self {
            sequence: self.sequence.saturating_add(unread),
            generation: self.generation.saturating_add(unread),
            ..Self::default()
        };
        let mut draft = Draft::of(&none);
        draft.latch(Phase::Reversed, Live::Drain);
        for (id, listed) in &self.tenants {
            if listed.list() == List::Disabled {
                draft.list(id, Some(*listed));
            }
        }
        let action = Action::JournalDamaged {
            set_aside: set_aside.to_owned(),
        };
        draft.into_entry(action, "switchback", reason, at)
    }
}

impl Draft<'_> {
    fn set(&mut self, to: Percentage) -> Result<Action, Refusal> {
        if to > self.from.percentage {
            self.refuse_latched(&format!("setting {to}"))?;
        }
        self.to.percentage = to;
        // Whoever asks for a share wants it to run. Zero switches nothing on: a
        // hurried `set 0` must not wake the tenants of a split that was off.
        if to > Percentage::ZERO && !self.from.enabled {
            self.to.enabled = true;
            self.note("The split was switched off and is on again.");
        }
        self.run();
        self.note_listed();
        self.note_stage();
        Ok(Action::Set)
    }

    fn hold(&mut self) -> Result<Action, Refusal> {
        if self.from.latched {
            let why = match self.from.stopped {
                true => "the emergency stop is in force, there is nothing to hold",
                false => "everything is on legacy and latched, there is nothing to hold",
            };
            return Err(conflict(why.to_owned()));
        }
        if let (Phase::Held, Some(because)) = (self.from.phase, self.from.because()) {
            self.note(format!("It was held by {because}."));
        }
        self.to.phase = Phase::Held;
        Ok(Action::Hold)
    }

    fn resume(
        &mut self,
        named: Option<Percentage>,
        reason: &str,
        plan: Option<&Plan>,
        at: Wall,
    ) -> Result<Action, Refusal> {
        if reason.trim().is_empty() {
            return Err(invalid(
                "a resume needs a reason: what was found and mended? Add `--reason …`".to_owned(),
            ));
        }
        let (most, unnamed, enabled) = match (self.from.latched, self.from.former) {
            (true, Some(former)) => (former.percentage, Percentage::ZERO, former.enabled),
            (true, None) => (Percentage::ZERO, Percentage::ZERO, self.from.enabled),
            (false, _) if self.from.phase == Phase::Held => {
                let now = self.from.percentage;
                (now, now, self.from.enabled)
            }
            (false, _) => {
                return Err(conflict(
                    "the rollout is neither held nor latched, there is nothing to resume; \
                     `switchback set PERCENT` changes the share of new"
                        .to_owned(),
                ));
            }
        };
        let percentage = named.unwrap_or(unnamed);
        if percentage > most {
            return Err(conflict(format!(
                "resume goes no higher than the former {most}, {percentage} was asked for; resume \
                 first, then `switchback set`"
            )));
        }
        self.to.latched = false;
        self.to.stopped = false;
        self.to.moves_live = false;
        self.to.former = None;
        self.to.percentage = percentage;
        self.to.enabled = enabled || percentage > Percentage::ZERO;
        self.resume_plan(plan, at);
        self.to.phase = self.to.running_phase();
        self.note_listed();
        self.note_off();
        Ok(Action::Resume)
    }

    fn rollback_tenant(&mut self, id: &str, live: Live) -> Result<Action, Refusal> {
        check_tenant(id)?;
        self.list(id, Some(Listed::RolledBack));
        self.run();
        self.some_live(live);
        Ok(Action::RollbackTenant)
    }

    fn rollback_partial(&mut self, to: Percentage, live: Live) -> Result<Action, Refusal> {
        let now = self.from.percentage;
        if to > now {
            return Err(conflict(format!(
                "a rollback never raises: the share of new is {now}, {to} was asked for"
            )));
        }
        self.to.percentage = to;
        self.run();
        self.some_live(live);
        self.note_listed();
        self.note_stage();
        Ok(Action::RollbackPartial)
    }

    fn rollback_total(&mut self, live: Live) -> Action {
        self.latch(Phase::RolledBack, live);
        self.to.enabled = false;
        Action::RollbackTotal
    }

    fn reverse(&mut self, rule: &str, live: Live) -> Result<Action, Refusal> {
        // Refused, not repeated: a row that stays tripped is evaluated ten times a
        // second, and the journal keeps facts.
        if self.from.latched {
            return Err(conflict("everything is on legacy already".to_owned()));
        }
        self.latch(Phase::Reversed, live);
        let rule = rule.to_owned();
        Ok(Action::Reverse { rule })
    }

    fn tenant(&mut self, id: &str, list: Option<List>) -> Result<Action, Refusal> {
        check_tenant(id)?;
        let now = self.from.tenants.get(id).copied();
        let to = match (now, list) {
            (Some(Listed::RolledBack), Some(List::Enabled)) => {
                let id = shown(id);
                return Err(conflict(format!(
                    "tenant {id} was rolled back; `switchback tenant clear ID --reason …` first"
                )));
            }
            // Disabling it once more does not make it easier to enable.
            (Some(Listed::RolledBack), Some(List::Disabled)) => Some(Listed::RolledBack),
            (_, list) => list.map(Listed::from),
        };
        if Listed::nearness(to) > Listed::nearness(now) {
            self.refuse_latched(&format!("moving tenant {} toward new", shown(id)))?;
        }
        if now.is_none() && to.is_some() && self.from.tenants.len() >= TENANTS_MAX {
            return Err(conflict(format!(
                "{TENANTS_MAX} tenants are on the lists, there is no room for more"
            )));
        }
        self.list(id, to);
        self.run();
        Ok(match list {
            Some(List::Enabled) => {
                self.note_off();
                Action::TenantEnable
            }
            Some(List::Disabled) => Action::TenantDisable,
            None => Action::TenantClear,
        })
    }
}

impl Rollout {
    pub(super) fn snapshot(&self, tenants: &[String]) -> Snapshot {
        Snapshot {
            phase: self.phase,
            percentage: self.percentage,
            enabled: self.enabled,
            latched: self.latched,
            moves_live: self.moves_live,
            stopped: self.stopped,
            stage: self.stage.clone(),
            former: self.former,
            tenants: tenants
                .iter()
                .map(|id| (id.clone(), self.tenants.get(id).copied()))
                .collect(),
        }
    }
}

pub(super) fn check_tenant(id: &str) -> Result<(), Refusal> {
    if id.is_empty() || id.len() > TENANT_BYTES {
        return Err(invalid(format!(
            "a tenant's id has 1 to {TENANT_BYTES} bytes, this one has {}",
            id.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
