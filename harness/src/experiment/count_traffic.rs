//! `count-traffic`: *every change of a reference is a critical operation for counting, and nothing for mark-sweep.*
//!
//! The documents name it as the price of counting and give no figure. Two kinds of change are looked at, each beside the same work without it, on the same heap, on one thread, so that
//! what is measured is neither a lock nor an interpreter.
//!
//! * *Variables*. A walk through a graph (the workload [`shared-graph`](crate::workload::shared_graph)) that puts each node it visits in a local, as an interpreter's variables do,
//!   beside one that holds plain references: with counts each step is an increment and a decrement; a tracing heap's locals are a store.
//! * *Fields*. The program `reference-changes`: random nodes of a table are read, and in one of two forms the reference that was read is also stored in a
//!   field of the other node: an increment, a decrement and the death that might follow with counts, a write barrier with tracing.
//!
//! The figure is the time with the changes divided by the time without. It shows the claim because the two forms read the same, and differ in
//! nothing but what is claimed to cost. The walk's rooted form also polls at each step and the unrooted one after each 1024, on both heaps; this is in
//! the figure, and about a third of a nanosecond.
//!
//! It does not show cache lines that threads fight for (there is one thread, and under the global lock one at a time), nor deferred or coalesced counting, which exist
//! to avoid most of this. The graphs are small enough for a cache close by; in a large one the misses of the reads hide part of both.
//!
//! Other runtimes have no unrooted form of a walk: a compiler decides it in one, nobody can in another. They run `reference-changes`. Of CPython most of the time is the interpreter's, which
//! itself changes counts at each step, with and without the store.
//!
//! Rejected: comparing the two heaps with each other (it compares allocators, headers and cache lines as well); the workload `rewire` (it has no form without the
//! change).

use super::{BOTH, Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Flags, Heap, HeapFull, Mutator, Shape};
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads, twice};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "count-traffic",
    summary: "what changing a reference costs, beside the same reads without it",
    explanation: "A graph is walked with each visited node put in a local, and without; and random nodes are read with a reference stored from one to another, and without. \
The time with the changes divided by the time without is what a change costs. With counts it is an increment and a decrement, and should make the loop slower by a fifth at least; \
tracing should hardly notice (15 % at most: a store, a poll, a write barrier). A counting heap on which changes are free, or a tracing one on which they are not, would make the claims \
false. It does not show what threads do to each other's counts, nor what larger graphs hide behind cache misses.",
    forms: &[
        Form::new(ROOTED, "shared-graph:nodes=1000,rooted=1,steps=20000", 1)
            .sized("nodes=5000,steps=2000000", "nodes=10000,steps=40000000")
            .on(BOTH),
        Form::new(UNROOTED, "shared-graph:nodes=1000,rooted=0,steps=20000", 1)
            .sized("nodes=5000,steps=2000000", "nodes=10000,steps=40000000")
            .on(BOTH),
        Form::new(CHANGED, "reference-changes:change=1", 1),
        Form::new(READ, "reference-changes:change=0", 1),
    ],
    claims: &[
        Claim {
            statement: "putting a reference in a variable costs counting time, and tracing next to none",
            document: "no figure",
            measured: "time of a walk with rooted nodes / with plain references",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((ROOTED, Quantity::Wall), (UNROOTED, Quantity::Wall)),
            counting: Some(Rule::AtLeast(1.2)),
            tracing: Some(Rule::AtMost(1.15)),
        },
        Claim {
            statement: "so does putting it in a field",
            document: "no figure",
            measured: "time of reads with a store each / of the reads",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((CHANGED, Quantity::Wall), (READ, Quantity::Wall)),
            counting: Some(Rule::AtLeast(1.2)),
            tracing: Some(Rule::AtMost(1.15)),
        },
    ],
    program: Some(program::<ReferenceChanges>),
};

const ROOTED: &str = "rooted";
const UNROOTED: &str = "unrooted";
const CHANGED: &str = "read and stored";
const READ: &str = "read";

/// The program of the second claim: see the [module documentation](self).
///
/// A table of nodes, each with two references and a word; the first reference of each is to a fixed node, the second begins as null. An operation draws two nodes, reads
/// the first one's reference and a word of what it refers to and of the other node, and, with `change=1`, stores the reference in the other node's second field. Draws are
/// those of a linear congruential generator, of which the upper bits are used. The checksum is a digest of the words, and the same with changes and without.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceChanges;

/// The first field of node i refers to node i * STRIDE modulo their number.
const STRIDE: u64 = 7_919;

impl Workload for ReferenceChanges {
    const NAME: &'static str = "reference-changes";
    const SUMMARY: &'static str = "random nodes read, with and without a reference stored";
    const OPERATION: &'static str = "operation";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter {
            name: "nodes",
            doc: "nodes of the table",
            tiny: 1_000,
            small: 5_000,
            full: 10_000,
            range: (1, 10_000_000),
        },
        Parameter {
            name: "operations",
            doc: "pairs of nodes that are read, over all threads",
            tiny: 10_000,
            small: 2_000_000,
            full: 1_500_000,
            range: (1, 1_000_000_000_000),
        },
        Parameter {
            name: "change",
            doc: "1: a reference is stored in each operation; 0: it is only read",
            tiny: 1,
            small: 1,
            full: 1,
            range: (0, 1),
        },
    ];

    fn heap_bytes(input: &Input) -> u64 {
        // Room for a runtime that needs some mebibytes for itself: nothing here depends on it.
        twice(64 * input.get("nodes"), input.threads) + (8 << 20)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let nodes = input.get("nodes");
        let operations = input.get("operations");
        let changes = input.get("change") == 1;
        let sums = on_threads(heap, 1, |m, _| {
            m.frame(|m, [table, node, none]| {
                m.alloc(table, Shape::new(nodes as u32, 0))?;
                for number in 0..nodes {
                    m.alloc_init(node, Flags::NONE, [none, none], [number])?;
                    if let Some(table) = m.get(table) {
                        m.store(table, number as usize, m.get(node));
                    }
                    m.safepoint();
                }
                for number in 0..nodes {
                    if let Some(table) = m.get(table)
                        && let Some(from) = m.load(table, number as usize)
                    {
                        let to = (number * STRIDE % nodes) as usize;
                        m.store(from, 0, m.load(table, to));
                    }
                    m.safepoint();
                }
                let mut state = mix(input.seed) as u32;
                let mut draw = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((u64::from(state) * nodes) >> 32) as usize
                };
                let mut sum = 0u64;
                for _ in 0..operations {
                    let (i, j) = (draw(), draw());
                    if let Some(table) = m.get(table)
                        && let (Some(from), Some(to)) = (m.load(table, i), m.load(table, j))
                        && let Some(moved) = m.load(from, 0)
                    {
                        if changes {
                            m.store(to, 1, Some(moved));
                        }
                        sum = sum.wrapping_add(m.word(moved, 0) ^ m.word(to, 0));
                    }
                    m.safepoint();
                }
                Ok(sum)
            })
        })?;
        Ok(Outcome {
            checksum: mix(sums.into_iter().fold(0, u64::wrapping_add)),
            operations,
            ..Outcome::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Verdict, trial::Trial};

    fn planted() -> Trial {
        let mut trial = Trial::of("count-traffic");
        for heap in BOTH {
            trial.plant_wall(UNROOTED, heap, 1_000);
            trial.plant_wall(READ, heap, 1_000);
            let with = if *heap == "gc-rc" { 1_500 } else { 1_050 };
            trial.plant_wall(ROOTED, heap, with);
            trial.plant_wall(CHANGED, heap, with);
        }
        trial
    }

    #[test]
    fn the_verdicts_follow_the_times() {
        let trial = planted();
        assert_eq!(
            (trial.verdict(0), trial.verdict(1)),
            (Verdict::Holds, Verdict::Holds)
        );
        for (claim, with) in [(0, ROOTED), (1, CHANGED)] {
            // Counts that cost nothing, and a barrier that costs as much as they do.
            let mut trial = planted();
            trial.plant_wall(with, "gc-rc", 1_010);
            assert_eq!(trial.verdict(claim), Verdict::Fails);
            let mut trial = planted();
            trial.plant_wall(with, "gc-marksweep", 1_500);
            assert_eq!(trial.verdict(claim), Verdict::Fails);
        }
    }

    /// The forms differ in nothing but the changes.
    #[test]
    fn the_work_is_the_same_with_changes_and_without() {
        let trial = Trial::of("count-traffic");
        for workload in ["shared-graph", "reference-changes"] {
            let rows = trial.rows().iter();
            let work: Vec<_> = rows
                .filter(|row| row.invocation.workload == workload)
                .map(|row| row.metrics.as_ref().unwrap().work())
                .collect();
            assert!(work.windows(2).all(|pair| pair[0] == pair[1]), "{work:?}");
        }
    }
}
