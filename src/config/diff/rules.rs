//! What changes in the tables, row by row.

use std::collections::BTreeMap;

use super::super::tables::{over_told, threshold_told};
use super::super::text::Span;
use crate::rules::{Early, Priority, Rule, Scope};
use crate::split::Live;

/// Adds what a reload would change of them.
pub(super) fn rules(old: &[Rule], new: &[Rule], into: &mut Vec<String>) {
    let before: BTreeMap<_, _> = old.iter().map(|rule| (&rule.name, rule)).collect();
    let after: BTreeMap<_, _> = new.iter().map(|rule| (&rule.name, rule)).collect();
    for (name, rule) in &before {
        if !after.contains_key(name) {
            into.push(format!("rule `{name}` is gone: {}", told(rule)));
        }
    }
    for (name, rule) in after {
        match before.get(name) {
            None => into.push(format!("rule `{name}` is new: {}", told(rule))),
            Some(was) if *was == rule => {}
            Some(was) => into.push(format!("rule `{name}`: {}", changes(was, rule).join("; "))),
        }
    }
}

/// A rule as people say it: `error_rate above 10% over 5m, reverse`.
fn told(rule: &Rule) -> String {
    let live = match rule.live {
        Live::Drain => "",
        Live::Move => " and move live calls",
    };
    let scope = match rule.scope {
        Scope::All => "",
        Scope::Tenant => " of one tenant",
    };
    format!(
        "{}{scope} {} {} over {}, {}{live}",
        rule.measure.name(),
        rule.side.name(),
        threshold_told(rule),
        over_told(rule.over),
        rule.action.name()
    )
}

/// Everything that differs between two rows of one name, old → new.
fn changes(old: &Rule, new: &Rule) -> Vec<String> {
    let mut changes = Vec::new();
    let (before, after) = (told(old), told(new));
    if before != after {
        changes.push(format!("{before} → {after}"));
    }
    for (name, said) in [
        (
            "hold_for",
            (|rule| Span(rule.hold_for).to_string()) as fn(&Rule) -> String,
        ),
        ("calls_min", |rule| rule.calls_min.to_string()),
        ("failed_min", |rule| rule.failed_min.to_string()),
        ("early", |rule| early(rule.early)),
        ("priority", |rule| priority(rule.priority).to_owned()),
        ("to", |rule| format!("[{}]", rule.to.join(", "))),
    ] {
        let (before, after) = (said(old), said(new));
        if before != after {
            changes.push(format!("{name} {before} → {after}"));
        }
    }
    changes
}

fn early(early: Option<Early>) -> String {
    let Some(early) = early else {
        return "off".to_owned();
    };
    let alone = if early.alone { ", alone" } else { "" };
    format!("on (a false alarm in {} calls{alone})", early.false_alarm)
}

/// The word for it in the file.
pub(super) const fn priority(priority: Option<Priority>) -> &'static str {
    match priority {
        None => "none",
        Some(priority) => priority.name(),
    }
}
