use std::collections::BTreeSet;
use std::time::Duration;

use super::make::outcome_name;
use super::*;
use crate::engine::HealthStatus;
use crate::measure::{Checked, Ended, Health, Outcome};
use crate::model::{Percentage, TenantKey, Tick};
use crate::rules::{Action, Finding, Measure, Side, Verdict};
use crate::split::{Live, Placement};

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
fn observations_are_counted_where_they_belong() {
    let metrics = metrics();
    metrics.observe(&answered(0, Outcome::Served, Some(120_000)));
    metrics.observe(&answered(1, Outcome::Failed(Cause::Timeout), None));
    metrics.observe(&Observation::Placed(Placed {
        at: Tick(0),
        placement: Placement {
            backend: Backend::New,
            because: Because::Hashed,
        },
        call: None,
        begins: true,
        after_latch: true,
        starts: true,
    }));
    metrics.observe(&Observation::Ended(Ended {
        at: Tick(1),
        began: Tick(0),
        backend: Backend::Legacy,
        tenant: TenantKey::NONE,
        end: CallEnd::Abandoned,
        duration_s: None,
        generation: 1,
        counts: true,
        failed: false,
    }));
    metrics.observe(&Observation::Refused { status: 413 });
    metrics.observe(&Observation::Refused { status: 499 });
    metrics.upkeep();
    let page = metrics.render();
    for line in [
        r#"switchback_webhooks_total{backend="new",route="/ivr",kind="voice",outcome="served"} 1"#,
        r#"switchback_webhooks_total{backend="new",route="/agent",kind="voice",outcome="timeout"} 1"#,
        r#"switchback_webhook_duration_seconds_bucket{backend="new",route="/ivr",le="0.1"} 0"#,
        r#"switchback_webhook_duration_seconds_bucket{backend="new",route="/ivr",le="0.25"} 1"#,
        r#"switchback_webhook_duration_seconds_count{backend="new",route="/agent"} 0"#,
        "switchback_overhead_seconds_count 2",
        r#"switchback_placements_total{backend="new",because="hashed"} 1"#,
        r#"switchback_calls_begun_total{backend="new"} 1"#,
        "switchback_new_calls_after_latch_total 1",
        r#"switchback_calls_total{backend="legacy",outcome="abandoned"} 1"#,
        r#"switchback_refused_total{status="413"} 1"#,
        r#"switchback_refused_total{status="other"} 1"#,
    ] {
        has(&page, line);
    }
}

#[test]
fn what_is_not_genuine_counts_as_uncounted_and_nowhere_else() {
    let metrics = metrics();
    let before = metrics.render();
    for place in 0..10_000_u16 {
        let Observation::Answered(answered) = answered(0, Outcome::Failed(Cause::Status), Some(9))
        else {
            unreachable!()
        };
        metrics.observe(&Observation::Answered(Answered {
            counts: false,
            flaw: Some(Flaw::Html),
            choice: Some(b'1'),
            data_us: Some(u32::from(place)),
            speech: Some(false),
            ..answered
        }));
    }
    metrics.upkeep();
    let after = metrics.render();
    has(
        &after,
        r#"switchback_webhooks_uncounted_total{route="/ivr"} 10000"#,
    );
    let ours = |page: &str| -> BTreeSet<String> {
        page.lines()
            .filter(|line| line.starts_with("switchback_") && !line.contains("uncounted"))
            .map(str::to_owned)
            .collect()
    };
    let (before, after) = (ours(&before), ours(&after));
    let moved: Vec<_> = after.difference(&before).collect();
    assert!(moved.is_empty(), "{moved:?}");
}

#[test]
fn signatures_choices_times_and_websockets_are_counted_where_they_belong() {
    let metrics = metrics();
    for (route, found) in [
        (0, Found::Verified),
        (0, Found::Verified),
        (1, Found::Rejected),
        (99, Found::Absent),
    ] {
        metrics.observe(&Observation::Checked(Checked {
            at: Tick(0),
            route,
            found,
            counts: found == Found::Verified,
            refused: false,
        }));
    }
    let Observation::Answered(answered) = answered(0, Outcome::Served, None) else {
        unreachable!()
    };
    for choice in [b'1', b'*', b'x'] {
        metrics.observe(&Observation::Answered(Answered {
            choice: Some(choice),
            data_us: Some(12_000),
            ..answered
        }));
    }
    let backend = Backend::New;
    metrics.observe(&Observation::Connected {
        backend,
        took_us: 200,
    });
    for what in [Streamed::Opened, Streamed::Closed, Streamed::Refused] {
        metrics.observe(&Observation::Stream { backend, what });
    }
    let mut status = Status::default();
    status.backends.new.streams_active = 3;
    metrics.status(&status);
    metrics.upkeep();
    let page = metrics.render();
    for line in [
        r#"switchback_signatures_total{route="/ivr",result="verified"} 2"#,
        r#"switchback_signatures_total{route="/agent",result="rejected"} 1"#,
        r#"switchback_signatures_total{route="other",result="absent"} 1"#,
        r#"switchback_menu_choices_total{backend="new",choice="1"} 1"#,
        r#"switchback_menu_choices_total{backend="new",choice="*"} 1"#,
        r#"switchback_data_query_seconds_bucket{backend="new",le="0.01"} 0"#,
        r#"switchback_data_query_seconds_bucket{backend="new",le="0.025"} 3"#,
        r#"switchback_connect_seconds_bucket{backend="new",le="0.0001"} 0"#,
        r#"switchback_connect_seconds_bucket{backend="new",le="0.00025"} 1"#,
        r#"switchback_streams_total{backend="new",outcome="opened"} 1"#,
        r#"switchback_streams_total{backend="new",outcome="refused"} 1"#,
        r#"switchback_streams_active{backend="new"} 3"#,
    ] {
        has(&page, line);
    }
}

#[test]
fn positions_in_the_arrays_are_positions_in_the_enums() {
    for (i, (because, _)) in BECAUSE.into_iter().enumerate() {
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
fn nothing_a_caller_sends_makes_a_new_series() {
    let metrics = metrics();
    let before = series(&metrics.render());
    for n in 0..10_000_u16 {
        metrics.observe(&answered(n, Outcome::Failed(Cause::Status), Some(1)));
        metrics.observe(&Observation::Refused { status: n });
        metrics.reversal(&format!("rule {n}"));
    }
    let page = metrics.render();
    assert_eq!(series(&page), before);
    has(
        &page,
        r#"switchback_webhooks_total{backend="new",route="other",kind="voice",outcome="status"} 9998"#,
    );
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
