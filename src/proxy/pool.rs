//! One worker's connections to one backend: last in, first out, so that few stay
//! warm and the rest fall idle and close.
//!
//! Nothing in here is shared with another worker, so nothing is locked.

mod wary;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::{TlsConnector, TlsStream};

use crate::clock;
use crate::model::Tick;
use crate::proxy::settings::Upstream;
use crate::proxy::tls::Outward;
use crate::proxy::transport::{Tcp, Transport};
use wary::Wary;

/// An unused connection is closed after this time. Below what backends usually
/// keep, so that it is rarely them who close.
const IDLE: Duration = Duration::from_secs(4);
/// Unused connections kept for one backend by one worker; more are closed.
const IDLE_MAX: usize = 1024;
/// A name is looked up again after this time, in case the backend has moved.
const NAME: Duration = Duration::from_secs(30);

/// A connection to a backend.
#[derive(Debug)]
pub(super) struct Link {
    /// The connection.
    pub(super) stream: Transport,
    /// It has carried a request before.
    pub(super) reused: bool,
    /// Read while a request was still being written.
    pub(super) early: Vec<u8>,
    /// The backend answered before the end of a request, which it was then spared:
    /// nothing else can be said on this connection.
    pub(super) cut: bool,
    /// How long the network took to open it; what TLS took on top is not in it.
    pub(super) took: Duration,
    /// The print of the TLS it speaks.
    print: Option<u64>,
    idle_since: Tick,
}

/// The connections of one worker to one backend.
#[derive(Debug, Default)]
pub(super) struct Pool {
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Where these connections go; another address empties the pool.
    host: String,
    port: u16,
    /// By which TLS; files that have changed are another.
    print: Option<u64>,
    /// Oldest first.
    idle: Vec<Link>,
    addresses: Vec<IpAddr>,
    looked_up: Tick,
    /// It was said that TLS fails there.
    said: bool,
    wary: Wary,
}

impl Pool {
    /// A connection that was open just now, if one is waiting.
    pub(super) fn take(&self, upstream: &Upstream, now: Tick) -> Option<Link> {
        let mut inner = self.inner.borrow_mut();
        inner.point_at(upstream);
        if !inner.wary.is_over(now) {
            return None;
        }
        if inner.wary.ends() && inner.goes_on_closing(now) {
            return None;
        }
        while let Some(mut link) = inner.idle.pop() {
            let rested = now.since(link.idle_since);
            if rested >= IDLE || !inner.wary.trusts(rested) {
                // Those below have rested longer.
                link.stream.farewell();
                for mut link in inner.idle.drain(..) {
                    link.stream.farewell();
                }
                return None;
            }
            if link.stream.is_quiet(rested) {
                return Some(link);
            }
            if inner.wary.closed(rested, now) {
                return None;
            }
        }
        None
    }

    /// A connection that was used again died with no byte of an answer.
    pub(super) fn lost(&self, link: &Link, now: Tick) {
        if link.reused {
            let rested = now.since(link.idle_since);
            self.inner.borrow_mut().wary.closed(rested, now);
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// The name is unknown, or no address of it takes connections. Waiting for
    /// either is bounded by the caller's deadline.
    pub(super) async fn connect(&self, upstream: &Upstream) -> io::Result<Link> {
        let mut failure = io::Error::new(
            io::ErrorKind::NotFound,
            "the backend's name has no address; check [backend] url",
        );
        let begun = clock::tick();
        for address in self.addresses(upstream).await? {
            match TcpStream::connect(SocketAddr::new(address, upstream.port)).await {
                Ok(stream) => {
                    let took = clock::tick().since(begun);
                    stream.set_nodelay(true)?;
                    let (stream, print) = match &upstream.tls {
                        None => (Transport::Plain(stream), None),
                        Some(tls) => match self.secure(upstream, tls, stream).await {
                            Ok(secured) => secured,
                            Err(error) => {
                                failure = error;
                                continue;
                            }
                        },
                    };
                    return Ok(Link {
                        stream,
                        reused: false,
                        early: Vec::new(),
                        cut: false,
                        took,
                        print,
                        idle_since: Tick::default(),
                    });
                }
                // No way out to one of its addresses (IPv6 switched off, say) tells less
                // about a backend than what another address said.
                Err(error)
                    if error.kind() == io::ErrorKind::AddrNotAvailable
                        && failure.kind() != io::ErrorKind::NotFound => {}
                Err(error) => failure = error,
            }
        }
        // It may have moved: ask again next time.
        self.inner.borrow_mut().addresses.clear();
        Err(failure)
    }

    /// Takes a connection back whose answer was read to its end.
    pub(super) fn give_back(&self, upstream: &Upstream, mut link: Link, now: Tick) {
        let mut inner = self.inner.borrow_mut();
        if !inner.is_for(upstream) || link.print != inner.print {
            return;
        }
        if !inner.wary.is_over(now) && inner.idle.len() >= IDLE_MAX {
            // Nobody takes them, and the backend has closed the oldest by now. It should
            // be the one to do so: of each that we close the system keeps a port for a minute.
            inner.idle.drain(..IDLE_MAX / 2);
        }
        if inner.idle.len() < IDLE_MAX {
            link.reused = true;
            link.idle_since = now;
            inner.idle.push(link);
        }
    }

    /// Closes what has been idle too long.
    pub(super) fn sweep(&self, now: Tick) {
        let mut inner = self.inner.borrow_mut();
        let expired = inner
            .idle
            .partition_point(|link| now.since(link.idle_since) >= IDLE);
        for mut link in inner.idle.drain(..expired) {
            link.stream.farewell();
        }
    }

    /// Shakes hands with the backend. That it fails is said once, until it works again.
    async fn secure(
        &self,
        upstream: &Upstream,
        tls: &Outward,
        stream: TcpStream,
    ) -> io::Result<(Transport, Option<u64>)> {
        let (config, print) = tls.config();
        let connector = TlsConnector::from(config);
        let secured = connector.connect(tls.name(), Tcp::new(stream)).await;
        let said = std::mem::replace(&mut self.inner.borrow_mut().said, secured.is_err());
        match secured {
            Ok(stream) => {
                let stream = Box::new(TlsStream::Client(stream));
                Ok((Transport::Tls(stream), Some(print)))
            }
            Err(error) => {
                if !said {
                    tracing::warn!(
                        backend = upstream.authority,
                        expects = tls.told(),
                        %error,
                        "No TLS with a backend, so it counts as not reachable. If its certificate is \
                         right, name its authority with ca_file, or its name with server_name."
                    );
                }
                Err(error)
            }
        }
    }

    /// Every address of the backend, IP literals without asking anybody.
    async fn addresses(&self, upstream: &Upstream) -> io::Result<Vec<IpAddr>> {
        if let Ok(literal) = upstream.host.parse() {
            return Ok(vec![literal]);
        }
        let now = clock::tick();
        {
            let mut inner = self.inner.borrow_mut();
            inner.point_at(upstream);
            if !inner.addresses.is_empty() && now.since(inner.looked_up) < NAME {
                return Ok(inner.addresses.clone());
            }
        }
        let found: Vec<IpAddr> = lookup_host((upstream.host.as_str(), upstream.port))
            .await?
            .map(|address| address.ip())
            .collect();
        let mut inner = self.inner.borrow_mut();
        if inner.is_for(upstream) {
            inner.addresses.clone_from(&found);
            inner.looked_up = now;
        }
        Ok(found)
    }
}

impl Inner {
    /// After a time in which none was used: were connections closed soon again? Seen on
    /// those that nobody used, so that it costs no caller.
    fn goes_on_closing(&mut self, now: Tick) -> bool {
        let wary = &mut self.wary;
        let mut again = false;
        self.idle.retain_mut(|link| {
            let rested = now.since(link.idle_since);
            let quiet = link.stream.is_quiet(rested);
            // When one was closed that has rested longer, nobody knows.
            again |= !quiet && rested < wary::SOON && wary.closed(rested, now);
            quiet
        });
        again
    }

    fn is_for(&self, upstream: &Upstream) -> bool {
        let print = upstream.tls.as_ref().map(|tls| tls.print());
        self.port == upstream.port && self.print == print && self.host == upstream.host
    }

    fn point_at(&mut self, upstream: &Upstream) {
        if !self.is_for(upstream) {
            *self = Self {
                host: upstream.host.clone(),
                port: upstream.port,
                print: upstream.tls.as_ref().map(|tls| tls.print()),
                said: self.said,
                ..Self::default()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::proxy::settings::HostHeader;

    async fn backend() -> (TcpListener, Upstream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = Upstream {
            host: "127.0.0.1".into(),
            port,
            authority: format!("127.0.0.1:{port}"),
            host_header: HostHeader::Public,
            names: Vec::new(),
            claim: None,
            cap: None,
            health: None,
            tls: None,
        };
        (listener, upstream)
    }

    #[tokio::test]
    async fn a_connection_comes_back_until_it_has_rested_too_long() {
        let (listener, upstream) = backend().await;
        let pool = Pool::default();
        let now = Tick::from_secs(100);
        for (rested, comes_back) in [(Duration::from_millis(3999), true), (IDLE, false)] {
            assert!(pool.take(&upstream, now).is_none());
            let link = pool.connect(&upstream).await.unwrap();
            let _held = listener.accept().await.unwrap();
            pool.give_back(&upstream, link, now);
            let taken = pool.take(&upstream, now + rested);
            assert_eq!(taken.is_some_and(|link| link.reused), comes_back);
        }
    }

    #[tokio::test]
    async fn a_closed_connection_and_one_with_stray_bytes_are_thrown_away() {
        let (listener, upstream) = backend().await;
        let pool = Pool::default();
        let now = Tick::from_secs(100);
        for stray in [&b""[..], b"HTTP/1.1 408 Request Timeout\r\n\r\n"] {
            let link = pool.connect(&upstream).await.unwrap();
            let (mut other, _) = listener.accept().await.unwrap();
            other.write_all(stray).await.unwrap();
            pool.give_back(&upstream, link, now);
            if stray.is_empty() {
                drop(other);
            }
            tokio::task::yield_now().await;
            let later = now + Duration::from_millis(50);
            assert!(pool.take(&upstream, later).is_none(), "{stray:?}");
        }
    }

    #[tokio::test]
    async fn a_backend_that_closes_as_it_likes_gets_a_connection_for_each_request() {
        let (listener, upstream) = backend().await;
        let pool = Pool::default();
        let mut now = Tick::from_secs(100);
        assert!(pool.take(&upstream, now).is_none());
        let link = pool.connect(&upstream).await.unwrap();
        drop(listener.accept().await.unwrap());
        pool.give_back(&upstream, link, now);
        tokio::task::yield_now().await;
        now = now + Duration::from_millis(5);
        assert!(pool.take(&upstream, now).is_none());
        // The next stays open, and is not used all the same.
        let link = pool.connect(&upstream).await.unwrap();
        let _held = listener.accept().await.unwrap();
        pool.give_back(&upstream, link, now);
        assert!(pool.take(&upstream, now).is_none());
        now = now + Duration::from_secs(1);
        assert!(pool.take(&upstream, now).is_some_and(|link| link.reused));
    }

    #[tokio::test]
    async fn whether_it_goes_on_is_seen_on_connections_that_nobody_used() {
        let (listener, upstream) = backend().await;
        let pool = Pool::default();
        let now = Tick::from_secs(100);
        assert!(pool.take(&upstream, now).is_none());
        let first = pool.connect(&upstream).await.unwrap();
        let _first = listener.accept().await.unwrap();
        pool.give_back(&upstream, first, now);
        let link = pool.take(&upstream, now).unwrap();
        pool.lost(&link, now);

        let over = now + Duration::from_secs(1);
        let closed = pool.connect(&upstream).await.unwrap();
        drop(listener.accept().await.unwrap());
        let open = pool.connect(&upstream).await.unwrap();
        let _open = listener.accept().await.unwrap();
        pool.give_back(&upstream, closed, over - Duration::from_millis(6));
        pool.give_back(&upstream, open, over - Duration::from_millis(5));
        for (later, is_used) in [(0, false), (1999, false), (2000, true)] {
            let taken = pool.take(&upstream, over + Duration::from_millis(later));
            assert_eq!(taken.is_some(), is_used, "{later} ms later");
        }
    }

    #[tokio::test]
    async fn connections_that_nobody_takes_are_bounded() {
        let (listener, upstream) = backend().await;
        let pool = Pool::default();
        let now = Tick::from_secs(100);
        assert!(pool.take(&upstream, now).is_none());
        let link = pool.connect(&upstream).await.unwrap();
        drop(listener.accept().await.unwrap());
        let lost = Link {
            reused: true,
            idle_since: now,
            ..link
        };
        pool.lost(&lost, now);
        for _ in 0..IDLE_MAX + 10 {
            let link = pool.connect(&upstream).await.unwrap();
            drop(listener.accept().await.unwrap());
            pool.give_back(&upstream, link, now);
        }
        let kept = pool.inner.borrow().idle.len();
        assert_eq!(kept, IDLE_MAX / 2 + 10, "the oldest half went");
    }

    #[tokio::test]
    async fn a_backend_that_moved_gets_new_connections() {
        let (_old_listener, old) = backend().await;
        let (_new_listener, new) = backend().await;
        let pool = Pool::default();
        let now = Tick::from_secs(100);
        let link = pool.connect(&old).await.unwrap();
        assert!(pool.take(&old, now).is_none());
        pool.give_back(&old, link, now);
        assert!(pool.take(&new, now).is_none());
        assert!(pool.take(&old, now).is_none(), "the old ones are gone");
    }
}
