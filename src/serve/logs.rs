//! The files of lines: the access log, the recording, the decision trace. One thread
//! writes them all, from what the tick drained: no request and no decision waits for a
//! disk.
//!
//! A disk that is full or too slow loses lines; they are counted, and it is said once. What
//! is written is whole lines.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use anyhow::Context as _;

use super::access;
use super::decisions::{Then, Trace};
use super::memory::Known;
use crate::config;
use crate::engine::{Engine, Reported};
use crate::measure::Observation;
use crate::model::{PerBackend, TenantKey, Tick, Wall};
use crate::recording::rotating::{Rotating, Rotation};
use crate::recording::{Moment, Recorder, Report, State};
use crate::rollout::Entry;

/// Batches (a tenth of a second each) that may wait for a slow disk; more are
/// dropped and counted.
const WAITING: usize = 100;
/// Reports and steps that wait for the next tick; more are dropped and counted.
const BESIDE: usize = 10_000;

/// The files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Access,
    Outcomes,
    Decisions,
}

impl Which {
    const ALL: [Self; 3] = [Self::Access, Self::Outcomes, Self::Decisions];

    const fn name(self) -> &'static str {
        match self {
            Self::Access => "access log",
            Self::Outcomes => "recording",
            Self::Decisions => "decision trace",
        }
    }
}

type Lost = Arc<[AtomicU64; Which::ALL.len()]>;

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Logs {
    jobs: Option<SyncSender<Job>>,
    /// Is told nothing; is closed when the thread has ended.
    ended: Option<Receiver<()>>,
    on: [bool; Which::ALL.len()],
    reports: Vec<Report>,
    entries: Vec<Entry>,
    /// Keys the ids of reports.
    keys: Recorder,
    said_slow: bool,
    lost: Lost,
}

/// What a tick looked at, and when.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) now: Tick,
    pub(super) wall: Wall,
    pub(super) active: PerBackend<u64>,
    /// In force before anything followed from it.
    pub(super) state: State,
    pub(super) known: Arc<Known>,
}

impl Looked {
    /// As it is before the engine looks.
    pub(super) fn before(
        engine: &Engine,
        active: PerBackend<u64>,
        known: Arc<Known>,
        now: Tick,
        wall: Wall,
    ) -> Self {
        let (epoch, spent) = engine.epoch();
        let split = engine.split();
        let state = State {
            epoch,
            spent,
            generation: split.generation,
            percentage: split.percentage,
            latched: split.latched,
            config: Arc::clone(&known.config),
        };
        Self {
            now,
            wall,
            active,
            state,
            known,
        }
    }
}

enum Job {
    Batch(Box<Batch>),
    Reopen,
}

struct Batch {
    observations: Vec<Observation>,
    reports: Vec<Report>,
    entries: Vec<Entry>,
    routes: Vec<String>,
    looked: Looked,
}

impl Logs {
    /// Opens the files that are wanted and starts the thread; with none there is none.
    pub(super) fn start(log: &config::Log, seed: u64) -> anyhow::Result<Self> {
        let lost = Lost::default();
        let open = |which: Which, path: Option<&Path>, rotation| {
            path.map(|path| Log::open(which, path, rotation, Arc::clone(&lost)))
                .transpose()
        };
        let own = Some(log.rotate);
        let writer = Writer {
            access: open(Which::Access, log.access(), None)?,
            outcomes: open(Which::Outcomes, log.outcomes.as_deref(), own)?,
            recorder: Recorder::new(seed),
            told_lost: 0,
            decisions: open(Which::Decisions, log.decisions(), own)?,
            trace: Trace::new(seed, log.decisions.as_ref().map_or(0.0, |it| it.sample)),
            last: (Tick::default(), Wall::default()),
        };
        let on = [
            writer.access.is_some(),
            writer.outcomes.is_some(),
            writer.decisions.is_some(),
        ];
        let mut logs = Self {
            jobs: None,
            ended: None,
            on,
            reports: Vec::new(),
            entries: Vec::new(),
            keys: Recorder::new(seed),
            said_slow: false,
            lost,
        };
        if on.contains(&true) {
            let (jobs, inbox) = sync_channel(WAITING);
            let (ending, ended) = sync_channel(1);
            std::thread::Builder::new()
                .name("logs".to_owned())
                .spawn(move || {
                    writer.write_all(&inbox);
                    drop::<SyncSender<()>>(ending);
                })
                .context("could not start the thread of the logs")?;
            (logs.jobs, logs.ended) = (Some(jobs), Some(ended));
        }
        Ok(logs)
    }

    const fn is_on(&self, which: Which) -> bool {
        self.on[which as usize]
    }

    /// Somebody reported something; told with the next batch.
    pub(super) fn report(&mut self, reported: &Reported) {
        if !self.is_on(Which::Outcomes) {
            return;
        }
        if self.reports.len() >= BESIDE {
            return self.lose(Which::Outcomes, 1);
        }
        let report = self.keys.report(
            (reported.backend, reported.kind),
            reported.tenant.as_deref().map(TenantKey::new),
            reported.id.as_deref(),
        );
        self.reports.push(report);
    }

    /// A step was decided; told with the next batch.
    pub(super) fn entry(&mut self, entry: &Entry) {
        if !self.is_on(Which::Decisions) {
            return;
        }
        if self.entries.len() >= BESIDE {
            return self.lose(Which::Decisions, 1);
        }
        self.entries.push(entry.clone());
    }

    /// Hands a batch over; never waits.
    pub(super) fn write(
        &mut self,
        observations: &[Observation],
        looked: Looked,
        routes: impl Fn() -> Vec<String>,
    ) {
        let Some(jobs) = &self.jobs else { return };
        let told: Vec<_> = (observations.iter())
            .filter(|it| {
                Which::ALL
                    .iter()
                    .any(|which| self.on[*which as usize] && takes(*which, it))
            })
            .copied()
            .collect();
        let quiet = told.is_empty() && self.entries.is_empty() && self.reports.is_empty();
        // A recording tells of quiet ticks as well, now and then.
        if quiet && !self.is_on(Which::Outcomes) {
            return;
        }
        let batch = Box::new(Batch {
            observations: told,
            reports: std::mem::take(&mut self.reports),
            entries: std::mem::take(&mut self.entries),
            routes: routes(),
            looked,
        });
        if let Err(TrySendError::Full(Job::Batch(batch))) = jobs.try_send(Job::Batch(batch)) {
            if !std::mem::replace(&mut self.said_slow, true) {
                tracing::warn!("The disk of the logs is too slow; lines are dropped.");
            }
            for which in Which::ALL {
                if self.is_on(which) {
                    self.lose(which, batch.lines(which));
                }
            }
        }
    }

    fn lose(&self, which: Which, lines: u64) {
        self.lost[which as usize].fetch_add(lines, Ordering::Relaxed);
    }

    /// Lines dropped since the process began.
    pub(super) fn dropped(&self, which: Which) -> u64 {
        self.lost[which as usize].load(Ordering::Relaxed)
    }

    /// Opens the files anew, after they were put aside.
    pub(super) fn reopen(&self) {
        if let Some(jobs) = &self.jobs
            && jobs.try_send(Job::Reopen).is_err()
        {
            tracing::warn!("The logs are too busy to be reopened; send the signal again.");
        }
    }

    /// Has the last lines written, as long as that takes no longer than this.
    pub(super) fn close(&mut self, within: Duration) {
        self.jobs = None;
        if let Some(ended) = self.ended.take() {
            // Closed or too late: there is nothing left to do either way.
            ended.recv_timeout(within).unwrap_or_default();
        }
    }
}

/// Has this a line in that file? Of the trace, may it have one.
const fn takes(which: Which, observation: &Observation) -> bool {
    match which {
        Which::Access => access::takes(observation),
        Which::Outcomes => Recorder::takes(observation),
        Which::Decisions => Trace::takes(observation),
    }
}

impl Batch {
    /// How many lines it is good for; of the trace, at most.
    fn lines(&self, which: Which) -> u64 {
        let beside = match which {
            Which::Access => 0,
            Which::Outcomes => self.reports.len(),
            Which::Decisions => self.entries.len(),
        };
        let own = self.observations.iter().filter(|it| takes(which, it));
        (own.count() + beside) as u64
    }
}

/// The thread's own.
struct Writer {
    access: Option<Log>,
    outcomes: Option<Log>,
    recorder: Recorder,
    /// Lost lines of the recording that it tells of already.
    told_lost: u64,
    decisions: Option<Log>,
    trace: Trace,
    /// The last batch, by both clocks.
    last: (Tick, Wall),
}

impl Writer {
    fn write_all(mut self, inbox: &Receiver<Job>) {
        let mut lines = Vec::new();
        while let Ok(job) = inbox.recv() {
            match job {
                Job::Batch(batch) => self.batch(&mut lines, &batch),
                Job::Reopen => {
                    let all = [&mut self.access, &mut self.outcomes, &mut self.decisions];
                    all.into_iter().flatten().for_each(Log::reopen);
                    self.recorder.begin_file();
                }
            }
        }
        if let Some(decisions) = &mut self.decisions {
            lines.clear();
            let (now, wall) = self.last;
            self.trace.finish(&mut lines, now, wall);
            decisions.append(&lines, 0);
        }
    }

    fn batch(&mut self, lines: &mut Vec<u8>, batch: &Batch) {
        let looked = &batch.looked;
        let (now, wall) = (looked.now, looked.wall);
        self.last = (now, wall);
        if let Some(access) = &mut self.access {
            lines.clear();
            access::write(lines, &batch.observations, now, wall, &batch.routes);
            access.append(lines, batch.lines(Which::Access));
        }
        self.record(lines, batch);
        self.trace(lines, batch);
    }

    fn record(&mut self, lines: &mut Vec<u8>, batch: &Batch) {
        let Some(outcomes) = &mut self.outcomes else {
            return;
        };
        let looked = &batch.looked;
        let count = batch.lines(Which::Outcomes);
        let lost = outcomes.lost() - self.told_lost;
        let Some(begins) = outcomes.begins_file(count) else {
            return;
        };
        if begins {
            self.recorder.begin_file();
        }
        lines.clear();
        if lost > 0 {
            self.recorder.lost(lines, looked.wall, lost);
        }
        let moment = Moment {
            now: looked.now,
            wall: looked.wall,
            active: looked.active,
            state: &looked.state,
        };
        (self.recorder).tick(lines, &moment, &batch.observations, &batch.reports);
        if outcomes.append(lines, count) {
            self.told_lost += lost;
        } else {
            // What was in force was lost with the lines.
            self.recorder.begin_file();
        }
    }

    fn trace(&mut self, lines: &mut Vec<u8>, batch: &Batch) {
        let Some(decisions) = &mut self.decisions else {
            return;
        };
        let looked = &batch.looked;
        let then = Then {
            now: looked.now,
            wall: looked.wall,
            routes: &batch.routes,
            known: &looked.known,
        };
        lines.clear();
        (self.trace).write(lines, &batch.observations, &batch.entries, &then);
        let count = memchr::memchr_iter(b'\n', lines).count() as u64;
        if count > 0 && decisions.begins_file(count).is_some() {
            decisions.append(lines, count);
        }
    }
}

/// One file, and whether it can be written.
struct Log {
    which: Which,
    file: Rotating,
    lost: Lost,
    failing: bool,
}

impl Log {
    fn open(
        which: Which,
        path: &Path,
        rotation: Option<Rotation>,
        lost: Lost,
    ) -> anyhow::Result<Self> {
        let file = Rotating::open(path, rotation)
            .with_context(|| format!("could not open the {} {}", which.name(), path.display()))?;
        Ok(Self {
            which,
            file,
            lost,
            failing: false,
        })
    }

    fn lost(&self) -> u64 {
        self.lost[self.which as usize].load(Ordering::Relaxed)
    }

    fn reopen(&mut self) {
        let result = self.file.reopen();
        self.note(result, 0);
    }

    /// Puts the file aside if it has grown, before so many lines. True: they begin a file.
    /// None: it cannot be put aside, and so that it does not grow without end they are lost.
    fn begins_file(&mut self, count: u64) -> Option<bool> {
        match self.file.rotate() {
            Ok(begins) => Some(begins),
            Err(error) => {
                self.note(Err(error), count);
                None
            }
        }
    }

    /// Writes so many lines, or loses them. False: they are lost.
    fn append(&mut self, lines: &[u8], count: u64) -> bool {
        if lines.is_empty() {
            return true;
        }
        let result = self.file.append(lines);
        let written = result.is_ok();
        self.note(result, count);
        written
    }

    /// A full disk fails ten times a second; it is said when it begins and when it ends.
    fn note(&mut self, result: std::io::Result<()>, count: u64) {
        let name = self.which.name();
        match result {
            Ok(()) if std::mem::take(&mut self.failing) => {
                tracing::warn!("The {name} can be written again.");
            }
            Ok(()) => {}
            Err(error) => {
                self.lost[self.which as usize].fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "The {name} could not be written; its lines are lost until it can be. Everything else goes on."
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
