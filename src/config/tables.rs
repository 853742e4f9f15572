//! `[[reversal]]`, `[[alert]]` and the gates of a stage: rows as people write them, made
//! into rules.

mod gates;
mod limit;
mod minima;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::Duration;

use super::text::Span;
use super::walk::{Section, Value};
use crate::rules::{Action, Base, How, Measure, Priority, Rule, STAGE, Scope, Side, Unit};
use crate::split::Live;
pub(super) use gates::{Gate, read as gates};
use limit::Limit;

/// Channels that notices will go to.
const CHANNELS: [&str; 5] = ["slack", "pagerduty", "email", "sms", "webhook"];

/// The words of priorities.
pub(super) const PRIORITIES: [(&str, Priority); 4] = [
    ("low", Priority::Low),
    ("medium", Priority::Medium),
    ("high", Priority::High),
    ("critical", Priority::Critical),
];

/// A condition must stand no longer than this before it acts.
const HOLD_MAX: Duration = Duration::from_secs(72 * 3600);

/// One row as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    /// Where its name stands, else where it begins.
    pub(super) name_span: Option<Range<usize>>,
    /// The name was made from the row.
    pub(super) name_made: bool,
    /// Where its threshold stands.
    pub(super) threshold_span: Range<usize>,
    /// The rule.
    pub(super) rule: Rule,
}

/// Which table a row stands in.
#[derive(Clone, Copy, PartialEq)]
enum Table {
    Reversal,
    Alert,
}

/// Reads both tables: reversal rows, then alert rows, each in file order. None
/// is a row that could not be read, which was spoken of.
pub(super) fn read(root: &Section<'_>) -> Vec<Option<Draft>> {
    let reversal = root.rows("reversal");
    let alert = root.rows("alert");
    (reversal.iter().map(|section| row(section, Table::Reversal)))
        .chain(alert.iter().map(|section| row(section, Table::Alert)))
        .collect()
}

fn row(section: &Section<'_>, table: Table) -> Option<Draft> {
    let name = section.get("name");
    let measure = section
        .need("measure", "\"error_rate\"")
        .and_then(|value| measure(&value));
    let scope = scope(section, measure);
    let limit = limit::limit(section, measure);
    let over = limit::over(section, measure, scope);
    let hold_for = match section.get("hold_for") {
        Some(value) => value.duration(Duration::ZERO..=HOLD_MAX),
        None => Some(Duration::ZERO),
    };
    let calls_min = minima::count(section, "calls_min");
    let action = match table {
        Table::Reversal => section
            .need("action", "\"reverse\"")
            .and_then(|value| action(&value, scope)),
        Table::Alert => Some(Action::Alert),
    };
    if let (Some(scope), Some(limit)) = (scope, &limit) {
        fits(scope, limit);
    }
    if let (Some(Measure::Uptime), Some(limit), Some(over)) = (measure, &limit, over) {
        reaches(limit, over);
    }
    // Only the reversal table has these, and asking makes them known.
    let (live, failed_min, early, priority, to) = match table {
        Table::Reversal => (
            live(section, action),
            minima::failed_min(section, measure, action),
            minima::early(section, measure, limit.as_ref(), action),
            None,
            Vec::new(),
        ),
        Table::Alert => (
            Some(Live::Drain),
            Some(0),
            Some(None),
            priority(section),
            to(section),
        ),
    };
    finish(section, table);
    let made_of = name.as_ref().and_then(|value| value.string("\"errors\""));
    // From here on a hole anywhere means no rule; every hole was spoken of.
    let (measure, limit, over) = (measure?, limit?, over?);
    let mut rule = Rule {
        name: String::new(),
        measure,
        side: limit.side,
        threshold: limit.threshold,
        against: limit.against,
        scope: scope?,
        over,
        action: action?,
        live: live?,
        hold_for: hold_for?,
        calls_min: calls_min?.unwrap_or_else(|| measure.calls_min()),
        failed_min: failed_min?,
        early: early?,
        priority,
        to,
    };
    rule.name = match made_of {
        Some(name) => name.to_owned(),
        None => made_name(&rule, if table == Table::Alert { "alert-" } else { "" }),
    };
    Some(Draft {
        name_span: name
            .as_ref()
            .map_or_else(|| section.span.clone(), |value| Some(value.span())),
        name_made: name.is_none(),
        threshold_span: limit.span,
        rule,
    })
}

fn finish(section: &Section<'_>, table: Table) {
    match table {
        Table::Reversal => section.finish(
            &[],
            &[
                ("to", "the channels to tell stand in an [[alert]] row"),
                ("priority", "the priority stands in an [[alert]] row"),
            ],
        ),
        Table::Alert => section.finish(
            &[],
            &[
                (
                    "action",
                    "an alert tells people; what acts is a [[reversal]] row",
                ),
                ("live", "it belongs to [[reversal]] rows"),
                ("failed_min", "it belongs to [[reversal]] rows"),
                ("early", "it belongs to [[reversal]] rows"),
            ],
        ),
    }
}

fn measure(value: &Value<'_>) -> Option<Measure> {
    value.choice(&Measure::ALL.map(|measure| (measure.name(), measure)))
}

/// Whose evidence is judged.
fn scope(section: &Section<'_>, measure: Option<Measure>) -> Option<Scope> {
    let Some(value) = section.get("scope") else {
        return Some(Scope::All);
    };
    let scope = value.choice(&[("all", Scope::All), ("tenant", Scope::Tenant)])?;
    if let (Scope::Tenant, Some(measure)) = (scope, measure.filter(|it| !is_of_a_tenant(*it))) {
        value.refuse(
            format!("cannot be \"tenant\" for {}", measure.name()),
            "of one tenant its calls are counted, what was reported of them, and how long they \
             waited in the mean: no quantiles, no durations, and nothing of the backend as a whole",
        );
        return None;
    }
    Some(scope)
}

/// Is it kept for each tenant apart?
const fn is_of_a_tenant(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::ErrorRate
            | Measure::ResponseTimeMean
            | Measure::FailedCallRate
            | Measure::AbandonmentRate
            | Measure::SpeechRecognitionRate
            | Measure::CriticalErrors
            | Measure::Complaints
            | Measure::Incidents
    )
}

/// A tenant is held against a number: there is no second half of it to compare with.
fn fits(scope: Scope, limit: &Limit<'_>) {
    if scope == Scope::Tenant && limit.against.is_some() {
        limit.value.refuse(
            "cannot be relative in a row with scope = \"tenant\"",
            "a tenant is on one side only, so there is nothing to compare it with: write the \
             threshold itself",
        );
    }
}

/// A backend that did not go down was up for the whole span, and nobody looks further
/// back: under a longer threshold that would read like a crash.
fn reaches(limit: &Limit<'_>, over: Duration) {
    if limit.threshold > over.as_secs_f64() {
        limit.value.refuse(
            format!("is longer than the {} that the row looks back", Span(over)),
            "write at most what `over` says",
        );
    }
}

fn action(value: &Value<'_>, scope: Option<Scope>) -> Option<Action> {
    let action = value.choice(
        &[
            Action::Alert,
            Action::Hold,
            Action::StepBack,
            Action::DisableTenant,
            Action::Reverse,
        ]
        .map(|action| (action.name(), action)),
    )?;
    match (scope?, action) {
        (Scope::Tenant, Action::Alert | Action::DisableTenant) => {}
        (Scope::Tenant, _) => {
            value.refuse(
                format!("cannot be \"{}\" with scope = \"tenant\"", action.name()),
                "what one tenant meets flips nobody else: write \"disable-tenant\" or \"alert\", or \
                 remove `scope`",
            );
            return None;
        }
        (Scope::All, Action::DisableTenant) => {
            value.refuse(
                "cannot be \"disable-tenant\" without scope = \"tenant\"",
                "all tenants together name nobody: add scope = \"tenant\"",
            );
            return None;
        }
        (Scope::All, _) => {}
    }
    Some(action)
}

/// What becomes of live calls when the row acts.
fn live(section: &Section<'_>, action: Option<Action>) -> Option<Live> {
    let Some(value) = section.get("live") else {
        return Some(Live::default());
    };
    let live = value.choice(&Live::ALL.map(|live| (live.name(), live)))?;
    if action.is_some_and(|it| !matches!(it, Action::Reverse | Action::DisableTenant)) {
        value.refuse(
            "means something only where the action is `reverse` or `disable-tenant`",
            "remove the line",
        );
        return None;
    }
    Some(live)
}

fn priority(section: &Section<'_>) -> Option<Priority> {
    let Some(value) = section.get("priority") else {
        return Some(Priority::Medium);
    };
    value.choice(&PRIORITIES)
}

fn to(section: &Section<'_>) -> Vec<String> {
    let Some(value) = section.get("to") else {
        return Vec::new();
    };
    let list = value.one_or_list("a list of channels, for example [\"slack\"]");
    list.iter()
        .filter_map(|entry| entry.choice(&CHANNELS.map(|channel| (channel, channel))))
        .map(str::to_owned)
        .collect()
}

/// `errors-10-5m`: what is looked at, the threshold's figure, the span. What tells rows
/// of other tables or of tenants apart stands before it.
fn made_name(rule: &Rule, before: &str) -> String {
    let word = match rule.measure {
        Measure::ErrorRate => "errors".to_owned(),
        Measure::FailedCallRate => "failed-calls".to_owned(),
        Measure::AbandonmentRate => "abandonment".to_owned(),
        Measure::CallDurationMean => "call-duration".to_owned(),
        Measure::SpeechRecognitionRate => "speech-recognition".to_owned(),
        other => other.name().replace('_', "-"),
    };
    let tenant = match rule.scope {
        Scope::Tenant => "tenant-",
        Scope::All => "",
    };
    // The side on which nothing is bad has to be said.
    let below = if rule.side == Side::Below {
        "below-"
    } else {
        ""
    };
    let (figure, over) = (figure(rule), over_told(rule.over));
    format!("{before}{tenant}{word}-{below}{figure}-{over}").replace(' ', "")
}

/// A threshold as the file writes it, without its quotes: `5%` is `5` in a name.
fn figure(rule: &Rule) -> String {
    let amount = |value: f64| match rule.measure.unit() {
        // Rounded to what people write: 0.07 × 100 is 7.000000000000001.
        Unit::Share => format!("{}", (value * 1e6).round() / 1e4),
        Unit::Millis => Span(Duration::from_secs_f64(value / 1000.0)).to_string(),
        Unit::Seconds => Span(Duration::from_secs_f64(value)).to_string(),
        Unit::Number => format!("{value}"),
    };
    match rule.against.map(|against| (against.how, against.base)) {
        None => amount(rule.threshold),
        Some((How::Times, base)) => format!("{}x-{}", rule.threshold, base.name()),
        Some((How::Plus, base)) => format!("{}+{}", base.name(), amount(rule.threshold)),
    }
}

/// A threshold as the file writes it: `5%`, `3s`, `2x baseline`, `legacy + 500ms`.
pub(super) fn threshold_told(rule: &Rule) -> String {
    let percent = match rule.measure.unit() {
        Unit::Share => "%",
        _ => "",
    };
    let base = |base: Base| base.name();
    match rule.against {
        None => format!("{}{percent}", figure(rule)),
        Some(it) if it.how == How::Times => format!("{}x {}", rule.threshold, base(it.base)),
        Some(it) => {
            let added = Rule {
                against: None,
                ..rule.clone()
            };
            format!("{} + {}{percent}", base(it.base), figure(&added))
        }
    }
}

/// A span as the file writes it.
pub(super) fn over_told(over: Duration) -> String {
    match over {
        STAGE => "stage".to_owned(),
        over => Span(over).to_string(),
    }
}
