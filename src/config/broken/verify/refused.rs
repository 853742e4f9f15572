//! Keys, secrets and options that are none, or another provider's.

use super::*;

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
