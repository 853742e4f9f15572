//! What follows from what was heard: calls, reports, and what is told of them.

use std::sync::Arc;

use super::super::REPORT_IDS;
use super::super::bench::mins;
use super::*;
use crate::engine::{Reported, Severity};
use crate::measure::{CallEnd, Cause, Checked, Found, Observation, Outcome, Placed, ReportKind};
use crate::model::{Backend, PerBackend};
use crate::rollout::Plan;
use crate::rollout::calendar::Calendar;
use crate::rollout::plan::Advance;
use crate::rules::{Action, Measure};

#[test]
fn a_report_counts_once_by_its_id_and_the_oldest_id_is_forgotten() {
    let mut complaints = rule("critical_errors-above-0-1h");
    complaints.measure = Measure::Complaints;
    complaints.action = Action::Alert;
    let mut bench = Bench::at(50, vec![complaints]);
    let seen = |bench: &mut Bench, id: Option<&str>| {
        bench.report(id, Backend::New, ReportKind::Complaint);
        bench.tick();
        status(bench).rules[0].finding.samples
    };
    assert_eq!(seen(&mut bench, Some("a")), 1);
    assert_eq!(seen(&mut bench, Some("a")), 1);
    assert_eq!(seen(&mut bench, Some("b")), 2);
    assert_eq!(seen(&mut bench, None), 3, "without an id every one counts");
    assert_eq!(seen(&mut bench, None), 4);
    for id in 0..REPORT_IDS - 1 {
        bench.report(
            Some(&id.to_string()),
            Backend::Legacy,
            ReportKind::Complaint,
        );
    }
    assert_eq!(bench.engine.report_ids.len(), REPORT_IDS);
    assert_eq!(seen(&mut bench, Some("b")), 4);
    assert_eq!(seen(&mut bench, Some("a")), 5, "ten thousand ids ago");
    assert_eq!(bench.engine.report_ids.len(), REPORT_IDS);
}

#[test]
fn a_critical_error_reverses_at_the_next_tick_and_legacys_does_not() {
    for (backend, latched) in [(Backend::New, true), (Backend::Legacy, false)] {
        let mut bench = Bench::at(5, ivr_texml());
        bench.report(None, backend, ReportKind::CriticalError);
        bench.tick();
        assert_eq!(bench.engine.split().latched, latched, "{backend}");
    }
}

#[test]
fn a_reversal_by_a_critical_error_says_what_the_error_was() {
    let told = |backend, kind, message: String| {
        let mut bench = Bench::at(5, ivr_texml());
        bench.report(None, Backend::New, ReportKind::CriticalError);
        for (backend, kind, message) in [
            (
                Backend::New,
                ReportKind::CriticalError,
                "charged +525512345678 twice".to_owned(),
            ),
            (backend, kind, message),
        ] {
            bench.handle(Event::Report(Reported {
                id: None,
                kind,
                backend,
                tenant: None,
                message,
            }));
        }
        bench.tick();
        let reversal = entries(&bench.said).pop();
        reversal.and_then(|entry| entry.evidence).unwrap().because
    };
    let last = "; the last said: charged +…78 twice";
    // What legacy had, and what is no critical error, is another story.
    for (backend, kind) in [
        (Backend::Legacy, ReportKind::CriticalError),
        (Backend::New, ReportKind::Complaint),
    ] {
        let because = told(backend, kind, "other".to_owned());
        assert!(because.ends_with(last), "{because}");
    }
    let because = told(Backend::New, ReportKind::CriticalError, "ñ".repeat(300));
    assert_eq!(because.matches('ñ').count(), 200);
}

#[test]
fn a_row_tells_once_that_it_trips_and_once_that_it_is_over() {
    let mut bench = Bench::at(50, vec![rule("error rate high")]);
    bench.calls(18, 2);
    let first = bench.tick();
    assert_eq!(names(&first), ["say"]);
    assert!(status(&mut bench).rules[0].firing);
    for _ in 0..20 {
        assert_eq!(bench.tick(), []);
    }
    bench.wait(mins(5));
    let mut told = Vec::new();
    for _ in 0..100 {
        told.extend(bench.tick());
    }
    let [Effect::Say(over)] = told.as_slice() else {
        panic!("once that it is over: {told:?}");
    };
    assert_eq!(over.text, "error rate high is over.");
    assert!(!status(&mut bench).rules[0].firing);
}

#[test]
fn a_row_that_dances_on_its_threshold_is_told_once() {
    let mut bench = Bench::at(50, vec![rule("error rate high")]);
    bench.calls(18, 2);
    assert_eq!(names(&bench.tick()), ["say"]);
    for _ in 0..10 {
        bench.calls(400, 0);
        assert_eq!(bench.tick(), []);
        bench.calls(0, 40);
        assert_eq!(bench.tick(), []);
    }
}

// The rule rightly did not go back to a legacy that fails as much, and nobody was told
// that callers of both backends were failing.
#[test]
fn when_both_backends_fail_nothing_reverses_and_people_are_told() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    fail(&mut bench);
    for place in 0..100 {
        let outcome = if place < 40 {
            Outcome::Failed(Cause::Status)
        } else {
            Outcome::Served
        };
        bench.answer(Backend::Legacy, outcome, 200);
    }
    let effects = bench.tick();
    let [Effect::Say(notice)] = effects.as_slice() else {
        panic!("one notice: {effects:?}");
    };
    assert_eq!(notice.severity, Severity::Critical);
    assert!(notice.text.contains("legacy is as bad"), "{}", notice.text);
    assert!(!status(&mut bench).rules[0].firing);
    assert_eq!(bench.tick(), [], "once");
}

#[test]
fn a_hold_rule_holds_once_and_moves_no_call() {
    let holds = Rule {
        action: Action::Hold,
        ..rule("error rate high")
    };
    let mut bench = Bench::at(50, vec![holds]);
    bench.calls(18, 2);
    assert_eq!(names(&bench.tick()), ["say", "record"]);
    assert_eq!(bench.engine.rollout.phase(), Phase::Held);
    assert_eq!(bench.engine.split().percentage, percent(50));
    assert_eq!(bench.tick(), []);
}

// The window still held what had tripped, so the rule held again at the next tick and
// the operator could not go on before it had passed.
#[test]
fn lifting_a_hold_begins_a_new_epoch() {
    let holds = Rule {
        action: Action::Hold,
        ..rule("error rate high")
    };
    let mut bench = Bench::at(50, vec![holds]);
    bench.calls(18, 2);
    bench.tick();
    bench.give(resume(None));
    bench.record_all();
    bench.tick();
    assert_eq!(bench.engine.rollout.phase(), Phase::Soaking);
    bench.calls(18, 2);
    bench.tick();
    assert_eq!(
        bench.engine.rollout.phase(),
        Phase::Held,
        "new evidence holds again"
    );
}

#[test]
fn nothing_is_reversed_while_nothing_is_on_new() {
    let mut bench = Bench::new(vec![errors_10()]);
    bench.calls(0, 30);
    let effects = bench.tick();
    assert_eq!(names(&effects), ["say"], "people hear of it");
    assert!(!bench.engine.split().latched);
    // The same with one tenant on new is a reversal.
    let id = "acme".to_owned();
    let list = Some(List::Enabled);
    bench.give(Command::Tenant { id, list });
    bench.record_all();
    bench.tick();
    assert_eq!(bench.reversals().len(), 1);
}

#[test]
fn the_notes_say_what_an_operator_must_know() {
    let mut bench = Bench::new(vec![]);
    let notes = status(&mut bench).notes;
    assert!(
        notes.len() == 1 && notes[0].contains("switchback set 5"),
        "{notes:?}"
    );
    // Where a plan's calendar is shut a share cannot be set.
    bench.engine.settings.plan = Some(Arc::new(Plan {
        advance: Advance::Manual,
        calendar: Calendar::default(),
        calls_per_hour: None,
        stages: Vec::new(),
    }));
    let notes = status(&mut bench).notes;
    assert!(
        notes[0].contains("switchback advance --reason"),
        "{notes:?}"
    );
    let mut bench = Bench::at(5, vec![]);
    assert_eq!(status(&mut bench).notes, [""; 0]);
    bench.handle(Event::Durable(false));
    assert!(status(&mut bench).notes[0].contains("disk"));
    bench.handle(Event::Durable(true));
    let begins = |backend| {
        Observation::Placed(Placed {
            at: Bench::new(vec![]).now,
            placement: Placement {
                backend,
                because: Because::Hashed,
            },
            call: None,
            begins: true,
            after_latch: false,
            starts: true,
        })
    };
    (0..49).for_each(|_| bench.observe(begins(Backend::Legacy)));
    bench.tick();
    assert_eq!(
        status(&mut bench).notes,
        [""; 0],
        "49 calls may all be talking"
    );
    bench.observe(begins(Backend::New));
    bench.tick();
    assert!(status(&mut bench).notes[0].contains("status callback"));
    bench.end(CallEnd::Expired);
    bench.tick();
    assert_eq!(status(&mut bench).notes.len(), 1, "nobody told that end");
    bench.end(CallEnd::Unknown);
    bench.tick();
    assert_eq!(status(&mut bench).notes, [""; 0]);
    // New's ends are told. That legacy's are not is seen at its fiftieth call, once
    // all of them must be over.
    bench.observe(begins(Backend::Legacy));
    bench.tick();
    assert_eq!(status(&mut bench).notes, [""; 0]);
    bench.wait(mins(61));
    bench.tick();
    let notes = status(&mut bench).notes;
    assert!(notes[0].contains("a call on legacy"), "{notes:?}");
}

fn check(bench: &mut Bench, found: Found, refused: bool) {
    let at = bench.now;
    bench.observe(Observation::Checked(Checked {
        at,
        route: 0,
        found,
        counts: found == Found::Verified,
        refused,
    }));
}

#[test]
fn a_wrong_key_is_a_critical_notice_that_names_the_route_and_stands_in_the_notes() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    bench.engine.name_routes(vec!["/ivr".to_owned()]);
    check(&mut bench, Found::Verified, false);
    bench.tick();
    bench.said.clear();
    for _ in 0..8 {
        check(&mut bench, Found::Rejected, true);
        bench.wait(Duration::from_secs(10));
        bench.tick();
    }
    let [Effect::Say(notice)] = bench.said.as_slice() else {
        panic!("one notice: {:?}", bench.said);
    };
    assert_eq!(notice.severity, Severity::Critical);
    assert!(notice.text.contains("the route /ivr"), "{}", notice.text);
    assert!(status(&mut bench).notes[0].contains("/ivr"));
    assert!(
        !bench.engine.split().latched,
        "going to legacy would not help"
    );
}

#[test]
fn ten_thousand_forged_webhooks_move_no_number() {
    let mut bench = Bench::at(50, ivr_texml());
    bench.calls(40, 1);
    bench.tick();
    let before = (status(&mut bench).backends, bench.engine.findings.clone());
    for place in 0..10_000_u32 {
        let fails = place % 2 == 0;
        bench.call(fails);
        let Some(Observation::Answered(forged)) = bench.last() else {
            unreachable!("a call is an answer")
        };
        forged.counts = false;
        forged.speech = Some(!fails);
        forged.choice = Some(b'1');
        forged.data_us = Some(place);
    }
    bench.tick();
    let after = (status(&mut bench).backends, bench.engine.findings.clone());
    assert_eq!(before, after);
    assert!(bench.reversals().is_empty());
}

#[test]
fn what_calls_of_before_the_reversal_still_say_never_trips_again() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    let before = bench.engine.split().generation;
    let failed = Outcome::Failed(Cause::Timeout);
    fail(&mut bench);
    bench.tick();
    bench.record_all();
    let latched = bench.engine.split().generation;
    bench.give(resume(Some(50)));
    bench.record_all();
    for generation in [before, latched] {
        (0..30).for_each(|_| bench.answer_of(generation, Backend::New, failed, 200));
        bench.tick();
    }
    assert_eq!(bench.reversals().len(), 1, "they were placed before it");
    (0..30).for_each(|_| bench.answer(Backend::New, failed, 200));
    bench.tick();
    assert_eq!(bench.reversals().len(), 2, "and these were not");
}

// Which calls came before the reversal was known only to the process that reversed.
// After a restart their answers counted, and reversed what had just been resumed.
#[test]
fn a_restart_remembers_which_calls_came_before_the_reversal() {
    let before = reversed(50);
    let old = before.engine.split().generation - 1;
    let mut resumed = reversed(50);
    resumed.give(resume(Some(50)));
    resumed.record_all();
    for journal in [folded(&before), folded(&resumed)] {
        let mut bench = Bench::on(settings(vec![errors_10()]), journal, None);
        if bench.engine.split().latched {
            bench.give(resume(Some(50)));
            bench.record_all();
        }
        let failed = Outcome::Failed(Cause::Timeout);
        (0..30).for_each(|_| bench.answer_of(old, Backend::New, failed, 200));
        bench.tick();
        assert_eq!(bench.reversals(), [""; 0]);
        (0..30).for_each(|_| bench.answer(Backend::New, failed, 200));
        bench.tick();
        assert_eq!(bench.reversals().len(), 1);
    }
}

#[test]
fn a_resume_begins_with_nothing_held_against_new() {
    let mut bench = reversed(50);
    bench.give(resume(Some(50)));
    bench.record_all();
    bench.calls(13, 7);
    bench.tick();
    assert_eq!(bench.reversals().len(), 1);
    assert_eq!(status(&mut bench).rules[0].finding.samples, 20);
    bench.calls(0, 1);
    bench.tick();
    assert_eq!(bench.reversals().len(), 2);
}

#[test]
fn verification_counts_new_calls_on_new_and_ends_with_the_resume() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    bench.active = PerBackend { legacy: 3, new: 4 };
    bench.tick();
    assert_eq!(status(&mut bench).verification, None);
    fail(&mut bench);
    bench.tick();
    let seen = status(&mut bench).verification.expect("it begins");
    assert_eq!((seen.new_calls_on_new, seen.live_on_new), (0, 4));
    assert!(
        seen.reason.contains("8 of 20 calls failed"),
        "{}",
        seen.reason
    );
    bench.observe(Observation::Placed(Placed {
        at: bench.now,
        placement: Placement {
            backend: Backend::New,
            because: Because::Hashed,
        },
        call: None,
        begins: true,
        after_latch: true,
        starts: true,
    }));
    bench.active.new = 1;
    bench.tick();
    let seen = status(&mut bench).verification.expect("it goes on");
    assert_eq!((seen.new_calls_on_new, seen.live_on_new), (1, 1));
    assert!(seen.measures_normal);
    bench.record_all();
    bench.give(resume(None));
    bench.record_all();
    assert_eq!(status(&mut bench).verification, None);
}

#[test]
fn a_second_latch_does_not_begin_verification_anew() {
    let mut bench = reversed(50);
    bench.active.new = 4;
    bench.tick();
    let effects = bench.give(TOTAL);
    // Its split differs: a total rollback also switches it off.
    assert_eq!(names(&effects), ["publish", "latch", "record", "done"]);
    let seen = status(&mut bench).verification.expect("it goes on");
    assert!(seen.reason.contains("8 of 20"), "{}", seen.reason);
    assert_eq!(seen.live_on_new, 4);
}
