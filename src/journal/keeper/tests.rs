//! What the keeper does when the disk does not.

use std::cell::RefCell;
use std::io;
use std::sync::mpsc;

use parking_lot::Mutex;
use tempfile::TempDir;

use super::super::disk::{Medium, Reader, Turned};
use super::super::read::{Found, scan};
use super::*;
use crate::model::{Percentage, Wall};
use crate::rollout::{Command, Level, Order, Rollout};
use crate::split::Live;

/// A disk in memory with faults to switch on.
#[derive(Debug, Default)]
struct Sim {
    bytes: Vec<u8>,
    /// Bytes that still fit; None: no limit.
    room: Option<usize>,
    /// The next so many syncs fail.
    bad_syncs: usize,
    cannot_renew: bool,
    renewals: usize,
    turns: usize,
    /// The next turn is not known to be durable.
    unsure_turn: bool,
    /// Syncs of a file one of whose syncs had failed.
    lying_syncs: usize,
    distrusted: bool,
}

#[derive(Clone, Debug, Default)]
struct SimDisk(Arc<Mutex<Sim>>);

impl Medium for SimDisk {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut sim = self.0.lock();
        sim.bytes.truncate(usize::try_from(offset).unwrap());
        let fits = sim.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        sim.bytes.extend(&bytes[..fits]);
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut sim = self.0.lock();
        sim.lying_syncs += usize::from(sim.distrusted);
        if sim.bad_syncs > 0 {
            sim.bad_syncs -= 1;
            sim.distrusted = true;
            return Err(io::Error::other("EIO"));
        }
        Ok(())
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.lock().bytes.truncate(usize::try_from(len).unwrap());
        Ok(())
    }

    fn turn(&mut self, first: &[u8], _closed: &str) -> io::Result<Turned> {
        let mut sim = self.0.lock();
        if sim.room.is_some() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        sim.bytes = first.to_vec();
        sim.turns += 1;
        Ok(match std::mem::take(&mut sim.unsure_turn) {
            true => Turned::Perhaps(io::Error::other("EIO")),
            false => Turned::Durably,
        })
    }

    fn reader(&self) -> io::Result<Reader> {
        let disk = self.clone();
        Ok(Box::new(move |len| {
            let mut bytes = disk.0.lock().bytes.clone();
            bytes.truncate(usize::try_from(len).unwrap());
            Ok(bytes)
        }))
    }

    fn renew(&mut self, len: u64) -> io::Result<()> {
        let mut sim = self.0.lock();
        if sim.cannot_renew {
            return Err(io::ErrorKind::StorageFull.into());
        }
        sim.bytes.truncate(usize::try_from(len).unwrap());
        sim.renewals += 1;
        sim.distrusted = false;
        Ok(())
    }
}

/// A keeper on a simulated disk, its jobs carried out by hand.
struct Bench {
    work: Work,
    disk: SimDisk,
    dir: TempDir,
    rollout: Rollout,
    told: RefCell<Vec<JournalEvent>>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (latch, _) = Latch::open(dir.path(), true).unwrap();
        let disk = SimDisk::default();
        let book = Book::new(Box::new(disk.clone()), &Found::default(), 0);
        let work = Work {
            latch,
            book,
            pending: VecDeque::new(),
            to_latch: None,
            latched: false,
            durable: true,
            turns: Turns::new(dir.path(), None, Rollout::default(), Wall(0)),
        };
        Self {
            work,
            disk,
            dir,
            rollout: Rollout::default(),
            told: RefCell::default(),
        }
    }

    fn entry(&mut self, command: Command) -> Job {
        let order = Order {
            waives: crate::rollout::Waives::default(),
            actor: "operator via cli".to_owned(),
            reason: "a test".to_owned(),
            command,
        };
        let entry = self.rollout.decide(&order, Wall(0)).unwrap();
        self.rollout.apply(&entry);
        Job::Record(Box::new(entry))
    }

    fn set(&mut self, whole: u16) -> Job {
        let to = Percentage::from_basis_points(whole * 100).unwrap();
        self.entry(Command::Percentage(to))
    }

    /// Carries out a job and returns what was told.
    fn carry_out(&mut self, job: Job) -> Vec<JournalEvent> {
        self.work
            .carry_out(job, &|event| self.told.borrow_mut().push(event));
        self.told.take()
    }

    fn retry(&mut self) -> Vec<JournalEvent> {
        self.work.retry(&|event| self.told.borrow_mut().push(event));
        self.told.take()
    }

    /// Sequence numbers on the disk.
    fn on_disk(&self) -> Vec<u64> {
        let found = scan(&self.disk.0.lock().bytes);
        assert_eq!(found.damage, None);
        found
            .entries
            .iter()
            .map(|entry| entry.stamp.sequence)
            .collect()
    }

    fn latch_says(&self) -> Option<String> {
        Latch::open(self.dir.path(), false).unwrap().1
    }
}

fn recorded(sequence: u64) -> JournalEvent {
    JournalEvent::Recorded { sequence }
}

fn is_failure(event: &JournalEvent, of: &str) -> bool {
    matches!(event, JournalEvent::Failed { what, .. } if *what == of)
}

#[test]
fn on_a_full_disk_a_step_down_waits_and_a_raise_is_refused() {
    let mut bench = Bench::new();
    let (up, down, raise) = (bench.set(50), bench.set(10), bench.set(60));
    assert_eq!(bench.carry_out(up), [recorded(1)]);
    let len = bench.disk.0.lock().bytes.len();
    bench.disk.0.lock().room = Some(100);

    let told = bench.carry_out(down);
    assert!(is_failure(&told[0], "record"), "{told:?}");
    assert_eq!(told[1], JournalEvent::Durable(false));
    assert_eq!(
        bench.disk.0.lock().bytes.len(),
        len,
        "half a line is cut off"
    );

    let told = bench.carry_out(raise);
    assert!(
        matches!(told.last(), Some(JournalEvent::Refused { sequence: 3, .. })),
        "{told:?}"
    );
    assert_eq!(bench.on_disk(), [1]);

    bench.disk.0.lock().room = None;
    assert_eq!(bench.retry(), [recorded(2), JournalEvent::Durable(true)]);
    assert_eq!(
        bench.on_disk(),
        [1, 2],
        "the refused raise does not come back"
    );
}

#[test]
fn a_raise_that_meets_the_full_disk_itself_is_refused_and_gone() {
    let mut bench = Bench::new();
    bench.disk.0.lock().room = Some(100);
    let raise = bench.set(50);
    let told = bench.carry_out(raise);
    assert!(
        matches!(told[..], [JournalEvent::Refused { sequence: 1, .. }]),
        "{told:?}"
    );
    bench.disk.0.lock().room = None;
    assert_eq!(bench.retry(), [], "nothing is missing");
    assert_eq!(bench.on_disk(), Vec::<u64>::new());
}

#[test]
fn after_a_failed_sync_the_journal_goes_on_in_a_new_file() {
    let mut bench = Bench::new();
    let (up, down) = (bench.set(50), bench.set(10));
    bench.carry_out(up);
    {
        let mut sim = bench.disk.0.lock();
        sim.bad_syncs = 1;
        sim.cannot_renew = true;
    }
    let told = bench.carry_out(down);
    assert!(is_failure(&told[0], "record"), "{told:?}");
    let told = bench.retry();
    assert!(is_failure(&told[0], "repair"), "{told:?}");
    bench.disk.0.lock().cannot_renew = false;
    assert_eq!(bench.retry(), [recorded(2), JournalEvent::Durable(true)]);
    assert_eq!(bench.on_disk(), [1, 2]);
    let sim = bench.disk.0.lock();
    assert_eq!((sim.renewals, sim.lying_syncs), (1, 0));
}

#[test]
fn a_raise_whose_sync_failed_is_not_in_the_new_file() {
    let mut bench = Bench::new();
    let (up, raise, again) = (bench.set(50), bench.set(60), bench.set(70));
    bench.carry_out(up);
    bench.disk.0.lock().bad_syncs = 1;
    let told = bench.carry_out(raise);
    assert!(
        matches!(told[0], JournalEvent::Refused { sequence: 2, .. }),
        "{told:?}"
    );
    assert_eq!(bench.on_disk(), [1]);
    assert_eq!(bench.carry_out(again), [recorded(3)]);
    assert_eq!(bench.on_disk(), [1, 3], "the gap is the refused one");
}

/// A month after the first entry the segment is closed; by then the directory's sync may
/// fail, and nothing that follows is durable before it has succeeded.
#[test]
fn a_turn_whose_name_may_be_forgotten_is_made_good_before_it_counts() {
    let mut bench = Bench::new();
    let up = bench.set(50);
    let Job::Record(mut later) = bench.set(60) else {
        panic!("an entry is recorded");
    };
    later.stamp.at = Wall(31 * 86_400_000);
    bench.carry_out(up);
    assert_eq!(bench.carry_out(Job::Record(later)), [recorded(2)]);
    bench.disk.0.lock().unsure_turn = true;
    let told: RefCell<Vec<JournalEvent>> = RefCell::default();
    bench.work.turn(&|event| told.borrow_mut().push(event));
    let closed = "journal-0000000001.jsonl".to_owned();
    let expected = [
        JournalEvent::Turned { closed },
        JournalEvent::Durable(false),
    ];
    assert_eq!(told.take(), expected);
    let raise = bench.set(70);
    assert_eq!(
        bench.carry_out(raise),
        [JournalEvent::Durable(true), recorded(3)],
        "a raise waits for it"
    );
    assert_eq!(
        bench.on_disk(),
        [2, 3],
        "the checkpoint bears the last number"
    );
    let sim = bench.disk.0.lock();
    assert_eq!((sim.turns, sim.renewals), (1, 1));
}

#[test]
fn the_latch_is_written_though_the_journal_cannot_be() {
    let mut bench = Bench::new();
    let up = bench.set(50);
    bench.carry_out(up);
    bench.disk.0.lock().room = Some(0);
    let reason = "errors".to_owned();
    assert_eq!(
        bench.carry_out(Job::Latch { reason }),
        [JournalEvent::Latched]
    );
    let total = bench.entry(Command::Rollback(Level::Total, Live::Drain));
    bench.carry_out(total);
    assert_eq!(bench.latch_says().as_deref(), Some("errors"));
    assert!(!bench.work.is_durable(), "the line is missing");
}

#[test]
fn a_latch_that_cannot_be_written_is_tried_again() {
    let mut bench = Bench::new();
    let path = bench.dir.path().join("latch");
    // A handle that only reads: every write fails, until the latch opens it anew.
    bench.work.latch.break_for_test(&path);
    let reason = "errors".to_owned();
    let told = bench.carry_out(Job::Latch { reason });
    assert!(is_failure(&told[0], "latch"), "{told:?}");
    assert_eq!(told[1], JournalEvent::Durable(false));
    assert_eq!(bench.latch_says(), None);
    assert_eq!(
        bench.retry(),
        [JournalEvent::Latched, JournalEvent::Durable(true)]
    );
    assert_eq!(bench.latch_says().as_deref(), Some("errors"));
}

#[test]
fn the_latch_is_cleared_only_after_a_resume_is_on_the_disk() {
    let mut bench = Bench::new();
    let jobs = [
        bench.set(50),
        Job::Latch {
            reason: "errors".to_owned(),
        },
        bench.entry(Command::Rollback(Level::Total, Live::Drain)),
    ];
    for job in jobs {
        bench.carry_out(job);
    }
    assert!(is_failure(&bench.carry_out(Job::Unlatch)[0], "unlatch"));
    assert!(bench.latch_says().is_some());

    let resume = || Command::Resume { percentage: None };
    let held = bench.rollout.clone();
    bench.disk.0.lock().room = Some(10);
    let refused = bench.entry(resume());
    assert!(matches!(
        bench.carry_out(refused)[0],
        JournalEvent::Refused { .. }
    ));
    assert!(is_failure(&bench.carry_out(Job::Unlatch)[0], "unlatch"));
    assert!(bench.latch_says().is_some());

    bench.disk.0.lock().room = None;
    bench.rollout = held;
    let resumed = bench.entry(resume());
    assert_eq!(bench.carry_out(resumed), [recorded(3)]);
    assert_eq!(bench.carry_out(Job::Unlatch), [JournalEvent::Unlatched]);
    assert_eq!(bench.latch_says(), None);
}

#[test]
fn an_unlatch_that_fails_leaves_the_latch_set() {
    let mut bench = Bench::new();
    let jobs = [
        bench.set(50),
        Job::Latch {
            reason: "errors".to_owned(),
        },
        bench.entry(Command::Rollback(Level::Total, Live::Drain)),
        bench.entry(Command::Resume { percentage: None }),
    ];
    for job in jobs {
        bench.carry_out(job);
    }
    let path = bench.dir.path().join("latch");
    bench.work.latch.break_for_test(&path);
    let told = bench.carry_out(Job::Unlatch);
    assert!(is_failure(&told[0], "unlatch"), "{told:?}");
    assert!(!told.contains(&JournalEvent::Unlatched));
    assert!(bench.latch_says().is_some());
}

#[test]
fn what_does_not_fit_is_given_back() {
    let mut bench = Bench::new();
    let up = bench.set(50);
    let down = bench.set(10);
    bench.carry_out(up);
    bench.disk.0.lock().room = Some(0);
    let (
        Bench {
            work, disk, dir, ..
        },
        down,
    ) = (bench, down);
    let lock = File::create(dir.path().join("lock")).unwrap();
    let (events, told) = mpsc::channel();
    let handle = Keeper { work, lock }
        .spawn(move |event| events.send(event).unwrap())
        .unwrap();
    for nth in 0..PENDING_MAX {
        assert!(handle.send(down.clone()).is_ok(), "entry {nth}");
        // One at a time, so that it is the disk that is behind, not the thread.
        while !is_failure(&told.recv().unwrap(), "record") {}
    }
    assert!(matches!(
        handle.send(down),
        Err(SendError::Full(Job::Record(_)))
    ));
    let reason = "errors".to_owned();
    assert!(
        handle.send(Job::Latch { reason }).is_ok(),
        "a latch still fits"
    );
    disk.0.lock().room = None;
    assert!(
        handle.close(Duration::from_secs(30)),
        "closing tries once more"
    );
    assert_eq!(scan(&disk.0.lock().bytes).entries.len(), PENDING_MAX + 1);
    assert!(Latch::open(dir.path(), false).unwrap().1.is_some());
}
