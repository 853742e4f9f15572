//! The calendar is stepped: by a person, by a time server, by a machine that slept. How
//! long a stage has run is counted by the monotonic clock; what is in the journal is
//! counted by the calendar and has to be moved along.

use std::time::Duration;

use super::super::{Effect, Engine};
use super::{Known, between};
use crate::model::{Tick, Wall};

/// From here on two clocks that part are a step and no drift, in milliseconds.
const STEP_MS: u64 = 2000;

/// A calendar that is stepped on and on is written down only so often; what was left out
/// comes with the next.
const AGAIN: Duration = Duration::from_secs(10);

/// Where both clocks stood when they last agreed.
#[derive(Debug)]
pub(super) struct Drift {
    tick: Tick,
    wall: Wall,
    told: Option<Tick>,
}

impl Drift {
    pub(super) const fn new(now: Tick, wall: Wall) -> Self {
        Self {
            tick: now,
            wall,
            told: None,
        }
    }

    /// How far the calendar went beyond the monotonic clock, in milliseconds.
    fn by(&self, now: Tick, wall: Wall) -> i64 {
        let passed = i64::try_from(now.since(self.tick).as_millis()).unwrap_or(i64::MAX);
        let shown = wall.0.saturating_sub(self.wall.0);
        shown.saturating_sub(passed)
    }
}

impl Engine {
    /// Before anything else is looked at: has the calendar been stepped?
    pub(in crate::engine) fn compare_clocks(
        &mut self,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let drift = &self.stages.drift;
        let by = drift.by(now, wall);
        let lately = drift.told.is_some_and(|told| now.since(told) < AGAIN);
        // Behind a raise on its way the entry would undo it for whoever reads them back.
        if by.unsigned_abs() <= STEP_MS || lately || self.pending.is_some() {
            return;
        }
        let entry = self.rollout.clock_stepped(by, wall);
        let moved = entry.before.stage != entry.after.stage;
        self.rollout.apply(&entry);
        self.record(entry, now, effects);
        self.stages.drift = Drift {
            told: Some(now),
            ..Drift::new(now, wall)
        };
        // The same stage, which began at another moment of the calendar.
        if let Some(standing) = self.rollout.stage() {
            let (number, since) = (standing.number, standing.since);
            self.evidence.calendar_stepped(by, number, since);
            if !moved {
                // How long it had run could not be told before.
                let soaked = self.stages.soaked(now).max(between(since, wall));
                (self.stages.soaked, self.stages.soaked_at) = (soaked, now);
            }
        }
        self.tell_when_gates_count();
        self.stages.known = self.rollout.stage().map(|standing| Known {
            stage: standing.stage.clone(),
            since: standing.since,
        });
    }
}
