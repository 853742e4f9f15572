//! What one webhook says about the backend that was asked: all that says something
//! about the next caller, and nothing else.
//!
//! - A caller's webhook that was answered well is good. One that failed by the
//!   backend's fault is a failure, once a call and minute: a looping caller at one
//!   broken menu must not keep all others from the backend.
//! - One that came so late that legacy was asked as well is a failure, whatever
//!   comes of it afterwards.
//! - An event that gets no answer (no connection, reset, timeout) says that nobody is
//!   at home. One that was taken says only that somebody is: it ends a row of
//!   silence, and is good for nothing else. Its document is not judged, nobody waits
//!   for it, and a crowd of well-taken events must not hide callers who hear nothing.
//! - A connection that was being closed (`stale`), a provider that hung up, and what
//!   the breaker or a cap kept away say nothing.

use std::time::Duration;

use crate::measure::{Answered, Cause, Fault, Kind, Observation, Outcome, Rescued, Why};
use crate::model::{Backend, Tick};

/// What one webhook says about the backend that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A caller's webhook was answered well.
    Good,
    /// A caller's webhook was answered, and the answer was none to work with.
    Bad,
    /// A caller's webhook got no answer.
    Silent,
    /// A caller's webhook waited so long that legacy was asked as well.
    Late,
    /// An event was taken.
    EventTaken,
    /// An event got no answer.
    EventSilent,
}

impl Heard {
    /// Who is spoken of, what is said, and when that backend was asked. None for what
    /// says nothing about a backend.
    pub fn of(observation: &Observation) -> Option<(Backend, Self, Tick)> {
        if !observation.is_evidence() {
            return None;
        }
        match observation {
            Observation::Answered(what) => {
                let asked = what.at - Duration::from_micros(what.latency_us.unwrap_or(0).into());
                Some((what.backend, Self::answered(what)?, asked))
            }
            Observation::Rescued(Rescued {
                at,
                from,
                why: Why::Late,
                ..
            }) => Some((*from, Self::Late, *at)),
            _ => None,
        }
    }

    fn answered(what: &Answered) -> Option<Self> {
        let Outcome::Failed(cause) = what.outcome else {
            return Some(match what.kind {
                Kind::Voice => Self::Good,
                Kind::Event => Self::EventTaken,
            });
        };
        let silent = matches!(cause, Cause::Connect | Cause::Reset | Cause::Timeout);
        if what.kind == Kind::Event {
            return silent.then_some(Self::EventSilent);
        }
        let says_nothing = matches!(
            cause,
            Cause::Stale | Cause::Abandoned | Cause::Breaker | Cause::Full
        );
        if says_nothing || cause.fault() != Fault::Backend {
            return None;
        }
        // Without a voice this call has been heard in this minute, or is none.
        what.voice?;
        Some(if silent || cause == Cause::Malformed {
            Self::Silent
        } else {
            Self::Bad
        })
    }

    /// Does it speak against the backend?
    pub(super) const fn fails(self) -> bool {
        matches!(
            self,
            Self::Bad | Self::Silent | Self::Late | Self::EventSilent
        )
    }

    /// Does nobody wait for it?
    pub(super) const fn is_event(self) -> bool {
        matches!(self, Self::EventTaken | Self::EventSilent)
    }
}
