//! Distributions of times.
//!
//! Rule: *percentiles p50/90/99/99.9/99.99/max, always with n; one with fewer than about 10 samples
//! above it is not printed.*
//!
//! Values are nanoseconds, kept to three digits (`HdrHistogram`, 1 ns to an hour; what is longer
//! counts as an hour), so that distributions of several iterations can be merged without loss. The
//! maximum alone is kept exactly. There is no correction for an expected interval in here: where
//! one is due, the recorder knows the intended start (see the latencies of requests), and a second
//! correction would be wrong.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A percentile needs this many samples above it to be given.
const SAMPLES_ABOVE: f64 = 10.0;

/// How often which time was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many samples.
    pub count: u64,
    /// The largest in nanoseconds, exactly; 0 if there is none.
    pub max_ns: u64,
    /// `[value in nanoseconds, how many]`, ascending; values are the upper ends of ranges of three
    /// digits.
    pub histogram_ns: Vec<(u64, u64)>,
}

impl Distribution {
    /// The distribution of these samples, in nanoseconds.
    pub fn of(samples: impl IntoIterator<Item = u64>) -> Self {
        let mut histogram = histogram();
        let mut max_ns = 0;
        for sample in samples {
            histogram.saturating_record(sample);
            max_ns = max_ns.max(sample);
        }
        Self::of_histogram(&histogram, max_ns)
    }

    fn of_histogram(histogram: &Histogram<u64>, max_ns: u64) -> Self {
        if histogram.is_empty() {
            // The iterator stops after the last value, and where there is none it would go through
            // the whole range; most are empty.
            return Self::default();
        }
        Self {
            count: histogram.len(),
            max_ns,
            histogram_ns: histogram
                .iter_recorded()
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect(),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The least value that a share of `quantile` (0 to 1) of the samples does not exceed, in
    /// nanoseconds; `None` if fewer than 10 samples lie above that quantile, which then says more
    /// about chance than about the program.
    pub fn percentile(&self, quantile: f64) -> Option<u64> {
        let above = self.count as f64 * (1.0 - quantile);
        // Tolerates the rounding of 1 - 0.99.
        if above + 1e-6 < SAMPLES_ABOVE {
            return None;
        }
        let rank = ((self.count as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        self.histogram_ns
            .iter()
            .find(|&&(_, count)| {
                seen += count;
                seen >= rank
            })
            .map(|&(value, _)| value.min(self.max_ns))
    }

    /// The mean in nanoseconds, to the histogram's three digits; `None` of nothing.
    pub fn mean_ns(&self) -> Option<f64> {
        let values = self.histogram_ns.iter();
        let sum: f64 = values
            .map(|&(value, count)| value as f64 * count as f64)
            .sum();
        (self.count > 0).then(|| sum / self.count as f64)
    }

    /// Several distributions taken together.
    pub fn merge<'d>(parts: impl IntoIterator<Item = &'d Self>) -> Self {
        let mut histogram = histogram();
        let mut max_ns = 0;
        for part in parts {
            for &(value, count) in &part.histogram_ns {
                histogram.saturating_record_n(value, count);
            }
            max_ns = max_ns.max(part.max_ns);
        }
        Self::of_histogram(&histogram, max_ns)
    }
}

/// Three digits, from 1 ns to an hour; what is longer is recorded as an hour.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("these bounds are allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_need_samples_above_them() {
        let up_to = |count: u64| Distribution::of(1..=count);
        assert_eq!(Distribution::of([]), Distribution::default());
        assert_eq!(up_to(19).percentile(0.5), None);
        assert_eq!(up_to(20).percentile(0.5), Some(10));
        assert_eq!(up_to(999).percentile(0.99), None);
        assert_eq!(up_to(1000).percentile(0.99), Some(990));
        assert_eq!(up_to(1000).percentile(0.999), None);
        assert_eq!(up_to(1000).percentile(0.0), Some(1));
        assert_eq!(Distribution::default().percentile(0.0), None);
    }

    #[test]
    fn three_digits_are_kept_and_the_maximum_exactly() {
        let distribution = Distribution::of([1_234_567, 1_000]);
        assert_eq!(distribution.max_ns, 1_234_567);
        let (value, count) = distribution.histogram_ns[1];
        assert_eq!(count, 1);
        assert!((1_234_567..1_235_900).contains(&value), "{value}");
        let mean = distribution.mean_ns().unwrap();
        assert!(
            (mean - (value as f64 + 1_000.0) / 2.0).abs() < 1.0,
            "{mean}"
        );
    }

    #[test]
    fn merging_is_like_having_seen_everything() {
        let sample = |n: u64| 37 * n * n;
        let parts = [
            Distribution::of((0..200).map(sample)),
            Distribution::of((200..500).map(sample)),
            Distribution::default(),
        ];
        assert_eq!(
            Distribution::merge(&parts),
            Distribution::of((0..500).map(sample))
        );
    }
}
