//! A client's handshake, within its time.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use crate::measure::Unsecured;
use crate::model::Tick;
use crate::proxy::transport::{Tcp, Transport};
use crate::proxy::wire::Conn;

/// Shakes hands, by `deadline`. Whatever goes wrong is the client's doing: it is
/// counted, and told only to those who look for it.
///
/// # Errors
///
/// What it came to instead.
pub(in crate::proxy) async fn greet(
    conn: &Conn,
    stream: TcpStream,
    config: Arc<ServerConfig>,
    deadline: Tick,
) -> Result<Transport, Unsecured> {
    let mut handshake = pin!(TlsAcceptor::from(config).accept(Tcp::new(stream)));
    let handshake = poll_fn(|cx| {
        conn.wakes(cx);
        if let Poll::Ready(done) = handshake.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        let silent = handshake.get_ref().is_none_or(Tcp::is_unread);
        if silent && conn.closing.get() {
            // It never said a word, and we stop.
            return Poll::Ready(None);
        }
        Poll::Pending
    });
    match conn.within(deadline, handshake).await {
        Some(Some(Ok(stream))) => Ok(Transport::Tls(Box::new(TlsStream::Server(stream)))),
        Some(Some(Err(error))) => {
            tracing::debug!(%error, "A TLS handshake failed.");
            Err(match error.kind() {
                io::ErrorKind::InvalidData => Unsecured::Refused,
                _ => Unsecured::Closed,
            })
        }
        Some(None) => Err(Unsecured::Closed),
        None => Err(Unsecured::Late),
    }
}
