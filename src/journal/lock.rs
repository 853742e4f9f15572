//! One process to a state directory.
//!
//! Two that fold the same journal would each undo the other's reversal. The lock
//! is the kernel's, so a crash releases it; what is written in the file is only
//! for the one who finds it held.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use super::{OpenError, line, open_private};
use crate::model::Wall;

/// Takes the lock, for as long as the file is open.
pub(super) fn take(dir: &Path, now: Wall) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let mut file = open_private(&path).map_err(OpenError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::Held {
                dir: dir.to_owned(),
                holder: holder(&mut file),
            });
        }
        Err(TryLockError::Error(error)) => return Err(OpenError::io("lock", &path)(error)),
    }
    let said = format!("pid {}, started {}\n", std::process::id(), line::time(now));
    // For people only: on a full disk the lock holds without it.
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(said.as_bytes()));
    if let Err(error) = written {
        tracing::warn!(%error, "Could not write into the lock file who holds it.");
    }
    Ok(file)
}

fn holder(file: &mut File) -> String {
    let mut said = String::new();
    // 200 bytes: whoever wrote more was not us.
    let read = file.take(200).read_to_string(&mut said);
    match (read, said.trim()) {
        (Ok(_), said) if !said.is_empty() => said.to_owned(),
        _ => "it did not write who it is".to_owned(),
    }
}
