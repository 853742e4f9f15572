//! What the provider is sent back: a body in hand, or one that passes through.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

use crate::clock;
use crate::measure::Cause;
use crate::model::{Backend, Tick};
use crate::proxy::account::Account;
use crate::proxy::answer::Decoder;
use crate::proxy::forward::Leave;
use crate::proxy::pool::Link;
use crate::proxy::request::Busy;
use crate::proxy::settings::Upstream;
use crate::proxy::upstream::INPUT;
use crate::proxy::verdict::Sentence;
use crate::proxy::worker::Worker;

/// The body of an answer to a provider.
#[derive(Debug)]
pub(super) enum Reply {
    /// In hand.
    Whole(Bytes),
    /// Longer than any document: read from the backend as the provider takes it,
    /// within the same connection task, never more than [`INPUT`] ahead.
    Long(Box<Long>),
}

/// A long body on its way through.
#[derive(Debug)]
pub(super) struct Long {
    /// Read already, not yet passed on.
    pub(super) first: Bytes,
    /// Takes the body out of its framing.
    pub(super) decoder: Decoder,
    /// Where the rest comes from; None once it is over.
    pub(super) link: Option<Link>,
    /// Leave to ask the backend.
    pub(super) _leave: Leave,
    /// The connection can be used again if the body ends as announced.
    pub(super) reusable: bool,
    /// Bytes not yet passed on, if the backend announced them.
    pub(super) left: Option<u64>,
    /// Rings when the backend has failed.
    pub(super) deadline: Pin<Box<Sleep>>,
    /// What reading it to the end will mean.
    pub(super) sentence: Sentence,
    /// To be settled at the end.
    pub(super) account: Account,
    /// Takes the connection back.
    pub(super) worker: Rc<Worker>,
    /// Which backend it is.
    pub(super) backend: Backend,
    /// Its address.
    pub(super) upstream: Upstream,
    /// The provider's connection is busy until hyper has taken all of it.
    pub(super) busy: Busy,
}

impl Long {
    /// The next bytes; None at the end.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(first)));
        }
        loop {
            let Some(link) = self.link.as_mut() else {
                return Poll::Ready(None);
            };
            if self.deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(Err(self.fail(Cause::Timeout))));
            }
            let mut input = [0; INPUT];
            let mut room = ReadBuf::new(&mut input);
            if ready!(Pin::new(&mut link.stream).poll_read(cx, &mut room)).is_err() {
                return Poll::Ready(Some(Err(self.fail(Cause::Reset))));
            }
            if room.filled().is_empty() {
                if self.decoder.may_end() {
                    self.finish(false);
                    return Poll::Ready(None);
                }
                return Poll::Ready(Some(Err(self.fail(Cause::Reset))));
            }
            let mut out = Vec::with_capacity(room.filled().len());
            let Ok(used) = self.decoder.decode(room.filled(), &mut out) else {
                return Poll::Ready(Some(Err(self.fail(Cause::Malformed))));
            };
            let exact = used == room.filled().len();
            if self.decoder.done() {
                // Before the last bytes are given away: hyper does not come back
                // for an end that it could count for itself.
                self.finish(exact);
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(out.into())));
            }
        }
    }

    fn finish(&mut self, exact: bool) {
        let now: Tick = clock::tick();
        if let Some(link) = self.link.take()
            && self.reusable
            && exact
        {
            self.worker.pools[self.backend].give_back(&self.upstream, link, now);
        }
        self.busy.answered(now);
        self.sentence.pass(&mut self.account, now);
    }

    fn fail(&mut self, cause: Cause) -> io::Error {
        self.link = None;
        self.account.fail(cause);
        io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the backend's answer broke off",
        )
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Long(long) => {
                let item = ready!(long.poll_bytes(cx));
                if let (Some(Ok(bytes)), Some(left)) = (&item, long.left.as_mut()) {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                Poll::Ready(item.map(|item| item.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Long(long) => long.link.is_none() && long.first.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Long(long) => long
                .left
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl From<&'static str> for Reply {
    fn from(text: &'static str) -> Self {
        Self::Whole(Bytes::from_static(text.as_bytes()))
    }
}

/// What a request becomes: always an answer, for a refusal is one too.
pub(super) type Answered = Result<http::Response<Reply>, Infallible>;
