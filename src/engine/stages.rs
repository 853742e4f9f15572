//! The plan as it runs: when everything allows the next stage it begins, ordered by a
//! person or by the plan itself.
//!
//! What is missing is one list, whoever asks (`stages/readiness.rs`); what lies outside
//! is told or asked in `stages/hooks.rs`; what rows do to a plan stands in
//! `stages/back.rs`, the calendar's steps in `stages/stepped.rs`, what operators see in
//! `stages/shown.rs`. A step toward legacy asks nothing of all this.

mod back;
mod entering;
mod hooks;
mod readiness;
mod shown;
mod stepped;

use std::time::Duration;

use super::{Effect, Engine, Refusal, RefusalKind, Ticket};
use crate::measure::Observation;
use crate::measure::volume::Volumes;
use crate::model::{Backend, Tick, Wall};
use crate::rollout::calendar::Closed;
use crate::rollout::forecast::Forecast;
use crate::rollout::plan::Advance;
use crate::rollout::stages::number;
use crate::rollout::{Command, NO_PLAN, Order, Plan, Stage, Waives};
use crate::rules::Rule;
use entering::Heavy;
use hooks::Hooks;
use readiness::{By, Next, why_not};
use stepped::Drift;

/// How often a plan that advances by itself looks whether it may.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After an attempt of its own it waits for so long, unless a stage began by it.
const AGAIN: Duration = Duration::from_secs(10);

/// How often the forecast is made anew: traffic changes slowly.
const OUTLOOK_EVERY: Duration = Duration::from_secs(60);

/// For so long a calendar that says no is not asked again, unless it opens before.
const SHUT_MS: i64 = 60_000;

/// What the engine knows of the plan besides what the rollout folds.
#[derive(Debug)]
pub(super) struct Stages {
    /// The stage that evidence was told of last.
    known: Option<Known>,
    /// Its gates, as evidence has them.
    gates: Vec<Rule>,
    /// How long the stage had run when this process, or the stage, began, and when that
    /// was. From there on the monotonic clock counts, which nobody can set.
    soaked: Duration,
    soaked_at: Tick,
    /// Distinct calls begun on new in it: before this process began, and since.
    calls_before: u64,
    calls: u64,
    hooks: Hooks,
    drift: Drift,
    volumes: Volumes,
    heavy: Heavy,
    outlook: Outlook,
    shut: Option<Shut>,
    /// Since when a row that steps back has tripped, and not been acted on.
    near: Option<Tick>,
    /// Before this moment the plan does not look again.
    look_at: Tick,
}

/// Which stage runs, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    stage: String,
    since: Wall,
}

/// What is to be expected of the stage that comes, made anew once a minute.
#[derive(Debug)]
struct Outlook {
    due: Tick,
    /// Of what it was made; what is made of the same is not made again.
    of: Option<Of>,
    /// Why the next stage would be blind.
    blind: Option<String>,
    forecast: Vec<Forecast>,
    making: Option<Making>,
}

/// A forecast in the making, row by row: all of them at once would keep a tick waiting.
#[derive(Debug)]
struct Making {
    calls_per_minute: f64,
    /// Rows that are done.
    rows: usize,
    made: Vec<Forecast>,
}

/// What a forecast depends on besides the rules: calls a minute on new, in the stage
/// shown and in the next, and the next one's soak.
type Of = (Option<f64>, Option<(f64, Duration)>);

/// What the calendar said when it was asked last and said no: the search for when it
/// opens is too dear for every tick.
#[derive(Debug)]
struct Shut {
    next: Next,
    begun: Option<Wall>,
    asked: Wall,
    closed: Closed,
}

impl Shut {
    /// Does it still stand?
    fn holds(&self, next: Next, begun: Option<Wall>, wall: Wall) -> bool {
        let until = self.asked.0.saturating_add(SHUT_MS);
        let until = self.closed.opens.map_or(until, |opens| until.min(opens.0));
        self.next == next && self.begun == begun && (self.asked.0..until).contains(&wall.0)
    }
}

/// A step of the plan that is to be taken: of which kind, by whom and why.
#[derive(Debug)]
pub(super) struct Step {
    next: Next,
    by: By,
    ticket: Option<Ticket>,
    actor: String,
    reason: String,
    waives: Waives,
    /// What was passed over, in words.
    notes: Vec<String>,
}

impl Stages {
    pub(super) fn new(now: Tick, wall: Wall) -> Self {
        Self {
            known: None,
            gates: Vec::new(),
            soaked: Duration::ZERO,
            soaked_at: now,
            calls_before: 0,
            calls: 0,
            hooks: Hooks::default(),
            drift: Drift::new(now, wall),
            volumes: Volumes::new(now),
            heavy: Heavy::new(now),
            outlook: Outlook {
                due: now,
                of: None,
                blind: None,
                forecast: Vec::new(),
                making: None,
            },
            shut: None,
            near: None,
            look_at: now,
        }
    }

    /// Takes one observation in.
    pub(super) fn hear(&mut self, observation: &Observation, now: Tick) {
        if let Observation::Placed(placed) = observation
            && placed.begins
            && placed.placement.backend == Backend::New
        {
            self.calls += 1;
        }
        self.volumes.hear(observation, now);
    }

    /// Rules or plan may be others: what was foreseen and what the calendar said do not
    /// stand any more.
    pub(super) fn forget_outlook(&mut self, now: Tick) {
        (self.outlook.due, self.outlook.of, self.shut) = (now, None, None);
    }

    /// How long the stage has run.
    fn soaked(&self, now: Tick) -> Duration {
        self.soaked + now.since(self.soaked_at)
    }

    /// Distinct calls begun on new in the stage.
    const fn calls(&self) -> u64 {
        self.calls_before.saturating_add(self.calls)
    }
}

impl Engine {
    /// Once a tick: the plan looks where it stands, and takes the next step if it may.
    pub(super) fn drive(&mut self, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        self.give_up_waiting(now, wall, effects);
        self.say_waiting(now, effects);
        let Some(plan) = self.settings.plan.clone() else {
            return;
        };
        let waits = self.pending.is_some() || self.stages.hooks.is_waiting();
        if plan.advance != Advance::Auto || waits || now < self.stages.look_at {
            return;
        }
        self.stages.look_at = now + LOOK_EVERY;
        let next = self.next(&plan);
        if next == Next::Over {
            return;
        }
        self.look_out(&plan, now, wall);
        let waives = Waives::default();
        let step = Step {
            next,
            by: By::Plan,
            ticket: None,
            actor: "plan".to_owned(),
            reason: String::new(),
            waives,
            notes: Vec::new(),
        };
        if self.lacks(&plan, &step, now, wall) {
            return;
        }
        self.stages.look_at = now + AGAIN;
        let reason = self.all_there(&plan, now);
        self.take_step(&plan, Step { reason, ..step }, now, wall, effects);
    }

    /// An operator's `advance`: taken, or refused with everything that is missing.
    pub(super) fn advance(
        &mut self,
        ticket: Option<Ticket>,
        order: &Order,
        now: Tick,
        wall: Wall,
    ) -> Result<Step, Refusal> {
        let Some(plan) = self.settings.plan.clone() else {
            return Err(conflict(NO_PLAN.to_owned()));
        };
        let next = self.next(&plan);
        if next == Next::Over {
            return Err(conflict(
                "the plan is complete, there is no further stage".to_owned(),
            ));
        }
        if let Some(stage) = self.stages.hooks.waits_for() {
            return Err(Refusal {
                kind: RefusalKind::Busy,
                why: format!(
                    "stage {stage} is about to begin: what lies outside was asked and has not \
                     answered yet"
                ),
            });
        }
        self.look_out(&plan, now, wall);
        let mut step = Step {
            next,
            by: By::Operator,
            ticket,
            actor: order.actor.clone(),
            reason: order.reason.clone(),
            waives: order.waives,
            notes: Vec::new(),
        };
        let missing = self.missing(&plan, &step, now, wall);
        if !missing.is_empty() {
            let points: Vec<_> = missing
                .iter()
                .map(|point| self.in_words(&plan, point))
                .collect();
            return Err(why_not(&plan, next, &points, &missing));
        }
        step.notes = self.passed_over(&plan, &step, now, wall);
        Ok(step)
    }

    /// The step that an operator asked for.
    pub(super) fn take_planned(
        &mut self,
        step: Step,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(plan) = self.settings.plan.clone() {
            self.take_step(&plan, step, now, wall, effects);
        }
    }

    /// Asks what lies outside first, where something wants to be asked.
    fn take_step(
        &mut self,
        plan: &Plan,
        step: Step,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        match step.next.stage(plan) {
            Some(stage) if self.asks_before_a_stage() => {
                let (name, percentage) = (stage.name.clone(), stage.percentage);
                self.ask_before(name, percentage, step, now, effects);
            }
            _ => self.begin(plan, step, now, wall, effects),
        }
    }

    /// Nothing is missing and everybody was asked: record it.
    fn begin(&mut self, plan: &Plan, step: Step, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        self.close_hour(now, wall, effects);
        let command = match step.next {
            Next::Stage(position) => match self.entering(plan, position, false, now) {
                Some(entering) => Command::Enter(entering),
                None => return,
            },
            Next::Complete => Command::Complete,
            Next::Over => return,
        };
        let order = Order {
            actor: step.actor,
            reason: step.reason,
            waives: step.waives,
            command,
        };
        match self.decide(&order, wall) {
            Err(refusal) => super::steps::reply(effects, step.ticket, Err(refusal)),
            Ok(mut entry) => {
                entry.notes.extend(step.notes);
                self.raise(entry, step.ticket, now, effects);
            }
        }
    }

    /// After an entry is in force: if it changed the stage, evidence begins it too. `wall`
    /// is when the entry was decided, and `decided` the same by the other clock.
    pub(super) fn stage_changed(&mut self, decided: Tick, now: Tick, wall: Wall) {
        let standing = self.rollout.stage();
        let known = standing.map(|standing| Known {
            stage: standing.stage.clone(),
            since: standing.since,
        });
        if known == self.stages.known {
            return;
        }
        let (number, since) = standing.map_or((0, wall), |it| (it.number, it.since));
        self.stages.known = known;
        self.stages.soaked = between(since, wall);
        self.stages.soaked_at = now;
        self.stages.calls_before = self.recorded_calls();
        self.stages.calls = 0;
        self.stages.outlook.due = now;
        // The attempt went well: the next is not to wait for this one.
        self.stages.look_at = self.stages.look_at.min(now + LOOK_EVERY);
        // What the calendar was stepped by before is in `since` already.
        self.stages.drift = Drift::new(decided, wall);
        self.evidence.stage_began(number, since);
        self.tell_when_gates_count();
        self.hand_gates(true, now);
    }

    /// Gives evidence the gates of the stage that runs, if they are others than it has.
    /// They see nothing of the warm-up.
    pub(super) fn hand_gates(&mut self, anew: bool, now: Tick) {
        let stage = self.stage();
        let gates = stage.map_or_else(Vec::new, |stage| stage.gates.clone());
        if !anew && gates == self.stages.gates || gates.is_empty() && self.stages.gates.is_empty() {
            return;
        }
        let warm_up = stage.map_or(Duration::ZERO, |stage| stage.warm_up);
        let left = warm_up.saturating_sub(self.stages.soaked(now));
        self.stages.gates.clone_from(&gates);
        self.findings.truncate(self.settings.rules.len());
        self.evidence.set_gates(gates, now + left);
    }

    /// The stage that runs, as the plan in force describes it; None where none runs, and
    /// where the plan does not know it any more.
    pub(super) fn stage(&self) -> Option<&Stage> {
        let name = &self.rollout.stage()?.stage;
        let plan = self.settings.plan.as_deref()?;
        plan.stages.get(plan.position(name)?)
    }

    /// The alerts that are heard while the stage runs; empty: all.
    pub(super) fn heard_alerts(&self) -> &[crate::rules::Priority] {
        self.stage().map_or(&[], |stage| &stage.alerts)
    }

    /// Calls begun on new in the stage that runs, as far as the hours in the journal tell.
    fn recorded_calls(&self) -> u64 {
        let Some(standing) = self.rollout.stage() else {
            return 0;
        };
        let hours = self.rollout.totals().hours.iter().rev();
        hours
            .take_while(|hour| hour.stage == standing.number && hour.to > standing.since)
            .fold(0, |calls, hour| calls.saturating_add(hour.sides.new.begun))
    }

    /// Makes the forecast anew where it is due, and asks the calendar where what it said
    /// does not stand any more.
    fn look_out(&mut self, plan: &Plan, now: Tick, wall: Wall) {
        if now >= self.stages.outlook.due {
            self.foresee(plan, wall);
            self.stages.outlook.due = now + OUTLOOK_EVERY;
        }
        let next = self.next(plan);
        let begun = self.rollout.stage().map(|standing| standing.begun);
        let stands = |shut: &Shut| shut.holds(next, begun, wall);
        if !self.stages.shut.as_ref().is_some_and(stands) {
            let closed = next
                .stage(plan)
                .and_then(|stage| plan.calendar.stage_allows(stage, begun, wall).err());
            self.stages.shut = closed.map(|closed| Shut {
                next,
                begun,
                asked: wall,
                closed,
            });
        }
    }
}

/// How long it is from one moment of the calendar to another; zero if it is earlier.
fn between(since: Wall, wall: Wall) -> Duration {
    Duration::from_millis(u64::try_from(wall.0.saturating_sub(since.0)).unwrap_or(0))
}

const fn conflict(why: String) -> Refusal {
    Refusal {
        kind: RefusalKind::Conflict,
        why,
    }
}

#[cfg(test)]
mod tests;
