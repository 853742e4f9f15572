//! Health checks and breakers: what is taken, and what is said of what is not.

use std::time::Duration;

use super::*;
use crate::breaker;

/// [`WELL`] with a line under `[backend.new]`.
fn with(line: &str) -> String {
    WELL.replacen("[backend.new]", &format!("[backend.new]\n{line}"), 1)
}

#[track_caller]
fn refused(written: &str, message: &str) {
    let to = format!("[backend.new]\n{written}");
    breaks("[backend.new]", &to, written, message);
}

#[test]
fn a_health_check_is_taken_with_its_defaults() {
    let config = checked(&with("health = { path = \"/healthz?deep=1\" }"))
        .unwrap()
        .config;
    let health = config.proxy.backends.new.health.unwrap();
    assert_eq!(health.path, "/healthz?deep=1");
    let times = (Duration::from_secs(5), Duration::from_secs(2));
    assert_eq!((health.every, health.timeout), times);
    assert_eq!((health.expect, health.fall, health.rise), (200, 3, 2));
    assert_eq!(config.proxy.backends.legacy.health, None);
    let config = checked(&with(
        "health = { path = \"/\", interval = \"1s\", fall = 1 }",
    ));
    let health = config.unwrap().config.proxy.backends.new.health.unwrap();
    assert_eq!(health.timeout, Duration::from_secs(1), "not longer");
    assert_eq!(health.fall, 1);
}

#[test]
fn a_breaker_is_there_unless_it_is_switched_off() {
    let of = |text: &str| checked(text).unwrap().config.breakers;
    let usual = Some(breaker::Settings::default());
    assert_eq!((of(WELL).legacy, of(WELL).new), (usual, usual));
    let off = of(&with("breaker = \"off\""));
    assert_eq!((off.legacy, off.new), (usual, None));
    let new = of(&with("breaker = { consecutive = 3, share = \"20%\" }")).new;
    let new = new.unwrap();
    assert_eq!((new.consecutive, new.share, new.least), (3, 0.2, 20));
}

#[test]
fn what_is_wrong_with_a_check_is_said_at_its_line() {
    for (written, message) in [
        ("health = \"/healthz\"", "is a string here"),
        ("health = {}", "`health` needs `path`"),
        ("health = { path = \"healthz\" }", "begins with a slash"),
        ("health = { path = \"/a b\" }", "visible ASCII"),
        (
            "health = { path = \"/\", every = \"5s\" }",
            "unknown key `every`",
        ),
        (
            "health = { path = \"/\", interval = \"1ms\" }",
            "it may be from 100ms to 1h",
        ),
        (
            "health = { path = \"/\", expect = 100 }",
            "a whole number from 200 to 599",
        ),
        (
            "health = { path = \"/\", fall = 0 }",
            "a whole number from 1 to 100",
        ),
        (
            "health = { path = \"/\", timeout = \"6s\" }",
            "is longer than `interval` (5s)",
        ),
    ] {
        refused(written, message);
    }
}

#[test]
fn what_is_wrong_with_a_breaker_is_said_at_its_line() {
    for (written, message) in [
        ("breaker = false", "true or false here"),
        ("breaker = \"on\"", "cannot be \"on\""),
        ("breaker = { share = 0.5 }", "is no share"),
        ("breaker = { share = \"0%\" }", "is nothing at all"),
        (
            "breaker = { consecutive = 0 }",
            "a whole number from 1 to 1000",
        ),
        (
            "breaker = { open_for = \"2m\" }",
            "it may be from 100ms to 1m",
        ),
        (
            "breaker = { open_fro = \"2s\" }",
            "did you mean `open_for`?",
        ),
    ] {
        refused(written, message);
    }
}

#[test]
fn a_row_that_nothing_feeds_is_blind() {
    const ROW: &str = "measure = \"error_rate\"";
    let health = |above: &str| WELL.replacen(ROW, above, 1);
    let row = "measure = \"health_error_rate\"";
    let said = told(&health(row));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("is blind: nobody asks new"), "{said:?}");
    let fed = health(row).replacen(
        "[backend.new]",
        "[backend.new]\nhealth = { path = \"/\" }",
        1,
    );
    assert_eq!(told(&fed), [""; 0]);
    let row = health("measure = \"breaker_opens\"").replacen("\"10%\"", "3", 1);
    assert_eq!(told(&row), [""; 0]);
    let off = row.replacen("[backend.new]", "[backend.new]\nbreaker = \"off\"", 1);
    let said = told(&off);
    assert!(said[0].contains("no breaker that could open"), "{said:?}");
}
