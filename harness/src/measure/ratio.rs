//! How much longer one heap takes than another, and how sure that is.
//!
//! Definition: *hierarchical bootstrap (invocations, then iterations), 10,000 resamples, 95 % interval on the ratio; a difference is
//! claimed only if the interval excludes 1; iterations are never pooled as independent* (after Kalibera and Jones, *Rigorous
//! Benchmarking in Reasonable Time*, ISMM 2013).
//!
//! A heap's time is the median over its invocations of the mean over each invocation's iterations. With three invocations the interval
//! is little more than the range of what was seen, and that is what it should be: it says how little three runs prove. With one invocation there is
//! none.

use rand_xoshiro::Xoshiro256PlusPlus;

use super::throughput::median;
use crate::workload::{below, generator};

/// Times of one heap: for each invocation, the nanoseconds of its timed iterations.
pub type Times = [Vec<f64>];

const RESAMPLES: usize = 10_000;

/// A ratio of two times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The ratio of the two heaps' times.
    pub value: f64,
    /// Where it lies with 95 % confidence; `None` if either side has fewer than two invocations.
    pub interval: Option<(f64, f64)>,
}

/// The time of `of` divided by the time of `to`; `None` if either has none. The same input always gives the same interval.
pub fn ratio(of: &Times, to: &Times) -> Option<Ratio> {
    let value = time(of)? / time(to)?;
    if of.len() < 2 || to.len() < 2 {
        return Some(Ratio {
            value,
            interval: None,
        });
    }
    let mut random = generator(0, 0);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| Some(time(&resample(&mut random, of))? / time(&resample(&mut random, to))?))
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| ratios[((ratios.len() - 1) as f64 * share).round() as usize];
    Some(Ratio {
        value,
        interval: Some((at(0.025), at(0.975))),
    })
}

/// The median over invocations of the mean over iterations, in nanoseconds.
pub fn time(times: &Times) -> Option<f64> {
    let means: Vec<f64> = times
        .iter()
        .filter(|iterations| !iterations.is_empty())
        .map(|iterations| iterations.iter().sum::<f64>() / iterations.len() as f64)
        .collect();
    median(&means)
}

/// Draws invocations with replacement, then iterations within each.
fn resample(random: &mut Xoshiro256PlusPlus, times: &Times) -> Vec<Vec<f64>> {
    (0..times.len())
        .map(|_| {
            let iterations = &times[below(random, times.len())];
            let draw = |_| iterations[below(random, iterations.len())];
            (0..iterations.len()).map(draw).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_clear_differences() {
        let slow = vec![vec![200.0, 202.0], vec![198.0, 200.0], vec![201.0, 203.0]];
        let fast = vec![vec![100.0], vec![101.0], vec![99.0]];
        let Ratio { value, interval } = ratio(&slow, &fast).unwrap();
        let (low, high) = interval.unwrap();
        assert!((value - 2.01).abs() < 1e-9, "{value}");
        assert!(
            1.9 < low && low <= value && value <= high && high < 2.1,
            "{low} {high}"
        );
    }

    #[test]
    fn interval_includes_one_when_times_overlap() {
        let times = vec![vec![100.0], vec![120.0], vec![90.0]];
        let (low, high) = ratio(&times, &times).unwrap().interval.unwrap();
        assert!(low < 1.0 && 1.0 < high);
    }

    #[test]
    fn little_data_gives_little() {
        assert_eq!(ratio(&[], &[vec![1.0]]), None);
        let single = vec![vec![10.0, 30.0]];
        let Ratio { value, interval } = ratio(&single, &[vec![10.0]]).unwrap();
        assert_eq!((value, interval), (2.0, None));
    }
}
