//! What is shown as it stands: the engine's status, the table, the gates, and what the
//! process says of itself.

use super::make::Make;
use super::names::CERTIFICATE_EXPIRY;
use super::{CERTIFICATES_MAX, Metrics, one_if};
use crate::engine::{Status, Verification};
use crate::gate::Counts;
use crate::model::Backend;
use crate::rollout::{Phase, Step};

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

impl Metrics {
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

    /// How many signatures were forgotten early, in all.
    pub fn signatures_forgotten(&self, count: u64) {
        self.signatures_forgotten.absolute(count);
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
}
