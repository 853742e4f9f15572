//! Who calls much and who calls little, learned from the proxy's own counts, so that a
//! stage can begin with the customers whose trouble would be smallest.
//!
//! A call weighs half as much after a week, and a quarter after two: a customer who
//! left fades, one who grew is soon known to have. Instead of making every tenant's
//! figure smaller all the time, later calls are given a larger weight; only which tenant
//! calls more than which is ever asked.

use std::time::Duration;

use super::Observation;
use super::tenants::Found;
use crate::model::{TenantKey, Tick};
use crate::rollout::plan::Volume;

/// Tenants whose volume is known, about 3 MB. Those that come later are not counted and
/// therefore low, until others have faded.
pub const TENANTS_MAX: usize = 100_000;

/// After so long a call weighs half.
const HALF_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// The weight of a call is taken anew this often: it grows by 0.4 % meanwhile.
const STEP: Duration = Duration::from_secs(3600);
/// Every so many steps those who have faded are forgotten: once a day.
const FORGET_STEPS: u64 = 24;
/// Who has less than this share of one call left has faded: one call, five weeks ago.
const FADED: f64 = 1.0 / 32.0;
/// Weights grow to 2 to the power of this before all are made smaller again.
const EXPONENT_MAX: f64 = 256.0;

/// What is known of each tenant's volume.
#[derive(Clone, Debug)]
pub struct Volumes {
    since: Tick,
    tenants: Found<Calls>,
    /// What a call weighs now.
    weight: f64,
    /// The moment at which a call weighed 1.
    zero: Tick,
    /// The step that `weight` is of, counted from `since`.
    step: u64,
}

/// One tenant's calls, weighed. Some protocols tell of a call when it is answered, some
/// only when it ends; the larger of the two figures is how many there were.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    spoken: f64,
    ended: f64,
}

impl Calls {
    const fn volume(self) -> f64 {
        self.spoken.max(self.ended)
    }
}

impl Volumes {
    /// Nothing is known yet.
    pub fn new(now: Tick) -> Self {
        Self {
            since: now,
            tenants: Found::default(),
            weight: 1.0,
            zero: now,
            step: 0,
        }
    }

    /// Takes one observation: a call's first voice, or its end, counts for its tenant.
    pub fn hear(&mut self, observation: &Observation, now: Tick) {
        if !observation.is_evidence() {
            return;
        }
        match observation {
            Observation::Answered(what) => {
                let first = what.voice.filter(|voice| voice.previous.is_none());
                if let Some(voice) = first {
                    self.count(voice.tenant, now, |calls, weight| calls.spoken += weight);
                }
            }
            Observation::Ended(what) if what.counts => {
                self.count(what.tenant, now, |calls, weight| calls.ended += weight);
            }
            _ => {}
        }
    }

    /// How long calls have been listened to.
    pub fn watched(&self, now: Tick) -> Duration {
        now.since(self.since)
    }

    /// The tenants that call too much for a class, in no order: for `low` the half that
    /// calls most, for `mix` the tenth that calls most, and at least one where there are
    /// two or more. Of tenants that call as much as each other always the same ones.
    pub fn over(&self, volume: Volume) -> Vec<TenantKey> {
        let all = self.tenants.len();
        let above = match volume {
            Volume::Low => all / 2,
            Volume::Mix => (all / 10).max(usize::from(all >= 2)),
            Volume::All => 0,
        };
        if above == 0 {
            return Vec::new();
        }
        let mut sorted: Vec<(f64, TenantKey)> = self
            .tenants
            .iter()
            .map(|(tenant, calls)| (calls.volume(), *tenant))
            .collect();
        sorted.select_nth_unstable_by(above - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        sorted.truncate(above);
        sorted.into_iter().map(|(_, tenant)| tenant).collect()
    }

    fn count(&mut self, tenant: TenantKey, now: Tick, add: impl Fn(&mut Calls, f64)) {
        if tenant == TenantKey::NONE {
            return;
        }
        self.advance(now);
        let weight = self.weight;
        if let Some(calls) = self.tenants.get_mut(&tenant) {
            add(calls, weight);
        } else if self.tenants.len() < TENANTS_MAX {
            add(self.tenants.entry(tenant).or_default(), weight);
        }
    }

    fn advance(&mut self, now: Tick) {
        let step = now.since(self.since).as_secs() / STEP.as_secs();
        if step <= self.step {
            return;
        }
        let forget = step / FORGET_STEPS > self.step / FORGET_STEPS;
        self.step = step;
        let half_lives = now.since(self.zero).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.weight = half_lives.exp2();
        if half_lives > EXPONENT_MAX {
            let smaller = self.weight.recip();
            for calls in self.tenants.values_mut() {
                calls.spoken *= smaller;
                calls.ended *= smaller;
            }
            self.weight = 1.0;
            self.zero = now;
        }
        if forget {
            let faded = FADED * self.weight;
            self.tenants.retain(|_, calls| calls.volume() >= faded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Answered, CallEnd, Ended, Kind, Outcome, Voice};
    use crate::model::Backend;

    const START: Tick = Tick::from_secs(3600);

    fn days(days: u64) -> Tick {
        Tick::from_secs(3600 + days * 86_400)
    }

    fn spoken(tenant: u64, previous: Option<Tick>, counts: bool) -> Observation {
        Observation::Answered(Answered {
            at: START,
            backend: Backend::Legacy,
            route: 0,
            kind: Kind::Voice,
            outcome: Outcome::Served,
            latency_us: None,
            overhead_us: 0,
            flaw: None,
            voice: Some(Voice {
                tenant: TenantKey(tenant),
                failed: false,
                previous,
                previous_failed: None,
            }),
            speech: None,
            choice: None,
            data_us: None,
            counts,
            generation: 0,
            call: None,
        })
    }

    fn ended(tenant: u64, counts: bool) -> Observation {
        Observation::Ended(Ended {
            at: START,
            began: START,
            backend: Backend::New,
            tenant: TenantKey(tenant),
            end: CallEnd::Served,
            duration_s: None,
            generation: 0,
            counts,
            failed: false,
        })
    }

    /// Tenants 1, 2, 3, … with so many calls each.
    fn volumes(calls: &[u64]) -> Volumes {
        let mut volumes = Volumes::new(START);
        for (tenant, calls) in (1..).zip(calls) {
            (0..*calls).for_each(|_| volumes.hear(&spoken(tenant, None, true), START));
        }
        volumes
    }

    fn over(volumes: &Volumes, class: Volume) -> Vec<u64> {
        let mut over: Vec<u64> = volumes.over(class).into_iter().map(|it| it.0).collect();
        over.sort_unstable();
        over
    }

    #[test]
    fn low_is_the_half_that_calls_least_and_mix_all_but_the_tenth_that_calls_most() {
        let twenty: Vec<u64> = (1..=20).collect();
        let table: &[(&[u64], &[u64], &[u64])] = &[
            (&[], &[], &[]),
            (&[5], &[], &[]),
            (&[5, 9], &[2], &[2]),
            (&[9, 5, 1], &[1], &[1]),
            (&[9, 5, 1, 7], &[1, 4], &[1]),
            (&[3, 3, 3, 3], &[1, 2], &[1]),
            (
                &twenty,
                &[11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
                &[19, 20],
            ),
        ];
        for (calls, low, mix) in table {
            let volumes = volumes(calls);
            assert_eq!(over(&volumes, Volume::Low), *low, "{calls:?}");
            assert_eq!(over(&volumes, Volume::Mix), *mix, "{calls:?}");
            assert_eq!(over(&volumes, Volume::All), [0; 0], "{calls:?}");
        }
    }

    #[test]
    fn only_a_call_s_first_voice_and_its_end_count_and_only_genuine_ones() {
        let mut volumes = volumes(&[2, 1]);
        for _ in 0..5 {
            volumes.hear(&spoken(2, Some(START), true), START);
            volumes.hear(&spoken(2, None, false), START);
            volumes.hear(&ended(2, false), START);
            volumes.hear(&spoken(TenantKey::NONE.0, None, true), START);
        }
        assert_eq!(over(&volumes, Volume::Low), [1]);
        (0..2).for_each(|_| volumes.hear(&ended(2, true), START));
        assert_eq!(
            over(&volumes, Volume::Low),
            [1],
            "as many: its end is no second call"
        );
        volumes.hear(&ended(2, true), START);
        assert_eq!(over(&volumes, Volume::Low), [2]);
    }

    #[test]
    fn a_call_weighs_half_after_a_week() {
        for (fresh, most) in [(4, 1), (6, 2)] {
            let mut volumes = volumes(&[10]);
            (0..fresh).for_each(|_| volumes.hear(&spoken(2, None, true), days(7)));
            assert_eq!(over(&volumes, Volume::Low), [most], "ten then, {fresh} now");
        }
    }

    #[test]
    fn who_has_not_called_for_long_is_forgotten() {
        for (week, known) in [(4, 2), (6, 1)] {
            let mut volumes = volumes(&[1]);
            volumes.hear(&spoken(2, None, true), days(7 * week));
            volumes.hear(&spoken(2, None, true), days(7 * week + 1));
            assert_eq!(volumes.tenants.len(), known, "after {week} weeks");
        }
    }

    #[test]
    fn twenty_years_do_not_overflow() {
        let mut volumes = volumes(&[1]);
        for week in 1..1100 {
            volumes.hear(&spoken(2, None, true), days(7 * week));
            volumes.hear(&spoken(3, None, true), days(7 * week));
            volumes.hear(&spoken(3, None, true), days(7 * week));
        }
        assert!(volumes.weight.is_finite() && volumes.weight >= 1.0);
        assert_eq!(over(&volumes, Volume::Low), [3]);
    }

    #[test]
    fn who_comes_when_the_table_is_full_is_low() {
        let mut volumes = Volumes::new(START);
        for tenant in 1..=TENANTS_MAX as u64 {
            volumes.hear(&spoken(tenant, None, true), START);
        }
        (0..9).for_each(|_| volumes.hear(&spoken(u64::MAX, None, true), START));
        assert_eq!(volumes.tenants.len(), TENANTS_MAX);
        assert!(!volumes.over(Volume::Low).contains(&TenantKey(u64::MAX)));
        assert_eq!(volumes.over(Volume::Low).len(), TENANTS_MAX / 2);
    }

    #[test]
    fn it_tells_how_long_it_has_listened() {
        let volumes = Volumes::new(START);
        assert_eq!(volumes.watched(days(1)), Duration::from_secs(86_400));
    }
}
