//! Webhooks signed as the providers sign them, by no code of the proxy's.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use switchback::clock;

/// A key of Telnyx's.
pub(crate) struct TelnyxKey(Ed25519KeyPair);

impl TelnyxKey {
    /// Another one for each number.
    pub(crate) fn new(number: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[number; 32]);
        Self(pair.expect("any seed is one"))
    }

    /// Its public half, as Mission Control shows it.
    pub(crate) fn public(&self) -> String {
        STANDARD.encode(self.0.public_key())
    }

    /// The headers of a webhook with that body, sent now: its time and signature.
    pub(crate) fn sign(&self, body: &str) -> [(&'static str, String); 2] {
        let secs = clock::wall().0 / 1000;
        let signature = self.0.sign(format!("{secs}|{body}").as_bytes());
        [
            ("telnyx-timestamp", secs.to_string()),
            ("telnyx-signature-ed25519", STANDARD.encode(signature)),
        ]
    }
}

/// Twilio's signature over a URL and the fields of a form, which stand here decoded.
pub(crate) fn twilio(auth_token: &str, url: &str, fields: &[(&str, &str)]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let mut text = url.to_owned();
    for (name, value) in sorted {
        text.push_str(name);
        text.push_str(value);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}
