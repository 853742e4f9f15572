//! Nights on which the clocks are changed, and days of the plan, which are counted.

use super::*;

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
