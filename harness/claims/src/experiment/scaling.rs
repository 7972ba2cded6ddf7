#![doc = include_str!("scaling.md")]

use super::prelude::*;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "scaling",
    summary: "trees built and dropped on one thread and on two",
    explanation: include_str!("scaling.md"),
    forms: &[
        Form::new(ONE, "binary-trees", 1)
            .small("depth=15")
            .full("depth=15"),
        Form::new(TWO, "binary-trees", 2)
            .small("depth=15")
            .full("depth=15"),
    ],
    claims: &[Claim::new(
        "with no lock on the runtime threads run in parallel, and with one they do not",
    )
    .measured("time of two threads / of one")
    .ratio(Wall, TWO, ONE)
    .counting(AtLeast(0.9))
    .tracing(AtMost(0.75))],
    program: None,
};

const ONE: &str = "one thread";
const TWO: &str = "two threads";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    #[test]
    fn the_verdict_follows_the_times() {
        let mut trial = Trial::of("scaling");
        trial.wall(ONE, BOTH, 1_000);
        trial.wall(TWO, RC, 1_020);
        trial.wall(TWO, MARKSWEEP, 560);
        trial.holds([0]);
        // Threads that run side by side under a lock, and that do not without one.
        trial.wall(TWO, RC, 560);
        trial.fails([0]);
        trial.wall(TWO, RC, 1_020);
        trial.wall(TWO, MARKSWEEP, 1_000);
        trial.fails([0]);
    }
}
