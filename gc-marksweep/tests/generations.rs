//! Minor collections, the write barrier, heap sizes and the return of memory, through the public
//! interface.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use gc_marksweep::{Flags, Generations, Heap, Local, Mutator, Shape, Sizing};

/// A heap whose minor collections come every 64 KiB, and which writes over what it frees.
fn heap(limit: usize) -> Heap {
    Heap::builder()
        .limit(limit)
        .generations(Generations::On)
        .nursery(64 << 10)
        .poison(true)
        .build()
        .unwrap()
}

/// Allocates garbage until `count` more minor collections are over.
fn minor_collections(m: &mut Mutator<'_>, heap: &Heap, count: u64) {
    let until = heap.statistics().minor_collections + count;
    m.frame(|m, [garbage]| {
        while heap.statistics().minor_collections < until {
            m.alloc(garbage, Shape::new(2, 8)).unwrap();
        }
    });
}

/// Makes an object with a word in `into`.
fn leaf<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, word: u64) {
    m.alloc_init(into, Flags::NONE, [], [word]).unwrap();
}

#[test]
fn what_only_an_old_object_refers_to_survives_a_minor_collection() {
    let heap = heap(4 << 20);
    heap.attach(|m| {
        m.frame(|m, [old, young]| {
            m.alloc(old, Shape::new(2, 0)).unwrap();
            m.collect();
            for round in 0..20 {
                leaf(m, young, round);
                m.store(m.get(old).unwrap(), (round % 2) as usize, m.get(young));
                m.set(young, None);
                minor_collections(m, &heap, 2);
                let target = m.load(m.get(old).unwrap(), (round % 2) as usize).unwrap();
                assert_eq!(m.word(target, 0), round);
            }
            m.verify();
        });
    });
}

/// Fields at both ends of cards, and of the object, which has more than 8 KiB of them.
#[test]
fn what_only_an_old_large_array_refers_to_survives_a_minor_collection() {
    const REFS: usize = 5000;
    let heap = heap(4 << 20);
    heap.attach(|m| {
        m.frame(|m, [table, young]| {
            m.alloc(table, Shape::new(REFS as u32, 3)).unwrap();
            m.collect();
            for round in 0..3 {
                for field in [0, 1, 62, 63, 64, 126, 127, 128, 2500, REFS - 1] {
                    leaf(m, young, round * 10_000 + field as u64);
                    m.store(m.get(table).unwrap(), field, m.get(young));
                }
                m.set(young, None);
                minor_collections(m, &heap, 3);
                for field in [0, 1, 62, 63, 64, 126, 127, 128, 2500, REFS - 1] {
                    let target = m.load(m.get(table).unwrap(), field).unwrap();
                    assert_eq!(m.word(target, 0), round * 10_000 + field as u64);
                }
            }
            m.verify();
        });
    });
}

/// Workers that mark together mark large objects in the side table, where the states of their cards
/// are as well.
#[test]
fn what_several_workers_have_marked_is_remembered() {
    let heap = Heap::builder()
        .generations(Generations::On)
        .nursery(1 << 20)
        .marking_workers(3)
        .poison(true)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [tables, young]| {
            m.alloc(tables, Shape::new(300, 0)).unwrap();
            for index in 0..300 {
                m.alloc(young, Shape::new(1100, 0)).unwrap();
                m.store(m.get(tables).unwrap(), index, m.get(young));
                m.frame(|m, [leaves]| {
                    for field in 0..1100 {
                        leaf(m, leaves, field as u64);
                        m.store(m.get(young).unwrap(), field, m.get(leaves));
                    }
                });
            }
            for round in 0..10 {
                m.collect();
                for index in 0..300 {
                    leaf(m, young, round + index);
                    let table = m.load(m.get(tables).unwrap(), index as usize);
                    m.store(table.unwrap(), 0, m.get(young));
                }
                m.set(young, None);
                minor_collections(m, &heap, 2);
                for index in 0..300 {
                    let table = m.load(m.get(tables).unwrap(), index as usize);
                    let target = m.load(table.unwrap(), 0).unwrap();
                    assert_eq!(m.word(target, 0), round + index);
                }
            }
            m.verify();
        });
    });
}

#[test]
fn what_a_thread_stored_before_it_detached_is_remembered() {
    let heap = heap(4 << 20);
    heap.attach(|m| {
        m.frame(|m, [old, table]| {
            m.alloc(old, Shape::new(1, 0)).unwrap();
            m.alloc(table, Shape::new(2000, 0)).unwrap();
            m.collect();
            let global = m.global(m.get(old).unwrap());
            let table_global = m.global(m.get(table).unwrap());
            m.blocking(|| {
                thread::scope(|scope| {
                    scope.spawn(|| {
                        heap.attach(|m| {
                            m.frame(|m, [young]| {
                                leaf(m, young, 7);
                                m.store(m.open(&global), 0, m.get(young));
                                m.store(m.open(&table_global), 1999, m.get(young));
                            });
                        });
                    });
                });
            });
            minor_collections(m, &heap, 2);
            for target in [
                m.load(m.get(old).unwrap(), 0).unwrap(),
                m.load(m.get(table).unwrap(), 1999).unwrap(),
            ] {
                assert_eq!(m.word(target, 0), 7);
            }
            m.verify();
        });
    });
}

#[test]
fn a_minor_collection_keeps_dead_old_objects_and_a_major_one_frees_them() {
    let heap = heap(16 << 20);
    let live = || heap.statistics().live_bytes.unwrap();
    heap.attach(|m| {
        m.frame(|m, [list]| {
            for word in 0..10_000 {
                m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
            }
            m.collect();
            assert_eq!(live(), 10_000 * 24);
            m.set(list, None);
            minor_collections(m, &heap, 1);
            assert!(live() >= 10_000 * 24);
            m.collect();
            assert_eq!(live(), 0);
        });
    });
}

#[test]
fn young_large_objects_die_in_minor_collections() {
    let heap = heap(8 << 20);
    heap.attach(|m| {
        m.frame(|m, [large, kept]| {
            m.alloc(kept, Shape::new(0, 100_000)).unwrap();
            m.collect();
            // Four times the limit in all.
            for _ in 0..40 {
                m.set(large, None);
                m.alloc(large, Shape::new(0, 100_000)).unwrap();
            }
            let statistics = heap.statistics();
            assert!(statistics.minor_collections >= 5, "{statistics:?}");
            assert_eq!(statistics.collections, statistics.minor_collections + 1);
            m.verify();
        });
    });
}

/// Old garbage fills the heap: a minor collection finds nothing, and the allocation must succeed
/// all the same.
#[test]
fn a_minor_collection_that_frees_too_little_is_followed_by_a_major_one_at_once() {
    let heap = heap(2 << 20);
    heap.attach(|m| {
        m.frame(|m, [old, new]| {
            m.alloc(old, Shape::new(0, 150_000)).unwrap();
            m.collect();
            m.set(old, None);
            m.alloc(new, Shape::new(0, 150_000)).unwrap();
            m.verify();
        });
    });
}

/// Ends the other threads also when a check fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_collection_asked_for_is_a_major_one_whatever_others_do() {
    let heap = heap(4 << 20);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                heap.attach(|m| {
                    while !over.load(Ordering::Relaxed) {
                        minor_collections(m, &heap, 1);
                    }
                });
            });
        }
        let _over = SetOnDrop(&over);
        heap.attach(|m| {
            m.frame(|m, [object]| {
                for _ in 0..400 {
                    leaf(m, object, 1);
                    let weak = m.downgrade(m.get(object).unwrap());
                    // Old, so that only a major collection finds it dead.
                    m.collect();
                    m.set(object, None);
                    m.collect();
                    assert!(m.upgrade(&weak).is_none());
                }
            });
        });
    });
}

#[test]
fn weak_references_and_finalizers_of_young_objects_are_found_by_minor_collections() {
    let heap = heap(4 << 20);
    heap.attach(|m| {
        m.frame(|m, [object, due]| {
            m.collect();
            m.alloc_init(object, Flags::FINALIZE, [], [3]).unwrap();
            let weak = m.downgrade(m.get(object).unwrap());
            m.set(object, None);
            minor_collections(m, &heap, 1);
            assert!(m.upgrade(&weak).is_none());
            assert!(m.cleared().is_some_and(|cleared| cleared == weak));
            assert!(m.finalizable(due));
            assert_eq!(m.word(m.get(due).unwrap(), 0), 3);
            assert!(!m.finalizable(due));
        });
    });
}

/// A table whose entries are replaced at random: nearly all that is new survives, old objects refer
/// to it.
fn replace<'h>(m: &mut Mutator<'h>, table: Local<'_, 'h>, entries: usize, operations: usize) {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    m.frame(|m, [node]| {
        for _ in 0..operations {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            m.alloc(node, Shape::new(2, 0)).unwrap();
            let at = random as usize % entries;
            let table = m.get(table).unwrap();
            if let Some(old) = m.load(table, at) {
                m.store(old, 0, m.get(node));
            }
            m.store(table, at, m.get(node));
        }
    });
}

/// Under stress minor collections go on although they have lost: what they mark must be remembered
/// when it is written, like all that is old.
#[test]
fn what_a_minor_collection_that_has_lost_made_old_is_remembered() {
    const LIVE: usize = 1000;
    let heap = Heap::builder()
        .limit(4 << 20)
        .stress(true)
        .poison(true)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [table, old, young]| {
            m.alloc(table, Shape::new(LIVE as u32, 0)).unwrap();
            for index in 0..LIVE {
                m.alloc(old, Shape::new(2, 0)).unwrap();
                m.store(m.get(table).unwrap(), index, m.get(old));
            }
            for round in 0..3000 {
                m.alloc(old, Shape::new(2, 0)).unwrap();
                leaf(m, young, round);
                m.store(m.get(old).unwrap(), 0, m.get(young));
                m.set(young, None);
                for _ in 0..2 {
                    leaf(m, young, 0);
                }
                let target = m.load(m.get(old).unwrap(), 0).unwrap();
                assert_eq!(m.word(target, 0), round);
            }
        });
    });
    assert!(heap.statistics().minor_collections > 1000);
}

/// A table whose entries are replaced at random has few minor collections, and when nothing
/// survives any more they are tried again.
///
/// What a collection costs is measured, and a busy machine makes one dear that is not: how many
/// follow upon a try is for the unit tests of the policy, whose times are made up.
#[test]
fn auto_gives_minor_collections_up_and_takes_them_up_again() {
    const ENTRIES: usize = 100_000;
    let minors = |generations| {
        let heap = Heap::builder()
            .limit(14 << 20)
            .nursery(1 << 20)
            .generations(generations)
            .build()
            .unwrap();
        let minors = || heap.statistics().minor_collections;
        heap.attach(|m| {
            m.frame(|m, [table, garbage]| {
                m.alloc(table, Shape::new(ENTRIES as u32, 0)).unwrap();
                replace(m, table, ENTRIES, 3 * ENTRIES);
                let before = minors();
                replace(m, table, ENTRIES, 20 * ENTRIES);
                let after = minors();
                // Enough for the longest rest there can be, at one major collection for at most 14
                // MiB.
                for _ in 0..40_000_000 {
                    m.alloc(garbage, Shape::new(2, 0)).unwrap();
                    if minors() > after {
                        return after - before;
                    }
                }
                panic!("no minor collections again: {after} {}", minors());
            })
        })
    };
    let (auto, on) = (minors(Generations::Auto), minors(Generations::On));
    assert!(
        3 * auto < on,
        "{auto} minor collections, where {on} can be made"
    );
}

#[test]
fn a_multiplied_heap_stays_near_what_is_live() {
    for sizing in [Sizing::Multiplier(1.5), Sizing::MemBalancer(0.2)] {
        for generations in [Generations::Off, Generations::On] {
            let heap = Heap::builder()
                .limit(1 << 30)
                .sizing(sizing)
                .generations(generations)
                .build()
                .unwrap();
            heap.attach(|m| {
                m.frame(|m, [list, garbage]| {
                    for word in 0..200_000 {
                        m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
                    }
                    for _ in 0..2_000_000 {
                        m.alloc(garbage, Shape::new(0, 3)).unwrap();
                    }
                    let statistics = heap.statistics();
                    assert!(
                        statistics.peak_occupied_bytes < 64 << 20,
                        "{sizing:?}: {statistics:?}"
                    );
                    // What does not fit the goal still fits the limit.
                    m.alloc(garbage, Shape::new(0, 50_000_000)).unwrap();
                    m.verify();
                });
            });
        }
    }
}

#[test]
fn heap_full_is_decided_by_the_limit_whatever_the_goal() {
    for sizing in [
        Sizing::Fixed,
        Sizing::Multiplier(1.1),
        Sizing::MemBalancer(5.0),
    ] {
        for generations in [Generations::Off, Generations::On, Generations::Auto] {
            let heap = Heap::builder()
                .limit(4 << 20)
                .nursery(256 << 10)
                .sizing(sizing)
                .generations(generations)
                .build()
                .unwrap();
            heap.attach(|m| {
                m.frame(|m, [list]| {
                    let mut objects = 0;
                    while m.alloc_init(list, Flags::NONE, [list], [0]).is_ok() {
                        objects += 1;
                    }
                    // 32 bytes each, and two for their marks.
                    assert!(objects > 110_000, "{sizing:?} {generations:?}: {objects}");
                    m.set(list, None);
                    m.alloc(list, Shape::new(0, 400_000)).unwrap();
                });
            });
        }
    }
}

/// Objects that fit no hole, when there are many holes: a search in vain must not use up what may
/// still be handed out, nor the holes.
#[test]
fn a_search_in_vain_makes_no_heap_full_and_few_collections() {
    fn check<const WORDS: usize>(sizing: Sizing, generations: Generations) {
        let heap = Heap::builder()
            .limit(256 << 20)
            .nursery(1 << 20)
            .sizing(sizing)
            .generations(generations)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [kept, garbage]| {
                // One object in four stays, in every block.
                for number in 0..100_000 {
                    m.alloc(garbage, Shape::new(0, 3)).unwrap();
                    if number % 4 == 0 {
                        m.alloc_move(kept, Flags::NONE, [kept], [0, 0]).unwrap();
                    }
                }
                m.collect();
                let before = heap.statistics().collections;
                for _ in 0..1 << 20 >> WORDS.ilog2() {
                    m.alloc_move(kept, Flags::NONE, [kept], [7; WORDS]).unwrap();
                }
                let collections = heap.statistics().collections - before;
                assert!(
                    collections < 100,
                    "{WORDS} words, {sizing:?}, {generations:?}: {collections}"
                );
                m.verify();
            });
        });
    }

    for sizing in [
        Sizing::Fixed,
        Sizing::Multiplier(1.1),
        Sizing::MemBalancer(5.0),
    ] {
        for generations in [Generations::Off, Generations::On] {
            check::<14>(sizing, generations);
            check::<30>(sizing, generations);
            check::<254>(sizing, generations);
        }
    }
}

/// Blocks whose holes are all too small use up no nursery: neither is the heap full, nor is there a
/// collection for each object.
#[test]
fn holes_that_are_too_small_are_not_handed_out() {
    const NODES: usize = 120_000;
    for words in [20, 60, 200] {
        let heap = heap(8 << 20);
        heap.attach(|m| {
            m.frame(|m, [table, node, list]| {
                m.alloc(table, Shape::new(NODES as u32, 0)).unwrap();
                for index in 0..NODES {
                    m.alloc(node, Shape::new(0, 3)).unwrap();
                    m.store(m.get(table).unwrap(), index, m.get(node));
                }
                // Every other one dies: nearly 2 MiB in holes of 32 bytes.
                for index in (0..NODES).step_by(2) {
                    m.store(m.get(table).unwrap(), index, None);
                }
                m.collect();
                let before = heap.statistics();
                // As long as there are free blocks, and then until the heap is full.
                let (mut bytes, mut collections) = (0, 0);
                let shape = Shape::new(1, words);
                while m.alloc(node, shape).is_ok() {
                    m.store(m.get(node).unwrap(), 0, m.get(list));
                    m.set(list, m.get(node));
                    bytes += shape.size() as u64;
                    if bytes < 1 << 20 {
                        collections = heap.statistics().collections;
                    }
                }
                let free = before.limit_bytes - before.occupied_bytes;
                assert!(bytes > free * 3 / 4, "{bytes} of {free}: {words} words");
                // One for every 64 KiB is what the nursery asks for.
                let collections = collections - before.collections;
                assert!(collections < 40, "{collections}: {words} words");
                m.verify();
            });
        });
    }
}

#[test]
fn memory_that_is_no_longer_needed_goes_back_to_the_system() {
    let heap = Heap::builder()
        .limit(64 << 20)
        .generations(Generations::On)
        .nursery(1 << 20)
        .release_after(Some(Duration::from_nanos(4)))
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [list, large]| {
            for word in 0..1_300_000 {
                m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
            }
            m.alloc(large, Shape::new(0, 1_000_000)).unwrap();
            m.collect();
            let peak = heap.statistics();
            assert!(peak.committed_bytes > 36 << 20, "{peak:?}");
            m.set(list, None);
            m.set(large, None);
            m.collect();
            minor_collections(m, &heap, 10);
            let after = heap.statistics();
            assert!(after.committed_bytes < 8 << 20, "{after:?}");
            // And comes back.
            for word in 0..1_300_000 {
                m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
            }
            m.verify();
        });
    });
}

#[test]
fn the_parts_of_the_heap_add_up() {
    let heap = heap(16 << 20);
    heap.attach(|m| {
        m.frame(|m, [list, large]| {
            for round in 0..30 {
                for word in 0..5_000 {
                    m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
                }
                m.alloc(large, Shape::new(2000 + round, 7)).unwrap();
                if round % 7 == 0 {
                    m.set(list, None);
                }
                if round % 3 == 0 {
                    m.collect();
                }
                let statistics = heap.statistics();
                if let Some(found) = statistics.last_collection {
                    assert_eq!(
                        found.occupied_bytes,
                        found.live_bytes + found.metadata_bytes + found.fragmentation_bytes
                    );
                    assert_eq!(statistics.live_bytes, Some(found.live_bytes));
                }
                assert_eq!(
                    statistics.committed_bytes,
                    statistics.occupied_bytes + statistics.free_bytes + statistics.collector_bytes
                );
                assert!(statistics.occupied_bytes <= statistics.limit_bytes);
                assert!(statistics.metadata_bytes < statistics.occupied_bytes.max(1));
            }
        });
    });
}

#[test]
fn impossible_settings_are_named() {
    let message = |builder: gc_marksweep::Builder| builder.build().unwrap_err().to_string();
    assert!(message(Heap::builder().nursery(100)).contains("nursery of 100 bytes"));
    for factor in [1.0, 0.5, f64::NAN, f64::INFINITY] {
        let message = message(Heap::builder().sizing(Sizing::Multiplier(factor)));
        assert!(message.contains("multiplier above 1"), "{message}");
    }
    for factor in [0.0, -1.0, f64::NAN] {
        let message = message(Heap::builder().sizing(Sizing::MemBalancer(factor)));
        assert!(message.contains("above 0"), "{message}");
    }
}
