//! A rollout played through before it happens: the real engine with the real tables,
//! simulated callers and simulated time.
//!
//! Nothing in the engine knows that it is played to: it is told what a proxy would tell
//! it and its effects are obeyed in their order, by a disk that never fails. What is
//! simulated is outside: who calls, how both backends do, what goes wrong, and an
//! operator who takes the steps a plan leaves to a person. Five weeks take seconds.
//!
//! Good for `switchback simulate`, the demo of presets, and the tests that play each
//! preset's plan. A forecast is a formula; this is the thing itself, and what both say
//! must agree.

mod faults;
mod lives;
mod outcome;
mod random;
pub mod scenario;
#[cfg(test)]
mod tests;
mod world;

use std::ops::ControlFlow;
use std::time::Duration;

pub use outcome::{Acts, Counts, Decision, Outcome, Passed, Seen, Trip};
pub use scenario::{
    Cadence, Callers, Edge, Fault, Habits, MONDAY, Operator, Scenario, Traffic, What, When,
    monday_in,
};

use crate::config::Config;
use crate::engine::{Notice, Settings, Status};
use crate::rollout::Entry;

/// Plays a scenario to its end, which is always reached: simulated time passes
/// whatever the engine does.
pub fn play(settings: &Settings, scenario: &Scenario, observer: &mut dyn Observer) -> Outcome {
    world::World::new(settings, scenario, observer).live()
}

/// What the engine obeys in a play of this configuration: the very same as in `run`.
pub fn settings(config: &Config) -> Settings {
    crate::serve::engine_settings(config)
}

/// Somebody who watches a play.
pub trait Observer {
    /// Wants to look next after so long, in simulated time, a tenth of a second at least;
    /// None: never again. Asked at the start and after each look.
    fn every(&self) -> Option<Duration> {
        None
    }

    /// Looks. A break ends the play.
    fn look(&mut self, _status: &Status, _seen: Seen, _counts: Counts) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// A rule began to trip.
    fn tripped(&mut self, _trip: &Trip) {}

    /// Something was decided.
    fn decided(&mut self, _entry: &Entry, _seen: Seen) {}

    /// People were told something.
    fn told(&mut self, _notice: &Notice, _seen: Seen) {}
}

/// Nobody watches.
impl Observer for () {}
