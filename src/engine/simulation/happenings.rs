//! What may happen in a life, and how often.

use std::time::Duration;

use super::*;
use crate::measure::totals::{Hour, Sums};

/// Something that happens, and how often among all.
pub(super) type Happening = (u64, &'static str, fn(&mut World));

pub(super) const HAPPENINGS: &[Happening] = &[
    (200, "tick", World::tick),
    (120, "ring", World::ring),
    (120, "leave", World::leave),
    (120, "answer", World::answer),
    (60, "speak", World::speak),
    (60, "end", World::end),
    (20, "call report", World::call_report),
    (12, "provider hangs up", World::provider_hangs_up),
    (30, "order", World::order),
    (25, "what lies outside answers", World::outside_answers),
    (6, "report", World::report),
    (10, "reload", World::reload),
    (110, "disk works", World::disk_works),
    (110, "journal answers", World::journal_answers),
    (10, "disk changes its mood", World::disk_mood),
    (10, "backends change their mood", World::backend_mood),
    (20, "time passes", World::time_passes),
    (3, "calendar steps", World::calendar_steps),
    (3, "crash", World::crash),
    (3, "stop", World::stop),
];

impl World {
    pub(super) fn tick(&mut self) {
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
            names: &Everybody,
        });
        let findings = &self.engine.findings;
        assert!(findings.len() >= self.settings.rules.len());
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
        let waives = Waives {
            window: self.random.permille(500),
            evidence: self.random.permille(500),
        };
        let order = Order {
            waives,
            actor: "operator via cli".to_owned(),
            reason: "it was my turn".to_owned(),
            command,
        };
        self.tell(Event::Order { ticket, order });
    }

    /// Or never does.
    fn outside_answers(&mut self) {
        let Some((id, moment)) = self.hooks.pop_front() else {
            return;
        };
        if self.random.permille(100) {
            return;
        }
        let agrees = self.random.permille(750);
        if moment == Moment::BeforeStage {
            self.note(match agrees {
                true => "what lies outside agreed",
                false => "what lies outside failed",
            });
        }
        let result = match agrees {
            true => Ok(()),
            false => Err("exit code 1".to_owned()),
        };
        self.tell(Event::Hooked { id, result });
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
            tenant: None,
            message: String::new(),
        }));
    }

    fn reload(&mut self) {
        let what = self.random.below(14);
        match what {
            10 | 12 | 13 => self.settings.plan = drawn::plan(&mut self.random),
            11 => self.settings.hooks = drawn::hooks(&mut self.random),
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
        if what != 9 {
            // Also a comment is another file.
            self.settings.config_hash = format!("{:012x}", self.step);
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
        let reread = Reread {
            actor: "SIGHUP".to_owned(),
            reason: "a new file".to_owned(),
            changed: vec!["a line".to_owned()],
        };
        let reread = match what {
            9 => Reread::default(),
            _ => reread,
        };
        self.tell(Event::Reload(fresh, reread));
    }

    pub(super) fn disk_works(&mut self) {
        if let Some(told) = self.disk.work() {
            self.told.extend(told);
        }
    }

    pub(super) fn journal_answers(&mut self) {
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
        let span = self.random.of(&[1, 1, 3, 10, 10, 30, 30, 90, 900, 4000]);
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
        self.begin_anew();
    }

    /// The process stops in order: a last look, then what is on its way is waited for, a
    /// while, and the engine ends. Where the disk was well nothing that was counted is lost.
    fn stop(&mut self) {
        self.tick();
        for _ in 0..100 {
            if self.engine.pending.is_none() {
                break;
            }
            self.disk_works();
            self.journal_answers();
        }
        let counted = self.counted();
        self.tell(Event::Ending);
        for _ in 0..100 {
            self.disk_works();
        }
        if self.engine.pending.is_none() && self.disk.is_done() {
            let journal = Rollout::fold(&self.disk.journal);
            assert_eq!(sums(journal.totals().hours.iter()), counted);
            self.note("stop");
        }
        self.begin_anew();
    }

    /// What was counted since the beginning, closed or not: reports, and calls on new.
    fn counted(&self) -> (u64, u64) {
        let mut running = self.engine.evidence.clone();
        let closed = self.engine.rollout.totals().hours.iter();
        let running = running.take_hour(self.now, self.wall, 0);
        sums(closed.chain(&self.engine.hours_due).chain(&running))
    }

    fn begin_anew(&mut self) {
        self.disk.crash(&mut self.random);
        let journal = Rollout::fold(&self.disk.journal);
        let latched = self.disk.latched_at_start(&journal);
        self.told.clear();
        self.hooks.clear();
        self.compared = None;
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
        if self.engine.rollout.stage().is_some() {
            self.note("restart in a stage");
        }
        let phase = self.engine.rollout.phase();
        self.shadow.restarted(&found, phase, &self.disk, self.now);
        self.routing = found;
        self.breakers = PerBackend::default();
        self.carry_out(first);
        self.look_at_the_stage(false);
    }
}

/// Reports of people, and calls begun on new.
fn sums<'a>(hours: impl Iterator<Item = &'a Hour>) -> (u64, u64) {
    hours.fold((0, 0), |(said, begun), hour| {
        let told = |side: &Sums| side.critical_errors + side.complaints;
        let PerBackend { legacy, new } = &hour.sides;
        (said + told(legacy) + told(new), begun + new.begun)
    })
}
