//! When everything that is closed now will be open.
//!
//! Whether a moment is allowed can change only when a window or the stage's hours begin,
//! when a freeze ends, or when the zone's clocks are changed. The search goes from one of
//! those moments to the next and asks at each.

use jiff::civil::{Date, DateTime};
use jiff::tz::AmbiguousOffset;
use jiff::{SignedDuration, Timestamp};

use super::{Asked, Calendar, DAYS_AHEAD, Earliest};
use crate::rollout::plan::NotBefore;

/// A window begins again within a week; two days more for nights that leave it out.
const DAYS: usize = 9;

impl Calendar {
    /// The first moment from `from` on at which everything allows it. Every round goes
    /// on to a later moment, and there are but a few of those a day.
    pub(super) fn opening(&self, asked: &Asked, from: Timestamp) -> Option<Timestamp> {
        let last = from
            .checked_add(SignedDuration::from_hours(24 * i64::from(DAYS_AHEAD)))
            .unwrap_or(Timestamp::MAX);
        let mut moment = match asked.earliest {
            Earliest::Any => from,
            Earliest::At(at, _) => at.max(from),
            Earliest::Never(_) => return None,
        };
        while moment <= last {
            if let Some(freeze) = self.frozen(moment) {
                moment = freeze.to;
                continue;
            }
            let local = self.zone.to_datetime(moment);
            let mut hours = asked.hours.iter().flatten();
            if self.in_window(local) && hours.all(|hours| hours.hold(local.time())) {
                return Some(moment);
            }
            moment = self.next_turn(asked, moment)?;
        }
        None
    }

    /// A time of day on the plan's first, second, … day. One that the clocks leave out
    /// that night is as much later; one that comes twice is the first of the two.
    pub(super) fn day_of(&self, begun: Timestamp, of: NotBefore) -> Option<Timestamp> {
        let first = self.zone.to_datetime(begun).date();
        let days = SignedDuration::from_hours(24 * (i64::from(of.day) - 1).max(0));
        let date = first.checked_add(days).ok()?;
        self.zone.to_timestamp(date.to_datetime(of.at)).ok()
    }

    /// The next moment at which a window or the hours begin, or the clocks are changed.
    fn next_turn(&self, asked: &Asked, after: Timestamp) -> Option<Timestamp> {
        let changed = self.zone.following(after).next().map(|it| it.timestamp());
        // From the day before: a clock that is set back past midnight has it again.
        let today = self.zone.to_datetime(after).date();
        let days = std::iter::successors(today.yesterday().ok(), |day| day.tomorrow().ok());
        days.take(DAYS + 2)
            .flat_map(|day| self.beginnings(asked, day))
            .flat_map(|local| self.moments(local))
            .flatten()
            .filter(|moment| *moment > after)
            .chain(changed)
            .min()
    }

    /// What begins on a day.
    fn beginnings(&self, asked: &Asked, date: Date) -> impl Iterator<Item = DateTime> {
        let windows = self
            .windows
            .iter()
            .filter(move |window| window.day.is_none_or(|day| day == date.weekday()))
            .map(|window| window.from);
        let hours = asked.hours.iter().flatten().map(|hours| hours.from);
        let times: Vec<_> = windows.chain(hours).collect();
        times.into_iter().map(move |time| date.to_datetime(time))
    }

    /// The moments at which the wall shows this: none, one or two.
    fn moments(&self, local: DateTime) -> [Option<Timestamp>; 2] {
        let at = |offset: jiff::tz::Offset| offset.to_timestamp(local).ok();
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => [at(offset), None],
            // What would have begun in it has begun when the clocks are changed.
            AmbiguousOffset::Gap { .. } => [None, None],
            AmbiguousOffset::Fold { before, after } => [at(before), at(after)],
        }
    }
}
