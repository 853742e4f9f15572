//! What kind of webhook it is, as far as TeXML and TwiML tell it the same way.
//!
//! Neither provider names the kind, so it is told by which fields are there. In
//! this order, the first that fits:
//!
//! 1. `CallbackSource=call-progress-events`: a status callback. `Final` if the
//!    status is one a call ends with, else `Progress`. Any other source: `Report`.
//! 2. A transcription, a stream's or conference's event, a partial speech result:
//!    `Report`. So is a recording's status without results of a dial or input,
//!    and machine detection that comes without status and caller (with them it is
//!    the first fetch of a call that waited for the detection).
//! 3. Numbered, dated, or with a duration, but without results: a status callback
//!    that does not say so. With results only if the status is final.
//! 4. Results of an earlier step: `Step`, though the status be final: providers
//!    fetch a dial's action after the caller hung up, too.
//! 5. A final status: `Final`.
//! 6. Else somebody waits for a first document: `Start`.
//!
//! A fallback fetch (`ErrorCode`, `ErrorUrl`: the first address failed) is the fetch
//! it stands in for: what failed was counted when it failed.
//!
//! **Failed, by whom.** A call that failed is the application's failure, unless it
//! went out and a SIP code of 300 or more says that the far end or a carrier
//! refused it. An inbound call's code may be our own side's answer, and tells nothing.
//!
//! A status nobody knows is an end if it comes with a duration, an end time or a
//! cause, else it is `Progress`. Nothing here is an error.

use super::fields::{Fields, Mark, Wanted};
use super::form;
use super::{Asks, CallEvent, EventKind, Facts, Final, FinalStatus};
use crate::measure::Fault;

/// The event, as far as both dialects agree. None: no call is named.
pub fn event<'a>(fields: &Fields<'a>) -> Option<CallEvent<'a>> {
    let sid = fields.raw(Wanted::Call);
    let legacy = fields.raw(Wanted::Legacy);
    let call = sid.or(legacy)?;
    let differs = |value: &&[u8]| !form::is_same(value, call);
    let parent = fields
        .raw(Wanted::Parent)
        .filter(differs)
        .filter(|parent| legacy.is_none_or(|legacy| !form::is_same(parent, legacy)));
    let outbound = parent.is_some() || is_outbound(fields);
    let kind = kind(fields, outbound);
    Some(CallEvent {
        call: Some(form::decode(call)),
        alias: legacy.filter(differs).map(form::decode),
        parent: parent.map(form::decode),
        leg: None,
        keys: fields.keys(),
        kind,
        outbound,
        facts: Facts {
            answered: matches!(status(fields), Status::Answered),
            connected: fields.has(Mark::Result) && connected(fields),
            beside: parent.is_some() || fields.has(Mark::Wait) && !fields.has(Mark::Result),
            speech: speech(fields, kind),
            choice: pressed(fields, kind),
        },
        asks: match kind {
            EventKind::Start | EventKind::Step => Asks::Document,
            EventKind::Progress | EventKind::Final(_) | EventKind::Report => Asks::Nothing,
        },
        id: None,
        ambiguous: fields.ambiguous,
    })
}

/// The one key that was pressed, if it was one key of a telephone.
pub fn choice(keys: &str) -> Option<u8> {
    match keys.as_bytes() {
        &[key @ (b'0'..=b'9' | b'*' | b'#')] => Some(key),
        _ => None,
    }
}

fn kind(fields: &Fields<'_>, outbound: bool) -> EventKind {
    let has = |mark| fields.has(mark);
    let has_results = has(Mark::Result) || has(Mark::Trace);
    let status = status(fields);
    if let Some(source) = fields.text(Wanted::Source) {
        return if source == "call-progress-events" {
            callback(fields, status, outbound)
        } else {
            EventKind::Report
        };
    }
    let is_detection = has(Mark::Machine)
        && fields.raw(Wanted::Status).is_none()
        && fields.raw(Wanted::From).is_none();
    if has(Mark::Report) || (!has(Mark::Result) && (has(Mark::Recording) || is_detection)) {
        return EventKind::Report;
    }
    let is_final = matches!(status, Status::Final(_));
    if has(Mark::Sequenced) && (is_final || !has_results) {
        return callback(fields, status, outbound);
    }
    if has_results {
        return EventKind::Step;
    }
    if is_final {
        return callback(fields, status, outbound);
    }
    EventKind::Start
}

/// What a `CallStatus` means.
#[derive(Clone, Copy)]
enum Status {
    Final(FinalStatus),
    Answered,
    Underway,
    Unknown,
}

fn status(fields: &Fields<'_>) -> Status {
    let Some(word) = fields.text(Wanted::Status) else {
        return Status::Unknown;
    };
    match word.as_ref() {
        "completed" => Status::Final(FinalStatus::Completed),
        "busy" | "no-answer" => Status::Final(FinalStatus::NotReached),
        "canceled" | "cancelled" => Status::Final(FinalStatus::Canceled),
        "failed" => Status::Final(FinalStatus::Failed(Fault::Backend)),
        "in-progress" | "answered" => Status::Answered,
        "queued" | "initiated" | "ringing" => Status::Underway,
        _ => Status::Unknown,
    }
}

fn callback(fields: &Fields<'_>, status: Status, outbound: bool) -> EventKind {
    let has_ended = [Wanted::Duration, Wanted::EndedAt, Wanted::HangupCause]
        .into_iter()
        .any(|wanted| fields.is_filled(wanted));
    let ended_with = match status {
        Status::Final(ended_with) => ended_with,
        Status::Unknown if has_ended => FinalStatus::Completed,
        Status::Answered | Status::Underway | Status::Unknown => {
            return EventKind::Progress;
        }
    };
    EventKind::Final(Final {
        status: match ended_with {
            FinalStatus::Completed if has_error(fields) => FinalStatus::Failed(Fault::Backend),
            FinalStatus::Failed(_) if outbound && was_refused(fields) => {
                FinalStatus::Failed(Fault::Provider)
            }
            _ => ended_with,
        },
        by: None,
        duration_s: fields
            .text(Wanted::Duration)
            .and_then(|seconds| seconds.trim().parse().ok()),
        report_follows: false,
    })
}

fn has_error(fields: &Fields<'_>) -> bool {
    fields.is_filled(Wanted::ErrorCode) && fields.raw(Wanted::ErrorCode) != Some(b"0")
}

/// Did the far end or a carrier refuse the call?
fn was_refused(fields: &Fields<'_>) -> bool {
    let code = fields.text(Wanted::SipCode);
    code.and_then(|code| code.trim().parse::<u16>().ok())
        .is_some_and(|code| (300..700).contains(&code))
}

fn is_outbound(fields: &Fields<'_>) -> bool {
    fields
        .text(Wanted::Direction)
        .is_some_and(|direction| direction.starts_with("outbound") || direction == "outgoing")
}

/// Whether a gather understood the caller. A caller who pressed keys instead
/// said nothing that could have been misunderstood.
fn speech(fields: &Fields<'_>, kind: EventKind) -> Option<bool> {
    if kind != EventKind::Step {
        return None;
    }
    fields.raw(Wanted::Speech)?;
    if fields.is_filled(Wanted::Speech) {
        return Some(true);
    }
    (!fields.is_filled(Wanted::Digits)).then_some(false)
}

/// Did the caller get through to somebody? A dial whose called party answered but
/// was not put through says so (`DialBridged=false`).
fn connected(fields: &Fields<'_>) -> bool {
    let says = |wanted, words: &[&str]| {
        let word = fields.text(wanted);
        word.is_some_and(|word| words.contains(&word.as_ref()))
    };
    says(Wanted::DialBridged, &["true"])
        || says(Wanted::DialStatus, &["completed", "answered"])
            && !says(Wanted::DialBridged, &["false"])
        || says(Wanted::QueueResult, &["bridged", "redirected-from-bridged"])
        || says(Wanted::ReferStatus, &["completed"])
}

/// What the caller chose. Longer entries may be anything and are not looked at.
fn pressed(fields: &Fields<'_>, kind: EventKind) -> Option<u8> {
    // One key is three bytes when escaped.
    let keys = fields.raw(Wanted::Digits).filter(|keys| keys.len() <= 3)?;
    (kind == EventKind::Step)
        .then(|| choice(&form::decode(keys)))
        .flatten()
}
