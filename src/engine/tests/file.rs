//! What follows from a file that is read again.

use super::*;
use crate::engine::Settings;
use crate::model::Wall;
use crate::rollout::Wishes;

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
    assert_eq!(
        bench.reversals().len(),
        1,
        "told after the reload, so it counts"
    );

    let mut bench = Bench::at(50, vec![errors_10()]);
    bench.calls(13, 7);
    bench.tick();
    bench.handle(Event::Reload(Box::new(settings(vec![
        rule("error rate high"),
        errors_10(),
    ]))));
    bench.calls(0, 1);
    bench.tick();
    assert_eq!(
        bench.reversals(),
        [""; 0],
        "the eighth failure is the first"
    );
    assert_eq!(status(&mut bench).rules.len(), 2);
}

fn file(percentage: u16, tenants: &[(&str, List)]) -> Settings {
    let tenants = tenants.iter().map(|(id, list)| ((*id).to_owned(), *list));
    Settings {
        wishes: Wishes {
            enabled: true,
            percentage: percent(percentage),
            tenants: tenants.collect(),
            scheme: None,
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
    assert!(
        bench.engine.split().enabled_tenants.is_empty(),
        "not recorded yet"
    );
    bench.record_all();
    assert!(bench.engine.split().enabled_tenants.contains("acme"));
    assert_eq!(bench.engine.rollout, folded(&bench));
}

#[test]
fn while_latched_the_file_raises_nothing_and_says_so() {
    let mut bench = reversed(50);
    let effects = bench.handle(Event::Reload(Box::new(file(60, &[]))));
    assert!(bench.engine.split().latched);
    let said =
        |effect: &Effect| matches!(effect, Effect::Say(notice) if notice.text.contains("refused"));
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
    assert_eq!(
        (bench.engine.rollout.clone(), bench.engine.split().clone()),
        before
    );
    assert_eq!(preview.split.percentage, percent(60));
    bench.handle(Event::Reload(Box::new(settings)));
    bench.record_all();
    assert_eq!(*bench.engine.split(), preview.split);

    let bench = reversed(50);
    let preview = bench.engine.preview(&file(60, &[]), Wall(5));
    assert!(preview.split.latched);
    assert_eq!(preview.refused.len(), 1);
}
