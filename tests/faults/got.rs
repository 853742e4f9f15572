//! What the provider got: whose answer, and could it be run?

use switchback::document::{self, vapi_reply};
use switchback::model::Protocol;
use switchback::protocol::Asks;

use crate::calls::Wire;
use crate::case::{Case, Moment};
use crate::expected::{Got, Side};
use crate::http::{Message, Request};

/// What the provider got; None: nothing of what it may ever get.
pub(crate) fn got(case: Case, request: &Request, answer: &Message) -> Option<Got> {
    let side = match answer.side() {
        "legacy" => Some(Side::Legacy),
        "new" => Some(Side::New),
        _ => None,
    };
    let is_read = case.is_read();
    match (answer.status(), side) {
        (200, Some(side)) if !is_read => Some(Got::Answer(side)),
        (200, Some(side)) => {
            let is_its_own = answer.text().contains(side.name());
            Some(if is_sound(case, request, answer) && is_its_own {
                Got::Answer(side)
            } else {
                Got::Broken(side)
            })
        }
        (200, None) if is_read => own(case, answer),
        (status, _) if status != 200 => Some(Got::Error(status)),
        _ => None,
    }
}

fn is_sound(case: Case, request: &Request, answer: &Message) -> bool {
    let kind = answer.header("content-type");
    let judgement = match case.wire {
        Wire::Twilio => document::judge(Protocol::Twilio, kind, &answer.body),
        Wire::TexmlGet | Wire::TexmlPost => {
            document::judge(Protocol::TelnyxTexml, kind, &answer.body)
        }
        Wire::Vapi | Wire::CallControl => {
            let asks = match case.moment {
                Moment::First => Asks::Assistant,
                _ => Asks::Tools,
            };
            vapi_reply::judge(asks, request.body.as_bytes(), &answer.body)
        }
    };
    judgement.flaw.is_none()
}

/// What the proxy said itself.
fn own(case: Case, answer: &Message) -> Option<Got> {
    let text = answer.text();
    let text = text.trim_end();
    if !case.wire.is_xml() {
        let said = answer.json();
        let is_said = said.as_object().is_some_and(|it| !it.is_empty());
        return is_said.then_some(Got::LastResort);
    }
    if document::judge(Protocol::Twilio, Some("text/xml"), &answer.body)
        .flaw
        .is_some()
    {
        return None;
    }
    let method = match case.wire {
        Wire::TexmlGet => "GET",
        _ => "POST",
    };
    let entry = format!(
        "<Redirect method=\"{method}\">{}/entry</Redirect>",
        case.route()
    );
    let is_empty = text.ends_with("<Response/>") || text.ends_with("<Response></Response>");
    if text.contains(&entry) {
        Some(Got::Entry)
    } else if text.contains("<Redirect") {
        None
    } else if is_empty {
        Some(Got::Silence)
    } else {
        Some(Got::LastResort)
    }
}
