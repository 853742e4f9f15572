//! `[plan]`: the stages a rollout goes through, and when it may take a step.

mod check;
mod stage;

use jiff::tz::TimeZone;

use super::problem::{Problem, nearest};
use super::walk::{At, Section, Value, shown};
use crate::rollout::calendar::{Calendar, Freeze, Window};
use crate::rollout::plan::{Advance, STAGES_MAX};
use crate::rollout::{Plan, Stage};
use crate::split::Hash;
pub(super) use check::{all_gates, run as check};

/// Most windows and most freezes of a plan.
const SPANS_MAX: usize = 100;

/// More calls an hour than any plan expects.
const CALLS_MAX: f64 = 1e9;

/// The section as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    /// Who takes the next step; None where it could not be read.
    pub(super) advance: Option<Advance>,
    /// The zone everything else is in.
    zone: TimeZone,
    /// Windows that could be read.
    windows: Vec<At<Window>>,
    /// Freezes that could be read.
    freezes: Vec<At<Freeze>>,
    /// Calls that are expected in all.
    pub(super) calls_per_hour: Option<f64>,
    /// Stages that could be read.
    pub(super) stages: Vec<stage::Draft>,
    /// How many there are in the file.
    written: usize,
}

impl Draft {
    /// Could every stage be read?
    pub(super) const fn is_whole(&self) -> bool {
        self.stages.len() == self.written
    }

    /// The plan; None where a stage could not be read, which was spoken of.
    pub(super) fn plan(&self) -> Option<Plan> {
        let stages: Vec<Stage> = self
            .stages
            .iter()
            .map(|stage| stage.stage.clone())
            .collect();
        if stages.is_empty() || !self.is_whole() {
            return None;
        }
        Some(Plan {
            advance: self.advance.unwrap_or_default(),
            calendar: Calendar {
                zone: self.zone.clone(),
                windows: self.windows.iter().map(|window| window.value).collect(),
                freezes: (self.freezes.iter())
                    .map(|freeze| freeze.value.clone())
                    .collect(),
            },
            calls_per_hour: self.calls_per_hour,
            stages,
        })
    }
}

/// Reads the section; None where there is none. `hash`: what its percentages must suit.
pub(super) fn read(root: &Section<'_>, hash: Option<&Hash>) -> Option<Draft> {
    let section = root.section("plan", "[plan]");
    if !section.is_there() {
        return None;
    }
    let advance = match section.get("advance") {
        Some(value) => value.choice(&[Advance::Manual, Advance::Auto].map(|it| (it.name(), it))),
        None => Some(Advance::default()),
    };
    let zone = match section.get("time_zone") {
        Some(value) => zone(&value).unwrap_or(TimeZone::UTC),
        None => TimeZone::UTC,
    };
    let windows = section
        .get("windows")
        .map(|value| windows(&value))
        .unwrap_or_default();
    let freezes = section
        .get("freezes")
        .map(|value| freezes(&value, &zone))
        .unwrap_or_default();
    let calls_per_hour = section.get("calls_per_hour").and_then(|value| {
        let calls = value.number()?;
        if calls <= 0.0 {
            value.refuse(
                "is no traffic at all",
                "write how many calls an hour both backends get",
            );
            return None;
        }
        if calls > CALLS_MAX {
            value.refuse(
                format!("is more than {CALLS_MAX}"),
                "write how many calls an hour both backends get",
            );
            return None;
        }
        Some(calls)
    });
    let rows = section.rows("stage");
    let span = section.span.clone();
    section.finish(
        &[],
        &[
            ("percentage", "it belongs to a [[plan.stage]]"),
            ("soak", "it belongs to a [[plan.stage]]"),
            ("gates", "they belong to a [[plan.stage]]"),
        ],
    );
    if rows.is_empty() {
        root.problems.add(
            Problem::error(span.clone(), "[plan] has no stage")
                .help("add at least one [[plan.stage]] with `name`, `percentage` and `soak`")
                .follows(),
        );
    }
    if rows.len() > STAGES_MAX {
        let message = format!("[plan] has {} stages", rows.len());
        let help = format!("a plan has at most {STAGES_MAX}");
        root.problems.add(Problem::error(span, message).help(help));
    }
    Some(Draft {
        advance,
        zone,
        windows,
        freezes,
        calls_per_hour,
        written: rows.len(),
        stages: (rows.iter().take(STAGES_MAX))
            .filter_map(|row| stage::read(row, advance, hash))
            .collect(),
    })
}

fn zone(value: &Value<'_>) -> Option<TimeZone> {
    const EXAMPLE: &str = "\"America/Bogota\"";
    let name = value.string(EXAMPLE)?;
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    let known: Vec<String> = jiff::tz::db()
        .available()
        .map(|zone| zone.as_str().to_owned())
        .collect();
    let help = match like(name, &known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("write a zone of the IANA database, for example {EXAMPLE}"),
    };
    value.refuse(format!("names no zone: \"{}\"", shown(name)), help);
    None
}

/// The zone somebody meant: by its whole name, or by the city alone.
fn like<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let city = |zone: &'a str| zone.rsplit('/').next().unwrap_or(zone);
    let asked = name.replace(' ', "_");
    let same = known
        .iter()
        .find(|zone| zone.eq_ignore_ascii_case(&asked) || city(zone).eq_ignore_ascii_case(&asked));
    if let Some(zone) = same {
        return Some(zone);
    }
    // What is asked for is brought to lower case, so the candidates are as well.
    let lower: Vec<String> = known.iter().map(|zone| zone.to_lowercase()).collect();
    let candidates: Vec<&str> = lower.iter().map(String::as_str).collect();
    let meant = nearest(&asked, &candidates)?;
    known
        .iter()
        .find(|zone| zone.to_lowercase() == meant)
        .map(String::as_str)
}

fn windows(value: &Value<'_>) -> Vec<At<Window>> {
    const EXAMPLE: &str = "\"Sunday 02:00-04:00\"";
    let entries = value.one_or_more(
        "a list of windows, for example [\"Sunday 02:00-04:00\"]",
        &format!("[{EXAMPLE}]; without the line a step may be taken at any time"),
    );
    bounded(value, &entries)
        .iter()
        .filter_map(|entry| Some(entry.at(entry.read(EXAMPLE, Window::parse)?)))
        .collect()
}

fn freezes(value: &Value<'_>, zone: &TimeZone) -> Vec<At<Freeze>> {
    let entries = value.list(
        "a list of freezes, for example [{ from = \"2026-12-15\", to = \"2027-01-06\", reason = \
         \"holidays\" }]",
    );
    bounded(value, &entries)
        .iter()
        .filter_map(|entry| freeze(entry, zone))
        .collect()
}

fn freeze(entry: &Value<'_>, zone: &TimeZone) -> Option<At<Freeze>> {
    if !entry.is_table() {
        entry.refuse(
            "holds something that is no freeze",
            "write { from = \"2026-12-15\", to = \"2027-01-06\", reason = \"holidays\" }",
        );
        return None;
    }
    let table = entry.table("a freeze")?;
    let (from, to) = (
        table.need("from", "\"2026-12-15\""),
        table.need("to", "\"2027-01-06\""),
    );
    let begins =
        (from.as_ref()).and_then(|it| it.read("\"2026-12-15\"", |text| Freeze::begins(text, zone)));
    let ends =
        (to.as_ref()).and_then(|it| it.read("\"2027-01-06\"", |text| Freeze::ends(text, zone)));
    let reason = match table.get("reason") {
        Some(reason) => reason.string("\"holidays\"")?,
        None => "a freeze",
    };
    table.finish(&[], &[]);
    let (begins, ends) = (begins?, ends?);
    if ends <= begins {
        to?.refuse(
            "is not after `from`",
            "a freeze ends after it begins: swap the two",
        );
        return None;
    }
    Some(entry.at(Freeze {
        from: begins,
        to: ends,
        reason: reason.to_owned(),
    }))
}

/// The entries, or none where there are more than anybody means.
fn bounded<'a, 'b>(value: &Value<'a>, entries: &'b [Value<'a>]) -> &'b [Value<'a>] {
    if entries.len() <= SPANS_MAX {
        return entries;
    }
    value.refuse(
        format!("is a list of {}", entries.len()),
        format!("at most {SPANS_MAX} are looked at"),
    );
    &[]
}
