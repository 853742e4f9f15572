//! When people are told: once when a row begins to trip, once when it stops.

use super::{Notice, Severity};
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
    firing: bool,
    quiet: u32,
}

impl Alarms {
    /// Does this row fire?
    pub(super) fn firing(&self, rule: &str) -> bool {
        self.rows.iter().any(|row| row.rule == rule && row.firing)
    }

    /// Takes one tick's findings in and says what to tell.
    pub(super) fn update(&mut self, rules: &[Rule], findings: &[Finding]) -> Vec<Notice> {
        self.rows
            .retain(|row| rules.iter().any(|rule| rule.name == row.rule));
        let mut notices = Vec::new();
        for (rule, finding) in rules.iter().zip(findings) {
            let row = self.row(&rule.name);
            match (row.firing, finding.verdict) {
                (false, Verdict::Trip) => {
                    row.firing = true;
                    row.quiet = 0;
                    notices.push(notice(
                        severity(rule),
                        rule,
                        format!("{}: {}.", rule.name, finding.because),
                    ));
                }
                (true, Verdict::Trip) => row.quiet = 0,
                (true, Verdict::Pass | Verdict::Inconclusive) if row.quiet + 1 >= QUIET_TICKS => {
                    row.firing = false;
                    notices.push(notice(
                        Severity::Info,
                        rule,
                        format!("{} is over.", rule.name),
                    ));
                }
                (true, Verdict::Pass | Verdict::Inconclusive) => row.quiet += 1,
                (false, Verdict::Pass | Verdict::Inconclusive) => {}
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
                    firing: false,
                    quiet: 0,
                });
                self.rows.len() - 1
            });
        &mut self.rows[at]
    }
}

fn notice(severity: Severity, rule: &Rule, text: String) -> Notice {
    Notice {
        severity,
        rule: Some(rule.name.clone()),
        text,
    }
}

fn severity(rule: &Rule) -> Severity {
    match (rule.action, rule.priority) {
        (Action::Reverse, _) | (_, Some(Priority::Critical)) => Severity::Critical,
        (_, Some(Priority::Low)) => Severity::Info,
        _ => Severity::Warning,
    }
}
