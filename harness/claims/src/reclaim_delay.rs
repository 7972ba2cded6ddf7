//! `reclaim-delay`: *mark-sweep cannot say when an object is destroyed; reference counting can.*
//!
//! The documents reason and give no figure. Here the time is taken from the moment at which an
//! object becomes unreachable until its memory can be used again (see
//! [`crate::measure::reclamation`]), of a few hundred objects among those that
//! [`replacement`](super::replacement) replaces: with three live sets over two decades (at full
//! size), in a heap three times as large as each.
//!
//! It shows the claim because the two sides make opposite predictions about the same deaths: to
//! counting they are events of the program, found at the decrement, whatever else lives; to
//! mark-sweep they are found by the next collection, and in a heap of a fixed multiple the next
//! collection is as far away as the live set is large.
//!
//! The figures of growth are *per decade* of the live set: 1 does not grow at all, 10 is in
//! proportion, and 3.16, half-way between them on a logarithmic scale, decides. A JVM needs several
//! mebibytes for itself and cannot run the smallest heap, CPython's interpreter would be all that
//! one sees of it: theirs is the growth over the upper decade.
//!
//! It does not show what delays cost: a file that stays open hurts, a few bytes do not. Delays of
//! tracing are bounded by the end of the program, which collects once more, and are a lower bound.
//!
//! Rejected: finalizers (they add the time until the program asks for them), and deaths of objects
//! that are dropped as soon as they are made, which a generational collector finds early: what is
//! replaced here has lived as long as anything.

use super::replacement::{IN_PROPORTION, per_decade};
use super::{AS_DESCRIBED, Claim, Estimate, Evidence, Experiment, Form, Quantity, Rule, Unit};
use crate::invocation::Metrics;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "reclaim-delay",
    summary: "how long after its last reference an object is found dead",
    explanation: "Objects of a table are replaced at random; of a few hundred it is recorded when they became unreachable and when their memory could be \
used again, with live sets of 1,000 to 100,000 objects (some 280 bytes each) in heaps of three times their size. Counting finds a death at the \
decrement that causes it, so the delay should be far under a millisecond and not depend on what else lives; tracing finds it at the next collection, which is further away the larger the \
heap. The claims would be false if counting had delays of a millisecond or delays that grow with the live set, or if tracing had none. One form makes every object a \
cycle: there the decrement that counting waits for never comes. It does not show what a delay costs, and tracing's delays are lower bounds, since the program collects at its end.",
    forms: &[
        // The smallest does not fit a runtime that needs some mebibytes for itself.
        Form::new(
            LEAST,
            "replacement:live=20,words=32,multiple=3,replaced=400,watched=40",
            1,
        )
        .sized(
            "live=1000,replaced=500,watched=100",
            "live=1000,replaced=800,watched=400",
        )
        .on(AS_DESCRIBED),
        Form::new(
            SOME,
            "replacement:live=200,words=32,multiple=3,replaced=400,watched=40",
            1,
        )
        .sized(
            "live=4000,replaced=500,watched=100",
            "live=10000,replaced=800,watched=400",
        )
        .with_heaps(AS_DESCRIBED),
        Form::new(
            MOST,
            "replacement:live=2000,words=32,multiple=3,replaced=400,watched=40",
            1,
        )
        .sized(
            "live=50000,replaced=400,watched=100",
            "live=100000,replaced=400,watched=400",
        )
        .with_heaps(AS_DESCRIBED),
        Form::new(
            CYCLES,
            "replacement:live=200,words=32,multiple=3,replaced=400,watched=40,cyclic=1",
            1,
        )
        .sized(
            "live=10000,replaced=500,watched=100",
            "live=10000,replaced=800,watched=400",
        )
        .with_heaps(AS_DESCRIBED),
    ],
    claims: &[
        Claim {
            statement: "counting destroys an object at its last reference; when tracing does, nobody can say",
            document: "no figure",
            measured: "median delay, largest live set",
            unit: Unit::Time,
            figure: |evidence| evidence.value((MOST, MEDIAN)),
            counting: Some(Rule::AtMost(MILLISECOND)),
            tracing: Some(Rule::AtLeast(MILLISECOND)),
        },
        Claim {
            statement: "and counting never makes an exception",
            document: "no figure",
            measured: "longest delay, largest live set",
            unit: Unit::Time,
            figure: |evidence| evidence.value((MOST, LONGEST)),
            counting: Some(Rule::AtMost(MILLISECOND)),
            tracing: None,
        },
        Claim {
            statement: "the delay depends on all that lives with tracing, and not with counting",
            document: "no figure",
            measured: "growth of the median delay per decade of live objects; 10: in proportion",
            unit: Unit::Ratio,
            figure: growth,
            counting: Some(Rule::AtMost(IN_PROPORTION)),
            tracing: Some(Rule::AtLeast(IN_PROPORTION)),
        },
        Claim {
            statement: "counting can say it of a cycle, too",
            document: "it can say it (no word of cycles)",
            measured: "median delay of objects that refer to themselves",
            unit: Unit::Time,
            figure: |evidence| evidence.value((CYCLES, MEDIAN)),
            counting: Some(Rule::AtMost(MILLISECOND)),
            tracing: None,
        },
    ],
    program: None,
};

const LEAST: &str = "least live";
const SOME: &str = "ten times as many";
const MOST: &str = "a hundred times as many";
const CYCLES: &str = "cycles";

const MILLISECOND: f64 = 1e6;
const MEDIAN: Quantity = Quantity::Of(median);
const LONGEST: Quantity = Quantity::Of(longest);

fn median(metrics: &Metrics) -> Option<f64> {
    Some(metrics.reclamation_delay.percentile(0.5)? as f64)
}

fn longest(metrics: &Metrics) -> Option<f64> {
    let delays = &metrics.reclamation_delay;
    (!delays.is_empty()).then_some(delays.max_ns as f64)
}

/// From the least live set where it was run, and from the next one elsewhere.
fn growth(evidence: &Evidence<'_>) -> Option<Estimate> {
    per_decade(evidence, MEDIAN, LEAST, MOST).or_else(|| per_decade(evidence, MEDIAN, SOME, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::distribution::Distribution;
    use crate::{Verdict, trial::Trial};

    const TRACING: &str = "gc-marksweep:generations=off";

    fn plant(trial: &mut Trial, form: &str, heap: &str, delay_ns: u64) {
        trial.plant(form, heap, |metrics| {
            metrics.reclamation_delay = Distribution::of([delay_ns; 40]);
        });
    }

    fn planted() -> Trial {
        let mut trial = Trial::of("reclaim-delay");
        for (form, counting, tracing) in [
            (LEAST, 100, 200_000),
            (SOME, 110, 2_000_000),
            (MOST, 150, 20_000_000),
            (CYCLES, 120, 2_000_000),
        ] {
            plant(&mut trial, form, "gc-rc", counting);
            plant(&mut trial, form, TRACING, tracing);
        }
        trial
    }

    #[test]
    fn the_verdicts_follow_the_delays() {
        let trial = planted();
        for claim in 0..4 {
            assert_eq!(trial.verdict(claim), Verdict::Holds, "{claim}");
        }
        // A mark-sweep that destroys at once.
        let mut trial = planted();
        plant(&mut trial, MOST, TRACING, 200_000);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        assert_eq!(trial.verdict(2), Verdict::Fails);
        // A counting heap that waits for something that takes longer, the more lives.
        let mut trial = planted();
        plant(&mut trial, MOST, "gc-rc", 3_000_000);
        for claim in 0..3 {
            assert_eq!(trial.verdict(claim), Verdict::Fails, "{claim}");
        }
        plant(&mut trial, CYCLES, "gc-rc", 3_000_000);
        assert_eq!(trial.verdict(3), Verdict::Fails);
    }

    /// All deaths are found, and what is measured is of all.
    #[test]
    fn no_death_is_left_out() {
        let trial = Trial::of("reclaim-delay");
        for row in trial.rows() {
            let metrics = row.metrics.as_ref().unwrap();
            assert_eq!(metrics.reclamation_delay.count, 40, "{row:?}");
            assert_eq!(metrics.observations["deaths_not_found_count"], 0);
        }
    }
}
