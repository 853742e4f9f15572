//! Every metric name, once, and the exporter behind `/metrics`.
//!
//! The recorder is our own, not the process's: several can live side by side,
//! and nothing else in the program can add a series. Every series is registered
//! when its labels become known, and exists from then on, because a series that
//! appears with its first error hides that error from `rate()`.
//!
//! Never a tenant, a call id or a number as a label. The number of series is
//! bounded by [`ROUTES_MAX`] and [`RULES_MAX`] and by nothing a caller can send.

mod count;
mod make;
mod names;
mod plan;
mod series;
mod show;

pub use show::Mishaps;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use metrics::{Counter, Gauge, Histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use parking_lot::Mutex;

use self::make::{Make, describe};
use self::names::*;
use self::plan::PlanGauges;
use self::series::{MishapSeries, RouteSeries, RuleSeries, SideSeries};
use crate::engine::GuardStatus;
use crate::measure::Unsecured;
use crate::model::{Backend, PerBackend};
use crate::rollout::{Phase, Step};
use crate::rules::{Rule, Unit};

/// Distinct route labels over the life of the process, reloads included; a route
/// past it counts under `other`.
pub const ROUTES_MAX: usize = 64;

/// Distinct rule labels over the life of the process; a rule past it has no
/// series (status and journal still show it).
pub const RULES_MAX: usize = 128;

/// Distinct certificate labels; labels are places in the configuration, so they come
/// again. Certificates past it have no series.
pub const CERTIFICATES_MAX: usize = 34;

/// Bucket edges in seconds; the thresholds of the tables are added to them.
const EDGES: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Bucket edges in seconds for opening a connection: next door it takes a tenth of a
/// millisecond, over an ocean a fifth of a second.
const CONNECT_EDGES: [f64; 13] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
];

/// Statuses the public edge refuses with; any other counts under `other`.
const STATUSES: [u16; 15] = [
    400, 403, 404, 405, 408, 411, 413, 414, 415, 417, 421, 431, 501, 503, 505,
];

const OTHER: &str = "other";

/// Handles to every series, registered once.
pub struct Metrics {
    recorder: PrometheusRecorder,
    process: metrics_process::Collector,
    routes: ArcSwap<Vec<Arc<RouteSeries>>>,
    elsewhere: RouteSeries,
    rules: ArcSwap<Vec<Arc<RuleSeries>>>,
    // Labels that exist; only touched when the configuration is read.
    route_labels: Mutex<HashSet<String>>,
    overhead: Histogram,
    sides: PerBackend<SideSeries>,
    refused: [Counter; STATUSES.len() + 1],
    unsecured: [Counter; Unsecured::ALL.len()],
    /// Those that were shown, by their label.
    certificates: Mutex<BTreeMap<String, Gauge>>,
    percentage: Gauge,
    phases: [Gauge; Phase::ALL.len()],
    plan: PlanGauges,
    stopped: Gauge,
    latched: Gauge,
    durable: Gauge,
    journal_matches: Gauge,
    generation: Gauge,
    after_latch: Counter,
    verification: [Gauge; Step::ALL.len()],
    escalations: Counter,
    tally_dropped: Counter,
    table_size: Gauge,
    evictions: Counter,
    signatures_forgotten: Counter,
    pins_loaded: Counter,
    pins_unsaved: Counter,
    mishaps: MishapSeries,
    reload_ok: Gauge,
    /// What scrapers are shown until the engine looks again.
    page: Mutex<Option<Bytes>>,
}

impl Metrics {
    /// Registers every series that the routes (by configured path, in the order of
    /// their numbers) and the rules (both tables) make known. Response-time
    /// thresholds become bucket edges; later reloads cannot add edges.
    pub fn new(routes: &[&str], rules: &[Rule]) -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&edges(rules))
            .and_then(|builder| {
                let connect = Matcher::Full(CONNECT.0.to_owned());
                builder.set_buckets_for_metric(connect, &CONNECT_EDGES)
            })
            .expect("the bucket edges are lists that are not empty")
            .build_recorder();
        describe(&recorder);
        let make = Make(&recorder);
        make.gauge(&BUILD, &[("version", env!("CARGO_PKG_VERSION"))])
            .set(1.0);
        let process = metrics_process::Collector::default();
        metrics::with_local_recorder(&recorder, || process.describe());

        let metrics = Self {
            process,
            routes: ArcSwap::default(),
            elsewhere: make.route(OTHER),
            rules: ArcSwap::default(),
            route_labels: Mutex::default(),
            overhead: make.histogram(&OVERHEAD, &[]),
            sides: PerBackend::from_fn(|backend| make.side(backend)),
            refused: std::array::from_fn(|i| {
                let status = STATUSES.get(i).map(u16::to_string);
                make.counter(&REFUSED, &[("status", status.as_deref().unwrap_or(OTHER))])
            }),
            unsecured: Unsecured::ALL
                .map(|why| make.counter(&UNSECURED, &[("reason", why.name())])),
            certificates: Mutex::default(),
            percentage: make.gauge(&PERCENTAGE, &[]),
            phases: std::array::from_fn(|i| make.gauge(&PHASE, &[("phase", Phase::ALL[i].name())])),
            plan: PlanGauges::new(&make),
            stopped: make.gauge(&STOPPED, &[]),
            latched: make.gauge(&LATCHED, &[]),
            durable: make.gauge(&DURABLE, &[]),
            journal_matches: make.gauge(&JOURNAL_MATCHES, &[]),
            generation: make.gauge(&GENERATION, &[]),
            after_latch: make.counter(&AFTER_LATCH, &[]),
            verification: Step::ALL.map(|step| make.gauge(&VERIFICATION, &[("step", step.name())])),
            escalations: make.counter(&ESCALATIONS, &[]),
            tally_dropped: make.counter(&TALLY_DROPPED, &[]),
            table_size: make.gauge(&TABLE_SIZE, &[]),
            evictions: make.counter(&EVICTIONS, &[]),
            signatures_forgotten: make.counter(&SIGNATURES_FORGOTTEN, &[]),
            pins_loaded: make.counter(&PINS_LOADED, &[]),
            pins_unsaved: make.counter(&PINS_UNSAVED, &[]),
            mishaps: make.mishaps(),
            reload_ok: make.gauge(&RELOAD_OK, &[]),
            page: Mutex::default(),
            recorder,
        };
        metrics.reloaded(true);
        metrics.journal_matches(true);
        for backend in Backend::ALL {
            metrics.sides[backend].guard(&GuardStatus::default());
        }
        metrics.configure(routes, rules);
        metrics
    }

    /// Makes the routes and rules of a new configuration known. Series of the old
    /// one stay: a counter that vanishes looks like a restart.
    pub fn configure(&self, routes: &[&str], rules: &[Rule]) {
        let make = Make(&self.recorder);
        let mut labels = self.route_labels.lock();
        let series = routes.iter().map(|path| {
            let known = labels.contains(*path);
            if !known && labels.len() >= ROUTES_MAX {
                return Arc::new(make.route(OTHER));
            }
            labels.insert((*path).to_owned());
            Arc::new(make.route(path))
        });
        self.routes.store(Arc::new(series.collect()));

        // Old rules stay in the list, so that their gauges can be told that they
        // are no longer evaluated.
        let mut series = self.rules.load().as_ref().clone();
        for rule in rules {
            let old = series.iter().position(|known| known.name == rule.name);
            match old {
                Some(i) => series[i] = Arc::new(make.rule(rule)),
                None if series.len() < RULES_MAX => series.push(Arc::new(make.rule(rule))),
                None => {}
            }
        }
        self.rules.store(Arc::new(series));
    }

    /// The same as [`Metrics::render`], made once for each look of the engine: it
    /// takes a millisecond of the engine's own thread, and whoever reaches the
    /// metrics listener may ask as often as they like.
    pub fn page(&self) -> Bytes {
        let mut page = self.page.lock();
        page.get_or_insert_with(|| self.render().into()).clone()
    }

    /// Everything in the text format 0.0.4, with the process's own figures.
    pub fn render(&self) -> String {
        metrics::with_local_recorder(&self.recorder, || self.process.collect());
        self.recorder.handle().render()
    }

    /// Folds recorded times into their buckets. To be called every few seconds:
    /// without it each time is kept as it came until somebody scrapes.
    pub fn upkeep(&self) {
        self.recorder.handle().run_upkeep();
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The edges of every histogram: the fixed ones, and each response-time threshold.
fn edges(rules: &[Rule]) -> Vec<f64> {
    let thresholds = rules
        .iter()
        .filter(|rule| rule.measure.unit() == Unit::Millis)
        .map(|rule| rule.threshold / 1000.0)
        .filter(|edge| edge.is_finite() && *edge > 0.0);
    let mut edges: Vec<f64> = EDGES.into_iter().chain(thresholds).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    edges
}

const fn one_if(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests;
