//! One row of the tables, held against what was seen.

use std::time::Duration;

use super::each::EachTenant;
use super::evidence::{BOTH_ARE_BAD, HALF, ONE_TENANT, Seen};
use super::long::Longs;
use super::reading::{Reading, Source, micros};
use super::relative::{self, Resolved};
use super::{
    Action, Finding, Measure, Rule, STAGE, Scope, Side, Verdict, blind, compare, one_tenant, words,
};
use crate::measure::counts::{Answers, Ends};
use crate::measure::each::Heard;
use crate::measure::early::Suspicion;
use crate::measure::scorecard::{Interest, Scorecard};
use crate::measure::totals::Sums;
use crate::model::{Backend, PerBackend, TenantKey, Tick, Wall};
use crate::split::tenants::Names;

/// Watched for less than this, a row is not called blind.
const BLIND_AFTER: Duration = Duration::from_secs(60);

/// Part of a long span that must have been watched before a gate says that nothing
/// happened in it: a restart may take some of it.
const COVERED: f64 = 0.9;

/// Everything that a row may look at.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) cards: &'a PerBackend<Scorecard>,
    pub(super) longs: &'a Longs,
    pub(super) baseline: Option<&'a Sums>,
    pub(super) seen: Seen,
    pub(super) wall: Wall,
    /// From when on gates count.
    pub(super) gates: (Tick, Wall),
    pub(super) legacy_out: Option<&'static str>,
    pub(super) names: &'a dyn Names,
}

impl<'a> Sight<'a> {
    /// Where a row reads one backend.
    pub(super) fn source(&self, rule: &Rule, backend: Backend) -> Source<'a> {
        let (card, now) = (&self.cards[backend], self.seen.now);
        let gate = rule.action == Action::Gate;
        match self.longs.get(rule.over, gate, backend) {
            Some(long) if rule.is_long() => Source::Sums {
                card: Some(card),
                sums: &long.sums,
                watched: long.watched,
                now,
            },
            _ => Source::Window {
                card,
                over: rule.over,
                now,
            },
        }
    }

    /// What a relative row's threshold comes to.
    fn resolve(&self, rule: &Rule) -> Option<Result<Resolved, String>> {
        rule.against?;
        let (new, legacy) = (
            self.source(rule, Backend::New),
            self.source(rule, Backend::Legacy),
        );
        let baseline = self.baseline.map(|sums| Source::Sums {
            card: None,
            sums,
            watched: Duration::ZERO,
            now: self.seen.now,
        });
        relative::resolve(rule, [&new, &legacy], baseline.as_ref())
    }
}

/// A row and what it remembers from one tick to the next.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) rule: Rule,
    /// The same with the threshold that a relative one comes to.
    held: Rule,
    early: Option<Suspicion>,
    /// Which of the scorecard's slow thresholds is the row's.
    slow: Option<usize>,
    /// Since when the condition stands.
    standing: Option<Tick>,
    /// Rows with a tenant's scope.
    each: Option<EachTenant>,
}

impl Row {
    /// `place`: its place among all rows.
    pub(super) fn new(rule: Rule, place: usize, interest: &Interest, now: Tick) -> Self {
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
        let (early, each) = match rule.scope {
            Scope::All => (early, None),
            Scope::Tenant => (None, Some(EachTenant::new(early, place))),
        };
        Self {
            held: rule.clone(),
            rule,
            early,
            slow,
            standing: None,
            each,
        }
    }

    /// A new epoch: nothing is suspected any more.
    pub(super) fn clear(&mut self, now: Tick) {
        self.standing = None;
        if let Some(early) = &mut self.early {
            early.clear(now);
        }
        if let Some(each) = &mut self.each {
            each.clear();
        }
    }

    /// What it knows of this tenant is over.
    pub(super) fn forget(&mut self, tenant: TenantKey) {
        if let Some(each) = &mut self.each {
            each.forget(tenant);
        }
    }

    /// Adds the tick's batch to the sequential test, or each tenant's to its own.
    pub(super) fn hear(
        &mut self,
        (answers, ends): &(Answers, Ends),
        heard: &[Heard],
        card: &Scorecard,
        now: Tick,
    ) {
        if let Some(each) = &mut self.each {
            each.hear(&self.rule, self.slow, heard, card, now);
        }
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
    pub(super) fn legacy_over(&self, sight: &Sight<'_>) -> Option<String> {
        let rule = &self.rule;
        if rule.action != Action::Reverse || rule.against.is_some() {
            return None;
        }
        let source = sight.source(rule, Backend::Legacy);
        let legacy = Reading::of(&source, rule.measure, rule.threshold);
        let value = legacy.value.filter(|_| is_over(rule, &legacy))?;
        Some(words::beyond(rule, value))
    }

    pub(super) fn judge(&mut self, sight: &Sight<'_>) -> Finding {
        let resolved = match sight.resolve(&self.rule) {
            Some(Err(why)) => return self.nothing_to_compare(sight, why),
            Some(Ok(resolved)) => Some(resolved),
            None => None,
        };
        self.held.threshold = resolved.map_or(self.rule.threshold, |it| it.limit);
        match &mut self.each {
            Some(each) => each.judge(&self.rule, &self.held, resolved.as_ref(), sight),
            None => self.judge_all(resolved.as_ref(), sight),
        }
    }

    fn judge_all(&mut self, resolved: Option<&Resolved>, sight: &Sight<'_>) -> Finding {
        let (cards, seen) = (sight.cards, sight.seen);
        let rule = &self.held;
        let asked = resolved.map_or(rule.threshold, |it| it.threshold);
        let new_source = sight.source(rule, Backend::New);
        let mut new = Reading::of(&new_source, rule.measure, asked);
        let legacy = Reading::of(&sight.source(rule, Backend::Legacy), rule.measure, asked);
        let young = is_too_young(rule, sight);
        if young.is_some() {
            new.value = None;
        }
        let missing = lack(rule, &new).map(|lack| lack.words(rule, &new));
        let level = self.early.as_ref().map(Suspicion::level);
        let beyond = missing.is_none() && new.value.is_some_and(|it| rule.is_beyond(it));
        let sure = resolved.is_none_or(|it| it.is_beyond_measurably(rule, &new));
        let alone = rule.early.is_some_and(|early| early.alone);
        let mut by_window = beyond && sure && !alone;
        let mut by_early = level.is_some_and(|level| level >= 1.0);
        let mut withheld = None;
        // An alert acts on nothing, so nothing is gained by keeping it from people.
        if (by_window || by_early) && !rule.action.only_says() {
            by_window = by_window && one_tenant::window_stands(rule, &cards.new, seen);
            by_early = by_early && self.early_stands(&cards.new, seen);
            withheld = if by_window || by_early {
                kept_back(rule, &new, &legacy, sight.legacy_out)
            } else {
                Some(ONE_TENANT)
            };
        }
        let met = (by_window || by_early) && withheld.is_none();
        let standing = self.stand(met, seen.now);
        let rule = &self.held;
        let short = gate_lacks(rule, sight);
        let stood = standing.is_some_and(|stood| stood >= rule.hold_for);
        let unsure = withheld.is_some() || missing.is_some() || (beyond && (alone || !sure));
        let verdict = match met {
            true if stood && !short.as_ref().is_some_and(|short| short.hides_all) => Verdict::Trip,
            false if !unsure && short.is_none() => Verdict::Pass,
            _ => Verdict::Inconclusive,
        };
        let blind = self.is_blind(&new_source, sight);
        let mut because = match young {
            Some(needed) => format!("watched for less than {}", words::span(needed)),
            None => words::measured(rule.measure, &new, rule.over, cards.new.mature()),
        };
        if new.value.is_some() {
            add(&mut because, &words::allowed_at(&self.rule, asked));
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
        } else if beyond && !sure {
            add(&mut because, words::CHANCE);
        }
        if let Some(withheld) = withheld {
            add(&mut because, withheld);
        }
        if let (true, Some(stood), Verdict::Inconclusive) = (met, standing, verdict) {
            add(&mut because, &words::stood(stood, rule.hold_for));
        }
        if let Some(short) = &short {
            add(&mut because, &short.words);
        }
        if blind {
            add(&mut because, "blind at the present traffic");
        }
        Finding {
            rule: rule.name.clone(),
            value: new.value,
            threshold: asked,
            legacy: legacy.value,
            samples: new.samples,
            failed: new.failed,
            early: level.map(|level| level.max(0.0)),
            verdict,
            blind,
            withheld,
            tenants: Vec::new(),
            because,
        }
    }

    /// A relative row with nothing to be relative to.
    fn nothing_to_compare(&mut self, sight: &Sight<'_>, why: String) -> Finding {
        let rule = &self.rule;
        self.standing = None;
        let new = match rule.scope {
            Scope::All => Reading::of(&sight.source(rule, Backend::New), rule.measure, 0.0),
            Scope::Tenant => Reading::default(),
        };
        let mut because = match rule.scope {
            Scope::All => {
                let mature = sight.cards.new.mature();
                words::measured(rule.measure, &new, rule.over, mature)
            }
            Scope::Tenant => "no tenant can be judged".to_owned(),
        };
        add(&mut because, &why);
        Finding {
            rule: rule.name.clone(),
            value: new.value,
            threshold: rule.threshold,
            legacy: None,
            samples: new.samples,
            failed: new.failed,
            early: None,
            verdict: Verdict::Inconclusive,
            blind: false,
            withheld: None,
            tenants: Vec::new(),
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
    fn is_blind(&self, source: &Source<'_>, sight: &Sight<'_>) -> bool {
        let needed = blind::calls_needed(&self.rule);
        let watched = match source {
            Source::Window { .. } => sight.seen.now.since(sight.seen.since),
            Source::Sums { watched, .. } => *watched,
        };
        let card = &sight.cards.new;
        let any = card.answers(Duration::from_secs(3600)).calls > 0;
        let has_time = self.rule.over == STAGE;
        if needed == 0 || self.early.is_some() || watched < BLIND_AFTER || !any || has_time {
            return false;
        }
        let over = self.rule.over.as_secs_f64();
        let calls = source.answers().calls.max(0) as f64;
        calls * over / watched.as_secs_f64().min(over) < f64::from(needed)
    }
}

/// Why a row that would trip does not: going back would not help.
pub(super) fn kept_back(
    rule: &Rule,
    new: &Reading,
    legacy: &Reading,
    legacy_out: Option<&'static str>,
) -> Option<&'static str> {
    if is_as_bad(rule, new, legacy) {
        Some(BOTH_ARE_BAD)
    } else if is_futile(rule, new, legacy) {
        legacy_out
    } else {
        None
    }
}

/// What a gate still lacks before it may pass.
#[derive(Clone, Debug)]
struct Short {
    words: String,
    /// What its window holds may be from before it began to count.
    hides_all: bool,
}

/// How much of its time a gate has not watched yet; None for other rows.
fn gate_lacks(rule: &Rule, sight: &Sight<'_>) -> Option<Short> {
    if rule.action != Action::Gate {
        return None;
    }
    let (from, from_wall) = sight.gates;
    let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    if sight.wall < from_wall || sight.seen.now < from {
        return Some(Short {
            words: "the stage is still warming up".to_owned(),
            hides_all: true,
        });
    }
    let (watched, needed) = if rule.over == STAGE {
        return None;
    } else if rule.is_long() {
        let long = sight.longs.get(rule.over, true, Backend::New)?;
        let counts_for = millis(sight.wall.0.saturating_sub(from_wall.0));
        let covered = long.watched >= rule.over.mul_f64(COVERED);
        if counts_for >= rule.over && covered {
            return None;
        }
        (long.watched.min(counts_for), rule.over)
    } else {
        let counts_for = sight.seen.now.since(from.max(sight.seen.since));
        if counts_for >= rule.over {
            return None;
        }
        (counts_for, rule.over)
    };
    let missing = needed.saturating_sub(watched);
    Some(Short {
        words: format!(
            "watched for {} of the {} it needs, {} are missing",
            words::about(watched),
            words::span(needed),
            words::about(missing)
        ),
        hides_all: !rule.is_long(),
    })
}

/// A count that must not be too *low* cannot be judged before its span is over; how long
/// must be watched, where that is not yet so. What a call brings in comes after it began:
/// where all calls are young, transactions are too few by that alone.
fn is_too_young(rule: &Rule, sight: &Sight<'_>) -> Option<Duration> {
    let late = match rule.measure {
        Measure::CallsPerHour
        | Measure::ConcurrentCalls
        | Measure::CriticalErrors
        | Measure::Complaints
        | Measure::Incidents
        | Measure::BreakerOpens => Duration::ZERO,
        Measure::Transactions => sight.cards.new.mature(),
        _ => return None,
    };
    if rule.side != Side::Below {
        return None;
    }
    let (watched, needed) = match sight.source(rule, Backend::New) {
        // A tenth of what a stage brings in may be on its way; gates wait for it anyway.
        Source::Sums { watched, .. } if rule.over == STAGE => match rule.action {
            Action::Gate => return None,
            _ => (watched, late * 10),
        },
        Source::Sums { watched, .. } => (watched, rule.over.mul_f64(COVERED)),
        Source::Window { .. } => (sight.seen.now.since(sight.seen.since), rule.over + late),
    };
    (watched < needed).then_some(needed)
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    Value,
    Calls,
    Failed,
}

/// How much evidence is missing; None if there is enough.
pub(super) fn lack(rule: &Rule, reading: &Reading) -> Option<Lack> {
    let Some(value) = reading.value else {
        return Some(Lack::Value);
    };
    if reading.calls < u64::from(rule.calls_min) {
        return Some(Lack::Calls);
    }
    // Where nothing is beyond the threshold, few failures are good news and no lack.
    let few = reading.failed < u64::from(rule.failed_min);
    (rule.counts_failures() && few && rule.is_beyond(value)).then_some(Lack::Failed)
}

impl Lack {
    pub(super) fn words(self, rule: &Rule, reading: &Reading) -> String {
        match self {
            Self::Value => "no verdict".to_owned(),
            Self::Calls => format!(
                "too few to judge: {} of the {} needed",
                words::many(reading.calls, rule.measure.samples()),
                rule.calls_min
            ),
            Self::Failed => format!(
                "too few to act on: {} of the {} needed",
                words::many(reading.failed, "failed call"),
                rule.failed_min
            ),
        }
    }
}

/// Is legacy itself over the threshold, with enough evidence, and new not
/// measurably worse? Reported events and gauges are not compared: harm done to
/// data by new is not undone by legacy's troubles. A relative row has compared already.
fn is_as_bad(rule: &Rule, new: &Reading, legacy: &Reading) -> bool {
    let comparable = (new.share.is_some() || new.times.is_some())
        && rule.against.is_none()
        && rule.measure != Measure::Transactions;
    comparable && is_over(rule, legacy) && !compare::is_worse(new, legacy)
}

/// Is a backend over a row's threshold, with enough evidence?
fn is_over(rule: &Rule, reading: &Reading) -> bool {
    rule.side == rule.measure.bad_side()
        && lack(rule, reading).is_none()
        && reading.value.is_some_and(|value| rule.is_beyond(value))
}

/// Would it be in vain to go back to a legacy that does not answer? Not if new is
/// measurably worse: then what is held against legacy is not what callers hear. Nor
/// for what was reported from outside: harm done to data ends with new's calls.
fn is_futile(rule: &Rule, new: &Reading, legacy: &Reading) -> bool {
    let reported = matches!(
        rule.measure,
        Measure::CriticalErrors | Measure::Complaints | Measure::Incidents | Measure::Transactions
    );
    rule.action.is_toward_legacy() && !reported && !compare::is_worse(new, legacy)
}

pub(super) fn add(because: &mut String, more: &str) {
    because.push_str("; ");
    because.push_str(more);
}
