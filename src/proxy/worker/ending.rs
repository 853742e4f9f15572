//! How a worker ends: the last connections come in, what runs is finished or cut off.

use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::Worker;
use super::door::admit;
use crate::clock;
use crate::model::Tick;
use crate::proxy::{listener, websocket};

/// Between the last connection that may begin and the closing of the port: the
/// others' handshakes end. Longer than any round trip to a provider should be.
const HANDSHAKE: Duration = Duration::from_millis(250);

/// After the last websockets were told to end: they say so to both sides, hang up,
/// and wait that long for the others to hear it.
const GOODBYE: Duration = websocket::LINGER.saturating_add(Duration::from_millis(250));

/// Between the last accept and the closing of idle connections: requests that
/// were on their way when we were told to stop still arrive.
const LAST_CALL: Duration = Duration::from_millis(250);

/// Lets no new connection begin, and goes on accepting those that have begun.
pub(super) async fn wait_for_handshakes(mut listeners: impl Iterator<Item = &TcpListener>) {
    // Where the kernel cannot, waiting would only let more of them in.
    if listeners.all(|listener| listener::close_the_gate(listener).is_ok()) {
        tokio::time::sleep(HANDSHAKE).await;
    }
}

/// Takes what waits in the accept queue, then closes the port.
pub(super) fn empty_queue(worker: &Rc<Worker>, listener: Rc<TcpListener>) {
    let Some(listener) = Rc::into_inner(listener) else {
        return;
    };
    // The system's own accept, because tokio's knows only what it has polled.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok((stream, peer)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            admit(worker, stream, peer);
        }
    }
}

/// Waits until every connection has ended, or the time for it is over: one time for
/// requests, another for websockets, which last as long as calls do.
pub(super) async fn finish(worker: &Rc<Worker>) {
    let now = clock::tick();
    let all_ended = async {
        while !worker.connections.borrow().is_empty() {
            worker.ended.notified().await;
        }
    };
    let last_call = async {
        tokio::time::sleep(LAST_CALL).await;
        for conn in worker.connections.borrow().values() {
            conn.close();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = all_ended => {}
        () = last_call => {}
        () = cut_late(worker, now) => {}
    }
}

/// Ends what runs for too long after `drained`, and returns when all of it must be over.
async fn cut_late(worker: &Worker, drained: Tick) {
    let limits = worker.limits();
    let requests = async {
        tokio::time::sleep_until(clock::instant(drained + limits.drain_timeout)).await;
        cut(worker, false);
    };
    let streams = async {
        tokio::time::sleep_until(clock::instant(drained + limits.stream_drain_timeout)).await;
        cut(worker, true);
        tokio::time::sleep(GOODBYE).await;
    };
    tokio::join!(requests, streams);
}

/// Ends what still runs: the websockets, or all else.
fn cut(worker: &Worker, streams: bool) {
    let connections = worker.connections.borrow();
    let late = connections
        .values()
        .filter(|conn| conn.streaming.get() == streams);
    let mut cut = 0;
    for conn in late {
        conn.cut();
        cut += 1;
    }
    match (cut, streams) {
        (0, _) => {}
        (_, true) => tracing::warn!(
            cut,
            "Websockets were still open when the time for them (limits.stream_drain_timeout) was over."
        ),
        (_, false) => tracing::warn!(
            cut,
            "Requests were still running when the time to finish them was over."
        ),
    }
}
