//! While at least four tenants are active on new, no tenant is more than half of
//! the evidence.
//!
//! Read so: the tenant with the most bad is given the weight at which it is as
//! heavy as all others together, both in bad and in all; distinct calls and
//! distinct failed calls of the largest tenant are cut in the same way. What is
//! left must still trip the row. It is asked only of a row that would trip, so the
//! cut can withhold a reversal and never cause one. Quantiles and calls' durations are
//! not kept by tenant, nor is anything of longer than an hour, and speech that came with
//! events belongs to none: there the row stands as it is.

use super::evidence::Seen;
use super::{Measure, Rule};
use crate::measure::counts::{TenantAnswers, TenantEnds};
use crate::measure::early::Suspicion;
use crate::measure::scorecard::Scorecard;
use crate::measure::tenants::{ACTIVE_MIN, Found, weight_allowed, without_the_excess};
use crate::model::{TenantKey, Tick};

/// One tenant's part of a row's evidence.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    bad: f64,
    all: f64,
    calls: f64,
    failed: f64,
}

/// Would the row trip on its window if no tenant were more than half of it?
pub(super) fn window_stands(rule: &Rule, card: &Scorecard, seen: Seen) -> bool {
    if rule.is_long() {
        return true;
    }
    let from = seen.now - rule.over;
    let Some(parts) = parts(rule, card, seen, from, Weigh::Window) else {
        return true;
    };
    let sum = |of: fn(&Part) -> f64| parts.values().map(of).sum::<f64>();
    let largest =
        |of: fn(&Part) -> f64| named(&parts).map(|(_, part)| of(part)).fold(0.0, f64::max);
    let (bad, all) = (sum(|part| part.bad), sum(|part| part.all));
    if all <= 0.0 {
        // Nothing is known by tenant, so nothing speaks against the window.
        return true;
    }
    let worst = worst(&parts);
    let rest = (bad - worst.bad, all - worst.all);
    let weight = weight_allowed((worst.bad, worst.all), rest);
    let all = rest.1 + weight * worst.all;
    if all <= 0.0 {
        return false;
    }
    let value = value(rule.measure, (rest.0 + weight * worst.bad) / all);
    let calls = without_the_excess(sum(|part| part.calls), largest(|part| part.calls));
    let failed = without_the_excess(sum(|part| part.failed), largest(|part| part.failed));
    rule.is_beyond(value)
        && calls >= f64::from(rule.calls_min)
        && (!rule.counts_failures() || failed >= f64::from(rule.failed_min))
}

/// The level of the sequential test if no tenant were more than half of what it
/// heard since suspicion began.
pub(super) fn early_level(
    rule: &Rule,
    card: &Scorecard,
    suspicion: &Suspicion,
    slow: Option<usize>,
    seen: Seen,
) -> f64 {
    let stretch = suspicion.stretch();
    let Some(parts) = parts(rule, card, seen, stretch.since, Weigh::Early(slow)) else {
        return suspicion.level();
    };
    let worst = worst(&parts);
    let (bad, good) = (stretch.bad as f64, stretch.good as f64);
    // Slots begin up to ten seconds before the stretch: never more than all of it.
    let worst_bad = worst.bad.min(bad);
    let worst_good = (worst.all - worst.bad).clamp(0.0, good);
    let rest = bad - worst_bad;
    let weight = if worst_bad > rest {
        rest / worst_bad
    } else {
        1.0
    };
    suspicion.level_if(
        rest + weight * worst_bad,
        good - (1.0 - weight) * worst_good,
    )
}

/// Every tenant's part.
type Parts = Found<Part>;

#[derive(Clone, Copy, Debug)]
enum Weigh {
    /// As the row's own value is made.
    Window,
    /// As the sequential test counts; for a mean, against which threshold.
    Early(Option<usize>),
}

/// The row's evidence by tenant; None while fewer than four are active or where
/// the measure has no tenants.
fn parts(rule: &Rule, card: &Scorecard, seen: Seen, from: Tick, weigh: Weigh) -> Option<Parts> {
    let answers = |from| {
        card.tenants()
            .map(|tenants| tenants.between(from, seen.now))
    };
    let parts: Parts = match rule.measure {
        Measure::AbandonmentRate | Measure::FailedCallRate => card
            .tenant_ends()?
            .between(from - card.mature(), seen.now - card.mature())
            .into_iter()
            .map(|(tenant, ends)| (tenant, Part::of_ends(rule.measure, &ends)))
            .collect(),
        Measure::ErrorRate | Measure::ResponseTimeMean | Measure::SpeechRecognitionRate => {
            let stale = card.answers(rule.over).stale_counts();
            answers(from)?
                .into_iter()
                .map(|(tenant, counts)| {
                    (
                        tenant,
                        Part::of_answers(rule.measure, &counts, stale, weigh),
                    )
                })
                .collect()
        }
        _ => return None,
    };
    // A suspicion may be younger than the row's span: who is active is asked of the span.
    let active = || {
        answers(seen.now - rule.over).map_or(0, |all| {
            all.into_iter()
                .filter(|(tenant, counts)| *tenant != TenantKey::NONE && counts.calls > 0)
                .count()
        })
    };
    (named(&parts).count() >= ACTIVE_MIN || active() >= ACTIVE_MIN).then_some(parts)
}

impl Part {
    fn of_ends(measure: Measure, ends: &TenantEnds) -> Self {
        let (bad, good) = match measure {
            Measure::FailedCallRate => (ends.bad, ends.sound),
            _ => (ends.abandoned, ends.served),
        };
        let (bad, all) = (f64::from(bad), f64::from(bad + good));
        Self {
            bad,
            all,
            calls: all,
            failed: bad,
        }
    }

    fn of_answers(measure: Measure, counts: &TenantAnswers, stale: bool, weigh: Weigh) -> Self {
        let calls = f64::from(counts.calls.max(0));
        let stale = if stale { counts.stale } else { 0 };
        let (bad, all, failed) = match (measure, weigh) {
            (Measure::ErrorRate, _) => (
                f64::from(counts.failed + stale),
                f64::from(counts.failed + stale + counts.good),
                f64::from(counts.failed_calls.max(0)),
            ),
            (Measure::SpeechRecognitionRate, _) => (
                f64::from(counts.speech_empty),
                f64::from(counts.speech_empty + counts.speech_good),
                f64::from(counts.speech_empty).min(calls),
            ),
            (_, Weigh::Early(Some(threshold))) => (
                f64::from(counts.slow.0.get(threshold).copied().unwrap_or(0)),
                f64::from(counts.timed),
                0.0,
            ),
            (_, Weigh::Window | Weigh::Early(None)) => {
                (counts.latency_us as f64, f64::from(counts.timed), 0.0)
            }
        };
        Self {
            bad,
            all,
            calls,
            failed,
        }
    }
}

fn named(parts: &Parts) -> impl Iterator<Item = (&TenantKey, &Part)> {
    parts
        .iter()
        .filter(|(tenant, part)| **tenant != TenantKey::NONE && part.all > 0.0)
}

fn worst(parts: &Parts) -> Part {
    named(parts)
        .map(|(_, part)| *part)
        .max_by(|a, b| a.bad.total_cmp(&b.bad))
        .unwrap_or_default()
}

/// From bad ones in all to the measure's own unit.
fn value(measure: Measure, bad: f64) -> f64 {
    match measure {
        Measure::SpeechRecognitionRate => 1.0 - bad,
        Measure::ResponseTimeMean => bad / 1000.0,
        _ => bad,
    }
}
