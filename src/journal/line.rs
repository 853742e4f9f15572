//! One line of the journal: its JSON shape, apart from the types the rollout
//! works with, and the checksum that chains it to the line before.
//!
//! The checksum is XXH3-128 in lower-case hexadecimal, over the checksum of the
//! line before (nothing for the first) followed by this line's bytes up to
//! `,"checksum"`. It is taken over bytes, not over meanings, so that a field this
//! version does not know is protected as well.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::model::{Percentage, Wall};
use crate::rollout::{
    Action, Entry, Evidence, Former, List, Listed, Phase, Snapshot, Stamp, Step, Wishes,
};

/// What stands between a line's own fields and its 32 digits.
const BEFORE: &[u8] = b",\"checksum\":\"";
/// What stands after them.
const AFTER: &[u8] = b"\"}";
/// Digits of a checksum.
const DIGITS: usize = 32;
/// The action whose step stands in a field of its own.
const VERIFICATION: &str = "verification";

/// An entry as a line with its line break, and the line's checksum.
pub(super) fn encode(entry: &Entry, previous: &str) -> (Vec<u8>, String) {
    let mut line =
        serde_json::to_vec(&Line::from(entry)).expect("maps with string keys become JSON");
    let brace = line.pop();
    debug_assert_eq!(brace, Some(b'}'), "a struct becomes an object");
    let checksum = checksum(previous, &line);
    line.extend_from_slice(BEFORE);
    line.extend_from_slice(checksum.as_bytes());
    line.extend_from_slice(AFTER);
    line.push(b'\n');
    (line, checksum)
}

/// A line, without its line break, as an entry and its checksum.
///
/// # Errors
///
/// Says what is wrong with it: that is damage.
pub(super) fn decode(line: &[u8], previous: &str) -> Result<(Entry, String), String> {
    let own = line
        .len()
        .checked_sub(BEFORE.len() + DIGITS + AFTER.len())
        .and_then(|end| line.split_at_checked(end));
    let Some((own, rest)) = own else {
        return Err("it is too short to carry a checksum".to_owned());
    };
    let found = rest
        .strip_prefix(BEFORE)
        .and_then(|rest| rest.strip_suffix(AFTER));
    let expected = checksum(previous, own);
    if found != Some(expected.as_bytes()) {
        return Err("its checksum does not fit it and the line before".to_owned());
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    Ok((line.into_entry()?, expected))
}

/// The checksum of some bytes that follow a line with the checksum `previous`.
pub(super) fn checksum(previous: &str, bytes: &[u8]) -> String {
    let mut hasher = Xxh3::new();
    hasher.update(previous.as_bytes());
    hasher.update(bytes);
    format!("{:032x}", hasher.digest128())
}

/// RFC 3339 with milliseconds, in UTC.
pub(super) fn time(at: Wall) -> String {
    Timestamp::from_millisecond(at.0)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}

#[derive(Serialize, Deserialize)]
struct Line {
    sequence: u64,
    time: String,
    actor: String,
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set_aside: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    before: Side,
    after: Side,
    generation: u64,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<Saw>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<Wished>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Side {
    phase: String,
    percentage: f64,
    enabled: bool,
    latched: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    moves_live: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<Before>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tenants: BTreeMap<String, Option<String>>,
}

#[derive(Serialize, Deserialize)]
struct Before {
    percentage: f64,
    enabled: bool,
}

#[derive(Serialize, Deserialize)]
struct Saw {
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

#[derive(Serialize, Deserialize)]
struct Wished {
    enabled: bool,
    percentage: f64,
    #[serde(default)]
    tenants: BTreeMap<String, String>,
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        let (rule, set_aside) = match &entry.action {
            Action::Reverse { rule } => (Some(rule.clone()), None),
            Action::JournalDamaged { set_aside } => (None, Some(set_aside.clone())),
            _ => (None, None),
        };
        let step = match &entry.action {
            Action::Verification { step, count } => Some((step.name().to_owned(), *count)),
            _ => None,
        };
        let (step, count) = step.unzip();
        Self {
            sequence: entry.stamp.sequence,
            time: time(entry.stamp.at),
            actor: entry.actor.clone(),
            action: entry.action.name().to_owned(),
            rule,
            set_aside,
            step,
            count,
            before: Side::from(&entry.before),
            after: Side::from(&entry.after),
            generation: entry.generation,
            reason: entry.reason.clone(),
            evidence: entry.evidence.as_ref().map(Saw::from),
            file: entry.seen.as_ref().map(Wished::from),
            notes: entry.notes.clone(),
        }
    }
}

impl Line {
    fn into_entry(self) -> Result<Entry, String> {
        let at: Timestamp = self
            .time
            .parse()
            .map_err(|_| format!("`{}` is no time", self.time))?;
        let step = self.step.as_deref().and_then(Step::from_name);
        let action = match step.filter(|_| self.action == VERIFICATION) {
            Some(step) => Action::Verification {
                step,
                count: self.count.unwrap_or_default(),
            },
            None => Action::from_name(&self.action, self.rule.or(self.set_aside)),
        };
        Ok(Entry {
            stamp: Stamp {
                sequence: self.sequence,
                at: Wall(at.as_millisecond()),
            },
            actor: self.actor,
            reason: self.reason,
            action,
            before: self.before.into_snapshot()?,
            after: self.after.into_snapshot()?,
            generation: self.generation,
            evidence: self.evidence.map(Evidence::from),
            seen: self.file.map(Wished::into_wishes).transpose()?,
            notes: self.notes,
        })
    }
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
            tenants: side
                .tenants
                .iter()
                .map(|(id, listed)| (id.clone(), name(listed)))
                .collect(),
        }
    }
}

impl Side {
    fn into_snapshot(self) -> Result<Snapshot, String> {
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
            former,
            tenants,
        })
    }
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
        }
    }
}

impl Wished {
    fn into_wishes(self) -> Result<Wishes, String> {
        let mut tenants = BTreeMap::new();
        for (id, name) in self.tenants {
            tenants.insert(id, listed(&name)?.list());
        }
        Ok(Wishes {
            enabled: self.enabled,
            percentage: percentage(self.percentage)?,
            tenants,
        })
    }
}

/// Lines that move nothing look as they did before this was known.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_false(it: &bool) -> bool {
    !*it
}

fn percentage(number: f64) -> Result<Percentage, String> {
    Percentage::new(number).ok_or_else(|| format!("{number} is no percentage"))
}

fn listed(name: &str) -> Result<Listed, String> {
    Listed::from_name(name).ok_or_else(|| format!("`{name}` is no list"))
}
