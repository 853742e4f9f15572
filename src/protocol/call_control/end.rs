//! How a leg ended, as `call.hangup` tells it.

use jiff::Timestamp;

use super::envelope::Event;
use crate::measure::Fault;
use crate::protocol::{Final, FinalStatus, HungUp};

/// Reads the end of a leg.
pub(super) fn end(event: &Event<'_>) -> Final {
    let payload = &event.payload.0;
    Final {
        status: status(event),
        by: match payload.hangup_source.get() {
            "caller" => Some(HungUp::Caller),
            "callee" => Some(HungUp::Callee),
            _ if payload.hangup_cause.is("originator_cancel") => Some(HungUp::Caller),
            _ => None,
        },
        duration_s: lasted(event),
        report_follows: false,
    }
}

/// A cause nobody knows ends a call like any other: the list is open.
///
/// What a call failed of is the application's fault on an inbound call: it
/// rejected, sent nothing in time, or what it sent could not be done. Of a call that
/// went out it is the carriers'. A hang-up seldom says which way its leg went, and
/// counts as inbound then; outbound calls are no evidence anyway.
fn status(event: &Event<'_>) -> FinalStatus {
    let payload = &event.payload.0;
    let went_out = payload.direction.is("outgoing");
    match payload.hangup_cause.get() {
        "originator_cancel" => FinalStatus::Canceled,
        "user_busy" | "no_answer" => FinalStatus::NotReached,
        // It rang until the time to answer was over.
        "timeout" if went_out => FinalStatus::NotReached,
        "call_rejected" | "not_found" | "timeout" | "unspecified" => {
            FinalStatus::Failed(if went_out {
                Fault::Provider
            } else {
                Fault::Backend
            })
        }
        _ => FinalStatus::Completed,
    }
}

/// Whole seconds from the leg's start to its end, ringing included: neither the
/// moment of answering nor a duration is told. None if a time is missing, is no
/// time, or the end comes first.
fn lasted(event: &Event<'_>) -> Option<u32> {
    let ended: Timestamp = event.occurred_at.get().parse().ok()?;
    let started: Timestamp = event.payload.0.start_time.get().parse().ok()?;
    u32::try_from(ended.duration_since(started).as_secs())
        .ok()
        .filter(|_| ended >= started)
}
