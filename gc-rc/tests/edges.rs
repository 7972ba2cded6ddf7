//! What goes wrong at an edge only: when the lock changes hands, when a thread ends, at the size at
//! which an object becomes large, at the number of references that a side byte holds no more.
//!
//! Each test stands for a fault that was planted in the heap and that no other test noticed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use gc_rc::{
    Cycle, Event, EventKind, Flags, Free, Gil, Global, Heap, HeapFull, Listener, Local, Mutator,
    Shape, Weak,
};

/// The 8-byte fields and words of the largest object that shares a block with others.
const LARGEST_SMALL: u32 = (32 * 1024 - 16) / 8;

const CYCLES: [Cycle; 3] = [Cycle::Generational, Cycle::BaconRajan, Cycle::None];

fn strict(cycle: Cycle) -> Heap {
    Heap::builder().cycle(cycle).poison(true).build().unwrap()
}

fn every_object_is_freed(heap: &Heap) {
    let statistics = heap.statistics();
    assert_eq!(statistics.freed_objects, statistics.allocated_objects);
    assert_eq!(
        statistics.freed_payload_bytes,
        statistics.allocated_payload_bytes
    );
    assert_eq!(statistics.object_bytes, 0);
    // Empty blocks are found by a collection.
    heap.attach(|m| {
        m.collect();
        m.verify();
    });
    let statistics = heap.statistics();
    assert_eq!(statistics.occupied_bytes, statistics.metadata_bytes);
}

// ---- the lock is free

/// Two objects and weak references to them: the first is held by `local`, the second by the global.
fn two<'h>(m: &mut Mutator<'h>, local: Local<'_, 'h>) -> (Global, [Weak; 2]) {
    m.alloc(local, Shape::new(1, 1)).unwrap();
    let rooted = m.downgrade(m.get(local).unwrap());
    m.frame(|m, [other]| {
        m.alloc(other, Shape::new(1, 1)).unwrap();
        let object = m.get(other).unwrap();
        (m.global(object), [rooted, m.downgrade(object)])
    })
}

fn both_are_dead(weaks: &[Weak; 2], when: &str) {
    for (weak, of) in weaks.iter().zip(["a local", "a global"]) {
        assert!(
            weak.cleared_at().is_some(),
            "{when}: the death of what {of} held is still to come"
        );
    }
}

/// Whoever has the lock next finds nothing that the one before has put off, and neither does
/// anybody who looks while nobody has it.
#[test]
fn no_death_is_put_off_when_the_lock_is_given_up() {
    for cycle in CYCLES {
        for free in [Free::Eager, Free::Lazy] {
            let heap = Heap::builder().cycle(cycle).free(free).build().unwrap();
            let kept = heap.attach(|m| {
                m.frame(|m, [a]| {
                    let (global, weaks) = two(m, a);
                    m.set(a, None);
                    drop(global);
                    m.blocking(|| both_are_dead(&weaks, "in a blocking region"));
                    let (global, weaks) = two(m, a);
                    m.set(a, None);
                    drop(global);
                    weaks
                })
            });
            both_are_dead(&kept, "after the thread has detached");
            // The frame itself releases what its locals held when it ends, and so when the thread
            // unwinds.
            let kept = heap.attach(|m| m.frame(|m, [a]| two(m, a).1));
            both_are_dead(&kept, "after a frame was the last thing");
            let mut kept = None;
            let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                heap.attach(|m| {
                    m.frame(|m, [a]| {
                        kept = Some(two(m, a).1);
                        std::panic::panic_any(7);
                    })
                })
            }));
            assert!(unwound.is_err());
            both_are_dead(&kept.unwrap(), "after the thread has unwound");
            // Nor are there two that a forced switch leaves.
            heap.attach(|m| m.collect());
            every_object_is_freed(&heap);
        }
    }
}

/// The same when the holder is made to give the lock up at a safepoint.
#[test]
fn no_death_is_put_off_when_the_lock_is_asked_for() {
    for gil in [Gil::Cpython, Gil::Fair] {
        let heap = Heap::builder()
            .gil(gil)
            .switch_interval(Duration::from_micros(50))
            .build()
            .unwrap();
        let done = AtomicBool::new(false);
        let newest = std::sync::Mutex::new(None::<[Weak; 2]>);
        thread::scope(|s| {
            s.spawn(|| {
                for _ in 0..20 {
                    heap.attach(|_| {
                        if let Some(weaks) = &*newest.lock().unwrap() {
                            both_are_dead(weaks, "in the next holder's hands");
                        }
                    });
                }
                done.store(true, Ordering::Relaxed);
            });
            heap.attach(|m| {
                m.frame(|m, [a]| {
                    while !done.load(Ordering::Relaxed) {
                        let (global, weaks) = two(m, a);
                        *newest.lock().unwrap() = Some(weaks);
                        m.set(a, None);
                        drop(global);
                        m.safepoint();
                    }
                });
            });
        });
        every_object_is_freed(&heap);
    }
}

/// Once everybody who wanted the lock has had it, nobody is asked for it any more, whatever became
/// of those who asked.
#[test]
fn a_request_for_the_lock_ends_with_who_made_it() {
    for gil in [Gil::Cpython, Gil::Fair] {
        let heap = Heap::builder()
            .gil(gil)
            .switch_interval(Duration::from_micros(50))
            .build()
            .unwrap();
        let served = AtomicU64::new(0);
        thread::scope(|s| {
            heap.attach(|m| {
                for _ in 0..3 {
                    s.spawn(|| {
                        heap.attach(|m| m.blocking(thread::yield_now));
                        heap.attach(|m| m.safepoint());
                        served.fetch_add(1, Ordering::Relaxed);
                    });
                }
                while served.load(Ordering::Relaxed) < 3 {
                    m.safepoint();
                }
                let before = heap.lock_statistics();
                assert!(before.drop_requests > 0, "nobody has asked");
                for _ in 0..1000 {
                    m.safepoint();
                }
                let after = heap.lock_statistics();
                assert_eq!(after.takes, before.takes, "{gil:?}: given up for nobody");
                assert_eq!(after.drop_requests, before.drop_requests, "{gil:?}");
                // A voluntary drop does not wait for anybody to come either, nor ask for what
                // follows it.
                m.blocking(|| ());
                for _ in 0..1000 {
                    m.safepoint();
                }
                let after = heap.lock_statistics();
                assert_eq!(
                    after.takes,
                    before.takes + 1,
                    "{gil:?}: given up for nobody"
                );
                assert_eq!(after.drop_requests, before.drop_requests, "{gil:?}");
            });
        });
    }
}

// ---- a thread ends

/// What a thread has put on lists that all share is there for those who come after it, as if they
/// had put it there.
#[test]
fn what_a_thread_leaves_behind_is_everybodys() {
    for cycle in CYCLES {
        let heap = Heap::builder()
            .cycle(cycle)
            .possible_roots(1 << 20)
            .thresholds([0, 10, 10])
            .poison(true)
            .build()
            .unwrap();
        let (globals, weaks): (Vec<_>, Vec<_>) = (0..4_u64)
            .map(|number| {
                thread::scope(|s| {
                    let left = s.spawn(|| {
                        heap.attach(|m| {
                            m.frame(|m, [ring, large, kept]| {
                                // Rings that only a collection finds, a small one and one through a
                                // large object.
                                m.alloc(ring, Shape::new(2, 1)).unwrap();
                                m.alloc(large, Shape::new(LARGEST_SMALL, 1)).unwrap();
                                for object in [ring, large] {
                                    let object = m.get(object).unwrap();
                                    m.store(object, 0, Some(object));
                                }
                                let weaks = [ring, large].map(|l| m.downgrade(m.get(l).unwrap()));
                                // Due when its frame ends, which is the thread's last act.
                                m.alloc_init(kept, Flags::FINALIZE, [], [number]).unwrap();
                                m.alloc_init(ring, Flags::NONE, [], [10 + number]).unwrap();
                                (m.global(m.get(ring).unwrap()), weaks)
                            })
                        })
                    });
                    left.join().unwrap()
                })
            })
            .unzip();
        heap.attach(|m| {
            m.verify();
            m.frame(|m, [due]| {
                let mut numbers = Vec::new();
                while m.finalizable(due) {
                    numbers.push(m.word(m.get(due).unwrap(), 0));
                }
                assert_eq!(
                    numbers,
                    [0, 1, 2, 3],
                    "{cycle:?}: in the order of their deaths"
                );
            });
            m.collect();
            m.verify();
            for weak in weaks.iter().flatten() {
                assert_eq!(m.upgrade(weak).is_none(), cycle != Cycle::None);
            }
            let mut cleared = 0;
            while m.cleared().is_some() {
                cleared += 1;
            }
            assert_eq!(cleared, if cycle == Cycle::None { 0 } else { 8 });
            for (number, global) in globals.iter().enumerate() {
                assert_eq!(m.word(m.open(global), 0), 10 + number as u64);
            }
        });
        // In another order than that of their making, each on a thread of its own.
        let mut globals = globals;
        for index in [2, 0, 1, 0] {
            let global = globals.remove(index);
            thread::spawn(move || drop(global)).join().unwrap();
            heap.attach(|m| m.verify());
        }
        if cycle != Cycle::None {
            every_object_is_freed(&heap);
        }
    }
}

/// A listener hears what happened to a thread also if it was the thread's last act, or if the
/// thread does nothing but wait.
#[test]
fn a_thread_that_ends_tells_what_happened_to_it() {
    struct Count(AtomicU64);
    impl Listener for Count {
        fn event(&self, event: &Event) {
            assert!(matches!(event.kind, EventKind::Collection { .. }));
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let heard = Arc::new(Count(AtomicU64::new(0)));
    let heap = Heap::builder().listener(heard.clone()).build().unwrap();
    heap.attach(|m| m.collect());
    assert_eq!(heard.0.load(Ordering::Relaxed), 1);
    heap.attach(|m| {
        m.collect();
        m.blocking(|| assert_eq!(heard.0.load(Ordering::Relaxed), 2));
        m.collect();
        m.safepoint();
        assert_eq!(heard.0.load(Ordering::Relaxed), 3);
    });
}

// ---- sizes

/// The largest small objects share a block, the smallest large one has its own: and the memory of
/// both is zero when it is used again.
#[test]
fn an_object_of_exactly_the_large_size_is_like_its_neighbours() {
    for cycle in CYCLES {
        for units in [LARGEST_SMALL - 1, LARGEST_SMALL, LARGEST_SMALL + 1] {
            // All fields, all words, or one of either and the rest of the other.
            for refs in [units, 0, 1, units - 1] {
                let heap = strict(cycle);
                let shape = Shape::new(refs, units - refs);
                heap.attach(|m| {
                    m.frame(|m, [a, b]| {
                        let occupied = || heap.statistics().occupied_bytes;
                        m.alloc(a, shape).unwrap();
                        let before = occupied();
                        m.alloc(b, shape).unwrap();
                        let grown = occupied() - before;
                        assert_eq!(
                            grown < 64 << 10,
                            units <= LARGEST_SMALL,
                            "{shape:?}: the second took {grown} bytes"
                        );
                        for _ in 0..3 {
                            let (one, two) = (m.get(a).unwrap(), m.get(b).unwrap());
                            for field in 0..refs as usize {
                                assert!(m.load(one, field).is_none(), "{shape:?}: {field}");
                                m.store(one, field, Some(two));
                            }
                            for word in 0..(units - refs) as usize {
                                assert_eq!(m.word(one, word), 0, "{shape:?}: {word}");
                                m.set_word(one, word, u64::MAX);
                            }
                            m.collect();
                            m.verify();
                            // The first dies, and another comes in its place.
                            m.set(a, None);
                            m.safepoint();
                            m.alloc(a, shape).unwrap();
                        }
                        // As part of a ring that only a collection finds.
                        if refs > 0 {
                            m.store(m.get(a).unwrap(), refs as usize - 1, m.get(b));
                            m.store(m.get(b).unwrap(), 0, m.get(a));
                        }
                    });
                    m.verify();
                    m.collect();
                    m.verify();
                });
                if cycle != Cycle::None || refs == 0 {
                    every_object_is_freed(&heap);
                }
            }
        }
    }
}

/// The same where the memory was not zero and the object is all the memory there is: blocks that an
/// object only partly fills.
#[test]
fn what_a_large_object_gets_is_zero_to_its_end() {
    let heap = strict(Cycle::None);
    heap.attach(|m| {
        m.frame(|m, [a]| {
            // Around one, two and three blocks of 64 KiB, the 16 bytes of the header included.
            for blocks in [1, 2, 3] {
                for units in [-1, 0, 1] {
                    let words = (blocks * (64 << 10) - 16) / 8 + units;
                    for _ in 0..3 {
                        m.alloc(a, Shape::new(0, words as u32)).unwrap();
                        let object = m.get(a).unwrap();
                        for word in 0..words as usize {
                            assert_eq!(m.word(object, word), 0, "{words} words: {word}");
                            m.set_word(object, word, u64::MAX);
                        }
                        m.set(a, None);
                        m.safepoint();
                    }
                    m.verify();
                }
            }
        });
    });
    every_object_is_freed(&heap);
}

/// A lazy heap gives the fields of a dead object up in slices: objects around a slice, and around
/// two.
#[test]
fn lazy_frees_are_complete_whatever_the_number_of_fields() {
    for cycle in CYCLES {
        let heap = Heap::builder()
            .cycle(cycle)
            .free(Free::Lazy)
            .poison(true)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [a, child, shared]| {
                for fields in [0, 1, 63, 64, 65, 127, 128, 129, 4096, 5000] {
                    m.alloc(shared, Shape::new(1, 0)).unwrap();
                    m.alloc(a, Shape::new(fields, 3)).unwrap();
                    for field in 0..fields as usize {
                        if field % 3 == 0 {
                            m.store(m.get(a).unwrap(), field, m.get(shared));
                        } else {
                            m.alloc(child, Shape::new(1, 1)).unwrap();
                            m.store(m.get(a).unwrap(), field, m.get(child));
                            m.set(child, None);
                        }
                    }
                    m.set(a, None);
                    m.verify();
                    // Bit by bit, with what is allocated; what is pending may be what a dead object
                    // gives up.
                    for _ in 0..10 {
                        m.alloc(child, Shape::new(0, 1)).unwrap();
                        m.verify();
                    }
                    m.set(shared, None);
                    m.set(child, None);
                }
            });
            m.collect();
            m.verify();
        });
        every_object_is_freed(&heap);
    }
}

#[test]
fn a_request_of_more_than_the_limit_is_hopeless_and_of_no_more_is_not() {
    let request = |limit: usize| -> (Result<(), HeapFull>, u64) {
        let heap = Heap::builder().limit(limit).build().unwrap();
        let result = heap.attach(|m| m.frame(|m, [a]| m.alloc(a, Shape::new(0, 100_000))));
        (result, heap.statistics().collections)
    };
    let requested = request(300_000).0.unwrap_err().requested as usize;
    assert!(requested > 800_000);
    let (result, collections) = request(requested - 1);
    assert!(
        result.is_err() && collections == 0,
        "{result:?}, {collections}"
    );
    // Tables take a little.
    let (result, collections) = request(requested);
    assert!(
        result.is_ok() || collections > 0,
        "{result:?}, {collections}"
    );
    assert!(request(requested + (64 << 10)).0.is_ok());
}

// ---- counts

/// In-edges around every number at which the collector keeps them elsewhere, in garbage and in what
/// lives; the first collection of a heap tries to show that nothing is garbage, later ones do not
/// always.
#[test]
fn the_number_of_references_is_right_at_every_edge() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan] {
        let around = |edge: u64| edge - 2..edge + 3;
        let edges = [62, 124, 126, 186, 248].into_iter().flat_map(around);
        for references in edges {
            for before in 0..3 {
                let heap = Heap::builder()
                    .cycle(cycle)
                    .thresholds([0, 10, 10])
                    .possible_roots(1 << 20)
                    .build()
                    .unwrap();
                heap.attach(|m| {
                    (0..before).for_each(|_| m.collect());
                    m.frame(|m, [star, fan, keep]| {
                        m.alloc(star, Shape::new(1, 0)).unwrap();
                        // A fan is a list of objects, each with a reference to the star, which
                        // refers to the last: from below and from above, in two parts.
                        for _ in 0..references / 2 {
                            m.alloc_init(fan, Flags::NONE, [fan, star], []).unwrap();
                        }
                        m.alloc(keep, Shape::new(1, 0)).unwrap();
                        for _ in references / 2..references {
                            m.alloc_init(fan, Flags::NONE, [fan, star], []).unwrap();
                        }
                        m.store(m.get(star).unwrap(), 0, m.get(fan));
                        m.store(m.get(keep).unwrap(), 0, m.get(star));
                        let weak = m.downgrade(m.get(star).unwrap());
                        m.set(star, None);
                        m.set(fan, None);
                        m.collect();
                        assert!(m.upgrade(&weak).is_some(), "{cycle:?}: {references}");
                        m.verify();
                        m.set(keep, None);
                        m.collect();
                        assert!(m.upgrade(&weak).is_none(), "{cycle:?}: {references}");
                        m.verify();
                    });
                });
                every_object_is_freed(&heap);
            }
        }
    }
}

/// All references from outside of what is examined, around every number at which the collector
/// keeps them elsewhere: the object lives until the last of them goes.
#[test]
fn the_number_of_references_from_outside_is_right_at_every_edge() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan] {
        for references in (1..4).chain(60..68).chain(124..132).chain(188..194) {
            let heap = strict(cycle);
            heap.attach(|m| {
                m.frame(|m, [holder, object]| {
                    // Not examined itself.
                    let shape = Shape::new(references, 0).with(Flags::ACYCLIC);
                    m.alloc(holder, shape).unwrap();
                    m.alloc(object, Shape::new(1, 1)).unwrap();
                    let new = m.get(object).unwrap();
                    m.store(new, 0, Some(new));
                    m.set_word(new, 0, 7);
                    for field in 0..references as usize {
                        m.store(m.get(holder).unwrap(), field, m.get(object));
                    }
                    let weak = m.downgrade(m.get(object).unwrap());
                    // It loses a reference, so that a collection has reason to look at it.
                    m.set(object, None);
                    for _ in 0..3 {
                        m.collect();
                        m.verify();
                        let object = m.upgrade(&weak).expect("it is held");
                        assert_eq!(m.word(object, 0), 7);
                        assert_eq!(m.count(object), references + 1);
                    }
                    for field in 0..references as usize {
                        assert!(m.upgrade(&weak).is_some(), "{cycle:?}: {references}");
                        m.store(m.get(holder).unwrap(), field, None);
                        if field as u32 + 3 >= references {
                            m.collect();
                        }
                    }
                    assert!(m.upgrade(&weak).is_none(), "{cycle:?}: {references}");
                    m.verify();
                });
            });
            every_object_is_freed(&heap);
        }
    }
}

/// Garbage of which the first object that a collection comes to has as many references as can be
/// noted of one, more or less, and all of them from what it reaches: it must not be taken for
/// alive. It lies above all others, or below them, or apart, as it is large.
#[test]
fn garbage_that_hangs_together_by_one_object_is_found_at_once() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan] {
        for references in (1..4).chain(58..67).chain(120..130) {
            for (star_last, words) in [(false, 0), (true, 0), (false, LARGEST_SMALL)] {
                let heap = Heap::builder().cycle(cycle).build().unwrap();
                heap.attach(|m| {
                    m.frame(|m, [table, star, fan]| {
                        // Untracked, so that it holds them without being examined.
                        let holder = Shape::new(references, 0).with(Flags::ACYCLIC);
                        m.alloc(table, holder).unwrap();
                        if !star_last {
                            m.alloc(star, Shape::new(references, words)).unwrap();
                        }
                        for index in 0..references as usize {
                            m.alloc(fan, Shape::new(1, 0)).unwrap();
                            m.store(m.get(table).unwrap(), index, m.get(fan));
                        }
                        if star_last {
                            m.alloc(star, Shape::new(references, words)).unwrap();
                        }
                        for index in 0..references as usize {
                            let fan = m.load(m.get(table).unwrap(), index).unwrap();
                            m.store(m.get(star).unwrap(), index, Some(fan));
                            m.store(fan, 0, m.get(star));
                        }
                        let weak = m.downgrade(m.get(star).unwrap());
                        m.set(fan, None);
                        m.set(star, None);
                        m.set(table, None);
                        m.collect();
                        assert!(
                            m.upgrade(&weak).is_none(),
                            "{cycle:?}: {references}, {star_last}, {words}"
                        );
                    });
                });
                every_object_is_freed(&heap);
            }
        }
    }
}

/// So many references to one object that the header does not hold what the side byte has given up.
/// Found dead at once, by the first collection, and alive as long as one reference comes from
/// outside.
#[test]
fn four_million_references_are_counted() {
    const REFERENCES: u32 = 62 * (1 << 16) + 62 * 3;
    for cycle in [Cycle::Generational, Cycle::BaconRajan] {
        for keep_first in [false, true] {
            let heap = Heap::builder().cycle(cycle).build().unwrap();
            heap.attach(|m| {
                m.frame(|m, [table, star]| {
                    m.alloc(table, Shape::new(REFERENCES, 0)).unwrap();
                    m.alloc_init(star, Flags::NONE, [table], []).unwrap();
                    for field in 0..REFERENCES as usize {
                        m.store(m.get(table).unwrap(), field, m.get(star));
                    }
                    m.set(table, None);
                    let weak = m.downgrade(m.get(star).unwrap());
                    if keep_first {
                        // Twice, as the first collection may not need to count.
                        for _ in 0..2 {
                            m.collect();
                            assert!(m.upgrade(&weak).is_some(), "{cycle:?}");
                            assert_eq!(m.count(m.upgrade(&weak).unwrap()), REFERENCES + 1);
                        }
                    }
                    m.set(star, None);
                    m.collect();
                    assert!(m.upgrade(&weak).is_none(), "{cycle:?}");
                });
            });
            every_object_is_freed(&heap);
        }
    }
}

// ---- generations

/// The generations of the collections since this was asked last.
fn generations(heap: &Heap) -> Vec<u8> {
    let generation = |event: Event| match event.kind {
        EventKind::Collection { generation, .. } => Some(generation),
        _ => None,
    };
    (heap.take_events().events.into_iter())
        .filter_map(generation)
        .collect()
}

/// Makes enough garbage that automatic collections happen until one of `generation` has.
fn collect_generation(m: &mut Mutator<'_>, heap: &Heap, generation: u8) {
    m.frame(|m, [a, b]| {
        while !generations(heap).contains(&generation) {
            // Old enough for a full collection to be due only if something has come to the oldest
            // generation.
            m.alloc_init(a, Flags::NONE, [b], []).unwrap();
            m.set(b, m.get(a));
            m.safepoint();
        }
    });
}

/// What a collection finds unreachable and a finalizer brings back is as old as what survived that
/// collection, whatever its size and whichever generation was collected; it is found again when it
/// dies for good.
#[test]
fn what_a_finalizer_brings_back_grows_old_like_everything_else() {
    for generation in [0, 1, 2] {
        for units in [3, LARGEST_SMALL, LARGEST_SMALL + 1, 100_000] {
            let heap = Heap::builder()
                .thresholds([10, 2, 2])
                .poison(true)
                .build()
                .unwrap();
            heap.attach(|m| {
                m.frame(|m, [object, reached, due]| {
                    let shape = Shape::new(2, units - 2);
                    m.alloc(reached, shape).unwrap();
                    m.alloc(object, shape.with(Flags::FINALIZE)).unwrap();
                    for holder in [object, reached] {
                        m.store(m.get(holder).unwrap(), 0, m.get(object));
                        m.store(m.get(holder).unwrap(), 1, m.get(reached));
                    }
                    m.set(object, None);
                    m.set(reached, None);
                    generations(&heap);
                    collect_generation(m, &heap, generation);
                    m.verify();
                    assert!(m.finalizable(due), "{generation}, {units}");
                    assert!(!m.finalizable(object));
                    m.verify();
                    let weak = m.downgrade(m.get(due).unwrap());
                    for again in [0, 1, 2, 0, 1, 2] {
                        collect_generation(m, &heap, again);
                        m.verify();
                        assert!(m.upgrade(&weak).is_some());
                    }
                    let one = m.get(due).unwrap();
                    let other = m.load(one, 1).unwrap();
                    assert!(m.load(one, 0) == Some(one) && m.load(other, 0) == Some(one));
                    // No longer held, it dies in a collection of its generation, and is not due
                    // again.
                    m.set(due, None);
                    m.collect();
                    assert!(m.upgrade(&weak).is_none(), "{generation}, {units}");
                    assert!(!m.finalizable(due));
                    m.verify();
                });
            });
            heap.attach(|m| m.collect());
            every_object_is_freed(&heap);
        }
    }
}

/// Objects that have survived a young collection die by their counts, a mebibyte of them, so that
/// empty blocks are looked for at once: those that the middle generation still lists stay until it
/// has been collected.
#[test]
fn blocks_that_a_generation_lists_are_not_given_away() {
    let heap = Heap::builder()
        .thresholds([10_000, 1000, 1000])
        .release_after(Some(Duration::ZERO))
        .poison(true)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [list]| {
            for round in 0..3 {
                for number in 0..65_000 {
                    m.alloc_move(list, Flags::NONE, [list], [number]).unwrap();
                    m.safepoint();
                }
                assert!(generations(&heap).iter().all(|&generation| generation == 0));
                m.set(list, None);
                m.safepoint();
                m.verify();
                // Cells of another size in what became free.
                for _ in 0..20_000 {
                    m.alloc_move(list, Flags::NONE, [list], [round, 1, 2, 3])
                        .unwrap();
                    m.safepoint();
                }
                m.verify();
                m.set(list, None);
            }
        });
    });
    every_object_is_freed(&heap);
}

/// Weak references are equal if they are to the same object, while it lives and afterwards.
#[test]
fn weak_references_to_the_same_object_are_equal() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan, Cycle::None] {
        strict(cycle).attach(|m| {
            m.frame(|m, [a, b]| {
                m.alloc(a, Shape::new(1, 1)).unwrap();
                m.alloc(b, Shape::new(1, 1)).unwrap();
                let one = m.downgrade(m.get(a).unwrap());
                let same = [m.downgrade(m.get(a).unwrap()), one.clone()];
                let other = m.downgrade(m.get(b).unwrap());
                let check = |when: &str| {
                    let mut set = HashSet::from([one.clone()]);
                    for same in &same {
                        assert!(
                            one == *same && !set.insert(same.clone()),
                            "{cycle:?} {when}"
                        );
                    }
                    assert!(
                        one != other && set.insert(other.clone()),
                        "{cycle:?} {when}"
                    );
                };
                check("alive");
                m.set(a, None);
                m.safepoint();
                assert!(m.upgrade(&one).is_none());
                check("dead");
                // What takes the dead object's cell is another object.
                m.alloc(a, Shape::new(1, 1)).unwrap();
                let next = m.downgrade(m.get(a).unwrap());
                assert!(next != one && next != other, "{cycle:?}");
                assert_eq!(m.cleared(), Some(one.clone()), "{cycle:?}");
            });
        });
    }
}
