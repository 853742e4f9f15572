//! What a backend's answer is worth: to the provider who waits, and in the count.

use std::cell::RefCell;

use http::{HeaderMap, Method, StatusCode, header};

use crate::document::seen::Seen;
use crate::document::{Flaw, FlawSet, Judgement};
use crate::measure::{Cause, Kind, Outcome};
use crate::model::{Protocol, Tick};
use crate::proxy::account::Account;
use crate::proxy::head::text;

/// What an answer is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict<'a> {
    pub(super) protocol: Protocol,
    pub(super) kind: Kind,
    pub(super) recognized: bool,
    pub(super) habits: FlawSet,
    pub(super) method: &'a Method,
    /// Documents judged before.
    pub(super) seen: &'a RefCell<Seen>,
}

/// What an answer was found to be; to be passed once its last byte was there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sentence {
    outcome: Outcome,
    judgement: Judgement,
}

impl Sentence {
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
        let judgement = if self.is_document(status, headers) {
            match body {
                Some(body) => self.seen.borrow_mut().judge(
                    self.protocol,
                    text(headers, header::CONTENT_TYPE),
                    body,
                ),
                None => Judgement {
                    flaw: Some(Flaw::TooLarge),
                    ..Judgement::default()
                },
            }
        } else {
            Judgement::default()
        };
        let outcome = if !self.is_success(status) {
            Outcome::Failed(Cause::Status)
        } else if judgement.flaw.is_some_and(|flaw| !self.habits.has(flaw)) {
            Outcome::Failed(Cause::Document)
        } else {
            Outcome::Served
        };
        Sentence { outcome, judgement }
    }

    /// Is it a success for this provider? Telnyx takes a document with exactly
    /// 200; Twilio takes any 2xx and follows a redirect.
    fn is_success(&self, status: StatusCode) -> bool {
        match (self.protocol, self.kind) {
            (Protocol::TelnyxTexml, Kind::Voice) => status == StatusCode::OK,
            (Protocol::TelnyxTexml, Kind::Event) | (Protocol::TelnyxCallControl, _) => {
                status.is_success()
            }
            // Whatever is not 200 is as if it had not been sent.
            (Protocol::Vapi, Kind::Voice) => status == StatusCode::OK,
            (Protocol::Vapi, Kind::Event) => status.is_success(),
            (Protocol::Twilio, _) => status.is_success() || status.is_redirection(),
        }
    }

    /// Is there a document to read? Not where nobody waits for one, none came, or
    /// it is encoded, which we do not undo.
    fn is_document(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        self.kind == Kind::Voice
            && status.is_success()
            && self.is_success(status)
            && self.method != Method::HEAD
            && !headers.contains_key(header::CONTENT_ENCODING)
    }

    /// Toward Telnyx every success is exactly 200; a voice answer of any other
    /// status is a failure, and passes unchanged.
    pub(super) fn status_for_provider(&self, status: StatusCode) -> StatusCode {
        let event = self.kind == Kind::Event && self.recognized;
        if self.protocol == Protocol::TelnyxTexml && event && status.is_success() {
            StatusCode::OK
        } else {
            status
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(protocol: Protocol, kind: Kind) -> Verdict<'static> {
        Verdict {
            protocol,
            kind,
            recognized: true,
            habits: FlawSet::NONE,
            method: &Method::POST,
            seen: Box::leak(Box::new(RefCell::new(Seen::new(0)))),
        }
    }

    #[test]
    fn each_provider_has_its_own_idea_of_success() {
        use Outcome::{Failed, Served};
        use Protocol::{TelnyxTexml, Twilio};
        let failed = Failed(Cause::Status);
        for (protocol, kind, status, outcome, passed_on) in [
            (TelnyxTexml, Kind::Voice, 200, Served, 200),
            (TelnyxTexml, Kind::Voice, 201, failed, 201),
            (TelnyxTexml, Kind::Voice, 302, failed, 302),
            (TelnyxTexml, Kind::Voice, 500, failed, 500),
            (TelnyxTexml, Kind::Event, 204, Served, 200),
            (TelnyxTexml, Kind::Event, 404, failed, 404),
            (Twilio, Kind::Voice, 201, Served, 201),
            (Twilio, Kind::Voice, 302, Served, 302),
            (Twilio, Kind::Voice, 404, failed, 404),
            (Twilio, Kind::Event, 204, Served, 204),
        ] {
            let verdict = verdict(protocol, kind);
            let status = StatusCode::from_u16(status).unwrap();
            let sentence = verdict.on(status, &HeaderMap::new(), Some(b"<Response/>"));
            assert_eq!(sentence.outcome, outcome, "{protocol:?} {kind:?} {status}");
            assert_eq!(verdict.status_for_provider(status), passed_on);
        }
    }

    #[test]
    fn too_long_a_document_fails_a_voice_webhook_and_no_event() {
        for (kind, outcome) in [
            (Kind::Voice, Outcome::Failed(Cause::Document)),
            (Kind::Event, Outcome::Served),
        ] {
            let sentence =
                verdict(Protocol::Twilio, kind).on(StatusCode::OK, &HeaderMap::new(), None);
            assert_eq!(sentence.outcome, outcome, "{kind:?}");
        }
    }

    #[test]
    fn a_habit_of_legacy_is_noted_but_not_held_against_anybody() {
        let mut verdict = verdict(Protocol::Twilio, Kind::Voice);
        verdict.habits = FlawSet::NONE.with(Flaw::TooLarge);
        let sentence = verdict.on(StatusCode::OK, &HeaderMap::new(), None);
        assert_eq!(sentence.outcome, Outcome::Served);
        assert_eq!(sentence.judgement.flaw, Some(Flaw::TooLarge));
    }
}
