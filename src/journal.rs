//! What must survive: the rollout's entries, the latch, the installation's seed.
//!
//! Everything lies in `state.dir`, readable by people and by `jq`:
//!
//! ```text
//! lock           held while a process runs here; says who
//! latch          512 bytes, always there; set = every new call to legacy
//! journal.jsonl  one entry a line, each chained to the one before
//! journal-0000000001.jsonl  closed segments, by the number of their first entry
//! journal.jsonl.damaged-…   what could not be read, kept for people
//! seed           8 random bytes in hexadecimal, secret
//! ```
//!
//! # The order of things, and a crash between any two of them
//!
//! Toward legacy for good (a reversal, a rollback in total) the caller *publishes*,
//! then sends [`Job::Latch`], then [`Job::Record`]:
//!
//! - before the latch is written: the old state comes back;
//! - after it: reversed, whatever became of the line ([`Opened::latched`] and
//!   [`Rollout::latched_at_start`] make the entry good).
//!
//! Out of the latch (a resume) the caller sends [`Job::Record`], waits for
//! [`JournalEvent::Recorded`], sends [`Job::Unlatch`], waits for
//! [`JournalEvent::Unlatched`], and only then publishes:
//!
//! - before the line is whole: the old state, a torn line is cut;
//! - between line and latch: the latch stands, so reversed, and resumed once more;
//! - after it: the new state.
//!
//! So a raise without a record cannot come back, and a latch is cleared only under
//! a last line that says so: the keeper refuses [`Job::Unlatch`] otherwise.
//!
//! Any other raise is recorded, then published. One that cannot be recorded at
//! once is cut off the file again and refused ([`JournalEvent::Refused`]): it is
//! never tried later, when nobody expects it any more. Everything else is kept and
//! tried again every [`RETRY`] until it is on disk.
//!
//! # Segments
//!
//! A running journal that has grown by 16 MiB, or is 30 days old, is closed, and the
//! next begins with a checkpoint: the whole rollout in one entry, chained to the last
//! line of the closed one. So a start reads one segment, and old ones may be deleted by
//! policy (`[state] keep`) without anything being forgotten that is in force. The turn
//! from one to the other is made so that `journal.jsonl` is there at every moment:
//!
//! - the next segment is written beside it and synced;
//! - the running one gets its second name;
//! - the next is renamed over `journal.jsonl`: from here on the new state.
//!
//! A turn that fails (a full disk) leaves everything as it was and is tried again an
//! hour later.
//!
//! # What is damage
//!
//! A last line without its line break is torn: a crash came between the bytes. It
//! was never reported as recorded, so it is cut. A line that does not check (its
//! checksum covers itself and the checksum before it, so no line can be changed,
//! lost or swapped inside the file) or that no version could have written is
//! damage: the file is set aside, a new one begins whose first entry names it, and
//! the rollout is latched. So is a journal that is gone while closed segments of it are
//! there. Unknown fields and unknown actions are no damage: an
//! entry carries what it led to.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::Wall;
use crate::rollout::{Entry, Rollout};

mod book;
mod disk;
mod history;
mod keeper;
mod latch;
mod line;
mod lock;
mod offline;
mod read;
mod seed;
mod segments;
mod tail;
mod turns;

pub use history::{Damage, History, Line, ReadError, history, read_all};
pub use keeper::{Handle, Job, JournalEvent, Keeper, PENDING_MAX, QUEUE, SendError};
pub use offline::latched;
pub use seed::{Seed, seed};
pub use tail::{TAIL_BYTES, TAIL_MAX, tail};

use book::Book;
use disk::Disk;
use keeper::Work;
use latch::Latch;
use turns::Turns;

/// How long a failed write waits for its next try.
pub const RETRY: Duration = Duration::from_secs(5);

/// Largest segment that is read, in bytes. One is closed long before; a larger one is an
/// error that says what to do.
pub const JOURNAL_MAX: u64 = 256 << 20;

/// More lines than a segment of 16 MiB can have: what may be lost with one.
const SEGMENT_LINES: u64 = 100_000;

const JOURNAL: &str = "journal.jsonl";

/// What a state directory held.
#[derive(Debug)]
pub struct Opened {
    /// Every entry of the running segment, oldest first; their fold is the rollout.
    pub entries: Vec<Entry>,
    /// The latch was found set, or unreadable; why. The rollout must not run
    /// unlatched: see [`Rollout::latched_at_start`].
    pub latched: Option<String>,
    /// What people should read: a torn line that was cut, a file set aside.
    pub notes: Vec<String>,
    /// Who writes from now on.
    pub keeper: Keeper,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process runs on it.
    #[error(
        "{dir} is in use by another process ({holder}): stop it, or give this one a `[state] dir` \
         of its own"
    )]
    Held {
        /// The directory.
        dir: PathBuf,
        /// What that process wrote about itself.
        holder: String,
    },
    /// The journal is larger than [`JOURNAL_MAX`].
    #[error(
        "{path} has {bytes} bytes, more than {JOURNAL_MAX} are not read: move it away; the rollout \
         then begins anew, at legacy"
    )]
    TooLarge {
        /// The journal.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The system refused something.
    #[error("could not {what} {path}: is `[state] dir` there, writable and not full?")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's own word.
        source: io::Error,
    },
}

impl OpenError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// Opens a state directory: locks it, before anything in it is read, makes good
/// what a crash left, and reads the rest. `now` is for the lock's and the new
/// entries' time. Closed segments whose last entry is older than `keep` are deleted;
/// None keeps them for ever.
///
/// # Errors
///
/// See [`OpenError`]. Damage is none: it latches.
pub fn open(dir: &Path, keep: Option<Duration>, now: Wall) -> Result<Opened, OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(OpenError::io("make", dir))?;
    let lock = lock::take(dir, now)?;
    let path = dir.join(JOURNAL);
    let mut bytes = read_journal(&path)?;
    let closed = segments::list(dir).map_err(OpenError::io("list", dir))?;
    let gone = bytes.as_ref().is_ok_and(Option::is_none);
    let fresh = gone && closed.is_empty();
    if gone && !fresh {
        bytes = Err(io::Error::other(
            "it is gone, and older segments of it are there",
        ));
    }

    let (latch, mut latched) =
        Latch::open(dir, fresh).map_err(OpenError::io("open", &dir.join("latch")))?;
    let mut start = Start {
        path: &path,
        now,
        latch,
        notes: Vec::new(),
        gone,
    };
    if let Ok(Some(bytes)) = &bytes {
        start.tidy(bytes);
    }
    let (entries, book, pending) = match bytes {
        Ok(bytes) => start.go_on_after(&bytes.unwrap_or_default())?,
        Err(unreadable) => {
            let found = read::Found::unreadable(format!("it cannot be read ({unreadable})"));
            start.set_aside(found)?
        }
    };
    let rollout = Rollout::fold(&entries);
    let Start {
        mut latch,
        mut notes,
        ..
    } = start;
    if rollout.latched() {
        let because = rollout.because().unwrap_or("the journal says so");
        // The line made it to disk and the latch did not: now it does.
        if latched.is_none()
            && let Err(error) = latch.set(because)
        {
            notes.push(format!(
                "The latch file cannot be written ({error}); the journal says latched all the same."
            ));
        }
        latched.get_or_insert_with(|| because.to_owned());
    }
    // What waits for the disk is not on it.
    let recorded = entries.len() - pending.len();
    let keeper = Keeper::new(
        lock,
        Work {
            latch,
            book,
            to_latch: None,
            latched: latched.is_some(),
            durable: true,
            turns: Turns::new(dir, keep, Rollout::fold(entries.iter().take(recorded)), now),
            pending: pending.into(),
        },
    );
    Ok(Opened {
        entries,
        latched,
        notes,
        keeper,
    })
}

/// The journal's bytes; None if there is none yet; the inner error if it is there
/// and cannot be read, which is damage.
fn read_journal(path: &Path) -> Result<Result<Option<Vec<u8>>, io::Error>, OpenError> {
    match fs::metadata(path) {
        Ok(meta) if meta.len() > JOURNAL_MAX => {
            return Err(OpenError::TooLarge {
                path: path.to_owned(),
                bytes: meta.len(),
            });
        }
        _ => {}
    }
    match fs::read(path) {
        Ok(bytes) => Ok(Ok(Some(bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ok(None)),
        // Not damage but somebody else's file: setting it aside would be wrong.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(OpenError::io("read", path)(error))
        }
        Err(error) => Ok(Err(error)),
    }
}

/// The journal's first moments.
struct Start<'a> {
    path: &'a Path,
    now: Wall,
    latch: Latch,
    notes: Vec<String>,
    /// There is no file to set aside.
    gone: bool,
}

/// Entries read, the book to go on with, and entries that are not on disk yet.
type Begun = (Vec<Entry>, Book, Vec<Entry>);

impl Start<'_> {
    /// Removes what a crash in the middle of a turn left. That it cannot be is no reason
    /// not to start.
    fn tidy(&mut self, bytes: &[u8]) {
        match segments::remove_leftover(self.path, bytes) {
            Ok(true) => self
                .notes
                .push("A crash came while the journal turned to a new segment; it goes on in the old one.".to_owned()),
            Ok(false) => {}
            Err(error) => self
                .notes
                .push(format!("The closed segments of the journal cannot be looked at ({error}).")),
        }
    }

    fn go_on_after(&mut self, bytes: &[u8]) -> Result<Begun, OpenError> {
        let found = read::scan(bytes);
        if found.damage.is_some() {
            return self.set_aside(found);
        }
        let disk = Disk::open(self.path).map_err(OpenError::io("open", self.path))?;
        let len = bytes.len() as u64;
        let mut book = Book::new(Box::new(disk), &found, len);
        let torn = len - found.good;
        if torn > 0 {
            self.notes.push(format!(
                "The last line of {} was torn by a crash: {torn} bytes that were never reported \
                 as recorded are cut off.",
                self.path.display()
            ));
        }
        // Failing here is no reason not to serve: the keeper tries again.
        if let Err(error) = book.repair() {
            self.notes.push(format!(
                "{} cannot be repaired yet ({error}); until then nothing is recorded.",
                self.path.display()
            ));
        }
        Ok((found.entries, book, Vec::new()))
    }

    /// Latch, rename, begin anew, in this order: a crash after any of them leaves
    /// the latch set.
    fn set_aside(&mut self, found: read::Found) -> Result<Begun, OpenError> {
        let damage = found.damage.as_deref().unwrap_or("it cannot be read");
        let reason = format!("the journal was damaged: {damage}");
        self.latch
            .set(&reason)
            .map_err(OpenError::io("set the latch beside the damaged", self.path))?;
        // The newest segment tells what was known, and the numbers that were given out,
        // where the journal does not even say what it began with.
        let newest = self.newest_closed();
        let (known, unread) = match (found.entries.is_empty(), &newest) {
            (true, Some((_, entries))) => (entries, found.unread.max(SEGMENT_LINES)),
            _ => (&found.entries, found.unread),
        };
        let aside = match (self.gone, &newest) {
            (true, Some((path, _))) => path.clone(),
            _ => free_name(self.path, self.now),
        };
        if !self.gone {
            fs::rename(self.path, &aside).map_err(OpenError::io("set aside", self.path))?;
        }
        disk::sync_dir(self.path).map_err(OpenError::io("sync the directory of", self.path))?;
        let name = aside.file_name().unwrap_or_default().to_string_lossy();
        let entry = Rollout::fold(known).after_damage(&name, &reason, unread, self.now);
        self.notes.push(entry.said());
        self.notes.push(format!(
            "{damage}; compare {} with the calls' own records before you resume.",
            aside.display()
        ));
        let disk = Disk::open(self.path).map_err(OpenError::io("begin", self.path))?;
        let mut book = Book::new(Box::new(disk), &read::Found::default(), 0);
        let pending = match book.record(&entry) {
            Ok(()) => Vec::new(),
            Err(error) => {
                self.notes
                    .push(format!("The new journal cannot be written yet ({error})."));
                vec![entry.clone()]
            }
        };
        Ok((vec![entry], book, pending))
    }

    fn newest_closed(&self) -> Option<(PathBuf, Vec<Entry>)> {
        let dir = self.path.parent()?;
        let newest = segments::list(dir).ok()?.pop()?;
        let bytes = fs::read(&newest.path).ok()?;
        Some((newest.path, read::scan(&bytes).entries))
    }
}

/// A name beside the journal that nothing has yet.
fn free_name(path: &Path, now: Wall) -> PathBuf {
    let time: String = line::time(now)
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .collect();
    let named = |end: &str| path.with_file_name(format!("{JOURNAL}.damaged-{time}{end}"));
    std::iter::once(named(""))
        .chain((2..1000).map(|nth| named(&format!("-{nth}"))))
        .find(|name| !name.exists())
        .unwrap_or_else(|| named("-last"))
}

/// Opens a file of ours for reading and writing, readable by nobody else.
fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Replaces a file whole: a new one beside it, synced, renamed over it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let temporary = path.with_extension("tmp");
    let file = written(&temporary, bytes)?;
    fs::rename(&temporary, path)?;
    disk::sync_dir(path)?;
    Ok(file)
}

/// A new file with these bytes, durable but for its name.
fn written(path: &Path, bytes: &[u8]) -> io::Result<File> {
    use io::Write as _;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests;
