//! What of a plan does not fit together, though each line alone is well written.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::civil::Time;

use super::super::check::Add;
use super::super::file;
use super::super::problem::Problem;
use super::super::tables::{self, over_told};
use super::super::text::Span;
use super::super::walk::{named, shown};
use super::{Draft, stage};
use crate::model::Percentage;
use crate::rollout::calendar::Window;
use crate::rollout::forecast;
use crate::rollout::plan::{Advance, NotBefore, Volume};
use crate::rollout::{List, Moment};
use crate::rules::{Action, Measure, Rule, STAGE};

/// Runs every check of this file.
pub(in crate::config) fn run(draft: &file::Draft, add: &Add<'_>) {
    let Some(plan) = &draft.plan else {
        return without(draft, add);
    };
    names(plan, add);
    percentages(plan, add);
    clocks(plan, add);
    windows(plan, add);
    approvals(plan, add);
    picked(plan, draft, add);
    alerts(plan, draft, add);
    for stage in &plan.stages {
        gates(stage, plan, draft, add);
        blind(stage, plan, draft, add);
    }
    if draft.split.percentage > Percentage::ZERO {
        let message = "`percentage` begins the rollout outside of its [plan]";
        add(
            Problem::warning(draft.split.percentage_span.clone(), message).help(
                "the stages say the percentage: begin without the line. Where it is in force \
                     already, removing it is a wish for 0 %: leave it until the plan is over",
            ),
        );
    }
}

/// What means something only with a plan.
fn without(draft: &file::Draft, add: &Add<'_>) {
    for row in draft
        .rows
        .iter()
        .filter(|row| row.rule.action == Action::StepBack)
    {
        let name = shown(&row.rule.name);
        let message =
            format!("`{name}` has no stage to go back to: it goes to 0 % and is held there");
        add(Problem::warning(row.name_span.clone(), message)
            .help("add a [plan] with stages, or write action = \"reverse\""));
    }
    for hook in &draft.hooks {
        if matches!(
            hook.hook.on,
            Moment::BeforeStage | Moment::AfterStage | Moment::Complete
        ) {
            let message = format!("`{}` never comes: there is no [plan]", hook.hook.on.name());
            add(Problem::warning(Some(hook.on_span.clone()), message)
                .help("add a [plan] with stages, or remove the hook"));
        }
    }
}

fn names(plan: &Draft, add: &Add<'_>) {
    let mut known = BTreeSet::new();
    for stage in &plan.stages {
        let name = stage.stage.name.as_str();
        if !known.insert(name) {
            let message = format!("two stages are named `{}`", shown(name));
            add(Problem::error(Some(stage.name_span.clone()), message)
                .help("a stage is known by its name: give each its own"));
        }
    }
}

/// A plan goes toward new and nowhere else.
fn percentages(plan: &Draft, add: &Add<'_>) {
    let mut reached = Percentage::ZERO;
    let mut anybody = false;
    for stage in &plan.stages {
        let own = stage.stage.percentage;
        let span = Some(stage.percentage_span.clone());
        if own < reached {
            let message = format!("the percentage falls from {reached} to {own}");
            add(Problem::error(span.clone(), message).help(
                "each stage has at least the percentage of the one before; what goes back is a row",
            ));
        }
        reached = reached.max(own);
        anybody |= !stage.tenants.is_empty();
        if own == Percentage::ZERO && !anybody {
            let message = "nobody is on new in this stage";
            add(Problem::error(span, message).help(
                "write a percentage above 0, or pick tenants by hand: tenants = [\"tenant-1\"]",
            ));
        }
    }
    let mut widest = Volume::Low as u8;
    for stage in &plan.stages {
        let volume = stage.stage.volume as u8;
        if volume < widest {
            let message = "a stage before takes tenants of more volume; who is on new stays there";
            add(Problem::warning(stage.volume_span.clone(), message).help(
                "begin with \"low\", go on with \"mix\", end with \"all\" (which is meant without the line)",
            ));
        }
        widest = widest.max(volume);
    }
}

/// The plan's own days go forward.
fn clocks(plan: &Draft, add: &Add<'_>) {
    // Of a stage that could not be read nobody knows its day.
    if !plan.is_whole() {
        return;
    }
    let mut last: Option<NotBefore> = None;
    for (index, stage) in plan.stages.iter().enumerate() {
        let Some(own) = stage.stage.not_before else {
            continue;
        };
        let span = stage.not_before_span.clone();
        if index == 0 && own.day > 1 {
            let message = format!("the first stage cannot wait for day {}", own.day);
            add(Problem::error(span.clone(), message)
                .help("day 1 is the day on which the first stage begins"));
        }
        if let Some(last) = last
            && (own.day, own.at) < (last.day, last.at)
        {
            let message = format!("{own} lies before that of a stage before it ({last})");
            add(Problem::error(span, message).help("the moments of a plan go forward"));
        }
        last = Some(own);
    }
}

const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;

/// Windows that say the same twice, and hours that no window meets.
fn windows(plan: &Draft, add: &Add<'_>) {
    let spans: Vec<Vec<Range<u32>>> = plan
        .windows
        .iter()
        .map(|window| of_window(&window.value))
        .collect();
    for (index, own) in spans.iter().enumerate() {
        let earlier = spans.iter().take(index);
        if earlier.into_iter().any(|other| meet(own, other))
            && let Some(window) = plan.windows.get(index)
        {
            add(
                Problem::error(window.span.clone(), "this window overlaps another")
                    .help("make one window of the two"),
            );
        }
    }
    for (index, own) in plan.freezes.iter().enumerate() {
        let mut earlier = plan.freezes.iter().take(index);
        if earlier.any(|it| it.value.from < own.value.to && own.value.from < it.value.to) {
            add(
                Problem::error(own.span.clone(), "this freeze overlaps another")
                    .help("make one freeze of the two"),
            );
        }
    }
    if spans.is_empty() {
        return;
    }
    for stage in &plan.stages {
        let Some(hours) = stage.stage.hours else {
            continue;
        };
        let own = of_window(&Window {
            day: None,
            from: hours.from,
            to: hours.to,
        });
        if !spans.iter().any(|window| meet(&own, window)) {
            let message = "no window of the plan lies in these hours: the stage could never begin";
            add(Problem::error(stage.hours_span.clone(), message)
                .help("widen `hours`, or the plan's `windows`"));
        }
    }
}

fn meet(one: &[Range<u32>], other: &[Range<u32>]) -> bool {
    one.iter().any(|one| {
        other
            .iter()
            .any(|it| it.start < one.end && one.start < it.end)
    })
}

/// The minutes of a week that it covers, Monday's first being 0.
fn of_window(window: &Window) -> Vec<Range<u32>> {
    let minute =
        |at: Time| u32::from(at.hour().unsigned_abs()) * 60 + u32::from(at.minute().unsigned_abs());
    let (from, mut to) = (minute(window.from), minute(window.to));
    if to <= from {
        to += DAY;
    }
    let days = match window.day {
        Some(day) => {
            let day = u32::from(day.to_monday_zero_offset().unsigned_abs());
            day..day + 1
        }
        None => 0..7,
    };
    let spans = days.map(|day| day * DAY + from..day * DAY + to);
    spans
        .flat_map(|span| {
            let over = span.end.saturating_sub(WEEK);
            [span.start..span.end.min(WEEK), 0..over]
        })
        .filter(|span| !span.is_empty())
        .collect()
}

fn approvals(plan: &Draft, add: &Add<'_>) {
    if plan.advance != Some(Advance::Manual) {
        return;
    }
    for stage in plan.stages.iter().filter(|stage| stage.stage.approval) {
        let message =
            "`approval` means nothing with advance = \"manual\": every step waits for a person";
        add(Problem::warning(stage.approval_span.clone(), message).help("remove the line"));
    }
}

/// Tenants that a stage picks and something else keeps.
fn picked(plan: &Draft, draft: &file::Draft, add: &Add<'_>) {
    let lists: BTreeMap<&str, List> = (draft.split.tenants.iter())
        .map(|(tenant, list)| (tenant.value.as_str(), *list))
        .collect();
    let mut known = BTreeSet::new();
    for tenant in plan.stages.iter().flat_map(|stage| &stage.tenants) {
        let name = named(&tenant.value);
        let said = match lists.get(tenant.value.as_str()) {
            Some(List::Disabled) => Some((
                format!("tenant `{name}` is in `disabled_tenants`, which goes before the stage"),
                "remove it from one of the two",
            )),
            Some(List::Enabled) => Some((
                format!("tenant `{name}` is in `enabled_tenants` and on new before the stage"),
                "remove it from one of the two",
            )),
            None if !known.insert(tenant.value.as_str()) => Some((
                format!("tenant `{name}` is picked already"),
                "a tenant that a stage picks stays on new in the ones after it",
            )),
            None => None,
        };
        if let Some((message, help)) = said {
            add(Problem::warning(tenant.span.clone(), message).help(help));
        }
    }
}

fn alerts(plan: &Draft, draft: &file::Draft, add: &Add<'_>) {
    let told = |stage: &stage::Draft| {
        draft.rows.iter().any(|row| {
            (row.rule.priority).is_some_and(|priority| stage.stage.alerts.contains(&priority))
        })
    };
    // A row that could not be read may be the one.
    if draft.rows.len() < draft.rows_written {
        return;
    }
    for stage in &plan.stages {
        if !stage.stage.alerts.is_empty() && !told(stage) {
            let message =
                "no [[alert]] row has such a priority: nothing is told while the stage runs";
            add(Problem::warning(stage.alerts_span.clone(), message)
                .help("give rows these priorities, or remove the line"));
        }
    }
}

/// Gates that can never pass.
fn gates(stage: &stage::Draft, plan: &Draft, draft: &file::Draft, add: &Add<'_>) {
    let new = draft.backends.new.as_ref();
    for gate in &stage.gates {
        let rule = &gate.rule;
        let measure = rule.measure;
        if measure == Measure::HealthErrorRate
            && new.is_some_and(|new| new.upstream.value.health.is_none())
        {
            let message = "this gate can never pass: nobody asks new for its health";
            add(Problem::error(gate.span.clone(), message)
                .help("add health = { path = \"/healthz\" } to [backend.new], or remove the gate"));
        }
        let Some(calls) = calls_on_new(stage, plan).filter(|_| rule.over != STAGE) else {
            continue;
        };
        let seen = calls * rule.over.as_secs_f64() / 3600.0;
        if seen < f64::from(rule.calls_min) && measure != Measure::HealthErrorRate {
            let message = format!(
                "this gate can never pass: new gets about {seen:.1} calls in {}, and it needs {}",
                over_told(rule.over),
                rule.calls_min
            );
            add(Problem::error(gate.span.clone(), message).help(
                "write a longer `over` (\"stage\" waits until there are enough), or a smaller \
                 `calls_min`",
            ));
        }
    }
}

/// Calls an hour on new while the stage runs; None where nobody says.
fn calls_on_new(stage: &stage::Draft, plan: &Draft) -> Option<f64> {
    let share = stage.stage.percentage.as_f64() / 100.0;
    // Who is picked by hand brings calls that nobody counted.
    plan.calls_per_hour
        .map(|calls| calls * share)
        .filter(|calls| *calls > 0.0)
}

fn blind(stage: &stage::Draft, plan: &Draft, draft: &file::Draft, add: &Add<'_>) {
    // A row that could not be read may be the one that sees.
    if stage.stage.blind.is_some() || draft.rows.len() < draft.rows_written {
        return;
    }
    let Some(calls) = calls_on_new(stage, plan) else {
        return;
    };
    let rules: Vec<Rule> = draft.rows.iter().map(|row| row.rule.clone()).collect();
    let Some(why) = forecast::blind(&rules, calls / 60.0, stage.stage.soak) else {
        return;
    };
    let message = format!("the stage is blind: {why}");
    add(Problem::error(Some(stage.name_span.clone()), message).help(format!(
        "add a row with `early` on error_rate, or a longer `soak` (it is {}), or say with blind = \
         \"reason\" why it may begin all the same",
        Span(stage.stage.soak)
    )));
}

/// Every gate of the plan, for the checks that rows go through as well.
pub(in crate::config) fn all_gates(draft: &file::Draft) -> impl Iterator<Item = &tables::Gate> {
    (draft.plan.iter())
        .flat_map(|plan| &plan.stages)
        .flat_map(|stage| &stage.gates)
}
