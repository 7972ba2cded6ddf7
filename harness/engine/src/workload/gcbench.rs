//! `gcbench`: the classic of Ellis, Kovac and Boehm.
//!
//! A stretch tree of depth 18 that dies at once; a long-lived tree of depth 16 and a long-lived
//! array of 500,000 floating-point numbers, half of them written; then for every even depth from 4
//! to 16, as many trees as make up twice the stretch tree, once built from the top down (each node
//! stored into its parent) and once from the bottom up. The numbers are those of the published
//! program; `depth` is the depth of the long-lived tree, and the others follow it.
//!
//! **Models** a growing and shrinking heap of small objects beside data that stays. The top-down
//! half stores into objects that exist already, which is what write barriers and counts cost on
//! fresh objects.
//!
//! **Does not model** real lifetimes (trees die whole, in order of birth), old objects that point
//! to young ones, or threads that share. It has been criticised as a benchmark for as long as it
//! has been one; it is here because everybody knows its figures.
//!
//! A node is two references and a word for the original's two 32-bit integers. The original checks
//! nothing; here the left and the right edge of every tree are walked, and the long-lived tree is
//! counted at the end. The threads split the trees of each depth; the checksum does not depend on
//! how many there are.
//!
//! Minimum heap (small and full, one thread or two): 26 MiB on gc-rc, 17.5 MiB on gc-marksweep: the
//! stretch tree.

use super::prelude::*;
use super::trees::{self, BINARY};

/// See the [module documentation](self).
pub struct GcBench;

const MIN_DEPTH: u32 = 4;
const NODE: Shape = Shape::new(BINARY as u32, 1);

impl Workload for GcBench {
    const NAME: &'static str = "gcbench";
    const SUMMARY: &'static str =
        "trees built top-down and bottom-up beside a long-lived tree and array";
    const OPERATION: &'static str = "node";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("depth", [6, 13, 16])
            .range(4, 24)
            .doc("depth of the long-lived and the largest short-lived trees"),
        Parameter::sized("array", [5_000, 50_000, 500_000])
            .range(1, 100_000_000)
            .doc("numbers in the long-lived array"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        let bytes = |depth: u64| 50u64 << (depth + 1);
        let depth = input.get("depth");
        let beside = bytes(depth) * (1 + input.threads as u64) + 8 * input.get("array");
        twice(bytes(depth + 2).max(beside), input.threads)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let depth = input.get("depth") as u32;
        let array = input.get("array") as u32;
        let stretch_depth = depth + 2;
        let results = on_threads(heap, 1, |m, _| {
            m.frame(|m, [tree]| {
                trees::build(m, [0], tree, stretch_depth)?;
                Ok(edges(m, tree))
            })?;
            m.frame(|m, [tree, numbers]| {
                m.alloc(tree, NODE)?;
                populate(m, tree, depth)?;
                m.alloc(numbers, Shape::new(0, array))?;
                fill(m, numbers, array);

                let by_thread = m.blocking(|| {
                    on_threads(heap, input.threads, |m, number| {
                        short_lived(m, depth, stretch_depth, input.threads, number)
                    })
                })?;
                let survivors = trees::count(m, tree, depth);
                Ok([survivors, sum(m, numbers, array), by_thread.iter().sum()])
            })
        })?;
        let [survivors, numbers, edges] = results[0];
        let nodes = nodes(stretch_depth)
            + survivors
            + depths(depth)
                .map(|d| 2 * trees_of(d, stretch_depth) * nodes(d))
                .sum::<u64>();
        Ok(Outcome::new(
            mix(mix(survivors ^ mix(numbers)) ^ edges),
            nodes,
        ))
    }
}

fn depths(depth: u32) -> impl Iterator<Item = u32> {
    (MIN_DEPTH..=depth).step_by(2)
}

/// Nodes of a full tree.
const fn nodes(depth: u32) -> u64 {
    (2 << depth) - 1
}

/// Trees of depth `depth` in each half: together twice the size of the stretch tree.
const fn trees_of(depth: u32, stretch_depth: u32) -> u64 {
    2 * nodes(stretch_depth) / nodes(depth)
}

/// One thread's part of the short-lived trees; the lengths of their edges, summed.
fn short_lived<M: Mutator>(
    m: &mut M,
    depth: u32,
    stretch_depth: u32,
    threads: usize,
    number: usize,
) -> Result<u64, HeapFull> {
    m.frame(|m, [tree]| {
        let mut sum = 0;
        for depth in depths(depth) {
            let trees = share(trees_of(depth, stretch_depth), threads, number);
            for _ in trees.clone() {
                m.alloc(tree, NODE)?;
                populate(m, tree, depth)?;
                sum += edges(m, tree);
                m.set(tree, None);
                m.safepoint();
            }
            for _ in trees {
                trees::build(m, [0], tree, depth)?;
                sum += edges(m, tree);
                m.set(tree, None);
                m.safepoint();
            }
        }
        Ok(sum)
    })
}

/// Gives `node` children down to `depth`: both first, then each one's own, as the original does.
fn populate<M: Mutator>(m: &mut M, node: M::Local<'_>, depth: u32) -> Result<(), HeapFull> {
    if depth == 0 {
        return Ok(());
    }
    m.safepoint();
    m.frame(|m, [left, right]| {
        m.alloc(left, NODE)?;
        m.alloc(right, NODE)?;
        if let Some(node) = m.get(node) {
            m.store(node, 0, m.get(left));
            m.store(node, 1, m.get(right));
        }
        populate(m, left, depth - 1)?;
        populate(m, right, depth - 1)
    })
}

/// The lengths of a tree's left and right edge, in nodes.
fn edges<M: Mutator>(m: &M, tree: M::Local<'_>) -> u64 {
    let edge = |side| {
        let mut length = 0;
        let mut node = m.get(tree);
        while let Some(inner) = node {
            length += 1;
            node = m.load(inner, side);
        }
        length
    };
    edge(0) + edge(1)
}

/// Numbers are read and written in stretches of this many between polls.
const STRETCH: u32 = 1024;

/// Writes 1 / i into the first half.
fn fill<M: Mutator>(m: &mut M, array: M::Local<'_>, length: u32) {
    for start in (0..length / 2).step_by(STRETCH as usize) {
        if let Some(array) = m.get(array) {
            for index in start..(start + STRETCH).min(length / 2) {
                m.set_word(array, index as usize, (1.0 / f64::from(index)).to_bits());
            }
        }
        m.safepoint();
    }
}

/// A digest of the whole array.
fn sum<M: Mutator>(m: &mut M, array: M::Local<'_>, length: u32) -> u64 {
    let mut sum = 0u64;
    for start in (0..length).step_by(STRETCH as usize) {
        if let Some(array) = m.get(array) {
            for index in start..(start + STRETCH).min(length) {
                sum = sum.wrapping_add(mix(m.word(array, index as usize)));
            }
        }
        m.safepoint();
    }
    sum
}
