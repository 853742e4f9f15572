//! Which attributes and texts of TeXML and TwiML are URLs.
//!
//! Names are the providers' own and case-sensitive. Both dialects are in one table,
//! as no name means a URL in one and something else in the other.
//!
//! Not in it, though they look like it: `method`, `waitUrlMethod`,
//! `statusCallbackMethod`, `statusCallbackEvent`, `actionOnEmptyResult`; the text of
//! `Number`, `Sip`, `Queue` and of what is spoken; `Parameter` and `Task`, whose
//! values are the application's own data. `Prompt`, `Say`, `Pause`, `Hangup`,
//! `Reject` and `Leave` have no URL at all.

/// The attributes of each element that hold a URL.
const CARRIERS: [(&str, &[&str]); 26] = [
    // Verbs.
    (
        "Gather",
        &["action", "invalidDigitsAction", "partialResultCallback"],
    ),
    (
        "Record",
        &[
            "action",
            "recordingStatusCallback",
            "transcriptionCallback",
            "transcribeCallback",
        ],
    ),
    (
        "Dial",
        &["action", "recordingStatusCallback", "audioUrl", "referUrl"],
    ),
    ("Enqueue", &["action", "waitUrl"]),
    ("Refer", &["action"]),
    ("Pay", &["action", "statusCallback"]),
    ("Sms", &["action", "statusCallback"]),
    ("Start", &["action"]),
    ("Connect", &["action"]),
    ("AIGather", &["action"]),
    ("HttpRequest", &["action"]),
    // Whom to dial.
    ("Number", &["url", "statusCallback", "amdStatusCallback"]),
    ("Sip", &["url", "statusCallback", "amdStatusCallback"]),
    ("Client", &["url", "statusCallback"]),
    ("Application", &["url", "statusCallback"]),
    ("WhatsApp", &["url", "statusCallback"]),
    ("Queue", &["url"]),
    (
        "Conference",
        &[
            "waitUrl",
            "statusCallback",
            "recordingStatusCallback",
            "eventCallbackUrl",
        ],
    ),
    // What to start or to connect to.
    ("Stream", &["url", "statusCallback"]),
    ("Siprec", &["statusCallback"]),
    (
        "Transcription",
        &["transcriptionCallback", "statusCallbackUrl"],
    ),
    ("Recording", &["recordingStatusCallback"]),
    ("VirtualAgent", &["statusCallback"]),
    (
        "Conversation",
        &["url", "statusCallback", "recordingStatusCallback"],
    ),
    ("ConversationRelay", &["url"]),
    // What to ask on the way.
    ("Request", &["url"]),
];

/// Does this attribute of this element hold a URL?
pub(super) fn is_carrier(element: &str, attribute: &str) -> bool {
    CARRIERS
        .iter()
        .any(|(name, attributes)| *name == element && attributes.contains(&attribute))
}

/// Does an attribute of this name hold a URL on any element? Providers add elements;
/// their attributes of the old names mean the old things.
pub(super) fn may_carry(attribute: &str) -> bool {
    matches!(
        attribute,
        "action"
            | "amdStatusCallback"
            | "audioUrl"
            | "eventCallbackUrl"
            | "invalidDigitsAction"
            | "partialResultCallback"
            | "recordingStatusCallback"
            | "referUrl"
            | "statusCallback"
            | "statusCallbackUrl"
            | "transcribeCallback"
            | "transcriptionCallback"
            | "url"
            | "waitUrl"
    )
}

/// Is the text of this element a URL?
pub(super) fn has_url_text(element: &str) -> bool {
    matches!(element, "Redirect" | "Play")
}

/// Does this attribute make the text of its element something else than a URL: the
/// name of a stored recording, or nothing beside digits?
pub(super) fn denies_url_text(attribute: &str, value: &str) -> bool {
    match attribute {
        "mediaStorage" => value.trim_ascii().eq_ignore_ascii_case("true"),
        "digits" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_table_are_those_looked_for_on_any_element() {
        for (element, attributes) in CARRIERS {
            for attribute in attributes {
                assert!(may_carry(attribute), "{element} {attribute}");
            }
        }
        for look_alike in [
            "method",
            "waitUrlMethod",
            "waitMethod",
            "statusCallbackMethod",
            "statusCallbackEvent",
            "recordingStatusCallbackMethod",
            "recordingStatusCallbackEvent",
            "actionOnEmptyResult",
            "value",
            "Action",
            "x:action",
        ] {
            assert!(!may_carry(look_alike), "{look_alike}");
        }
    }
}
