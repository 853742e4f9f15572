//! How a call's life ends, and when it is forgotten.

use std::time::Duration;

use super::{AFTER_END, Call, Flags, IDLE, Moment, REPORT_WITHIN};
use crate::measure::{CallEnd, Ended, Fault};
use crate::model::{Backend, Tick};
use crate::protocol::{Final, FinalStatus, HungUp};
use crate::split::Because;

/// What the passing of time does to a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It is kept.
    Stays,
    /// It is kept; the report that would have told how it ended did not come, so its
    /// end is told now.
    Told(Ended),
    /// It ended long enough ago.
    Forgotten,
    /// No end was ever seen; given up. A leg is given up without a word.
    Expired(Option<Ended>),
}

impl Call {
    /// Its end was told, under the id it is known by first or (`by_alias`) under
    /// another. `short` is the time within which a hang-up says nothing.
    ///
    /// None when it was told before, for a leg, which ends no call, and when a report
    /// that follows is to tell how it ended: then the call is over now, and
    /// that report's `last` or [`Call::fate`] gives the end.
    pub fn end(
        &mut self,
        last: &Final,
        by_alias: bool,
        short: Duration,
        now: Tick,
    ) -> Option<Ended> {
        if self.awaits_report() {
            return self.reported(last, by_alias, short, now);
        }
        if self.has_ended() {
            return None;
        }
        self.ended = now.into();
        let end = self.how(last, short);
        if last.report_follows && self.may_be_better(end) {
            self.await_report(end, by_alias, last.duration_s);
            return None;
        }
        self.tell(end, self.duration_s(last), now)
    }

    /// What the passing of time does to it.
    pub fn fate(&mut self, now: Tick) -> Fate {
        let moment = Moment::from(now);
        if self.awaits_report() && moment.since(self.ended) >= REPORT_WITHIN {
            let end = self.without_report();
            self.flags = self.flags.without(Flags::AWAITS);
            let told = self.tell(end, self.since_answer(), now);
            return told.map_or(Fate::Stays, Fate::Told);
        }
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

    /// Can a report still say something better of a call that ended so? A leg tells
    /// nothing, so nobody waits for it.
    const fn may_be_better(&self, end: CallEnd) -> bool {
        let open = matches!(end, CallEnd::Abandoned | CallEnd::Short | CallEnd::Unknown);
        open && !self.flags.has(Flags::LEG)
    }

    fn await_report(&mut self, end: CallEnd, by_alias: bool, duration_s: Option<u32>) {
        self.flags = self
            .flags
            .with(Flags::AWAITS)
            .with_if(Flags::HUNG_UP, end != CallEnd::Unknown)
            .with_if(Flags::BRIEF, end == CallEnd::Short)
            .with_if(Flags::BY_ALIAS, by_alias);
        if let Some(secs) = duration_s {
            // There is room for the moment of answering only: it is what the duration
            // says it was.
            self.answered = self.ended.before(Duration::from_secs(u64::from(secs)));
        }
    }

    /// Another end was told while the report was awaited. It is the report, unless it
    /// announces one itself or comes from the other of two providers.
    fn reported(
        &mut self,
        last: &Final,
        by_alias: bool,
        short: Duration,
        now: Tick,
    ) -> Option<Ended> {
        if last.report_follows || by_alias != self.flags.has(Flags::BY_ALIAS) {
            return None;
        }
        let end = match self.how(last, short) {
            // The report does not know who hung up; we do.
            CallEnd::Unknown if last.status == FinalStatus::Completed => self.without_report(),
            end => end,
        };
        self.flags = self.flags.without(Flags::AWAITS);
        self.tell(end, self.duration_s(last), now)
    }

    /// How it ended as far as was told when it did.
    const fn without_report(&self) -> CallEnd {
        if self.flags.has(Flags::SERVED) {
            CallEnd::Served
        } else if self.flags.has(Flags::BRIEF) {
            CallEnd::Short
        } else if self.flags.has(Flags::HUNG_UP) {
            CallEnd::Abandoned
        } else {
            CallEnd::Unknown
        }
    }

    fn tell(&self, end: CallEnd, duration_s: Option<u32>, now: Tick) -> Option<Ended> {
        (!self.flags.has(Flags::LEG)).then(|| Ended {
            at: now,
            began: self.began.tick().unwrap_or_default(),
            backend: self.answerable(),
            tenant: self.tenant,
            end,
            duration_s,
            generation: self.generation(),
            // Whom a stop turned away no backend has served badly.
            counts: !self.flags.has(Flags::OUTBOUND) && self.because != Because::Stopped,
            failed: self.flags.has(Flags::FAILED) || end == CallEnd::Failed,
        })
    }

    /// Whose end it is: that of who answered first.
    const fn answerable(&self) -> Backend {
        match self.because {
            Because::Moved => Backend::New,
            _ => self.backend,
        }
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
        last.duration_s.or_else(|| self.since_answer())
    }

    fn since_answer(&self) -> Option<u32> {
        let answered = (self.answered != Moment::NEVER).then_some(self.answered)?;
        u32::try_from(self.ended.since(answered).as_secs()).ok()
    }
}
