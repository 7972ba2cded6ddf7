//! `stop-the-world`: *marking stops every thread; making that short is the challenge.*
//!
//! The documents describe the stop and give no figure. Here the longest pause of a program that
//! replaces objects at random ([`replacement`](super::replacement)) is set against its live set,
//! with two that are two decades apart. The heap has some mebibytes to spare beyond twice the live
//! set, so that a small live set is marked as often as a large one and its pauses are not missed.
//!
//! *Growth per decade* is the figure: marking visits what lives, so that in proportion it is 10;
//! what is proportional and what is not is decided as in `reclaim-delay`. The fixed part of a stop
//! (asking threads to stop, and waking them up) lowers it at the small end.
//!
//! That *every* thread is stopped is read from the heap's own record, with two threads: how many of
//! them stood still in the collection that stopped the fewest. A JVM's log tells of its stops and
//! not of each thread, so that it is not asked.
//!
//! The documents set this against counting, as if counting had no pauses. By this project's
//! definition whatever stops a mutator is a pause, and counting has two kinds: cycle collections,
//! whose oldest generation is all that lives and is due in earnest only where there are cycles (a
//! form of its own), and cascades, when the last reference to a large structure goes. The program
//! is one thread's, so that no wait for the lock is among them. Its end drops the whole table by
//! one reference, and makes as many objects once more; with `free=lazy` what the drop frees is
//! spread over these. CPython tells of its cycle collections and not of its cascades.
//!
//! It does not show how pauses are spread, nor what marking beside the mutators would cost; the
//! default heap with its generations stands beside the documents' collector for the largest live
//! set.
//!
//! Rejected: collections by request (they would be of the same length, and counting's would be a
//! pause that nobody has without asking); mean pauses (many short ones hide the long one that a
//! user feels).

use std::collections::BTreeSet;

use super::replacement::{IN_PROPORTION, per_decade};
use super::{AS_DESCRIBED, Claim, Estimate, Evidence, Experiment, Form, Quantity, Rule, Unit};
use crate::invocation::{Metrics, SpanRecord};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "stop-the-world",
    summary: "the longest pause against what lives",
    explanation: "The objects of a table are replaced at random, with two live sets two decades apart (2,000 and 200,000 objects at full size); the figure is by how much the longest \
pause grows per decade. Marking visits all that lives, so tracing's should grow with it, and stop every thread: a pause that stays as it is while a hundred times as much lives, or a \
thread that goes on during a collection, would make the claims false. Beside it stand the claims that counting has no such pauses, neither for cycles nor for the drop of a large structure, and that they do not grow: they \
are false if a cycle collection or a cascade of decrements takes longer than a millisecond. It does not show how often pauses come, nor what it would cost to mark while the program runs.",
    forms: &[
        Form::new(
            LEAST,
            "replacement:live=200,words=31,multiple=2,replaced=5000",
            1,
        )
        .sized(
            "live=1000,words=1,spare=1,replaced=10000",
            "live=2000,words=1,spare=4,replaced=12000",
        )
        .with_heaps(AS_DESCRIBED),
        Form::new(
            MOST,
            "replacement:live=2000,words=31,multiple=2,replaced=600,after=20",
            1,
        )
        .sized(
            "live=100000,words=1,spare=1,replaced=300,after=100",
            "live=200000,words=1,spare=4,replaced=300,after=100",
        )
        .with_heaps(AS_DESCRIBED),
        Form::new(
            THREADS,
            "replacement:live=500,words=31,multiple=2,replaced=2000",
            2,
        )
        .sized(
            "live=5000,words=1,spare=1,replaced=2500",
            "live=20000,words=1,spare=4,replaced=1500",
        )
        .on(&["gc-marksweep:generations=off"]),
        Form::new(
            GENERATIONS,
            "replacement:live=2000,words=31,multiple=2,replaced=600,after=20",
            1,
        )
        .sized(
            "live=100000,words=1,spare=1,replaced=300,after=100",
            "live=200000,words=1,spare=4,replaced=300,after=100",
        )
        .on(&["gc-marksweep"]),
        Form::new(
            CYCLES,
            "replacement:live=2000,words=31,multiple=2,replaced=100,cyclic=1",
            1,
        )
        .sized(
            "live=100000,words=1,spare=1,replaced=300",
            "live=200000,words=1,spare=4,replaced=300",
        )
        .on(&["gc-rc"]),
        Form::new(
            LAZY,
            "replacement:live=2000,words=31,multiple=2,replaced=600,after=20",
            1,
        )
        .sized(
            "live=100000,words=1,spare=1,replaced=300,after=100",
            "live=200000,words=1,spare=4,replaced=300,after=100",
        )
        .on(&["gc-rc:free=lazy"]),
    ],
    claims: &[
        Claim {
            statement: "the pause grows with what lives",
            document: "no figure",
            measured: "growth of the longest pause per decade of live objects; 10: in proportion",
            unit: Unit::Ratio,
            figure: growth,
            counting: None,
            tracing: Some(Rule::AtLeast(IN_PROPORTION)),
        },
        Claim {
            statement: "marking stops every thread",
            document: "all",
            measured: "share of two running threads that each collection stopped",
            unit: Unit::Share,
            figure: |evidence| evidence.value((THREADS, Quantity::Of(stopped_at_once))),
            counting: None,
            tracing: Some(Rule::AtLeast(1.0)),
        },
        Claim {
            statement: "looking at young objects first makes the longest pause short",
            document: "\"the challenge\"",
            measured: "longest pause with generations / without, largest live set",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio(
                    (GENERATIONS, Quantity::LongestPause),
                    (MOST, Quantity::LongestPause),
                )
            },
            counting: None,
            tracing: Some(Rule::AtMost(0.5)),
        },
        Claim {
            statement: "counting has no such pauses",
            document: "implied",
            measured: "longest pause, largest live set",
            unit: Unit::Time,
            figure: |evidence| evidence.value((MOST, Quantity::LongestPause)),
            counting: Some(Rule::AtMost(MILLISECOND)),
            tracing: None,
        },
        Claim {
            statement: "and none that grow with what lives",
            document: "implied",
            measured: "growth of the longest pause per decade of live objects; 10: in proportion",
            unit: Unit::Ratio,
            figure: growth,
            counting: Some(Rule::AtMost(IN_PROPORTION)),
            tracing: None,
        },
        Claim {
            statement: "finding cycles stops nobody for long",
            document: "implied",
            measured: "longest cycle collection where each object is one, largest live set",
            unit: Unit::Time,
            figure: |evidence| evidence.value((CYCLES, Quantity::Of(longest_cycle_collection))),
            counting: Some(Rule::AtMost(MILLISECOND)),
            tracing: None,
        },
        Claim {
            statement: "dropping the last reference to a large structure stops nobody",
            document: "implied",
            measured: "longest cascade of decrements, largest live set",
            unit: Unit::Time,
            figure: |evidence| evidence.value((MOST, Quantity::Of(longest_cascade))),
            counting: Some(Rule::AtMost(MILLISECOND)),
            tracing: None,
        },
        Claim {
            statement: "or need not, if what it frees is spread over later allocations",
            document: "(our addition)",
            measured: "the same with free=lazy",
            unit: Unit::Time,
            figure: |evidence| evidence.value((LAZY, Quantity::Of(longest_cascade))),
            counting: Some(Rule::AtMost(MILLISECOND)),
            tracing: None,
        },
    ],
    program: None,
};

const LEAST: &str = "least live";
const MOST: &str = "a hundred times as many";
const THREADS: &str = "two threads";
const GENERATIONS: &str = "a hundred times as many, generations";
const CYCLES: &str = "a hundred times as many, cycles";
const LAZY: &str = "a hundred times as many, freed lazily";

const MILLISECOND: f64 = 1e6;

fn growth(evidence: &Evidence<'_>) -> Option<Estimate> {
    per_decade(evidence, Quantity::LongestPause, LEAST, MOST)
}

/// The longest cycle collection on a heap that tells of them. `None` elsewhere.
fn longest_cycle_collection(metrics: &Metrics) -> Option<f64> {
    let collection = metrics.pause_parts.get("cycle-collection")?;
    Some(collection.max_ns as f64)
}

/// The longest drain on a heap that tells of them; 0 if none was long enough to be told of. `None`
/// elsewhere.
fn longest_cascade(metrics: &Metrics) -> Option<f64> {
    // Who stops the world does not count, or, of a real runtime, tells of nothing else.
    let parts = &metrics.pause_parts;
    let tells = !parts.contains_key("stop") && !parts.contains_key("mark");
    let drain = metrics.pause_parts.get("drain");
    tells.then(|| drain.map_or(0.0, |part| part.max_ns as f64))
}

/// The smallest share of the form's two threads that stood still during one collection. `None`
/// without collections.
fn stopped_at_once(metrics: &Metrics) -> Option<f64> {
    let of_kind = |kinds: &'static [&str]| {
        let spans = metrics.spans.iter();
        spans.filter(move |span| kinds.contains(&span.kind.as_str()))
    };
    let overlap = |a: &SpanRecord, b: &SpanRecord| {
        a.at_ns < b.at_ns + b.length_ns && b.at_ns < a.at_ns + a.length_ns
    };
    let stopped = of_kind(&["collection", "stop"]).map(|collection| {
        let threads: BTreeSet<u32> = of_kind(&["stopped"])
            .filter(|span| overlap(span, collection))
            .map(|span| span.mutator)
            .collect();
        threads.len()
    });
    Some(stopped.min()? as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::pause::Part;
    use crate::{Verdict, trial::Trial};

    const TRACING: &str = "gc-marksweep:generations=off";

    fn plant(trial: &mut Trial, form: &str, heap: &str, pause_ns: u64) {
        trial.plant(form, heap, |metrics| {
            metrics.pauses.pause_max_ns = Some(pause_ns);
            for kind in ["cycle-collection", "drain"] {
                let part = Part {
                    max_ns: pause_ns / 2,
                    ..Part::default()
                };
                metrics.pause_parts.insert(kind.to_owned(), part);
            }
        });
    }

    fn planted() -> Trial {
        let mut trial = Trial::of("stop-the-world");
        for (form, counting, tracing) in [(LEAST, 10_000, 50_000), (MOST, 20_000, 4_000_000)] {
            plant(&mut trial, form, "gc-rc", counting);
            plant(&mut trial, form, TRACING, tracing);
        }
        plant(&mut trial, GENERATIONS, "gc-marksweep", 400_000);
        plant(&mut trial, LAZY, "gc-rc:free=lazy", 20_000);
        plant(&mut trial, CYCLES, "gc-rc", 40_000);
        trial
    }

    #[test]
    fn the_verdicts_follow_the_pauses() {
        let trial = planted();
        for claim in [0, 2, 3, 4, 5, 6, 7] {
            assert_eq!(trial.verdict(claim), Verdict::Holds, "{claim}");
        }
        // A collector whose pause is what it is, whatever lives.
        let mut trial = planted();
        plant(&mut trial, MOST, TRACING, 60_000);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        assert_eq!(trial.verdict(2), Verdict::Fails);
        // Counting that stops for all that lives.
        let mut trial = planted();
        plant(&mut trial, MOST, "gc-rc", 4_000_000);
        plant(&mut trial, LAZY, "gc-rc:free=lazy", 4_000_000);
        plant(&mut trial, CYCLES, "gc-rc", 4_000_000);
        for claim in 3..8 {
            assert_eq!(trial.verdict(claim), Verdict::Fails, "{claim}");
        }
    }

    /// A collection stops both threads, whatever the time it takes; and a thread that went on would
    /// show.
    #[test]
    fn all_threads_are_stopped() {
        let mut trial = Trial::of("stop-the-world");
        assert_eq!(trial.verdict(1), Verdict::Holds, "{:?}", trial.judged()[1]);
        trial.plant(THREADS, TRACING, |metrics| {
            let mut stopped = metrics.spans.iter().filter(|span| span.kind == "stopped");
            let one = stopped.next().map(|span| span.mutator);
            metrics
                .spans
                .retain(|span| span.kind != "stopped" || Some(span.mutator) == one);
        });
        assert_eq!(trial.verdict(1), Verdict::Fails);
    }

    /// One reference is dropped, and everything goes at once: not a matter of time.
    #[test]
    fn the_end_is_a_cascade() {
        let trial = Trial::of("stop-the-world");
        let mut rows = trial.rows().iter();
        assert!(rows.any(|row| {
            let metrics = row.metrics.as_ref().unwrap();
            row.invocation.heap == "gc-rc"
                && row.invocation.options["free"] == "eager"
                && metrics.pause_parts.contains_key("drain")
        }));
    }
}
