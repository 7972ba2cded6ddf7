//! `binary-trees`: short-lived trees beside a long-lived one.
//!
//! The program of the Computer Language Benchmarks Game: for a depth N, a stretch tree of depth N +
//! 1 that dies at once, a long-lived tree of depth N, and for every even-numbered step d = 4, 6, ..
//! N, 2^(N - d + 4) trees of depth d, each built bottom-up, walked and dropped. Every tree is
//! walked, every node counted.
//!
//! **Models** programs that allocate small objects at a high rate and drop them in whole
//! structures: compilers, functional programs, request handlers. Reads are unrooted, a tree's nodes
//! are neighbours in memory, nothing is ever updated.
//!
//! **Does not model** old objects pointing to young ones, cycles, large objects, or mixed
//! lifetimes: everything that makes a generational or counting collector earn its living. It
//! flatters bump allocation.
//!
//! A node is two references and no payload. The threads split the trees of each depth; stretch tree
//! and long-lived tree are built by one thread beforehand. The checksum does not depend on the
//! number of threads.
//!
//! Minimum heap (small): 8.8 MiB on both collectors with one thread (the stretch tree), 13 MiB with
//! two (the long-lived tree and a short-lived one each). It doubles with each unit of depth.

use super::prelude::*;
use super::trees::{build, count};

/// See the [module documentation](self).
pub struct BinaryTrees;

const MIN_DEPTH: u32 = 4;

impl Workload for BinaryTrees {
    const NAME: &'static str = "binary-trees";
    const SUMMARY: &'static str =
        "short-lived trees built, walked and dropped beside a long-lived one";
    const OPERATION: &'static str = "node";
    const PARAMETERS: &'static [Parameter] = &[Parameter::sized("depth", [8, 13, 21])
        .range(4, 28)
        .doc("depth of the long-lived and the largest short-lived tree")];

    fn heap_bytes(input: &Input) -> u64 {
        let bytes = |depth: u64| 33u64 << (depth + 1);
        let depth = input.get("depth");
        twice(
            bytes(depth + 1).max(bytes(depth) * (1 + input.threads as u64)),
            input.threads,
        )
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let depth = input.get("depth") as u32;
        let stretch = on_threads(heap, 1, |m, _| {
            m.frame(|m, [tree]| {
                build(m, [], tree, depth + 1)?;
                Ok(count(m, tree, depth + 1))
            })
        })?;
        let long_lived = on_threads(heap, 1, |m, _| {
            m.frame(|m, [tree]| {
                build(m, [], tree, depth)?;
                // The long-lived tree lives as long as this frame; the other threads work
                // meanwhile.
                let short_lived = m.blocking(|| {
                    on_threads(heap, input.threads, |m, number| {
                        short_lived(m, depth, input.threads, number)
                    })
                })?;
                Ok((count(m, tree, depth), short_lived))
            })
        })?;

        let mut counts = vec![stretch[0]];
        for (nodes, by_thread) in long_lived {
            counts.push(nodes);
            let depths = by_thread[0].len();
            counts.extend(
                (0..depths).map(|index| by_thread.iter().map(|counts| counts[index]).sum::<u64>()),
            );
        }
        Ok(Outcome::new(
            counts.iter().fold(0, |sum, nodes| mix(sum ^ nodes)),
            counts.iter().sum(),
        ))
    }
}

/// One thread's part of the short-lived trees: how many nodes it counted, for each depth.
fn short_lived<M: Mutator>(
    m: &mut M,
    max_depth: u32,
    threads: usize,
    number: usize,
) -> Result<Vec<u64>, HeapFull> {
    (MIN_DEPTH..=max_depth)
        .step_by(2)
        .map(|depth| {
            let trees = share(1 << (max_depth - depth + MIN_DEPTH), threads, number);
            m.frame(|m, [tree]| {
                let mut nodes = 0;
                for _ in trees {
                    build(m, [], tree, depth)?;
                    nodes += count(m, tree, depth);
                    m.set(tree, None);
                    m.safepoint();
                }
                Ok(nodes)
            })
        })
        .collect()
}
