use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::measure::{Answered, CallEnd, Cause, Ended, Kind, Outcome, Voice};

fn spoke(at: Tick, failed: bool, previous: Option<Tick>, failed_before: Option<Tick>) -> Answered {
    Answered {
        call: None,
        at,
        backend: Backend::New,
        route: 0,
        kind: Kind::Voice,
        outcome: if failed {
            Outcome::Failed(Cause::Status)
        } else {
            Outcome::Served
        },
        latency_us: Some(1000),
        overhead_us: 0,
        flaw: None,
        voice: Some(Voice {
            tenant: TenantKey(1),
            failed,
            previous,
            previous_failed: failed_before,
        }),
        speech: None,
        choice: None,
        data_us: None,
        counts: true,
        generation: 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn distinct_calls_agree_with_keeping_every_voice(
        steps in prop::collection::vec(
            (prop_oneof![5 => 0u64..40_000_000, 1 => 0u64..900_000_000], 0u64..12, any::<bool>()),
            1..100,
        ),
        epoch in 0usize..120,
        backwards in any::<bool>(),
    ) {
        let mut card = Scorecard::new(Backend::New, &Interest::default(), Tick(0));
        let mut marks: HashMap<u64, (Option<Tick>, Option<Tick>)> = HashMap::new();
        let (mut now, mut since, mut voices, mut waiting) = (Tick(0), Tick(0), Vec::new(), Vec::new());
        for (step, (gap, call, failed)) in steps.into_iter().enumerate() {
            now = now + Duration::from_micros(gap);
            if step == epoch {
                since = now;
                card.begin_epoch(now, 0);
            }
            let mark = marks.entry(call).or_default();
            waiting.push(spoke(now, failed, mark.0, mark.1));
            mark.0 = Some(now);
            if failed {
                mark.1 = Some(now);
            }
            voices.push((now, call, failed));
            // Workers are drained one after the other, so order within a tick is anyone's.
            if step % 3 == 2 || step + 1 == epoch {
                if backwards {
                    waiting.reverse();
                }
                waiting.drain(..).for_each(|what| card.answered(&what));
                card.advance(now);
                for span in [FIVE_MINUTES, HOUR] {
                    let within = |at: Tick| at >= since && at.secs() + span.as_secs() > now.secs();
                    let distinct = |only_failed: bool| {
                        let mut calls: Vec<u64> = voices.iter()
                            .filter(|(at, _, failed)| within(*at) && (*failed || !only_failed))
                            .map(|(_, call, _)| *call).collect();
                        calls.sort_unstable();
                        calls.dedup();
                        calls.len() as i64
                    };
                    let seen = card.answers(span);
                    prop_assert_eq!(seen.calls, distinct(false));
                    prop_assert_eq!(seen.failed_calls, distinct(true));
                    let failed = voices.iter().filter(|(at, _, failed)| within(*at) && *failed).count();
                    prop_assert_eq!(seen.failed, failed as i64);
                }
            }
        }
    }
}

#[test]
fn the_variance_is_that_of_the_values() {
    let mut card = Scorecard::new(Backend::Legacy, &Interest::default(), Tick(0));
    for latency in [1_000_000, 2_000_000, 3_000_000] {
        let mut what = spoke(Tick(0), false, None, None);
        what.latency_us = Some(latency);
        card.answered(&what);
    }
    let seen = card.answers(FIVE_MINUTES);
    assert_eq!(seen.mean_ms(), Some(2000.0));
    assert!((seen.variance_ms2() - 1e6).abs() < 1e-6);
}

#[test]
fn nobody_waits_for_an_event_so_it_counts_nowhere() {
    let mut card = Scorecard::new(Backend::New, &Interest::default(), Tick(0));
    let mut what = spoke(Tick(0), true, None, None);
    what.kind = Kind::Event;
    card.answered(&what);
    assert_eq!(card.answers(HOUR), Answers::default());
    assert_eq!(card.numbers().webhooks, 0);
}

#[test]
fn what_a_caller_said_counts_from_an_event_and_an_event_is_still_no_webhook() {
    let mut card = Scorecard::new(Backend::New, &Interest::default(), Tick(0));
    let mut what = spoke(Tick(0), false, None, None);
    what.kind = Kind::Event;
    what.voice = None;
    what.speech = Some(true);
    what.choice = Some(b'3');
    what.data_us = Some(4000);
    card.answered(&what);
    what.speech = Some(false);
    card.answered(&what);
    let heard = card.answers(HOUR);
    assert_eq!((heard.speech_good, heard.speech_empty), (1, 1));
    let numbers = card.numbers();
    assert_eq!((numbers.webhooks, heard.webhooks), (0, 0));
    assert_eq!(numbers.speech_recognition_rate, Some(0.5));
    assert_eq!(numbers.shown.choices[3], 2);
    assert_eq!(numbers.shown.data_query_mean_ms, Some(4.0));
}

fn ended(end: CallEnd, failed: bool, duration_s: Option<u32>) -> Ended {
    Ended {
        at: Tick::from_secs(60),
        began: Tick(0),
        backend: Backend::New,
        tenant: TenantKey(1),
        end,
        duration_s,
        generation: 1,
        counts: true,
        failed,
    }
}

#[test]
fn each_end_counts_for_what_it_tells() {
    // (end, failed flag) -> (served, abandoned, failed calls, other calls behind the rate)
    for (end, flag, expected) in [
        (CallEnd::Served, false, (1, 0, 0, 1)),
        (CallEnd::Served, true, (1, 0, 1, 0)),
        (CallEnd::Transferred, false, (1, 0, 0, 1)),
        (CallEnd::Abandoned, false, (0, 1, 0, 1)),
        (CallEnd::Abandoned, true, (0, 1, 1, 0)),
        (CallEnd::Failed, false, (0, 0, 1, 0)),
        (CallEnd::Failed, true, (0, 0, 1, 0)),
        (CallEnd::Unknown, false, (0, 0, 0, 1)),
        (CallEnd::Unknown, true, (0, 0, 1, 0)),
        (CallEnd::Short, false, (0, 0, 0, 0)),
        (CallEnd::Short, true, (0, 0, 1, 0)),
        (CallEnd::Expired, false, (0, 0, 0, 0)),
        (CallEnd::Expired, true, (0, 0, 1, 0)),
        (CallEnd::ProviderFailed, false, (0, 0, 0, 0)),
    ] {
        let mut card = Scorecard::new(Backend::New, &Interest::default(), Tick(0));
        card.ended(&ended(end, flag, Some(10)));
        card.advance(Tick(0) + MATURE_LEAST);
        let ends = card.ends(HOUR);
        let seen = (ends.served, ends.abandoned, ends.bad, ends.sound);
        assert_eq!(seen, expected, "{end:?}, failed: {flag}");
        let by_tenant = card.tenant_ends().unwrap().between(Tick(0), Tick(0));
        let tenant = by_tenant.get(&TenantKey(1)).copied().unwrap_or_default();
        let tenants = (tenant.served, tenant.abandoned, tenant.bad, tenant.sound);
        let wide = |(a, b, c, d): (i32, i32, i32, i32)| (a.into(), b.into(), c.into(), d.into());
        assert_eq!(wide(tenants), expected, "{end:?} by tenant");
    }
}

#[test]
fn a_duration_counts_where_it_is_known_and_the_call_was_one() {
    let mut card = Scorecard::new(Backend::New, &Interest::default(), Tick(0));
    for (end, lasted) in [
        (CallEnd::Served, Some(100)),
        (CallEnd::Transferred, Some(200)),
        (CallEnd::Abandoned, Some(300)),
        (CallEnd::Failed, Some(u32::MAX)),
        (CallEnd::Served, None),
        (CallEnd::Unknown, Some(9)),
        (CallEnd::Short, Some(9)),
        (CallEnd::ProviderFailed, Some(9)),
        (CallEnd::Expired, Some(9)),
    ] {
        card.ended(&ended(end, false, lasted));
    }
    card.advance(Tick(0) + MATURE_LEAST);
    let ends = card.ends(HOUR);
    assert_eq!((ends.timed, ends.duration_s), (4, 600 + 86_400));
    assert_eq!(ends.duration_mean_s(), Some(21_750.0));
    let expected = {
        let mean = 21_750.0f64;
        [100.0, 200.0, 300.0, 86_400.0]
            .iter()
            .map(|x| (x - mean).powi(2))
            .sum::<f64>()
            / 3.0
    };
    assert!((ends.duration_variance_s2() / expected - 1.0).abs() < 1e-9);
}

#[test]
fn what_is_shown_outlives_an_epoch() {
    let mut card = Scorecard::new(Backend::New, &Interest::default(), Tick(0));
    let mut what = spoke(Tick(0), false, None, None);
    what.choice = Some(b'1');
    card.answered(&what);
    card.connected(500);
    card.streamed(Streamed::Opened);
    card.begin_epoch(Tick::from_secs(1), 1);
    let shown = card.numbers().shown;
    assert_eq!((shown.choices[1], shown.streams_active), (1, 1));
    assert_eq!(shown.connect_mean_ms, Some(0.5));
}

#[test]
fn a_backend_with_a_thousand_calls_a_second_is_counted_to_the_last_one() {
    let interest = Interest {
        spans: vec![FIVE_MINUTES],
        quantile_spans: vec![FIVE_MINUTES],
        ..Interest::default()
    };
    let mut card = Scorecard::new(Backend::New, &interest, Tick(0));
    for place in 0..400_000u64 {
        let mut what = spoke(Tick(place * 1000), place % 10 == 0, None, None);
        what.voice = what.voice.map(|voice| Voice {
            tenant: TenantKey(1 + place % 5000),
            ..voice
        });
        card.answered(&what);
    }
    let seen = card.answers(FIVE_MINUTES);
    assert_eq!((seen.good, seen.failed), (270_000, 30_000));
}

#[test]
fn a_scorecard_takes_no_more_than_it_says() {
    let seconds = 3600;
    let counts = seconds * size_of::<Answers>()
        + 2 * seconds * size_of::<Ends>()
        + seconds * size_of::<Flaws>();
    assert!(counts <= 2_000_000, "{counts} bytes of counts");
    // A table for 112 tenants has 128 places of a pair and a byte.
    let answers = 361 * (size_of::<(TenantKey, TenantAnswers)>() + 1);
    let ends = 721 * (size_of::<(TenantKey, TenantEnds)>() + 1);
    let by_tenant = 128 * (answers + ends);
    assert!(by_tenant <= 6_100_000, "{by_tenant} bytes by tenant");
}

#[test]
fn how_long_calls_last_is_not_forgotten_with_another_threshold() {
    let mut card = Scorecard::new(Backend::Legacy, &Interest::default(), Tick(0));
    for second in 0..DURATIONS_MIN {
        card.ended(&Ended {
            at: Tick::from_secs(second),
            began: Tick::from_secs(second),
            backend: Backend::Legacy,
            tenant: TenantKey(1),
            end: CallEnd::Served,
            duration_s: Some(1200),
            generation: 0,
            counts: true,
            failed: false,
        });
    }
    let usual = card.usual_duration();
    assert!(usual >= Duration::from_secs(1200));
    let interest = Interest {
        thresholds_us: vec![777_777],
        ..Interest::default()
    };
    card.set_interest(&interest, Tick::from_secs(DURATIONS_MIN));
    assert_eq!(card.usual_duration(), usual);
}
