//! Where a call goes, and because of what.

use proptest::prelude::*;

use super::*;
use crate::model::{Percentage, Wall};
use crate::split::{Hash, Scheme};

fn at(percent: f64) -> Split {
    Split {
        generation: 1,
        latched: false,
        latched_since: None,
        moves_live: false,
        stopped: false,
        enabled: true,
        percentage: Percentage::new(percent).unwrap(),
        enabled_tenants: ["friend", "both"].map(Into::into).into(),
        disabled_tenants: ["hurt", "both"].map(Into::into).into(),
        scheme: Scheme {
            by: By::Tenant,
            hash: Hash::Java31,
        },
    }
}

fn of(tenant: Tenant<'_>) -> Subject<'_> {
    Subject {
        tenant,
        call: Some("CA1"),
        caller: None,
    }
}

fn placed(split: &Split, tenant: Tenant<'_>) -> (Backend, Because) {
    let placement = split.place(&of(tenant));
    (placement.backend, placement.because)
}

const FRIEND: Tenant<'_> = Tenant::Known("friend");

#[test]
fn a_latch_stands_above_everything() {
    let split = Split {
        latched: true,
        ..at(100.0)
    };
    for tenant in [FRIEND, Tenant::Unlisted, Tenant::Missing] {
        assert_eq!(
            placed(&split, tenant),
            (Backend::Legacy, Because::Latched),
            "{tenant:?}"
        );
    }
}

#[test]
fn a_token_keeps_a_call_on_new_through_a_latch_only_if_it_began_before() {
    let since = Wall(1_000_000);
    for (latched_since, began, stays) in [
        (Some(since), Wall(999_999), true),
        (Some(since), since, false),
        (Some(since), Wall(1_000_001), false),
        (None, Wall(0), false),
    ] {
        for backend in Backend::ALL {
            let token = Token { backend, began };
            let open = at(0.0).follow(token);
            assert_eq!((open.backend, open.because), (backend, Because::Token));
            let shut = Split {
                latched: true,
                latched_since,
                ..at(100.0)
            }
            .follow(token);
            let expected = if stays || backend == Backend::Legacy {
                (backend, Because::Token)
            } else {
                (Backend::Legacy, Because::Latched)
            };
            assert_eq!((shut.backend, shut.because), expected, "{token:?}");
        }
    }
}

#[test]
fn off_stands_above_the_lists() {
    let split = Split {
        enabled: false,
        ..at(100.0)
    };
    assert_eq!(placed(&split, FRIEND), (Backend::Legacy, Because::Off));
}

#[test]
fn the_disabled_list_stands_above_the_enabled_list_above_the_percentage() {
    let all = at(100.0);
    let none = at(0.0);
    let (legacy, new) = (Backend::Legacy, Backend::New);
    assert_eq!(
        placed(&all, Tenant::Known("both")),
        (legacy, Because::Disabled)
    );
    assert_eq!(
        placed(&all, Tenant::Known("hurt")),
        (legacy, Because::Disabled)
    );
    assert_eq!(placed(&none, FRIEND), (new, Because::Enabled));
    assert_eq!(
        placed(&none, Tenant::Known("other")),
        (legacy, Because::Hashed)
    );
    assert_eq!(placed(&all, Tenant::Known("other")), (new, Because::Hashed));
}

#[test]
fn an_unlisted_key_goes_to_legacy_whatever_is_hashed() {
    for by in [By::Tenant, By::Call, By::Caller] {
        let mut split = at(100.0);
        split.scheme.by = by;
        assert_eq!(
            placed(&split, Tenant::Unlisted),
            (Backend::Legacy, Because::Unlisted)
        );
    }
}

#[test]
fn a_call_with_nothing_to_hash_goes_to_legacy() {
    let mut split = at(100.0);
    let unplaced = (Backend::Legacy, Because::Unplaced);
    assert_eq!(placed(&split, Tenant::Missing), unplaced);
    split.scheme.by = By::Caller;
    assert_eq!(placed(&split, Tenant::Known("other")), unplaced);
    split.scheme.by = By::Call;
    assert_eq!(
        placed(&split, Tenant::Missing),
        (Backend::New, Because::Hashed),
        "each call has an id of its own"
    );
}

#[test]
fn tenant_1_falls_into_bucket_6() {
    assert_eq!(
        placed(&at(6.0), Tenant::Known("tenant-1")).0,
        Backend::Legacy
    );
    assert_eq!(placed(&at(7.0), Tenant::Known("tenant-1")).0, Backend::New);
}

#[test]
fn an_explanation_ends_with_the_question_that_decided() {
    let told = at(10.0).explain(&of(Tenant::Known("tenant-1")));
    assert_eq!(told.bucket.map(|bucket| bucket.number), Some(6));
    assert_eq!(
        told.steps.last(),
        Some(&Step {
            asked: Asked::BelowPercentage,
            yes: true
        })
    );
    let told = at(10.0).explain(&of(Tenant::Known("hurt")));
    assert_eq!(
        told.steps.last().map(|step| step.asked),
        Some(Asked::OnDisabledList)
    );
    assert!(told.bucket.is_some(), "what it would be without the list");
}

#[test]
fn an_emergency_stop_has_the_last_word_in_an_explanation() {
    let stopped = Split {
        latched: true,
        stopped: true,
        ..at(100.0)
    };
    let told = stopped.explain(&of(FRIEND));
    assert_eq!(told.placement, Placement::legacy(Because::Stopped));
    let last = told.steps.last().map(|step| step.asked);
    assert_eq!(last, Some(Asked::Stopped));
    // What goes on is placed as under any latch.
    assert_eq!(
        placed(&stopped, FRIEND),
        (Backend::Legacy, Because::Latched)
    );
}

#[test]
fn ten_thousand_tenants_spread_evenly() {
    for hash in [
        Hash::Xxh3 {
            salt: "ivr-2026".into(),
        },
        Hash::Java31,
    ] {
        let mut split = at(25.0);
        split.scheme.hash = hash;
        let on_new = (0..10_000)
            .filter(|n| {
                let tenant = format!("tenant-{n}");
                placed(&split, Tenant::Known(&tenant)).0 == Backend::New
            })
            .count();
        // Five standard deviations of a fair draw: 5·sqrt(10000·¼·¾) = 217.
        assert!(
            (2283..=2717).contains(&on_new),
            "{on_new} with {:?}",
            split.scheme
        );
    }
}

#[test]
fn names_are_distinct() {
    let names: std::collections::HashSet<_> = Because::ALL.map(Because::name).into();
    assert_eq!(names.len(), Because::ALL.len());
}

proptest! {
    #[test]
    fn raising_the_percentage_never_takes_a_tenant_back(
        tenant in ".{0,24}", low in 0_u16..=10_000, high in 0_u16..=10_000, java in any::<bool>(),
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let mut split = at(0.0);
        if !java {
            split.scheme.hash = Hash::Xxh3 { salt: "s".into() };
        }
        split.percentage = Percentage::from_basis_points(low).unwrap();
        let before = placed(&split, Tenant::Known(&tenant)).0;
        split.percentage = Percentage::from_basis_points(high).unwrap();
        let after = placed(&split, Tenant::Known(&tenant)).0;
        prop_assert!(after >= before, "{before} became {after}");
    }

    #[test]
    fn an_explanation_never_contradicts_the_placement(
        tenant in "friend|hurt|both|[a-z]{1,8}", percent in 0_u16..=100,
        latched in any::<bool>(), enabled in any::<bool>(), kind in 0..3,
    ) {
        let mut split = at(f64::from(percent));
        split.latched = latched;
        split.enabled = enabled;
        let tenant = match kind {
            0 => Tenant::Missing,
            1 => Tenant::Unlisted,
            _ => Tenant::Known(&tenant),
        };
        let told = split.explain(&of(tenant));
        prop_assert_eq!(told.placement, split.place(&of(tenant)));
        prop_assert!(!told.steps.is_empty());
    }
}
