//! Gates: what they ask for, and those that could never be met.

use super::*;
use crate::rules::{Action, Base, How, Measure, STAGE, Side};

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
