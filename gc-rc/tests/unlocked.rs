//! Regimes without the global lock: what is particular to them. That they keep the contract is
//! checked with that of every other heap, in the workspace's tests.
//!
//! Which of these tests kills which mutant is in `unlocked/README.md`.

#![cfg(not(loom))]

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use gc_rc::{
    BuildError, Builder, Cycle, EventKind, Flags, Free, Global, Heap, HeapFull, Local, Mutator,
    Shape, Unlocked, Weak,
};

#[path = "unlocked/deferral.rs"]
mod deferral;
#[path = "unlocked/owners.rs"]
mod owners;
mod random;
use random::Random;

/// Makes tests of functions that are generic over the regime: for each of those named.
macro_rules! on_regimes {
    ([$($module:ident: $regime:ty),+] $tests:tt) => {
        $(mod $module { on_regimes!(@one $regime, $tests); })+
    };
    (@one $regime:ty, [$($(#[$attribute:meta])* $test:ident),+ $(,)?]) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $test() {
                super::in_bounded_time(super::$test::<$regime>);
            }
        )+
    };
}

#[path = "unlocked/cells.rs"]
mod cells;
#[path = "unlocked/single.rs"]
mod single;

/// So long no test takes, unless threads wait for each other for ever.
const PATIENCE: Duration = Duration::from_secs(if cfg!(miri) { u64::MAX } else { 300 });

/// Runs a test, and aborts the process if that is not over in time.
fn in_bounded_time(test: impl FnOnce()) {
    let (over, is_over) = mpsc::channel::<()>();
    let name = thread::current().name().map(str::to_owned);
    let watch = move || {
        if is_over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{name:?} is not over after {PATIENCE:?}: a deadlock");
            std::process::abort();
        }
    };
    if !cfg!(miri) {
        thread::spawn(watch);
    }
    test();
    drop(over);
}

/// A heap in which a mutator counts as it does beside others, also while it has none: what one does
/// without them is the business of `single.rs`. And threads may attach here while others wait for
/// them without a safepoint.
fn heap<R: Unlocked>(builder: Builder) -> Heap<R> {
    builder.single_mutator(false).build_unlocked().unwrap()
}

fn poisoned<R: Unlocked>() -> Heap<R> {
    heap(Heap::builder().poison(true))
}

fn push<'h, R: Unlocked>(m: &mut Mutator<'h, R>, list: Local<'_, 'h>, length: u64) {
    for word in 0..length {
        m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
        m.safepoint();
    }
}

/// Waits for a turn that another thread is to pass.
fn wait_for(turn: &AtomicU64, is_it: impl Fn(u64) -> bool) {
    let begun = Instant::now();
    while !is_it(turn.load(SeqCst)) {
        assert!(begun.elapsed() < PATIENCE, "nobody has passed the turn");
        std::hint::spin_loop();
    }
}

/// Comes to a quiescent point often enough for a grace period, if the others do.
fn rest<R: Unlocked>(m: &mut Mutator<'_, R>) {
    (0..200).for_each(|_| m.safepoint());
}

/// Other threads may have seen the object of a local: it waits for them when it dies.
fn show<'h, R: Unlocked>(m: &Mutator<'h, R>, local: Local<'_, 'h>) {
    drop(m.global(m.get(local).unwrap()));
}

/// Objects that were freed.
fn freed<R: Unlocked>(heap: &Heap<R>) -> u64 {
    heap.statistics().freed_objects
}

fn live<R: Unlocked>(heap: &Heap<R>) -> u64 {
    let statistics = heap.statistics();
    statistics.allocated_objects - statistics.freed_objects
}

/// Globals that are dropped one by one, each before a safepoint, put off no death.
fn who_drops_globals_keeps_nothing_back<R: Unlocked>() {
    for words in [1, 600] {
        let heap = heap::<R>(Heap::builder().cycle(Cycle::None).release_after(None));
        heap.attach(|m| {
            let mut globals: Vec<_> = (0..2000)
                .map(|_| {
                    m.frame(|m, [local]| {
                        m.alloc(local, Shape::new(0, words)).unwrap();
                        m.global(m.get(local).unwrap())
                    })
                })
                .collect();
            rest(m);
            let mut most = 0;
            while let Some(global) = globals.pop() {
                drop(global);
                m.safepoint();
                most = most.max(live(&heap) - globals.len() as u64);
            }
            assert!(most <= 200, "{most} objects of {words} words are kept back");
        });
    }
}

fn options_of_the_lock_are_refused_where_they_would_do_nothing<R: Unlocked>() {
    let lazy = Heap::builder().free(Free::Lazy).build_unlocked::<R>();
    assert_eq!(
        lazy.unwrap_err(),
        BuildError::NeedsLock {
            option: "free=lazy"
        }
    );
    let roots = Heap::builder().cycle(Cycle::BaconRajan);
    let roots = roots.build_unlocked::<R>();
    assert!(
        roots
            .unwrap_err()
            .to_string()
            .contains("cycle=bacon-rajan needs the global lock")
    );
}

/// A thread that is alone, or whose neighbours are absent, waits for nobody.
fn the_dead_of_a_lone_thread_are_freed_without_a_stop<R: Unlocked>() {
    let heap = heap::<R>(Heap::builder().cycle(Cycle::None));
    heap.attach(|m| {
        m.frame(|m, [list]| {
            push(m, list, 10_000);
            m.set(list, None);
            for _ in 0..200 {
                m.safepoint();
            }
            assert_eq!(live(&heap), 0);
        });
    });
    let log = heap.take_events();
    let stops = |event: &gc_rc::Event| matches!(event.kind, EventKind::Stopped { .. });
    assert!(!log.events.iter().any(stops));
}

/// What another thread may have read is not freed before that has passed a safepoint.
fn a_grace_period_waits_for_everybody<R: Unlocked>() {
    let heap = poisoned::<R>();
    let (reading, retired) = (AtomicBool::new(false), AtomicBool::new(false));
    heap.attach(|m| {
        m.frame(|m, [table]| {
            m.alloc(table, Shape::new(1, 0)).unwrap();
            m.frame(|m, [node]| {
                m.alloc_init(node, Flags::NONE, [], [42]).unwrap();
                m.store(m.get(table).unwrap(), 0, m.get(node));
            });
            let global = m.global(m.get(table).unwrap());
            thread::scope(|s| {
                s.spawn(|| {
                    heap.attach(|m| {
                        let node = m.load(m.open(&global), 0).unwrap();
                        reading.store(true, Relaxed);
                        while !retired.load(Relaxed) {
                            std::hint::spin_loop();
                        }
                        assert_eq!(m.word(node, 0), 42, "it was freed under our eyes");
                        assert_eq!(m.count(node), 0);
                        // Legal: it comes back.
                        m.store(m.open(&global), 0, Some(node));
                        for _ in 0..200 {
                            m.safepoint();
                        }
                    });
                });
                while !reading.load(Relaxed) {
                    m.safepoint();
                }
                m.store(m.get(table).unwrap(), 0, None);
                let before = freed(&heap);
                for _ in 0..500 {
                    m.safepoint();
                }
                assert_eq!(freed(&heap), before);
                retired.store(true, Relaxed);
                m.blocking(|| ());
            });
            m.verify();
            let node = m.load(m.get(table).unwrap(), 0).unwrap();
            assert_eq!((m.word(node, 0), m.count(node)), (42, 1));
        });
    });
}

/// A reader takes a reference out of a field, then that is cut off; what else referred to the
/// object, or its own earlier death, has waited for almost a grace period by then, for one of the
/// `delay`s.
fn read_before_the_last_is_cut_off<R: Unlocked>(delay: usize, died_before: bool) {
    let heap = poisoned::<R>();
    let turn = AtomicU64::new(0);
    let wait = |whose| wait_for(&turn, |turn| turn == whose);
    heap.attach(|m| {
        m.frame(|m, [table, parent, node]| {
            m.alloc(table, Shape::new(1, 0)).unwrap();
            let global = m.global(m.get(table).unwrap());
            m.alloc_init(node, Flags::NONE, [], [42]).unwrap();
            m.store(m.get(table).unwrap(), 0, m.get(node));
            if !died_before {
                m.alloc_init(parent, Flags::NONE, [node], []).unwrap();
                show(m, parent);
            }
            m.set(node, None);
            rest(m);
            thread::scope(|s| {
                s.spawn(|| {
                    heap.attach(|m| {
                        turn.store(1, SeqCst);
                        for step in 0..delay as u64 {
                            wait(2 * step + 2);
                            m.safepoint();
                            turn.store(2 * step + 3, SeqCst);
                        }
                        let last = 2 * delay as u64 + 2;
                        wait(last);
                        m.safepoint();
                        let node = m.load(m.open(&global), 0).unwrap();
                        turn.store(last + 1, SeqCst);
                        wait(last + 2);
                        assert_eq!(m.word(node, 0), 42, "it was freed under our eyes");
                    });
                });
                wait(1);
                if died_before {
                    let node = m.load(m.get(table).unwrap(), 0);
                    m.store(m.get(table).unwrap(), 0, None);
                    m.store(m.get(table).unwrap(), 0, node);
                } else {
                    m.set(parent, None);
                }
                for step in 0..=delay as u64 {
                    rest(m);
                    turn.store(2 * step + 2, SeqCst);
                    wait(2 * step + 3);
                }
                m.store(m.get(table).unwrap(), 0, None);
                rest(m);
                turn.store(2 * delay as u64 + 4, SeqCst);
                m.blocking(|| ());
            });
            rest(m);
        });
    });
    assert_eq!(live(&heap), 0);
}

fn what_was_just_cut_off_does_not_die_with_what_was_dead_before<R: Unlocked>() {
    (0..6).for_each(|delay| read_before_the_last_is_cut_off::<R>(delay, false));
}

fn what_came_back_and_was_cut_off_again_is_waited_for_afresh<R: Unlocked>() {
    (0..6).for_each(|delay| read_before_the_last_is_cut_off::<R>(delay, true));
}

/// A weak reference gives its object out, is dropped, and forgotten by the table, all in one
/// operation; what alone kept the object alive has been dead for almost a grace period by then, for
/// one of the `delay`s. Returns whether it gave the object out.
fn read_through_a_weak_reference_that_goes<R: Unlocked>(delay: u64) -> bool {
    const OTHERS: usize = 64;
    let heap = poisoned::<R>();
    let turn = AtomicU64::new(0);
    let wait = |whose| wait_for(&turn, |turn| turn == whose);
    let read = heap.attach(|m| {
        m.frame(|m, [parent, node]| {
            m.alloc_init(node, Flags::NONE, [], [42]).unwrap();
            let weak = m.downgrade(m.get(node).unwrap());
            m.alloc_move(parent, Flags::NONE, [node], []).unwrap();
            show(m, parent);
            rest(m);
            thread::scope(|s| {
                let reader = s.spawn(|| {
                    heap.attach(|m| {
                        m.frame(|m, [others, other]| {
                            m.alloc(others, Shape::new(OTHERS as u32, 0)).unwrap();
                            for index in 0..OTHERS {
                                m.alloc(other, Shape::new(0, 1)).unwrap();
                                m.store(m.get(others).unwrap(), index, m.get(other));
                            }
                            turn.store(1, SeqCst);
                            for step in 0..delay {
                                wait(2 * step + 2);
                                m.safepoint();
                                turn.store(2 * step + 3, SeqCst);
                            }
                            wait(2 * delay + 2);
                            m.safepoint();
                            let node = m.upgrade(&weak);
                            drop(weak);
                            let others = m.get(others).unwrap();
                            let other = |index| m.load(others, index).unwrap();
                            let held: Vec<_> =
                                (0..OTHERS).map(|index| m.downgrade(other(index))).collect();
                            turn.store(2 * delay + 3, SeqCst);
                            wait(2 * delay + 4);
                            drop(held);
                            if let Some(node) = node {
                                assert_eq!(m.word(node, 0), 42, "it was freed under our eyes");
                            }
                            node.is_some()
                        })
                    })
                });
                wait(1);
                m.set(parent, None);
                for step in 0..=delay {
                    rest(m);
                    turn.store(2 * step + 2, SeqCst);
                    wait(2 * step + 3);
                }
                rest(m);
                turn.store(2 * delay + 4, SeqCst);
                m.blocking(|| reader.join().unwrap())
            })
        })
    });
    heap.attach(|m| m.collect());
    assert_eq!(live(&heap), 0);
    read
}

fn what_a_weak_reference_gave_out_outlives_the_weak_reference<R: Unlocked>() {
    let read = (0..6).map(read_through_a_weak_reference_that_goes::<R>);
    let read = read.filter(|&read| read).count();
    assert!(
        0 < read && read < 6,
        "before the death of what kept it alive, and after: {read}"
    );
}

/// A blocked thread keeps nothing back, and nobody waits for it.
fn what_a_blocked_thread_retired_is_freed_by_others<R: Unlocked>() {
    let heap = heap::<R>(Heap::builder().cycle(Cycle::None));
    let (go, there) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            heap.attach(|m| {
                m.frame(|m, [list]| {
                    push(m, list, 10_000);
                    there.store(true, Relaxed);
                    m.set(list, None);
                    m.blocking(|| {
                        while !go.load(Relaxed) {
                            thread::yield_now();
                        }
                    });
                });
            });
        });
        heap.attach(|m| {
            while !there.load(Relaxed) || live(&heap) > 0 {
                m.safepoint();
                std::hint::spin_loop();
            }
        });
        go.store(true, Relaxed);
    });
    assert_eq!(live(&heap), 0);
}

/// Objects that are kept back, because somebody passes no safepoint, are told of, and so is the
/// memory that lists them: until they are freed.
fn what_is_kept_back_is_counted_and_charged<R: Unlocked>() {
    const OBJECTS: u32 = if cfg!(miri) { 600 } else { 100_000 };
    // However long this takes, there is no stop for unused memory.
    let builder = Heap::builder().cycle(Cycle::None).release_after(None);
    let heap: Heap<R> = heap(builder);
    let reclamation = || heap.statistics().reclamation.unwrap();
    let turn = AtomicU64::new(0);
    let wait = |whose| wait_for(&turn, |turn| turn == whose);
    heap.attach(|m| {
        m.frame(|m, [table, object]| {
            m.alloc(table, Shape::new(OBJECTS, 0)).unwrap();
            for field in 0..OBJECTS {
                m.alloc(object, Shape::new(0, 1)).unwrap();
                m.store_move(m.get(table).unwrap(), field as usize, object);
            }
            thread::scope(|s| {
                s.spawn(|| {
                    heap.attach(|m| {
                        turn.store(1, SeqCst);
                        wait(2);
                        rest(m);
                    });
                });
                wait(1);
                let (before, metadata) = (reclamation(), heap.statistics().metadata_bytes);
                for field in 0..OBJECTS {
                    m.store(m.get(table).unwrap(), field as usize, None);
                }
                rest(m);
                let kept = reclamation();
                let charged = heap.statistics().metadata_bytes - metadata;
                turn.store(2, SeqCst);
                m.blocking(|| ());
                let objects = u64::from(OBJECTS);
                assert_eq!((before.kept_objects, before.kept_bytes), (0, 0));
                assert_eq!(kept.retired_objects, before.retired_objects + objects);
                // A header, a word, and what the regime has.
                assert_eq!(
                    (kept.kept_objects, kept.kept_bytes),
                    (objects, objects * 32)
                );
                assert_eq!(kept.freed_objects, before.freed_objects);
                assert!(charged >= 8 * objects, "{charged} bytes are charged");
            });
            rest(m);
            let after = reclamation();
            assert_eq!((after.kept_objects, after.kept_bytes), (0, 0));
            assert_eq!(after.freed_objects, u64::from(OBJECTS));
            assert!(after.epochs >= 3 && after.stops == 0, "{after:?}");
            m.collect();
            assert_eq!(reclamation().stops, 1);
            assert!(heap.statistics().metadata_bytes < u64::from(OBJECTS).max(64 << 10));
            m.verify();
        });
    });
}

/// When the weak references to a dead object have been cleared, it stays for a grace period more:
/// somebody may have read its address out of one a moment before.
fn what_had_weak_references_waits_twice<R: Unlocked>() {
    let heap: Heap<R> = poisoned();
    let turn = AtomicU64::new(0);
    let wait = |whose| wait_for(&turn, |turn| turn >= whose);
    let done = AtomicBool::new(false);
    heap.attach(|m| {
        m.frame(|m, [node]| {
            m.alloc_init(node, Flags::NONE, [], [42]).unwrap();
            let weak = m.downgrade(m.get(node).unwrap());
            thread::scope(|s| {
                s.spawn(|| {
                    heap.attach(|m| {
                        // A safepoint a turn.
                        for step in 0.. {
                            turn.store(2 * step + 1, SeqCst);
                            wait(2 * step + 2);
                            if done.load(SeqCst) {
                                break;
                            }
                            m.safepoint();
                        }
                    });
                });
                wait(1);
                m.set(node, None);
                let mut step = 0;
                let mut pass = |m: &mut Mutator<'_, R>| {
                    rest(m);
                    step += 1;
                    turn.store(2 * step, SeqCst);
                    wait(2 * step + 1);
                };
                rest(m);
                let before = freed(&heap);
                while weak.cleared_at().is_none() {
                    pass(m);
                    rest(m);
                }
                // The other has passed none since.
                rest(m);
                let early = freed(&heap) - before;
                while freed(&heap) == before {
                    pass(m);
                    rest(m);
                }
                done.store(true, SeqCst);
                turn.store(u64::MAX, SeqCst);
                m.blocking(|| ());
                assert_eq!(early, 0, "freed before the other passed a safepoint");
            });
        });
    });
    assert_eq!(live(&heap), 0);
}

/// A producer, whose objects die on another thread: its memory comes back to it.
fn cells_come_home<R: Unlocked>() {
    let builder = Heap::builder().limit(16 << 20).cycle(Cycle::None);
    // Nor is there a stop for unused memory if this takes longer than a second.
    let heap = heap::<R>(builder.release_after(None));
    let turns = if cfg!(miri) { 3 } else { 300 };
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Global>(1);
    thread::scope(|s| {
        s.spawn(|| {
            let receiver = receiver;
            heap.attach(|m| {
                loop {
                    let next = m.blocking(|| receiver.recv());
                    let Ok(global) = next else { return };
                    m.frame(|m, [list]| {
                        m.set(list, Some(m.open(&global)));
                        drop(global);
                        m.safepoint();
                    });
                    m.safepoint();
                }
            });
        });
        heap.attach(|m| {
            for _ in 0..turns {
                m.frame(|m, [list]| {
                    push(m, list, 10_000);
                    let global = m.global(m.get(list).unwrap());
                    m.blocking(|| sender.send(global).unwrap());
                });
            }
        });
        drop(sender);
    });
    assert_eq!(live(&heap), 0);
    // Else it came home in stops, for want of memory.
    assert_eq!(heap.statistics().reclamation.unwrap().stops, 0);
}

/// Many threads come and go; nothing is stranded with those that went.
fn memory_of_threads_that_end_is_used_again<R: Unlocked>() {
    let heap = heap::<R>(Heap::builder().limit(8 << 20));
    // One of each thread's lives on, and with it a block that free cells are in.
    let work = |m: &mut Mutator<'_, R>| {
        m.frame(|m, [list]| {
            push(m, list, 10_000);
            let kept = m.global(m.get(list).unwrap());
            m.store(m.get(list).unwrap(), 0, None);
            m.set(list, None);
            push(m, list, 10_000);
            kept
        })
    };
    let mut kept: Vec<Global> = Vec::new();
    for _ in 0..20 {
        thread::scope(|s| {
            let threads: Vec<_> = (0..4).map(|_| s.spawn(|| heap.attach(work))).collect();
            kept.extend(threads.into_iter().map(|it| it.join().unwrap()));
        });
    }
    heap.attach(|m| {
        m.collect();
        m.verify();
        assert_eq!(live(&heap), kept.len() as u64);
        drop(kept);
        m.collect();
        m.verify();
    });
    assert_eq!(live(&heap), 0);
}

/// Cycles that several threads close and cut off, with collections of all of them.
fn cycles_of_several_threads_are_found<R: Unlocked>() {
    let heap = heap::<R>(Heap::builder().thresholds([100, 5, 5]).poison(true));
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [a, b]| {
                        for word in 0..if cfg!(miri) { 300 } else { 10_000 } {
                            m.alloc_init(a, Flags::NONE, [b], [word]).unwrap();
                            m.alloc_init(b, Flags::NONE, [a], [word]).unwrap();
                            m.store(m.get(a).unwrap(), 0, m.get(b));
                            if word % 3 == 0 {
                                m.set(b, None);
                            }
                            m.safepoint();
                        }
                    });
                });
            });
        }
    });
    assert!(heap.statistics().collections > 0);
    heap.attach(|m| {
        m.collect();
        m.verify();
    });
    assert_eq!(live(&heap), 0);
}

/// A list that grows has no cycle to be looked for: the world is stopped for it a few times only.
fn what_closes_no_cycle_stops_nobody<R: Unlocked>() {
    const NODES: u64 = 40_000;
    let stops = |filter| {
        let builder = Heap::builder().thresholds([100, 10, 10]);
        let heap = heap::<R>(builder.cycle_filter(filter));
        heap.attach(|m| {
            m.frame(|m, [list]| {
                push(m, list, NODES);
                let before = heap.statistics();
                // A cycle in the midst of it is found all the same.
                for _ in 0..200 {
                    m.frame(|m, [node]| {
                        m.alloc_init(node, Flags::NONE, [list], [0]).unwrap();
                        m.store(m.get(node).unwrap(), 0, m.get(node));
                    });
                    m.safepoint();
                }
                assert!(live(&heap) < NODES + 200, "cycles are not found");
                m.verify();
                before.reclamation.unwrap().stops
            })
        })
    };
    let (with, without) = (stops(true), stops(false));
    assert!(with <= NODES / 100 / 50, "{with} stops");
    assert!(without >= NODES / 200, "{without} stops without the filter");
}

/// A heap that only has threads that come and go, each of which makes less than it counts for
/// itself: what they leave is collected, and what a burst left given back.
fn short_attachments_are_counted<R: Unlocked>() {
    let builder = Heap::builder().release_after(Some(Duration::from_millis(1)));
    let heap = heap::<R>(builder.limit(64 << 20));
    heap.attach(|m| m.frame(|m, [list]| push(m, list, 200_000)));
    let height = heap.statistics().committed_bytes;
    for _ in 0..400 {
        heap.attach(|m| {
            m.frame(|m, [node]| {
                for _ in 0..400 {
                    m.alloc(node, Shape::new(1, 0)).unwrap();
                    m.store(m.get(node).unwrap(), 0, m.get(node));
                    m.safepoint();
                }
            });
        });
    }
    let garbage = live(&heap);
    assert!(garbage < 20_000, "{garbage} of 160,000 objects are left");
    for _ in 0..400 {
        heap.attach(|m| {
            m.frame(|m, [node]| {
                for _ in 0..2_000 {
                    m.alloc_init(node, Flags::ACYCLIC, [], [0]).unwrap();
                    m.safepoint();
                }
            });
        });
    }
    let left = heap.statistics().committed_bytes;
    assert!(left < height / 4, "{left} of {height} bytes are committed");
}

/// What dies by its count in great numbers, and waits for a grace period, does not put off the
/// collection of cycles.
fn what_is_retired_puts_no_collection_off_for_long<R: Unlocked>() {
    const CYCLES: u64 = 20_000;
    const THREADS: u64 = 3;
    let heap = heap::<R>(Heap::builder().release_after(None));
    thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [a, b]| {
                        for _ in 0..CYCLES {
                            m.alloc(a, Shape::new(1, 0)).unwrap();
                            m.alloc_init(b, Flags::NONE, [a], [0]).unwrap();
                            m.store(m.get(a).unwrap(), 0, m.get(b));
                            for _ in 0..20 {
                                m.alloc(b, Shape::new(0, 3)).unwrap();
                                show(m, b);
                                m.safepoint();
                            }
                        }
                    });
                });
            });
        }
    });
    let (due, made) = (2 * CYCLES * THREADS / 2_000, heap.statistics().collections);
    assert!(made >= due / 12, "{made} collections of {due}");
}

/// Memory that a burst has left goes back to the system, though nothing has a collection made.
fn what_a_burst_left_is_given_back<R: Unlocked>() {
    for cycle in [Cycle::Generational, Cycle::None] {
        let builder = Heap::builder().release_after(Some(Duration::from_millis(1)));
        let heap = heap::<R>(builder.limit(64 << 20).cycle(cycle));
        heap.attach(|m| {
            m.frame(|m, [list, node]| {
                push(m, list, 200_000);
                let height = heap.statistics().committed_bytes;
                m.set(list, None);
                // Goes on with little, which it makes and drops in turn.
                for _ in 0..200 {
                    for _ in 0..2_000 {
                        m.alloc_init(node, Flags::NONE, [list], [0]).unwrap();
                        m.safepoint();
                    }
                    thread::sleep(Duration::from_millis(1));
                    if heap.statistics().committed_bytes < height / 4 {
                        return;
                    }
                }
                let left = heap.statistics().committed_bytes;
                panic!("{cycle:?}: {left} of {height} bytes are committed");
            });
        });
    }
}

/// One object that everybody counts, and one weak reference that everybody upgrades.
fn a_hot_object_has_the_right_count<R: Unlocked>() {
    let heap = poisoned::<R>();
    let turns = if cfg!(miri) { 100 } else { 30_000 };
    heap.attach(|m| {
        m.frame(|m, [hot]| {
            m.alloc_init(hot, Flags::NONE, [], [7]).unwrap();
            let global = m.global(m.get(hot).unwrap());
            let weak = m.downgrade(m.get(hot).unwrap());
            m.blocking(|| {
                thread::scope(|s| {
                    for _ in 0..4 {
                        s.spawn(|| {
                            heap.attach(|m| {
                                m.frame(|m, [a, b]| {
                                    for turn in 0..turns {
                                        m.set(a, Some(m.open(&global)));
                                        m.set(b, m.upgrade(&weak));
                                        assert_eq!(m.word(m.get(b).unwrap(), 0), 7);
                                        m.set(a, None);
                                        if turn % 16 == 0 {
                                            m.safepoint();
                                        }
                                    }
                                });
                            });
                        });
                    }
                });
            });
            m.verify();
            assert_eq!(m.count(m.get(hot).unwrap()), 2);
            drop(global);
            m.set(hot, None);
            m.collect();
            assert!(m.upgrade(&weak).is_none());
        });
    });
}

/// A list of `depth` nodes dies on a small stack, within the grace period of its head.
fn a_long_list_dies_on_a_small_stack_in_one_grace_period<R: Unlocked>() {
    let length = if cfg!(miri) { 1000 } else { 2_000_000 };
    let heap = heap::<R>(Heap::builder().cycle(Cycle::None));
    let run = || {
        heap.attach(|m| {
            m.frame(|m, [list]| {
                push(m, list, length);
                m.set(list, None);
                for _ in 0..100 {
                    m.safepoint();
                }
                assert_eq!(live(&heap), 0);
            });
        });
    };
    thread::scope(|s| {
        let thread = thread::Builder::new().stack_size(256 << 10);
        thread.spawn_scoped(s, run).unwrap().join().unwrap();
    });
}

/// Every kind of operation, at random, by several threads on a graph that they share.
fn play<R: Unlocked>(seed: u64, threads: u64, builder: Builder) {
    let heap = heap::<R>(builder);
    let turns = if cfg!(miri) { 200 } else { 4_000 };
    let table = heap.attach(|m| {
        m.frame(|m, [table]| {
            m.alloc(table, Shape::new(16, 0)).unwrap();
            m.global(m.get(table).unwrap())
        })
    });
    thread::scope(|s| {
        for thread in 0..threads {
            let (heap, table) = (&heap, table.clone());
            s.spawn(move || {
                let random = Random::new(seed * 64 + thread);
                heap.attach(|m| one_thread(m, &random, &table, turns));
            });
        }
    });
    drop(table);
    heap.attach(|m| {
        m.safepoint();
        m.verify();
        // What a finalizer's object refers to may have one of its own.
        m.frame(|m, [local]| {
            loop {
                m.set(local, None);
                m.collect();
                if !m.finalizable(local) {
                    break;
                }
                while m.finalizable(local) {}
            }
        });
        m.verify();
    });
    assert_eq!(live(&heap), 0, "seed {seed}");
}

fn one_thread<R: Unlocked>(m: &mut Mutator<'_, R>, random: &Random, table: &Global, turns: usize) {
    let mut weak: Vec<Weak> = Vec::new();
    let mut globals: Vec<Global> = Vec::new();
    m.frame(|m, locals: [Local<'_, '_>; 6]| {
        let any = |random: &Random| locals[random.below(6)];
        for _ in 0..turns {
            let (a, b, c) = (any(random), any(random), any(random));
            match random.below(18) {
                0..=2 => {
                    let flags = match random.below(8) {
                        0 => Flags::FINALIZE,
                        1 => Flags::ACYCLIC,
                        _ => Flags::NONE,
                    };
                    let acyclic = flags.acyclic;
                    let result = if acyclic {
                        m.alloc(a, Shape::new(0, 2).with(flags))
                    } else {
                        m.alloc_init(a, flags, [b, c], [random.below(9) as u64])
                    };
                    ignore_full(m, locals, result);
                }
                3 => {
                    let result = m.alloc_move(a, Flags::NONE, [b, c], [1]);
                    ignore_full(m, locals, result);
                }
                4 => {
                    let size = [1, 20, 200, 9000][random.below(4)];
                    let result = m.alloc(a, Shape::new(size, size));
                    ignore_full(m, locals, result);
                }
                5..=7 => {
                    if let Some(object) = m.get(a)
                        && m.shape(object).refs > 0
                    {
                        let field = random.below(m.shape(object).refs as usize);
                        m.store(object, field, m.get(b));
                    }
                }
                8 => {
                    if let Some(object) = m.get(a)
                        && m.shape(object).refs > 0
                    {
                        let field = random.below(m.shape(object).refs as usize);
                        m.store_move(object, field, b);
                    }
                }
                9 | 10 => {
                    if let Some(object) = m.get(a)
                        && m.shape(object).refs > 0
                    {
                        let field = random.below(m.shape(object).refs as usize);
                        m.set(b, m.load(object, field));
                    }
                }
                11 => m.store(m.open(table), random.below(16), m.get(a)),
                12 => m.set(a, m.load(m.open(table), random.below(16))),
                13 => m.set(a, None),
                14 => {
                    if let Some(object) = m.get(a) {
                        weak.push(m.downgrade(object));
                    }
                    if weak.len() > 20 {
                        let weak = weak.swap_remove(random.below(20));
                        m.set(b, m.upgrade(&weak));
                    }
                }
                15 => {
                    if let Some(object) = m.get(a) {
                        globals.push(m.global(object));
                    }
                    if globals.len() > 10 {
                        let global = globals.swap_remove(random.below(10));
                        m.set(b, Some(m.open(&global)));
                    }
                }
                16 => match random.below(12) {
                    0 => m.collect(),
                    1 => m.blocking(thread::yield_now),
                    2 => _ = m.finalizable(a),
                    3 => _ = m.cleared(),
                    4 if random.below(8) == 0 => m.verify(),
                    _ => m.safepoint(),
                },
                _ => {
                    if let Some(object) = m.get(a) {
                        let shape = m.shape(object);
                        for field in 0..(shape.refs as usize).min(4) {
                            _ = m.load(object, field).map(|child| m.shape(child));
                        }
                        for word in 0..(shape.words as usize).min(4) {
                            m.set_word(object, word, m.word(object, word) + 1);
                        }
                    }
                }
            }
            m.safepoint();
        }
    });
}

/// A full heap is no fault of a script that lets go of all it has.
fn ignore_full<'h, R: Unlocked>(
    m: &Mutator<'h, R>,
    locals: [Local<'_, 'h>; 6],
    result: Result<(), HeapFull>,
) {
    if result.is_err() {
        locals.into_iter().for_each(|local| m.set(local, None));
    }
}

fn random_scripts_of_one_thread<R: Unlocked>() {
    for seed in 0..10 {
        play::<R>(seed, 1, Heap::builder().poison(true));
    }
}

fn random_scripts_of_several_threads<R: Unlocked>() {
    for seed in 0..if cfg!(miri) { 2 } else { 20 } {
        play::<R>(
            seed,
            3,
            Heap::builder().poison(true).thresholds([200, 5, 5]),
        );
        play::<R>(seed, 3, Heap::builder().thresholds([50, 3, 3]));
    }
}

fn random_scripts_in_a_small_heap<R: Unlocked>() {
    for seed in 0..10 {
        play::<R>(seed, 3, Heap::builder().limit(2 << 20));
    }
}

fn random_scripts_under_stress<R: Unlocked>() {
    for seed in 0..2 {
        play::<R>(seed, 2, Heap::builder().stress(true).poison(true));
    }
}

/// Each allocation that a limit refuses leaves everything as it was, whoever else runs.
fn heap_full_is_a_value_on_every_thread<R: Unlocked>() {
    let heap = heap::<R>(Heap::builder().limit(4 << 20));
    let refused = AtomicU64::new(0);
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [list]| {
                        for _ in 0..5 {
                            // The others may have all there is when it begins.
                            let mut nodes = 0;
                            let full = loop {
                                let made = m.alloc_move(list, Flags::NONE, [list], [1, 2, 3]);
                                m.safepoint();
                                match made {
                                    Ok(()) => nodes += 1,
                                    Err(full) => break full,
                                }
                            };
                            assert_eq!(full.limit, 4 << 20);
                            refused.fetch_add(1, Relaxed);
                            let mut found = 0;
                            let mut next = m.get(list);
                            while let Some(node) = next {
                                found += 1;
                                next = m.load(node, 0);
                            }
                            assert_eq!(found, nodes);
                            m.set(list, None);
                            m.safepoint();
                        }
                    });
                });
            });
        }
    });
    assert_eq!(refused.load(Relaxed), 15);
    heap.attach(|m| m.verify());
    assert!(heap.statistics().peak_occupied_bytes <= 4 << 20);
}

/// A thread-local drops handles when its thread has left the heap, and the last of them when the
/// heap itself is gone.
fn handles_are_dropped_by_threads_that_have_left<R: Unlocked>() {
    thread_local!(static KEPT: RefCell<Vec<(Global, Weak)>> = const { RefCell::new(Vec::new()) });
    let heap = poisoned::<R>();
    let make = |m: &mut Mutator<'_, R>| {
        m.frame(|m, [object]| {
            m.alloc_init(object, Flags::NONE, [], [7]).unwrap();
            let object = m.get(object).unwrap();
            (m.global(object), m.downgrade(object))
        })
    };
    let keep = move |heap: &Heap<R>| {
        let handles = heap.attach(make);
        let weak = handles.1.clone();
        KEPT.with(|kept| kept.borrow_mut().push(handles));
        weak
    };
    // Joined one by one: only so are the destructors of thread-locals waited for.
    let weak = thread::scope(|s| s.spawn(|| keep(&heap)).join().unwrap());
    heap.attach(|m| {
        rest(m);
        assert!(m.upgrade(&weak).is_none(), "it outlives its last global");
        m.verify();
    });
    assert_eq!(live(&heap), 0);
    let (sender, receiver) = mpsc::channel();
    let (gone, is_gone) = mpsc::channel::<()>();
    let last = thread::spawn(move || {
        let heap = crate::heap::<R>(Heap::builder());
        let weak = keep(&heap);
        sender.send((heap, weak)).unwrap();
        is_gone.recv().unwrap();
    });
    let (heap, weak) = receiver.recv().unwrap();
    drop(heap);
    gone.send(()).unwrap();
    last.join().unwrap();
    assert!(weak.cleared_at().is_none(), "the heap went first");
}

/// Whoever asks whether its reference is the only one is told so as soon as all others are gone,
/// whatever waits on whose list: lists own no references.
fn nothing_that_is_listed_has_a_reference<R: Unlocked>() {
    let heap = heap::<R>(Heap::builder().poison(true).cycle_filter(false));
    let turn = AtomicU64::new(0);
    let wait = |whose| wait_for(&turn, |turn| turn == whose);
    heap.attach(|m| {
        m.frame(|m, [object, other, table]| {
            m.alloc(object, Shape::new(1, 0)).unwrap();
            m.alloc(table, Shape::new(4, 0)).unwrap();
            for field in 0..4 {
                m.store(m.get(table).unwrap(), field, m.get(object));
            }
            let global = m.global(m.get(table).unwrap());
            assert_eq!(m.count(m.get(object).unwrap()), 5);
            m.store(m.get(table).unwrap(), 0, None);
            assert_eq!(m.count(m.get(object).unwrap()), 4);
            thread::scope(|s| {
                s.spawn(|| {
                    heap.attach(|m| {
                        m.frame(|m, [local]| {
                            m.set(local, m.load(m.open(&global), 1));
                            assert_eq!(m.count(m.get(local).unwrap()), 5);
                        });
                        let table = m.open(&global);
                        for field in 1..4 {
                            m.store(table, field, None);
                        }
                        turn.store(1, SeqCst);
                        // Without a safepoint, so that whatever it has listed stays there.
                        wait(2);
                    });
                });
                wait(1);
                let references = m.count(m.get(object).unwrap());
                turn.store(2, SeqCst);
                assert_eq!(references, 1, "the other one has let go of all it had");
                m.blocking(|| ());
            });
            // A cycle that is found suspicious, and cut.
            m.alloc_init(other, Flags::NONE, [object], []).unwrap();
            m.store(m.get(object).unwrap(), 0, m.get(other));
            assert_eq!(m.count(m.get(object).unwrap()), 2);
            m.set(other, None);
            m.collect();
            m.store(m.get(object).unwrap(), 0, None);
            rest(m);
            assert_eq!(
                m.count(m.get(object).unwrap()),
                1,
                "what referred to it is dead"
            );
            m.verify();
        });
    });
}

/// Two threads that make a long list each: what collections examine is in proportion to what is
/// made, not to its square.
fn collections_examine_in_proportion_to_what_is_made<R: Unlocked>() {
    const NODES: u64 = if cfg!(miri) { 1000 } else { 40_000 };
    let builder = Heap::builder().thresholds([50, 2, 2]).cycle_filter(false);
    let heap = heap::<R>(builder.event_capacity(1 << 16));
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| heap.attach(|m| m.frame(|m, [list]| push(m, list, NODES))));
        }
    });
    let log = heap.take_events();
    assert_eq!(log.lost, 0);
    let examined = log.events.iter().filter_map(|event| match event.kind {
        EventKind::Collection { examined, .. } => Some(examined),
        _ => None,
    });
    let (examined, collections) = examined.fold((0, 0), |(sum, n), more| (sum + more, n + 1));
    // Twice as young, and the oldest generation each time that it has grown by a quarter.
    let bound = 2 * NODES * 10;
    assert!(
        examined <= bound,
        "{examined} examined in {collections} collections for {} objects",
        2 * NODES
    );
    assert!(collections >= 2 * NODES / 500, "{collections} collections");
}

/// Two threads that make cyclic garbage beside much that lives: how much of it there is at a time
/// depends on the thresholds, not on how large the heap is.
fn cyclic_garbage_does_not_pile_up_beside_what_lives<R: Unlocked>() {
    const LIVE: u64 = if cfg!(miri) { 500 } else { 50_000 };
    let heap = heap::<R>(Heap::builder().thresholds([200, 5, 5]));
    let most = AtomicU64::new(0);
    heap.attach(|m| {
        m.frame(|m, [list]| {
            push(m, list, LIVE);
            m.collect();
            let run = || {
                heap.attach(|m| {
                    m.frame(|m, [ring, null]| {
                        for turn in 0..LIVE {
                            m.alloc_init(ring, Flags::NONE, [null], []).unwrap();
                            let object = m.get(ring).unwrap();
                            m.store(object, 0, Some(object));
                            m.set(ring, None);
                            m.safepoint();
                            if turn % 16 == 0 {
                                most.fetch_max(live(&heap), Relaxed);
                            }
                        }
                    });
                });
            };
            m.blocking(|| {
                thread::scope(|s| {
                    for _ in 0..2 {
                        s.spawn(run);
                    }
                });
            });
        });
    });
    let most = most.into_inner();
    // Some that a thread had in its hands during a collection, and that have grown old.
    assert!(most <= LIVE + 2000, "{most} objects, {LIVE} of them alive");
}

/// Two threads store in opposite directions, so that each waits for objects that the other has,
/// while a third stops them again and again: nobody stops with an object that another waits for.
fn stops_and_waits_for_objects_do_not_wait_for_each_other<R: Unlocked>() {
    let stops = if cfg!(miri) { 10 } else { 500 };
    let heap = poisoned::<R>();
    let done = AtomicBool::new(false);
    heap.attach(|m| {
        let pair = m.frame(|m, locals: [Local<'_, '_>; 2]| {
            locals.map(|local| {
                m.alloc(local, Shape::new(1, 0)).unwrap();
                m.global(m.get(local).unwrap())
            })
        });
        thread::scope(|s| {
            for me in 0..2 {
                let (heap, pair, done) = (&heap, &pair, &done);
                s.spawn(move || {
                    heap.attach(|m| {
                        while !done.load(Relaxed) {
                            let [from, to] = [me, 1 - me].map(|which| m.open(&pair[which]));
                            m.store(from, 0, Some(to));
                            m.store(from, 0, None);
                            m.safepoint();
                        }
                    });
                });
            }
            // Also if an invariant does not hold.
            struct Done<'a>(&'a AtomicBool);
            impl Drop for Done<'_> {
                fn drop(&mut self) {
                    self.0.store(true, Relaxed);
                }
            }
            let over = Done(&done);
            (0..stops).for_each(|_| m.verify());
            drop(over);
            m.blocking(|| ());
        });
    });
}

on_regimes!([atomic: gc_rc::Atomic, object_lock: gc_rc::ObjectLock, biased: gc_rc::Biased, deferred: gc_rc::Deferred] [
    options_of_the_lock_are_refused_where_they_would_do_nothing,
    who_drops_globals_keeps_nothing_back,
    the_dead_of_a_lone_thread_are_freed_without_a_stop,
    a_grace_period_waits_for_everybody,
    what_is_kept_back_is_counted_and_charged,
    what_had_weak_references_waits_twice,
    what_was_just_cut_off_does_not_die_with_what_was_dead_before,
    what_came_back_and_was_cut_off_again_is_waited_for_afresh,
    what_a_weak_reference_gave_out_outlives_the_weak_reference,
    what_a_blocked_thread_retired_is_freed_by_others,
    cells_come_home,
    memory_of_threads_that_end_is_used_again,
    cycles_of_several_threads_are_found,
    what_closes_no_cycle_stops_nobody,
    #[cfg_attr(miri, ignore = "too long")]
    short_attachments_are_counted,
    #[cfg_attr(miri, ignore = "too long")]
    what_is_retired_puts_no_collection_off_for_long,
    #[cfg_attr(miri, ignore = "waits for time to pass")]
    what_a_burst_left_is_given_back,
    a_hot_object_has_the_right_count,
    a_long_list_dies_on_a_small_stack_in_one_grace_period,
    random_scripts_of_one_thread,
    random_scripts_of_several_threads,
    #[cfg_attr(miri, ignore = "too long")]
    random_scripts_in_a_small_heap,
    #[cfg_attr(miri, ignore = "too long")]
    random_scripts_under_stress,
    heap_full_is_a_value_on_every_thread,
    handles_are_dropped_by_threads_that_have_left,
    nothing_that_is_listed_has_a_reference,
    collections_examine_in_proportion_to_what_is_made,
    cyclic_garbage_does_not_pile_up_beside_what_lives,
    stops_and_waits_for_objects_do_not_wait_for_each_other,
]);
