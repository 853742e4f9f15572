//! Whoever calls: placed by the split in force, answered as the backends do just then,
//! rescued by legacy where the route allows it.

use std::time::Duration;

use jiff::Timestamp;

use super::{Todo, World};
use crate::breaker;
use crate::calls::rescue::Mode;
use crate::engine::{Event, Reported};
use crate::measure::{
    Answered, CallEnd, Cause, Ended, Kind, Observation, Outcome, Placed, ReportKind, RescueResult,
    Rescued, Why,
};
use crate::model::{Backend, Tick};
use crate::rehearsal::lives::Life;
use crate::rehearsal::scenario::Habits;
use crate::split::{Because, Subject, Tenant};

/// Telephones that calls come from.
const CALLERS: u64 = 100_000;
/// What a call that nobody answered takes until it is over.
const GIVES_UP: Duration = Duration::from_secs(2);
/// The last webhook of a call comes within so many seconds, whoever many there are.
const FIRST_MINUTE: f64 = 40.0;
/// So much slower than usual is a caller's matter.
const FELT: f64 = 1.5;

/// What a backend made of a webhook.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    backend: Backend,
    outcome: Outcome,
    /// None where nothing was measured.
    latency: Option<Duration>,
    speech: Option<bool>,
}

impl World<'_> {
    /// Somebody calls, and somebody else will.
    pub(super) fn call(&mut self) {
        let rate = self.rate();
        if rate <= 0.0 {
            // Nobody does in this hour.
            let until = self.hourly.1.since(self.now);
            self.later(until, Todo::Call);
            return;
        }
        let gap = self.random.gap(3600.0 / rate);
        self.later(Duration::from_secs_f64(gap), Todo::Call);
        // Nobody dials at the very moment a play begins.
        if self.number > 0 {
            self.begin_call();
        }
        self.number += 1;
    }

    /// Calls an hour that begin now.
    fn rate(&mut self) -> f64 {
        if self.now >= self.hourly.1 {
            let at = Timestamp::from_millisecond(self.wall().0).unwrap_or(Timestamp::UNIX_EPOCH);
            let here = at.to_zoned(self.zone());
            let day = here.weekday().to_monday_zero_offset();
            let hour = i16::from(day) * 24 + i16::from(here.hour());
            let rate = self.scenario.traffic.at(usize::try_from(hour).unwrap_or(0));
            let into = i32::from(here.minute()) * 60 + i32::from(here.second());
            let left = u64::try_from(3600 - into).unwrap_or(3600).max(1);
            self.hourly = (rate, self.now + Duration::from_secs(left));
        }
        self.hourly.0
    }

    fn begin_call(&mut self) {
        let callers = &self.scenario.callers;
        let tenant = callers.drawn(self.random.unit());
        let (id, key) = callers.get(tenant);
        let call = format!("rehearsal-{}", self.number);
        let caller = format!("+1555{:07}", self.random.next() % CALLERS);
        let placement = self.split.place(&Subject {
            tenant: Tenant::Known(id),
            call: Some(&call),
            caller: Some(&caller),
        });
        let drawn = (self.random.unit(), self.random.unit());
        let luck = match self.scenario.dealt {
            true => dealt(self.outcome.counts.calls[placement.backend]),
            false => drawn,
        };
        let generation = self.split.generation;
        if self.split.stopped {
            // The line is shut: a few last words, and no backend hears of it.
            self.outcome.counts.lost += 1;
            return;
        }
        let backend = placement.backend;
        self.outcome.counts.calls[backend] += 1;
        self.active[backend] += 1;
        if backend == Backend::New
            && let Some(stage) = self.outcome.stages.last_mut()
        {
            stage.calls += 1;
        }
        if self.faults.hit(backend, id) {
            self.calls_since_fault += 1;
        }
        let after_latch = self.split.latched && backend == Backend::New;
        self.outcome.counts.after_latch += u64::from(after_latch);
        let now = self.now;
        let life = Life::new(tenant, key, placement, generation, now, luck);
        self.tell(Observation::Placed(Placed {
            at: now,
            placement,
            call: None,
            begins: true,
            after_latch,
            starts: true,
        }));
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.lives.push(None);
                self.lives.len() - 1
            }
        };
        self.lives[place] = Some(life);
        self.ask(place);
    }

    /// A webhook of a call comes.
    pub(super) fn ask(&mut self, place: usize) {
        let Some(mut life) = self.lives[place] else {
            return;
        };
        self.move_if_asked(&mut life);
        let backend = life.backend;
        let speech = self
            .habits(&life, backend)
            .speech
            .filter(|_| life.asked > 0);
        let mut reply = self.reply(&life, backend);
        reply.speech = speech.map(|share| self.random.chance(share));
        self.meet(&mut life, &reply);
        let after = self.scenario.edge.rescue_after;
        let took = reply.latency.unwrap_or(Duration::from_millis(1));
        if took > after && self.has_remedy(&life) {
            // New's answer is still awaited and measured; the call goes on elsewhere.
            let at = self.now + took;
            let answered = answered(&mut life.clone(), &reply, at);
            self.later(took, Todo::Tell(Box::new(answered)));
            self.lives[place] = Some(life);
            self.later(
                after,
                Todo::Answer(
                    place,
                    Reply {
                        outcome: LATE,
                        ..reply
                    },
                ),
            );
            return;
        }
        self.lives[place] = Some(life);
        self.later(took, Todo::Answer(place, reply));
    }

    /// Its answer is there, or the failure is certain.
    pub(super) fn answer(&mut self, place: usize, reply: Reply) {
        let Some(mut life) = self.lives[place] else {
            return;
        };
        let late = reply.outcome == LATE;
        if !late {
            let answered = answered(&mut life, &reply, self.now);
            self.tell(answered);
        }
        let failed = reply.outcome != Outcome::Served;
        if failed && self.has_remedy(&life) {
            self.rescue(&mut life, reply, late);
        } else if failed {
            life.lost = true;
        } else {
            life.answered = true;
        }
        life.asked += 1;
        self.outcome.counts.lost += u64::from(life.lost);
        let webhooks = self.scenario.webhooks.max(1);
        if life.lost {
            self.later(GIVES_UP, Todo::Hangup(place));
        } else if life.asked < webhooks {
            let gap = FIRST_MINUTE / f64::from(webhooks);
            let gap = gap * (0.5 + 0.5 * self.random.unit());
            self.later(Duration::from_secs_f64(gap), Todo::Ask(place));
        } else {
            let left = self.left(&mut life);
            self.later(left, Todo::Hangup(place));
        }
        self.lives[place] = Some(life);
    }

    /// It is over.
    pub(super) fn hangup(&mut self, place: usize) {
        let Some(life) = self.lives[place].take() else {
            return;
        };
        self.free.push(place);
        self.active[life.backend] -= 1;
        let lasted = self.now.since(life.began);
        let end = if life.lost {
            CallEnd::Failed
        } else if !life.stays {
            if lasted < self.scenario.edge.short {
                CallEnd::Short
            } else {
                CallEnd::Abandoned
            }
        } else {
            CallEnd::Served
        };
        let (id, _) = self.scenario.callers.get(life.tenant);
        let habits = self.habits_of(life.backend, id);
        let made = match end {
            CallEnd::Served => self.random.whole(habits.transactions),
            _ => 0,
        };
        self.tell(ended(&life, end, self.now));
        if made > 0 {
            self.report(
                life.backend,
                ReportKind::Transactions(made),
                None,
                "bookings",
            );
        }
    }

    /// How long a call goes on after its last webhook, and whether its caller stays.
    fn left(&mut self, life: &mut Life) -> Duration {
        let habits = self.habits(life, life.backend);
        life.stays = life.patience >= habits.abandonment;
        let usual = self.scenario.habits[life.backend];
        if !life.stays && life.patience >= usual.abandonment {
            self.met(life);
        }
        let lasts = if life.stays {
            self.random.around(habits.duration_s, 0.5)
        } else {
            self.random.around(45.0, 0.3)
        };
        let lasts = Duration::from_secs_f64(lasts.clamp(1.0, 14_000.0));
        let so_far = self.now.since(life.began);
        lasts.saturating_sub(so_far).max(Duration::from_secs(1))
    }

    /// What a backend makes of a webhook just now.
    fn reply(&mut self, life: &Life, backend: Backend) -> Reply {
        let reply = |outcome, latency| Reply {
            backend,
            outcome,
            latency,
            speech: None,
        };
        if backend == Backend::New && !self.lets_through() {
            return reply(Outcome::Failed(Cause::Breaker), None);
        }
        let habits = self.habits(life, backend);
        if habits.down {
            return reply(Outcome::Failed(Cause::Connect), None);
        }
        let took = self.random.around(habits.response_ms, habits.spread);
        let took = Duration::from_secs_f64(took.clamp(0.1, 3_600_000.0) / 1000.0);
        let timeout = self.scenario.edge.timeout;
        if took >= timeout {
            return reply(Outcome::Failed(Cause::Timeout), Some(timeout));
        }
        let outcome = if life.luck < habits.errors {
            Outcome::Failed(Cause::Status)
        } else if life.luck < habits.errors + habits.documents {
            Outcome::Failed(Cause::Document)
        } else {
            Outcome::Served
        };
        reply(outcome, Some(took))
    }

    /// Does new's breaker let this one through?
    fn lets_through(&mut self) -> bool {
        match self.breakers.new {
            breaker::State::Closed => true,
            breaker::State::Open => false,
            breaker::State::HalfOpen => {
                let free = self.now >= self.trial;
                if free {
                    self.trial = self.now + Duration::from_secs(1);
                }
                free
            }
        }
    }

    /// May legacy answer in new's place?
    fn has_remedy(&self, life: &Life) -> bool {
        let edge = &self.scenario.edge;
        let allowed = match edge.rescue {
            Mode::Off => false,
            Mode::Start => life.asked == 0,
            Mode::Every => life.asked == 0 || edge.entry,
        };
        allowed && life.backend == Backend::New
    }

    /// Legacy is asked in new's place, and has the call from now on.
    fn rescue(&mut self, life: &mut Life, reply: Reply, late: bool) {
        let failed = self.reply(life, Backend::Legacy).outcome != Outcome::Served;
        let why = match reply.outcome {
            _ if late => Why::Late,
            Outcome::Failed(Cause::Breaker) => Why::Kept,
            _ => Why::Failed,
        };
        let result = if failed {
            RescueResult::Failed
        } else {
            RescueResult::Served
        };
        self.tell(Observation::Rescued(Rescued {
            at: self.now,
            route: 0,
            call: None,
            from: Backend::New,
            why,
            result,
            counts: true,
        }));
        if failed {
            life.lost = true;
            return;
        }
        self.outcome.counts.rescued += 1;
        self.rescued_since_fault += u64::from(life.met);
        self.tell(ended(life, CallEnd::Rescued, self.now));
        self.active.new -= 1;
        self.active.legacy += 1;
        life.leave();
        life.placement.because = Because::Rescued;
        let took = Some(Duration::from_secs_f64(
            self.scenario.habits.legacy.response_ms / 1000.0,
        ));
        let by_legacy = Reply {
            backend: Backend::Legacy,
            outcome: Outcome::Served,
            latency: took,
            speech: None,
        };
        let answered = answered(life, &by_legacy, self.now);
        self.tell(answered);
    }

    /// A call on new whose next one would go to legacy, where live calls are moved.
    fn move_if_asked(&mut self, life: &mut Life) {
        let moves = self.split.moves_live && self.scenario.edge.entry;
        if !moves || life.backend == Backend::Legacy || life.asked == 0 {
            return;
        }
        let (id, _) = self.scenario.callers.get(life.tenant);
        let next = self.split.place(&Subject {
            tenant: Tenant::Known(id),
            call: None,
            caller: None,
        });
        if next.backend == Backend::Legacy {
            self.active.new -= 1;
            self.active.legacy += 1;
            life.leave();
            life.placement.because = Because::Moved;
        }
    }

    /// Has this caller met a fault by this reply?
    fn meet(&mut self, life: &mut Life, reply: &Reply) {
        let (id, _) = self.scenario.callers.get(life.tenant);
        if life.met || !self.faults.hit(reply.backend, id) {
            return;
        }
        let usual = self.scenario.habits[reply.backend];
        let slow = self.habits_of(reply.backend, id).response_ms > usual.response_ms * FELT;
        if slow || reply.outcome != Outcome::Served {
            self.met(life);
        }
    }

    fn met(&mut self, life: &mut Life) {
        if !life.met && self.faults.began.is_some() {
            life.met = true;
            self.outcome.counts.met += 1;
            self.faults.met.get_or_insert(self.now);
        }
    }

    fn habits(&self, life: &Life, backend: Backend) -> Habits {
        self.habits_of(backend, self.scenario.callers.get(life.tenant).0)
    }

    fn habits_of(&self, backend: Backend, tenant: &str) -> Habits {
        let usual = self.scenario.habits[backend];
        self.faults.habits(usual, backend, Some(tenant), self.now)
    }

    /// Something is reported from outside.
    pub(super) fn report(
        &mut self,
        backend: Backend,
        kind: ReportKind,
        tenant: Option<String>,
        message: &str,
    ) {
        let reported = Reported {
            id: None,
            kind,
            backend,
            tenant,
            message: message.to_owned(),
        };
        self.handle(Event::Report(reported));
    }
}

/// Stands for an answer that is awaited no longer.
const LATE: Outcome = Outcome::Failed(Cause::Full);

/// The number's turn in a sequence that fills the square evenly (Roberts' R2, made of
/// the plastic number).
fn dealt(number: u64) -> (f64, f64) {
    const STEP: (f64, f64) = (0.754_877_666_246_692_7, 0.569_840_290_998_053_3);
    let number = number as f64;
    (
        (0.5 + number * STEP.0).fract(),
        (0.5 + number * STEP.1).fract(),
    )
}

fn answered(life: &mut Life, reply: &Reply, at: Tick) -> Observation {
    let micros = |took: Duration| u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
    Observation::Answered(Answered {
        at,
        backend: reply.backend,
        route: 0,
        kind: Kind::Voice,
        outcome: reply.outcome,
        latency_us: reply.latency.map(micros),
        overhead_us: 50,
        flaw: None,
        voice: life.voice(reply.outcome != Outcome::Served, at),
        speech: reply.speech,
        choice: None,
        data_us: None,
        counts: true,
        generation: life.generation,
        call: None,
    })
}

fn ended(life: &Life, end: CallEnd, at: Tick) -> Observation {
    let lasted = at.since(life.began).as_secs();
    Observation::Ended(Ended {
        at,
        began: life.began,
        backend: life.backend,
        tenant: life.key,
        end,
        duration_s: (end != CallEnd::Rescued).then(|| u32::try_from(lasted).unwrap_or(u32::MAX)),
        generation: life.generation,
        counts: true,
        failed: matches!(end, CallEnd::Failed | CallEnd::Rescued),
    })
}
