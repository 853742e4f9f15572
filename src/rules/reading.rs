//! What one measure reads on one backend's scorecard, with all that is needed to
//! judge it: how many calls are behind it, and its spread.

use std::time::Duration;

use super::Measure;
use crate::measure::counts::{Answers, share};
use crate::measure::scorecard::Scorecard;

/// A measure's value and the evidence behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// In the measure's unit; None where nothing was seen.
    pub value: Option<f64>,
    /// Distinct calls behind it; events or reports where no call is.
    pub samples: u64,
    /// Distinct calls held against `calls_min`.
    pub calls: u64,
    /// Distinct failed (abandoned, not understood, unanswered) calls.
    pub failed: u64,
    /// Bad ones and all, where the measure is a share or can be read as one.
    pub share: Option<(u64, u64)>,
    /// Spread, where it is a mean.
    pub times: Option<Times>,
}

/// What a comparison of means needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// Answers with a latency, or calls with a duration.
    pub count: u64,
    /// In the measure's unit.
    pub mean: f64,
    /// In its square.
    pub variance: f64,
}

impl Reading {
    /// Reads a measure over a span. `threshold` is that of the row: quantiles are
    /// compared by the share of answers beyond it.
    pub fn of(card: &Scorecard, measure: Measure, over: Duration, threshold: f64) -> Self {
        let answers = card.answers(over);
        let calls = count(answers.calls);
        let reading = Self {
            samples: calls,
            calls,
            ..Self::default()
        };
        match measure {
            Measure::ErrorRate => Self {
                value: share(answers.bad(), answers.voices()),
                failed: count(answers.distinct_failed()),
                share: Some((count(answers.bad()), count(answers.voices()))),
                ..reading
            },
            Measure::ResponseTimeMean => Self {
                value: answers.mean_ms(),
                times: times(&answers),
                ..reading
            },
            Measure::ResponseTimeP50 => reading.quantile(card, over, 500, threshold),
            Measure::ResponseTimeP95 => reading.quantile(card, over, 950, threshold),
            Measure::ResponseTimeP99 => reading.quantile(card, over, 990, threshold),
            Measure::FailedCallRate => Self::failed_calls(card, over),
            Measure::AbandonmentRate => Self::abandonment(card, over),
            Measure::CallDurationMean => Self::duration(card, over),
            Measure::SpeechRecognitionRate => reading.speech(&answers),
            Measure::ConcurrentCalls => Self {
                value: answers.active.mean(),
                ..reading
            },
            Measure::CallsPerHour => Self {
                value: Some(count(answers.begun) as f64 * 3600.0 / over.as_secs_f64().max(1.0)),
                samples: count(answers.begun),
                ..reading
            },
            Measure::CriticalErrors => reading.events(answers.critical_errors),
            Measure::Complaints => reading.events(answers.complaints),
            Measure::Incidents => reading.events(answers.incidents),
            Measure::MemoryUsed => Self {
                value: answers.memory.mean(),
                samples: count(answers.memory.readings),
                ..reading
            },
            Measure::CpuUsed => Self {
                value: answers.cpu.mean(),
                samples: count(answers.cpu.readings),
                ..reading
            },
            Measure::BackendDown => reading.down(&answers),
            Measure::BreakerOpens => reading.events(answers.opened),
            Measure::HealthErrorRate => Self::checks(&answers),
        }
    }

    fn quantile(self, card: &Scorecard, over: Duration, permille: u64, threshold: f64) -> Self {
        Self {
            value: card.quantile_ms(over, permille),
            share: Some(card.slower_than(over, micros(threshold))),
            ..self
        }
    }

    fn abandonment(card: &Scorecard, over: Duration) -> Self {
        let ends = card.ends(over);
        let (abandoned, base) = (count(ends.abandoned), count(ends.base()));
        Self {
            // A guess about the few whose end is known would be worse than none.
            value: share(ends.abandoned.max(0), ends.base()).filter(|_| !ends.mostly_unknown()),
            samples: base,
            calls: base,
            failed: abandoned,
            share: Some((abandoned, base)),
            times: None,
        }
    }

    fn failed_calls(card: &Scorecard, over: Duration) -> Self {
        let ends = card.ends(over);
        let (bad, base) = (count(ends.bad), count(ends.bad + ends.sound));
        Self {
            value: share(ends.bad, ends.bad + ends.sound),
            samples: base,
            calls: base,
            failed: bad,
            share: Some((bad, base)),
            times: None,
        }
    }

    fn duration(card: &Scorecard, over: Duration) -> Self {
        let ends = card.ends(over);
        let calls = count(ends.timed);
        let value = ends.duration_mean_s();
        Self {
            value,
            samples: calls,
            calls,
            times: value.map(|mean| Times {
                count: calls,
                mean,
                variance: ends.duration_variance_s2(),
            }),
            ..Self::default()
        }
    }

    /// A call may be asked often: as evidence, its results weigh no more than it
    /// does. Where results come with events alone no call has a voice; then those
    /// that began are the calls there were.
    fn speech(self, answers: &Answers) -> Self {
        let (good, empty) = (count(answers.speech_good), count(answers.speech_empty));
        let calls = self.calls.max(count(answers.begun)).min(good + empty);
        Self {
            value: share(
                answers.speech_good,
                answers.speech_good + answers.speech_empty,
            ),
            samples: calls,
            calls,
            failed: empty.min(calls),
            share: Some((empty, good + empty)),
            times: None,
        }
    }

    fn events(self, events: i64) -> Self {
        Self {
            // That none was reported is a zero, not an unknown.
            value: Some(count(events) as f64),
            samples: count(events),
            ..self
        }
    }

    fn checks(answers: &Answers) -> Self {
        let (bad, all) = (count(answers.checks_bad), count(answers.checks));
        Self {
            value: share(answers.checks_bad, answers.checks),
            samples: all,
            calls: all,
            failed: bad,
            share: Some((bad, all)),
            times: None,
        }
    }

    fn down(self, answers: &Answers) -> Self {
        let bad = count(answers.checks_bad);
        let answered = count(answers.answered) + count(answers.checks) - bad;
        let unanswered = count(answers.unanswered) + bad;
        let down = answered == 0 && unanswered > 0;
        Self {
            value: (answered + unanswered > 0).then_some(f64::from(u8::from(down))),
            failed: unanswered,
            share: Some((unanswered, answered + unanswered)),
            ..self
        }
    }
}

/// Milliseconds as whole microseconds, cut to what a latency can be.
pub fn micros(millis: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let micros = (millis * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32;
    micros
}

fn times(answers: &Answers) -> Option<Times> {
    Some(Times {
        count: count(answers.latencies),
        mean: answers.mean_ms()?,
        variance: answers.variance_ms2(),
    })
}

/// A counter as a number of things: marks of one call that are heard out of order
/// may let it dip below zero for a moment.
fn count(counter: i64) -> u64 {
    u64::try_from(counter).unwrap_or(0)
}
