#![doc = include_str!("footprint.md")]

use super::prelude::*;
use super::replacement::{LIVE_BYTES, Replacement};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "footprint",
    summary: "the most memory held, as a multiple of what lives",
    explanation: include_str!("footprint.md"),
    forms: &[
        NO_CYCLES.with_heaps(GROWING),
        NO_CYCLES.on(UNLOCKED),
        Form::new(CYCLIC, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=4000,words=8,multiple=8,replaced=400,cyclic=1")
            .small("live=20000,words=16,replaced=500")
            .full("live=30000,words=16,replaced=1000")
            .with_heaps(EVERY_AS_DESCRIBED),
    ],
    claims: &[
        Claim::new("counting takes memory back at once: it holds hardly more than what lives")
            .judges(&["000.16"])
            .measured(MEASURED)
            .value(OVER_LIVE, PLAIN)
            .counting(AtMost(1.5)),
        // What is no more than half as much again would not be called a pile: rounding and holes
        // come to so much.
        Claim::new("mark-sweep lets memory pile up in a heap that grows as it needs")
            .judges(&["000.16"])
            .measured(MEASURED)
            .value(OVER_LIVE, PLAIN)
            .tracing(AtLeast(1.5)),
        // The oldest generation is due when a quarter as much is pending as was found alive.
        Claim::new("counting lets cycles pile up until its cycle collector runs")
            .ours()
            .measured("most memory held / live set, of objects that refer to themselves")
            .value(OVER_LIVE, CYCLIC)
            .counting(AtLeast(1.25)),
    ],
    programs: &[Program::of::<Replacement>()],
};

const NO_CYCLES: Form = Form::new(PLAIN, "replacement", 1)
    .few()
    .warmed_up()
    .with("live=20000,words=32,multiple=32,replaced=400")
    .small("live=20000,words=32,replaced=400")
    .full("live=60000,words=16,replaced=1000");

/// Their limit is far beyond what they need; the mark-sweep is the one described, and collects when
/// twice as much is held as its last collection found alive.
const GROWING: &[&str] = &["gc-rc", "gc-marksweep:generations=off,sizing=multiplier"];

const MEASURED: &str = "most memory held / live set, heap that may grow to 32 x";

const PLAIN: &str = "no cycles";
const CYCLIC: &str = "cycles";

const OVER_LIVE: Quantity = Per(&PeakHeap, &Observed(LIVE_BYTES));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

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
        trial.holds(0..2);
        // A counting heap that keeps its garbage, and a tracing one that keeps none.
        plant(&mut trial, PLAIN, RC, 300);
        plant(&mut trial, PLAIN, MARKSWEEP, 110);
        trial.fails(0..2);
    }

    #[test]
    fn cycles_pile_up() {
        let mut trial = Trial::of("footprint");
        trial.holds([2]);
        plant(&mut trial, CYCLIC, RC, 105);
        trial.fails([2]);
    }
}
