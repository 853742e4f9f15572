//! SIGHUP and the file: what a reload takes, what it refuses, and that no request
//! notices.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{self, Link};
use super::lab::{FAR, FORM, Lab, NEAR, form};

const TAKEN: &str = "switchback_config_last_reload_successful";

#[test]
fn a_changed_percentage_applies_and_an_unchanged_one_undoes_nothing() {
    let mut lab = Lab::started(|file| file.percentage = 10);
    lab.rewrite(|file| file.percentage = 40);
    lab.hangup();
    lab.until("it applies", || lab.status()["percentage"] == 40);

    lab.order(&["set", "25", "--reason", "too fast"]);
    lab.hangup();
    lab.next_look();
    assert_eq!(lab.status()["percentage"], 25, "the file says nothing new");

    lab.rewrite(|file| file.percentage = 30);
    lab.hangup();
    lab.until("it applies again", || lab.status()["percentage"] == 30);
    assert_eq!(lab.metric(TAKEN), Some(1.0));
}

#[test]
fn what_needs_a_restart_is_told_at_every_reload_until_there_was_one() {
    let mut lab = Lab::started(|_| {});
    lab.rewrite(|file| file.sections = "[limits]\ncalls = 777\n[calls]\nshort = \"9s\"".into());
    let reload = || {
        lab.post("/api/v1/reload", &json!({ "reason": "a test" }))
            .json()
    };
    for _ in 0..2 {
        let told = reload();
        assert_eq!(told["changed"], json!([]), "{told}");
        assert_eq!(told["needs_restart"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn a_cap_and_its_end_apply_at_a_reload() {
    let cap = "switchback_backend_cap{backend=\"new\"}";
    let mut lab = Lab::started(|file| file.own = "concurrency = 7");
    assert_eq!(lab.metric(cap), Some(7.0));
    for (line, shown) in [("concurrency = 9", 9.0), ("", 0.0)] {
        lab.rewrite(|file| file.own = line);
        lab.hangup();
        lab.until("it applies", || lab.metric(cap) == Some(shown));
    }
}

#[test]
fn a_restart_is_a_reload_too() {
    let mut lab = Lab::started(|file| file.percentage = 10);
    lab.order(&["set", "25", "--reason", "by hand"]);
    assert_eq!(lab.stop().code(), Some(0));
    lab.start();
    assert_eq!(lab.status()["percentage"], 25, "unchanged in the file");
    assert_eq!(lab.stop().code(), Some(0));
    lab.rewrite(|file| file.percentage = 15);
    lab.start();
    lab.until("the change applies", || lab.status()["percentage"] == 15);
}

#[test]
fn while_latched_the_file_raises_nothing() {
    let mut lab = Lab::started(|file| file.percentage = 10);
    lab.order(&["rollback", "total", "--reason", "silence"]);
    lab.rewrite(|file| {
        file.percentage = 60;
        file.split = "enabled_tenants = [\"+13125550107\"]";
    });
    let dry = lab.order(&["reload", "--dry-run"]).out;
    assert!(dry.contains("refused"), "{dry}");
    lab.hangup();
    lab.next_look();
    let status = lab.status();
    assert_eq!(status["latched"], true);
    assert_eq!(status["percentage"], 0);
    for tenant in [NEAR, FAR] {
        assert_eq!(lab.begin(tenant, "/ivr/welcome").side(), "legacy");
    }
    assert!(lab.log().contains("is refused while everything is latched"));
    // Nor does it come true by itself once the latch is gone.
    lab.order(&["resume", "--reason", "mended"]);
    lab.hangup();
    lab.next_look();
    assert_eq!(lab.status()["percentage"], 0);
    assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), "legacy");
}

#[test]
fn a_tenant_rolled_back_stays_so_whatever_the_file_lists() {
    let mut lab = Lab::started(|_| {});
    lab.order(&["rollback", "tenant", NEAR, "--reason", "a complaint"]);
    lab.rewrite(|file| file.split = "enabled_tenants = [\"+13125550109\"]");
    lab.hangup();
    lab.next_look();
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
}

#[test]
fn a_broken_file_keeps_what_runs() {
    let mut lab = Lab::started(|_| {});
    assert_eq!(lab.metric(TAKEN), Some(1.0));
    lab.rewrite(|file| {
        file.percentage = 100;
        file.route = "timeout = \"soon\"";
    });
    let said = lab.cli(&["reload"]);
    assert_eq!(said.code, 78, "{}", said.err);
    assert!(said.err.contains("timeout"), "{}", said.err);
    lab.hangup();
    lab.until("it is told", || lab.metric(TAKEN) == Some(0.0));
    assert_eq!(lab.status()["percentage"], 50, "no part of it was taken");
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    assert!(lab.log().contains("`timeout` is no duration"), "and why");

    lab.rewrite(|file| file.route = "");
    lab.hangup();
    lab.until("it is told", || lab.metric(TAKEN) == Some(1.0));
    lab.until("all of it applies", || lab.status()["percentage"] == 100);
}

#[test]
fn a_new_route_and_a_new_rule_work_without_a_restart() {
    let mut lab = Lab::started(|_| {});
    assert_eq!(lab.begin(NEAR, "/second/welcome").status(), 404);
    lab.rewrite(|file| {
        file.sections = "[[route]]\npath = \"/second\"\nprotocol = \"telnyx-texml\"\n\
            tenant = [\"to\"]\n[[alert]]\nname = \"crowd\"\nmeasure = \"concurrent_calls\"\n\
            above = 0\nover = \"1m\"\n"
            .to_owned();
    });
    lab.hangup();
    let answer = lab.begin(NEAR, "/second/welcome");
    assert_eq!((answer.status(), answer.side()), (200, "new"));
    lab.until("the rule fires", || lab.rule("crowd")["firing"] == true);
    lab.until("the route has its series", || {
        lab.metric("switchback_webhooks_total{backend=\"new\",route=\"/second\",kind=\"voice\",outcome=\"served\"}")
            == Some(1.0)
    });
}

#[test]
fn what_would_move_callers_is_refused_unless_forced() {
    let mut lab = Lab::started(|_| {});
    lab.rewrite(|file| file.scheme = "by = \"tenant\"\nhash = \"xxh3\"\nsalt = \"s\"");
    let refused = lab.cli(&["reload"]);
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("hash"), "{}", refused.err);
    let explain = |lab: &Lab| lab.order(&["explain", "--tenant", NEAR]).out;
    assert!(explain(&lab).contains("100"), "a hundred buckets still");
    lab.order(&["reload", "--force"]);
    assert!(explain(&lab).contains("10000"), "{}", explain(&lab));
}

#[test]
fn a_dry_run_ends_as_the_reload_would_and_says_how_many_it_moves() {
    let mut lab = Lab::started(|_| {});
    lab.rewrite(|file| file.scheme = "by = \"tenant\"\nhash = \"xxh3\"\nsalt = \"s\"");
    let dry = lab.cli(&["reload", "--dry-run"]);
    assert_eq!(dry.code, lab.cli(&["reload"]).code);
    assert_eq!(dry.code, 78, "{}", dry.err);
    let moves = "would move: at 50 % about 50 % of all\n";
    assert!(dry.out.contains(moves), "nobody is listed: {}", dry.out);
    let forced = lab.cli(&["reload", "--dry-run", "--force"]);
    assert_eq!(forced.code, 0, "{}", forced.err);
    assert!(forced.out.contains(moves), "{}", forced.out);
    // What the state refuses to the file stops no reload, nor its dry run.
    lab.rewrite(|file| {
        file.scheme = "";
        file.percentage = 60;
    });
    lab.order(&["rollback", "total", "--reason", "silence"]);
    for args in [&["reload", "--dry-run"][..], &["reload"]] {
        let said = lab.cli(args);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.out.contains("refused: "), "{}", said.out);
    }
}

#[test]
fn the_journal_says_who_reloaded_what_and_why() {
    const SECRET: &str = "hunter2hunter2";
    let mut lab = Lab::started(|_| {});
    let told = |lab: &Lab| -> Vec<Value> {
        let entries = lab.journal().into_iter();
        entries
            .filter(|entry| entry["action"] == "reloaded")
            .collect()
    };
    lab.order(&["reload", "--reason", "nothing"]);
    lab.next_look();
    assert_eq!(told(&lab).len(), 0, "nothing changed");
    let before = lab.status();
    lab.write("token", &SECRET.repeat(3));
    lab.rewrite(|file| {
        file.own = "concurrency = 7";
        file.listen = "token_secret = { file = \"token\" }";
        file.sections = "[[alert]]\nname = \"crowd\"\nmeasure = \"concurrent_calls\"\n\
            above = 9\nover = \"1m\"\n[[hook]]\non = \"reversal\"\nrun = [\"/bin/true\", \
            \"hunter2hunter2\"]\n"
            .to_owned();
    });
    lab.order(&["reload", "--dry-run"]);
    assert_eq!(told(&lab).len(), 0, "a dry run changes nothing");
    lab.order(&["reload", "--reason", "a cap, and a hook"]);
    lab.until("it is on disk", || told(&lab).len() == 1);
    let entry = told(&lab).remove(0);
    assert_eq!(entry["actor"], "operator via cli");
    assert_eq!(entry["reason"], "a cap, and a hook");
    assert_eq!(entry["before"], entry["after"]);
    let after = lab.status();
    let hash = |status: &Value| status["config_hash"].as_str().unwrap().to_owned();
    let hashes = format!("Configuration {} -> {}.", hash(&before), hash(&after));
    assert_eq!(entry["notes"][0], hashes.as_str());
    let notes = entry["notes"].to_string();
    for part in [
        "concurrency",
        "rule `crowd` is new",
        "`hook`",
        "token_secret",
    ] {
        assert!(notes.contains(part), "{part} in {notes}");
    }
    assert!(!notes.contains(SECRET), "{notes}");

    // What the file wishes for is ordered by whoever had it read.
    lab.rewrite(|file| file.percentage = 30);
    lab.hangup();
    let is_file = |entry: &Value| entry["action"] == "file" && entry["actor"] == "SIGHUP";
    lab.until("it is on disk", || lab.journal().iter().any(is_file));
    let last = lab.journal().into_iter().rev().take(2).collect::<Vec<_>>();
    let mut actions: Vec<_> = last.iter().map(|entry| entry["action"].clone()).collect();
    actions.sort_by_key(Value::to_string);
    assert_eq!(actions, ["file", "reloaded"]);
    assert!(
        last.iter().all(|entry| entry["actor"] == "SIGHUP"),
        "{last:?}"
    );

    // A restart with the same file tells nothing, with another one that it is another.
    let count = told(&lab).len();
    assert_eq!(lab.stop().code(), Some(0));
    lab.start();
    assert_eq!(told(&lab).len(), count);
    assert_eq!(lab.stop().code(), Some(0));
    lab.rewrite(|file| file.own = "concurrency = 8");
    lab.start();
    lab.until("it is on disk", || told(&lab).len() == count + 1);
    let story = lab.order(&["replay", lab.state().to_str().unwrap()]).out;
    for part in [hashes.as_str(), "reloaded", "a cap, and a hook"] {
        assert!(story.contains(part), "{part} in {story}");
    }
    assert_eq!(lab.metric("switchback_journal_matches_state"), Some(1.0));
}

#[test]
fn twenty_reloads_under_load_lose_no_request() {
    let mut lab = Lab::started(|file| file.percentage = 40);
    let stop = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    let (webhooks, callers) = (lab.webhooks(), 8);
    thread::scope(|scope| {
        let (stop, answered) = (&stop, &answered);
        for caller in 0..callers {
            scope.spawn(move || {
                // Half of them keep their connection, half come anew each time.
                let mut kept = Link::to(webhooks).unwrap();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let call = format!("load-{caller}-{number}");
                    let form = form(NEAR, &call, "&CallStatus=ringing");
                    let answer = if caller % 2 == 0 {
                        let request = http::request("POST", "/ivr/welcome", &[FORM], &form);
                        kept.send(&request).and_then(|()| kept.answer())
                    } else {
                        http::ask(webhooks, "POST", "/ivr/welcome", &[FORM], &form)
                    };
                    let answer = answer.unwrap_or_else(|error| panic!("{call}: {error}"));
                    assert_eq!(answer.status(), 200, "{call}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
        for round in 1..=20 {
            lab.rewrite(|file| file.percentage = 40 + round);
            lab.hangup();
            thread::sleep(Duration::from_millis(25));
        }
        stop.store(true, Ordering::Relaxed);
    });
    lab.until("the last file is in force", || {
        lab.status()["percentage"] == 60
    });
    let answered = answered.into_inner();
    assert!(answered > 100, "too little load to tell: {answered}");
    assert_eq!(
        lab.new.book().len() + lab.legacy.book().len(),
        answered,
        "each once"
    );
    assert_eq!(lab.metric(TAKEN), Some(1.0));
}

#[test]
fn the_directory_of_tenants_is_read_again_and_an_unlisted_key_is_legacys() {
    let mut lab = Lab::prepared(|file| {
        file.percentage = 100;
        file.sections = "[tenants]\nfile = \"tenants.csv\"".to_owned();
    });
    let list = |lab: &Lab, text: &str| {
        fs::write(lab.dir.path().join("tenants.csv"), text).unwrap();
    };
    list(&lab, "key,tenant\n+13125550109,acme\n");
    lab.start_at_file();
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), "legacy");
    list(
        &lab,
        "key,tenant\n+13125550109,acme\n+1 (312) 555-0107,acme\n",
    );
    lab.hangup();
    assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), "new");
    let explained = lab.order(&["explain", "--tenant", FAR]).out;
    assert!(explained.contains("acme"), "{explained}");
    // Rolled back by its name, with both of its numbers.
    lab.order(&["rollback", "tenant", "acme", "--reason", "a complaint"]);
    for number in [NEAR, FAR] {
        assert_eq!(lab.begin(number, "/ivr/welcome").side(), "legacy");
    }
    // A directory that cannot be read keeps what runs.
    list(&lab, "no header at all\n");
    lab.hangup();
    lab.until("it is told", || lab.metric(TAKEN) == Some(0.0));
    let explained = lab.order(&["explain", "--tenant", FAR]).out;
    assert!(explained.contains("acme"), "{explained}");
    lab.rewrite(|_| {});
}

#[test]
fn what_needs_a_restart_is_said_and_left() {
    let mut lab = Lab::started(|_| {});
    lab.rewrite(|file| file.listen = "metrics = \"127.0.0.1:0\"");
    let said = lab.order(&["reload"]).out;
    assert!(said.contains("needs a restart"), "{said}");
    assert!(said.contains("metrics"), "{said}");
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    let again = lab.order(&["reload"]).out;
    assert!(again.contains("needs a restart"), "it still does: {again}");
}

#[test]
fn a_webhook_under_way_counts_for_the_route_it_came_by() {
    let mut lab = Lab::started(|_| {});
    let (call, webhooks) = ("under-way", lab.webhooks());
    let form = form(NEAR, call, "&CallStatus=ringing");
    let mut link = Link::to(webhooks).unwrap();
    link.send(&http::request(
        "POST",
        "/ivr/welcome?new=held",
        &[FORM],
        &form,
    ))
    .unwrap();
    lab.until("new has it", || lab.new.times(call) == 1);
    lab.rewrite(|file| {
        let before = "[[route]]\npath = \"/before\"\nprotocol = \"twilio\"\ntenant = [\"to\"]\n";
        file.listen = before;
    });
    lab.hangup();
    assert_eq!(lab.metric(TAKEN), Some(1.0), "{}", lab.log());
    lab.new.release();
    assert_eq!(link.answer().unwrap().status(), 200);
    let served = |route: &str| {
        lab.metric(&format!(
            "switchback_webhooks_total{{backend=\"new\",route=\"{route}\",kind=\"voice\",outcome=\"served\"}}"
        ))
    };
    lab.until("it is counted", || {
        served("/ivr")
            .into_iter()
            .chain(served("/before"))
            .sum::<f64>()
            > 0.0
    });
    assert_eq!((served("/ivr"), served("/before")), (Some(1.0), Some(0.0)));
}

#[test]
fn usr1_opens_the_access_log_anew() {
    let access = "[log]\naccess = \"access.jsonl\"";
    let lab = Lab::started(|file| file.sections = access.to_owned());
    let [path, rotated] = ["access.jsonl", "access.1"].map(|name| lab.dir.path().join(name));
    let lines = |path| fs::read_to_string(path).map_or(0, |text| text.lines().count());
    lab.begin(NEAR, "/ivr/welcome");
    lab.until("it is written", || lines(&path) == 1);
    fs::rename(&path, &rotated).unwrap();
    lab.signal("USR1");
    lab.until("it is opened anew", || path.exists());
    lab.begin(NEAR, "/ivr/welcome");
    lab.until("it is written to", || lines(&path) == 1);
    assert_eq!(lines(&rotated), 1);
}
