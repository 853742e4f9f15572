//! What a backend's answer is worth: to the provider who waits, and in the count.

use std::cell::RefCell;

use http::{HeaderMap, Method, StatusCode, header};

use crate::document::address::Addresses;
use crate::document::seen::{Reading, Seen};
use crate::document::{Flaw, FlawSet, Judgement, vapi_reply};
use crate::measure::{Cause, Outcome};
use crate::model::{Protocol, Tick};
use crate::protocol::Asks;
use crate::proxy::account::Account;
use crate::proxy::head::text;

/// What an answer is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict<'a> {
    pub(super) protocol: Protocol,
    /// What a sound answer is.
    pub(super) asks: Asks,
    /// It is a webhook of the provider's.
    pub(super) recognized: bool,
    /// What was sent.
    pub(super) request: &'a [u8],
    pub(super) habits: FlawSet,
    pub(super) method: &'a Method,
    /// Which URLs lead back to us.
    pub(super) addresses: Option<&'a Addresses>,
    /// Documents read before.
    pub(super) seen: &'a RefCell<Seen>,
}

/// What an answer was found to be; to be passed once its last byte was there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sentence {
    outcome: Outcome,
    judgement: Judgement,
    /// It was looked into, so its URLs can be led home.
    pub(super) is_read: bool,
    /// It may hold URLs that name a backend.
    pub(super) leads_away: bool,
}

impl Sentence {
    /// Would it do for the caller?
    pub(super) fn is_served(&self) -> bool {
        self.outcome == Outcome::Served
    }

    /// Has the application its own words for what it cannot do? They count as a failure,
    /// and are the caller's to hear: a tool that says "card declined" has run.
    pub(super) fn says_error(&self) -> bool {
        self.outcome == Outcome::Failed(Cause::Document)
            && self.judgement.flaw == Some(Flaw::SaysError)
    }

    /// Settles the account with it.
    pub(super) fn pass(&self, account: &mut Account, at: Tick) {
        account.settle(self.outcome, self.judgement, at);
    }
}

impl Verdict<'_> {
    /// On an answer; `body` is None where it is longer than any document may be.
    pub(super) fn on(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> Sentence {
        let is_read = self.is_read(status, headers);
        let Reading {
            judgement,
            leads_away,
        } = if is_read {
            self.read(headers, body)
        } else {
            judged(Judgement::default())
        };
        let outcome = if !self.is_success(status) {
            Outcome::Failed(Cause::Status)
        } else if judgement.flaw.is_some_and(|flaw| !self.habits.has(flaw)) {
            Outcome::Failed(Cause::Document)
        } else {
            Outcome::Served
        };
        Sentence {
            outcome,
            judgement,
            is_read,
            leads_away,
        }
    }

    fn read(&self, headers: &HeaderMap, body: Option<&[u8]>) -> Reading {
        match (self.asks, body) {
            (Asks::Document, Some(body)) => self.seen.borrow_mut().read(
                self.protocol,
                text(headers, header::CONTENT_TYPE),
                self.addresses,
                body,
            ),
            (Asks::Document, None) => judged(Judgement {
                flaw: Some(Flaw::TooLarge),
                ..Judgement::default()
            }),
            (asks, Some(body)) => Reading {
                judgement: vapi_reply::judge(asks, self.request, body),
                // Hardly two answers to Vapi are the same, so it is looked at anew.
                leads_away: true,
            },
            // No limit of Vapi's is known, so its length is not held against it.
            (_, None) => judged(Judgement::default()),
        }
    }

    /// Is it a success for this provider? Telnyx takes a document with exactly 200,
    /// and so does Vapi whatever it asked for; Twilio takes any 2xx and follows a
    /// redirect. Where nobody reads the answer any 2xx will do.
    fn is_success(&self, status: StatusCode) -> bool {
        match (self.protocol, self.asks) {
            (Protocol::Twilio, _) => status.is_success() || status.is_redirection(),
            (_, Asks::Nothing) => status.is_success(),
            (Protocol::TelnyxTexml | Protocol::TelnyxCallControl | Protocol::Vapi, _) => {
                status == StatusCode::OK
            }
        }
    }

    /// Is the answer to be read? Not where nobody waits for one, none came, it is
    /// audio, or it is encoded, which we do not undo.
    fn is_read(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        !matches!(self.asks, Asks::Nothing | Asks::Audio)
            && status.is_success()
            && self.is_success(status)
            && self.method != Method::HEAD
            && !headers.contains_key(header::CONTENT_ENCODING)
    }

    /// Toward Telnyx every success is exactly 200, and no answer to an event is a
    /// redirect, which would lead it past us. A document's status that is no success
    /// is a failure, and passes unchanged.
    pub(super) fn status_for_provider(&self, status: StatusCode) -> StatusCode {
        let telnyx = matches!(
            self.protocol,
            Protocol::TelnyxTexml | Protocol::TelnyxCallControl
        );
        if !telnyx || self.asks != Asks::Nothing || !self.recognized {
            status
        } else if status.is_success() {
            StatusCode::OK
        } else if status.is_redirection() {
            StatusCode::BAD_GATEWAY
        } else {
            status
        }
    }
}

const fn judged(judgement: Judgement) -> Reading {
    Reading {
        judgement,
        leads_away: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(protocol: Protocol, asks: Asks) -> Verdict<'static> {
        Verdict {
            protocol,
            asks,
            recognized: true,
            request: b"",
            addresses: None,
            habits: FlawSet::NONE,
            method: &Method::POST,
            seen: Box::leak(Box::new(RefCell::new(Seen::new(0)))),
        }
    }

    #[test]
    fn each_provider_has_its_own_idea_of_success() {
        use Asks::{Assistant, Document, Nothing};
        use Outcome::{Failed, Served};
        use Protocol::{TelnyxCallControl, TelnyxTexml, Twilio, Vapi};
        let failed = Failed(Cause::Status);
        for (protocol, asks, status, outcome, passed_on) in [
            (TelnyxTexml, Document, 200, Served, 200),
            (TelnyxTexml, Document, 201, failed, 201),
            (TelnyxTexml, Document, 302, failed, 302),
            (TelnyxTexml, Document, 500, failed, 500),
            (TelnyxTexml, Nothing, 204, Served, 200),
            (TelnyxTexml, Nothing, 404, failed, 404),
            (TelnyxCallControl, Nothing, 200, Served, 200),
            (TelnyxCallControl, Nothing, 202, Served, 200),
            (TelnyxCallControl, Nothing, 302, failed, 502),
            (TelnyxCallControl, Nothing, 503, failed, 503),
            (Vapi, Assistant, 200, Failed(Cause::Document), 200),
            (Vapi, Assistant, 201, failed, 201),
            (Vapi, Nothing, 204, Served, 204),
            (Twilio, Document, 201, Served, 201),
            (Twilio, Document, 302, Served, 302),
            (Twilio, Document, 404, failed, 404),
            (Twilio, Nothing, 204, Served, 204),
        ] {
            let verdict = verdict(protocol, asks);
            let status = StatusCode::from_u16(status).unwrap();
            let sentence = verdict.on(status, &HeaderMap::new(), Some(b"<Response/>"));
            assert_eq!(sentence.outcome, outcome, "{protocol:?} {asks:?} {status}");
            assert_eq!(verdict.status_for_provider(status), passed_on);
        }
    }

    #[test]
    fn too_long_a_document_fails_and_nothing_else_does() {
        for (asks, outcome) in [
            (Asks::Document, Outcome::Failed(Cause::Document)),
            (Asks::Tools, Outcome::Served),
            (Asks::Nothing, Outcome::Served),
        ] {
            let sentence =
                verdict(Protocol::Twilio, asks).on(StatusCode::OK, &HeaderMap::new(), None);
            assert_eq!(sentence.outcome, outcome, "{asks:?}");
        }
    }

    #[test]
    fn a_habit_of_legacy_is_noted_but_not_held_against_anybody() {
        let mut verdict = verdict(Protocol::Twilio, Asks::Document);
        verdict.habits = FlawSet::NONE.with(Flaw::TooLarge);
        let sentence = verdict.on(StatusCode::OK, &HeaderMap::new(), None);
        assert_eq!(sentence.outcome, Outcome::Served);
        assert_eq!(sentence.judgement.flaw, Some(Flaw::TooLarge));
    }
}
