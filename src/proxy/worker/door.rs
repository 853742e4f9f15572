//! How a connection comes in: accepted while there is room for it, given its place among
//! those of its source, and begun.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::rc::Rc;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

use super::connection::{converse, secure, serve};
use super::{BREATH, Worker};
use crate::clock;
use crate::proxy::pulse::Mishap;
use crate::proxy::transport::Transport;
use crate::proxy::wire::{Conn, Wire};
use crate::proxy::{peer, sources};

/// Takes connections for as long as there is room for them.
pub(super) async fn accept(worker: Rc<Worker>, listener: Rc<TcpListener>) {
    loop {
        while worker.is_full() {
            // The rest waits in the kernel's queue.
            worker.ended.notified().await;
        }
        match listener.accept().await {
            Ok((stream, peer)) => admit(&worker, stream, peer),
            Err(error) if is_the_client_s(&error) => {}
            Err(error) => {
                worker.shared.pulse.note(Mishap::Accept, &error);
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// It hung up while it waited; the next one need not wait for that.
fn is_the_client_s(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Begins a connection.
pub(super) fn admit(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let Some(place) = worker.place_for(peer) else {
        return worker.shared.pulse.note(Mishap::Source, &peer.ip());
    };
    // Without it a small answer waits for the acknowledgement of the last one.
    // If the kernel will not, answers are late but right.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused.");
    }
    // tokio takes a new socket for readable until the system says that it is not.
    // Whatever else the system says, a read will hear it too.
    drop(stream.try_io(Interest::READABLE, || {
        SockRef::from(&stream).peek(&mut [MaybeUninit::uninit()])
    }));
    let id = worker.accepted.get();
    worker.accepted.set(id + 1);
    let now = clock::tick();
    let conn = Conn::new(peer.ip(), now);
    worker.connections.borrow_mut().insert(id, conn.clone());
    let speaks = worker
        .shared
        .routing
        .load()
        .settings
        .tls
        .as_ref()
        .map(|tls| tls.config());
    let limits = worker.limits();
    if let Some(config) = speaks {
        conn.secure.set(true);
        let life = secure(worker.clone(), conn.clone(), (stream, config), id, now);
        // On the heap, because plain ones should not carry room for it.
        let life = serve(worker.clone(), conn, Box::pin(life), id);
        tokio::task::spawn_local(keeping(place, life));
        return;
    }
    let wire = Wire::new(Transport::Plain(stream), conn.clone(), limits, now);
    let life = converse(worker.clone(), conn.clone(), wire, id);
    tokio::task::spawn_local(keeping(place, serve(worker.clone(), conn, life, id)));
}

/// A life in a place that is given back at its end.
async fn keeping(place: Option<sources::Place>, life: impl Future<Output = ()>) {
    life.await;
    drop(place);
}

impl Worker {
    /// A connection's place among those of its source, where they are bounded. None:
    /// it has no place.
    fn place_for(&self, peer: SocketAddr) -> Option<Option<sources::Place>> {
        let routing = self.shared.routing.load();
        let settings = &routing.settings;
        let most = settings.limits.connections_per_source;
        if most == 0 || peer::Peer::new(peer.ip(), &settings.trusted_proxies).trusted {
            return Some(None);
        }
        self.shared.sources.take(peer.ip(), most).map(Some)
    }

    /// This worker's part of the connection limit.
    fn connections_max(&self) -> usize {
        self.part_of(self.limits().connections)
    }

    fn is_full(&self) -> bool {
        self.connections.borrow().len() >= self.connections_max()
    }
}
