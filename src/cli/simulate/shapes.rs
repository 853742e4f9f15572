//! What `-o json` prints. Its fields are a promise to scripts.

use serde::Serialize;

use super::sums::{self, RuleSum};
use super::{Expect, ask};
use crate::rehearsal::{Outcome, Scenario, Seen};

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Simulation {
    seed: u64,
    runs: usize,
    faults: Vec<String>,
    /// Was every play as expected? Null where nothing was.
    as_expected: Option<bool>,
    /// Plays that were not.
    otherwise: usize,
    rules: Vec<RuleSum>,
    plays: Vec<Play>,
}

/// One play.
#[derive(Debug, Serialize)]
struct Play {
    seed: u64,
    phase: &'static str,
    percentage: f64,
    complete: bool,
    reversals: u32,
    steps_back: u32,
    tenants_rolled_back: u32,
    /// Of these, before anything was wrong.
    false_acts: u32,
    seconds: u64,
    fault_at_seconds: Option<u64>,
    calls_on_new: u64,
    calls_on_legacy: u64,
    callers_who_met_the_fault: u64,
    callers_rescued: u64,
    callers_lost: u64,
    new_calls_on_new_after_latch: u64,
    trips: Vec<Trip>,
    stages: Vec<Stage>,
    decisions: Vec<Decision>,
}

#[derive(Debug, Serialize)]
struct Trip {
    rule: String,
    said: String,
    #[serde(flatten)]
    cost: Cost,
}

#[derive(Debug, Serialize)]
struct Stage {
    name: String,
    percentage: f64,
    at_seconds: u64,
    lasted_seconds: Option<u64>,
    calls_on_new: u64,
}

#[derive(Debug, Serialize)]
struct Decision {
    action: String,
    said: String,
    #[serde(flatten)]
    cost: Cost,
}

#[derive(Debug, Serialize)]
struct Cost {
    at_seconds: u64,
    seconds_since_fault: Option<u64>,
    calls_since_fault: u64,
    callers_who_met_it: u64,
}

impl From<Seen> for Cost {
    fn from(seen: Seen) -> Self {
        Self {
            at_seconds: seen.at.as_secs(),
            seconds_since_fault: seen.since_fault.map(|since| since.as_secs()),
            calls_since_fault: seen.calls,
            callers_who_met_it: seen.met,
        }
    }
}

pub(super) fn simulation(
    scenario: &Scenario,
    outcomes: &[Outcome],
    expected: Option<Expect>,
    missed: usize,
) -> Simulation {
    let faults = scenario.faults.iter().map(|fault| ask::said(fault.what));
    Simulation {
        seed: scenario.seed,
        runs: outcomes.len(),
        faults: faults.collect(),
        as_expected: expected.map(|_| missed == 0),
        otherwise: missed,
        rules: sums::rules(outcomes),
        plays: outcomes
            .iter()
            .zip(scenario.seed..)
            .map(|(outcome, seed)| play(outcome, seed))
            .collect(),
    }
}

fn play(outcome: &Outcome, seed: u64) -> Play {
    let (acts, early) = (outcome.acts(), outcome.false_acts());
    let counts = outcome.counts;
    let trips = outcome.trips.iter().map(|trip| Trip {
        rule: trip.rule.clone(),
        said: trip.text.clone(),
        cost: trip.seen.into(),
    });
    let stages = outcome.stages.iter().map(|stage| Stage {
        name: stage.name.clone(),
        percentage: stage.percentage.as_f64(),
        at_seconds: stage.at.as_secs(),
        lasted_seconds: stage.lasted.map(|lasted| lasted.as_secs()),
        calls_on_new: stage.calls,
    });
    let decisions = outcome.decisions.iter().map(|decision| Decision {
        action: decision.entry.action.name().to_owned(),
        said: decision.entry.said(),
        cost: decision.seen.into(),
    });
    Play {
        seed,
        phase: outcome.status.phase.name(),
        percentage: outcome.status.percentage.as_f64(),
        complete: outcome.is_complete(),
        reversals: acts.reversals,
        steps_back: acts.steps_back,
        tenants_rolled_back: acts.tenants,
        false_acts: early.reversals + early.steps_back + early.tenants,
        seconds: outcome.lasted.as_secs(),
        fault_at_seconds: outcome.fault_at.map(|at| at.as_secs()),
        calls_on_new: counts.calls.new,
        calls_on_legacy: counts.calls.legacy,
        callers_who_met_the_fault: counts.met,
        callers_rescued: counts.rescued,
        callers_lost: counts.lost,
        new_calls_on_new_after_latch: counts.after_latch,
        trips: trips.collect(),
        stages: stages.collect(),
        decisions: decisions.collect(),
    }
}
