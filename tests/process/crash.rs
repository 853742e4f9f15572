//! `kill -9`, and what the next process makes of what is left.

use std::collections::HashSet;
use std::fs;

use super::lab::{Lab, NEAR};

#[test]
fn calls_keep_their_backend_over_a_crash() {
    let mut lab = Lab::started(|file| {
        file.scheme = "by = \"call\"\nhash = \"xxh3\"\nsalt = \"crash\"";
    });
    let mut homes = Vec::new();
    for _ in 0..40 {
        let call = lab.fresh();
        let welcome = lab.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
        homes.push((call, welcome.side().to_owned()));
    }
    let on = |side: &str| homes.iter().filter(|(_, home)| home == side).count();
    assert!(on("new") > 5 && on("legacy") > 5, "both have calls");
    // Records of 48 bytes after a header of 16, a call's key in the second eight:
    // once all are there the kernel has them.
    let pins = lab.state().join("pins");
    let keys = || {
        let bytes = fs::read(&pins).unwrap_or_default();
        let records = bytes.get(16..).unwrap_or_default().chunks_exact(48);
        let keys: HashSet<_> = records.map(|record| record[8..16].to_vec()).collect();
        keys.len()
    };
    lab.until("the pins are written", || keys() == homes.len());
    lab.order(&["set", "100", "--reason", "onward"]);
    lab.kill();

    lab.start();
    assert_eq!(lab.status()["percentage"], 100);
    for (call, home) in &homes {
        let menu = lab.webhook(NEAR, "/ivr/menu", call, "&Digits=1");
        assert_eq!(menu.side(), home, "{call}");
        let explained = lab.order_quietly(call);
        assert_eq!(explained["backend"], home.as_str());
    }
    assert_eq!(lab.metric("switchback_pins_loaded_total"), Some(40.0));
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
}

impl Lab {
    fn order_quietly(&self, call: &str) -> serde_json::Value {
        self.get(&format!("/api/v1/explain?call={call}")).json()
    }
}

#[test]
fn a_latch_and_a_percentage_outlive_a_crash() {
    let mut lab = Lab::started(|_| {});
    lab.order(&["set", "37", "--reason", "a step"]);
    lab.kill();
    lab.start();
    assert_eq!(lab.status()["percentage"], 37);
    assert_eq!(lab.status()["latched"], false);

    // Toward legacy as well: what was answered as durable is.
    let total = lab.order(&["rollback", "total", "--reason", "silence"]);
    assert_eq!(total.err, "", "nothing about the disk");
    lab.kill();
    lab.start();
    let status = lab.status();
    assert_eq!(status["latched"], true);
    assert_eq!(status["phase"], "rolled-back");
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
    lab.order(&["resume", "--percentage", "37", "--reason", "mended"]);
    lab.kill();
    lab.start();
    assert_eq!(
        lab.status()["percentage"],
        37,
        "an answered resume is durable"
    );
    assert_eq!(lab.status()["latched"], false);
}

#[test]
fn calls_of_before_a_reversal_do_not_count_after_a_restart_and_a_resume() {
    let mut lab = Lab::started(|file| file.percentage = 60);
    let calls: Vec<_> = (0..30).map(|_| lab.fresh()).collect();
    for call in &calls {
        let welcome = lab.webhook(NEAR, "/ivr/welcome", call, "&CallStatus=ringing");
        assert_eq!(welcome.side(), "new");
    }
    lab.order(&["rollback", "total", "--reason", "silence"]);
    assert_eq!(lab.stop().code(), Some(0));
    lab.start();
    let verification = lab.status()["verification"].clone();
    assert_eq!(verification["new_calls_on_new"], 0, "it goes on");
    lab.order(&["resume", "--percentage", "60", "--reason", "mended"]);
    for call in &calls {
        let menu = lab.webhook(NEAR, "/ivr/menu?new=500", call, "&Digits=1");
        assert_eq!((menu.status(), menu.side()), (500, "new"));
    }
    lab.until("all are counted", || {
        lab.status()["backends"]["new"]["errors"] == 30
    });
    lab.next_look();
    assert_eq!(lab.status()["latched"], false, "they say nothing about now");
}

#[test]
fn a_damaged_journal_is_set_aside_and_latches() {
    let mut lab = Lab::started(|_| {});
    lab.order(&["set", "60", "--reason", "a step"]);
    lab.order(&["set", "70", "--reason", "another"]);
    lab.kill();
    let journal = lab.state().join("journal.jsonl");
    let good = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, good.replace("a step", "a slip")).unwrap();

    lab.start();
    let status = lab.status();
    assert_eq!(status["latched"], true);
    assert_eq!(status["phase"], "reversed");
    assert_eq!(status["percentage"], 0);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
    let aside = fs::read_dir(lab.state())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.starts_with("journal.jsonl.damaged-"))
        .expect("it was set aside");
    assert!(lab.log().contains(&aside), "the log names it");
    assert_eq!(lab.journal()[0]["set_aside"], aside.as_str());
    let kept = fs::read_to_string(lab.state().join(aside)).unwrap();
    assert!(kept.contains("a slip"), "people may want to read it");
    let above = lab.cli(&["resume", "--percentage", "1", "--reason", "hope"]);
    assert_eq!(above.code, 1, "there is nothing to go back to");
    lab.order(&["resume", "--reason", "compared by hand"]);
    assert_eq!(lab.status()["latched"], false);
}

#[test]
fn a_torn_last_line_is_cut_and_latches_nothing() {
    let mut lab = Lab::started(|_| {});
    lab.order(&["set", "60", "--reason", "a step"]);
    lab.kill();
    let journal = lab.state().join("journal.jsonl");
    let good = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, format!("{good}{{\"sequence\":9,\"ti")).unwrap();
    lab.start();
    assert_eq!(lab.status()["latched"], false);
    assert_eq!(lab.status()["percentage"], 60);
    assert_eq!(fs::read_to_string(&journal).unwrap(), good);
}

/// A journal of 2020, at 50 % with three tenants disabled.
const OLD_JOURNAL: &str = include_str!("../old_journal.jsonl");

#[test]
fn a_segment_older_than_a_month_is_closed_and_a_crash_forgets_nothing_of_it() {
    // As the old journal was drawn, so that nothing is entered by the start alone.
    let mut lab = Lab::started(|file| {
        file.scheme = "by = \"call\"\nhash = \"xxh3\"\nsalt = \"lab\"";
    });
    lab.stop();
    let journal = lab.state().join("journal.jsonl");
    fs::write(&journal, OLD_JOURNAL).unwrap();
    lab.start();
    lab.order(&["set", "60", "--reason", "a step"]);
    let closed = lab.state().join("journal-0000000001.jsonl");
    lab.until("the segment is closed", || {
        let running = fs::read_to_string(&journal).unwrap();
        closed.exists() && running.contains("\"checkpoint\"")
    });
    lab.order(&["set", "61", "--reason", "another"]);
    assert_eq!(lab.metric("switchback_journal_matches_state"), Some(1.0));
    lab.kill();

    lab.start();
    let status = lab.status();
    assert_eq!(
        (&status["percentage"], &status["latched"]),
        (&61.into(), &false.into())
    );
    assert_eq!(
        status["tenants"]["disabled"],
        serde_json::json!(["t0", "t1", "t2"])
    );
    let journal = lab.get("/api/v1/journal?limit=100").json();
    let entries = journal["entries"].as_array().unwrap();
    let numbers: Vec<_> = entries.iter().map(|it| it["sequence"].as_u64()).collect();
    let sorted = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(
        sorted && numbers[0] == Some(1),
        "of both, each once: {numbers:?}"
    );
    let state = lab.state().display().to_string();
    let told = lab.cli(&["replay", &state]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.starts_with("2020-01-01 "), "{}", told.out);
    assert!(
        told.out.contains("50 % -> 60 %") && told.out.contains("  percentage    61 %"),
        "{}",
        told.out
    );
}

#[test]
fn a_latch_file_that_cannot_be_read_means_latched() {
    let mut lab = Lab::started(|_| {});
    lab.order(&["set", "60", "--reason", "a step"]);
    lab.kill();
    fs::write(lab.state().join("latch"), "scribble").unwrap();
    lab.start();
    assert_eq!(lab.status()["latched"], true);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
}
