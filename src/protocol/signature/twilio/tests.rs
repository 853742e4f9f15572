//! Every way Twilio signs, and what it does not cover.

use percent_encoding::percent_encode;
use proptest::prelude::*;

use super::urls::{COMPONENT, other_authority};
use super::*;
use crate::measure::Found;
use crate::protocol::signature::Verifier;
use crate::protocol::signature::tests::Webhook;

// Signatures made with Twilio's own validator for Python.
const TOKEN: &str = "a2f7c03d9b1e48d65f00b7c1d2e3f409";
const OTHER_TOKEN: &str = "00000000000000000000000000000001";
const TARGET: &str = "/ivr/welcome?shop=7";
const FORM: &str = "CallSid=CA00112233445566778899aabbccddeeff&From=%2B15125550177\
    &To=%2B15125550100&CallStatus=ringing&FromCity=&SpeechResult=caf%C3%A9+%26+more+%3D+1%2B1";
const PLAIN: &str = "2gMdRl+PmB1JmisY4/vlJ0/RC+c=";
const WITH_443: &str = "Wi0HbqzctRf3bQVpcIp9mLR6I9M=";
const BY_OTHER_TOKEN: &str = "zK7bluXIK++/39Asbsby/lcZpd8=";
const JSON: &str = r#"{"kind": "report", "ok": true}"#;
const JSON_HASH: &str = "1ca17d2fe78c61eb452cd9f5f7876a07d8a34ad26f137c9a7e4dceac140deea9";
const FORM_TYPE: &str = "application/x-www-form-urlencoded; charset=UTF-8";

fn post(target: &str, form: &str, signature: &str) -> Webhook {
    Webhook::new("POST", target, form.as_bytes())
        .with("Content-Type", FORM_TYPE)
        .with("X-Twilio-Signature", signature)
}

fn get(target: &str, signature: &str) -> Webhook {
    Webhook::new("GET", target, b"").with("x-twilio-signature", signature)
}

fn json(target: &str, body: &str, signature: &str) -> Webhook {
    Webhook::new("POST", target, body.as_bytes())
        .with("content-type", "application/json")
        .with("x-twilio-signature", signature)
}

fn at(mut webhook: Webhook, scheme: &'static str, authority: &str) -> Webhook {
    webhook.scheme = scheme;
    webhook.authority = authority.to_owned();
    webhook
}

fn found(webhook: &Webhook) -> Found {
    let token = TwilioToken::new(TOKEN).unwrap();
    let finding = webhook.by(&Verifier::Twilio(token));
    assert_eq!(finding.once, None, "Twilio signs no time");
    finding.found
}

#[test]
fn a_form_is_verified_whatever_port_was_signed() {
    const HTTP_8080: &str = "NjrmHP9CMm0wlnhY/1Avpd/VzQU=";
    const HTTP_80: &str = "imBLnAd+kWkWumi1dpRzYO3Dt5g=";
    const HTTP: &str = "xVIRjBjQlCnhFZ4CKIurf94rSO4=";
    const HOST: &str = "voice.example.net";
    for (scheme, authority, signature, expected) in [
        ("https", HOST, PLAIN, Found::Verified),
        ("https", HOST, WITH_443, Found::Verified),
        ("https", "voice.example.net:443", PLAIN, Found::Verified),
        ("https", "voice.example.net:443", WITH_443, Found::Verified),
        ("https", "voice.example.net:8443", PLAIN, Found::Verified),
        ("https", "voice.example.net:8443", WITH_443, Found::Rejected),
        ("http", "voice.example.net:8080", HTTP_8080, Found::Verified),
        ("http", "voice.example.net:8080", HTTP, Found::Verified),
        ("http", HOST, HTTP, Found::Verified),
        ("http", HOST, HTTP_80, Found::Verified),
        ("http", HOST, HTTP_8080, Found::Rejected),
        ("http", HOST, PLAIN, Found::Rejected),
        ("https", "other.example.net", PLAIN, Found::Rejected),
        // A user name does not arrive, so it is known from the configuration or not at all.
        (
            "https",
            "u:p@voice.example.net",
            "vKjKO+dzYX5Eaqq3VgXoS+GFvf0=",
            Found::Verified,
        ),
        (
            "https",
            HOST,
            "vKjKO+dzYX5Eaqq3VgXoS+GFvf0=",
            Found::Rejected,
        ),
    ] {
        let webhook = at(post(TARGET, FORM, signature), scheme, authority);
        assert_eq!(
            found(&webhook),
            expected,
            "{scheme} {authority} {signature}"
        );
    }
}

#[test]
fn ports_are_put_in_and_taken_out() {
    for (scheme, authority, other) in [
        ("https", "a", Some("a:443")),
        ("wss", "a", Some("a:443")),
        ("http", "a", Some("a:80")),
        ("ws", "a:80", Some("a")),
        ("https", "a:8443", Some("a")),
        ("https", "[::1]", Some("[::1]:443")),
        ("https", "[::1]:8443", Some("[::1]")),
        ("https", "u:p@a", Some("u:p@a:443")),
        ("ftp", "a", None),
    ] {
        assert_eq!(
            other_authority(scheme, authority).as_deref(),
            other,
            "{authority}"
        );
    }
}

#[test]
fn fields_are_sorted_by_name_and_all_values_of_a_repeated_one_are_signed() {
    const REPEATED: &str = "CallSid=CA1&Digits=7&Digits=3&Digits=7&Digit=9";
    for (form, signature, expected) in [
        (REPEATED, "klgLxjgpzi5/9YVyocrSFm2PWxg=", Found::Verified),
        (
            "Digits=3&Digit=9&Digits=7&CallSid=CA1",
            "klgLxjgpzi5/9YVyocrSFm2PWxg=",
            Found::Verified,
        ),
        // Signed with the first value of each name only. Nothing would cover the others.
        (REPEATED, "eIoI/ZKWhpO/9NBtl27m+1fR9Mc=", Found::Rejected),
        (
            "CallSid=CA1&Digits=7&Digit=9",
            "eIoI/ZKWhpO/9NBtl27m+1fR9Mc=",
            Found::Verified,
        ),
        (
            "ReasonConferenceEnded=x&A=1&Reason=Participant",
            "NMd7q7qLPI/dOntNwYEIwIVdHig=",
            Found::Verified,
        ),
    ] {
        assert_eq!(found(&post(TARGET, form, signature)), expected, "{form}");
    }
}

#[test]
fn a_form_written_otherwise_but_meaning_the_same_is_the_same() {
    let lower = FORM
        .replace("%2B", "%2b")
        .replace("%C3%A9", "é")
        .replace('+', "%20");
    assert_eq!(found(&post(TARGET, &lower, PLAIN)), Found::Verified);
    let other = FORM.replace("ringing", "Ringing");
    assert_eq!(found(&post(TARGET, &other, PLAIN)), Found::Rejected);
    // A new field, and another value behind one that is signed: found by the
    // provider's own library, which refused what we took.
    for more in ["Digits=1", "CallStatus=completed", "CallSid=CA2"] {
        let more = format!("{FORM}&{more}");
        assert_eq!(
            found(&post(TARGET, &more, PLAIN)),
            Found::Rejected,
            "{more}"
        );
    }
}

#[test]
fn a_get_is_signed_by_its_url_alone() {
    let target = "/ivr/welcome?shop=7&CallSid=CA1&From=%2B15125550177";
    let signature = "9hmklivR1QlEPswdDLzbEz+mNkU=";
    assert_eq!(found(&get(target, signature)), Found::Verified);
    assert_eq!(
        found(&get(&target.replace("CA1", "CA2"), signature)),
        Found::Rejected
    );
    let mut with_body = get(target, signature);
    with_body.body = b"x".to_vec();
    assert_eq!(
        found(&with_body),
        Found::Rejected,
        "nothing covers the body"
    );
}

#[test]
fn a_query_escaped_in_another_way_is_verified() {
    for (target, signature) in [
        ("/ivr?say=It%27s+me", "52MvqUikaVNEdZjezUmdkxUelNI="),
        ("/ivr?say=It's+me", "52MvqUikaVNEdZjezUmdkxUelNI="),
        ("/ivr?say=It%27s+me", "VxNzrUBjsZjELOfwIZFBWEk6Kq0="),
        ("/ivr?say=It's%20me", "VxNzrUBjsZjELOfwIZFBWEk6Kq0="),
    ] {
        assert_eq!(found(&get(target, signature)), Found::Verified, "{target}");
        let other = target.replace("me", "us");
        assert_eq!(found(&get(&other, signature)), Found::Rejected);
    }
}

#[test]
fn a_body_that_is_no_form_is_covered_by_its_hash_or_by_nothing() {
    let hex = "UWD5hq1rNztUsbJKXAppPi1WALQ=";
    let in_hex = format!("{TARGET}&bodySHA256={JSON_HASH}");
    assert_eq!(found(&json(&in_hex, JSON, hex)), Found::Verified);
    let in_base64 = format!("{TARGET}&bodySHA256=HKF9L%2BeMYetFLNn194dqB9ijStJvE3yafk3OrBQN7qk%3D");
    let signature = "01HveqO7IVEBhVPaRO0GmuYOhyU=";
    assert_eq!(found(&json(&in_base64, JSON, signature)), Found::Verified);

    let why = |target: &str, body: &str, signature: &str| {
        let token = TwilioToken::new(TOKEN).unwrap();
        json(target, body, signature)
            .by(&Verifier::Twilio(token))
            .why
    };
    let other = JSON.replace("true", "null");
    let told = why(&in_hex, &other, hex);
    assert_eq!(told, Some("its body is not the one bodySHA256 tells of"));
    // A GET's signature, with a body put under it.
    let target = "/ivr/welcome?shop=7&CallSid=CA1&From=%2B15125550177";
    let told = why(target, JSON, "9hmklivR1QlEPswdDLzbEz+mNkU=");
    assert_eq!(told, Some("its body is covered by no signature"));
}

#[test]
fn a_websocket_is_signed_with_its_own_scheme_or_else_with_that_of_the_request() {
    for signature in [
        "U4ZnbKGKg7le+elI3wbFlRSJaG8=",
        "DWjtrL+Pp4aKeKGcyGkPYGL03ZM=",
        "Nazj8l/5QuHrMSbmjd86IoJfdSU=",
    ] {
        let handshake = get("/media?call=1", signature).with("Upgrade", "WebSocket");
        assert_eq!(found(&handshake), Found::Verified, "{signature}");
    }
    let no_handshake = get("/media?call=1", "U4ZnbKGKg7le+elI3wbFlRSJaG8=");
    assert_eq!(found(&no_handshake), Found::Rejected);
}

#[test]
fn the_newer_hash_is_taken_where_its_header_names_it() {
    let settings = "x-twilio-webhooks-signature-settings";
    let webhook = post(TARGET, FORM, "tKaGRvJOL4uI2z24GvKnaalnwHG5ecwryrcH72SyzO0=");
    for (value, expected) in [
        ("key=k1, algorithm=HMAC_SHA256", Found::Verified),
        ("algorithm=hmac_sha256", Found::Verified),
        ("algorithm=HMAC_SHA1", Found::Rejected),
        ("algorithm=HMAC_MD5", Found::Rejected),
        ("key=k1", Found::Rejected),
    ] {
        assert_eq!(
            found(&webhook.clone().with(settings, value)),
            expected,
            "{value}"
        );
    }
    let usual = post(TARGET, FORM, PLAIN).with(settings, "key=k1,algorithm=");
    assert_eq!(found(&usual), Found::Verified);
}

#[test]
fn while_a_token_is_changed_both_are_good() {
    let both = TwilioToken::new(OTHER_TOKEN).unwrap().or(TOKEN).unwrap();
    let both = Verifier::Twilio(both);
    for signature in [PLAIN, WITH_443, BY_OTHER_TOKEN] {
        let finding = post(TARGET, FORM, signature).by(&both);
        assert_eq!(finding.found, Found::Verified);
    }
    assert_eq!(found(&post(TARGET, FORM, BY_OTHER_TOKEN)), Found::Rejected);
}

#[test]
fn a_signature_written_in_another_way_is_rejected() {
    for signature in [
        "",
        "x",
        PLAIN.trim_end_matches('='),
        &PLAIN.replace("c=", "d="),
        &PLAIN.replace('+', "-").replace('/', "_"),
        &format!("{PLAIN},"),
    ] {
        assert_eq!(
            found(&post(TARGET, FORM, signature)),
            Found::Rejected,
            "{signature}"
        );
    }
}

#[test]
fn a_request_is_signed_anew_for_the_backends_own_url() {
    let token = TwilioToken::new(TOKEN).unwrap();
    let here = at(post(TARGET, FORM, PLAIN), "http", "10.0.0.7:3001");
    assert_eq!(token.sign(&here.signed()), "0e35dvxLF+0DQQXF/HU6zeGBuKo=");
    let public = post(TARGET, FORM, "");
    assert_eq!(token.sign(&public.signed()), PLAIN);
    let rotating = token.or(OTHER_TOKEN).unwrap();
    assert_eq!(
        rotating.sign(&public.signed()),
        PLAIN,
        "the first token signs"
    );
    let target = format!("{TARGET}&bodySHA256={JSON_HASH}");
    let report = json(&target, JSON, "");
    assert_eq!(
        rotating.sign(&report.signed()),
        "UWD5hq1rNztUsbJKXAppPi1WALQ="
    );
    let handshake = get("/media?call=1", "").with("upgrade", "websocket");
    assert_eq!(
        rotating.sign(&handshake.signed()),
        "U4ZnbKGKg7le+elI3wbFlRSJaG8="
    );
}

#[test]
fn the_511th_field_is_covered_and_one_more_is_rejected() {
    let token = TwilioToken::new(TOKEN).unwrap();
    for (count, expected) in [
        (511, Found::Verified),
        (512, Found::Rejected),
        (600, Found::Rejected),
    ] {
        let form: Vec<_> = (0..count).map(|n| format!("f{n:03}={n}")).collect();
        let mut text = format!("https://voice.example.net{TARGET}");
        form.iter()
            .for_each(|field| text.push_str(&field.replace('=', "")));
        let key = &token.keys[0].sha1;
        let signature = STANDARD.encode(key.sign(&[text.as_bytes()]));
        assert_eq!(
            found(&post(TARGET, &form.join("&"), &signature)),
            expected,
            "{count}"
        );
    }
}

#[test]
fn the_tries_are_few_and_a_long_form_has_fewer() {
    let socket = get("/media?say=It's+me", "").with("upgrade", "websocket");
    let tried: Vec<_> = urls(&socket.signed()).collect();
    assert_eq!(tried.len(), 12);
    assert_eq!(tried[0], "wss://voice.example.net/media?say=It's+me");
    let plain = post("/ivr", FORM, "");
    assert_eq!(urls(&plain.signed()).count(), 2);

    let token = TwilioToken::new(TOKEN).unwrap();
    let why = |length: usize, signature: &str| {
        let form = format!("A={}", "x".repeat(length));
        let webhook = post(TARGET, &form, signature);
        webhook.by(&Verifier::Twilio(token.clone())).why
    };
    assert_eq!(why(2 << 20, PLAIN), Some("too long to try every way"));
    assert!(
        why(1 << 18, PLAIN)
            .unwrap()
            .starts_with("signed with another")
    );
    let long = format!("A={}", "x".repeat(2 << 20));
    let signature = token.sign(&post(TARGET, &long, "").signed());
    assert_eq!(
        why(2 << 20, signature.to_str().unwrap()),
        None,
        "the first is always tried"
    );
}

#[test]
fn what_is_no_token_is_refused_with_a_reason() {
    let account = format!("AC{}", "0f".repeat(16));
    for (token, reason) in [
        ("", "is empty"),
        (" \n", "is empty"),
        ("a b", "white space"),
        (account.as_str(), "id"),
    ] {
        let error = TwilioToken::new(token).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(token.is_empty() || !error.contains(&account));
    }
    let from_a_file = format!("{TOKEN}\n");
    assert_eq!(TwilioToken::new(&from_a_file), TwilioToken::new(TOKEN));
}

fn meaning(form: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decoded = |text: &[u8]| {
        let mut bytes = Vec::new();
        form::decode_into(text, &mut bytes);
        bytes
    };
    let mut fields: Vec<_> = form::fields(form)
        .map(|field| (decoded(field.name), decoded(field.value)))
        .collect();
    fields.sort();
    fields.dedup();
    fields
}

proptest! {
    #[test]
    fn what_is_signed_anew_is_verified_and_one_flipped_bit_of_it_is_not(
        fields in prop::collection::vec(("[A-Za-z]{1,8}", "[ -~é]{0,12}"), 1..12),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let form: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value.as_bytes(), &COMPONENT)))
            .collect();
        let form = form.join("&");
        let token = TwilioToken::new(TOKEN).unwrap();
        let signature = token.sign(&post(TARGET, &form, "").signed());
        let mut webhook = post(TARGET, &form, signature.to_str().unwrap());
        prop_assert_eq!(found(&webhook), Found::Verified);

        let at = place.index(webhook.body.len());
        webhook.body[at] ^= 1 << bit;
        // `%2b` is `%2B`; and with nothing between the fields, a sign moved from one to
        // the next is the same text.
        let is_same = texts(&webhook.signed()).unwrap()
            .iter()
            .any(|text| *text == texts(&post(TARGET, &form, "").signed()).unwrap()[0]);
        prop_assert_eq!(found(&webhook) == Found::Verified, is_same);
        if meaning(&webhook.body) == meaning(form.as_bytes()) {
            prop_assert!(is_same);
        }

        let mut other = post(TARGET, &form, signature.to_str().unwrap());
        let mut bytes = other.target.clone().into_bytes();
        let at = place.index(bytes.len() - 1) + 1;
        bytes[at] ^= 1 << (bit % 7);
        if let Ok(target) = String::from_utf8(bytes) {
            other.target = target;
            prop_assert_eq!(found(&other), Found::Rejected);
        }
    }
}
