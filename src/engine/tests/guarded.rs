//! The table of four states: neither backend is failing, new is, legacy is, both are.
//! What requests are told, what people hear, and what a row may still do.

use std::time::Duration;

use super::super::bench::{Bench, entries, names, percent, settings};
use super::super::{Condition, Effect, Severity};
use super::{errors_10, fail, rule, status};
use crate::breaker::{self, State};
use crate::health::{self, Answer};
use crate::measure::{Cause, Health, Observation, Outcome, RescueResult, Rescued, Why};
use crate::model::{Backend, PerBackend};
use crate::rollout::Command;
use crate::rules::evidence::{LEGACY_IS_DOWN, LEGACY_IS_OPEN};
use crate::rules::{Action, Measure, Rule, Verdict};

const FAILED: Outcome = Outcome::Failed(Cause::Status);
const GONE: Outcome = Outcome::Failed(Cause::Connect);

/// A rollout at half, with breakers and health checks on both sides.
fn guarded(rules: Vec<Rule>) -> Bench {
    let mut bench = Bench::at(50, rules.clone());
    let guarded = super::super::Settings {
        breakers: PerBackend::from_fn(|_| Some(breaker::Settings::default())),
        health: PerBackend::from_fn(|_| Some(health::Settings::of("/healthz".to_owned()))),
        wishes: bench.engine.settings.wishes.clone(),
        ..settings(rules)
    };
    bench.reload(guarded);
    bench.record_all();
    bench.said.clear();
    bench
}

/// So many answers of a backend in a row, and a look.
fn answers(bench: &mut Bench, backend: Backend, times: u32, outcome: Outcome) -> Vec<Effect> {
    (0..times).for_each(|_| bench.answer(backend, outcome, 200));
    bench.tick()
}

/// So many checks of a backend, and a look.
fn checks(bench: &mut Bench, backend: Backend, times: u32, answer: Answer) -> Vec<Effect> {
    for _ in 0..times {
        bench.observe(Observation::Health(Health {
            at: bench.now,
            backend,
            answer,
            took_us: 900,
        }));
    }
    bench.tick()
}

/// What requests were told last.
fn breakers(bench: &Bench) -> PerBackend<State> {
    let told = bench.said.iter().rev().find_map(|effect| match effect {
        Effect::Breakers(states) => Some(*states),
        _ => None,
    });
    told.unwrap_or_default()
}

/// What people were told, with how urgent it is.
fn said(effects: &[Effect]) -> Vec<(Severity, String)> {
    let notice = |effect: &Effect| match effect {
        Effect::Say(notice) => Some((notice.severity, notice.text.clone())),
        _ => None,
    };
    effects.iter().filter_map(notice).collect()
}

fn condition(bench: &mut Bench) -> Condition {
    status(bench).condition
}

// -- neither ------------------------------------------------------------------------

#[test]
fn while_neither_fails_nothing_is_said_and_a_row_reverses_as_ever() {
    let mut bench = guarded(vec![errors_10()]);
    for backend in Backend::ALL {
        checks(&mut bench, backend, 3, Answer::Well);
        answers(&mut bench, backend, 30, Outcome::Served);
        let four = answers(&mut bench, backend, 4, FAILED);
        assert_eq!(names(&four), [""; 0], "four failures in a row");
        answers(&mut bench, backend, 10, Outcome::Served);
    }
    let condition = condition(&mut bench);
    assert_eq!(condition.name(), "none");
    assert_eq!(condition.says, "Neither backend is failing.");
    // Twelve good ones between them, so that no breaker has a reason.
    for _ in 0..12 {
        answers(&mut bench, Backend::New, 1, FAILED);
        answers(&mut bench, Backend::New, 2, Outcome::Served);
    }
    assert_eq!(bench.reversals(), ["error_rate-above-10%-5m"]);
}

// -- new ------------------------------------------------------------------------------

/// What one worker tells of the last tenth of a second: an outcome, and when.
fn told(bench: &mut Bench, by_worker: &[(Outcome, u64)]) {
    for (outcome, millis) in by_worker {
        bench.answer(Backend::New, *outcome, 1);
        let at = bench.now + Duration::from_millis(*millis);
        if let Some(Observation::Answered(answered)) = bench.last() {
            answered.at = at;
        }
    }
}

#[test]
fn a_row_of_failures_is_one_by_the_clock_and_not_by_the_worker() {
    let failed = |from: u64, count: u64| (from..from + count).map(|at| (FAILED, at));
    for (good, state) in [(40, State::Closed), (0, State::Open), (90, State::Open)] {
        let mut bench = guarded(Vec::new());
        let first: Vec<_> = failed(20, 4).chain(failed(60, 4)).collect();
        told(&mut bench, &first);
        told(&mut bench, &[(Outcome::Served, good)]);
        bench.tick();
        assert_eq!(breakers(&bench).new, state, "good at {good}");
        // And the other worker's buffer comes first.
        let mut bench = guarded(Vec::new());
        told(&mut bench, &[(Outcome::Served, good)]);
        told(&mut bench, &first);
        bench.tick();
        assert_eq!(breakers(&bench).new, state, "good at {good}");
    }
}

#[test]
fn a_new_that_fails_five_times_in_a_row_is_not_asked_and_people_hear_why() {
    let mut bench = guarded(vec![]);
    let effects = answers(&mut bench, Backend::New, 5, FAILED);
    assert_eq!(names(&effects), ["breakers", "say"]);
    assert_eq!(breakers(&bench).new, State::Open);
    assert_eq!(breakers(&bench).legacy, State::Closed);
    let [(severity, text)] = said(&effects).try_into().expect("one notice");
    assert_eq!(severity, Severity::Warning);
    assert!(text.contains("5 failures in a row"), "{text}");
    let status = status(&mut bench);
    assert_eq!(status.condition.name(), "new");
    let says = &status.condition.says;
    assert!(says.contains("New calls go straight to legacy"), "{says}");
    let guard = &status.guards.new;
    assert_eq!(guard.breaker, Some(State::Open));
    assert_eq!((guard.opens, guard.opens_last_hour), (1, 1));
    assert_eq!(guard.because.as_deref(), Some("5 failures in a row"));
}

#[test]
fn a_new_that_recovers_is_tried_and_asked_again_and_people_hear_that_too() {
    let mut bench = guarded(vec![]);
    answers(&mut bench, Backend::New, 5, FAILED);
    bench.wait(Duration::from_secs(5));
    assert_eq!(names(&bench.tick()), ["breakers"], "a trial is no news");
    assert_eq!(breakers(&bench).new, State::HalfOpen);
    let says = condition(&mut bench).says;
    assert!(says.contains("One new call at a time"), "{says}");
    bench.wait(Duration::from_secs(1));
    assert_eq!(
        names(&answers(&mut bench, Backend::New, 2, Outcome::Served)),
        [""; 0]
    );
    let effects = answers(&mut bench, Backend::New, 1, Outcome::Served);
    assert_eq!(names(&effects), ["breakers", "say"]);
    assert_eq!(said(&effects)[0].0, Severity::Info);
    assert_eq!(breakers(&bench).new, State::Closed);
    assert_eq!(condition(&mut bench).name(), "none");
}

#[test]
fn calls_that_the_breaker_keeps_away_count_so_that_the_table_sees_the_outage() {
    let mut bench = guarded(vec![errors_10()]);
    answers(&mut bench, Backend::New, 5, GONE);
    assert_eq!(bench.reversals(), [""; 0], "five calls are too few");
    let kept = Outcome::Failed(Cause::Breaker);
    let effects = answers(&mut bench, Backend::New, 15, kept);
    assert!(names(&effects).contains(&"reversed"), "{effects:?}");
    // The latch does not touch the breaker, nor the breaker the latch.
    assert_eq!(breakers(&bench).new, State::Open);
    let says = condition(&mut bench).says;
    assert!(
        says.contains("No call that begins reaches it anyway"),
        "{says}"
    );
}

#[test]
fn whoever_gives_new_more_calls_finds_its_breaker_closed() {
    let mut bench = guarded(vec![]);
    answers(&mut bench, Backend::New, 5, GONE);
    assert_eq!(breakers(&bench).new, State::Open);
    let effects = bench.give(Command::Percentage(percent(60)));
    assert_eq!(
        breakers(&bench).new,
        State::Open,
        "not before it is on disk"
    );
    let effects = bench.recorded(&entries(&effects)[0].clone());
    assert_eq!(names(&effects)[..2], ["breakers", "publish"]);
    assert_eq!(breakers(&bench).new, State::Closed);
}

#[test]
fn a_new_that_is_late_five_times_in_a_row_opens_its_breaker() {
    let late = |times: u32| {
        let mut bench = guarded(vec![]);
        for _ in 0..times {
            bench.observe(Observation::Rescued(Rescued {
                call: None,
                at: bench.now,
                route: 0,
                from: Backend::New,
                why: Why::Late,
                result: RescueResult::Served,
                counts: true,
            }));
        }
        bench.tick();
        breakers(&bench).new
    };
    assert_eq!(late(4), State::Closed);
    assert_eq!(late(5), State::Open);
}

#[test]
fn a_new_that_its_health_check_finds_down_is_not_asked_until_it_is_up() {
    let mut bench = guarded(vec![]);
    assert_eq!(
        names(&checks(&mut bench, Backend::New, 2, Answer::Status(500))),
        [""; 0]
    );
    let effects = checks(&mut bench, Backend::New, 1, Answer::Status(500));
    assert_eq!(names(&effects), ["breakers", "say"], "told once");
    assert_eq!(said(&effects)[0].0, Severity::Warning);
    assert!(said(&effects)[0].1.contains("/healthz"), "{effects:?}");
    bench.wait(Duration::from_secs(600));
    assert_eq!(names(&bench.tick()), [""; 0], "it stays open");
    let health = status(&mut bench).guards.new.health.expect("it is asked");
    assert_eq!(health.state, health::State::Down);
    assert!(health.since < bench.wall);
    let effects = checks(&mut bench, Backend::New, 2, Answer::Well);
    assert_eq!(names(&effects), ["breakers", "say"]);
    assert_eq!(breakers(&bench).new, State::HalfOpen, "one call, to see");
}

#[test]
fn where_the_breaker_is_switched_off_nothing_is_kept_away_and_health_is_shown() {
    let mut bench = guarded(vec![]);
    let mut off = bench.engine.settings.clone();
    answers(&mut bench, Backend::New, 5, FAILED);
    assert_eq!(breakers(&bench).new, State::Open);
    off.breakers.new = None;
    bench.reload(off);
    bench.tick();
    assert_eq!(breakers(&bench).new, State::Closed);
    checks(&mut bench, Backend::New, 3, Answer::Status(500));
    assert_eq!(breakers(&bench).new, State::Closed);
    let status = status(&mut bench);
    assert_eq!(status.condition.name(), "new");
    assert_eq!(status.guards.new.breaker, None);
}

#[test]
fn opens_of_the_last_hour_are_a_measure() {
    let opens = Rule {
        threshold: 1.0,
        ..counting(Measure::BreakerOpens, 60)
    };
    let after = |times: u32| {
        let mut bench = guarded(vec![opens.clone()]);
        for _ in 0..times {
            answers(&mut bench, Backend::New, 5, FAILED);
            bench.wait(Duration::from_secs(5));
            bench.tick();
            bench.wait(Duration::from_secs(1));
            answers(&mut bench, Backend::New, 3, Outcome::Served);
        }
        let finding = status(&mut bench).rules[0].finding.clone();
        (finding.verdict, finding.value)
    };
    assert_eq!(after(1), (Verdict::Pass, Some(1.0)));
    assert_eq!(after(2), (Verdict::Trip, Some(2.0)));
}

/// An alert on a measure that counts or is counted by checks.
fn counting(measure: Measure, minutes: u64) -> Rule {
    Rule {
        name: measure.name().to_owned(),
        measure,
        threshold: 0.0,
        over: Duration::from_secs(minutes * 60),
        action: Action::Alert,
        calls_min: measure.calls_min(),
        failed_min: 0,
        early: None,
        ..errors_10()
    }
}

// -- legacy ----------------------------------------------------------------------------

#[test]
fn a_legacy_that_is_down_is_critical_and_withholds_a_reversal() {
    let mut bench = guarded(vec![errors_10()]);
    let effects = checks(
        &mut bench,
        Backend::Legacy,
        3,
        Answer::Missing(Cause::Connect),
    );
    assert_eq!(said(&effects)[0].0, Severity::Critical);
    let condition = condition(&mut bench);
    assert_eq!(condition.name(), "legacy");
    assert!(condition.says.contains("last resort"), "{}", condition.says);
    // New is over the row's threshold, and still the better of the two.
    for _ in 0..8 {
        answers(&mut bench, Backend::New, 1, FAILED);
        answers(&mut bench, Backend::New, 3, Outcome::Served);
    }
    assert_eq!(bench.reversals(), [""; 0]);
    let finding = status(&mut bench).rules[0].finding.clone();
    assert_eq!(finding.withheld, Some(LEGACY_IS_DOWN));
    assert!(finding.because.contains("would not help"), "{finding:?}");
    // It is up again: what was withheld is done.
    checks(&mut bench, Backend::Legacy, 2, Answer::Well);
    assert_eq!(bench.reversals().len(), 1);
}

#[test]
fn a_legacy_whose_breaker_is_open_withholds_and_one_failure_fewer_does_not() {
    for (failures, withheld) in [(5, Some(LEGACY_IS_OPEN)), (4, None)] {
        let mut bench = guarded(vec![errors_10()]);
        answers(&mut bench, Backend::Legacy, failures, FAILED);
        for _ in 0..8 {
            answers(&mut bench, Backend::New, 1, FAILED);
            answers(&mut bench, Backend::New, 3, Outcome::Served);
        }
        let finding = bench.engine.findings[0].clone();
        assert_eq!(finding.withheld, withheld, "{failures} failures");
        assert_eq!(bench.reversals().len(), usize::from(withheld.is_none()));
    }
}

#[test]
fn a_legacy_that_nobody_has_asked_for_a_minute_withholds_nothing() {
    let mut bench = guarded(vec![errors_10()]);
    answers(&mut bench, Backend::Legacy, 5, FAILED);
    bench.wait(Duration::from_secs(5));
    bench.tick();
    bench.wait(Duration::from_secs(60));
    bench.tick();
    assert_eq!(condition(&mut bench).name(), "none");
    fail(&mut bench);
    bench.tick();
    assert_eq!(bench.reversals().len(), 1, "unknown is not bad");
}

// A health check that asks the wrong path must not hold callers on a new that fails.
#[test]
fn a_legacy_that_is_called_down_and_serves_its_callers_does_not_withhold() {
    let mut bench = guarded(vec![errors_10()]);
    checks(&mut bench, Backend::Legacy, 3, Answer::Status(404));
    answers(&mut bench, Backend::Legacy, 60, Outcome::Served);
    fail(&mut bench);
    bench.tick();
    assert_eq!(bench.reversals().len(), 1, "new is measurably worse");
}

#[test]
fn harm_that_was_reported_reverses_though_legacy_is_down() {
    let critical = rule("critical_errors-above-0-1h");
    let mut bench = guarded(vec![critical]);
    checks(&mut bench, Backend::Legacy, 3, Answer::Status(500));
    let kind = crate::measure::ReportKind::CriticalError;
    bench.report(None, Backend::New, kind);
    bench.tick();
    assert_eq!(bench.reversals().len(), 1);
}

#[test]
fn an_operator_may_go_back_to_a_legacy_that_is_down() {
    let mut bench = guarded(vec![]);
    checks(&mut bench, Backend::Legacy, 3, Answer::Status(500));
    let effects = bench.give(Command::Rollback(
        crate::rollout::Level::Total,
        crate::split::Live::Drain,
    ));
    assert!(names(&effects).contains(&"latch"));
}

// -- both ------------------------------------------------------------------------------

#[test]
fn when_both_fail_people_are_told_once_and_nothing_reverses() {
    let mut bench = guarded(vec![errors_10()]);
    checks(
        &mut bench,
        Backend::Legacy,
        3,
        Answer::Missing(Cause::Timeout),
    );
    let effects = answers(&mut bench, Backend::New, 5, GONE);
    let critical: Vec<_> = said(&effects)
        .into_iter()
        .filter(|(severity, _)| *severity == Severity::Critical)
        .collect();
    assert_eq!(critical.len(), 1, "{critical:?}");
    assert!(critical[0].1.starts_with("Both backends are failing."));
    assert_eq!(condition(&mut bench).name(), "both");
    let effects = answers(
        &mut bench,
        Backend::New,
        15,
        Outcome::Failed(Cause::Breaker),
    );
    assert_eq!(bench.reversals(), [""; 0]);
    let again = said(&effects)
        .iter()
        .any(|(_, text)| text.starts_with("Both"));
    assert!(!again, "once");
    // New answers again: that is over, and told once as well.
    bench.wait(Duration::from_secs(5));
    bench.tick();
    bench.said.clear();
    bench.wait(Duration::from_secs(1));
    answers(&mut bench, Backend::New, 300, Outcome::Served);
    assert_eq!(condition(&mut bench).name(), "legacy");
    for _ in 0..40 {
        bench.tick();
    }
    let over = said(&bench.said)
        .into_iter()
        .filter(|(_, text)| text.starts_with("It is over"));
    assert_eq!(over.count(), 1);
}

#[test]
fn a_new_that_answers_nobody_goes_back_to_a_legacy_that_still_answers_some() {
    let mut bench = guarded(vec![errors_10()]);
    // Two thirds of legacy's calls fail, enough for its breaker.
    for _ in 0..20 {
        answers(&mut bench, Backend::Legacy, 2, FAILED);
        answers(&mut bench, Backend::Legacy, 1, Outcome::Served);
    }
    assert_eq!(breakers(&bench).legacy, State::Open);
    answers(&mut bench, Backend::New, 40, GONE);
    assert_eq!(bench.reversals().len(), 1, "new is measurably worse");
}

// -- what the checks measure -------------------------------------------------------------

#[test]
fn a_third_of_the_checks_failing_is_seen_and_two_checks_say_nothing() {
    let rule = Rule {
        threshold: 0.3,
        ..counting(Measure::HealthErrorRate, 5)
    };
    for (well, bad, verdict) in [
        (20, 10, Verdict::Trip),
        (21, 9, Verdict::Pass),
        (0, 2, Verdict::Inconclusive),
    ] {
        let mut bench = guarded(vec![rule.clone()]);
        checks(&mut bench, Backend::New, well, Answer::Well);
        checks(&mut bench, Backend::New, bad, Answer::Status(500));
        let finding = bench.engine.findings[0].clone();
        assert_eq!(finding.verdict, verdict, "{}", finding.because);
    }
}

#[test]
fn a_backend_is_down_by_its_checks_alone_and_not_while_one_is_answered() {
    let rule = counting(Measure::BackendDown, 1);
    for (well, bad, verdict) in [
        (0, 3, Verdict::Trip),
        (1, 3, Verdict::Pass),
        (0, 0, Verdict::Inconclusive),
    ] {
        let mut bench = guarded(vec![rule.clone()]);
        checks(&mut bench, Backend::New, well, Answer::Well);
        checks(&mut bench, Backend::New, bad, Answer::Status(500));
        let finding = bench.engine.findings[0].clone();
        assert_eq!(finding.verdict, verdict, "{}", finding.because);
    }
}

// While the breaker kept everything away from a backend that was gone, nothing was
// heard of it any more, and after a minute it no longer counted as down.
#[test]
fn a_backend_that_is_gone_stays_down_while_nobody_asks_it() {
    for (outcome, kept, verdict) in [
        (GONE, Cause::Breaker, Verdict::Trip),
        (GONE, Cause::Full, Verdict::Inconclusive),
        (FAILED, Cause::Breaker, Verdict::Inconclusive),
    ] {
        let mut bench = guarded(vec![counting(Measure::BackendDown, 1)]);
        answers(&mut bench, Backend::New, 5, outcome);
        bench.wait(Duration::from_secs(61));
        bench.tick();
        answers(&mut bench, Backend::New, 3, Outcome::Failed(kept));
        let finding = bench.engine.findings[0].clone();
        assert_eq!(finding.verdict, verdict, "{}", finding.because);
    }
}
