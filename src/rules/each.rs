//! Rows with a tenant's scope: every tenant judged alone, so that one whose flow is
//! broken is found however small it is among all.
//!
//! Once a second everybody is looked at; in between only who was heard in the tick. Each
//! has a sequential test of its own, which begins with its first bad call and is
//! forgotten when nothing is left of it or nobody has called for the row's span.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::reading::Reading;
use super::relative::Resolved;
use super::row::{Lack, Sight, add, kept_back, lack};
use super::{Finding, Measure, Rule, Side, Verdict, words};
use crate::measure::counts::{TenantAnswers, TenantEnds};
use crate::measure::each::{EACH_MAX, Each, Heard};
use crate::measure::early::Suspicion;
use crate::measure::scorecard::Scorecard;
use crate::measure::tenants::AsItIs;
use crate::model::{Backend, TenantKey, Tick, mask_numbers};

/// Tenants that one finding names; what acts on them comes back for more.
const NAMED_MAX: usize = 32;

/// Ticks of a second: rows look at everybody in one after the other.
const TURNS: u64 = 10;

type Of<T> = HashMap<TenantKey, T, BuildHasherDefault<AsItIs>>;

/// What a row remembers of each tenant.
#[derive(Clone, Debug)]
pub(super) struct EachTenant {
    /// A test that has heard nothing; None: the row has none.
    fresh: Option<Suspicion>,
    /// Whoever has had a bad call lately; at most [`EACH_MAX`].
    tests: Of<Suspicion>,
    /// Since when the condition stands for whom, and what it looked like last. At most
    /// [`EACH_MAX`]: only who is counted at all is looked at.
    met: Of<Met>,
    /// When everybody was looked at last, and what was found.
    looked: Option<(Tick, Looked)>,
    /// Part of a second by which this row looks after others, in microseconds, so that
    /// not all of them look at everybody in the same tick.
    turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Met {
    since: Tick,
    seen: Seen,
}

/// One tenant as the row sees it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    tenant: TenantKey,
    reading: Reading,
    lack: Option<Lack>,
    level: Option<f64>,
    by_window: bool,
    by_early: bool,
    /// It is beyond the threshold, and that may be chance.
    chance: bool,
    withheld: Option<&'static str>,
}

/// Everybody.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    /// Whose value is the worst.
    worst: Option<Seen>,
    /// Whose would trip if nothing spoke against it.
    withheld: Option<Seen>,
    /// How many have enough evidence.
    judged: u64,
    /// The most calls that anybody has made.
    most: u64,
}

impl EachTenant {
    /// `place`: the row's among all.
    pub(super) fn new(fresh: Option<Suspicion>, place: usize) -> Self {
        Self {
            turn: place as u64 % TURNS * (1_000_000 / TURNS),
            fresh,
            tests: Of::default(),
            met: Of::default(),
            looked: None,
        }
    }

    pub(super) fn clear(&mut self) {
        self.tests.clear();
        self.met.clear();
        self.looked = None;
    }

    pub(super) fn forget(&mut self, tenant: TenantKey) {
        self.tests.remove(&tenant);
        self.met.remove(&tenant);
        self.looked = None;
    }

    /// Adds each tenant's batch to its own test.
    pub(super) fn hear(
        &mut self,
        rule: &Rule,
        slow: Option<usize>,
        heard: &[Heard],
        card: &Scorecard,
        now: Tick,
    ) {
        let Some(fresh) = &self.fresh else { return };
        let told = !card.ends(rule.over).mostly_unknown();
        let stale = card.answers(rule.over).stale_counts();
        for one in heard {
            let (answers, ends) = (&one.answers, &one.ends);
            let (bad, good) = match (rule.measure, slow) {
                (Measure::AbandonmentRate, _) if told => (ends.abandoned, ends.served),
                (Measure::AbandonmentRate, _) => continue,
                (Measure::FailedCallRate, _) => (ends.bad, ends.sound),
                (Measure::SpeechRecognitionRate, _) => (answers.speech_empty, answers.speech_good),
                (Measure::ResponseTimeMean, Some(slow)) => {
                    let slower = answers.slow.0[slow];
                    (slower, answers.timed - slower)
                }
                _ => {
                    let stale = if stale { answers.stale } else { 0 };
                    (answers.failed + stale, answers.good)
                }
            };
            let whole = |count: i32| u64::try_from(count).unwrap_or(0);
            let (bad, good) = (whole(bad), whole(good));
            // Good calls alone leave a test where it began.
            let known = self.tests.contains_key(&one.tenant);
            if !known && (bad == 0 || self.tests.len() >= EACH_MAX) {
                continue;
            }
            let test = self.tests.entry(one.tenant).or_insert_with(|| {
                let mut test = fresh.clone();
                test.clear(now);
                test
            });
            if test.level() >= 1.0 && now.since(test.heard()) > rule.over {
                test.clear(now);
            }
            test.add(bad, good, now);
        }
    }

    /// `rule` as it is written, `held` with the threshold it comes to.
    pub(super) fn judge(
        &mut self,
        rule: &Rule,
        held: &Rule,
        resolved: Option<&Resolved>,
        sight: &Sight<'_>,
    ) -> Finding {
        let asked = resolved.map_or(rule.threshold, |it| it.threshold);
        let source = sight.source(held, Backend::Legacy);
        let look = Look {
            held,
            resolved,
            legacy: Reading::of(&source, held.measure, asked),
            stale: sight.cards.new.answers(held.over).stale_counts(),
            told: !sight.cards.new.ends(held.over).mostly_unknown(),
            legacy_out: sight.legacy_out,
        };
        if let Some(each) = sight.cards.new.each() {
            self.look(&look, each, sight.seen.now);
        }
        self.finding(rule, asked, &look, sight)
    }

    fn look(&mut self, look: &Look<'_>, each: &Each, now: Tick) {
        let over = look.held.over;
        let second = |at: Tick| (at.0 + self.turn) / 1_000_000;
        let fresh = self.looked.as_ref();
        if fresh.is_some_and(|(at, _)| second(*at) == second(now)) {
            for tenant in each.heard_last() {
                if let Some((answers, ends)) = each.of(*tenant, over) {
                    let seen = look.at(*tenant, &answers, &ends, self.level(*tenant));
                    self.note(seen, now);
                }
            }
            return;
        }
        self.tests
            .retain(|_, test| test.is_suspicious() && now.since(test.heard()) <= over);
        let mut looked = Looked::default();
        for (tenant, answers, ends) in each.all(over) {
            let seen = look.at(tenant, &answers, &ends, self.level(tenant));
            self.note(seen, now);
            looked.judged += u64::from(seen.lack.is_none());
            looked.most = looked.most.max(seen.reading.calls);
            keep_worst(&mut looked.worst, seen, look.held.side);
            if seen.withheld.is_some() || seen.chance {
                keep_worst(&mut looked.withheld, seen, look.held.side);
            }
        }
        self.met
            .retain(|tenant, _| each.of(*tenant, over).is_some());
        self.looked = Some((now, looked));
    }

    fn level(&self, tenant: TenantKey) -> Option<f64> {
        self.fresh.as_ref()?;
        Some(self.tests.get(&tenant).map_or(0.0, Suspicion::level))
    }

    fn note(&mut self, seen: Seen, now: Tick) {
        if seen.is_met() {
            let met = self.met.entry(seen.tenant);
            met.or_insert(Met { since: now, seen }).seen = seen;
        } else {
            self.met.remove(&seen.tenant);
        }
    }

    fn finding(&self, rule: &Rule, asked: f64, look: &Look<'_>, sight: &Sight<'_>) -> Finding {
        let looked = self.looked.map(|(_, looked)| looked).unwrap_or_default();
        let now = sight.seen.now;
        let stands = |met: &&Met| now.since(met.since) >= rule.hold_for;
        let mut tripping: Vec<&Met> = self.met.values().filter(stands).collect();
        tripping.sort_by(|a, b| worse(&b.seen, &a.seen, rule.side));
        let standing = self
            .met
            .values()
            .max_by(|a, b| worse(&a.seen, &b.seen, rule.side));
        let shown = tripping
            .first()
            .or(standing.as_ref())
            .map(|met| met.seen)
            .or(looked.withheld)
            .or(looked.worst);
        let verdict = if !tripping.is_empty() {
            Verdict::Trip
        } else if standing.is_some() || looked.withheld.is_some() || looked.judged == 0 {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        };
        let needed = super::blind::calls_needed(rule);
        let blind = self.fresh.is_none() && looked.most > 0 && looked.most < u64::from(needed);
        let mut because = match &shown {
            Some(seen) => told(rule, asked, seen, sight),
            None => "no tenant has called on new".to_owned(),
        };
        match (tripping.len(), standing) {
            (0, Some(met)) => add(
                &mut because,
                &words::stood(now.since(met.since), rule.hold_for),
            ),
            (0 | 1, _) => {}
            (many, _) => {
                let others = words::many(many as u64 - 1, "other tenant");
                add(&mut because, &format!("so {} {others}", are(many - 1)));
            }
        }
        if blind {
            add(&mut because, "blind at the present traffic");
        }
        let names = tripping
            .iter()
            .filter_map(|met| sight.names.name(met.seen.tenant));
        Finding {
            rule: rule.name.clone(),
            value: shown.and_then(|seen| seen.reading.value),
            threshold: asked,
            legacy: look.legacy.value,
            samples: shown.map_or(0, |seen| seen.reading.samples),
            failed: shown.map_or(0, |seen| seen.reading.failed),
            early: shown.and_then(|seen| seen.level).map(|it| it.max(0.0)),
            verdict,
            blind,
            withheld: shown
                .filter(|_| verdict == Verdict::Inconclusive)
                .and_then(|seen| seen.withheld),
            tenants: names.take(NAMED_MAX).collect(),
            because,
        }
    }
}

/// What every tenant is held against.
struct Look<'a> {
    held: &'a Rule,
    resolved: Option<&'a Resolved>,
    legacy: Reading,
    stale: bool,
    told: bool,
    legacy_out: Option<&'static str>,
}

impl Look<'_> {
    fn at(
        &self,
        tenant: TenantKey,
        answers: &TenantAnswers,
        ends: &TenantEnds,
        level: Option<f64>,
    ) -> Seen {
        let rule = self.held;
        let reading = Reading::of_tenant(rule.measure, answers, ends, self.stale, self.told);
        let lack = lack(rule, &reading);
        let beyond = lack.is_none() && reading.value.is_some_and(|value| rule.is_beyond(value));
        let sure = self
            .resolved
            .is_none_or(|it| beyond && it.is_beyond_measurably(rule, &reading));
        let alone = rule.early.is_some_and(|early| early.alone);
        let by_window = beyond && sure && !alone;
        let by_early = level.is_some_and(|level| level >= 1.0);
        let withheld = match (by_window || by_early) && !rule.action.only_says() {
            true => kept_back(rule, &reading, &self.legacy, self.legacy_out),
            false => None,
        };
        Seen {
            tenant,
            reading,
            lack,
            level,
            by_window,
            by_early,
            chance: beyond && (alone || !sure),
            withheld,
        }
    }
}

impl Seen {
    const fn is_met(&self) -> bool {
        (self.by_window || self.by_early) && self.withheld.is_none()
    }

    /// The higher, the more there is to say about it.
    fn weight(&self) -> (bool, bool) {
        (self.by_window || self.by_early, self.lack.is_none())
    }
}

/// Is the first the worse of the two?
fn worse(a: &Seen, b: &Seen, side: Side) -> std::cmp::Ordering {
    let badness = |seen: &Seen| match (seen.reading.value, side) {
        (None, _) => f64::NEG_INFINITY,
        (Some(value), Side::Above) => value,
        (Some(value), Side::Below) => -value,
    };
    a.weight()
        .cmp(&b.weight())
        .then(badness(a).total_cmp(&badness(b)))
        .then(a.reading.failed.cmp(&b.reading.failed))
        .then(a.reading.samples.cmp(&b.reading.samples))
        .then(b.tenant.cmp(&a.tenant))
}

fn keep_worst(place: &mut Option<Seen>, seen: Seen, side: Side) {
    if place.is_none_or(|kept| worse(&seen, &kept, side).is_gt()) {
        *place = Some(seen);
    }
}

/// What is said of one tenant.
fn told(rule: &Rule, asked: f64, seen: &Seen, sight: &Sight<'_>) -> String {
    let mature = sight.cards.new.mature();
    let whose = match sight.names.name(seen.tenant) {
        Some(name) => format!("tenant {}", mask_numbers(&name)),
        None => "a tenant whose name is not known".to_owned(),
    };
    let measured = words::measured(rule.measure, &seen.reading, rule.over, mature);
    let mut because = format!("{whose}: {measured}");
    if seen.reading.value.is_some() {
        add(&mut because, &words::allowed_at(rule, asked));
    }
    if seen.by_early && !seen.by_window {
        add(
            &mut because,
            "the sequential test is sure without a full window",
        );
    } else if let Some(lack) = seen.lack {
        add(&mut because, &lack.words(rule, &seen.reading));
    } else if seen.chance {
        add(&mut because, words::CHANCE);
    }
    if let Some(withheld) = seen.withheld {
        add(&mut because, withheld);
    }
    because
}

const fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
