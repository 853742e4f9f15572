//! The words we ship, where an operator names none.
//!
//! Short, and nobody's fault: the caller can do nothing about it. In English, then in
//! Spanish, because nobody is left who knows the caller's language.

use bytes::Bytes;

use super::{DECLARATION, Number};
use crate::model::Protocol;

const SORRY: [&str; 2] = [
    "We are sorry, we cannot take your call right now. Please call again in a few minutes.",
    "Lo sentimos, en este momento no podemos atender su llamada. Por favor, llame de nuevo en \
     unos minutos.",
];

const ONE_MOMENT: [&str; 2] = [
    "We are sorry for the wait. One moment, please, while we connect you.",
    "Lamentamos la espera. Un momento, por favor, le estamos comunicando.",
];

/// Attributes of `Say` for the two languages. Both providers know these voices.
/// Without one Telnyx reads everything with an English accent, and of a `Polly` voice
/// it needs no `language`, which Twilio wants to fit the voice.
const VOICES: [&str; 2] = [
    "voice=\"Polly.Joanna\" language=\"en-US\"",
    "voice=\"Polly.Mia\" language=\"es-MX\"",
];

/// For who is to hear nothing: a whisper, music on hold, a leg that was dialled.
pub(super) const NOTHING: &[u8] =
    b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response></Response>\n";

/// One line, read by a model that speaks to the caller.
pub(super) const NO_TOOL: &str =
    "This could not be done right now. Tell the caller, and offer to try again later.";

pub(super) const NO_DESTINATION: &[u8] = b"{\"error\":\"We are sorry, we cannot connect you right \
      now. Lo sentimos, en este momento no podemos comunicarle.\"}";

/// Nothing was found, which is an answer.
pub(super) const NO_DOCUMENTS: &[u8] = b"{\"documents\":[]}";

/// What a call hears on a route of this protocol; None where nobody listens.
pub(super) fn body(protocol: Protocol, forward: Option<&Number>) -> Option<Bytes> {
    let text = match (protocol, forward) {
        (Protocol::TelnyxCallControl, _) => return None,
        (Protocol::TelnyxTexml | Protocol::Twilio, None) => document(SORRY, ""),
        // Nothing is said after it: when the dialled side hangs up, a provider goes on
        // with what follows, and that caller was served.
        (Protocol::TelnyxTexml | Protocol::Twilio, Some(number)) => document(
            ONE_MOMENT,
            &format!("  <Dial><Number>{}</Number></Dial>\n", number.0),
        ),
        // Vapi speaks it with a voice of its own choice and hangs up.
        (Protocol::Vapi, None) => format!("{{\"error\":\"{}\"}}", SORRY.join(" ")),
        (Protocol::Vapi, Some(number)) => format!(
            "{{\"destination\":{{\"type\":\"number\",\"number\":\"{}\",\"message\":\"{}\"}}}}",
            number.0,
            ONE_MOMENT.join(" "),
        ),
    };
    Some(Bytes::from(text))
}

fn document(words: [&str; 2], then: &str) -> String {
    let [english, spanish] = words;
    let [in_english, in_spanish] = VOICES;
    format!(
        "{DECLARATION}<Response>\n  <Say {in_english}>{english}</Say>\n  \
         <Say {in_spanish}>{spanish}</Say>\n{then}  <Hangup/>\n</Response>\n"
    )
}
