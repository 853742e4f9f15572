//! Stages as the fold sees them: the phase, the share, the days, and what is said. What
//! leads toward legacy is in `tests/toward_legacy.rs`, whom a stage lists in `tests/listed.rs`.

mod listed;
mod toward_legacy;

use std::time::Duration;

use super::*;
use crate::rollout::plan::{Advance, Volume};
use crate::rollout::properties::{order, percent};
use crate::rollout::{Command, Level, Refusal};

fn decide(rollout: &Rollout, command: Command) -> Result<Entry, Refusal> {
    rollout.decide_in(&order(command), Some(&plan()), Wall(5000))
}

/// A rollout after these commands, all of which must be granted.
fn after(commands: &[Command]) -> Rollout {
    let mut rollout = Rollout::default();
    for command in commands {
        let entry =
            decide(&rollout, command.clone()).unwrap_or_else(|no| panic!("{command:?}: {no}"));
        rollout.apply(&entry);
    }
    rollout
}

fn stage(name: &str, whole: u16, tenants: &[&str]) -> Stage {
    Stage {
        name: name.to_owned(),
        percentage: percent(whole),
        soak: Duration::from_secs(3600),
        calls_min: 20,
        tenants: tenants.iter().map(|id| (*id).to_owned()).collect(),
        volume: Volume::All,
        gates: Vec::new(),
        warm_up: Duration::ZERO,
        not_before: None,
        hours: None,
        approval: false,
        alerts: Vec::new(),
        blind: None,
    }
}

fn plan() -> Plan {
    Plan {
        advance: Advance::Manual,
        calendar: Default::default(),
        calls_per_hour: None,
        stages: vec![
            stage("pilot", 5, &["acme"]),
            stage("quarter", 25, &["zeta"]),
            stage("all", 100, &[]),
        ],
    }
}

/// A stage with these tenants.
fn entering(number: u16, tenants: &[(&str, Option<Listed>)]) -> Entering {
    let plan = plan();
    let stage = &plan.stages[usize::from(number) - 1];
    Entering {
        stage: stage.name.clone(),
        number,
        percentage: stage.percentage,
        tenants: tenants
            .iter()
            .map(|(id, to)| ((*id).to_owned(), *to))
            .collect(),
    }
}

fn enter(number: u16) -> Command {
    Command::Enter(entering(number, &[]))
}

fn back(to: Option<u16>) -> Command {
    Command::StepBack {
        rule: "errors".to_owned(),
        to: to.map(|number| entering(number, &[])),
    }
}

fn disable(id: &str) -> Command {
    Command::DisableTenant {
        rule: "errors".to_owned(),
        id: id.to_owned(),
        live: Live::Drain,
    }
}

fn resume(whole: Option<u16>) -> Command {
    Command::Resume {
        percentage: whole.map(percent),
    }
}

fn set(whole: u16) -> Command {
    Command::Percentage(percent(whole))
}

const TOTAL: Command = Command::Rollback(Level::Total, Live::Drain);
const STOP: Command = Command::EmergencyStop(Emergency::Legacy);
const LAST_RESORT: Command = Command::EmergencyStop(Emergency::LastResort);

#[test]
fn the_phase_and_the_stage_follow_the_plan() {
    let acme_off = Command::Rollback(Level::Tenant("acme".to_owned()), Live::Drain);
    for (commands, phase, stage, share) in [
        (vec![enter(1)], Phase::Soaking, Some("pilot"), 5),
        (vec![enter(1), set(0)], Phase::Idle, Some("pilot"), 0),
        (vec![enter(1), enter(3)], Phase::Soaking, Some("all"), 100),
        (
            vec![enter(3), Command::Complete],
            Phase::Complete,
            Some("all"),
            100,
        ),
        (
            vec![enter(3), Command::Complete, acme_off],
            Phase::Complete,
            Some("all"),
            100,
        ),
        (
            vec![enter(3), Command::Complete, set(50)],
            Phase::Soaking,
            Some("all"),
            50,
        ),
        (vec![enter(2), back(Some(1))], Phase::Held, Some("pilot"), 5),
        (vec![enter(1), back(None)], Phase::Held, None, 0),
        (vec![set(50), back(None)], Phase::Held, None, 0),
        (
            vec![enter(2), set(3), back(Some(1))],
            Phase::Held,
            Some("pilot"),
            3,
        ),
        (
            vec![enter(2), Command::Hold, back(Some(1))],
            Phase::Held,
            Some("pilot"),
            5,
        ),
        (
            vec![enter(2), Command::Hold, resume(None)],
            Phase::Soaking,
            Some("quarter"),
            25,
        ),
        (vec![enter(2), TOTAL], Phase::RolledBack, Some("quarter"), 0),
        (vec![enter(2), TOTAL, resume(None)], Phase::Idle, None, 0),
        (
            vec![enter(2), TOTAL, resume(Some(10))],
            Phase::Soaking,
            Some("pilot"),
            10,
        ),
        (
            vec![enter(2), TOTAL, resume(Some(25))],
            Phase::Soaking,
            Some("quarter"),
            25,
        ),
        (
            vec![enter(2), TOTAL, resume(Some(3))],
            Phase::Soaking,
            None,
            3,
        ),
        (
            vec![enter(1), set(60), enter(2)],
            Phase::Soaking,
            Some("quarter"),
            60,
        ),
    ] {
        let rollout = after(&commands);
        let stands = rollout.stage().map(|it| it.stage.as_str());
        assert_eq!(
            (rollout.phase(), stands, rollout.percentage()),
            (phase, stage, percent(share)),
            "{commands:?}"
        );
    }
}

#[test]
fn no_stage_begins_and_none_is_completed_while_held_or_latched() {
    for stop in [Command::Hold, TOTAL, STOP, back(Some(1))] {
        let rollout = after(&[enter(2), stop.clone()]);
        for raise in [enter(3), Command::Complete] {
            let no = decide(&rollout, raise).unwrap_err();
            assert!(
                no.why.contains("switchback resume --reason"),
                "{stop:?}: {no}"
            );
        }
    }
    let no = decide(&after(&[set(5)]), Command::Complete).unwrap_err();
    assert!(no.why.contains("no stage"), "{no}");
    let no = decide(&after(&[]), Command::Advance).unwrap_err();
    assert!(no.why.contains("[[plan.stage]]"), "{no}");
}

#[test]
fn day_one_stays_while_the_plan_goes_on_and_comes_anew_when_it_begins_anew() {
    let at = |rollout: &mut Rollout, command, at| {
        let entry = rollout.decide_in(&order(command), Some(&plan()), Wall(at));
        rollout.apply(&entry.unwrap());
    };
    let mut rollout = Rollout::default();
    at(&mut rollout, enter(1), 1000);
    at(&mut rollout, enter(2), 2000);
    let standing = rollout.stage().unwrap();
    assert_eq!((standing.since, standing.begun), (Wall(2000), Wall(1000)));
    at(&mut rollout, back(Some(1)), 3000);
    assert_eq!(rollout.stage().unwrap().begun, Wall(1000));
    at(&mut rollout, TOTAL, 4000);
    at(&mut rollout, resume(None), 5000);
    at(&mut rollout, enter(1), 6000);
    assert_eq!(rollout.stage().unwrap().begun, Wall(6000));
}

#[test]
fn a_step_of_the_calendar_moves_the_stage_along_and_nothing_else() {
    let mut rollout = after(&[enter(1)]);
    let before = rollout.clone();
    let entry = rollout.clock_stepped(-3_600_000, Wall(9000));
    assert!(!entry.is_raise());
    assert!(entry.said().contains("-3600 s"), "{}", entry.said());
    rollout.apply(&entry);
    let standing = rollout.stage().unwrap();
    assert_eq!(standing.since, Wall(5000 - 3_600_000));
    assert_eq!(standing.begun, Wall(5000 - 3_600_000));
    assert_eq!(rollout.generation(), before.generation());
    assert_eq!(rollout.phase(), before.phase());
}

#[test]
fn what_is_ordered_within_a_stage_says_what_becomes_of_the_plan() {
    let rollout = after(&[enter(2)]);
    for (command, says) in [
        (set(30), "the first later one with at least 30 %"),
        (set(10), "only by `switchback advance`"),
        (
            Command::Rollback(Level::Partial(percent(10)), Live::Drain),
            "only by `switchback advance`",
        ),
    ] {
        let said = decide(&rollout, command).unwrap().said();
        assert!(
            said.contains("stays in stage quarter") && said.contains(says),
            "{said}"
        );
    }
    let latched = after(&[enter(2), TOTAL]);
    let said = decide(&latched, resume(Some(25))).unwrap().said();
    assert!(said.contains("goes on in stage quarter"), "{said}");
    let said = decide(&latched, resume(None)).unwrap().said();
    assert!(said.contains("begins anew"), "{said}");
}

#[test]
fn each_entry_is_one_sentence_an_operator_understands() {
    let rollout = after(&[enter(2)]);
    for (command, says) in [
        (enter(3), "Stage all begins; the share of new is 100 %."),
        (Command::Complete, "The plan is complete"),
        (
            back(Some(1)),
            "Rule errors tripped: back to stage pilot; the share of new goes from 25 % to 5 % and is held there",
        ),
        (back(None), "back to before the first stage"),
        (
            disable("+14155550142"),
            "the new calls of tenant …42 go to legacy",
        ),
        (STOP, "Emergency stop: every new call goes to legacy"),
        (LAST_RESORT, "hears the last resort"),
    ] {
        let said = decide(&rollout, command).unwrap().said();
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_closed_calendar_refuses_what_the_file_raises_and_nothing_else() {
    let mut rollout = Rollout::default();
    let file = |share| crate::rollout::Wishes {
        enabled: true,
        percentage: percent(share),
        ..Default::default()
    };
    for (share, closed, granted) in [
        (10, None, true),
        (20, Some("no window is open"), false),
        (5, Some("no window is open"), true),
        (5, None, true),
    ] {
        let outcome = rollout.wishes_within(&file(share), true, closed, Wall(0));
        assert_eq!(outcome.refused.is_empty(), granted, "{outcome:?}");
        let named = |why: &String| why.contains("no window is open");
        assert!(outcome.refused.iter().all(named), "{outcome:?}");
        outcome
            .entries
            .iter()
            .for_each(|entry| rollout.apply(entry));
    }
    assert_eq!(rollout.percentage(), percent(5), "20 counts as seen");
}
