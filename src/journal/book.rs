//! Writing the journal: a line is whole and durable, or it is not there.

use std::io;

use super::disk::Medium;
use super::line;
use super::read::Found;
use crate::rollout::Entry;

/// The journal, open at its end.
pub(super) struct Book {
    medium: Box<dyn Medium>,
    /// Bytes that are known to be whole, durable lines.
    good: u64,
    /// Checksum of the last of them.
    checksum: String,
    trust: Trust,
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
        }
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
