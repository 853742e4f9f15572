//! The recorded day: what the tables were held against, kept so that other tables can be
//! held against it.
//!
//! One JSON line for each observation that a row can judge, with its moment, and between
//! them the engine's ticks with what a judgement needs besides: calls in progress, and when
//! the epoch of evidence began. Written by [`Recorder`], read back by [`read`].
//!
//! No number, call id, tenant or pressed key stands in it. Calls and tenants are hashes
//! keyed with the installation's secret: one caller's lines belong together, and nobody
//! who lacks the secret can say whose they are.

mod line;
mod read;
pub mod rotating;

pub use read::{LINE_MAX, Recording, read};

use std::sync::Arc;
use std::time::Duration;

use crate::measure::{Observation, ReportKind};
use crate::model::{Backend, PerBackend, Percentage, TenantKey, Tick, Wall};
use line::Scribe;

/// Something that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// When it happened, by the calendar of the machine that recorded it.
    pub at: Wall,
    /// What.
    pub what: What,
}

/// What is recorded. Ticks in it are those of the process that recorded it; a process
/// begins anew with small ones.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A request, a call's end or a health check told it. Tenants are hashed once more,
    /// and what no row judges is left out: the pressed key, the time in the proxy.
    Observation(Observation),
    /// Somebody told it about a backend.
    Report(Report),
    /// The engine looked: everything up to the next tick was heard at this one.
    Tick {
        /// Its moment.
        tick: Tick,
        /// Calls begun and not ended.
        active: PerBackend<u64>,
    },
    /// What was in force from the next tick on.
    State(State),
    /// So many lines are missing before this one: the disk was full or too slow.
    Lost(u64),
}

/// What somebody outside reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// About whom.
    pub backend: Backend,
    /// What.
    pub kind: ReportKind,
    /// Of whom, if that was said.
    pub tenant: Option<TenantKey>,
    /// A hash of its id, if it had one: the same id counts once.
    pub id: Option<u64>,
}

/// What is in force: under which the tables judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// When the epoch of evidence began.
    pub epoch: Tick,
    /// Nothing that was placed under this generation or before it counts for new.
    pub spent: u64,
    /// Generation of the routing.
    pub generation: u64,
    /// The share of new.
    pub percentage: Percentage,
    /// All new calls to legacy.
    pub latched: bool,
    /// First 12 hex digits of the configuration's hash.
    pub config: Arc<str>,
}

/// The engine's moment and what it knew.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// By the process's own clock.
    pub now: Tick,
    /// By the calendar.
    pub wall: Wall,
    /// Calls begun and not ended.
    pub active: PerBackend<u64>,
    /// In force when it looked, before anything followed from that.
    pub state: &'a State,
}

/// With nothing to tell a tick is written this often, so that a reader knows that nothing
/// happened and that nothing is missing.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// Makes lines of what happened.
#[derive(Debug)]
pub struct Recorder {
    scribe: Scribe,
    state: Option<State>,
    active: Option<PerBackend<u64>>,
    last: Option<Tick>,
}

impl Recorder {
    /// One with this installation's secret.
    pub const fn new(seed: u64) -> Self {
        Self {
            scribe: Scribe::new(seed),
            state: None,
            active: None,
            last: None,
        }
    }

    /// What comes next begins a file: it says again what is in force.
    pub fn begin_file(&mut self) {
        self.state = None;
        self.active = None;
        self.last = None;
    }

    /// Is this recorded at all?
    pub const fn takes(observation: &Observation) -> bool {
        matches!(
            observation,
            Observation::Placed(_)
                | Observation::Answered(_)
                | Observation::Ended(_)
                | Observation::Health(_)
                | Observation::Rescued(_)
        )
    }

    /// The lines of one tick; none where nothing happened and none is due.
    pub fn tick(
        &mut self,
        into: &mut Vec<u8>,
        moment: &Moment<'_>,
        observations: &[Observation],
        reports: &[Report],
    ) {
        let told = !reports.is_empty() || observations.iter().any(Self::takes);
        let changed =
            self.state.as_ref() != Some(moment.state) || self.active != Some(moment.active);
        let due = (self.last).is_none_or(|last| moment.now.since(last) >= HEARTBEAT);
        if !told && !changed && !due {
            return;
        }
        self.last = Some(moment.now);
        if self.state.as_ref() != Some(moment.state) {
            self.state = Some(moment.state.clone());
            self.scribe.state(into, moment);
        }
        let active = (self.active != Some(moment.active)).then_some(moment.active);
        self.active = Some(moment.active);
        self.scribe.tick(into, moment, active);
        for report in reports {
            self.scribe.report(into, moment, report);
        }
        for observation in observations {
            self.scribe.observation(into, moment, observation);
        }
    }

    /// Says that lines are missing.
    pub fn lost(&self, into: &mut Vec<u8>, wall: Wall, lines: u64) {
        self.scribe.lost(into, wall, lines);
    }

    /// A report as it is recorded; its id is hashed.
    pub fn report(
        &self,
        (backend, kind): (Backend, ReportKind),
        tenant: Option<TenantKey>,
        id: Option<&str>,
    ) -> Report {
        Report {
            backend,
            kind,
            tenant,
            id: id.map(|id| self.scribe.hash(id.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests;
