//! Hooks, the last levels of going back, and what is written and kept.

use super::{WELL, breaks, breaks_in, checked, told};
use std::time::Duration;

use crate::hooks::{Call, Hook};
use crate::rollout::{Emergency, Moment};

/// [`WELL`] with these lines before `[calls]`.
fn with(lines: &str) -> String {
    WELL.replace("[calls]", &format!("{lines}\n[calls]"))
}

/// A section that breaks, at the line of `at`.
#[track_caller]
fn wrong(lines: &str, at: &str, message: &str) {
    breaks("[calls]", &format!("{lines}\n[calls]"), at, message);
}

#[test]
fn a_hook_is_a_program_or_an_address() {
    let text = with(
        "[[hook]]\non = \"reversal\"\nrun = [\"/usr/bin/scale\", \"legacy\"]\n\
         [[hook]]\non = \"emergency-stop\"\nurl = \"https://hooks.example.com/a?b=c\"\ntimeout = \"5s\"",
    );
    let loaded = checked(&text).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let words = ["/usr/bin/scale", "legacy"].map(str::to_owned).to_vec();
    assert_eq!(
        loaded.config.hooks,
        [
            Hook {
                on: Moment::Reversal,
                stage: None,
                call: Call::Command(words),
                timeout: Duration::from_secs(30),
            },
            Hook {
                on: Moment::EmergencyStop,
                stage: None,
                call: Call::Post {
                    url: "https://hooks.example.com/a?b=c".to_owned()
                },
                timeout: Duration::from_secs(5),
            },
        ]
    );
}

#[test]
fn a_hook_that_cannot_be_run_is_refused() {
    let hook = |rest: &str| format!("[[hook]]\non = \"reversal\"\n{rest}");
    wrong(
        "[[hook]]\nrun = [\"x\"]",
        "[[hook]]",
        "[[hook]] number 1 needs `on`",
    );
    wrong(&hook(""), "[[hook]]", "needs `run` or `url`");
    wrong(
        &hook("run = [\"a\"]\nurl = \"http://a/b\""),
        "url = \"http://a/b",
        "cannot both be in a hook",
    );
    wrong(
        &hook("run = \"scale up\""),
        "run =",
        "no shell takes it apart",
    );
    wrong(&hook("run = []"), "run =", "is an empty list");
    wrong(
        &hook("run = [\"a\", \"\"]"),
        "run =",
        "is empty or holds control characters",
    );
    wrong(
        &hook("url = \"ftp://a/b\""),
        "url = \"ftp",
        "write a URL as",
    );
    wrong(
        &hook("url = \"https://u:p@a/b\""),
        "url = \"https://u",
        "no user name and password",
    );
    wrong(
        &hook("run = [\"a\"]\ntimeout = \"2h\""),
        "timeout = \"2h",
        "from 1s to 1h",
    );
    wrong(
        "[[hook]]\non = \"reversed\"\nrun = [\"a\"]",
        "on = \"reversed",
        "did you mean `reversal`?",
    );
    wrong(
        &hook("runs = [\"a\"]\nrun = [\"a\"]"),
        "runs",
        "did you mean `run`?",
    );
}

#[test]
fn an_emergency_goes_to_legacy_unless_the_file_says_otherwise() {
    assert_eq!(checked(WELL).unwrap().config.emergency, Emergency::Legacy);
    let stops = with("[emergency]\nto = \"last-resort\"");
    assert_eq!(
        checked(&stops).unwrap().config.emergency,
        Emergency::LastResort
    );
    wrong(
        "[emergency]\nto = \"nobody\"",
        "to = \"nobody",
        "it is `legacy` or `last-resort`",
    );
    breaks_in(
        &stops,
        "timeout = \"10s\"",
        "timeout = \"10s\"\nlast_resort = \"off\"",
        "to = \"last-resort\"",
        "its `last_resort` is off",
    );
}

#[test]
fn a_restore_knows_which_backup() {
    let data =
        |restore: &str| format!("[rollback.data]\nlist = [\"/bin/backups\"]\nrestore = {restore}");
    let loaded = checked(&with(&data("[\"/bin/restore\", \"--from={backup}\"]"))).unwrap();
    let read = loaded.config.data.unwrap();
    assert_eq!(read.list, ["/bin/backups"]);
    assert_eq!(read.restore, ["/bin/restore", "--from={backup}"]);
    assert_eq!(read.timeout, Duration::from_secs(1800));
    assert_eq!(checked(WELL).unwrap().config.data, None);
    wrong(
        &data("[\"/bin/restore\"]"),
        "restore =",
        "names no {backup}",
    );
    wrong(
        &data("[\"/bin/{backup}\"]"),
        "restore =",
        "among its arguments",
    );
    wrong(
        &data("[\"/bin/restore\", \"{backup}\"]\ntimeout = \"0s\""),
        "timeout = \"0s",
        "from 1s to 1d",
    );
    wrong(
        "[rollback.data]\nrestore = [\"a\", \"{backup}\"]",
        "[rollback.data]",
        "needs `list`",
    );
    wrong(
        "[rollback.data]\nlist = [\"a\", \"{backup}\"]\nrestore = [\"a\", \"{backup}\"]",
        "list =",
        "nobody has chosen one yet",
    );
    wrong(
        "[rollback]\nlist = [\"a\"]",
        "list =",
        "it belongs to [rollback.data]",
    );
}

#[test]
fn what_is_written_and_kept_is_said_in_log_and_state() {
    let text = WELL
        .replace("dir = \"state\"", "dir = \"state\"\nkeep = \"365d\"")
        .replace(
            "format = \"auto\"",
            "format = \"auto\"\noutcomes = \"o.jsonl\"\ndecisions = { file = \"d.jsonl\", sample = \"1%\" }\n\
             rotate = { size = \"1MiB\", files = 3 }",
        );
    assert_eq!(told(&text), [""; 0]);
    let config = checked(&text).unwrap().config;
    assert_eq!(config.state.keep, Some(Duration::from_secs(365 * 86_400)));
    assert_eq!(config.log.outcomes.as_deref(), Some("o.jsonl".as_ref()));
    let decisions = config.log.decisions.unwrap();
    assert_eq!(
        (decisions.path.as_path(), decisions.sample),
        ("d.jsonl".as_ref(), 0.01)
    );
    assert_eq!(
        (config.log.rotate.size, config.log.rotate.files),
        (1 << 20, 3)
    );

    let given = checked(WELL).unwrap().config;
    assert_eq!(
        (given.state.keep, given.log.outcomes, given.log.decisions),
        (None, None, None)
    );
    assert_eq!(
        (given.log.rotate.size, given.log.rotate.files),
        (64 << 20, 8)
    );
    let whole =
        checked(&WELL.replace("[backend.legacy]", "decisions = \"d\"\n[backend.legacy]")).unwrap();
    assert_eq!(whole.config.log.decisions.map(|it| it.sample), Some(1.0));
}

#[test]
fn what_cannot_be_written_or_kept_is_refused() {
    let log = |lines: &str, message: &str| {
        let at = lines.split_whitespace().next().unwrap();
        breaks(
            "[backend.legacy]",
            &format!("{lines}\n[backend.legacy]"),
            at,
            message,
        );
    };
    log("outcome = \"a\"", "did you mean `outcomes`?");
    log("decisions = { file = \"a\", sample = 1 }", "is no share");
    log("decisions = { sample = \"1%\" }", "needs `file`");
    log("decisions = 5", "is a number here");
    breaks(
        "on_empty",
        "keep = \"1h\"\non_empty",
        "keep",
        "from 1d to 36525d",
    );
}
