//! A rollout as its journal tells it: who did what, when and why, and where it led.
//!
//! Reads files and asks nobody, so that it works on a copy, a year later, on another
//! machine. Telephone numbers are masked; `-o json` prints the lines as they are.

mod block;
mod totals;

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use self::block::{block, stands};
use self::totals::Days;
use super::{Failure, Output};
use crate::cli::failure;
use crate::journal::{self, History, Line};
use crate::model::Wall;
use crate::rollout::{Action, Entry, Rollout};

pub(super) const HELP: &str = "\
Reads the journal itself, running or not, and changes nothing. Every line is checked; at the first \
that cannot be believed it stops, says which, and ends with exit code 1. Hours are added up to one \
line a day. Times are those of this machine's time zone (TZ).

Examples:
  switchback replay /var/lib/switchback
  switchback replay /var/lib/switchback --since 2026-03-01 --no-totals
  switchback replay journal-0000000412.jsonl -o json | jq 'select(.action == \"reverse\")'";

/// How much of a journal to tell.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(id = "story")]
pub struct Options {
    /// Only what was done from then on: 2026-03-01, 2026-03-01T08:00, with a zone: …Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Wall>,
    /// Only what was done until then, and where that led; of a date, its whole day
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub until: Option<Wall>,
    /// Without the hours that were added up
    #[arg(long)]
    pub no_totals: bool,
}

impl Options {
    fn covers(&self, at: Wall) -> bool {
        self.since.is_none_or(|since| since <= at) && !self.is_past(at)
    }

    fn is_past(&self, at: Wall) -> bool {
        self.until.is_some_and(|until| until < at)
    }

    fn leaves_out(&self, entry: &Entry) -> bool {
        let totals = matches!(entry.action, Action::Totals(_));
        totals && self.no_totals || !self.covers(entry.stamp.at)
    }
}

/// Tells what a journal says.
pub(super) fn story(
    path: &Path,
    options: &Options,
    output: Output,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let failed = |why: String| Failure::Failed(why);
    let history = journal::history(path).map_err(|error| failed(error.to_string()))?;
    if history.lines.is_empty() && history.damage.is_none() {
        return Err(failed(format!(
            "there is no journal in {}; name a state directory or a journal's file",
            path.display()
        )));
    }
    for note in &history.notes {
        failure::note(note);
    }
    match output {
        Output::Json => lines(&history.lines, options, out)?,
        Output::Text => tell(&history, options, &TimeZone::system(), out)?,
    }
    match history.damage {
        Some(damage) => Err(failed(format!(
            "{damage}. What follows there is not believed; what stands above is as it was written."
        ))),
        None => Ok(()),
    }
}

fn lines(lines: &[Line], options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    for line in lines {
        if !options.leaves_out(&line.entry) {
            writeln!(out, "{}", line.text)?;
        }
    }
    Ok(())
}

fn tell(
    history: &History,
    options: &Options,
    zone: &TimeZone,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut days = Days::default();
    let mut rollout = Rollout::default();
    let mut told = 0;
    for (nth, line) in history.lines.iter().enumerate() {
        let entry = &line.entry;
        if options.is_past(entry.stamp.at) {
            continue;
        }
        rollout.apply(entry);
        if options.leaves_out(entry) {
            continue;
        }
        match &entry.action {
            Action::Totals(hour) => {
                let date = date_of(hour.from, zone);
                days.end_before(date, out)?;
                days.add(date, hour);
                continue;
            }
            // One in the middle tells nothing new.
            Action::Checkpoint(_) if nth > 0 => continue,
            _ => {}
        }
        days.end_before(date_of(entry.stamp.at, zone), out)?;
        out.write_all(block(entry, zone).as_bytes())?;
        told += 1;
    }
    days.end(out)?;
    if told == 0 {
        writeln!(out, "Nothing was decided then.\n")?;
    }
    out.write_all(stands(&rollout, zone).as_bytes())?;
    Ok(())
}

fn date_of(at: Wall, zone: &TimeZone) -> Date {
    let moment = Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
    zone.to_datetime(moment).date()
}

fn since(text: &str) -> Result<Wall, String> {
    moment(text, &TimeZone::system()).map(|(from, _)| from)
}

fn until(text: &str) -> Result<Wall, String> {
    moment(text, &TimeZone::system()).map(|(_, to)| to)
}

/// The first and the last millisecond of what the text names.
fn moment(text: &str, zone: &TimeZone) -> Result<(Wall, Wall), String> {
    let wall = |moment: Timestamp| Wall(moment.as_millisecond());
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok((wall(moment), wall(moment)));
    }
    let at = |time: DateTime| zone.to_timestamp(time).map(wall);
    let read = |text: &str| -> Result<(Wall, Wall), jiff::Error> {
        let time: DateTime = text.parse()?;
        let from = at(time)?;
        // A date names its whole day.
        match text.len() {
            10 => Ok((from, Wall(at(time.tomorrow()?)?.0 - 1))),
            _ => Ok((from, from)),
        }
    };
    read(text).map_err(|_| {
        "a date or a time: 2026-03-01, 2026-03-01T08:00, 2026-03-01T08:00:00Z".to_owned()
    })
}

#[cfg(test)]
mod tests;
