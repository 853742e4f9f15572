//! `[log]`: the files of what happened and what was decided.

use std::path::PathBuf;

use super::{WELL, breaks, checked, line};
use crate::config::Decisions;
use crate::recording::rotating::Rotation;

#[test]
fn a_recording_and_a_trace_are_files_off_or_said_at_length() {
    let log = |lines: &str| {
        let text = WELL.replacen("access = \"off\"", lines, 1);
        checked(&text).expect("it is well").config.log
    };
    let off = log("outcomes = \"off\"\ndecisions = \"off\"");
    assert_eq!((off.outcomes, off.decisions), (None, None));
    assert_eq!(off.rotate, Rotation::default());
    let on = log("outcomes = \"o.jsonl\"\ndecisions = \"d.jsonl\"\nrotate = { files = 3 }");
    assert_eq!(on.outcomes, Some(PathBuf::from("o.jsonl")));
    let whole = Decisions {
        path: "d.jsonl".into(),
        sample: 1.0,
    };
    assert_eq!(on.decisions, Some(whole.clone()));
    let few = Rotation {
        files: 3,
        ..Rotation::default()
    };
    assert_eq!(on.rotate, few);
    let sampled = log(
        "decisions = { file = \"d.jsonl\", sample = \"1%\" }\nrotate = { size = \"1MiB\", files = 1 }",
    );
    let hundredth = Decisions {
        sample: 0.01,
        ..whole
    };
    assert_eq!(sampled.decisions, Some(hundredth));
    let small = Rotation {
        size: 1 << 20,
        files: 1,
    };
    assert_eq!(sampled.rotate, small);
}

#[test]
fn what_is_wrong_with_the_files_is_said_at_its_place() {
    let access = "access = \"off\"";
    line(access, "outcome = \"o\"", "did you mean `outcomes`?");
    line(access, "outcomes = 5", "it is a string");
    line(access, "outcomes = \"\"", "is empty");
    line(access, "decisions = { sample = \"1%\" }", "needs `file`");
    line(
        access,
        "decisions = { file = \"d\", sample = 1 }",
        "`sample` is no share",
    );
    line(
        access,
        "decisions = { file = \"d\", samples = \"1%\" }",
        "did you mean `sample`?",
    );
    line(access, "rotate = 8", "it is a section");
    line(
        access,
        "rotate = { size = \"1KiB\" }",
        "outside what is allowed",
    );
    line(access, "rotate = { size = \"big\" }", "is no size");
    line(access, "rotate = { files = 0 }", "from 1 to 1000");
    line(access, "rotate = { many = 2 }", "unknown key `many`");
}

#[test]
fn no_two_logs_are_one_file() {
    for lines in [
        "access = \"l\"\noutcomes = \"l\"",
        "access = \"l\"\ndecisions = \"l\"",
        "decisions = \"l\"\noutcomes = \"l\"",
    ] {
        let at = lines.lines().last().expect("two lines");
        breaks("access = \"off\"", lines, at, "the file of another log");
    }
}
