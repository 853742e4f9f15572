//! How soon each rule would notice a fault, and how many callers that would cost: what
//! an operator wants to know before a stage begins.
//!
//! It is played, not calculated: the row's own sequential test ([`crate::measure::early`])
//! and a window that is kept like the real one hear calls from a fixed seed, until the
//! first of the two is sure. What is assumed:
//!
//! * Calls reach new as they do by chance at a mean rate, each has one voice, they belong
//!   to many tenants, and legacy is well.
//! * For an hour before the fault everything was good.
//! * Measures of ended calls hear a call ten minutes after it began. Where legacy's calls
//!   last longer than that, add what they last more.
//! * For response times a fault makes that share of answers take [`SLOW`] times the row's
//!   threshold; all others take [`USUAL`] of it.
//!
//! Not forecast are rows whose evidence no share of failing calls makes: events and gauges
//! that are reported, health checks, calls' durations, traffic; nor relative rows, because
//! what they are relative to is not known before.

mod dice;
mod row;
mod run;
#[cfg(test)]
mod tests;
mod traffic;

use std::time::Duration;

use self::row::Row;
use self::run::Found;
use crate::rules::{Action, Measure, Rule, Scope, words};

pub use traffic::traffic;

/// The faults that are forecast: shares of calls on new that fail, the worst first.
pub const FAULTS: [f64; 4] = [1.0, 0.3, 0.1, 0.05];

/// How slow a slow answer is assumed to be, in thresholds.
pub const SLOW: f64 = 3.0;

/// How slow any other answer is assumed to be, in thresholds.
pub const USUAL: f64 = 0.1;

/// A stage must not be blind for longer than this, however long it soaks.
const BLIND_MOST: Duration = Duration::from_secs(86_400);

/// A day.
const DAY_MINUTES: f64 = 1440.0;

/// What one rule makes of one fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The rule's name.
    pub rule: String,
    /// The share of calls on new that fail, 0..=1.
    pub fault: f64,
    /// Calls on new until the rule trips, in the mean; None: later than `beyond`, or, where
    /// that is None as well, never, false alarms aside. Of a row with a tenant's scope:
    /// calls of the one tenant that the fault is in.
    pub calls: Option<f64>,
    /// Minutes until then. None also for a row with a tenant's scope: nobody knows before
    /// how often that tenant calls.
    pub minutes: Option<f64>,
    /// Callers among them who met the fault.
    pub callers: Option<f64>,
    /// How far was looked where it can trip, but in most cases had not by then.
    pub beyond: Option<Beyond>,
}

/// How far a forecast looks: a day, or 20,000 calls where they take less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beyond {
    /// Calls on new by then; of a row with a tenant's scope, the tenant's.
    pub calls: f64,
    /// Minutes; None for a row with a tenant's scope.
    pub minutes: Option<f64>,
}

/// What each row would make of each of [`FAULTS`] where so many calls a minute reach
/// new: rows that act or alert on rates, response times and answers at all, in their
/// order. The same every time. A row with a tenant's scope is played as if the one tenant
/// made all the calls, which matters only where it has no sequential test.
pub fn forecast(rules: &[Rule], calls_per_minute: f64) -> Vec<Forecast> {
    (0..rules.len())
        .flat_map(|place| forecast_of(rules, place, calls_per_minute))
        .collect()
}

/// What [`forecast`] says of the row at this place: for whoever has no time for all of
/// them at once.
pub fn forecast_of(rules: &[Rule], place: usize, calls_per_minute: f64) -> Vec<Forecast> {
    let early = row::early(rules).get(place).copied();
    let Some((rule, early)) = rules.get(place).zip(early) else {
        return Vec::new();
    };
    FAULTS
        .into_iter()
        // None: not of this kind, whatever the fault.
        .map_while(|fault| Row::of(rule, early, fault))
        .map(|row| one(rule, &row, calls_per_minute))
        .collect()
}

/// Why a stage would be blind that so many calls a minute reach: nothing that goes back
/// by itself would notice, within the soak and within a day, that no call is answered.
/// None where it sees. A soak of zero promises nothing about time, and is no limit.
pub fn blind(rules: &[Rule], calls_per_minute: f64, soak: Duration) -> Option<String> {
    let within = if soak.is_zero() {
        BLIND_MOST
    } else {
        soak.min(BLIND_MOST)
    };
    let minutes = within.as_secs_f64() / 60.0;
    let watching: Vec<Rule> = rules.iter().filter_map(against_outages).collect();
    let early = row::early(&watching);
    let mut soonest: Option<Forecast> = None;
    for (rule, early) in watching.iter().zip(early) {
        let Some(row) = Row::of(rule, early, 1.0) else {
            continue;
        };
        let told = one(rule, &row, calls_per_minute);
        let Some(needs) = told.minutes else { continue };
        if needs <= minutes {
            return None;
        }
        if soonest
            .as_ref()
            .and_then(|it| it.minutes)
            .is_none_or(|best| needs < best)
        {
            soonest = Some(told);
        }
    }
    let rate = rate(calls_per_minute);
    let within = words::span(within);
    Some(match soonest {
        Some(told) => format!(
            "at {rate} on new a total outage would be noticed only after {}, by {}, and not \
             within {within}",
            told.minutes.map_or_else(String::new, spell),
            told.rule
        ),
        None => format!(
            "at {rate} on new no row that reverses or steps back on error_rate, \
             failed_call_rate or backend_down would notice a total outage within {within}"
        ),
    })
}

impl Forecast {
    /// One line of a table: `a total outage is noticed in 6 calls, 3 min, by
    /// errors-10-5m (6 callers)`.
    pub fn said(&self) -> String {
        let fault = fault(self.fault);
        let rule = &self.rule;
        let (Some(calls), Some(callers)) = (self.calls, self.callers) else {
            return match self.beyond {
                None => format!("{fault} is never noticed by {rule}"),
                Some(beyond) => {
                    format!("{fault} is not noticed within {} by {rule}", beyond.said())
                }
            };
        };
        let (calls, callers) = (whole(calls), whole(callers));
        let calls = words::many(calls, "call");
        let callers = words::many(callers, "caller");
        match self.minutes.map(spell) {
            Some(minutes) => {
                format!("{fault} is noticed in {calls}, {minutes}, by {rule} ({callers})")
            }
            None => {
                format!("{fault} of one tenant is noticed in its {calls} by {rule} ({callers})")
            }
        }
    }
}

impl Beyond {
    /// `a day`, `20 min`; of one tenant `4320 of its calls`.
    pub fn said(&self) -> String {
        match self.minutes {
            Some(minutes) if minutes >= DAY_MINUTES => "a day".to_owned(),
            Some(minutes) => spell(minutes),
            None => format!("{} of its calls", whole(self.calls)),
        }
    }

    /// The same for a table: `> 1 day`, `> 20 min`, `> 4320 calls of it`.
    pub fn short(&self) -> String {
        match self.minutes {
            Some(minutes) if minutes >= DAY_MINUTES => "> 1 day".to_owned(),
            Some(minutes) => format!("> {}", spell(minutes)),
            None => format!("> {} calls of it", whole(self.calls)),
        }
    }
}

/// What one row makes of one fault.
fn one(rule: &Rule, row: &Row, calls_per_minute: f64) -> Forecast {
    let (mean, beyond) = match run::found(row, calls_per_minute / 60.0) {
        Found::Trips(mean) => (Some(mean), None),
        Found::Beyond { seconds, calls } => (None, Some((seconds, calls))),
        Found::Never => (None, None),
    };
    // How often one tenant calls nobody knows before.
    let minutes = |seconds| (rule.scope == Scope::All).then_some(seconds / 60.0);
    Forecast {
        rule: rule.name.clone(),
        fault: row.fault,
        calls: mean.map(|mean| mean.calls),
        minutes: mean.and_then(|mean| minutes(mean.seconds)),
        callers: mean.map(|mean| mean.callers),
        beyond: beyond.map(|(seconds, calls)| Beyond {
            calls,
            minutes: minutes(seconds),
        }),
    }
}

/// The row as one that a total outage can be held against, if it goes back by itself.
fn against_outages(rule: &Rule) -> Option<Rule> {
    let goes_back = matches!(rule.action, Action::Reverse | Action::StepBack);
    let hears = matches!(
        rule.measure,
        Measure::ErrorRate | Measure::FailedCallRate | Measure::BackendDown
    );
    if !goes_back || !hears || rule.scope == Scope::Tenant {
        return None;
    }
    let mut rule = rule.clone();
    if rule.against.take().is_some() {
        // Whatever it is relative to, a total outage is worse than one call in two.
        rule.threshold = 0.5;
        rule.early = None;
    }
    Some(rule)
}

fn fault(share: f64) -> String {
    if share >= 1.0 {
        "a total outage".to_owned()
    } else {
        format!("a {} fault", words::amount(Measure::ErrorRate, share))
    }
}

fn rate(calls_per_minute: f64) -> String {
    match calls_per_minute {
        some if some > 0.0 => {
            let (amount, per) = if some < 1.0 {
                (some * 60.0, "an hour")
            } else {
                (some, "a minute")
            };
            format!(
                "{} calls {per}",
                words::amount(Measure::Transactions, amount)
            )
        }
        _ => "no calls at all".to_owned(),
    }
}

/// A span of so many minutes as people say it: `20 s`, `3 min`, `2.5 h`.
fn spell(minutes: f64) -> String {
    if minutes < 1.0 {
        format!("{:.0} s", (minutes * 60.0).max(1.0))
    } else if minutes < 100.0 {
        format!("{minutes:.0} min")
    } else {
        format!("{:.1} h", minutes / 60.0)
    }
}

fn whole(count: f64) -> u64 {
    // A mean of at most a few million calls, never below zero.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = count.round().max(0.0) as u64;
    whole
}
