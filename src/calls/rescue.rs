//! Who may be answered by legacy when new fails, and how.
//!
//! Legacy has no session of a call that began on new. What a call begins with it can
//! answer like any other call; later it can only take the call over from its entry, and
//! only where the caller hears a document: a redirect in the ear of somebody who is being
//! connected, or of a caller who was connected already, would do harm.

use super::{Call, Flags, Moment};
use crate::measure::{CallEnd, Ended};
use crate::model::{Backend, Protocol, Tick};
use crate::protocol::Asks;
use crate::split::Because;

/// Which webhooks of a route legacy may answer when new fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// None.
    Off,
    /// Those a call begins with: a first fetch, an assistant-request.
    #[default]
    Start,
    /// All of them.
    Every,
}

/// What can be done for a webhook that new failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing: nobody else knows what to say.
    None,
    /// Legacy is asked the same.
    Same,
    /// The caller is sent to legacy's entry.
    Entry,
}

/// All that decides over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patient {
    /// What the route allows.
    pub mode: Mode,
    /// How its provider speaks.
    pub protocol: Protocol,
    /// What a sound answer would be.
    pub asks: Asks,
    /// It looks like the first webhook of its call.
    pub starts: bool,
    /// New has soundly answered the call before.
    pub answered: bool,
    /// New started the call itself: legacy never heard of it.
    pub claimed: bool,
    /// It is heard beside the call: by a leg's other end, or while waiting in a queue.
    pub beside: bool,
    /// It tells that the caller was connected to somebody.
    pub bridged: bool,
    /// Nobody reads the answer, but something must be done.
    pub delegated: bool,
    /// The route names where legacy takes over.
    pub has_entry: bool,
}

impl Patient {
    /// What can be done for it.
    pub fn remedy(&self) -> Remedy {
        let every = self.mode == Mode::Every;
        if self.mode == Mode::Off || self.claimed || self.beside {
            return Remedy::None;
        }
        match (self.protocol, self.asks) {
            // The answer is a status. What was commanded before it failed, nobody knows.
            (Protocol::TelnyxCallControl, _) if every => Remedy::Same,
            (Protocol::Vapi, Asks::Assistant) if every || !self.answered => Remedy::Same,
            (Protocol::Vapi, Asks::Nothing) if every && self.delegated => Remedy::Same,
            (Protocol::Vapi, Asks::Nothing | Asks::Audio) => Remedy::None,
            (Protocol::Vapi, _) if every => Remedy::Same,
            (Protocol::TelnyxTexml | Protocol::Twilio, Asks::Document) => self.of_document(every),
            _ => Remedy::None,
        }
    }

    /// May its call be taken from new to legacy's entry, because everything is?
    pub const fn may_move(&self) -> bool {
        matches!(self.asks, Asks::Document)
            && self.has_entry
            && !self.beside
            && !self.bridged
            && !self.claimed
    }

    const fn of_document(&self, every: bool) -> Remedy {
        if self.starts && !self.answered {
            Remedy::Same
        } else if every && self.may_move() {
            Remedy::Entry
        } else if every && !self.has_entry && !self.bridged {
            Remedy::Same
        } else {
            Remedy::None
        }
    }
}

impl Call {
    /// Legacy has it from now on: it answered instead of new (`Rescued`), or the caller
    /// was sent to its entry after new had answered (`Moved`). False: it was legacy's
    /// already.
    ///
    /// What new failed at is not legacy's to answer for; a call that new answered first
    /// stays new's in the end measures (see [`Call::end`]).
    pub fn rescue(&mut self) -> bool {
        if self.backend == Backend::Legacy {
            return false;
        }
        let began_on_new = self.flags.has(Flags::ANSWERED);
        self.because = if began_on_new {
            Because::Moved
        } else {
            self.flags = self.flags.without(Flags::FAILED);
            Because::Rescued
        };
        self.backend = Backend::Legacy;
        self.flags = self.flags.with(Flags::STARTED).without(Flags::PROVISIONAL);
        // Voices are counted backend by backend: on legacy it has had none.
        (self.good, self.failed) = (Moment::NEVER, Moment::NEVER);
        true
    }

    /// A copy for what is still to be told of the backend it has left: no voice of it was
    /// heard there that anybody remembers.
    #[must_use]
    pub const fn elsewhere(&self) -> Self {
        Self {
            good: Moment::NEVER,
            failed: Moment::NEVER,
            ..*self
        }
    }

    /// The end of a call that was taken from new before new had answered it, as new's
    /// numbers see it: one more call that failed. `self` as it was before
    /// [`Call::rescue`]. None where the call's end says nothing: a leg, one that goes on
    /// on new's account, or one whose end was told already, because its caller did not
    /// wait for the rescue.
    pub fn lost(&self, now: Tick) -> Option<Ended> {
        let is_over = self.has_ended() && !self.awaits_report();
        let goes_on = self.flags.has(Flags::ANSWERED);
        let told = !self.flags.has(Flags::LEG) && !goes_on && !is_over;
        told.then(|| Ended {
            at: now,
            began: self.began.tick().unwrap_or_default(),
            backend: Backend::New,
            tenant: self.tenant,
            end: CallEnd::Rescued,
            duration_s: None,
            generation: self.generation(),
            counts: !self.flags.has(Flags::OUTBOUND),
            failed: true,
        })
    }
}

#[cfg(test)]
mod tests;
