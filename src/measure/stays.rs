//! How long a backend stays up before it goes down: what a crash loop looks like from
//! outside.
//!
//! A stay counts only if its beginning was seen. A process that was started ten minutes
//! ago does not know for how long the backend had been up before.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Tick;

/// Stays kept; the oldest is forgotten first. A backend that crashes more often within a
/// span is known to by the younger ones.
const STAYS_MAX: usize = 256;

/// When a backend came up and went down.
#[derive(Clone, Debug, Default)]
pub(super) struct Stays {
    state: State,
    /// When each stay ended, and how long it was.
    ended: VecDeque<(Tick, Duration)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    /// Up; since when, if that was seen.
    Up(Option<Tick>),
    Down,
}

impl Stays {
    /// It is up, or down; None: nobody can tell, and nothing changes.
    pub(super) fn see(&mut self, up: Option<bool>, now: Tick) {
        let Some(up) = up else { return };
        self.state = match (self.state, up) {
            (State::Unknown, true) => State::Up(None),
            (State::Down, true) => State::Up(Some(now)),
            (State::Up(Some(since)), false) => {
                if self.ended.len() >= STAYS_MAX {
                    self.ended.pop_front();
                }
                self.ended.push_back((now, now.since(since)));
                State::Down
            }
            (_, false) => State::Down,
            (same @ State::Up(_), true) => same,
        };
    }

    /// Is anything known of it?
    pub(super) fn known(&self) -> bool {
        self.state != State::Unknown
    }

    /// How many stays ended in the span, and the shortest of them.
    pub(super) fn ended(&self, span: Duration, now: Tick) -> (u64, Option<Duration>) {
        let within = || {
            let stays = self.ended.iter().rev();
            stays
                .take_while(|(at, _)| now.since(*at) < span)
                .map(|(_, stay)| *stay)
        };
        (within().count() as u64, within().min())
    }

    /// Forgets the stays that ended; what it is now stays known.
    pub(super) fn clear(&mut self) {
        self.ended.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minute: u64) -> Tick {
        Tick::from_secs(minute * 60)
    }

    #[test]
    fn the_shortest_stay_that_ended_in_the_span_counts() {
        let mut stays = Stays::default();
        assert!(!stays.known());
        for (minute, up) in [
            (0, true),
            (10, false),
            (11, true),
            (31, false),
            (33, true),
            (38, false),
        ] {
            stays.see(Some(up), at(minute));
        }
        assert!(stays.known());
        assert_eq!(stays.ended(MINUTE * 60, at(40)), (2, Some(MINUTE * 5)));
        assert_eq!(stays.ended(MINUTE * 2, at(40)), (0, None));
        stays.clear();
        assert_eq!(stays.ended(MINUTE * 60, at(40)), (0, None));
    }

    #[test]
    fn a_stay_whose_beginning_nobody_saw_does_not_count() {
        let mut stays = Stays::default();
        stays.see(Some(true), at(0));
        stays.see(None, at(5));
        stays.see(Some(false), at(10));
        assert_eq!(stays.ended(MINUTE * 60, at(10)), (0, None));
    }
}
