//! `[[plan.stage]]`: one stage, as it is written.

use std::ops::Range;
use std::time::Duration;

use super::super::split;
use super::super::tables::{self, PRIORITIES};
use super::super::walk::{At, Section, Value};
use crate::rollout::Stage;
use crate::rollout::plan::{Advance, Hours, NotBefore, Volume};
use crate::rules::Priority;
use crate::split::Hash;

/// A name is part of the names of its gates, which people read in tables.
const NAME_MAX: usize = 40;
/// Nobody waits longer for a stage.
const SOAK_MAX: Duration = Duration::from_secs(366 * 86_400);
/// A warm-up longer than this is a stage of its own.
const WARM_UP_MAX: Duration = Duration::from_secs(86_400);
/// Distinct calls without which no stage is left, where the file does not say.
const CALLS_MIN: u64 = 20;
/// Most tenants that a stage picks by hand.
const TENANTS_MAX: usize = 10_000;

/// One stage that could be read, and where its parts stand.
#[derive(Debug)]
pub(in crate::config) struct Draft {
    /// The stage.
    pub(in crate::config) stage: Stage,
    /// Where its name stands.
    pub(in crate::config) name_span: Range<usize>,
    /// Where its percentage stands.
    pub(in crate::config) percentage_span: Range<usize>,
    /// Its tenants, as they stand in `stage`.
    pub(in crate::config) tenants: Vec<At<String>>,
    /// Its gates, as they stand in `stage`.
    pub(in crate::config) gates: Vec<tables::Gate>,
    /// Where its other lines stand, if they are there.
    pub(super) not_before_span: Option<Range<usize>>,
    pub(super) hours_span: Option<Range<usize>>,
    pub(super) approval_span: Option<Range<usize>>,
    pub(super) alerts_span: Option<Range<usize>>,
    pub(super) volume_span: Option<Range<usize>>,
}

/// Reads one stage; None where it could not be read, which was spoken of.
pub(super) fn read(
    section: &Section<'_>,
    advance: Option<Advance>,
    hash: Option<&Hash>,
) -> Option<Draft> {
    let name = section
        .need("name", "\"pilot\"")
        .and_then(|value| Some(value.at(name(&value)?)));
    let percentage = section
        .need("percentage", "5")
        .and_then(|value| Some(value.at(split::percentage(&value, hash)?)));
    let soak = soak(section, advance);
    let calls_min = match section.get("calls_min") {
        Some(value) => value
            .integer(0..=1_000_000_000)
            .and_then(|calls| u64::try_from(calls).ok()),
        None => Some(CALLS_MIN),
    };
    let tenants = section
        .get("tenants")
        .map(|value| tenants(&value))
        .unwrap_or_default();
    let volume = section.get("volume");
    let chosen = match &volume {
        Some(value) => value.choice(&Volume::ALL.map(|volume| (volume.name(), volume))),
        None => Some(Volume::All),
    };
    let warm_up = match section.get("warm_up") {
        Some(value) => value.duration(Duration::ZERO..=WARM_UP_MAX),
        None => Some(Duration::ZERO),
    };
    let not_before = section.get("not_before");
    let moment = (not_before.as_ref()).map(|value| value.read("\"day 1 12:00\"", NotBefore::parse));
    let hours = section.get("hours");
    let within = (hours.as_ref()).map(|value| value.read("\"08:00-18:00\"", Hours::parse));
    let approval = section.get("approval");
    let asks = match &approval {
        Some(value) => value.boolean(),
        None => Some(false),
    };
    let alerts = section.get("alerts");
    let priorities = alerts.as_ref().map(|value| priorities(value));
    let blind = section
        .get("blind")
        .map(|value| value.string("\"nobody calls at night\"").map(str::to_owned));
    let called = name.as_ref().map_or("stage", |name| name.value.as_str());
    let gates = tables::gates(section, called);
    let gates_written = written(section);
    section.finish(
        &[],
        &[
            ("windows", "it belongs to [plan], for all stages"),
            ("freezes", "they belong to [plan], for all stages"),
            ("time_zone", "it belongs to [plan], for all stages"),
            (
                "advance",
                "it belongs to [plan]; a stage that waits for a person has `approval`",
            ),
            ("action", "what acts is a [[reversal]] row"),
        ],
    );
    // From here on a hole anywhere means no stage; every hole was spoken of.
    let (name, percentage) = (name?, percentage?);
    let stage = Stage {
        name: name.value,
        percentage: percentage.value,
        soak: soak?,
        calls_min: calls_min?,
        tenants: tenants.iter().map(|tenant| tenant.value.clone()).collect(),
        volume: chosen?,
        gates: gates.iter().map(|gate| gate.rule.clone()).collect(),
        warm_up: warm_up?,
        not_before: whole(moment)?,
        hours: whole(within)?,
        approval: asks?,
        alerts: priorities.unwrap_or_default(),
        blind: whole(blind)?,
    };
    if gates.len() < gates_written {
        return None;
    }
    let span = |value: Option<Value<'_>>| value.map(|value| value.span());
    Some(Draft {
        stage,
        name_span: name.span?,
        percentage_span: percentage.span?,
        tenants,
        gates,
        not_before_span: span(not_before),
        hours_span: span(hours),
        approval_span: span(approval),
        alerts_span: span(alerts),
        volume_span: span(volume),
    })
}

/// What is not there is no hole; what could not be read is.
fn whole<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        Some(read) => read.map(Some),
        None => Some(None),
    }
}

fn name(value: &Value<'_>) -> Option<String> {
    let name = value.string("\"pilot\"")?.trim();
    if name.chars().count() > NAME_MAX {
        value.refuse(
            format!("has {} characters", name.chars().count()),
            format!("a stage's name has at most {NAME_MAX}"),
        );
        return None;
    }
    Some(name.to_owned())
}

fn soak(section: &Section<'_>, advance: Option<Advance>) -> Option<Duration> {
    match section.get("soak") {
        Some(value) => value.duration(Duration::ZERO..=SOAK_MAX),
        // A person who advances by hand waits as long as seems right.
        None if advance != Some(Advance::Auto) => Some(Duration::ZERO),
        None => {
            section.need("soak", "\"24h\"")?;
            None
        }
    }
}

fn tenants(value: &Value<'_>) -> Vec<At<String>> {
    let entries = value.list("a list of tenants, for example [\"tenant-1\"]");
    if entries.len() > TENANTS_MAX {
        value.refuse(
            format!("is a list of {}", entries.len()),
            format!(
                "a stage picks at most {TENANTS_MAX} tenants by hand; the hash draws the others"
            ),
        );
        return Vec::new();
    }
    entries
        .iter()
        .filter_map(|entry| Some(entry.at(entry.string("\"tenant-1\"")?.to_owned())))
        .collect()
}

fn priorities(value: &Value<'_>) -> Vec<Priority> {
    value
        .one_or_more(
            "a list of priorities, for example [\"critical\"]",
            "[\"critical\"]; without the line all are told",
        )
        .iter()
        .filter_map(|entry| entry.choice(&PRIORITIES))
        .collect()
}

/// How many gates the file has, well or not.
fn written(section: &Section<'_>) -> usize {
    section.get("gates").map_or(0, |value| value.count())
}
