//! One side of a change: how things stood, or stand from then on.
//!
//! A field that a later version added is left out where it says nothing, so that lines
//! that move nothing look as they always did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{is_false, listed, moment, percentage, time};
use crate::rollout::{Former, Listed, Phase, Snapshot, Standing};

#[derive(Serialize, Deserialize)]
pub(super) struct Side {
    phase: String,
    percentage: f64,
    enabled: bool,
    latched: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    moves_live: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<Before>,
    #[serde(default, skip_serializing_if = "is_false")]
    stopped: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<Stands>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tenants: BTreeMap<String, Option<String>>,
}

#[derive(Serialize, Deserialize)]
struct Before {
    percentage: f64,
    enabled: bool,
}

/// Where it stands in its plan.
#[derive(Serialize, Deserialize)]
struct Stands {
    name: String,
    number: u16,
    since: String,
    begun: String,
}

impl From<&Snapshot> for Side {
    fn from(side: &Snapshot) -> Self {
        let name = |listed: &Option<Listed>| listed.map(|listed| listed.name().to_owned());
        Self {
            phase: side.phase.name().to_owned(),
            percentage: side.percentage.as_f64(),
            enabled: side.enabled,
            latched: side.latched,
            moves_live: side.moves_live,
            former: side.former.map(|former| Before {
                percentage: former.percentage.as_f64(),
                enabled: former.enabled,
            }),
            stopped: side.stopped,
            stage: side.stage.as_ref().map(Stands::from),
            tenants: side
                .tenants
                .iter()
                .map(|(id, listed)| (id.clone(), name(listed)))
                .collect(),
        }
    }
}

impl Side {
    pub(super) fn into_snapshot(self) -> Result<Snapshot, String> {
        let mut tenants = BTreeMap::new();
        for (id, name) in self.tenants {
            let standing = name.map(|name| listed(&name)).transpose()?;
            tenants.insert(id, standing);
        }
        let former = match self.former {
            Some(former) => Some(Former {
                percentage: percentage(former.percentage)?,
                enabled: former.enabled,
            }),
            None => None,
        };
        Ok(Snapshot {
            phase: Phase::from_name(&self.phase)
                .ok_or_else(|| format!("`{}` is no phase", self.phase))?,
            percentage: percentage(self.percentage)?,
            enabled: self.enabled,
            latched: self.latched,
            moves_live: self.moves_live,
            stopped: self.stopped,
            stage: self.stage.map(Stands::into_standing).transpose()?,
            former,
            tenants,
        })
    }
}

impl From<&Standing> for Stands {
    fn from(standing: &Standing) -> Self {
        Self {
            name: standing.stage.clone(),
            number: standing.number,
            since: time(standing.since),
            begun: time(standing.begun),
        }
    }
}

impl Stands {
    fn into_standing(self) -> Result<Standing, String> {
        Ok(Standing {
            stage: self.name,
            number: self.number,
            since: moment(&self.since)?,
            begun: moment(&self.begun)?,
        })
    }
}
