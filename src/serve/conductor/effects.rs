//! What the engine said, carried out in the order it said it.

use std::sync::Arc;

use super::Conductor;
use crate::clock;
use crate::engine::{Effect, Event};
use crate::journal::Job;
use crate::proxy::Routing;
use crate::serve::say::{say, say_entry};

impl Conductor {
    /// Does what the engine said, in the order it said it.
    pub(in crate::serve) fn carry_out(&mut self, effects: Vec<Effect>) {
        // What is answered beside a record waits for it.
        let mut record = None;
        let mut untold = Vec::new();
        for effect in effects {
            match effect {
                Effect::Publish(split) => {
                    let flips = split.latched && !self.parts.shared.routing.load().split.latched;
                    self.route(|routing| {
                        let since = routing.latched_at.unwrap_or_else(clock::tick);
                        routing.latched_at = split.latched.then_some(since);
                        routing.split = split;
                    });
                    if flips {
                        self.parts.shared.flips.send_modify(|flips| *flips += 1);
                    }
                }
                Effect::Breakers(breakers) => self.route(|routing| routing.breakers = breakers),
                Effect::Habits(habits) => self.route(|routing| routing.habits = habits),
                Effect::Latch { reason } => self.write(Job::Latch { reason }),
                Effect::Unlatch => self.write(Job::Unlatch),
                Effect::Record(entry) => {
                    record = Some(entry.stamp.sequence);
                    self.parts.metrics.recording(&entry.action);
                    say_entry(&entry);
                    self.logs.entry(&entry);
                    self.write(Job::Record(entry));
                }
                Effect::DropProvisional => {
                    self.parts.shared.table.drop_provisional();
                }
                Effect::Reversed { rule } => self.parts.metrics.reversal(&rule),
                Effect::Reply { ticket, result } => {
                    self.answers.reply(ticket, result, record);
                }
                Effect::Say(notice) => say(&notice),
                Effect::Hook(hook) => untold.extend(self.hook(hook)),
            }
        }
        for event in untold {
            self.engine(event);
        }
    }

    pub(in crate::serve) fn engine(&mut self, event: Event<'_>) {
        let effects = self
            .parts
            .engine
            .handle(event, clock::tick(), clock::wall());
        self.carry_out(effects);
        self.publish_status();
    }

    /// Swaps the routing in one step.
    pub(in crate::serve) fn route(&self, change: impl FnOnce(&mut Routing)) {
        let mut routing = Routing::clone(&self.parts.shared.routing.load());
        change(&mut routing);
        self.parts.shared.routing.store(Arc::new(routing));
    }

    /// Hands a job to the journal's thread. One that nobody takes is not durable; a
    /// raise among them is answered with that.
    fn write(&mut self, job: Job) {
        let Some(refused) = self.parts.outbox.send(job) else {
            return;
        };
        let durable = self.parts.outbox.is_durable();
        self.engine(Event::Durable(durable));
        let why = "too much waits for the disk".to_owned();
        match refused {
            Job::Record(entry) => self.engine(Event::NotRecorded {
                sequence: entry.stamp.sequence,
                why,
            }),
            // Else the resume would be on its way for ever, and every raise busy.
            Job::Unlatch => self.engine(Event::NotUnlatched { why }),
            Job::Latch { .. } | Job::Compare { .. } => {}
        }
    }
}
