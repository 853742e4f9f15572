//! What rows read that look over more than an hour, or since their stage began: hours
//! of the journal added up, and the running one.

use std::time::Duration;

use super::{Measure, Rule, STAGE};
use crate::measure::scorecard::Scorecard;
use crate::measure::totals::{Sums, Totals};
use crate::model::{Backend, PerBackend, Tick, Wall};

/// Closed hours are added up anew at least so often, in milliseconds: what leaves the
/// span leaves by the hour.
const ANEW_MS: i64 = 60_000;

/// The sums of every long span that a row asks for. Bounded by the rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Longs {
    of: Vec<Long>,
    made: Option<Made>,
}

#[derive(Clone, Debug)]
struct Long {
    over: Duration,
    /// For gates, which begin to look when their stage is warm.
    gate: bool,
    /// A quantile is read.
    buckets: bool,
    closed: PerBackend<Seen>,
    /// Which hours that is.
    hours: PerBackend<Option<Hours>>,
    now: PerBackend<Seen>,
}

/// Some of the closed hours, from one to the last: how many, when the first began and
/// when the last ended.
type Hours = (usize, Option<Wall>, Option<Wall>);

/// Sums and how much time they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) sums: Sums,
    pub(super) watched: Duration,
}

/// What the closed hours were added up from.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Made {
    minute: i64,
    hours: usize,
    last: Option<Wall>,
    from: Wall,
    gates_from: Wall,
}

/// From when on things count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    pub(super) now: Tick,
    pub(super) wall: Wall,
    /// New's hours from before this do not count; what `over = "stage"` begins with.
    pub(super) from: Wall,
    /// The same for gates.
    pub(super) gates_from: Wall,
    /// When the running hour began.
    pub(super) hour: Tick,
    /// When the epoch began.
    pub(super) epoch: Tick,
}

impl Longs {
    /// What these rows ask for.
    pub(super) fn of<'a>(rules: impl Iterator<Item = (&'a Rule, bool)>) -> Self {
        let mut longs = Self::default();
        for (rule, gate) in rules.filter(|(rule, _)| rule.is_long()) {
            let buckets = matches!(
                rule.measure,
                Measure::ResponseTimeP50 | Measure::ResponseTimeP95 | Measure::ResponseTimeP99
            );
            match longs.find(rule.over, gate) {
                Some(place) => longs.of[place].buckets |= buckets,
                None => longs.of.push(Long {
                    over: rule.over,
                    gate,
                    buckets,
                    closed: PerBackend::default(),
                    hours: PerBackend::default(),
                    now: PerBackend::default(),
                }),
            }
        }
        longs
    }

    /// Moves every span on to now.
    pub(super) fn advance(
        &mut self,
        since: Since,
        history: &Totals,
        cards: &PerBackend<Scorecard>,
    ) {
        if self.of.is_empty() {
            return;
        }
        let made = Made {
            minute: since.wall.0.div_euclid(ANEW_MS),
            hours: history.hours.len(),
            last: history.hours.back().map(|hour| hour.to),
            from: since.from,
            gates_from: since.gates_from,
        };
        let anew = self.made.replace(made) != Some(made);
        for long in &mut self.of {
            if anew {
                long.close(since, history);
            }
            long.run(since, cards);
        }
    }

    /// One side's sums over a span.
    pub(super) fn get(&self, over: Duration, gate: bool, backend: Backend) -> Option<&Seen> {
        self.find(over, gate)
            .map(|place| &self.of[place].now[backend])
    }

    fn find(&self, over: Duration, gate: bool) -> Option<usize> {
        self.of
            .iter()
            .position(|long| long.over == over && long.gate == gate)
    }
}

impl Long {
    fn close(&mut self, since: Since, history: &Totals) {
        let from = if self.gate {
            since.gates_from
        } else {
            since.from
        };
        let span = i64::try_from(self.over.as_millis()).unwrap_or(i64::MAX);
        let trailing = Wall(since.wall.0.saturating_sub(span));
        for backend in Backend::ALL {
            // Legacy is no other backend because a stage began.
            let from = match backend {
                Backend::Legacy if self.over != STAGE => trailing,
                _ => trailing.max(from),
            };
            let first = history.since(from).next().map(|hour| hour.from);
            let last = history.hours.back().map(|hour| hour.to);
            let hours = Some((history.since(from).count(), first, last));
            // A span moves on by the minute, and loses an hour only once an hour.
            if std::mem::replace(&mut self.hours[backend], hours) == hours {
                continue;
            }
            let mut seen = Seen::default();
            for hour in history.since(from) {
                let sums = &hour.sides[backend];
                match self.buckets {
                    true => seen.sums.add(sums),
                    false => seen.sums.add_counts(sums),
                }
                seen.watched += hour.watched();
            }
            self.closed[backend] = seen;
        }
    }

    fn run(&mut self, since: Since, cards: &PerBackend<Scorecard>) {
        let warming = self.gate && since.wall < since.gates_from;
        for backend in Backend::ALL {
            let mut seen = self.closed[backend].clone();
            if !warming {
                seen.sums.add(&cards[backend].running(self.buckets));
                let from = match backend {
                    Backend::Legacy => since.hour,
                    Backend::New => since.hour.max(since.epoch),
                };
                seen.watched += since.now.since(from);
            }
            self.now[backend] = seen;
        }
    }
}
