//! Numbers with Zipf's distribution: the *i*-th most popular of n with probability proportional to 1 / i^0.99.
//!
//! The method is that of Gray, Sundaresan, Englert, Baclawski and Weinberger, *Quickly Generating Billion-Record Synthetic Databases* (SIGMOD 1994), which
//! YCSB made popular with this exponent. It is an approximation: exact for the two most popular, close for the others.
//!
//! The exponent is fixed because 1 / (1 - 0.99) is the whole number 100: a draw takes multiplications only, and does not depend on a mathematical library.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

const EXPONENT: f64 = 0.99;
/// 1 / (1 - [`EXPONENT`]).
const POWER: i32 = 100;

/// The distribution over `0..n`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zipf {
    n: f64,
    /// The sum of all weights.
    sum: f64,
    eta: f64,
}

impl Zipf {
    /// Over `0..n`, n at least 1.
    pub(super) fn new(n: u64) -> Self {
        let sum = weights(n);
        let n = n as f64;
        let eta = (1.0 - (2.0 / n).powf(1.0 - EXPONENT)) / (1.0 - weights(2) / sum);
        Self { n, sum, eta }
    }

    /// A number below n, 0 being the most popular.
    #[inline]
    pub(super) fn draw(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        let uniform = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let weight = uniform * self.sum;
        let rank = if weight < 1.0 {
            0.0
        } else if weight < weights_of_two() {
            1.0
        } else {
            self.n * (self.eta * uniform - self.eta + 1.0).powi(POWER)
        };
        rank.min(self.n - 1.0) as u64
    }
}

/// 1 + 2^-0.99.
const fn weights_of_two() -> f64 {
    1.503_477_774_783_285
}

/// The sum of i^-0.99 for i from 1 to `n`: the first thousand one by one, the others by the Euler-Maclaurin formula.
fn weights(n: u64) -> f64 {
    let weight = |i: f64| i.powf(-EXPONENT);
    let exact = n.min(1000);
    let head: f64 = (1..=exact).map(|i| weight(i as f64)).sum();
    let (from, to) = (exact as f64, n as f64);
    let integral = (to.powf(1.0 - EXPONENT) - from.powf(1.0 - EXPONENT)) / (1.0 - EXPONENT);
    head + integral + (weight(to) - weight(from)) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::generator;

    #[test]
    fn the_sum_is_that_of_the_weights() {
        for n in [1u64, 2, 999, 1000, 1001, 200_000] {
            let one_by_one: f64 = (1..=n).map(|i| (i as f64).powf(-EXPONENT)).sum();
            assert!((weights(n) - one_by_one).abs() < 1e-6 * one_by_one, "{n}");
        }
        assert!(
            (weights(2) - weights_of_two()).abs() < 1e-9,
            "{}",
            weights(2)
        );
    }

    #[test]
    fn frequencies_are_those_of_the_weights() {
        const DRAWS: usize = 1_000_000;
        let zipf = Zipf::new(1000);
        let mut random = generator(1, 0);
        let mut counts = [0u32; 1000];
        for _ in 0..DRAWS {
            counts[zipf.draw(&mut random) as usize] += 1;
        }
        let share = |from: usize, until: usize| {
            let drawn: u32 = counts[from..until].iter().sum();
            let weights: f64 = (from + 1..=until).map(|i| (i as f64).powf(-EXPONENT)).sum();
            (f64::from(drawn) / DRAWS as f64, weights / zipf.sum)
        };
        for (from, until, tolerance) in [
            (0, 1, 0.01),
            (1, 2, 0.02),
            (2, 10, 0.15),
            (10, 100, 0.1),
            (100, 1000, 0.1),
        ] {
            let (drawn, expected) = share(from, until);
            assert!(
                (drawn / expected - 1.0).abs() < tolerance,
                "{from}..{until}: {drawn} {expected}"
            );
        }
        assert_eq!(Zipf::new(1).draw(&mut random), 0);
    }
}
