//! What is on its way to the journal's thread, in order.
//!
//! The journal keeps some thousand entries for a disk that does not answer. What
//! goes beyond is kept here, because a step toward legacy must not be forgotten,
//! and nothing may overtake it: the numbers in a journal only rise.

use std::collections::VecDeque;
use std::time::Duration;

use crate::journal::{Handle, Job, SendError};

/// Jobs kept for a journal that takes none. More are given up, loudly: by then the
/// disk has been gone for ten thousand orders.
const WAITING: usize = 10_000;

/// The way to the journal's thread.
#[derive(Debug)]
pub(super) struct Outbox {
    journal: Handle,
    waiting: VecDeque<Job>,
    disk: bool,
    lost: bool,
}

impl Outbox {
    /// An empty one.
    pub(super) const fn new(journal: Handle) -> Self {
        Self {
            journal,
            waiting: VecDeque::new(),
            disk: true,
            lost: false,
        }
    }

    /// Sends a job, behind those that wait. Gives back what will not be done: a
    /// raise or an unlatch is never kept for later, when nobody expects it.
    pub(super) fn send(&mut self, job: Job) -> Option<Job> {
        let job = match self.waiting.is_empty() {
            true => match self.journal.send(job) {
                Ok(()) => return None,
                Err(SendError::Full(job) | SendError::Gone(job)) => job,
            },
            false => job,
        };
        let later = match &job {
            Job::Record(entry) => !entry.is_raise(),
            Job::Latch { .. } => true,
            // Another comparison comes in ten minutes.
            Job::Unlatch | Job::Compare { .. } => false,
        };
        if let Job::Compare { .. } = job {
            return Some(job);
        }
        if !later || self.waiting.len() >= WAITING {
            self.lost |= later;
            tracing::error!("The journal did not take a job; look at the state directory's disk.");
            return Some(job);
        }
        self.waiting.push_back(job);
        None
    }

    /// Sends what waits. True if that changed whether everything is durable.
    pub(super) fn resend(&mut self) -> bool {
        let before = self.is_durable();
        while let Some(job) = self.waiting.pop_front() {
            if let Err(SendError::Full(job) | SendError::Gone(job)) = self.journal.send(job) {
                self.waiting.push_front(job);
                break;
            }
        }
        before != self.is_durable()
    }

    /// What the journal says of its disk.
    pub(super) fn heard(&mut self, durable: bool) {
        self.disk = durable;
    }

    /// Is everything that was sent on disk, as far as is known?
    pub(super) fn is_durable(&self) -> bool {
        self.disk && self.waiting.is_empty() && !self.lost
    }

    /// Writes what can be written and ends the journal's thread. False: not
    /// everything could be.
    pub(super) fn close(mut self, within: Duration) -> bool {
        self.resend();
        let all = self.waiting.is_empty() && !self.lost;
        self.journal.close(within) && all
    }
}
