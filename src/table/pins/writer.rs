//! The thread that writes the pins.
//!
//! Nobody waits for it: when the disk is slow its queue fills, batches are let go
//! and counted, and the next write is the whole table, which tells
//! everything the lost batches would have told.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::record::{SIZE, header};
use super::{Epoch, FILE, PinRecord};
use crate::model::{Tick, Wall};
use crate::table::Table;

/// Batches that wait for the disk: six seconds of ticks.
const QUEUE: usize = 64;

/// A file of fewer records is not worth compacting.
const SMALL: usize = 1024;

/// After the disk refused the whole table, so many batches pass before it is
/// asked again (at a batch a tick, ten seconds).
const PATIENCE: u32 = 100;

/// Writes changed pins on a thread of its own.
#[derive(Debug)]
pub struct PinWriter {
    table: Arc<Table>,
    batches: SyncSender<Batch>,
    thread: JoinHandle<()>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Batch {
    records: Vec<PinRecord>,
    epoch: Epoch,
}

#[derive(Debug, Default)]
struct Counts {
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl PinWriter {
    /// Begins with a fresh file of everything the table holds, so call it after
    /// [`super::load`]. A disk that refuses is counted in [`Self::failed`] and tried
    /// again; it stops nothing.
    ///
    /// # Errors
    ///
    /// The system gave no thread.
    pub fn open(dir: &Path, table: Arc<Table>, now: Tick, wall: Wall) -> io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let (batches, waiting) = sync_channel(QUEUE);
        let mut store = Store {
            path: dir.join(FILE),
            table: Arc::clone(&table),
            counts: Arc::clone(&counts),
            file: None,
            records: 0,
            patience: 0,
        };
        store.write(&Batch {
            records: Vec::new(),
            epoch: Epoch { tick: now, wall },
        });
        let thread = std::thread::Builder::new()
            .name("pins".into())
            .spawn(move || run(&waiting, store))?;
        Ok(Self {
            table,
            batches,
            thread,
            counts,
        })
    }

    /// Hands the pins that changed since the last time to the writer and returns at
    /// once. For the engine's thread, every tick.
    pub fn save(&self, now: Tick, wall: Wall) {
        let mut records = Vec::new();
        self.table.drain_pins(&mut records);
        if records.is_empty() && !self.table.lost.load(Ordering::Relaxed) {
            return;
        }
        let count = records.len() as u64;
        let epoch = Epoch { tick: now, wall };
        if self.batches.try_send(Batch { records, epoch }).is_err() {
            self.counts.dropped.fetch_add(count, Ordering::Relaxed);
            self.table.lost.store(true, Ordering::Relaxed);
        }
    }

    /// Changed pins let go because the disk was too slow; the next write of the
    /// whole table makes up for them.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Writes the disk refused.
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }

    /// Writes what was handed over and ends the thread.
    pub fn close(self) {
        drop(self.batches);
        if self.thread.join().is_err() {
            tracing::error!("The writer of the pins panicked; pins of the last moments are lost.");
        }
    }
}

fn run(waiting: &Receiver<Batch>, mut store: Store) {
    while let Ok(batch) = waiting.recv() {
        store.write(&batch);
    }
}

struct Store {
    path: PathBuf,
    table: Arc<Table>,
    counts: Arc<Counts>,
    /// None: the file is not to be trusted, so the next write is the whole table.
    file: Option<File>,
    /// Records in the file.
    records: usize,
    /// Batches to let pass before the whole table is tried again.
    patience: u32,
}

impl Store {
    fn write(&mut self, batch: &Batch) {
        self.patience = self.patience.saturating_sub(1);
        let live = self.table.len().max(SMALL / 2);
        let untrue = self.file.is_none() || self.table.lost.load(Ordering::Relaxed);
        if (untrue || self.records > 2 * live) && self.patience == 0 {
            match self.whole(batch.epoch) {
                // The table was read after the batch was taken from it.
                Ok(()) => return,
                Err(error) => self.refused(&error),
            }
        }
        if let Err(error) = self.append(batch) {
            // Half a record may be in the file: nothing may follow it.
            self.file = None;
            self.refused(&error);
        }
    }

    fn append(&mut self, batch: &Batch) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut bytes = Vec::with_capacity(batch.records.len() * SIZE);
        for record in &batch.records {
            record.encode(batch.epoch, &mut bytes);
        }
        file.write_all(&bytes)?;
        self.records += batch.records.len();
        Ok(())
    }

    /// Writes the whole table beside the file and puts it in its place.
    fn whole(&mut self, epoch: Epoch) -> io::Result<()> {
        // Before the table is read: what is lost from here on is lost anew.
        self.table.lost.store(false, Ordering::Relaxed);
        let written = self.rewrite(epoch);
        match written {
            Ok((file, records)) => {
                self.file = Some(file);
                self.records = records;
                Ok(())
            }
            Err(error) => {
                self.table.lost.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn rewrite(&self, epoch: Epoch) -> io::Result<(File, usize)> {
        let beside = self.path.with_extension("new");
        let mut out = BufWriter::new(private(&beside)?);
        out.write_all(&header(self.table.seed))?;
        let mut records = 0;
        let mut bytes = Vec::with_capacity(SIZE);
        for key in self.table.keys() {
            // Read one by one, so that no shard is locked while the disk is slow.
            let Some(record) = self.table.record(key) else {
                continue;
            };
            bytes.clear();
            record.encode(epoch, &mut bytes);
            out.write_all(&bytes)?;
            records += 1;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        fs::rename(&beside, &self.path)?;
        Ok((file, records))
    }

    fn refused(&mut self, error: &io::Error) {
        self.patience = PATIENCE;
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            path = %self.path.display(),
            %error,
            "Pins could not be written; a restart now would place calls in progress anew. Free the disk."
        );
    }
}

/// An empty file that nobody else may read: who is on which side, and which calls there are,
/// is no other user's business. One that was left behind is not written into, as it may be
/// open to all.
fn private(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests;
