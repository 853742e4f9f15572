//! `switchback demo`: a whole rollout, its fault, the rescues and the reversal in one process.
//!
//! Two sample backends, simulated callers and the real proxy between them, on
//! ports of this machine only. Nothing is staged inside the proxy: it sees
//! webhooks over sockets, as in production, and decides by its own tables.

mod callers;
mod ivr;
mod ledger;
pub mod preset;
mod screen;
mod summary;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::clock;
use crate::model::{Backend, Tick};
use crate::rollout::Phase;
use crate::serve::{self, Running, Signals};
use callers::Phone;
use ivr::Ivr;
use ledger::Era;
use screen::{Screen, Tone};

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
    /// Six of ten webhooks answer with status 500, and six of ten of legacy's too
    Both,
    /// Nothing: a good day
    None,
}

impl Fault {
    /// What new does from then on.
    const fn said(self) -> &'static str {
        match self {
            Self::Errors => "six of ten of its answers are status 500",
            Self::Documents => "six of ten of its answers are 200 with a broken document",
            Self::Slow => "every answer takes three seconds",
            Self::Down => "it does not answer at all",
            Self::Both => "six of ten of its answers are status 500, and of legacy's too",
            Self::None => "nothing",
        }
    }

    /// What that is to a caller whom nobody rescues.
    const fn harm(self) -> &'static str {
        match self {
            Self::Slow | Self::Down => "would have hung up on a silent line",
            Self::Errors | Self::Documents | Self::Both | Self::None => {
                "would have heard the platform's error"
            }
        }
    }
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
    /// Where the admin listener goes; port 0 picks a free one. None: the usual
    /// place, or a free port if that is taken.
    pub admin: Option<SocketAddr>,
}

/// How long the rollout runs well before the fault.
const GOOD_TIMES: Duration = Duration::from_secs(12);
/// How long new calls keep coming after the reversal, to show where they go.
const AFTERMATH: Duration = Duration::from_secs(8);
/// With `--forever`, how long after the reversal new is repaired.
const REPAIR: Duration = Duration::from_secs(20);
/// To have the first percentage on disk and in force.
const READY: Duration = Duration::from_secs(2);
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
    let (legacy, legacy_at) = backend(Backend::Legacy, options.fault).await?;
    let (new, new_at) = backend(Backend::New, options.fault).await?;
    let admin = options.admin.unwrap_or_else(usual_or_free);
    let text = configuration(legacy_at, new_at, admin, &state.0);
    let loaded =
        crate::config::load_text(std::path::Path::new("demo.toml"), text).map_err(|report| {
            anyhow::anyhow!(
                "the demo's own configuration is broken:\n{}",
                report.render(false)
            )
        })?;
    let running = tokio::task::spawn_blocking(move || {
        serve::start(loaded.config, Signals::Ignored)
    })
    .await?
    .context(
        "the demo could not begin; if it is the port, `--listen 127.0.0.1:0` takes a free one",
    )?;
    let until = clock::tick() + READY;
    while running.status().phase != Phase::Soaking && clock::tick() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let phone = Phone::new(running.webhooks, Arc::clone(&new));
    let mut story = Story {
        options,
        running,
        phone,
        legacy,
        new,
        began: clock::tick(),
        fault_at: None,
        rescue_said: false,
        repaired: false,
        reversed_at: None,
        reversal: None,
        screen: Screen::new(),
    };
    let told = story.tell().await?;
    let well = summary::show(&story)? && told;
    let Story { running, .. } = story;
    tokio::task::spawn_blocking(move || running.stop()).await??;
    Ok(well)
}

/// Port 9901, where the other commands look first, or any that is free.
fn usual_or_free() -> SocketAddr {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    // Tried and closed again: a server that asks to reuse the address may have it.
    match std::net::TcpListener::bind(at(9901)) {
        Ok(_) => at(9901),
        Err(_) => at(0),
    }
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
    /// When the first call came.
    began: Tick,
    fault_at: Option<Tick>,
    /// Has the first rescue been told of?
    rescue_said: bool,
    /// Has the fault been mended again?
    repaired: bool,
    /// Since when the latch is on; None again after a resume.
    reversed_at: Option<Tick>,
    /// The first reversal.
    reversal: Option<Reversal>,
    screen: Screen,
}

/// The reversal as the demo saw it.
struct Reversal {
    /// From the fault to it.
    after: Duration,
    /// Which rule, and what it saw.
    because: String,
}

impl Story {
    /// Lives through it, a frame at a time. False if the reversal never came.
    async fn tell(&mut self) -> anyhow::Result<bool> {
        let began = clock::tick();
        self.began = began;
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
                    self.screen.frame(&self.running, &self.phone.ledger, now.since(began), &self.chapter(now))?;
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
        let since = |at: Option<Tick>| at.map(|at| now.since(at));
        if self.fault_at.is_none()
            && self.options.fault != Fault::None
            && now.since(began) >= GOOD_TIMES
        {
            self.fault_at = Some(now);
            self.new.break_down();
            if self.options.fault == Fault::Both {
                self.legacy.break_down();
            }
            self.phone.ledger.enters(Era::Failing);
            let text = format!(
                "New breaks down: {}. Nobody has told the proxy.",
                self.options.fault.said()
            );
            self.screen.say(Tone::Bad, &text)?;
        }
        if !self.rescue_said && self.phone.ledger.rescues() > 0 {
            self.rescue_said = true;
            let (tone, text) = match self.options.fault {
                Fault::Both => (
                    Tone::Bad,
                    "New fails, and legacy, asked in its place, does so as often. Callers who \
                     get neither's answer hear our apology.",
                ),
                _ => (
                    Tone::Good,
                    "New fails; its callers are answered by legacy in the same request.",
                ),
            };
            self.screen.say(tone, text)?;
        }
        let latched = self.running.status().latched;
        match (self.reversed_at, latched) {
            (None, true) => self.reversed(now)?,
            (Some(_), false) => {
                self.reversed_at = None;
                let failing = self.fault_at.is_some() && !self.repaired;
                (self.phone.ledger).enters(if failing { Era::Failing } else { Era::Well });
                self.new.unseal();
                let text = "Somebody resumed: the latch is off and new may have calls again.";
                self.screen.say(Tone::Good, text)?;
            }
            _ => {}
        }
        // A webhook that left before the flip may still be on its way; after a quarter second none is.
        if since(self.reversed_at).is_some_and(|since| since >= Duration::from_millis(250)) {
            self.new.seal();
        }
        if self.options.forever
            && !self.repaired
            && since(self.reversed_at).is_some_and(|since| since >= REPAIR)
        {
            self.repaired = true;
            self.new.mend();
            self.legacy.mend();
            let text = "New is repaired, and still no call goes there until a person says so:";
            self.screen.say(Tone::Good, text)?;
            self.screen.command(&format!(
                "switchback --admin http://{} resume --percentage 25 --reason ok",
                self.running.admin
            ))?;
        }
        Ok(())
    }

    fn reversed(&mut self, now: Tick) -> anyhow::Result<()> {
        self.reversed_at = Some(now);
        let status = self.running.status();
        // A frame looks four times a second; the reversal came some time before.
        let ago = clock::wall().0.saturating_sub(status.phase_since.0);
        let flipped = now - Duration::from_millis(u64::try_from(ago).unwrap_or(0));
        self.phone.ledger.reversed(flipped);
        let because = status.because.clone().unwrap_or_default();
        let word = match status.phase {
            Phase::Reversed => "REVERSED by itself",
            _ => "Rolled back",
        };
        self.screen.say(
            Tone::Good,
            &format!("{word}: everything to legacy. {because}."),
        )?;
        if self.reversal.is_none() {
            self.reversal = Some(Reversal {
                after: self
                    .fault_at
                    .map_or(Duration::ZERO, |fault| flipped.since(fault)),
                because,
            });
        }
        Ok(())
    }

    fn chapter(&self, now: Tick) -> String {
        let ago = |at: Tick| now.since(at).as_secs();
        match (self.fault_at, self.reversed_at) {
            (_, Some(at)) => format!("reversed {} s ago, until a person resumes", ago(at)),
            (Some(at), None) if !self.repaired => {
                let who = match self.options.fault {
                    Fault::Both => "both have",
                    _ => "new has",
                };
                format!("{who} been failing for {} s", ago(at))
            }
            _ => "all is well".to_owned(),
        }
    }

    fn ending(&self, now: Tick, began: Tick) -> Ending {
        if self.options.forever {
            return Ending::NotYet;
        }
        let quiet = self.phone.ledger.running() == 0;
        let curtain = match (self.reversed_at, self.options.fault) {
            (Some(at), _) => at + AFTERMATH,
            // With both sick there may be nowhere to go.
            (None, Fault::Both) => began + GOOD_TIMES + AFTERMATH + AFTERMATH,
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
