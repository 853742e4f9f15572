//! A row of the tables as the API shows it.

use serde::{Deserialize, Serialize};

use crate::engine;
use crate::rollout::shown;
use crate::rules::{STAGE, Unit};

/// One row of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it looks at.
    pub measure: String,
    /// The unit of `value`, `threshold` and `legacy`: `share` (0 to 1), `ms`, `s`, `number`.
    pub unit: String,
    /// What follows when it trips: `alert`, `hold`, `step-back`, `disable-tenant`,
    /// `reverse`; `gate`: the plan waits.
    pub action: String,
    /// The span it looks over, in seconds; null: since the stage began.
    pub over_s: Option<u64>,
    /// New's value; null without any sample.
    pub value: Option<f64>,
    /// What the value is held against.
    pub threshold: f64,
    /// Legacy's value over the same span.
    pub legacy: Option<f64>,
    /// Distinct calls (or events) behind the value.
    pub samples: u64,
    /// Distinct calls without which there is no verdict.
    pub calls_min: u64,
    /// Distinct failed calls among them.
    pub failed: u64,
    /// Evidence of the sequential test; 1 trips.
    pub early: Option<f64>,
    /// `pass`, `trip`, `inconclusive`.
    pub verdict: String,
    /// At the present traffic it cannot reach its minimum.
    pub blind: bool,
    /// Why it does not act although it would trip.
    pub withheld: Option<String>,
    /// It trips now.
    pub firing: bool,
    /// Alert rows: `low`, `medium`, `high`, `critical`.
    pub priority: Option<String>,
    /// Rows that judge each tenant alone: those that trip, worst first.
    pub tenants: Vec<String>,
    /// In words.
    pub because: String,
}

impl From<&engine::RuleStatus> for Rule {
    fn from(rule: &engine::RuleStatus) -> Self {
        let finding = &rule.finding;
        Self {
            name: finding.rule.clone(),
            measure: rule.measure.name().to_owned(),
            unit: unit(rule.measure.unit()).to_owned(),
            action: rule.action.name().to_owned(),
            over_s: (rule.over != STAGE).then_some(rule.over.as_secs()),
            value: finding.value,
            threshold: finding.threshold,
            legacy: finding.legacy,
            samples: finding.samples,
            calls_min: u64::from(rule.calls_min),
            failed: finding.failed,
            early: finding.early,
            verdict: finding.verdict.name().to_owned(),
            blind: finding.blind,
            withheld: finding.withheld.map(str::to_owned),
            firing: rule.firing,
            priority: rule.priority.map(|urgent| urgent.name().to_owned()),
            tenants: finding.tenants.iter().map(|id| shown(id)).collect(),
            because: finding.because.clone(),
        }
    }
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Share => "share",
        Unit::Millis => "ms",
        Unit::Seconds => "s",
        Unit::Number => "number",
    }
}
