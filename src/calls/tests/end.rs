//! How a call ended: as it was told, as a report bettered it, or by time.

use super::*;
use crate::measure::{CallEnd, Fault};

#[test]
fn how_an_inbound_call_ended() {
    use FinalStatus::{Canceled, Completed, Failed, NotReached};
    let caller = Some(HungUp::Caller);
    let callee = Some(HungUp::Callee);
    for (does, status, by, lasted, expected) in [
        (GOES_ON, Completed, caller, 5, CallEnd::Abandoned),
        (GOES_ON, Completed, caller, 4, CallEnd::Short),
        (SERVES, Completed, caller, 4, CallEnd::Served),
        (SERVES, Completed, caller, 60, CallEnd::Served),
        (GOES_ON, Completed, callee, 60, CallEnd::Served),
        (ENDS, Completed, caller, 60, CallEnd::Abandoned),
        (ENDS, Completed, None, 60, CallEnd::Served),
        (SERVES, Completed, None, 60, CallEnd::Served),
        (GOES_ON, Completed, None, 60, CallEnd::Unknown),
        (GOES_ON, Canceled, None, 5, CallEnd::Abandoned),
        (GOES_ON, Canceled, None, 4, CallEnd::Short),
        (GOES_ON, NotReached, None, 60, CallEnd::Unknown),
        (SERVES, Failed(Fault::Backend), caller, 60, CallEnd::Failed),
    ] {
        let mut told = call(EventKind::Start);
        told.heard(Some(false), does, false, NOW);
        let mut untold = told;
        let case = format!("{does:?} {status:?} {by:?} {lasted} s");

        let end = told.end(&over(status, by, Some(lasted)), false, SHORT, after(100));
        let end = end.expect("a call ends once");
        assert_eq!(end.end, expected, "{case}");
        assert_eq!((end.began, end.at), (NOW, after(100)), "{case}");
        assert_eq!(end.duration_s, Some(lasted), "{case}");
        assert!(end.counts, "{case}");

        let at = after(u64::from(lasted));
        let end = untold
            .end(&over(status, by, None), false, SHORT, at)
            .unwrap();
        assert_eq!(end.end, expected, "by our own clock: {case}");
    }
}

#[test]
fn how_an_outbound_call_ended() {
    use FinalStatus::{Canceled, Completed};
    for (status, by, expected) in [
        (Completed, Some(HungUp::Caller), CallEnd::Served),
        (Completed, Some(HungUp::Callee), CallEnd::Abandoned),
        (Canceled, None, CallEnd::Unknown),
    ] {
        let mut event = event(EventKind::Start);
        event.outbound = true;
        let first = first(&event, &SUBJECT, NONE, &split(1, 100.0), None, NOW);
        let mut call = first.call.unwrap();
        let end = call.end(&over(status, by, Some(60)), false, SHORT, after(60));
        let end = end.unwrap();
        assert_eq!(end.end, expected, "{status:?} {by:?}");
        assert!(!end.counts, "an outbound call is in no end measure");
    }
}

#[test]
fn a_document_that_failed_does_not_end_the_call() {
    let mut call = call(EventKind::Start);
    call.heard(Some(true), ENDS, false, NOW);
    let end = call.end(
        &over(FinalStatus::Completed, None, None),
        false,
        SHORT,
        after(60),
    );
    assert_eq!(end.map(|end| end.end), Some(CallEnd::Unknown));
}

#[test]
fn a_document_that_goes_on_takes_back_the_one_that_ended() {
    let mut call = call(EventKind::Start);
    call.heard(Some(false), ENDS, false, NOW);
    call.heard(Some(false), GOES_ON, false, after(1));
    let end = call.end(
        &over(FinalStatus::Completed, None, None),
        false,
        SHORT,
        after(60),
    );
    assert_eq!(end.map(|end| end.end), Some(CallEnd::Unknown));
}

#[test]
fn a_call_ends_once_and_a_leg_never() {
    let last = over(FinalStatus::Completed, None, None);
    let mut call = call(EventKind::Start);
    assert!(call.end(&last, false, SHORT, after(1)).is_some());
    assert_eq!(call.end(&last, false, SHORT, after(2)), None);
    let mut leg = event(RINGS);
    leg.parent = Some("CA0".into());
    let first = first(&leg, &SUBJECT, NONE, &split(1, 100.0), None, NOW);
    let mut leg = first.call.unwrap();
    assert_eq!(leg.end(&last, false, SHORT, after(1)), None);
    assert!(leg.has_ended());
}

#[test]
fn a_duration_nobody_told_runs_from_the_answer() {
    let mut call = call(RINGS);
    call.step(ANSWERED, &SUBJECT, after(10));
    call.step(ANSWERED, &SUBJECT, after(20));
    let last = over(FinalStatus::Completed, None, None);
    let end = call.end(&last, false, SHORT, after(70)).unwrap();
    assert_eq!(end.duration_s, Some(60));
}

#[test]
fn a_call_silent_for_four_hours_is_given_up() {
    let mut call = call(EventKind::Start);
    call.step(Facts::default(), &SUBJECT, after(100));
    assert_eq!(call.fate(after(100 + 4 * 3600 - 1)), Fate::Stays);
    let Fate::Expired(Some(ended)) = call.fate(after(100 + 4 * 3600)) else {
        panic!("four hours have passed");
    };
    assert_eq!(ended.end, CallEnd::Expired);
    assert_eq!(ended.began, NOW);
}

#[test]
fn an_ended_call_is_remembered_for_half_an_hour_whatever_comes() {
    let mut call = call(EventKind::Start);
    let last = over(FinalStatus::Completed, None, None);
    call.end(&last, false, SHORT, after(0));
    call.step(Facts::default(), &SUBJECT, after(1700));
    assert_eq!(call.fate(after(1799)), Fate::Stays);
    assert_eq!(call.fate(after(1800)), Fate::Forgotten);
}

#[test]
fn whoever_was_connected_is_served() {
    let connected = Facts {
        connected: true,
        ..Facts::default()
    };
    let last = over(FinalStatus::Completed, Some(HungUp::Caller), Some(60));
    for facts in [Facts::default(), connected] {
        let mut call = call(RINGS);
        call.step(facts, &SUBJECT, after(1));
        let ended = call.end(&last, false, SHORT, after(60)).unwrap();
        let expected = if facts.connected {
            CallEnd::Served
        } else {
            CallEnd::Abandoned
        };
        assert_eq!(ended.end, expected);
    }
}

#[test]
fn a_failure_the_caller_waited_for_makes_a_failed_call_however_it_ends() {
    use FinalStatus::{Completed, Failed, Transferred};
    let caller = Some(HungUp::Caller);
    for (heard, status, end, failed) in [
        (Some(true), Completed, CallEnd::Abandoned, true),
        (Some(false), Completed, CallEnd::Abandoned, false),
        (None, Completed, CallEnd::Abandoned, false),
        (Some(true), Transferred, CallEnd::Transferred, true),
        (None, Failed(Fault::Backend), CallEnd::Failed, true),
        (
            None,
            Failed(Fault::Provider),
            CallEnd::ProviderFailed,
            false,
        ),
        (
            None,
            Failed(Fault::Internal),
            CallEnd::ProviderFailed,
            false,
        ),
    ] {
        let mut call = call(EventKind::Start);
        call.heard(heard, GOES_ON, false, NOW);
        // What comes after does not take it back.
        call.heard(Some(false), GOES_ON, false, after(1));
        let ended = call.end(&over(status, caller, Some(60)), false, SHORT, after(60));
        let ended = ended.unwrap();
        assert_eq!(
            (ended.end, ended.failed),
            (end, failed),
            "{heard:?} {status:?}"
        );
    }
}

#[test]
fn a_served_call_that_was_handed_over_is_transferred() {
    let mut call = call(EventKind::Start);
    call.heard(Some(false), SERVES, false, NOW);
    let last = over(FinalStatus::Transferred, None, None);
    let ended = call.end(&last, false, SHORT, after(60)).unwrap();
    assert_eq!(ended.end, CallEnd::Transferred);
}

#[test]
fn a_call_that_expires_keeps_that_it_failed() {
    for failed in [false, true] {
        let mut call = call(EventKind::Start);
        call.heard(Some(failed), GOES_ON, false, NOW);
        let Fate::Expired(Some(ended)) = call.fate(after(4 * 3600)) else {
            panic!("four hours have passed");
        };
        assert_eq!((ended.end, ended.failed), (CallEnd::Expired, failed));
    }
}

#[test]
fn without_a_report_a_call_ended_as_it_was_told_when_it_did() {
    use CallEnd::{Abandoned, Served, Short, Unknown};
    use FinalStatus::Completed;
    let caller = Some(HungUp::Caller);
    for (status, by, duration_s, served_since, expected) in [
        (Completed, caller, Some(5), false, Abandoned),
        (Completed, caller, Some(4), false, Short),
        (Completed, caller, None, false, Abandoned),
        (Completed, None, Some(60), false, Unknown),
        // An answer that served was still on its way when the caller hung up.
        (Completed, caller, Some(60), true, Served),
    ] {
        let case = format!("{status:?} {by:?} {duration_s:?}");
        let mut call = call(EventKind::Start);
        let follows = Final {
            report_follows: true,
            ..over(status, by, duration_s)
        };
        assert_eq!(call.end(&follows, false, SHORT, after(60)), None, "{case}");
        assert!(call.has_ended() && !call.is_active(), "{case}");
        assert_eq!(call.end(&follows, false, SHORT, after(61)), None, "{case}");
        call.heard(Some(false), GOES_ON, served_since, after(62));
        assert_eq!(call.fate(after(60 + 119)), Fate::Stays, "{case}");
        let Fate::Told(ended) = call.fate(after(60 + 120)) else {
            panic!("two minutes have passed: {case}");
        };
        assert_eq!(
            (ended.end, ended.duration_s),
            (expected, duration_s),
            "{case}"
        );
        assert_eq!(call.fate(after(60 + 121)), Fate::Stays, "once: {case}");
    }
}

#[test]
fn an_end_that_no_report_could_better_waits_for_none() {
    let follows = |status, by| Final {
        report_follows: true,
        ..over(status, by, Some(60))
    };
    for (status, by) in [
        (FinalStatus::Completed, Some(HungUp::Callee)),
        (FinalStatus::Transferred, None),
        (FinalStatus::Failed(Fault::Backend), None),
    ] {
        let mut call = call(EventKind::Start);
        let last = follows(status, by);
        assert!(
            call.end(&last, false, SHORT, after(60)).is_some(),
            "{status:?}"
        );
    }
    let mut leg = event(RINGS);
    leg.parent = Some("CA0".into());
    let mut leg = first(&leg, &SUBJECT, NONE, &split(1, 100.0), None, NOW);
    let leg = leg.call.as_mut().unwrap();
    let last = follows(FinalStatus::Completed, Some(HungUp::Caller));
    assert_eq!(leg.end(&last, false, SHORT, after(60)), None);
    assert_eq!(leg.fate(after(600)), Fate::Stays, "a leg tells nothing");
}

#[test]
fn a_report_that_does_not_know_who_hung_up_asks_us() {
    let mut call = call(EventKind::Start);
    let follows = Final {
        report_follows: true,
        ..over(FinalStatus::Completed, Some(HungUp::Caller), None)
    };
    assert_eq!(call.end(&follows, false, SHORT, after(60)), None);
    let report = over(FinalStatus::Completed, None, Some(58));
    let ended = call.end(&report, false, SHORT, after(70)).unwrap();
    assert_eq!(
        (ended.end, ended.duration_s),
        (CallEnd::Abandoned, Some(58))
    );
}
