//! A model of the state directory and of the thread that writes it: a journal of whole
//! lines, a latch, and jobs that wait. It keeps the order of writes that
//! `src/journal.rs` promises, so that a crash can come between any two of them.

use std::collections::VecDeque;

use super::super::bench::Random;
use crate::rollout::{Entry, Rollout};

/// What the engine asks of the disk.
#[derive(Clone, Debug)]
pub(super) enum Job {
    Latch(String),
    Record(Box<Entry>),
    Unlatch,
}

/// What the engine hears of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Told {
    Recorded(u64),
    Refused(u64),
    Unlatched,
    NotUnlatched,
    Durable(bool),
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    /// On the disk.
    pub(super) journal: Vec<Entry>,
    /// On the disk.
    pub(super) latch: Option<String>,
    queue: VecDeque<Job>,
    pending: VecDeque<Entry>,
    to_latch: Option<String>,
    last_line_latched: bool,
    not_durable: bool,
    faults: Faults,
}

#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    /// Nothing comes back from it.
    hangs: bool,
    /// No line fits any more; what is overwritten in place still does.
    full: bool,
    /// The latch file cannot be written.
    latch_broken: bool,
}

impl Disk {
    pub(super) fn send(&mut self, job: Job) {
        self.queue.push_back(job);
    }

    pub(super) fn mood(&mut self, random: &mut Random) {
        self.faults = Faults {
            hangs: random.permille(200),
            full: random.permille(250),
            latch_broken: random.permille(150),
        };
    }

    pub(super) fn heal(&mut self) {
        self.faults = Faults::default();
    }

    /// Is everything on the disk that was asked for?
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.is_durable()
    }

    /// Does one job, or tries again what failed. None while it hangs.
    pub(super) fn work(&mut self) -> Option<Vec<Told>> {
        if self.faults.hangs {
            return None;
        }
        let mut told = Vec::new();
        match self.queue.pop_front() {
            Some(Job::Latch(reason)) => {
                self.to_latch = Some(reason);
                self.write_latch();
            }
            Some(Job::Record(entry)) if entry.is_raise() => self.record_raise(&entry, &mut told),
            Some(Job::Record(entry)) => {
                self.pending.push_back(*entry);
                self.write_pending(&mut told);
            }
            Some(Job::Unlatch) => told.push(self.unlatch()),
            None => {
                self.write_latch();
                self.write_pending(&mut told);
            }
        }
        let durable = self.is_durable();
        if self.not_durable == durable {
            self.not_durable = !durable;
            told.push(Told::Durable(durable));
        }
        Some(told)
    }

    /// What waits is lost. The job in hand may have been done and not told.
    pub(super) fn crash(&mut self, random: &mut Random) {
        if random.permille(500) {
            self.work();
        }
        let (journal, latch) = (std::mem::take(&mut self.journal), self.latch.take());
        *self = Self {
            journal,
            latch,
            faults: self.faults,
            ..Self::default()
        };
    }

    /// The latch as a start finds it, made good where only the line is on the disk.
    pub(super) fn latched_at_start(&mut self, journal: &Rollout) -> Option<String> {
        if journal.latched() {
            let because = journal.because().unwrap_or("the journal says so");
            // A latch that cannot be written then is no reason not to serve.
            self.latch.get_or_insert_with(|| because.to_owned());
        }
        self.last_line_latched = self.latch.is_some();
        self.latch.clone()
    }

    fn write_latch(&mut self) {
        if !self.faults.latch_broken
            && let Some(reason) = self.to_latch.take()
        {
            self.latch = Some(reason);
        }
    }

    fn write_pending(&mut self, told: &mut Vec<Told>) {
        while !self.faults.full
            && let Some(entry) = self.pending.pop_front()
        {
            told.push(self.append(entry));
        }
    }

    fn record_raise(&mut self, entry: &Entry, told: &mut Vec<Told>) {
        if !self.is_durable() {
            self.write_latch();
            self.write_pending(told);
        }
        told.push(if self.is_durable() && !self.faults.full {
            self.append(entry.clone())
        } else {
            Told::Refused(entry.stamp.sequence)
        });
    }

    fn append(&mut self, entry: Entry) -> Told {
        let sequence = entry.stamp.sequence;
        let last = self.journal.last().map_or(0, |last| last.stamp.sequence);
        assert!(sequence > last, "{sequence} after {last}");
        self.last_line_latched = entry.after.latched;
        self.journal.push(entry);
        Told::Recorded(sequence)
    }

    fn unlatch(&mut self) -> Told {
        if self.last_line_latched || !self.is_durable() {
            return Told::NotUnlatched;
        }
        if self.faults.latch_broken {
            self.to_latch = Some("a resume could not clear the latch".to_owned());
            return Told::NotUnlatched;
        }
        self.latch = None;
        Told::Unlatched
    }

    fn is_durable(&self) -> bool {
        self.pending.is_empty() && self.to_latch.is_none()
    }
}
