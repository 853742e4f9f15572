//! Sample IVR backends for the load tests: several names, one thread, one canned
//! TeXML document each, and faults that can be switched on while calls run.
//!
//! ```text
//! ivr-backend --backend legacy=9101 --backend new=0 [--watch] [--idle-close 800] [--fickle 10]
//! ```
//!
//! The ports in use are printed as one line of JSON (port 0 takes a free one).
//! Control, on each backend's own port:
//!
//! - `POST /_fault {"kind":"500","share":0.5}`: misbehave; `none` ends it
//! - `POST /_mark`: begin a new count "since the mark", for all backends
//! - `GET /_seen`: counts (needs `--watch`)
//! - `GET /_records`: each request since the last fetch (needs `--watch`)

mod clock;
mod connection;
mod faults;
mod seen;
mod wire;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use connection::{Connection, Fate};
use faults::{Answers, Dice, Fault, Kind};
use seen::{Seen, Visit};

/// A request longer than this closes its connection: nothing honest is.
const REQUEST_MAX: usize = 1 << 20;

/// Sample IVR backends for load tests.
#[derive(Parser)]
struct Options {
    /// A backend: its name, sent as `X-Backend`, and its port; 0 takes a free one.
    #[arg(long = "backend", required = true, value_name = "NAME=PORT")]
    backends: Vec<String>,
    /// Remember calls and requests, for /_seen and /_records.
    #[arg(long)]
    watch: bool,
    /// Close a connection that was idle for so many milliseconds.
    #[arg(long, value_name = "MS")]
    idle_close: Option<u64>,
    /// Close each connection at a random moment, up to so many milliseconds after it
    /// was last used, whether or not a request is just coming.
    #[arg(long, value_name = "MS")]
    fickle: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut server = Server::new(&options)?;
    writeln!(io::stdout(), "{}", server.ports()?)?;
    server.run()
}

/// One backend.
struct Backend {
    name: String,
    listener: TcpListener,
    answers: Answers,
    fault: Fault,
}

/// All backends of this process.
struct Server {
    poll: Poll,
    backends: Vec<Backend>,
    connections: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
    /// Answers to be sent later: due time, slot, and the connection's serial.
    late: BinaryHeap<Reverse<(u64, usize, u64)>>,
    /// Idle connections to be closed, if they are still idle then: due time, slot, the
    /// connection's serial, and how many requests it had answered.
    fickle: BinaryHeap<Reverse<(u64, usize, u64, u64)>>,
    /// The longest that one may stay idle.
    fickle_within: Option<u64>,
    /// How many were.
    closed: u64,
    serial: u64,
    dice: Dice,
    seen: Option<Seen>,
    idle_close: Option<u64>,
    /// An accept failed (no descriptors left): try again at the next turn.
    accept_again: bool,
    scratch: Vec<u8>,
}

impl Server {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut backends = Vec::new();
        for (index, given) in options.backends.iter().enumerate() {
            let (name, port) = given
                .split_once('=')
                .with_context(|| format!("--backend {given}: write NAME=PORT"))?;
            let port: u16 = port
                .parse()
                .with_context(|| format!("--backend {given}: not a port"))?;
            let mut listener = listen(port).with_context(|| format!("port {port}"))?;
            poll.registry()
                .register(&mut listener, Token(index), Interest::READABLE)?;
            backends.push(Backend {
                name: name.to_owned(),
                listener,
                answers: Answers::of(name),
                fault: Fault::default(),
            });
        }
        Ok(Self {
            poll,
            connections: Vec::new(),
            free: Vec::new(),
            late: BinaryHeap::new(),
            fickle: BinaryHeap::new(),
            fickle_within: options.fickle.map(clock::millis),
            closed: 0,
            serial: 0,
            dice: Dice::new(),
            seen: options.watch.then(|| Seen::new(backends.len())),
            idle_close: options.idle_close.map(clock::millis),
            accept_again: false,
            scratch: vec![0; 64 << 10],
            backends,
        })
    }

    fn ports(&self) -> anyhow::Result<serde_json::Value> {
        let mut ports = serde_json::Map::new();
        for backend in &self.backends {
            let port = backend.listener.local_addr()?.port();
            ports.insert(backend.name.clone(), port.into());
        }
        Ok(ports.into())
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(512);
        let mut swept = clock::now();
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token().0.checked_sub(self.backends.len()) {
                    None => self.accept(event.token().0),
                    Some(slot) => self.turn(slot, event.is_read_closed()),
                }
            }
            if self.accept_again {
                self.accept_again = false;
                (0..self.backends.len()).for_each(|index| self.accept(index));
            }
            self.send_late();
            self.close_fickle();
            if let Some(idle) = self.idle_close
                && clock::now() - swept > idle / 4
            {
                swept = clock::now();
                self.close_idle(swept.saturating_sub(idle));
            }
        }
    }

    /// How long the next wait may be.
    fn patience(&self) -> Option<Duration> {
        let now = clock::now();
        let late = self
            .late
            .peek()
            .map(|Reverse((due, ..))| due.saturating_sub(now));
        let idle = self.idle_close.map(|idle| idle / 4);
        let again = self.accept_again.then_some(clock::millis(50));
        let fickle = self
            .fickle
            .peek()
            .map(|Reverse((due, ..))| due.saturating_sub(now));
        let least = [late, idle, again, fickle].into_iter().flatten().min();
        least.map(Duration::from_nanos)
    }

    fn accept(&mut self, index: usize) {
        loop {
            let Some(backend) = self.backends.get(index) else {
                return;
            };
            match backend.listener.accept() {
                Ok((stream, _)) => {
                    self.serial += 1;
                    let mut connection = Connection::new(stream, index, self.serial);
                    let slot = self.free.pop().unwrap_or_else(|| {
                        self.connections.push(None);
                        self.connections.len() - 1
                    });
                    let token = Token(self.backends.len() + slot);
                    if connection.register(self.poll.registry(), token).is_ok()
                        && let Some(place) = self.connections.get_mut(slot)
                    {
                        *place = Some(Box::new(connection));
                    } else {
                        self.free.push(slot);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.accept_again = true;
                    return;
                }
            }
        }
    }

    /// Something happened on a connection: send what is left, read, answer.
    fn turn(&mut self, slot: usize, closing: bool) {
        self.with_connection(slot, |server, connection| {
            if connection.flush().is_err() {
                return Fate::Close;
            }
            let mut scratch = std::mem::take(&mut server.scratch);
            let fate = server.read(connection, slot, &mut scratch, closing);
            server.scratch = scratch;
            fate
        });
    }

    fn read(
        &mut self,
        connection: &mut Connection,
        slot: usize,
        scratch: &mut [u8],
        closing: bool,
    ) -> Fate {
        loop {
            let count = match connection.read(scratch) {
                Ok(0) => return Fate::Close,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Fate::Keep,
                Err(_) => return Fate::Close,
            };
            let bytes = scratch.get(..count).unwrap_or_default();
            if self.feed(connection, slot, bytes) == Fate::Close {
                return Fate::Close;
            }
            // A short read has emptied the socket; the next bytes ring again.
            if count < scratch.len() && !closing {
                return Fate::Keep;
            }
        }
    }

    /// Answers every whole request in what is buffered and `bytes`.
    fn feed(&mut self, connection: &mut Connection, slot: usize, bytes: &[u8]) -> Fate {
        if connection.input.is_empty() {
            return match self.requests(connection, slot, bytes) {
                Some(used) => {
                    let rest = bytes.get(used..).unwrap_or_default();
                    connection.input.extend_from_slice(rest);
                    Fate::Keep
                }
                None => Fate::Close,
            };
        }
        let mut input = std::mem::take(&mut connection.input);
        input.extend_from_slice(bytes);
        let Some(used) = self.requests(connection, slot, &input) else {
            return Fate::Close;
        };
        input.drain(..used);
        connection.input = input;
        if connection.input.len() > REQUEST_MAX {
            return Fate::Close;
        }
        Fate::Keep
    }

    /// Bytes used up by whole requests. None: the connection must close.
    fn requests(
        &mut self,
        connection: &mut Connection,
        slot: usize,
        bytes: &[u8],
    ) -> Option<usize> {
        let mut used = 0;
        while connection.due.is_none() {
            let rest = bytes.get(used..)?;
            let mut id: &[u8] = &[];
            let mut key: &[u8] = &[];
            let Some(head) = wire::read_head(rest, |name, value| {
                if name.eq_ignore_ascii_case(b"x-request-id") {
                    id = value;
                } else if name.eq_ignore_ascii_case(b"x-request-key") {
                    key = value;
                }
            }) else {
                break;
            };
            let Some(total) = wire::message_len(rest, &head) else {
                break;
            };
            used += total;
            let body = rest.get(head.len..total)?;
            // The caller's own key, where there is one, also sees a proxy that
            // sends one request twice under two ids.
            let request = if key.is_empty() { id } else { key };
            let mut target = head.first_line.split(|byte| *byte == b' ').skip(1);
            let target = target.next().unwrap_or_default();
            let fate = if target.starts_with(b"/_") {
                self.control(connection, target, body)
            } else {
                connection.requests += 1;
                self.webhook(connection, slot, target, body, request)
            };
            if fate == Fate::Close {
                return None;
            }
            if let Some(within) = self.fickle_within {
                let due = clock::now() + (self.dice.throw() * within as f64) as u64;
                let one = (due, slot, connection.serial, connection.requests);
                self.fickle.push(Reverse(one));
            }
        }
        Some(used)
    }

    fn webhook(
        &mut self,
        connection: &mut Connection,
        slot: usize,
        target: &[u8],
        body: &[u8],
        request: &[u8],
    ) -> Fate {
        let Some(backend) = self.backends.get(connection.backend) else {
            return Fate::Close;
        };
        let fault = backend.fault;
        let kind = if fault.kind != Kind::None && self.dice.hits(fault.share) {
            fault.kind
        } else {
            Kind::None
        };
        let (answer, status) = backend.answers.get(kind);
        if self.seen.is_some() || self.idle_close.is_some() || kind == Kind::Slow {
            let arrived = clock::now();
            connection.used = arrived;
            let due = arrived
                + if kind == Kind::Slow {
                    clock::millis(fault.ms)
                } else {
                    0
                };
            if let Some(seen) = &mut self.seen {
                let call = field(body, b"CallSid=").or_else(|| field(target, b"CallSid="));
                seen.note(
                    connection.backend,
                    &Visit {
                        arrived,
                        call: call.unwrap_or_default(),
                        request,
                        status,
                        good: matches!(kind, Kind::None | Kind::Slow),
                        answered: due,
                    },
                );
            }
            if kind == Kind::Slow {
                connection.due = Some(due);
                self.late.push(Reverse((due, slot, connection.serial)));
                return Fate::Keep;
            }
        }
        match kind {
            Kind::Reset => connection.reset(),
            Kind::Close => Fate::Close,
            Kind::Hang => {
                // Never due: later requests on this connection stay unread too.
                connection.due = Some(u64::MAX);
                Fate::Keep
            }
            Kind::Truncated => {
                connection.send(answer);
                Fate::Close
            }
            _ => connection.send(answer),
        }
    }

    fn control(&mut self, connection: &mut Connection, target: &[u8], body: &[u8]) -> Fate {
        let index = connection.backend;
        let answer = match target {
            b"/_fault" => match serde_json::from_slice::<Fault>(body) {
                Ok(fault) => {
                    if let Some(backend) = self.backends.get_mut(index) {
                        backend.fault = fault;
                    }
                    Ok(format!("{{\"now_ns\":{}}}", clock::now()))
                }
                Err(error) => Err(format!("not a fault: {error}\n")),
            },
            b"/_mark" | b"/_seen" | b"/_records" => match &mut self.seen {
                None => Err("start with --watch\n".to_owned()),
                Some(seen) => Ok(match target {
                    b"/_mark" => {
                        seen.mark();
                        format!("{{\"now_ns\":{}}}", clock::now())
                    }
                    b"/_records" => seen.take_records(index),
                    _ => seen.counts(index, clock::now(), self.closed).to_string(),
                }),
            },
            _ => Err("no such control\n".to_owned()),
        };
        let (status, text) = match answer {
            Ok(text) => ("200 OK", text),
            Err(text) => ("400 Bad Request", text),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        connection.send(format!("{head}{text}").as_bytes())
    }

    fn send_late(&mut self) {
        while let Some(Reverse((due, slot, serial))) = self.late.peek().copied() {
            if due > clock::now() {
                return;
            }
            self.late.pop();
            self.with_connection(slot, |server, connection| {
                // The slot may have gone to another connection meanwhile.
                if connection.serial != serial {
                    return Fate::Keep;
                }
                connection.due = None;
                let Some(backend) = server.backends.get(connection.backend) else {
                    return Fate::Close;
                };
                match connection.send(backend.answers.get(Kind::Slow).0) {
                    Fate::Keep => server.feed(connection, slot, &[]),
                    Fate::Close => Fate::Close,
                }
            });
        }
    }

    /// Closes what had its last request that long ago. What has come meanwhile and was
    /// not read is lost, and its sender told so by a reset: as with any server that is
    /// done with a connection just when a request is on its way.
    fn close_fickle(&mut self) {
        while let Some(Reverse((due, slot, serial, requests))) = self.fickle.peek().copied() {
            if due > clock::now() {
                return;
            }
            self.fickle.pop();
            self.with_connection(slot, |server, connection| {
                let idle = connection.due.is_none() && connection.requests == requests;
                if connection.serial == serial && idle {
                    server.closed += 1;
                    return Fate::Close;
                }
                Fate::Keep
            });
        }
    }

    fn close_idle(&mut self, unused_since: u64) {
        for slot in 0..self.connections.len() {
            self.with_connection(slot, |_, connection| {
                let busy = connection.due.is_some() || !connection.input.is_empty();
                if !busy && connection.used < unused_since {
                    return Fate::Close;
                }
                Fate::Keep
            });
        }
    }

    /// Lends a connection out of its slot; on `Close` it is dropped, which closes it.
    fn with_connection(
        &mut self,
        slot: usize,
        act: impl FnOnce(&mut Self, &mut Connection) -> Fate,
    ) {
        let Some(mut connection) = self.connections.get_mut(slot).and_then(Option::take) else {
            return;
        };
        match act(self, &mut connection) {
            Fate::Keep => {
                if let Some(place) = self.connections.get_mut(slot) {
                    *place = Some(connection);
                }
            }
            Fate::Close => self.free.push(slot),
        }
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    // Ten thousand connections may come at once.
    socket.listen(4096)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// A form field's value as sent, at the start of the form or after `&` or `?`.
fn field<'a>(form: &'a [u8], name_and_equals: &[u8]) -> Option<&'a [u8]> {
    for at in memchr::memmem::find_iter(form, name_and_equals) {
        let starts_field = match at.checked_sub(1) {
            None => true,
            Some(before) => matches!(form.get(before), Some(b'&' | b'?')),
        };
        if starts_field {
            let rest = form.get(at + name_and_equals.len()..)?;
            let end = memchr::memchr(b'&', rest).unwrap_or(rest.len());
            return rest.get(..end);
        }
    }
    None
}
