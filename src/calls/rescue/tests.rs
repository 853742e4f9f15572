//! Who is rescued, by whom, and who is left alone.

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
