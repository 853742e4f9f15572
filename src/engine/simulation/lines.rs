//! The callers: calls that ring, wait, speak and hang up, in a single-threaded table
//! over the same step functions that the real one uses.

use std::collections::BTreeMap;

use super::super::bench::Random;
use super::TENANTS;
use crate::calls::{self, Call, Fate, Flags, Hints};
use crate::document::Does;
use crate::measure::{Answered, Cause, Fault, Kind, Observation, Outcome, Placed};
use crate::model::{Backend, CallKey, PerBackend, Tick, Wall};
use crate::protocol::{CallEvent, EventKind, Facts, Final, FinalStatus, HungUp};
use crate::split::{Because, Placement, Split, Subject, Tenant, Token};

const SHORT: std::time::Duration = std::time::Duration::from_secs(2);

/// Calls at once; while there are so many nobody else gets through.
const MOST: usize = 60;

#[derive(Debug)]
pub(super) struct Lines {
    table: BTreeMap<u64, Line>,
    next: u64,
    /// Tenants that have callers: with fewer than four no weight is cut.
    pub(super) tenants: usize,
    mood: PerBackend<Mood>,
}

/// What a backend does to calls, in a thousand.
#[derive(Clone, Copy, Debug, Default)]
struct Mood {
    fails: u64,
    slow: u64,
    loses: u64,
    breaks: u64,
}

#[derive(Clone, Debug)]
struct Line {
    call: Call,
    id: String,
    tenant: usize,
    /// A webhook of it waits for an answer.
    waits: Waits,
    /// Where its first voice webhook went.
    started_on: Option<Backend>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Waits {
    Not,
    /// To leave for its backend.
    Here,
    /// For the backend's answer, since then.
    There(Tick),
}

impl Line {
    fn subject(&self) -> Subject<'_> {
        Subject {
            tenant: Tenant::Known(TENANTS[self.tenant]),
            call: Some(&self.id),
            caller: Some(&self.id),
        }
    }
}

impl Lines {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            table: BTreeMap::new(),
            next: 1,
            tenants: random.of(&[1, 2, 3, TENANTS.len()]),
            mood: PerBackend::default(),
        }
    }

    pub(super) fn mood(&mut self, random: &mut Random) {
        let new = random.below(12);
        let share = |which, often| if new == which { often } else { 0 };
        self.mood.new = Mood {
            fails: share(0, 1000) + share(1, 300) + share(2, 40),
            slow: share(3, 1000) + share(4, 400),
            loses: share(5, 800) + share(6, 200),
            breaks: share(7, 700) + share(8, 200),
        };
        self.mood.legacy = Mood {
            fails: if random.permille(100) { 500 } else { 0 },
            ..Mood::default()
        };
    }

    /// A webhook of an unknown call.
    pub(super) fn ring(
        &mut self,
        random: &mut Random,
        split: &Split,
        now: Tick,
    ) -> Option<Observation> {
        if self.table.len() >= MOST {
            return None;
        }
        let kind = match random.below(20) {
            0..=3 => EventKind::Progress,
            4 => EventKind::Step,
            5 => EventKind::Report,
            _ => EventKind::Start,
        };
        let parent = random
            .permille(60)
            .then(|| self.any(random, |_| true))
            .flatten();
        let number = self.next;
        self.next += 1;
        let mut line = Line {
            call: Call::placed(Placement::legacy(Because::Late), Flags::NONE, 0, now),
            id: format!("CA{number}"),
            tenant: random.index(self.tenants),
            waits: Waits::Not,
            started_on: None,
        };
        let event = CallEvent {
            parent: parent.map(|parent| self.table[&parent].id.clone().into()),
            ..event(&line.id, kind)
        };
        let parent = parent.map(|parent| &self.table[&parent].call);
        let hints = hints(random, split);
        let first = calls::first(&event, &line.subject(), hints, split, parent, now);
        // An event that comes late goes where its call is or was, and begins none.
        let token = hints.token.map(|token| split.follow(token).because);
        let goes_on = hints.claimed.is_some() || token == Some(Because::Token);
        if split.latched && parent.is_none() && !goes_on {
            assert_eq!(
                first.placement.backend,
                Backend::Legacy,
                "placed on new while latched"
            );
        }
        let placed = Observation::Placed(Placed {
            at: now,
            placement: first.placement,
            call: None,
            begins: first.call.is_some()
                && event.parent.is_none()
                && first.placement.because != Because::Token,
            after_latch: false,
            starts: false,
        });
        drop(event);
        if let Some(call) = first.call {
            line.call = call;
            if matches!(kind, EventKind::Start | EventKind::Step) {
                line.waits = Waits::Here;
            }
            self.table.insert(number, line);
        }
        Some(placed)
    }

    /// A webhook leaves for its backend; the routing is read just before.
    pub(super) fn leave(
        &mut self,
        random: &mut Random,
        split: &Split,
        now: Tick,
    ) -> Option<Observation> {
        let number = self.any(random, |line| line.waits == Waits::Here)?;
        let line = self.table.get_mut(&number)?;
        line.waits = Waits::There(now);
        let starts = !line.call.flags().has(Flags::STARTED);
        if starts {
            let mut call = line.call;
            call.start(&line.subject(), split);
            line.call = call;
            line.started_on = Some(call.backend());
        }
        let on_new = line.call.backend() == Backend::New;
        let after_latch = starts && on_new && split.latched && !line.call.follows();
        assert!(
            !after_latch,
            "a call starts on new after the latch: {line:?}"
        );
        starts.then(|| {
            Observation::Placed(Placed {
                at: now,
                placement: Placement {
                    backend: line.call.backend(),
                    because: line.call.because(),
                },
                call: None,
                begins: false,
                after_latch,
                starts,
            })
        })
    }

    /// A backend answers.
    pub(super) fn answer(&mut self, random: &mut Random, now: Tick) -> Option<Observation> {
        let number = self.any(random, |line| matches!(line.waits, Waits::There(_)))?;
        let mood = self.mood[self.table[&number].call.backend()];
        let latency_ms = if random.permille(mood.slow) {
            9000
        } else {
            300
        };
        let outcome = if random.permille(mood.fails) {
            Outcome::Failed(random.of(&[Cause::Status, Cause::Timeout, Cause::Connect]))
        } else {
            Outcome::Served
        };
        Some(self.settle(number, outcome, latency_ms, now))
    }

    /// The provider hangs up on us while we wait.
    pub(super) fn provider_hangs_up(
        &mut self,
        random: &mut Random,
        now: Tick,
    ) -> Option<Observation> {
        let number = self.any(random, |line| matches!(line.waits, Waits::There(_)))?;
        Some(self.settle(number, Outcome::Failed(Cause::ClientGone), 400, now))
    }

    fn settle(&mut self, number: u64, outcome: Outcome, latency_ms: u32, now: Tick) -> Observation {
        let line = self
            .table
            .get_mut(&number)
            .expect("it was picked from the table");
        line.waits = Waits::Not;
        let failed = match outcome {
            Outcome::Served => Some(false),
            Outcome::Failed(Cause::ClientGone) => None,
            Outcome::Failed(_) => Some(true),
        };
        let voice = line.call.heard(
            failed,
            Does {
                serves: false,
                ends: false,
            },
            false,
            now,
        );
        Observation::Answered(Answered {
            at: now,
            backend: line.call.backend(),
            route: 0,
            kind: Kind::Voice,
            outcome,
            latency_us: Some(latency_ms * 1000),
            overhead_us: 10,
            flaw: None,
            voice,
            speech: None,
            choice: None,
            data_us: None,
            counts: true,
            generation: line.call.generation(),
            call: Some(CallKey(number)),
        })
    }

    /// A caller goes on, or one known by events alone is answered at last.
    pub(super) fn speak(&mut self, random: &mut Random, now: Tick) {
        let Some(number) = self.any(random, |line| {
            line.waits == Waits::Not && !line.call.has_ended()
        }) else {
            return;
        };
        let line = self
            .table
            .get_mut(&number)
            .expect("it was picked from the table");
        let mut call = line.call;
        call.step(Facts::default(), &line.subject(), now);
        line.call = call;
        line.waits = Waits::Here;
    }

    /// A call is over.
    pub(super) fn end(&mut self, random: &mut Random, now: Tick) -> Option<Observation> {
        let number = self.any(random, |line| {
            line.waits == Waits::Not && !line.call.has_ended()
        })?;
        let line = self.table.get_mut(&number)?;
        let mood = self.mood[line.call.backend()];
        let loses = random.permille(mood.loses);
        let status = if random.permille(mood.breaks) {
            FinalStatus::Failed(Fault::Backend)
        } else {
            // Every other end there is, and a carrier that fails now and then.
            let rare = [
                FinalStatus::Transferred,
                FinalStatus::NotReached,
                FinalStatus::Canceled,
                FinalStatus::Failed(Fault::Provider),
            ];
            match random.permille(150) {
                true => random.of(&rare),
                false => FinalStatus::Completed,
            }
        };
        let last = Final {
            status,
            by: Some(if loses {
                HungUp::Caller
            } else {
                HungUp::Callee
            }),
            duration_s: Some(30),
            report_follows: random.permille(200),
        };
        let ended = line.call.end(&last, false, SHORT, now);
        if !line.call.awaits_report() {
            self.table.remove(&number);
        }
        ended.map(Observation::Ended)
    }

    /// The report about a call that is over comes at last, or again.
    pub(super) fn report(&mut self, random: &mut Random, now: Tick) -> Option<Observation> {
        let number = self.any(random, |line| line.call.awaits_report())?;
        let line = self.table.get_mut(&number)?;
        let last = Final {
            status: random.of(&[FinalStatus::Completed, FinalStatus::Transferred]),
            by: Some(HungUp::Caller),
            duration_s: Some(30),
            report_follows: random.permille(200),
        };
        let ended = line.call.end(&last, false, SHORT, now);
        assert_eq!(ended.is_some(), !line.call.awaits_report(), "told once");
        ended.map(Observation::Ended)
    }

    pub(super) fn sweep(&mut self, now: Tick, out: &mut Vec<Observation>) {
        self.table.retain(|_, line| match line.call.fate(now) {
            Fate::Stays => true,
            Fate::Told(ended) => {
                out.push(Observation::Ended(ended));
                true
            }
            Fate::Forgotten => false,
            Fate::Expired(ended) => {
                out.extend(ended.map(Observation::Ended));
                false
            }
        });
    }

    pub(super) fn drop_provisional(&mut self, split: &Split) {
        assert!(
            split.latched,
            "provisional pins are dropped for a latch that is in force"
        );
        for line in self.table.values_mut() {
            line.call.drop_provisional();
        }
    }

    /// Pins are saved as they come and not synced: most are read back.
    pub(super) fn crash(&mut self, random: &mut Random) {
        self.table.retain(|_, _| !random.permille(200));
        for line in self.table.values_mut() {
            line.call = Call::restored(line.call.pin());
            line.waits = match line.waits {
                // The provider asks again.
                Waits::Here | Waits::There(_) if random.permille(500) => Waits::Here,
                _ => Waits::Not,
            };
        }
    }

    pub(super) fn active(&self) -> PerBackend<u64> {
        PerBackend::from_fn(|backend| {
            let on = |line: &&Line| line.call.is_active() && line.call.backend() == backend;
            self.table.values().filter(on).count() as u64
        })
    }

    /// A call that has started stays where it started.
    pub(super) fn check(&self) {
        for line in self.table.values() {
            if let Some(backend) = line.started_on {
                assert_eq!(line.call.backend(), backend, "a call has moved: {line:?}");
            }
        }
    }

    fn any(&self, random: &mut Random, which: impl Fn(&Line) -> bool) -> Option<u64> {
        let fit: Vec<_> = self
            .table
            .iter()
            .filter(|(_, line)| which(line))
            .map(|(number, _)| *number)
            .collect();
        (!fit.is_empty()).then(|| random.of(&fit))
    }
}

/// Now and then a backend started the call itself, or its URL remembers it.
fn hints(random: &mut Random, split: &Split) -> Hints {
    let backend = random.of(&Backend::ALL);
    let began = split.latched_since.map_or(0, |since| since.0);
    let shift = i64::from(random.permille(500));
    Hints {
        claimed: random.permille(20).then_some(backend),
        token: random.permille(20).then_some(Token {
            backend,
            began: Wall(began - shift),
        }),
        wall: Wall(began + 60_000),
    }
}

fn event(id: &str, kind: EventKind) -> CallEvent<'_> {
    CallEvent::new(Some(id.into()), kind)
}
