//! What a load says as a whole: the report, the files it names, the files we
//! ship, and whatever else somebody may call a configuration.

use std::fs;
use std::path::Path;

use super::broken::{WELL, checked, told};
use super::*;

#[test]
fn every_problem_is_told_at_once_and_in_order() {
    let text = WELL
        .replace("webhooks =", "webhoks =")
        .replace("body = \"8MiB\"", "body = \"big\"")
        .replace("timeout = \"10s\"", "rescue = \"perhaps\"")
        .replace("percentage = 10", "percentage = 200")
        .replace("action = \"reverse\"", "action = \"explode\"");
    let told = told(&text);
    let lines: Vec<_> = told
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    let expected = ["line 2", "line 9", "line 24", "line 32", "line 39"];
    assert_eq!(lines.get(..5), Some(&expected[..]), "{told:#?}");
}

#[test]
fn a_syntax_error_hides_its_shadows_and_nothing_else() {
    let text = WELL
        .replace("format = \"auto\"", "format = \"auto")
        .replace("percentage = 10", "percentage = 200");
    let told = told(&text);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("line 11: "), "{told:#?}");
    assert!(told[1].starts_with("line 32: "), "{told:#?}");
    let twice = WELL.replace("hash = \"java31\"", "hash = \"java31\"\nhash = \"java31\"");
    assert_eq!(broken::told(&twice), ["line 31: `hash` is there twice"]);
}

#[test]
fn a_secret_that_stands_in_the_file_is_refused_and_not_shown() {
    let bad = WELL.replace("[state]", "admin_token = \"hunter2\"\n[state]");
    let report = checked(&bad).unwrap_err();
    assert!(report.lines()[0].contains("secrets do not stand in the file"));
    assert!(!report.render(false).contains("hunter2"), "{report}");
    assert!(!report.render(true).contains("hunter2"));
}

#[test]
fn a_secret_is_read_from_where_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    fs::write(dir.path().join("token"), "a-long-enough-token\n").unwrap();
    let with = |token: &str| {
        WELL.replace(
            "127.0.0.1:9901\"",
            &format!("0.0.0.0:9901\"\nadmin_token = {token}"),
        )
    };
    let loaded = load_text(&path, with("{ file = \"token\" }")).unwrap();
    let token = loaded.config.listen.admin_token.clone().unwrap();
    assert_eq!(token.expose(), "a-long-enough-token");
    assert!(!format!("{:?}", loaded.config).contains("long-enough"));
    for (token, message) in [
        (
            "{ env = \"SWITCHBACK_NEVER_SET\" }",
            "SWITCHBACK_NEVER_SET, which is not set",
        ),
        ("{ file = \"gone\" }", "cannot be read"),
        ("{}", "needs either `env` or `file`"),
        (
            "{ env = \"A\", file = \"b\" }",
            "needs either `env` or `file`",
        ),
        ("{ envv = \"A\" }", "did you mean `env`?"),
    ] {
        let lines = load_text(&path, with(token)).unwrap_err().lines();
        assert!(
            lines.iter().any(|line| line.contains(message)),
            "{lines:?} says {message}"
        );
    }
}

#[test]
fn the_tenant_directory_reports_its_own_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    let text = WELL.replace("[calls]", "[tenants]\nfile = \"tenants.csv\"\n[calls]");
    let missing = load_text(&path, text.clone()).unwrap_err();
    assert!(
        missing.lines()[0].contains("t.toml:26: the tenant directory"),
        "{missing}"
    );

    let csv = dir.path().join("tenants.csv");
    fs::write(&csv, "key,tenant\n+1 415 555 0142,a\nbroken\n").unwrap();
    let broken = load_text(&path, text.clone()).unwrap_err();
    let lines = broken.lines();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("tenants.csv:3: the line has no comma")),
        "{lines:?}"
    );
    assert!(
        !broken.render(false).contains("415"),
        "numbers are not shown: {broken}"
    );

    fs::write(&csv, "key,tenant\n+1 415 555 0142,a\n+14155550143,a\n").unwrap();
    let loaded = load_text(&path, text.clone()).unwrap();
    let lines = loaded.warnings.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("the directory names no tenant `b`"),
        "{lines:?}"
    );
    fs::write(&csv, "key,tenant\n+14155550143,+14155550143\n").unwrap();
    let asked = text.replace("\"b\"", "\"+14155550144\"");
    assert_ne!(asked, text);
    let report = load_text(&path, asked).unwrap().warnings;
    assert!(
        !report.render(false).contains("did you mean `+"),
        "nor is a number guessed at: {report}"
    );
    let config = loaded.config;
    assert_eq!(config.tenants.as_ref().map(|file| file.keys), Some(2));
    let directory = config.proxy.directory.as_ref().unwrap();
    assert_eq!(directory.tenant("+14155550142"), Some("a"));

    fs::write(&csv, "key,tenant\n+1 415 555 0142,a\n+14155550143,b\n").unwrap();
    let after = load_text(&path, text).unwrap().config;
    assert_ne!(config.hash, after.hash, "the hash covers the directory");
    assert!(diff(&config, &after).changed[0].contains("the tenant directory"));
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let report = load(Path::new("/nowhere/switchback.toml")).unwrap_err();
    assert_eq!(report.errors(), 1);
    assert!(report.render(false).contains("cannot be read"), "{report}");
}

#[test]
fn the_report_looks_like_this() {
    let text = WELL
        .replace("percentage = 10", "percent = 10")
        .replace("hash = \"java31\"", "hash = \"java31\"\nsalt = \"s\"");
    let report = checked(&text).unwrap_err();
    assert_eq!(
        report.render(false),
        r#"warning: `salt` means nothing to java31
  --> config/t.toml:31:8
   |
31 | salt = "s"
   |        ^^^
   |
   = help: remove the line, or use hash = "xxh3"

error: unknown key `percent` in [split]
  --> config/t.toml:33:1
   |
33 | percent = 10
   | ^^^^^^^
   |
   = help: did you mean `percentage`?

1 error, 1 warning in config/t.toml
"#
    );
    assert!(
        report.render(true).contains('\u{1b}'),
        "colour where it is wanted"
    );
}

fn shipped(name: &str) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name);
    load(&path).unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn the_sample_and_the_preset_are_taken_without_a_warning() {
    for name in ["switchback.toml", "presets/ivr-texml.toml"] {
        let loaded = shipped(name);
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let rules = &loaded.config.rules;
        assert_eq!(rules.len(), 14, "seven rows of each table");
        let names: Vec<_> = rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(
            names.get(..7),
            Some(
                &[
                    "errors-5-15m",
                    "errors-10-5m",
                    "response-time-mean-3s-10m",
                    "response-time-mean-5s-5m",
                    "abandonment-15-30m",
                    "abandonment-25-15m",
                    "critical-errors-0-1h",
                ][..]
            )
        );
    }
    assert_eq!(
        shipped("switchback.toml").config.state.on_empty,
        OnEmpty::File
    );
}

/// The sample with what it only shows as a comment: of Vapi's credentials this one,
/// and of the last resorts this one.
fn sample_with_everything(credential: &str, last_resort: &str) -> String {
    const SHOWN: [&str; 22] = [
        "public_url",
        "token_secret",
        "connections_per_source",
        "streams",
        "stream_idle_timeout",
        "stream_drain_timeout",
        "rescues",
        "concurrency",
        "queue",
        "queue_wait",
        "names",
        "claim",
        "health",
        "breaker",
        "[[route]]",
        "path",
        "protocol",
        "tenant",
        "affinity",
        "rescue",
        "rescue_after",
        "entry",
    ];
    let sample = include_str!("../../config/switchback.toml");
    let lines = sample.lines().map(|line| {
        let shown = line.strip_prefix("# ").unwrap_or_default();
        let key = shown.split_ascii_whitespace().next().unwrap_or_default();
        let other = line.contains("VAPI_") && !line.contains(credential);
        match key {
            "verify" if !other => shown,
            "last_resort" if shown.contains(last_resort) => shown,
            key if SHOWN.contains(&key) => shown,
            _ => line,
        }
    });
    let text: Vec<&str> = lines.collect();
    let mut text = text.join("\n");
    // Secrets that the environment of a test does not hold.
    while let Some((before, rest)) = text.split_once("{ env = ") {
        let (_, after) = rest.split_once('}').expect("the table ends");
        text = format!("{before}{{ file = \"secret\" }}{after}");
    }
    text.replace(
        "base64 of 32 bytes",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    )
    .replace("host = \"public\"", "host = \"backend\"")
    .replace("[backend.new]", "[backend.new]\nhost = \"backend\"")
}

#[test]
fn what_the_sample_shows_as_a_comment_is_taken_too() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "long-enough-not-to-be-guessed").unwrap();
    fs::write(dir.path().join("sorry.xml"), "<Response/>").unwrap();
    for (credential, last_resort, said) in [
        ("\"VAPI_SECRET\"", "sorry.xml", "a file of 11 bytes"),
        ("\"VAPI_TOKEN\"", "forward", "forwarded to …99"),
        ("\"VAPI_HMAC_SECRET\"", "off", "the failure is passed on"),
    ] {
        let text = sample_with_everything(credential, last_resort);
        let loaded = load_text(&dir.path().join("t.toml"), text);
        let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let routes = &loaded.config.proxy.routes;
        assert_eq!(routes.len(), 4, "one of each protocol");
        assert!(routes.iter().all(|route| route.verify.is_some()));
        let rescues = loaded.config.rescues();
        assert!(
            rescues.iter().any(|told| told.ends_with(said)),
            "{rescues:?}"
        );
        assert!(loaded.config.proxy.token_secret.is_some());
        assert!(loaded.config.proxy.backends.new.claim.is_some());
        assert!(loaded.config.proxy.backends.legacy.cap.is_some());
    }
}

#[test]
fn what_the_sample_shows_of_a_plan_and_its_surroundings_is_taken_too() {
    let sample = include_str!("../../config/switchback.toml");
    let shown = |line: &str| {
        let text = line.strip_prefix("# ").unwrap_or_default().to_owned();
        let is_toml = text.starts_with('[')
            || text.split_once('=').is_some_and(|(key, _)| {
                let key = key.trim();
                !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            });
        // Of `run` and `url` a hook has one.
        (is_toml && !text.starts_with("url ")).then_some(text)
    };
    let mut text = String::new();
    let mut inside = false;
    for line in sample.lines() {
        inside = (inside || line == "# [plan]") && !line.starts_with("# -- The reversal");
        let extra = ["keep ", "outcomes ", "decisions ", "rotate "];
        let named = line
            .strip_prefix("# ")
            .is_some_and(|it| extra.iter().any(|key| it.starts_with(key)));
        match shown(line).filter(|_| inside || named) {
            Some(shown) => text.push_str(&shown),
            None if line.starts_with("percentage =") => {}
            None => text.push_str(line),
        }
        text.push('\n');
    }
    let loaded = load_text(Path::new("t.toml"), text);
    let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let config = loaded.config;
    let plan = config.plan.unwrap();
    let stage = &plan.stages[0];
    assert_eq!((stage.name.as_str(), stage.gates.len()), ("pilot", 3));
    assert!(stage.hours.is_some() && stage.not_before.is_some() && stage.blind.is_some());
    assert_eq!(
        (plan.calendar.windows.len(), plan.calendar.freezes.len()),
        (2, 1)
    );
    assert_eq!(config.hooks.len(), 1);
    assert!(config.data.is_some() && config.state.keep.is_some() && config.log.outcomes.is_some());
}

#[test]
fn rows_get_the_defaults_of_their_measure() {
    let rules = shipped("switchback.toml").config.rules;
    let of = |name: &str| rules.iter().find(|rule| rule.name == name).unwrap();
    let errors = of("errors-10-5m");
    assert_eq!((errors.calls_min, errors.failed_min), (20, 8));
    assert_eq!(errors.early.map(|early| early.false_alarm), Some(100_000.0));
    let alerting = of("errors-5-15m");
    assert_eq!(
        (alerting.calls_min, alerting.failed_min, alerting.early),
        (20, 0, None)
    );
    let critical = of("critical-errors-0-1h");
    assert_eq!(
        (critical.calls_min, critical.failed_min, critical.early),
        (0, 0, None)
    );
    let mean = of("response-time-mean-5s-5m");
    assert_eq!(
        (mean.threshold, mean.failed_min, mean.early.is_some()),
        (5000.0, 0, true)
    );
}

#[test]
fn routes_stand_longest_path_first() {
    let text = WELL.replace(
        "[calls]",
        "[[route]]\npath = \"/ivr/deep/\"\nprotocol = \"twilio\"\n[calls]",
    );
    let routes = checked(&text).unwrap().config.proxy.routes;
    let paths: Vec<_> = routes.iter().map(|route| route.path.as_str()).collect();
    assert_eq!(paths, ["/ivr/deep", "/ivr"]);
}

mod whatever_is_in_the_file {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_text_is_answered(text in "\\PC{0,200}|(?s).{0,200}") {
            let _rendered = checked(&text).map_err(|report| report.render(true));
        }

        /// A sound file with a piece cut out and another put in gets much further.
        #[test]
        fn a_mangled_file_is_answered(
            at in 0..WELL.len(),
            cut in 0usize..40,
            put in "[\\[\\]{}\"'=.,#\n a-z0-9%é\u{feff}\u{0}-]{0,12}",
        ) {
            let end = (at + cut).min(WELL.len());
            let mut text = WELL.to_owned();
            text.replace_range(at..end, &put);
            if let Err(report) = checked(&text) {
                prop_assert!(report.errors() > 0);
                let _rendered = report.render(false);
            }
        }
    }

    #[test]
    fn depth_is_answered_too() {
        for text in [
            "[".repeat(100_000),
            "a.".repeat(100_000) + "a=1",
            "a={".repeat(100_000),
        ] {
            assert!(checked(&text).is_err());
        }
    }
}
