//! Wiring: builds every part from a checked configuration, starts the threads,
//! carries out what the engine says, and takes everything down in order.
//!
//! Nothing is decided here. The order in which effects are carried out is the
//! order the engine gave them in.

mod access;
mod answers;
mod certificates;
mod conductor;
mod crew;
mod decisions;
pub(crate) mod explain;
mod hooks;
mod lines;
mod logging;
mod logs;
mod memory;
mod outbox;
mod preview;
mod reader;
mod reload;
mod say;
mod scheme;
mod signals;
mod sockets;
mod supervisor;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock;
use crate::config::{Config, OnEmpty};
use crate::desk::Desk;
use crate::document::FlawSet;
use crate::engine::{self, Engine, Status};
use crate::gate::Gates;
use crate::hooks::Hooks;
use crate::journal;
use crate::metrics::Metrics;
use crate::model::PerBackend;
use crate::proxy::{self, Routing, Shared};
use crate::rollout::Rollout;
use crate::split::token::TokenKey;
use crate::table::Table;
use crate::table::pins::{self, PinWriter};
use crate::tally::Tally;
use crate::trust::Trust;
use conductor::{Conductor, Mailbox};
use crew::Crew;
use hooks::Outside;
use logs::Logs;
use memory::Memory;
use outbox::Outbox;
use proxy::pulse::Pulse;
use proxy::worker::Drain;
use reader::Reader;
pub use scheme::{Redraw, Redrawn};
use sockets::{Given, Opening, Sockets};
use supervisor::Supervisor;

/// Runs until a signal ends it.
///
/// # Errors
///
/// See [`start`] and [`Running::wait`]; [`Redrawn`] where the file draws tenants by
/// something else than the state does, and nobody said that this is meant.
pub fn run(config: Config, redraw: Redraw) -> anyhow::Result<()> {
    // Before there is a second thread.
    let given = Given::from_env()?;
    let _last_lines = logging::start(&config.log)?;
    launch(config, Signals::Obeyed, given, redraw)?.wait()
}

/// Does the process obey HUP, USR1, TERM and INT? The demo, which lives in
/// somebody's terminal, does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signals {
    /// They mean what the contract says.
    Obeyed,
    /// They are left to whoever started this.
    Ignored,
}

/// A running proxy.
#[derive(Debug)]
pub struct Running {
    /// Where webhooks go: the first listener's address, with its real port.
    pub webhooks: SocketAddr,
    /// Where the API is, with its real port.
    pub admin: SocketAddr,
    status: Arc<ArcSwap<Status>>,
    stop: watch::Sender<Stop>,
    engine: JoinHandle<anyhow::Result<()>>,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Keep running.
    No,
    /// Take nothing new, finish what runs.
    Drain,
    /// Stop now.
    Now,
}

impl Running {
    /// What the engine last said.
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// Drains and stops.
    ///
    /// # Errors
    ///
    /// See [`Running::wait`].
    pub fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(Stop::Drain);
        self.wait()
    }

    /// Waits until it has stopped.
    ///
    /// # Errors
    ///
    /// The engine's thread panicked and nobody judges any more, or workers ended
    /// faster than they could be replaced: whoever supervises the process must know
    /// that this was no orderly end.
    pub fn wait(self) -> anyhow::Result<()> {
        let ended = self.engine.join();
        ended.map_err(|_| anyhow::anyhow!("the engine's thread panicked; please report it"))?
    }
}

/// Starts everything.
///
/// # Errors
///
/// The state directory is held by another process or cannot be used, a listener
/// cannot be opened, a thread cannot be started.
pub fn start(config: Config, signals: Signals) -> anyhow::Result<Running> {
    launch(config, signals, Given::default(), Redraw::Refused)
}

/// The same, on sockets that were handed over, as far as any were.
fn launch(
    mut config: Config,
    signals: Signals,
    given: Given,
    redraw: Redraw,
) -> anyhow::Result<Running> {
    // Somebody who started us may have installed it already.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    // The lock comes before any listener: two processes on one state directory
    // must not answer the same provider.
    let opened =
        journal::open(&config.state.dir, config.state.keep, clock::wall()).with_context(|| {
            format!(
                "could not use the state directory {}",
                config.state.dir.display()
            )
        })?;
    let seed = journal::seed(&config.state.dir)
        .context("could not keep the seed of the call table")?
        .value;
    let now = clock::tick();
    let wall = clock::wall();
    for note in &opened.notes {
        tracing::warn!("{note}");
    }
    let rollout = Rollout::fold(&opened.entries);
    scheme::check(&config, &rollout, redraw)?;
    let table = Arc::new(Table::new(
        config.proxy.limits.calls,
        seed,
        config.proxy.short,
    ));
    let mut pins_loaded = 0;
    match pins::load(&config.state.dir, &table, now, wall) {
        Ok(loaded) => {
            pins_loaded = loaded.pins;
            if loaded.pins > 0 || loaded.damaged > 0 {
                tracing::info!(
                    pins = loaded.pins,
                    damaged = loaded.damaged,
                    "Calls in progress were read back."
                );
            }
        }
        // Pins are comfort, not safety: without them calls are placed by the split again.
        Err(error) => {
            tracing::warn!(%error, "The pins of calls in progress could not be read; they are placed anew.")
        }
    }
    let settings = engine_settings(&config);
    let (mut engine, first) = Engine::new(settings, rollout, opened.latched.as_deref(), now, wall);

    let mut paths = Vec::new();
    config.proxy.number_routes(&mut paths);
    engine.name_routes(paths.clone());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut sockets = Sockets::open(given, &config.listen)?;
    let shared = Shared {
        routing: Arc::new(ArcSwap::from_pointee(Routing {
            split: engine.split().clone(),
            latched_at: engine.split().latched.then_some(now),
            breakers: PerBackend::default(),
            habits: FlawSet::NONE,
            settings: Arc::new(edge(&config)),
            tokens: Arc::new(tokens(&config, seed)),
        })),
        table: Arc::clone(&table),
        // One more than workers: the health checks tell theirs.
        tally: Arc::new(Tally::new(workers + 1)),
        gates: Arc::new(Gates::new(
            &config.proxy.caps(),
            config.proxy.limits.rescues,
        )),
        trust: Arc::new(Trust::new()),
        flips: Arc::new(watch::Sender::new(0)),
        workers,
        sources: Arc::default(),
        pulse: Arc::new(Pulse::new(workers, now)),
        inherited: sockets.inherited,
    };
    // All of them before any worker, so that an address that is taken ends the start.
    let listeners = (0..workers)
        .map(|_| sockets.webhooks.iter_mut().map(Opening::open).collect())
        .collect::<anyhow::Result<Vec<Vec<_>>>>()?;
    let webhooks = listeners
        .first()
        .and_then(|all| all.first())
        .context("no address for webhooks")?
        .local_addr()?;
    let admin = sockets.admin.local_addr()?;
    let metrics_only = (sockets.metrics.as_ref())
        .map(TcpListener::local_addr)
        .transpose()?;

    let status = Arc::new(ArcSwap::from_pointee(engine.status(now, wall)));
    let (stop, stopping) = watch::channel(Stop::No);
    let (drain, draining) = watch::channel(Drain::No);
    let crew = crew(listeners, sockets.webhooks, shared.clone(), draining)?;

    let (mail, mailbox) = mpsc::channel(1024);
    let journal = opened.keeper.spawn(move |event| {
        // The journal may wait for the engine; the engine never waits for it.
        if mail.blocking_send(event).is_err() {
            tracing::debug!("The engine is gone; the journal says the rest to nobody.");
        }
    })?;
    let pins = PinWriter::open(&config.state.dir, Arc::clone(&table), now, wall)
        .context("could not open the file of pins")?;
    let metrics = Arc::new(Metrics::new(&as_strs(&paths), &config.rules));
    metrics.pins_loaded(pins_loaded as u64);
    certificates::start(&shared.routing, &metrics)
        .context("could not start the thread that watches certificates")?;
    let (outside, hooked) = Hooks::start(hooks::settings(&config), config.state.dir.clone())
        .context("could not start the thread of the hooks")?;
    let outside = Outside::new(outside, config.emergency);
    let logs = Logs::start(&config.log, seed)?;
    let (desk, asks) = Desk::new(256);
    let (reader, readings) =
        Reader::start(config.path.clone()).context("could not start the reader's thread")?;
    let parts = conductor::Parts {
        engine,
        shared,
        metrics,
        outbox: Outbox::new(journal),
        outside,
        pins,
        status: Arc::clone(&status),
        config,
        seed,
        memory: Arc::new(Mutex::new(Memory::new(paths.clone()))),
        paths,
        signals,
        desk,
        reader,
        crew,
        supervisor: match signals {
            Signals::Obeyed => Supervisor::from_env(),
            Signals::Ignored => Supervisor::none(),
        },
        drain,
        stop: stop.clone(),
    };
    let conductor = Conductor::new(parts, logs);
    let mailbox = Mailbox {
        asks,
        journal: mailbox,
        readings,
        hooked,
        stopping,
    };
    let (ready, is_ready) = oneshot::channel();
    let engine = std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || {
            conductor.live(
                mailbox,
                first,
                conductor::Listeners {
                    admin: sockets.admin,
                    metrics: sockets.metrics,
                },
                ready,
            )
        })
        .context("could not start the engine's thread")?;
    is_ready
        .blocking_recv()
        .context("the engine did not start")??;
    // With port 0 only this line knows the ports.
    let scrapers = metrics_only.map(tracing::field::display);
    let (phase, percentage) = {
        let status = status.load();
        (status.phase.name(), status.percentage)
    };
    tracing::info!(%webhooks, %admin, metrics = scrapers, workers, phase, %percentage, "Switchback is up.");
    Ok(Running {
        webhooks,
        admin,
        status,
        stop,
        engine,
    })
}

/// What the engine obeys, of a checked configuration.
pub(crate) fn engine_settings(config: &Config) -> engine::Settings {
    engine::Settings {
        scheme: config.scheme.clone(),
        rules: config.rules.clone(),
        mature: config.mature,
        breakers: config.breakers,
        health: PerBackend::from_fn(|backend| config.proxy.backends[backend].health.clone()),
        wishes: config.wishes.clone(),
        file_on_empty: config.state.on_empty == OnEmpty::File,
        entries: (config.proxy.routes.iter()).any(|route| route.rescue.entry.is_some()),
        plan: config.plan.clone(),
        hooks: hooks::settings(config).moments(),
        emergency: config.emergency,
        directory: config.proxy.directory.clone(),
        config_hash: config.hash.chars().take(12).collect(),
    }
}

/// What tokens in URLs are signed with: the file's secret, which many machines may
/// share, else this installation's own.
fn tokens(config: &Config, seed: u64) -> TokenKey {
    match &config.proxy.token_secret {
        Some(secret) => TokenKey::new(secret),
        None => TokenKey::new(&seed.to_le_bytes()),
    }
}

/// What the edge obeys: the file's words, within the descriptors there are.
fn edge(config: &Config) -> proxy::settings::Settings {
    let mut edge = config.proxy.clone();
    let wanted = edge.limits.connections;
    let most = std::fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|limits| open_files(&limits))
        .map_or(wanted, connections_for);
    if most < wanted {
        tracing::warn!(
            wanted,
            most,
            "Fewer connections are taken than limits.connections says, because the descriptor limit is lower; raise it (LimitNOFILE, ulimit -n)."
        );
        edge.limits.connections = most;
    }
    edge
}

/// The limit of open files as the system tells it; None where there is none, or
/// where it is told otherwise than on Linux.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// How many providers' connections so many descriptors carry: some are the
/// process's own, and a fifth of the rest goes to the backends, because a request
/// that was taken and cannot be passed on is a caller who hears nothing.
fn connections_for(descriptors: usize) -> usize {
    const OWN: usize = 64;
    (descriptors.saturating_sub(OWN) / 5 * 4).max(1)
}

fn as_strs(paths: &[String]) -> Vec<&str> {
    paths.iter().map(String::as_str).collect()
}

/// One worker for each set of listeners, and one that asks the backends how they are;
/// who takes the place of a worker opens its own.
fn crew(
    listeners: Vec<Vec<TcpListener>>,
    mut openings: Vec<Opening>,
    shared: Shared,
    drain: watch::Receiver<Drain>,
) -> anyhow::Result<Crew> {
    let count = listeners.len();
    let mut waiting: Vec<_> = listeners.into_iter().map(Some).collect();
    let hire = move |index: usize| {
        if index == count {
            return checks(index, shared.clone(), drain.clone());
        }
        let own = match waiting.get_mut(index).and_then(Option::take) {
            Some(own) => own,
            None => openings
                .iter_mut()
                .map(Opening::open)
                .collect::<anyhow::Result<_>>()?,
        };
        worker(index, own, shared.clone(), drain.clone())
    };
    Crew::hire(count + 1, Box::new(hire))
}

fn worker(
    index: usize,
    listeners: Vec<TcpListener>,
    shared: Shared,
    drain: watch::Receiver<Drain>,
) -> anyhow::Result<JoinHandle<std::io::Result<()>>> {
    std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || proxy::worker::run(index, listeners, shared, drain))
        .context("could not start a worker's thread")
}

/// The thread that asks the backends how they are.
fn checks(
    index: usize,
    shared: Shared,
    drain: watch::Receiver<Drain>,
) -> anyhow::Result<JoinHandle<std::io::Result<()>>> {
    std::thread::Builder::new()
        .name("health".to_owned())
        .spawn(move || proxy::checks::run(index, shared, drain))
        .context("could not start the thread of the health checks")
}

/// How long the process may take to end once its workers have.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_backends() {
        for (descriptors, connections) in [(0, 1), (64, 1), (1024, 768), (524_288, 419_376)] {
            assert_eq!(connections_for(descriptors), connections);
        }
    }

    #[test]
    fn the_limit_is_read_as_linux_tells_it() {
        let told = "Limit                     Soft Limit           Hard Limit           Units\n\
            Max processes             63000                63000                processes\n\
            Max open files            1024                 524288               files\n";
        assert_eq!(open_files(told), Some(1024));
        assert_eq!(
            open_files("Max open files  unlimited  unlimited  files"),
            None
        );
        assert_eq!(open_files(""), None);
    }
}
