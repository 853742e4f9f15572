//! That a flip took is proven step by step, each once, and a new call on new all the
//! same is told loudly.

use std::sync::Arc;

use super::*;
use crate::engine::{Notice, Severity};
use crate::measure::{Observation, Outcome, Placed};
use crate::model::Backend;
use crate::rollout::{Action, List, Listed, Step};
use crate::split::tenants::Directory;

/// Reversed a tick ago, with so many calls live on new.
fn flipped(live: u64) -> Bench {
    let mut bench = Bench::at(50, vec![errors_10()]);
    bench.active.new = live;
    fail(&mut bench);
    bench.tick();
    assert!(bench.engine.split().latched);
    bench.tick();
    bench
}

/// The steps in the journal, in their order.
fn steps(bench: &Bench) -> Vec<Step> {
    let step = |entry: &Entry| match entry.action {
        Action::Verification { step, .. } => Some(step),
        _ => None,
    };
    entries(&bench.said).iter().filter_map(step).collect()
}

/// So many seconds of ticks.
fn pass(bench: &mut Bench, seconds: u64) {
    (0..seconds * 10).for_each(|_| drop(bench.tick()));
}

fn new_call_on_new(bench: &mut Bench) {
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
}

fn alarms(bench: &Bench) -> Vec<&Notice> {
    let notices = bench.said.iter().filter_map(|effect| match effect {
        Effect::Say(notice) => Some(notice),
        _ => None,
    });
    notices
        .filter(|notice| notice.text.contains("reached new"))
        .collect()
}

#[test]
fn it_begins_with_how_many_calls_are_live_and_what_becomes_of_them() {
    let bench = flipped(4);
    assert_eq!(steps(&bench), [Step::Started]);
    let started = entries(&bench.said).pop().unwrap();
    let count = Action::Verification {
        step: Step::Started,
        count: 4,
    };
    assert_eq!(started.action, count);
    assert_eq!(
        started.reason,
        "4 calls are live on new; they finish where they are"
    );
    assert_eq!(started.before, started.after, "a step changes nothing");
    assert!(!started.is_raise());
}

#[test]
fn ten_seconds_without_a_new_call_on_new_are_proof_and_a_tick_less_is_not() {
    let mut bench = flipped(4);
    pass(&mut bench, 9);
    (0..8).for_each(|_| drop(bench.tick()));
    assert_eq!(steps(&bench), [Step::Started]);
    bench.tick();
    assert_eq!(steps(&bench), [Step::Started, Step::NoNewCalls]);
    pass(&mut bench, 15);
    assert_eq!(steps(&bench).len(), 2, "once");
}

#[test]
fn new_is_drained_when_its_last_call_ends_and_not_at_the_one_before() {
    let mut bench = flipped(4);
    bench.active.new = 1;
    pass(&mut bench, 5);
    let seen = status(&mut bench).verification.unwrap();
    assert_eq!((seen.live_on_new, seen.live_on_new_at_start), (1, 4));
    assert_eq!(steps(&bench), [Step::Started]);
    bench.active.new = 0;
    // Five seconds have passed before, and ninety more by the calendar.
    bench.wall.0 += 90_000;
    bench.tick();
    assert_eq!(steps(&bench), [Step::Started, Step::Drained]);
    let drained = entries(&bench.said).pop().unwrap();
    assert_eq!(
        drained.reason,
        "no call is live on new any more, after 95 s"
    );
}

#[test]
fn a_minute_of_normal_measures_is_proof_and_a_row_over_its_threshold_begins_it_anew() {
    let mut bench = flipped(4);
    pass(&mut bench, 59);
    assert!(!steps(&bench).contains(&Step::MeasuresNormal));
    // What legacy answers is what callers get now. Too few for a verdict, and over.
    bench.answer(
        Backend::Legacy,
        Outcome::Failed(crate::measure::Cause::Status),
        200,
    );
    bench.tick();
    assert!(!status(&mut bench).verification.unwrap().measures_normal);
    // Five minutes later the window has forgotten it.
    pass(&mut bench, 302);
    assert!(status(&mut bench).verification.unwrap().measures_normal);
    assert!(
        !steps(&bench).contains(&Step::MeasuresNormal),
        "not for a minute yet"
    );
    pass(&mut bench, 60);
    assert!(steps(&bench).contains(&Step::MeasuresNormal));
}

#[test]
fn all_three_together_are_the_proof_and_two_are_not() {
    let mut bench = flipped(1);
    pass(&mut bench, 70);
    assert_eq!(
        steps(&bench),
        [Step::Started, Step::NoNewCalls, Step::MeasuresNormal]
    );
    assert!(!status(&mut bench).verification.unwrap().done);
    bench.active.new = 0;
    let effects = bench.tick();
    assert_eq!(
        names(&effects),
        ["record", "record"],
        "neither published nor latched"
    );
    assert_eq!(steps(&bench)[3..], [Step::Drained, Step::Verified]);
    let seen = status(&mut bench).verification.unwrap();
    assert!(seen.done && !seen.escalated);
    assert_eq!(seen.steps.len(), 5);
    assert_eq!(bench.engine.rollout, folded(&bench));
    bench.record_all();
    bench.give(resume(None));
    bench.record_all();
    assert!(
        bench.engine.rollout.proof().steps().is_empty(),
        "of that latch"
    );
    assert_eq!(bench.engine.rollout, folded(&bench));
}

#[test]
fn a_new_call_on_new_escalates_and_what_was_proven_is_to_be_proven_again() {
    let mut bench = flipped(0);
    pass(&mut bench, 61);
    assert!(status(&mut bench).verification.unwrap().done);
    assert!(alarms(&bench).is_empty());
    new_call_on_new(&mut bench);
    bench.active.new = 1;
    bench.tick();
    let [alarm] = alarms(&bench)[..] else {
        panic!("one alarm: {:?}", alarms(&bench));
    };
    assert_eq!(alarm.severity, Severity::Critical);
    assert!(
        alarm.text.starts_with("1 new call has reached new"),
        "{}",
        alarm.text
    );
    let seen = status(&mut bench).verification.unwrap();
    assert!(seen.escalated && !seen.done);
    let left: Vec<_> = seen.steps.iter().map(|taken| taken.step).collect();
    assert_eq!(left, [Step::Started, Step::MeasuresNormal, Step::Escalated]);

    // A flood is told with its number, every ten seconds.
    for _ in 0..9 {
        new_call_on_new(&mut bench);
        pass(&mut bench, 1);
    }
    assert_eq!(alarms(&bench).len(), 1);
    pass(&mut bench, 1);
    assert!(
        alarms(&bench)[1].text.starts_with("10 new calls have"),
        "{:?}",
        alarms(&bench)
    );
    bench.active.new = 0;
    pass(&mut bench, 10);
    assert_eq!(alarms(&bench).len(), 2, "nothing new to tell");
    let seen = status(&mut bench).verification.unwrap();
    assert!(
        seen.done && seen.escalated,
        "proven again, and not forgotten: {seen:?}"
    );
    assert_eq!(bench.engine.rollout, folded(&bench));
}

#[test]
fn a_restart_goes_on_from_the_journals_steps() {
    let mut before = flipped(7);
    pass(&mut before, 11);
    new_call_on_new(&mut before);
    before.tick();
    let mut bench = Bench::on(settings(vec![errors_10()]), folded(&before), Some("errors"));
    bench.active.new = 3;
    bench.tick();
    assert_eq!(steps(&bench), [], "it began before");
    let seen = status(&mut bench).verification.unwrap();
    assert_eq!((seen.live_on_new, seen.live_on_new_at_start), (3, 7));
    assert_eq!((seen.new_calls_on_new, seen.escalated), (1, true));
    assert!(alarms(&bench).is_empty(), "it was told");
    pass(&mut bench, 10);
    assert_eq!(steps(&bench), [Step::NoNewCalls]);
}

// The step would say in the journal, behind the resume, that the latch stands; a
// restart would have latched what somebody had resumed.
#[test]
fn while_a_resume_is_on_its_way_no_step_is_recorded_and_the_alarm_is_not_held_back() {
    let mut bench = flipped(1);
    bench.record_all();
    let resume = entries(&bench.give(resume(None))).remove(0);
    bench.active.new = 0;
    new_call_on_new(&mut bench);
    let effects = bench.tick();
    assert_eq!(names(&effects), ["say"]);
    bench.recorded(&resume);
    bench.tick();
    bench.handle(Event::Unlatched);
    assert_eq!(steps(&bench), [Step::Started]);
    assert_eq!(bench.engine.rollout, folded(&bench));

    // Where the disk refuses the resume, the steps are told after all.
    let mut bench = flipped(1);
    bench.record_all();
    let resume = entries(&bench.give(super::resume(None))).remove(0);
    bench.active.new = 0;
    assert_eq!(names(&bench.tick()), [""; 0]);
    let (sequence, why) = (resume.stamp.sequence, "no space left".to_owned());
    bench.handle(Event::NotRecorded { sequence, why });
    assert_eq!(names(&bench.tick()), ["record"]);
    assert_eq!(steps(&bench), [Step::Started, Step::Drained]);
}

#[test]
fn a_latched_rollout_is_asked_again_to_move_its_live_calls() {
    let mut bench = flipped(4);
    assert!(!bench.engine.split().moves_live);
    let epoch = status(&mut bench).rules[0].finding.clone();
    let effects = bench.give(Command::Rollback(Level::Total, Live::Move));
    assert_eq!(names(&effects), ["publish", "latch", "record", "done"]);
    let split = bench.engine.split().clone();
    assert!(split.moves_live && split.latched);
    assert_eq!(status(&mut bench).verification.unwrap().live, Live::Move);
    assert_eq!(bench.engine.rollout, folded(&bench));
    // The same once more changes nothing that requests see.
    let effects = bench.give(Command::Rollback(Level::Total, Live::Move));
    assert_eq!(names(&effects), ["latch", "record", "done"]);
    bench.tick();
    assert_eq!(status(&mut bench).rules[0].finding, epoch);
    assert_eq!(
        steps(&bench),
        [Step::Started],
        "it goes on, and does not begin anew"
    );
}

// A change of what live calls do is no change of the share: what was seen of new stays
// evidence.
#[test]
fn moving_alone_publishes_under_a_new_generation_and_begins_no_epoch() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    bench.give(Command::Rollback(
        Level::Tenant("acme".to_owned()),
        Live::Drain,
    ));
    bench.calls(12, 7);
    bench.tick();
    let before = bench.engine.split().generation;
    let effects = bench.give(Command::Rollback(
        Level::Tenant("acme".to_owned()),
        Live::Move,
    ));
    assert_eq!(names(&effects), ["publish", "record", "done"]);
    let split = bench.engine.split();
    assert!(split.moves_live && split.generation == before + 1);
    bench.calls(0, 1);
    bench.tick();
    assert_eq!(bench.reversals().len(), 1, "20 calls, 8 of them failed");
}

#[test]
fn a_row_says_whether_its_reversal_moves_live_calls() {
    for live in Live::ALL {
        let row = Rule {
            live,
            ..errors_10()
        };
        let mut bench = Bench::at(50, vec![row]);
        fail(&mut bench);
        bench.tick();
        let split = bench.engine.split();
        assert!(split.latched);
        assert_eq!(Live::moving(split.moves_live), live);
    }
}

/// What whoever gave this order is told.
fn told(bench: &mut Bench, command: Command) -> String {
    let effects = bench.give(command);
    let said = effects.iter().find_map(|effect| match effect {
        Effect::Reply {
            result: Ok(done), ..
        } => Some(done.said.clone()),
        _ => None,
    });
    said.expect("it is granted")
}

#[test]
fn who_asks_to_move_calls_where_no_route_has_an_entry_is_told_so() {
    let total = |live| Command::Rollback(Level::Total, live);
    for (entries, live, says) in [
        (false, Live::Move, true),
        (true, Live::Move, false),
        (false, Live::Drain, false),
    ] {
        let mut settings = settings(vec![]);
        settings.entries = entries;
        let mut bench = Bench::on(settings, Rollout::default(), None);
        let said = told(&mut bench, total(live));
        assert_eq!(said.contains("no route names an `entry`"), says, "{said}");
        assert_eq!(
            said.contains("sent to legacy's entry"),
            live == Live::Move,
            "{said}"
        );
        assert_eq!(bench.engine.split().moves_live, live == Live::Move);
    }
}

#[test]
fn a_tenant_that_the_directory_does_not_list_is_rolled_back_and_said_to_be_unknown() {
    let directory = Directory::from_pairs([("+13125550100", "acme")]);
    let mut settings = settings(vec![]);
    settings.directory = Some(Arc::new(directory));
    let mut bench = Bench::on(settings, Rollout::default(), None);
    let back = |id: &str| Command::Rollback(Level::Tenant(id.to_owned()), Live::Drain);
    let known = told(&mut bench, back("acme"));
    assert!(!known.contains("directory"), "{known}");
    let unknown = told(&mut bench, back("acne"));
    assert!(
        unknown.contains("The directory does not list it"),
        "{unknown}"
    );
    let lists = &bench.engine.split().disabled_tenants;
    assert_eq!(lists.len(), 2, "toward legacy nothing is refused");
}

// A tenant was rolled back by the number its callers dial. Nothing happened, and the answer
// was a success.
#[test]
fn an_order_by_a_tenant_s_key_is_an_order_about_that_tenant() {
    let pairs = [("+13125550100", "acme"), ("omni", "zeta"), ("x", "omni")];
    let mut settings = settings(vec![]);
    settings.directory = Some(Arc::new(Directory::from_pairs(pairs)));
    let mut bench = Bench::on(settings, Rollout::default(), None);
    bench.give(Command::Percentage(percent(10)));
    bench.record_all();
    let back = |id: &str| Command::Rollback(Level::Tenant(id.to_owned()), Live::Drain);
    let list = |id: &str, list| Command::Tenant {
        id: id.to_owned(),
        list,
    };
    let key = "+1 (312) 555-0100";
    for (command, listed) in [
        (back(key), Some(Listed::RolledBack)),
        (list(key, None), None),
        (list(key, Some(List::Disabled)), Some(Listed::Disabled)),
        (list(key, Some(List::Enabled)), Some(Listed::Enabled)),
    ] {
        let effects = bench.give(command.clone());
        bench.record_all();
        let entry = entries(&effects).pop().unwrap();
        let said = entry.said();
        assert!(said.starts_with("Tenant acme "), "{said}");
        assert!(said.contains("00 is a key of tenant acme."), "{said}");
        assert!(!said.contains("555"), "numbers are masked: {said}");
        let rollout = &bench.engine.rollout;
        assert_eq!(rollout.listed("acme"), listed, "{command:?}");
        assert_eq!(rollout.all_listed().count(), usize::from(listed.is_some()));
    }
    let named = told(&mut bench, back("omni"));
    assert!(named.starts_with("Tenant omni is rolled back"), "{named}");
    assert!(
        !named.contains("a key of"),
        "a tenant's own name goes first: {named}"
    );
}

#[test]
fn what_was_listed_by_a_key_before_the_directory_knew_it_comes_off_by_it() {
    let mut bench = Bench::on(settings(vec![]), Rollout::default(), None);
    let key = "+13125550100";
    bench.give(Command::Rollback(
        Level::Tenant(key.to_owned()),
        Live::Drain,
    ));
    let directory = Directory::from_pairs([(key, "acme")]);
    bench.engine.settings.directory = Some(Arc::new(directory));
    bench.give(Command::Tenant {
        id: key.to_owned(),
        list: None,
    });
    bench.record_all();
    assert_eq!(bench.engine.rollout.listed(key), None);
}
