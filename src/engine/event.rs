//! What goes into the engine and what comes out of it.

use super::{Reported, Settings};
use crate::breaker;
use crate::document::FlawSet;
use crate::engine::Done;
use crate::measure::Observation;
use crate::model::{PerBackend, Percentage};
use crate::rollout::{Entry, Moment, Order, Refusal, Reread, RestoreOrder};
use crate::split::Split;
use crate::split::tenants::Names;

/// Names an order whose giver waits for an answer.
pub type Ticket = u64;

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A tenth of a second went by.
    Tick {
        /// What requests and calls told since the last one.
        observations: &'a [Observation],
        /// Calls begun and not ended.
        active: PerBackend<u64>,
        /// What tenants are called.
        names: &'a dyn Names,
    },
    /// Somebody asks for something.
    Order {
        /// To answer under.
        ticket: Ticket,
        /// What, by whom, why.
        order: Order,
    },
    /// Something was reported from outside.
    Report(Reported),
    /// The process stops, and hears nothing after this. To be told when no raise is on
    /// its way any more ([`Engine::is_waiting`](super::Engine::is_waiting)): the running
    /// hour is recorded behind one.
    Ending,
    /// The configuration file was read again and is sound; by whom, and what is different.
    Reload(Box<Settings>, Reread),
    /// The journal has this entry on disk.
    Recorded {
        /// Of the entry.
        sequence: u64,
    },
    /// The journal gave this entry up: it is not on disk and will not be.
    NotRecorded {
        /// Of the entry.
        sequence: u64,
        /// What the disk said.
        why: String,
    },
    /// The latch file is cleared.
    Unlatched,
    /// The latch file could not be cleared, and stands.
    NotUnlatched {
        /// What the disk said.
        why: String,
    },
    /// Whether everything that was decided is on disk.
    Durable(bool),
    /// Data is being restored from a backup, or that is over. Not to be told while a
    /// raise is on its way ([`Engine::is_waiting`](super::Engine::is_waiting)): the entry
    /// says how things stand.
    Data {
        /// Who waits for the answer.
        ticket: Option<Ticket>,
        /// Which backup, who and why; at its end, how it went.
        order: RestoreOrder,
        /// Did it work? None: it begins.
        ok: Option<bool>,
    },
    /// What lies outside was told or asked, and this came of it.
    Hooked {
        /// Of [`Effect::Hook`].
        id: u64,
        /// Err: why it failed, for people.
        result: Result<(), String>,
    },
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Requests see this from now on.
    Publish(Split),
    /// Requests see these breakers from now on.
    Breakers(PerBackend<breaker::State>),
    /// Legacy's own habits changed: these flaws are warnings only.
    Habits(FlawSet),
    /// Overwrite the latch file: a restart finds the line on legacy.
    Latch {
        /// Why, in one sentence.
        reason: String,
    },
    /// Clear the latch file.
    Unlatch,
    /// Append to the journal. A step toward legacy is tried until it succeeds; a
    /// raise is given up when the disk refuses it.
    Record(Box<Entry>),
    /// Forget the pins that only events have made.
    DropProvisional,
    /// Answer whoever asked.
    Reply {
        /// Who.
        ticket: Ticket,
        /// What came of it.
        result: Result<Done, Refusal>,
    },
    /// A rule sent everything to legacy.
    Reversed {
        /// Its name.
        rule: String,
    },
    /// Tell people.
    Say(Notice),
    /// Tell or ask what lies outside; answered by [`Event::Hooked`].
    Hook(Hook),
}

/// Something outside that is told or asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// To answer under.
    pub id: u64,
    /// When.
    pub moment: Moment,
    /// The stage it is about: that begins, was left, or was run when it happened.
    pub stage: Option<String>,
    /// The one tenant it is about.
    pub tenant: Option<String>,
    /// The share of new that follows.
    pub percentage: Percentage,
    /// Why, in one sentence.
    pub reason: String,
}

/// Something people should read.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// How urgent.
    pub severity: Severity,
    /// The rule it is about, if it is about one.
    pub rule: Option<String>,
    /// One sentence.
    pub text: String,
}

/// How urgent a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For the record.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must look.
    Critical,
}
