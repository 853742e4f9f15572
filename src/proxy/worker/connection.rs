//! One connection's life: a handshake where there is TLS, then requests with hyper and
//! parked in between, until it ends or is a websocket.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::TcpStream;

use super::Worker;
use crate::clock;
use crate::measure::Observation;
use crate::model::Tick;
use crate::proxy::pulse::Mishap;
use crate::proxy::websocket::{self, Plan};
use crate::proxy::wire::{Conn, Parking, Wire};
use crate::proxy::{http2, request, tls};

/// A connection's life. A panic ends it and nothing else.
pub(super) async fn serve(
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    life: impl Future<Output = ()>,
    id: u64,
) {
    let mut life = pin!(life);
    let life = poll_fn(|cx| {
        // A websocket ends by itself, with a word to both sides.
        if conn.cut.get() && !conn.streaming.get() {
            return Poll::Ready(());
        }
        life.as_mut().poll(cx)
    });
    if AssertUnwindSafe(life).catch_unwind().await.is_err() {
        worker.shared.pulse.note(Mishap::Panic, &"a bug");
        worker.note(Observation::Refused { status: 500 });
    }
    worker.active.borrow_mut().remove(&id);
    worker.connections.borrow_mut().remove(&id);
    worker.ended.notify_waiters();
}

/// The life of a connection that begins with a TLS handshake, for which it has the time
/// of a head.
pub(super) async fn secure(
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    (stream, config): (TcpStream, Arc<ServerConfig>),
    id: u64,
    now: Tick,
) {
    let limits = worker.limits();
    let greeting = tls::greet(&conn, stream, config, now + limits.head_timeout);
    match Box::pin(greeting).await {
        Ok(stream) if stream.is_http2() => {
            Box::pin(http2::converse(&worker, &conn, stream)).await;
        }
        Ok(stream) => {
            let wire = Wire::new(stream, conn.clone(), limits, clock::tick());
            converse(worker, conn, wire, id).await;
        }
        Err(why) => worker.note(Observation::Unsecured(why)),
    }
}

/// Parked until the client says something, with hyper until it is quiet again.
pub(super) async fn converse(worker: Rc<Worker>, conn: Rc<Conn>, mut wire: Wire, id: u64) {
    while wire.next().await {
        worker.active.borrow_mut().insert(id, conn.clone());
        let left = attend(&worker, &conn, wire).await;
        worker.active.borrow_mut().remove(&id);
        match left {
            Left::Quiet(quiet) => wire = quiet,
            Left::Switched(wire, early, plan) => {
                // On the heap, because most connections are none.
                return Box::pin(websocket::run(&conn, wire, early, plan)).await;
            }
            Left::Over => return,
        }
    }
}

/// How hyper leaves a connection.
enum Left {
    /// It is quiet and can be parked.
    Quiet(Wire),
    /// It is a websocket now. With what hyper had read behind the handshake.
    Switched(Wire, Bytes, Box<Plan>),
    /// It has ended.
    Over,
}

/// Answers requests until the connection ends, or is given back.
async fn attend(worker: &Rc<Worker>, conn: &Rc<Conn>, wire: Wire) -> Left {
    let service = {
        let (worker, conn) = (worker.clone(), conn.clone());
        service_fn(move |request| request::serve(worker.clone(), conn.clone(), request))
    };
    // On the heap, because there it is gone when the connection is parked.
    let mut http = Box::pin(worker.http.serve_connection(TokioIo::new(wire), service));
    let mut told = false;
    let ended = poll_fn(|cx| {
        // hyper would add its own word to the answer of a handshake.
        if !told && conn.closing.get() && !conn.upgrading.get() {
            told = true;
            // What has come already is still answered.
            if let Poll::Ready(ended) = http.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            http.as_mut().graceful_shutdown();
        }
        let mut polled = http.as_mut().poll(cx);
        if polled.is_pending() && conn.parking.get() == Parking::Asked {
            // After an answer hyper trusts that there is still nothing to read; only
            // when polled once more does it ask the wire, which knows.
            polled = http.as_mut().poll(cx);
        }
        match polled {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if conn.may_park() && !told => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    let Some(ended) = ended else {
        return Left::Quiet(Pin::into_inner(http).into_parts().io.into_inner());
    };
    let plan = conn.plan.take();
    if let Err(error) = ended {
        // The client's doing, nearly always: it hung up, or sent no HTTP. Those
        // that hyper refused by itself never came to `request`.
        if error.is_parse() {
            let status = if error.is_parse_too_large() { 431 } else { 400 };
            worker.note(Observation::Refused { status });
        }
        tracing::debug!(%error, "A connection ended early.");
    } else if let Some(plan) = plan {
        // The 101 is written.
        let parts = Pin::into_inner(http).into_parts();
        return Left::Switched(parts.io.into_inner(), parts.read_buf, plan);
    }
    Left::Over
}
