//! A proxy under test: one worker on a thread of its own, in front of two backends,
//! and what it has counted.
//!
//! Tests of webhooks block; tests of websockets are async, and what they wait for
//! runs on their own thread, so for them there are waits that let it run.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use switchback::calls::Hints;
use switchback::calls::rescue::Mode;
use switchback::document::FlawSet;
use switchback::gate::Gates;
use switchback::measure::{Answered, Observation, Outcome, Placed, Streamed};
use switchback::model::{Backend, PerBackend, Percentage, Protocol, Tick, Wall};
use switchback::protocol::{CallEvent, EventKind};
use switchback::proxy::pulse::Pulse;
use switchback::proxy::settings::{
    Affinity, HostHeader, Limits, Rescue, Route, Settings, Upstream,
};
use switchback::proxy::worker::{self, Drain};
use switchback::proxy::{Routing, Shared, listener};
use switchback::split::tenants::{self, Source, Unlisted};
use switchback::split::token::TokenKey;
use switchback::split::{By, Hash, Scheme, Split, Subject};
use switchback::table::Table;
use switchback::tally::Tally;
use switchback::trust::Trust;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::http::{read_all, status, webhook};

/// The pause between two looks at what a test waits for.
const MOMENT: Duration = Duration::from_millis(5);
/// So many looks find nothing before a test fails.
const LOOKS: u32 = 1000;

/// A proxy in front of two backends.
pub(crate) struct Edge {
    pub(crate) at: SocketAddr,
    pub(crate) shared: Shared,
    pub(crate) drain: watch::Sender<Drain>,
    pub(crate) worker: Option<thread::JoinHandle<()>>,
    seen: Mutex<Vec<Observation>>,
}

impl Edge {
    pub(crate) fn new(legacy: SocketAddr, new: SocketAddr) -> Self {
        Self::with(legacy, new, |_| {})
    }

    pub(crate) fn with(
        legacy: SocketAddr,
        new: SocketAddr,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = settings(legacy, new);
        change(&mut settings);
        let gates = Gates::new(&settings.caps(), settings.limits.rescues);
        let routing = Routing {
            split: split(1, false),
            latched_at: None,
            breakers: PerBackend::default(),
            habits: FlawSet::NONE,
            settings: Arc::new(settings),
            tokens: Arc::new(key()),
        };
        let shared = Shared {
            routing: Arc::new(ArcSwap::from_pointee(routing)),
            table: Arc::new(Table::new(1000, 7, Duration::from_secs(5))),
            tally: Arc::new(Tally::new(1)),
            gates: Arc::new(gates),
            trust: Arc::new(Trust::new()),
            flips: Arc::new(watch::Sender::new(0)),
            workers: 1,
            sources: Arc::default(),
            pulse: Arc::new(Pulse::new(1, switchback::clock::tick())),
            inherited: false,
        };
        let socket = listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = socket.local_addr().unwrap();
        let (drain, told) = watch::channel(Drain::No);
        let worker = thread::spawn({
            let shared = shared.clone();
            move || worker::run(0, vec![socket], shared, told).unwrap()
        });
        Self {
            at,
            shared,
            drain,
            worker: Some(worker),
            seen: Mutex::default(),
        }
    }

    /// One that knows two calls already: `CA-new` is on new, `CA-old` on legacy.
    pub(crate) fn in_calls(self) -> Self {
        self.begin("CA-new", "acme");
        self.begin("CA-old", "legacy-only");
        self
    }

    /// A call is seen for the first time.
    pub(crate) fn begin(&self, call: &str, to: &str) {
        let event = CallEvent::new(Some(call.into()), EventKind::Start);
        let subject = Subject {
            tenant: tenants::tenant(Some(to), None, Unlisted::Key),
            call: Some(call),
            caller: None,
        };
        let routing = self.shared.routing.load();
        let now = Tick::from_secs(4000);
        self.shared
            .table
            .place(&event, &subject, Hints::default(), &routing.split, now);
    }

    /// From now on the split is this one.
    pub(crate) fn publish(&self, split: Split) {
        let before = self.shared.routing.load_full();
        self.shared.routing.store(Arc::new(Routing {
            split,
            ..(*before).clone()
        }));
    }

    pub(crate) fn latch(&self) {
        self.publish(split(self.generation() + 1, true));
    }

    pub(crate) fn generation(&self) -> u64 {
        self.shared.routing.load().split.generation
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.at).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    }

    /// Sends bytes on a connection of their own; gives all that came back.
    pub(crate) fn raw(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_all(&mut stream)
    }

    /// The same, while the test's own backends go on.
    pub(crate) async fn raw_async(&self, request: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        // A reset after the answer is an end too.
        drop(stream.read_to_end(&mut all).await);
        String::from_utf8_lossy(&all).into_owned()
    }

    /// A voice webhook of a call; gives the answer's status.
    pub(crate) fn voice(&self, call: &str, to: &str) -> u16 {
        status(&self.raw(&webhook(call, to)))
    }

    /// Waits until so many webhooks are accounted for, and gives them.
    pub(crate) fn answered(&self, count: usize) -> Vec<Answered> {
        for _ in 0..LOOKS {
            let answered = self.seen(|seen| match seen {
                Observation::Answered(answered) => Some(*answered),
                _ => None,
            });
            assert!(answered.len() <= count, "accounted for twice: {answered:?}");
            if answered.len() == count {
                return answered;
            }
            thread::sleep(MOMENT);
        }
        let seen = self.seen.lock().unwrap();
        panic!("{count} webhooks were sent, but the tally says {seen:?}");
    }

    /// The outcome of the one webhook sent.
    pub(crate) fn outcome(&self) -> Outcome {
        self.answered(1)[0].outcome
    }

    /// Waits until so much became of streams, in this order, and nothing more.
    pub(crate) async fn accounts(&self, expected: &[(Backend, Streamed)]) {
        let mut streams = Vec::new();
        for _ in 0..LOOKS {
            streams = self.seen(|seen| match seen {
                Observation::Stream { backend, what } => Some((*backend, *what)),
                _ => None,
            });
            if streams.len() >= expected.len() {
                break;
            }
            tokio::time::sleep(MOMENT).await;
        }
        assert_eq!(streams, expected);
    }

    pub(crate) fn placed(&self) -> Vec<Placed> {
        self.seen(|seen| match seen {
            Observation::Placed(placed) => Some(*placed),
            _ => None,
        })
    }

    /// The statuses that requests were refused with.
    pub(crate) fn refusals(&self) -> Vec<u16> {
        self.seen(|seen| match seen {
            Observation::Refused { status } => Some(*status),
            _ => None,
        })
    }

    /// Of all that was counted so far, what is picked.
    pub(crate) fn seen<T>(&self, pick: impl Fn(&Observation) -> Option<T>) -> Vec<T> {
        let mut seen = self.seen.lock().unwrap();
        self.shared.tally.drain(&mut seen);
        seen.iter().filter_map(pick).collect()
    }

    /// Waits until the worker has ended.
    pub(crate) async fn ended(&self) {
        while !self.worker.as_ref().unwrap().is_finished() {
            tokio::time::sleep(MOMENT).await;
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.drain.send_replace(Drain::Now);
        if let Some(worker) = self.worker.take() {
            let ended = worker.join();
            assert!(thread::panicking() || ended.is_ok());
        }
    }
}

/// One route, and no affinity but the table's.
fn settings(legacy: SocketAddr, new: SocketAddr) -> Settings {
    Settings {
        public: None,
        trusted_proxies: Vec::new(),
        backends: PerBackend {
            legacy: upstream(legacy),
            new: upstream(new),
        },
        routes: vec![Route {
            number: 0,
            path: "/ivr".into(),
            protocol: Protocol::Twilio,
            tenant: vec![Source::To],
            sources: Vec::new(),
            served: Vec::new(),
            timeout: Duration::from_secs(5),
            verify: None,
            affinity: Affinity::Memory,
            rescue: Rescue {
                mode: Mode::Off,
                last_resort: None,
                ..Rescue::of(Protocol::TelnyxTexml)
            },
        }],
        directory: None,
        unlisted: Unlisted::Key,
        limits: Limits::default(),
        short: Duration::from_secs(5),
        addresses: None,
        token_secret: None,
        tls: None,
    }
}

fn upstream(at: SocketAddr) -> Upstream {
    Upstream {
        host: at.ip().to_string(),
        port: at.port(),
        authority: at.to_string(),
        host_header: HostHeader::Public,
        names: Vec::new(),
        claim: None,
        cap: None,
        health: None,
        tls: None,
    }
}

/// Everything goes to new, but for one tenant.
pub(crate) fn split(generation: u64, latched: bool) -> Split {
    Split {
        generation,
        latched,
        latched_since: None,
        moves_live: false,
        stopped: false,
        enabled: true,
        percentage: Percentage::FULL,
        enabled_tenants: Default::default(),
        disabled_tenants: ["legacy-only".into()].into(),
        scheme: Scheme {
            by: By::Tenant,
            hash: Hash::Java31,
        },
    }
}

/// The key of the proxy's tokens.
pub(crate) fn key() -> TokenKey {
    TokenKey::new(b"a secret of the tests")
}

pub(crate) fn secs_ago(secs: i64) -> Wall {
    Wall(switchback::clock::wall().0 - secs * 1000)
}
