//! When a backend is not asked any more: after failures in a row, or when too many
//! of its answers fail.
//!
//! Closed, it is asked. Open, it is not, for a while that doubles with every trial
//! that fails. Half-open, one call at a time is let through (who lets it is the
//! edge's business): good answers close the breaker, a bad one opens it again. What
//! counts as good and bad is said in [`heard`].
//!
//! Bounded: the window is a ring of slots, never a list of answers.

pub mod heard;
mod ring;

use std::time::Duration;

use crate::model::Tick;
pub use heard::Heard;
use ring::Ring;

/// However often a trial fails, another comes after this time; and for so long after
/// the last failure a backend that nobody asks is still held to be failing.
pub const OPEN_MOST: Duration = Duration::from_secs(60);

/// Parts of the window that the share is taken over: an answer leaves it up to a
/// twentieth of `over` early.
const SLOTS: usize = 20;
/// Parts of the hour that opens are counted over.
const MINUTES: usize = 60;
/// Late answers that are still awaited, at most; more are forgotten.
const OWED_MOST: u32 = 10_000;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// So many failures in a row open it.
    pub consecutive: u32,
    /// So large a share of failures opens it, 0..=1 …
    pub share: f64,
    /// … of at least so many answers …
    pub least: u32,
    /// … within this time.
    pub over: Duration,
    /// It stays open so long before one call is let through.
    pub open_for: Duration,
    /// So many good answers in a row close it again.
    pub close_after: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive: 5,
            share: 0.5,
            least: 20,
            over: Duration::from_secs(10),
            open_for: Duration::from_secs(5),
            close_after: 3,
        }
    }
}

/// Whether a backend is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It is.
    #[default]
    Closed,
    /// It is not.
    Open,
    /// One call at a time is let through, to see.
    HalfOpen,
}

impl State {
    /// Every state, for metrics that exist from the start.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The word for it in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Why a breaker opened.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Because {
    /// So many callers' webhooks failed in a row.
    Row(u32),
    /// So many webhooks got no answer in a row.
    Silence(u32),
    /// So many of so many answers failed within this time.
    Share(u32, u32, Duration),
    /// The health check says so.
    Health,
    /// It said so, and since it is good again a trial failed; without an answer, if so.
    Trial { is_silent: bool },
}

impl Because {
    fn said(self) -> String {
        match self {
            Self::Row(failures) => format!("{failures} failures in a row"),
            Self::Silence(webhooks) => format!("{webhooks} webhooks in a row got no answer"),
            Self::Share(failed, all, over) => {
                let share = f64::from(failed) * 100.0 / f64::from(all.max(1));
                let over = over.as_secs_f64();
                format!("{share:.0} % of {all} answers in {over} s failed")
            }
            Self::Health => "its health check says it is down".to_owned(),
            Self::Trial { is_silent: true } => {
                "its health check is good, and calls get no answer all the same".to_owned()
            }
            Self::Trial { is_silent: false } => {
                "its health check is good, and calls fail all the same".to_owned()
            }
        }
    }
}

/// Failed answers and all, in one part of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    failed: u32,
    all: u32,
}

/// One backend's breaker: a step function of what was heard of it.
#[derive(Clone, Debug)]
pub struct Breaker {
    settings: Settings,
    state: State,
    /// Since when it is in that state.
    since: Tick,
    /// Why it opened last.
    because: Option<Because>,
    /// How long it stays open now.
    open_for: Duration,
    /// Callers' webhooks that failed in a row.
    failures: u32,
    /// Webhooks of any kind without an answer in a row.
    silence: u32,
    /// While half-open: good answers in a row.
    good: u32,
    /// Late answers still to come, which were counted when they were late.
    owed: u32,
    /// When the last of them was told.
    late: Tick,
    answers: Ring<Slot, SLOTS>,
    opens: Ring<u32, MINUTES>,
    opens_ever: u64,
    /// The health check says that the backend is down.
    down: bool,
}

impl Breaker {
    /// A closed one.
    pub fn new(settings: Settings, now: Tick) -> Self {
        Self {
            settings,
            state: State::Closed,
            since: now,
            because: None,
            open_for: settings.open_for,
            failures: 0,
            silence: 0,
            good: 0,
            owed: 0,
            late: Tick(0),
            answers: Ring::new(settings.over, now),
            opens: Ring::new(Duration::from_secs(3600), now),
            opens_ever: 0,
            down: false,
        }
    }

    /// Obeys other settings from now on; it stays as it is.
    pub fn set(&mut self, settings: Settings, now: Tick) {
        if settings.over != self.settings.over {
            self.answers = Ring::new(settings.over, now);
        }
        if settings.open_for != self.settings.open_for {
            self.open_for = settings.open_for.min(OPEN_MOST);
        }
        self.settings = settings;
    }

    /// Takes what was heard of the backend, which was asked at that moment. While it
    /// is open nothing counts, and while it is half-open only what was asked since:
    /// what began during the outage belongs to it.
    pub fn note(&mut self, heard: Heard, asked: Tick, now: Tick) {
        if heard == Heard::Late {
            self.owed = (self.owed + 1).min(OWED_MOST);
            self.late = now;
        } else if self.owed > 0 && asked < self.late && !heard.is_event() {
            // It was counted when it was late.
            self.owed -= 1;
            return;
        }
        match self.state {
            State::Closed => self.while_closed(heard, now),
            State::HalfOpen if asked >= self.since => self.on_trial(heard, now),
            State::Open | State::HalfOpen => {}
        }
    }

    /// Takes what the health check says: down opens it, and keeps it open.
    pub const fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    /// Moves on to now, and says where it stands.
    pub fn tick(&mut self, now: Tick) -> State {
        if self.down {
            if self.state != State::Open {
                self.open(Because::Health, now);
            }
        } else if self.state == State::Open {
            // Checks that are good again have done the waiting.
            let well_again = self.because == Some(Because::Health);
            if well_again || now.since(self.since) >= self.open_for {
                self.turn(State::HalfOpen, now);
            }
        }
        self.state
    }

    /// A person says that the backend is well: it is asked again, and what it did before
    /// is forgotten. Not while its health check says otherwise.
    pub fn begin_anew(&mut self, now: Tick) {
        if self.down {
            return;
        }
        *self = Self {
            opens: self.opens.clone(),
            opens_ever: self.opens_ever,
            ..Self::new(self.settings, now)
        };
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Why it is not closed, in one sentence; None while it is.
    pub fn because(&self) -> Option<String> {
        let because = self.because.filter(|_| self.state != State::Closed)?;
        Some(match because {
            Because::Health if !self.down => "its health check said it was down".to_owned(),
            because => because.said(),
        })
    }

    /// Is it not closed because the backend gave no answers, or no sign of life?
    pub const fn is_silent(&self) -> bool {
        !matches!(self.state, State::Closed)
            && matches!(
                self.because,
                Some(Because::Silence(_) | Because::Health | Because::Trial { is_silent: true })
            )
    }

    /// Is the backend failing now, as far as anybody knows? A breaker that has been
    /// half-open for a minute without an answer says nothing any more, nor does one
    /// whose health check is well again.
    pub fn is_out(&self, now: Tick) -> bool {
        match self.state {
            State::Closed => false,
            State::Open => true,
            State::HalfOpen => {
                self.because != Some(Because::Health) && now.since(self.since) < OPEN_MOST
            }
        }
    }

    /// How often it opened within the last hour. A trial that fails is the same
    /// outage, and no other opening.
    pub fn opens_last_hour(&mut self, now: Tick) -> u32 {
        self.opens.all(now).sum()
    }

    /// How often it opened since it was made.
    pub const fn opens(&self) -> u64 {
        self.opens_ever
    }

    fn while_closed(&mut self, heard: Heard, now: Tick) {
        match heard {
            Heard::Good => (self.failures, self.silence) = (0, 0),
            Heard::EventTaken => self.silence = 0,
            Heard::Bad => (self.failures, self.silence) = (self.failures + 1, 0),
            Heard::Late => self.failures += 1,
            Heard::Silent => (self.failures, self.silence) = (self.failures + 1, self.silence + 1),
            Heard::EventSilent => self.silence += 1,
        }
        if !heard.is_event() {
            let slot = self.answers.at(now);
            slot.all = slot.all.saturating_add(1);
            slot.failed = slot.failed.saturating_add(heard.fails().into());
        }
        if heard.fails()
            && let Some(because) = self.is_enough(now)
        {
            self.open(because, now);
        }
    }

    /// Why it should open; None if there is no reason to.
    fn is_enough(&mut self, now: Tick) -> Option<Because> {
        let Settings {
            consecutive,
            share,
            least,
            over,
            ..
        } = self.settings;
        if self.silence >= consecutive {
            return Some(Because::Silence(self.silence));
        }
        if self.failures >= consecutive {
            return Some(Because::Row(self.failures));
        }
        let (failed, all) = self.answers.all(now).fold((0_u32, 0_u32), |sum, slot| {
            (
                sum.0.saturating_add(slot.failed),
                sum.1.saturating_add(slot.all),
            )
        });
        // A share written "7%" may be off by the last bit.
        let enough = all >= least && f64::from(failed) >= share * f64::from(all) - 1e-9;
        enough.then_some(Because::Share(failed, all, over))
    }

    fn on_trial(&mut self, heard: Heard, now: Tick) {
        if heard.fails() {
            self.open_for = (self.open_for * 2).min(OPEN_MOST);
            if self.because == Some(Because::Health) {
                // The check was wrong: what it says has done no waiting.
                let is_silent = matches!(heard, Heard::Silent | Heard::EventSilent);
                self.because = Some(Because::Trial { is_silent });
            }
            self.turn(State::Open, now);
        } else if heard == Heard::Good {
            self.good += 1;
            if self.good >= self.settings.close_after {
                self.open_for = self.settings.open_for;
                self.because = None;
                self.turn(State::Closed, now);
            }
        }
    }

    fn open(&mut self, because: Because, now: Tick) {
        if self.state == State::Closed {
            *self.opens.at(now) += 1;
            self.opens_ever += 1;
        }
        self.because = Some(because);
        self.turn(State::Open, now);
    }

    fn turn(&mut self, state: State, now: Tick) {
        self.state = state;
        self.since = now;
        (self.failures, self.silence, self.good, self.owed) = (0, 0, 0, 0);
        self.answers.clear();
    }
}

#[cfg(test)]
mod tests;
