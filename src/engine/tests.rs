//! What the engine promises, a sentence each: here the order of things and what the
//! disk has to do with it; in `tests/heard.rs` what follows from what was heard, in
//! `tests/file.rs` from what the file says, in `tests/guarded.rs` what happens while
//! one backend fails, or the other, or both.

mod file;
mod guarded;
mod heard;
mod proof;

use std::time::Duration;

use super::bench::{Bench, TICKET, entries, ivr_texml, names, percent, settings};
use super::{Effect, Event, RefusalKind, Status};
use crate::model::Percentage;
use crate::rollout::{Command, Entry, Level, List, Phase, Rollout};
use crate::rules::Rule;
use crate::split::{Because, Hash, Live, Placement, Subject, Tenant};

const TOTAL: Command = Command::Rollback(Level::Total, Live::Drain);

fn set(whole: u16) -> Command {
    Command::Percentage(percent(whole))
}

fn resume(whole: Option<u16>) -> Command {
    let percentage = whole.map(percent);
    Command::Resume { percentage }
}

fn rule(name: &str) -> Rule {
    let named = |rule: &Rule| rule.name == name;
    ivr_texml()
        .into_iter()
        .find(named)
        .expect("a row of the preset")
}

fn errors_10() -> Rule {
    rule("error_rate-above-10%-5m")
}

fn status(bench: &mut Bench) -> Status {
    bench.engine.status(bench.now, bench.wall)
}

/// The one refusal among these effects.
fn refusal(effects: &[Effect]) -> (RefusalKind, &str) {
    effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Reply {
                result: Err(refusal),
                ..
            } => Some((refusal.kind, refusal.why.as_str())),
            _ => None,
        })
        .expect("a refusal")
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
    assert_eq!(
        names(&effects),
        ["publish", "latch", "record", "drop provisional", "done"]
    );
    let mut bench = Bench::at(50, vec![errors_10()]);
    fail(&mut bench);
    let effects = bench.tick();
    assert_eq!(
        names(&effects),
        [
            "say",
            "publish",
            "latch",
            "record",
            "drop provisional",
            "reversed",
            "say"
        ]
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
        Command::Rollback(Level::Partial(percent(25)), Live::Drain),
        Command::Rollback(Level::Tenant("acme".to_owned()), Live::Drain),
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
    assert_eq!(
        bench.handle(Event::Recorded { sequence: 99 }),
        [],
        "another entry's"
    );
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
    assert_eq!(
        names(&bench.give(set(5))),
        ["publish", "record", "done"],
        "toward legacy"
    );
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
    assert!(
        next.stamp.sequence > sequence,
        "its number is not given out again"
    );
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
        assert!(
            names(&effects).contains(&"latch"),
            "set again after it is cleared"
        );
        let second = entries(&bench.give(resume(Some(50)))).remove(0);
        let why = "EIO".to_owned();
        let stale = if cleared {
            Event::Unlatched
        } else {
            Event::NotUnlatched { why }
        };
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
    assert!(
        entries(&effects)[0].after.latched,
        "after the resume, the latch again"
    );
    assert_eq!(
        bench.engine.rollout,
        folded(&bench),
        "as a restart would read it"
    );
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
    let reload = bench.reload(settings(vec![errors_10()]));
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
    assert_eq!(
        names(&bench.said),
        ["publish", "latch", "record", "drop provisional"]
    );
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
        assert!(
            matches!(bench.said[0], Effect::Publish(_)),
            "and before all else"
        );
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
    assert!(
        verification.reason.contains("rule error_rate"),
        "{verification:?}"
    );
}

#[test]
fn while_latched_every_subject_is_legacys() {
    let mut bench = Bench::at(100, vec![]);
    let id = "acme".to_owned();
    let list = Some(List::Enabled);
    bench.give(Command::Tenant { id, list });
    bench.record_all();
    bench.give(TOTAL);
    for tenant in [
        Tenant::Known("acme"),
        Tenant::Known("zeta"),
        Tenant::Missing,
    ] {
        let subject = Subject {
            tenant,
            call: Some("CA1"),
            caller: Some("+14155550142"),
        };
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

/// It once said that a reversing row still trips, until the next look.
#[test]
fn a_rollback_of_a_healthy_rollout_finds_the_measures_normal_at_once() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    bench.give(TOTAL);
    let status = bench.engine.status(bench.now, bench.wall);
    assert!(status.verification.unwrap().measures_normal);
}

/// `set 12.5` under java31 was taken once, and placed by 12 %.
#[test]
fn under_java31_a_fraction_of_a_percent_is_refused_by_every_order() {
    let half = |points| Percentage::from_basis_points(points).unwrap();
    for (command, taken) in [
        (Command::Percentage(half(1250)), false),
        (
            Command::Rollback(Level::Partial(half(150)), Live::Drain),
            false,
        ),
        (resume(Some(12)), true),
        (set(60), true),
    ] {
        let mut bench = Bench::at(50, vec![errors_10()]);
        bench.give(Command::Hold);
        bench.engine.settings.scheme.hash = Hash::Java31;
        let effects = bench.give(command.clone());
        assert_eq!(names(&effects) != ["refused"], taken, "{command:?}");
    }
}

#[test]
fn every_entry_of_a_long_day_folds_to_what_runs() {
    let mut bench = Bench::at(10, vec![errors_10()]);
    let tenant = |list| Command::Tenant {
        id: "acme".to_owned(),
        list,
    };
    let day = [
        tenant(Some(List::Enabled)),
        set(25),
        Command::Hold,
        resume(None),
        Command::Rollback(Level::Tenant("acme".to_owned()), Live::Drain),
        set(50),
        TOTAL,
        tenant(Some(List::Disabled)),
        resume(Some(25)),
        tenant(None),
        set(0),
    ];
    for command in day {
        bench.give(command);
        bench.record_all();
        assert_eq!(bench.engine.rollout, folded(&bench));
    }
    let sequences: Vec<_> = entries(&bench.said)
        .iter()
        .map(|entry: &Entry| entry.stamp.sequence)
        .collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
}
