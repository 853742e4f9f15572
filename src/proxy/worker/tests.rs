//! What a bug in one request costs, and what it does not.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::*;
use crate::calls::rescue::Mode;
use crate::clock;
use crate::document::FlawSet;
use crate::gate::Gates;
use crate::measure::{Cause, Outcome};
use crate::model::{Percentage, Protocol};
use crate::proxy::Routing;
use crate::proxy::pulse::{Mishap, Pulse};
use crate::proxy::settings::{Affinity, HostHeader, Rescue, Route, Settings, Upstream};
use crate::split::tenants::{Source, Unlisted};
use crate::split::token::TokenKey;
use crate::split::{By, Hash, Scheme, Split};
use crate::table::Table;
use crate::tally::Tally;
use crate::trust::Trust;

/// Everything goes to one backend, there.
fn shared(at: SocketAddr) -> Shared {
    let upstream = Upstream {
        host: at.ip().to_string(),
        port: at.port(),
        authority: at.to_string(),
        host_header: HostHeader::Public,
        names: Vec::new(),
        claim: None,
        cap: None,
        health: None,
        tls: None,
    };
    let settings = Settings {
        public: None,
        trusted_proxies: Vec::new(),
        backends: PerBackend {
            legacy: upstream.clone(),
            new: upstream,
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
                ..Rescue::of(Protocol::Twilio)
            },
        }],
        directory: None,
        unlisted: Unlisted::Key,
        limits: Limits::default(),
        short: Duration::from_secs(5),
        addresses: None,
        token_secret: None,
        tls: None,
    };
    let gates = Gates::new(&settings.caps(), settings.limits.rescues);
    let split = Split {
        generation: 1,
        latched: false,
        latched_since: None,
        moves_live: false,
        stopped: false,
        enabled: true,
        percentage: Percentage::FULL,
        enabled_tenants: Default::default(),
        disabled_tenants: Default::default(),
        scheme: Scheme {
            by: By::Tenant,
            hash: Hash::Java31,
        },
    };
    Shared {
        routing: Arc::new(ArcSwap::from_pointee(Routing {
            split,
            latched_at: None,
            breakers: PerBackend::default(),
            habits: FlawSet::NONE,
            settings: Arc::new(settings),
            tokens: Arc::new(TokenKey::new(b"a secret of the tests")),
        })),
        table: Arc::new(Table::new(1000, 7, Duration::from_secs(5))),
        tally: Arc::new(Tally::new(1)),
        gates: Arc::new(gates),
        trust: Arc::new(Trust::new()),
        flips: Arc::new(watch::Sender::new(0)),
        workers: 1,
        sources: Arc::default(),
        pulse: Arc::new(Pulse::new(1, clock::tick())),
        inherited: false,
    }
}

/// A backend that answers each connection once.
fn backend() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            if stream.read(&mut head).is_ok_and(|read| read > 0) {
                let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\
                              Content-Length: 11\r\n\r\n<Response/>";
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    at
}

/// A caller's webhook over a connection of its own, and all that comes back.
fn ask(at: SocketAddr) -> String {
    let mut stream = std::net::TcpStream::connect(at).unwrap();
    let form = "CallSid=CA1&AccountSid=AC1&To=t&From=f&CallStatus=ringing&Direction=inbound";
    let request = format!(
        "POST /ivr HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // A reset is an end too.
    drop(stream.read_to_string(&mut answer));
    answer
}

fn local(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap()
        .block_on(test);
}

#[expect(
    clippy::await_holding_refcell_ref,
    reason = "that it is held is the bug of this test"
)]
#[test]
fn a_request_that_makes_us_panic_ends_its_own_connection_and_is_our_fault() {
    local(async {
        let worker = Worker::new(0, shared(backend()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let accepting = tokio::task::spawn_local(accept(worker.clone(), Rc::new(listener)));
        let asked = || tokio::task::spawn_blocking(move || ask(at));

        // A bug: somebody forgot to give back what the request needs.
        let held = worker.scratches.borrow_mut();
        let answer = asked().await.unwrap();
        assert_eq!(answer, "", "its connection is closed");
        drop(held);

        let answer = asked().await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        accepting.abort();

        let mut seen = Vec::new();
        worker.shared.tally.drain(&mut seen);
        let outcomes: Vec<_> = (seen.iter())
            .filter_map(|seen| match seen {
                Observation::Answered(answered) => Some((answered.outcome, answered.voice)),
                _ => None,
            })
            .collect();
        assert_eq!(outcomes.len(), 2, "each once");
        assert_eq!(outcomes[0], (Outcome::Failed(Cause::Internal), None));
        assert_eq!(outcomes[1].0, Outcome::Served);
        assert_eq!(worker.shared.pulse.count(Mishap::Panic), 1);
        assert!(worker.connections.borrow().is_empty());
    });
}

#[test]
fn what_goes_on_after_an_answer_may_panic_alone() {
    local(async {
        let worker = Worker::new(0, shared(backend()));
        let done = Rc::new(Cell::new(false));
        worker.clone().apart(async { panic!("a bug") });
        let after = done.clone();
        worker.clone().apart(async move { after.set(true) });
        while !done.get() || worker.shared.pulse.count(Mishap::Panic) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(worker.shared.pulse.count(Mishap::Panic), 1);
    });
}

#[test]
fn what_must_never_end_begins_anew_after_a_panic() {
    local(async {
        let worker = Worker::new(0, shared(backend()));
        let begun = Rc::new(Cell::new(0));
        let count = begun.clone();
        let work = tireless(worker.clone(), move || {
            count.set(count.get() + 1);
            let nth = count.get();
            async move { assert!(nth > 2, "a bug") }
        });
        work.await;
        assert_eq!(begun.get(), 3);
        assert_eq!(worker.shared.pulse.count(Mishap::Panic), 2);
    });
}
