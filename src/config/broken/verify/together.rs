//! A `verify` that is well by itself, and what stands around it: the Host that is sent on,
//! the public URL, tokens in URLs, the route's protocol.

use super::*;

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
