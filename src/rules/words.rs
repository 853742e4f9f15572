//! Numbers and findings as a person reads them at three in the morning.

use std::time::Duration;

use super::reading::Reading;
use super::{Action, How, Measure, Rule, STAGE, Side, Unit};

const DAY: u64 = 86_400;

/// Why a row does not trip although its value is beyond what it asks for.
pub const CHANCE: &str = "with so few calls that may be chance";

/// A value in its measure's unit: `22.6 %`, `800 ms`, `5.4 s`, `4 min 12 s`, `16`.
pub fn amount(measure: Measure, value: f64) -> String {
    match measure.unit() {
        Unit::Share => format!("{} %", short(value * 100.0)),
        Unit::Millis if value < 1000.0 => format!("{} ms", short(value)),
        Unit::Millis => format!("{} s", trimmed(&format!("{:.2}", value / 1000.0))),
        Unit::Seconds => lasting(value),
        Unit::Number => short(value),
    }
}

/// How long something lasts: `45 s`, `4 min 12 s`. To a tenth of a second, so that a
/// mean just above a threshold does not read like it.
pub fn lasting(seconds: f64) -> String {
    let tenths = (seconds * 10.0).round() / 10.0;
    let minutes = (tenths / 60.0).floor();
    let rest = trimmed(&format!("{:.1}", tenths - minutes * 60.0));
    match (minutes > 0.0, rest.as_str()) {
        (false, _) => format!("{rest} s"),
        (true, "0") => format!("{minutes} min"),
        (true, _) => format!("{minutes} min {rest} s"),
    }
}

/// How long something has lasted, to the minute or the hour: `20 min`, `64 h`.
pub fn about(lasted: Duration) -> String {
    let seconds = lasted.as_secs();
    match seconds {
        _ if seconds < 120 => format!("{seconds} s"),
        _ if seconds < 7200 => format!("{} min", seconds / 60),
        _ if seconds < 4 * DAY => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / DAY),
    }
}

/// A span: `5 min`, `1 h`, `90 s`, `7 d`, `stage`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        _ if span == STAGE => "stage".to_owned(),
        0 => format!("{} ms", span.as_millis()),
        _ if seconds >= 4 * DAY && seconds.is_multiple_of(DAY) => format!("{} d", seconds / DAY),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// What was measured, in one clause: `7 of 31 calls failed in the last 5 min (22.6 %)`.
/// `mature` is how long ago the calls of an end measure must have begun.
pub fn measured(measure: Measure, reading: &Reading, over: Duration, mature: Duration) -> String {
    let last = last(over);
    let Some(value) = reading.value else {
        return nothing(measure, over, mature);
    };
    let value = amount(measure, value);
    let (bad, of) = reading.share.unwrap_or_default();
    let calls = reading.samples;
    match measure {
        Measure::ErrorRate if of == calls => {
            format!("{bad} of {} failed {last} ({value})", many(of, "call"))
        }
        Measure::ErrorRate => format!(
            "{bad} of {} to {} failed {last} ({value})",
            many(of, "answer"),
            many(calls, "call")
        ),
        Measure::ResponseTimeMean => format!(
            "{} waited {value} for an answer in the mean {last}",
            many(calls, "call")
        ),
        Measure::ResponseTimeP50 => quantile("half", calls, &value, &last),
        Measure::ResponseTimeP95 => quantile("95 %", calls, &value, &last),
        Measure::ResponseTimeP99 => quantile("99 %", calls, &value, &last),
        Measure::FailedCallRate => format!(
            "{bad} of {} that began {} failed ({value})",
            many(of, "call"),
            cohort(over, mature)
        ),
        Measure::AbandonmentRate => format!(
            "{bad} of {} who called {} hung up unserved ({value})",
            many(of, "caller"),
            cohort(over, mature)
        ),
        Measure::CallDurationMean => format!(
            "{} that began {} lasted {value} in the mean",
            many(calls, "call"),
            cohort(over, mature)
        ),
        Measure::SpeechRecognitionRate => format!(
            "{} of {} were understood {last} ({value})",
            of - bad,
            many(of, "speech result")
        ),
        Measure::ConcurrentCalls => format!("{value} calls at once in the mean {last}"),
        Measure::CallsPerHour => format!("{value} calls an hour {last}"),
        Measure::CriticalErrors => format!("{} reported {last}", counted(&value, "critical error")),
        Measure::Complaints => format!("{} reported {last}", counted(&value, "complaint")),
        Measure::Incidents => format!("{} reported {last}", counted(&value, "incident")),
        Measure::MemoryUsed => format!(
            "{value} of memory in use in the mean of {} {last}",
            many(calls, "report")
        ),
        Measure::CpuUsed => format!(
            "{value} of processor in use in the mean of {} {last}",
            many(calls, "report")
        ),
        Measure::BackendDown => {
            format!("{bad} of {of} webhooks and health checks got no answer {last}")
        }
        Measure::BreakerOpens => format!("the breaker opened {} {last}", counted(&value, "time")),
        Measure::Transactions => {
            format!(
                "{value} transactions for each of {} {last}",
                many(calls, "call")
            )
        }
        Measure::Uptime if calls == 0 => format!("it did not go down {last}"),
        Measure::Uptime if calls == 1 => format!("it went down 1 time {last}, after {value}"),
        Measure::Uptime => {
            format!("it went down {calls} times {last}, after {value} at the soonest")
        }
        Measure::HealthErrorRate => {
            format!(
                "{bad} of {} failed {last} ({value})",
                many(of, "health check")
            )
        }
    }
}

/// Why a row trips whose window alone would not: what came last is worse than what
/// the window still holds.
pub const fn lately(measure: Measure) -> &'static str {
    match measure {
        Measure::ResponseTimeMean => {
            "but most of the latest answers took longer: the sequential test is sure without a full window"
        }
        _ => "but lately it is worse: the sequential test is sure without a full window",
    }
}

/// What the row asks for: `the table allows 10 %`.
pub fn allowed(rule: &Rule) -> String {
    allowed_at(rule, rule.threshold)
}

/// The same where a relative threshold comes to this: `the table allows 2.4 % (2x legacy)`.
pub fn allowed_at(rule: &Rule, threshold: f64) -> String {
    let threshold = amount(rule.measure, threshold);
    let relative = against(rule).map_or_else(String::new, |against| format!(" ({against})"));
    match (rule.measure, rule.side, rule.action) {
        (Measure::BackendDown, ..) => "the table asks for answers".to_owned(),
        (_, Side::Above, Action::Gate) if rule.against.is_none() => {
            format!("the gate asks for less than {threshold}")
        }
        (_, Side::Below, Action::Gate) if rule.against.is_none() => {
            format!("the gate asks for more than {threshold}")
        }
        (_, Side::Above, Action::Gate) => format!("the gate allows {threshold}{relative}"),
        (_, Side::Below, Action::Gate) => format!("the gate asks for {threshold}{relative}"),
        (_, Side::Above, _) => format!("the table allows {threshold}{relative}"),
        (_, Side::Below, _) => format!("the table asks for {threshold}{relative}"),
    }
}

/// What a relative threshold is made of, as it is written: `2x legacy`, `legacy + 500 ms`.
pub fn against(rule: &Rule) -> Option<String> {
    let against = rule.against?;
    let base = against.base.name();
    Some(match against.how {
        How::Times => format!("{}x {base}", trimmed(&format!("{:.3}", rule.threshold))),
        How::Plus => format!("{base} + {}", amount(rule.measure, rule.threshold)),
    })
}

/// How long a condition has stood: `it has stood for 1 min of 2 min`.
pub fn stood(stood: Duration, asked: Duration) -> String {
    format!("it has stood for {} of {}", span(stood), span(asked))
}

/// A value that the row does not allow: `error_rate was 40 % in the last 5 min, and the
/// table allows 10 %`.
pub fn beyond(rule: &Rule, value: f64) -> String {
    format!(
        "{} was {} {}, and {}",
        rule.measure.name(),
        amount(rule.measure, value),
        last(rule.over),
        allowed(rule)
    )
}

/// `in the last 5 min`, `since the stage began`.
fn last(over: Duration) -> String {
    match over {
        STAGE => "since the stage began".to_owned(),
        over => format!("in the last {}", span(over)),
    }
}

/// `1 call`, `2 calls`.
pub fn many(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// `1 complaint`, `2 complaints`, of a number in words.
fn counted(value: &str, thing: &str) -> String {
    let plural = if value == "1" { "" } else { "s" };
    format!("{value} {thing}{plural}")
}

/// When the calls of an end measure began: `between 25 min and 10 min ago`.
fn cohort(over: Duration, mature: Duration) -> String {
    if over == STAGE {
        return format!("in the stage, at least {} ago,", span(mature));
    }
    format!("between {} and {} ago", span(over + mature), span(mature))
}

fn quantile(part: &str, calls: u64, value: &str, last: &str) -> String {
    format!(
        "{part} of the answers to {} came within {value} {last}",
        many(calls, "call")
    )
}

/// Why there is no value, and what would bring one.
fn nothing(measure: Measure, over: Duration, mature: Duration) -> String {
    let last = last(over);
    match measure {
        Measure::ErrorRate => format!("no call spoke to new {last}"),
        Measure::BackendDown => {
            format!("no call spoke to new {last}, and no health check asked it")
        }
        Measure::Transactions => format!("no transactions were reported {last}"),
        Measure::Uptime => format!("nothing is known of when new was up {last}"),
        Measure::HealthErrorRate => {
            format!("no health check asked new {last}: [backend.new] health feeds this")
        }
        Measure::ResponseTimeMean
        | Measure::ResponseTimeP50
        | Measure::ResponseTimeP95
        | Measure::ResponseTimeP99 => format!("no answer of new was timed {last}"),
        Measure::FailedCallRate | Measure::AbandonmentRate => format!(
            "no call that began {} has a known end: ends come with the \
             provider's status callback, which must point here",
            cohort(over, mature)
        ),
        Measure::CallDurationMean => format!(
            "no call that began {} has a known duration: it comes with the \
             provider's status callback, which must point here",
            cohort(over, mature)
        ),
        Measure::SpeechRecognitionRate => {
            format!("no webhook carried a speech result {last}")
        }
        Measure::MemoryUsed => {
            format!("no report {last}: POST /api/v1/events with kind memory_used feeds this")
        }
        Measure::CpuUsed => {
            format!("no report {last}: POST /api/v1/events with kind cpu_used feeds this")
        }
        Measure::ConcurrentCalls
        | Measure::CallsPerHour
        | Measure::CriticalErrors
        | Measure::Complaints
        | Measure::Incidents
        | Measure::BreakerOpens => format!("watched for less than {}", span(over)),
    }
}

/// One decimal where there is something to say with it; more where one would
/// leave nothing of the value.
fn short(value: f64) -> String {
    if value.abs() >= 0.1 || value == 0.0 {
        trimmed(&format!("{value:.1}"))
    } else {
        trimmed(&format!("{value:.3}"))
    }
}

/// Without zeros that say nothing.
fn trimmed(decimal: &str) -> String {
    let text = decimal.trim_end_matches('0');
    text.strip_suffix('.').unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_they_are_said() {
        for (measure, value, said) in [
            (Measure::ErrorRate, 7.0 / 31.0, "22.6 %"),
            (Measure::ErrorRate, 0.1, "10 %"),
            (Measure::ErrorRate, 0.000_4, "0.04 %"),
            (Measure::ErrorRate, 0.0, "0 %"),
            (Measure::ResponseTimeP95, 800.0, "800 ms"),
            (Measure::ResponseTimeMean, 5400.0, "5.4 s"),
            (Measure::ResponseTimeMean, 5012.0, "5.01 s"),
            (Measure::ResponseTimeMean, 10_000.0, "10 s"),
            (Measure::CallDurationMean, 9.96, "10 s"),
            (Measure::CallDurationMean, 240.0, "4 min"),
            (Measure::CallDurationMean, 240.1, "4 min 0.1 s"),
            (Measure::CallDurationMean, 59.97, "1 min"),
            (Measure::ConcurrentCalls, 15.0, "15"),
        ] {
            assert_eq!(amount(measure, value), said);
        }
        for (seconds, said) in [
            (300, "5 min"),
            (3600, "1 h"),
            (90, "90 s"),
            (5400, "90 min"),
            (72 * 3600, "72 h"),
            (7 * DAY, "7 d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), said);
        }
    }

    #[test]
    fn a_row_without_a_name_is_named_by_what_it_says() {
        let five = Duration::from_secs(300);
        for (measure, side, threshold, name) in [
            (
                Measure::ErrorRate,
                Side::Above,
                0.1,
                "error_rate-above-10%-5m",
            ),
            (
                Measure::ResponseTimeMean,
                Side::Above,
                5000.0,
                "response_time_mean-above-5s-5m",
            ),
            (
                Measure::ResponseTimeP95,
                Side::Above,
                800.0,
                "response_time_p95-above-800ms-5m",
            ),
            (
                Measure::SpeechRecognitionRate,
                Side::Below,
                0.75,
                "speech_recognition_rate-below-75%-5m",
            ),
            (
                Measure::CallDurationMean,
                Side::Above,
                270.0,
                "call_duration_mean-above-4m30s-5m",
            ),
            (
                Measure::CriticalErrors,
                Side::Above,
                0.0,
                "critical_errors-above-0-5m",
            ),
        ] {
            assert_eq!(Rule::default_name(measure, side, threshold, five), name);
        }
    }
}
