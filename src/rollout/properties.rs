//! What holds for every sequence of orders, and the helpers that the tests of
//! this room share.

use proptest::prelude::*;

use super::*;

pub(super) fn percent(whole: u16) -> Percentage {
    Percentage::from_basis_points(whole * 100).expect("tests name percentages up to 100")
}

pub(super) fn order(command: Command) -> Order {
    Order {
        actor: "operator via cli".to_owned(),
        reason: "a test".to_owned(),
        command,
    }
}

/// A rollout begun by a file, as `on_empty = "file"` begins it.
pub(super) fn rollout_with(wishes: &Wishes) -> Rollout {
    let mut rollout = Rollout::default();
    for entry in rollout.wishes(wishes, true, Wall(0)).entries {
        rollout.apply(&entry);
    }
    rollout
}

#[derive(Clone, Debug)]
enum Step {
    Order(Command),
    File(Wishes, bool),
    LatchFound,
}

fn tenant() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["acme", "zeta", "omni"]).prop_map(str::to_owned)
}

fn list() -> impl Strategy<Value = List> {
    prop::sample::select(vec![List::Enabled, List::Disabled])
}

fn share() -> impl Strategy<Value = Percentage> {
    prop::sample::select(vec![0, 5, 10, 50, 100]).prop_map(percent)
}

fn live() -> impl Strategy<Value = Live> {
    prop::sample::select(Live::ALL.to_vec())
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => share().prop_map(Command::Percentage),
        1 => Just(Command::Hold),
        3 => prop::option::of(share()).prop_map(|percentage| Command::Resume { percentage }),
        1 => (tenant(), live()).prop_map(|(id, live)| Command::Rollback(Level::Tenant(id), live)),
        2 => (share(), live()).prop_map(|(to, live)| Command::Rollback(Level::Partial(to), live)),
        1 => live().prop_map(|live| Command::Rollback(Level::Total, live)),
        3 => (tenant(), prop::option::of(list()))
            .prop_map(|(id, list)| Command::Tenant { id, list }),
        1 => live().prop_map(|live| Command::Reverse { rule: "errors".to_owned(), live }),
    ]
}

fn file() -> impl Strategy<Value = Wishes> {
    let tenants = prop::collection::btree_map(tenant(), list(), 0..3);
    (any::<bool>(), share(), tenants).prop_map(|(enabled, percentage, tenants)| Wishes {
        enabled,
        percentage,
        tenants,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => command().prop_map(Step::Order),
        2 => (file(), any::<bool>()).prop_map(|(wishes, empty)| Step::File(wishes, empty)),
        1 => Just(Step::LatchFound),
    ]
}

/// How much goes to new: the share, and for each tenant how near to new it is.
fn on_new(rollout: &Rollout) -> (Percentage, [u8; 3]) {
    if rollout.latched() || !rollout.enabled() {
        return (Percentage::ZERO, [0; 3]);
    }
    let nearness = |id| Listed::nearness(rollout.tenants.get(id).copied());
    let tenants = ["acme", "zeta", "omni"].map(nearness);
    (rollout.percentage(), tenants)
}

proptest! {
    #[test]
    fn every_sequence_folds_to_what_ran_and_only_raises_raise(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut live = Rollout::default();
        let mut entries = Vec::new();
        for (at, step) in steps.into_iter().enumerate() {
            let at = Wall(i64::try_from(at).unwrap());
            let before = live.clone();
            let decided = match &step {
                Step::Order(command) => {
                    live.decide(&order(command.clone()), at).into_iter().collect()
                }
                Step::File(wishes, empty) => live.wishes(wishes, *empty, at).entries,
                Step::LatchFound => live.latched_at_start("found", at).into_iter().collect(),
            };
            prop_assert_eq!(&live, &before, "to decide changes nothing");
            for entry in decided {
                let before = live.clone();
                live.apply(&entry);
                prop_assert_eq!(live.sequence(), before.sequence() + 1);
                let moved = live.generation() - before.generation();
                prop_assert!(moved <= 1, "one entry, one generation");
                let (share, tenants) = on_new(&live);
                let (share_was, tenants_were) = on_new(&before);
                if !entry.is_raise() {
                    prop_assert!(share <= share_was, "{:?}", entry);
                    // Switched off, nobody is near to new, listed or not.
                    prop_assert!(tenants.iter().zip(tenants_were).all(|(is, was)| *is <= was));
                }
                if (share, tenants) != (share_was, tenants_were) {
                    prop_assert_eq!(moved, 1, "placement moved under the same generation");
                }
                if before.latched() && !live.latched() {
                    let resumed = matches!(step, Step::Order(Command::Resume { .. }));
                    prop_assert!(resumed, "only a resume clears the latch");
                    let most = before.former().map_or(Percentage::ZERO, |former| former.percentage);
                    prop_assert!(live.percentage() <= most);
                }
                if live.latched() {
                    prop_assert_eq!(live.percentage(), Percentage::ZERO);
                    prop_assert!(matches!(live.phase(), Phase::Reversed | Phase::RolledBack));
                }
                prop_assert!(!entry.said().is_empty());
                entries.push(entry);
            }
        }
        prop_assert_eq!(Rollout::fold(&entries), live);
    }

    #[test]
    fn an_entry_that_overtakes_a_raise_holds_with_and_without_it(
        wishes in file(), steps in prop::collection::vec(command(), 0..20),
        raise in step(), last in command()
    ) {
        let mut live = rollout_with(&wishes);
        for command in steps {
            if let Ok(entry) = live.decide(&order(command), Wall(0)) {
                live.apply(&entry);
            }
        }
        let raise = match raise {
            Step::Order(command) => live.decide(&order(command), Wall(1)).ok(),
            Step::File(wishes, empty) => live.wishes(&wishes, empty, Wall(1)).entries.pop(),
            Step::LatchFound => None,
        };
        let Some(raise) = raise.filter(|entry| entry.is_raise()) else {
            return Ok(());
        };
        let recorded = live.clone();
        live.pass_over(&raise);
        // A file's raise may follow its own step down, which has numbers of its own.
        let Ok(entry) = live.decide(&order(last), Wall(2)) else {
            return Ok(());
        };
        let entry = live.overtaking(entry, &raise);
        live.apply(&entry);
        prop_assert!(entry.stamp.sequence > raise.stamp.sequence);
        for with_raise in [true, false] {
            let mut back = recorded.clone();
            if with_raise {
                back.apply(&raise);
            }
            back.apply(&entry);
            // When a phase or a latch began is told by the clock, and may differ.
            back.phase_since = live.phase_since;
            back.latched_since = live.latched_since;
            back.because.clone_from(&live.because);
            prop_assert_eq!(&back, &live, "raise recorded: {}", with_raise);
        }
    }

    #[test]
    fn no_rollback_and_no_reversal_is_ever_a_raise(
        steps in prop::collection::vec(command(), 0..30), last in command()
    ) {
        let mut live = Rollout::default();
        for command in steps {
            if let Ok(entry) = live.decide(&order(command), Wall(0)) {
                live.apply(&entry);
            }
        }
        if let Command::Rollback(..) | Command::Reverse { .. } | Command::Hold = last
            && let Ok(entry) = live.decide(&order(last), Wall(0))
        {
            prop_assert!(!entry.is_raise(), "{:?}", entry);
        }
    }
}

#[test]
fn the_split_says_what_the_state_says() {
    let scheme = Scheme {
        by: crate::split::By::Tenant,
        hash: crate::split::Hash::Java31,
    };
    let mut rollout = rollout_with(&Wishes {
        enabled: true,
        percentage: percent(10),
        tenants: [("acme", List::Enabled), ("zeta", List::Disabled)]
            .map(|(id, list)| (id.to_owned(), list))
            .into(),
    });
    let back = order(Command::Rollback(
        Level::Tenant("omni".to_owned()),
        Live::Drain,
    ));
    rollout.apply(&rollout.decide(&back, Wall(1)).unwrap());
    let split = rollout.split(&scheme);
    assert!(split.enabled && !split.latched);
    assert_eq!(split.percentage, percent(10));
    assert_eq!(split.generation, rollout.generation());
    assert!(split.enabled_tenants.contains("acme") && split.enabled_tenants.len() == 1);
    assert!(split.disabled_tenants.contains("zeta") && split.disabled_tenants.contains("omni"));
}

#[test]
fn a_gap_in_the_sequence_is_an_order_that_was_not_carried_out() {
    let mut rollout = Rollout::default();
    let lost = order(Command::Percentage(percent(50)));
    let lost = rollout.decide(&lost, Wall(1)).unwrap();
    // Its record failed after the next order was decided on top of it.
    let mut ahead = rollout.clone();
    ahead.apply(&lost);
    let back = order(Command::Rollback(Level::Total, Live::Drain));
    let back = ahead.decide(&back, Wall(2)).unwrap();
    rollout.apply(&back);
    assert_eq!((rollout.sequence(), rollout.generation()), (2, 2));
    assert!(rollout.latched());
}
