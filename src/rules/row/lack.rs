//! What a row lacks before it may say anything: time that was watched, calls, failures.

use std::time::Duration;

use super::Sight;
use crate::model::Backend;
use crate::rules::reading::{Reading, Source};
use crate::rules::{Action, Measure, Rule, STAGE, Side, words};

/// Part of a long span that must have been watched before a gate says that nothing
/// happened in it: a restart may take some of it.
const COVERED: f64 = 0.9;

/// What a gate still lacks before it may pass.
#[derive(Clone, Debug)]
pub(super) struct Short {
    pub(super) words: String,
    /// What its window holds may be from before it began to count.
    pub(super) hides_all: bool,
}

/// How much of its time a gate has not watched yet; None for other rows.
pub(super) fn gate_lacks(rule: &Rule, sight: &Sight<'_>) -> Option<Short> {
    if rule.action != Action::Gate {
        return None;
    }
    let (from, from_wall) = sight.gates;
    let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    if sight.wall < from_wall || sight.seen.now < from {
        return Some(Short {
            words: "the stage is still warming up".to_owned(),
            hides_all: true,
        });
    }
    let (watched, needed) = if rule.over == STAGE {
        return None;
    } else if rule.is_long() {
        let long = sight.longs.get(rule.over, true, Backend::New)?;
        let counts_for = millis(sight.wall.0.saturating_sub(from_wall.0));
        let covered = long.watched >= rule.over.mul_f64(COVERED);
        if counts_for >= rule.over && covered {
            return None;
        }
        (long.watched.min(counts_for), rule.over)
    } else {
        let counts_for = sight.seen.now.since(from.max(sight.seen.since));
        if counts_for >= rule.over {
            return None;
        }
        (counts_for, rule.over)
    };
    let missing = needed.saturating_sub(watched);
    Some(Short {
        words: format!(
            "watched for {} of the {} it needs, {} are missing",
            words::about(watched),
            words::span(needed),
            words::about(missing)
        ),
        hides_all: !rule.is_long(),
    })
}

/// A count that must not be too *low* cannot be judged before its span is over; how long
/// must be watched, where that is not yet so. What a call brings in comes after it began:
/// where all calls are young, transactions are too few by that alone.
pub(super) fn is_too_young(rule: &Rule, sight: &Sight<'_>) -> Option<Duration> {
    let late = match rule.measure {
        Measure::CallsPerHour
        | Measure::ConcurrentCalls
        | Measure::CriticalErrors
        | Measure::Complaints
        | Measure::Incidents
        | Measure::BreakerOpens => Duration::ZERO,
        Measure::Transactions => sight.cards.new.mature(),
        _ => return None,
    };
    if rule.side != Side::Below {
        return None;
    }
    let (watched, needed) = match sight.source(rule, Backend::New) {
        // A tenth of what a stage brings in may be on its way; gates wait for it anyway.
        Source::Sums { watched, .. } if rule.over == STAGE => match rule.action {
            Action::Gate => return None,
            _ => (watched, late * 10),
        },
        Source::Sums { watched, .. } => (watched, rule.over.mul_f64(COVERED)),
        Source::Window { .. } => (sight.seen.now.since(sight.seen.since), rule.over + late),
    };
    (watched < needed).then_some(needed)
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rules) enum Lack {
    Value,
    Calls,
    Failed,
}

impl Lack {
    pub(in crate::rules) fn words(self, rule: &Rule, reading: &Reading) -> String {
        match self {
            Self::Value => "no verdict".to_owned(),
            Self::Calls => format!(
                "too few to judge: {} of the {} needed",
                words::many(reading.calls, rule.measure.samples()),
                rule.calls_min
            ),
            Self::Failed => format!(
                "too few to act on: {} of the {} needed",
                words::many(reading.failed, "failed call"),
                rule.failed_min
            ),
        }
    }
}

/// How much evidence is missing; None if there is enough.
pub(in crate::rules) fn lack(rule: &Rule, reading: &Reading) -> Option<Lack> {
    let Some(value) = reading.value else {
        return Some(Lack::Value);
    };
    if reading.calls < u64::from(rule.calls_min) {
        return Some(Lack::Calls);
    }
    // Where nothing is beyond the threshold, few failures are good news and no lack.
    let few = reading.failed < u64::from(rule.failed_min);
    (rule.counts_failures() && few && rule.is_beyond(value)).then_some(Lack::Failed)
}
