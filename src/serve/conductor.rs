//! The engine's thread: ticks, orders, the journal's answers and signals go in,
//! effects are carried out in the order given.

mod compare;
mod effects;
mod heard;
mod shown;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::answers::Answers;
use super::crew::{Crew, Lost};
use super::hooks::Outside;
use super::logs::{Logs, Looked};
use super::memory::Memory;
use super::outbox::Outbox;
use super::reader::{Reader, Reading};
use super::signals::{Caught, Signals};
use super::supervisor::Supervisor;
use super::{FAREWELL, Stop, reload};
use crate::admin;
use crate::clock;
use crate::config::Config;
use crate::desk::{Ask, Desk};
use crate::engine::{Effect, Engine, Event, Status, Ticket};
use crate::hooks::Answer;
use crate::journal::JournalEvent;
use crate::measure::Observation;
use crate::metrics::Metrics;
use crate::model::{TenantKey, Tick};
use crate::proxy::Shared;
use crate::proxy::worker::Drain;
use crate::split::tenants::{Directory, Names};
use crate::table::names::Registry;
use crate::table::pins::PinWriter;

/// Everything the conductor works with.
pub(super) struct Parts {
    pub(super) engine: Engine,
    pub(super) shared: Shared,
    pub(super) metrics: Arc<Metrics>,
    pub(super) outbox: Outbox,
    pub(super) outside: Outside,
    pub(super) pins: PinWriter,
    pub(super) status: Arc<ArcSwap<Status>>,
    pub(super) config: Config,
    /// This installation's secret.
    pub(super) seed: u64,
    /// Every route's path since the start, by its number.
    pub(super) paths: Vec<String>,
    pub(super) signals: super::Signals,
    pub(super) desk: Desk,
    pub(super) reader: Reader,
    pub(super) crew: Crew,
    pub(super) supervisor: Supervisor,
    pub(super) drain: watch::Sender<Drain>,
    pub(super) stop: watch::Sender<Stop>,
    /// What became of the last webhooks. Its lock is never waited for: who reads it, the
    /// admin listener, lives on the engine's thread.
    pub(super) memory: Arc<Mutex<Memory>>,
}

/// What comes in.
pub(super) struct Mailbox {
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) journal: mpsc::Receiver<JournalEvent>,
    pub(super) readings: mpsc::Receiver<Reading>,
    pub(super) hooked: mpsc::Receiver<Answer>,
    pub(super) stopping: watch::Receiver<Stop>,
}

/// Where operators and scrapers knock.
pub(super) struct Listeners {
    pub(super) admin: TcpListener,
    pub(super) metrics: Option<TcpListener>,
}

/// The engine and those who wait for it.
pub(super) struct Conductor {
    pub(super) parts: Parts,
    answers: Answers,
    next_ticket: Ticket,
    observations: Vec<Observation>,
    logs: Logs,
    ticks: u64,
    draining: bool,
    /// At which tick the journal is next read back.
    check_at: u64,
    /// What the journal said otherwise when it was last read back.
    differs: Option<String>,
}

/// What tenants are called: as the directory lists them, or as they called.
#[derive(Debug)]
struct Named<'a> {
    heard: &'a Registry,
    listed: Option<&'a Directory>,
}

impl Names for Named<'_> {
    fn name(&self, key: TenantKey) -> Option<String> {
        let listed = self.listed.and_then(|listed| listed.name(key));
        listed.or_else(|| self.heard.name(key))
    }
}

/// How often the engine looks.
const TICK: Duration = Duration::from_millis(100);
/// How long the start and the end wait for the journal's disk.
const SETTLE: Duration = Duration::from_secs(2);
/// Every how many ticks the call table is swept: ten seconds.
const SWEEP: u64 = 100;

impl Conductor {
    pub(super) fn new(parts: Parts, logs: Logs) -> Self {
        Self {
            parts,
            answers: Answers::default(),
            next_ticket: 1,
            observations: Vec::new(),
            logs,
            ticks: 0,
            draining: false,
            check_at: compare::FIRST,
            differs: None,
        }
    }

    /// The whole life of the engine's thread.
    ///
    /// # Errors
    ///
    /// It ended because workers could not be replaced.
    pub(super) fn live(
        mut self,
        mut mailbox: Mailbox,
        first: Vec<Effect>,
        listeners: Listeners,
        ready: oneshot::Sender<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                drop(ready.send(Err(error.into())));
                return Ok(());
            }
        };
        runtime.block_on(async move {
            // Before anything else: a signal without a listener would end the process.
            let signals = match Signals::new(self.parts.signals == super::Signals::Obeyed) {
                Ok(signals) => signals,
                Err(error) => {
                    drop(ready.send(Err(error)));
                    return Ok(());
                }
            };
            self.carry_out(first);
            self.settle(&mut mailbox).await;
            self.publish_status();
            if let Err(error) = self.open(listeners) {
                drop(ready.send(Err(error)));
                return Ok(());
            }
            self.parts.supervisor.ready();
            drop(ready.send(Ok(())));
            let lost = self.work(mailbox, signals).await;
            self.close();
            lost.map_err(anyhow::Error::from)
        })
    }

    /// Waits, not for ever, until a raise that is on its way is on disk and in force: at the
    /// start what the file wished for, so that who was told "ready" finds it so.
    async fn settle(&mut self, mailbox: &mut Mailbox) {
        let limit = tokio::time::sleep(SETTLE);
        tokio::pin!(limit);
        while self.parts.engine.is_waiting() {
            tokio::select! {
                Some(event) = mailbox.journal.recv() => self.journal(event),
                () = &mut limit => {
                    tracing::warn!("The journal's disk is slow: a change that is on its way is not in force yet.");
                    break;
                }
            }
        }
    }

    /// Opens what needs the runtime: the admin listeners.
    fn open(&self, listeners: Listeners) -> anyhow::Result<()> {
        let loopback = listeners.admin.local_addr()?.ip().is_loopback();
        let admin = Arc::new(reload::admin(self, loopback));
        let full = tokio::net::TcpListener::from_std(listeners.admin)
            .context("could not open the admin listener")?;
        tokio::spawn(admin::serve(
            full,
            admin::router(Arc::clone(&admin)),
            stopped(self.parts.stop.subscribe()),
        ));
        if let Some(listener) = listeners.metrics {
            let only = tokio::net::TcpListener::from_std(listener)
                .context("could not open the metrics listener")?;
            tokio::spawn(admin::serve(
                only,
                admin::metrics_router(admin),
                stopped(self.parts.stop.subscribe()),
            ));
        }
        Ok(())
    }

    async fn work(&mut self, mut mailbox: Mailbox, mut signals: Signals) -> Result<(), Lost> {
        let mut ticker = tokio::time::interval(TICK);
        // After a stall one look is enough; the tally kept everything.
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = ticker.tick() => {
                    self.tick();
                    if let Err(lost) = self.parts.crew.muster(clock::tick()) {
                        tracing::error!("{lost}");
                        // What runs elsewhere may finish, but not for minutes: nobody
                        // takes calls until the supervisor has started us anew.
                        self.drain(&mut mailbox, &mut signals, ticker, Duration::ZERO).await;
                        return Err(lost);
                    }
                }
                Some(event) = mailbox.journal.recv() => self.journal(event),
                Some(ask) = mailbox.asks.recv() => self.ask(ask),
                Some(reading) = mailbox.readings.recv() => self.reading(reading),
                Some(answer) = mailbox.hooked.recv() => self.answered(answer),
                what = signals.next() => self.signal(what),
                changed = mailbox.stopping.changed() => {
                    if changed.is_err() || *mailbox.stopping.borrow() != Stop::No {
                        break;
                    }
                }
            }
        }
        let limits = &self.parts.config.proxy.limits;
        let longest = limits.drain_timeout.max(limits.stream_drain_timeout);
        self.drain(&mut mailbox, &mut signals, ticker, longest)
            .await;
        Ok(())
    }

    /// Takes nothing new, lets the workers finish for `longest` and a little more, and
    /// goes on judging meanwhile.
    async fn drain(
        &mut self,
        mailbox: &mut Mailbox,
        signals: &mut Signals,
        mut ticker: tokio::time::Interval,
        longest: Duration,
    ) {
        tracing::info!("Draining: no new connections, running requests finish.");
        self.draining = true;
        self.parts.supervisor.stopping();
        self.parts.drain.send_replace(Drain::Gently);
        let limit = tokio::time::sleep(longest + FAREWELL);
        tokio::pin!(limit);
        while !self.parts.crew.ended() {
            tokio::select! {
                _ = ticker.tick() => self.tick(),
                Some(event) = mailbox.journal.recv() => self.journal(event),
                // A drain takes half a minute, and calls still begin on open
                // connections: a rollback must not wait for its end.
                Some(ask) = mailbox.asks.recv() => self.ask(ask),
                Some(reading) = mailbox.readings.recv() => self.reading(reading),
                Some(answer) = mailbox.hooked.recv() => self.answered(answer),
                what = signals.next() => if what == Caught::Terminate {
                    tracing::warn!("Stopping now, on a second signal.");
                    self.parts.drain.send_replace(Drain::Now);
                    break;
                },
                () = &mut limit => {
                    tracing::warn!("Some requests did not finish in time.");
                    break;
                }
            }
        }
        self.end_outside(&mut mailbox.hooked, FAREWELL);
        self.tick();
        self.end(mailbox).await;
    }

    /// Has the running hour recorded, behind a raise that is still on its way.
    async fn end(&mut self, mailbox: &mut Mailbox) {
        self.settle(mailbox).await;
        self.engine(Event::Ending);
        if self.parts.engine.is_waiting() {
            tracing::error!(
                "A change is still on its way to the disk: what was counted since the last hour's totals is lost."
            );
        }
    }

    fn close(mut self) {
        self.parts.crew.dismiss();
        self.logs.close(FAREWELL);
        self.parts.pins.close();
        if !self.parts.outbox.close(FAREWELL) {
            tracing::error!("The journal could not write everything before the end.");
        }
        tracing::info!("Stopped.");
    }

    fn tick(&mut self) {
        let now = clock::tick();
        let wall = clock::wall();
        self.ticks += 1;
        self.gather(now);
        let observations = std::mem::take(&mut self.observations);
        let active = self.parts.shared.table.active();
        let status = self.parts.status.load();
        let known = {
            let mut memory = self.parts.memory.lock();
            memory.date(now, wall);
            memory.hear(&observations, &status, now)
        };
        let looked = Looked::before(&self.parts.engine, active, known, now, wall);
        let routing = self.parts.shared.routing.load_full();
        let named = Named {
            heard: self.parts.shared.table.names(),
            listed: routing.settings.directory.as_deref(),
        };
        let effects = self.parts.engine.handle(
            Event::Tick {
                observations: &observations,
                active,
                names: &named,
            },
            now,
            wall,
        );
        self.carry_out(effects);
        self.logs
            .write(&observations, looked, || self.parts.paths.clone());
        self.observations = observations;
        self.observations.clear();
        self.parts.pins.save(now, wall);
        self.answers.give_late(now);
        self.tell_restored();
        if self.parts.outbox.resend() {
            let durable = self.parts.outbox.is_durable();
            self.engine(Event::Durable(durable));
        }
        self.compare(wall);
        self.publish_status();
        self.tell_that_we_turn(now);
    }

    /// What requests told since the last tick, and calls whose time is over.
    fn gather(&mut self, now: Tick) {
        let dropped = self.parts.shared.tally.drain(&mut self.observations);
        if dropped > 0 {
            tracing::error!(dropped, "The engine was too late; observations were lost.");
            self.parts.metrics.tally_dropped(dropped);
        }
        if self.ticks.is_multiple_of(SWEEP) {
            let mut ended = Vec::new();
            self.parts.shared.table.sweep(now, &mut ended);
            self.observations
                .extend(ended.into_iter().map(Observation::Ended));
            self.parts.metrics.upkeep();
        }
        for observation in &self.observations {
            self.parts.metrics.observe(observation);
        }
    }
}

/// The admin listener ends with the process, not with the drain: operators want to
/// watch a drain.
async fn stopped(mut stop: watch::Receiver<Stop>) {
    // An error means that the conductor is gone, which is a stop too.
    drop(stop.wait_for(|stop| *stop == Stop::Now).await);
}
