//! `shared-graph`: several threads read one graph; nothing is allocated, and no reference in it
//! changes.
//!
//! A graph of N nodes, each with four edges to random ones. The threads walk it at random for
//! `steps` steps in all and sum up what they see.
//!
//! **Models** threads that share data which all of them only read: configuration, class tables, an
//! index. On a tracing heap reading is free and the threads never meet. On a counting one each
//! *visit* is an increment and a decrement of the node's count: behind a global lock the threads
//! take turns, and with atomic counts they would fight for cache lines.
//!
//! **Does not model** popular nodes: edges are uniformly random, so two threads are seldom at the
//! same one. Its cache misses are part of the work on every heap.
//!
//! Each node that is visited is put in a local, as an interpreter's variables would be; with
//! `rooted=0` the walk holds plain references instead, 1024 steps at a time, which is what a
//! compiler that proves the node alive would make of it. The difference of the two is what the
//! count costs.
//!
//! A node is four references and a word. Walks are 4096 steps, each with a starting point and a
//! generator of its own, so that the checksum does not depend on the number of threads. Building
//! the graph is part of the time.
//!
//! Nominal (small, one thread): 5 MiB allocated, all of which stays; minimum heap 7.4 MiB on gc-rc,
//! 5.8 MiB on gc-marksweep. At 2x on two cores of an EPYC: less than 1 % of the time in pauses on
//! gc-rc, none on gc-marksweep.

use super::prelude::*;

/// See the [module documentation](self).
pub struct SharedGraph;

/// Edges of a node.
const EDGES: usize = 4;
/// Steps of one walk.
const WALK: u64 = 4096;
/// Steps between two polls of an unrooted walk.
const STRETCH: u64 = 1024;

impl Workload for SharedGraph {
    const NAME: &'static str = "shared-graph";
    const SUMMARY: &'static str = "several threads read one graph";
    const OPERATION: &'static str = "step";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("nodes", [1_000, 10_000, 1_000_000])
            .range(1, 100_000_000)
            .doc("nodes of the graph"),
        Parameter::sized("steps", [20_000, 3_000_000, 200_000_000])
            .range(1, 1_000_000_000_000)
            .doc("steps of all walks together"),
        Parameter::fixed("rooted", 1)
            .range(0, 1)
            .doc("1: nodes that are visited are put in locals; 0: they are not"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        twice(76 * input.get("nodes"), input.threads)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let steps = input.get("steps");
        let walks = steps.div_ceil(WALK);
        let rooted = input.get("rooted") == 1;
        let nodes = input.size("nodes");
        let sum = on_graph(heap, input, [EDGES; 2], |graph| {
            on_threads(heap, input.threads, |m, number| {
                m.frame(|m, [table, cursor]| {
                    m.set(table, Some(m.open(graph)));
                    Ok(total(share(walks, input.threads, number).map(|walk| {
                        let steps = WALK.min(steps - walk * WALK);
                        let mut random = generator(input.seed, walk);
                        m.set(cursor, field(m, table, below(&mut random, nodes)));
                        if rooted {
                            walk_rooted(m, cursor, steps, &mut random)
                        } else {
                            walk_unrooted(m, cursor, steps, &mut random)
                        }
                    })))
                })
            })
        })?;
        Ok(Outcome::new(sum, steps))
    }
}

/// One walk from `cursor`, each node in a local; a digest of the words seen.
fn walk_rooted<M: Mutator>(
    m: &mut M,
    cursor: M::Local<'_>,
    steps: u64,
    random: &mut impl Rng,
) -> u64 {
    let mut sum = 0u64;
    for _ in 0..steps {
        let edge = random.next_u64() as usize % EDGES;
        if let Some(node) = m.get(cursor) {
            sum = sum.wrapping_add(mix(m.word(node, 0)));
            m.set(cursor, m.load(node, edge));
        }
        m.safepoint();
    }
    sum
}

/// The same walk, a stretch at a time without locals.
fn walk_unrooted<M: Mutator>(
    m: &mut M,
    cursor: M::Local<'_>,
    steps: u64,
    random: &mut impl Rng,
) -> u64 {
    let mut sum = 0u64;
    let mut left = steps;
    while left > 0 {
        let stretch = left.min(STRETCH);
        let mut at = m.get(cursor);
        for _ in 0..stretch {
            let edge = random.next_u64() as usize % EDGES;
            if let Some(node) = at {
                sum = sum.wrapping_add(mix(m.word(node, 0)));
                at = m.load(node, edge);
            }
        }
        m.set(cursor, at);
        left -= stretch;
        m.safepoint();
    }
    sum
}
