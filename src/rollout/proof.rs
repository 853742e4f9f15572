//! How far it is proven that a flip took: the steps of the verification that
//! follows a reversal or a total rollback, as the journal tells them.
//!
//! They are part of the fold, so that a restart in the middle goes on where the
//! process before it was. What is seen between two steps is the engine's.

use super::{Action, Entry};
use crate::model::Wall;

/// One step of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// It began. Counts the calls that were live on new then.
    Started,
    /// No new call reached new for a while.
    NoNewCalls,
    /// No call is live on new any more. Counts the seconds that took.
    Drained,
    /// No reversing row was over its threshold for a while.
    MeasuresNormal,
    /// All three are proven.
    Verified,
    /// New calls reached new all the same. Counts them, since the latch. What they
    /// disprove is to be proven again.
    Escalated,
}

impl Step {
    /// Every step, for metrics that exist from the start.
    pub const ALL: [Self; 6] = [
        Self::Started,
        Self::NoNewCalls,
        Self::Drained,
        Self::MeasuresNormal,
        Self::Verified,
        Self::Escalated,
    ];

    /// The steps that make a proof together, in the order they are shown.
    pub const PROOF: [Self; 3] = [Self::NoNewCalls, Self::Drained, Self::MeasuresNormal];

    /// The word for it in journal, status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::NoNewCalls => "no-new-calls",
            Self::Drained => "drained",
            Self::MeasuresNormal => "measures-normal",
            Self::Verified => "verified",
            Self::Escalated => "escalated",
        }
    }

    /// The step of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

/// A step that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub step: Step,
    /// When, by the calendar.
    pub at: Wall,
    /// What the step counts; see [`Step`].
    pub count: u64,
}

/// The steps taken since the latch was set, in their order. No step twice: there
/// are never more than there are [`Step`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof(Vec<Taken>);

impl Proof {
    /// The proof that consists of these steps.
    pub(super) const fn of(steps: Vec<Taken>) -> Self {
        Self(steps)
    }

    /// The steps taken, in their order.
    pub fn steps(&self) -> &[Taken] {
        &self.0
    }

    /// A step as it was taken last.
    pub fn get(&self, step: Step) -> Option<&Taken> {
        self.0.iter().find(|taken| taken.step == step)
    }

    /// Was this step taken?
    pub fn has(&self, step: Step) -> bool {
        self.get(step).is_some()
    }

    /// Takes over what an entry says, after a latch that was set or cleared by it
    /// (`turned`) has made everything before it history.
    pub(super) fn apply(&mut self, entry: &Entry, turned: bool) {
        if turned {
            self.0.clear();
        }
        let Action::Verification { step, count } = entry.action else {
            return;
        };
        let disproven = [Step::NoNewCalls, Step::Drained, Step::Verified];
        self.0.retain(|taken| {
            let undone = step == Step::Escalated && disproven.contains(&taken.step);
            taken.step != step && !undone
        });
        self.0.push(Taken {
            step,
            at: entry.stamp.at,
            count,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::properties::order;
    use crate::rollout::{Command, Level, Rollout};
    use crate::split::Live;

    fn take(rollout: &mut Rollout, step: Step, count: u64) -> Entry {
        let at = Wall(1000 + i64::try_from(count).unwrap());
        let entry = rollout.verification(step, count, "seen", at);
        rollout.apply(&entry);
        entry
    }

    fn latched() -> Rollout {
        let mut rollout = Rollout::default();
        let total = order(Command::Rollback(Level::Total, Live::Move));
        rollout.apply(&rollout.decide(&total, Wall(1)).unwrap());
        rollout
    }

    #[test]
    fn a_step_changes_nothing_but_what_is_proven() {
        let mut rollout = latched();
        let before = rollout.clone();
        let entry = take(&mut rollout, Step::Started, 3);
        assert_eq!(entry.before, entry.after);
        assert!(!entry.is_raise() && !entry.unlatches());
        assert_eq!(entry.said(), "Verification: seen.");
        assert_eq!(rollout.generation(), before.generation());
        assert_eq!(
            (rollout.phase(), rollout.because()),
            (before.phase(), before.because())
        );
        assert_eq!(rollout.proof().get(Step::Started).unwrap().count, 3);
    }

    #[test]
    fn an_escalation_undoes_what_it_disproves_and_stands_once() {
        let mut rollout = latched();
        for step in [
            Step::Started,
            Step::NoNewCalls,
            Step::Drained,
            Step::MeasuresNormal,
        ] {
            take(&mut rollout, step, 0);
        }
        take(&mut rollout, Step::Verified, 0);
        take(&mut rollout, Step::Escalated, 1);
        take(&mut rollout, Step::Escalated, 5);
        let left: Vec<_> = rollout
            .proof()
            .steps()
            .iter()
            .map(|it| (it.step, it.count))
            .collect();
        let expected = [
            (Step::Started, 0),
            (Step::MeasuresNormal, 0),
            (Step::Escalated, 5),
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn a_latch_that_is_cleared_takes_its_proof_with_it_and_a_second_one_does_not() {
        let mut rollout = latched();
        take(&mut rollout, Step::Started, 3);
        let total = order(Command::Rollback(Level::Total, Live::Drain));
        rollout.apply(&rollout.decide(&total, Wall(2)).unwrap());
        assert!(rollout.proof().has(Step::Started));
        let resume = order(Command::Resume { percentage: None });
        rollout.apply(&rollout.decide(&resume, Wall(3)).unwrap());
        assert!(rollout.proof().steps().is_empty());
    }
}
