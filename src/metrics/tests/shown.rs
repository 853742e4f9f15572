//! What stands as it is: the status, the gates, certificates, pins.

use super::*;
use crate::breaker;
use crate::engine::{HealthStatus, RuleStatus};
use crate::gate::Counts;
use crate::health;
use crate::measure::Health;
use crate::rules::{Finding, Verdict};

#[test]
fn a_certificate_shows_when_it_ends_until_it_is_no_longer_used() {
    let metrics = metrics();
    metrics.observe(&Observation::Unsecured(Unsecured::Late));
    let shown = |place: &str, end| vec![(place.to_owned(), end)];
    metrics.certificates(&shown("listen-0", 1_900_000_000));
    let name = "switchback_certificate_expiry_timestamp_seconds";
    let page = metrics.render();
    has(
        &page,
        &format!("{name}{{certificate=\"listen-0\"}} 1900000000"),
    );
    has(
        &page,
        r#"switchback_tls_handshakes_failed_total{reason="late"} 1"#,
    );
    metrics.certificates(&shown("backend-new", 1_800_000_000));
    let page = metrics.render();
    has(&page, &format!("{name}{{certificate=\"listen-0\"}} NaN"));
    has(
        &page,
        &format!("{name}{{certificate=\"backend-new\"}} 1800000000"),
    );
}

#[test]
fn the_status_shows_in_gauges_and_a_rule_without_samples_is_not_a_number() {
    let metrics = metrics();
    let finding = |rule: &str, value, samples| Finding {
        rule: rule.to_owned(),
        value,
        threshold: 0.1,
        legacy: None,
        samples,
        failed: 0,
        early: None,
        verdict: Verdict::Inconclusive,
        blind: false,
        withheld: None,
        tenants: Vec::new(),
        because: String::new(),
    };
    let row = |finding, firing| RuleStatus {
        finding,
        measure: Measure::ErrorRate,
        action: Action::Reverse,
        over: Duration::from_secs(300),
        calls_min: 20,
        priority: None,
        firing,
    };
    let mut status = Status {
        phase: Phase::Soaking,
        percentage: Percentage::new(12.5).unwrap(),
        durable: true,
        generation: 7,
        rules: vec![row(finding("errors", Some(0.25), 31), true)],
        ..Status::default()
    };
    status.backends.new.calls_active = 4;
    status.guards.new = GuardStatus {
        breaker: Some(breaker::State::Open),
        opens: 3,
        health: Some(HealthStatus {
            state: health::State::Down,
            ..HealthStatus::default()
        }),
        ..GuardStatus::default()
    };
    for answer in [health::Answer::Status(500), health::Answer::Status(302)] {
        metrics.observe(&Observation::Health(Health {
            at: Tick(0),
            backend: Backend::New,
            answer,
            took_us: 900,
        }));
    }
    metrics.status(&status);
    metrics.reversal("errors");
    let page = metrics.render();
    for line in [
        "switchback_percentage 12.5",
        r#"switchback_phase{phase="soaking"} 1"#,
        r#"switchback_phase{phase="idle"} 0"#,
        "switchback_generation 7",
        r#"switchback_calls_active{backend="new"} 4"#,
        r#"switchback_rule_value{rule="errors"} 0.25"#,
        r#"switchback_rule_samples{rule="errors"} 31"#,
        r#"switchback_rule_firing{rule="errors"} 1"#,
        r#"switchback_rule_value{rule="slow"} NaN"#,
        r#"switchback_reversals_total{rule="errors"} 1"#,
        r#"switchback_breaker_state{backend="new",state="open"} 1"#,
        r#"switchback_breaker_state{backend="new",state="closed"} 0"#,
        r#"switchback_breaker_opens_total{backend="new"} 3"#,
        r#"switchback_backend_up{backend="new"} 0"#,
        r#"switchback_backend_up{backend="legacy"} 1"#,
        r#"switchback_health_checks_total{backend="new",result="status"} 2"#,
    ] {
        has(&page, line);
    }
}

#[test]
fn a_gate_is_shown_as_it_stands() {
    let metrics = metrics();
    let counts = Counts {
        cap: Some(50),
        in_flight: 49,
        queued: 3,
        most: 50,
        voice_turned_away: 2,
        events_turned_away: 7,
    };
    for _ in 0..2 {
        metrics.gate(Backend::Legacy, &counts);
    }
    let page = metrics.render();
    for line in [
        r#"switchback_backend_cap{backend="legacy"} 50"#,
        r#"switchback_backend_cap{backend="new"} 0"#,
        r#"switchback_backend_in_flight{backend="legacy"} 49"#,
        r#"switchback_backend_in_flight_most{backend="legacy"} 50"#,
        r#"switchback_backend_queued{backend="legacy"} 3"#,
        r#"switchback_backend_turned_away_total{backend="legacy",kind="voice"} 2"#,
        r#"switchback_backend_turned_away_total{backend="legacy",kind="event"} 7"#,
    ] {
        has(&page, line);
    }
}

#[test]
fn pins_that_were_not_saved_are_told_as_a_total_at_every_look() {
    let metrics = metrics();
    for _ in 0..3 {
        metrics.pins_unsaved(7);
    }
    has(&metrics.render(), "switchback_pins_unsaved_total 7");
}
