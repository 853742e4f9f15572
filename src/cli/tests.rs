use std::sync::Arc;
use std::thread;

use clap::CommandFactory;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::admin::{self, Admin};
use crate::desk::{Ask, Backup, Desk};
use crate::engine::Done;
use crate::metrics::Metrics;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    // Words in quotes are not needed here: a + stands for a space.
    let words = line.split(' ').map(|word| word.replace('+', " "));
    Cli::try_parse_from(std::iter::once("switchback".to_owned()).chain(words))
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_contract_is_understood() {
    for line in [
        "run --config f.toml",
        "check --config f.toml",
        "check --config f.toml --calls-per-minute 2.5",
        "demo",
        "demo --forever",
        "demo --fault",
        "demo --fault slow",
        "simulate --config f.toml",
        "simulate --config f.toml --fault errors=30% --at 2h --for 1h --runs 20 --expect reversal",
        "simulate --config f.toml --fault down --at stage+pilot++2h --tenant clinica -o json",
        "simulate --config f.toml --days 30 --seed 7 --traffic week.txt --expect none",
        "status",
        "status --watch",
        "status -o json",
        "explain --tenant clinica",
        "explain --call v3:abc -o json",
        "set 25 --reason why+not",
        "set 12.5% --reason w",
        "set 25 --hotfix --reason w",
        "advance --reason w",
        "advance --hotfix --insist --reason w",
        "hold --reason w",
        "resume --reason w",
        "resume --percentage 5 --reason w",
        "rollback tenant clinica --reason w",
        "rollback partial --percentage 5 --reason w",
        "rollback total --reason w",
        "rollback total --live move --reason w",
        "rollback tenant clinica --live drain --reason w",
        "rollback data",
        "rollback data -o json",
        "rollback data --backup b-1 --reason w",
        "rollback data --backup b-1 --confirm CONFIRM --reason w",
        "emergency-stop --reason w",
        "tenant enable t --reason w",
        "tenant enable t --hotfix --reason w",
        "completions bash",
        "man",
        "tenant disable t --reason w",
        "tenant clear t --reason w",
        "replay /var/lib/switchback",
        "replay journal.jsonl -o json --since 2026-03-01 --until 2026-03-02T08:00 --no-totals",
        "reload",
        "reload --dry-run --reason w",
        "status --admin http://10.0.0.1:9901 --token-file t",
        "--admin http://10.0.0.1:9901 status",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for line in [
        "",
        "frobnicate",
        "run",
        "set 25",
        "set 25 --reason ",
        "set 101 --reason w",
        "set 1.001 --reason w",
        "set ten --reason w",
        "advance",
        "completions",
        "explain",
        "explain --tenant t --call c",
        "rollback",
        "rollback partial --reason w",
        "rollback total",
        "rollback data --backup b-1",
        "rollback data --confirm CONFIRM --reason w",
        "emergency-stop",
        "tenant enable --reason w",
        "check --config f --calls-per-minute 0",
        "status -o yaml",
        "simulate",
        "simulate --config f --fault rain",
        "simulate --config f --expect luck",
        "simulate --config f --calls-per-hour 5 --traffic t",
        "simulate --config f --fault down=3",
        "simulate --config f --at 2h",
        "simulate --config f --for 2h",
        "simulate --config f --tenant t",
        "simulate --config f --on legacy",
        "demo --preset ivr",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}: {error}");
    }
    for line in ["--help", "--version", "set --help"] {
        assert_eq!(parse(line).expect_err(line).exit_code(), 0, "{line}");
    }
}

#[test]
fn a_moment_without_a_fault_is_told_what_is_missing() {
    let error = parse("simulate --config f --at 2h")
        .unwrap_err()
        .to_string();
    assert!(error.contains("--fault <KIND[=SIZE]>"), "{error}");
}

#[test]
fn the_admin_address_is_the_one_given_else_that_of_the_environment_else_the_usual() {
    let of =
        |line: &str, from: Option<&str>| parse(line).unwrap().admin.address(from.map(Into::into));
    let (usual, there) = ("http://127.0.0.1:9901", "http://there:1");
    assert_eq!(of("status", None), usual);
    assert_eq!(of("status", Some("")), usual);
    assert_eq!(of("status", Some(there)), there);
    assert_eq!(
        of("status --admin http://here:2", Some(there)),
        "http://here:2"
    );
}

#[test]
fn every_help_text_has_examples() {
    fn without(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name());
        let help = command.get_after_help().map(ToString::to_string);
        if !help.is_some_and(|help| help.contains("Examples:\n  switchback ")) {
            found.push(path.clone());
        }
        for command in command.get_subcommands() {
            without(command, &path, found);
        }
    }
    let mut found = Vec::new();
    without(&Cli::command(), "", &mut found);
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_rollback_says_its_level_and_what_live_calls_do() {
    let body = |line: &str| match parse(line).unwrap().command {
        Command::Rollback(args) => args.body(),
        other => panic!("{other:?} is no rollback"),
    };
    let partial = body("rollback partial --percentage 5 --reason w");
    let expected = serde_json::json!({
        "level": "partial", "percentage": 5.0, "live": "drain", "reason": "w",
    });
    assert_eq!(partial, expected);
    for level in ["tenant clinica", "partial --percentage 5", "total"] {
        let moving = body(&format!("rollback {level} --live move --reason w"));
        assert_eq!(moving["live"], "move", "{level}");
    }
}

#[test]
fn each_failure_has_its_exit_code() {
    let words = || "words".to_owned();
    let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    for (failure, code) in [
        (Failure::Failed(words()), 1),
        (Failure::Usage(words()), 2),
        (Failure::Unreachable(words()), 69),
        (Failure::NotPermitted(words()), 77),
        (Failure::Configuration(words()), 78),
        (Failure::Output(full), 1),
        (Failure::Output(closed), 0),
    ] {
        assert_eq!(failure.code(), code, "{failure:?}");
    }
}

#[test]
fn an_admin_address_is_plain_http_and_nothing_more() {
    for (url, good) in [
        ("http://127.0.0.1:9901", true),
        ("http://127.0.0.1:9901/", true),
        ("http://[::1]:9901", true),
        ("http://switchback.internal", true),
        ("https://switchback.internal", false),
        ("127.0.0.1:9901", false),
        ("http://127.0.0.1:9901/api", false),
        ("http://me@127.0.0.1:9901", false),
        ("ftp://127.0.0.1", false),
        ("", false),
    ] {
        let client = Client::new(url, None, None);
        assert_eq!(client.is_ok(), good, "{url}");
        if let Err(failure) = client {
            assert_eq!(failure.code(), 2, "{url}");
        }
    }
    let https = Client::new("https://a", None, None)
        .unwrap_err()
        .to_string();
    assert!(https.contains("plain http only"), "{https}");
}

/// One connection that is answered with these bytes; what was asked comes back.
fn answering(answer: &'static str) -> (String, thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = vec![0; 4096];
        let length = std::io::Read::read(&mut stream, &mut asked).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked[..length].to_vec()).unwrap()
    });
    (url, served)
}

#[test]
fn nobody_at_the_admin_address_is_exit_69_and_says_what_to_check() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let client = Client::new(&url, None, None).unwrap();
    let failure = client.get("/api/v1/status").unwrap_err();
    assert_eq!(failure.code(), 69);
    assert!(failure.to_string().contains("Is it running"), "{failure}");
}

#[test]
fn what_the_listener_says_decides_the_exit_code() {
    const PROBLEM: &str = r#"{"type":"/problems/x","title":"X","status":1,"detail":"because"}"#;
    for (status, body, code) in [
        ("401 Unauthorized", PROBLEM, 77),
        ("403 Forbidden", PROBLEM, 77),
        ("400 Bad Request", PROBLEM, 1),
        ("409 Conflict", PROBLEM, 1),
        ("503 Service Unavailable", PROBLEM, 1),
        ("422 Unprocessable Content", PROBLEM, 78),
        ("404 Not Found", "<html>nginx</html>", 69),
        ("200 OK", "<html>nginx</html>", 1),
    ] {
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let (url, served) = answering(answer.leak());
        let client = Client::new(&url, None, None).unwrap();
        let read = client.get("/api/v1/status");
        let failure = read.and_then(|reply| reply.read::<u64>()).unwrap_err();
        assert_eq!(failure.code(), code, "{status}: {failure}");
        served.join().unwrap();
    }
}

#[test]
fn a_change_is_sent_with_token_and_name_and_its_sentence_is_printed() {
    let body = r#"{"said":"12.5 % to new","durable":true,"generation":2}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (url, served) = answering(answer.leak());
    let Command::Set(args) = parse("set 12.5 --reason why+not").unwrap().command else {
        panic!("it is a set");
    };
    let client = Client::new(&url, Some("s3cret\n"), Some("ana")).unwrap();
    let mut out = Vec::new();
    set::run(&args, &client, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "12.5 % to new\n");
    let asked = served.join().unwrap();
    for part in [
        "POST /api/v1/percentage HTTP/1.1\r\n",
        "authorization: Bearer s3cret\r\n",
        "x-switchback-actor: ana\r\n",
        "content-type: application/json\r\n",
        r#"{"hotfix":false,"percentage":12.5,"reason":"why not"}"#,
    ] {
        assert!(asked.contains(part), "{part} is not in {asked}");
    }
}

/// An admin listener on a real socket whose engine takes every order.
async fn listener_with_engine() -> (String, oneshot::Sender<()>, JoinHandle<()>) {
    let (desk, mut waiting) = Desk::new(8);
    tokio::spawn(async move {
        while let Some(ask) = waiting.recv().await {
            let (said, reply) = match ask {
                Ask::Order { order, reply } => {
                    (format!("{:?} by {}", order.command, order.actor), reply)
                }
                Ask::Restore { order, reply } => (format!("{order:?}"), reply),
                Ask::Backups { reply } => {
                    let backup = Backup {
                        id: "b-1".to_owned(),
                        about: "monday".to_owned(),
                    };
                    drop(reply.send(Ok(vec![backup])));
                    continue;
                }
                other => panic!("{other:?} is asked by none of these"),
            };
            let done = Done {
                said,
                durable: true,
                generation: 2,
            };
            drop(reply.send(Ok(done)));
        }
    });
    let admin = Admin {
        status: Arc::default(),
        desk,
        explain: Arc::new(|_| Some(serde_json::json!({ "backend": "legacy" }))),
        journal: Arc::new(|_| Vec::new()),
        restore: Arc::new(|| {
            Some(admin::shapes::Restore {
                backup: "b-1".to_owned(),
                ok: Some(true),
                seconds: 312,
                log: Some("restore-x.log".to_owned()),
                ..Default::default()
            })
        }),
        emergency: Arc::new(|| crate::rollout::Emergency::LastResort),
        metrics: Arc::new(Metrics::new(&[], &[])),
        ready: Arc::new(|| Ok(())),
        token: None,
        loopback: true,
        hosts: Vec::new(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let router = admin::router(Arc::new(admin));
    let shutdown = async { drop(stopped.await) };
    let server = tokio::spawn(admin::serve(listener, router, shutdown));
    (url, stop, server)
}

#[tokio::test]
async fn commands_reach_the_engine_over_a_real_socket() {
    let (url, stop, server) = listener_with_engine().await;
    let told = tokio::task::spawn_blocking(move || {
        let client = Client::new(&url, None, Some("ana")).unwrap();
        let mut told = Vec::new();
        for line in [
            "hold --reason w",
            "set 5 --reason w",
            "resume --reason w",
            "rollback total --reason w",
            "emergency-stop --reason w",
            "rollback data",
            "rollback data --backup b-1 --confirm CONFIRM --reason w",
            "tenant clear a/b --reason w",
            "explain --call c",
            "status -o json",
        ] {
            let mut out = Vec::new();
            let done = match parse(line).unwrap().command {
                Command::Hold(args) => hold::run(&args, &client, &mut out),
                Command::Set(args) => set::run(&args, &client, &mut out),
                Command::Resume(args) => resume::run(&args, &client, &mut out),
                Command::Rollback(args) => rollback::run(&args, &client, &mut out),
                Command::EmergencyStop(args) => emergency::run(&args, &client, &mut out),
                Command::Tenant(args) => tenant::run(&args, &client, &mut out),
                Command::Explain(args) => explain::run(&args, &client, &mut out),
                Command::Status(args) => status::run(&args, &client, &mut out),
                other => panic!("{other:?} asks nobody"),
            };
            done.unwrap();
            told.push(String::from_utf8(out).unwrap());
        }
        told
    });
    let told = told.await.unwrap();
    let by = "by operator via cli (ana)";
    assert_eq!(told[0], format!("Hold {by}\n"));
    assert_eq!(told[1], format!("Percentage(Percentage(500)) {by}\n"));
    assert_eq!(told[2], format!("Resume {{ percentage: None }} {by}\n"));
    assert_eq!(told[3], format!("Rollback(Total, Drain) {by}\n"));
    assert_eq!(told[4], format!("EmergencyStop(LastResort) {by}\n"));
    let cells: Vec<_> = told[5].split_whitespace().collect();
    assert_eq!(cells, ["BACKUP", "b-1", "monday"]);
    for part in [
        r#"backup: "b-1""#,
        "Backup b-1 is restored, after 312 s",
        "restore-x.log",
    ] {
        assert!(told[6].contains(part), "{}", told[6]);
    }
    assert!(told[7].contains(r#"id: "a/b", list: None"#), "{}", told[7]);
    assert_eq!(told[8], "backend  legacy\n");
    assert!(told[9].starts_with(r#"{"phase":"idle""#), "{}", told[9]);
    stop.send(()).unwrap();
    server.await.unwrap();
}
