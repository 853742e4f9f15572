//! Windows, freezes and hours: when they are open, and what is said when they are not.
//! In `tests/nights.rs` the clocks are changed and days are counted, in `tests/words.rs`
//! all of it is read as it was written.

mod nights;
mod properties;
mod words;

use super::*;
use crate::rollout::plan::Volume;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// A calendar with these windows and freezes of whole days.
fn calendar(place: &str, windows: &[&str], freezes: &[(&str, &str)]) -> Calendar {
    let zone = zone(place);
    Calendar {
        windows: windows
            .iter()
            .map(|it| Window::parse(it).unwrap())
            .collect(),
        freezes: freezes
            .iter()
            .map(|(from, to)| Freeze::parse(from, to, "holidays", &zone).unwrap())
            .collect(),
        zone,
    }
}

/// A moment written with its offset.
fn at(text: &str) -> Wall {
    Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
}

fn stage(not_before: Option<&str>, hours: Option<&str>) -> Stage {
    Stage {
        name: "pilot".into(),
        percentage: crate::model::Percentage::FULL,
        soak: std::time::Duration::ZERO,
        calls_min: 20,
        tenants: Vec::new(),
        volume: Volume::All,
        gates: Vec::new(),
        warm_up: std::time::Duration::ZERO,
        not_before: not_before.map(|it| NotBefore::parse(it).unwrap()),
        hours: hours.map(|it| Hours::parse(it).unwrap()),
        approval: false,
        alerts: Vec::new(),
        blind: None,
    }
}

/// When it opens; the moment itself where it is open.
fn opens(answer: Result<(), Closed>, asked: Wall) -> Option<Wall> {
    answer.map_or_else(|closed| closed.opens, |()| Some(asked))
}

#[test]
fn a_window_is_open_from_its_first_minute_until_just_before_its_last() {
    let sunday = calendar("America/Bogota", &["Sunday 02:00-04:00"], &[]);
    for (moment, open) in [
        ("2026-12-20T01:59:59.999-05:00", false),
        ("2026-12-20T02:00:00-05:00", true),
        ("2026-12-20T03:59:59.999-05:00", true),
        ("2026-12-20T04:00:00-05:00", false),
        ("2026-12-21T02:30:00-05:00", false),
        // Sunday there, Monday here: the plan's own zone says which day it is.
        ("2026-12-21T02:30:00+13:00", false),
        ("2026-12-20T20:30:00+13:00", true),
    ] {
        assert_eq!(sunday.allows(at(moment)).is_ok(), open, "{moment}");
    }
    let closed = sunday.allows(at("2026-12-20T04:00:00-05:00")).unwrap_err();
    assert_eq!(closed.opens, Some(at("2026-12-27T02:00:00-05:00")));
    assert_eq!(
        closed.why,
        "it is outside the window (Sunday 02:00-04:00, America/Bogota)"
    );
    assert_eq!(
        sunday.said(closed.opens.unwrap()),
        "Sunday 2026-12-27 02:00 (America/Bogota)"
    );
    assert_eq!(
        sunday.told(&closed),
        "it is outside the window (Sunday 02:00-04:00, America/Bogota); it opens Sunday \
         2026-12-27 02:00 (America/Bogota)"
    );
    let closed = Closed {
        why: format!(
            "nothing is raised before {}: holidays",
            sunday.said(closed.opens.unwrap())
        ),
        ..closed
    };
    assert_eq!(sunday.told(&closed), closed.why, "it says so already");
}

#[test]
fn without_windows_and_freezes_everything_is_allowed_always() {
    let free = Calendar::default();
    assert!(free.allows(Wall(0)).is_ok());
    let beyond = free.allows(Wall(i64::MAX)).unwrap_err();
    assert_eq!(beyond.opens, None, "no date, no step");
}

#[test]
fn zones_west_and_east_have_their_own_sunday() {
    for (place, open, next) in [
        (
            "Pacific/Honolulu",
            "2026-06-07T12:00:00Z",
            "2026-06-14T12:00:00Z",
        ),
        ("Asia/Tokyo", "2026-06-06T17:00:00Z", "2026-06-13T17:00:00Z"),
        (
            "Asia/Kathmandu",
            "2026-06-06T20:15:00Z",
            "2026-06-13T20:15:00Z",
        ),
        (
            "Pacific/Kiritimati",
            "2026-06-06T12:00:00Z",
            "2026-06-13T12:00:00Z",
        ),
    ] {
        let sunday = calendar(place, &["Sunday 02:00-04:00"], &[]);
        assert!(sunday.allows(at(open)).is_ok(), "{place}");
        let before = Wall(at(open).0 - 1);
        assert_eq!(
            sunday.allows(before).unwrap_err().opens,
            Some(at(open)),
            "{place}"
        );
        let after = Wall(at(open).0 + 2 * 3_600_000);
        assert_eq!(
            sunday.allows(after).unwrap_err().opens,
            Some(at(next)),
            "{place}"
        );
    }
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
    let saturday = calendar("Europe/Berlin", &["Saturday 23:00-01:00"], &[]);
    for (moment, open) in [
        ("2026-06-06T22:59:00+02:00", false),
        ("2026-06-06T23:00:00+02:00", true),
        ("2026-06-07T00:59:00+02:00", true),
        ("2026-06-07T01:00:00+02:00", false),
        ("2026-06-06T00:30:00+02:00", false),
        ("2026-06-07T23:30:00+02:00", false),
    ] {
        assert_eq!(saturday.allows(at(moment)).is_ok(), open, "{moment}");
    }
    let nightly = calendar("Europe/Berlin", &["22:00-02:00"], &[]);
    assert!(nightly.allows(at("2026-06-09T01:00:00+02:00")).is_ok());
    assert!(nightly.allows(at("2026-06-09T02:00:00+02:00")).is_err());
    let whole = calendar("Europe/Berlin", &["Friday 00:00-24:00"], &[]);
    assert!(whole.allows(at("2026-06-05T00:00:00+02:00")).is_ok());
    assert!(whole.allows(at("2026-06-05T23:59:00+02:00")).is_ok());
    assert!(whole.allows(at("2026-06-06T00:00:00+02:00")).is_err());
}

#[test]
fn a_freeze_holds_through_the_last_of_its_days() {
    let frozen = calendar("America/Bogota", &[], &[("2026-12-15", "2027-01-06")]);
    for (moment, open) in [
        ("2026-12-14T23:59:59-05:00", true),
        ("2026-12-15T00:00:00-05:00", false),
        ("2027-01-06T23:59:59-05:00", false),
        ("2027-01-07T00:00:00-05:00", true),
    ] {
        assert_eq!(frozen.allows(at(moment)).is_ok(), open, "{moment}");
    }
    let closed = frozen.allows(at("2026-12-20T02:30:00-05:00")).unwrap_err();
    assert_eq!(closed.opens, Some(at("2027-01-07T00:00:00-05:00")));
    assert_eq!(
        closed.why,
        "nothing is raised before Thursday 2027-01-07 00:00 (America/Bogota): holidays"
    );
}

#[test]
fn every_reason_is_named_and_the_opening_is_that_of_all_together() {
    let both = calendar(
        "America/Bogota",
        &["Sunday 02:00-04:00"],
        &[("2026-12-15", "2026-12-24"), ("2026-12-24", "2027-01-06")],
    );
    let asked = at("2026-12-22T12:00:00-05:00");
    let closed = both.allows(asked).unwrap_err();
    assert_eq!(closed.why.matches("; ").count(), 1, "{}", closed.why);
    assert_eq!(closed.opens, Some(at("2027-01-10T02:00:00-05:00")));
    let stage = stage(Some("day 20 00:00"), Some("03:00-12:00"));
    let begun = Some(at("2026-12-22T01:00:00-05:00"));
    let closed = both.stage_allows(&stage, begun, asked).unwrap_err();
    assert_eq!(closed.why.matches("; ").count(), 3, "{}", closed.why);
    assert_eq!(closed.opens, Some(at("2027-01-10T03:00:00-05:00")));
}

#[test]
fn where_windows_and_hours_never_meet_there_is_no_opening() {
    let sunday = calendar("America/New_York", &["Sunday 02:00-04:00"], &[]);
    let asked = at("2026-06-01T12:00:00Z");
    let daytime = stage(None, Some("08:00-18:00"));
    let closed = sunday.stage_allows(&daytime, None, asked).unwrap_err();
    assert_eq!(closed.opens, None);
    let long = calendar("UTC", &[], &[("2026-01-01", "2027-12-31")]);
    assert_eq!(
        long.allows(asked).unwrap_err().opens,
        None,
        "in more than 400 days"
    );
    let shorter = calendar("UTC", &[], &[("2026-01-01", "2027-06-30")]);
    assert_eq!(
        shorter.allows(asked).unwrap_err().opens,
        Some(at("2027-07-01T00:00:00Z"))
    );
}

#[test]
fn hours_of_a_stage_may_run_over_midnight() {
    let utc = Calendar::default();
    let night = stage(None, Some("22:00-06:00"));
    let asks = |text: &str| utc.stage_allows(&night, None, at(text));
    assert!(asks("2026-06-01T22:00:00Z").is_ok());
    assert!(asks("2026-06-01T05:59:00Z").is_ok());
    let closed = asks("2026-06-01T06:00:00Z").unwrap_err();
    assert_eq!(closed.opens, Some(at("2026-06-01T22:00:00Z")));
    assert_eq!(
        closed.why,
        "the stage begins only between 22:00 and 06:00 (UTC)"
    );
}
