//! Chance that a seed brings back: the same on every machine and in every version, so
//! that what a team's CI saw once can be looked at again.

/// Random numbers (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        // So that neighbouring seeds have nothing to do with each other.
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to just below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// The time to the next of events that have nothing to do with each other.
    pub(super) fn gap(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Log-normal with this mean; `spread` is the deviation of its logarithm.
    pub(super) fn around(&mut self, mean: f64, spread: f64) -> f64 {
        if spread <= 0.0 {
            return mean;
        }
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
        mean * (spread * normal - spread * spread / 2.0).exp()
    }

    /// A whole number whose mean this is: 1.3 is 1 or 2.
    pub(super) fn whole(&mut self, mean: f64) -> u32 {
        let least = mean.clamp(0.0, 1e6);
        let more = self.chance(least.fract());
        // In range by the bounds above.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = least as u32;
        whole + u32::from(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_means_are_what_is_asked_for() {
        let mut random = Random::new(7);
        let mut mean = |draw: &mut dyn FnMut(&mut Random) -> f64| {
            let sum: f64 = (0..100_000).map(|_| draw(&mut random)).sum();
            sum / 100_000.0
        };
        for (got, wanted) in [
            (mean(&mut |random| random.gap(30.0)), 30.0),
            (mean(&mut |random| random.around(300.0, 0.6)), 300.0),
            (mean(&mut |random| random.whole(1.3).into()), 1.3),
            (mean(&mut |random| random.chance(0.25).into()), 0.25),
        ] {
            assert!((got / wanted - 1.0).abs() < 0.02, "{got} for {wanted}");
        }
    }
}
