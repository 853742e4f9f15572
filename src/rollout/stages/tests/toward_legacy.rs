//! Steps back and emergency stops: never refused, never a raise, and not forgotten.

use super::*;

#[test]
fn a_step_toward_legacy_is_refused_in_no_state_and_never_raises() {
    let states = [
        vec![],
        vec![set(50)],
        vec![enter(1)],
        vec![enter(2), Command::Hold],
        vec![enter(3), Command::Complete],
        vec![enter(2), TOTAL],
        vec![enter(2), LAST_RESORT],
        vec![enter(2), back(Some(1))],
    ];
    for commands in states {
        let rollout = after(&commands);
        for step in [
            back(Some(1)),
            back(None),
            disable("acme"),
            STOP,
            LAST_RESORT,
        ] {
            let entry = decide(&rollout, step.clone())
                .unwrap_or_else(|no| panic!("{step:?} after {commands:?}: {no}"));
            assert!(!entry.is_raise(), "{step:?} after {commands:?}");
            // Asked twice, it is recorded twice and stays.
            let mut once = rollout.clone();
            once.apply(&entry);
            let again = decide(&once, step.clone()).expect("asked twice");
            assert_eq!(again.before.phase, again.after.phase, "{step:?}");
            assert_eq!(again.before.percentage, again.after.percentage);
            assert_eq!(again.before.stopped, again.after.stopped);
            assert!(!again.is_raise());
        }
    }
}

#[test]
fn while_latched_a_step_back_unlatches_nothing() {
    let mut rollout = after(&[enter(2), TOTAL]);
    let entry = decide(&rollout, back(Some(1))).unwrap();
    assert!(entry.said().contains("stays latched"), "{}", entry.said());
    rollout.apply(&entry);
    assert!(rollout.latched() && rollout.phase() == Phase::RolledBack);
}

#[test]
fn an_emergency_stop_latches_and_only_a_resume_lets_anybody_through() {
    let rollout = after(&[enter(2), LAST_RESORT]);
    assert!(rollout.stopped() && rollout.latched() && !rollout.enabled());
    let generation = rollout.generation();
    for (then, stopped) in [
        (TOTAL, true),
        (LAST_RESORT, true),
        // Whoever orders legacy now wants callers to hear legacy.
        (STOP, false),
        (resume(None), false),
    ] {
        let mut rollout = rollout.clone();
        let entry = decide(&rollout, then.clone()).unwrap();
        rollout.apply(&entry);
        assert_eq!(rollout.stopped(), stopped, "{then:?}");
        assert_eq!(rollout.latched(), then != resume(None), "{then:?}");
        assert_eq!(rollout.generation() > generation, !stopped, "{then:?}");
    }
    let resumed = after(&[enter(2), LAST_RESORT, resume(Some(25))]);
    assert!(resumed.enabled() && resumed.phase() == Phase::Soaking);
}

#[test]
fn an_emergency_stop_whose_record_is_lost_is_found_in_the_latch_file() {
    let reverse = Command::Reverse {
        rule: "errors".to_owned(),
        live: Live::Drain,
    };
    for before in [after(&[enter(2)]), after(&[enter(2), reverse])] {
        for (stop, stopped) in [(LAST_RESORT, true), (STOP, false), (TOTAL, false)] {
            let lost = decide(&before, stop).unwrap();
            let found = before.latched_at_start(&lost.latch_reason(), Wall(9));
            assert_eq!(found.is_some(), stopped || !before.latched());
            let mut rollout = before.clone();
            found.iter().for_each(|entry| rollout.apply(entry));
            assert_eq!((rollout.latched(), rollout.stopped()), (true, stopped));
            assert_eq!(rollout.phase() == Phase::RolledBack, found.is_some());
            assert_eq!(rollout.former(), after(&[enter(2), TOTAL]).former());
            let again = rollout.latched_at_start(&lost.latch_reason(), Wall(10));
            assert_eq!(again, None);
        }
    }
}
