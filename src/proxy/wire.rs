//! A provider's connection, below hyper: its bytes pass through [`Framing`], and
//! its time is watched by one timer that is almost never touched.
//!
//! hyper's own head timeout makes and drops a timer for every request, and it has
//! none for a body, for a connection without a request, or for a client that does
//! not read its answer. Here one timer per connection sleeps towards the nearest
//! deadline; when it wakes early, because requests came in the meantime, it just
//! sleeps on. A connection with steady traffic touches it once a minute.
//!
//! A connection that has been quiet for a while is *parked*: hyper, with the 16 KiB
//! of buffers it keeps for each connection, is taken away from it, and the wire
//! waits alone until the client says something more.

mod conn;
mod timer;

pub(super) use conn::{Conn, Parking, Trouble};
pub(super) use timer::Timer;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;
use crate::model::Tick;
use crate::proxy::framing::{Framing, Phase};
use crate::proxy::settings::Limits;
use crate::proxy::transport::Transport;

/// A client that takes none of its answer for this long is cut off.
pub(super) const WRITE_STALL: Duration = Duration::from_secs(15);

/// A body must come at this many bytes a second, else 408: with only a time for all of
/// it, whoever sends a byte now and then holds a connection for all of that time.
const BODY_RATE: u64 = 1024;
/// For so long it may be slower: a provider's network may pause.
const BODY_GRACE: Duration = Duration::from_secs(5);

/// What hyper is given in place of a head that must not pass: it answers 400 and
/// closes, whatever stood before.
const POISON: &[u8] = b"\0\r\n\r\n";

/// The connection as hyper reads and writes it.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Transport,
    conn: Rc<Conn>,
    framing: Framing,
    limits: Limits,
    /// When the present phase of the present request began.
    since: Tick,
    /// Bytes that have come since then.
    bytes: u64,
    /// Bytes to give hyper instead of what the client sent; then nothing more.
    poison: Option<&'static [u8]>,
    timer: Timer,
    /// What had gone out through TLS when it last had to wait.
    written: u64,
}

impl Wire {
    /// Watches a stream.
    pub(super) fn new(stream: Transport, conn: Rc<Conn>, limits: Limits, now: Tick) -> Self {
        Self {
            stream,
            conn,
            framing: Framing::default(),
            limits,
            since: now,
            bytes: 0,
            poison: None,
            timer: Timer::default(),
            written: 0,
        }
    }

    /// Parked: waits until there is something to read, were it only the end. False:
    /// the time for it is over, or nobody waits for it any more.
    pub(super) async fn next(&mut self) -> bool {
        self.conn.parking.set(Parking::Parked);
        let something = poll_fn(|cx| {
            self.conn.wakes(cx);
            if self.stream.poll_something(cx).is_ready() {
                return Poll::Ready(true);
            }
            if self.conn.closing.get() {
                return Poll::Ready(false);
            }
            self.timer.poll(cx, self.idle_until()).map(|()| false)
        })
        .await;
        self.conn.parking.set(Parking::Active);
        if !something {
            self.stream.farewell();
        }
        something
    }

    /// Passes the bytes from `before` on through the framing; cuts off what must
    /// not pass.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let (phase, ended) = (self.framing.phase(), self.framing.ended());
        let result = self
            .framing
            .feed(buf.filled().get(before..).unwrap_or_default());
        self.conn.came.set(self.framing.ended());
        self.conn.clean.set(self.framing.is_clean());
        let now = clock::tick();
        self.conn.arrived.set(now);
        self.conn.parking.set(Parking::Active);
        let same = phase == self.framing.phase() && ended == self.framing.ended();
        if !same || phase == Phase::Between {
            self.since = now;
            self.bytes = 0;
        }
        self.bytes += (buf.filled().len() - before) as u64;
        let Err(violation) = result else {
            return Ok(());
        };
        buf.set_filled(before + violation.at);
        if violation.in_head {
            self.poison = Some(POISON);
            if violation.at == 0 {
                self.give_poison(buf);
            }
            return Ok(());
        }
        self.conn.trouble.set(Some(Trouble::Framing));
        self.poison = Some(b"");
        if violation.at == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    fn give_poison(&mut self, buf: &mut ReadBuf<'_>) {
        if let Some(poison) = self.poison {
            let (now, later) = poison.split_at(poison.len().min(buf.remaining()));
            buf.put_slice(now);
            self.poison = Some(later);
        }
    }

    /// Nothing to read: has the client run out of time?
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let busy = self.conn.busy.get() > 0;
        let deadline = match self.framing.phase() {
            // While a request is answered, silence is what we expect.
            Phase::Between if busy => return Poll::Pending,
            Phase::Between => {
                // Whole requests that came have been answered too: what hyper may
                // still hold unread are empty lines, which mean nothing.
                let none_unread = self.framing.ended() == self.conn.taken.get();
                if self.conn.parking.get() == Parking::Asked && none_unread {
                    self.conn.parking.set(Parking::Ready);
                }
                self.idle_until()
            }
            // The beginning of a pipelined request: its time starts when ours ends.
            Phase::Head if busy => return Poll::Pending,
            Phase::Head => self.since.max(self.conn.answered.get()) + self.limits.head_timeout,
            Phase::Body => body_until(
                self.since.max(self.conn.answered.get()),
                self.bytes,
                self.limits.body_timeout,
            ),
        };
        ready!(self.timer.poll(cx, deadline));
        match self.framing.phase() {
            // As if the client had closed: hyper then closes without a word.
            Phase::Between => Poll::Ready(Ok(())),
            Phase::Head => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Phase::Body => {
                self.conn.trouble.set(Some(Trouble::Slow));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn idle_until(&self) -> Tick {
        self.since.max(self.conn.answered.get()) + self.limits.idle_timeout
    }

    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.conn.stalled.set(None);
            return written;
        }
        let stalled = self.conn.stalled.get().unwrap_or_else(clock::tick);
        self.conn.stalled.set(Some(stalled));
        ready!(self.timer.poll(cx, stalled + WRITE_STALL));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// What was written waits below TLS until it is flushed, so there a client that
    /// takes nothing shows.
    fn watch_tls(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        if !self.stream.is_tls() || self.conn.streaming.get() {
            return done;
        }
        let written = self.stream.written();
        if std::mem::replace(&mut self.written, written) != written {
            // Slowly, but it goes.
            self.conn.stalled.set(None);
        }
        self.watch_write(cx, done)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.conn.streaming.get() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        if this.poison.is_some() {
            this.give_poison(buf);
            if this.conn.trouble.get().is_some() {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() > before => {
                Poll::Ready(this.inspect(buf, before))
            }
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => this.wait(cx),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if this.conn.streaming.get() && this.conn.plan.borrow().is_none() {
            // Whoever pumps it has a limit of its own. Until then it is a 101 that
            // the client may not leave unread.
            return written;
        }
        this.watch_write(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.watch_tls(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.watch_tls(cx, shut)
    }
}

/// When a body that began at `since` and has come as far as that is too slow.
fn body_until(since: Tick, bytes: u64, timeout: Duration) -> Tick {
    let earned = Duration::from_millis(bytes.saturating_mul(1000) / BODY_RATE);
    since + timeout.min(BODY_GRACE + earned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_its_time_and_no_more_than_its_bytes_have_earned() {
        let since = Tick::from_secs(100);
        let timeout = Duration::from_secs(15);
        for (bytes, until) in [
            (0, 105_000),
            (1, 105_000),
            (512, 105_500),
            (1024, 106_000),
            (10 * 1024, 115_000),
            (10 * 1024 - 1024, 114_000),
            (u64::MAX, 115_000),
        ] {
            let expected = Tick(until * 1000);
            assert_eq!(body_until(since, bytes, timeout), expected, "{bytes}");
        }
        let short = Duration::from_millis(150);
        assert_eq!(body_until(since, 1 << 20, short), since + short);
    }
}
