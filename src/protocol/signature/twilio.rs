//! Twilio: HMAC-SHA1 over the URL it was given and the fields of the form.
//!
//! Twilio is not of one mind about that URL: sometimes the port is in it, sometimes
//! not, and its query may be escaped in another way than the one that arrives. So
//! what may have been signed is tried, the likeliest first; nearly always that is the
//! one.
//!
//! Weak points that are Twilio's, not ours: the fields are written one behind the
//! other with nothing between, so a sender that owns one genuine request can move a
//! letter from a value into the next name; nothing tells when it was signed, so a
//! replay cannot be told; and a user name in the URL (`https://user:pass@host`) is
//! signed but does not arrive, so it must stand in `public_url`.

mod urls;

use std::borrow::Cow;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, HeaderName};

use super::{Doubt, KeyError, SecretKey, Signed, base64, hex, is_equal, only};
use crate::protocol::form;
use urls::{schemes, url, urls};

const SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-signature");

/// Which hash function was used, if not SHA-1: `key=…,algorithm=HMAC_SHA256`.
const SETTINGS: HeaderName = HeaderName::from_static("x-twilio-webhooks-signature-settings");

/// The most bytes hashed for one webhook before it is given up, the first try apart,
/// which is always made. A webhook has 1,500 to hash, and there are 48 tries at the most
/// (twelve URLs, two texts, two tokens); usually one is enough.
const MAX_HASHED: usize = 1 << 20;

/// The auth token, or two while it is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwilioToken {
    keys: Vec<Pair>,
}

/// One token as the key of either hash function.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    sha1: SecretKey,
    sha256: SecretKey,
}

impl TwilioToken {
    /// The auth token of the account whose numbers call here.
    ///
    /// # Errors
    /// Nothing, white space within it, or an account's id instead.
    pub fn new(token: &str) -> Result<Self, KeyError> {
        Ok(Self {
            keys: vec![Pair::new(token)?],
        })
    }

    /// A second token that is good as well, while one is changed for the other. The
    /// first one signs.
    ///
    /// # Errors
    /// As for the first.
    pub fn or(mut self, token: &str) -> Result<Self, KeyError> {
        // Two are enough for a change, and each one doubles the tries.
        self.keys.truncate(1);
        self.keys.push(Pair::new(token)?);
        Ok(self)
    }

    /// The value of `X-Twilio-Signature` for a request as the backend will see it: its
    /// own scheme, authority and target, the same headers and body.
    pub fn sign(&self, signed: &Signed<'_>) -> HeaderValue {
        let algorithm = Algorithm::of(signed).unwrap_or(Algorithm::Sha1);
        let is_hashed = sent_hash(signed).is_some() && !is_form(signed);
        let text = match Fields::read(signed) {
            Ok(fields) if !is_hashed => fields.text(),
            _ => Vec::new(),
        };
        let (scheme, _) = schemes(signed);
        let url = url(scheme, signed.authority, signed.target);
        let Some(pair) = self.keys.first() else {
            return HeaderValue::from_static("");
        };
        let code = pair.of(algorithm).sign(&[url.as_bytes(), &text]);
        HeaderValue::from_str(&STANDARD.encode(code)).expect("base64 is good in a header")
    }

    /// Is the webhook signed with one of the tokens?
    pub(super) fn check(&self, signed: &Signed<'_>) -> Result<Option<u128>, Doubt> {
        let sent = only(signed.headers, &SIGNATURE)?.ok_or(Doubt::Absent)?;
        let algorithm = Algorithm::of(signed)?;
        let code = base64(sent, algorithm.of_library().tag_len()).ok_or(Doubt::Rejected(
            "the signature is no base64 of the right length",
        ))?;
        let texts = texts(signed)?;
        let mut left = MAX_HASHED;
        for (turn, url) in urls(signed).enumerate() {
            for (try_, text) in texts.iter().enumerate() {
                for (other, pair) in self.keys.iter().enumerate() {
                    let is_first = turn + try_ + other == 0;
                    match left.checked_sub(url.len() + text.len()) {
                        Some(rest) => left = rest,
                        None if is_first => left = 0,
                        None => return Err(Doubt::Rejected("too long to try every way")),
                    }
                    if pair
                        .of(algorithm)
                        .has_signed(&[url.as_bytes(), text], &code)
                    {
                        return Ok(None);
                    }
                }
            }
        }
        Err(Doubt::Rejected(
            "signed with another token, for another URL, or changed on the way",
        ))
    }
}

impl Pair {
    fn new(token: &str) -> Result<Self, KeyError> {
        const WHAT: &str = "the auth token of Twilio";
        let token = token.trim();
        let wrong = |is| Err(KeyError::Wrong { what: WHAT, is });
        if token.is_empty() {
            return Err(KeyError::Empty { what: WHAT });
        }
        if token.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return wrong("has white space in it");
        }
        if token.len() == 34 && (token.starts_with("AC") || token.starts_with("SK")) {
            return wrong(
                "is the account's or a key's id: the token stands beside it in the console",
            );
        }
        let key = |algorithm| SecretKey::new(algorithm, token.as_bytes());
        Ok(Self {
            sha1: key(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            sha256: key(hmac::HMAC_SHA256),
        })
    }

    fn of(&self, algorithm: Algorithm) -> &SecretKey {
        match algorithm {
            Algorithm::Sha1 => &self.sha1,
            Algorithm::Sha256 => &self.sha256,
        }
    }
}

#[derive(Clone, Copy)]
enum Algorithm {
    Sha1,
    Sha256,
}

impl Algorithm {
    /// SHA-1, unless the settings name another. They are not signed; but whoever
    /// changes them needs a token all the same.
    fn of(signed: &Signed<'_>) -> Result<Self, Doubt> {
        let Some(settings) = only(signed.headers, &SETTINGS)? else {
            return Ok(Self::Sha1);
        };
        let mut named = settings.split(|&byte| byte == b',').filter_map(|setting| {
            let setting = setting.trim_ascii();
            setting.strip_prefix(b"algorithm=").map(<[u8]>::trim_ascii)
        });
        match named.next() {
            None | Some(b"") => Ok(Self::Sha1),
            Some(name) if name.eq_ignore_ascii_case(b"HMAC_SHA1") => Ok(Self::Sha1),
            Some(name) if name.eq_ignore_ascii_case(b"HMAC_SHA256") => Ok(Self::Sha256),
            Some(_) => Err(Doubt::Rejected("signed by an algorithm not known here")),
        }
    }

    fn of_library(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }
}

/// What may have been signed behind the URL, the likeliest first: one or two. A body that neither its fields nor its hash cover is nobody's.
fn texts(signed: &Signed<'_>) -> Result<Vec<Vec<u8>>, Doubt> {
    const UNCOVERED: Doubt = Doubt::Rejected("its body is covered by no signature");
    let hash = sent_hash(signed).map(|sent| is_hash_of(&sent, signed.body));
    if is_form(signed) {
        let fields = Fields::read(signed)?;
        let mut texts = vec![fields.text()];
        if hash == Some(true) {
            texts.push(Vec::new());
        }
        return Ok(texts);
    }
    match hash {
        Some(true) => Ok(vec![Vec::new()]),
        Some(false) => Err(Doubt::Rejected(
            "its body is not the one bodySHA256 tells of",
        )),
        None if signed.body.is_empty() => Ok(vec![Vec::new()]),
        None => Err(UNCOVERED),
    }
}

/// Is it a form whose fields are signed? What a `GET` says stands in its URL.
fn is_form(signed: &Signed<'_>) -> bool {
    let content_type = signed.headers.get(CONTENT_TYPE);
    !matches!(signed.method, "GET" | "HEAD")
        && form::is_form(content_type.and_then(|it| it.to_str().ok()))
}

/// The body's hash as the URL tells it. Twilio adds it when the body is no form.
fn sent_hash<'a>(signed: &Signed<'a>) -> Option<Cow<'a, str>> {
    let (_, query) = signed.target.split_once('?')?;
    form::find(query.as_bytes(), "bodySHA256")
}

/// In hexadecimal, or in base64 as it once was.
fn is_hash_of(sent: &str, body: &[u8]) -> bool {
    let hash = digest::digest(&digest::SHA256, body);
    let length = hash.as_ref().len();
    let sent = hex(sent.as_bytes(), length).or_else(|| base64(sent.as_bytes(), length));
    sent.is_some_and(|sent| is_equal(hash.as_ref(), &sent))
}

/// The fields of a form, decoded, in one piece of memory.
struct Fields {
    bytes: Vec<u8>,
    /// Where a name starts, where its value starts, and where that ends.
    spans: Vec<[usize; 3]>,
}

impl Fields {
    fn read(signed: &Signed<'_>) -> Result<Self, Doubt> {
        let mut fields = Self {
            bytes: Vec::new(),
            spans: Vec::new(),
        };
        if !is_form(signed) {
            return Ok(fields);
        }
        fields.bytes.reserve(signed.body.len());
        for field in form::fields(signed.body) {
            let start = fields.bytes.len();
            form::decode_into(field.name, &mut fields.bytes);
            let middle = fields.bytes.len();
            form::decode_into(field.value, &mut fields.bytes);
            fields.spans.push([start, middle, fields.bytes.len()]);
        }
        // Those behind the last one seen would be covered by nothing.
        if fields.spans.len() >= form::MAX_FIELDS {
            return Err(Doubt::Rejected("it has more fields than are looked at"));
        }
        Ok(fields)
    }

    fn name(&self, &[start, middle, _]: &[usize; 3]) -> &[u8] {
        self.bytes.get(start..middle).unwrap_or_default()
    }

    fn value(&self, &[_, middle, end]: &[usize; 3]) -> &[u8] {
        self.bytes.get(middle..end).unwrap_or_default()
    }

    /// By name; fields of one name stay as they came.
    fn sorted(&self) -> Vec<[usize; 3]> {
        let mut spans = self.spans.clone();
        spans.sort_by(|one, other| self.name(one).cmp(self.name(other)));
        spans
    }

    /// Names and values one behind the other, by name; of a name that comes more than
    /// once each different value, sorted. Every field is covered: were only the first
    /// of a name, whoever owns one genuine webhook could append the rest.
    fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.bytes.len());
        let mut spans = self.sorted();
        for same in spans.chunk_by_mut(|one, other| self.name(one) == self.name(other)) {
            same.sort_by(|one, other| self.value(one).cmp(self.value(other)));
            let mut last = None;
            for span in same.iter() {
                let value = self.value(span);
                if last != Some(value) {
                    text.extend_from_slice(self.name(span));
                    text.extend_from_slice(value);
                }
                last = Some(value);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests;
