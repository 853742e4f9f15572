//! Broken configurations, and what is said of each, at which line.

mod edge;
mod health;
mod levels;
mod log;
mod plan;
mod rescue;
mod rows;
mod verify;

use std::path::Path;

use super::*;

/// A configuration that is well, and that each case breaks.
pub(super) const WELL: &str = r#"[listen]
webhooks = "127.0.0.1:8080"
admin = "127.0.0.1:9901"
[state]
dir = "state"
on_empty = "legacy"
[limits]
calls = 1000
body = "8MiB"
[log]
format = "auto"
access = "off"
[backend.legacy]
url = "http://127.0.0.1:3001"
[backend.new]
url = "http://127.0.0.1:3002"
host = "public"
[[route]]
path = "/ivr"
protocol = "telnyx-texml"
tenant = ["to"]
sources = []
served = ["/ivr/agent"]
timeout = "10s"
[calls]
short = "5s"
mature = "auto"
[split]
by = "tenant"
hash = "java31"
enabled = true
percentage = 10
enabled_tenants = ["a"]
disabled_tenants = ["b"]
[[reversal]]
measure = "error_rate"
above = "10%"
over = "5m"
action = "reverse"
[[alert]]
name = "high"
measure = "response_time_mean"
above = "2s"
over = "5m"
to = ["slack"]
priority = "high"
"#;

pub(super) fn checked(text: &str) -> Result<Loaded, Report> {
    load_text(Path::new("config/t.toml"), text.to_owned())
}

/// `line N: message (help)` of every problem.
pub(super) fn told(text: &str) -> Vec<String> {
    let report = match checked(text) {
        Ok(loaded) => loaded.warnings,
        Err(report) => report,
    };
    let lines = report.lines();
    lines
        .iter()
        .map(|line| line.replace("config/t.toml:", "line "))
        .collect()
}

fn line_of(text: &str, part: &str) -> usize {
    let at = text
        .find(part)
        .unwrap_or_else(|| panic!("{part} is in the text"));
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

#[test]
fn what_every_case_begins_with_is_well() {
    assert_eq!(told(WELL), [""; 0]);
}

/// Replaces `from` by `to`, and expects one problem at the line of `at`.
#[track_caller]
pub(super) fn breaks(from: &str, to: &str, at: &str, message: &str) {
    breaks_in(WELL, from, to, at, message);
}

/// As [`breaks`], in another text than [`WELL`].
#[track_caller]
fn breaks_in(well: &str, from: &str, to: &str, at: &str, message: &str) {
    assert!(well.contains(from), "{from} is in the text");
    let text = well.replacen(from, to, 1);
    let told = told(&text);
    assert_eq!(told.len(), 1, "one problem of {to}: {told:#?}");
    let place = format!("line {}: ", line_of(&text, at));
    assert!(told[0].starts_with(&place), "{} stands at {place}", told[0]);
    assert!(told[0].contains(message), "{} says {message}", told[0]);
}

/// Replaces a line, and expects one problem in it.
#[track_caller]
pub(super) fn line(from: &str, to: &str, message: &str) {
    breaks(from, to, to, message);
}

#[test]
fn misspelt_keys_and_words_name_what_was_meant() {
    line("webhooks =", "webhoks =", "did you mean `webhooks`?");
    line(
        "above = \"10%\"",
        "abov = \"10%\"\nabove = \"10%\"",
        "did you mean `above`?",
    );
    line(
        "percentage = 10",
        "percent = 10",
        "did you mean `percentage`?",
    );
    line("[calls]", "[call]\n[calls]", "did you mean `calls`?");
    line(
        "[backend.new]",
        "[backend.newer]\nurl=\"x\"\n[backend.new]",
        "did you mean `new`?",
    );
    line(
        "telnyx-texml",
        "telnyx-textml",
        "did you mean `telnyx-texml`?",
    );
    line(
        "measure = \"error_rate\"",
        "measure = \"error_rates\"",
        "did you mean `error_rate`?",
    );
    line(
        "action = \"reverse\"",
        "action = \"revers\"",
        "did you mean `reverse`?",
    );
    line(
        "hash = \"java31\"",
        "hash = \"java\"",
        "did you mean `java31`?",
    );
    line(
        "tenant = [\"to\"]",
        "tenant = [\"form\"]",
        "did you mean `from`?",
    );
    line(
        "to = [\"slack\"]",
        "to = [\"slak\"]",
        "did you mean `slack`?",
    );
    line(
        "priority = \"high\"",
        "priority = \"hihg\"",
        "did you mean `high`?",
    );
    line(
        "on_empty = \"legacy\"",
        "on_empty = \"legcy\"",
        "did you mean `legacy`?",
    );
    line(
        "short = \"5s\"",
        "colour = 1\nshort = \"5s\"",
        "known here: `short` or `mature`",
    );
}

#[test]
fn what_later_versions_obey_is_refused_by_name() {
    breaks(
        "[calls]",
        "[notify.slack]\nurl = \"x\"\n[calls]",
        "[notify",
        "`notify` is not in this version",
    );
}

#[test]
fn values_of_the_wrong_kind_or_size_are_told_what_they_should_be() {
    line(
        "webhooks = \"127.0.0.1:8080\"",
        "webhooks = 8080",
        "is a number here",
    );
    line(
        "webhooks = \"127.0.0.1:8080\"",
        "webhooks = \"localhost\"",
        "write an address and a port",
    );
    line(
        "webhooks = \"127.0.0.1:8080\"",
        "webhooks = []",
        "is an empty list",
    );
    line("calls = 1000", "calls = 0", "is 0, outside what is allowed");
    line(
        "calls = 1000",
        "calls = \"many\"",
        "a whole number from 1 to 10000000",
    );
    line("body = \"8MiB\"", "body = \"8 megs\"", "is no size");
    line(
        "body = \"8MiB\"",
        "body = 12",
        "12 bytes, outside what is allowed",
    );
    line("timeout = \"10s\"", "timeout = 10", "write a duration as");
    line(
        "timeout = \"10s\"",
        "timeout = \"10\"",
        "write a duration as",
    );
    line("timeout = \"10s\"", "timeout = \"2h\"", "from 10ms to 1m");
    line("above = \"10%\"", "above = 0.1", "write a share as \"5%\"");
    line(
        "above = \"10%\"",
        "above = \"100%\"",
        "no share is above 100%",
    );
    line("above = \"2s\"", "above = \"2%\"", "write a duration as");
    line(
        "over = \"5m\"",
        "over = \"1500ms\"",
        "windows are made of whole seconds",
    );
    line("over = \"5m\"", "over = \"0s\"", "from 1s to 35d");
    line("percentage = 10", "percentage = \"10%\"", "write 10");
    line("percentage = 10", "percentage = 101", "from 0 to 100");
    line(
        "percentage = 10",
        "percentage = nan",
        "a number, for example",
    );
    line("enabled = true", "enabled = \"yes\"", "true or false");
    line(
        "path = \"/ivr\"",
        "path = \"ivr\"",
        "a path begins with a slash",
    );
    line(
        "sources = []",
        "sources = [\"10.0.0.7/8\"]",
        "write \"10.0.0.0/8\"",
    );
    line(
        "sources = []",
        "sources = \"10.0.0.0/8\"",
        "a list of networks",
    );
    line("tenant = [\"to\"]", "tenant = []", "is an empty list");
    line("tenant = [\"to\"]", "tenant = [\"path:0\"]", "from 1 to 32");
    line(
        "tenant = [\"to\"]",
        "tenant = [\"header:a b\"]",
        "names no header",
    );
    line("http://127.0.0.1:3001", "127.0.0.1:3001", "write a URL as");
    line(
        "http://127.0.0.1:3001",
        "http://127.0.0.1:3001/ivr",
        "ends after the port",
    );
    line(
        "mature = \"auto\"",
        "mature = \"soon\"",
        "it is \"auto\" or a duration",
    );
    line("dir = \"state\"", "dir = \"\"", "is empty");
    breaks(
        "action = \"reverse\"",
        "action = \"reverse\"
early = { false_alarm = 5 }",
        "early",
        "a whole number from 1000",
    );
    breaks(
        "action = \"reverse\"",
        "action = \"reverse\"\nearly = {}",
        "early",
        "needs `false_alarm`",
    );
    breaks(
        "[listen]",
        "calls = 1\n[listen]",
        "[calls]",
        "is there twice",
    );
}

#[test]
fn what_is_missing_is_asked_for_where_it_should_stand() {
    breaks(
        "url = \"http://127.0.0.1:3002\"\n",
        "",
        "[backend.new]",
        "[backend.new] needs `url`",
    );
    breaks(
        "path = \"/ivr\"\n",
        "",
        "[[route]]",
        "[[route]] number 1 needs `path`",
    );
    breaks(
        "protocol = \"telnyx-texml\"\n",
        "",
        "[[route]]",
        "needs `protocol`",
    );
    breaks(
        "measure = \"error_rate\"\n",
        "",
        "[[reversal]]",
        "needs `measure`",
    );
    breaks(
        "above = \"10%\"\n",
        "",
        "[[reversal]]",
        "needs `above` or `below`",
    );
    breaks("over = \"5m\"\n", "", "[[reversal]]", "needs `over`");
    breaks(
        "action = \"reverse\"\n",
        "",
        "[[reversal]]",
        "needs `action`",
    );
    breaks(
        "hash = \"java31\"",
        "hash = \"xxh3\"",
        "hash",
        "needs a `salt`",
    );
    assert!(told("")[0].contains("no backend is named"));
    assert!(told("")[1].contains("no [[route]] is named"));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    line(
        "admin = \"127.0.0.1:9901\"",
        "admin = \"127.0.0.1:8080\"",
        "meets `webhooks`",
    );
    line(
        "admin = \"127.0.0.1:9901\"",
        "admin = \"0.0.0.0:9901\"",
        "a public admin address (0.0.0.0:9901) needs a token",
    );
    line(
        "admin = \"127.0.0.1:9901\"",
        "metrics = \"0.0.0.0:9901\"",
        "`metrics` 0.0.0.0:9901 meets `admin` 127.0.0.1:9901",
    );
    line(
        "http://127.0.0.1:3001",
        "http://127.0.0.1:8080",
        "where Switchback itself listens",
    );
    line("above = \"2s\"", "above = \"10s\"", "its `timeout` is 10s");
    line(
        "percentage = 10",
        "percentage = 12.5",
        "whole percentages only",
    );
    line(
        "disabled_tenants = [\"b\"]",
        "disabled_tenants = [\"a\"]",
        "tenant `a` is in both lists",
    );
    line(
        "short = \"5s\"",
        "short = \"15m\"",
        "must be less than `mature`",
    );
    breaks(
        "mature = \"auto\"",
        "mature = \"5s\"",
        "short =",
        "must be less than `mature`",
    );
    line(
        "over = \"5m\"",
        "below = \"1%\"\nover = \"5m\"",
        "cannot both be in a row",
    );
    line(
        "above = \"2s\"",
        "failed_min = 3\nabove = \"2s\"",
        "it belongs to [[reversal]] rows",
    );
    line(
        "priority = \"high\"",
        "action = \"hold\"",
        "what acts is a [[reversal]] row",
    );
    breaks(
        "[[alert]]\n",
        "[[reversal]]\nname = \"high\"\nmeasure = \"critical_errors\"\nabove = 0\naction = \"hold\"\n[[alert]]\n",
        "name = \"high\"\nmeasure = \"response",
        "two rows are named `high`",
    );
    let twice = "[[reversal]]\nmeasure = \"error_rate\"\nabove = \"10%\"\nover = \"5m\"\naction = \"reverse\"\n[[alert]]";
    breaks(
        "[[alert]]",
        twice,
        "[[reversal]]\nmeasure = \"error_rate\"\nabove = \"10%\"\nover = \"5m\"\naction = \"reverse\"\n[[alert]]",
        "says the same as another (`errors-10-5m`)",
    );
    let route = "[[route]]\npath = \"/ivr/\"\nprotocol = \"twilio\"\n[calls]";
    breaks(
        "[calls]",
        route,
        "path = \"/ivr/\"",
        "two routes have the path `/ivr`",
    );
    breaks(
        "action = \"reverse\"",
        "action = \"reverse\"\nearly = true\n[[reversal]]\nmeasure = \"memory_used\"\nabove = \"9%\"\nover = \"1m\"\naction = \"reverse\"\nearly = true #2",
        "early = true #2",
        "works for rates",
    );
    breaks(
        "action = \"reverse\"",
        "action = \"reverse\"\n[[reversal]]\nmeasure = \"memory_used\"\nabove = \"9%\"\nover = \"1m\"\naction = \"reverse\"\nfailed_min = 2",
        "failed_min",
        "only for rates",
    );
}

#[test]
fn early_tests_only_the_side_where_a_measure_is_bad() {
    breaks(
        "above = \"10%\"",
        "below = \"10%\"\nearly = true",
        "early",
        "on the side where they are bad",
    );
    let loaded = checked(&WELL.replacen("above = \"10%\"", "below = \"10%\"", 1)).unwrap();
    assert_eq!(loaded.config.rules[0].early, None, "and is off there");
}

#[test]
fn a_response_time_row_just_under_the_timeout_is_taken() {
    assert_eq!(
        told(&WELL.replace("above = \"2s\"", "above = \"9999ms\"")),
        [""; 0]
    );
}

#[test]
fn what_is_odd_but_possible_is_a_warning() {
    for (from, to, message) in [
        (
            "hash = \"java31\"",
            "hash = \"java31\"\nsalt = \"s\"",
            "`salt` means nothing to java31",
        ),
        (
            "action = \"reverse\"",
            "action = \"hold\"",
            "nothing goes back to legacy by itself",
        ),
        (
            "[\"/ivr/agent\"]",
            "[\"/ivrx\"]",
            "this route never sees it",
        ),
        (
            "[\"/ivr/agent\"]",
            "[\"/ivr\"]",
            "every webhook of this route reaches this",
        ),
        (
            "http://127.0.0.1:3002",
            "http://127.0.0.1:3001",
            "nothing would be migrated",
        ),
        ("[\"a\"]", "[\"a\", \"a\"]", "in the list twice"),
        (
            "[\"a\"]",
            "[\"+1 415 555 0142\"]",
            "without its punctuation",
        ),
        (
            "[calls]",
            "[tenants]\nunlisted = \"key\"\n[calls]",
            "means nothing without a `file`",
        ),
    ] {
        let loaded = checked(&WELL.replacen(from, to, 1)).unwrap();
        let lines = loaded.warnings.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(message), "{lines:?} says {message}");
    }
}
