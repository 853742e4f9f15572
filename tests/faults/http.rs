//! HTTP/1.1 as far as these tests need it: by hand, so that a backend can break every
//! rule of it, and without a thread for each of many hundred calls.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No wait of a test lasts longer; what takes this long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A head and a body, from either side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) first: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Of an answer.
    pub(crate) fn status(&self) -> u16 {
        let number = self.first.split(' ').nth(1);
        number
            .and_then(|number| number.parse().ok())
            .expect("a status line has a number")
    }

    /// Of a request: what stands between method and version.
    pub(crate) fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// A parameter of a request's query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target().split_once('?')?;
        let mut fields = query.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Which backend answered; `-` if none did.
    pub(crate) fn side(&self) -> &str {
        self.header("x-backend").unwrap_or("-")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What a provider, a person or a scraper asks for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self {
            method: "GET",
            target: target.into(),
            kind: "",
            body: String::new(),
        }
    }

    pub(crate) fn json(target: impl Into<String>, body: &Value) -> Self {
        Self {
            method: "POST",
            target: target.into(),
            kind: "application/json",
            body: body.to_string(),
        }
    }

    /// The same with more in its query.
    pub(crate) fn with(mut self, query: &str) -> Self {
        if !query.is_empty() {
            self.target
                .push(if self.target.contains('?') { '&' } else { '?' });
            self.target.push_str(query);
        }
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let Self {
            method,
            target,
            kind,
            body,
        } = self;
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n");
        if !kind.is_empty() {
            text.push_str(&format!("content-type: {kind}\r\n"));
        }
        if *method != "GET" {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("connection: close\r\n\r\n");
        text.push_str(body);
        text.into_bytes()
    }

    /// Asks it over a connection of its own.
    pub(crate) async fn ask(&self, address: SocketAddr) -> io::Result<Message> {
        let asked = async {
            let mut link = Link::over(TcpStream::connect(address).await?);
            link.stream.write_all(&self.bytes()).await?;
            let answer = link.receive().await?;
            answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        };
        timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// One connection.
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    ahead: Vec<u8>,
}

impl Link {
    pub(crate) fn over(stream: TcpStream) -> Self {
        // Where the kernel refuses it, tests are slow and still right.
        drop(stream.set_nodelay(true));
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// The next message; None where the other side closed instead of sending one.
    pub(crate) async fn receive(&mut self) -> io::Result<Option<Message>> {
        let end = loop {
            if let Some(at) = find(&self.ahead, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await? {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        };
        let head: String = self.ahead.drain(..end).map(char::from).collect();
        let mut lines = head.trim_end().split("\r\n");
        let mut message = Message {
            first: lines.next().unwrap_or_default().to_owned(),
            ..Message::default()
        };
        let named = lines.filter_map(|line| line.split_once(':'));
        message.headers = named
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let length = message.header("content-length").map(str::parse::<usize>);
        let length = length.transpose().map_err(io::Error::other)?;
        let is_answer = message.first.starts_with("HTTP/");
        message.body = match length {
            Some(length) => self.exactly(length).await?,
            None if is_answer => {
                while self.more().await? {}
                std::mem::take(&mut self.ahead)
            }
            None => Vec::new(),
        };
        Ok(Some(message))
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    async fn more(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let read = self.stream.read(&mut buffer).await?;
        self.ahead.extend_from_slice(&buffer[..read]);
        Ok(read > 0)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}
