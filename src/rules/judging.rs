//! What makes a row hear sooner, wait, or hold its peace: the sequential test, epochs,
//! tenants, and a legacy that is as bad.

use std::time::Duration;

use super::day::{Day, answered, begins, early, errors_10, mins, row, verdict_after};
use super::evidence::{BOTH_ARE_BAD, ONE_TENANT};
use super::{Action, Early, Measure, Rule, Verdict, blind};
use crate::document::Flaw;
use crate::measure::{CallEnd, Cause, Observation, Outcome, Placed, Voice};
use crate::model::Backend;

#[test]
fn a_total_outage_at_two_new_calls_a_minute_reverses_within_eight_calls() {
    let mut day = Day::with(&[early(errors_10())]);
    for _ in 0..120 {
        day.good(1);
        assert_ne!(day.verdict(), Verdict::Trip);
        day.wait(Duration::from_secs(30));
    }
    let calls = (1..).find(|_| {
        day.failing(1);
        day.wait(Duration::from_secs(30));
        day.verdict() == Verdict::Trip
    });
    assert!(calls.unwrap() <= 8, "{calls:?}");
    let said = day.judge()[0].because.clone();
    assert!(said.contains("sequential test is sure"), "{said}");
    // The window alone cannot: ten calls in five minutes, and it asks for twenty.
    assert!(!blind::sees(&errors_10(), 2.0));
    assert!(blind::sees(&errors_10(), 4.0));
    assert!(blind::sees(&early(errors_10()), 0.1));
}

#[test]
fn what_tripped_early_is_over_when_nothing_has_been_heard_for_the_span() {
    let mut day = Day::with(&[early(errors_10())]);
    day.failing(10);
    assert_eq!(day.verdict(), Verdict::Trip);
    day.wait(mins(5));
    assert_eq!(day.verdict(), Verdict::Trip);
    day.wait(Duration::from_secs(1));
    assert_eq!(day.verdict(), Verdict::Inconclusive);
}

#[test]
fn a_slow_leak_trips_once_it_is_above_the_threshold_and_not_before() {
    let mut day = Day::with(&[early(errors_10())]);
    let mut tripped_at = None;
    for share in 0..30u64 {
        // Two minutes of a hundred calls each at every whole per cent.
        for _ in 0..2 {
            for part in 0..20 {
                let failing = (share * (part + 1)) / 20 - (share * part) / 20;
                day.good(5u64.saturating_sub(failing));
                day.failing(failing.min(5));
                day.wait(Duration::from_secs(3));
                if day.verdict() == Verdict::Trip {
                    tripped_at.get_or_insert(share);
                }
            }
        }
    }
    let share = tripped_at.expect("it leaks to 29 %");
    assert!((11..=16).contains(&share), "tripped at {share} %");
}

#[test]
fn slow_answers_reverse_early_and_quick_ones_do_not() {
    let rule = early(row(Measure::ResponseTimeMean, 5000.0, 5, Action::Reverse));
    assert_eq!(
        verdict_after(&rule, |day| day.slow(19, 6000)),
        Verdict::Inconclusive
    );
    // Against one half each slow call says little: it takes about two dozen.
    let mut day = Day::with(std::slice::from_ref(&rule));
    let calls = (1..).find(|_| {
        day.slow(1, 6000);
        day.wait(mins(1));
        day.verdict() == Verdict::Trip
    });
    assert!((10..=40).contains(&calls.unwrap()), "{calls:?}");
    let mut day = Day::with(&[rule]);
    for _ in 0..200 {
        day.slow(1, 4999);
        day.wait(mins(1));
        assert_ne!(day.verdict(), Verdict::Trip);
    }
}

#[test]
fn a_mass_of_hang_ups_reverses_early_once_the_calls_are_mature() {
    let rule = early(row(Measure::AbandonmentRate, 0.25, 15, Action::Reverse));
    let mut day = Day::with(&[rule]);
    day.ends(15, CallEnd::Abandoned);
    assert_ne!(
        day.verdict(),
        Verdict::Trip,
        "the patient ones have not ended yet"
    );
    day.wait(mins(10));
    assert_eq!(day.verdict(), Verdict::Trip);
}

#[test]
fn what_is_not_genuine_is_no_evidence() {
    let after = |counts| {
        verdict_after(&errors_10(), |day| {
            day.good(20);
            for _ in 0..10_000 {
                let mut what = answered(day.now);
                what.outcome = Outcome::Failed(Cause::Status);
                what.voice = what.voice.map(|voice| Voice {
                    failed: true,
                    ..voice
                });
                what.counts = counts;
                day.evidence.observe(&Observation::Answered(what));
            }
        })
    };
    assert_eq!(after(false), Verdict::Pass);
    assert_eq!(after(true), Verdict::Trip);
}

#[test]
fn abandonment_is_unknown_where_most_ends_are() {
    let rule = row(Measure::AbandonmentRate, 0.25, 15, Action::Reverse);
    for (unknown, verdict) in [(40, Verdict::Trip), (41, Verdict::Inconclusive)] {
        let after = verdict_after(&rule, |day| {
            day.ends(40, CallEnd::Abandoned);
            day.ends(unknown, CallEnd::Unknown);
            day.wait(mins(10));
        });
        assert_eq!(after, verdict);
    }
}

#[test]
fn calls_are_mature_when_nine_in_ten_of_legacys_have_ended() {
    let mut day = Day::with(&[row(Measure::AbandonmentRate, 0.25, 15, Action::Reverse)]);
    for _ in 0..100 {
        day.end(Backend::Legacy, day.now, CallEnd::Served, Some(1200));
    }
    day.wait(mins(2));
    day.judge();
    day.ends(12, CallEnd::Served);
    day.ends(8, CallEnd::Abandoned);
    day.wait(mins(19));
    assert_eq!(day.verdict(), Verdict::Inconclusive);
    day.wait(mins(2));
    assert_eq!(day.verdict(), Verdict::Trip, "{}", day.judge()[0].because);
}

#[test]
fn a_new_epoch_forgets_and_calls_of_before_the_reversal_never_count_again() {
    let mut day = Day::with(&[early(errors_10())]);
    day.failing(30);
    assert_eq!(day.verdict(), Verdict::Trip);
    let before = day.now;
    day.wait(Duration::from_secs(1));
    day.evidence.begin_epoch(day.now, 5);
    let finding = day.judge().remove(0);
    assert_eq!(
        (finding.verdict, finding.samples),
        (Verdict::Inconclusive, 0)
    );
    for generation in [0, 1, 5] {
        day.generation = generation;
        day.failing(30);
        assert_eq!(
            day.judge()[0].samples,
            0,
            "placed under generation {generation}"
        );
    }
    day.generation = 6;
    // Its mark of before the epoch is forgotten; it must not be subtracted.
    day.answer_again(
        Backend::New,
        1,
        Outcome::Failed(Cause::Status),
        200,
        Some(before),
        Some(before),
    );
    day.failing(29);
    let finding = day.judge().remove(0);
    assert_eq!((finding.verdict, finding.samples), (Verdict::Trip, 30));
    assert_eq!(finding.failed, 30);
}

#[test]
fn a_changed_table_begins_a_new_epoch_and_the_same_one_does_not() {
    let mut day = Day::with(&[errors_10()]);
    day.failing(30);
    assert!(!day.evidence.set_rules(vec![errors_10()], day.now));
    assert_eq!(day.verdict(), Verdict::Trip);
    let p95 = row(Measure::ResponseTimeP95, 800.0, 5, Action::Reverse);
    assert!(day.evidence.set_rules(vec![errors_10(), p95], day.now));
    let findings = day.judge();
    assert_eq!(findings.len(), 2);
    assert_eq!(findings[0].samples, 0);
}

#[test]
fn a_call_that_speaks_every_minute_is_one_call() {
    let mut day = Day::with(&[errors_10()]);
    let mut last = None;
    for _ in 0..4 {
        let failed = Outcome::Failed(Cause::Timeout);
        day.answer_again(Backend::New, 1, failed, 200, last, last);
        last = Some(day.now);
        day.wait(mins(1));
    }
    let finding = day.judge().remove(0);
    assert_eq!((finding.samples, finding.failed), (1, 1));
    assert!(
        finding.because.contains("4 of 4 answers to 1 call"),
        "{}",
        finding.because
    );
    day.wait(mins(5));
    assert_eq!(day.judge()[0].samples, 0);
}

#[test]
fn one_tenant_alone_of_four_does_not_reverse() {
    let mut day = Day::with(&[early(errors_10())]);
    day.tenants = 4;
    day.good(40);
    for _ in 0..40 {
        day.answer(Backend::New, 77, Outcome::Failed(Cause::Status), 200);
    }
    let finding = day.judge().remove(0);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert_eq!(finding.withheld, Some(ONE_TENANT));
    assert!(
        finding.because.contains("40 of 80 calls failed"),
        "{}",
        finding.because
    );
    // Three tenants fail: that is the backend.
    day.failing(40);
    assert_eq!(day.verdict(), Verdict::Trip);
}

#[test]
fn one_tenant_alone_of_four_does_not_reverse_by_slowness_either() {
    let mut day = Day::with(&[early(row(
        Measure::ResponseTimeMean,
        5000.0,
        5,
        Action::Reverse,
    ))]);
    day.tenants = 4;
    day.good(40);
    for _ in 0..60 {
        day.answer(Backend::New, 77, Outcome::Served, 20_000);
    }
    assert_eq!(day.judge()[0].withheld, Some(ONE_TENANT));
}

#[test]
fn one_tenant_of_three_does_reverse() {
    let mut day = Day::with(&[errors_10()]);
    day.tenants = 2;
    day.good(20);
    for _ in 0..20 {
        day.answer(Backend::New, 77, Outcome::Failed(Cause::Status), 200);
    }
    assert_eq!(
        day.verdict(),
        Verdict::Trip,
        "with so few the backend may be at fault"
    );
}

#[test]
fn a_total_outage_over_many_tenants_is_still_seen_early() {
    let mut day = Day::with(&[early(errors_10())]);
    day.tenants = 6;
    for _ in 0..60 {
        day.good(1);
        day.wait(Duration::from_secs(30));
        day.judge();
    }
    let calls = (1..).find(|_| {
        day.failing(1);
        day.wait(Duration::from_secs(30));
        day.verdict() == Verdict::Trip
    });
    assert!(calls.unwrap() <= 8, "{calls:?}");
}

#[test]
fn a_legacy_that_is_as_bad_withholds_and_one_that_is_better_does_not() {
    let failed = Outcome::Failed(Cause::Status);
    let with_legacy = |legacy_good, legacy_failed| {
        let mut day = Day::with(&[errors_10()]);
        day.good(80);
        day.failing(20);
        day.calls(Backend::Legacy, legacy_good, Outcome::Served);
        day.calls(Backend::Legacy, legacy_failed, failed);
        let finding = day.judge().remove(0);
        (finding.verdict, finding.withheld)
    };
    let withheld = (Verdict::Inconclusive, Some(BOTH_ARE_BAD));
    assert_eq!(with_legacy(80, 20), withheld);
    assert_eq!(with_legacy(0, 100), withheld);
    assert_eq!(
        with_legacy(90, 10),
        (Verdict::Trip, None),
        "legacy is inside the table"
    );
    assert_eq!(
        with_legacy(0, 19),
        (Verdict::Trip, None),
        "19 calls prove nothing"
    );
    assert_eq!(with_legacy(0, 0), (Verdict::Trip, None));
}

#[test]
fn a_new_that_is_worse_than_a_bad_legacy_trips() {
    let mut day = Day::with(&[errors_10()]);
    day.calls(Backend::Legacy, 85, Outcome::Served);
    day.calls(Backend::Legacy, 15, Outcome::Failed(Cause::Status));
    day.good(50);
    day.failing(50);
    assert_eq!(day.verdict(), Verdict::Trip);
}

#[test]
fn a_legacy_that_is_as_slow_withholds() {
    let rule = row(Measure::ResponseTimeMean, 5000.0, 5, Action::Reverse);
    for (legacy, verdict) in [(6000, Verdict::Inconclusive), (5100, Verdict::Trip)] {
        let mut day = Day::with(std::slice::from_ref(&rule));
        for place in 0..30 {
            let spread = (place % 5) * 40;
            day.answer(Backend::New, 1, Outcome::Served, 6000 + spread);
            day.answer(Backend::Legacy, 1, Outcome::Served, legacy + spread);
        }
        assert_eq!(day.verdict(), verdict, "legacy at {legacy} ms");
    }
}

#[test]
fn an_alert_is_not_kept_from_people_when_both_fail() {
    let rule = row(Measure::ErrorRate, 0.05, 5, Action::Alert);
    let after = verdict_after(&rule, |day| {
        day.failing(30);
        day.calls(Backend::Legacy, 30, Outcome::Failed(Cause::Status));
    });
    assert_eq!(after, Verdict::Trip);
}

#[test]
fn stale_connections_count_only_above_one_webhook_in_a_hundred() {
    let rule = Rule {
        failed_min: 0,
        ..row(Measure::ErrorRate, 0.0, 5, Action::Alert)
    };
    let stale = |count| {
        verdict_after(&rule, |day| {
            day.good(200 - count);
            day.calls(Backend::New, count, Outcome::Failed(Cause::Stale));
        })
    };
    assert_eq!(stale(2), Verdict::Pass, "2 of 200 are one in a hundred");
    assert_eq!(stale(3), Verdict::Trip);
}

#[test]
fn nobody_elses_fault_counts_against_a_backend() {
    for cause in [Cause::ClientGone, Cause::Internal] {
        let mut day = Day::with(&[errors_10()]);
        day.good(20);
        day.calls(Backend::New, 30, Outcome::Failed(cause));
        let finding = day.judge().remove(0);
        assert_eq!(
            (finding.verdict, finding.value),
            (Verdict::Pass, Some(0.0)),
            "{cause:?}"
        );
    }
}

#[test]
fn a_row_that_must_stand_for_two_minutes_trips_after_two_minutes() {
    let rule = Rule {
        hold_for: mins(2),
        ..errors_10()
    };
    let mut day = Day::with(&[rule]);
    day.failing(20);
    assert_eq!(day.verdict(), Verdict::Inconclusive);
    day.wait(mins(2).saturating_sub(Duration::from_millis(1)));
    assert_eq!(day.verdict(), Verdict::Inconclusive);
    day.wait(Duration::from_millis(1));
    assert_eq!(day.verdict(), Verdict::Trip);
    day.good(500);
    assert_eq!(day.verdict(), Verdict::Pass);
    day.failing(500);
    assert_eq!(day.verdict(), Verdict::Inconclusive, "it begins again");
}

#[test]
fn a_row_is_blind_at_two_calls_a_minute_and_sees_at_five() {
    for (every, blind) in [(30, true), (12, false)] {
        let mut day = Day::with(&[errors_10()]);
        for _ in 0..100 {
            day.good(1);
            day.wait(Duration::from_secs(every));
            day.judge();
        }
        assert_eq!(day.judge()[0].blind, blind, "a call every {every} s");
    }
    assert!(
        !Day::with(&[errors_10()]).judge()[0].blind,
        "no traffic is not blindness"
    );
}

#[test]
fn legacys_habits_are_what_one_in_a_hundred_of_its_answers_shows() {
    for (flawed, habit) in [(1, true), (0, false)] {
        let mut day = Day::with(&[]);
        for place in 0..100 {
            let mut what = answered(day.now);
            what.backend = Backend::Legacy;
            what.flaw = (place < flawed).then_some(Flaw::LeadingSpace);
            day.evidence.observe(&Observation::Answered(what));
        }
        assert_eq!(day.evidence.habits().has(Flaw::LeadingSpace), habit);
    }
}

#[test]
fn status_numbers_are_of_the_last_minutes_and_totals_of_the_process() {
    let mut day = Day::with(&[errors_10()]);
    day.good(30);
    day.failing(10);
    for begins_call in [true, true, false] {
        day.evidence.observe(&Observation::Placed(Placed {
            begins: begins_call,
            ..begins(day.now)
        }));
    }
    let numbers = day.evidence.numbers(Backend::New, day.now);
    assert_eq!(
        (numbers.webhooks, numbers.errors, numbers.calls),
        (40, 10, 2)
    );
    assert_eq!(numbers.error_rate, Some(0.25));
    assert_eq!(numbers.response_time_mean_ms, Some(200.0));
    day.wait(mins(5));
    let numbers = day.evidence.numbers(Backend::New, day.now);
    assert_eq!((numbers.webhooks, numbers.error_rate), (40, None));
    assert_eq!(numbers.response_time_p95_ms, None);
}

#[test]
fn a_total_outage_of_a_busy_backend_is_seen_in_the_next_ticks() {
    let mut day = Day::with(&[early(errors_10())]);
    day.tenants = 8;
    for _ in 0..600 {
        day.good(5);
        day.wait(Duration::from_millis(100));
        assert_ne!(day.verdict(), Verdict::Trip);
    }
    let ticks = (1..).find(|_| {
        day.failing(5);
        day.wait(Duration::from_millis(100));
        day.verdict() == Verdict::Trip
    });
    assert!(ticks.unwrap() <= 3, "{ticks:?} ticks of five calls");
}

#[test]
fn above_nothing_at_all_needs_no_test_and_is_not_called_early() {
    let rule = early(Rule {
        calls_min: 20,
        ..row(Measure::ErrorRate, 0.0, 5, Action::Reverse)
    });
    assert!(!blind::sees(&rule, 3.9));
    assert!(blind::sees(&rule, 4.0), "by its window alone");
    assert_eq!(Day::with(&[rule]).judge()[0].early, None);
}

/// The share of errors in a short window passes a low threshold by chance every day.
#[test]
fn a_row_that_acts_by_its_early_test_alone_trips_by_no_window() {
    let by_window = early(Rule {
        threshold: 0.02,
        failed_min: 0,
        ..errors_10()
    });
    let alone = Rule {
        early: Some(Early {
            alone: true,
            ..Early::default()
        }),
        ..by_window.clone()
    };
    let verdicts = |good: u64, failed: u64| {
        let mut day = Day::with(&[by_window.clone(), alone.clone()]);
        day.good(good);
        day.failing(failed);
        let found = day.judge();
        [found[0].verdict, found[1].verdict]
    };
    assert_eq!(verdicts(39, 1), [Verdict::Trip, Verdict::Inconclusive]);
    assert_eq!(verdicts(49, 1), [Verdict::Pass, Verdict::Pass]);
    assert_eq!(verdicts(39, 10), [Verdict::Trip, Verdict::Trip]);
}

#[test]
fn what_is_said_can_be_read_at_three_in_the_morning() {
    let said = |rule: Rule, prepare: fn(&mut Day)| {
        let mut day = Day::with(&[rule]);
        prepare(&mut day);
        day.judge()[0].because.clone()
    };
    let mean = row(Measure::ResponseTimeMean, 5000.0, 5, Action::Reverse);
    assert_eq!(
        said(mean, |day| day.slow(20, 5430)),
        "20 calls waited 5.43 s for an answer in the mean in the last 5 min; the table allows 5 s"
    );
    let hang_ups = row(Measure::AbandonmentRate, 0.25, 15, Action::Reverse);
    assert_eq!(
        said(hang_ups.clone(), |day| {
            day.ends(12, CallEnd::Served);
            day.ends(8, CallEnd::Abandoned);
            day.wait(mins(10));
        }),
        "8 of 20 callers who called between 25 min and 10 min ago hung up unserved (40 %); \
         the table allows 25 %"
    );
    assert!(said(hang_ups, |_| ()).contains("status callback, which must point here"));
    assert_eq!(
        said(early(errors_10()), |day| day.failing(7)),
        "7 of 7 calls failed in the last 5 min (100 %); the table allows 10 %; \
         the sequential test is sure without a full window"
    );
}
