//! Secrets, tokens and codes of Vapi, with every option.

use super::*;
use crate::measure::Found;
use crate::protocol::signature::tests::{SIGNED_AT, Webhook, now};
use crate::protocol::signature::{Finding, Verifier};

// Codes made with Python's hmac, with this secret over this body.
const SECRET: &str = "rosebud-41";
const BODY: &[u8] = br#"{"message":{"type":"hang","call":{"id":"c-9"}}}"#;
const BY_DEFAULT: &str = "1f5faa993b810ff033adab088ef47d5af3c3349b1cc0eb7323b6b70335623c42";
const OVER_MILLIS: &str = "93af0a8e9f9db01c193e19213acf63ff3bce9e1c49a0f5b7d8c79c5b7e9df403";
const OVER_BODY: &str = "bfef32445c0b03fe906a3fc13f1d78093cd4f21cdecc439a2bd3d1f5d757d236";

fn post() -> Webhook {
    Webhook::new("POST", "/vapi?x=1", BODY)
}

fn timed(signature: &str) -> Webhook {
    post()
        .with("X-Timestamp", "1793000000")
        .with("X-Signature", signature)
}

fn by(webhook: &Webhook, credential: VapiCredential) -> Finding {
    webhook.by(&Verifier::Vapi(credential))
}

fn by_hmac(webhook: &Webhook, change: impl FnOnce(&mut HmacOptions)) -> Finding {
    let mut options = HmacOptions::new(SECRET);
    change(&mut options);
    by(webhook, VapiCredential::hmac(&options).unwrap())
}

#[test]
fn a_secret_is_shown_in_a_header_of_its_own() {
    let secret = |header| VapiCredential::secret(header, SECRET).unwrap();
    for (name, value, header, expected) in [
        ("X-Vapi-Secret", SECRET, None, Found::Verified),
        ("X-Vapi-Secret", "rosebud-42", None, Found::Rejected),
        ("X-Vapi-Secret", "rosebud-4", None, Found::Rejected),
        ("X-Vapi-Secret", "", None, Found::Rejected),
        ("X-Other", SECRET, None, Found::Absent),
        ("X-Other", SECRET, Some("x-OTHER"), Found::Verified),
        ("X-Vapi-Secret", SECRET, Some("x-other"), Found::Absent),
    ] {
        let finding = by(&post().with(name, value), secret(header));
        assert_eq!(finding.found, expected, "{name} {value} {header:?}");
        assert_eq!(finding.once, None, "it is the same every time");
    }
}

#[test]
fn a_bearer_token_is_shown_behind_its_word() {
    let bearer = VapiCredential::bearer(SECRET).unwrap();
    for (value, expected) in [
        ("Bearer rosebud-41", Found::Verified),
        ("bearer rosebud-41", Found::Verified),
        ("Bearer  rosebud-41", Found::Rejected),
        ("Bearer rosebud-42", Found::Rejected),
        ("Basic rosebud-41", Found::Rejected),
        ("rosebud-41", Found::Rejected),
        ("Bearer", Found::Rejected),
    ] {
        let finding = by(&post().with("Authorization", value), bearer.clone());
        assert_eq!(finding.found, expected, "{value}");
    }
    for (prefix, value) in [("Token", "Token rosebud-41"), ("", "rosebud-41")] {
        let credential = VapiCredential::bearer_in("x-key", prefix, SECRET).unwrap();
        let finding = by(&post().with("x-key", value), credential);
        assert_eq!(finding.found, Found::Verified, "{prefix:?}");
    }
}

#[test]
fn the_defaults_are_vapis_and_any_change_is_rejected() {
    let finding = by_hmac(&timed(BY_DEFAULT), |_| ());
    assert_eq!(finding.found, Found::Verified);
    assert!(finding.once.is_some(), "its time is signed");
    let capitals = by_hmac(&timed(&BY_DEFAULT.to_uppercase()), |_| ());
    assert_eq!(capitals, finding, "the same code, the same replay");

    let mut other = timed(BY_DEFAULT);
    other.body.push(b' ');
    assert_eq!(by_hmac(&other, |_| ()).found, Found::Rejected);
    let other = timed(&BY_DEFAULT.replace('1', "2"));
    assert_eq!(by_hmac(&other, |_| ()).found, Found::Rejected);
    let other = by_hmac(&timed(BY_DEFAULT), |options| options.secret.push('0'));
    assert_eq!(other.found, Found::Rejected);
    let other = post()
        .with("x-signature", BY_DEFAULT)
        .with("x-timestamp", "1793000001");
    assert_eq!(by_hmac(&other, |_| ()).found, Found::Rejected);
    for written in [
        "",
        "zz",
        BY_DEFAULT.trim_start_matches('1'),
        &format!("{BY_DEFAULT}00"),
    ] {
        assert_eq!(by_hmac(&timed(written), |_| ()).found, Found::Rejected);
    }
}

#[test]
fn the_time_may_be_in_seconds_or_milliseconds_and_must_be_near() {
    let in_millis = post()
        .with("x-timestamp", "1793000000123")
        .with("x-signature", OVER_MILLIS);
    let credential = VapiCredential::hmac(&HmacOptions::new(SECRET)).unwrap();
    for webhook in [timed(BY_DEFAULT), in_millis] {
        for (secs, expected) in [(-301, false), (-300, true), (300, true), (301, false)] {
            let now = Wall((SIGNED_AT + secs) * 1000);
            let is_taken = credential.check(&webhook.signed(), now).is_ok();
            assert_eq!(is_taken, expected, "{secs}");
        }
    }
    let untimed = by_hmac(&post().with("x-signature", BY_DEFAULT), |_| ());
    assert_eq!(untimed.why, Some("the timestamp is missing"));
    let unsigned = by_hmac(&post().with("x-timestamp", "1793000000"), |_| ());
    assert_eq!(unsigned.found, Found::Absent);
    assert_eq!(secs(b"99999999999"), Some(99_999_999_999));
    assert_eq!(secs(b"100000000000"), Some(100_000_000));
}

#[test]
fn without_a_time_only_the_body_is_signed_and_nothing_tells_a_replay() {
    let webhook = |signature: &str| post().with("x-vapi-signature", signature);
    let untimed = |options: &mut HmacOptions| {
        options.signature_header = "x-vapi-signature".to_owned();
        options.include_timestamp = false;
    };
    // The two forms that examples show for a header no reference describes.
    for signature in [OVER_BODY, &format!("sha256={OVER_BODY}")] {
        let finding = by_hmac(&webhook(signature), untimed);
        assert_eq!((finding.found, finding.once), (Found::Verified, None));
    }
    let prefixed = |options: &mut HmacOptions| {
        untimed(options);
        options.prefix = Some("sha256=".to_owned());
    };
    let found = |signature: &str| by_hmac(&webhook(signature), prefixed).found;
    assert_eq!(found(&format!("sha256={OVER_BODY}")), Found::Verified);
    assert_eq!(found(OVER_BODY), Found::Rejected, "the prefix was agreed");
    assert_eq!(found(&format!("sha1={OVER_BODY}")), Found::Rejected);
}

#[test]
fn every_option_of_vapis_is_obeyed() {
    let sha1 = by_hmac(
        &timed("e4d06cb95bf3c5cf4e5e5284e73f8bd81ee6e016"),
        |options| {
            options.algorithm = HmacAlgorithm::Sha1;
        },
    );
    assert_eq!(sha1.found, Found::Verified);

    let code =
        "tF+QkNoXQK1AsO1dGNaZw/MJVszHoEzm3gL4II4ihTFwqH0z+jcjORTIQE/p2Wm1v1izIdipRnddsfVYgjzrgw==";
    let of_url = |options: &mut HmacOptions| {
        options.algorithm = HmacAlgorithm::Sha512;
        options.encoding = Encoding::Base64;
        options.payload_format = Some("{method}|{url}|{timestamp}|{body}".to_owned());
    };
    assert_eq!(by_hmac(&timed(code), of_url).found, Found::Verified);
    let mut elsewhere = timed(code);
    elsewhere.target = "/vapi?x=2".to_owned();
    assert_eq!(by_hmac(&elsewhere, of_url).found, Found::Rejected);
}

#[test]
fn the_scheme_of_svix_can_be_put_together() {
    let like_svix = |options: &mut HmacOptions| {
        options.secret = "whsec_cm9zZWJ1ZC00MQ==".to_owned();
        options.secret_is_base64 = true;
        options.encoding = Encoding::Base64;
        options.prefix = Some("v1,".to_owned());
        options.signature_header = "svix-signature".to_owned();
        options.timestamp_header = "svix-timestamp".to_owned();
        options.payload_format = Some("{svix-id}.{timestamp}.{body}".to_owned());
    };
    let webhook = post().with("svix-timestamp", "1793000000").with(
        "svix-signature",
        "v1,MJTroFfCvXW0NwmlAnDs926+LuiEtJJhMPbCat/cEAI=",
    );
    let why = by_hmac(&webhook, like_svix).why;
    assert_eq!(why, Some("the message id is missing"));
    let webhook = webhook.with("svix-id", "msg_7");
    assert_eq!(by_hmac(&webhook, like_svix).found, Found::Verified);
}

#[test]
fn options_that_do_not_go_together_are_refused_with_a_reason() {
    type Change = fn(&mut HmacOptions);
    let changes: [(Change, &str); 9] = [
        (|it| it.secret.clear(), "is empty"),
        (|it| it.secret = "a\nb".to_owned(), "line break"),
        (|it| it.secret_is_base64 = true, "not base64"),
        (
            |it| it.signature_header = "x y".to_owned(),
            "\"x y\" cannot be the name",
        ),
        (|it| it.timestamp_header.clear(), "cannot be the name"),
        (
            |it| it.payload_format = Some("{timestamp}".to_owned()),
            "lacks {body}",
        ),
        (
            |it| it.payload_format = Some("{body}".to_owned()),
            "lacks {timestamp}",
        ),
        (
            |it| it.payload_format = Some("{body}{time}".to_owned()),
            "has {time} in it",
        ),
        (
            |it| {
                it.include_timestamp = false;
                it.payload_format = Some("{timestamp}{body}".to_owned());
            },
            "has {timestamp} in it, though",
        ),
    ];
    for (change, reason) in changes {
        let mut options = HmacOptions::new(SECRET);
        change(&mut options);
        let error = VapiCredential::hmac(&options).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
    let braces = HmacOptions {
        payload_format: Some("{timestamp}.{body}{".to_owned()),
        ..HmacOptions::new(SECRET)
    };
    assert!(
        VapiCredential::hmac(&braces).is_ok(),
        "a brace may be meant"
    );
    assert!(VapiCredential::secret(Some(""), SECRET).is_err());
    assert!(VapiCredential::bearer(" ").is_err());
    let names = HmacAlgorithm::ALL.map(HmacAlgorithm::name);
    assert_eq!(
        names.map(HmacAlgorithm::from_name),
        HmacAlgorithm::ALL.map(Some)
    );
    let names = Encoding::ALL.map(Encoding::name);
    assert_eq!(names.map(Encoding::from_name), Encoding::ALL.map(Some));
    assert_eq!(Encoding::from_name("HEX"), None);
    assert!(is_fresh(SIGNED_AT.unsigned_abs(), now()));
}
