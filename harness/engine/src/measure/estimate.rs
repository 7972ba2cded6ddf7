//! Every interval there is: what stands for a quantity measured in several processes, and how sure
//! that is. Tables, plots, conclusions and claims all ask here.
//!
//! | asked | value | interval |
//! |---|---|---|
//! | [`ratio`], [`geometric_mean`] | of the sides' [`point`]s | bootstrap, stretched where processes are few |
//! | [`single`] | [`point`] | that of its ratio to one measured twice, so always stretched as of two |
//! | [`figure`] | [`point`] | bootstrap of the processes; of fewer than five their range |
//! | [`spread`] | median | range |
//! | [`largest`] | largest | range of the processes' largest |
//!
//! Invariant: *processes are the unit*. Iterations of one process share its layout in memory and
//! its moment, so they are never pooled as independent; a process counts by the mean of its timed
//! iterations. Of fewer than two processes there is no interval. The same input always gives the
//! same interval.
//!
//! Definition of a ratio: *hierarchical bootstrap (invocations, then iterations), 10,000 resamples,
//! 95 % interval on the ratio; geometric mean across workloads; a difference is claimed only if the
//! interval excludes 1* (after Kalibera and Jones, *Rigorous Benchmarking in Reasonable Time*, ISMM
//! 2013). The interval is that of the percentiles of the resampled ratios.
//!
//! *Few processes.* Resampling three values cannot show that a fourth might lie outside them: on
//! synthetic data with a known ratio the percentile interval covers it in 65 %, 89 % and 93 % of
//! all cases with two, three and four processes a side, and in 95 % or more from five on. So with
//! fewer than five the distances from the ratio to both ends are stretched, on a logarithmic scale,
//! by `sqrt(n / (n - 1)) * t / z`: the correction of the bootstrap's narrowness (Hesterberg, *What
//! Teachers Should Know about the Bootstrap*, 2015), applied to the ends and not to the
//! percentiles, which are the extremes already. It then covers 93 % and more; the tests hold it to
//! that.
//!
//! Rejected for ratios: Student's interval of the means (times have outliers to one side, by which
//! it is widened beyond use); the wider of the two heaps' ranges (right for three, far too wide for
//! twenty).

use rand_xoshiro::Xoshiro256PlusPlus;

use contract::workload::{below, generator};

/// A quantity of one heap: for each process, the values of its timed iterations. Of times in
/// nanoseconds.
pub type Samples = [Vec<f64>];

const RESAMPLES: usize = 10_000;
/// Fewer processes than this are not enough for a plain bootstrap.
const FEW: usize = 5;

/// A figure with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Where it lies, as the function that made it says; `None` of fewer than two processes.
    pub interval: Option<(f64, f64)>,
    /// Processes that it rests on: of a ratio, the fewer of its two sides.
    pub n: usize,
}

impl Estimate {
    /// What is known exactly.
    pub fn exact(value: f64) -> Self {
        Self {
            value,
            interval: None,
            n: 1,
        }
    }

    /// Another figure that follows from this one; `f` must be monotonic.
    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        let interval = self.interval.map(|(low, high)| {
            let (a, b) = (f(low), f(high));
            (a.min(b), a.max(b))
        });
        Self {
            value: f(self.value),
            interval,
            n: self.n,
        }
    }

    /// The same relation seen from the other side: how much faster, where this is how much longer.
    #[must_use]
    pub fn inverse(self) -> Self {
        self.map(f64::recip)
    }

    /// The furthest that a ratio's interval reaches from 1 on either side, as a factor of at least
    /// 1; `None` without an interval.
    ///
    /// Of the ratio of two equal things (A/A) this is the smallest effect that can be claimed.
    pub fn reach(self) -> Option<f64> {
        let (low, high) = self.interval?;
        Some(high.max(1.0 / low).max(1.0))
    }

    /// The ends of the interval; the figure itself where there is none.
    pub fn ends(self) -> (f64, f64) {
        self.interval.unwrap_or((self.value, self.value))
    }
}

/// The median: of an even number of values, the mean of the middle two. `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| median_of(&mut values.to_vec()))
}

/// The least and the largest of the values; `None` of nothing.
pub fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let ends = values.into_iter().map(|value| (value, value));
    ends.reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

/// The median over processes of the mean over iterations: what stands for a quantity. `None` if no
/// process has one.
pub fn point(samples: &Samples) -> Option<f64> {
    median(&means(samples))
}

/// The median of some values, and their range.
pub fn spread(values: &[f64]) -> Option<Estimate> {
    Some(Estimate {
        value: median(values)?,
        interval: range(values.iter().copied()).filter(|_| values.len() > 1),
        n: values.len(),
    })
}

/// The [`spread`] of the processes' means.
pub fn spread_of_processes(samples: &Samples) -> Option<Estimate> {
    spread(&means(samples))
}

/// The largest value of any iteration of any process, with the range over processes of their
/// largest: for what must never happen.
pub fn largest(samples: &Samples) -> Option<Estimate> {
    let processes = samples.iter();
    let of_process = |values: &Vec<f64>| values.iter().copied().reduce(f64::max);
    let largest: Vec<f64> = processes.filter_map(of_process).collect();
    let (low, high) = range(largest.iter().copied())?;
    Some(Estimate {
        value: high,
        interval: (largest.len() > 1).then_some((low, high)),
        n: largest.len(),
    })
}

/// A quantity by itself, with the interval that claims are judged by: bootstrapped from five
/// processes on. Of fewer it is their range, which says less than it seems to, and is called a
/// range wherever it is shown: a bootstrap of so few knows nothing of what lies outside their
/// range, and hardly all of the range.
pub fn figure(samples: &Samples) -> Option<Estimate> {
    let means = means(samples);
    let spread = spread(&means)?;
    if spread.n < FEW {
        return Some(spread);
    }
    let mut drawn = Vec::new();
    let interval = percentiles(RESAMPLES, |random| {
        drawn.clear();
        drawn.extend((0..means.len()).map(|_| means[below(random, means.len())]));
        median_of(&mut drawn)
    });
    Some(Estimate {
        interval: Some(interval),
        ..spread
    })
}

/// A quantity by itself, with the interval that plots show: a value is its ratio to one, measured
/// twice.
pub fn single(samples: &Samples) -> Option<Estimate> {
    let ratio = ratio(samples, &[vec![1.0], vec![1.0]])?;
    Some(Estimate {
        n: usable(samples),
        ..ratio
    })
}

/// The quantity `of` divided by `to`; `None` if either has none. All values must be above zero.
/// Costs some milliseconds.
pub fn ratio(of: &Samples, to: &Samples) -> Option<Estimate> {
    geometric_mean(&[(of, to)])
}

/// The geometric mean of several ratios, each of its first divided by its second; `None` if there
/// are none, or one has no values. Its interval says what other processes of these workloads might
/// have given, not what other workloads might.
pub fn geometric_mean(pairs: &[(&Samples, &Samples)]) -> Option<Estimate> {
    resampled(pairs, RESAMPLES)
}

fn resampled(pairs: &[(&Samples, &Samples)], resamples: usize) -> Option<Estimate> {
    let count = (!pairs.is_empty()).then_some(pairs.len() as f64)?;
    let mut sum = 0.0;
    for (of, to) in pairs {
        sum += (point(of)? / point(to)?).ln();
    }
    let logarithm = sum / count;
    let sides = pairs.iter().flat_map(|(of, to)| [*of, *to]);
    let n = sides.map(usable).min().unwrap_or(0);
    let interval = (n >= 2).then(|| {
        let mut scratch = Vec::new();
        let ends = percentiles(resamples, |random| {
            let logarithms = pairs.iter().map(|(of, to)| {
                let of = resampled_point(random, of, &mut scratch);
                let to = resampled_point(random, to, &mut scratch);
                (of / to).ln()
            });
            logarithms.sum::<f64>() / count
        });
        let stretched = |end: f64| (logarithm + (end - logarithm) * stretch(n)).exp();
        (stretched(ends.0), stretched(ends.1))
    });
    Some(Estimate {
        value: logarithm.exp(),
        interval,
        n,
    })
}

/// Between which values lie 95 % of what is drawn.
fn percentiles(
    resamples: usize,
    mut draw: impl FnMut(&mut Xoshiro256PlusPlus) -> f64,
) -> (f64, f64) {
    let mut random = generator(0, 0);
    let mut drawn: Vec<f64> = (0..resamples).map(|_| draw(&mut random)).collect();
    drawn.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| drawn[((resamples - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}

/// By how much a percentile interval of so few processes a side is too narrow: see the [module
/// documentation](self).
fn stretch(processes: usize) -> f64 {
    /// The 97.5th percentile of the normal distribution.
    const Z: f64 = 1.960;
    // Those of Student's distribution with 2 (n - 1) degrees of freedom.
    let t = match processes {
        2 => 4.303,
        3 => 2.776,
        4 => 2.447,
        FEW.. | 0 | 1 => return 1.0,
    };
    let n = processes as f64;
    (n / (n - 1.0)).sqrt() * t / Z
}

/// How many processes have values.
fn usable(samples: &Samples) -> usize {
    samples.iter().filter(|values| !values.is_empty()).count()
}

/// Of each process that has values, their mean.
fn means(samples: &Samples) -> Vec<f64> {
    let processes = samples.iter().filter(|values| !values.is_empty());
    processes
        .map(|values| values.iter().sum::<f64>() / values.len() as f64)
        .collect()
}

/// [`point`] of a resample: processes drawn with replacement, then iterations within each. `means`
/// is scratch memory.
fn resampled_point(
    random: &mut Xoshiro256PlusPlus,
    samples: &Samples,
    means: &mut Vec<f64>,
) -> f64 {
    means.clear();
    while means.len() < samples.len() {
        let iterations = &samples[below(random, samples.len())];
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
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn few_processes_have_their_range() {
        let of = |values: &[f64]| {
            let samples: Vec<_> = values.iter().map(|&value| vec![value]).collect();
            figure(&samples).unwrap().interval
        };
        assert_eq!(of(&[3.0]), None);
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some((1.0, 3.0)));
        let many: Vec<f64> = (0..21).map(f64::from).collect();
        let (low, high) = of(&many).unwrap();
        assert!(
            0.0 < low && low < 10.0 && 10.0 < high && high < 20.0,
            "{low} {high}"
        );
    }

    #[test]
    fn the_largest_is_of_any_iteration() {
        let Estimate { value, interval, n } =
            largest(&[vec![1.0, 5.0], vec![], vec![3.0]]).unwrap();
        assert_eq!((value, interval, n), (5.0, Some((3.0, 5.0)), 2));
        assert_eq!(largest(&[vec![]]), None);
    }

    #[test]
    fn a_falling_function_turns_the_interval_round() {
        let estimate = Estimate {
            value: 2.0,
            interval: Some((1.0, 4.0)),
            n: 3,
        };
        let inverse = estimate.map(|value| 1.0 / value);
        assert_eq!((inverse.value, inverse.interval), (0.5, Some((0.25, 1.0))));
    }

    #[test]
    fn of_clear_differences() {
        let slow = vec![vec![200.0, 202.0], vec![198.0, 200.0], vec![201.0, 203.0]];
        let fast = vec![vec![100.0], vec![101.0], vec![99.0]];
        let Estimate {
            value, interval, ..
        } = ratio(&slow, &fast).unwrap();
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
        let Estimate {
            value, interval, ..
        } = ratio(&single, &[vec![10.0]]).unwrap();
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
                    let pairs: Vec<(&Samples, &Samples)> =
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
