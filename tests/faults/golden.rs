//! A few rows as somebody would write them by hand, to keep the rules honest.

use crate::calls::Wire::{self, CallControl, TexmlGet, TexmlPost, Twilio, Vapi};
use crate::case::{self, Case, Mode, Moment};
use crate::expected::Got::{Answer, Broken, Entry, Error, LastResort, Silence};
use crate::expected::Side::{self, New};
use crate::expected::{Got, expected};
use crate::fault::{Fault, Legacy};

/// Protocol, mode, moment, fault of new, state of legacy.
type When = (Wire, Mode, Moment, Fault, Legacy);
/// What the provider gets, what is counted, as what rescue, and who is asked next.
type Then = (Got, &'static [(Side, &'static str)], &'static str, Side);

const OLD: Side = Side::Legacy;

#[rustfmt::skip] // one row, one line
const ROWS: [(When, Then); 24] = [
    // What a call begins with is answered by legacy, whatever new does.
    ((TexmlPost, Mode::Start, Moment::First, Fault::Sound, Legacy::Well), (Answer(New), &[(New, "served")], "", New)),
    ((TexmlPost, Mode::Start, Moment::First, Fault::Refuses, Legacy::Well), (Answer(OLD), &[(New, "connect"), (OLD, "served")], "served", OLD)),
    ((TexmlGet, Mode::Start, Moment::First, Fault::Truncated, Legacy::Slow), (Answer(OLD), &[(New, "document"), (OLD, "served")], "served", OLD)),
    ((TexmlPost, Mode::Start, Moment::First, Fault::Status204, Legacy::Well), (Answer(OLD), &[(New, "status"), (OLD, "served")], "served", OLD)),
    ((Twilio, Mode::Start, Moment::First, Fault::Hangs, Legacy::Well), (Answer(OLD), &[(New, "timeout"), (OLD, "served")], "served", OLD)),
    ((Vapi, Mode::Start, Moment::First, Fault::EmptyObject, Legacy::Well), (Answer(OLD), &[(New, "document"), (OLD, "served")], "served", OLD)),
    // Late and sound is no failure: it is measured and dropped, or the second choice.
    ((TexmlPost, Mode::Start, Moment::First, Fault::SlowFirstByte, Legacy::Well), (Answer(OLD), &[(New, "served"), (OLD, "served")], "served", OLD)),
    ((TexmlPost, Mode::Start, Moment::First, Fault::SlowBody, Legacy::Fails), (Answer(New), &[(New, "served"), (OLD, "status")], "late", New)),
    // Both fail: the route's own document, or what the operator wants instead.
    ((Twilio, Mode::Start, Moment::First, Fault::Resets, Legacy::Refuses), (LastResort, &[(New, "reset|stale"), (OLD, "connect")], "last-resort", New)),
    ((Vapi, Mode::Start, Moment::First, Fault::Status500, Legacy::Hangs), (LastResort, &[(New, "status"), (OLD, "timeout")], "last-resort", New)),
    ((TexmlPost, Mode::Plain, Moment::First, Fault::Status503, Legacy::Fails), (Error(500), &[(New, "status"), (OLD, "status")], "failed", New)),
    ((TexmlPost, Mode::Start, Moment::First, Fault::Html, Legacy::Broken), (Broken(OLD), &[(New, "document"), (OLD, "document|served")], "served", OLD)),
    // Midway nobody else knows the call, unless the route says so.
    ((TexmlPost, Mode::Start, Moment::Gather, Fault::Status500, Legacy::Well), (LastResort, &[(New, "status")], "last-resort", New)),
    ((TexmlGet, Mode::Entry, Moment::Gather, Fault::ClosesInBody, Legacy::Hangs), (Entry, &[(New, "reset")], "moved", OLD)),
    ((Twilio, Mode::Every, Moment::Gather, Fault::Banner, Legacy::Well), (Answer(OLD), &[(New, "malformed"), (OLD, "served")], "served", OLD)),
    // Somebody else is on the line.
    ((TexmlPost, Mode::Entry, Moment::DialBridged, Fault::Status500, Legacy::Well), (Silence, &[(New, "status")], "last-resort", New)),
    ((TexmlPost, Mode::Entry, Moment::DialBusy, Fault::Status500, Legacy::Well), (Entry, &[(New, "status")], "moved", OLD)),
    ((Twilio, Mode::Entry, Moment::Whisper, Fault::Status500, Legacy::Well), (Silence, &[(New, "status")], "last-resort", New)),
    ((TexmlGet, Mode::Entry, Moment::Wait, Fault::Hangs, Legacy::Well), (Silence, &[(New, "timeout")], "last-resort", New)),
    // Nobody waits: it is delivered again.
    ((TexmlPost, Mode::Start, Moment::Status, Fault::Status404, Legacy::Well), (Error(404), &[(New, "status")], "", New)),
    ((Vapi, Mode::Every, Moment::Report, Fault::Hangs, Legacy::Well), (Error(504), &[(New, "timeout")], "", New)),
    ((CallControl, Mode::Start, Moment::First, Fault::Status302, Legacy::Well), (Error(502), &[(New, "status")], "", New)),
    // A call that legacy has is legacy's.
    ((TexmlPost, Mode::Start, Moment::AfterRescue, Fault::Hangs, Legacy::Well), (Answer(OLD), &[(OLD, "served")], "", OLD)),
    ((TexmlGet, Mode::Entry, Moment::AfterMove, Fault::Status500, Legacy::Fails), (LastResort, &[(OLD, "status")], "last-resort", OLD)),
];

#[test]
fn the_rules_say_what_a_person_would() {
    let rows = case::all();
    for ((wire, mode, moment, fault, legacy), (got, counted, rescue, next)) in ROWS {
        let case = Case {
            wire,
            mode,
            moment,
            fault,
            legacy,
        };
        assert!(rows.contains(&case), "no row of the table: {case:?}");
        let expected = expected(case);
        assert_eq!(expected.got, got, "{case:?}");
        let its: Vec<_> = expected
            .counted
            .iter()
            .map(|it| (it.side, it.outcome))
            .collect();
        assert_eq!(its, counted, "{case:?}");
        assert_eq!(expected.rescue.unwrap_or_default(), rescue, "{case:?}");
        assert_eq!(expected.next, next, "{case:?}");
    }
}
