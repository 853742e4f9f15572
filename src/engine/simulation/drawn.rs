//! What is drawn by chance: configurations, tables and orders.

use std::time::Duration;

use super::super::Settings;
use super::super::bench::{Random, percent};
use super::{SHARES, TENANTS};
use crate::breaker;
use crate::measure::scorecard::Mature;
use crate::model::{PerBackend, Percentage};
use crate::rollout::{Command, Level, List, Wishes};
use crate::rules::{Action, Measure, Rule};
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
            percentage: percent(random.of(&SHARES)),
            ..Wishes::default()
        },
        breakers: PerBackend::from_fn(|_| Some(breaker::Settings::default())),
        health: PerBackend::default(),
        file_on_empty: random.permille(500),
        entries: true,
        directory: None,
        config_hash: "0123456789ab".to_owned(),
    }
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
    let row = |(name, measure, threshold, action): (&str, Measure, f64, Action)| Rule {
        name: name.to_owned(),
        measure,
        side: measure.bad_side(),
        threshold,
        over: Duration::from_secs(60),
        action,
        live,
        hold_for: Duration::ZERO,
        calls_min: match measure {
            CriticalErrors => 0,
            // Few calls of such a short life end in their window.
            FailedCallRate => 3,
            _ => 6,
        },
        failed_min: if measure == ErrorRate { 3 } else { 0 },
        early: Rule::default_early(measure, measure.bad_side(), action).filter(|_| early),
        priority: None,
        to: Vec::new(),
    };
    rows.map(row).into()
}

pub(super) fn command(random: &mut Random) -> Command {
    let share = |random: &mut Random| -> Percentage { percent(random.of(&SHARES)) };
    let tenant = random.of(&TENANTS).to_owned();
    let live = random.of(&Live::ALL);
    match random.below(14) {
        0..=3 => Command::Percentage(share(random)),
        4 => Command::Hold,
        5..=8 => Command::Resume {
            percentage: random.permille(600).then(|| share(random)),
        },
        9 => Command::Rollback(Level::Tenant(tenant), live),
        10 => Command::Rollback(Level::Partial(share(random)), live),
        11 => Command::Rollback(Level::Total, live),
        _ => Command::Tenant {
            id: tenant,
            list: random.of(&[None, Some(List::Enabled), Some(List::Disabled)]),
        },
    }
}
