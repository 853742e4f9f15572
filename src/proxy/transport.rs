//! A connection's bytes, plain or through TLS. Plain ones cost one branch more than
//! the socket itself.

use std::future::poll_fn;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// A connection used so lately is taken at tokio's word; one that has rested
/// longer is asked for its state by a system call of its own.
const FRESH: Duration = Duration::from_millis(1);

/// A connection.
#[derive(Debug)]
pub(super) enum Transport {
    /// As the network carries it.
    Plain(TcpStream),
    /// Through TLS. On the heap, because plain ones should not carry room for it.
    Tls(Box<TlsStream<Tcp>>),
}

impl Transport {
    /// Is it encrypted?
    pub(super) const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Was HTTP/2 agreed upon?
    pub(super) fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Ready once there is something to read, were it the end. What TLS says for
    /// itself, session tickets and new keys, is taken in and is nothing to read.
    pub(super) fn poll_something(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx).map(drop),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_fill_buf(cx).map(drop),
        }
    }

    /// Waits for something to read, were it the end.
    ///
    /// # Errors
    ///
    /// The system has no way left to tell us.
    pub(super) async fn readable(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.readable().await,
            Self::Tls(_) => {
                poll_fn(|cx| self.poll_something(cx)).await;
                Ok(())
            }
        }
    }

    /// Is it still open, with nothing to read, after it has `rested` so long? A byte
    /// that nobody asked for would be taken for the beginning of the next answer.
    pub(super) fn is_quiet(&mut self, rested: Duration) -> bool {
        match self {
            Self::Plain(stream) => {
                let peeked = if rested < FRESH {
                    stream.try_read(&mut [0])
                } else {
                    SockRef::from(&*stream).peek(&mut [MaybeUninit::uninit()])
                };
                matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::Tls(stream) => is_quiet(stream),
        }
    }

    /// Says through TLS that nothing more comes, as far as that can be said at once. The
    /// other end would take it for an accident else, and log it.
    pub(super) fn farewell(&mut self) {
        if let Self::Tls(stream) = self {
            let mut cx = Context::from_waker(Waker::noop());
            // There is nobody left to tell of a failure.
            drop(Pin::new(&mut **stream).poll_shutdown(&mut cx));
        }
    }

    /// Bytes that went out to the network through TLS; 0 where there is none.
    pub(super) fn written(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(stream) => stream.get_ref().0.written,
        }
    }
}

/// Takes in what has come and looks whether any of it is for us. It may well be a
/// ticket for the next session.
fn is_quiet(stream: &mut TlsStream<Tcp>) -> bool {
    let TlsStream::Client(stream) = stream else {
        return false;
    };
    let (tcp, session) = stream.get_mut();
    // The system's own read, because tokio's knows only what it has polled. What
    // it still believes to be there, its next read will not find.
    let socket = SockRef::from(&tcp.stream);
    loop {
        let Ok(state) = session.process_new_packets() else {
            return false;
        };
        if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
            return false;
        }
        match session.read_tls(&mut Raw(&socket)) {
            Ok(1..) => {}
            Ok(0) => return false,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// A socket as the system reads it.
struct Raw<'a>(&'a socket2::Socket);

impl Read for Raw<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.0;
        socket.read(into)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = match self.get_mut() {
            Self::Plain(stream) => return Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => &mut **stream,
        };
        match ready!(Pin::new(&mut *stream).poll_read(cx, buf)) {
            // Many clients just hang up. Requests and frames say themselves where they
            // end; a backend's answer may not, and there a missing word stays an error.
            Err(error)
                if error.kind() == io::ErrorKind::UnexpectedEof
                    && matches!(stream, TlsStream::Server(_)) =>
            {
                Poll::Ready(Ok(()))
            }
            read => Poll::Ready(read),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

/// The socket below TLS, which counts what went through it: only here can be seen
/// whether anything of a record has left, or moves at all.
#[derive(Debug)]
pub(super) struct Tcp {
    stream: TcpStream,
    is_read: bool,
    written: u64,
}

impl Tcp {
    /// A new connection.
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            is_read: false,
            written: 0,
        }
    }

    /// Has not a byte come yet?
    pub(super) const fn is_unread(&self) -> bool {
        !self.is_read
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.is_read |= buf.filled().len() > before;
        read
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, pieces))?;
        this.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
