//! The regime `Deferred`: what is found to be hot is not counted by locals, tags are taken off
//! wherever a local's reference becomes something else's, and what dies is freed without anybody
//! asking for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use gc_rc::{Cycle, DeferralStatistics, Deferred, Flags, Global, Heap, Local, Mutator, Shape};

use super::{PATIENCE, Random, live, push, rest, wait_for};

type M<'h> = Mutator<'h, Deferred>;

fn heap() -> Heap<Deferred> {
    super::heap(Heap::builder().poison(true))
}

fn deferral(heap: &Heap<Deferred>) -> DeferralStatistics {
    heap.statistics().deferral.unwrap()
}

fn shared_changes(heap: &Heap<Deferred>) -> u64 {
    heap.statistics().bias.unwrap().shared_changes
}

fn count<'h>(m: &M<'h>, local: Local<'_, 'h>) -> u32 {
    m.count(m.get(local).unwrap())
}

/// Has the object of a local deferred.
fn defer<'h>(m: &mut M<'h>, local: Local<'_, 'h>) {
    m.defer(m.get(local).unwrap());
    while !m.is_deferred(m.get(local).unwrap()) {
        m.safepoint();
    }
}

/// Passes safepoints until that is so.
fn until<'h>(m: &mut M<'h>, what: &str, is_it: impl Fn(&mut M<'h>) -> bool) {
    let begun = Instant::now();
    while !is_it(m) {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        m.safepoint();
    }
}

/// Another thread has `local`'s object in a local, and waits in a blocking region or in a loop of
/// safepoints while `f` runs; then it reads the object's word.
fn beside<'h>(
    heap: &Heap<Deferred>,
    m: &mut M<'h>,
    blocked: bool,
    local: Local<'_, 'h>,
    f: impl FnOnce(&mut M<'h>),
) {
    let shared = m.global(m.get(local).unwrap());
    let turn = AtomicU64::new(0);
    thread::scope(|s| {
        let turn = &turn;
        let other = s.spawn(move || {
            heap.attach(|m| {
                m.frame(|m, [mine]| {
                    m.set(mine, Some(m.open(&shared)));
                    drop(shared);
                    m.safepoint();
                    let tagged = m.is_deferred(m.get(mine).unwrap());
                    turn.store(1, SeqCst);
                    if blocked {
                        m.blocking(|| wait_for(turn, |turn| turn == 2));
                    } else {
                        while turn.load(SeqCst) != 2 {
                            m.safepoint();
                        }
                    }
                    assert!(tagged);
                    m.word(m.get(mine).unwrap(), 0)
                })
            })
        });
        m.blocking(|| wait_for(turn, |turn| turn == 1));
        f(m);
        turn.store(2, SeqCst);
        assert_eq!(m.blocking(|| other.join().unwrap()), 7);
    });
}

/// Threads put the objects of a table into locals, so many times each. Returns how many references
/// were counted by atomic operations, and how many were not counted.
fn read(objects: u32, threads: u64, times: u64) -> (u64, u64) {
    let heap = heap();
    let table = heap.attach(|m| {
        m.frame(|m, [table, object]| {
            m.alloc(table, Shape::new(objects, 0)).unwrap();
            for field in 0..objects as usize {
                m.alloc_init(object, Flags::NONE, [], [1]).unwrap();
                m.store(m.get(table).unwrap(), field, m.get(object));
            }
            m.global(m.get(table).unwrap())
        })
    });
    let start = AtomicU64::new(0);
    // This one owns the objects.
    heap.attach(|m| {
        let run = |seed| {
            heap.attach(|m| {
                start.fetch_add(1, SeqCst);
                wait_for(&start, |there| there == threads);
                let random = Random::new(seed);
                m.frame(|m, [at]| {
                    for _ in 0..times {
                        let field = random.below(objects as usize);
                        m.set(at, m.load(m.open(&table), field));
                        assert_eq!(m.word(m.get(at).unwrap(), 0), 1);
                        m.safepoint();
                    }
                });
            });
        };
        m.blocking(|| {
            thread::scope(|s| {
                for seed in 1..=threads {
                    s.spawn(move || run(seed));
                }
            });
        });
        m.verify();
        drop(table);
        until(m, "what was hot is dead", |_| live(&heap) == 0);
        m.verify();
    });
    assert_eq!(deferral(&heap).deferred_objects, 0);
    (shared_changes(&heap), deferral(&heap).uncounted)
}

#[test]
fn a_hot_object_is_found_and_not_counted_any_more() {
    for threads in [2, 3, 4] {
        let times = if cfg!(miri) { 1000 } else { 200_000 };
        let (shared, uncounted) = read(1, threads, times);
        let all = threads * times;
        assert!(
            shared <= all / 10 + 2000 && uncounted >= all * 9 / 10 - 2000,
            "{threads} threads: {shared} shared changes and {uncounted} uncounted of {all}"
        );
    }
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_table_of_hot_objects_is_found() {
    let (shared, uncounted) = read(1000, 2, 400_000);
    // Of 1,600,000 changes. The last few objects of the table are found when the next stop may be
    // made, which is a matter of time: on a busy machine the rest may be over before that.
    assert!(
        shared <= 400_000 && uncounted >= 600_000,
        "{shared} shared changes, {uncounted} uncounted"
    );
}

/// What is read in passing is as if nobody looked for hot objects: a walk does not come by an
/// object again before many others.
#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_walk_over_many_objects_defers_nothing() {
    let heap = heap();
    heap.attach(|m| {
        let list = m.frame(|m, [list]| {
            push(m, list, 50_000);
            m.global(m.get(list).unwrap())
        });
        m.blocking(|| {
            thread::scope(|s| {
                s.spawn(|| {
                    heap.attach(|m| {
                        m.frame(|m, [at]| {
                            for _ in 0..4 {
                                m.set(at, Some(m.open(&list)));
                                while let Some(node) = m.get(at) {
                                    m.set(at, m.load(node, 0));
                                    m.safepoint();
                                }
                            }
                        });
                    });
                });
            });
        });
    });
    assert_eq!(deferral(&heap), DeferralStatistics::default());
}

/// A burst of deferred objects dies, by fields and by globals; nobody collects, nothing is
/// allocated.
#[test]
fn a_burst_of_deferred_objects_is_given_back() {
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [table, object, other]| {
            m.alloc(table, Shape::new(300, 0)).unwrap();
            let mut globals = Vec::new();
            for field in 0..300 {
                push(m, object, 10);
                m.store(m.get(table).unwrap(), field, m.get(object));
                globals.push(m.global(m.get(object).unwrap()));
                m.defer(m.get(object).unwrap());
                m.set(object, None);
            }
            until(m, "all are deferred", |_| {
                deferral(&heap).deferred_objects == 300
            });
            // Each is in a local for a while.
            for field in 0..300 {
                m.set(other, m.load(m.get(table).unwrap(), field));
                m.store(m.get(table).unwrap(), field, None);
                m.safepoint();
                drop(globals.pop());
                m.safepoint();
            }
            m.set(other, None);
            until(m, "all are freed", |_| live(&heap) == 1);
        });
    });
    assert_eq!(heap.statistics().collections, 0);
    assert_eq!(deferral(&heap).deferred_objects, 0);
}

/// Deferred objects that refer to each other die, the list before what it alone keeps alive.
#[test]
fn a_chain_of_deferred_objects_is_given_back() {
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [list]| {
            for _ in 0..40 {
                m.alloc_move(list, Flags::NONE, [list], [7]).unwrap();
                m.defer(m.get(list).unwrap());
            }
            until(m, "all are deferred", |_| {
                deferral(&heap).deferred_objects == 40
            });
            m.verify();
            m.set(list, None);
            until(m, "all are freed", |_| live(&heap) == 0);
            m.verify();
        });
    });
}

#[test]
fn a_local_of_a_stopped_thread_keeps_what_it_has_not_counted() {
    for blocked in [true, false] {
        let heap = heap();
        heap.attach(|m| {
            m.frame(|m, [object]| {
                m.alloc_init(object, Flags::NONE, [], [7]).unwrap();
                defer(m, object);
                beside(&heap, m, blocked, object, |m| {
                    m.set(object, None);
                    until(m, "the deferral has ended", |m| {
                        m.safepoint();
                        deferral(&heap).deferred_objects == 0
                    });
                    m.verify();
                    m.collect();
                    assert_eq!(live(&heap), 1);
                });
                until(m, "it is freed", |_| live(&heap) == 0);
                m.verify();
            });
        });
    }
}

/// A thread that makes an object hot which its owner, blocked, has counted; the owner comes back
/// and goes on with it.
#[test]
fn an_owner_that_comes_back_counts_as_others_do() {
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [object, other, table]| {
            m.alloc_init(object, Flags::NONE, [], [7]).unwrap();
            m.set(other, m.get(object));
            let shared = m.global(m.get(object).unwrap());
            m.blocking(|| {
                thread::scope(|s| {
                    s.spawn(|| {
                        heap.attach(|m| {
                            m.frame(|m, [mine]| {
                                m.set(mine, Some(m.open(&shared)));
                                defer(m, mine);
                            });
                        });
                    });
                });
            });
            drop(shared);
            assert!(m.is_deferred(m.get(object).unwrap()));
            m.set(other, None);
            m.set(other, m.get(object));
            m.alloc(table, Shape::new(1, 0)).unwrap();
            m.store(m.get(table).unwrap(), 0, m.get(other));
            m.verify();
            for local in [object, table, other] {
                m.set(local, None);
            }
            until(m, "all are freed", |_| live(&heap) == 0);
            m.verify();
        });
    });
}

/// Wherever a local's reference becomes a field's, it is counted.
#[test]
fn what_a_local_has_not_counted_is_counted_by_a_field() {
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [object, tagged, table, null]| {
            m.alloc_init(object, Flags::NONE, [], [7]).unwrap();
            defer(m, object);
            let before = count(m, object);
            m.set(tagged, m.get(object));
            assert_eq!(count(m, object), before);
            // Copied, moved, and moved by a store.
            m.alloc_init(table, Flags::NONE, [tagged, null], [])
                .unwrap();
            assert_eq!(
                (count(m, object), m.get(tagged)),
                (before + 1, m.get(object))
            );
            m.alloc_move(table, Flags::NONE, [tagged, table], [])
                .unwrap();
            assert_eq!((count(m, object), m.get(tagged)), (before + 2, None));
            m.set(tagged, m.get(object));
            m.store_move(m.get(table).unwrap(), 0, tagged);
            assert_eq!((count(m, object), m.get(tagged)), (before + 2, None));
            m.set(tagged, m.get(object));
            m.store(m.get(table).unwrap(), 1, m.get(tagged));
            let global = m.global(m.get(tagged).unwrap());
            let weak = m.downgrade(m.get(tagged).unwrap());
            assert_eq!(m.upgrade(&weak), m.get(object));
            m.verify();
            m.set(object, None);
            m.set(tagged, None);
            m.set(table, None);
            assert_eq!(m.word(m.open(&global), 0), 7);
            drop(global);
            until(m, "all are freed", |_| live(&heap) == 0);
            assert!(m.upgrade(&weak).is_none());
            m.verify();
        });
    });
}

/// What only a local has that has not counted it is given out by a weak reference.
#[test]
fn a_weak_reference_gives_out_what_no_count_tells_of() {
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [object, tagged]| {
            m.alloc_init(object, Flags::FINALIZE, [], [7]).unwrap();
            let weak = m.downgrade(m.get(object).unwrap());
            defer(m, object);
            m.set(tagged, m.get(object));
            m.set(object, None);
            assert_eq!(m.upgrade(&weak), m.get(tagged));
            rest(m);
            assert_eq!(m.upgrade(&weak), m.get(tagged));
            m.verify();
            m.set(tagged, None);
            until(m, "its finalizer is due", |m| m.finalizable(object));
            assert_eq!(m.word(m.get(object).unwrap(), 0), 7);
            m.set(object, None);
            until(m, "it is freed", |_| live(&heap) == 0);
            assert!(m.upgrade(&weak).is_none());
        });
    });
}

/// A frame that ends, by a panic too, counts nothing for its tagged locals; nor does a thread that
/// ends with it.
#[test]
fn frames_let_go_of_what_they_have_not_counted() {
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [object]| {
            m.alloc_init(object, Flags::NONE, [], [7]).unwrap();
            defer(m, object);
            let shared = m.global(m.get(object).unwrap());
            let before = m.count(m.get(object).unwrap());
            let visit = |m: &mut M<'_>, fails: bool| {
                m.frame(|m, locals: [Local<'_, '_>; 3]| {
                    for local in locals {
                        m.set(local, Some(m.open(&shared)));
                    }
                    m.frame(|m, [inner]| m.set(inner, m.get(locals[0])));
                    assert!(!fails, "as planned");
                });
            };
            visit(m, false);
            assert!(catch_unwind(AssertUnwindSafe(|| visit(m, true))).is_err());
            m.blocking(|| {
                thread::scope(|s| {
                    s.spawn(|| heap.attach(|m| visit(m, false)));
                    assert!(s.spawn(|| heap.attach(|m| visit(m, true))).join().is_err());
                });
            });
            assert_eq!(m.count(m.get(object).unwrap()), before);
            m.verify();
        });
        until(m, "it is freed", |_| live(&heap) == 0);
        m.verify();
    });
}

/// Objects that are hot and do not live long, one after another, cost a few stops and not one each.
#[test]
#[cfg_attr(miri, ignore = "too long")]
fn short_lived_hot_objects_are_left_alone() {
    const OBJECTS: u64 = 3000;
    let heap = heap();
    let (turn, next) = (AtomicU64::new(0), std::sync::Mutex::new(None::<Global>));
    let taken = |m: &mut M<'_>, global: Option<Global>| {
        let Some(global) = global else { return };
        m.frame(|m, [at]| {
            for _ in 0..2000 {
                m.set(at, Some(m.open(&global)));
                m.safepoint();
            }
        });
    };
    thread::scope(|s| {
        s.spawn(|| {
            heap.attach(|m| {
                for number in 0..OBJECTS {
                    m.frame(|m, [object]| {
                        m.alloc_init(object, Flags::NONE, [], [number]).unwrap();
                        let global = m.global(m.get(object).unwrap());
                        *next.lock().unwrap() = Some(global);
                    });
                    turn.store(2 * number + 1, SeqCst);
                    m.blocking(|| wait_for(&turn, |turn| turn == 2 * number + 2));
                }
            });
        });
        s.spawn(|| {
            heap.attach(|m| {
                for number in 0..OBJECTS {
                    m.blocking(|| wait_for(&turn, |turn| turn == 2 * number + 1));
                    let global = next.lock().unwrap().take();
                    taken(m, global);
                    turn.store(2 * number + 2, SeqCst);
                }
                until(m, "all are freed", |_| live(&heap) == 0);
            });
        });
    });
    let found = deferral(&heap);
    assert!(found.begun > 0 && found.stops <= OBJECTS / 30, "{found:?}");
}

/// Cycles that a deferred object is in are found by an exhaustive collection at once, and by the
/// others in time.
#[test]
fn cycles_of_deferred_objects_are_found() {
    let heap = super::heap::<Deferred>(Heap::builder().poison(true).cycle(Cycle::Generational));
    let make = |m: &mut M<'_>| {
        m.frame(|m, [ring, null]| {
            m.alloc_init(ring, Flags::NONE, [null], []).unwrap();
            m.store(m.get(ring).unwrap(), 0, m.get(ring));
            defer(m, ring);
        });
    };
    heap.attach(|m| {
        make(m);
        m.verify();
        assert_eq!(live(&heap), 1);
        m.collect();
        assert_eq!(live(&heap), 0);
        make(m);
        let before = heap.statistics().collections;
        m.frame(|m, [ring, null]| {
            until(m, "the deferral ends", |m| {
                m.alloc_init(ring, Flags::NONE, [null], []).unwrap();
                m.store(m.get(ring).unwrap(), 0, m.get(ring));
                deferral(&heap).deferred_objects == 0
            });
        });
        assert!(heap.statistics().collections - before < 20);
        m.collect();
        assert_eq!(live(&heap), 0);
    });
}

/// What is to be deferred and is gone before the stop is not, nor what is too large for a block and
/// gone; what is there is.
#[test]
fn what_is_gone_is_not_deferred() {
    let heap = heap();
    heap.attach(|m| {
        m.frame(|m, [small, large, kept]| {
            for round in 0..3 {
                m.alloc(large, Shape::new(0, 20_000)).unwrap();
                m.alloc(small, Shape::new(0, 1)).unwrap();
                m.defer(m.get(small).unwrap());
                m.defer(m.get(large).unwrap());
                if round == 2 {
                    m.alloc(kept, Shape::new(0, 1_000_000)).unwrap();
                    m.defer(m.get(kept).unwrap());
                }
                m.set(small, None);
                m.set(large, None);
                // Attends to what is retired before it stops.
                m.blocking(|| ());
                m.safepoint();
                assert_eq!(deferral(&heap).begun, u64::from(round == 2));
            }
            assert!(m.is_deferred(m.get(kept).unwrap()));
            m.verify();
            m.set(kept, None);
            until(m, "all are freed", |_| live(&heap) == 0);
        });
    });
}

/// Threads do at random what can be done with objects of a table that are deferred again and again,
/// and the heap is verified at any time.
#[test]
fn random_scripts_with_deferral() {
    let (threads, steps) = if cfg!(miri) { (2, 150) } else { (3, 40_000) };
    for seed in 1..4 {
        let heap = super::heap::<Deferred>(Heap::builder().poison(true).thresholds([200, 10, 10]));
        let table = heap.attach(|m| {
            m.frame(|m, [table]| {
                m.alloc(table, Shape::new(16, 0)).unwrap();
                m.global(m.get(table).unwrap())
            })
        });
        let failed = AtomicBool::new(false);
        thread::scope(|s| {
            for me in 0..threads {
                let (heap, table, failed) = (&heap, &table, &failed);
                s.spawn(move || {
                    let script = || heap.attach(|m| script(m, table, seed * 8 + me, steps));
                    if catch_unwind(AssertUnwindSafe(script)).is_err() {
                        failed.store(true, SeqCst);
                    }
                });
            }
        });
        assert!(!failed.load(SeqCst), "seed {seed}");
        heap.attach(|m| {
            m.verify();
            drop(table);
            m.collect();
            // Finalizers hold others back.
            while m.frame(|m, [due]| m.finalizable(due)) {
                m.collect();
            }
            m.verify();
        });
        assert_eq!(live(&heap), 0, "seed {seed}");
    }
}

fn script(m: &mut M<'_>, table: &Global, seed: u64, steps: u64) {
    let random = Random::new(seed);
    let mut weak = None;
    m.frame(|m, locals: [Local<'_, '_>; 4]| {
        for step in 0..steps {
            let [to, from] = [0, 1].map(|_| locals[random.below(4)]);
            let field = random.below(16);
            match random.below(16) {
                0 => {
                    let flags = if random.below(4) == 0 {
                        Flags::FINALIZE
                    } else {
                        Flags::NONE
                    };
                    m.alloc_init(to, flags, [from, to], [step]).unwrap();
                }
                1 => m.alloc_move(to, Flags::NONE, [from, to], [step]).unwrap(),
                2 => m.store(m.open(table), field, m.get(from)),
                3 => m.store_move(m.open(table), field, from),
                4..=8 => m.set(to, m.load(m.open(table), field)),
                9 => m.set(to, m.get(from)),
                10 => {
                    if let (Some(to), value) = (m.get(to), m.get(from)) {
                        m.store(to, random.below(2), value);
                    }
                }
                11 => {
                    if let Some(object) = m.get(from) {
                        if random.below(8) == 0 {
                            m.defer(object);
                        }
                        weak = Some(m.downgrade(object));
                    }
                }
                12 => {
                    if let Some(weak) = &weak {
                        m.set(to, m.upgrade(weak));
                    }
                }
                13 => {
                    m.frame(|m, [inner]| {
                        m.set(inner, m.get(from));
                        m.safepoint();
                        if let Some(object) = m.get(inner) {
                            drop(m.global(object));
                        }
                    });
                }
                14 => m.blocking(|| ()),
                _ => match random.below(200) {
                    0 => m.verify(),
                    1 => m.collect(),
                    2..=20 => drop(m.finalizable(to)),
                    _ => locals.iter().for_each(|&local| m.set(local, None)),
                },
            }
            m.safepoint();
        }
    });
}
