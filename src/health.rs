//! Whether a backend is up, as its own health check tells.
//!
//! One bad check is an accident, and one good one proves no recovery: a backend is
//! down after `fall` bad ones in a row and up after `rise` good ones. Of one that was
//! never heard enough of nothing is known, and nothing follows from that.

use std::time::Duration;

use crate::measure::Cause;
use crate::model::Tick;

/// How a backend is asked for its health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The path that is fetched.
    pub path: String,
    /// How often.
    pub every: Duration,
    /// No answer within this time is a bad one.
    pub timeout: Duration,
    /// The status of a good answer.
    pub expect: u16,
    /// So many bad answers in a row mean that it is down.
    pub fall: u32,
    /// So many good answers in a row mean that it is up again.
    pub rise: u32,
}

impl Settings {
    /// A check of this path, every 5 s, with 2 s to answer 200; three bad ones are
    /// down, two good ones up.
    pub const fn of(path: String) -> Self {
        Self {
            path,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            expect: 200,
            fall: 3,
            rise: 2,
        }
    }
}

/// What came of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The status that was expected.
    Well,
    /// Another status; a redirect is one, and is not followed.
    Status(u16),
    /// None.
    Missing(Cause),
}

impl Answer {
    /// The word for every result of a check, for metrics that exist from the start.
    pub const NAMES: [&'static str; 6] =
        ["well", "status", "connect", "reset", "timeout", "malformed"];

    /// Is it a good one?
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Well)
    }

    /// The word for it in metrics: one of [`Self::NAMES`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Status(_) => "status",
            Self::Missing(cause) => cause.name(),
        }
    }

    fn said(self) -> String {
        match self {
            Self::Well => "answered as expected".to_owned(),
            Self::Status(status) => format!("answered {status}"),
            Self::Missing(Cause::Connect) => "could not be connected to".to_owned(),
            Self::Missing(Cause::Timeout) => "did not answer in time".to_owned(),
            Self::Missing(Cause::Malformed) => "did not answer in HTTP".to_owned(),
            Self::Missing(_) => "closed the connection without an answer".to_owned(),
        }
    }
}

/// What is known of a backend's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It is up.
    Up,
    /// It is down.
    Down,
}

impl State {
    /// The word for it in status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// One backend's health: a step function of its checks.
#[derive(Clone, Debug)]
pub struct Health {
    settings: Settings,
    state: State,
    since: Tick,
    last: Option<Answer>,
    /// Checks in a row that were as good or bad as the last.
    streak: u32,
}

impl Health {
    /// Nothing is known yet.
    pub const fn new(settings: Settings, now: Tick) -> Self {
        Self {
            settings,
            state: State::Unknown,
            since: now,
            last: None,
            streak: 0,
        }
    }

    /// Obeys other settings from now on. Another path or status is another question,
    /// whose answer is not known yet.
    pub fn set(&mut self, settings: Settings, now: Tick) {
        let asks = |it: &Settings| (it.path.clone(), it.expect);
        if asks(&settings) != asks(&self.settings) {
            *self = Self::new(settings, now);
        } else {
            self.settings = settings;
        }
    }

    /// Takes a check's answer. Says the new state if it changed.
    pub fn note(&mut self, answer: Answer, now: Tick) -> Option<State> {
        let same = self
            .last
            .is_some_and(|last| last.is_well() == answer.is_well());
        self.streak = if same {
            self.streak.saturating_add(1)
        } else {
            1
        };
        self.last = Some(answer);
        let told = match answer.is_well() {
            true if self.streak >= self.settings.rise => State::Up,
            false if self.streak >= self.settings.fall => State::Down,
            _ => return None,
        };
        if told == self.state {
            return None;
        }
        (self.state, self.since) = (told, now);
        Some(told)
    }

    /// What is known.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Since when.
    pub const fn since(&self) -> Tick {
        self.since
    }

    /// The last answers, in one sentence: `the last 3 checks of /healthz: answered 500`.
    pub fn because(&self) -> String {
        let path = &self.settings.path;
        match (self.last, self.streak) {
            (None, _) => format!("{path} was not asked yet"),
            (Some(last), streak) if last.is_well() && self.state == State::Down => format!(
                "good checks of {path} again: {streak} of the {} it takes",
                self.settings.rise
            ),
            (Some(last), 1) => format!("the last check of {path}: {}", last.said()),
            (Some(last), streak) => format!(
                "the last {streak} checks of {path} were {}; the last: {}",
                if last.is_well() { "good" } else { "bad" },
                last.said()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Tick = Tick::from_secs(3600);
    const TIMEOUT: Answer = Answer::Missing(Cause::Timeout);

    fn health() -> Health {
        Health::new(Settings::of("/healthz".to_owned()), NOW)
    }

    /// The state after each of these answers.
    fn after(answers: &[Answer]) -> Vec<State> {
        let mut health = health();
        let step = |answer: &Answer| {
            health.note(*answer, NOW);
            health.state()
        };
        answers.iter().map(step).collect()
    }

    #[test]
    fn three_bad_checks_in_a_row_are_down_and_two_are_not() {
        use State::{Down, Unknown, Up};
        let bad = Answer::Status(500);
        let well = Answer::Well;
        assert_eq!(after(&[well, well]), [Unknown, Up]);
        assert_eq!(after(&[bad, TIMEOUT, bad]), [Unknown, Unknown, Down]);
        assert_eq!(
            after(&[well, well, bad, bad, well, bad, bad, bad]),
            [Unknown, Up, Up, Up, Up, Up, Up, Down]
        );
        assert_eq!(
            after(&[bad, bad, bad, well, bad, well, well]),
            [Unknown, Unknown, Down, Down, Down, Down, Up]
        );
    }

    #[test]
    fn it_says_since_when_and_why() {
        let mut health = health();
        assert_eq!(health.because(), "/healthz was not asked yet");
        let told: Vec<_> = (0..4)
            .map(|second| health.note(Answer::Status(503), NOW + Duration::from_secs(second)))
            .collect();
        assert_eq!(told, [None, None, Some(State::Down), None]);
        assert_eq!(health.since(), NOW + Duration::from_secs(2));
        assert_eq!(
            health.because(),
            "the last 4 checks of /healthz were bad; the last: answered 503"
        );
        health.note(Answer::Well, NOW);
        assert_eq!(
            health.because(),
            "good checks of /healthz again: 1 of the 2 it takes"
        );
    }

    #[test]
    fn another_question_begins_with_nothing_known_and_another_pace_does_not() {
        let mut health = health();
        for _ in 0..3 {
            health.note(TIMEOUT, NOW);
        }
        let slower = Settings {
            every: Duration::from_secs(60),
            ..Settings::of("/healthz".to_owned())
        };
        health.set(slower, NOW);
        assert_eq!(health.state(), State::Down);
        health.set(Settings::of("/ready".to_owned()), NOW);
        assert_eq!(health.state(), State::Unknown);
    }

    proptest! {
        #[test]
        fn it_is_what_the_last_streak_that_was_long_enough_said(
            answers in prop::collection::vec(any::<bool>(), 0..60),
        ) {
            let mut health = health();
            for end in 0..=answers.len() {
                let heard = &answers[..end];
                if let Some(well) = heard.last() {
                    health.note(if *well { Answer::Well } else { TIMEOUT }, NOW);
                }
                let told = (0..end).rev().find_map(|at| {
                    let up = at >= 1 && heard[at - 1..=at].iter().all(|well| *well);
                    let down = at >= 2 && heard[at - 2..=at].iter().all(|well| !*well);
                    up.then_some(State::Up).or_else(|| down.then_some(State::Down))
                });
                prop_assert_eq!(health.state(), told.unwrap_or_default());
            }
        }
    }
}
