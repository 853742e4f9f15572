//! Simulated time for the rows of the tables: calls go in, findings come out.

use std::time::Duration;

use super::evidence::Evidence;
use super::{Action, Early, Finding, Measure, Rule, Verdict};
use crate::measure::scorecard::Mature;
use crate::measure::totals::Totals;
use crate::measure::{
    Answered, CallEnd, Cause, Ended, Kind, Observation, Outcome, Placed, ReportKind, Voice,
};
use crate::model::{Backend, PerBackend, TenantKey, Tick, Wall};
use crate::split::tenants::Names;
use crate::split::{Because, Live, Placement};

pub(super) const START: Tick = Tick::from_secs(3600);

pub(super) fn mins(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

pub(super) fn row(measure: Measure, threshold: f64, minutes: u64, action: Action) -> Rule {
    let side = measure.bad_side();
    Rule {
        against: None,
        scope: crate::rules::Scope::All,
        name: Rule::default_name(measure, side, threshold, mins(minutes)),
        measure,
        side,
        threshold,
        over: mins(minutes),
        action,
        live: Live::Drain,
        hold_for: Duration::ZERO,
        calls_min: measure.calls_min(),
        failed_min: Rule::default_failed_min(measure, action),
        early: None,
        priority: None,
        to: Vec::new(),
    }
}

pub(super) fn early(rule: Rule) -> Rule {
    Rule {
        early: Some(Early::default()),
        ..rule
    }
}

pub(super) fn errors_10() -> Rule {
    row(Measure::ErrorRate, 0.10, 5, Action::Reverse)
}

/// A stretch of simulated time and what was seen in it.
pub(super) struct Day {
    pub(super) evidence: Evidence,
    pub(super) now: Tick,
    pub(super) generation: u64,
    pub(super) tenants: u64,
    pub(super) turn: u64,
    pub(super) history: Totals,
    pub(super) active: PerBackend<u64>,
}

/// Tenants are called by their number, and those from 900 on by no name.
#[derive(Debug)]
struct Numbered;

impl Names for Numbered {
    fn name(&self, key: TenantKey) -> Option<String> {
        (key.0 < 900).then(|| format!("t{}", key.0))
    }
}

impl Day {
    pub(super) fn with(rules: &[Rule]) -> Self {
        Self {
            evidence: Evidence::new(rules.to_vec(), Mature::Auto, START),
            now: START,
            generation: 1,
            tenants: 1,
            turn: 0,
            history: Totals::default(),
            active: PerBackend::default(),
        }
    }

    pub(super) fn answer(
        &mut self,
        backend: Backend,
        tenant: u64,
        outcome: Outcome,
        latency_ms: u32,
    ) {
        self.answer_again(backend, tenant, outcome, latency_ms, None, None);
    }

    pub(super) fn answer_again(
        &mut self,
        backend: Backend,
        tenant: u64,
        outcome: Outcome,
        latency_ms: u32,
        previous: Option<Tick>,
        previous_failed: Option<Tick>,
    ) {
        self.evidence.observe(&Observation::Answered(Answered {
            call: None,
            at: self.now,
            backend,
            route: 0,
            kind: Kind::Voice,
            outcome,
            latency_us: Some(latency_ms * 1000),
            overhead_us: 50,
            flaw: None,
            voice: Some(Voice {
                tenant: TenantKey(tenant),
                failed: outcome != Outcome::Served,
                previous,
                previous_failed,
            }),
            speech: None,
            choice: None,
            data_us: None,
            counts: true,
            generation: self.generation,
        }));
    }

    /// Calls by all tenants in turn, each with one answer of 200 ms.
    pub(super) fn calls(&mut self, backend: Backend, count: u64, outcome: Outcome) {
        for _ in 0..count {
            self.turn += 1;
            let tenant = 1 + self.turn % self.tenants;
            self.answer(backend, tenant, outcome, 200);
        }
    }

    pub(super) fn good(&mut self, count: u64) {
        self.calls(Backend::New, count, Outcome::Served);
    }

    pub(super) fn failing(&mut self, count: u64) {
        self.calls(Backend::New, count, Outcome::Failed(Cause::Status));
    }

    pub(super) fn slow(&mut self, count: u64, latency_ms: u32) {
        for _ in 0..count {
            self.answer(Backend::New, 1, Outcome::Served, latency_ms);
        }
    }

    pub(super) fn end(
        &mut self,
        backend: Backend,
        began: Tick,
        end: CallEnd,
        duration_s: Option<u32>,
    ) {
        self.end_as(backend, began, end, duration_s, false);
    }

    pub(super) fn end_as(
        &mut self,
        backend: Backend,
        began: Tick,
        end: CallEnd,
        duration_s: Option<u32>,
        failed: bool,
    ) {
        self.evidence.observe(&Observation::Ended(Ended {
            at: self.now,
            began,
            backend,
            tenant: TenantKey(1 + self.turn % self.tenants),
            end,
            duration_s,
            generation: self.generation,
            counts: true,
            failed,
        }));
        self.turn += 1;
    }

    /// Calls of new that the application failed, whoever hung up in the end.
    pub(super) fn failed_ends(&mut self, count: u64) {
        for place in 0..count {
            let end = [CallEnd::Abandoned, CallEnd::Failed, CallEnd::Short];
            let end = end[usize::try_from(place % 3).expect("three")];
            self.end_as(Backend::New, self.now, end, Some(30), true);
        }
    }

    /// Served calls of new that lasted so many seconds.
    pub(super) fn lasting(&mut self, count: u64, seconds: u32) {
        for _ in 0..count {
            self.end(Backend::New, self.now, CallEnd::Served, Some(seconds));
        }
    }

    pub(super) fn ends(&mut self, count: u64, end: CallEnd) {
        for _ in 0..count {
            self.end(Backend::New, self.now, end, Some(30));
        }
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// The calendar, which stood at 1,000,000 hours when the day began.
    pub(super) fn wall(&self) -> Wall {
        let passed = i64::try_from(self.now.since(START).as_millis()).expect("a few days");
        Wall(1_000_000 * 3_600_000 + passed)
    }

    /// The hour is over, and kept.
    pub(super) fn close_hour(&mut self, stage: u16) {
        let hour = self.evidence.take_hour(self.now, self.wall(), stage);
        hour.into_iter().for_each(|hour| self.history.take(hour));
    }

    /// The process is another one; what the journal has is left.
    pub(super) fn restart(&mut self, rules: &[Rule]) {
        self.evidence = Evidence::new(rules.to_vec(), Mature::Auto, self.now);
    }

    pub(super) fn report(&mut self, backend: Backend, kind: ReportKind) {
        self.evidence.report(backend, kind, None, self.now);
    }

    /// Something was reported of a tenant on new.
    pub(super) fn report_of(&mut self, tenant: u64, kind: ReportKind) {
        let tenant = Some(TenantKey(tenant));
        self.evidence.report(Backend::New, kind, tenant, self.now);
    }

    pub(super) fn judge(&mut self) -> Vec<Finding> {
        let wall = self.wall();
        self.evidence
            .judge(self.now, wall, self.active, &self.history, &Numbered)
    }

    pub(super) fn verdict(&mut self) -> Verdict {
        self.judge()[0].verdict
    }
}

pub(super) fn verdict_after(rule: &Rule, prepare: impl FnOnce(&mut Day)) -> Verdict {
    let mut day = Day::with(std::slice::from_ref(rule));
    prepare(&mut day);
    day.verdict()
}

/// A good answer of new to one call.
pub(super) fn answered(at: Tick) -> Answered {
    Answered {
        call: None,
        at,
        backend: Backend::New,
        route: 0,
        kind: Kind::Voice,
        outcome: Outcome::Served,
        latency_us: Some(200_000),
        overhead_us: 50,
        flaw: None,
        voice: Some(Voice {
            tenant: TenantKey(1),
            failed: false,
            previous: None,
            previous_failed: None,
        }),
        speech: None,
        choice: None,
        data_us: None,
        counts: true,
        generation: 1,
    }
}

/// A call of new begins.
pub(super) fn begins(at: Tick) -> Placed {
    Placed {
        at,
        placement: Placement {
            backend: Backend::New,
            because: Because::Hashed,
        },
        call: None,
        begins: true,
        after_latch: false,
        starts: true,
    }
}
