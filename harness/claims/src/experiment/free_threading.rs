#![doc = include_str!("free_threading.md")]

use std::time::Instant;

use super::prelude::*;
use super::processors;
use crate::workload::twice;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "free-threading",
    summary: "what one thread pays for counting without the lock, and what two gain",
    explanation: include_str!("free_threading.md"),
    forms: &[
        processors::MEMORY_FORM,
        ONE_THREAD.with_heaps(EVERY),
        Form::new(IN_TURNS, "binary-trees-in-turns:turns=4", 2)
            .with_heaps(EVERY)
            .small("depth=14")
            .full("depth=16")
            .of_claims_only(),
    ],
    claims: &[
        // Less than a twentieth is hardly a difference, here as everywhere.
        Claim::new("without the lock one thread is not slower than under it")
            .judges(&["000.21"])
            .documents("must not")
            .measured("time without the lock / under it: allocating, reading into locals, storing")
            .to_locked(COUNTED, ONE)
            .unlocked(AtMost(1.05)),
        Claim::new("without the lock one thread has 10 to 15 % less speed than under it")
            .judges(&["001.9"])
            .documents("10-15 %")
            .measured("time without the lock / under it: allocating, reading into locals, storing")
            .to_locked(COUNTED, ONE)
            .unlocked(Within(1.0 / 0.90, 1.0 / 0.85)),
        Claim::new("without the lock threads scale over cores: two that share nothing gain")
            .judges(&["001.9"])
            .measured("time of two threads / of one, fastest turns")
            .value(ALL_TO_ONE, IN_TURNS)
            .controlled(&processors::TO_GAIN_WITH_MEMORY)
            .unlocked(AtMost(0.75)),
        Claim::new("without the lock one thread that puts no read in a local is not slower")
            .ours()
            .measured("time without the lock / under it: allocating, reading unrooted, storing")
            .to_locked(UNCOUNTED, ONE)
            .unlocked(AtMost(1.05)),
        Claim::new("without the lock one thread is not slower at allocating and dropping")
            .ours()
            .measured("time without the lock / under it")
            .to_locked(Observed(ALLOCATED), ONE)
            .unlocked(AtMost(1.05)),
        Claim::new("without the lock one thread is not slower at reading into locals")
            .ours()
            .measured("time without the lock / under it")
            .to_locked(Observed(LOCAL), ONE)
            .unlocked(AtMost(1.05)),
        Claim::new("without the lock one thread is not slower at reading what no local holds")
            .ours()
            .measured("time without the lock / under it")
            .to_locked(Observed(UNROOTED), ONE)
            .unlocked(AtMost(1.05)),
        Claim::new("without the lock one thread is not slower at storing references in fields")
            .ours()
            .measured("time without the lock / under it")
            .to_locked(Observed(STORED), ONE)
            .unlocked(AtMost(1.05)),
    ],
    programs: &[Program::of::<FreeThreading>()],
};

pub(super) const ONE: &str = "one thread";
const IN_TURNS: &str = "one thread and two, in turns";

/// The program on one thread. Its heaps are said where it is used.
pub(super) const ONE_THREAD: Form = Form::new(ONE, "free-threading", 1).of_claims_only();

/// What each kind of work takes, every kind weighing the same, with reads that locals hold.
pub(super) const COUNTED: Quantity = Of(Unit::Time, |row| {
    geometric_mean([ALLOCATED, LOCAL, STORED].map(|name| Observed(name).of(row)))
});
/// The same with reads that none does.
const UNCOUNTED: Quantity = Of(Unit::Time, |row| {
    geometric_mean([ALLOCATED, UNROOTED, STORED].map(|name| Observed(name).of(row)))
});

const ALLOCATED: &str = "allocated_ns";
const LOCAL: &str = "local_ns";
const UNROOTED: &str = "unrooted_ns";
const STORED: &str = "stored_ns";

fn geometric_mean<const N: usize>(values: [Option<f64>; N]) -> Option<f64> {
    let logarithms: Option<f64> = values.into_iter().map(|value| Some(value?.ln())).sum();
    Some((logarithms? / N as f64).exp())
}

/// The program: see the [module documentation](self).
///
/// A table of nodes, each with two references and a word; the first reference of each is to a fixed
/// node, the second begins as null. A round is a stretch of each kind, of 10,000 operations:
/// `allocated` makes a node and drops the one before; `local` draws a node, puts it and the node it
/// refers to in locals, and reads their words; `unrooted` reads the same and puts nothing anywhere;
/// `stored` draws two nodes and stores the one in the second field of the other.
///
/// Observed are the medians over rounds of how long a stretch took: `allocated_ns`, `local_ns`,
/// `unrooted_ns`, `stored_ns`.
pub struct FreeThreading;

/// The first field of node i refers to node i * STRIDE modulo their number.
const STRIDE: u64 = 7_919;
/// Operations of a stretch.
const STRETCH: u64 = 10_000;

impl Workload for FreeThreading {
    const NAME: &'static str = "free-threading";
    const SUMMARY: &'static str = "kinds of work that change counts or do not, in turns";
    const OPERATION: &'static str = "operation";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("nodes", [100, 2_000, 2_000])
            .range(1, 1_000_000)
            .doc("nodes of the table"),
        Parameter::sized("rounds", [1, 101, 301])
            .range(1, 1_000_000)
            .doc("stretches of 10,000 operations of each kind"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        // Room for what is dead and not reclaimed yet, wherever that is not at once.
        twice(64 * input.get("nodes"), input.threads) + (16 << 20)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let (nodes, rounds) = (input.get("nodes"), input.get("rounds"));
        let parts = on_threads(heap, 1, |m, _| {
            m.frame(|m, [table, at, next, none]| {
                build(m, table, nodes, |number| number)?;
                let mut draws = Draws::of(input.seed, 0);
                let mut sum = 0_u64;
                let mut times = [const { Vec::new() }; 4];
                for _ in 0..rounds {
                    let begun = Instant::now();
                    for number in 0..STRETCH {
                        m.alloc_init(at, Flags::NONE, [none, none], [number])?;
                        m.safepoint();
                    }
                    times[0].push(begun.elapsed());
                    let begun = Instant::now();
                    for _ in 0..STRETCH {
                        let drawn = draws.below(nodes);
                        m.set(at, field(m, table, drawn));
                        m.set(next, field(m, at, 0));
                        sum = sum.wrapping_add(word(m, at, 0) ^ word(m, next, 0));
                        m.safepoint();
                    }
                    times[1].push(begun.elapsed());
                    let begun = Instant::now();
                    for _ in 0..STRETCH {
                        let drawn = draws.below(nodes);
                        if let Some(at) = field(m, table, drawn)
                            && let Some(next) = m.load(at, 0)
                        {
                            sum = sum.wrapping_add(m.word(at, 0) ^ m.word(next, 0));
                        }
                        m.safepoint();
                    }
                    times[2].push(begun.elapsed());
                    let begun = Instant::now();
                    for _ in 0..STRETCH {
                        let (from, to) = (draws.below(nodes), draws.below(nodes));
                        if let Some(to) = field(m, table, to) {
                            m.store(to, 1, field(m, table, from));
                        }
                        m.safepoint();
                    }
                    times[3].push(begun.elapsed());
                }
                Ok((sum, times))
            })
        })?;
        let observed = parts.iter().flat_map(|(_, times)| {
            let medians = times.iter().map(|times| median_ns(times));
            [ALLOCATED, LOCAL, UNROOTED, STORED]
                .into_iter()
                .zip(medians)
        });
        let checksum = digest(parts.iter().map(|(sum, _)| *sum));
        Ok(Outcome::new(checksum, 4 * rounds * STRETCH).observing(observed))
    }
}

/// Makes a table of nodes, each with its word, then points each one's first field at its fixed
/// node.
pub(super) fn build<M: Mutator>(
    m: &mut M,
    table: M::Local<'_>,
    nodes: u64,
    word: impl Fn(u64) -> u64,
) -> Result<(), HeapFull> {
    m.frame(|m, [node, none]| {
        m.alloc(table, Shape::new(nodes as u32, 0))?;
        for number in 0..nodes {
            m.alloc_init(node, Flags::NONE, [none, none], [word(number)])?;
            set_field(m, table, number as usize, m.get(node));
            m.safepoint();
        }
        for number in 0..nodes {
            if let Some(from) = field(m, table, number as usize) {
                let to = (number * STRIDE % nodes) as usize;
                m.store(from, 0, field(m, table, to));
            }
            m.safepoint();
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{RC, Trial, UNLOCKED};

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("free-threading");
        let kinds = [ALLOCATED, LOCAL, UNROOTED, STORED];
        let mut plant = |heaps, times: [u64; 4]| {
            for (kind, time) in kinds.into_iter().zip(times) {
                trial.observed(ONE, heaps, kind, time);
            }
            trial.turns(IN_TURNS, heaps, 1_000, 520);
            trial.clone()
        };
        plant(RC, [1_000; 4]);
        // As fast as under the lock; between; far slower.
        let fast = plant(UNLOCKED, [1_010; 4]);
        fast.holds([0, 2, 3, 4, 5, 6, 7]);
        fast.fails([1]);
        let expected = plant(UNLOCKED, [1_140; 4]);
        expected.holds([1, 2]);
        expected.fails([0, 3, 4, 5, 6, 7]);
        let mut slow = plant(UNLOCKED, [2_000, 3_000, 1_000, 4_000]);
        slow.holds([6]);
        slow.fails([0, 1, 3, 4, 5, 7]);
        // Threads that do not run side by side.
        slow.turns(IN_TURNS, UNLOCKED, 1_000, 1_000);
        slow.fails([2]);
    }

    /// What is under the lock is what everything is divided by, and not a column that is judged.
    #[test]
    fn a_heap_under_the_lock_has_no_ratio_to_itself() {
        let judged = Trial::of("free-threading").judged();
        let columns = &judged[0].columns;
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let expected = [&["gc-rc"], UNLOCKED, &["gc-marksweep"]].concat();
        assert_eq!(names, expected);
        assert!(columns[0].figure.is_none());
        assert!(
            columns[1..]
                .iter()
                .all(|column| column.estimate().is_some())
        );
    }
}
