//! The one place that says how a webhook went: exactly once, whatever happens.
//!
//! A guard that lives as long as the request. When it is dropped unsettled, the
//! provider hung up (hyper dropped the request) or we panicked, and that is said
//! too: a backend that lets callers wait until they hang up must not look good.

use std::rc::Rc;
use std::time::Duration;

use crate::calls::Call;
use crate::clock;
use crate::document::{Does, Judgement};
use crate::measure::{Answered, Cause, Fault, Kind, Observation, Outcome, Placed, Voice};
use crate::model::Tick;
use crate::proxy::upstream::Failure;
use crate::proxy::worker::Worker;
use crate::table::Seat;

/// A provider that hangs up after this long has been let down by the backend.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of a webhook when it is about to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Webhook {
    /// Its route's number.
    pub(super) route: u16,
    /// Whether a caller waits.
    pub(super) kind: Kind,
    /// It carried a speech result.
    pub(super) speech: Option<bool>,
    /// It carried the first choice from a menu.
    pub(super) choice: Option<u8>,
    /// It is evidence: genuine as far as the route can tell, and told for the first
    /// time.
    pub(super) counts: bool,
    /// Its path is one of those at which the caller is served.
    pub(super) reaches_served: bool,
    /// When all of it had arrived.
    pub(super) arrived: Tick,
    /// When it was ready to be sent.
    pub(super) ready: Tick,
}

/// An account that is open until it is settled.
#[derive(Debug)]
pub(super) struct Account {
    worker: Rc<Worker>,
    webhook: Webhook,
    seat: Seat,
    /// The call as it was before another backend took it over.
    former: Option<Call>,
    data_us: Option<u32>,
    /// It waits for a place at its backend.
    lined_up: bool,
    placed: bool,
    open: bool,
}

impl Account {
    /// Opens the account of a webhook.
    pub(super) const fn open(worker: Rc<Worker>, webhook: Webhook, seat: Seat) -> Self {
        Self {
            worker,
            webhook,
            seat,
            former: None,
            data_us: None,
            lined_up: false,
            placed: false,
            open: true,
        }
    }

    /// It was placed anew before anything left.
    pub(super) const fn reseat(&mut self, seat: Seat) {
        self.seat = seat;
    }

    /// Its place.
    pub(super) const fn seat(&self) -> Seat {
        self.seat
    }

    /// It lines up for a place at its backend, or has got one.
    pub(super) const fn lines_up(&mut self, lined_up: bool) {
        self.lined_up = lined_up;
    }

    /// Has no byte of it left, although it had a place?
    pub(super) const fn is_unreached(&self) -> bool {
        !self.placed && !self.lined_up
    }

    /// How it failed, if there is no more time for it now. What waited for our own gate
    /// all the while never came to the backend.
    pub(super) const fn out_of_time(&self) -> Failure {
        if self.lined_up {
            Failure::kept(Cause::Full)
        } else {
            Failure::timeout()
        }
    }

    /// Another backend has its call from now on; what is still to be told here is about
    /// the call as it was.
    pub(super) fn leave(&mut self, former: Option<Call>) {
        self.former = former;
    }

    /// The first byte leaves for the seat's backend.
    pub(super) fn sent(&mut self, seat: Seat, starts: bool, after_latch: bool) {
        self.seat = seat;
        self.place(starts, after_latch);
    }

    /// The backend says how long its data took, in microseconds.
    pub(super) const fn took(&mut self, data_us: Option<u32>) {
        self.data_us = data_us;
    }

    /// How it went, once the last byte was there or the failure was certain
    /// (`at`). `judgement` is what the document was found to be.
    pub(super) fn settle(&mut self, outcome: Outcome, judgement: Judgement, at: Tick) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        self.place(false, false);
        let latency = at.since(self.webhook.ready);
        let total = clock::tick().since(self.webhook.arrived);
        let voice = self.voice(outcome, judgement.does, at);
        let answered = Answered {
            at,
            backend: self.seat.placement.backend,
            route: self.webhook.route,
            kind: self.webhook.kind,
            outcome,
            latency_us: has_latency(outcome).then(|| micros(latency)),
            overhead_us: micros(total.saturating_sub(latency)),
            flaw: judgement.flaw,
            voice,
            speech: self.webhook.speech,
            choice: self.webhook.choice,
            data_us: self.data_us,
            counts: self.webhook.counts,
            generation: self.seat.generation,
            call: self.seat.key,
        };
        self.worker.note(Observation::Answered(answered));
    }

    /// It failed, and there is no document to speak of.
    pub(super) fn fail(&mut self, cause: Cause) {
        self.settle(Outcome::Failed(cause), Judgement::default(), clock::tick());
    }

    fn place(&mut self, starts: bool, after_latch: bool) {
        if std::mem::replace(&mut self.placed, true) {
            return;
        }
        self.worker.note(Observation::Placed(Placed {
            at: self.webhook.ready,
            placement: self.seat.placement,
            call: self.seat.key,
            begins: self.seat.begins,
            after_latch,
            starts,
        }));
    }

    /// The call's voice. Only what a caller waited for has one, what is no evidence has
    /// none, and what was not the backend's doing is neither good nor bad.
    fn voice(&mut self, outcome: Outcome, does: Does, at: Tick) -> Option<Voice> {
        if self.webhook.kind != Kind::Voice || !self.webhook.counts {
            return None;
        }
        let failed = match outcome {
            Outcome::Served => Some(false),
            Outcome::Failed(cause) => (cause.fault() == Fault::Backend).then_some(true),
        };
        let served = self.webhook.reaches_served;
        if let Some(former) = &mut self.former {
            return former.heard(failed, does, served, at);
        }
        let table = &self.worker.shared.table;
        table.heard(&self.seat, failed, does, served, at)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let cause = if std::thread::panicking() {
            Cause::Internal
        } else if clock::tick().since(self.webhook.ready) >= PATIENCE {
            Cause::Abandoned
        } else {
            Cause::ClientGone
        };
        self.fail(cause);
    }
}

/// Has this outcome a response time? Dying at once is not answering fast.
const fn has_latency(outcome: Outcome) -> bool {
    !matches!(
        outcome,
        Outcome::Failed(
            Cause::Connect
                | Cause::Reset
                | Cause::Stale
                | Cause::Malformed
                | Cause::Internal
                | Cause::Breaker
                | Cause::Full
        )
    )
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}
