//! Pairs that fit, and pairs that do not.

use std::fs;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use crate::config::{self, Level};

/// A directory with `good`, `old` and `other` pairs and an authority.
fn files() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, year) in [("good", 2090), ("old", 2001), ("other", 2090)] {
        let key = KeyPair::generate().unwrap();
        let mut cert = CertificateParams::new(vec![format!("{name}.example.com")]).unwrap();
        cert.not_before = date_time_ymd(2000, 1, 1);
        cert.not_after = date_time_ymd(year, 2, 3);
        let cert = cert.self_signed(&key).unwrap();
        fs::write(dir.path().join(format!("{name}.pem")), cert.pem()).unwrap();
        fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    fs::write(dir.path().join("empty"), "").unwrap();
    dir
}

fn load(
    dir: &TempDir,
    listen: &str,
    url: &str,
    new: &str,
) -> Result<config::Loaded, config::Report> {
    let text = format!(
        "[listen]\n{listen}\n[state]\ndir = \"state\"\n\
         [backend.legacy]\nurl = \"http://127.0.0.1:3001\"\n\
         [backend.new]\nurl = \"{url}\"\n{new}\n\
         [[route]]\npath = \"/ivr\"\nprotocol = \"telnyx-texml\"\ntenant = [\"to\"]\n\
         [split]\nby = \"tenant\"\nhash = \"java31\"\npercentage = 5\n\
         [[reversal]]\nmeasure = \"critical_errors\"\nabove = 0\nover = \"1h\"\naction = \"reverse\"\n"
    );
    config::load_text(&dir.path().join("switchback.toml"), text)
}

const PLAIN: &str = "http://127.0.0.1:3002";
const SECURE: &str = "https://ivr-new.example.com";

#[test]
fn one_pair_or_several_are_read_beside_the_file() {
    let dir = files();
    for (tls, shown) in [
        ("tls = { cert = \"good.pem\", key = \"good.key\" }", 1),
        (
            "tls = [{ cert = \"good.pem\", key = \"good.key\" }, { cert = \"other.pem\", key = \"other.key\" }]",
            2,
        ),
        ("[listen.tls]\ncert = \"good.pem\"\nkey = \"good.key\"", 1),
    ] {
        let loaded = load(&dir, tls, PLAIN, "").unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let inward = loaded.config.proxy.tls.clone().unwrap();
        assert_eq!(inward.certificates().len(), shown);
        let told = loaded.config.encryption();
        assert!(
            told[0].contains("good.example.com, good until 2090-02-03"),
            "{told:?}"
        );
    }
}

#[test]
fn what_cannot_be_served_is_said_at_the_key_that_names_it() {
    let dir = files();
    for (tls, at, said) in [
        (
            "tls = { cert = \"good.pem\", key = \"other.key\" }",
            "\"other.key\"",
            "is not the key of the first certificate",
        ),
        (
            "tls = { cert = \"none.pem\", key = \"good.key\" }",
            "\"none.pem\"",
            "cannot be read",
        ),
        (
            "tls = { cert = \"empty\", key = \"good.key\" }",
            "\"empty\"",
            "holds no certificate",
        ),
        ("tls = { cert = \"good.pem\" }", "{ cert", "needs `key`"),
        ("tls = []", "[]", "is an empty list"),
        ("tls = \"good.pem\"", "\"good.pem\"", "is a string here"),
        (
            "tls = { cert = \"good.pem\", key = \"good.key\", ca = \"x\" }",
            "ca",
            "unknown key `ca`",
        ),
        ("http2 = true", "true", "means nothing without `tls`"),
    ] {
        let report = load(&dir, tls, PLAIN, "").unwrap_err().render(false);
        assert!(report.contains(said), "{tls}\n{report}");
        let line = tls.lines().next().unwrap();
        assert!(report.contains(line), "{tls}\n{report}");
        let caret = report.lines().find(|line| line.contains('^')).unwrap();
        let shown = report.lines().find(|shown| shown.contains(line)).unwrap();
        let column = shown.find(line).unwrap() + line.find(at).unwrap();
        assert_eq!(caret.find('^'), Some(column), "{tls}\n{report}");
    }
}

#[test]
fn every_bad_pair_of_a_list_is_said() {
    let dir = files();
    let tls = "tls = [{ cert = \"good.pem\", key = \"other.key\" }, { cert = \"empty\", key = \"good.key\" }]";
    let report = load(&dir, tls, PLAIN, "").unwrap_err();
    assert_eq!(report.errors(), 2, "{}", report.render(false));
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let dir = files();
    let tls = "tls = { cert = \"old.pem\", key = \"old.key\" }";
    let loaded = load(&dir, tls, PLAIN, "").unwrap();
    let said = loaded.warnings.render(false);
    assert!(said.contains("expired on 2001-02-03"), "{said}");
    assert!(
        loaded
            .warnings
            .problems()
            .iter()
            .all(|problem| problem.level == Level::Warning)
    );
}

#[test]
fn a_backend_is_asked_over_tls_where_its_url_says_so() {
    let dir = files();
    let all = "tls = { ca_file = \"good.pem\", cert = \"other.pem\", key = \"other.key\", server_name = \"inner.example.com\" }";
    let loaded = load(&dir, "", SECURE, all).unwrap();
    let new = &loaded.config.proxy.backends.new;
    assert_eq!((new.scheme(), new.port), ("https", 443));
    let told = loaded.config.encryption();
    assert!(
        told[0].contains("backend new over TLS: inner.example.com by"),
        "{told:?}"
    );
    let plain = load(&dir, "", PLAIN, "").unwrap();
    assert_eq!(plain.config.proxy.backends.new.scheme(), "http");
    let changed = config::diff(&plain.config, &loaded.config)
        .changed
        .join("\n");
    assert!(changed.contains("https://ivr-new.example.com"), "{changed}");
    assert!(
        changed.contains("`backend.new.tls`: none → inner"),
        "{changed}"
    );
}

#[test]
fn what_a_backend_cannot_be_asked_with_is_said() {
    let dir = files();
    for (url, tls, said) in [
        (
            PLAIN,
            "tls = { ca_file = \"good.pem\" }",
            "means nothing with an http:// `url`",
        ),
        (
            SECURE,
            "tls = { ca_file = \"empty\" }",
            "holds no certificate",
        ),
        (
            SECURE,
            "tls = { ca_file = \"good.pem\", cert = \"good.pem\" }",
            "needs `key`",
        ),
        (
            SECURE,
            "tls = { ca_file = \"good.pem\", cert = \"good.pem\", key = \"other.key\" }",
            "is not the key of the first certificate",
        ),
        (
            SECURE,
            "tls = { ca_file = \"good.pem\", server_name = \"a b\" }",
            "is no name that a certificate can bear",
        ),
    ] {
        let report = load(&dir, "", url, tls).unwrap_err().render(false);
        assert!(report.contains(said), "{tls}\n{report}");
        assert!(report.contains('^'), "{tls}\n{report}");
    }
}

#[test]
fn files_that_changed_are_a_change_though_their_names_are_the_same() {
    let dir = files();
    let tls = "tls = { cert = \"good.pem\", key = \"good.key\" }";
    let before = load(&dir, tls, PLAIN, "").unwrap().config;
    let same = load(&dir, tls, PLAIN, "").unwrap().config;
    assert!(config::diff(&before, &same).is_empty());
    for kind in ["pem", "key"] {
        let other = dir.path().join(format!("other.{kind}"));
        fs::copy(other, dir.path().join(format!("good.{kind}"))).unwrap();
    }
    let after = load(&dir, tls, PLAIN, "").unwrap().config;
    let changed = config::diff(&before, &after).changed;
    assert_eq!(changed, ["`listen.tls`: the files hold something else now"]);
}
