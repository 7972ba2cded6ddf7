#![doc = include_str!("io_bound.md")]

use super::prelude::*;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "io-bound",
    summary: "twenty tasks that compute and wait, one after another and on twenty threads",
    explanation: include_str!("io_bound.md"),
    forms: &[Form::new(IN_TURNS, "cpu-bound:turns=2,sleep-us=100", 20)
        .small("increments=50000,sleep-us=500")
        .full("sleep-us=5000")],
    claims: &[
        Claim::new("under the lock twenty threads that wait are faster than one")
            .judges(&["000.10", "001.5", "002.4", "004.3"])
            .documents("9.99, 9.93, 10.23 s -> 7.46, 7.33, 7.62 s: 0.74 to 0.75")
            .measured(MEASURED)
            .value(ALL_TO_ONE, IN_TURNS)
            .counting(AtMost(0.9)),
        Claim::new("where threads run freely twenty that wait are faster than one")
            .judges(&["001.8"])
            .measured(MEASURED)
            .value(ALL_TO_ONE, IN_TURNS)
            .tracing(AtMost(0.9)),
    ],
    programs: &[],
};

const MEASURED: &str = "time of twenty threads / of one after another";

const IN_TURNS: &str = "20 tasks on one thread and on twenty, in turns";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("io-bound");
        // The documents' figures, in milliseconds.
        trial.turns(IN_TURNS, BOTH, 9_990, 7_460);
        trial.holds(0..2);
        // A lock that is kept while its holder waits, and threads that wait for each other.
        trial.turns(IN_TURNS, BOTH, 9_990, 9_900);
        trial.fails(0..2);
    }
}
