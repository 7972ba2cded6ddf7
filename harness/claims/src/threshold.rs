//! `threshold`: *mark-sweep runs when memory passes a threshold; one flag a live object, set from
//! the roots, and what has none is swept.*
//!
//! The documents describe the algorithm. Here its behaviour is held against the description: a live
//! set of one size has its objects replaced at random ([`replacement`](super::replacement)) in
//! heaps of different sizes, and collections are counted, not timed.
//!
//! * While the garbage fits under the threshold, there must be *no* collection at all.
//! * In a heap of four times the live set three times as much memory is free as in one of twice, so
//!   that a collection is due a third as often; at most half as often is what the claim says, since
//!   the first one comes later than the others and the last one may not come at all.
//! * What the last collection found alive must be what lives, neither less (it would be a fault)
//!   nor more (not every dead object lost its flag).
//! * Counting has no such threshold: its cycle collector is due after a number of allocations,
//!   whatever the memory.
//!
//! The mark-sweep is the one described, `generations=off`. A JVM's collectors have generations,
//! each with a threshold of its own, and CPython's collections are of cycles: where they differ
//! from the heap that stands for them, that is what the columns are for. Neither says what a
//! collection found alive.
//!
//! It does not show what a collection costs; see `stop-the-world`.
//!
//! Rejected: heaps that grow (their threshold moves with what lives, and says more about the policy
//! than about the algorithm).

use super::{AS_DESCRIBED, Claim, Experiment, Form, Quantity, Rule, Unit};
use crate::invocation::Metrics;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "threshold",
    summary: "what makes a collection due, and what it finds",
    explanation: "The objects of a table are replaced at random and collections are counted: once with so little garbage that it fits beside the live set, and then eight \
times over in heaps of twice and of four times the live set. Mark-sweep should not collect at all in the first, and at most half as often with the larger heap as with the smaller; what its last \
collection marked should be what lives. Counting's cycle collections should depend on how many objects are made and not on how large the heap is. One collection before the \
memory is used up, or as many with more memory, would make the claims false. It does not show what a collection costs.",
    forms: &[
        Form::new(
            LITTLE,
            "replacement:live=4000,words=32,multiple=4,replaced=50",
            1,
        )
        .sized("live=8000,replaced=50", "live=20000,replaced=50")
        .with_heaps(AS_DESCRIBED),
        Form::new(
            TWICE,
            "replacement:live=4000,words=32,multiple=2,replaced=400",
            1,
        )
        .sized("live=8000,replaced=600", "live=20000,replaced=800")
        .with_heaps(AS_DESCRIBED),
        Form::new(
            FOUR_TIMES,
            "replacement:live=4000,words=32,multiple=4,replaced=400",
            1,
        )
        .sized("live=8000,replaced=600", "live=20000,replaced=800")
        .with_heaps(AS_DESCRIBED),
    ],
    claims: &[
        Claim {
            statement: "there is no collection as long as the garbage fits under the threshold",
            document: "described",
            measured: "collections while half the live set is replaced in a heap of 4 x",
            unit: Unit::Count,
            figure: |evidence| evidence.largest((LITTLE, Quantity::Collections)),
            counting: None,
            tracing: Some(Rule::AtMost(0.0)),
        },
        Claim {
            statement: "the more memory is free, the fewer collections; counting's depend on what is allocated",
            document: "described",
            measured: "collections in a heap of 2 x / of 4 x the live set",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio(
                    (TWICE, Quantity::Collections),
                    (FOUR_TIMES, Quantity::Collections),
                )
            },
            counting: Some(Rule::Within(0.9, 1.1)),
            tracing: Some(Rule::AtLeast(2.0)),
        },
        Claim {
            statement: "what is flagged is what the roots reach, and nothing else stays",
            document: "described",
            measured: "marked by the last collection / live set",
            unit: Unit::Ratio,
            figure: |evidence| evidence.value((TWICE, Quantity::Of(marked_over_live))),
            counting: None,
            tracing: Some(Rule::Within(0.98, 1.02)),
        },
    ],
    program: None,
};

const LITTLE: &str = "little garbage";
const TWICE: &str = "twice the live set";
const FOUR_TIMES: &str = "four times the live set";

/// What the last collection that is logged found alive, as a multiple of the live set.
fn marked_over_live(metrics: &Metrics) -> Option<f64> {
    let marked = metrics.collections_log.last()?.after_bytes?;
    let live = *metrics.observations.get("live_object_bytes")?;
    (live > 0).then(|| marked as f64 / live as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, trial::Trial};

    const TRACING: &str = "gc-marksweep:generations=off";

    /// When they collect does not depend on time.
    #[test]
    fn heaps_do_what_the_claims_say() {
        let mut trial = Trial::of("threshold");
        for claim in 0..3 {
            let judged = trial.judged();
            assert_eq!(trial.verdict(claim), Verdict::Holds, "{:?}", judged[claim]);
        }
        // A collection that was not due.
        trial.plant(LITTLE, TRACING, |metrics| metrics.collections = 1);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        // A mark-sweep that does not care how much memory there is.
        trial.plant(FOUR_TIMES, TRACING, |metrics| metrics.collections = 10);
        trial.plant(TWICE, TRACING, |metrics| metrics.collections = 10);
        assert_eq!(trial.verdict(1), Verdict::Fails);
        // One that leaves garbage flagged.
        trial.plant(TWICE, TRACING, |metrics| {
            for record in &mut metrics.collections_log {
                record.after_bytes = record.after_bytes.map(|bytes| bytes * 2);
            }
        });
        assert_eq!(trial.verdict(2), Verdict::Fails);
    }

    #[test]
    fn countings_collections_must_not_depend_on_memory() {
        let mut trial = Trial::of("threshold");
        trial.plant(TWICE, "gc-rc", |metrics| metrics.collections = 30);
        trial.plant(FOUR_TIMES, "gc-rc", |metrics| metrics.collections = 10);
        assert_eq!(trial.verdict(1), Verdict::Fails);
    }
}
