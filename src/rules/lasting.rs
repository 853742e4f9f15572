//! Rows and gates that look over days or over their stage, and what a restart leaves of
//! them.

use std::time::Duration;

use proptest::prelude::*;

use super::day::{Day, errors_10, mins, row};
use super::{Action, Measure, Rule, STAGE, Verdict};
use crate::measure::{Cause, Outcome, ReportKind};
use crate::model::{Backend, Tick, Wall};

const HOUR: Duration = Duration::from_secs(3600);

fn no_critical_error_for_72_h(action: Action) -> Rule {
    Rule {
        over: HOUR * 72,
        ..row(
            Measure::CriticalErrors,
            if action == Action::Gate { 1.0 } else { 0.0 },
            5,
            action,
        )
    }
}

/// So many hours, three at a time where there are so many: a window that is over at once
/// costs a test nothing.
fn hours(day: &mut Day, count: u32, stage: u16) {
    let mut left = count;
    while left > 0 {
        let some = if left >= 3 { 3 } else { 1 };
        left -= some;
        day.wait(HOUR * some);
        day.judge();
        day.close_hour(stage);
    }
}

/// A day whose first stage begins now, with this gate.
fn staged(gate: &Rule) -> Day {
    let mut day = Day::with(&[]);
    day.judge();
    day.evidence.stage_began(1, day.wall());
    day.evidence.set_gates(vec![gate.clone()], day.now);
    day.evidence.gates_count_from(day.wall());
    day
}

fn restart(day: &mut Day, gate: &Rule, since: Wall) {
    day.restart(&[]);
    day.evidence.stage_began(1, since);
    day.evidence.set_gates(vec![gate.clone()], Tick(0));
    day.evidence.gates_count_from(since);
}

#[test]
fn a_gate_over_72_h_passes_when_72_h_were_watched() {
    let gate = no_critical_error_for_72_h(Action::Gate);
    let mut day = staged(&gate);
    hours(&mut day, 71, 1);
    let finding = day.judge().remove(0);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(
        finding
            .because
            .ends_with("watched for 71 h of the 72 h it needs, 60 min are missing"),
        "{}",
        finding.because
    );
    hours(&mut day, 1, 1);
    assert_eq!(day.verdict(), Verdict::Pass);
    day.report(Backend::New, ReportKind::CriticalError);
    day.wait(Duration::from_secs(1));
    assert_eq!(day.verdict(), Verdict::Trip);
    hours(&mut day, 71, 1);
    assert_eq!(day.verdict(), Verdict::Trip, "71 h ago");
    hours(&mut day, 4, 1);
    assert_eq!(day.verdict(), Verdict::Pass);
}

#[test]
fn a_stepped_calendar_brings_back_nothing_from_before_the_epoch() {
    let rule = no_critical_error_for_72_h(Action::StepBack);
    let mut day = Day::with(std::slice::from_ref(&rule));
    day.judge();
    let since = day.wall();
    day.evidence.stage_began(1, since);
    day.report(Backend::New, ReportKind::CriticalError);
    hours(&mut day, 10, 1);
    assert_eq!(day.verdict(), Verdict::Trip);
    // A person resumes.
    day.evidence.begin_epoch(day.now, 0);
    assert_ne!(day.verdict(), Verdict::Trip);
    let by = -600_000;
    day.evidence
        .calendar_stepped(by, 1, Wall(since.0.saturating_add(by)));
    day.wait(mins(2));
    assert_ne!(day.verdict(), Verdict::Trip);
}

#[test]
fn a_restart_forgets_no_critical_error_and_no_hour_that_was_watched() {
    let gate = no_critical_error_for_72_h(Action::Gate);
    let mut day = staged(&gate);
    let since = day.wall();
    hours(&mut day, 10, 1);
    day.report(Backend::New, ReportKind::CriticalError);
    hours(&mut day, 10, 1);
    restart(&mut day, &gate, since);
    assert_eq!(day.verdict(), Verdict::Trip);
    hours(&mut day, 66, 1);
    assert_eq!(day.verdict(), Verdict::Pass);
}

#[test]
fn hours_that_nobody_watched_are_missing() {
    let gate = no_critical_error_for_72_h(Action::Gate);
    for (down, verdict) in [(7, Verdict::Pass), (8, Verdict::Inconclusive)] {
        let mut day = staged(&gate);
        let since = day.wall();
        hours(&mut day, 20, 1);
        day.wait(HOUR * down);
        restart(&mut day, &gate, since);
        hours(&mut day, 72 - 20 - down, 1);
        let finding = day.judge().remove(0);
        assert_eq!(finding.verdict, verdict, "{}", finding.because);
    }
}

#[test]
fn a_row_over_72_h_trips_over_a_restart_as_well() {
    let rule = no_critical_error_for_72_h(Action::Reverse);
    let mut day = Day::with(std::slice::from_ref(&rule));
    day.judge();
    day.report(Backend::New, ReportKind::CriticalError);
    hours(&mut day, 40, 0);
    day.restart(std::slice::from_ref(&rule));
    assert_eq!(day.verdict(), Verdict::Trip);
    hours(&mut day, 36, 0);
    assert_eq!(day.verdict(), Verdict::Pass);
    day.report(Backend::Legacy, ReportKind::CriticalError);
    day.wait(mins(1));
    assert_eq!(day.verdict(), Verdict::Pass, "legacy's is legacy's");
}

#[test]
fn a_gate_over_an_hour_needs_an_hour_after_the_warm_up() {
    let gate = Rule {
        threshold: 0.01,
        over: HOUR,
        failed_min: 0,
        ..row(Measure::ErrorRate, 0.01, 60, Action::Gate)
    };
    let mut day = staged(&gate);
    let warm = mins(10);
    day.evidence.set_gates(vec![gate], day.now + warm);
    day.evidence
        .gates_count_from(Wall(day.wall().0 + 10 * 60_000));
    day.failing(50);
    let finding = day.judge().remove(0);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(finding.because.ends_with("the stage is still warming up"));
    day.wait(mins(11));
    day.good(100);
    let finding = day.judge().remove(0);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(
        finding
            .because
            .ends_with("watched for 60 s of the 1 h it needs, 59 min are missing"),
        "{}",
        finding.because
    );
    day.wait(mins(58));
    assert_eq!(day.verdict(), Verdict::Inconclusive);
    day.wait(mins(1));
    let finding = day.judge().remove(0);
    assert_eq!(finding.verdict, Verdict::Pass, "{}", finding.because);
    assert!(finding.because.contains("the gate asks for less than 1 %"));
    day.failing(1);
    day.good(1);
    assert_eq!(day.verdict(), Verdict::Pass, "1 of 102");
    day.failing(1);
    assert_eq!(day.verdict(), Verdict::Trip, "2 of 103");
    assert_eq!(day.judge()[0].threshold, 0.01);
}

#[test]
fn less_than_one_percent_is_not_one_percent() {
    let gate = row(Measure::ErrorRate, 0.01, 5, Action::Gate);
    for (good, failed, verdict) in [(99, 1, Verdict::Trip), (100, 1, Verdict::Pass)] {
        let mut day = staged(&gate);
        day.wait(mins(5));
        day.good(good);
        day.failing(failed);
        assert_eq!(day.verdict(), verdict);
    }
}

#[test]
fn a_gate_over_its_stage_begins_with_it_and_leaves_out_the_warm_up() {
    let gate = Rule {
        over: STAGE,
        ..row(Measure::ErrorRate, 0.05, 5, Action::Gate)
    };
    let mut day = Day::with(&[]);
    day.judge();
    day.failing(50);
    hours(&mut day, 3, 0);
    day.evidence.stage_began(1, day.wall());
    let warm = Wall(day.wall().0 + 3_600_000);
    day.evidence.set_gates(vec![gate.clone()], day.now + HOUR);
    day.evidence.gates_count_from(warm);
    day.failing(50);
    day.wait(mins(30));
    day.judge();
    assert!(!day.evidence.hour_is_over(day.now, day.wall()));
    day.wait(mins(30));
    day.judge();
    assert!(day.evidence.hour_is_over(day.now, day.wall()));
    day.close_hour(1);
    day.good(19);
    assert_eq!(day.verdict(), Verdict::Inconclusive, "19 calls of 20");
    day.good(1);
    assert_eq!(day.verdict(), Verdict::Pass);
    hours(&mut day, 30, 1);
    day.failing(2);
    let finding = day.judge().remove(0);
    assert_eq!(finding.verdict, Verdict::Trip, "2 of 22");
    assert!(
        finding
            .because
            .starts_with("2 of 22 calls failed since the stage began"),
        "{}",
        finding.because
    );
    restart(&mut day, &gate, warm);
    assert_eq!(
        day.judge()[0].samples,
        20,
        "the running hour is lost with the process"
    );
}

#[test]
fn an_hour_in_pieces_is_the_same_hour() {
    let gate = no_critical_error_for_72_h(Action::Gate);
    let errors = Rule {
        over: STAGE,
        ..row(Measure::ErrorRate, 0.05, 5, Action::Gate)
    };
    for pieces in [1, 12] {
        for rule in [&gate, &errors] {
            let mut day = staged(rule);
            let since = day.wall();
            let part = |day: &mut Day| {
                day.wait(HOUR / pieces);
                day.judge();
                day.close_hour(1);
            };
            day.good(24);
            (0..3 * pieces).for_each(|_| part(&mut day));
            day.report(Backend::New, ReportKind::CriticalError);
            day.failing(2);
            let before = day.judge().remove(0);
            assert_eq!(before.verdict, Verdict::Trip, "{}", before.because);
            part(&mut day);
            (0..2).for_each(|_| hours(&mut day, 3, 1));
            let before = day.judge().remove(0);
            restart(&mut day, rule, since);
            let after = day.judge().remove(0);
            assert_eq!(before.verdict, Verdict::Trip, "{}", before.because);
            assert_eq!((before.value, before.samples), (after.value, after.samples));
        }
    }
}

#[test]
fn a_complaint_in_the_first_moment_of_a_stage_counts_when_its_hour_is_closed_at_once() {
    let gate = Rule {
        over: STAGE,
        ..row(Measure::Complaints, 1.0, 5, Action::Gate)
    };
    let mut day = Day::with(&[]);
    day.judge();
    // Somebody advances between two looks of the engine.
    day.wait(Duration::from_millis(80));
    day.close_hour(0);
    day.evidence.stage_began(1, day.wall());
    day.evidence.set_gates(vec![gate], day.now);
    day.evidence.gates_count_from(day.wall());
    day.report(Backend::New, ReportKind::Complaint);
    day.wait(Duration::from_millis(20));
    assert_eq!(day.verdict(), Verdict::Trip);
    day.close_hour(1);
    assert_eq!(day.verdict(), Verdict::Trip);
}

#[test]
fn what_was_reported_while_a_stage_warmed_up_is_left_out_in_whichever_piece() {
    let gate = Rule {
        over: STAGE,
        ..row(Measure::Complaints, 1.0, 5, Action::Gate)
    };
    for late in [false, true] {
        let mut day = staged(&gate);
        let warm = Wall(day.wall().0 + 600_000);
        day.evidence.gates_count_from(warm);
        let complain = |day: &mut Day| {
            day.report(Backend::New, ReportKind::Complaint);
            day.wait(mins(1));
            day.judge();
            day.close_hour(1);
        };
        day.wait(mins(4));
        complain(&mut day);
        day.wait(mins(5));
        day.judge();
        assert!(day.evidence.hour_is_over(day.now, day.wall()));
        day.close_hour(1);
        if late {
            complain(&mut day);
        }
        day.wait(mins(5));
        let found = day.judge().remove(0);
        assert_eq!(found.value, Some(f64::from(u8::from(late))));
        assert_eq!(found.verdict == Verdict::Trip, late, "{}", found.because);
    }
}

#[test]
fn an_hour_in_which_nothing_happened_is_kept_only_while_a_stage_runs() {
    let mut day = Day::with(&[]);
    day.judge();
    hours(&mut day, 2, 0);
    assert_eq!(day.history.hours.len(), 0);
    hours(&mut day, 2, 1);
    assert_eq!(day.history.hours.len(), 2);
    day.close_hour(1);
    assert_eq!(day.history.hours.len(), 2, "it has only just begun");
    day.good(1);
    hours(&mut day, 1, 0);
    assert_eq!(day.history.hours[2].sides.new.good, 1);
}

#[test]
fn what_an_epoch_leaves_behind_stays_in_the_hour_and_is_judged_no_more() {
    let rule = Rule {
        over: HOUR * 24,
        ..errors_10()
    };
    let mut day = Day::with(&[rule]);
    day.failing(50);
    assert_eq!(day.verdict(), Verdict::Trip);
    day.wait(mins(1));
    day.evidence.begin_epoch(day.now, 0);
    day.good(30);
    let finding = day.judge().remove(0);
    assert_eq!((finding.verdict, finding.samples), (Verdict::Pass, 30));
    day.wait(mins(59));
    day.judge();
    day.close_hour(0);
    let new = |piece: usize| {
        let new = &day.history.hours[piece].sides.new;
        (new.good, new.failed, new.calls)
    };
    assert_eq!((new(0), new(1)), ((0, 50, 50), (30, 0, 30)));
    let finding = day.judge().remove(0);
    assert_eq!((finding.verdict, finding.samples), (Verdict::Pass, 30));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn long_spans_agree_with_keeping_every_event(
        steps in prop::collection::vec((0u64..6, 0u64..4, 0u64..3, 50u32..3000), 1..30),
        span in prop_oneof![Just(2u32), Just(24), Just(168)],
    ) {
        let over = HOUR * span;
        let rules = [
            Rule { over, calls_min: 0, ..errors_10() },
            Rule { over, calls_min: 0, ..row(Measure::ResponseTimeP95, 800.0, 5, Action::Alert) },
        ];
        let mut day = Day::with(&rules);
        day.judge();
        // Of the hour that is not over: (good, failed, latencies).
        let mut running = (0, 0, Vec::new());
        let mut closed = Vec::new();
        for (gap, good, failed, latency) in steps {
            for _ in 0..gap {
                day.wait(HOUR * 2 + mins(5));
                day.judge();
                prop_assert!(day.evidence.hour_is_over(day.now, day.wall()));
                let before = day.history.hours.len();
                day.close_hour(0);
                let events = std::mem::take(&mut running);
                if let Some(hour) = day.history.hours.back().filter(|_| day.history.hours.len() > before) {
                    closed.push(((hour.from.0 + hour.to.0) / 2, events));
                }
            }
            for place in 0..good + failed {
                let outcome = if place < good { Outcome::Served } else { Outcome::Failed(Cause::Status) };
                day.answer(Backend::New, 1, outcome, latency);
                running.2.push(latency);
            }
            running.0 += good;
            running.1 += failed;
            let from = day.wall().0 - i64::try_from(over.as_millis()).unwrap();
            let kept = closed.iter().filter(|(middle, _)| *middle >= from);
            let (mut sound, mut broken, mut latencies) = running.clone();
            for (_, events) in kept {
                sound += events.0;
                broken += events.1;
                latencies.extend(&events.2);
            }
            let findings = day.judge();
            prop_assert_eq!(findings[0].samples, sound + broken);
            let rate = (sound + broken > 0).then(|| broken as f64 / (sound + broken) as f64);
            prop_assert_eq!(findings[0].value, rate);
            latencies.sort_unstable();
            let rank = (latencies.len() * 950).div_ceil(1000).max(1);
            match (latencies.get(rank - 1), findings[1].value) {
                (Some(exact), Some(read)) => {
                    let off = (read - f64::from(*exact)).abs() / f64::from(*exact);
                    prop_assert!(off <= 0.033, "{} read as {}", exact, read);
                }
                (exact, read) => prop_assert!(exact.is_none() && read.is_none()),
            }
        }
    }
}
