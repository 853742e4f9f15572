//! One call's life: placed, started, heard, served, ended, forgotten.
//!
//! Step functions over a small entry; the moment is always an argument. The
//! table keeps a million of these, so an entry is forty bytes, and times in it
//! are tenths of a second.

mod end;
mod flags;
mod moment;

pub use end::Fate;
pub use flags::Flags;
pub use moment::Moment;

use std::time::Duration;

use crate::document::Does;
use crate::measure::Voice;
use crate::model::{Backend, TenantKey, Tick};
use crate::protocol::{CallEvent, EventKind, Facts};
use crate::split::{Because, Placement, Split, Subject, Tenant};

/// A call that ended is remembered so long, for the recordings and reports that
/// come after it.
pub const AFTER_END: Duration = Duration::from_secs(30 * 60);

/// A call that says nothing for so long is given up.
pub const IDLE: Duration = Duration::from_secs(4 * 60 * 60);

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

/// What the first webhook of a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// Where the request goes.
    pub placement: Placement,
    /// What to remember; None: no call begins with this webhook.
    pub call: Option<Call>,
}

/// Places a call that the table does not know. `parent` is the call that made
/// this leg, if the table knows it.
pub fn first(
    event: &CallEvent<'_>,
    subject: &Subject<'_>,
    split: &Split,
    parent: Option<&Call>,
    now: Tick,
) -> First {
    let placement = match parent {
        Some(parent) => Placement {
            backend: parent.backend,
            because: Because::Inherited,
        },
        None => unknown(event.kind, subject, split),
    };
    let mut flags = Flags::default()
        .with_if(Flags::LEG, event.parent.is_some())
        .with_if(Flags::OUTBOUND, event.outbound);
    match event.kind {
        // Nothing can begin with its own end, nor with a recording of it.
        EventKind::Final(_) | EventKind::Report => {
            return First {
                placement,
                call: None,
            };
        }
        EventKind::Progress => flags = flags.with(Flags::PROVISIONAL),
        EventKind::Start | EventKind::Step => {}
    }
    let mut call = Call::placed(placement, flags, split.generation, now);
    match parent {
        Some(parent) => {
            call.tenant = parent.tenant;
            // It is evidence about what its call was placed by: a leg that an old call
            // makes after a reversal says nothing about what runs now.
            call.generation = parent.generation;
        }
        None => call.tenant = tenant_key(subject),
    }
    call.step(event.facts, subject, now);
    First {
        placement,
        call: Some(call),
    }
}

fn unknown(kind: EventKind, subject: &Subject<'_>, split: &Split) -> Placement {
    let placement = split.place(subject);
    let because = match kind {
        EventKind::Final(_) | EventKind::Report => Because::Late,
        // While latched the latch is what decided, and what an operator looks for.
        EventKind::Step if !split.latched => Because::Orphan,
        _ => placement.because,
    };
    Placement {
        because,
        ..placement
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
        if facts.answered && self.answered == Moment::NEVER {
            self.answered = now;
        }
        if self.tenant == TenantKey::NONE {
            self.tenant = tenant_key(subject);
        }
    }

    /// Should a file that kept `saved` learn what the call is now? So it should
    /// when anything but a moment changed, and once in every hour that the
    /// call still speaks, so that a restart does not take it for silent.
    pub fn outdates(&self, saved: &Self) -> bool {
        const HOUR: Duration = Duration::from_secs(3600);
        let (now, then) = (self.pin(), saved.pin());
        let same = Pin {
            began: then.began,
            seen: then.seen,
            ..now
        };
        same != then || self.began.whole(HOUR, now.seen) != then.began.whole(HOUR, then.seen)
    }

    /// Its first voice webhook is about to leave for a backend. When the routing
    /// changed since the call was placed it is placed anew; a leg stays where
    /// its call is. Does nothing to a call that has started.
    pub fn start(&mut self, subject: &Subject<'_>, split: &Split) -> Option<Placement> {
        if self.flags.has(Flags::STARTED) {
            return None;
        }
        self.flags = self.flags.with(Flags::STARTED).without(Flags::PROVISIONAL);
        let follows = self.because == Because::Inherited;
        let same = self.generation == short_generation(split.generation);
        // A generation that a crash lost is given out again: a latch asks for none.
        let shut = split.latched && self.backend == Backend::New;
        if follows || same && !shut {
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

    /// Its first voice webhook did not leave after all; [`Call::start`] places it
    /// anew, whatever the generation is by then.
    pub fn unstart(&mut self) {
        self.flags = self.flags.without(Flags::STARTED);
        self.generation = self.generation.wrapping_sub(1);
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
        self.flags = self.flags.with_if(Flags::SERVED, reached_served);
        let failed = failed?;
        if !failed {
            // A failed answer is not what the caller heard, so it decides nothing.
            self.flags = self
                .flags
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
    /// goes back to legacy. A started call stays, and so does a leg, which
    /// belongs where its call is.
    pub fn drop_provisional(&mut self) -> bool {
        let drops = self.flags.has(Flags::PROVISIONAL)
            && self.backend == Backend::New
            && self.because != Because::Inherited
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

    /// Does it count among the calls begun and not ended? Legs do not: one caller
    /// is one call, however many legs it takes.
    pub fn is_active(&self) -> bool {
        !self.has_ended() && !self.flags.has(Flags::LEG)
    }

    /// The same call as a file kept it. Voices and the moment of answering are
    /// not kept: after a restart the windows they belong to are empty.
    pub fn restored(pin: Pin) -> Self {
        Self {
            tenant: pin.tenant,
            generation: pin.generation,
            began: pin.began,
            seen: pin.seen,
            answered: Moment::NEVER,
            ended: if pin.ended { pin.seen } else { Moment::NEVER },
            good: Moment::NEVER,
            failed: Moment::NEVER,
            flags: pin.flags,
            backend: pin.backend,
            because: pin.because,
        }
    }

    /// What of the call is worth keeping over a restart.
    pub fn pin(&self) -> Pin {
        Pin {
            tenant: self.tenant,
            generation: self.generation,
            began: self.began,
            seen: if self.has_ended() {
                self.ended
            } else {
                self.seen
            },
            ended: self.has_ended(),
            flags: self.flags,
            backend: self.backend,
            because: self.because,
        }
    }
}

/// What of a call is kept over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Whose call.
    pub tenant: TenantKey,
    /// Low 32 bits of the routing generation under which it was placed.
    pub generation: u32,
    /// When its first webhook came.
    pub began: Moment,
    /// When its last webhook came; of an ended call, when it ended.
    pub seen: Moment,
    /// Is it over?
    pub ended: bool,
    /// What is known of it.
    pub flags: Flags,
    /// Its backend.
    pub backend: Backend,
    /// Why it is there.
    pub because: Because,
}

#[cfg(test)]
mod tests;
