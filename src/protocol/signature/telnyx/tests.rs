//! Keys, windows and spellings of Telnyx's signature.

use std::collections::BTreeSet;

use super::*;
use crate::measure::Found;
use crate::protocol::signature::tests::{SIGNED_AT, Webhook, now};
use crate::protocol::signature::{Finding, Verifier};

// Made with Python's cryptography, from the seeds 0..32 and 100..132.
const KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const KEY_DER: &str = "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const OTHER_KEY: &str = "C7w0aldmfDgBIL2cf9flHSxf3+o3zS9b9AWyxr9vLXg=";
const JSON: &[u8] = br#"{"data":{"event_type":"call.answered","id":"e-1"}}"#;
const BY_KEY: &str =
    "DNKaAEEosDfOVy4yCsMH6D2RLbbqVpt0BMDtyNrrSza9G3Jr6WUthYRWhrXyp2EGamnVdJjdXLYljvgKtjAmCA==";
const BY_OTHER_KEY: &str =
    "Y4FGAbMER1oy+ym/ZOE/rCy6smKTy2sHTlKdAY93SGaniLzK7cOdegQ+u5d/eCoRAqfmA/kQCCzpiiD6ko/RDQ==";
const BY_GET: &str =
    "j3+eZ6Ze83gRTZz/+XD4Uvihg7dq20wnoN/UpuQ2d7X6LsrBc2Nz3L9+zdHvysd8EAUWYT0QHI3SWGXALNsMBg==";

fn by(keys: &[&str]) -> Verifier {
    Verifier::Telnyx(TelnyxKeys::new(keys).unwrap())
}

fn webhook(body: &[u8], signature: &str) -> Webhook {
    Webhook::new("POST", "/telnyx", body)
        .with("Telnyx-Timestamp", &SIGNED_AT.to_string())
        .with("TELNYX-SIGNATURE-ED25519", signature)
}

fn found(webhook: &Webhook) -> Found {
    webhook.by(&by(&[KEY])).found
}

#[test]
fn events_forms_broken_text_and_gets_are_verified_over_their_raw_bytes() {
    for (body, signature) in [
        (JSON, BY_KEY),
        (
            b"CallSid=v3%3Aabc&CallStatus=completed&To=%2B15125550177",
            "uvd1heu2kghZc96rtDPh/iMheVvnoPQ6Rf5WK4AcrdEy8LR1RXRLUb/kS7mrG0pya6z29sDUdqOrx7Ep8VDPDQ==",
        ),
        (
            b"CallSid=\xfe\xff",
            "9SruS7B6zvvzzfx2Y+Hk5O/mCkzFx/JGAKWxoaqEVZTBX4qsr3FfVAxj57rr6xyK+0LMetBqtwEYNAr9u++pBQ==",
        ),
        (b"", BY_GET),
    ] {
        assert_eq!(
            found(&webhook(body, signature)),
            Found::Verified,
            "{body:?}"
        );
    }
    let again = [JSON, b" "].concat();
    assert_eq!(
        found(&webhook(&again, BY_KEY)),
        Found::Rejected,
        "a space more"
    );
}

#[test]
fn each_of_two_keys_is_good_and_a_third_is_not() {
    for (keys, first, other) in [
        (&[KEY][..], Found::Verified, Found::Rejected),
        (&[OTHER_KEY], Found::Rejected, Found::Verified),
        (&[KEY, OTHER_KEY], Found::Verified, Found::Verified),
        (&[OTHER_KEY, KEY], Found::Verified, Found::Verified),
    ] {
        assert_eq!(webhook(JSON, BY_KEY).by(&by(keys)).found, first);
        assert_eq!(webhook(JSON, BY_OTHER_KEY).by(&by(keys)).found, other);
    }
}

#[test]
fn one_header_without_the_other_is_rejected() {
    for (name, value, why) in [
        (
            "telnyx-timestamp",
            "1793000000",
            "telnyx-signature-ed25519 is missing",
        ),
        (
            "telnyx-signature-ed25519",
            BY_KEY,
            "telnyx-timestamp is missing",
        ),
    ] {
        let finding = Webhook::new("POST", "/", JSON)
            .with(name, value)
            .by(&by(&[KEY]));
        let rejected = Finding {
            found: Found::Rejected,
            once: None,
            why: Some(why),
        };
        assert_eq!(finding, rejected);
    }
}

#[test]
fn a_signature_is_good_for_300_seconds_and_no_second_longer() {
    let keys = TelnyxKeys::new(&[KEY]).unwrap();
    let webhook = webhook(JSON, BY_KEY);
    for (secs, expected) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let now = Wall((SIGNED_AT + secs) * 1000);
        assert_eq!(
            keys.check(&webhook.signed(), now).is_ok(),
            expected,
            "{secs}"
        );
    }
}

#[test]
fn a_signature_written_in_another_way_is_rejected() {
    let unpadded = BY_KEY.trim_end_matches('=');
    for signature in [
        unpadded,
        &format!("{unpadded}="),
        &format!("{BY_KEY}="),
        &format!("{BY_KEY} {BY_KEY}"),
        &BY_KEY.replace("CA==", "CB=="),
        &BY_KEY.replace("AE", "A E"),
        "",
    ] {
        assert_eq!(
            found(&webhook(JSON, signature)),
            Found::Rejected,
            "{signature:?}"
        );
    }
}

#[test]
fn a_replay_is_known_by_its_signature_and_a_retry_is_none() {
    let keys = by(&[KEY]);
    let first = webhook(JSON, BY_KEY).by(&keys);
    let replay = webhook(JSON, BY_KEY).by(&keys);
    assert!(first.once.is_some());
    assert_eq!(first.once, replay.once);

    use aws_lc_rs::signature::Ed25519KeyPair;
    let seed: Vec<u8> = (0..32).collect();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let time = (SIGNED_AT + 2).to_string();
    let signature = pair.sign(&[time.as_bytes(), b"|", JSON].concat());
    let retry = Webhook::new("POST", "/telnyx", JSON)
        .with("telnyx-timestamp", &time)
        .with("telnyx-signature-ed25519", &STANDARD.encode(signature));
    let retry = retry.by(&keys);
    assert_eq!(retry.found, Found::Verified);
    assert_ne!(retry.once, first.once, "a retry is signed anew");
}

#[test]
fn the_same_form_for_two_documents_is_no_replay_and_for_another_query_it_is() {
    let keys = by(&[KEY]);
    let at = |target: &str| {
        let mut webhook = webhook(JSON, BY_KEY);
        webhook.target = target.to_owned();
        webhook.by(&keys).once
    };
    assert_ne!(
        at("/ivr/welcome"),
        at("/ivr/menu"),
        "a redirect led from one to the other"
    );
    assert_eq!(
        at("/ivr/menu?x=1"),
        at("/ivr/menu?x=2"),
        "nothing signs a query"
    );
}

#[test]
fn two_gets_of_one_second_are_no_replay_of_each_other() {
    let keys = by(&[KEY]);
    let get = |target: &str| {
        let mut get = webhook(b"", BY_GET);
        get.method = "GET".to_owned();
        get.target = target.to_owned();
        get.by(&keys)
    };
    let all = [get("/ivr?CallSid=a"), get("/ivr?CallSid=b")];
    assert!(all.iter().all(|get| get.found == Found::Verified));
    let different: BTreeSet<_> = all.iter().map(|get| get.once).collect();
    assert_eq!(different.len(), 2);
    assert_eq!(get("/ivr?CallSid=a").once, all[0].once);
}

#[test]
fn a_key_is_taken_in_three_forms_and_they_are_the_same() {
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{KEY_DER}\n-----END PUBLIC KEY-----\n");
    let raw = TelnyxKeys::new(&[KEY]).unwrap();
    for form in [
        KEY_DER,
        &pem,
        &pem.replace('\n', "\r\n"),
        &format!(" {KEY}\n"),
    ] {
        assert_eq!(TelnyxKeys::new(&[form]).as_ref(), Ok(&raw), "{form:?}");
    }
    assert_eq!(format!("{raw:?}"), format!("[{KEY:?}]"));
    assert!(raw.check(&webhook(JSON, BY_KEY).signed(), now()).is_ok());
}

#[test]
fn what_is_no_key_is_refused_with_a_reason() {
    let small = |order: &[u8; 32], sign: u8| {
        let mut point = *order;
        point[31] |= sign;
        STANDARD.encode(point)
    };
    let mut refused = vec![
        (String::new(), "is empty"),
        ("KEY0190ABCDEF_x".to_owned(), "API key"),
        (
            "-----BEGIN PRIVATE KEY-----\nAA==".to_owned(),
            "private key",
        ),
        (
            format!("-----BEGIN PUBLIC KEY-----\n{KEY_DER}"),
            "last line",
        ),
        (KEY.trim_end_matches('=').to_owned(), "not base64"),
        (KEY.replace('/', "_"), "not base64"),
        ("d75A".repeat(16), "hexadecimal"),
        ("d75A".repeat(15), "not 32 bytes"),
        (STANDARD.encode([7; 31]), "not 32 bytes"),
        (STANDARD.encode([7; 44]), "not 32 bytes"),
        // The field's prime and what lies above it: 19 points written a second time.
        (small(&[0xff; 32], 0), "no Ed25519"),
        (
            small(
                &std::array::from_fn(|at| match at {
                    0 => 0xed,
                    31 => 0x7f,
                    _ => 0xff,
                }),
                0,
            ),
            "no Ed25519",
        ),
    ];
    for order in &SMALL_ORDER {
        refused.push((small(order, 0), "no Ed25519"));
        refused.push((small(order, 0x80), "no Ed25519"));
    }
    for (key, reason) in refused {
        let error = TelnyxKeys::new(&[&key]).unwrap_err().to_string();
        assert!(error.contains(reason), "{key:?}: {error}");
    }
    let highest = std::array::from_fn(|at| match at {
        0 => 0xec,
        31 => 0x7f,
        _ => 0xff,
    });
    assert!(is_canonical(&highest), "one below the prime");
    let error = |keys: &[&str]| TelnyxKeys::new(keys).unwrap_err().to_string();
    assert!(error(&[]).starts_with("0 public keys"));
    assert!(error(&[KEY, KEY, KEY]).starts_with("3 public keys"));
}

#[test]
fn a_key_that_signs_everything_would_have_passed_the_library() {
    // Key and signature of small order with a scalar of zero: good for any message
    // whose hash is a multiple of the order, and with the neutral point for all.
    let neutral = SMALL_ORDER[1];
    let signature = [neutral, [0; 32]].concat();
    let key = ParsedPublicKey::new(&ED25519, neutral).unwrap();
    assert!(key.verify_sig(b"anything", &signature).is_ok());
    assert!(TelnyxKeys::new(&[STANDARD.encode(neutral)]).is_err());
}
