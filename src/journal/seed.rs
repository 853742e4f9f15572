//! The secret that call ids are hashed under.

use std::fs;
use std::io;
use std::path::Path;

use super::replace;

/// The installation's secret, and whether it is new.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// Eight random bytes.
    pub value: u64,
    /// It was made now: pins saved under another seed are lost, if there were any.
    pub made: bool,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seed")
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

/// Reads the seed of a state directory (which must exist and be locked), or makes
/// one. A seed that cannot be read as one is replaced: pins that were saved under
/// it are lost, which costs less than not to answer.
///
/// # Errors
///
/// The file can neither be read nor made.
pub fn seed(dir: &Path) -> io::Result<Seed> {
    let path = dir.join("seed");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let text = text.trim();
            if text.len() == 16
                && let Ok(value) = u64::from_str_radix(text, 16)
            {
                return Ok(Seed { value, made: false });
            }
        }
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidData
            ) => {}
        Err(error) => return Err(error),
    }
    let value = rand::random::<u64>();
    replace(&path, format!("{value:016x}\n").as_bytes())?;
    Ok(Seed { value, made: true })
}
