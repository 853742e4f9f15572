//! A plan passes by itself, and each thing that is missing holds it alone.

mod bad;
mod calendar;
mod clocks;
mod edited;
mod hooks;
mod orders;

use std::sync::Arc;

use jiff::civil::time;
use jiff::tz::TimeZone;

use super::*;
use crate::engine::bench::{Bench, TICKET, entries, ivr_texml, mins, order, percent, settings};
use crate::engine::{Event, Settings, Status};
use crate::model::{Backend, Percentage, TenantKey};
use crate::rollout::calendar::{Calendar, Freeze, Window};
use crate::rollout::plan::Volume;
use crate::rollout::{Action, Entry, Level, Listed, Moment, Phase, Rollout};
use crate::rules::{self, Measure, STAGE, Side};
use crate::split::Live;
use crate::split::tenants::Names;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn stage(name: &str, whole: u16) -> Stage {
    Stage {
        name: name.to_owned(),
        percentage: percent(whole),
        soak: 2 * HOUR,
        calls_min: 20,
        tenants: Vec::new(),
        volume: Volume::All,
        gates: vec![gate(0.01, HOUR)],
        warm_up: Duration::ZERO,
        not_before: None,
        hours: None,
        approval: false,
        alerts: Vec::new(),
        blind: Some("a test has no traffic".to_owned()),
    }
}

/// A gate: error_rate below this, over that.
pub(super) fn gate(below: f64, over: Duration) -> Rule {
    let measure = Measure::ErrorRate;
    Rule {
        name: format!("gate {below}"),
        measure,
        side: Side::Above,
        threshold: below,
        against: None,
        scope: rules::Scope::All,
        over,
        action: rules::Action::Gate,
        live: Live::Drain,
        hold_for: Duration::ZERO,
        calls_min: 20,
        failed_min: 0,
        early: None,
        priority: None,
        to: Vec::new(),
    }
}

pub(super) fn row(name: &str, action: rules::Action) -> Rule {
    Rule {
        name: name.to_owned(),
        action,
        over: mins(5),
        threshold: 0.05,
        ..gate(0.05, mins(5))
    }
}

pub(super) fn plan(advance: Advance) -> Plan {
    Plan {
        advance,
        calendar: Calendar::default(),
        calls_per_hour: None,
        stages: [
            ("pilot", 5),
            ("ten", 10),
            ("quarter", 25),
            ("half", 50),
            ("all", 100),
        ]
        .map(|(name, whole)| stage(name, whole))
        .into(),
    }
}

/// These rows and this plan, begun by the file.
pub(super) fn with(rules: Vec<Rule>, plan: Plan) -> Settings {
    Settings {
        plan: Some(Arc::new(plan)),
        file_on_empty: true,
        ..settings(rules)
    }
}

pub(super) fn bench(settings: Settings) -> Bench {
    let mut bench = Bench::on(settings, Rollout::default(), None);
    bench.record_all();
    bench
}

/// A plan that goes by itself, in its first stage.
pub(super) fn in_pilot(rules: Vec<Rule>, plan: Plan) -> Bench {
    let mut bench = bench(with(rules, plan));
    let first = match bench.engine.settings.plan.as_ref().unwrap().advance {
        Advance::Auto => look(&mut bench),
        Advance::Manual => give(&mut bench, Command::Advance),
    };
    assert_eq!(began(&first), ["pilot"]);
    bench
}

/// An order is given and its record arrives.
pub(super) fn give(bench: &mut Bench, command: Command) -> Vec<Effect> {
    bench.record_all();
    let mut effects = bench.give(command);
    let from = bench.said.len();
    bench.record_all();
    effects.extend_from_slice(&bench.said[from..]);
    effects
}

/// Time enough for the plan to look once more, and what it recorded arrives.
pub(super) fn look(bench: &mut Bench) -> Vec<Effect> {
    bench.record_all();
    bench.wait(Duration::from_secs(11));
    let from = bench.said.len();
    bench.tick();
    bench.record_all();
    bench.said[from..].to_vec()
}

/// The stages that these effects begin.
pub(super) fn began(effects: &[Effect]) -> Vec<String> {
    let stage = |entry: &Entry| match entry.action {
        Action::Advance => entry.after.stage.clone().map(|it| it.stage),
        Action::Complete => Some("complete".to_owned()),
        _ => None,
    };
    entries(effects).iter().filter_map(stage).collect()
}

/// Everything that the stage asks for: two hours, with calls in the second.
pub(super) fn soak(bench: &mut Bench) {
    bench.tick();
    bench.wait(HOUR + mins(30));
    bench.begin(30);
    bench.tick();
    bench.record_all();
    bench.wait(mins(31));
}

pub(super) fn status(bench: &mut Bench) -> Status {
    bench.engine.status(bench.now, bench.wall)
}

pub(super) fn waits_for(bench: &mut Bench) -> Vec<String> {
    bench.record_all();
    status(bench).plan.expect("a plan").waits_for
}

pub(super) fn stands(bench: &Bench) -> (Option<&str>, Phase, Percentage) {
    let rollout = &bench.engine.rollout;
    (
        rollout.stage().map(|it| it.stage.as_str()),
        rollout.phase(),
        rollout.percentage(),
    )
}

/// Why an order was refused.
pub(super) fn refused(effects: &[Effect]) -> String {
    let why = |effect: &Effect| match effect {
        Effect::Reply {
            result: Err(no), ..
        } => Some(no.why.clone()),
        _ => None,
    };
    effects.iter().find_map(why).expect("a refusal")
}

/// What a restart would make of it all.
pub(super) fn folded(bench: &Bench) -> Rollout {
    Rollout::fold(&entries(&bench.said))
}

#[test]
fn a_plan_of_five_stages_passes_by_itself() {
    let mut bench = in_pilot(vec![], plan(Advance::Auto));
    for (next, whole) in [("ten", 10), ("quarter", 25), ("half", 50), ("all", 100)] {
        soak(&mut bench);
        assert_eq!(began(&look(&mut bench)), [next]);
        assert_eq!(stands(&bench), (Some(next), Phase::Soaking, percent(whole)));
        assert_eq!(bench.engine.split().percentage, percent(whole));
    }
    soak(&mut bench);
    assert_eq!(began(&look(&mut bench)), ["complete"]);
    assert_eq!(bench.engine.rollout.phase(), Phase::Complete);
    soak(&mut bench);
    assert_eq!(began(&look(&mut bench)), [""; 0], "there is nothing more");
    assert_eq!(bench.engine.rollout, folded(&bench));
    let actors: Vec<_> = entries(&bench.said)
        .iter()
        .skip(1)
        .filter(|it| !matches!(it.action, Action::Totals(_)))
        .map(|it| it.actor.clone())
        .collect();
    assert!(actors.iter().all(|actor| actor == "plan"), "{actors:?}");
    let entries = entries(&bench.said);
    let last = entries.iter().rfind(|it| it.action == Action::Complete);
    let why = &last.unwrap().reason;
    assert!(why.contains("stage all was soaked for 2 h"), "{why}");
    assert!(
        why.contains("30 of 20 calls") && why.contains("below 1 % over 1 h: met"),
        "{why}"
    );
}

#[test]
fn each_thing_that_is_missing_holds_the_plan_alone() {
    type Lack = fn(&mut Bench);
    let soon: Lack = |bench| {
        bench.wait(HOUR);
        bench.begin(30);
        bench.tick();
        bench.wait(mins(55));
    };
    let few: Lack = |bench| {
        bench.wait(HOUR + mins(30));
        bench.begin(19);
        // One more on new that began before the stage did.
        bench.call(false);
        bench.tick();
        bench.wait(mins(31));
    };
    let failing: Lack = |bench| {
        bench.wait(HOUR + mins(30));
        bench.begin(97);
        bench.calls(0, 3);
        bench.tick();
        bench.wait(mins(31));
    };
    let quiet: Lack = |bench| {
        bench.begin(30);
        bench.tick();
        bench.wait(2 * HOUR + mins(1));
    };
    let enough: Lack = soak;
    for (what, lack, missing) in [
        ("soak", soon, Some("soak: 1 h 55 min of 2 h")),
        ("calls", few, Some("calls: 19 of 20")),
        (
            "a gate not met",
            failing,
            Some("gate error_rate below 1 % over 1 h: not met"),
        ),
        (
            "a gate that cannot tell",
            quiet,
            Some("inconclusive, 0 of 20 calls"),
        ),
        ("nothing", enough, None),
    ] {
        let mut bench = in_pilot(vec![], plan(Advance::Auto));
        lack(&mut bench);
        let took = began(&look(&mut bench));
        let points = waits_for(&mut bench);
        match missing {
            None => assert_eq!(took, ["ten"], "{what}"),
            Some(missing) => {
                assert_eq!(took, [""; 0], "{what}");
                assert!(
                    points.len() == 1 && points[0].contains(missing),
                    "{what}: {points:?}"
                );
            }
        }
    }
}

#[test]
fn an_operator_is_refused_with_every_missing_point_at_once() {
    let mut bench = in_pilot(vec![], plan(Advance::Manual));
    bench.begin(12);
    bench.tick();
    let why = refused(&give(&mut bench, Command::Advance));
    for point in [
        "stage ten cannot begin yet",
        "soak: ",
        "of 2 h",
        "calls: 12 of 20",
        "gate error_rate below 1 % over 1 h: inconclusive, 12 of 20 calls",
        "--insist",
    ] {
        assert!(why.contains(point), "{point}: {why}");
    }
    assert_eq!(stands(&bench).0, Some("pilot"));
    soak(&mut bench);
    bench.tick();
    assert_eq!(began(&give(&mut bench, Command::Advance)), ["ten"]);
}

#[test]
fn gates_see_nothing_of_the_warm_up() {
    let mut warm = plan(Advance::Manual);
    warm.stages[0].warm_up = mins(90);
    let mut bench = in_pilot(vec![], warm);
    soak(&mut bench);
    bench.tick();
    let points = waits_for(&mut bench);
    assert!(
        points.len() == 1 && points[0].contains("gate"),
        "{points:?}"
    );
    bench.begin(30);
    bench.tick();
    bench.wait(mins(30));
    bench.tick();
    assert_eq!(waits_for(&mut bench), [""; 0], "an hour after the warm-up");
}

#[test]
fn the_status_shows_where_the_plan_stands() {
    let mut bench = in_pilot(vec![], plan(Advance::Auto));
    bench.wait(HOUR);
    bench.begin(7);
    bench.tick();
    let shown = status(&mut bench).plan.unwrap();
    assert_eq!(shown.number, 1);
    assert_eq!(shown.stages.len(), 5);
    assert_eq!((shown.calls, shown.calls_min), (7, 20));
    assert_eq!(shown.soak, 2 * HOUR);
    assert!(shown.soaked > HOUR && shown.soaked < HOUR + mins(1));
    assert_eq!(shown.gates.len(), 1);
    assert_eq!(
        status(&mut bench).rules.len(),
        0,
        "gates are no rows of the tables"
    );
}

#[test]
fn a_span_is_said_in_its_two_largest_units() {
    for (secs, said) in [
        (0, "0 s"),
        (59, "59 s"),
        (3600, "1 h"),
        (2 * 86_400 + 3 * 3600 + 120, "2 d 3 h"),
        (7 * 86_400, "7 d"),
        (3 * 3600 + 20 * 60 + 1, "3 h 20 min"),
    ] {
        assert_eq!(readiness::lasting(Duration::from_secs(secs)), said);
    }
}

#[test]
fn a_blind_stage_does_not_begin_and_one_that_sees_does() {
    for (rules, blind) in [(vec![], true), (ivr_texml(), false)] {
        let mut seen = plan(Advance::Manual);
        seen.stages[0].blind = None;
        seen.calls_per_hour = Some(3000.0);
        let mut bench = bench(with(rules, seen));
        bench.tick();
        let points = waits_for(&mut bench);
        let said = points.iter().any(|point| point.starts_with("blind: "));
        assert_eq!(said, blind, "{points:?}");
        let shown = status(&mut bench).plan.unwrap();
        assert_eq!(shown.forecast.is_empty(), blind, "of the stage that comes");
        let effects = give(&mut bench, Command::Advance);
        assert_eq!(began(&effects).is_empty(), blind);
    }
}

/// Tenants as observations on the bench know them: `t1`, `t2`, …
#[derive(Debug)]
struct Numbered;

impl Names for Numbered {
    fn name(&self, key: TenantKey) -> Option<String> {
        Some(format!("t{}", key.0))
    }
}

#[test]
fn who_calls_much_waits_for_a_later_stage_and_who_is_on_new_stays() {
    let mut classes = plan(Advance::Manual);
    classes.stages[0].volume = Volume::Low;
    classes.stages[0].tenants = vec!["t1".to_owned()];
    let mut bench = bench(with(vec![], classes));
    let why = refused(&give(&mut bench, Command::Advance));
    assert!(
        why.contains("volumes: calls were counted for 0 s of 1 d"),
        "{why}"
    );
    // Of four tenants t1 and t2 call most.
    bench.tenants = 2;
    for _ in 0..20 {
        bench.answer(Backend::Legacy, crate::measure::Outcome::Served, 200);
    }
    bench.tenants = 4;
    for _ in 0..4 {
        bench.answer(Backend::Legacy, crate::measure::Outcome::Served, 200);
    }
    bench.tick();
    bench.wait(DAY);
    bench.tick();
    bench.wait(mins(2));
    bench.engine.learn_volumes(&Numbered, bench.now);
    assert_eq!(began(&give(&mut bench, Command::Advance)), ["pilot"]);
    let listed = |bench: &Bench, id| bench.engine.rollout.listed(id);
    assert_eq!(listed(&bench, "t1"), Some(Listed::Picked), "picked by hand");
    assert_eq!(listed(&bench, "t2"), Some(Listed::Later));
    assert_eq!(listed(&bench, "t3"), None);
    soak(&mut bench);
    bench.tick();
    assert_eq!(began(&give(&mut bench, Command::Advance)), ["ten"]);
    assert_eq!(listed(&bench, "t1"), Some(Listed::Picked));
    assert_eq!(listed(&bench, "t2"), None, "let go");
}
