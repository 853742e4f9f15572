//! Whole state directories: what comes back after a crash, a flipped bit, a
//! second process.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::model::Percentage;
use crate::rollout::{
    Action, Command, Evidence, Level, List, Order, Phase, RestoreOrder, Step, Wishes,
};
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
fn every_line_explains_itself_to_jq() {
    let bytes = bytes_of(&story());
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
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
fn a_journal_cut_anywhere_in_its_last_three_lines_ends_with_a_whole_line() {
    let entries = story();
    let whole = bytes_of(&entries);
    let from = bytes_of(&entries[..entries.len() - 3]).len();
    for len in from..=whole.len() {
        let cut = &whole[..len];
        let found = read::scan(cut);
        assert_eq!(found.damage, None, "{len} bytes");
        assert_eq!(found.entries, entries[..found.entries.len()]);
        let lines = cut.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(found.entries.len(), lines);
        if len % 97 == 0 {
            let dir = dir_with(cut);
            let opened = open_at(&dir);
            assert_eq!(opened.latched, None);
            assert_eq!(opened.entries, found.entries);
            let torn = len as u64 > found.good;
            assert_eq!(opened.notes.len(), usize::from(torn), "{:?}", opened.notes);
            drop(opened);
            let again = open_at(&dir);
            assert!(again.notes.is_empty(), "it is cut once");
        }
    }
}

#[test]
fn after_a_torn_line_the_next_one_continues_the_chain() {
    let entries = story();
    let whole = bytes_of(&entries);
    let dir = dir_with(&whole[..whole.len() - 9]);
    let handle = open_at(&dir).keeper.spawn(|_| {}).unwrap();
    handle
        .send(Job::Record(Box::new(entries.last().unwrap().clone())))
        .unwrap();
    assert!(handle.close(Duration::from_secs(30)));
    assert_eq!(fs::read(dir.path().join(JOURNAL)).unwrap(), whole);
}

#[test]
fn zeros_after_the_last_line_are_a_torn_line() {
    let entries = story();
    let mut bytes = bytes_of(&entries);
    bytes.extend([0; 300]);
    let opened = open_at(&dir_with(&bytes));
    assert_eq!((opened.entries, opened.latched), (entries, None));
}

#[test]
fn five_hundred_flipped_bits_are_seen_or_harmless() {
    let entries = story();
    let whole = bytes_of(&entries);
    let state = Rollout::fold(&entries);
    // SplitMix64 with a fixed seed: the same 500 bits every time.
    let mut seed = 2026_u64;
    let mut next = || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from(z >> 33).unwrap()
    };
    let last = whole.len() * 8 - 8;
    for nth in 0..508 {
        // The last eight are the bits of the last line break.
        let bit = if nth < 500 {
            next() % (whole.len() * 8)
        } else {
            last + nth - 500
        };
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = read::scan(&bytes);
        let equal = Rollout::fold(&found.entries) == state;
        assert!(found.damage.is_some() || equal, "bit {bit}");
        if nth % 50 == 0 && found.damage.is_some() {
            let dir = dir_with(&bytes);
            let opened = open_at(&dir);
            assert!(opened.latched.is_some());
            let rollout = Rollout::fold(&opened.entries);
            assert_eq!(
                (rollout.phase(), rollout.percentage()),
                (Phase::Reversed, percent(0))
            );
            assert!(rollout.generation() > state.generation());
            drop(opened);
            let again = open_at(&dir);
            assert_eq!(Rollout::fold(&again.entries), rollout, "and it stays so");
        }
    }
}

#[test]
fn a_line_lost_or_swapped_inside_the_file_is_damage() {
    let bytes = bytes_of(&story());
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    for changed in [
        lines[1..].concat(),
        [&lines[..2], &lines[3..]].concat().concat(),
        swapped.concat(),
    ] {
        assert!(read::scan(&changed).damage.is_some());
    }
}

#[test]
fn a_damaged_journal_is_kept_named_and_latched() {
    let entries = story();
    let mut bytes = bytes_of(&entries);
    let middle = bytes_of(&entries[..6]).len() + 40;
    bytes[middle] ^= 1;
    let dir = dir_with(&bytes);
    let opened = open_at(&dir);
    assert_eq!(opened.entries.len(), 1);
    let Action::JournalDamaged { set_aside } = &opened.entries[0].action else {
        panic!("{:?}", opened.entries[0]);
    };
    assert_eq!(set_aside, "journal.jsonl.damaged-20260921T141320000Z");
    assert_eq!(fs::read(dir.path().join(set_aside)).unwrap(), bytes);
    assert!(opened.latched.unwrap().contains("line 7"));
    let rollout = Rollout::fold(&opened.entries);
    assert_eq!(
        rollout.tenants().collect::<Vec<_>>(),
        [("omni", List::Disabled), ("zeta", List::Disabled)],
        "what is known to be disabled stays so"
    );
}

#[test]
fn what_another_version_wrote_is_read_for_what_it_led_to() {
    let entries = story();
    let (line, _) = line::encode(&entries[0], "");
    let text = String::from_utf8(line).unwrap();
    let own = text.split_once(",\"checksum\"").unwrap().0;
    let sealed = |own: &str| {
        let checksum = line::checksum("", own.as_bytes());
        format!("{own},\"checksum\":\"{checksum}\"}}\n").into_bytes()
    };
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
fn a_latch_without_its_line_is_reversed_at_start() {
    let entries = story();
    let dir = dir_with(&bytes_of(&entries));
    Latch::open(dir.path(), false)
        .unwrap()
        .0
        .set("errors: all failed")
        .unwrap();
    let opened = open_at(&dir);
    let reason = opened.latched.unwrap();
    assert_eq!(reason, "errors: all failed");
    let mut rollout = Rollout::fold(&opened.entries);
    assert!(!rollout.latched(), "the journal does not know");
    let entry = rollout.latched_at_start(&reason, Wall(0)).unwrap();
    assert!(!entry.is_raise());
    rollout.apply(&entry);
    assert!(rollout.latched());
    assert_eq!(rollout.latched_at_start(&reason, Wall(0)), None);
}

/// `kill -9` between the latch and the journal's line once brought an operator's
/// rollback back as a rule's reversal.
#[test]
fn a_latch_without_its_line_comes_back_as_what_it_was() {
    for (reason, phase) in [
        ("rolled-back: callers hear silence", Phase::RolledBack),
        ("reversed: 9 of 20 calls failed", Phase::Reversed),
        ("the latch file was gone at start", Phase::Reversed),
    ] {
        let mut rollout = Rollout::default();
        let entry = rollout.latched_at_start(reason, Wall(0)).unwrap();
        rollout.apply(&entry);
        assert_eq!(rollout.phase(), phase, "{reason}");
    }
}

#[test]
fn a_line_without_its_latch_is_latched_again_at_start() {
    let entries = story();
    let reversal = entries
        .iter()
        .position(|entry| entry.action.name() == "reverse");
    let dir = dir_with(&bytes_of(&entries[..=reversal.unwrap()]));
    assert!(open_at(&dir).latched.is_some());
    let (_, set) = Latch::open(dir.path(), false).unwrap();
    assert!(set.is_some());
}

#[test]
fn a_garbled_or_missing_latch_beside_a_journal_is_latched() {
    let bytes = bytes_of(&story());
    let dir = dir_with(&bytes);
    fs::write(dir.path().join("latch"), [b'x'; 512]).unwrap();
    assert!(open_at(&dir).latched.unwrap().contains("garbled"));
    let dir = dir_with(&bytes);
    fs::remove_file(dir.path().join("latch")).unwrap();
    assert!(open_at(&dir).latched.unwrap().contains("gone"));
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

/// What a new process would run, from copies of the two files.
fn after_crash(journal: &[u8], latch: &[u8]) -> Rollout {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("latch"), latch).unwrap();
    fs::write(dir.path().join(JOURNAL), journal).unwrap();
    let opened = open_at(&dir);
    let mut rollout = Rollout::fold(&opened.entries);
    if let Some(entry) = opened
        .latched
        .and_then(|why| rollout.latched_at_start(&why, Wall(0)))
    {
        rollout.apply(&entry);
    }
    rollout
}

#[test]
fn a_crash_between_any_two_writes_leaves_the_old_or_the_new_state() {
    let dir = tempfile::tempdir().unwrap();
    let (events, told) = std::sync::mpsc::channel();
    let handle = open_at(&dir)
        .keeper
        .spawn(move |event| events.send(event).unwrap())
        .unwrap();
    let files = || {
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        (read(JOURNAL), read("latch"))
    };
    let shape = |rollout: &Rollout| (rollout.latched(), rollout.percentage());
    let mut rollout = Rollout::default();
    for command in [
        Command::Percentage(percent(50)),
        Command::Reverse {
            rule: "errors".to_owned(),
            live: Live::Move,
        },
        Command::Resume {
            percentage: Some(percent(25)),
        },
        Command::Percentage(percent(10)),
        Command::Rollback(Level::Total, Live::Drain),
        Command::Resume { percentage: None },
        Command::Percentage(percent(75)),
    ] {
        let old = rollout.clone();
        let entry = decide(&rollout, command);
        rollout.apply(&entry);
        let mut jobs = vec![Job::Record(Box::new(entry.clone()))];
        if entry.latches() {
            let reason = entry.reason.clone();
            jobs.insert(0, Job::Latch { reason });
        } else if entry.unlatches() {
            jobs.push(Job::Unlatch);
        }
        for job in jobs {
            let (before, latch) = files();
            handle.send(job).unwrap();
            told.recv().unwrap();
            let (after, latch_after) = files();
            for cut in (before.len()..=after.len())
                .step_by(101)
                .chain([after.len()])
            {
                let back = shape(&after_crash(&after[..cut], &latch));
                assert!(
                    back == shape(&old) || back == shape(&rollout),
                    "{} bytes of {entry:?}: {back:?}",
                    cut - before.len()
                );
            }
            let back = shape(&after_crash(&after, &latch_after));
            assert!(
                back == shape(&old) || back == shape(&rollout),
                "{entry:?}: {back:?}"
            );
        }
        let (journal, latch) = files();
        assert_eq!(shape(&after_crash(&journal, &latch)), shape(&rollout));
    }
    assert!(handle.close(Duration::from_secs(30)));
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

    let text = String::from_utf8(bytes_of(&written)).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
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
        let mut bytes = value.to_string().into_bytes();
        bytes.pop();
        let checksum = line::checksum("", &bytes);
        bytes.extend(format!(",\"checksum\":\"{checksum}\"}}").into_bytes());
        line::decode(&bytes, "").unwrap().0
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

mod segments;
