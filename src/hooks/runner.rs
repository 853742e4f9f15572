//! The thread on which everything outside is told, asked and run, so that nobody who
//! decides or serves ever waits for it.
//!
//! The hooks of a lane one after another, in the order in which things happened. Stages,
//! rollbacks, reversals and emergency stops have a lane each: a page must not wait for a
//! `rollout undo` that hangs, nor for a stage's hook. Lists and restores run beside them,
//! because a restore may take half an hour.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Ended, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::data::{self, Progress, Restore};
use super::tell::{PAUSES, Told};
use super::{Data, Settings};
use crate::clock;
use crate::desk::Backup;
use crate::engine::{self, Refusal, RefusalKind};
use crate::model::Wall;
use crate::post::Poster;
use crate::rollout::{Moment, RestoreOrder};

/// Hooks of a lane that wait for the one before. One more has failed at once.
pub(super) const WAITING: usize = 32;

/// Lists that wait for the one before; one more is refused.
const LISTS: usize = 4;

/// Answers that wait for the engine's thread, which takes them as they come.
const ANSWERS: usize = 64;

/// How long the thread has to end what it was told to break off. It takes no time, but for a
/// disk that hangs.
const STOPPING: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Debug)]
pub enum Answer {
    /// A moment was told to every hook that is meant.
    Hooked {
        /// Of the engine's [`engine::Hook`].
        id: u64,
        /// Err: the first hook that failed, and why.
        result: Result<(), String>,
    },
    /// A restore is over.
    Restored(Restore),
}

/// What happened, and when.
type Happened = (engine::Hook, Wall);

/// What waits for nothing but its own kind.
#[derive(Debug)]
struct Lanes<T> {
    stages: T,
    rollbacks: T,
    reversals: T,
    stops: T,
}

impl<T> Lanes<T> {
    const fn of(&self, moment: Moment) -> &T {
        match moment {
            Moment::BeforeStage | Moment::AfterStage | Moment::Complete => &self.stages,
            Moment::Rollback | Moment::RollbackTenant => &self.rollbacks,
            Moment::Reversal => &self.reversals,
            Moment::EmergencyStop => &self.stops,
        }
    }
}

type Listing = oneshot::Sender<Result<Vec<Backup>, Refusal>>;

/// The way to the thread.
#[derive(Debug)]
pub struct Hooks {
    settings: Arc<ArcSwap<Settings>>,
    progress: Progress,
    lanes: Lanes<mpsc::Sender<Happened>>,
    lists: mpsc::Sender<Listing>,
    restores: mpsc::Sender<Data>,
    stop: oneshot::Sender<Infallible>,
    ended: Ended<Infallible>,
    thread: JoinHandle<()>,
}

impl Hooks {
    /// Starts the thread. `dir` is where the output of restores is kept.
    ///
    /// # Errors
    ///
    /// There can be no further thread.
    pub fn start(
        settings: Settings,
        dir: PathBuf,
    ) -> std::io::Result<(Self, mpsc::Receiver<Answer>)> {
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let progress = Progress::default();
        let (stages, of_stages) = mpsc::channel(WAITING);
        let (rollbacks, of_rollbacks) = mpsc::channel(WAITING);
        let (reversals, of_reversals) = mpsc::channel(WAITING);
        let (stops, of_stops) = mpsc::channel(WAITING);
        let (lists, listings) = mpsc::channel(LISTS);
        // One at a time: `restore` sees to it.
        let (restores, orders) = mpsc::channel(1);
        let (answers, heard) = mpsc::channel(ANSWERS);
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let (over, ended) = channel::<Infallible>();
        let thread = Thread {
            settings: Arc::clone(&settings),
            progress: Arc::clone(&progress),
            dir,
            answers,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("hooks".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        ((), (), (), (), (), ()) = async {
                            tokio::join!(
                                thread.tell(of_stops),
                                thread.tell(of_reversals),
                                thread.tell(of_rollbacks),
                                thread.tell(of_stages),
                                thread.list(listings),
                                thread.restore(orders),
                            )
                        } => {}
                        _ = stopped => tracing::warn!("What was told or run outside is broken off."),
                    }
                });
                // A name that is being looked up cannot be broken off: nobody waits for it.
                runtime.shutdown_background();
                // That it is gone says that all is over.
                drop(over);
            })?;
        let hooks = Self {
            settings,
            progress,
            lanes: Lanes {
                stages,
                rollbacks,
                reversals,
                stops,
            },
            lists,
            restores,
            stop,
            ended,
            thread,
        };
        Ok((hooks, heard))
    }

    /// What is obeyed from the next hook, list or restore on.
    pub fn set(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// What is obeyed now.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Something happened. Answered by [`Answer::Hooked`], unless it is refused here.
    ///
    /// # Errors
    ///
    /// Too much waits already.
    pub fn tell(&self, hook: engine::Hook) -> Result<(), String> {
        let lane = self.lanes.of(hook.moment);
        let sent = lane.try_send((hook, clock::wall()));
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                format!("{WAITING} hooks wait already for the one that runs; look what it is doing")
            }
            mpsc::error::TrySendError::Closed(_) => {
                "the hooks' thread is gone until a restart; please report it".to_owned()
            }
        })
    }

    /// Lists the backups there are, to whoever waits for it.
    pub fn list(&self, reply: Listing) {
        if let Err(error) = self.lists.try_send(reply) {
            let (mpsc::error::TrySendError::Full(reply) | mpsc::error::TrySendError::Closed(reply)) =
                error;
            let why = "the list of backups is being made for others already; try again";
            // One who no longer waits need not know.
            drop(reply.send(Err(refusal(RefusalKind::Busy, why))));
        }
    }

    /// Begins a restore; [`Answer::Restored`] tells its end.
    ///
    /// # Errors
    ///
    /// None is configured, another one runs, or the id cannot be one.
    pub fn restore(&self, order: RestoreOrder) -> Result<(), Refusal> {
        data::check_id(&order.backup).map_err(|why| refusal(RefusalKind::Invalid, &why))?;
        let data = configured(&self.settings.load())?;
        let mut progress = self.progress.lock();
        if let Some(running) = progress.as_ref().filter(|restore| restore.ended.is_none()) {
            let why = format!(
                "backup {} is being restored, since {} s; one at a time",
                running.order.backup,
                running.took(clock::tick()).as_secs()
            );
            return Err(refusal(RefusalKind::Conflict, &why));
        }
        let sent = self.restores.try_send(data);
        sent.map_err(|_| {
            refusal(
                RefusalKind::Busy,
                "restores are just being ended; try again",
            )
        })?;
        *progress = Some(Restore::begins(order, clock::tick(), clock::wall()));
        Ok(())
    }

    /// The restore that runs, or the last one.
    pub fn progress(&self) -> impl Fn() -> Option<Restore> + Send + Sync + 'static {
        let progress = Arc::clone(&self.progress);
        move || progress.lock().clone()
    }

    /// Lets what is under way end, for so long at most; what still runs then is ended,
    /// and what waits is not begun. Gives whether everything ended by itself.
    pub fn close(self, within: Duration) -> bool {
        let Self {
            lanes,
            lists,
            restores,
            stop,
            ended,
            thread,
            ..
        } = self;
        drop((lanes, lists, restores));
        let late = ended.recv_timeout(within) == Err(RecvTimeoutError::Timeout);
        // What still runs hears it.
        drop(stop);
        if late && ended.recv_timeout(STOPPING) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("The hooks' thread hangs, perhaps at its disk; it is left behind.");
            return false;
        }
        if thread.join().is_err() {
            tracing::error!("The hooks' thread panicked; please report it.");
            return false;
        }
        !late
    }
}

/// What the thread works with.
struct Thread {
    settings: Arc<ArcSwap<Settings>>,
    progress: Progress,
    dir: PathBuf,
    answers: mpsc::Sender<Answer>,
}

impl Thread {
    async fn tell(&self, mut hooks: mpsc::Receiver<Happened>) {
        let poster = Poster::default();
        while let Some((what, at)) = hooks.recv().await {
            let settings = self.settings.load_full();
            let told = Told {
                what: &what,
                at,
                pauses: &PAUSES,
            };
            let result = told.tell(&settings.hooks, &poster).await;
            let id = what.id;
            self.answer(Answer::Hooked { id, result }).await;
        }
    }

    async fn list(&self, mut listings: mpsc::Receiver<Listing>) {
        while let Some(reply) = listings.recv().await {
            if reply.is_closed() {
                continue;
            }
            let settings = self.settings.load_full();
            let listed = match configured(&settings) {
                Ok(data) => data::list(&data)
                    .await
                    .map_err(|why| refusal(RefusalKind::Conflict, &why)),
                Err(refusal) => Err(refusal),
            };
            // One who no longer waits need not know.
            drop(reply.send(listed));
        }
    }

    async fn restore(&self, mut orders: mpsc::Receiver<Data>) {
        while let Some(data) = orders.recv().await {
            let restore = data::restore(&data, &self.dir, &self.progress).await;
            let Some(restore) = restore else { continue };
            if let Some((_, Err(why))) = &restore.ended {
                tracing::error!("The restore of {} {why}.", restore.order.backup);
            }
            self.answer(Answer::Restored(restore)).await;
        }
    }

    async fn answer(&self, answer: Answer) {
        if self.answers.send(answer).await.is_err() {
            tracing::debug!("The engine is gone; what came of a hook is told to nobody.");
        }
    }
}

fn configured(settings: &Settings) -> Result<Data, Refusal> {
    settings.data.clone().ok_or_else(|| {
        let why = "no commands for data are configured; `[rollback.data]` needs `list` (prints a \
                   backup a line, its id first) and `restore` (with `{backup}` for the id)";
        refusal(RefusalKind::Conflict, why)
    })
}

fn refusal(kind: RefusalKind, why: &str) -> Refusal {
    Refusal {
        kind,
        why: why.to_owned(),
    }
}
