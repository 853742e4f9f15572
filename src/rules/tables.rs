//! Every row of a reversal table trips when it must, and not one call sooner.

use std::time::Duration;

use super::day::{Day, answered, begins, errors_10, mins, row, verdict_after};
use super::{Action, Measure, Verdict};
use crate::measure::{CallEnd, Cause, Kind, Observation, Outcome, ReportKind};
use crate::model::{Backend, PerBackend};

#[test]
fn error_rate_above_5_percent_over_15_minutes_alerts() {
    let rule = row(Measure::ErrorRate, 0.05, 15, Action::Alert);
    assert_eq!(
        verdict_after(&rule, |day| (day.good(94), day.failing(6)).1),
        Verdict::Trip
    );
    let at_it = verdict_after(&rule, |day| (day.good(95), day.failing(5)).1);
    assert_eq!(at_it, Verdict::Pass, "5 of 100 is not above 5 %");
}

#[test]
fn error_rate_above_10_percent_over_5_minutes_reverses() {
    let trips =
        |good, failed| verdict_after(&errors_10(), |day| (day.good(good), day.failing(failed)).1);
    assert_eq!(trips(89, 11), Verdict::Trip);
    assert_eq!(trips(90, 10), Verdict::Pass, "10 of 100 is not above 10 %");
    assert_eq!(trips(12, 8), Verdict::Trip);
    assert_eq!(trips(11, 8), Verdict::Inconclusive, "19 calls of 20");
    assert_eq!(trips(13, 7), Verdict::Inconclusive, "7 failed calls of 8");
}

#[test]
fn a_failure_leaves_the_row_with_its_window() {
    let mut day = Day::with(&[errors_10()]);
    day.failing(8);
    day.wait(mins(4));
    day.good(12);
    assert_eq!(day.verdict(), Verdict::Trip);
    day.wait(mins(1));
    day.good(20);
    assert_eq!(
        day.verdict(),
        Verdict::Pass,
        "the failures are five minutes old"
    );
}

#[test]
fn mean_response_time_above_3_s_over_10_minutes_alerts() {
    let rule = row(Measure::ResponseTimeMean, 3000.0, 10, Action::Alert);
    assert_eq!(
        verdict_after(&rule, |day| day.slow(20, 3001)),
        Verdict::Trip
    );
    assert_eq!(
        verdict_after(&rule, |day| day.slow(20, 3000)),
        Verdict::Pass
    );
}

#[test]
fn mean_response_time_above_5_s_over_5_minutes_reverses() {
    let rule = row(Measure::ResponseTimeMean, 5000.0, 5, Action::Reverse);
    assert_eq!(
        verdict_after(&rule, |day| day.slow(20, 5001)),
        Verdict::Trip
    );
    assert_eq!(
        verdict_after(&rule, |day| day.slow(20, 5000)),
        Verdict::Pass
    );
    assert_eq!(
        verdict_after(&rule, |day| day.slow(19, 9000)),
        Verdict::Inconclusive,
        "19 calls of 20"
    );
}

#[test]
fn abandonment_above_15_percent_over_30_minutes_alerts() {
    let rule = row(Measure::AbandonmentRate, 0.15, 30, Action::Alert);
    let after = |served, abandoned| {
        verdict_after(&rule, |day| {
            day.ends(served, CallEnd::Served);
            day.ends(abandoned, CallEnd::Abandoned);
            day.wait(mins(10));
        })
    };
    assert_eq!(after(84, 16), Verdict::Trip);
    assert_eq!(after(85, 15), Verdict::Pass);
}

#[test]
fn abandonment_above_25_percent_over_15_minutes_reverses() {
    let rule = row(Measure::AbandonmentRate, 0.25, 15, Action::Reverse);
    let after = |served, abandoned, wait| {
        verdict_after(&rule, |day| {
            day.ends(served, CallEnd::Served);
            day.ends(abandoned, CallEnd::Abandoned);
            day.ends(50, CallEnd::Short);
            day.ends(5, CallEnd::Failed);
            day.wait(wait);
        })
    };
    assert_eq!(after(74, 26, mins(10)), Verdict::Trip);
    assert_eq!(after(75, 25, mins(10)), Verdict::Pass);
    assert_eq!(after(12, 8, mins(10)), Verdict::Trip);
    assert_eq!(
        after(12, 7, mins(10)),
        Verdict::Inconclusive,
        "19 calls of 20"
    );
    let young = after(74, 26, mins(10).saturating_sub(Duration::from_secs(1)));
    assert_eq!(
        young,
        Verdict::Inconclusive,
        "those who stay have not ended yet"
    );
    assert_eq!(
        after(74, 26, mins(25)),
        Verdict::Inconclusive,
        "too long ago"
    );
}

#[test]
fn any_critical_error_reverses() {
    let rule = row(Measure::CriticalErrors, 0.0, 5, Action::Reverse);
    assert_eq!(verdict_after(&rule, |day| day.good(100)), Verdict::Pass);
    let report = |backend| {
        verdict_after(&rule, |day| {
            day.evidence
                .report(backend, ReportKind::CriticalError, None, day.now);
        })
    };
    assert_eq!(report(Backend::New), Verdict::Trip);
    assert_eq!(
        report(Backend::Legacy),
        Verdict::Pass,
        "legacy's is not new's"
    );
}

#[test]
fn memory_above_80_percent_in_the_mean_of_10_minutes_alerts() {
    let rule = row(Measure::MemoryUsed, 0.80, 10, Action::Alert);
    let after = |shares: &[f64]| {
        verdict_after(&rule, |day| {
            for share in shares {
                day.evidence
                    .report(Backend::New, ReportKind::MemoryUsed(*share), None, day.now);
            }
        })
    };
    assert_eq!(after(&[0.79, 0.82]), Verdict::Trip);
    assert_eq!(after(&[0.79, 0.81]), Verdict::Pass);
    assert_eq!(after(&[]), Verdict::Inconclusive);
    let said = Day::with(&[rule]).judge()[0].because.clone();
    assert!(said.contains("memory_used feeds this"), "{said}");
}

#[test]
fn speech_recognition_below_75_percent_over_30_minutes_alerts() {
    let rule = row(Measure::SpeechRecognitionRate, 0.75, 30, Action::Alert);
    let after = |good: u64, empty: u64| {
        verdict_after(&rule, |day| {
            for place in 0..good + empty {
                let mut what = answered(day.now);
                what.speech = Some(place < good);
                day.evidence.observe(&Observation::Answered(what));
            }
        })
    };
    assert_eq!(after(74, 26), Verdict::Trip);
    assert_eq!(after(75, 25), Verdict::Pass);
    assert_eq!(after(5, 14), Verdict::Inconclusive, "19 results of 20");
}

#[test]
fn speech_that_comes_with_events_alone_is_judged_by_the_calls_that_began() {
    let rule = row(Measure::SpeechRecognitionRate, 0.75, 30, Action::Alert);
    let after = |begun: u64, results: u64| {
        verdict_after(&rule, |day| {
            for _ in 0..begun {
                day.evidence.observe(&Observation::Placed(begins(day.now)));
            }
            for place in 0..results {
                let mut what = answered(day.now);
                what.kind = Kind::Event;
                what.voice = None;
                what.speech = Some(place % 2 == 0);
                day.evidence.observe(&Observation::Answered(what));
            }
        })
    };
    assert_eq!(after(20, 20), Verdict::Trip);
    assert_eq!(after(20, 60), Verdict::Trip, "many results a call");
    assert_eq!(after(19, 60), Verdict::Inconclusive, "19 calls of 20");
}

#[test]
fn no_answer_for_a_minute_is_a_system_that_is_down() {
    let rule = row(Measure::BackendDown, 0.0, 1, Action::Alert);
    let connect = Outcome::Failed(Cause::Connect);
    let down = |good| {
        verdict_after(&rule, |day| {
            day.good(good);
            day.calls(Backend::New, 3, connect);
        })
    };
    assert_eq!(down(0), Verdict::Trip);
    assert_eq!(down(1), Verdict::Pass, "one was answered");
    assert_eq!(
        verdict_after(&rule, |day| day.failing(3)),
        Verdict::Pass,
        "a 500 is an answer"
    );
    assert_eq!(verdict_after(&rule, |_| ()), Verdict::Inconclusive);
}

#[test]
fn more_than_15_calls_at_once_over_5_minutes_alerts() {
    let rule = row(Measure::ConcurrentCalls, 15.0, 5, Action::Alert);
    for (active, verdict) in [(16, Verdict::Trip), (15, Verdict::Pass)] {
        let mut day = Day::with(std::slice::from_ref(&rule));
        let both = PerBackend {
            legacy: 90,
            new: active,
        };
        day.active = both;
        assert_eq!(day.verdict(), verdict);
    }
}

#[test]
fn p95_above_1200_ms_trips_and_exactly_1200_ms_does_not() {
    let rule = row(Measure::ResponseTimeP95, 1200.0, 5, Action::Reverse);
    let after = |fast, slow, latency| {
        verdict_after(&rule, |day| {
            day.slow(fast, 300);
            day.slow(slow, latency);
        })
    };
    assert_eq!(after(189, 11, 1201), Verdict::Trip);
    assert_eq!(
        after(190, 10, 1201),
        Verdict::Pass,
        "exactly 5 % are slower"
    );
    assert_eq!(after(189, 11, 1200), Verdict::Pass);
    assert_eq!(
        after(0, 199, 5000),
        Verdict::Inconclusive,
        "199 calls of 200"
    );
}

#[test]
fn a_finding_reads_like_a_sentence() {
    let mut day = Day::with(&[errors_10()]);
    day.good(24);
    day.failing(7);
    assert_eq!(
        day.judge()[0].because,
        "7 of 31 calls failed in the last 5 min (22.6 %); the table allows 10 %; \
         too few to act on: 7 failed calls of the 8 needed"
    );
}
