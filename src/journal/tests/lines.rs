//! What stands in a line: for `jq`, and for versions before and after this one.

use super::*;
use crate::rollout::{RestoreOrder, Step};

/// The lines of these entries, as `jq` reads them.
fn read_by_jq(entries: &[Entry]) -> Vec<Value> {
    let text = String::from_utf8(bytes_of(entries)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The first line of a journal, made of what stands before its checksum.
fn sealed(own: &str) -> Vec<u8> {
    let checksum = line::checksum("", own.as_bytes());
    format!("{own},\"checksum\":\"{checksum}\"}}\n").into_bytes()
}

#[test]
fn every_line_explains_itself_to_jq() {
    let lines = read_by_jq(&story());
    let reversal = lines
        .iter()
        .find(|line| line["action"] == "reverse")
        .unwrap();
    assert_eq!(reversal["rule"], "errors");
    assert_eq!(reversal["before"]["percentage"], 60.0);
    assert_eq!(reversal["after"]["phase"], "reversed");
    assert_eq!(reversal["after"]["former"]["percentage"], 60.0);
    assert_eq!(reversal["evidence"]["value"], 0.25);
    assert_eq!(reversal["evidence"]["config_hash"], "0123456789ab");
    assert_eq!(reversal["time"], "2026-05-28T20:26:40.126Z");
    let tenant = lines
        .iter()
        .find(|line| line["action"] == "rollback-tenant")
        .unwrap();
    assert_eq!(tenant["before"]["tenants"]["zeta"], Value::Null);
    assert_eq!(tenant["after"]["tenants"]["zeta"], "rolled-back");
}

#[test]
fn what_another_version_wrote_is_read_for_what_it_led_to() {
    let entries = story();
    let (line, _) = line::encode(&entries[0], "");
    let text = String::from_utf8(line).unwrap();
    let own = text.split_once(",\"checksum\"").unwrap().0;
    let newer = own.replace("\"action\":\"file\"", "\"colour\":[1],\"action\":\"dance\"");
    let found = read::scan(&sealed(&newer));
    assert_eq!(found.damage, None);
    assert_eq!(found.entries[0].action, Action::Other("dance".to_owned()));
    assert_eq!(found.entries[0].after, entries[0].after);

    let unknown = own.replace("\"phase\":\"idle\"", "\"phase\":\"dancing\"");
    assert_ne!(unknown, own);
    assert!(
        read::scan(&sealed(&unknown)).damage.is_some(),
        "where it led to must be understood"
    );
}

#[test]
fn steps_of_a_verification_and_what_live_calls_do_come_back() {
    let mut rollout = Rollout::default();
    let mut written = Vec::new();
    let mut take = |rollout: &mut Rollout, entry: Entry| {
        rollout.apply(&entry);
        written.push(entry);
    };
    let set = decide(&rollout, Command::Percentage(percent(50)));
    take(&mut rollout, set);
    let total = decide(&rollout, Command::Rollback(Level::Total, Live::Move));
    take(&mut rollout, total);
    for (count, step) in (0..).zip(Step::ALL) {
        let at = Wall(1_780_000_001_000);
        let entry = rollout.verification(step, count, "as it was seen", at);
        take(&mut rollout, entry);
    }
    let dir = dir_with(&bytes_of(&written));
    let found = open_at(&dir);
    assert_eq!(found.entries, written);
    let back = Rollout::fold(&found.entries);
    assert_eq!(back, rollout);
    assert_eq!(back.live(), Live::Move);

    let lines = read_by_jq(&written);
    assert!(
        lines[0]["after"].get("moves_live").is_none(),
        "as before it was known"
    );
    assert_eq!(lines[1]["after"]["moves_live"], true);
    let started = &lines[2];
    assert_eq!(started["action"], "verification");
    assert_eq!(
        (&started["step"], &started["count"]),
        (&"started".into(), &0.into())
    );
    assert_eq!(started["reason"], "as it was seen");
}

/// A line of before it was known what live calls do, or of a step that comes later.
#[test]
fn lines_of_older_and_newer_versions_are_read() {
    let mut rollout = Rollout::default();
    let total = decide(&rollout, Command::Rollback(Level::Total, Live::Move));
    rollout.apply(&total);
    let step = rollout.verification(Step::Drained, 12, "seen", Wall(1_780_000_001_000));
    let rewritten = |entry: &Entry, change: fn(&mut Value)| {
        let (line, _) = line::encode(entry, "");
        let mut value: Value = serde_json::from_slice(&line).unwrap();
        change(&mut value);
        value.as_object_mut().unwrap().remove("checksum");
        let line = sealed(value.to_string().strip_suffix('}').unwrap());
        line::decode(line.trim_ascii_end(), "").unwrap().0
    };
    let old = rewritten(&total, |line| {
        line["after"].as_object_mut().unwrap().remove("moves_live");
    });
    assert!(old.after.latched && !old.after.moves_live);
    let newer = rewritten(&step, |line| line["step"] = "applauded".into());
    assert_eq!(newer.action, Action::Other("verification".to_owned()));
    assert!(newer.after.latched, "what it led to counts");
    let same = rewritten(&step, |_| ());
    assert_eq!(same.action, step.action);
}

#[test]
fn a_restore_comes_back_with_its_backup_and_how_it_went() {
    let rollout = Rollout::default();
    let order = RestoreOrder {
        backup: "b-1".to_owned(),
        actor: "ana".to_owned(),
        reason: "corrupt".to_owned(),
    };
    for (ok, told) in [
        (None, Value::Null),
        (Some(true), true.into()),
        (Some(false), false.into()),
    ] {
        let entry = rollout.data(&order, ok, Wall(1_780_000_001_000));
        let (bytes, _) = line::encode(&entry, "");
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            (&value["action"], &value["backup"]),
            (&"rollback-data".into(), &"b-1".into())
        );
        assert_eq!(value["ok"], told);
        let (back, _) = line::decode(bytes.strip_suffix(b"\n").unwrap(), "").unwrap();
        assert_eq!(back, entry);
    }
}
