//! Where the rollout stands in its plan, as gauges.

use metrics::Gauge;

use super::make::Make;
use super::names::{STAGE, STAGE_SOAK, STAGE_SOAKED, STAGE_WAITS, STAGES};
use crate::engine::PlanStatus;

/// The plan's gauges; all 0 without one.
#[derive(Debug)]
pub(super) struct PlanGauges {
    stage: Gauge,
    stages: Gauge,
    waits_for: Gauge,
    soaked: Gauge,
    soak: Gauge,
}

impl PlanGauges {
    /// They exist from the start.
    pub(super) fn new(make: &Make<'_>) -> Self {
        Self {
            stage: make.gauge(&STAGE, &[]),
            stages: make.gauge(&STAGES, &[]),
            waits_for: make.gauge(&STAGE_WAITS, &[]),
            soaked: make.gauge(&STAGE_SOAKED, &[]),
            soak: make.gauge(&STAGE_SOAK, &[]),
        }
    }

    /// Sets them to what the engine says now.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floats; a plan has at most a hundred stages"
    )]
    pub(super) fn show(&self, plan: Option<&PlanStatus>) {
        let of = |read: fn(&PlanStatus) -> f64| plan.map_or(0.0, read);
        self.stage.set(of(|plan| f64::from(plan.number)));
        self.stages.set(of(|plan| plan.stages.len() as f64));
        self.waits_for.set(of(|plan| plan.waits_for.len() as f64));
        self.soaked.set(of(|plan| plan.soaked.as_secs_f64()));
        self.soak.set(of(|plan| plan.soak.as_secs_f64()));
    }
}
