//! The cycle collector: what it finds, and when it looks.

use gc_rc::{Cycle, Event, EventKind, Flags, Heap, Local, Mutator, Shape, Weak};

fn strict() -> Heap {
    Heap::builder().poison(true).build().unwrap()
}

/// A ring of `nodes` objects of two fields and a word, the second field free, in `into`.
fn ring<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, nodes: u64, flags: Flags) {
    m.frame(|m, [first, none]| {
        m.alloc_init(into, flags, [none, none], [0]).unwrap();
        m.set(first, m.get(into));
        for number in 1..nodes {
            m.alloc_init(into, flags, [into, none], [number]).unwrap();
        }
        m.store(m.get(first).unwrap(), 0, m.get(into));
    });
}

fn collections(heap: &Heap) -> Vec<(u8, u64, u64)> {
    let of = |event: Event| match event.kind {
        EventKind::Collection {
            generation,
            examined,
            unreachable,
            ..
        } => Some((generation, examined, unreachable)),
        _ => None,
    };
    heap.take_events()
        .events
        .into_iter()
        .filter_map(of)
        .collect()
}

#[test]
fn rings_die_when_nothing_outside_refers_to_them() {
    let heap = strict();
    heap.attach(|m| {
        for nodes in [1, 2, 16, 1024] {
            m.frame(|m, [a, b]| {
                ring(m, a, nodes, Flags::NONE);
                m.set(b, m.load(m.get(a).unwrap(), 0));
                let weak = m.downgrade(m.get(a).unwrap());
                m.set(a, None);
                m.collect();
                // One local keeps all of it.
                assert!(m.upgrade(&weak).is_some());
                let mut node = m.get(b).unwrap();
                for _ in 0..nodes {
                    node = m.load(node, 0).unwrap();
                }
                assert_eq!(Some(node), m.get(b));
                m.verify();
                m.set(b, None);
                m.safepoint();
                assert!(m.upgrade(&weak).is_some(), "counts reclaimed a cycle");
                heap.take_events();
                m.collect();
                assert!(m.upgrade(&weak).is_none());
                assert_eq!(collections(&heap), [(2, nodes, nodes)]);
                m.verify();
            });
        }
    });
}

#[test]
fn globals_and_other_objects_keep_cycles() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a, holder, leaf]| {
            ring(m, a, 3, Flags::NONE);
            let weak = m.downgrade(m.get(a).unwrap());
            // A leaf, an acyclic holder and a large one are untracked or apart; all count.
            m.alloc_init(leaf, Flags::NONE, [], [9]).unwrap();
            m.store(m.get(a).unwrap(), 1, m.get(leaf));
            let leaf_weak = m.downgrade(m.get(leaf).unwrap());
            m.set(leaf, None);
            let global = m.global(m.get(a).unwrap());
            m.set(a, None);
            m.collect();
            assert!(m.upgrade(&weak).is_some());
            for shape in [
                Shape::new(1, 0),
                Shape::new(1, 0).with(Flags::ACYCLIC),
                Shape::new(100_000, 0),
            ] {
                m.alloc(holder, shape).unwrap();
                m.store(m.get(holder).unwrap(), 0, m.upgrade(&weak));
                m.verify();
                m.collect();
                m.verify();
            }
            drop(global);
            m.collect();
            assert!(m.upgrade(&weak).is_some());
            m.set(holder, None);
            m.collect();
            assert!(m.upgrade(&weak).is_none() && m.upgrade(&leaf_weak).is_none());
            m.verify();
        })
    });
}

#[test]
fn a_large_object_in_a_cycle_is_collected() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a, b]| {
            m.alloc(a, Shape::new(100_000, 0)).unwrap();
            m.alloc_init(b, Flags::NONE, [a], []).unwrap();
            for field in 0..100_000 {
                m.store(m.get(a).unwrap(), field, m.get(b));
            }
            m.collect();
            m.verify();
            m.set(a, None);
            m.set(b, None);
            m.collect();
            m.verify();
            assert!(heap.statistics().occupied_bytes < 100_000);
        })
    });
}

/// In-edges beyond what a side byte can say, in garbage and in what lives.
#[test]
fn popular_objects_are_counted_right() {
    let heap = strict();
    heap.attach(|m| {
        for fans in [125, 126, 127, 252, 253, 1000, 100_000] {
            m.frame(|m, [star, fan, keep]| {
                m.alloc(star, Shape::new(1, 0)).unwrap();
                m.alloc(keep, Shape::new(1, 0)).unwrap();
                for _ in 0..fans {
                    m.alloc_init(fan, Flags::NONE, [fan, star], []).unwrap();
                }
                m.store(m.get(star).unwrap(), 0, m.get(fan));
                m.set(fan, None);
                m.store(m.get(keep).unwrap(), 0, m.get(star));
                m.set(star, None);
                heap.take_events();
                m.collect();
                assert_eq!(collections(&heap).pop(), Some((2, fans + 2, 0)));
                m.verify();
                m.set(keep, None);
                m.collect();
                assert_eq!(collections(&heap).pop(), Some((2, fans + 1, fans + 1)));
                m.verify();
            });
        }
    });
}

#[test]
fn generations_follow_cpythons_counts() {
    let heap = Heap::builder()
        .thresholds([100, 3, 2])
        .poison(true)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [list]| {
            let mut expected = Vec::new();
            let mut counts = [0u64; 3];
            let (mut long_lived_pending, mut long_lived_total) = (0, 0);
            let (mut young, mut middle, mut old) = (0, 0, 0);
            for _ in 0..20_000 {
                m.alloc_init(list, Flags::NONE, [list], []).unwrap();
                young += 1;
                counts[0] += 1;
                m.safepoint();
                // `gc_collect_generations`, written down again.
                if counts[0] > 100 {
                    let due = (0..3).rev().find(|&generation| {
                        counts[generation] > [100, 3, 2][generation]
                            && (generation < 2 || long_lived_pending >= long_lived_total / 4)
                    });
                    let generation = due.unwrap();
                    (0..=generation).for_each(|younger| counts[younger] = 0);
                    if generation < 2 {
                        counts[generation + 1] += 1;
                    }
                    let examined = match generation {
                        0 => young,
                        1 => middle + young,
                        _ => old + middle + young,
                    };
                    match generation {
                        0 => middle += young,
                        1 => {
                            old += examined;
                            long_lived_pending += examined;
                            middle = 0;
                        }
                        _ => {
                            (old, middle, long_lived_pending, long_lived_total) =
                                (examined, 0, 0, examined);
                        }
                    }
                    young = 0;
                    expected.push((generation as u8, examined, 0));
                }
            }
            m.verify();
            assert!(expected.iter().filter(|event| event.0 == 2).count() > 2);
            assert_eq!(collections(&heap), expected);
        })
    });
}

#[test]
fn frees_count_against_allocations() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a]| {
            // In balance: never more than one object ahead.
            for _ in 0..100_000 {
                m.alloc(a, Shape::new(1, 0)).unwrap();
                m.safepoint();
            }
            // Untracked objects do not count at all.
            m.frame(|m, [list, leaf]| {
                m.alloc(list, Shape::new(10_000, 0)).unwrap();
                for index in 0..10_000 {
                    let flags = if index % 2 == 0 {
                        Flags::NONE
                    } else {
                        Flags::ACYCLIC
                    };
                    m.alloc(leaf, Shape::new(index as u32 % 2, 1).with(flags))
                        .unwrap();
                    m.store(m.get(list).unwrap(), index, m.get(leaf));
                    m.safepoint();
                }
            });
            assert_eq!(heap.statistics().collections, 0);
        })
    });
}

#[test]
fn rings_stay_below_a_limit_only_with_a_collector() {
    let churn = |cycle| {
        let heap = Heap::builder().limit(4 << 20).cycle(cycle).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [a, b]| {
                for _ in 0..100_000 {
                    m.alloc_init(a, Flags::NONE, [a], [])?;
                    m.alloc_init(b, Flags::NONE, [a], [])?;
                    m.store(m.get(a).unwrap(), 0, m.get(b));
                    m.set(a, None);
                    m.safepoint();
                }
                Ok::<_, gc_rc::HeapFull>(())
            })
        })
    };
    assert!(churn(Cycle::Generational).is_ok());
    assert!(churn(Cycle::None).is_err());
}

#[test]
fn the_limit_collects_before_it_fails() {
    // No safepoint, so that nothing is collected on the way.
    let heap = Heap::builder().limit(2 << 20).poison(true).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [a]| {
            for _ in 0..200_000 {
                m.alloc(a, Shape::new(1, 1)).unwrap();
                let object = m.get(a).unwrap();
                m.store(object, 0, Some(object));
            }
            m.verify();
        })
    });
    assert!(heap.statistics().collections > 0);
    assert!(heap.statistics().peak_occupied_bytes <= 2 << 20);
}

#[test]
fn a_long_ring_needs_no_stack() {
    let work = || {
        let heap = Heap::new();
        heap.attach(|m| {
            m.frame(|m, [a]| {
                ring(m, a, 3_000_000, Flags::NONE);
                m.collect();
                m.set(a, None);
                m.collect();
            })
        });
        let statistics = heap.statistics();
        assert_eq!(statistics.occupied_bytes, statistics.metadata_bytes);
    };
    std::thread::Builder::new()
        .stack_size(128 << 10)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

fn cleared(m: &mut Mutator<'_>) -> Vec<Weak> {
    std::iter::from_fn(|| m.cleared()).collect()
}

#[test]
fn weak_references_are_cleared_in_the_order_of_death() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a, b, c]| {
            m.alloc_init(b, Flags::NONE, [], [2]).unwrap();
            m.alloc_init(c, Flags::NONE, [], [3]).unwrap();
            m.alloc_init(a, Flags::NONE, [b, c], [1]).unwrap();
            let weak = [a, b, c].map(|local| m.downgrade(m.get(local).unwrap()));
            assert_eq!(
                weak[0],
                m.downgrade(m.get(a).unwrap()),
                "weak references to one object are equal"
            );
            m.set(b, None);
            m.set(c, None);
            assert!(cleared(m).is_empty());
            m.set(a, None);
            // The count is zero: dead to weak references at once, reclaimed later.
            assert!(m.upgrade(&weak[0]).is_none());
            assert!(m.upgrade(&weak[1]).is_some());
            // A parent before its fields, those from first to last.
            assert_eq!(cleared(m), weak);
            assert!(weak.iter().all(|weak| m.upgrade(weak).is_none()));
            // What is revived in time is not cleared.
            m.alloc_init(a, Flags::NONE, [], [4]).unwrap();
            let object = m.get(a).unwrap();
            let weak = m.downgrade(object);
            m.set(a, None);
            m.set(b, Some(object));
            m.safepoint();
            assert!(m.upgrade(&weak).is_some());
            assert!(cleared(m).is_empty());
            m.verify();
        })
    });
}

#[test]
fn finalizers_are_due_once() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a, due]| {
            m.alloc_init(a, Flags::FINALIZE, [], [7]).unwrap();
            let weak = m.downgrade(m.get(a).unwrap());
            assert!(!m.finalizable(due));
            m.set(a, None);
            m.safepoint();
            // Queued, and visible: the order of a death by count.
            assert!(m.upgrade(&weak).is_some());
            m.collect();
            m.verify();
            assert!(m.finalizable(due));
            assert_eq!(m.word(m.get(due).unwrap(), 0), 7);
            // Resurrected, it dies silently the second time.
            m.set(a, m.get(due));
            m.set(due, None);
            m.verify();
            m.set(a, None);
            assert!(!m.finalizable(due));
            assert_eq!(cleared(m), [weak]);
            m.verify();
        })
    });
}

#[test]
fn finalizers_in_cycles_keep_what_they_reach() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a, b, due]| {
            // A ring with one finalizer, which refers to a second ring; and a third, which nothing
            // refers to.
            ring(m, a, 3, Flags::NONE);
            ring(m, b, 2, Flags::NONE);
            let second = m.downgrade(m.get(b).unwrap());
            m.alloc_init(due, Flags::FINALIZE, [a, b], [1]).unwrap();
            m.store(m.get(a).unwrap(), 1, m.get(due));
            let first = m.downgrade(m.get(due).unwrap());
            ring(m, b, 5, Flags::NONE);
            [a, b, due].iter().for_each(|&local| m.set(local, None));
            heap.take_events();
            m.collect();
            assert_eq!(collections(&heap), [(2, 11, 11)]);
            m.verify();
            // In a cycle weak references go first, also those to what is resurrected.
            assert!(m.upgrade(&first).is_none() && m.upgrade(&second).is_none());
            m.collect();
            assert_eq!(collections(&heap), [(2, 6, 0)]);
            assert!(m.finalizable(due) && !m.finalizable(b));
            let object = m.get(due).unwrap();
            assert_eq!(m.word(object, 0), 1);
            assert_eq!(m.load(m.load(object, 0).unwrap(), 1), Some(object));
            m.verify();
            m.set(due, None);
            m.collect();
            assert_eq!(collections(&heap), [(2, 6, 6)]);
            assert!(!m.finalizable(due));
            m.verify();
        })
    });
}

/// Large objects are examined before and after all others: whichever comes first, none is taken for
/// garbage and all garbage is found.
#[test]
fn large_and_small_objects_reach_each_other() {
    const LARGE: Shape = Shape::new(5000, 0);
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
        let heap = strict();
        heap.attach(|m| {
            m.frame(|m, [root, all, node]| {
                // A ring through 0 to 4, made in any order: large at even numbers.
                m.alloc(all, Shape::new(5, 0).with(Flags::ACYCLIC)).unwrap();
                for number in order {
                    let shape = if number % 2 == 0 {
                        LARGE
                    } else {
                        Shape::new(2, 0)
                    };
                    m.alloc(node, shape).unwrap();
                    m.store(m.get(all).unwrap(), number, m.get(node));
                }
                for number in 0..5 {
                    let all = m.get(all).unwrap();
                    let (from, to) = (m.load(all, number).unwrap(), m.load(all, (number + 1) % 5));
                    m.store(from, 0, to);
                    m.store(from, 1, Some(from));
                }
                for number in 0..5 {
                    let object = m.load(m.get(all).unwrap(), number);
                    m.set(root, object);
                    m.set(node, None);
                    let weak = m.downgrade(m.get(root).unwrap());
                    // The ring is reached from this one only, then from the table again.
                    for index in 0..5 {
                        m.store(m.get(all).unwrap(), index, None);
                    }
                    m.collect();
                    m.verify();
                    assert!(m.upgrade(&weak).is_some());
                    let mut next = m.get(root);
                    for index in 0..5 {
                        m.store(m.get(all).unwrap(), (number + index) % 5, next);
                        next = m.load(next.unwrap(), 0);
                    }
                    assert_eq!(next, m.get(root));
                    if number == 4 {
                        [root, all, node]
                            .iter()
                            .for_each(|&local| m.set(local, None));
                        heap.take_events();
                        m.collect();
                        assert_eq!(collections(&heap), [(2, 5, 5)]);
                        assert!(m.upgrade(&weak).is_none());
                        m.verify();
                    }
                }
            })
        });
    }
}

/// On a fresh heap the collector first tries to show that nothing is garbage, from high addresses
/// to low ones; after it has failed, from low to high. Small random graphs, so that each way in
/// which that can succeed and fail is met: edges up and down, to itself, many to one, from a large
/// object, garbage beside what lives.
#[test]
fn the_first_collection_frees_exactly_the_unreachable() {
    let mut state = 1u64;
    let mut below = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let (mut clean, mut dirty) = (0, 0);
    for _ in 0..500 {
        let heap = Heap::builder().event_capacity(64).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [table, kept, node]| {
                if below(2) == 0 {
                    ring(m, node, 3, Flags::NONE);
                    m.set(node, None);
                    // The first fails, the second does not try.
                    m.collect();
                    m.collect();
                }
                let nodes = 1 + below(40);
                // Small or large; some graphs refer to older objects only, and some make one object
                // popular.
                let table_refs = if below(2) == 0 { nodes } else { 10_000 };
                let (acyclic, popular) = (below(3) == 0, below(4) == 0);
                m.alloc(table, Shape::new(table_refs as u32, 0)).unwrap();
                let mut edges = vec![Vec::new(); nodes];
                for index in 0..nodes {
                    m.alloc(node, Shape::new(8, 0)).unwrap();
                    m.store(m.get(table).unwrap(), index, m.get(node));
                }
                m.set(node, None);
                let all = m.get(table).unwrap();
                for (index, edges) in edges.iter_mut().enumerate() {
                    for field in 0..below(9) {
                        let other = match () {
                            () if popular && below(2) == 0 => 0,
                            () if acyclic => below(index + 1),
                            () => below(nodes),
                        };
                        if acyclic && other == index {
                            continue;
                        }
                        m.store(m.load(all, index).unwrap(), field, m.load(all, other));
                        edges.push(other);
                    }
                }
                let weak: Vec<_> = (0..nodes)
                    .map(|index| m.downgrade(m.load(all, index).unwrap()))
                    .collect();
                // The roots: a local, and what the table still refers to.
                let local = below(nodes);
                m.set(kept, m.load(all, local));
                let mut todo = vec![local];
                for index in 0..nodes {
                    if below(12) == 0 {
                        todo.push(index);
                    } else {
                        m.store(m.get(table).unwrap(), index, None);
                    }
                }
                let mut reachable = vec![false; nodes];
                while let Some(index) = todo.pop() {
                    if !std::mem::replace(&mut reachable[index], true) {
                        todo.extend(&edges[index]);
                    }
                }
                m.collect();
                for (index, weak) in weak.iter().enumerate() {
                    assert_eq!(m.upgrade(weak).is_some(), reachable[index], "node {index}");
                }
                m.verify();
                let (_, _, unreachable) = collections(&heap).pop().unwrap();
                *(if unreachable == 0 {
                    &mut clean
                } else {
                    &mut dirty
                }) += 1;
                // And once more, with what lives.
                m.collect();
                assert_eq!(collections(&heap).pop().unwrap().2, 0);
                m.verify();
            })
        });
    }
    assert!(
        clean > 50 && dirty > 50,
        "{clean} clean, {dirty} with garbage"
    );
}
