#![doc = include_str!("io_bound.md")]

use super::prelude::*;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "io-bound",
    summary: "twenty tasks that compute and wait, one after another and on twenty threads",
    explanation: include_str!("io_bound.md"),
    forms: &[
        Form::new(SEQUENTIAL, "cpu-bound:sleep-us=100", 1)
            .small(SMALL)
            .full(FULL),
        Form::new(THREADS, "cpu-bound:sleep-us=100", 20)
            .small(SMALL)
            .full(FULL),
        Form::new(COMPUTING, "cpu-bound", 1).small("increments=50000"),
    ],
    claims: &[
        Claim::new("threads gain where they wait, with the lock and without it")
            .documents("9.99, 9.93, 10.23 s -> 7.46, 7.33, 7.62 s: 0.74 to 0.75")
            .measured("time of twenty threads / of one after another")
            .ratio(Wall, THREADS, SEQUENTIAL)
            .both(AtMost(0.9)),
        Claim::new("what they gain under the lock is the waiting alone")
            .documents(
                "7.46, 7.33, 7.62 s with the waits, 7.90, 7.65, 7.72 s without: 0.94 to 0.99",
            )
            .measured("time of twenty threads that wait / of one after another without waits")
            .ratio(Wall, THREADS, COMPUTING)
            .counting(AtLeast(0.85)),
    ],
    program: None,
};

const SEQUENTIAL: &str = "one after another";
const THREADS: &str = "20 threads";
const COMPUTING: &str = "one after another without waits";
const SMALL: &str = "increments=50000,sleep-us=500";
const FULL: &str = "sleep-us=5000";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{RC, Trial};

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("io-bound");
        // The documents' figures, in microseconds.
        trial.wall(SEQUENTIAL, BOTH, 9_990_000);
        trial.wall(THREADS, BOTH, 7_460_000);
        trial.wall(COMPUTING, BOTH, 7_900_000);
        trial.holds(0..2);
        // A lock that is kept while its holder waits.
        trial.wall(THREADS, RC, 9_900_000);
        trial.fails([0]);
        // One that lets two compute at once.
        trial.wall(THREADS, RC, 4_000_000);
        trial.holds([0]);
        trial.fails([1]);
    }
}
