//! A play as a story for people, and many plays as a table.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ask;
use super::sums::{self, RuleSum, Sum};
use crate::config::Config;
use crate::model::{Percentage, Wall};
use crate::rehearsal::{Outcome, Scenario, Seen, Traffic, When};
use crate::rollout::Action;
use crate::rules::words::{lasting, many, span};

/// Everything that is printed.
pub(super) fn lines(config: &Config, scenario: &Scenario, outcomes: &[Outcome]) -> Vec<String> {
    let plan = config.plan.as_deref();
    let zone = plan.map_or(TimeZone::UTC, |plan| plan.calendar.zone.clone());
    let mut first = opening(scenario, outcomes.len());
    if outcomes.len() == 1
        && let Some(zone) = plan.and_then(|_| zone.iana_name())
    {
        first.push_str(&format!("; times of {zone}"));
    }
    let mut lines = vec![first];
    lines.extend(scenario.faults.iter().map(|fault| {
        let whose = match fault.tenants.as_slice() {
            [] => String::new(),
            tenants => format!(", for {} only", tenants.join(", ")),
        };
        let until = fault
            .lasts
            .map_or_else(String::new, |lasts| format!(", for {}", span(lasts)));
        let on = match (fault.on.legacy, fault.on.new) {
            (true, true) => "both backends",
            (true, false) => "legacy",
            _ => "new",
        };
        format!(
            "  fault on {on}, {}: {}{until}{whose}",
            when(&fault.at),
            ask::said(fault.what)
        )
    }));
    lines.push(String::new());
    match outcomes {
        [outcome] => lines.extend(story(scenario, outcome, &zone)),
        _ => lines.extend(table(outcomes)),
    }
    lines
}

fn opening(scenario: &Scenario, runs: usize) -> String {
    let traffic = match &scenario.traffic {
        Traffic::Flat(calls) => format!("{calls} calls an hour"),
        Traffic::Day(_) | Traffic::Week(_) => "calls by the hour of the week".to_owned(),
    };
    let tenants = scenario.callers.ids().count();
    let seed = scenario.seed;
    let last = seed.saturating_add(runs as u64).saturating_sub(1);
    let seeds = match runs {
        1 => format!("seed {seed}"),
        _ => format!("{runs} plays with the seeds {seed} to {last}"),
    };
    format!(
        "{traffic} in all, {}, {seeds}",
        many(tenants as u64, "tenant")
    )
}

fn when(at: &When) -> String {
    match at {
        When::After(after) => format!("{} after the first step", span(*after)),
        When::Stage(name, Duration::ZERO) => format!("as stage {name} begins"),
        When::Stage(name, after) => format!("{} into stage {name}", span(*after)),
    }
}

/// One play, line by line.
fn story(scenario: &Scenario, outcome: &Outcome, zone: &TimeZone) -> Vec<String> {
    let clock = Clock {
        start: scenario.start,
        zone,
    };
    let mut told: Vec<(Duration, String)> = Vec::new();
    if let Some(at) = outcome.fault_at {
        told.push((at, "the fault begins".to_owned()));
    }
    for trip in &outcome.trips {
        told.push((
            trip.seen.at,
            format!("trips  {}{}", trip.text, cost(&trip.seen)),
        ));
    }
    for decision in &outcome.decisions {
        let quiet = matches!(decision.entry.action, Action::File);
        if !quiet {
            let said = decision.entry.said();
            let price = match decision.entry.action {
                Action::Reverse { .. } | Action::StepBack { .. } | Action::DisableTenant { .. } => {
                    cost(&decision.seen)
                }
                _ => String::new(),
            };
            told.push((decision.seen.at, format!("{said}{price}")));
        }
    }
    told.sort_by_key(|(at, _)| *at);
    let mut lines: Vec<String> = told
        .into_iter()
        .map(|(at, said)| format!("  {}  {said}", clock.shown(at)))
        .collect();
    if lines.is_empty() {
        lines.push("  nothing was decided and no rule tripped".to_owned());
    }
    lines.push(String::new());
    lines.extend(ending(outcome));
    lines
}

/// What a trip had cost by then.
fn cost(seen: &Seen) -> String {
    let Some(since) = seen.since_fault else {
        return String::new();
    };
    format!(
        " [{} after the first caller met it: {}, {} met it]",
        lasting(since.as_secs_f64().round()),
        many(seen.calls, "call"),
        many(seen.met, "caller"),
    )
}

fn ending(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    if !outcome.stages.is_empty() {
        lines.push(format!(
            "  {:<20} {:>8}  {:>12}  {:>12}",
            "stage", "share", "lasted", "calls on new"
        ));
        lines.extend(outcome.stages.iter().map(|stage| {
            let lasted = stage.lasted.map_or_else(|| "runs".to_owned(), days);
            let share = stage.percentage.to_string();
            // A share of nobody with calls all the same would read like a fault.
            let whose = match stage.percentage == Percentage::ZERO && stage.calls > 0 {
                true => "  (tenants picked by hand)",
                false => "",
            };
            format!(
                "  {:<20} {share:>8}  {lasted:>12}  {:>12}{whose}",
                stage.name, stage.calls
            )
        }));
        lines.push(String::new());
    }
    let (counts, status) = (&outcome.counts, &outcome.status);
    lines.push(format!(
        "  After {}: {}, {} to new. {} on new and {} on legacy; {} met the fault, {} were rescued, \
         {} were lost.",
        days(outcome.lasted),
        status.phase.name(),
        status.percentage,
        many(counts.calls.new, "call"),
        counts.calls.legacy,
        counts.met,
        counts.rescued,
        counts.lost,
    ));
    if let Some(plan) = &status.plan
        && !outcome.is_complete()
        && !plan.waits_for.is_empty()
    {
        lines.push(format!("  It waits for: {}", plan.waits_for.join("; ")));
    }
    lines
}

/// Many plays, rule by rule.
fn table(outcomes: &[Outcome]) -> Vec<String> {
    let sums = sums::rules(outcomes);
    let mut lines = Vec::new();
    if sums.is_empty() {
        lines.push("  no rule tripped in any play".to_owned());
    } else {
        lines.push(format!(
            "  {:<32} {:<14} {:>9} {:>16} {:>16} {:>18}",
            "rule", "does", "trips in", "after calls", "callers", "minutes"
        ));
        lines.extend(sums.iter().map(|sum| row(sum, outcomes.len())));
    }
    let acts = outcomes.iter().map(Outcome::acts);
    let (mut reversals, mut steps, mut tenants, mut complete) = (0, 0, 0, 0);
    for (acts, outcome) in acts.zip(outcomes) {
        reversals += u32::from(acts.reversals > 0);
        steps += u32::from(acts.steps_back > 0);
        tenants += u32::from(acts.tenants > 0);
        complete += u32::from(outcome.is_complete());
    }
    let early = outcomes.iter().map(Outcome::false_acts);
    let early: u32 = early
        .map(|it| it.reversals + it.steps_back + it.tenants)
        .sum();
    lines.push(String::new());
    lines.push(format!(
        "  Of {}: {reversals} reversed, {steps} stepped back, {tenants} rolled a tenant back, \
         {complete} complete. Rules acted {early} times before anything was wrong.",
        many(outcomes.len() as u64, "play")
    ));
    lines
}

fn row(sum: &RuleSum, runs: usize) -> String {
    let shown = |sum: &Sum| match sum.mean {
        mean if mean == 0.0 && sum.most == 0.0 => "–".to_owned(),
        mean => format!("{mean:.1} ± {:.1}", sum.deviation),
    };
    let before = match sum.runs_before {
        0 => String::new(),
        before => format!("  ({before} before the fault)"),
    };
    format!(
        "  {:<32} {:<14} {:>9} {:>16} {:>16} {:>18}{before}",
        sum.rule,
        sum.action,
        format!("{}/{runs}", sum.runs),
        shown(&sum.calls),
        shown(&sum.callers),
        shown(&sum.minutes),
    )
}

/// A long time in days, a short one as ever.
fn days(span: Duration) -> String {
    let hours = (span.as_secs() + 1800) / 3600;
    match (hours / 24, hours % 24) {
        (0, 0..=1) => lasting(span.as_secs_f64().round()),
        (0, hours) => format!("{hours} h"),
        (days, 0) => format!("{days} d"),
        (days, hours) => format!("{days} d {hours} h"),
    }
}

/// The play's calendar.
struct Clock<'a> {
    start: Wall,
    zone: &'a TimeZone,
}

impl Clock<'_> {
    /// `day  3 Wed 14:05:09`.
    fn shown(&self, at: Duration) -> String {
        let since = i64::try_from(at.as_millis()).unwrap_or(i64::MAX / 2);
        let moment = |wall| {
            let at = Timestamp::from_millisecond(wall).unwrap_or(Timestamp::UNIX_EPOCH);
            at.to_zoned(self.zone.clone())
        };
        let (start, now) = (
            moment(self.start.0),
            moment(self.start.0.saturating_add(since)),
        );
        let day = now
            .date()
            .since(start.date())
            .map_or(0, |span| span.get_days())
            + 1;
        format!("day {day:>2} {}", now.strftime("%a %H:%M:%S"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_by_the_day_of_the_play_in_the_plans_zone() {
        let zone = TimeZone::get("America/Bogota").unwrap();
        let clock = Clock {
            start: crate::rehearsal::monday_in(&zone),
            zone: &zone,
        };
        assert_eq!(clock.shown(Duration::ZERO), "day  1 Mon 00:00:00");
        assert_eq!(
            clock.shown(Duration::from_secs(25 * 3600)),
            "day  2 Tue 01:00:00"
        );
        assert_eq!(days(Duration::from_secs(7 * 86_400 + 7200)), "7 d 2 h");
        assert_eq!(days(Duration::from_secs(90)), "1 min 30 s");
    }
}
