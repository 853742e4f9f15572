use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Waker};
use std::thread;

use proptest::prelude::*;

use super::*;

const WAIT: Duration = Duration::from_secs(1);

fn cap(concurrency: usize, queue: usize) -> Option<Cap> {
    Some(Cap {
        concurrency,
        queue,
        wait: WAIT,
    })
}

fn gate(concurrency: usize, queue: usize) -> Arc<Gate> {
    Arc::new(Gate::new(cap(concurrency, queue)))
}

type Entering<'a> = Pin<Box<dyn Future<Output = Result<Permit, Full>> + 'a>>;

/// A webhook that has come to the gate, looked at once.
fn comes(gate: &Arc<Gate>, kind: Kind) -> (Entering<'_>, Poll<Result<Permit, Full>>) {
    let mut entering: Entering<'_> = Box::pin(gate.enter(kind));
    let looked = look(&mut entering);
    (entering, looked)
}

fn look(entering: &mut Entering<'_>) -> Poll<Result<Permit, Full>> {
    entering
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

fn waits(gate: &Arc<Gate>) -> Entering<'_> {
    let (entering, looked) = comes(gate, Kind::Voice);
    assert!(looked.is_pending());
    entering
}

fn is_in(entering: &mut Entering<'_>) -> Option<Permit> {
    match look(entering) {
        Poll::Ready(entered) => Some(entered.unwrap()),
        Poll::Pending => None,
    }
}

fn refused(gate: &Arc<Gate>, kind: Kind) -> bool {
    matches!(comes(gate, kind).1, Poll::Ready(Err(Full)))
}

#[tokio::test(start_paused = true)]
async fn a_full_gate_lets_voice_wait_and_turns_events_away() {
    let gate = gate(2, 1);
    let first = gate.enter(Kind::Event).await.unwrap();
    let _second = gate.enter(Kind::Voice).await.unwrap();
    assert!(gate.try_enter().is_none());
    assert!(refused(&gate, Kind::Event));
    let mut waiting = waits(&gate);
    assert!(refused(&gate, Kind::Voice), "the line is full");
    drop(first);
    assert!(gate.try_enter().is_none(), "the place is the waiting one's");
    assert!(refused(&gate, Kind::Event));
    let third = is_in(&mut waiting).unwrap();
    let counts = gate.counts();
    assert_eq!((counts.in_flight, counts.queued, counts.most), (2, 0, 2));
    assert_eq!(
        (counts.voice_turned_away, counts.events_turned_away),
        (1, 2)
    );
    drop(third);
    assert_eq!(gate.counts().in_flight, 1);
    assert!(gate.enter(Kind::Event).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_its_time_is_turned_away() {
    let gate = gate(1, 5);
    let held = gate.enter(Kind::Voice).await.unwrap();
    assert_eq!(gate.enter(Kind::Voice).await.err(), Some(Full));
    assert_eq!((gate.counts().queued, gate.counts().in_flight), (0, 1));
    assert_eq!(gate.counts().voice_turned_away, 1);
    drop(held);
    assert!(gate.try_enter().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_at_the_very_end_is_taken() {
    let gate = gate(1, 5);
    let held = gate.try_enter().unwrap();
    let mut waiting = waits(&gate);
    tokio::time::advance(WAIT).await;
    drop(held);
    assert!(is_in(&mut waiting).is_some());
}

#[tokio::test(start_paused = true)]
async fn first_come_is_first_served() {
    let gate = gate(1, 100);
    let mut held = gate.try_enter();
    let mut line: Vec<_> = (0..100).map(|_| waits(&gate)).collect();
    for turn in 0..line.len() {
        drop(held.take());
        let called: Vec<usize> = (turn..line.len())
            .filter(|place| {
                let permit = is_in(&mut line[*place]);
                permit.is_some_and(|permit| held.replace(permit).is_none())
            })
            .collect();
        assert_eq!(called, [turn]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_line_takes_nothing_along() {
    let gate = gate(1, 3);
    let held = gate.try_enter().unwrap();
    let (first, second, mut third) = (waits(&gate), waits(&gate), waits(&gate));
    drop(second);
    assert_eq!(gate.counts().queued, 2);
    drop(held);
    assert_eq!(gate.counts().queued, 1, "the first was called");
    // It never looks: the place goes on to the third.
    drop(first);
    let permit = is_in(&mut third).unwrap();
    drop(permit);
    let counts = gate.counts();
    assert_eq!((counts.in_flight, counts.queued), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_larger_cap_calls_who_waits_and_a_smaller_one_ends_nothing() {
    let gate = gate(1, 9);
    let mut held = vec![gate.try_enter().unwrap()];
    let mut line: Vec<_> = (0..4).map(|_| waits(&gate)).collect();
    gate.resize(cap(3, 9));
    held.extend(line.iter_mut().take(2).filter_map(is_in));
    assert_eq!(held.len(), 3);
    assert!(is_in(&mut line[2]).is_none());

    gate.resize(cap(2, 9));
    assert_eq!(gate.counts().in_flight, 3, "nothing is taken away");
    held.pop();
    assert!(is_in(&mut line[2]).is_none(), "two are as many as may be");
    held.pop();
    held.extend(is_in(&mut line[2]));
    assert_eq!((held.len(), gate.counts().most), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn taking_the_cap_away_lets_everyone_in_and_a_new_one_knows_them() {
    let gate = gate(1, 9);
    let held = gate.try_enter().unwrap();
    let mut line = [waits(&gate), waits(&gate)];
    gate.resize(None);
    let let_in: Vec<_> = line.iter_mut().filter_map(is_in).collect();
    assert_eq!(let_in.len(), 2);
    let uncounted = gate.try_enter().unwrap();
    assert_eq!((gate.counts().in_flight, gate.counts().cap), (3, None));
    gate.resize(cap(3, 0));
    assert!(gate.try_enter().is_none(), "three are counted");
    drop(uncounted);
    assert!(gate.try_enter().is_none(), "that one never was");
    drop(held);
    assert!(gate.try_enter().is_some());
    drop(let_in);
    assert_eq!(gate.counts().in_flight, 0);
}

#[test]
fn without_a_cap_nothing_is_counted() {
    let gates = Gates::new(&PerBackend::default(), 1);
    let permits: Vec<_> = (0..10)
        .map(|_| gates[Backend::Legacy].try_enter().unwrap())
        .collect();
    assert_eq!(gates[Backend::Legacy].counts(), Counts::default());
    drop(permits);
    assert_eq!(gates[Backend::Legacy].counts(), Counts::default());
}

#[test]
fn nobody_waits_where_no_time_or_no_place_is_given() {
    for (queue, wait) in [(0, WAIT), (5, Duration::ZERO)] {
        let concurrency = 1;
        let cap = Cap {
            concurrency,
            queue,
            wait,
        };
        let gate = Arc::new(Gate::new(Some(cap)));
        let _held = gate.try_enter().unwrap();
        assert!(refused(&gate, Kind::Voice));
    }
}

#[test]
fn one_call_at_a_time_tries_a_backend() {
    let gates = Gates::new(&PerBackend::default(), 1);
    let gate = &gates[Backend::New];
    let trial = gate.trial().unwrap();
    assert!(gate.trial().is_none());
    assert!(gates[Backend::Legacy].trial().is_some(), "its own matter");
    drop(trial);
    assert!(gate.trial().is_some());
}

#[test]
fn rescues_are_bounded_and_their_bound_may_change() {
    let gates = Gates::new(&PerBackend::default(), 2);
    let mut held: Vec<_> = (0..2).map(|_| gates.rescue().unwrap()).collect();
    assert!(gates.rescue().is_none());
    gates.resize(&PerBackend::default(), 3);
    held.push(gates.rescue().unwrap());
    assert!(gates.rescue().is_none());
    assert_eq!(gates.rescues().in_flight, 3);
    gates.resize(&PerBackend::default(), 1);
    held.truncate(1);
    assert!(gates.rescue().is_none());
    held.clear();
    assert!(gates.rescue().is_some());
}

/// What one thread of the crowd does: enters in every way, and never meets more
/// inside than the cap allows. `inside` is counted apart from the gate.
fn visit(gate: &Arc<Gate>, inside: &AtomicUsize, most_allowed: usize, seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let look_around = |permit: Permit| {
        let met = inside.fetch_add(1, Ordering::SeqCst);
        assert!(met < most_allowed, "{met} were in already");
        thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
    };
    let mut chance = seed;
    for _ in 0..2000 {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        match chance >> 61 {
            0 | 1 => gate.try_enter().into_iter().for_each(look_around),
            2 => {
                let entered = runtime.block_on(gate.enter(Kind::Event));
                entered.into_iter().for_each(look_around);
            }
            // Comes, and goes again whether or not it was called.
            3 | 4 => {
                let _runtime = runtime.enter();
                let (entering, looked) = comes(gate, Kind::Voice);
                if let Poll::Ready(Ok(permit)) = looked {
                    look_around(permit);
                }
                drop(entering);
            }
            _ => {
                let entered = runtime.block_on(gate.enter(Kind::Voice));
                entered.into_iter().for_each(look_around);
            }
        }
    }
}

#[test]
fn eight_threads_never_meet_more_inside_than_the_cap() {
    for (concurrency, queue) in [(1, 0), (1, 3), (3, 2), (5, 100)] {
        let gate = gate(concurrency, queue);
        let inside = AtomicUsize::new(0);
        thread::scope(|scope| {
            for seed in 0..8 {
                let (gate, inside) = (&gate, &inside);
                scope.spawn(move || visit(gate, inside, concurrency, seed * 977 + 1));
            }
        });
        let counts = gate.counts();
        assert_eq!((counts.in_flight, counts.queued), (0, 0));
        assert!(counts.most <= concurrency);
        assert!(gate.queue.lock().waiting.is_empty());
    }
}

#[test]
fn a_crowd_at_a_gate_whose_cap_changes_loses_no_place() {
    let gate = gate(4, 4);
    let inside = AtomicUsize::new(0);
    thread::scope(|scope| {
        for seed in 0..4 {
            let (gate, inside) = (&gate, &inside);
            // With the cap away nothing is bounded, so there is none to hold it against.
            scope.spawn(move || visit(gate, inside, usize::MAX, seed * 977 + 1));
        }
        for turn in 0..500 {
            gate.resize([cap(1, 1), cap(6, 2), None, cap(2, 0)][turn % 4]);
            thread::yield_now();
        }
        gate.resize(cap(2, 2));
    });
    assert_eq!((gate.counts().in_flight, gate.counts().queued), (0, 0));
    let held = [gate.try_enter().unwrap(), gate.try_enter().unwrap()];
    assert!(gate.try_enter().is_none());
    drop(held);
}

/// Something that may happen at a gate.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Voice,
    Event,
    /// One of those inside, by number, leaves.
    Leaves(usize),
    /// One of those in line gives up.
    GivesUp(usize),
    Resize(usize, usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => Just(Happens::Voice),
        1 => Just(Happens::Event),
        4 => (0..20_usize).prop_map(Happens::Leaves),
        1 => (0..20_usize).prop_map(Happens::GivesUp),
        1 => (1..6_usize, 0..6_usize).prop_map(|(cap, queue)| Happens::Resize(cap, queue)),
    ]
}

proptest! {
    /// Against two lists, who is in and who waits, kept by hand.
    #[test]
    fn a_gate_does_what_two_lists_would(
        (first, then) in ((1..6_usize, 0..6_usize), prop::collection::vec(happens(), 0..80)),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let _runtime = runtime.enter();
        let (mut concurrency, mut queue) = first;
        let gate = gate(concurrency, queue);
        let mut inside: Vec<Permit> = Vec::new();
        let mut line: Vec<Entering<'_>> = Vec::new();
        for what in then {
            let room = inside.len() < concurrency && line.is_empty();
            match what {
                Happens::Voice => match comes(&gate, Kind::Voice) {
                    (_, Poll::Ready(Ok(permit))) => {
                        prop_assert!(room);
                        inside.push(permit);
                    }
                    (_, Poll::Ready(Err(Full))) => prop_assert!(!room && line.len() >= queue),
                    (entering, Poll::Pending) => {
                        prop_assert!(!room && line.len() < queue);
                        line.push(entering);
                    }
                },
                Happens::Event => match comes(&gate, Kind::Event).1 {
                    Poll::Ready(Ok(permit)) => {
                        prop_assert!(room);
                        inside.push(permit);
                    }
                    refused => prop_assert!(!room && refused.is_ready()),
                },
                Happens::Leaves(one) if one < inside.len() => drop(inside.remove(one)),
                Happens::GivesUp(one) if one < line.len() => drop(line.remove(one)),
                Happens::Resize(to, waiting) => {
                    (concurrency, queue) = (to, waiting);
                    gate.resize(cap(to, waiting));
                }
                Happens::Leaves(_) | Happens::GivesUp(_) => {}
            }
            // Whoever can be called was called, from the front.
            let called = concurrency.saturating_sub(inside.len()).min(line.len());
            for mut entering in line.drain(..called) {
                inside.extend(is_in(&mut entering));
            }
            prop_assert!(line.iter_mut().all(|entering| is_in(entering).is_none()));
            let counts = gate.counts();
            prop_assert_eq!((counts.in_flight, counts.queued), (inside.len(), line.len()));
        }
        drop((inside, line));
        prop_assert_eq!((gate.counts().in_flight, gate.counts().queued), (0, 0));
    }
}
