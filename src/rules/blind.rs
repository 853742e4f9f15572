//! A row that can never be sure at the traffic there is protects nobody, and an
//! operator must hear it before the stage begins.

use super::{Measure, Rule, Unit, words};

/// Distinct calls the row must see in its span before it can trip.
pub fn calls_needed(rule: &Rule) -> u32 {
    let failed = if rule.counts_failures() {
        rule.failed_min
    } else {
        0
    };
    rule.calls_min.max(failed)
}

/// Has the row a sequential test, which needs no full window?
pub fn has_early(rule: &Rule) -> bool {
    // "Above 0 %" leaves nothing to test against: one failure is all it takes.
    let nothing_worse = rule.measure.unit() == Unit::Share && rule.threshold <= 0.0;
    rule.early.is_some() && rule.can_be_early() && !nothing_worse
}

/// Why a row would be blind at so many calls a minute on new; None if it sees.
pub fn blind_at(rule: &Rule, calls_per_minute: f64) -> Option<String> {
    let needed = calls_needed(rule);
    let expected = calls_per_minute * rule.over.as_secs_f64() / 60.0;
    if has_early(rule) || expected >= f64::from(needed) {
        return None;
    }
    Some(format!(
        "blind: at {} calls a minute about {} reach new in {}, and the row needs {}; \
         lengthen `over`, lower `calls_min`, or wait for a higher percentage",
        words::amount(Measure::ConcurrentCalls, calls_per_minute),
        words::many(expected.floor().max(0.0) as u64, "call"),
        words::span(rule.over),
        needed,
    ))
}
