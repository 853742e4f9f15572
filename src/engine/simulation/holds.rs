//! What must hold whatever happens: requests see what the engine decided, and a restart
//! would find what runs.

use std::time::Duration;

use super::{TENANTS, World};
use crate::breaker;
use crate::model::{Backend, PerBackend, Percentage};
use crate::rollout::{Action, Entry, List, Rollout, Wishes};
use crate::rules::Verdict;

impl World {
    pub(super) fn check(&mut self) {
        assert_eq!(
            *self.engine.split(),
            self.routing,
            "requests see another split"
        );
        self.lines.check();
        if self.is_quiet() {
            let here = (self.disk.journal.len(), self.engine.rollout.sequence());
            // Nothing but an entry changes what either of them says.
            if self.compared != Some(here) {
                self.same_as_the_journal();
                self.compared = Some(here);
            }
            assert_eq!(
                self.disk.latch.is_some(),
                self.routing.latched,
                "the latch file"
            );
            self.shadow.at_rest(&self.routing);
        }
        // The dearest of all questions is asked now and then.
        if !self.step.is_multiple_of(4) {
            return;
        }
        let status = self.engine.status(self.now, self.wall);
        assert_eq!(status.latched, self.routing.latched);
        assert_eq!(status.latched, status.verification.is_some(), "{status:?}");
        assert_eq!(
            status.verification.map_or(0, |seen| seen.new_calls_on_new),
            0
        );
        if !status.durable && self.engine.durable {
            self.note("late record");
        }
    }

    /// Which stage runs now, and since when if it was seen to begin.
    pub(super) fn look_at_the_stage(&mut self, seen: bool) {
        let stage = self.engine.rollout.stage();
        let stage = stage.map(|it| (it.stage.clone(), it.since.0 - self.stepped));
        if stage != self.stage || !seen {
            self.stage_since = seen.then_some(self.now);
            self.stage = stage;
        }
    }

    /// The plan goes on by itself: the stage that is left was soaked, and its gates pass.
    pub(super) fn everything_was_shown(&self, entry: &Entry) {
        let plan = self.settings.plan.as_ref().expect("there is a plan");
        let named = |name: &str| plan.stages.iter().find(|stage| stage.name == name);
        let left = entry.before.stage.as_ref();
        let Some(left) = left.and_then(|left| named(&left.stage)) else {
            return;
        };
        let soaked = self.stage_since.map(|since| self.now.since(since));
        assert!(soaked.is_none_or(|it| it >= left.soak), "{entry:?}");
        let gates = self.engine.findings.iter().skip(self.settings.rules.len());
        let passed = gates.filter(|gate| gate.verdict == Verdict::Pass).count();
        assert_eq!(passed, left.gates.len(), "{entry:?}");
    }

    /// Nothing is on its way to the disk or back.
    pub(super) fn is_quiet(&self) -> bool {
        self.engine.pending.is_none() && self.told.is_empty() && self.disk.is_done()
    }

    /// A restart would find what runs; only since when and why a phase stands may be
    /// told otherwise, where a step toward legacy has overtaken a raise.
    fn same_as_the_journal(&self) {
        let back = Rollout::fold(&self.disk.journal);
        let everybody = TENANTS.map(|tenant| (tenant.to_owned(), List::Enabled));
        let file = Wishes {
            scheme: None,
            config: None,
            enabled: true,
            percentage: Percentage::FULL,
            tenants: everybody.into(),
        };
        let known = |rollout: &Rollout| {
            let mut split = rollout.split(&self.settings.scheme);
            // Numbers given to orders that were not carried out are in no journal.
            split.generation = 0;
            // Where a resume was recorded and overtaken, the journal's latch is younger.
            split.latched_since = None;
            // What a file would change tells what was seen of it, and how tenants came
            // to be on their lists.
            let wishes = rollout.wishes(&file, true, self.wall);
            let wished: Vec<_> = wishes
                .entries
                .into_iter()
                .map(|entry| entry.after)
                .collect();
            let standing = (rollout.phase(), rollout.former(), rollout.spent());
            let listed: Vec<_> = rollout
                .all_listed()
                .map(|(id, listed)| (id.to_owned(), listed))
                .collect();
            let stage = rollout.stage().cloned();
            (split, standing, stage, listed, wished, wishes.refused)
        };
        assert_eq!(known(&back), known(&self.engine.rollout));
        let runs = self.engine.settings.config_hash.as_str();
        assert_eq!(back.config(), Some(runs), "the journal knows the file");
        // Where a resume was recorded and overtaken, the journal begins to prove anew.
        let here = self.engine.rollout.proof().steps();
        let proven = back.proof().steps();
        assert!(
            proven.iter().all(|taken| here.contains(taken)),
            "{proven:?}, {here:?}"
        );
        let differs = self.engine.rollout.differs_from(&self.disk.journal);
        assert_eq!(differs, [""; 0]);
        let kept = Rollout::fold([&back.checkpoint(self.wall)]);
        assert_eq!(kept, back, "a checkpoint forgets");
        assert!(back.generation() <= self.engine.rollout.generation());
        assert!(back.sequence() <= self.engine.rollout.sequence());
    }

    /// The disk is well again and everything on its way arrives.
    pub(super) fn come_to_rest(&mut self) {
        self.doing = "comes to rest";
        self.disk.heal();
        // Who never answers is given up.
        self.hooks.clear();
        self.pass(Duration::from_secs(4000));
        self.tick();
        for _ in 0..10_000 {
            self.disk_works();
            self.journal_answers();
            self.check();
            if self.is_quiet() && self.told.is_empty() {
                break;
            }
        }
        assert!(self.is_quiet(), "{:?} still waits", self.engine.pending);
        assert!(self.engine.is_durable(self.now));
        self.shadow.everybody_was_answered();
    }

    pub(super) fn look_at_entry(&mut self, entry: &Entry) {
        match entry.action {
            Action::Advance if entry.actor == "plan" => {
                self.everything_was_shown(entry);
                self.note("advance by itself");
            }
            Action::Advance => self.note("advance"),
            Action::Complete => {
                if entry.actor == "plan" {
                    self.everything_was_shown(entry);
                }
                self.note("complete");
            }
            Action::Reloaded => {
                assert_eq!(entry.before, entry.after, "it moves nothing");
                assert!(!entry.is_raise());
                let behind = self.engine.pending.as_ref();
                let number = |entry: &Entry| entry.stamp.sequence;
                assert!(behind.is_none_or(|raise| number(&raise.entry) > number(entry)));
                self.note(match entry.actor.as_str() {
                    "SIGHUP" => "reloaded",
                    _ => "found another configuration",
                });
            }
            Action::StepBack { .. } => self.note("step-back"),
            Action::DisableTenant { .. } => self.note("disable-tenant"),
            Action::EmergencyStop => self.note("emergency-stop"),
            Action::ClockStepped { by_ms } => {
                if entry.before.stage != entry.after.stage {
                    self.stepped += by_ms;
                } else {
                    self.stage_since = None;
                }
                self.note("clock-stepped");
            }
            _ => {}
        }
    }

    /// A breaker is tried only after it was open, and closed only after it was tried.
    pub(super) fn breakers_move(&mut self, states: PerBackend<breaker::State>, anew: bool) {
        use breaker::State::{Closed, HalfOpen, Open};
        assert_ne!(states, self.breakers, "published without a change");
        for backend in Backend::ALL {
            let moved = (self.breakers[backend], states[backend]);
            let asked = anew && backend == Backend::New && moved == (Open, Closed);
            assert!(
                asked || !matches!(moved, (Closed, HalfOpen) | (Open, Closed)),
                "{backend}: {moved:?}"
            );
            if moved == (HalfOpen, Closed) {
                self.note("breaker closed again");
            }
        }
        self.breakers = states;
    }
}
