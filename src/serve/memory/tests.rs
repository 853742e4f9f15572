use super::*;
use crate::engine::RuleStatus;
use crate::measure::{Answered, Cause, Placed, Rescued};
use crate::rules::{Finding, Verdict};
use crate::split::Because;

const CALL: CallKey = CallKey(7);

fn at(ms: u64) -> Tick {
    Tick::from_secs(3600) + Duration::from_millis(ms)
}

pub(in crate::serve) fn placed(
    call: CallKey,
    ms: u64,
    backend: Backend,
    because: Because,
) -> Observation {
    Observation::Placed(Placed {
        at: at(ms),
        placement: Placement { backend, because },
        call: Some(call),
        begins: because == Because::Hashed,
        after_latch: false,
        starts: true,
    })
}

pub(in crate::serve) fn answered(
    call: CallKey,
    ms: u64,
    backend: Backend,
    outcome: Outcome,
    latency_ms: Option<u32>,
) -> Observation {
    Observation::Answered(Answered {
        at: at(ms),
        backend,
        route: 0,
        kind: Kind::Voice,
        outcome,
        latency_us: latency_ms.map(|ms| ms * 1000),
        overhead_us: 20,
        flaw: None,
        voice: None,
        speech: None,
        choice: None,
        data_us: None,
        counts: true,
        generation: 3,
        call: Some(call),
    })
}

pub(in crate::serve) fn rescued(
    call: CallKey,
    ms: u64,
    why: Why,
    result: RescueResult,
) -> Observation {
    Observation::Rescued(Rescued {
        at: at(ms),
        route: 0,
        call: Some(call),
        from: Backend::New,
        why,
        result,
        counts: true,
    })
}

pub(in crate::serve) fn status(value: f64) -> Status {
    let row = |name: &str, action| RuleStatus {
        finding: Finding {
            rule: name.to_owned(),
            value: Some(value),
            threshold: 0.1,
            legacy: None,
            samples: 30,
            failed: 3,
            early: None,
            verdict: Verdict::Pass,
            blind: false,
            withheld: None,
            tenants: Vec::new(),
            because: String::new(),
        },
        measure: Measure::ErrorRate,
        action,
        over: Duration::from_secs(300),
        calls_min: 20,
        priority: None,
        firing: false,
    };
    Status {
        rules: vec![row("errors", Action::Reverse), row("high", Action::Alert)],
        config_hash: "0123456789ab".to_owned(),
        generation: 3,
        ..Status::default()
    }
}

fn memory(observations: &[Observation]) -> Memory {
    let mut memory = Memory::new(vec!["/ivr".to_owned()]);
    memory.hear(observations, &status(0.01), at(10_000));
    memory
}

const NEW: Backend = Backend::New;
const FAILED: Outcome = Outcome::Failed(Cause::Status);

#[test]
fn a_call_that_was_rescued_is_told_webhook_by_webhook() {
    let other = CallKey(8);
    let memory = memory(&[
        // What one worker told, then what another did.
        placed(CALL, 5000, NEW, Because::Pinned),
        placed(CALL, 5300, Backend::Legacy, Because::Rescued),
        answered(CALL, 5290, NEW, FAILED, Some(290)),
        rescued(CALL, 5400, Why::Failed, RescueResult::Served),
        answered(CALL, 5400, Backend::Legacy, Outcome::Served, Some(100)),
        placed(CALL, 1000, NEW, Because::Hashed),
        answered(CALL, 1200, NEW, Outcome::Served, Some(200)),
        placed(other, 1100, NEW, Because::Hashed),
    ]);
    let (webhooks, before) = memory.webhooks(&[CALL]);
    assert_eq!(before, 0);
    let told: Vec<_> = webhooks
        .iter()
        .map(|it| {
            let because = it.placement.map(|placement| placement.because.name());
            let outcome = it.answer.map(|answer| answer.outcome.name());
            let rescue = it.rescue.map(|rescue| rescue.result.name());
            (it.at, it.begins, because, outcome, rescue)
        })
        .collect();
    let expected = [
        (at(1000), true, Some("hashed"), Some("served"), None),
        (
            at(5000),
            false,
            Some("pinned"),
            Some("status"),
            Some("served"),
        ),
        (at(5300), false, Some("rescued"), Some("served"), None),
    ];
    assert_eq!(told, expected);
    let known = webhooks[0].known.as_ref().unwrap();
    assert_eq!(known.rows.len(), 1, "alerts take nothing from new");
    assert_eq!(
        (&*known.rows[0].rule, known.rows[0].value),
        ("errors", Some(0.01))
    );
}

#[test]
fn of_two_on_their_way_at_once_each_gets_its_own_answer() {
    let memory = memory(&[
        placed(CALL, 1000, NEW, Because::Hashed),
        placed(CALL, 1500, NEW, Because::Pinned),
        answered(CALL, 1600, NEW, Outcome::Served, Some(100)),
        answered(CALL, 3000, NEW, FAILED, Some(2000)),
    ]);
    let (webhooks, _) = memory.webhooks(&[CALL]);
    let outcomes: Vec<_> = (webhooks.iter())
        .map(|it| it.answer.unwrap().outcome)
        .collect();
    assert_eq!(outcomes, [FAILED, Outcome::Served]);
}

#[test]
fn a_call_that_was_moved_without_asking_anybody_has_a_line_for_it() {
    let memory = memory(&[
        placed(CALL, 1000, NEW, Because::Hashed),
        answered(CALL, 1200, NEW, Outcome::Served, Some(200)),
        rescued(CALL, 4000, Why::Flip, RescueResult::Moved),
    ]);
    let (webhooks, _) = memory.webhooks(&[CALL]);
    assert_eq!(webhooks.len(), 2);
    assert_eq!(webhooks[0].rescue, None, "it went well");
    assert_eq!(webhooks[1].rescue.unwrap().result, RescueResult::Moved);
}

#[test]
fn what_the_rows_say_is_looked_at_once_a_second_and_told_as_of_then() {
    let mut memory = Memory::new(Vec::new());
    for (ms, value) in [(0, 0.1), (900, 0.2), (1000, 0.3), (2100, 0.4)] {
        let placed = placed(CALL, ms, NEW, Because::Pinned);
        memory.hear(&[placed], &status(value), at(ms));
    }
    let (webhooks, _) = memory.webhooks(&[CALL]);
    let values: Vec<_> = (webhooks.iter())
        .map(|it| it.known.as_ref().unwrap().rows[0].value.unwrap())
        .collect();
    assert_eq!(values, [0.1, 0.1, 0.3, 0.4]);
    let names = |at: usize| memory.looks[at].rows[0].rule.as_ptr();
    assert_eq!(names(0), names(2), "a name is kept once");
}

#[test]
fn tables_that_are_judged_for_the_first_time_are_looked_at_at_once() {
    let mut memory = Memory::new(Vec::new());
    let config_hash = status(0.0).config_hash;
    let unjudged = Status {
        config_hash,
        ..Status::default()
    };
    for (status, rows) in [(unjudged, 0), (status(0.1), 1), (status(0.2), 1)] {
        assert_eq!(memory.hear(&[], &status, at(0)).rows.len(), rows);
    }
    assert_eq!(memory.looks.len(), 2);
}

#[test]
fn what_is_older_than_an_hour_is_forgotten_and_so_is_the_oldest_of_too_many() {
    let mut memory = memory(&[placed(CALL, 0, NEW, Because::Hashed)]);
    let placed = |key, ms| placed(CallKey(key), ms, NEW, Because::Hashed);
    memory.hear(&[placed(9, 3_600_000)], &status(0.0), at(3_600_000));
    assert_eq!(memory.webhooks(&[CALL]).0.len(), 1, "an hour to the tick");
    memory.hear(&[], &status(0.0), at(3_600_001));
    assert_eq!(memory.webhooks(&[CALL]).0.len(), 0);
    let many: Vec<_> = (0..TOLD as u64 - 1).map(|_| placed(5, 3_600_001)).collect();
    memory.hear(&many, &status(0.0), at(3_600_002));
    assert_eq!(memory.webhooks(&[CallKey(9)]).0.len(), 1);
    memory.hear(&[placed(5, 3_600_002)], &status(0.0), at(3_600_003));
    assert_eq!(memory.webhooks(&[CallKey(9)]).0.len(), 0);
    assert_eq!(memory.told.len(), TOLD);
    let (shown, before) = memory.webhooks(&[CallKey(5)]);
    assert_eq!((shown.len(), shown.len() + before), (SHOWN, TOLD));
}

#[test]
fn a_moment_is_told_alike_whenever_it_is_asked_for_until_the_calendar_is_stepped() {
    let mut memory = Memory::new(Vec::new());
    let told = |memory: &Memory| memory.wall(at(10_400), Wall(0)).0;
    assert_eq!(told(&memory), 0, "nothing is known yet");
    memory.date(at(10_000), Wall(1_000_000));
    assert_eq!(told(&memory), 1_000_400);
    // The two clocks never agree to the millisecond.
    memory.date(at(11_000), Wall(1_001_999));
    assert_eq!(told(&memory), 1_000_400);
    memory.date(at(11_000), Wall(1_002_000));
    assert_eq!(told(&memory), 1_001_400);
}
