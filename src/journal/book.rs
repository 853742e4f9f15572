//! Writing the journal: a line is whole and durable, or it is not there.

use std::io;

use super::disk::{Medium, Turned};
use super::read::Found;
use super::{line, segments};
use crate::model::Wall;
use crate::rollout::{Action, Entry, Follows};

/// A segment that has grown by more than this since its checkpoint is closed: 16 MiB.
pub(super) const SEGMENT_BYTES: u64 = 16 << 20;

/// A segment older than this is closed: 30 days, in milliseconds.
pub(super) const SEGMENT_AGE_MS: i64 = 30 * 86_400_000;

/// The journal, open at its end.
pub(super) struct Book {
    medium: Box<dyn Medium>,
    /// Bytes that are known to be whole, durable lines.
    good: u64,
    /// Checksum of the last of them.
    checksum: String,
    trust: Trust,
    running: Running,
}

/// The running segment, as far as its end is concerned.
#[derive(Clone, Copy, Debug, Default)]
struct Running {
    /// Bytes of the checkpoint it begins with.
    opening: u64,
    /// When its first line was made.
    began: Option<Wall>,
    /// Number of the first entry that is its own.
    first: Option<u64>,
}

/// What is known about the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// It ends after the last good line.
    Whole,
    /// Something may stand after it.
    Tail,
    /// A sync failed: what the kernel shows of the file may not be on the disk, and
    /// another sync of the same file may wrongly succeed.
    Nothing,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book")
            .field("good", &self.good)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl Running {
    fn found(found: &Found) -> Self {
        let own = usize::from(found.opening > 0);
        Self {
            opening: found.opening,
            began: found.entries.first().map(|entry| entry.stamp.at),
            first: found.entries.get(own).map(|entry| entry.stamp.sequence),
        }
    }
}

impl Book {
    /// A book that goes on after what was found, on a file of `len` bytes.
    pub(super) fn new(medium: Box<dyn Medium>, found: &Found, len: u64) -> Self {
        Self {
            medium,
            good: found.good,
            checksum: found.checksum.clone(),
            trust: if len > found.good {
                Trust::Tail
            } else {
                Trust::Whole
            },
            running: Running::found(found),
        }
    }

    /// Is it time to close the segment? Never one that holds nothing of its own.
    pub(super) fn is_full(&self, now: Wall) -> bool {
        let Running {
            opening,
            began,
            first,
        } = self.running;
        let age = began.map_or(0, |began| now.0.saturating_sub(began.0));
        first.is_some() && (self.good - opening > SEGMENT_BYTES || age > SEGMENT_AGE_MS)
    }

    /// Closes the segment and begins the next with this checkpoint. Says what the closed
    /// one is called; whether that is durable, [`Book::is_whole`] says.
    ///
    /// # Errors
    ///
    /// The disk's; it goes on in the segment it is in.
    pub(super) fn turn(&mut self, mut checkpoint: Entry) -> io::Result<String> {
        self.repair()?;
        let closed = segments::name(self.running.first.unwrap_or_default());
        if let Action::Checkpoint(kept) = &mut checkpoint.action {
            kept.follows = Some(Follows {
                file: closed.clone(),
                checksum: self.checksum.clone(),
            });
        }
        let (line, checksum) = line::encode(&checkpoint, &self.checksum);
        let turned = self.medium.turn(&line, &closed)?;
        self.good = line.len() as u64;
        self.checksum = checksum;
        self.running = Running {
            opening: self.good,
            began: Some(checkpoint.stamp.at),
            first: None,
        };
        if let Turned::Perhaps(error) = turned {
            tracing::debug!(%error, "The name of a new segment may not be durable.");
            self.trust = Trust::Nothing;
        }
        Ok(closed)
    }

    /// A way to read back everything that is known to be good.
    pub(super) fn reader(&self) -> io::Result<impl FnOnce() -> io::Result<Vec<u8>> + Send + use<>> {
        let (read, good) = (self.medium.reader()?, self.good);
        Ok(move || read(good))
    }

    /// Is everything in the file known to be good?
    pub(super) fn is_whole(&self) -> bool {
        self.trust == Trust::Whole
    }

    /// Appends an entry; when this returns `Ok` it is on the disk.
    ///
    /// # Errors
    ///
    /// The disk's. The line is cut off again, now or before the next one.
    pub(super) fn record(&mut self, entry: &Entry) -> io::Result<()> {
        self.repair()?;
        let (line, checksum) = line::encode(entry, &self.checksum);
        if let Err(error) = self.append(&line) {
            // At once, so that a crash finds as little of the line as may be. If it
            // fails it is tried again, and the first error is the telling one.
            self.repair().ok();
            return Err(error);
        }
        self.good += line.len() as u64;
        self.checksum = checksum;
        self.trust = Trust::Whole;
        self.running.first.get_or_insert(entry.stamp.sequence);
        self.running.began.get_or_insert(entry.stamp.at);
        Ok(())
    }

    /// Cuts off what is not known to be good.
    ///
    /// # Errors
    ///
    /// The disk's; nothing can be recorded until it succeeds.
    pub(super) fn repair(&mut self) -> io::Result<()> {
        if self.trust == Trust::Tail {
            self.medium.cut(self.good)?;
            self.sync()?;
        }
        if self.trust == Trust::Nothing {
            self.medium.renew(self.good)?;
        }
        self.trust = Trust::Whole;
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.trust = Trust::Tail;
        self.medium.write(self.good, line)?;
        self.sync()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.medium
            .sync()
            .inspect_err(|_| self.trust = Trust::Nothing)
    }
}
