//! What changes in the plan, stage by stage, and in what lies outside.

use std::collections::BTreeMap;

use super::super::Config;
use super::super::tables::over_told;
use super::super::text::Span;
use super::super::walk::named;
use super::rules::priority;
use super::{all, compare};
use crate::hooks::{Call, Data, Hook};
use crate::rollout::{Plan, Stage};

/// Adds what a reload would change of it.
pub(super) fn plan(old: &Config, new: &Config, into: &mut Vec<String>) {
    match (old.plan.as_deref(), new.plan.as_deref()) {
        (None, None) => {}
        (Some(_), None) => into.push("the plan is gone".to_owned()),
        (None, Some(plan)) => {
            let stages: Vec<String> = plan.stages.iter().map(told).collect();
            into.push(format!("the plan is new: {}", stages.join(", ")));
        }
        (Some(before), Some(after)) => {
            calendar(before, after, into);
            stages(before, after, into);
        }
    }
    compare(into, "emergency.to", &old.emergency, &new.emergency, |to| {
        to.name().to_owned()
    });
    compare(into, "hook", &old.hooks, &new.hooks, |hooks| {
        let hooks: Vec<String> = hooks.iter().map(hook).collect();
        all(&hooks)
    });
    compare(into, "rollback.data", &old.data, &new.data, |data| {
        data.as_ref().map_or_else(|| "none".to_owned(), restore)
    });
}

/// A stage in a few words: `pilot (5 % for 7d)`.
fn told(stage: &Stage) -> String {
    format!(
        "{} ({} for {})",
        stage.name,
        stage.percentage,
        Span(stage.soak)
    )
}

fn calendar(old: &Plan, new: &Plan, into: &mut Vec<String>) {
    compare(
        into,
        "plan.advance",
        &old.advance,
        &new.advance,
        |advance| advance.name().to_owned(),
    );
    let (before, after) = (&old.calendar, &new.calendar);
    compare(into, "plan.time_zone", &before.zone, &after.zone, |zone| {
        zone.iana_name().unwrap_or("unnamed").to_owned()
    });
    compare(
        into,
        "plan.windows",
        &before.windows,
        &after.windows,
        |list| all(list),
    );
    compare(
        into,
        "plan.freezes",
        &before.freezes,
        &after.freezes,
        |list| {
            let list: Vec<String> = (list.iter())
                .map(|freeze| format!("{} to {} ({})", freeze.from, freeze.to, freeze.reason))
                .collect();
            all(&list)
        },
    );
    let (before, after) = (&old.calls_per_hour, &new.calls_per_hour);
    compare(into, "plan.calls_per_hour", before, after, |calls| {
        calls.map_or_else(|| "as seen".to_owned(), |calls| calls.to_string())
    });
}

fn stages(old: &Plan, new: &Plan, into: &mut Vec<String>) {
    let before: BTreeMap<_, _> = old.stages.iter().map(|it| (it.name.as_str(), it)).collect();
    let after: BTreeMap<_, _> = new.stages.iter().map(|it| (it.name.as_str(), it)).collect();
    for stage in &old.stages {
        if !after.contains_key(stage.name.as_str()) {
            into.push(format!("stage {} is gone", told(stage)));
        }
    }
    for stage in &new.stages {
        match before.get(stage.name.as_str()) {
            None => into.push(format!("stage {} is new", told(stage))),
            Some(was) if *was == stage => {}
            Some(was) => {
                let changes = changes(was, stage).join("; ");
                into.push(format!("stage `{}`: {changes}", stage.name));
            }
        }
    }
    let kept = |plan: &Plan, other: &BTreeMap<&str, &Stage>| -> Vec<String> {
        let names = plan.stages.iter().map(|stage| stage.name.clone());
        names
            .filter(|name| other.contains_key(name.as_str()))
            .collect()
    };
    let (was, is) = (kept(old, &after), kept(new, &before));
    if was != is {
        into.push(format!("the stages' order: {} → {}", all(&was), all(&is)));
    }
}

/// Everything that differs between two stages of one name, old → new.
fn changes(old: &Stage, new: &Stage) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, said) in [
        (
            "percentage",
            (|it| it.percentage.to_string()) as fn(&Stage) -> String,
        ),
        ("soak", |it| Span(it.soak).to_string()),
        ("calls_min", |it| it.calls_min.to_string()),
        ("tenants", |it| {
            let names: Vec<String> = it.tenants.iter().map(|tenant| named(tenant)).collect();
            all(&names)
        }),
        ("volume", |it| it.volume.name().to_owned()),
        ("warm_up", |it| Span(it.warm_up).to_string()),
        ("not_before", |it| {
            it.not_before.map_or_else(none, |it| it.to_string())
        }),
        ("hours", |it| {
            it.hours.map_or_else(none, |it| it.to_string())
        }),
        ("approval", |it| it.approval.to_string()),
        ("alerts", |it| {
            let words: Vec<&str> = it.alerts.iter().map(|it| priority(Some(*it))).collect();
            all(&words)
        }),
        ("blind", |it| it.blind.clone().unwrap_or_else(none)),
    ] {
        let (before, after) = (said(old), said(new));
        if before != after {
            changes.push(format!("{name} {before} → {after}"));
        }
    }
    gates(old, new, &mut changes);
    changes
}

/// A gate's name says all of it but its minimum.
fn gates(old: &Stage, new: &Stage, into: &mut Vec<String>) {
    let find = |stage: &Stage, name: &str| {
        let gate = stage.gates.iter().find(|gate| gate.name == name);
        gate.map(|gate| gate.calls_min)
    };
    for gate in &old.gates {
        if find(new, &gate.name).is_none() {
            into.push(format!("gate `{}` is gone", gate.name));
        }
    }
    for gate in &new.gates {
        match find(old, &gate.name) {
            None => into.push(format!("gate `{}` is new", gate.name)),
            Some(was) if was != gate.calls_min => into.push(format!(
                "gate `{}`: calls_min {was} → {} over {}",
                gate.name,
                gate.calls_min,
                over_told(gate.over)
            )),
            Some(_) => {}
        }
    }
}

/// A hook in a few words. Arguments, paths and queries may hold what is nobody's business.
fn hook(hook: &Hook) -> String {
    let stage = match &hook.stage {
        Some(stage) => format!(" of {stage}"),
        None => String::new(),
    };
    let call = match &hook.call {
        Call::Command(_) => format!("run {}", hook.call),
        Call::Post { .. } => format!("POST {}", hook.call),
    };
    format!(
        "{}{stage}: {call} within {}",
        hook.on.name(),
        Span(hook.timeout)
    )
}

fn restore(data: &Data) -> String {
    let program = |words: &[String]| words.first().cloned().unwrap_or_default();
    let (list, restore) = (program(&data.list), program(&data.restore));
    format!("{list}, then {restore} within {}", Span(data.timeout))
}

fn none() -> String {
    "none".to_owned()
}
