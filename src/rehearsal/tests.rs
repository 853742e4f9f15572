//! Plays of the shipped preset for R1: what a play says must not depend on how often
//! the engine looks, and must be what the tables mean.

use std::path::Path;

use super::*;
use crate::model::Percentage;
use crate::rollout::Phase;

const HOUR: Duration = Duration::from_secs(3600);

fn preset() -> Settings {
    let text = include_str!("../../config/presets/ivr-texml.toml");
    let loaded = crate::config::load_text(Path::new("ivr-texml.toml"), text.to_owned());
    let mut settings = settings(&loaded.expect("the preset is well").config);
    settings.plan = None;
    settings
}

/// An hour on legacy alone, then half of all calls on new.
fn half(seed: u64, hours: u32) -> Scenario {
    Scenario {
        seed,
        lasts: hours * HOUR,
        after: Some(HOUR / 2),
        operator: Operator {
            sets: Percentage::new(50.0),
            ..Operator::default()
        },
        ..Scenario::default()
    }
}

fn fault(what: What) -> Fault {
    Fault::of_new(When::After(HOUR), what)
}

#[test]
fn a_good_day_trips_nothing_and_half_of_the_calls_are_on_new() {
    let outcome = play(&preset(), &half(1, 12), &mut ());
    assert_eq!(outcome.acts(), Acts::default());
    assert_eq!(outcome.status.phase, Phase::Soaking);
    let calls = outcome.counts.calls;
    let share = calls.new as f64 / (calls.new + calls.legacy) as f64;
    assert!((0.35..0.55).contains(&share), "{share} of {calls:?}");
    let per_hour = (calls.new + calls.legacy) as f64 / 12.0;
    assert!((100.0..140.0).contains(&per_hour), "{per_hour}");
}

#[test]
fn an_outage_reverses_after_a_handful_of_calls_and_afterwards_all_are_on_legacy() {
    let mut scenario = half(3, 12);
    scenario.faults = vec![fault(What::Down)];
    let outcome = play(&preset(), &scenario, &mut ());
    let reversal = outcome.reversal().expect("an outage reverses");
    assert!((4..=12).contains(&reversal.seen.met), "{:?}", reversal.seen);
    assert_eq!(outcome.status.phase, Phase::Reversed);
    assert_eq!(outcome.counts.after_latch, 0);
    assert_eq!(outcome.false_acts(), Acts::default());
    assert_eq!(outcome.fault_at, Some(2 * HOUR));
    assert_eq!(outcome.lasted, reversal.seen.at + HOUR / 2);
}

#[test]
fn a_play_comes_back_with_its_seed() {
    let mut scenario = half(5, 4);
    scenario.faults = vec![fault(What::Errors(0.5))];
    let told = |scenario: &Scenario| {
        let outcome = play(&preset(), scenario, &mut ());
        (outcome.trips, outcome.decisions, outcome.counts)
    };
    let first = told(&scenario);
    assert_eq!(told(&scenario), first);
    scenario.seed = 6;
    assert_ne!(told(&scenario), first);
}

#[test]
fn looking_seldom_finds_the_same_as_looking_ten_times_a_second() {
    for (seed, what) in [
        (1, What::Errors(0.3)),
        (2, What::Down),
        (3, What::Documents(1.0)),
        (4, What::Slow(8000.0)),
        (5, What::Abandonment(0.6)),
        (6, What::CriticalErrors(1)),
    ] {
        let mut scenario = half(seed, 3);
        scenario.traffic = Traffic::Flat(600.0);
        scenario.before = HOUR / 60;
        scenario.after = Some(Duration::ZERO);
        scenario.faults = vec![Fault::of_new(When::After(HOUR / 20), what)];
        let played = |cadence| {
            let scenario = Scenario {
                cadence,
                ..scenario.clone()
            };
            let outcome = play(&preset(), &scenario, &mut ());
            let reversal = outcome.reversal().cloned();
            let reversal = reversal.unwrap_or_else(|| panic!("{what:?} does not reverse"));
            (reversal.entry.action, reversal.seen)
        };
        let (exact, lively) = (played(Cadence::Exact), played(Cadence::Lively));
        assert_eq!(exact.0, lively.0, "{what:?}");
        let (exact, lively) = (exact.1, lively.1);
        let callers = |seen: Seen| (seen.calls, seen.met);
        if !matches!(what, What::Abandonment(_)) {
            assert_eq!(callers(exact), callers(lively), "{what:?}");
        }
        let apart = exact.at.abs_diff(lively.at);
        let allowed = match what {
            // What leaves a window, or comes into reach of one, does so as time passes.
            What::Abandonment(_) | What::Slow(_) => Duration::from_secs(31),
            _ => Duration::from_millis(101),
        };
        assert!(apart <= allowed, "{what:?}: {apart:?} apart");
    }
}
