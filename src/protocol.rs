//! What a provider says: from a request to a [`CallEvent`].
//!
//! One file for each provider's dialect; what they have in common is in
//! `protocol/form.rs` (forms in a query or a body), `protocol/fields.rs` (which
//! fields count) and `protocol/kind.rs` (what kind of webhook it is). Nothing in here changes
//! a byte of the request, and nothing in it can make us panic.

pub mod call_control;
pub mod fields;
pub mod form;
pub mod kind;
pub mod signature;
pub mod telnyx_texml;
pub mod twilio;
pub mod vapi;

use std::borrow::Cow;

use crate::measure::Fault;
use crate::model::Protocol;

/// The part of a request head that recognition needs.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The query without its question mark, as received; empty if there is none.
    pub query: &'a str,
    /// The `Content-Type`, if any.
    pub content_type: Option<&'a str>,
    /// The body is encoded (`Content-Encoding`), so it is not looked into.
    pub encoded: bool,
}

/// What one webhook says about one call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEvent<'a> {
    /// The provider's id of the call (leg). Opaque and case-sensitive. None where a
    /// message may come without a call: it is placed by its tenant and pins nothing.
    pub call: Option<Cow<'a, str>>,
    /// Another id the same call may be known by (`CallSidLegacy`, a leg's
    /// `call_control_id`, the id a carrier knows a Vapi call by).
    pub alias: Option<Cow<'a, str>>,
    /// The call this leg was made by. Never equal to `call`.
    pub parent: Option<Cow<'a, str>>,
    /// The one leg this event speaks of, where `call` names all legs of a call
    /// together (Telnyx Call Control). Then `alias` names it too, and a `Final` is
    /// the end of this leg: the end of the call only if the call was first seen by
    /// it. None: `call` is the leg.
    pub leg: Option<Cow<'a, str>>,
    /// Values a tenant may be found by.
    pub keys: Keys<'a>,
    /// What kind of webhook it is.
    pub kind: EventKind,
    /// The call goes out from the application, so `to` and `from` mean the
    /// opposite of what they mean on an inbound call.
    pub outbound: bool,
    /// What it tells of the call's life besides.
    pub facts: Facts,
    /// What a sound answer to it is.
    pub asks: Asks,
    /// The provider's id of this very event, where it has one: a second delivery of
    /// it is forwarded, but counts no second time.
    pub id: Option<Cow<'a, str>>,
    /// An identifying field came twice with different values; the first counts.
    pub ambiguous: bool,
}

impl<'a> CallEvent<'a> {
    /// An event that says no more than this.
    pub fn new(call: Option<Cow<'a, str>>, kind: EventKind) -> Self {
        Self {
            call,
            alias: None,
            parent: None,
            leg: None,
            keys: Keys::default(),
            kind,
            outbound: false,
            facts: Facts::default(),
            asks: Asks::Nothing,
            id: None,
            ambiguous: false,
        }
    }
}

/// The values of a webhook by which a route may find the tenant, as sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys<'a> {
    /// The number or address called.
    pub to: Option<Cow<'a, str>>,
    /// The number or address calling.
    pub from: Option<Cow<'a, str>>,
    /// Telnyx's `ConnectionId`.
    pub connection: Option<Cow<'a, str>>,
    /// `AccountSid`, or the organisation.
    pub account: Option<Cow<'a, str>>,
    /// Vapi's id of its phone number.
    pub phone_number: Option<Cow<'a, str>>,
    /// Vapi's id of the assistant.
    pub assistant: Option<Cow<'a, str>>,
    /// JSON objects in which `metadata.KEY` is looked up, in this order, as sent.
    pub metadata: [Option<&'a str>; 4],
}

/// What a webhook tells of a call's life besides its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The call was answered.
    pub answered: bool,
    /// The caller was connected to somebody: the call is served from here on.
    pub connected: bool,
    /// A speech result came with it: true when something was recognised, false
    /// when nothing was.
    pub speech: Option<bool>,
    /// Its document is heard beside the call: while waiting in a queue or a conference,
    /// or by a leg's other end before it is connected.
    pub beside: bool,
    /// What the caller chose from a menu: one key, `0` to `9`, `*` or `#`. Longer
    /// entries may be anything, a card number as well, and are never looked at.
    pub choice: Option<u8>,
}

/// What a sound answer to a webhook is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asks {
    /// A success; nobody reads the body.
    Nothing,
    /// A TeXML or TwiML document.
    Document,
    /// Vapi: who is to speak (`assistant-request`).
    Assistant,
    /// Vapi: a result for each tool call (`tool-calls`, `function-call`).
    Tools,
    /// Vapi: where to transfer or hand over the call.
    Destination,
    /// Vapi: documents (`knowledge-base-request`).
    Knowledge,
    /// Vapi: seconds to wait (`call.endpointing.request`).
    Endpointing,
    /// Vapi: audio, streamed (`voice-request`).
    Audio,
}

/// What kind of webhook it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EventKind {
    /// A caller waits: the first fetch of a call, as far as one can tell.
    Start,
    /// A caller waits: it carries the results of an earlier step (digits, speech,
    /// a finished dial, a place in a queue).
    Step,
    /// Nobody waits: the call rings, was answered, …
    Progress,
    /// Nobody waits: the call is over.
    Final(Final),
    /// Nobody waits, and it may come long after the end: recordings,
    /// transcriptions, machine detection, streams.
    Report,
}

/// How a provider says a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Final {
    /// The status it ended with.
    pub status: FinalStatus,
    /// Who hung up, where the provider tells.
    pub by: Option<HungUp>,
    /// Seconds it lasted, if told.
    pub duration_s: Option<u32>,
    /// Who hung up is told now, whether the caller was served comes with a report
    /// that follows within minutes.
    pub report_follows: bool,
}

/// The status a call ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalStatus {
    /// It was answered and is over.
    Completed,
    /// The caller gave up before it was answered.
    Canceled,
    /// The called party was busy or did not answer: an outcome, not a failure.
    NotReached,
    /// The caller was handed over to somebody else.
    Transferred,
    /// It failed, and by whose doing: the application's, or the platform's and its
    /// carriers'.
    Failed(Fault),
}

/// Who hung up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HungUp {
    /// The calling side of this leg.
    Caller,
    /// The called side of this leg; on an inbound leg that is the application.
    Callee,
}

/// Reads a webhook. None: it names no call, so it belongs to no call.
///
/// A body is read if it is a form by its content type and not encoded; the query
/// always. What neither provider documents falls into a kind, never into an error.
pub fn recognize<'a>(protocol: Protocol, head: &Head<'a>, body: &'a [u8]) -> Option<CallEvent<'a>> {
    match protocol {
        Protocol::TelnyxTexml => telnyx_texml::recognize(head, body),
        Protocol::Twilio => twilio::recognize(head, body),
        Protocol::TelnyxCallControl => call_control::recognize(head, body),
        Protocol::Vapi => vapi::recognize(head, body),
    }
}
