//! The page: which series stand on it, before anything happened and after reloads. What
//! moves them is in `tests/counted.rs` and `tests/shown.rs`.

mod counted;
mod shown;

use std::time::Duration;

use super::make::{outcome_index, outcome_name};
use super::*;
use crate::document::Flaw;
use crate::engine::Status;
use crate::measure::{Answered, CallEnd, Cause, Found, Kind, Observation, Outcome};
use crate::model::{Percentage, Tick};
use crate::rules::{Action, Measure, Side};
use crate::split::{Because, Live};

fn rule(name: &str, measure: Measure, threshold: f64, action: Action) -> Rule {
    Rule {
        against: None,
        scope: crate::rules::Scope::All,
        name: name.to_owned(),
        measure,
        side: Side::Above,
        threshold,
        over: Duration::from_secs(300),
        action,
        live: Live::Drain,
        hold_for: Duration::ZERO,
        calls_min: 20,
        failed_min: 8,
        early: None,
        priority: None,
        to: Vec::new(),
    }
}

fn metrics() -> Metrics {
    Metrics::new(
        &["/ivr", "/agent"],
        &[
            rule("errors", Measure::ErrorRate, 0.1, Action::Reverse),
            rule("slow", Measure::ResponseTimeMean, 3000.0, Action::Alert),
        ],
    )
}

fn answered(route: u16, outcome: Outcome, latency_us: Option<u32>) -> Observation {
    Observation::Answered(Answered {
        call: None,
        at: Tick(0),
        backend: Backend::New,
        route,
        kind: Kind::Voice,
        outcome,
        latency_us,
        overhead_us: 40,
        flaw: None,
        voice: None,
        speech: None,
        choice: None,
        data_us: None,
        counts: true,
        generation: 1,
    })
}

#[track_caller]
fn has(page: &str, line: &str) {
    assert!(
        page.lines().any(|found| found == line),
        "{line} is not in\n{page}"
    );
}

/// Series on a page, without the process's own.
fn series(page: &str) -> usize {
    page.lines()
        .filter(|line| line.starts_with("switchback_"))
        .count()
}

#[test]
fn every_series_of_the_contract_is_there_before_anything_happened() {
    let page = metrics().render();
    for line in [
        r#"switchback_webhooks_total{backend="legacy",route="/ivr",kind="voice",outcome="served"} 0"#,
        r#"switchback_webhooks_total{backend="new",route="/agent",kind="event",outcome="internal"} 0"#,
        r#"switchback_webhook_duration_seconds_bucket{backend="new",route="/ivr",le="2.5"} 0"#,
        r#"switchback_webhook_duration_seconds_count{backend="new",route="/ivr"} 0"#,
        r#"switchback_webhooks_uncounted_total{route="/agent"} 0"#,
        r#"switchback_signatures_total{route="/ivr",result="verified"} 0"#,
        r#"switchback_signatures_total{route="/ivr",result="replayed"} 0"#,
        r#"switchback_signatures_total{route="/ivr",result="absent"} 0"#,
        r#"switchback_signatures_total{route="other",result="rejected"} 0"#,
        r#"switchback_data_query_seconds_count{backend="new"} 0"#,
        r#"switchback_connect_seconds_bucket{backend="legacy",le="0.0001"} 0"#,
        r#"switchback_streams_total{backend="new",outcome="opened"} 0"#,
        r#"switchback_streams_total{backend="new",outcome="refused"} 0"#,
        r#"switchback_streams_active{backend="legacy"} 0"#,
        r##"switchback_menu_choices_total{backend="new",choice="#"} 0"##,
        r#"switchback_menu_choices_total{backend="legacy",choice="0"} 0"#,
        r#"switchback_calls_total{backend="new",outcome="transferred"} 0"#,
        r#"switchback_calls_total{backend="new",outcome="failed-provider"} 0"#,
        "switchback_overhead_seconds_count 0",
        r#"switchback_calls_total{backend="new",outcome="abandoned"} 0"#,
        r#"switchback_calls_begun_total{backend="legacy"} 0"#,
        r#"switchback_calls_active{backend="new"} 0"#,
        r#"switchback_placements_total{backend="new",because="hashed"} 0"#,
        r#"switchback_placements_total{backend="legacy",because="unrecognized"} 0"#,
        r#"switchback_rescues_total{route="/ivr",result="served"} 0"#,
        r#"switchback_backend_cap{backend="legacy"} 0"#,
        r#"switchback_backend_in_flight{backend="new"} 0"#,
        r#"switchback_backend_in_flight_most{backend="legacy"} 0"#,
        r#"switchback_backend_queued{backend="new"} 0"#,
        r#"switchback_backend_turned_away_total{backend="legacy",kind="voice"} 0"#,
        r#"switchback_backend_turned_away_total{backend="new",kind="event"} 0"#,
        r#"switchback_breaker_state{backend="new",state="closed"} 1"#,
        r#"switchback_breaker_state{backend="legacy",state="half-open"} 0"#,
        r#"switchback_breaker_opens_total{backend="legacy"} 0"#,
        r#"switchback_backend_up{backend="new"} 1"#,
        r#"switchback_health_checks_total{backend="new",result="well"} 0"#,
        r#"switchback_health_checks_total{backend="legacy",result="timeout"} 0"#,
        "switchback_percentage 0",
        r#"switchback_phase{phase="idle"} 0"#,
        r#"switchback_phase{phase="rolled-back"} 0"#,
        r#"switchback_rule_threshold{rule="errors"} 0.1"#,
        r#"switchback_rule_value{rule="errors"} 0"#,
        r#"switchback_rule_samples{rule="slow"} 0"#,
        r#"switchback_reversals_total{rule="errors"} 0"#,
        "switchback_config_last_reload_successful 1",
        r#"switchback_refused_total{status="413"} 0"#,
        r#"switchback_refused_total{status="other"} 0"#,
        r#"switchback_documents_flawed_total{backend="new",flaw="html"} 0"#,
        "switchback_new_calls_after_latch_total 0",
        r#"switchback_verification{step="no-new-calls"} 0"#,
        r#"switchback_verification{step="escalated"} 0"#,
        "switchback_verification_escalations_total 0",
        "switchback_tally_dropped_total 0",
        "switchback_call_table_size 0",
        "switchback_evictions_total 0",
    ] {
        has(&page, line);
    }
    let build = format!(
        "switchback_build_info{{version=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION")
    );
    has(&page, &build);
    assert!(page.contains("process_start_time_seconds"), "{page}");
    assert!(
        !page.contains(r#"switchback_reversals_total{rule="slow"}"#),
        "an alert row reverses nothing"
    );
}

#[test]
fn each_name_has_a_help_line_and_begins_with_our_own_word() {
    let metrics = metrics();
    metrics.certificates(&[("listen-0".to_owned(), 1)]);
    let page = metrics.render();
    for name in COUNTERS.iter().chain(&GAUGES).chain(&HISTOGRAMS) {
        assert!(name.0.starts_with("switchback_"), "{}", name.0);
        assert!(page.contains(&format!("# HELP {} ", name.0)), "{}", name.0);
        assert!(page.contains(&format!("# TYPE {} ", name.0)), "{}", name.0);
    }
}

#[test]
fn a_response_time_threshold_is_a_bucket_edge_and_a_share_is_not() {
    let page = metrics().render();
    let edge = |le: &str| page.contains(&format!(r#"route="/ivr",le="{le}"}}"#));
    assert!(edge("3"), "the 3 s of the row `slow`");
    assert!(!edge("0.0001"), "the 10 % of the row `errors` is no time");
}

#[test]
fn positions_in_the_arrays_are_positions_in_the_enums() {
    for (i, because) in Because::ALL.into_iter().enumerate() {
        assert_eq!(because as usize, i, "{because:?}");
    }
    for (i, cause) in Cause::ALL.into_iter().enumerate() {
        assert_eq!(outcome_index(Outcome::Failed(cause)), i + 1, "{cause:?}");
        assert_eq!(outcome_name(i + 1), cause.name());
    }
    for (i, end) in CallEnd::ALL.into_iter().enumerate() {
        assert_eq!(end as usize, i, "{end:?}");
    }
    for (i, found) in Found::ALL.into_iter().enumerate() {
        assert_eq!(found as usize, i, "{found:?}");
    }
    for (i, flaw) in Flaw::ALL.into_iter().enumerate() {
        assert_eq!(flaw as usize, i, "{flaw:?}");
    }
    assert_eq!((Kind::Voice as usize, Kind::Event as usize), (0, 1));
}

#[test]
fn reloads_add_series_up_to_a_bound_and_keep_the_old_ones() {
    let metrics = metrics();
    let routes: Vec<String> = (0..ROUTES_MAX * 2).map(|n| format!("/r{n}")).collect();
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    metrics.configure(&routes, &[]);
    let once = series(&metrics.render());
    metrics.configure(&routes, &[]);
    let page = metrics.render();
    assert_eq!(series(&page), once);
    assert!(page.contains(r#"route="/ivr""#), "the old route stays");
    // Two labels were taken before: 62 fit.
    assert!(page.contains(r#"route="/r61""#));
    assert!(
        !page.contains(r#"route="/r62""#),
        "one more counts as other"
    );

    metrics.observe(&answered(62, Outcome::Served, None));
    let line =
        r#"switchback_webhooks_total{backend="new",route="other",kind="voice",outcome="served"} 1"#;
    has(&metrics.render(), line);
}

#[test]
fn scrapers_between_two_looks_of_the_engine_share_a_page() {
    let metrics = metrics();
    let text = || String::from_utf8(metrics.page().to_vec()).unwrap();
    has(&text(), "switchback_percentage 0");
    metrics.percentage.set(5.0);
    has(&text(), "switchback_percentage 0");
    metrics.status(&Status {
        percentage: Percentage::new(7.0).unwrap(),
        ..Status::default()
    });
    has(&text(), "switchback_percentage 7");
    metrics.reloaded(false);
    has(&text(), "switchback_config_last_reload_successful 0");
}
