//! Would it help to go back? A row that would trip is kept from it where legacy is as bad,
//! or does not answer.

use super::lack::lack;
use crate::rules::evidence::BOTH_ARE_BAD;
use crate::rules::reading::Reading;
use crate::rules::{Measure, Rule, compare};

/// Why a row that would trip does not: going back would not help.
pub(in crate::rules) fn kept_back(
    rule: &Rule,
    new: &Reading,
    legacy: &Reading,
    legacy_out: Option<&'static str>,
) -> Option<&'static str> {
    if is_as_bad(rule, new, legacy) {
        Some(BOTH_ARE_BAD)
    } else if is_futile(rule, new, legacy) {
        legacy_out
    } else {
        None
    }
}

/// Is legacy itself over the threshold, with enough evidence, and new not
/// measurably worse? Reported events and gauges are not compared: harm done to
/// data by new is not undone by legacy's troubles. A relative row has compared already.
fn is_as_bad(rule: &Rule, new: &Reading, legacy: &Reading) -> bool {
    let comparable = (new.share.is_some() || new.times.is_some())
        && rule.against.is_none()
        && rule.measure != Measure::Transactions;
    comparable && is_over(rule, legacy) && !compare::is_worse(new, legacy)
}

/// Is a backend over a row's threshold, with enough evidence?
pub(super) fn is_over(rule: &Rule, reading: &Reading) -> bool {
    rule.side == rule.measure.bad_side()
        && lack(rule, reading).is_none()
        && reading.value.is_some_and(|value| rule.is_beyond(value))
}

/// Would it be in vain to go back to a legacy that does not answer? Not if new is
/// measurably worse: then what is held against legacy is not what callers hear. Nor
/// for what was reported from outside: harm done to data ends with new's calls.
fn is_futile(rule: &Rule, new: &Reading, legacy: &Reading) -> bool {
    let reported = matches!(
        rule.measure,
        Measure::CriticalErrors | Measure::Complaints | Measure::Incidents | Measure::Transactions
    );
    rule.action.is_toward_legacy() && !reported && !compare::is_worse(new, legacy)
}
