//! What the two sides of hyper, the connection below and the request above, know of each
//! other.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::timer::Timer;
use crate::model::Tick;
use crate::proxy::websocket::Plan;

/// What the two sides of hyper, the connection below and the request above, know
/// of each other.
#[derive(Debug)]
pub(in crate::proxy) struct Conn {
    /// The address at the other end.
    pub(in crate::proxy) peer: IpAddr,
    /// The same as text, for the backends.
    pub(in crate::proxy) peer_text: Box<str>,
    /// It came through TLS.
    pub(in crate::proxy) secure: Cell<bool>,
    /// When the last bytes came.
    pub(in crate::proxy) arrived: Cell<Tick>,
    /// When the last request was answered.
    pub(in crate::proxy) answered: Cell<Tick>,
    /// What keeps it busy: a request being answered, a long answer on its way.
    pub(in crate::proxy) busy: Cell<u8>,
    /// Requests that hyper has handed to us so far.
    pub(in crate::proxy) taken: Cell<u64>,
    /// Whether hyper has this connection.
    pub(in crate::proxy) parking: Cell<Parking>,
    /// What went wrong in a request's body.
    pub(in crate::proxy) trouble: Cell<Option<Trouble>>,
    /// Finish what runs, then close.
    pub(in crate::proxy) closing: Cell<bool>,
    /// A handshake is being answered: nothing may be added to that answer.
    pub(in crate::proxy) upgrading: Cell<bool>,
    /// It was switched to a websocket. Its bytes are no requests, and its time is
    /// watched elsewhere.
    pub(in crate::proxy) streaming: Cell<bool>,
    /// How it goes on once hyper has written the 101.
    pub(in crate::proxy) plan: RefCell<Option<Box<Plan>>>,
    /// Where a body's time is not watched below: until when it must be there.
    pub(in crate::proxy) body_until: Cell<Option<Tick>>,
    /// There is no more time for it: end it.
    pub(in crate::proxy) cut: Cell<bool>,
    /// Whole requests that have come so far.
    pub(super) came: Cell<u64>,
    /// Nothing came after the last of them.
    pub(super) clean: Cell<bool>,
    /// When a write first found no room, if none has since.
    pub(super) stalled: Cell<Option<Tick>>,
    /// Wakes the connection's task.
    waker: RefCell<Option<Waker>>,
    /// Rings when a backend has taken too long.
    patience: RefCell<Timer>,
}

/// How far a connection is on its way to being parked and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Parking {
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
pub(in crate::proxy) enum Trouble {
    /// It did not come in time.
    Slow,
    /// Its chunks are not what they should be.
    Framing,
}

impl Conn {
    /// A new connection from there.
    pub(in crate::proxy) fn new(peer: IpAddr, now: Tick) -> Rc<Self> {
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
    pub(in crate::proxy) async fn within<T>(
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
    pub(in crate::proxy) fn close(&self) {
        self.closing.set(true);
        self.wake();
    }

    /// Ends it, with what runs on it.
    pub(in crate::proxy) fn cut(&self) {
        self.cut.set(true);
        self.wake();
    }

    /// Waits until there is no more time for it. Only in the connection's own task,
    /// which [`Conn::cut`] wakes.
    pub(in crate::proxy) async fn cut_off(&self) {
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
    pub(in crate::proxy) fn nothing_ahead(&self) -> bool {
        self.clean.get() && self.came.get() == self.taken.get()
    }

    /// At the end of a poll of hyper: may its connection be taken apart? Then, and
    /// only then, all answers have been written, or a write has stalled.
    pub(in crate::proxy) fn may_park(&self) -> bool {
        self.parking.replace(Parking::Active) == Parking::Ready && self.stalled.get().is_none()
    }

    /// Asks the connection to park if nothing has come or gone since `quiet_since`.
    pub(in crate::proxy) fn ask_to_park(&self, quiet_since: Tick) {
        let quiet =
            self.busy.get() == 0 && self.arrived.get().max(self.answered.get()) <= quiet_since;
        if quiet && self.parking.get() == Parking::Active {
            self.parking.set(Parking::Asked);
            self.wake();
        }
    }

    /// The task that polls this is the connection's own: good for as long as it lives,
    /// also for one whose first bytes are here before it is looked at.
    pub(in crate::proxy) fn wakes(&self, cx: &Context<'_>) {
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
