use anstream::adapter::strip_str;

use super::*;
use crate::admin::shapes::{Backend, Backends, Breaker, Health, Rescues, Verification};

fn plain(status: &Status) -> String {
    on(status, Room::default())
}

fn on(status: &Status, room: Room) -> String {
    let text = screen(status, room).join("\n") + "\n";
    strip_str(&text).to_string()
}

fn rule(name: &str, verdict: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        measure: "error_rate".to_owned(),
        unit: "share".to_owned(),
        action: "reverse".to_owned(),
        value: Some(0.004),
        threshold: 0.1,
        samples: 1031,
        calls_min: 20,
        verdict: verdict.to_owned(),
        ..Rule::default()
    }
}

fn soaking() -> Status {
    Status {
        phase: "soaking".to_owned(),
        phase_since: Some("2026-11-20T08:00:00.25Z".to_owned()),
        at: "2026-11-20T08:01:05.5Z".to_owned(),
        percentage: 12.5,
        enabled: true,
        durable: true,
        generation: 7,
        config_hash: "3fa9c1d2e0b4".to_owned(),
        uptime_s: 11_520,
        backends: Backends {
            legacy: Backend {
                webhooks: 12_345,
                errors: 12,
                error_rate: Some(0.001),
                response_time_mean_ms: Some(120.4),
                response_time_p95_ms: Some(300.0),
                calls_active: 12,
                calls: 2468,
                abandonment_rate: Some(0.031),
                ..Backend::default()
            },
            new: Backend {
                webhooks: 1234,
                calls: 240,
                response_time_mean_ms: Some(12_540.0),
                ..Backend::default()
            },
        },
        rules: vec![
            rule("errors-10-5m", "pass"),
            Rule {
                unit: "ms".to_owned(),
                value: None,
                threshold: 5000.0,
                samples: 0,
                blind: true,
                because: "0 of 20 calls in the last 5 minutes".to_owned(),
                ..rule("response time over five seconds", "inconclusive")
            },
            Rule {
                value: None,
                threshold: 0.05,
                samples: 7,
                action: "alert".to_owned(),
                because: "too few to judge: 7 calls of the 20 needed".to_owned(),
                ..rule("errors-5-15m", "inconclusive")
            },
            Rule {
                value: None,
                threshold: 0.05,
                samples: 0,
                action: "alert".to_owned(),
                because: "no call spoke to new in the last 1 h; no verdict".to_owned(),
                ..rule("errors-5-1h", "inconclusive")
            },
        ],
        ..Status::default()
    }
}

#[test]
fn a_rollout_that_never_began_is_idle_since_no_time() {
    let status = Status {
        phase: "idle".to_owned(),
        phase_since: None,
        ..soaking()
    };
    let lines = screen(&status, Room::default());
    let first = strip_str(&lines[0]).to_string();
    assert_eq!(first, "phase        idle");
}

#[test]
fn a_backend_that_fails_is_said_above_all_and_beside_its_numbers() {
    let mut status = soaking();
    status.condition.state = "new".to_owned();
    status.condition.says = "New is failing: so it is.".to_owned();
    status.backends.legacy.health = Some(Health {
        state: "up".to_owned(),
        ..Health::default()
    });
    let breaker = |state: &str, opens_last_hour| {
        Some(Breaker {
            state: state.to_owned(),
            opens_last_hour,
            because: None,
        })
    };
    status.backends.new.breaker = breaker("half-open", 2);
    status.backends.legacy.breaker = breaker("closed", 0);
    status.rescues = Rescues {
        served: 1_203,
        last_resort: 4,
        ..Rescues::default()
    };
    let shown = plain(&status);
    for line in [
        "failing      New is failing: so it is.",
        "health                        up                –",
        "rescued      1,203 answered by legacy, 4 heard the last resort; since the start",
        "breaker                        –  half-open",
        "breaker opened, 1 h            –  2",
    ] {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = squeezed(line);
        assert!(
            shown.lines().any(|is| squeezed(is) == line),
            "{line} in {shown}"
        );
    }
    status.condition.state = "none".to_owned();
    assert!(!plain(&status).contains("failing"));
}

#[test]
fn a_quiet_rollout_looks_like_this() {
    let expected = "\
phase        soaking since 2026-11-20T08:00:00Z (1 min 5 s ago)
percentage   12.5 % to new
routing      generation 7, configuration 3fa9c1d2e0b4, running for 3 h 12 min

                           legacy     new
calls active                   12       0
calls                       2,468     240
webhooks                   12,345   1,234
errors                         12       0
error rate, 5 min           0.1 %       –
response time mean, 5 min  120 ms  12.5 s
response time p95, 5 min   300 ms       –
abandonment, 15 min         3.1 %       –

rule                          then       new  legacy  limit  calls  verdict
errors-10-5m                  reverse  0.4 %       –   10 %  1,031  pass
response time over five sec…  reverse      –       –    5 s   0/20  blind
    0 of 20 calls in the last 5 minutes
errors-5-15m                  alert        –       –    5 %   7/20  inconclusive
errors-5-1h                   alert        –       –    5 %   0/20  inconclusive
    no call spoke to new in the last 1 h
";
    let shown = plain(&soaking());
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn what_else_is_known_stands_below_and_only_where_something_is() {
    let mut status = soaking();
    status.day_since = "2026-11-20T05:30:00Z".to_owned();
    status.backends.legacy = Backend {
        failed_call_rate: Some(0.012),
        call_duration_mean_s: Some(252.0),
        calls_per_hour: 1240,
        calls_per_day: 3210,
        connect_mean_ms: Some(0.42),
        menu_choices: [("1", 50), ("2", 150), ("#", 0)]
            .map(|(key, times)| (key.to_owned(), times))
            .into(),
        ..status.backends.legacy
    };
    status.backends.new = Backend {
        call_duration_mean_s: Some(45.5),
        data_query_mean_ms: Some(31.0),
        ..status.backends.new
    };
    let expected = "\
abandonment, 15 min              3.1 %       –
failed calls, 15 min             1.2 %       –
call duration mean, 15 min  4 min 12 s  45.5 s
data query mean, 5 min               –   31 ms
connect mean, 1 h               0.4 ms       –
calls begun, 1 h                 1,240       –
calls begun, since 05:30         3,210       –
legacy chose 2 75 %, 1 25 %, # 0 % of 200

rule ";
    let shown = plain(&status);
    assert!(shown.contains(expected), "{shown}");
    status.day_since = "2026-11-19T09:00:00Z".to_owned();
    assert!(plain(&status).contains("calls begun, 24 h"));
}

#[test]
fn a_reversal_is_the_first_thing_one_sees() {
    let status = Status {
        phase: "reversed".to_owned(),
        latched: true,
        durable: false,
        because: Some(
            "rule errors-10-5m: 7 of 31 calls failed (22.6 %), the table allows 10 %".to_owned(),
        ),
        verification: Some(Verification {
            live_on_new: 3,
            ..Verification::default()
        }),
        rules: vec![Rule {
            firing: true,
            because: "7 of 31 calls failed (22.6 %), the table allows 10 %".to_owned(),
            ..rule("errors-10-5m", "trip")
        }],
        ..soaking()
    };
    let shown = plain(&status);
    let expected = " LATCHED: every new call goes to legacy until somebody resumes
phase        reversed since 2026-11-20T08:00:00Z (1 min 5 s ago)
because      rule errors-10-5m: 7 of 31 calls failed (22.6 %), the table allows
             10 %
percentage   12.5 % asked for, 0 % in force
disk         not everything that was decided is on disk; raises are refused
routing      generation 7, configuration 3fa9c1d2e0b4, running for 3 h 12 min
since then   [ ] no new call has reached new so far
             [ ] 3 of 3 live calls left on new; they finish there
             [ ] a reversing row is still over its threshold (new's or legacy's)
";
    let head: String = shown
        .lines()
        .take(10)
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    assert_eq!(head, expected, "\n{shown}");
    assert!(shown.contains("TRIP\n    7 of 31 calls failed"), "{shown}");
    assert!(
        screen(&status, Room::default())
            .join("\n")
            .contains("\x1b[1m\x1b[31m"),
        "red where a terminal looks on"
    );
}

#[test]
fn no_line_is_wider_than_the_smallest_terminal() {
    let long = "a word ".repeat(60) + &"x".repeat(200);
    let mut status = soaking();
    status.notes = vec![long.clone()];
    status.because = Some(long.clone());
    status.latched = true;
    status.tenants.disabled = vec!["tenant".to_owned(); 50];
    status.rules.push(Rule {
        firing: true,
        value: Some(123_456.7),
        legacy: Some(123_456.7),
        unit: "ms".to_owned(),
        threshold: 123_456.7,
        samples: 1_234_567,
        because: long,
        ..rule(&"n".repeat(100), "trip")
    });
    status.rules.push(rule("slow", "inconclusive"));
    status.backends.new.call_duration_mean_s = Some(86_399.9);
    status.backends.new.calls_per_day = u64::MAX;
    status.backends.new.menu_choices = (0..12).map(|key| (key.to_string(), 1234)).collect();
    for line in plain(&status).lines() {
        let columns = line.trim_end().chars().count();
        assert!(columns <= WIDTH, "{columns} columns: {line}");
    }
}

#[test]
fn values_are_written_in_their_unit() {
    for (unit, number, text) in [
        ("share", Some(0.226), "22.6 %"),
        ("share", Some(1.0), "100 %"),
        ("ms", Some(840.2), "840 ms"),
        ("ms", Some(3_400.0), "3.4 s"),
        ("ms", Some(12_540.0), "12.5 s"),
        ("s", Some(45.04), "45 s"),
        ("s", Some(252.0), "4 min 12 s"),
        ("number", Some(15.0), "15"),
        ("number", None, "–"),
    ] {
        assert_eq!(value(unit, number), text);
    }
    assert_eq!(
        (count(999), count(1_234_567)),
        ("999".into(), "1,234,567".into())
    );
    assert_eq!(
        (span(59), span(725), span(90_000)),
        ("59 s".into(), "12 min 5 s".into(), "1 d 1 h".into())
    );
}

#[test]
fn a_wide_terminal_has_the_reason_beside_the_verdict() {
    let wide = Room {
        columns: 120,
        rows: None,
    };
    let shown = on(&soaking(), wide);
    assert!(
        shown.contains("inconclusive: too few to judge: 7"),
        "{shown}"
    );
    assert!(
        shown.lines().all(|line| line.chars().count() < 120),
        "{shown}"
    );
}

#[test]
fn a_low_terminal_has_reasons_only_where_something_is_wrong() {
    let room = |rows| Room {
        columns: 80,
        rows: Some(rows),
    };
    let all = on(&soaking(), room(60));
    assert!(all.contains("no call spoke to new"), "{all}");
    let low = on(&soaking(), room(20));
    assert!(!low.contains("no call spoke to new"), "{low}");
    assert!(
        low.contains("0 of 20 calls"),
        "blind is always explained: {low}"
    );
}
