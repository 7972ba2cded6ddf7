//! Numbers with Zipf's distribution: the *i*-th most popular of n with probability proportional to
//! 1 / i^0.99.
//!
//! The method is that of Gray, Sundaresan, Englert, Baclawski and Weinberger, *Quickly Generating
//! Billion-Record Synthetic Databases* (SIGMOD 1994), which YCSB made popular with this exponent.
//! It is an approximation: exact for the two most popular, close for the others.
//!
//! The exponent is fixed because 1 / (1 - 0.99) is the whole number 100: all that is needed of
//! powers is the hundredth, by multiplication, and the hundredth root, by Newton's method. Draws
//! decide what is allocated, and must be the same on every machine and in the programs of
//! [peers](crate::peer), in other languages. So nothing but the basic operations of IEEE 754 is
//! used, which round alike everywhere, in an order that the programs keep to. Rejected: the power
//! function, whose last bit depends on the mathematical library.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

/// 1 / (1 - 0.99).
const POWER: f64 = 100.0;

/// The distribution over `0..n`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zipf {
    n: f64,
    /// The sum of all weights.
    sum: f64,
    /// The sum of the first two, were n at least 2.
    first_two: f64,
    eta: f64,
}

impl Zipf {
    /// Over `0..n`, n at least 1.
    pub(super) fn new(n: u64) -> Self {
        let sum = weights(n);
        let first_two = weights(2);
        let n = n as f64;
        let eta = (1.0 - root(2.0) / root(n)) / (1.0 - first_two / sum);
        Self {
            n,
            sum,
            first_two,
            eta,
        }
    }

    /// A number below n, 0 being the most popular.
    #[inline]
    pub(super) fn draw(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        let uniform = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let weight = uniform * self.sum;
        let rank = if weight < 1.0 {
            0.0
        } else if weight < self.first_two {
            1.0
        } else {
            self.n * power(self.eta * uniform - self.eta + 1.0)
        };
        rank.min(self.n - 1.0) as u64
    }
}

/// The sum of i^-0.99 for i from 1 to `n`: the first thousand one by one, the others by the
/// Euler-Maclaurin formula.
fn weights(n: u64) -> f64 {
    let exact = n.min(1000);
    let mut head = 1.0;
    let mut last = 1.0;
    for i in 2..=exact {
        let i = i as f64;
        // (1 + x)^0.01 is at most 1 + 0.01 x (Bernoulli).
        last = root_from(last * (1.0 + 1.0 / (POWER * (i - 1.0))), i);
        head += last / i;
    }
    let (from, to) = (exact as f64, n as f64);
    let root_of_n = root(to);
    let integral = POWER * (root_of_n - last);
    head + integral + (root_of_n / to - last / from) / 2.0
}

/// `base`^100.
#[inline]
fn power(base: f64) -> f64 {
    let to_2 = base * base;
    let to_4 = to_2 * to_2;
    let to_8 = to_4 * to_4;
    let to_16 = to_8 * to_8;
    let to_32 = to_16 * to_16;
    let to_64 = to_32 * to_32;
    to_4 * to_32 * to_64
}

/// The hundredth root of `x`, which is at least 1.
#[inline]
fn root(x: f64) -> f64 {
    // No u64 has a larger one.
    root_from(2.0, x)
}

/// The hundredth root of `x`, approached from `above`: the power is convex, so each step of
/// Newton's method is one down, until rounding ends it.
#[inline]
fn root_from(above: f64, x: f64) -> f64 {
    let mut root = above;
    loop {
        let next = root - root * (1.0 - x / power(root)) / POWER;
        if next >= root {
            return root;
        }
        root = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{generator, mix};

    const EXPONENT: f64 = 0.99;

    #[test]
    fn the_sum_is_that_of_the_weights() {
        for n in [1u64, 2, 999, 1000, 1001, 200_000] {
            let one_by_one: f64 = (1..=n).map(|i| (i as f64).powf(-EXPONENT)).sum();
            assert!((weights(n) - one_by_one).abs() < 1e-6 * one_by_one, "{n}");
        }
    }

    #[test]
    fn roots_are_as_near_as_numbers_are() {
        for n in (1..2000).chain([4999, 1 << 20, 50_000_000, u64::from(u32::MAX)]) {
            let x = n as f64;
            let error = root(x) / x.powf(0.01) - 1.0;
            assert!(error.abs() < 1e-15, "{n}: {error}");
        }
    }

    /// The programs of peers draw the same ones.
    #[test]
    fn draws_are_the_same_everywhere() {
        let digest = |n: u64| {
            let zipf = Zipf::new(n);
            let mut random = generator(42, 0);
            (0..100_000).fold(0, |digest, _| mix(digest ^ zipf.draw(&mut random)))
        };
        let expected = [
            (2, 0x82c2_49d4_50f5_c95a),
            (3, 0xc6bf_efbf_9a89_a5d5),
            (248, 0x5c32_80f2_bad8_15df),
            (25_000, 0xad22_9e23_319f_b20d),
            (500_000, 0x9ef4_676f_6ee0_f802),
        ];
        for (n, expected) in expected {
            assert_eq!(digest(n), expected, "{n}");
        }
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
