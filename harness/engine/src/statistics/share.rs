//! Shares: how many of so many trials.

use statrs::distribution::{Beta, ContinuousCDF};

/// Where a share lies of which `successes` of `trials` were seen: Clopper and Pearson's interval
/// (*Biometrika* 1934), which covers the share with at least this confidence, whatever it is. From
/// 0 to 1 of no trial.
///
/// # Panics
///
/// If there are more successes than trials.
pub fn interval(successes: u64, trials: u64, confidence: f64) -> (f64, f64) {
    assert!(successes <= trials, "{successes} of {trials}");
    let tail = (1.0 - confidence) / 2.0;
    let (successes, failures) = (successes as f64, (trials - successes) as f64);
    let quantile = |a: f64, b: f64, at: f64| {
        let beta = Beta::new(a, b).expect("both are above zero");
        beta.inverse_cdf(at)
    };
    let low = match successes {
        0.0 => 0.0,
        _ => quantile(successes, failures + 1.0, tail),
    };
    let high = match failures {
        0.0 => 1.0,
        _ => quantile(successes + 1.0, failures, 1.0 - tail),
    };
    (low, high)
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
        assert_eq!(interval(0, 0, 0.95), (0.0, 1.0));
        // The rule of three.
        let (low, high) = interval(0, 1_000_000, 0.9);
        assert!(low == 0.0 && (2.9e-6..3.1e-6).contains(&high), "{high}");
    }
}
