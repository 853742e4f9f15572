//! The engine among everything that can happen to it, from a seed: calls, orders,
//! files, reports, a disk that is slow, full or broken, crashes, stops, a calendar that steps.
//!
//! A plain loop over a table of actions, on a virtual clock; after every action the
//! invariants are asked. A failure prints its seed and step. As many seeds are lived as
//! fit into `SIM_SECONDS`; `SIM_SEEDS=n` lives so many, however long they take, and
//! `SIM_SEED=s` one alone, told step by step.

mod disk;
mod drawn;
mod happenings;
mod holds;
mod lines;
mod shadow;

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use super::bench::{Random, START, asked_for, percent};
use super::{Effect, Engine, Event, Reported, Settings, Ticket};
use crate::breaker;
use crate::measure::{Observation, ReportKind};
use crate::model::{Backend, PerBackend, TenantKey, Tick, Wall};
use crate::rollout::{Action, Command, List, Moment, Order, Reread, Rollout, Waives};
use crate::split::Split;
use crate::split::tenants::Names;
use disk::{Disk, Job, Told};
use happenings::HAPPENINGS;
use lines::Lines;
use shadow::Shadow;

/// For so long new seeds are begun, in seconds, where nobody asks for another time.
const SECONDS: u64 = 20;
/// So many seeds are lived at least, however slow the machine.
const SEEDS_MIN: u64 = 10;
/// After so many every kind of thing has happened at least once.
const SEEDS_ENOUGH: u64 = 60;
const STEPS: u64 = 1000;
const TENANTS: [&str; 6] = ["acme", "zeta", "omni", "luna", "kilo", "mesa"];
const SHARES: [u16; 6] = [0, 5, 25, 50, 75, 100];

#[test]
fn whatever_happens_the_promises_hold() {
    let alone = asked_for("SIM_SEED", u64::MAX);
    if alone != u64::MAX {
        live_through(alone, true);
        return;
    }
    let asked = asked_for("SIM_SEEDS", 0);
    let span = Duration::from_secs(asked_for("SIM_SECONDS", SECONDS));
    let began = crate::clock::tick();
    let mut seeds = 0;
    let mut lived = BTreeMap::new();
    let goes_on = |seeds: u64| match asked {
        0 => seeds < SEEDS_MIN || crate::clock::tick().since(began) < span,
        asked => seeds < asked,
    };
    while goes_on(seeds) {
        for (what, times) in live_through(seeds, false) {
            *lived.entry(what).or_insert(0_u64) += times;
        }
        seeds += 1;
    }
    println!("{seeds} seeds of {STEPS} steps: {lived:?}");
    if seeds >= SEEDS_ENOUGH {
        for what in MUST_HAPPEN {
            assert!(lived.contains_key(what), "no seed saw one: {what}");
        }
    }
}

/// What a simulation that is worth its name has seen.
const MUST_HAPPEN: [&str; 32] = [
    "reversal",
    "raise",
    "resume",
    "crash",
    "stop",
    "restart latched",
    "overtaken",
    "refused by the disk",
    "late record",
    "call report",
    "breaker closed again",
    "moving",
    "started",
    "no-new-calls",
    "drained",
    "measures-normal",
    "verified",
    "advance",
    "advance by itself",
    "complete",
    "step-back",
    "disable-tenant",
    "emergency-stop",
    "clock-stepped",
    "reloaded",
    "found another configuration",
    "asked before a stage",
    "what lies outside agreed",
    "what lies outside failed",
    "refused with what is missing",
    "refused by the calendar",
    "restart in a stage",
];

/// One life; what happened in it, and how often.
fn live_through(seed: u64, loud: bool) -> BTreeMap<&'static str, u64> {
    let mut world = World::new(seed);
    world.loud = loud;
    let life = catch_unwind(AssertUnwindSafe(|| world.live()));
    if let Err(panic) = life {
        println!(
            "SIM_SEED={seed} fails at step {}, {}",
            world.step, world.doing
        );
        resume_unwind(panic);
    }
    world.lived
}

/// Knows what every tenant is called.
#[derive(Debug)]
struct Everybody;

impl Names for Everybody {
    fn name(&self, key: TenantKey) -> Option<String> {
        let named = |tenant: &&str| TenantKey::new(tenant) == key;
        TENANTS
            .iter()
            .find(|id| named(id))
            .map(|id| (*id).to_owned())
    }
}

/// Everything there is.
struct World {
    random: Random,
    now: Tick,
    wall: Wall,
    engine: Engine,
    settings: Settings,
    /// What requests read.
    routing: Split,
    breakers: PerBackend<breaker::State>,
    disk: Disk,
    /// What the journal's thread said and the engine has not heard.
    told: VecDeque<Told>,
    lines: Lines,
    observations: Vec<Observation>,
    /// What lies outside was asked or told, and has not answered.
    hooks: VecDeque<(u64, Moment)>,
    /// The stage that runs and when it began, by a calendar that was never stepped; and
    /// since when, if this process has seen it begin.
    stage: Option<(String, i64)>,
    stage_since: Option<Tick>,
    /// By how much the calendar was stepped, as far as the engine has noted it.
    stepped: i64,
    /// How long the journal was, and where the engine stood, when they were compared.
    compared: Option<(usize, u64)>,
    shadow: Shadow,
    next_ticket: Ticket,
    step: u64,
    doing: &'static str,
    loud: bool,
    lived: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let settings = drawn::settings(&mut random);
        let (now, wall) = (START, Wall(1_700_000_000_000));
        let (engine, first) = Engine::new(settings.clone(), Rollout::default(), None, now, wall);
        let routing = engine.split().clone();
        let mut world = Self {
            lines: Lines::new(&mut random),
            shadow: Shadow::new(&routing, &settings, now),
            random,
            now,
            wall,
            engine,
            settings,
            routing,
            breakers: PerBackend::default(),
            disk: Disk::default(),
            told: VecDeque::new(),
            observations: Vec::new(),
            hooks: VecDeque::new(),
            stage: None,
            stage_since: None,
            stepped: 0,
            compared: None,
            next_ticket: 1,
            step: 0,
            doing: "starts",
            loud: false,
            lived: BTreeMap::new(),
        };
        world.carry_out(first);
        world
    }

    fn live(&mut self) {
        let all: u64 = HAPPENINGS.iter().map(|(often, ..)| often).sum();
        while self.step < STEPS {
            self.step += 1;
            let mut pick = self.random.below(all);
            for (often, name, happens) in HAPPENINGS {
                if pick < *often {
                    self.doing = name;
                    happens(self);
                    break;
                }
                pick -= often;
            }
            if self.loud {
                println!("{} {}: {:?}", self.step, self.doing, self.routing);
            }
            self.check();
        }
        self.come_to_rest();
    }

    fn note(&mut self, what: &'static str) {
        *self.lived.entry(what).or_insert(0) += 1;
    }

    // -- how it is carried out -----------------------------------------------------

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.wall.0 += i64::try_from(span.as_millis()).expect("minutes fit");
    }

    fn tell(&mut self, event: Event<'_>) {
        let effects = self.engine.handle(event, self.now, self.wall);
        self.shadow.decided(&effects, self.now);
        self.carry_out(effects);
        self.look_at_the_stage(true);
    }

    /// As the conductor does: in the order given, and each at once.
    fn carry_out(&mut self, effects: Vec<Effect>) {
        if self.loud && !effects.is_empty() {
            println!("  {effects:?}");
        }
        let granted = self.shadow.granted(&effects);
        // A raise that comes into force asks new again, whatever its breaker says.
        let anew = effects.iter().any(|effect| {
            matches!(
                effect,
                Effect::Publish(_) | Effect::Reply { result: Ok(_), .. }
            )
        });
        for effect in effects {
            match effect {
                Effect::Publish(split) => {
                    if shadow::raises(&self.routing, &split) {
                        self.note("raise");
                    }
                    if split.moves_live && !self.routing.moves_live {
                        self.note("moving");
                    }
                    self.shadow
                        .published(&self.routing, &split, &granted, &self.disk, self.now);
                    self.routing = split;
                }
                Effect::Latch { reason } => self.disk.send(Job::Latch(reason)),
                Effect::Unlatch => {
                    self.note("resume");
                    self.disk.send(Job::Unlatch);
                }
                Effect::Record(entry) => {
                    if let Action::Verification { step, .. } = entry.action {
                        self.note(step.name());
                        self.shadow.step_taken(&entry, &self.engine);
                    }
                    self.look_at_entry(&entry);
                    self.shadow.sent(&entry, self.wall, self.now);
                    self.disk.send(Job::Record(entry));
                }
                Effect::DropProvisional => self.lines.drop_provisional(&self.routing),
                Effect::Reversed { rule } => {
                    self.note("reversal");
                    if rule == "failed calls" {
                        self.note("reversal by failed calls");
                    }
                }
                Effect::Reply { ticket, result } => {
                    match &result {
                        Err(no) if no.why.contains("came in between") => self.note("overtaken"),
                        Err(no) if no.why.contains("no space left") => {
                            self.note("refused by the disk");
                        }
                        Err(no) if no.why.contains("Missing: ") => {
                            self.note("refused with what is missing");
                        }
                        Err(no) if no.why.contains("the plan's calendar") => {
                            self.note("refused by the calendar");
                        }
                        _ => {}
                    }
                    self.shadow.answered(ticket);
                }
                Effect::Breakers(states) => self.breakers_move(states, anew),
                Effect::Hook(hook) => {
                    if hook.moment == Moment::BeforeStage {
                        self.note("asked before a stage");
                    }
                    self.hooks.push_back((hook.id, hook.moment));
                }
                Effect::Say(_) | Effect::Habits(_) => {}
            }
        }
    }
}
