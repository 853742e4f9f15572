//! Registering series with the recorder: the one place where labels are made.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::names::*;
use super::series::{GateSeries, MishapSeries, RouteSeries, RuleSeries, SideSeries, StreamSeries};
use crate::breaker;
use crate::document::Flaw;
use crate::health;
use crate::measure::{CallEnd, Cause, Found, Kind, MENU_KEYS, Outcome, RescueResult};
use crate::model::{Backend, PerBackend};
use crate::rules::{Action, Rule};
use crate::split::Because;

/// Registers series with a recorder.
pub(super) struct Make<'a>(pub(super) &'a PrometheusRecorder);

impl Make<'_> {
    pub(super) fn counter(&self, name: &Name, labels: &[(&'static str, &str)]) -> Counter {
        let counter = self.0.register_counter(&key(name, labels), &METADATA);
        counter.increment(0);
        counter
    }

    pub(super) fn gauge(&self, name: &Name, labels: &[(&'static str, &str)]) -> Gauge {
        self.0.register_gauge(&key(name, labels), &METADATA)
    }

    pub(super) fn histogram(&self, name: &Name, labels: &[(&'static str, &str)]) -> Histogram {
        self.0.register_histogram(&key(name, labels), &METADATA)
    }

    pub(super) fn route(&self, path: &str) -> RouteSeries {
        let webhooks = |backend: Backend, kind: Kind, outcome: usize| {
            let labels = [
                ("backend", backend.name()),
                ("route", path),
                ("kind", kind.name()),
                ("outcome", outcome_name(outcome)),
            ];
            self.counter(&WEBHOOKS, &labels)
        };
        RouteSeries {
            rescues: RescueResult::ALL.map(|result| {
                self.counter(&RESCUES, &[("route", path), ("result", result.name())])
            }),
            webhooks: PerBackend::from_fn(|backend| {
                [Kind::Voice, Kind::Event]
                    .map(|kind| std::array::from_fn(|outcome| webhooks(backend, kind, outcome)))
            }),
            duration: PerBackend::from_fn(|backend| {
                let labels = [("backend", backend.name()), ("route", path)];
                self.histogram(&WEBHOOK_DURATION, &labels)
            }),
            signatures: Found::ALL.map(|found| {
                let labels = [("route", path), ("result", found.name())];
                self.counter(&SIGNATURES, &labels)
            }),
            uncounted: self.counter(&UNCOUNTED, &[("route", path)]),
        }
    }

    pub(super) fn side(&self, backend: Backend) -> SideSeries {
        let backend = ("backend", backend.name());
        SideSeries {
            placements: Because::ALL
                .map(|why| self.counter(&PLACEMENTS, &[backend, ("because", why.name())])),
            begun: self.counter(&CALLS_BEGUN, &[backend]),
            ends: CallEnd::ALL.map(|end| self.counter(&CALLS, &[backend, ("outcome", end.name())])),
            flawed: Flaw::ALL.map(|flaw| self.counter(&FLAWED, &[backend, ("flaw", flaw.name())])),
            active: self.gauge(&CALLS_ACTIVE, &[backend]),
            breaker: breaker::State::ALL
                .map(|state| self.gauge(&BREAKER_STATE, &[backend, ("state", state.name())])),
            opens: self.counter(&BREAKER_OPENS, &[backend]),
            up: self.gauge(&BACKEND_UP, &[backend]),
            checks: health::Answer::NAMES
                .map(|result| self.counter(&HEALTH_CHECKS, &[backend, ("result", result)])),
            choices: MENU_KEYS.map(|key| {
                let key = char::from(key).to_string();
                self.counter(&MENU_CHOICES, &[backend, ("choice", &key)])
            }),
            data_query: self.histogram(&DATA_QUERY, &[backend]),
            connect: self.histogram(&CONNECT, &[backend]),
            streams: StreamSeries {
                opened: self.counter(&STREAMS, &[backend, ("outcome", "opened")]),
                refused: self.counter(&STREAMS, &[backend, ("outcome", "refused")]),
                active: self.gauge(&STREAMS_ACTIVE, &[backend]),
            },
            gate: GateSeries {
                cap: self.gauge(&CAP, &[backend]),
                in_flight: self.gauge(&IN_FLIGHT, &[backend]),
                most: self.gauge(&IN_FLIGHT_MOST, &[backend]),
                queued: self.gauge(&QUEUED, &[backend]),
                turned_away: [Kind::Voice, Kind::Event]
                    .map(|kind| self.counter(&TURNED_AWAY, &[backend, ("kind", kind.name())])),
            },
        }
    }

    pub(super) fn mishaps(&self) -> MishapSeries {
        let lack = |what| self.counter(&LOCAL_ERRORS, &[("lack", what)]);
        MishapSeries {
            accept_errors: self.counter(&ACCEPT_ERRORS, &[]),
            connections_refused: self.counter(&CONNECTIONS_REFUSED, &[]),
            ports: lack("port"),
            descriptors: lack("descriptor"),
            panics: self.counter(&PANICS, &[]),
            workers_replaced: self.counter(&WORKERS_REPLACED, &[]),
            access_log_dropped: self.counter(&ACCESS_LOG_DROPPED, &[]),
            outcomes_dropped: self.counter(&RECORDING_DROPPED, &[("log", "outcomes")]),
            decisions_dropped: self.counter(&RECORDING_DROPPED, &[("log", "decisions")]),
        }
    }

    pub(super) fn rule(&self, rule: &Rule) -> RuleSeries {
        let labels = [("rule", rule.name.as_str())];
        let series = RuleSeries {
            name: rule.name.clone(),
            value: self.gauge(&RULE_VALUE, &labels),
            threshold: self.gauge(&RULE_THRESHOLD, &labels),
            samples: self.gauge(&RULE_SAMPLES, &labels),
            firing: self.gauge(&RULE_FIRING, &labels),
            reversals: (rule.action == Action::Reverse).then(|| self.counter(&REVERSALS, &labels)),
        };
        series.threshold.set(rule.threshold);
        series
    }
}

static METADATA: Metadata<'static> =
    Metadata::new("switchback", Level::INFO, Some("switchback::metrics"));

fn key(name: &Name, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> = labels
        .iter()
        .map(|(label, value)| Label::new(*label, (*value).to_owned()))
        .collect();
    Key::from_parts(name.0, labels)
}

/// Gives every metric its help line.
pub(super) fn describe(recorder: &PrometheusRecorder) {
    for name in COUNTERS {
        recorder.describe_counter(KeyName::from(name.0), None, name.1.into());
    }
    for name in GAUGES {
        recorder.describe_gauge(KeyName::from(name.0), None, name.1.into());
    }
    for name in HISTOGRAMS {
        recorder.describe_histogram(KeyName::from(name.0), None, name.1.into());
    }
}

/// Where an outcome's counter stands: served first, then the causes.
pub(super) const fn outcome_index(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Served => 0,
        Outcome::Failed(cause) => 1 + cause as usize,
    }
}

/// The outcome that stands there, in words.
pub(super) const fn outcome_name(index: usize) -> &'static str {
    match index {
        0 => Outcome::Served.name(),
        _ => Cause::ALL[index - 1].name(),
    }
}
