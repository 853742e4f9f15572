//! The access log: one JSON line for every webhook, written by a thread of its
//! own from what the tally already tells, so that it costs a request nothing.
//!
//! No number, call id or digit stands in it: a call is named by its key.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use anyhow::Context as _;
use serde::Serialize;

use crate::measure::{Answered, Observation};
use crate::model::{Tick, Wall};

/// Batches (a tenth of a second each) that may wait for a slow disk; more are
/// dropped and counted.
const WAITING: usize = 100;

/// Where observations go to become lines.
#[derive(Debug)]
pub(super) struct AccessLog {
    jobs: SyncSender<Job>,
    dropped: u64,
}

enum Job {
    Batch {
        observations: Vec<Observation>,
        now: Tick,
        wall: Wall,
        routes: Vec<String>,
    },
    Reopen,
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
    /// Only where it is false: the webhook is not known to be genuine and counts nowhere.
    #[serde(skip_serializing_if = "is_true")]
    counted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_true(it: &bool) -> bool {
    *it
}

impl AccessLog {
    /// Opens the file and starts the thread.
    pub(super) fn start(path: &Path) -> anyhow::Result<Self> {
        let file = open(path)?;
        let path = path.to_owned();
        let (jobs, inbox) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(&path, file, &inbox))?;
        Ok(Self { jobs, dropped: 0 })
    }

    /// Hands a batch over; never waits.
    pub(super) fn write(
        &mut self,
        observations: &[Observation],
        now: Tick,
        wall: Wall,
        routes: impl Fn() -> Vec<String>,
    ) {
        let answered: Vec<_> = observations
            .iter()
            .filter(|it| matches!(it, Observation::Answered(_)))
            .copied()
            .collect();
        if answered.is_empty() {
            return;
        }
        let lines = answered.len() as u64;
        let job = Job::Batch {
            observations: answered,
            now,
            wall,
            routes: routes(),
        };
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(job) {
            if self.dropped == 0 {
                tracing::warn!("The access log's disk is too slow; lines are dropped.");
            }
            self.dropped += lines;
        }
    }

    /// Opens the file anew, after it was rotated away.
    pub(super) fn reopen(&self) {
        if self.jobs.try_send(Job::Reopen).is_err() {
            tracing::warn!("The access log is too busy to be reopened; send the signal again.");
        }
    }
}

fn open(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    Ok(BufWriter::new(file.with_context(|| {
        format!("could not open the access log {}", path.display())
    })?))
}

fn write_all(path: &Path, mut file: BufWriter<File>, inbox: &Receiver<Job>) {
    while let Ok(job) = inbox.recv() {
        let result = match job {
            Job::Reopen => open(path).map(|reopened| file = reopened),
            Job::Batch {
                observations,
                now,
                wall,
                routes,
            } => write_batch(&mut file, &observations, now, wall, &routes),
        };
        if let Err(error) = result {
            tracing::warn!(%error, "The access log could not be written.");
        }
    }
}

fn write_batch(
    file: &mut BufWriter<File>,
    observations: &[Observation],
    now: Tick,
    wall: Wall,
    routes: &[String],
) -> anyhow::Result<()> {
    for observation in observations {
        let Observation::Answered(answered) = observation else {
            continue;
        };
        serde_json::to_writer(&mut *file, &line(answered, now, wall, routes))?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(())
}

fn line<'a>(it: &Answered, now: Tick, wall: Wall, routes: &'a [String]) -> Line<'a> {
    let ago_ms = i64::try_from(now.since(it.at).as_millis()).unwrap_or(0);
    Line {
        time: jiff::Timestamp::from_millisecond(wall.0 - ago_ms)
            .map(|at| format!("{at:.3}"))
            .unwrap_or_default(),
        route: routes.get(usize::from(it.route)).map_or("", String::as_str),
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
