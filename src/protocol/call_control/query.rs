//! An event as query parameters, for commands that asked for GET.
//!
//! How the payload is laid out there is not documented, so a field is known by
//! its own name, however its path is written: `call_session_id`,
//! `payload.call_session_id`, `data[payload][call_session_id]`. What is not on the
//! way to a wanted field (`client[to]`) is not it, and JSON within a value is not
//! looked into. The operator's own parameters may stand beside them; therefore the
//! event's id is taken only from `event_id`, `data.id` or `event.id`: a bare `id`
//! that never changed would make every event look like a repetition.
//!
//! Where no event type is sent, a cause of hanging up or a direction tells the two
//! events that matter most.

use std::borrow::Cow;

use super::envelope::{Event, Text};
use crate::protocol::form;

/// Reads a query. The second value: an id came twice with different values; the
/// first counts.
pub(super) fn read(query: &str) -> (Event<'_>, bool) {
    let mut event = Event::default();
    let mut ambiguous = false;
    for field in form::fields(query.as_bytes()) {
        let name = form::decode(field.name);
        let Some(slot) = slot(&mut event, &name) else {
            continue;
        };
        let value = form::decode(field.value);
        if slot.is_empty() {
            *slot = Text::new(value);
        } else if name.trim_end_matches(']').ends_with("id") {
            ambiguous |= !value.is_empty() && !slot.is(&value);
        }
    }
    if event.event_type.is_empty() {
        event.event_type = Text::new(Cow::Borrowed(guess(&event)));
    }
    (event, ambiguous)
}

fn guess(event: &Event<'_>) -> &'static str {
    let payload = &event.payload.0;
    if !payload.hangup_cause.is_empty() {
        "call.hangup"
    } else if payload.direction.is("incoming") || payload.direction.is("outgoing") {
        "call.initiated"
    } else {
        ""
    }
}

/// Where a parameter of that name goes.
fn slot<'e, 'a>(event: &'e mut Event<'a>, name: &str) -> Option<&'e mut Text<'a>> {
    let is_separator = |c| matches!(c, '.' | '[' | ']');
    let mut path = name.split(is_separator).filter(|part| !part.is_empty());
    let leaf = path.next_back()?;
    let mut within = "";
    for part in path {
        within = part;
        let on_the_way = ["data", "metadata", "event", "payload", "transcription_data"];
        if !on_the_way.contains(&part) {
            return None;
        }
    }
    let payload = &mut event.payload.0;
    let transcription = &mut payload.transcription_data.0;
    Some(match leaf {
        "event_type" => &mut event.event_type,
        "event_id" => &mut event.id,
        "id" if matches!(within, "data" | "event") => &mut event.id,
        "occurred_at" => &mut event.occurred_at,
        "call_session_id" => &mut payload.call_session_id,
        "call_control_id" => &mut payload.call_control_id,
        "call_leg_id" => &mut payload.call_leg_id,
        "connection_id" => &mut payload.connection_id,
        "organization_id" => &mut payload.organization_id,
        "user_id" => &mut payload.user_id,
        "to" => &mut payload.to,
        "from" => &mut payload.from,
        "direction" => &mut payload.direction,
        "state" => &mut payload.state,
        "start_time" => &mut payload.start_time,
        "hangup_cause" => &mut payload.hangup_cause,
        "hangup_source" => &mut payload.hangup_source,
        "status" => &mut payload.status,
        "reason" => &mut payload.reason,
        "digits" => &mut payload.digits,
        "is_final" => &mut transcription.is_final,
        "transcript" => &mut transcription.transcript,
        "transcription_track" => &mut transcription.transcription_track,
        _ => return None,
    })
}
