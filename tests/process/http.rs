//! HTTP/1.1 as far as the tests need it, blocking and by hand, because the tests
//! look at bytes that a library would tidy up.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// No wait of a test lasts longer; what takes this long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A head and a body, from either side.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) first: String,
    /// Names as they came; values as Latin-1.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The only header of that name; None without it.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.all(name);
        let only = all.next();
        assert_eq!(all.next(), None, "{name} is there twice");
        only
    }

    /// Every value of that header, in the order they came.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_str())
    }

    /// Of an answer.
    pub(crate) fn status(&self) -> u16 {
        let number = self.first.split(' ').nth(1);
        number
            .and_then(|number| number.parse().ok())
            .expect("a status line has a number")
    }

    /// Which backend answered; `-` if none did.
    pub(crate) fn side(&self) -> &str {
        self.header("x-backend").unwrap_or("-")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// One connection.
pub(crate) struct Link {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Link {
    pub(crate) fn to(address: SocketAddr) -> io::Result<Self> {
        TcpStream::connect_timeout(&address, PATIENCE).map(Self::over)
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        // Where the kernel refuses one of these, tests are slow and still right.
        drop(stream.set_nodelay(true));
        drop(stream.set_read_timeout(Some(PATIENCE)));
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The connection, and what was read of it already.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.ahead)
    }

    /// The next message; None where the other side closed instead of sending one.
    pub(crate) fn receive(&mut self) -> io::Result<Option<Message>> {
        let end = loop {
            if let Some(at) = find(&self.ahead, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more()? {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        };
        let head: String = self.ahead.drain(..end).map(char::from).collect();
        let mut lines = head.trim_end().split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut message = Message {
            first,
            headers,
            body: Vec::new(),
        };
        let length = message
            .header("content-length")
            .map(|length| length.parse::<usize>().expect("a length is a number"));
        message.body = self.body(length, message.first.starts_with("HTTP/"))?;
        Ok(Some(message))
    }

    /// The answer to what was sent; it is an error if none comes.
    pub(crate) fn answer(&mut self) -> io::Result<Message> {
        self.receive()?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn body(&mut self, length: Option<usize>, is_answer: bool) -> io::Result<Vec<u8>> {
        match length {
            Some(length) => {
                while self.ahead.len() < length {
                    if !self.more()? {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Ok(self.ahead.drain(..length).collect())
            }
            None if is_answer => {
                while self.more()? {}
                Ok(std::mem::take(&mut self.ahead))
            }
            None => Ok(Vec::new()),
        }
    }

    fn more(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let read = self.stream.read(&mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..read]);
        Ok(read > 0)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

/// One request over a connection of its own.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Message> {
    let mut link = Link::to(address)?;
    link.send(&request(method, target, headers, body))?;
    link.answer()
}

/// The bytes of a request.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}
