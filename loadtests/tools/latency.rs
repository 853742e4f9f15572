//! Latencies kept whole: quantiles of what was measured, not of buckets.

/// Every latency of a run, in tenths of a microsecond.
#[derive(Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    /// Adds one, in nanoseconds; above seven minutes it counts as seven minutes.
    pub(crate) fn add(&mut self, nanos: u64) {
        self.0.push(u32::try_from(nanos / 100).unwrap_or(u32::MAX));
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The values in microseconds at the shares given (0..=1), 0 without any.
    pub(crate) fn quantiles<const N: usize>(mut self, shares: [f64; N]) -> [f64; N] {
        self.0.sort_unstable();
        shares.map(|share| {
            let last = self.0.len().saturating_sub(1);
            let at = (last as f64 * share) as usize;
            self.0
                .get(at)
                .map_or(0.0, |tenths| f64::from(*tenths) / 10.0)
        })
    }
}
