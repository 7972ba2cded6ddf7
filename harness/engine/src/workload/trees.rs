//! Building and walking full binary trees, for the workloads that build them.

use crate::heap::{Flags, HeapFull, Mutator, Shape};

/// Children of a node: its fields 0 and 1.
pub(super) const BINARY: usize = 2;

/// A tree of at most this depth is walked in one stretch, without a poll: at most 2^11 - 1 nodes.
const UNPOLLED_DEPTH: u32 = 10;

/// Builds a full tree of `depth` (a single node has depth 0) from the leaves up, of nodes with this
/// many words.
pub(super) fn build<M: Mutator, const WORDS: usize>(
    m: &mut M,
    words: [u64; WORDS],
    into: M::Local<'_>,
    depth: u32,
) -> Result<(), HeapFull> {
    if depth == 0 {
        return m.alloc(into, Shape::new(BINARY as u32, WORDS as u32));
    }
    m.safepoint();
    m.frame(|m, [left, right]| {
        build(m, words, left, depth - 1)?;
        build(m, words, right, depth - 1)?;
        m.alloc_move(into, Flags::NONE, [left, right], words)
    })
}

/// Counts the nodes of a tree of at most `depth` (a single node has depth 0), polling between
/// subtrees.
pub(super) fn count<M: Mutator>(m: &mut M, tree: M::Local<'_>, depth: u32) -> u64 {
    m.safepoint();
    let Some(root) = m.get(tree) else { return 0 };
    if depth <= UNPOLLED_DEPTH {
        return count_unpolled(m, root);
    }
    m.frame(|m, [left, right]| {
        if let Some(root) = m.get(tree) {
            m.set(left, m.load(root, 0));
            m.set(right, m.load(root, 1));
        }
        1 + count(m, left, depth - 1) + count(m, right, depth - 1)
    })
}

/// Counts the nodes of a small tree. Null is tested before the call: a walk that recurses into
/// nulls costs 15 % more.
fn count_unpolled<'m, M: Mutator>(m: &'m M, node: M::Ref<'m>) -> u64 {
    let mut nodes = 1;
    for side in 0..BINARY {
        if let Some(child) = m.load(node, side) {
            nodes += count_unpolled(m, child);
        }
    }
    nodes
}
