//! Holds every row of the tables against what was seen, once a tick.
//!
//! Rows judge new; legacy's value stands beside it. A row trips on its window or
//! on its sequential test, whichever is sure first, and never on too little.

use std::time::Duration;

use super::long::{Longs, Since};
use super::reading::micros;
use super::row::{Row, Sight};
use super::{Finding, Measure, Rule, Scope, blind};
use crate::document::FlawSet;
use crate::measure::counts::SLOW_MAX;
use crate::measure::scorecard::{Interest, Mature, Scorecard};
use crate::measure::totals::{Hour, Sums, Totals};
use crate::measure::{Numbers, Observation, ReportKind};
use crate::model::{Backend, PerBackend, TenantKey, Tick, Wall};
use crate::split::tenants::Names;

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
/// The share of answers slower than a mean's threshold that is still in order.
pub(super) const HALF: f64 = 0.5;
/// A part of an hour in which nothing happened is kept from a minute on, in milliseconds.
const LEAST_HOUR_MS: i64 = 60_000;

/// Both backends' scorecards and the rows that read them.
#[derive(Clone, Debug)]
pub struct Evidence {
    cards: PerBackend<Scorecard>,
    rows: Vec<Row>,
    gates: Vec<Row>,
    gates_from: Tick,
    gates_wall: Option<Wall>,
    longs: Longs,
    hour: RunningHour,
    /// The stage that runs, and since when.
    stage: Option<(u16, Wall)>,
    /// When the epoch began, if that was after the stage did.
    epoch_wall: Option<Wall>,
    mature: Mature,
    mature_due: Tick,
    seen: Seen,
    /// The moment of the last judgement, by the calendar.
    wall: Wall,
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

/// The hour that is not over.
#[derive(Clone, Copy, Debug)]
struct RunningHour {
    since: Tick,
    /// Which of the calendar's; None before the first judgement.
    number: Option<i64>,
}

impl Evidence {
    /// Empty evidence for the rows of both tables.
    pub fn new(rules: Vec<Rule>, mature: Mature, now: Tick) -> Self {
        let interest = interest(&rules);
        let mut evidence = Self {
            cards: PerBackend::from_fn(|backend| Scorecard::new(backend, &interest, now)),
            rows: rows(rules, &interest, now),
            gates: Vec::new(),
            gates_from: Tick(0),
            gates_wall: None,
            longs: Longs::default(),
            hour: RunningHour {
                since: now,
                number: None,
            },
            stage: None,
            epoch_wall: None,
            mature,
            mature_due: now,
            seen: Seen { now, since: now },
            wall: Wall::default(),
            legacy_out: None,
            legacy_over: None,
        };
        evidence.ripen(now);
        evidence.look_far();
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

    /// Takes what somebody reported about a backend; of which tenant, if that was said.
    pub fn report(
        &mut self,
        backend: Backend,
        kind: ReportKind,
        tenant: Option<TenantKey>,
        now: Tick,
    ) {
        self.cards[backend].reported(kind, tenant, now);
    }

    /// Holds every row against what was seen; once a tick, after the tick's
    /// observations. `active` are the calls begun and not ended, `history` the hours of
    /// the journal, `names` what tenants are called. One finding a row, in the order of
    /// the rules, then one a gate.
    pub fn judge(
        &mut self,
        now: Tick,
        wall: Wall,
        active: PerBackend<u64>,
        history: &Totals,
        names: &dyn Names,
    ) -> Vec<Finding> {
        self.seen.now = now;
        self.wall = wall;
        if self.hour.number.is_none() {
            self.hour.number = Some(hour_of(wall));
        }
        for backend in Backend::ALL {
            self.cards[backend].advance(now);
            self.cards[backend].active(active[backend], now);
        }
        self.ripen(now);
        let batch = self.cards.new.take_batch();
        // Legacy's batches are nobody's; taken so that they do not pile up.
        self.cards.legacy.take_batch();
        let heard = self.cards.new.take_heard();
        let since = self.counts_from();
        self.longs.advance(since, history, &self.cards);
        let sight = Sight {
            cards: &self.cards,
            longs: &self.longs,
            baseline: history.baseline.as_ref(),
            seen: self.seen,
            wall,
            gates: (self.gates_from, since.gates_from),
            legacy_out: self.legacy_out,
            names,
        };
        self.legacy_over = self.rows.iter().find_map(|row| row.legacy_over(&sight));
        let rows = self.rows.iter_mut().chain(&mut self.gates);
        rows.map(|row| {
            row.hear(&batch, &heard, &sight.cards.new, now);
            row.judge(&sight)
        })
        .collect()
    }

    /// Puts a stage's gates in force, in place of earlier ones. What they read at most an
    /// hour of counts from `from` on: the end of the stage's warm-up. (For longer spans:
    /// [`Evidence::gates_count_from`].) Before they have watched their full time they do
    /// not pass.
    pub fn set_gates(&mut self, gates: Vec<Rule>, from: Tick) {
        self.gates_from = from;
        if self.gates.iter().map(|row| &row.rule).eq(&gates) {
            return;
        }
        let rules: Vec<Rule> = self.rules().cloned().collect();
        let now = self.seen.now;
        let interest = self.take_interest(rules.iter().chain(&gates), now);
        self.gates = rows(gates, &interest, now);
        self.look_far();
    }

    /// The moment from which gates count, by the calendar, for spans that are made of the
    /// journal's hours and may have begun before this process did.
    pub const fn gates_count_from(&mut self, from: Wall) {
        self.gates_wall = Some(from);
    }

    /// A stage runs, and has since then by the calendar (0: none does, since then). What
    /// new did before is no part of its long spans. To be told when a stage begins, at the
    /// start of the process.
    pub const fn stage_began(&mut self, number: u16, since: Wall) {
        self.stage = Some((number, since));
        self.epoch_wall = None;
    }

    /// The epoch that runs began then by the calendar, in a process before this one: hours
    /// of the stage from before it do not count here either.
    pub const fn epoch_goes_on(&mut self, since: Wall) {
        self.epoch_wall = Some(since);
    }

    /// The calendar was stepped by so many milliseconds: the stage that runs began at
    /// another of its moments now, and so did the epoch.
    pub fn calendar_stepped(&mut self, by_ms: i64, number: u16, since: Wall) {
        self.stage = Some((number, since));
        if let Some(epoch) = &mut self.epoch_wall {
            epoch.0 = epoch.0.saturating_add(by_ms);
        }
    }

    /// Is it time to close the running hour? By the calendar's full hours, and at the end
    /// of a warm-up, so that no hour lies on both sides of it.
    pub fn hour_is_over(&self, now: Tick, wall: Wall) -> bool {
        let Some(number) = self.hour.number else {
            return false;
        };
        let began = self.hour_began(now, wall);
        let warm = self
            .gates_wall
            .is_some_and(|warm| began < warm && warm <= wall);
        hour_of(wall) != number || warm
    }

    /// Closes the running hour: what happened in it, to be kept; in two pieces where an
    /// epoch of new began in it, so that none lies on both sides of that. Nothing where
    /// there is nothing to keep: nothing happened, and no stage ran whose gates ask whether
    /// that is so because nothing was watched.
    pub fn take_hour(&mut self, now: Tick, wall: Wall, stage: u16) -> Vec<Hour> {
        let began = self.hour_began(now, wall);
        let cut = self.seen.since > self.hour.since;
        let epoch = match cut {
            true => back(wall, now.since(self.seen.since)),
            false => began,
        };
        self.hour = RunningHour {
            since: now,
            number: Some(hour_of(wall)),
        };
        let (earlier, running) = self.cards.new.take_hour();
        // Legacy has no epochs.
        let (_, legacy) = self.cards.legacy.take_hour();
        let piece = |from: Wall, to: Wall, legacy: Sums, new: Sums| Hour {
            from,
            to,
            stage,
            sides: PerBackend { legacy, new },
        };
        let before = cut.then(|| piece(began, epoch, Sums::default(), earlier));
        let mut pieces = Vec::from_iter(before);
        pieces.push(piece(epoch, wall, legacy, running));
        let empty = |hour: &Hour| hour.sides.legacy.is_empty() && hour.sides.new.is_empty();
        // Also a piece in which nothing happened tells how long the other's legacy took.
        let watched = stage > 0 || !pieces.iter().all(empty);
        let long = |hour: &Hour| hour.to.0.saturating_sub(hour.from.0) >= LEAST_HOUR_MS;
        pieces.retain(|hour| !empty(hour) || watched && long(hour));
        pieces
    }

    /// A tenant was taken back to legacy, or a person cleared it: what its own rows know
    /// of it is over.
    pub fn tenant_cleared(&mut self, key: TenantKey) {
        self.cards.new.forget_tenant(key);
        for row in &mut self.rows {
            row.forget(key);
        }
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
        // Not before the first judgement: at the start of the process the hours of the
        // stage that runs still count.
        if self.hour.number.is_some() {
            let passed = i64::try_from(now.since(self.seen.now).as_millis()).unwrap_or(0);
            self.epoch_wall = Some(Wall(self.wall.0.saturating_add(passed)));
        }
        self.seen = Seen { now, since: now };
        self.cards.new.begin_epoch(now, min_generation);
        for row in self.rows.iter_mut().chain(&mut self.gates) {
            row.clear(now);
        }
    }

    /// When the epoch began that new is judged by.
    pub const fn since(&self) -> Tick {
        self.seen.since
    }

    /// Puts other rows in force. A changed table begins a new epoch; the same one
    /// changes nothing. Says whether it was changed.
    pub fn set_rules(&mut self, rules: Vec<Rule>, now: Tick) -> bool {
        if self.rows.iter().map(|row| &row.rule).eq(&rules) {
            return false;
        }
        let gates: Vec<Rule> = self.gates.iter().map(|row| row.rule.clone()).collect();
        let interest = self.take_interest(rules.iter().chain(&gates), now);
        self.rows = rows(rules, &interest, now);
        self.gates = rows(gates, &interest, now);
        self.look_far();
        self.begin_epoch(now, 0);
        true
    }

    /// Takes whether a backend is up by its health check; None: it is not asked, or
    /// nothing is known yet.
    pub fn is_up(&mut self, backend: Backend, up: Option<bool>) {
        self.cards[backend].set_up(up);
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

    fn take_interest<'a>(&mut self, rules: impl Iterator<Item = &'a Rule>, now: Tick) -> Interest {
        let rules: Vec<Rule> = rules.cloned().collect();
        let interest = interest(&rules);
        for backend in Backend::ALL {
            self.cards[backend].set_interest(&interest, now);
        }
        interest
    }

    /// The rows changed: so may the long spans they ask for.
    fn look_far(&mut self) {
        let tables = self.rows.iter().map(|row| (&row.rule, false));
        let gates = self.gates.iter().map(|row| (&row.rule, true));
        self.longs = Longs::of(tables.chain(gates));
    }

    /// From when on things count.
    fn counts_from(&self) -> Since {
        let stage = self.stage.map_or(Wall(i64::MIN), |(_, since)| since);
        let from = self.epoch_wall.map_or(stage, |epoch| epoch.max(stage));
        Since {
            now: self.seen.now,
            wall: self.wall,
            from,
            gates_from: self.gates_wall.map_or(from, |warm| warm.max(from)),
            hour: self.hour.since,
            epoch: self.seen.since,
        }
    }

    /// When the running hour began: so long ago as it lasts, however the calendar was
    /// stepped meanwhile.
    fn hour_began(&self, now: Tick, wall: Wall) -> Wall {
        back(wall, now.since(self.hour.since))
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
        if rule.scope == Scope::Tenant {
            interest.tenant_spans.push(rule.over);
        }
        if rule.is_long() {
            continue;
        }
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
        .enumerate()
        .map(|(place, rule)| Row::new(rule, place, interest, now))
        .collect()
}

/// So long before a moment of the calendar.
fn back(wall: Wall, span: Duration) -> Wall {
    let span = i64::try_from(span.as_millis()).unwrap_or(0);
    Wall(wall.0.saturating_sub(span))
}

/// Which of the calendar's full hours a moment lies in.
const fn hour_of(wall: Wall) -> i64 {
    wall.0.div_euclid(3_600_000)
}
