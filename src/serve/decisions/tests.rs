use super::*;
use crate::engine::Status;
use crate::measure::Voice;
use crate::model::Backend;
use crate::rollout::{Command, Order, Rollout};
use crate::serve::memory::tests::{answered, placed, rescued, status};
use crate::serve::memory::{Known, Memory};
use crate::split::Because;

const WALL: Wall = Wall(1_795_000_000_000);

fn known(status: &Status) -> std::sync::Arc<Known> {
    Memory::new(Vec::new()).hear(&[], status, Tick::from_secs(3600))
}

fn written(trace: &mut Trace, observations: &[Observation], entries: &[Entry]) -> Vec<Value> {
    let known = known(&status(0.02));
    let then = Then {
        now: Tick::from_secs(3605),
        wall: WALL,
        routes: &["/ivr".to_owned()],
        known: &known,
    };
    let mut lines = Vec::new();
    trace.write(&mut lines, observations, entries, &then);
    let lines = String::from_utf8(lines).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn first_answer(call: CallKey) -> Observation {
    let served = crate::measure::Outcome::Served;
    let mut observation = answered(call, 1200, Backend::New, served, Some(200));
    if let Observation::Answered(it) = &mut observation {
        it.voice = Some(Voice {
            tenant: TenantKey::new("+14155550142"),
            failed: false,
            previous: None,
            previous_failed: None,
        });
    }
    observation
}

#[test]
fn where_a_call_began_is_told_with_its_tenant_s_hash_and_what_was_known() {
    let call = CallKey(7);
    let mut trace = Trace::new(5, 1.0);
    let begun = written(
        &mut trace,
        &[placed(call, 1000, Backend::New, Because::Hashed)],
        &[],
    );
    assert!(begun.is_empty(), "whose it is comes with the answer");
    let told = written(&mut trace, &[first_answer(call), first_answer(call)], &[]);
    assert_eq!(told.len(), 1, "once a call: {told:?}");
    let told = &told[0];
    assert_eq!(told["what"], "placed");
    assert_eq!(
        (&told["backend"], &told["because"]),
        (&"new".into(), &"hashed".into())
    );
    assert_eq!(
        (&told["generation"], &told["config"]),
        (&3.into(), &"0123456789ab".into())
    );
    assert_eq!(told["rules"]["errors"], 0.02);
    let tenant = told["tenant"].as_str().unwrap();
    assert_eq!(tenant.len(), 16);
    assert_ne!(tenant, format!("{:016x}", TenantKey::new("+14155550142").0));
}

#[test]
fn a_call_that_nobody_answers_is_told_all_the_same() {
    let mut trace = Trace::new(5, 1.0);
    let begun = placed(CallKey(7), 1000, Backend::New, Because::Hashed);
    written(&mut trace, &[begun], &[]);
    let mut lines = Vec::new();
    trace.finish(&mut lines, Tick::from_secs(3605), WALL);
    assert!(
        String::from_utf8(lines)
            .unwrap()
            .contains("\"what\":\"placed\"")
    );
}

#[test]
fn a_sampled_call_is_traced_whole_and_another_not_at_all() {
    use crate::measure::{RescueResult, Why};
    let mut trace = Trace::new(5, 0.3);
    let mut both = 0;
    for number in 0..1000 {
        let call = CallKey::new(&format!("call {number}"), 9);
        let observations = [
            placed(call, 1000, Backend::New, Because::Hashed),
            first_answer(call),
            rescued(call, 1300, Why::Failed, RescueResult::Served),
        ];
        let lines = written(&mut trace, &observations, &[]).len();
        assert!(lines == 0 || lines == 2, "{lines}");
        both += usize::from(lines == 2);
    }
    assert!((250..350).contains(&both), "{both} of 1000 at 30 %");
}

#[test]
fn every_step_is_told_whatever_the_sample() {
    let mut trace = Trace::new(5, 0.0);
    let rollout = Rollout::default();
    let order = Order {
        waives: crate::rollout::Waives::default(),
        actor: "operator".to_owned(),
        reason: "asked by +14155550142".to_owned(),
        command: Command::Percentage(crate::model::Percentage::FULL),
    };
    let entry = rollout.decide(&order, WALL).unwrap();
    let told = written(&mut trace, &[], &[entry]);
    assert_eq!(told.len(), 1);
    let told = &told[0];
    assert_eq!(
        (&told["what"], &told["action"]),
        (&"entry".into(), &"set".into())
    );
    assert_eq!(told["percentage"], serde_json::json!([0.0, 100.0]));
    assert_eq!(told["reason"], "asked by +…42");
}
