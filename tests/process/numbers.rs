//! `/metrics`: every series from the start, and exact counts.

use std::net::SocketAddr;

use serde_json::Value;

use super::http::{self, Message};
use super::lab::{FAR, Lab, NEAR, value};

const OUTCOMES: [&str; 11] = [
    "served",
    "connect",
    "reset",
    "stale",
    "timeout",
    "status",
    "document",
    "malformed",
    "abandoned",
    "client-gone",
    "internal",
];

#[test]
fn every_series_of_the_contract_is_there_before_the_first_call() {
    let lab = Lab::started(|file| {
        file.percentage = 0;
        file.rules = "[[reversal]]\nname = \"slow\"\nmeasure = \"response_time_mean\"\n\
            above = \"1234ms\"\nover = \"5m\"\naction = \"reverse\"\n";
    });
    let text = lab.get("/metrics").text().to_owned();
    let mut series = Vec::new();
    for backend in ["legacy", "new"] {
        for kind in ["voice", "event"] {
            for outcome in OUTCOMES {
                series.push(format!(
                    "webhooks_total{{backend=\"{backend}\",route=\"/ivr\",kind=\"{kind}\",outcome=\"{outcome}\"}}"
                ));
            }
        }
        for outcome in ["served", "abandoned", "failed"] {
            series.push(format!(
                "calls_total{{backend=\"{backend}\",outcome=\"{outcome}\"}}"
            ));
        }
        for because in [
            "pinned",
            "inherited",
            "latched",
            "hashed",
            "unlisted",
            "late",
        ] {
            series.push(format!(
                "placements_total{{backend=\"{backend}\",because=\"{because}\"}}"
            ));
        }
        series.push(format!("calls_active{{backend=\"{backend}\"}}"));
        // A threshold is an edge, so that a dashboard can draw what the rule sees.
        for bucket in ["1.234", "+Inf"] {
            series.push(format!(
                "webhook_duration_seconds_bucket{{backend=\"{backend}\",route=\"/ivr\",le=\"{bucket}\"}}"
            ));
        }
        series.push(format!(
            "webhook_duration_seconds_count{{backend=\"{backend}\",route=\"/ivr\"}}"
        ));
    }
    for result in ["served", "failed"] {
        series.push(format!(
            "rescues_total{{route=\"/ivr\",result=\"{result}\"}}"
        ));
    }
    for phase in ["soaking", "held", "reversed", "rolled-back", "complete"] {
        series.push(format!("phase{{phase=\"{phase}\"}}"));
    }
    for name in [
        "overhead_seconds_count",
        "percentage",
        "rule_samples{rule=\"slow\"}",
        "reversals_total{rule=\"slow\"}",
        "new_calls_after_latch_total",
    ] {
        series.push(name.to_owned());
    }
    let missing: Vec<_> = series
        .iter()
        .filter(|name| value(&text, &format!("switchback_{name}")) != Some(0.0))
        .collect();
    assert!(missing.is_empty(), "not there at 0: {missing:#?}\n{text}");
    for (name, expected) in [
        ("phase{phase=\"idle\"}", 1.0),
        ("rule_threshold{rule=\"slow\"}", 1234.0),
        ("config_last_reload_successful", 1.0),
    ] {
        let found = value(&text, &format!("switchback_{name}"));
        assert_eq!(found, Some(expected), "{name}");
    }
    let unknown = value(&text, "switchback_rule_value{rule=\"slow\"}");
    assert!(unknown.is_some_and(f64::is_nan), "unknown is not 0");
    for prefix in [
        "switchback_build_info{",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
    ] {
        let there = text.lines().any(|line| line.starts_with(prefix));
        assert!(there, "{prefix}\n{text}");
    }
}

#[test]
fn counts_are_exact() {
    let lab = Lab::started(|_| {});
    for _ in 0..5 {
        let call = lab.fresh();
        lab.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
        lab.webhook(NEAR, "/ivr/menu", &call, "&Digits=1");
        lab.finish(NEAR, &call, "caller");
    }
    lab.begin_many(3, FAR, "/ivr/welcome");
    lab.begin_many(2, FAR, "/ivr/welcome?legacy=500");
    let expected = [
        (
            "webhooks_total{backend=\"new\",route=\"/ivr\",kind=\"voice\",outcome=\"served\"}",
            10.0,
        ),
        (
            "webhooks_total{backend=\"new\",route=\"/ivr\",kind=\"event\",outcome=\"served\"}",
            5.0,
        ),
        (
            "webhooks_total{backend=\"legacy\",route=\"/ivr\",kind=\"voice\",outcome=\"served\"}",
            3.0,
        ),
        (
            "webhooks_total{backend=\"legacy\",route=\"/ivr\",kind=\"voice\",outcome=\"status\"}",
            2.0,
        ),
        (
            "webhook_duration_seconds_count{backend=\"new\",route=\"/ivr\"}",
            10.0,
        ),
        (
            "webhook_duration_seconds_count{backend=\"legacy\",route=\"/ivr\"}",
            5.0,
        ),
        ("overhead_seconds_count", 20.0),
        ("placements_total{backend=\"new\",because=\"hashed\"}", 5.0),
        ("placements_total{backend=\"new\",because=\"pinned\"}", 10.0),
        (
            "placements_total{backend=\"legacy\",because=\"hashed\"}",
            5.0,
        ),
        ("calls_begun_total{backend=\"new\"}", 5.0),
        ("calls_begun_total{backend=\"legacy\"}", 5.0),
        ("calls_active{backend=\"new\"}", 0.0),
        ("calls_active{backend=\"legacy\"}", 5.0),
        ("calls_total{backend=\"new\",outcome=\"abandoned\"}", 5.0),
        ("call_table_size", 10.0),
        ("percentage", 50.0),
    ];
    let mut wrong = Vec::new();
    lab.until("everything is counted", || {
        lab.metric("switchback_overhead_seconds_count") == Some(20.0)
    });
    lab.next_look();
    let text = lab.get("/metrics").text().to_owned();
    for (name, expected) in expected {
        let found = value(&text, &format!("switchback_{name}"));
        if found != Some(expected) {
            wrong.push(format!("{name}: {found:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let status = lab.status();
    assert_eq!(status["backends"]["new"]["webhooks"], 10);
    assert_eq!(status["backends"]["legacy"]["errors"], 2);
    assert_eq!(status["backends"]["legacy"]["error_rate"], 0.4);
    let leaked = text.contains("13125550") || text.contains("call-");
    assert!(!leaked, "a number or a call id is a label");
}

#[test]
fn the_metrics_listener_serves_nothing_else() {
    let lab = Lab::started(|file| file.listen = "metrics = \"127.0.0.1:0\"");
    let log = lab.log();
    let up = log.lines().find(|line| line.contains("Switchback is up."));
    let up: Value = serde_json::from_str(up.unwrap()).unwrap();
    let address: SocketAddr = up["metrics"].as_str().unwrap().parse().unwrap();
    let ask = |method: &str, target: &str| -> Message {
        let body = if method == "POST" { "{}" } else { "" };
        let json = ("content-type", "application/json");
        http::ask(address, method, target, &[json], body).unwrap()
    };
    for target in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(ask("GET", target).status(), 200, "{target}");
    }
    assert!(
        ask("GET", "/metrics")
            .text()
            .contains("switchback_percentage")
    );
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/journal"),
        ("GET", "/api/v1/explain?tenant=a"),
        ("POST", "/api/v1/percentage"),
        ("POST", "/api/v1/rollback"),
        ("POST", "/api/v1/events"),
    ] {
        assert_eq!(ask(method, target).status(), 404, "{method} {target}");
    }
    assert_eq!(ask("POST", "/metrics").status(), 405);
}
