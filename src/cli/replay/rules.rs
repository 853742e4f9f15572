//! `switchback replay FILE… --rules CONFIG`: a recorded day through changed tables.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::trial::{After, Fired, Flip, Trial};
use crate::cli::{Failure, Output, failure};
use crate::config;
use crate::measure::Observation;
use crate::model::{Backend, Tick, Wall};
use crate::recording::{self, Recorded, State, What};
use crate::rules::words;
use crate::serve;

/// What the help says of it.
pub(super) const HELP: &str = "\
Examples:
  switchback replay outcomes.jsonl* --rules config/candidate.toml
  switchback replay outcomes.jsonl* --rules config/candidate.toml --against config/running.toml
  switchback replay bad-friday.jsonl --rules config/candidate.toml --expect reversal
  switchback replay good-week.jsonl* --rules config/candidate.toml --expect none

A recording is what `[log] outcomes` writes. The tables of the configuration, its breakers and
its health checks judge it as the engine would have, every tenth of a second. The recorded day
goes on as it was, so that one sees what each reversal would have spared:

  saved   calls that began on new after the reversal, and of which new then failed a webhook,
          rescued or not. Each counts once.
  false   in the --after minutes that follow the reversal, the row's own measure, over exactly
          these minutes and with at least the row's calls_min, is within its threshold. Of end
          measures the calls count that began in them. With too few calls, or if people reported
          it, nothing is said.

A reversal lasts until those minutes are over and no row that reverses trips any more; what
trips later is another one. With --expect the exit code is 1 if it is otherwise.";

/// Bad lines that are named; of more, their number.
const NAMED: usize = 10;

/// Against what.
#[derive(Debug, clap::Args)]
#[group(id = "tables")]
pub struct Options {
    /// Hold the recording against the tables of this configuration
    #[arg(long, value_name = "CONFIG")]
    pub rules: Option<PathBuf>,
    /// Against those of this one too, to compare: what ran then
    #[arg(long, value_name = "CONFIG", requires = "rules")]
    pub against: Option<PathBuf>,
    /// Fail unless the tables of --rules reverse never, or at least once
    #[arg(long, value_enum, requires = "rules")]
    pub expect: Option<Expect>,
    /// How many minutes after a reversal say whether it was right
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub after: u64,
}

/// What a test of tables may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Expect {
    /// No row reverses.
    None,
    /// A row reverses.
    Reversal,
}

/// Tables, and what they did.
struct Table {
    path: PathBuf,
    hash: String,
    trial: Trial,
}

/// What the recording told, whatever the tables.
#[derive(Debug, Default)]
struct Day {
    from: Option<Wall>,
    to: Option<Wall>,
    lines: u64,
    bad: u64,
    lost: u64,
    restarts: u64,
    /// When it reversed, or was rolled back, as it ran.
    latched: Vec<Wall>,
    calls: u64,
    failed: u64,
    state: Option<State>,
    tick: Option<Tick>,
}

/// Replays the recording and says what would have been.
pub(super) fn rules(
    files: &[PathBuf],
    options: &Options,
    output: Output,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Some(candidate) = &options.rules else {
        return Err(Failure::Usage("say --rules CONFIG".to_owned()));
    };
    let after = Duration::from_secs(options.after * 60);
    let mut tables = vec![Table::load(candidate, after)?];
    if let Some(running) = &options.against {
        tables.push(Table::load(running, after)?);
    }
    let mut day = Day::default();
    for file in in_order(files)? {
        for recorded in recording::read(&file) {
            match recorded {
                Ok(recorded) => day.take(recorded, &mut tables),
                Err(why) => day.bad(&why),
            }
        }
    }
    if day.bad > NAMED as u64 {
        failure::note(&format!(
            "{} more lines cannot be read",
            day.bad - NAMED as u64
        ));
    }
    if day.tick.is_none() {
        let why = "nothing was recorded in these files: they are written by `[log] outcomes`";
        return Err(Failure::Failed(why.to_owned()));
    }
    tables.iter_mut().for_each(|table| table.trial.finish());
    match output {
        Output::Json => writeln!(out, "{}", day.json(&tables))?,
        Output::Text => out.write_all(day.text(&tables, options.after).as_bytes())?,
    }
    let reversals = tables.first().map_or(0, |table| table.trial.flips.len());
    expected(options.expect, reversals)
}

fn expected(expect: Option<Expect>, reversals: usize) -> Result<(), Failure> {
    let why = match (expect, reversals) {
        (Some(Expect::None), 1..) => {
            format!("no reversal was expected, and there would have been {reversals}")
        }
        (Some(Expect::Reversal), 0) => {
            "a reversal was expected, and there would have been none".to_owned()
        }
        _ => return Ok(()),
    };
    Err(Failure::Failed(why))
}

/// The files by the moment of their first line: a shell sorts them by name.
fn in_order(files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for file in files {
        std::fs::metadata(file)
            .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
        let first = recording::read(file).find_map(Result::ok);
        all.push((first.map(|recorded| recorded.at), file.clone()));
    }
    all.sort();
    Ok(all.into_iter().map(|(_, file)| file).collect())
}

impl Table {
    fn load(path: &Path, after: Duration) -> Result<Self, Failure> {
        let loaded = config::load(path);
        let config = loaded
            .map_err(|report| Failure::Configuration(report.render(true)))?
            .config;
        let settings = serve::engine_settings(&config);
        Ok(Self {
            path: path.to_owned(),
            hash: settings.config_hash.clone(),
            trial: Trial::new(settings, after),
        })
    }
}

impl Day {
    fn bad(&mut self, why: &str) {
        self.bad += 1;
        if self.bad <= NAMED as u64 {
            failure::note(why);
        }
    }

    fn take(&mut self, recorded: Recorded, tables: &mut [Table]) {
        self.lines += 1;
        match recorded.what {
            What::State(state) => {
                let was = self.state.as_ref().is_some_and(|state| state.latched);
                if state.latched && !was {
                    self.latched.push(recorded.at);
                }
                self.state = Some(state);
            }
            What::Tick { tick, active } => {
                self.from.get_or_insert(recorded.at);
                self.to = Some(recorded.at);
                let before = self.tick.replace(tick);
                self.restarts += u64::from(before.is_some_and(|before| tick < before));
                for table in tables {
                    table
                        .trial
                        .tick(tick, recorded.at, active, self.state.as_ref());
                }
            }
            What::Observation(observation) => {
                self.count(&observation);
                for table in tables {
                    table.trial.hear(observation);
                }
            }
            What::Report(report) => {
                for table in tables {
                    table.trial.report(&report);
                }
            }
            What::Lost(lines) => self.lost += lines,
        }
    }

    fn count(&mut self, observation: &Observation) {
        match observation {
            Observation::Placed(it) => {
                let begins = it.begins && it.placement.backend == Backend::New;
                self.calls += u64::from(begins);
            }
            Observation::Answered(it) if it.backend == Backend::New && it.counts => {
                let first = (it.voice).is_some_and(|it| it.failed && it.previous_failed.is_none());
                self.failed += u64::from(first);
            }
            _ => {}
        }
    }

    fn json(&self, tables: &[Table]) -> Value {
        let time = |at: Option<Wall>| at.map(time);
        json!({
            "from": time(self.from),
            "to": time(self.to),
            "lines": self.lines,
            "bad_lines": self.bad,
            "lost_lines": self.lost,
            "restarts": self.restarts,
            "calls_on_new": self.calls,
            "failed_on_new": self.failed,
            "latched": self.latched.iter().map(|at| self::time(*at)).collect::<Vec<_>>(),
            "tables": tables.iter().map(Table::json).collect::<Vec<_>>(),
        })
    }

    fn text(&self, tables: &[Table], minutes: u64) -> String {
        let at = |at: Option<Wall>| at.map(time).unwrap_or_default();
        let mut text = format!(
            "{} to {}\n  {} began on new; new failed {}\n",
            at(self.from),
            at(self.to),
            words::many(self.calls, "call"),
            words::many(self.failed, "call"),
        );
        for (count, what) in [
            (self.restarts, "restart"),
            (self.lost, "line was not recorded"),
            (self.bad, "line cannot be read"),
        ] {
            if count > 0 {
                text.push_str(&format!("  {count} × {what}\n"));
            }
        }
        for latched in &self.latched {
            text.push_str(&format!(
                "  as it ran, everything went to legacy at {}\n",
                time(*latched)
            ));
        }
        for table in tables {
            table.tell(&mut text, minutes);
        }
        text
    }
}

impl Table {
    fn json(&self) -> Value {
        let trial = &self.trial;
        let rules = trial.rules().iter().zip(&trial.counts);
        let rules: Vec<Value> = rules
            .map(|(rule, count)| {
                json!({ "rule": rule.name, "action": rule.action.name(), "fired": count })
            })
            .collect();
        json!({
            "config": self.path.display().to_string(),
            "hash": self.hash,
            "rules": rules,
            "fired": trial.fired.iter().map(fired).collect::<Vec<_>>(),
            "reversals": trial.flips.iter().map(flip).collect::<Vec<_>>(),
            "saved": self.saved(),
            "false": self.wrong(),
        })
    }

    /// Calls that would have been spared.
    fn saved(&self) -> u64 {
        self.trial.flips.iter().map(|flip| flip.saved).sum()
    }

    /// Reversals that would have been false.
    fn wrong(&self) -> usize {
        let flips = self.trial.flips.iter();
        flips
            .filter(|flip| matches!(flip.after, After::Well(_)))
            .count()
    }

    fn tell(&self, text: &mut String, minutes: u64) {
        text.push_str(&format!("\n{} ({})\n", self.path.display(), self.hash));
        for flip in &self.trial.flips {
            let measure = (self.trial.rules().iter())
                .find(|rule| rule.name == flip.finding.rule)
                .map(|rule| rule.measure);
            let amount =
                |value| measure.map_or_else(String::new, |measure| words::amount(measure, value));
            let after = match flip.after {
                After::Bad(value) => {
                    format!("right: {} in the {minutes} min after it", amount(value))
                }
                After::Well(value) => {
                    format!("false: {} in the {minutes} min after it", amount(value))
                }
                After::Reported => "as people reported".to_owned(),
                After::Unknown => {
                    format!("right or not: too few calls came on new in the {minutes} min after it")
                }
            };
            text.push_str(&format!(
                "  {}  reverse  {}: {}\n      {} saved; {after}\n",
                time(flip.at),
                flip.finding.rule,
                flip.finding.because,
                words::many(flip.saved, "call"),
            ));
        }
        let rules = self.trial.rules().iter().zip(&self.trial.counts);
        for (rule, count) in rules.filter(|(_, count)| **count > 0) {
            let first = self
                .trial
                .fired
                .iter()
                .find(|it| it.finding.rule == rule.name);
            let first = first.map_or_else(String::new, |it| format!(", first at {}", time(it.at)));
            text.push_str(&format!(
                "  {} × {} {}{first}\n",
                count,
                rule.action.name(),
                rule.name
            ));
        }
        text.push_str(&format!(
            "  {}, {} false; {} saved\n",
            words::many(self.trial.flips.len() as u64, "reversal"),
            self.wrong(),
            words::many(self.saved(), "call"),
        ));
    }
}

fn fired(it: &Fired) -> Value {
    let finding = &it.finding;
    json!({
        "time": time(it.at),
        "rule": finding.rule,
        "action": it.action.name(),
        "value": finding.value,
        "threshold": Some(finding.threshold).filter(|it| it.is_finite()),
        "samples": finding.samples,
        "because": finding.because,
    })
}

fn flip(it: &Flip) -> Value {
    let (wrong, value) = match it.after {
        After::Bad(value) => (Some(false), Some(value)),
        After::Well(value) => (Some(true), Some(value)),
        After::Reported | After::Unknown => (None, None),
    };
    json!({
        "time": time(it.at),
        "rule": it.finding.rule,
        "because": it.finding.because,
        "saved": it.saved,
        "false": wrong,
        "value_after": value,
    })
}

/// RFC 3339 with milliseconds, in UTC.
fn time(at: Wall) -> String {
    Timestamp::from_millisecond(at.0)
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
