//! The engine's thread: ticks, orders, the journal's answers and signals go in,
//! effects are carried out in the order given.

mod compare;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::answers::{Answers, Waiting};
use super::crew::{Crew, Lost};
use super::hooks::Outside;
use super::logs::{Logs, Looked, Which};
use super::memory::Memory;
use super::outbox::Outbox;
use super::reader::{Reader, Reading};
use super::say::{say, say_entry, say_reloaded};
use super::signals::{Caught, Signals};
use super::supervisor::Supervisor;
use super::{FAREWELL, Stop, reload};
use crate::admin;
use crate::clock;
use crate::config::Config;
use crate::desk::{Ask, Desk, Reload};
use crate::engine::{Effect, Engine, Event, Status, Ticket};
use crate::hooks::Answer;
use crate::journal::{Job, JournalEvent};
use crate::measure::Observation;
use crate::metrics::{Metrics, Mishaps};
use crate::model::{Backend, TenantKey, Tick};
use crate::proxy::pulse::Mishap;
use crate::proxy::worker::Drain;
use crate::proxy::{Routing, Shared};
use crate::split::Tenant;
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
/// How long the start waits for the journal's disk.
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

    /// Waits, not for ever, until what the file wished for is on disk and in force,
    /// so that who was told "ready" finds it so.
    async fn settle(&mut self, mailbox: &mut Mailbox) {
        let limit = tokio::time::sleep(SETTLE);
        tokio::pin!(limit);
        while self.parts.engine.is_waiting() {
            tokio::select! {
                Some(event) = mailbox.journal.recv() => self.journal(event),
                () = &mut limit => {
                    tracing::warn!("The journal's disk is slow: what the file wishes for is not in force yet.");
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
        let dropped = self.parts.shared.tally.drain(&mut self.observations);
        if dropped > 0 {
            tracing::error!(dropped, "The engine was too late; observations were lost.");
            self.parts.metrics.tally_dropped(dropped);
        }
        self.ticks += 1;
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

    /// A supervisor restarts what no longer turns: this thread, which would not come
    /// here, or any worker, which would keep its part of the callers waiting. Workers
    /// that drain end one by one and are waited for elsewhere.
    fn tell_that_we_turn(&mut self, now: Tick) {
        let Some(since) = self.parts.supervisor.due(now) else {
            return;
        };
        if self.draining || self.parts.shared.pulse.all_since(since) {
            self.parts.supervisor.turning(now);
        }
    }

    fn publish_status(&mut self) {
        let mut status = self.parts.engine.status(clock::tick(), clock::wall());
        status.notes.extend(self.differs.as_ref().map(|differs| {
            format!("what runs is not what the journal says, a restart would change it: {differs}")
        }));
        let table = &self.parts.shared.table;
        self.parts.metrics.status(&status);
        self.parts
            .metrics
            .table(table.len() as u64, table.evictions());
        for backend in Backend::ALL {
            let counts = self.parts.shared.gates[backend].counts();
            self.parts.metrics.gate(backend, &counts);
        }
        let trust = &self.parts.shared.trust;
        self.parts
            .metrics
            .signatures_forgotten(trust.forgotten_early());
        self.parts
            .metrics
            .pins_unsaved(self.parts.pins.dropped() + self.parts.pins.failed());
        let pulse = &self.parts.shared.pulse;
        self.parts.metrics.mishaps(&Mishaps {
            accept_errors: pulse.count(Mishap::Accept),
            connections_refused: pulse.count(Mishap::Source),
            ports: pulse.count(Mishap::Port),
            descriptors: pulse.count(Mishap::Descriptor),
            panics: pulse.count(Mishap::Panic),
            workers_replaced: self.parts.crew.replaced(),
            access_log_dropped: self.logs.dropped(Which::Access),
            outcomes_dropped: self.logs.dropped(Which::Outcomes),
            decisions_dropped: self.logs.dropped(Which::Decisions),
        });
        if !self.draining {
            self.parts.supervisor.status(&status);
        }
        self.parts.status.store(Arc::new(status));
    }

    pub(super) fn engine(&mut self, event: Event<'_>) {
        let effects = self
            .parts
            .engine
            .handle(event, clock::tick(), clock::wall());
        self.carry_out(effects);
        self.publish_status();
    }

    fn journal(&mut self, event: JournalEvent) {
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

    fn ask(&mut self, ask: Ask) {
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
    pub(super) fn expect(&mut self, waiting: Waiting) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.answers.expect(ticket, waiting);
        ticket
    }

    fn signal(&self, caught: Caught) {
        match caught {
            Caught::Hangup => {
                let wish = Reload {
                    dry_run: false,
                    force: false,
                    actor: "signal HUP".to_owned(),
                    reason: "SIGHUP".to_owned(),
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
    fn reading(&mut self, reading: Reading) {
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

    /// Does what the engine said, in the order it said it.
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) {
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

    /// Swaps the routing in one step.
    pub(super) fn route(&self, change: impl FnOnce(&mut Routing)) {
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

/// The admin listener ends with the process, not with the drain: operators want to
/// watch a drain.
async fn stopped(mut stop: watch::Receiver<Stop>) {
    // An error means that the conductor is gone, which is a stop too.
    drop(stop.wait_for(|stop| *stop == Stop::Now).await);
}
