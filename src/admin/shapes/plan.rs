//! The plan as the API shows it: its stages, where it stands, and what it waits for.

use serde::{Deserialize, Serialize};

use super::{Rule, plainly, rfc3339};
use crate::engine;
use crate::rollout::forecast;

/// Where a rollout stands in its plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Who takes the next step: `manual`, an operator; `auto`, the plan itself.
    pub advance: String,
    /// Every stage, in its order.
    pub stages: Vec<Stage>,
    /// The number of the stage that runs, from 1; 0: none yet, or one that is not in the
    /// plan any more.
    pub number: u16,
    /// The name of the stage that runs.
    pub stage: Option<String>,
    /// The name of the stage that comes next; null: the end of the plan.
    pub next: Option<String>,
    /// When it began, RFC 3339.
    pub since: Option<String>,
    /// How long it has run, in seconds.
    pub soaked_s: u64,
    /// How long it must, in seconds.
    pub soak_s: u64,
    /// Distinct calls begun on new in it.
    pub calls: u64,
    /// How many there must be.
    pub calls_min: u64,
    /// Its gates, as they stand now.
    pub gates: Vec<Rule>,
    /// What is missing before the next stage, one each; empty: it may begin.
    pub waits_for: Vec<String>,
    /// When the calendar next allows a step toward new, RFC 3339; null: now, or never.
    pub opens: Option<String>,
    /// How soon each row would notice a fault at the stage's traffic.
    pub forecast: Vec<Forecast>,
}

/// One stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Its share of new, 0 to 100.
    #[serde(serialize_with = "plainly")]
    pub percentage: f64,
    /// How long it runs at least, in seconds.
    pub soak_s: u64,
}

/// What one row makes of one fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Forecast {
    /// The row's name.
    pub rule: String,
    /// The share of calls on new that fail, 0 to 1.
    pub fault: f64,
    /// Calls on new until it trips, in the mean; null: after more than `beyond_calls`, or,
    /// where that is null as well, never. Of a tenant's row: calls of the one tenant.
    pub calls: Option<f64>,
    /// Minutes until then; null of a tenant's row.
    pub minutes: Option<f64>,
    /// Callers who met the fault by then.
    pub callers: Option<f64>,
    /// It can trip, but mostly not within so many calls.
    pub beyond_calls: Option<f64>,
    /// Nor within so many minutes; null of a tenant's row.
    pub beyond_minutes: Option<f64>,
}

impl From<&engine::PlanStatus> for Plan {
    fn from(plan: &engine::PlanStatus) -> Self {
        Self {
            advance: plan.advance.name().to_owned(),
            stages: plan.stages.iter().map(Stage::from).collect(),
            number: plan.number,
            stage: plan.stage.clone(),
            next: plan.next.clone(),
            since: plan.since.map(rfc3339),
            soaked_s: plan.soaked.as_secs(),
            soak_s: plan.soak.as_secs(),
            calls: plan.calls,
            calls_min: plan.calls_min,
            gates: plan.gates.iter().map(Rule::from).collect(),
            waits_for: plan.waits_for.clone(),
            opens: plan.opens.map(rfc3339),
            forecast: plan.forecast.iter().map(Forecast::from).collect(),
        }
    }
}

impl From<&engine::StageStatus> for Stage {
    fn from(stage: &engine::StageStatus) -> Self {
        Self {
            name: stage.name.clone(),
            percentage: stage.percentage.as_f64(),
            soak_s: stage.soak.as_secs(),
        }
    }
}

impl From<&forecast::Forecast> for Forecast {
    fn from(forecast: &forecast::Forecast) -> Self {
        Self {
            rule: forecast.rule.clone(),
            fault: forecast.fault,
            calls: forecast.calls,
            minutes: forecast.minutes,
            callers: forecast.callers,
            beyond_calls: forecast.beyond.map(|it| it.calls),
            beyond_minutes: forecast.beyond.and_then(|it| it.minutes),
        }
    }
}
