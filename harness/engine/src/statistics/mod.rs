//! Every interval there is: what stands for a quantity measured in several processes, and how sure
//! that is. Tables, plots, conclusions and claims all ask here.
//!
//! | asked | value | interval |
//! |---|---|---|
//! | [`Inference::ratio`] | e to the [`Centre`] of the rounds' log ratios | Student's, moderated |
//! | [`Inference::quotient`] | the same of two series that were not run in rounds | Student's, moderated, of the lesser freedom |
//! | [`Inference::mean`] | geometric mean of several ratios | of their own errors, Satterthwaite's freedom |
//! | [`Inference::figure`] | e to the centre of the processes' logarithms | Student's, moderated |
//! | [`share`] | successes of trials | Clopper and Pearson's |
//! | [`spread`] | median | none: the range is told apart, and proves nothing |
//!
//! Invariants:
//!
//! 1. *Processes are the unit.* Iterations of one process share its layout in memory and its
//!    moment, so they are never pooled as independent; a process counts by the mean of its timed
//!    iterations. Of fewer than two processes there is no interval.
//! 2. *Rounds are pairs.* The heaps of a round run next to each other, in an order that alternates,
//!    and a ratio is made of each round before anything is averaged: what slows a minute down
//!    cancels.
//! 3. *Three rounds are not two degrees of freedom*: variances are moderated over all comparisons
//!    of the run ([`Prior`]).
//! 4. *A verdict is what its printed interval says*, and the intervals of a run are as wide as it
//!    takes that 5 % of its verdicts at most are wrong ([`family`]).
//! 5. The same input always gives the same interval: nothing is drawn at random.
//!
//! *A/A.* Two equal things run as a pair should differ by as much as their standard error says. The
//! pairs of that kind in a run are pooled into one factor by which every standard error is
//! multiplied ([`Inference::calibrated`]). They are no gate: what one pair of equal things did says
//! nothing of another workload's effect.
//!
//! Rejected: bootstrap intervals of the ratio of medians (of three processes they cover two thirds
//! of what they should, and no stretching mends that for every kind of noise); Student's interval
//! of the means (one disturbed process widens it beyond use); the range of two or three values as
//! an interval (it covers a half or two thirds).

mod centre;
pub mod family;
pub mod power;
mod prior;
pub mod share;
mod verdict;

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

pub use centre::Centre;
pub use prior::Prior;
pub use verdict::{EQUAL, Verdict};

/// A quantity of one heap: for each process, the values of its timed iterations. Of times in
/// nanoseconds.
pub type Samples = [Vec<f64>];

/// A figure with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Where it lies, as the function that made it says; `None` of fewer than two processes.
    pub interval: Option<(f64, f64)>,
    /// Processes that it rests on: of a ratio, pairs of them; of a share, trials.
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

    /// The furthest that a ratio's interval reaches from its figure, as a factor of at least 1;
    /// `None` without an interval.
    pub fn half_width(self) -> Option<f64> {
        let (low, high) = self.interval?;
        Some((high / self.value).max(self.value / low))
    }

    /// The ends of the interval; the figure itself where there is none.
    pub fn ends(self) -> (f64, f64) {
        self.interval.unwrap_or((self.value, self.value))
    }
}

/// What intervals are made by: what a run knows of its own noise, and how sure they are to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inference {
    prior: Option<Prior>,
    calibration: f64,
    confidence: f64,
}

/// Equal things that are taken to have differed just as they should, beside those that were
/// measured: a handful of pairs does not upset what is otherwise known.
const BELIEVED: f64 = 12.0;

impl Inference {
    /// With this much known of how processes differ; each interval covers what it stands for with
    /// this probability.
    pub fn new(prior: Option<Prior>, confidence: f64) -> Self {
        Self {
            prior,
            calibration: 1.0,
            confidence,
        }
    }

    /// Calibrated by log ratios of equal things (A/A): every standard error is multiplied by the
    /// root of the mean square of what they differed by, in standard errors, if that is above 1.
    #[must_use]
    pub fn calibrated<'c>(self, same: impl IntoIterator<Item = &'c Centre>) -> Self {
        let normal = Normal::standard();
        let squares = same.into_iter().filter_map(|centre| {
            // Equal to the last digit: what was measured cannot tell.
            let (error, freedom) = self.error(centre).filter(|(error, _)| *error > 0.0)?;
            // What a normal variable would be that is as unlikely.
            let likely = student(freedom).cdf(centre.value / error);
            Some(normal.inverse_cdf(likely.clamp(1e-5, 1.0 - 1e-5)).powi(2))
        });
        let (sum, count) = squares.fold((BELIEVED, BELIEVED), |(sum, count), square| {
            (sum + square, count + 1.0)
        });
        Self {
            calibration: (sum / count).sqrt().max(1.0),
            ..self
        }
    }

    /// The same with every standard error multiplied by this factor, at least 1, not by its own.
    #[must_use]
    pub fn scaled(self, calibration: f64) -> Self {
        Self {
            calibration: calibration.max(1.0),
            ..self
        }
    }

    /// The factor on every standard error.
    pub fn calibration(&self) -> f64 {
        self.calibration
    }

    /// With which probability each interval covers what it stands for.
    pub fn confidence(&self) -> f64 {
        self.confidence
    }

    /// The same with another confidence.
    #[must_use]
    pub fn at(self, confidence: f64) -> Self {
        Self { confidence, ..self }
    }

    /// A ratio, from its rounds' log ratios.
    pub fn ratio(&self, centre: &Centre) -> Estimate {
        self.linear(centre).map(f64::exp)
    }

    /// A quantity by itself, from its processes' values: on a logarithmic scale if all are above
    /// zero. `None` of nothing.
    pub fn figure(&self, values: &[f64]) -> Option<Estimate> {
        let (low, high) = range(values.iter().copied())?;
        if low == high {
            // To the last digit, which no logarithm would keep.
            return Some(Estimate {
                value: low,
                interval: (values.len() > 1).then_some((low, high)),
                n: values.len(),
            });
        }
        if low > 0.0 {
            Some(self.ratio(&Centre::of(&logarithms(values))?))
        } else {
            // What is known of others' logarithms says nothing of these.
            let own = Self {
                prior: None,
                ..*self
            };
            Some(own.linear(&Centre::of(values)?))
        }
    }

    /// One series divided by another that was not run beside it, from the logarithms of both.
    pub fn quotient(&self, of: &Centre, to: &Centre) -> Estimate {
        let errors = self.error(of).zip(self.error(to));
        // The lesser freedom, not the sum: what moderation lends, it lends both.
        let error = errors.map(|(of, to)| (of.0.hypot(to.0), of.1.min(to.1)));
        Estimate {
            n: of.n.min(to.n),
            ..self.around(of.value - to.value, error).map(f64::exp)
        }
    }

    /// The geometric mean of several ratios, each from its rounds' log ratios; `None` of none. Its
    /// interval says what other processes of these workloads might have given, not what other
    /// workloads might; there is none if one of them has none.
    pub fn mean(&self, centres: &[Centre]) -> Option<Estimate> {
        let count = (!centres.is_empty()).then_some(centres.len() as f64)?;
        let value = centres.iter().map(|centre| centre.value).sum::<f64>() / count;
        // Not moderated: drawing large errors down and small ones up keeps neither their sum nor
        // its scatter, and all together have freedom enough.
        let own = Self {
            prior: None,
            ..*self
        };
        let errors: Option<Vec<_>> = centres.iter().map(|centre| own.error(centre)).collect();
        let error = errors.map(|errors| {
            let (error, freedom) = sum(&errors);
            (error / count, freedom)
        });
        Some(Estimate {
            n: centres.iter().map(|centre| centre.n).min().unwrap_or(0),
            ..self.around(value, error).map(f64::exp)
        })
    }

    fn linear(&self, centre: &Centre) -> Estimate {
        Estimate {
            n: centre.n,
            ..self.around(centre.value, self.error(centre))
        }
    }

    /// A value with the interval of so much error and freedom.
    fn around(&self, value: f64, error: Option<(f64, f64)>) -> Estimate {
        let interval = error.map(|(error, freedom)| {
            let quantile = student(freedom).inverse_cdf(f64::midpoint(1.0, self.confidence));
            let half = quantile * error;
            (value - half, value + half)
        });
        Estimate {
            value,
            interval,
            n: 0,
        }
    }

    /// The standard error and its degrees of freedom; `None` of one value.
    fn error(&self, centre: &Centre) -> Option<(f64, f64)> {
        if centre.freedom == 0.0 {
            return None;
        }
        let own = (centre.variance, centre.freedom);
        let prior = self.prior.filter(|_| centre.variance > 0.0);
        let (variance, freedom) = prior.map_or(own, |prior| prior.moderate(centre));
        Some((self.calibration * variance.sqrt(), freedom))
    }
}

fn student(freedom: f64) -> StudentsT {
    // The library's quantiles lose their digits beyond; the distribution is the normal one there.
    StudentsT::new(0.0, 1.0, freedom.min(1e4)).expect("the freedom is above zero")
}

/// The error of a sum, and its freedom by Satterthwaite's rule (*Biometrics* 1946).
fn sum(errors: &[(f64, f64)]) -> (f64, f64) {
    let variance: f64 = errors.iter().map(|(error, _)| error.powi(2)).sum();
    let parts: f64 = (errors.iter())
        .map(|(error, freedom)| error.powi(4) / freedom)
        .sum();
    let freedom = if parts > 0.0 {
        variance.powi(2) / parts
    } else {
        1.0
    };
    (variance.sqrt(), freedom)
}

/// The natural logarithms of values above zero.
pub fn logarithms(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.ln()).collect()
}

/// The median: of an even number of values, the mean of the middle two. `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted.get(middle).copied()
    } else {
        Some(f64::midpoint(
            *sorted.get(middle.checked_sub(1)?)?,
            sorted[middle],
        ))
    }
}

/// The least and the largest of the values; `None` of nothing.
pub fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let ends = values.into_iter().map(|value| (value, value));
    ends.reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

/// Of each process that has values, their mean.
pub fn means(samples: &Samples) -> Vec<f64> {
    let processes = samples.iter().filter(|values| !values.is_empty());
    processes
        .map(|values| values.iter().sum::<f64>() / values.len() as f64)
        .collect()
}

/// The median over processes of the mean over iterations: what stands for a quantity where nothing
/// is to be proved. `None` if no process has one.
pub fn point(samples: &Samples) -> Option<f64> {
    median(&means(samples))
}

/// [`point`], and the fastest and the slowest process: what was seen, which is no interval.
pub fn spread(samples: &Samples) -> Option<Estimate> {
    let means = means(samples);
    Some(Estimate {
        value: median(&means)?,
        interval: range(means.iter().copied()).filter(|_| means.len() > 1),
        n: means.len(),
    })
}

#[cfg(test)]
mod tests;
