#![doc = include_str!("scaling.md")]

use super::prelude::*;
use super::processors;
use crate::workload::binary_trees::BinaryTrees;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "scaling",
    summary: "trees built and dropped on one thread and on two",
    explanation: include_str!("scaling.md"),
    forms: &[
        processors::FORM,
        processors::MEMORY_FORM,
        Form::new(IN_TURNS, "binary-trees-in-turns:turns=2", 2)
            .with_heaps(COUNTING)
            .small("depth=13")
            .full("depth=15"),
        Form::new(IN_TURNS, "binary-trees-in-turns:turns=4", 2)
            .on(FREE)
            .small("depth=14")
            .full("depth=16"),
    ],
    claims: &[
        Claim::new("under a lock two threads that share no object take as long as one")
            .judges(&["000.2", "001.1"])
            .measured(MEASURED)
            .value(ALL_TO_ONE_IN_TOTAL, IN_TURNS)
            .controlled(&processors::TO_LOSE)
            .counting(AtLeast(0.9)),
        Claim::new("with no lock on the runtime two threads that share no object run in parallel")
            .judges(&["000.15", "001.8"])
            .measured("time of two threads / of one, fastest turns")
            .value(ALL_TO_ONE, IN_TURNS)
            .controlled(&processors::TO_GAIN_WITH_MEMORY)
            .tracing(AtMost(0.75)),
    ],
    programs: &[Program::of::<TreesInTurns>()],
};

const MEASURED: &str = "time of two threads / of one";

const IN_TURNS: &str = "one thread and two, in turns";

/// The workload binary-trees on one thread and on several, in turns.
pub struct TreesInTurns;

impl Workload for TreesInTurns {
    const NAME: &'static str = "binary-trees-in-turns";
    const SUMMARY: &'static str = "binary-trees on one thread and on several, in turns";
    const OPERATION: &'static str = BinaryTrees::OPERATION;
    const PARAMETERS: &'static [Parameter] = &[BinaryTrees::PARAMETERS[0], TURNS];

    fn heap_bytes(input: &Input) -> u64 {
        BinaryTrees::heap_bytes(input)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        in_turns(heap, input, BinaryTrees::run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    #[test]
    fn the_verdict_follows_the_times() {
        let mut trial = Trial::of("scaling");
        trial.turns(IN_TURNS, RC, 1_000, 1_020);
        trial.turns(IN_TURNS, MARKSWEEP, 1_000, 560);
        trial.holds(0..2);
        // Threads that run side by side under a lock, and that do not without one.
        trial.turns(IN_TURNS, RC, 1_000, 560);
        trial.fails([0]);
        trial.turns(IN_TURNS, MARKSWEEP, 1_000, 1_000);
        trial.fails([1]);
    }
}
