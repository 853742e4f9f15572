//! What comes in between two ticks: what the journal did, orders and reports, a file that
//! was read again, signals.

use tokio::sync::oneshot;

use super::Conductor;
use crate::desk::{Ask, Reload};
use crate::engine::{Event, Ticket};
use crate::journal::JournalEvent;
use crate::serve::answers::Waiting;
use crate::serve::reader::Reading;
use crate::serve::say::say_reloaded;
use crate::serve::signals::Caught;
use crate::serve::{Stop, reload};
use crate::split::Tenant;

impl Conductor {
    pub(super) fn journal(&mut self, event: JournalEvent) {
        match event {
            JournalEvent::Recorded { sequence } => {
                self.engine(Event::Recorded { sequence });
                self.answers.give_recorded(sequence);
            }
            JournalEvent::Refused { sequence, error } => self.engine(Event::NotRecorded {
                sequence,
                why: error,
            }),
            JournalEvent::Durable(durable) => {
                self.parts.outbox.heard(durable);
                let durable = self.parts.outbox.is_durable();
                self.engine(Event::Durable(durable));
                if !durable {
                    self.answers.give_all_undurable();
                }
            }
            JournalEvent::Compared { differs } => self.compared(&differs),
            JournalEvent::Turned { closed } => {
                tracing::info!(closed, "The journal goes on in a new segment.");
            }
            JournalEvent::Pruned { files } => tracing::info!(
                files = files.join(", "),
                "Segments of the journal were deleted, as `[state] keep` says."
            ),
            JournalEvent::Latched => tracing::debug!("The latch is on disk."),
            JournalEvent::Unlatched => self.engine(Event::Unlatched),
            JournalEvent::Failed {
                what: "unlatch",
                error,
            } => self.engine(Event::NotUnlatched { why: error }),
            JournalEvent::Failed { what, error } => tracing::error!(
                what,
                error,
                "The state directory cannot be written; everything goes on in memory and is tried again."
            ),
        }
    }

    pub(super) fn ask(&mut self, ask: Ask) {
        if ask.abandoned() {
            return;
        }
        match ask {
            Ask::Order { order, reply } => {
                let waiting = Waiting {
                    reply,
                    actor: order.actor.clone(),
                    reason: order.reason.clone(),
                };
                let ticket = self.expect(waiting);
                self.engine(Event::Order { ticket, order });
            }
            Ask::Backups { reply } => self.backups(reply),
            Ask::Restore { order, reply } => self.restore(order, reply),
            Ask::Report { report, reply } => {
                if let Some(tenant) = &report.tenant {
                    // Since the process began it may not have called.
                    self.parts.shared.table.names().note(&Tenant::Known(tenant));
                }
                self.logs.report(&report);
                self.engine(Event::Report(report));
                // A poster that went away does not need to know.
                drop(reply.send(Ok(())));
            }
            Ask::Reload { reload, reply } => {
                let real = !reload.dry_run;
                if real {
                    self.parts.supervisor.reloading();
                }
                if !self.parts.reader.read(reload, Some(reply)) && real {
                    self.parts.supervisor.ready();
                }
            }
        }
    }

    /// Somebody waits for what the engine says of it, under this ticket.
    pub(in crate::serve) fn expect(&mut self, waiting: Waiting) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.answers.expect(ticket, waiting);
        ticket
    }

    pub(super) fn signal(&self, caught: Caught) {
        match caught {
            Caught::Hangup => {
                let wish = Reload {
                    dry_run: false,
                    force: false,
                    actor: "SIGHUP".to_owned(),
                    reason: "a signal asked to read the file again".to_owned(),
                };
                self.parts.supervisor.reloading();
                // Nobody waits for the answer: the log tells it.
                if !self.parts.reader.read(wish, None) {
                    self.parts.supervisor.ready();
                    tracing::warn!(
                        "Too many reloads wait for the one before; send the signal again."
                    );
                }
            }
            Caught::Reopen => self.logs.reopen(),
            Caught::Terminate => {
                self.parts.stop.send_replace(Stop::Drain);
            }
        }
    }

    /// The file was read: it is taken, or said to be wrong.
    pub(super) fn reading(&mut self, reading: Reading) {
        let Reading {
            wish,
            reply,
            loaded,
        } = reading;
        if !wish.dry_run {
            // However it goes: what runs, runs on.
            self.parts.supervisor.ready();
        }
        if reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
            // Its asker was told that it failed.
            return;
        }
        let result = reload::reload(self, &wish, loaded);
        if !wish.dry_run {
            self.parts.metrics.reloaded(result.is_ok());
            let actor = wish.actor.as_str();
            match &result {
                Ok(reloaded) => say_reloaded(reloaded, actor),
                Err(report) => tracing::error!(
                    actor,
                    "The configuration was not reloaded; what runs stays as it is. {report}"
                ),
            }
        }
        self.publish_status();
        if let Some(reply) = reply {
            // One who no longer waits reads the status.
            drop(reply.send(result));
        }
    }
}
