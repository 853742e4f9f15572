//! A backend that keeps a book of what it was sent and answers as it is told.
//!
//! By itself it answers every webhook with a sound document, or with what it was
//! told to say. A webhook may ask for something else in its query, by the backend's
//! name: `?new=500`, `?new=slow-300`. On a websocket it says back what it hears.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::Duration;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, WebSocket};

use super::http::{Link, Message, PATIENCE};

/// A document that neither ends the call nor serves it.
pub(crate) const SOUND: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
    <Response><Gather action=\"/ivr/menu\"><Say>Hello</Say></Gather></Response>";

/// An answer of three megabytes, no two lines of which are the same.
pub(crate) fn long() -> &'static str {
    static LONG: OnceLock<String> = OnceLock::new();
    LONG.get_or_init(|| (0..300_000).map(|line| format!("{line:09}\n")).collect())
}

pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    book: Mutex<Vec<Message>>,
    /// Header lines and body of its answers.
    says: Mutex<(String, String)>,
    gate: Mutex<bool>,
    opened: Condvar,
}

impl Backend {
    pub(crate) fn new(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let inner = Arc::new(Inner {
            name,
            book: Mutex::default(),
            says: Mutex::new(("content-type: application/xml".to_owned(), SOUND.to_owned())),
            gate: Mutex::default(),
            opened: Condvar::new(),
        });
        let own = Arc::clone(&inner);
        // It ends with the test process: nothing here needs to be put away.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = Arc::clone(&own);
                thread::spawn(move || own.converse(Link::over(stream)));
            }
        });
        Self { address, inner }
    }

    /// Everything it was sent.
    pub(crate) fn book(&self) -> Vec<Message> {
        self.inner.book().clone()
    }

    /// The last it was sent.
    pub(crate) fn last(&self) -> Message {
        let last = self.inner.book().last().cloned();
        last.expect("the backend was sent something")
    }

    /// How many webhooks of that call it was sent.
    pub(crate) fn times(&self, call: &str) -> usize {
        let told = |message: &&Message| names(message, call);
        self.inner.book().iter().filter(told).count()
    }

    /// Has it answer with these header lines and this body from now on.
    pub(crate) fn says(&self, head: &str, body: &str) {
        let mut says = self.inner.says.lock().expect("no writer panics");
        *says = (head.to_owned(), body.to_owned());
    }

    /// Answers what is `held` now, and holds nothing any more.
    pub(crate) fn release(&self) {
        *self.inner.gate.lock().expect("no holder panics") = true;
        self.inner.opened.notify_all();
    }
}

fn names(message: &Message, call: &str) -> bool {
    let body = String::from_utf8_lossy(&message.body);
    let query = message.first.split([' ', '?']).nth(2).unwrap_or_default();
    let own = format!("CallSid={}", call.replace(':', "%3A"));
    body.split('&').chain(query.split('&')).any(|it| it == own)
}

impl Inner {
    fn book(&self) -> MutexGuard<'_, Vec<Message>> {
        self.book.lock().expect("no writer panics")
    }

    fn converse(&self, mut link: Link) {
        while let Ok(Some(request)) = link.receive() {
            let manner = self.manner(&request.first);
            let key = request.header("sec-websocket-key").map(str::to_owned);
            self.book().push(request);
            if let Some(key) = key {
                return self.talk(link, &key);
            }
            let Some((status, head, document)) = self.answer(&manner) else {
                return;
            };
            let answer = format!(
                "HTTP/1.1 {status} Said\r\n{head}\r\n\
                 x-backend: {}\r\nx-many: first\r\nx-many: second\r\nkeep-alive: timeout=9\r\n\
                 content-length: {}\r\n\r\n{document}",
                self.name,
                document.len()
            );
            if link.send(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// Takes a websocket and says back what it hears, after its name.
    fn talk(&self, mut link: Link, key: &str) {
        let yes = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        if link.send(yes.as_bytes()).is_err() {
            return;
        }
        let (stream, ahead) = link.into_parts();
        let mut socket = WebSocket::from_partially_read(stream, ahead, Role::Server, None);
        while let Ok(message) = socket.read() {
            let tungstenite::Message::Text(text) = message else {
                continue;
            };
            let answer = format!("{}: {text}", self.name);
            if socket.send(tungstenite::Message::text(answer)).is_err() {
                return;
            }
        }
    }

    /// What the webhook asks this backend for.
    fn manner(&self, line: &str) -> String {
        let query = line.split(' ').nth(1).and_then(|it| it.split_once('?'));
        let (_, query) = query.unwrap_or_default();
        let own = query.split('&').filter_map(|it| it.split_once('='));
        own.filter(|(name, _)| *name == self.name)
            .map(|(_, manner)| manner.to_owned())
            .next()
            .unwrap_or_default()
    }

    /// Status, header lines and document; None: it hangs up.
    fn answer(&self, manner: &str) -> Option<(u16, String, String)> {
        let (head, document) = self.says.lock().expect("no writer panics").clone();
        let (status, document) = match manner {
            "" => (200, document),
            "broken" => (200, "<Response><Say>Hello</Response>".to_owned()),
            "long" => (200, long().to_owned()),
            "hang-up" => return None,
            "held" => {
                self.wait();
                (200, document)
            }
            slow if slow.starts_with("slow-") => {
                let millis = slow.trim_start_matches("slow-").parse();
                thread::sleep(Duration::from_millis(millis.expect("milliseconds")));
                (200, document)
            }
            status => (
                status.parse().expect("a manner or a status"),
                "no".to_owned(),
            ),
        };
        Some((status, head, document))
    }

    fn wait(&self) {
        let gate = self.gate.lock().expect("no holder panics");
        let waited = self
            .opened
            .wait_timeout_while(gate, PATIENCE, |open| !*open);
        drop(waited.expect("no holder panics"));
    }
}
