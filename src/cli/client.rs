//! Asking a running Switchback: one request, one connection, plain HTTP.

use std::env;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{AdminArgs, Failure};
use crate::admin::{Problem, Secret};

/// To have a connection; past it the admin counts as not reachable.
const CONNECT: Duration = Duration::from_secs(3);

/// To have the whole answer. Longer than the admin listener's own limit, so that
/// its refusal arrives.
const WHOLE: Duration = Duration::from_secs(15);

/// Bytes of an answer; more is a failure. A journal page of 10,000 entries fits.
const ANSWER_MAX: usize = 32 << 20;

/// Where a running Switchback is, and what opens its door.
#[derive(Debug)]
pub struct Client {
    url: String,
    authority: String,
    host: String,
    port: u16,
    token: Option<HeaderValue>,
    actor: Option<HeaderValue>,
}

impl Client {
    /// By the command line and the environment.
    ///
    /// # Errors
    ///
    /// A usage failure if the address is no plain `http://` URL, or a failure if the
    /// token file cannot be read.
    pub fn from_args(args: &AdminArgs) -> Result<Self, Failure> {
        let token = match &args.token_file {
            Some(path) => Some(read_token(path)?),
            None => env::var("SWITCHBACK_TOKEN").ok(),
        };
        let actor = env::var("USER").ok();
        let address = args.address(env::var("SWITCHBACK_ADMIN").ok());
        Self::new(&address, token.as_deref(), actor.as_deref())
    }

    /// At an address, with a token and the name of who asks.
    ///
    /// # Errors
    ///
    /// A usage failure if the address is no plain `http://` URL or the token cannot
    /// stand in a header.
    pub fn new(url: &str, token: Option<&str>, actor: Option<&str>) -> Result<Self, Failure> {
        let uri: Uri = url.parse().map_err(|_| wrong_url(url))?;
        if uri.scheme_str() == Some("https") {
            return Err(Failure::Usage(format!(
                "{url}: this command speaks plain http only; let it talk to the admin listener \
                 itself, or through a tunnel: ssh -L 9901:127.0.0.1:9901 HOST"
            )));
        }
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong_url(url));
        };
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(wrong_url(url));
        }
        let token = token.filter(|token| !token.trim().is_empty());
        let token = token.map(|token| {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| {
                    Failure::Usage("the token holds characters no token has".to_owned())
                })?;
            value.set_sensitive(true);
            Ok::<_, Failure>(value)
        });
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            authority: authority.as_str().to_owned(),
            host: authority
                .host()
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: authority.port_u16().unwrap_or(80),
            token: token.transpose()?,
            actor: actor.and_then(|actor| HeaderValue::try_from(actor).ok()),
        })
    }

    /// Reads something.
    ///
    /// # Errors
    ///
    /// Not reachable, not permitted, or whatever the admin listener said.
    pub fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.ask(Method::GET, path, Bytes::new())
    }

    /// Changes something.
    ///
    /// # Errors
    ///
    /// Not reachable, not permitted, or whatever the admin listener said.
    pub fn post(&self, path: &str, body: &serde_json::Value) -> Result<Reply, Failure> {
        self.ask(Method::POST, path, body.to_string().into())
    }

    fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Reply, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Failed(format!("could not start: {error}")))?;
        let answered = runtime.block_on(async {
            let exchange = self.exchange(method, path, body);
            timeout(WHOLE, exchange).await.unwrap_or_else(|_| {
                let seconds = WHOLE.as_secs();
                Err(self.unreachable(&format!("no answer within {seconds} seconds")))
            })
        });
        let (status, body) = answered?;
        self.judge(status, body)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(u16, Bytes), Failure> {
        let unreachable = |error: &dyn std::fmt::Display| self.unreachable(&error.to_string());
        let stream = TcpStream::connect((self.host.as_str(), self.port));
        let stream = timeout(CONNECT, stream)
            .await
            .map_err(|_| unreachable(&"no connection within 3 seconds"))?
            .map_err(|error| unreachable(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(&error))?;
        // The connection's own error shows in the request it was made for.
        tokio::spawn(connection);
        let request = self.request(method, path, body)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX)
            .collect()
            .await
            .map_err(|error| unreachable(&error))?;
        Ok((status, body.to_bytes()))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let agent = concat!("switchback/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::USER_AGENT, agent)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(actor) = &self.actor {
            request = request.header("x-switchback-actor", actor);
        }
        request
            .body(Full::new(body))
            .map_err(|error| Failure::Usage(format!("cannot ask for {path}: {error}")))
    }

    fn judge(&self, status: u16, body: Bytes) -> Result<Reply, Failure> {
        if (200..300).contains(&status) {
            return Ok(Reply { body });
        }
        let Ok(problem) = serde_json::from_slice::<Problem>(&body) else {
            return Err(self.unreachable(&format!(
                "what answers there is no Switchback admin listener (status {status})"
            )));
        };
        Err(match status {
            401 | 403 => Failure::NotPermitted(problem.detail),
            422 => Failure::Configuration(problem.detail),
            _ => Failure::Failed(problem.detail),
        })
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::Unreachable(format!(
            "could not reach Switchback's admin listener at {}: {why}\n  \
             Is it running (`switchback run`)? Does `[listen] admin` in its configuration name \
             this address?\n  Another address: --admin URL or SWITCHBACK_ADMIN.",
            self.url
        ))
    }
}

/// A good answer.
#[derive(Debug)]
pub struct Reply {
    body: Bytes,
}

impl Reply {
    /// Reads it as what it should be.
    ///
    /// # Errors
    ///
    /// A failure if it is something else: another program, or another version.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::Failed(format!(
                "the admin listener's answer was not understood: {error}; is it another version?"
            ))
        })
    }
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let token = std::fs::read_to_string(path).map_err(|error| {
        Failure::Failed(format!(
            "could not read the token file {}: {error}",
            path.display()
        ))
    })?;
    if Secret::new(&token).is_none() {
        let path = path.display();
        return Err(Failure::Failed(format!("the token file {path} is empty")));
    }
    Ok(token)
}

fn wrong_url(url: &str) -> Failure {
    Failure::Usage(format!(
        "{url}: an admin address is http://HOST:PORT, nothing more"
    ))
}
