#![doc = include_str!("count_traffic.md")]

use std::time::Instant;

use super::prelude::*;
use crate::workload::twice;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "count-traffic",
    summary: "what changing a reference costs, beside the same reads without it",
    explanation: include_str!("count_traffic.md"),
    forms: &[Form::new(CHANGES, "reference-changes", 1)
        .with_heaps(EVERY)
        .warmed_up()],
    claims: &[
        Claim::new("putting a reference in a variable makes reads slower by a fifth with counting")
            .ours()
            .measured(MEASURED)
            .value(Per(&Observed(VARIABLE), &Observed(READ)), CHANGES)
            .counting(AtLeast(1.2)),
        Claim::new("putting a reference in a variable hardly makes reads slower with tracing")
            .ours()
            .measured(MEASURED)
            .value(Per(&Observed(VARIABLE), &Observed(READ)), CHANGES)
            .tracing(AtMost(1.15)),
        Claim::new("storing a reference in a field makes reads slower by a fifth with counting")
            .ours()
            .measured(MEASURED)
            .value(Per(&Observed(FIELD), &Observed(READ)), CHANGES)
            .counting(AtLeast(1.2)),
    ],
    programs: &[Program::of::<ReferenceChanges>()],
};

const CHANGES: &str = "in turns";
const MEASURED: &str = "time of reads with a change each / of the reads";

const READ: &str = "read_ns";
const VARIABLE: &str = "variable_ns";
const FIELD: &str = "field_ns";

/// The program: see the [module documentation](self).
///
/// A table of nodes, each with two references and a word; the first reference of each is to a fixed
/// node, the second begins as null. An operation draws two nodes, and reads the first one's
/// reference, a word of what it refers to, and a word of the other node. A round is a stretch of
/// each kind: `read`, `variable`, `field`. The checksum is a digest of the
/// words, to which the changes make no difference.
///
/// Observed are the medians over rounds of how long a stretch took: `read_ns`, `variable_ns`,
/// `field_ns`.
pub struct ReferenceChanges;

/// The first field of node i refers to node i * STRIDE modulo their number.
const STRIDE: u64 = 7_919;
/// Operations of a stretch.
const STRETCH: u64 = 10_000;

impl Workload for ReferenceChanges {
    const NAME: &'static str = "reference-changes";
    const SUMMARY: &'static str = "random nodes read, and what was read put somewhere";
    const OPERATION: &'static str = "operation";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("nodes", [1_000, 5_000, 5_000])
            .range(1, 10_000_000)
            .doc("nodes of the table"),
        Parameter::sized("rounds", [1, 101, 301])
            .range(1, 1_000_000)
            .doc("stretches of 10,000 operations of each kind"),
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
                    draws: Draws::of(input.seed, 0),
                    nodes,
                    sum: 0,
                };
                let mut times = [const { Vec::new() }; 3];
                for _ in 0..rounds {
                    let mut timed = |kind: usize, begun: Instant| times[kind].push(begun.elapsed());
                    let begun = Instant::now();
                    walk.stretch(m, table, |_, _, _| ());
                    timed(0, begun);
                    let begun = Instant::now();
                    walk.stretch(m, table, |m, moved, _| m.set(variable, Some(moved)));
                    timed(1, begun);
                    let begun = Instant::now();
                    walk.stretch(m, table, |m, moved, to| m.store(to, 1, Some(moved)));
                    timed(2, begun);
                }
                Ok((walk.sum, times))
            })
        })?;
        let observed = parts.iter().flat_map(|(_, times)| {
            let medians = times.iter().map(|times| median_ns(times));
            [READ, VARIABLE, FIELD].into_iter().zip(medians)
        });
        let checksum = digest(parts.iter().map(|(sum, _)| *sum));
        Ok(Outcome::new(checksum, 3 * rounds * STRETCH).observing(observed))
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
    draws: Draws,
    nodes: u64,
    sum: u64,
}

impl Walk {
    /// One stretch. `change` is given the reference that was read, and the other node.
    #[inline]
    fn stretch<M: Mutator>(
        &mut self,
        m: &mut M,
        table: M::Local<'_>,
        change: impl for<'m> Fn(&'m M, M::Ref<'m>, M::Ref<'m>),
    ) {
        for _ in 0..STRETCH {
            let (i, j) = (self.draws.below(self.nodes), self.draws.below(self.nodes));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut planted = Trial::of("count-traffic");
        planted.observed(CHANGES, BOTH, READ, 1_000);
        for changed in [VARIABLE, FIELD] {
            planted.observed(CHANGES, RC, changed, 1_500);
            planted.observed(CHANGES, MARKSWEEP, changed, 1_050);
        }
        planted.holds(0..3);
        // Counts that cost nothing, and a tracing heap on which changes cost as much as counts do.
        for (claim, heap, changed, time) in [
            (0, RC, VARIABLE, 1_010),
            (1, MARKSWEEP, VARIABLE, 1_500),
            (2, RC, FIELD, 1_010),
        ] {
            let mut trial = planted.clone();
            trial.observed(CHANGES, heap, changed, time);
            trial.fails([claim]);
        }
    }
}
