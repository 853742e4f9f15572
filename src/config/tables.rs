//! `[[reversal]]` and `[[alert]]`: rows as people write them, made into rules.

use std::ops::Range;
use std::time::Duration;

use super::problem::Problem;
use super::text::{self, Span};
use super::walk::{Section, Value, shown};
use crate::rules::{Action, Early, Measure, Priority, Rule, Side, Unit};
use crate::split::Live;

/// Measures of the contract that later versions know.
const LATER: [&str; 1] = ["transactions"];

/// Channels that notices will go to.
const CHANNELS: [&str; 5] = ["slack", "pagerduty", "email", "sms", "webhook"];

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

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
    let limit = limit(section, measure);
    let over = over(section, measure);
    let hold_for = match section.get("hold_for") {
        Some(value) => value.duration(Duration::ZERO..=HOUR),
        None => Some(Duration::ZERO),
    };
    let calls_min = count(section, "calls_min");
    let action = match table {
        Table::Reversal => section
            .need("action", "\"reverse\"")
            .and_then(|value| action(&value)),
        Table::Alert => Some(Action::Alert),
    };
    // Only the reversal table has these, and asking makes them known.
    let (live, failed_min, early, priority, to) = match table {
        Table::Reversal => (
            live(section, action),
            failed_min(section, measure, action),
            early(
                section,
                measure,
                limit.as_ref().map(|limit| limit.0),
                action,
            ),
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
    let (measure, (side, threshold, threshold_span), over) = (measure?, limit?, over?);
    let rule = Rule {
        name: match made_of {
            Some(name) => name.to_owned(),
            None => made_name(measure, side, threshold, over, table),
        },
        measure,
        side,
        threshold,
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
    Some(Draft {
        name_span: name
            .as_ref()
            .map_or_else(|| section.span.clone(), |value| Some(value.span())),
        name_made: name.is_none(),
        threshold_span,
        rule,
    })
}

fn finish(section: &Section<'_>, table: Table) {
    match table {
        Table::Reversal => section.finish(
            &["scope"],
            &[
                ("to", "the channels to tell stand in an [[alert]] row"),
                ("priority", "the priority stands in an [[alert]] row"),
            ],
        ),
        Table::Alert => section.finish(
            &["scope"],
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
    if let Some(later) = value.as_str().filter(|name| LATER.contains(name)) {
        value.refuse(
            format!("\"{later}\" is not in this version"),
            "remove the row",
        );
        return None;
    }
    value.choice(&Measure::ALL.map(|measure| (measure.name(), measure)))
}

fn action(value: &Value<'_>) -> Option<Action> {
    if let Some(later @ ("step-back" | "disable-tenant")) = value.as_str() {
        value.refuse(
            format!("\"{later}\" is not in this version"),
            "it is `alert`, `hold` or `reverse`",
        );
        return None;
    }
    value.choice(&[
        ("alert", Action::Alert),
        ("hold", Action::Hold),
        ("reverse", Action::Reverse),
    ])
}

/// What becomes of live calls when the row reverses.
fn live(section: &Section<'_>, action: Option<Action>) -> Option<Live> {
    let Some(value) = section.get("live") else {
        return Some(Live::default());
    };
    let live = value.choice(&Live::ALL.map(|live| (live.name(), live)))?;
    if action.is_some_and(|action| action != Action::Reverse) {
        value.refuse(
            "means something only where the action is `reverse`",
            "remove the line",
        );
        return None;
    }
    Some(live)
}

fn limit(section: &Section<'_>, measure: Option<Measure>) -> Option<(Side, f64, Range<usize>)> {
    let (side, value) = match (section.get("above"), section.get("below")) {
        (Some(above), None) => (Side::Above, above),
        (None, Some(below)) => (Side::Below, below),
        (Some(_), Some(below)) => {
            below.refuse("and `above` cannot both be in a row", "make two rows of it");
            return None;
        }
        (None, None) => {
            let message = format!("{} needs `above` or `below`", section.name);
            section.problems.add(
                Problem::error(section.span.clone(), message)
                    .help("for example: above = \"10%\"")
                    .follows(),
            );
            return None;
        }
    };
    if let Some(text) = value.as_str().filter(|text| relative(text)) {
        value.refuse(
            format!(
                "relative to another value (\"{}\") is not in this version",
                shown(text)
            ),
            "write the threshold itself",
        );
        return None;
    }
    let threshold = match measure?.unit() {
        Unit::Share => value.share()?,
        Unit::Millis => {
            let span = value.duration(Duration::from_millis(1)..=Duration::from_secs(60))?;
            span.as_secs_f64() * 1000.0
        }
        Unit::Seconds => value.duration(Duration::from_secs(1)..=DAY)?.as_secs_f64(),
        Unit::Number => {
            let number = value.number()?;
            if number < 0.0 {
                value.refuse("is below zero", "nothing counted here ever is");
                return None;
            }
            number
        }
    };
    if side == Side::Below && threshold == 0.0 {
        value.refuse("can never be met", "nothing measured here is below zero");
        return None;
    }
    if side == Side::Above && measure?.unit() == Unit::Share && threshold >= 1.0 {
        value.refuse("can never be met", "no share is above 100%");
        return None;
    }
    Some((side, threshold, value.span()))
}

fn relative(text: &str) -> bool {
    text.split_once(char::is_whitespace)
        .is_some_and(|(factor, base)| {
            factor.ends_with('x') && matches!(base.trim(), "legacy" | "baseline")
        })
}

fn over(section: &Section<'_>, measure: Option<Measure>) -> Option<Duration> {
    // What comes one by one: where a row names no span, an hour is remembered.
    let counted = matches!(
        measure,
        Some(
            Measure::CriticalErrors
                | Measure::Complaints
                | Measure::Incidents
                | Measure::BreakerOpens
        )
    );
    let value = match section.get("over") {
        Some(value) => value,
        None if counted => return Some(HOUR),
        None => section.need("over", "\"5m\"")?,
    };
    if value.as_str() == Some("stage") {
        value.refuse(
            "\"stage\" is not in this version",
            "write a span up to \"1h\"",
        );
        return None;
    }
    let span = value.as_str().and_then(text::duration);
    if let Some(longer) = span.filter(|span| *span > HOUR) {
        value.refuse(
            format!(
                "is {}: windows longer than 1h are not in this version",
                Span(longer)
            ),
            "write a span from \"1s\" to \"1h\"",
        );
        return None;
    }
    if let Some(uneven) = span.filter(|span| span.subsec_nanos() != 0) {
        value.refuse(
            format!("is {}: windows are made of whole seconds", Span(uneven)),
            "write a span from \"1s\" to \"1h\"",
        );
        return None;
    }
    value.duration(Duration::from_secs(1)..=HOUR)
}

/// None: wrong. Some(None): not said.
fn count(section: &Section<'_>, key: &'static str) -> Option<Option<u32>> {
    match section.get(key) {
        Some(value) => {
            let count = value.integer(0..=1_000_000)?;
            Some(u32::try_from(count).ok())
        }
        None => Some(None),
    }
}

const fn is_rate(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::ErrorRate
            | Measure::FailedCallRate
            | Measure::AbandonmentRate
            | Measure::SpeechRecognitionRate
    )
}

fn failed_min(
    section: &Section<'_>,
    measure: Option<Measure>,
    action: Option<Action>,
) -> Option<u32> {
    let said = count(section, "failed_min")?;
    let rate = measure.is_none_or(is_rate);
    if let (Some(value), false) = (section.get("failed_min"), rate) {
        value.refuse("means something only for rates", "remove the line");
        return None;
    }
    let usual = measure.zip(action).map_or(0, |(measure, action)| {
        Rule::default_failed_min(measure, action)
    });
    Some(said.unwrap_or(usual))
}

/// None: wrong. Some(None): switched off.
fn early(
    section: &Section<'_>,
    measure: Option<Measure>,
    side: Option<Side>,
    action: Option<Action>,
) -> Option<Option<Early>> {
    // Of a hole there is nothing to complain about here.
    let can = match (measure, side) {
        (Some(measure), Some(side)) => measure.can_be_early(side),
        _ => true,
    };
    let usual = Some(Early::default());
    let Some(value) = section.get("early") else {
        let on = can && action == Some(Action::Reverse);
        return Some(if on { usual } else { None });
    };
    let early = if value.is_table() {
        let table = value.table("`early`")?;
        let alarm = table.get("false_alarm");
        table.finish(&[], &[]);
        let Some(alarm) = alarm else {
            value.refuse(
                "needs `false_alarm`",
                "write true, false or { false_alarm = 100000 }",
            );
            return None;
        };
        // Fewer than a thousand calls to a false alarm is a reversal a day.
        let false_alarm = alarm.integer(1_000..=1_000_000_000_000)?;
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        Some(Early {
            false_alarm: false_alarm as f64,
        })
    } else if value.boolean()? {
        usual
    } else {
        None
    };
    if early.is_some() && !can {
        value.refuse(
            "works for rates and response_time_mean only, on the side where they are bad",
            "remove the line",
        );
        return None;
    }
    Some(early)
}

fn priority(section: &Section<'_>) -> Option<Priority> {
    let Some(value) = section.get("priority") else {
        return Some(Priority::Medium);
    };
    value.choice(&[
        ("low", Priority::Low),
        ("medium", Priority::Medium),
        ("high", Priority::High),
        ("critical", Priority::Critical),
    ])
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

/// `errors-10-5m`: what is looked at, the threshold's figure, the span.
fn made_name(measure: Measure, side: Side, threshold: f64, over: Duration, table: Table) -> String {
    let word = match measure {
        Measure::ErrorRate => "errors".to_owned(),
        Measure::FailedCallRate => "failed-calls".to_owned(),
        Measure::AbandonmentRate => "abandonment".to_owned(),
        Measure::CallDurationMean => "call-duration".to_owned(),
        Measure::SpeechRecognitionRate => "speech-recognition".to_owned(),
        other => other.name().replace('_', "-"),
    };
    let figure = match measure.unit() {
        // Rounded to what people write: 0.07 × 100 is 7.000000000000001.
        Unit::Share => format!("{}", (threshold * 1e6).round() / 1e4),
        Unit::Millis => Span(Duration::from_secs_f64(threshold / 1000.0)).to_string(),
        Unit::Seconds => Span(Duration::from_secs_f64(threshold)).to_string(),
        Unit::Number => format!("{threshold}"),
    };
    let below = if side == Side::Below { "below-" } else { "" };
    let alert = if table == Table::Alert { "alert-" } else { "" };
    format!("{alert}{word}-{below}{figure}-{}", Span(over)).replace(' ', "")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::load_text;
    use super::*;

    /// The only row of a file, or all that is wrong with it.
    fn rule(row: &str) -> Result<Rule, String> {
        let text = format!(
            r#"
            backend.legacy.url = "http://127.0.0.1:3001"
            backend.new.url = "http://127.0.0.1:3002"
            [[route]]
            path = "/ivr"
            protocol = "twilio"
            {row}
            "#
        );
        match load_text(Path::new("t.toml"), text) {
            Ok(mut loaded) => Ok(loaded.config.rules.remove(0)),
            Err(report) => Err(report.to_string()),
        }
    }

    fn reversal(measure: &str, limit: &str) -> Result<Rule, String> {
        rule(&format!(
            "[[reversal]]\nmeasure = \"{measure}\"\n{limit}\nover = \"15m\"\naction = \"reverse\""
        ))
    }

    #[test]
    fn failed_calls_are_a_rate_with_a_rates_minima_and_its_early_test() {
        let rule = reversal("failed_call_rate", "above = \"10%\"").unwrap();
        assert_eq!(rule.measure, Measure::FailedCallRate);
        assert_eq!((rule.calls_min, rule.failed_min), (20, 8));
        assert_eq!(rule.early, Some(Early::default()));
        assert_eq!(rule.name, "failed-calls-10-15m");
        let fewer = reversal("failed_call_rate", "above = \"10%\"\nfailed_min = 3").unwrap();
        assert_eq!(fewer.failed_min, 3);
        let wrong = reversal("failed_call_rate", "above = \"4m\"").unwrap_err();
        assert!(wrong.contains("is no share"), "{wrong}");
    }

    #[test]
    fn a_calls_duration_is_held_against_a_duration_and_has_no_early_test() {
        let rule = reversal("call_duration_mean", "above = \"4m\"").unwrap();
        assert_eq!((rule.threshold, rule.calls_min), (240.0, 20));
        assert_eq!((rule.failed_min, rule.early), (0, None));
        assert_eq!(rule.name, "call-duration-4m-15m");
        let short = reversal("call_duration_mean", "below = \"20s\"").unwrap();
        assert_eq!((short.side, short.threshold), (Side::Below, 20.0));
        for (limit, said) in [
            ("above = \"5%\"", "is no duration"),
            ("above = \"25h\"", "outside what is allowed"),
            ("above = \"4m\"\nearly = true", "response_time_mean only"),
            ("above = \"4m\"\nfailed_min = 3", "only for rates"),
        ] {
            let wrong = reversal("call_duration_mean", limit).unwrap_err();
            assert!(wrong.contains(said), "{limit}: {wrong}");
        }
        // It is no response time, so no route's timeout is in its way.
        assert!(reversal("call_duration_mean", "above = \"30m\"").is_ok());
    }

    #[test]
    fn a_row_that_reverses_says_what_live_calls_do() {
        let live = |line: &str| {
            let limit = format!("above = \"10%\"\n{line}");
            reversal("error_rate", &limit).map(|rule| rule.live)
        };
        assert_eq!(live(""), Ok(Live::Drain));
        assert_eq!(live("live = \"drain\""), Ok(Live::Drain));
        assert_eq!(live("live = \"move\""), Ok(Live::Move));
        let wrong = live("live = \"cut\"").unwrap_err();
        assert!(wrong.contains("drain") && wrong.contains("move"), "{wrong}");
        let row = |table: &str, action: &str| {
            rule(&format!(
                "[[{table}]]\nmeasure = \"error_rate\"\nabove = \"5%\"\nover = \"5m\"\n\
                 live = \"move\"\n{action}"
            ))
            .unwrap_err()
        };
        let holds = row("reversal", "action = \"hold\"");
        assert!(
            holds.contains("only where the action is `reverse`"),
            "{holds}"
        );
        let alert = row("alert", "");
        assert!(alert.contains("belongs to [[reversal]] rows"), "{alert}");
    }

    #[test]
    fn every_measure_of_this_version_can_stand_in_an_alert() {
        for measure in Measure::ALL {
            let limit = match measure.unit() {
                Unit::Share => "\"50%\"",
                Unit::Millis => "\"500ms\"",
                Unit::Seconds => "\"4m\"",
                Unit::Number => "3",
            };
            let row = format!(
                "[[alert]]\nmeasure = \"{}\"\nabove = {limit}\nover = \"5m\"",
                measure.name()
            );
            assert_eq!(rule(&row).map(|rule| rule.measure), Ok(measure));
        }
    }
}
