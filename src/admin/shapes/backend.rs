//! Both backends as the API shows them: their numbers, breakers and health.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rfc3339;
use crate::engine;
use crate::measure::MENU_KEYS;

/// One thing for each backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backends {
    /// The generation that has always answered.
    pub legacy: Backend,
    /// The generation being rolled out.
    pub new: Backend,
}

/// One backend's numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    /// Voice webhooks since the process began.
    pub webhooks: u64,
    /// Those of them that failed by the backend's fault.
    pub errors: u64,
    /// Share of call voices that failed, last five minutes; null without any.
    pub error_rate: Option<f64>,
    /// Last five minutes; null without any.
    pub response_time_mean_ms: Option<f64>,
    /// Last five minutes; null without any.
    pub response_time_p95_ms: Option<f64>,
    /// Calls begun and not ended, now.
    pub calls_active: u64,
    /// Calls begun since the process began.
    pub calls: u64,
    /// Share of mature calls abandoned, last fifteen minutes; null without any.
    pub abandonment_rate: Option<f64>,
    /// Share of mature ended calls that failed, last fifteen minutes; null without any.
    pub failed_call_rate: Option<f64>,
    /// Seconds that mature calls lasted, last fifteen minutes; null without any.
    pub call_duration_mean_s: Option<f64>,
    /// Share of speech results that were not empty, last fifteen minutes; null without any.
    pub speech_recognition_rate: Option<f64>,
    /// Calls begun in the last hour.
    pub calls_per_hour: u64,
    /// Calls begun since `day_since`.
    pub calls_per_day: u64,
    /// Time that data took, as the backend says, last five minutes; null without any.
    pub data_query_mean_ms: Option<f64>,
    /// Time that opening a connection took, last hour; null without any.
    pub connect_mean_ms: Option<f64>,
    /// Websockets open now.
    pub streams_active: u64,
    /// How often each key was a caller's first choice since `day_since`; without those
    /// that nobody chose.
    pub menu_choices: BTreeMap<String, u64>,
    /// What keeps callers from a backend that fails; null where it is switched off.
    pub breaker: Option<Breaker>,
    /// What its health check says; null where there is none.
    pub health: Option<Health>,
}

/// One backend's breaker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// `closed`, `open`, `half-open`.
    pub state: String,
    /// Times it opened in the last hour.
    pub opens_last_hour: u32,
    /// Why it is not closed.
    pub because: Option<String>,
}

/// What a backend's health check says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// `up`, `down`, `unknown`.
    pub state: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// What the last checks said.
    pub because: String,
}

impl Backend {
    pub(super) fn new(backend: &engine::BackendStatus, guard: &engine::GuardStatus) -> Self {
        Self {
            breaker: guard.breaker.map(|state| Breaker {
                state: state.name().to_owned(),
                opens_last_hour: guard.opens_last_hour,
                because: guard.because.clone(),
            }),
            health: guard.health.as_ref().map(|health| Health {
                state: health.state.name().to_owned(),
                since: rfc3339(health.since),
                because: health.because.clone(),
            }),
            webhooks: backend.webhooks,
            errors: backend.errors,
            error_rate: backend.error_rate,
            response_time_mean_ms: backend.response_time_mean_ms,
            response_time_p95_ms: backend.response_time_p95_ms,
            calls_active: backend.calls_active,
            calls: backend.calls,
            abandonment_rate: backend.abandonment_rate,
            failed_call_rate: backend.failed_call_rate,
            call_duration_mean_s: backend.call_duration_mean_s,
            speech_recognition_rate: backend.speech_recognition_rate,
            calls_per_hour: backend.calls_per_hour,
            calls_per_day: backend.calls_per_day,
            data_query_mean_ms: backend.data_query_mean_ms,
            connect_mean_ms: backend.connect_mean_ms,
            streams_active: backend.streams_active,
            menu_choices: MENU_KEYS
                .into_iter()
                .zip(backend.menu_choices)
                .filter(|(_, times)| *times > 0)
                .map(|(key, times)| (char::from(key).to_string(), times))
                .collect(),
        }
    }
}
