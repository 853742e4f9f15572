//! What the engine promises, a sentence each: first the order of things, then what
//! it refuses, then what it tells and what it forgets.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bench::{
    Bench, TICKET, entries, ivr_texml, mins, names, order, percent, settings,
};
use super::{Effect, Event, REPORT_IDS, RefusalKind, Settings, Severity, Status};
use crate::measure::{Cause, Observation, Outcome, Placed, ReportKind};
use crate::model::{Backend, PerBackend, Percentage, Wall};
use crate::rollout::{Command, Entry, Level, List, Phase, Rollout, Wishes};
use crate::rules::{Action, Rule};
use crate::split::{Because, Placement, Subject, Tenant};

const TOTAL: Command = Command::Rollback(Level::Total);

fn set(whole: u16) -> Command {
    Command::Percentage(percent(whole))
}

fn resume(whole: Option<u16>) -> Command {
    let percentage = whole.map(percent);
    Command::Resume { percentage }
}

fn rule(name: &str) -> Rule {
    let named = |rule: &Rule| rule.name == name;
    ivr_texml().into_iter().find(named).expect("a row of the preset")
}

fn errors_10() -> Rule {
    rule("error_rate-above-10%-5m")
}

fn status(bench: &mut Bench) -> Status {
    bench.engine.status(bench.now, bench.wall)
}

/// The one refusal among these effects.
fn refusal(effects: &[Effect]) -> (RefusalKind, &str) {
    let refused = |effect| match effect {
        &Effect::Reply { result: Err(ref refusal), .. } => Some(refusal),
        _ => None,
    };
    let refusal = effects.iter().find_map(refused).expect("a refusal");
    (refusal.kind, &refusal.why)
}

/// Eight of twenty calls failed: the row trips at the next tick.
fn fail(bench: &mut Bench) {
    bench.calls(12, 8);
}

/// A bench whose rule has reversed, everything recorded.
fn reversed(from: u16) -> Bench {
    let mut bench = Bench::at(from, vec![errors_10()]);
    fail(&mut bench);
    bench.tick();
    assert!(bench.engine.split().latched);
    bench.record_all();
    bench
}

/// What a restart would make of these entries.
fn folded(bench: &Bench) -> Rollout {
    Rollout::fold(&entries(&bench.said))
}

#[test]
fn toward_legacy_it_publishes_then_latches_then_records_then_drops_provisional_pins() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    let effects = bench.give(TOTAL);
    assert_eq!(names(&effects), ["publish", "latch", "record", "drop provisional", "done"]);
    let mut bench = Bench::at(50, vec![errors_10()]);
    fail(&mut bench);
    let effects = bench.tick();
    assert_eq!(
        names(&effects),
        ["say", "publish", "latch", "record", "drop provisional", "reversed", "say"]
    );
    let entry = &entries(&effects)[0];
    let saw = entry.evidence.as_ref().expect("what the rule saw");
    assert_eq!((saw.samples, saw.failed), (20, 8));
    assert_eq!(saw.config_hash, "0123456789ab");
}

#[test]
fn a_smaller_step_toward_legacy_waits_for_nothing_either() {
    let mut bench = Bench::at(50, vec![]);
    for step in [
        Command::Rollback(Level::Partial(percent(25))),
        Command::Rollback(Level::Tenant("acme".to_owned())),
        set(10),
    ] {
        assert_eq!(names(&bench.give(step)), ["publish", "record", "done"]);
    }
    let hold = bench.give(Command::Hold);
    assert_eq!(names(&hold), ["record", "done"], "a hold moves no call");
}

#[test]
fn toward_new_it_records_and_publishes_only_what_is_recorded() {
    let mut bench = Bench::new(vec![]);
    let effects = bench.give(set(10));
    assert_eq!(names(&effects), ["record"]);
    assert_eq!(bench.engine.split().percentage, Percentage::ZERO);
    assert_eq!(bench.handle(Event::Recorded { sequence: 99 }), [], "another entry's");
    let effects = bench.recorded(&entries(&effects)[0]);
    assert_eq!(names(&effects), ["publish", "done"]);
    assert_eq!(bench.engine.split().percentage, percent(10));
}

#[test]
fn a_resume_is_recorded_then_the_latch_is_cleared_then_it_is_published() {
    let mut bench = reversed(50);
    let effects = bench.give(resume(Some(10)));
    assert_eq!(names(&effects), ["record"]);
    let entry = entries(&effects).remove(0);
    assert_eq!(names(&bench.recorded(&entry)), ["unlatch"]);
    assert!(bench.engine.split().latched, "the latch file stands yet");
    assert_eq!(names(&bench.handle(Event::Unlatched)), ["publish", "done"]);
    let split = bench.engine.split();
    assert!(!split.latched && split.percentage == percent(10));
    assert_eq!(bench.engine.rollout, folded(&bench));
}

#[test]
fn nothing_is_raised_while_something_is_not_on_disk() {
    let mut bench = Bench::at(10, vec![]);
    bench.handle(Event::Durable(false));
    let effects = bench.give(set(20));
    let (kind, why) = refusal(&effects);
    assert_eq!(kind, RefusalKind::NotDurable);
    assert!(why.contains("state directory"), "{why}");
    assert!(!status(&mut bench).durable);
    assert_eq!(names(&bench.give(set(5))), ["publish", "record", "done"], "toward legacy");
    bench.record_all();
    bench.handle(Event::Durable(true));
    assert_eq!(names(&bench.give(set(20))), ["record"]);
}

// A disk that hangs in a sync says neither yes nor no. The status said `durable: true`
// for as long as it hung, while a reversal was on no disk.
#[test]
fn a_record_that_is_a_second_late_is_missing() {
    let mut bench = Bench::at(50, vec![]);
    let effects = bench.give(set(10));
    bench.wait(Duration::from_secs(1));
    assert!(status(&mut bench).durable, "a second is not late");
    bench.wait(Duration::from_millis(100));
    assert!(!status(&mut bench).durable);
    let raise = bench.give(set(20));
    assert_eq!(refusal(&raise).0, RefusalKind::NotDurable);
    bench.recorded(&entries(&effects)[0]);
    assert!(status(&mut bench).durable);
    assert_eq!(names(&bench.give(set(20))), ["record"]);
}

#[test]
fn one_raise_at_a_time() {
    let mut bench = Bench::new(vec![]);
    bench.give(set(10));
    assert_eq!(refusal(&bench.give(set(20))).0, RefusalKind::Busy);
    bench.record_all();
    assert_eq!(bench.engine.split().percentage, percent(10));
    assert_eq!(names(&bench.give(set(20))), ["record"]);
}

#[test]
fn a_raise_that_the_disk_refuses_is_not_in_force_and_its_giver_hears_it() {
    let mut bench = Bench::at(10, vec![]);
    let entry = entries(&bench.give(set(20))).remove(0);
    let sequence = entry.stamp.sequence;
    let why = "no space left".to_owned();
    let effects = bench.handle(Event::NotRecorded { sequence, why });
    let (kind, why) = refusal(&effects);
    assert_eq!(kind, RefusalKind::NotDurable);
    assert!(why.contains("no space left"), "{why}");
    assert_eq!(bench.recorded(&entry), [], "it is given up");
    assert_eq!(bench.engine.split().percentage, percent(10));
    let next = entries(&bench.give(set(30))).remove(0);
    assert!(next.stamp.sequence > sequence, "its number is not given out again");
}

#[test]
fn a_reversal_overtakes_a_raise_whose_record_then_changes_nothing() {
    let mut bench = Bench::at(10, vec![errors_10()]);
    let raise = entries(&bench.give(set(50))).remove(0);
    fail(&mut bench);
    let effects = bench.tick();
    assert_eq!(refusal(&effects).0, RefusalKind::Conflict);
    let reversal = entries(&effects).remove(0);
    assert!(reversal.stamp.sequence > raise.stamp.sequence);
    assert_eq!(bench.recorded(&raise), []);
    assert_eq!(bench.recorded(&reversal), []);
    assert!(bench.engine.split().latched);
    assert_eq!(bench.reversals().len(), 1);
}

// A resume was overtaken by a rollback while the journal was clearing the latch for
// it; a second resume was ordered. The answer about the first latch then put the
// second resume in force, though no disk had its record.
#[test]
fn an_answer_about_the_latch_of_an_overtaken_resume_puts_no_other_in_force() {
    for cleared in [true, false] {
        let mut bench = reversed(50);
        let first = entries(&bench.give(resume(Some(50)))).remove(0);
        assert_eq!(names(&bench.recorded(&first)), ["unlatch"]);
        let effects = bench.give(TOTAL);
        assert!(names(&effects).contains(&"latch"), "set again after it is cleared");
        let second = entries(&bench.give(resume(Some(50)))).remove(0);
        let why = "EIO".to_owned();
        let stale = if cleared { Event::Unlatched } else { Event::NotUnlatched { why } };
        assert_eq!(bench.handle(stale), []);
        assert!(bench.engine.split().latched);
        assert_eq!(names(&bench.recorded(&second)), ["unlatch"]);
        assert_eq!(names(&bench.handle(Event::Unlatched)), ["publish", "done"]);
    }
}

#[test]
fn a_latch_that_cannot_be_cleared_stays_and_the_journal_says_so() {
    let mut bench = reversed(50);
    let entry = entries(&bench.give(resume(Some(10)))).remove(0);
    bench.recorded(&entry);
    let why = "EIO".to_owned();
    let effects = bench.handle(Event::NotUnlatched { why });
    assert_eq!(refusal(&effects).0, RefusalKind::NotDurable);
    assert!(bench.engine.split().latched);
    assert!(entries(&effects)[0].after.latched, "after the resume, the latch again");
    assert_eq!(bench.engine.rollout, folded(&bench), "as a restart would read it");
    bench.record_all();
    bench.give(resume(Some(10)));
    bench.record_all();
    assert!(!bench.engine.split().latched);
}

// While a raise was on its way, any reload published the old split under the raise's
// generation, and the raise later another split under the same one.
#[test]
fn no_two_splits_have_the_same_generation() {
    let mut bench = Bench::at(10, vec![]);
    let raise = entries(&bench.give(set(50))).remove(0);
    let reload = bench.handle(Event::Reload(Box::new(settings(vec![errors_10()]))));
    assert!(!names(&reload).contains(&"publish"), "{reload:?}");
    bench.recorded(&raise);
    assert_eq!(bench.engine.split().generation, raise.generation);
}

#[test]
fn a_latch_file_outranks_the_journal_at_start() {
    let journal = entries(&Bench::at(50, vec![]).said);
    let rollout = Rollout::fold(&journal);
    let bench = Bench::on(settings(vec![]), rollout, Some("errors"));
    assert!(bench.engine.split().latched);
    assert_eq!(bench.engine.rollout.phase(), Phase::Reversed);
    assert_eq!(names(&bench.said), ["publish", "latch", "record", "drop provisional"]);
}

// Workers already answer when the first effects are carried out. The journal's split
// was published first and the latched one after it, with new open in between.
#[test]
fn at_start_only_what_holds_in_the_end_is_published() {
    let journal = entries(&Bench::at(50, vec![]).said);
    let file = |rollout: &Rollout| {
        let mut settings = settings(vec![]);
        settings.wishes.enabled = rollout.latched();
        settings
    };
    for latched in [Some("errors"), None] {
        let rollout = Rollout::fold(&journal);
        let bench = Bench::on(file(&rollout), rollout, latched);
        let published = |effect: &Effect| match effect {
            Effect::Publish(split) => Some(split.clone()),
            _ => None,
        };
        let splits: Vec<_> = bench.said.iter().filter_map(published).collect();
        assert_eq!(splits, [bench.engine.split().clone()]);
        assert!(matches!(bench.said[0], Effect::Publish(_)), "and before all else");
        assert!(splits[0].latched || !splits[0].enabled);
    }
}

#[test]
fn a_journal_that_says_latched_is_latched_without_being_told_twice() {
    let bench = reversed(50);
    let mut again = Bench::on(settings(vec![]), folded(&bench), Some("errors"));
    assert_eq!(names(&again.said), ["publish"]);
    assert!(again.engine.split().latched);
    // Verification went on only as long as the process did.
    let verification = status(&mut again).verification.expect("it goes on");
    assert!(verification.reason.contains("rule error_rate"), "{verification:?}");
}

#[test]
fn a_report_counts_once_by_its_id_and_the_oldest_id_is_forgotten() {
    let mut complaints = rule("critical_errors-above-0-1h");
    complaints.measure = crate::rules::Measure::Complaints;
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
        bench.report(Some(&id.to_string()), Backend::Legacy, ReportKind::Complaint);
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
    assert_eq!(bench.engine.rollout.phase(), Phase::Held, "new evidence holds again");
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
fn a_reload_without_changes_does_nothing() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    fail(&mut bench);
    let same = bench.engine.settings.clone();
    assert_eq!(bench.handle(Event::Reload(Box::new(same))), []);
    bench.tick();
    assert_eq!(bench.reversals().len(), 1, "nor does it forget anything");
}

#[test]
fn a_reload_with_another_table_begins_a_new_epoch() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    fail(&mut bench);
    let other = settings(vec![errors_10(), rule("error rate high")]);
    assert_eq!(bench.handle(Event::Reload(Box::new(other))), []);
    bench.tick();
    assert_eq!(bench.reversals().len(), 1, "told after the reload, so it counts");

    let mut bench = Bench::at(50, vec![errors_10()]);
    bench.calls(13, 7);
    bench.tick();
    bench.handle(Event::Reload(Box::new(settings(vec![rule("error rate high"), errors_10()]))));
    bench.calls(0, 1);
    bench.tick();
    assert_eq!(bench.reversals(), [""; 0], "the eighth failure is the first");
    assert_eq!(status(&mut bench).rules.len(), 2);
}

fn file(percentage: u16, tenants: &[(&str, List)]) -> Settings {
    let tenants = tenants.iter().map(|(id, list)| ((*id).to_owned(), *list));
    Settings {
        wishes: Wishes {
            enabled: true,
            percentage: percent(percentage),
            tenants: tenants.collect(),
        },
        ..settings(vec![])
    }
}

#[test]
fn a_changed_wish_of_the_file_lowers_first_and_raises_by_the_journal() {
    let mut bench = Bench::at(50, vec![]);
    let settings = file(20, &[("acme", List::Enabled)]);
    let effects = bench.handle(Event::Reload(Box::new(settings)));
    assert_eq!(names(&effects), ["publish", "record", "record"]);
    assert_eq!(bench.engine.split().percentage, percent(20));
    assert!(bench.engine.split().enabled_tenants.is_empty(), "not recorded yet");
    bench.record_all();
    assert!(bench.engine.split().enabled_tenants.contains("acme"));
    assert_eq!(bench.engine.rollout, folded(&bench));
}

#[test]
fn while_latched_the_file_raises_nothing_and_says_so() {
    let mut bench = reversed(50);
    let effects = bench.handle(Event::Reload(Box::new(file(60, &[]))));
    assert!(bench.engine.split().latched);
    let said = |effect: &Effect| matches!(effect, Effect::Say(notice) if notice.text.contains("refused"));
    assert!(effects.iter().any(said), "{effects:?}");
}

#[test]
fn a_file_raise_that_comes_while_another_is_on_its_way_comes_with_the_next_reload() {
    let mut bench = Bench::at(10, vec![]);
    bench.give(set(20));
    let effects = bench.handle(Event::Reload(Box::new(file(40, &[]))));
    assert_eq!(names(&effects), ["say"]);
    bench.record_all();
    assert_eq!(bench.engine.split().percentage, percent(20));
    bench.handle(Event::Reload(Box::new(file(40, &[]))));
    bench.record_all();
    assert_eq!(bench.engine.split().percentage, percent(40));
}

#[test]
fn a_preview_says_what_a_reload_does_and_changes_nothing() {
    let mut bench = Bench::at(50, vec![]);
    let settings = file(60, &[("acme", List::Disabled)]);
    let before = (bench.engine.rollout.clone(), bench.engine.split().clone());
    let preview = bench.engine.preview(&settings, Wall(5));
    assert_eq!((bench.engine.rollout.clone(), bench.engine.split().clone()), before);
    assert_eq!(preview.split.percentage, percent(60));
    bench.handle(Event::Reload(Box::new(settings)));
    bench.record_all();
    assert_eq!(*bench.engine.split(), preview.split);

    let bench = reversed(50);
    let preview = bench.engine.preview(&file(60, &[]), Wall(5));
    assert!(preview.split.latched);
    assert_eq!(preview.refused.len(), 1);
}

#[test]
fn the_notes_say_what_an_operator_must_know() {
    let mut bench = Bench::new(vec![]);
    let notes = status(&mut bench).notes;
    assert!(notes.len() == 1 && notes[0].contains("switchback set 5"), "{notes:?}");
    let mut bench = Bench::at(5, vec![]);
    assert_eq!(status(&mut bench).notes, [""; 0]);
    bench.handle(Event::Durable(false));
    assert!(status(&mut bench).notes[0].contains("disk"));
    bench.handle(Event::Durable(true));
    let begins = |backend| {
        Observation::Placed(Placed {
            at: Bench::new(vec![]).now,
            placement: Placement { backend, because: Because::Hashed },
            call: None,
            begins: true,
            after_latch: false,
            starts: true,
        })
    };
    (0..49).for_each(|_| bench.observe(begins(Backend::Legacy)));
    bench.tick();
    assert_eq!(status(&mut bench).notes, [""; 0], "49 calls may all be talking");
    bench.observe(begins(Backend::New));
    bench.tick();
    assert!(status(&mut bench).notes[0].contains("status callback"));
    bench.end(crate::measure::CallEnd::Unknown);
    bench.tick();
    assert_eq!(status(&mut bench).notes, [""; 0]);
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
    assert!(seen.reason.contains("8 of 20 calls failed"), "{}", seen.reason);
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

#[test]
fn while_latched_every_subject_is_legacys() {
    let mut bench = Bench::at(100, vec![]);
    let id = "acme".to_owned();
    let list = Some(List::Enabled);
    bench.give(Command::Tenant { id, list });
    bench.record_all();
    bench.give(TOTAL);
    for tenant in [Tenant::Known("acme"), Tenant::Known("zeta"), Tenant::Missing] {
        let subject = Subject { tenant, call: "CA1", caller: Some("+14155550142") };
        let placement = bench.engine.split().place(&subject);
        assert_eq!(placement, Placement::legacy(Because::Latched));
    }
}

#[test]
fn a_refused_order_changes_nothing_and_says_what_helps() {
    let mut bench = reversed(50);
    let before = bench.engine.rollout.clone();
    for command in [set(10), Command::Hold, resume(Some(51))] {
        let effects = bench.give(command);
        assert_eq!(names(&effects), ["refused"]);
        assert!(matches!(effects[0], Effect::Reply { ticket: TICKET, .. }));
    }
    assert_eq!(bench.engine.rollout, before);
}

#[test]
fn every_entry_of_a_long_day_folds_to_what_runs() {
    let mut bench = Bench::at(10, vec![errors_10()]);
    let tenant = |list| Command::Tenant { id: "acme".to_owned(), list };
    let day: BTreeMap<u8, Vec<Command>> = [
        (0, vec![tenant(Some(List::Enabled)), set(25), Command::Hold, resume(None)]),
        (1, vec![Command::Rollback(Level::Tenant("acme".to_owned())), set(50), TOTAL]),
        (2, vec![tenant(Some(List::Disabled)), resume(Some(25)), tenant(None), set(0)]),
    ]
    .into();
    for command in day.into_values().flatten() {
        bench.give(command);
        bench.record_all();
        assert_eq!(bench.engine.rollout, folded(&bench));
    }
    let sequences: Vec<_> = entries(&bench.said)
        .iter()
        .map(|entry: &Entry| entry.stamp.sequence)
        .collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
    assert_eq!(order(set(1)).actor, "operator via cli");
}
