//! What came of a play: when each rule tripped, what it cost, and where it ended.

use std::time::Duration;

use crate::engine::Status;
use crate::model::{PerBackend, Percentage, Wall};
use crate::rollout::{Action, Entry, Phase};

/// Most trips that are kept; later ones are only counted by their rules' own notices.
pub(super) const TRIPS_MAX: usize = 10_000;

/// What came of a play.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How long it was, in simulated time.
    pub lasted: Duration,
    /// When the first fault began, since the beginning.
    pub fault_at: Option<Duration>,
    /// Each time a rule began to trip, in order.
    pub trips: Vec<Trip>,
    /// Every decision but the hours that were added up, with what it had cost by then.
    pub decisions: Vec<Decision>,
    /// The stages that began, in order.
    pub stages: Vec<Passed>,
    /// Everything that went into the journal.
    pub journal: Vec<Entry>,
    /// How many looks the engine took.
    pub looks: u64,
    /// What was counted, over all of it.
    pub counts: Counts,
    /// What operators would see at the end.
    pub status: Status,
}

/// A rule began to trip.
#[derive(Clone, Debug, PartialEq)]
pub struct Trip {
    /// Its name.
    pub rule: String,
    /// What people were told.
    pub text: String,
    /// When, and what it had cost by then.
    pub seen: Seen,
}

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// As the journal has it.
    pub entry: Entry,
    /// When, and what it had cost by then.
    pub seen: Seen,
}

/// A moment of the play.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Since the beginning.
    pub at: Duration,
    /// By the calendar.
    pub wall: Wall,
    /// Since the first caller met the fault; None before.
    pub since_fault: Option<Duration>,
    /// Calls begun on the side of the fault since then, that first one among them.
    pub calls: u64,
    /// Callers who have met the fault.
    pub met: u64,
    /// Those of them whom legacy served all the same.
    pub rescued: u64,
}

/// A stage that began.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// Its name.
    pub name: String,
    /// Its share of new.
    pub percentage: Percentage,
    /// When it began.
    pub at: Duration,
    /// The same by the calendar.
    pub wall: Wall,
    /// How long it ran; None: it still does.
    pub lasted: Option<Duration>,
    /// Calls begun on new in it.
    pub calls: u64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls begun on each side.
    pub calls: PerBackend<u64>,
    /// Callers who met a fault.
    pub met: u64,
    /// Callers whose backend failed and whom legacy served.
    pub rescued: u64,
    /// Callers whom nobody answered.
    pub lost: u64,
    /// Calls that began while a latch was on and reached new all the same; must be 0.
    pub after_latch: u64,
}

impl Outcome {
    /// The first reversal.
    pub fn reversal(&self) -> Option<&Decision> {
        self.first(|action| matches!(action, Action::Reverse { .. }))
    }

    /// The first step back by a rule.
    pub fn step_back(&self) -> Option<&Decision> {
        self.first(|action| matches!(action, Action::StepBack { .. }))
    }

    /// The first tenant that a rule rolled back.
    pub fn disabled_tenant(&self) -> Option<&Decision> {
        self.first(|action| matches!(action, Action::DisableTenant { .. }))
    }

    /// How often a rule acted: reversed, stepped back, or rolled a tenant back.
    pub fn acts(&self) -> Acts {
        Acts::of(&self.decisions)
    }

    /// How often a rule acted before anything was wrong.
    pub fn false_acts(&self) -> Acts {
        let wrong = self.fault_at.unwrap_or(Duration::MAX);
        Acts::of(self.decisions.iter().filter(|it| it.seen.at < wrong))
    }

    /// The first time this rule tripped.
    pub fn trip(&self, rule: &str) -> Option<&Trip> {
        self.trips.iter().find(|trip| trip.rule == rule)
    }

    /// Did the rollout come to its end?
    pub fn is_complete(&self) -> bool {
        self.status.phase == Phase::Complete
    }

    fn first(&self, is: impl Fn(&Action) -> bool) -> Option<&Decision> {
        self.decisions
            .iter()
            .find(|decision| is(&decision.entry.action))
    }
}

/// How often rules acted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acts {
    /// Everything to legacy.
    pub reversals: u32,
    /// One stage back.
    pub steps_back: u32,
    /// One tenant to legacy.
    pub tenants: u32,
}

impl Acts {
    fn of<'a>(decisions: impl IntoIterator<Item = &'a Decision>) -> Self {
        let mut acts = Self::default();
        for decision in decisions {
            match decision.entry.action {
                Action::Reverse { .. } => acts.reversals += 1,
                Action::StepBack { .. } => acts.steps_back += 1,
                Action::DisableTenant { .. } => acts.tenants += 1,
                _ => {}
            }
        }
        acts
    }
}
