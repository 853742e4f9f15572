//! The admin listener: a small HTTP/1.1 server with an end to everything.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

/// Connections open at once; more wait in the accept queue.
const CONNECTIONS: usize = 256;

/// A request head must be complete in this time, else the connection closes. It is
/// also how long a connection may stay open between requests: longer than the
/// minute between two scrapes.
const HEAD_TIMEOUT: Duration = Duration::from_secs(65);

/// Bytes of a request head; more is 431.
const HEAD_MAX: usize = 32 * 1024;

/// How long a connection lives, so that a reader who does not read holds its place
/// for a time only.
const LIFETIME: Duration = Duration::from_secs(600);

/// How long the request that runs at the end of a connection's life may still take.
const GRACE: Duration = Duration::from_secs(15);

/// How long running requests may take after the end was announced.
const DRAIN: Duration = Duration::from_secs(3);

/// Pause after an accept that failed for want of descriptors, so that the loop
/// does not spin on the engine's own thread.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` is ready, then lets running requests finish for up to
/// three seconds. Each connection is a task of the current runtime.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (ending, end) = watch::channel(false);
    tokio::pin!(shutdown);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places, failing) => accepted,
        };
        let failed = accepted.is_none();
        match accepted {
            Some((stream, place)) => {
                tokio::spawn(converse(stream, place, router.clone(), end.clone()));
            }
            None => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        failing = failed;
    }
    drop(listener);
    ending.send_replace(true);
    let all = u32::try_from(CONNECTIONS).expect("256 fits");
    // Whether they finished or time ran out, the listener is closed; nothing follows.
    drop(tokio::time::timeout(DRAIN, places.acquire_many(all)).await);
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    failing: bool,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            // Said when it begins, not ten times a second.
            if failing {
                return None;
            }
            tracing::warn!(%error, "The admin listener could not accept a connection.");
            None
        }
    }
}

async fn converse(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: Router,
    mut end: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(answer(router, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let finished = tokio::select! {
        finished = connection.as_mut() => finished,
        () = ended(&mut end) => {
            connection.as_mut().graceful_shutdown();
            let last = tokio::time::timeout(GRACE, connection).await;
            last.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = finished {
        tracing::debug!(%error, "An admin connection ended early.");
    }
    drop(place);
}

/// The listener's end or the connection's own, whichever comes first.
async fn ended(end: &mut watch::Receiver<bool>) {
    // Announced, or the listener itself is gone: the same to us, and so is the
    // time being over.
    drop(tokio::time::timeout(LIFETIME, end.changed()).await);
}

async fn answer(router: Router, request: hyper::Request<Incoming>) -> axum::response::Response {
    match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
