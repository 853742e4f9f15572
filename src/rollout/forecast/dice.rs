//! Chance that falls the same way every time: a forecast asked twice says the same.

/// xorshift64*, of which 53 bits are used.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// From a seed other than zero; zero is taken as another.
    pub(super) const fn new(seed: u64) -> Self {
        Self(if seed == 0 { 0x9E37_79B9 } else { seed })
    }

    /// From 0 up to, not including, 1.
    pub(super) fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Seconds until the next of things that come `rate` times a second.
    pub(super) fn gap(&mut self, rate: f64) -> f64 {
        -(1.0 - self.roll()).ln() / rate
    }

    /// How many things there are where `mean` are expected. Above a few dozen the
    /// normal distribution is as good.
    pub(super) fn number(&mut self, mean: f64) -> u64 {
        const MANY: f64 = 60.0;
        if mean > MANY {
            let (a, b) = (1.0 - self.roll(), self.roll());
            let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
            return super::whole(mean + mean.sqrt() * normal);
        }
        let (mut left, mut number) = (mean, 0);
        while left > 0.0 {
            left -= self.gap(1.0);
            number += u64::from(left > 0.0);
        }
        number
    }
}
