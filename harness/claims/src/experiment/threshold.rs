#![doc = include_str!("threshold.md")]

use super::prelude::*;
use super::replacement::LIVE_OBJECT_BYTES;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "threshold",
    summary: "what makes a collection due, and what it finds",
    explanation: include_str!("threshold.md"),
    forms: &[
        Form::new(LITTLE, "replacement", 1)
            .with("live=4000,words=32,multiple=4,replaced=50")
            .small("live=8000,replaced=50")
            .full("live=20000,replaced=50")
            .with_heaps(AS_DESCRIBED),
        Form::new(TWICE, "replacement", 1)
            .with("live=4000,words=32,multiple=2,replaced=400")
            .small("live=8000,replaced=600")
            .full("live=20000,replaced=800")
            .with_heaps(AS_DESCRIBED),
        Form::new(FOUR_TIMES, "replacement", 1)
            .with("live=4000,words=32,multiple=4,replaced=400")
            .small("live=8000,replaced=600")
            .full("live=20000,replaced=800")
            .with_heaps(AS_DESCRIBED),
    ],
    claims: &[
        Claim::new("there is no collection as long as the garbage fits under the threshold")
            .documents("described")
            .measured("collections while half the live set is replaced in a heap of 4 x")
            .largest(Collections, &[LITTLE])
            .tracing(AtMost(0.0)),
        Claim::new(
            "the more memory is free, the fewer collections; \
             counting's depend on what is allocated",
        )
        .documents("described")
        .measured("collections in a heap of 2 x / of 4 x the live set")
        .ratio(Collections, TWICE, FOUR_TIMES)
        .counting(Within(0.9, 1.1))
        .tracing(AtLeast(2.0)),
        Claim::new("what is flagged is what the roots reach, and nothing else stays")
            .documents("described")
            .measured("marked by the last collection / live set")
            .value(Per(&MARKED, &Observed(LIVE_OBJECT_BYTES)), TWICE)
            .tracing(Within(0.98, 1.02)),
    ],
    program: None,
};

const LITTLE: &str = "little garbage";
const TWICE: &str = "twice the live set";
const FOUR_TIMES: &str = "four times the live set";

/// What the last collection that is logged found alive.
const MARKED: Quantity = Of(Unit::Bytes, |row| {
    Some(row.collections_log.last()?.after_bytes? as f64)
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    /// When they collect does not depend on time.
    #[test]
    fn heaps_do_what_the_claims_say() {
        let mut trial = Trial::of("threshold");
        trial.holds(0..3);
        // A collection that was not due.
        trial.plant(LITTLE, MARKSWEEP, |metrics| metrics.collections = 1);
        trial.fails([0]);
        // A mark-sweep that does not care how much memory there is.
        trial.plant(FOUR_TIMES, MARKSWEEP, |metrics| metrics.collections = 10);
        trial.plant(TWICE, MARKSWEEP, |metrics| metrics.collections = 10);
        trial.fails([1]);
        // One that leaves garbage flagged.
        trial.plant(TWICE, MARKSWEEP, |metrics| {
            for record in &mut metrics.collections_log {
                record.after_bytes = record.after_bytes.map(|bytes| bytes * 2);
            }
        });
        trial.fails([2]);
    }

    #[test]
    fn countings_collections_must_not_depend_on_memory() {
        let mut trial = Trial::of("threshold");
        trial.plant(TWICE, RC, |metrics| metrics.collections = 30);
        trial.plant(FOUR_TIMES, RC, |metrics| metrics.collections = 10);
        trial.fails([1]);
    }
}
