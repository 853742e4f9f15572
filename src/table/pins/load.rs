//! Reading the pins back at start.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::record::{HEADER, PinRecord, SIZE, header};
use super::{Epoch, FILE};
use crate::model::{Tick, Wall};
use crate::table::Table;

/// What a file of pins gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Calls, legs and other ids that are known again.
    pub pins: usize,
    /// Bytes cut off at the end: a record the process died in.
    pub cut: u64,
    /// Records skipped because their checksum was wrong.
    pub damaged: u64,
    /// The file was made under another seed or version and was set aside as
    /// `pins.unreadable`; calls in progress are placed like new ones.
    pub set_aside: bool,
}

/// The pins could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not read the pins in {}: check the file's permissions, or move it away to start \
     without (calls in progress are then placed like new ones)",
    path.display()
)]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Reads the pins in this state directory into an empty table and cuts a torn
/// tail off the file. Calls that ended long ago or fell silent are left out. No file
/// is no pins.
///
/// # Errors
///
/// The file is there and cannot be read, cut or set aside.
pub fn load(dir: &Path, table: &Table, now: Tick, wall_now: Wall) -> Result<Loaded, LoadError> {
    let path = dir.join(FILE);
    let epoch = Epoch {
        tick: now,
        wall: wall_now,
    };
    read(&path, table, epoch).map_err(|source| LoadError { path, source })
}

fn read(path: &Path, table: &Table, epoch: Epoch) -> io::Result<Loaded> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::default()),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let mut loaded = Loaded::default();
    let mut reader = BufReader::new(&file);
    let mut head = [0; HEADER];
    if size < HEADER as u64 {
        // The process died while it made the file; nothing was ever in it.
        loaded.cut = size;
        file.set_len(0)?;
        return Ok(loaded);
    }
    reader.read_exact(&mut head)?;
    if head != header(table.seed) {
        std::fs::rename(path, path.with_extension("unreadable"))?;
        loaded.set_aside = true;
        return Ok(loaded);
    }
    let body = size - HEADER as u64;
    records(reader, body / SIZE as u64, table, epoch, &mut loaded)?;
    loaded.cut = body % SIZE as u64;
    if loaded.cut > 0 {
        file.set_len(size - loaded.cut)?;
    }
    loaded.pins = table.len();
    // What was just read need not be written again.
    table.drain_pins(&mut Vec::new());
    Ok(loaded)
}

fn records(
    mut reader: BufReader<&File>,
    count: u64,
    table: &Table,
    epoch: Epoch,
    loaded: &mut Loaded,
) -> io::Result<()> {
    let mut bytes = [0; SIZE];
    for _ in 0..count {
        reader.read_exact(&mut bytes)?;
        match PinRecord::decode(&bytes, epoch) {
            Some(record) => table.restore(&record, epoch.tick),
            None => loaded.damaged += 1,
        }
    }
    Ok(())
}
