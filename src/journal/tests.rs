//! Whole state directories: what comes back, and who holds one. In `tests/damage.rs` what
//! comes back of a damaged journal, in `tests/latch.rs` after a crash between journal and
//! latch, in `tests/segments.rs` of several segments; in `tests/lines.rs` what a line says.

mod damage;
mod latch;
mod lines;
mod segments;

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::model::Percentage;
use crate::rollout::{Action, Command, Evidence, Level, List, Order, Wishes};
use crate::split::Live;

fn percent(whole: u16) -> Percentage {
    Percentage::from_basis_points(whole * 100).unwrap()
}

fn order(command: Command) -> Order {
    Order {
        waives: crate::rollout::Waives::default(),
        actor: "operator via cli".to_owned(),
        reason: "because “of” a test\n".to_owned(),
        command,
    }
}

fn decide(rollout: &Rollout, command: Command) -> Entry {
    let at = Wall(1_780_000_000_123 + i64::try_from(rollout.sequence()).unwrap());
    rollout.decide(&order(command), at).unwrap()
}

/// Entries of a rollout that ends at 50 %, with `acme` enabled, `zeta` rolled back.
fn story() -> Vec<Entry> {
    let mut rollout = Rollout::default();
    let mut entries = Vec::new();
    let wishes = Wishes {
        enabled: true,
        percentage: Percentage::new(12.34).unwrap(),
        tenants: [("omni".to_owned(), List::Disabled)].into(),
        scheme: Some("call xxh3 0a1b2c3d".to_owned()),
        config: Some("0123456789ab".to_owned()),
    };
    for entry in rollout
        .wishes(&wishes, true, Wall(1_780_000_000_000))
        .entries
    {
        rollout.apply(&entry);
        entries.push(entry);
    }
    let acme = "acme".to_owned();
    for command in [
        Command::Percentage(percent(60)),
        Command::Reverse {
            rule: "errors".to_owned(),
            live: Live::Move,
        },
        Command::Resume {
            percentage: Some(percent(40)),
        },
        Command::Rollback(Level::Tenant("zeta".to_owned()), Live::Drain),
        Command::Hold,
        Command::Tenant {
            id: acme,
            list: Some(List::Enabled),
        },
        Command::Percentage(percent(50)),
    ] {
        let mut entry = decide(&rollout, command);
        if let Action::Reverse { .. } = entry.action {
            entry = entry.with_evidence(Evidence {
                rule: "errors".to_owned(),
                measure: "error_rate".to_owned(),
                value: Some(0.25),
                threshold: Some(0.125),
                samples: 31,
                config_hash: "0123456789ab".to_owned(),
                ..Evidence::default()
            });
        }
        rollout.apply(&entry);
        entries.push(entry);
    }
    entries
}

fn bytes_of(entries: &[Entry]) -> Vec<u8> {
    let mut previous = String::new();
    let mut bytes = Vec::new();
    for entry in entries {
        let (line, checksum) = line::encode(entry, &previous);
        bytes.extend(line);
        previous = checksum;
    }
    bytes
}

/// A state directory with this journal and a clear latch.
fn dir_with(journal: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    Latch::open(dir.path(), true).unwrap();
    fs::write(dir.path().join(JOURNAL), journal).unwrap();
    dir
}

fn open_at(dir: &TempDir) -> Opened {
    open(dir.path(), None, Wall(1_790_000_000_000)).unwrap()
}

#[test]
fn an_empty_directory_is_an_idle_rollout() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("deep/state");
    let opened = open(&state, None, Wall(0)).unwrap();
    assert!(opened.entries.is_empty() && opened.latched.is_none() && opened.notes.is_empty());
    drop(opened);
    for name in ["lock", "latch", JOURNAL] {
        let mode = fs::metadata(state.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn what_was_recorded_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let entries = story();
    let handle = open_at(&dir).keeper.spawn(|_| {}).unwrap();
    for entry in &entries {
        handle.send(Job::Record(Box::new(entry.clone()))).unwrap();
    }
    assert!(handle.close(Duration::from_secs(30)));
    let opened = open_at(&dir);
    assert_eq!(opened.entries, entries);
    assert_eq!((opened.latched, opened.notes), (None, vec![]));
    assert_eq!(
        fs::read(dir.path().join(JOURNAL)).unwrap(),
        bytes_of(&entries)
    );
}

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = open_at(&dir);
    let error = open(dir.path(), None, Wall(0)).unwrap_err().to_string();
    assert!(
        error.contains(&format!("pid {}", std::process::id())),
        "{error}"
    );
    assert!(
        error.contains("started 2026-09-21T14:13:20.000Z"),
        "{error}"
    );
    let handle = first.keeper.spawn(|_| {}).unwrap();
    assert!(
        open(dir.path(), None, Wall(0)).is_err(),
        "while the keeper runs"
    );
    assert!(handle.close(Duration::from_secs(30)));
    assert!(
        open(dir.path(), None, Wall(0)).is_ok(),
        "a stopped one has released it"
    );
}

#[test]
fn the_tail_is_the_last_entries_and_no_half_one() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(tail(dir.path(), 5).unwrap(), Vec::<Value>::new());
    let mut bytes = bytes_of(&story());
    bytes.extend(b"{\"sequence\":99");
    fs::write(dir.path().join(JOURNAL), &bytes).unwrap();
    let sequences = |n| -> Vec<_> {
        let entries = tail(dir.path(), n).unwrap();
        entries
            .iter()
            .map(|entry| entry["sequence"].as_u64().unwrap())
            .collect()
    };
    let all = story().len() as u64;
    assert_eq!(sequences(2), [all - 1, all]);
    assert_eq!(sequences(1000), (1..=all).collect::<Vec<_>>());
    assert_eq!(sequences(0), Vec::<u64>::new());
}

#[test]
fn the_seed_is_made_once_and_secret() {
    let dir = tempfile::tempdir().unwrap();
    let first = seed(dir.path()).unwrap();
    assert!(first.made);
    let again = seed(dir.path()).unwrap();
    assert_eq!((again.value, again.made), (first.value, false));
    let path = dir.path().join("seed");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!format!("{first:?}").contains(&first.value.to_string()));
    fs::write(&path, b"\xff garbled").unwrap();
    assert!(seed(dir.path()).unwrap().made, "garbled: a new one");
}
