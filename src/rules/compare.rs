//! Is new worse than legacy, or are both as bad? Going back to a legacy that fails
//! as much helps nobody.

use super::reading::{Reading, Times};

/// What a standard normal exceeds once in twenty: one-sided 95 %.
const ONE_SIDED_95: f64 = 1.645;

/// Is new measurably worse than legacy? Shares by the two-proportion test with a
/// pooled share, means by Welch's test (its t read as normal: a row needs about
/// twenty calls to get here). False where the two cannot be compared.
pub fn is_worse(new: &Reading, legacy: &Reading) -> bool {
    match (new.times, legacy.times, new.share, legacy.share) {
        (Some(new), Some(legacy), _, _) => mean_is_higher(new, legacy),
        (_, _, Some(new), Some(legacy)) => share_is_higher(new, legacy),
        _ => false,
    }
}

/// Is the first share of bad ones higher than the second, one-sided at 95 %?
pub fn share_is_higher((bad, all): (u64, u64), (other_bad, other_all): (u64, u64)) -> bool {
    if all == 0 || other_all == 0 {
        return false;
    }
    let (bad, all) = (bad as f64, all as f64);
    let (other_bad, other_all) = (other_bad as f64, other_all as f64);
    let pooled = (bad + other_bad) / (all + other_all);
    let error = (pooled * (1.0 - pooled) * (1.0 / all + 1.0 / other_all)).sqrt();
    bad / all - other_bad / other_all > ONE_SIDED_95 * error
}

fn mean_is_higher(new: Times, legacy: Times) -> bool {
    if new.count == 0 || legacy.count == 0 {
        return false;
    }
    let error = (new.variance / new.count as f64 + legacy.variance / legacy.count as f64).sqrt();
    new.mean - legacy.mean > ONE_SIDED_95 * error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_higher_when_chance_would_not_do_it() {
        for (new, legacy, higher) in [
            ((30, 100), (15, 100), true),
            ((18, 100), (15, 100), false),
            ((15, 100), (15, 100), false),
            ((6, 6), (12, 40), true),
            ((20, 20), (40, 40), false),
            ((0, 0), (1, 2), false),
        ] {
            assert_eq!(
                share_is_higher(new, legacy),
                higher,
                "{new:?} against {legacy:?}"
            );
        }
    }

    #[test]
    fn a_mean_is_higher_when_its_spread_does_not_explain_it() {
        let times = |mean, variance| Times {
            count: 50,
            mean,
            variance,
        };
        assert!(mean_is_higher(times(6000.0, 1e6), times(5200.0, 1e6)));
        assert!(!mean_is_higher(times(6000.0, 9e6), times(5200.0, 9e6)));
    }
}
