//! The regime `Biased`: what owners count by themselves, what others name to them, and that an
//! owner that is away keeps nothing back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;

use gc_rc::{BiasStatistics, Biased, Cycle, EventKind, Flags, Global, Heap, Mutator, Shape};

use super::{freed, live, push, rest, wait_for};

type M<'h> = Mutator<'h, Biased>;

fn heap() -> Heap<Biased> {
    super::heap(Heap::builder().cycle(Cycle::None).poison(true))
}

fn bias(heap: &Heap<Biased>) -> BiasStatistics {
    heap.statistics().bias.unwrap()
}

/// A table of `objects`, each made and stored by the calling thread.
fn table(m: &mut M<'_>, objects: u32) -> Global {
    m.frame(|m, [table, object]| {
        m.alloc(table, Shape::new(objects, 0)).unwrap();
        for field in 0..objects as usize {
            m.alloc_init(object, Flags::NONE, [], [field as u64])
                .unwrap();
            m.store_move(m.get(table).unwrap(), field, object);
        }
        m.global(m.get(table).unwrap())
    })
}

/// Another thread attaches, does `other`, and waits in a blocking region, or in a loop without
/// safepoints, until `f` is through.
fn beside(
    heap: &Heap<Biased>,
    blocked: bool,
    other: impl FnOnce(&mut M<'_>) + Send,
    f: impl FnOnce(&mut M<'_>),
) {
    let (there, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            heap.attach(|m| {
                other(m);
                let wait = || {
                    there.store(true, SeqCst);
                    while !done.load(SeqCst) {
                        thread::yield_now();
                    }
                };
                if blocked {
                    m.blocking(wait);
                } else {
                    wait();
                }
                rest(m);
            });
        });
        while !there.load(SeqCst) {
            thread::yield_now();
        }
        // Also if an assertion fails.
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, SeqCst);
            }
        }
        let done = Done(&done);
        heap.attach(|m| {
            f(m);
            drop(done);
            m.blocking(|| ());
        });
    });
}

#[test]
fn an_owner_counts_by_itself() {
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [list, other, table]| {
            push(m, list, 1000);
            m.set(other, m.get(list));
            m.alloc(table, Shape::new(2, 0)).unwrap();
            for field in [0, 1, 0] {
                m.store(m.get(table).unwrap(), field, m.get(other));
            }
            assert_eq!(m.count(m.get(list).unwrap()), 4);
            m.set(list, None);
            m.set(other, None);
            m.set(table, None);
            rest(m);
            assert_eq!(live(&heap), 0);
            m.verify();
        });
    });
    let bias = bias(&heap);
    assert_eq!(
        bias.own_changes.is_some(),
        cfg!(feature = "count-statistics")
    );
    assert_eq!(
        (bias.shared_changes, bias.named_objects, bias.merged_objects),
        (0, 0, 0)
    );
}

/// A tree whose root nobody else has ever seen dies although another thread passes no safepoint;
/// what a field has referred to that others can read does not.
#[test]
fn what_only_its_owner_has_seen_waits_for_nobody() {
    let heap = heap();
    beside(
        &heap,
        false,
        |_| (),
        |m| {
            m.frame(|m, [list, shared]| {
                m.alloc(shared, Shape::new(1, 0)).unwrap();
                for escape in [None, Some(0), Some(1), Some(2)] {
                    let before = freed(&heap);
                    push(m, list, 100);
                    let mut weak = None;
                    let mut global = None;
                    match escape {
                        None => {}
                        Some(0) => {
                            m.store(m.get(shared).unwrap(), 0, m.get(list));
                            m.store(m.get(shared).unwrap(), 0, None);
                        }
                        Some(1) => global = Some(m.global(m.get(list).unwrap())),
                        _ => weak = Some(m.downgrade(m.get(list).unwrap())),
                    }
                    m.set(list, None);
                    drop(global);
                    rest(m);
                    let expected = if escape.is_none() { 100 } else { 0 };
                    assert_eq!(freed(&heap) - before, expected, "{escape:?}");
                    drop(weak);
                }
            });
        },
    );
    heap.attach(rest);
    assert_eq!(live(&heap), 0);
}

/// Whatever an owner has counted, another lets go of: the owner is told, and no grace period is
/// needed for each of the list's nodes.
#[test]
fn what_others_let_go_of_dies_with_its_owner() {
    let heap = heap();
    let turn = AtomicU64::new(0);
    let wait = |whose| wait_for(&turn, |turn| turn == whose);
    thread::scope(|s| {
        let (sender, receiver) = std::sync::mpsc::channel::<Global>();
        s.spawn(|| {
            let receiver = receiver;
            heap.attach(|m| {
                m.frame(|m, [list]| {
                    let global = m.blocking(|| receiver.recv().unwrap());
                    m.set(list, Some(m.open(&global)));
                    assert_eq!(m.count(m.get(list).unwrap()), 2);
                    drop(global);
                    m.safepoint();
                    m.set(list, None);
                    rest(m);
                    assert_eq!(live(&heap), 1000, "before the owner has looked");
                    turn.store(1, SeqCst);
                    m.blocking(|| wait(2));
                });
            });
        });
        heap.attach(|m| {
            m.frame(|m, [list]| {
                push(m, list, 1000);
                // Who has been away and is back answers by itself.
                m.blocking(|| ());
                let global = m.global(m.get(list).unwrap());
                m.set(list, None);
                sender.send(global).unwrap();
            });
            wait(1);
            rest(m);
            assert_eq!(live(&heap), 0);
            m.verify();
        });
        turn.store(2, SeqCst);
    });
    let bias = bias(&heap);
    assert_eq!((bias.named_objects, bias.merged_objects), (1, 1));
}

/// An owner in a blocking region: what it made dies while it is there, however much that is.
#[test]
fn an_owner_that_is_away_keeps_nothing_back() {
    const OBJECTS: u32 = if cfg!(miri) { 100 } else { 50_000 };
    let heap = heap();
    let made = std::sync::Mutex::new(None);
    beside(
        &heap,
        true,
        |m| *made.lock().unwrap() = Some(table(m, OBJECTS)),
        |m| {
            let global = made.lock().unwrap().take().unwrap();
            for field in 0..OBJECTS as usize {
                m.store(m.open(&global), field, None);
                m.safepoint();
                if field % 1000 == 0 {
                    rest(m);
                    let kept = heap.statistics().reclamation.unwrap().kept_bytes;
                    assert!(kept < 1 << 20, "{kept} bytes kept back");
                }
            }
            rest(m);
            assert_eq!(live(&heap), 1);
            assert_eq!(bias(&heap).named_objects, 0);
            drop(global);
            rest(m);
            assert_eq!(live(&heap), 0);
            m.verify();
        },
    );
}

/// What a thread that has ended owns dies with those that are there, and the next thread owns what
/// is left.
#[test]
fn objects_outlive_their_threads() {
    let heap = heap();
    let global = thread::scope(|s| s.spawn(|| heap.attach(|m| table(m, 300))).join().unwrap());
    let clear = |m: &mut M<'_>, fields: std::ops::Range<usize>| {
        for field in fields {
            m.store(m.open(&global), field, None);
        }
        rest(m);
        m.verify();
    };
    heap.attach(|first| {
        // This one has the slot of the thread that ended.
        clear(first, 0..100);
        assert_eq!(live(&heap), 201);
        assert_eq!(bias(&heap).merged_objects, 0);
        first.blocking(|| {
            heap.attach(|m| {
                // This one has not, and whoever has is away.
                clear(m, 100..200);
                assert_eq!(live(&heap), 101);
                assert_eq!(bias(&heap).merged_objects, 100);
            });
        });
        clear(first, 200..300);
        assert_eq!(live(&heap), 1);
        assert_eq!(bias(&heap).merged_objects, 100);
    });
}

/// Threads that are not there any more, more of them than slots are made at once, and threads that
/// are there together.
#[test]
fn slots_are_used_again() {
    let heap = heap();
    const TOGETHER: usize = 40;
    for _ in 0..3 {
        let barrier = std::sync::Barrier::new(TOGETHER);
        let globals: Vec<Global> = thread::scope(|s| {
            let make = || {
                heap.attach(|m| {
                    m.blocking(|| barrier.wait());
                    table(m, 3)
                })
            };
            let threads: Vec<_> = (0..TOGETHER).map(|_| s.spawn(make)).collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        heap.attach(|m| {
            for global in &globals {
                m.store(m.open(global), 1, None);
            }
            m.verify();
            assert_eq!(live(&heap), 3 * TOGETHER as u64);
        });
        drop(globals);
        heap.attach(|m| m.collect());
        assert_eq!(live(&heap), 0);
    }
}

/// A reference that its owner reads from a field comes back from zero, and goes again.
#[test]
fn what_comes_back_to_its_owner_dies_once() {
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [a, b, table]| {
            m.alloc(table, Shape::new(1, 0)).unwrap();
            for seen in [false, true] {
                m.alloc_init(a, Flags::NONE, [], [7]).unwrap();
                if seen {
                    m.store(m.get(table).unwrap(), 0, m.get(a));
                    m.store(m.get(table).unwrap(), 0, None);
                }
                for _ in 0..3 {
                    let object = m.get(a);
                    m.set(a, None);
                    assert_eq!(m.count(object.unwrap()), 0);
                    m.set(b, object);
                    m.set(b, None);
                    m.set(a, object);
                    assert_eq!(m.count(object.unwrap()), 1);
                }
                rest(m);
                assert_eq!(m.word(m.get(a).unwrap(), 0), 7);
                assert_eq!(live(&heap), 2);
                m.set(a, None);
                rest(m);
                assert_eq!(live(&heap), 1);
                m.verify();
            }
        });
    });
}

/// More references than an owner's part has room for.
#[test]
fn an_owner_counts_what_does_not_fit_with_the_others() {
    const FIELDS: u32 = 70_000;
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [object, table]| {
            m.alloc(table, Shape::new(FIELDS, 0)).unwrap();
            m.alloc(object, Shape::new(0, 1)).unwrap();
            for field in 0..FIELDS as usize {
                m.store(m.get(table).unwrap(), field, m.get(object));
            }
            assert_eq!(m.count(m.get(object).unwrap()), FIELDS + 1);
            m.verify();
            m.set(object, None);
            for field in 0..FIELDS as usize - 1 {
                m.store(m.get(table).unwrap(), field, None);
            }
            rest(m);
            assert_eq!(live(&heap), 2);
            m.verify();
            m.set(table, None);
            rest(m);
            assert_eq!(live(&heap), 0);
        });
    });
}

/// A list whose nodes two threads have made in turn dies within a safepoint of each for every node,
/// and by a collection at once.
#[test]
fn a_chain_of_many_owners_dies() {
    let nodes: u64 = if cfg!(miri) { 20 } else { 2000 };
    for stopped in [false, true] {
        let heap = heap();
        let turn = AtomicU64::new(0);
        let list = heap.attach(|m| table(m, 1));
        let made = AtomicU64::new(0);
        thread::scope(|s| {
            for me in 0..2 {
                let (heap, turn, list, made) = (&heap, &turn, &list, &made);
                s.spawn(move || {
                    heap.attach(|m| {
                        m.frame(|m, [node]| {
                            for step in (me..nodes).step_by(2) {
                                m.blocking(|| {
                                    while turn.load(SeqCst) != step {
                                        thread::yield_now();
                                    }
                                });
                                m.set(node, m.load(m.open(list), 0));
                                m.alloc_move(node, Flags::NONE, [node], [step]).unwrap();
                                m.store_move(m.open(list), 0, node);
                                turn.store(step + 1, SeqCst);
                            }
                        });
                        while turn.load(SeqCst) != nodes {
                            thread::yield_now();
                        }
                        if me == 0 {
                            m.store(m.open(list), 0, None);
                            if stopped {
                                m.collect();
                                assert_eq!(live(heap), 1);
                            }
                        }
                        while live(heap) > 1 {
                            m.safepoint();
                        }
                        made.fetch_add(1, Relaxed);
                        while made.load(Relaxed) < 2 {
                            m.safepoint();
                        }
                        m.verify();
                    });
                });
            }
        });
    }
}

/// Objects of several owners in a cycle, with more references than a side byte takes up.
#[test]
fn cycles_of_several_owners_are_found() {
    let heap: Heap<Biased> = super::heap(Heap::builder().poison(true));
    let table = heap.attach(|m| table(m, 200));
    thread::scope(|s| {
        for me in 0..2 {
            let (heap, table) = (&heap, &table);
            s.spawn(move || {
                heap.attach(|m| {
                    m.frame(|m, [node]| {
                        for field in (me..200).step_by(2) {
                            m.alloc(node, Shape::new(2, 0)).unwrap();
                            m.store(m.get(node).unwrap(), 0, Some(m.open(table)));
                            m.store(m.get(node).unwrap(), 1, m.get(node));
                            m.store(m.open(table), field, m.get(node));
                        }
                    });
                });
            });
        }
    });
    heap.attach(|m| {
        m.verify();
        m.collect();
        assert_eq!(live(&heap), 201);
        for field in 0..50 {
            m.store(m.open(&table), field, None);
        }
        m.collect();
        m.verify();
        assert_eq!(live(&heap), 151);
        drop(table);
        m.collect();
        m.verify();
        assert_eq!(live(&heap), 0);
    });
}

/// A weak reference that another thread has made of an owner's object: it yields the object for as
/// long as there are references, whoever has counted them, and not any longer.
#[test]
fn a_weak_reference_of_another_thread_knows_both_parts() {
    let heap = heap();
    let made = std::sync::Mutex::new(None);
    for blocked in [false, true] {
        beside(
            &heap,
            blocked,
            |m| *made.lock().unwrap() = Some(table(m, 2)),
            |m| {
                let table = made.lock().unwrap().take().unwrap();
                m.frame(|m, [kept]| {
                    let weak = m.downgrade(m.load(m.open(&table), 0).unwrap());
                    assert!(m.upgrade(&weak).is_some());
                    m.set(kept, m.upgrade(&weak));
                    m.store(m.open(&table), 0, None);
                    assert!(m.upgrade(&weak).is_some_and(|object| m.count(object) == 1));
                    m.set(kept, None);
                    assert!(m.upgrade(&weak).is_none());
                });
            },
        );
        heap.attach(|m| {
            m.safepoint();
            rest(m);
        });
        assert_eq!(live(&heap), 0);
    }
}

/// A reader holds a reference that it has read and not counted, when the last is cut off by another
/// thread and named to the owner, who answers at once.
#[test]
fn what_is_named_waits_for_readers() {
    let heap = heap();
    let turn = AtomicU64::new(0);
    let wait = |whose| wait_for(&turn, |turn| turn == whose);
    heap.attach(|m| {
        let table = table(m, 1);
        rest(m);
        thread::scope(|s| {
            s.spawn(|| {
                heap.attach(|m| {
                    let object = m.load(m.open(&table), 0).unwrap();
                    m.set_word(object, 0, 42);
                    m.store(m.open(&table), 0, None);
                    assert_eq!(m.count(object), 0);
                    turn.store(1, SeqCst);
                    wait(2);
                    assert_eq!(m.word(object, 0), 42, "it was freed under our eyes");
                });
            });
            wait(1);
            rest(m);
            turn.store(2, SeqCst);
            m.blocking(|| ());
        });
        assert_eq!(bias(&heap).named_objects, 1);
        rest(m);
        assert_eq!(live(&heap), 1);
    });
}

/// An object that another thread has read through a weak reference has been seen, also when the
/// weak reference is gone and forgotten.
#[test]
fn what_a_weak_reference_has_shown_waits_for_readers() {
    let heap = heap();
    let turn = AtomicU64::new(0);
    let wait = |whose| wait_for(&turn, |turn| turn == whose);
    heap.attach(|m| {
        m.frame(|m, [object]| {
            m.alloc_init(object, Flags::NONE, [], [42]).unwrap();
            let weak = m.downgrade(m.get(object).unwrap());
            thread::scope(|s| {
                s.spawn(|| {
                    heap.attach(|m| {
                        let others = table(m, 64);
                        m.safepoint();
                        let object = m.upgrade(&weak).unwrap();
                        drop(weak);
                        // The table of weak references grows, and is looked through before.
                        let other = |field| m.load(m.open(&others), field).unwrap();
                        let held: Vec<_> = (0..64).map(|field| m.downgrade(other(field))).collect();
                        turn.store(1, SeqCst);
                        wait(2);
                        assert_eq!(m.word(object, 0), 42, "it was freed under our eyes");
                        drop(held);
                    });
                });
                wait(1);
                m.set(object, None);
                rest(m);
                turn.store(2, SeqCst);
                m.blocking(|| ());
            });
        });
    });
    heap.attach(|m| m.collect());
    assert_eq!(live(&heap), 0);
}

/// Many names answered in one go are an event.
#[test]
fn answers_are_told_of() {
    let heap = heap();
    let turn = AtomicU64::new(0);
    let global = heap.attach(|m| table(m, 1));
    heap.attach(|m| {
        let table = table(m, 500);
        thread::scope(|s| {
            s.spawn(|| {
                heap.attach(|m| {
                    for field in 0..500 {
                        m.store(m.open(&table), field, None);
                    }
                    let kept = heap.statistics().reclamation.unwrap();
                    turn.store(kept.kept_objects, SeqCst);
                });
            });
            wait_for(&turn, |turn| turn > 0);
            assert_eq!(turn.load(SeqCst), 500);
            rest(m);
        });
        drop(global);
    });
    let merged = |event: &gc_rc::Event| event.kind == EventKind::Merged { objects: 500 };
    assert!(heap.take_events().events.iter().any(merged));
    assert_eq!(bias(&heap).named_objects, 500);
}
