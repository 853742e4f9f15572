//! A soak lasts as long as it lasts, over restarts and whatever the calendar says.

use super::*;

#[test]
fn a_restart_in_the_middle_of_a_soak_goes_on_with_it() {
    let mut bench = in_pilot(vec![], plan(Advance::Auto));
    bench.wait(HOUR);
    bench.tick();
    let settings = bench.engine.settings.clone();
    let rollout = folded(&bench);
    let mut back = Bench::on(settings.clone(), rollout.clone(), None);
    // Bench::on begins at its own moment; a restart goes on at the calendar's.
    let (engine, first) = Engine::new(settings, rollout, None, back.now, bench.wall);
    (back.engine, back.wall) = (engine, bench.wall);
    assert_eq!(began(&first), [""; 0]);
    let shown = status(&mut back).plan.unwrap();
    assert!(
        shown.soaked >= HOUR && shown.soaked < HOUR + mins(1),
        "{:?}",
        shown.soaked
    );
    // The gate has forgotten, and needs its hour.
    back.wait(mins(30));
    back.begin(30);
    back.tick();
    back.wait(mins(31));
    assert_eq!(began(&look(&mut back)), ["ten"], "two hours in all");
}

#[test]
fn a_stepped_calendar_lengthens_no_soak_and_shortens_none() {
    for by_hours in [-30, -1, 1, 30] {
        let mut bench = in_pilot(vec![], plan(Advance::Auto));
        let began_at = bench.engine.rollout.stage().unwrap().since;
        bench.tick();
        bench.wait(HOUR);
        bench.wall.0 += by_hours * 3_600_000;
        let effects = bench.tick();
        let entry = entries(&effects).remove(0);
        assert_eq!(
            entry.action,
            Action::ClockStepped {
                by_ms: by_hours * 3_600_000
            }
        );
        bench.record_all();
        let standing = bench.engine.rollout.stage().unwrap();
        assert_eq!(standing.since.0, began_at.0 + by_hours * 3_600_000);
        bench.wait(mins(30));
        bench.begin(30);
        bench.tick();
        bench.wait(mins(29));
        assert_eq!(
            began(&look(&mut bench)),
            [""; 0],
            "{by_hours} h: a minute early"
        );
        bench.wait(mins(1));
        assert_eq!(began(&look(&mut bench)), ["ten"], "{by_hours} h");
        assert_eq!(bench.engine.rollout, folded(&bench));
    }
}

#[test]
fn a_machine_that_starts_without_the_date_does_not_put_its_stage_into_the_future() {
    let mut bench = in_pilot(vec![], plan(Advance::Auto));
    bench.wait(DAY * 10_000);
    give(&mut bench, Command::Hold);
    give(&mut bench, Command::Resume { percentage: None });
    let mut long = plan(Advance::Auto);
    long.stages[0].soak = DAY * 10_001;
    let settings = with(vec![], long);
    let mut back = Bench::on(settings.clone(), folded(&bench), None);
    let since = back.engine.rollout.stage().unwrap().since;
    let (engine, _) = Engine::new(settings, folded(&bench), None, back.now, Wall(0));
    (back.engine, back.wall) = (engine, Wall(0));
    back.tick();
    // The date is found.
    back.wall = bench.wall;
    back.tick();
    let standing = back.engine.rollout.stage().unwrap();
    assert_eq!((standing.since, standing.begun), (since, since));
    let shown = status(&mut back).plan.unwrap();
    assert!(shown.soaked >= DAY * 10_000, "{:?}", shown.soaked);
}

#[test]
fn a_slow_disk_is_no_stepped_calendar_and_hides_none() {
    for (by, stepped) in [(0, vec![]), (7000, vec![7000])] {
        let mut bench = bench(with(vec![], plan(Advance::Manual)));
        bench.give(Command::Advance);
        bench.wait(Duration::from_secs(5));
        bench.wall.0 += by;
        let sequence = bench.engine.rollout.sequence();
        bench.handle(Event::Recorded { sequence });
        assert_eq!(stands(&bench).0, Some("pilot"));
        bench.tick();
        let steps: Vec<i64> = entries(&bench.said)
            .iter()
            .filter_map(|entry| match entry.action {
                Action::ClockStepped { by_ms } => Some(by_ms),
                _ => None,
            })
            .collect();
        assert_eq!(steps, stepped);
    }
}

#[test]
fn two_seconds_are_no_step() {
    let mut bench = in_pilot(vec![], plan(Advance::Manual));
    for (by, stepped) in [(2000, false), (-2000, false), (-2001, true)] {
        bench.wall.0 += by;
        let entries = entries(&bench.tick());
        let step = |entry: &Entry| matches!(entry.action, Action::ClockStepped { .. });
        assert_eq!(entries.iter().any(step), stepped, "{by}");
        bench.record_all();
    }
}
