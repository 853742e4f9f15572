//! Whom a stage lists, and who else may list and let go.

use super::*;
use crate::rollout::List;

#[test]
fn a_stage_lists_only_whom_nobody_else_has_listed() {
    let person = |id: &str, list| Command::Tenant {
        id: id.to_owned(),
        list: Some(list),
    };
    let mut rollout = after(&[
        person("on", List::Enabled),
        person("off", List::Disabled),
        disable("broken"),
    ]);
    let all = ["on", "off", "broken", "free"].map(|id| (id, Some(Listed::Picked)));
    let entry = decide(&rollout, Command::Enter(entering(1, &all))).unwrap();
    rollout.apply(&entry);
    for (id, listed) in [
        ("on", Listed::Enabled),
        ("off", Listed::Disabled),
        ("broken", Listed::RolledBack),
        ("free", Listed::Picked),
    ] {
        assert_eq!(rollout.listed(id), Some(listed), "{id}");
    }
}

#[test]
fn a_stage_that_begins_takes_nobody_back_and_a_step_back_takes_nobody_along() {
    let picks = [
        ("acme", Some(Listed::Picked)),
        ("heavy", Some(Listed::Later)),
    ];
    let mut rollout = after(&[Command::Enter(entering(1, &picks))]);
    let next = [("acme", None), ("heavy", None)];
    let entry = decide(&rollout, Command::Enter(entering(2, &next))).unwrap();
    rollout.apply(&entry);
    assert_eq!(rollout.listed("acme"), Some(Listed::Picked));
    assert_eq!(rollout.listed("heavy"), None, "let go");
    let back = Command::StepBack {
        rule: "errors".to_owned(),
        to: Some(entering(
            1,
            &[("acme", None), ("heavy", Some(Listed::Later))],
        )),
    };
    let entry = decide(&rollout, back).unwrap();
    rollout.apply(&entry);
    assert_eq!(rollout.listed("acme"), None, "its stage was left");
    assert_eq!(rollout.listed("heavy"), Some(Listed::Later));
    let further = Command::StepBack {
        rule: "errors".to_owned(),
        to: Some(entering(1, &[("heavy", None)])),
    };
    let entry = decide(&rollout, further).unwrap();
    rollout.apply(&entry);
    assert_eq!(rollout.listed("heavy"), Some(Listed::Later), "no raise");
}

#[test]
fn a_resume_undoes_what_later_stages_had_listed() {
    let second = [
        ("acme", Some(Listed::Picked)),
        ("zeta", Some(Listed::Picked)),
        ("heavy", Some(Listed::Later)),
    ];
    let latched = after(&[Command::Enter(entering(2, &second)), TOTAL]);
    for (share, kept) in [
        (None, vec![]),
        (Some(3), vec![]),
        (
            Some(5),
            vec![("acme", Listed::Picked), ("heavy", Listed::Later)],
        ),
        (
            Some(25),
            vec![
                ("acme", Listed::Picked),
                ("heavy", Listed::Later),
                ("zeta", Listed::Picked),
            ],
        ),
    ] {
        let mut rollout = latched.clone();
        let entry = decide(&rollout, resume(share)).unwrap();
        rollout.apply(&entry);
        assert_eq!(rollout.all_listed().collect::<Vec<_>>(), kept, "{share:?}");
    }
}

#[test]
fn what_a_stage_listed_the_file_may_make_its_own_and_not_undo() {
    let file = |tenants: &[(&str, List)]| crate::rollout::Wishes {
        scheme: None,
        config: None,
        enabled: true,
        percentage: percent(0),
        tenants: tenants
            .iter()
            .map(|(id, list)| ((*id).to_owned(), *list))
            .collect(),
    };
    let load = |rollout: &mut Rollout, tenants: &[(&str, List)]| {
        for entry in rollout.wishes(&file(tenants), true, Wall(0)).entries {
            assert!(!entry.is_raise(), "{entry:?}");
            rollout.apply(&entry);
        }
    };
    let mut rollout = Rollout::default();
    load(&mut rollout, &[]);
    let picks = [
        ("acme", Some(Listed::Picked)),
        ("heavy", Some(Listed::Later)),
    ];
    let entry = decide(&rollout, Command::Enter(entering(1, &picks))).unwrap();
    rollout.apply(&entry);
    load(
        &mut rollout,
        &[("acme", List::Enabled), ("heavy", List::Disabled)],
    );
    assert_eq!(rollout.listed("acme"), Some(Listed::Enabled));
    assert_eq!(rollout.listed("heavy"), Some(Listed::Disabled));
}
