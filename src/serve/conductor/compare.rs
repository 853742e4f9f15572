//! What runs, against the journal read back: every ten minutes, and once soon after the
//! start. The journal's side of it is a thread of its own, so that nothing waits.

use super::Conductor;
use crate::journal::Job;
use crate::model::Wall;

/// At which tick the journal is read back for the first time: after five seconds.
pub(super) const FIRST: u64 = 50;
/// Every how many ticks it is from then on: ten minutes.
const EVERY: u64 = 6000;

impl Conductor {
    /// Has the journal read back, now and then, as soon as nothing is on its way to it:
    /// what is believed here is to be what a restart would find.
    pub(super) fn compare(&mut self, at: Wall) {
        if self.ticks < self.check_at {
            return;
        }
        let Some(rollout) = self.parts.engine.recorded_rollout() else {
            return;
        };
        let rollout = Box::new(rollout.clone());
        self.check_at = self.ticks + EVERY;
        // One that nobody takes is not missed: the disk has other troubles then.
        drop(self.parts.outbox.send(Job::Compare { rollout, at }));
    }

    /// What came of it.
    pub(super) fn compared(&mut self, differs: &[String]) {
        self.parts.metrics.journal_matches(differs.is_empty());
        let differs = differs.join("; ");
        if !differs.is_empty() {
            tracing::error!(
                differs,
                "CRITICAL: what runs is not what the journal says, so a restart would change it. \
                 Keep a copy of the state directory and report this."
            );
        } else if self.differs.is_some() {
            tracing::info!("What runs is what the journal says again.");
        }
        self.differs = Some(differs).filter(|differs| !differs.is_empty());
    }
}
