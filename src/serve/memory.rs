//! What became of the last webhooks, for `switchback explain --call`.
//!
//! Lives on the engine's thread and is fed with what the tick drained, so that it costs a
//! request nothing. Nothing is put together before somebody asks: a webhook is found again
//! in what was told of it, which is that it was placed, how it was answered, and that it
//! was rescued.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::document::Flaw;
use crate::engine::Status;
use crate::measure::{Kind, Observation, Outcome, RescueResult, Why};
use crate::model::{Backend, CallKey, Percentage, Tick, Wall};
use crate::rules::{Action, Measure};
use crate::split::Placement;

/// What is kept of webhooks at most: some 200,000 of them, 18 MB. The oldest is forgotten
/// first.
const TOLD: usize = 450_000;
/// Older than this is forgotten.
const SPAN: Duration = Duration::from_secs(3600);
/// How often what the rows say is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Looks that are kept: those of an hour. With [`ROWS`] rows they take 6 MB.
const LOOKS: usize = 3600;
/// Rows that are looked at; a table that reverses by more shows its first.
const ROWS: usize = 32;
/// Webhooks of one call that are shown; of more, the last.
pub(super) const SHOWN: usize = 500;
/// How far back the beginning of what was answered is looked for.
const BACK: usize = 64;

/// What is remembered.
#[derive(Debug)]
pub(super) struct Memory {
    told: VecDeque<Told>,
    looks: VecDeque<Arc<Known>>,
    /// Every route's path, by its number.
    routes: Vec<String>,
    /// What the calendar said at a moment: one pair for all, so that a webhook's time is
    /// told alike whenever it is asked for.
    calendar: Option<(Tick, Wall)>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Tick,
    call: CallKey,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Placed(Placement, bool),
    Answered(Answer),
    Rescued(u16, Backend, Rescue),
}

const _: () = assert!(size_of::<Told>() <= 40, "see TOLD");

/// How a backend answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) backend: Backend,
    pub(super) route: u16,
    pub(super) kind: Kind,
    pub(super) outcome: Outcome,
    pub(super) flaw: Option<Flaw>,
    pub(super) latency_us: Option<u32>,
    pub(super) counts: bool,
    pub(super) generation: u64,
}

/// Why another was to answer, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rescue {
    pub(super) why: Why,
    pub(super) result: RescueResult,
}

/// What the engine knew at a moment: shared by all that happened in that second.
#[derive(Debug, PartialEq)]
pub(super) struct Known {
    pub(super) at: Tick,
    /// Rows that take calls from new.
    pub(super) rows: Vec<Row>,
    pub(super) percentage: Percentage,
    pub(super) generation: u64,
    /// First 12 hex digits of the configuration's hash.
    pub(super) config: Arc<str>,
}

/// What a row said then.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) rule: Arc<str>,
    pub(super) measure: Measure,
    pub(super) value: Option<f64>,
    pub(super) threshold: f64,
}

/// One webhook as one backend was asked it. What was not heard, or is forgotten, is None.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Webhook {
    pub(super) at: Tick,
    pub(super) route: Option<u16>,
    pub(super) placement: Option<Placement>,
    /// The call began with it.
    pub(super) begins: bool,
    pub(super) answer: Option<Answer>,
    pub(super) rescue: Option<Rescue>,
    pub(super) known: Option<Arc<Known>>,
}

impl Memory {
    /// Nothing yet.
    pub(super) const fn new(routes: Vec<String>) -> Self {
        Self {
            told: VecDeque::new(),
            looks: VecDeque::new(),
            routes,
            calendar: None,
        }
    }

    /// What the routes are called, after a reload.
    pub(super) fn name_routes(&mut self, routes: Vec<String>) {
        self.routes = routes;
    }

    /// What a route is called.
    pub(super) fn route(&self, number: u16) -> &str {
        self.routes
            .get(usize::from(number))
            .map_or("", String::as_str)
    }

    /// Takes what the calendar says now, if it was stepped by a second or more since.
    pub(super) fn date(&mut self, now: Tick, wall: Wall) {
        let believed = self.wall(now, wall);
        if self.calendar.is_none() || believed.0.abs_diff(wall.0) >= 1000 {
            self.calendar = Some((now, wall));
        }
    }

    /// A moment by the calendar; `or` where nothing was heard yet.
    pub(super) fn wall(&self, at: Tick, or: Wall) -> Wall {
        let Some((tick, wall)) = self.calendar else {
            return or;
        };
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let (after, before) = (millis(at.since(tick)), millis(tick.since(at)));
        Wall(wall.0.saturating_add(after).saturating_sub(before))
    }

    /// Takes a tick's observations in. `status` is what was known before it. Gives back the
    /// last look at it.
    pub(super) fn hear(
        &mut self,
        observations: &[Observation],
        status: &Status,
        now: Tick,
    ) -> Arc<Known> {
        for told in observations.iter().filter_map(told) {
            if self.told.len() >= TOLD {
                self.told.pop_front();
            }
            self.told.push_back(told);
        }
        let is_old = |at: Tick| now.since(at) > SPAN;
        while self.told.front().is_some_and(|told| is_old(told.at)) {
            self.told.pop_front();
        }
        while self.looks.front().is_some_and(|look| is_old(look.at)) {
            self.looks.pop_front();
        }
        match self.looks.back() {
            Some(last) if now.since(last.at) < LOOK && last.is_of(status) => Arc::clone(last),
            last => {
                let look = Arc::new(Known::new(status, last.map(Arc::as_ref), now));
                if self.looks.len() >= LOOKS {
                    self.looks.pop_front();
                }
                self.looks.push_back(Arc::clone(&look));
                look
            }
        }
    }

    /// The webhooks of a call that goes by these keys, in the order in which they came; and
    /// how many more there were before them.
    pub(super) fn webhooks(&self, keys: &[CallKey]) -> (Vec<Webhook>, usize) {
        let of_it = |told: &&Told| keys.contains(&told.call);
        let mut told: Vec<Told> = self.told.iter().filter(of_it).copied().collect();
        // They come worker by worker.
        told.sort_by_key(|told| told.at);
        let mut webhooks = Vec::new();
        told.iter().for_each(|told| add(&mut webhooks, told));
        let before = webhooks.len().saturating_sub(SHOWN);
        webhooks.drain(..before);
        for webhook in &mut webhooks {
            webhook.known = self.known(webhook.at);
        }
        (webhooks, before)
    }

    /// What was known at a moment; of the first second, what was known at its end.
    fn known(&self, at: Tick) -> Option<Arc<Known>> {
        let later = self.looks.partition_point(|look| look.at <= at);
        self.looks.get(later.saturating_sub(1)).cloned()
    }
}

/// What is kept of an observation: of a call whose name is known.
fn told(observation: &Observation) -> Option<Told> {
    let (at, call, what) = match observation {
        Observation::Placed(it) => (it.at, it.call, What::Placed(it.placement, it.begins)),
        Observation::Answered(it) => {
            let answer = Answer {
                backend: it.backend,
                route: it.route,
                kind: it.kind,
                outcome: it.outcome,
                flaw: it.flaw,
                latency_us: it.latency_us,
                counts: it.counts,
                generation: it.generation,
            };
            (it.at, it.call, What::Answered(answer))
        }
        Observation::Rescued(it) => {
            let rescue = Rescue {
                why: it.why,
                result: it.result,
            };
            (it.at, it.call, What::Rescued(it.route, it.from, rescue))
        }
        _ => return None,
    };
    Some(Told {
        at,
        call: call?,
        what,
    })
}

/// Puts what was told to the webhook it is about.
fn add(webhooks: &mut Vec<Webhook>, told: &Told) {
    let fresh = Webhook {
        at: told.at,
        route: None,
        placement: None,
        begins: false,
        answer: None,
        rescue: None,
        known: None,
    };
    match told.what {
        What::Placed(placement, begins) => webhooks.push(Webhook {
            placement: Some(placement),
            begins,
            ..fresh
        }),
        What::Answered(answer) => {
            let latency = Duration::from_micros(answer.latency_us.unwrap_or(0).into());
            let sent = told.at - latency;
            let waits = |it: &&mut Webhook| it.answer.is_none() && it.is_of(answer.backend);
            let asked = webhooks.iter_mut().rev().take(BACK).filter(waits);
            // Several may be on their way at once; latency tells which it is.
            match asked.min_by_key(|it| it.at.0.abs_diff(sent.0)) {
                Some(asked) => {
                    asked.route = Some(answer.route);
                    asked.answer = Some(answer);
                }
                None => webhooks.push(Webhook {
                    at: sent,
                    route: Some(answer.route),
                    answer: Some(answer),
                    ..fresh
                }),
            }
        }
        What::Rescued(route, from, rescue) => {
            let lost = |it: &&mut Webhook| it.rescue.is_none() && it.is_of(from);
            match webhooks.iter_mut().rev().take(BACK).find(lost) {
                // What was moved before anybody was asked is no failure of the one before.
                Some(lost) if rescue.result != RescueResult::Moved || !lost.is_well() => {
                    lost.route = Some(route);
                    lost.rescue = Some(rescue);
                }
                _ => webhooks.push(Webhook {
                    route: Some(route),
                    rescue: Some(rescue),
                    ..fresh
                }),
            }
        }
    }
}

impl Webhook {
    /// Was this backend asked?
    fn is_of(&self, backend: Backend) -> bool {
        let placed = self.placement.map(|placement| placement.backend);
        placed.or_else(|| self.answer.map(|answer| answer.backend)) == Some(backend)
    }

    /// Did its backend answer as it should?
    fn is_well(&self) -> bool {
        self.answer
            .is_some_and(|answer| answer.outcome == Outcome::Served)
    }
}

/// Does a row of this kind take calls from new?
const fn takes_from_new(action: Action) -> bool {
    matches!(
        action,
        Action::Reverse | Action::StepBack | Action::DisableTenant
    )
}

impl Known {
    /// Is it of these very tables? Not if they were judged for the first time since, or
    /// are others.
    fn is_of(&self, status: &Status) -> bool {
        let judged = (status.rules.iter()).any(|rule| takes_from_new(rule.action));
        *self.config == *status.config_hash && (!self.rows.is_empty() || !judged)
    }

    /// `last` lends its names, which are seldom others.
    fn new(status: &Status, last: Option<&Self>, now: Tick) -> Self {
        let rows = status
            .rules
            .iter()
            .filter(|rule| takes_from_new(rule.action));
        let rows = rows.take(ROWS).enumerate().map(|(place, rule)| {
            let finding = &rule.finding;
            let same = last
                .and_then(|last| last.rows.get(place))
                .filter(|row| *row.rule == *finding.rule);
            Row {
                rule: same.map_or_else(|| finding.rule.as_str().into(), |row| row.rule.clone()),
                measure: rule.measure,
                value: finding.value,
                threshold: finding.threshold,
            }
        });
        let same = last.filter(|last| *last.config == *status.config_hash);
        Self {
            at: now,
            rows: rows.collect(),
            percentage: status.percentage,
            generation: status.generation,
            config: same.map_or_else(
                || status.config_hash.as_str().into(),
                |last| last.config.clone(),
            ),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
