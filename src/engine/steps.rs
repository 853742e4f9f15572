//! The steps of the rollout, in the order that is the promise: toward legacy
//! publish, latch, record, and wait for nothing; toward new record first, and
//! publish when the journal has it.

use super::{Effect, Engine, Pending, Refusal, RefusalKind, Ticket};
use crate::engine::{Done, Notice, RECORD_LATE, Severity, UNRECORDED};
use crate::model::{Tick, Wall};
use crate::rollout::{Action, Entry, Order};

impl Engine {
    /// An operator's (or a hold rule's) order.
    pub(super) fn order(
        &mut self,
        ticket: Option<Ticket>,
        order: &Order,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let placeable = self.settings.scheme.hash.takes(order.command.percentage());
        let decided = match placeable {
            true => self.rollout.decide(order, wall),
            false => Err(Refusal {
                kind: RefusalKind::Invalid,
                why: "with hash = \"java31\" a percentage is a whole number, as in the applications' own".to_owned(),
            }),
        };
        match decided {
            Err(refusal) => reply(effects, ticket, Err(refusal)),
            Ok(entry) if entry.is_raise() => self.raise(entry, ticket, now, effects),
            Ok(mut entry) => {
                self.remark(&order.command, &mut entry);
                self.lower(entry, ticket, now, effects);
            }
        }
    }

    /// Toward legacy: publish, latch, record; then forget what only events pinned.
    pub(super) fn lower(
        &mut self,
        entry: Entry,
        ticket: Option<Ticket>,
        now: Tick,
        effects: &mut Vec<Effect>,
    ) {
        let entry = self.overtake(entry, effects);
        self.rollout.apply(&entry);
        self.publish(now, effects);
        if entry.latches() {
            effects.push(Effect::Latch {
                reason: entry.latch_reason(),
            });
        }
        let done = Done {
            said: entry.said(),
            durable: self.is_durable(now),
            generation: self.split.generation,
        };
        let begins = entry.latches() && !entry.before.latched;
        if begins {
            self.begin_verification(entry.reason.clone(), entry.stamp.at, now);
        }
        self.record(entry, now, effects);
        if begins {
            effects.push(Effect::DropProvisional);
        }
        reply(effects, ticket, Ok(done));
    }

    /// A step toward legacy goes to the disk, and is missed if it does not arrive.
    pub(super) fn record(&mut self, entry: Entry, now: Tick, effects: &mut Vec<Effect>) {
        if self.unrecorded.len() < UNRECORDED {
            self.unrecorded.push_back((entry.stamp.sequence, now));
        }
        effects.push(Effect::Record(Box::new(entry)));
    }

    /// Is everything on disk that was decided a moment ago or earlier?
    pub(super) fn is_durable(&self, now: Tick) -> bool {
        let late = |(_, sent): &(u64, Tick)| now.since(*sent) > RECORD_LATE;
        self.durable && !self.unrecorded.front().is_some_and(late)
    }

    /// Toward new: record first. It is in force when the journal has it.
    pub(super) fn raise(
        &mut self,
        entry: Entry,
        ticket: Option<Ticket>,
        now: Tick,
        effects: &mut Vec<Effect>,
    ) {
        let refusal = if !self.is_durable(now) {
            Some((
                RefusalKind::NotDurable,
                "the journal cannot be written, so nothing may be raised; look at the state directory's disk",
            ))
        } else if self.pending.is_some() {
            Some((
                RefusalKind::Busy,
                "another change is on its way to the disk; try again in a moment",
            ))
        } else {
            None
        };
        if let Some((kind, why)) = refusal {
            return reply(
                effects,
                ticket,
                Err(Refusal {
                    kind,
                    why: why.to_owned(),
                }),
            );
        }
        self.rollout.pass_over(&entry);
        effects.push(Effect::Record(Box::new(entry.clone())));
        self.pending = Some(Pending {
            entry,
            ticket,
            unlatching: false,
        });
    }

    /// A step toward legacy waits for no raise: one that is still on its way to the
    /// disk is not carried out any more, whether or not its record arrives.
    pub(super) fn overtake(&mut self, entry: Entry, effects: &mut Vec<Effect>) -> Entry {
        let Some(pending) = self.pending.take() else {
            return entry;
        };
        let why = "a step toward legacy came in between; look at the status before you try again"
            .to_owned();
        reply(
            effects,
            pending.ticket,
            Err(Refusal {
                kind: RefusalKind::Conflict,
                why,
            }),
        );
        self.rollout.overtaking(entry, &pending.entry)
    }

    /// The raise is on disk. If it also clears the latch, that comes next.
    pub(super) fn recorded(&mut self, sequence: u64, now: Tick, effects: &mut Vec<Effect>) {
        let Some(pending) = self
            .pending
            .as_mut()
            .filter(|pending| pending.entry.stamp.sequence == sequence)
        else {
            return;
        };
        if pending.entry.unlatches() {
            pending.unlatching = true;
            effects.push(Effect::Unlatch);
        } else {
            self.put_in_force(now, effects);
        }
    }

    pub(super) fn unlatched(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.unlatching)
        {
            self.watch = None;
            self.put_in_force(now, effects);
        }
    }

    pub(super) fn put_in_force(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.rollout.apply(&pending.entry);
        effects.extend(self.guard.ask_new_again(now).map(Effect::Breakers));
        if pending.entry.action == Action::Resume {
            // A hold that is lifted moves no call, and would trip again at once.
            self.begin_epoch(now);
        }
        self.publish(now, effects);
        let done = Done {
            said: pending.entry.said(),
            durable: true,
            generation: self.split.generation,
        };
        reply(effects, pending.ticket, Ok(done));
    }

    pub(super) fn not_recorded(&mut self, sequence: u64, why: &str, effects: &mut Vec<Effect>) {
        let Some(pending) = self
            .pending
            .take_if(|pending| pending.entry.stamp.sequence == sequence)
        else {
            return;
        };
        let why = format!(
            "it could not be written to the journal ({why}), so it is not in force; look at the state directory's disk"
        );
        reply(
            effects,
            pending.ticket,
            Err(Refusal {
                kind: RefusalKind::NotDurable,
                why,
            }),
        );
    }

    /// The resume is recorded but the latch stands. The journal must not say more
    /// than is true, so the latch is recorded again.
    pub(super) fn not_unlatched(
        &mut self,
        why: &str,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let Some(pending) = self.pending.take_if(|pending| pending.unlatching) else {
            return;
        };
        // Both entries, as a restart would read them; nothing is published between.
        self.rollout.apply(&pending.entry);
        let latched = self
            .rollout
            .latched_at_start("the latch file could not be cleared", wall);
        if let Some(entry) = latched {
            self.rollout.apply(&entry);
            self.publish(now, effects);
            self.record(entry, now, effects);
        }
        let why = format!(
            "the latch file could not be cleared ({why}), so everything stays on legacy; look at the state directory's disk"
        );
        reply(
            effects,
            pending.ticket,
            Err(Refusal {
                kind: RefusalKind::NotDurable,
                why,
            }),
        );
    }
}

fn reply(effects: &mut Vec<Effect>, ticket: Option<Ticket>, result: Result<Done, Refusal>) {
    match (ticket, result) {
        (Some(ticket), result) => effects.push(Effect::Reply { ticket, result }),
        (None, Err(refusal)) => effects.push(Effect::Say(Notice {
            severity: Severity::Warning,
            rule: None,
            text: refusal.why,
        })),
        (None, Ok(_)) => {}
    }
}
