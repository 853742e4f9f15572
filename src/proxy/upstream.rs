//! One request to one backend: written as one buffer, answered into one buffer.
//!
//! Our own HTTP/1.1 towards the backends, because a shared client's queues and
//! locks cost more than the rest of a request together. It speaks to two backends
//! we were told to trust; what it takes from them is in `answer`.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncRead as _, AsyncReadExt, AsyncWrite as _, AsyncWriteExt, ReadBuf};

use crate::measure::Cause;
use crate::proxy::answer::{self, Decoder, Framing, Head, Malformed, Read};
use crate::proxy::pool::Link;
use crate::proxy::pulse::Mishap;

/// What is read in one go; most answers of a voice application fit in it.
pub(super) const INPUT: usize = 8 * 1024;

/// What is read of an answer that begins before the request's end; less than
/// [`INPUT`], so that it fits where answers are read into.
const EARLY: usize = INPUT / 2;

/// The system has no descriptor left, on every Unix; std has no names for them.
const ENFILE: i32 = 23;
/// The process has none left.
const EMFILE: i32 = 24;

/// What we lack ourselves, if that is why there is no connection.
pub(super) fn own_doing(error: &io::Error) -> Option<Mishap> {
    match (error.raw_os_error(), error.kind()) {
        (Some(ENFILE | EMFILE), _) => Some(Mishap::Descriptor),
        (_, io::ErrorKind::AddrNotAvailable) => Some(Mishap::Port),
        _ => None,
    }
}

/// The backend gave no whole answer.
#[derive(Debug, thiserror::Error)]
#[error("the backend gave no answer ({})", cause.name())]
pub(super) struct Failure {
    /// How.
    pub(super) cause: Cause,
    /// No byte of the request was written: asking again cannot do anything twice.
    pub(super) retry_safe: bool,
    /// What the system or the parser said.
    #[source]
    pub(super) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// No connection. That we have no descriptor or port left is our own doing: held
    /// against the backend, it would reverse a rollout for the proxy's troubles.
    pub(super) fn connect(source: io::Error) -> Self {
        let cause = match own_doing(&source) {
            Some(_) => Cause::Internal,
            None => Cause::Connect,
        };
        Self {
            cause,
            retry_safe: true,
            source: Some(source.into()),
        }
    }

    /// No whole answer in time.
    pub(super) const fn timeout() -> Self {
        Self {
            cause: Cause::Timeout,
            retry_safe: false,
            source: None,
        }
    }

    /// There was no connection in time.
    pub(super) const fn unreached() -> Self {
        Self {
            cause: Cause::Connect,
            retry_safe: true,
            source: None,
        }
    }

    /// It was not asked, because it has failed too much or has too much to do.
    pub(super) const fn kept(cause: Cause) -> Self {
        Self {
            cause,
            retry_safe: true,
            source: None,
        }
    }

    /// Was the backend not asked?
    pub(super) const fn is_kept(&self) -> bool {
        matches!(self.cause, Cause::Breaker | Cause::Full)
    }

    fn died(cause: Cause, source: Option<io::Error>) -> Self {
        Self {
            cause,
            retry_safe: false,
            source: source.map(Into::into),
        }
    }
}

impl From<Malformed> for Failure {
    fn from(source: Malformed) -> Self {
        Self {
            cause: Cause::Malformed,
            retry_safe: false,
            source: Some(source.into()),
        }
    }
}

/// A backend's answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its head.
    pub(super) head: Head,
    /// Its body, or the beginning of it.
    pub(super) body: Body,
}

/// An answer's body.
#[derive(Debug)]
pub(super) enum Body {
    /// All of it.
    Whole(Bytes),
    /// More than is taken whole: its beginning, and what takes out the rest.
    Long(Bytes, Decoder),
}

/// Writes a request: its head (and, if that is short, its body with it), then what is
/// left of the body. True: all of it is on its way, or the backend has refused it and
/// does not want the rest. False: not a byte could be written on a connection that was
/// used before, so another may be tried.
///
/// # Errors
///
/// The connection died. A backend that closed after it began to read may still
/// have answered, so dying in the middle is no error here: the answer will tell.
pub(super) async fn send(link: &mut Link, head: &[u8], body: &[u8]) -> Result<bool, Failure> {
    let mut began = false;
    let before = link.stream.written();
    let mut rest = head;
    while !rest.is_empty() {
        match link.stream.write(rest).await {
            Ok(written) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
            // Of what TLS took in one go, some may have left.
            Ok(_) | Err(_) if began || link.stream.written() > before => return Ok(true),
            Ok(_) | Err(_) if link.reused => return Ok(false),
            Ok(_) => return Err(Failure::died(Cause::Reset, None)),
            Err(error) => return Err(Failure::died(Cause::Reset, Some(error))),
        }
        began = true;
    }
    if body.is_empty() {
        // What TLS still holds; that this fails, the answer will tell.
        drop(link.stream.flush().await);
    } else {
        send_apart(link, body).await;
    }
    Ok(true)
}

/// Writes a long body, and listens meanwhile: a backend that refuses it (413, 401) says
/// so before its end and reads no further, and whoever only writes would wait until the
/// time is over.
async fn send_apart(link: &mut Link, body: &[u8]) {
    let mut rest = body;
    let mut listening = true;
    poll_fn(|cx| {
        while listening {
            let mut input = [0; 1024];
            let mut room = ReadBuf::new(&mut input);
            match Pin::new(&mut link.stream).poll_read(cx, &mut room) {
                Poll::Ready(Ok(())) if !room.filled().is_empty() => {
                    link.early.extend_from_slice(room.filled());
                }
                // It has closed or died: there is nothing to wait for any more.
                Poll::Ready(_) => {
                    link.cut = true;
                    return Poll::Ready(());
                }
                Poll::Pending => break,
            }
            if is_refusal(&link.early) {
                link.cut = true;
                return Poll::Ready(());
            }
            // One that accepts it early will read it to its end.
            listening = link.early.len() < EARLY;
        }
        while !rest.is_empty() {
            match ready!(Pin::new(&mut link.stream).poll_write(cx, rest)) {
                Ok(written) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
                _ => {
                    link.cut = true;
                    return Poll::Ready(());
                }
            }
        }
        // What TLS still holds goes out while we listen, too.
        link.cut |= ready!(Pin::new(&mut link.stream).poll_flush(cx)).is_err();
        Poll::Ready(())
    })
    .await;
}

/// Does an answer begin like one that does not want the rest of the request?
fn is_refusal(answer: &[u8]) -> bool {
    // "HTTP/1.1 413": what is no HTTP wants nothing either.
    match answer.get(9) {
        Some(b'1' | b'2') => false,
        Some(_) => true,
        None => false,
    }
}

/// Waits for the first byte of an answer, or the end of the connection.
///
/// # Errors
///
/// The system has no way left to tell us.
pub(super) async fn wait(link: &mut Link) -> Result<(), Failure> {
    if !link.early.is_empty() || link.cut {
        return Ok(());
    }
    let readable = link.stream.readable().await;
    readable.map_err(|error| died(link, 0, Some(error)))
}

/// Reads the answer to a request with `method`, using `input` (at least
/// [`INPUT`] long) to read into. A body longer than `whole_max` comes as
/// [`Body::Long`].
///
/// # Errors
///
/// The connection died before the answer was whole, or it is not HTTP.
pub(super) async fn receive(
    link: &mut Link,
    input: &mut Vec<u8>,
    method: &Method,
    whole_max: usize,
) -> Result<Answer, Failure> {
    let (head, rest) = receive_head(link, input, method, false).await?;
    body(link, input, head, rest, whole_max).await
}

/// The same up to the end of the head, and what was read behind it. After `upgrade`
/// a 101 is an answer too.
///
/// # Errors
///
/// As [`receive`].
pub(super) async fn receive_head(
    link: &mut Link,
    input: &mut Vec<u8>,
    method: &Method,
    upgrade: bool,
) -> Result<(Head, Bytes), Failure> {
    let mut filled = 0;
    loop {
        if filled == input.len() {
            // Doubling ends at 64 KiB, where `answer::read` calls it malformed.
            input.resize(filled * 2, 0);
        }
        let room = input.get_mut(filled..).unwrap_or_default();
        let got = match take_early(link, room) {
            0 => match link.stream.read(room).await {
                Ok(0) => return Err(died(link, filled, None)),
                Ok(got) => got,
                Err(error) => return Err(died(link, filled, Some(error))),
            },
            early => early,
        };
        filled += got;
        loop {
            // One copy of the whole answer, which its headers and body then share.
            let bytes = Bytes::copy_from_slice(input.get(..filled).unwrap_or_default());
            match answer::read(&bytes, method, upgrade)? {
                Read::Partial => break,
                Read::Interim(length) => {
                    input.copy_within(length..filled, 0);
                    filled -= length;
                    if filled == 0 {
                        break;
                    }
                }
                Read::Head(mut head) => {
                    head.reusable &= !link.cut;
                    let rest = bytes.slice(head.bytes..);
                    return Ok((head, rest));
                }
            }
        }
    }
}

/// What was read while the request was still being written, once.
fn take_early(link: &mut Link, room: &mut [u8]) -> usize {
    let taken = link.early.len().min(room.len());
    let early = link.early.drain(..taken);
    room.iter_mut().zip(early).for_each(|(to, byte)| *to = byte);
    taken
}

/// Reads the body, up to `whole_max` bytes.
///
/// # Errors
///
/// As [`receive`].
pub(super) async fn body(
    link: &mut Link,
    input: &mut [u8],
    mut head: Head,
    rest: Bytes,
    whole_max: usize,
) -> Result<Answer, Failure> {
    if let Framing::Length(length) = head.framing
        && length <= rest.len() as u64
    {
        let length = rest
            .len()
            .min(usize::try_from(length).unwrap_or(usize::MAX));
        // Bytes after the answer: nobody knows what they belong to.
        head.reusable &= length == rest.len();
        let body = Body::Whole(rest.slice(..length));
        return Ok(Answer { head, body });
    }
    let mut decoder = Decoder::new(head.framing);
    let mut out = Vec::with_capacity(rest.len());
    let used = decoder.decode(&rest, &mut out)?;
    head.reusable &= used == rest.len();
    while !decoder.done() {
        if out.len() > whole_max {
            let body = Body::Long(out.into(), decoder);
            return Ok(Answer { head, body });
        }
        let got = match link.stream.read(input).await {
            Ok(0) if decoder.may_end() => break,
            Ok(0) => return Err(Failure::died(Cause::Reset, None)),
            Ok(got) => got,
            Err(error) => return Err(Failure::died(Cause::Reset, Some(error))),
        };
        let used = decoder.decode(input.get(..got).unwrap_or_default(), &mut out)?;
        head.reusable &= used == got;
    }
    let body = Body::Whole(out.into());
    Ok(Answer { head, body })
}

/// A connection that had carried requests before and dies without a byte of an
/// answer was most likely being closed as we wrote: stale, not broken.
fn died(link: &Link, filled: usize, source: Option<io::Error>) -> Failure {
    let cause = if link.reused && filled == 0 {
        Cause::Stale
    } else {
        Cause::Reset
    };
    Failure::died(cause, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_refuses_is_known_by_its_status() {
        for (answer, refuses) in [
            ("", false),
            ("HTTP/1.1 ", false),
            ("HTTP/1.1 413 Too Large", true),
            ("HTTP/1.0 401", true),
            ("HTTP/1.1 302", true),
            ("HTTP/1.1 200 OK", false),
            ("HTTP/1.1 100 Continue", false),
            ("SSH-2.0-OpenSSH", true),
        ] {
            assert_eq!(is_refusal(answer.as_bytes()), refuses, "{answer}");
        }
    }

    #[test]
    fn only_our_own_want_of_descriptors_or_ports_is_not_the_backend_s_fault() {
        for (error, cause) in [
            (io::Error::from_raw_os_error(EMFILE), Cause::Internal),
            (io::Error::from_raw_os_error(ENFILE), Cause::Internal),
            (io::ErrorKind::AddrNotAvailable.into(), Cause::Internal),
            (io::ErrorKind::ConnectionRefused.into(), Cause::Connect),
            (io::ErrorKind::NotFound.into(), Cause::Connect),
        ] {
            assert_eq!(Failure::connect(error).cause, cause);
        }
    }
}
