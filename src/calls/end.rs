//! How a call's life ends, and when it is forgotten.

use std::time::Duration;

use super::{AFTER_END, Call, Flags, IDLE, Moment};
use crate::measure::{CallEnd, Ended, Fault};
use crate::model::Tick;
use crate::protocol::{Final, FinalStatus, HungUp};

/// What the passing of time does to a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It is kept.
    Stays,
    /// It ended long enough ago.
    Forgotten,
    /// No end was ever seen; given up. A leg is given up without a word.
    Expired(Option<Ended>),
}

impl Call {
    /// Its end was told. None when it was told before, and for a leg, which
    /// ends no call. `short` is the time within which a hang-up says nothing.
    pub fn end(&mut self, last: &Final, short: Duration, now: Tick) -> Option<Ended> {
        if self.has_ended() {
            return None;
        }
        self.ended = now.into();
        let end = self.how(last, short);
        self.tell(end, self.duration_s(last), now)
    }

    /// What the passing of time does to it.
    pub fn fate(&mut self, now: Tick) -> Fate {
        let moment = Moment::from(now);
        if self.has_ended() {
            return if moment.since(self.ended) >= AFTER_END {
                Fate::Forgotten
            } else {
                Fate::Stays
            };
        }
        if moment.since(self.seen) < IDLE {
            return Fate::Stays;
        }
        self.ended = moment;
        Fate::Expired(self.tell(CallEnd::Expired, None, now))
    }

    fn tell(&self, end: CallEnd, duration_s: Option<u32>, now: Tick) -> Option<Ended> {
        (!self.flags.has(Flags::LEG)).then(|| Ended {
            at: now,
            began: self.began.tick().unwrap_or_default(),
            backend: self.backend,
            tenant: self.tenant,
            end,
            duration_s,
            generation: self.generation(),
            counts: !self.flags.has(Flags::OUTBOUND),
            failed: false,
        })
    }

    fn how(&self, last: &Final, short: Duration) -> CallEnd {
        match (last.status, self.person_hung_up(last)) {
            (FinalStatus::Failed(Fault::Backend), _) => CallEnd::Failed,
            (FinalStatus::Failed(Fault::Provider | Fault::Internal), _) => CallEnd::ProviderFailed,
            (FinalStatus::Transferred, _) => CallEnd::Transferred,
            // Busy or no answer is an outcome: nobody was there to be served, and
            // nobody hung up on us.
            (FinalStatus::NotReached, _) => CallEnd::Unknown,
            _ if self.flags.has(Flags::SERVED) => CallEnd::Served,
            // Not answered yet, so on an inbound call only the caller can have
            // hung up; on an outbound call it was the application.
            (FinalStatus::Canceled, _) if self.flags.has(Flags::OUTBOUND) => CallEnd::Unknown,
            (FinalStatus::Canceled, _) | (FinalStatus::Completed, Some(true)) => {
                self.gave_up(last, short)
            }
            (FinalStatus::Completed, Some(false)) => CallEnd::Served,
            (FinalStatus::Completed, None) if self.flags.has(Flags::ENDS) => CallEnd::Served,
            (FinalStatus::Completed, None) => CallEnd::Unknown,
        }
    }

    fn gave_up(&self, last: &Final, short: Duration) -> CallEnd {
        let lasted = match last.duration_s {
            Some(secs) => Duration::from_secs(u64::from(secs)),
            None => self.ended.since(self.began),
        };
        if lasted < short {
            CallEnd::Short
        } else {
            CallEnd::Abandoned
        }
    }

    /// Did the person on the line hang up, rather than the application? None
    /// where the provider does not tell.
    fn person_hung_up(&self, last: &Final) -> Option<bool> {
        let person = if self.flags.has(Flags::OUTBOUND) {
            HungUp::Callee
        } else {
            HungUp::Caller
        };
        last.by.map(|by| by == person)
    }

    fn duration_s(&self, last: &Final) -> Option<u32> {
        last.duration_s.or_else(|| {
            let answered = (self.answered != Moment::NEVER).then_some(self.answered)?;
            u32::try_from(self.ended.since(answered).as_secs()).ok()
        })
    }
}
