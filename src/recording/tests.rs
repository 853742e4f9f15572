use std::fs;
use std::path::Path;

use super::*;
use crate::document::Flaw;
use crate::health::Answer;
use crate::measure::{
    Answered, CallEnd, Cause, Ended, Health, Kind, Outcome, Placed, RescueResult, Rescued, Voice,
    Why,
};
use crate::model::{CallKey, TenantKey};
use crate::split::{Because, Placement};

const NOW: Tick = Tick(3_700_000_000);
const WALL: Wall = Wall(1_795_000_000_000);

fn before(ms: u64) -> Tick {
    NOW - Duration::from_millis(ms)
}

fn state() -> State {
    State {
        epoch: Tick(3_600_000_000),
        spent: 4,
        generation: 7,
        percentage: Percentage::new(12.5).unwrap(),
        latched: false,
        config: "0123456789ab".into(),
    }
}

/// The lines of one tick with these observations.
fn written(recorder: &mut Recorder, now: Tick, observations: &[Observation]) -> Vec<u8> {
    let mut lines = Vec::new();
    let moment = Moment {
        now,
        wall: Wall(WALL.0 + i64::try_from(now.since(NOW).as_millis()).unwrap()),
        active: PerBackend { legacy: 3, new: 1 },
        state: &state(),
    };
    recorder.tick(&mut lines, &moment, observations, &[]);
    lines
}

fn read_back(lines: &[u8]) -> Vec<Result<Recorded, String>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("day.jsonl");
    fs::write(&path, lines).unwrap();
    read(&path).collect()
}

/// One of each kind that a row can judge.
fn observations() -> Vec<Observation> {
    let call = Some(CallKey(0xfeed));
    let placement = Placement {
        backend: Backend::New,
        because: Because::Hashed,
    };
    let placed = Placed {
        at: before(90),
        placement,
        call,
        begins: true,
        after_latch: false,
        starts: true,
    };
    let answered = Answered {
        at: before(40),
        backend: Backend::New,
        route: 2,
        kind: Kind::Voice,
        outcome: Outcome::Failed(Cause::Document),
        latency_us: Some(50_123),
        overhead_us: 0,
        flaw: Some(Flaw::Html),
        voice: Some(Voice {
            tenant: TenantKey(11),
            failed: true,
            previous: Some(before(61_040)),
            previous_failed: None,
        }),
        speech: Some(false),
        choice: None,
        data_us: None,
        counts: true,
        generation: 7,
        call,
    };
    let event = Answered {
        kind: Kind::Event,
        outcome: Outcome::Served,
        flaw: None,
        voice: None,
        speech: None,
        counts: false,
        call: None,
        ..answered
    };
    let ended = Ended {
        at: before(0),
        began: before(65_000),
        backend: Backend::Legacy,
        tenant: TenantKey::NONE,
        end: CallEnd::Abandoned,
        duration_s: Some(65),
        generation: 6,
        counts: true,
        failed: true,
    };
    let health = Health {
        at: before(5),
        backend: Backend::New,
        answer: Answer::Status(503),
        took_us: 900,
    };
    let rescued = Rescued {
        at: before(39),
        route: 2,
        call,
        from: Backend::New,
        why: Why::Failed,
        result: RescueResult::Served,
        counts: true,
    };
    vec![
        Observation::Placed(placed),
        Observation::Answered(answered),
        Observation::Answered(event),
        Observation::Ended(ended),
        Observation::Health(health),
        Observation::Health(Health {
            answer: Answer::Missing(Cause::Timeout),
            ..health
        }),
        Observation::Rescued(rescued),
    ]
}

/// Without what is hashed.
fn unnamed(mut observation: Observation) -> Observation {
    match &mut observation {
        Observation::Answered(it) => {
            if let Some(voice) = &mut it.voice {
                voice.tenant = TenantKey::NONE;
            }
        }
        Observation::Ended(it) => it.tenant = TenantKey::NONE,
        _ => {}
    }
    observation
}

#[test]
fn what_is_written_is_read_back_with_its_moments() {
    let lines = written(&mut Recorder::new(5), NOW, &observations());
    let read: Vec<Recorded> = (read_back(&lines).into_iter())
        .map(|line| line.unwrap())
        .collect();
    assert_eq!(read[0].what, What::State(state()));
    let active = PerBackend { legacy: 3, new: 1 };
    assert_eq!(read[1].what, What::Tick { tick: NOW, active });
    assert_eq!(read[1].at, WALL);
    assert_eq!(read[2].at, Wall(WALL.0 - 90));
    let told: Vec<Observation> = (read[2..].iter())
        .map(|recorded| match &recorded.what {
            What::Observation(observation) => unnamed(*observation),
            what => panic!("{what:?}"),
        })
        .collect();
    let expected: Vec<Observation> = observations().into_iter().map(unnamed).collect();
    assert_eq!(told, expected);
}

#[test]
fn reports_are_read_back_and_their_ids_are_hashes() {
    let mut recorder = Recorder::new(5);
    let kinds = [
        ReportKind::CriticalError,
        ReportKind::Complaint,
        ReportKind::Incident,
        ReportKind::MemoryUsed(0.75),
        ReportKind::CpuUsed(0.5),
        ReportKind::Transactions(12),
    ];
    let reports: Vec<Report> = (kinds.into_iter())
        .map(|kind| recorder.report((Backend::New, kind), None, Some("ticket 4155550142")))
        .collect();
    let moment = Moment {
        now: NOW,
        wall: WALL,
        active: PerBackend::default(),
        state: &state(),
    };
    let mut lines = Vec::new();
    recorder.tick(&mut lines, &moment, &[], &reports);
    recorder.lost(&mut lines, WALL, 17);
    assert!(
        !String::from_utf8(lines.clone())
            .unwrap()
            .contains("4155550142")
    );
    let read: Vec<What> = (read_back(&lines).into_iter().skip(2))
        .map(|line| line.unwrap().what)
        .collect();
    let mut expected: Vec<What> = reports.into_iter().map(What::Report).collect();
    expected.push(What::Lost(17));
    assert_eq!(read, expected);
}

#[test]
fn a_tenant_is_told_apart_and_not_told() {
    let voice_of = |tenant: &str, seed| {
        let mut observation = observations().swap_remove(1);
        if let Observation::Answered(it) = &mut observation {
            it.voice.as_mut().unwrap().tenant = TenantKey::new(tenant);
        }
        let lines = written(&mut Recorder::new(seed), NOW, &[observation]);
        match read_back(&lines).pop().unwrap().unwrap().what {
            What::Observation(Observation::Answered(it)) => it.voice.unwrap().tenant,
            what => panic!("{what:?}"),
        }
    };
    let one = voice_of("+14155550142", 5);
    assert_eq!(one, voice_of("+14155550142", 5));
    assert_ne!(one, voice_of("+14155550143", 5));
    assert_ne!(one, voice_of("+14155550142", 6), "it is keyed");
    assert_ne!(
        one,
        TenantKey::new("+14155550142"),
        "nor is it the plain hash"
    );
}

#[test]
fn a_tick_without_news_is_told_every_ten_seconds_and_not_more_often() {
    let mut recorder = Recorder::new(5);
    assert!(!written(&mut recorder, NOW, &[]).is_empty(), "the first");
    let after = |secs| NOW + Duration::from_secs(secs);
    assert!(written(&mut recorder, after(9), &[]).is_empty());
    let lines = written(&mut recorder, after(10), &[]);
    let text = String::from_utf8(lines).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains("active"), "it did not change: {text}");
    recorder.begin_file();
    let lines = written(&mut recorder, after(11), &[]);
    let text = String::from_utf8(lines).unwrap();
    assert!(text.contains("state") && text.contains("active"), "{text}");
}

#[test]
fn a_torn_last_line_is_left_out_and_a_broken_one_is_named() {
    let lines = written(&mut Recorder::new(5), NOW, &observations());
    let torn = &lines[..lines.len() - 9];
    let read = read_back(torn);
    assert!(read.iter().all(Result::is_ok));
    assert_eq!(read.len(), 8, "of nine");

    let text = String::from_utf8(lines).unwrap();
    for (from, to, said) in [
        ("\"what\":\"answered\"", "\"what\":\"answered", ":4: "),
        (
            "hashed",
            "hushed",
            ":3: `hushed` is no word of this version",
        ),
        (
            "\"time\":\"2",
            "\"time\":\"x",
            ":1: its `time` is no moment",
        ),
    ] {
        let read = read_back(text.replacen(from, to, 1).as_bytes());
        let broken: Vec<&String> = read.iter().filter_map(|it| it.as_ref().err()).collect();
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert!(broken[0].contains(said), "{broken:?} says {said}");
        assert_eq!(read.len(), 9, "the others follow");
    }
}

#[test]
fn a_list_of_numbers_is_no_recording_and_is_not_repeated() {
    let read = read_back(b"14155550142\n\"+14155550142\"\n[14155550142]\n");
    assert_eq!(read.len(), 3);
    for line in read {
        let why = line.unwrap_err();
        assert!(!why.contains("4155550142"), "{why}");
    }
}

#[test]
fn a_line_of_a_later_version_is_passed_over() {
    let mut lines = written(&mut Recorder::new(5), NOW, &[]);
    lines.extend_from_slice(b"{\"time\":\"2026-11-20T10:00:00Z\",\"what\":\"dreamt\",\"of\":1}\n");
    assert_eq!(read_back(&lines).len(), 2);
}

#[test]
fn a_file_that_is_not_there_and_one_that_is_no_recording_are_said() {
    let gone: Vec<_> = read(Path::new("/nowhere/day.jsonl")).collect();
    assert_eq!(gone.len(), 1);
    assert!(
        gone[0]
            .as_ref()
            .unwrap_err()
            .contains("/nowhere/day.jsonl cannot be read")
    );
    let endless = read_back(&vec![b'x'; usize::try_from(LINE_MAX).unwrap() + 10]);
    assert_eq!(endless.len(), 1);
    assert!(endless[0].as_ref().unwrap_err().contains("no recording"));
}
