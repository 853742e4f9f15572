//! From a webhook to its seat: whose call it is, and where that is or goes.

use super::{Entry, Seat, Table};
use crate::calls::{self, Call, Flags, Hints};
use crate::model::{CallKey, Tick};
use crate::protocol::{CallEvent, EventKind};
use crate::split::{Because, Placement, Split, Subject};

impl Table {
    /// Finds a webhook's backend, and pins a call at first sight: whichever worker
    /// comes first decides, all others follow.
    ///
    /// A pin decides before anything else; for a call that is not known see
    /// [`calls::first`]. Every id a webhook names its call by is entered, so that a
    /// call of which two providers speak is one call here, whoever speaks first.
    pub fn place(
        &self,
        event: &CallEvent<'_>,
        subject: &Subject<'_>,
        hints: Hints,
        split: &Split,
        now: Tick,
    ) -> Seat {
        let Some(call) = event.call.as_deref() else {
            return Seat::passing(calls::passing(subject, hints, split), split.generation);
        };
        let key = self.key(call);
        let seat = loop {
            if let Some(seat) = self.known(key, event, subject, hints, split, now) {
                break seat;
            }
            if let Some(seat) = self.known_by_another(key, event, subject, hints, split, now) {
                break seat;
            }
            let parent = self.parent(event);
            let first = calls::first(event, subject, hints, split, parent.as_ref(), now);
            let Some(mut call) = first.call else {
                return Seat::passing(first.placement, split.generation);
            };
            let chose = call.chooses(event.facts);
            if self.enter(key, Entry::Call(call)) {
                self.names.note(&subject.tenant);
                self.enter_others(key, call.flags().has(Flags::ROOTED), event, now);
                break Seat {
                    chose,
                    ..Seat::first(key, &call, waits(event.kind))
                };
            }
            // Another worker pinned it since we looked; now it is known.
        };
        if event.facts.connected
            && let Some(parent) = event.parent.as_deref()
        {
            // A leg is nobody's call: it is its caller who was served.
            self.update(self.key(parent), now, |_, call| call.connected());
        }
        seat
    }

    /// Where a webhook goes that does not count, because it is not known to be genuine
    /// where it should be: where the call is that it names, else where a new call would
    /// go. Enters nothing, changes nothing; no call starts or ends with it.
    ///
    /// A caller may be behind it all the same, so the latch holds for it: where the seat
    /// is `starting`, [`Table::start`] looks once more at what is in force, touches no
    /// call either, and leaves the seat not `starting`. A claim counts here as elsewhere;
    /// whoever does not trust it leaves it out of the hints.
    pub fn peek(
        &self,
        event: &CallEvent<'_>,
        subject: &Subject<'_>,
        hints: Hints,
        split: &Split,
    ) -> Seat {
        let Some(call) = event.call.as_deref() else {
            return Seat::passing(calls::passing(subject, hints, split), split.generation);
        };
        let waits = waits(event.kind);
        let starts = |call: &Call| waits && !call.flags().has(Flags::STARTED) && !call.follows();
        let known = self
            .call(self.key(call))
            .or_else(|| self.others(event).find_map(|(id, _)| self.call(id)));
        let (call, placement, starting) = match known {
            Some((_, mut call)) => {
                call.recall(hints, split, Tick::default());
                let starting = starts(&call);
                // A copy: what would be placed anew when it starts is so here.
                let anew = if starting {
                    call.start(subject, split)
                } else {
                    None
                };
                let pinned = Placement {
                    backend: call.backend(),
                    because: Because::Pinned,
                };
                (Some(call), anew.unwrap_or(pinned), starting)
            }
            None => {
                let parent = self.parent(event);
                let now = Tick::default();
                let first = calls::first(event, subject, hints, split, parent.as_ref(), now);
                let starting = first.call.as_ref().is_some_and(starts);
                (first.call, first.placement, starting)
            }
        };
        let generation = call.map_or(split.generation, |call| call.generation());
        Seat {
            starting,
            began: known.and_then(|(_, call)| call.began().tick()),
            flags: call.map_or(Flags::NONE, |call| call.flags()),
            origin: call.map_or(placement.because, |call| call.because()),
            ..Seat::passing(placement, generation)
        }
    }

    /// To be called just before the first byte of a [`Seat::starting`] request
    /// leaves, with the routing read at that moment: a change of placement since
    /// the call was placed places it anew, so that no call starts on new after a
    /// latch. Of several first webhooks one keeps `starting`.
    pub fn start(&self, seat: &mut Seat, subject: &Subject<'_>, split: &Split, now: Tick) {
        let Some(key) = seat.key else {
            return seat.pass(split);
        };
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
            // it comes back, placed by what is in force now; only a leg stays with its call,
            // and a call that a backend began with that backend.
            let placement = match seat.origin {
                because @ (Because::Inherited | Because::Claimed) => Placement {
                    because,
                    ..seat.placement
                },
                _ => split.place(subject),
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

    /// An emergency stop does not let this first webhook through: its call has begun
    /// nowhere.
    pub fn stop(&self, seat: &Seat, now: Tick) {
        if let Some(key) = seat.key {
            self.update(key, now, |_, call| call.stop());
        }
    }

    /// A webhook of a call that stands under this key, or that this key is an alias of.
    pub(super) fn known(
        &self,
        key: CallKey,
        event: &CallEvent<'_>,
        subject: &Subject<'_>,
        hints: Hints,
        split: &Split,
        now: Tick,
    ) -> Option<Seat> {
        let tells_legs = event.leg.is_some() && begins(event.kind);
        let (seat, roots) = self.update(key, now, |key, call| {
            call.recall(hints, split, now);
            call.step(event.facts, subject, now);
            let roots = tells_legs && call.root();
            let chose = call.chooses(event.facts);
            let seat = Seat::known(key, call, waits(event.kind));
            (Seat { chose, ..seat }, roots)
        })?;
        if let Some(of) = seat.key {
            self.enter_others(of, roots, event, now);
        }
        Some(seat)
    }

    /// The call that made this leg.
    fn parent(&self, event: &CallEvent<'_>) -> Option<Call> {
        let parent = self.key(event.parent.as_deref()?);
        self.call(parent).map(|(_, call)| call)
    }
}

/// Is a caller waiting for the answer?
const fn waits(kind: EventKind) -> bool {
    matches!(kind, EventKind::Start | EventKind::Step)
}

/// Can a call begin with it?
pub(super) const fn begins(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Final(_) | EventKind::Report)
}

#[cfg(test)]
mod tests;
