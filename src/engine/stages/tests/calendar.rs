//! What raises waits for its window and for the end of a freeze; what goes back does not.

use super::*;
use crate::rollout::List;

/// A Monday, 00:00 UTC.
const MONDAY: Wall = Wall(1_767_571_200_000);

/// Raises only on Sundays from two to four.
fn sundays() -> Calendar {
    Calendar {
        zone: TimeZone::UTC,
        windows: vec![Window {
            day: Some(jiff::civil::Weekday::Sunday),
            from: time(2, 0, 0, 0),
            to: time(4, 0, 0, 0),
        }],
        freezes: Vec::new(),
    }
}

fn frozen() -> Calendar {
    let day = |wall: i64| jiff::Timestamp::from_millisecond(wall).unwrap();
    Calendar {
        freezes: vec![Freeze {
            from: day(0),
            to: day(MONDAY.0 * 2),
            reason: "holidays".to_owned(),
        }],
        ..Calendar::default()
    }
}

fn planned(calendar: Calendar, advance: Advance) -> Settings {
    let plan = Plan {
        calendar,
        ..plan(advance)
    };
    with(vec![], plan)
}

/// The calendar is put to a moment while no stage runs.
fn at(wall: Wall, settings: Settings) -> Bench {
    let mut bench = bench(settings);
    bench.wall = wall;
    bench.tick();
    bench.record_all();
    bench
}

#[test]
fn a_closed_window_holds_the_plan_and_an_open_one_lets_it_go() {
    let mut bench = at(MONDAY, planned(sundays(), Advance::Auto));
    assert_eq!(began(&look(&mut bench)), [""; 0]);
    let points = waits_for(&mut bench);
    assert_eq!(points.len(), 1, "{points:?}");
    bench.wait(6 * DAY + HOUR + mins(59));
    assert_eq!(began(&look(&mut bench)), [""; 0], "a minute early");
    bench.wait(mins(1));
    assert_eq!(began(&look(&mut bench)), ["pilot"]);
}

#[test]
fn a_hotfix_passes_over_the_window_and_says_so() {
    let mut bench = at(MONDAY, planned(sundays(), Advance::Manual));
    let why = refused(&give(&mut bench, Command::Advance));
    assert!(why.contains("--hotfix"), "{why}");
    for command in [Command::Advance, Command::Percentage(percent(20))] {
        let mut hotfix = order(command);
        hotfix.waives.window = true;
        bench.handle(Event::Order {
            ticket: TICKET,
            order: hotfix,
        });
        bench.record_all();
        let said = entries(&bench.said).pop().unwrap().said();
        assert!(said.contains("Passed over: "), "{said}");
    }
    assert_eq!(stands(&bench), (Some("pilot"), Phase::Soaking, percent(20)));
}

#[test]
fn a_freeze_blocks_what_raises_and_nothing_else() {
    let mut bench = at(MONDAY, planned(Calendar::default(), Advance::Manual));
    give(&mut bench, Command::Advance);
    give(&mut bench, Command::Percentage(percent(40)));
    let mut fresh = planned(frozen(), Advance::Manual);
    fresh.wishes.percentage = percent(60);
    bench.reload(fresh);
    bench.record_all();
    assert_eq!(
        bench.engine.split().percentage,
        percent(40),
        "the file waits as well"
    );
    let tenant = |list| Command::Tenant {
        id: "acme".to_owned(),
        list,
    };
    for raise in [
        Command::Percentage(percent(50)),
        tenant(Some(List::Enabled)),
    ] {
        let why = refused(&give(&mut bench, raise));
        assert!(
            why.contains("holidays") && why.contains("--hotfix"),
            "{why}"
        );
    }
    for (step, share) in [
        (Command::Percentage(percent(30)), 30),
        (tenant(Some(List::Disabled)), 30),
        (
            Command::Rollback(Level::Partial(percent(20)), Live::Drain),
            20,
        ),
        (Command::Hold, 20),
        (Command::Resume { percentage: None }, 20),
        (Command::Rollback(Level::Total, Live::Drain), 0),
        (Command::Resume { percentage: None }, 0),
    ] {
        let effects = give(&mut bench, step.clone());
        assert!(
            crate::engine::bench::names(&effects).contains(&"done"),
            "{step:?}"
        );
        assert_eq!(bench.engine.split().percentage, percent(share), "{step:?}");
    }
    give(&mut bench, Command::Rollback(Level::Total, Live::Drain));
    give(
        &mut bench,
        Command::EmergencyStop(crate::rollout::Emergency::Legacy),
    );
}

#[test]
fn to_resume_at_a_share_is_a_raise_and_waits_for_the_calendar() {
    let mut bench = at(MONDAY, planned(Calendar::default(), Advance::Manual));
    give(&mut bench, Command::Percentage(percent(40)));
    give(&mut bench, Command::Rollback(Level::Total, Live::Drain));
    bench.reload(planned(frozen(), Advance::Manual));
    bench.record_all();
    let share = Command::Resume {
        percentage: Some(percent(10)),
    };
    assert!(refused(&give(&mut bench, share)).contains("holidays"));
    assert!(bench.engine.split().latched);
}
