//! What holds for every window: it is read back as it was written, and the opening that
//! is found is the first there is.

use jiff::civil::{Time, Weekday, time};
use proptest::prelude::*;

use super::*;

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
