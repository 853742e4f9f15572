//! What is counted as it happens: observations first of all, many a second.

use super::make::outcome_index;
use super::series::RouteSeries;
use super::{Metrics, STATUSES};
use crate::health;
use crate::measure::{Answered, Kind, Observation, Placed, Streamed, menu_place};
use crate::rollout::{Action, Step};

impl Metrics {
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

    /// Counts pins read back at the start.
    pub fn pins_loaded(&self, count: u64) {
        self.pins_loaded.increment(count);
    }
}

fn seconds(micros: u32) -> f64 {
    f64::from(micros) / 1e6
}
