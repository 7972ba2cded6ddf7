//! What equal things say of verdicts: how often there is one where there should be none, and how
//! large an effect must be to be found.
//!
//! Many rounds of equal things (A/A) are cut into runs of as many rounds as a comparison has, each
//! of which is judged as a comparison would be. An effect is *found* if a verdict names it; since a
//! ratio's interval moves with the ratio and keeps its width, the smallest effect that is found in
//! 95 % of the runs follows from where the intervals of equal things end.

use super::{Centre, Inference, Prior, Verdict, family};

/// What the runs say together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// Runs that the rounds were cut into.
    pub runs: usize,
    /// Verdicts that could have been made in them.
    pub verdicts: usize,
    /// How many were: all of them wrong.
    pub false_alarms: usize,
    /// Runs with any.
    pub runs_with_alarms: usize,
    /// The factor by which one comparison must differ to be found nineteen times in twenty.
    pub one: f64,
    /// The factor by which all must differ for their geometric mean to be found as often.
    pub all: f64,
}

/// Of the log ratios of pairs of equal things, by pair and round, cut into runs of `rounds` rounds,
/// at least two. `None` if they are fewer.
pub fn power(pairs: &[Vec<f64>], rounds: usize) -> Option<Power> {
    let least = pairs.iter().map(Vec::len).min()?;
    let runs = least / rounds;
    let mut power = Power {
        runs,
        verdicts: runs * pairs.len(),
        false_alarms: 0,
        runs_with_alarms: 0,
        one: 0.0,
        all: 0.0,
    };
    // By how much, as a logarithm, each would have had to be larger to be found.
    let (mut ones, mut alls) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let part = |pair: &Vec<f64>| Centre::of(&pair[run * rounds..(run + 1) * rounds]);
        let centres: Vec<Centre> = pairs.iter().filter_map(part).collect();
        let inference = Inference::new(Prior::of(&centres), 0.95);
        let alarms = |confidence: f64| {
            let at = inference.at(confidence);
            let verdicts = centres
                .iter()
                .map(move |centre| Verdict::of(at.ratio(centre)));
            verdicts
                .filter(|verdict| verdict.is_faster() || verdict.is_slower())
                .count()
        };
        let confidence = family::confidence(centres.len(), alarms);
        let found = alarms(confidence);
        power.false_alarms += found;
        power.runs_with_alarms += usize::from(found > 0);
        let lacking = |estimate: super::Estimate| estimate.interval.map(|(low, _)| -low.ln());
        // By the rule that a verdict on one of them is made by.
        let at = inference.at(confidence);
        ones.extend(
            centres
                .iter()
                .filter_map(|centre| lacking(at.ratio(centre))),
        );
        alls.extend(inference.mean(&centres).and_then(lacking));
    }
    power.one = nineteen_in_twenty(&mut ones)?.exp();
    power.all = nineteen_in_twenty(&mut alls)?.exp();
    Some(power)
}

/// The value that 95 % do not exceed.
fn nineteen_in_twenty(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(values[(last as f64 * 0.95).ceil() as usize].max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::workload::generator;
    use rand_xoshiro::rand_core::Rng;

    #[test]
    fn equal_things_raise_few_alarms_and_what_is_larger_than_their_noise_is_found() {
        let mut random = generator(3, 0);
        // Sums of twelve uniform numbers: near enough to normal, with a deviation of 0.1.
        let mut value = || {
            let sum: f64 = (0..12)
                .map(|_| random.next_u64() as f64 / u64::MAX as f64)
                .sum();
            0.1 * (sum - 6.0)
        };
        let pairs: Vec<Vec<f64>> = (0..20)
            .map(|_| (0..200).map(|_| value()).collect())
            .collect();
        let power = power(&pairs, 10).unwrap();
        assert_eq!((power.runs, power.verdicts), (20, 400));
        assert!(power.false_alarms <= 4, "{power:?}");
        // Half an interval of 20 verdicts is 3 x 0.1 / sqrt(10) = 0.095, and 95 % of the figures
        // lie below 0.052.
        assert!((1.12..1.20).contains(&power.one), "{power:?}");
        assert!((1.01..1.05).contains(&power.all), "{power:?}");
        assert_eq!(super::power(&pairs, 201), None);
        assert_eq!(super::power(&[], 10), None);
    }
}
