//! The end of a journal, for the API and the command line.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::JOURNAL;

/// Most entries that [`tail`] returns; asking for more gets this many.
pub const TAIL_MAX: usize = 1000;

/// Most bytes that [`tail`] reads; entries before them are left out.
pub const TAIL_BYTES: u64 = 4 << 20;

/// The last `n` entries as they lie in the file, oldest first. Reads while the
/// keeper writes: a line that is not whole yet is left out.
///
/// # Errors
///
/// The journal is there and cannot be read. No journal is an empty one.
pub fn tail(dir: &Path, n: usize) -> io::Result<Vec<serde_json::Value>> {
    let file = match File::open(dir.join(JOURNAL)) {
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
    let mut entries: Vec<_> = bytes
        .split(|byte| *byte == b'\n')
        .rev()
        .filter_map(|line| serde_json::from_slice(line).ok())
        .take(n.min(TAIL_MAX))
        .collect();
    entries.reverse();
    Ok(entries)
}
