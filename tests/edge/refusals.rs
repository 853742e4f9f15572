//! What no backend may see: hostile framing, too much of anything, the wrong door.

use std::collections::HashMap;
use std::time::Duration;

use switchback::measure::Observation;
use switchback::proxy::settings::Route;

use super::backend::{SOUND, recorder};
use super::http::{post, status};
use super::lab::Edge;

#[test]
fn what_is_refused_is_told_so_counted_and_never_relayed() {
    let (legacy, at_legacy) = recorder(SOUND);
    let edge = Edge::with(legacy, legacy, |settings| {
        settings.limits.body = 1000;
        settings.limits.body_timeout = Duration::from_millis(200);
        settings.routes.push(Route {
            path: "/closed".into(),
            sources: vec!["192.0.2.0/24".parse().unwrap()],
            ..settings.routes[0].clone()
        });
    });
    let long = "a".repeat(9000);
    for (expected, request) in [
        (405, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET /ivr HTTP/1.1\r\n\r\n".to_owned()),
        (400, "GET /ivr HTTP/1.1\r\nHost: a\n\r\n".to_owned()),
        (
            400,
            post("/ivr", "0\r\n\r\n", "Transfer-Encoding: chunked\r\n"),
        ),
        (
            400,
            "POST /ivr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nX\r\n".to_owned(),
        ),
        (
            404,
            "GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
        ),
        (403, "GET /closed HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (
            408,
            "POST /ivr HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc".to_owned(),
        ),
        (413, post("/ivr", &long, "")),
        (
            413,
            format!(
                "POST /ivr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
                long.len()
            ),
        ),
        (414, format!("GET /ivr{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (
            431,
            format!(
                "GET /ivr HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
                "a".repeat(33_000)
            ),
        ),
        (
            501,
            "POST /ivr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(),
        ),
    ] {
        let answer = edge.raw(&request);
        assert_eq!(status(&answer), expected, "{:.60}", request);
    }
    assert!(at_legacy.lock().unwrap().is_empty());
    let mut seen = Vec::new();
    edge.shared.tally.drain(&mut seen);
    let mut refused: HashMap<u16, u32> = HashMap::new();
    for observation in seen {
        let Observation::Refused { status } = observation else {
            panic!("only refusals, but {observation:?}");
        };
        *refused.entry(status).or_default() += 1;
    }
    assert_eq!(refused.values().sum::<u32>(), 13, "{refused:?}");
    assert_eq!(refused[&413], 2);
}
