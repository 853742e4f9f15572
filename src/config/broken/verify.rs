//! What a sound `verify` means, and what is said of it. In `verify/refused.rs` what is none,
//! in `verify/together.rs` what does not go with what stands around it.

mod refused;
mod together;

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::protocol::signature::{
    HmacOptions, Mode, TelnyxKeys, TwilioToken, VapiCredential, Verifier,
};
use crate::proxy::settings::Verify;

/// The public key of RFC 8032's first test, and of its second.
const KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const NEXT: &str = "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

/// A directory with two secrets, and a file beside which `verify` stands.
struct Bench {
    dir: TempDir,
    well: String,
}

const ONE: &str = "the-first-secret-of-all";
const TWO: &str = "the-second-secret-of-all";

impl Bench {
    /// [`WELL`] with a public URL, as a route of this protocol, with backends that
    /// see their own Host.
    fn of(protocol: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("one"), format!("{ONE}\n")).unwrap();
        fs::write(dir.path().join("two"), format!("{TWO}\n")).unwrap();
        let well = WELL
            .replacen("[listen]\n", &format!("[listen]\n{PUBLIC}"), 1)
            .replacen("telnyx-texml", protocol, 1)
            .replacen("host = \"public\"", "host = \"backend\"", 1)
            .replacen(
                "[backend.legacy]",
                "[backend.legacy]\nhost = \"backend\"",
                1,
            );
        Self { dir, well }
    }

    fn text(&self, verify: &str) -> String {
        let line = format!("timeout = \"10s\"\nverify = {verify}");
        self.well.replacen("timeout = \"10s\"", &line, 1)
    }

    fn load(&self, verify: &str) -> Result<Loaded, Report> {
        load_text(&self.dir.path().join("t.toml"), self.text(verify))
    }

    #[track_caller]
    fn lines(&self, verify: &str) -> Vec<String> {
        let report = match self.load(verify) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report,
        };
        report.lines()
    }

    /// Loads without a word, and says what the route obeys.
    #[track_caller]
    fn obeys(&self, verify: &str) -> Option<Verify> {
        let loaded = self
            .load(verify)
            .unwrap_or_else(|report| panic!("{report}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        loaded.config.proxy.routes[0].verify.clone()
    }

    /// Says one thing, with the caret under `caret` in the line of `verify`, and
    /// shows no secret.
    #[track_caller]
    fn says(&self, verify: &str, caret: &str, message: &str) {
        let report = match self.load(verify) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report,
        };
        let lines = report.lines();
        let [problem] = report.problems() else {
            panic!("one problem of {verify}: {lines:#?}");
        };
        assert!(lines[0].contains(message), "{} says {message}", lines[0]);
        let text = self.text(verify);
        let (before, rest) = text.split_once("\nverify =").expect("it is in the text");
        // The key itself stands before what is searched.
        let at = match caret {
            "verify" => before.len() + 1,
            _ => text.len() - rest.len() + rest.find(caret).expect("the caret is in it"),
        };
        let span = problem.span.clone().expect("it has a place");
        assert_eq!(span.start, at, "{} points at {caret}", lines[0]);
        for secret in ["hunter2", ONE, TWO] {
            assert!(!report.render(false).contains(secret), "{report}");
        }
    }
}

const PUBLIC: &str = "public_url = \"https://voice.example.com\"\n";

#[test]
fn what_is_written_is_obeyed() {
    let verify = |mode, verifier, resign| {
        Some(Verify {
            mode,
            verifier,
            resign,
        })
    };
    let keys = |keys: &[&str]| Verifier::Telnyx(TelnyxKeys::new(keys).unwrap());
    for protocol in ["telnyx-texml", "telnyx-call-control"] {
        let telnyx = Bench::of(protocol);
        fs::write(telnyx.dir.path().join("key"), format!("{KEY}\n")).unwrap();
        for (written, expected) in [
            (
                format!("{{ public_keys = [\"{KEY}\"] }}"),
                verify(Mode::Report, keys(&[KEY]), false),
            ),
            (
                format!("{{ mode = \"if-present\", public_keys = [\"{KEY}\", \"{NEXT}\"] }}"),
                verify(Mode::IfPresent, keys(&[KEY, NEXT]), false),
            ),
            (
                format!("{{ public_keys = [{{ file = \"key\" }}, \"{NEXT}\"] }}"),
                verify(Mode::Report, keys(&[KEY, NEXT]), false),
            ),
            (
                "{ public_keys = { file = \"key\" } }".to_owned(),
                verify(Mode::Report, keys(&[KEY]), false),
            ),
            ("{ mode = \"off\" }".to_owned(), None),
            (
                format!("{{ mode = \"off\", public_keys = [\"{KEY}\"] }}"),
                None,
            ),
        ] {
            assert_eq!(telnyx.obeys(&written), expected, "{written}");
        }
    }
    let token = |token| TwilioToken::new(token).unwrap();
    let (one, both) = (token(ONE), token(ONE).or(TWO).unwrap());
    let twilio = Bench::of("twilio");
    for (written, expected) in [
        (
            "{ auth_token = { file = \"one\" } }",
            verify(Mode::Report, Verifier::Twilio(one.clone()), false),
        ),
        (
            "{ mode = \"required\", auth_token = [{ file = \"one\" }, { file = \"two\" }], resign = true }",
            verify(Mode::Required, Verifier::Twilio(both), true),
        ),
        (
            "{ auth_token = { file = \"one\" }, resign = false }",
            verify(Mode::Report, Verifier::Twilio(one), false),
        ),
        // Nobody looks, so nobody needs what is not there.
        ("{ mode = \"off\", auth_token = { file = \"gone\" } }", None),
    ] {
        assert_eq!(twilio.obeys(written), expected, "{written}");
    }
    let vapi = Bench::of("vapi");
    let by = |credential| verify(Mode::Required, Verifier::Vapi(credential), false);
    let hmac = |with: fn(&mut HmacOptions)| {
        let mut options = HmacOptions::new(ONE);
        with(&mut options);
        by(VapiCredential::hmac(&options).unwrap())
    };
    for (written, expected) in [
        (
            "secret = { file = \"one\" }",
            by(VapiCredential::secret(None, ONE).unwrap()),
        ),
        (
            "bearer = { file = \"one\" }",
            by(VapiCredential::bearer(ONE).unwrap()),
        ),
        ("hmac = { secret = { file = \"one\" } }", hmac(|_| ())),
        (
            "hmac = { secret = { file = \"one\" }, algorithm = \"sha512\", encoding = \"base64\", \
             signature_header = \"X-Sig\", prefix = \"v1,\", include_timestamp = false, \
             payload_format = \"{svix-id}.{url}.{body}\" }",
            hmac(|options| {
                options.algorithm = crate::protocol::signature::HmacAlgorithm::Sha512;
                options.encoding = crate::protocol::signature::Encoding::Base64;
                options.signature_header = "x-sig".to_owned();
                options.prefix = Some("v1,".to_owned());
                options.include_timestamp = false;
                options.payload_format = Some("{svix-id}.{url}.{body}".to_owned());
            }),
        ),
        (
            "hmac = { secret = { file = \"one\" }, timestamp_header = \"x-at\", prefix = \"\" }",
            hmac(|options| {
                options.timestamp_header = "x-at".to_owned();
                options.prefix = Some(String::new());
            }),
        ),
    ] {
        let written = format!("{{ mode = \"required\", {written} }}");
        assert_eq!(vapi.obeys(&written), expected, "{written}");
    }
}

#[test]
fn check_says_what_is_verified_and_how() {
    let said = |bench: &Bench, verify: &str| {
        let config = bench.load(verify).unwrap().config;
        config.verification().remove(0)
    };
    let unverified = checked(WELL).unwrap().config.verification();
    assert_eq!(
        unverified,
        [
            "/ivr (telnyx-texml): not verified: whoever knows the URL can post",
            "no `public_url`: absolute URLs that name a backend are handed out unchanged, and lead \
             past Switchback"
        ]
    );
    let walled = format!("[listen]\n{PUBLIC}");
    let walled = WELL
        .replacen("sources = []", "sources = [\"10.0.0.0/8\"]", 1)
        .replacen("[listen]\n", &walled, 1);
    let walled = checked(&walled).unwrap().config.verification();
    assert_eq!(
        walled,
        ["/ivr (telnyx-texml): not verified: `sources` alone say who can post"]
    );
    let telnyx = Bench::of("telnyx-texml");
    assert_eq!(
        said(&telnyx, &format!("{{ public_keys = [\"{KEY}\"] }}")),
        "/ivr (telnyx-texml): verified by Telnyx's Ed25519 signature, mode report: all pass; what \
         is not verified counts in no window once any was"
    );
    let twilio = Bench::of("twilio");
    assert_eq!(
        said(
            &twilio,
            "{ mode = \"if-present\", auth_token = { file = \"one\" }, resign = true }"
        ),
        "/ivr (twilio): verified by Twilio's signature, and signed anew for the backend, mode \
         if-present: what is wrongly signed is refused"
    );
    let vapi = Bench::of("vapi");
    for (by, name) in [
        ("secret = { file = \"one\" }", "Vapi's secret"),
        ("bearer = { file = \"one\" }", "Vapi's bearer token"),
        ("hmac = { secret = { file = \"one\" } }", "Vapi's HMAC"),
    ] {
        assert_eq!(
            said(&vapi, &format!("{{ mode = \"required\", {by} }}")),
            format!(
                "/ivr (vapi): verified by {name}, mode required: what is wrongly signed or not \
                 signed is refused"
            )
        );
    }
}

#[test]
fn new_keys_are_taken_on_a_reload_and_told_without_showing_them() {
    let bench = Bench::of("twilio");
    let load = |verify: &str| bench.load(verify).unwrap().config;
    let one = "{ auth_token = { file = \"one\" } }";
    for (verify, said) in [
        (
            "{ auth_token = { file = \"two\" } }",
            "route `/ivr` verifies by other keys, secrets or options",
        ),
        (
            "{ mode = \"required\", auth_token = { file = \"one\" } }",
            "`route /ivr verify`: verified by Twilio's signature, mode report → verified by \
             Twilio's signature, mode required",
        ),
        (
            "{ mode = \"off\" }",
            "`route /ivr verify`: verified by Twilio's signature, mode report → not verified",
        ),
    ] {
        let diff = diff(&load(one), &load(verify));
        assert_eq!(diff.changed, [said]);
        assert!(diff.refused.is_empty() && diff.needs_restart.is_empty());
    }
    let both = "{ mode = \"required\", auth_token = { file = \"two\" } }";
    assert_eq!(
        diff(&load(one), &load(both)).changed.len(),
        2,
        "neither hides the other"
    );
}

#[test]
fn no_secret_is_printed() {
    let config = Bench::of("vapi")
        .load("{ hmac = { secret = { file = \"one\" } } }")
        .unwrap()
        .config;
    assert!(!format!("{config:?}").contains(ONE));
}
