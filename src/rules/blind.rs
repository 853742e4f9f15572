//! A row that can never be sure at the traffic there is protects nobody, and an
//! operator must hear it before the stage begins.

use super::{Measure, Rule, Unit};

/// Distinct calls the row must see in its span before it can trip. Checks of health
/// come however few calls there are.
pub fn calls_needed(rule: &Rule) -> u32 {
    if rule.measure == Measure::HealthErrorRate {
        return 0;
    }
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

/// Can the row come to a verdict where so many calls a minute reach new? One that
/// cannot is blind.
pub fn sees(rule: &Rule, calls_per_minute: f64) -> bool {
    let expected = calls_per_minute * rule.over.as_secs_f64() / 60.0;
    has_early(rule) || expected >= f64::from(calls_needed(rule))
}
