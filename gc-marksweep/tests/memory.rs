//! What the collector keeps for itself grows with a burst, and is given back when the burst is
//! over.

use gc_marksweep::{Flags, Generations, Global, Heap, Local, Mutator, Shape, Weak};

/// How many of whatever there is a burst of.
const MANY: usize = 50_000;

/// What may be left of a burst, in bytes: lists that are not worth shrinking.
const SLACK: u64 = 64 << 10;

fn heap() -> Heap {
    Heap::builder()
        .limit(256 << 20)
        .generations(Generations::On)
        .marking_workers(1)
        // Else edges to what is marked already leave the stack by the way.
        .prefetch_depth(0)
        .build()
        .unwrap()
}

/// Runs a burst and says when it is at its height; then it is over. What the collector has grown by
/// is asked for at both moments.
fn burst(name: &str, least: usize, f: impl FnOnce(&mut Mutator<'_>, &dyn Fn(&mut Mutator<'_>))) {
    let heap = heap();
    let own = || {
        let statistics = heap.statistics();
        assert_eq!(
            statistics.committed_bytes,
            statistics.occupied_bytes + statistics.free_bytes + statistics.collector_bytes
        );
        statistics.collector_bytes
    };
    heap.attach(|m| {
        m.collect();
        let before = own();
        f(m, &|m| {
            m.collect();
            let grown = own() - before;
            assert!(grown >= least as u64, "{name}: grew by {grown} only");
        });
        // What has been looked through shrinks in the collection that finds it empty, or the next.
        m.collect();
        m.collect();
        let left = own().saturating_sub(before);
        assert!(left <= SLACK, "{name}: {left} bytes are left");
        m.verify();
    });
}

fn push<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>, flags: Flags) {
    m.alloc_move(list, flags, [list], []).unwrap();
}

#[test]
fn globals_that_were_dropped_take_nothing() {
    burst("globals", MANY * 16, |m, height| {
        let mut globals: Vec<Global> = Vec::new();
        m.frame(|m, [a]| {
            for _ in 0..MANY {
                push(m, a, Flags::NONE);
                globals.push(m.global(m.get(a).unwrap()));
            }
        });
        height(m);
        drop(globals);
    });
}

#[test]
fn weak_references_take_nothing_when_they_are_dropped_or_cleared_and_asked_for() {
    for cleared in [false, true] {
        burst("weak references", MANY * 16, |m, height| {
            let mut weaks: Vec<Weak> = Vec::new();
            m.frame(|m, [a]| {
                for _ in 0..MANY {
                    push(m, a, Flags::NONE);
                    weaks.push(m.downgrade(m.get(a).unwrap()));
                }
                height(m);
                if !cleared {
                    weaks.clear();
                    m.collect();
                }
            });
            if cleared {
                // In the queue each takes its cell.
                height(m);
                assert_eq!(std::iter::from_fn(|| m.cleared()).count(), MANY);
            }
        });
    }
}

/// A program that never asks which were cleared pays for those that it still has.
#[test]
fn cleared_references_that_nobody_asks_for_take_nothing_when_they_are_dropped() {
    burst("cleared", MANY * 16, |m, height| {
        let mut weaks: Vec<Weak> = Vec::new();
        m.frame(|m, [a]| {
            for _ in 0..MANY {
                push(m, a, Flags::NONE);
                weaks.push(m.downgrade(m.get(a).unwrap()));
            }
        });
        height(m);
        drop(weaks);
        while m.cleared().is_some() {}
    });
}

#[test]
fn finalizers_take_nothing_when_they_have_been_asked_for() {
    burst("finalizers", MANY * 16, |m, height| {
        m.frame(|m, [a]| {
            for _ in 0..MANY {
                push(m, a, Flags::FINALIZE);
            }
            height(m);
            m.set(a, None);
            // All are due.
            height(m);
            let mut count = 0;
            while m.finalizable(a) {
                count += 1;
            }
            assert_eq!(count, MANY);
        });
    });
}

#[test]
fn large_objects_that_died_take_nothing() {
    burst("large objects", 2000 * 32, |m, height| {
        m.frame(|m, [table, a]| {
            m.alloc(table, Shape::new(2000, 0)).unwrap();
            for index in 0..2000 {
                m.alloc(a, Shape::new(0, 1100)).unwrap();
                m.store(m.get(table).unwrap(), index, m.get(a));
            }
            height(m);
        });
    });
}

#[test]
fn a_mark_stack_that_was_deep_is_not_kept() {
    burst("mark stack", MANY * 8, |m, height| {
        m.frame(|m, [list, a]| {
            // A list whose nodes refer to much else first: that piles up.
            for _ in 0..2 * MANY / 1000 {
                m.alloc(a, Shape::new(1000, 0)).unwrap();
                let node = m.get(a).unwrap();
                (0..999).for_each(|field| m.store(node, field, Some(node)));
                m.store(node, 999, m.get(list));
                m.set(list, m.get(a));
            }
            height(m);
        });
    });
}

/// Also those of mutators that have ended.
#[test]
fn logs_of_what_was_written_are_not_kept() {
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [table, a]| {
            m.alloc(table, Shape::new(MANY as u32, 0)).unwrap();
            for index in 0..MANY {
                m.alloc(a, Shape::new(1, 0)).unwrap();
                m.store(m.get(table).unwrap(), index, m.get(a));
            }
            m.collect();
            m.collect();
            let before = heap.statistics().collector_bytes;
            let table = m.global(m.get(table).unwrap());
            let write = |m: &mut Mutator<'_>| {
                m.frame(|m, [a]| {
                    m.alloc(a, Shape::new(0, 0)).unwrap();
                    let table = m.open(&table);
                    for index in 0..MANY {
                        m.store(m.load(table, index).unwrap(), 0, m.get(a));
                    }
                });
            };
            for in_a_thread in [false, true] {
                if in_a_thread {
                    m.blocking(|| {
                        std::thread::scope(|s| {
                            for _ in 0..4 {
                                s.spawn(|| heap.attach(|m| write(m)));
                            }
                        });
                    });
                } else {
                    write(m);
                }
                m.verify();
                m.collect();
                m.collect();
                let left = heap.statistics().collector_bytes.saturating_sub(before);
                assert!(left <= SLACK, "{left} bytes are left");
            }
        });
    });
}

/// What a heap of `limit` bytes takes from the system in the end.
fn committed(limit: usize, generations: Generations, f: impl FnOnce(&mut Mutator<'_>)) -> usize {
    let heap = Heap::builder()
        .limit(limit)
        .generations(generations)
        .marking_workers(1)
        .build()
        .unwrap();
    heap.attach(f);
    heap.statistics().committed_bytes as usize
}

fn make_garbage(m: &mut Mutator<'_>, bytes: usize) {
    m.frame(|m, [a]| {
        for _ in 0..bytes / 64 {
            m.alloc(a, Shape::new(0, 7)).unwrap();
        }
    });
}

const MIB: usize = 1 << 20;

#[test]
fn memory_is_used_again_before_more_is_touched() {
    let garbage = |m: &mut Mutator<'_>| make_garbage(m, 512 * MIB);
    let taken = committed(128 * MIB, Generations::Auto, garbage);
    assert!(taken <= 20 * MIB, "{taken} bytes");
    // Without such a choice the heap is as large as it may be.
    let taken = committed(128 * MIB, Generations::Off, garbage);
    assert!(taken >= 120 * MIB, "{taken} bytes");
}

/// A limit below the nursery, a live heap nearly as large as its limit.
#[test]
fn a_heap_that_grows_into_its_limit_gets_all_of_it() {
    for (limit, live) in [(MIB, MIB / 2), (3 * MIB, 2 * MIB), (64 * MIB, 55 * MIB)] {
        let taken = committed(limit, Generations::Auto, |m| {
            m.frame(|m, [list]| {
                for _ in 0..live / 64 {
                    m.alloc_init(list, Flags::NONE, [list], [0; 6]).unwrap();
                }
                make_garbage(m, 2 * limit);
                m.verify();
            });
        });
        assert!(live <= taken, "{taken} of {limit} bytes");
    }
}
