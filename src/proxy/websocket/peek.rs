//! Which call is a stream of? Its first frames say so, its handshake does not.
//!
//! Twilio and Telnyx send a `start` message, ConversationRelay a `setup`. Until
//! one has come, everything is kept as it came, so that the backend hears it from
//! the first byte. Pure: bytes in, ids out.

use std::borrow::Cow;

use serde::Deserialize;

use crate::proxy::websocket::frames::{CLOSE, Head};

/// What may come before the frame that names the call, that frame included. It is
/// kept twice at most, once as it came and once unmasked. With more, or with a
/// frame announced that does not fit, the stream is one that names no call.
pub(super) const MAX: usize = 64 * 1024;

/// What a control frame may carry (RFC 6455, 5.5).
const CONTROL_MAX: u64 = 125;

/// The beginning of a provider's stream.
#[derive(Debug, Default)]
pub(super) struct Peek {
    /// As it came.
    bytes: Vec<u8>,
    /// So much of it was read already.
    at: usize,
    /// The message under way, unmasked.
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    is_text: bool,
    payload: Vec<u8>,
}

/// What has been found so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing yet.
    More,
    /// Ids of the call, the best first; none twice.
    Named(Vec<String>),
    /// As much was looked at as may be.
    Enough,
    /// The provider closes.
    Closed,
}

/// It breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a client's websocket: {0}")]
pub(super) struct Violation(&'static str);

impl Peek {
    /// How much more may be read.
    pub(super) fn room(&self) -> usize {
        MAX.saturating_sub(self.bytes.len())
    }

    /// Looks at what came, at most [`Peek::room`] of it.
    ///
    /// # Errors
    ///
    /// It is no stream of frames as a client sends them to a server that agreed to
    /// no extension.
    pub(super) fn see(&mut self, more: &[u8]) -> Result<Look, Violation> {
        self.bytes.extend_from_slice(more);
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(head) = Head::read(rest) else {
                return Ok(self.more());
            };
            let mask = check(&head, self.message.is_some())?;
            let Some(end) = usize::try_from(head.payload)
                .ok()
                .and_then(|payload| payload.checked_add(head.bytes))
                .filter(|end| *end <= MAX - self.at)
            else {
                return Ok(Look::Enough);
            };
            let Some(payload) = rest.get(head.bytes..end) else {
                return Ok(self.more());
            };
            if head.opcode == CLOSE {
                return Ok(Look::Closed);
            }
            if !head.is_control() {
                let message = self.message.get_or_insert_with(|| Message {
                    is_text: head.opcode == 1,
                    payload: Vec::new(),
                });
                let unmasked = payload.iter().zip(mask.iter().cycle());
                message
                    .payload
                    .extend(unmasked.map(|(byte, mask)| byte ^ mask));
            }
            self.at += end;
            if head.last
                && !head.is_control()
                && let Some(message) = self.message.take()
                && message.is_text
            {
                let ids = ids(&message.payload);
                if !ids.is_empty() {
                    return Ok(Look::Named(ids));
                }
            }
        }
    }

    /// Everything that came.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn more(&self) -> Look {
        if self.room() == 0 {
            Look::Enough
        } else {
            Look::More
        }
    }
}

/// Is this a frame that a client may send here? Its mask.
fn check(head: &Head, in_message: bool) -> Result<[u8; 4], Violation> {
    if head.extended {
        return Err(Violation("a bit of an extension that nobody agreed to"));
    }
    match head.opcode {
        0 if !in_message => return Err(Violation("goes on with a message that never began")),
        1 | 2 if in_message => return Err(Violation("a message within a message")),
        0..=2 => {}
        8..=10 if !head.last || head.payload > CONTROL_MAX => {
            return Err(Violation("a control frame that is too long or in parts"));
        }
        8..=10 => {}
        _ => return Err(Violation("a frame of no known kind")),
    }
    head.mask.ok_or(Violation("a frame without a mask"))
}

/// The messages that name a call, in all dialects at once: which provider it is
/// makes no difference, for no field means one thing here and another there.
#[derive(Debug, Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    start: Option<Start<'a>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "callSid")]
    call_sid: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "parentCallSid")]
    parent_call_sid: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
struct Start<'a> {
    #[serde(borrow, default, rename = "callSid")]
    call_sid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    call_session_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    call_control_id: Option<Cow<'a, str>>,
}

/// The ids a message names a call by; none if it is another message, or none of
/// ours at all.
fn ids(message: &[u8]) -> Vec<String> {
    let Ok(named) = serde_json::from_slice::<Named<'_>>(message) else {
        return Vec::new();
    };
    let found = match (named.event.as_deref(), named.start, named.kind.as_deref()) {
        (Some("start"), Some(start), _) => {
            [start.call_sid, start.call_session_id, start.call_control_id]
        }
        (None, _, Some("setup")) => [named.call_sid, named.parent_call_sid, None],
        _ => return Vec::new(),
    };
    found
        .into_iter()
        .flatten()
        .filter(|id| !id.is_empty())
        .map(Cow::into_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TELNYX: &str = r#"{"event":"start","sequence_number":"1","start":{"user_id":"u-7","call_control_id":"v3:cc-1","call_session_id":"cs-1","from":"+15550001","client_state":null,"tags":["a"],"media_format":{"encoding":"PCMU","sample_rate":8000}},"stream_id":"s-1"}"#;
    const TWILIO: &str = r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC7","streamSid":"MZ7","callSid":"CA7","tracks":["inbound"],"customParameters":{"callSid":"CA-of-the-app"}},"streamSid":"MZ7"}"#;
    const RELAY: &str = r#"{"type":"setup","sessionId":"VX7","accountSid":"AC7","parentCallSid":"","callSid":"CA8","from":"+15550001","to":"+15550002","customParameters":{"a":"b"}}"#;
    const CONNECTED: &str = r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 1, 200, 31];
        let mut bytes = vec![first];
        if payload.len() < 126 {
            bytes.push(0x80 | payload.len() as u8);
        } else {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
        bytes
    }

    fn text(payload: &str) -> Vec<u8> {
        frame(0x81, payload.as_bytes())
    }

    fn named(ids: &[&str]) -> Result<Look, Violation> {
        Ok(Look::Named(ids.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn each_provider_names_its_call_in_its_own_way() {
        for (message, ids) in [
            (TELNYX, &["cs-1", "v3:cc-1"][..]),
            (TWILIO, &["CA7"]),
            (RELAY, &["CA8"]),
            (
                r#"{"callSid":"CA9","parentCallSid":"CA8","type":"setup"}"#,
                &["CA9", "CA8"],
            ),
        ] {
            let mut peek = Peek::default();
            assert_eq!(peek.see(&text(CONNECTED)), Ok(Look::More));
            assert_eq!(peek.see(&frame(0x89, b"ping")), Ok(Look::More));
            assert_eq!(peek.see(&text(message)), named(ids), "{message}");
            let all = [text(CONNECTED), frame(0x89, b"ping"), text(message)].concat();
            assert_eq!(peek.into_bytes(), all, "the backend hears all of it");
        }
    }

    #[test]
    fn what_names_no_call_is_looked_past() {
        for message in [
            CONNECTED,
            "",
            "not json",
            "[]",
            "null",
            r#"{"event":"start"}"#,
            r#"{"event":"start","start":{}}"#,
            r#"{"event":"start","start":{"callSid":""}}"#,
            r#"{"event":"start","start":{"callSid":7}}"#,
            r#"{"event":"media","start":{"callSid":"CA1"}}"#,
            r#"{"type":"prompt","callSid":"CA1"}"#,
            r#"{"callSid":"CA1"}"#,
        ] {
            let mut peek = Peek::default();
            assert_eq!(peek.see(&text(message)), Ok(Look::More), "{message}");
            assert_eq!(peek.see(&text(TWILIO)), named(&["CA7"]), "{message}");
        }
        let mut binary = Peek::default();
        assert_eq!(binary.see(&frame(0x82, TWILIO.as_bytes())), Ok(Look::More));
    }

    #[test]
    fn a_message_may_come_in_fragments_with_a_ping_between() {
        let (first, rest) = TELNYX.as_bytes().split_at(20);
        let (second, third) = rest.split_at(100);
        let stream = [
            frame(0x01, first),
            frame(0x89, b""),
            frame(0x00, second),
            frame(0x80, third),
        ]
        .concat();
        assert_eq!(Peek::default().see(&stream), named(&["cs-1", "v3:cc-1"]));
    }

    #[test]
    fn what_no_client_may_send_is_a_violation() {
        let long = [0; 126];
        for (what, stream) in [
            ("no mask", [&[0x81, 2][..], b"{}"].concat()),
            ("an extension's bit", frame(0xc1, b"{}")),
            ("an unknown kind", frame(0x83, b"")),
            ("an unknown control frame", frame(0x8b, b"")),
            ("nothing to go on with", frame(0x80, b"{}")),
            (
                "within another",
                [frame(0x01, b"{"), frame(0x81, b"}")].concat(),
            ),
            ("a ping in parts", frame(0x09, b"")),
            ("a long ping", frame(0x89, &long)),
        ] {
            assert!(Peek::default().see(&stream).is_err(), "{what}");
        }
        assert!(Peek::default().see(&frame(0x89, &long[..125])).is_ok());
    }

    #[test]
    fn a_close_ends_the_search() {
        let stream = [text(CONNECTED), frame(0x88, &[3, 232])].concat();
        assert_eq!(Peek::default().see(&stream), Ok(Look::Closed));
    }

    #[test]
    fn a_frame_that_would_not_fit_is_enough_at_once() {
        let media = frame(0x82, &[0; 1000]);
        let mut peek = Peek::default();
        while peek.room() > media.len() {
            assert_eq!(peek.see(&media), Ok(Look::More));
        }
        let room = peek.room() - 8;
        let header = |payload: usize| {
            let length = (payload as u16).to_be_bytes();
            [0x82, 0xfe, length[0], length[1], 0, 0, 0, 0]
        };
        let over = header(room + 1);
        assert_eq!(peek.see(&over), Ok(Look::Enough), "one byte over");
        let mut huge = Peek::default();
        assert_eq!(
            huge.see(&[
                0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0
            ]),
            Ok(Look::Enough)
        );
    }

    #[test]
    fn a_stream_as_long_as_the_bound_is_enough() {
        let mut peek = Peek::default();
        assert_eq!(peek.see(&frame(0x82, &vec![0; MAX - 16])), Ok(Look::More));
        assert_eq!(peek.room(), 8);
        assert_eq!(peek.see(&[0x82, 0x82, 0, 0, 0, 0, 0]), Ok(Look::More));
        assert_eq!(peek.see(&[0]), Ok(Look::Enough));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(cut in 1_usize..60) {
            let stream = [text(CONNECTED), frame(0x82, &[1; 300]), text(TELNYX)].concat();
            let mut peek = Peek::default();
            let mut last = Ok(Look::More);
            for piece in stream.chunks(cut) {
                prop_assert_eq!(last, Ok(Look::More));
                last = peek.see(piece);
            }
            prop_assert_eq!(last, named(&["cs-1", "v3:cc-1"]));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut peek = Peek::default();
            if peek.see(&bytes) == Ok(Look::More) {
                drop(peek.see(&text(TWILIO)));
            }
        }
    }
}
