//! Which class each event type falls into, and what it tells of the call's life.
//!
//! - `Start`: `call.initiated` of a call that came in, or that went out and is
//!   parked until the application says more.
//! - `Step`: somebody on the line hears nothing more until the application
//!   commands it. An input, a prompt or a payment is over, a machine was told from
//!   a person, the call was answered, sits in a queue or has left it unserved, a
//!   refer failed, something was said.
//! - `Progress`: things take their course without a command. The application's own
//!   call rings, parties talk or are put on hold, a prompt plays.
//! - `Final`: `call.hangup`.
//! - `Report`: what may come when the call is over, and so begins none: recordings,
//!   costs, streams, insights, interim results, whatever ended because somebody hung
//!   up. And every event type not known here, which may be one of those.

use super::end::end;
use super::envelope::{Event, Transcription};
use crate::protocol::kind::choice;
use crate::protocol::{EventKind, Facts};

/// The class of an event.
pub(super) fn kind(event: &Event<'_>) -> EventKind {
    use EventKind::{Final, Progress, Report, Start, Step};
    let payload = &event.payload.0;
    let unless_gone = |kind| if is_gone(event) { Report } else { kind };
    match event.event_type.get() {
        "call.initiated" if payload.direction.is("outgoing") && !payload.state.is("parked") => {
            Progress
        }
        "call.initiated" => Start,
        "call.hangup" => Final(end(event)),
        "call.answered"
        | "call.enqueued"
        | "call.dtmf.received"
        | "call.refer.failed"
        | "call.machine.detection.ended"
        | "call.machine.greeting.ended"
        | "call.machine.premium.detection.ended"
        | "call.machine.premium.greeting.ended" => Step,
        "call.gather.ended"
        | "call.ai_gather.ended"
        | "call.speak.ended"
        | "call.playback.ended"
        | "call.payment.completed" => unless_gone(Step),
        "call.dequeued" => match payload.reason.get() {
            "bridged" | "bridging-in-process" => Progress,
            _ => unless_gone(Step),
        },
        "call.transcription" if is_callers(&payload.transcription_data.0) => Step,
        "call.bridged"
        | "call.hold"
        | "call.unhold"
        | "call.speak.started"
        | "call.playback.started"
        | "call.refer.started"
        | "call.payment.progress"
        | "conference.created"
        | "conference.floor.changed"
        | "conference.participant.joined"
        | "conference.speak.started"
        | "conference.speak.ended"
        | "conference.playback.started"
        | "conference.playback.ended" => Progress,
        _ => Report,
    }
}

/// What an event tells of the call's life besides.
pub(super) fn facts(event: &Event<'_>) -> Facts {
    let payload = &event.payload.0;
    let mut facts = Facts::default();
    match event.event_type.get() {
        "call.answered" => facts.answered = true,
        "call.bridged" | "call.refer.completed" => facts.connected = true,
        "call.dequeued" => facts.connected = payload.reason.is("bridged"),
        // An entry that timed out or was cut short is the beginning of something
        // else, and no choice; and so may be a single key that was pressed, for
        // each key of a longer entry is told as it comes.
        "call.gather.ended" if matches!(payload.status.get(), "valid" | "") => {
            facts.choice = choice(payload.digits.get());
        }
        "call.ai_gather.ended" => {
            facts.speech = match payload.status.get() {
                "valid" => Some(true),
                "invalid" => Some(false),
                _ => None,
            };
        }
        "call.transcription" => {
            let told = &payload.transcription_data.0;
            facts.speech = is_callers(told).then(|| !told.transcript.get().trim().is_empty());
        }
        _ => {}
    }
    facts
}

/// Did it end because somebody hung up?
fn is_gone(event: &Event<'_>) -> bool {
    let payload = &event.payload.0;
    payload.status.is("call_hangup") || payload.reason.is("hangup")
}

/// Is it what the caller said, and not to be corrected any more? The other track is
/// what the caller heard.
fn is_callers(told: &Transcription<'_>) -> bool {
    !told.is_final.is("false") && !told.transcription_track.is("outbound")
}
