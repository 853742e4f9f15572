//! One line of the journal: its JSON shape, apart from the types the rollout
//! works with, and the checksum that chains it to the line before.
//!
//! The checksum is XXH3-128 in lower-case hexadecimal, over the checksum of the
//! line before (nothing for the first; for a checkpoint, of the segment it goes on
//! from) followed by this line's bytes up to
//! `,"checksum"`. It is taken over bytes, not over meanings, so that a field this
//! version does not know is protected as well.

mod checkpoint;
mod hour;
mod side;
#[cfg(test)]
mod tests;
mod told;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use self::checkpoint::{Behind, Kept};
use self::hour::Added;
use self::side::Side;
use self::told::{Saw, Wished};
use crate::model::{Percentage, Wall};
use crate::rollout::{Action, Entry, Evidence, Listed, Stamp, Step};

/// What stands between a line's own fields and its 32 digits.
const BEFORE: &[u8] = b",\"checksum\":\"";
/// What stands after them.
const AFTER: &[u8] = b"\"}";
/// Digits of a checksum.
const DIGITS: usize = 32;

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

/// The moment that was written so.
fn moment(text: &str) -> Result<Wall, String> {
    let at: Timestamp = text.parse().map_err(|_| format!("`{text}` is no time"))?;
    Ok(Wall(at.as_millisecond()))
}

/// The checksum that the first line of a file says it goes on from: that of the segment
/// before it, which may not be there any more.
pub(super) fn goes_on_from(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct First {
        checkpoint: Link,
    }
    #[derive(Deserialize)]
    struct Link {
        follows: Behind,
    }
    let first: First = serde_json::from_slice(line).ok()?;
    Some(first.checkpoint.follows.checksum)
}

/// When a line says that it was made.
pub(super) fn written_at(line: &[u8]) -> Option<Wall> {
    #[derive(Deserialize)]
    struct Made {
        time: String,
    }
    let made: Made = serde_json::from_slice(line).ok()?;
    moment(&made.time).ok()
}

/// One line. What is read without a default has been there since the first version.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hour: Option<Added>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<Kept>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
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

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        let mut line = Self {
            sequence: entry.stamp.sequence,
            time: time(entry.stamp.at),
            actor: entry.actor.clone(),
            action: entry.action.name().to_owned(),
            rule: None,
            set_aside: None,
            step: None,
            count: None,
            by_ms: None,
            hour: None,
            checkpoint: None,
            backup: None,
            ok: None,
            before: Side::from(&entry.before),
            after: Side::from(&entry.after),
            generation: entry.generation,
            reason: entry.reason.clone(),
            evidence: entry.evidence.as_ref().map(Saw::from),
            file: entry.seen.as_ref().map(Wished::from),
            notes: entry.notes.clone(),
        };
        match &entry.action {
            Action::Reverse { rule }
            | Action::StepBack { rule }
            | Action::DisableTenant { rule } => line.rule = Some(rule.clone()),
            Action::JournalDamaged { set_aside } => line.set_aside = Some(set_aside.clone()),
            Action::Verification { step, count } => {
                line.step = Some(step.name().to_owned());
                line.count = Some(*count);
            }
            Action::ClockStepped { by_ms } => line.by_ms = Some(*by_ms),
            Action::Totals(hour) => line.hour = Some(Added::from(&**hour)),
            Action::RollbackData { backup, ok } => {
                line.backup = Some(backup.clone());
                line.ok = *ok;
            }
            Action::Checkpoint(kept) => line.checkpoint = Some(Kept::from(&**kept)),
            _ => {}
        }
        line
    }
}

impl Line {
    fn into_entry(mut self) -> Result<Entry, String> {
        Ok(Entry {
            action: self.action()?,
            stamp: Stamp {
                sequence: self.sequence,
                at: moment(&self.time)?,
            },
            actor: self.actor,
            reason: self.reason,
            before: self.before.into_snapshot()?,
            after: self.after.into_snapshot()?,
            generation: self.generation,
            evidence: self.evidence.map(Evidence::from),
            seen: self.file.map(Wished::into_wishes).transpose()?,
            notes: self.notes,
        })
    }

    /// What was done. An action that lacks what it needs was written by another version.
    fn action(&mut self) -> Result<Action, String> {
        let other = || Action::Other(self.action.clone());
        Ok(match self.action.as_str() {
            "verification" => {
                let step = self.step.as_deref().and_then(Step::from_name);
                let count = self.count.unwrap_or_default();
                step.map_or_else(other, |step| Action::Verification { step, count })
            }
            "clock-stepped" => {
                let by_ms = self.by_ms;
                by_ms.map_or_else(other, |by_ms| Action::ClockStepped { by_ms })
            }
            "rollback-data" => {
                let ok = self.ok;
                self.backup
                    .take()
                    .map_or_else(other, |backup| Action::RollbackData { backup, ok })
            }
            "totals" => match self.hour.take() {
                Some(hour) => Action::Totals(Box::new(hour.into_hour()?)),
                None => other(),
            },
            "checkpoint" => match self.checkpoint.take() {
                Some(kept) => Action::Checkpoint(Box::new(kept.into_checkpoint()?)),
                None => other(),
            },
            name => Action::from_name(name, self.rule.take().or_else(|| self.set_aside.take())),
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
