//! Reading a journal back: how far it is good, and what follows after that.

use serde_json::de::StreamDeserializer;

use super::line;
use crate::rollout::{Action, Entry};

/// What a journal's bytes hold.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The entries that check, from the first on.
    pub(super) entries: Vec<Entry>,
    /// How many bytes they take.
    pub(super) good: u64,
    /// How many of those bytes are a checkpoint at the beginning.
    pub(super) opening: u64,
    /// The last one's checksum; empty without any.
    pub(super) checksum: String,
    /// What is wrong after them, unless it is only a torn last line.
    pub(super) damage: Option<String>,
    /// Lines from the damage on, none of which is believed.
    pub(super) unread: u64,
}

impl Found {
    /// What is found in a file that cannot be read at all.
    pub(super) fn unreadable(why: String) -> Self {
        Self {
            damage: Some(why),
            ..Self::default()
        }
    }
}

/// Reads as far as everything checks.
pub(super) fn scan(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        let before = match found.entries.is_empty() {
            // A segment before it is named in it; whoever has that one compares.
            true => line::goes_on_from(line).unwrap_or_default(),
            false => std::mem::take(&mut found.checksum),
        };
        match line::decode(line, &before) {
            Ok((entry, checksum)) => {
                if let (true, Action::Checkpoint(_)) = (found.entries.is_empty(), &entry.action) {
                    found.opening = end as u64 + 1;
                }
                found.entries.push(entry);
                found.checksum = checksum;
                found.good += end as u64 + 1;
                rest = after;
            }
            Err(why) => {
                found.checksum = before;
                return damaged(found, rest, &why);
            }
        }
    }
    // A torn line is the beginning of one, and an object is not whole before its
    // last byte. If more follows, its line break was changed after it was written,
    // and what it said may have been in force.
    if holds_a_whole_value(rest) && !rest.ends_with(b"}") {
        return damaged(found, rest, "its line break is gone");
    }
    found
}

fn damaged(mut found: Found, rest: &[u8], why: &str) -> Found {
    let nth = found.entries.len() + 1;
    found.damage = Some(format!("line {nth} cannot be believed: {why}"));
    found.unread = rest.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    found
}

fn holds_a_whole_value(rest: &[u8]) -> bool {
    let values = serde_json::Deserializer::from_slice(rest);
    let mut values: StreamDeserializer<'_, _, serde::de::IgnoredAny> = values.into_iter();
    matches!(values.next(), Some(Ok(_)))
}
