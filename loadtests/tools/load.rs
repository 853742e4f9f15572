//! A load generator for TeXML webhooks that knows calls.
//!
//! ```text
//! load --port 8080 -c 32 -d 5              # closed loop: as fast as it goes
//! load --port 8080 -c 64 -d 5 -r 4000      # open loop: 4,000 requests a second
//! ```
//!
//! In the open loop a latency runs from the moment the request was *due*, so a
//! proxy that stalls is charged for everyone who had to wait. Each call makes its
//! requests one after the other; a call that meets two backends (`X-Backend`) is
//! counted. The result is one line of JSON, times in microseconds.

mod calls;
mod clock;
mod latency;
mod pacer;
mod wire;

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

use calls::{Affinity, Calls, Habits};
use latency::Latencies;
use pacer::Pacer;

/// Unanswered requests are given up this long after the end, in nanoseconds.
const PATIENCE: u64 = clock::millis(2000);
/// Connections opened and used once before the clock starts, so many at a time:
/// few, so that a proxy does not open as many towards its backends.
const FIRST_AT_ONCE: usize = 16;

/// Load of TeXML webhooks.
#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1.
    #[arg(short, long)]
    port: u16,
    /// Path of a call's first webhook.
    #[arg(long, default_value = "/ivr")]
    path: String,
    /// Connections.
    #[arg(short, default_value_t = 32)]
    connections: usize,
    /// Seconds of load.
    #[arg(short, default_value_t = 3.0)]
    duration: f64,
    /// Requests a second (open loop); without it as fast as answers come.
    #[arg(short)]
    rate: Option<f64>,
    /// Stop after so many requests, if that comes before the time is over.
    #[arg(short = 'n', long)]
    stop_after: Option<u64>,
    /// Seconds at the beginning whose latencies are left out.
    #[arg(short, default_value_t = 0.0)]
    warmup: f64,
    /// Calls in progress at once.
    #[arg(short, default_value_t = 5000)]
    active: usize,
    /// Tenants, as numbers called.
    #[arg(short, default_value_t = 1000)]
    tenants: u32,
    /// Requests a call makes: MIN-MAX.
    #[arg(long, default_value = "4-6")]
    requests: String,
    /// The calls are in progress already: no first webhooks.
    #[arg(long)]
    midway: bool,
    /// End each call with a status callback (the last of its requests).
    #[arg(long)]
    ends: bool,
    /// Seconds to keep the connections open after the result is printed.
    #[arg(long, default_value_t = 0.0)]
    linger: f64,
    /// Seed of the calls' ids; the time of day if not given. The order in which
    /// calls make their requests differs from run to run all the same.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut load = Load::new(&options)?;
    load.use_every_connection_once()?;
    let seconds = load.run(&options)?;
    writeln!(io::stdout(), "{}", load.result(seconds))?;
    std::thread::sleep(Duration::from_secs_f64(options.linger));
    Ok(())
}

/// One keep-alive connection to the proxy.
struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// The call and due time of the request on the way.
    pending: Option<(u32, u64)>,
}

#[derive(Default)]
struct Counts {
    /// Answers in all, those before the timed part included.
    answered: u64,
    /// Answers in the timed part.
    timed: u64,
    bad_status: u64,
    closed: u64,
    unanswered: u64,
    affinity_breaks: u64,
    to_new: u64,
    /// Answers that came from a backend, not from the proxy itself.
    from_backend: u64,
}

struct Load {
    poll: Poll,
    address: SocketAddr,
    connections: Vec<Connection>,
    /// Connections without a request on the way; the last used is used first.
    idle: Vec<usize>,
    calls: Calls,
    counts: Counts,
    latencies: Latencies,
    /// Of those that came from a backend.
    from_backend: Latencies,
    /// Latencies of requests due before this are not kept.
    keep_from: u64,
    request: Vec<u8>,
    scratch: Vec<u8>,
}

impl Load {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let (least, most) = options
            .requests
            .split_once('-')
            .context("--requests MIN-MAX")?;
        let (requests_min, requests_max): (u8, u8) = (least.parse()?, most.parse()?);
        anyhow::ensure!(
            0 < requests_min && requests_min <= requests_max,
            "--requests MIN-MAX: at least 1, and MIN not above MAX"
        );
        anyhow::ensure!(
            options.tenants > 0 && options.connections > 0,
            "nothing to do"
        );
        let habits = Habits {
            // A call has one request on the way at most, so there must be more of them.
            active: options.active.max(options.connections * 2),
            tenants: options.tenants,
            requests_min,
            requests_max,
            ends: options.ends,
            midway: options.midway,
            seed: options.seed.unwrap_or_else(time_of_day),
            order: time_of_day(),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(options.connections);
        for index in 0..options.connections {
            let connection = dial(&poll, address, index)
                .with_context(|| format!("connection {index} to {address}"))?;
            connections.push(connection);
        }
        Ok(Self {
            poll,
            address,
            connections,
            idle: Vec::with_capacity(options.connections),
            calls: Calls::new(habits, &address.to_string(), &options.path),
            counts: Counts::default(),
            latencies: Latencies::default(),
            from_backend: Latencies::default(),
            keep_from: u64::MAX,
            request: Vec::new(),
            scratch: vec![0; 64 << 10],
        })
    }

    /// Not part of the measurement: connects all the way through, once each.
    fn use_every_connection_once(&mut self) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(512);
        let mut unused: VecDeque<usize> = (0..self.connections.len()).collect();
        let give_up = clock::now() + clock::millis(30_000);
        while self.idle.len() < self.connections.len() {
            anyhow::ensure!(
                clock::now() < give_up,
                "only {} of {} connections were answered within 30 s",
                self.idle.len(),
                self.connections.len()
            );
            while self.on_the_way(unused.len()) < FIRST_AT_ONCE {
                let Some(index) = unused.pop_front() else {
                    break;
                };
                self.send(index, clock::now())?;
            }
            self.wait(&mut events, Duration::from_millis(50))?;
        }
        self.counts.timed = 0;
        self.counts.from_backend = 0;
        Ok(())
    }

    fn on_the_way(&self, unused: usize) -> usize {
        self.connections.len() - self.idle.len() - unused
    }

    /// The timed part. Gives the seconds it took.
    fn run(&mut self, options: &Options) -> anyhow::Result<f64> {
        let mut events = Events::with_capacity(512);
        let begin = clock::now();
        let end = begin + (options.duration * 1e9) as u64;
        self.keep_from = begin + (options.warmup * 1e9) as u64;
        let step = options.rate.map(|rate| 1e9 / rate);
        let waker = Waker::new(self.poll.registry(), Token(usize::MAX - 1))?;
        let pacer = step.map(|step| Pacer::start(waker, begin, step));
        let stop_after = options.stop_after.unwrap_or(u64::MAX);
        let mut sent = 0_u64;
        loop {
            let now = clock::now();
            if now >= end || sent >= stop_after {
                break;
            }
            while sent < stop_after
                && let Some(index) = self.idle.pop()
            {
                let due = match step {
                    None => now,
                    Some(step) => begin + (sent as f64 * step) as u64,
                };
                if due > now {
                    self.idle.push(index);
                    break;
                }
                self.send(index, due)?;
                sent += 1;
            }
            // The pacer, or an answer, ends the wait sooner.
            self.wait(&mut events, Duration::from_millis(20))?;
        }
        drop(pacer);
        let stopped = clock::now();
        while self.on_the_way(0) > 0 && clock::now() < stopped + PATIENCE {
            self.wait(&mut events, Duration::from_millis(20))?;
        }
        self.counts.unanswered = self.on_the_way(0) as u64;
        Ok((clock::now() - begin) as f64 / 1e9)
    }

    fn wait(&mut self, events: &mut Events, at_most: Duration) -> anyhow::Result<()> {
        match self.poll.poll(events, Some(at_most)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &*events {
            let index = event.token().0;
            if index < self.connections.len() && !self.receive(index, event.is_read_closed()) {
                self.replace(index)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, due: u64) -> anyhow::Result<()> {
        let Some(call) = self.calls.next_request(&mut self.request) else {
            self.idle.push(index);
            return Ok(());
        };
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(());
        };
        connection.pending = Some((call, due));
        // A kilobyte always fits into the buffer of a connection that is idle.
        match connection.stream.write(&self.request) {
            Ok(count) if count == self.request.len() => Ok(()),
            _ => self.replace(index),
        }
    }

    /// Takes what has come. False: the connection is dead.
    fn receive(&mut self, index: usize, closing: bool) -> bool {
        loop {
            let Some(connection) = self.connections.get_mut(index) else {
                return true;
            };
            let count = match connection.stream.read(&mut self.scratch) {
                Ok(0) => return false,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return false,
            };
            let bytes = self.scratch.get(..count).unwrap_or_default();
            let answer = if connection.input.is_empty() {
                Answer::read(bytes)
            } else {
                connection.input.extend_from_slice(bytes);
                Answer::read(&connection.input)
            };
            match answer {
                Some(answer) => {
                    connection.input.clear();
                    if let Some((call, due)) = connection.pending.take() {
                        self.idle.push(index);
                        self.account(answer, call, due);
                    }
                }
                None if connection.input.is_empty() => connection.input.extend_from_slice(bytes),
                None => {}
            }
            if count < self.scratch.len() && !closing {
                return true;
            }
        }
    }

    fn account(&mut self, answer: Answer, call: u32, due: u64) {
        self.counts.answered += 1;
        self.counts.timed += 1;
        self.counts.bad_status += u64::from(!answer.ok);
        self.counts.to_new += u64::from(answer.backend == b'n');
        let passed_on = answer.ok && answer.backend != 0;
        self.counts.from_backend += u64::from(passed_on);
        if due >= self.keep_from {
            let took = clock::now().saturating_sub(due);
            self.latencies.add(took);
            if passed_on {
                self.from_backend.add(took);
            }
        }
        if self.calls.answered(call, answer.backend) == Affinity::Broken {
            self.counts.affinity_breaks += 1;
        }
    }

    /// A connection ended: its request, if there was one, has failed.
    fn replace(&mut self, index: usize) -> anyhow::Result<()> {
        let fresh = dial(&self.poll, self.address, index)
            .context("the proxy closed a connection and takes no new one")?;
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(());
        };
        let old = std::mem::replace(connection, fresh);
        if let Some((call, _)) = old.pending {
            self.counts.closed += 1;
            self.calls.answered(call, 0);
            self.idle.push(index);
        }
        Ok(())
    }

    fn result(&mut self, seconds: f64) -> serde_json::Value {
        let counts = &self.counts;
        let latencies = std::mem::take(&mut self.latencies);
        let measured = latencies.len();
        let [p50, p90, p99, p999, max] = latencies.quantiles([0.5, 0.9, 0.99, 0.999, 1.0]);
        let from_backend = std::mem::take(&mut self.from_backend);
        let [backend_p50, backend_p99] = from_backend.quantiles([0.5, 0.99]);
        serde_json::json!({
            "n": counts.timed,
            "answered": counts.answered,
            "measured": measured,
            "seconds": seconds,
            "rps": counts.timed as f64 / seconds,
            "p50": p50, "p90": p90, "p99": p99, "p999": p999, "max": max,
            "errors": counts.bad_status + counts.closed + counts.unanswered,
            "bad_status": counts.bad_status,
            "closed": counts.closed,
            "unanswered": counts.unanswered,
            "affinity_breaks": counts.affinity_breaks,
            "to_new": counts.to_new,
            "from_backend": counts.from_backend,
            "backend_p50": backend_p50, "backend_p99": backend_p99,
            "calls": self.calls.begun(),
        })
    }
}

/// What matters of an answer.
#[derive(Clone, Copy)]
struct Answer {
    ok: bool,
    /// First letter of `X-Backend`; 0 without it.
    backend: u8,
}

impl Answer {
    /// None: not all there yet.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut backend = 0;
        let head = wire::read_head(bytes, |name, value| {
            if name.eq_ignore_ascii_case(b"x-backend") {
                backend = value.first().copied().unwrap_or(0);
            }
        })?;
        wire::message_len(bytes, &head)?;
        let ok = head.first_line.get(9..12) == Some(b"200");
        Some(Self { ok, backend })
    }
}

fn dial(poll: &Poll, address: SocketAddr, index: usize) -> io::Result<Connection> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    poll.registry()
        .register(&mut stream, Token(index), Interest::READABLE)?;
    Ok(Connection {
        stream,
        input: Vec::new(),
        pending: None,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "only to begin chance somewhere else each time"
)]
fn time_of_day() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_nanos() as u64)
}
