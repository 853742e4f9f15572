//! What a plan and its rows ask of the rollout: a stage begins, the last one is over, a
//! row goes back one, takes one tenant off, or a person stops everything.
//!
//! Which stage comes next, and whether it may, is the engine's to know. Here is what
//! holds whatever it asks: a stage that begins takes nobody who may be on new back to
//! legacy, a step back takes nobody to new.

use std::collections::BTreeSet;

use super::decide::{TENANTS_MAX, check_tenant};
use super::draft::Draft;
use super::refusal::{Refusal, conflict};
use super::{
    Action, Emergency, Entering, Entry, Listed, Live, Phase, Plan, Rollout, Stage, Standing,
};
use crate::model::{Percentage, Wall};

impl Rollout {
    /// The calendar was stepped by so much: how long a stage has run does not change by
    /// it, so the moments that are counted from are moved along. But where the stage was
    /// still to begin by the calendar as it was (a machine that starts without knowing the
    /// date), that was wrong, and is put right by the step.
    pub fn clock_stepped(&self, by_ms: i64, at: Wall) -> Entry {
        let mut draft = Draft::of(self);
        let was = at.0.saturating_sub(by_ms);
        if let Some(stage) = draft.to.stage.as_mut().filter(|stage| stage.since.0 <= was) {
            stage.since.0 = stage.since.0.saturating_add(by_ms);
            stage.begun.0 = stage.begun.0.saturating_add(by_ms);
        }
        let action = Action::ClockStepped { by_ms };
        draft.into_entry(action, "switchback", "", at)
    }
}

impl Plan {
    /// A stage's place among the others, from 0.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == name)
    }

    /// Who is picked by hand from the first stage to this one.
    pub fn picked(&self, up_to: usize) -> BTreeSet<&str> {
        let stages = self.stages.iter().take(up_to.saturating_add(1));
        stages
            .flat_map(|stage| stage.tenants.iter().map(String::as_str))
            .collect()
    }

    /// The last stage that puts no more than so much on new.
    fn last_within(&self, percentage: Percentage) -> Option<(usize, &Stage)> {
        let mut stages = self.stages.iter().enumerate().rev();
        stages.find(|(_, stage)| stage.percentage <= percentage)
    }
}

/// The number people give to a stage's place.
pub(crate) fn number(position: usize) -> u16 {
    u16::try_from(position.saturating_add(1)).unwrap_or(u16::MAX)
}

impl Draft<'_> {
    pub(super) fn enter(&mut self, entering: &Entering, at: Wall) -> Result<Action, Refusal> {
        self.refuse_latched(&format!("stage {}", entering.stage))?;
        self.refuse_held(&format!("stage {} cannot begin", entering.stage))?;
        // More may be on new already, by an operator's order. It stays there.
        self.to.percentage = entering.percentage.max(self.from.percentage);
        if !self.from.enabled {
            self.to.enabled = true;
            self.note("The split was switched off and is on again.");
        }
        self.stand(entering, at);
        for (id, to) in &entering.tenants {
            let now = self.from.listed(id);
            // Who is on new for sure stays there, also where the plan was edited since.
            let keeps = now == Some(Listed::Picked) && *to != Some(Listed::Picked);
            if is_the_plans(now) && !keeps {
                self.list_planned(id, *to);
            }
        }
        self.to.phase = self.to.running_phase();
        Ok(Action::Advance)
    }

    pub(super) fn complete(&mut self) -> Result<Action, Refusal> {
        self.refuse_latched("completing the plan")?;
        self.refuse_held("the plan cannot be completed")?;
        if self.from.stage.is_none() {
            return Err(conflict(
                "no stage of the plan runs, so there is nothing to complete".to_owned(),
            ));
        }
        self.to.phase = Phase::Complete;
        Ok(Action::Complete)
    }

    /// Never refused: asked while everything is latched, it is recorded.
    pub(super) fn step_back(&mut self, rule: &str, to: Option<&Entering>, at: Wall) -> Action {
        let share = to.map_or(Percentage::ZERO, |stage| stage.percentage);
        self.to.percentage = share.min(self.from.percentage);
        match to {
            Some(entering) => {
                self.stand(entering, at);
                for (id, to) in &entering.tenants {
                    let now = self.from.listed(id);
                    let nearer = Listed::nearness(*to) > Listed::nearness(now);
                    if is_the_plans(now) && !nearer {
                        self.list_planned(id, *to);
                    }
                }
            }
            None => {
                self.to.stage = None;
                self.keep_picked(&BTreeSet::new());
            }
        }
        if !self.from.phase.stopped() {
            self.to.phase = Phase::Held;
        }
        self.note_listed();
        let rule = rule.to_owned();
        Action::StepBack { rule }
    }

    pub(super) fn disable_tenant(
        &mut self,
        rule: &str,
        id: &str,
        live: Live,
    ) -> Result<Action, Refusal> {
        check_tenant(id)?;
        self.list(id, Some(Listed::RolledBack));
        self.run();
        self.some_live(live);
        let rule = rule.to_owned();
        Ok(Action::DisableTenant { rule })
    }

    /// As a total rollback, and where it says so nobody gets through at all.
    pub(super) fn emergency_stop(&mut self, to: Emergency) -> Action {
        let live = match self.from.latched {
            true => self.from.live(),
            false => Live::Drain,
        };
        self.latch(Phase::RolledBack, live);
        self.to.enabled = false;
        self.to.stopped = to == Emergency::LastResort;
        Action::EmergencyStop
    }

    /// In which stage a plan goes on when a latch was cleared: in the last one that asks
    /// for no more than is on new now, or anew. What later stages had listed is undone.
    pub(super) fn resume_plan(&mut self, plan: Option<&Plan>, at: Wall) {
        if !self.from.latched {
            return;
        }
        let share = self.to.percentage;
        let stage = plan
            .filter(|_| share > Percentage::ZERO)
            .and_then(|plan| Some((plan, plan.last_within(share)?)));
        let begun = self.from.stage.as_ref().map_or(at, |stage| stage.begun);
        self.to.stage = stage.map(|(_, (position, stage))| Standing {
            stage: stage.name.clone(),
            number: number(position),
            since: at,
            begun,
        });
        match stage {
            Some((plan, (position, stage))) => {
                self.keep_picked(&plan.picked(position));
                let name = &stage.name;
                self.note(format!("The plan goes on in stage {name}."));
            }
            None => {
                self.keep_picked(&BTreeSet::new());
                self.let_go();
                if plan.is_some() {
                    self.note("The plan begins anew with its first stage.");
                }
            }
        }
    }

    /// An order has set the share of new while a stage runs.
    pub(super) fn note_stage(&mut self) {
        let (was, is) = (self.from.percentage, self.to.percentage);
        let Some(stage) = self.from.stage.as_ref().filter(|_| !self.to.latched) else {
            return;
        };
        let name = &stage.stage;
        if is > was {
            self.note(format!(
                "The plan stays in stage {name}; the next to begin is the first later one with at \
                 least {is}."
            ));
        } else if is < was {
            self.note(format!(
                "The plan stays in stage {name} and goes on only by `switchback advance`."
            ));
        }
    }

    fn stand(&mut self, entering: &Entering, at: Wall) {
        let begun = self.from.stage.as_ref().map_or(at, |stage| stage.begun);
        self.to.stage = Some(Standing {
            stage: entering.stage.clone(),
            number: entering.number,
            since: at,
            begun,
        });
    }

    fn refuse_held(&self, what: &str) -> Result<(), Refusal> {
        if self.from.phase != Phase::Held {
            return Ok(());
        }
        let because = self.from.because().unwrap_or("no reason is recorded");
        Err(conflict(format!(
            "{what} while the rollout is held ({because}); `switchback resume --reason …` goes on"
        )))
    }

    /// Lists a tenant as a stage asks, where it is not so already and there is room.
    fn list_planned(&mut self, id: &str, to: Option<Listed>) {
        let now = self.from.listed(id);
        let room = self.to.tenants.len() < TENANTS_MAX || now.is_some();
        if now != to && room {
            self.list(id, to);
        }
    }

    /// Takes every pick off but these.
    fn keep_picked(&mut self, picked: &BTreeSet<&str>) {
        let from = self.from;
        for (id, listed) in from.all_listed() {
            if listed == Listed::Picked && !picked.contains(id) {
                self.list(id, None);
            }
        }
    }

    /// Takes off who was kept for a later stage.
    fn let_go(&mut self) {
        let from = self.from;
        for (id, listed) in from.all_listed() {
            if listed == Listed::Later {
                self.list(id, None);
            }
        }
    }
}

/// May a stage list this tenant otherwise? Not where a person or a rollback has.
const fn is_the_plans(now: Option<Listed>) -> bool {
    matches!(now, None | Some(Listed::Picked | Listed::Later))
}

#[cfg(test)]
mod tests;
