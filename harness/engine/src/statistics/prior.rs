//! What the many comparisons of a run say together of how much processes differ.
//!
//! Three rounds of one comparison say little of their own variance: with two degrees of freedom an
//! interval is more than twice as wide as it had to be. But a run has dozens of comparisons of one
//! kind, on one machine, in the same minutes. Their variances scatter around a common one; how far
//! can be estimated from all of them, and each comparison's own is then drawn towards the common
//! one, by as much as it is worth: *moderated*, as is done for thousands of genes with three
//! samples each (Smyth, *Linear Models and Empirical Bayes Methods for Assessing Differential
//! Expression*, 2004, section 6.2, from which the estimates are).
//!
//! Invariant: a moderated error has at most as many degrees of freedom as all comparisons together.
//!
//! Rejected: one variance for all (workloads differ tenfold, and the noisy ones would be called
//! sure); each its own (above).

use statrs::function::gamma::digamma;

use super::Centre;

/// Fewer comparisons than this say nothing of each other: their own errors stand.
const LEAST: usize = 6;

/// The common variance of a single process, and how many degrees of freedom it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    spread: f64,
    /// Infinite where the comparisons do not differ by more than chance.
    freedom: f64,
    /// Of all comparisons together.
    most: f64,
}

impl Prior {
    /// Of comparisons of one kind; `None` if there are too few of them. Those without an error of
    /// their own, or without any scatter, have no say.
    pub fn of<'c>(centres: impl IntoIterator<Item = &'c Centre>) -> Option<Self> {
        let centres = centres.into_iter();
        let telling = centres.filter(|centre| centre.freedom > 0.0 && centre.variance > 0.0);
        let telling: Vec<&Centre> = telling.collect();
        if telling.len() < LEAST {
            return None;
        }
        let count = telling.len() as f64;
        // Of the logarithm of a sample variance, mean and variance follow from its freedom.
        let logarithms = telling.iter().map(|centre| {
            let half = centre.freedom / 2.0;
            centre.spread().ln() - digamma(half) + half.ln()
        });
        let logarithms: Vec<f64> = logarithms.collect();
        let mean = logarithms.iter().sum::<f64>() / count;
        let squares: f64 = (logarithms.iter())
            .map(|value| (value - mean).powi(2))
            .sum();
        let by_chance = telling.iter().map(|centre| trigamma(centre.freedom / 2.0));
        let excess = squares / (count - 1.0) - by_chance.sum::<f64>() / count;
        let (spread, freedom) = if excess > 0.0 {
            let half = trigamma_inverse(excess);
            ((mean + digamma(half) - half.ln()).exp(), 2.0 * half)
        } else {
            (mean.exp(), f64::INFINITY)
        };
        Some(Self {
            spread,
            freedom,
            most: telling.iter().map(|centre| centre.freedom).sum(),
        })
    }

    /// The squared error of a comparison and its degrees of freedom, moderated.
    pub(super) fn moderate(&self, centre: &Centre) -> (f64, f64) {
        let freedom = centre.freedom + self.freedom;
        let spread = if freedom.is_finite() {
            (centre.spread() * centre.freedom + self.spread * self.freedom) / freedom
        } else {
            self.spread
        };
        (spread / centre.n as f64, freedom.min(self.most))
    }
}

/// The derivative of the digamma function, for x above 0: by its recurrence up to where its
/// asymptotic series has 14 digits (Abramowitz and Stegun, 6.4.6 and 6.4.12).
fn trigamma(x: f64) -> f64 {
    let (mut x, mut sum) = (x, 0.0);
    while x < 12.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = 1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0 - square / 30.0));
    sum + 1.0 / x + square / 2.0 + square / x * series
}

/// Where the trigamma function, which falls, has this value above 0.
fn trigamma_inverse(value: f64) -> f64 {
    // It lies between 1/x and 1/x + 1/x^2 for every x.
    let mut low = 1.0 / value;
    let mut high = low + 1.0 / value.sqrt();
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if trigamma(middle) > value {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigamma_is_what_tables_say() {
        assert!((trigamma(1.0) - std::f64::consts::PI.powi(2) / 6.0).abs() < 1e-12);
        assert!((trigamma(0.5) - std::f64::consts::PI.powi(2) / 2.0).abs() < 1e-12);
        for x in [0.01, 0.5, 1.0, 7.5, 400.0] {
            assert!(
                (trigamma_inverse(trigamma(x)) / x - 1.0).abs() < 1e-9,
                "{x}"
            );
        }
    }

    #[test]
    fn few_comparisons_say_nothing_of_each_other() {
        let centre = Centre::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(Prior::of(&[centre; LEAST - 1]), None);
        let one = Centre::of(&[1.0]).unwrap();
        assert_eq!(Prior::of(&[one; 20]), None);
    }

    /// Where all scatter alike, each gets what all together know.
    #[test]
    fn equal_comparisons_are_pooled() {
        let centre = Centre::of(&[1.0, 2.0, 3.0]).unwrap();
        let prior = Prior::of(&[centre; 10]).unwrap();
        let (variance, freedom) = prior.moderate(&centre);
        assert_eq!(freedom, 20.0);
        assert!((0.2..1.0).contains(&variance), "{variance}");
    }
}
