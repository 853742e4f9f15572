//! From an id to a bucket. Frozen for ever: another result for the same id would
//! move callers between two deployments of the same configuration.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Hash;
use crate::model::Percentage;

/// Where an id fell, out of how many places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The place, from 0.
    pub number: u16,
    /// How many places there are: 100 or 10000.
    pub of: u16,
}

impl Bucket {
    /// Does this bucket belong to new at that percentage? A scheme of 100 places
    /// knows whole percentages only; the fraction is not used.
    pub const fn is_below(self, percentage: Percentage) -> bool {
        // Hundredths of a percent for each place: 100 or 1.
        let step = 10_000 / self.of;
        self.number < percentage.basis_points() / step
    }
}

impl Hash {
    /// Can it place by that percentage? `java31` has a hundred places and knows no
    /// fractions.
    pub fn takes(&self, percentage: Option<Percentage>) -> bool {
        let whole = |percentage: Percentage| percentage.basis_points().is_multiple_of(100);
        matches!(self, Self::Xxh3 { .. }) || percentage.is_none_or(whole)
    }

    /// The bucket of an id. Allocates nothing.
    pub fn bucket(&self, id: &str) -> Bucket {
        let (hash, of) = match self {
            Self::Java31 => (u64::from(java31(id)), 100),
            Self::Xxh3 { salt } => (xxh3_64_with_seed(id.as_bytes(), seed(salt)), 10_000),
        };
        let number =
            u16::try_from(hash % u64::from(of)).expect("a remainder is below its u16 divisor");
        Bucket { number, of }
    }
}

/// The hash the applications use themselves: `h = 31·h + unit` over the UTF-16
/// code units in wrapping signed 32-bit arithmetic, then the absolute value
/// (2147483648 for the minimum).
fn java31(id: &str) -> u32 {
    id.encode_utf16()
        .fold(0_i32, |h, unit| {
            h.wrapping_mul(31).wrapping_add(i32::from(unit))
        })
        .unsigned_abs()
}

/// The seed a salt stands for: its own XXH3.
fn seed(salt: &str) -> u64 {
    xxh3_64(salt.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java31_agrees_with_the_applications_for_ever() {
        for (id, expected) in [
            ("", 0),
            ("a", 97),
            ("tenant-1", 1_306_694_706),
            ("polygenelubricants", 2_147_483_648),
            ("+525512345678", 1_830_705_876),
            ("clínica-norte", 1_521_216_974),
            ("😀", 1_772_899),
            ("550e8400-e29b-41d4-a716-446655440000", 1_716_781_005),
        ] {
            assert_eq!(java31(id), expected, "{id}");
            let bucket = Hash::Java31.bucket(id);
            assert_eq!(u32::from(bucket.number), expected % 100, "{id}");
            assert_eq!(bucket.of, 100);
        }
    }

    // The expected values were computed with the reference implementation in C
    // (its Python binding), not with the crate under test.
    #[test]
    fn xxh3_buckets_are_frozen_for_ever() {
        for (salt, id, expected) in [
            ("", "", 3),
            ("", "a", 7809),
            ("", "tenant-1", 5863),
            ("", "+525512345678", 3035),
            ("ivr-2026", "", 1098),
            ("ivr-2026", "a", 3289),
            ("ivr-2026", "tenant-1", 6081),
            ("ivr-2026", "polygenelubricants", 8039),
            ("ivr-2026", "+525512345678", 6023),
            ("ivr-2026", "clínica-norte", 2109),
            ("ivr-2026", "😀", 8149),
            ("ivr-2026", "550e8400-e29b-41d4-a716-446655440000", 8262),
        ] {
            let bucket = Hash::Xxh3 { salt: salt.into() }.bucket(id);
            assert_eq!(
                (bucket.number, bucket.of),
                (expected, 10_000),
                "{salt}/{id}"
            );
        }
    }

    #[test]
    fn a_hundred_places_know_whole_percentages_only() {
        let twelve = Bucket {
            number: 12,
            of: 100,
        };
        let at = |percent| twelve.is_below(Percentage::new(percent).unwrap());
        assert!(!at(12.0) && !at(12.99), "bucket 12 is the thirteenth");
        assert!(at(13.0));
        let fine = Bucket {
            number: 1250,
            of: 10_000,
        };
        assert!(!fine.is_below(Percentage::new(12.5).unwrap()));
        assert!(fine.is_below(Percentage::new(12.51).unwrap()));
    }

    #[test]
    fn nothing_is_below_zero_and_everything_below_full() {
        for of in [100, 10_000] {
            assert!(!Bucket { number: 0, of }.is_below(Percentage::ZERO));
            let last = Bucket { number: of - 1, of };
            assert!(last.is_below(Percentage::FULL));
        }
    }
}
