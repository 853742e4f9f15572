//! Data that is brought back: told to the journal, and to whoever ordered it what speaks
//! against doing it now. It moves no call and waits for nothing.

use super::steps::reply;
use super::{Effect, Engine, Ticket};
use crate::engine::Done;
use crate::model::{Tick, Wall};
use crate::rollout::RestoreOrder;

impl Engine {
    /// Data is being restored, or that is over.
    pub(super) fn data(
        &mut self,
        ticket: Option<Ticket>,
        order: &RestoreOrder,
        ok: Option<bool>,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let mut entry = self.rollout.data(order, ok, wall);
        if ok.is_none() {
            entry.notes.extend(self.writes_on());
        }
        self.rollout.apply(&entry);
        let done = Done {
            said: entry.said(),
            durable: self.is_durable(now),
            generation: self.split.generation,
        };
        self.record(entry, now, effects);
        reply(effects, ticket, Ok(done));
    }

    /// Who may still write what the backup does not know.
    fn writes_on(&self) -> Option<String> {
        let live = self.active.new;
        if self.rollout.may_reach_new() {
            return Some(
                "New still takes calls: what it writes meanwhile may be lost or harmed; \
                 `switchback rollback total --reason …` stops that."
                    .to_owned(),
            );
        }
        (live > 0).then(|| {
            format!(
                "Calls are still live on new ({live}): what they write meanwhile may be lost or \
                 harmed."
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::bench::{Bench, TICKET, entries};
    use crate::engine::{Effect, Event};
    use crate::rollout::{Action, Command, Level, RestoreOrder};
    use crate::split::Live;

    fn data(bench: &mut Bench, ok: Option<bool>) -> String {
        let effects = bench.handle(Event::Data {
            ticket: ok.is_none().then_some(TICKET),
            order: RestoreOrder {
                backup: "b-1".to_owned(),
                actor: "ana".to_owned(),
                reason: "corrupt".to_owned(),
            },
            ok,
        });
        assert!(
            !effects
                .iter()
                .any(|effect| matches!(effect, Effect::Publish(_)))
        );
        let told = entries(&effects).pop().unwrap();
        let backup = "b-1".to_owned();
        assert_eq!(told.action, Action::RollbackData { backup, ok });
        let replies = |effect: &Effect| matches!(effect, Effect::Reply { result: Ok(_), .. });
        assert_eq!(effects.iter().any(replies), ok.is_none());
        told.said()
    }

    #[test]
    fn a_restore_while_new_takes_calls_is_warned_of_and_afterwards_it_is_not() {
        let mut bench = Bench::at(5, Vec::new());
        assert!(data(&mut bench, None).contains("New still takes calls"));
        bench.give(Command::Rollback(Level::Total, Live::Drain));
        bench.active.new = 2;
        bench.tick();
        assert!(data(&mut bench, None).contains("still live on new (2)"));
        bench.active.new = 0;
        bench.tick();
        let said = data(&mut bench, None);
        assert_eq!(said, "Data is being restored from backup b-1.");
        assert!(data(&mut bench, Some(false)).contains("could not be restored"));
    }
}
