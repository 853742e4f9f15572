//! The one that decides.
//!
//! Everything that happened goes in as an [`Event`], everything that must happen
//! comes out as [`Effect`]s, to be carried out in the order given. No clock, no
//! socket, no file: a week of a rollout runs in a test in a second.
//!
//! The order is the promise. Toward legacy: publish, then latch, then record, and
//! wait for nothing. Toward new: record, and publish only when the journal says
//! that it is on disk.

mod alarms;
#[cfg(test)]
mod bench;
mod condition;
mod data;
mod event;
mod genuine;
mod guard;
mod lost;
mod proof;
#[cfg(test)]
mod simulation;
mod stages;
mod status;
mod steps;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod tests;
mod totals;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker;
use crate::document::FlawSet;
use crate::health;
pub use crate::measure::ReportKind;
use crate::measure::scorecard::Mature;
use crate::measure::totals::Hour;
use crate::measure::{Answered, CallEnd, Ended, Observation, RescueResult};
use crate::model::{PerBackend, TenantKey, Tick, Wall, mask_numbers};
use crate::rollout::{
    self, Command, Emergency, Entry, Moment, Order, Phase, Plan, Rollout, Wishes,
};
pub use crate::rollout::{Refusal, RefusalKind};
use crate::rules::evidence::Evidence;
use crate::rules::{Action, Finding, Rule, Verdict};
use crate::split::tenants::{Directory, Names};
use crate::split::{Scheme, Split};
use alarms::Alarms;
pub use condition::Condition;
pub use event::{Effect, Event, Hook, Notice, Severity, Ticket};
use genuine::Genuine;
pub use guard::{Guard, GuardStatus, HealthStatus, Step as GuardStep};
use lost::Lost;
use proof::Watch;
use stages::Stages;
pub use status::{
    BackendStatus, Done, PlanStatus, Reported, RuleStatus, StageStatus, Status, Verification,
};

/// What the engine obeys. Built from a checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is hashed and how.
    pub scheme: Scheme,
    /// The reversal table, then the alert table.
    pub rules: Vec<Rule>,
    /// When a call is old enough for the end measures.
    pub mature: Mature,
    /// When each backend is not asked any more; None: it always is.
    pub breakers: PerBackend<Option<breaker::Settings>>,
    /// How each backend's health is asked for, if it is.
    pub health: PerBackend<Option<health::Settings>>,
    /// What the file wishes for.
    pub wishes: Wishes,
    /// `[state] on_empty = "file"`: with no journal yet, the wishes apply.
    pub file_on_empty: bool,
    /// A route names an `entry`, so live calls can be moved there.
    pub entries: bool,
    /// The plan, if there is one.
    pub plan: Option<Arc<Plan>>,
    /// At which moments something outside is told or asked.
    pub hooks: Vec<Moment>,
    /// Where an emergency stop sends calls that begin.
    pub emergency: Emergency,
    /// The tenant directory, if there is one.
    pub directory: Option<Arc<Directory>>,
    /// First 12 hex digits of the file's hash.
    pub config_hash: String,
}

/// How many ids of reports are remembered, so that a repeated one counts once.
/// The oldest is forgotten first.
const REPORT_IDS: usize = 10_000;

/// A record that takes longer than this is missing: a disk that hangs says nothing.
const RECORD_LATE: Duration = Duration::from_secs(1);

/// How many unconfirmed records are kept in mind. What comes on top is not: the
/// oldest of so many is late already, which is all that is asked.
const UNRECORDED: usize = 1024;

/// The engine. One for each process; nobody else decides.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    rollout: Rollout,
    evidence: Evidence,
    alarms: Alarms,
    genuine: Genuine,
    lost: Lost,
    guard: Guard,
    condition: Condition,
    findings: Vec<Finding>,
    active: PerBackend<u64>,
    habits: FlawSet,
    durable: bool,
    /// A raise on its way to the disk: decided, not in force.
    pending: Option<Pending>,
    /// While latched.
    watch: Option<Watch>,
    stages: Stages,
    report_ids: VecDeque<String>,
    /// Calls whose end was told.
    ends_seen: PerBackend<u64>,
    /// What became of rescues, by [`RescueResult`].
    rescues: [u64; RescueResult::ALL.len()],
    began: Tick,
    /// Steps toward legacy whose record was not confirmed yet, with the moment they
    /// were sent. Bounded by [`UNRECORDED`].
    unrecorded: VecDeque<(u64, Tick)>,
    /// Hours that are closed and wait until no raise is on its way.
    hours_due: VecDeque<Hour>,
    split: Split,
}

#[derive(Debug)]
struct Pending {
    entry: Entry,
    /// When it was decided.
    sent: Tick,
    ticket: Option<Ticket>,
    /// It is recorded, and the latch file is being cleared for it. An answer about
    /// the latch that comes before this is about an earlier resume.
    unlatching: bool,
}

/// What a reload would lead to.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The split that would be in force.
    pub split: Split,
    /// Wishes of the file that would not be granted.
    pub refused: Vec<String>,
}

impl Engine {
    /// An engine for a rollout as the journal left it, and what must be done first.
    /// `latched` is what the latch file says: it outranks the journal.
    pub fn new(
        settings: Settings,
        rollout: Rollout,
        latched: Option<&str>,
        now: Tick,
        wall: Wall,
    ) -> (Self, Vec<Effect>) {
        let mut evidence = Evidence::new(settings.rules.clone(), settings.mature, now);
        evidence.begin_epoch(now, rollout.spent());
        let (stage, since) = totals::stage(&rollout);
        evidence.stage_began(stage, since);
        let split = rollout.split(&settings.scheme);
        let mut engine = Self {
            alarms: Alarms::default(),
            genuine: Genuine::default(),
            lost: Lost::default(),
            guard: Guard::new(&settings, now),
            condition: Condition::default(),
            findings: Vec::new(),
            active: PerBackend::default(),
            habits: FlawSet::NONE,
            durable: true,
            pending: None,
            watch: None,
            stages: Stages::new(now, wall),
            report_ids: VecDeque::new(),
            ends_seen: PerBackend::default(),
            rescues: [0; RescueResult::ALL.len()],
            began: now,
            unrecorded: VecDeque::new(),
            hours_due: VecDeque::new(),
            split,
            settings,
            rollout,
            evidence,
        };
        engine.stage_changed(now, now, wall);
        let mut effects = Vec::new();
        if let Some(entry) =
            latched.and_then(|reason| engine.rollout.latched_at_start(reason, wall))
        {
            engine.lower(entry, None, now, &mut effects);
        }
        // One that was latched before has begun nothing by that entry.
        if engine.rollout.latched() && engine.watch.is_none() {
            let rollout = &engine.rollout;
            let because = rollout.because().unwrap_or_default().to_owned();
            let since = rollout
                .latched_since()
                .unwrap_or_else(|| rollout.phase_since());
            engine.begin_verification(because, since, now);
        }
        engine.wish(now, wall, &mut effects);
        // Once, and as it ends: what the journal said may be more than what holds.
        effects.retain(|effect| !matches!(effect, Effect::Publish(_)));
        effects.insert(0, Effect::Publish(engine.split.clone()));
        (engine, effects)
    }

    /// Takes an event in and says what to do about it.
    pub fn handle(&mut self, event: Event<'_>, now: Tick, wall: Wall) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.compare_clocks(now, wall, &mut effects);
        match event {
            Event::Tick {
                observations,
                active,
                names,
            } => self.tick(observations, active, names, now, wall, &mut effects),
            Event::Order { ticket, order } => {
                self.order(Some(ticket), &order, now, wall, &mut effects)
            }
            Event::Report(reported) => self.report(reported, now, &mut effects),
            Event::Reload(settings) => self.reload(*settings, now, wall, &mut effects),
            Event::Recorded { sequence } => {
                self.unrecorded.retain(|(sent, _)| *sent != sequence);
                self.recorded(sequence, now, &mut effects);
            }
            Event::NotRecorded { sequence, why } => self.not_recorded(sequence, &why, &mut effects),
            Event::Unlatched => self.unlatched(now, &mut effects),
            Event::NotUnlatched { why } => self.not_unlatched(&why, now, wall, &mut effects),
            Event::Durable(durable) => self.durable = durable,
            Event::Hooked { id, result } => self.hooked(id, result, now, wall, &mut effects),
            Event::Data { ticket, order, ok } => {
                self.data(ticket, &order, ok, now, wall, &mut effects);
            }
        }
        effects
    }

    /// The split in force.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// When the epoch of evidence began, and the generation up to which nothing that was
    /// placed counts for new: what a recording needs, so that it can be judged again.
    pub const fn epoch(&self) -> (Tick, u64) {
        (self.evidence.since(), self.rollout.spent())
    }

    /// What the routes are called, by the numbers that observations carry. Only
    /// notices use it; to be told anew after every reload.
    pub fn name_routes(&mut self, paths: Vec<String>) {
        self.genuine.name(paths);
    }

    /// Is a raise on its way to the disk?
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// The rollout, while all of it is on disk: no raise on its way, nothing unconfirmed.
    pub fn recorded_rollout(&self) -> Option<&Rollout> {
        let settled = self.durable && self.pending.is_none() && self.unrecorded.is_empty();
        settled.then_some(&self.rollout)
    }

    /// What operators see.
    pub fn status(&mut self, now: Tick, wall: Wall) -> Status {
        status::build(self, now, wall)
    }

    /// What taking these settings would lead to. Changes nothing.
    pub fn preview(&self, settings: &Settings, wall: Wall) -> Preview {
        let mut rollout = self.rollout.clone();
        let closed = closed(settings, wall);
        let outcome = rollout.wishes_within(
            &settings.wishes,
            settings.file_on_empty,
            closed.as_deref(),
            wall,
        );
        outcome
            .entries
            .iter()
            .for_each(|entry| rollout.apply(entry));
        Preview {
            split: rollout.split(&settings.scheme),
            refused: outcome.refused,
        }
    }

    fn tick(
        &mut self,
        observations: &[Observation],
        active: PerBackend<u64>,
        names: &dyn Names,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        for observation in observations {
            self.note(observation);
            self.stages.hear(observation, now);
            self.evidence.observe(observation);
        }
        self.guard.hear(observations, now);
        self.active = active;
        self.guard(now, effects);
        let history = self.rollout.totals();
        self.findings = self.evidence.judge(now, wall, active, history, names);
        self.keep_hours(now, wall, effects);
        let notices = self.genuine.update(now);
        effects.extend(notices.into_iter().map(Effect::Say));
        // A flip of this very tick is looked at from the next one on.
        self.verify(now, wall, effects);
        self.act(now, wall, effects);
        self.learn_volumes(names, now);
        self.drive(now, wall, effects);
        self.look_at_both(now, effects);
        let habits = self.evidence.habits();
        if habits != self.habits {
            self.habits = habits;
            effects.push(Effect::Habits(habits));
        }
    }

    /// What is counted here and not in the evidence.
    fn note(&mut self, observation: &Observation) {
        match observation {
            Observation::Placed(placed) => self.lost.placed(placed),
            Observation::Answered(Answered {
                voice: Some(voice),
                counts: true,
                ..
            }) => self.lost.heard(voice),
            _ => {}
        }
        match observation {
            Observation::Placed(placed) if placed.after_latch => {
                if let Some(watch) = &mut self.watch {
                    watch.new_call();
                }
            }
            // That a call was given up after hours is no end that was told.
            Observation::Ended(Ended {
                end: CallEnd::Expired,
                ..
            }) => {}
            Observation::Ended(ended) => self.ends_seen[ended.backend] += 1,
            Observation::Checked(checked) => self.genuine.heard(checked),
            Observation::Rescued(rescued) => self.rescues[rescued.result as usize] += 1,
            Observation::Placed(_)
            | Observation::Answered(_)
            | Observation::Connected { .. }
            | Observation::Stream { .. }
            | Observation::Health(_)
            | Observation::Unsecured(_)
            | Observation::Refused { .. } => {}
        }
    }

    /// What follows from the findings: alarms for all, and what their rows say: a
    /// reversal, a step back, a tenant taken off, a hold.
    fn act(&mut self, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        let only = self.heard_alerts().to_vec();
        let rules = &self.settings.rules;
        let notices = self.alarms.update(rules, &self.findings, &only);
        effects.extend(notices.into_iter().map(Effect::Say));
        let reverse = self.tripped(Action::Reverse);
        let hold = self.tripped(Action::Hold);
        // With nothing on new there is nothing to take back; the alarm above is all.
        if let Some(row) =
            reverse.filter(|_| !self.rollout.latched() && self.rollout.phase() != Phase::Idle)
        {
            return self.reverse(row, now, wall, effects);
        }
        self.disable_tenants(now, wall, effects);
        if self.step_back(now, wall, effects) {
            return;
        }
        if let Some(row) = hold.filter(|_| self.rollout.phase() == Phase::Soaking) {
            let Some(finding) = self.findings.get(row) else {
                return;
            };
            let order = Order {
                waives: rollout::Waives::default(),
                actor: format!("rule {}", finding.rule),
                reason: finding.because.clone(),
                command: Command::Hold,
            };
            self.order(None, &order, now, wall, effects);
        }
    }

    /// The first row with this action that trips.
    fn tripped(&self, action: Action) -> Option<usize> {
        let mut rows = self.settings.rules.iter().zip(&self.findings);
        rows.position(|(rule, finding)| rule.action == action && finding.verdict == Verdict::Trip)
    }

    fn reverse(&mut self, row: usize, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        let (Some(rule), Some(finding)) = (self.settings.rules.get(row), self.findings.get(row))
        else {
            return;
        };
        let proof = rollout::Evidence::new(rule, finding, &self.settings.config_hash);
        let live = rule.live;
        let (rule, because) = (finding.rule.clone(), finding.because.clone());
        let order = Order {
            waives: rollout::Waives::default(),
            actor: format!("rule {rule}"),
            reason: because.clone(),
            command: Command::Reverse {
                rule: rule.clone(),
                live,
            },
        };
        // Refused only where everything is on legacy already.
        let Ok(mut entry) = self.decide(&order, wall) else {
            return;
        };
        self.remark(&order.command, &mut entry);
        self.lower(entry.with_evidence(proof), None, now, effects);
        effects.push(Effect::Reversed { rule: rule.clone() });
        let text = format!("Reversed to 100 % legacy: {because}.");
        effects.push(Effect::Say(Notice {
            severity: Severity::Critical,
            rule: Some(rule),
            text,
        }));
    }

    /// Puts the rollout's split in force if it differs. A latch, a resume and a
    /// changed percentage begin a new epoch of evidence.
    fn publish(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let split = self.rollout.split(&self.settings.scheme);
        let same = Split {
            generation: split.generation,
            ..self.split.clone()
        };
        // A raise on its way has taken its generation; nothing is in force under it.
        if split == same {
            return;
        }
        if split.percentage != self.split.percentage || split.latched != self.split.latched {
            self.begin_epoch(now);
        }
        self.split = split.clone();
        effects.push(Effect::Publish(split));
    }

    /// What calls placed up to the last latch still have to say is about the past.
    fn begin_epoch(&mut self, now: Tick) {
        // What gates found before says nothing any more, also not until the next tick.
        self.findings.truncate(self.settings.rules.len());
        self.evidence.begin_epoch(now, self.rollout.spent());
    }

    fn report(&mut self, reported: Reported, now: Tick, effects: &mut Vec<Effect>) {
        if let Some(id) = reported.id {
            if self.report_ids.contains(&id) {
                return;
            }
            if self.report_ids.len() == REPORT_IDS {
                self.report_ids.pop_front();
            }
            self.report_ids.push_back(id);
        }
        // What a rule later counts as one event was told in somebody's words; without
        // them nobody finds out what happened.
        if let Some(what) = reported.kind.event() {
            let message = mask_numbers(&reported.message);
            effects.push(Effect::Say(Notice {
                severity: Severity::Warning,
                rule: None,
                text: format!("A {what} of {} was reported: {message}", reported.backend),
            }));
        }
        let tenant = reported.tenant.as_deref().map(TenantKey::new);
        self.evidence
            .report(reported.backend, reported.kind, tenant, now);
    }

    fn reload(&mut self, settings: Settings, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        let anew = settings.rules != self.settings.rules || settings.mature != self.settings.mature;
        if anew {
            self.evidence.set_rules(settings.rules.clone(), now);
            self.evidence.set_mature(settings.mature, now);
            self.findings.clear();
        }
        self.guard.set(&settings, now);
        let known = self.plan_notes();
        self.settings = settings;
        self.stages.forget_outlook(now);
        self.hand_gates(anew, now);
        let lost = self
            .plan_notes()
            .filter(|lost| known.as_ref() != Some(lost));
        effects.extend(lost.map(|text| {
            Effect::Say(Notice {
                severity: Severity::Warning,
                rule: None,
                text,
            })
        }));
        self.publish(now, effects);
        self.wish(now, wall, effects);
    }

    /// What changed in the file since it was last read.
    fn wish(&mut self, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        let closed = closed(&self.settings, wall);
        let outcome = self.rollout.wishes_within(
            &self.settings.wishes,
            self.settings.file_on_empty,
            closed.as_deref(),
            wall,
        );
        for refused in outcome.refused {
            effects.push(Effect::Say(Notice {
                severity: Severity::Warning,
                rule: None,
                text: refused,
            }));
        }
        for entry in outcome.entries {
            if entry.is_raise() {
                self.raise(entry, None, now, effects);
            } else {
                self.lower(entry, None, now, effects);
            }
        }
    }
}

/// Why the plan's calendar, if there is a plan, allows nothing to be raised now.
fn closed(settings: &Settings, wall: Wall) -> Option<String> {
    let plan = settings.plan.as_deref()?;
    let closed = plan.calendar.allows(wall).err()?;
    Some(plan.calendar.told(&closed))
}
