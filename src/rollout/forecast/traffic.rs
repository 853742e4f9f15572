//! How many calls an hour to expect, from the hours there were.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::measure::totals::{Hour, Totals};
use crate::model::{Backend, Wall};

/// Milliseconds of an hour of the week that must have been seen before it speaks for
/// itself; and of all hours, before anything is said.
const SEEN_LEAST: i64 = 10 * 60 * 1000;

/// Calls an hour in all that are to be expected at a moment: as many as at the same hour
/// of the week before, in this zone; where that hour was not seen, as many as in the mean
/// of all hours. None before anything was seen.
pub fn traffic(history: &Totals, zone: &TimeZone, at: Wall) -> Option<f64> {
    let hour = hour_of_week(zone, at.0)?;
    // In zones half an hour off, an hour of the totals belongs where most of it is.
    let same = history
        .hours
        .iter()
        .filter(|it| hour_of_week(zone, it.middle().0) == Some(hour));
    mean(same).or_else(|| mean(history.hours.iter()))
}

/// Parts of hours weigh as much as they lasted: a step of the rollout cuts one in two.
fn mean<'a>(hours: impl Iterator<Item = &'a Hour>) -> Option<f64> {
    let (mut calls, mut millis) = (0.0, 0_i64);
    for hour in hours {
        let begun = |backend| hour.sides[backend].begun as f64;
        calls += Backend::ALL.into_iter().map(begun).sum::<f64>();
        let lasted = hour.to.0.saturating_sub(hour.from.0).max(0);
        millis = lasted.saturating_add(millis);
    }
    (millis >= SEEN_LEAST).then(|| calls * 3_600_000.0 / millis as f64)
}

fn hour_of_week(zone: &TimeZone, millis: i64) -> Option<(i8, i8)> {
    let local = zone.to_datetime(Timestamp::from_millisecond(millis).ok()?);
    Some((local.weekday().to_monday_zero_offset(), local.hour()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::totals::Sums;
    use crate::model::PerBackend;

    const HOUR: i64 = 3_600_000;
    /// Monday 2026-06-01 00:00 UTC.
    const MONDAY: i64 = 1_780_272_000_000;

    fn totals(hours: &[(i64, i64, u64)]) -> Totals {
        let mut totals = Totals::default();
        for (from, lasted, begun) in hours {
            let side = |begun| Sums {
                begun,
                ..Sums::default()
            };
            totals.take(Hour {
                from: Wall(*from),
                to: Wall(from + lasted),
                stage: 0,
                sides: PerBackend {
                    legacy: side(begun - begun / 4),
                    new: side(begun / 4),
                },
            });
        }
        totals
    }

    fn expected(totals: &Totals, at: i64) -> Option<f64> {
        traffic(totals, &TimeZone::UTC, Wall(at))
    }

    #[test]
    fn the_same_hour_of_the_week_before_says_what_to_expect() {
        let week = 7 * 24 * HOUR;
        let totals = totals(&[
            (MONDAY, HOUR, 100),
            (MONDAY + HOUR, HOUR, 500),
            (MONDAY + week, HOUR, 140),
        ]);
        assert_eq!(expected(&totals, MONDAY + 2 * week + 60_000), Some(120.0));
        assert_eq!(expected(&totals, MONDAY + 2 * week + HOUR), Some(500.0));
        let tuesday = MONDAY + 24 * HOUR;
        assert_eq!(
            expected(&totals, tuesday),
            Some(740.0 / 3.0),
            "the mean of all"
        );
        let bogota = TimeZone::get("America/Bogota").unwrap();
        let same = traffic(&totals, &bogota, Wall(MONDAY + 2 * week));
        assert_eq!(same, Some(120.0));
    }

    #[test]
    fn a_cut_hour_weighs_as_much_as_it_lasted() {
        let totals = totals(&[
            (MONDAY, HOUR / 4, 10),
            (MONDAY + HOUR / 4, 3 * HOUR / 4, 110),
        ]);
        assert_eq!(expected(&totals, MONDAY), Some(120.0));
    }

    #[test]
    fn nothing_seen_is_not_no_calls() {
        assert_eq!(expected(&Totals::default(), MONDAY), None);
        assert_eq!(expected(&totals(&[(MONDAY, 60_000, 9)]), MONDAY), None);
        assert_eq!(expected(&totals(&[(MONDAY, HOUR, 0)]), MONDAY), Some(0.0));
    }
}
