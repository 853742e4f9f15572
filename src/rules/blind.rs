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
/// cannot is blind. Of a row with a tenant's scope: where that tenant makes so many. A
/// row over its whole stage sees as soon as any call comes: how late is another question.
pub fn sees(rule: &Rule, calls_per_minute: f64) -> bool {
    let expected = calls_per_minute * rule.over.as_secs_f64() / 60.0;
    has_early(rule) || expected >= f64::from(calls_needed(rule))
}

#[cfg(test)]
mod tests {
    use super::super::day::{early, errors_10};
    use super::super::{Action, Against, Base, How, STAGE};
    use super::*;

    #[test]
    fn only_what_has_a_test_against_a_fixed_threshold_sees_without_a_full_window() {
        let row = early(errors_10());
        assert!(has_early(&row) && sees(&row, 0.1));
        let against = Some(Against {
            base: Base::Legacy,
            how: How::Times,
        });
        let relative = Rule {
            against,
            ..row.clone()
        };
        assert!(!has_early(&relative) && !sees(&relative, 3.9) && sees(&relative, 4.0));
        let gate = Rule {
            action: Action::Gate,
            ..row
        };
        assert!(!has_early(&gate) && !sees(&gate, 3.9));
        let stage = Rule {
            over: STAGE,
            ..gate.clone()
        };
        assert!(sees(&stage, 0.01) && !sees(&stage, 0.0));
        let week = Rule {
            over: std::time::Duration::from_secs(7 * 86_400),
            ..gate
        };
        assert!(sees(&week, 0.002) && !sees(&week, 0.0019));
    }
}
