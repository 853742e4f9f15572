//! Windows, hours, days and freezes as people write them.

use jiff::civil::{Time, Weekday, time};

use super::*;

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
