//! What is missing before the next step of the plan. One list for the plan itself, for
//! the operator who is refused and for the status; its words are for somebody at three
//! in the morning, so each has its numbers.

use std::time::Duration;

use super::super::{Engine, Refusal, RefusalKind};
use super::entering::WATCH;
use super::{Step, conflict};
use crate::model::{Percentage, Tick, Wall};
use crate::rollout::calendar::Closed;
use crate::rollout::plan::Volume;
use crate::rollout::{Phase, Plan, Stage, Waives};
use crate::rules::{Base, How, Rule, STAGE, Side, Verdict, words};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The stage at this place of the plan.
    Stage(usize),
    /// The last stage is over.
    Complete,
    /// Nothing: it is complete.
    Over,
}

impl Next {
    pub(super) fn stage(self, plan: &Plan) -> Option<&Stage> {
        match self {
            Self::Stage(position) => plan.stages.get(position),
            Self::Complete | Self::Over => None,
        }
    }
}

/// Who takes the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The plan itself.
    Plan,
    /// A person, whose word is the approval.
    Operator,
}

/// One thing that is missing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Missing {
    Latched,
    Held,
    Off,
    NotBegun,
    Lowered(Percentage),
    Gone,
    NotDurable,
    Asked,
    Soak(Duration, Duration),
    Calls(u64, u64),
    /// The gate at this place among the stage's.
    Gate(usize),
    Watched(Duration),
    Blind(String),
    Closed(Closed),
    Approval,
}

impl Missing {
    /// Can it be passed over, and is it?
    const fn waived(&self, waives: Waives) -> bool {
        match self {
            Self::Soak(..)
            | Self::Calls(..)
            | Self::Gate(_)
            | Self::Watched(_)
            | Self::Blind(_) => waives.evidence,
            Self::Closed(_) => waives.window,
            _ => false,
        }
    }
}

impl Engine {
    /// What comes next, by what runs now.
    pub(super) fn next(&self, plan: &Plan) -> Next {
        let share = self.rollout.percentage();
        let complete = self.rollout.phase() == Phase::Complete;
        let at_least = |from: usize| {
            let stages = plan.stages.iter().enumerate().skip(from);
            let fits = |(_, stage): &(usize, &Stage)| stage.percentage >= share;
            stages.clone().find(fits).map(|(position, _)| position)
        };
        let end = match complete {
            true => Next::Over,
            false => Next::Complete,
        };
        let Some(standing) = self.rollout.stage() else {
            return at_least(0)
                .filter(|_| !complete)
                .map_or(Next::Over, Next::Stage);
        };
        match plan.position(&standing.stage) {
            // Less is on new than the stage asks for: it goes on with that stage.
            Some(here)
                if plan
                    .stages
                    .get(here)
                    .is_some_and(|it| share < it.percentage) =>
            {
                Next::Stage(here)
            }
            Some(here) => at_least(here + 1).map_or(end, Next::Stage),
            None => {
                let mut more = plan.stages.iter();
                more.position(|stage| stage.percentage > share)
                    .map_or(end, Next::Stage)
            }
        }
    }

    /// Is anything missing? The first thing found is enough, and the calendar, which
    /// costs most, is asked last.
    pub(super) fn lacks(&self, plan: &Plan, step: &Step, now: Tick, wall: Wall) -> bool {
        self.stands_in_the_way(plan, step, now)
            .into_iter()
            .chain(self.not_shown_yet(plan, step.next, now))
            .any(|point| !point.waived(step.waives))
            || self
                .closed(plan, step.next, wall)
                .is_some_and(|point| !point.waived(step.waives))
    }

    /// Everything that is missing and not passed over.
    pub(super) fn missing(&self, plan: &Plan, step: &Step, now: Tick, wall: Wall) -> Vec<Missing> {
        let mut points = self.every_point(plan, step, now, wall);
        points.retain(|point| !point.waived(step.waives));
        points
    }

    /// What is passed over, for the entry.
    pub(super) fn passed_over(
        &self,
        plan: &Plan,
        step: &Step,
        now: Tick,
        wall: Wall,
    ) -> Vec<String> {
        let points = self.every_point(plan, step, now, wall);
        let waived = points.iter().filter(|point| point.waived(step.waives));
        waived
            .map(|point| format!("Passed over: {}.", self.in_words(plan, point)))
            .collect()
    }

    fn every_point(&self, plan: &Plan, step: &Step, now: Tick, wall: Wall) -> Vec<Missing> {
        let mut points = self.stands_in_the_way(plan, step, now);
        points.extend(self.not_shown_yet(plan, step.next, now));
        points.extend(self.closed(plan, step.next, wall));
        // A person is asked last, when nothing else is missing.
        if let Some(at) = points.iter().position(|it| *it == Missing::Approval) {
            let approval = points.remove(at);
            points.push(approval);
        }
        points
    }

    /// What no evidence and no calendar helps against.
    fn stands_in_the_way(&self, plan: &Plan, step: &Step, now: Tick) -> Vec<Missing> {
        let mut points = Vec::new();
        let rollout = &self.rollout;
        if rollout.latched() {
            points.push(Missing::Latched);
        } else if rollout.phase() == Phase::Held {
            points.push(Missing::Held);
        }
        if !self.is_durable(now) {
            points.push(Missing::NotDurable);
        }
        if self.stages.hooks.is_waiting() {
            points.push(Missing::Asked);
        }
        if step.by == By::Operator {
            return points;
        }
        if !rollout.enabled() && !rollout.latched() {
            points.push(Missing::Off);
        }
        match (rollout.stage(), self.stage()) {
            (None, _) if !self.was_begun() => points.push(Missing::NotBegun),
            (Some(_), None) => points.push(Missing::Gone),
            (Some(_), Some(stage))
                if rollout.percentage() < stage.percentage && !rollout.latched() =>
            {
                points.push(Missing::Lowered(stage.percentage));
            }
            _ => {}
        }
        if step.next.stage(plan).is_some_and(|stage| stage.approval) {
            points.push(Missing::Approval);
        }
        points
    }

    /// An empty state directory means legacy until somebody says otherwise, and so does a
    /// rollout of which nothing is on new any more: a person who resumes at 0 % has not
    /// said yet that it shall begin anew.
    fn was_begun(&self) -> bool {
        let untouched = self.rollout.spent() == 0 && self.rollout.generation() <= 1;
        self.rollout.phase() != Phase::Idle || (self.settings.file_on_empty && untouched)
    }

    /// What the stage that runs has not shown, and what is not known of the next.
    fn not_shown_yet(&self, plan: &Plan, next: Next, now: Tick) -> Vec<Missing> {
        let mut points = Vec::new();
        let again = next.stage(plan).map(|stage| &stage.name)
            == self.rollout.stage().map(|standing| &standing.stage);
        if let Some(stage) = self.stage().filter(|_| !again) {
            let soaked = self.stages.soaked(now);
            if soaked < stage.soak {
                points.push(Missing::Soak(soaked, stage.soak));
            }
            let calls = self.stages.calls();
            if calls < stage.calls_min {
                points.push(Missing::Calls(calls, stage.calls_min));
            }
            let met = |gate: &usize| {
                let row = self.settings.rules.len() + gate;
                let finding = self.findings.get(row);
                finding.is_some_and(|finding| finding.verdict == Verdict::Pass)
            };
            let gates = 0..stage.gates.len();
            points.extend(gates.filter(|gate| !met(gate)).map(Missing::Gate));
        }
        if let Some(stage) = next.stage(plan) {
            let watched = self.stages.volumes.watched(now);
            if stage.volume != Volume::All && watched < WATCH {
                points.push(Missing::Watched(watched));
            }
            if stage.blind.is_none()
                && let Some(why) = &self.stages.outlook.blind
            {
                points.push(Missing::Blind(why.clone()));
            }
        }
        points
    }

    /// A completion raises nothing, so the calendar has no say in it.
    pub(super) fn closed(&self, plan: &Plan, next: Next, wall: Wall) -> Option<Missing> {
        let stage = next.stage(plan)?;
        let begun = self.rollout.stage().map(|standing| standing.begun);
        let kept = self.stages.shut.as_ref();
        let closed = match kept.filter(|shut| shut.holds(next, begun, wall)) {
            Some(shut) => shut.closed.clone(),
            None => plan.calendar.stage_allows(stage, begun, wall).err()?,
        };
        Some(Missing::Closed(closed))
    }

    /// One point, in words that need no look at the manual.
    pub(super) fn in_words(&self, plan: &Plan, point: &Missing) -> String {
        let because = || self.rollout.because().unwrap_or("no reason is recorded");
        match point {
            Missing::Latched if self.rollout.stopped() => format!(
                "the emergency stop is in force ({}): `switchback resume --reason …`",
                because()
            ),
            Missing::Latched => format!(
                "everything is latched to legacy ({}): `switchback resume --reason …`",
                because()
            ),
            Missing::Held => format!("held ({}): `switchback resume --reason …`", because()),
            Missing::Off => {
                "the split is switched off: `switchback advance`, `switchback set` or `enabled` \
                 in the file switches it on"
                    .to_owned()
            }
            Missing::NotBegun => {
                let why = match self.rollout.sequence() {
                    0 | 1 => "the state directory tells of no rollout",
                    _ => "nothing is on new, and only a person begins",
                };
                format!("an operator's `switchback advance`: {why}")
            }
            Missing::Lowered(asked) => format!(
                "an operator's `switchback advance`: the share of new was set to {}, \
                 the stage asks for {asked}",
                self.rollout.percentage()
            ),
            Missing::Gone => format!(
                "an operator's `switchback advance`: stage {}, which runs, is not in \
                 the plan any more",
                self.rollout.stage().map_or("", |it| it.stage.as_str())
            ),
            Missing::NotDurable => {
                "the journal: not everything that was decided is on disk".to_owned()
            }
            Missing::Asked => format!(
                "what lies outside was asked before stage {} and has not answered yet",
                self.stages.hooks.waits_for().unwrap_or_default()
            ),
            Missing::Soak(soaked, soak) => {
                format!("soak: {} of {}", lasting(*soaked), lasting(*soak))
            }
            Missing::Calls(calls, least) => format!("calls: {calls} of {least}"),
            Missing::Gate(gate) => self.gate_in_words(plan, *gate),
            Missing::Watched(watched) => format!(
                "volumes: calls were counted for {} of {}, so nobody knows yet who calls much",
                lasting(*watched),
                lasting(WATCH)
            ),
            Missing::Blind(why) => format!("blind: {why}"),
            Missing::Closed(closed) => plan.calendar.told(closed),
            Missing::Approval => "an operator's advance (approval)".to_owned(),
        }
    }

    fn gate_in_words(&self, _plan: &Plan, gate: usize) -> String {
        let Some(rule) = self.stage().and_then(|stage| stage.gates.get(gate)) else {
            return "a gate".to_owned();
        };
        let asked = asked(rule);
        let Some(finding) = self.findings.get(self.settings.rules.len() + gate) else {
            return format!("gate {asked}: not judged yet");
        };
        let few = finding.samples < u64::from(rule.calls_min);
        match finding.verdict {
            Verdict::Pass => format!("gate {asked}: met"),
            Verdict::Trip => format!("gate {asked}: not met, {}", finding.because),
            Verdict::Inconclusive if few => format!(
                "gate {asked}: inconclusive, {} of {} calls",
                finding.samples, rule.calls_min
            ),
            Verdict::Inconclusive => format!("gate {asked}: inconclusive, {}", finding.because),
        }
    }

    /// Why the plan goes on by itself, for the entry.
    pub(super) fn all_there(&self, plan: &Plan, now: Tick) -> String {
        let Some(stage) = self.stage() else {
            return "the plan begins".to_owned();
        };
        let mut said = vec![
            format!(
                "stage {} was soaked for {} of {}",
                stage.name,
                lasting(self.stages.soaked(now)),
                lasting(stage.soak)
            ),
            format!("{} of {} calls", self.stages.calls(), stage.calls_min),
        ];
        let gates = 0..stage.gates.len();
        said.extend(gates.map(|gate| self.gate_in_words(plan, gate)));
        said.join("; ")
    }
}

/// A refusal that names everything at once.
pub(super) fn why_not(plan: &Plan, next: Next, points: &[String], missing: &[Missing]) -> Refusal {
    let what = match next.stage(plan) {
        Some(stage) => format!("stage {} cannot begin", stage.name),
        None => "the plan cannot be completed".to_owned(),
    };
    let mut why = format!("{what} yet. Missing: {}", points.join("; "));
    let waives = |waives: Waives| missing.iter().any(|point| point.waived(waives));
    let (evidence, window) = (
        waives(Waives {
            evidence: true,
            window: false,
        }),
        waives(Waives {
            evidence: false,
            window: true,
        }),
    );
    match (evidence, window) {
        (true, true) => {
            why.push_str(". `--insist` passes over evidence, `--hotfix` over the calendar")
        }
        (true, false) => why.push_str(". `--insist` passes over evidence"),
        (false, true) => why.push_str(". `--hotfix` passes over the calendar"),
        (false, false) => {}
    }
    let not_durable = missing.contains(&Missing::NotDurable);
    Refusal {
        kind: match not_durable {
            true => RefusalKind::NotDurable,
            false => RefusalKind::Conflict,
        },
        ..conflict(why)
    }
}

/// What a gate asks for: `error_rate below 1 % over 1 h`. Its row names the bad side.
fn asked(rule: &Rule) -> String {
    let side = match rule.side {
        Side::Above => "below",
        Side::Below => "above",
    };
    let base = |base: Base| base.name();
    let threshold = match rule.against {
        None => words::amount(rule.measure, rule.threshold),
        Some(against) => match against.how {
            How::Times => format!("{}x {}", rule.threshold, base(against.base)),
            How::Plus => format!(
                "{} + {}",
                base(against.base),
                words::amount(rule.measure, rule.threshold)
            ),
        },
    };
    let over = match rule.over {
        STAGE => "the stage".to_owned(),
        over => lasting(over),
    };
    let tenants = match rule.scope {
        crate::rules::Scope::All => "",
        crate::rules::Scope::Tenant => " of each tenant",
    };
    format!(
        "{}{tenants} {side} {threshold} over {over}",
        rule.measure.name()
    )
}

/// A span in its two largest units: `2 d 3 h`, `45 min`, `12 s`.
pub(super) fn lasting(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = units.iter().position(|(count, _)| *count > 0);
    let Some(first) = first else {
        return "0 s".to_owned();
    };
    let shown: Vec<_> = units
        .iter()
        .skip(first)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    shown.join(" ")
}
