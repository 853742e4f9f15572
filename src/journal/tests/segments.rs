//! A journal of several segments: turned, crashed in between, deleted by policy.

use std::path::Path;

use super::*;
use crate::journal::book::{SEGMENT_AGE_MS, SEGMENT_BYTES};
use crate::measure::totals::Hour;
use crate::rollout::Phase;

const DAY_MS: i64 = 86_400_000;
const START: i64 = 1_780_000_000_000;

/// A journal in the making, an entry a day: so it turns once a month.
struct Year {
    dir: TempDir,
    rollout: Rollout,
    day: i64,
}

impl Year {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Latch::open(dir.path(), true).unwrap();
        Self {
            dir,
            rollout: Rollout::default(),
            day: 0,
        }
    }

    fn at(&self) -> Wall {
        Wall(START + self.day * DAY_MS)
    }

    /// What the next day brings: a percentage, a tenant, an hour of totals.
    fn next(&mut self) -> Entry {
        self.day += 1;
        let command = match self.day % 3 {
            0 => Command::Percentage(percent(u16::try_from(self.day % 90).unwrap())),
            1 => Command::Tenant {
                id: format!("tenant-{}", self.day % 7),
                list: Some(List::Disabled),
            },
            _ => Command::Percentage(percent(5)),
        };
        let mut entry = self.rollout.decide(&order(command), self.at()).unwrap();
        if self.day % 5 == 0 {
            let same = self.rollout.checkpoint(self.at());
            let mut hour = Hour::default();
            hour.sides.new.begun = u64::try_from(self.day).unwrap();
            entry = Entry {
                action: Action::Totals(Box::new(hour)),
                seen: None,
                before: same.before.clone(),
                after: same.before,
                generation: same.generation,
                ..entry
            };
        }
        self.rollout.apply(&entry);
        entry
    }

    fn open(&self, keep: Option<Duration>) -> Opened {
        open(self.dir.path(), keep, self.at()).unwrap()
    }

    /// Records so many days in one process and returns what it told.
    fn run(&mut self, days: usize, keep: Option<Duration>) -> Vec<JournalEvent> {
        let opened = self.open(keep);
        assert_eq!(Rollout::fold(&opened.entries), self.rollout);
        assert_eq!((opened.latched, opened.notes), (None, vec![]));
        let (events, told) = std::sync::mpsc::channel();
        let tell = move |event| events.send(event).unwrap();
        let handle = opened.keeper.spawn(tell).unwrap();
        for _ in 0..days {
            let entry = Box::new(self.next());
            handle.send(Job::Record(entry)).unwrap();
        }
        let rollout = Box::new(self.rollout.clone());
        let at = self.at();
        handle.send(Job::Compare { rollout, at }).unwrap();
        assert!(handle.close(Duration::from_secs(30)));
        let told: Vec<_> = told.iter().collect();
        assert!(told.contains(&same()), "{told:?}");
        told.into_iter()
            .filter(|event| !matches!(event, JournalEvent::Recorded { .. }) && *event != same())
            .collect()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("journal"))
            .collect();
        names.sort();
        names
    }
}

fn same() -> JournalEvent {
    JournalEvent::Compared { differs: vec![] }
}

fn turned(closed: &str) -> JournalEvent {
    let closed = closed.to_owned();
    JournalEvent::Turned { closed }
}

#[test]
fn a_journal_turns_once_a_month_and_tells_the_same() {
    assert_eq!(SEGMENT_AGE_MS, 30 * DAY_MS);
    let mut year = Year::new();
    assert_eq!(
        year.run(31, None),
        [],
        "thirty days are no more than thirty"
    );
    let told = year.run(35, None);
    let (first, second) = ("journal-0000000001.jsonl", "journal-0000000033.jsonl");
    assert_eq!(told, [turned(first), turned(second)]);
    assert_eq!(year.files(), [first, second, JOURNAL]);
    let opened = year.open(None);
    assert_eq!(opened.entries.len(), 4, "a checkpoint and three days");
    assert_eq!(Rollout::fold(&opened.entries), year.rollout);
    drop(opened);

    let all = read_all(year.dir.path()).unwrap();
    assert_eq!(all.len(), 66 + 2);
    assert_eq!(Rollout::fold(&all), year.rollout);
    let own = |entry: &&Entry| !matches!(entry.action, Action::Checkpoint(_));
    let numbers: Vec<_> = all.iter().filter(own).map(|it| it.stamp.sequence).collect();
    assert_eq!(numbers, (1..=66).collect::<Vec<_>>());
    let one = history(&year.dir.path().join(second)).unwrap();
    assert_eq!(
        (one.lines.len(), one.damage),
        (32, None),
        "a file by itself"
    );

    let tail = |n| -> Vec<_> {
        let entries = tail(year.dir.path(), n).unwrap();
        let number = |entry: &Value| entry["sequence"].as_u64().unwrap();
        entries.iter().map(number).collect()
    };
    assert_eq!(tail(3), [64, 65, 66]);
    assert_eq!(tail(40), (27..=66).collect::<Vec<_>>());
    assert_eq!(tail(1000), (1..=66).collect::<Vec<_>>());
}

#[test]
fn a_segment_that_has_grown_by_its_size_is_closed() {
    let mut year = Year::new();
    let first = year.next();
    let mut bytes = bytes_of(std::slice::from_ref(&first));
    let (_, mut previous) = line::encode(&first, "");
    // One line that is as long as a segment may be.
    let mut long = year.next();
    let room = usize::try_from(SEGMENT_BYTES).unwrap() - bytes.len();
    let (line, _) = line::encode(&long, &previous);
    long.reason.push_str(&"x".repeat(room - line.len()));
    let (line, checksum) = line::encode(&long, &previous);
    bytes.extend(line);
    previous = checksum;
    assert_eq!(bytes.len() as u64, SEGMENT_BYTES);
    assert!(!previous.is_empty());
    fs::write(year.dir.path().join(JOURNAL), &bytes).unwrap();
    let told = year.run(1, None);
    assert_eq!(told, [turned("journal-0000000001.jsonl")], "one byte more");
    assert_eq!(year.run(3, None), [], "and it does not turn again");
}

#[test]
fn old_segments_are_deleted_by_policy_and_it_is_said() {
    let mut year = Year::new();
    let keep = Some(Duration::from_hours(24 * 70));
    let told = year.run(124, keep);
    let pruned = |told: &[JournalEvent]| -> Vec<String> {
        let files = told.iter().filter_map(|event| match event {
            JournalEvent::Pruned { files } => Some(files.clone()),
            _ => None,
        });
        files.flatten().collect()
    };
    let gone = pruned(&told);
    assert_eq!(
        gone,
        ["journal-0000000001.jsonl"],
        "its last entry is of day 32"
    );
    assert_eq!(year.files().len(), 3);
    let kept = history(year.dir.path()).unwrap();
    assert_eq!(kept.damage, None);
    assert_eq!(kept.notes.len(), 1);
    assert!(kept.notes[0].contains("journal-0000000001.jsonl was deleted"));
    let entries: Vec<_> = kept.lines.iter().map(|line| &line.entry).collect();
    assert_eq!(Rollout::fold(entries), year.rollout);

    // A process that starts long after finds all but the running one too old.
    year.day += 400;
    let opened = year.open(keep);
    assert!(opened.notes.is_empty(), "{:?}", opened.notes);
    let (events, told) = std::sync::mpsc::channel();
    let tell = move |event| events.send(event).unwrap();
    let handle = opened.keeper.spawn(tell).unwrap();
    let (rollout, at) = (Box::new(year.rollout.clone()), year.at());
    handle.send(Job::Compare { rollout, at }).unwrap();
    assert!(handle.close(Duration::from_secs(30)));
    assert_eq!(pruned(&told.iter().collect::<Vec<_>>()).len(), 2);
    assert_eq!(year.files(), [JOURNAL]);
    assert_eq!(Rollout::fold(&year.open(None).entries), year.rollout);
}

/// A copy of a state directory, by name and content; names in `linked` are one file.
fn copy(files: &[(&str, &[u8])], linked: Option<&str>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    Latch::open(dir.path(), true).unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    if let Some(name) = linked {
        fs::hard_link(dir.path().join(JOURNAL), dir.path().join(name)).unwrap();
    }
    dir
}

fn found(dir: &Path) -> (Rollout, Vec<String>) {
    let opened = open(dir, None, Wall(START)).unwrap();
    assert_eq!(opened.latched, None, "{:?}", opened.notes);
    (Rollout::fold(&opened.entries), opened.notes)
}

#[test]
fn a_crash_between_any_two_steps_of_a_turn_leaves_the_old_or_the_new_journal() {
    let mut year = Year::new();
    year.run(31, None);
    let path = year.dir.path().join(JOURNAL);
    let before = fs::read(&path).unwrap();
    year.run(1, None);
    let first = "journal-0000000001.jsonl";
    let closed = fs::read(year.dir.path().join(first)).unwrap();
    let next = fs::read(&path).unwrap();
    assert!(closed.starts_with(&before) && closed.len() > before.len());

    // The next segment is being written, or is whole.
    for cut in [0, 1, next.len() / 2, next.len()] {
        let dir = copy(&[(JOURNAL, &closed), ("journal.tmp", &next[..cut])], None);
        assert_eq!(found(dir.path()), (year.rollout.clone(), vec![]));
    }
    // The running one has its second name, and was not renamed over.
    let dir = copy(&[(JOURNAL, &closed), ("journal.tmp", &next)], Some(first));
    assert_eq!(read_all(dir.path()).unwrap().len(), 32, "no entry twice");
    let (rollout, notes) = found(dir.path());
    assert_eq!((&rollout, notes.len()), (&year.rollout, 1), "{notes:?}");
    assert!(!dir.path().join(first).exists());
    assert_eq!(found(dir.path()).1, Vec::<String>::new(), "said once");
    // The same where the disk kept another file under each name.
    let dir = copy(&[(JOURNAL, &closed), (first, &closed)], None);
    assert_eq!(found(dir.path()).0, year.rollout);
    assert!(!dir.path().join(first).exists());
    // It was renamed.
    let dir = copy(&[(JOURNAL, &next), (first, &closed)], None);
    assert_eq!(found(dir.path()), (year.rollout.clone(), vec![]));
    assert!(dir.path().join(first).exists());
}

#[test]
fn a_turn_that_fails_leaves_everything_and_comes_again() {
    let mut year = Year::new();
    year.run(31, None);
    let first = year.dir.path().join("journal-0000000001.jsonl");
    // A name that is taken by something else.
    fs::write(&first, "of somebody else").unwrap();
    let told = year.run(2, None);
    let failures = told
        .iter()
        .filter(|event| matches!(event, JournalEvent::Failed { what: "turn", .. }));
    assert_eq!(failures.count(), told.len(), "{told:?}");
    assert_eq!(told.len(), 2, "an entry a day: a try a day");
    assert_eq!(fs::read_to_string(&first).unwrap(), "of somebody else");
    assert_eq!(year.files().len(), 2, "and nothing beside it");
    fs::remove_file(&first).unwrap();
    let told = year.run(1, None);
    assert_eq!(told, [turned("journal-0000000001.jsonl")]);
    assert_eq!(read_all(year.dir.path()).unwrap().len(), 34 + 1);
}

#[test]
fn a_journal_that_is_gone_beside_its_segments_is_damage() {
    let mut year = Year::new();
    year.run(35, None);
    let (sequence, generation) = (year.rollout.sequence(), year.rollout.generation());
    fs::remove_file(year.dir.path().join(JOURNAL)).unwrap();
    assert!(matches!(
        read_all(year.dir.path()),
        Err(ReadError::Damaged(_))
    ));
    let opened = year.open(None);
    assert!(opened.latched.unwrap().contains("it is gone"));
    let rollout = Rollout::fold(&opened.entries);
    assert_eq!(rollout.phase(), Phase::Reversed);
    assert!(rollout.sequence() > sequence && rollout.generation() > generation);
    assert_eq!(rollout.tenants().count(), 7, "the disabled ones stay so");
    drop(opened.keeper);
    let again = year.open(None);
    assert_eq!(Rollout::fold(&again.entries), rollout, "and it stays so");
    let all = read_all(year.dir.path()).unwrap();
    assert_eq!(
        Rollout::fold(&all),
        rollout,
        "with what came before as well"
    );
}

#[test]
fn damage_to_the_checkpoint_forgets_no_number_and_no_disabled_tenant() {
    let mut year = Year::new();
    year.run(40, None);
    let path = year.dir.path().join(JOURNAL);
    let mut bytes = fs::read(&path).unwrap();
    bytes[60] ^= 1;
    fs::write(&path, bytes).unwrap();
    let opened = year.open(None);
    assert!(opened.latched.is_some());
    let rollout = Rollout::fold(&opened.entries);
    assert!(rollout.sequence() > year.rollout.sequence());
    assert!(rollout.generation() > year.rollout.generation());
    assert!(rollout.tenants().count() >= 5);
}

#[test]
fn a_segment_that_was_changed_swapped_or_lost_in_the_middle_is_said() {
    let mut year = Year::new();
    year.run(100, None);
    let [first, second, third, _] = year.files().try_into().unwrap();
    let at = |name: &str| year.dir.path().join(name);
    let damage = || match read_all(year.dir.path()) {
        Err(ReadError::Damaged(damage)) => damage.to_string(),
        other => panic!("{other:?}"),
    };
    let whole = fs::read(at(&second)).unwrap();

    fs::remove_file(at(&second)).unwrap();
    let said = format!("{third}: it goes on from {second}, which is not there behind {first}");
    assert_eq!(damage(), said);

    let short = whole.len()
        - 1
        - whole
            .iter()
            .rev()
            .skip(1)
            .position(|b| *b == b'\n')
            .unwrap();
    fs::write(at(&second), &whole[..short]).unwrap();
    let said =
        format!("{third}: it goes on from {second}, which is not as it was when it was closed");
    assert_eq!(damage(), said);

    let mut flipped = whole.clone();
    flipped[whole.len() - 100] ^= 1;
    fs::write(at(&second), &flipped).unwrap();
    assert!(damage().starts_with(&format!("{second}: line 32 cannot be believed")));

    fs::write(at(&second), &whole).unwrap();
    assert_eq!(read_all(year.dir.path()).unwrap().len(), 103);
    // The running process does not need them: it begins with a checkpoint.
    fs::write(at(&second), "scribble").unwrap();
    assert_eq!(found(year.dir.path()), (year.rollout.clone(), vec![]));
}

#[test]
fn what_was_written_by_somebody_else_is_a_difference() {
    let mut year = Year::new();
    year.run(4, None);
    let opened = year.open(None);
    let (events, told) = std::sync::mpsc::channel();
    let tell = move |event| events.send(event).unwrap();
    let handle = opened.keeper.spawn(tell).unwrap();
    // The thread that compared before may still be ending: then this one is left out.
    let compare = |rollout: &Rollout| loop {
        let (rollout, at) = (Box::new(rollout.clone()), year.at());
        handle.send(Job::Compare { rollout, at }).unwrap();
        match told.recv_timeout(Duration::from_millis(500)) {
            Ok(JournalEvent::Compared { differs }) => break differs,
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    };
    assert_eq!(compare(&year.rollout), Vec::<String>::new());
    let older = compare(&Rollout::default());
    assert!(!older.is_empty(), "{older:?}");
    let path = year.dir.path().join(JOURNAL);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("because", "becausé")).unwrap();
    let differs = compare(&year.rollout);
    assert!(differs[0].contains("cannot be read back"), "{differs:?}");
}
