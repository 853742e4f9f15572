//! What one measure reads on one backend's scorecard, with all that is needed to
//! judge it: how many calls are behind it, and its spread.

use std::time::Duration;

use super::Measure;
use crate::measure::counts::{Answers, Ends, TenantAnswers, TenantEnds, share};
use crate::measure::scorecard::Scorecard;
use crate::measure::totals::Sums;
use crate::model::Tick;

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

/// Where a measure is read.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A trailing span of at most an hour, to the second.
    Window {
        /// Whose.
        card: &'a Scorecard,
        /// The span.
        over: Duration,
        /// The moment it ends.
        now: Tick,
    },
    /// Hours that were added up, and the running one.
    Sums {
        /// Whose; None: nobody's any more.
        card: Option<&'a Scorecard>,
        /// What they add up to.
        sums: &'a Sums,
        /// How much time that is.
        watched: Duration,
        /// The moment it ends.
        now: Tick,
    },
}

impl Source<'_> {
    /// What was answered, begun and reported.
    pub fn answers(&self) -> Answers {
        match self {
            Self::Window { card, over, .. } => card.answers(*over),
            Self::Sums { sums, .. } => sums.answers(),
        }
    }

    /// How mature calls ended.
    pub fn ends(&self) -> Ends {
        match self {
            Self::Window { card, over, .. } => card.ends(*over),
            Self::Sums { sums, .. } => sums.ends(),
        }
    }

    fn quantile_ms(&self, permille: u64) -> Option<f64> {
        match self {
            Self::Window { card, over, .. } => card.quantile_ms(*over, permille),
            Self::Sums { sums, .. } => sums.quantile_ms(permille),
        }
    }

    fn slower_than(&self, threshold_us: u32) -> (u64, u64) {
        match self {
            Self::Window { card, over, .. } => card.slower_than(*over, threshold_us),
            Self::Sums { sums, .. } => sums.slower_than(threshold_us),
        }
    }

    /// How long it was looked.
    fn span(&self) -> Duration {
        match self {
            Self::Window { over, .. } => *over,
            Self::Sums { watched, .. } => *watched,
        }
    }

    /// Were transactions ever reported? Else their absence says nothing.
    fn transacts(&self) -> bool {
        match self {
            Self::Window { card, .. } => card.transacts(),
            Self::Sums { card, sums, .. } => {
                sums.transactions > 0 || card.is_some_and(Scorecard::transacts)
            }
        }
    }
}

impl Reading {
    /// Reads a measure. `threshold` is that of the row: quantiles are compared by the
    /// share of answers beyond it.
    pub fn of(source: &Source<'_>, measure: Measure, threshold: f64) -> Self {
        let answers = source.answers();
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
            Measure::ResponseTimeP50 => reading.quantile(source, 500, threshold),
            Measure::ResponseTimeP95 => reading.quantile(source, 950, threshold),
            Measure::ResponseTimeP99 => reading.quantile(source, 990, threshold),
            Measure::FailedCallRate => Self::failed_calls(&source.ends()),
            Measure::AbandonmentRate => Self::abandonment(&source.ends()),
            Measure::CallDurationMean => Self::duration(&source.ends()),
            Measure::SpeechRecognitionRate => reading.speech(&answers),
            Measure::ConcurrentCalls => Self {
                value: answers.active.mean(),
                ..reading
            },
            Measure::CallsPerHour => Self {
                value: Some(
                    count(answers.begun) as f64 * 3600.0 / source.span().as_secs_f64().max(1.0),
                ),
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
            Measure::Transactions => Self::transactions(&answers, source.transacts()),
            Measure::Uptime => Self::uptime(source),
        }
    }

    /// Reads a measure of one tenant alone. `stale` says whether stale connections count;
    /// `told` whether of most calls it is known how they ended. Nothing where the measure
    /// has no tenants.
    pub fn of_tenant(
        measure: Measure,
        answers: &TenantAnswers,
        ends: &TenantEnds,
        stale: bool,
        told: bool,
    ) -> Self {
        let whole = |count: i32| count.max(0).into();
        let calls: i64 = whole(answers.calls);
        let reading = Self {
            samples: count(calls),
            calls: count(calls),
            ..Self::default()
        };
        match measure {
            Measure::ErrorRate => {
                let bad = whole(answers.failed) + if stale { whole(answers.stale) } else { 0 };
                let all: i64 = bad + whole(answers.good);
                let failed: i64 = whole(answers.failed_calls);
                Self {
                    value: share(bad, all),
                    failed: count(failed.min(bad)),
                    share: Some((count(bad), count(all))),
                    ..reading
                }
            }
            Measure::ResponseTimeMean => Self {
                value: answers.mean_ms(),
                times: answers.mean_ms().map(|mean| Times {
                    count: count(answers.timed.into()),
                    mean,
                    variance: answers.variance_ms2(),
                }),
                ..reading
            },
            Measure::SpeechRecognitionRate => reading.speech(&Answers {
                speech_good: whole(answers.speech_good),
                speech_empty: whole(answers.speech_empty),
                ..Answers::default()
            }),
            Measure::FailedCallRate => Self::failed_calls(&Ends {
                bad: whole(ends.bad),
                sound: whole(ends.sound),
                ..Ends::default()
            }),
            Measure::CriticalErrors => reading.events(answers.critical_errors.into()),
            Measure::Complaints => reading.events(answers.complaints.into()),
            Measure::Incidents => reading.events(answers.incidents.into()),
            Measure::AbandonmentRate if told => Self::abandonment(&Ends {
                served: whole(ends.served),
                abandoned: whole(ends.abandoned),
                ..Ends::default()
            }),
            _ => Self::default(),
        }
    }

    fn quantile(self, source: &Source<'_>, permille: u64, threshold: f64) -> Self {
        Self {
            value: source.quantile_ms(permille),
            share: Some(source.slower_than(micros(threshold))),
            ..self
        }
    }

    /// For each call begun. A count that comes late or early is as uneven as chance
    /// makes it: its variance is its mean.
    fn transactions(answers: &Answers, reported: bool) -> Self {
        let begun = count(answers.begun);
        let value = share(answers.transactions, answers.begun).filter(|_| reported);
        Self {
            value,
            samples: begun,
            calls: begun,
            times: value.map(|mean| Times {
                count: begun,
                mean,
                variance: mean,
            }),
            ..Self::default()
        }
    }

    fn uptime(source: &Source<'_>) -> Self {
        let (card, now) = match source {
            Source::Window { card, now, .. } => (Some(*card), *now),
            Source::Sums { card, now, .. } => (*card, *now),
        };
        let span = source.span();
        let Some((ended, shortest)) = card.and_then(|card| card.stays(span, now)) else {
            return Self::default();
        };
        Self {
            value: Some(shortest.unwrap_or(span.as_secs_f64())),
            samples: ended,
            ..Self::default()
        }
    }

    fn abandonment(ends: &Ends) -> Self {
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

    fn failed_calls(ends: &Ends) -> Self {
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

    fn duration(ends: &Ends) -> Self {
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
