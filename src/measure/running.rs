//! The hour that is not over yet, on one backend: what will be one of the
//! [`totals`](super::totals) when it is.

use super::counts::{Answers, Ends};
use super::histogram::Edges;
use super::totals::Sums;
use super::window::Slot;

/// Sums that grow until they are taken. About 4 kB.
#[derive(Clone, Debug)]
pub(super) struct Running {
    answers: Answers,
    ends: Ends,
    /// Answers by the bucket of their latency, among [`Edges::plain`].
    latency: Vec<u32>,
}

impl Running {
    /// Nothing has happened yet.
    pub(super) fn new() -> Self {
        Self {
            answers: Answers::default(),
            ends: Ends::default(),
            latency: vec![0; Edges::plain().len()],
        }
    }

    /// Takes one batch: each event is in exactly one. A call counts where it was heard
    /// first, because its mark that moves on is taken off where it is set anew; so the
    /// calls of many hours can be added up.
    pub(super) fn hear(&mut self, answers: &Answers, ends: &Ends) {
        self.answers.add(answers);
        self.ends.add(ends);
    }

    /// An answer took so long, in microseconds.
    pub(super) fn took(&mut self, latency_us: u32) {
        let bucket = Edges::plain().bucket(latency_us);
        if let Some(count) = self.latency.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds what another one holds.
    pub(super) fn add(&mut self, other: &Self) {
        self.hear(&other.answers, &other.ends);
        for (mine, theirs) in self.latency.iter_mut().zip(&other.latency) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.answers = Answers::default();
        self.ends = Ends::default();
        self.latency.fill(0);
    }

    /// The sums without the latencies' buckets: cheap enough for every tick.
    pub(super) fn counts(&self) -> Sums {
        let whole = |count: i64| u64::try_from(count).unwrap_or(0);
        let (answers, ends) = (&self.answers, &self.ends);
        Sums {
            begun: whole(answers.begun),
            good: whole(answers.good),
            failed: whole(answers.bad()),
            calls: whole(answers.calls),
            failed_calls: whole(answers.distinct_failed()),
            latencies: whole(answers.latencies),
            latency_us: whole(answers.latency_us),
            latency_us_squared: u128::try_from(answers.latency_us_squared).unwrap_or(0),
            served: whole(ends.served),
            abandoned: whole(ends.abandoned),
            unknown: whole(ends.unknown),
            bad: whole(ends.bad),
            sound: whole(ends.sound),
            timed: whole(ends.timed),
            duration_s: whole(ends.duration_s),
            duration_s_squared: whole(ends.duration_s_squared),
            speech_good: whole(answers.speech_good),
            speech_empty: whole(answers.speech_empty),
            critical_errors: whole(answers.critical_errors),
            complaints: whole(answers.complaints),
            incidents: whole(answers.incidents),
            opened: whole(answers.opened),
            checks: whole(answers.checks),
            checks_bad: whole(answers.checks_bad),
            transactions: whole(answers.transactions),
            ..Sums::default()
        }
    }

    /// The sums with everything.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = self.counts();
        for (bucket, count) in (0u16..).zip(&self.latency) {
            if *count > 0 {
                sums.latency_buckets.insert(bucket, *count);
            }
        }
        sums
    }
}
