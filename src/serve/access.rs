//! The access log: one JSON line for every webhook, and one more where its signature
//! was looked at and not verified, also when it was refused. Written by a thread of
//! its own from what the tally already tells, so that it costs a request nothing.
//!
//! No number, call id or digit stands in it: a call is named by its key.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use anyhow::Context as _;
use serde::Serialize;

use crate::measure::{Answered, Checked, Found, Observation};
use crate::model::{Tick, Wall};

/// Batches (a tenth of a second each) that may wait for a slow disk; more are
/// dropped and counted.
const WAITING: usize = 100;

/// Where observations go to become lines.
#[derive(Debug)]
pub(super) struct AccessLog {
    jobs: SyncSender<Job>,
    said_slow: bool,
    dropped: Arc<AtomicU64>,
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

impl AccessLog {
    /// Opens the file and starts the thread.
    pub(super) fn start(path: &Path) -> anyhow::Result<Self> {
        let file = open(path)?;
        let path = path.to_owned();
        let (jobs, inbox) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn({
                let lost = Arc::clone(&dropped);
                move || write_all(&path, file, &inbox, &lost)
            })?;
        Ok(Self {
            jobs,
            said_slow: false,
            dropped,
        })
    }

    /// Hands a batch over; never waits.
    pub(super) fn write(
        &mut self,
        observations: &[Observation],
        now: Tick,
        wall: Wall,
        routes: impl Fn() -> Vec<String>,
    ) {
        let told: Vec<_> = observations
            .iter()
            .filter(|it| match it {
                Observation::Answered(_) => true,
                Observation::Checked(checked) => checked.found != Found::Verified,
                _ => false,
            })
            .copied()
            .collect();
        if told.is_empty() {
            return;
        }
        let lines = told.len() as u64;
        let job = Job::Batch {
            observations: told,
            now,
            wall,
            routes: routes(),
        };
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(job) {
            if !std::mem::replace(&mut self.said_slow, true) {
                tracing::warn!("The access log's disk is too slow; lines are dropped.");
            }
            self.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Lines dropped since the process began.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file anew, after it was rotated away.
    pub(super) fn reopen(&self) {
        if self.jobs.try_send(Job::Reopen).is_err() {
            tracing::warn!("The access log is too busy to be reopened; send the signal again.");
        }
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("could not open the access log {}", path.display()))
}

fn write_all(path: &Path, mut file: File, inbox: &Receiver<Job>, lost: &AtomicU64) {
    // A full disk fails ten times a second; it is said when it begins and when it ends.
    let mut failing = false;
    // What could not be written is gone, so that what comes later is whole lines.
    let mut lines = Vec::new();
    while let Ok(job) = inbox.recv() {
        let (result, count) = match job {
            Job::Reopen => (open(path).map(|reopened| file = reopened), 0),
            Job::Batch {
                observations,
                now,
                wall,
                routes,
            } => {
                lines.clear();
                let result = write_batch(&mut lines, &observations, now, wall, &routes)
                    .and_then(|()| append(&mut file, &lines));
                (result, observations.len() as u64)
            }
        };
        match result {
            Ok(()) if std::mem::take(&mut failing) => {
                tracing::warn!("The access log can be written again.");
            }
            Ok(()) => {}
            Err(error) => {
                lost.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "The access log could not be written; its lines are lost until it can be. Everything else goes on."
                    );
                }
            }
        }
    }
}

/// Writes all of it or takes back what was written of it: a disk that fills up in the
/// middle must not leave half a line for the next one to be glued to.
fn append(file: &mut File, lines: &[u8]) -> anyhow::Result<()> {
    let before = file.metadata()?;
    if let Err(error) = file.write_all(lines) {
        if before.is_file() {
            // If not even that can be done, one line is broken.
            drop(file.set_len(before.len()));
        }
        return Err(error.into());
    }
    Ok(())
}

fn write_batch(
    file: &mut Vec<u8>,
    observations: &[Observation],
    now: Tick,
    wall: Wall,
    routes: &[String],
) -> anyhow::Result<()> {
    for observation in observations {
        match observation {
            Observation::Answered(it) => {
                serde_json::to_writer(&mut *file, &line(it, now, wall, routes))?;
            }
            Observation::Checked(it) => {
                serde_json::to_writer(&mut *file, &doubted(it, now, wall, routes))?;
            }
            _ => continue,
        }
        file.push(b'\n');
    }
    Ok(())
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
fn time(at: Tick, now: Tick, wall: Wall) -> String {
    let ago_ms = i64::try_from(now.since(at).as_millis()).unwrap_or(0);
    jiff::Timestamp::from_millisecond(wall.0 - ago_ms)
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

fn path(route: u16, routes: &[String]) -> &str {
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
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let mut log = AccessLog::start(&path).unwrap();
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
        log.write(&observations, Tick(0), Wall(0), || vec!["/ivr".to_owned()]);
        drop(log);
        let expected = "\
{\"time\":\"1970-01-01T00:00:00.000Z\",\"route\":\"/ivr\",\"kind\":\"signature\",\"outcome\":\"absent\",\"refused\":false}
{\"time\":\"1970-01-01T00:00:00.000Z\",\"route\":\"/ivr\",\"kind\":\"signature\",\"outcome\":\"rejected\",\"refused\":true}
";
        // Its thread writes when it comes to it.
        let written = || std::fs::read_to_string(&path).unwrap_or_default();
        while written().len() < expected.len() {
            std::thread::yield_now();
        }
        assert_eq!(written(), expected);
    }

    fn rejected() -> Observation {
        Observation::Checked(Checked {
            at: Tick(0),
            route: 0,
            found: Found::Rejected,
            counts: false,
            refused: true,
        })
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let mut log = AccessLog::start(Path::new("/dev/full")).unwrap();
        for _ in 0..50 {
            log.write(&[rejected(), rejected()], Tick(0), Wall(0), Vec::new);
        }
        while log.dropped() < 100 {
            std::thread::yield_now();
        }
        assert_eq!(log.dropped(), 100);
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
