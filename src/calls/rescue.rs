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
mod tests {
    use std::time::Duration;

    use Protocol::{TelnyxCallControl, TelnyxTexml, Twilio, Vapi};

    use super::*;
    use crate::document::Does;
    use crate::protocol::{Final, FinalStatus, HungUp};
    use crate::split::Placement;

    fn first() -> Patient {
        Patient {
            mode: Mode::Start,
            protocol: TelnyxTexml,
            asks: Asks::Document,
            starts: true,
            answered: false,
            claimed: false,
            beside: false,
            bridged: false,
            delegated: false,
            has_entry: true,
        }
    }

    fn midway() -> Patient {
        Patient {
            mode: Mode::Every,
            starts: false,
            answered: true,
            ..first()
        }
    }

    #[test]
    fn a_first_fetch_is_asked_of_legacy_and_a_later_one_only_where_the_route_says_so() {
        for protocol in [TelnyxTexml, Twilio] {
            let first = Patient {
                protocol,
                ..first()
            };
            let midway = Patient {
                protocol,
                ..midway()
            };
            for (patient, remedy) in [
                (first, Remedy::Same),
                (
                    Patient {
                        mode: Mode::Off,
                        ..first
                    },
                    Remedy::None,
                ),
                (
                    Patient {
                        mode: Mode::Every,
                        ..first
                    },
                    Remedy::Same,
                ),
                (
                    Patient {
                        answered: true,
                        ..first
                    },
                    Remedy::None,
                ),
                (
                    Patient {
                        starts: false,
                        ..first
                    },
                    Remedy::None,
                ),
                (
                    Patient {
                        mode: Mode::Start,
                        ..midway
                    },
                    Remedy::None,
                ),
                (midway, Remedy::Entry),
                (
                    Patient {
                        has_entry: false,
                        ..midway
                    },
                    Remedy::Same,
                ),
                (
                    Patient {
                        starts: true,
                        ..midway
                    },
                    Remedy::Entry,
                ),
            ] {
                assert_eq!(patient.remedy(), remedy, "{patient:?}");
            }
        }
    }

    #[test]
    fn nobody_is_sent_to_the_entry_from_beside_a_call_or_after_a_bridge() {
        for patient in [
            Patient {
                beside: true,
                ..midway()
            },
            Patient {
                bridged: true,
                ..midway()
            },
            Patient {
                bridged: true,
                has_entry: false,
                ..midway()
            },
            Patient {
                claimed: true,
                ..midway()
            },
            Patient {
                claimed: true,
                ..first()
            },
            Patient {
                beside: true,
                ..first()
            },
        ] {
            assert_eq!(patient.remedy(), Remedy::None, "{patient:?}");
            assert!(!patient.may_move(), "{patient:?}");
        }
        assert!(midway().may_move());
    }

    #[test]
    fn vapi_is_rescued_at_the_assistant_request_and_the_rest_on_demand() {
        for (mode, asks, answered, remedy) in [
            (Mode::Start, Asks::Assistant, false, Remedy::Same),
            (Mode::Start, Asks::Assistant, true, Remedy::None),
            (Mode::Every, Asks::Assistant, true, Remedy::Same),
            (Mode::Start, Asks::Tools, true, Remedy::None),
            (Mode::Every, Asks::Tools, true, Remedy::Same),
            (Mode::Every, Asks::Destination, true, Remedy::Same),
            (Mode::Every, Asks::Audio, true, Remedy::None),
            (Mode::Every, Asks::Nothing, true, Remedy::None),
        ] {
            let patient = Patient {
                mode,
                protocol: Vapi,
                asks,
                answered,
                has_entry: false,
                ..first()
            };
            assert_eq!(patient.remedy(), remedy, "{patient:?}");
        }
        let hang_up = Patient {
            protocol: Vapi,
            asks: Asks::Nothing,
            delegated: true,
            ..midway()
        };
        assert_eq!(hang_up.remedy(), Remedy::Same);
    }

    #[test]
    fn events_of_call_control_only_on_demand() {
        for (mode, remedy) in [
            (Mode::Off, Remedy::None),
            (Mode::Start, Remedy::None),
            (Mode::Every, Remedy::Same),
        ] {
            let patient = Patient {
                mode,
                protocol: TelnyxCallControl,
                asks: Asks::Nothing,
                ..first()
            };
            assert_eq!(patient.remedy(), remedy, "{mode:?}");
        }
    }

    fn on_new() -> Call {
        let placement = Placement {
            backend: Backend::New,
            because: Because::Hashed,
        };
        Call::placed(placement, Flags::STARTED, 3, Tick::from_secs(4000))
    }

    fn later(secs: u64) -> Tick {
        Tick::from_secs(4000 + secs)
    }

    fn is_over(call: &mut Call) -> Ended {
        let last = Final {
            status: FinalStatus::Completed,
            by: Some(HungUp::Callee),
            duration_s: Some(60),
            report_follows: false,
        };
        call.end(&last, false, Duration::from_secs(5), later(60))
            .unwrap()
    }

    #[test]
    fn a_call_rescued_at_its_start_is_legacy_s_and_new_has_lost_one() {
        let mut call = on_new();
        call.heard(Some(true), Does::default(), false, later(1));
        let former = call;
        assert!(call.rescue());
        assert_eq!(
            (call.backend(), call.because()),
            (Backend::Legacy, Because::Rescued)
        );
        assert!(!call.rescue(), "once a call, and never back");
        let ended = is_over(&mut call);
        assert_eq!((ended.backend, ended.failed), (Backend::Legacy, false));
        let lost = former.lost(later(1)).unwrap();
        assert_eq!((lost.backend, lost.end), (Backend::New, CallEnd::Rescued));
        assert!(lost.failed && lost.counts);
    }

    #[test]
    fn a_call_whose_end_was_told_is_not_lost_as_well() {
        for (report_follows, ends) in [(false, 1), (true, 2)] {
            let mut call = on_new();
            let last = Final {
                status: FinalStatus::Completed,
                by: Some(HungUp::Caller),
                duration_s: Some(60),
                report_follows,
            };
            let told = call.end(&last, false, Duration::from_secs(5), later(1));
            assert_eq!(told.is_none(), report_follows);
            // Legacy answers a webhook that nobody hears the answer of.
            let former = call;
            call.rescue();
            let lost = former.lost(later(2));
            let report = Final {
                report_follows: false,
                ..last
            };
            let reported = call.end(&report, false, Duration::from_secs(5), later(3));
            let all = [told, lost, reported];
            assert_eq!(all.iter().flatten().count(), ends, "{all:?}");
            let of_new = |end: &&Ended| end.backend == Backend::New;
            assert_eq!(all.iter().flatten().filter(of_new).count(), 1);
        }
    }

    #[test]
    fn a_call_moved_midway_ends_on_new_s_account() {
        let mut call = on_new();
        call.heard(Some(false), Does::default(), false, later(1));
        call.heard(Some(true), Does::default(), false, later(20));
        let former = call;
        assert!(call.rescue());
        assert_eq!(
            (call.backend(), call.because()),
            (Backend::Legacy, Because::Moved)
        );
        assert_eq!(former.lost(later(20)), None, "it is told when it ends");
        let ended = is_over(&mut call);
        assert_eq!((ended.backend, ended.failed), (Backend::New, true));
    }

    #[test]
    fn voices_of_a_rescued_call_are_counted_backend_by_backend() {
        let mut call = on_new();
        call.heard(Some(true), Does::default(), false, later(1));
        call.rescue();
        let voice = call
            .heard(Some(false), Does::default(), false, later(2))
            .unwrap();
        assert_eq!((voice.failed, voice.previous), (false, None));
        let late = call
            .elsewhere()
            .heard(Some(true), Does::default(), false, later(3));
        assert_eq!(late.unwrap().previous_failed, None);
    }

    #[test]
    fn status_callbacks_stay_where_their_call_is() {
        let patient = Patient {
            asks: Asks::Nothing,
            ..midway()
        };
        assert_eq!(patient.remedy(), Remedy::None);
    }
}
