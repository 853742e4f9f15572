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
mod settings;
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
use std::time::Duration;

use crate::document::FlawSet;
pub use crate::measure::ReportKind;
use crate::measure::totals::Hour;
use crate::measure::{Answered, CallEnd, Ended, Observation, RescueResult};
use crate::model::{Backend, PerBackend, TenantKey, Tick, Wall, mask_numbers};
use crate::rollout::{self, Command, Entry, Order, Phase, Rollout};
pub use crate::rollout::{Refusal, RefusalKind};
use crate::rules::evidence::Evidence;
use crate::rules::{Action, Finding, Measure, Rule, Verdict};
use crate::split::Split;
use crate::split::tenants::Names;
use alarms::Alarms;
pub use condition::Condition;
pub use event::{Effect, Event, Hook, Notice, Severity, Ticket};
use genuine::Genuine;
pub use guard::{Guard, GuardStatus, HealthStatus, Step as GuardStep};
use lost::Lost;
use proof::Watch;
use settings::Due;
pub use settings::{Preview, Settings};
use stages::Stages;
pub use status::{
    BackendStatus, Done, PlanStatus, Reported, RuleStatus, StageStatus, Status, Verification,
};
use totals::Reports;

/// How many ids of reports are remembered, so that a repeated one counts once.
/// The oldest is forgotten first.
const REPORT_IDS: usize = 10_000;

/// A record that takes longer than this is missing: a disk that hangs says nothing.
const RECORD_LATE: Duration = Duration::from_secs(1);

/// How many unconfirmed records are kept in mind. What comes on top is not: the
/// oldest of so many is late already, which is all that is asked.
const UNRECORDED: usize = 1024;

/// So much of a critical error's words is kept, in characters.
const WORDS_CHARS: usize = 200;

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
    reports: Reports,
    /// Configurations that were taken and wait likewise to be told.
    rereads_due: VecDeque<Due>,
    /// The words of the last critical error of new, masked and cut.
    last_critical: Option<String>,
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
            reports: Reports::default(),
            rereads_due: VecDeque::new(),
            last_critical: None,
            split,
            settings,
            rollout,
            evidence,
        };
        engine.stage_changed(now, now, wall);
        if let Some(since) = engine.rollout.judged_since() {
            engine.evidence.epoch_goes_on(since);
        }
        let mut effects = Vec::new();
        if let Some(entry) =
            latched.and_then(|reason| engine.rollout.latched_at_start(reason, wall))
        {
            engine.lower(entry, None, now, &mut effects);
        }
        engine.know_told();
        // One that was latched before has begun nothing by that entry.
        if engine.rollout.latched() && engine.watch.is_none() {
            let rollout = &engine.rollout;
            let because = rollout.because().unwrap_or_default().to_owned();
            let since = rollout
                .latched_since()
                .unwrap_or_else(|| rollout.phase_since());
            engine.begin_verification(because, since, now);
        }
        engine.compare_configuration(now, wall, &mut effects);
        engine.wish(None, now, wall, &mut effects);
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
            Event::Ending => self.close_hour(now, wall, &mut effects),
            Event::Reload(settings, reread) => {
                self.reload(*settings, reread, now, wall, &mut effects);
            }
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
        // What waited for a raise that is not on its way any more.
        self.tell_rereads(now, wall, &mut effects);
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
        let proof = self.proof_of(rule, finding);
        let live = rule.live;
        let (rule, because) = (finding.rule.clone(), proof.because.clone());
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

    /// What the row saw. Where people reported it, with what the last of them said: a
    /// count alone tells nobody what happened.
    fn proof_of(&self, rule: &Rule, finding: &Finding) -> rollout::Evidence {
        let mut proof = rollout::Evidence::new(rule, finding, &self.settings.config_hash);
        let words = self.last_critical.as_deref().filter(|it| !it.is_empty());
        if let (Measure::CriticalErrors, Some(words)) = (rule.measure, words) {
            proof.because = format!("{}; the last said: {words}", proof.because);
        }
        proof
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
            if (reported.kind, reported.backend) == (ReportKind::CriticalError, Backend::New) {
                self.last_critical = Some(message.chars().take(WORDS_CHARS).collect());
            }
            effects.push(Effect::Say(Notice {
                severity: Severity::Warning,
                rule: None,
                text: format!("A {what} of {} was reported: {message}", reported.backend),
            }));
        }
        let tenant = reported.tenant.as_deref().map(TenantKey::new);
        self.reports.hear(reported.kind, now);
        self.evidence
            .report(reported.backend, reported.kind, tenant, now);
    }
}
