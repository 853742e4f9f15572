//! Each change is one sentence, in its place.

use std::path::Path;

use super::super::load_text;
use super::*;

const BEFORE: &str = r#"
[listen]
webhooks = "127.0.0.1:8080"
public_url = "https://voice.example.com"
[backend.legacy]
url = "http://127.0.0.1:3001"
[backend.new]
url = "http://127.0.0.1:3002"
[[route]]
path = "/ivr"
protocol = "telnyx-texml"
[split]
percentage = 10
enabled_tenants = ["a"]
[[reversal]]
name = "errors"
measure = "error_rate"
above = "10%"
over = "5m"
action = "reverse"
"#;

fn config(text: &str) -> Config {
    load_text(Path::new("t.toml"), text.to_owned())
        .unwrap()
        .config
}

fn changed_by(from: &str, to: &str) -> Diff {
    assert!(BEFORE.contains(from), "{from} is in the file");
    diff(&config(BEFORE), &config(&BEFORE.replace(from, to)))
}

#[test]
fn the_same_file_changes_nothing() {
    assert!(changed_by("[split]", "[split] # a comment").is_empty());
}

#[test]
fn each_change_is_one_sentence_in_its_place() {
    for (from, to, sentence) in [
        (
            "url = \"http://127.0.0.1:3002\"",
            "url = \"http://127.0.0.1:3002\"\nhealth = { path = \"/up\" }",
            "`backend.new.health`: none → GET /up every 5s, 200 within 2s; down after 3, up after 2",
        ),
        (
            "url = \"http://127.0.0.1:3002\"",
            "url = \"http://127.0.0.1:3002\"\nbreaker = \"off\"",
            "`backend.new.breaker`: 5 failures in a row or 50% of 20 in 10s; open for 5s, closed after 3 → off",
        ),
        (
            "percentage = 10",
            "percentage = 25",
            "`split.percentage`: 10 % → 25 %",
        ),
        ("[\"a\"]", "[]", "tenant `a`: enabled → on no list"),
        (
            "enabled_tenants",
            "disabled_tenants",
            "tenant `a`: enabled → disabled",
        ),
        (
            "\"10%\"",
            "\"7%\"",
            "rule `errors`: error_rate above 10% over 5m, reverse → error_rate above 7% over 5m, reverse",
        ),
        (
            "over = \"5m\"",
            "over = \"5m\"\ncalls_min = 5",
            "rule `errors`: calls_min 20 → 5",
        ),
        (
            "action = \"reverse\"",
            "action = \"reverse\"\nlive = \"move\"",
            "rule `errors`: error_rate above 10% over 5m, reverse → error_rate above 10% over 5m, reverse and move live calls",
        ),
        (
            ":3002",
            ":3003",
            "`backend.new`: http://127.0.0.1:3002 (Public Host) → http://127.0.0.1:3003 (Public Host)",
        ),
        (
            "url = \"http://127.0.0.1:3002\"",
            "ANDnames = [\"https://ivr.example.com\"]",
            "`backend.new.names`: [] → [https://ivr.example.com]",
        ),
        (
            "url = \"http://127.0.0.1:3002\"",
            "ANDclaim = { query = \"origin\", value = \"new\" }",
            "`backend.new.claim`: none → origin = new",
        ),
        (
            "protocol = \"telnyx-texml\"",
            "ANDaffinity = \"url\"",
            "`route /ivr affinity`: memory → url",
        ),
        (
            "protocol = \"telnyx-texml\"",
            "ANDtenant = [\"connection\", \"path:2\"]",
            "`route /ivr tenant`: [to] → [connection, path:2]",
        ),
        (
            "[split]",
            "[limits]\nstream_idle_timeout = \"1m\"\n[split]",
            "`limits.stream_idle_timeout`: 10m → 1m",
        ),
        (
            "protocol = \"telnyx-texml\"",
            "ANDrescue = \"off\"",
            "`route /ivr rescue`: start → off",
        ),
        (
            "protocol = \"telnyx-texml\"",
            "ANDrescue_after = \"900ms\"",
            "`route /ivr rescue_after`: 1200ms → 900ms",
        ),
        (
            "protocol = \"telnyx-texml\"",
            "ANDentry = \"/ivr/welcome?a=1\"",
            "`route /ivr entry`: none → /ivr/welcome?a=1",
        ),
        (
            "protocol = \"telnyx-texml\"",
            "ANDlast_resort = \"off\"",
            "`route /ivr last_resort`: the shipped words → off",
        ),
        (
            "protocol = \"telnyx-texml\"",
            "ANDlast_resort = { forward = \"+15557640012\" }",
            "`route /ivr last_resort`: the shipped words → forwarded to …12",
        ),
        (
            "[split]",
            "[limits]\nstreams = 9\n[split]",
            "`limits.streams`: 5000 → 9",
        ),
        (
            "[split]",
            "[limits]\nconnections_per_source = 20\n[split]",
            "`limits.connections_per_source`: 0 → 20",
        ),
        (
            "[split]",
            "[limits]\nrescues = 20\n[split]",
            "`limits.rescues`: 500 → 20",
        ),
        (
            "url = \"http://127.0.0.1:3001\"",
            "ANDconcurrency = 200\nqueue = 50",
            "`backend.legacy.concurrency`: none → 200 at once, 50 wait up to 50ms",
        ),
    ] {
        let diff = changed_by(from, &to.replace("AND", &format!("{from}\n")));
        assert_eq!(diff.changed, [sentence], "{to}");
        assert!(diff.needs_restart.is_empty() && diff.refused.is_empty());
    }
}

#[test]
fn another_protocol_brings_its_own_times() {
    let diff = changed_by("\"telnyx-texml\"", "\"vapi\"");
    assert_eq!(
        diff.changed,
        [
            "`route /ivr protocol`: telnyx-texml → vapi",
            "`route /ivr timeout`: 10s → 20s",
            "`route /ivr rescue_after`: 1200ms → 3500ms",
        ]
    );
}

#[test]
fn a_renamed_route_or_rule_is_one_gone_and_one_new() {
    let diff = changed_by("path = \"/ivr\"", "path = \"/voice\"");
    assert_eq!(
        diff.changed,
        ["route `/ivr` is gone", "route `/voice` is new"]
    );
}

#[test]
fn addresses_and_sizes_wait_for_a_restart() {
    let diff = changed_by(":8080", ":8081");
    assert_eq!(
        diff.needs_restart,
        ["`listen.webhooks`: [127.0.0.1:8080] → [127.0.0.1:8081]"]
    );
    assert!(diff.changed.is_empty());
}

#[test]
fn what_would_move_callers_is_refused() {
    let diff = changed_by(
        "[split]",
        "[split]\nby = \"call\"\nhash = \"xxh3\"\nsalt = \"s\"",
    );
    assert_eq!(
        diff.refused,
        [
            "`split.by`: tenant → call",
            "`split.hash`: java31 → xxh3 with salt \"s\""
        ]
    );
}

/// [`BEFORE`] with a plan.
fn planned() -> String {
    BEFORE.replace("percentage = 10\n", "")
        + r#"
[plan]
advance = "auto"
[[plan.stage]]
name = "pilot"
percentage = 5
soak = "7d"
gates = [{ measure = "error_rate", below = "1%", over = "1h" }]
[[plan.stage]]
name = "half"
percentage = 50
soak = "1h"
"#
}

#[test]
fn a_plan_is_told_stage_by_stage() {
    for (from, to, sentence) in [
        (
            "percentage = 5\n",
            "percentage = 10\n",
            "stage `pilot`: percentage 5 % → 10 %",
        ),
        (
            "soak = \"7d\"",
            "soak = \"36h\"\ntenants = [\"acme\", \"+525512345678\"]",
            "stage `pilot`: soak 7d → 36h; tenants [] → [acme, …78]",
        ),
        (
            "below = \"1%\"",
            "below = \"2%\"",
            "stage `pilot`: gate `pilot/errors-below-1-1h` is gone; gate `pilot/errors-below-2-1h` is new",
        ),
        (
            "over = \"1h\" }",
            "over = \"1h\", calls_min = 50 }",
            "stage `pilot`: gate `pilot/errors-below-1-1h`: calls_min 20 → 50 over 1h",
        ),
        (
            "advance = \"auto\"",
            "advance = \"manual\"",
            "`plan.advance`: auto → manual",
        ),
        (
            "advance = \"auto\"",
            "advance = \"auto\"\ntime_zone = \"America/Bogota\"",
            "`plan.time_zone`: UTC → America/Bogota",
        ),
        (
            "advance = \"auto\"",
            "advance = \"auto\"\nwindows = [\"Sunday 02:00-04:00\"]",
            "`plan.windows`: [] → [Sunday 02:00-04:00]",
        ),
        (
            "[plan]",
            "[[hook]]\non = \"complete\"\nrun = [\"/bin/mail\", \"hunter2\"]\n[plan]",
            "`hook`: [] → [complete: run /bin/mail within 30s]",
        ),
        (
            "[plan]",
            "[[hook]]\non = \"complete\"\nurl = \"https://a.example/hunter2?t=hunter2\"\n[plan]",
            "`hook`: [] → [complete: POST https://a.example/… within 30s]",
        ),
        (
            "[plan]",
            "[emergency]\nto = \"last-resort\"\n[plan]",
            "`emergency.to`: legacy → last-resort",
        ),
    ] {
        let text = planned();
        assert!(text.contains(from), "{from} is in the file");
        let told = diff(&config(&text), &config(&text.replacen(from, to, 1)));
        assert_eq!(told.changed, [sentence], "{to}");
        assert!(told.needs_restart.is_empty() && told.refused.is_empty());
    }
    let text = planned().replace("name = \"half\"", "name = \"whole\"");
    let told = diff(&config(&planned()), &config(&text));
    assert_eq!(
        told.changed,
        [
            "stage half (50 % for 1h) is gone",
            "stage whole (50 % for 1h) is new"
        ]
    );
    let told = diff(&config(BEFORE), &config(&planned()));
    assert!(
        told.changed
            .contains(&"the plan is new: pilot (5 % for 7d), half (50 % for 1h)".to_owned()),
        "{told:?}"
    );
}

#[test]
fn a_row_is_told_with_everything_that_is_other_about_it() {
    for (to, sentence) in [
        (
            "above = \"2x baseline\"\nover = \"24h\"",
            "rule `errors`: error_rate above 10% over 5m, reverse → error_rate above 2x baseline over 1d, \
             reverse; early on (a false alarm in 100000 calls) → off",
        ),
        (
            "above = \"10%\"\nover = \"5m\"\nearly = \"alone\"\nhold_for = \"1m\"",
            "rule `errors`: hold_for 0s → 1m; early on (a false alarm in 100000 calls) → on (a false \
             alarm in 100000 calls, alone)",
        ),
    ] {
        let diff = changed_by("above = \"10%\"\nover = \"5m\"", to);
        assert_eq!(diff.changed, [sentence], "{to}");
    }
}

#[test]
fn what_is_written_and_kept_waits_for_a_restart() {
    let diff = changed_by(
        "[split]",
        "[state]\nkeep = \"30d\"\n[log]\noutcomes = \"o.jsonl\"\n\
         decisions = { file = \"d.jsonl\", sample = \"1%\" }\nrotate = { files = 2 }\n[split]",
    );
    assert_eq!(
        diff.needs_restart,
        [
            "`state.keep`: for ever → 30d",
            "`log.outcomes`: off → o.jsonl",
            "`log.decisions`: off → d.jsonl",
            "`log.decisions.sample`: off → 1 %",
            "`log.rotate`: 8 files of 67108864 bytes → 2 files of 67108864 bytes",
        ]
    );
    assert!(diff.changed.is_empty());
}

#[test]
fn what_changed_in_a_part_that_is_not_shown_is_told_without_it() {
    let with = |secret: &str| {
        let hook =
            format!("[[hook]]\non = \"complete\"\nurl = \"https://a.example/{secret}\"\n[plan]");
        config(&planned().replacen("[plan]", &hook, 1))
    };
    let told = diff(&with("hunter2"), &with("hunter3"));
    assert_eq!(
        told.changed,
        ["`hook`: changed in what is not shown: [complete: POST https://a.example/… within 30s]"]
    );
}
