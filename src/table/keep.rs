//! What the table hands to the file of pins, and takes back from it.

use std::sync::atomic::Ordering;

use super::pins::{Kept, PinRecord};
use super::{Entry, Table};
use crate::calls::{AFTER_END, Call, Fate, IDLE, Moment};
use crate::model::{CallKey, Tick};

/// Changed pins kept for a writer that does not come; past it the changes are
/// let go and the writer is told to write the whole table.
pub(super) const QUEUE: usize = 1 << 16;

impl Table {
    /// Moves the pins that changed since the last time into `into`.
    pub fn drain_pins(&self, into: &mut Vec<PinRecord>) {
        into.append(&mut self.changed.lock());
    }

    /// Takes in what a file kept. What it tells of a call replaces what an earlier
    /// record told; what would be forgotten by now is forgotten.
    pub(super) fn restore(&self, record: &PinRecord, now: Tick) {
        self.forget(record.key);
        let moment = Moment::from(now);
        let entry = match record.kept {
            Kept::Alias(alias) if moment.since(alias.seen) < IDLE + AFTER_END => {
                Entry::Alias(alias)
            }
            Kept::Call(pin) => match Call::restored(pin).fate(now) {
                // An end that is due is told by the next sweep.
                Fate::Stays | Fate::Told(_) => Entry::Call(Call::restored(pin)),
                Fate::Forgotten | Fate::Expired(_) => return,
            },
            Kept::Alias(_) => return,
        };
        self.enter(record.key, entry);
    }

    /// Every key, for a file of the whole table.
    pub(super) fn keys(&self) -> Vec<CallKey> {
        self.map.iter().map(|place| *place.key()).collect()
    }

    pub(super) fn record(&self, key: CallKey) -> Option<PinRecord> {
        let entry = *self.map.get(&key)?;
        Some(match entry {
            Entry::Call(call) => PinRecord::call(key, &call),
            Entry::Alias(alias) => PinRecord::alias(key, alias),
        })
    }

    pub(super) fn save(&self, record: PinRecord) {
        let mut changed = self.changed.lock();
        if changed.len() < QUEUE {
            changed.push(record);
        } else {
            self.lost.store(true, Ordering::Relaxed);
        }
    }
}
