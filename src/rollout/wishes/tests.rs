//! What a changed line of the file does, and what it leaves alone.

use super::*;
use crate::rollout::properties::{order, percent, rollout_with};
use crate::rollout::{Command, Level, Phase};
use crate::split::Live;

fn file(enabled: bool, percentage: u16, tenants: &[(&str, List)]) -> Wishes {
    Wishes {
        enabled,
        percentage: percent(percentage),
        tenants: tenants
            .iter()
            .map(|(id, list)| ((*id).to_owned(), *list))
            .collect(),
        scheme: None,
        config: None,
    }
}

/// Loads a file and takes over what follows.
fn load(rollout: &mut Rollout, wishes: &Wishes) -> WishOutcome {
    let outcome = rollout.wishes(wishes, true, Wall(0));
    outcome
        .entries
        .iter()
        .for_each(|entry| rollout.apply(entry));
    outcome
}

#[test]
fn an_empty_state_takes_only_steps_toward_legacy_from_the_file() {
    let mut rollout = Rollout::default();
    let wishes = file(
        true,
        25,
        &[("acme", List::Enabled), ("zeta", List::Disabled)],
    );
    let outcome = rollout.wishes(&wishes, false, Wall(0));
    assert_eq!(outcome.entries.len(), 1);
    assert!(!outcome.entries[0].is_raise());
    assert_eq!(outcome.refused.len(), 2, "{:?}", outcome.refused);
    outcome
        .entries
        .iter()
        .for_each(|entry| rollout.apply(entry));
    assert_eq!(rollout.phase(), Phase::Idle);
    assert_eq!(rollout.percentage(), Percentage::ZERO);
    assert_eq!(
        rollout.tenants().collect::<Vec<_>>(),
        [("zeta", List::Disabled)]
    );

    let again = rollout.wishes(&wishes, false, Wall(0));
    assert_eq!(again, WishOutcome::default(), "seen once, it stays quiet");
    let later = load(&mut rollout, &file(true, 30, &[("zeta", List::Disabled)]));
    assert_eq!(later.entries.len(), 2, "what was seen, and the raise");
    assert_eq!(rollout.percentage(), percent(30), "a later change applies");
}

#[test]
fn on_empty_file_takes_the_file_as_it_is() {
    let mut rollout = Rollout::default();
    let outcome = load(&mut rollout, &file(true, 25, &[("acme", List::Enabled)]));
    assert!(outcome.refused.is_empty());
    assert!(outcome.entries.last().unwrap().is_raise());
    assert_eq!(rollout.phase(), Phase::Soaking);
    assert_eq!(rollout.percentage(), percent(25));
    assert_eq!(
        load(&mut rollout, &file(true, 25, &[("acme", List::Enabled)])),
        WishOutcome::default()
    );
}

#[test]
fn an_order_outlives_a_reload_that_does_not_touch_its_value() {
    let mut rollout = rollout_with(&file(true, 25, &[]));
    let entry = rollout.decide(&order(Command::Percentage(percent(50))), Wall(1));
    rollout.apply(&entry.unwrap());
    load(&mut rollout, &file(true, 25, &[("acme", List::Disabled)]));
    assert_eq!(rollout.percentage(), percent(50), "25 was seen before");
    load(&mut rollout, &file(true, 20, &[("acme", List::Disabled)]));
    assert_eq!(rollout.percentage(), percent(20), "20 is a new wish");
}

#[test]
fn a_step_down_and_a_step_up_in_one_file_are_two_entries_down_first() {
    let mut rollout = rollout_with(&file(true, 50, &[]));
    let outcome = rollout.wishes(&file(true, 10, &[("acme", List::Enabled)]), true, Wall(2));
    let raises: Vec<_> = outcome.entries.iter().map(Entry::is_raise).collect();
    assert_eq!(raises, [false, true]);
    rollout.apply(&outcome.entries[0]);
    assert_eq!(rollout.percentage(), percent(10));
    // The record of the second failed: the next reload brings it again.
    let again = rollout.wishes(&file(true, 10, &[("acme", List::Enabled)]), true, Wall(3));
    assert_eq!(again.entries.len(), 1);
    assert!(again.entries[0].is_raise());
}

#[test]
fn while_latched_the_file_raises_nothing_and_each_wish_is_named() {
    let mut rollout = rollout_with(&file(true, 50, &[("zeta", List::Disabled)]));
    let total = order(Command::Rollback(Level::Total, Live::Drain));
    rollout.apply(&rollout.decide(&total, Wall(1)).unwrap());
    let outcome = load(&mut rollout, &file(true, 60, &[("acme", List::Enabled)]));
    assert_eq!(outcome.refused.len(), 3, "{:?}", outcome.refused);
    assert!(outcome.refused.iter().all(|why| why.contains("resume")));
    assert!(outcome.entries.iter().all(|entry| !entry.is_raise()));
    assert!(rollout.latched());
    let resume = order(Command::Resume { percentage: None });
    rollout.apply(&rollout.decide(&resume, Wall(2)).unwrap());
    let after = load(&mut rollout, &file(true, 60, &[("acme", List::Enabled)]));
    assert_eq!(
        after,
        WishOutcome::default(),
        "refused wishes do not come true with the next reload"
    );
}

#[test]
fn a_tenant_rolled_back_stays_so_until_it_is_cleared() {
    let mut rollout = rollout_with(&file(true, 50, &[("acme", List::Enabled)]));
    let back = order(Command::Rollback(
        Level::Tenant("acme".to_owned()),
        Live::Drain,
    ));
    rollout.apply(&rollout.decide(&back, Wall(1)).unwrap());
    for wishes in [
        file(true, 50, &[]),
        file(true, 50, &[("acme", List::Enabled)]),
    ] {
        let outcome = load(&mut rollout, &wishes);
        assert_eq!(outcome.refused.len(), 1);
        assert!(outcome.refused[0].contains("tenant clear"));
        assert_eq!(
            rollout.tenants().collect::<Vec<_>>(),
            [("acme", List::Disabled)]
        );
    }
    let clear = order(Command::Tenant {
        id: "acme".to_owned(),
        list: None,
    });
    rollout.apply(&rollout.decide(&clear, Wall(2)).unwrap());
    assert_eq!(rollout.tenants().count(), 0);
}

#[test]
fn a_line_taken_out_takes_back_what_it_said_and_nothing_else() {
    let mut rollout = rollout_with(&file(
        true,
        50,
        &[("acme", List::Enabled), ("zeta", List::Disabled)],
    ));
    let disable = order(Command::Tenant {
        id: "acme".to_owned(),
        list: Some(List::Disabled),
    });
    rollout.apply(&rollout.decide(&disable, Wall(1)).unwrap());
    load(&mut rollout, &file(true, 50, &[]));
    assert_eq!(
        rollout.tenants().collect::<Vec<_>>(),
        [("acme", List::Disabled)],
        "zeta was the file's, acme is the operator's"
    );
}

#[test]
fn a_split_switched_off_during_a_latch_does_not_come_back_with_resume() {
    let mut rollout = rollout_with(&file(true, 50, &[("acme", List::Enabled)]));
    let total = order(Command::Rollback(Level::Total, Live::Drain));
    rollout.apply(&rollout.decide(&total, Wall(1)).unwrap());
    load(&mut rollout, &file(false, 50, &[("acme", List::Enabled)]));
    let resume = order(Command::Resume { percentage: None });
    rollout.apply(&rollout.decide(&resume, Wall(2)).unwrap());
    assert!(!rollout.enabled());
    assert_eq!(rollout.phase(), Phase::Idle);
}

#[test]
fn what_is_hashed_and_how_is_noted_and_moves_nothing_by_itself() {
    let drawn = |scheme: &str| Wishes {
        scheme: Some(scheme.to_owned()),
        ..file(true, 25, &[])
    };
    let mut rollout = rollout_with(&file(true, 25, &[]));
    assert_eq!(rollout.scheme(), None, "a file from before it was noted");
    let outcome = load(&mut rollout, &drawn("tenant java31"));
    assert_eq!(outcome.entries.len(), 1);
    assert!(!outcome.entries[0].is_raise());
    assert_eq!(outcome.entries[0].notes, [""; 0], "nothing was drawn anew");
    assert_eq!(rollout.scheme(), Some("tenant java31"));
    assert_eq!(load(&mut rollout, &drawn("tenant java31")).entries, []);
    let again = load(&mut rollout, &drawn("call xxh3 0a1b2c3d"));
    assert_eq!(
        again.entries[0].notes,
        ["Drawn anew: call xxh3 0a1b2c3d, which was tenant java31."]
    );
    let said = again.entries[0].said();
    assert!(!said.contains("nothing of it changes"), "{said}");
    assert_eq!(rollout.scheme(), Some("call xxh3 0a1b2c3d"));
    // What knows of none takes none away.
    load(&mut rollout, &file(true, 25, &[]));
    assert_eq!(rollout.scheme(), Some("call xxh3 0a1b2c3d"));
}
