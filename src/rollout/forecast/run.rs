//! One fault played against one row, until the row trips, and the mean of many.
//!
//! Time goes from event to event: a call is heard, or one leaves the window. Between two
//! of them nothing that the row reads can change.

use std::collections::VecDeque;

use super::dice::Dice;
use super::row::Row;
use crate::measure::early::Suspicion;
use crate::model::Tick;

/// What comes of a row and a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// It trips, in the mean after so much.
    Trips(Mean),
    /// It can trip, and in most runs had not when nobody waited any longer.
    Beyond {
        /// So long was waited.
        seconds: f64,
        /// For so many calls.
        calls: f64,
    },
    /// It cannot trip, false alarms aside.
    Never,
}

/// What a row takes in the mean.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    pub(super) seconds: f64,
    pub(super) calls: f64,
    pub(super) callers: f64,
}

/// Good calls were heard for so long before the fault, in seconds.
const BEFORE: f64 = 3600.0;
/// Nobody waits longer, in seconds: what comes later is no more told than that it does.
const HORIZON: f64 = 86_400.0;
/// Nor for more calls.
const CALLS_MOST: f64 = 20_000.0;
/// A window of more calls than this hardly depends on chance: when it trips is
/// calculated, and it is not kept.
const WINDOW_MOST: f64 = 5000.0;

/// More calls a second than this are taken as so many: the first tenth of a second tells
/// all there is to know.
const RATE_MOST: f64 = 1000.0;

/// At least and at most so many runs, and no more once the mean is known this well.
const RUNS_LEAST: u32 = 24;
const RUNS_MOST: u32 = 600;
const SURE: f64 = 0.035;
/// And no more than this many calls in all runs, so that no row takes long.
const CALLS_OF_ALL: f64 = 150_000.0;

/// How long the row takes in the mean where `rate` calls a second reach new.
pub(super) fn found(row: &Row, rate: f64) -> Found {
    if !rate.is_finite() || rate <= 0.0 {
        return Found::Never;
    }
    let rate = rate.min(RATE_MOST);
    let window = window(row, rate);
    if row.early.is_none() && matches!(window, Window::Never) {
        return Found::Never;
    }
    let mut dice = Dice::new(0x5EED_CA11);
    let (mut sum, mut squares) = (Mean::default(), 0.0);
    let (mut runs, mut trips) = (0u32, 0u32);
    while runs < RUNS_MOST {
        let run = Run::new(row, rate, window, &mut dice).play();
        runs += 1;
        trips += u32::from(run.tripped);
        sum.seconds += run.seconds;
        sum.calls += run.calls;
        sum.callers += run.callers;
        squares += run.calls * run.calls;
        if runs < RUNS_LEAST {
            continue;
        }
        let (count, mean) = (f64::from(runs), sum.calls / f64::from(runs));
        let error = (squares / count - mean * mean).max(0.0).sqrt() / count.sqrt();
        if error < SURE * mean || sum.calls > CALLS_OF_ALL {
            break;
        }
    }
    if trips * 2 < runs {
        let seconds = horizon(rate);
        return Found::Beyond {
            seconds,
            calls: seconds * rate,
        };
    }
    // What was waited for in vain counts as well: all waiting, by how often it ended.
    let of = f64::from(trips);
    // Of the calls that the row hears later, those that begin meanwhile meet the fault.
    let unheard = row.lag * rate;
    Found::Trips(Mean {
        seconds: sum.seconds / of + row.lag,
        calls: sum.calls / of + unheard,
        callers: sum.callers / of + unheard * row.fault,
    })
}

/// So many seconds are waited at so many calls a second.
fn horizon(rate: f64) -> f64 {
    HORIZON.min(CALLS_MOST / rate)
}

/// What becomes of the window.
#[derive(Clone, Copy, Debug)]
enum Window {
    /// It does not trip, or its minimum is out of reach.
    Never,
    /// It is kept, call by call.
    Kept,
    /// It trips after so many seconds.
    After(f64),
}

fn window(row: &Row, rate: f64) -> Window {
    // Six standard deviations: once in a thousand million windows.
    let reach = |mean: f64| mean + 6.0 * mean.sqrt() + 3.0;
    let expected = rate * row.over;
    let out_of_reach =
        row.calls_min > reach(expected) || row.failed_min > reach(expected * row.fault);
    if !row.windowed || out_of_reach {
        return Window::Never;
    }
    let before = row.over.min(BEFORE);
    if rate * row.over.min(before + HORIZON) <= WINDOW_MOST {
        return Window::Kept;
    }
    // Which share of the window must be from after the fault, and when it is.
    let mean = row.fault * row.bad + (1.0 - row.fault) * row.good;
    let share = ((row.bar - row.good) / (mean - row.good)).clamp(0.0, 1.0);
    let while_it_fills = share * before / (1.0 - share).max(1e-9);
    let after = if while_it_fills + before <= row.over {
        while_it_fills
    } else {
        share * row.over
    };
    let failed = row.failed_min / (row.fault * rate);
    Window::After(after.max(failed))
}

/// One run: seconds and calls since the fault.
#[derive(Debug)]
struct Run<'a> {
    row: &'a Row,
    rate: f64,
    window: Window,
    dice: &'a mut Dice,
    early: Option<Suspicion>,
    /// The sequential test was sure when it last heard something.
    suspects: bool,
    now: f64,
    /// Calls from before the fault that are still in the window, and when the next of
    /// them leaves it.
    before: u64,
    before_leaves: f64,
    /// Calls since, oldest first: at most [`WINDOW_MOST`] and what chance adds.
    since: VecDeque<(f64, bool)>,
    calls: u64,
    bad: u64,
    /// Bad ones that are in the window.
    failed: u64,
    /// Since when the condition stands.
    standing: Option<f64>,
}

#[derive(Debug)]
struct Played {
    tripped: bool,
    seconds: f64,
    calls: f64,
    callers: f64,
}

impl<'a> Run<'a> {
    fn new(row: &'a Row, rate: f64, window: Window, dice: &'a mut Dice) -> Self {
        let before = match window {
            Window::Kept => dice.number(rate * row.over.min(BEFORE)),
            Window::Never | Window::After(_) => 0,
        };
        let mut run = Self {
            row,
            rate,
            window,
            dice,
            early: row.early.clone(),
            suspects: false,
            now: 0.0,
            before,
            before_leaves: (row.over - BEFORE).max(0.0),
            since: VecDeque::new(),
            calls: 0,
            bad: 0,
            failed: 0,
            standing: None,
        };
        run.draw_before();
        run
    }

    fn play(mut self) -> Played {
        let mut last = horizon(self.rate);
        if let Window::After(after) = self.window {
            last = last.max(after);
        }
        let mut call = self.dice.gap(self.rate);
        loop {
            let next = call
                .min(self.leaves())
                .min(self.forgets())
                .min(self.fills());
            if let Some(since) = self.standing {
                let trips = since + self.row.hold;
                if trips <= next {
                    self.now = trips;
                    return self.played(true);
                }
            } else if next > last {
                self.now = last;
                return self.played(false);
            }
            self.now = next;
            if next >= call {
                call = self.hear(call);
            } else {
                self.turn(next);
            }
            let met = self.is_met();
            if !met {
                self.standing = None;
            } else if self.standing.is_none() {
                self.standing = Some(self.now);
            }
        }
    }

    /// Takes the calls of one batch, the first of them now; says when the next comes.
    fn hear(&mut self, first: f64) -> f64 {
        let batch = (first / self.row.batch).floor();
        let (mut bad, mut good) = (0, 0);
        let mut at = first;
        while (at / self.row.batch).floor() <= batch {
            let is_bad = self.dice.roll() < self.row.fault;
            bad += u64::from(is_bad);
            good += u64::from(!is_bad);
            if matches!(self.window, Window::Kept) {
                self.since.push_back((at, is_bad));
            }
            self.now = at;
            at += self.dice.gap(self.rate);
        }
        self.calls += bad + good;
        self.bad += bad;
        self.failed += bad;
        if let Some(early) = &mut self.early {
            early.add(bad, good, tick(self.now));
            // Good calls alone cannot make it sure.
            if bad > 0 || self.suspects {
                self.suspects = early.level() >= 1.0;
            }
        }
        at
    }

    /// Something leaves: a call the window, or the sequential test its certainty.
    fn turn(&mut self, now: f64) {
        if self.forgets() <= now {
            self.suspects = false;
            if let Some(early) = &mut self.early {
                early.clear(tick(now));
            }
        }
        if self.before > 0 && self.before_leaves <= now {
            self.before -= 1;
            self.draw_before();
        }
        while let Some((at, is_bad)) = self.since.front().copied()
            && at + self.row.over <= now
        {
            self.since.pop_front();
            self.failed -= u64::from(is_bad);
        }
    }

    fn is_met(&self) -> bool {
        let by_window = match self.window {
            Window::Never => false,
            Window::Kept => {
                let calls = self.before + self.since.len() as u64;
                self.row.is_met(calls, self.failed)
            }
            Window::After(after) => self.now >= after,
        };
        by_window || self.suspects
    }

    /// When the oldest call leaves the window.
    fn leaves(&self) -> f64 {
        let since = self
            .since
            .front()
            .map_or(f64::INFINITY, |(at, _)| at + self.row.over);
        if self.before > 0 {
            since.min(self.before_leaves)
        } else {
            since
        }
    }

    /// When a sequential test that is sure and hears nothing more forgets.
    fn forgets(&self) -> f64 {
        match &self.early {
            Some(early) if self.suspects => early.heard().0 as f64 / 1e6 + self.row.over,
            _ => f64::INFINITY,
        }
    }

    /// When a window that is not kept trips.
    fn fills(&self) -> f64 {
        match self.window {
            Window::After(after) if self.now < after => after,
            _ => f64::INFINITY,
        }
    }

    /// Draws when the next of the calls from before the fault leaves: the first of so
    /// many that leave at any time until the window holds none of them.
    fn draw_before(&mut self) {
        if self.before == 0 || !self.row.over.is_finite() {
            self.before_leaves = f64::INFINITY;
            return;
        }
        let left = self.row.over - self.before_leaves;
        let latest = self.dice.roll().powf(1.0 / self.before as f64);
        self.before_leaves = self.row.over - left * latest;
    }

    fn played(&self, tripped: bool) -> Played {
        Played {
            tripped,
            seconds: self.now,
            calls: self.calls as f64,
            callers: self.bad as f64,
        }
    }
}

fn tick(seconds: f64) -> Tick {
    // At most a few days, never below zero.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let micros = (seconds * 1e6).max(0.0) as u64;
    Tick(micros)
}
