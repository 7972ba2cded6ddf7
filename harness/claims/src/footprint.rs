//! `footprint`: *reference counting reclaims at once; mark-sweep lets memory pile up.*
//!
//! The documents give no figure. Here a live set of one size has its objects replaced at random
//! ([`replacement`](super::replacement)) in a heap that could hold it eight times, and the most
//! that the heap ever held is compared with what it holds when there is nothing but the live set.
//! Both are what counts against the heap's limit, headers, rounding and metadata included, so that
//! a heap with large objects does not look as if it hoarded garbage. CPython's heap has no limit
//! and no count: its figures are by how much its process grew. A JVM's are what it has in use.
//!
//! It shows the claim because garbage is all that can make the two differ. That tracing fills the
//! heap it is given is not a defect but how it works: it collects when memory runs out, and so its
//! footprint is whatever it was allowed. What the claim says of counting is the stronger half, and
//! true only of garbage that counts can see. So the same is done with objects that each refer to
//! themselves: those stay until the cycle collector comes, which in CPython, and here, waits until
//! a quarter as many objects as it found alive the last time have grown old.
//!
//! It does not show fragmentation (all objects are of one size), nor what the memory that tracing
//! leaves lying buys in time.
//!
//! Rejected: resident sizes for our heaps (a page that has been touched stays resident, whoever
//! owns it); the mean over time, which on a heap that fills and empties is about half of the peak
//! and says nothing more.

use super::replacement::Replacement;
use super::{AS_DESCRIBED, Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::invocation::Metrics;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "footprint",
    summary: "the most memory held, as a multiple of what lives",
    explanation: "The objects of a table are replaced at random, ten times over, in a heap eight times as large as they are; the most that the heap ever held is \
divided by what it holds when there is only the live set, both in its own currency. Counting should need hardly more than what lives, and tracing what it was given, because it \
collects when that is used up; a peak of one and a half times the live set on counting, or of less than three times on tracing, would make the claims false. The second form does \
the same with objects that each refer to themselves, which counts cannot see die: they pile up until the cycle collector comes. It does not show what the memory buys in \
time, nor fragmentation.",
    forms: &[
        Form::new(
            PLAIN,
            "replacement:live=1000,words=32,multiple=8,replaced=1000",
            1,
        )
        .sized(
            "live=4000,words=32,replaced=1000",
            "live=30000,words=16,replaced=1000",
        )
        .with_heaps(AS_DESCRIBED),
        Form::new(
            CYCLIC,
            "replacement:live=4000,words=8,multiple=8,replaced=400,cyclic=1",
            1,
        )
        .sized(
            "live=20000,words=16,replaced=500",
            "live=30000,words=16,replaced=1000",
        )
        .with_heaps(AS_DESCRIBED),
    ],
    claims: &[
        Claim {
            statement: "counting holds what lives, and tracing lets memory pile up",
            document: "no figure",
            measured: "most memory held / live set, heap of 8 x",
            unit: Unit::Ratio,
            figure: |evidence| evidence.value((PLAIN, OVER_LIVE)),
            counting: Some(Rule::AtMost(1.5)),
            tracing: Some(Rule::AtLeast(3.0)),
        },
        Claim {
            statement: "so does counting with cycles, until its cycle collector runs",
            document: "(our addition)",
            measured: "the same of objects that refer to themselves",
            unit: Unit::Ratio,
            figure: |evidence| evidence.value((CYCLIC, OVER_LIVE)),
            // The oldest generation is due when a quarter as much is pending as was found alive.
            counting: Some(Rule::AtLeast(1.25)),
            tracing: None,
        },
    ],
    program: Some(program::<Replacement>),
};

const PLAIN: &str = "no cycles";
const CYCLIC: &str = "cycles";

const OVER_LIVE: Quantity = Quantity::Of(over_live);

fn over_live(metrics: &Metrics) -> Option<f64> {
    let live = *metrics.observations.get("live_bytes")?;
    (live > 0).then(|| metrics.peak_heap_bytes as f64 / live as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, trial::Trial};

    const TRACING: &str = "gc-marksweep:generations=off";

    /// Makes the most that was held a multiple of the live set, in per cent.
    fn plant(trial: &mut Trial, form: &str, heap: &str, percent: u64) {
        trial.plant(form, heap, |metrics| {
            metrics.peak_heap_bytes = metrics.observations["live_bytes"] * percent / 100;
        });
    }

    /// What they hold does not depend on time.
    #[test]
    fn heaps_do_what_the_claims_say() {
        let mut trial = Trial::of("footprint");
        assert_eq!(trial.verdict(0), Verdict::Holds, "{:?}", trial.judged()[0]);
        // A counting heap that keeps its garbage.
        plant(&mut trial, PLAIN, "gc-rc", 300);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        // A tracing one that keeps none.
        plant(&mut trial, PLAIN, "gc-rc", 110);
        plant(&mut trial, PLAIN, TRACING, 110);
        assert_eq!(trial.verdict(0), Verdict::Fails);
    }

    #[test]
    fn cycles_pile_up() {
        let mut trial = Trial::of("footprint");
        assert_eq!(trial.verdict(1), Verdict::Holds, "{:?}", trial.judged()[1]);
        plant(&mut trial, CYCLIC, "gc-rc", 105);
        assert_eq!(trial.verdict(1), Verdict::Fails);
    }
}
