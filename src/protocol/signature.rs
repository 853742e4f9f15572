//! Genuine or not: whether a webhook was signed by its provider.

use http::HeaderMap;

use crate::measure::Found;
use crate::model::Wall;

/// How strictly a route takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nobody looks.
    Off,
    /// Everything is forwarded; what is not verified counts in no window once the
    /// route has verified any.
    #[default]
    Report,
    /// What is wrongly signed is refused.
    IfPresent,
    /// What is wrongly signed or not signed is refused.
    Required,
}

/// What a webhook is checked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {}

/// A webhook as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// Scheme of the URL the provider was given: `http`, `https` (`wss` is told by `headers`).
    pub scheme: &'a str,
    /// Its host and, unless it is the scheme's own, port.
    pub authority: &'a str,
    /// Path and query, as received.
    pub target: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body, as received.
    pub body: &'a [u8],
}

/// What came of looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Verified, absent or rejected; replays are found by who remembers.
    pub found: Found,
    /// What to remember it by, if a genuine one can come only once: the provider
    /// signs a time, and signs a retry anew.
    pub once: Option<u128>,
    /// Why it was rejected, for the log.
    pub why: Option<&'static str>,
}

impl Verifier {
    /// Looks at a webhook's signature. `now` is the calendar's.
    pub fn verify(&self, _signed: &Signed<'_>, _now: Wall) -> Finding {
        match *self {}
    }
}

/// What follows from a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// It is evidence: it may pin a call and count in windows.
    pub counts: bool,
    /// It is answered 403 and goes no further.
    pub refuse: bool,
}

impl Mode {
    /// What follows. `verified_before` says that the route has verified any webhook.
    pub fn rule(self, _found: Found, _verified_before: bool) -> Ruling {
        Ruling {
            counts: true,
            refuse: false,
        }
    }
}
