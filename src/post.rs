//! A small JSON told to an address outside: one connection, one POST, and an end to
//! everything.
//!
//! Success is a 2xx. Redirects are not followed: whoever moved should be told so by the
//! configuration. Path and query of an address are secrets to many services, so what is
//! said about one names its host and nothing more.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::model::mask_numbers;

/// Bytes of an answer that are read to say why it is none; what follows is not.
const WHY_MAX: usize = 2048;

/// Characters of its first line that are shown.
const LINE_MAX: usize = 200;

/// Where something is told. It prints without its path and query.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    authority: String,
    port: u16,
    tls: Option<ServerName<'static>>,
    path: String,
}

impl Address {
    /// Reads an `http` or `https` URL.
    ///
    /// # Errors
    ///
    /// It is none, or carries a name and password, in words that do not repeat it.
    pub fn new(url: &str) -> Result<Self, String> {
        let wrong = || "an address is http://HOST[:PORT]/PATH or https://…".to_owned();
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(
                "an address carries no name and password; put a token into its path or query"
                    .to_owned(),
            );
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let tls = is_tls
            .then(|| ServerName::try_from(host.clone()))
            .transpose()
            .map_err(|_| format!("{host} is no name that a certificate can bear"))?;
        Ok(Self {
            port: authority
                .port_u16()
                .unwrap_or(if is_tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            host,
            tls,
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let rest = if self.path == "/" { "" } else { "/…" };
        write!(f, "{scheme}://{}{rest}", self.authority)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// It was not told, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Untold {
    /// Why, for people.
    pub why: String,
    /// May it go better a moment later?
    pub may_pass: bool,
}

impl Untold {
    fn passing(why: impl fmt::Display) -> Self {
        Self {
            why: why.to_string(),
            may_pass: true,
        }
    }

    fn lasting(why: impl fmt::Display) -> Self {
        Self {
            why: why.to_string(),
            may_pass: false,
        }
    }
}

/// Who tells.
#[derive(Clone, Debug, Default)]
pub struct Poster {
    /// Whom `https` addresses must be vouched for by; None: by whom the system trusts.
    pub authorities: Option<Arc<RootCertStore>>,
}

impl Poster {
    /// Tells `json` to this address, in so much time at most.
    ///
    /// # Errors
    ///
    /// No connection, no answer in time, or an answer other than 2xx.
    pub async fn post(&self, to: &Address, json: Bytes, within: Duration) -> Result<(), Untold> {
        let told = tokio::time::timeout(within, self.exchange(to, json)).await;
        told.unwrap_or_else(|_| {
            let why = format!("{to} did not answer within {} s", within.as_secs_f64());
            Err(Untold::passing(why))
        })
    }

    async fn exchange(&self, to: &Address, json: Bytes) -> Result<(), Untold> {
        let failed = |error: &dyn fmt::Display| Untold::passing(format!("{to}: {error}"));
        let stream = TcpStream::connect((to.host.as_str(), to.port))
            .await
            .map_err(|error| failed(&error))?;
        let Some(name) = to.tls.clone() else {
            return tell(stream, to, json).await;
        };
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| failed(&error))?;
        tell(stream, to, json).await
    }

    /// Built for each connection: what the system trusts may change, and this is rare.
    fn tls(&self) -> Result<ClientConfig, Untold> {
        let roots = match &self.authorities {
            Some(roots) => Arc::clone(roots),
            None => Arc::new(system()?),
        };
        let provider = CryptoProvider::get_default()
            .cloned()
            .unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Untold::lasting)?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Whom the system trusts.
fn system() -> Result<RootCertStore, Untold> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(Untold::lasting(
            "this system trusts no authority, so no https address can be told anything; install \
             its certificates (ca-certificates)",
        ));
    }
    Ok(roots)
}

async fn tell<S>(stream: S, to: &Address, json: Bytes) -> Result<(), Untold>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let failed = |error: &dyn fmt::Display| Untold::passing(format!("{to}: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(to.path.as_str())
        .header(header::HOST, &to.authority)
        .header(
            header::USER_AGENT,
            concat!("switchback/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(json))
        .map_err(|_| Untold::lasting(format!("{to}: it has a path that cannot be asked for")))?;
    let answer = Box::pin(async {
        let answer = sender.send_request(request).await;
        judge(to, answer.map_err(|error| failed(&error))?).await
    });
    // The connection turns with the request and ends with it; its own error shows there.
    match select(answer, Box::pin(connection)).await {
        Either::Left((told, _)) => told,
        Either::Right((_, answer)) => answer.await,
    }
}

async fn judge(to: &Address, answer: Response<Incoming>) -> Result<(), Untold> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let mut why = format!("{to} answered {}", status.as_u16());
    if status.is_redirection() {
        why.push_str("; redirects are not followed, so give the address it leads to");
    } else if let Some(line) = first_line(answer.into_body()).await {
        why.push_str(": ");
        why.push_str(&line);
    }
    let may_pass = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    Err(Untold { why, may_pass })
}

/// What the answer begins with, for whoever reads why it failed.
async fn first_line(body: Incoming) -> Option<String> {
    let whole = Limited::new(body, WHY_MAX).collect().await.ok()?.to_bytes();
    let text = String::from_utf8_lossy(&whole);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line: String = line.chars().take(LINE_MAX).collect();
    Some(mask_numbers(&line.replace(char::is_control, " ")))
}

#[cfg(test)]
mod tests;
