//! The shipped presets say what the four teams wrote: one assertion for each row of each
//! of their tables.

mod timed;

use std::path::Path;
use std::time::Duration;

use super::{Config, OnEmpty, load};
use crate::model::Percentage;
use crate::rollout::Stage;
use crate::rollout::plan::{Advance, Volume};
use crate::rules::{Action, Base, Measure, Priority, Rule, Scope, Side};
use crate::split::{By, Hash};

const MIN: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// What a row whose source names no window looks over, and how many calls it asks for.
const UNNAMED: (Duration, u32) = (Duration::from_secs(30 * 60), 200);

fn preset(name: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/presets/{name}.toml"));
    let loaded = load(&path).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(
        loaded.config.state.on_empty,
        OnEmpty::Legacy,
        "nothing begins by itself"
    );
    assert_eq!(
        loaded.config.wishes.percentage,
        Percentage::ZERO,
        "the stages say it"
    );
    loaded.config
}

fn stages(config: &Config) -> &[Stage] {
    &config.plan.as_ref().expect("it has a plan").stages
}

/// Percentage and soak of each stage.
fn course(config: &Config) -> Vec<(f64, Duration)> {
    let stages = stages(config).iter();
    stages
        .map(|stage| (stage.percentage.as_f64(), stage.soak))
        .collect()
}

/// The row that looks at this, beyond this threshold, and does this.
#[track_caller]
fn row(config: &Config, measure: Measure, threshold: f64, action: Action) -> &Rule {
    let mut rows = config.rules.iter().filter(|rule| {
        (rule.measure, rule.action) == (measure, action)
            && (rule.threshold - threshold).abs() < 1e-9
            && rule.priority.is_none()
    });
    let row = rows.next();
    row.unwrap_or_else(|| panic!("a row {} {threshold} {}", measure.name(), action.name()))
}

/// Side, span and action of the reversal row at this threshold; it is absolute and about all.
#[track_caller]
fn acts(config: &Config, measure: Measure, threshold: f64, action: Action) -> (Side, Duration) {
    let rule = row(config, measure, threshold, action);
    assert_eq!(
        (rule.against, rule.scope),
        (None, Scope::All),
        "{}",
        rule.name
    );
    (rule.side, rule.over)
}

/// Threshold, span, priority and channels of the alert of that name.
#[track_caller]
fn alert<'a>(
    config: &'a Config,
    name: &str,
) -> (Measure, Side, f64, Duration, Priority, Vec<&'a str>) {
    let rule = config.rules.iter().find(|rule| rule.name == name);
    let rule = rule.unwrap_or_else(|| panic!("an alert `{name}`"));
    assert_eq!(rule.action, Action::Alert);
    let to = rule.to.iter().map(String::as_str).collect();
    let priority = rule.priority.expect("an alert has a priority");
    (
        rule.measure,
        rule.side,
        rule.threshold,
        rule.over,
        priority,
        to,
    )
}

/// What the stage's gates ask for of this measure: the side that is not met, the threshold,
/// what it is relative to, the span.
fn gate(stage: &Stage, measure: Measure) -> Vec<(Side, f64, Option<Base>, Duration)> {
    let gates = stage.gates.iter().filter(|gate| gate.measure == measure);
    gates
        .map(|gate| {
            (
                gate.side,
                gate.threshold,
                gate.against.map(|it| it.base),
                gate.over,
            )
        })
        .collect()
}

#[track_caller]
fn asks(stage: &Stage, measure: Measure, side: Side, threshold: f64, base: Option<Base>) {
    let found = gate(stage, measure);
    let asked = found
        .iter()
        .any(|gate| (gate.0, gate.2) == (side, base) && (gate.1 - threshold).abs() < 1e-9);
    assert!(
        asked,
        "stage {} asks {} {side:?} {threshold} {base:?}: {found:?}",
        stage.name,
        measure.name()
    );
}

#[test]
fn a_gate_on_a_count_is_met_by_none_and_not_by_one() {
    for name in ["ivr-texml", "voice-agent-v2", "ws4", "fincafacil"] {
        let config = preset(name);
        let gates = stages(&config).iter().flat_map(|stage| &stage.gates);
        let counts = [
            Measure::CriticalErrors,
            Measure::Complaints,
            Measure::Incidents,
            Measure::BreakerOpens,
        ];
        let mut seen = 0;
        for gate in gates.filter(|gate| counts.contains(&gate.measure)) {
            assert!(!gate.is_beyond(0.0), "{name} {}", gate.name);
            assert!(gate.is_beyond(1.0), "{name} {}", gate.name);
            seen += 1;
        }
        assert!(seen > 0, "{name}");
    }
}

#[test]
fn ivr_texml_has_its_stages() {
    let config = preset("ivr-texml");
    let week = 7 * DAY;
    assert_eq!(
        course(&config),
        [5.0, 10.0, 25.0, 50.0, 75.0, 100.0].map(|share| (share, week)),
        "a week each, the last one stable at 100 %"
    );
    assert_eq!(config.scheme.by, By::Call, "shares of calls");
    assert_eq!(
        config.plan.as_ref().map(|plan| plan.advance),
        Some(Advance::Auto)
    );
}

#[test]
fn ivr_texml_has_its_reversal_table() {
    use Action::{Alert, Reverse};
    use Measure::{AbandonmentRate, CriticalErrors, ErrorRate, ResponseTimeMean};
    let config = preset("ivr-texml");
    let above = |minutes: u32| (Side::Above, minutes * MIN);
    assert_eq!(acts(&config, ErrorRate, 0.05, Alert), above(15));
    assert_eq!(acts(&config, ErrorRate, 0.10, Reverse), above(5));
    assert_eq!(acts(&config, ResponseTimeMean, 3000.0, Alert), above(10));
    assert_eq!(acts(&config, ResponseTimeMean, 5000.0, Reverse), above(5));
    assert_eq!(acts(&config, AbandonmentRate, 0.15, Alert), above(30));
    assert_eq!(acts(&config, AbandonmentRate, 0.25, Reverse), above(15));
    assert_eq!(
        acts(&config, CriticalErrors, 0.0, Reverse).0,
        Side::Above,
        "any"
    );
}

#[test]
fn ivr_texml_has_its_alert_table() {
    use Priority::{Critical, High, Low, Medium};
    use Side::{Above, Below};
    let config = preset("ivr-texml");
    let of = |name: &str| alert(&config, name);
    assert_eq!(
        of("error rate high"),
        (
            Measure::ErrorRate,
            Above,
            0.05,
            5 * MIN,
            High,
            vec!["slack", "email"]
        )
    );
    assert_eq!(
        of("response time degraded"),
        (
            Measure::ResponseTimeMean,
            Above,
            2000.0,
            5 * MIN,
            Medium,
            vec!["slack"]
        )
    );
    assert_eq!(
        of("memory usage high"),
        (
            Measure::MemoryUsed,
            Above,
            0.8,
            10 * MIN,
            Medium,
            vec!["slack"]
        )
    );
    assert_eq!(
        of("call abandonment high"),
        (
            Measure::AbandonmentRate,
            Above,
            0.15,
            15 * MIN,
            High,
            vec!["slack", "email"]
        )
    );
    assert_eq!(
        of("speech recognition low"),
        (
            Measure::SpeechRecognitionRate,
            Below,
            0.75,
            30 * MIN,
            Medium,
            vec!["slack"]
        )
    );
    assert_eq!(
        of("system down"),
        (
            Measure::BackendDown,
            Above,
            0.0,
            MIN,
            Critical,
            vec!["slack", "email", "sms"]
        )
    );
    assert_eq!(
        of("concurrent calls high"),
        (
            Measure::ConcurrentCalls,
            Above,
            15.0,
            5 * MIN,
            Low,
            vec!["slack"]
        )
    );
}

#[test]
fn ivr_texml_has_its_gates() {
    use Side::{Above, Below};
    let config = preset("ivr-texml");
    let [pilot, expansion @ .., end] = stages(&config) else {
        panic!("stages");
    };
    // Staging.
    asks(pilot, Measure::ResponseTimeMean, Above, 1500.0, None);
    asks(pilot, Measure::ErrorRate, Above, 0.01, None);
    asks(pilot, Measure::MemoryUsed, Above, 0.8, None);
    // Pilot.
    asks(
        pilot,
        Measure::AbandonmentRate,
        Above,
        1.0,
        Some(Base::Legacy),
    );
    asks(pilot, Measure::SpeechRecognitionRate, Below, 0.85, None);
    asks(
        pilot,
        Measure::CallDurationMean,
        Above,
        1.0,
        Some(Base::Legacy),
    );
    assert_eq!(
        gate(pilot, Measure::CriticalErrors),
        [(Above, 1.0, None, 72 * HOUR)],
        "72 h in a row"
    );
    // Expansion.
    assert_eq!(expansion.len(), 4);
    for stage in expansion {
        asks(stage, Measure::ErrorRate, Above, 0.05, None);
        asks(stage, Measure::ResponseTimeMean, Above, 1500.0, None);
        asks(stage, Measure::AbandonmentRate, Above, 0.15, None);
        asks(stage, Measure::SpeechRecognitionRate, Below, 0.75, None);
        asks(stage, Measure::MemoryUsed, Above, 0.8, None);
        asks(stage, Measure::CriticalErrors, Above, 1.0, None);
    }
    // End: equal to or better than legacy's, for a week.
    for measure in [
        Measure::ErrorRate,
        Measure::ResponseTimeMean,
        Measure::AbandonmentRate,
        Measure::FailedCallRate,
        Measure::CallDurationMean,
    ] {
        assert_eq!(
            gate(end, measure),
            [(Above, 1.0, Some(Base::Legacy), 7 * DAY)]
        );
    }
    let speech = gate(end, Measure::SpeechRecognitionRate);
    assert_eq!(speech, [(Below, 1.0, Some(Base::Legacy), 7 * DAY)]);
}

#[test]
fn voice_agent_v2_has_its_flags_and_stages() {
    let config = preset("voice-agent-v2");
    assert_eq!(
        (config.scheme.by, &config.scheme.hash),
        (By::Tenant, &Hash::Java31)
    );
    let stages = stages(&config);
    let shares: Vec<f64> = stages
        .iter()
        .map(|stage| stage.percentage.as_f64())
        .collect();
    assert_eq!(shares, [5.0, 10.0, 25.0, 50.0, 100.0]);
    let soaks: Vec<Duration> = stages.iter().map(|stage| stage.soak).collect();
    assert!(
        (4 * HOUR..=8 * HOUR).contains(&soaks[0]),
        "four to eight hours"
    );
    assert_eq!(soaks[1..3], [DAY, DAY]);
    assert!((DAY..=2 * DAY).contains(&soaks[3]), "24 to 48 hours");
    assert_eq!(soaks[4], 7 * DAY, "the flags stay one week");
    assert!(
        (2..=3).contains(&stages[0].tenants.len()),
        "two or three by hand"
    );
    let volumes: Vec<Volume> = stages.iter().map(|stage| stage.volume).collect();
    assert_eq!(volumes[1..4], [Volume::Low, Volume::Mix, Volume::All]);
    for (stage, errors) in stages.iter().zip([0.01, 0.01, 0.02, 0.02]) {
        asks(stage, Measure::ErrorRate, Side::Above, errors, None);
    }
    asks(&stages[0], Measure::CriticalErrors, Side::Above, 1.0, None);
}

#[test]
fn voice_agent_v2_goes_by_the_go_column() {
    let config = preset("voice-agent-v2");
    for stage in stages(&config) {
        assert!(
            gate(stage, Measure::ErrorRate)
                .iter()
                .all(|gate| gate.1 <= 0.02)
        );
        asks(stage, Measure::ResponseTimeP95, Side::Above, 800.0, None);
        asks(stage, Measure::FailedCallRate, Side::Above, 0.03, None);
        assert_eq!(
            gate(stage, Measure::BreakerOpens),
            [(Side::Above, 1.0, None, HOUR)]
        );
        asks(stage, Measure::Complaints, Side::Above, 1.0, None);
    }
}

#[test]
fn voice_agent_v2_rolls_back_by_the_no_go_column() {
    use Action::Reverse;
    let config = preset("voice-agent-v2");
    let unnamed = (Side::Above, UNNAMED.0);
    assert_eq!(acts(&config, Measure::ErrorRate, 0.05, Reverse), unnamed);
    assert_eq!(
        acts(&config, Measure::ResponseTimeP95, 1200.0, Reverse),
        unnamed
    );
    assert_eq!(
        acts(&config, Measure::FailedCallRate, 0.10, Reverse),
        unnamed
    );
    assert_eq!(
        acts(&config, Measure::BreakerOpens, 2.0, Reverse),
        (Side::Above, HOUR),
        "the last hour"
    );
    assert_eq!(
        acts(&config, Measure::Complaints, 3.0, Reverse).0,
        Side::Above
    );
    assert_eq!(
        acts(&config, Measure::CriticalErrors, 0.0, Reverse).0,
        Side::Above,
        "level 3 as well"
    );
    for (measure, threshold) in [(Measure::ErrorRate, 0.05), (Measure::FailedCallRate, 0.1)] {
        let rule = row(&config, measure, threshold, Reverse);
        assert_eq!(rule.calls_min, UNNAMED.1);
        assert_eq!(rule.early.map(|early| early.alone), Some(false));
    }
}

#[test]
fn voice_agent_v2_has_its_alert_thresholds() {
    use Priority::{Critical, Medium};
    let config = preset("voice-agent-v2");
    let told = |name: &str| {
        let (measure, _, threshold, _, priority, to) = alert(&config, name);
        (measure, threshold, priority, to)
    };
    let page = vec!["slack", "pagerduty"];
    assert_eq!(
        told("error rate warning"),
        (Measure::ErrorRate, 0.02, Medium, vec!["slack"])
    );
    assert_eq!(
        told("error rate critical"),
        (Measure::ErrorRate, 0.05, Critical, page.clone())
    );
    assert_eq!(
        told("p95 warning"),
        (Measure::ResponseTimeP95, 800.0, Medium, vec!["slack"])
    );
    assert_eq!(
        told("p95 critical"),
        (Measure::ResponseTimeP95, 1200.0, Critical, page.clone())
    );
    // One opening is above none, three are above two.
    assert_eq!(
        told("breaker opened once"),
        (Measure::BreakerOpens, 0.0, Medium, vec!["slack"])
    );
    assert_eq!(
        told("breaker opened three times"),
        (Measure::BreakerOpens, 2.0, Critical, page)
    );
}

#[test]
fn voice_agent_v2_has_its_levels() {
    let config = preset("voice-agent-v2");
    // 1: a complaint or errors in one tenant.
    for (measure, threshold) in [(Measure::Complaints, 0.0), (Measure::ErrorRate, 0.05)] {
        let rule = row(&config, measure, threshold, Action::DisableTenant);
        assert_eq!(rule.scope, Scope::Tenant, "{}", rule.name);
    }
    // 2: partial.
    let errors = row(&config, Measure::ErrorRate, 0.02, Action::StepBack);
    assert_eq!(
        errors.early.map(|early| early.alone),
        Some(true),
        "by the early test alone"
    );
    let slow = row(&config, Measure::ResponseTimeP95, 800.0, Action::StepBack);
    assert_eq!((slow.over, slow.calls_min), UNNAMED);
    // 3 is the no-go column, 4 an operator's own commands.
}
