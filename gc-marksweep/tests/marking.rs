//! Marking with several workers, and with too little memory for the mark stack, finds what one
//! worker finds.

use std::sync::Barrier;
use std::thread;

use gc_marksweep::{BuildError, Builder, Flags, Heap, Local, Mutator, Shape};

const MIB: usize = 1 << 20;

/// A balanced tree of nodes with two fields and a word.
fn tree<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, nodes: u64) {
    m.frame(|m, [left, right]| {
        let below = nodes - 1;
        for (child, nodes) in [(left, below / 2), (right, below - below / 2)] {
            if nodes > 0 {
                tree(m, child, nodes);
            }
        }
        m.alloc_move(into, Flags::NONE, [left, right], [nodes])
            .unwrap();
    });
}

/// A tree of arrays of `width` references each: medium objects if that is more than 31, large ones
/// from 1,024 on.
fn wide_tree<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, width: u32, depth: u32) {
    m.alloc(into, Shape::new(width, 1)).unwrap();
    if depth == 0 {
        return;
    }
    m.frame(|m, [child]| {
        for index in 0..width as usize {
            wide_tree(m, child, width, depth - 1);
            m.store(m.get(into).unwrap(), index, m.get(child));
        }
    });
}

fn list<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, nodes: u64) {
    for word in 0..nodes {
        m.alloc_move(into, Flags::NONE, [into], [word]).unwrap();
    }
}

/// A list whose every node has a leaf beside it: there is always something to share, and never
/// anything worth it.
fn comb<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, nodes: u64) {
    m.frame(|m, [leaf]| {
        for word in 0..nodes {
            m.alloc(leaf, Shape::new(0, 1)).unwrap();
            m.alloc_move(into, Flags::NONE, [into, leaf], [word])
                .unwrap();
        }
    });
}

/// An array of `nodes` references to objects of one to seventeen words.
fn array<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, nodes: usize) {
    m.frame(|m, [node]| {
        m.alloc(into, Shape::new(nodes as u32, 0)).unwrap();
        for index in 0..nodes {
            m.alloc(node, Shape::new(0, 1 + index as u32 % 17)).unwrap();
            m.store(m.get(into).unwrap(), index, m.get(node));
        }
    });
}

/// Nodes of zero to forty fields that lead to random nodes, some large, of which many are dead.
fn graph<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, nodes: usize, mut seed: u64) {
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % below
    };
    m.frame(|m, [all]| {
        m.alloc(all, Shape::new(nodes as u32, 0)).unwrap();
        for index in 0..nodes {
            let refs = match random(1000) {
                0 => 1500,
                1..20 => 40,
                other => other as u32 % 4,
            };
            m.alloc(into, Shape::new(refs, random(6) as u32)).unwrap();
            m.store(m.get(all).unwrap(), index, m.get(into));
        }
        let all = m.get(all).unwrap();
        for index in 0..nodes {
            let node = m.load(all, index).unwrap();
            for field in 0..m.shape(node).refs as usize {
                m.store(node, field, m.load(all, random(nodes)));
            }
        }
        // A node that much can be reached from.
        let root = (0..nodes).find(|&index| m.shape(m.load(all, index).unwrap()).refs > 1000);
        m.set(into, m.load(all, root.unwrap()));
    });
}

type Make = for<'h> fn(&mut Mutator<'h>, Local<'_, 'h>);

const SHAPES: [(&str, Make); 8] = [
    ("tree", |m, into| tree(m, into, 60_000)),
    ("wide tree", |m, into| wide_tree(m, into, 40, 2)),
    ("tree of medium arrays", |m, into| {
        wide_tree(m, into, 500, 1)
    }),
    ("tree of large arrays", |m, into| {
        wide_tree(m, into, 1500, 1)
    }),
    ("list", |m, into| list(m, into, 50_000)),
    ("comb", |m, into| comb(m, into, 30_000)),
    ("array", |m, into| array(m, into, 50_000)),
    ("graph", |m, into| graph(m, into, 40_000, 1)),
];

/// What a heap finds live of each shape, checked by a walk of its own, and again after more
/// collections.
fn live_bytes(builder: Builder) -> Vec<(&'static str, u64)> {
    SHAPES
        .map(|(name, make)| {
            let heap = builder.clone().limit(256 * MIB).build().unwrap();
            let live = || heap.statistics().live_bytes.unwrap();
            let bytes = heap.attach(|m| {
                m.frame(|m, [root]| {
                    make(m, root);
                    m.collect();
                    let bytes = live();
                    for _ in 0..8 {
                        m.collect();
                        assert_eq!(live(), bytes, "{name}");
                    }
                    m.verify();
                    bytes
                })
            });
            (name, bytes)
        })
        .to_vec()
}

#[test]
fn several_workers_find_what_one_finds() {
    let one = live_bytes(Heap::builder().marking_workers(1));
    for (workers, depth) in [(2, 16), (3, 0), (5, Builder::MAX_PREFETCH_DEPTH)] {
        let builder = Heap::builder()
            .marking_workers(workers)
            .prefetch_depth(depth);
        assert_eq!(live_bytes(builder), one, "{workers} workers, depth {depth}");
    }
}

/// Of the shapes, the graph and the wide trees have far more edges waiting than fit.
#[test]
fn a_mark_stack_that_may_not_grow_finds_the_same() {
    let unlimited = live_bytes(Heap::builder().marking_workers(1));
    for (workers, depth) in [(1, 16), (1, 0), (2, 16), (5, 16)] {
        let builder = Heap::builder()
            .mark_stack_limit(0)
            .marking_workers(workers)
            .prefetch_depth(depth);
        assert_eq!(
            live_bytes(builder),
            unlimited,
            "{workers} workers, depth {depth}"
        );
    }
}

/// Also if the roots alone do not fit: they are followed as they are found.
#[test]
fn more_roots_than_the_mark_stack_holds() {
    const GLOBALS: usize = 10_000;
    let heap = Heap::builder()
        .limit(64 * MIB)
        .mark_stack_limit(0)
        .poison(true)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [node]| {
            let globals: Vec<_> = (0..GLOBALS as u64)
                .map(|word| {
                    m.set(node, None);
                    list(m, node, 1 + word % 7);
                    let flags = Flags {
                        finalize: word % 3 == 0,
                        ..Flags::NONE
                    };
                    m.alloc_move(node, flags, [node], [word]).unwrap();
                    m.global(m.get(node).unwrap())
                })
                .collect();
            m.set(node, None);
            m.verify();
            for (word, global) in globals.iter().enumerate() {
                assert_eq!(m.word(m.open(global), 0), word as u64);
            }
            drop(globals);
            m.verify();
            let mut due = 0;
            while m.finalizable(node) {
                assert_eq!(m.word(m.get(node).unwrap(), 0), 3 * due);
                due += 1;
            }
            assert_eq!(due, GLOBALS.div_ceil(3) as u64);
            m.set(node, None);
            m.verify();
            assert_eq!(heap.statistics().live_bytes, Some(0));
        });
    });
}

#[test]
fn an_array_of_a_million_references() {
    for workers in [1, 2, 5] {
        let heap = Heap::builder()
            .limit(256 * MIB)
            .marking_workers(workers)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [root]| {
                array(m, root, 1_000_000);
                let sizes = (0..1_000_000_u32).map(|index| Shape::new(0, 1 + index % 17).size());
                let expected = sizes.sum::<usize>() + Shape::new(1_000_000, 0).size();
                for _ in 0..10 {
                    m.collect();
                    assert_eq!(heap.statistics().live_bytes, Some(expected as u64));
                }
            });
        });
    }
}

/// Random graphs, each marked many times by several workers: whatever the interleaving, to the same
/// result.
#[test]
fn random_graphs() {
    for seed in 1..8 {
        let live = [1, 3].map(|workers| {
            let heap = Heap::builder()
                .limit(128 * MIB)
                .marking_workers(workers)
                .build()
                .unwrap();
            heap.attach(|m| {
                m.frame(|m, [root]| {
                    graph(m, root, 30_000, seed);
                    m.collect();
                    let live = heap.statistics().live_bytes;
                    for _ in 0..10 {
                        m.collect();
                        assert_eq!(heap.statistics().live_bytes, live, "seed {seed}");
                    }
                    m.verify();
                    live
                })
            })
        });
        assert_eq!(live[0], live[1], "seed {seed}");
    }
}

/// Several mutators at work on their own trees, each asking for collections: a worker leads one
/// collection and waits in the next.
#[test]
fn mutators_that_collect_at_the_same_time() {
    let heap = Heap::builder()
        .limit(128 * MIB)
        .marking_workers(3)
        .poison(true)
        .build()
        .unwrap();
    thread::scope(|scope| {
        for number in 0..3 {
            let heap = &heap;
            scope.spawn(move || {
                heap.attach(|m| {
                    m.frame(|m, [kept, lost]| {
                        tree(m, kept, 50_000);
                        for round in 0..30 {
                            tree(m, lost, 5_000 + 1_000 * number);
                            if round % 10 == number {
                                m.verify();
                            } else {
                                m.collect();
                            }
                        }
                        m.verify();
                    });
                });
            });
        }
    });
}

/// Heaps whose helpers sleep, or have never been started, go like any other; helpers of many heaps
/// do not meet.
#[test]
fn many_heaps_at_once() {
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for number in 0..4 {
            let barrier = &barrier;
            scope.spawn(move || {
                for round in 0..8 {
                    let heap = Heap::builder()
                        .limit(32 * MIB)
                        .marking_workers(3)
                        .build()
                        .unwrap();
                    barrier.wait();
                    heap.attach(|m| {
                        m.frame(|m, [root]| {
                            // Every other heap is too small to be shared.
                            let nodes = if (number + round) % 2 == 0 {
                                100
                            } else {
                                100_000
                            };
                            tree(m, root, nodes);
                            for _ in 0..5 {
                                m.collect();
                                assert_eq!(heap.statistics().live_bytes, Some(32 * nodes));
                            }
                        });
                    });
                }
            });
        }
    });
}

#[test]
fn an_impossible_number_of_workers_is_refused_in_words() {
    for workers in [Builder::MAX_MARKING_WORKERS + 1, usize::MAX] {
        let error = Heap::builder()
            .marking_workers(workers)
            .build()
            .unwrap_err();
        assert!(matches!(error, BuildError::MarkingWorkers { .. }));
        assert!(error.to_string().contains("the most is 64"));
    }
}
