//! What an entry tells besides: what a rule saw, what the file wished for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{listed, percentage};
use crate::rollout::{Evidence, List, Listed, Wishes};

#[derive(Serialize, Deserialize)]
pub(super) struct Saw {
    rule: String,
    #[serde(default)]
    measure: String,
    #[serde(default)]
    over_secs: u64,
    value: Option<f64>,
    legacy: Option<f64>,
    threshold: Option<f64>,
    #[serde(default)]
    samples: u64,
    #[serde(default)]
    failed: u64,
    early: Option<f64>,
    #[serde(default)]
    because: String,
    #[serde(default)]
    config_hash: String,
}

impl From<&Evidence> for Saw {
    fn from(saw: &Evidence) -> Self {
        let saw = saw.clone();
        Self {
            rule: saw.rule,
            measure: saw.measure,
            over_secs: saw.over_secs,
            value: saw.value,
            legacy: saw.legacy,
            threshold: saw.threshold,
            samples: saw.samples,
            failed: saw.failed,
            early: saw.early,
            because: saw.because,
            config_hash: saw.config_hash,
        }
    }
}

impl From<Saw> for Evidence {
    fn from(saw: Saw) -> Self {
        Self {
            rule: saw.rule,
            measure: saw.measure,
            over_secs: saw.over_secs,
            value: saw.value,
            legacy: saw.legacy,
            threshold: saw.threshold,
            samples: saw.samples,
            failed: saw.failed,
            early: saw.early,
            because: saw.because,
            config_hash: saw.config_hash,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Wished {
    enabled: bool,
    percentage: f64,
    #[serde(default)]
    tenants: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheme: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<String>,
}

impl From<&Wishes> for Wished {
    fn from(wishes: &Wishes) -> Self {
        let name = |list: List| Listed::from(list).name().to_owned();
        Self {
            enabled: wishes.enabled,
            percentage: wishes.percentage.as_f64(),
            tenants: wishes
                .tenants
                .iter()
                .map(|(id, list)| (id.clone(), name(*list)))
                .collect(),
            scheme: wishes.scheme.clone(),
            config: wishes.config.clone(),
        }
    }
}

impl Wished {
    pub(super) fn into_wishes(self) -> Result<Wishes, String> {
        let mut tenants = BTreeMap::new();
        for (id, name) in self.tenants {
            tenants.insert(id, listed(&name)?.list());
        }
        Ok(Wishes {
            enabled: self.enabled,
            percentage: percentage(self.percentage)?,
            tenants,
            scheme: self.scheme,
            config: self.config,
        })
    }
}
