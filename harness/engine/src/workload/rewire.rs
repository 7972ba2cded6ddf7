//! `rewire`: references moved about in a graph that stays; nothing is allocated.
//!
//! A table t of N nodes with t\[i\].a = t\[random\]. Then, 100 N times, with random i and j:
//! t\[j\].b = t\[i\].a.
//!
//! **Models** the cost of changing a reference, alone: the write barrier of a tracing heap, the
//! increment and decrement of a counting one (each on a random, usually uncached object), and what
//! locks or atomics make of it with several threads.
//!
//! **Does not model** any reclamation: nothing dies. Its cache misses are part of the work on every
//! heap; the arena shows how much they cost without anything else. Building the table is 1 % of the
//! operations.
//!
//! A node is two references and a word. All threads work on one table, split by operation. Field b
//! is written by racing threads, so what it ends up with is not part of the checksum, which is a
//! digest of the words seen in t\[i\].a. Operations are drawn in blocks of 4096, each with a
//! generator of its own, so that the checksum does not depend on the number of threads.
//!
//! Minimum heap (small): 6 MiB on gc-rc, 4.1 MiB on gc-marksweep: the table and its nodes.

use super::prelude::*;

/// See the [module documentation](self).
pub struct Rewire;

/// Operations drawn from one generator.
const BLOCK: u64 = 4096;
/// Operations for each node of the table.
const TURNS: u64 = 100;

impl Workload for Rewire {
    const NAME: &'static str = "rewire";
    const SUMMARY: &'static str =
        "references moved about in a graph that stays: barriers and counts alone";
    const OPERATION: &'static str = "operation";
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::sized("nodes", [1_000, 20_000, 1_000_000])
            .range(1, 100_000_000)
            .doc("entries of the table, N; 100 N operations follow")];

    fn heap_bytes(input: &Input) -> u64 {
        twice(64 * input.get("nodes"), input.threads)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let nodes = input.get("nodes");
        let operations = TURNS * nodes;
        let blocks = operations.div_ceil(BLOCK);
        let sum = on_graph(heap, input, [2, 1], |graph| {
            on_threads(heap, input.threads, |m, number| {
                m.frame(|m, [table]| {
                    m.set(table, Some(m.open(graph)));
                    let blocks = share(blocks, input.threads, number);
                    Ok(total(blocks.map(|block| {
                        let count = BLOCK.min(operations - block * BLOCK);
                        let random = generator(input.seed, block);
                        rewire(m, table, nodes as usize, count, random)
                    })))
                })
            })
        })?;
        Ok(Outcome::new(sum, operations))
    }
}

/// One block of operations; a digest of the words seen.
fn rewire<M: Mutator>(
    m: &mut M,
    table: M::Local<'_>,
    nodes: usize,
    count: u64,
    mut random: Xoshiro256PlusPlus,
) -> u64 {
    let mut sum = 0u64;
    for _ in 0..count {
        let (i, j) = (below(&mut random, nodes), below(&mut random, nodes));
        if let Some(table) = m.get(table)
            && let (Some(from), Some(to)) = (m.load(table, i), m.load(table, j))
            && let Some(moved) = m.load(from, 0)
        {
            m.store(to, 1, Some(moved));
            sum = sum.wrapping_add(mix(m.word(moved, 0)));
        }
        m.safepoint();
    }
    sum
}
