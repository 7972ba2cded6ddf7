//! `quads`: a large tree that stays, and rounds of small ones that die together.
//!
//! A long-lived quad tree of `depth`. Then, for each round, quad trees of depth 3 (85 nodes) with
//! 13 % as many nodes in all as the long-lived one: they are built, kept in a table, walked, and
//! dropped at once.
//!
//! **Models** batch work over a resident index: spatial queries, frames of a simulation. It sets
//! what every operation costs against spikes: a counting heap frees a whole round in one cascade, a
//! tracing heap marks the long-lived tree again and again to learn that it still lives, unless it
//! has generations.
//!
//! **Does not model** old objects that change, or garbage that is strewn among what lives: a
//! round's memory is as contiguous as an allocator can make it.
//!
//! A node is four references and a word. The long-lived tree is built by one thread; the threads
//! split the trees of each round, and each goes on to the next round when it is done with its part.
//! The checksum, a digest of all words, does not depend on how many there are.
//!
//! Nominal (small, one thread): 99 MiB allocated; minimum heap 26 MiB on gc-rc, 20.6 MiB on
//! gc-marksweep, so a turnover of 4 to 5. At 2x on two cores of an EPYC: 0.3 GB/s and 84 % of the
//! time in pauses on gc-rc, most of it in collections of cycles that look through each round while
//! all of it is alive; 1.2 GB/s and 15 % on gc-marksweep.

use super::prelude::*;

/// See the [module documentation](self).
pub struct Quads;

/// Children of a node: its fields.
const CHILDREN: usize = 4;
/// Depth of the trees of a round.
const SHORT_LIVED: u32 = 3;

impl Workload for Quads {
    const NAME: &'static str = "quads";
    const SUMMARY: &'static str =
        "a large tree that stays, and rounds of small ones that die together";
    const OPERATION: &'static str = "node";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("depth", [5, 7, 11])
            .range(1, 14)
            .doc("depth of the long-lived tree"),
        Parameter::sized("rounds", [3, 200, 20])
            .range(0, 1_000_000)
            .doc("rounds of short-lived trees"),
        Parameter::fixed("share", 13)
            .range(0, 1_000)
            .doc("nodes of a round, in per cent of the long-lived tree's"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        let nodes = nodes(input.get("depth") as u32);
        twice(
            66 * (nodes + nodes * input.get("share") / 100),
            input.threads,
        )
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let depth = input.get("depth") as u32;
        let rounds = input.get("rounds");
        let trees = nodes(depth) * input.get("share") / 100 / nodes(SHORT_LIVED);
        let sums = on_threads(heap, 1, |m, _| {
            m.frame(|m, [resident]| {
                build(m, resident, depth, 0)?;
                let by_thread = m.blocking(|| {
                    on_threads(heap, input.threads, |m, number| {
                        let share = share(trees, input.threads, number);
                        let mut sum = 0u64;
                        for round in 0..rounds {
                            sum = sum.wrapping_add(self::round(m, share.clone(), round)?);
                        }
                        Ok(sum)
                    })
                })?;
                let sum = digest(m, resident, depth);
                Ok(sum.wrapping_add(total(by_thread)))
            })
        })?;
        Ok(Outcome::new(
            mix(sums[0]),
            nodes(depth) + rounds * trees * nodes(SHORT_LIVED),
        ))
    }
}

/// Nodes of a full tree.
const fn nodes(depth: u32) -> u64 {
    ((1 << (2 * (depth + 1))) - 1) / 3
}

/// One thread's part of a round.
fn round<M: Mutator>(m: &mut M, trees: std::ops::Range<u64>, round: u64) -> Result<u64, HeapFull> {
    m.frame(|m, [table, tree]| {
        fill(m, table, trees.clone(), |m, tree, number| {
            build(m, tree, SHORT_LIVED, mix(round) ^ number)
        })?;
        let mut sum = 0u64;
        for (slot, _) in trees.enumerate() {
            m.set(tree, field(m, table, slot));
            sum = sum.wrapping_add(digest(m, tree, SHORT_LIVED));
        }
        m.set(tree, None);
        Ok(sum)
    })
}

/// Builds a tree from the leaves up, its words derived from `label`.
fn build<M: Mutator>(
    m: &mut M,
    into: M::Local<'_>,
    depth: u32,
    label: u64,
) -> Result<(), HeapFull> {
    if depth == 0 {
        m.set(into, None);
        return m.alloc_init(into, Flags::NONE, [into; CHILDREN], [label]);
    }
    m.safepoint();
    m.frame(|m, children: [_; CHILDREN]| {
        for (number, child) in children.into_iter().enumerate() {
            let label = label.wrapping_mul(5).wrapping_add(number as u64);
            build(m, child, depth - 1, label)?;
        }
        m.alloc_move(into, Flags::NONE, children, [label])
    })
}

/// A digest of a tree's words; polls above the last levels.
fn digest<M: Mutator>(m: &mut M, tree: M::Local<'_>, depth: u32) -> u64 {
    m.safepoint();
    if depth <= SHORT_LIVED {
        return m.get(tree).map_or(0, |root| digest_unpolled(m, root));
    }
    m.frame(|m, [child]| {
        let mut sum = mix(word(m, tree, 0));
        for side in 0..CHILDREN {
            m.set(child, field(m, tree, side));
            sum = sum.wrapping_add(digest(m, child, depth - 1));
        }
        sum
    })
}

fn digest_unpolled<'m, M: Mutator>(m: &'m M, node: M::Ref<'m>) -> u64 {
    let mut sum = mix(m.word(node, 0));
    for side in 0..CHILDREN {
        if let Some(child) = m.load(node, side) {
            sum = sum.wrapping_add(digest_unpolled(m, child));
        }
    }
    sum
}
