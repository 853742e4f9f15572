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

mod ends;
mod evict;
mod keep;
mod live;
pub mod names;
mod other;
pub mod pins;
mod place;
mod repeats;
mod rescue;
mod seat;

pub use seat::{Seat, View};

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry as Place};
use parking_lot::Mutex;

use crate::calls::{Call, Moment};
use crate::document::Does;
use crate::measure::Voice;
use crate::model::{Backend, CallKey, PerBackend, Tick};
use names::Registry;
use pins::PinRecord;
use repeats::Repeats;
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
    repeats: Repeats,
    names: Registry,
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
    /// It names the leg its call began with.
    root: bool,
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
            repeats: Repeats::new(seed),
            names: Registry::default(),
            evicting: Mutex::new(()),
            changed: Mutex::default(),
            lost: AtomicBool::new(false),
        }
    }

    /// What tenants are called that have called since the process began.
    pub const fn names(&self) -> &Registry {
        &self.names
    }

    /// Was this event told before? A provider that delivers one twice (Telnyx says that it
    /// may) is answered twice and counted once. `id` is the provider's id of the event,
    /// `now` when it came. Ids are remembered for ten minutes, at most 200,000 of them.
    pub fn repeated(&self, id: &str, now: Tick) -> bool {
        self.repeats.repeated(id, now)
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
            if call.backend() == seat.placement.backend {
                return call.heard(failed, does, reached_served, now);
            }
            // It was rescued meanwhile, and this is still about the backend it left.
            call.elsewhere().heard(failed, does, reached_served, now)
        })?
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

    /// Enters what was not there; false if something stands there already.
    fn enter(&self, key: CallKey, entry: Entry) -> bool {
        self.make_room();
        let there = match self.map.entry(key) {
            Place::Vacant(place) => {
                self.len.fetch_add(1, Ordering::Relaxed);
                self.admit(key, &entry);
                place.insert(entry);
                return true;
            }
            Place::Occupied(place) => *place.get(),
        };
        // An alias whose call was forgotten: its id is free again. Nothing may be looked
        // up under a guard, so it is looked at twice.
        let stale = matches!(there, Entry::Alias(alias) if !self.is_call(alias.of));
        if !stale {
            return false;
        }
        match self.map.get_mut(&key) {
            Some(mut place) if *place == there => {
                self.admit(key, &entry);
                *place = entry;
                true
            }
            _ => false,
        }
    }

    fn admit(&self, key: CallKey, entry: &Entry) {
        match entry {
            Entry::Call(call) => {
                self.recount(None, Some(call));
                self.save(PinRecord::call(key, call));
            }
            Entry::Alias(alias) => self.save(PinRecord::alias(key, *alias)),
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

#[cfg(test)]
mod tests;
