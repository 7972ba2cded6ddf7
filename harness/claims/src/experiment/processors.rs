#![doc = include_str!("processors.md")]

use std::hint::black_box;

use super::prelude::*;
use crate::claim::{Control, Rule, Verdict};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "processors",
    summary: "whether two threads that share nothing get two processors here: a control",
    explanation: include_str!("processors.md"),
    forms: &[FORM],
    claims: &[
        // Half on two whole processors, and more on two that share what computes.
        Claim::new("two threads that share nothing and touch no heap compute faster than one")
            .ours()
            .measured("time of two threads / of one, all turns together")
            .value(ALL_TO_ONE_IN_TOTAL, IN_TURNS)
            .both(AVAILABLE),
    ],
    programs: &[Program::of::<Processors>(), Program::of::<TreesOutside>()],
};

/// The form that an experiment has beside its own if one of its claims is [controlled](Control) by
/// this.
pub const FORM: Form = Form::new(IN_TURNS, "processors:turns=6", 2).on(BOTH);

/// The form that an experiment has beside its own if one of its claims is controlled by
/// [`TO_GAIN_WITH_MEMORY`].
pub const MEMORY_FORM: Form = Form::new(WITH_MEMORY, "trees-outside:turns=4", 2)
    .on(BOTH)
    .small("depth=11")
    .full("depth=16");

/// Of claims that several threads gain something: on one processor they do not.
pub const TO_GAIN: Control = Control {
    figure: Figure::Value(ALL_TO_ONE_IN_TOTAL, IN_TURNS),
    rule: AVAILABLE,
    fakes: &[Verdict::Fails],
    lacking: "two threads get no two processors",
};

/// Of claims that several threads gain nothing, or stand in each other's way: on one processor that
/// is so without any lock.
pub const TO_LOSE: Control = Control {
    fakes: &[Verdict::Holds],
    ..TO_GAIN
};

/// Of claims about when threads run and wait, which a processor that is taken changes either way.
pub const TO_RUN: Control = Control {
    fakes: &[Verdict::Holds, Verdict::Fails],
    ..TO_GAIN
};

/// Of claims that threads gain something which make and drop objects all the time: where two
/// processors share a core, its caches, or the way to memory with others, they do not, whatever
/// runs on them.
pub const TO_GAIN_WITH_MEMORY: Control = Control {
    figure: Figure::Value(ALL_TO_ONE, WITH_MEMORY),
    lacking: "two threads that work on memory of their own get no two processors",
    ..TO_GAIN
};

const AVAILABLE: Rule = AtMost(0.75);

const IN_TURNS: &str = "computing outside of the heap, one thread and two, in turns";

const WITH_MEMORY: &str = "trees outside of the heap, one thread and two, in turns";

/// See the [module documentation](self).
pub struct Processors;

impl Workload for Processors {
    const NAME: &'static str = "processors";
    const SUMMARY: &'static str =
        "computing on one thread and on several, without a heap, in turns";
    const OPERATION: &'static str = "step";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("steps", [10_000, 4_000_000, 40_000_000])
            .range(1, 1_000_000_000_000)
            .doc("over all threads"),
        TURNS,
    ];

    fn heap_bytes(_: &Input) -> u64 {
        // What it touches is the stack.
        1 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        in_turns(heap, input, |heap, input| {
            let steps = input.get("steps");
            let sums = on_threads(heap, input.threads, |m, thread| {
                let mine = share(steps, input.threads, thread);
                Ok(m.blocking(|| chain(mine.end - mine.start)))
            })?;
            Ok(Outcome::new(digest(sums), steps))
        })
    }
}

/// Trees that the system's allocator makes, in place of a heap.
pub struct TreesOutside;

impl Workload for TreesOutside {
    const NAME: &'static str = "trees-outside";
    const SUMMARY: &'static str =
        "trees of the system's allocator, on one thread and on several, in turns";
    const OPERATION: &'static str = "node";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("depth", [6, 13, 16])
            .range(4, 28)
            .doc("depth of the largest trees"),
        TURNS,
    ];

    fn heap_bytes(_: &Input) -> u64 {
        // What it touches is no heap's.
        1 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        in_turns(heap, input, |heap, input| {
            let deepest = input.get("depth") as u32;
            let counts = on_threads(heap, input.threads, |m, thread| {
                Ok(m.blocking(|| build_and_drop(deepest, input.threads, thread)))
            })?;
            let nodes = counts.iter().sum();
            Ok(Outcome::new(mix(nodes), nodes))
        })
    }
}

struct Tree([Option<Box<Self>>; 2]);

impl Tree {
    fn new(depth: u32) -> Box<Self> {
        let child = || (depth > 0).then(|| Self::new(depth - 1));
        Box::new(Self([child(), child()]))
    }

    fn nodes(&self) -> u64 {
        1 + self
            .0
            .iter()
            .flatten()
            .map(|child| child.nodes())
            .sum::<u64>()
    }
}

/// One thread's part of the short-lived trees of `binary-trees`: how many nodes it counted.
fn build_and_drop(deepest: u32, threads: usize, thread: usize) -> u64 {
    let trees = (4..=deepest).step_by(2).flat_map(|depth| {
        let of_this_depth = share(1 << (deepest - depth + 4), threads, thread);
        of_this_depth.map(move |_| black_box(Tree::new(depth)).nodes())
    });
    trees.sum()
}

/// Steps of which each needs the one before.
fn chain(steps: u64) -> u64 {
    (0..steps).fold(1, |at, _| black_box(mix(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::EXPERIMENTS;
    use crate::trial::{MARKSWEEP, RC, Trial};

    #[test]
    fn the_verdict_follows_the_times() {
        let mut trial = Trial::of("processors");
        trial.control(&FORM, BOTH, 510);
        trial.holds([0]);
        trial.control(&FORM, RC, 1_000);
        trial.fails([0]);
    }

    /// Neither a claim that threads gain nothing, nor one that they do, is decided by a machine
    /// that has one processor for them; what it cannot fake is.
    #[test]
    fn what_one_processor_can_fake_is_undecided_without_a_second_one() {
        let mut trial = Trial::of("scaling");
        let scaling = "one thread and two, in turns";
        trial.turns(scaling, RC, 1_000, 1_020);
        trial.turns(scaling, MARKSWEEP, 1_000, 1_000);
        trial.holds([0]);
        trial.fails([1]);
        trial.control(&FORM, BOTH, 980);
        trial.undecided([0]);
        trial.fails([1]);
        // Two that compute side by side, and do not when they work on memory.
        trial.control(&FORM, BOTH, 510);
        trial.control(&MEMORY_FORM, BOTH, 980);
        trial.holds([0]);
        trial.undecided([1]);
        trial.control(&FORM, BOTH, 980);
        trial.undecided([0, 1]);
        trial.turns(scaling, BOTH, 1_000, 500);
        trial.fails([0]);
        trial.holds([1]);
        // What was not measured was not shown.
        trial.turns(scaling, RC, 1_000, 1_020);
        trial.plant(IN_TURNS, BOTH, |metrics| metrics.observations.clear());
        trial.undecided([0]);
        trial.holds([1]);
    }

    /// A control that an experiment's rows have no figure for would withhold its claims for ever.
    #[test]
    fn whoever_is_controlled_has_the_control_among_its_forms() {
        let mut controlled = 0;
        for experiment in EXPERIMENTS {
            for form in [IN_TURNS, WITH_MEMORY] {
                let has = experiment.forms.iter().any(|known| known.name == form);
                let controls = experiment.claims.iter().filter_map(|claim| claim.control);
                let controls = controls.filter(
                    |control| matches!(control.figure, Figure::Value(_, name) if name == form),
                );
                let claims = controls.count();
                assert_eq!(
                    has,
                    claims > 0 || experiment.name == "processors" && form == IN_TURNS,
                    "{}: {form}",
                    experiment.name
                );
                controlled += claims;
            }
        }
        assert!(controlled > 30, "{controlled}");
    }
}
