//! What runs, against what its journal says.
//!
//! State is the fold of the journal, and both are made by the same code. So they can only
//! differ by a defect, or by a file that somebody else has written into. It is looked for
//! all the same: what is believed here is what a restart will not find.

use std::collections::BTreeSet;
use std::fmt::Debug;

use super::{Entry, Rollout, shown};

impl Rollout {
    /// What differs from the fold of these entries, each in words; empty: nothing.
    ///
    /// Numbers may be higher here: an order whose record was refused has used them up.
    pub fn differs_from(&self, entries: &[Entry]) -> Vec<String> {
        let folded = Self::fold(entries);
        // A raise that was overtaken is not in force here and may be in the journal. The
        // entry that overtook it undid all it moved, but not when something began.
        let overtaken: BTreeSet<_> = entries.iter().filter_map(Entry::overtakes).collect();
        let number = |entry: &Entry| entry.stamp.sequence;
        let blurred = entries.iter().map(number).any(|it| overtaken.contains(&it));
        let mut differs = Vec::new();
        let mut say = |what: &str, here: &dyn Debug, there: &dyn Debug| {
            let (here, there) = (format!("{here:?}"), format!("{there:?}"));
            if here != there {
                differs.push(format!("{what}: {here} runs, the journal says {there}"));
            }
        };
        // Named one by one, so that a new field cannot be forgotten here.
        let Self {
            phase,
            phase_since,
            because,
            percentage,
            enabled,
            latched,
            latched_since,
            moves_live,
            stopped,
            judged_since,
            stage,
            totals,
            proof,
            former,
            tenants: _,
            seen,
            generation,
            spent,
            sequence,
        } = self;
        say("phase", &phase.name(), &folded.phase.name());
        say("percentage", percentage, &folded.percentage);
        say("enabled", enabled, &folded.enabled);
        say("latched", latched, &folded.latched);
        say("live calls are moved", moves_live, &folded.moves_live);
        say("emergency stop", stopped, &folded.stopped);
        say("stage", stage, &folded.stage);
        say("former", former, &folded.former);
        say("spent", spent, &folded.spent);
        say(
            "generation",
            generation,
            (&folded.generation).max(generation),
        );
        say("sequence", sequence, (&folded.sequence).max(sequence));
        if !blurred {
            say("phase since", phase_since, &folded.phase_since);
            say("because", because, &folded.because);
            say("latched since", latched_since, &folded.latched_since);
            say("judged since", judged_since, &folded.judged_since);
            say("proof", proof, &folded.proof);
        }
        if !blurred && *seen != folded.seen {
            differs.push("what the file last wished for".to_owned());
        }
        let baseline = blurred || totals.baseline == folded.totals.baseline;
        if totals.hours != folded.totals.hours || !baseline {
            differs.push("the hours that were added up".to_owned());
        }
        differs.extend(self.tenants_unlike(&folded));
        differs
    }

    fn tenants_unlike(&self, folded: &Self) -> Option<String> {
        /// So many are named; the status shows all.
        const NAMED: usize = 5;
        let ids = self.tenants.keys().chain(folded.tenants.keys());
        let mut unlike: Vec<_> = ids
            .filter(|id| self.tenants.get(*id) != folded.tenants.get(*id))
            .map(|id| shown(id))
            .collect();
        unlike.sort();
        unlike.dedup();
        let many = unlike.len();
        unlike.truncate(NAMED);
        (many > 0).then(|| format!("{many} tenants on lists: {}", unlike.join(", ")))
    }
}
