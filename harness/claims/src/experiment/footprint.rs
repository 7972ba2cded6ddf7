#![doc = include_str!("footprint.md")]

use super::prelude::*;
use super::replacement::{LIVE_BYTES, Replacement};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "footprint",
    summary: "the most memory held, as a multiple of what lives",
    explanation: include_str!("footprint.md"),
    forms: &[
        Form::new(PLAIN, "replacement", 1)
            .with("live=1000,words=32,multiple=8,replaced=1000")
            .small("live=4000,words=32,replaced=1000")
            .full("live=30000,words=16,replaced=1000")
            .with_heaps(AS_DESCRIBED),
        Form::new(CYCLIC, "replacement", 1)
            .with("live=4000,words=8,multiple=8,replaced=400,cyclic=1")
            .small("live=20000,words=16,replaced=500")
            .full("live=30000,words=16,replaced=1000")
            .with_heaps(AS_DESCRIBED),
    ],
    claims: &[
        Claim::new("counting holds what lives, and tracing lets memory pile up")
            .measured("most memory held / live set, heap of 8 x")
            .value(OVER_LIVE, PLAIN)
            .counting(AtMost(1.5))
            .tracing(AtLeast(3.0)),
        // The oldest generation is due when a quarter as much is pending as was found alive.
        Claim::new("so does counting with cycles, until its cycle collector runs")
            .documents("(our addition)")
            .measured("the same of objects that refer to themselves")
            .value(OVER_LIVE, CYCLIC)
            .counting(AtLeast(1.25)),
    ],
    program: Some(Program::of::<Replacement>()),
};

const PLAIN: &str = "no cycles";
const CYCLIC: &str = "cycles";

const OVER_LIVE: Quantity = Per(&PeakHeap, &Observed(LIVE_BYTES));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{RC, Trial};

    /// Makes the most that was held a multiple of the live set, in per cent.
    fn plant(trial: &mut Trial, form: &str, heaps: &[&str], percent: u64) {
        trial.plant(form, heaps, |metrics| {
            metrics.peak_heap_bytes = metrics.observations[LIVE_BYTES] * percent / 100;
        });
    }

    /// What they hold does not depend on time.
    #[test]
    fn heaps_do_what_the_claims_say() {
        let mut trial = Trial::of("footprint");
        trial.holds([0]);
        // A counting heap that keeps its garbage.
        plant(&mut trial, PLAIN, RC, 300);
        trial.fails([0]);
        // A tracing one that keeps none.
        plant(&mut trial, PLAIN, BOTH, 110);
        trial.fails([0]);
    }

    #[test]
    fn cycles_pile_up() {
        let mut trial = Trial::of("footprint");
        trial.holds([1]);
        plant(&mut trial, CYCLIC, RC, 105);
        trial.fails([1]);
    }
}
