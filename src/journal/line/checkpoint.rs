//! What a checkpoint carries besides what every line has a place for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::hour::{Added, AddedUp};
use super::{moment, time};
use crate::measure::totals::Totals;
use crate::rollout::{Checkpoint, Follows, Step, Taken};

/// The rest of a rollout.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    phase_since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latched_since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    judged_since: Option<String>,
    #[serde(default)]
    spent: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    proof: Vec<Took>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hours: Vec<Added>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    baseline: Option<AddedUp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    follows: Option<Behind>,
}

/// A step of a verification that was taken.
#[derive(Serialize, Deserialize)]
struct Took {
    step: String,
    at: String,
    count: u64,
}

/// The segment that it goes on from.
#[derive(Serialize, Deserialize)]
pub(super) struct Behind {
    pub(super) file: String,
    pub(super) checksum: String,
}

impl From<&Checkpoint> for Kept {
    fn from(kept: &Checkpoint) -> Self {
        let Checkpoint {
            phase_since,
            because,
            latched_since,
            judged_since,
            spent,
            proof,
            totals,
            follows,
        } = kept;
        let Totals { hours, baseline } = &**totals;
        let took = |taken: &Taken| Took {
            step: taken.step.name().to_owned(),
            at: time(taken.at),
            count: taken.count,
        };
        let behind = |follows: &Follows| Behind {
            file: follows.file.clone(),
            checksum: follows.checksum.clone(),
        };
        Self {
            phase_since: time(*phase_since),
            because: because.clone(),
            latched_since: latched_since.map(time),
            judged_since: judged_since.map(time),
            spent: *spent,
            proof: proof.iter().map(took).collect(),
            hours: hours.iter().map(Added::from).collect(),
            baseline: baseline.as_ref().map(AddedUp::from),
            follows: follows.as_ref().map(behind),
        }
    }
}

impl Kept {
    pub(super) fn into_checkpoint(self) -> Result<Checkpoint, String> {
        let mut proof = Vec::new();
        for took in self.proof {
            // A step that a later version takes proves nothing to this one.
            if let Some(step) = Step::from_name(&took.step) {
                let (at, count) = (moment(&took.at)?, took.count);
                proof.push(Taken { step, at, count });
            }
        }
        let hours = self.hours.into_iter().map(Added::into_hour);
        Ok(Checkpoint {
            phase_since: moment(&self.phase_since)?,
            because: self.because,
            latched_since: self.latched_since.as_deref().map(moment).transpose()?,
            judged_since: self.judged_since.as_deref().map(moment).transpose()?,
            spent: self.spent,
            proof,
            totals: Arc::new(Totals {
                hours: hours.collect::<Result<_, _>>()?,
                baseline: self.baseline.map(AddedUp::into_sums),
            }),
            follows: self
                .follows
                .map(|Behind { file, checksum }| Follows { file, checksum }),
        })
    }
}
