use super::*;
use crate::calls::Hints;
use crate::model::Backend;
use crate::protocol::EventKind;
use crate::table::pins::record::HEADER;
use crate::table::pins::{Loaded, load};
use crate::table::tests::{NOW, after, begin, event, place, split, subject, table};

const WALL: Wall = Wall(1_800_000_000_000);

fn wall_after(secs: i64) -> Wall {
    Wall(WALL.0 + secs * 1000)
}

fn open(dir: &Path, table: &Arc<Table>) -> PinWriter {
    PinWriter::open(dir, Arc::clone(table), NOW, WALL).expect("a thread")
}

/// A new process, half a minute later; its clock begins anew.
fn restarted(dir: &Path) -> (Table, Loaded) {
    let table = table(1000);
    let loaded = load(dir, &table, Tick::from_secs(3600), wall_after(30)).expect("readable");
    (table, loaded)
}

// The other state files were 0600, and this one was open to whoever has an account.
#[test]
fn the_pins_are_readable_by_nobody_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    // Left behind by a process that was killed while it wrote.
    let left = dir.path().join(FILE).with_extension("new");
    fs::write(&left, "half").unwrap();
    fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
    open(dir.path(), &Arc::new(table(1000))).close();
    let file = fs::metadata(dir.path().join(FILE)).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert!(!left.exists());
}

#[test]
fn after_a_restart_a_call_comes_back_to_its_backend() {
    let dir = tempfile::tempdir().unwrap();
    let table = Arc::new(table(1000));
    let writer = open(dir.path(), &table);
    begin(&table, "talks", NOW);
    let rings = EventKind::Progress;
    place(&table, "rings", rings, &split(1, 100.0), NOW);
    let mut known = event("other", EventKind::Step);
    known.alias = Some("talks".into());
    table.place(
        &known,
        &subject("other"),
        Hints::default(),
        &split(1, 100.0),
        NOW,
    );
    writer.save(NOW, WALL);
    writer.close();

    let (back, loaded) = restarted(dir.path());
    assert_eq!((loaded.pins, loaded.cut, loaded.damaged), (3, 0, 0));
    let talks = back.find("talks").unwrap();
    assert_eq!(talks.backend, Backend::New);
    assert!(talks.started && !talks.provisional);
    assert!(back.find("rings").unwrap().provisional);
    assert_eq!(back.find("other"), back.find("talks"));
    assert_eq!(back.active().new, 2);
    let seat = place(
        &back,
        "talks",
        EventKind::Step,
        &split(9, 0.0),
        Tick::from_secs(3601),
    );
    assert_eq!(
        seat.placement.backend,
        Backend::New,
        "whatever the percentage"
    );
    let mut changed = Vec::new();
    back.drain_pins(&mut changed);
    assert_eq!(changed, [], "reading changes nothing");
}

#[test]
fn calls_silent_or_ended_long_ago_do_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let table = Arc::new(table(1000));
    let writer = open(dir.path(), &table);
    begin(&table, "early", NOW);
    begin(&table, "late", after(3600));
    begin(&table, "over", NOW);
    let last = crate::protocol::Final {
        status: crate::protocol::FinalStatus::Completed,
        by: None,
        duration_s: None,
        report_follows: false,
    };
    let over = event("over", EventKind::Final(last));
    assert!(table.finish(&over, &last, after(3000)).is_some());
    writer.save(after(3600), wall_after(3600));
    writer.close();

    let back = super::super::super::tests::table(1000);
    let loaded = load(
        dir.path(),
        &back,
        Tick::from_secs(3600),
        wall_after(4 * 3600),
    )
    .unwrap();
    assert_eq!(loaded.pins, 1);
    assert!(back.find("late").is_some());
    assert_eq!(back.active().new, 1);
}

#[test]
fn a_record_torn_at_any_byte_is_cut_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let table = Arc::new(table(1000));
    let writer = open(dir.path(), &table);
    for call in ["CA1", "CA2", "CA3"] {
        place(&table, call, EventKind::Start, &split(1, 100.0), NOW);
    }
    writer.save(NOW, WALL);
    writer.close();
    let path = dir.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    assert_eq!(whole.len(), HEADER + 3 * SIZE);

    for torn in 0..SIZE {
        fs::write(&path, &whole[..HEADER + 2 * SIZE + torn]).unwrap();
        let (back, loaded) = restarted(dir.path());
        assert_eq!(
            (loaded.pins, loaded.cut),
            (2, torn as u64),
            "torn at {torn}"
        );
        assert!(back.find("CA1").is_some() && back.find("CA3").is_none());
        let size = fs::metadata(&path).unwrap().len();
        assert_eq!(size, (HEADER + 2 * SIZE) as u64, "cut on disk too");
    }
    for torn in 0..HEADER {
        fs::write(&path, &whole[..torn]).unwrap();
        let (back, loaded) = restarted(dir.path());
        assert_eq!((back.len(), loaded.cut), (0, torn as u64));
    }
}

#[test]
fn a_damaged_record_is_skipped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let table = Arc::new(table(1000));
    let writer = open(dir.path(), &table);
    for call in ["CA1", "CA2", "CA3"] {
        place(&table, call, EventKind::Start, &split(1, 100.0), NOW);
    }
    writer.save(NOW, WALL);
    writer.close();
    let path = dir.path().join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[HEADER + SIZE + 20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (back, loaded) = restarted(dir.path());
    assert_eq!((loaded.pins, loaded.damaged), (2, 1));
    assert!(back.find("CA2").is_none() && back.find("CA3").is_some());
}

#[test]
fn a_file_of_another_seed_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let table = Arc::new(table(1000));
    open(dir.path(), &table).close();
    let other = Table::new(1000, 43, std::time::Duration::ZERO);
    let loaded = load(dir.path(), &other, NOW, WALL).unwrap();
    assert!(loaded.set_aside);
    assert!(dir.path().join("pins.unreadable").exists());
    assert!(!dir.path().join(FILE).exists());
}

#[test]
fn no_file_is_no_pins() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(restarted(dir.path()).1, Loaded::default());
}

fn store(dir: &Path, table: &Arc<Table>) -> Store {
    Store {
        path: dir.join(FILE),
        table: Arc::clone(table),
        counts: Arc::default(),
        file: None,
        records: 0,
        patience: 0,
    }
}

fn batch(table: &Table) -> Batch {
    let mut records = Vec::new();
    table.drain_pins(&mut records);
    Batch {
        records,
        epoch: Epoch {
            tick: NOW,
            wall: WALL,
        },
    }
}

#[test]
fn a_file_of_twice_the_live_entries_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let table = Arc::new(table(1000));
    let mut store = store(dir.path(), &table);
    store.write(&batch(&table));
    let mut most = 0;
    for n in 0..2000 {
        begin(&table, &format!("CA{n}"), NOW);
        table.sweep(after(5 * 3600), &mut Vec::new());
        store.write(&batch(&table));
        most = most.max(store.records);
    }
    assert!((SMALL..=SMALL + 4).contains(&most), "{most} records");
    let size = fs::metadata(dir.path().join(FILE)).unwrap().len();
    assert_eq!(size, (HEADER + store.records * SIZE) as u64);
}

#[test]
fn what_was_lost_is_made_up_for_by_the_whole_table() {
    let dir = tempfile::tempdir().unwrap();
    let table = Arc::new(table(1000));
    let mut store = store(dir.path(), &table);
    store.write(&batch(&table));
    begin(&table, "CA1", NOW);
    drop(batch(&table));
    table.lost.store(true, Ordering::Relaxed);
    store.write(&batch(&table));
    assert!(!table.lost.load(Ordering::Relaxed));
    assert!(restarted(dir.path()).0.find("CA1").is_some());
}

#[test]
fn a_disk_that_refuses_is_counted_and_asked_again_later() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("not-yet");
    let table = Arc::new(table(1000));
    let mut store = store(&missing, &table);
    begin(&table, "CA1", NOW);
    store.write(&batch(&table));
    assert_eq!(store.counts.failed.load(Ordering::Relaxed), 1);
    fs::create_dir(&missing).unwrap();
    for _ in 1..PATIENCE {
        store.write(&batch(&table));
    }
    assert!(!missing.join(FILE).exists(), "not before its time");
    store.write(&batch(&table));
    assert!(restarted(&missing).0.find("CA1").is_some());
    assert_eq!(store.counts.failed.load(Ordering::Relaxed), 1);
}
