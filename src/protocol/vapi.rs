//! Vapi server messages: JSON about a call that an assistant speaks with.
//!
//! - Every message is a POST of `{"message":{"type":…}}`. Its `call.id` is the same
//!   all through a call; chats, sessions and some updates name no call.
//! - A call whose assistant stands in Vapi's dashboard begins with a report of its
//!   state, not with a question: so whatever only comes during a call may pin it.
//! - The carrier's own id of the call is an alias: it joins the call to one that
//!   Telnyx or Twilio tell us of.
//! - On an outbound call the customer is called. `to`, `from` and [`HungUp`] are given
//!   as the line has them, as Twilio does.
//! - Who hung up comes at once with `status-update`, whether the caller was served
//!   with `end-of-call-report`, some seconds later.

mod depth;
mod ended;
mod message;
mod metadata;
mod report;
mod shape;

pub use depth::{MAX_DEPTH, is_too_deep};
pub use metadata::metadata;

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::ended::{Class, Who};
use self::message::{Assistant, Call, Line, Message, Posted};
use self::shape::Text;
use super::{Asks, CallEvent, EventKind, Facts, Final, FinalStatus, Head, HungUp, Keys};

/// Reads a message. None: it is no server message, or its body is encoded.
///
/// Costs no copy of the body; a body nested deeper than [`MAX_DEPTH`] is no
/// message.
pub fn recognize<'a>(head: &Head<'a>, body: &'a [u8]) -> Option<CallEvent<'a>> {
    if head.encoded || !body.trim_ascii_start().starts_with(b"{") || is_too_deep(body) {
        return None;
    }
    let posted: Posted<'a> = serde_json::from_slice(body).ok()?;
    let message = posted.message.0?;
    message.kind.0.as_ref()?;
    let no_call = Call::default();
    let call = message.call.0.as_ref().unwrap_or(&no_call);

    let (kind, asks) = meaning(&message, call);
    let id = call.id.0.clone();
    let mut event = CallEvent::new(id, kind);
    event.outbound = is_outbound(call);
    event.alias = first([&call.phone_call_provider_id, &carrier_id(call)])
        .filter(|alias| event.call.is_some() && event.call.as_ref() != Some(alias));
    event.keys = keys(&message, call);
    event.facts = facts(&message, kind);
    event.asks = asks;
    Some(event)
}

/// What kind of message it is and what it asks for.
fn meaning(message: &Message<'_>, call: &Call<'_>) -> (EventKind, Asks) {
    use EventKind::{Progress, Report, Start, Step};
    let kind = match message.kind.as_str() {
        "assistant-request" => return (Start, Asks::Assistant),
        "tool-calls" | "function-call" => return (Step, Asks::Tools),
        "transfer-destination-request" | "handoff-destination-request" => {
            return (Step, Asks::Destination);
        }
        "knowledge-base-request" => return (Step, Asks::Knowledge),
        "voice-request" => return (Step, Asks::Audio),
        "call.endpointing.request" => return (Step, Asks::Endpointing),
        // Nobody reads the answer, but without it the call is never ended or handed
        // over: somebody waits.
        "phone-call-control" => Step,
        "end-of-call-report" => EventKind::Final(ending(message, call, false)),
        "status-update" => status(message, call),
        // A question that Vapi has learnt since; what it asks for is not known.
        kind if kind.ends_with("request") => Step,
        kind if is_after_the_fact(kind) || call.status.as_str() == "ended" => Report,
        kind if is_of_a_call(kind) || is_in_progress(call) => Progress,
        _ => Report,
    };
    (kind, Asks::Nothing)
}

fn status(message: &Message<'_>, call: &Call<'_>) -> EventKind {
    match message.status.as_str() {
        "ended" => EventKind::Final(ending(message, call, true)),
        // About what is kept of a call, not about the call.
        "not-found" | "deletion-failed" => EventKind::Report,
        _ => EventKind::Progress,
    }
}

/// Messages about what is left of a call, or about what never was one.
fn is_after_the_fact(kind: &str) -> bool {
    ["chat.", "session.", "call.delete"]
        .iter()
        .any(|start| kind.starts_with(start))
}

/// Messages that come only while a call lasts.
fn is_of_a_call(kind: &str) -> bool {
    const STARTS: [&str; 9] = [
        "assistant.",
        "conversation-update",
        "hang",
        "language-change",
        "model-output",
        "speech-update",
        // Some come as `transcript[transcriptType="final"]`.
        "transcript",
        "transfer-update",
        "user-interrupted",
    ];
    kind == "voice-input" || STARTS.iter().any(|start| kind.starts_with(start))
}

fn is_in_progress(call: &Call<'_>) -> bool {
    matches!(
        call.status.as_str(),
        "queued" | "ringing" | "in-progress" | "forwarding"
    )
}

fn is_outbound(call: &Call<'_>) -> bool {
    call.kind.as_str() == "outboundPhoneCall"
}

/// How the call ended; `report_comes` where the report of it is still to come.
fn ending(message: &Message<'_>, call: &Call<'_>, report_comes: bool) -> Final {
    let reason = first([&message.ended_reason, &call.ended_reason]);
    let class = ended::class(reason.as_deref().unwrap_or_default());
    let by = class.who().map(|who| match (who, is_outbound(call)) {
        (Who::Person, false) | (Who::Application, true) => HungUp::Caller,
        (Who::Person, true) | (Who::Application, false) => HungUp::Callee,
    });
    Final {
        status: class.status(),
        by,
        duration_s: report::duration_s(message),
        report_follows: report_comes && class == Class::HungUp,
    }
}

fn facts(message: &Message<'_>, kind: EventKind) -> Facts {
    if let ("end-of-call-report", EventKind::Final(end)) = (message.kind.as_str(), kind) {
        return report::facts(message, end.status == FinalStatus::Completed);
    }
    let status = match message.kind.as_str() {
        "status-update" => message.status.as_str(),
        _ => "",
    };
    Facts {
        answered: matches!(status, "in-progress" | "forwarding"),
        connected: status == "forwarding",
        ..Facts::default()
    }
}

fn keys<'a>(message: &Message<'a>, call: &Call<'a>) -> Keys<'a> {
    let none = Line::default();
    let ours = message.phone_number.0.as_ref().unwrap_or(&none);
    let theirs = [&call.customer, &message.customer];
    let theirs = theirs.into_iter().find_map(|line| line.0.as_ref());
    let theirs = theirs.unwrap_or(&none);
    let nobody = Assistant::default();
    let assistant = message.assistant.0.as_ref().unwrap_or(&nobody);
    let threads = [&message.chat, &message.session];
    let thread = threads.into_iter().find_map(|thread| thread.0.clone());
    let thread = thread.unwrap_or_default();

    let number = |line: &Line<'a>| first([&line.number, &line.sip_uri]);
    let (to, from) = if is_outbound(call) {
        (number(theirs), number(ours))
    } else {
        (number(ours), number(theirs))
    };
    Keys {
        to,
        from,
        connection: None,
        account: first([
            &call.org_id,
            &ours.org_id,
            &assistant.org_id,
            &thread.org_id,
        ]),
        phone_number: first([&call.phone_number_id, &ours.id, &thread.phone_number_id]),
        assistant: first([&call.assistant_id, &assistant.id, &thread.assistant_id]),
        metadata: objects(call, assistant),
    }
}

/// Where an operator's own values stand, the most particular first: on the call,
/// in what the call changes about its assistant, on the assistant.
fn objects<'a>(call: &Call<'a>, assistant: &Assistant<'a>) -> [Option<&'a str>; 4] {
    let object = |raw: Option<&'a RawValue>| {
        raw.map(RawValue::get)
            .filter(|object| object.starts_with('{'))
    };
    let changes = call.assistant_overrides.0.as_ref();
    let inline = call.assistant.0.as_ref().and_then(|it| it.metadata);
    [
        object(call.metadata),
        object(changes.and_then(|changes| changes.metadata)),
        object(changes.and_then(|changes| changes.variable_values)),
        object(assistant.metadata.or(inline)),
    ]
}

fn carrier_id<'a>(call: &Call<'a>) -> Text<'a> {
    let transport = call.transport.0.as_ref();
    transport.map_or_else(Text::default, |it| it.call_sid.clone())
}

/// The first of these that is there.
fn first<'a, const N: usize>(texts: [&Text<'a>; N]) -> Option<Cow<'a, str>> {
    texts.into_iter().find_map(|text| text.0.clone())
}

#[cfg(test)]
mod tests;
