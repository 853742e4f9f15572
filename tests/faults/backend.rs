//! A backend that does to each webhook what its query asks for, and can refuse
//! connections as a whole. It counts what it was asked.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as Listener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::json;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::fault::Manner;
use crate::http::{Link, Message};

/// Whether anybody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// The port is taken, but nobody listens on it.
    Refuses,
    /// Connections are taken, and closed at once.
    Closes,
}

pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    door: watch::Sender<Door>,
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    /// Requests by the `t` of their query.
    asked: Mutex<HashMap<String, usize>>,
    /// The door as it is, once it is that.
    stands: Mutex<Door>,
    /// Requests being answered, and the most there ever were at once.
    now: AtomicUsize,
    most: AtomicUsize,
    total: AtomicUsize,
}

impl Backend {
    pub(crate) fn new(name: &'static str) -> Self {
        let listener = Listener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (door, watched) = watch::channel(Door::Open);
        let inner = Arc::new(Inner {
            name,
            asked: Mutex::default(),
            stands: Mutex::new(Door::Open),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
        });
        let own = Arc::clone(&inner);
        // It ends with its doorkeeper, when the sender goes.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be built");
            runtime.block_on(keep_door(own, listener, watched));
        });
        Self {
            address,
            door,
            inner,
        }
    }

    /// Opens or shuts it, and waits until it is so.
    pub(crate) async fn set(&self, door: Door) {
        if *lock(&self.inner.stands) == door {
            // Else its connections would be closed a moment later, under the next webhooks.
            return;
        }
        self.door.send(door).expect("its thread runs");
        while *lock(&self.inner.stands) != door {
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// How often it was asked something with this `t` in its query.
    pub(crate) fn times(&self, tag: &str) -> usize {
        lock(&self.inner.asked).get(tag).copied().unwrap_or(0)
    }

    /// How many requests it ever had.
    pub(crate) fn total(&self) -> usize {
        self.inner.total.load(Ordering::SeqCst)
    }

    /// How many requests it has now.
    pub(crate) fn now(&self) -> usize {
        self.inner.now.load(Ordering::SeqCst)
    }

    /// The most requests it ever had at once.
    pub(crate) fn most(&self) -> usize {
        self.inner.most.load(Ordering::SeqCst)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}

async fn keep_door(inner: Arc<Inner>, listener: Listener, mut door: watch::Receiver<Door>) {
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("it can wait");
    let mut listener = TcpListener::from_std(listener).expect("the runtime has it");
    loop {
        let now = *door.borrow_and_update();
        *lock(&inner.stands) = now;
        let changed = match now {
            Door::Refuses => {
                drop(listener);
                // Kept, so that the kernel gives the port to nobody else meanwhile.
                let held = bound(address);
                let changed = door.changed().await;
                held.listen(1024).expect("it is bound");
                held.set_nonblocking(true).expect("it can wait");
                listener = TcpListener::from_std(held.into()).expect("the runtime has it");
                changed
            }
            Door::Open => {
                let mut talks = JoinSet::new();
                loop {
                    tokio::select! {
                        changed = door.changed() => break changed,
                        accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                            let own = Arc::clone(&inner);
                            talks.spawn(async move { drop(own.converse(stream).await) });
                        },
                        Some(_) = talks.join_next() => {}
                    }
                }
            }
            Door::Closes => loop {
                tokio::select! {
                    changed = door.changed() => break changed,
                    accepted = listener.accept() => drop(accepted),
                }
            },
        };
        if changed.is_err() {
            return;
        }
    }
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("it is not bound yet");
    socket.bind(&address.into()).expect("the port was ours");
    socket
}

/// Counts a request for as long as it is being answered.
struct Answering<'a>(&'a Inner);

impl<'a> Answering<'a> {
    fn begin(inner: &'a Inner) -> Self {
        let now = inner.now.fetch_add(1, Ordering::SeqCst) + 1;
        inner.most.fetch_max(now, Ordering::SeqCst);
        inner.total.fetch_add(1, Ordering::SeqCst);
        Self(inner)
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Inner {
    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let mut link = Link::over(stream);
        while let Some(request) = link.receive().await? {
            let answering = Answering::begin(self);
            if let Some(tag) = request.query("t") {
                *lock(&self.asked).entry(tag.to_owned()).or_default() += 1;
            }
            let manner = Manner::read(request.query(self.name).unwrap_or_default());
            let goes_on = self.answer(&mut link.stream, &request, manner).await?;
            drop(answering);
            if !goes_on {
                return Ok(());
            }
        }
        Ok(())
    }

    /// False: the connection is over.
    async fn answer(
        &self,
        stream: &mut TcpStream,
        request: &Message,
        manner: Manner,
    ) -> io::Result<bool> {
        let (kind, sound) = self.sound(request);
        let half = sound.get(..sound.len() / 2).unwrap_or_default();
        match manner {
            Manner::Sound => self.say(stream, 200, kind, &sound).await?,
            Manner::Resets => {
                SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
                return Ok(false);
            }
            Manner::ClosesInHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty").await?;
                return Ok(false);
            }
            Manner::ClosesInBody | Manner::LengthTooLong => {
                let length = match manner {
                    Manner::LengthTooLong => sound.len() + 7,
                    _ => sound.len(),
                };
                let head = self.head(200, kind, length);
                let sent = match manner {
                    Manner::LengthTooLong => &sound,
                    _ => half,
                };
                stream.write_all(format!("{head}{sent}").as_bytes()).await?;
                return Ok(false);
            }
            Manner::Hangs => {
                until_closed(stream).await?;
                return Ok(false);
            }
            Manner::SlowFirstByte(millis) => {
                sleep(Duration::from_millis(millis)).await;
                self.say(stream, 200, kind, &sound).await?;
            }
            Manner::SlowBody(millis) => {
                let head = self.head(200, kind, sound.len());
                stream.write_all(format!("{head}{half}").as_bytes()).await?;
                sleep(Duration::from_millis(millis)).await;
                let rest = sound.get(half.len()..).unwrap_or_default();
                stream.write_all(rest.as_bytes()).await?;
            }
            Manner::Trickles => {
                let head = self.head(200, kind, 1 << 20);
                stream.write_all(head.as_bytes()).await?;
                loop {
                    stream.write_all(b" ").await?;
                    sleep(Duration::from_millis(50)).await;
                }
            }
            Manner::Page(status) => {
                let page = "<!DOCTYPE html><html><body><h1>Oops</h1></body></html>";
                let page = if status == 204 { "" } else { page };
                self.say(stream, status, "text/html", page).await?;
            }
            Manner::Truncated => self.say(stream, 200, kind, half).await?,
            Manner::Empty => self.say(stream, 200, kind, "").await?,
            Manner::TooLong => {
                // Well formed and well meant, but no provider reads so much.
                let (open, close) = match kind {
                    XML => ("<Response><Say>", "</Say></Response>"),
                    _ => ("\"", "\""),
                };
                let long = format!("{open}{}{close}", "hello ".repeat(12_000));
                self.say(stream, 200, kind, &long).await?;
            }
            Manner::WrongType => {
                self.say(stream, 200, "application/octet-stream", &sound)
                    .await?;
            }
            Manner::Banner => {
                stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await?;
                until_closed(stream).await?;
                return Ok(false);
            }
            Manner::EndlessHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                for line in 0_u32.. {
                    let line = format!("x-line-{line}: {}\r\n", "y".repeat(400));
                    stream.write_all(line.as_bytes()).await?;
                }
            }
            Manner::LengthTooShort => {
                let head = self.head(200, kind, half.len());
                stream
                    .write_all(format!("{head}{sound}").as_bytes())
                    .await?;
                return Ok(false);
            }
            Manner::ChunkedGarbage => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nx-backend: {}\r\n\
                     transfer-encoding: chunked\r\n\r\nnumber\r\n{sound}\r\n0\r\n\r\n",
                    self.name
                );
                stream.write_all(head.as_bytes()).await?;
                return Ok(false);
            }
            Manner::EmptyObject => self.say(stream, 200, JSON, "{}").await?,
            Manner::InvalidJson => self.say(stream, 200, JSON, "{'results': [}").await?,
            Manner::WrongToolId => {
                let wrong = json!({ "results": [{ "toolCallId": "t-9", "result": self.name }] });
                self.say(stream, 200, JSON, &wrong.to_string()).await?;
            }
            Manner::Strange => {
                let strange = match kind {
                    XML => "<Answer/>".to_owned(),
                    _ => json!({ "error": format!("{} cannot", self.name) }).to_string(),
                };
                self.say(stream, 200, kind, &strange).await?;
            }
        }
        Ok(true)
    }

    fn head(&self, status: u16, kind: &str, length: usize) -> String {
        // To whatever leads nowhere: a provider that followed it would leave us.
        let location = if status == 302 {
            "location: /elsewhere\r\n"
        } else {
            ""
        };
        format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\nx-backend: {}\r\n\
             {location}content-length: {length}\r\n\r\n",
            self.name
        )
    }

    async fn say(
        &self,
        stream: &mut TcpStream,
        status: u16,
        kind: &str,
        body: &str,
    ) -> io::Result<()> {
        let head = self.head(status, kind, body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await
    }

    /// What serves the caller: type and body, with this backend's name in it.
    fn sound(&self, request: &Message) -> (&'static str, String) {
        let target = request.target();
        let name = self.name;
        let (path, _) = target.split_once('?').unwrap_or((target, ""));
        if path.ends_with(".mp3") {
            return ("audio/mpeg", format!("ID3 {name}"));
        }
        if target.starts_with("/vapi") {
            let said = request.json();
            let answer = match said["message"]["type"].as_str() {
                Some("assistant-request") => json!({ "assistantId": name }),
                Some("tool-calls") => {
                    json!({ "results": [{ "toolCallId": "t-1", "result": name }] })
                }
                _ => json!({}),
            };
            return (JSON, answer.to_string());
        }
        if target.starts_with("/cc") {
            return ("text/plain", "ok".to_owned());
        }
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
             <Gather action=\"menu\"><Say>This is {name}</Say></Gather></Response>"
        );
        (XML, document)
    }
}

/// Until the proxy gives up.
async fn until_closed(stream: &mut TcpStream) -> io::Result<()> {
    while stream.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

const XML: &str = "application/xml";
const JSON: &str = "application/json";
