//! What lies outside: the engine's hooks go out, what came of them comes back in, and
//! data is listed and restored for operators.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::answers::Waiting;
use super::conductor::Conductor;
use crate::admin::shapes;
use crate::clock;
use crate::config::Config;
use crate::engine::{self, Done, Event, Refusal, RefusalKind};
use crate::hooks::{Answer, Hooks, Restore, Settings};
use crate::model::Tick;
use crate::rollout::{Emergency, RestoreOrder};

/// What lies outside, as the file has it.
pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        hooks: config.hooks.clone(),
        data: config.data.clone(),
    }
}

/// What the conductor keeps of it.
pub(super) struct Outside {
    hooks: Option<Hooks>,
    /// Where an emergency stop sends calls, for the API to order it so.
    pub(super) emergency: Arc<arc_swap::ArcSwap<Emergency>>,
    /// Ends of restores that wait until no raise is on its way to the disk. Restores run
    /// one at a time, and a raise is over within seconds, so these are few.
    ended: Vec<Restore>,
}

impl Outside {
    pub(super) fn new(hooks: Hooks, emergency: Emergency) -> Self {
        Self {
            hooks: Some(hooks),
            emergency: Arc::new(arc_swap::ArcSwap::from_pointee(emergency)),
            ended: Vec::new(),
        }
    }

    /// Another configuration is obeyed from now on.
    pub(super) fn configure(&self, config: &Config) {
        self.emergency.store(Arc::new(config.emergency));
        if let Some(hooks) = &self.hooks {
            hooks.set(settings(config));
        }
    }

    /// How the restore that runs is doing, or how the last one went, for the API.
    pub(super) fn restore(&self) -> Arc<dyn Fn() -> Option<shapes::Restore> + Send + Sync> {
        let Some(hooks) = &self.hooks else {
            return Arc::new(|| None);
        };
        let progress = hooks.progress();
        Arc::new(move || Some(shape(&progress()?, clock::tick())))
    }
}

impl Conductor {
    /// Sends a hook out. One that nobody takes has failed.
    pub(super) fn hook(&self, hook: engine::Hook) -> Option<Event<'static>> {
        let id = hook.id;
        let sent = match &self.parts.outside.hooks {
            Some(hooks) => hooks.tell(hook),
            None => Err("Switchback is stopping and tells nobody any more".to_owned()),
        };
        let why = sent.err()?;
        tracing::warn!("A hook was not told: {why}");
        Some(Event::Hooked {
            id,
            result: Err(why),
        })
    }

    /// What came of something outside.
    pub(super) fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Hooked { id, result } => self.engine(Event::Hooked { id, result }),
            Answer::Restored(restore) => {
                self.parts.outside.ended.push(restore);
                self.tell_restored();
            }
        }
    }

    /// Tells the engine of restores that are over. An entry says how things stand, so it
    /// waits while a raise is on its way: a journal must not undo what it tells of.
    pub(super) fn tell_restored(&mut self) {
        while !self.parts.engine.is_waiting() {
            let Some(restore) = self.parts.outside.ended.pop() else {
                return;
            };
            let ok = matches!(restore.ended, Some((_, Ok(()))));
            let order = RestoreOrder {
                reason: how_it_went(&restore),
                ..restore.order
            };
            let ok = Some(ok);
            self.engine(Event::Data {
                ticket: None,
                order,
                ok,
            });
        }
    }

    /// Lists backups, to whoever waits for it.
    pub(super) fn backups(&self, reply: Listing) {
        match &self.parts.outside.hooks {
            Some(hooks) => hooks.list(reply),
            // One who no longer waits need not know.
            None => drop(reply.send(Err(stopping()))),
        }
    }

    /// Begins a restore, and answers that it has begun.
    pub(super) fn restore(
        &mut self,
        order: RestoreOrder,
        reply: oneshot::Sender<Result<Done, Refusal>>,
    ) {
        let begun = if self.parts.engine.is_waiting() {
            Err(Refusal {
                kind: RefusalKind::Busy,
                why: "another change is on its way to the disk; try again in a moment".to_owned(),
            })
        } else {
            match &self.parts.outside.hooks {
                Some(hooks) => hooks.restore(order.clone()),
                None => Err(stopping()),
            }
        };
        if let Err(refusal) = begun {
            // One who no longer waits reads the journal.
            drop(reply.send(Err(refusal)));
            return;
        }
        let waiting = Waiting {
            reply,
            actor: order.actor.clone(),
            reason: order.reason.clone(),
        };
        let ticket = Some(self.expect(waiting));
        self.engine(Event::Data {
            ticket,
            order,
            ok: None,
        });
    }

    /// Lets what is under way outside end, for so long at most, and tells what came of it.
    pub(super) fn end_outside(&mut self, answers: &mut mpsc::Receiver<Answer>, within: Duration) {
        let Some(hooks) = self.parts.outside.hooks.take() else {
            return;
        };
        let progress = hooks.progress();
        if !hooks.close(within) {
            tracing::warn!("What was still told or run outside was ended with us.");
        }
        while let Ok(answer) = answers.try_recv() {
            self.answered(answer);
        }
        if let Some(mut restore) = progress().filter(|restore| restore.ended.is_none()) {
            let took = restore.took(clock::tick());
            let why = "was broken off, because Switchback stopped".to_owned();
            restore.ended = Some((took, Err(why)));
            self.answered(Answer::Restored(restore));
        }
    }
}

type Listing = oneshot::Sender<Result<Vec<crate::desk::Backup>, Refusal>>;

fn stopping() -> Refusal {
    Refusal {
        kind: RefusalKind::Busy,
        why: "Switchback is stopping and begins nothing any more".to_owned(),
    }
}

/// For the journal, and whoever reads it later.
fn how_it_went(restore: &Restore) -> String {
    let took = restore.took(clock::tick()).as_secs();
    let log = restore.log.as_deref().unwrap_or("no file");
    match &restore.ended {
        Some((_, Err(why))) => format!("it {why}, after {took} s; its output is in {log}"),
        _ => format!("it took {took} s; its output is in {log}"),
    }
}

fn shape(restore: &Restore, now: Tick) -> shapes::Restore {
    let failed = match &restore.ended {
        Some((_, Err(why))) => Some(why.clone()),
        _ => None,
    };
    shapes::Restore {
        backup: restore.order.backup.clone(),
        actor: restore.order.actor.clone(),
        running: restore.ended.is_none(),
        ok: restore.ended.as_ref().map(|(_, ended)| ended.is_ok()),
        failed,
        seconds: restore.took(now).as_secs(),
        last_line: restore.last_line.clone(),
        log: restore.log.clone(),
    }
}
