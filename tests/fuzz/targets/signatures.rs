//! Whatever claims to be signed: looking at it ends, never panics, and never finds
//! genuine what nobody signed.
#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use switchback::measure::Found;
use switchback::model::Wall;
use switchback::protocol::signature::{
    HmacOptions, Signed, TelnyxKeys, TwilioToken, VapiCredential, Verifier,
};
use switchback::split::token::{self, TokenKey};

// A public key whose private half nobody kept, and secrets of the same kind.
static VERIFIERS: LazyLock<Vec<Verifier>> = LazyLock::new(|| {
    vec![
        Verifier::Telnyx(
            TelnyxKeys::new(&["11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]).expect("a key"),
        ),
        Verifier::Twilio(TwilioToken::new("0123456789abcdef0123456789abcdef").expect("a token")),
        Verifier::Vapi(VapiCredential::secret(None, "a secret of the fuzzer").expect("a secret")),
        Verifier::Vapi(
            VapiCredential::hmac(&HmacOptions::new("another secret of the fuzzer"))
                .expect("a secret"),
        ),
    ]
});

const HEADERS: [&str; 9] = [
    "telnyx-signature-ed25519",
    "telnyx-timestamp",
    "x-twilio-signature",
    "x-vapi-secret",
    "x-signature",
    "x-timestamp",
    "content-type",
    "host",
    "upgrade",
];

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(12, |byte| *byte == b'\n');
    let Some((&kind, target)) = lines.next().and_then(<[u8]>::split_first) else {
        return;
    };
    let mut headers = HeaderMap::new();
    for name in HEADERS {
        if let Some(value) = lines.next().filter(|value| !value.is_empty())
            && let Ok(value) = HeaderValue::from_bytes(value)
        {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let body = lines.next().unwrap_or_default();
    let target = std::str::from_utf8(target).unwrap_or("/");
    let signed = Signed {
        method: if kind & 1 == 0 { "POST" } else { "GET" },
        scheme: "https",
        authority: "voice.example.com",
        target,
        headers: &headers,
        body,
    };
    for verifier in VERIFIERS.iter() {
        let found = verifier.verify(&signed, Wall(1_800_000_000_000)).found;
        assert!(found != Found::Verified, "nobody signed this");
        if let Verifier::Twilio(token) = verifier {
            token.sign(&signed);
        }
    }
    if let Some((rest, text)) = token::strip(target) {
        assert!(token::strip(&rest).is_none(), "all of them are taken out");
        assert!(TokenKey::new(b"the fuzzer's").read(text).is_none());
    }
});
