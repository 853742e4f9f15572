//! What requests report is counted where it belongs, and nowhere else.

use std::collections::BTreeSet;

use super::*;
use crate::measure::{Checked, Ended, Placed, Streamed};
use crate::model::TenantKey;
use crate::split::Placement;

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
