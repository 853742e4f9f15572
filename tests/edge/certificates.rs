//! Certificates for tests, and the two ends of a TLS connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};
use switchback::proxy::tls::{Files, Inward, Outward, provider};
use tempfile::TempDir;

use super::backend::backend;

/// One end of a connection.
pub(crate) type Client = StreamOwned<ClientConnection, TcpStream>;
/// The other.
pub(crate) type Server = StreamOwned<ServerConnection, TcpStream>;

/// An authority, and a directory for what it issues.
pub(crate) struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).unwrap();
        fs::write(dir.path().join("ca.pem"), cert.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { dir, issuer }
    }

    /// Its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Issues a certificate for these names into the files of that name.
    pub(crate) fn issue(&self, file: &str, names: &[&str]) -> Files {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(names).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files {
            cert: self.dir.path().join(format!("{file}.pem")),
            key: self.dir.path().join(format!("{file}.key")),
        };
        fs::write(&files.cert, cert.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// Serves these.
    pub(crate) fn inward(&self, files: &[&Files]) -> Arc<Inward> {
        let files = files.iter().map(|files| (*files).clone()).collect();
        Arc::new(Inward::open(files, false).unwrap())
    }

    /// Asks a backend of this name that it vouches for.
    pub(crate) fn outward(&self, name: &str, shown: Option<&Files>) -> Arc<Outward> {
        Arc::new(Outward::open(name, Some(self.file()), shown.cloned()).unwrap())
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let cert = CertificateDer::from_pem_file(self.file()).unwrap();
        roots.add(cert).unwrap();
        Arc::new(roots)
    }

    /// What a client obeys that believes in it.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots(), provider());
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_webpki_verifier(verifier.build().unwrap())
            .with_no_client_auth()
    }

    /// A client that asks for this name; the handshake is done, or the error it met.
    pub(crate) fn connect(&self, at: SocketAddr, name: &str) -> std::io::Result<Client> {
        let config = self.client(rustls::DEFAULT_VERSIONS);
        connect(Arc::new(config), at, name)
    }

    /// Sends a request to the name on a connection of its own; gives all that came back.
    pub(crate) fn raw(&self, at: SocketAddr, name: &str, request: &str) -> String {
        let mut stream = self.connect(at, name).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        super::http::read_all(&mut stream)
    }

    /// What a backend obeys that shows this; with `asks` its clients must show one of
    /// this authority too.
    pub(crate) fn server(&self, shown: &Files, asks: bool) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks {
            let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_file(&shown.cert).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&shown.key).unwrap();
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }
}

/// Connects and shakes hands.
pub(crate) fn connect(
    config: Arc<ClientConfig>,
    at: SocketAddr,
    name: &str,
) -> std::io::Result<Client> {
    let stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream);
    while client.conn.is_handshaking() {
        client.conn.complete_io(&mut client.sock)?;
    }
    Ok(client)
}

/// The certificate that a client was shown.
pub(crate) fn shown(client: &Client) -> CertificateDer<'static> {
    let chain = client.conn.peer_certificates().unwrap();
    chain.first().unwrap().clone().into_owned()
}

/// The certificate in a file.
pub(crate) fn held(files: &Files) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&files.cert).unwrap()
}

/// Sends a webhook on a connection that stays, and reads its answer.
pub(crate) fn converse(stream: &mut Client, request: impl AsRef<[u8]>) {
    stream.write_all(request.as_ref()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"<Response/>") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "closed after {answer:?}");
        answer.extend_from_slice(&piece[..read]);
    }
}

/// A backend that speaks TLS; `act` is given each connection that shook hands, and its
/// number.
pub(crate) fn secured(
    config: Arc<ServerConfig>,
    act: impl Fn(&mut Server, usize) + Send + Sync + 'static,
) -> SocketAddr {
    backend(move |stream, number| {
        let session = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            if stream.conn.complete_io(&mut stream.sock).is_err() {
                return;
            }
        }
        act(&mut stream, number);
    })
}
