//! An hour of totals, compact: what is 0 is left out, so that a quiet hour is a short
//! line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{moment, time};
use crate::measure::totals::{Hour, Sums};
use crate::model::PerBackend;

/// One hour.
#[derive(Serialize, Deserialize)]
pub(super) struct Added {
    from: String,
    to: String,
    #[serde(default, skip_serializing_if = "is_default")]
    stage: u16,
    #[serde(default, skip_serializing_if = "is_default")]
    legacy: AddedUp,
    #[serde(default, skip_serializing_if = "is_default")]
    new: AddedUp,
}

impl From<&Hour> for Added {
    fn from(hour: &Hour) -> Self {
        let Hour {
            from,
            to,
            stage,
            sides,
        } = hour;
        Self {
            from: time(*from),
            to: time(*to),
            stage: *stage,
            legacy: AddedUp::from(&sides.legacy),
            new: AddedUp::from(&sides.new),
        }
    }
}

impl Added {
    pub(super) fn into_hour(self) -> Result<Hour, String> {
        Ok(Hour {
            from: moment(&self.from)?,
            to: moment(&self.to)?,
            stage: self.stage,
            sides: PerBackend {
                legacy: self.legacy.into_sums(),
                new: self.new.into_sums(),
            },
        })
    }
}

fn is_default<T: Default + PartialEq>(it: &T) -> bool {
    *it == T::default()
}

/// The shape of [`Sums`], whose fields are named here once. A field added there and not
/// here does not compile.
macro_rules! added_up {
    ($($field:ident: $kind:ty),* $(,)?) => {
        /// One backend's hour.
        #[derive(Default, PartialEq, Serialize, Deserialize)]
        pub(super) struct AddedUp {
            $(#[serde(default, skip_serializing_if = "is_default")] $field: $kind,)*
        }

        impl From<&Sums> for AddedUp {
            fn from(sums: &Sums) -> Self {
                let Sums { $($field),* } = sums.clone();
                Self { $($field),* }
            }
        }

        impl AddedUp {
            pub(super) fn into_sums(self) -> Sums {
                let Self { $($field),* } = self;
                Sums { $($field),* }
            }
        }
    };
}

added_up! {
    begun: u64,
    good: u64,
    failed: u64,
    calls: u64,
    failed_calls: u64,
    latencies: u64,
    latency_us: u64,
    latency_us_squared: u128,
    latency_buckets: BTreeMap<u16, u32>,
    served: u64,
    abandoned: u64,
    unknown: u64,
    bad: u64,
    sound: u64,
    timed: u64,
    duration_s: u64,
    duration_s_squared: u64,
    speech_good: u64,
    speech_empty: u64,
    critical_errors: u64,
    complaints: u64,
    incidents: u64,
    opened: u64,
    checks: u64,
    checks_bad: u64,
    transactions: u64,
}
