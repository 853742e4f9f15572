//! When not to trust a connection that a backend has kept open.
//!
//! A backend may close a connection just when a request is on its way. Whether it still
//! read the request nobody can know, so it is not sent again, and its caller has to be
//! rescued or pays. That cannot be seen in time, but it can be seen coming: for each
//! request that meets a close there are many connections that were found closed when
//! they were to be used. Where that happens soon after the last answer, each request
//! gets a connection of its own for a while. A round trip is cheap beside a caller.

use std::time::Duration;

use crate::model::Tick;

/// A backend that closes within this time of an answer closes when it likes, or has
/// begun anew: what servers allow a connection to rest is seconds.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// How long connections are not used again after the first sign. If they were closed
/// soon meanwhile, it goes on for twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest such time.
const LONGEST: Duration = Duration::from_secs(60);
/// With no sign for so long, the next is a first one again.
const CALM: Duration = Duration::from_secs(300);

/// What one backend's connections are trusted to do.
#[derive(Debug, Default)]
pub(super) struct Wary {
    /// None is used again before.
    until: Tick,
    /// How long that was.
    pause: Duration,
    /// Nobody has seen yet that it is over.
    pausing: bool,
    /// They rest at most so long before they are used again; None: as long as any.
    rest: Option<Duration>,
}

impl Wary {
    /// May connections be used again now?
    pub(super) fn is_over(&self, now: Tick) -> bool {
        now >= self.until
    }

    /// Is it over only now? True once.
    pub(super) fn ends(&mut self) -> bool {
        std::mem::take(&mut self.pausing)
    }

    /// May one that rested so long?
    pub(super) fn trusts(&self, rested: Duration) -> bool {
        self.rest.is_none_or(|longest| rested < longest)
    }

    /// A connection that had rested so long was closed by the backend. True: none is to
    /// be used again for a while.
    pub(super) fn closed(&mut self, rested: Duration, now: Tick) -> bool {
        if rested >= SOON {
            // So long it lets them rest: half of it is safe.
            let longest = self.rest.unwrap_or(rested).min(rested / 2);
            self.rest = Some(longest.max(SOON / 2));
            return false;
        }
        if !self.is_over(now) {
            // Another of those that were open when the first sign came.
            return false;
        }
        self.pause = if self.pause.is_zero() || now.since(self.until) >= CALM {
            FIRST
        } else {
            (self.pause * 2).min(LONGEST)
        };
        self.until = now + self.pause;
        self.pausing = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUST_NOW: Duration = Duration::from_millis(3);

    #[test]
    fn a_close_soon_after_an_answer_ends_reuse_for_a_while() {
        let mut wary = Wary::default();
        let now = Tick::from_secs(1000);
        assert!(wary.is_over(now) && wary.closed(JUST_NOW, now));
        assert!(!wary.is_over(now + FIRST - Duration::from_millis(1)));
        assert!(wary.is_over(now + FIRST));
        assert!(wary.ends() && !wary.ends(), "told once");
    }

    #[test]
    fn each_further_sign_doubles_it_up_to_a_minute_and_calm_forgets() {
        let mut wary = Wary::default();
        let mut now = Tick::from_secs(1000);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(wary.closed(JUST_NOW, now));
            assert_eq!(wary.until, now + Duration::from_secs(seconds));
            assert!(!wary.closed(JUST_NOW, now), "the same sign, seen again");
            now = wary.until;
        }
        assert!(wary.closed(JUST_NOW, now + CALM));
        assert_eq!(wary.pause, FIRST);
    }

    #[test]
    fn a_server_s_own_limit_is_kept_well_away_from() {
        let mut wary = Wary::default();
        let now = Tick::from_secs(1000);
        assert!(wary.trusts(Duration::from_secs(3)));
        assert!(!wary.closed(Duration::from_millis(2100), now));
        assert!(wary.is_over(now), "it does not close as it likes");
        assert!(wary.trusts(Duration::from_millis(1000)));
        assert!(!wary.trusts(Duration::from_millis(1050)));
        wary.closed(Duration::from_secs(3), now);
        assert!(
            !wary.trusts(Duration::from_millis(1050)),
            "the least counts"
        );
        wary.closed(SOON, now);
        assert!(wary.trusts(SOON / 2 - Duration::from_millis(1)));
    }
}
