//! What a plan waits for besides evidence: the calendar, what lies outside, and the
//! clocks; and what a restart and a reload make of it.

use super::*;
use crate::engine::Hook;
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
    bench.handle(Event::Reload(Box::new(fresh)));
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
    bench.handle(Event::Reload(Box::new(planned(frozen(), Advance::Manual))));
    bench.record_all();
    let share = Command::Resume {
        percentage: Some(percent(10)),
    };
    assert!(refused(&give(&mut bench, share)).contains("holidays"));
    assert!(bench.engine.split().latched);
}

/// The one thing outside that is asked or told.
fn hook(effects: &[Effect]) -> Hook {
    let hook = |effect: &Effect| match effect {
        Effect::Hook(hook) => Some(hook.clone()),
        _ => None,
    };
    effects.iter().find_map(hook).expect("a hook")
}

fn asked(advance: Advance) -> (Bench, Hook) {
    let mut settings = with(vec![], plan(advance));
    settings.hooks = vec![Moment::BeforeStage];
    let mut bench = bench(settings);
    let effects = match advance {
        Advance::Auto => look(&mut bench),
        Advance::Manual => give(&mut bench, Command::Advance),
    };
    assert_eq!(began(&effects), [""; 0], "it waits for an answer");
    (bench, hook(&effects))
}

fn answer(bench: &mut Bench, hook: &Hook, result: Result<(), &str>) -> Vec<Effect> {
    let from = bench.said.len();
    bench.handle(Event::Hooked {
        id: hook.id,
        result: result.map_err(str::to_owned),
    });
    bench.record_all();
    bench.said[from..].to_vec()
}

#[test]
fn a_stage_begins_when_what_lies_outside_agrees() {
    for advance in [Advance::Auto, Advance::Manual] {
        let (mut bench, hook) = asked(advance);
        assert_eq!(hook.stage.as_deref(), Some("pilot"));
        assert_eq!(hook.percentage, percent(5));
        let why = refused(&give(&mut bench, Command::Advance));
        assert!(why.contains("has not answered yet"), "{why}");
        assert!(waits_for(&mut bench)[0].contains("has not answered yet"));
        assert_eq!(began(&answer(&mut bench, &hook, Ok(()))), ["pilot"]);
        assert_eq!(answer(&mut bench, &hook, Ok(())), [], "once");
    }
}

#[test]
fn where_what_lies_outside_fails_nothing_begins_and_a_plan_by_itself_holds() {
    for (advance, phase) in [(Advance::Auto, Phase::Held), (Advance::Manual, Phase::Idle)] {
        let (mut bench, hook) = asked(advance);
        let effects = answer(&mut bench, &hook, Err("kubectl: not found"));
        assert_eq!(began(&effects), [""; 0]);
        let told = effects.iter().any(|effect| match effect {
            Effect::Say(notice) => notice.text.contains("kubectl: not found"),
            _ => false,
        });
        assert!(told, "{effects:?}");
        assert_eq!(bench.engine.rollout.phase(), phase);
        assert_eq!(bench.engine.rollout.stage(), None);
        if advance == Advance::Auto {
            assert_eq!(entries(&effects)[0].actor, "hook");
        }
    }
}

#[test]
fn who_advances_a_plan_that_goes_by_itself_hears_that_a_hook_holds_it() {
    let (mut bench, _) = asked(Advance::Auto);
    give(&mut bench, Command::Hold);
    give(&mut bench, Command::Resume { percentage: None });
    let hook = hook(&give(&mut bench, Command::Advance));
    let why = refused(&answer(&mut bench, &hook, Err("kubectl: not found")));
    assert!(
        why.contains("kubectl: not found; the plan is held") && why.contains("switchback resume"),
        "{why}"
    );
}

/// What the answer to an order says, if there is one.
fn answered(effects: &[Effect]) -> Option<String> {
    let said = |effect: &Effect| match effect {
        Effect::Reply {
            result: Ok(done), ..
        } => Some(done.said.clone()),
        _ => None,
    };
    effects.iter().find_map(said)
}

// A hook that scales something up takes longer than whoever asked is listened to, and he
// heard that the engine did not answer.
#[test]
fn who_ordered_a_step_hears_after_a_moment_that_a_hook_still_runs() {
    for (result, stage) in [(Ok(()), Some("pilot")), (Err("no room"), None)] {
        let (mut bench, hook) = asked(Advance::Manual);
        bench.wait(Duration::from_millis(2800));
        assert_eq!(answered(&bench.tick()), None, "it may be over in a moment");
        bench.wait(Duration::from_millis(200));
        let said = answered(&bench.tick()).expect("an answer");
        assert!(said.contains("Stage pilot begins when"), "{said}");
        bench.wait(mins(1));
        assert_eq!(answered(&bench.tick()), None, "once");
        let effects = answer(&mut bench, &hook, result);
        assert_eq!(stands(&bench).0, stage);
        let told = effects.iter().any(|effect| match effect {
            Effect::Say(notice) => notice.text.contains("no room"),
            _ => false,
        });
        assert_eq!(told, stage.is_none(), "{effects:?}");
    }
}

#[test]
fn an_answer_that_takes_an_hour_is_a_failure() {
    let (mut bench, hook) = asked(Advance::Manual);
    bench.wait(mins(59));
    bench.tick();
    assert!(bench.engine.stages.hooks.is_waiting());
    bench.wait(mins(1));
    let effects = bench.tick();
    let told = effects.iter().any(|effect| match effect {
        Effect::Say(notice) => notice.text.contains("an hour"),
        _ => false,
    });
    assert!(told, "{effects:?}");
    assert_eq!(
        began(&answer(&mut bench, &hook, Ok(()))),
        [""; 0],
        "too late"
    );
}

#[test]
fn a_step_toward_legacy_drops_the_step_that_waits() {
    for step in [
        Command::Hold,
        Command::Percentage(percent(0)),
        Command::Rollback(Level::Total, Live::Drain),
        Command::EmergencyStop(crate::rollout::Emergency::Legacy),
    ] {
        let (mut bench, hook) = asked(Advance::Manual);
        let effects = give(&mut bench, step.clone());
        assert!(refused(&effects).contains("came in between"), "{step:?}");
        assert_eq!(
            began(&answer(&mut bench, &hook, Ok(()))),
            [""; 0],
            "{step:?}"
        );
    }
}

#[test]
fn what_changed_while_it_waited_is_looked_at_again() {
    let (mut bench, hook) = asked(Advance::Manual);
    bench.handle(Event::Durable(false));
    let effects = answer(&mut bench, &hook, Ok(()));
    assert!(refused(&effects).contains("journal"));
    assert_eq!(began(&effects), [""; 0]);
}

#[test]
fn a_freeze_that_began_while_it_waited_refuses_it() {
    let (mut bench, hook) = asked(Advance::Manual);
    let mut frozen = plan(Advance::Manual);
    let at = |millis: i64| jiff::Timestamp::from_millisecond(millis).unwrap();
    frozen.calendar.freezes = vec![Freeze {
        from: at(bench.wall.0),
        to: at(bench.wall.0 + 3_600_000),
        reason: "holidays".to_owned(),
    }];
    bench.engine.settings.plan = Some(Arc::new(frozen));
    let effects = answer(&mut bench, &hook, Ok(()));
    assert!(refused(&effects).contains("holidays"));
    assert_eq!(began(&effects), [""; 0]);
}

#[test]
fn other_moments_are_told_and_not_waited_for() {
    let mut settings = with(
        vec![row("back", rules::Action::StepBack)],
        plan(Advance::Auto),
    );
    settings.hooks = vec![Moment::AfterStage, Moment::Rollback, Moment::Complete];
    let mut bench = bench(settings);
    look(&mut bench);
    soak(&mut bench);
    let effects = look(&mut bench);
    let left = hook(&effects);
    assert_eq!(
        (left.moment, left.stage.as_deref()),
        (Moment::AfterStage, Some("pilot"))
    );
    assert_eq!(began(&effects), ["ten"]);
    bench.calls(10, 10);
    let effects = bench.tick();
    let back = hook(&effects);
    assert_eq!(
        (back.moment, back.percentage),
        (Moment::Rollback, percent(5))
    );
    let effects = answer(&mut bench, &back, Err("exit code 1"));
    assert!(
        matches!(&effects[..], [Effect::Say(notice)] if notice.text.contains("rollback hook failed: exit code 1"))
    );
}

#[test]
fn a_stage_that_is_taken_up_again_was_not_left() {
    let mut settings = with(vec![], plan(Advance::Manual));
    settings.hooks = vec![Moment::AfterStage];
    let mut bench = bench(settings);
    give(&mut bench, Command::Advance);
    give(&mut bench, Command::Percentage(percent(1)));
    let effects = give(&mut bench, Command::Advance);
    assert_eq!(began(&effects), ["pilot"]);
    let told = |effect: &Effect| matches!(effect, Effect::Hook(_));
    assert!(!effects.iter().any(told), "{effects:?}");
}

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

#[test]
fn a_stage_taken_out_of_the_plan_stays_where_it_is_and_says_so() {
    let mut bench = in_pilot(vec![], plan(Advance::Auto));
    let mut edited = plan(Advance::Auto);
    edited.stages[0].name = "canary".to_owned();
    let effects = bench.handle(Event::Reload(Box::new(with(vec![], edited))));
    let said = effects.iter().any(|effect| match effect {
        Effect::Say(notice) => notice.text.contains("is not in the plan any more"),
        _ => false,
    });
    assert!(said, "{effects:?}");
    bench.record_all();
    soak(&mut bench);
    assert_eq!(began(&look(&mut bench)), [""; 0], "not by itself");
    assert_eq!(stands(&bench), (Some("pilot"), Phase::Soaking, percent(5)));
    let shown = status(&mut bench);
    assert!(
        shown
            .notes
            .iter()
            .any(|note| note.contains("pilot") && note.contains("stage ten"))
    );
    let shown = shown.plan.unwrap();
    assert!(shown.waits_for[0].contains("not in the plan any more"));
    assert_eq!((shown.number, shown.stage.as_deref()), (0, Some("pilot")));
    assert_eq!(shown.next.as_deref(), Some("ten"));
    assert_eq!(began(&give(&mut bench, Command::Advance)), ["ten"]);
}

#[test]
fn gates_that_a_reload_changes_are_judged_from_then_on() {
    let mut bench = in_pilot(vec![], plan(Advance::Manual));
    soak(&mut bench);
    bench.tick();
    assert_eq!(waits_for(&mut bench), [""; 0]);
    let mut harder = plan(Advance::Manual);
    harder.stages[0].gates.push(gate(0.001, STAGE));
    bench.handle(Event::Reload(Box::new(with(vec![], harder))));
    assert_eq!(waits_for(&mut bench).len(), 2, "not judged yet");
    bench.tick();
    assert_eq!(status(&mut bench).plan.unwrap().gates.len(), 2);
}

/// A plan of two quick stages that is about to take its first.
fn quick() -> Bench {
    let quick = |name, whole| Stage {
        soak: Duration::from_secs(1),
        calls_min: 0,
        gates: Vec::new(),
        ..stage(name, whole)
    };
    let plan = Plan {
        stages: vec![quick("pilot", 5), quick("all", 100)],
        ..plan(Advance::Auto)
    };
    let mut bench = bench(with(vec![], plan));
    bench.tick();
    bench
}

/// Two seconds later: what the plan did by itself.
fn soon(bench: &mut Bench) -> Vec<String> {
    bench.wait(Duration::from_secs(2));
    let from = bench.said.len();
    bench.tick();
    began(&bench.said[from..])
}

#[test]
fn a_stage_that_began_by_itself_holds_up_no_other() {
    let mut bench = quick();
    bench.record_all();
    assert_eq!(stands(&bench).0, Some("pilot"));
    assert_eq!(soon(&mut bench), ["all"]);
    bench.record_all();
    assert_eq!(soon(&mut bench), ["complete"]);
}

#[test]
fn an_attempt_that_did_not_reach_the_disk_is_made_again_only_after_a_while() {
    let mut bench = quick();
    let entry = entries(&bench.said).pop().expect("the first stage");
    assert_eq!(entry.action, Action::Advance);
    bench.handle(Event::NotRecorded {
        sequence: entry.stamp.sequence,
        why: "no space left".to_owned(),
    });
    assert_eq!(soon(&mut bench), [""; 0]);
    bench.wait(AGAIN);
    let from = bench.said.len();
    bench.tick();
    assert_eq!(began(&bench.said[from..]), ["pilot"]);
}

#[test]
fn the_status_names_the_stage_that_really_comes_next() {
    let mut bench = in_pilot(vec![], plan(Advance::Manual));
    for (share, next) in [(5, "ten"), (3, "pilot"), (30, "half")] {
        give(&mut bench, Command::Percentage(percent(share)));
        let shown = status(&mut bench).plan.unwrap();
        let stands = (shown.number, shown.stage.as_deref(), shown.next.as_deref());
        assert_eq!(stands, (1, Some("pilot"), Some(next)), "at {share} %");
    }
}
