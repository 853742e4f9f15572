//! Nights on which the clocks are changed, days that are counted, and words.

use jiff::civil::{Time, Weekday, time};
use proptest::prelude::*;

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

/// New York sets its clocks from 02:00 to 03:00 on 2026-03-08.
#[test]
fn a_window_that_does_not_exist_that_night_opens_a_week_later() {
    let gone = calendar("America/New_York", &["Sunday 02:00-03:00"], &[]);
    let asked = at("2026-03-08T01:30:00-05:00");
    assert_eq!(
        opens(gone.allows(asked), asked),
        Some(at("2026-03-15T02:00:00-04:00"))
    );
    assert!(gone.allows(at("2026-03-08T03:00:00-04:00")).is_err());
    let cut = calendar("America/New_York", &["Sunday 02:30-04:00"], &[]);
    assert_eq!(
        opens(cut.allows(asked), asked),
        Some(at("2026-03-08T03:00:00-04:00")),
        "what is left of it begins when the clocks are changed"
    );
}

/// And from 02:00 back to 01:00 on 2026-11-01.
#[test]
fn a_window_that_comes_twice_that_night_is_open_twice() {
    let twice = calendar("America/New_York", &["Sunday 01:15-01:45"], &[]);
    for (moment, open) in [
        ("2026-11-01T01:15:00-04:00", true),
        ("2026-11-01T01:44:59-04:00", true),
        ("2026-11-01T01:45:00-04:00", false),
        ("2026-11-01T01:14:59-05:00", false),
        ("2026-11-01T01:15:00-05:00", true),
        ("2026-11-01T01:45:00-05:00", false),
    ] {
        assert_eq!(twice.allows(at(moment)).is_ok(), open, "{moment}");
    }
    let between = at("2026-11-01T01:50:00-04:00");
    assert_eq!(
        opens(twice.allows(between), between),
        Some(at("2026-11-01T01:15:00-05:00"))
    );
    let set_back_into = calendar("America/New_York", &["Sunday 00:30-01:30"], &[]);
    let after = at("2026-11-01T01:40:00-04:00");
    assert_eq!(
        opens(set_back_into.allows(after), after),
        Some(at("2026-11-01T01:00:00-05:00")),
        "the clocks are set back into it"
    );
}

/// Beirut's clocks leave out the hour after midnight on 2026-03-29.
#[test]
fn a_day_that_begins_at_one_begins_there() {
    let sunday = calendar("Asia/Beirut", &["Sunday 00:00-02:00"], &[]);
    let asked = at("2026-03-28T20:00:00Z");
    assert_eq!(
        opens(sunday.allows(asked), asked),
        Some(at("2026-03-28T22:00:00Z"))
    );
    let frozen = calendar("Asia/Beirut", &[], &[("2026-03-27", "2026-03-28")]);
    let asked = at("2026-03-28T12:00:00Z");
    assert_eq!(
        opens(frozen.allows(asked), asked),
        Some(at("2026-03-28T22:00:00Z"))
    );
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
fn day_one_is_the_calendar_day_on_which_the_plan_began() {
    let bogota = calendar("America/Bogota", &[], &[]);
    let begun = at("2026-11-20T23:30:00-05:00");
    for (day, opening) in [
        ("day 1 12:00", "2026-11-20T12:00:00-05:00"),
        ("day 2", "2026-11-21T00:00:00-05:00"),
        ("day 2 08:00", "2026-11-21T08:00:00-05:00"),
        ("day 40 08:00", "2026-12-29T08:00:00-05:00"),
    ] {
        let stage = stage(Some(day), None);
        let opening = at(opening);
        let asks = |moment| bogota.stage_allows(&stage, Some(begun), moment);
        assert!(asks(opening).is_ok(), "{day}");
        let early = Wall(opening.0 - 1);
        assert_eq!(opens(asks(early), early), Some(opening), "{day}");
    }
    let closed = bogota
        .stage_allows(&stage(Some("day 2 08:00"), None), Some(begun), begun)
        .unwrap_err();
    assert_eq!(
        closed.why,
        "the stage begins on day 2 08:00 of the plan at the earliest, which is \
         Saturday 2026-11-21 08:00 (America/Bogota)"
    );
}

/// Berlin: 02:30 does not exist on 2026-03-29 and comes twice on 2026-10-25.
#[test]
fn a_day_of_the_plan_is_counted_also_through_a_changed_clock() {
    let berlin = calendar("Europe/Berlin", &[], &[]);
    let opening = |begun: &str| {
        let begun = at(begun);
        let stage = stage(Some("day 2 02:30"), None);
        opens(berlin.stage_allows(&stage, Some(begun), begun), begun)
    };
    assert_eq!(
        opening("2026-03-28T10:00:00+01:00"),
        Some(at("2026-03-29T03:30:00+02:00"))
    );
    assert_eq!(
        opening("2026-10-24T10:00:00+02:00"),
        Some(at("2026-10-25T02:30:00+02:00"))
    );
}

#[test]
fn before_the_plan_began_its_first_day_is_whatever_day_it_begins_on() {
    let bogota = calendar("America/Bogota", &[], &[("2026-11-20", "2026-11-21")]);
    let noon = stage(Some("day 1 12:00"), None);
    let asked = at("2026-11-20T10:00:00-05:00");
    assert_eq!(
        opens(bogota.stage_allows(&noon, None, asked), asked),
        Some(at("2026-11-22T12:00:00-05:00"))
    );
    assert!(
        bogota
            .stage_allows(&noon, None, at("2026-11-25T13:00:00-05:00"))
            .is_ok()
    );
    let second = stage(Some("day 2 12:00"), None);
    let closed = bogota.stage_allows(&second, None, asked).unwrap_err();
    assert_eq!(closed.opens, None, "{}", closed.why);
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

#[test]
fn windows_are_read_as_people_write_them() {
    let window = |day, from: Time, to: Time| Ok(Window { day, from, to });
    let sunday = Some(Weekday::Sunday);
    for (text, read) in [
        (
            "Sunday 02:00-04:00",
            window(sunday, time(2, 0, 0, 0), time(4, 0, 0, 0)),
        ),
        (
            " sun 2:00 – 4:00 ",
            window(sunday, time(2, 0, 0, 0), time(4, 0, 0, 0)),
        ),
        (
            "02:00-04:30",
            window(None, time(2, 0, 0, 0), time(4, 30, 0, 0)),
        ),
        (
            "Sunday 18:00-24:00",
            window(sunday, time(18, 0, 0, 0), Time::midnight()),
        ),
        (
            "00:00-24:00",
            window(None, Time::midnight(), Time::midnight()),
        ),
    ] {
        assert_eq!(Window::parse(text), read, "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_told_how_to_be_written() {
    let window = |text| Window::parse(text).unwrap_err();
    let zone = zone("America/Bogota");
    for (said, part) in [
        (
            window("Sundey 02:00-04:00"),
            "\"Sundey\" is no day of the week (did you mean Sunday?)",
        ),
        (
            window("Domingo 02:00-04:00"),
            "\"Domingo\" is no day of the week: write",
        ),
        (window("Sunday"), "write a window as"),
        (window(""), "\"\" is no day of the week"),
        (window("Sunday 02:00"), "write a window as"),
        (window("Sunday 25:00-26:00"), "\"25:00\" is no time of day"),
        (window("Sunday 2-4"), "\"2\" is no time of day"),
        (window("Sunday 24:00-04:00"), "a day begins at 00:00"),
        (window("02:00-02:00"), "it begins and ends at 02:00"),
        (
            window("Sunday 02:00-04:00 UTC"),
            "\"04:00 UTC\" is no time of day",
        ),
        (Hours::parse("8-18").unwrap_err(), "write hours as"),
        (
            Hours::parse("+8:00-18:00").unwrap_err(),
            "\"+8:00\" is no time of day",
        ),
        (NotBefore::parse("12:00").unwrap_err(), "day 1 12:00"),
        (
            NotBefore::parse("day 0 12:00").unwrap_err(),
            "counted from 1 to 400",
        ),
        (
            NotBefore::parse("day 1 12:00 UTC").unwrap_err(),
            "day 1 12:00",
        ),
        (
            Freeze::begins("15.12.2026", &zone).unwrap_err(),
            "write a date as",
        ),
        (
            Freeze::ends("2026-02-30", &zone).unwrap_err(),
            "write a date as",
        ),
        (
            Freeze::ends("2026-02-03[UTC]", &zone).unwrap_err(),
            "write a date as",
        ),
        (
            Freeze::parse("2026-12-16", "2026-12-15", "why", &zone).unwrap_err(),
            "a freeze ends after it begins",
        ),
    ] {
        assert!(said.contains(part), "{said:?} has no {part:?}");
    }
}

#[test]
fn a_freeze_may_be_written_with_times_and_with_an_offset() {
    let zone = zone("America/Bogota");
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    for (text, begins, ends) in [
        ("2026-12-15", "2026-12-15T05:00:00Z", "2026-12-16T05:00:00Z"),
        (
            "2026-12-15 18:00",
            "2026-12-15T23:00:00Z",
            "2026-12-15T23:00:00Z",
        ),
        (
            "2026-12-15T18:00:30",
            "2026-12-15T23:00:30Z",
            "2026-12-15T23:00:30Z",
        ),
        (
            "2026-12-15T18:00+01:00",
            "2026-12-15T17:00:00Z",
            "2026-12-15T17:00:00Z",
        ),
    ] {
        assert_eq!(Freeze::begins(text, &zone), Ok(at(begins)), "{text}");
        assert_eq!(Freeze::ends(text, &zone), Ok(at(ends)), "{text}");
    }
    assert!(Freeze::parse("2026-12-15", "2026-12-15", "one day", &zone).is_ok());
}

fn any_time() -> impl Strategy<Value = Time> {
    (0i8..24, prop::sample::select(vec![0i8, 15, 30, 59])).prop_map(|(h, m)| time(h, m, 0, 0))
}

fn any_window() -> impl Strategy<Value = Window> {
    let day = prop::option::of(prop::sample::select(vec![
        Weekday::Saturday,
        Weekday::Sunday,
        Weekday::Wednesday,
    ]));
    (day, any_time(), any_time())
        .prop_filter("a window has an end", |(_, from, to)| {
            from != to || *from == Time::midnight()
        })
        .prop_map(|(day, from, to)| Window { day, from, to })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_written_is_read_back(window in any_window()) {
        prop_assert_eq!(Window::parse(&window.to_string()), Ok(window));
    }

    /// Against the simplest search there is: a look at every quarter of an hour. Clocks
    /// are changed, windows begin and freezes end at quarters; 59 is looked at as well.
    #[test]
    fn the_opening_is_the_first_moment_that_is_open(
        windows in prop::collection::vec(any_window(), 0..3),
        place in prop::sample::select(vec![
            "America/New_York", "Asia/Beirut", "Europe/Berlin", "America/Bogota",
            "Australia/Lord_Howe", "Asia/Kathmandu",
        ]),
        // Around the nights of spring and autumn.
        from in prop::sample::select(vec![1_772_700_000_i64, 1_774_600_000, 1_792_800_000, 1_793_300_000]),
        quarters in 0i64..400,
        frozen in prop::option::of(0i64..300),
        hours in prop::option::of((any_time(), any_time())),
    ) {
        let zone = zone(place);
        let start = (from / 900 + quarters) * 900;
        let second = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let calendar = Calendar {
            zone,
            windows,
            freezes: frozen.into_iter().map(|length| Freeze {
                from: second(start - 900),
                to: second(start + length * 900),
                reason: "holidays".into(),
            }).collect(),
        };
        let stage = Stage {
            hours: hours.map(|(from, to)| Hours { from, to }),
            ..stage(None, None)
        };
        let wall = |seconds: i64| Wall(seconds * 1000);
        let asks = |seconds| calendar.stage_allows(&stage, None, wall(seconds));
        let found = opens(asks(start), wall(start));
        let within = (0..96 * 12)
            .flat_map(|quarter| [start + quarter * 900, start + quarter * 900 + 840])
            .find(|moment| {
                let moment = second(*moment);
                calendar.points(&Asked::of(&calendar, &stage, None), moment).is_empty()
            });
        if let Some(first) = within {
            prop_assert_eq!(found, Some(wall(first)));
        } else {
            prop_assert!(found.is_none_or(|found| found > wall(start + 12 * 86_400)));
        }
    }
}
