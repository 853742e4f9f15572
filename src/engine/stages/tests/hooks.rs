//! A stage begins when what lies outside agrees; other moments are only told.

use super::*;
use crate::engine::Hook;
use crate::rollout::{Emergency, List};

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
        Command::EmergencyStop(Emergency::Legacy),
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

/// The moments that were told outside.
fn told(effects: &[Effect]) -> Vec<Moment> {
    let told = |effect: &Effect| match effect {
        Effect::Hook(hook) => Some(hook.moment),
        _ => None,
    };
    effects.iter().filter_map(told).collect()
}

const TOTAL: Command = Command::Rollback(Level::Total, Live::Drain);
const STOP: Command = Command::EmergencyStop(Emergency::Legacy);
const LAST_RESORT: Command = Command::EmergencyStop(Emergency::LastResort);

// Two emergency stops were two pages, and two total rollbacks ran `kubectl rollout undo`
// twice, which went back two releases.
#[test]
fn what_is_ordered_again_and_changes_nothing_is_told_once() {
    let partial = |whole| Command::Rollback(Level::Partial(percent(whole)), Live::Drain);
    let moving = Command::Rollback(Level::Total, Live::Move);
    let resume = Command::Resume { percentage: None };
    let (back, stop) = (&[Moment::Rollback][..], &[Moment::EmergencyStop][..]);
    let none = &[][..];
    let mut settings = with(vec![], plan(Advance::Manual));
    settings.hooks = vec![Moment::Reversal, Moment::Rollback, Moment::EmergencyStop];
    let mut bench = bench(settings);
    give(&mut bench, Command::Percentage(percent(50)));
    for (command, expected) in [
        (partial(20), back),
        (partial(20), none),
        (partial(10), back),
        (TOTAL, back),
        (TOTAL, none),
        (moving.clone(), back),
        (moving, none),
        // Another moment, and nobody was told of it yet.
        (STOP, stop),
        (STOP, none),
        (TOTAL, back),
        (TOTAL, none),
        // It goes elsewhere.
        (LAST_RESORT, stop),
        (LAST_RESORT, none),
        (TOTAL, none),
        (resume, none),
        (LAST_RESORT, stop),
    ] {
        let effects = give(&mut bench, command.clone());
        assert_eq!(told(&effects), expected, "{command:?}");
    }
}

// `rollback` hooks mostly undo what is deployed, for everybody: one tenant has a moment of
// its own.
#[test]
fn a_tenant_that_is_rolled_back_is_told_by_name_and_once() {
    let mut settings = with(vec![], plan(Advance::Manual));
    settings.hooks = vec![Moment::Rollback, Moment::RollbackTenant];
    let mut bench = bench(settings);
    let tenant = |list| Command::Tenant {
        id: "acme".to_owned(),
        list,
    };
    let back = || Command::Rollback(Level::Tenant("acme".to_owned()), Live::Drain);
    let row = Command::DisableTenant {
        rule: "errors".to_owned(),
        id: "zeta".to_owned(),
        live: Live::Drain,
    };
    for (command, expected) in [
        (back(), Some("acme")),
        (back(), None),
        (tenant(None), None),
        (tenant(Some(List::Disabled)), None),
        (back(), Some("acme")),
        (row, Some("zeta")),
    ] {
        let effects = give(&mut bench, command.clone());
        let told = told(&effects).first().map(|_| hook(&effects));
        let told = told.map(|hook| (hook.moment, hook.tenant));
        let expected = expected.map(|id| (Moment::RollbackTenant, Some(id.to_owned())));
        assert_eq!(told, expected, "{command:?}");
    }
}

#[test]
fn after_a_restart_a_rollback_is_not_told_again_and_after_a_reversal_it_is() {
    let mut settings = with(vec![], plan(Advance::Manual));
    settings.hooks = vec![Moment::Reversal, Moment::Rollback, Moment::EmergencyStop];
    for (before, command, expected) in [
        (TOTAL, TOTAL, None),
        (LAST_RESORT, LAST_RESORT, None),
        (TOTAL, LAST_RESORT, Some(Moment::EmergencyStop)),
        (TOTAL, STOP, Some(Moment::EmergencyStop)),
        (reversal(), TOTAL, Some(Moment::Rollback)),
    ] {
        let mut rollout = Rollout::default();
        for command in [Command::Percentage(percent(50)), before.clone()] {
            let entry = rollout.decide(&order(command), Wall(1)).unwrap();
            rollout.apply(&entry);
        }
        let mut bench = Bench::on(settings.clone(), rollout, Some("rolled-back: r"));
        let effects = give(&mut bench, command.clone());
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(told(&effects), expected, "{before:?}, then {command:?}");
    }
}

fn reversal() -> Command {
    Command::Reverse {
        rule: "errors".to_owned(),
        live: Live::Drain,
    }
}
