//! The access log: one JSON line for every webhook, and one more where its signature
//! was looked at and not verified, also when it was refused. Made from what the tally
//! already tells, so that it costs a request nothing; `serve/logs.rs` writes it.
//!
//! No number, call id or digit stands in it: a call is named by its key.

use serde::Serialize;

use crate::measure::{Answered, Checked, Found, Observation};
use crate::model::{Tick, Wall};

/// Has this a line?
pub(super) const fn takes(observation: &Observation) -> bool {
    match observation {
        Observation::Answered(_) => true,
        Observation::Checked(checked) => !matches!(checked.found, Found::Verified),
        _ => false,
    }
}

/// The lines of a batch. A line that cannot be made is left out; none is known.
pub(super) fn write(
    into: &mut Vec<u8>,
    observations: &[Observation],
    now: Tick,
    wall: Wall,
    routes: &[String],
) {
    for observation in observations.iter().filter(|it| takes(it)) {
        match observation {
            Observation::Answered(it) => put(into, &line(it, now, wall, routes)),
            Observation::Checked(it) => put(into, &doubted(it, now, wall, routes)),
            _ => {}
        }
    }
}

/// Puts one line.
pub(super) fn put(into: &mut Vec<u8>, line: &impl Serialize) {
    // A vector takes everything, and these shapes hold words and numbers alone.
    serde_json::to_writer(&mut *into, line).expect("words and numbers become JSON");
    into.push(b'\n');
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    route: &'a str,
    kind: &'static str,
    backend: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    flaw: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    overhead_us: u32,
    /// Only where it is false: the webhook is not known to be genuine, or was told a
    /// second time, and counts nowhere.
    #[serde(skip_serializing_if = "is_true")]
    counted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<String>,
}

/// A webhook that is not verified where somebody looks; what became of it otherwise
/// stands in a line of its own, if it was not refused.
#[derive(Serialize)]
struct Doubted<'a> {
    time: String,
    route: &'a str,
    kind: &'static str,
    outcome: &'static str,
    refused: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_true(it: &bool) -> bool {
    *it
}

fn doubted<'a>(it: &Checked, now: Tick, wall: Wall, routes: &'a [String]) -> Doubted<'a> {
    Doubted {
        time: time(it.at, now, wall),
        route: path(it.route, routes),
        kind: "signature",
        outcome: it.found.name(),
        refused: it.refused,
    }
}

/// The calendar's moment of a tick.
pub(super) fn time(at: Tick, now: Tick, wall: Wall) -> String {
    let ago_ms = i64::try_from(now.since(at).as_millis()).unwrap_or(0);
    jiff::Timestamp::from_millisecond(wall.0 - ago_ms)
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

pub(super) fn path(route: u16, routes: &[String]) -> &str {
    routes.get(usize::from(route)).map_or("", String::as_str)
}

fn line<'a>(it: &Answered, now: Tick, wall: Wall, routes: &'a [String]) -> Line<'a> {
    Line {
        time: time(it.at, now, wall),
        route: path(it.route, routes),
        kind: it.kind.name(),
        backend: it.backend.name(),
        outcome: it.outcome.name(),
        flaw: it.flaw.map(crate::document::Flaw::name),
        latency_ms: it.latency_us.map(|us| f64::from(us) / 1000.0),
        overhead_us: it.overhead_us,
        counted: it.counts,
        call: it.call.map(|key| format!("{:016x}", key.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Kind, Outcome};
    use crate::model::Backend;

    #[test]
    fn a_signature_that_was_not_verified_has_a_line_and_one_that_was_has_none() {
        let checked = |found, refused: bool| {
            Observation::Checked(Checked {
                at: Tick(0),
                route: 0,
                found,
                counts: !refused,
                refused,
            })
        };
        let observations = [
            checked(Found::Verified, false),
            checked(Found::Absent, false),
            checked(Found::Rejected, true),
        ];
        let mut written = Vec::new();
        let routes = ["/ivr".to_owned()];
        write(&mut written, &observations, Tick(0), Wall(0), &routes);
        let expected = "\
{\"time\":\"1970-01-01T00:00:00.000Z\",\"route\":\"/ivr\",\"kind\":\"signature\",\"outcome\":\"absent\",\"refused\":false}
{\"time\":\"1970-01-01T00:00:00.000Z\",\"route\":\"/ivr\",\"kind\":\"signature\",\"outcome\":\"rejected\",\"refused\":true}
";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn a_webhook_that_does_not_count_says_so_and_one_that_counts_says_nothing() {
        for (counts, said) in [(true, false), (false, true)] {
            let answered = Answered {
                at: Tick(0),
                backend: Backend::New,
                route: 0,
                kind: Kind::Voice,
                outcome: Outcome::Served,
                latency_us: Some(1500),
                overhead_us: 20,
                flaw: None,
                voice: None,
                speech: None,
                choice: None,
                data_us: None,
                counts,
                generation: 1,
                call: None,
            };
            let routes = ["/ivr".to_owned()];
            let line = line(&answered, Tick(0), Wall(0), &routes);
            let line = serde_json::to_string(&line).unwrap();
            assert_eq!(line.contains(r#""counted":false"#), said, "{line}");
            assert_eq!(line.contains("counted"), said, "{line}");
        }
    }
}
