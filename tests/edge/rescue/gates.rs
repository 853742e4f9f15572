//! Rescues where new is not asked, or cannot be: breakers, caps, flips, and callers who
//! hang up meanwhile.

use std::net::TcpStream;

use switchback::breaker;
use switchback::gate::Cap;
use switchback::model::PerBackend;
use switchback::proxy::Routing;
use switchback::proxy::settings::Claim;

use super::*;
use crate::http::read_all;

/// Publishes that new's breaker is in this state.
fn breaker_of_new(edge: &Edge, state: breaker::State) {
    let before = edge.shared.routing.load_full();
    edge.shared.routing.store(Arc::new(Routing {
        breakers: PerBackend {
            legacy: breaker::State::Closed,
            new: state,
        },
        ..(*before).clone()
    }));
}

#[test]
fn while_the_breaker_is_open_new_calls_begin_on_legacy_and_count_against_new() {
    for mode in [Mode::Off, Mode::Start] {
        let (legacy, _) = recorder(LEGACY);
        let (new, asked) = recorder(SOUND);
        let edge = edge(legacy, new, mode);
        edge.voice("CA-old", "t");
        breaker_of_new(&edge, breaker::State::Open);
        assert!(edge.raw(&webhook("CA1", "t")).contains("legacy"));
        let new = edge
            .answered(3)
            .into_iter()
            .find(|one| one.backend == Backend::New && one.outcome != Outcome::Served)
            .unwrap();
        assert_eq!(new.outcome, Outcome::Failed(Cause::Breaker));
        assert!(new.voice.is_some_and(|voice| voice.failed) && new.latency_us.is_none());
        assert_eq!(
            backend_of(&edge, "CA1"),
            (Backend::Legacy, Because::Rescued)
        );
        assert_eq!(asked.lock().unwrap().len(), 1);
        // Who is there already has nobody else.
        assert!(edge.raw(&digits("CA-old")).ends_with("<Response/>"));
    }
}

#[test]
fn who_hangs_up_in_the_middle_of_a_rescue_gives_every_place_back() {
    let edge = Edge::with(hangs(), hangs(), |settings| {
        set(settings, of(Mode::Start));
        settings.routes[0].timeout = Duration::from_secs(20);
        for backend in Backend::ALL {
            settings.backends[backend].cap = Some(Cap {
                concurrency: 1,
                queue: 0,
                wait: Duration::ZERO,
            });
        }
    });
    let at_once = || {
        let gates = &edge.shared.gates;
        let both = Backend::ALL.map(|backend| gates[backend].counts().in_flight);
        (both, gates.rescues().in_flight)
    };
    let mut waits: TcpStream = edge.connect();
    waits.write_all(webhook("CA1", "t").as_bytes()).unwrap();
    while at_once() != ([1, 1], 1) {
        thread::sleep(Duration::from_millis(5));
    }
    drop(waits);
    while at_once() != ([0, 0], 0) {
        thread::sleep(Duration::from_millis(5));
    }
    let mut answered = edge.answered(2);
    answered.sort_by_key(|one| one.backend == Backend::New);
    let told: Vec<_> = answered.iter().map(|it| (it.backend, it.outcome)).collect();
    let gone = Outcome::Failed(Cause::ClientGone);
    assert_eq!(told, [(Backend::Legacy, gone), (Backend::New, gone)]);
    assert_eq!(
        backend_of(&edge, "CA1").0,
        Backend::New,
        "nobody else has it"
    );
}

#[test]
fn who_waited_in_vain_for_a_place_is_not_held_against_the_backend() {
    let (legacy, _) = recorder(LEGACY);
    let edge = Edge::with(legacy, hangs(), |settings| {
        set(settings, of(Mode::Start));
        settings.backends.new.cap = Some(Cap {
            concurrency: 1,
            queue: 10,
            wait: Duration::from_secs(2),
        });
    });
    // New has it until its time is over, legacy has answered it by then.
    assert!(edge.raw(&webhook("CA1", "t")).contains("legacy"));
    assert!(edge.raw(&webhook("CA2", "t")).contains("legacy"));
    let answered = edge.answered(3);
    let of_new = answered.iter().find(|one| one.backend == Backend::New);
    assert_eq!(of_new.unwrap().outcome, Outcome::Failed(Cause::Full));
    assert_eq!(rescues(&edge)[1].why, Why::Kept);
}

#[test]
fn an_open_breaker_takes_neither_a_leg_nor_a_call_that_new_began_from_new() {
    let (legacy, asked) = recorder(LEGACY);
    let (new, _) = recorder(SOUND);
    let edge = Edge::with(legacy, new, |settings| {
        set(settings, of(Mode::Start));
        settings.backends.new.claim = Some(Claim {
            query: "by".into(),
            value: "new".into(),
        });
    });
    edge.voice("CA1", "t");
    for state in [breaker::State::Open, breaker::State::HalfOpen] {
        breaker_of_new(&edge, state);
        // While another call tries new.
        let _trial = edge.shared.gates[Backend::New].trial();
        let leg = form(&format!("CA-leg-{state:?}"), "t") + "&ParentCallSid=CA1";
        let answer = edge.raw(&post("/ivr", &leg, "Connection: close\r\n"));
        assert!(answer.ends_with("<Response/>"), "{state:?} {answer}");
        let own = form(&format!("CA-own-{state:?}"), "t");
        let answer = edge.raw(&post("/ivr?by=new", &own, "Connection: close\r\n"));
        assert!(answer.ends_with("<Response/>"), "{state:?} {answer}");
    }
    assert_eq!(asked.lock().unwrap().len(), 0, "legacy knows neither");
}

#[test]
fn a_flip_answers_at_once_what_waits_for_new() {
    let (legacy, _) = recorder(LEGACY);
    let edge = Edge::with(legacy, hangs(), |settings| {
        set(
            settings,
            Rescue {
                after: Duration::from_secs(20),
                ..of(Mode::Start)
            },
        );
        settings.routes[0].timeout = Duration::from_secs(25);
    });
    let mut waits: TcpStream = edge.connect();
    waits.write_all(webhook("CA1", "t").as_bytes()).unwrap();
    while edge.placed().is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
    edge.latch();
    edge.shared.flips.send_modify(|flips| *flips += 1);
    assert!(read_all(&mut waits).contains("legacy"));
    assert_eq!(rescues(&edge)[0].why, Why::Flip);
}
