//! What is known about one backend over the last hour.
//!
//! Takes what requests and calls' ends report, and says over any span how many
//! calls there were, how many failed, how long they waited and how they ended.
//! Nothing here decides: the rows of the tables do.

mod counting;

use std::time::Duration;

use super::counts::{Answers, Ends, Flaws, SLOW_MAX, TenantAnswers, TenantEnds, share};
use super::each::{Each, Heard};
use super::histogram::{Distribution, Edges};
use super::running::Running;
use super::shown::Shown;
use super::stays::Stays;
use super::tenants::Tenants;
use super::totals::Sums;
use super::window::Window;
use super::{Health, Numbers, ReportKind, Streamed};
use crate::document::{Flaw, FlawSet};
use crate::model::{Backend, TenantKey, Tick};

/// A call takes part in end measures once it has had so long to end, at least.
pub const MATURE_LEAST: Duration = Duration::from_secs(600);
/// And at most: the ring of calls' beginnings reaches this much beyond the hour.
pub const MATURE_MOST: Duration = Duration::from_secs(3600);

/// Ended calls without which legacy's durations say nothing.
const DURATIONS_MIN: u64 = 20;
/// Legacy's answers without which its habits are not known.
const HABIT_ANSWERS_MIN: i64 = 100;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const QUARTER: Duration = Duration::from_secs(900);

/// How long after its beginning a call is taken into end measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mature {
    /// As long as nine in ten of legacy's calls last, at least ten minutes.
    #[default]
    Auto,
    /// So long, at most an hour.
    After(Duration),
}

/// What a scorecard must be able to tell at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interest {
    /// Spans that counts are read over.
    pub spans: Vec<Duration>,
    /// Spans that quantiles are read over.
    pub quantile_spans: Vec<Duration>,
    /// Response-time thresholds in microseconds; quantiles are exact against them.
    pub thresholds_us: Vec<u32>,
    /// Thresholds of mean rows with an early test, at most [`SLOW_MAX`].
    pub slow_us: Vec<u32>,
    /// Spans that each tenant's own counts are read over; none: nobody asks.
    pub tenant_spans: Vec<Duration>,
}

/// Everything known about one backend. At most about 8 MB: 2 MB of counts,
/// 160 kB for each span that quantiles are read over, and on new up to 6 MB by
/// tenant, if more than a hundred tenants are active in every ten seconds. Where a row
/// judges each tenant alone, what [`Each`] takes comes on top.
#[derive(Clone, Debug)]
pub struct Scorecard {
    answers: Window<Answers>,
    ends: Window<Ends>,
    flaws: Window<Flaws>,
    edges: Edges,
    latencies: Vec<Distribution>,
    durations: Distribution,
    by_tenant: Option<ByTenant>,
    shown: Shown,
    /// The hour that is not over, since the epoch began.
    running: Running,
    /// The part of it from before.
    earlier: Running,
    stays: Stays,
    /// Whether it is up, as its health check says; None: nobody asks, or does not know yet.
    told_up: Option<bool>,
    /// Transactions were reported at least once since the process began.
    transacts: bool,
    slow_us: Vec<u32>,
    /// What its breaker keeps away would get no answer.
    silent: bool,
    /// Nothing older counts.
    since: Tick,
    /// Nothing that was placed under this generation or an older one counts.
    generation: u64,
    webhooks: u64,
    errors: u64,
    calls: u64,
}

#[derive(Clone, Debug)]
struct ByTenant {
    answers: Tenants<TenantAnswers>,
    ends: Tenants<TenantEnds>,
    /// Where a row judges each tenant alone.
    each: Option<Each>,
}

impl Scorecard {
    /// An empty one. Only new's evidence is kept by tenant: legacy has nowhere to go back to.
    pub fn new(backend: Backend, interest: &Interest, now: Tick) -> Self {
        let edges = Edges::new(interest.thresholds_us.iter().copied());
        let mut card = Self {
            answers: Window::new(&[], Duration::ZERO, now),
            ends: Window::new(&[], MATURE_MOST, now),
            flaws: Window::new(&[HOUR], Duration::ZERO, now),
            // In seconds: thresholds of response times are no edges of theirs.
            durations: Distribution::new(HOUR, Edges::plain(), now),
            edges,
            latencies: Vec::new(),
            by_tenant: (backend == Backend::New).then(|| ByTenant {
                answers: Tenants::new(Duration::ZERO, now),
                ends: Tenants::new(MATURE_MOST, now),
                each: None,
            }),
            shown: Shown::new(now),
            running: Running::new(),
            earlier: Running::new(),
            stays: Stays::default(),
            told_up: None,
            transacts: false,
            slow_us: Vec::new(),
            silent: false,
            since: Tick(0),
            generation: 0,
            webhooks: 0,
            errors: 0,
            calls: 0,
        };
        card.ends.set_lag(MATURE_LEAST);
        // Empty, but the very first calls must wait until they are mature as well.
        card.ends.clear();
        card.set_interest(interest, now);
        card
    }

    /// Reads over other spans from now on. Counts are kept; distributions over a
    /// new span, and all of them if a threshold changed, begin empty.
    pub fn set_interest(&mut self, interest: &Interest, now: Tick) {
        let mut spans = interest.spans.clone();
        spans.extend([MINUTE, FIVE_MINUTES, QUARTER, HOUR]);
        self.answers.set_spans(&spans);
        self.ends.set_spans(&spans);
        let edges = Edges::new(interest.thresholds_us.iter().copied());
        if edges != self.edges {
            self.latencies.clear();
            self.edges = edges;
        }
        let mut wanted = interest.quantile_spans.clone();
        wanted.push(FIVE_MINUTES);
        wanted.sort_unstable();
        wanted.dedup();
        let mut known = std::mem::take(&mut self.latencies);
        self.latencies = wanted
            .into_iter()
            .map(
                |span| match known.iter().position(|one| one.span() == span) {
                    Some(position) => known.swap_remove(position),
                    None => Distribution::new(span, &self.edges, now),
                },
            )
            .collect();
        self.slow_us.clone_from(&interest.slow_us);
        self.slow_us.truncate(SLOW_MAX);
        let lag = self.ends.lag();
        let Some(by_tenant) = &mut self.by_tenant else {
            return;
        };
        let spans = &interest.tenant_spans;
        match &mut by_tenant.each {
            each if spans.is_empty() => *each = None,
            Some(each) => each.set_spans(spans),
            each => each.insert(Each::new(spans, now)).set_lag(lag),
        }
    }

    /// A connection to the backend was opened.
    pub fn connected(&mut self, took_us: u32) {
        self.shown.connected(took_us);
    }

    /// A websocket to the backend was opened, or not, or ended.
    pub fn streamed(&mut self, what: Streamed) {
        self.shown.streamed(what);
    }

    /// Something was reported from outside; of whom, if that was said.
    pub fn reported(&mut self, kind: ReportKind, tenant: Option<TenantKey>, now: Tick) {
        self.transacts |= matches!(kind, ReportKind::Transactions(_));
        self.answers.change(now, |slot| match kind {
            ReportKind::CriticalError => slot.critical_errors += 1,
            ReportKind::Complaint => slot.complaints += 1,
            ReportKind::Incident => slot.incidents += 1,
            ReportKind::MemoryUsed(share) => slot.memory.read(share),
            ReportKind::CpuUsed(share) => slot.cpu.read(share),
            ReportKind::LesserIncident(_) => {}
            ReportKind::Transactions(count) => slot.transactions += i64::from(count),
        });
        let change: fn(&mut TenantAnswers) = match kind {
            ReportKind::CriticalError => |counts| counts.critical_errors += 1,
            ReportKind::Complaint => |counts| counts.complaints += 1,
            ReportKind::Incident => |counts| counts.incidents += 1,
            _ => return,
        };
        if let (Some(each), Some(tenant)) = (self.each_mut(), tenant) {
            each.reported(now, tenant, change);
        }
    }

    /// It was asked how it is.
    pub fn checked(&mut self, what: &Health) {
        if what.at >= self.since {
            let bad = i64::from(!what.answer.is_well());
            self.answers.change(what.at, |slot| {
                slot.checks += 1;
                slot.checks_bad += bad;
            });
        }
    }

    /// Its breaker opened.
    pub fn opened(&mut self, now: Tick) {
        self.answers.change(now, |slot| slot.opened += 1);
    }

    /// Is its breaker not closed because it gave no answers? Then what the breaker
    /// keeps away would have got none either: else a backend that is gone would cease
    /// to be down as soon as nobody asks it any more. Where the breaker opened on bad
    /// answers, what it keeps away proves neither.
    pub const fn set_silent(&mut self, silent: bool) {
        self.silent = silent;
    }

    /// How many calls run now; once a tick.
    pub fn active(&mut self, calls: u64, now: Tick) {
        self.answers
            .change(now, |slot| slot.active.read(calls as f64));
    }

    /// Takes whether its health check says that it is up; None: there is none, or it
    /// does not know yet.
    pub const fn set_up(&mut self, up: Option<bool>) {
        self.told_up = up;
    }

    /// Moves every span on to now.
    pub fn advance(&mut self, now: Tick) {
        self.answers.advance(now);
        self.ends.advance(now);
        self.flaws.advance(now);
        self.durations.advance(now);
        self.shown.advance(now);
        for spread in &mut self.latencies {
            spread.advance(now);
        }
        if let Some(each) = self.each_mut() {
            each.advance(now);
        }
        let up = self.told_up.or_else(|| self.answers_at_all());
        self.stays.see(up, now);
    }

    /// Did it answer anything in the last minute? None where nothing was asked.
    fn answers_at_all(&self) -> Option<bool> {
        let lately = self.answers(MINUTE);
        if lately.answered > 0 {
            return Some(true);
        }
        (lately.unanswered > 0).then_some(false)
    }

    /// Forgets what happened; from now on only calls placed under a generation
    /// above `generation` count. Numbers since the process began stay.
    pub fn begin_epoch(&mut self, now: Tick, generation: u64) {
        self.since = now;
        self.generation = self.generation.max(generation);
        // An epoch begins between two ticks: what was told since the last is not lost.
        self.take_batch();
        self.earlier.add(&self.running);
        self.running.clear();
        self.stays.clear();
        self.answers.clear();
        self.ends.clear();
        for spread in &mut self.latencies {
            spread.clear();
        }
        if let Some(by_tenant) = &mut self.by_tenant {
            by_tenant.answers.clear();
            by_tenant.ends.clear();
        }
        if let Some(each) = self.each_mut() {
            each.clear();
        }
    }

    /// End measures leave out calls that began less than this ago.
    pub fn set_mature(&mut self, mature: Duration) {
        self.ends.set_lag(mature);
        let lag = self.ends.lag();
        if let Some(each) = self.each_mut() {
            each.set_lag(lag);
        }
    }

    /// How long ago a call must have begun to be in end measures.
    pub const fn mature(&self) -> Duration {
        self.ends.lag()
    }

    /// As long as nine in ten calls of the last hour lasted, at least ten
    /// minutes, at most an hour.
    pub fn usual_duration(&self) -> Duration {
        if self.durations.count() < DURATIONS_MIN {
            return MATURE_LEAST;
        }
        let p90 = self.durations.quantile(900, Edges::plain()).unwrap_or(0);
        Duration::from_secs(u64::from(p90)).clamp(MATURE_LEAST, MATURE_MOST)
    }

    /// What was answered, begun and reported in a trailing span.
    pub fn answers(&self, span: Duration) -> Answers {
        self.answers.total(span)
    }

    /// How the mature calls of a span ended.
    pub fn ends(&self, span: Duration) -> Ends {
        self.ends.total(span)
    }

    /// What was answered since the last time, and which ends became mature: one
    /// batch of every sequential test.
    pub fn take_batch(&mut self) -> (Answers, Ends) {
        let (answers, ends) = (self.answers.take_entered(), self.ends.take_entered());
        self.running.hear(&answers, &ends);
        (answers, ends)
    }

    /// What was heard of each tenant since the last time, where a row asks for it.
    pub fn take_heard(&mut self) -> Vec<Heard> {
        self.each_mut().map(Each::take_heard).unwrap_or_default()
    }

    /// The hour that is not over, as far as it lies in the epoch; `buckets` asks for
    /// those of the latencies as well.
    pub(crate) fn running(&self, buckets: bool) -> Sums {
        match buckets {
            true => self.running.sums(),
            false => self.running.counts(),
        }
    }

    /// The hour is over: what happened in it before the epoch began, and since, to be
    /// kept. The next one begins.
    pub fn take_hour(&mut self) -> (Sums, Sums) {
        self.take_batch();
        let taken = (self.earlier.sums(), self.running.sums());
        self.earlier.clear();
        self.running.clear();
        taken
    }

    /// How many stays up ended in a span, and the shortest, in seconds; None where
    /// nothing is known of when it was up.
    pub fn stays(&self, span: Duration, now: Tick) -> Option<(u64, Option<f64>)> {
        let (ended, shortest) = self.stays.ended(span, now);
        let shortest = shortest.map(|stay| stay.as_secs_f64());
        self.stays.known().then_some((ended, shortest))
    }

    /// Were transactions ever reported of it, since the process began?
    pub const fn transacts(&self) -> bool {
        self.transacts
    }

    /// Each tenant's own counts, where a row asks for them.
    pub fn each(&self) -> Option<&Each> {
        self.by_tenant.as_ref()?.each.as_ref()
    }

    /// Forgets what one tenant's own rows know of it.
    pub fn forget_tenant(&mut self, tenant: TenantKey) {
        if let Some(each) = self.each_mut() {
            each.forget(tenant);
        }
    }

    fn each_mut(&mut self) -> Option<&mut Each> {
        self.by_tenant.as_mut()?.each.as_mut()
    }

    /// A response time in milliseconds that so many of a thousand answers do not exceed.
    pub fn quantile_ms(&self, span: Duration, permille: u64) -> Option<f64> {
        let spread = self.latencies.iter().find(|one| one.span() == span)?;
        let edge = spread.quantile(permille, &self.edges)?;
        Some(f64::from(edge) / 1000.0)
    }

    /// Answers slower than a threshold, and all answers with a latency.
    pub fn slower_than(&self, span: Duration, threshold_us: u32) -> (u64, u64) {
        self.latencies
            .iter()
            .find(|one| one.span() == span)
            .map_or((0, 0), |spread| {
                (spread.above(threshold_us, &self.edges), spread.count())
            })
    }

    /// New's evidence by tenant.
    pub fn tenants(&self) -> Option<&Tenants<TenantAnswers>> {
        self.by_tenant.as_ref().map(|both| &both.answers)
    }

    /// New's ended calls by tenant, where they began.
    pub fn tenant_ends(&self) -> Option<&Tenants<TenantEnds>> {
        self.by_tenant.as_ref().map(|both| &both.ends)
    }

    /// The flaws that one answer in a hundred of the last hour shows.
    pub fn habits(&self) -> FlawSet {
        let seen = self.flaws.total(HOUR);
        if seen.answers < HABIT_ANSWERS_MIN {
            return FlawSet::NONE;
        }
        Flaw::ALL
            .into_iter()
            .filter(|flaw| seen.of[*flaw as usize] * 100 >= seen.answers)
            .fold(FlawSet::NONE, FlawSet::with)
    }

    /// Where the day that numbers are shown for begins.
    pub fn day_since(&self) -> Tick {
        self.shown.day_since()
    }

    /// The numbers operators see.
    pub fn numbers(&self) -> Numbers {
        let recent = self.answers(FIVE_MINUTES);
        let spoken = self.answers(QUARTER);
        let ends = self.ends(QUARTER);
        Numbers {
            webhooks: self.webhooks,
            errors: self.errors,
            error_rate: share(recent.bad(), recent.voices()),
            response_time_mean_ms: recent.mean_ms(),
            response_time_p95_ms: self.quantile_ms(FIVE_MINUTES, 950),
            abandonment_rate: share(ends.abandoned.max(0), ends.base())
                .filter(|_| !ends.mostly_unknown()),
            failed_call_rate: share(ends.bad, ends.bad + ends.sound),
            call_duration_mean_s: ends.duration_mean_s(),
            speech_recognition_rate: share(
                spoken.speech_good,
                spoken.speech_good + spoken.speech_empty,
            ),
            calls: self.calls,
            shown: self.shown.numbers(),
        }
    }
}

#[cfg(test)]
mod tests;
