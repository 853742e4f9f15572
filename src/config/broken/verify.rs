//! Broken `verify`, and what a sound one means.

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
fn what_belongs_to_another_provider_is_refused_with_what_belongs_here() {
    for (protocol, own, others, example) in [
        (
            "telnyx-texml",
            "public_keys",
            "auth_token resign secret bearer hmac",
            "public_keys = [",
        ),
        (
            "telnyx-call-control",
            "public_keys",
            "auth_token resign",
            "public_keys = [",
        ),
        (
            "twilio",
            "auth_token",
            "public_keys secret bearer hmac",
            "auth_token = {",
        ),
        (
            "vapi",
            "secret",
            "public_keys auth_token resign",
            "secret = {",
        ),
    ] {
        let bench = Bench::of(protocol);
        let own = match own {
            "public_keys" => format!("public_keys = [\"{KEY}\"]"),
            own => format!("{own} = {{ file = \"one\" }}"),
        };
        for other in others.split(' ') {
            let written = format!("{{ {own}, {other} = \"hunter2\" }}");
            let message = format!("`{other}` does not belong in `verify` of a {protocol} route");
            bench.says(&written, other, &message);
            assert!(bench.lines(&written)[0].contains(example));
        }
        bench.says(
            &format!("{{ {own}, moode = \"off\" }}"),
            "moode",
            "did you mean `mode`?",
        );
        bench.says(
            &format!("{{ {own}, mode = \"requierd\" }}"),
            "\"requierd\"",
            "did you mean `required`?",
        );
        for nothing in ["{}", "{ mode = \"required\" }"] {
            bench.says(nothing, "{", "names nothing to verify by");
            assert!(bench.lines(nothing)[0].contains(example));
        }
        bench.says("\"required\"", "\"required\"", "is a string here");
    }
}

#[test]
fn a_public_key_is_one() {
    let bench = Bench::of("telnyx-texml");
    for (keys, caret, message) in [
        ("[]", "[]", "has 0 keys"),
        ("[\"a\", \"b\", \"c\"]", "[\"a\"", "has 3 keys"),
        ("[\"hunter2!\"]", "\"hunter2!", "is not base64"),
        ("\"aGVsbG8=\"", "public_keys", "is not 32 bytes long"),
        ("[\"KEY0192hunter2\"]", "\"KEY", "looks like an API key"),
        (
            "[\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"]",
            "\"d75",
            "is written in hexadecimal",
        ),
        ("[7]", "7", "is a number here"),
        ("7", "7", "is a number here"),
        ("[{ file = \"gone\" }]", "{ file", "cannot be read"),
    ] {
        bench.says(&format!("{{ public_keys = {keys} }}"), caret, message);
    }
    let both = format!("{{ public_keys = [\"x\", \"y\", ] }} # {KEY}");
    assert_eq!(bench.lines(&both).len(), 2, "both are spoken of");
}

#[test]
fn an_auth_token_is_a_secret_and_resign_needs_it() {
    let bench = Bench::of("twilio");
    for (written, caret, message) in [
        (
            "auth_token = \"hunter2\"",
            "auth_token",
            "secrets do not stand in the file",
        ),
        (
            "auth_token = [\"hunter2\", { file = \"one\" }]",
            "auth_token",
            "secrets do not stand in",
        ),
        (
            "auth_token = []",
            "auth_token",
            "one secret or a list of two",
        ),
        (
            "auth_token = { file = \"gone\" }",
            "auth_token",
            "cannot be read",
        ),
        (
            "auth_token = { file = \"one\" }, resign = \"yes\"",
            "\"yes\"",
            "true or false",
        ),
        ("resign = true", "true", "needs the `auth_token`"),
        (
            "mode = \"off\", resign = true",
            "true",
            "with mode = \"off\" none is",
        ),
    ] {
        bench.says(&format!("{{ {written} }}"), caret, message);
    }
}

#[test]
fn the_secret_of_an_api_key_is_warned_of() {
    let bench = Bench::of("twilio");
    for (token, warned) in [
        ("0dD4c3b2a1908f7e6d5c4b3a29180f7e", false),
        ("0dD4c3b2a1908f7e6d5c4b3a29180f7g", true),
        ("0dD4c3b2a1908f7e6d5c4b3a29180f7", false),
    ] {
        fs::write(bench.dir.path().join("key"), format!("{token}\n")).unwrap();
        let written = "{ auth_token = { file = \"key\" } }";
        if warned {
            bench.says(written, "auth_token", "the secret of an API key");
            assert!(bench.load(written).is_ok(), "it is only a warning");
        } else {
            assert_eq!(bench.lines(written), [""; 0], "{token}");
        }
    }
}

#[test]
fn a_token_with_its_scheme_is_told_to_go_without() {
    let bench = Bench::of("vapi");
    fs::write(bench.dir.path().join("key"), "Bearer abcdefghijklmnop\n").unwrap();
    let written = "{ bearer = { file = \"key\" } }";
    bench.says(written, "bearer", "no header can carry");
    assert!(bench.lines(written)[0].contains("leave out the `Bearer `"));
}

#[test]
fn resigning_and_the_public_host_do_not_go_together() {
    const WRITTEN: &str = "{ auth_token = { file = \"one\" }, resign = true }";
    let bench = Bench::of("twilio");
    assert!(bench.obeys(WRITTEN).is_some_and(|verify| verify.resign));
    let mut public = Bench::of("twilio");
    public.well = public.well.replacen("host = \"backend\"\n", "", 1);
    public.says(WRITTEN, "true", "but the public Host is sent to `legacy` (");
    public.well = public
        .well
        .replacen("host = \"backend\"", "host = \"public\"", 1);
    public.says(
        WRITTEN,
        "true",
        "but the public Host is sent to `legacy` and `new` (",
    );
}

#[test]
fn what_is_signed_with_the_url_needs_the_public_one() {
    let mut twilio = Bench::of("twilio");
    twilio.well = twilio.well.replacen(PUBLIC, "", 1);
    let written = "{ auth_token = { file = \"one\" } }";
    twilio.says(written, "verify", "the Host as received would be believed");
    assert!(twilio.load(written).is_ok(), "that is a warning");
    assert_eq!(twilio.lines("{ mode = \"off\" }"), [""; 0]);

    let mut vapi = Bench::of("vapi");
    vapi.well = vapi.well.replacen(PUBLIC, "", 1);
    let format = |format: &str| {
        format!("{{ hmac = {{ secret = {{ file = \"one\" }}, payload_format = \"{format}\" }} }}")
    };
    let written = format("{timestamp}.{url}.{body}");
    vapi.says(&written, "\"{timestamp}", "the URL that Vapi was given");
    assert!(vapi.load(&written).is_err());
    assert_eq!(vapi.lines(&format("{timestamp}.{method}.{body}")), [""; 0]);
}

#[test]
fn a_token_in_the_url_and_a_signed_url_are_reconciled() {
    let by_url = |protocol| {
        let mut bench = Bench::of(protocol);
        bench.well = (bench.well)
            .replacen(
                "timeout = \"10s\"",
                "timeout = \"10s\"\naffinity = \"url\"",
                1,
            )
            .replacen(
                "[listen]\n",
                "[listen]\ntoken_secret = { file = \"two\" }\n",
                1,
            );
        bench
    };
    let twilio = by_url("twilio");
    let lines = twilio.lines("{ auth_token = { file = \"one\" } }");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("on a twilio route needs `resign`"),
        "{lines:?}"
    );
    let resigned = "{ auth_token = { file = \"one\" }, resign = true }";
    assert_eq!(twilio.lines(resigned), [""; 0]);
    let vapi = by_url("vapi");
    let hmac = |format| {
        format!("{{ hmac = {{ secret = {{ file = \"one\" }}, payload_format = \"{format}\" }} }}")
    };
    assert_eq!(vapi.lines(&hmac("{timestamp}{body}")), [""; 0]);
    assert!(
        vapi.lines(&hmac("{timestamp}{url}{body}"))[0].contains("signs the URL with the token")
    );
}

#[test]
fn required_on_texml_is_warned_of() {
    let written = |mode| format!("{{ mode = \"{mode}\", public_keys = [\"{KEY}\"] }}");
    let texml = Bench::of("telnyx-texml");
    texml.says(
        &written("required"),
        "\"required\"",
        "does not document that first fetches",
    );
    assert!(texml.load(&written("required")).is_ok());
    assert_eq!(texml.lines(&written("if-present")), [""; 0]);
    let events = Bench::of("telnyx-call-control");
    assert_eq!(events.lines(&written("required")), [""; 0]);
}

#[test]
fn vapi_shows_or_signs_and_one_of_them_is_named() {
    let bench = Bench::of("vapi");
    for (written, caret, message) in [
        (
            "secret = { file = \"one\" }, bearer = { file = \"two\" }",
            "bearer",
            "by one of `secret`",
        ),
        (
            "secret = \"hunter2\"",
            "secret",
            "secrets do not stand in the file",
        ),
        (
            "bearer = \"Bearer hunter2\"",
            "bearer",
            "secrets do not stand in the file",
        ),
        ("hmac = \"hunter2\"", "\"hunter2\"", "is a string here"),
        (
            "hmac = { algorithm = \"sha256\" }",
            "{ algorithm",
            "`hmac` needs `secret`",
        ),
        (
            "hmac = { secret = \"hunter2\" }",
            "secret",
            "secrets do not stand in the file",
        ),
    ] {
        bench.says(&format!("{{ {written} }}"), caret, message);
    }
    for (option, caret, message) in [
        (
            "algorithm = \"sha265\"",
            "\"sha265\"",
            "did you mean `sha256`?",
        ),
        ("encoding = \"hexx\"", "\"hexx\"", "did you mean `hex`?"),
        ("signature_header = \"a b\"", "\"a b\"", "it names a header"),
        ("include_timestamp = \"no\"", "\"no\"", "true or false"),
        ("prefix = 7", "7", "is a number here"),
        (
            "payload_fromat = \"{body}\"",
            "payload_fromat",
            "did you mean `payload_format`?",
        ),
        (
            "payload_format = \"{timestamp}.{bdy}\"",
            "payload_format",
            "has {bdy} in it",
        ),
        (
            "payload_format = \"{body}\"",
            "payload_format",
            "lacks {timestamp}",
        ),
        (
            "payload_format = \"{timestamp}\"",
            "payload_format",
            "lacks {body}",
        ),
        ("secret_is_base64 = true", "hmac", "is not base64"),
    ] {
        let written = format!("{{ hmac = {{ secret = {{ file = \"one\" }}, {option} }} }}");
        bench.says(&written, caret, message);
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
