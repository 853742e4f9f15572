//! What is not a call: an operator's steps, a fault's beginning and end, reports from
//! outside, health checks.

use std::time::Duration;

use super::{Todo, World};
use crate::engine::Event;
use crate::health::Answer;
use crate::measure::{Cause, Health, Observation, ReportKind};
use crate::model::Backend;
use crate::rehearsal::scenario::What;
use crate::rollout::plan::Advance;
use crate::rollout::{Command, Order, Phase, Waives};

const MINUTE: Duration = Duration::from_secs(60);

impl World<'_> {
    /// The first step: the share that is wished for, or the plan's first stage.
    pub(super) fn begin(&mut self) {
        if let Some(share) = self.scenario.operator.sets {
            self.order(Command::Percentage(share), "the first step");
        } else if self.settings.plan.is_some() {
            self.try_to_advance();
        }
    }

    /// A person takes the next step where the plan leaves it to one, and tries again
    /// later whatever comes of it.
    pub(super) fn try_to_advance(&mut self) {
        let Some(plan) = self.settings.plan.as_deref() else {
            return;
        };
        let began = self.outcome.stages.last();
        let number = began
            .and_then(|began| {
                plan.stages
                    .iter()
                    .position(|stage| stage.name == began.name)
            })
            .map_or(0, |place| place + 1);
        let next = plan.stages.get(number);
        // A plan is always begun by a person, however it goes on.
        let asks = plan.advance == Advance::Manual
            || number == 0
            || next.is_some_and(|stage| stage.approval);
        let phase = self.phase();
        if asks && matches!(phase, Phase::Idle | Phase::Soaking) {
            self.order(Command::Advance, "the next stage");
        }
        if let Some(every) = self.scenario.operator.advances {
            self.later(every, Todo::Advance);
        }
    }

    pub(super) fn resume(&mut self) {
        if self.phase() == Phase::Held {
            self.order(Command::Resume { percentage: None }, "looked into");
        }
    }

    fn order(&mut self, command: Command, reason: &str) {
        // So that it is decided on what has been heard.
        self.look();
        self.handle(Event::Order {
            ticket: 1,
            order: Order {
                actor: "operator via rehearsal".to_owned(),
                reason: reason.to_owned(),
                waives: Waives::default(),
                command,
            },
        });
    }

    pub(super) fn begin_fault(&mut self, number: usize) {
        self.look();
        if !self.faults.begin(number, self.now) {
            return;
        }
        let at = self.seen().at;
        self.outcome.fault_at.get_or_insert(at);
        let fault = self.faults.get(number);
        let reports = match fault.what {
            What::CriticalErrors(count) | What::Complaints(count) | What::Incidents(count) => count,
            _ => 0,
        };
        if let Some(lasts) = fault.lasts {
            self.later(lasts, Todo::Mended(number));
        }
        if reports > 0 {
            self.report_fault(number, reports);
        }
    }

    /// One of so many reports that are left.
    pub(super) fn report_fault(&mut self, number: usize, left: u32) {
        let fault = self.faults.get(number);
        let (kind, message) = match fault.what {
            What::CriticalErrors(_) => (ReportKind::CriticalError, "a booking was overwritten"),
            What::Complaints(_) => (ReportKind::Complaint, "the line was silent"),
            What::Incidents(_) => (ReportKind::Incident, "callers hear nothing"),
            _ => return,
        };
        let (on, tenant) = (fault.on, fault.tenants.first().cloned());
        for backend in Backend::ALL {
            if on[backend] {
                self.report(backend, kind, tenant.clone(), message);
            }
        }
        self.look();
        if left > 1 {
            self.later(MINUTE, Todo::Report(number, left - 1));
        }
    }

    /// Both backends report their gauges.
    pub(super) fn gauges(&mut self) {
        for backend in Backend::ALL {
            let usual = self.scenario.habits[backend];
            let habits = self.faults.habits(usual, backend, None, self.now);
            if let Some(share) = habits.memory {
                self.report(backend, ReportKind::MemoryUsed(share), None, "memory");
            }
            if let Some(share) = habits.cpu {
                self.report(backend, ReportKind::CpuUsed(share), None, "processor");
            }
        }
        self.later(MINUTE, Todo::Gauges);
    }

    /// A backend is asked how it is.
    pub(super) fn check(&mut self, backend: Backend) {
        let Some(settings) = &self.settings.health[backend] else {
            return;
        };
        let every = settings.every;
        let usual = self.scenario.habits[backend];
        let habits = self.faults.habits(usual, backend, None, self.now);
        let answer = if habits.down {
            Answer::Missing(Cause::Connect)
        } else if self.random.chance(habits.unhealthy) {
            Answer::Status(500)
        } else {
            Answer::Well
        };
        self.tell(Observation::Health(Health {
            at: self.now,
            backend,
            answer,
            took_us: 2000,
        }));
        self.later(every, Todo::Check(backend));
    }
}
