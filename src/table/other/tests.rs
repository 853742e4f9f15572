use super::*;
use crate::calls::{Flags, Hints};
use crate::measure::{CallEnd, Ended};
use crate::model::{Backend, PerBackend};
use crate::protocol::{Facts, Final, FinalStatus, HungUp};
use crate::split::{Because, Split};
use crate::table::Table;
use crate::table::tests::{NOW, after, all_new, begin, event, latched, subject, table, why};

const RINGS: EventKind = EventKind::Progress;

/// The caller hung up after a minute.
pub(in crate::table) const GONE: Final = Final {
    status: FinalStatus::Completed,
    by: Some(HungUp::Caller),
    duration_s: Some(60),
    report_follows: false,
};

/// The same, and a report will tell more.
pub(in crate::table) const TO_BE_REPORTED: Final = Final {
    duration_s: None,
    report_follows: true,
    ..GONE
};

/// A webhook about one leg of a session.
pub(in crate::table) fn of_leg<'a>(
    session: &'a str,
    leg: &'a str,
    kind: EventKind,
) -> CallEvent<'a> {
    CallEvent {
        alias: Some(leg.into()),
        leg: Some(leg.into()),
        ..event(session, kind)
    }
}

pub(in crate::table) fn also<'a>(call: &'a str, alias: &'a str, kind: EventKind) -> CallEvent<'a> {
    CallEvent {
        alias: Some(alias.into()),
        ..event(call, kind)
    }
}

pub(in crate::table) fn put(
    table: &Table,
    event: &CallEvent<'_>,
    split: &Split,
    now: Tick,
) -> Seat {
    let call = event.call.as_deref().unwrap();
    table.place(event, &subject(call), Hints::default(), split, now)
}

/// As a request does: it is placed, and then the call is finished.
pub(in crate::table) fn finish(
    table: &Table,
    mut event: CallEvent<'_>,
    last: Final,
    now: Tick,
) -> Option<Ended> {
    event.kind = EventKind::Final(last);
    put(table, &event, &latched(9), now);
    table.finish(&event, &last, now)
}

pub(in crate::table) fn end_of(ended: Option<Ended>) -> Option<CallEnd> {
    ended.map(|ended| ended.end)
}

// -- legs --------------------------------------------------------------------------

#[test]
fn a_session_ends_with_the_leg_it_began_with_and_with_no_other() {
    let table = table(100);
    put(&table, &of_leg("S", "caller", RINGS), &all_new(), NOW);
    let second = put(&table, &of_leg("S", "agent", RINGS), &latched(2), after(5));
    assert_eq!(why(second), (Backend::New, Because::Pinned));
    assert_eq!(table.live_on(Backend::New), 1, "one caller is one call");

    assert_eq!(
        finish(&table, of_leg("S", "agent", RINGS), GONE, after(9)),
        None
    );
    assert_eq!(table.live_on(Backend::New), 1, "the caller is still there");
    let ended = finish(&table, of_leg("S", "caller", RINGS), GONE, after(60));
    assert_eq!(end_of(ended), Some(CallEnd::Abandoned));
    assert_eq!(table.live_on(Backend::New), 0);
}

// Found in a review: the call stands under its first leg's own id, which was no alias
// and so no root, and the session never ended.
#[test]
fn a_session_that_was_known_by_its_leg_first_ends_with_that_leg() {
    let table = table(100);
    put(&table, &event("caller", EventKind::Start), &all_new(), NOW);
    put(&table, &of_leg("S", "caller", RINGS), &all_new(), after(1));
    // Known by itself, too, as the other tongue of the same provider tells of it.
    let agent = CallEvent {
        parent: Some("caller".into()),
        ..event("agent", RINGS)
    };
    put(&table, &agent, &all_new(), after(5));
    put(&table, &of_leg("S", "agent", RINGS), &all_new(), after(5));
    assert_eq!(
        finish(&table, of_leg("S", "agent", RINGS), GONE, after(9)),
        None
    );
    let ended = finish(&table, of_leg("S", "caller", RINGS), GONE, after(60));
    assert_eq!(end_of(ended), Some(CallEnd::Abandoned));
    assert_eq!(table.live_on(Backend::New), 0);
}

// Found in a review: with two legs a call the other ids of calls long over filled the
// table, and calls whose recordings were still to come made room for them.
#[test]
fn the_other_ids_of_a_call_are_forgotten_with_it() {
    let table = table(100);
    put(&table, &of_leg("S", "caller", RINGS), &all_new(), NOW);
    put(&table, &also("S", "legacy", RINGS), &all_new(), NOW);
    finish(&table, of_leg("S", "caller", RINGS), GONE, after(60));
    let mut out = Vec::new();
    table.sweep(after(60 + 1799), &mut out);
    assert_eq!(table.len(), 3);
    table.sweep(after(60 + 1800), &mut out);
    assert_eq!(table.len(), 0);
    assert_eq!(out, []);
}

#[test]
fn the_other_ids_of_a_silent_call_that_lasts_stay() {
    let table = table(100);
    put(&table, &of_leg("S", "caller", RINGS), &all_new(), NOW);
    table.sweep(after(3 * 3600), &mut Vec::new());
    assert_eq!(table.len(), 2);
    let ended = finish(&table, of_leg("S", "caller", RINGS), GONE, after(3 * 3600));
    assert!(ended.is_some());
}

#[test]
fn a_leg_that_is_seen_only_as_it_ends_ends_no_session() {
    let table = table(100);
    put(&table, &of_leg("S", "caller", RINGS), &all_new(), NOW);
    // A dial to somebody busy: its hang-up overtook its beginning.
    assert_eq!(
        finish(&table, of_leg("S", "busy", RINGS), GONE, after(9)),
        None
    );
    let late = put(&table, &of_leg("S", "busy", RINGS), &all_new(), after(10));
    assert_eq!(late.placement.because, Because::Pinned);
    assert_eq!(
        finish(&table, of_leg("S", "busy", RINGS), GONE, after(11)),
        None
    );
    assert!(finish(&table, of_leg("S", "caller", RINGS), GONE, after(60)).is_some());
}

#[test]
fn a_session_first_seen_without_a_leg_takes_the_first_leg_it_hears_of() {
    let table = table(100);
    put(&table, &event("S", RINGS), &all_new(), NOW);
    put(&table, &of_leg("S", "caller", RINGS), &all_new(), after(1));
    put(&table, &of_leg("S", "agent", RINGS), &all_new(), after(2));
    assert_eq!(
        finish(&table, of_leg("S", "agent", RINGS), GONE, after(3)),
        None
    );
    assert!(finish(&table, of_leg("S", "caller", RINGS), GONE, after(60)).is_some());
}

#[test]
fn a_session_of_which_no_leg_was_heard_ends_with_whichever_ends() {
    let table = table(100);
    put(&table, &event("S", RINGS), &all_new(), NOW);
    assert!(finish(&table, of_leg("S", "caller", RINGS), GONE, after(60)).is_some());
}

#[test]
fn a_leg_names_its_session_where_the_session_is_not_named() {
    let table = table(100);
    put(&table, &of_leg("S", "caller", RINGS), &all_new(), NOW);
    let seat = put(&table, &event("caller", RINGS), &latched(2), after(1));
    assert_eq!(why(seat), (Backend::New, Because::Pinned));
    assert_eq!(seat.key, Some(table.key("S")));
    assert_eq!(table.len(), 2, "the call and its leg");
}

#[test]
fn a_leg_that_was_connected_serves_the_call_that_made_it() {
    for connected in [false, true] {
        let table = table(100);
        begin(&table, "CA1", NOW);
        let mut leg = event("CA2", RINGS);
        leg.parent = Some("CA1".into());
        leg.facts = Facts {
            connected,
            ..Facts::default()
        };
        put(&table, &leg, &all_new(), after(1));
        assert_eq!(table.find("CA1").unwrap().served, connected);
    }
}

#[test]
fn the_leg_a_session_began_with_survives_a_restart() {
    let table = table(100);
    put(&table, &of_leg("S", "caller", RINGS), &all_new(), NOW);
    put(&table, &of_leg("S", "agent", RINGS), &all_new(), NOW);
    let mut pins = Vec::new();
    table.drain_pins(&mut pins);
    let back = crate::table::tests::table(100);
    for pin in &pins {
        back.restore(pin, NOW);
    }
    assert_eq!(back.len(), 3);
    assert_eq!(
        finish(&back, of_leg("S", "agent", RINGS), GONE, after(3)),
        None
    );
    assert!(finish(&back, of_leg("S", "caller", RINGS), GONE, after(60)).is_some());
}

// -- two providers -------------------------------------------------------------------

#[test]
fn a_call_of_two_providers_is_one_call_whoever_speaks_first() {
    // Vapi names the carrier's call; the carrier knows nothing of Vapi's.
    let vapi = also("V", "T", EventKind::Start);
    let carriers = [
        event("T", EventKind::Start),
        of_leg("S", "T", EventKind::Start),
    ];
    for carrier in carriers {
        for vapi_first in [true, false] {
            let (one, two) = if vapi_first {
                (&vapi, &carrier)
            } else {
                (&carrier, &vapi)
            };
            let case = format!("{:?} first", one.call);
            let table = table(100);
            let first = put(&table, one, &all_new(), NOW);
            assert!(first.begins, "{case}");
            let second = put(&table, two, &latched(2), after(1));
            assert_eq!(why(second), (Backend::New, Because::Pinned), "{case}");
            assert!(!second.begins && second.key == first.key, "{case}");
            assert_eq!(table.active(), PerBackend { legacy: 0, new: 1 }, "{case}");
            assert_eq!(table.find("V"), table.find("T"), "{case}");

            let ended = finish(&table, carrier.clone(), GONE, after(60));
            assert_eq!(end_of(ended), Some(CallEnd::Abandoned), "{case}");
            assert_eq!(
                finish(&table, vapi.clone(), GONE, after(61)),
                None,
                "{case}"
            );
            assert_eq!(table.active(), PerBackend::default(), "{case}");
        }
    }
}

#[test]
fn the_carriers_end_is_not_the_report_that_is_awaited() {
    let vapi = also("V", "T", EventKind::Start);
    let carrier = event("T", EventKind::Start);
    for vapi_first in [true, false] {
        let table = table(100);
        let (one, two) = if vapi_first {
            (&vapi, &carrier)
        } else {
            (&carrier, &vapi)
        };
        put(&table, one, &all_new(), NOW);
        put(&table, two, &all_new(), NOW);
        let waits = finish(&table, vapi.clone(), TO_BE_REPORTED, after(60));
        assert_eq!(waits, None);
        assert_eq!(finish(&table, carrier.clone(), GONE, after(61)), None);
        let mut report = vapi.clone();
        report.facts.connected = true;
        let ended = finish(&table, report, GONE, after(70));
        assert_eq!(
            end_of(ended),
            Some(CallEnd::Served),
            "Vapi first: {vapi_first}"
        );
    }
}

#[test]
fn an_id_that_means_another_call_goes_on_meaning_it() {
    let table = table(100);
    put(&table, &also("V1", "T", RINGS), &all_new(), NOW);
    put(&table, &also("V2", "T2", RINGS), &latched(2), NOW);
    let mixed = put(&table, &also("V2", "T", RINGS), &all_new(), after(1));
    assert_eq!(mixed.key, Some(table.key("V2")), "its own id comes first");
    assert_eq!(table.find("T"), table.find("V1"));
    assert_eq!(table.find("T2"), table.find("V2"));
}

#[test]
fn an_id_whose_call_was_forgotten_is_free_again() {
    let table = table(100);
    put(&table, &also("V1", "T", RINGS), &all_new(), NOW);
    finish(&table, event("V1", RINGS), GONE, NOW);
    table.sweep(after(30 * 60), &mut Vec::new());
    assert_eq!(table.find("V1"), None);
    let seat = put(&table, &also("V2", "T", RINGS), &latched(2), after(1801));
    assert_eq!(why(seat), (Backend::Legacy, Because::Latched));
    assert_eq!(table.find("T"), table.find("V2"));
}

#[test]
fn an_id_that_is_heard_of_again_is_not_the_longest_silent() {
    let table = table(2);
    put(&table, &also("V", "T", RINGS), &all_new(), NOW);
    put(
        &table,
        &also("V", "T", EventKind::Start),
        &all_new(),
        after(100),
    );
    let Some(Entry::Alias(alias)) = table.map.get(&table.key("T")).map(|entry| *entry) else {
        panic!("it is another id");
    };
    assert_eq!(alias.seen, Moment::from(after(100)));
}

#[test]
fn threads_with_two_ids_of_one_call_agree_on_one_backend() {
    for round in 0..200 {
        let table = table(100);
        let seats: Vec<Seat> = std::thread::scope(|scope| {
            let one = |n: u64| {
                let table = &table;
                scope.spawn(move || {
                    let split = if n.is_multiple_of(2) {
                        all_new()
                    } else {
                        latched(2)
                    };
                    let event = if n < 2 {
                        also("V", "T", EventKind::Start)
                    } else {
                        also("T2", "V", EventKind::Start)
                    };
                    put(table, &event, &split, NOW)
                })
            };
            let threads: Vec<_> = (0..4).map(one).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let own = |id| {
            seats
                .iter()
                .filter(|seat| seat.key == Some(table.key(id)))
                .count()
        };
        assert_eq!(own("V") + own("T2"), 4, "round {round}");
        for seat in &seats {
            let pinned = table.map.get(&seat.key.unwrap()).map(|entry| *entry);
            let Some(Entry::Call(call)) = pinned else {
                panic!("a seat is a call's: {pinned:?}");
            };
            assert_eq!(call.backend(), seat.placement.backend, "round {round}");
        }
        assert_eq!(table.len(), table.map.len());
    }
}

#[test]
fn the_flags_a_leg_needs_are_known_from_the_first_webhook() {
    let table = table(100);
    let seat = put(&table, &of_leg("S", "caller", RINGS), &all_new(), NOW);
    assert!(seat.flags.has(Flags::ROOTED));
    let seat = put(&table, &event("CA1", RINGS), &all_new(), NOW);
    assert!(!seat.flags.has(Flags::ROOTED));
}
