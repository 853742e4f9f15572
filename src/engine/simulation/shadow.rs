//! A second, simpler opinion about what the engine may do: who ordered what, what a
//! restart may find, and what was seen of new since its epoch began.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::{Effect, Engine, Settings, Ticket};
use super::TENANTS;
use super::disk::Disk;
use crate::breaker;
use crate::measure::{Answered, CallEnd, Observation, Outcome, ReportKind, Voice};
use crate::model::{Backend, CallKey, Percentage, TenantKey, Tick, Wall};
use crate::rollout::plan::Advance;
use crate::rollout::{Action, Command, Entry, List, Listed, Phase, Plan, Rollout, Step, Wishes};
use crate::rules::Rule;
use crate::split::{Placement, Split, Subject, Tenant};

#[derive(Debug)]
pub(super) struct Shadow {
    /// Orders whose givers wait.
    asks: BTreeMap<Ticket, Command>,
    /// What the file says, and what it said when it last raised anything.
    file: Wishes,
    file_sent: Wishes,
    /// The last raise that was sent to the disk.
    raise: Option<u64>,
    /// What was in force since everything was last on the disk: a restart finds no
    /// more on new than one of these.
    possible: Vec<Split>,
    /// Somebody or something stopped the rollout, and no person has resumed since.
    stopped: bool,
    /// The plan in force, and every stage there ever was, with its share.
    plan: Option<Arc<Plan>>,
    stages: BTreeMap<String, BTreeSet<Percentage>>,
    spent: u64,
    epoch: Tick,
    seen: Seen,
    legacy_failed: Option<Tick>,
    /// Whoever ordered an advance was told that it waits for what lies outside.
    promised: bool,
}

/// What was seen of new since its epoch began.
#[derive(Debug, Default)]
struct Seen {
    voices: Vec<Heard>,
    slow: u64,
    abandoned: u64,
    failed_ends: u64,
    critical: u64,
}

#[derive(Debug)]
struct Heard {
    at: Tick,
    call: CallKey,
    tenant: TenantKey,
    failed: bool,
}

impl Shadow {
    pub(super) fn new(split: &Split, settings: &Settings, now: Tick) -> Self {
        let file = &settings.wishes;
        let mut shadow = Self {
            asks: BTreeMap::new(),
            file: file.clone(),
            file_sent: file.clone(),
            raise: None,
            possible: vec![split.clone()],
            stopped: false,
            plan: None,
            stages: BTreeMap::new(),
            promised: false,
            spent: 0,
            epoch: now,
            seen: Seen::default(),
            legacy_failed: None,
        };
        shadow.take_plan(settings);
        shadow
    }

    fn take_plan(&mut self, settings: &Settings) {
        self.plan.clone_from(&settings.plan);
        for stage in settings.plan.iter().flat_map(|plan| &plan.stages) {
            let shares = self.stages.entry(stage.name.clone()).or_default();
            shares.insert(stage.percentage);
        }
    }

    // -- orders ------------------------------------------------------------------

    pub(super) fn asked(&mut self, ticket: Ticket, command: Command) {
        self.asks.insert(ticket, command);
    }

    /// What the orders that are answered with a yes among these effects asked for.
    pub(super) fn granted(&mut self, effects: &[Effect]) -> Vec<Command> {
        self.promised |= effects.iter().any(|effect| match effect {
            Effect::Reply {
                result: Ok(done), ..
            } => done.said.contains("which still runs"),
            _ => false,
        });
        let command = |effect: &Effect| match effect {
            Effect::Reply {
                ticket,
                result: Ok(_),
            } => self.asks.get(ticket).cloned(),
            _ => None,
        };
        effects.iter().filter_map(command).collect()
    }

    pub(super) fn answered(&mut self, ticket: Ticket) {
        let asked = self.asks.remove(&ticket);
        assert!(asked.is_some(), "ticket {ticket} is answered twice");
    }

    pub(super) fn everybody_was_answered(&self) {
        assert!(self.asks.is_empty(), "still waiting: {:?}", self.asks);
    }

    pub(super) fn loaded(&mut self, settings: &Settings, engine: &Engine, now: Tick) {
        self.file = settings.wishes.clone();
        self.take_plan(settings);
        if settings.rules != engine.settings.rules {
            self.begin_epoch(now);
        }
    }

    // -- what is in force ----------------------------------------------------------

    pub(super) fn sent(&mut self, entry: &Entry, wall: Wall, now: Tick) {
        self.whose(entry, wall);
        if matches!(entry.action, Action::StepBack { .. }) {
            self.begin_epoch(now);
        }
        if entry.after.phase.stopped() {
            self.stopped = true;
            self.promised = false;
        }
        if entry.is_raise() {
            self.raise = Some(entry.stamp.sequence);
            self.file_sent = self.file.clone();
        }
    }

    /// Who may do what, and with which evidence.
    fn whose(&self, entry: &Entry, wall: Wall) {
        let (before, after, actor) = (&entry.before, &entry.after, entry.actor.as_str());
        let by_rule = match &entry.action {
            Action::Reverse { rule }
            | Action::StepBack { rule }
            | Action::DisableTenant { rule } => Some(rule),
            _ => None,
        };
        if let Some(rule) = by_rule {
            let saw = entry.evidence.as_ref().expect("a trip has its evidence");
            assert_eq!(&saw.rule, rule);
            assert!(!saw.because.is_empty() && actor == format!("rule {rule}"));
            assert!(
                !entry.is_raise(),
                "a rule only moves toward legacy: {entry:?}"
            );
        }
        if before.percentage != after.percentage {
            let found = entry.action == Action::LatchedAtStart;
            let known = ["plan", "file", "SIGHUP", "operator via cli"].contains(&actor);
            assert!(known || by_rule.is_some() || found, "{entry:?}");
        }
        if actor == "plan" {
            let plan = self.plan.as_ref().expect("there is a plan");
            assert_eq!(plan.advance, Advance::Auto);
            assert!(
                !self.stopped && !before.latched && before.phase != Phase::Held,
                "raised by itself before a person resumed: {entry:?}"
            );
            let completes = entry.action == Action::Complete;
            assert!(completes || plan.calendar.allows(wall).is_ok(), "{entry:?}");
        }
        if entry.action == Action::Advance {
            let stage = after.stage.as_ref().expect("a stage begins");
            let shares = &self.stages[&stage.stage];
            let fits = |share: &Percentage| after.percentage == before.percentage.max(*share);
            assert!(shares.iter().any(fits), "{entry:?}");
        }
    }

    /// A step of the verification moves nothing, and is told of a latch that stands.
    pub(super) fn step_taken(&self, entry: &Entry, engine: &Engine) {
        assert!(
            entry.after.latched && entry.before == entry.after,
            "{entry:?}"
        );
        assert!(!entry.is_raise() && engine.pending.is_none(), "{entry:?}");
        if let Action::Verification { step, count } = entry.action {
            assert_ne!(step, Step::Escalated, "no new call reaches new here");
            let (live, rollout) = (engine.active.new, &engine.rollout);
            assert!(step != Step::Started || count == live);
            assert!(step != Step::Drained || live == 0);
            let proven = Step::PROOF
                .into_iter()
                .all(|step| rollout.proof().has(step));
            assert!(step != Step::Verified || proven);
        }
    }

    pub(super) fn published(
        &mut self,
        before: &Split,
        split: &Split,
        granted: &[Command],
        disk: &Disk,
        now: Tick,
    ) {
        if split == before {
            return;
        }
        assert!(
            split.generation > before.generation,
            "another split under the same generation, or an older one: {split:?}"
        );
        if raises(before, split) {
            let last = disk.journal.last().expect("a raise is recorded first");
            assert!(last.is_raise(), "the last line is no raise: {last:?}");
            assert_eq!(Some(last.stamp.sequence), self.raise);
            assert_eq!(last.generation, split.generation);
            let ordered = granted
                .iter()
                .any(|command| allows(command, last, before, split))
                || allowed_by_file(&self.file_sent, before, split)
                || allowed_by_plan(last, granted, before, split)
                || (std::mem::take(&mut self.promised)
                    && allowed_by_plan(last, &[Command::Advance], before, split));
            assert!(ordered, "raised without an order: {before:?} to {split:?}");
            if last.action == Action::Advance {
                let pairs = subjects(before).into_iter().zip(subjects(split));
                let back = |(was, is): (Placement, Placement)| {
                    was.backend == Backend::New && is.backend == Backend::Legacy
                };
                assert!(
                    !pairs.into_iter().any(back),
                    "a raise moves somebody back: {before:?} to {split:?}"
                );
            }
        }
        if split.percentage != before.percentage || split.latched != before.latched {
            self.begin_epoch(now);
        }
        self.in_force(split);
        self.possible.push(split.clone());
    }

    /// What a restart finds is what was in force, or a raise that had been recorded.
    pub(super) fn restarted(&mut self, found: &Split, phase: Phase, disk: &Disk, now: Tick) {
        self.stopped = phase.stopped();
        // Also one that was overtaken since, by a step that is not recorded yet.
        let recorded = disk.journal.last().is_some_and(Entry::is_raise);
        let known = |was: &Split| !raises(was, found);
        assert!(
            found.latched || recorded || self.possible.iter().any(known),
            "a restart finds more on new than there was: {found:?}"
        );
        self.asks.clear();
        self.spent = Rollout::fold(&disk.journal).spent();
        // What the file lowers at start is not on the disk yet.
        self.possible.push(found.clone());
        self.legacy_failed = None;
        self.begin_epoch(now);
        self.in_force(found);
    }

    /// Everything is on the disk.
    pub(super) fn at_rest(&mut self, split: &Split) {
        self.possible = vec![split.clone()];
    }

    fn in_force(&mut self, split: &Split) {
        if split.latched {
            self.spent = self.spent.max(split.generation);
            let legacys = subjects(split)
                .iter()
                .all(|on| on.backend == Backend::Legacy);
            assert!(legacys, "latched, and somebody goes to new: {split:?}");
        }
    }

    // -- what was seen ---------------------------------------------------------------

    pub(super) fn observe(&mut self, observation: &Observation) {
        match observation {
            Observation::Answered(answered) => self.answered_by_backend(answered),
            Observation::Ended(ended) => {
                let counts =
                    ended.backend == Backend::New && self.counts(ended.began, ended.generation);
                let gone = ended.end == CallEnd::Abandoned;
                self.seen.abandoned += u64::from(counts && gone);
                let failed = ended.failed || ended.end == CallEnd::Failed;
                self.seen.failed_ends += u64::from(counts && failed);
            }
            Observation::Placed(_)
            | Observation::Checked(_)
            | Observation::Connected { .. }
            | Observation::Stream { .. }
            | Observation::Rescued(_)
            | Observation::Health(_)
            | Observation::Unsecured(_)
            | Observation::Refused { .. } => {}
        }
    }

    fn answered_by_backend(&mut self, answered: &Answered) {
        let Some(Voice { tenant, failed, .. }) = answered.voice else {
            return;
        };
        if answered.backend == Backend::Legacy {
            if answered.outcome != Outcome::Served {
                self.legacy_failed = Some(answered.at);
            }
            return;
        }
        if !self.counts(answered.at, answered.generation) {
            return;
        }
        self.seen.slow += u64::from(answered.latency_us > Some(5_000_000));
        self.seen.voices.push(Heard {
            at: answered.at,
            call: answered.call.expect("the lines name every call"),
            tenant,
            failed,
        });
    }

    fn counts(&self, at: Tick, generation: u64) -> bool {
        at >= self.epoch && (self.spent == 0 || generation > self.spent)
    }

    pub(super) fn reported(&mut self, backend: Backend, kind: ReportKind) {
        let critical = backend == Backend::New && kind == ReportKind::CriticalError;
        self.seen.critical += u64::from(critical);
    }

    /// Before it is carried out: a reversal needs something that speaks for it.
    pub(super) fn decided(&mut self, effects: &[Effect], now: Tick) {
        for effect in effects {
            let Effect::Reversed { rule } = effect else {
                continue;
            };
            let failed = self.seen.voices.iter().filter(|heard| heard.failed).count() as u64;
            let (seen, least) = match rule.as_str() {
                "errors" => (failed, 3),
                "slow" => (self.seen.slow, 3),
                "hang-ups" => (self.seen.abandoned, 2),
                "failed calls" => (self.seen.failed_ends, 1),
                "critical" => (self.seen.critical, 1),
                _ => panic!("{rule} does not reverse"),
            };
            assert!(seen >= least, "{rule} reverses on {seen}: {:?}", self.seen);
        }
        let resumes = |command: &Command| matches!(command, Command::Resume { .. });
        if self.granted(effects).iter().any(resumes) {
            self.stopped = false;
            self.begin_epoch(now);
        }
    }

    /// At a tick: what is far over the table, with nothing that speaks against acting
    /// on it, is on legacy now.
    pub(super) fn nothing_was_overlooked(&self, engine: &Engine, rules: &[Rule], now: Tick) {
        let over = rules[1].over.as_secs();
        let recent = |at: Tick| at.secs() + over > now.secs();
        let tenants: BTreeSet<_> = self.seen.voices.iter().map(|heard| heard.tenant).collect();
        // As long as legacy's breaker may have been open and half-open since, its failures
        // speak against going back.
        let lately = |at: Tick| at + breaker::OPEN_MOST + breaker::OPEN_MOST >= now;
        let legacy_fails = |at: Tick| recent(at) || lately(at);
        if tenants.len() > 3 || self.legacy_failed.is_some_and(legacy_fails) {
            return;
        }
        let window: Vec<_> = self
            .seen
            .voices
            .iter()
            .filter(|heard| recent(heard.at))
            .collect();
        let calls: BTreeSet<_> = window.iter().map(|heard| heard.call).collect();
        let bad: Vec<_> = window.iter().filter(|heard| heard.failed).collect();
        let bad_calls: BTreeSet<_> = bad.iter().map(|heard| heard.call).collect();
        let clear = calls.len() >= 6 && bad_calls.len() >= 3 && bad.len() * 5 > window.len();
        let runs = engine.rollout.phase() != Phase::Idle;
        assert!(
            !clear || !runs || engine.split().latched,
            "{} of {} calls failed and nothing happened: {:?}",
            bad_calls.len(),
            calls.len(),
            engine.findings
        );
    }

    fn begin_epoch(&mut self, now: Tick) {
        self.epoch = now;
        self.seen = Seen::default();
    }
}

/// Where some subjects would go.
fn subjects(split: &Split) -> Vec<Placement> {
    let mut placements = Vec::new();
    for tenant in TENANTS {
        for number in 0..12 {
            let id = format!("CA{tenant}{number}");
            placements.push(split.place(&Subject {
                tenant: Tenant::Known(tenant),
                call: Some(&id),
                caller: Some(&id),
            }));
        }
    }
    placements
}

/// Does this put more on new than that?
pub(super) fn raises(before: &Split, split: &Split) -> bool {
    let open = |split: &Split| split.enabled && !split.latched;
    let share = |split: &Split| {
        if open(split) {
            split.percentage.basis_points()
        } else {
            0
        }
    };
    let moved = subjects(before)
        .into_iter()
        .zip(subjects(split))
        .any(|(was, is)| was.backend == Backend::Legacy && is.backend == Backend::New);
    share(split) > share(before) || moved
}

/// Is this exactly what that order asks for?
fn allows(command: &Command, last: &Entry, before: &Split, split: &Split) -> bool {
    let mut asked = before.clone();
    asked.generation = split.generation;
    // Toward new nothing is moved but by a new order to do so.
    asked.moves_live = false;
    match command {
        Command::Percentage(to) => {
            asked.percentage = *to;
            asked.enabled = true;
        }
        Command::Resume { percentage } => {
            // At 0 % unless named, where it was latched; else as it was.
            let unnamed = if before.latched {
                0
            } else {
                before.percentage.basis_points()
            };
            let to = percentage.map_or(unnamed, |to| to.basis_points());
            if split.percentage.basis_points() != to {
                return false;
            }
            asked.percentage = split.percentage;
            asked.latched = false;
            asked.stopped = false;
            asked.latched_since = None;
            // What stages had listed that are not reached any more.
            for (id, was) in &last.before.tenants {
                if let Some(Listed::Picked | Listed::Later) = was {
                    asked.enabled_tenants.remove(id.as_str());
                    asked.disabled_tenants.remove(id.as_str());
                }
            }
            asked.enabled = split.enabled;
        }
        Command::Tenant { id, list } => {
            asked.enabled_tenants.remove(id.as_str());
            asked.disabled_tenants.remove(id.as_str());
            match list {
                Some(List::Enabled) => asked.enabled_tenants.insert(id.as_str().into()),
                Some(List::Disabled) => asked.disabled_tenants.insert(id.as_str().into()),
                None => false,
            };
        }
        _ => return false,
    }
    asked == *split
}

/// Does the file wish for everything that is raised?
fn allowed_by_file(file: &Wishes, before: &Split, split: &Split) -> bool {
    let said = |id: &str| file.tenants.get(id);
    !before.latched
        && (split.percentage <= before.percentage || split.percentage == file.percentage)
        && (before.enabled || !split.enabled || file.enabled)
        && split
            .enabled_tenants
            .difference(&before.enabled_tenants)
            .all(|id| said(id) == Some(&List::Enabled))
        && before
            .disabled_tenants
            .difference(&split.disabled_tenants)
            .all(|id| said(id) != Some(&List::Disabled))
}

/// Is it exactly what the entry of a stage says, by an operator's order or the plan's own?
fn allowed_by_plan(last: &Entry, granted: &[Command], before: &Split, split: &Split) -> bool {
    if last.action != Action::Advance {
        return false;
    }
    let mut asked = before.clone();
    asked.generation = split.generation;
    asked.moves_live = false;
    asked.enabled = true;
    asked.percentage = last.after.percentage;
    for (id, listed) in &last.after.tenants {
        asked.enabled_tenants.remove(id.as_str());
        asked.disabled_tenants.remove(id.as_str());
        match listed.map(Listed::list) {
            Some(List::Enabled) => asked.enabled_tenants.insert(id.as_str().into()),
            Some(List::Disabled) => asked.disabled_tenants.insert(id.as_str().into()),
            None => false,
        };
    }
    let ordered = last.actor == "plan" || granted.contains(&Command::Advance);
    ordered && asked == *split
}
