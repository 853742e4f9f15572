//! The journal's own thread, so that a disk that hangs blocks nothing but raises.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use super::RETRY;
use super::book::Book;
use super::latch::Latch;
use crate::rollout::Entry;

/// Most entries that wait for the disk. At one order a second the disk may fail for
/// a quarter of an hour; then [`Handle::send`] gives the job back.
pub const PENDING_MAX: usize = 1024;

/// Most jobs that wait for the thread: the entries, and room for latches. When it
/// is full [`Handle::send`] gives the job back.
pub const QUEUE: usize = PENDING_MAX + 64;

/// Something to be made durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Remember that everything goes to legacy. Tried again until it succeeds.
    Latch {
        /// Why, for whoever starts the next process.
        reason: String,
    },
    /// Append an entry. A raise is tried once, anything else until it succeeds.
    Record(Box<Entry>),
    /// Clear the latch. Only after the record of a resume, and tried once.
    Unlatch,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEvent {
    /// The entry is on the disk.
    Recorded {
        /// Which.
        sequence: u64,
    },
    /// The raise is not on the disk and will not be: it must not be carried out.
    Refused {
        /// Which.
        sequence: u64,
        /// Why.
        error: String,
    },
    /// The latch is on the disk.
    Latched,
    /// The latch is cleared on the disk.
    Unlatched,
    /// Something failed. An unlatch is given up, and the latch stands; all else is
    /// tried again.
    Failed {
        /// What was being done: `record`, `latch`, `unlatch`, `repair`.
        what: &'static str,
        /// The system's word.
        error: String,
    },
    /// From now on everything that was sent is on the disk, or something is not.
    /// Before the first of these, everything is.
    Durable(bool),
}

/// The job did not fit; here it is again.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Too much waits for the disk. Nothing is durable now; try again later.
    #[error("too many entries wait for the disk of the journal")]
    Full(Job),
    /// The thread is gone.
    #[error("the journal's thread has ended")]
    Gone(Job),
}

/// Who writes a state directory, before it runs.
#[derive(Debug)]
pub struct Keeper {
    work: Work,
    // Released when the thread ends, after the last write.
    lock: File,
}

impl Keeper {
    pub(super) fn new(
        lock: File,
        latch: Latch,
        book: Book,
        pending: Vec<Entry>,
        latched: bool,
    ) -> Self {
        let work = Work {
            latch,
            book,
            pending: pending.into(),
            to_latch: None,
            latched,
            durable: true,
        };
        Self { work, lock }
    }

    /// Starts the thread. `on_event` is called on it and must not wait.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn spawn(
        self,
        on_event: impl Fn(JournalEvent) + Send + 'static,
    ) -> std::io::Result<Handle> {
        let Self { mut work, lock } = self;
        let (jobs, inbox) = sync_channel(QUEUE);
        let (done, ended) = sync_channel(1);
        let waiting = Arc::new(AtomicUsize::new(work.pending.len()));
        let counted = Arc::clone(&waiting);
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                run(&mut work, &inbox, &|event| {
                    if let JournalEvent::Recorded { .. } | JournalEvent::Refused { .. } = event {
                        counted.fetch_sub(1, Ordering::Relaxed);
                    }
                    on_event(event);
                });
                drop(lock);
                // Nobody listens after `close` has run out of time.
                done.send(work.is_durable()).ok();
            })?;
        Ok(Handle {
            jobs,
            ended,
            waiting,
        })
    }
}

/// The way to the journal's thread.
#[derive(Debug)]
pub struct Handle {
    jobs: SyncSender<Job>,
    ended: Receiver<bool>,
    waiting: Arc<AtomicUsize>,
}

impl Handle {
    /// Hands over a job. Never waits.
    ///
    /// # Errors
    ///
    /// Gives the job back when [`PENDING_MAX`] entries wait for the disk, or
    /// [`QUEUE`] jobs for the thread, or the thread is gone. Until a later try
    /// succeeds nothing is durable, and the caller says so.
    pub fn send(&self, job: Job) -> Result<(), SendError> {
        let record = matches!(job, Job::Record(_));
        // Only the owner of the handle adds, so it cannot be overtaken.
        if record && self.waiting.load(Ordering::Relaxed) >= PENDING_MAX {
            return Err(SendError::Full(job));
        }
        if record {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        self.jobs.try_send(job).map_err(|error| {
            if record {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            match error {
                TrySendError::Full(job) => SendError::Full(job),
                TrySendError::Disconnected(job) => SendError::Gone(job),
            }
        })
    }

    /// Finishes what was sent, with one last try of what failed, and ends the
    /// thread. True if everything is on the disk; false if something is not, or the
    /// disk did not answer `within` the time.
    pub fn close(self, within: Duration) -> bool {
        drop(self.jobs);
        self.ended.recv_timeout(within).unwrap_or(false)
    }
}

fn run(work: &mut Work, inbox: &Receiver<Job>, tell: &dyn Fn(JournalEvent)) {
    work.retry(tell);
    loop {
        let job = if work.is_durable() {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(RETRY)
        };
        match job {
            Ok(job) => work.carry_out(job, tell),
            Err(RecvTimeoutError::Timeout) => work.retry(tell),
            Err(RecvTimeoutError::Disconnected) => {
                if !work.is_durable() {
                    work.retry(tell);
                }
                return;
            }
        }
    }
}

/// What the thread has to do.
#[derive(Debug)]
struct Work {
    latch: Latch,
    book: Book,
    /// Entries that are not on the disk, in order. Bounded by [`Handle::send`].
    pending: VecDeque<Entry>,
    /// The reason of a latch that is not on the disk.
    to_latch: Option<String>,
    /// Does the last line of the journal say latched, or did the latch at start?
    latched: bool,
    /// What was last told.
    durable: bool,
}

impl Work {
    fn carry_out(&mut self, job: Job, tell: &dyn Fn(JournalEvent)) {
        match job {
            Job::Latch { reason } => {
                self.to_latch = Some(reason);
                self.write_latch(tell);
            }
            Job::Record(entry) if entry.is_raise() => self.record_raise(&entry, tell),
            Job::Record(entry) => {
                self.pending.push_back(*entry);
                self.write_pending(tell);
            }
            Job::Unlatch => self.unlatch(tell),
        }
        self.tell_durable(tell);
    }

    fn retry(&mut self, tell: &dyn Fn(JournalEvent)) {
        // The latch first: it is the shorter way to the same safety.
        self.write_latch(tell);
        self.write_pending(tell);
        self.tell_durable(tell);
    }

    fn write_latch(&mut self, tell: &dyn Fn(JournalEvent)) {
        let Some(reason) = &self.to_latch else {
            return;
        };
        match self.latch.set(reason) {
            Ok(()) => {
                self.to_latch = None;
                tell(JournalEvent::Latched);
            }
            Err(error) => tell(failed("latch", &error)),
        }
    }

    fn write_pending(&mut self, tell: &dyn Fn(JournalEvent)) {
        if let Err(error) = self.book.repair() {
            tell(failed("repair", &error));
            return;
        }
        while let Some(entry) = self.pending.front() {
            if let Err(error) = self.book.record(entry) {
                tell(failed("record", &error));
                return;
            }
            let sequence = entry.stamp.sequence;
            self.latched = entry.after.latched;
            self.pending.pop_front();
            tell(JournalEvent::Recorded { sequence });
        }
    }

    /// Now or never: tried again later, it would come back after a crash though
    /// whoever ordered it was told no.
    fn record_raise(&mut self, entry: &Entry, tell: &dyn Fn(JournalEvent)) {
        let sequence = entry.stamp.sequence;
        if !self.is_durable() {
            self.retry(tell);
        }
        let recorded = if self.is_durable() {
            self.book.record(entry).map_err(|error| error.to_string())
        } else {
            Err("earlier entries are not on the disk yet".to_owned())
        };
        match recorded {
            Ok(()) => {
                self.latched = entry.after.latched;
                tell(JournalEvent::Recorded { sequence });
            }
            Err(error) => tell(JournalEvent::Refused { sequence, error }),
        }
    }

    fn unlatch(&mut self, tell: &dyn Fn(JournalEvent)) {
        if self.latched || !self.is_durable() {
            tell(JournalEvent::Failed {
                what: "unlatch",
                error: "the last entry on the disk is no resume".to_owned(),
            });
            return;
        }
        match self.latch.clear() {
            Ok(()) => tell(JournalEvent::Unlatched),
            Err(error) => {
                tell(failed("unlatch", &error));
                // Half cleared is set, but be sure of it: whoever ordered the resume
                // is told that it failed.
                self.to_latch = Some(format!("a resume could not clear the latch: {error}"));
                self.write_latch(tell);
            }
        }
    }

    fn is_durable(&self) -> bool {
        self.pending.is_empty() && self.to_latch.is_none() && self.book.is_whole()
    }

    fn tell_durable(&mut self, tell: &dyn Fn(JournalEvent)) {
        let durable = self.is_durable();
        if std::mem::replace(&mut self.durable, durable) != durable {
            tell(JournalEvent::Durable(durable));
        }
    }
}

fn failed(what: &'static str, error: &std::io::Error) -> JournalEvent {
    JournalEvent::Failed {
        what,
        error: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
