//! What one sees of a played preset: the status screen of a day that takes a tenth of a
//! second, and a line that stays for everything that is decided.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::length;
use crate::admin::shapes;
use crate::cli::status::{Room, screen};
use crate::config::Config;
use crate::demo::Fault;
use crate::demo::screen::{Tone, heading, told};
use crate::engine::Status;
use crate::model::{Percentage, Wall};
use crate::rehearsal::{Counts, Observer, Outcome, Scenario, Seen, Trip};
use crate::rollout::{Action, Entry};
use crate::rules::words::{lasting, many};
use crate::terminal::{self, Terminal, wrapped};

/// Columns of text.
const TEXT: usize = 76;
/// Between two frames on a terminal.
const FRAME: Duration = Duration::from_millis(100);
/// Frames for all of a plan that goes well.
const FRAMES: u32 = 320;
/// Cells of the bar.
const BAR: usize = 40;
/// How many lines say what a row tripped on before it acts; the screen has the rest.
const TRIPS: usize = 4;

/// The screen of a play.
#[derive(Debug)]
pub(super) struct Show {
    name: &'static str,
    plan: String,
    zone: TimeZone,
    start: Wall,
    fault: Fault,
    terminal: Option<Terminal>,
    /// Simulated time between two frames while all is well.
    pace: Duration,
    /// The time between the next two.
    every: Duration,
    /// Trips told since the fault began.
    trips: usize,
    stopped: bool,
    failed: Option<io::Error>,
}

impl Show {
    pub(super) fn new(
        name: &'static str,
        config: &Config,
        scenario: &Scenario,
        fault: Fault,
    ) -> Self {
        let plan = config.plan.as_deref();
        let soaks = plan.into_iter().flat_map(|plan| &plan.stages);
        let soaks: Duration = soaks.map(|stage| stage.soak).sum();
        // Waiting for windows takes as long again, at worst.
        let pace = (soaks.max(scenario.lasts / 8) / FRAMES).max(Duration::from_secs(10));
        Self {
            name,
            plan: length(config),
            zone: plan.map_or(TimeZone::UTC, |plan| plan.calendar.zone.clone()),
            start: scenario.start,
            fault,
            terminal: Terminal::stdout().map(Terminal::below),
            pace,
            every: pace,
            trips: 0,
            stopped: false,
            failed: None,
        }
    }

    pub(super) fn opening(&mut self) -> io::Result<()> {
        let mut text = format!(
            "The preset {} is played: its tables and its plan of {} at least, by the real engine, \
             with simulated callers in simulated time.",
            self.name, self.plan
        );
        if self.fault != Fault::None {
            text.push_str(&format!(
                " In the middle of it new breaks down: {}.",
                self.fault.said()
            ));
        }
        let mut lines = vec![heading("Switchback demo")];
        lines.extend(wrapped(&text, TEXT).iter().map(|line| format!("  {line}")));
        lines.push(String::new());
        self.stay(&lines)
    }

    /// What went wrong with the terminal while it played.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    pub(super) fn ending(&mut self, outcome: &Outcome, fault: Fault, well: bool) -> io::Result<()> {
        let mut lines = vec![String::new(), heading("What happened")];
        let mut say = |text: String| {
            let inset =
                |(i, line): (usize, &String)| format!("  {}{line}", if i > 0 { "  " } else { "" });
            lines.extend(wrapped(&text, TEXT).iter().enumerate().map(inset));
        };
        for stage in &outcome.stages {
            let lasted = stage.lasted.map_or_else(
                || "was left running".to_owned(),
                |lasted| format!("{:.1} days", lasted.as_secs_f64() / 86_400.0),
            );
            let whose = match stage.percentage == Percentage::ZERO && stage.calls > 0 {
                true => ", of tenants picked by hand",
                false => "",
            };
            say(format!(
                "stage {} at {}: {lasted}, {} on new{whose}",
                stage.name,
                stage.percentage,
                many(stage.calls, "call")
            ));
        }
        let acted = outcome.reversal().or_else(|| outcome.step_back());
        if let Some(decision) = acted {
            let seen = &decision.seen;
            let after = seen.since_fault.unwrap_or_default();
            say(format!(
                "From the first caller who met the fault to the decision: {}, {} on new, {} met it \
                 and {} of them were served by legacy all the same.",
                lasting(after.as_secs_f64().round()),
                many(seen.calls, "call"),
                many(seen.met, "caller"),
                seen.rescued,
            ));
        } else if fault == Fault::Both {
            say(
                "Legacy failed as much, so going back would have helped nobody: no row reversed, \
                 and a critical notice said why."
                    .to_owned(),
            );
        }
        if let Some(proof) = outcome.status.verification.as_ref().filter(|it| it.done) {
            say(format!(
                "Verified: {} new calls on new since, {} live there still, measures back to normal.",
                proof.new_calls_on_new, proof.live_on_new
            ));
        }
        let days = outcome.lasted.as_secs_f64() / 86_400.0;
        let calls = outcome.counts.calls;
        say(format!(
            "{days:.1} simulated days, {} on new and {} on legacy; the rollout is {} at {}.",
            many(calls.new, "call"),
            calls.legacy,
            outcome.status.phase.name(),
            outcome.status.percentage
        ));
        say(match well {
            true => "It went as it should.".to_owned(),
            false => "It did not go as it should.".to_owned(),
        });
        self.stay(&lines)
    }

    fn say(&mut self, tone: Tone, at: Duration, text: &str) {
        let line = format!("{}  {text}", self.moment(at));
        let lines = told(tone, &line, TEXT);
        self.note(|show| show.stay(&lines));
    }

    fn stay(&mut self, lines: &[String]) -> io::Result<()> {
        match &mut self.terminal {
            Some(terminal) => terminal.say(lines),
            None => {
                let mut out = anstream::stdout().lock();
                lines.iter().try_for_each(|line| writeln!(out, "{line}"))
            }
        }
    }

    /// Nobody can be told in the middle of a play; it is told at its end.
    fn note(&mut self, does: impl FnOnce(&mut Self) -> io::Result<()>) {
        if let Err(error) = does(self) {
            self.stopped = true;
            self.failed.get_or_insert(error);
        }
    }

    /// `day  9 Tue 14:00`.
    fn moment(&self, at: Duration) -> String {
        let zoned = |wall| {
            let at = Timestamp::from_millisecond(wall).unwrap_or(Timestamp::UNIX_EPOCH);
            at.to_zoned(self.zone.clone())
        };
        let since = i64::try_from(at.as_millis()).unwrap_or(0);
        let (start, now) = (
            zoned(self.start.0),
            zoned(self.start.0.saturating_add(since)),
        );
        let days = now.date().since(start.date());
        let day = days.map_or(0, |span| span.get_days()) + 1;
        format!("day {day:>3} {}", now.strftime("%a %H:%M"))
    }

    fn frame(&mut self, status: &Status, seen: Seen) {
        let moment = self.moment(seen.at);
        let Some(terminal) = &mut self.terminal else {
            return;
        };
        let room = terminal::size();
        let mut lines = vec![bar(status, &moment)];
        let below = room.rows.saturating_sub(2);
        let shown = shapes::Status::from(status);
        lines.extend(screen(
            &shown,
            Room {
                columns: room.columns,
                rows: Some(below),
            },
        ));
        let drawn = terminal.frame(&lines);
        self.note(|_| drawn);
        std::thread::sleep(FRAME);
    }
}

/// Where the rollout stands, at a glance.
fn bar(status: &Status, moment: &str) -> String {
    let points = usize::from(status.percentage.basis_points());
    let full = points * BAR / 10_000;
    let cells: String = (0..BAR).map(|i| if i < full { '█' } else { '░' }).collect();
    format!("{moment}  {cells} {} to new", status.percentage)
}

impl Observer for Show {
    fn every(&self) -> Option<Duration> {
        self.terminal.is_some().then_some(self.every)
    }

    fn look(&mut self, status: &Status, seen: Seen, _: Counts) -> ControlFlow<()> {
        self.frame(status, seen);
        // What matters after a fault matters in seconds; the longer it takes, the faster
        // one looks on.
        self.every = match seen.since_fault {
            Some(since) if status.latched => (since / 50).min(Duration::from_secs(8)),
            Some(since) => (Duration::from_secs(5) + since / 40).min(self.pace),
            None => self.pace,
        };
        match self.stopped {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn tripped(&mut self, trip: &Trip) {
        if trip.seen.since_fault.is_none() || self.trips >= TRIPS {
            return;
        }
        self.trips += 1;
        self.say(Tone::Bad, trip.seen.at, &trip.text);
    }

    fn decided(&mut self, entry: &Entry, seen: Seen) {
        let tone = match &entry.action {
            Action::Totals(_) | Action::File | Action::Reloaded => return,
            Action::Reverse { .. } | Action::StepBack { .. } | Action::DisableTenant { .. } => {
                Tone::Bad
            }
            _ => Tone::Good,
        };
        self.say(tone, seen.at, &entry.said());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_long_as_the_share_of_new() {
        for (share, full) in [(0.0, 0), (5.0, 2), (50.0, 20), (100.0, 40)] {
            let status = Status {
                percentage: Percentage::new(share).unwrap(),
                ..Status::default()
            };
            let line = bar(&status, "day   1 Mon 00:00");
            assert_eq!(line.matches('█').count(), full, "{line}");
            assert!(line.chars().count() < 80, "{line}");
        }
    }
}
