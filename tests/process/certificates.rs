//! Certificates of a running process: shown, replaced, and refused when they do not fit.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use switchback::proxy::tls::provider;

use super::lab::{Lab, NEAR, Said, command, form};

const HOST: &str = "voice.example.com";
const TLS: &str = "tls = { cert = \"cert.pem\", key = \"key.pem\" }";

/// A certificate and its key, in PEM.
fn issue() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    let cert = cert.self_signed(&key).unwrap();
    (cert.pem(), key.serialize_pem())
}

fn put(lab: &Lab, (cert, key): &(String, String)) {
    lab.write("cert.pem", cert);
    lab.write("key.pem", key);
}

/// Is this certificate shown, and a webhook answered behind it?
fn serves(lab: &Lab, (cert, _): &(String, String)) -> bool {
    let mut roots = RootCertStore::empty();
    let believed = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    roots.add(believed).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(HOST).unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(session, TcpStream::connect(lab.webhooks()).unwrap());
    let body = form(NEAR, &lab.fresh(), "");
    let request = format!(
        "POST /ivr HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer));
    answer.starts_with("HTTP/1.1 200")
}

#[test]
fn certificates_are_replaced_by_a_reload_and_a_bad_pair_is_refused() {
    let mut lab = Lab::prepared(|file| file.listen = TLS);
    let (first, second) = (issue(), issue());
    put(&lab, &first);
    lab.start_at_file();
    assert!(serves(&lab, &first));
    let ends = "switchback_certificate_expiry_timestamp_seconds{certificate=\"listen-0\"}";
    lab.until("its end is known", || lab.metric(ends).is_some());

    // A certificate without its key.
    lab.write("cert.pem", &second.0);
    let said = lab.cli(&["reload"]);
    assert_eq!(said.code, 78, "{}", said.err);
    assert!(
        said.err.contains("is not the key of the first certificate"),
        "{}",
        said.err
    );
    assert!(!said.err.contains("BEGIN"), "{}", said.err);
    assert!(serves(&lab, &first), "the old ones serve");

    put(&lab, &second);
    lab.hangup();
    lab.until("the new one is shown", || serves(&lab, &second));
    assert!(!serves(&lab, &first));
    assert_eq!(lab.stop().code(), Some(0));
}

#[test]
fn a_process_does_not_start_on_a_pair_that_does_not_fit() {
    let lab = Lab::prepared(|file| file.listen = TLS);
    put(&lab, &issue());
    fs::remove_file(lab.dir.path().join("key.pem")).unwrap();
    let said = Said::of(command().arg("check").arg("--config").arg(lab.config()));
    assert_eq!(said.code, 78, "{}", said.err);
    assert!(said.err.contains("which cannot be read"), "{}", said.err);
    assert!(said.err.contains('^'), "{}", said.err);
}
