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
    let kind = kind(fields);
    Some(CallEvent {
        call: Some(form::decode(call)),
        alias: legacy.filter(differs).map(form::decode),
        parent: parent.map(form::decode),
        keys: fields.keys(),
        kind,
        outbound: parent.is_some() || is_outbound(fields),
        facts: Facts {
            answered: matches!(status(fields), Status::Answered),
            speech: speech(fields, kind),
            ..Facts::default()
        },
        asks: match kind {
            EventKind::Start | EventKind::Step => Asks::Document,
            EventKind::Progress | EventKind::Final(_) | EventKind::Report => Asks::Nothing,
        },
        id: None,
        ambiguous: fields.ambiguous,
    })
}

fn kind(fields: &Fields<'_>) -> EventKind {
    let has = |mark| fields.has(mark);
    let has_results = has(Mark::Result) || has(Mark::Trace);
    let status = status(fields);
    if let Some(source) = fields.text(Wanted::Source) {
        return if source == "call-progress-events" {
            callback(fields, status)
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
        return callback(fields, status);
    }
    if has_results {
        return EventKind::Step;
    }
    if is_final {
        return callback(fields, status);
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

fn callback(fields: &Fields<'_>, status: Status) -> EventKind {
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
        status: if ended_with == FinalStatus::Completed && has_error(fields) {
            FinalStatus::Failed(Fault::Backend)
        } else {
            ended_with
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
