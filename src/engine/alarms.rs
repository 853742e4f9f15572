//! When people are told: once when a row begins to trip (or would, and is withheld),
//! once when it stops.

use super::{Notice, Severity};
use crate::rules::evidence::{BOTH_ARE_BAD, LEGACY_IS_DOWN, LEGACY_IS_OPEN};
use crate::rules::{Action, Finding, Priority, Rule, Verdict};

/// How many ticks in a row a row must not trip before it counts as resolved:
/// three seconds, so that a value dancing on its threshold is told once.
const QUIET_TICKS: u32 = 30;

/// Which rows fire.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    rule: String,
    told: State,
    quiet: u32,
}

/// What a row is, as far as people are concerned; the worse the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Quiet,
    /// It would trip, and something speaks against acting on it.
    Withheld,
    Trips,
}

impl Alarms {
    /// Does this row fire?
    pub(super) fn firing(&self, rule: &str) -> bool {
        self.rows
            .iter()
            .any(|row| row.rule == rule && row.told == State::Trips)
    }

    /// Takes one tick's findings in and says what to tell. While a stage runs that wants
    /// `only` alerts of some priorities, the others are quiet; none named: all are heard.
    pub(super) fn update(
        &mut self,
        rules: &[Rule],
        findings: &[Finding],
        only: &[Priority],
    ) -> Vec<Notice> {
        self.rows
            .retain(|row| rules.iter().any(|rule| rule.name == row.rule));
        let mut notices = Vec::new();
        for (rule, finding) in rules.iter().zip(findings) {
            let row = self.row(&rule.name);
            let state = match is_heard(rule, only) {
                true => State::of(finding),
                false => State::Quiet,
            };
            if state >= row.told {
                row.quiet = 0;
            } else {
                row.quiet += 1;
            }
            if state > row.told || row.quiet >= QUIET_TICKS {
                row.told = state;
                row.quiet = 0;
                notices.push(notice(rule, finding, state));
            }
        }
        notices
    }

    fn row(&mut self, rule: &str) -> &mut Row {
        let at = self
            .rows
            .iter()
            .position(|row| row.rule == rule)
            .unwrap_or_else(|| {
                self.rows.push(Row {
                    rule: rule.to_owned(),
                    told: State::Quiet,
                    quiet: 0,
                });
                self.rows.len() - 1
            });
        &mut self.rows[at]
    }
}

/// Rows that act are heard always: what they do must not come as a surprise.
fn is_heard(rule: &Rule, only: &[Priority]) -> bool {
    only.is_empty()
        || rule.action != Action::Alert
        || rule
            .priority
            .is_none_or(|priority| only.contains(&priority))
}

impl State {
    fn of(finding: &Finding) -> Self {
        match (finding.verdict, finding.withheld) {
            (Verdict::Trip, _) => Self::Trips,
            (_, Some(_)) => Self::Withheld,
            (Verdict::Pass | Verdict::Inconclusive, None) => Self::Quiet,
        }
    }
}

fn notice(rule: &Rule, finding: &Finding, state: State) -> Notice {
    let (name, because) = (&rule.name, &finding.because);
    let (severity, text) = match state {
        State::Quiet => (Severity::Info, format!("{name} is over.")),
        State::Withheld => (
            withheld(finding),
            format!("{name} is met and not acted on: {because}."),
        ),
        State::Trips => (severity(rule), format!("{name}: {because}.")),
    };
    Notice {
        severity,
        rule: Some(name.clone()),
        text,
    }
}

/// When both backends fail no rule can help, only people.
fn withheld(finding: &Finding) -> Severity {
    let vain = [BOTH_ARE_BAD, LEGACY_IS_DOWN, LEGACY_IS_OPEN];
    if finding.withheld.is_some_and(|why| vain.contains(&why)) {
        Severity::Critical
    } else {
        Severity::Warning
    }
}

fn severity(rule: &Rule) -> Severity {
    match (rule.action, rule.priority) {
        (Action::Reverse, _) | (_, Some(Priority::Critical)) => Severity::Critical,
        (_, Some(Priority::Low)) => Severity::Info,
        _ => Severity::Warning,
    }
}
