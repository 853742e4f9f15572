//! Plans that cannot be followed.

use std::time::Duration;

use super::{WELL, breaks_in, checked, told};
use crate::model::Percentage;
use crate::rollout::plan::{Advance, Volume};
use crate::rules::{Action, Base, How, Measure, Priority, STAGE, Side};

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
fn a_gate_is_the_opposite_of_what_it_asks_for() {
    let plan = checked(&well()).unwrap().config.plan.unwrap();
    let gates: Vec<_> = plan.stages[0]
        .gates
        .iter()
        .map(|gate| {
            (
                gate.name.as_str(),
                gate.measure,
                gate.side,
                gate.threshold,
                gate.over,
            )
        })
        .collect();
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!(
        gates,
        [
            (
                "pilot/errors-below-1-1h",
                Measure::ErrorRate,
                Side::Above,
                0.01,
                hours(1)
            ),
            (
                "pilot/critical-errors-below-1-3d",
                Measure::CriticalErrors,
                Side::Above,
                1.0,
                hours(72)
            ),
            (
                "pilot/abandonment-below-1x-legacy-stage",
                Measure::AbandonmentRate,
                Side::Above,
                1.0,
                STAGE
            ),
            (
                "pilot/speech-recognition-85-1d",
                Measure::SpeechRecognitionRate,
                Side::Below,
                0.85,
                hours(24)
            ),
        ]
    );
    let gates = &plan.stages[0].gates;
    assert!(
        gates
            .iter()
            .all(|gate| gate.action == Action::Gate && gate.early.is_none())
    );
    assert_eq!(gates[0].calls_min, 20);
    let against = gates[2].against.unwrap();
    assert_eq!((against.base, against.how), (Base::Legacy, How::Times));
}

#[test]
fn a_gate_is_met_below_its_threshold_and_not_at_it() {
    let met = |asked: &str, number: usize, value: f64| {
        let text = well().replace("below = 1,", &format!("{asked},"));
        let plan = checked(&text).unwrap().config.plan.unwrap();
        !plan.stages[0].gates[number].is_beyond(value)
    };
    for (asked, value, is_met) in [
        ("below = 1", 0.0, true),
        ("below = 1", 1.0, false),
        ("below = 3", 2.0, true),
        ("below = 3", 3.0, false),
        ("below = 2.5", 2.0, true),
        ("below = 2.5", 3.0, false),
        ("above = 2", 3.0, true),
        ("above = 2", 2.0, false),
    ] {
        assert_eq!(met(asked, 1, value), is_met, "{asked}: {value}");
    }
    // error_rate below 1 %, speech_recognition_rate above 85 %.
    for (number, value, is_met) in [
        (0, 0.0099, true),
        (0, 0.01, false),
        (3, 0.86, true),
        (3, 0.85, false),
    ] {
        assert_eq!(met("below = 1", number, value), is_met, "{number}: {value}");
    }
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
fn a_gate_that_can_never_pass_is_refused() {
    let errors = "{ measure = \"error_rate\", below = \"1%\", over = \"1h\" }";
    for (gate, message) in [
        (
            "{ measure = \"error_rate\", below = \"0%\", over = \"1h\" }",
            "can never be met",
        ),
        (
            "{ measure = \"error_rate\", above = \"100%\", over = \"1h\" }",
            "can never be met",
        ),
        (
            "{ measure = \"complaints\", below = 0, over = \"1h\" }",
            "can never be met",
        ),
        (
            "{ measure = \"health_error_rate\", below = \"1%\", over = \"1h\" }",
            "nobody asks new for its health",
        ),
        (
            "{ measure = \"error_rate\", below = \"1%\", over = \"1h\", calls_min = 301 }",
            "new gets about 300.0 calls in 1h, and it needs 301",
        ),
        (
            "{ measure = \"response_time_mean\", below = \"10s\", over = \"1h\" }",
            "can take this long",
        ),
        (
            "{ measure = \"error_rate\", below = \"1%\", over = \"1h\", scope = \"tenant\" }",
            "about the whole stage",
        ),
        (
            "{ measure = \"error_rate\", below = \"1%\", over = \"1h\", hold_for = \"1h\" }",
            "write a longer `over`",
        ),
        (
            "{ measure = \"error_rate\", below = \"1%\" }",
            "needs `over`",
        ),
        ("{ below = \"1%\", over = \"1h\" }", "needs `measure`"),
        (
            "{ measure = \"complaints\", below = \"1x legacy\", over = \"1h\" }",
            "cannot be relative",
        ),
        ("\"an error_rate\"", "is no gate"),
    ] {
        wrong(errors, gate, message);
    }
    let again = errors.replace("{ measure", "{  measure");
    let twice = format!("{errors},\n  {again}");
    breaks_in(
        &well(),
        errors,
        &twice,
        &again,
        "says the same as another gate",
    );
    let enough = errors.replace("over = \"1h\"", "over = \"1h\", calls_min = 300");
    assert_eq!(told(&well().replace(errors, &enough)), [""; 0]);
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
