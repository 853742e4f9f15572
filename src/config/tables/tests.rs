//! Rows as people write them, and the rules that they become.

use std::path::Path;

use super::super::load_text;
use super::*;
use crate::rules::{Against, Early};

/// The only row of a file, or all that is wrong with it.
fn rule(row: &str) -> Result<Rule, String> {
    let text = format!(
        r#"
        backend.legacy.url = "http://127.0.0.1:3001"
        backend.new.url = "http://127.0.0.1:3002"
        [[route]]
        path = "/ivr"
        protocol = "twilio"
        {row}
        "#
    );
    match load_text(Path::new("t.toml"), text) {
        Ok(mut loaded) => Ok(loaded.config.rules.remove(0)),
        Err(report) => Err(report.to_string()),
    }
}

fn reversal(measure: &str, limit: &str) -> Result<Rule, String> {
    rule(&format!(
        "[[reversal]]\nmeasure = \"{measure}\"\n{limit}\nover = \"15m\"\naction = \"reverse\""
    ))
}

#[test]
fn failed_calls_are_a_rate_with_a_rates_minima_and_its_early_test() {
    let rule = reversal("failed_call_rate", "above = \"10%\"").unwrap();
    assert_eq!(rule.measure, Measure::FailedCallRate);
    assert_eq!((rule.calls_min, rule.failed_min), (20, 8));
    assert_eq!(rule.early, Some(Early::default()));
    assert_eq!(rule.name, "failed-calls-10-15m");
    let fewer = reversal("failed_call_rate", "above = \"10%\"\nfailed_min = 3").unwrap();
    assert_eq!(fewer.failed_min, 3);
    let wrong = reversal("failed_call_rate", "above = \"4m\"").unwrap_err();
    assert!(wrong.contains("is no share"), "{wrong}");
}

#[test]
fn a_calls_duration_is_held_against_a_duration_and_has_no_early_test() {
    let rule = reversal("call_duration_mean", "above = \"4m\"").unwrap();
    assert_eq!((rule.threshold, rule.calls_min), (240.0, 20));
    assert_eq!((rule.failed_min, rule.early), (0, None));
    assert_eq!(rule.name, "call-duration-4m-15m");
    let short = reversal("call_duration_mean", "below = \"20s\"").unwrap();
    assert_eq!((short.side, short.threshold), (Side::Below, 20.0));
    for (limit, said) in [
        ("above = \"5%\"", "is no duration"),
        ("above = \"25h\"", "outside what is allowed"),
        ("above = \"4m\"\nearly = true", "response_time_mean only"),
        ("above = \"4m\"\nfailed_min = 3", "only for rates"),
    ] {
        let wrong = reversal("call_duration_mean", limit).unwrap_err();
        assert!(wrong.contains(said), "{limit}: {wrong}");
    }
    // It is no response time, so no route's timeout is in its way.
    assert!(reversal("call_duration_mean", "above = \"30m\"").is_ok());
}

#[test]
fn a_row_that_reverses_says_what_live_calls_do() {
    let live = |line: &str| {
        let limit = format!("above = \"10%\"\n{line}");
        reversal("error_rate", &limit).map(|rule| rule.live)
    };
    assert_eq!(live(""), Ok(Live::Drain));
    assert_eq!(live("live = \"drain\""), Ok(Live::Drain));
    assert_eq!(live("live = \"move\""), Ok(Live::Move));
    let wrong = live("live = \"cut\"").unwrap_err();
    assert!(wrong.contains("drain") && wrong.contains("move"), "{wrong}");
    let row = |table: &str, action: &str| {
        rule(&format!(
            "[[{table}]]\nmeasure = \"error_rate\"\nabove = \"5%\"\nover = \"5m\"\n\
             live = \"move\"\n{action}"
        ))
        .unwrap_err()
    };
    let holds = row("reversal", "action = \"hold\"");
    assert!(
        holds.contains("only where the action is `reverse` or `disable-tenant`"),
        "{holds}"
    );
    let alert = row("alert", "");
    assert!(alert.contains("belongs to [[reversal]] rows"), "{alert}");
}

#[test]
fn every_measure_of_this_version_can_stand_in_an_alert() {
    for measure in Measure::ALL {
        let limit = match measure.unit() {
            Unit::Share => "\"50%\"",
            Unit::Millis => "\"500ms\"",
            Unit::Seconds => "\"4m\"",
            Unit::Number => "3",
        };
        let row = format!(
            "[[alert]]\nmeasure = \"{}\"\nabove = {limit}\nover = \"5m\"",
            measure.name()
        );
        assert_eq!(rule(&row).map(|rule| rule.measure), Ok(measure));
    }
}

#[test]
fn a_threshold_may_be_relative_and_its_name_says_so() {
    for (measure, limit, threshold, how, base, name) in [
        (
            "response_time_p99",
            "above = \"2x baseline\"",
            2.0,
            How::Times,
            Base::Baseline,
            "response-time-p99-2x-baseline-15m",
        ),
        (
            "error_rate",
            "above = \"1.5x legacy\"",
            1.5,
            How::Times,
            Base::Legacy,
            "errors-1.5x-legacy-15m",
        ),
        (
            "error_rate",
            "above = \"legacy + 2%\"",
            0.02,
            How::Plus,
            Base::Legacy,
            "errors-legacy+2-15m",
        ),
        (
            "response_time_mean",
            "above = \"legacy+500ms\"",
            500.0,
            How::Plus,
            Base::Legacy,
            "response-time-mean-legacy+500ms-15m",
        ),
        (
            "call_duration_mean",
            "above = \"baseline + 1m\"",
            60.0,
            How::Plus,
            Base::Baseline,
            "call-duration-baseline+1m-15m",
        ),
        (
            "transactions",
            "below = \"0.9x baseline\"",
            0.9,
            How::Times,
            Base::Baseline,
            "transactions-below-0.9x-baseline-15m",
        ),
    ] {
        let rule = reversal(measure, limit).unwrap();
        assert_eq!(rule.threshold, threshold, "{limit}");
        assert_eq!(rule.against, Some(Against { base, how }), "{limit}");
        assert_eq!(
            rule.early, None,
            "{limit}: nothing stands still to test for"
        );
        assert_eq!(rule.name, name);
    }
}

#[test]
fn every_measure_is_compared_with_legacy_or_told_that_it_is_not() {
    for measure in Measure::ALL {
        let compared = matches!(
            measure,
            Measure::ErrorRate
                | Measure::ResponseTimeMean
                | Measure::ResponseTimeP50
                | Measure::ResponseTimeP95
                | Measure::ResponseTimeP99
                | Measure::FailedCallRate
                | Measure::AbandonmentRate
                | Measure::CallDurationMean
                | Measure::SpeechRecognitionRate
                | Measure::HealthErrorRate
                | Measure::Transactions
        );
        let read = reversal(measure.name(), "above = \"2x legacy\"");
        assert_eq!(read.is_ok(), compared, "{measure:?}: {read:?}");
    }
}

#[test]
fn a_row_may_look_over_days_or_over_the_stage() {
    let over = |measure: &str, over: &str| {
        rule(&format!(
            "[[alert]]\nmeasure = \"{measure}\"\nabove = {}\nover = \"{over}\"",
            if measure == "error_rate" {
                "\"1%\""
            } else {
                "3"
            }
        ))
        .map(|rule| rule.over)
    };
    assert_eq!(over("error_rate", "stage"), Ok(STAGE));
    assert_eq!(
        over("error_rate", "35d"),
        Ok(Duration::from_secs(35 * 86_400))
    );
    assert_eq!(over("critical_errors", "72h"), Ok(HOLD_MAX));
    for (measure, span, said) in [
        ("error_rate", "36d", "from 1s to 35d"),
        ("error_rate", "90m", "made of whole hours"),
        ("concurrent_calls", "2h", "is remembered for an hour"),
        ("uptime", "stage", "is remembered for an hour"),
    ] {
        let wrong = over(measure, span).unwrap_err();
        assert!(wrong.contains(said), "{measure} {span}: {wrong}");
    }
}

#[test]
fn one_tenant_alone_is_told_of_or_disabled_and_nothing_else() {
    let row = |measure: &str, limit: &str, more: &str| {
        rule(&format!(
            "[[reversal]]\nmeasure = \"{measure}\"\n{limit}\n{more}\nscope = \"tenant\""
        ))
    };
    let well = "over = \"30m\"\naction = \"disable-tenant\"";
    let errors = row(
        "error_rate",
        "above = \"5%\"",
        &format!("{well}\nearly = true"),
    )
    .unwrap();
    assert_eq!(
        (errors.scope, errors.action),
        (Scope::Tenant, Action::DisableTenant)
    );
    assert_eq!(errors.early, Some(Early::default()), "it has its own");
    assert_eq!(errors.name, "tenant-errors-5-30m");
    let moved = row(
        "complaints",
        "above = 0",
        &format!("{well}\nlive = \"move\""),
    );
    assert_eq!(moved.map(|rule| rule.live), Ok(Live::Move));
    for (measure, limit, more, said) in [
        (
            "error_rate",
            "above = \"5%\"",
            "over = \"5m\"\naction = \"reverse\"",
            "flips nobody else",
        ),
        (
            "error_rate",
            "above = \"5%\"",
            "over = \"5m\"\naction = \"hold\"",
            "flips nobody else",
        ),
        (
            "error_rate",
            "above = \"5%\"",
            "over = \"5m\"\naction = \"step-back\"",
            "flips nobody else",
        ),
        (
            "error_rate",
            "above = \"5%\"",
            "over = \"24h\"\naction = \"disable-tenant\"",
            "of which an hour",
        ),
        (
            "error_rate",
            "above = \"5%\"",
            "over = \"15s\"\naction = \"disable-tenant\"",
            "steps of 10s",
        ),
        (
            "error_rate",
            "above = \"2x legacy\"",
            well,
            "scope = \"tenant\"",
        ),
        ("response_time_p95", "above = \"1s\"", well, "no quantiles"),
        ("call_duration_mean", "above = \"4m\"", well, "no durations"),
        (
            "memory_used",
            "above = \"90%\"",
            well,
            "the backend as a whole",
        ),
    ] {
        let wrong = row(measure, limit, more).unwrap_err();
        assert!(wrong.contains(said), "{measure} {more}: {wrong}");
    }
    let all =
        rule("[[reversal]]\nmeasure = \"complaints\"\nabove = 0\naction = \"disable-tenant\"");
    assert!(all.unwrap_err().contains("add scope = \"tenant\""));
}

#[test]
fn a_row_that_takes_calls_back_is_early_unless_it_says_otherwise() {
    for (action, more, on) in [
        ("reverse", "", true),
        ("step-back", "", true),
        ("disable-tenant", "scope = \"tenant\"", true),
        ("hold", "", false),
        ("step-back", "early = false", false),
    ] {
        let text = format!(
            "[[reversal]]\nmeasure = \"error_rate\"\nabove = \"2%\"\nover = \"5m\"\n\
             action = \"{action}\"\n{more}"
        );
        let early = rule(&text).map(|rule| rule.early);
        assert_eq!(early, Ok(on.then(Early::default)), "{action} {more}");
    }
}

#[test]
fn a_row_may_act_by_its_early_test_alone() {
    let early = |line: &str| {
        reversal("error_rate", &format!("above = \"2%\"\n{line}")).map(|rule| rule.early)
    };
    let alone = Early {
        alone: true,
        ..Early::default()
    };
    assert_eq!(early("early = \"alone\""), Ok(Some(alone)));
    assert_eq!(early("early = { alone = true }"), Ok(Some(alone)));
    assert_eq!(
        early("early = { alone = true, false_alarm = 5000 }"),
        Ok(Some(Early {
            false_alarm: 5000.0,
            alone: true
        }))
    );
    assert_eq!(early("early = true"), Ok(Some(Early::default())));
    assert_eq!(early("early = false"), Ok(None));
    assert!(
        early("early = \"alon\"")
            .unwrap_err()
            .contains("did you mean `alone`?")
    );
    let relative = reversal("error_rate", "above = \"2x legacy\"\nearly = true").unwrap_err();
    assert!(
        relative.contains("a threshold that stands still"),
        "{relative}"
    );
}

#[test]
fn uptime_is_held_against_no_more_than_the_row_looks_back() {
    let row = |below: &str| reversal("uptime", &format!("below = \"{below}\""));
    assert_eq!(row("15m").map(|rule| rule.threshold), Ok(900.0));
    let wrong = row("16m").unwrap_err();
    assert!(wrong.contains("longer than the 15m"), "{wrong}");
}

#[test]
fn a_condition_may_have_to_stand_for_three_days() {
    let hold = |span: &str| {
        reversal(
            "error_rate",
            &format!("above = \"2%\"\nhold_for = \"{span}\""),
        )
        .map(|rule| rule.hold_for)
    };
    assert_eq!(hold("72h"), Ok(HOLD_MAX));
    assert!(hold("73h").unwrap_err().contains("from 0s to 3d"));
}
