//! A plan that was edited while it runs, and one whose steps follow each other at once.

use super::*;

#[test]
fn a_stage_taken_out_of_the_plan_stays_where_it_is_and_says_so() {
    let mut bench = in_pilot(vec![], plan(Advance::Auto));
    let mut edited = plan(Advance::Auto);
    edited.stages[0].name = "canary".to_owned();
    let effects = bench.reload(with(vec![], edited));
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
    bench.reload(with(vec![], harder));
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
