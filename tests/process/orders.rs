//! The operator's commands, as typed: what they do and how they exit.

use std::net::TcpListener;

use super::lab::{FAR, Lab, NEAR, Said, command};

#[test]
fn set_hold_and_resume_move_the_rollout() {
    let lab = Lab::started(|file| file.percentage = 10);
    let said = lab.order(&["set", "12%", "--reason", "a good week"]);
    assert!(said.out.contains("12"), "{}", said.out);
    assert_eq!(said.err, "");
    assert_eq!(lab.status()["percentage"], 12);

    lab.order(&["hold", "--reason", "a holiday"]);
    assert_eq!(lab.status()["phase"], "held");
    assert_eq!(
        lab.status()["percentage"],
        12,
        "a hold leaves what runs on new"
    );
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    let again = lab.order(&["hold", "--reason", "again"]);
    assert!(again.out.contains("Held already"), "{}", again.out);
    lab.order(&["resume", "--reason", "back"]);
    assert_eq!(lab.status()["phase"], "soaking");
    let nothing = lab.cli(&["resume", "--reason", "again"]);
    assert_eq!(nothing.code, 1);
    assert!(nothing.err.contains("nothing to resume"), "{}", nothing.err);

    lab.order(&["set", "100", "--reason", "all of it"]);
    assert_eq!(lab.status()["phase"], "complete");
    assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), "new");
    let actions: Vec<_> = lab
        .journal()
        .iter()
        .filter(|line| line["actor"] != "file")
        .map(|line| line["action"].as_str().unwrap_or_default().to_owned())
        .collect();
    let expected = ["set", "hold", "hold", "resume", "set"];
    assert_eq!(actions, expected, "what was refused is no fact");
    let last = lab.journal().pop().unwrap();
    assert_eq!(last["reason"], "all of it");
    assert!(last["actor"].as_str().unwrap().contains("cli"), "{last}");
}

#[test]
fn rollback_tenant_touches_that_tenant_only_and_only_clear_takes_it_back() {
    let lab = Lab::started(|file| file.percentage = 100);
    lab.order(&["rollback", "tenant", NEAR, "--reason", "a complaint"]);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
    assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), "new");
    assert_eq!(lab.status()["latched"], false);
    let unsaid = lab.order(&["rollback", "tenant", NEAR, "--reason", "once more"]);
    assert!(
        !unsaid.out.contains("directory"),
        "there is none: {}",
        unsaid.out
    );
    let refused = lab.cli(&["tenant", "enable", NEAR, "--reason", "impatience"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("tenant clear"), "{}", refused.err);
    lab.order(&["tenant", "clear", NEAR, "--reason", "mended"]);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
}

#[test]
fn rollback_partial_lowers_and_never_raises() {
    let lab = Lab::started(|file| file.percentage = 50);
    let raise = lab.cli(&["rollback", "partial", "--percentage", "51", "--reason", "x"]);
    assert_eq!(raise.code, 1);
    assert!(raise.err.contains("never raises"), "{}", raise.err);
    assert_eq!(lab.status()["percentage"], 50);
    lab.order(&["rollback", "partial", "--percentage", "1", "--reason", "x"]);
    assert_eq!(lab.status()["percentage"], 1);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
}

#[test]
fn rollback_total_overrides_everything_until_resume() {
    let lab = Lab::started(|file| file.percentage = 50);
    lab.order(&["tenant", "enable", FAR, "--reason", "a friend"]);
    assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), "new");
    lab.order(&["rollback", "total", "--reason", "callers hear silence"]);
    let status = lab.status();
    assert_eq!(status["phase"], "rolled-back");
    assert_eq!(status["latched"], true);
    assert!(
        status["because"]
            .as_str()
            .unwrap()
            .contains("callers hear silence")
    );
    for tenant in [NEAR, FAR] {
        assert_eq!(
            lab.begin(tenant, "/ivr/welcome").side(),
            "legacy",
            "lists too"
        );
    }
    for refused in [
        &["set", "1", "--reason", "x"][..],
        &["tenant", "enable", NEAR, "--reason", "x"],
        &["resume", "--percentage", "51", "--reason", "x"],
    ] {
        let said = lab.cli(refused);
        assert_eq!(said.code, 1, "{refused:?}: {}", said.out);
    }
    lab.order(&["resume", "--percentage", "50", "--reason", "mended"]);
    assert_eq!(lab.status()["latched"], false);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    assert_eq!(
        lab.begin(FAR, "/ivr/welcome").side(),
        "new",
        "the list counts again"
    );
}

#[test]
fn tenant_enable_disable_and_clear_outrank_the_hash() {
    let lab = Lab::started(|file| file.percentage = 50);
    for (verb, near, far) in [
        ("enable", "new", "new"),
        ("disable", "legacy", "legacy"),
        ("clear", "new", "legacy"),
    ] {
        for tenant in [NEAR, FAR] {
            lab.order(&["tenant", verb, tenant, "--reason", "by hand"]);
        }
        assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), near, "{verb}");
        assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), far, "{verb}");
    }
}

#[test]
fn what_makes_no_sense_is_usage() {
    for wrong in [
        &["set", "50"][..],
        &["set", "101", "--reason", "x"],
        &["set", "fifty", "--reason", "x"],
        &["set", "50", "--reason", ""],
        &["explain"],
        &["explain", "--tenant", "a", "--call", "b"],
        &["rollback", "partial", "--reason", "x"],
        &["rollback", "sideways", "--reason", "x"],
        &["launch"],
        &["run"],
        &["status", "--admin", "voice.example.com"],
        &[],
    ] {
        let said = Said::of(command().args(wrong));
        assert_eq!(said.code, 2, "{wrong:?}: {}", said.err);
        assert_eq!(said.out, "", "{wrong:?}");
        assert!(!said.err.is_empty(), "{wrong:?}");
    }
    for fine in [&["--help"][..], &["--version"], &["set", "--help"]] {
        assert_eq!(Said::of(command().args(fine)).code, 0, "{fine:?}");
    }
}

#[test]
fn nobody_at_the_admin_address_is_69() {
    // Bound and let go: whoever gets the port next speaks no HTTP of ours either.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    for verb in [&["status"][..], &["set", "1", "--reason", "x"]] {
        let said = Said::of(command().args(verb).args(["--admin", &url]));
        assert_eq!(said.code, 69, "{}", said.err);
        assert!(said.err.contains(&url), "{}", said.err);
        assert!(said.err.contains("SWITCHBACK_ADMIN"), "{}", said.err);
    }
}

#[test]
fn a_change_needs_the_right_token() {
    let lab = Lab::prepared(|file| file.listen = "admin_token = { file = \"admin.token\" }");
    let token = lab.dir.path().join("admin.token");
    let wrong = lab.dir.path().join("wrong.token");
    std::fs::write(&token, "correct-horse-battery-staple\n").unwrap();
    std::fs::write(&wrong, "incorrect-horse-battery-staple\n").unwrap();
    let mut lab = lab;
    lab.start_at_file();
    let set = ["set", "5", "--reason", "x"];
    let with = |file: &std::path::Path| {
        let file = file.to_str().unwrap();
        lab.cli(&[&set[..], &["--token-file", file]].concat())
    };
    assert_eq!(lab.cli(&set).code, 77, "none");
    assert_eq!(with(&wrong).code, 77, "another");
    assert_eq!(lab.status()["percentage"], 50, "nothing was changed");
    let read = lab.cli(&["status"]);
    assert_eq!(read.code, 0, "on loopback reading is free: {}", read.err);
    assert_eq!(with(&token).code, 0);
    assert_eq!(lab.status()["percentage"], 5);
    assert!(!lab.log().contains("correct-horse"), "a secret in the log");
}

#[test]
fn status_is_for_people_and_for_programs() {
    let lab = Lab::started(|file| file.percentage = 25);
    let people = lab.order(&["status"]);
    assert!(people.out.contains("25"), "{}", people.out);
    assert!(
        !people.out.contains('\u{1b}'),
        "no colours into a pipe: {:?}",
        people.out
    );
    let programs = lab.order(&["status", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_str(&programs.out).unwrap();
    assert_eq!(status["percentage"], 25);
    assert_eq!(status["durable"], true);
    assert_eq!(status["backends"]["new"]["webhooks"], 0);
}
