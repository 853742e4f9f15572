//! The steps of the rollout, in the order that is the promise: toward legacy
//! publish, latch, record, and wait for nothing; toward new record first, and
//! publish when the journal has it.

use std::borrow::Cow;

use super::settings::closed;
use super::{Effect, Engine, Pending, Refusal, RefusalKind, Ticket};
use crate::engine::{Done, Notice, RECORD_LATE, Severity, UNRECORDED};
use crate::model::{TenantKey, Tick, Wall};
use crate::rollout::{Action, Command, Entry, Level, Order, shown};
use crate::split::tenants::e164;

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
        let (order, by_key) = self.by_tenant(order);
        let order = &*order;
        if order.command == Command::Advance {
            return match self.advance(ticket, order, now, wall) {
                Ok(step) => self.take_planned(step, now, wall, effects),
                Err(refusal) => reply(effects, ticket, Err(refusal)),
            };
        }
        // A resume after a latch changes the stage; the hour before belongs to the old one.
        let resumes = matches!(order.command, Command::Resume { .. });
        let staged = self.settings.plan.is_some() || self.rollout.stage().is_some();
        if resumes && self.rollout.latched() && staged {
            self.close_hour(now, wall, effects);
        }
        let placeable = self.settings.scheme.hash.takes(order.command.percentage());
        let decided = match placeable {
            true => self.decide(order, wall),
            false => Err(Refusal {
                kind: RefusalKind::Invalid,
                why: "with hash = \"java31\" a percentage is a whole number, as in the applications' own".to_owned(),
            }),
        };
        match decided {
            Err(refusal) => reply(effects, ticket, Err(refusal)),
            Ok(entry) if entry.is_raise() => match self.within_calendar(entry, order, wall) {
                Ok(mut entry) => {
                    entry.notes.extend(by_key);
                    self.raise(entry, ticket, now, effects);
                }
                Err(refusal) => reply(effects, ticket, Err(refusal)),
            },
            Ok(mut entry) => {
                entry.notes.extend(by_key);
                self.remark(&order.command, &mut entry);
                self.lower(entry, ticket, now, effects);
            }
        }
    }

    /// The order, with its tenant's own name where it names a key of one, as webhooks
    /// carry it, and what to say of that. Lists know tenants by their names alone. What
    /// stands on a list by a key, from before the directory knew it, comes off by it.
    fn by_tenant<'a>(&self, order: &'a Order) -> (Cow<'a, Order>, Option<String>) {
        let id = match &order.command {
            Command::Rollback(Level::Tenant(id), _) => id,
            Command::Tenant { id, list: None } if self.rollout.listed(id).is_some() => {
                return (Cow::Borrowed(order), None);
            }
            Command::Tenant { id, .. } => id,
            _ => return (Cow::Borrowed(order), None),
        };
        let directory = self.settings.directory.as_deref();
        let Some(tenant) = directory.and_then(|directory| directory.whose(id)) else {
            return (Cow::Borrowed(order), None);
        };
        let said = format!("{} is a key of tenant {}.", shown(&e164(id)), shown(tenant));
        let mut order = order.clone();
        if let Command::Rollback(Level::Tenant(id), _) | Command::Tenant { id, .. } =
            &mut order.command
        {
            tenant.clone_into(id);
        }
        (Cow::Owned(order), Some(said))
    }

    /// What follows from an order under the plan in force.
    pub(super) fn decide(&self, order: &Order, wall: Wall) -> Result<Entry, Refusal> {
        let plan = self.settings.plan.as_deref();
        self.rollout.decide_in(order, plan, wall)
    }

    /// Every raise asks the plan's calendar, unless its giver passes over it.
    fn within_calendar(
        &self,
        mut entry: Entry,
        order: &Order,
        wall: Wall,
    ) -> Result<Entry, Refusal> {
        // To go on at what there was, or from nothing, raises nothing.
        let resumes = entry.action == Action::Resume;
        if resumes && entry.after.percentage <= entry.before.percentage {
            return Ok(entry);
        }
        match closed(&self.settings, wall) {
            None => Ok(entry),
            Some(why) if order.waives.window => {
                entry.notes.push(format!("Passed over: {why}."));
                Ok(entry)
            }
            Some(why) => Err(Refusal {
                kind: RefusalKind::Conflict,
                why: format!(
                    "the plan's calendar allows nothing to be raised now: {why}. `--hotfix` \
                     passes over it"
                ),
            }),
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
        self.stage_changed(now, now, entry.stamp.at);
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
        let outside = entry.clone();
        self.record(entry, now, effects);
        if begins {
            effects.push(Effect::DropProvisional);
        }
        if outside.action == Action::EmergencyStop {
            effects.push(Effect::Say(Notice {
                severity: Severity::Critical,
                rule: None,
                text: format!("{} ({})", outside.said(), outside.because()),
            }));
        }
        self.tell_outside(&outside, effects);
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
            sent: now,
            ticket,
            unlatching: false,
        });
    }

    /// A step toward legacy waits for no raise: one that is still on its way to the
    /// disk is not carried out any more, whether or not its record arrives.
    pub(super) fn overtake(&mut self, entry: Entry, effects: &mut Vec<Effect>) -> Entry {
        self.drop_waiting(effects);
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
        // A person (or the file) says by it that new is well. The plan does not.
        if !matches!(pending.entry.actor.as_str(), "plan") {
            effects.extend(self.guard.ask_new_again(now).map(Effect::Breakers));
        }
        if pending.entry.action == Action::Resume {
            // A hold that is lifted moves no call, and would trip again at once.
            self.begin_epoch(now);
        }
        self.publish(now, effects);
        self.stage_changed(pending.sent, now, pending.entry.stamp.at);
        if pending.entry.action == Action::TenantClear {
            for id in pending.entry.after.tenants.keys() {
                self.evidence.tenant_cleared(TenantKey::new(id));
            }
        }
        self.tell_outside(&pending.entry, effects);
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
        let stopped = self.rollout.stopped();
        self.rollout.apply(&pending.entry);
        let latched =
            self.rollout
                .latched_again("the latch file could not be cleared", stopped, wall);
        if let Some(entry) = latched {
            self.rollout.apply(&entry);
            self.publish(now, effects);
            self.stage_changed(now, now, wall);
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

pub(super) fn reply(
    effects: &mut Vec<Effect>,
    ticket: Option<Ticket>,
    result: Result<Done, Refusal>,
) {
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
