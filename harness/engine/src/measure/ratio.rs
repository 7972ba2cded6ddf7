//! How much longer one heap takes than another, and how sure that is.
//!
//! Definition: *hierarchical bootstrap (invocations, then iterations), 10,000 resamples, 95 %
//! interval on the ratio; geometric mean across workloads; a difference is claimed only if the
//! interval excludes 1; iterations are never pooled as independent* (after Kalibera and Jones,
//! *Rigorous Benchmarking in Reasonable Time*, ISMM 2013).
//!
//! A heap's time is the median over its invocations of the mean over each invocation's iterations.
//! The interval is that of the percentiles of the resampled ratios.
//!
//! *Few invocations.* Resampling three values cannot show that a fourth might lie outside them: on
//! synthetic data with a known ratio the percentile interval covers it in 65 %, 89 % and 93 % of
//! all cases with two, three and four invocations a side, and in 95 % or more from five on. So with
//! fewer than five the distances from the ratio to both ends are stretched, on a logarithmic scale,
//! by `sqrt(n / (n - 1)) * t / z`: the correction of the bootstrap's narrowness (Hesterberg, *What
//! Teachers Should Know about the Bootstrap*, 2015), applied to the ends and not to the
//! percentiles, which are the extremes already. It then covers 93 % and more; the tests hold it to
//! that. With one invocation there is no interval.
//!
//! Rejected: Student's interval of the means (times have outliers to one side, by which it is
//! widened beyond use); the wider of the two heaps' ranges (right for three, far too wide for
//! twenty).

use rand_xoshiro::Xoshiro256PlusPlus;

use super::throughput::median;
use contract::workload::{below, generator};

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

impl Ratio {
    /// The same relation seen from the other side: how much faster, where this is how much longer.
    pub fn inverse(self) -> Self {
        Self {
            value: 1.0 / self.value,
            interval: self.interval.map(|(low, high)| (1.0 / high, 1.0 / low)),
        }
    }

    /// The furthest that its interval reaches from 1 on either side, as a factor of at least 1;
    /// `None` without an interval.
    ///
    /// Of the ratio of two equal things (A/A) this is the smallest effect that can be claimed.
    pub fn reach(self) -> Option<f64> {
        let (low, high) = self.interval?;
        Some(high.max(1.0 / low).max(1.0))
    }
}

/// The time of `of` divided by the time of `to`; `None` if either has none. The same input always
/// gives the same interval. Costs some milliseconds.
pub fn ratio(of: &Times, to: &Times) -> Option<Ratio> {
    geometric_mean(&[(of, to)])
}

/// The geometric mean of several ratios, each of the times of its first divided by the times of its
/// second; `None` if there are none, or one has no times. Its interval says what other invocations
/// of these workloads might have given, not what other workloads might.
pub fn geometric_mean(pairs: &[(&Times, &Times)]) -> Option<Ratio> {
    resampled(pairs, RESAMPLES)
}

fn resampled(pairs: &[(&Times, &Times)], resamples: usize) -> Option<Ratio> {
    let count = (!pairs.is_empty()).then_some(pairs.len() as f64)?;
    let mut sum = 0.0;
    for (of, to) in pairs {
        sum += (time(of)? / time(to)?).ln();
    }
    let logarithm = sum / count;
    let sides = || pairs.iter().flat_map(|(of, to)| [*of, *to]);
    let fewest = sides().map(usable).min().unwrap_or(0);
    let interval = (fewest >= 2).then(|| {
        let mut random = generator(0, 0);
        let mut scratch = Vec::new();
        let mut logarithms: Vec<f64> = (0..resamples)
            .map(|_| {
                let sum: f64 = pairs
                    .iter()
                    .map(|(of, to)| {
                        let of = resampled_time(&mut random, of, &mut scratch);
                        let to = resampled_time(&mut random, to, &mut scratch);
                        (of / to).ln()
                    })
                    .sum();
                sum / count
            })
            .collect();
        logarithms.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| logarithms[((resamples - 1) as f64 * share).round() as usize];
        let stretched = |end: f64| (logarithm + (end - logarithm) * stretch(fewest)).exp();
        (stretched(at(0.025)), stretched(at(0.975)))
    });
    Some(Ratio {
        value: logarithm.exp(),
        interval,
    })
}

/// By how much a percentile interval of so few invocations a side is too narrow: see the [module
/// documentation](self).
fn stretch(invocations: usize) -> f64 {
    /// The 97.5th percentile of the normal distribution.
    const Z: f64 = 1.960;
    // Those of Student's distribution with 2 (n - 1) degrees of freedom.
    let t = match invocations {
        2 => 4.303,
        3 => 2.776,
        4 => 2.447,
        _ => return 1.0,
    };
    let n = invocations as f64;
    (n / (n - 1.0)).sqrt() * t / Z
}

/// How many invocations have times.
fn usable(times: &Times) -> usize {
    times.iter().filter(|times| !times.is_empty()).count()
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

/// [`time`] of a resample: invocations drawn with replacement, then iterations within each. `means`
/// is scratch memory.
fn resampled_time(random: &mut Xoshiro256PlusPlus, times: &Times, means: &mut Vec<f64>) -> f64 {
    means.clear();
    while means.len() < times.len() {
        let iterations = &times[below(random, times.len())];
        let count = iterations.len();
        if count == 0 {
            continue;
        }
        let sum: f64 = (0..count).map(|_| iterations[below(random, count)]).sum();
        means.push(sum / count as f64);
    }
    median_of(means)
}

/// The median, in place; of a non-empty slice.
fn median_of(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::rand_core::Rng;

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
        let inverse = ratio(&slow, &fast).unwrap().inverse();
        assert!((inverse.value - 1.0 / 2.01).abs() < 1e-9);
        assert_eq!(inverse.interval, Some((1.0 / high, 1.0 / low)));
    }

    #[test]
    fn interval_includes_one_when_times_overlap() {
        let times = vec![vec![100.0], vec![120.0], vec![90.0]];
        let same = ratio(&times, &times).unwrap();
        let (low, high) = same.interval.unwrap();
        assert!(low < 1.0 && 1.0 < high);
        assert_eq!(same.reach(), Some(high.max(1.0 / low)));
    }

    #[test]
    fn little_data_gives_little() {
        assert_eq!(ratio(&[], &[vec![1.0]]), None);
        let single = vec![vec![10.0, 30.0]];
        let Ratio { value, interval } = ratio(&single, &[vec![10.0]]).unwrap();
        assert_eq!((value, interval), (2.0, None));
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn the_geometric_mean_is_that_of_the_ratios() {
        let times = |time: f64| vec![vec![time], vec![time], vec![time]];
        let (one, two, eight) = (times(1.0), times(2.0), times(8.0));
        let mean = geometric_mean(&[(&two, &one), (&eight, &one)]).unwrap();
        assert!((mean.value - 4.0).abs() < 1e-9, "{mean:?}");
        let (low, high) = mean.interval.unwrap();
        assert!((low - 4.0).abs() < 1e-9 && (high - 4.0).abs() < 1e-9);
    }

    /// How times are distributed over invocations.
    #[derive(Clone, Copy, Debug)]
    enum Noise {
        /// Around their middle.
        Normal,
        /// Only upwards, as interruptions do.
        Skewed,
        /// Every fifth invocation is 15 % slower throughout, as an unlucky layout in memory does.
        Layouts,
    }

    /// A number from 0 to below 1.
    fn uniform(random: &mut Xoshiro256PlusPlus) -> f64 {
        (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number of the standard normal distribution (Box and Muller, 1958).
    fn normal(random: &mut Xoshiro256PlusPlus) -> f64 {
        let radius = (-2.0 * (1.0 - uniform(random)).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * uniform(random)).cos()
    }

    fn sample(
        random: &mut Xoshiro256PlusPlus,
        noise: Noise,
        typical: f64,
        (invocations, iterations): (usize, usize),
    ) -> Vec<Vec<f64>> {
        (0..invocations)
            .map(|_| {
                let level = match noise {
                    Noise::Normal => 0.05 * normal(random),
                    Noise::Skewed => -0.05 * (1.0 - uniform(random)).ln(),
                    Noise::Layouts => {
                        0.01 * normal(random) + if uniform(random) < 0.2 { 0.15 } else { 0.0 }
                    }
                };
                (0..iterations)
                    .map(|_| typical * (level + 0.02 * normal(random)).exp())
                    .collect()
            })
            .collect()
    }

    /// Of many made comparisons with a known ratio, at least 92 % have it in their interval (95 %
    /// is aimed at; the rest is left to the chance of 500 comparisons, whose standard error is one
    /// per cent), whatever the noise and the number of invocations.
    #[test]
    fn intervals_cover_a_known_ratio() {
        const TRUE: f64 = 1.3;
        const COMPARISONS: usize = 500;
        let sizes = [(2, 1), (3, 1), (3, 5), (4, 1), (5, 1), (10, 5), (20, 2)];
        for noise in [Noise::Normal, Noise::Skewed, Noise::Layouts] {
            for size in sizes {
                let mut random = generator(7, size.0 as u64);
                let covered = (0..COMPARISONS)
                    .filter(|_| {
                        let slow = sample(&mut random, noise, 100.0 * TRUE, size);
                        let fast = sample(&mut random, noise, 100.0, size);
                        let ratio = resampled(&[(&slow, &fast)], 400).unwrap();
                        let (low, high) = ratio.interval.unwrap();
                        low <= TRUE && TRUE <= high
                    })
                    .count();
                let share = covered as f64 / COMPARISONS as f64;
                assert!(share >= 0.92, "{noise:?} {size:?}: {share}");
            }
        }
    }

    /// The same of the geometric mean of four workloads' ratios.
    #[test]
    fn intervals_of_geometric_means_cover_the_known_one() {
        const COMPARISONS: usize = 300;
        let ratios = [0.5, 0.9, 1.3, 4.0_f64];
        let truth = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / 4.0).exp();
        for size in [(3, 1), (10, 2)] {
            let mut random = generator(8, size.0 as u64);
            let covered = (0..COMPARISONS)
                .filter(|_| {
                    let times: Vec<_> = ratios
                        .iter()
                        .map(|ratio| {
                            let slow = sample(&mut random, Noise::Skewed, 100.0 * ratio, size);
                            (slow, sample(&mut random, Noise::Skewed, 100.0, size))
                        })
                        .collect();
                    let pairs: Vec<(&Times, &Times)> =
                        times.iter().map(|(of, to)| (&of[..], &to[..])).collect();
                    let (low, high) = resampled(&pairs, 400).unwrap().interval.unwrap();
                    low <= truth && truth <= high
                })
                .count();
            let share = covered as f64 / COMPARISONS as f64;
            assert!(share >= 0.92, "{size:?}: {share}");
        }
    }

    /// An interval that always covers is worth nothing: with many invocations a difference of a
    /// tenth is found.
    #[test]
    fn intervals_exclude_what_is_not_so() {
        let mut random = generator(9, 0);
        let found = (0..200)
            .filter(|_| {
                let slow = sample(&mut random, Noise::Normal, 110.0, (20, 2));
                let fast = sample(&mut random, Noise::Normal, 100.0, (20, 2));
                let ratio = resampled(&[(&slow, &fast)], 400).unwrap();
                ratio.interval.unwrap().0 > 1.0
            })
            .count();
        assert!(found >= 190, "{found}");
    }
}
