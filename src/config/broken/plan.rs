//! Plans that cannot be followed; what is wrong with a stage in `plan/stages.rs`, with a
//! gate in `plan/gates.rs`.

mod gates;
mod stages;

use std::time::Duration;

use super::{WELL, breaks_in, checked, told};
use crate::model::Percentage;
use crate::rollout::plan::{Advance, Volume};
use crate::rules::Priority;

/// What every case begins with: everything a plan can say.
fn well() -> String {
    let plan = r#"
[plan]
advance = "auto"
time_zone = "America/Bogota"
windows = ["Sunday 02:00-04:00", "22:00-01:00"]
freezes = [{ from = "2026-12-15", to = "2027-01-06", reason = "holidays" }]
calls_per_hour = 6000
[[plan.stage]]
name = "pilot"
percentage = 5
soak = "7d"
calls_min = 200
tenants = ["clinica-norte"]
volume = "low"
warm_up = "10m"
not_before = "day 1 12:00"
alerts = ["high"]
gates = [
  { measure = "error_rate", below = "1%", over = "1h" },
  { measure = "critical_errors", below = 1, over = "72h" },
  { measure = "abandonment_rate", below = "1x legacy", over = "stage" },
  { measure = "speech_recognition_rate", above = "85%", over = "24h" },
]
[[plan.stage]]
name = "half"
percentage = 50
soak = "1h"
not_before = "day 9 08:00"
hours = "20:00-23:00"
approval = true
blind = "watched by hand"
[[hook]]
on = "before-stage"
stage = "half"
run = ["/bin/true"]
"#;
    WELL.replace("percentage = 10\n", "") + plan
}

/// Replaces a line of the plan, and expects one problem in what stands there now.
#[track_caller]
fn wrong(from: &str, to: &str, message: &str) {
    breaks_in(
        &well(),
        from,
        to,
        to.trim_start_matches("[[plan.stage]]\n"),
        message,
    );
}

#[test]
fn everything_a_plan_can_say_is_read() {
    assert_eq!(told(&well()), [""; 0]);
    let plan = checked(&well()).unwrap().config.plan.unwrap();
    assert_eq!(plan.advance, Advance::Auto);
    assert_eq!(plan.calendar.zone.iana_name(), Some("America/Bogota"));
    assert_eq!(
        (plan.calendar.windows.len(), plan.calendar.freezes.len()),
        (2, 1)
    );
    assert_eq!(plan.calendar.freezes[0].reason, "holidays");
    assert_eq!(plan.calls_per_hour, Some(6000.0));
    let [pilot, half] = plan.stages.as_slice() else {
        panic!("two stages: {plan:?}");
    };
    assert_eq!(
        (pilot.name.as_str(), pilot.percentage),
        ("pilot", Percentage::new(5.0).unwrap())
    );
    assert_eq!(pilot.soak, Duration::from_secs(7 * 86_400));
    assert_eq!((pilot.calls_min, half.calls_min), (200, 20));
    assert_eq!((pilot.volume, half.volume), (Volume::Low, Volume::All));
    assert_eq!(pilot.tenants, ["clinica-norte"]);
    assert_eq!(pilot.alerts, [Priority::High]);
    assert_eq!(pilot.warm_up, Duration::from_secs(600));
    assert_eq!(
        pilot.not_before.map(|it| (it.day, it.at.hour())),
        Some((1, 12))
    );
    assert_eq!(
        half.hours.map(|it| (it.from.hour(), it.to.hour())),
        Some((20, 23))
    );
    assert!(half.approval && !pilot.approval);
    assert_eq!(half.blind.as_deref(), Some("watched by hand"));
}

#[test]
fn what_stands_in_the_plan_is_read_or_refused() {
    wrong(
        "advance = \"auto\"",
        "advance = \"automatic\"",
        "did you mean `auto`?",
    );
    wrong(
        "time_zone = \"America/Bogota\"",
        "time_zone = \"Bogota\"",
        "did you mean `America/Bogota`?",
    );
    wrong(
        "time_zone = \"America/Bogota\"",
        "time_zone = \"America/Bogotta\"",
        "did you mean `America/Bogota`?",
    );
    wrong(
        "time_zone = \"America/Bogota\"",
        "time_zone = \"COT+5\"",
        "a zone of the IANA database",
    );
    wrong("\"Sunday 02:00-04:00\"", "\"Sonday 02:00-04:00\"", "day");
    wrong("\"Sunday 02:00-04:00\"", "\"Sunday 2-4\"", "write");
    wrong(
        "\"Sunday 02:00-04:00\"",
        "\"23:30-23:45\"",
        "this window overlaps another",
    );
    wrong(
        "windows = [\"Sunday 02:00-04:00\", \"22:00-01:00\"]",
        "windows = []",
        "is an empty list",
    );
    wrong("from = \"2026-12-15\"", "from = \"15.12.2026\"", "write");
    wrong(
        "to = \"2027-01-06\"",
        "to = \"2026-12-14\"",
        "is not after `from`",
    );
    breaks_in(
        &well(),
        "from = \"2026-12-15\", ",
        "",
        "freezes",
        "a freeze needs `from`",
    );
    wrong(
        "reason = \"holidays\" }",
        "reason = \"h\" }, { from = \"2027-01-06T08:00\", to = \"2027-01-09\" }",
        "this freeze overlaps another",
    );
    wrong(
        "calls_per_hour = 6000",
        "calls_per_hour = 0",
        "is no traffic at all",
    );
    wrong(
        "calls_per_hour = 6000",
        "calls_per_hour = 1e308",
        "is more than 1000000000",
    );
    wrong(
        "calls_per_hour = 6000",
        "calls_per_our = 6000",
        "did you mean `calls_per_hour`?",
    );
    wrong(
        "calls_per_hour = 6000",
        "percentage = 5 #",
        "it belongs to a [[plan.stage]]",
    );
}

#[test]
fn a_plan_without_a_stage_is_none() {
    let text = WELL.to_owned() + "[plan]\nadvance = \"manual\"\n";
    let lines = told(&text);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("[plan] has no stage")),
        "{lines:?}"
    );
}

#[test]
fn a_hook_of_a_stage_that_is_not_there_is_refused() {
    wrong(
        "stage = \"half\"",
        "stage = \"halv\"",
        "did you mean `half`?",
    );
    wrong(
        "stage = \"half\"",
        "stage = \"tenth\"",
        "it has `pilot` or `half`",
    );
}

#[test]
fn what_of_a_plan_is_odd_but_possible_is_a_warning() {
    for (from, to, message) in [
        (
            "advance = \"auto\"",
            "advance = \"manual\"",
            "`approval` means nothing",
        ),
        (
            "enabled = true",
            "enabled = true\npercentage = 3",
            "outside of its [plan]",
        ),
        ("[\"clinica-norte\"]", "[\"a\"]", "is in `enabled_tenants`"),
        ("[\"clinica-norte\"]", "[\"b\"]", "is in `disabled_tenants`"),
        ("[\"clinica-norte\"]", "[\"c\", \"c\"]", "is picked already"),
        (
            "alerts = [\"high\"]",
            "alerts = [\"low\"]",
            "no [[alert]] row has such a priority",
        ),
        (
            "blind = \"watched by hand\"",
            "volume = \"low\"\nblind = \"b\"",
            "",
        ),
    ] {
        let text = well().replacen(from, to, 1);
        let loaded = checked(&text).unwrap_or_else(|report| panic!("{to}: {report}"));
        let lines = loaded.warnings.lines();
        if message.is_empty() {
            assert_eq!(lines, [""; 0], "low may follow low");
            continue;
        }
        assert_eq!(lines.len(), 1, "{to}: {lines:?}");
        assert!(lines[0].contains(message), "{lines:?} says {message}");
    }
    let narrower = well()
        .replace("volume = \"low\"", "volume = \"all\"")
        .replace(
            "blind = \"watched by hand\"",
            "volume = \"mix\"\nblind = \"b\"",
        );
    assert!(told(&narrower)[0].contains("who is on new stays there"));
}

#[test]
fn what_needs_a_plan_says_so_without_one() {
    for (from, to, message) in [
        (
            "action = \"reverse\"",
            "action = \"step-back\"",
            "has no stage to go back to",
        ),
        (
            "[calls]",
            "[[hook]]\non = \"complete\"\nrun = [\"a\"]\n[calls]",
            "`complete` never comes",
        ),
    ] {
        let lines = told(&WELL.replacen(from, to, 1));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(message), "{lines:?} says {message}");
    }
}
