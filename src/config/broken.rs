//! Broken configurations, and what is said of each, at which line.

mod edge;
mod health;
mod levels;
mod log;
mod plan;
mod rescue;
mod rows;
mod together;
mod values;
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
