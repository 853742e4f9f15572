//! The rows that look at calls which are over: how many failed, and how long they
//! lasted.

use std::time::Duration;

use super::day::{Day, early, mins, row, verdict_after};
use super::evidence::ONE_TENANT;
use super::{Action, Measure, Rule, Side, Verdict};
use crate::measure::CallEnd;
use crate::model::Backend;

#[test]
fn failed_calls_above_10_percent_over_15_minutes_reverse() {
    let rule = row(Measure::FailedCallRate, 0.10, 15, Action::Reverse);
    let after = |good, failed, wait| {
        verdict_after(&rule, |day| {
            day.ends(good, CallEnd::Transferred);
            day.failed_ends(failed);
            // None of these is behind the rate.
            day.ends(50, CallEnd::Short);
            day.ends(50, CallEnd::ProviderFailed);
            day.wait(wait);
        })
    };
    let mature = mins(10);
    assert_eq!(after(89, 11, mature), Verdict::Trip);
    assert_eq!(
        after(90, 10, mature),
        Verdict::Pass,
        "10 of 100 is not above 10 %"
    );
    assert_eq!(after(12, 8, mature), Verdict::Trip);
    assert_eq!(
        after(11, 8, mature),
        Verdict::Inconclusive,
        "19 calls of 20"
    );
    assert_eq!(
        after(13, 7, mature),
        Verdict::Inconclusive,
        "7 failed calls of 8"
    );
    let young = mature.saturating_sub(Duration::from_secs(1));
    assert_eq!(after(50, 50, young), Verdict::Inconclusive, "too fresh");
    assert_eq!(after(50, 50, mins(25)), Verdict::Inconclusive, "too old");
}

#[test]
fn an_end_that_was_told_is_behind_the_failed_call_rate_whoever_hung_up() {
    let rule = row(Measure::FailedCallRate, 0.10, 15, Action::Reverse);
    let after = |end| {
        verdict_after(&rule, |day| {
            day.ends(90, end);
            day.failed_ends(10);
            day.wait(mins(10));
        })
    };
    for end in [
        CallEnd::Served,
        CallEnd::Transferred,
        CallEnd::Abandoned,
        CallEnd::Unknown,
    ] {
        assert_eq!(after(end), Verdict::Pass, "{end:?}");
    }
    for end in [CallEnd::Short, CallEnd::ProviderFailed, CallEnd::Expired] {
        assert_eq!(after(end), Verdict::Inconclusive, "{end:?}: 10 calls of 20");
    }
}

#[test]
fn a_mean_call_above_4_minutes_over_15_minutes_alerts() {
    let rule = row(Measure::CallDurationMean, 240.0, 15, Action::Alert);
    let after = |count, seconds| {
        verdict_after(&rule, |day| {
            day.lasting(count, seconds);
            // Nothing is known of how long these lasted.
            day.ends(30, CallEnd::Short);
            day.ends(30, CallEnd::Unknown);
            day.wait(mins(10));
        })
    };
    assert_eq!(after(20, 241), Verdict::Trip);
    assert_eq!(after(20, 240), Verdict::Pass);
    assert_eq!(after(19, 900), Verdict::Inconclusive, "19 calls of 20");
}

#[test]
fn a_mean_call_below_20_seconds_can_be_asked_for_as_well() {
    let rule = Rule {
        side: Side::Below,
        ..row(Measure::CallDurationMean, 20.0, 15, Action::Alert)
    };
    let after = |seconds| {
        verdict_after(&rule, |day| {
            day.lasting(20, seconds);
            day.wait(mins(10));
        })
    };
    assert_eq!(after(19), Verdict::Trip);
    assert_eq!(after(20), Verdict::Pass);
}

#[test]
fn a_mass_of_failed_calls_reverses_early_once_they_are_mature() {
    let rule = early(row(Measure::FailedCallRate, 0.10, 15, Action::Reverse));
    let after = |failed| {
        verdict_after(&rule, |day| {
            day.failed_ends(failed);
            day.wait(mins(10));
        })
    };
    assert_eq!(after(6), Verdict::Trip, "twenty calls are not needed");
    assert_eq!(after(3), Verdict::Inconclusive);
    let mut day = Day::with(&[rule]);
    day.failed_ends(12);
    assert_ne!(
        day.verdict(),
        Verdict::Trip,
        "those that go well still talk"
    );
}

#[test]
fn a_calls_duration_has_no_early_test() {
    let rule = early(row(Measure::CallDurationMean, 240.0, 15, Action::Reverse));
    assert!(!rule.can_be_early());
    let mut day = Day::with(&[rule]);
    day.lasting(19, 3000);
    day.wait(mins(10));
    let finding = day.judge().remove(0);
    assert_eq!(
        (finding.verdict, finding.early),
        (Verdict::Inconclusive, None)
    );
}

#[test]
fn one_tenants_failed_calls_of_four_tenants_do_not_reverse() {
    let rule = row(Measure::FailedCallRate, 0.10, 15, Action::Reverse);
    let judged = |tenants: u64| {
        let mut day = Day::with(std::slice::from_ref(&rule));
        day.tenants = tenants;
        for _ in 0..60 {
            let first = day.turn.is_multiple_of(tenants);
            day.end_as(Backend::New, day.now, CallEnd::Served, Some(30), first);
        }
        day.wait(mins(10));
        let finding = day.judge().remove(0);
        (finding.verdict, finding.withheld)
    };
    assert_eq!(judged(4), (Verdict::Inconclusive, Some(ONE_TENANT)));
    assert_eq!(judged(3), (Verdict::Trip, None));
}

#[test]
fn a_legacy_whose_calls_fail_or_last_as_much_withholds() {
    let failed_calls = row(Measure::FailedCallRate, 0.10, 15, Action::Reverse);
    for (legacy_fails, verdict) in [(true, Verdict::Inconclusive), (false, Verdict::Trip)] {
        let mut day = Day::with(std::slice::from_ref(&failed_calls));
        for place in 0..100 {
            let fails = place % 5 == 0;
            day.end_as(Backend::New, day.now, CallEnd::Served, None, fails);
            let fails = fails && legacy_fails;
            day.end_as(Backend::Legacy, day.now, CallEnd::Served, None, fails);
        }
        day.wait(mins(10));
        assert_eq!(
            day.verdict(),
            verdict,
            "legacy fails as well: {legacy_fails}"
        );
    }
    let duration = row(Measure::CallDurationMean, 240.0, 15, Action::Reverse);
    for (legacy, verdict) in [(300, Verdict::Inconclusive), (250, Verdict::Trip)] {
        let mut day = Day::with(std::slice::from_ref(&duration));
        for place in 0..30 {
            let spread = (place % 5) * 10;
            day.end(Backend::New, day.now, CallEnd::Served, Some(300 + spread));
            day.end(
                Backend::Legacy,
                day.now,
                CallEnd::Served,
                Some(legacy + spread),
            );
        }
        day.wait(mins(10));
        assert_eq!(day.verdict(), verdict, "legacy's calls last {legacy} s");
    }
}

#[test]
fn what_is_said_of_ended_calls_names_the_cohort() {
    let said = |rule: &Rule, prepare: fn(&mut Day)| {
        let mut day = Day::with(std::slice::from_ref(rule));
        prepare(&mut day);
        day.judge()[0].because.clone()
    };
    let failed = row(Measure::FailedCallRate, 0.10, 15, Action::Alert);
    assert_eq!(
        said(&failed, |day| {
            day.ends(15, CallEnd::Served);
            day.failed_ends(5);
            day.wait(mins(10));
        }),
        "5 of 20 calls that began between 25 min and 10 min ago failed (25 %); \
         the table allows 10 %"
    );
    assert!(said(&failed, |_| ()).contains("status callback, which must point here"));
    let duration = row(Measure::CallDurationMean, 240.0, 15, Action::Alert);
    assert_eq!(
        said(&duration, |day| {
            day.lasting(20, 252);
            day.wait(mins(10));
        }),
        "20 calls that began between 25 min and 10 min ago lasted 4 min 12 s in the mean; \
         the table allows 4 min"
    );
    assert!(said(&duration, |_| ()).contains("no call that began between"));
}
