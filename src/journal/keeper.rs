//! The journal's own thread, so that a disk that hangs blocks nothing but raises.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use super::book::Book;
use super::latch::Latch;
use super::turns::Turns;
use super::{RETRY, read};
use crate::model::Wall;
use crate::rollout::{Entry, Rollout};

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
    /// Read back what is on disk and say whether it folds to this. To be sent when
    /// nothing is on its way to the disk; left out while something is.
    Compare {
        /// What runs.
        rollout: Box<Rollout>,
        /// The moment, by which old segments are deleted.
        at: Wall,
    },
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
        /// What was being done: `record`, `latch`, `unlatch`, `repair`, `turn`, `prune`.
        what: &'static str,
        /// The system's word.
        error: String,
    },
    /// What was read back from the disk, against what runs.
    Compared {
        /// What differs, each in words; empty: nothing.
        differs: Vec<String>,
    },
    /// The journal goes on in a new segment.
    Turned {
        /// What the closed one is called.
        closed: String,
    },
    /// Segments were deleted because the policy says so.
    Pruned {
        /// What they were called.
        files: Vec<String>,
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
    pub(super) const fn new(lock: File, work: Work) -> Self {
        Self { work, lock }
    }

    /// Starts the thread. `on_event` is called on it, and on one that reads back, and must
    /// not wait.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn spawn(
        self,
        on_event: impl Fn(JournalEvent) + Send + Sync + 'static,
    ) -> std::io::Result<Handle> {
        let Self { mut work, lock } = self;
        let (jobs, inbox) = sync_channel(QUEUE);
        let (done, ended) = sync_channel(1);
        let waiting = Arc::new(AtomicUsize::new(work.pending.len()));
        let counted = Arc::clone(&waiting);
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                let tell: Tell = Arc::new(move |event| {
                    if let JournalEvent::Recorded { .. } | JournalEvent::Refused { .. } = event {
                        counted.fetch_sub(1, Ordering::Relaxed);
                    }
                    on_event(event);
                });
                run(&mut work, &inbox, &tell);
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

/// Where events go, from the journal's thread and from one that reads back.
type Tell = Arc<dyn Fn(JournalEvent) + Send + Sync>;

fn run(work: &mut Work, inbox: &Receiver<Job>, told: &Tell) {
    let tell = &**told;
    let mut check = None;
    work.retry(tell);
    loop {
        let job = if work.is_durable() {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(RETRY)
        };
        match job {
            Ok(Job::Compare { rollout, at }) => {
                work.turns.prune(at, tell);
                // A disk that hangs keeps one reader, not one every ten minutes.
                let busy = |check: &thread::JoinHandle<()>| !check.is_finished();
                if !check.as_ref().is_some_and(busy) {
                    check = work.comparison(rollout).and_then(|compare| {
                        let told = Arc::clone(told);
                        let reader = thread::Builder::new().name("journal-check".to_owned());
                        reader.spawn(move || told(compare())).ok()
                    });
                }
            }
            Ok(job) => {
                work.carry_out(job, tell);
                work.turn(tell);
            }
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
pub(super) struct Work {
    pub(super) latch: Latch,
    pub(super) book: Book,
    /// Entries that are not on the disk, in order. Bounded by [`Handle::send`].
    pub(super) pending: VecDeque<Entry>,
    /// The reason of a latch that is not on the disk.
    pub(super) to_latch: Option<String>,
    /// Does the last line of the journal say latched, or did the latch at start?
    pub(super) latched: bool,
    /// What was last told.
    pub(super) durable: bool,
    /// When the next segment begins, and how long old ones are kept.
    pub(super) turns: Turns,
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
            Job::Compare { rollout, at } => {
                self.turns.prune(at, tell);
                if let Some(compare) = self.comparison(rollout) {
                    tell(compare());
                }
            }
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
            self.turns.recorded(entry);
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
                self.turns.recorded(entry);
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

    /// Closes the segment if it is time. After an answer, never before one.
    fn turn(&mut self, tell: &dyn Fn(JournalEvent)) {
        if self.is_durable() {
            self.turns.turn(&mut self.book, tell);
            self.tell_durable(tell);
        }
    }

    /// Reads back what is on disk, against what runs: to be done elsewhere, because it
    /// takes its time. None while something is not on disk.
    fn comparison(&self, rollout: Box<Rollout>) -> Option<impl FnOnce() -> JournalEvent + use<>> {
        if !self.is_durable() {
            return None;
        }
        let read = self.book.reader();
        Some(move || {
            let bytes = read.and_then(|read| read());
            JournalEvent::Compared {
                differs: compare(&rollout, bytes),
            }
        })
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

/// What differs between what runs and what the journal's bytes fold to.
fn compare(live: &Rollout, bytes: std::io::Result<Vec<u8>>) -> Vec<String> {
    let found = match bytes {
        Ok(bytes) => read::scan(&bytes),
        Err(error) => return vec![format!("the journal cannot be read back ({error})")],
    };
    if let Some(damage) = found.damage {
        return vec![format!("the journal cannot be read back: {damage}")];
    }
    live.differs_from(&found.entries)
}

pub(super) fn failed(what: &'static str, error: &std::io::Error) -> JournalEvent {
    JournalEvent::Failed {
        what,
        error: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
