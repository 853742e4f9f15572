//! What an operator orders while a plan runs, and how the plan goes on from it.

use super::*;

#[test]
fn who_insists_goes_on_and_the_entry_names_what_was_passed_over() {
    let mut bench = in_pilot(vec![], plan(Advance::Manual));
    let mut insist = order(Command::Advance);
    insist.waives.evidence = true;
    bench.handle(Event::Order {
        ticket: TICKET,
        order: insist,
    });
    bench.record_all();
    assert_eq!(stands(&bench), (Some("ten"), Phase::Soaking, percent(10)));
    let entry = entries(&bench.said).pop().unwrap();
    let said = entry.said();
    for point in [
        "Passed over: soak: 0 s of 2 h.",
        "Passed over: calls: 0 of 20.",
        "Passed over: gate",
    ] {
        assert!(said.contains(point), "{point}: {said}");
    }
    // A hold is not passed over by insisting.
    bench.give(Command::Hold);
    let mut insist = order(Command::Advance);
    insist.waives.evidence = true;
    let effects = bench.handle(Event::Order {
        ticket: TICKET,
        order: insist,
    });
    assert!(refused(&effects).contains("held"));
}

#[test]
fn a_manual_plan_waits_for_its_operator_and_says_that_it_may() {
    let mut bench = in_pilot(vec![], plan(Advance::Manual));
    soak(&mut bench);
    assert_eq!(began(&look(&mut bench)), [""; 0]);
    assert_eq!(waits_for(&mut bench), [""; 0], "it may begin");
}

#[test]
fn an_approval_is_an_operators_advance_also_where_the_plan_goes_by_itself() {
    let mut asks = plan(Advance::Auto);
    asks.stages[1].approval = true;
    let mut bench = in_pilot(vec![], asks);
    soak(&mut bench);
    assert_eq!(began(&look(&mut bench)), [""; 0]);
    let points = waits_for(&mut bench);
    assert_eq!(points, ["an operator's advance (approval)"]);
    assert_eq!(began(&give(&mut bench, Command::Advance)), ["ten"]);
}

#[test]
fn an_empty_state_waits_for_an_operator_also_where_the_plan_goes_by_itself() {
    let mut empty = with(vec![], plan(Advance::Auto));
    empty.file_on_empty = false;
    let mut bench = bench(empty);
    assert_eq!(began(&look(&mut bench)), [""; 0]);
    let points = waits_for(&mut bench);
    assert!(points[0].contains("tells of no rollout"), "{points:?}");
    assert_eq!(began(&give(&mut bench, Command::Advance)), ["pilot"]);
    soak(&mut bench);
    assert_eq!(began(&look(&mut bench)), ["ten"], "from there on by itself");
}

#[test]
fn a_hold_stops_the_plan_and_the_soak_goes_on_counting() {
    let mut bench = in_pilot(vec![], plan(Advance::Auto));
    give(&mut bench, Command::Hold);
    soak(&mut bench);
    assert_eq!(began(&look(&mut bench)), [""; 0]);
    assert!(waits_for(&mut bench)[0].starts_with("held"));
    let effects = give(&mut bench, Command::Advance);
    assert!(refused(&effects).contains("switchback resume"));
    give(&mut bench, Command::Resume { percentage: None });
    // What lifts a hold begins a new epoch, so the gate needs its hour again.
    let points = waits_for(&mut bench);
    assert!(
        points.len() == 1 && points[0].contains("gate"),
        "{points:?}"
    );
    bench.wait(mins(40));
    bench.begin(30);
    bench.tick();
    bench.wait(mins(21));
    assert_eq!(began(&look(&mut bench)), ["ten"]);
}

#[test]
fn who_sets_more_stays_in_the_stage_and_skips_what_asks_for_less() {
    let mut bench = in_pilot(vec![], plan(Advance::Auto));
    give(&mut bench, Command::Percentage(percent(30)));
    assert_eq!(stands(&bench), (Some("pilot"), Phase::Soaking, percent(30)));
    soak(&mut bench);
    assert_eq!(began(&look(&mut bench)), ["half"]);
}

#[test]
fn who_set_less_must_say_that_the_plan_goes_on() {
    let mut bench = in_pilot(vec![], plan(Advance::Auto));
    soak(&mut bench);
    look(&mut bench);
    for step in [
        Command::Percentage(percent(7)),
        Command::Rollback(Level::Partial(percent(6)), Live::Drain),
    ] {
        give(&mut bench, step);
        soak(&mut bench);
        assert_eq!(began(&look(&mut bench)), [""; 0]);
    }
    let points = waits_for(&mut bench);
    assert!(
        points[0].contains("was set to 6 %, the stage asks for 10 %"),
        "{points:?}"
    );
    // With the stage it was lowered from, not with the next.
    assert_eq!(began(&give(&mut bench, Command::Advance)), ["ten"]);
    assert_eq!(bench.engine.split().percentage, percent(10));
}

#[test]
fn everything_on_new_is_not_complete_before_it_was_soaked() {
    let mut short = plan(Advance::Manual);
    short.stages.drain(1..4);
    let mut bench = in_pilot(vec![], short);
    soak(&mut bench);
    bench.tick();
    give(&mut bench, Command::Advance);
    assert_eq!(
        stands(&bench),
        (Some("all"), Phase::Soaking, Percentage::FULL)
    );
    let why = refused(&give(&mut bench, Command::Advance));
    assert!(why.starts_with("the plan cannot be completed yet"), "{why}");
    soak(&mut bench);
    bench.tick();
    assert_eq!(began(&give(&mut bench, Command::Advance)), ["complete"]);
    let why = refused(&give(&mut bench, Command::Advance));
    assert!(why.contains("complete"), "{why}");
}

#[test]
fn without_a_plan_advance_says_how_to_get_one() {
    let mut bench = Bench::at(10, vec![]);
    let why = refused(&bench.give(Command::Advance));
    assert!(why.contains("[[plan.stage]]"), "{why}");
    assert_eq!(status(&mut bench).plan, None);
}
