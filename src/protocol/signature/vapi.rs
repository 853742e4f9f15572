//! Vapi: a shared secret in a header, a bearer token, or an HMAC with many options.
//!
//! Which of them comes is chosen by the credential set in Vapi's dashboard; without
//! one nothing is signed. A secret or token is the same in every webhook, so neither
//! proves that the body is Vapi's nor that it comes for the first time; the HMAC
//! does, and with a time in it a replay can be told.

mod options;

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderName};

use super::{
    Doubt, KeyError, SecretKey, Signed, base64, decimal, hex, is_equal, is_fresh, once, only,
};
use crate::model::Wall;

pub use options::{Encoding, HmacAlgorithm, HmacOptions};

/// How Vapi was told to prove itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VapiCredential {
    way: Way,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// A header that carries the secret, behind a prefix if there is one.
    Shown {
        header: HeaderName,
        prefix: Box<str>,
        secret: Shown,
    },
    Signed(Box<Hmac>),
}

impl VapiCredential {
    /// The secret comes in a header by itself; `X-Vapi-Secret` if none is named.
    ///
    /// # Errors
    /// No secret, one that no header can carry, or no name of a header.
    pub fn secret(header: Option<&str>, value: &str) -> Result<Self, KeyError> {
        const DEFAULT: HeaderName = HeaderName::from_static("x-vapi-secret");
        Self::shown(header.map_or(Ok(DEFAULT), header_name)?, "", value)
    }

    /// The secret comes as `Authorization: Bearer …`.
    ///
    /// # Errors
    /// No secret, or one that no header can carry.
    pub fn bearer(value: &str) -> Result<Self, KeyError> {
        Self::shown(AUTHORIZATION, "Bearer", value)
    }

    /// The same in a header of another name, or behind another word than `Bearer`, or
    /// behind none, as Vapi can be told.
    ///
    /// # Errors
    /// No secret, one that no header can carry, or no name of a header.
    pub fn bearer_in(header: &str, prefix: &str, value: &str) -> Result<Self, KeyError> {
        Self::shown(header_name(header)?, prefix, value)
    }

    /// Each webhook is signed with the secret.
    ///
    /// # Errors
    /// No secret, or options that do not go together.
    pub fn hmac(options: &HmacOptions) -> Result<Self, KeyError> {
        let hmac = Hmac::new(options)?;
        Ok(Self {
            way: Way::Signed(Box::new(hmac)),
        })
    }

    /// What a webhook proves itself by, as people say it.
    pub fn name(&self) -> &'static str {
        match &self.way {
            Way::Shown { prefix, .. } if prefix.is_empty() => "Vapi's secret",
            Way::Shown { .. } => "Vapi's bearer token",
            Way::Signed(_) => "Vapi's HMAC",
        }
    }

    fn shown(header: HeaderName, prefix: &str, value: &str) -> Result<Self, KeyError> {
        let value = checked("the secret of Vapi", value)?;
        let prefix = match prefix.trim() {
            "" => "".into(),
            word => format!("{word} ").into(),
        };
        Ok(Self {
            way: Way::Shown {
                header,
                prefix,
                secret: Shown::new(value),
            },
        })
    }

    /// Does the webhook carry the secret, or a code made with it?
    pub(super) fn check(&self, signed: &Signed<'_>, now: Wall) -> Result<Option<u128>, Doubt> {
        match &self.way {
            Way::Shown {
                header,
                prefix,
                secret,
            } => {
                let sent = only(signed.headers, header)?.ok_or(Doubt::Absent)?;
                let is_it = without_prefix(sent, prefix).is_some_and(|sent| secret.is(sent));
                is_it
                    .then_some(None)
                    .ok_or(Doubt::Rejected("another secret than ours"))
            }
            Way::Signed(hmac) => hmac.check(signed, now),
        }
    }
}

/// A secret that is only ever compared: its hash is enough for that, and gives away
/// neither the secret nor its length.
#[derive(Clone)]
struct Shown(digest::Digest);

impl Shown {
    fn new(secret: &str) -> Self {
        Self(digest::digest(&digest::SHA256, secret.as_bytes()))
    }

    fn is(&self, sent: &[u8]) -> bool {
        let sent = digest::digest(&digest::SHA256, sent);
        is_equal(self.0.as_ref(), sent.as_ref())
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        is_equal(self.0.as_ref(), other.0.as_ref())
    }
}

impl Eq for Shown {}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MASKED")
    }
}

/// The options, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hmac {
    key: SecretKey,
    algorithm: HmacAlgorithm,
    encoding: Encoding,
    signature_header: HeaderName,
    timestamp_header: Option<HeaderName>,
    message_id_header: HeaderName,
    prefix: Option<String>,
    format: Vec<Part>,
}

impl Hmac {
    fn new(options: &HmacOptions) -> Result<Self, KeyError> {
        let secret = checked("the secret of Vapi", &options.secret)?;
        let algorithm = options.algorithm.of_library();
        let key = if options.secret_is_base64 {
            // The form in which Svix, who gave this scheme its names, shows secrets.
            let text = secret.strip_prefix("whsec_").unwrap_or(secret);
            let bytes = STANDARD.decode(text).map_err(|_| KeyError::Wrong {
                what: "the secret of Vapi",
                is: "is not base64, though secret_is_base64 says so",
            })?;
            SecretKey::new(algorithm, &bytes)
        } else {
            SecretKey::new(algorithm, secret.as_bytes())
        };
        Ok(Self {
            key,
            algorithm: options.algorithm,
            encoding: options.encoding,
            signature_header: header_name(&options.signature_header)?,
            timestamp_header: match options.include_timestamp {
                true => Some(header_name(&options.timestamp_header)?),
                false => None,
            },
            message_id_header: header_name(&options.message_id_header)?,
            prefix: options.prefix.clone(),
            format: format(options)?,
        })
    }

    fn check(&self, signed: &Signed<'_>, now: Wall) -> Result<Option<u128>, Doubt> {
        let sent = only(signed.headers, &self.signature_header)?.ok_or(Doubt::Absent)?;
        let code = self
            .code(sent)
            .ok_or(Doubt::Rejected("the signature is not written as agreed"))?;
        let timestamp = match &self.timestamp_header {
            Some(header) => Some(only(signed.headers, header)?.ok_or(MISSING_TIME)?),
            None => None,
        };
        if let Some(timestamp) = timestamp
            && !is_fresh(secs(timestamp).ok_or(NO_TIME)?, now)
        {
            return Err(Doubt::Rejected("signed too long ago, or too far ahead"));
        }
        let message_id = only(signed.headers, &self.message_id_header)?;
        let mut parts = Vec::with_capacity(self.format.len() + 4);
        for part in &self.format {
            match part {
                Part::Text(text) => parts.push(text.as_bytes()),
                Part::Body => parts.push(signed.body),
                Part::Method => parts.push(signed.method.as_bytes()),
                Part::Timestamp => parts.push(timestamp.ok_or(MISSING_TIME)?),
                Part::MessageId => {
                    parts.push(message_id.ok_or(Doubt::Rejected("the message id is missing"))?);
                }
                Part::Url => parts.extend([
                    signed.scheme.as_bytes(),
                    b"://",
                    signed.authority.as_bytes(),
                    signed.target.as_bytes(),
                ]),
            }
        }
        if !self.key.has_signed(&parts, &code) {
            return Err(Doubt::Rejected(
                "signed with another secret, or changed on the way",
            ));
        }
        Ok(timestamp.map(|_| once(&code)))
    }

    /// The bytes of a code as it was sent.
    fn code(&self, sent: &[u8]) -> Option<Vec<u8>> {
        let sent = match &self.prefix {
            Some(prefix) => sent.strip_prefix(prefix.as_bytes())?,
            None => {
                let usual = self.algorithm.usual_prefix().as_bytes();
                sent.strip_prefix(usual).unwrap_or(sent)
            }
        };
        let length = self.algorithm.of_library().tag_len();
        match self.encoding {
            Encoding::Hex => hex(sent, length),
            Encoding::Base64 => base64(sent, length),
        }
    }
}

const MISSING_TIME: Doubt = Doubt::Rejected("the timestamp is missing");
const NO_TIME: Doubt = Doubt::Rejected("the timestamp is no number");

/// A time in seconds. Vapi does not say whether it sends seconds or milliseconds; what
/// would be the year 5138 in seconds is milliseconds.
fn secs(timestamp: &[u8]) -> Option<u64> {
    let number = decimal(timestamp)?;
    let is_millis = number >= 100_000_000_000;
    Some(if is_millis { number / 1000 } else { number })
}

/// One piece of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Timestamp,
    Body,
    Method,
    Url,
    MessageId,
}

/// Takes a `payload_format` apart.
fn format(options: &HmacOptions) -> Result<Vec<Part>, KeyError> {
    const WHAT: &str = "payload_format";
    let default = match options.include_timestamp {
        true => "{timestamp}.{body}",
        false => "{body}",
    };
    let mut rest = options.payload_format.as_deref().unwrap_or(default);
    let mut parts = Vec::new();
    while let Some((before, name, after)) = placeholder(rest) {
        if !before.is_empty() {
            parts.push(Part::Text(before.into()));
        }
        parts.push(match name {
            "timestamp" => Part::Timestamp,
            "body" => Part::Body,
            "method" => Part::Method,
            "url" => Part::Url,
            "svix-id" => Part::MessageId,
            _ => {
                return Err(KeyError::Placeholder {
                    name: name.to_owned(),
                });
            }
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    let is = match (parts.contains(&Part::Timestamp), options.include_timestamp) {
        _ if !parts.contains(&Part::Body) => "lacks {body}: anybody could change the body",
        (true, false) => "has {timestamp} in it, though include_timestamp is false",
        (false, true) => "lacks {timestamp}: put it in, or set include_timestamp to false",
        (true, true) | (false, false) => return Ok(parts),
    };
    Err(KeyError::Wrong { what: WHAT, is })
}

/// What stands before, in and behind the first pair of braces.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// A secret without the white space that files end with.
fn checked<'a>(what: &'static str, secret: &'a str) -> Result<&'a str, KeyError> {
    let secret = secret.trim();
    if secret.is_empty() {
        return Err(KeyError::Empty { what });
    }
    if secret.chars().any(char::is_control) {
        return Err(KeyError::Wrong {
            what,
            is: "has a line break or another control character in it",
        });
    }
    Ok(secret)
}

fn header_name(name: &str) -> Result<HeaderName, KeyError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| KeyError::Header {
        name: name.to_owned(),
    })
}

/// What stands behind a prefix, letters of either case.
fn without_prefix<'a>(sent: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let (start, rest) = sent.split_at_checked(prefix.len())?;
    start
        .eq_ignore_ascii_case(prefix.as_bytes())
        .then_some(rest)
}

#[cfg(test)]
mod tests;
