//! The latch beside the journal: what is believed where a crash came between the two.

use super::*;
use crate::rollout::Phase;

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
