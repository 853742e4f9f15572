//! Lines that are well by themselves and do not go together.

use super::{breaks, line};

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
