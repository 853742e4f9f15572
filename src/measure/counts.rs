//! What is counted, a second at a time: plain sums that can be added to a span and
//! taken away again.

use super::window::Slot;
use crate::document::Flaw;

/// Thresholds of a mean response time that can be tested early; rows with a
/// fourth one have only their window.
pub const SLOW_MAX: usize = 3;

/// Stale connections are kept out of the error rate up to one webhook in so many.
const STALE_ONE_IN: i64 = 100;

/// What happened to one backend in a second, or in a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Call voices that were good.
    pub good: i64,
    /// Call voices that failed by the backend's fault, stale connections apart.
    pub failed: i64,
    /// Call voices that failed on a stale connection.
    pub stale: i64,
    /// Distinct calls that had a voice.
    pub calls: i64,
    /// Distinct calls that had a failed one, stale connections included.
    pub failed_calls: i64,
    /// Voice webhooks, whatever became of them; other people's faults left out.
    pub webhooks: i64,
    /// Those of them that met a stale connection.
    pub webhooks_stale: i64,
    /// Those that got some answer: sound, unsound, or an error status.
    pub answered: i64,
    /// Those that got none.
    pub unanswered: i64,
    /// Those with a latency.
    pub latencies: i64,
    /// Sum of the latencies in microseconds.
    pub latency_us: i64,
    /// Sum of their squares.
    pub latency_us_squared: i128,
    /// Call voices (one a call and minute) slower than each of the interest's `slow_us`.
    pub slow: Slow,
    /// Call voices with a latency.
    pub timed: i64,
    /// Speech results that were not empty.
    pub speech_good: i64,
    /// Speech results that were.
    pub speech_empty: i64,
    /// Calls begun.
    pub begun: i64,
    /// Critical errors reported.
    pub critical_errors: i64,
    /// Complaints reported.
    pub complaints: i64,
    /// Incidents reported.
    pub incidents: i64,
    /// Business transactions reported.
    pub transactions: i64,
    /// Times that its breaker opened.
    pub opened: i64,
    /// Health checks.
    pub checks: i64,
    /// Those of them that were not answered as they should be.
    pub checks_bad: i64,
    /// Reports of memory in use.
    pub memory: Gauge,
    /// Reports of processor in use.
    pub cpu: Gauge,
    /// Calls begun and not ended, looked at once a tick.
    pub active: Gauge,
}

/// One number for each early threshold of a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slow(pub [i64; SLOW_MAX]);

/// A gauge over a span: the mean of its readings, so that one peak is not "high
/// for ten minutes".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// How many readings.
    pub readings: i64,
    /// Their sum in millionths, exact where a sum of floats would drift.
    pub sum_millionths: i64,
}

impl Gauge {
    /// Takes one reading.
    pub fn read(&mut self, value: f64) {
        self.readings += 1;
        // A gauge beyond a billion is no gauge; the sum stays exact below that.
        #[expect(clippy::cast_possible_truncation)]
        let millionths = (value.clamp(0.0, 1e9) * 1e6).round() as i64;
        self.sum_millionths = self.sum_millionths.saturating_add(millionths);
    }

    /// The mean of the readings.
    pub fn mean(self) -> Option<f64> {
        (self.readings > 0).then(|| self.sum_millionths as f64 / self.readings as f64 / 1e6)
    }
}

impl TenantAnswers {
    /// Mean latency of its call voices in milliseconds.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.timed > 0).then(|| self.latency_us as f64 / f64::from(self.timed) / 1000.0)
    }

    /// Variance of those latencies in square milliseconds.
    pub fn variance_ms2(&self) -> f64 {
        let squared = i128::from(self.latency_squared);
        variance(i64::from(self.timed), self.latency_us / 100, squared) / 1e2
    }
}

impl Answers {
    /// Are stale connections so many that they count? One is an accident of
    /// keep-alive; more than one webhook in a hundred is the backend's doing.
    pub const fn stale_counts(&self) -> bool {
        self.webhooks_stale * STALE_ONE_IN > self.webhooks
    }

    /// Call voices that failed, as the error rate counts them.
    pub fn bad(&self) -> i64 {
        self.failed.max(0)
            + if self.stale_counts() {
                self.stale.max(0)
            } else {
                0
            }
    }

    /// Call voices behind the error rate.
    pub fn voices(&self) -> i64 {
        self.bad() + self.good.max(0)
    }

    /// Distinct calls that failed. While stale connections are kept out this is
    /// at least so many: a call that met one and failed otherwise as well is left out.
    pub fn distinct_failed(&self) -> i64 {
        let kept_out = if self.stale_counts() { 0 } else { self.stale };
        (self.failed_calls - kept_out).clamp(0, self.bad())
    }

    /// Mean latency in milliseconds.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.latencies > 0).then(|| self.latency_us as f64 / self.latencies as f64 / 1000.0)
    }

    /// Variance of the latencies in square milliseconds.
    pub fn variance_ms2(&self) -> f64 {
        variance(self.latencies, self.latency_us, self.latency_us_squared) / 1e6
    }
}

/// The variance of so many values, from their sum and that of their squares.
pub fn variance(count: i64, sum: i64, squared: i128) -> f64 {
    if count < 2 {
        return 0.0;
    }
    let (count, sum) = (i128::from(count), i128::from(sum));
    // n·Σx² − (Σx)² in whole numbers: the usual cancellation cannot happen. What is too
    // large for them was not measured but written into a journal: any figure will do.
    let spread = count.checked_mul(squared).map_or_else(
        || (count as f64).mul_add(squared as f64, -((sum as f64) * (sum as f64))),
        |all| all.saturating_sub(sum * sum) as f64,
    );
    spread.max(0.0) / (count * (count - 1)) as f64
}

/// How the calls ended that began in a second, or in a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The caller got what the application wanted to give.
    pub served: i64,
    /// The caller hung up before.
    pub abandoned: i64,
    /// The platform failed the call. Neither served nor abandoned: nobody left,
    /// so it is in neither side of the abandonment rate.
    pub failed: i64,
    /// Nobody can tell how it ended.
    pub unknown: i64,
    /// Calls behind the failed call rate that failed by the application's doing.
    pub bad: i64,
    /// Calls behind it that did not: their end was told, and it was no failure.
    pub sound: i64,
    /// Calls with a known duration.
    pub timed: i64,
    /// Sum of their durations in seconds.
    pub duration_s: i64,
    /// Sum of the squares. With at most [`DURATION_MOST_S`] each, a thousand
    /// million calls fit.
    pub duration_s_squared: i64,
}

/// No provider keeps a call for longer than a day, in seconds; what claims more counts
/// as that.
pub const DURATION_MOST_S: u32 = 86_400;

impl Ends {
    /// Mean duration in seconds.
    pub fn duration_mean_s(&self) -> Option<f64> {
        (self.timed > 0).then(|| self.duration_s as f64 / self.timed as f64)
    }

    /// Variance of the durations in square seconds.
    pub fn duration_variance_s2(&self) -> f64 {
        variance(
            self.timed,
            self.duration_s,
            i128::from(self.duration_s_squared),
        )
    }

    /// Calls behind the abandonment rate.
    pub fn base(&self) -> i64 {
        self.served.max(0) + self.abandoned.max(0)
    }

    /// Is it unknown of most calls how they ended?
    pub fn mostly_unknown(&self) -> bool {
        self.unknown > self.base() + self.failed
    }
}

/// One tenant's part of [`Answers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantAnswers {
    /// Good call voices.
    pub good: i32,
    /// Failed ones, stale connections apart.
    pub failed: i32,
    /// Failed on a stale connection.
    pub stale: i32,
    /// Distinct calls.
    pub calls: i32,
    /// Distinct failed calls.
    pub failed_calls: i32,
    /// Call voices with a latency.
    pub timed: i32,
    /// Those slower than each early threshold.
    pub slow: TenantSlow,
    /// Sum of the voices' latencies in microseconds.
    pub latency_us: i64,
    /// Sum of their squares, in tenths of a millisecond squared: half the place, and
    /// nobody compares means more finely.
    pub latency_squared: i64,
    /// Speech results that were not empty.
    pub speech_good: i32,
    /// Speech results that were.
    pub speech_empty: i32,
    /// Critical errors reported of it.
    pub critical_errors: i32,
    /// Complaints reported of it.
    pub complaints: i32,
    /// Incidents reported of it.
    pub incidents: i32,
}

/// One number for each early threshold of a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantSlow(pub [i32; SLOW_MAX]);

/// One tenant's part of [`Ends`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantEnds {
    /// Served calls.
    pub served: i32,
    /// Abandoned calls.
    pub abandoned: i32,
    /// Failed calls, as the failed call rate counts them.
    pub bad: i32,
    /// The other calls behind it.
    pub sound: i32,
}

/// Flaws of a backend's answers in a second, or in a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flaws {
    /// Answers whose document was read.
    pub(super) answers: i64,
    /// Those of them with each flaw.
    pub(super) of: [i64; Flaw::ALL.len()],
}

/// A share; None of nothing.
pub fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Writes both directions of [`Slot`] from one list of the counters.
macro_rules! slot {
    ($name:ty { $($field:ident),* $(,)? }) => {
        impl Slot for $name {
            fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }
            fn subtract(&mut self, other: &Self) {
                $(self.$field -= other.$field;)*
            }
        }
    };
}

slot!(Answers {
    good,
    failed,
    stale,
    calls,
    failed_calls,
    webhooks,
    webhooks_stale,
    answered,
    unanswered,
    latencies,
    latency_us,
    latency_us_squared,
    slow,
    timed,
    speech_good,
    speech_empty,
    begun,
    critical_errors,
    complaints,
    incidents,
    transactions,
    opened,
    checks,
    checks_bad,
    memory,
    cpu,
    active,
});
slot!(Ends {
    served,
    abandoned,
    failed,
    unknown,
    bad,
    sound,
    timed,
    duration_s,
    duration_s_squared,
});
slot!(TenantAnswers {
    good,
    failed,
    stale,
    calls,
    failed_calls,
    timed,
    slow,
    latency_us,
    latency_squared,
    speech_good,
    speech_empty,
    critical_errors,
    complaints,
    incidents,
});
slot!(TenantEnds {
    served,
    abandoned,
    bad,
    sound
});

impl Slot for Flaws {
    fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        for (mine, theirs) in self.of.iter_mut().zip(other.of) {
            *mine += theirs;
        }
    }

    fn subtract(&mut self, other: &Self) {
        self.answers -= other.answers;
        for (mine, theirs) in self.of.iter_mut().zip(other.of) {
            *mine -= theirs;
        }
    }
}

/// Writes `+=` and `-=` for an array of counters.
macro_rules! by_element {
    ($($name:ty),*) => {$(
        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                for (mine, theirs) in self.0.iter_mut().zip(other.0) {
                    *mine += theirs;
                }
            }
        }
        impl std::ops::SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                for (mine, theirs) in self.0.iter_mut().zip(other.0) {
                    *mine -= theirs;
                }
            }
        }
    )*};
}

by_element!(Slow, TenantSlow);

impl std::ops::AddAssign for Gauge {
    fn add_assign(&mut self, other: Self) {
        self.readings += other.readings;
        self.sum_millionths += other.sum_millionths;
    }
}

impl std::ops::SubAssign for Gauge {
    fn sub_assign(&mut self, other: Self) {
        self.readings -= other.readings;
        self.sum_millionths -= other.sum_millionths;
    }
}
