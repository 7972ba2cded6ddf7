//! Forks: a child's heap works, or says why it cannot; it never waits for threads that are not
//! there, and never touches their stacks.
#![cfg(all(unix, not(miri), not(loom)))]

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use gc_rc::{Flags, Shape};

#[path = "../../handshake/tests/forking/mod.rs"]
mod forking;
use forking::{alone, await_child, end, fork, is_refused};

/// The tests of one kind of heap: `build` makes it of a builder. The lock's heap and the others
/// have the same methods by different traits, so that they cannot be generic.
macro_rules! forks {
    ($kind:ident, $regime:ty, $build:ident) => {
        mod $kind {
            use super::*;

            type Heap = gc_rc::Heap<$regime>;
            type Mutator<'h> = gc_rc::Mutator<'h, $regime>;

            fn heap() -> Heap {
                let builder = gc_rc::Heap::builder().limit(64 << 20);
                let builder = builder.watchdog(Some(Duration::from_secs(20)));
                builder.$build().unwrap()
            }

            /// Trees that die by counts, and rings that do not.
            fn fill(m: &mut Mutator<'_>) {
                m.frame(|m, [list, ring]| {
                    for word in 0..10_000 {
                        m.alloc_init(list, Flags::NONE, [list], [word]).unwrap();
                        m.alloc(ring, Shape::new(1, 0)).unwrap();
                        m.store(m.get(ring).unwrap(), 0, m.get(ring));
                        m.safepoint();
                    }
                    let weak = m.downgrade(m.get(ring).unwrap());
                    let global = m.global(m.get(list).unwrap());
                    m.set(ring, None);
                    m.set(list, None);
                    m.collect();
                    assert!(m.upgrade(&weak).is_none());
                    assert_eq!(m.word(m.open(&global), 0), 9_999);
                    drop(global);
                    m.verify();
                });
            }

            /// All that a process does with a heap, threads of its own included.
            fn work(heap: &Heap) {
                thread::scope(|scope| {
                    scope.spawn(|| heap.attach(fill));
                });
                heap.attach(|m| {
                    fill(m);
                    m.blocking(|| heap.attach(fill));
                });
                let statistics = heap.statistics();
                assert!(statistics.freed_objects > 0);
                drop(heap.take_events());
            }

            /// From a thread that is not attached: the child uses the heap, and so does its own.
            #[test]
            fn a_child_goes_on_with_an_idle_heap() {
                let _alone = alone();
                let heap = heap();
                work(&heap);
                match fork() {
                    None => end(|| {
                        work(&heap);
                        match fork() {
                            None => end(|| {
                                work(&heap);
                                drop(heap);
                            }),
                            Some(child) => await_child(child, "a child's child"),
                        }
                        work(&heap);
                    }),
                    Some(child) => await_child(child, "a child"),
                }
                work(&heap);
            }

            /// The child finds what it had in its locals, leaves the heap and gives it up.
            #[test]
            fn a_child_goes_on_in_the_midst_of_its_work() {
                let _alone = alone();
                for inside_blocking in [false, true] {
                    let heap = heap();
                    let child = heap.attach(|m| {
                        m.frame(|m, [kept]| {
                            m.alloc_init(kept, Flags::NONE, [], [42]).unwrap();
                            let child = if inside_blocking {
                                m.blocking(fork)
                            } else {
                                fork()
                            };
                            fill(m);
                            assert_eq!(m.word(m.get(kept).unwrap(), 0), 42);
                            child
                        })
                    });
                    match child {
                        None => end(|| {
                            work(&heap);
                            drop(heap);
                        }),
                        Some(child) => await_child(child, "in the midst"),
                    }
                    work(&heap);
                }
            }

            /// Other threads attached, at work or in a blocking region: what would wait for them,
            /// or come by what lies on their stacks, is refused, and the heap can be left and given
            /// up.
            #[test]
            fn a_child_without_the_threads_it_needs_is_refused() {
                let _alone = alone();
                for in_blocking in [false, true] {
                    let heap = heap();
                    work(&heap);
                    let (ready, done) = (Barrier::new(2), AtomicBool::new(false));
                    thread::scope(|scope| {
                        let other = || {
                            heap.attach(|m| {
                                m.frame(|m, [local]| {
                                    m.alloc(local, Shape::new(1, 0)).unwrap();
                                    m.blocking(|| ready.wait());
                                    if in_blocking {
                                        m.blocking(|| ready.wait());
                                    }
                                    while !done.load(Ordering::Relaxed) {
                                        m.safepoint();
                                    }
                                });
                            });
                        };
                        let other = thread::Builder::new()
                            .name("other".to_owned())
                            .spawn_scoped(scope, other);
                        other.unwrap();
                        ready.wait();
                        // From outside, and from a thread that is attached.
                        let outside = fork();
                        if outside.is_none() {
                            end(|| {
                                for _ in 0..2 {
                                    assert!(is_refused(|| heap.attach(|m| m.collect())));
                                    assert!(is_refused(|| drop(heap.take_events())));
                                }
                                assert!(heap.statistics().allocated_objects > 0);
                                drop(heap.clone());
                            });
                        }
                        let inside = heap.attach(|m| {
                            let inside = fork();
                            if inside.is_none() {
                                let refused = is_refused(|| m.verify())
                                    && is_refused(|| m.blocking(|| ()))
                                    && is_refused(|| m.verify());
                                if !refused {
                                    end(|| panic!("not refused"));
                                }
                            }
                            inside
                        });
                        if inside.is_none() {
                            end(|| {
                                // A stack that was another thread's may be this one's.
                                let refused = || is_refused(|| heap.attach(fill));
                                assert!(refused() && thread::spawn(|| 1).join().unwrap() == 1);
                                drop(heap.clone());
                            });
                        }
                        done.store(true, Ordering::Relaxed);
                        if in_blocking {
                            ready.wait();
                        }
                        await_child(outside.unwrap(), "from outside");
                        await_child(inside.unwrap(), "from inside");
                    });
                    work(&heap);
                }
            }

            /// Other threads inside allocations, collections, and whatever else takes a lock.
            #[test]
            fn a_fork_amid_work_never_hangs() {
                let _alone = alone();
                let heap = heap();
                let done = AtomicBool::new(false);
                thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            heap.attach(|m| {
                                m.frame(|m, [list]| {
                                    while !done.load(Ordering::Relaxed) {
                                        for word in 0..1000 {
                                            m.alloc_init(list, Flags::NONE, [list], [word])
                                                .unwrap();
                                            m.safepoint();
                                        }
                                        m.set(list, None);
                                        m.collect();
                                        m.blocking(|| {
                                            drop((heap.statistics(), heap.take_events()));
                                        });
                                    }
                                });
                            });
                        });
                    }
                    while heap.statistics().collections < 4 {
                        thread::yield_now();
                    }
                    for round in 0..15 {
                        match fork() {
                            None => end(|| {
                                let _ = heap.statistics();
                                assert!(is_refused(|| heap.attach(|m| m.collect())));
                                drop(heap.clone());
                            }),
                            Some(child) => await_child(child, &format!("round {round}")),
                        }
                    }
                    done.store(true, Ordering::Relaxed);
                });
                work(&heap);
            }
        }
    };
}

forks!(gil, gc_rc::GlobalLock, build);
forks!(atomic, gc_rc::Atomic, build_unlocked);
forks!(object_lock, gc_rc::ObjectLock, build_unlocked);
forks!(biased, gc_rc::Biased, build_unlocked);
forks!(deferred, gc_rc::Deferred, build_unlocked);
