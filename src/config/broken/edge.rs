//! Broken names, marks, sources, affinities and limits.

use super::*;
use crate::document::address::Addresses;
use crate::model::Protocol;
use crate::proxy::settings::{Affinity, Claim};
use crate::split::tenants::Source;

const PUBLIC: &str = "public_url = \"https://voice.example.com\"\n";

/// [`WELL`] with a public URL.
fn public() -> String {
    WELL.replacen("[listen]\n", &format!("[listen]\n{PUBLIC}"), 1)
}

/// Puts lines under a line of a file with a public URL; expects one problem, which
/// stands at the line of `at`.
#[track_caller]
fn under(line: &str, lines: &str, at: &str, message: &str) {
    breaks_in(&public(), line, &format!("{line}\n{lines}"), at, message);
}

#[test]
fn names_and_a_claim_are_taken() {
    let text = public()
        .replacen(
            "[backend.new]",
            "[backend.new]\nnames = [\"https://IVR-new.example.com:443/\"]\n\
             claim = { query = \"origin\", value = \"new\" }",
            1,
        )
        .replacen(
            "[backend.legacy]",
            "[backend.legacy]\nnames = \"https://old.example.com\"",
            1,
        );
    let loaded = checked(&text).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let proxy = loaded.config.proxy;
    assert_eq!(proxy.backends.new.names, ["https://ivr-new.example.com"]);
    let claim = Claim {
        query: "origin".into(),
        value: "new".into(),
    };
    assert_eq!(proxy.backends.new.claim, Some(claim));
    let names = [
        "http://127.0.0.1:3001",
        "https://old.example.com",
        "http://127.0.0.1:3002",
        "https://ivr-new.example.com",
    ];
    let expected = Addresses::new(
        "https://voice.example.com",
        &names.map(str::to_owned),
        &["/ivr".to_owned()],
    );
    assert_eq!(proxy.addresses.as_deref(), Some(&expected));
    assert!(checked(WELL).unwrap().config.proxy.addresses.is_none());
}

#[test]
fn a_name_is_one_backends_and_not_the_public_one() {
    const NEW: &str = "[backend.new]";
    for (names, message) in [
        (
            "names = [\"https://voice.example.com/\"]",
            "is `public_url` itself",
        ),
        (
            "names = [\"http://127.0.0.1:3001\"]",
            "is a name of `legacy` too",
        ),
        (
            "names = [\"http://127.0.0.1:3002\"]",
            "is a name of it already",
        ),
        (
            "names = [\"https://a.example\", \"https://A.example:443\"]",
            "is a name of it already",
        ),
        ("names = [\"a.example\"]", "write a URL as"),
        ("names = [\"https://a.example/ivr\"]", "ends after the port"),
        ("names = 7", "a list of URLs"),
    ] {
        under(NEW, names, names, message);
    }
    let legacy = "[backend.legacy]\nnames = [\"https://a.example\"]";
    let text = public().replacen("[backend.legacy]", legacy, 1);
    let names = "names = [ \"https://a.example\" ]";
    breaks_in(
        &text,
        NEW,
        &format!("{NEW}\n{names}"),
        names,
        "is a name of `legacy` too",
    );
    let names = "names = [\"https://a.example\"]";
    breaks(
        NEW,
        &format!("{NEW}\n{names}"),
        names,
        "there is none (add public_url",
    );
}

#[test]
fn a_claim_is_a_parameter_and_its_value() {
    const NEW: &str = "[backend.new]";
    for (claim, message) in [
        ("claim = \"origin=new\"", "is a string here"),
        ("claim = { query = \"origin\" }", "`claim` needs `value`"),
        ("claim = { value = \"new\" }", "`claim` needs `query`"),
        ("claim = { query = \"\", value = \"new\" }", "is empty"),
        (
            "claim = { query = \"a\", value = \"b\", valeu = \"c\" }",
            "did you mean `value`?",
        ),
        (
            "claim = { query = \"_sb\", value = \"new\" }",
            "the parameter of our own tokens",
        ),
    ] {
        under(NEW, claim, claim, message);
    }
    let claim = "claim = { query = \"a\", value = \"b\" }";
    let text = public().replacen("[backend.legacy]", &format!("[backend.legacy]\n{claim}"), 1);
    let second = "claim = { query = 'a', value = 'b' }";
    breaks_in(
        &text,
        NEW,
        &format!("{NEW}\n{second}"),
        second,
        "both backends have the same `claim`",
    );
    let other = "claim = { query = 'a', value = 'c' }";
    let told = told(&text.replacen(NEW, &format!("{NEW}\n{other}"), 1));
    assert_eq!(told, [""; 0], "another value is another mark");
}

#[test]
fn every_protocol_is_taken() {
    for protocol in Protocol::ALL {
        let text = WELL.replacen("telnyx-texml", protocol.name(), 1);
        let loaded = checked(&text).unwrap();
        assert_eq!(loaded.config.proxy.routes[0].protocol, protocol);
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    }
}

/// [`WELL`] as a route of this protocol with this source.
fn sourced(protocol: &str, source: &str) -> String {
    WELL.replacen("telnyx-texml", protocol, 1).replacen(
        "tenant = [\"to\"]",
        &format!("tenant = [\"{source}\"]"),
        1,
    )
}

#[test]
fn a_source_that_a_protocol_never_carries_is_a_warning() {
    for (protocol, source, carries) in [
        ("telnyx-texml", "connection", true),
        ("telnyx-texml", "phone-number", false),
        ("telnyx-texml", "assistant", false),
        ("telnyx-texml", "metadata.clinic", false),
        ("telnyx-call-control", "connection", true),
        ("telnyx-call-control", "assistant", false),
        ("twilio", "account", true),
        ("twilio", "connection", false),
        ("vapi", "metadata.clinic", true),
        ("vapi", "phone-number", true),
        ("vapi", "assistant", true),
        ("vapi", "connection", false),
        ("vapi", "header:x-tenant", true),
        ("twilio", "query:t", true),
        ("telnyx-texml", "path:1", true),
    ] {
        let text = sourced(protocol, source);
        let loaded = checked(&text).unwrap();
        let lines = loaded.warnings.lines();
        if carries {
            assert_eq!(lines, [""; 0], "{protocol} carries {source}");
            continue;
        }
        let place = format!("t.toml:{}: ", line_of(&text, source));
        let message = format!("no {protocol} webhook carries `{source}` (they carry `to`, ");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains(&place) && lines[0].contains(&message),
            "{lines:?}"
        );
    }
    let loaded = checked(&sourced("vapi", "metadata.clinic")).unwrap();
    let expected = [Source::Metadata("clinic".into())];
    assert_eq!(loaded.config.proxy.routes[0].tenant, expected);
    line(
        "tenant = [\"to\"]",
        "tenant = [\"metadata.\"]",
        "names no key",
    );
    line(
        "tenant = [\"to\"]",
        "tenant = [\"phone_number\"]",
        "did you mean `phone-number`?",
    );
}

#[test]
fn affinity_by_url_needs_a_public_url_and_a_shared_secret() {
    const LINE: &str = "timeout = \"10s\"";
    const BY_URL: &str = "affinity = \"url\"";
    line(LINE, "affinity = \"uri\"", "did you mean `url`?");
    under(
        LINE,
        BY_URL,
        BY_URL,
        "each machine will only understand its own tokens",
    );

    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "sixteen-or-more-letters\n").unwrap();
    let secret = format!("token_secret = {{ file = {secret:?} }}\n");
    let shared = public().replacen("[listen]\n", &format!("[listen]\n{secret}"), 1);
    assert!(told(&shared)[0].contains("`token_secret` means nothing without"));
    let text = shared.replacen(LINE, &format!("{LINE}\n{BY_URL}"), 1);
    let loaded = checked(&text).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let proxy = &loaded.config.proxy;
    assert_eq!(proxy.routes[0].affinity, Affinity::Url);
    assert_eq!(
        proxy.token_secret.as_deref(),
        Some(&b"sixteen-or-more-letters"[..])
    );
    let shown = format!("{:?}", loaded.config);
    assert!(shown.contains("token_secret: Some(\"MASKED\")"), "{shown}");

    let private = text.replacen(PUBLIC, "", 1);
    let told = told(&private);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("lead to `public_url`, and there is none"),
        "{told:?}"
    );
    breaks_in(
        &text,
        "telnyx-texml",
        "telnyx-call-control",
        BY_URL,
        "carry no URLs",
    );
    breaks_in(
        &text,
        "telnyx-texml",
        "twilio",
        BY_URL,
        "on a twilio route needs `resign`",
    );
}

#[test]
fn a_token_secret_does_not_stand_in_the_file() {
    let lines = "token_secret = \"hunter2hunter2\"";
    under("[listen]", lines, lines, "secrets do not stand in the file");
}

#[test]
fn websockets_have_bounds() {
    let text =
        "calls = 1000\nstreams = 7\nstream_idle_timeout = \"1m\"\nstream_drain_timeout = \"0s\"";
    let limits = checked(&WELL.replacen("calls = 1000", text, 1))
        .unwrap()
        .config
        .proxy
        .limits;
    assert_eq!(
        (limits.streams, limits.stream_idle_timeout.as_secs()),
        (7, 60)
    );
    assert!(limits.stream_drain_timeout.is_zero());
    for (bound, message) in [
        ("streams = 0", "a whole number from 1"),
        ("stream_idle_timeout = \"1ms\"", "from 1s to 1h"),
        ("stream_drain_timeout = \"2h\"", "from 0s to 1h"),
        (
            "stream_idle_timeot = \"1m\"",
            "did you mean `stream_idle_timeout`?",
        ),
    ] {
        under("calls = 1000", bound, bound, message);
    }
}
