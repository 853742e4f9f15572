//! Backends of webhooks, each as well or as badly behaved as a test wants it.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::http::read_request;

/// An answer that serves.
pub(crate) const SOUND: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\n<Response/>";

/// A backend that answers each request with `answer`, and what it received.
pub(crate) fn recorder(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let record: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = record.clone();
    let at = backend(move |mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            kept.lock().unwrap().push(request);
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    (at, record)
}

/// A backend that reads one request on each connection and then does this.
pub(crate) fn after_request(act: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    backend(move |mut stream, number| {
        if read_request(&mut stream).is_some() {
            act(stream, number);
        }
    })
}

/// A backend: `act` is given each connection and its number, from 0.
pub(crate) fn backend(act: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let act = Arc::new(act);
    thread::spawn(move || {
        for (number, stream) in socket.incoming().flatten().enumerate() {
            let act = act.clone();
            thread::spawn(move || act(stream, number));
        }
    });
    at
}

/// Where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}
