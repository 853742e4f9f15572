//! Where commands wait for the engine.
//!
//! The admin listener never touches the rollout: it lays an [`Ask`] on the desk
//! and waits for the answer. The desk is bounded, because an engine that cannot
//! keep up must say so to whoever asks, not collect orders that come true later.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::engine::{Done, Refusal, RefusalKind, Reported};
use crate::rollout::{Order, RestoreOrder};

/// How long an asker waits for the engine. Past it the asker hears 503; the ask
/// is then [abandoned](Ask::abandoned) and the engine drops it unread.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long an asker waits for a list that a program makes. A little less than the admin
/// listener's own limit.
const LONG_PATIENCE: Duration = Duration::from_secs(9);

/// Something a person or a program wants of the engine.
#[derive(Debug)]
pub enum Ask {
    /// Change the rollout.
    Order {
        /// What, who and why.
        order: Order,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Done, Refusal>>,
    },
    /// Take note of something that happened outside.
    Report {
        /// What happened.
        report: Reported,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Say which backups of data there are.
    Backups {
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Vec<Backup>, Refusal>>,
    },
    /// Begin to restore one.
    Restore {
        /// Which, who and why.
        order: RestoreOrder,
        /// Where the answer goes: that it has begun.
        reply: oneshot::Sender<Result<Done, Refusal>>,
    },
    /// Read the configuration file again.
    Reload {
        /// How, who and why.
        reload: Reload,
        /// Where the answer goes; an error is the report on the file, for people.
        reply: oneshot::Sender<Result<Reloaded, String>>,
    },
}

impl Ask {
    /// Nobody waits for the answer any more, so it must not be carried out: its
    /// asker was told that it failed.
    pub fn abandoned(&self) -> bool {
        match self {
            Self::Order { reply, .. } | Self::Restore { reply, .. } => reply.is_closed(),
            Self::Backups { reply } => reply.is_closed(),
            Self::Report { reply, .. } => reply.is_closed(),
            Self::Reload { reply, .. } => reply.is_closed(),
        }
    }
}

/// A backup of data, as the operator's own command told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// What to name it by.
    pub id: String,
    /// The rest of its line: when it was made, how large it is.
    pub about: String,
}

/// A wish to read the configuration file again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Say what would change, and change nothing.
    pub dry_run: bool,
    /// Also take what moves callers: another `by`, `hash` or `salt`.
    pub force: bool,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// What a reload changed, or would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// What changed, one line each.
    pub changed: Vec<String>,
    /// What the file wishes and the present state does not allow, one line each.
    pub refused: Vec<String>,
    /// A dry run of what is refused without `force`.
    pub needs_force: bool,
    /// Who draws another backend by another `by`, `hash` or `salt`, in words; also where
    /// nobody knows who might call.
    pub redrawn: Option<String>,
    /// What changed in the file but needs a restart to work, one line each.
    pub needs_restart: Vec<String>,
    /// Tenants whose next call goes to another backend, where that can be counted.
    pub tenants_moved: Option<u64>,
    /// The first of them by name, masked where a name is a number.
    pub tenants: Vec<String>,
    /// Live calls that would be placed elsewhere if they began now.
    pub live_calls_moved: Option<u64>,
    /// What changes under calls that run, one line each.
    pub touched: Vec<String>,
}

/// The askers' side of the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Desk {
    asks: mpsc::Sender<Ask>,
}

impl Desk {
    /// A desk with room for so many asks (at least one), and the engine's side
    /// of it. A full desk refuses with [`RefusalKind::Busy`].
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, waiting) = mpsc::channel(capacity.max(1));
        (Self { asks }, waiting)
    }

    /// Asks for a change of the rollout.
    ///
    /// # Errors
    ///
    /// The engine's own refusal, or [`RefusalKind::Busy`] when it did not answer.
    pub async fn order(&self, order: Order) -> Result<Done, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.lay(Ask::Order { order, reply })?;
        patiently(answer).await?
    }

    /// Reports something that happened outside.
    ///
    /// # Errors
    ///
    /// The engine's own refusal, or [`RefusalKind::Busy`] when it did not answer.
    pub async fn report(&self, report: Reported) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        self.lay(Ask::Report { report, reply })?;
        patiently(answer).await?
    }

    /// Asks to read the configuration file again.
    ///
    /// # Errors
    ///
    /// [`RefusalKind::Invalid`] with the report on a file that was not taken, or
    /// [`RefusalKind::Busy`] when nobody answered.
    pub async fn reload(&self, reload: Reload) -> Result<Reloaded, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.lay(Ask::Reload { reload, reply })?;
        patiently(answer).await?.map_err(|why| Refusal {
            kind: RefusalKind::Invalid,
            why,
        })
    }

    /// Asks which backups there are. It runs a program, so it is waited for a little
    /// longer.
    ///
    /// # Errors
    ///
    /// None is configured, the program failed, or nobody answered.
    pub async fn backups(&self) -> Result<Vec<Backup>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.lay(Ask::Backups { reply })?;
        timeout(LONG_PATIENCE, answer)
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or_else(|| Err(busy("the list of backups did not come in time; try again")))
    }

    /// Asks to begin a restore.
    ///
    /// # Errors
    ///
    /// None is configured, another one runs, or nobody answered.
    pub async fn restore(&self, order: RestoreOrder) -> Result<Done, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.lay(Ask::Restore { order, reply })?;
        patiently(answer).await?
    }

    fn lay(&self, ask: Ask) -> Result<(), Refusal> {
        self.asks.try_send(ask).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                busy("the engine has too many commands waiting; nothing was changed, try again")
            }
            mpsc::error::TrySendError::Closed(_) => {
                busy("the engine is stopping and takes no more commands; nothing was changed")
            }
        })
    }
}

async fn patiently<T>(answer: oneshot::Receiver<T>) -> Result<T, Refusal> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(busy(
            "the engine stopped before it answered; look at the status before trying again",
        )),
        Err(_) => Err(busy(
            "the engine did not answer within 5 seconds; look at the status before trying again",
        )),
    }
}

fn busy(why: &str) -> Refusal {
    Refusal {
        kind: RefusalKind::Busy,
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::Command;

    fn hold() -> Order {
        Order {
            waives: crate::rollout::Waives::default(),
            actor: "operator via api".to_owned(),
            reason: "lunch".to_owned(),
            command: Command::Hold,
        }
    }

    #[tokio::test]
    async fn an_order_is_answered_by_the_engine() {
        let (desk, mut waiting) = Desk::new(1);
        let engine = tokio::spawn(async move {
            let Some(Ask::Order { order, reply }) = waiting.recv().await else {
                panic!("an order was laid on the desk");
            };
            let done = Done {
                said: order.reason,
                durable: true,
                generation: 3,
            };
            reply.send(Ok(done)).unwrap();
        });
        assert_eq!(desk.order(hold()).await.unwrap().said, "lunch");
        engine.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_desk_refuses_at_once_and_one_place_less_does_not() {
        let (desk, waiting) = Desk::new(1);
        let first = tokio::spawn({
            let desk = desk.clone();
            async move { desk.order(hold()).await }
        });
        tokio::task::yield_now().await;
        let refusal = desk.order(hold()).await.unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Busy);
        assert!(refusal.why.contains("too many"), "{refusal}");

        // The first one had a place, and waits until its patience ends.
        let refusal = first.await.unwrap().unwrap_err();
        assert!(refusal.why.contains("5 seconds"), "{refusal}");
        drop(waiting);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ask_whose_asker_gave_up_is_abandoned() {
        let (desk, mut waiting) = Desk::new(1);
        assert!(desk.order(hold()).await.is_err());
        assert!(waiting.recv().await.unwrap().abandoned());
    }

    #[tokio::test]
    async fn an_engine_that_is_gone_is_told_to_the_asker() {
        let (desk, waiting) = Desk::new(1);
        drop(waiting);
        let refusal = desk.order(hold()).await.unwrap_err();
        assert!(refusal.why.contains("stopping"), "{refusal}");
    }
}
