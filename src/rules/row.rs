//! One row of the tables, held against what was seen.

mod futile;
mod lack;
mod sight;

pub(super) use futile::kept_back;
pub(super) use lack::{Lack, lack};
pub(super) use sight::Sight;

use std::time::Duration;

use super::each::EachTenant;
use super::evidence::{HALF, ONE_TENANT, Seen};
use super::reading::{Reading, Source, micros};
use super::relative::Resolved;
use super::{Action, Finding, Measure, Rule, STAGE, Scope, Verdict, blind, one_tenant, words};
use crate::measure::counts::{Answers, Ends};
use crate::measure::each::Heard;
use crate::measure::early::Suspicion;
use crate::measure::scorecard::{Interest, Scorecard};
use crate::model::{Backend, TenantKey, Tick};
use futile::is_over;
use lack::{Short, gate_lacks, is_too_young};

/// Watched for less than this, a row is not called blind.
const BLIND_AFTER: Duration = Duration::from_secs(60);

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
        let rule = &self.held;
        let asked = resolved.map_or(rule.threshold, |it| it.threshold);
        let source = sight.source(rule, Backend::New);
        let mut new = Reading::of(&source, rule.measure, asked);
        let legacy = Reading::of(&sight.source(rule, Backend::Legacy), rule.measure, asked);
        let young = is_too_young(rule, sight);
        if young.is_some() {
            new.value = None;
        }
        let weighed = self.weigh(&new, &legacy, resolved, sight);
        let standing = self.stand(weighed.is_met(), sight.seen.now);
        let rule = &self.held;
        let short = gate_lacks(rule, sight);
        let stood = standing.is_some_and(|stood| stood >= rule.hold_for);
        let verdict = weighed.verdict(stood, short.as_ref());
        let blind = self.is_blind(&source, sight);
        let mut because = match young {
            Some(needed) => format!("watched for less than {}", words::span(needed)),
            None => words::measured(rule.measure, &new, rule.over, sight.cards.new.mature()),
        };
        if new.value.is_some() {
            add(&mut because, &words::allowed_at(&self.rule, asked));
        }
        weighed.say(rule, &new, &mut because);
        if let (true, Some(stood), Verdict::Inconclusive) = (weighed.is_met(), standing, verdict) {
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
            early: weighed.level.map(|level| level.max(0.0)),
            verdict,
            blind,
            withheld: weighed.withheld,
            tenants: Vec::new(),
            because,
        }
    }

    /// Is the condition met, by the window or by the sequential test, and may the row act
    /// on it?
    fn weigh(
        &self,
        new: &Reading,
        legacy: &Reading,
        resolved: Option<&Resolved>,
        sight: &Sight<'_>,
    ) -> Weighed {
        let (card, seen) = (&sight.cards.new, sight.seen);
        let rule = &self.held;
        let missing = lack(rule, new).map(|lack| lack.words(rule, new));
        let level = self.early.as_ref().map(Suspicion::level);
        let beyond = missing.is_none() && new.value.is_some_and(|it| rule.is_beyond(it));
        let sure = resolved.is_none_or(|it| it.is_beyond_measurably(rule, new));
        let alone = rule.early.is_some_and(|early| early.alone);
        let mut by_window = beyond && sure && !alone;
        let mut by_early = level.is_some_and(|level| level >= 1.0);
        let mut withheld = None;
        // An alert acts on nothing, so nothing is gained by keeping it from people.
        if (by_window || by_early) && !rule.action.only_says() {
            by_window = by_window && one_tenant::window_stands(rule, card, seen);
            by_early = by_early && self.early_stands(card, seen);
            withheld = if by_window || by_early {
                kept_back(rule, new, legacy, sight.legacy_out)
            } else {
                Some(ONE_TENANT)
            };
        }
        Weighed {
            missing,
            level,
            beyond,
            sure,
            alone,
            by_window,
            by_early,
            withheld,
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

/// What is for a row's tripping, and what against it.
struct Weighed {
    /// What the window has too little of, in words.
    missing: Option<String>,
    /// Evidence of the sequential test.
    level: Option<f64>,
    /// The window's value is on the bad side.
    beyond: bool,
    /// It is there by more than chance, where that is asked.
    sure: bool,
    /// Only the sequential test may trip it.
    alone: bool,
    by_window: bool,
    by_early: bool,
    /// Why it does not act although it would trip.
    withheld: Option<&'static str>,
}

impl Weighed {
    fn is_met(&self) -> bool {
        (self.by_window || self.by_early) && self.withheld.is_none()
    }

    /// `stood`: the condition has stood for as long as it must.
    fn verdict(&self, stood: bool, short: Option<&Short>) -> Verdict {
        let chance = self.beyond && (self.alone || !self.sure);
        let unsure = self.withheld.is_some() || self.missing.is_some() || chance;
        match self.is_met() {
            true if stood && !short.is_some_and(|short| short.hides_all) => Verdict::Trip,
            false if !unsure && short.is_none() => Verdict::Pass,
            _ => Verdict::Inconclusive,
        }
    }

    fn say(&self, rule: &Rule, new: &Reading, because: &mut String) {
        if self.by_early && !self.by_window {
            let says_too_much = new.value.is_some_and(|value| rule.is_beyond(value));
            let sure = match says_too_much {
                true => "the sequential test is sure without a full window",
                false => words::lately(rule.measure),
            };
            add(because, sure);
        } else if let Some(missing) = &self.missing {
            add(because, missing);
        } else if self.beyond && !self.sure {
            add(because, words::CHANCE);
        }
        if let Some(withheld) = self.withheld {
            add(because, withheld);
        }
    }
}

pub(super) fn add(because: &mut String, more: &str) {
    because.push_str("; ");
    because.push_str(more);
}
