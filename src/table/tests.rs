//! Where the table seats a call, and that it stays there; who leaves it in
//! `tests/room.rs`, many at once in `tests/any_order.rs`.

mod any_order;
mod room;

use super::*;
use crate::calls::Hints;
use crate::measure::Ended;
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
