//! Is new worse than legacy, or are both as bad? Going back to a legacy that fails
//! as much helps nobody.

use super::reading::{Reading, Times};
use super::{How, Measure, Side};

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

/// Is new measurably on the bad side of `resolved`, which was made of `base`? What is
/// known of the base counts as if its value were `resolved`: a share by its calls, a mean
/// by its spread, a number for each call by chance alone. Of a quantile, the share of
/// answers beyond `resolved` (new's) is held against that beyond the base's own value.
/// True where a measure has nothing to compare by: gauges and counts.
pub fn is_beyond_measurably(
    (measure, side, how): (Measure, Side, How),
    new: &Reading,
    base: &Reading,
    resolved: f64,
) -> bool {
    let (Some(value), Some(was)) = (new.value, base.value) else {
        return false;
    };
    let scale = match how {
        How::Times if was > 0.0 => resolved / was,
        How::Times | How::Plus => 1.0,
    };
    let beyond = match side {
        Side::Above => value - resolved,
        Side::Below => resolved - value,
    };
    match (measure, new.times, base.times, new.share, base.share) {
        (Measure::Transactions, Some(new), Some(base), ..) => {
            // The spread there would be if nothing had changed: none of few says little.
            let error = resolved / new.count.max(1) as f64
                + scale * scale * base.variance / base.count.max(1) as f64;
            beyond > ONE_SIDED_95 * error.sqrt()
        }
        (_, Some(new), Some(base), ..) => {
            let error = new.variance / new.count.max(1) as f64
                + scale * scale * base.variance / base.count.max(1) as f64;
            beyond > ONE_SIDED_95 * error.sqrt()
        }
        (
            Measure::ResponseTimeP50 | Measure::ResponseTimeP95 | Measure::ResponseTimeP99,
            _,
            _,
            Some(new),
            Some(base),
        ) => match side {
            Side::Above => share_is_higher(new, base),
            Side::Below => share_is_higher(base, new),
        },
        (_, _, _, Some((_, all)), Some((_, base_all))) => {
            let (all, base_all) = (all as f64, base_all as f64);
            let expected = resolved.clamp(0.0, 1.0);
            let pooled = (value * all + expected * base_all) / (all + base_all);
            let error = (pooled * (1.0 - pooled) * (1.0 / all + 1.0 / base_all)).sqrt();
            beyond > ONE_SIDED_95 * error
        }
        _ => true,
    }
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
