//! `scaling`: with no lock on the runtime, threads run in parallel. Its program is the workload
//! `binary-trees`.
//!
//! The documents say it of Java, without a figure, as the other half of what they say of the global
//! lock: threads that share nothing should take half of the time on two processors.
//!
//! Trees are built, walked and dropped beside one that stays: the same number on one thread, and
//! split over two. Objects are allocated and die all the time, so that the threads share what a
//! runtime always shares: its memory, its collector, and whatever stops them. Trees are 15 levels
//! deep, which CPython does in seconds; the tree that stays and the first one are built on one
//! thread in both forms, 3 % of the nodes.
//!
//! It shows whether a runtime lets threads run side by side that allocate. A ratio of 0.5 is what
//! two processors could give at best; what is missing is the collections, which stop both, and the
//! machine's memory and caches, which two threads share. It does not show threads that share
//! objects.

use super::{Claim, Experiment, Form, Quantity, Rule, Unit};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "scaling",
    summary: "trees built and dropped on one thread and on two",
    explanation: "Binary trees are built, walked and dropped, by one thread and by two that share the same work and no tree. With a lock on the \
runtime two threads should take as long as one; with none they should be clearly faster, though not twice as fast: a collection stops both, and \
they share the memory of the machine. The claim would be false if two free threads took more than three quarters of the time of one, or if two \
under the lock were faster than nine tenths. It does not show threads that share objects, nor more than two.",
    forms: &[
        Form::new(ONE, "binary-trees", 1).sized("depth=15", "depth=15"),
        Form::new(TWO, "binary-trees", 2).sized("depth=15", "depth=15"),
    ],
    claims: &[Claim {
        statement: "with no lock on the runtime threads run in parallel, and with one they do not",
        document: "no figure",
        measured: "time of two threads / of one",
        unit: Unit::Ratio,
        figure: |evidence| evidence.ratio((TWO, Quantity::Wall), (ONE, Quantity::Wall)),
        counting: Some(Rule::AtLeast(0.9)),
        tracing: Some(Rule::AtMost(0.75)),
    }],
    program: None,
};

const ONE: &str = "one thread";
const TWO: &str = "two threads";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, trial::Trial};

    #[test]
    fn the_verdict_follows_the_times() {
        let mut trial = Trial::of("scaling");
        for (counting, tracing, expected) in [
            (1_020, 560, Verdict::Holds),
            // Threads that run side by side under a lock, and that do not without one.
            (560, 560, Verdict::Fails),
            (1_020, 1_000, Verdict::Fails),
        ] {
            for (heap, two) in [("gc-rc", counting), ("gc-marksweep", tracing)] {
                trial.plant_wall(ONE, heap, 1_000);
                trial.plant_wall(TWO, heap, two);
            }
            assert_eq!(trial.verdict(0), expected);
        }
    }
}
