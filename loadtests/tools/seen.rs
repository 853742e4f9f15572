//! What the backends remember of their callers when started with `--watch`.
//!
//! Both backends live in one process and share one clock and one set of calls,
//! so "a new call arrived at new" is a fact here, not an inference.

use std::collections::HashSet;
use std::fmt::Write as _;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Requests remembered until they are fetched; later ones are only counted.
const RECORDS_MAX: usize = 4_000_000;
/// Ids of calls and requests remembered; when full, the memory starts over and
/// says so in `forgotten`.
const IDS_MAX: usize = 16_000_000;

/// One request at one backend, times in nanoseconds of the tools' clock.
#[derive(Clone, Copy)]
struct Record {
    arrived: u64,
    answered: u64,
    call: u64,
    status: u16,
    good: bool,
    first: bool,
}

/// The memory of all backends of this process.
#[derive(Default)]
pub(crate) struct Seen {
    calls: HashSet<u64>,
    requests: HashSet<u64>,
    forgotten: u64,
    of: Vec<Counts>,
}

/// One backend's share of it.
#[derive(Default)]
pub(crate) struct Counts {
    requests: u64,
    failed: u64,
    calls: u64,
    calls_since_mark: u64,
    requests_since_mark: u64,
    last_new_call: u64,
    duplicates: u64,
    lost_records: u64,
    records: Vec<Record>,
}

/// What one request says about itself.
pub(crate) struct Visit<'a> {
    /// When it was read whole.
    pub(crate) arrived: u64,
    /// The call's id as sent; empty if it names none.
    pub(crate) call: &'a [u8],
    /// The request's own id; empty if it has none.
    pub(crate) request: &'a [u8],
    /// The status it gets, 0 for none.
    pub(crate) status: u16,
    /// Whether the answer is a good one.
    pub(crate) good: bool,
    /// When its answer goes out.
    pub(crate) answered: u64,
}

impl Seen {
    /// A memory for so many backends.
    pub(crate) fn new(backends: usize) -> Self {
        Self {
            of: (0..backends).map(|_| Counts::default()).collect(),
            ..Self::default()
        }
    }

    /// Remembers one request at one backend.
    pub(crate) fn note(&mut self, backend: usize, visit: &Visit<'_>) {
        if self.calls.len() >= IDS_MAX || self.requests.len() >= IDS_MAX {
            self.calls.clear();
            self.requests.clear();
            self.forgotten += 1;
        }
        let call = xxh3_64(visit.call);
        let first = !visit.call.is_empty() && self.calls.insert(call);
        // A rescue asks the other backend the same; to send it to one twice is the sin.
        let request = xxh3_64_with_seed(visit.request, backend as u64);
        let again = !visit.request.is_empty() && !self.requests.insert(request);
        let Some(counts) = self.of.get_mut(backend) else {
            return;
        };
        counts.requests += 1;
        counts.requests_since_mark += 1;
        counts.failed += u64::from(!visit.good);
        counts.duplicates += u64::from(again);
        if first {
            counts.calls += 1;
            counts.calls_since_mark += 1;
            counts.last_new_call = visit.arrived;
        }
        if counts.records.len() >= RECORDS_MAX {
            counts.lost_records += 1;
            return;
        }
        counts.records.push(Record {
            arrived: visit.arrived,
            answered: visit.answered,
            call,
            status: visit.status,
            good: visit.good,
            first,
        });
    }

    /// Begins a new count of what came "since the mark".
    pub(crate) fn mark(&mut self) {
        for counts in &mut self.of {
            counts.calls_since_mark = 0;
            counts.requests_since_mark = 0;
        }
    }

    /// One backend's counts; `closed`: connections that all of them closed as they liked.
    pub(crate) fn counts(&self, backend: usize, now: u64, closed: u64) -> serde_json::Value {
        let Some(counts) = self.of.get(backend) else {
            return serde_json::Value::Null;
        };
        serde_json::json!({
            "now_ns": now,
            "requests": counts.requests,
            "failed": counts.failed,
            "calls": counts.calls,
            "calls_since_mark": counts.calls_since_mark,
            "requests_since_mark": counts.requests_since_mark,
            "last_new_call_ns": counts.last_new_call,
            "duplicates": counts.duplicates,
            "closed": closed,
            "lost_records": counts.lost_records,
            "forgotten": self.forgotten,
        })
    }

    /// One backend's records as lines `arrived_ns answered_ns status good first call`,
    /// and forgets them.
    pub(crate) fn take_records(&mut self, backend: usize) -> String {
        let mut lines = String::new();
        let Some(counts) = self.of.get_mut(backend) else {
            return lines;
        };
        for record in counts.records.drain(..) {
            writeln!(
                lines,
                "{} {} {} {} {} {:016x}",
                record.arrived,
                record.answered,
                record.status,
                u8::from(record.good),
                u8::from(record.first),
                record.call
            )
            .expect("writing to a string cannot fail");
        }
        lines
    }
}
