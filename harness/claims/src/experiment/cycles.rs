#![doc = include_str!("cycles.md")]

use super::prelude::*;
use crate::measure::reclamation::{Death, Sentinels};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "cycles",
    summary: "pairs that refer to each other, dropped: what is still held",
    explanation: include_str!("cycles.md"),
    forms: &[
        Form::new(COUNTS, "cycles:alone=1,room=400", 1)
            .few()
            .warmed_up()
            .with_heaps(&["gc-rc:cycle=none"]),
        Form::new(COLLECTED, "cycles:alone=0,room=25", 1)
            .few()
            .warmed_up()
            .with_heaps(AS_DESCRIBED),
    ],
    claims: &[
        Claim::new("counts alone never reclaim a cycle")
            .judges(&["000.22"])
            .documents("none")
            .measured("pairs still held, cycle collector switched off")
            .share(Observed(HELD_BY_COUNTS), Observed(WATCHED), &[COUNTS])
            .counting(AtLeast(0.99)),
        Claim::new("a collector of their own keeps cycles from piling up beside counts")
            .judges(&["000.22"])
            .measured("pairs still held at the end")
            .share(Observed(HELD_BEFORE), Observed(WATCHED), &[COLLECTED])
            .counting(AtMost(0.5)),
        Claim::new("tracing reclaims cycles without a second collector")
            .ours()
            .measured("pairs still held at the end")
            .share(Observed(HELD_BEFORE), Observed(WATCHED), &[COLLECTED])
            .tracing(AtMost(0.5)),
        Claim::new("a collection that looks at everything leaves at most one cycle in 50")
            .ours()
            .measured("pairs still held after a collection")
            .share(Observed(HELD_AFTER), Observed(WATCHED), &[COLLECTED])
            .both(AtMost(0.02)),
    ],
    programs: &[Program::of::<Cycles>()],
};

const COUNTS: &str = "counts alone";
const COLLECTED: &str = "as they come";

const WATCHED: &str = "watched_count";
const HELD_BY_COUNTS: &str = "held_by_counts_count";
const HELD_BEFORE: &str = "held_before_count";
const HELD_AFTER: &str = "held_after_count";

/// The program: see the [module documentation](self).
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
        Parameter::sized("pairs", [10_000, 50_000, 200_000])
            .range(1, 1_000_000_000)
            .doc("pairs made and dropped, over all threads"),
        Parameter::sized("watched", [200, 500, 1_000])
            .range(1, 1_000_000)
            .doc("pairs that are watched"),
        Parameter::fixed("room", 25)
            .range(1, 100_000)
            .doc("size of the heap, in per cent of what is made"),
        Parameter::fixed("alone", 0).range(0, 1).doc(
            "1: counts are to do without a cycle collector, which on our heaps is an option of the \
             heap; nothing asks for a collection",
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
            let deaths = deaths().into_iter();
            Some(deaths.filter(|death| death.identified.is_none()).count() as u64)
        };
        let watched = (WATCHED, Some(deaths().len() as u64));
        let observed = if input.get("alone") == 1 {
            vec![watched, (HELD_BY_COUNTS, held())]
        } else {
            let before = held();
            heap.attach(|m| m.collect());
            vec![watched, (HELD_BEFORE, before), (HELD_AFTER, held())]
        };
        let checksum = digest(parts.iter().map(|(sum, _)| *sum));
        Ok(Outcome {
            deaths: deaths(),
            ..Outcome::new(checksum, pairs).observing(observed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    /// What is held does not depend on time.
    #[test]
    fn heaps_do_what_the_claims_say() {
        Trial::of("cycles").holds(0..4);
    }

    /// The forms exchanged: counts with their collector as if without, and the other way round.
    #[test]
    fn a_collector_makes_the_difference() {
        let mut trial = Trial::of("cycles");
        let watched = trial.rows()[0].metrics.as_ref().unwrap().observations[WATCHED];
        trial.observed(COUNTS, RC, HELD_BY_COUNTS, watched / 10);
        trial.fails([0]);
        for (heap, claim) in [(RC, 1), (MARKSWEEP, 2)] {
            let mut trial = Trial::of("cycles");
            trial.observed(COLLECTED, heap, HELD_BEFORE, watched);
            trial.observed(COLLECTED, heap, HELD_AFTER, watched);
            trial.fails([claim, 3]);
        }
    }
}
