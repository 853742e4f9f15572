//! A whole rollout in one entry, so that a journal may begin anew without forgetting.
//!
//! An entry tells what it changed. A checkpoint tells what all entries before it led to,
//! and stands first in a segment of the journal: folding it alone gives the rollout that
//! folding everything before it gave. What an entry has a place for stands there (where
//! the rollout is, who is listed, what the file wished for); the rest is here.

use std::sync::Arc;

use super::{Action, Entry, Proof, Rollout, Stamp, Taken};
use crate::measure::totals::Totals;
use crate::model::Wall;

/// The part of a rollout that no other entry has a place for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Since when it stands in its phase.
    pub phase_since: Wall,
    /// Who stopped it and why, while it is stopped.
    pub because: Option<String>,
    /// Since when it is latched, where that is known.
    pub latched_since: Option<Wall>,
    /// From when on new is held against the tables, where that is known.
    pub judged_since: Option<Wall>,
    /// The last generation that a latch has made history.
    pub spent: u64,
    /// What is proven of the latch.
    pub proof: Vec<Taken>,
    /// The hours that were added up.
    pub totals: Arc<Totals>,
    /// What it goes on from, where that is a segment of the journal.
    pub follows: Option<Follows>,
}

/// The segment that a checkpoint goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follows {
    /// Its file's name.
    pub file: String,
    /// The checksum of its last line: no other segment has it.
    pub checksum: String,
}

impl Rollout {
    /// Everything in one entry, at this moment. It takes no number of its own but bears
    /// that of the last entry it stands for.
    pub fn checkpoint(&self, at: Wall) -> Entry {
        // Named one by one, so that a new field cannot be forgotten here.
        let Self {
            phase: _,
            phase_since,
            because,
            percentage: _,
            enabled: _,
            latched: _,
            latched_since,
            moves_live: _,
            stopped: _,
            judged_since,
            stage: _,
            totals,
            proof,
            former: _,
            tenants,
            seen,
            generation,
            spent,
            sequence,
        } = self;
        let nobody: [String; 0] = [];
        let listed: Vec<String> = tenants.keys().cloned().collect();
        Entry {
            stamp: Stamp {
                sequence: *sequence,
                at,
            },
            actor: "switchback".to_owned(),
            reason: String::new(),
            action: Action::Checkpoint(Box::new(Checkpoint {
                phase_since: *phase_since,
                because: because.clone(),
                latched_since: *latched_since,
                judged_since: *judged_since,
                spent: *spent,
                proof: proof.steps().to_vec(),
                totals: Arc::clone(totals),
                follows: None,
            })),
            before: self.snapshot(&nobody),
            after: self.snapshot(&listed),
            generation: *generation,
            evidence: None,
            seen: seen.clone(),
            notes: Vec::new(),
        }
    }

    /// Becomes what the checkpoint stands for, whatever it was.
    pub(super) fn restore(&mut self, entry: &Entry, kept: &Checkpoint) {
        let after = &entry.after;
        let tenants = after.tenants.iter();
        *self = Self {
            phase: after.phase,
            phase_since: kept.phase_since,
            because: kept.because.clone(),
            percentage: after.percentage,
            enabled: after.enabled,
            latched: after.latched,
            latched_since: kept.latched_since,
            moves_live: after.moves_live,
            stopped: after.stopped,
            judged_since: kept.judged_since,
            stage: after.stage.clone(),
            totals: Arc::clone(&kept.totals),
            proof: Proof::of(kept.proof.clone()),
            former: after.former,
            tenants: tenants
                .filter_map(|(id, listed)| Some((id.clone(), (*listed)?)))
                .collect(),
            seen: entry.seen.clone(),
            generation: entry.generation,
            spent: kept.spent,
            sequence: entry.stamp.sequence,
        };
    }
}
