//! One call's life: placed, started, heard, served, ended, forgotten.
//!
//! Step functions over a small entry; the moment is always an argument. The
//! table keeps a million of these, so an entry is forty bytes, and times in it
//! are tenths of a second.

mod end;
mod first;
mod flags;
mod moment;
mod pin;
pub mod rescue;

pub use end::Fate;
pub use first::{First, Hints, first, passing};
pub use flags::Flags;
pub use moment::Moment;
pub use pin::Pin;

use std::time::Duration;

use crate::document::Does;
use crate::measure::Voice;
use crate::model::{Backend, TenantKey, Tick, Wall};
use crate::protocol::Facts;
use crate::split::{Because, Placement, Split, Subject, Tenant, Token};

/// A call that ended is remembered so long, for the recordings and reports that
/// come after it.
pub const AFTER_END: Duration = Duration::from_secs(30 * 60);

/// A call that says nothing for so long is given up.
pub const IDLE: Duration = Duration::from_secs(4 * 60 * 60);

/// A report that tells how a call ended may come so long after the end; then the end
/// is told without it.
pub const REPORT_WITHIN: Duration = Duration::from_secs(2 * 60);

/// What is known of one call, or of one leg that a call made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    tenant: TenantKey,
    /// Routing generation under which it was placed. The low 32 bits: four
    /// billion changes of placement are a century of one a second.
    generation: u32,
    began: Moment,
    seen: Moment,
    answered: Moment,
    ended: Moment,
    good: Moment,
    failed: Moment,
    flags: Flags,
    backend: Backend,
    because: Because,
}

impl Call {
    /// A call that was placed just now and of which nothing else is known.
    pub fn placed(placement: Placement, flags: Flags, generation: u64, now: Tick) -> Self {
        Self {
            tenant: TenantKey::NONE,
            generation: short_generation(generation),
            began: now.into(),
            seen: now.into(),
            answered: Moment::NEVER,
            ended: Moment::NEVER,
            good: Moment::NEVER,
            failed: Moment::NEVER,
            flags,
            backend: placement.backend,
            because: placement.because,
        }
    }

    /// Another webhook of the call came.
    pub fn step(&mut self, facts: Facts, subject: &Subject<'_>, now: Tick) {
        let now = Moment::from(now);
        self.seen = self.seen.max(now);
        self.flags = self.flags.with_if(Flags::SERVED, facts.connected);
        if facts.answered && self.answered == Moment::NEVER {
            self.answered = now;
        }
        if self.tenant == TenantKey::NONE {
            self.tenant = tenant_key(subject);
        }
    }

    /// Is this the caller's first choice from a menu? True once in a call, and never in
    /// a leg, where somebody else presses the keys.
    pub fn chooses(&mut self, facts: Facts) -> bool {
        let is_past = self.flags.has(Flags::CHOSE) || self.flags.has(Flags::LEG);
        let first = facts.choice.is_some() && !is_past;
        self.flags = self.flags.with_if(Flags::CHOSE, first);
        first
    }

    /// A leg of it was connected to somebody.
    pub fn connected(&mut self) {
        self.flags = self.flags.with(Flags::SERVED);
    }

    /// A webhook came that is about one of its many legs. True the first time: that
    /// leg is the one the call began with.
    pub fn root(&mut self) -> bool {
        let first = !self.flags.has(Flags::ROOTED);
        self.flags = self.flags.with(Flags::ROOTED);
        first
    }

    /// Its first voice webhook is about to leave for a backend. When the routing
    /// changed since the call was placed on new it is placed anew; a leg stays where
    /// its call is, a call that a backend started where it exists, and a call on legacy
    /// there. Does nothing to a call that has started.
    pub fn start(&mut self, subject: &Subject<'_>, split: &Split) -> Option<Placement> {
        if self.flags.has(Flags::STARTED) {
            return None;
        }
        self.flags = self.flags.with(Flags::STARTED).without(Flags::PROVISIONAL);
        let same = self.generation == short_generation(split.generation);
        // A generation that a crash lost is given out again: a latch asks for none.
        let shut = split.latched && self.backend == Backend::New;
        // Events may have told legacy of it for minutes: nothing takes it from there.
        let at_legacy = self.backend == Backend::Legacy;
        if self.follows() || at_legacy || same && !shut {
            return None;
        }
        let mut placement = split.place(subject);
        if self.because == Because::Orphan && !split.latched {
            placement.because = Because::Orphan;
        }
        self.generation = short_generation(split.generation);
        self.backend = placement.backend;
        self.because = placement.because;
        Some(placement)
    }

    /// A webhook of it carries a token. A call that is known by events alone has started
    /// where the token says; events that came without one found it a place by chance.
    /// Does nothing to another call, nor to one that follows.
    pub fn recall(&mut self, hints: Hints, split: &Split, now: Tick) {
        if !self.flags.has(Flags::PROVISIONAL) || self.follows() {
            return;
        }
        let Some(token) = hints.token else {
            return;
        };
        let placement = split.follow(token);
        if placement.because == Because::Token {
            self.flags = self.flags.with(Flags::STARTED).without(Flags::PROVISIONAL);
            self.backend = placement.backend;
            self.because = placement.because;
            self.goes_on(token, hints.wall, now);
        }
    }

    /// It began when its token says; under which generation, nobody knows.
    fn goes_on(&mut self, token: Token, wall: Wall, now: Tick) {
        let age = wall.0.saturating_sub(token.began.0);
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        self.began = Moment::from(now).before(age);
        self.generation = 0;
        // It has a session where it began.
        self.flags = self.flags.with(Flags::ANSWERED);
    }

    /// Does it belong where it is, whatever the routing says: a leg, or a call that
    /// its backend started?
    pub const fn follows(&self) -> bool {
        matches!(self.because, Because::Inherited | Because::Claimed)
    }

    /// Its first voice webhook did not leave after all; [`Call::start`] places it
    /// anew, whatever the generation is by then.
    pub fn unstart(&mut self) {
        self.flags = self.flags.without(Flags::STARTED);
        self.generation = self.generation.wrapping_sub(1);
    }

    /// An emergency stop let its first webhook not through: it begins nowhere, unless it
    /// comes again when the stop is over, and then on legacy. Does nothing to a call that
    /// has started.
    pub fn stop(&mut self) {
        if !self.flags.has(Flags::STARTED) {
            self.backend = Backend::Legacy;
            self.because = Because::Stopped;
        }
    }

    /// A webhook of the call was answered. `failed` as the error rate sees it, or
    /// None where it is nobody's voice: an event, or no fault of the backend's.
    /// Gives the call's voice: at most one good and one failed in each minute
    /// of the call.
    pub fn heard(
        &mut self,
        failed: Option<bool>,
        does: Does,
        reached_served: bool,
        now: Tick,
    ) -> Option<Voice> {
        // Who got there and was let down by the answer was not served by it.
        let served = reached_served && failed != Some(true);
        self.flags = self.flags.with_if(Flags::SERVED, served);
        let failed = failed?;
        self.flags = self.flags.with_if(Flags::FAILED, failed);
        if !failed {
            // A failed answer is not what the caller heard, so it decides nothing.
            self.flags = self
                .flags
                .with(Flags::ANSWERED)
                .with_if(Flags::SERVED, does.serves)
                .without(Flags::ENDS)
                .with_if(Flags::ENDS, does.ends);
        }
        self.voice(failed, now)
    }

    fn voice(&mut self, failed: bool, now: Tick) -> Option<Voice> {
        let now = Moment::from(now);
        let minute = Duration::from_secs(60);
        let last = if failed { self.failed } else { self.good };
        if last != Moment::NEVER && self.began.whole(minute, last) == self.began.whole(minute, now)
        {
            return None;
        }
        let voice = Voice {
            tenant: self.tenant,
            failed,
            previous: self.good.max(self.failed).tick(),
            previous_failed: self.failed.tick(),
        };
        if failed {
            self.failed = now;
        } else {
            self.good = now;
        }
        Some(voice)
    }

    /// A reversal or total rollback: a call on new that is known by events alone
    /// goes back to legacy. A started call stays, and so does what belongs where it
    /// is (see [`Call::follows`]).
    pub fn drop_provisional(&mut self) -> bool {
        let drops = self.flags.has(Flags::PROVISIONAL)
            && self.backend == Backend::New
            && !self.follows()
            && !self.has_ended();
        if drops {
            self.backend = Backend::Legacy;
            self.because = Because::Latched;
        }
        drops
    }

    /// Its backend.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Why it is there.
    pub const fn because(&self) -> Because {
        self.because
    }

    /// Whose call.
    pub const fn tenant(&self) -> TenantKey {
        self.tenant
    }

    /// What is known of it, yes or no.
    pub const fn flags(&self) -> Flags {
        self.flags
    }

    /// Routing generation under which it was placed.
    pub const fn generation(&self) -> u64 {
        self.generation as u64
    }

    /// When its first webhook came.
    pub const fn began(&self) -> Moment {
        self.began
    }

    /// When its last webhook came.
    pub const fn seen(&self) -> Moment {
        self.seen
    }

    /// When its end was told.
    pub const fn ended(&self) -> Moment {
        self.ended
    }

    /// Is it over?
    pub fn has_ended(&self) -> bool {
        self.ended != Moment::NEVER
    }

    /// Is it over, and its end not told yet because a report may follow?
    pub const fn awaits_report(&self) -> bool {
        self.flags.has(Flags::AWAITS)
    }

    /// Does it count among the calls begun and not ended? Legs do not: one caller
    /// is one call, however many legs it takes.
    pub fn is_active(&self) -> bool {
        !self.has_ended() && !self.flags.has(Flags::LEG)
    }
}

fn tenant_key(subject: &Subject<'_>) -> TenantKey {
    match subject.tenant {
        Tenant::Known(tenant) => TenantKey::new(tenant),
        Tenant::Unlisted | Tenant::Missing => TenantKey::NONE,
    }
}

/// The low 32 bits that an entry keeps of a generation.
#[expect(clippy::cast_possible_truncation, reason = "cutting off is the point")]
const fn short_generation(generation: u64) -> u32 {
    generation as u32
}

#[cfg(test)]
mod tests;
