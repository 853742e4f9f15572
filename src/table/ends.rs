//! The ends of calls: told by the provider, by a report, or by nobody.

use std::sync::atomic::Ordering;

use super::pins::PinRecord;
use super::{Alias, Entry, Table};
use crate::calls::{AFTER_END, Fate, Flags, IDLE, Moment};
use crate::measure::Ended;
use crate::model::{CallKey, Tick};
use crate::protocol::{CallEvent, Final};

impl Table {
    /// The provider says that a call is over. None: it is unknown, was over
    /// before, is a leg, only one of its legs is over and not the one it began with,
    /// or a report that follows is to tell how it ended (see [`Table::sweep`]).
    pub fn finish(&self, event: &CallEvent<'_>, last: &Final, now: Tick) -> Option<Ended> {
        let leg = event.leg.as_deref();
        let leg = leg.map(|leg| (self.key(leg), self.is_root(leg)));
        let end = |key| {
            self.update(key, now, |of, call| {
                // A call that was first seen by its leg's id stands under that.
                let another_leg = leg.is_some_and(|(leg, root)| !root && leg != of);
                if another_leg && call.flags().has(Flags::ROOTED) {
                    return None;
                }
                call.end(last, of != key, self.short, now)
            })
        };
        end(self.key(event.call.as_deref()?)).or_else(|| end(self.key(event.alias.as_deref()?)))?
    }

    /// Gives up what was silent for four hours, forgets what ended half an hour
    /// ago, and adds to `out` the calls of which no end was ever seen and those whose
    /// report did not come within two minutes of the end. Locks one
    /// shard at a time; the engine calls it every ten seconds or so.
    pub fn sweep(&self, now: Tick, out: &mut Vec<Ended>) {
        let moment = Moment::from(now);
        // Other ids that may have outlived their call: no more than are in the table.
        let mut silent = Vec::new();
        self.map.retain(|key, entry| {
            let stays = match entry {
                Entry::Alias(alias) => {
                    let silence = moment.since(alias.seen);
                    if silence >= AFTER_END {
                        silent.push((*key, *alias));
                    }
                    silence < IDLE + AFTER_END
                }
                Entry::Call(call) => {
                    let before = *call;
                    let fate = call.fate(now);
                    self.recount(Some(&before), Some(call));
                    match fate {
                        Fate::Stays => true,
                        Fate::Told(ended) => {
                            out.push(ended);
                            // So that a restart does not tell it once more.
                            self.save(PinRecord::call(*key, call));
                            true
                        }
                        Fate::Forgotten => false,
                        Fate::Expired(ended) => {
                            out.extend(ended);
                            false
                        }
                    }
                }
            };
            if !stays {
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
            stays
        });
        for (key, alias) in silent {
            self.forget_lost(key, alias);
        }
    }

    /// Forgets another id of a call that is forgotten.
    fn forget_lost(&self, key: CallKey, alias: Alias) {
        if self.is_call(alias.of) {
            return;
        }
        let same = |_: &CallKey, there: &Entry| *there == Entry::Alias(alias);
        if self.map.remove_if(&key, same).is_some() {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
