//! Shares: how many of so many trials.

use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::beta::beta_reg;
use statrs::function::gamma::gamma_lr;

/// Up to so many trials the tail of the binomial distribution is computed to its last digits;
/// beyond, its limits stand for it.
const EXACT: u64 = 5_000;

/// Successes or failures, the fewer of the two, up to which many trials are as rare events are.
const RARE: u64 = 100;

/// Where a share lies of which `successes` of `trials` were seen: Clopper and Pearson's interval
/// (*Biometrika* 1934), which covers the share with at least this confidence, whatever it is. From
/// 0 to 1 of no trial.
///
/// Of more than 5,000 trials it is that of the Poisson distribution where one side was rare, and
/// otherwise Wilson's with a correction for continuity: to two digits the same.
///
/// # Panics
///
/// If there are more successes than trials.
pub fn interval(successes: u64, trials: u64, confidence: f64) -> (f64, f64) {
    assert!(successes <= trials, "{successes} of {trials}");
    let tail = (1.0 - confidence) / 2.0;
    let failures = trials - successes;
    if successes > failures {
        let (low, high) = interval(failures, trials, confidence);
        return (1.0 - high, 1.0 - low);
    }
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (k, n) = (successes as f64, trials as f64);
    if trials <= EXACT {
        // That at least as many succeed grows with the share; that at most as many do falls.
        let low = || crossing(1.0, |share| beta_reg(k, n - k + 1.0, share) >= tail);
        let high = crossing(1.0, |share| beta_reg(k + 1.0, n - k, share) >= 1.0 - tail);
        (if successes == 0 { 0.0 } else { low() }, high)
    } else if successes <= RARE {
        let most = 2.0 * k + 50.0;
        let low = || crossing(most, |mean| gamma_lr(k, mean) >= tail);
        let high = crossing(most, |mean| gamma_lr(k + 1.0, mean) >= 1.0 - tail);
        (if successes == 0 { 0.0 } else { low() / n }, high / n)
    } else {
        wilson(k, n, Normal::standard().inverse_cdf(1.0 - tail))
    }
}

/// Where a condition that is false below and true above begins to be true, between 0 and `most`.
fn crossing(most: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, most);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        // The distributions are not defined at 0.
        if middle > 0.0 && holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

fn wilson(k: f64, n: f64, z: f64) -> (f64, f64) {
    let square = z * z;
    let end = |k: f64, sign: f64| {
        let share = k / n;
        let root = (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
        (share + square / (2.0 * n) + sign * z * root) / (1.0 + square / n)
    };
    (end(k - 0.5, -1.0), end(k + 0.5, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_what_tables_say() {
        let close = |(low, high): (f64, f64), (least, most): (f64, f64)| {
            assert!((low - least).abs() < 5e-5, "{low}");
            assert!((high - most).abs() < 5e-5, "{high}");
        };
        close(interval(0, 10, 0.95), (0.0, 0.3085));
        close(interval(10, 10, 0.95), (0.6915, 1.0));
        close(interval(1, 10, 0.95), (0.0025, 0.4450));
        close(interval(5, 10, 0.95), (0.1871, 0.8129));
        assert_eq!(interval(0, 0, 0.95), (0.0, 1.0));
        // The rule of three.
        let (low, high) = interval(0, 1_000_000, 0.9);
        assert!(low == 0.0 && (2.9e-6..3.1e-6).contains(&high), "{high}");
    }

    /// Each kind of interval where it ends and the next begins, and everywhere an answer.
    #[test]
    fn many_trials_are_judged_as_few_are() {
        for successes in [0, 1, 7, 100, 101, 2_000] {
            let few = interval(successes, EXACT, 0.95);
            let many = interval(successes, EXACT + 1, 0.95);
            for (few, many) in [(few.0, many.0), (few.1, many.1)] {
                assert!(
                    (many - few).abs() <= 0.02 * few,
                    "{successes}: {few} {many}"
                );
            }
        }
        for trials in [1, 3, 1_000, 123_456, 1 << 40, 1 << 53] {
            for successes in [0, 1, trials / 3, trials / 2, trials - 1, trials] {
                let (low, high) = interval(successes, trials, 0.999);
                let share = successes as f64 / trials as f64;
                assert!(0.0 <= low && low <= share && share <= high && high <= 1.0);
            }
        }
    }
}
