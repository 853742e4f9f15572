//! What is drawn by chance: configurations, tables and orders.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;

use super::super::Settings;
use super::super::bench::{Random, percent};
use super::{SHARES, TENANTS};
use crate::breaker;
use crate::measure::scorecard::Mature;
use crate::model::{PerBackend, Percentage};
use crate::rollout::calendar::{Calendar, Freeze, Window};
use crate::rollout::plan::{Advance, Volume};
use crate::rollout::{Command, Emergency, Level, List, Moment, Plan, Stage, Wishes};
use crate::rules::{Action, Measure, Rule, Scope};
use crate::split::{By, Hash, Live, Scheme};

pub(super) fn settings(random: &mut Random) -> Settings {
    let by = random.of(&[By::Tenant, By::Call, By::Caller]);
    Settings {
        scheme: Scheme {
            by,
            hash: Hash::Xxh3 {
                salt: "sim".to_owned(),
            },
        },
        rules: rules(random),
        mature: Mature::After(Duration::from_secs(20)),
        wishes: Wishes {
            enabled: true,
            percentage: match random.permille(500) {
                true => Percentage::ZERO,
                false => percent(random.of(&SHARES)),
            },
            ..Wishes::default()
        },
        breakers: PerBackend::from_fn(|_| Some(breaker::Settings::default())),
        health: PerBackend::default(),
        file_on_empty: random.permille(700),
        entries: true,
        plan: plan(random),
        hooks: hooks(random),
        emergency: Emergency::default(),
        directory: None,
        config_hash: "0123456789ab".to_owned(),
    }
}

/// Mostly there is a plan, and mostly it goes by itself.
pub(super) fn plan(random: &mut Random) -> Option<Arc<Plan>> {
    if random.permille(200) {
        return None;
    }
    // With so few tenants a small share is nobody.
    let shares = [5, 25, 25, 50, 50, 75, 90, 100];
    let mut stages = Vec::new();
    for (number, share) in shares.into_iter().enumerate() {
        if random.permille(450) {
            stages.push(stage(random, &format!("stage {number}"), share));
        }
    }
    if stages.is_empty() {
        stages.push(stage(random, "all", 100));
    }
    let advance = match random.permille(700) {
        true => Advance::Auto,
        false => Advance::Manual,
    };
    Some(Arc::new(Plan {
        advance,
        calendar: calendar(random),
        calls_per_hour: random.permille(900).then_some(600.0),
        stages,
    }))
}

fn stage(random: &mut Random, name: &str, share: u16) -> Stage {
    let picked = random.permille(300).then(|| random.of(&TENANTS).to_owned());
    Stage {
        name: name.to_owned(),
        percentage: percent(share),
        soak: Duration::from_secs(random.of(&[0, 5, 60, 600])),
        calls_min: random.of(&[0, 0, 0, 1, 3]),
        tenants: picked.into_iter().collect(),
        volume: match random.permille(60) {
            // Nobody knows who calls much within such a short life.
            true => random.of(&[Volume::Low, Volume::Mix]),
            false => Volume::All,
        },
        gates: (0..random.below(2))
            .map(|number| gate(random, number))
            .collect(),
        warm_up: Duration::from_secs(random.of(&[0, 0, 10])),
        not_before: None,
        hours: None,
        approval: random.permille(80),
        alerts: Vec::new(),
        blind: random
            .permille(800)
            .then(|| "it is a simulation".to_owned()),
    }
}

fn gate(random: &mut Random, number: u64) -> Rule {
    let measure = random.of(&[Measure::ErrorRate, Measure::CriticalErrors]);
    Rule {
        name: format!("gate {number}"),
        threshold: if measure == Measure::ErrorRate {
            0.05
        } else {
            1.0
        },
        over: Duration::from_secs(random.of(&[5, 60])),
        calls_min: random.of(&[0, 2]),
        ..row("gate", measure, 0.0, Action::Gate)
    }
}

/// The simulated life begins at 22:13 and lasts about an hour.
fn calendar(random: &mut Random) -> Calendar {
    let minute = |minute: i8| Time::constant(22, minute, 0, 0);
    let window = Window {
        day: None,
        from: minute(20),
        to: minute(40),
    };
    let at = |secs: i64| Timestamp::from_second(1_700_000_000 + secs).expect("in range");
    let freeze = Freeze {
        from: at(600),
        to: at(1500),
        reason: "somebody is married".to_owned(),
    };
    Calendar {
        windows: random.permille(200).then_some(window).into_iter().collect(),
        freezes: random.permille(200).then_some(freeze).into_iter().collect(),
        ..Calendar::default()
    }
}

pub(super) fn hooks(random: &mut Random) -> Vec<Moment> {
    let mut hooks = Moment::ALL.to_vec();
    hooks.retain(|_| random.permille(250));
    hooks
}

/// R1's rows over a minute, so that a short life sees them all.
pub(super) fn rules(random: &mut Random) -> Vec<Rule> {
    use Measure::{AbandonmentRate, CriticalErrors, ErrorRate, FailedCallRate, ResponseTimeMean};
    let holds = if random.permille(500) {
        Action::Hold
    } else {
        Action::Alert
    };
    let rows = [
        ("holds", ErrorRate, 0.05, holds),
        ("errors", ErrorRate, 0.10, Action::Reverse),
        ("slow", ResponseTimeMean, 5000.0, Action::Reverse),
        ("hang-ups", AbandonmentRate, 0.25, Action::Reverse),
        ("failed calls", FailedCallRate, 0.10, Action::Reverse),
        ("critical", CriticalErrors, 0.0, Action::Reverse),
    ];
    let early = random.permille(700);
    let live = random.of(&Live::ALL);
    let mut rules: Vec<Rule> = rows
        .map(|(name, measure, threshold, action)| Rule {
            live,
            early: Rule::default_early(measure, measure.bad_side(), action).filter(|_| early),
            ..row(name, measure, threshold, action)
        })
        .into();
    if random.permille(800) {
        rules.push(Rule {
            // Sooner than what reverses, or it would never be seen.
            calls_min: 2,
            failed_min: 1,
            ..row("back", ErrorRate, 0.01, Action::StepBack)
        });
    }
    if random.permille(600) {
        rules.push(Rule {
            scope: Scope::Tenant,
            calls_min: 2,
            failed_min: 1,
            ..row("tenant", ErrorRate, 0.3, Action::DisableTenant)
        });
    }
    rules
}

fn row(name: &str, measure: Measure, threshold: f64, action: Action) -> Rule {
    use Measure::{CriticalErrors, ErrorRate, FailedCallRate};
    Rule {
        against: None,
        scope: Scope::All,
        name: name.to_owned(),
        measure,
        side: measure.bad_side(),
        threshold,
        over: Duration::from_secs(60),
        action,
        live: Live::Drain,
        hold_for: Duration::ZERO,
        calls_min: match measure {
            CriticalErrors => 0,
            // Few calls of such a short life end in their window.
            FailedCallRate => 3,
            _ => 6,
        },
        failed_min: if measure == ErrorRate { 3 } else { 0 },
        early: None,
        priority: None,
        to: Vec::new(),
    }
}

pub(super) fn command(random: &mut Random) -> Command {
    let share = |random: &mut Random| -> Percentage { percent(random.of(&SHARES)) };
    let tenant = random.of(&TENANTS).to_owned();
    let live = random.of(&Live::ALL);
    match random.below(60) {
        42..=58 => Command::Advance,
        59 => Command::EmergencyStop(random.of(&[Emergency::Legacy, Emergency::LastResort])),
        0..=11 => Command::Percentage(share(random)),
        12..=13 => Command::Hold,
        14..=28 => Command::Resume {
            percentage: random.permille(600).then(|| share(random)),
        },
        29..=31 => Command::Rollback(Level::Tenant(tenant), live),
        32..=33 => Command::Rollback(Level::Partial(share(random)), live),
        34 => Command::Rollback(Level::Total, live),
        _ => Command::Tenant {
            id: tenant,
            list: random.of(&[None, Some(List::Enabled), Some(List::Disabled)]),
        },
    }
}
