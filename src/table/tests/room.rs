//! Who leaves the table, and when: calls that ended, calls that are silent, and whom a
//! full table forgets first.

use super::super::keep::QUEUE;
use super::*;
use crate::measure::CallEnd;

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
