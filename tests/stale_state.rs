//! What a compiler may keep in a register shows only in optimised code: this is run in release as
//! well, and is a program of its own so that little is compiled for it.

use std::thread;

use harness::heap::{Flags, Heap, Mutator};
use tests::{MIB, Variant, on_every_heap, push_nodes, sum_list};

on_every_heap!(a_collection_during_blocking_leaves_no_stale_state);

/// A heap that keeps its allocation cursor in a register across `blocking` allocates from memory
/// that has become somebody else's.
fn a_collection_during_blocking_leaves_no_stale_state<V: Variant>() {
    /// Allocates on both sides of a blocking region. A function of its own, so that the compiler
    /// knows no more of `m` than that it is an exclusive reference: what it may then keep in
    /// registers is the question.
    #[inline(never)]
    fn around<'f, M: Mutator>(
        m: &mut M,
        mine: M::Local<'f>,
        list: M::Local<'f>,
        round: u64,
        during: &mut dyn FnMut(),
    ) {
        m.alloc_init(mine, Flags::NONE, [], [round]).unwrap();
        m.blocking(during);
        m.alloc_move(list, Flags::NONE, [list, mine], [round])
            .unwrap();
        m.alloc_init(mine, Flags::NONE, [], [round]).unwrap();
    }

    let heap = V::heap(16 * MIB);
    heap.attach(|m| {
        m.frame(|m, [mine, list]| {
            let mut theirs = Vec::new();
            for round in 0..50 {
                around(m, mine, list, round, &mut || {
                    thread::scope(|scope| {
                        let theirs = &mut theirs;
                        scope.spawn(|| {
                            heap.attach(|n| {
                                n.collect();
                                n.frame(|n, [kept]| {
                                    push_nodes(n, kept, 100).unwrap();
                                    theirs.push(n.global(n.get(kept).unwrap()));
                                    n.verify();
                                });
                            });
                        });
                    });
                });
                let node = m.get(list).unwrap();
                assert_eq!(m.word(m.load(node, 1).unwrap(), 0), round);
                m.verify();
            }
            assert_eq!(sum_list(m, list), (49 * 50 / 2, 50));
            for list in &theirs {
                m.set(mine, Some(m.open(list)));
                assert_eq!(sum_list(m, mine), (99 * 100 / 2, 100));
            }
        });
    });
}
