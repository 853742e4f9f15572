//! How response times are distributed over a trailing span, so that p50, p95 and
//! p99 can be read ten times a second.
//!
//! Buckets are at most 3.2 % wide, and every threshold of the tables is an edge:
//! the answer to "is p95 above 1200 ms" is therefore exact, only the figure shown
//! is rounded (up, to the bucket's upper edge).

use std::sync::LazyLock;
use std::time::Duration;

use super::window::whole_seconds;
use crate::model::Tick;

/// How finely a span is cut. A span ends on a slot's edge, so it is up to one
/// sixtieth shorter than asked for; spans of a minute or less have slots of a second.
const SLOTS: u64 = 60;

/// Upper edges of the buckets, each inclusive, in ascending order. The last is
/// `u32::MAX`, so every value has a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edges(Vec<u32>);

impl Edges {
    /// Edges at most 3.2 % apart (one apart where that is coarser), and each
    /// value of `exact` one of them. About 650 and those.
    pub fn new(exact: impl IntoIterator<Item = u32>) -> Self {
        let mut edges: Vec<u32> = exact.into_iter().collect();
        let mut edge = 1u32;
        while edge < u32::MAX {
            edges.push(edge);
            edge = edge.saturating_add((edge / 32).max(1));
        }
        edges.push(u32::MAX);
        edges.sort_unstable();
        edges.dedup();
        Self(edges)
    }

    /// The edges without any threshold's: the same for every table, so that buckets may be
    /// kept in the journal by their number.
    pub fn plain() -> &'static Self {
        static PLAIN: LazyLock<Edges> = LazyLock::new(|| Edges::new([]));
        &PLAIN
    }

    /// How many buckets there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Are there none? There always are.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The greatest value below a bucket, and the greatest in it.
    pub fn reach(&self, bucket: usize) -> Option<(u32, u32)> {
        let upper = *self.0.get(bucket)?;
        let lower = bucket.checked_sub(1).and_then(|below| self.0.get(below));
        Some((lower.copied().unwrap_or(0), upper))
    }

    /// The bucket a value falls into.
    pub fn bucket(&self, value: u32) -> usize {
        self.0.partition_point(|edge| *edge < value)
    }
}

/// Counts by bucket over one trailing span. About 160 kB.
#[derive(Clone, Debug)]
pub struct Distribution {
    span: Duration,
    /// Seconds in a slot.
    width: u64,
    /// Slots of the ring.
    length: u64,
    /// The newest slot, counted from the process's first second.
    head: u64,
    buckets: usize,
    /// `length` rows of `buckets` counts.
    rows: Vec<u32>,
    /// Does a row hold anything? One that does not costs nothing when it leaves.
    held: Vec<bool>,
    totals: Vec<u32>,
    count: u64,
}

impl Distribution {
    /// An empty distribution over a span of at most an hour.
    pub fn new(span: Duration, edges: &Edges, now: Tick) -> Self {
        let seconds = whole_seconds(span);
        let width = seconds.div_ceil(SLOTS);
        let length = seconds.div_ceil(width);
        let buckets = edges.0.len();
        let slots = usize::try_from(length).expect("at most sixty");
        Self {
            span,
            width,
            length,
            head: now.secs() / width,
            buckets,
            rows: vec![0; slots * buckets],
            held: vec![false; slots],
            totals: vec![0; buckets],
            count: 0,
        }
    }

    /// The span it is over.
    pub const fn span(&self) -> Duration {
        self.span
    }

    /// How many values are in the span.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Counts one value by its bucket. Ignored if it is older than the span.
    pub fn record(&mut self, at: Tick, bucket: usize) {
        self.advance(at);
        let slot = at.secs() / self.width;
        if slot + self.length <= self.head {
            return;
        }
        let row = self.row(slot);
        self.held[row / self.buckets] = true;
        // 2^32 values in one bucket within an hour are out of a machine's reach.
        self.rows[row + bucket] = self.rows[row + bucket].saturating_add(1);
        self.totals[bucket] = self.totals[bucket].saturating_add(1);
        self.count += 1;
    }

    /// Moves the span on to `now`; never back.
    pub fn advance(&mut self, now: Tick) {
        let to = now.secs() / self.width;
        if to <= self.head {
            return;
        }
        if to - self.head >= self.length {
            self.clear();
            self.head = to;
            return;
        }
        while self.head < to {
            self.head += 1;
            let row = self.row(self.head);
            if !std::mem::take(&mut self.held[row / self.buckets]) {
                continue;
            }
            for (count, total) in self.rows[row..row + self.buckets]
                .iter_mut()
                .zip(&mut self.totals)
            {
                *total -= *count;
                self.count -= u64::from(*count);
                *count = 0;
            }
        }
    }

    /// The smallest bucket edge that at least `permille` of a thousand values do
    /// not exceed: 950 for p95. None without any value.
    pub fn quantile(&self, permille: u64, edges: &Edges) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        let rank = (self.count * permille).div_ceil(1000).max(1);
        let mut below = 0;
        self.totals
            .iter()
            .zip(&edges.0)
            .find(|(total, _)| {
                below += u64::from(**total);
                below >= rank
            })
            .map(|(_, edge)| *edge)
    }

    /// How many values are greater than `value`, which must be an edge for the
    /// number to be exact.
    pub fn above(&self, value: u32, edges: &Edges) -> u64 {
        self.totals[edges.bucket(value) + 1..]
            .iter()
            .map(|total| u64::from(*total))
            .sum()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.rows.fill(0);
        self.held.fill(false);
        self.totals.fill(0);
        self.count = 0;
    }

    fn row(&self, slot: u64) -> usize {
        usize::try_from(slot % self.length).expect("at most sixty") * self.buckets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_bucket_is_wider_than_3_2_percent() {
        let edges = Edges::new([1_200_000]);
        assert!(edges.0.len() < 800, "{} buckets", edges.0.len());
        for pair in edges.0.windows(2) {
            let width = pair[1] - pair[0];
            assert!(
                width == 1 || f64::from(width) <= 0.032 * f64::from(pair[0]),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn a_threshold_is_an_edge_so_the_side_of_it_is_exact() {
        let edges = Edges::new([1_200_000]);
        let span = Duration::from_secs(300);
        for (value, beyond) in [(1_199_999, false), (1_200_000, false), (1_200_001, true)] {
            let mut spread = Distribution::new(span, &edges, Tick(0));
            for _ in 0..20 {
                spread.record(Tick(0), edges.bucket(value));
            }
            let p95 = spread.quantile(950, &edges).unwrap();
            assert_eq!(p95 > 1_200_000, beyond, "all at {value} µs read as {p95}");
            assert_eq!(spread.above(1_200_000, &edges), if beyond { 20 } else { 0 });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn quantiles_agree_with_sorting_every_value(
            steps in prop::collection::vec(
                (prop_oneof![6 => 0u64..2_000_000, 2 => 0u64..200_000_000, 1 => Just(9_000_000_000u64)],
                 prop_oneof![3 => Just(0u64), 1 => 0u64..2_000_000],
                 prop_oneof![0u32..100, 1000u32..5_000_000, Just(u32::MAX)]),
                1..150,
            ),
            span in prop_oneof![Just(1u64), Just(60), Just(300), Just(3600), 2u64..3600],
        ) {
            let edges = Edges::new([800_000]);
            let mut spread = Distribution::new(Duration::from_secs(span), &edges, Tick(0));
            let (width, mut now, mut events) = (span.div_ceil(60), 0, Vec::new());
            let length = span.div_ceil(width);
            for (gap, older, value) in steps {
                now += gap;
                let at = Tick(now.saturating_sub(older));
                spread.advance(Tick(now));
                spread.record(at, edges.bucket(value));
                events.push((at.secs() / width, value));
                let head = Tick(now).secs() / width;
                let mut kept: Vec<u32> = events.iter()
                    .filter(|(slot, _)| slot + length > head).map(|(_, value)| *value).collect();
                kept.sort_unstable();
                prop_assert_eq!(spread.count(), kept.len() as u64);
                for permille in [500, 950, 990] {
                    let exact = (!kept.is_empty()).then(|| {
                        let rank = (kept.len() * permille).div_ceil(1000).max(1);
                        edges.0[edges.bucket(kept[rank - 1])]
                    });
                    prop_assert_eq!(spread.quantile(permille as u64, &edges), exact);
                }
                let slower = kept.iter().filter(|value| **value > 800_000).count() as u64;
                prop_assert_eq!(spread.above(800_000, &edges), slower);
            }
        }
    }
}
