//! A whole rollout, told.

use std::fs;

use anstream::adapter::strip_str;

use super::*;
use crate::journal::{Job, open};
use crate::measure::totals::Hour;
use crate::model::Percentage;
use crate::rollout::{Command, Evidence, Level, Order, Standing, Waives};
use crate::rules::STAGE;
use crate::split::Live;

/// 2026-03-01, 08:00 in Bogotá.
const START: i64 = 1_772_370_000_000;
const HOUR: i64 = 3_600_000;

fn bogota() -> TimeZone {
    TimeZone::get("America/Bogota").unwrap()
}

fn percent(whole: u16) -> Percentage {
    Percentage::from_basis_points(whole * 100).unwrap()
}

/// What an operator orders, what a rule does, what two days of totals say.
fn entries() -> Vec<Entry> {
    let mut rollout = Rollout::default();
    let mut entries = Vec::new();
    let mut at = START;
    let mut take = |actor: &str, reason: &str, command, change: &dyn Fn(&mut Entry)| {
        let order = Order {
            actor: actor.to_owned(),
            reason: reason.to_owned(),
            waives: Waives::default(),
            command,
        };
        let mut entry = rollout.decide(&order, Wall(at)).unwrap();
        change(&mut entry);
        rollout.apply(&entry);
        entries.push(entry);
        at += 2 * HOUR;
    };
    let operator = "operator via cli";
    let set = Command::Percentage(percent(5));
    take(operator, "pilot, asked +14155550142", set, &|entry| {
        entry.action = Action::Advance;
        entry.after.stage = Some(Standing {
            stage: "pilot".to_owned(),
            number: 1,
            since: entry.stamp.at,
            begun: entry.stamp.at,
        });
    });
    let hour = |begun: u64, failed: u64| {
        move |entry: &mut Entry| {
            let mut hour = Hour {
                from: entry.stamp.at,
                to: Wall(entry.stamp.at.0 + HOUR),
                ..Hour::default()
            };
            hour.sides.legacy.begun = 10 * begun;
            hour.sides.new.begun = begun;
            hour.sides.new.good = 2 * begun - failed;
            hour.sides.new.failed = failed;
            entry.action = Action::Totals(Box::new(hour));
        }
    };
    let same = || Command::Percentage(percent(5));
    take("switchback", "", same(), &hour(20, 0));
    take("switchback", "", same(), &hour(30, 1));
    let tenant = Command::Rollback(Level::Tenant("+13125550109".to_owned()), Live::Move);
    take(operator, "complains", tenant, &|_| ());
    for _ in 0..6 {
        take("switchback", "", same(), &hour(1, 1));
    }
    let reverse = Command::Reverse {
        rule: "errors-10-5m".to_owned(),
        live: Live::Drain,
    };
    let because = "7 of 31 calls failed in the last 5 min (22.6 %)";
    take("rule errors-10-5m", because, reverse, &|entry| {
        entry.evidence = Some(Evidence {
            rule: "errors-10-5m".to_owned(),
            measure: "error_rate".to_owned(),
            over_secs: 300,
            value: Some(7.0 / 31.0),
            legacy: Some(0.004),
            threshold: Some(0.1),
            samples: 31,
            failed: 7,
            early: Some(1.2),
            because: because.to_owned(),
            config_hash: "0123456789ab".to_owned(),
        });
    });
    entries
}

/// A state directory that has recorded them.
fn recorded(entries: &[Entry]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path(), None, Wall(START)).unwrap();
    let handle = opened.keeper.spawn(|_| {}).unwrap();
    for entry in entries {
        handle.send(Job::Record(Box::new(entry.clone()))).unwrap();
    }
    assert!(handle.close(std::time::Duration::from_secs(30)));
    dir
}

fn told(history: &History, options: &Options) -> String {
    let mut out = Vec::new();
    tell(history, options, &bogota(), &mut out).unwrap();
    strip_str(&String::from_utf8(out).unwrap()).to_string()
}

#[test]
fn a_whole_rollout_is_told_from_its_journal() {
    let dir = recorded(&entries());
    let history = journal::history(dir.path()).unwrap();
    let text = told(&history, &Options::default());
    let expected = include_str!("told.txt");
    assert_eq!(text, expected, "{text}");
}

#[test]
fn a_row_over_its_stage_is_told_so_and_not_in_seconds() {
    let mut entries = entries();
    let last = entries.last_mut().and_then(|it| it.evidence.as_mut());
    last.unwrap().over_secs = STAGE.as_secs();
    let dir = recorded(&entries);
    let history = journal::history(dir.path()).unwrap();
    let text = told(&history, &Options::default());
    assert!(text.contains("error_rate over the stage\n"), "{text}");
}

#[test]
fn a_span_is_told_with_where_it_led() {
    let dir = recorded(&entries());
    let history = journal::history(dir.path()).unwrap();
    let moment = |text| moment(text, &bogota()).unwrap();
    let options = Options {
        since: Some(moment("2026-03-01T13:00").0),
        until: Some(moment("2026-03-01").1),
        no_totals: true,
    };
    let text = told(&history, &options);
    assert!(
        text.starts_with("2026-03-01 14:00:00 -05:00  rollback-tenant  by operator via cli  #4\n"),
        "{text}"
    );
    assert!(
        text.contains("phase         soaking since 2026-03-01 08:00:00 -05:00\n"),
        "{text}"
    );
    assert!(
        !text.contains("calls begun") && !text.contains("reverse"),
        "{text}"
    );
    let nothing = Options {
        since: Some(moment("2026-04-01").0),
        ..Options::default()
    };
    let text = told(&history, &nothing);
    assert!(text.starts_with("Nothing was decided then.\n"), "{text}");
    assert!(text.contains("phase         reversed since"), "{text}");
}

#[test]
fn a_moment_is_a_date_a_time_or_a_time_with_its_zone() {
    let hours =
        |text| moment(text, &bogota()).map(|(from, to)| ((from.0 - START) / HOUR, to.0 - from.0));
    assert_eq!(hours("2026-03-01"), Ok((-8, 24 * HOUR - 1)));
    assert_eq!(hours("2026-03-01T08:00"), Ok((0, 0)));
    assert_eq!(hours("2026-03-01 09:00:00"), Ok((1, 0)));
    assert_eq!(hours("2026-03-01T09:00:00Z"), Ok((-4, 0)));
    for wrong in ["", "yesterday", "2026-02-30", "08:00"] {
        assert!(hours(wrong).is_err(), "{wrong}");
    }
}

fn run(dir: &Path, output: Output) -> (String, Result<(), Failure>) {
    let mut out = Vec::new();
    let result = story(dir, &Options::default(), output, &mut out);
    (String::from_utf8(out).unwrap(), result)
}

#[test]
fn json_is_the_lines_as_they_are() {
    let dir = recorded(&entries());
    let path = dir.path().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    for from in [dir.path(), &path] {
        let (out, result) = run(from, Output::Json);
        assert_eq!(out, text);
        assert!(result.is_ok());
    }
}

#[test]
fn damage_is_said_with_its_line_and_what_was_before_is_told() {
    let dir = recorded(&entries());
    let path = dir.path().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("complains", "complained")).unwrap();
    let (out, result) = run(dir.path(), Output::Text);
    let failure = result.unwrap_err();
    assert_eq!(failure.code(), 1);
    assert!(
        failure
            .to_string()
            .starts_with("journal.jsonl: line 4 cannot be believed")
    );
    assert!(out.contains("advance") && !out.contains("reverse"), "{out}");
}

#[test]
fn where_there_is_no_journal_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("nothing")] {
        let (out, result) = run(&path, Output::Text);
        assert_eq!((out.as_str(), result.unwrap_err().code()), ("", 1));
    }
}
