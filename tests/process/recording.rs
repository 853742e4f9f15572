//! What is kept of a day: recording, decision trace, and the story of a call.

use std::fs;
use std::path::Path;

use serde_json::Value;
use switchback::recording;

use super::lab::{CALLER, FAR, Lab, NEAR, command};

/// What a command says, and its exit code.
fn run(dir: &Path, line: &[&str]) -> (String, i32) {
    let mut command = command();
    let done = command.args(line).current_dir(dir).output();
    let done = done.expect("the binary runs");
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8(said).expect("it is text");
    (said, done.status.code().expect("it ended by itself"))
}

#[test]
fn a_call_s_story_is_told_by_the_process_and_a_tenant_s_without_it() {
    let mut lab = Lab::started(|file| file.route = "rescue = \"every\"\nlast_resort = \"off\"");
    // The rows are judged, and then what they say is known.
    lab.next_look();
    lab.next_look();
    let call = lab.fresh();
    lab.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
    lab.webhook(NEAR, "/ivr/menu?new=500", &call, "&Digits=1");
    let admin = format!("http://{}", lab.admin());
    let explain = |output: &str| {
        let line = ["explain", "--call", &call, "-o", output, "--admin", &admin];
        run(lab.dir.path(), &line).0
    };
    lab.until("all of it is known", || {
        explain("json").matches("\"outcome\":\"served\"").count() == 2
    });
    let told: Value = serde_json::from_str(&explain("json")).expect("it is JSON");
    let webhooks = told["webhooks"].as_array().expect("a list");
    let because: Vec<_> = webhooks.iter().map(|it| &it["because"]).collect();
    assert_eq!(because, ["hashed", "pinned", "rescued"], "{told}");
    assert_eq!(webhooks[1]["rescue"]["result"], "served", "{told}");
    assert_eq!(webhooks[1]["rules"][0]["rule"], "critical", "{told}");
    let text = explain("text");
    assert!(
        text.contains("rescued: it failed; legacy answered"),
        "{text}"
    );

    let tenant = |more: &[&str]| {
        let line = [&["explain", "--tenant", NEAR, "-o", "json"], more].concat();
        let (said, _) = run(lab.dir.path(), &line);
        serde_json::from_str::<Value>(&said).unwrap_or_else(|_| panic!("{said}"))
    };
    let online = tenant(&["--admin", &admin]);
    let offline = tenant(&["--config", "switchback.toml"]);
    for field in [
        "tenant",
        "backend",
        "because",
        "bucket",
        "percentage",
        "steps",
    ] {
        assert_eq!(online[field], offline[field], "{field}");
    }
    assert_eq!(offline["offline"], true);
    lab.stop();
}

#[test]
fn a_day_is_recorded_without_a_number_and_replayed_against_tables() {
    let mut lab = Lab::started(|file| {
        file.sections =
            "[log]\noutcomes = \"outcomes.jsonl\"\ndecisions = \"decisions.jsonl\"\n".to_owned();
    });
    for _ in 0..10 {
        lab.begin(NEAR, "/ivr/welcome?new=500");
        lab.begin(FAR, "/ivr/welcome");
    }
    // What is on its way is written before the end.
    assert!(lab.stop().success());
    let file = |name: &str| lab.dir.path().join(name);
    let [outcomes, decisions] = ["outcomes.jsonl", "decisions.jsonl"]
        .map(|name| fs::read_to_string(file(name)).expect("it is there"));
    for number in [NEAR, FAR, CALLER] {
        let digits = number.trim_start_matches('+');
        assert!(!outcomes.contains(digits), "{outcomes}");
        assert!(!decisions.contains(digits), "{decisions}");
    }
    assert_eq!(decisions.matches("\"what\":\"placed\"").count(), 20);
    assert!(decisions.contains("\"action\":\"file\""), "{decisions}");
    let lines: Vec<_> = recording::read(&file("outcomes.jsonl")).collect();
    assert!(lines.iter().all(Result::is_ok), "{outcomes}");
    assert_eq!(outcomes.matches("\"what\":\"answered\"").count(), 20);

    // Ten failed calls are few, but none was good.
    let row = "[[reversal]]\nname = \"errors\"\nmeasure = \"error_rate\"\nabove = \"10%\"\nover = \"5m\"\n\
        action = \"reverse\"\n";
    let text = fs::read_to_string(lab.config()).expect("it is there");
    lab.write("tight.toml", &format!("{text}{row}"));
    let replay = |tables: &str, expect: &str| {
        let line = [
            "replay",
            "outcomes.jsonl",
            "--rules",
            tables,
            "--expect",
            expect,
        ];
        run(lab.dir.path(), &line)
    };
    for (tables, expect, code) in [
        ("tight.toml", "reversal", 0),
        ("tight.toml", "none", 1),
        ("switchback.toml", "none", 0),
    ] {
        let (said, exit) = replay(tables, expect);
        assert_eq!(exit, code, "{tables} --expect {expect}: {said}");
    }
}
