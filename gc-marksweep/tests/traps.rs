//! The traps of collectors of this kind, and bugs that others had, each with what shows that it is
//! not here.
//!
//! Where a test elsewhere or a model covers one, it is named: `heap`, `events`, `handles` and
//! `watchdog` are files beside this one, `model` are the loom models of `src/safepoint.rs`, the
//! rest are unit tests of the file named.
//!
//! | trap | covered by |
//! |---|---|
//! | **Safepoints** | |
//! | a lock, join, channel or I/O outside `blocking` | `watchdog::the_laggard_is_named_once` |
//! | the watchdog itself in the way of a stop | `watchdog::a_mutator_may_hold_the_lock_of_standard_error`, `watchdog::a_line_that_cannot_be_written_yet_holds_no_lock` |
//! | a mutator parked with a lock the collector needs | [`no_mutator_stops_with_a_lock_that_a_collection_needs`] |
//! | attach during a stop waits | [`who_attaches_during_a_stop_waits_for_its_end`], `model::a_stop_excludes_a_mutator_that_polls_and_detaches` |
//! | repeated stops starve those who attach | [`repeated_stops_do_not_starve_those_who_attach`], `model::a_thread_that_attaches_waits_for_one_stop_at_most` |
//! | detach during a stop is counted and signalled | `events::blocking_and_detaching_are_arrivals`, `model::a_stop_excludes_a_mutator_that_polls_and_detaches` |
//! | entering a blocking region during a stop is signalled | `events::blocking_and_detaching_are_arrivals`, `model::a_mutator_that_blocks_until_the_stop_is_over_keeps_nobody_waiting` |
//! | racing triggers: a collection lost | [`no_collection_is_lost_under_racing_triggers`], `model::two_racing_triggers_make_one_collection` |
//! | racing triggers: a collection doubled | [`no_collection_is_doubled_under_racing_triggers`], `model::two_racing_triggers_make_one_collection` |
//! | a late waker takes stop *n* for *n + 1* | `model::two_collections_in_a_row_do_not_let_a_late_waker_run`, `events::no_stop_is_without_an_event_for_those_who_stood_still` |
//! | a panic or exit without detach | [`a_thread_that_panics_during_a_stop_detaches`] |
//! | logging or `Drop` inside the pause | `events::the_world_goes_on_before_listeners_are_told`, [`handles_are_dropped_during_a_stop`] |
//! | an epoch pin held while parked | no epochs here |
//! | a safepoint between barrier and store | by construction: a store takes `&Mutator`, which cannot reach one |
//! | **Marking** | |
//! | overflow of the mark stack | [`a_graph_wider_than_any_stack_is_marked`] |
//! | recursion | [`a_graph_deeper_than_any_stack_is_marked`] |
//! | a large array marked in one piece | [`a_graph_wider_than_any_stack_is_marked`] |
//! | marks of an earlier collection | `heap::marks_of_many_collections_do_not_mix`, `sweep::holes_are_the_runs_between_marked_objects` |
//! | dead and not swept, survivors and newly marked told apart by one bit | [`blocks_nobody_sweeps_for_many_collections_keep_their_survivors`] |
//! | **Sweeping and allocation** | |
//! | block marks never reset: blocks live for ever | [`blocks_that_were_live_once_are_free_when_dead`] |
//! | empty blocks not released under lazy sweeping | [`empty_blocks_are_free_before_anybody_sweeps`] |
//! | races of the sweep hang | [`several_mutators_sweep_while_others_collect`] |
//! | one mutator's sweep holds up the others | [`a_mutator_in_the_middle_of_a_sweep_holds_up_nobody`] |
//! | a mutex taken on every block free | by construction: a collection takes the supply's once, in `Supply::reclaim` |
//! | medium objects that miss holes degrade the search | `heap::fragmented_memory_is_used`, `heap::memory_moves_between_small_medium_and_large_objects` |
//! | **Large objects** | |
//! | not freed | [`large_objects_that_die_are_freed`] |
//! | not charged to the limit | [`large_objects_are_charged_to_the_limit`] |
//! | free runs never merged | `alloc::free_runs_merge_with_their_neighbours`, `alloc::backed_and_unbacked_runs_side_by_side_hold_one_large_object` |
//! | **Out of memory** | |
//! | reported although somebody else's collection had made room | [`memory_that_somebody_elses_collection_freed_is_not_out_of_memory`] |
//! | reported although there is room in blocks that count as full | [`the_last_holes_are_found_before_the_heap_is_full`] |
//! | an abort, or an endless loop of collections | [`a_full_heap_says_so_and_goes_on`] |
//! | **Handles** | |
//! | finalizers inside the pause, twice, or before weak references are cleared | `handles`, rule by rule |
//! | lists of dead weak references that only grow | `handle::weak_references_without_handles_are_forgotten` |
//!
//! Nothing here measures time: a hang shows as a test that does not end.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;

use gc_marksweep::{EventKind, Flags, FullCause, Global, Heap, Local, Mutator, Shape};

const MIB: usize = 1 << 20;
/// What a block of 32 KiB costs of a limit, and a little more.
const BLOCK: u64 = 35_000;

fn heap(limit: usize) -> Heap {
    Heap::builder().limit(limit).poison(true).build().unwrap()
}

/// Pushes `length` nodes of 32 bytes in front of `list`.
fn push<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>, length: u64) {
    for word in 0..length {
        m.alloc_move(list, Flags::NONE, [list], [word, !word])
            .unwrap();
    }
}

/// The length of a list made by [`push`] whose nodes are whole.
fn length<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>) -> u64 {
    let mut length = 0;
    let mut node = m.get(list);
    while let Some(object) = node {
        assert_eq!(m.word(object, 0), !m.word(object, 1));
        length += 1;
        node = m.load(object, 0);
    }
    length
}

fn occupied(heap: &Heap) -> u64 {
    heap.statistics().occupied_bytes
}

// ---- safepoints

/// Mutators take every lock there is at every moment, between polls; a collector finds all of them
/// free.
#[test]
fn no_mutator_stops_with_a_lock_that_a_collection_needs() {
    let heap = heap(8 * MIB);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [a, large]| {
                        while !done.load(Ordering::Relaxed) {
                            m.alloc_init(a, Flags::FINALIZE, [a], [1]).unwrap();
                            let object = m.get(a).unwrap();
                            let (global, weak) = (m.global(object), m.downgrade(object));
                            m.set(a, Some(m.open(&global)));
                            assert!(m.upgrade(&weak).is_some());
                            m.alloc(large, Shape::new(0, 2000)).unwrap();
                            drop(global);
                            m.set(a, None);
                            while m.finalizable(a) {}
                            while m.cleared().is_some() {}
                            m.set(a, None);
                            heap.take_events();
                            heap.statistics();
                            m.safepoint();
                        }
                    });
                });
            });
        }
        heap.attach(|m| {
            for _ in 0..300 {
                m.collect();
            }
            m.verify();
        });
        done.store(true, Ordering::Relaxed);
    });
}

/// The events say what the visitor saw of the stop: it ran before or after, never during.
#[test]
fn who_attaches_during_a_stop_waits_for_its_end() {
    let heap = heap(8 * MIB);
    let done = AtomicBool::new(false);
    let runs = thread::scope(|scope| {
        scope.spawn(|| {
            heap.attach(|m| {
                m.frame(|m, [list]| {
                    push(m, list, 20_000);
                    while !done.load(Ordering::Relaxed) {
                        m.collect();
                    }
                });
            });
        });
        let now = || heap.origin().elapsed().as_nanos() as u64;
        let runs: Vec<_> = (0..300).map(|_| heap.attach(|_| (now(), now()))).collect();
        done.store(true, Ordering::Relaxed);
        runs
    });
    let log = heap.take_events();
    assert_eq!(log.lost, 0);
    for event in log.events {
        if let EventKind::Collection {
            stopped, marked, ..
        } = event.kind
        {
            let within = |&(from, until): &(u64, u64)| from < marked && stopped < until;
            assert!(!runs.iter().any(within), "{event:?}");
        }
    }
}

#[test]
fn repeated_stops_do_not_starve_those_who_attach() {
    let heap = heap(8 * MIB);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Between them there is hardly a moment without a stop, requested or in progress.
        for _ in 0..3 {
            scope.spawn(|| {
                heap.attach(|m| {
                    while !done.load(Ordering::Relaxed) {
                        m.collect();
                    }
                });
            });
        }
        for _ in 0..300 {
            heap.attach(|m| m.frame(|m, [list]| push(m, list, 10)));
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Whoever asks for a collection finds everything dead that was dead when it asked, also if another
/// collected for it.
#[test]
fn no_collection_is_lost_under_racing_triggers() {
    const ROUNDS: u64 = 300;
    let heap = heap(8 * MIB);
    let start = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [a]| {
                        for _ in 0..ROUNDS {
                            push(m, a, 1);
                            let weak = m.downgrade(m.get(a).unwrap());
                            m.set(a, None);
                            m.blocking(|| start.wait());
                            m.collect();
                            assert!(m.upgrade(&weak).is_none());
                        }
                    });
                });
            });
        }
    });
    let collections = heap.statistics().collections;
    assert!(
        (ROUNDS..=3 * ROUNDS).contains(&collections),
        "{collections}"
    );
}

/// Mutators that run out of memory together: one collects, the others find that it has. The stops,
/// their events and the count of collections are one and the same.
#[test]
fn no_collection_is_doubled_under_racing_triggers() {
    let heap = heap(2 * MIB);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [list]| {
                        for _ in 0..300 {
                            push(m, list, 300);
                            m.set(list, None);
                        }
                    });
                });
            });
        }
    });
    let log = heap.take_events();
    assert_eq!(log.lost, 0);
    let mut stops = BTreeSet::new();
    let mut by_mutator = BTreeSet::new();
    let mut ended = 0;
    for event in &log.events {
        match event.kind {
            EventKind::Collection { stop, .. } => {
                assert!(stops.insert(stop), "two collections in stop {stop}");
                ended = ended.max(stop);
            }
            EventKind::Stopped { stop } => {
                assert!(by_mutator.insert((event.mutator, stop)), "{event:?}");
            }
            _ => {}
        }
    }
    let count = heap.statistics().collections;
    assert!(count > 0);
    assert_eq!((stops.len() as u64, ended), (count, count));
    // Each collection of three mutators that keep nothing frees nearly the whole heap, so none came
    // right after another.
    let allocated = 3 * 300 * 300 * 32;
    assert!(count <= 4 * allocated / (2 * MIB as u64) + 4, "{count}");
}

#[test]
fn a_thread_that_panics_during_a_stop_detaches() {
    let heap = heap(8 * MIB);
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        for round in 0..200 {
            let (heap, ready) = (&heap, &ready);
            let unlucky = scope.spawn(move || {
                let panic = catch_unwind(AssertUnwindSafe(|| {
                    heap.attach(|m| {
                        m.frame(|m, [list]| {
                            push(m, list, 10);
                            m.blocking(|| ready.wait());
                            (0..round * 50).for_each(|_| std::hint::spin_loop());
                            // No poll between here and the end of the attachment.
                            resume_unwind(Box::new(round));
                        })
                    })
                }));
                let panic: Result<(), _> = panic;
                assert_eq!(panic.unwrap_err().downcast_ref(), Some(&round));
                // And the thread is free to come again.
                heap.attach(|m| m.safepoint());
            });
            heap.attach(|m| {
                m.blocking(|| ready.wait());
                m.collect();
                m.blocking(|| unlucky.join().unwrap());
            });
        }
    });
    heap.attach(|m| m.verify());
}

/// Threads that no stop stops drop handles at every moment of it.
#[test]
fn handles_are_dropped_during_a_stop() {
    let heap = heap(8 * MIB);
    let (sender, receiver) = mpsc::sync_channel::<(Global, gc_marksweep::Weak)>(256);
    thread::scope(|scope| {
        scope.spawn(move || receiver.into_iter().for_each(drop));
        heap.attach(|m| {
            m.frame(|m, [list]| {
                for _ in 0..100 {
                    push(m, list, 50);
                    for _ in 0..50 {
                        let object = m.get(list).unwrap();
                        let handles = (m.global(object), m.downgrade(object));
                        m.blocking(|| sender.send(handles).unwrap());
                    }
                    m.set(list, None);
                    m.collect();
                }
                m.verify();
            });
            drop(sender);
        });
    });
}

// ---- marking

/// A tree of arrays, each too wide for one piece, with more leaves than any stack has room for at
/// first.
#[test]
fn a_graph_wider_than_any_stack_is_marked() {
    const WIDTH: u32 = 3000;
    const ARRAYS: u32 = 40;
    let heap = heap(32 * MIB);
    heap.attach(|m| {
        m.frame(|m, [root, array, leaf]| {
            m.alloc(root, Shape::new(WIDTH, 0)).unwrap();
            for i in 0..ARRAYS as usize {
                m.alloc(array, Shape::new(WIDTH, 0)).unwrap();
                m.store(m.get(root).unwrap(), 70 * i, m.get(array));
                for j in 0..WIDTH as usize {
                    m.alloc_init(leaf, Flags::NONE, [array], [j as u64, i as u64])
                        .unwrap();
                    m.store(m.get(array).unwrap(), j, m.get(leaf));
                }
            }
            m.set(array, None);
            m.set(leaf, None);
            m.verify();
            let arrays = u64::from(ARRAYS + 1) * Shape::new(WIDTH, 0).size() as u64;
            let leaves = u64::from(ARRAYS * WIDTH) * 32;
            assert_eq!(heap.statistics().live_bytes, Some(arrays + leaves));
            let root = m.get(root).unwrap();
            for i in 0..ARRAYS as usize {
                let array = m.load(root, 70 * i).unwrap();
                for j in (0..WIDTH as usize).step_by(97) {
                    let leaf = m.load(array, j).unwrap();
                    assert_eq!((m.word(leaf, 0), m.word(leaf, 1)), (j as u64, i as u64));
                }
            }
        });
    });
}

#[test]
fn a_graph_deeper_than_any_stack_is_marked() {
    const DEPTH: u64 = 500_000;
    let small_stack = thread::Builder::new().stack_size(128 << 10);
    let thread = small_stack.spawn(|| {
        let heap = heap(64 * MIB);
        heap.attach(|m| {
            m.frame(|m, [list]| {
                push(m, list, DEPTH);
                m.collect();
                m.verify();
                assert_eq!(length(m, list), DEPTH);
                assert_eq!(heap.statistics().live_bytes, Some(32 * DEPTH));
            });
        });
    });
    thread.unwrap().join().unwrap();
}

/// Half of every block dies, and for many collections nobody allocates and so nobody sweeps. Then
/// the holes are used, and only the holes.
#[test]
fn blocks_nobody_sweeps_for_many_collections_keep_their_survivors() {
    let heap = heap(4 * MIB);
    heap.attach(|m| {
        m.frame(|m, [kept, dying, new]| {
            for _ in 0..10_000 {
                push(m, kept, 1);
                push(m, dying, 1);
            }
            m.set(dying, None);
            for round in 0..300 {
                m.collect();
                if round % 60 == 0 {
                    m.verify();
                }
            }
            let before = occupied(&heap);
            push(m, new, 9_000);
            m.verify();
            assert!(occupied(&heap) <= before + 2 * BLOCK);
            assert_eq!((length(m, kept), length(m, new)), (10_000, 9_000));
        });
    });
}

// ---- sweeping and allocation

#[test]
fn blocks_that_were_live_once_are_free_when_dead() {
    let heap = heap(4 * MIB);
    heap.attach(|m| {
        m.frame(|m, [list]| {
            for _ in 0..20 {
                push(m, list, 50_000);
                m.collect();
                assert!(occupied(&heap) >= 50_000 * 32);
                m.set(list, None);
                m.collect();
                assert!(occupied(&heap) <= BLOCK, "{:?}", heap.statistics());
            }
        });
    });
}

/// Nobody has allocated, so nobody has searched a block, and yet the dead ones are free for
/// everybody.
#[test]
fn empty_blocks_are_free_before_anybody_sweeps() {
    let heap = heap(4 * MIB);
    heap.attach(|m| {
        m.frame(|m, [few, many, large]| {
            push(m, few, 1_000);
            push(m, many, 80_000);
            m.set(many, None);
            m.collect();
            assert!(occupied(&heap) <= 3 * BLOCK, "{:?}", heap.statistics());
            // Free for objects of another kind too.
            m.alloc(large, Shape::new(0, 400_000)).unwrap();
        });
    });
}

/// All sweep, allocate and run out of memory at once; every object stays whole and nobody gets
/// another's hole.
#[test]
fn several_mutators_sweep_while_others_collect() {
    let heap = heap(4 * MIB);
    let sum = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [kept, dying]| {
                        for round in 0..60 {
                            for _ in 0..500 {
                                push(m, kept, 1);
                                push(m, dying, 3);
                            }
                            m.set(dying, None);
                            if round % 8 == 7 {
                                assert_eq!(length(m, kept), 8 * 500);
                                m.set(kept, None);
                                sum.fetch_add(8 * 500, Ordering::Relaxed);
                            }
                            if round % 20 == 0 {
                                m.collect();
                            }
                        }
                    });
                });
            });
        }
    });
    assert_eq!(sum.into_inner(), 4 * 7 * 8 * 500);
    heap.attach(|m| m.verify());
}

/// One mutator stays in the middle of a block's holes; another uses those of the other blocks, down
/// to the last.
#[test]
fn a_mutator_in_the_middle_of_a_sweep_holds_up_nobody() {
    let heap = heap(2 * MIB);
    let (in_the_middle, go_on) = (Barrier::new(2), Barrier::new(2));
    let table = heap.attach(|m| {
        m.frame(|m, [table, object]| {
            const OBJECTS: usize = 40_000;
            m.alloc(table, Shape::new(OBJECTS as u32, 0)).unwrap();
            for index in 0..OBJECTS {
                push(m, object, 1);
                if index % 2 == 0 {
                    m.store(m.get(table).unwrap(), index, m.get(object));
                }
                m.set(object, None);
            }
            m.collect();
            m.global(m.get(table).unwrap())
        })
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            heap.attach(|m| {
                m.frame(|m, [list]| {
                    push(m, list, 10);
                    m.blocking(|| {
                        in_the_middle.wait();
                        go_on.wait();
                    });
                    push(m, list, 10);
                    assert_eq!(length(m, list), 20);
                });
            });
        });
        in_the_middle.wait();
        let before = heap.statistics();
        heap.attach(|m| {
            m.frame(|m, [list]| {
                // 20,000 holes, but for those of the block that the other has.
                push(m, list, 18_000);
                assert_eq!(length(m, list), 18_000);
            });
        });
        let after = heap.statistics();
        assert_eq!(
            after.collections, before.collections,
            "there were holes enough"
        );
        assert!(after.occupied_bytes <= before.occupied_bytes + BLOCK);
        go_on.wait();
    });
    drop(table);
    heap.attach(|m| m.verify());
}

// ---- large objects

#[test]
fn large_objects_that_die_are_freed() {
    let heap = heap(8 * MIB);
    heap.attach(|m| {
        m.frame(|m, [kept, dying]| {
            m.alloc(kept, Shape::new(1, 5_000)).unwrap();
            let one = occupied(&heap);
            for words in (2_000..50_000).step_by(480) {
                // Many times the limit in all.
                m.alloc(dying, Shape::new(3, words)).unwrap();
                m.store(m.get(kept).unwrap(), 0, m.get(dying));
            }
            m.set(dying, None);
            m.store(m.get(kept).unwrap(), 0, None);
            m.verify();
            assert_eq!(occupied(&heap), one);
            assert_eq!(
                heap.statistics().live_bytes,
                Some(Shape::new(1, 5_000).size() as u64)
            );
        });
    });
}

#[test]
fn large_objects_are_charged_to_the_limit() {
    const LIMIT: usize = 4 * MIB;
    let heap = heap(LIMIT);
    heap.attach(|m| {
        m.frame(|m, [list, large]| {
            push(m, list, 30_000);
            let mut count = 0;
            while m.alloc_large(large, 12_000) {
                count += 1;
            }
            // Large objects are charged in whole pages, and everything with a sixty-fourth for its
            // marks.
            let with_marks = |bytes: usize| bytes + bytes / 64;
            let large = with_marks(Shape::new(1, 12_000).size().next_multiple_of(4096));
            let small = with_marks(30_000 * 32);
            assert!(small + count * large <= LIMIT);
            // At most the last block of small objects is not full, and the list's.
            let blocks = 2 * 40_000;
            assert!(small + (count + 1) * large + blocks > LIMIT, "{count}");
            assert!(heap.statistics().peak_occupied_bytes <= LIMIT as u64);
            m.verify();
        });
    });
}

trait AllocLarge<'h> {
    /// Pushes a large object in front of the list, unless the heap is full.
    fn alloc_large(&mut self, list: Local<'_, 'h>, words: u32) -> bool;
}

impl<'h> AllocLarge<'h> for Mutator<'h> {
    fn alloc_large(&mut self, list: Local<'_, 'h>, words: u32) -> bool {
        self.frame(|m, [object]| {
            if m.alloc(object, Shape::new(1, words)).is_err() {
                return false;
            }
            m.store(m.get(object).unwrap(), 0, m.get(list));
            m.set(list, m.get(object));
            true
        })
    }
}

// ---- out of memory

/// Half of the heap is live, all threads make garbage as fast as they can and collect for each
/// other: there is always room.
#[test]
fn memory_that_somebody_elses_collection_freed_is_not_out_of_memory() {
    let heap = heap(2 * MIB);
    thread::scope(|scope| {
        for size in [2, 2, 40, 1_200] {
            let heap = &heap;
            scope.spawn(move || {
                heap.attach(|m| {
                    m.frame(|m, [kept, dying]| {
                        push(m, kept, 8_000);
                        for round in 0..1_000_000 / size {
                            let full = m.alloc(dying, Shape::new(0, size));
                            assert_eq!(full, Ok(()), "in round {round}");
                        }
                        assert_eq!(length(m, kept), 8_000);
                    });
                });
            });
        }
    });
    assert!(heap.statistics().collections > 10);
}

/// Every block is full but for a hole of one object, too little to be worth a search. When there is
/// nothing else, they are searched.
#[test]
fn the_last_holes_are_found_before_the_heap_is_full() {
    let heap = heap(2 * MIB);
    heap.attach(|m| {
        m.frame(|m, [table, object, list]| {
            const MOST: usize = 60_000;
            m.alloc(table, Shape::new(MOST as u32, 0)).unwrap();
            let mut count = 0;
            while m.alloc_init(object, Flags::NONE, [], [0; 3]).is_ok() {
                m.store(m.get(table).unwrap(), count, m.get(object));
                count += 1;
            }
            m.set(object, None);
            // A block has 1,024 of them.
            let holes = (0..count).step_by(1_024);
            let expected = holes.len();
            assert!(expected > 30, "{count}");
            for index in holes {
                m.store(m.get(table).unwrap(), index, None);
            }
            let mut found = 0;
            while m.alloc_move(list, Flags::NONE, [list], [0; 2]).is_ok() {
                found += 1;
            }
            assert_eq!(found, expected);
            m.verify();
        });
    });
}

/// An error for each that does not fit, a bounded number of collections for each error, and
/// everything as it was.
#[test]
fn a_full_heap_says_so_and_goes_on() {
    let heap = heap(MIB);
    heap.attach(|m| {
        m.frame(|m, [list, large]| {
            let mut count = 0;
            while m
                .alloc_move(list, Flags::NONE, [list], [count, !count])
                .is_ok()
            {
                count += 1;
            }
            let before = heap.statistics().collections;
            for _ in 0..10 {
                let full = m.alloc(large, Shape::new(0, 20_000)).unwrap_err();
                assert_eq!((full.limit, full.requested), (MIB as u64, 160_008));
                assert_eq!(full.cause, FullCause::Limit);
                assert!(m.alloc_move(list, Flags::NONE, [list], [0, !0]).is_err());
            }
            assert!(heap.statistics().collections - before <= 2 * 20);
            assert_eq!(length(m, list), count);
            m.set(list, None);
            m.alloc(large, Shape::new(0, 20_000)).unwrap();
            m.verify();
        });
    });
}
