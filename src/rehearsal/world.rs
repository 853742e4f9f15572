//! The tiny world around the engine: a clock, an agenda, a disk that never fails.
//!
//! Time jumps from one thing that happens to the next. Between them the engine looks
//! as often as [`Cadence`] says, so that windows, soaks and calendars go on where nobody
//! calls.

mod callers;
mod people;

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::Observer;
use super::faults::Faults;
use super::lives::Life;
use super::outcome::{Counts, Decision, Outcome, Passed, Seen, TRIPS_MAX, Trip};
use super::random::Random;
use super::scenario::{Cadence, Scenario};
use crate::breaker;
use crate::engine::{Effect, Engine, Event, Notice, Settings};
use crate::measure::{Observation, Outcome as Went};
use crate::model::{Backend, PerBackend, Tick, Wall};
use crate::rollout::{Action, Entry, Phase, Rollout};
use crate::rules::Measure;
use crate::split::Split;

/// Where the monotonic clock stands at the beginning: a day, so that nothing reaches
/// back before its zero.
const BEGIN: Tick = Tick::from_secs(86_400);

/// The longest time without a look.
const IDLE: Duration = Duration::from_secs(30);
/// The same while a breaker waits for its trial.
const WATCHFUL: Duration = Duration::from_secs(1);
/// In production.
const TENTH: Duration = Duration::from_millis(100);
/// So many things heard are told at once.
const CROWD: usize = 16;

/// Everything there is.
pub(super) struct World<'a> {
    settings: &'a Settings,
    scenario: &'a Scenario,
    observer: &'a mut dyn Observer,
    engine: Engine,
    /// What requests obey.
    split: Split,
    breakers: PerBackend<breaker::State>,
    /// Until then the half-open breaker's one trial is on its way.
    trial: Tick,
    now: Tick,
    looked: Tick,
    agenda: BinaryHeap<Due>,
    /// Of what was put on the agenda, so that what is due at once keeps its order.
    orders: u64,
    random: Random,
    faults: Faults,
    /// Calls that go on; None is a free place.
    lives: Vec<Option<Life>>,
    free: Vec<usize>,
    active: PerBackend<u64>,
    pending: Vec<Observation>,
    /// Something bad is pending.
    urgent: bool,
    /// Answers slower than this count as bad, in microseconds.
    slow_us: u32,
    /// The rate of the running hour, and when it ends.
    hourly: (f64, Tick),
    number: u64,
    calls_since_fault: u64,
    rescued_since_fault: u64,
    over: bool,
    outcome: Outcome,
}

/// Something that will happen.
#[derive(Debug)]
struct Due {
    at: Tick,
    order: u64,
    what: Todo,
}

#[derive(Debug)]
enum Todo {
    /// Somebody calls.
    Call,
    /// A call's next webhook comes.
    Ask(usize),
    /// Its answer is there.
    Answer(usize, callers::Reply),
    /// It is over.
    Hangup(usize),
    /// Something is told later than the call goes on.
    Tell(Box<Observation>),
    /// A backend is asked how it is.
    Check(Backend),
    /// Both report their gauges.
    Gauges,
    /// A fault begins.
    Fault(usize),
    /// It ends.
    Mended(usize),
    /// One more report of it.
    Report(usize, u32),
    /// The first step.
    Begin,
    /// A person tries to advance.
    Advance,
    /// A person lifts a hold.
    Resume,
    /// Somebody watches.
    Watch,
    /// The end.
    End,
}

impl<'a> World<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        scenario: &'a Scenario,
        observer: &'a mut dyn Observer,
    ) -> Self {
        let (mut engine, first) = Engine::new(
            settings.clone(),
            Rollout::default(),
            None,
            BEGIN,
            scenario.start,
        );
        let split = engine.split().clone();
        let status = engine.status(BEGIN, scenario.start);
        let mut world = Self {
            settings,
            scenario,
            observer,
            engine,
            split,
            breakers: PerBackend::default(),
            trial: BEGIN,
            now: BEGIN,
            looked: BEGIN,
            agenda: BinaryHeap::new(),
            orders: 0,
            random: Random::new(scenario.seed),
            faults: Faults::new(&scenario.faults),
            lives: Vec::new(),
            free: Vec::new(),
            active: PerBackend::default(),
            pending: Vec::new(),
            urgent: false,
            slow_us: slow_us(settings),
            hourly: (0.0, BEGIN),
            number: 0,
            calls_since_fault: 0,
            rescued_since_fault: 0,
            over: false,
            outcome: Outcome {
                lasted: Duration::ZERO,
                fault_at: None,
                trips: Vec::new(),
                decisions: Vec::new(),
                stages: Vec::new(),
                journal: Vec::new(),
                looks: 0,
                counts: Counts::default(),
                status,
            },
        };
        world.obey(first);
        world
    }

    /// From the first call to the end.
    pub(super) fn live(mut self) -> Outcome {
        self.plan_ahead();
        while !self.over {
            let due = self.looked + self.patience();
            match self.agenda.peek() {
                Some(next) if next.at <= due => {
                    let Some(Due { at, what, .. }) = self.agenda.pop() else {
                        break;
                    };
                    self.now = self.now.max(at);
                    self.turn(what);
                    let crowd = self.pending.len() >= CROWD || self.urgent;
                    if crowd && self.scenario.cadence == Cadence::Lively {
                        self.look();
                    }
                }
                _ => {
                    self.now = due;
                    self.look();
                }
            }
        }
        self.look();
        self.outcome.lasted = self.now.since(BEGIN);
        self.outcome.status = self.engine.status(self.now, self.wall());
        self.outcome
    }

    /// What is known from the start to happen.
    fn plan_ahead(&mut self) {
        let Scenario { before, lasts, .. } = *self.scenario;
        self.later(Duration::ZERO, Todo::Call);
        self.later(Duration::ZERO, Todo::Gauges);
        for backend in Backend::ALL {
            if self.settings.health[backend].is_some() {
                self.later(Duration::ZERO, Todo::Check(backend));
            }
        }
        self.later(before, Todo::Begin);
        for (number, after) in self.faults.timed() {
            self.later(before + after, Todo::Fault(number));
        }
        if self.observer.every().is_some() {
            self.later(Duration::ZERO, Todo::Watch);
        }
        self.later(lasts, Todo::End);
    }

    fn turn(&mut self, what: Todo) {
        match what {
            Todo::Call => self.call(),
            Todo::Ask(place) => self.ask(place),
            Todo::Answer(place, reply) => self.answer(place, reply),
            Todo::Hangup(place) => self.hangup(place),
            Todo::Tell(observation) => self.tell(*observation),
            Todo::Check(backend) => self.check(backend),
            Todo::Gauges => self.gauges(),
            Todo::Fault(number) => self.begin_fault(number),
            Todo::Mended(number) => self.faults.end(number),
            Todo::Report(number, left) => self.report_fault(number, left),
            Todo::Begin => self.begin(),
            Todo::Advance => self.try_to_advance(),
            Todo::Resume => self.resume(),
            Todo::Watch => self.watch(),
            Todo::End => self.over = true,
        }
    }

    /// The longest time until the engine must look again.
    fn patience(&self) -> Duration {
        let closed = |backend| self.breakers[backend] == breaker::State::Closed;
        match self.scenario.cadence {
            Cadence::Exact => TENTH,
            Cadence::Lively if Backend::ALL.into_iter().all(closed) => IDLE,
            Cadence::Lively => WATCHFUL,
        }
    }

    fn later(&mut self, after: Duration, what: Todo) {
        self.orders += 1;
        self.agenda.push(Due {
            at: self.now + after,
            order: self.orders,
            what,
        });
    }

    /// Puts something where the engine will hear it. What was heard before a bad thing
    /// is told before it.
    fn tell(&mut self, observation: Observation) {
        let bad = self.is_bad(&observation);
        if bad && !self.urgent && self.scenario.cadence == Cadence::Lively {
            if !self.pending.is_empty() {
                self.look();
            }
            self.urgent = true;
        }
        self.pending.push(observation);
    }

    /// May it make a row of new trip?
    fn is_bad(&self, observation: &Observation) -> bool {
        match observation {
            Observation::Answered(what) => {
                what.backend == Backend::New
                    && (what.outcome != Went::Served
                        || what.speech == Some(false)
                        || what.latency_us.is_some_and(|took| took > self.slow_us))
            }
            Observation::Health(what) => !what.answer.is_well(),
            Observation::Placed(what) => what.after_latch,
            _ => false,
        }
    }

    /// The engine looks.
    fn look(&mut self) {
        self.urgent = false;
        self.looked = self.now;
        self.outcome.looks += 1;
        let observations = std::mem::take(&mut self.pending);
        let scenario: &'a Scenario = self.scenario;
        self.handle(Event::Tick {
            observations: &observations,
            active: self.active,
            names: &scenario.callers,
        });
        self.pending = observations;
        self.pending.clear();
    }

    fn handle(&mut self, event: Event<'_>) {
        let effects = self.engine.handle(event, self.now, self.wall());
        self.obey(effects);
    }

    /// Carries effects out in their order. The disk answers when all of them are.
    fn obey(&mut self, effects: Vec<Effect>) {
        let mut effects = VecDeque::from(effects);
        let mut answers = VecDeque::new();
        loop {
            while let Some(effect) = effects.pop_front() {
                answers.extend(self.carry_out(effect));
            }
            let Some(event) = answers.pop_front() else {
                return;
            };
            effects.extend(self.engine.handle(event, self.now, self.wall()));
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Event<'static>> {
        match effect {
            Effect::Publish(split) => self.split = split,
            Effect::Breakers(states) => self.breakers = states,
            Effect::Record(entry) => {
                let sequence = entry.stamp.sequence;
                self.record(*entry);
                return Some(Event::Recorded { sequence });
            }
            Effect::Unlatch => return Some(Event::Unlatched),
            Effect::Hook(hook) => {
                let (id, result) = (hook.id, Ok(()));
                return Some(Event::Hooked { id, result });
            }
            Effect::Say(notice) => self.hear(&notice),
            // What a call was answered with is judged before it is told, a provisional
            // pin there is none, and whoever orders here reads the journal.
            Effect::Habits(_)
            | Effect::Latch { .. }
            | Effect::DropProvisional
            | Effect::Reply { .. }
            | Effect::Reversed { .. } => {}
        }
        None
    }

    fn record(&mut self, entry: Entry) {
        let seen = self.seen();
        self.observer.decided(&entry, seen);
        self.follow_stage(&entry);
        let stopped = entry.before.phase != entry.after.phase;
        match entry.after.phase {
            Phase::Held if stopped => {
                let resumes = self.scenario.operator.resumes;
                let resumes = resumes.map(|after| (after, Todo::Resume));
                let ends = self.scenario.after.map(|after| (after, Todo::End));
                if let Some((after, what)) = resumes.or(ends) {
                    self.later(after, what);
                }
            }
            // Everything on new without a plan is no end of anything.
            Phase::Reversed | Phase::RolledBack | Phase::Complete
                if stopped && entry.action != Action::Set =>
            {
                if let Some(after) = self.scenario.after {
                    self.later(after, Todo::End);
                }
            }
            _ => {}
        }
        if !matches!(entry.action, Action::Totals(_)) {
            let entry = entry.clone();
            self.outcome.decisions.push(Decision { entry, seen });
        }
        self.outcome.journal.push(entry);
    }

    /// A stage begins, or is left.
    fn follow_stage(&mut self, entry: &Entry) {
        let (was, is) = (&entry.before.stage, &entry.after.stage);
        let at = self.now.since(BEGIN);
        let left = was != is || entry.action == Action::Complete;
        if left && let Some(stage) = self.outcome.stages.last_mut() {
            stage
                .lasted
                .get_or_insert_with(|| at.saturating_sub(stage.at));
        }
        // What moves with a calendar that was stepped is the same stage.
        let stage = |standing: &crate::rollout::Standing| (standing.number, standing.since);
        let Some(is) = is
            .as_ref()
            .filter(|is| was.as_ref().map(stage) != Some(stage(is)))
        else {
            return;
        };
        self.outcome.stages.push(Passed {
            name: is.stage.clone(),
            percentage: entry.after.percentage,
            at,
            wall: self.wall(),
            lasted: None,
            calls: 0,
        });
        for (number, after) in self.faults.of_stage(&is.stage) {
            self.later(after, Todo::Fault(number));
        }
    }

    /// People are told something.
    fn hear(&mut self, notice: &Notice) {
        let seen = self.seen();
        self.observer.told(notice, seen);
        let Some(rule) = &notice.rule else { return };
        let trips =
            (notice.text.strip_prefix(rule.as_str())).is_some_and(|rest| rest.starts_with(": "));
        if trips && self.outcome.trips.len() < TRIPS_MAX {
            let trip = Trip {
                rule: rule.clone(),
                text: notice.text.clone(),
                seen,
            };
            self.observer.tripped(&trip);
            self.outcome.trips.push(trip);
        }
    }

    fn watch(&mut self) {
        self.look();
        let status = self.engine.status(self.now, self.wall());
        let (seen, counts) = (self.seen(), self.outcome.counts);
        if self.observer.look(&status, seen, counts).is_break() {
            self.over = true;
        }
        // A watcher that stands still would stop the world.
        if let Some(every) = self.observer.every() {
            self.later(every.max(TENTH), Todo::Watch);
        }
    }

    fn seen(&self) -> Seen {
        let since = self.faults.met.or(self.faults.began);
        Seen {
            at: self.now.since(BEGIN),
            wall: self.wall(),
            since_fault: since.map(|since| self.now.since(since)),
            calls: self.calls_since_fault,
            met: self.outcome.counts.met,
            rescued: self.rescued_since_fault,
        }
    }

    fn wall(&self) -> Wall {
        let since = self.now.since(BEGIN).as_millis();
        Wall(self.scenario.start.0 + i64::try_from(since).unwrap_or(i64::MAX / 2))
    }

    fn phase(&self) -> Phase {
        self.outcome
            .decisions
            .last()
            .map_or(Phase::Idle, |decision| decision.entry.after.phase)
    }

    fn zone(&self) -> jiff::tz::TimeZone {
        let plan = self.settings.plan.as_deref();
        plan.map_or(jiff::tz::TimeZone::UTC, |plan| plan.calendar.zone.clone())
    }
}

/// The least response time that some row is about.
fn slow_us(settings: &Settings) -> u32 {
    let timed = settings.rules.iter().filter(|rule| {
        rule.against.is_none()
            && matches!(
                rule.measure,
                Measure::ResponseTimeMean
                    | Measure::ResponseTimeP50
                    | Measure::ResponseTimeP95
                    | Measure::ResponseTimeP99
            )
    });
    let least = timed
        .map(|rule| rule.threshold)
        .fold(f64::INFINITY, f64::min);
    // A threshold is below an hour; without one nothing is slow. The cast saturates.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let least = (least * 1000.0) as u32;
    least
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives its greatest first.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}
