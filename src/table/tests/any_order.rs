//! Many threads at once, and everything in any order: one call, one backend.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[test]
fn threads_on_one_call_agree_on_one_backend() {
    for round in 0..200 {
        let table = table(100);
        let call = format!("CA{round}");
        let seats: Vec<Seat> = std::thread::scope(|scope| {
            let one = |n: u64| {
                let (table, call) = (&table, &call);
                scope.spawn(move || {
                    // Half of the workers have seen the latch, half have not.
                    let split = if n.is_multiple_of(2) {
                        all_new()
                    } else {
                        latched(2)
                    };
                    let mut seat = place(table, call, EventKind::Start, &split, NOW);
                    table.start(&mut seat, &subject(call), &split, NOW);
                    seat
                })
            };
            let threads: Vec<_> = (0..4).map(one).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let pinned = table.find(&call).unwrap().backend;
        assert!(seats.iter().all(|seat| seat.placement.backend == pinned));
        assert_eq!(seats.iter().filter(|seat| seat.begins).count(), 1);
        assert_eq!(seats.iter().filter(|seat| seat.starting).count(), 1);
        assert_eq!((table.len(), table.live_on(pinned)), (1, 1));
    }
}

#[derive(Clone, Debug)]
enum Act {
    Place(usize, u8),
    Start(usize),
    Finish(usize),
    Latch,
    Percentage(u16),
    Sweep,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..6_usize, 0..5_u8).prop_map(|(call, kind)| Act::Place(call, kind)),
        4 => (0..6_usize).prop_map(Act::Start),
        1 => (0..6_usize).prop_map(Act::Finish),
        1 => Just(Act::Latch),
        1 => (0..=100_u16).prop_map(Act::Percentage),
        1 => Just(Act::Sweep),
    ]
}

proptest! {
    /// Two backends for one call only before it has started; after a latch nothing
    /// starts on new; and the counts are those of the entries.
    #[test]
    fn a_started_call_never_sees_a_second_backend(acts in prop::collection::vec(act(), 1..80)) {
        let table = table(100);
        let mut routing = split(1, 50.0);
        let mut seats: HashMap<usize, Seat> = HashMap::new();
        let mut started: HashMap<usize, Backend> = HashMap::new();
        for (second, act) in (0_u64..).zip(acts) {
            let now = after(second);
            match act {
                Act::Place(call, kind) => {
                    let id = call.to_string();
                    let kind = match kind {
                        0 => EventKind::Start,
                        1 => EventKind::Step,
                        2 => RINGS,
                        3 => EventKind::Final(OVER),
                        _ => EventKind::Report,
                    };
                    let seat = place(&table, &id, kind, &routing, now);
                    if let Some(backend) = started.get(&call) {
                        prop_assert_eq!(seat.placement.backend, *backend);
                    }
                    seats.insert(call, seat);
                }
                Act::Start(call) => {
                    let Some(mut seat) = seats.remove(&call) else { continue };
                    let id = call.to_string();
                    table.start(&mut seat, &subject(&id), &routing, now);
                    if seat.starting {
                        prop_assert!(!(routing.latched && seat.placement.backend == Backend::New));
                        prop_assert_eq!(started.insert(call, seat.placement.backend), None);
                    }
                }
                Act::Finish(call) => {
                    finish(&table, &call.to_string(), now);
                }
                Act::Latch => {
                    routing = latched(routing.generation + 1);
                    table.drop_provisional();
                }
                Act::Percentage(percent) => {
                    routing = split(routing.generation + 1, f64::from(percent));
                }
                Act::Sweep => table.sweep(now, &mut Vec::new()),
            }
            let live = |backend| {
                let on = |entry: &Entry| matches!(
                    entry, Entry::Call(call) if call.is_active() && call.backend() == backend);
                table.map.iter().filter(|place| on(place.value())).count() as u64
            };
            prop_assert_eq!(table.active(), PerBackend::from_fn(live));
            prop_assert_eq!(table.len(), table.map.len());
        }
    }
}
