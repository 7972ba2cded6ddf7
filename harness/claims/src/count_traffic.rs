//! `count-traffic`: *every change of a reference is a critical operation for counting, and nothing
//! for mark-sweep.*
//!
//! The documents name it as the price of counting and give no figure. The program
//! `reference-changes` reads random nodes of a small table in three ways that differ in one thing:
//! the reference that was read is left alone, or put in a variable, or stored in a field of the
//! other node. To counting, the latter two are an increment and a decrement, and the death that
//! might follow; to mark-sweep they are a store, and a write barrier.
//!
//! The figure is the time of a stretch of such operations with the change, divided by the time
//! without. It shows the claim because the stretches read the same, on the same heap, in the same
//! process, in turns: what is left is the change. There is one thread, so that what is measured is
//! neither a lock nor an atomic operation. Each stretch is some 50 microseconds, and the median of
//! many counts, so that those in which the machine did something else are left out.
//!
//! It does not show cache lines that threads fight for (under the global lock one thread counts at
//! a time), nor deferred or coalesced counting (Deutsch and Bobrow; Levanoni and Petrank), which
//! exist to avoid most of this. The table fits a cache close by; in a large one the misses of the
//! reads hide part of either cost.
//!
//! A JVM's and CPython's figures are those of fields. A variable is a register to the one; the
//! other changes counts for each value that its interpreter touches, with and without the store,
//! and most of its time is the interpreter's.
//!
//! Rejected: comparing the two heaps with each other (it compares allocators, headers and cache
//! lines as well); the workloads `rewire`, which has no form without the change, and
//! `shared-graph`, whose two forms poll differently and would run in processes of their own, at
//! other moments.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Flags, Heap, HeapFull, Mutator, Shape};
use crate::invocation::Metrics;
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads, twice};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "count-traffic",
    summary: "what changing a reference costs, beside the same reads without it",
    explanation: "Random nodes of a table are read: the reference that was read is left alone, put in a variable, or stored in a field, in turns within one process. The time with the \
change divided by the time without is what the change costs. With counts it is an increment and a decrement, and should make the loop slower by a fifth at least; tracing should hardly notice (15 % \
at most: a store, a write barrier). A counting heap on which changes are free, or a tracing one on which they are not, would make the claims false. It does not show what threads do to each \
other's counts, nor what larger graphs hide behind cache misses.",
    forms: &[Form::new(CHANGES, "reference-changes", 1)],
    claims: &[
        Claim {
            statement: "putting a reference in a variable costs counting time, and tracing next to none",
            document: "no figure",
            measured: "time of reads with a change each / of the reads",
            unit: Unit::Ratio,
            figure: |evidence| evidence.value((CHANGES, Quantity::Of(variable_over_read))),
            counting: Some(Rule::AtLeast(1.2)),
            tracing: Some(Rule::AtMost(1.15)),
        },
        Claim {
            statement: "so does storing it in a field",
            document: "no figure",
            measured: "time of reads with a change each / of the reads",
            unit: Unit::Ratio,
            figure: |evidence| evidence.value((CHANGES, Quantity::Of(field_over_read))),
            counting: Some(Rule::AtLeast(1.2)),
            tracing: Some(Rule::AtMost(1.15)),
        },
    ],
    program: Some(program::<ReferenceChanges>),
};

const CHANGES: &str = "in turns";

fn variable_over_read(metrics: &Metrics) -> Option<f64> {
    over_read(metrics, "variable_ns")
}

fn field_over_read(metrics: &Metrics) -> Option<f64> {
    over_read(metrics, "field_ns")
}

fn over_read(metrics: &Metrics, with: &str) -> Option<f64> {
    let with = *metrics.observations.get(with)?;
    let read = *metrics.observations.get("read_ns")?;
    (read > 0).then(|| with as f64 / read as f64)
}

/// The program: see the [module documentation](self).
///
/// A table of nodes, each with two references and a word; the first reference of each is to a fixed
/// node, the second begins as null. An operation draws two nodes, and reads the first one's
/// reference, a word of what it refers to, and a word of the other node. A round is a stretch of
/// each kind: `read`, `variable`, `field`. Draws are those of a linear congruential generator
/// (Knuth and Lewis's constants), of which the upper bits are used. The checksum is a digest of the
/// words, to which the changes make no difference.
///
/// Observed are the medians over rounds of how long a stretch took: `read_ns`, `variable_ns`,
/// `field_ns`.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceChanges;

/// The first field of node i refers to node i * STRIDE modulo their number.
const STRIDE: u64 = 7_919;
/// Operations of a stretch.
const STRETCH: u64 = 10_000;

/// What is done with a reference that was read.
#[derive(Clone, Copy)]
enum Change {
    None,
    Variable,
    Field,
}

impl Workload for ReferenceChanges {
    const NAME: &'static str = "reference-changes";
    const SUMMARY: &'static str = "random nodes read, and what was read put somewhere";
    const OPERATION: &'static str = "operation";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter {
            name: "nodes",
            doc: "nodes of the table",
            tiny: 1_000,
            small: 5_000,
            full: 5_000,
            range: (1, 10_000_000),
        },
        Parameter {
            name: "rounds",
            doc: "stretches of 10,000 operations of each kind",
            tiny: 1,
            small: 101,
            full: 51,
            range: (1, 1_000_000),
        },
    ];

    fn heap_bytes(input: &Input) -> u64 {
        // Room for a runtime that needs some mebibytes for itself: nothing here depends on it.
        twice(64 * input.get("nodes"), input.threads) + (8 << 20)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let nodes = input.get("nodes");
        let rounds = input.get("rounds");
        let parts = on_threads(heap, 1, |m, _| {
            m.frame(|m, [table, variable]| {
                build(m, table, variable, nodes)?;
                let mut walk = Walk {
                    state: mix(input.seed) as u32,
                    nodes,
                    sum: 0,
                };
                let mut times = [const { Vec::new() }; 3];
                for _ in 0..rounds {
                    for (kind, times) in [Change::None, Change::Variable, Change::Field]
                        .into_iter()
                        .zip(&mut times)
                    {
                        let start = Instant::now();
                        match kind {
                            Change::None => walk.stretch(m, table, |_, _, _| ()),
                            Change::Variable => {
                                walk.stretch(m, table, |m, moved, _| m.set(variable, Some(moved)));
                            }
                            Change::Field => {
                                walk.stretch(m, table, |m, moved, to| m.store(to, 1, Some(moved)));
                            }
                        }
                        times.push(start.elapsed().as_nanos() as u64);
                    }
                }
                Ok((walk.sum, times.map(median)))
            })
        })?;
        let sum = parts.iter().map(|(sum, _)| *sum);
        let mut observations = BTreeMap::new();
        for (_, times) in &parts {
            observations.extend(
                ["read_ns", "variable_ns", "field_ns"]
                    .into_iter()
                    .zip(*times),
            );
        }
        Ok(Outcome {
            checksum: mix(sum.fold(0, u64::wrapping_add)),
            operations: 3 * rounds * STRETCH,
            observations,
            ..Outcome::default()
        })
    }
}

/// Makes the nodes, then points each one's first field at its fixed node.
fn build<M: Mutator>(
    m: &mut M,
    table: M::Local<'_>,
    node: M::Local<'_>,
    nodes: u64,
) -> Result<(), HeapFull> {
    m.frame(|m, [none]| {
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
        Ok(())
    })
}

/// A walk that goes on from stretch to stretch.
struct Walk {
    state: u32,
    nodes: u64,
    sum: u64,
}

impl Walk {
    #[inline]
    fn draw(&mut self) -> usize {
        self.state = self
            .state
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        ((u64::from(self.state) * self.nodes) >> 32) as usize
    }

    /// One stretch. `change` is given the reference that was read, and the other node.
    #[inline]
    fn stretch<M: Mutator>(
        &mut self,
        m: &mut M,
        table: M::Local<'_>,
        change: impl for<'m> Fn(&'m M, M::Ref<'m>, M::Ref<'m>),
    ) {
        for _ in 0..STRETCH {
            let (i, j) = (self.draw(), self.draw());
            if let Some(table) = m.get(table)
                && let (Some(from), Some(to)) = (m.load(table, i), m.load(table, j))
                && let Some(moved) = m.load(from, 0)
            {
                self.sum = self.sum.wrapping_add(m.word(moved, 0) ^ m.word(to, 0));
                change(m, moved, to);
            }
            m.safepoint();
        }
    }
}

/// The upper median; 0 of nothing.
fn median(mut values: Vec<u64>) -> u64 {
    let middle = values.len() / 2;
    values.sort_unstable();
    values.get(middle).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BOTH, Verdict, trial::Trial};

    fn planted() -> Trial {
        let mut trial = Trial::of("count-traffic");
        for heap in BOTH {
            let with = if *heap == "gc-rc" { 1_500 } else { 1_050 };
            trial.plant_observed(CHANGES, heap, "read_ns", 1_000);
            trial.plant_observed(CHANGES, heap, "variable_ns", with);
            trial.plant_observed(CHANGES, heap, "field_ns", with);
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
        for (claim, with) in [(0, "variable_ns"), (1, "field_ns")] {
            // Counts that cost nothing, and a tracing heap on which changes cost as much as counts
            // do.
            let mut trial = planted();
            trial.plant_observed(CHANGES, "gc-rc", with, 1_010);
            assert_eq!(trial.verdict(claim), Verdict::Fails);
            let mut trial = planted();
            trial.plant_observed(CHANGES, "gc-marksweep", with, 1_500);
            assert_eq!(trial.verdict(claim), Verdict::Fails);
        }
    }
}
