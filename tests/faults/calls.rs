//! The webhooks of one call, as each provider sends them.

use serde_json::{Value, json};

use crate::http::Request;

/// The number that was called; all of them are on new.
const TENANT: &str = "+13125550109";
/// The number that calls.
const CALLER: &str = "+14155550142";

/// A protocol, and the method where there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Wire {
    TexmlGet,
    TexmlPost,
    Twilio,
    Vapi,
    CallControl,
}

impl Wire {
    pub(crate) const ALL: [Self; 5] = [
        Self::TexmlGet,
        Self::TexmlPost,
        Self::Twilio,
        Self::Vapi,
        Self::CallControl,
    ];

    /// The first segment of its routes.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::TexmlGet | Self::TexmlPost => "texml",
            Self::Twilio => "twilio",
            Self::Vapi => "vapi",
            Self::CallControl => "cc",
        }
    }

    pub(crate) const fn is_xml(self) -> bool {
        matches!(self, Self::TexmlGet | Self::TexmlPost | Self::Twilio)
    }

    pub(crate) const fn is_telnyx(self) -> bool {
        matches!(self, Self::TexmlGet | Self::TexmlPost | Self::CallControl)
    }
}

/// One webhook of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Webhook {
    /// The first fetch; Vapi's assistant-request; `call.initiated`.
    First,
    /// The first fetch at legacy's entry, after a move.
    Entry,
    /// Results of a step: a Gather's action, `tool-calls`, `call.gather.ended`.
    Gather,
    /// A Dial's action; whoever was called was there.
    DialBridged,
    /// A Dial's action; nobody was there.
    DialBusy,
    /// The first fetch of a leg that was dialled.
    Whisper,
    /// What a queue plays.
    Wait,
    /// The call goes on; nobody waits. Vapi's status-update.
    Status,
    /// Vapi's end-of-call-report.
    Report,
}

/// One call at the provider.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) wire: Wire,
    /// The route's path.
    pub(crate) route: String,
    pub(crate) id: String,
}

impl Call {
    /// The leg that it dialled.
    pub(crate) fn child(&self) -> String {
        format!("{}-child", self.id)
    }

    /// A webhook of it.
    pub(crate) fn webhook(&self, webhook: Webhook) -> Request {
        match self.wire {
            Wire::TexmlGet | Wire::TexmlPost | Wire::Twilio => self.form(webhook),
            Wire::Vapi => Request::json(self.route.clone(), &self.message(webhook)),
            Wire::CallControl => Request::json(self.route.clone(), &self.event(webhook)),
        }
    }

    fn form(&self, webhook: Webhook) -> Request {
        let (page, rest) = match webhook {
            Webhook::First => ("welcome", "&CallStatus=ringing"),
            Webhook::Entry => ("entry", "&CallStatus=in-progress"),
            Webhook::Gather => ("menu", "&CallStatus=in-progress&Digits=1"),
            Webhook::DialBridged => (
                "dialled",
                "&CallStatus=in-progress&DialCallStatus=completed&DialCallDuration=12",
            ),
            Webhook::DialBusy => ("dialled", "&CallStatus=in-progress&DialCallStatus=busy"),
            Webhook::Whisper => ("whisper", "&CallStatus=in-progress"),
            Webhook::Wait => (
                "wait",
                "&CallStatus=in-progress&QueueSid=q-1&QueuePosition=2&QueueTime=30",
            ),
            Webhook::Status | Webhook::Report => (
                "status",
                "&CallStatus=in-progress&CallbackSource=call-progress-events&SequenceNumber=2",
            ),
        };
        let id = match webhook {
            Webhook::Whisper => format!("{}&ParentCallSid={}", self.child(), self.id),
            _ => self.id.clone(),
        };
        let direction = match (self.wire, webhook) {
            (Wire::Twilio, Webhook::Whisper) => "&Direction=outbound-dial",
            (Wire::Twilio, _) => "&Direction=inbound",
            _ => "",
        };
        let [from, to] = [CALLER, TENANT].map(|number| number.replace('+', "%2B"));
        let form = format!("CallSid={id}&AccountSid=AC1&From={from}&To={to}{direction}{rest}");
        let target = format!("{}/{page}", self.route);
        if self.wire == Wire::TexmlGet {
            return Request::get(target).with(&form);
        }
        Request {
            method: "POST",
            target,
            kind: "application/x-www-form-urlencoded",
            body: form,
        }
    }

    fn message(&self, webhook: Webhook) -> Value {
        let more = match webhook {
            Webhook::First | Webhook::Entry => json!({ "type": "assistant-request" }),
            Webhook::Gather
            | Webhook::DialBridged
            | Webhook::DialBusy
            | Webhook::Whisper
            | Webhook::Wait => json!({
                "type": "tool-calls",
                "toolCallList": [{ "id": "t-1", "name": "look_up", "arguments": {} }],
            }),
            Webhook::Status => json!({ "type": "status-update", "status": "in-progress" }),
            Webhook::Report => json!({
                "type": "end-of-call-report",
                "endedReason": "customer-ended-call",
            }),
        };
        let mut message = json!({
            "call": {
                "id": self.id,
                "type": "inboundPhoneCall",
                "customer": { "number": CALLER },
            },
            "phoneNumber": { "number": TENANT },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            message[key] = value.clone();
        }
        json!({ "message": message })
    }

    fn event(&self, webhook: Webhook) -> Value {
        let kind = match webhook {
            Webhook::First | Webhook::Entry => "call.initiated",
            Webhook::Status | Webhook::Report => "call.bridged",
            _ => "call.gather.ended",
        };
        json!({
            "data": {
                "record_type": "event",
                "event_type": kind,
                // Unlike any other: a second delivery would count for nothing.
                "id": format!("event-{:016x}", rand::random::<u64>()),
                "occurred_at": "2026-03-04T05:06:07.000000Z",
                "payload": {
                    "call_session_id": self.id,
                    "call_control_id": format!("{}-leg", self.id),
                    "connection_id": "c-1",
                    "direction": "incoming",
                    "state": "parked",
                    "status": "valid",
                    "digits": "12",
                    "from": CALLER,
                    "to": TENANT,
                },
            },
            "meta": { "attempt": 1 },
        })
    }
}
