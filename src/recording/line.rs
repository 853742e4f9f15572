//! One line of a recording: its JSON shape, apart from the types the engine works with.
//!
//! Spans are in whole milliseconds before the line's own moment; a field this version does
//! not know is passed over.

mod observed;
mod told;
mod words;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Moment, Report, What};
use crate::measure::Observation;
use crate::model::{PerBackend, TenantKey, Tick, Wall, mask_numbers};
use observed::{AnsweredLine, EndedLine, HealthLine, PlacedLine, RescuedLine};
use told::{ReportLine, StateLine, TickLine};
use words::Hex;

#[derive(Serialize, Deserialize)]
struct Line {
    time: String,
    #[serde(flatten)]
    said: Said,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
enum Said {
    Placed(PlacedLine),
    Answered(AnsweredLine),
    Ended(EndedLine),
    Health(HealthLine),
    Rescued(RescuedLine),
    Report(ReportLine),
    Tick(TickLine),
    State(StateLine),
    Lost {
        lines: u64,
    },
    /// Of another version.
    #[serde(other)]
    Unknown,
}

/// Writes lines, with the secret that keys what must not be read.
#[derive(Debug)]
pub(super) struct Scribe {
    seed: u64,
}

impl Scribe {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A hash that says nothing to who lacks the secret.
    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        xxh3_64_with_seed(bytes, self.seed)
    }

    /// A tenant's key is a hash that anybody can make of a number; this one is not.
    fn tenant(&self, key: TenantKey) -> Option<Hex> {
        (key != TenantKey::NONE).then(|| Hex(self.hash(&key.0.to_le_bytes())))
    }

    pub(super) fn state(&self, into: &mut Vec<u8>, moment: &Moment<'_>) {
        let said = Said::State(StateLine::of(moment.state));
        write(into, moment.wall, said);
    }

    pub(super) fn tick(
        &self,
        into: &mut Vec<u8>,
        moment: &Moment<'_>,
        active: Option<PerBackend<u64>>,
    ) {
        let said = Said::Tick(TickLine::of(moment.now, active));
        write(into, moment.wall, said);
    }

    pub(super) fn lost(&self, into: &mut Vec<u8>, wall: Wall, lines: u64) {
        write(into, wall, Said::Lost { lines });
    }

    pub(super) fn report(&self, into: &mut Vec<u8>, moment: &Moment<'_>, report: &Report) {
        let said = Said::Report(ReportLine::of(report, self));
        write(into, moment.wall, said);
    }

    /// One that no row judges has no line.
    pub(super) fn observation(
        &self,
        into: &mut Vec<u8>,
        moment: &Moment<'_>,
        observation: &Observation,
    ) {
        let (at, said) = match observation {
            Observation::Placed(it) => (it.at, Said::Placed(PlacedLine::of(it))),
            Observation::Answered(it) => (it.at, Said::Answered(AnsweredLine::of(it, self))),
            Observation::Ended(it) => (it.at, Said::Ended(EndedLine::of(it, self))),
            Observation::Health(it) => (it.at, Said::Health(HealthLine::of(it))),
            Observation::Rescued(it) => (it.at, Said::Rescued(RescuedLine::of(it))),
            _ => return,
        };
        let ago = i64::try_from(millis(moment.now.since(at))).unwrap_or(i64::MAX);
        write(into, Wall(moment.wall.0.saturating_sub(ago)), said);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn write(into: &mut Vec<u8>, at: Wall, said: Said) {
    let line = Line {
        time: time(at),
        said,
    };
    // A vector takes everything, and numbers that JSON lacks become null.
    serde_json::to_writer(&mut *into, &line).expect("words and numbers become JSON");
    into.push(b'\n');
}

/// RFC 3339 with milliseconds, in UTC.
pub(super) fn time(at: Wall) -> String {
    Timestamp::from_millisecond(at.0)
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

/// What a line says, apart from its moment.
pub(super) struct Read {
    pub(super) at: Wall,
    said: Said,
}

/// Reads a line. None: it is of a later version, and says nothing to us.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn decode(line: &[u8]) -> Result<Option<Read>, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| {
        let why = error.to_string();
        // Each line is a text of its own to its reader; and it may be no recording at all.
        mask_numbers(why.split(" at line ").next().unwrap_or(&why))
    })?;
    let at: Timestamp = (line.time.parse()).map_err(|_| "its `time` is no moment".to_owned())?;
    let at = Wall(at.as_millisecond());
    Ok(match line.said {
        Said::Unknown => None,
        said => Some(Read { at, said }),
    })
}

impl Read {
    /// The process's own clock, if that is what it tells; and the calls in progress.
    pub(super) fn tick(&self) -> Option<(Tick, Option<PerBackend<u64>>)> {
        match &self.said {
            Said::Tick(tick) => Some(tick.read()),
            _ => None,
        }
    }

    /// What it says, of a moment that was `at` by the process's own clock.
    ///
    /// # Errors
    ///
    /// It holds a word that nobody knows.
    pub(super) fn what(self, at: Tick) -> Result<What, String> {
        let observation = match self.said {
            Said::Placed(line) => Observation::Placed(line.read(at)?),
            Said::Answered(line) => Observation::Answered(line.read(at)?),
            Said::Ended(line) => Observation::Ended(line.read(at)?),
            Said::Health(line) => Observation::Health(line.read(at)?),
            Said::Rescued(line) => Observation::Rescued(line.read(at)?),
            Said::Report(line) => return Ok(What::Report(line.read()?)),
            Said::State(line) => return Ok(What::State(line.read()?)),
            Said::Lost { lines } => return Ok(What::Lost(lines)),
            Said::Tick(_) | Said::Unknown => return Err("it says nothing".to_owned()),
        };
        Ok(What::Observation(observation))
    }
}
