//! Every metric name, once, and the exporter behind `/metrics`.
//!
//! The recorder is our own, not the process's: several can live side by side,
//! and nothing else in the program can add a series. Every series is registered
//! when its labels become known, and exists from then on, because a series that
//! appears with its first error hides that error from `rate()`.
//!
//! Never a tenant, a call id or a number as a label. The number of series is
//! bounded by [`ROUTES_MAX`] and [`RULES_MAX`] and by nothing a caller can send.

mod make;
mod names;
mod plan;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use metrics::{Counter, Gauge, Histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use parking_lot::Mutex;

use self::make::{Make, describe, outcome_index};
use self::names::*;
use self::plan::PlanGauges;
use crate::breaker;
use crate::document::Flaw;
use crate::engine::{GuardStatus, RuleStatus, Status, Verification};
use crate::gate::Counts;
use crate::health;
use crate::measure::{
    Answered, CallEnd, Cause, Found, Kind, MENU_KEYS, Observation, Placed, RescueResult, Streamed,
    Unsecured, menu_place,
};
use crate::model::{Backend, PerBackend};
use crate::rollout::{Action, Phase, Step};
use crate::rules::{Rule, Unit};
use crate::split::Because;

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

/// Reasons of a placement, in the order of the enum, so that one is found by its
/// position.
const BECAUSE: [(Because, &str); 17] = [
    (Because::Pinned, "pinned"),
    (Because::Inherited, "inherited"),
    (Because::Claimed, "claimed"),
    (Because::Token, "token"),
    (Because::Latched, "latched"),
    (Because::Off, "off"),
    (Because::Disabled, "disabled"),
    (Because::Enabled, "enabled"),
    (Because::Hashed, "hashed"),
    (Because::Unlisted, "unlisted"),
    (Because::Unplaced, "unplaced"),
    (Because::Late, "late"),
    (Because::Orphan, "orphan"),
    (Because::Unrecognized, "unrecognized"),
    (Because::Rescued, "rescued"),
    (Because::Moved, "moved"),
    (Because::Stopped, "stopped"),
];

/// Served, then every cause.
const OUTCOMES: usize = 1 + Cause::ALL.len();

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

/// What went wrong since the process began that is no backend's and no caller's fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// Providers' connections that could not be taken.
    pub accept_errors: u64,
    /// Those closed as they came: their source had enough.
    pub connections_refused: u64,
    /// Connections to backends for which no local port was left.
    pub ports: u64,
    /// Those for which no descriptor was left.
    pub descriptors: u64,
    /// Requests that made us panic.
    pub panics: u64,
    /// Workers that ended by themselves and were replaced.
    pub workers_replaced: u64,
    /// Lines that are not in the access log.
    pub access_log_dropped: u64,
    /// Lines that are not in the recording.
    pub outcomes_dropped: u64,
    /// Lines that are not in the decision trace.
    pub decisions_dropped: u64,
}

struct MishapSeries {
    accept_errors: Counter,
    connections_refused: Counter,
    ports: Counter,
    descriptors: Counter,
    panics: Counter,
    workers_replaced: Counter,
    access_log_dropped: Counter,
    outcomes_dropped: Counter,
    decisions_dropped: Counter,
}

struct RouteSeries {
    webhooks: PerBackend<[[Counter; OUTCOMES]; 2]>,
    duration: PerBackend<Histogram>,
    signatures: [Counter; Found::ALL.len()],
    uncounted: Counter,
    rescues: [Counter; RescueResult::ALL.len()],
}

struct StreamSeries {
    opened: Counter,
    refused: Counter,
    active: Gauge,
}

struct GateSeries {
    cap: Gauge,
    in_flight: Gauge,
    most: Gauge,
    queued: Gauge,
    turned_away: [Counter; 2],
}

struct SideSeries {
    placements: [Counter; BECAUSE.len()],
    begun: Counter,
    ends: [Counter; CallEnd::ALL.len()],
    flawed: [Counter; Flaw::ALL.len()],
    active: Gauge,
    breaker: [Gauge; breaker::State::ALL.len()],
    opens: Counter,
    up: Gauge,
    checks: [Counter; health::Answer::NAMES.len()],
    choices: [Counter; MENU_KEYS.len()],
    data_query: Histogram,
    connect: Histogram,
    streams: StreamSeries,
    gate: GateSeries,
}

struct RuleSeries {
    name: String,
    value: Gauge,
    threshold: Gauge,
    samples: Gauge,
    firing: Gauge,
    reversals: Option<Counter>,
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

    /// Counts one observation. A few atomic adds: the engine calls it for each
    /// request of the last hundred milliseconds.
    pub fn observe(&self, observation: &Observation) {
        match observation {
            Observation::Answered(answered) if !observation.is_evidence() => {
                self.on_route(answered.route, |route| route.uncounted.increment(1));
            }
            Observation::Answered(answered) => self.answered(answered),
            Observation::Placed(placed) => self.placed(placed),
            Observation::Ended(ended) => {
                self.sides[ended.backend].ends[ended.end as usize].increment(1);
            }
            Observation::Checked(checked) => self.on_route(checked.route, |route| {
                route.signatures[checked.found as usize].increment(1);
            }),
            Observation::Connected { backend, took_us } => {
                self.sides[*backend].connect.record(seconds(*took_us));
            }
            Observation::Stream { backend, what } => {
                let streams = &self.sides[*backend].streams;
                match what {
                    Streamed::Opened => streams.opened.increment(1),
                    Streamed::Refused => streams.refused.increment(1),
                    // How many are open is the engine's to say, as with calls.
                    Streamed::Closed => {}
                }
            }
            Observation::Rescued(rescued) => self.on_route(rescued.route, |route| {
                route.rescues[rescued.result as usize].increment(1);
            }),
            Observation::Health(told) => {
                let checks = &self.sides[told.backend].checks;
                let mut names = health::Answer::NAMES.iter();
                // What no name stands for does not occur: the system's own failures are
                // no answers.
                let place = names.position(|name| *name == told.answer.name());
                if let Some(counter) = place.and_then(|place| checks.get(place)) {
                    counter.increment(1);
                }
            }
            Observation::Unsecured(why) => self.unsecured[*why as usize].increment(1),
            Observation::Refused { status } => {
                let known = STATUSES.iter().position(|known| known == status);
                self.refused[known.unwrap_or(STATUSES.len())].increment(1);
            }
        }
    }

    fn answered(&self, answered: &Answered) {
        self.on_route(answered.route, |route| {
            route.webhooks[answered.backend][answered.kind as usize]
                [outcome_index(answered.outcome)]
            .increment(1);
            // Only what a caller waits for, so that a dashboard and a rule agree.
            if let (Kind::Voice, Some(latency_us)) = (answered.kind, answered.latency_us) {
                route.duration[answered.backend].record(seconds(latency_us));
            }
        });
        self.overhead.record(seconds(answered.overhead_us));
        let side = &self.sides[answered.backend];
        if let Some(flaw) = answered.flaw {
            side.flawed[flaw as usize].increment(1);
        }
        if let Some(place) = answered.choice.and_then(menu_place) {
            side.choices[place].increment(1);
        }
        if let Some(data_us) = answered.data_us {
            side.data_query.record(seconds(data_us));
        }
    }

    /// Counts on a route's series; a number that no route has counts under `other`.
    fn on_route(&self, number: u16, count: impl FnOnce(&RouteSeries)) {
        let routes = self.routes.load();
        let route = routes.get(usize::from(number));
        count(route.map_or(&self.elsewhere, AsRef::as_ref));
    }

    fn placed(&self, placed: &Placed) {
        let side = &self.sides[placed.placement.backend];
        side.placements[placed.placement.because as usize].increment(1);
        if placed.begins {
            side.begun.increment(1);
        }
        if placed.after_latch {
            self.after_latch.increment(1);
        }
    }

    /// Sets the gauges to what the engine says now.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floats; counts beyond 2^53 do not occur"
    )]
    pub fn status(&self, status: &Status) {
        self.percentage.set(status.percentage.as_f64());
        for (gauge, phase) in self.phases.iter().zip(Phase::ALL) {
            gauge.set(one_if(status.phase == phase));
        }
        self.plan.show(status.plan.as_ref());
        self.stopped.set(one_if(status.stopped));
        self.latched.set(one_if(status.latched));
        let seen = status.verification.as_ref();
        for (gauge, step) in self.verification.iter().zip(Step::ALL) {
            let taken = |seen: &Verification| seen.steps.iter().any(|taken| taken.step == step);
            gauge.set(one_if(seen.is_some_and(taken)));
        }
        self.durable.set(one_if(status.durable));
        self.generation.set(status.generation as f64);
        for backend in Backend::ALL {
            let (side, told) = (&self.sides[backend], &status.backends[backend]);
            side.active.set(told.calls_active as f64);
            side.streams.active.set(told.streams_active as f64);
            side.guard(&status.guards[backend]);
        }
        for series in self.rules.load().iter() {
            let rule = status
                .rules
                .iter()
                .find(|rule| rule.finding.rule == series.name);
            series.show(rule);
        }
        self.page.lock().take();
    }

    /// Counts a reversal by that rule. A rule without a series is not counted.
    pub fn reversal(&self, rule: &str) {
        let rules = self.rules.load();
        let counter = rules
            .iter()
            .find(|series| series.name == rule)
            .and_then(|series| series.reversals.as_ref());
        if let Some(counter) = counter {
            counter.increment(1);
        }
    }

    /// Counts an action that goes into the journal, where it is counted.
    pub fn recording(&self, action: &Action) {
        if let Action::Verification {
            step: Step::Escalated,
            ..
        } = action
        {
            self.escalations.increment(1);
        }
    }

    /// Counts observations the tally had to drop.
    pub fn tally_dropped(&self, count: u64) {
        self.tally_dropped.increment(count);
    }

    /// How many signatures were forgotten early, in all.
    pub fn signatures_forgotten(&self, count: u64) {
        self.signatures_forgotten.absolute(count);
    }

    /// Shows the call table: calls in it now, calls put out of it since the
    /// process began.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the table is bounded far below 2^53"
    )]
    pub fn table(&self, size: u64, evictions: u64) {
        self.table_size.set(size as f64);
        self.evictions.absolute(evictions);
    }

    /// Shows how much is on its way to a backend, and how much was turned away since the
    /// process began.
    #[expect(clippy::cast_precision_loss, reason = "a gate counts far below 2^53")]
    pub fn gate(&self, backend: Backend, counts: &Counts) {
        let series = &self.sides[backend].gate;
        series.cap.set(counts.cap.unwrap_or(0) as f64);
        series.in_flight.set(counts.in_flight as f64);
        series.most.set(counts.most as f64);
        series.queued.set(counts.queued as f64);
        let turned_away = [counts.voice_turned_away, counts.events_turned_away];
        for (series, count) in series.turned_away.iter().zip(turned_away) {
            series.absolute(count);
        }
    }

    /// Counts pins read back at the start.
    pub fn pins_loaded(&self, count: u64) {
        self.pins_loaded.increment(count);
    }

    /// Shows the pins that could not be saved since the process began.
    pub fn pins_unsaved(&self, total: u64) {
        self.pins_unsaved.absolute(total);
    }

    /// Shows what went wrong by our own doing.
    pub fn mishaps(&self, told: &Mishaps) {
        let series = &self.mishaps;
        series.accept_errors.absolute(told.accept_errors);
        series
            .connections_refused
            .absolute(told.connections_refused);
        series.ports.absolute(told.ports);
        series.descriptors.absolute(told.descriptors);
        series.panics.absolute(told.panics);
        series.workers_replaced.absolute(told.workers_replaced);
        series.access_log_dropped.absolute(told.access_log_dropped);
        series.outcomes_dropped.absolute(told.outcomes_dropped);
        series.decisions_dropped.absolute(told.decisions_dropped);
    }

    /// Shows until when each certificate is good, in seconds since 1970, by its place
    /// in the configuration. One that is no longer used is NaN.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floats; dates beyond 2^53 seconds do not occur"
    )]
    pub fn certificates(&self, shown: &[(String, i64)]) {
        let make = Make(&self.recorder);
        let mut known = self.certificates.lock();
        for (_, gauge) in known
            .iter()
            .filter(|(label, _)| !shown.iter().any(|(it, _)| it == *label))
        {
            gauge.set(f64::NAN);
        }
        for (label, not_after) in shown.iter().take(CERTIFICATES_MAX) {
            let gauge = known
                .entry(label.clone())
                .or_insert_with(|| make.gauge(&CERTIFICATE_EXPIRY, &[("certificate", label)]));
            gauge.set(*not_after as f64);
        }
        drop(known);
        self.page.lock().take();
    }

    /// Says whether the journal, read back, folds to what runs.
    pub fn journal_matches(&self, matches: bool) {
        self.journal_matches.set(one_if(matches));
        self.page.lock().take();
    }

    /// Says whether the last reading of the configuration file was taken.
    pub fn reloaded(&self, successful: bool) {
        self.reload_ok.set(one_if(successful));
        self.page.lock().take();
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

impl SideSeries {
    fn guard(&self, guard: &GuardStatus) {
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

impl RuleSeries {
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floats; counts beyond 2^53 do not occur"
    )]
    fn show(&self, rule: Option<&RuleStatus>) {
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

fn seconds(micros: u32) -> f64 {
    f64::from(micros) / 1e6
}

const fn one_if(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests;
