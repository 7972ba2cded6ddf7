//! Several mutators at once, with collections, attaching and detaching in between: what only shows
//! on real threads.
//!
//! Nothing here measures time. A deadlock shows as a test that is not finished within minutes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;

use harness::heap::{Flags, Heap, Mutator, Shape};
use tests::{MIB, Variant, new_node, on_every_heap, push_nodes, sum_list, within};

on_every_heap!(
    mutators_keep_their_own_objects,
    mutators_share_a_table,
    threads_come_and_go_during_collections,
    a_thread_that_only_blocks_delays_nobody,
    all_triggers_at_once,
    a_mutator_that_panics_lets_the_others_go_on,
    objects_move_between_threads_as_globals,
    a_full_heap_is_reported_to_those_who_need_it,
    statistics_and_events_are_read_while_others_run,
);

const PATIENCE: Duration = Duration::from_secs(240);

fn scale<V: Variant>(count: u64) -> u64 {
    if V::is_stress() { count / 50 } else { count }
}

fn mutators_keep_their_own_objects<V: Variant>() {
    within(PATIENCE, || {
        let heap = V::heap(64 * MIB);
        thread::scope(|scope| {
            for id in 0..4 {
                let heap = &heap;
                scope.spawn(move || {
                    heap.attach(|m| {
                        m.frame(|m, [list, garbage]| {
                            let length = scale::<V>(5_000);
                            for word in 0..length {
                                m.alloc_move(list, Flags::NONE, [list], [word * 4 + id])
                                    .unwrap();
                                push_nodes(m, garbage, 5).unwrap();
                                m.set(garbage, None);
                                if word % 1000 == 0 {
                                    m.collect();
                                }
                                m.safepoint();
                            }
                            let expected = (0..length).map(|word| word * 4 + id).sum();
                            assert_eq!(sum_list(m, list), (expected, length));
                            m.verify();
                        });
                    });
                });
            }
        });
    });
}

/// Threads replace entries of one table at random and follow what others have put there. Racing
/// stores may lose entries, never objects.
fn mutators_share_a_table<V: Variant>() {
    const ENTRIES: usize = 64;
    within(PATIENCE, || {
        let heap = V::heap(64 * MIB);
        let table = heap.attach(|m| {
            m.frame(|m, [table]| {
                m.alloc(table, Shape::new(ENTRIES as u32, 0)).unwrap();
                m.global(m.get(table).unwrap())
            })
        });
        thread::scope(|scope| {
            for id in 0..3_u64 {
                let (heap, table) = (&heap, &table);
                scope.spawn(move || {
                    heap.attach(|m| {
                        m.frame(|m, [a, b]| {
                            let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(id + 1);
                            for _ in 0..scale::<V>(20_000) {
                                random ^= random << 13;
                                random ^= random >> 7;
                                random ^= random << 17;
                                let (i, j) =
                                    (random as usize % ENTRIES, (random >> 32) as usize % ENTRIES);
                                m.set(a, m.load(m.open(table), i));
                                if let Some(object) = m.get(a) {
                                    // An object is whole, whoever made it: its words agree.
                                    assert_eq!(m.word(object, 0), !m.word(object, 1));
                                    // Chains of the table's objects must not grow without end.
                                    m.store(object, 0, None);
                                }
                                m.alloc_init(b, Flags::NONE, [a, b], [random, !random])
                                    .unwrap();
                                m.store(m.open(table), j, m.get(b));
                                if random.is_multiple_of(16) {
                                    m.set(b, None);
                                }
                                m.safepoint();
                            }
                        });
                    });
                });
            }
        });
        heap.attach(|m| m.verify());
    });
}

fn threads_come_and_go_during_collections<V: Variant>() {
    within(PATIENCE, || {
        let heap = V::heap(32 * MIB);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [list]| {
                        while !done.load(Ordering::Relaxed) {
                            push_nodes(m, list, 100).unwrap();
                            m.collect();
                            m.set(list, None);
                            m.safepoint();
                        }
                    });
                });
            });
            let visitors: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for round in 0..scale::<V>(500) {
                            heap.attach(|m| {
                                m.frame(|m, [a]| {
                                    new_node(m, a, round);
                                    m.safepoint();
                                    assert_eq!(m.word(m.get(a).unwrap(), 0), round);
                                });
                            });
                        }
                    })
                })
                .collect();
            for visitor in visitors {
                visitor.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        heap.attach(|m| m.verify());
    });
}

fn a_thread_that_only_blocks_delays_nobody<V: Variant>() {
    within(PATIENCE, || {
        let heap = V::heap(32 * MIB);
        let (sender, receiver) = mpsc::channel::<()>();
        let blocked = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                let (blocked, receiver) = (&blocked, receiver);
                heap.attach(|m| {
                    m.frame(|m, [a]| {
                        new_node(m, a, 1);
                        m.blocking(|| {
                            blocked.wait();
                            receiver.recv().unwrap();
                        });
                        assert_eq!(m.word(m.get(a).unwrap(), 0), 1);
                    });
                });
            });
            blocked.wait();
            heap.attach(|m| {
                for _ in 0..20 {
                    m.frame(|m, [list]| push_nodes(m, list, 100).unwrap());
                    m.collect();
                }
                m.verify();
            });
            sender.send(()).unwrap();
        });
    });
}

fn all_triggers_at_once<V: Variant>() {
    within(PATIENCE, || {
        let heap = V::heap(32 * MIB);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    heap.attach(|m| {
                        m.frame(|m, [list, weak_target]| {
                            push_nodes(m, list, 50).unwrap();
                            for round in 0..scale::<V>(500) {
                                new_node(m, weak_target, round);
                                let weak = m.downgrade(m.get(weak_target).unwrap());
                                m.set(weak_target, None);
                                m.collect();
                                // Whoever collected, it was a collection that began after the
                                // object had died.
                                assert!(m.upgrade(&weak).is_none() || !V::capabilities().reclaims);
                                while m.cleared().is_some() {}
                            }
                            assert_eq!(sum_list(m, list), (49 * 50 / 2, 50));
                        });
                    });
                });
            }
        });
        if V::capabilities().reclaims_cycles {
            assert!(heap.statistics().collections > 0);
        }
    });
}

fn a_mutator_that_panics_lets_the_others_go_on<V: Variant>() {
    within(PATIENCE, || {
        let heap = V::heap(32 * MIB);
        thread::scope(|scope| {
            let unlucky: Vec<_> = (0..5)
                .map(|i| {
                    let heap = &heap;
                    scope.spawn(move || {
                        heap.attach(|m| {
                            m.frame(|m, [a]| {
                                push_nodes(m, a, 10 + i).unwrap();
                                m.safepoint();
                                panic!("on purpose");
                            })
                        })
                    })
                })
                .collect();
            scope.spawn(|| {
                heap.attach(|m| {
                    for _ in 0..50 {
                        m.collect();
                        m.safepoint();
                    }
                });
            });
            for thread in unlucky {
                let result: Result<(), _> = thread.join();
                assert!(result.is_err());
            }
        });
        heap.attach(|m| m.verify());
    });
}

fn objects_move_between_threads_as_globals<V: Variant>() {
    within(PATIENCE, || {
        let heap = V::heap(32 * MIB);
        let (sender, receiver) = mpsc::sync_channel(8);
        let count = scale::<V>(5_000);
        thread::scope(|scope| {
            scope.spawn(|| {
                let sender = sender;
                heap.attach(|m| {
                    m.frame(|m, [list]| {
                        for length in 0..count {
                            m.set(list, None);
                            push_nodes(m, list, length % 10 + 1).unwrap();
                            let global = m.global(m.get(list).unwrap());
                            m.blocking(|| sender.send(global)).unwrap();
                        }
                    });
                });
            });
            heap.attach(|m| {
                m.frame(|m, [list]| {
                    let mut received = 0;
                    while let Ok(global) = m.blocking(|| receiver.recv()) {
                        m.set(list, Some(m.open(&global)));
                        drop(global);
                        let length = received % 10 + 1;
                        assert_eq!(sum_list(m, list), (length * (length - 1) / 2, length));
                        received += 1;
                        if received % 100 == 0 {
                            m.collect();
                        }
                    }
                    assert_eq!(received, count);
                });
                m.verify();
            });
        });
    });
}

/// Threads fill a small heap and empty it again and again: an error is an answer, a hang or a crash
/// is not.
fn a_full_heap_is_reported_to_those_who_need_it<V: Variant>() {
    if !V::capabilities().limited {
        return;
    }
    within(PATIENCE, || {
        let heap = V::heap(2 * MIB);
        let full = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    heap.attach(|m| {
                        m.frame(|m, [list]| {
                            let mut filled = 0;
                            while filled < 3 {
                                if m.alloc_move(list, Flags::NONE, [list], [0; 100]).is_err() {
                                    full.fetch_add(1, Ordering::Relaxed);
                                    filled += 1;
                                    m.set(list, None);
                                }
                                m.safepoint();
                            }
                        });
                    });
                });
            }
        });
        assert_eq!(full.into_inner(), 9);
        heap.attach(|m| {
            m.frame(|m, [list]| {
                push_nodes(m, list, 1000).unwrap();
                m.verify();
            });
        });
    });
}

fn statistics_and_events_are_read_while_others_run<V: Variant>() {
    within(PATIENCE, || {
        let heap = V::heap(32 * MIB);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                heap.attach(|m| {
                    for _ in 0..20 {
                        m.frame(|m, [list]| push_nodes(m, list, scale::<V>(2_000)).unwrap());
                        m.collect();
                    }
                });
                done.store(true, Ordering::Relaxed);
            });
            let mut before = heap.statistics();
            while !done.load(Ordering::Relaxed) {
                let now = heap.statistics();
                assert!(now.allocated_objects >= before.allocated_objects);
                assert!(now.collections >= before.collections);
                before = now;
                for event in heap.take_events().events {
                    assert!(event.from <= event.until);
                }
                thread::yield_now();
            }
        });
    });
}
