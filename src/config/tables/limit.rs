//! What a row holds a measure against, and over what span.

use std::ops::Range;
use std::time::Duration;

use super::super::problem::{Problem, nearest};
use super::super::text::{self, Span};
use super::super::walk::{Section, Value, shown};
use crate::rules::{Against, Base, How, Measure, STAGE, Scope, Side, Unit};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// So far back the hours that were added up are remembered.
const LONGEST: Duration = Duration::from_secs(35 * 86_400);
/// Slots in which tenants are counted.
const SLOT: Duration = Duration::from_secs(10);

/// A threshold as it was read.
#[derive(Debug)]
pub(super) struct Limit<'a> {
    /// The side that the row asks about.
    pub(super) side: Side,
    /// As [`Rule::threshold`](crate::rules::Rule::threshold).
    pub(super) threshold: f64,
    /// What it is relative to.
    pub(super) against: Option<Against>,
    /// Where it stands.
    pub(super) span: Range<usize>,
    /// The value itself, for what else is wrong with it.
    pub(super) value: Value<'a>,
}

/// Reads `above` or `below`.
pub(super) fn limit<'a>(section: &Section<'a>, measure: Option<Measure>) -> Option<Limit<'a>> {
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
                    .help("for example: above = \"10%\"; of a gate, below = \"1%\"")
                    .follows(),
            );
            return None;
        }
    };
    let (threshold, against) = match value.as_str().and_then(Relative::split) {
        Some(relative) => {
            let (threshold, against) = relative.read(&value, measure?)?;
            (threshold, Some(against))
        }
        None => (absolute(&value, measure?, side)?, None),
    };
    Some(Limit {
        side,
        threshold,
        against,
        span: value.span(),
        value,
    })
}

fn absolute(value: &Value<'_>, measure: Measure, side: Side) -> Option<f64> {
    let threshold = amount(value, measure)?;
    if side == Side::Below && threshold == 0.0 {
        value.refuse("can never be met", "nothing measured here is below zero");
        return None;
    }
    if side == Side::Above && measure.unit() == Unit::Share && threshold >= 1.0 {
        value.refuse("can never be met", "no share is above 100%");
        return None;
    }
    Some(threshold)
}

fn amount(value: &Value<'_>, measure: Measure) -> Option<f64> {
    match measure.unit() {
        Unit::Share => value.share(),
        Unit::Millis => {
            let span = value.duration(Duration::from_millis(1)..=Duration::from_secs(60))?;
            Some(span.as_secs_f64() * 1000.0)
        }
        Unit::Seconds => {
            let span = value.duration(Duration::from_secs(1)..=DAY)?;
            Some(span.as_secs_f64())
        }
        Unit::Number => {
            let number = value.number()?;
            if number < 0.0 {
                value.refuse("is below zero", "nothing counted here ever is");
                return None;
            }
            Some(number)
        }
    }
}

/// `"2x baseline"` or `"legacy + 500ms"`, cut in its parts.
enum Relative<'a> {
    Times {
        factor: f64,
        base: &'a str,
    },
    Plus {
        base: &'a str,
        more: &'a str,
    },
    /// A base and nothing else.
    Bare,
}

impl<'a> Relative<'a> {
    /// The parts; None of what is no relative threshold at all.
    fn split(text: &'a str) -> Option<Self> {
        let text = text.trim();
        if let Some((base, more)) = text.split_once('+') {
            let (base, more) = (base.trim(), more.trim());
            return Some(Self::Plus { base, more });
        }
        if let Some((factor, base)) = text.split_once('x')
            && let Ok(factor) = factor.trim().parse::<f64>()
        {
            let base = base.trim();
            return Some(Self::Times { factor, base });
        }
        base_of(text).map(|_| Self::Bare)
    }

    fn read(self, value: &Value<'_>, measure: Measure) -> Option<(f64, Against)> {
        const SHAPE: &str =
            "write for example \"1x legacy\", \"2x baseline\" or \"legacy + 500ms\"";
        let (how, base, threshold) = match self {
            Self::Bare => {
                value.refuse("names a base and no measure of it", SHAPE);
                return None;
            }
            Self::Times { factor, base } => {
                if !(0.01..=100.0).contains(&factor) {
                    value.refuse(
                        format!("is {factor} times another value"),
                        "the factor is a number from 0.01 to 100",
                    );
                    return None;
                }
                (How::Times, base, factor)
            }
            Self::Plus { base, more } => (How::Plus, base, added(value, measure, more)?),
        };
        let Some(base) = base_of(base) else {
            let help = match nearest(base, &["legacy", "baseline"]) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => SHAPE.to_owned(),
            };
            value.refuse(format!("is relative to \"{}\"", shown(base)), help);
            return None;
        };
        if !can_be_relative(measure) {
            value.refuse(
                format!("cannot be relative for {}", measure.name()),
                "rates, means, quantiles, durations and transactions are compared with legacy's; \
                 counts and gauges are not: write the threshold itself",
            );
            return None;
        }
        Some((threshold, Against { base, how }))
    }
}

fn base_of(word: &str) -> Option<Base> {
    [Base::Legacy, Base::Baseline]
        .into_iter()
        .find(|base| base.name() == word)
}

/// So much more, in the measure's own unit.
fn added(value: &Value<'_>, measure: Measure, more: &str) -> Option<f64> {
    let (read, shape) = match measure.unit() {
        Unit::Share => (text::share(more), text::SHARE),
        Unit::Millis => (
            text::duration(more).map(|span| span.as_secs_f64() * 1000.0),
            text::DURATION,
        ),
        Unit::Seconds => (
            text::duration(more).map(|span| span.as_secs_f64()),
            text::DURATION,
        ),
        Unit::Number => (more.parse().ok(), "write a number after the plus"),
    };
    let read = read.filter(|more| more.is_finite() && *more > 0.0);
    if read.is_none() {
        value.refuse(
            format!(
                "adds \"{}\", which is nothing that can be added",
                shown(more)
            ),
            shape,
        );
    }
    read
}

/// Is there a legacy's value to hold it against? Of a count or a gauge there is none
/// that says how it should be.
const fn can_be_relative(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::ErrorRate
            | Measure::ResponseTimeMean
            | Measure::ResponseTimeP50
            | Measure::ResponseTimeP95
            | Measure::ResponseTimeP99
            | Measure::FailedCallRate
            | Measure::AbandonmentRate
            | Measure::CallDurationMean
            | Measure::SpeechRecognitionRate
            | Measure::HealthErrorRate
            | Measure::Transactions
    )
}

/// Reads `over`.
pub(super) fn over(
    section: &Section<'_>,
    measure: Option<Measure>,
    scope: Option<Scope>,
) -> Option<Duration> {
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
    let span = match value.as_str() {
        Some("stage") => STAGE,
        word => {
            let span = word.and_then(text::duration);
            if let Some(uneven) = span.filter(|span| span.subsec_nanos() != 0) {
                value.refuse(
                    format!("is {}: windows are made of whole seconds", Span(uneven)),
                    "write a span from \"1s\" to \"35d\", or \"stage\"",
                );
                return None;
            }
            value.duration(Duration::from_secs(1)..=LONGEST)?
        }
    };
    long(&value, span, measure)?;
    if scope == Some(Scope::Tenant) {
        of_a_tenant(&value, span)?;
    }
    Some(span)
}

/// What is longer than an hour is added up from hours; not everything can be.
fn long(value: &Value<'_>, span: Duration, measure: Option<Measure>) -> Option<()> {
    let said = if span == STAGE {
        "\"stage\"".to_owned()
    } else {
        Span(span).to_string()
    };
    if let Some(measure) = measure.filter(|it| span > HOUR && !is_added_up(*it)) {
        value.refuse(
            format!(
                "is {said}, and {} is remembered for an hour",
                measure.name()
            ),
            "write a span from \"1s\" to \"1h\"; a condition that must stand longer has `hold_for`",
        );
        return None;
    }
    if span > HOUR && span != STAGE && !span.as_secs().is_multiple_of(3600) {
        value.refuse(
            format!("is {said}: what is longer than 1h is made of whole hours"),
            "write for example \"24h\" or \"7d\"",
        );
        return None;
    }
    Some(())
}

/// Can hours of it be added up?
const fn is_added_up(measure: Measure) -> bool {
    !matches!(
        measure,
        Measure::ConcurrentCalls
            | Measure::CallsPerHour
            | Measure::MemoryUsed
            | Measure::CpuUsed
            | Measure::BackendDown
            | Measure::Uptime
    )
}

fn of_a_tenant(value: &Value<'_>, span: Duration) -> Option<()> {
    if span > HOUR {
        value.refuse(
            "is too long for one tenant alone, of which an hour is remembered",
            "write a span from \"10s\" to \"1h\"",
        );
        return None;
    }
    if !span.as_secs().is_multiple_of(SLOT.as_secs()) {
        value.refuse(
            format!("is {}: tenants are counted in steps of 10s", Span(span)),
            "write a span from \"10s\" to \"1h\" in steps of 10s",
        );
        return None;
    }
    Some(())
}
