//! The closed segments of a journal: files that are never written again, only read and,
//! when the policy says so, deleted.
//!
//! `journal-0000000412.jsonl` holds the entries from number 412 on, up to where the next
//! one begins. Every segment but the first begins with a checkpoint, so that each can be
//! read without those before it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::line;
use crate::model::Wall;

const BEGINS: &str = "journal-";
const ENDS: &str = ".jsonl";

/// A segment that was closed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closed {
    /// Number of the first entry that is its own.
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

/// The file name of the segment whose first own entry has this number: of one length, so
/// that they stand in order in a listing.
pub(super) fn name(first: u64) -> String {
    format!("{BEGINS}{first:010}{ENDS}")
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(BEGINS)?.strip_suffix(ENDS)?;
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all)
}

/// The closed segments of a directory, oldest first.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Closed>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(number) {
            let path = entry.path();
            found.push(Closed { first, path });
        }
    }
    found.sort();
    Ok(found)
}

/// Deletes the segments whose last entry is older than `keep`, oldest first, and says
/// which. Stops at the first that is younger, or whose age cannot be read, so that what
/// is left has no gap.
pub(super) fn prune(dir: &Path, keep: Duration, now: Wall) -> io::Result<Vec<String>> {
    let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let mut gone = Vec::new();
    for closed in list(dir)? {
        let old = last_moment(&closed.path)?.is_some_and(|at| now.0.saturating_sub(at.0) > keep);
        if !old {
            break;
        }
        fs::remove_file(&closed.path)?;
        gone.push(file_name(&closed.path));
    }
    Ok(gone)
}

/// A path's last part, for people.
pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// When the last entry of a segment was made. None if it cannot be told.
fn last_moment(path: &Path) -> io::Result<Option<Wall>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    // Lines are short, but one of many tenants need not be.
    let mut len = size.min(64 << 10);
    loop {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        file.read_exact_at(&mut bytes, size - len)?;
        let Some(lines) = bytes.strip_suffix(b"\n") else {
            return Ok(None);
        };
        let begins = lines.iter().rposition(|byte| *byte == b'\n');
        match begins {
            Some(end) => return Ok(lines.get(end + 1..).and_then(line::written_at)),
            None if len == size => return Ok(line::written_at(lines)),
            None => len = size.min(len * 2),
        }
    }
}

/// Removes the second name of a journal that was not closed after all: what a crash
/// leaves in the middle of a turn. True if there was one.
pub(super) fn remove_leftover(running: &Path, bytes: &[u8]) -> io::Result<bool> {
    let dir = running.parent().unwrap_or_else(|| Path::new("."));
    let Some(newest) = list(dir)?.pop() else {
        return Ok(false);
    };
    let found = is_of(&newest.path, running, bytes)?;
    if found {
        fs::remove_file(&newest.path)?;
    }
    Ok(found)
}

/// Is it the same file as the running journal, or an earlier state of it?
pub(super) fn is_of(closed: &Path, running: &Path, bytes: &[u8]) -> io::Result<bool> {
    let (one, other) = (fs::metadata(closed)?, fs::metadata(running)?);
    if (one.dev(), one.ino()) == (other.dev(), other.ino()) {
        return Ok(true);
    }
    Ok(one.len() <= bytes.len() as u64 && bytes.starts_with(&fs::read(closed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_where_it_begins_and_stands_in_its_place() {
        assert_eq!(name(412), "journal-0000000412.jsonl");
        for (text, first) in [
            ("journal-0000000412.jsonl", Some(412)),
            ("journal-7.jsonl", Some(7)),
            ("journal-99999999999.jsonl", Some(99_999_999_999)),
            ("journal-.jsonl", None),
            ("journal-+7.jsonl", None),
            ("journal.jsonl", None),
            ("journal.jsonl.damaged-20260921", None),
        ] {
            assert_eq!(number(text), first, "{text}");
        }
    }

    #[test]
    fn the_last_moment_is_found_behind_a_line_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name(1));
        let last = "{\"sequence\":2,\"time\":\"2026-05-28T20:26:40.126Z\"}\n";
        let long = format!("{{\"time\":\"x\",\"rest\":\"{}\"}}\n", "x".repeat(200_000));
        for (text, found) in [
            (String::new(), None),
            (last.to_owned(), Some(Wall(1_780_000_000_126))),
            (format!("{long}{last}"), Some(Wall(1_780_000_000_126))),
            (long, None),
            (last.trim_end().to_owned(), None),
        ] {
            fs::write(&path, &text).unwrap();
            assert_eq!(last_moment(&path).unwrap(), found, "{} bytes", text.len());
        }
    }
}
