use super::*;
use crate::document::Does;
use crate::model::{Backend, Wall};
use crate::split::Token;
use crate::table::other::tests::{GONE, also, finish, of_leg, put};
use crate::table::tests::{NOW, after, all_new, begin, event, latched, place, subject, table, why};

const RINGS: EventKind = EventKind::Progress;

fn peek(table: &Table, event: &CallEvent<'_>, split: &Split) -> Seat {
    let call = event.call.as_deref().unwrap_or_default();
    table.peek(event, &subject(call), Hints::default(), split)
}

#[test]
fn who_peeks_finds_the_call_by_any_of_its_ids_and_leaves_no_trace() {
    let table = table(100);
    put(&table, &also("V", "T", EventKind::Start), &all_new(), NOW);
    let mut seat = begin(&table, "V", NOW);
    table.start(&mut seat, &subject("V"), &all_new(), NOW);
    let before = (table.find("V"), table.len(), table.active());
    table.drain_pins(&mut Vec::new());
    let leg = CallEvent {
        parent: Some("T".into()),
        ..event("new leg", EventKind::Start)
    };
    for (event, because) in [
        (event("V", EventKind::Step), Because::Pinned),
        (event("T", EventKind::Step), Because::Pinned),
        (also("X", "T", EventKind::Step), Because::Pinned),
        (of_leg("Y", "T", EventKind::Step), Because::Pinned),
        (event("V", EventKind::Final(GONE)), Because::Pinned),
        (leg, Because::Inherited),
    ] {
        let mut seat = peek(&table, &event, &latched(2));
        assert_eq!(why(seat), (Backend::New, because), "{event:?}");
        assert_eq!((seat.key, seat.begins, seat.starting), (None, false, false));
        table.start(&mut seat, &subject("V"), &latched(3), after(1));
        assert_eq!(why(seat), (Backend::New, because), "{event:?}");
        assert_eq!(
            table.heard(&seat, Some(true), Does::default(), true, after(1)),
            None
        );
    }
    let mut changed = Vec::new();
    table.drain_pins(&mut changed);
    assert_eq!(changed, []);
    assert_eq!((table.find("V"), table.len(), table.active()), before);
}

#[test]
fn who_peeks_at_an_unknown_call_goes_where_a_new_one_would() {
    let table = table(100);
    for (kind, because) in [
        (EventKind::Start, Because::Hashed),
        (EventKind::Step, Because::Orphan),
        (RINGS, Because::Hashed),
        (EventKind::Final(GONE), Because::Late),
    ] {
        let open = peek(&table, &event("X", kind), &all_new());
        assert_eq!(why(open), (Backend::New, because), "{kind:?}");
        let shut = peek(&table, &event("X", kind), &latched(2));
        assert_eq!(shut.placement.backend, Backend::Legacy, "{kind:?}");
    }
    assert!(table.is_empty());
}

#[test]
fn a_latch_before_the_first_byte_holds_for_who_peeks_too() {
    let table = table(100);
    place(&table, "known", RINGS, &all_new(), NOW);
    for call in ["unknown", "known"] {
        let mut seat = peek(&table, &event(call, EventKind::Start), &all_new());
        assert_eq!(seat.placement.backend, Backend::New);
        assert!(seat.starting, "it asks once more");
        table.start(&mut seat, &subject(call), &latched(2), after(1));
        assert_eq!(why(seat), (Backend::Legacy, Because::Latched), "{call}");
        assert!(!seat.starting, "and starts nothing");
        let seat = peek(&table, &event(call, EventKind::Start), &latched(2));
        assert_eq!(why(seat), (Backend::Legacy, Because::Latched), "{call}");
    }
    assert!(!table.find("known").unwrap().started);
}

// -- claims and tokens --------------------------------------------------------------------

#[test]
fn what_comes_first_decides() {
    let begun = Wall(500);
    let token = |backend| Token {
        backend,
        began: begun,
    };
    let hints = [None, Some(Backend::Legacy), Some(Backend::New)];
    for (pinned, parent) in [(false, false), (false, true), (true, false), (true, true)] {
        for claimed in hints {
            for from in hints {
                for (latched, since) in [
                    (false, None),
                    (true, Some(501)),
                    (true, Some(500)),
                    (true, None),
                ] {
                    let table = table(100);
                    // Pinned to legacy, made by a call on new: the two can be told apart.
                    if pinned {
                        place(
                            &table,
                            "X",
                            EventKind::Start,
                            &crate::table::tests::split(1, 0.0),
                            NOW,
                        );
                    }
                    if parent {
                        begin(&table, "P", NOW);
                    }
                    let hints = Hints {
                        claimed,
                        token: from.map(token),
                        wall: Wall(60_000),
                    };
                    let split = Split {
                        latched,
                        latched_since: since.map(Wall),
                        ..all_new()
                    };
                    let expected = if pinned {
                        (Backend::Legacy, Because::Pinned)
                    } else if parent {
                        (Backend::New, Because::Inherited)
                    } else if let Some(claimed) = claimed {
                        (claimed, Because::Claimed)
                    } else if let Some(from) = from
                        .filter(|from| *from == Backend::Legacy || !latched || since == Some(501))
                    {
                        (from, Because::Token)
                    } else if latched {
                        (Backend::Legacy, Because::Latched)
                    } else {
                        (Backend::New, Because::Hashed)
                    };
                    let case = format!(
                        "pinned {pinned}, parent {parent}, {hints:?}, latched {latched} {since:?}"
                    );
                    let event = CallEvent {
                        parent: Some("P".into()),
                        ..event("X", EventKind::Start)
                    };
                    let peeked = table.peek(&event, &subject("X"), hints, &split);
                    let placed = table.place(&event, &subject("X"), hints, &split, after(1));
                    assert_eq!(why(placed), expected, "{case}");
                    if !pinned {
                        assert_eq!(why(peeked), expected, "peeking, {case}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_call_that_new_began_itself_stays_there_while_latched() {
    let table = table(100);
    let hints = Hints {
        claimed: Some(Backend::New),
        ..Hints::default()
    };
    let rings = event("X", RINGS);
    let seat = table.place(&rings, &subject("X"), hints, &latched(2), NOW);
    assert_eq!(why(seat), (Backend::New, Because::Claimed));
    assert!(seat.begins);
    assert!(table.find("X").unwrap().outbound);
    assert_eq!(table.drop_provisional(), 0, "it exists nowhere else");
    // The next webhook carries no mark, and starts the call.
    let mut seat = place(&table, "X", EventKind::Start, &latched(3), after(1));
    table.start(&mut seat, &subject("X"), &latched(3), after(1));
    assert!(seat.starting);
    assert_eq!(
        why(seat),
        (Backend::New, Because::Claimed),
        "it is no new call"
    );
    let ended = finish(&table, event("X", RINGS), GONE, after(60)).unwrap();
    assert!(!ended.counts, "it is in no inbound measure");
}

// The proxy asks again and again while a first webhook would be a new call on new after
// a latch; a leg that only rang before was taken for one, and the worker stood still.
#[test]
fn a_leg_that_only_rang_is_no_new_call_when_it_starts_while_latched() {
    let table = table(100);
    begin(&table, "P", NOW);
    let mut leg = event("L", RINGS);
    leg.parent = Some("P".into());
    put(&table, &leg, &all_new(), NOW);
    leg.kind = EventKind::Start;
    let mut seat = put(&table, &leg, &latched(2), after(1));
    assert_eq!(why(seat), (Backend::New, Because::Pinned));
    table.start(&mut seat, &subject("L"), &latched(2), after(1));
    assert_eq!(why(seat), (Backend::New, Because::Inherited));
}

#[test]
fn a_late_event_of_an_unknown_call_goes_where_it_is_claimed() {
    let table = table(100);
    let hints = Hints {
        claimed: Some(Backend::New),
        ..Hints::default()
    };
    for kind in [EventKind::Final(GONE), EventKind::Report] {
        let seat = table.place(&event("X", kind), &subject("X"), hints, &latched(2), NOW);
        assert_eq!(why(seat), (Backend::New, Because::Late), "{kind:?}");
    }
    assert!(table.is_empty());
}

#[test]
fn a_call_placed_by_a_token_began_before_and_is_no_new_call() {
    let table = table(100);
    let hints = Hints {
        token: Some(Token {
            backend: Backend::New,
            began: Wall(40_000),
        }),
        wall: Wall(100_000),
        ..Hints::default()
    };
    for kind in [EventKind::Start, EventKind::Step, RINGS] {
        let id = format!("{kind:?}");
        let split = Split {
            latched_since: Some(Wall(90_000)),
            ..latched(7)
        };
        let mut seat = table.place(&event(&id, kind), &subject(&id), hints, &split, NOW);
        assert_eq!(why(seat), (Backend::New, Because::Token), "{kind:?}");
        assert!(!seat.begins && !seat.starting, "{kind:?}");
        assert_eq!(seat.began, Some(Tick(NOW.0 - 60_000_000)), "a minute ago");
        assert_eq!(seat.generation, 0, "nobody knows what placed it");
        table.start(&mut seat, &subject(&id), &latched(8), NOW);
        assert_eq!(seat.placement.backend, Backend::New, "{kind:?}");
        let view = table.find(&id).unwrap();
        assert!(view.started && !view.provisional);
        assert_eq!(view.began, Tick(NOW.0 - 60_000_000), "a minute ago");
    }
    assert_eq!(table.drop_provisional(), 0);
    assert_eq!(table.live_on(Backend::New), 3);
}

// Found in a review: on another machine the call's status callback, which carries no
// token, came first and gave it a place by the split; its next step followed that.
#[test]
fn a_token_goes_before_a_pin_that_events_alone_made() {
    let hints = |backend| Hints {
        token: Some(Token {
            backend,
            began: Wall(40_000),
        }),
        wall: Wall(100_000),
        ..Hints::default()
    };
    let latched = Split {
        latched_since: Some(Wall(90_000)),
        ..latched(2)
    };
    let step = event("X", EventKind::Step);
    for (split, by_event, backend) in [
        (&all_new(), Backend::New, Backend::Legacy),
        (&latched, Backend::Legacy, Backend::New),
    ] {
        let table = table(100);
        let rings = put(&table, &event("X", RINGS), split, NOW);
        assert_eq!(rings.placement.backend, by_event);
        let peeked = table.peek(&step, &subject("X"), hints(backend), split);
        assert_eq!(why(peeked), (backend, Because::Pinned));
        assert!(!peeked.starting);
        let seat = table.place(&step, &subject("X"), hints(backend), split, NOW);
        assert_eq!(why(seat), (backend, Because::Pinned));
        assert!(!seat.starting && !seat.begins);
        assert_eq!(seat.began, Some(Tick(NOW.0 - 60_000_000)), "a minute ago");
        assert_eq!(table.live_on(backend), 1);
        assert_eq!(table.live_on(by_event), 0);
        // It has started: no other token takes it from there.
        let seat = table.place(&step, &subject("X"), hints(by_event), split, after(1));
        assert_eq!(why(seat), (backend, Because::Pinned));
    }
    // A token made after the latch takes nothing to new.
    let table = table(100);
    let late = Split {
        latched_since: Some(Wall(30_000)),
        ..latched
    };
    put(&table, &event("X", RINGS), &late, NOW);
    let seat = table.place(&step, &subject("X"), hints(Backend::New), &late, NOW);
    assert_eq!(why(seat), (Backend::Legacy, Because::Pinned));
}

#[test]
fn an_event_that_names_no_call_follows_a_token_and_pins_nothing() {
    let table = table(100);
    let hints = Hints {
        token: Some(Token {
            backend: Backend::Legacy,
            began: Wall(0),
        }),
        ..Hints::default()
    };
    let nobodys = CallEvent::new(None, RINGS);
    let seat = table.place(&nobodys, &subject("X"), hints, &all_new(), NOW);
    assert_eq!(why(seat), (Backend::Legacy, Because::Token));
    let seat = table.place(&nobodys, &subject("X"), Hints::default(), &all_new(), NOW);
    assert_eq!(why(seat), (Backend::New, Because::Hashed));
    assert!(table.is_empty());
}
