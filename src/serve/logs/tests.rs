use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::engine::Status;
use crate::measure::{
    Answered, CallEnd, Checked, Ended, Found, Kind, Outcome, Placed, RescueResult, Rescued, Voice,
    Why,
};
use crate::model::{Backend, CallKey, TenantKey};
use crate::rollout::{Command, List, Order, Rollout};
use crate::serve::memory::Memory;
use crate::split::{Because, Placement};

const NOW: Tick = Tick(3_700_000_000);
const WALL: Wall = Wall(1_795_000_000_000);

fn looked() -> Looked {
    let known = Memory::new(Vec::new()).hear(&[], &Status::default(), NOW);
    Looked {
        now: NOW,
        wall: WALL,
        active: PerBackend::default(),
        state: State {
            epoch: Tick(0),
            spent: 0,
            generation: 1,
            percentage: crate::model::Percentage::FULL,
            latched: false,
            config: "0123456789ab".into(),
        },
        known,
    }
}

/// All three files in a directory.
fn all(dir: &Path) -> config::Log {
    config::Log {
        access: config::Access::File(dir.join("access")),
        outcomes: Some(dir.join("outcomes")),
        decisions: Some(config::Decisions {
            path: dir.join("decisions"),
            sample: 1.0,
        }),
        ..config::Log::default()
    }
}

fn read(dir: &Path) -> [String; 3] {
    ["access", "outcomes", "decisions"]
        .map(|name| std::fs::read_to_string(dir.join(name)).unwrap_or_default())
}

fn finish(mut logs: Logs) {
    logs.close(Duration::from_secs(20));
}

/// A call of this number, as the edge tells of it.
fn call(number: &str, seed: u64) -> Vec<Observation> {
    let call = Some(CallKey::new(number, seed));
    let tenant = TenantKey::new(number);
    let pressed = number.bytes().next_back();
    let answered = Answered {
        at: NOW,
        backend: Backend::New,
        route: 0,
        kind: Kind::Voice,
        outcome: Outcome::Served,
        latency_us: Some(1500),
        overhead_us: 20,
        flaw: None,
        voice: Some(Voice {
            tenant,
            failed: false,
            previous: None,
            previous_failed: None,
        }),
        speech: None,
        choice: pressed,
        data_us: None,
        counts: true,
        generation: 1,
        call,
    };
    vec![
        Observation::Placed(Placed {
            at: NOW,
            placement: Placement {
                backend: Backend::New,
                because: Because::Hashed,
            },
            call,
            begins: true,
            after_latch: false,
            starts: true,
        }),
        Observation::Answered(answered),
        Observation::Rescued(Rescued {
            at: NOW,
            route: 0,
            call,
            from: Backend::New,
            why: Why::Failed,
            result: RescueResult::Served,
            counts: true,
        }),
        Observation::Ended(Ended {
            at: NOW,
            began: NOW,
            backend: Backend::New,
            tenant,
            end: CallEnd::Served,
            duration_s: Some(30),
            generation: 1,
            counts: true,
            failed: false,
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_number_stands_in_any_of_the_files(number in "\\+[1-9][0-9]{9,13}", seed: u64) {
        let dir = tempfile::tempdir().unwrap();
        let mut logs = Logs::start(&all(dir.path()), seed).unwrap();
        let order = Order {
            waives: crate::rollout::Waives::default(),
            actor: format!("operator {number}"),
            reason: format!("{number} complained"),
            command: Command::Tenant { id: number.clone(), list: Some(List::Disabled) },
        };
        let mut rollout = Rollout::default();
        let start = Order { command: Command::Percentage(crate::model::Percentage::FULL), ..order.clone() };
        let start = rollout.decide(&start, WALL).unwrap();
        rollout.apply(&start);
        logs.entry(&rollout.decide(&order, WALL).unwrap());
        logs.report(&Reported {
            id: Some(number.clone()),
            kind: crate::measure::ReportKind::Complaint,
            backend: Backend::New,
            tenant: Some(number.clone()),
            message: number.clone(),
        });
        logs.write(&call(&number, seed), looked(), || vec!["/ivr".to_owned()]);
        finish(logs);
        let digits = number.trim_start_matches('+');
        let hash = format!("{:016x}", TenantKey::new(&number).0);
        for (file, lines) in read(dir.path()).iter().zip([1, 7, 3]) {
            prop_assert!(!file.contains(digits), "{file}");
            prop_assert!(!file.contains(&hash), "anybody can make that hash: {file}");
            prop_assert!(!file.contains("choice"), "{file}");
            prop_assert_eq!(file.lines().count(), lines, "{}", file);
        }
    }
}

fn rejected() -> Observation {
    Observation::Checked(Checked {
        at: NOW,
        route: 0,
        found: Found::Rejected,
        counts: false,
        refused: true,
    })
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_lines_and_counts_them_for_each_file() {
    let full = || PathBuf::from("/dev/full");
    let log = config::Log {
        access: config::Access::File(full()),
        outcomes: Some(full()),
        decisions: Some(config::Decisions {
            path: full(),
            sample: 1.0,
        }),
        ..config::Log::default()
    };
    let mut logs = Logs::start(&log, 5).unwrap();
    for _ in 0..50 {
        let mut observations = call("+14155550142", 5);
        observations.push(rejected());
        logs.write(&observations, looked(), Vec::new);
    }
    let lost = Arc::clone(&logs.lost);
    finish(logs);
    let lost = Which::ALL.map(|which| lost[which as usize].load(Ordering::Relaxed));
    assert_eq!(lost, [100, 200, 100]);
}

#[test]
fn after_a_disk_that_was_full_come_whole_lines_that_tell_of_the_gap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outcomes");
    // A directory in its place: the file cannot be put aside, nor opened anew.
    let lost = Lost::default();
    let own = Some(Rotation { size: 1, files: 2 });
    let log = Log::open(Which::Outcomes, &path, own, Arc::clone(&lost)).unwrap();
    let mut writer = Writer {
        access: None,
        outcomes: Some(log),
        recorder: Recorder::new(5),
        told_lost: 0,
        decisions: None,
        trace: Trace::new(5, 0.0),
        last: (NOW, WALL),
    };
    let batch = || Batch {
        observations: call("+14155550142", 5),
        reports: Vec::new(),
        entries: Vec::new(),
        routes: Vec::new(),
        looked: looked(),
    };
    let mut lines = Vec::new();
    writer.batch(&mut lines, &batch());
    let aside = dir.path().join("outcomes.1");
    std::fs::create_dir_all(aside.join("in the way")).unwrap();
    writer.batch(&mut lines, &batch());
    writer.batch(&mut lines, &batch());
    assert_eq!(lost[Which::Outcomes as usize].load(Ordering::Relaxed), 8);
    std::fs::remove_dir_all(&aside).unwrap();
    writer.batch(&mut lines, &batch());
    writer.batch(&mut lines, &batch());
    let told: Vec<_> = crate::recording::read(&aside).collect();
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    let first = told[0].as_ref().unwrap();
    assert_eq!(first.what, crate::recording::What::Lost(8));
    assert!(matches!(
        told[1].as_ref().unwrap().what,
        crate::recording::What::State(_)
    ));
}

#[test]
fn with_no_file_there_is_no_thread_and_nothing_waits() {
    let mut logs = Logs::start(&config::Log::default(), 5).unwrap();
    assert!(logs.jobs.is_none());
    logs.write(&call("+14155550142", 5), looked(), Vec::new);
    logs.reopen();
    finish(logs);
}

#[test]
fn files_that_were_moved_away_are_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut logs = Logs::start(&all(dir.path()), 5).unwrap();
    let observations = call("+14155550142", 5);
    logs.write(&observations, looked(), Vec::new);
    // Its thread writes when it comes to it.
    while read(dir.path()).iter().any(String::is_empty) {
        std::thread::yield_now();
    }
    for name in ["access", "outcomes", "decisions"] {
        let path = dir.path().join(name);
        std::fs::rename(&path, path.with_extension("1")).unwrap();
    }
    logs.reopen();
    logs.write(&observations, looked(), Vec::new);
    finish(logs);
    let files = read(dir.path());
    assert!(files.iter().all(|file| !file.is_empty()), "{files:?}");
    assert!(files[1].contains("\"what\":\"state\""), "{}", files[1]);
}
