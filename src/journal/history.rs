//! Every kept segment of a journal, read by who does not run it: no lock, nothing
//! changed, each line checked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::segments::{self, Closed, file_name};
use super::{JOURNAL, JOURNAL_MAX, read};
use crate::rollout::{Action, Entry, Follows};

/// What a journal tells, oldest first.
#[derive(Debug, Default)]
pub struct History {
    /// Its lines, up to where it can be believed.
    pub lines: Vec<Line>,
    /// What people should know: what was deleted by policy, a last line that is torn.
    pub notes: Vec<String>,
    /// Why nothing after the last line is believed, if something is there.
    pub damage: Option<Damage>,
}

/// One line, as it stands in its file and as it is understood.
#[derive(Debug)]
pub struct Line {
    /// Its bytes, without the line break.
    pub text: String,
    /// What it says.
    pub entry: Entry,
}

/// Where a journal cannot be believed any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {why}")]
pub struct Damage {
    /// The file's name.
    pub file: String,
    /// What is wrong, with the line's number.
    pub why: String,
}

/// Why a journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused something.
    #[error("could not read {path}: {source}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// The system's own word.
        source: io::Error,
    },
    /// A segment is larger than [`JOURNAL_MAX`].
    #[error("{0} is larger than the {JOURNAL_MAX} bytes of any journal of ours")]
    TooLarge(PathBuf),
    /// It cannot be believed whole.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Every entry of every kept segment of a state directory, oldest first. Nothing yet is
/// an empty answer. It may run meanwhile: a line that is not whole yet is left out.
///
/// # Errors
///
/// See [`ReadError`].
pub fn read_all(dir: &Path) -> Result<Vec<Entry>, ReadError> {
    let History { lines, damage, .. } = history(dir)?;
    match damage {
        Some(damage) => Err(damage.into()),
        None => Ok(lines.into_iter().map(|line| line.entry).collect()),
    }
}

/// What a journal tells: of a state directory all kept segments, of a file that alone.
/// Damage is part of the answer.
///
/// # Errors
///
/// It is not there, cannot be read, or is too large to be one.
pub fn history(path: &Path) -> Result<History, ReadError> {
    /// A running journal turns to a new segment once in weeks: not twice meanwhile.
    const TRIES: usize = 3;
    if !path.is_dir() {
        let mut reader = Reader::default();
        reader.take(path, &read_segment(path)?);
        return Ok(reader.history);
    }
    let mut history = read_dir(path)?;
    for _ in 1..TRIES {
        if history.damage.is_none() {
            break;
        }
        // It may have turned between two of the files.
        history = read_dir(path)?;
    }
    Ok(history)
}

fn read_dir(dir: &Path) -> Result<History, ReadError> {
    let running = dir.join(JOURNAL);
    let bytes = if_there(read_segment(&running))?;
    let mut closed = segments::list(dir).map_err(refused(dir))?;
    let same = |closed: &Closed| {
        let bytes = bytes.as_deref().unwrap_or_default();
        segments::is_of(&closed.path, &running, bytes).unwrap_or(false)
    };
    // A second name that a crash left in the middle of a turn.
    closed.pop_if(|newest| same(newest));
    let mut reader = Reader {
        chained: true,
        ..Reader::default()
    };
    for segment in &closed {
        // None: deleted by policy since it was listed.
        if let Some(bytes) = if_there(read_segment(&segment.path))? {
            reader.take(&segment.path, &bytes);
        }
    }
    match bytes {
        Some(bytes) => reader.take(&running, &bytes),
        None if closed.is_empty() => {}
        None => reader.damaged(&running, "it is gone, and older segments of it are there"),
    }
    Ok(reader.history)
}

fn read_segment(path: &Path) -> Result<Vec<u8>, ReadError> {
    let size = fs::metadata(path).map_err(refused(path))?.len();
    if size > JOURNAL_MAX {
        return Err(ReadError::TooLarge(path.to_owned()));
    }
    fs::read(path).map_err(refused(path))
}

fn if_there(read: Result<Vec<u8>, ReadError>) -> Result<Option<Vec<u8>>, ReadError> {
    match read {
        Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    let path = path.to_owned();
    move |source| ReadError::Io { path, source }
}

/// Puts segments together.
#[derive(Default)]
struct Reader {
    history: History,
    /// Each segment must go on from the one before.
    chained: bool,
    /// The segment before.
    last: Option<Follows>,
}

impl Reader {
    fn take(&mut self, path: &Path, bytes: &[u8]) {
        // Behind damage nothing is believed.
        if self.history.damage.is_some() {
            return;
        }
        let file = file_name(path);
        let found = read::scan(bytes);
        if self.chained
            && let Some(first) = found.entries.first()
            && let Err(why) = self.link(&file, first)
        {
            return self.damaged(path, &why);
        }
        let whole = usize::try_from(found.good).unwrap_or_default();
        let texts = bytes.get(..whole).unwrap_or_default();
        let texts = texts.split(|byte| *byte == b'\n').zip(found.entries);
        let lines = texts.map(|(text, entry)| Line {
            text: String::from_utf8_lossy(text).into_owned(),
            entry,
        });
        self.history.lines.extend(lines);
        if let Some(why) = found.damage {
            return self.damaged(path, &why);
        }
        if found.good < bytes.len() as u64 {
            self.history.notes.push(format!(
                "The last line of {file} is torn, or is being written: it is left out."
            ));
        }
        let checksum = found.checksum;
        self.last = Some(Follows { file, checksum });
    }

    /// Does a segment with this first entry go on from the last one?
    fn link(&mut self, file: &str, first: &Entry) -> Result<(), String> {
        let follows = match &first.action {
            Action::Checkpoint(kept) => kept.follows.as_ref(),
            // It begins anew, and names the file that was set aside.
            Action::JournalDamaged { .. } => return Ok(()),
            _ => None,
        };
        match (follows, &self.last) {
            (None, None) => Ok(()),
            (Some(follows), Some(last)) if follows == last => Ok(()),
            (Some(follows), None) => {
                self.history.notes.push(format!(
                    "What came before {file} is not kept: {} was deleted, by `[state] keep` or \
                     by hand. {file} begins with what it led to.",
                    follows.file
                ));
                Ok(())
            }
            (Some(follows), Some(last)) if follows.file == last.file => Err(format!(
                "it goes on from {}, which is not as it was when it was closed",
                last.file
            )),
            (Some(follows), Some(last)) => Err(format!(
                "it goes on from {}, which is not there behind {}",
                follows.file, last.file
            )),
            (None, Some(last)) => Err(format!("it does not go on from {}", last.file)),
        }
    }

    fn damaged(&mut self, path: &Path, why: &str) {
        self.history.damage.get_or_insert_with(|| Damage {
            file: file_name(path),
            why: why.to_owned(),
        });
    }
}
