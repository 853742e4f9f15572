//! One call's life: its webhooks, its voices, its end.
//!
//! What is told of it is what the table and the account of a real request tell: one
//! good and one failed voice in each of its minutes, an end once, and a rescue as the
//! loss of new.

use std::time::Duration;

use crate::measure::Voice;
use crate::model::{Backend, TenantKey, Tick};
use crate::split::Placement;

/// A call that is going on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    /// The place of its tenant among the callers.
    pub(super) tenant: usize,
    pub(super) key: TenantKey,
    /// Where it was placed, and who answers it now.
    pub(super) placement: Placement,
    pub(super) backend: Backend,
    pub(super) generation: u64,
    pub(super) began: Tick,
    /// Webhooks asked so far.
    pub(super) asked: u8,
    /// Its luck, from 0 to 1: it is among the share that fails, and among those who
    /// hang up.
    pub(super) luck: f64,
    pub(super) patience: f64,
    /// Its backend has answered it soundly.
    pub(super) answered: bool,
    /// Its caller has met a fault.
    pub(super) met: bool,
    /// Its caller waits until served.
    pub(super) stays: bool,
    /// A webhook failed and nobody else answered.
    pub(super) lost: bool,

    good: Option<Tick>,
    failed: Option<Tick>,
}

impl Life {
    pub(super) const fn new(
        tenant: usize,
        key: TenantKey,
        placement: Placement,
        generation: u64,
        now: Tick,
        (luck, patience): (f64, f64),
    ) -> Self {
        Self {
            tenant,
            key,
            placement,
            backend: placement.backend,
            generation,
            began: now,
            asked: 0,
            luck,
            patience,
            answered: false,
            met: false,
            stays: true,
            lost: false,
            good: None,
            failed: None,
        }
    }

    /// At most one good and one failed voice in each of its minutes.
    pub(super) fn voice(&mut self, failed: bool, at: Tick) -> Option<Voice> {
        const MINUTE: Duration = Duration::from_secs(60);
        let minute = |tick: Tick| tick.since(self.began).as_micros() / MINUTE.as_micros();
        let last = if failed { self.failed } else { self.good };
        if last.is_some_and(|last| minute(last) == minute(at)) {
            return None;
        }
        let voice = Voice {
            tenant: self.key,
            failed,
            previous: self.good.max(self.failed),
            previous_failed: self.failed,
        };
        if failed {
            self.failed = Some(at);
        } else {
            self.good = Some(at);
        }
        Some(voice)
    }

    /// Legacy has it from now on, where it has had no voice.
    pub(super) const fn leave(&mut self) {
        self.backend = Backend::Legacy;
        (self.good, self.failed) = (None, None);
    }
}
