//! The shipped presets, played: each plan's good weeks to their end, and for each row of
//! each table something that trips it and a neighbour that must not.
//!
//! The engine is the real one; callers and time are simulated. Where a row's threshold is
//! a share, luck is dealt in turns, so that a neighbour is a point beside it.

mod fincafacil;
mod ivr_texml;
mod voice_agent_v2;
mod ws4;

use std::sync::Arc;
use std::time::Duration;

use switchback::demo::preset;
use switchback::engine::Settings;
use switchback::model::{Backend, PerBackend, Percentage};
use switchback::rehearsal::{
    self, Acts, Fault, Operator, Outcome, Scenario, Traffic, What, When, play,
};
use switchback::rollout::Action;
use switchback::rollout::calendar::Calendar;
use switchback::rollout::plan::{Advance, Volume};
use switchback::rules::STAGE;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// What a row does when it trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Alert,
    Reverse,
    StepBack,
    DisableTenant,
}

/// One row of a table.
pub(crate) struct Row {
    pub(crate) rule: &'static str,
    pub(crate) does: Does,
    /// What trips it, and what is just in order.
    pub(crate) trips: What,
    pub(crate) spares: What,
    /// What else the scenario needs.
    pub(crate) but: fn(&mut Scenario),
}

pub(crate) fn row(rule: &'static str, does: Does, trips: What, spares: What) -> Row {
    Row {
        rule,
        does,
        trips,
        spares,
        but: |_| (),
    }
}

impl Row {
    pub(crate) fn but(self, but: fn(&mut Scenario)) -> Self {
        Self { but, ..self }
    }
}

pub(crate) fn settings(name: &str) -> (Settings, Scenario) {
    let preset = preset::known(name).expect("it is shipped");
    let config = preset.config().expect("it stands its check");
    (rehearsal::settings(&config), Scenario::of(&config))
}

/// All calls on new, half an hour of which all is well, then a fault.
fn day(settings: &Settings, usual: &Scenario, row: &Row, what: What) -> Scenario {
    let mut scenario = Scenario {
        before: 2 * MINUTE,
        lasts: 95 * MINUTE,
        after: Some(Duration::ZERO),
        traffic: Traffic::Flat(1200.0),
        dealt: true,
        webhooks: 2,
        operator: Operator {
            sets: settings.plan.is_none().then_some(Percentage::FULL),
            ..Operator::default()
        },
        faults: vec![Fault::of_new(When::After(30 * MINUTE), what)],
        ..usual.clone()
    };
    for backend in Backend::ALL {
        scenario.habits[backend].transactions = 0.9;
    }
    (row.but)(&mut scenario);
    scenario
}

/// Every row acts, and only when it should; each alone, so that none acts before it. All
/// rows of the preset must be named.
pub(crate) fn every_row(name: &str, rows: &[Row]) {
    let (settings, usual) = settings(name);
    let named: Vec<&str> = rows.iter().map(|row| row.rule).collect();
    let all: Vec<&str> = settings.rules.iter().map(|it| it.name.as_str()).collect();
    for rule in &all {
        assert!(named.contains(rule), "{name}: `{rule}` is not played");
    }
    let mut wrong = Vec::new();
    for row in rows {
        let relative = settings.rules.iter().find(|it| it.name == row.rule);
        let relative = relative.unwrap_or_else(|| panic!("{name} has no row `{}`", row.rule));
        let mut settings = match relative.against {
            // Only a plan's first stage leaves a baseline behind it.
            Some(_) => one_stage(&settings),
            None => Settings {
                plan: None,
                ..settings.clone()
            },
        };
        settings.rules.retain(|it| it.name == row.rule);
        let played = |what| play(&settings, &day(&settings, &usual, row, what), &mut ());
        let bad = played(row.trips);
        let rule = row.rule;
        let early = bad.false_acts() != Acts::default() || bad.counts.after_latch > 0;
        if early || !did(&bad, rule, row.does) {
            wrong.push(format!("`{rule}` and {:?}: {}", row.trips, told(&bad)));
        }
        let good = played(row.spares);
        if good.trip(rule).is_some() {
            wrong.push(format!(
                "`{rule}` trips on {:?}: {}",
                row.spares,
                told(&good)
            ));
        }
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n\n"));
}

/// Did this row do what it is there for?
fn did(outcome: &Outcome, rule: &str, does: Does) -> bool {
    let acted = |is: fn(&Action) -> Option<&str>| {
        let mut decisions = outcome.decisions.iter();
        decisions.any(|decision| is(&decision.entry.action) == Some(rule))
    };
    match does {
        Does::Alert => outcome.trip(rule).is_some(),
        Does::Reverse => acted(|action| match action {
            Action::Reverse { rule } => Some(rule),
            _ => None,
        }),
        Does::StepBack => acted(|action| match action {
            Action::StepBack { rule } => Some(rule),
            _ => None,
        }),
        Does::DisableTenant => acted(|action| match action {
            Action::DisableTenant { rule } => Some(rule),
            _ => None,
        }),
    }
}

/// What happened, for whoever reads a failure.
pub(crate) fn told(outcome: &Outcome) -> String {
    let decisions = outcome.decisions.iter();
    let decisions = decisions.map(|it| format!("{:?} {}", it.seen.at, it.entry.said()));
    let trips = outcome.trips.iter();
    let trips = trips.map(|it| format!("{:?} trips {}", it.seen.at, it.text));
    let waits = outcome
        .status
        .plan
        .iter()
        .flat_map(|plan| plan.waits_for.clone());
    let all: Vec<String> = decisions.chain(trips).chain(waits).collect();
    format!("{}\n{:?}", all.join("\n"), outcome.counts)
}

/// The preset with a plan of one stage that asks for nothing.
fn one_stage(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let mut plan = settings.plan.as_deref().expect("a plan").clone();
    plan.calendar = Calendar::default();
    plan.advance = Advance::Manual;
    plan.stages.truncate(1);
    for stage in &mut plan.stages {
        stage.percentage = Percentage::FULL;
        stage.not_before = None;
        stage.hours = None;
        stage.soak = 30 * DAY;
        stage.gates.clear();
        stage.tenants.clear();
        stage.alerts.clear();
        stage.volume = Volume::All;
        stage.blind = Some("a test".to_owned());
    }
    settings.plan = Some(Arc::new(plan));
    settings
}

/// One gate, what keeps its stage and what lets it go on.
pub(crate) struct Gate {
    pub(crate) stage: &'static str,
    pub(crate) measure: &'static str,
    pub(crate) keeps: What,
    pub(crate) passes: What,
}

pub(crate) const fn gate(
    stage: &'static str,
    measure: &'static str,
    keeps: What,
    passes: What,
) -> Gate {
    Gate {
        stage,
        measure,
        keeps,
        passes,
    }
}

/// Every gate keeps its stage, and only when it should. The stage runs alone with that
/// gate at half of all calls; what looks back for days looks back for two hours, and the
/// good weeks look back for all of them.
pub(crate) fn every_gate(name: &str, gates: &[Gate]) {
    let (settings, usual) = settings(name);
    let mut wrong = Vec::new();
    for gate in gates {
        let settings = gated(&settings, gate);
        let played = |what| {
            let mut scenario = Scenario {
                before: 70 * MINUTE,
                lasts: 70 * MINUTE + 4 * HOUR,
                traffic: Traffic::Flat(300.0),
                dealt: true,
                webhooks: 2,
                faults: vec![Fault::of_new(When::After(Duration::ZERO), what)],
                ..usual.clone()
            };
            scenario.habits.new.abandonment = 0.04;
            for backend in Backend::ALL {
                scenario.habits[backend].transactions = 0.9;
            }
            play(&settings, &scenario, &mut ())
        };
        let (stage, measure) = (gate.stage, gate.measure);
        for (what, stages) in [(gate.keeps, 1), (gate.passes, 2)] {
            let outcome = played(what);
            if outcome.stages.len() != stages {
                let told = told(&outcome);
                wrong.push(format!(
                    "{stage}, {measure}, {what:?}: {stages} stages expected: {told}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n\n"));
}

fn gated(settings: &Settings, gate: &Gate) -> Settings {
    let mut settings = settings.clone();
    // Rows that would take the stage away are not what is looked at.
    settings.rules.clear();
    let mut plan = settings.plan.as_deref().expect("a plan").clone();
    plan.calendar = Calendar::default();
    plan.advance = Advance::Auto;
    let mut stage = plan
        .stages
        .iter()
        .find(|stage| stage.name == gate.stage)
        .unwrap_or_else(|| panic!("no stage {}", gate.stage))
        .clone();
    stage.gates.retain(|row| row.measure.name() == gate.measure);
    assert!(
        !stage.gates.is_empty(),
        "{} has no gate {}",
        gate.stage,
        gate.measure
    );
    for row in &mut stage.gates {
        if row.over != STAGE {
            row.over = row.over.min(2 * HOUR);
        }
    }
    stage.percentage = Percentage::new(50.0).expect("a share");
    stage.soak = 2 * HOUR;
    stage.calls_min = 20;
    stage.not_before = None;
    stage.hours = None;
    stage.tenants.clear();
    stage.volume = Volume::All;
    stage.blind = Some("a test".to_owned());
    stage.approval = false;
    let mut next = stage.clone();
    next.name = "next".to_owned();
    next.percentage = Percentage::new(60.0).expect("a share");
    next.soak = 30 * DAY;
    plan.stages = vec![stage, next];
    plan.calls_per_hour = None;
    settings.plan = Some(Arc::new(plan));
    settings
}

/// The whole plan on good days: every stage in its order, none left before its time, no
/// row acts, and at the end it is complete.
pub(crate) fn good_weeks(name: &str, calls_per_hour: f64) -> Outcome {
    let (settings, usual) = settings(name);
    let plan = settings.plan.clone().expect("a plan");
    let mut scenario = Scenario {
        before: 30 * HOUR,
        lasts: plan.stages.iter().map(|stage| stage.soak + 8 * DAY).sum(),
        after: Some(Duration::ZERO),
        traffic: Traffic::Flat(calls_per_hour),
        dealt: true,
        webhooks: 2,
        ..usual
    };
    scenario.habits = PerBackend::from_fn(|backend| {
        let mut habits = scenario.habits[backend];
        habits.transactions = 0.9;
        if backend == Backend::New {
            // As the end asks: everything equal to or better than legacy's.
            habits.abandonment = 0.04;
            habits.errors = 0.001;
            habits.duration_s = 140.0;
        }
        habits
    });
    let outcome = play(&settings, &scenario, &mut ());
    let names: Vec<&str> = outcome.stages.iter().map(|it| it.name.as_str()).collect();
    let wanted: Vec<&str> = plan.stages.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, wanted, "{name}: {}", told(&outcome));
    assert!(outcome.is_complete(), "{name}: {}", told(&outcome));
    assert_eq!(
        outcome.acts(),
        Acts::default(),
        "{name}: {}",
        told(&outcome)
    );
    for (passed, stage) in outcome.stages.iter().zip(&plan.stages) {
        let lasted = passed.lasted.expect("it was left");
        assert!(lasted >= stage.soak, "{name}, {}: {lasted:?}", stage.name);
        assert!(
            passed.calls >= stage.calls_min,
            "{name}, {}: {}",
            stage.name,
            passed.calls
        );
    }
    outcome
}
