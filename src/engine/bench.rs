//! The engine on a bench, for tests: its journal is played by hand, its day is
//! simulated, and the rows it judges by are those of a shipped preset.

use std::time::Duration;

use super::{Effect, Engine, Event, Reported, Settings, Ticket};
use crate::measure::scorecard::Mature;
use crate::measure::{
    Answered, CallEnd, Cause, Ended, Kind, Observation, Outcome, Placed, ReportKind, Voice,
};
use crate::model::{Backend, PerBackend, Percentage, TenantKey, Tick, Wall};
use crate::rollout::{Command, Emergency, Entry, Order, Reread, Rollout, Wishes};
use crate::rules::{Action, Measure, Priority, Rule, Side};
use crate::split::{Because, By, Hash, Live, Placement, Scheme};

pub(super) const START: Tick = Tick::from_secs(3600);

/// The ticket of every order given on the bench.
pub(super) const TICKET: Ticket = 7;

pub(super) fn percent(whole: u16) -> Percentage {
    Percentage::from_basis_points(whole * 100).expect("tests name percentages up to 100")
}

pub(super) fn mins(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

pub(super) fn order(command: Command) -> Order {
    Order {
        waives: crate::rollout::Waives::default(),
        actor: "operator via cli".to_owned(),
        reason: "a test".to_owned(),
        command,
    }
}

pub(super) fn settings(rules: Vec<Rule>) -> Settings {
    Settings {
        scheme: Scheme {
            by: By::Call,
            hash: Hash::Xxh3 {
                salt: "test".to_owned(),
            },
        },
        rules,
        mature: Mature::Auto,
        breakers: PerBackend::default(),
        health: PerBackend::default(),
        wishes: Wishes {
            enabled: true,
            ..Wishes::default()
        },
        file_on_empty: false,
        entries: true,
        plan: None,
        hooks: Vec::new(),
        emergency: Emergency::default(),
        directory: None,
        config_hash: "0123456789ab".to_owned(),
    }
}

/// An engine, its journal played by hand, and a clock.
pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) now: Tick,
    pub(super) wall: Wall,
    pub(super) active: PerBackend<u64>,
    pub(super) tenants: u64,
    /// Everything it ever said, in order.
    pub(super) said: Vec<Effect>,
    waiting: Vec<Observation>,
    turn: u64,
}

impl Bench {
    /// Nothing is on new and nothing is in the journal.
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self::on(settings(rules), Rollout::default(), None)
    }

    /// As a start finds things.
    pub(super) fn on(settings: Settings, rollout: Rollout, latched: Option<&str>) -> Self {
        let wall = Wall(1_000_000);
        let (engine, said) = Engine::new(settings, rollout, latched, START, wall);
        Self {
            engine,
            now: START,
            wall,
            active: PerBackend::default(),
            tenants: 1,
            said,
            waiting: Vec::new(),
            turn: 0,
        }
    }

    /// A rollout that runs at this share, everything recorded.
    pub(super) fn at(whole: u16, rules: Vec<Rule>) -> Self {
        let mut bench = Self::new(rules);
        bench.give(Command::Percentage(percent(whole)));
        bench.record_all();
        assert_eq!(bench.engine.split().percentage, percent(whole));
        bench
    }

    pub(super) fn handle(&mut self, event: Event<'_>) -> Vec<Effect> {
        let effects = self.engine.handle(event, self.now, self.wall);
        self.said.extend(effects.iter().cloned());
        effects
    }

    /// The file was read again, by somebody who says so.
    pub(super) fn reload(&mut self, settings: Settings) -> Vec<Effect> {
        let reread = Reread {
            actor: "operator via cli".to_owned(),
            reason: "a new file".to_owned(),
            changed: Vec::new(),
        };
        self.handle(Event::Reload(Box::new(settings), reread))
    }

    pub(super) fn give(&mut self, command: Command) -> Vec<Effect> {
        self.handle(Event::Order {
            ticket: TICKET,
            order: order(command),
        })
    }

    pub(super) fn recorded(&mut self, entry: &Entry) -> Vec<Effect> {
        let sequence = entry.stamp.sequence;
        self.handle(Event::Recorded { sequence })
    }

    /// The journal does all that it was asked to.
    pub(super) fn record_all(&mut self) {
        while let Some(pending) = &self.engine.pending {
            let sequence = pending.entry.stamp.sequence;
            let effects = self.handle(Event::Recorded { sequence });
            if effects.contains(&Effect::Unlatch) {
                self.handle(Event::Unlatched);
            }
        }
        for entry in entries(&self.said) {
            let sequence = entry.stamp.sequence;
            self.engine
                .handle(Event::Recorded { sequence }, self.now, self.wall);
        }
    }

    /// Time passes, by both clocks.
    pub(super) fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
        self.wall.0 += i64::try_from(span.as_millis()).expect("years fit");
    }

    /// Calls begin on new, and go well.
    pub(super) fn begin(&mut self, many: u64) {
        for _ in 0..many {
            self.observe(Observation::Placed(Placed {
                at: self.now,
                placement: Placement {
                    backend: Backend::New,
                    because: Because::Hashed,
                },
                call: None,
                begins: true,
                after_latch: false,
                starts: true,
            }));
            self.call(false);
        }
    }

    /// A tenth of a second goes by, and the engine looks.
    pub(super) fn tick(&mut self) -> Vec<Effect> {
        self.wait(Duration::from_millis(100));
        let observations = std::mem::take(&mut self.waiting);
        let active = self.active;
        self.handle(Event::Tick {
            observations: &observations,
            active,
            names: &(),
        })
    }

    pub(super) fn observe(&mut self, observation: Observation) {
        self.waiting.push(observation);
    }

    /// What will be observed last at the next tick.
    pub(super) fn last(&mut self) -> Option<&mut Observation> {
        self.waiting.last_mut()
    }

    /// The first answer to a call that was placed under the split in force.
    pub(super) fn answer(&mut self, backend: Backend, outcome: Outcome, latency_ms: u32) {
        let generation = self.engine.split().generation;
        self.answer_of(generation, backend, outcome, latency_ms);
    }

    /// The first answer to a call that was placed under this generation.
    pub(super) fn answer_of(
        &mut self,
        generation: u64,
        backend: Backend,
        outcome: Outcome,
        latency_ms: u32,
    ) {
        self.turn += 1;
        let answered = Answered {
            call: None,
            at: self.now,
            backend,
            route: 0,
            kind: Kind::Voice,
            outcome,
            latency_us: Some(latency_ms * 1000),
            overhead_us: 50,
            flaw: None,
            voice: Some(Voice {
                tenant: TenantKey(1 + self.turn % self.tenants),
                failed: outcome != Outcome::Served,
                previous: None,
                previous_failed: None,
            }),
            speech: None,
            choice: None,
            data_us: None,
            counts: true,
            generation,
        };
        self.observe(Observation::Answered(answered));
    }

    /// A call's answer on new, sound and quick or a failure.
    pub(super) fn call(&mut self, fails: bool) {
        let outcome = if fails {
            Outcome::Failed(Cause::Status)
        } else {
            Outcome::Served
        };
        self.answer(Backend::New, outcome, 200);
    }

    /// So many calls on new, all heard in this tick.
    pub(super) fn calls(&mut self, good: u64, failed: u64) {
        (0..good).for_each(|_| self.call(false));
        (0..failed).for_each(|_| self.call(true));
    }

    /// An answer of new to what a caller said, understood or not.
    pub(super) fn speak(&mut self, understood: bool) {
        self.call(false);
        if let Some(Observation::Answered(answered)) = self.waiting.last_mut() {
            answered.speech = Some(understood);
        }
    }

    /// A call of new ends that began now.
    pub(super) fn end(&mut self, end: CallEnd) {
        self.turn += 1;
        self.observe(Observation::Ended(Ended {
            at: self.now,
            began: self.now,
            backend: Backend::New,
            tenant: TenantKey(1 + self.turn % self.tenants),
            end,
            duration_s: Some(30),
            generation: self.engine.split().generation,
            counts: true,
            failed: false,
        }));
    }

    pub(super) fn report(&mut self, id: Option<&str>, backend: Backend, kind: ReportKind) {
        let reported = Reported {
            id: id.map(str::to_owned),
            kind,
            backend,
            tenant: None,
            message: "as reported".to_owned(),
        };
        let effects = self.handle(Event::Report(reported));
        assert!(
            effects
                .iter()
                .all(|effect| matches!(effect, Effect::Say(_))),
            "a report is told at once and heard at the tick: {effects:?}"
        );
    }

    /// The rules that reversed so far.
    pub(super) fn reversals(&self) -> Vec<&str> {
        self.said
            .iter()
            .filter_map(|effect| match effect {
                Effect::Reversed { rule } => Some(rule.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Did this row tell people that it trips?
    pub(super) fn told(&self, name: &str) -> bool {
        let begins = format!("{name}: ");
        self.said.iter().any(|effect| match effect {
            Effect::Say(notice) => {
                notice.rule.as_deref() == Some(name) && notice.text.starts_with(&begins)
            }
            _ => false,
        })
    }
}

/// What is asked of the journal, in order.
pub(super) fn entries(effects: &[Effect]) -> Vec<Entry> {
    let entry = |effect: &Effect| match effect {
        Effect::Record(entry) => Some(Entry::clone(entry)),
        _ => None,
    };
    effects.iter().filter_map(entry).collect()
}

/// Effects by their names, so that an order of them reads like a sentence.
pub(super) fn names(effects: &[Effect]) -> Vec<&'static str> {
    let name = |effect: &Effect| match effect {
        Effect::Publish(_) => "publish",
        Effect::Breakers(_) => "breakers",
        Effect::Habits(_) => "habits",
        Effect::Latch { .. } => "latch",
        Effect::Unlatch => "unlatch",
        Effect::Record(_) => "record",
        Effect::DropProvisional => "drop provisional",
        Effect::Reply { result: Ok(_), .. } => "done",
        Effect::Reply { result: Err(_), .. } => "refused",
        Effect::Reversed { .. } => "reversed",
        Effect::Say(_) => "say",
        Effect::Hook(_) => "hook",
    };
    effects.iter().map(name).collect()
}

/// The rows of both tables of the shipped preset for R1, read as the configuration
/// reads them: ring 6 is out of reach from here.
pub(super) fn ivr_texml() -> Vec<Rule> {
    let text = include_str!("../../config/presets/ivr-texml.toml");
    let preset: toml::Table = text.parse().expect("the preset is TOML");
    let rows = |table: &str| preset[table].as_array().expect("a list of rows").clone();
    let reversal = rows("reversal").into_iter().map(|row| rule(&row));
    let alert = rows("alert").into_iter().map(|row| rule(&row));
    reversal.chain(alert).collect()
}

fn rule(row: &toml::Value) -> Rule {
    let word = |key: &str| row.get(key).and_then(toml::Value::as_str);
    let measure = word("measure")
        .and_then(Measure::from_name)
        .expect("a measure");
    let (side, key) = match row.get("above") {
        Some(_) => (Side::Above, "above"),
        None => (Side::Below, "below"),
    };
    let threshold = amount(&row[key]);
    let over = Duration::from_millis(amount(&row["over"]) as u64);
    let action = match word("action") {
        Some("reverse") => Action::Reverse,
        Some("hold") => Action::Hold,
        Some("step-back") => Action::StepBack,
        Some("disable-tenant") => Action::DisableTenant,
        _ => Action::Alert,
    };
    let named = word("name").map(str::to_owned);
    Rule {
        against: None,
        scope: crate::rules::Scope::All,
        name: named.unwrap_or_else(|| Rule::default_name(measure, side, threshold, over)),
        measure,
        side,
        threshold,
        over,
        action,
        live: Live::Drain,
        hold_for: Duration::ZERO,
        calls_min: measure.calls_min(),
        failed_min: Rule::default_failed_min(measure, action),
        early: Rule::default_early(measure, side, action),
        priority: word("priority").map(|word| match word {
            "low" => Priority::Low,
            "medium" => Priority::Medium,
            "high" => Priority::High,
            _ => Priority::Critical,
        }),
        to: Vec::new(),
    }
}

/// A share as 0..=1, a time in milliseconds, else the number.
fn amount(value: &toml::Value) -> f64 {
    let Some(text) = value.as_str() else {
        return value.as_integer().expect("a whole number") as f64;
    };
    let split = text.find(|c: char| !c.is_ascii_digit()).expect("a unit");
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().expect("a number");
    match unit {
        "%" => number / 100.0,
        "ms" => number,
        "s" => number * 1000.0,
        "m" => number * 60_000.0,
        "h" => number * 3_600_000.0,
        _ => panic!("what is {unit}?"),
    }
}

/// Random numbers that a seed brings back (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to one less than `below`.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        self.next() % below.max(1)
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("an index fits")
    }

    /// True so many times in a thousand.
    pub(super) fn permille(&mut self, chance: u64) -> bool {
        self.below(1000) < chance
    }

    /// From 0 to 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of these.
    pub(super) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())].clone()
    }
}

/// A number from the environment, to run more than the default.
pub(super) fn asked_for(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(default)
}
