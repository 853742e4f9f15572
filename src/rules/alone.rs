//! Rows that judge each tenant alone.

use std::time::Duration;

use proptest::prelude::*;

use super::day::{Day, early, errors_10, mins, row};
use super::evidence::{BOTH_ARE_BAD, ONE_TENANT};
use super::{Action, Finding, Measure, Rule, Scope, Verdict};
use crate::measure::early::Suspicion;
use crate::measure::{CallEnd, Cause, Outcome, ReportKind};
use crate::model::{Backend, TenantKey, Tick};

const FAILED: Outcome = Outcome::Failed(Cause::Status);

fn alone(rule: Rule) -> Rule {
    Rule {
        name: "alone".to_owned(),
        scope: Scope::Tenant,
        action: Action::DisableTenant,
        ..rule
    }
}

fn failing_of(day: &mut Day, tenant: u64, good: u64, failed: u64) {
    for _ in 0..good {
        day.answer(Backend::New, tenant, Outcome::Served, 200);
    }
    for _ in 0..failed {
        day.answer(Backend::New, tenant, FAILED, 200);
    }
}

fn after(rule: Rule, prepare: impl FnOnce(&mut Day)) -> Finding {
    let mut day = Day::with(&[rule]);
    prepare(&mut day);
    day.judge().remove(0)
}

#[test]
fn one_broken_tenant_trips_its_own_row_and_reverses_nobody() {
    let mut day = Day::with(&[early(errors_10()), alone(errors_10())]);
    day.tenants = 50;
    day.good(500);
    failing_of(&mut day, 77, 0, 60);
    let findings = day.judge();
    assert_eq!(findings[0].withheld, Some(ONE_TENANT));
    assert_eq!(findings[0].verdict, Verdict::Inconclusive);
    assert_eq!(findings[1].verdict, Verdict::Trip);
    assert_eq!(findings[1].tenants, ["t77"]);
    assert_eq!((findings[1].samples, findings[1].failed), (60, 60));
    assert_eq!(
        findings[1].because,
        "tenant t77: 60 of 60 calls failed in the last 5 min (100 %); the table allows 10 %"
    );
}

#[test]
fn a_tenant_needs_evidence_of_its_own() {
    let finding = |good, failed| {
        after(alone(errors_10()), |day| {
            day.tenants = 3;
            day.good(300);
            failing_of(day, 77, good, failed);
        })
    };
    assert_eq!(finding(12, 8).verdict, Verdict::Trip);
    assert_eq!(finding(11, 8).verdict, Verdict::Pass, "19 calls of its own");
    assert_eq!(finding(13, 7).verdict, Verdict::Pass, "7 of them failed");
    assert_eq!(finding(72, 8).verdict, Verdict::Pass, "10 % is not above");
    assert_eq!(finding(71, 8).verdict, Verdict::Trip);
    let nobody = after(alone(errors_10()), |_| ());
    assert_eq!(nobody.verdict, Verdict::Inconclusive);
    assert_eq!(nobody.because, "no tenant has called on new");
}

#[test]
fn each_tenant_has_a_sequential_test_of_its_own() {
    let rule = early(alone(errors_10()));
    let mut day = Day::with(std::slice::from_ref(&rule));
    day.tenants = 20;
    for _ in 0..20 {
        day.good(20);
        day.wait(mins(1));
        assert_ne!(day.verdict(), Verdict::Trip);
    }
    let calls = (1..).find(|_| {
        failing_of(&mut day, 77, 0, 1);
        day.good(20);
        day.wait(Duration::from_secs(30));
        day.judge()[0].tenants == ["t77"]
    });
    assert!((4..=8).contains(&calls.unwrap()), "{calls:?}");
    // Two calls each of many tenants are nobody's broken flow.
    let mut day = Day::with(&[rule]);
    (100..200).for_each(|tenant| failing_of(&mut day, tenant, 0, 2));
    assert_eq!(day.verdict(), Verdict::Inconclusive);
}

#[test]
fn what_a_tenant_did_is_over_when_it_was_quiet_or_was_taken_back() {
    let rule = early(alone(errors_10()));
    let mut day = Day::with(std::slice::from_ref(&rule));
    failing_of(&mut day, 77, 0, 20);
    assert_eq!(day.verdict(), Verdict::Trip);
    day.evidence.tenant_cleared(TenantKey(77));
    assert_eq!(day.verdict(), Verdict::Inconclusive);
    failing_of(&mut day, 77, 0, 7);
    assert_eq!(day.verdict(), Verdict::Trip, "it begins anew");
    day.wait(mins(5) + Duration::from_secs(11));
    assert_eq!(day.verdict(), Verdict::Inconclusive);
    failing_of(&mut day, 77, 0, 20);
    day.evidence.begin_epoch(day.now, 0);
    assert_eq!(day.verdict(), Verdict::Inconclusive, "a new epoch");
}

#[test]
fn a_tenant_without_a_name_is_said_so_and_the_worst_come_first() {
    let finding = after(alone(errors_10()), |day| failing_of(day, 950, 0, 20));
    assert_eq!(finding.verdict, Verdict::Trip);
    assert!(finding.tenants.is_empty());
    let said = &finding.because;
    assert!(
        said.starts_with("a tenant whose name is not known: 20 of"),
        "{said}"
    );
    let finding = after(alone(errors_10()), |day| {
        (1..=40).for_each(|tenant| failing_of(day, tenant, 60 - tenant, 40));
        failing_of(day, 100, 100, 0);
    });
    assert_eq!(finding.tenants.len(), 32);
    assert_eq!(&finding.tenants[..3], ["t40", "t39", "t38"]);
    assert!(finding.because.starts_with("tenant t40: 40 of 60 calls"));
    assert!(finding.because.ends_with("so are 39 other tenants"));
}

#[test]
fn a_legacy_that_is_as_bad_keeps_a_tenant_where_it_is() {
    let mut day = Day::with(&[alone(errors_10())]);
    failing_of(&mut day, 77, 16, 8);
    day.calls(Backend::Legacy, 60, Outcome::Served);
    day.calls(Backend::Legacy, 30, FAILED);
    let finding = day.judge().remove(0);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert_eq!(finding.withheld, Some(BOTH_ARE_BAD));
}

#[test]
fn it_must_stand_for_as_long_as_the_row_says() {
    let rule = Rule {
        hold_for: mins(2),
        ..alone(errors_10())
    };
    let mut day = Day::with(&[rule]);
    failing_of(&mut day, 77, 0, 20);
    assert_eq!(day.verdict(), Verdict::Inconclusive);
    day.wait(mins(2).saturating_sub(Duration::from_millis(1)));
    assert_eq!(day.verdict(), Verdict::Inconclusive);
    day.wait(Duration::from_millis(1));
    assert_eq!(day.verdict(), Verdict::Trip);
    failing_of(&mut day, 77, 300, 0);
    assert_eq!(day.verdict(), Verdict::Pass);
}

#[test]
fn hang_ups_speech_and_slowness_are_judged_by_tenant_as_well() {
    let hang_ups = alone(row(Measure::AbandonmentRate, 0.25, 15, Action::Reverse));
    for (abandoned, verdict) in [(8, Verdict::Trip), (5, Verdict::Pass)] {
        let finding = after(hang_ups.clone(), |day| {
            day.ends(20 - abandoned, CallEnd::Served);
            day.ends(abandoned, CallEnd::Abandoned);
            day.wait(mins(10) + Duration::from_secs(10));
        });
        assert_eq!(finding.verdict, verdict, "{}", finding.because);
    }
    let slow = alone(row(Measure::ResponseTimeMean, 5000.0, 5, Action::Reverse));
    for (latency, verdict) in [(5001, Verdict::Trip), (5000, Verdict::Pass)] {
        let finding = after(slow.clone(), |day| day.slow(20, latency));
        assert_eq!(finding.verdict, verdict);
    }
    let p95 = alone(row(Measure::ResponseTimeP95, 800.0, 5, Action::Reverse));
    let finding = after(p95, |day| day.slow(300, 5000));
    assert_eq!(
        finding.verdict,
        Verdict::Inconclusive,
        "no quantile by tenant"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_tenants_test_hears_each_tick_as_one_batch(
        ticks in prop::collection::vec((0u64..4, 0u64..6), 1..40),
    ) {
        let mut day = Day::with(&[early(alone(errors_10()))]);
        let mut alone = Suspicion::new(0.10, 100_000.0, Tick(0)).unwrap();
        for (bad, good) in ticks {
            failing_of(&mut day, 5, good, bad);
            alone.add(bad, good, day.now);
            let level = day.judge()[0].early.unwrap_or(0.0);
            prop_assert!((level - alone.level().max(0.0)).abs() < 1e-9);
            day.wait(Duration::from_secs(1));
        }
    }

    #[test]
    fn each_tenant_trips_as_if_it_were_alone(
        ticks in prop::collection::vec(prop::collection::vec((1u64..5, any::<bool>()), 0..6), 1..25),
    ) {
        let rule = early(alone(errors_10()));
        let mut all = Day::with(std::slice::from_ref(&rule));
        let mut each: Vec<Day> =
            (1..5).map(|_| Day::with(std::slice::from_ref(&rule))).collect();
        for tick in ticks {
            for (tenant, fails) in tick {
                let fails = fails || tenant == 2;
                for day in [&mut all, &mut each[tenant as usize - 1]] {
                    failing_of(day, tenant, u64::from(!fails), u64::from(fails));
                }
            }
            let mut tripping = all.judge().remove(0).tenants;
            tripping.sort_unstable();
            let alone: Vec<String> =
                each.iter_mut().flat_map(|day| day.judge().remove(0).tenants).collect();
            prop_assert_eq!(tripping, alone);
            for day in each.iter_mut().chain([&mut all]) {
                day.wait(Duration::from_millis(700));
            }
        }
    }
}

#[test]
fn a_complaint_that_names_its_tenant_trips_that_tenants_row_and_no_others() {
    let row = alone(row(Measure::Complaints, 0.0, 60, Action::DisableTenant));
    let mut day = Day::with(&[row]);
    day.tenants = 5;
    day.good(50);
    day.report(Backend::New, ReportKind::Complaint);
    assert_eq!(day.judge()[0].verdict, Verdict::Pass, "it names nobody");
    day.report_of(3, ReportKind::Incident);
    assert_eq!(day.judge()[0].verdict, Verdict::Pass, "something else");
    day.report_of(3, ReportKind::Complaint);
    let finding = day.judge().remove(0);
    assert_eq!(finding.verdict, Verdict::Trip);
    assert_eq!(finding.tenants, ["t3"]);
    assert_eq!((finding.value, finding.samples), (Some(1.0), 1));
}
