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

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::clock;
use crate::model::Tick;
use crate::proxy::framing::{Framing, Phase};
use crate::proxy::settings::Limits;
use crate::proxy::transport::Transport;
use crate::proxy::websocket::Plan;

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

/// What the two sides of hyper, the connection below and the request above, know
/// of each other.
#[derive(Debug)]
pub(super) struct Conn {
    /// The address at the other end.
    pub(super) peer: IpAddr,
    /// The same as text, for the backends.
    pub(super) peer_text: Box<str>,
    /// It came through TLS.
    pub(super) secure: Cell<bool>,
    /// When the last bytes came.
    pub(super) arrived: Cell<Tick>,
    /// When the last request was answered.
    pub(super) answered: Cell<Tick>,
    /// What keeps it busy: a request being answered, a long answer on its way.
    pub(super) busy: Cell<u8>,
    /// Requests that hyper has handed to us so far.
    pub(super) taken: Cell<u64>,
    /// Whether hyper has this connection.
    pub(super) parking: Cell<Parking>,
    /// What went wrong in a request's body.
    pub(super) trouble: Cell<Option<Trouble>>,
    /// Finish what runs, then close.
    pub(super) closing: Cell<bool>,
    /// A handshake is being answered: nothing may be added to that answer.
    pub(super) upgrading: Cell<bool>,
    /// It was switched to a websocket. Its bytes are no requests, and its time is
    /// watched elsewhere.
    pub(super) streaming: Cell<bool>,
    /// How it goes on once hyper has written the 101.
    pub(super) plan: RefCell<Option<Box<Plan>>>,
    /// Where a body's time is not watched below: until when it must be there.
    pub(super) body_until: Cell<Option<Tick>>,
    /// There is no more time for it: end it.
    pub(super) cut: Cell<bool>,
    /// Whole requests that have come so far.
    came: Cell<u64>,
    /// Nothing came after the last of them.
    clean: Cell<bool>,
    /// When a write first found no room, if none has since.
    stalled: Cell<Option<Tick>>,
    /// Wakes the connection's task.
    waker: RefCell<Option<Waker>>,
    /// Rings when a backend has taken too long.
    patience: RefCell<Timer>,
}

/// How far a connection is on its way to being parked and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parking {
    /// hyper has it.
    Active,
    /// It should be parked, unless something of a request has come.
    Asked,
    /// Nothing has come: it can be parked once hyper has written what it holds.
    Ready,
    /// The wire waits alone.
    Parked,
}

/// What can go wrong in the middle of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It did not come in time.
    Slow,
    /// Its chunks are not what they should be.
    Framing,
}

impl Conn {
    /// A new connection from there.
    pub(super) fn new(peer: IpAddr, now: Tick) -> Rc<Self> {
        // An IPv4 client on an IPv6 socket is the same client.
        let peer = peer.to_canonical();
        Rc::new(Self {
            peer,
            peer_text: peer.to_string().into(),
            secure: Cell::new(false),
            arrived: Cell::new(now),
            answered: Cell::new(now),
            busy: Cell::new(0),
            taken: Cell::new(0),
            parking: Cell::new(Parking::Parked),
            trouble: Cell::new(None),
            closing: Cell::new(false),
            upgrading: Cell::new(false),
            streaming: Cell::new(false),
            plan: RefCell::new(None),
            body_until: Cell::new(None),
            cut: Cell::new(false),
            came: Cell::new(0),
            clean: Cell::new(true),
            stalled: Cell::new(None),
            waker: RefCell::new(None),
            patience: RefCell::default(),
        })
    }

    /// Waits for work until `deadline`; None when it has passed. One request of a
    /// connection runs at a time, so one timer does for all of them.
    pub(super) async fn within<T>(
        &self,
        deadline: Tick,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            self.patience.borrow_mut().poll(cx, deadline).map(|()| None)
        })
        .await
    }

    /// Asks the connection to finish what runs and close.
    pub(super) fn close(&self) {
        self.closing.set(true);
        self.wake();
    }

    /// Ends it, with what runs on it.
    pub(super) fn cut(&self) {
        self.cut.set(true);
        self.wake();
    }

    /// Waits until there is no more time for it. Only in the connection's own task,
    /// which [`Conn::cut`] wakes.
    pub(super) async fn cut_off(&self) {
        poll_fn(|_| {
            if self.cut.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Has the client sent nothing behind the request that is being answered?
    pub(super) fn nothing_ahead(&self) -> bool {
        self.clean.get() && self.came.get() == self.taken.get()
    }

    /// At the end of a poll of hyper: may its connection be taken apart? Then, and
    /// only then, all answers have been written, or a write has stalled.
    pub(super) fn may_park(&self) -> bool {
        self.parking.replace(Parking::Active) == Parking::Ready && self.stalled.get().is_none()
    }

    /// Asks the connection to park if nothing has come or gone since `quiet_since`.
    pub(super) fn ask_to_park(&self, quiet_since: Tick) {
        let quiet =
            self.busy.get() == 0 && self.arrived.get().max(self.answered.get()) <= quiet_since;
        if quiet && self.parking.get() == Parking::Active {
            self.parking.set(Parking::Asked);
            self.wake();
        }
    }

    /// The task that polls this is the connection's own: good for as long as it lives,
    /// also for one whose first bytes are here before it is looked at.
    pub(super) fn wakes(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if waker.is_none() {
            *waker = Some(cx.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

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
}

impl Wire {
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

/// A timer that is only moved when it must ring earlier, or has rung too early.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    rings: Tick,
}

impl Timer {
    /// Ready once `deadline` has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Tick) -> Poll<()> {
        if self.sleep.is_none() || self.rings > deadline {
            self.set(deadline);
        }
        loop {
            let Some(sleep) = self.sleep.as_mut() else {
                return Poll::Pending;
            };
            ready!(sleep.as_mut().poll(cx));
            if clock::tick() >= deadline {
                return Poll::Ready(());
            }
            // A tick is a whole microsecond and the wheel a whole millisecond.
            self.set(deadline + Duration::from_millis(1));
        }
    }

    fn set(&mut self, at: Tick) {
        self.rings = at;
        let instant = clock::instant(at);
        match self.sleep.as_mut() {
            Some(sleep) => sleep.as_mut().reset(instant),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(instant))),
        }
    }
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
