//! A test that hears every call and needs no full window.
//!
//! A window with a minimum of calls is blind where calls are few: at two calls a
//! minute a total outage never fills it. This sum of log-likelihood ratios sees
//! one in about six calls, at any traffic.
//!
//! After every batch `S <- max(S + ln P(batch | q) / P(batch | p), 0)`, where `p` is
//! the share the table allows and `q` a worse one (Page's CUSUM). Nobody knows how
//! bad it will be, so there are eight `q`; the evidence is the mean of their `e^S`.
//! Each `e^S` has grown by at most one a call in the mean while the share is at
//! most `p`, so the mean time to a false alarm is at least the bar it is held
//! against, in calls (Lorden 1971; Shiryaev-Roberts bound). A good spell cannot
//! be saved up, because the sum never falls below zero.

use crate::model::Tick;

/// How many worse shares are tried.
const ALTERNATIVES: usize = 8;
/// The worst share tried. Not 1: one good call among failures must not end the suspicion.
const WORST: f64 = 0.95;
/// How far above what trips alone a sum may climb, in nats. Without an end a long
/// fault would take as long to be forgotten.
const HEADROOM: f64 = 0.5;

/// The sequential test of one row.
#[derive(Clone, Debug)]
pub struct Suspicion {
    tried: [Tried; ALTERNATIVES],
    /// ln of the bar.
    bar: f64,
    /// When the last batch with a call in it was added.
    heard: Tick,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    /// What one bad call adds to the sum.
    bad: f64,
    /// What one good call adds (it is negative).
    good: f64,
    sum: f64,
    /// What was heard since the sum last stood at zero.
    stretch: Stretch,
}

/// What was heard since suspicion began to gather.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stretch {
    /// When it began.
    pub since: Tick,
    /// Bad calls since.
    pub bad: u64,
    /// Good calls since.
    pub good: u64,
}

impl Stretch {
    const fn from(since: Tick) -> Self {
        Self {
            since,
            bad: 0,
            good: 0,
        }
    }
}

impl Suspicion {
    /// A test of "the bad share is at most `allowed`" that raises a false alarm
    /// once in at least `false_alarm` calls while the share is there. None where
    /// nothing much worse is possible (`allowed` of 0, or 95 % and more).
    pub fn new(allowed: f64, false_alarm: f64, now: Tick) -> Option<Self> {
        let possible = allowed > 0.0 && allowed < WORST && false_alarm > 1.0;
        if !possible {
            return None;
        }
        let log_odds = |share: f64| (share / (1.0 - share)).ln();
        let (from, to) = (log_odds(allowed), log_odds(WORST));
        let mut tried = [Tried::default(); ALTERNATIVES];
        for (place, one) in (1u8..).zip(&mut tried) {
            // Evenly spread in log-odds, where equal steps are about equally hard to tell apart.
            let odds = from + (to - from) * f64::from(place) / ALTERNATIVES as f64;
            let share = 1.0 / (1.0 + (-odds).exp());
            *one = Tried {
                bad: (share / allowed).ln(),
                good: ((1.0 - share) / (1.0 - allowed)).ln(),
                sum: 0.0,
                stretch: Stretch::from(now),
            };
        }
        Some(Self {
            tried,
            bar: false_alarm.ln(),
            heard: now,
        })
    }

    /// Adds one batch: so many bad and good calls, in no order among themselves.
    pub fn add(&mut self, bad: u64, good: u64, now: Tick) {
        if bad + good == 0 {
            return;
        }
        self.heard = now;
        let ceiling = self.bar + (ALTERNATIVES as f64).ln() + HEADROOM;
        for one in &mut self.tried {
            let sum = one.sum + bad as f64 * one.bad + good as f64 * one.good;
            // Only here, between batches: inside a batch no order is known.
            one.sum = sum.clamp(0.0, ceiling);
            if sum <= 0.0 {
                one.stretch = Stretch::from(now);
            } else {
                one.stretch.bad += bad;
                one.stretch.good += good;
            }
        }
    }

    /// The evidence as a share of what trips, both as logarithms: 0 when there is
    /// none, 1 and more trips.
    pub fn level(&self) -> f64 {
        self.evidence() / self.bar
    }

    /// The level that would be left if the stretch had been so many bad and good
    /// calls: at most the present one.
    pub fn level_if(&self, bad: f64, good: f64) -> f64 {
        let leader = self.leader();
        let left = (bad * leader.bad + good * leader.good).clamp(0.0, leader.sum);
        (self.evidence() - (leader.sum - left)) / self.bar
    }

    /// The calls that the leading alternative's evidence is made of.
    pub fn stretch(&self) -> Stretch {
        self.leader().stretch
    }

    /// When a call was last heard.
    pub const fn heard(&self) -> Tick {
        self.heard
    }

    /// Does any alternative hold anything against the calls?
    pub fn is_suspicious(&self) -> bool {
        self.tried.iter().any(|one| one.sum > 0.0)
    }

    /// Forgets everything.
    pub fn clear(&mut self, now: Tick) {
        for one in &mut self.tried {
            one.sum = 0.0;
            one.stretch = Stretch::from(now);
        }
        self.heard = now;
    }

    /// ln of the mean of `e^S`.
    fn evidence(&self) -> f64 {
        let highest = self.leader().sum;
        let scaled: f64 = self.tried.iter().map(|one| (one.sum - highest).exp()).sum();
        highest + (scaled / ALTERNATIVES as f64).ln()
    }

    fn leader(&self) -> Tried {
        self.tried
            .into_iter()
            .max_by(|a, b| a.sum.total_cmp(&b.sum))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// xorshift64*: the same calls on every machine, from a seed that is shown.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> f64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    fn suspicion(allowed: f64) -> Suspicion {
        Suspicion::new(allowed, 100_000.0, Tick(0)).unwrap()
    }

    /// Calls from the fault's beginning to the trip, after an hour of health.
    fn calls_to_trip(allowed: f64, share: f64, seed: u64) -> u64 {
        let mut test = suspicion(allowed);
        let mut dice = Dice(seed | 1);
        for _ in 0..120 {
            let bad = u64::from(dice.roll() < 0.01);
            test.add(bad, 1 - bad, Tick(0));
        }
        (1..100_000)
            .find(|_| {
                let bad = u64::from(dice.roll() < share);
                test.add(bad, 1 - bad, Tick(0));
                test.level() >= 1.0
            })
            .unwrap_or(u64::MAX)
    }

    fn median_calls(allowed: f64, share: f64) -> u64 {
        let mut calls: Vec<u64> = (0..101)
            .map(|seed| calls_to_trip(allowed, share, 7919 * (seed + 1)))
            .collect();
        calls.sort_unstable();
        calls[50]
    }

    #[test]
    fn a_total_outage_trips_within_eight_calls_in_the_median() {
        for allowed in [0.02, 0.05, 0.10] {
            let calls = median_calls(allowed, 1.0);
            assert!(calls <= 8, "{calls} calls at {allowed}");
        }
        assert!(
            median_calls(0.10, 1.0) >= 4,
            "three failures in a row happen by chance too often"
        );
    }

    #[test]
    fn worse_faults_are_seen_sooner() {
        let calls = [1.0, 0.6, 0.3].map(|share| median_calls(0.10, share));
        assert!(calls.is_sorted(), "{calls:?}");
        assert!(calls[2] < 200, "{calls:?}");
    }

    #[test]
    fn a_million_calls_failing_at_half_the_threshold_do_not_trip() {
        let (mut test, mut dice, mut left) = (suspicion(0.10), Dice(0x5EED), 1_000_000u32);
        while left > 0 {
            // Batches as a busy and a quiet minute make them.
            let calls = (1 + (dice.roll() * 6.0) as u32).min(left);
            left -= calls;
            let bad = (0..calls).filter(|_| dice.roll() < 0.05).count() as u64;
            test.add(bad, u64::from(calls) - bad, Tick(0));
            assert!(test.level() < 1.0, "seed 0x5EED, {left} calls left");
        }
    }

    #[test]
    fn a_million_calls_at_twice_the_threshold_do_trip() {
        assert!(calls_to_trip(0.10, 0.20, 3) < 2000);
    }

    #[test]
    fn at_the_threshold_false_alarms_are_rarer_than_promised() {
        let (mut test, mut dice, mut alarms) = (suspicion(0.10), Dice(0xFEED), 0);
        for _ in 0..1_000_000 {
            let bad = u64::from(dice.roll() < 0.10);
            test.add(bad, 1 - bad, Tick(0));
            if test.level() >= 1.0 {
                alarms += 1;
                test.clear(Tick(0));
            }
        }
        assert!(alarms <= 10, "seed 0xFEED: {alarms} in a million calls");
    }

    #[test]
    fn a_batch_weighs_as_much_as_its_calls_one_by_one() {
        let (mut batch, mut single) = (suspicion(0.10), suspicion(0.10));
        batch.add(5, 0, Tick(0));
        (0..5).for_each(|_| single.add(1, 0, Tick(0)));
        assert!((batch.level() - single.level()).abs() < 1e-9);
    }

    #[test]
    fn a_thousand_good_calls_are_not_saved_up() {
        let (mut fresh, mut seasoned) = (suspicion(0.10), suspicion(0.10));
        seasoned.add(0, 1000, Tick(0));
        fresh.add(4, 0, Tick(1));
        seasoned.add(4, 0, Tick(1));
        assert!((fresh.level() - seasoned.level()).abs() < 1e-9);
        assert_eq!(seasoned.stretch().bad, 4);
    }

    #[test]
    fn a_long_fault_is_forgotten_within_a_few_good_calls() {
        let mut test = suspicion(0.10);
        test.add(100_000, 0, Tick(0));
        assert!(test.level() >= 1.0);
        test.add(0, 12, Tick(1));
        assert!(test.level() < 1.0, "level {}", test.level());
    }

    #[test]
    fn slow_answers_are_tested_against_one_half() {
        let mut test = suspicion(0.5);
        test.add(20, 20, Tick(0));
        assert!(test.level() < 0.1);
        test.add(40, 0, Tick(1));
        assert!(test.level() >= 1.0);
    }

    #[test]
    fn there_is_no_test_where_nothing_worse_is_possible() {
        for allowed in [0.0, 0.95, 1.0, f64::NAN] {
            assert!(Suspicion::new(allowed, 100_000.0, Tick(0)).is_none());
        }
    }
}
