//! What scripts read: the names in the status.

use std::time::Duration;

use super::*;
use crate::breaker::State;
use crate::engine::{
    BackendStatus, Condition, GuardStatus, HealthStatus, RuleStatus, Verification,
};
use crate::health;
use crate::measure::RescueResult;
use crate::model::{PerBackend, Wall};
use crate::rollout::{List, Phase, Step, Taken};
use crate::rules::{Action, Finding, Measure, Verdict};
use crate::split::Live;

#[tokio::test]
async fn the_names_in_the_status_are_a_contract() {
    let (admin, _waiting) = admin(None, true);
    let finding = Finding {
        rule: "errors-10-5m".to_owned(),
        value: Some(0.226),
        threshold: 0.1,
        legacy: None,
        samples: 31,
        failed: 7,
        early: Some(0.4),
        verdict: Verdict::Trip,
        blind: false,
        withheld: None,
        tenants: Vec::new(),
        because: "7 of 31 calls failed".to_owned(),
    };
    admin.status.store(Arc::new(Status {
        phase: Phase::RolledBack,
        percentage: Percentage::new(25.0).unwrap(),
        latched: true,
        generation: 7,
        tenants: vec![
            ("a".to_owned(), List::Enabled),
            ("b".to_owned(), List::Disabled),
        ],
        rules: vec![RuleStatus {
            finding,
            measure: Measure::ErrorRate,
            action: Action::Reverse,
            over: Duration::from_secs(300),
            calls_min: 20,
            priority: None,
            firing: true,
        }],
        verification: Some(Verification {
            reason: "r".to_owned(),
            since: Wall(1_000),
            live: Live::Move,
            new_calls_on_new: 0,
            live_on_new: 3,
            live_on_new_at_start: 5,
            measures_normal: false,
            steps: vec![Taken {
                step: Step::NoNewCalls,
                at: Wall(11_000),
                count: 0,
            }],
            escalated: false,
            done: false,
        }),
        backends: PerBackend {
            legacy: BackendStatus::default(),
            new: BackendStatus {
                failed_call_rate: Some(0.02),
                call_duration_mean_s: Some(95.5),
                speech_recognition_rate: Some(0.9),
                calls_per_hour: 12,
                calls_per_day: 340,
                data_query_mean_ms: Some(4.5),
                connect_mean_ms: Some(0.4),
                streams_active: 2,
                menu_choices: [0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3],
                ..BackendStatus::default()
            },
        },
        guards: PerBackend {
            legacy: GuardStatus::default(),
            new: GuardStatus {
                breaker: Some(State::HalfOpen),
                opens: 9,
                opens_last_hour: 2,
                because: Some("5 failures in a row".to_owned()),
                health: Some(HealthStatus {
                    state: health::State::Up,
                    since: Wall(3_000),
                    because: "all well".to_owned(),
                }),
            },
        },
        condition: Condition {
            new_bad: Some("so".to_owned()),
            legacy_bad: None,
            says: "New is failing: so.".to_owned(),
        },
        rescues: vec![(RescueResult::Served, 3), (RescueResult::LastResort, 1)],
        day_since: Wall(2_000),
        ..Status::default()
    }));
    let backend = json!({
        "webhooks": 0, "errors": 0, "error_rate": null, "response_time_mean_ms": null,
        "response_time_p95_ms": null, "calls_active": 0, "calls": 0, "abandonment_rate": null,
        "failed_call_rate": null, "call_duration_mean_s": null, "speech_recognition_rate": null,
        "calls_per_hour": 0, "calls_per_day": 0, "data_query_mean_ms": null,
        "connect_mean_ms": null, "streams_active": 0, "menu_choices": {},
        "breaker": null, "health": null,
    });
    let mut new = backend.clone();
    for (field, value) in [
        ("failed_call_rate", json!(0.02)),
        ("call_duration_mean_s", json!(95.5)),
        ("speech_recognition_rate", json!(0.9)),
        ("calls_per_hour", json!(12)),
        ("calls_per_day", json!(340)),
        ("data_query_mean_ms", json!(4.5)),
        ("connect_mean_ms", json!(0.4)),
        ("streams_active", json!(2)),
        ("menu_choices", json!({ "1": 7, "#": 3 })),
        (
            "breaker",
            json!({
                "state": "half-open", "opens_last_hour": 2, "because": "5 failures in a row",
            }),
        ),
        (
            "health",
            json!({ "state": "up", "since": "1970-01-01T00:00:03Z", "because": "all well" }),
        ),
    ] {
        new[field] = value;
    }
    let expected = json!({
        "phase": "rolled-back", "phase_since": null, "percentage": 25,
        "plan": null, "stopped": false,
        "enabled": false, "latched": true, "because": null, "durable": false, "former_percentage": null,
            "generation": 7,
        "condition": { "state": "new", "says": "New is failing: so." },
        "rescues": { "served": 3, "moved": 0, "late": 0, "last_resort": 1, "failed": 0, "stopped": 0 },
        "backends": { "legacy": backend, "new": new },
        "rules": [{
            "name": "errors-10-5m", "measure": "error_rate", "unit": "share",
            "action": "reverse", "over_s": 300, "value": 0.226, "threshold": 0.1,
            "legacy": null, "samples": 31, "calls_min": 20, "failed": 7, "early": 0.4, "verdict": "trip",
            "blind": false, "withheld": null, "firing": true, "priority": null,
            "tenants": [], "because": "7 of 31 calls failed",
        }],
        "verification": {
            "reason": "r", "since": "1970-01-01T00:00:01Z", "live": "move",
            "new_calls_on_new": 0, "live_on_new": 3, "live_on_new_at_start": 5,
            "measures_normal": false, "escalated": false, "done": false,
            "steps": [{ "step": "no-new-calls", "at": "1970-01-01T00:00:11Z" }],
        },
        "tenants": { "enabled": ["a"], "disabled": ["b"] },
        "habits": [], "notes": [], "config_hash": "", "day_since": "1970-01-01T00:00:02Z",
        "at": "1970-01-01T00:00:00Z", "uptime_s": 0,
    });
    let (status, shown) = get(&router(Arc::new(admin)), "/api/v1/status").await;
    assert_eq!((status, &shown), (200, &expected), "{shown:#}");
    // And the command line can read it back, also from a version that says less.
    assert!(serde_json::from_value::<shapes::Status>(shown).is_ok());
    assert!(serde_json::from_value::<shapes::Status>(json!({ "more": 1 })).is_ok());
}
