//! `switchback simulate`: what would these tables do?
//!
//! A configuration and a described fault are played in simulated time by the real
//! engine. Says when each rule trips and what it costs until then, and its exit code
//! says whether that is what was expected: good for a team's own CI.

mod ask;
mod shapes;
mod sums;
mod tell;

use std::io::{IsTerminal as _, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, Output};
use crate::engine::{Settings, Status};
use crate::model::Percentage;
use crate::rehearsal::{self, Counts, Observer, Outcome, Scenario, Seen};
use ask::Where;

/// What to play.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Faults, each with a size after `=` or the one given here:
  errors=30%        that share of calls gets status 500
  documents=30%     … a document nobody can run
  slow=8s           answers take so long in the mean
  down              no answer at all
  crash-loop=20m    up for so long, gone for two minutes, over and over
  abandonment=40%   that share of callers hangs up before being served
  speech=50%        that share of what callers say is understood
  duration=6m       calls last so long in the mean
  transactions=20%  that share of the bookings is lost
  memory=95%        so much memory is in use; cpu=95% likewise
  health=50%        that share of health checks is answered badly
  critical=1        so many critical errors are reported; complaints=4, incidents=1

Examples:
  switchback simulate --config s.toml                                  a plan's good weeks
  switchback simulate --config s.toml --fault errors=30% --runs 100    how soon, and how surely
  switchback simulate --config s.toml --fault down --at 'stage pilot + 2h' --expect reversal
  switchback simulate --config s.toml --fault errors=60% --tenant clinica --expect disable-tenant
  switchback simulate --config s.toml --days 30 --runs 20 --expect none

Exit code 0 if it went as expected in every run (or nothing was expected), 1 if not, 78 if the
configuration is wrong. The same command with the same seed gives the same answer.")]
pub struct Args {
    /// The configuration file
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// What goes wrong (see below); may be given more than once
    #[arg(long, value_name = "KIND[=SIZE]", value_parser = ask::fault)]
    pub fault: Vec<rehearsal::What>,
    /// When: `2h` after the first step, or `stage NAME`, or `stage NAME + 2h` [default: an hour
    /// after the first step]
    #[arg(long, value_name = "WHEN", value_parser = ask::when, requires = "fault")]
    pub at: Option<rehearsal::When>,
    /// For how long [default: to the end]
    #[arg(long = "for", value_name = "LONG", value_parser = ask::span, requires = "fault")]
    pub lasting: Option<Duration>,
    /// Only to this tenant's calls; may be given more than once
    #[arg(long, value_name = "ID", requires = "fault")]
    pub tenant: Vec<String>,
    /// Where it goes wrong
    #[arg(
        long,
        value_name = "BACKEND",
        value_enum,
        default_value_t,
        requires = "fault"
    )]
    pub on: Where,
    /// Calls an hour in all [default: the plan's, else 120]
    #[arg(long, value_name = "N", value_parser = ask::rate)]
    pub calls_per_hour: Option<f64>,
    /// File of 168 numbers: calls an hour, from Monday's midnight in the plan's time zone
    #[arg(long, value_name = "FILE", conflicts_with = "calls_per_hour")]
    pub traffic: Option<PathBuf>,
    /// Share of calls that fail while nothing is wrong, on both backends [default: 0.2% on
    /// legacy and half of it on new, which does a little better in all]
    #[arg(long, value_name = "SHARE", value_parser = ask::share)]
    pub errors: Option<f64>,
    /// Without a plan: the share of new [default: the file's]
    #[arg(long, value_name = "PERCENT", value_parser = super::percentage)]
    pub percentage: Option<Percentage>,
    /// When it begins: a day or a moment, in the plan's time zone [default: 00:00 of
    /// Monday, 2026-01-05]
    #[arg(long, value_name = "DATE", value_parser = ask::moment)]
    pub start: Option<jiff::civil::DateTime>,
    /// Days to play [default: as long as the plan may take, or one day]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=730))]
    pub days: Option<u32>,
    /// Brings chance back
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// So many plays, each with the next seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs: u32,
    /// What should come of it, in every run
    #[arg(long, value_name = "WHAT", value_enum)]
    pub expect: Option<Expect>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// What should come of a play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Expect {
    /// A rule takes everything to legacy, and not before the fault
    Reversal,
    /// A rule goes one stage back, and nothing is reversed
    StepBack,
    /// A rule takes tenants to legacy, and nobody else
    DisableTenant,
    /// No rule acts; alerts may fire
    None,
    /// The plan comes to its end, and no rule acts
    Complete,
}

impl Expect {
    /// Is it what came?
    fn is_met(self, outcome: &Outcome) -> bool {
        let (acts, early) = (outcome.acts(), outcome.false_acts());
        let none = rehearsal::Acts::default();
        early == none
            && match self {
                Self::Reversal => acts.reversals > 0,
                Self::StepBack => acts.steps_back > 0 && acts.reversals == 0,
                Self::DisableTenant => {
                    acts.tenants > 0 && acts.reversals == 0 && acts.steps_back == 0
                }
                Self::None => acts == none,
                Self::Complete => acts == none && outcome.is_complete(),
            }
    }

    const fn said(self) -> &'static str {
        match self {
            Self::Reversal => "a reversal",
            Self::StepBack => "a step back",
            Self::DisableTenant => "a tenant rolled back alone",
            Self::None => "that no rule acts",
            Self::Complete => "a complete plan",
        }
    }
}

/// Plays and tells.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let loaded = crate::config::load(&args.config)
        .map_err(|report| Failure::Configuration(report.render(true)))?;
    let settings = rehearsal::settings(&loaded.config);
    let scenario = ask::scenario(args, &loaded.config)?;
    let outcomes = play_all(&settings, &scenario, args.runs);
    let missed = args.expect.map_or(0, |expected| {
        outcomes.iter().filter(|it| !expected.is_met(it)).count()
    });
    match args.output {
        Output::Json => {
            let said = shapes::simulation(&scenario, &outcomes, args.expect, missed);
            let text = serde_json::to_string(&said)
                .map_err(|error| Failure::Failed(format!("could not write JSON: {error}")))?;
            writeln!(out, "{text}")?;
        }
        Output::Text => {
            for line in tell::lines(&loaded.config, &scenario, &outcomes) {
                writeln!(out, "{line}")?;
            }
        }
    }
    match args.expect {
        Some(expected) if missed > 0 => Err(Failure::Failed(format!(
            "expected {}; {missed} of {} went otherwise (seeds {}…)",
            expected.said(),
            crate::rules::words::many(outcomes.len() as u64, "play"),
            outcomes
                .iter()
                .zip(args.seed..)
                .find(|(outcome, _)| !expected.is_met(outcome))
                .map_or(args.seed, |(_, seed)| seed),
        ))),
        _ => Ok(()),
    }
}

/// Every play, on as many threads as there are cores.
fn play_all(settings: &Settings, scenario: &Scenario, runs: u32) -> Vec<Outcome> {
    let seeds: Vec<u64> = (scenario.seed..).take(runs as usize).collect();
    let watched = std::io::stderr().is_terminal();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = seeds.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let plays: Vec<_> = seeds
            .chunks(part)
            .enumerate()
            .map(|(number, seeds)| {
                scope.spawn(move || {
                    let played = seeds.iter().enumerate().map(|(turn, seed)| {
                        let scenario = Scenario {
                            seed: *seed,
                            ..scenario.clone()
                        };
                        let mut progress = Progress {
                            shown: watched && number == 0,
                            lasts: scenario.lasts,
                            turn: turn + 1,
                            turns: seeds.len(),
                        };
                        let outcome = rehearsal::play(settings, &scenario, &mut progress);
                        progress.wipe();
                        outcome
                    });
                    played.collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = plays.into_iter().map(|play| play.join());
        joined
            .flat_map(|played| played.expect("a play ends by itself"))
            .collect()
    })
}

/// How far it is, on a terminal.
#[derive(Debug)]
struct Progress {
    shown: bool,
    lasts: Duration,
    turn: usize,
    turns: usize,
}

impl Progress {
    fn wipe(&self) {
        if self.shown {
            // If stderr is closed there is nobody to tell.
            drop(write!(anstream::stderr(), "\r\x1b[K"));
        }
    }
}

impl Observer for Progress {
    fn every(&self) -> Option<Duration> {
        self.shown
            .then_some((self.lasts / 100).max(Duration::from_secs(60)))
    }

    fn look(&mut self, _: &Status, seen: Seen, _: Counts) -> ControlFlow<()> {
        const DAY: u64 = 86_400;
        let (day, days) = (
            seen.at.as_secs() / DAY + 1,
            self.lasts.as_secs().div_ceil(DAY),
        );
        let (turn, turns) = (self.turn, self.turns);
        let text = format!("\rday {day} of at most {days}, play {turn} of {turns}\x1b[K");
        drop(write!(anstream::stderr(), "{text}"));
        ControlFlow::Continue(())
    }
}
