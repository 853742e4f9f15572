//! Which backends can be asked at all: their breakers and their health.
//!
//! A latch does not touch a breaker: it says where calls go, not how a backend does.
//! What a breaker does is told, counted and shown; it is no step of the rollout, so the
//! journal has no entry of it.

use super::{Effect, Engine, Notice, Settings, Severity};
use crate::breaker::{self, Breaker, Heard};
use crate::health::{self, Health};
use crate::measure::{self, Observation};
use crate::model::{Backend, PerBackend, Tick, Wall};
use crate::rules::evidence::{Evidence, LEGACY_IS_DOWN, LEGACY_IS_OPEN};

/// Both breakers and both healths. The engine's own; a replay judges with one as well.
#[derive(Debug)]
pub struct Guard {
    pub(super) sides: PerBackend<Side>,
    /// What requests were last told.
    published: PerBackend<breaker::State>,
    /// Opens that were taken notice of.
    seen: PerBackend<u64>,
    notices: Vec<Notice>,
    /// It was told that both are failing, and that was last so then.
    pub(super) both: Option<Tick>,
}

/// One backend's two.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) breaker: Option<Breaker>,
    pub(super) health: Option<Health>,
}

/// What changed at a tick.
#[derive(Debug, Default)]
pub struct Step {
    /// What requests must see from now on.
    pub publish: Option<PerBackend<breaker::State>>,
    /// Whose breaker opened.
    pub opened: Vec<Backend>,
    /// What to tell people.
    pub notices: Vec<Notice>,
}

/// What operators see of one backend's breaker and health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardStatus {
    /// Where its breaker stands; None: it has none.
    pub breaker: Option<breaker::State>,
    /// Times it opened since it is there.
    pub opens: u64,
    /// Times it opened in the last hour.
    pub opens_last_hour: u32,
    /// Why it is not closed.
    pub because: Option<String>,
    /// Its health; None: it is not asked for.
    pub health: Option<HealthStatus>,
}

/// What operators see of a backend's health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthStatus {
    /// Up, down or not known yet.
    pub state: health::State,
    /// Since when.
    pub since: Wall,
    /// What the last checks said.
    pub because: String,
}

impl Engine {
    /// What the breakers and health checks say, before the rows are asked.
    pub(super) fn guard(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let step = self.guard.advise(&mut self.evidence, now);
        effects.extend(step.publish.map(Effect::Breakers));
        effects.extend(step.notices.into_iter().map(Effect::Say));
    }
}

impl Guard {
    /// Breakers closed, health not known.
    pub fn new(settings: &Settings, now: Tick) -> Self {
        let mut guard = Self {
            sides: PerBackend::from_fn(|_| Side {
                breaker: None,
                health: None,
            }),
            published: PerBackend::default(),
            seen: PerBackend::default(),
            notices: Vec::new(),
            both: None,
        };
        guard.set(settings, now);
        guard
    }

    /// Obeys other settings; what stays asked for stays as it is.
    pub(super) fn set(&mut self, settings: &Settings, now: Tick) {
        for backend in Backend::ALL {
            let side = &mut self.sides[backend];
            match (&mut side.breaker, settings.breakers[backend]) {
                (Some(breaker), Some(settings)) => breaker.set(settings, now),
                (breaker, settings) => {
                    *breaker = settings.map(|settings| Breaker::new(settings, now));
                    self.seen[backend] = 0;
                }
            }
            match (&mut side.health, settings.health[backend].clone()) {
                (Some(health), Some(settings)) => health.set(settings, now),
                (health, settings) => {
                    *health = settings.map(|settings| Health::new(settings, now));
                }
            }
        }
    }

    /// Somebody gives new more calls: whatever it did before, it is asked again, and the
    /// new evidence does not begin with calls that are kept from it.
    pub(super) fn ask_new_again(&mut self, now: Tick) -> Option<PerBackend<breaker::State>> {
        let breaker = self.sides.new.breaker.as_mut()?;
        breaker.begin_anew(now);
        let state = breaker.state();
        (std::mem::replace(&mut self.published.new, state) != state).then_some(self.published)
    }

    /// Takes what was observed since the last time. It comes worker by worker, and here
    /// the order in which it happened matters: failures on one worker are no row if
    /// another had a good answer in between.
    pub fn hear(&mut self, observations: &[Observation], now: Tick) {
        for observation in observations {
            if let Observation::Health(what) = observation {
                self.checked(what, now);
            }
        }
        let heard = |observation| Some((happened(observation)?, Heard::of(observation)?));
        let mut heard: Vec<_> = observations.iter().filter_map(heard).collect();
        heard.sort_by_key(|(at, _)| *at);
        for (_, (backend, heard, asked)) in heard {
            if let Some(breaker) = &mut self.sides[backend].breaker {
                breaker.note(heard, asked, now);
            }
        }
    }

    fn checked(&mut self, what: &measure::Health, now: Tick) {
        let side = &mut self.sides[what.backend];
        let Some(health) = &mut side.health else {
            // An answer to a check that a reload has taken away.
            return;
        };
        let was = health.state();
        if let Some(state) = health.note(what.answer, now) {
            let told = told_of_health(what.backend, was, state, &health.because());
            self.notices.extend(told);
        }
    }

    /// Moves on to now, tells the evidence what follows for it, and says what changed. To
    /// be called after the tick's observations and before the judgement.
    pub fn advise(&mut self, evidence: &mut Evidence, now: Tick) -> Step {
        let step = self.step(now);
        for backend in &step.opened {
            evidence.opened(*backend, now);
        }
        for backend in Backend::ALL {
            evidence.silent(backend, self.is_silent(backend));
            evidence.is_up(backend, self.is_up(backend));
        }
        evidence.legacy_is_out(self.legacy_out(now));
        step
    }

    /// Moves on to now and says what changed.
    fn step(&mut self, now: Tick) -> Step {
        let mut step = Step {
            notices: std::mem::take(&mut self.notices),
            ..Step::default()
        };
        let mut states = PerBackend::default();
        for backend in Backend::ALL {
            let side = &mut self.sides[backend];
            let down = side.is_down();
            let Some(breaker) = &mut side.breaker else {
                continue;
            };
            breaker.set_down(down);
            states[backend] = breaker.tick(now);
            let opens = breaker.opens();
            let opened = opens > std::mem::replace(&mut self.seen[backend], opens);
            if opened {
                step.opened.push(backend);
            }
            let was = self.published[backend];
            // What the health check did was told as such.
            if opened && !down {
                let because = breaker.because().unwrap_or_default();
                step.notices.push(told_of_opening(backend, &because));
            } else if was != breaker::State::Closed && states[backend] == breaker::State::Closed {
                step.notices.push(Notice {
                    severity: Severity::Info,
                    rule: None,
                    text: format!("The breaker of {backend} is closed again."),
                });
            }
        }
        if states != self.published {
            self.published = states;
            step.publish = Some(states);
        }
        step
    }

    /// Why legacy could not take the calls of new now, if it could not.
    pub(super) fn legacy_out(&self, now: Tick) -> Option<&'static str> {
        let legacy = &self.sides.legacy;
        let out = |breaker: &Breaker| breaker.is_out(now);
        if legacy.is_down() {
            Some(LEGACY_IS_DOWN)
        } else {
            legacy
                .breaker
                .as_ref()
                .is_some_and(out)
                .then_some(LEGACY_IS_OPEN)
        }
    }

    /// Is it up by its health check? None where nobody asks, or nothing is known yet.
    fn is_up(&self, backend: Backend) -> Option<bool> {
        match self.sides[backend].health.as_ref()?.state() {
            health::State::Up => Some(true),
            health::State::Down => Some(false),
            health::State::Unknown => None,
        }
    }

    /// Is this backend's breaker not closed for want of answers?
    pub(super) fn is_silent(&self, backend: Backend) -> bool {
        let breaker = self.sides[backend].breaker.as_ref();
        breaker.is_some_and(Breaker::is_silent)
    }

    /// What operators see of one side.
    pub(super) fn status(&mut self, backend: Backend, now: Tick, wall: Wall) -> GuardStatus {
        let side = &mut self.sides[backend];
        let breaker = side.breaker.as_mut();
        let health = side.health.as_ref().map(|health| HealthStatus {
            state: health.state(),
            since: super::status::ago(wall, now.since(health.since())),
            because: health.because(),
        });
        match breaker {
            None => GuardStatus {
                health,
                ..GuardStatus::default()
            },
            Some(breaker) => GuardStatus {
                breaker: Some(breaker.state()),
                opens: breaker.opens(),
                opens_last_hour: breaker.opens_last_hour(now),
                because: breaker.because(),
                health,
            },
        }
    }
}

/// When that happened of which a breaker hears.
const fn happened(observation: &Observation) -> Option<Tick> {
    match observation {
        Observation::Answered(what) => Some(what.at),
        Observation::Rescued(what) => Some(what.at),
        _ => None,
    }
}

impl Side {
    pub(super) fn is_down(&self) -> bool {
        let health = self.health.as_ref();
        health.is_some_and(|health| health.state() == health::State::Down)
    }
}

/// Nobody can take legacy's calls, so its troubles are the line's.
const fn severity(backend: Backend) -> Severity {
    match backend {
        Backend::Legacy => Severity::Critical,
        Backend::New => Severity::Warning,
    }
}

fn told_of_opening(backend: Backend, because: &str) -> Notice {
    let then = match backend {
        Backend::New => "new calls go straight to legacy",
        Backend::Legacy => "nobody else can answer its calls, so it goes on being asked",
    };
    Notice {
        severity: severity(backend),
        rule: None,
        text: format!("The breaker of {backend} opened: {because}; {then}."),
    }
}

fn told_of_health(
    backend: Backend,
    was: health::State,
    is: health::State,
    because: &str,
) -> Option<Notice> {
    let (severity, word) = match is {
        health::State::Down => (severity(backend), "down"),
        health::State::Up if was == health::State::Down => (Severity::Info, "up again"),
        health::State::Up | health::State::Unknown => return None,
    };
    Some(Notice {
        severity,
        rule: None,
        text: format!("The health check says that {backend} is {word}: {because}."),
    })
}
