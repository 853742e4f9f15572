//! Each order in each phase: granted, or refused with what helps.

use super::*;
use crate::rollout::RefusalKind;
use crate::rollout::draft::REASON_CHARS;
use crate::rollout::properties::{order, percent};
use crate::rollout::{Emergency, Evidence, Wishes};

/// A rollout after these commands, all of which must be granted.
fn after(commands: &[Command]) -> Rollout {
    let mut rollout = Rollout::default();
    for command in commands {
        let entry = decide(&rollout, command).unwrap_or_else(|no| panic!("{command:?}: {no}"));
        rollout.apply(&entry);
    }
    rollout
}

fn decide(rollout: &Rollout, command: &Command) -> Result<Entry, Refusal> {
    rollout.decide(&order(command.clone()), Wall(1000))
}

fn set(whole: u16) -> Command {
    Command::Percentage(percent(whole))
}

fn tenant(id: &str, list: Option<List>) -> Command {
    let id = id.to_owned();
    Command::Tenant { id, list }
}

fn resume(whole: Option<u16>) -> Command {
    let percentage = whole.map(percent);
    Command::Resume { percentage }
}

fn reverse() -> Command {
    let rule = "errors".to_owned();
    Command::Reverse {
        rule,
        live: Live::Drain,
    }
}

const TOTAL: Command = Command::Rollback(Level::Total, Live::Drain);

fn partial(whole: u16) -> Command {
    Command::Rollback(Level::Partial(percent(whole)), Live::Drain)
}

fn back(id: &str) -> Command {
    Command::Rollback(Level::Tenant(id.to_owned()), Live::Drain)
}

#[test]
fn the_phase_follows_from_where_calls_go() {
    let acme = || tenant("acme", Some(List::Enabled));
    for (commands, phase) in [
        (vec![], Phase::Idle),
        (vec![set(0)], Phase::Idle),
        (vec![set(10)], Phase::Soaking),
        (vec![acme()], Phase::Soaking),
        (vec![acme(), back("acme")], Phase::Idle),
        (vec![set(100)], Phase::Complete),
        (vec![set(100), set(99)], Phase::Soaking),
        (vec![set(10), Command::Hold], Phase::Held),
        (vec![set(10), Command::Hold, set(20)], Phase::Held),
        (vec![set(10), Command::Hold, resume(None)], Phase::Soaking),
        (vec![set(10), Command::Hold, reverse()], Phase::Reversed),
        (vec![set(10), reverse()], Phase::Reversed),
        (vec![set(10), reverse(), TOTAL], Phase::RolledBack),
        (vec![set(10), TOTAL], Phase::RolledBack),
        (vec![set(10), TOTAL, back("acme")], Phase::RolledBack),
        (vec![set(10), TOTAL, resume(None)], Phase::Idle),
        (vec![set(10), TOTAL, resume(Some(5))], Phase::Soaking),
    ] {
        assert_eq!(after(&commands).phase(), phase, "{commands:?}");
    }
}

#[test]
fn what_was_placed_before_the_last_latch_is_spent_and_nothing_later() {
    // Each of these changes placement, so each raises the generation by one. What is
    // placed while latched is on legacy, so that the latch's own generation is spent too.
    for (commands, spent, generation) in [
        (vec![set(10)], 0, 1),
        (vec![set(10), reverse()], 2, 2),
        (vec![set(10), reverse(), resume(Some(10))], 2, 3),
        (vec![set(10), reverse(), resume(Some(10)), set(20)], 2, 4),
        (
            vec![set(10), reverse(), resume(Some(10)), set(20), TOTAL],
            5,
            5,
        ),
    ] {
        let rollout = after(&commands);
        assert_eq!(rollout.spent(), spent, "{commands:?}");
        assert_eq!(rollout.generation(), generation, "{commands:?}");
    }
}

#[test]
fn while_latched_every_raise_is_refused_with_the_command_that_helps() {
    for latch in [reverse(), TOTAL] {
        let rollout = after(&[set(50), tenant("zeta", Some(List::Disabled)), latch]);
        for raise in [
            set(1),
            tenant("acme", Some(List::Enabled)),
            tenant("zeta", Some(List::Enabled)),
            tenant("zeta", None),
        ] {
            let no = decide(&rollout, &raise).unwrap_err();
            assert_eq!(no.kind, RefusalKind::Conflict);
            assert!(no.why.contains("switchback resume --reason"), "{no}");
        }
        for step in [
            set(0),
            tenant("acme", Some(List::Disabled)),
            tenant("acme", None),
            back("acme"),
            partial(0),
            TOTAL,
        ] {
            let entry = decide(&rollout, &step).unwrap();
            assert!(!entry.is_raise() && entry.after.latched, "{step:?}");
        }
    }
}

#[test]
fn resume_goes_to_0_or_to_a_share_not_above_the_former() {
    for latch in [reverse(), TOTAL] {
        let rollout = after(&[set(50), latch]);
        assert_eq!(rollout.percentage(), Percentage::ZERO);
        for (named, is) in [(None, 0), (Some(0), 0), (Some(10), 10), (Some(50), 50)] {
            let entry = decide(&rollout, &resume(named)).unwrap();
            assert!(entry.is_raise() && entry.unlatches());
            assert_eq!(entry.after.percentage, percent(is));
            assert!(entry.after.enabled && !entry.after.latched);
        }
        let no = decide(&rollout, &resume(Some(51))).unwrap_err();
        assert!(no.why.contains("50 %"), "{no}");
        let mut mute = order(resume(None));
        mute.reason = "  ".to_owned();
        let no = rollout.decide(&mute, Wall(0)).unwrap_err();
        assert_eq!(no.kind, RefusalKind::Invalid, "a resume needs a reason");
    }
    let twice = after(&[set(50), reverse(), TOTAL]);
    assert_eq!(
        twice.former().map(|former| former.percentage),
        Some(percent(50)),
        "a second latch does not forget what ran before the first"
    );
    for running in [after(&[]), after(&[set(10)])] {
        assert!(
            decide(&running, &resume(None)).is_err(),
            "nothing to resume"
        );
    }
    let held = after(&[set(10), Command::Hold]);
    assert!(decide(&held, &resume(Some(11))).is_err());
    assert_eq!(
        decide(&held, &resume(Some(5))).unwrap().after.percentage,
        percent(5)
    );
}

#[test]
fn a_rollback_works_in_every_phase_and_never_raises() {
    for commands in [
        vec![],
        vec![set(10)],
        vec![set(10), Command::Hold],
        vec![set(100)],
        vec![set(10), reverse()],
        vec![set(10), TOTAL],
    ] {
        let rollout = after(&commands);
        for step in [back("acme"), partial(0), TOTAL] {
            assert!(!decide(&rollout, &step).unwrap().is_raise(), "{commands:?}");
        }
        let now = rollout.percentage().basis_points() / 100;
        if now < 100 {
            let higher = partial(now + 1);
            assert!(decide(&rollout, &higher).is_err(), "{commands:?}");
        }
    }
    let total = after(&[set(10), TOTAL]);
    assert!(total.latched() && !total.enabled());
}

#[test]
fn reversing_twice_or_holding_what_is_latched_is_refused() {
    assert!(decide(&after(&[set(10), reverse()]), &reverse()).is_err());
    assert!(decide(&after(&[set(10), TOTAL]), &reverse()).is_err());
    assert!(decide(&after(&[set(10), reverse()]), &Command::Hold).is_err());
}

#[test]
fn a_tenant_rolled_back_is_enabled_only_after_it_was_cleared() {
    let enable = tenant("acme", Some(List::Enabled));
    let rollout = after(&[set(10), back("acme"), tenant("acme", Some(List::Disabled))]);
    let no = decide(&rollout, &enable).unwrap_err();
    assert!(no.why.contains("tenant clear"), "{no}");
    let clear = decide(&rollout, &tenant("acme", None)).unwrap();
    assert!(clear.is_raise(), "off the disabled list its bucket decides");
    let cleared = after(&[set(10), back("acme"), tenant("acme", None)]);
    assert!(decide(&cleared, &enable).unwrap().is_raise());
}

#[test]
fn zero_that_leaves_listed_tenants_on_new_says_so() {
    let rollout = after(&[set(10), tenant("acme", Some(List::Enabled))]);
    let said = decide(&rollout, &set(0)).unwrap().said();
    assert!(
        said.contains("1 listed tenant stays on new: acme"),
        "{said}"
    );
    let said = decide(&after(&[set(10)]), &set(0)).unwrap().said();
    assert_eq!(said, "The share of new goes from 10 % to 0 %.");
    let number = after(&[tenant("+14155550142", Some(List::Enabled))]);
    let said = decide(&number, &set(0)).unwrap().said();
    assert!(said.contains("…42") && !said.contains("0142"), "{said}");
}

#[test]
fn a_set_above_zero_switches_the_split_on_and_zero_does_not() {
    let mut off = after(&[set(10)]);
    let wishes = Wishes::default();
    for entry in off.wishes(&wishes, true, Wall(0)).entries {
        off.apply(&entry);
    }
    assert!(!off.enabled());
    let on = decide(&off, &set(5)).unwrap();
    assert!(on.is_raise() && on.after.enabled && on.said().contains("on again"));
    let zero = decide(&off, &set(0)).unwrap();
    assert!(!zero.is_raise() && !zero.after.enabled);
    let said = decide(&off, &tenant("acme", Some(List::Enabled)));
    assert!(said.unwrap().said().contains("switched off"));
}

#[test]
fn a_reversal_remembers_what_the_rule_saw() {
    let mut rollout = after(&[set(50)]);
    let evidence = Evidence {
        because: "7 of 31 calls failed (22.6 %), the table allows 10 %".to_owned(),
        ..Evidence::default()
    };
    let mut reversal = order(reverse());
    reversal.actor = "rule errors".to_owned();
    let entry = rollout.decide(&reversal, Wall(5)).unwrap();
    let entry = entry.with_evidence(evidence);
    assert!(entry.said().contains("7 of 31 calls"), "{}", entry.said());
    rollout.apply(&entry);
    assert_eq!(
        rollout.because(),
        Some("rule errors: 7 of 31 calls failed (22.6 %), the table allows 10 %")
    );
    assert_eq!(rollout.phase_since(), Wall(5));
}

#[test]
fn a_damaged_journal_leaves_legacy_the_disabled_tenants_and_higher_numbers() {
    let lost = after(&[
        set(50),
        tenant("acme", Some(List::Enabled)),
        back("zeta"),
        tenant("omni", Some(List::Disabled)),
    ]);
    let entry = lost.after_damage("journal.jsonl.damaged-x", "line 5", 7, Wall(9));
    assert!(!entry.is_raise());
    let rollout = Rollout::fold([&entry]);
    assert!(rollout.latched());
    assert_eq!(rollout.phase(), Phase::Reversed);
    assert_eq!(
        rollout.tenants().collect::<Vec<_>>(),
        [("omni", List::Disabled), ("zeta", List::Disabled)]
    );
    assert!(rollout.generation() > lost.generation() + 7);
    assert!(rollout.sequence() > lost.sequence() + 7);
    assert!(
        decide(&rollout, &resume(Some(1))).is_err(),
        "nothing is known to go back to"
    );
}

#[test]
fn a_tenant_id_has_a_length_and_the_reason_an_end() {
    let rollout = after(&[]);
    for id in ["", &"x".repeat(TENANT_BYTES + 1)] {
        let no = decide(&rollout, &back(id)).unwrap_err();
        assert_eq!(no.kind, RefusalKind::Invalid);
    }
    let mut long = order(TOTAL);
    long.reason = "é".repeat(5000);
    let entry = rollout.decide(&long, Wall(0)).unwrap();
    assert_eq!(entry.reason.chars().count(), REASON_CHARS);
}

#[test]
fn a_latch_is_as_old_as_what_set_it_and_a_found_one_of_unknown_age() {
    let since = |rollout: &Rollout| {
        let scheme = crate::split::Scheme {
            by: crate::split::By::Tenant,
            hash: crate::split::Hash::Java31,
        };
        rollout.split(&scheme).latched_since
    };
    let mut rollout = after(&[set(50)]);
    assert_eq!(since(&rollout), None);
    for (command, at, expected) in [
        (reverse(), 5, Some(Wall(5))),
        (TOTAL, 6, Some(Wall(5))),
        (resume(Some(10)), 7, None),
        (TOTAL, 8, Some(Wall(8))),
        (set(0), 9, Some(Wall(8))),
    ] {
        let entry = rollout.decide(&order(command.clone()), Wall(at)).unwrap();
        rollout.apply(&entry);
        assert_eq!(since(&rollout), expected, "{command:?}");
    }
    let mut found = after(&[set(50)]);
    let entry = found.latched_at_start("reversed: found", Wall(5)).unwrap();
    found.apply(&entry);
    assert!(found.latched());
    assert_eq!(since(&found), None);
    let damaged = found.after_damage("journal.jsonl.damaged-x", "line 5", 0, Wall(9));
    assert_eq!(since(&Rollout::fold([&damaged])), None);
}

fn moving(level: Level) -> Command {
    Command::Rollback(level, Live::Move)
}

#[test]
fn the_later_order_decides_what_live_calls_do() {
    let acme = || Level::Tenant("acme".to_owned());
    let ten = || Level::Partial(percent(10));
    let half = || set(50);
    for (commands, live) in [
        (vec![half(), TOTAL], Live::Drain),
        (vec![half(), moving(Level::Total)], Live::Move),
        (vec![half(), moving(ten())], Live::Move),
        (vec![half(), moving(acme())], Live::Move),
        // Asked again, of a rollout that is latched already.
        (vec![half(), reverse(), moving(Level::Total)], Live::Move),
        (vec![half(), TOTAL, moving(acme())], Live::Move),
        (vec![half(), moving(Level::Total), TOTAL], Live::Drain),
        (vec![half(), moving(ten()), back("acme")], Live::Drain),
        // While latched it moves no call, and says nothing of those that move.
        (vec![half(), moving(Level::Total), back("acme")], Live::Move),
        (vec![half(), moving(Level::Total), partial(0)], Live::Move),
        (
            vec![
                half(),
                moving(Level::Total),
                tenant("acme", Some(List::Disabled)),
            ],
            Live::Move,
        ),
        (vec![half(), moving(Level::Total), set(0)], Live::Move),
        // What is no rollback, and moves calls, does not move live ones.
        (vec![half(), moving(ten()), set(5)], Live::Drain),
        (vec![half(), moving(ten()), set(20)], Live::Drain),
        (
            vec![half(), moving(ten()), tenant("acme", Some(List::Disabled))],
            Live::Drain,
        ),
        (vec![half(), moving(ten()), Command::Hold], Live::Move),
        (
            vec![half(), moving(ten()), Command::Hold, resume(None)],
            Live::Drain,
        ),
        (
            vec![half(), moving(Level::Total), resume(None)],
            Live::Drain,
        ),
        (
            vec![half(), moving(Level::Total), resume(Some(50))],
            Live::Drain,
        ),
    ] {
        let rollout = after(&commands);
        assert_eq!(rollout.live(), live, "{commands:?}");
    }
}

#[test]
fn moving_live_calls_is_no_raise_and_its_change_has_a_generation_of_its_own() {
    let rollout = after(&[set(50), TOTAL]);
    let moves = decide(&rollout, &moving(Level::Total)).unwrap();
    assert!(!moves.is_raise());
    assert_eq!(moves.generation, rollout.generation() + 1);
    assert!(!moves.before.moves_live && moves.after.moves_live);
    assert!(
        moves.said().contains("sent to legacy's entry"),
        "{}",
        moves.said()
    );
    let mut rollout = rollout;
    rollout.apply(&moves);
    let again = decide(&rollout, &moving(Level::Total)).unwrap();
    assert_eq!(
        again.generation,
        rollout.generation(),
        "nothing changes by it"
    );
    let stays = decide(&rollout, &TOTAL).unwrap();
    assert!(
        !stays.is_raise(),
        "a call that stays on new is no new call there"
    );
    assert!(
        stays.said().contains("are not moved any more"),
        "{}",
        stays.said()
    );
}

#[test]
fn a_latch_that_is_only_found_moves_nothing() {
    let rollout = after(&[set(50), moving(Level::Partial(percent(10)))]);
    let found = rollout.latched_at_start("rolled-back: x", Wall(9)).unwrap();
    assert!(found.after.latched && !found.after.moves_live);
}

#[test]
fn holding_twice_is_no_error_and_says_who_holds_it() {
    let mut rollout = after(&[set(10), Command::Hold]);
    let again = decide(&rollout, &Command::Hold).unwrap();
    assert_eq!(again.before, again.after);
    let said = again.said();
    assert!(said.starts_with("Held already, at 10 %"), "{said}");
    assert!(said.contains("It was held by operator"), "{said}");
    let (since, because) = (rollout.phase_since(), rollout.because().map(str::to_owned));
    rollout.apply(&again);
    assert_eq!(
        (rollout.phase(), rollout.phase_since()),
        (Phase::Held, since)
    );
    assert_eq!(rollout.because(), because.as_deref());
}

// `rollback total` during a stop to the last resort said that calls go to legacy, while
// callers heard the last resort.
#[test]
fn during_a_stop_to_the_last_resort_no_order_says_that_calls_go_to_legacy() {
    let stop = Command::EmergencyStop(Emergency::LastResort);
    let to_legacy = Command::EmergencyStop(Emergency::Legacy);
    let disable = Command::Tenant {
        id: "acme".to_owned(),
        list: Some(List::Disabled),
    };
    let stopped = after(&[set(10), stop.clone()]);
    for command in [TOTAL, stop.clone(), back("acme"), disable] {
        let entry = decide(&stopped, &command).unwrap();
        assert!(entry.after.stopped, "{command:?}");
        let said = entry.said();
        assert!(
            said.contains("whoever calls anew still hears the last resort until"),
            "{said}"
        );
        assert!(!said.contains("every new call goes to legacy"), "{said}");
    }
    for (from, command) in [(&stopped, to_legacy), (&after(&[set(10)]), TOTAL)] {
        let said = decide(from, &command).unwrap().said();
        assert!(said.contains("every new call goes to legacy"), "{said}");
        assert!(!said.contains("last resort"), "{said}");
    }
    let first = decide(&after(&[set(10)]), &stop).unwrap().said();
    assert!(first.contains("anew hears the last resort"), "{first}");
    for refused in [Command::Hold, set(20)] {
        let why = decide(&stopped, &refused).unwrap_err().why;
        assert!(why.contains("the emergency stop is in force"), "{why}");
    }
}
