use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use super::*;
use crate::desk::Backup;
use crate::engine;
use crate::model::Percentage;
use crate::post::Poster;
use crate::rollout::RestoreOrder;
use tokio::sync::{mpsc, oneshot};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

fn sh(script: &str) -> Call {
    let words = ["/bin/sh", "-c", script];
    Call::Command(words.map(str::to_owned).into())
}

fn hook(on: Moment, call: Call) -> Hook {
    Hook {
        on,
        stage: None,
        call,
        timeout: LONG,
    }
}

fn begins(id: u64) -> engine::Hook {
    engine::Hook {
        id,
        moment: Moment::BeforeStage,
        stage: Some("pilot".to_owned()),
        tenant: Some("+13125550100".to_owned()),
        percentage: Percentage::new(12.5).unwrap(),
        reason: "asked by +14155550142".to_owned(),
    }
}

fn start(hooks: Vec<Hook>, data: Option<Data>, dir: &Path) -> (Hooks, mpsc::Receiver<Answer>) {
    Hooks::start(Settings { hooks, data }, dir.to_owned()).unwrap()
}

fn hooked(answers: &mut mpsc::Receiver<Answer>) -> (u64, Result<(), String>) {
    match answers.blocking_recv() {
        Some(Answer::Hooked { id, result }) => (id, result),
        other => panic!("{other:?} is no hook's"),
    }
}

/// An address that answers each POST with the next of these statuses, and the bodies.
fn address(statuses: &'static [u16]) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/s3cret", listener.local_addr().unwrap());
    let heard = thread::spawn(move || {
        let serve = |status: &u16| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut piece = [0; 4096];
            while !asked.ends_with(b"}") {
                let got = stream.read(&mut piece).unwrap();
                asked.extend_from_slice(&piece[..got]);
            }
            write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").unwrap();
            let text = String::from_utf8(asked).unwrap();
            text.split_once("\r\n\r\n").unwrap().1.to_owned()
        };
        statuses.iter().map(serve).collect()
    });
    (url, heard)
}

#[test]
fn a_program_is_told_in_a_small_environment_and_hooks_run_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    let script = |more: &str| sh(&format!("{{ {more}; }} >> {}", file.display()));
    let hooks = vec![
        hook(Moment::BeforeStage, script("env; echo first")),
        hook(Moment::BeforeStage, script("echo second")),
        hook(Moment::Complete, script("echo another moment")),
        Hook {
            stage: Some("later".to_owned()),
            ..hook(Moment::BeforeStage, script("echo another stage"))
        },
    ];
    let (hooks, mut answers) = start(hooks, None, dir.path());
    assert_eq!(
        hooks.settings().moments(),
        [Moment::BeforeStage, Moment::Complete]
    );
    hooks.tell(begins(1)).unwrap();
    hooks.tell(begins(2)).unwrap();
    assert_eq!(hooked(&mut answers), (1, Ok(())));
    assert_eq!(hooked(&mut answers), (2, Ok(())));
    let said = fs::read_to_string(&file).unwrap();
    let plain: Vec<_> = said.lines().filter(|line| !line.contains('=')).collect();
    assert_eq!(plain, ["first", "second", "first", "second"]);
    let env: HashMap<_, _> = said
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    assert_eq!(env["SWITCHBACK_MOMENT"], "before-stage");
    assert_eq!(env["SWITCHBACK_STAGE"], "pilot");
    assert_eq!(env["SWITCHBACK_TENANT"], "+13125550100", "to be acted on");
    assert_eq!(env["SWITCHBACK_PERCENTAGE"], "12.5");
    assert_eq!(env["SWITCHBACK_REASON"], "asked by +…42");
    let known = ["PATH", "HOME", "LANG", "PWD", "SHLVL", "_", "OLDPWD"];
    let foreign = |name: &&str| !name.starts_with("SWITCHBACK_") && !known.contains(name);
    assert_eq!(env.keys().copied().find(foreign), None);
    assert!(hooks.close(LONG));
}

#[test]
fn all_are_told_and_the_first_failure_is_the_moment_s() {
    let dir = tempfile::tempdir().unwrap();
    let third = dir.path().join("third");
    let hooks = vec![
        hook(
            Moment::BeforeStage,
            sh("echo no pods for +14155550142 >&2; exit 3"),
        ),
        hook(Moment::BeforeStage, sh("exit 4")),
        hook(
            Moment::BeforeStage,
            sh(&format!("touch {}", third.display())),
        ),
    ];
    let (hooks, mut answers) = start(hooks, None, dir.path());
    hooks.tell(begins(7)).unwrap();
    let why = hooked(&mut answers).1.unwrap_err();
    for part in ["/bin/sh: it ", "exit status: 3", "no pods for +…42"] {
        assert!(why.contains(part), "{why}");
    }
    assert!(third.exists());
    // One that does not exist, in settings that came later.
    hooks.set(Settings {
        hooks: vec![hook(
            Moment::BeforeStage,
            Call::Command(vec!["/nowhere/x".to_owned()]),
        )],
        data: None,
    });
    hooks.tell(begins(8)).unwrap();
    let why = hooked(&mut answers).1.unwrap_err();
    assert!(why.contains("could not be started"), "{why}");
}

#[test]
fn a_program_that_takes_too_long_is_ended_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let alive = dir.path().join("alive");
    // The one in the background would come back after its parent is gone.
    let script = format!("(sleep 0.5; touch {}) & sleep 30", alive.display());
    let hooks = vec![Hook {
        timeout: SHORT,
        ..hook(Moment::BeforeStage, sh(&script))
    }];
    let (hooks, mut answers) = start(hooks, None, dir.path());
    hooks.tell(begins(1)).unwrap();
    let why = hooked(&mut answers).1.unwrap_err();
    assert!(why.contains("did not end within 0.1 s"), "{why}");
    thread::sleep(Duration::from_millis(600));
    assert!(!alive.exists());
}

#[test]
fn a_full_queue_fails_at_once_and_one_less_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = vec![hook(Moment::BeforeStage, sh("sleep 30"))];
    let (hooks, mut answers) = start(hooks, None, dir.path());
    let moments = |told: &engine::Hook| told.moment;
    assert_eq!(moments(&begins(0)), Moment::BeforeStage);
    // One may be under way already, so there is room for as many, or for one more.
    let fits = (0..=runner::WAITING as u64).take_while(|id| hooks.tell(begins(*id)).is_ok());
    assert!(fits.count() >= runner::WAITING);
    while hooks.tell(begins(99)).is_ok() {}
    let why = hooks.tell(begins(99)).unwrap_err();
    assert!(why.contains("wait already"), "{why}");
    assert!(!hooks.close(Duration::ZERO), "what runs is ended");
    assert!(answers.blocking_recv().is_none());
}

#[tokio::test]
async fn an_address_is_told_in_json_and_again_only_where_nobody_waits_for_it() {
    for (moment, statuses, good) in [
        (Moment::Reversal, &[503, 500, 204][..], true),
        (Moment::Reversal, &[503, 503, 503][..], false),
        (Moment::Reversal, &[404][..], false),
        (Moment::BeforeStage, &[503][..], false),
        (Moment::BeforeStage, &[200][..], true),
    ] {
        let (url, heard) = address(statuses);
        let hooks = [hook(moment, Call::Post { url })];
        assert!(!format!("{hooks:?}").contains("s3cret"), "{hooks:?}");
        let what = engine::Hook {
            moment,
            ..begins(1)
        };
        let told = tell::Told {
            what: &what,
            at: crate::model::Wall(1_800_000_000_000),
            pauses: &[Duration::ZERO; 2],
        };
        let result = told.tell(&hooks, &Poster::default()).await;
        assert_eq!(result.is_ok(), good, "{moment:?} {statuses:?}: {result:?}");
        assert!(!format!("{result:?}").contains("s3cret"), "{result:?}");
        let heard = heard.join().unwrap();
        assert_eq!(heard.len(), statuses.len());
        let json: serde_json::Value = serde_json::from_str(&heard[0]).unwrap();
        let expected = serde_json::json!({
            "moment": moment.name(),
            "stage": "pilot",
            "tenant": "…00",
            "percentage": 12.5,
            "reason": "asked by +…42",
            "at": "2027-01-15T08:00:00Z",
        });
        assert_eq!(json, expected);
    }
}

fn data(list: &str, restore: &str) -> Option<Data> {
    let words = |script: &str| ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let mut restore = words(restore);
    // `$0`, where the script finds the id.
    restore.push("{backup}".to_owned());
    Some(Data {
        list: words(list),
        restore,
        timeout: LONG,
    })
}

fn order(backup: &str) -> RestoreOrder {
    RestoreOrder {
        backup: backup.to_owned(),
        actor: "operator via cli".to_owned(),
        reason: "corrupt".to_owned(),
    }
}

fn listed(hooks: &Hooks) -> Result<Vec<Backup>, engine::Refusal> {
    let (reply, answer) = oneshot::channel();
    hooks.list(reply);
    answer.blocking_recv().unwrap()
}

fn restored(answers: &mut mpsc::Receiver<Answer>) -> Restore {
    match answers.blocking_recv() {
        Some(Answer::Restored(restore)) => restore,
        other => panic!("{other:?} is no restore's"),
    }
}

#[test]
fn a_restore_runs_once_at_a_time_and_its_output_is_kept_in_private() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let script = format!(
        "echo restoring $0 of +14155550142; while [ ! -e {} ]; do sleep 0.01; done; echo done >&2",
        go.display()
    );
    let (hooks, mut answers) = start(Vec::new(), data("echo b-1 monday", &script), dir.path());
    assert_eq!(listed(&hooks).unwrap()[0].about, "monday");
    let progress = hooks.progress();
    assert_eq!(progress(), None);
    hooks.restore(order("b-1")).unwrap();
    let again = hooks.restore(order("b-2")).unwrap_err();
    assert_eq!(again.kind, engine::RefusalKind::Conflict);
    assert!(
        again.why.contains("backup b-1 is being restored"),
        "{again}"
    );
    assert!(listed(&hooks).is_ok(), "meanwhile it can be listed");
    while progress().unwrap().last_line.is_empty() {
        thread::sleep(Duration::from_millis(2));
    }
    let running = progress().unwrap();
    assert_eq!(running.last_line, "restoring b-1 of +…42");
    assert_eq!(running.ended, None);
    fs::write(&go, "").unwrap();
    let over = restored(&mut answers);
    assert!(matches!(over.ended, Some((_, Ok(())))), "{over:?}");
    assert_eq!(over.last_line, "done");
    let log = dir.path().join(over.log.unwrap());
    let mode = fs::metadata(&log).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept = fs::read_to_string(&log).unwrap();
    assert_eq!(
        kept, "restoring b-1 of +14155550142\ndone\n",
        "whole, for who may read it"
    );
    hooks.restore(order("b-2")).unwrap();
    assert_eq!(restored(&mut answers).order.backup, "b-2");
}

#[test]
fn a_restore_that_fails_says_so_and_a_flood_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let flood = "head -c 2000000 /dev/zero | tr '\\0' x; echo; echo no space; exit 5";
    let (hooks, mut answers) = start(
        Vec::new(),
        data("echo oh no >&2; exit 2", flood),
        dir.path(),
    );
    let why = listed(&hooks).unwrap_err().why;
    assert!(
        why.contains("exit status: 2") && why.contains("oh no"),
        "{why}"
    );
    hooks.restore(order("b-1")).unwrap();
    let over = restored(&mut answers);
    let (_, ended) = over.ended.unwrap();
    assert!(ended.unwrap_err().contains("exit status: 5"));
    assert_eq!(over.last_line, "no space");
    let kept = fs::metadata(dir.path().join(over.log.unwrap()))
        .unwrap()
        .len();
    assert!((1 << 20..(1 << 20) + 100).contains(&kept), "{kept}");
}

#[test]
fn without_commands_or_with_a_strange_id_nothing_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let (hooks, _answers) = start(Vec::new(), None, dir.path());
    for refusal in [
        listed(&hooks).unwrap_err(),
        hooks.restore(order("b")).unwrap_err(),
    ] {
        assert_eq!(refusal.kind, engine::RefusalKind::Conflict);
        assert!(refusal.why.contains("[rollback.data]"), "{refusal}");
    }
    for strange in [
        "--all",
        "",
        "../b",
        "/backups/../../etc",
        "b;reboot",
        "$(reboot)",
        "`reboot`",
        "b|c",
        "b&",
        "b c",
        "b\n",
        "b'",
        "b\"",
        "b\\",
        "*",
        "~root",
        "b>c",
        "\u{202e}b",
    ] {
        let refusal = hooks.restore(order(strange)).unwrap_err();
        assert_eq!(refusal.kind, engine::RefusalKind::Invalid, "{strange:?}");
    }
    for plain in [
        "2026-11-19T02:00+00:00",
        "s3://bucket/a..b",
        "/var/backups/x.dump",
        "_b@1,2=%3",
    ] {
        let refusal = hooks.restore(order(plain)).unwrap_err();
        assert_eq!(refusal.kind, engine::RefusalKind::Conflict, "{plain:?}");
    }
}

#[test]
fn what_cannot_be_restored_is_not_listed() {
    let dir = tempfile::tempdir().unwrap();
    let list = "echo b-1 monday; echo '-rf all'; echo; echo 'b;reboot now'; echo b-2";
    let (hooks, _answers) = start(Vec::new(), data(list, "true"), dir.path());
    let ids: Vec<String> = (listed(&hooks).unwrap().into_iter())
        .map(|backup| backup.id)
        .collect();
    assert_eq!(ids, ["b-1", "b-2"]);
}

// A `rollback` hook of 40 s delayed the page of the emergency stop after it by 39 s.
#[test]
fn a_moment_waits_for_its_own_kind_alone_and_an_emergency_for_nothing_else() {
    use Moment::{AfterStage, BeforeStage, Complete, EmergencyStop, Reversal, Rollback};
    let stages = [BeforeStage, AfterStage, Complete];
    for (hangs, told) in [
        (&stages[..], &[Rollback, Reversal, EmergencyStop][..]),
        (&[Rollback][..], &[BeforeStage, Reversal, EmergencyStop][..]),
        (&[Reversal][..], &[BeforeStage, Rollback, EmergencyStop][..]),
        (&[BeforeStage, Rollback, Reversal][..], &[EmergencyStop][..]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let slow = hangs.iter().map(|on| hook(*on, sh("sleep 30")));
        let fast = told.iter().map(|on| hook(*on, sh("true")));
        let (hooks, mut answers) = start(slow.chain(fast).collect(), None, dir.path());
        for moment in hangs.iter().chain(told) {
            let what = engine::Hook {
                moment: *moment,
                ..begins(*moment as u64)
            };
            hooks.tell(what).unwrap();
        }
        let mut heard: Vec<_> = told.iter().map(|_| hooked(&mut answers)).collect();
        heard.sort_by_key(|(id, _)| *id);
        let mut expected: Vec<_> = told.iter().map(|on| (*on as u64, Ok(()))).collect();
        expected.sort_by_key(|(id, _)| *id);
        assert_eq!(heard, expected, "while {hangs:?} hang");
        assert!(!hooks.close(Duration::ZERO), "what hangs is ended");
    }
}
