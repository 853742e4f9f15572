//! Telnyx: Ed25519 over the time, a bar and the raw body, for TeXML and Call Control.
//!
//! Strictly: a key or a signature that could be written in two ways, or whose key
//! signs everything, is none. The library refuses most of that by itself (a scalar
//! not below the group's order, a point not in its shortest form); points of small
//! order it lets pass, so they are looked for here.
//!
//! What the URL says is not signed. A webhook sent by GET has all it says in there,
//! so its signature proves little: that Telnyx signed something in that second.

use std::fmt;

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;

use super::{Doubt, KeyError, Signed, base64, decimal, is_fresh, once_at, only};
use crate::model::Wall;

/// Seconds since 1970 as Telnyx's clock had them, decimal.
const TIMESTAMP: HeaderName = HeaderName::from_static("telnyx-timestamp");

/// The signature, base64.
const SIGNATURE: HeaderName = HeaderName::from_static("telnyx-signature-ed25519");

/// What stands before the key's 32 bytes in a `SubjectPublicKeyInfo` (RFC 8410, 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

const WHAT: &str = "a public key of Telnyx";

/// One public key, or two while Telnyx changes over from one to the other.
#[derive(Clone, PartialEq, Eq)]
pub struct TelnyxKeys {
    keys: Vec<Key>,
}

impl TelnyxKeys {
    /// The most keys: the one that goes and the one that comes.
    pub const MAX: usize = 2;

    /// Keys as Mission Control shows them: the raw 32 bytes in base64. The longer
    /// forms other tools make of them, DER in base64 and PEM, are taken too.
    ///
    /// # Errors
    /// No key or more than two, or one that is no Ed25519 public key.
    pub fn new<T: AsRef<str>>(keys: &[T]) -> Result<Self, KeyError> {
        if !(1..=Self::MAX).contains(&keys.len()) {
            return Err(KeyError::Count { count: keys.len() });
        }
        let keys = keys
            .iter()
            .map(|key| Key::read(key.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// Is the webhook signed by one of the keys, and lately?
    pub(super) fn check(&self, signed: &Signed<'_>, now: Wall) -> Result<Option<u128>, Doubt> {
        let timestamp = only(signed.headers, &TIMESTAMP)?;
        let signature = only(signed.headers, &SIGNATURE)?;
        let (timestamp, signature) = match (timestamp, signature) {
            (None, None) => return Err(Doubt::Absent),
            (Some(timestamp), Some(signature)) => (timestamp, signature),
            (None, Some(_)) => return Err(Doubt::Rejected("telnyx-timestamp is missing")),
            (Some(_), None) => return Err(Doubt::Rejected("telnyx-signature-ed25519 is missing")),
        };
        let secs = decimal(timestamp).ok_or(Doubt::Rejected("the timestamp is no number"))?;
        if !is_fresh(secs, now) {
            return Err(Doubt::Rejected("signed too long ago, or too far ahead"));
        }
        let signature = base64(signature, 64)
            .ok_or(Doubt::Rejected("the signature is no base64 of 64 bytes"))?;
        let message = [timestamp, b"|", signed.body].concat();
        if !self.have_signed(&message, &signature) {
            return Err(Doubt::Rejected(
                "signed by another key, or changed on the way",
            ));
        }
        // All GETs of one second have one signature: nothing but the time is in it. And
        // so have two forms of one call that are the same and go to two documents, as
        // behind a redirect.
        let place = if signed.body.is_empty() {
            signed.target
        } else {
            signed.target.split('?').next().unwrap_or_default()
        };
        Ok(Some(once_at(&signature, place)))
    }

    pub(super) fn have_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let is_point_sound = signature
            .first_chunk()
            .is_some_and(|point| !is_small_order(point));
        is_point_sound
            && self
                .keys
                .iter()
                .any(|key| key.parsed.verify_sig(message, signature).is_ok())
    }
}

impl fmt::Debug for TelnyxKeys {
    /// Public keys are no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.iter().map(|key| STANDARD.encode(key.bytes));
        f.debug_list().entries(keys).finish()
    }
}

#[derive(Clone)]
struct Key {
    bytes: [u8; 32],
    parsed: ParsedPublicKey,
}

impl Key {
    fn read(text: &str) -> Result<Self, KeyError> {
        let bytes = key_bytes(text.trim())?;
        if !is_canonical(&bytes) || is_small_order(&bytes) {
            return Err(wrong("is 32 bytes long but no Ed25519 public key"));
        }
        let parsed = ParsedPublicKey::new(&ED25519, bytes)
            .map_err(|_| wrong("is 32 bytes long but no Ed25519 public key"))?;
        Ok(Self { bytes, parsed })
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Key {}

fn wrong(is: &'static str) -> KeyError {
    KeyError::Wrong { what: WHAT, is }
}

/// The 32 bytes of a key in any of its three forms.
fn key_bytes(text: &str) -> Result<[u8; 32], KeyError> {
    if text.is_empty() {
        return Err(KeyError::Empty { what: WHAT });
    }
    if text.contains("PRIVATE KEY") {
        return Err(wrong(
            "is a private key: give the public one, and keep this one out of configurations",
        ));
    }
    if text.starts_with("KEY") {
        return Err(wrong(
            "looks like an API key: the public key is in Mission Control under Keys & Credentials",
        ));
    }
    let text = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
        Some(rest) => rest
            .strip_suffix("-----END PUBLIC KEY-----")
            .ok_or_else(|| wrong("is PEM without its last line"))?
            .split_ascii_whitespace()
            .collect(),
        None => text.to_owned(),
    };
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong(
            "is written in hexadecimal: give it in base64, as Mission Control shows it",
        ));
    }
    let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| {
        wrong("is not base64: copy it from Mission Control as it stands, with the = at its end")
    })?;
    let raw = bytes.strip_prefix(&SPKI_PREFIX).unwrap_or(&bytes);
    raw.try_into().map_err(|_| {
        wrong("is not 32 bytes long: copy it from Mission Control as it stands, in base64")
    })
}

/// Is the point's coordinate below the field's prime, 2^255 - 19? Else the same point
/// has a shorter form.
fn is_canonical(point: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = point;
    last & 0x7f != 0x7f || middle.iter().any(|&byte| byte != 0xff) || *first < 0xed
}

/// The eight points of small order by their coordinate, the sign left out (0, 1, -1 and
/// the two of order eight). A key that is one of them signs nearly everything.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
];

fn is_small_order(point: &[u8; 32]) -> bool {
    let mut unsigned = *point;
    unsigned[31] &= 0x7f;
    SMALL_ORDER.contains(&unsigned)
}

#[cfg(test)]
mod tests;
