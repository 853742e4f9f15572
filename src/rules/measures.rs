//! What a row can look at: every measure with its name, its unit, and on which side it is bad.

use super::Side;

/// What a rule can look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Share of call voices that failed.
    ErrorRate,
    /// Mean response time of voice webhooks.
    ResponseTimeMean,
    /// Its median.
    ResponseTimeP50,
    /// Its 95th percentile.
    ResponseTimeP95,
    /// Its 99th percentile.
    ResponseTimeP99,
    /// Share of mature ended calls that failed by the application's doing.
    FailedCallRate,
    /// Share of mature calls whose caller hung up before being served.
    AbandonmentRate,
    /// How long mature calls lasted, in the mean.
    CallDurationMean,
    /// Share of speech results that were not empty.
    SpeechRecognitionRate,
    /// Calls begun and not ended.
    ConcurrentCalls,
    /// Calls begun in the last hour.
    CallsPerHour,
    /// Critical errors reported from outside.
    CriticalErrors,
    /// Complaints reported from outside.
    Complaints,
    /// Incidents reported from outside.
    Incidents,
    /// A gauge reported from outside: share of memory in use.
    MemoryUsed,
    /// A gauge reported from outside: share of processor in use.
    CpuUsed,
    /// 1 when every voice webhook and every health check of the span went without an
    /// answer.
    BackendDown,
    /// How often its breaker opened.
    BreakerOpens,
    /// Share of health checks that were not answered as they should be.
    HealthErrorRate,
    /// Business transactions reported from outside, per call begun.
    Transactions,
    /// How long the backend stayed up before it went down: the shortest such stay that
    /// ended in the span; the whole span where none ended.
    Uptime,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 21] = [
        Self::ErrorRate,
        Self::ResponseTimeMean,
        Self::ResponseTimeP50,
        Self::ResponseTimeP95,
        Self::ResponseTimeP99,
        Self::FailedCallRate,
        Self::AbandonmentRate,
        Self::CallDurationMean,
        Self::SpeechRecognitionRate,
        Self::ConcurrentCalls,
        Self::CallsPerHour,
        Self::CriticalErrors,
        Self::Complaints,
        Self::Incidents,
        Self::MemoryUsed,
        Self::CpuUsed,
        Self::BackendDown,
        Self::BreakerOpens,
        Self::HealthErrorRate,
        Self::Transactions,
        Self::Uptime,
    ];

    /// The word for it in configuration, status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::ResponseTimeMean => "response_time_mean",
            Self::ResponseTimeP50 => "response_time_p50",
            Self::ResponseTimeP95 => "response_time_p95",
            Self::ResponseTimeP99 => "response_time_p99",
            Self::FailedCallRate => "failed_call_rate",
            Self::AbandonmentRate => "abandonment_rate",
            Self::CallDurationMean => "call_duration_mean",
            Self::SpeechRecognitionRate => "speech_recognition_rate",
            Self::ConcurrentCalls => "concurrent_calls",
            Self::CallsPerHour => "calls_per_hour",
            Self::CriticalErrors => "critical_errors",
            Self::Complaints => "complaints",
            Self::Incidents => "incidents",
            Self::MemoryUsed => "memory_used",
            Self::CpuUsed => "cpu_used",
            Self::BackendDown => "backend_down",
            Self::BreakerOpens => "breaker_opens",
            Self::HealthErrorRate => "health_error_rate",
            Self::Transactions => "transactions",
            Self::Uptime => "uptime",
        }
    }

    /// The measure of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| measure.name() == name)
    }

    /// The unit of its value.
    pub const fn unit(self) -> Unit {
        match self {
            Self::ErrorRate
            | Self::FailedCallRate
            | Self::AbandonmentRate
            | Self::SpeechRecognitionRate
            | Self::HealthErrorRate
            | Self::MemoryUsed
            | Self::CpuUsed => Unit::Share,
            Self::CallDurationMean | Self::Uptime => Unit::Seconds,
            Self::ResponseTimeMean
            | Self::ResponseTimeP50
            | Self::ResponseTimeP95
            | Self::ResponseTimeP99 => Unit::Millis,
            Self::ConcurrentCalls
            | Self::CallsPerHour
            | Self::CriticalErrors
            | Self::Complaints
            | Self::Incidents
            | Self::BreakerOpens
            | Self::Transactions
            | Self::BackendDown => Unit::Number,
        }
    }

    /// Has it a sequential test, with the bad side this one? A call's duration has
    /// none: a few long calls lift the mean while most are shorter than it, so how
    /// many are longer than the threshold says little about it.
    pub fn can_be_early(self, side: Side) -> bool {
        side == self.bad_side()
            && matches!(
                self,
                Self::ErrorRate
                    | Self::FailedCallRate
                    | Self::AbandonmentRate
                    | Self::SpeechRecognitionRate
                    | Self::ResponseTimeMean
            )
    }

    /// The side on which a value is bad.
    pub const fn bad_side(self) -> Side {
        match self {
            Self::SpeechRecognitionRate | Self::Transactions | Self::Uptime => Side::Below,
            _ => Side::Above,
        }
    }

    /// What its samples are: a call is one voice, a check none.
    pub const fn samples(self) -> &'static str {
        match self {
            Self::HealthErrorRate => "check",
            _ => "call",
        }
    }

    /// `calls_min` where a row does not say: 20 for rates and means, 200 for p95,
    /// 1000 for p99, three checks of health, none for counts and gauges. Transactions are
    /// a rate: of the calls begun.
    pub const fn calls_min(self) -> u32 {
        match self {
            Self::ErrorRate
            | Self::FailedCallRate
            | Self::AbandonmentRate
            | Self::CallDurationMean
            | Self::SpeechRecognitionRate
            | Self::ResponseTimeMean
            | Self::Transactions
            | Self::ResponseTimeP50 => 20,
            Self::ResponseTimeP95 => 200,
            Self::ResponseTimeP99 => 1000,
            Self::HealthErrorRate => 3,
            _ => 0,
        }
    }
}

/// The unit a measure's value and threshold are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 0..=1, written `"5%"`.
    Share,
    /// Milliseconds, written `"800ms"` or `"3s"`.
    Millis,
    /// Seconds that a call lasts, written `"4m"`.
    Seconds,
    /// A plain number.
    Number,
}
