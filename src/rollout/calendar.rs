//! When a step toward new is allowed: windows of the week, freezes, the plan's own days.
//! A step toward legacy never asks here.
//!
//! A window is open while the clock on the wall of the plan's zone shows a time within
//! it. That one sentence also says what happens when the clocks are changed: an hour
//! that is left out that night opens nothing, one that comes twice is open twice. Nothing
//! is remembered between two questions, so a clock that is stepped neither skips an
//! opening nor has it twice.

mod opening;
#[cfg(test)]
mod tests;
mod text;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;

use super::plan::{Hours, NotBefore, Stage};
use crate::model::Wall;

/// The next opening is looked for this many days ahead; a plan that waits longer for it
/// is told that there is none.
pub const DAYS_AHEAD: u16 = 400;

/// When steps toward new are allowed, in one time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// Whose days and hours these are.
    pub zone: TimeZone,
    /// Steps toward new are allowed only inside these; none: always.
    pub windows: Vec<Window>,
    /// And never inside these.
    pub freezes: Vec<Freeze>,
}

impl Default for Calendar {
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            windows: Vec::new(),
            freezes: Vec::new(),
        }
    }
}

/// A span of every week: `Sunday 02:00-04:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The day it begins on; None: every day.
    pub day: Option<Weekday>,
    /// From then on.
    pub from: Time,
    /// Until just before then; not after `from`: on the next day.
    pub to: Time,
}

/// A span in which nothing is raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// From then on.
    pub from: Timestamp,
    /// Until just before then.
    pub to: Timestamp,
    /// Why, for whoever is refused.
    pub reason: String,
}

/// Why a step toward new is not allowed just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Everything that stands in its way, in words.
    pub why: String,
    /// When all of it will be out of the way, if that is within [`DAYS_AHEAD`].
    pub opens: Option<Wall>,
}

impl Calendar {
    /// Is a step toward new allowed at this moment? Cheap while it is; while it is not,
    /// the search for the next opening may take up to a millisecond or so, so that a
    /// refusal is better kept until `opens` than asked for ten times a second.
    pub fn allows(&self, at: Wall) -> Result<(), Closed> {
        self.ask(&Asked::default(), at)
    }

    /// May this stage begin at this moment? Windows, freezes and the stage's own hours
    /// and day together. `begun` is when the first stage of this run of the plan began;
    /// None before that: then day 1 is whatever day it begins on.
    pub fn stage_allows(&self, stage: &Stage, begun: Option<Wall>, at: Wall) -> Result<(), Closed> {
        self.ask(&Asked::of(self, stage, begun), at)
    }

    /// A moment in the calendar's own zone: `Sunday 2026-12-20 02:00 (America/Bogota)`.
    pub fn said(&self, at: Wall) -> String {
        Timestamp::from_millisecond(at.0).map_or_else(
            |_| "a moment beyond every calendar".to_owned(),
            |moment| {
                let local = self.zone.to_datetime(moment);
                let time = local.strftime("%A %Y-%m-%d %H:%M");
                format!("{time} ({})", self.zone_name())
            },
        )
    }

    /// Why not now, and when then: for people.
    pub fn told(&self, closed: &Closed) -> String {
        let why = &closed.why;
        match closed.opens.map(|opens| self.said(opens)) {
            // A freeze says itself when it ends.
            Some(opens) if !why.contains(&opens) => format!("{why}; it opens {opens}"),
            _ => why.clone(),
        }
    }

    fn ask(&self, asked: &Asked, at: Wall) -> Result<(), Closed> {
        let Ok(moment) = Timestamp::from_millisecond(at.0) else {
            return Err(Closed {
                why: "the clock of this machine shows no date of any calendar".to_owned(),
                opens: None,
            });
        };
        let points = self.points(asked, moment);
        if points.is_empty() {
            return Ok(());
        }
        Err(Closed {
            why: points.join("; "),
            opens: self.opening(asked, moment).map(|opens| {
                // Never a millisecond early.
                let cut = i64::from(opens.subsec_nanosecond() % 1_000_000 != 0);
                Wall(opens.as_millisecond() + cut)
            }),
        })
    }

    /// Everything that stands in the way, each in one clause.
    fn points(&self, asked: &Asked, moment: Timestamp) -> Vec<String> {
        let local = self.zone.to_datetime(moment);
        let mut points = Vec::new();
        if let Some(freeze) = self.frozen(moment) {
            points.push(format!(
                "nothing is raised before {}: {}",
                self.said(Wall(freeze.to.as_millisecond())),
                freeze.reason
            ));
        }
        if !self.in_window(local) {
            points.push(self.outside());
        }
        for hours in asked.hours.iter().flatten() {
            if !hours.hold(local.time()) {
                points.push(format!(
                    "the stage begins only between {} and {} ({})",
                    text::time(hours.from),
                    text::end(hours.to),
                    self.zone_name()
                ));
            }
        }
        match asked.earliest {
            Earliest::Any => {}
            Earliest::At(from, said) => {
                if moment < from {
                    points.push(format!(
                        "the stage begins on {said} of the plan at the earliest, which is {}",
                        self.said(Wall(from.as_millisecond()))
                    ));
                }
            }
            Earliest::Never(said) => points.push(format!(
                "the stage begins on {said} of the plan, and the plan has not begun: day 1 is \
                 the day on which its first stage begins"
            )),
        }
        points
    }

    /// The freeze that lasts longest of those that hold at a moment.
    fn frozen(&self, moment: Timestamp) -> Option<&Freeze> {
        self.freezes
            .iter()
            .filter(|freeze| freeze.from <= moment && moment < freeze.to)
            .max_by_key(|freeze| freeze.to)
    }

    fn in_window(&self, local: DateTime) -> bool {
        self.windows.is_empty() || self.windows.iter().any(|window| window.holds(local))
    }

    fn outside(&self) -> String {
        /// More windows than this are counted, not listed.
        const LISTED: usize = 4;
        let mut listed: Vec<String> = self
            .windows
            .iter()
            .take(LISTED)
            .map(Window::to_string)
            .collect();
        let more = self.windows.len().saturating_sub(LISTED);
        if more > 0 {
            listed.push(format!("{more} more"));
        }
        let which = match self.windows.len() {
            1 => "the window",
            _ => "every window",
        };
        format!(
            "it is outside {which} ({}, {})",
            listed.join(", "),
            self.zone_name()
        )
    }

    fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("the plan's zone")
    }
}

impl Window {
    /// Is it open while a wall in its zone shows this?
    fn holds(&self, local: DateTime) -> bool {
        let (date, time) = (local.date(), local.time());
        let begins_on = |day: Weekday| self.day.is_none_or(|own| own == day);
        if self.from < self.to {
            return begins_on(date.weekday()) && (self.from..self.to).contains(&time);
        }
        let before = date.weekday().previous();
        begins_on(date.weekday()) && time >= self.from || begins_on(before) && time < self.to
    }
}

impl Hours {
    /// Is this time of day within them?
    fn hold(&self, time: Time) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&time)
        } else {
            time >= self.from || time < self.to
        }
    }
}

/// What one question adds to windows and freezes.
#[derive(Debug, Default)]
struct Asked {
    hours: [Option<Hours>; 2],
    earliest: Earliest,
}

/// From when on a stage may begin.
#[derive(Clone, Copy, Debug, Default)]
enum Earliest {
    /// From any moment on.
    #[default]
    Any,
    /// From this one on.
    At(Timestamp, NotBefore),
    /// It waits for a day that only its own beginning would count from.
    Never(NotBefore),
}

impl Asked {
    fn of(calendar: &Calendar, stage: &Stage, begun: Option<Wall>) -> Self {
        let mut asked = Self {
            hours: [stage.hours, None],
            earliest: Earliest::Any,
        };
        let begun = begun.and_then(|begun| Timestamp::from_millisecond(begun.0).ok());
        match (stage.not_before, begun) {
            (None, _) => {}
            (Some(from), Some(begun)) => {
                // Past the end of the calendar is never.
                asked.earliest = calendar
                    .day_of(begun, from)
                    .map_or(Earliest::Never(from), |at| Earliest::At(at, from));
            }
            // The plan would begin with this stage, today or any other day.
            (Some(from), None) if from.day <= 1 => {
                asked.hours[1] = (from.at != Time::midnight()).then_some(Hours {
                    from: from.at,
                    to: Time::midnight(),
                });
            }
            (Some(from), None) => asked.earliest = Earliest::Never(from),
        }
        asked
    }
}
