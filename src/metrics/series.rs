//! The series, by what they are about; `make` registers them.

use metrics::{Counter, Gauge, Histogram};

use super::one_if;
use crate::breaker;
use crate::document::Flaw;
use crate::engine::{GuardStatus, RuleStatus};
use crate::health;
use crate::measure::{CallEnd, Cause, Found, MENU_KEYS, RescueResult};
use crate::model::PerBackend;
use crate::split::Because;

/// Served, then every cause.
pub(super) const OUTCOMES: usize = 1 + Cause::ALL.len();

/// What is counted of one route.
pub(super) struct RouteSeries {
    pub(super) webhooks: PerBackend<[[Counter; OUTCOMES]; 2]>,
    pub(super) duration: PerBackend<Histogram>,
    pub(super) signatures: [Counter; Found::ALL.len()],
    pub(super) uncounted: Counter,
    pub(super) rescues: [Counter; RescueResult::ALL.len()],
}

/// What is counted of one backend.
pub(super) struct SideSeries {
    pub(super) placements: [Counter; Because::ALL.len()],
    pub(super) begun: Counter,
    pub(super) ends: [Counter; CallEnd::ALL.len()],
    pub(super) flawed: [Counter; Flaw::ALL.len()],
    pub(super) active: Gauge,
    pub(super) breaker: [Gauge; breaker::State::ALL.len()],
    pub(super) opens: Counter,
    pub(super) up: Gauge,
    pub(super) checks: [Counter; health::Answer::NAMES.len()],
    pub(super) choices: [Counter; MENU_KEYS.len()],
    pub(super) data_query: Histogram,
    pub(super) connect: Histogram,
    pub(super) streams: StreamSeries,
    pub(super) gate: GateSeries,
}

/// Its websockets.
pub(super) struct StreamSeries {
    pub(super) opened: Counter,
    pub(super) refused: Counter,
    pub(super) active: Gauge,
}

/// What is on its way to it.
pub(super) struct GateSeries {
    pub(super) cap: Gauge,
    pub(super) in_flight: Gauge,
    pub(super) most: Gauge,
    pub(super) queued: Gauge,
    pub(super) turned_away: [Counter; 2],
}

impl SideSeries {
    pub(super) fn guard(&self, guard: &GuardStatus) {
        let state = guard.breaker.unwrap_or_default();
        for (gauge, is) in self.breaker.iter().zip(breaker::State::ALL) {
            gauge.set(one_if(state == is));
        }
        self.opens.absolute(guard.opens);
        let health = guard.health.as_ref();
        let down = health.is_some_and(|health| health.state == health::State::Down);
        self.up.set(one_if(!down));
    }
}

/// One row of the tables.
pub(super) struct RuleSeries {
    pub(super) name: String,
    pub(super) value: Gauge,
    pub(super) threshold: Gauge,
    pub(super) samples: Gauge,
    pub(super) firing: Gauge,
    pub(super) reversals: Option<Counter>,
}

impl RuleSeries {
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floats; counts beyond 2^53 do not occur"
    )]
    pub(super) fn show(&self, rule: Option<&RuleStatus>) {
        let finding = rule.map(|rule| &rule.finding);
        // NaN, not 0: unknown is never good, nor is it bad.
        let value = finding.and_then(|finding| finding.value);
        self.value.set(value.unwrap_or(f64::NAN));
        if let Some(finding) = finding {
            self.threshold.set(finding.threshold);
        }
        self.samples
            .set(finding.map_or(0.0, |finding| finding.samples as f64));
        self.firing
            .set(one_if(rule.is_some_and(|rule| rule.firing)));
    }
}

/// What went wrong by our own doing.
pub(super) struct MishapSeries {
    pub(super) accept_errors: Counter,
    pub(super) connections_refused: Counter,
    pub(super) ports: Counter,
    pub(super) descriptors: Counter,
    pub(super) panics: Counter,
    pub(super) workers_replaced: Counter,
    pub(super) access_log_dropped: Counter,
    pub(super) outcomes_dropped: Counter,
    pub(super) decisions_dropped: Counter,
}
