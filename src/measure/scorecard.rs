//! What is known about one backend over the last hour.
//!
//! Takes what requests and calls' ends report, and says over any span how many
//! calls there were, how many failed, how long they waited and how they ended.
//! Nothing here decides: the rows of the tables do.

use std::time::Duration;

use super::counts::{Answers, Ends, Flaws, SLOW_MAX, TenantAnswers, TenantEnds, share};
use super::histogram::{Distribution, Edges};
use super::tenants::Tenants;
use super::window::Window;
use super::{Answered, CallEnd, Cause, Ended, Fault, Kind, Numbers, Outcome, Placed, ReportKind};
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

/// Everything known about one backend. At most about 8 MB: 1.5 MB of counts,
/// 160 kB for each span that quantiles are read over, and on new up to 5 MB by
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
    slow_us: Vec<u32>,
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
            slow_us: Vec::new(),
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

    /// A webhook was answered or failed.
    pub fn answered(&mut self, what: &Answered) {
        let fault = match what.outcome {
            Outcome::Served => None,
            Outcome::Failed(cause) => Some(cause.fault()),
        };
        if what.kind != Kind::Voice || !what.counts {
            return;
        }
        self.webhooks += 1;
        self.errors += u64::from(fault == Some(Fault::Backend));
        // What the provider or we ourselves spoilt says nothing about a backend.
        let nobodys = matches!(fault, Some(Fault::Provider | Fault::Internal));
        if nobodys || !self.counts(what.at, what.generation) {
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
        match what.end {
            CallEnd::Served | CallEnd::Transferred => {
                self.ends.change(what.began, |slot| slot.served += 1)
            }
            CallEnd::Abandoned => self.ends.change(what.began, |slot| slot.abandoned += 1),
            CallEnd::Failed => self.ends.change(what.began, |slot| slot.failed += 1),
            CallEnd::Unknown | CallEnd::Expired => {
                self.ends.change(what.began, |slot| slot.unknown += 1);
            }
            CallEnd::Short | CallEnd::ProviderFailed => {}
        }
        if matches!(
            what.end,
            CallEnd::Served | CallEnd::Transferred | CallEnd::Abandoned
        ) {
            let lasted = what.duration_s.unwrap_or_else(|| {
                u32::try_from(what.at.since(what.began).as_secs()).unwrap_or(u32::MAX)
            });
            self.durations.record(what.at, self.edges.bucket(lasted));
            if let Some(by_tenant) = &mut self.by_tenant {
                let served = what.end != CallEnd::Abandoned;
                by_tenant.ends.change(what.began, what.tenant, |counts| {
                    counts.served += i32::from(served);
                    counts.abandoned += i32::from(!served);
                });
            }
        }
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

    /// The numbers operators see.
    pub fn numbers(&self) -> Numbers {
        let recent = self.answers(FIVE_MINUTES);
        let ends = self.ends(QUARTER);
        Numbers {
            webhooks: self.webhooks,
            errors: self.errors,
            error_rate: share(recent.bad(), recent.voices()),
            response_time_mean_ms: recent.mean_ms(),
            response_time_p95_ms: self.quantile_ms(FIVE_MINUTES, 950),
            abandonment_rate: share(ends.abandoned.max(0), ends.base())
                .filter(|_| !ends.mostly_unknown()),
            calls: self.calls,
        }
    }

    fn counts(&self, at: Tick, generation: u64) -> bool {
        // Before any reversal an unknown generation (0) counts as well.
        at >= self.since && (self.generation == 0 || generation > self.generation)
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
        let part = Part::of(what, &self.slow_us);
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
            if let Some(speech) = what.speech {
                slot.speech_good += i64::from(speech);
                slot.speech_empty += i64::from(!speech);
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
        let part = Part::of(what, &self.slow_us);
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

/// What one answer adds.
#[derive(Clone, Copy, Debug)]
struct Part {
    stale: bool,
    answered: bool,
    unanswered: bool,
    timed: bool,
    slow: [bool; SLOW_MAX],
}

impl Part {
    fn of(what: &Answered, slow_us: &[u32]) -> Self {
        let cause = match what.outcome {
            Outcome::Served => None,
            Outcome::Failed(cause) => Some(cause),
        };
        let mut slow = [false; SLOW_MAX];
        for (slower, threshold) in slow.iter_mut().zip(slow_us) {
            *slower = what.latency_us.is_some_and(|latency| latency > *threshold);
        }
        Self {
            stale: cause == Some(Cause::Stale),
            answered: matches!(cause, None | Some(Cause::Status | Cause::Document)),
            // A provider that did not wait proves neither.
            unanswered: matches!(
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
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::measure::Voice;
    use crate::model::TenantKey;

    fn spoke(
        at: Tick,
        failed: bool,
        previous: Option<Tick>,
        failed_before: Option<Tick>,
    ) -> Answered {
        Answered {
            call: None,
            at,
            backend: Backend::New,
            route: 0,
            kind: Kind::Voice,
            outcome: if failed {
                Outcome::Failed(Cause::Status)
            } else {
                Outcome::Served
            },
            latency_us: Some(1000),
            overhead_us: 0,
            flaw: None,
            voice: Some(Voice {
                tenant: TenantKey(1),
                failed,
                previous,
                previous_failed: failed_before,
            }),
            speech: None,
            choice: None,
            data_us: None,
            counts: true,
            generation: 1,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn distinct_calls_agree_with_keeping_every_voice(
            steps in prop::collection::vec(
                (prop_oneof![5 => 0u64..40_000_000, 1 => 0u64..900_000_000], 0u64..12, any::<bool>()),
                1..100,
            ),
            epoch in 0usize..120,
            backwards in any::<bool>(),
        ) {
            let mut card = Scorecard::new(Backend::New, &Interest::default(), Tick(0));
            let mut marks: HashMap<u64, (Option<Tick>, Option<Tick>)> = HashMap::new();
            let (mut now, mut since, mut voices, mut waiting) = (Tick(0), Tick(0), Vec::new(), Vec::new());
            for (step, (gap, call, failed)) in steps.into_iter().enumerate() {
                now = now + Duration::from_micros(gap);
                if step == epoch {
                    since = now;
                    card.begin_epoch(now, 0);
                }
                let mark = marks.entry(call).or_default();
                waiting.push(spoke(now, failed, mark.0, mark.1));
                mark.0 = Some(now);
                if failed {
                    mark.1 = Some(now);
                }
                voices.push((now, call, failed));
                // Workers are drained one after the other, so order within a tick is anyone's.
                if step % 3 == 2 || step + 1 == epoch {
                    if backwards {
                        waiting.reverse();
                    }
                    waiting.drain(..).for_each(|what| card.answered(&what));
                    card.advance(now);
                    for span in [FIVE_MINUTES, HOUR] {
                        let within = |at: Tick| at >= since && at.secs() + span.as_secs() > now.secs();
                        let distinct = |only_failed: bool| {
                            let mut calls: Vec<u64> = voices.iter()
                                .filter(|(at, _, failed)| within(*at) && (*failed || !only_failed))
                                .map(|(_, call, _)| *call).collect();
                            calls.sort_unstable();
                            calls.dedup();
                            calls.len() as i64
                        };
                        let seen = card.answers(span);
                        prop_assert_eq!(seen.calls, distinct(false));
                        prop_assert_eq!(seen.failed_calls, distinct(true));
                        let failed = voices.iter().filter(|(at, _, failed)| within(*at) && *failed).count();
                        prop_assert_eq!(seen.failed, failed as i64);
                    }
                }
            }
        }
    }

    #[test]
    fn the_variance_is_that_of_the_values() {
        let mut card = Scorecard::new(Backend::Legacy, &Interest::default(), Tick(0));
        for latency in [1_000_000, 2_000_000, 3_000_000] {
            let mut what = spoke(Tick(0), false, None, None);
            what.latency_us = Some(latency);
            card.answered(&what);
        }
        let seen = card.answers(FIVE_MINUTES);
        assert_eq!(seen.mean_ms(), Some(2000.0));
        assert!((seen.variance_ms2() - 1e6).abs() < 1e-6);
    }

    #[test]
    fn nobody_waits_for_an_event_so_it_counts_nowhere() {
        let mut card = Scorecard::new(Backend::New, &Interest::default(), Tick(0));
        let mut what = spoke(Tick(0), true, None, None);
        what.kind = Kind::Event;
        card.answered(&what);
        assert_eq!(card.answers(HOUR), Answers::default());
        assert_eq!(card.numbers().webhooks, 0);
    }

    #[test]
    fn a_backend_with_a_thousand_calls_a_second_is_counted_to_the_last_one() {
        let interest = Interest {
            spans: vec![FIVE_MINUTES],
            quantile_spans: vec![FIVE_MINUTES],
            ..Interest::default()
        };
        let mut card = Scorecard::new(Backend::New, &interest, Tick(0));
        for place in 0..400_000u64 {
            let mut what = spoke(Tick(place * 1000), place % 10 == 0, None, None);
            what.voice = what.voice.map(|voice| Voice {
                tenant: TenantKey(1 + place % 5000),
                ..voice
            });
            card.answered(&what);
        }
        let seen = card.answers(FIVE_MINUTES);
        assert_eq!((seen.good, seen.failed), (270_000, 30_000));
    }
}
