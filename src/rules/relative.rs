//! What a relative threshold comes to now: `"1x legacy"`, `"2x baseline"`,
//! `"legacy + 500ms"`.

use super::reading::{Reading, Source};
use super::{Against, Base, How, Measure, Rule, Side, compare, words};

/// Legacy has hardly any calls left where it has fewer than one for so many of new's: those
/// it is rescued with, and those that began there long ago.
const HARDLY_ANY: i64 = 10;

/// `"1x"` means "no worse than": up to this many times the value is the same.
const BAND: f64 = 1.1;

/// A relative row's threshold, made of another's value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolved {
    /// What is shown and said.
    pub(super) threshold: f64,
    /// From where on the row trips: further off for `"1x"`.
    pub(super) limit: f64,
    /// What it is made of.
    base: Reading,
    against: Against,
}

impl Resolved {
    /// Is new's value beyond it by more than chance would do?
    pub(super) fn is_beyond_measurably(&self, rule: &Rule, new: &Reading) -> bool {
        let how = (rule.measure, rule.side, self.against.how);
        compare::is_beyond_measurably(how, new, &self.base, self.threshold)
    }
}

/// What the threshold comes to; None for an absolute one. Err: why nothing can be said.
pub(super) fn resolve(
    rule: &Rule,
    [new, legacy]: [&Source<'_>; 2],
    baseline: Option<&Source<'_>>,
) -> Option<Result<Resolved, String>> {
    let against = rule.against?;
    Some(
        base(rule, against, [new, legacy], baseline).map(|(base, value)| {
            let one = against.how == How::Times && (rule.threshold - 1.0).abs() < 1e-9;
            let threshold = match against.how {
                How::Times => value * rule.threshold,
                How::Plus => value + rule.threshold,
            };
            let limit = match rule.side {
                _ if !one => threshold,
                Side::Above => value * BAND,
                Side::Below => value * (2.0 - BAND),
            };
            Resolved {
                threshold,
                limit,
                base,
                against,
            }
        }),
    )
}

/// Whose value, with enough evidence. A legacy with hardly a call left in the span has
/// nothing to be compared with but what it was before the first stage.
fn base(
    rule: &Rule,
    against: Against,
    [new, legacy]: [&Source<'_>; 2],
    baseline: Option<&Source<'_>>,
) -> Result<(Reading, f64), String> {
    let of = |source: &Source<'_>| {
        let reading = Reading::of(source, rule.measure, 0.0);
        let value = reading
            .value
            .filter(|_| reading.calls >= u64::from(rule.calls_min));
        // Quantiles are compared by the share of answers beyond the base's own value.
        value
            .map(|value| (Reading::of(source, rule.measure, value), value))
            .ok_or(reading)
    };
    let from_baseline = || {
        let Some(baseline) = baseline else {
            return Err("no baseline: legacy was not watched before the first stage".to_owned());
        };
        if grows(rule.measure) {
            return Err("a count has no baseline: it grows with the time".to_owned());
        }
        of(baseline).map_err(|reading| too_few(rule, &reading, "the baseline"))
    };
    if against.base == Base::Baseline {
        return from_baseline();
    }
    of(legacy).or_else(|reading| {
        let calls = |source: &Source<'_>| {
            let answers = source.answers();
            answers.calls.max(answers.begun).max(0)
        };
        let left = calls(legacy);
        let gone = left == 0 || left.saturating_mul(HARDLY_ANY) < calls(new);
        match baseline {
            Some(_) if gone => from_baseline(),
            _ => Err(too_few(rule, &reading, "legacy")),
        }
    })
}

fn too_few(rule: &Rule, reading: &Reading, whose: &str) -> String {
    match reading.value {
        Some(_) => format!(
            "too little of {whose} to compare with: {} of the {} needed",
            words::many(reading.calls, rule.measure.samples()),
            rule.calls_min
        ),
        None => format!("nothing of {whose} to compare with"),
    }
}

/// Is it a number that is the greater the longer one looks?
const fn grows(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::CriticalErrors | Measure::Complaints | Measure::Incidents | Measure::BreakerOpens
    )
}
