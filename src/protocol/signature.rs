//! Genuine or not: whether a webhook was signed by its provider.
//!
//! Whoever can post to us can otherwise post five hundred failures and flip a healthy
//! rollout, or a thousand successes and hide a sick one. So a webhook is looked at
//! before anything is counted. One file for each provider's way of signing; here is
//! what they share, and what follows from a finding.
//!
//! Nothing here remembers: that a signature was seen before, and that a route has
//! verified any webhook, is known by `trust`. What was signed is checked as it came
//! in, byte for byte, and nothing in it can make us panic. Every secret prints as
//! `MASKED`, and every comparison with one takes the same time wherever they differ.

pub mod telnyx;
pub mod twilio;
pub mod vapi;

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::HeaderName;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

use crate::measure::Found;
use crate::model::Wall;

pub use telnyx::TelnyxKeys;
pub use twilio::TwilioToken;
pub use vapi::{Encoding, HmacAlgorithm, HmacOptions, VapiCredential};

/// How far the time a provider signed may lie from ours, in seconds, either way.
///
/// Three hundred, as in Telnyx's own libraries. Into the future as well, although
/// sixty would do for honest clocks: what the backend's own check would take, ours
/// must not refuse, or a machine two minutes slow turns every caller away.
pub const TOLERANCE_SECS: u64 = 300;

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
pub enum Verifier {
    /// Telnyx's public keys; both of its protocols sign alike.
    Telnyx(TelnyxKeys),
    /// The auth token shared with Twilio.
    Twilio(TwilioToken),
    /// What Vapi was told to show or to sign with.
    Vapi(VapiCredential),
}

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
    pub fn verify(&self, signed: &Signed<'_>, now: Wall) -> Finding {
        let proof = match self {
            Self::Telnyx(keys) => keys.check(signed, now),
            Self::Twilio(token) => token.check(signed),
            Self::Vapi(credential) => credential.check(signed, now),
        };
        match proof {
            Ok(once) => Finding {
                found: Found::Verified,
                once,
                why: None,
            },
            Err(Doubt::Absent) => Finding {
                found: Found::Absent,
                once: None,
                why: None,
            },
            Err(Doubt::Rejected(why)) => Finding {
                found: Found::Rejected,
                once: None,
                why: Some(why),
            },
        }
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

impl Ruling {
    const EVIDENCE: Self = Self {
        counts: true,
        refuse: false,
    };
    const HEARSAY: Self = Self {
        counts: false,
        refuse: false,
    };
    const REFUSED: Self = Self {
        counts: false,
        refuse: true,
    };
}

impl Mode {
    /// Every mode, from the laxest to the strictest.
    pub const ALL: [Self; 4] = [Self::Off, Self::Report, Self::IfPresent, Self::Required];

    /// The word for it in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::IfPresent => "if-present",
            Self::Required => "required",
        }
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// What follows. `verified_before` says that the route has verified any webhook.
    ///
    /// A replay is forwarded in every mode, since a backend must stand a second
    /// delivery anyway, and counts in none but `off`.
    pub fn rule(self, found: Found, verified_before: bool) -> Ruling {
        match (self, found) {
            (Self::Off, _) | (_, Found::Verified) | (Self::IfPresent, Found::Absent) => {
                Ruling::EVIDENCE
            }
            (_, Found::Replayed) => Ruling::HEARSAY,
            (Self::Report, Found::Absent | Found::Rejected) if verified_before => Ruling::HEARSAY,
            (Self::Report, Found::Absent | Found::Rejected) => Ruling::EVIDENCE,
            (Self::IfPresent | Self::Required, Found::Absent | Found::Rejected) => Ruling::REFUSED,
        }
    }
}

/// A key, token or secret that cannot be one. No message shows any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing was given.
    #[error("{what} is empty")]
    Empty {
        /// What was to be given.
        what: &'static str,
    },
    /// A list of keys that is not one or two long.
    #[error(
        "{count} public keys are given: give the one shown in Mission Control, or two while keys are changed"
    )]
    Count {
        /// How many were given.
        count: usize,
    },
    /// It is not what it should be.
    #[error("{what} {is}")]
    Wrong {
        /// What was to be given.
        what: &'static str,
        /// What is wrong with it, and what to do.
        is: &'static str,
    },
    /// A header that cannot be named so.
    #[error("{name:?} cannot be the name of a header: use letters, digits and dashes")]
    Header {
        /// As given.
        name: String,
    },
    /// A placeholder that stands for nothing.
    #[error(
        "payload_format has {{{name}}} in it, which stands for nothing: use {{timestamp}}, {{body}}, {{method}}, {{url}} and {{svix-id}}"
    )]
    Placeholder {
        /// As given, without braces.
        name: String,
    },
}

/// Why a webhook is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    Absent,
    Rejected(&'static str),
}

/// A secret as bytes, with the key made of it.
#[derive(Clone)]
struct SecretKey {
    secret: Box<[u8]>,
    key: hmac::Key,
}

impl SecretKey {
    fn new(algorithm: hmac::Algorithm, secret: &[u8]) -> Self {
        Self {
            secret: secret.into(),
            key: hmac::Key::new(algorithm, secret),
        }
    }

    /// Is it the code of these parts, one behind the other?
    fn has_signed(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        is_equal(self.sign(parts).as_ref(), code)
    }

    fn sign(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part);
        }
        context.sign()
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.key.algorithm() == other.key.algorithm() && is_equal(&self.secret, &other.secret)
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MASKED")
    }
}

/// Equal, told in a time that depends on the lengths only.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

/// The only value of a header. A header that comes twice is an error: we would look
/// at one of them and the backend at the other.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Doubt> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(http::HeaderValue::as_bytes);
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Doubt::Rejected("a header of the signature came twice")),
    }
}

/// A decimal number of at most fifteen digits and nothing else: that is enough for
/// milliseconds, and never too much for the type.
fn decimal(text: &[u8]) -> Option<u64> {
    let is_sound = (1..=15).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    is_sound.then(|| {
        text.iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
    })
}

/// Does a time, in seconds since 1970, lie within the tolerance?
fn is_fresh(secs: u64, now: Wall) -> bool {
    let now = u64::try_from(now.0.div_euclid(1000)).unwrap_or(0);
    now.abs_diff(secs) <= TOLERANCE_SECS
}

/// Base64 with the usual alphabet, its padding and no bit to spare, of exactly that
/// many bytes; there is one way only to write them.
fn base64(text: &[u8], length: usize) -> Option<Vec<u8>> {
    if text.len() != length.div_ceil(3) * 4 {
        return None;
    }
    let bytes = STANDARD.decode(text).ok()?;
    (bytes.len() == length).then_some(bytes)
}

/// Exactly that many bytes written in hexadecimal, letters of either case.
fn hex(text: &[u8], length: usize) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if text.len() != length * 2 {
        return None;
    }
    text.chunks_exact(2)
        .map(|pair| match *pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

/// What a genuine webhook is remembered by. Made of the signature's bytes, not of
/// their spelling, so that no other spelling of it is a new one.
fn once(signature: &[u8]) -> u128 {
    xxh3_128(signature)
}

/// The same where the signature covers too little to tell two webhooks apart.
fn once_at(signature: &[u8], target: &str) -> u128 {
    // Only what was verified is remembered, so nobody chooses what is hashed here.
    xxh3_128_with_seed(signature, xxh3_64(target.as_bytes()))
}

#[cfg(test)]
mod tests;
