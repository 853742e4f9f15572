//! What holds for every sequence of orders, and the helpers that the tests of
//! this room share.

use proptest::prelude::*;

use super::*;

pub(super) fn percent(whole: u16) -> Percentage {
    Percentage::from_basis_points(whole * 100).expect("tests name percentages up to 100")
}

pub(super) fn order(command: Command) -> Order {
    Order {
        waives: Waives::default(),
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
        3 => entering().prop_map(Command::Enter),
        1 => Just(Command::Complete),
        1 => back(),
        1 => disable(),
        1 => stop(),
    ]
}

fn entering() -> impl Strategy<Value = Entering> {
    let listed = prop::sample::select(vec![None, Some(Listed::Picked), Some(Listed::Later)]);
    let tenants = prop::collection::btree_map(tenant(), listed, 0..3);
    (1..4_u16, share(), tenants).prop_map(|(number, percentage, tenants)| Entering {
        stage: format!("stage {number}"),
        number,
        percentage,
        tenants,
    })
}

fn back() -> impl Strategy<Value = Command> {
    prop::option::of(entering()).prop_map(|to| Command::StepBack {
        rule: "errors".to_owned(),
        to,
    })
}

fn disable() -> impl Strategy<Value = Command> {
    (tenant(), live()).prop_map(|(id, live)| Command::DisableTenant {
        rule: "errors".to_owned(),
        id,
        live,
    })
}

fn stop() -> impl Strategy<Value = Command> {
    prop::sample::select(vec![Emergency::Legacy, Emergency::LastResort])
        .prop_map(Command::EmergencyStop)
}

fn file() -> impl Strategy<Value = Wishes> {
    let tenants = prop::collection::btree_map(tenant(), list(), 0..3);
    (any::<bool>(), share(), tenants).prop_map(|(enabled, percentage, tenants)| Wishes {
        enabled,
        percentage,
        tenants,
        scheme: None,
        config: None,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => command().prop_map(Step::Order),
        2 => (file(), any::<bool>()).prop_map(|(wishes, empty)| Step::File(wishes, empty)),
        1 => Just(Step::LatchFound),
    ]
}

/// What an order, a stage, an hour or a verification may lead to, also what no order of
/// today leads to: the fold takes over what stands in an entry.
#[derive(Clone, Debug)]
enum Fact {
    Decided(Step),
    Stage(Option<Standing>, bool),
    Hour(u16),
    Proven(proof::Step),
    Damaged,
}

fn fact() -> impl Strategy<Value = Fact> {
    let standing = (1..4_u16, 0..50_i64).prop_map(|(number, since)| Standing {
        stage: format!("stage {number}"),
        number,
        since: Wall(since),
        begun: Wall(1),
    });
    prop_oneof![
        8 => step().prop_map(Fact::Decided),
        2 => (prop::option::of(standing), any::<bool>()).prop_map(|(to, stop)| Fact::Stage(to, stop)),
        2 => (0..4_u16).prop_map(Fact::Hour),
        2 => prop::sample::select(proof::Step::ALL.to_vec()).prop_map(Fact::Proven),
        1 => Just(Fact::Damaged),
    ]
}

/// The entries of a rollout to which all this happens.
fn led_to(facts: Vec<Fact>) -> Vec<Entry> {
    let mut live = Rollout::default();
    let mut entries = Vec::new();
    for (at, fact) in facts.into_iter().enumerate() {
        let at = Wall(i64::try_from(at).unwrap());
        let decided = match fact {
            Fact::Decided(Step::Order(command)) => {
                live.decide(&order(command), at).into_iter().collect()
            }
            Fact::Decided(Step::File(wishes, empty)) => live.wishes(&wishes, empty, at).entries,
            Fact::Decided(Step::LatchFound) => {
                live.latched_at_start("found", at).into_iter().collect()
            }
            Fact::Proven(step) => vec![live.verification(step, 3, "seen", at)],
            Fact::Damaged => vec![live.after_damage("aside", "torn", 2, at)],
            Fact::Stage(to, stopped) => {
                let mut entry = live.verification(proof::Step::Started, 0, "", at);
                entry.action = Action::Advance;
                (entry.after.stage, entry.after.stopped) = (to, stopped);
                vec![entry]
            }
            Fact::Hour(stage) => {
                let mut entry = live.verification(proof::Step::Started, 0, "", at);
                let mut hour = crate::measure::totals::Hour {
                    stage,
                    ..Default::default()
                };
                hour.sides.legacy.begun = u64::from(stage);
                entry.action = Action::Totals(Box::new(hour));
                vec![entry]
            }
        };
        for entry in decided {
            live.apply(&entry);
            entries.push(entry);
        }
    }
    entries
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
                if entry.action == Action::Advance {
                    prop_assert!(share >= share_was, "a stage lowers the share");
                    // Only whoever was on no list may be kept for later.
                    let kept = tenants.iter().zip(tenants_were);
                    prop_assert!(kept.clone().all(|(is, was)| *is >= was || was == 1), "{:?}", entry);
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
    fn a_checkpoint_stands_for_everything_before_it(
        entries in prop::collection::vec(fact(), 0..30), cut in 0..30_usize
    ) {
        let entries = led_to(entries);
        let (prefix, suffix) = entries.split_at(cut.min(entries.len()));
        let half = Rollout::fold(prefix);
        let checkpoint = half.checkpoint(Wall(99));
        prop_assert_eq!(&Rollout::fold([&checkpoint]), &half);
        prop_assert!(!checkpoint.is_raise() && !checkpoint.unlatches());
        let whole = Rollout::fold(&entries);
        let shorter: Vec<_> = std::iter::once(&checkpoint).chain(suffix).cloned().collect();
        prop_assert_eq!(&Rollout::fold(&shorter), &whole);
        // Where both lie in the directory, the checkpoint stands between them.
        prop_assert_eq!(&Rollout::fold(prefix.iter().chain(&shorter)), &whole);
        prop_assert_eq!(whole.differs_from(&shorter), Vec::<String>::new());
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
            back.judged_since = live.judged_since;
            back.because.clone_from(&live.because);
            prop_assert_eq!(&back, &live, "raise recorded: {}", with_raise);
            let mut on_disk = vec![recorded.checkpoint(Wall(0))];
            on_disk.extend(with_raise.then(|| raise.clone()));
            on_disk.push(entry.clone());
            prop_assert_eq!(live.differs_from(&on_disk), Vec::<String>::new());
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
        let lowers = matches!(
            last,
            Command::Rollback(..)
                | Command::Reverse { .. }
                | Command::Hold
                | Command::StepBack { .. }
                | Command::DisableTenant { .. }
                | Command::EmergencyStop(_)
        );
        if lowers
            && let Ok(entry) = live.decide(&order(last), Wall(0))
        {
            prop_assert!(!entry.is_raise(), "{:?}", entry);
        }
    }
}

#[test]
fn what_differs_from_the_journal_is_named() {
    let mut live = Rollout::default();
    let mut entries = Vec::new();
    let mut take = |command| {
        let entry = live.decide(&order(command), Wall(1)).unwrap();
        live.apply(&entry);
        entries.push(entry);
    };
    take(Command::Percentage(percent(50)));
    take(Command::Rollback(
        Level::Tenant("+13125550109".to_owned()),
        Live::Drain,
    ));
    assert_eq!(live.differs_from(&entries), Vec::<String>::new());
    let refused = live
        .decide(&order(Command::Percentage(percent(60))), Wall(2))
        .unwrap();
    live.pass_over(&refused);
    assert_eq!(live.differs_from(&entries), Vec::<String>::new(), "a gap");
    let differs = live.differs_from(&entries[..1]);
    assert_eq!(differs.len(), 1, "{differs:?}");
    assert_eq!(differs[0], "1 tenants on lists: …09", "masked");
    let differs = live.differs_from(&entries[1..]);
    assert_eq!(
        differs,
        Vec::<String>::new(),
        "an entry tells all but lists"
    );
    live.percentage = percent(70);
    live.sequence = 1;
    let differs = live.differs_from(&entries);
    assert_eq!(differs.len(), 2, "{differs:?}");
    assert!(differs[0].starts_with("percentage: "), "{differs:?}");
    assert!(differs[1].starts_with("sequence: 1 runs"), "{differs:?}");
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
        scheme: None,
        config: None,
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
