//! What a backend answered: would it have served the caller, and what does it do
//! to the call?
//!
//! A voice provider runs the document it is sent. One that it cannot parse ends
//! the call with an error the caller hears, though the status was 200; so every
//! answer to a voice webhook is read here before it counts as good.

pub mod address;
pub mod course;
pub mod last_resort;
pub mod markup;
pub mod rewrite;
pub mod scan;
pub mod seen;
pub mod texml;
pub mod vapi_reply;

use crate::model::Protocol;

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Flaw {
    /// No body where a document was due.
    Empty,
    /// Not well-formed XML.
    NotWellFormed,
    /// The root element is not `Response`.
    WrongRoot,
    /// An HTML page, what a broken backend's framework shows.
    Html,
    /// More than the providers' 64 kB, or nested deeper or loaded with more
    /// attributes than any document they run (see `document/texml.rs`).
    TooLarge,
    /// White space before the XML declaration (Twilio's error 12100).
    LeadingSpace,
    /// Not the JSON that was asked for.
    NotJson,
    /// An `error` inside an answer whose status says that all is well.
    SaysError,
    /// Nothing in it of what was asked for: no assistant, no destination, no result
    /// for a tool call.
    NoResult,
    /// A result for a tool call that nobody made, or of a kind the provider ignores.
    BadResult,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 10] = [
        Self::Empty,
        Self::NotWellFormed,
        Self::WrongRoot,
        Self::Html,
        Self::TooLarge,
        Self::LeadingSpace,
        Self::NotJson,
        Self::SaysError,
        Self::NoResult,
        Self::BadResult,
    ];

    /// The word for it in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotWellFormed => "not-well-formed",
            Self::WrongRoot => "wrong-root",
            Self::Html => "html",
            Self::TooLarge => "too-large",
            Self::LeadingSpace => "leading-space",
            Self::NotJson => "not-json",
            Self::SaysError => "says-error",
            Self::NoResult => "no-result",
            Self::BadResult => "bad-result",
        }
    }
}

/// A set of flaws: those that legacy's own answers show so often that they are
/// only a warning, for both backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlawSet(u16);

impl FlawSet {
    /// No flaw.
    pub const NONE: Self = Self(0);

    /// The set with this flaw in it.
    #[must_use]
    pub const fn with(self, flaw: Flaw) -> Self {
        Self(self.0 | 1 << flaw as u8)
    }

    /// Is this flaw in it?
    pub const fn has(self, flaw: Flaw) -> bool {
        self.0 & (1 << flaw as u8) != 0
    }
}

/// What reading a document told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What is wrong with it, if anything.
    pub flaw: Option<Flaw>,
    /// What it does to the call.
    pub does: Does,
}

/// What a document does to the call it answers. Both are told only as far as the
/// document alone can tell; how exactly is written in `document/course.rs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Does {
    /// It dials, enqueues, refers or connects the caller (or puts it into a
    /// conference), on a path that can be reached: the caller is served.
    pub serves: bool,
    /// The application ends the call with it, whichever way it runs: `Hangup`,
    /// `Reject`, or a document after whose last verb nothing is left to do, and
    /// before that no verb that may ask the application again.
    pub ends: bool,
}

/// The most a provider takes as a document, in bytes (Twilio's error 11750; the
/// same is assumed for Telnyx, which names no figure).
pub const MAX_BYTES: usize = 64 * 1024;

/// Judges the answer to a voice webhook, by that provider's rules: Twilio legally
/// plays `audio/*` and speaks `text/plain`, then hangs up, so those are not read
/// as documents. Anything else is, whatever it calls itself: both providers parse
/// XML that is labelled `text/html`.
///
/// Never fails and never allocates.
pub fn judge(protocol: Protocol, content_type: Option<&str>, body: &[u8]) -> Judgement {
    if protocol == Protocol::Twilio && content_type.is_some_and(is_played_or_spoken) {
        return played_or_spoken(body);
    }
    texml::judge(body, content_type)
}

fn played_or_spoken(body: &[u8]) -> Judgement {
    if body.is_empty() {
        return Judgement {
            flaw: Some(Flaw::Empty),
            does: Does::default(),
        };
    }
    Judgement {
        flaw: None,
        does: Does {
            serves: false,
            ends: true,
        },
    }
}

fn is_played_or_spoken(content_type: &str) -> bool {
    let kind = essence(content_type);
    let is_audio = kind
        .get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("audio/"));
    is_audio || kind.eq_ignore_ascii_case("text/plain")
}

/// A content type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// The `charset` parameter of a content type. It goes before what the document
/// itself declares.
fn charset(content_type: &str) -> Option<&str> {
    let parameters = content_type.split(';').skip(1);
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MENU: &[u8] = b"<Response><Gather action=\"/menu\"/></Response>";

    fn flaw(protocol: Protocol, content_type: Option<&str>, body: &[u8]) -> Option<Flaw> {
        judge(protocol, content_type, body).flaw
    }

    #[test]
    fn only_twilio_plays_audio_and_speaks_plain_text() {
        for content_type in [
            "audio/mpeg",
            "Audio/X-Wav",
            "text/plain",
            "text/plain; charset=utf-8",
        ] {
            let spoken = judge(Protocol::Twilio, Some(content_type), b"Please hold & wait");
            assert_eq!(spoken.flaw, None, "{content_type}");
            assert!(spoken.does.ends, "{content_type}: then Twilio hangs up");
            assert_eq!(
                flaw(
                    Protocol::TelnyxTexml,
                    Some(content_type),
                    b"Please hold & wait"
                ),
                Some(Flaw::NotWellFormed),
                "{content_type}: Telnyx knows documents only"
            );
        }
        assert_eq!(
            flaw(Protocol::Twilio, Some("text/plain"), b""),
            Some(Flaw::Empty)
        );
    }

    #[test]
    fn a_document_is_judged_as_xml_whatever_it_calls_itself() {
        for protocol in Protocol::ALL {
            for content_type in [
                None,
                Some("application/xml"),
                Some("text/xml; charset=utf-8"),
                Some("text/html"),
                Some("audiobook"),
            ] {
                assert_eq!(flaw(protocol, content_type, MENU), None, "{content_type:?}");
                assert_eq!(
                    flaw(protocol, content_type, b"<Response>"),
                    Some(Flaw::NotWellFormed),
                    "{content_type:?}"
                );
            }
        }
    }

    #[test]
    fn the_charset_of_the_content_type_goes_before_the_declaration() {
        let latin1 = b"<Response><Say>Gr\xfc\xdfe</Say></Response>";
        for (content_type, expected) in [
            ("text/xml; charset=ISO-8859-1", None),
            ("text/xml; charset=\"windows-1252\"", None),
            ("text/xml; charset=utf-8", Some(Flaw::NotWellFormed)),
            ("text/xml", Some(Flaw::NotWellFormed)),
        ] {
            assert_eq!(
                flaw(Protocol::Twilio, Some(content_type), latin1),
                expected,
                "{content_type}"
            );
        }
    }

    #[test]
    fn a_set_of_flaws_holds_what_was_put_in() {
        let set = FlawSet::NONE.with(Flaw::Html).with(Flaw::LeadingSpace);
        for flaw in Flaw::ALL {
            let expected = matches!(flaw, Flaw::Html | Flaw::LeadingSpace);
            assert_eq!(set.has(flaw), expected, "{}", flaw.name());
        }
    }
}
