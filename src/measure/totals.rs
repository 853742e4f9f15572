//! What happened in one hour, small enough to be kept in the journal for ever.
//!
//! A window holds an hour to the second and is gone with the process. What is judged
//! over days, over a whole stage, or against how legacy was before the first one, is
//! added up from these.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::counts::{Answers, Ends};
use super::histogram::Edges;
use crate::model::{PerBackend, Wall};

/// Hours of the calendar kept in memory: five weeks. The oldest are forgotten first; the
/// journal has them for as long as its own policy says.
pub const HOURS_MAX: usize = 24 * 35;

/// Pieces that those hours may be in: a step of the rollout cuts an hour, and what people
/// report does, up to twelve times. Of about a kilobyte each; if every hour came in more
/// than four, fewer weeks would be kept.
pub const PIECES_MAX: usize = 4 * HOURS_MAX;

/// One hour, or the part of it that the process saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// When it began, by the calendar.
    pub from: Wall,
    /// When it ended.
    pub to: Wall,
    /// The stage that ran then; 0 for none. An hour never spans two stages, nor two epochs of
    /// new: a step of the rollout ends it early.
    pub stage: u16,
    /// What happened on each side.
    pub sides: PerBackend<Sums>,
}

/// Sums over one backend's hour. What they are called is what [`super::counts`] calls
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Calls begun.
    pub begun: u64,
    /// Voices that were good.
    pub good: u64,
    /// Voices that failed.
    pub failed: u64,
    /// Distinct calls heard.
    pub calls: u64,
    /// Distinct failed calls.
    pub failed_calls: u64,
    /// Voice webhooks with a latency.
    pub latencies: u64,
    /// Their sum, in microseconds.
    pub latency_us: u64,
    /// The sum of their squares, in microseconds squared.
    pub latency_us_squared: u128,
    /// How many fell into each bucket of the histogram, by the bucket's number.
    pub latency_buckets: BTreeMap<u16, u32>,
    /// Mature calls whose caller was served.
    pub served: u64,
    /// Mature calls whose caller hung up before.
    pub abandoned: u64,
    /// Mature calls of which nobody can tell.
    pub unknown: u64,
    /// Mature ended calls that failed.
    pub bad: u64,
    /// Mature ended calls that did not.
    pub sound: u64,
    /// Mature calls with a known duration.
    pub timed: u64,
    /// Its sum, in seconds.
    pub duration_s: u64,
    /// The sum of its squares.
    pub duration_s_squared: u64,
    /// Speech results that were not empty.
    pub speech_good: u64,
    /// Speech results that were.
    pub speech_empty: u64,
    /// Critical errors reported.
    pub critical_errors: u64,
    /// Complaints reported.
    pub complaints: u64,
    /// Incidents reported.
    pub incidents: u64,
    /// Breaker opens.
    pub opened: u64,
    /// Health checks.
    pub checks: u64,
    /// Health checks that were bad.
    pub checks_bad: u64,
    /// Business transactions reported.
    pub transactions: u64,
}

/// The hours there were, oldest first; part of the rollout's fold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of at most [`HOURS_MAX`] hours of the calendar, at most [`PIECES_MAX`].
    pub hours: VecDeque<Hour>,
    /// Legacy's hours from before the first stage, added up: what `baseline` means.
    /// None until a plan has begun.
    pub baseline: Option<Sums>,
}

impl Totals {
    /// Takes one more hour.
    pub fn take(&mut self, hour: Hour) {
        self.hours.push_back(hour);
        while self.hours.len() > PIECES_MAX || self.has_more_than(HOURS_MAX) {
            self.hours.pop_front();
        }
    }

    /// Are there pieces of more hours of the calendar than that?
    fn has_more_than(&self, most: usize) -> bool {
        if self.hours.len() <= most {
            return false;
        }
        let next = self.hours.iter().skip(1);
        let pairs = self.hours.iter().zip(next);
        let turns = pairs.filter(|(one, next)| one.number() != next.number());
        turns.count() >= most
    }

    /// The plan begins: legacy's hours from before it are what `baseline` means from now
    /// on. Where none are kept, an earlier baseline stays.
    pub fn begin_plan(&mut self) {
        let mut before = self.hours.iter().filter(|hour| hour.stage == 0).peekable();
        if before.peek().is_none() {
            return;
        }
        let mut baseline = Sums::default();
        before.for_each(|hour| baseline.add(&hour.sides.legacy));
        self.baseline = Some(baseline);
    }

    /// The hours more than half of which lie at or after `from`. They are dated by a
    /// calendar that may have been stepped a little meanwhile, hence the half.
    pub fn since(&self, from: Wall) -> impl Iterator<Item = &Hour> {
        self.hours.iter().filter(move |hour| hour.middle() >= from)
    }
}

impl Hour {
    /// How much of it was watched.
    pub fn watched(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.to.0.saturating_sub(self.from.0)).unwrap_or(0))
    }

    /// Which of the calendar's hours it is, or is a piece of.
    const fn number(&self) -> i64 {
        self.from.0.div_euclid(3_600_000)
    }

    /// The moment half-way.
    pub fn middle(&self) -> Wall {
        let half = self.to.0.saturating_sub(self.from.0).max(0) / 2;
        Wall(self.from.0.saturating_add(half))
    }
}

impl Sums {
    /// Adds what another one holds.
    pub fn add(&mut self, other: &Self) {
        self.add_counts(other);
        for (bucket, count) in &other.latency_buckets {
            let mine = self.latency_buckets.entry(*bucket).or_default();
            *mine = mine.saturating_add(*count);
        }
    }

    /// The same without the latencies' buckets.
    pub fn add_counts(&mut self, other: &Self) {
        macro_rules! add {
            ($($field:ident),* $(,)?) => {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            };
        }
        add!(
            begun,
            good,
            failed,
            calls,
            failed_calls,
            latencies,
            latency_us,
            latency_us_squared,
            served,
            abandoned,
            unknown,
            bad,
            sound,
            timed,
            duration_s,
            duration_s_squared,
            speech_good,
            speech_empty,
            critical_errors,
            complaints,
            incidents,
            opened,
            checks,
            checks_bad,
            transactions,
        );
    }

    /// Did nothing happen?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As a window counts it. Gauges and whether anything was answered at all are not
    /// kept by the hour.
    pub fn answers(&self) -> Answers {
        Answers {
            good: signed(self.good),
            failed: signed(self.failed),
            calls: signed(self.calls),
            failed_calls: signed(self.failed_calls),
            latencies: signed(self.latencies),
            latency_us: signed(self.latency_us),
            latency_us_squared: i128::try_from(self.latency_us_squared).unwrap_or(i128::MAX),
            speech_good: signed(self.speech_good),
            speech_empty: signed(self.speech_empty),
            begun: signed(self.begun),
            critical_errors: signed(self.critical_errors),
            complaints: signed(self.complaints),
            incidents: signed(self.incidents),
            transactions: signed(self.transactions),
            opened: signed(self.opened),
            checks: signed(self.checks),
            checks_bad: signed(self.checks_bad),
            ..Answers::default()
        }
    }

    /// As a window counts it.
    pub fn ends(&self) -> Ends {
        Ends {
            served: signed(self.served),
            abandoned: signed(self.abandoned),
            failed: 0,
            unknown: signed(self.unknown),
            bad: signed(self.bad),
            sound: signed(self.sound),
            timed: signed(self.timed),
            duration_s: signed(self.duration_s),
            duration_s_squared: signed(self.duration_s_squared),
        }
    }

    /// A response time in milliseconds that so many of a thousand answers do not exceed,
    /// taken evenly within its bucket: at most 3.2 % off.
    pub fn quantile_ms(&self, permille: u64) -> Option<f64> {
        let all = self.timed_answers();
        let rank = all.saturating_mul(permille).div_ceil(1000).max(1);
        let mut below = 0;
        for (bucket, count) in &self.latency_buckets {
            let count = u64::from(*count);
            if below + count >= rank {
                let (lower, upper) = Edges::plain().reach(usize::from(*bucket))?;
                let part = (rank - below) as f64 / count as f64;
                return Some((f64::from(lower) + f64::from(upper - lower) * part) / 1000.0);
            }
            below += count;
        }
        None
    }

    /// Answers slower than a threshold, and all answers with a latency. Of the bucket
    /// that the threshold lies in, as much as lies above it.
    pub fn slower_than(&self, threshold_us: u32) -> (u64, u64) {
        let edges = Edges::plain();
        let at = edges.bucket(threshold_us);
        let mut slower = 0.0;
        for (bucket, count) in &self.latency_buckets {
            let bucket = usize::from(*bucket);
            let part = match edges.reach(bucket) {
                Some(_) if bucket > at => 1.0,
                Some((lower, upper)) if bucket == at && upper > lower => {
                    f64::from(upper - threshold_us) / f64::from(upper - lower)
                }
                _ => 0.0,
            };
            slower += f64::from(*count) * part;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let slower = slower.round() as u64;
        (slower, self.timed_answers())
    }

    fn timed_answers(&self) -> u64 {
        self.latency_buckets
            .values()
            .map(|count| u64::from(*count))
            .sum()
    }
}

/// A sum as windows count it. Cut where no count can be, so that a few of them may be added
/// up whatever somebody wrote into a journal.
fn signed(sum: u64) -> i64 {
    const MOST: i64 = i64::MAX / 256;
    i64::try_from(sum).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(number: i64, stage: u16, legacy: u64) -> Hour {
        let mut hour = Hour {
            from: Wall(number * 3_600_000),
            to: Wall((number + 1) * 3_600_000),
            stage,
            ..Hour::default()
        };
        hour.sides.legacy.good = legacy;
        hour.sides.new.good = 1000;
        hour
    }

    #[test]
    fn the_baseline_is_legacy_from_before_the_first_stage() {
        let mut totals = Totals::default();
        totals.begin_plan();
        assert_eq!(totals.baseline, None);
        for (number, stage) in [(0, 0), (1, 0), (2, 1), (3, 2)] {
            totals.take(hour(number, stage, 1 << number));
        }
        totals.begin_plan();
        let good = |totals: &Totals| totals.baseline.as_ref().map(|sums| sums.good);
        assert_eq!(good(&totals), Some(3));
        totals.hours.retain(|hour| hour.stage > 0);
        totals.begin_plan();
        assert_eq!(good(&totals), Some(3), "where no hour is left it stays");
    }

    #[test]
    fn an_hour_belongs_to_a_span_that_holds_its_greater_part() {
        let mut totals = Totals::default();
        (0..5).for_each(|number| totals.take(hour(number, 0, 1)));
        for (from, count) in [(0, 5), (1_800_000, 5), (1_800_001, 4), (18_000_000, 0)] {
            assert_eq!(totals.since(Wall(from)).count(), count, "from {from}");
        }
    }

    #[test]
    fn five_weeks_are_kept_in_however_many_pieces() {
        let mut totals = Totals::default();
        let most = i64::try_from(HOURS_MAX).unwrap();
        for number in 0..most + 5 {
            (0..2).for_each(|_| totals.take(hour(number, 0, 1)));
        }
        assert_eq!(totals.hours.len(), 2 * HOURS_MAX);
        assert_eq!(totals.hours[0], hour(5, 0, 1));
        (0..PIECES_MAX + 5).for_each(|_| totals.take(hour(most + 5, 0, 1)));
        assert_eq!(totals.hours.len(), PIECES_MAX);
    }

    #[test]
    fn quantiles_are_taken_evenly_within_a_bucket() {
        let mut sums = Sums::default();
        assert_eq!(sums.quantile_ms(950), None);
        let edges = Edges::plain();
        let bucket = edges.bucket(1_000_000);
        let (lower, upper) = edges.reach(bucket).unwrap();
        sums.latency_buckets
            .insert(u16::try_from(bucket).unwrap(), 100);
        let half = f64::from(lower + (upper - lower) / 2) / 1000.0;
        assert!((sums.quantile_ms(500).unwrap() - half).abs() < 0.01);
        assert_eq!(sums.slower_than(lower), (100, 100));
        assert_eq!(sums.slower_than(upper), (0, 100));
        let middle = lower + (upper - lower) / 2;
        assert_eq!(sums.slower_than(middle), (50, 100));
    }

    #[test]
    fn whatever_stands_in_a_journal_is_read_without_a_panic() {
        let most = Sums {
            begun: u64::MAX,
            good: u64::MAX,
            failed: u64::MAX,
            calls: u64::MAX,
            failed_calls: u64::MAX,
            latencies: u64::MAX,
            latency_us: u64::MAX,
            latency_us_squared: u128::MAX,
            served: u64::MAX,
            abandoned: u64::MAX,
            unknown: u64::MAX,
            bad: u64::MAX,
            sound: u64::MAX,
            timed: u64::MAX,
            duration_s: u64::MAX,
            duration_s_squared: u64::MAX,
            speech_good: u64::MAX,
            speech_empty: u64::MAX,
            checks: u64::MAX,
            checks_bad: u64::MAX,
            transactions: u64::MAX,
            latency_buckets: [(0, u32::MAX), (u16::MAX, u32::MAX)].into(),
            ..Sums::default()
        };
        let mut sums = most.clone();
        sums.add(&most);
        let (answers, ends) = (sums.answers(), sums.ends());
        assert!(answers.voices() > 0 && answers.variance_ms2().is_finite());
        assert!(!ends.mostly_unknown() && ends.duration_variance_s2().is_finite());
        assert_eq!(ends.bad + ends.sound, 2 * ends.bad);
        let two = Sums { timed: 2, ..most };
        assert!(two.ends().duration_variance_s2().is_finite());
        assert!(sums.quantile_ms(500).is_some());
        assert_eq!(sums.slower_than(u32::MAX).0, 0);
    }
}
