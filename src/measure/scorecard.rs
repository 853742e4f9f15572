//! What is known about one backend over the last hour.
//!
//! Takes what requests and calls' ends report, and says over any span how many
//! calls there were, how many failed, how long they waited and how they ended.
//! Nothing here decides: the rows of the tables do.

use std::time::Duration;

use super::counts::{
    Answers, DURATION_MOST_S, Ends, Flaws, SLOW_MAX, TenantAnswers, TenantEnds, share,
};
use super::histogram::{Distribution, Edges};
use super::shown::Shown;
use super::tenants::Tenants;
use super::window::Window;
use super::{
    Answered, CallEnd, Cause, Ended, Fault, Health, Kind, Numbers, Outcome, Placed, ReportKind,
    Streamed,
};
use crate::document::{Flaw, FlawSet};
use crate::model::{Backend, Tick};

/// A call takes part in end measures once it has had so long to end, at least.
pub const MATURE_LEAST: Duration = Duration::from_secs(600);
/// And at most: the ring of calls' beginnings reaches this much beyond the hour.
pub const MATURE_MOST: Duration = Duration::from_secs(3600);

/// Ended calls without which legacy's durations say nothing.
const DURATIONS_MIN: u64 = 20;
/// Legacy's answers without which its habits are not known.
const HABIT_ANSWERS_MIN: i64 = 100;

const HOUR: Duration = Duration::from_secs(3600);
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
}

/// Everything known about one backend. At most about 8 MB: 2 MB of counts,
/// 160 kB for each span that quantiles are read over, and on new up to 5.5 MB by
/// tenant, if more than a hundred tenants are active in every ten seconds.
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
}

impl Scorecard {
    /// An empty one. Only new's evidence is kept by tenant: legacy has nowhere to go back to.
    pub fn new(backend: Backend, interest: &Interest, now: Tick) -> Self {
        let edges = Edges::new(interest.thresholds_us.iter().copied());
        let mut card = Self {
            answers: Window::new(&[], Duration::ZERO, now),
            ends: Window::new(&[], MATURE_MOST, now),
            flaws: Window::new(&[HOUR], Duration::ZERO, now),
            durations: Distribution::new(HOUR, &edges, now),
            edges,
            latencies: Vec::new(),
            by_tenant: (backend == Backend::New).then(|| ByTenant {
                answers: Tenants::new(Duration::ZERO, now),
                ends: Tenants::new(MATURE_MOST, now),
            }),
            shown: Shown::new(now),
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
        spans.extend([FIVE_MINUTES, QUARTER, HOUR]);
        self.answers.set_spans(&spans);
        self.ends.set_spans(&spans);
        let edges = Edges::new(interest.thresholds_us.iter().copied());
        if edges != self.edges {
            self.durations = Distribution::new(HOUR, &edges, now);
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
    }

    /// A webhook was answered or failed. Rows judge what callers wait for; what a
    /// caller said counts from events as well, because some providers tell it there.
    pub fn answered(&mut self, what: &Answered) {
        let fault = match what.outcome {
            Outcome::Served => None,
            Outcome::Failed(cause) => Some(cause.fault()),
        };
        let waited_for = what.kind == Kind::Voice;
        if waited_for {
            self.webhooks += 1;
            self.errors += u64::from(fault == Some(Fault::Backend));
        }
        self.show(what);
        // What the provider or we ourselves spoilt says nothing about a backend.
        let nobodys = matches!(fault, Some(Fault::Provider | Fault::Internal));
        if nobodys || !self.counts(what.at, what.generation) {
            return;
        }
        self.count_speech(what);
        if !waited_for {
            return;
        }
        self.count_flaw(what);
        self.count_latency(what);
        self.count_answer(what);
        self.count_by_tenant(what);
    }

    /// A request was placed; only a call's first one matters here.
    pub fn placed(&mut self, what: &Placed) {
        if !what.begins {
            return;
        }
        self.calls += 1;
        self.shown.begun(what.at);
        if what.at >= self.since {
            self.answers.change(what.at, |slot| slot.begun += 1);
        }
    }

    /// A call is over: it counts where it began.
    pub fn ended(&mut self, what: &Ended) {
        if !what.counts || !self.counts(what.began, what.generation) {
            return;
        }
        self.ends.advance(what.at);
        let bad = failed(what);
        let lasted = duration_s(what);
        self.ends.change(what.began, |slot| {
            match what.end {
                CallEnd::Served | CallEnd::Transferred => slot.served += 1,
                CallEnd::Abandoned => slot.abandoned += 1,
                CallEnd::Failed => slot.failed += 1,
                CallEnd::Unknown | CallEnd::Expired => slot.unknown += 1,
                CallEnd::Short | CallEnd::ProviderFailed | CallEnd::Rescued => {}
            }
            slot.bad += i64::from(bad == Some(true));
            slot.sound += i64::from(bad == Some(false));
            if let Some(lasted) = lasted {
                let lasted = i64::from(lasted);
                slot.timed += 1;
                slot.duration_s += lasted;
                slot.duration_s_squared += lasted * lasted;
            }
        });
        let (served, abandoned) = (
            matches!(what.end, CallEnd::Served | CallEnd::Transferred),
            what.end == CallEnd::Abandoned,
        );
        if served || abandoned {
            let lasted = what.duration_s.unwrap_or_else(|| {
                u32::try_from(what.at.since(what.began).as_secs()).unwrap_or(u32::MAX)
            });
            self.durations.record(what.at, self.edges.bucket(lasted));
        }
        if let Some(by_tenant) = &mut self.by_tenant
            && (served || abandoned || bad.is_some())
        {
            by_tenant.ends.change(what.began, what.tenant, |counts| {
                counts.served += i32::from(served);
                counts.abandoned += i32::from(abandoned);
                counts.bad += i32::from(bad == Some(true));
                counts.sound += i32::from(bad == Some(false));
            });
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

    /// Something was reported from outside.
    pub fn reported(&mut self, kind: ReportKind, now: Tick) {
        self.answers.change(now, |slot| match kind {
            ReportKind::CriticalError => slot.critical_errors += 1,
            ReportKind::Complaint => slot.complaints += 1,
            ReportKind::Incident => slot.incidents += 1,
            ReportKind::MemoryUsed(share) => slot.memory.read(share),
            ReportKind::CpuUsed(share) => slot.cpu.read(share),
        });
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
    }

    /// Forgets what happened; from now on only calls placed under a generation
    /// above `generation` count. Numbers since the process began stay.
    pub fn begin_epoch(&mut self, now: Tick, generation: u64) {
        self.since = now;
        self.generation = self.generation.max(generation);
        self.answers.clear();
        self.ends.clear();
        for spread in &mut self.latencies {
            spread.clear();
        }
        if let Some(by_tenant) = &mut self.by_tenant {
            by_tenant.answers.clear();
            by_tenant.ends.clear();
        }
    }

    /// End measures leave out calls that began less than this ago.
    pub fn set_mature(&mut self, mature: Duration) {
        self.ends.set_lag(mature);
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
        let p90 = self.durations.quantile(900, &self.edges).unwrap_or(0);
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
        (self.answers.take_entered(), self.ends.take_entered())
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

    fn counts(&self, at: Tick, generation: u64) -> bool {
        // Before any reversal an unknown generation (0) counts as well.
        at >= self.since && (self.generation == 0 || generation > self.generation)
    }

    fn show(&mut self, what: &Answered) {
        if let Some(key) = what.choice {
            self.shown.chose(what.at, key);
        }
        if let Some(took_us) = what.data_us {
            self.shown.queried(what.at, took_us);
        }
    }

    fn count_speech(&mut self, what: &Answered) {
        if let Some(understood) = what.speech {
            self.answers.change(what.at, |slot| {
                slot.speech_good += i64::from(understood);
                slot.speech_empty += i64::from(!understood);
            });
        }
    }

    fn count_flaw(&mut self, what: &Answered) {
        let read = matches!(
            what.outcome,
            Outcome::Served | Outcome::Failed(Cause::Document)
        );
        if read {
            self.flaws.change(what.at, |slot| {
                slot.answers += 1;
                if let Some(flaw) = what.flaw {
                    slot.of[flaw as usize] += 1;
                }
            });
        }
    }

    fn count_latency(&mut self, what: &Answered) {
        let Some(latency) = what.latency_us else {
            return;
        };
        let bucket = self.edges.bucket(latency);
        for spread in &mut self.latencies {
            spread.record(what.at, bucket);
        }
    }

    fn count_answer(&mut self, what: &Answered) {
        let part = self.part(what);
        let (previous, previous_failed) = self.marks(what);
        self.answers.change(what.at, |slot| {
            slot.webhooks += 1;
            slot.webhooks_stale += i64::from(part.stale);
            slot.answered += i64::from(part.answered);
            slot.unanswered += i64::from(part.unanswered);
            if let Some(latency) = what.latency_us {
                let latency = i64::from(latency);
                slot.latencies += 1;
                slot.latency_us += latency;
                slot.latency_us_squared += i128::from(latency) * i128::from(latency);
            }
            let Some(voice) = what.voice else { return };
            slot.calls += 1;
            slot.failed_calls += i64::from(voice.failed);
            slot.good += i64::from(!voice.failed);
            slot.failed += i64::from(voice.failed && !part.stale);
            slot.stale += i64::from(voice.failed && part.stale);
            if part.timed {
                slot.timed += 1;
                for (count, slow) in slot.slow.0.iter_mut().zip(part.slow) {
                    *count += i64::from(slow);
                }
            }
        });
        // The call has spoken before: its one mark moves to here.
        if let Some(before) = previous {
            self.answers.change(before, |slot| slot.calls -= 1);
        }
        if let Some(before) = previous_failed {
            self.answers.change(before, |slot| slot.failed_calls -= 1);
        }
    }

    fn count_by_tenant(&mut self, what: &Answered) {
        let (previous, previous_failed) = self.marks(what);
        let part = self.part(what);
        let (Some(voice), Some(by_tenant)) = (what.voice, &mut self.by_tenant) else {
            return;
        };
        let tenants = &mut by_tenant.answers;
        tenants.change(what.at, voice.tenant, |counts| {
            counts.calls += 1;
            counts.failed_calls += i32::from(voice.failed);
            counts.good += i32::from(!voice.failed);
            counts.failed += i32::from(voice.failed && !part.stale);
            counts.stale += i32::from(voice.failed && part.stale);
            if part.timed {
                counts.timed += 1;
                counts.latency_us += i64::from(what.latency_us.unwrap_or(0));
                for (count, slow) in counts.slow.0.iter_mut().zip(part.slow) {
                    *count += i32::from(slow);
                }
            }
            if let Some(speech) = what.speech {
                counts.speech_good += i32::from(speech);
                counts.speech_empty += i32::from(!speech);
            }
        });
        if let Some(before) = previous {
            tenants.change(before, voice.tenant, |counts| counts.calls -= 1);
        }
        if let Some(before) = previous_failed {
            tenants.change(before, voice.tenant, |counts| counts.failed_calls -= 1);
        }
    }

    /// Where the call's marks stand now. One from before the epoch was never set
    /// or is forgotten, and must not be taken from a second that does not hold it.
    fn marks(&self, what: &Answered) -> (Option<Tick>, Option<Tick>) {
        let Some(voice) = what.voice else {
            return (None, None);
        };
        let held = |mark: &Tick| *mark >= self.since;
        (
            voice.previous.filter(held),
            voice.previous_failed.filter(held).filter(|_| voice.failed),
        )
    }
}

/// Did the call fail by the application's doing? None where it is behind no failed
/// call rate: its end was never told, it was over before anything could be said of
/// it, or the platform failed it.
const fn failed(what: &Ended) -> Option<bool> {
    if what.failed {
        return Some(true);
    }
    match what.end {
        CallEnd::Failed | CallEnd::Rescued => Some(true),
        CallEnd::Served | CallEnd::Transferred | CallEnd::Abandoned | CallEnd::Unknown => {
            Some(false)
        }
        CallEnd::Short | CallEnd::ProviderFailed | CallEnd::Expired => None,
    }
}

/// How long the call lasted, where that is known and says something about it.
fn duration_s(what: &Ended) -> Option<u32> {
    let says = matches!(
        what.end,
        CallEnd::Served | CallEnd::Transferred | CallEnd::Abandoned | CallEnd::Failed
    );
    what.duration_s
        .filter(|_| says)
        .map(|seconds| seconds.min(DURATION_MOST_S))
}

/// What one answer adds.
#[derive(Clone, Copy, Debug)]
struct Part {
    stale: bool,
    answered: bool,
    unanswered: bool,
    timed: bool,
    slow: [bool; SLOW_MAX],
}

impl Scorecard {
    fn part(&self, what: &Answered) -> Part {
        let cause = match what.outcome {
            Outcome::Served => None,
            Outcome::Failed(cause) => Some(cause),
        };
        let mut slow = [false; SLOW_MAX];
        for (slower, threshold) in slow.iter_mut().zip(&self.slow_us) {
            *slower = what.latency_us.is_some_and(|latency| latency > *threshold);
        }
        Part {
            stale: cause == Some(Cause::Stale),
            answered: matches!(cause, None | Some(Cause::Status | Cause::Document)),
            // A provider that did not wait proves neither, nor does a cap.
            unanswered: (self.silent && cause == Some(Cause::Breaker))
                || matches!(
                    cause,
                    Some(
                        Cause::Connect
                            | Cause::Reset
                            | Cause::Stale
                            | Cause::Timeout
                            | Cause::Malformed
                    )
                ),
            timed: what.latency_us.is_some(),
            slow,
        }
    }
}

#[cfg(test)]
mod tests;
