//! The fields of a form that say something about a call, in both dialects of the
//! same tongue: TeXML took its field names from TwiML.
//!
//! **Where they are read.** A provider puts its parameters into the body of a POST
//! or the query of a GET, and beside either may stand the operator's own query.
//! Identity is taken from the body first, then from the query. What kind of
//! webhook it is is told by whichever of the two named the call, so that an
//! operator's `?msg=…` means nothing.
//!
//! **Bounds**: [`form::MAX_FIELDS`] fields of each; an identifying value longer
//! than [`MAX_VALUE`] bytes as sent counts as absent.

use std::borrow::Cow;

use super::form::{self, Field};
use super::{Head, Keys};

/// The longest identifying value, in bytes as sent. Both providers' call ids stay
/// under 100 when every byte is escaped.
pub const MAX_VALUE: usize = 1024;

/// A field whose value is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `CallSid`. This and the next six identify; they are taken from either side.
    Call,
    /// `CallSidLegacy`.
    Legacy,
    /// `ParentCallSid`.
    Parent,
    /// `To`.
    To,
    /// `From`.
    From,
    /// `ConnectionId`.
    Connection,
    /// `AccountSid`.
    Account,
    /// `Direction`.
    Direction,
    /// `CallStatus`.
    Status,
    /// `CallbackSource`.
    Source,
    /// `HangupSource`.
    HangupSource,
    /// `HangupCause`.
    HangupCause,
    /// `CallDuration`, in seconds. Twilio's `Duration` is in minutes and unwanted.
    Duration,
    /// `AnsweredTime`.
    AnsweredAt,
    /// `EndTime`.
    EndedAt,
    /// `ErrorCode`.
    ErrorCode,
    /// `SipResponseCode`, as TeXML has it `SipHangupCause`: what the far end said.
    SipCode,
    /// `Digits`. This and those below are results: only an action request, and
    /// sometimes the end of a call, carries them.
    Digits,
    /// `SpeechResult`.
    Speech,
    /// `DialCallStatus`.
    DialStatus,
    /// `DialBridged`.
    DialBridged,
    /// `QueueResult`.
    QueueResult,
    /// `ReferCallStatus`.
    ReferStatus,
}

const WANTED: usize = Wanted::ReferStatus as usize + 1;
const IDENTIFYING: usize = Wanted::Account as usize;
const RESULTS: usize = Wanted::Digits as usize;

/// A field whose mere presence tells something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// Only an action request carries it: the results of a dial, a queue, input.
    Result = 1,
    /// A request for a document may carry it as well: a finished recording's
    /// address, a place in a queue.
    Trace = 2,
    /// Only a callback that nobody waits for carries it.
    Report = 4,
    /// A recording's callback, unless results say otherwise.
    Recording = 8,
    /// Answering machine detection.
    Machine = 16,
    /// Callbacks are numbered and dated, requests for documents are not.
    Sequenced = 32,
    /// A place in a queue or a conference: a [`Mark::Trace`] as well.
    Wait = 64 | 2,
}

/// What was found in one webhook.
#[derive(Debug)]
pub struct Fields<'a> {
    values: [Option<&'a [u8]>; WANTED],
    marks: u8,
    /// An identifying field came twice with different values.
    pub ambiguous: bool,
}

impl<'a> Fields<'a> {
    /// Scans the body, if it is a form and readable, and the query.
    pub fn read(head: &Head<'a>, body: &'a [u8]) -> Self {
        let mut found = Self {
            values: [None; WANTED],
            marks: 0,
            ambiguous: false,
        };
        let is_read = !head.encoded && form::is_form(head.content_type);
        for form in [if is_read { body } else { &[] }, head.query.as_bytes()] {
            let names_call = found.raw(Wanted::Call).is_some();
            form::fields(form).for_each(|field| found.take(field, names_call));
        }
        found
    }

    /// A value, decoded. An identifying one is never empty.
    pub fn text(&self, wanted: Wanted) -> Option<Cow<'a, str>> {
        self.raw(wanted).map(form::decode)
    }

    /// A value as it was sent.
    pub fn raw(&self, wanted: Wanted) -> Option<&'a [u8]> {
        self.values.get(wanted as usize).copied().flatten()
    }

    /// Was there a field with this mark?
    pub fn has(&self, mark: Mark) -> bool {
        self.marks & mark as u8 == mark as u8
    }

    /// Is this value there and, decoded, not white space only?
    pub fn is_filled(&self, wanted: Wanted) -> bool {
        self.raw(wanted).is_some_and(|value| {
            let start = value.get(..MAX_VALUE).unwrap_or(value);
            !form::decode(start).trim().is_empty()
        })
    }

    /// The values a tenant may be found by.
    pub fn keys(&self) -> Keys<'a> {
        Keys {
            to: self.text(Wanted::To),
            from: self.text(Wanted::From),
            connection: self.text(Wanted::Connection),
            account: self.text(Wanted::Account),
            ..Keys::default()
        }
    }

    fn take(&mut self, field: Field<'a>, only_identity: bool) {
        // Hardly a name is escaped, so decoding waits until it is not known as it is.
        let known = meaning(field.name).or_else(|| {
            let name = field.is_escaped.then_some(field.name)?;
            form::with_decoded(name, meaning)?
        });
        match known {
            Some(Meaning::Value(wanted)) if wanted as usize <= IDENTIFYING => {
                self.identify(wanted, field.value);
            }
            Some(_) if only_identity => {}
            Some(Meaning::Value(wanted)) => self.keep(wanted, field.value),
            Some(Meaning::Mark(mark)) => self.marks |= mark as u8,
            None => {}
        }
    }

    fn identify(&mut self, wanted: Wanted, value: &'a [u8]) {
        if value.is_empty() || value.len() > MAX_VALUE {
            return;
        }
        match self.raw(wanted) {
            None => self.keep(wanted, value),
            Some(first) => self.ambiguous |= !form::is_same(first, value),
        }
    }

    /// The first counts.
    fn keep(&mut self, wanted: Wanted, value: &'a [u8]) {
        match wanted {
            Wanted::Duration | Wanted::EndedAt => self.marks |= Mark::Sequenced as u8,
            _ if wanted as usize >= RESULTS => self.marks |= Mark::Result as u8,
            _ => {}
        }
        if let Some(slot @ None) = self.values.get_mut(wanted as usize) {
            *slot = Some(value);
        }
    }
}

enum Meaning {
    Value(Wanted),
    Mark(Mark),
}

/// What a field of this name is to us. Names are case-sensitive. By first letter,
/// because of a webhook's thirty fields most are nothing to us.
fn meaning(name: &[u8]) -> Option<Meaning> {
    use Mark::{Machine, Recording, Report, Result, Sequenced, Trace, Wait};
    use Meaning::{Mark as Told, Value};
    Some(match name.first()? {
        b'A' => match name {
            b"AccountSid" => Value(Wanted::Account),
            b"AnsweredTime" => Value(Wanted::AnsweredAt),
            b"AnsweredBy" => Told(Machine),
            _ => return None,
        },
        b'C' => match name {
            b"CallSid" => Value(Wanted::Call),
            b"CallSidLegacy" => Value(Wanted::Legacy),
            b"CallStatus" => Value(Wanted::Status),
            b"CallDuration" => Value(Wanted::Duration),
            b"CallbackSource" => Value(Wanted::Source),
            b"ConnectionId" => Value(Wanted::Connection),
            b"ConferenceSid" => Told(Wait),
            _ => return None,
        },
        b'D' => match name {
            b"Digits" => Value(Wanted::Digits),
            b"Direction" => Value(Wanted::Direction),
            b"DialCallStatus" => Value(Wanted::DialStatus),
            b"DialBridged" => Value(Wanted::DialBridged),
            b"DialCallSid" | b"DialCallDuration" => Told(Result),
            // The first is how Twilio spells it.
            b"DequeingCallSid" | b"DequeueingCallSid" => Told(Wait),
            _ if name.starts_with(b"Deepfake") => Told(Report),
            _ => return None,
        },
        b'E' => match name {
            b"EndTime" => Value(Wanted::EndedAt),
            b"ErrorCode" => Value(Wanted::ErrorCode),
            _ => return None,
        },
        b'F' => match name {
            b"From" => Value(Wanted::From),
            b"FinishedOnKey" => Told(Result),
            _ => return None,
        },
        b'H' => match name {
            b"HangupSource" => Value(Wanted::HangupSource),
            b"HangupCause" => Value(Wanted::HangupCause),
            // What a ConversationRelay leaves to the document after it.
            b"HandoffData" => Told(Result),
            _ => return None,
        },
        b'M' if name == b"MachineDetectionDuration" => Told(Machine),
        b'P' if name == b"ParentCallSid" => Value(Wanted::Parent),
        b'Q' => match name {
            b"QueueResult" => Value(Wanted::QueueResult),
            b"QueueSid" | b"QueuePosition" | b"QueueTime" => Told(Wait),
            _ => return None,
        },
        b'R' => match name {
            b"RecordingStatus" | b"RecordingSource" => Told(Recording),
            b"RecordingUrl" => Told(Trace),
            // Of a payment.
            b"Result" => Told(Result),
            b"ReferCallStatus" => Value(Wanted::ReferStatus),
            _ => return None,
        },
        b'S' => match name {
            b"SpeechResult" => Value(Wanted::Speech),
            b"SequenceNumber" => Told(Sequenced),
            b"SipResponseCode" | b"SipHangupCause" => Value(Wanted::SipCode),
            b"SessionStatus" => Told(Result),
            b"StreamSid" => Told(Trace),
            b"StreamEvent" | b"StatusCallbackEvent" | b"StableSpeechResult" => Told(Report),
            _ if name.starts_with(b"Siprec") => Told(Report),
            _ => return None,
        },
        b'T' => match name {
            b"To" => Value(Wanted::To),
            b"Timestamp" => Told(Sequenced),
            _ if name.starts_with(b"Transcription") => Told(Report),
            _ => return None,
        },
        b'U' if name == b"UnstableSpeechResult" => Told(Report),
        b'm' if name == b"msg" => Told(Trace),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    fn read<'a>(query: &'a str, body: &'a str) -> Fields<'a> {
        let head = Head {
            query,
            content_type: FORM,
            encoded: false,
        };
        Fields::read(&head, body.as_bytes())
    }

    #[test]
    fn identity_is_the_bodys_then_the_querys() {
        for (query, body, call, ambiguous) in [
            ("", "CallSid=a", Some("a"), false),
            ("CallSid=a", "", Some("a"), false),
            ("CallSid=a", "CallSid=a", Some("a"), false),
            ("CallSid=%61", "CallSid=a", Some("a"), false),
            ("CallSid=b", "CallSid=a", Some("a"), true),
            ("", "CallSid=a&CallSid=b", Some("a"), true),
            ("", "CallSid=a&CallSid[]=b&callsid=c", Some("a"), false),
            ("CallSid=b", "CallSid=", Some("b"), false),
            ("", "CallSid=&CallSid=b", Some("b"), false),
            ("CallSid=a&CallSid=A", "", Some("a"), true),
            ("", "CallSid=a&To=1&To=2", Some("a"), true),
            ("tenant=acme", "CallSid", None, false),
        ] {
            let fields = read(query, body);
            assert_eq!(fields.text(Wanted::Call).as_deref(), call, "{query} {body}");
            assert_eq!(fields.ambiguous, ambiguous, "{query} {body}");
        }
    }

    #[test]
    fn an_operators_own_query_tells_nothing_about_the_kind() {
        let fields = read("msg=hello&Digits=1&CallStatus=completed&To=b", "CallSid=a");
        assert!(!fields.has(Mark::Trace) && !fields.has(Mark::Result));
        assert_eq!(fields.raw(Wanted::Status), None);
        assert_eq!(
            fields.text(Wanted::To).as_deref(),
            Some("b"),
            "but identity it may"
        );
        let fields = read("CallSid=a&Digits=1", "");
        assert!(
            fields.has(Mark::Result),
            "on a GET the query is the provider's"
        );
    }

    #[test]
    fn an_absurdly_long_identity_is_none() {
        let of = |length: usize| format!("CallSid={}", "x".repeat(length));
        assert!(read("", &of(MAX_VALUE)).raw(Wanted::Call).is_some());
        assert!(read("", &of(MAX_VALUE + 1)).raw(Wanted::Call).is_none());
    }

    #[test]
    fn white_space_fills_nothing() {
        for (body, filled) in [
            ("SpeechResult=", false),
            ("SpeechResult=+", false),
            ("SpeechResult=%20%0A", false),
            ("SpeechResult=+yes", true),
            ("SpeechResult=0", true),
        ] {
            assert_eq!(read("", body).is_filled(Wanted::Speech), filled, "{body}");
        }
    }
}
