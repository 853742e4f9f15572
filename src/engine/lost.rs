//! Whether a percentage can do what it says. What a route's settings get wrong goes to
//! legacy without a word, looks healthy there, and moves nobody to new; and where
//! calls are all of one tenant or two, a share of tenants is all of them or none.
//!
//! Counted over the last hundred or two, so that a correction shows by itself.

use crate::measure::{Placed, Voice};
use crate::model::{Percentage, TenantKey};
use crate::split::{Because, By, Split};

/// So few prove nothing.
const LEAST: u64 = 50;
/// At so many all counts are halved, which forgets what is long past.
const MOST: u64 = 200;

/// So many tenants or fewer are few: a bucket each, so a share of 30 % may be none.
const FEW: usize = 3;

/// What became of the last requests and calls.
#[derive(Debug, Default)]
pub(super) struct Lost {
    requests: Share,
    calls: Share,
    unlisted: Share,
    tenants: Tenants,
}

/// Which tenants had calls, in turns of [`MOST`] voices.
#[derive(Debug, Default)]
struct Tenants {
    voices: u64,
    /// One more than [`FEW`] at most.
    seen: Vec<TenantKey>,
    /// How many the turn before had.
    before: Option<usize>,
}

/// So many of so many, lately.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    of: u64,
    lost: u64,
}

impl Lost {
    /// A request was placed.
    pub(super) fn placed(&mut self, placed: &Placed) {
        let because = placed.placement.because;
        self.requests.take(because == Because::Unrecognized);
        if placed.begins {
            self.calls.take(because == Because::Unplaced);
            self.unlisted.take(because == Because::Unlisted);
        }
    }

    /// A call had a voice.
    pub(super) fn heard(&mut self, voice: &Voice) {
        let Tenants {
            voices,
            seen,
            before,
        } = &mut self.tenants;
        if voice.tenant != TenantKey::NONE && seen.len() <= FEW && !seen.contains(&voice.tenant) {
            seen.push(voice.tenant);
        }
        *voices += 1;
        if *voices >= MOST {
            *before = Some(seen.len());
            *voices = 0;
            seen.clear();
        }
    }

    /// What stands now: a sentence for each way in which half or more are lost, and one
    /// where `split` is of too few tenants.
    pub(super) fn notes(&self, split: &Split) -> impl Iterator<Item = String> {
        let requests = self.requests.most().map(|Share { of, lost }| {
            format!(
                "{lost} of the last {of} requests were no webhook of their route's protocol and went to \
                 legacy: check each route's `protocol` and what the provider sends there."
            )
        });
        let calls = self.calls.most().map(|Share { of, lost }| {
            format!(
                "{lost} of the last {of} calls carried nothing to place them by and went to legacy, \
                 whatever the percentage: check the route's `tenant` and `[split] by`."
            )
        });
        let unlisted = self.unlisted.most().map(|Share { of, lost }| {
            format!(
                "{lost} of the last {of} calls had a key that the tenant directory does not list and went \
                 to legacy, whatever the percentage: check its lines against the route's `tenant`."
            )
        });
        let few = self.tenants.few().filter(|_| is_of_tenants(split));
        let few = few.map(|tenants| {
            let of = match tenants {
                1 => "one tenant".to_owned(),
                tenants => format!("{tenants} tenants"),
            };
            format!(
                "The last calls were all of {of}. {} % is a share of tenants, and sends all calls of one \
                 to new or none: with so few, hash each call or caller (`[split] by`), or put tenants on \
                 new by hand (`switchback tenant enable`).",
                split.percentage.as_f64()
            )
        });
        [requests, calls, unlisted, few].into_iter().flatten()
    }
}

/// Does the percentage draw some of the tenants?
fn is_of_tenants(split: &Split) -> bool {
    let is_some = split.percentage > Percentage::ZERO && split.percentage < Percentage::FULL;
    split.scheme.by == By::Tenant && split.enabled && !split.latched && is_some
}

impl Tenants {
    /// How many, if they are few.
    fn few(&self) -> Option<usize> {
        let now = (self.voices >= LEAST).then_some(self.seen.len());
        let tenants = now.max(self.before)?;
        (1..=FEW).contains(&tenants).then_some(tenants)
    }
}

impl Share {
    fn take(&mut self, lost: bool) {
        self.of += 1;
        self.lost += u64::from(lost);
        if self.of >= MOST {
            self.of /= 2;
            self.lost /= 2;
        }
    }

    fn most(self) -> Option<Self> {
        (self.of >= LEAST && self.lost * 2 >= self.of).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::{Backend, Tick};
    use crate::split::{Hash, Placement, Scheme};

    fn come(lost: &mut Lost, count: u64, because: Because, begins: bool) {
        for _ in 0..count {
            lost.placed(&Placed {
                at: Tick(0),
                placement: Placement {
                    backend: Backend::Legacy,
                    because,
                },
                call: None,
                begins,
                after_latch: false,
                starts: begins,
            });
        }
    }

    /// A share of calls, so that nothing is said of tenants.
    fn of_calls() -> Split {
        of(By::Call, 10)
    }

    fn of(by: By, whole: u16) -> Split {
        Split {
            generation: 1,
            latched: false,
            latched_since: None,
            moves_live: false,
            stopped: false,
            enabled: true,
            percentage: Percentage::from_basis_points(whole * 100).unwrap(),
            enabled_tenants: HashSet::new(),
            disabled_tenants: HashSet::new(),
            scheme: Scheme {
                by,
                hash: Hash::Java31,
            },
        }
    }

    fn speak(lost: &mut Lost, count: u64, tenants: u64) {
        for number in 0..count {
            lost.heard(&Voice {
                tenant: TenantKey(1 + number % tenants),
                failed: false,
                previous: None,
                previous_failed: None,
            });
        }
    }

    #[test]
    fn a_share_of_few_tenants_is_told_and_of_four_is_not() {
        for (calls, tenants, told) in [
            (50, 1, Some("of one tenant.")),
            (49, 1, None),
            (50, 3, Some("of 3 tenants.")),
            (50, 4, None),
            (230, 1, Some("of one tenant.")),
        ] {
            let mut lost = Lost::default();
            speak(&mut lost, calls, tenants);
            let notes: Vec<_> = lost.notes(&of(By::Tenant, 10)).collect();
            assert_eq!(
                notes.len(),
                usize::from(told.is_some()),
                "{calls} {tenants}"
            );
            let is_said = |told: &str| notes[0].contains(told) && notes[0].contains("10 %");
            assert!(told.is_none_or(is_said), "{notes:?}");
        }
        let mut lost = Lost::default();
        speak(&mut lost, 220, 4);
        speak(&mut lost, 20, 1);
        assert_eq!(lost.notes(&of(By::Tenant, 10)).count(), 0, "a short turn");
    }

    #[test]
    fn of_few_tenants_all_or_none_or_a_share_of_calls_is_well() {
        let mut lost = Lost::default();
        speak(&mut lost, 60, 1);
        for (by, percentage, told) in [
            (By::Tenant, 1, 1),
            (By::Tenant, 0, 0),
            (By::Tenant, 100, 0),
            (By::Call, 10, 0),
            (By::Caller, 10, 0),
        ] {
            let split = of(by, percentage);
            assert_eq!(lost.notes(&split).count(), told, "{by:?} {percentage}");
        }
    }

    #[test]
    fn half_of_fifty_is_told_and_less_of_either_is_not() {
        for (because, begins, word) in [
            (Because::Unrecognized, false, "`protocol`"),
            (Because::Unplaced, true, "`tenant` and `[split] by`"),
            (Because::Unlisted, true, "tenant directory"),
        ] {
            for (bad, good, told) in [(25, 25, 1), (24, 26, 0), (49, 0, 0), (50, 0, 1)] {
                let mut lost = Lost::default();
                come(&mut lost, bad, because, begins);
                come(&mut lost, good, Because::Hashed, true);
                let notes: Vec<_> = lost.notes(&of_calls()).collect();
                assert_eq!(notes.len(), told, "{because:?} {bad} {good}: {notes:?}");
                assert!(notes.iter().all(|note| note.contains(word)), "{notes:?}");
            }
        }
    }

    #[test]
    fn what_was_put_right_is_forgotten() {
        let mut lost = Lost::default();
        come(&mut lost, 100_000, Because::Unplaced, true);
        assert_eq!(lost.notes(&of_calls()).count(), 1);
        come(&mut lost, 200, Because::Hashed, true);
        assert_eq!(lost.notes(&of_calls()).count(), 0);
    }
}
