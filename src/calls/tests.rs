//! Where a call goes and stays, what its caller has heard, and what is kept of it; how it
//! ends is in `tests/end.rs`.

mod end;

use super::*;
use crate::model::{Percentage, Wall};
use crate::protocol::{CallEvent, EventKind, Final, FinalStatus, HungUp};
use crate::split::{By, Hash, Scheme};

const SHORT: Duration = Duration::from_secs(5);
const NOW: Tick = Tick::from_secs(10_000);
const SUBJECT: Subject<'_> = Subject {
    tenant: Tenant::Known("clinic"),
    call: Some("CA1"),
    caller: None,
};

fn split(generation: u64, percent: f64) -> Split {
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
            by: By::Tenant,
            hash: Hash::Java31,
        },
    }
}

fn latched(generation: u64) -> Split {
    Split {
        latched: true,
        ..split(generation, 100.0)
    }
}

fn event(kind: EventKind) -> CallEvent<'static> {
    CallEvent::new(Some("CA1".into()), kind)
}

fn after(secs: u64) -> Tick {
    NOW + Duration::from_secs(secs)
}

/// A call of that kind of first webhook, on new.
fn call(kind: EventKind) -> Call {
    let first = first(&event(kind), &SUBJECT, NONE, &split(1, 100.0), None, NOW);
    first.call.expect("a call begins")
}

fn over(status: FinalStatus, by: Option<HungUp>, duration_s: Option<u32>) -> Final {
    Final {
        status,
        by,
        duration_s,
        report_follows: false,
    }
}

const NONE: Hints = Hints {
    claimed: None,
    token: None,
    wall: Wall(0),
};
const RINGS: EventKind = EventKind::Progress;
const ANSWERED: Facts = Facts {
    answered: true,
    connected: false,
    speech: None,
    choice: None,
    beside: false,
};
const SERVES: Does = Does {
    serves: true,
    ends: false,
};
const ENDS: Does = Does {
    serves: false,
    ends: true,
};
const GOES_ON: Does = Does {
    serves: false,
    ends: false,
};

#[test]
fn an_entry_is_forty_bytes() {
    assert_eq!(size_of::<Call>(), 40);
}

#[test]
fn the_first_webhook_decides_where_and_why() {
    use Because::{Hashed, Latched, Late, Orphan};
    let last = EventKind::Final(over(FinalStatus::Completed, None, None));
    for (kind, because, latched_because, begins) in [
        (EventKind::Start, Hashed, Latched, true),
        (EventKind::Step, Orphan, Latched, true),
        (RINGS, Hashed, Latched, true),
        (last, Late, Late, false),
        (EventKind::Report, Late, Late, false),
    ] {
        let open = first(&event(kind), &SUBJECT, NONE, &split(1, 100.0), None, NOW);
        assert_eq!(open.placement.backend, Backend::New, "{kind:?}");
        assert_eq!(open.placement.because, because, "{kind:?}");
        assert_eq!(open.call.is_some(), begins, "{kind:?}");
        let shut = first(&event(kind), &SUBJECT, NONE, &latched(2), None, NOW);
        assert_eq!(shut.placement.backend, Backend::Legacy, "{kind:?}");
        assert_eq!(shut.placement.because, latched_because, "{kind:?}");
    }
}

// Found by the simulation. A step toward legacy took a generation, calls were placed
// under it, and a crash lost its record; the reversal after the restart was given the
// same generation, so a call that had not started yet looked as if placed by it.
#[test]
fn no_call_starts_on_new_while_latched_whatever_its_generation() {
    let mut call = call(EventKind::Start);
    assert_eq!(call.backend(), Backend::New);
    let generation = call.generation();
    assert!(call.start(&SUBJECT, &latched(generation)).is_some());
    assert_eq!(call.backend(), Backend::Legacy);
}

#[test]
fn a_leg_follows_its_call_even_while_latched() {
    let parent = call(EventKind::Start);
    let mut leg = event(RINGS);
    leg.parent = Some("CA0".into());
    let first = first(&leg, &SUBJECT, NONE, &latched(2), Some(&parent), NOW);
    assert_eq!(first.placement.backend, Backend::New);
    assert_eq!(first.placement.because, Because::Inherited);
    let mut leg = first.call.unwrap();
    assert!(leg.flags().has(Flags::LEG) && !leg.is_active());
    assert_eq!(leg.tenant(), parent.tenant());
    assert_eq!(leg.generation(), parent.generation(), "nor is it younger");
    assert!(!leg.drop_provisional(), "it belongs where its call is");
    assert_eq!(leg.start(&SUBJECT, &latched(3)), None);
    assert_eq!(leg.backend(), Backend::New);
    assert_eq!(leg.generation(), parent.generation());
}

#[test]
fn a_pin_made_by_an_event_is_provisional_until_a_voice_webhook_leaves() {
    let mut ringing = call(RINGS);
    assert!(ringing.flags().has(Flags::PROVISIONAL));
    ringing.step(Facts::default(), &SUBJECT, after(1));
    assert!(ringing.flags().has(Flags::PROVISIONAL), "not sent yet");
    assert_eq!(ringing.start(&SUBJECT, &split(1, 100.0)), None);
    assert!(!ringing.flags().has(Flags::PROVISIONAL));
    assert!(!ringing.drop_provisional(), "a started call stays");
    assert!(!call(EventKind::Start).flags().has(Flags::PROVISIONAL));
}

#[test]
fn a_reversal_takes_a_provisional_call_back_to_legacy() {
    let mut ringing = call(RINGS);
    assert!(ringing.drop_provisional());
    assert_eq!(ringing.backend(), Backend::Legacy);
    assert_eq!(ringing.because(), Because::Latched);
    assert!(!ringing.drop_provisional(), "once");
}

#[test]
fn a_latch_between_placing_and_starting_places_the_call_anew() {
    let mut waiting = call(EventKind::Start);
    let anew = waiting.start(&SUBJECT, &latched(2)).unwrap();
    assert_eq!(anew.because, Because::Latched);
    assert_eq!(waiting.backend(), Backend::Legacy);
    assert_eq!(waiting.generation(), 2);
}

// Found in a review: a Vapi call may be known by events for minutes before its first
// tool call, and went to new in the middle when the percentage was raised meanwhile, or
// when a reversal that had sent it to legacy was lifted.
#[test]
fn a_call_that_events_pinned_to_legacy_starts_there_whatever_was_raised_since() {
    let at_zero = split(1, 0.0);
    let first = first(&event(RINGS), &SUBJECT, NONE, &at_zero, None, NOW);
    let mut talking = first.call.unwrap();
    assert_eq!(talking.start(&SUBJECT, &split(2, 100.0)), None);
    assert_eq!(talking.backend(), Backend::Legacy);
    assert_eq!(
        talking.generation(),
        1,
        "it says nothing about what runs now"
    );

    let mut reversed = call(RINGS);
    assert!(reversed.drop_provisional());
    assert_eq!(reversed.start(&SUBJECT, &split(3, 100.0)), None);
    assert_eq!(reversed.backend(), Backend::Legacy);
}

#[test]
fn a_started_call_is_never_placed_again() {
    let mut running = call(EventKind::Start);
    running.start(&SUBJECT, &split(1, 100.0));
    assert_eq!(running.start(&SUBJECT, &latched(2)), None);
    assert_eq!(running.backend(), Backend::New);
}

#[test]
fn an_orphan_placed_anew_is_still_an_orphan() {
    let mut orphan = call(EventKind::Step);
    let anew = orphan.start(&SUBJECT, &split(2, 0.0)).unwrap();
    assert_eq!(anew.backend, Backend::Legacy);
    assert_eq!(anew.because, Because::Orphan);
}

#[test]
fn only_the_callers_first_choice_is_one() {
    let pressed = Facts {
        choice: Some(b'3'),
        ..Facts::default()
    };
    let mut call = call(EventKind::Start);
    assert!(!call.chooses(Facts::default()), "nothing was pressed");
    assert!(call.chooses(pressed));
    assert!(!call.chooses(pressed), "a menu further down");
    let flags = Flags::NONE.with(Flags::LEG);
    let mut leg = Call::placed(Placement::legacy(Because::Inherited), flags, 1, NOW);
    assert!(!leg.chooses(pressed), "an agent accepts a call");
}

#[test]
fn a_looping_caller_is_one_voice_a_minute() {
    let mut call = call(EventKind::Start);
    let mut voices = 0;
    for second in 0..120 {
        let voice = call.heard(Some(false), GOES_ON, false, after(second));
        voices += u32::from(voice.is_some());
    }
    assert_eq!(voices, 2, "two minutes, two good voices");
}

#[test]
fn a_good_and_a_failed_voice_in_one_minute_both_count() {
    let mut call = call(EventKind::Start);
    let good = call.heard(Some(false), GOES_ON, false, after(1)).unwrap();
    assert_eq!((good.previous, good.previous_failed), (None, None));
    assert_eq!(good.tenant, TenantKey::new("clinic"));
    let failed = call.heard(Some(true), GOES_ON, false, after(2)).unwrap();
    assert!(failed.failed);
    assert_eq!(
        (failed.previous, failed.previous_failed),
        (Some(after(1)), None)
    );
    assert_eq!(call.heard(Some(true), GOES_ON, false, after(59)), None);
    let next = call.heard(Some(true), GOES_ON, false, after(60)).unwrap();
    assert_eq!(
        (next.previous, next.previous_failed),
        (Some(after(2)), Some(after(2)))
    );
}

#[test]
fn an_event_is_no_voice_but_can_reach_a_served_path() {
    let mut call = call(EventKind::Start);
    assert_eq!(call.heard(None, SERVES, false, NOW), None);
    assert!(!call.flags().has(Flags::SERVED));
    assert_eq!(call.heard(None, GOES_ON, true, NOW), None);
    assert!(call.flags().has(Flags::SERVED));
}

#[test]
fn a_served_path_serves_nobody_whose_answer_failed() {
    for (failed, served) in [(true, false), (false, true)] {
        let mut call = call(EventKind::Start);
        call.heard(Some(failed), GOES_ON, true, NOW);
        assert_eq!(call.flags().has(Flags::SERVED), served);
    }
}

#[test]
fn a_change_and_every_hour_of_a_call_are_worth_saving() {
    let mut call = call(EventKind::Start);
    let saved = call;
    call.step(Facts::default(), &SUBJECT, after(3599));
    assert!(!call.outdates(&saved), "only a moment moved");
    call.step(Facts::default(), &SUBJECT, after(3601));
    assert!(call.outdates(&saved), "a restart would think it silent");
    let saved = call;
    call.heard(Some(false), SERVES, false, after(3602));
    assert!(call.outdates(&saved), "served now");
}

#[test]
fn the_tenant_is_learnt_from_the_first_webhook_that_tells() {
    let nobody = Subject {
        tenant: Tenant::Missing,
        ..SUBJECT
    };
    let first = first(&event(RINGS), &nobody, NONE, &split(1, 0.0), None, NOW);
    let mut call = first.call.unwrap();
    assert_eq!(call.tenant(), TenantKey::NONE);
    call.step(Facts::default(), &SUBJECT, after(1));
    assert_eq!(call.tenant(), TenantKey::new("clinic"));
}

#[test]
fn what_is_kept_over_a_restart_comes_back() {
    let mut call = call(EventKind::Start);
    call.start(&SUBJECT, &split(1, 100.0));
    call.heard(Some(false), SERVES, false, after(1));
    let back = Call::restored(call.pin());
    assert_eq!(back.pin(), call.pin());
    assert_eq!(back.backend(), Backend::New);
    assert!(back.flags().has(Flags::STARTED.with(Flags::SERVED)));
    assert!(!back.has_ended());
}
