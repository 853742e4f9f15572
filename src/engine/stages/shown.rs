//! What operators see of the plan.

use super::super::{Engine, PlanStatus, RuleStatus, StageStatus, status};
use super::readiness::Missing;
use super::{By, Making, Next, Step};
use crate::model::{Percentage, Tick, Wall};
use crate::rollout::plan::Advance;
use crate::rollout::stages::number;
use crate::rollout::{Plan, Waives, forecast};

impl Engine {
    /// Where the plan stands and what it waits for; None without one.
    pub(in crate::engine) fn plan_status(&mut self, now: Tick, wall: Wall) -> Option<PlanStatus> {
        let plan = self.settings.plan.clone()?;
        self.look_out(&plan, now, wall);
        self.foresee_one_more();
        let next = self.next(&plan);
        let by = match plan.advance {
            Advance::Auto => By::Plan,
            Advance::Manual => By::Operator,
        };
        let step = Step {
            next,
            by,
            ticket: None,
            actor: String::new(),
            reason: String::new(),
            waives: Waives::default(),
            notes: Vec::new(),
        };
        let missing = match next {
            Next::Over => Vec::new(),
            _ => self.missing(&plan, &step, now, wall),
        };
        let opens = missing.iter().find_map(|point| match point {
            Missing::Closed(closed) => closed.opens,
            _ => None,
        });
        let words = |point| self.in_words(&plan, point);
        let waits_for = missing.iter().map(words).collect();
        let (standing, stage) = (self.rollout.stage(), self.stage());
        let gates = self.findings.iter().skip(self.settings.rules.len());
        Some(PlanStatus {
            advance: plan.advance,
            stages: plan
                .stages
                .iter()
                .map(|stage| StageStatus {
                    name: stage.name.clone(),
                    percentage: stage.percentage,
                    soak: stage.soak,
                })
                .collect(),
            number: standing
                .and_then(|standing| plan.position(&standing.stage))
                .map_or(0, number),
            stage: standing.map(|standing| standing.stage.clone()),
            next: next.stage(&plan).map(|stage| stage.name.clone()),
            since: standing.map(|standing| standing.since),
            soaked: standing.map_or_else(Default::default, |_| self.stages.soaked(now)),
            soak: stage.map_or_else(Default::default, |stage| stage.soak),
            calls: standing.map_or(0, |_| self.stages.calls()),
            calls_min: stage.map_or(0, |stage| stage.calls_min),
            gates: stage
                .map_or(&[][..], |stage| &stage.gates)
                .iter()
                .zip(gates)
                .map(|(rule, finding)| RuleStatus {
                    firing: false,
                    ..status::row(rule, finding)
                })
                .collect(),
            waits_for,
            opens,
            forecast: self.stages.outlook.forecast.clone(),
        })
    }

    /// What is to be expected at the traffic there is: of the stage that runs, or of the
    /// next where none does, how soon each row would notice a fault; and whether the next
    /// would be blind. Played anew only where the traffic is another by a tenth, and row by
    /// row: it takes a moment.
    pub(super) fn foresee(&mut self, plan: &Plan, wall: Wall) {
        let traffic = || forecast::traffic(self.rollout.totals(), &plan.calendar.zone, wall);
        let calls_per_hour = plan.calls_per_hour.or_else(traffic).map(roughly);
        let next = self.next(plan).stage(plan);
        // A stage that only picks tenants by hand has traffic, and nobody knows how much.
        let on_new = |share: Percentage| {
            let calls_per_hour = calls_per_hour.filter(|_| share > Percentage::ZERO);
            calls_per_hour.map(|calls| calls / 60.0 * share.as_f64() / 100.0)
        };
        let shown = self.stage().or(next).and_then(|it| on_new(it.percentage));
        let next = next
            .filter(|stage| stage.blind.is_none())
            .and_then(|stage| Some((on_new(stage.percentage)?, stage.soak)));
        let outlook = &mut self.stages.outlook;
        if outlook.of == Some((shown, next)) {
            return;
        }
        let rules = &self.settings.rules;
        outlook.of = Some((shown, next));
        outlook.blind = next.and_then(|(calls, soak)| forecast::blind(rules, calls, soak));
        outlook.making = shown.map(|calls_per_minute| Making {
            calls_per_minute,
            rows: 0,
            made: Vec::new(),
        });
        if shown.is_none() {
            outlook.forecast.clear();
        }
    }

    /// Plays one more row of the forecast that is in the making. Until all are done the
    /// one before stands; where there is none, what there is.
    fn foresee_one_more(&mut self) {
        let (rules, outlook) = (&self.settings.rules, &mut self.stages.outlook);
        let Some(making) = &mut outlook.making else {
            return;
        };
        let calls = making.calls_per_minute;
        let made = forecast::forecast_of(rules, making.rows, calls);
        making.made.extend(made);
        making.rows += 1;
        let done = making.rows >= rules.len();
        if done || outlook.forecast.is_empty() {
            outlook.forecast.clone_from(&making.made);
        }
        if done {
            outlook.making = None;
        }
    }

    /// What an operator should read first about the plan.
    pub(in crate::engine) fn plan_notes(&self) -> Option<String> {
        let (standing, plan) = (self.rollout.stage()?, self.settings.plan.as_deref());
        let name = &standing.stage;
        let Some(plan) = plan else {
            return Some(format!(
                "Stage {name} runs, and the configuration has no plan any more: it goes on at {} \
                 until somebody changes that.",
                self.rollout.percentage()
            ));
        };
        if plan.position(name).is_some() {
            return None;
        }
        let next = match self.next(plan).stage(plan) {
            Some(next) => format!("`switchback advance` goes on with stage {}", next.name),
            None => "`switchback advance` completes the plan".to_owned(),
        };
        Some(format!(
            "Stage {name} runs and is not in the plan any more: it goes on at {}, and {next}.",
            self.rollout.percentage()
        ))
    }
}

/// To the next step of a ladder whose steps are a tenth apart, so that traffic which only
/// breathes is the same traffic.
fn roughly(calls_per_hour: f64) -> f64 {
    if calls_per_hour <= 0.0 {
        return 0.0;
    }
    let step = 1.1_f64.ln();
    ((calls_per_hour.ln() / step).round() * step).exp()
}
