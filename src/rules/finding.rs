//! What a row says when it was held against what was seen.

/// One row's evaluation, everything needed to explain it a year later.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// Value for new in the measure's unit; None without any sample.
    pub value: Option<f64>,
    /// The threshold it is held against. Of a relative row what that comes to now; where
    /// there is nothing to make it of, the factor (or what is added) itself.
    pub threshold: f64,
    /// Legacy's value over the same span.
    pub legacy: Option<f64>,
    /// Distinct calls (or events) behind the value.
    pub samples: u64,
    /// Distinct failed calls among them, where the measure is a rate.
    pub failed: u64,
    /// Evidence of the sequential test as a share of what trips: 1.0 trips.
    pub early: Option<f64>,
    /// What it says.
    pub verdict: Verdict,
    /// At the traffic of the last span the row cannot reach its minimum.
    pub blind: bool,
    /// It would trip, but legacy is as bad; or one tenant is all of the evidence.
    pub withheld: Option<&'static str>,
    /// Rows with a tenant's scope: the tenants that trip, as orders name them, worst first.
    pub tenants: Vec<String>,
    /// In words, for people: `"7 of 31 calls failed (22.6 %), the table allows 10 %"`.
    pub because: String,
}

/// What a row says now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Enough evidence, and the condition is not met.
    Pass,
    /// The condition is met with enough evidence.
    Trip,
    /// Too little evidence to say.
    Inconclusive,
}

impl Verdict {
    /// The word for it in status and API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Trip => "trip",
            Self::Inconclusive => "inconclusive",
        }
    }
}
