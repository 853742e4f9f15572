//! The gates of a stage: what must hold before the next. Written as what is asked for
//! (`below = "1%"`), kept as a row whose condition is the opposite, so that the row trips
//! while the gate is not met.

use std::ops::Range;
use std::time::Duration;

use super::limit::{self, Limit};
use super::{made_name, measure, minima};
use crate::config::walk::{Section, Value};
use crate::rules::{Action, Measure, Rule, Scope, Side};
use crate::split::Live;

/// Most gates of one stage.
const GATES_MAX: usize = 50;

/// One gate, with what is said of it where it stands.
#[derive(Debug)]
pub(in crate::config) struct Gate {
    /// Where it stands.
    pub(in crate::config) span: Option<Range<usize>>,
    /// Where its threshold stands.
    pub(in crate::config) threshold_span: Range<usize>,
    /// The row.
    pub(in crate::config) rule: Rule,
}

/// Reads `gates` of the stage that is called so.
pub(in crate::config) fn read(stage: &Section<'_>, called: &str) -> Vec<Gate> {
    let Some(value) = stage.get("gates") else {
        return Vec::new();
    };
    let entries = value.list(
        "a list of gates, for example [{ measure = \"error_rate\", below = \"1%\", over = \"1h\" }]",
    );
    if entries.len() > GATES_MAX {
        let count = entries.len();
        value.refuse(
            format!("is a list of {count}"),
            format!("a stage has at most {GATES_MAX} gates"),
        );
        return Vec::new();
    }
    let mut gates: Vec<Gate> = Vec::new();
    for entry in &entries {
        let Some(gate) = gate(entry, called) else {
            continue;
        };
        if gates.iter().any(|other| other.rule.name == gate.rule.name) {
            entry.refuse(
                "says the same as another gate of the stage",
                "remove one of them",
            );
            continue;
        }
        gates.push(gate);
    }
    gates
}

fn gate(entry: &Value<'_>, stage: &str) -> Option<Gate> {
    if !entry.is_table() {
        entry.refuse(
            "holds something that is no gate",
            "write { measure = \"error_rate\", below = \"1%\", over = \"1h\" }",
        );
        return None;
    }
    let section = entry.table("a gate")?;
    let measure = section
        .need("measure", "\"error_rate\"")
        .and_then(|value| measure(&value));
    let limit = limit::limit(&section, measure);
    let over = limit::over(&section, measure, None);
    let calls_min = minima::count(&section, "calls_min");
    section.finish(
        &[],
        &[
            (
                "action",
                "a gate lets the plan go on or not, and does nothing else",
            ),
            ("scope", "a gate is about the whole stage"),
            (
                "hold_for",
                "a gate looks at the whole of its span: write a longer `over`",
            ),
            (
                "early",
                "a gate needs the whole of its span: good news takes time",
            ),
            (
                "failed_min",
                "a gate is not met by one failure too many: write `calls_min`",
            ),
            ("live", "it belongs to [[reversal]] rows"),
            ("to", "the channels to tell stand in an [[alert]] row"),
            ("priority", "the priority stands in an [[alert]] row"),
        ],
    );
    let (measure, limit, over) = (measure?, limit?, over?);
    let asked = asked_for(measure, &limit, over, calls_min?);
    let name = format!("{stage}/{}", made_name(&asked, ""));
    Some(Gate {
        span: section.span,
        threshold_span: limit.span,
        rule: Rule {
            name,
            side: opposite(asked.side),
            ..asked
        },
    })
}

/// The gate as it is written: its name says this, not the opposite.
fn asked_for(measure: Measure, limit: &Limit<'_>, over: Duration, calls_min: Option<u32>) -> Rule {
    Rule {
        name: String::new(),
        measure,
        side: limit.side,
        threshold: limit.threshold,
        against: limit.against,
        scope: Scope::All,
        over,
        action: Action::Gate,
        live: Live::Drain,
        hold_for: Duration::ZERO,
        calls_min: calls_min.unwrap_or_else(|| measure.calls_min()),
        failed_min: 0,
        early: None,
        priority: None,
        to: Vec::new(),
    }
}

/// The bad side of a gate. That a gate is not met at exactly its threshold either is the
/// row's own doing: see [`Rule::is_beyond`].
const fn opposite(asked: Side) -> Side {
    match asked {
        Side::Below => Side::Above,
        Side::Above => Side::Below,
    }
}
