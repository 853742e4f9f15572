//! Many plays in a few numbers.

use crate::rehearsal::{Outcome, Seen};

/// A mean, how far it spreads, and its ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct Sum {
    pub(super) mean: f64,
    /// Standard deviation; 0 of one number.
    pub(super) deviation: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Sum {
    pub(super) fn of(numbers: impl Iterator<Item = f64> + Clone) -> Self {
        let count = numbers.clone().count();
        if count == 0 {
            return Self::default();
        }
        let mean = numbers.clone().sum::<f64>() / count as f64;
        let squares: f64 = numbers.clone().map(|it| (it - mean) * (it - mean)).sum();
        Self {
            mean,
            deviation: (squares / (count.max(2) - 1) as f64).sqrt(),
            least: numbers.clone().fold(f64::INFINITY, f64::min),
            most: numbers.fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// What one rule did in all plays.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(super) struct RuleSum {
    pub(super) rule: String,
    /// What follows when it trips.
    pub(super) action: &'static str,
    /// Plays in which it tripped after the fault began.
    pub(super) runs: usize,
    /// Plays in which it tripped before anything was wrong.
    pub(super) runs_before: usize,
    /// From the first caller who met the fault: calls on the side of the fault, callers
    /// who met it, minutes.
    pub(super) calls: Sum,
    pub(super) callers: Sum,
    pub(super) minutes: Sum,
}

/// Every rule that tripped in a play, in the order of the tables.
pub(super) fn rules(outcomes: &[Outcome]) -> Vec<RuleSum> {
    let Some(first) = outcomes.first() else {
        return Vec::new();
    };
    let sums = first.status.rules.iter().map(|row| {
        let rule = &row.finding.rule;
        let seen: Vec<Seen> = outcomes.iter().filter_map(|it| after(it, rule)).collect();
        let before = |outcome: &&Outcome| {
            let wrong = outcome.fault_at;
            let mut trips = outcome.trips.iter().filter(|trip| trip.rule == *rule);
            trips.any(|trip| wrong.is_none_or(|wrong| trip.seen.at < wrong))
        };
        let numbers = |of: fn(&Seen) -> f64| Sum::of(seen.iter().map(of));
        RuleSum {
            rule: rule.clone(),
            action: row.action.name(),
            runs: seen.len(),
            runs_before: outcomes.iter().filter(before).count(),
            calls: numbers(|seen| seen.calls as f64),
            callers: numbers(|seen| seen.met as f64),
            minutes: numbers(|seen| {
                seen.since_fault
                    .map_or(0.0, |since| since.as_secs_f64() / 60.0)
            }),
        }
    });
    sums.filter(|sum| sum.runs + sum.runs_before > 0).collect()
}

/// The first time a rule tripped after the fault began.
fn after(outcome: &Outcome, rule: &str) -> Option<Seen> {
    let wrong = outcome.fault_at?;
    let mut trips = outcome.trips.iter().filter(|trip| trip.rule == rule);
    trips
        .find(|trip| trip.seen.at >= wrong)
        .map(|trip| trip.seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_nothing_is_nothing_and_of_three_numbers_their_mean() {
        assert_eq!(Sum::of(std::iter::empty()), Sum::default());
        let sum = Sum::of([2.0, 4.0, 6.0].into_iter());
        assert_eq!(
            (sum.mean, sum.deviation, sum.least, sum.most),
            (4.0, 2.0, 2.0, 6.0)
        );
        assert_eq!(Sum::of([3.0].into_iter()).deviation, 0.0);
    }
}
