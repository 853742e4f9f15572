//! Rows that say what no row can do, and those that just can.

use super::{WELL, breaks, checked, line, told};

#[test]
fn a_threshold_that_is_relative_to_nothing_says_how_it_is_written() {
    for (written, said) in [
        ("2x legcy", "did you mean `legacy`?"),
        ("2x new", "write for example \"1x legacy\""),
        ("legacy", "names a base and no measure of it"),
        ("0x legacy", "from 0.01 to 100"),
        ("500x legacy", "from 0.01 to 100"),
        ("legacy + much", "which is nothing that can be added"),
        ("legacy + 0%", "which is nothing that can be added"),
        ("basline + 5%", "did you mean `baseline`?"),
        ("10 %%", "is no share"),
    ] {
        line("above = \"10%\"", &format!("above = \"{written}\""), said);
    }
}

#[test]
fn what_cannot_be_compared_or_tested_is_refused_at_its_line() {
    breaks(
        "measure = \"error_rate\"\nabove = \"10%\"",
        "measure = \"complaints\"\nabove = \"2x legacy\"",
        "above",
        "cannot be relative for complaints",
    );
    breaks(
        "above = \"10%\"",
        "above = \"2x legacy\"\nearly = true",
        "early",
        "cannot be tested for against another value",
    );
    line(
        "action = \"reverse\"",
        "action = \"disable-tenant\"",
        "add scope = \"tenant\"",
    );
    breaks(
        "action = \"reverse\"",
        "scope = \"tenant\"\naction = \"reverse\"",
        "action = \"reverse\"",
        "flips nobody else",
    );
    breaks(
        "action = \"reverse\"",
        "scope = \"tenants\"\naction = \"reverse\"",
        "scope",
        "did you mean `tenant`?",
    );
    breaks(
        "action = \"reverse\"",
        "live = \"move\"\naction = \"step-back\"",
        "live",
        "`reverse` or `disable-tenant`",
    );
}

#[test]
fn a_span_that_nothing_remembers_is_refused() {
    line("over = \"5m\"", "over = \"90m\"", "made of whole hours");
    line("over = \"5m\"", "over = \"36d\"", "from 1s to 35d");
    line("over = \"5m\"", "over = \"stages\"", "is no duration");
    breaks(
        "measure = \"error_rate\"\nabove = \"10%\"\nover = \"5m\"",
        "measure = \"memory_used\"\nabove = \"10%\"\nover = \"24h\"",
        "over",
        "memory_used is remembered for an hour",
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
