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
    programs: &[Program::of::<Processors>()],
};

/// The form that an experiment has beside its own if one of its claims is [controlled](Control) by
/// this.
pub const FORM: Form = Form::new(IN_TURNS, "processors:turns=6", 2).on(BOTH);

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

const AVAILABLE: Rule = AtMost(0.75);

const IN_TURNS: &str = "computing outside of the heap, one thread and two, in turns";

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
        trial.processors(BOTH, 510);
        trial.holds([0]);
        trial.processors(RC, 1_000);
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
        trial.processors(BOTH, 980);
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
            let has = experiment.forms.iter().any(|form| form.name == IN_TURNS);
            let claims = experiment
                .claims
                .iter()
                .filter(|claim| claim.control.is_some());
            let claims = claims.count();
            assert_eq!(
                has,
                claims > 0 || experiment.name == "processors",
                "{}",
                experiment.name
            );
            controlled += claims;
        }
        assert!(controlled > 30, "{controlled}");
    }
}
