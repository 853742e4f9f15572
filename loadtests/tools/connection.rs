//! One connection at a sample backend: what came and is not whole yet, what did
//! not fit into the socket yet.

use std::io::{self, Read as _, Write as _};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// What becomes of a connection after its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays open.
    Keep,
    /// It is closed.
    Close,
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Which backend was connected to.
    pub(crate) backend: usize,
    /// Tells it from later connections in the same slot.
    pub(crate) serial: u64,
    /// The beginning of a request, and requests that wait for a late answer.
    pub(crate) input: Vec<u8>,
    output: Vec<u8>,
    /// When a held answer goes out; no request is read before.
    pub(crate) due: Option<u64>,
    /// Webhooks it has carried.
    pub(crate) requests: u64,
    /// When it last carried a request, in nanoseconds.
    pub(crate) used: u64,
}

impl Connection {
    /// A connection just accepted.
    pub(crate) fn new(stream: TcpStream, backend: usize, serial: u64) -> Self {
        Self {
            stream,
            backend,
            serial,
            input: Vec::new(),
            output: Vec::new(),
            due: None,
            requests: 0,
            used: crate::clock::now(),
        }
    }

    /// Asks to be told when something happens to it.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        // Both at once: events are edges, so readiness to write costs nothing
        // until a write was cut short.
        registry.register(
            &mut self.stream,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Sends, or keeps what does not fit until the socket has room.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Fate {
        let sent = if self.output.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => return Fate::Close,
            }
        } else {
            0
        };
        let rest = bytes.get(sent..).unwrap_or_default();
        self.output.extend_from_slice(rest);
        Fate::Keep
    }

    /// Sends what was kept, as far as it goes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the coming close a reset, as a crashed process would.
    pub(crate) fn reset(&self) -> Fate {
        let socket = socket2::SockRef::from(&self.stream);
        // If it cannot be set, the connection still closes without an answer.
        socket.set_linger(Some(std::time::Duration::ZERO)).ok();
        Fate::Close
    }
}
