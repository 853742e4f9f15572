//! What is measured besides failures: data, connections, choices, days.

use jiff::Timestamp;
use serde_json::json;

use super::backend::SOUND;
use super::lab::{FAR, Lab, NEAR, value};

#[test]
fn what_calls_did_in_a_day_is_shown_in_status_and_metrics() {
    let lab = Lab::started(|_| {});
    let timed = "content-type: application/xml\r\nserver-timing: cache;dur=1, db;dur=12";
    lab.new.says(timed, SOUND);
    // A choice is the first single key; what is dialled later or longer is none.
    for entries in [&["1", "2"][..], &["1"], &["#", "1"], &["4711"], &[""]] {
        let call = lab.fresh();
        let welcome = lab.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
        assert_eq!(
            welcome.header("server-timing"),
            Some("cache;dur=1, db;dur=12")
        );
        for entry in entries {
            let digits = format!("&Digits={}", entry.replace('#', "%23"));
            lab.webhook(NEAR, "/ivr/menu", &call, &digits);
        }
    }
    lab.begin_many(2, FAR, "/ivr/welcome");
    lab.until("everything is counted", || {
        lab.metric("switchback_overhead_seconds_count") == Some(14.0)
    });
    lab.next_look();

    let status = lab.status();
    let [new, legacy] = ["new", "legacy"].map(|side| &status["backends"][side]);
    assert_eq!(new["data_query_mean_ms"], 12.0, "{new}");
    assert_eq!(legacy["data_query_mean_ms"], json!(null), "it tells none");
    assert_eq!(new["menu_choices"], json!({ "1": 2, "#": 1 }));
    assert_eq!(legacy["menu_choices"], json!({}));
    for (backend, calls) in [(new, 5), (legacy, 2)] {
        assert_eq!(backend["calls_per_day"], calls, "{backend}");
        assert_eq!(backend["calls_per_hour"], calls, "{backend}");
        let connect = backend["connect_mean_ms"].as_f64();
        assert!(connect.is_some_and(|ms| ms > 0.0), "{backend}");
    }
    let time = |name: &str| -> Timestamp {
        let text = status[name].as_str().expect("it is told");
        text.parse().expect("RFC 3339")
    };
    assert!(time("day_since") < time("at"), "{status}");

    let text = lab.get("/metrics").text().to_owned();
    let of = |series: &str| value(&text, &format!("switchback_{series}"));
    for (series, expected) in [
        ("data_query_seconds_count{backend=\"new\"}", 12.0),
        ("data_query_seconds_count{backend=\"legacy\"}", 0.0),
        (
            "data_query_seconds_bucket{backend=\"new\",le=\"0.01\"}",
            0.0,
        ),
        (
            "data_query_seconds_bucket{backend=\"new\",le=\"0.025\"}",
            12.0,
        ),
        ("menu_choices_total{backend=\"new\",choice=\"1\"}", 2.0),
        ("menu_choices_total{backend=\"new\",choice=\"2\"}", 0.0),
        ("menu_choices_total{backend=\"new\",choice=\"#\"}", 1.0),
        ("menu_choices_total{backend=\"legacy\",choice=\"1\"}", 0.0),
        ("calls_begun_total{backend=\"new\"}", 5.0),
    ] {
        assert_eq!(of(series), Some(expected), "{series}\n{text}");
    }
    let sum = of("data_query_seconds_sum{backend=\"new\"}").unwrap();
    assert!((sum - 12.0 * 0.012).abs() < 1e-6, "{sum}");
    for side in ["new", "legacy"] {
        // Connections are kept: there are fewer of them than webhooks.
        let opened = of(&format!("connect_seconds_count{{backend=\"{side}\"}}")).unwrap();
        assert!((1.0..=12.0).contains(&opened), "{side}: {opened}");
        let took = of(&format!("connect_seconds_sum{{backend=\"{side}\"}}")).unwrap();
        assert!(took > 0.0, "{side}: {took}");
    }
}
