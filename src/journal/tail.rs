//! The end of a journal, for the API and the command line.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::Value;

use super::{JOURNAL, segments};

/// Most entries that [`tail`] returns; asking for more gets this many.
pub const TAIL_MAX: usize = 1000;

/// Most bytes of a segment that [`tail`] reads; entries before them are left out.
pub const TAIL_BYTES: u64 = 4 << 20;

/// Most segments that [`tail`] looks into.
const SEGMENTS: usize = 3;

/// The last `n` entries as they lie in the files, oldest first. Reads while the
/// keeper writes: a line that is not whole yet is left out. So is a checkpoint, which
/// tells nothing new and may be long.
///
/// # Errors
///
/// The journal is there and cannot be read. No journal is an empty one.
pub fn tail(dir: &Path, n: usize) -> io::Result<Vec<Value>> {
    let n = n.min(TAIL_MAX);
    // The running one first: one that is closed meanwhile is seen twice, not missed.
    let mut entries = last_of(&dir.join(JOURNAL), n)?;
    if entries.len() < n && dir.exists() {
        for closed in segments::list(dir)?.iter().rev().take(SEGMENTS - 1) {
            let known = entries.first().and_then(sequence).unwrap_or(u64::MAX);
            let mut older = last_of(&closed.path, n)?;
            older.retain(|entry| sequence(entry).is_some_and(|number| number < known));
            let spare = (older.len() + entries.len()).saturating_sub(n);
            older.drain(..spare);
            older.append(&mut entries);
            entries = older;
            if entries.len() >= n {
                break;
            }
        }
    }
    Ok(entries)
}

fn sequence(entry: &Value) -> Option<u64> {
    entry.get("sequence")?.as_u64()
}

/// The last `n` entries of one segment.
fn last_of(path: &Path, n: usize) -> io::Result<Vec<Value>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let len = size.min(TAIL_BYTES);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    match file.read_exact_at(&mut bytes, size - len) {
        // Cut back by the keeper between the two calls: nothing is lost, ask again.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Vec::new()),
        result => result?,
    }
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    bytes.truncate(whole);
    let told = |entry: &Value| {
        entry
            .get("action")
            .is_none_or(|action| action != CHECKPOINT)
    };
    let mut entries: Vec<_> = bytes
        .split(|byte| *byte == b'\n')
        .rev()
        .filter_map(|line| serde_json::from_slice(line).ok())
        .filter(told)
        .take(n)
        .collect();
    entries.reverse();
    Ok(entries)
}

/// The action of a checkpoint, as it stands in a line.
const CHECKPOINT: &str = "checkpoint";
