//! When a segment of the journal is closed, and how long closed ones are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::book::Book;
use super::keeper::{JournalEvent, failed};
use super::segments;
use crate::model::Wall;
use crate::rollout::{Entry, Rollout};

/// A turn that failed is tried again so much later, in milliseconds: an hour. Until then
/// the segment grows, which hurts nobody.
const AGAIN_MS: i64 = 3_600_000;

/// What the keeper knows for its next turn.
#[derive(Debug)]
pub(super) struct Turns {
    dir: PathBuf,
    keep: Option<Duration>,
    /// The fold of what is on disk.
    rollout: Rollout,
    /// When the last entry was made.
    at: Wall,
    /// When a turn last failed.
    failed: Option<Wall>,
}

impl Turns {
    pub(super) fn new(dir: &Path, keep: Option<Duration>, rollout: Rollout, now: Wall) -> Self {
        Self {
            dir: dir.to_owned(),
            keep,
            rollout,
            at: now,
            failed: None,
        }
    }

    /// An entry is on disk.
    pub(super) fn recorded(&mut self, entry: &Entry) {
        self.rollout.apply(entry);
        self.at = entry.stamp.at;
    }

    /// Closes the segment if it is time, and deletes those that are too old.
    pub(super) fn turn(&mut self, book: &mut Book, tell: &dyn Fn(JournalEvent)) {
        let lately = |failed: Wall| (self.at.0 - failed.0).abs() < AGAIN_MS;
        if !book.is_full(self.at) || self.failed.is_some_and(lately) {
            return;
        }
        match book.turn(self.rollout.checkpoint(self.at)) {
            Ok(closed) => {
                self.failed = None;
                tell(JournalEvent::Turned { closed });
                self.prune(self.at, tell);
            }
            Err(error) => {
                self.failed = Some(self.at);
                tell(failed("turn", &error));
            }
        }
    }

    /// Deletes the segments that are too old.
    pub(super) fn prune(&self, now: Wall, tell: &dyn Fn(JournalEvent)) {
        let Some(keep) = self.keep else {
            return;
        };
        match segments::prune(&self.dir, keep, now) {
            Ok(files) if files.is_empty() => {}
            Ok(files) => tell(JournalEvent::Pruned { files }),
            Err(error) => tell(failed("prune", &error)),
        }
    }
}
