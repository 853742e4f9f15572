use std::collections::HashMap;

use proptest::prelude::*;

use super::keep::QUEUE;
use super::*;
use crate::calls::Hints;
use crate::measure::{CallEnd, Ended};
use crate::model::Percentage;
use crate::protocol::{CallEvent, EventKind, Final, FinalStatus, HungUp};
use crate::split::{Because, By, Hash, Scheme, Split, Subject, Tenant};

pub(super) const SHORT: Duration = Duration::from_secs(5);
pub(super) const NOW: Tick = Tick::from_secs(10_000);
const RINGS: EventKind = EventKind::Progress;
const OVER: Final = Final {
    status: FinalStatus::Completed,
    by: Some(HungUp::Caller),
    duration_s: Some(60),
    report_follows: false,
};

pub(super) fn split(generation: u64, percent: f64) -> Split {
    Split {
        generation,
        latched: false,
        latched_since: None,
        moves_live: false,
        stopped: false,
        enabled: true,
        percentage: Percentage::new(percent).unwrap(),
        enabled_tenants: [].into(),
        disabled_tenants: [].into(),
        scheme: Scheme {
            by: By::Call,
            hash: Hash::Java31,
        },
    }
}

pub(super) fn latched(generation: u64) -> Split {
    Split {
        latched: true,
        ..split(generation, 100.0)
    }
}

pub(super) fn all_new() -> Split {
    split(1, 100.0)
}

pub(super) fn event(call: &str, kind: EventKind) -> CallEvent<'_> {
    CallEvent::new(Some(call.into()), kind)
}

pub(super) fn subject(call: &str) -> Subject<'_> {
    Subject {
        tenant: Tenant::Known("clinic"),
        call: Some(call),
        caller: None,
    }
}

pub(super) fn table(capacity: usize) -> Table {
    Table::new(capacity, 42, SHORT)
}

pub(super) fn after(secs: u64) -> Tick {
    NOW + Duration::from_secs(secs)
}

pub(super) fn place(table: &Table, call: &str, kind: EventKind, split: &Split, now: Tick) -> Seat {
    table.place(
        &event(call, kind),
        &subject(call),
        Hints::default(),
        split,
        now,
    )
}

/// The first voice webhook of a call, placed and sent.
pub(super) fn begin(table: &Table, call: &str, now: Tick) -> Seat {
    let mut seat = place(table, call, EventKind::Start, &all_new(), now);
    table.start(&mut seat, &subject(call), &all_new(), now);
    seat
}

fn finish(table: &Table, call: &str, now: Tick) -> Option<Ended> {
    table.finish(&event(call, EventKind::Final(OVER)), &OVER, now)
}

pub(super) fn why(seat: Seat) -> (Backend, Because) {
    (seat.placement.backend, seat.placement.because)
}

#[test]
fn an_entry_takes_no_more_than_the_call() {
    assert_eq!(size_of::<Call>(), 40);
    assert_eq!(size_of::<Entry>(), size_of::<Call>());
    assert!(size_of::<(CallKey, Entry)>() <= 48);
}

#[test]
fn a_call_stays_where_it_started_whatever_the_percentage() {
    let table = table(100);
    let first = begin(&table, "CA1", NOW);
    assert_eq!(why(first), (Backend::New, Because::Hashed));
    assert!(first.begins && first.starting);
    let mut second = place(&table, "CA1", EventKind::Step, &latched(2), after(1));
    assert_eq!(why(second), (Backend::New, Because::Pinned));
    assert!(!second.begins && !second.starting);
    table.start(&mut second, &subject("CA1"), &latched(2), after(1));
    assert_eq!(why(second), (Backend::New, Because::Pinned));
    assert_eq!(second.generation, 1, "the one it was placed under");
}

#[test]
fn while_latched_an_unknown_call_goes_to_legacy() {
    let table = table(100);
    for (call, kind) in [
        ("CA1", EventKind::Start),
        ("CA2", EventKind::Step),
        ("CA3", RINGS),
    ] {
        let seat = place(&table, call, kind, &latched(1), NOW);
        assert_eq!(why(seat), (Backend::Legacy, Because::Latched), "{kind:?}");
    }
}

#[test]
fn a_late_event_begins_no_call() {
    let table = table(100);
    for kind in [EventKind::Final(OVER), EventKind::Report] {
        let seat = place(&table, "CA1", kind, &all_new(), NOW);
        assert_eq!(why(seat), (Backend::New, Because::Late));
        assert_eq!((seat.key, seat.begins, seat.starting), (None, false, false));
    }
    assert!(table.is_empty());
    assert_eq!(finish(&table, "CA1", NOW), None);
}

#[test]
fn an_orphan_is_pinned() {
    let table = table(100);
    let seat = place(&table, "CA1", EventKind::Step, &all_new(), NOW);
    assert_eq!(why(seat), (Backend::New, Because::Orphan));
    assert!(seat.begins && seat.starting);
    let next = place(&table, "CA1", EventKind::Step, &all_new(), NOW);
    assert_eq!(next.placement.because, Because::Pinned);
}

#[test]
fn a_call_is_known_by_its_other_id() {
    let table = table(100);
    begin(&table, "old", NOW);
    let mut event = event("new", EventKind::Step);
    event.alias = Some("old".into());
    let seat = table.place(
        &event,
        &subject("new"),
        Hints::default(),
        &latched(2),
        after(1),
    );
    assert_eq!(why(seat), (Backend::New, Because::Pinned));
    assert!(!seat.begins);
    assert_eq!(seat.key, Some(table.key("old")));

    let by_new = place(&table, "new", EventKind::Step, &latched(2), after(2));
    assert_eq!(why(by_new), (Backend::New, Because::Pinned), "entered");
    assert_eq!(table.find("new"), table.find("old"));
    assert_eq!(table.active().new, 1, "one call under two ids");
    assert!(finish(&table, "new", after(3)).is_some());
    assert_eq!(finish(&table, "old", after(4)), None, "it ended once");
}

#[test]
fn a_leg_follows_its_call_and_is_none_itself() {
    let table = table(100);
    begin(&table, "CA1", NOW);
    let mut leg = event("CA2", RINGS);
    leg.parent = Some("CA1".into());
    let seat = table.place(&leg, &subject("CA2"), Hints::default(), &latched(2), NOW);
    assert_eq!(why(seat), (Backend::New, Because::Inherited));
    assert!(!seat.begins);
    assert_eq!((table.len(), table.live_on(Backend::New)), (2, 1));
    assert_eq!(finish(&table, "CA2", after(1)), None);
    assert!(finish(&table, "CA1", after(1)).is_some());
}

#[test]
fn a_late_event_of_a_leg_follows_the_call_too() {
    let table = table(100);
    begin(&table, "CA1", NOW);
    let mut leg = event("CA2", EventKind::Final(OVER));
    leg.parent = Some("CA1".into());
    let seat = table.place(&leg, &subject("CA2"), Hints::default(), &latched(2), NOW);
    assert_eq!(why(seat), (Backend::New, Because::Inherited));
    assert_eq!(table.len(), 1);
}

#[test]
fn a_latch_before_the_first_byte_takes_the_call_to_legacy() {
    let table = table(100);
    let mut seat = place(&table, "CA1", EventKind::Start, &all_new(), NOW);
    assert_eq!(seat.placement.backend, Backend::New);
    table.start(&mut seat, &subject("CA1"), &latched(2), NOW);
    assert_eq!(why(seat), (Backend::Legacy, Because::Latched));
    assert!(seat.starting, "it does start, on legacy");
    assert_eq!(seat.generation, 2);
    assert_eq!(
        table.active(),
        PerBackend { legacy: 1, new: 0 },
        "it is counted where it runs"
    );
}

#[test]
fn a_latch_between_the_tables_word_and_the_first_byte_takes_it_to_legacy_too() {
    // The second: a generation that says nothing new must not leave it on new.
    for generation in [2, 1] {
        let table = table(100);
        let mut seat = place(&table, "CA1", EventKind::Start, &all_new(), NOW);
        table.start(&mut seat, &subject("CA1"), &all_new(), NOW);
        assert_eq!(seat.placement.backend, Backend::New);
        table.unstart(&seat);
        table.start(&mut seat, &subject("CA1"), &latched(generation), NOW);
        assert_eq!(why(seat), (Backend::Legacy, Because::Latched));
        assert!(seat.starting);
        let again = place(&table, "CA1", EventKind::Step, &all_new(), NOW);
        assert_eq!(why(again), (Backend::Legacy, Because::Pinned));
    }
}

#[test]
fn of_two_first_webhooks_one_starts_the_call_and_both_go_the_same_way() {
    let table = table(100);
    let mut one = place(&table, "CA1", EventKind::Start, &all_new(), NOW);
    let mut two = place(&table, "CA1", EventKind::Start, &all_new(), NOW);
    assert!(one.starting && two.starting && one.begins && !two.begins);
    table.start(&mut one, &subject("CA1"), &latched(2), NOW);
    table.start(&mut two, &subject("CA1"), &all_new(), NOW);
    assert!(one.starting && !two.starting);
    assert_eq!(two.placement.backend, one.placement.backend);
}

#[test]
fn a_call_evicted_between_placing_and_starting_is_placed_by_what_is_in_force() {
    let table = table(1);
    let mut seat = place(&table, "CA1", EventKind::Start, &all_new(), NOW);
    begin(&table, "CA2", after(1));
    assert_eq!(table.find("CA1"), None, "the table holds one");
    table.start(&mut seat, &subject("CA1"), &latched(2), after(2));
    assert_eq!(why(seat), (Backend::Legacy, Because::Latched));
    assert!(table.find("CA1").is_some_and(|view| view.started));
}

#[test]
fn a_reversal_takes_back_what_only_rang_and_nothing_else() {
    let table = table(100);
    place(&table, "rings", RINGS, &all_new(), NOW);
    begin(&table, "talks", NOW);
    assert!(table.find("rings").unwrap().provisional);
    assert_eq!(table.drop_provisional(), 1);
    assert_eq!(table.find("rings").unwrap().backend, Backend::Legacy);
    assert_eq!(table.find("talks").unwrap().backend, Backend::New);
    assert_eq!(table.active(), PerBackend { legacy: 1, new: 1 });
    assert_eq!(table.drop_provisional(), 0);

    let mut seat = place(&table, "rings", EventKind::Start, &latched(2), after(1));
    table.start(&mut seat, &subject("rings"), &latched(2), after(1));
    assert_eq!(seat.placement.backend, Backend::Legacy);
    assert!(!seat.begins, "the same call still");
}

#[test]
fn a_call_is_counted_from_its_first_webhook_to_its_end() {
    let table = table(100);
    let seat = begin(&table, "CA1", NOW);
    assert_eq!(table.active(), PerBackend { legacy: 0, new: 1 });
    let voice = table.heard(&seat, Some(false), Does::default(), false, NOW);
    assert!(voice.is_some_and(|voice| !voice.failed));
    let ended = finish(&table, "CA1", after(60)).unwrap();
    assert_eq!(
        (ended.end, ended.backend),
        (CallEnd::Abandoned, Backend::New)
    );
    assert_eq!(table.active(), PerBackend::default());
    assert_eq!(finish(&table, "CA1", after(61)), None);
    assert_eq!(table.len(), 1, "remembered for its recordings");
}

#[test]
fn the_sweep_forgets_what_ended_and_gives_up_what_is_silent() {
    let table = table(100);
    begin(&table, "ended", NOW);
    finish(&table, "ended", NOW);
    begin(&table, "silent", NOW);
    let mut out = Vec::new();
    table.sweep(after(30 * 60 - 1), &mut out);
    assert_eq!((table.len(), out.len()), (2, 0));
    table.sweep(after(30 * 60), &mut out);
    assert_eq!((table.len(), out.len()), (1, 0));
    table.sweep(after(4 * 3600 - 1), &mut out);
    assert_eq!((table.len(), out.len()), (1, 0));
    table.sweep(after(4 * 3600), &mut out);
    assert_eq!(
        out.iter().map(|ended| ended.end).collect::<Vec<_>>(),
        [CallEnd::Expired]
    );
    assert!(table.is_empty());
    assert_eq!(table.active(), PerBackend::default());
}

#[test]
fn a_full_table_forgets_ended_then_event_only_then_longest_idle() {
    let table = table(4);
    begin(&table, "idle", NOW);
    begin(&table, "busy", after(1));
    place(&table, "rings", RINGS, &all_new(), after(50));
    begin(&table, "ended", after(90));
    finish(&table, "ended", after(100));
    place(&table, "busy", EventKind::Step, &all_new(), after(101));
    for (newcomer, gone) in [
        ("n1", "ended"),
        ("n2", "rings"),
        ("n3", "idle"),
        ("n4", "busy"),
    ] {
        assert!(
            table.find(gone).is_some(),
            "{gone} is there before {newcomer}"
        );
        begin(&table, newcomer, after(200));
        assert_eq!(
            table.find(gone),
            None,
            "{newcomer} takes the place of {gone}"
        );
        assert_eq!(table.len(), 4);
    }
    assert_eq!(table.evictions(), 4);
    assert_eq!(
        table.live_on(Backend::New),
        4,
        "the forgotten are not counted"
    );
}

#[test]
fn a_twentieth_goes_at_once() {
    let table = table(100);
    for n in 0..101 {
        begin(&table, &format!("CA{n}"), after(n));
    }
    assert_eq!((table.len(), table.evictions()), (96, 5));
    assert_eq!(table.find("CA4"), None);
    assert!(table.find("CA5").is_some());
}

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

#[test]
fn the_capacity_is_exceeded_by_no_more_than_the_threads() {
    const THREADS: usize = 8;
    let table = table(50);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let table = &table;
            scope.spawn(move || {
                for n in 0..500 {
                    begin(table, &format!("CA{thread}-{n}"), after(n));
                    assert!(table.len() <= 50 + THREADS, "{} calls", table.len());
                }
            });
        }
    });
    let active = table.active();
    assert_eq!(table.len(), table.map.len());
    assert_eq!(active.legacy + active.new, table.len() as u64);
}

#[test]
fn changed_pins_past_the_queue_ask_for_the_whole_table() {
    let table = table(QUEUE * 2);
    for n in 0..=QUEUE {
        assert!(!table.lost.load(Ordering::Relaxed));
        place(&table, &n.to_string(), RINGS, &all_new(), NOW);
    }
    assert!(table.lost.load(Ordering::Relaxed));
    let mut pins = Vec::new();
    table.drain_pins(&mut pins);
    assert_eq!(pins.len(), QUEUE);
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
