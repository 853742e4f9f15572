//! Stages that could not begin, would not end, or would notice nothing.

use super::*;

#[test]
fn a_stage_is_known_by_its_name_and_goes_toward_new() {
    breaks_in(
        &well().replace("stage = \"half\"\n", ""),
        "name = \"half\"",
        "name = \"pilot\" #2",
        "name = \"pilot\" #2",
        "two stages are named `pilot`",
    );
    wrong("name = \"half\"", "name = \"\"", "is empty");
    let long = format!("name = \"{}\"", "n".repeat(41));
    wrong("name = \"half\"", &long, "has at most 40");
    wrong("percentage = 50", "percentage = 4", "falls from 5 % to 4 %");
    wrong(
        "percentage = 50",
        "percentage = 50.5",
        "whole percentages only",
    );
    wrong("percentage = 50", "percentage = 101", "from 0 to 100");
    wrong(
        "soak = \"7d\"",
        "soak = \"7 days and a bit\"",
        "is no duration",
    );
    wrong("soak = \"7d\"", "soak = \"400d\"", "from 0s to 366d");
    wrong("volume = \"low\"", "volume = \"lo\"", "did you mean `low`?");
    wrong("warm_up = \"10m\"", "warm_up = \"25h\"", "from 0s to 1d");
    wrong(
        "calls_min = 200",
        "calls_min = -1",
        "outside what is allowed",
    );
    wrong("alerts = [\"high\"]", "alerts = [\"hi\"]", "cannot be");
    wrong("alerts = [\"high\"]", "alerts = []", "is an empty list");
    wrong("approval = true", "approval = \"yes\"", "true or false");
    wrong(
        "approval = true",
        "aproval = true",
        "did you mean `approval`?",
    );
    wrong(
        "approval = true",
        "windows = []",
        "it belongs to [plan], for all stages",
    );
    wrong("blind = \"watched by hand\"", "blind = \"\"", "is empty");
}

#[test]
fn the_first_stage_needs_somebody_to_begin_with() {
    let text = well().replace("percentage = 5\n", "percentage = 0\n");
    assert_eq!(told(&text), [""; 0], "a tenant is picked by hand");
    breaks_in(
        &text,
        "tenants = [\"clinica-norte\"]\n",
        "",
        "percentage = 0",
        "nobody is on new in this stage",
    );
}

#[test]
fn days_and_hours_of_a_plan_go_together() {
    wrong(
        "not_before = \"day 1 12:00\"",
        "not_before = \"day 0 12:00\"",
        "write",
    );
    wrong(
        "not_before = \"day 1 12:00\"",
        "not_before = \"noon\"",
        "write",
    );
    wrong(
        "not_before = \"day 1 12:00\"",
        "not_before = \"day 2 12:00\"",
        "cannot wait for day 2",
    );
    wrong(
        "not_before = \"day 9 08:00\"",
        "not_before = \"day 1 11:59\"",
        "lies before that of a stage before it",
    );
    wrong("hours = \"20:00-23:00\"", "hours = \"8-18\"", "write");
    wrong(
        "hours = \"20:00-23:00\"",
        "hours = \"08:00-18:00\"",
        "the stage could never begin",
    );
    // One minute of a window is enough.
    assert_eq!(told(&well().replace("20:00-23:00", "03:59-05:00")), [""; 0]);
    assert_ne!(told(&well().replace("20:00-23:00", "04:00-05:00")), [""; 0]);
}

#[test]
fn a_stage_that_would_notice_nothing_is_refused() {
    // Without its sequential test the row needs twenty calls in five minutes.
    let text = well().replace(
        "action = \"reverse\"",
        "action = \"reverse\"\nearly = false",
    );
    assert_eq!(told(&text), [""; 0], "25 in five minutes are enough");
    let thin = text.replace("calls_per_hour = 6000", "calls_per_hour = 480");
    let lines = told(&thin);
    assert!(
        lines.iter().any(|line| line.contains("the stage is blind")),
        "two in five minutes are not: {lines:?}"
    );
    let known = thin.replace("calls_min = 200", "blind = \"we listen in\"");
    let lines = told(&known);
    assert!(
        !lines.iter().any(|line| line.contains("is blind")),
        "{lines:?}"
    );
    let unsaid = thin.replace("calls_per_hour = 480\n", "");
    assert_eq!(told(&unsaid), [""; 0], "nobody knows the traffic");
}

#[test]
fn a_plan_by_hand_may_leave_the_soak_to_whoever_advances() {
    let text = well()
        .replace("advance = \"auto\"", "advance = \"manual\"")
        .replace("approval = true\n", "")
        .replace("soak = \"1h\"\n", "");
    assert_eq!(told(&text), [""; 0]);
    breaks_in(
        &well(),
        "soak = \"1h\"\n",
        "",
        "[[plan.stage]]\nname = \"half\"",
        "needs `soak`",
    );
}
