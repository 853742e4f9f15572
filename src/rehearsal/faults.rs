//! Which faults are on, and what they make of a backend's habits.

use std::time::Duration;

use super::scenario::{Fault, Habits, What, When};
use crate::model::{Backend, Tick};

/// The faults of a play.
#[derive(Debug)]
pub(super) struct Faults {
    all: Vec<Staged>,
    /// When the first began.
    pub(super) began: Option<Tick>,
    /// When a caller first met one.
    pub(super) met: Option<Tick>,
}

#[derive(Debug)]
struct Staged {
    fault: Fault,
    /// Since when it is on; None while it is not.
    since: Option<Tick>,
}

impl Faults {
    pub(super) fn new(faults: &[Fault]) -> Self {
        let all = faults
            .iter()
            .map(|fault| Staged {
                fault: fault.clone(),
                since: None,
            })
            .collect();
        Self {
            all,
            began: None,
            met: None,
        }
    }

    /// Those that begin so long after the first step was allowed, by their numbers.
    pub(super) fn timed(&self) -> Vec<(usize, Duration)> {
        self.when(|when| match when {
            When::After(span) => Some(*span),
            When::Stage(..) => None,
        })
    }

    /// Those that begin so long after this stage, by their numbers.
    pub(super) fn of_stage(&self, stage: &str) -> Vec<(usize, Duration)> {
        self.when(|when| match when {
            When::Stage(name, span) if name == stage => Some(*span),
            When::Stage(..) | When::After(_) => None,
        })
    }

    fn when(&self, of: impl Fn(&When) -> Option<Duration>) -> Vec<(usize, Duration)> {
        let all = self.all.iter().enumerate();
        all.filter_map(|(number, staged)| Some((number, of(&staged.fault.at)?)))
            .collect()
    }

    pub(super) fn get(&self, number: usize) -> &Fault {
        &self.all[number].fault
    }

    /// It begins now. False: it is on already.
    pub(super) fn begin(&mut self, number: usize, now: Tick) -> bool {
        let staged = &mut self.all[number];
        self.began.get_or_insert(now);
        staged.since.replace(now).is_none()
    }

    pub(super) fn end(&mut self, number: usize) {
        self.all[number].since = None;
    }

    /// Is one of them on for new calls of this kind?
    pub(super) fn hit(&self, backend: Backend, tenant: &str) -> bool {
        self.on(backend, Some(tenant)).next().is_some()
    }

    /// How a backend does now for this tenant; None: for nobody's calls, its health
    /// checks and gauges.
    pub(super) fn habits(
        &self,
        usual: Habits,
        backend: Backend,
        tenant: Option<&str>,
        now: Tick,
    ) -> Habits {
        self.on(backend, tenant)
            .fold(usual, |habits, (what, since)| {
                habits.with(what, now.since(since))
            })
    }

    fn on<'a>(
        &'a self,
        backend: Backend,
        tenant: Option<&'a str>,
    ) -> impl Iterator<Item = (What, Tick)> + 'a {
        self.all.iter().filter_map(move |Staged { fault, since }| {
            let hits = match tenant {
                Some(tenant) => fault.hits(backend, tenant),
                None => fault.on[backend] && fault.tenants.is_empty(),
            };
            Some((fault.what, (*since).filter(|_| hits)?))
        })
    }
}

impl Habits {
    fn with(mut self, what: What, on_for: Duration) -> Self {
        match what {
            What::Errors(share) => self.errors = self.errors.max(share),
            What::Documents(share) => self.documents = self.documents.max(share),
            What::Slow(mean) => self.response_ms = mean,
            What::Down => self.down = true,
            What::CrashLoop(up, gone) => {
                let round = (up + gone).as_micros().max(1);
                self.down |= on_for.as_micros() % round >= up.as_micros();
            }
            What::Abandonment(share) => self.abandonment = share,
            What::Speech(share) => self.speech = Some(share),
            What::Lasting(mean) => self.duration_s = mean,
            What::Transactions(lost) => self.transactions *= 1.0 - lost,
            What::Memory(share) => self.memory = Some(share),
            What::Cpu(share) => self.cpu = Some(share),
            What::Unhealthy(share) => self.unhealthy = share,
            What::CriticalErrors(_) | What::Complaints(_) | What::Incidents(_) => {}
        }
        self
    }
}
