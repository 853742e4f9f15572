//! Before the first call: the file, the state directory, the start.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::lab::{FAR, Lab, NEAR, Said, command};
use super::plan::says;

#[test]
fn an_empty_state_directory_means_legacy_until_somebody_sets() {
    let mut lab = Lab::prepared(|file| {
        file.on_empty = "legacy";
        file.percentage = 100;
        file.split = "enabled_tenants = [\"+13125550107\"]";
    });
    for _ in 0..2 {
        lab.start();
        let status = lab.status();
        assert_eq!(status["phase"], "idle");
        assert_eq!(status["percentage"], 0);
        assert_eq!(status["latched"], false);
        for tenant in [NEAR, FAR] {
            assert_eq!(lab.begin(tenant, "/ivr/welcome").side(), "legacy");
        }
        lab.kill();
    }
    lab.start();
    assert!(lab.log().contains("is not applied"), "{}", lab.log());
    lab.order(&["set", "50", "--reason", "pilot"]);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    assert_eq!(
        lab.begin(FAR, "/ivr/welcome").side(),
        "legacy",
        "only what was set"
    );
}

#[test]
fn on_empty_file_takes_the_files_percentage() {
    let lab = Lab::started(|file| file.percentage = 50);
    assert_eq!(lab.status()["percentage"], 50);
    assert_eq!(lab.status()["phase"], "soaking");
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), "legacy");
}

#[test]
fn the_shipped_files_check() {
    let presets = fs::read_dir("config/presets").expect("presets are shipped");
    let presets = presets.map(|entry| entry.expect("a directory entry").path());
    let is_file = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "toml");
    let presets = presets.filter(is_file);
    let mut seen = 0;
    for path in presets.chain([Path::new("config/switchback.toml").to_owned()]) {
        let said = Said::of(command().args(["check", "--config"]).arg(&path));
        assert_eq!(said.code, 0, "{}: {}", path.display(), said.err);
        assert!(!said.err.contains("error"), "{}", said.err);
        seen += 1;
    }
    assert_eq!(seen, 5, "the shipped configuration and four presets");
}

const BROKEN: &str = "\
[listen]
webhooks = \"127.0.0.1:WEBHOOKS\"
admin = \"127.0.0.1:ADMIN\"
[state]
dir = \"DIR\"
[backend.legacy]
url = \"http://127.0.0.1:3001\"
[backend.new]
url = \"ftp://127.0.0.1:3002\"
[[route]]
path = \"/ivr\"
protcol = \"telnyx-texml\"
tenant = [\"to\"]
[split]
percentage = 110
[[reversal]]
measure = \"error_rate\"
above = \"10%\"
over = \"5 minutes or so\"
action = \"reverse\"
";

#[test]
fn a_broken_file_shows_every_problem_at_once_and_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    // We hold the ports: a process that tried to open one would say so and exit 1.
    let [webhooks, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port().to_string();
    let text = BROKEN
        .replace("WEBHOOKS", &port(&webhooks))
        .replace("ADMIN", &port(&admin))
        .replace("DIR", &state.display().to_string());
    let path = dir.path().join("switchback.toml");
    fs::write(&path, text).unwrap();
    for verb in ["check", "run"] {
        let said = Said::of(command().args([verb, "--config"]).arg(&path));
        assert_eq!(said.code, 78, "{verb}: {}", said.err);
        assert_eq!(said.out, "", "messages go to stderr");
        for (line, what) in [
            (9, "write a URL"),
            (12, "protcol"),
            (15, "110"),
            (19, "minutes or so"),
        ] {
            assert!(said.err.contains(what), "{verb}, {what}: {}", said.err);
            let place = format!("switchback.toml:{line}:");
            assert!(said.err.contains(&place), "{verb}, {place}: {}", said.err);
        }
        assert!(said.err.matches('^').count() >= 4, "carets: {}", said.err);
        assert!(said.err.contains("did you mean"), "{}", said.err);
        assert!(!state.exists(), "{verb} touches no state");
    }
}

#[test]
fn a_file_that_is_not_there_is_a_configuration_failure() {
    let said = Said::of(command().args(["run", "--config", "no/such/file.toml"]));
    assert_eq!(said.code, 78);
    assert!(said.err.contains("no/such/file.toml"), "{}", said.err);
}

#[test]
fn a_second_process_on_the_same_state_is_turned_away_and_told_by_whom() {
    let mut lab = Lab::started(|_| {});
    let mut second = lab.spawn();
    assert_eq!(second.wait().unwrap().code(), Some(1));
    let holder = format!("pid {}", lab.pid());
    assert!(lab.log().contains(&holder), "{}", lab.log());
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    // The lock goes with the process, however it ends.
    lab.kill();
    lab.start();
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
}

#[test]
fn what_cannot_be_used_ends_the_start_with_a_sentence() {
    let lab = Lab::prepared(|_| {});
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let good = fs::read_to_string(lab.config()).unwrap();
    let file = lab.dir.path().join("file");
    fs::write(&file, "no directory").unwrap();
    for (what, from, to) in [
        ("a state directory that is a file", "/state\"", "/file\""),
        (
            "an access log in no directory",
            "[state]",
            "[log]\naccess = \"no/such/log\"\n[state]",
        ),
        (
            "a port that is taken",
            "admin = \"127.0.0.1:0\"",
            &format!("admin = \"{taken}\""),
        ),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{what}");
        fs::write(lab.config(), text).unwrap();
        let before = lab.log().len();
        let ended = lab.spawn().wait().unwrap();
        let said = lab.log().split_off(before);
        assert_eq!(ended.code(), Some(1), "{what}: {said}");
        assert!(said.contains("could not"), "{what}: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
    }
    drop(held);
}

#[test]
fn another_salt_asks_for_a_word_before_it_moves_callers() {
    let mut lab = Lab::started(|file| {
        file.scheme = "by = \"tenant\"\nhash = \"xxh3\"\nsalt = \"one\"";
    });
    lab.stop();
    lab.rewrite(|file| file.scheme = "by = \"tenant\"\nhash = \"xxh3\"\nsalt = \"two\"");
    let ended = lab.spawn().wait().expect("it is our child");
    assert_eq!(ended.code(), Some(78), "{}", lab.log());
    says(
        &lab.log(),
        &["50 % of all would change side", "switchback run --rehash"],
    );
    lab.arguments.push("--rehash");
    lab.start();
    says(
        &lab.story(),
        &["drawn by something else", "Drawn anew: tenant xxh3 "],
    );
    lab.stop();
    lab.arguments.clear();
    lab.start();
    assert_eq!(lab.status()["percentage"], 50, "asked once");
}
