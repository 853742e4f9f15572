//! `switchback demo`: a whole rollout, its fault and its reversal in one process.
//!
//! Two sample backends, simulated callers and the real proxy between them, on
//! ports of this machine only. Nothing is staged inside the proxy: it sees
//! webhooks over sockets, as in production, and decides by its own tables.

mod callers;
mod ivr;
mod screen;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::clock;
use crate::model::{Backend, Tick};
use crate::rollout::Phase;
use crate::serve::{self, Running, Signals};
use callers::Phone;
use ivr::Ivr;
use screen::Screen;

/// What goes wrong in the demo's new backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// Six of ten webhooks answer with status 500
    #[default]
    Errors,
    /// Six of ten answer 200 with a document no provider can run
    Documents,
    /// Every answer takes seconds
    Slow,
    /// It does not answer at all
    Down,
    /// Nothing: a good day
    None,
}

/// What was asked for on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What goes wrong.
    pub fault: Fault,
    /// Keep running until interrupted.
    pub forever: bool,
    /// New calls a second.
    pub calls_per_second: u32,
    /// Where the admin listener goes; port 0 picks a free one.
    pub admin: SocketAddr,
}

/// How long the rollout runs well before the fault.
const GOOD_TIMES: Duration = Duration::from_secs(12);
/// How long new calls keep coming after the reversal, to show where they go.
const AFTERMATH: Duration = Duration::from_secs(8);
/// With no reversal by then, something is wrong and the demo says so.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Runs the demo. False: it did not go as it should.
pub fn run(options: Options) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start a runtime")?;
    runtime.block_on(play(options))
}

async fn play(options: Options) -> anyhow::Result<bool> {
    let state = StateDir::new()?;
    let (legacy, legacy_at) = backend(Backend::Legacy, Fault::None).await?;
    let (new, new_at) = backend(Backend::New, options.fault).await?;
    let text = configuration(legacy_at, new_at, options.admin, &state.0);
    let loaded =
        crate::config::load_text(std::path::Path::new("demo.toml"), text).map_err(|report| {
            anyhow::anyhow!(
                "the demo's own configuration is broken:\n{}",
                report.render(false)
            )
        })?;
    let running =
        tokio::task::spawn_blocking(move || serve::start(loaded.config, Signals::Ignored))
            .await??;
    let phone = Phone::new(running.webhooks);
    let mut story = Story {
        options,
        running,
        phone,
        legacy,
        new,
        fault_at: None,
        reversed_at: None,
        screen: Screen::new(),
    };
    let well = story.tell().await?;
    story.summary()?;
    let Story { running, .. } = story;
    tokio::task::spawn_blocking(move || running.stop()).await??;
    Ok(well)
}

async fn backend(backend: Backend, fault: Fault) -> anyhow::Result<(Arc<Ivr>, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("could not open a port for a sample backend")?;
    let at = listener.local_addr()?;
    let ivr = Ivr::new(backend, fault);
    tokio::spawn(Arc::clone(&ivr).serve(listener));
    Ok((ivr, at))
}

fn configuration(
    legacy: SocketAddr,
    new: SocketAddr,
    admin: SocketAddr,
    state: &std::path::Path,
) -> String {
    include_str!("demo/demo.toml")
        .replace("@LEGACY@", &legacy.to_string())
        .replace("@NEW@", &new.to_string())
        .replace("@ADMIN@", &admin.to_string())
        .replace("@STATE@", &state.display().to_string())
}

struct Story {
    options: Options,
    running: Running,
    phone: Arc<Phone>,
    legacy: Arc<Ivr>,
    new: Arc<Ivr>,
    fault_at: Option<Tick>,
    reversed_at: Option<Tick>,
    screen: Screen,
}

impl Story {
    /// Lives through it, a frame at a time. False if the reversal never came.
    async fn tell(&mut self) -> anyhow::Result<bool> {
        let began = clock::tick();
        self.screen.opening(&self.running, self.options)?;
        let mut number = 0u64;
        let gap =
            Duration::from_micros(1_000_000 / u64::from(self.options.calls_per_second.max(1)));
        let mut next_call = tokio::time::interval(gap);
        let mut next_frame = tokio::time::interval(Duration::from_millis(250));
        let mut stop_calls = false;
        loop {
            tokio::select! {
                _ = next_call.tick(), if !stop_calls => {
                    number += 1;
                    tokio::spawn(Arc::clone(&self.phone).call(number));
                }
                _ = next_frame.tick() => {
                    let now = clock::tick();
                    self.turn(now, began)?;
                    self.screen.frame(&self.running, &self.phone.ledger, now.since(began), self.chapter(now))?;
                    match self.ending(now, began) {
                        Ending::NotYet => {}
                        Ending::LetCallsFinish => stop_calls = true,
                        Ending::Over(well) => return Ok(well),
                    }
                }
                _ = tokio::signal::ctrl_c() => return Ok(true),
            }
        }
    }

    /// What changes by itself: the fault begins, the reversal is noticed.
    fn turn(&mut self, now: Tick, began: Tick) -> anyhow::Result<()> {
        if self.fault_at.is_none()
            && self.options.fault != Fault::None
            && now.since(began) >= GOOD_TIMES
        {
            self.fault_at = Some(now);
            self.new.break_down();
            self.screen.say(
                screen::Tone::Bad,
                "The new backend breaks down. Nobody has told the proxy.",
            )?;
        }
        if self.reversed_at.is_none() && self.running.status().phase == Phase::Reversed {
            self.reversed_at = Some(now);
            let because = self.running.status().because.clone().unwrap_or_default();
            self.screen.say(
                screen::Tone::Good,
                &format!("REVERSED to 100 % legacy: {because}"),
            )?;
        }
        // A webhook that left before the flip may still be on its way; after a quarter second none is.
        if self
            .reversed_at
            .is_some_and(|at| now.since(at) >= Duration::from_millis(250))
        {
            self.new.seal();
        }
        Ok(())
    }

    fn chapter(&self, now: Tick) -> String {
        match (self.fault_at, self.reversed_at) {
            (_, Some(at)) => format!(
                "reversed {:.0} s ago; calls on new finish where they are",
                now.since(at).as_secs_f64()
            ),
            (Some(at), None) => format!(
                "the new backend is failing since {:.0} s",
                now.since(at).as_secs_f64()
            ),
            (None, None) => "all is well: a quarter of the tenants runs on new".to_owned(),
        }
    }

    fn ending(&self, now: Tick, began: Tick) -> Ending {
        if self.options.forever {
            return Ending::NotYet;
        }
        let quiet = self.phone.ledger.running.load(Ordering::Relaxed) == 0;
        let curtain = match (self.reversed_at, self.options.fault) {
            (Some(at), _) => at + AFTERMATH,
            (None, Fault::None) => began + GOOD_TIMES + AFTERMATH,
            (None, _) if now.since(began) > GIVE_UP => return Ending::Over(false),
            (None, _) => return Ending::NotYet,
        };
        match () {
            () if now < curtain => Ending::NotYet,
            () if quiet => Ending::Over(true),
            () => Ending::LetCallsFinish,
        }
    }

    fn summary(&self) -> anyhow::Result<()> {
        let ledger = &self.phone.ledger;
        let status = self.running.status();
        let mut out = anstream::stdout().lock();
        let count = |it: &std::sync::atomic::AtomicU64| it.load(Ordering::Relaxed);
        writeln!(out, "\n{}", screen::heading("What happened"))?;
        writeln!(
            out,
            "  {} calls, {} of them on new",
            count(&ledger.begun),
            status.backends.new.calls
        )?;
        writeln!(
            out,
            "  {} callers were served, {} gave up, {} heard a failure",
            count(&ledger.served),
            count(&ledger.gave_up),
            count(&ledger.heard_failure)
        )?;
        writeln!(
            out,
            "  {} calls changed their backend in mid-call",
            count(&ledger.moved)
        )?;
        if let (Some(fault), Some(reversed)) = (self.fault_at, self.reversed_at) {
            writeln!(
                out,
                "  from the fault to the reversal: {:.1} s",
                reversed.since(fault).as_secs_f64()
            )?;
            let proof = status
                .verification
                .as_ref()
                .map_or(0, |it| it.new_calls_on_new);
            writeln!(
                out,
                "  new calls on new after it: {proof} by the proxy's count, {} by the new backend's own book",
                self.new.late_newcomers()
            )?;
        } else if self.options.fault != Fault::None {
            writeln!(out, "  the fault was not reversed")?;
        }
        debug_assert_eq!(
            self.legacy.late_newcomers(),
            0,
            "legacy's book is never sealed"
        );
        writeln!(
            out,
            "\nYour own two backends: edit config/switchback.toml, `switchback check`, then `switchback run`."
        )?;
        Ok(())
    }
}

enum Ending {
    NotYet,
    LetCallsFinish,
    Over(bool),
}

/// The demo's own state directory, gone when the demo is.
struct StateDir(std::path::PathBuf);

impl StateDir {
    fn new() -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!(
            "switchback-demo-{}-{:08x}",
            std::process::id(),
            rand::random::<u32>()
        ));
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("could not create {}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "The demo's state directory was left behind.");
        }
    }
}
