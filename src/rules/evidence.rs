//! Holds every row of the tables against what was seen, once a tick.
//!
//! Rows judge new; legacy's value stands beside it. A row trips on its window or
//! on its sequential test, whichever is sure first, and never on too little.

use std::time::Duration;

use super::reading::{Reading, micros};
use super::{Action, Finding, Measure, Rule, Side, Verdict, blind, compare, one_tenant, words};
use crate::document::FlawSet;
use crate::measure::counts::{Answers, Ends, SLOW_MAX};
use crate::measure::early::Suspicion;
use crate::measure::scorecard::{Interest, Mature, Scorecard};
use crate::measure::{Numbers, Observation, ReportKind};
use crate::model::{Backend, PerBackend, Tick};

/// Why a row that would trip does not: legacy fails as much.
pub const BOTH_ARE_BAD: &str = "legacy is as bad: going back would not help";
/// Why a row that would reverse does not: nobody would answer on legacy.
pub const LEGACY_IS_DOWN: &str = "legacy is down by its health check: going back would not help";
/// Why a row that would reverse does not: legacy has just failed its callers.
pub const LEGACY_IS_OPEN: &str =
    "legacy fails its callers and its breaker is open: going back would not help";
/// Why a row that would trip does not: it is one tenant's evidence.
pub const ONE_TENANT: &str = "one tenant is most of the evidence";

/// How often the maturity of calls is taken anew from legacy's durations.
const MATURE_EVERY: Duration = Duration::from_secs(60);
/// Watched for less than this, a row is not called blind.
const BLIND_AFTER: Duration = Duration::from_secs(60);
/// The share of answers slower than a mean's threshold that is still in order.
const HALF: f64 = 0.5;

/// Both backends' scorecards and the rows that read them.
#[derive(Clone, Debug)]
pub struct Evidence {
    cards: PerBackend<Scorecard>,
    rows: Vec<Row>,
    mature: Mature,
    mature_due: Tick,
    seen: Seen,
    /// Why going back to legacy would not help, whatever the windows say.
    legacy_out: Option<&'static str>,
    /// What the first reversing row says of legacy that legacy itself is over.
    legacy_over: Option<String>,
}

/// The moment of a judgement and of its epoch's beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) now: Tick,
    pub(super) since: Tick,
}

#[derive(Clone, Debug)]
struct Row {
    rule: Rule,
    early: Option<Suspicion>,
    /// Which of the scorecard's slow thresholds is the row's.
    slow: Option<usize>,
    /// Since when the condition stands.
    standing: Option<Tick>,
}

impl Evidence {
    /// Empty evidence for the rows of both tables.
    pub fn new(rules: Vec<Rule>, mature: Mature, now: Tick) -> Self {
        let interest = interest(&rules);
        let mut evidence = Self {
            cards: PerBackend::from_fn(|backend| Scorecard::new(backend, &interest, now)),
            rows: rows(rules, &interest, now),
            mature,
            mature_due: now,
            seen: Seen { now, since: now },
            legacy_out: None,
            legacy_over: None,
        };
        evidence.ripen(now);
        evidence
    }

    /// Takes one observation. Cheap: ten thousand a second are a hundredth of a core.
    pub fn observe(&mut self, observation: &Observation) {
        if !observation.is_evidence() {
            return;
        }
        match observation {
            Observation::Answered(what) => self.cards[what.backend].answered(what),
            Observation::Placed(what) => self.cards[what.placement.backend].placed(what),
            Observation::Ended(what) => self.cards[what.backend].ended(what),
            Observation::Connected { backend, took_us } => {
                self.cards[*backend].connected(*took_us);
            }
            Observation::Stream { backend, what } => self.cards[*backend].streamed(*what),
            Observation::Health(what) => self.cards[what.backend].checked(what),
            Observation::Checked(_)
            | Observation::Rescued(_)
            | Observation::Unsecured(_)
            | Observation::Refused { .. } => {}
        }
    }

    /// Takes what somebody reported about a backend.
    pub fn report(&mut self, backend: Backend, kind: ReportKind, now: Tick) {
        self.cards[backend].reported(kind, now);
    }

    /// Holds every row against what was seen; once a tick, after the tick's
    /// observations. `active` are the calls begun and not ended. One finding a
    /// row, in the order of the rules.
    pub fn judge(&mut self, now: Tick, active: PerBackend<u64>) -> Vec<Finding> {
        self.seen.now = now;
        for backend in Backend::ALL {
            self.cards[backend].advance(now);
            self.cards[backend].active(active[backend], now);
        }
        self.ripen(now);
        let batch = self.cards.new.take_batch();
        // Legacy's batches are nobody's; taken so that they do not pile up.
        self.cards.legacy.take_batch();
        let (cards, seen, out) = (&self.cards, self.seen, self.legacy_out);
        let over = self.rows.iter().find_map(|row| row.legacy_over(cards));
        self.legacy_over = over;
        self.rows
            .iter_mut()
            .map(|row| {
                row.hear(&batch, &cards.new, now);
                row.judge(cards, seen, out)
            })
            .collect()
    }

    /// Takes that a backend's breaker opened.
    pub fn opened(&mut self, backend: Backend, now: Tick) {
        self.cards[backend].opened(now);
    }

    /// Takes whether a backend's breaker is not closed for want of answers: see
    /// [`Scorecard::set_silent`].
    pub fn silent(&mut self, backend: Backend, silent: bool) {
        self.cards[backend].set_silent(silent);
    }

    /// Takes why legacy could not answer the calls of new just now, if it could not:
    /// [`LEGACY_IS_DOWN`] or [`LEGACY_IS_OPEN`]. While there is a reason, a row
    /// reverses only if new is measurably worse than legacy all the same.
    pub const fn legacy_is_out(&mut self, why: Option<&'static str>) {
        self.legacy_out = why;
    }

    /// What the first reversing row says whose threshold legacy itself is over, with
    /// enough evidence; as of the last judgement.
    pub fn legacy_over(&self) -> Option<&str> {
        self.legacy_over.as_deref()
    }

    /// Begins a new epoch: windows of new, sequential tests and holds are cleared,
    /// and calls placed under `min_generation` (the last reversal's) or before it
    /// never count for new again. 0 while there was no reversal. After one, calls
    /// of unknown generation do not count either.
    pub fn begin_epoch(&mut self, now: Tick, min_generation: u64) {
        self.seen = Seen { now, since: now };
        self.cards.new.begin_epoch(now, min_generation);
        for row in &mut self.rows {
            row.standing = None;
            if let Some(early) = &mut row.early {
                early.clear(now);
            }
        }
    }

    /// Puts other rows in force. A changed table begins a new epoch; the same one
    /// changes nothing. Says whether it was changed.
    pub fn set_rules(&mut self, rules: Vec<Rule>, now: Tick) -> bool {
        if self.rows.iter().map(|row| &row.rule).eq(&rules) {
            return false;
        }
        let interest = interest(&rules);
        for backend in Backend::ALL {
            self.cards[backend].set_interest(&interest, now);
        }
        self.rows = rows(rules, &interest, now);
        self.begin_epoch(now, 0);
        true
    }

    /// Changes how old a call must be before its end counts.
    pub fn set_mature(&mut self, mature: Mature, now: Tick) {
        self.mature = mature;
        self.mature_due = now;
        self.ripen(now);
    }

    /// The rows, in order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rows.iter().map(|row| &row.rule)
    }

    /// Flaws that legacy itself shows in one answer of a hundred or more: only a
    /// warning, for both.
    pub fn habits(&self) -> FlawSet {
        self.cards.legacy.habits()
    }

    /// A backend's numbers for status.
    pub fn numbers(&mut self, backend: Backend, now: Tick) -> Numbers {
        self.cards[backend].advance(now);
        self.cards[backend].numbers()
    }

    /// Where the day that numbers are shown for begins: the same for both backends.
    pub fn day_since(&self) -> Tick {
        self.cards.new.day_since()
    }

    /// The distinct calls a minute that new has had over the last five minutes, or
    /// since the epoch began.
    pub fn calls_per_minute(&self) -> f64 {
        let span = Duration::from_secs(300);
        let watched = self.seen.now.since(self.seen.since).min(span);
        self.cards.new.answers(span).calls.max(0) as f64 / watched.as_secs_f64().max(1.0) * 60.0
    }

    fn ripen(&mut self, now: Tick) {
        if now < self.mature_due {
            return;
        }
        self.mature_due = now + MATURE_EVERY;
        let mature = match self.mature {
            Mature::Auto => self.cards.legacy.usual_duration(),
            Mature::After(duration) => duration,
        };
        for backend in Backend::ALL {
            self.cards[backend].set_mature(mature);
        }
    }
}

/// What the scorecards must keep ready for these rows.
fn interest(rules: &[Rule]) -> Interest {
    let mut interest = Interest::default();
    for rule in rules {
        interest.spans.push(rule.over);
        let threshold = micros(rule.threshold);
        match rule.measure {
            Measure::ResponseTimeP50 | Measure::ResponseTimeP95 | Measure::ResponseTimeP99 => {
                interest.quantile_spans.push(rule.over);
                interest.thresholds_us.push(threshold);
            }
            Measure::ResponseTimeMean
                if blind::has_early(rule)
                    && interest.slow_us.len() < SLOW_MAX
                    && !interest.slow_us.contains(&threshold) =>
            {
                interest.slow_us.push(threshold);
            }
            _ => {}
        }
    }
    interest
}

fn rows(rules: Vec<Rule>, interest: &Interest, now: Tick) -> Vec<Row> {
    rules
        .into_iter()
        .map(|rule| Row::new(rule, interest, now))
        .collect()
}

impl Row {
    fn new(rule: Rule, interest: &Interest, now: Tick) -> Self {
        let slow = interest
            .slow_us
            .iter()
            .position(|slow| *slow == micros(rule.threshold))
            .filter(|_| rule.measure == Measure::ResponseTimeMean);
        let allowed = match rule.measure {
            Measure::ResponseTimeMean => HALF,
            Measure::SpeechRecognitionRate => 1.0 - rule.threshold,
            _ => rule.threshold,
        };
        let testable =
            rule.can_be_early() && (rule.measure != Measure::ResponseTimeMean || slow.is_some());
        let early = rule
            .early
            .filter(|_| testable)
            .and_then(|early| Suspicion::new(allowed, early.false_alarm, now));
        Self {
            rule,
            early,
            slow,
            standing: None,
        }
    }

    /// Adds the tick's batch to the sequential test.
    fn hear(&mut self, (answers, ends): &(Answers, Ends), card: &Scorecard, now: Tick) {
        let Some(early) = &mut self.early else { return };
        let (bad, good) = match (self.rule.measure, self.slow) {
            (Measure::AbandonmentRate, _) => {
                // Where most ends are unknown, those that are known say nothing.
                if card.ends(self.rule.over).mostly_unknown() {
                    return;
                }
                (ends.abandoned, ends.served)
            }
            (Measure::FailedCallRate, _) => (ends.bad, ends.sound),
            (Measure::SpeechRecognitionRate, _) => (answers.speech_empty, answers.speech_good),
            (Measure::ResponseTimeMean, Some(slow)) => {
                let slower = answers.slow.0[slow];
                (slower, answers.timed - slower)
            }
            _ => {
                let stale = card.answers(self.rule.over).stale_counts();
                (
                    answers.failed + if stale { answers.stale } else { 0 },
                    answers.good,
                )
            }
        };
        let whole = |count: i64| u64::try_from(count).unwrap_or(0);
        // What tripped is over once nothing has been heard for the row's span.
        if early.level() >= 1.0 && now.since(early.heard()) > self.rule.over {
            early.clear(now);
        }
        early.add(whole(bad), whole(good), now);
    }

    /// Legacy's own value where it is over the threshold of a row that reverses.
    fn legacy_over(&self, cards: &PerBackend<Scorecard>) -> Option<String> {
        let rule = &self.rule;
        if rule.action != Action::Reverse {
            return None;
        }
        let legacy = Reading::of(&cards.legacy, rule.measure, rule.over, rule.threshold);
        let value = legacy.value.filter(|_| is_over(rule, &legacy))?;
        Some(words::beyond(rule, value))
    }

    fn judge(
        &mut self,
        cards: &PerBackend<Scorecard>,
        seen: Seen,
        legacy_out: Option<&'static str>,
    ) -> Finding {
        let rule = &self.rule;
        let read = |backend| Reading::of(&cards[backend], rule.measure, rule.over, rule.threshold);
        let (mut new, legacy): (Reading, Reading) = (read(Backend::New), read(Backend::Legacy));
        if is_too_young(rule, seen) {
            new.value = None;
        }
        let missing = missing(rule, &new);
        let level = self.early.as_ref().map(Suspicion::level);
        let mut by_window = missing.is_none() && new.value.is_some_and(|it| rule.is_beyond(it));
        let mut by_early = level.is_some_and(|level| level >= 1.0);
        let mut withheld = None;
        // An alert acts on nothing, so nothing is gained by keeping it from people.
        if (by_window || by_early) && rule.action != Action::Alert {
            by_window = by_window && one_tenant::window_stands(rule, &cards.new, seen);
            by_early = by_early && self.early_stands(&cards.new, seen);
            if !(by_window || by_early) {
                withheld = Some(ONE_TENANT);
            } else if is_as_bad(rule, &new, &legacy) {
                withheld = Some(BOTH_ARE_BAD);
            } else if is_futile(rule, &new, &legacy) {
                withheld = legacy_out;
            }
        }
        let met = (by_window || by_early) && withheld.is_none();
        let standing = self.stand(met, seen.now);
        let rule = &self.rule;
        let verdict = match (met, standing) {
            (true, Some(stood)) if stood >= rule.hold_for => Verdict::Trip,
            _ if met || withheld.is_some() || missing.is_some() => Verdict::Inconclusive,
            _ => Verdict::Pass,
        };
        let blind = self.is_blind(&cards.new, seen);
        let mut because = words::measured(rule.measure, &new, rule.over, cards.new.mature());
        if new.value.is_some() {
            add(&mut because, &words::allowed(rule));
        }
        if by_early && !by_window {
            let says_too_much = new.value.is_some_and(|value| rule.is_beyond(value));
            let sure = match says_too_much {
                true => "the sequential test is sure without a full window",
                false => words::lately(rule.measure),
            };
            add(&mut because, sure);
        } else if let Some(missing) = &missing {
            add(&mut because, missing);
        }
        if let Some(withheld) = withheld {
            add(&mut because, withheld);
        }
        if let (true, Some(stood), Verdict::Inconclusive) = (met, standing, verdict) {
            let (stood, asked) = (words::span(stood), words::span(rule.hold_for));
            add(
                &mut because,
                &format!("it has stood for {stood} of {asked}"),
            );
        }
        if blind {
            add(&mut because, "blind at the present traffic");
        }
        Finding {
            rule: rule.name.clone(),
            value: new.value,
            threshold: rule.threshold,
            legacy: legacy.value,
            samples: new.samples,
            failed: new.failed,
            early: level.map(|level| level.max(0.0)),
            verdict,
            blind,
            withheld,
            because,
        }
    }

    fn early_stands(&self, card: &Scorecard, seen: Seen) -> bool {
        self.early.as_ref().is_some_and(|early| {
            one_tenant::early_level(&self.rule, card, early, self.slow, seen) >= 1.0
        })
    }

    /// How long the condition has stood without a break.
    fn stand(&mut self, met: bool, now: Tick) -> Option<Duration> {
        if !met {
            self.standing = None;
            return None;
        }
        Some(now.since(*self.standing.get_or_insert(now)))
    }

    /// Can the row not reach its minimum at the traffic of its last span? Where new
    /// has no traffic at all there is nothing to be blind to.
    fn is_blind(&self, card: &Scorecard, seen: Seen) -> bool {
        let needed = blind::calls_needed(&self.rule);
        let watched = seen.now.since(seen.since);
        let any = card.answers(Duration::from_secs(3600)).calls > 0;
        if needed == 0 || self.early.is_some() || watched < BLIND_AFTER || !any {
            return false;
        }
        let over = self.rule.over.as_secs_f64();
        let calls = card.answers(self.rule.over).calls.max(0) as f64;
        calls * over / watched.as_secs_f64().min(over) < f64::from(needed)
    }
}

/// A count that must not be too *low* cannot be judged before its span is over.
fn is_too_young(rule: &Rule, seen: Seen) -> bool {
    let grows = matches!(
        rule.measure,
        Measure::CallsPerHour
            | Measure::ConcurrentCalls
            | Measure::CriticalErrors
            | Measure::Complaints
            | Measure::Incidents
            | Measure::BreakerOpens
    );
    grows && rule.side == Side::Below && seen.now.since(seen.since) < rule.over
}

/// How much evidence is missing, in words; None if there is enough.
fn missing(rule: &Rule, reading: &Reading) -> Option<String> {
    let value = reading.value;
    if value.is_none() {
        return Some("no verdict".to_owned());
    }
    if reading.calls < u64::from(rule.calls_min) {
        return Some(format!(
            "too few to judge: {} of the {} needed",
            words::many(reading.calls, rule.measure.samples()),
            rule.calls_min
        ));
    }
    let beyond = value.is_some_and(|value| rule.is_beyond(value));
    // Where nothing is beyond the threshold, few failures are good news and no lack.
    if rule.counts_failures() && beyond && reading.failed < u64::from(rule.failed_min) {
        return Some(format!(
            "too few to act on: {} of the {} needed",
            words::many(reading.failed, "failed call"),
            rule.failed_min
        ));
    }
    None
}

/// Is legacy itself over the threshold, with enough evidence, and new not
/// measurably worse? Reported events and gauges are not compared: harm done to
/// data by new is not undone by legacy's troubles.
fn is_as_bad(rule: &Rule, new: &Reading, legacy: &Reading) -> bool {
    let comparable = new.share.is_some() || new.times.is_some();
    comparable && is_over(rule, legacy) && !compare::is_worse(new, legacy)
}

/// Is a backend over a row's threshold, with enough evidence?
fn is_over(rule: &Rule, reading: &Reading) -> bool {
    rule.side == rule.measure.bad_side()
        && missing(rule, reading).is_none()
        && reading.value.is_some_and(|value| rule.is_beyond(value))
}

/// Would it be in vain to go back to a legacy that does not answer? Not if new is
/// measurably worse: then what is held against legacy is not what callers hear. Nor
/// for what was reported from outside: harm done to data ends with new's calls.
fn is_futile(rule: &Rule, new: &Reading, legacy: &Reading) -> bool {
    let reported = matches!(
        rule.measure,
        Measure::CriticalErrors | Measure::Complaints | Measure::Incidents
    );
    rule.action == Action::Reverse && !reported && !compare::is_worse(new, legacy)
}

fn add(because: &mut String, more: &str) {
    because.push_str("; ");
    because.push_str(more);
}
