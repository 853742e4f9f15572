//! A row of the tables as a forecast plays it: what one call adds to its value, and
//! what must be there for it to trip.

use std::time::Duration;

use super::{SLOW, USUAL};
use crate::measure::counts::SLOW_MAX;
use crate::measure::early::Suspicion;
use crate::measure::scorecard::MATURE_LEAST;
use crate::model::Tick;
use crate::rules::reading::micros;
use crate::rules::{Action, Measure, Rule, blind};

/// An answer that is heard, and one second's worth of ended calls: what comes within it
/// is one batch of the sequential test.
const TICK: f64 = 0.1;
const SECOND: f64 = 1.0;

/// The share of answers slower than a mean's threshold that is still in order.
const HALF: f64 = 0.5;

/// One row against one fault.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The share of calls that are bad once the fault is there.
    pub(super) fault: f64,
    /// What a bad call and a good one are worth; the row's value is the mean of them.
    pub(super) bad: f64,
    /// See `bad`.
    pub(super) good: f64,
    /// The value above which the window trips.
    pub(super) bar: f64,
    /// Calls without which it does not.
    pub(super) calls_min: f64,
    /// Failed calls without which it does not.
    pub(super) failed_min: f64,
    /// Seconds that it looks back; infinite for a whole stage.
    pub(super) over: f64,
    /// Seconds that the condition must stand.
    pub(super) hold: f64,
    /// Seconds from a call's beginning until the row hears of it.
    pub(super) lag: f64,
    /// What comes within so many seconds is one batch.
    pub(super) batch: f64,
    /// Can the window trip on this fault, false alarms aside?
    pub(super) windowed: bool,
    /// The sequential test, where it can.
    pub(super) early: Option<Suspicion>,
}

/// Which rows have a sequential test when they are held against evidence together: of
/// means only the first few thresholds have one.
pub(super) fn early(rules: &[Rule]) -> Vec<bool> {
    let mut slow: Vec<u32> = Vec::new();
    rules
        .iter()
        .map(|rule| {
            if rule.measure != Measure::ResponseTimeMean || !blind::has_early(rule) {
                return blind::has_early(rule);
            }
            let threshold = micros(rule.threshold);
            if !slow.contains(&threshold) && slow.len() < SLOW_MAX {
                slow.push(threshold);
            }
            slow.contains(&threshold)
        })
        .collect()
}

impl Row {
    /// None where no share of failing calls says what such a row would do.
    pub(super) fn of(rule: &Rule, early: bool, fault: f64) -> Option<Self> {
        let on_its_side = rule.side == rule.measure.bad_side();
        if rule.against.is_some() || rule.action == Action::Gate || !on_its_side {
            return None;
        }
        let share = |bar| Some((1.0, 0.0, bar, bar));
        let (bad, good, bar, allowed) = match rule.measure {
            Measure::ErrorRate | Measure::FailedCallRate | Measure::AbandonmentRate => {
                share(rule.threshold)
            }
            Measure::SpeechRecognitionRate => share(1.0 - rule.threshold),
            Measure::ResponseTimeMean => Some((SLOW, USUAL, 1.0, HALF)),
            Measure::ResponseTimeP50 => share(0.5),
            Measure::ResponseTimeP95 => share(0.05),
            Measure::ResponseTimeP99 => share(0.01),
            // Down is nothing less than every call; above one there is nothing.
            Measure::BackendDown if rule.threshold < 1.0 => share(1.0 - 1e-6),
            _ => None,
        }?;
        let ended = matches!(
            rule.measure,
            Measure::FailedCallRate | Measure::AbandonmentRate
        );
        let seconds = |span: Duration| {
            if span == crate::rules::STAGE {
                f64::INFINITY
            } else {
                span.as_secs_f64().max(1.0)
            }
        };
        let mean = fault * bad + (1.0 - fault) * good;
        let failed_min = if rule.counts_failures() {
            rule.failed_min
        } else {
            0
        };
        let test = rule
            .early
            .filter(|_| early && fault > allowed)
            .and_then(|early| Suspicion::new(allowed, early.false_alarm, Tick(0)));
        Some(Self {
            fault,
            bad,
            good,
            // As the row itself forgives the last bit of a share.
            bar: bar * (1.0 + 1e-9),
            calls_min: f64::from(rule.calls_min).max(1.0),
            failed_min: f64::from(failed_min),
            over: seconds(rule.over),
            hold: rule.hold_for.as_secs_f64(),
            lag: if ended {
                MATURE_LEAST.as_secs_f64()
            } else {
                0.0
            },
            batch: if ended { SECOND } else { TICK },
            windowed: !rule.early.is_some_and(|early| early.alone) && mean > bar * (1.0 + 1e-9),
            early: test,
        })
    }

    /// Does the window trip on so many calls, and bad ones among them?
    pub(super) fn is_met(&self, calls: u64, bad: u64) -> bool {
        let (calls, bad) = (calls as f64, bad as f64);
        let value = bad * self.bad + (calls - bad) * self.good;
        calls >= self.calls_min && bad >= self.failed_min && value > self.bar * calls
    }
}
