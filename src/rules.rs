//! The tables: a condition on a measure over a span, and what follows from it.
//!
//! A row gives one of three verdicts. Too little evidence is its own answer: it
//! neither advances nor reverses, and says how much is missing.

#[cfg(test)]
mod alone;
pub mod blind;
pub mod compare;
#[cfg(test)]
mod compared;
#[cfg(test)]
mod day;
mod each;
#[cfg(test)]
mod ended;
pub mod evidence;
mod finding;
#[cfg(test)]
mod judging;
#[cfg(test)]
mod lasting;
mod long;
mod measures;
mod one_tenant;
pub mod reading;
mod relative;
mod row;
#[cfg(test)]
mod tables;
pub mod words;

pub use finding::{Finding, Verdict};
pub use measures::{Measure, Unit};

use std::time::Duration;

use crate::measure::window::LONGEST;
use crate::split::Live;

/// One row of the reversal table or of the alert table.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name in status, metrics, journal and logs; unique over both tables.
    pub name: String,
    /// What it looks at.
    pub measure: Measure,
    /// Which side of the threshold is bad.
    pub side: Side,
    /// In the measure's own unit (see [`Unit`]): a share as 0..=1, a time in
    /// milliseconds, a call's duration in seconds, else a plain number. Of a relative
    /// row the factor, or what is added.
    pub threshold: f64,
    /// What the threshold is relative to, if it is.
    pub against: Option<Against>,
    /// Whose evidence is judged: everybody's together, or each tenant's alone.
    pub scope: Scope,
    /// The trailing span it looks over; [`STAGE`]: since the stage began.
    pub over: Duration,
    /// What follows when it trips.
    pub action: Action,
    /// Rows that reverse: what becomes of the calls that are on new then.
    pub live: Live,
    /// How long the condition must stand before it trips.
    pub hold_for: Duration,
    /// Distinct calls without which there is no verdict.
    pub calls_min: u32,
    /// Distinct failed calls without which a rate does not trip.
    pub failed_min: u32,
    /// The sequential test beside the window; None switches it off.
    pub early: Option<Early>,
    /// Alert rows: how urgent. Shown, and used by notices later.
    pub priority: Option<Priority>,
    /// Alert rows: channels to tell.
    pub to: Vec<String>,
}

/// The span of a row with `over = "stage"`: whatever has passed of the stage.
pub const STAGE: Duration = Duration::MAX;

/// What a relative threshold is relative to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Against {
    /// Whose value.
    pub base: Base,
    /// `"2x legacy"` or `"legacy + 500ms"`.
    pub how: How,
}

/// Whose value a relative threshold is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Legacy's over the same span.
    Legacy,
    /// Legacy's own from before the first stage.
    Baseline,
}

impl Base {
    /// The word for it in configuration and findings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Baseline => "baseline",
        }
    }
}

/// How a threshold is made of another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// So many times the value.
    Times,
    /// So much more than the value.
    Plus,
}

/// Whose evidence a row judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// That of all tenants together.
    #[default]
    All,
    /// Each tenant's alone; what follows is for that tenant.
    Tenant,
}

impl Rule {
    /// A name made from the row: `error_rate-above-10%-5m`.
    pub fn default_name(measure: Measure, side: Side, threshold: f64, over: Duration) -> String {
        format!(
            "{}-{}-{}-{}",
            measure.name(),
            side.name(),
            words::amount(measure, threshold)
                .replace(' ', "")
                .replace("min", "m"),
            words::span(over).replace(' ', "").replace("min", "m")
        )
    }

    /// `failed_min` where a row does not say: 8 for a row on a rate that takes calls back to
    /// legacy, else none.
    pub const fn default_failed_min(measure: Measure, action: Action) -> u32 {
        match (measure, action) {
            (
                Measure::ErrorRate
                | Measure::FailedCallRate
                | Measure::AbandonmentRate
                | Measure::SpeechRecognitionRate,
                Action::Reverse | Action::StepBack | Action::DisableTenant,
            ) => 8,
            _ => 0,
        }
    }

    /// `early` where a row does not say: on for a row on a rate or a mean that takes calls
    /// back to legacy. (A relative row has none whatever it says.)
    pub fn default_early(measure: Measure, side: Side, action: Action) -> Option<Early> {
        (action.is_toward_legacy() && measure.can_be_early(side)).then(Early::default)
    }

    /// Is a value on the bad side? Exactly at the threshold is not; but a gate asks for
    /// *less* (or more) than its threshold, so there it is. Of a relative row only
    /// [`Finding::threshold`] says what is asked for: see [`Rule::is_beyond_at`].
    pub fn is_beyond(&self, value: f64) -> bool {
        self.is_beyond_at(self.threshold, value)
    }

    /// Is a value on the bad side of this threshold?
    pub fn is_beyond_at(&self, threshold: f64, value: f64) -> bool {
        // A share written "7%" may be off by the last bit; that is no excess.
        let slack = threshold.abs() * 1e-9;
        let excess = match self.side {
            Side::Above => value - threshold,
            Side::Below => threshold - value,
        };
        match self.action == Action::Gate && self.against.is_none() {
            true => excess >= -slack,
            false => excess > slack,
        }
    }

    /// Can the row be tested early? Shares and the mean response time, on their bad side,
    /// against a threshold that stands still; a gate waits for its full time anyway.
    pub fn can_be_early(&self) -> bool {
        self.measure.can_be_early(self.side)
            && self.against.is_none()
            && self.action != Action::Gate
    }

    /// Does it look over more than a window holds, so that hours are added up for it?
    pub fn is_long(&self) -> bool {
        self.over > LONGEST
    }

    /// Does the row need so many distinct failed calls? Only where failures are counted.
    pub const fn counts_failures(&self) -> bool {
        matches!(
            self.measure,
            Measure::ErrorRate
                | Measure::FailedCallRate
                | Measure::AbandonmentRate
                | Measure::SpeechRecognitionRate
                | Measure::BackendDown
        )
    }
}

/// Settings of the sequential test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Early {
    /// Mean number of calls to a false alarm while the rate is at the threshold.
    pub false_alarm: f64,
    /// The row trips by this test only; its window is shown and never trips.
    pub alone: bool,
}

impl Default for Early {
    fn default() -> Self {
        Self {
            false_alarm: 100_000.0,
            alone: false,
        }
    }
}

/// Which side of the threshold is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Trips when the value is greater than the threshold.
    Above,
    /// Trips when the value is less than the threshold.
    Below,
}

impl Side {
    /// The word for it in configuration and names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
        }
    }
}

/// What follows when a rule trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell people.
    Alert,
    /// Of a stage's gate: the plan does not go on while the condition is met.
    Gate,
    /// Stop advancing.
    Hold,
    /// Back to the previous stage, and held there.
    StepBack,
    /// That tenant to legacy, until a person clears it. Rows with a tenant's scope.
    DisableTenant,
    /// Everything to legacy, latched.
    Reverse,
}

impl Action {
    /// Does it take calls back to legacy?
    pub const fn is_toward_legacy(self) -> bool {
        matches!(self, Self::Reverse | Self::StepBack | Self::DisableTenant)
    }

    /// Does it only say something, so that nothing is gained by keeping it back?
    pub const fn only_says(self) -> bool {
        matches!(self, Self::Alert | Self::Gate)
    }

    /// The word for it in configuration, status and journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Gate => "gate",
            Self::Hold => "hold",
            Self::StepBack => "step-back",
            Self::DisableTenant => "disable-tenant",
            Self::Reverse => "reverse",
        }
    }
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Worth a look.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// Worth waking somebody.
    Critical,
}

impl Priority {
    /// The word for it in configuration, status and API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}
