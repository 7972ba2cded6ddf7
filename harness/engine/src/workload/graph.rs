//! Lists and tables of nodes, for the workloads that build or walk them.

use std::ops::Range;

use super::{Input, below, generator, mix, on_threads, set_word, total};
use crate::heap::{Heap, HeapFull, Mutator, Shape};

/// A list is walked in stretches of this many nodes between polls.
const STRETCH: usize = 1024;

/// A digest of the words of a list, whose nodes refer to the next one by field 0, from the node at
/// `cursor` on.
pub(super) fn walk<M: Mutator>(m: &mut M, cursor: M::Local<'_>) -> u64 {
    let mut sum = 0u64;
    loop {
        let mut node = m.get(cursor);
        for _ in 0..STRETCH {
            let Some(inner) = node else { return sum };
            sum = sum.wrapping_add(mix(m.word(inner, 0)));
            node = m.load(inner, 0);
        }
        m.set(cursor, node);
        m.safepoint();
    }
}

/// Makes a table of one slot for each number in `numbers`, and puts into it what `make` makes of
/// the number in the local that it is given.
pub(super) fn fill<M: Mutator>(
    m: &mut M,
    table: M::Local<'_>,
    numbers: Range<u64>,
    mut make: impl FnMut(&mut M, M::Local<'_>, u64) -> Result<(), HeapFull>,
) -> Result<(), HeapFull> {
    m.alloc(table, Shape::new((numbers.end - numbers.start) as u32, 0))?;
    m.frame(|m, [new]| {
        for (slot, number) in numbers.enumerate() {
            make(m, new, number)?;
            if let Some(table) = m.get(table) {
                m.store_move(table, slot, new);
            }
            m.safepoint();
        }
        Ok(())
    })
}

/// Builds a graph of `nodes` nodes with a word and `fields` reference fields, of which the first
/// `edges` refer to random nodes, and does `work` with the table of the nodes. The sum of what it
/// comes to. Building the graph is part of the time.
///
/// Whoever has built it is gone when the work begins. So where threads own objects, and take over
/// those of a thread that has ended, one of the workers is the owner, as in a program whose main
/// thread has made what all work on; and a single worker works on what is its own.
pub(super) fn on_graph<H: Heap>(
    heap: &H,
    input: &Input,
    [fields, edges]: [usize; 2],
    work: impl Fn(&H::Global) -> Result<Vec<u64>, HeapFull> + Sync,
) -> Result<u64, HeapFull> {
    let tables = on_threads(heap, 1, |m, _| {
        m.frame(|m, [table]| {
            let numbers = 0..input.get("nodes");
            fill(m, table, numbers, |m, node, number| {
                m.alloc(node, Shape::new(fields as u32, 1))?;
                set_word(m, node, 0, number);
                Ok(())
            })?;
            tie(m, table, edges, input);
            Ok(m.get(table).map(|table| m.global(table)))
        })
    })?;
    match tables.into_iter().flatten().next() {
        Some(table) => Ok(total(work(&table)?)),
        None => Ok(0),
    }
}

/// Points the first `edges` fields of each node in the table at random ones.
fn tie<M: Mutator>(m: &mut M, table: M::Local<'_>, edges: usize, input: &Input) {
    let nodes = input.size("nodes");
    // Streams of the work count from 0; this one is none of them.
    let mut random = generator(input.seed, u64::MAX);
    for index in 0..nodes {
        if let Some(table) = m.get(table)
            && let Some(node) = m.load(table, index)
        {
            for edge in 0..edges {
                m.store(node, edge, m.load(table, below(&mut random, nodes)));
            }
        }
        m.safepoint();
    }
}
