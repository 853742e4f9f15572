//! What a forecast says of a row, and where it says never; in `tests/real.rs` it is held
//! against the real thing.

mod real;

use super::*;
use crate::rules::{Early, Side};
use crate::split::Live;

fn row(measure: Measure, threshold: f64, minutes: u64, action: Action) -> Rule {
    let side = measure.bad_side();
    let over = Duration::from_secs(minutes * 60);
    Rule {
        name: Rule::default_name(measure, side, threshold, over),
        measure,
        side,
        threshold,
        against: None,
        scope: Scope::All,
        over,
        action,
        live: Live::Drain,
        hold_for: Duration::ZERO,
        calls_min: measure.calls_min(),
        failed_min: Rule::default_failed_min(measure, action),
        early: Rule::default_early(measure, side, action),
        priority: None,
        to: Vec::new(),
    }
}

fn errors_10() -> Rule {
    row(Measure::ErrorRate, 0.10, 5, Action::Reverse)
}

/// The rows of the preset `ivr-texml` that are forecast.
fn ivr_texml() -> Vec<Rule> {
    use Action::{Alert, Reverse};
    vec![
        row(Measure::ErrorRate, 0.05, 15, Alert),
        row(Measure::ErrorRate, 0.10, 5, Reverse),
        row(Measure::ResponseTimeMean, 3000.0, 10, Alert),
        row(Measure::ResponseTimeMean, 5000.0, 5, Reverse),
        row(Measure::AbandonmentRate, 0.15, 30, Alert),
        row(Measure::AbandonmentRate, 0.25, 15, Reverse),
        row(Measure::ErrorRate, 0.05, 5, Alert),
        row(Measure::ResponseTimeMean, 2000.0, 5, Alert),
        row(Measure::AbandonmentRate, 0.15, 15, Alert),
        row(Measure::SpeechRecognitionRate, 0.75, 30, Alert),
        row(Measure::BackendDown, 0.0, 1, Alert),
    ]
}

/// Those of the multi-tenant voice agent: no-go figures over half an hour, and its
/// second level, which goes by the sequential test alone.
fn voice_agent_v2() -> Vec<Rule> {
    let early = Some(Early::default());
    let half_hour = |measure, threshold| Rule {
        calls_min: 200,
        ..row(measure, threshold, 30, Action::Reverse)
    };
    let mut alone = row(Measure::ErrorRate, 0.02, 30, Action::StepBack);
    (alone.calls_min, alone.early) = (u32::MAX, early);
    let mut tenant = row(Measure::ErrorRate, 0.05, 30, Action::DisableTenant);
    (tenant.scope, tenant.early) = (Scope::Tenant, early);
    tenant.name = "one tenant's errors".into();
    vec![
        half_hour(Measure::ErrorRate, 0.05),
        half_hour(Measure::ResponseTimeP95, 1200.0),
        half_hour(Measure::FailedCallRate, 0.10),
        alone,
        tenant,
    ]
}

fn told(rule: &Rule, rate: f64) -> Vec<Option<f64>> {
    let told = forecast(std::slice::from_ref(rule), rate);
    told.into_iter().map(|it| it.calls).collect()
}

#[test]
fn a_total_outage_is_noticed_in_a_handful_of_calls_however_few_there_are() {
    for rate in [0.05, 2.0, 60.0, 6000.0] {
        let calls = told(&errors_10(), rate)[0].unwrap();
        assert!((4.0..12.0).contains(&calls), "{calls} at {rate} a minute");
    }
    let alone = Rule {
        calls_min: u32::MAX,
        ..errors_10()
    };
    assert!((4.0..9.0).contains(&told(&alone, 2.0)[0].unwrap()));
    assert!(told(&alone, 1e15)[0].is_some(), "and however many");
}

#[test]
fn what_is_not_above_the_threshold_is_never_noticed() {
    let calls = told(&errors_10(), 60.0);
    assert!(calls[1].is_some(), "30 % are above 10 %");
    assert_eq!(calls[2..], [None, None], "10 % and 5 % are not");
    let calls = told(&row(Measure::ErrorRate, 0.0999, 5, Action::Reverse), 60.0);
    assert!(calls[2].is_some(), "10 % are above 9.99 %");
    let down = row(Measure::BackendDown, 0.0, 1, Action::Reverse);
    let calls = told(&down, 60.0);
    assert!(calls[0].is_some());
    assert_eq!(calls[1..], [None; 3], "down is nothing less than all");
}

// The table said "never" of what a simulation saw after 24 hours: at three calls an hour on
// new nobody had looked further.
#[test]
fn what_is_above_the_threshold_and_seldom_is_noticed_later_and_not_never() {
    let told = forecast(&[errors_10()], 0.05);
    assert!(told[0].calls.is_some(), "a total outage is noticed");
    let day = Beyond {
        calls: 72.0,
        minutes: Some(1440.0),
    };
    assert_eq!((told[1].calls, told[1].beyond), (None, Some(day)), "30 %");
    assert_eq!(day.short(), "> 1 day");
    assert_eq!(
        told[1].said(),
        "a 30 % fault is not noticed within a day by error_rate-above-10%-5m"
    );
    for never in &told[2..] {
        assert_eq!((never.calls, never.beyond), (None, None), "10 % and 5 %");
        assert!(never.said().contains("is never noticed"), "{never:?}");
    }
    let tenant = Rule {
        scope: Scope::Tenant,
        ..errors_10()
    };
    let told = forecast(&[tenant], 0.05);
    let beyond = told[1].beyond.expect("one tenant's calls are as few");
    assert_eq!(beyond.short(), "> 72 calls of it");
    assert_eq!(beyond.said(), "72 of its calls");
    let soon = Beyond {
        calls: 20_000.0,
        minutes: Some(20.0),
    };
    assert_eq!(
        (soon.short(), soon.said()),
        ("> 20 min".into(), "20 min".into())
    );
}

#[test]
fn a_window_alone_is_blind_where_its_minimum_is_out_of_reach() {
    let alone = Rule {
        early: None,
        ..errors_10()
    };
    assert_eq!(told(&alone, 0.5), [None; 4]);
    let never = forecast(std::slice::from_ref(&alone), 0.5);
    assert!(never.iter().all(|it| it.beyond.is_none()), "{never:?}");
    assert!(told(&alone, 10.0)[0].is_some());
    assert_eq!(told(&errors_10(), 0.0), [None; 4]);
    assert_eq!(told(&errors_10(), f64::NAN), [None; 4]);
}

#[test]
fn worse_faults_are_noticed_sooner_and_cost_less_waiting() {
    for rule in ivr_texml().iter().chain(&voice_agent_v2()) {
        for rate in [2.0, 60.0] {
            let noticed: Vec<f64> = told(rule, rate).into_iter().flatten().collect();
            assert!(noticed.is_sorted(), "{}: {noticed:?}", rule.name);
        }
    }
}

/// Where a window holds more than can be kept, its moment is calculated; it must be the
/// one that is played where it can.
#[test]
fn a_calculated_window_trips_when_a_kept_one_does() {
    for (minutes, threshold) in [(30, 0.05), (30, 0.15), (15, 0.25)] {
        let rule = row(Measure::ErrorRate, threshold, minutes, Action::Alert);
        let at = |rate: f64| {
            forecast(std::slice::from_ref(&rule), rate)[1]
                .minutes
                .unwrap()
        };
        let (kept, calculated) = (at(160.0), at(400.0));
        assert!((kept / calculated - 1.0).abs() < 0.1, "{kept} {calculated}");
    }
    let stage = Rule {
        over: crate::rules::STAGE,
        ..row(Measure::ErrorRate, 0.1, 5, Action::Hold)
    };
    let at = |rate: f64| {
        forecast(std::slice::from_ref(&stage), rate)[0]
            .minutes
            .unwrap()
    };
    // After a good hour, one call in ten is bad a ninth of it later.
    assert!((at(100.0) - 60.0 / 9.0).abs() < 0.7, "{}", at(100.0));
    assert!((at(1.0) - 60.0 / 9.0).abs() < 1.5, "{}", at(1.0));
}

#[test]
fn rows_that_no_share_of_failing_calls_says_anything_about_are_left_out() {
    let legacy = crate::rules::Against {
        base: crate::rules::Base::Legacy,
        how: crate::rules::How::Times,
    };
    let rows = [
        row(Measure::CriticalErrors, 0.0, 60, Action::Reverse),
        row(Measure::CallDurationMean, 60.0, 60, Action::Alert),
        row(Measure::ErrorRate, 0.1, 60, Action::Gate),
        Rule {
            against: Some(legacy),
            ..errors_10()
        },
        Rule {
            side: Side::Below,
            ..errors_10()
        },
    ];
    assert_eq!(forecast(&rows, 60.0), []);
}

#[test]
fn a_fourth_threshold_of_a_mean_has_only_its_window() {
    let means = |thresholds: &[f64]| -> Vec<Rule> {
        let mean = |it: &f64| row(Measure::ResponseTimeMean, *it, 5, Action::Reverse);
        thresholds.iter().map(mean).collect()
    };
    let told = forecast(&means(&[1e3, 2e3, 3e3, 2e3, 4e3]), 2.0);
    let outage = |row: usize| told[4 * row].calls.unwrap();
    assert!(outage(3) < 40.0, "{}", outage(3));
    assert!(outage(4) > 2.0 * outage(3), "{}", outage(4));
}

#[test]
fn a_stage_is_blind_where_nothing_that_goes_back_would_see_an_outage() {
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
    let by_window = Rule {
        early: None,
        ..errors_10()
    };
    let alert = Rule {
        action: Action::Alert,
        ..errors_10()
    };
    let slow = row(Measure::ResponseTimeMean, 5000.0, 5, Action::Reverse);
    let tenant = Rule {
        scope: Scope::Tenant,
        ..errors_10()
    };
    let mut relative = by_window.clone();
    relative.against = Some(crate::rules::Against {
        base: crate::rules::Base::Baseline,
        how: crate::rules::How::Times,
    });
    relative.threshold = 2.0;
    for (rule, rate, soak, is_blind) in [
        (&errors_10(), 2.0, day, false),
        (&errors_10(), 0.05, hour, true),
        (&errors_10(), 0.05, 4 * hour, false),
        (&errors_10(), 0.05, Duration::ZERO, false),
        (&errors_10(), 0.001, 300 * day, true),
        (&by_window, 0.5, day, true),
        (&by_window, 10.0, hour, false),
        (&relative, 10.0, hour, false),
        (&relative, 0.5, day, true),
        (&alert, 60.0, day, true),
        (&slow, 60.0, day, true),
        (&tenant, 60.0, day, true),
        (
            &row(Measure::BackendDown, 0.0, 1, Action::StepBack),
            2.0,
            hour,
            false,
        ),
        (&errors_10(), 0.0, day, true),
    ] {
        let blind = blind(std::slice::from_ref(rule), rate, soak);
        assert_eq!(
            blind.is_some(),
            is_blind,
            "{} at {rate}: {blind:?}",
            rule.name
        );
    }
    assert_eq!(
        blind(&[by_window], 0.5, 2 * hour).unwrap(),
        "at 30 calls an hour on new no row that reverses or steps back on error_rate, \
         failed_call_rate or backend_down would notice a total outage within 2 h"
    );
    let late = blind(&[errors_10()], 0.05, hour).unwrap();
    assert!(late.contains("noticed only after"), "{late}");
}

#[test]
fn it_is_said_in_one_line() {
    let line = |fault, calls: Option<f64>, minutes| {
        Forecast {
            rule: "errors-10-5m".into(),
            fault,
            calls,
            minutes,
            callers: calls,
            beyond: None,
        }
        .said()
    };
    for (said, expected) in [
        (
            line(1.0, Some(6.2), Some(3.1)),
            "a total outage is noticed in 6 calls, 3 min, by errors-10-5m (6 callers)",
        ),
        (
            line(0.3, Some(21.0), Some(150.0)),
            "a 30 % fault is noticed in 21 calls, 2.5 h, by errors-10-5m (21 callers)",
        ),
        (
            line(0.1, Some(1.0), Some(0.5)),
            "a 10 % fault is noticed in 1 call, 30 s, by errors-10-5m (1 caller)",
        ),
        (
            line(0.05, None, None),
            "a 5 % fault is never noticed by errors-10-5m",
        ),
        (
            line(1.0, Some(6.0), None),
            "a total outage of one tenant is noticed in its 6 calls by errors-10-5m (6 callers)",
        ),
    ] {
        assert_eq!(said, expected);
    }
}

#[test]
fn the_same_question_has_the_same_answer() {
    let rules = ivr_texml();
    assert_eq!(forecast(&rules, 10.0), forecast(&rules, 10.0));
}
