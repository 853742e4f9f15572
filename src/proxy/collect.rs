//! A request's body, in one piece and within its bounds.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::proxy::strict::{self, Refusal};
use crate::proxy::wire::{Conn, Trouble};

/// Room made at once for a body whose length is announced. A longer one grows from
/// there, so that a mere announcement costs no more.
const ROOM: usize = 1 << 20;

/// Collects a body. One that came in one piece, as nearly all do, is not copied.
pub(super) async fn collect(mut body: Incoming, max: usize, conn: &Conn) -> Result<Bytes, Refusal> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let first = next_data(&mut body, conn).await?.unwrap_or_default();
    if body.is_end_stream() {
        return if first.len() > max {
            Err(strict::too_large())
        } else {
            Ok(first)
        };
    }
    // Room for all of it, if it says how long it is, so that it is in memory once.
    let announced = body.size_hint().exact().unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX).min(ROOM);
    let mut whole = BytesMut::with_capacity(first.len() + announced);
    whole.extend_from_slice(&first);
    drop(first);
    while let Some(data) = next_data(&mut body, conn).await? {
        if whole.len() + data.len() > max {
            return Err(strict::too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// The next piece of a body; None at its end. Trailers are dropped.
async fn next_data(body: &mut Incoming, conn: &Conn) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = next_frame(body, conn).await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Err(_) if conn.trouble.get() == Some(Trouble::Slow) => {
                return Err(Refusal::closing(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body did not come in time\n",
                ));
            }
            Err(_) => {
                return Err(Refusal::closing(
                    StatusCode::BAD_REQUEST,
                    "malformed body\n",
                ));
            }
        }
    }
    Ok(None)
}

/// The next frame, in its time where the wire does not watch it. None at the end.
async fn next_frame(body: &mut Incoming, conn: &Conn) -> Option<Result<Frame<Bytes>, ()>> {
    let frame = match conn.body_until.get() {
        None => body.frame().await,
        Some(until) => match conn.within(until, body.frame()).await {
            Some(frame) => frame,
            None => {
                conn.trouble.set(Some(Trouble::Slow));
                return Some(Err(()));
            }
        },
    };
    frame.map(|frame| frame.map_err(drop))
}
