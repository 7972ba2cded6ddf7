//! Forks: a child's heap works, or says why it cannot; it never waits for threads that are not
//! there.
#![cfg(all(unix, not(miri)))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use gc_marksweep::{Event, Flags, Generations, Heap, Listener, Local, Mutator, PauseStatistics};

#[path = "../../handshake/tests/forking/mod.rs"]
mod forking;
use forking::{alone, await_child, end, fork, is_refused};

const MIB: usize = 1 << 20;

struct Deaf;

impl Listener for Deaf {
    fn event(&self, _event: &Event) {}
}

fn heap(workers: usize) -> Heap {
    Heap::builder()
        .limit(64 * MIB)
        .marking_workers(workers)
        .generations(Generations::On)
        .nursery(MIB)
        .watchdog(Some(Duration::from_secs(20)))
        .listener(Arc::new(Deaf))
        .listener(Arc::new(PauseStatistics::new()))
        .build()
        .unwrap()
}

/// A tree that is deep enough for marking to be shared.
fn tree<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, depth: u32) {
    m.frame(|m, [left, right]| {
        if depth > 0 {
            tree(m, left, depth - 1);
            tree(m, right, depth - 1);
        }
        m.alloc_move(into, Flags::NONE, [left, right], []).unwrap();
    });
}

fn count<'h>(m: &mut Mutator<'h>, root: Local<'_, 'h>) -> usize {
    fn walk<'m, 'h>(m: &'m Mutator<'h>, object: gc_marksweep::Ref<'m, 'h>) -> usize {
        let below = (0..2).filter_map(|field| m.load(object, field));
        1 + below.map(|object| walk(m, object)).sum::<usize>()
    }
    walk(m, m.get(root).unwrap())
}

const DEPTH: u32 = 14;
const NODES: usize = (2 << DEPTH) - 1;

/// Fills the locals and collects, so that there are helpers, and something to remember.
fn prepare<'h>(m: &mut Mutator<'h>, root: Local<'_, 'h>) {
    tree(m, root, DEPTH);
    m.collect();
    m.frame(|m, [young]| {
        tree(m, young, 3);
        m.store(m.get(root).unwrap(), 0, m.get(young));
    });
}

fn go_on<'h>(m: &mut Mutator<'h>, root: Local<'_, 'h>) {
    let before = count(m, root);
    m.frame(|m, [other]| {
        tree(m, other, DEPTH);
        m.collect();
        let weak = m.downgrade(m.get(other).unwrap());
        let global = m.global(m.get(root).unwrap());
        m.set(other, None);
        tree(m, other, 10);
        m.collect();
        assert!(m.upgrade(&weak).is_none() && m.cleared().is_some());
        assert_eq!(m.get(root), Some(m.open(&global)));
        m.verify();
    });
    assert_eq!(count(m, root), before);
}

/// All that a process does with a heap, threads of its own included.
fn work(heap: &Heap) {
    let one = || {
        heap.attach(|m| {
            m.frame(|m, [root]| {
                prepare(m, root);
                go_on(m, root);
            })
        })
    };
    thread::scope(|scope| {
        scope.spawn(one);
    });
    one();
    assert!(heap.statistics().collections > 0 && !heap.take_events().events.is_empty());
}

/// How many marking helpers this process has; `None` where the system does not tell.
fn helpers() -> Option<usize> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    Some(names.filter(|name| name.starts_with("gc-worker")).count())
}

/// Waits until there are so many. A thread gives itself its name, some time after it was started.
fn await_helpers(expected: usize) {
    while helpers().is_some_and(|helpers| helpers != expected) {
        thread::yield_now();
    }
}

/// From a thread that is not attached: the child uses the heap and gives it up, or only gives it
/// up; and so does its own child.
#[test]
fn a_child_goes_on_with_an_idle_heap() {
    let _alone = alone();
    for workers in [1, 2] {
        let heap = heap(workers);
        work(&heap);
        await_helpers(workers - 1);
        for uses in [true, false] {
            let context = format!("{workers} workers, uses: {uses}");
            match fork() {
                None => end(|| {
                    if uses {
                        work(&heap);
                    }
                    match fork() {
                        None => end(|| {
                            assert!(helpers().is_none_or(|helpers| helpers == 0));
                            work(&heap);
                            await_helpers(workers - 1);
                            drop(heap);
                        }),
                        Some(child) => await_child(child, &context),
                    }
                    if uses {
                        work(&heap);
                    }
                    drop(heap);
                }),
                Some(child) => await_child(child, &context),
            }
        }
        work(&heap);
    }
}

/// The child finds what it had in its locals, marks and remembers, leaves the heap and gives it up.
#[test]
fn a_child_goes_on_in_the_midst_of_its_work() {
    let _alone = alone();
    for workers in [1, 2] {
        for inside_blocking in [false, true] {
            let heap = heap(workers);
            let context = format!("{workers} workers, blocking: {inside_blocking}");
            let child = heap.attach(|m| {
                m.frame(|m, [root]| {
                    prepare(m, root);
                    let child = if inside_blocking {
                        m.blocking(fork)
                    } else {
                        fork()
                    };
                    match child {
                        Some(_) => go_on(m, root),
                        None => {
                            let ended = catch_unwind(AssertUnwindSafe(|| go_on(m, root)));
                            if ended.is_err() {
                                end(|| panic!("{context}"));
                            }
                        }
                    }
                    child
                })
            });
            match child {
                None => end(|| {
                    work(&heap);
                    drop(heap);
                }),
                Some(child) => await_child(child, &context),
            }
            work(&heap);
        }
    }
}

/// Just after a collection helpers look for more work before they sleep, under the pool's lock at
/// times.
#[test]
fn helpers_that_are_not_yet_asleep_are_not_missed() {
    let _alone = alone();
    let heap = heap(2);
    heap.attach(|m| {
        m.frame(|m, [root]| {
            tree(m, root, DEPTH);
            for _ in 0..10 {
                m.collect();
                match fork() {
                    None => end(|| {
                        m.collect();
                        assert_eq!(count(m, root), NODES);
                    }),
                    Some(child) => await_child(child, "after a collection"),
                }
            }
        });
    });
}

/// Other threads attached, at work or in a blocking region: each operation of the child is refused,
/// and none hangs.
#[test]
fn a_child_without_the_threads_it_needs_is_refused() {
    let _alone = alone();
    for in_blocking in [false, true] {
        let heap = heap(2);
        let (ready, done) = (Barrier::new(2), AtomicBool::new(false));
        thread::scope(|scope| {
            let other = || {
                heap.attach(|m| {
                    m.frame(|m, [root]| {
                        tree(m, root, DEPTH);
                        m.blocking(|| ready.wait());
                        if in_blocking {
                            m.blocking(|| ready.wait());
                        } else {
                            while !done.load(Ordering::Relaxed) {
                                m.safepoint();
                            }
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
                    let refused = is_refused(|| m.collect())
                        && is_refused(|| m.verify())
                        && is_refused(|| m.frame(|m, [root]| tree(m, root, DEPTH)));
                    if !refused {
                        end(|| panic!("not refused"));
                    }
                }
                inside
            });
            if inside.is_none() {
                end(|| drop(heap.clone()));
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

/// Other threads inside allocations, stops, statistics, and whatever else takes a lock.
#[test]
fn a_fork_amid_stops_and_locks_never_hangs() {
    let _alone = alone();
    let heap = heap(2);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [root, short]| {
                        tree(m, root, 10);
                        while !done.load(Ordering::Relaxed) {
                            tree(m, short, 8);
                            m.collect();
                            m.blocking(|| drop((heap.statistics(), heap.take_events())));
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
