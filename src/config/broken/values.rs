//! Words that are misspelt, and values of the wrong kind or size.

use super::{breaks, line};

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
