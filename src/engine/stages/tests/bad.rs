//! What goes wrong while a plan runs.

use super::*;
use crate::engine::Severity;
use crate::rollout::Emergency;
use crate::rules::{Finding, Verdict};

/// In the second stage of a plan that goes by itself.
fn in_ten(rules: Vec<Rule>) -> Bench {
    let mut bench = in_pilot(rules, plan(Advance::Auto));
    soak(&mut bench);
    assert_eq!(began(&look(&mut bench)), ["ten"]);
    bench
}

#[test]
fn a_row_goes_back_one_stage_and_holds_there_until_a_person_resumes() {
    let mut bench = in_ten(vec![row("back", rules::Action::StepBack)]);
    bench.calls(10, 10);
    let effects = bench.tick();
    let names = crate::engine::bench::names(&effects);
    assert_eq!(
        names,
        ["say", "publish", "record", "record", "say"],
        "published first, then the hour that ends and the step"
    );
    assert_eq!(stands(&bench), (Some("pilot"), Phase::Held, percent(5)));
    let entry = entries(&effects).remove(1);
    assert_eq!(entry.actor, "rule back");
    assert_eq!(entry.evidence.as_ref().map(|saw| saw.failed), Some(10));
    bench.record_all();
    soak(&mut bench);
    assert_eq!(
        began(&look(&mut bench)),
        [""; 0],
        "nothing is raised until a person says so"
    );
    give(&mut bench, Command::Resume { percentage: None });
    bench.wait(mins(30));
    bench.begin(30);
    bench.tick();
    bench.wait(mins(31));
    assert_eq!(began(&look(&mut bench)), ["ten"]);
    assert_eq!(bench.engine.rollout, folded(&bench));
}

#[test]
fn one_failed_call_fewer_and_it_goes_on() {
    for (failed, stage) in [(1, "ten"), (2, "pilot")] {
        let mut bench = in_ten(vec![row("back", rules::Action::StepBack)]);
        bench.calls(20 - failed, failed);
        bench.tick();
        assert_eq!(
            stands(&bench).0,
            Some(stage),
            "{failed} of 20, the row allows 5 %"
        );
    }
}

#[test]
fn from_the_first_stage_and_without_a_plan_it_goes_back_to_nothing() {
    let rows = || vec![row("back", rules::Action::StepBack)];
    let mut unplanned = Bench::at(50, rows());
    let mut first = in_pilot(rows(), plan(Advance::Auto));
    for bench in [&mut first, &mut unplanned] {
        bench.calls(10, 10);
        bench.tick();
        assert_eq!(stands(bench), (None, Phase::Held, Percentage::ZERO));
        assert!(!bench.engine.split().latched);
        bench.record_all();
        // There is nothing more to go back from.
        bench.calls(0, 20);
        let tried = entries(&bench.tick());
        let back = |entry: &Entry| matches!(entry.action, Action::StepBack { .. });
        assert!(!tried.iter().any(back), "{tried:?}");
    }
    give(&mut first, Command::Resume { percentage: None });
    // A plan that goes by itself does not come back by itself.
    assert_eq!(began(&look(&mut first)), [""; 0]);
    let said = status(&mut first).plan.unwrap().waits_for;
    assert!(said[0].contains("only a person begins"), "{said:?}");
    give(&mut first, Command::Advance);
    assert_eq!(began(&first.said), ["pilot", "pilot"], "and once more");
}

#[test]
fn held_after_one_step_back_it_goes_back_further() {
    let mut bench = in_ten(vec![row("back", rules::Action::StepBack)]);
    for stage in [Some("pilot"), None] {
        bench.calls(10, 10);
        bench.tick();
        assert_eq!(stands(&bench).0, stage);
        bench.record_all();
    }
    assert_eq!(stands(&bench).2, Percentage::ZERO);
}

#[test]
fn a_reversal_goes_before_a_step_back() {
    let mut bench = in_ten(vec![
        row("back", rules::Action::StepBack),
        row("errors", rules::Action::Reverse),
    ]);
    bench.calls(10, 10);
    bench.tick();
    assert!(bench.engine.split().latched);
    assert_eq!(bench.reversals(), ["errors"]);
    bench.record_all();
    soak(&mut bench);
    assert_eq!(began(&look(&mut bench)), [""; 0], "latched");
    give(
        &mut bench,
        Command::Resume {
            percentage: Some(percent(7)),
        },
    );
    assert_eq!(stands(&bench), (Some("pilot"), Phase::Soaking, percent(7)));
    let shown = status(&mut bench).plan.unwrap();
    assert_eq!((shown.number, shown.calls), (1, 0), "it is soaked anew");
    assert!(shown.soaked < mins(1));
}

/// One row goes back a stage at 2 %, one reverses at 5 %, each by its sequential test.
fn two_rows() -> Vec<Rule> {
    let early = |alone| {
        let false_alarm = 100_000.0;
        Some(rules::Early { false_alarm, alone })
    };
    let back = Rule {
        threshold: 0.02,
        early: early(true),
        ..row("back", rules::Action::StepBack)
    };
    let errors = Rule {
        calls_min: 200,
        early: early(false),
        ..row("errors", rules::Action::Reverse)
    };
    vec![back, errors]
}

/// Calls fail, one a tick, until the row that goes back a stage trips.
fn failing_until_it_trips(bench: &mut Bench) {
    for _ in 0..20 {
        bench.calls(0, 1);
        bench.tick();
        if bench.engine.findings[0].verdict == Verdict::Trip {
            return;
        }
    }
    panic!("20 calls failed and nothing tripped");
}

#[test]
fn a_step_back_waits_for_a_reversal_that_is_near() {
    let mut bench = in_ten(two_rows());
    failing_until_it_trips(&mut bench);
    assert_eq!(stands(&bench), (Some("ten"), Phase::Soaking, percent(10)));
    for _ in 0..3 {
        bench.calls(0, 1);
        bench.tick();
    }
    assert_eq!(bench.reversals(), ["errors"]);
    let stepped = |entry: &Entry| matches!(entry.action, Action::StepBack { .. });
    assert!(!entries(&bench.said).iter().any(stepped));
}

#[test]
fn a_step_back_waits_no_longer_than_half_its_span_and_for_no_row_in_less_doubt() {
    let mut bench = in_ten(two_rows());
    failing_until_it_trips(&mut bench);
    bench.wait(Duration::from_secs(149));
    bench.tick();
    assert_eq!(stands(&bench).0, Some("ten"));
    bench.wait(Duration::from_secs(1));
    bench.tick();
    assert_eq!(stands(&bench), (Some("pilot"), Phase::Held, percent(5)));
    assert_eq!(bench.reversals(), [""; 0]);

    // One call in ten fails: the row at 5 % is not half as sure when that at 2 % is.
    let mut bench = in_ten(two_rows());
    for _ in 0..40 {
        bench.calls(9, 1);
        bench.tick();
        if stands(&bench).0 == Some("pilot") {
            break;
        }
        let tripped = bench.engine.findings[0].verdict == Verdict::Trip;
        assert!(!tripped, "it tripped and did not act at once");
    }
    assert_eq!(stands(&bench).0, Some("pilot"));
}

/// What a row with a tenant's scope found, as if just judged.
fn found(name: &str, tenants: &[&str]) -> Finding {
    Finding {
        rule: name.to_owned(),
        value: Some(0.8),
        threshold: 0.05,
        legacy: None,
        samples: 20,
        failed: 16,
        early: None,
        verdict: Verdict::Trip,
        blind: false,
        withheld: None,
        tenants: tenants.iter().map(|id| (*id).to_owned()).collect(),
        because: "16 of 20 calls failed".to_owned(),
    }
}

#[test]
fn a_broken_tenant_goes_to_legacy_and_flips_nobody_else() {
    let mut one = row("broken tenant", rules::Action::DisableTenant);
    one.scope = rules::Scope::Tenant;
    let mut bench = in_ten(vec![one]);
    let before = bench.engine.split().clone();
    for times in 0..2 {
        bench.engine.findings = vec![found("broken tenant", &["acme"])];
        let mut effects = Vec::new();
        bench.engine.act(bench.now, bench.wall, &mut effects);
        let taken = entries(&effects);
        if times == 1 {
            assert_eq!(taken, [], "it is off already");
            continue;
        }
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].actor, "rule broken tenant");
        assert!(taken[0].evidence.is_some());
        let said = taken[0].said();
        assert!(
            said.contains("the new calls of tenant acme go to legacy"),
            "{said}"
        );
    }
    assert_eq!(
        bench.engine.rollout.listed("acme"),
        Some(Listed::RolledBack)
    );
    let split = bench.engine.split();
    assert!(split.disabled_tenants.contains("acme") && split.disabled_tenants.len() == 1);
    assert_eq!(
        (split.percentage, split.latched),
        (before.percentage, false)
    );
    assert_eq!(stands(&bench), (Some("ten"), Phase::Soaking, percent(10)));
}

#[test]
fn many_broken_tenants_are_taken_off_a_few_a_tick() {
    let mut one = row("broken tenant", rules::Action::DisableTenant);
    one.scope = rules::Scope::Tenant;
    let mut bench = in_ten(vec![one]);
    let many: Vec<_> = (0..20).map(|number| format!("t{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for off in [16, 20, 20] {
        bench.engine.findings = vec![found("broken tenant", &many)];
        bench.engine.act(bench.now, bench.wall, &mut Vec::new());
        assert_eq!(bench.engine.split().disabled_tenants.len(), off);
    }
}

#[test]
fn an_emergency_stop_is_taken_in_every_phase_and_twice() {
    let phases: [fn() -> Bench; 6] = [
        || bench(with(vec![], plan(Advance::Auto))),
        || in_ten(vec![]),
        || {
            let mut bench = in_ten(vec![]);
            give(&mut bench, Command::Hold);
            bench
        },
        || {
            let mut bench = in_ten(vec![row("errors", rules::Action::Reverse)]);
            bench.calls(10, 10);
            bench.tick();
            bench
        },
        || {
            let mut bench = in_ten(vec![]);
            give(&mut bench, Command::Rollback(Level::Total, Live::Drain));
            bench
        },
        || Bench::at(100, vec![]),
    ];
    let mut seen = Vec::new();
    for make in phases {
        for (to, stopped) in [(Emergency::Legacy, false), (Emergency::LastResort, true)] {
            let mut bench = make();
            seen.push(bench.engine.rollout.phase());
            bench.engine.settings.hooks = vec![Moment::EmergencyStop];
            for again in [false, true] {
                let effects = give(&mut bench, Command::EmergencyStop(to));
                let split = bench.engine.split();
                assert!(split.latched && split.stopped == stopped && !split.enabled);
                let told = effects.iter().any(|effect| match effect {
                    Effect::Say(notice) => notice.severity == Severity::Critical,
                    _ => false,
                });
                let called = effects.iter().any(|effect| match effect {
                    Effect::Hook(hook) => hook.moment == Moment::EmergencyStop,
                    _ => false,
                });
                assert!(told && called != again, "again {again}: {effects:?}");
            }
            give(&mut bench, Command::Resume { percentage: None });
            let split = bench.engine.split();
            assert!(!split.latched && !split.stopped);
        }
    }
    seen.dedup();
    assert_eq!(
        seen,
        [
            Phase::Idle,
            Phase::Soaking,
            Phase::Held,
            Phase::Reversed,
            Phase::RolledBack,
            Phase::Complete
        ]
    );
}

#[test]
fn a_stage_hears_only_the_alerts_it_asks_for() {
    let mut low = row("low", rules::Action::Alert);
    low.priority = Some(rules::Priority::Low);
    let mut critical = row("critical", rules::Action::Alert);
    critical.priority = Some(rules::Priority::Critical);
    for (alerts, heard) in [(vec![], true), (vec![rules::Priority::Critical], false)] {
        let mut only = plan(Advance::Manual);
        only.stages[0].alerts = alerts;
        let mut bench = in_pilot(vec![low.clone(), critical.clone()], only);
        bench.calls(10, 10);
        bench.tick();
        assert!(bench.told("critical"));
        assert_eq!(bench.told("low"), heard);
    }
}
