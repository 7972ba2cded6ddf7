//! `cycles`: *counts alone never reclaim a cycle; a separate collector does.*
//!
//! The documents explain why and give no figure. Here pairs of objects that refer to each other are
//! made and dropped, one after the other, so that all of it is garbage of the kind that counts
//! cannot see. Of evenly spread pairs a weak reference is kept, and it is counted how many of these
//! are still there: before anybody asks for a collection, and after one was asked for. Weak
//! references are the one thing that every runtime here has and that tells the same on all of them.
//!
//! Three ways: with counts alone (`cycle=none` on gc-rc, `gc.disable()` in CPython), in a heap that
//! has room for all of it; as the runtimes come, in a heap that holds a quarter of it; and, which
//! is the same form, on the tracing side, where a cycle is garbage like any other and no second
//! mechanism exists.
//!
//! It shows the claim because nothing but a cycle can keep the pairs: no root refers to them. It
//! does not show what cycle collection costs (see `stop-the-world`, and the workload `rings`), nor
//! how common cycles are: many programs make none, and then the second mechanism is only paid for.
//!
//! The form with counts alone leaks by intention, through all iterations of a process: its heap has
//! room for several. A JVM has nothing that could be switched off; it runs the program, and has no
//! figure there.
//!
//! Rejected: bytes held at the end (a tracing heap does not know what of it is garbage, CPython's
//! process does not shrink); long rings (a count that does not reach zero does not care how long
//! the way round is).

use std::collections::BTreeMap;

use super::{AS_DESCRIBED, Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Heap, HeapFull, Mutator, Shape};
use crate::invocation::Metrics;
use crate::measure::reclamation::{Death, Sentinels};
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads, share};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "cycles",
    summary: "pairs that refer to each other, dropped: what is still held",
    explanation: "Pairs of objects that refer to each other are made and dropped, and of some of them it is watched whether they are still there at the end, before and after a collection that \
the program asks for. With counts alone (the cycle collector switched off) all should be there, which would be false if as few as one in a hundred had gone; with \
it, hardly any, and none after the collection; tracing needs nothing of the kind. It does not show what finding cycles costs, nor how many of them programs make.",
    forms: &[
        Form::new(COUNTS, "cycles:alone=1,room=400", 1).with_heaps(&["gc-rc:cycle=none"]),
        Form::new(COLLECTED, "cycles:alone=0,room=25", 1).with_heaps(AS_DESCRIBED),
    ],
    claims: &[
        Claim {
            statement: "counts alone never reclaim a cycle",
            document: "none",
            measured: "share still held, cycle collector switched off",
            unit: Unit::Share,
            figure: |evidence| evidence.value((COUNTS, HELD_BY_COUNTS)),
            counting: Some(Rule::AtLeast(0.99)),
            tracing: None,
        },
        Claim {
            statement: "a separate collector keeps them from piling up; tracing needs none",
            document: "no figure",
            measured: "share still held at the end",
            unit: Unit::Share,
            figure: |evidence| evidence.value((COLLECTED, HELD_BEFORE)),
            counting: Some(Rule::AtMost(0.5)),
            tracing: Some(Rule::AtMost(0.5)),
        },
        Claim {
            statement: "and finds every one when it looks at everything",
            document: "all",
            measured: "share still held after a collection",
            unit: Unit::Share,
            figure: |evidence| evidence.value((COLLECTED, HELD_AFTER)),
            counting: Some(Rule::AtMost(0.0)),
            tracing: Some(Rule::AtMost(0.0)),
        },
    ],
    program: Some(program::<Cycles>),
};

const COUNTS: &str = "counts alone";
const COLLECTED: &str = "as they come";

const HELD_BY_COUNTS: Quantity =
    Quantity::Of(|metrics| share_of_watched(metrics, "held_by_counts_count"));
const HELD_BEFORE: Quantity =
    Quantity::Of(|metrics| share_of_watched(metrics, "held_before_count"));
const HELD_AFTER: Quantity = Quantity::Of(|metrics| share_of_watched(metrics, "held_after_count"));

fn share_of_watched(metrics: &Metrics, observation: &str) -> Option<f64> {
    let held = *metrics.observations.get(observation)?;
    let watched = *metrics.observations.get("watched_count")?;
    (watched > 0).then(|| held as f64 / watched as f64)
}

/// The program: see the [module documentation](self).
#[derive(Clone, Copy, Debug)]
pub struct Cycles;

/// Words of an object: with its header and its reference about what a small instance takes in a
/// language with dictionaries.
const WORDS: u32 = 15;
/// Bytes of an object, with the larger of the heaps' headers.
const OBJECT_BYTES: u64 = 16 + 8 + 8 * WORDS as u64;

impl Workload for Cycles {
    const NAME: &'static str = "cycles";
    const SUMMARY: &'static str = "pairs that refer to each other, made and dropped";
    const OPERATION: &'static str = "pair";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter {
            name: "pairs",
            doc: "pairs made and dropped, over all threads",
            tiny: 10_000,
            small: 50_000,
            full: 200_000,
            range: (1, 1_000_000_000),
        },
        Parameter {
            name: "watched",
            doc: "pairs that are watched",
            tiny: 200,
            small: 500,
            full: 1_000,
            range: (1, 1_000_000),
        },
        Parameter::fixed(
            "room",
            "size of the heap, in per cent of what is made",
            25,
            (1, 100_000),
        ),
        Parameter::fixed(
            "alone",
            "1: counts are to do without a cycle collector, which on our heaps is an option of the heap; nothing asks for a collection",
            0,
            (0, 1),
        ),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        (2 * OBJECT_BYTES * input.get("pairs") / 100 + 1) * input.get("room") + (1 << 20)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let pairs = input.get("pairs");
        let every = (pairs / input.get("watched")).max(1);
        let parts = on_threads(heap, input.threads, |m, thread| {
            let mut sentinels = Sentinels::new(heap);
            m.frame(|m, [one, other]| {
                let mut sum = 0u64;
                for number in share(pairs, input.threads, thread) {
                    m.alloc(one, Shape::new(1, WORDS))?;
                    m.alloc(other, Shape::new(1, WORDS))?;
                    if let (Some(one), Some(other)) = (m.get(one), m.get(other)) {
                        m.set_word(one, 0, number);
                        m.store(one, 0, Some(other));
                        m.store(other, 0, Some(one));
                        // By way of the other one, so that both are made.
                        let back = m.load(other, 0);
                        sum = sum.wrapping_add(back.map_or(0, |one| m.word(one, 0)));
                    }
                    m.set(other, None);
                    if number % every == every - 1 {
                        sentinels.bury(m, one);
                    }
                    m.set(one, None);
                    m.safepoint();
                }
                Ok((sum, sentinels))
            })
        })?;
        let deaths = || -> Vec<Death> {
            let sentinels = parts.iter().map(|(_, sentinels)| sentinels);
            sentinels.flat_map(Sentinels::deaths).collect()
        };
        let held = || {
            let deaths = deaths();
            deaths.iter().filter(|d| d.identified.is_none()).count() as u64
        };
        let mut observations = BTreeMap::from([("watched_count", deaths().len() as u64)]);
        if input.get("alone") == 1 {
            observations.insert("held_by_counts_count", held());
        } else {
            observations.insert("held_before_count", held());
            heap.attach(|m| m.collect());
            observations.insert("held_after_count", held());
        }
        let sum = parts.iter().map(|(sum, _)| *sum);
        Ok(Outcome {
            checksum: mix(sum.fold(0, u64::wrapping_add)),
            operations: pairs,
            deaths: deaths(),
            observations,
            ..Outcome::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, trial::Trial};

    const TRACING: &str = "gc-marksweep:generations=off";
    const ALONE: &str = "gc-rc:cycle=none";

    /// What is held does not depend on time.
    #[test]
    fn heaps_do_what_the_claims_say() {
        let trial = Trial::of("cycles");
        for claim in 0..3 {
            let judged = trial.judged();
            assert_eq!(trial.verdict(claim), Verdict::Holds, "{:?}", judged[claim]);
        }
    }

    /// The forms exchanged: counts with their collector as if without, and the other way round.
    #[test]
    fn a_collector_makes_the_difference() {
        let mut trial = Trial::of("cycles");
        let watched = trial.rows()[0].metrics.as_ref().unwrap().observations["watched_count"];
        trial.plant_observed(COUNTS, ALONE, "held_by_counts_count", watched / 10);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        for heap in ["gc-rc", TRACING] {
            let mut trial = Trial::of("cycles");
            trial.plant_observed(COLLECTED, heap, "held_before_count", watched);
            trial.plant_observed(COLLECTED, heap, "held_after_count", watched);
            assert_eq!(
                (trial.verdict(1), trial.verdict(2)),
                (Verdict::Fails, Verdict::Fails)
            );
        }
    }
}
