//! One set of tables held against a recorded day, tick by tick as the engine does.
//!
//! The recording goes on as it was, whatever the tables say: after a row that reverses has
//! tripped one sees what would have happened to the calls that it had spared.

use std::collections::HashSet;
use std::time::Duration;

use crate::engine::{Guard, Settings};
use crate::measure::scorecard::{MATURE_LEAST, Mature};
use crate::measure::totals::Totals;
use crate::measure::{Observation, Voice};
use crate::model::{Backend, CallKey, PerBackend, Tick, Wall};
use crate::recording::{HEARTBEAT, Report, State};
use crate::rules::evidence::Evidence;
use crate::rules::{Action, Finding, Measure, Rule, Side, Verdict};

/// Between two recorded ticks the rows are looked at so often.
const COARSE: Duration = Duration::from_secs(1);
/// A gap that is longer is passed over but for its end: no window holds more.
const GAP: Duration = Duration::from_secs(7200);
/// Trips that are told one by one; more are counted.
const TOLD: usize = 1000;
/// Calls that are followed after a trip; of more, none is counted as spared.
const FOLLOWED: usize = 1_000_000;

/// A trial, going on.
pub(super) struct Trial {
    settings: Settings,
    /// How long what comes after a reversal is looked at.
    after: Duration,
    bench: Option<Bench>,
    open: Option<Open>,
    /// What rows did, in order.
    pub(super) fired: Vec<Fired>,
    /// Reversals, in order.
    pub(super) flips: Vec<Flip>,
    /// How often each row fired.
    pub(super) counts: Vec<u64>,
}

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// What judges while one process runs.
struct Bench {
    evidence: Evidence,
    guard: Guard,
    tripping: Vec<bool>,
    heard: Vec<Observation>,
    now: Tick,
    wall: Wall,
    /// The hours that were closed, for rows that look over days.
    history: Totals,
    /// The calendar's hour that runs.
    hour: i64,
    active: PerBackend<u64>,
    epoch: (Tick, u64),
    /// Ids of reports that were taken.
    reports: HashSet<u64>,
}

/// A row that began to trip.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fired {
    pub(super) at: Wall,
    pub(super) action: Action,
    pub(super) finding: Finding,
}

/// A reversal that would have been.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flip {
    pub(super) at: Wall,
    pub(super) finding: Finding,
    /// Calls that began on new after it, and that new then failed.
    pub(super) saved: u64,
    pub(super) after: After,
}

/// What came after a reversal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum After {
    /// The row's own measure was beyond its threshold: it was right.
    Bad(f64),
    /// It was within: it was false.
    Well(f64),
    /// Something was reported by people: it is not for us to say.
    Reported,
    /// Too few calls came on new, or the recording ends.
    Unknown,
}

/// A reversal whose end is not known yet.
struct Open {
    flip: Flip,
    /// Since when, and until when what comes after is looked at.
    at: Tick,
    due: Tick,
    row: Rule,
    judge: Option<Box<Evidence>>,
    begun: HashSet<CallKey>,
}

impl Trial {
    /// Holds these tables against what comes.
    pub(super) fn new(settings: Settings, after: Duration) -> Self {
        Self {
            counts: vec![0; settings.rules.len()],
            settings,
            after,
            bench: None,
            open: None,
            fired: Vec::new(),
            flips: Vec::new(),
        }
    }

    /// The rows.
    pub(super) fn rules(&self) -> &[Rule] {
        &self.settings.rules
    }

    /// The engine looked at this moment; what comes next was heard at it.
    pub(super) fn tick(
        &mut self,
        tick: Tick,
        wall: Wall,
        active: PerBackend<u64>,
        state: Option<&State>,
    ) {
        self.judge();
        if (self.bench.as_ref()).is_some_and(|bench| tick < bench.now) {
            // Another process: its windows are empty.
            self.close(After::Unknown);
            self.bench = None;
        }
        self.fill(tick);
        let bench = (self.bench).get_or_insert_with(|| Bench::new(&self.settings, tick, state));
        if let Some(state) = state {
            bench.follow(state, tick);
        }
        (bench.now, bench.wall, bench.active) = (tick, wall, active);
    }

    /// Something was heard at the last tick.
    pub(super) fn hear(&mut self, observation: Observation) {
        let Some(bench) = &mut self.bench else { return };
        if let Some(open) = &mut self.open {
            open.hear(&observation);
        }
        bench.heard.push(observation);
    }

    /// Somebody reported something before the last tick.
    pub(super) fn report(&mut self, report: &Report) {
        let Some(bench) = &mut self.bench else { return };
        if report.id.is_none_or(|id| bench.reports.insert(id)) {
            let (backend, kind) = (report.backend, report.kind);
            bench
                .evidence
                .report(backend, kind, report.tenant, bench.now);
        }
    }

    /// There is no more.
    pub(super) fn finish(&mut self) {
        self.judge();
        self.close(After::Unknown);
    }

    /// Looks at what was heard at the last tick, once.
    fn judge(&mut self) {
        let Some(bench) = &mut self.bench else { return };
        let heard = std::mem::take(&mut bench.heard);
        if let Some(judge) = self.open.as_mut().and_then(|open| open.judge.as_mut()) {
            heard.iter().for_each(|it| judge.observe(it));
        }
        let findings = bench.judge(&heard);
        self.act(findings);
    }

    /// Nothing was heard until this moment; rows that wait for their time may trip.
    fn fill(&mut self, until: Tick) {
        loop {
            let Some(bench) = &mut self.bench else { return };
            let next = bench.now + COARSE;
            if next >= until {
                return;
            }
            let next = next.max(until - GAP);
            let ms = i64::try_from(next.since(bench.now).as_millis()).unwrap_or(0);
            bench.wall = Wall(bench.wall.0.saturating_add(ms));
            bench.now = next;
            let findings = bench.judge(&[]);
            self.act(findings);
        }
    }

    /// What follows from the findings.
    fn act(&mut self, findings: Vec<Finding>) {
        let Some(bench) = &mut self.bench else { return };
        let (now, wall) = (bench.now, bench.wall);
        let mut reverse = None;
        let mut stands = false;
        let rows = self.settings.rules.iter().zip(&mut bench.tripping);
        for ((number, (rule, tripping)), finding) in rows.enumerate().zip(findings) {
            let trips = finding.verdict == Verdict::Trip;
            let tripped = std::mem::replace(tripping, trips);
            stands |= trips && rule.action == Action::Reverse;
            if tripped || !trips {
                continue;
            }
            if let Some(count) = self.counts.get_mut(number) {
                *count += 1;
            }
            if rule.action == Action::Reverse && reverse.is_none() {
                reverse = Some((rule.clone(), finding.clone()));
            }
            if self.fired.len() < TOLD {
                self.fired.push(Fired {
                    at: wall,
                    action: rule.action,
                    finding,
                });
            }
        }
        let active = bench.active;
        match (&mut self.open, reverse) {
            (Some(open), _) => {
                open.judge(now, active);
                // As if somebody had looked, and resumed: what comes is another reversal.
                if open.judge.is_none() && !stands {
                    bench.evidence.begin_epoch(now, bench.epoch.1);
                    self.close(After::Unknown);
                }
            }
            (None, Some((rule, finding))) => {
                self.open = Some(Open::new(
                    rule,
                    finding,
                    now,
                    wall,
                    self.after,
                    &self.settings,
                ));
            }
            (None, None) => {}
        }
    }

    /// Ends a reversal; what came after it is `unknown` if it was not seen yet.
    fn close(&mut self, unknown: After) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        if open.judge.is_some() && open.flip.after != After::Reported {
            open.flip.after = unknown;
        }
        self.flips.push(open.flip);
    }
}

impl Bench {
    fn new(settings: &Settings, now: Tick, state: Option<&State>) -> Self {
        // A recording that begins in the middle does not know what was before.
        let begins = match state {
            Some(state) if now.since(state.epoch) <= HEARTBEAT => state.epoch,
            _ => now - Duration::from_millis(100),
        };
        let spent = state.map_or(0, |state| state.spent);
        let mut evidence = Evidence::new(settings.rules.clone(), settings.mature, begins);
        evidence.begin_epoch(begins, spent);
        Self {
            evidence,
            guard: Guard::new(settings, begins),
            tripping: vec![false; settings.rules.len()],
            heard: Vec::new(),
            now,
            wall: Wall::default(),
            history: Totals::default(),
            hour: 0,
            active: PerBackend::default(),
            epoch: (state.map_or(begins, |state| state.epoch), spent),
            reports: HashSet::new(),
        }
    }

    /// Begins a new epoch where the recorded engine did.
    fn follow(&mut self, state: &State, now: Tick) {
        let epoch = (state.epoch, state.spent);
        if self.epoch != epoch {
            self.epoch = epoch;
            self.evidence.begin_epoch(state.epoch.min(now), state.spent);
        }
    }

    fn judge(&mut self, heard: &[Observation]) -> Vec<Finding> {
        heard.iter().for_each(|it| self.evidence.observe(it));
        self.guard.hear(heard, self.now);
        self.guard.advise(&mut self.evidence, self.now);
        // As the engine does at every full hour of the calendar.
        let hour = self.wall.0.div_euclid(HOUR_MS);
        if hour != self.hour {
            self.hour = hour;
            let closed = self.evidence.take_hour(self.now, self.wall, 0);
            closed.into_iter().for_each(|hour| self.history.take(hour));
        }
        // A recording knows tenants by their hash alone.
        let (wall, history) = (self.wall, &self.history);
        self.evidence
            .judge(self.now, wall, self.active, history, &())
    }
}

impl Open {
    fn new(
        rule: Rule,
        finding: Finding,
        at: Tick,
        wall: Wall,
        after: Duration,
        settings: &Settings,
    ) -> Self {
        let mature = match settings.mature {
            Mature::After(span) => span,
            Mature::Auto => MATURE_LEAST,
        };
        let by_ends = matches!(
            rule.measure,
            Measure::AbandonmentRate | Measure::FailedCallRate | Measure::CallDurationMean
        );
        let reported = matches!(
            rule.measure,
            Measure::CriticalErrors | Measure::Complaints | Measure::Incidents
        );
        let row = Rule {
            over: after,
            hold_for: Duration::ZERO,
            failed_min: 0,
            early: None,
            ..rule
        };
        let judge = Evidence::new(vec![row.clone()], Mature::After(mature), at);
        Self {
            flip: Flip {
                at: wall,
                finding,
                saved: 0,
                after: if reported {
                    After::Reported
                } else {
                    After::Unknown
                },
            },
            at,
            // Calls that began in that time must have had the time to end.
            due: at + after + if by_ends { mature } else { Duration::ZERO },
            row,
            judge: Some(Box::new(judge)),
            begun: HashSet::new(),
        }
    }

    fn hear(&mut self, observation: &Observation) {
        match observation {
            Observation::Placed(it)
                if it.begins && it.placement.backend == Backend::New && it.at >= self.at =>
            {
                if let Some(call) = it.call
                    && self.begun.len() < FOLLOWED
                {
                    self.begun.insert(call);
                }
            }
            Observation::Answered(it) if it.backend == Backend::New && it.counts => {
                let failed = matches!(it.voice, Some(Voice { failed: true, .. }));
                // Once a call: it is not followed any further.
                if failed && it.call.is_some_and(|call| self.begun.remove(&call)) {
                    self.flip.saved += 1;
                }
            }
            _ => {}
        }
    }

    /// Looks at what came after, when its time has come.
    fn judge(&mut self, now: Tick, active: PerBackend<u64>) {
        let Some(judge) = &mut self.judge else { return };
        let findings = judge.judge(now, Wall::default(), active, &Totals::default(), &());
        if now < self.due {
            return;
        }
        self.judge = None;
        let Some(finding) = findings.first() else {
            return;
        };
        let enough = finding.samples >= u64::from(self.row.calls_min.max(1));
        if let (After::Unknown, Some(value), true) = (self.flip.after, finding.value, enough) {
            let beyond = match self.row.side {
                Side::Above => value > finding.threshold,
                Side::Below => value < finding.threshold,
            };
            self.flip.after = if beyond {
                After::Bad(value)
            } else {
                After::Well(value)
            };
        }
    }
}
