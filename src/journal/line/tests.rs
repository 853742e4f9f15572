//! Lines there and back, and lines of before.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::*;
use crate::measure::totals::{Hour, Sums, Totals};
use crate::model::PerBackend;
use crate::rollout::{
    Checkpoint, Follows, Former, List, Phase, Rollout, Snapshot, Standing, Taken, Wishes,
};

fn words() -> impl Strategy<Value = String> {
    "[a-z“”\"\\\\\n\u{0}é😀 {}\\[\\],:+0-9]{0,12}"
}

/// From 1970 to 9999, as a calendar has it.
fn moments() -> impl Strategy<Value = Wall> {
    (0..253_370_764_800_000_i64).prop_map(Wall)
}

fn percentages() -> impl Strategy<Value = Percentage> {
    (0..=10_000_u16).prop_map(|points| Percentage::from_basis_points(points).unwrap())
}

/// A number that every JSON reader reads back to the last bit.
fn numbers() -> impl Strategy<Value = f64> {
    (0..1_000_000_u32).prop_map(|number| f64::from(number) / 1024.0)
}

fn standing() -> impl Strategy<Value = Standing> {
    (words(), any::<u16>(), moments(), moments()).prop_map(|(stage, number, since, begun)| {
        Standing {
            stage,
            number,
            since,
            begun,
        }
    })
}

fn lists() -> impl Strategy<Value = Listed> {
    select(vec![
        Listed::Enabled,
        Listed::Disabled,
        Listed::RolledBack,
        Listed::Picked,
        Listed::Later,
    ])
}

fn snapshots() -> impl Strategy<Value = Snapshot> {
    let former = (percentages(), any::<bool>());
    let former = former.prop_map(|(percentage, enabled)| Former {
        percentage,
        enabled,
    });
    (
        select(Phase::ALL.to_vec()),
        percentages(),
        any::<[bool; 4]>(),
        option::of(standing()),
        option::of(former),
        btree_map(words(), option::of(lists()), 0..3),
    )
        .prop_map(
            |(phase, percentage, flags, stage, former, tenants)| Snapshot {
                phase,
                percentage,
                enabled: flags[0],
                latched: flags[1],
                moves_live: flags[2],
                stopped: flags[3],
                stage,
                former,
                tenants,
            },
        )
}

fn sums() -> impl Strategy<Value = Sums> {
    let buckets = btree_map(any::<u16>(), any::<u32>(), 0..4);
    (any::<[u64; 5]>(), any::<u128>(), buckets).prop_map(|(n, squared, latency_buckets)| Sums {
        begun: n[0],
        failed: n[1] % 2,
        latency_us: n[2],
        latency_us_squared: squared,
        latency_buckets,
        duration_s_squared: n[3],
        transactions: n[4],
        ..Sums::default()
    })
}

fn hours() -> impl Strategy<Value = Hour> {
    (moments(), moments(), any::<u16>(), sums(), sums()).prop_map(
        |(from, to, stage, legacy, new)| Hour {
            from,
            to,
            stage: stage % 3,
            sides: PerBackend { legacy, new },
        },
    )
}

fn checkpoints() -> impl Strategy<Value = Checkpoint> {
    let taken = (select(Step::ALL.to_vec()), moments(), any::<u64>());
    let taken = taken.prop_map(|(step, at, count)| Taken { step, at, count });
    let follows = (words(), "[0-9a-f]{32}");
    let follows = follows.prop_map(|(file, checksum)| Follows { file, checksum });
    (
        (
            moments(),
            option::of(words()),
            option::of(moments()),
            option::of(moments()),
        ),
        (any::<u64>(), vec(taken, 0..3), vec(hours(), 0..3)),
        (option::of(sums()), option::of(follows)),
    )
        .prop_map(
            |(
                (phase_since, because, latched_since, judged_since),
                (spent, proof, hours),
                (baseline, follows),
            )| {
                Checkpoint {
                    phase_since,
                    because,
                    latched_since,
                    judged_since,
                    spent,
                    proof,
                    totals: Arc::new(Totals {
                        hours: hours.into(),
                        baseline,
                    }),
                    follows,
                }
            },
        )
}

fn actions() -> impl Strategy<Value = Action> {
    let plain = vec![
        Action::Set,
        Action::Hold,
        Action::Resume,
        Action::RollbackTenant,
        Action::RollbackPartial,
        Action::RollbackTotal,
        Action::TenantEnable,
        Action::TenantDisable,
        Action::TenantClear,
        Action::Advance,
        Action::Complete,
        Action::EmergencyStop,
        Action::File,
        Action::Reloaded,
        Action::LatchedAtStart,
        Action::Other("dance".to_owned()),
    ];
    let step = (select(Step::ALL.to_vec()), any::<u64>());
    prop_oneof![
        4 => select(plain),
        1 => words().prop_map(|rule| Action::Reverse { rule }),
        1 => words().prop_map(|rule| Action::StepBack { rule }),
        1 => words().prop_map(|rule| Action::DisableTenant { rule }),
        1 => words().prop_map(|set_aside| Action::JournalDamaged { set_aside }),
        1 => any::<i64>().prop_map(|by_ms| Action::ClockStepped { by_ms }),
        1 => step.prop_map(|(step, count)| Action::Verification { step, count }),
        1 => hours().prop_map(|hour| Action::Totals(Box::new(hour))),
        1 => checkpoints().prop_map(|kept| Action::Checkpoint(Box::new(kept))),
    ]
}

fn evidence() -> impl Strategy<Value = Evidence> {
    (words(), option::of(numbers()), any::<[u64; 3]>()).prop_map(|(text, value, counts)| Evidence {
        rule: text.clone(),
        measure: "error_rate".to_owned(),
        over_secs: counts[0],
        value,
        legacy: None,
        threshold: value,
        samples: counts[1],
        failed: counts[2],
        early: value,
        because: text,
        config_hash: "0123456789ab".to_owned(),
    })
}

fn wishes() -> impl Strategy<Value = Wishes> {
    let lists = select(vec![List::Enabled, List::Disabled]);
    let tenants = btree_map(words(), lists, 0..3);
    let noted = (option::of(words()), option::of(words()));
    (any::<bool>(), percentages(), tenants, noted).prop_map(
        |(enabled, percentage, tenants, (scheme, config))| Wishes {
            enabled,
            percentage,
            tenants,
            scheme,
            config,
        },
    )
}

fn entries() -> impl Strategy<Value = Entry> {
    (
        (any::<u64>(), moments(), words(), words(), actions()),
        (snapshots(), snapshots(), any::<u64>()),
        (
            option::of(evidence()),
            option::of(wishes()),
            vec(words(), 0..2),
        ),
    )
        .prop_map(
            |((sequence, at, actor, reason, action), (before, after, generation), rest)| {
                let (evidence, seen, notes) = rest;
                Entry {
                    stamp: Stamp { sequence, at },
                    actor,
                    reason,
                    action,
                    before,
                    after,
                    generation,
                    evidence,
                    seen,
                    notes,
                }
            },
        )
}

proptest! {
    #[test]
    fn every_entry_comes_back_as_it_was(entry in entries(), previous in "[0-9a-f]{0,32}") {
        let (line, checksum) = encode(&entry, &previous);
        let Some((b'\n', line)) = line.split_last() else {
            panic!("a line ends with its line break");
        };
        prop_assert!(!line.contains(&b'\n'));
        let (back, found) = decode(line, &previous).unwrap();
        prop_assert_eq!(&back, &entry);
        prop_assert_eq!(found, checksum);
        prop_assert_eq!(written_at(line), Some(entry.stamp.at));
        let named = match &entry.action {
            Action::Checkpoint(kept) => kept.follows.as_ref().map(|it| it.checksum.clone()),
            _ => None,
        };
        prop_assert_eq!(goes_on_from(line), named);
    }
}

/// Written by the version before there were plans.
const BEFORE_PLANS: &str = include_str!("before_plans.jsonl");

#[test]
fn a_journal_of_before_there_were_plans_is_read_and_would_be_written_the_same() {
    let mut previous = String::new();
    let mut entries = Vec::new();
    for line in BEFORE_PLANS.lines() {
        let (entry, checksum) = decode(line.as_bytes(), &previous).unwrap();
        let (again, _) = encode(&entry, &previous);
        assert_eq!(String::from_utf8(again).unwrap().trim_end(), line);
        previous = checksum;
        entries.push(entry);
    }
    let actions: Vec<_> = entries.iter().map(|entry| entry.action.name()).collect();
    let said = "file file set tenant-enable rollback-tenant hold resume reverse verification \
                verification resume rollback-total";
    assert_eq!(actions.join(" "), said);
    let rollout = Rollout::fold(&entries);
    assert_eq!(rollout.phase(), Phase::RolledBack);
    assert_eq!(rollout.sequence(), 12);
    assert!(!rollout.stopped() && rollout.stage().is_none());
}

/// A sound line with another content.
fn rewritten(entry: &Entry, change: impl FnOnce(&mut Value)) -> Entry {
    let (line, _) = encode(entry, "");
    let mut value: Value = serde_json::from_slice(&line).unwrap();
    change(&mut value);
    value.as_object_mut().unwrap().remove("checksum");
    let mut bytes = value.to_string().into_bytes();
    bytes.pop();
    let sum = checksum("", &bytes);
    bytes.extend(format!(",\"checksum\":\"{sum}\"}}").into_bytes());
    decode(&bytes, "").unwrap().0
}

#[test]
fn an_action_that_lacks_what_it_needs_is_another_versions() {
    let (_, checkpoint) = (0, Rollout::default().checkpoint(Wall(5)));
    for (action, field) in [
        (Action::Totals(Box::default()), "hour"),
        (Action::ClockStepped { by_ms: -3 }, "by_ms"),
        (checkpoint.action.clone(), "checkpoint"),
        (
            Action::StepBack {
                rule: "early".to_owned(),
            },
            "rule",
        ),
    ] {
        let name = action.name().to_owned();
        let entry = Entry {
            action,
            ..checkpoint.clone()
        };
        let without = rewritten(&entry, |line| {
            line.as_object_mut().unwrap().remove(field).unwrap();
        });
        assert_eq!(without.action, Action::Other(name));
        assert_eq!(without.after, entry.after, "what it led to counts");
        let more = rewritten(&entry, |line| {
            line["shade"] = 7.into();
            line["after"]["mood"] = "calm".into();
        });
        assert_eq!(more, entry, "what a later version adds is passed over");
    }
}

#[test]
fn a_quiet_hour_is_a_short_line() {
    let mut hour = Hour {
        to: Wall(3_600_000),
        ..Hour::default()
    };
    hour.sides.new.begun = 3;
    hour.sides.new.latency_buckets = BTreeMap::from([(17, 2)]);
    let shape = serde_json::to_string(&Added::from(&hour)).unwrap();
    let said = r#"{"from":"1970-01-01T00:00:00.000Z","to":"1970-01-01T01:00:00.000Z","new":{"begun":3,"latency_buckets":{"17":2}}}"#;
    assert_eq!(shape, said);
}
