//! What rows of the tables do to a plan: back one stage and held there, or one tenant to
//! legacy and nobody else.

use std::time::Duration;

use super::super::{Effect, Engine, Notice, Severity};
use crate::model::{TenantKey, Tick, Wall};
use crate::rollout::{self, Command, Listed, Order, Waives};
use crate::rules::{Action, Finding, Rule, Verdict};

/// How many tenants are taken off in one tick; the next come with the next.
const TENANTS_A_TICK: usize = 16;

/// From this share of the evidence that would trip it on, a row that reverses is near.
const NEAR: f64 = 0.5;
/// A step back waits no longer than this for such a row, however long its own span is.
const WAIT_MOST: Duration = Duration::from_secs(1800);

impl Engine {
    /// Back to the stage before, where a row that says so trips and there is anything to
    /// go back from. Says whether it did.
    pub(in crate::engine) fn step_back(
        &mut self,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(row) = self.tripped(Action::StepBack) else {
            self.stages.near = None;
            return false;
        };
        if self.a_reversal_is_near(row, now) {
            return false;
        }
        let (rollout, on_new) = (&self.rollout, self.rollout.percentage().basis_points() > 0);
        if rollout.latched() || !rollout.enabled() || !on_new && rollout.stage().is_none() {
            return false;
        }
        let (Some(rule), Some(finding)) = (self.settings.rules.get(row), self.findings.get(row))
        else {
            return false;
        };
        let proof = self.proof_of(rule, finding);
        let (name, because) = (finding.rule.clone(), proof.because.clone());
        let to = self.stage_before(now);
        let order = Order {
            actor: format!("rule {name}"),
            reason: because,
            waives: Waives::default(),
            command: Command::StepBack {
                rule: name.clone(),
                to,
            },
        };
        // The hour that ends goes to the disk before the entry that ends it, and neither
        // before the split is in force.
        let mut hour = Vec::new();
        self.close_hour(now, wall, &mut hour);
        let Ok(entry) = self.decide(&order, wall) else {
            effects.append(&mut hour);
            return false;
        };
        let entry = entry.with_evidence(proof);
        let text = entry.said();
        let from = effects.len();
        self.lower(entry, None, now, effects);
        let at = effects.iter().skip(from).position(is_record);
        let at = at.map_or(effects.len(), |at| from + at);
        effects.splice(at..at, hour);
        // Also where the share is the same: what the stage saw is about the stage.
        self.begin_epoch(now);
        effects.push(Effect::Say(Notice {
            severity: Severity::Critical,
            rule: Some(name),
            text,
        }));
        true
    }

    /// Is a row that reverses about to? A step back begins a new epoch, and the same fault
    /// would then take one stage after the other, each time before the row that reverses
    /// knows enough again. So it waits for that row: while that one is in doubt, and no
    /// longer than half its own span, after the whole of which its evidence is forgotten.
    fn a_reversal_is_near(&mut self, row: usize, now: Tick) -> bool {
        let rows = self.settings.rules.iter().zip(&self.findings);
        let near = rows
            .filter(|(rule, _)| rule.action == Action::Reverse)
            .filter(|(_, finding)| finding.withheld.is_none())
            .any(|(_, finding)| finding.early.is_some_and(|level| level >= NEAR));
        let span = self.settings.rules.get(row).map(|rule| rule.over);
        let since = *self.stages.near.get_or_insert(now);
        near && now.since(since) < span.map_or(WAIT_MOST, |span| WAIT_MOST.min(span / 2))
    }

    /// Each tenant that trips a row of its own goes to legacy, and nobody else.
    pub(in crate::engine) fn disable_tenants(
        &mut self,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        if self.rollout.latched() {
            return;
        }
        for (rule, finding, id) in self.broken_tenants() {
            let proof = rollout::Evidence::new(&rule, &finding, &self.settings.config_hash);
            let order = Order {
                actor: format!("rule {}", finding.rule),
                reason: finding.because.clone(),
                waives: Waives::default(),
                command: Command::DisableTenant {
                    rule: finding.rule.clone(),
                    id: id.clone(),
                    live: rule.live,
                },
            };
            // Refused only for a name that nobody could have.
            let Ok(entry) = self.decide(&order, wall) else {
                continue;
            };
            let entry = entry.with_evidence(proof);
            let text = entry.said();
            self.lower(entry, None, now, effects);
            self.evidence.tenant_cleared(TenantKey::new(&id));
            effects.push(Effect::Say(Notice {
                severity: Severity::Critical,
                rule: Some(finding.rule),
                text,
            }));
        }
    }

    fn broken_tenants(&self) -> Vec<(Rule, Finding, String)> {
        let rows = self.settings.rules.iter().zip(&self.findings);
        let trips = |(rule, finding): &(&Rule, &Finding)| {
            rule.action == Action::DisableTenant && finding.verdict == Verdict::Trip
        };
        let not_yet = |id: &&String| self.rollout.listed(id) != Some(Listed::RolledBack);
        let mut broken: Vec<(Rule, Finding, String)> = Vec::new();
        for (rule, finding) in rows.filter(trips) {
            for id in finding.tenants.iter().filter(not_yet) {
                let twice = broken.iter().any(|(_, _, other)| other == id);
                if !twice && broken.len() < TENANTS_A_TICK {
                    broken.push((rule.clone(), finding.clone(), id.clone()));
                }
            }
        }
        broken
    }
}

const fn is_record(effect: &Effect) -> bool {
    matches!(effect, Effect::Record(_))
}
