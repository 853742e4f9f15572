//! The engine among everything that can happen to it, from a seed: calls, orders,
//! files, reports, a disk that is slow, full or broken, crashes, a calendar that steps.
//!
//! A plain loop over a table of actions, on a virtual clock; after every action the
//! invariants are asked. A failure prints its seed and step. `SIM_SEEDS=n` runs more
//! seeds than the default, `SIM_SEED=s` one seed alone, told step by step.

mod disk;
mod drawn;
mod lines;
mod shadow;

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use super::bench::{Random, START, asked_for, percent};
use super::{Effect, Engine, Event, Reported, Settings, Ticket};
use crate::breaker;
use crate::measure::{Observation, ReportKind};
use crate::model::{Backend, PerBackend, Percentage, Tick, Wall};
use crate::rollout::{Action, Command, List, Order, Rollout, Wishes};
use crate::split::Split;
use disk::{Disk, Job, Told};
use lines::Lines;
use shadow::Shadow;

const SEEDS: u64 = 40;
const STEPS: u64 = 1500;
const TENANTS: [&str; 6] = ["acme", "zeta", "omni", "luna", "kilo", "mesa"];
const SHARES: [u16; 6] = [0, 5, 25, 50, 75, 100];

/// Something that happens, and how often among all.
type Happening = (u64, &'static str, fn(&mut World));

const HAPPENINGS: &[Happening] = &[
    (200, "tick", World::tick),
    (120, "ring", World::ring),
    (120, "leave", World::leave),
    (120, "answer", World::answer),
    (60, "speak", World::speak),
    (60, "end", World::end),
    (20, "call report", World::call_report),
    (12, "provider hangs up", World::provider_hangs_up),
    (25, "order", World::order),
    (6, "report", World::report),
    (8, "reload", World::reload),
    (110, "disk works", World::disk_works),
    (110, "journal answers", World::journal_answers),
    (10, "disk changes its mood", World::disk_mood),
    (10, "backends change their mood", World::backend_mood),
    (20, "time passes", World::time_passes),
    (3, "calendar steps", World::calendar_steps),
    (3, "crash", World::crash),
];

#[test]
fn whatever_happens_the_promises_hold() {
    let alone = asked_for("SIM_SEED", u64::MAX);
    let seeds = if alone == u64::MAX {
        0..asked_for("SIM_SEEDS", SEEDS)
    } else {
        alone..alone + 1
    };
    let mut lived = BTreeMap::new();
    for seed in seeds {
        let mut world = World::new(seed);
        world.loud = alone != u64::MAX;
        let life = catch_unwind(AssertUnwindSafe(|| world.live()));
        if let Err(panic) = life {
            println!(
                "SIM_SEED={seed} fails at step {}, {}",
                world.step, world.doing
            );
            resume_unwind(panic);
        }
        for (what, times) in world.lived {
            *lived.entry(what).or_insert(0_u64) += times;
        }
    }
    println!("{lived:?}");
    if alone == u64::MAX {
        for what in [
            "reversal",
            "raise",
            "resume",
            "crash",
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
        ] {
            assert!(lived.contains_key(what), "no seed saw one: {what}");
        }
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
            shadow: Shadow::new(&routing, &settings.wishes, now),
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

    // -- what happens ------------------------------------------------------------

    fn tick(&mut self) {
        self.pass(Duration::from_millis(100));
        let mut observations = std::mem::take(&mut self.observations);
        if self.random.permille(10) {
            self.lines.sweep(self.now, &mut observations);
        }
        for observation in &observations {
            self.shadow.observe(observation);
        }
        let active = self.lines.active();
        self.tell(Event::Tick {
            observations: &observations,
            active,
        });
        let findings = &self.engine.findings;
        assert_eq!(findings.len(), self.settings.rules.len());
        self.shadow
            .nothing_was_overlooked(&self.engine, &self.settings.rules, self.now);
    }

    fn ring(&mut self) {
        let rung = self.lines.ring(&mut self.random, &self.routing, self.now);
        self.observations.extend(rung);
    }

    fn leave(&mut self) {
        let left = self.lines.leave(&mut self.random, &self.routing, self.now);
        self.observations.extend(left);
    }

    fn answer(&mut self) {
        let answered = self.lines.answer(&mut self.random, self.now);
        self.observations.extend(answered);
    }

    fn speak(&mut self) {
        self.lines.speak(&mut self.random, self.now);
    }

    fn end(&mut self) {
        let ended = self.lines.end(&mut self.random, self.now);
        self.observations.extend(ended);
    }

    fn call_report(&mut self) {
        let reported = self.lines.report(&mut self.random, self.now);
        if reported.is_some() {
            self.note("call report");
        }
        self.observations.extend(reported);
    }

    fn provider_hangs_up(&mut self) {
        let gone = self.lines.provider_hangs_up(&mut self.random, self.now);
        self.observations.extend(gone);
    }

    fn order(&mut self) {
        let mut command = drawn::command(&mut self.random);
        if self.routing.latched && self.random.permille(500) {
            // Somebody mended it, and means to go on.
            command = Command::Resume {
                percentage: self.engine.rollout.former().map(|former| former.percentage),
            };
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.shadow.asked(ticket, command.clone());
        let order = Order {
            actor: "operator via cli".to_owned(),
            reason: "it was my turn".to_owned(),
            command,
        };
        self.tell(Event::Order { ticket, order });
    }

    fn report(&mut self) {
        let kind = self.random.of(&[
            ReportKind::CriticalError,
            ReportKind::Complaint,
            ReportKind::MemoryUsed(0.5),
        ]);
        let backend = self.random.of(&Backend::ALL);
        let id = self
            .random
            .permille(700)
            .then(|| self.random.below(20).to_string());
        self.shadow.reported(backend, kind);
        self.tell(Event::Report(Reported {
            id,
            kind,
            backend,
            message: String::new(),
        }));
    }

    fn reload(&mut self) {
        match self.random.below(10) {
            0 => self.settings.rules = drawn::rules(&mut self.random),
            1 => self.settings.wishes.enabled = self.random.permille(500),
            2..=4 => self.settings.wishes.percentage = percent(self.random.of(&SHARES)),
            5..=8 => {
                let tenant = self.random.of(&TENANTS).to_owned();
                match self.random.below(3) {
                    0 => self.settings.wishes.tenants.remove(&tenant),
                    1 => self.settings.wishes.tenants.insert(tenant, List::Enabled),
                    _ => self.settings.wishes.tenants.insert(tenant, List::Disabled),
                };
            }
            _ => {}
        }
        self.shadow.loaded(&self.settings, &self.engine, self.now);
        let fresh = Box::new(self.settings.clone());
        let before = (self.engine.rollout.clone(), self.engine.split().clone());
        let preview = self.engine.preview(&fresh, self.wall);
        assert_eq!(
            before,
            (self.engine.rollout.clone(), self.engine.split().clone())
        );
        assert!(
            !before.1.latched || preview.split.latched,
            "no file clears a latch"
        );
        self.tell(Event::Reload(fresh));
    }

    fn disk_works(&mut self) {
        if let Some(told) = self.disk.work() {
            self.told.extend(told);
        }
    }

    fn journal_answers(&mut self) {
        let Some(told) = self.told.pop_front() else {
            return;
        };
        let event = match told {
            Told::Recorded(sequence) => Event::Recorded { sequence },
            Told::Refused(sequence) => Event::NotRecorded {
                sequence,
                why: "no space left".to_owned(),
            },
            Told::Unlatched => Event::Unlatched,
            Told::NotUnlatched => Event::NotUnlatched {
                why: "EIO".to_owned(),
            },
            Told::Durable(durable) => Event::Durable(durable),
        };
        self.tell(event);
    }

    fn disk_mood(&mut self) {
        self.disk.mood(&mut self.random);
    }

    fn backend_mood(&mut self) {
        self.lines.mood(&mut self.random);
    }

    fn time_passes(&mut self) {
        let span = self.random.of(&[1, 1, 3, 10, 30, 90, 900]);
        self.pass(Duration::from_secs(span));
    }

    fn calendar_steps(&mut self) {
        let step = i64::try_from(self.random.below(7_200_000)).expect("two hours fit");
        self.wall.0 += step - 3_600_000;
    }

    /// The process dies. What was not on the disk is gone, and maybe the job in the
    /// disk's hands was done and nobody heard of it.
    fn crash(&mut self) {
        self.note("crash");
        self.disk.crash(&mut self.random);
        let journal = Rollout::fold(&self.disk.journal);
        let latched = self.disk.latched_at_start(&journal);
        self.told.clear();
        self.observations.clear();
        self.lines.crash(&mut self.random);
        self.pass(Duration::from_secs(2));
        let (engine, first) = Engine::new(
            self.settings.clone(),
            journal.clone(),
            latched.as_deref(),
            self.now,
            self.wall,
        );
        self.engine = engine;
        let found = self.engine.split().clone();
        if latched.is_some() {
            self.note("restart latched");
            assert!(found.latched, "the latch file outranks the journal");
        }
        assert!(
            found.generation >= journal.generation(),
            "a generation fell"
        );
        self.shadow.restarted(&found, &self.disk, self.now);
        self.routing = found;
        self.breakers = PerBackend::default();
        self.carry_out(first);
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
    }

    /// As the conductor does: in the order given, and each at once.
    fn carry_out(&mut self, effects: Vec<Effect>) {
        if self.loud && !effects.is_empty() {
            println!("  {effects:?}");
        }
        let granted = self.shadow.granted(&effects);
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
                    self.shadow.sent(&entry);
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
                        _ => {}
                    }
                    self.shadow.answered(ticket);
                }
                Effect::Breakers(states) => self.breakers_move(states),
                Effect::Say(_) | Effect::Habits(_) => {}
            }
        }
    }

    /// A breaker is tried only after it was open, and closed only after it was tried.
    fn breakers_move(&mut self, states: PerBackend<breaker::State>) {
        use breaker::State::{Closed, HalfOpen, Open};
        assert_ne!(states, self.breakers, "published without a change");
        for backend in Backend::ALL {
            let moved = (self.breakers[backend], states[backend]);
            assert!(
                !matches!(moved, (Closed, HalfOpen) | (Open, Closed)),
                "{backend}: {moved:?}"
            );
            if moved == (HalfOpen, Closed) {
                self.note("breaker closed again");
            }
        }
        self.breakers = states;
    }

    // -- what must hold ------------------------------------------------------------

    fn check(&mut self) {
        assert_eq!(
            *self.engine.split(),
            self.routing,
            "requests see another split"
        );
        self.lines.check();
        if self.is_quiet() {
            self.same_as_the_journal();
            self.shadow.at_rest(&self.routing);
        }
        let status = self.engine.status(self.now, self.wall);
        assert_eq!(status.latched, self.routing.latched);
        assert_eq!(status.latched, status.verification.is_some(), "{status:?}");
        assert_eq!(
            status.verification.map_or(0, |seen| seen.new_calls_on_new),
            0
        );
        if !status.durable && self.engine.durable {
            self.note("late record");
        }
    }

    /// Nothing is on its way to the disk or back.
    fn is_quiet(&self) -> bool {
        self.engine.pending.is_none() && self.told.is_empty() && self.disk.is_done()
    }

    /// A restart would find what runs; only since when and why a phase stands may be
    /// told otherwise, where a step toward legacy has overtaken a raise.
    fn same_as_the_journal(&self) {
        let back = Rollout::fold(&self.disk.journal);
        let everybody = TENANTS.map(|tenant| (tenant.to_owned(), List::Enabled));
        let file = Wishes {
            enabled: true,
            percentage: Percentage::FULL,
            tenants: everybody.into(),
        };
        let known = |rollout: &Rollout| {
            let mut split = rollout.split(&self.settings.scheme);
            // Numbers given to orders that were not carried out are in no journal.
            split.generation = 0;
            // Where a resume was recorded and overtaken, the journal's latch is younger.
            split.latched_since = None;
            // What a file would change tells what was seen of it, and how tenants came
            // to be on their lists.
            let wishes = rollout.wishes(&file, true, self.wall);
            let wished: Vec<_> = wishes
                .entries
                .into_iter()
                .map(|entry| entry.after)
                .collect();
            let standing = (rollout.phase(), rollout.former(), rollout.spent());
            (split, standing, wished, wishes.refused)
        };
        assert_eq!(known(&back), known(&self.engine.rollout));
        // Where a resume was recorded and overtaken, the journal begins to prove anew.
        let here = self.engine.rollout.proof().steps();
        let proven = back.proof().steps();
        assert!(
            proven.iter().all(|taken| here.contains(taken)),
            "{proven:?}, {here:?}"
        );
        assert!(back.generation() <= self.engine.rollout.generation());
        assert!(back.sequence() <= self.engine.rollout.sequence());
        assert_eq!(
            self.disk.latch.is_some(),
            self.routing.latched,
            "the latch file"
        );
    }

    /// The disk is well again and everything on its way arrives.
    fn come_to_rest(&mut self) {
        self.doing = "comes to rest";
        self.disk.heal();
        for _ in 0..10_000 {
            self.disk_works();
            self.journal_answers();
            self.check();
            if self.is_quiet() && self.told.is_empty() {
                break;
            }
        }
        assert!(self.is_quiet(), "{:?} still waits", self.engine.pending);
        assert!(self.engine.is_durable(self.now));
        self.shadow.everybody_was_answered();
    }
}
