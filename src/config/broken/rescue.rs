//! Broken rescues and last resorts, and what sound ones mean.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::calls::rescue::Mode;
use crate::model::Protocol;
use crate::protocol::Asks;
use crate::proxy::settings::Rescue;

const TIMEOUT: &str = "timeout = \"10s\"\n";

/// [`WELL`] with these lines in its route, which is of this protocol.
fn route(protocol: &str, lines: &str) -> String {
    let lines = format!("{TIMEOUT}{lines}\n");
    WELL.replacen("telnyx-texml", protocol, 1)
        .replacen(TIMEOUT, &lines, 1)
}

#[track_caller]
fn rescue(protocol: &str, lines: &str) -> Rescue {
    let loaded = checked(&route(protocol, lines)).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let mut routes = loaded.config.proxy.routes;
    routes.remove(0).rescue
}

/// Expects one problem of this level at the line of `at`, with help.
#[track_caller]
fn says(protocol: &str, lines: &str, at: &str, level: Level, message: &str) {
    let text = route(protocol, lines);
    let report = match checked(&text) {
        Ok(loaded) => loaded.warnings,
        Err(report) => report,
    };
    let [problem] = report.problems() else {
        panic!("one problem of {lines}: {report}");
    };
    assert_eq!(problem.level, level, "{report}");
    assert_eq!(report.line(problem), Some(line_of(&text, at)), "{report}");
    assert!(problem.message.contains(message), "{report}");
    assert!(problem.help.is_some(), "it is said what to write: {report}");
}

#[test]
fn a_route_that_says_nothing_rescues_what_a_call_begins_with() {
    for (protocol, millis, timeout) in [
        (Protocol::TelnyxTexml, 1200, 10),
        (Protocol::TelnyxCallControl, 1200, 10),
        (Protocol::Vapi, 3500, 20),
        (Protocol::Twilio, 5000, 10),
    ] {
        let text = route(protocol.name(), "").replacen(TIMEOUT, "", 1);
        let route = checked(&text).unwrap().config.proxy.routes.remove(0);
        assert_eq!(route.rescue, Rescue::of(protocol));
        assert_eq!(route.rescue.mode, Mode::Start);
        assert_eq!(route.rescue.after, Duration::from_millis(millis));
        assert_eq!(route.timeout, Duration::from_secs(timeout), "{protocol:?}");
    }
}

#[test]
fn a_short_timeout_leaves_legacy_as_much_as_new() {
    for (timeout, after) in [("2400ms", 1200), ("2s", 1000), ("1s", 500)] {
        let text = WELL.replacen("\"10s\"", &format!("\"{timeout}\""), 1);
        let text = text.replacen("above = \"2s\"", "above = \"900ms\"", 1);
        let route = checked(&text).unwrap().config.proxy.routes.remove(0);
        assert_eq!(route.rescue.after, Duration::from_millis(after));
    }
}

#[test]
fn what_a_route_says_is_obeyed() {
    let off = rescue("twilio", "rescue = \"off\"\nlast_resort = \"off\"");
    assert_eq!((off.mode, off.last_resort), (Mode::Off, None));

    let lines = "rescue = \"every\"\nrescue_after = \"800ms\"\nentry = \"/ivr/welcome/?by=new\"";
    let every = rescue("telnyx-texml", lines);
    assert_eq!(every.mode, Mode::Every);
    assert_eq!(every.after, Duration::from_millis(800));
    assert_eq!(every.entry.as_deref(), Some("/ivr/welcome/?by=new"));

    let forward = "last_resort = { forward = \"+15557640012\" }";
    let forward = rescue("twilio", forward).last_resort.unwrap();
    let said = forward.answer(Asks::Document, false, b"").unwrap().body;
    let said = String::from_utf8(said.to_vec()).unwrap();
    assert!(said.contains("<Number>+15557640012</Number>"), "{said}");
    for (protocol, lines) in [
        ("vapi", "rescue = \"every\""),
        ("telnyx-call-control", "rescue = \"every\""),
        ("telnyx-call-control", "last_resort = \"off\""),
        // `rollback --live move` sends calls there, rescued or not.
        ("telnyx-texml", "entry = \"/ivr\""),
        ("telnyx-texml", "rescue = \"off\"\nentry = \"/ivr\""),
    ] {
        let _taken_without_a_warning = rescue(protocol, lines);
    }
}

#[test]
fn slips_are_told_what_they_should_be() {
    for (lines, message) in [
        ("rescue = \"evry\"", "cannot be \"evry\""),
        ("rescue = true", "is true or false here"),
        ("rescue_after = \"99ms\"", "outside what is allowed"),
        ("rescue_after = 1200", "is no duration"),
        ("rescu_after = \"1s\"", "unknown key `rescu_after`"),
        ("entry = \"ivr/welcome\"", "cannot be read"),
        ("entry = \"https://a.example/ivr\"", "cannot be read"),
        ("entry = \"/ivr/../x\"", "cannot be read"),
        ("entry = \"/ivr?a=#b\"", "cannot be read"),
        ("entry = \"/ivr/ü\"", "cannot be read"),
        ("last_resort = 7", "is a number here"),
        ("last_resort = {}", "needs `forward`"),
        (
            "last_resort = { forward = \"+15557640012\", say = \"x\" }",
            "unknown key `say`",
        ),
        (
            "last_resort = { forwrd = \"+15557640012\", forward = \"+15557640012\" }",
            "unknown key `forwrd`",
        ),
        ("last_resort = \"gone.xml\"", "gone.xml: No such file"),
    ] {
        says("telnyx-texml", lines, lines, Level::Error, message);
    }
}

#[test]
fn a_number_that_nobody_dials_is_refused_and_never_shown() {
    for lines in [
        "last_resort = { forward = \"15557640012\" }",
        "last_resort = { forward = \"+1 555 764 0012\" }",
        "last_resort = { forward = \"+1555764001234567\" }",
        "last_resort = { forward = 15557640012 }",
        "last_resort = { forwrd = \"+15557640012\" }",
        "last_resort = \"+15557640012\"",
        "last_resort = \"555-764-0012\"",
        "rescue = \"+15557640012\"",
    ] {
        let report = checked(&route("twilio", lines)).unwrap_err();
        let shown = format!("{}{:?}", report.render(false), report.lines());
        for part in ["5557640", "764 00", "764-00", "+1555764"] {
            assert!(!shown.contains(part), "{lines}: {shown}");
        }
    }
    let config = checked(&route(
        "vapi",
        "last_resort = { forward = \"+15557640012\" }",
    ));
    let config = config.unwrap().config;
    assert!(!format!("{config:?}").contains("557640012"));
    assert!(!format!("{:?}", config.rescues()).contains("557640012"));
}

#[test]
fn legacy_is_asked_before_the_timeout_or_never() {
    for (after, is_late) in [("9999ms", false), ("10s", true), ("11s", true)] {
        let lines = format!("rescue_after = \"{after}\"");
        let told = told(&route("twilio", &lines));
        let never = |line: &String| line.contains("legacy would never be asked");
        assert_eq!(told.iter().any(never), is_late, "{told:?}");
        assert_eq!(told.len(), 1, "one problem at a time: {told:?}");
    }
}

#[test]
fn legacy_gets_its_share_of_the_providers_patience() {
    for (protocol, after, level) in [
        ("vapi", "4500ms", None),
        ("vapi", "4501ms", Some(Level::Warning)),
        ("vapi", "6s", Some(Level::Warning)),
        ("vapi", "6001ms", Some(Level::Error)),
        ("twilio", "9s", None),
        ("twilio", "9001ms", Some(Level::Warning)),
        ("twilio", "13s", Some(Level::Warning)),
        ("twilio", "13001ms", Some(Level::Error)),
        ("telnyx-texml", "1800ms", None),
        ("telnyx-texml", "1801ms", Some(Level::Warning)),
        ("telnyx-texml", "13s", Some(Level::Warning)),
    ] {
        let lines = format!("rescue_after = \"{after}\"");
        let text = route(protocol, &lines).replacen(TIMEOUT, "timeout = \"20s\"\n", 1);
        let report = match checked(&text) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report,
        };
        let levels: Vec<_> = report.problems().iter().map(|told| told.level).collect();
        let expected: Vec<_> = level.into_iter().collect();
        assert_eq!(levels, expected, "{protocol} {after}: {report}");
    }
}

#[test]
fn an_entry_is_a_path_that_a_route_of_the_same_provider_takes() {
    let other = "[[route]]\npath = \"/ivr/vapi\"\nprotocol = \"vapi\"\n\
                 [[route]]\npath = \"/old\"\nprotocol = \"telnyx-texml\"\n[calls]";
    for (entry, message) in [
        ("/ivr", None),
        ("/ivr/", None),
        ("/ivr/welcome?x=/nowhere", None),
        ("/old/welcome", None),
        ("/ivrx", Some("no route takes `/ivrx`")),
        ("/welcome?x=1", Some("no route takes `/welcome`")),
        ("/ivr/vapi/a", Some("is a path of a vapi route")),
        ("/ivr/vapix", None),
    ] {
        let lines = format!("entry = \"{entry}\"");
        let text = route("telnyx-texml", &lines).replacen("[calls]", other, 1);
        let told = told(&text);
        match message {
            None => assert_eq!(told, [""; 0], "{entry}"),
            Some(message) => {
                assert_eq!(told.len(), 1, "{told:?}");
                assert!(told[0].contains(message), "{told:?}");
                assert!(told[0].contains("for example entry = \"/ivr/welcome\""));
            }
        }
    }
    // Live calls are moved there, rescued or not.
    let off = route("telnyx-texml", "rescue = \"off\"\nentry = \"/ivrx\"");
    assert!(told(&off)[0].contains("no route takes `/ivrx`"));
    // Where a route's path is a hole, it may be the one.
    let text = route("telnyx-texml", "entry = \"/elsewhere\"");
    let told = told(&text.replacen("path = \"/ivr\"", "path = \"ivr\"", 1));
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn a_row_that_moves_live_calls_wants_an_entry() {
    let moving = |lines: &str| {
        let text = route("telnyx-texml", lines);
        told(&text.replacen(
            "action = \"reverse\"",
            "action = \"reverse\"\nlive = \"move\"",
            1,
        ))
    };
    let without = moving("");
    assert_eq!(without.len(), 1, "{without:?}");
    assert!(
        without[0].contains("no route names an `entry`"),
        "{without:?}"
    );
    assert_eq!(moving("entry = \"/ivr\""), [""; 0]);
}

#[test]
fn what_means_nothing_where_it_stands_is_a_warning() {
    for (protocol, lines, at, message) in [
        (
            "telnyx-texml",
            "rescue = \"every\"",
            "rescue = \"every\"",
            "knows nothing of the call",
        ),
        (
            "twilio",
            "rescue = \"every\"",
            "rescue = \"every\"",
            "knows nothing of the call",
        ),
        (
            "vapi",
            "entry = \"/ivr\"",
            "entry",
            "means nothing on a vapi route",
        ),
        (
            "telnyx-call-control",
            "entry = \"/ivr\"",
            "entry",
            "means nothing on a telnyx-call-control route",
        ),
        (
            "telnyx-call-control",
            "rescue_after = \"1s\"",
            "rescue_after",
            "events are not rescued unless asked for",
        ),
        (
            "telnyx-texml",
            "rescue = \"off\"\nrescue_after = \"9s\"",
            "rescue_after",
            "`rescue_after` means nothing with rescue = \"off\"",
        ),
    ] {
        says(protocol, lines, at, Level::Warning, message);
    }
}

/// A directory with a configuration in it that names `sorry`.
struct Bench(TempDir);

impl Bench {
    fn with(contents: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sorry"), contents).unwrap();
        Self(dir)
    }

    fn load(&self, protocol: &str) -> Result<Loaded, Report> {
        let text = route(protocol, "last_resort = \"sorry\"");
        load_text(&self.0.path().join("t.toml"), text)
    }
}

const SORRY: &str = "<Response><Say>Estamos cerrados.</Say></Response>\n";

#[test]
fn a_file_is_said_as_it_is_and_part_of_the_configuration() {
    let bench = Bench::with(SORRY.as_bytes());
    let before = bench.load("twilio").unwrap().config;
    let resort = before.proxy.routes[0].rescue.last_resort.as_ref().unwrap();
    let said = resort.answer(Asks::Document, false, b"").unwrap();
    assert_eq!(said.body, SORRY);

    // As long as before, so that only its bytes tell.
    let other = SORRY.replace("cerrados", "en obras");
    fs::write(bench.0.path().join("sorry"), &other).unwrap();
    let after = bench.load("twilio").unwrap().config;
    assert_ne!(before.hash, after.hash, "the hash covers the file");
    let changed = diff(&before, &after).changed;
    let expected = format!(
        "route `/ivr` has another last resort: a file of {} bytes",
        other.len()
    );
    assert_eq!(changed, [expected]);
    assert!(diff(&after, &after).is_empty());
}

#[test]
fn a_file_that_nobody_would_hear_is_refused_with_its_flaw() {
    let large = format!("{SORRY}{}", " ".repeat(64 << 10));
    for (protocol, contents, message) in [
        (
            "twilio",
            &b"<Response>\n<Say>\n</Response>"[..],
            "in line 3 it is not",
        ),
        ("telnyx-texml", b"<html></html>", "it is an HTML page"),
        ("telnyx-texml", b"", "it is empty"),
        ("twilio", large.as_bytes(), "it is larger than 64 KiB"),
        (
            "twilio",
            b"<Response><Say>\xf1</Say></Response>",
            "it is not UTF-8",
        ),
        ("vapi", SORRY.as_bytes(), "it is not JSON"),
        (
            "vapi",
            b"{\"eror\":\"x\"}",
            "it answers no assistant-request",
        ),
        (
            "telnyx-call-control",
            SORRY.as_bytes(),
            "means nothing on a telnyx-call-control route",
        ),
    ] {
        let report = Bench::with(contents).load(protocol).unwrap_err();
        let lines = report.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("t.toml:25: `last_resort`"), "{lines:?}");
        assert!(lines[0].contains(message), "{lines:?} says {message}");
    }
    let round = Bench::with(b"<Response><Redirect>/ivr</Redirect></Response>").load("twilio");
    let lines = round.unwrap().warnings.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("may ask the application again"),
        "{lines:?}"
    );
    let spoken = Bench::with(b"{\"error\":\"We are closed.\"}").load("vapi");
    assert!(spoken.unwrap().warnings.is_empty());
    let forward = "last_resort = { forward = \"+15557640012\" }";
    let message = "means nothing on a telnyx-call-control route";
    says(
        "telnyx-call-control",
        forward,
        forward,
        Level::Error,
        message,
    );
}

#[test]
fn check_says_what_is_done_when_new_fails() {
    let said = |protocol: &str, lines: &str| {
        let config = checked(&route(protocol, lines)).unwrap().config;
        config.rescues().remove(0)
    };
    for (protocol, lines, words) in [
        (
            "telnyx-texml",
            "",
            "/ivr (telnyx-texml): when new fails: legacy answers the webhook a call begins with, \
             after 1200ms at the latest; when nobody can answer: the shipped words",
        ),
        (
            "twilio",
            "rescue = \"every\"\nentry = \"/ivr/welcome\"\nlast_resort = \"off\"",
            "/ivr (twilio): when new fails: legacy answers the webhook a call begins with, after \
             5s at the latest; midway the caller is sent to /ivr/welcome; when nobody can answer: \
             the failure is passed on",
        ),
        (
            "vapi",
            "rescue = \"every\"",
            "/ivr (vapi): when new fails: legacy answers every message that asks for something, \
             after 3500ms at the latest; when nobody can answer: the shipped words",
        ),
        (
            "twilio",
            "rescue = \"off\"\nlast_resort = { forward = \"+15557640012\" }",
            "/ivr (twilio): when new fails: nobody else is asked; when nobody can answer: \
             forwarded to …12",
        ),
        (
            "telnyx-call-control",
            "",
            "/ivr (telnyx-call-control): when new fails: nobody else is asked, and Telnyx \
             delivers again",
        ),
    ] {
        assert_eq!(said(protocol, lines), words);
    }
}
