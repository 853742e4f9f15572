//! The call table: which backend every call in progress belongs to.
//!
//! One shared map over [`calls::Call`], so that the second
//! webhook of a call finds the first one's decision on whatever worker it lands.
//! It is bounded (a full table evicts what is missed least), it expires (see
//! [`Table::sweep`]) and it is saved as it changes (see [`pins`]).
//!
//! **No guard of the map is ever held while the map is touched again**: shards are
//! locks, and two of them taken by two threads in two orders would stand still.
//! Under a guard only atomics and the queue of changed pins are touched.
//!
//! A key and its entry take 48 bytes and a control byte; with shards between half
//! full and full that is 56 to 112 bytes a call (104 measured at a million
//! calls, 120 while evicting).

mod evict;
mod keep;
pub mod pins;
mod seat;

pub use seat::{Seat, View};

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry as Place};
use parking_lot::Mutex;

use crate::calls::{self, AFTER_END, Call, Fate, Flags, IDLE, Moment};
use crate::document::Does;
use crate::measure::{Ended, Voice};
use crate::model::{Backend, CallKey, PerBackend, Tick};
use crate::protocol::{CallEvent, EventKind, Final};
use crate::split::{Split, Subject};
use pins::PinRecord;
use seat::Passed;

/// Shards of the map. A million calls are 8000 a shard, so that sweeping or
/// growing one holds its lock for well under a millisecond.
const SHARDS: usize = 128;

/// Entries for which room is made at the start; past it shards grow one by one.
const RESERVED: usize = 1 << 18;

/// Every call in progress.
#[derive(Debug)]
pub struct Table {
    map: DashMap<CallKey, Entry, Passed>,
    capacity: usize,
    seed: u64,
    short: Duration,
    len: AtomicUsize,
    active: PerBackend<AtomicU64>,
    evictions: AtomicU64,
    /// Held by the one who evicts.
    evicting: Mutex<()>,
    changed: Mutex<Vec<PinRecord>>,
    /// Changes were let go: the file no longer tells the truth.
    lost: AtomicBool,
}

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// A call or a leg of one.
    Call(Call),
    /// Another id of a call.
    Alias(Alias),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Alias {
    of: CallKey,
    seen: Moment,
}

impl Table {
    /// An empty table for at most `capacity` calls (at least one). `seed` is this
    /// installation's secret for [`CallKey::new`]; pins saved under another
    /// seed are of no use. A hang-up within `short` says nothing about a backend.
    pub fn new(capacity: usize, seed: u64, short: Duration) -> Self {
        let capacity = capacity.max(1);
        let reserved = capacity.min(RESERVED);
        Self {
            map: DashMap::with_capacity_and_hasher_and_shard_amount(reserved, Passed, SHARDS),
            capacity,
            seed,
            short,
            len: AtomicUsize::new(0),
            active: PerBackend::default(),
            evictions: AtomicU64::new(0),
            evicting: Mutex::new(()),
            changed: Mutex::default(),
            lost: AtomicBool::new(false),
        }
    }

    /// Finds a webhook's backend, and pins a call at first sight: whichever worker
    /// comes first decides, all others follow.
    pub fn place(
        &self,
        event: &CallEvent<'_>,
        subject: &Subject<'_>,
        split: &Split,
        now: Tick,
    ) -> Seat {
        let Some(call) = event.call.as_deref() else {
            return Seat::passing(split.place(subject), split.generation);
        };
        let key = self.key(call);
        loop {
            if let Some(seat) = self.known(key, event, subject, now) {
                return seat;
            }
            if let Some(seat) = self.known_by_alias(key, event, subject, now) {
                return seat;
            }
            let parent = event
                .parent
                .as_deref()
                .and_then(|parent| self.call(self.key(parent)))
                .map(|(_, call)| call);
            let first = calls::first(event, subject, split, parent.as_ref(), now);
            let Some(call) = first.call else {
                return Seat::passing(first.placement, split.generation);
            };
            if self.enter(key, Entry::Call(call)) {
                return Seat::first(key, &call, waits(event.kind));
            }
            // Another worker pinned it since we looked; now it is known.
        }
    }

    /// To be called just before the first byte of a [`Seat::starting`] request
    /// leaves, with the routing read at that moment: a change of placement since
    /// the call was placed places it anew, so that no call starts on new after a
    /// latch. Of several first webhooks one keeps `starting`.
    pub fn start(&self, seat: &mut Seat, subject: &Subject<'_>, split: &Split, now: Tick) {
        let Some(key) = seat.key else { return };
        while seat.starting {
            let told = self.update(key, now, |_, call| {
                let first = !call.flags().has(Flags::STARTED);
                let anew = call.start(subject, split);
                (first, anew, *call)
            });
            if let Some((first, anew, call)) = told {
                seat.start(first, anew, &call);
                return;
            }
            // Evicted between place and now. The call is still being answered, so
            // it comes back, placed by what is in force now.
            let placement = if seat.flags.has(Flags::LEG) {
                seat.placement
            } else {
                split.place(subject)
            };
            let call = Call::placed(placement, seat.flags, split.generation, now);
            self.enter(key, Entry::Call(call));
            seat.placement = placement;
        }
    }

    /// The request for which [`Table::start`] was called has not left after all: the
    /// call has not started, and `start` may place it anew. Only for a seat that is
    /// still `starting`.
    pub fn unstart(&self, seat: &Seat) {
        if let Some(key) = seat.key.filter(|_| seat.starting) {
            self.update(key, Tick::default(), |_, call| call.unstart());
        }
    }

    /// To be called when a webhook was answered or has failed. `failed` as the
    /// error rate sees it; None for events and for what was not the backend's
    /// fault. `now` must be the moment of the observation that takes the voice.
    pub fn heard(
        &self,
        seat: &Seat,
        failed: Option<bool>,
        does: Does,
        reached_served: bool,
        now: Tick,
    ) -> Option<Voice> {
        self.update(seat.key?, now, |_, call| {
            call.heard(failed, does, reached_served, now)
        })?
    }

    /// The provider says that a call is over. None: it is unknown, was over
    /// before, or is a leg.
    pub fn finish(&self, event: &CallEvent<'_>, last: &Final, now: Tick) -> Option<Ended> {
        let end =
            |id: &str| self.update(self.key(id), now, |_, call| call.end(last, self.short, now));
        end(event.call.as_deref()?).or_else(|| end(event.alias.as_deref()?))?
    }

    /// Gives up what was silent for four hours, forgets what ended half an hour
    /// ago, and adds to `out` the calls of which no end was ever seen. Locks one
    /// shard at a time; the engine calls it every ten seconds or so.
    pub fn sweep(&self, now: Tick, out: &mut Vec<Ended>) {
        let moment = Moment::from(now);
        self.map.retain(|_, entry| {
            let stays = match entry {
                Entry::Alias(alias) => moment.since(alias.seen) < IDLE + AFTER_END,
                Entry::Call(call) => {
                    let before = *call;
                    let fate = call.fate(now);
                    self.recount(Some(&before), Some(call));
                    if let Fate::Expired(ended) = fate {
                        out.extend(ended);
                    }
                    fate == Fate::Stays
                }
            };
            if !stays {
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
            stays
        });
    }

    /// A reversal or total rollback is in force: calls on new that are known by
    /// events alone go back to legacy. To be called after the latched routing was
    /// published. Says how many.
    pub fn drop_provisional(&self) -> u64 {
        let mut dropped = 0;
        for mut place in self.map.iter_mut() {
            let key = *place.key();
            let Entry::Call(call) = place.value_mut() else {
                continue;
            };
            let before = *call;
            if call.drop_provisional() {
                dropped += 1;
                self.recount(Some(&before), Some(call));
                self.save(PinRecord::call(key, call));
            }
        }
        dropped
    }

    /// Calls begun and not ended, on each backend. Legs do not count.
    pub fn active(&self) -> PerBackend<u64> {
        PerBackend::from_fn(|backend| self.live_on(backend))
    }

    /// Calls begun and not ended on this backend.
    pub fn live_on(&self, backend: Backend) -> u64 {
        self.active[backend].load(Ordering::Relaxed)
    }

    /// Everything remembered: calls, legs, other ids, and what ended lately.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Is nothing remembered?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls forgotten before their time because the table was full.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// What is known of a call, by the provider's id.
    pub fn find(&self, call: &str) -> Option<View> {
        self.call(self.key(call))
            .map(|(key, call)| View::new(key, &call))
    }

    /// The table's key for a provider's call id.
    pub fn key(&self, call: &str) -> CallKey {
        CallKey::new(call, self.seed)
    }

    /// Takes an entry out, with its count; false if it was not there.
    fn forget(&self, key: CallKey) -> bool {
        // The closure runs under the shard's lock, so the counts go with the entry.
        let gone = self.map.remove_if(&key, |_, entry| {
            if let Entry::Call(call) = entry {
                self.recount(Some(call), None);
            }
            true
        });
        if gone.is_some() {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        gone.is_some()
    }

    fn known(
        &self,
        key: CallKey,
        event: &CallEvent<'_>,
        subject: &Subject<'_>,
        now: Tick,
    ) -> Option<Seat> {
        self.update(key, now, |key, call| {
            call.step(event.facts, subject, now);
            Seat::known(key, call, waits(event.kind))
        })
    }

    /// The same call under an id it was first seen by; enters the new id.
    fn known_by_alias(
        &self,
        key: CallKey,
        event: &CallEvent<'_>,
        subject: &Subject<'_>,
        now: Tick,
    ) -> Option<Seat> {
        let alias = self.key(event.alias.as_deref()?);
        let seat = self.known(alias, event, subject, now)?;
        let entry = Alias {
            of: seat.key?,
            seen: now.into(),
        };
        if entry.of != key && self.enter(key, Entry::Alias(entry)) {
            self.save(PinRecord::alias(key, entry.of, entry.seen));
        }
        Some(seat)
    }

    /// Changes a call under its shard's lock, keeps the counts and queues the pin
    /// if it changed. None: the call is not known.
    fn update<R>(
        &self,
        key: CallKey,
        now: Tick,
        change: impl FnOnce(CallKey, &mut Call) -> R,
    ) -> Option<R> {
        let change = |key, call: &mut Call| {
            let before = *call;
            let told = change(key, call);
            self.recount(Some(&before), Some(call));
            if call.outdates(&before) {
                // Under the guard, so that a call's records queue in their order.
                self.save(PinRecord::call(key, call));
            }
            told
        };
        let of = match self.map.get_mut(&key)?.value_mut() {
            Entry::Call(call) => return Some(change(key, call)),
            Entry::Alias(alias) => {
                alias.seen = now.into();
                alias.of
            }
        };
        match self.map.get_mut(&of)?.value_mut() {
            Entry::Call(call) => Some(change(of, call)),
            Entry::Alias(_) => None,
        }
    }

    /// A copy of a call, by any of its keys, with the key it stands under.
    fn call(&self, key: CallKey) -> Option<(CallKey, Call)> {
        let entry = *self.map.get(&key)?;
        match entry {
            Entry::Call(call) => Some((key, call)),
            Entry::Alias(alias) => match *self.map.get(&alias.of)? {
                Entry::Call(call) => Some((alias.of, call)),
                Entry::Alias(_) => None,
            },
        }
    }

    /// Enters what was not there; false if a call stands there already.
    fn enter(&self, key: CallKey, entry: Entry) -> bool {
        self.make_room();
        match self.map.entry(key) {
            Place::Vacant(place) => {
                self.len.fetch_add(1, Ordering::Relaxed);
                self.admit(key, &entry);
                place.insert(entry);
                true
            }
            // An alias whose call was forgotten: its id is free again.
            Place::Occupied(mut place) if matches!(place.get(), Entry::Alias(_)) => {
                self.admit(key, &entry);
                place.insert(entry);
                true
            }
            Place::Occupied(_) => false,
        }
    }

    fn admit(&self, key: CallKey, entry: &Entry) {
        if let Entry::Call(call) = entry {
            self.recount(None, Some(call));
            self.save(PinRecord::call(key, call));
        }
    }

    /// Keeps the counts of active calls. Called under the entry's guard, so that
    /// a call is never taken out before it was put in.
    fn recount(&self, before: Option<&Call>, after: Option<&Call>) {
        let on = |call: Option<&Call>| call.filter(|call| call.is_active()).map(Call::backend);
        let (before, after) = (on(before), on(after));
        if before == after {
            return;
        }
        if let Some(backend) = after {
            self.active[backend].fetch_add(1, Ordering::Relaxed);
        }
        if let Some(backend) = before {
            self.active[backend].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Is a caller waiting for the answer?
const fn waits(kind: EventKind) -> bool {
    matches!(kind, EventKind::Start | EventKind::Step)
}

#[cfg(test)]
mod tests;
