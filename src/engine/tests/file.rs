//! What follows from a file that is read again.

use super::*;
use crate::engine::Settings;
use crate::model::Wall;
use crate::rollout::{Action, Reread, Wishes};

#[test]
fn a_reload_without_changes_does_nothing() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    fail(&mut bench);
    let same = bench.engine.settings.clone();
    assert_eq!(bench.reload(same), []);
    bench.tick();
    assert_eq!(bench.reversals().len(), 1, "nor does it forget anything");
}

#[test]
fn a_reload_with_another_table_begins_a_new_epoch() {
    let mut bench = Bench::at(50, vec![errors_10()]);
    fail(&mut bench);
    let other = settings(vec![errors_10(), rule("error rate high")]);
    assert_eq!(bench.reload(other), []);
    bench.tick();
    assert_eq!(
        bench.reversals().len(),
        1,
        "told after the reload, so it counts"
    );

    let mut bench = Bench::at(50, vec![errors_10()]);
    bench.calls(13, 7);
    bench.tick();
    bench.reload(settings(vec![rule("error rate high"), errors_10()]));
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
            config: None,
        },
        ..settings(vec![])
    }
}

#[test]
fn a_changed_wish_of_the_file_lowers_first_and_raises_by_the_journal() {
    let mut bench = Bench::at(50, vec![]);
    let settings = file(20, &[("acme", List::Enabled)]);
    let effects = bench.reload(settings);
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
    let effects = bench.reload(file(60, &[]));
    assert!(bench.engine.split().latched);
    let said =
        |effect: &Effect| matches!(effect, Effect::Say(notice) if notice.text.contains("refused"));
    assert!(effects.iter().any(said), "{effects:?}");
}

#[test]
fn a_file_raise_that_comes_while_another_is_on_its_way_comes_with_the_next_reload() {
    let mut bench = Bench::at(10, vec![]);
    bench.give(set(20));
    let effects = bench.reload(file(40, &[]));
    assert_eq!(names(&effects), ["say"]);
    bench.record_all();
    assert_eq!(bench.engine.split().percentage, percent(20));
    bench.reload(file(40, &[]));
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
    bench.reload(settings);
    bench.record_all();
    assert_eq!(*bench.engine.split(), preview.split);

    let bench = reversed(50);
    let preview = bench.engine.preview(&file(60, &[]), Wall(5));
    assert!(preview.split.latched);
    assert_eq!(preview.refused.len(), 1);
}

/// The same file but for a comment, or whatever else makes another hash.
fn another(percentage: u16, hash: &str) -> Settings {
    Settings {
        config_hash: hash.to_owned(),
        ..file(percentage, &[])
    }
}

/// Every reload that the journal was told of: by whom, why, and its first note.
fn reloads(bench: &Bench) -> Vec<(String, String, String)> {
    let told = entries(&bench.said).into_iter();
    told.filter(|entry| entry.action == Action::Reloaded)
        .map(|entry| (entry.actor, entry.reason, entry.notes[0].clone()))
        .collect()
}

#[test]
fn another_configuration_is_in_the_journal_and_the_same_one_is_not() {
    let mut bench = Bench::at(50, vec![]);
    bench.reload(another(0, "0123456789ab"));
    assert_eq!(reloads(&bench), [], "the hash is the same");
    let before = bench.engine.split().clone();
    let effects = bench.reload(another(0, "aaaaaaaaaaaa"));
    assert_eq!(names(&effects), ["record"]);
    let told = (
        "operator via cli".to_owned(),
        "a new file".to_owned(),
        "Configuration 0123456789ab -> aaaaaaaaaaaa.".to_owned(),
    );
    assert_eq!(reloads(&bench), [told]);
    assert_eq!(*bench.engine.split(), before);
    assert_eq!(bench.reload(another(0, "aaaaaaaaaaaa")), []);
    assert_eq!(bench.engine.rollout, folded(&bench));

    // A file that it names is another one: a key, a certificate.
    let reread = Reread {
        changed: vec!["the key is another one".to_owned()],
        ..Reread::default()
    };
    let same = Box::new(another(0, "aaaaaaaaaaaa"));
    bench.handle(Event::Reload(same, reread));
    let last = entries(&bench.said).pop().unwrap();
    assert_eq!(last.action, Action::Reloaded);
    assert_eq!(last.notes[1], "the key is another one");
}

#[test]
fn what_a_reload_wishes_for_is_ordered_by_whoever_reloads_and_told_behind_it() {
    let mut bench = Bench::at(50, vec![]);
    let effects = bench.reload(another(20, "aaaaaaaaaaaa"));
    assert_eq!(
        names(&effects),
        ["publish", "record", "record"],
        "toward legacy nothing is waited for"
    );
    let told = entries(&effects);
    let actions: Vec<_> = told.iter().map(|entry| entry.action.name()).collect();
    assert_eq!(actions, ["reloaded", "file"]);
    for entry in told {
        assert_eq!(
            (entry.actor.as_str(), entry.reason.as_str()),
            ("operator via cli", "a new file")
        );
    }
    assert_eq!(bench.engine.rollout, folded(&bench));
    // At a start it is the file alone that wishes.
    let first = entries(&Bench::new(vec![]).said).remove(0);
    assert_eq!((first.actor.as_str(), first.reason.as_str()), ("file", ""));
}

#[test]
fn a_reload_neither_stops_a_raise_on_its_way_nor_undoes_it_in_the_journal() {
    let mut bench = Bench::at(10, vec![]);
    bench.give(set(20));
    for number in 0..40 {
        assert_eq!(bench.reload(another(0, &format!("{number:012}"))), []);
    }
    bench.record_all();
    assert_eq!(bench.engine.split().percentage, percent(20));
    let told = reloads(&bench);
    assert_eq!(told.len(), 16, "the last ones are told together");
    assert_eq!(told[0].2, "Configuration 0123456789ab -> 000000000000.");
    assert_eq!(told[15].2, "Configuration 000000000014 -> 000000000039.");
    assert_eq!(bench.engine.rollout, folded(&bench));
    assert_eq!(folded(&bench).percentage(), percent(20));
}

#[test]
fn a_disk_that_is_gone_holds_no_reload_up() {
    let mut bench = Bench::at(10, vec![]);
    bench.handle(Event::Durable(false));
    let table = Settings {
        rules: vec![errors_10()],
        ..another(0, "aaaaaaaaaaaa")
    };
    assert_eq!(names(&bench.reload(table)), ["record"]);
    bench.tick();
    assert_eq!(status(&mut bench).rules.len(), 1, "in force all the same");
    assert_eq!(status(&mut bench).config_hash, "aaaaaaaaaaaa");
}

#[test]
fn a_start_with_another_configuration_is_told_where_the_last_one_is_known() {
    let mut bench = Bench::at(10, vec![]);
    bench.reload(another(0, "aaaaaaaaaaaa"));
    let started = |hash| Bench::on(another(0, hash), folded(&bench), None);
    assert_eq!(reloads(&started("aaaaaaaaaaaa")), []);
    let told = (
        "file".to_owned(),
        "the process started with it".to_owned(),
        "Configuration aaaaaaaaaaaa -> bbbbbbbbbbbb.".to_owned(),
    );
    assert_eq!(reloads(&started("bbbbbbbbbbbb")), [told]);
    // Nothing is in the journal yet, so nothing is another one.
    let first = Bench::new(vec![]);
    assert_eq!(reloads(&first), []);
    assert_eq!(first.engine.rollout.config(), Some("0123456789ab"));
}
