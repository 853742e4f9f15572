use super::*;
use crate::measure::{Cause, RescueResult, Why};
use crate::rollout::{Command, Level, List, Order, Waives};
use crate::serve::memory::tests::{answered, placed, rescued, status};
use crate::split::Live;

const CALL: CallKey = CallKey(0xfeed);

fn memory() -> Memory {
    let mut memory = Memory::new(vec!["/ivr".to_owned()]);
    let (new, legacy) = (Backend::New, Backend::Legacy);
    let failed = Outcome::Failed(Cause::Timeout);
    let observations = [
        placed(CALL, 1000, new, Because::Hashed),
        answered(CALL, 2500, new, failed, Some(1500)),
        placed(CALL, 2500, legacy, Because::Rescued),
        answered(CALL, 2600, legacy, Outcome::Served, Some(100)),
        rescued(CALL, 2600, Why::Failed, RescueResult::Served),
    ];
    memory.date(Tick::from_secs(3603), Wall(1_795_000_000_000));
    memory.hear(&observations, &status(0.02), Tick::from_secs(3603));
    memory
}

#[test]
fn a_call_is_explained_webhook_by_webhook_after_its_pin_has_expired() {
    let wall = Wall(1_795_000_000_000);
    let told = call_explained(None, CALL, &memory(), Tick::from_secs(3603), wall).unwrap();
    assert_eq!(told["call"], "000000000000feed");
    let webhooks = told["webhooks"].as_array().unwrap();
    assert_eq!(webhooks.len(), 2);
    let expected = json!({
        "time": "2026-11-18T09:46:38.000Z", "route": "/ivr", "kind": "voice", "backend": "new",
        "because": "hashed", "begins": true, "outcome": "timeout", "document": null,
        "latency_ms": 1500.0, "generation": 3,
        "rescue": { "why": "failed", "result": "served" },
        "rules": [{ "rule": "errors", "measure": "error_rate", "value": 0.02, "threshold": 0.1 }],
        "percentage": 0.0, "config": "0123456789ab",
    });
    let mut first = webhooks[0].clone();
    let time = first["time"].take();
    let mut expected = expected;
    expected["time"].take();
    assert_eq!(first, expected);
    assert!(time.as_str().unwrap().ends_with(":38.000Z"), "{time}");
    assert_eq!(webhooks[1]["because"], "rescued");
    assert_eq!(webhooks[1]["document"], "sound");
    assert_eq!(
        call_explained(None, CallKey(1), &memory(), Tick(0), wall),
        None
    );
}

fn config(percentage: u16) -> Config {
    let text = format!(
        "[listen]\nwebhooks = \"127.0.0.1:0\"\n[backend.legacy]\nurl = \"http://127.0.0.1:1\"\n\
         [backend.new]\nurl = \"http://127.0.0.1:2\"\n[[route]]\npath = \"/ivr\"\n\
         protocol = \"telnyx-texml\"\ntenant = [\"to\"]\n[split]\nby = \"tenant\"\nhash = \"java31\"\n\
         percentage = {percentage}\n"
    );
    let loaded = crate::config::load_text(std::path::Path::new("t.toml"), text);
    loaded.expect("it is well").config
}

#[test]
fn a_tenant_is_explained_from_configuration_and_journal_alone() {
    let config = config(0);
    let mut rollout = Rollout::default();
    let order = Order {
        waives: Waives::default(),
        actor: "operator".to_owned(),
        reason: "a test".to_owned(),
        command: Command::Percentage(crate::model::Percentage::FULL),
    };
    let entry = rollout.decide(&order, Wall(1000)).unwrap();
    rollout.apply(&entry);
    let told = offline("clinica-norte", &config, std::slice::from_ref(&entry), None);
    assert_eq!(
        (&told["backend"], &told["because"]),
        (&"new".into(), &"hashed".into())
    );
    assert_eq!(told["offline"], true);
    assert_eq!(told["percentage"], 100.0);
    let latched = offline(
        "clinica-norte",
        &config,
        &[entry],
        Some("callers hear silence"),
    );
    assert_eq!(
        latched["because"], "latched",
        "the latch outranks the journal"
    );
    let empty = offline("clinica-norte", &config, &[], None);
    assert_eq!(empty["backend"], "legacy", "an empty journal means legacy");
}

#[test]
fn a_tenant_that_is_a_number_is_named_masked() {
    for (asked, named) in [
        ("+52 55 1234 5678", "…78"),
        ("clinica-norte", "clinica-norte"),
    ] {
        let told = offline(asked, &config(0), &[], None);
        assert_eq!(told["tenant"], named);
        assert!(!told.to_string().contains("1234"), "{told}");
    }
}

// It said `disabled` of a tenant that a row had rolled back at night, and nobody had
// disabled it.
#[test]
fn a_listed_tenant_is_told_by_whom_and_since_when() {
    let mut rollout = Rollout::default();
    let mut entries = Vec::new();
    let mut give = |actor: &str, command: Command, at: i64| {
        let order = Order {
            waives: Waives::default(),
            actor: actor.to_owned(),
            reason: "their menu is wrong for +14155550142".to_owned(),
            command,
        };
        let entry = rollout
            .decide(&order, Wall(1_795_000_000_000 + at))
            .unwrap();
        rollout.apply(&entry);
        entries.push(entry);
        (entries.clone(), rollout.clone())
    };
    let row = Command::DisableTenant {
        rule: "errors".to_owned(),
        id: "acme".to_owned(),
        live: Live::Drain,
    };
    let enable = Command::Tenant {
        id: "zeta".to_owned(),
        list: Some(List::Enabled),
    };
    give("rule errors", row, 0);
    give("operator via cli", enable, 1000);
    // Once more, which changes nothing.
    let back = Command::Rollback(Level::Tenant("acme".to_owned()), Live::Drain);
    let (entries, rollout) = give("ana", back, 2000);
    let told =
        |id: &str, entries: &[Entry]| offline(id, &config(50), entries, None)["listed"].take();
    assert_eq!(
        told("acme", &entries),
        "rolled back at 2026-11-18T11:06:40Z by rule errors: their menu is wrong for +…42"
    );
    let zeta = told("zeta", &entries);
    assert!(
        zeta.as_str()
            .unwrap()
            .starts_with("enabled at 2026-11-18T11:06:41Z by operator")
    );
    assert_eq!(told("omni", &entries), Value::Null);
    // What a checkpoint tells is how, and no more.
    let kept = [rollout.checkpoint(Wall(1_795_000_009_000))];
    let said = told("acme", &kept);
    assert_eq!(said, "rolled back, before the journal that is kept begins");
}
