//! Who waits for what came of an order, and what they are told.
//!
//! A step toward legacy is in force at once; whether it is on disk is told when
//! the disk has said so, because whoever reads `durable` counts on it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock;
use crate::engine::{Done, Refusal, Ticket};
use crate::model::Tick;

/// How long an answer waits for the disk; then it says that it is not durable yet.
const WAIT: Duration = Duration::from_secs(1);

/// An operator's order on its way, and who waits for what came of it.
pub(super) struct Waiting {
    pub(super) reply: oneshot::Sender<Result<Done, Refusal>>,
    pub(super) actor: String,
    pub(super) reason: String,
}

/// Everybody who waits. No more than requests that the admin listener serves at
/// once, and none for longer than [`WAIT`] once the engine has answered.
#[derive(Default)]
pub(super) struct Answers {
    waiting: HashMap<Ticket, Waiting>,
    owed: Vec<Owed>,
}

/// The answer to a step that is in force and not yet known to be on disk.
struct Owed {
    sequence: u64,
    since: Tick,
    done: Done,
    waiting: Waiting,
}

impl Answers {
    /// Somebody waits.
    pub(super) fn expect(&mut self, ticket: Ticket, waiting: Waiting) {
        self.waiting.insert(ticket, waiting);
    }

    /// The engine has answered; `record` is the entry that was made with it and is
    /// on its way to the disk.
    pub(super) fn reply(
        &mut self,
        ticket: Ticket,
        result: Result<Done, Refusal>,
        record: Option<u64>,
    ) {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            return;
        };
        match (result, record) {
            (Ok(done), Some(sequence)) => self.owed.push(Owed {
                sequence,
                since: clock::tick(),
                done,
                waiting,
            }),
            (result, _) => waiting.answer(result),
        }
    }

    /// The journal has everything up to this entry.
    pub(super) fn give_recorded(&mut self, sequence: u64) {
        self.give(true, |owed| owed.sequence <= sequence);
    }

    /// The disk does not take anything now.
    pub(super) fn give_all_undurable(&mut self) {
        self.give(false, |_| true);
    }

    /// Nobody waits for a slow disk for ever.
    pub(super) fn give_late(&mut self, now: Tick) {
        self.give(false, |owed| now.since(owed.since) >= WAIT);
    }

    fn give(&mut self, durable: bool, due: impl Fn(&Owed) -> bool) {
        for owed in self.owed.extract_if(.., |owed| due(owed)) {
            owed.waiting.answer(Ok(Done {
                durable,
                ..owed.done
            }));
        }
    }
}

impl Waiting {
    /// Tells the operator, and whoever reads the log tomorrow.
    fn answer(self, result: Result<Done, Refusal>) {
        // What was done is said where it is recorded, whoever ordered it.
        if let Err(refusal) = &result {
            let (actor, reason) = (self.actor, self.reason);
            tracing::warn!(actor, reason, "Not done: {}.", refusal.why);
        }
        // An operator who no longer waits reads the status.
        drop(self.reply.send(result));
    }
}
