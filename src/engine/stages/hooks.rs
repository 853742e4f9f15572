//! What lies outside: asked before a stage begins, told of everything else. A step that
//! waits for an answer is none yet; whatever goes toward legacy drops it.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::{Done, Effect, Engine, Hook, Notice, Severity};
use super::{AGAIN, Step, conflict, why_not};
use crate::engine::steps::reply;
use crate::model::{Percentage, Tick, Wall};
use crate::rollout::plan::Advance;
use crate::rollout::{Action, Command, Entry, Moment, Order, Phase, Snapshot, Waives};

/// An answer that takes longer counts as a failure.
const LATE: Duration = Duration::from_secs(3600);

/// Who ordered a step hears so soon that it waits, before whoever asked for him gives up.
/// The step itself goes on.
const HEARD: Duration = Duration::from_secs(3);

/// How many that were told are kept in mind, so that a failure can name its moment. The
/// oldest is forgotten first.
const TOLD_MAX: usize = 64;

/// Who is asked, and who was told.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    waiting: Option<Waiting>,
    told: VecDeque<(u64, Moment)>,
    /// Ways back that were told since the share or the latch changed last: at most one of
    /// each kind. Who orders the same again tells nobody again.
    since: Vec<Moment>,
    last: u64,
}

/// A step that waits for an answer.
#[derive(Debug)]
struct Waiting {
    id: u64,
    since: Tick,
    stage: String,
    step: Step,
}

impl Hooks {
    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The stage that waits for an answer.
    pub(super) fn waits_for(&self) -> Option<&str> {
        self.waiting.as_ref().map(|waiting| waiting.stage.as_str())
    }

    fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Engine {
    pub(super) fn asks_before_a_stage(&self) -> bool {
        self.settings.hooks.contains(&Moment::BeforeStage)
    }

    pub(super) fn ask_before(
        &mut self,
        stage: String,
        percentage: Percentage,
        step: Step,
        now: Tick,
        effects: &mut Vec<Effect>,
    ) {
        let id = self.stages.hooks.id();
        effects.push(Effect::Hook(Hook {
            id,
            moment: Moment::BeforeStage,
            stage: Some(stage.clone()),
            tenant: None,
            percentage,
            reason: step.reason.clone(),
        }));
        self.stages.hooks.waiting = Some(Waiting {
            id,
            since: now,
            stage,
            step,
        });
    }

    /// What was asked or told has answered.
    pub(in crate::engine) fn hooked(
        &mut self,
        id: u64,
        result: Result<(), String>,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let hooks = &mut self.stages.hooks;
        if let Some(waiting) = hooks.waiting.take_if(|waiting| waiting.id == id) {
            match result {
                Ok(()) => self.go_on(waiting, now, wall, effects),
                Err(why) => self.not_allowed(waiting, &why, now, wall, effects),
            }
            return;
        }
        let told = hooks.told.iter().position(|(told, _)| *told == id);
        let moment = told.and_then(|at| hooks.told.remove(at));
        if let (Err(why), Some((_, moment))) = (result, moment) {
            effects.push(Effect::Say(Notice {
                severity: Severity::Warning,
                rule: None,
                text: format!(
                    "The {} hook failed: {why}. What it was to do outside is not done.",
                    moment.name()
                ),
            }));
        }
    }

    /// Whoever ordered the step that waits does not have to wait as long.
    pub(super) fn say_waiting(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let (durable, generation) = (self.is_durable(now), self.split.generation);
        let waiting = self.stages.hooks.waiting.as_mut();
        let Some(waiting) = waiting.filter(|waiting| now.since(waiting.since) >= HEARD) else {
            return;
        };
        let Some(ticket) = waiting.step.ticket.take() else {
            return;
        };
        let done = Done {
            said: format!(
                "Stage {} begins when its before-stage hook agrees, which still runs: `switchback \
                 status` shows whether it did, and the log why not.",
                waiting.stage
            ),
            durable,
            generation,
        };
        reply(effects, Some(ticket), Ok(done));
    }

    /// Nobody has answered for an hour.
    pub(super) fn give_up_waiting(&mut self, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        let late = |waiting: &mut Waiting| now.since(waiting.since) > LATE;
        if let Some(waiting) = self.stages.hooks.waiting.take_if(late) {
            self.not_allowed(
                waiting,
                "it has not answered for an hour",
                now,
                wall,
                effects,
            );
        }
    }

    /// A step toward legacy is taken: what waits is not.
    pub(in crate::engine) fn drop_waiting(&mut self, effects: &mut Vec<Effect>) {
        if let Some(waiting) = self.stages.hooks.waiting.take() {
            let why = format!(
                "stage {} does not begin: a step toward legacy came in between; look at the \
                 status before you try again",
                waiting.stage
            );
            reply(effects, waiting.step.ticket, Err(conflict(why)));
        }
    }

    /// It may be a while since everything was there: it is looked at once more.
    fn go_on(&mut self, waiting: Waiting, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        let Waiting { stage, step, .. } = waiting;
        let changed = format!("stage {stage} does not begin: the plan was changed meanwhile");
        let plan = self.settings.plan.clone().filter(|plan| {
            let next = self.next(plan);
            next == step.next && next.stage(plan).is_some_and(|next| next.name == stage)
        });
        let Some(plan) = plan else {
            return reply(effects, step.ticket, Err(conflict(changed)));
        };
        self.look_out(&plan, now, wall);
        let missing = self.missing(&plan, &step, now, wall);
        if missing.is_empty() {
            return self.begin(&plan, step, now, wall, effects);
        }
        let words = |point| self.in_words(&plan, point);
        let points: Vec<_> = missing.iter().map(words).collect();
        let refusal = why_not(&plan, step.next, &points, &missing);
        reply(effects, step.ticket, Err(refusal));
    }

    /// What lies outside says no: nothing begins, and a plan that goes by itself stops.
    fn not_allowed(
        &mut self,
        waiting: Waiting,
        why: &str,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let Waiting { stage, step, .. } = waiting;
        let why = format!("stage {stage} does not begin: the before-stage hook failed: {why}");
        if step.ticket.is_some() {
            effects.push(Effect::Say(Notice {
                severity: Severity::Warning,
                rule: None,
                text: why.clone(),
            }));
        }
        let plan = self.settings.plan.as_ref();
        let by_itself = plan.is_some_and(|plan| plan.advance == Advance::Auto);
        let holds = by_itself && !self.rollout.phase().stopped();
        let said = match holds {
            true => {
                format!("{why}; the plan is held: mend it, then `switchback resume --reason …`")
            }
            false => why.clone(),
        };
        reply(effects, step.ticket, Err(conflict(said)));
        self.stages.look_at = now + AGAIN;
        if holds {
            let hold = Order {
                actor: "hook".to_owned(),
                reason: why,
                waives: Waives::default(),
                command: Command::Hold,
            };
            self.order(None, &hold, now, wall, effects);
        }
    }

    /// Tells what lies outside of an entry that is in force.
    pub(in crate::engine) fn tell_outside(&mut self, entry: &Entry, effects: &mut Vec<Effect>) {
        let left = entry.before.stage.as_ref().map(|left| left.stage.clone());
        let entered = entry.after.stage.as_ref().map(|stage| stage.stage.clone());
        let (before, after) = (&entry.before, &entry.after);
        if before.latched != after.latched || before.percentage != after.percentage {
            self.stages.hooks.since.clear();
        }
        match entry.action {
            Action::Reverse { .. } => self.tell_back(Moment::Reversal, left, entry, effects),
            Action::RollbackTotal | Action::RollbackPartial | Action::StepBack { .. } => {
                self.tell_back(Moment::Rollback, left, entry, effects);
            }
            Action::RollbackTenant | Action::DisableTenant { .. }
                if changes(&entry.before, &entry.after) =>
            {
                self.tell(Moment::RollbackTenant, left, entry, effects);
            }
            Action::EmergencyStop => self.tell_back(Moment::EmergencyStop, left, entry, effects),
            // A stage whose share was lowered and that is taken up again was not left.
            Action::Advance if left.is_some() && left != entered => {
                self.tell(Moment::AfterStage, left, entry, effects);
            }
            Action::Complete => {
                self.tell(Moment::AfterStage, left.clone(), entry, effects);
                self.tell(Moment::Complete, left, entry, effects);
            }
            _ => {}
        }
    }

    /// What a process before this one has told already, as far as the rollout shows: a
    /// repeated order after a restart must not run `rollout undo` once more. A stop to
    /// legacy does not show; a second page does less harm than none.
    pub(in crate::engine) fn know_told(&mut self) {
        let since = match (self.rollout.phase(), self.rollout.stopped()) {
            (Phase::Reversed, _) => vec![Moment::Reversal],
            (_, true) => vec![Moment::Rollback, Moment::EmergencyStop],
            (_, false) => vec![Moment::Rollback],
        };
        self.stages.hooks.since = since;
    }

    /// Tells of a way back, unless it is ordered again and changes nothing: it was told, and
    /// what it runs, a page or a `rollout undo`, is not to be done twice.
    fn tell_back(
        &mut self,
        moment: Moment,
        stage: Option<String>,
        entry: &Entry,
        effects: &mut Vec<Effect>,
    ) {
        let since = &mut self.stages.hooks.since;
        let was_told = since.contains(&moment);
        if !was_told {
            since.push(moment);
        }
        if !was_told || changes(&entry.before, &entry.after) {
            self.tell(moment, stage, entry, effects);
        }
    }

    fn tell(
        &mut self,
        moment: Moment,
        stage: Option<String>,
        entry: &Entry,
        effects: &mut Vec<Effect>,
    ) {
        if !self.settings.hooks.contains(&moment) {
            return;
        }
        let hooks = &mut self.stages.hooks;
        let id = hooks.id();
        if hooks.told.len() == TOLD_MAX {
            hooks.told.pop_front();
        }
        hooks.told.push_back((id, moment));
        let tenant = entry.tenant().filter(|_| moment == Moment::RollbackTenant);
        effects.push(Effect::Hook(Hook {
            id,
            moment,
            stage,
            tenant: tenant.map(str::to_owned),
            percentage: entry.after.percentage,
            reason: entry.because(),
        }));
    }
}

/// Does anybody's call go elsewhere by it, or is the plan elsewhere?
fn changes(before: &Snapshot, after: &Snapshot) -> bool {
    let what = |it: &Snapshot| (it.latched, it.stopped, it.percentage, it.moves_live);
    what(before) != what(after) || before.tenants != after.tenants || before.stage != after.stage
}
