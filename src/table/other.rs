//! The other ids of a call: the one a carrier knows it by, its legs, its caller's leg.
//!
//! A provider may name one call by several ids, and two providers may speak of one
//! call. Each id is an entry that points to the call, so that whichever comes next
//! finds the same pin. An event without another id costs no look at the map here.
//!
//! Two ids that each became a call before any webhook named both stay two calls: they
//! may be on two backends, and a started call never moves.

use std::time::Duration;

use super::place::begins;
use super::{Alias, Entry, Table};
use crate::calls::{Hints, Moment};
use crate::model::{CallKey, Tick};
use crate::protocol::{CallEvent, EventKind};
use crate::split::{Split, Subject};
use crate::table::Seat;

/// An alias that is heard of again is touched at most so often.
const TOUCH: Duration = Duration::from_secs(60);

impl Table {
    /// The other ids that a webhook names its call by, each once; true for its leg.
    pub(super) fn others(&self, event: &CallEvent<'_>) -> impl Iterator<Item = (CallKey, bool)> {
        let leg = event.leg.as_deref();
        let alias = event.alias.as_deref().filter(|alias| leg != Some(*alias));
        let leg = leg.map(|id| (self.key(id), true));
        leg.into_iter().chain(alias.map(|id| (self.key(id), false)))
    }

    /// The same call under an id it was first seen by; enters the new id.
    pub(super) fn known_by_another(
        &self,
        key: CallKey,
        event: &CallEvent<'_>,
        subject: &Subject<'_>,
        hints: Hints,
        split: &Split,
        now: Tick,
    ) -> Option<Seat> {
        let known = |(id, _)| self.known(id, event, subject, hints, split, now);
        let seat = self.others(event).find_map(known)?;
        let alias = Alias {
            of: seat.key?,
            seen: now.into(),
            root: false,
        };
        self.tie(key, alias);
        Some(seat)
    }

    /// Enters the other ids that a webhook of this call names. `roots`: its leg is the
    /// one the call began with.
    pub(super) fn enter_others(&self, of: CallKey, roots: bool, event: &CallEvent<'_>, now: Tick) {
        // Nothing begins with its own end; a leg seen only then is asked for no more.
        if matches!(event.kind, EventKind::Final(_)) {
            return;
        }
        let roots = roots && begins(event.kind);
        for (id, is_leg) in self.others(event) {
            let alias = Alias {
                of,
                seen: now.into(),
                root: roots && is_leg,
            };
            self.tie(id, alias);
        }
    }

    /// Is this the leg its call began with?
    pub(super) fn is_root(&self, leg: &str) -> bool {
        let there = self.map.get(&self.key(leg)).map(|entry| *entry);
        matches!(there, Some(Entry::Alias(alias)) if alias.root)
    }

    /// Does a call stand under this key itself?
    pub(super) fn is_call(&self, key: CallKey) -> bool {
        let there = self.map.get(&key).map(|entry| *entry);
        matches!(there, Some(Entry::Call(_)))
    }

    /// Enters an id, or touches it if it is there. What means another call is left.
    fn tie(&self, id: CallKey, alias: Alias) {
        if id == alias.of {
            return;
        }
        let there = self.map.get(&id).map(|entry| *entry);
        match there {
            Some(Entry::Alias(known)) if known.of == alias.of => self.touch(id, known, alias),
            Some(Entry::Call(_)) => {}
            Some(Entry::Alias(_)) | None => {
                self.enter(id, Entry::Alias(alias));
            }
        }
    }

    fn touch(&self, id: CallKey, known: Alias, alias: Alias) {
        let roots = alias.root && !known.root;
        if !roots && alias.seen.since(known.seen) < TOUCH {
            return;
        }
        if let Some(mut place) = self.map.get_mut(&id)
            && let Entry::Alias(there) = place.value_mut()
            && there.of == alias.of
        {
            there.seen = Moment::max(there.seen, alias.seen);
            there.root |= alias.root;
            if roots {
                self.admit(id, &Entry::Alias(*there));
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
