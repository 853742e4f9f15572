use super::*;
use crate::measure::{CallEnd, Fault};
use crate::model::PerBackend;
use crate::protocol::{EventKind, FinalStatus};
use crate::table::other::tests::{GONE, TO_BE_REPORTED, end_of, finish};
use crate::table::tests::{NOW, after, all_new, begin, event, place, table};

const RINGS: EventKind = EventKind::Progress;

fn awaiting(table: &Table) -> Tick {
    begin(table, "V", NOW);
    let ended = after(60);
    assert_eq!(
        finish(table, event("V", RINGS), TO_BE_REPORTED, ended),
        None
    );
    assert_eq!(
        table.active(),
        PerBackend::default(),
        "it is over all the same"
    );
    ended
}

fn swept(table: &Table, now: Tick) -> Vec<Ended> {
    let mut out = Vec::new();
    table.sweep(now, &mut out);
    out
}

#[test]
fn the_report_tells_how_the_call_ended() {
    for (status, connected, expected, failed) in [
        (FinalStatus::Completed, false, CallEnd::Abandoned, false),
        (FinalStatus::Completed, true, CallEnd::Served, false),
        (FinalStatus::Transferred, true, CallEnd::Transferred, false),
        (
            FinalStatus::Failed(Fault::Backend),
            true,
            CallEnd::Failed,
            true,
        ),
        (
            FinalStatus::Failed(Fault::Provider),
            true,
            CallEnd::ProviderFailed,
            false,
        ),
    ] {
        let table = table(100);
        awaiting(&table);
        let mut report = event("V", RINGS);
        report.facts.connected = connected;
        let last = Final { status, ..GONE };
        let ended = finish(&table, report, last, after(70)).unwrap();
        assert_eq!((ended.end, ended.failed), (expected, failed), "{status:?}");
        assert_eq!((ended.began, ended.at), (NOW, after(70)));
        assert_eq!(ended.duration_s, Some(60));
        assert_eq!(swept(&table, after(600)), [], "once");
        assert_eq!(finish(&table, event("V", RINGS), GONE, after(601)), None);
    }
}

#[test]
fn a_report_a_second_before_two_minutes_still_tells() {
    let table = table(100);
    awaiting(&table);
    assert_eq!(swept(&table, after(60 + 119)), []);
    let ended = finish(&table, event("V", RINGS), GONE, after(60 + 119));
    assert_eq!(end_of(ended), Some(CallEnd::Abandoned));
    assert_eq!(swept(&table, after(60 + 120)), []);
}

#[test]
fn without_a_report_the_sweep_tells_it_after_two_minutes() {
    let table = table(100);
    awaiting(&table);
    let told = swept(&table, after(60 + 120));
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].end, told[0].at), (CallEnd::Abandoned, after(180)));
    assert_eq!(
        finish(&table, event("V", RINGS), GONE, after(181)),
        None,
        "too late"
    );
    assert_eq!(swept(&table, after(182)), []);
    assert_eq!(table.len(), 1, "remembered for its recordings");
    swept(&table, after(60 + 30 * 60));
    assert!(table.is_empty());
}

#[test]
fn an_awaited_end_survives_a_restart_and_is_told_once() {
    let table = table(100);
    awaiting(&table);
    let restart = |table: &Table, now| {
        let back = crate::table::tests::table(100);
        for key in table.keys() {
            back.restore(&table.record(key).unwrap(), now);
        }
        back
    };
    // The two minutes pass while nobody runs.
    let back = restart(&table, after(600));
    assert_eq!(back.active(), PerBackend::default());
    assert_eq!(swept(&back, after(601)).len(), 1);
    let mut saved = Vec::new();
    back.drain_pins(&mut saved);
    assert_eq!(saved.len(), 2, "as it came back, and that it is told");
    assert_eq!(swept(&restart(&back, after(602)), after(603)), []);
}

#[test]
fn a_full_table_does_not_forget_first_whose_end_is_not_told() {
    let table = table(2);
    awaiting(&table);
    place(&table, "rings", RINGS, &all_new(), after(61));
    begin(&table, "next", after(62));
    assert_eq!(table.find("rings"), None);
    assert_eq!(swept(&table, after(180)).len(), 1);
}
