//! Hours, added up to one line a day.

use std::io::{self, Write};

use jiff::civil::Date;

use super::block::DIM;
use crate::measure::totals::Hour;
use crate::model::{Backend, PerBackend};

/// The day that is being added up.
#[derive(Debug, Default)]
pub(super) struct Days {
    date: Option<Date>,
    sides: PerBackend<Side>,
}

/// One backend's day.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    calls: u64,
    good: u64,
    failed: u64,
}

impl Days {
    pub(super) fn add(&mut self, date: Date, hour: &Hour) {
        self.date = Some(date);
        for backend in Backend::ALL {
            let (side, sums) = (&mut self.sides[backend], &hour.sides[backend]);
            side.calls = side.calls.saturating_add(sums.begun);
            side.good = side.good.saturating_add(sums.good);
            side.failed = side.failed.saturating_add(sums.failed);
        }
    }

    /// Ends the day that is being added up, unless it is this one.
    pub(super) fn end_before(&mut self, date: Date, out: &mut dyn Write) -> io::Result<()> {
        match self.date {
            Some(day) if day != date => self.end(out),
            _ => Ok(()),
        }
    }

    /// Ends the day that is being added up.
    pub(super) fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Self { date, sides } = std::mem::take(self);
        let Some(date) = date else {
            return Ok(());
        };
        let [legacy, new] = Backend::ALL.map(|backend| sides[backend].said(backend));
        writeln!(out, "{DIM}{date}  calls begun: {legacy}, {new}{DIM:#}\n")
    }
}

impl Side {
    fn said(&self, backend: Backend) -> String {
        let answers = self.good + self.failed;
        let calls = self.calls;
        if answers == 0 {
            return format!("{calls} on {backend}");
        }
        // For people: a share to a hundredth of a percent.
        let share = 100.0 * self.failed as f64 / answers as f64;
        format!("{calls} on {backend} ({share:.2} % of {answers} answers failed)")
    }
}
