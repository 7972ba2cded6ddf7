//! `countdown`: the documents' first experiment on the global lock. Its program is the workload of that name.

use super::{Claim, Experiment, Form, Quantity, Rule, Unit};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "countdown",
    summary: "counting down on one thread and on two",
    explanation: "A counter of boxed integers is counted down, each step allocating a new integer and dropping the old one: on one thread, and the same \
total split over two. Under a global lock only its holder counts, so two threads take as long as one; where threads run freely they take half. It \
shows what the lock does to pure computation. It does not show what it does to programs that wait, nor what a bytecode interpreter costs. Two threads that \
take turns on two cores pay for moving from one to the other, which is the machine's price and not the lock's.",
    forms: &[
        Form::new(ONE, "countdown", 1).sized("total=4000000", "total=20000000"),
        Form::new(TWO, "countdown", 2).sized("total=4000000", "total=20000000"),
    ],
    claims: &[
        Claim {
            statement: "two threads count down no faster than one under the lock, and faster without",
            document: "2.188 s -> 2.197 s: 1.004",
            measured: "time of two threads / of one",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((TWO, Quantity::Wall), (ONE, Quantity::Wall)),
            counting: Some(Rule::AtLeast(0.95)),
            tracing: Some(Rule::AtMost(0.8)),
        },
        Claim {
            statement: "and hardly slower: handing the lock over costs next to nothing",
            document: "1.004",
            measured: "time of two threads / of one",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((TWO, Quantity::Wall), (ONE, Quantity::Wall)),
            counting: Some(Rule::AtMost(1.05)),
            tracing: None,
        },
    ],
    program: None,
};

const ONE: &str = "one thread";
const TWO: &str = "two threads";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Verdict, trial::Trial};

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("countdown");
        trial.plant_wall(ONE, "gc-rc", 1_000);
        trial.plant_wall(TWO, "gc-rc", 1_004);
        trial.plant_wall(ONE, "gc-marksweep", 1_000);
        trial.plant_wall(TWO, "gc-marksweep", 550);
        assert_eq!(trial.verdict(0), Verdict::Holds);
        assert_eq!(trial.verdict(1), Verdict::Holds);
        // Threads that gain nothing where they run freely.
        trial.plant_wall(TWO, "gc-marksweep", 1_000);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        trial.plant_wall(TWO, "gc-marksweep", 550);
        // A lock that lets two count at once, and one that is dear.
        trial.plant_wall(TWO, "gc-rc", 600);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        trial.plant_wall(TWO, "gc-rc", 1_400);
        assert_eq!(
            (trial.verdict(0), trial.verdict(1)),
            (Verdict::Holds, Verdict::Fails)
        );
    }
}
