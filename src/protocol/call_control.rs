//! Telnyx Call Control: JSON events of calls that the application steers by commands.
//!
//! **Identity.** `call_session_id` names all legs of a call together and is the
//! call. `call_control_id` names one leg; it is the call only where no session is
//! named, else the event's leg and alias. An event that names neither (a
//! conference's may) is placed by its tenant and pins nothing.
//!
//! **The answer** is a status and nothing else; nobody reads a body. So an event
//! asks for nothing, and a caller who waits (`Start`, `Step`: see
//! `call_control/class.rs`) waits for the commands that the application sends
//! because of it.
//!
//! **The end.** `call.hangup` comes once for each leg and does not say whether it
//! was the caller's: a transfer's second leg that nobody answered hangs up while
//! the caller is still there. Nothing in the event tells the two apart, so it is
//! `Final` for its leg, and whoever remembers by which leg the call was first
//! seen decides whether the call is over.
//!
//! **Where it is read.** A body that is a JSON object, in either envelope
//! (`call_control/envelope.rs`), whatever its content type. Without a body the
//! query, for commands that asked for GET (`call_control/query.rs`). An encoded body
//! is not read.

mod class;
mod end;
mod envelope;
mod query;

use std::borrow::Cow;

use super::fields::MAX_VALUE;
use super::{CallEvent, Head, Keys};
use envelope::{Event, Text};

/// Reads a webhook. None: it is no event.
pub fn recognize<'a>(head: &Head<'a>, body: &'a [u8]) -> Option<CallEvent<'a>> {
    let (event, ambiguous) = if body.is_empty() {
        query::read(head.query)
    } else if head.encoded {
        return None;
    } else {
        (envelope::read(body)?, false)
    };
    let session = identity(&event.payload.0.call_session_id);
    let leg = identity(&event.payload.0.call_control_id)
        .or_else(|| identity(&event.payload.0.call_leg_id));
    if session.is_none() && leg.is_none() && event.event_type.is_empty() {
        return None;
    }
    let (call, leg) = match session {
        Some(session) => (Some(session), leg),
        None => (leg, None),
    };
    Some(CallEvent {
        alias: leg.clone(),
        leg,
        keys: keys(&event),
        outbound: event.payload.0.direction.is("outgoing"),
        facts: class::facts(&event),
        id: identity(&event.id),
        ambiguous,
        ..CallEvent::new(call, class::kind(&event))
    })
}

fn keys<'a>(event: &Event<'a>) -> Keys<'a> {
    let payload = &event.payload.0;
    Keys {
        to: identity(&payload.to),
        from: identity(&payload.from),
        connection: identity(&payload.connection_id),
        account: identity(&payload.organization_id).or_else(|| identity(&payload.user_id)),
        ..Keys::default()
    }
}

/// A value that identifies; an absurdly long one is none.
fn identity<'a>(value: &Text<'a>) -> Option<Cow<'a, str>> {
    value.0.clone().filter(|value| value.len() <= MAX_VALUE)
}

#[cfg(test)]
mod tests;
