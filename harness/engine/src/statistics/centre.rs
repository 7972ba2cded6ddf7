//! Where a few values lie, and how sure that is: the trimmed mean.
//!
//! A fifth of all values but one is left out at either end, so that a process that the machine
//! disturbed, one in ten or so, neither moves the figure nor widens its interval. Of five values or
//! fewer none is left out. The standard error is that of the Winsorised values (Tukey and
//! McLaughlin, *Less Vulnerable Confidence and Significance Procedures for Location*, Sankhya 1963;
//! Yuen, *Biometrika* 1974), with one degree of freedom less than there are values left.
//!
//! Rejected: the mean (one process in ten that takes twice as long doubles the interval); the
//! median (at few values as unsure as the mean of two thirds of them); Hodges and Lehmann's
//! estimate (as good a figure, but no error of it is known that holds for three values).

/// Where some values lie. Of one value, its error is not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Centre {
    /// The trimmed mean.
    pub value: f64,
    /// How many values there were.
    pub n: usize,
    /// The squared standard error of the mean, as these values alone show it.
    pub(super) variance: f64,
    /// Degrees of freedom of that; zero of one value.
    pub(super) freedom: f64,
}

impl Centre {
    /// Of these values, which must be finite; `None` of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        let mut trimmed = n.checked_sub(1)? / 5;
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        if sorted[trimmed] == sorted[n - trimmed - 1] {
            // All but a few are the same: those few are all that is known of the scatter.
            trimmed = 0;
        }
        let kept = &sorted[trimmed..n - trimmed];
        let left = kept.len();
        let value = kept.iter().sum::<f64>() / left as f64;
        let (low, high) = (kept[0], kept[left - 1]);
        let winsorised = || sorted.iter().map(|value| value.clamp(low, high));
        let mean = winsorised().sum::<f64>() / n as f64;
        let squares: f64 = winsorised().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            value,
            n,
            variance: if left > 1 {
                squares / (left * (left - 1)) as f64
            } else {
                0.0
            },
            freedom: (left - 1) as f64,
        })
    }

    /// What it is above another centre that was not measured in the same rounds, where only their
    /// mean with others' is asked for: the errors add, and the freedom is the lesser.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        Self {
            value: self.value - other.value,
            n: self.n.min(other.n),
            variance: self.variance + other.variance,
            freedom: self.freedom.min(other.freedom),
        }
    }

    /// What a single process adds to the squared error, so that centres of many values and of few
    /// can be compared.
    pub(super) fn spread(&self) -> f64 {
        self.variance * self.n as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_values_it_is_the_mean() {
        assert_eq!(Centre::of(&[]), None);
        let one = Centre::of(&[3.0]).unwrap();
        assert_eq!((one.value, one.n, one.freedom), (3.0, 1, 0.0));
        let three = Centre::of(&[1.0, 2.0, 6.0]).unwrap();
        // The variance of the values is 7, of their mean a third of that.
        assert_eq!((three.value, three.n, three.freedom), (3.0, 3, 2.0));
        assert!((three.variance - 7.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn an_outlier_of_many_values_moves_nothing() {
        let mut values = [1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.0];
        let quiet = Centre::of(&values).unwrap();
        values[1] = 50.0;
        let disturbed = Centre::of(&values).unwrap();
        assert!(
            (disturbed.value - quiet.value).abs() < 0.02,
            "{disturbed:?}"
        );
        assert!(disturbed.variance < 2.0 * quiet.variance, "{disturbed:?}");
    }
}
