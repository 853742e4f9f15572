//! The latch: 512 bytes that say whether everything goes to legacy.
//!
//! They are there, as real bytes, from the first start on, and are overwritten in
//! place: no new block, no new name, so a full disk cannot keep a reversal from
//! being remembered. 512 bytes are one sector, which is written whole or not at
//! all. What cannot be read is set.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{line, open_private, replace};

/// Size of the file.
const BYTES: usize = 512;

/// The latch file, open.
#[derive(Debug)]
pub(super) struct Latch {
    path: PathBuf,
    file: File,
}

/// The first line of the file; the rest is blank.
#[derive(Serialize, Deserialize)]
struct Content {
    latched: bool,
    reason: String,
    checksum: String,
}

impl Latch {
    /// Opens the latch; says why, if it is set. A missing one is made, and is set
    /// unless the whole state is `fresh`.
    pub(super) fn open(dir: &Path, fresh: bool) -> io::Result<(Self, Option<String>)> {
        let path = dir.join("latch");
        if !path.exists() {
            let lost = (!fresh).then(|| "the latch file was gone at start".to_owned());
            let file = replace(&path, &content(lost.as_deref()))?;
            return Ok((Self { path, file }, lost));
        }
        let file = open_private(&path)?;
        let mut latch = Self { path, file };
        let found = latch.read();
        let set = found.unwrap_or_else(|why| {
            let why = format!("the latch file could not be read at start: {why}");
            Some(why)
        });
        if let Some(reason) = &set
            && latch.file.metadata()?.len() != BYTES as u64
            && let Ok(file) = replace(&latch.path, &content(Some(reason)))
        {
            // So that the next writing in place finds real bytes again.
            latch.file = file;
        }
        Ok((latch, set))
    }

    /// What it says, of a directory that is not ours. None too where there is none yet.
    pub(super) fn peek(dir: &Path) -> Result<Option<String>, String> {
        let path = dir.join("latch");
        match File::open(&path) {
            Ok(file) => Self { path, file }.read(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Everything to legacy, durably.
    pub(super) fn set(&mut self, reason: &str) -> io::Result<()> {
        self.overwrite(&content(Some(reason)))
    }

    /// Nothing is held at legacy any more, durably.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.overwrite(&content(None))
    }

    fn overwrite(&mut self, bytes: &[u8; BYTES]) -> io::Result<()> {
        let written = self
            .file
            .write_all_at(bytes, 0)
            .and_then(|()| self.file.sync_data());
        if written.is_err()
            && let Ok(file) = open_private(&self.path)
        {
            // After a failed sync the kernel may call the pages clean. A new handle
            // reports errors anew, and the next try writes every byte again.
            self.file = file;
        }
        written
    }

    fn read(&self) -> Result<Option<String>, String> {
        let size = self.file.metadata().map_err(|error| error.to_string())?;
        if size.len() != BYTES as u64 {
            return Err(format!("it has {} bytes instead of {BYTES}", size.len()));
        }
        let mut bytes = [0; BYTES];
        self.file
            .read_exact_at(&mut bytes, 0)
            .map_err(|error| error.to_string())?;
        let found: Content =
            serde_json::from_slice(&bytes).map_err(|_| "it is garbled".to_owned())?;
        let reason = found.latched.then_some(found.reason.as_str());
        // Compared whole: blanks and all, nothing of it may have changed.
        if content(reason) != bytes {
            return Err("it is garbled".to_owned());
        }
        Ok(found.latched.then_some(found.reason))
    }
}

#[cfg(test)]
impl Latch {
    /// From here on the next write fails.
    pub(super) fn break_for_test(&mut self, path: &Path) {
        self.file = File::open(path).expect("the latch is there to be read");
    }
}

/// The file's bytes. The reason is cut to what fits.
fn content(reason: Option<&str>) -> [u8; BYTES] {
    let latched = reason.is_some();
    let mut reason = reason.unwrap_or_default().to_owned();
    loop {
        let checksum = line::checksum("", format!("{latched} {reason}").as_bytes());
        let found = Content {
            latched,
            reason: reason.clone(),
            checksum,
        };
        let json = serde_json::to_vec(&found).expect("a struct of strings becomes JSON");
        if json.len() < BYTES {
            let mut bytes = [b' '; BYTES];
            bytes[..json.len()].copy_from_slice(&json);
            bytes[BYTES - 1] = b'\n';
            return bytes;
        }
        // A character may become six bytes of JSON, so look again after each cut.
        let over = (json.len() - BYTES) / 6 + 1;
        for _ in 0..over {
            reason.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_512_bytes_whatever_the_reason() {
        for reason in [
            None,
            Some(""),
            Some("errors"),
            Some(&*"\u{1}é\"".repeat(400)),
        ] {
            let bytes = content(reason);
            let found: Content = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(found.latched, reason.is_some());
            assert!(reason.unwrap_or_default().starts_with(&found.reason));
        }
    }

    #[test]
    fn it_says_after_a_restart_what_it_was_told() {
        let dir = tempfile::tempdir().unwrap();
        let (mut latch, set) = Latch::open(dir.path(), true).unwrap();
        assert_eq!(set, None);
        latch.set("errors: 7 of 31 calls failed").unwrap();
        let (mut latch, set) = Latch::open(dir.path(), false).unwrap();
        assert_eq!(set.as_deref(), Some("errors: 7 of 31 calls failed"));
        latch.clear().unwrap();
        assert_eq!(Latch::open(dir.path(), false).unwrap().1, None);
    }

    #[test]
    fn a_latch_that_is_gone_while_a_journal_is_there_is_set() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Latch::open(dir.path(), false).unwrap().1.is_some());
        assert!(Latch::open(dir.path(), false).unwrap().1.is_some());
    }

    #[test]
    fn any_flipped_bit_and_any_other_length_is_set() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latch");
        let clear = content(None);
        for bit in 0..BYTES * 8 {
            let mut bytes = clear;
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).unwrap();
            let (_, set) = Latch::open(dir.path(), false).unwrap();
            assert!(set.is_some(), "bit {bit}");
        }
        for len in [0, 1, BYTES - 1] {
            std::fs::write(&path, &clear[..len]).unwrap();
            assert!(Latch::open(dir.path(), false).unwrap().1.is_some());
            let (_, again) = Latch::open(dir.path(), false).unwrap();
            assert!(again.is_some(), "and stays so, at its full size");
            assert_eq!(std::fs::metadata(&path).unwrap().len(), BYTES as u64);
        }
        std::fs::write(&path, clear).unwrap();
        assert_eq!(Latch::open(dir.path(), false).unwrap().1, None);
    }
}
