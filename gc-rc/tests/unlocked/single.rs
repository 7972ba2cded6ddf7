//! What a mutator does without while it is the only one (`single-mutator`), and that it does it no
//! longer when it is not: in the regimes that have owners.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use gc_rc::{Cycle, Flags, Global, Heap, Mutator, Shape, Unlocked};

use super::{PATIENCE, in_bounded_time, live, rest, show};

fn heap<R: Unlocked>() -> Heap<R> {
    let builder = Heap::builder().cycle(Cycle::None).poison(true);
    builder.release_after(None).build_unlocked().unwrap()
}

/// Changes by atomic operations.
fn shared_changes<R: Unlocked>(heap: &Heap<R>) -> u64 {
    heap.statistics().bias.unwrap().shared_changes
}

fn stops<R: Unlocked>(heap: &Heap<R>) -> u64 {
    heap.statistics().reclamation.unwrap().stops
}

/// An object with a field, which refers to another one; the mutator that made both, and owned them,
/// is gone.
fn orphan<R: Unlocked>(heap: &Heap<R>) -> Global {
    heap.attach(|m| {
        m.frame(|m, [object, other]| {
            m.alloc(object, Shape::new(1, 1)).unwrap();
            m.alloc(other, Shape::new(0, 1)).unwrap();
            m.store_move(m.get(object).unwrap(), 0, other);
            // Somebody who owns neither: the other is merged.
            m.downgrade(m.load(m.get(object).unwrap(), 0).unwrap());
            m.downgrade(m.get(object).unwrap());
            m.global(m.get(object).unwrap())
        })
    })
}

/// Puts both objects into locals, and takes the other out of the field and back into it.
fn change<R: Unlocked>(m: &mut Mutator<'_, R>, global: &Global, times: u32) {
    m.frame(|m, [first, second]| {
        for _ in 0..times {
            m.set(first, Some(m.open(global)));
            let object = m.get(first).unwrap();
            m.set(second, m.load(object, 0));
            m.store(object, 0, None);
            m.store(object, 0, m.get(second));
            m.safepoint();
        }
    });
}

fn a_single_mutator_changes_nothing_by_an_atomic_operation<R: Unlocked>() {
    let heap = heap::<R>();
    let global = orphan(&heap);
    heap.attach(|m| {
        let before = shared_changes(&heap);
        change(m, &global, 1000);
        assert_eq!(shared_changes(&heap), before);
        m.verify();
        // Its own stops do not change that.
        change(m, &global, 1000);
        assert_eq!(shared_changes(&heap), before);
    });
    drop(global);
    heap.attach(|m| m.collect());
    assert_eq!(live(&heap), 0);
}

/// The same heap with the option off.
fn a_mutator_that_is_not_to_be_single_counts_as_beside_others<R: Unlocked>() {
    let builder = Heap::builder().cycle(Cycle::None).single_mutator(false);
    let heap: Heap<R> = builder.build_unlocked().unwrap();
    let global = orphan(&heap);
    heap.attach(|m| {
        let before = shared_changes(&heap);
        change(m, &global, 1000);
        // Those of the field, also where locals count nothing.
        assert!(shared_changes(&heap) - before >= 2000);
    });
}

/// One is single, changes counts and fields, and goes on while another attaches and does the same:
/// no change is lost.
fn who_attaches_beside_a_single_mutator_loses_none_of_its_changes<R: Unlocked>() {
    const TIMES: u32 = if cfg!(miri) { 20 } else { 20_000 };
    let rounds = if cfg!(miri) { 2 } else { 20 };
    let heap = heap::<R>();
    let (global, other) = (orphan(&heap), orphan(&heap));
    for _ in 0..rounds {
        let there = AtomicBool::new(false);
        thread::scope(|s| {
            s.spawn(|| {
                heap.attach(|m| {
                    there.store(true, SeqCst);
                    count(m, &global, &other, TIMES);
                });
            });
            while !there.load(SeqCst) {
                thread::yield_now();
            }
            heap.attach(|m| count(m, &global, &other, TIMES));
        });
        heap.attach(|m| {
            m.verify();
            for global in [&global, &other] {
                let object = m.open(global);
                assert_eq!(
                    (m.count(object), m.count(m.load(object, 0).unwrap())),
                    (1, 1)
                );
            }
        });
    }
}

/// Puts the same objects into locals, by turns.
fn count<R: Unlocked>(m: &mut Mutator<'_, R>, one: &Global, two: &Global, times: u32) {
    m.frame(|m, [first, second]| {
        for _ in 0..times {
            m.set(first, Some(m.open(one)));
            m.set(second, m.load(m.get(first).unwrap(), 0));
            m.set(first, Some(m.open(two)));
            m.set(second, m.load(m.get(first).unwrap(), 0));
            m.safepoint();
        }
    });
}

/// What was read by a mutator that has just attached is not freed under its eyes by the one that
/// was single until then.
fn who_was_single_waits_for_who_has_attached<R: Unlocked>() {
    let heap = heap::<R>();
    let global = heap.attach(|m| {
        m.frame(|m, [table, node]| {
            m.alloc(table, Shape::new(1, 0)).unwrap();
            m.alloc_init(node, Flags::NONE, [], [42]).unwrap();
            m.store_move(m.get(table).unwrap(), 0, node);
            m.global(m.get(table).unwrap())
        })
    });
    let (reading, cut_off) = (AtomicBool::new(false), AtomicBool::new(false));
    heap.attach(|m| {
        rest(m);
        thread::scope(|s| {
            s.spawn(|| {
                heap.attach(|m| {
                    let node = m.load(m.open(&global), 0).unwrap();
                    reading.store(true, SeqCst);
                    while !cut_off.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                    assert_eq!(m.word(node, 0), 42, "it was freed under our eyes");
                });
            });
            while !reading.load(SeqCst) {
                m.safepoint();
            }
            m.store(m.open(&global), 0, None);
            rest(m);
            rest(m);
            cut_off.store(true, SeqCst);
            m.blocking(|| ());
        });
    });
}

/// Who is left is single again, also if it does nothing but pass safepoints; and what died while
/// there were others is freed.
fn who_is_left_becomes_single_again<R: Unlocked>() {
    let heap = heap::<R>();
    let global = orphan(&heap);
    heap.attach(|m| {
        for _ in 0..3 {
            m.blocking(|| {
                thread::scope(|s| {
                    s.spawn(|| heap.attach(|m| change(m, &global, 100)));
                });
            });
            let begun = Instant::now();
            loop {
                let before = shared_changes(&heap);
                change(m, &global, 100);
                if shared_changes(&heap) == before {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "it never is");
            }
        }
    });
    drop(global);
    heap.attach(|m| {
        rest(m);
        m.collect();
    });
    assert_eq!(live(&heap), 0);
}

/// What came to zero beside others is freed by who is left, without a stop.
fn what_died_beside_others_is_freed_by_who_is_left<R: Unlocked>() {
    let heap = heap::<R>();
    let global = orphan(&heap);
    heap.attach(|m| {
        m.blocking(|| {
            thread::scope(|s| {
                s.spawn(|| {
                    heap.attach(|m| {
                        change(m, &global, 1);
                        m.store(m.open(&global), 0, None);
                    });
                });
            });
        });
        let before = stops(&heap);
        let begun = Instant::now();
        while live(&heap) > 1 {
            m.safepoint();
            assert!(begun.elapsed() < PATIENCE, "it is kept back");
        }
        assert_eq!(stops(&heap), before);
    });
}

/// Threads that come and go stop the one that stays once in a millisecond at most, and each of them
/// once at most.
fn who_stays_is_not_stopped_by_everybody_who_comes<R: Unlocked>() {
    const COMERS: u64 = if cfg!(miri) { 3 } else { 300 };
    let heap = heap::<R>();
    let done = AtomicBool::new(false);
    heap.attach(|m| {
        let (before, begun) = (stops(&heap), Instant::now());
        thread::scope(|s| {
            s.spawn(|| {
                for _ in 0..COMERS {
                    heap.attach(|m| m.safepoint());
                }
                done.store(true, SeqCst);
            });
            while !done.load(SeqCst) {
                m.safepoint();
            }
        });
        let made = stops(&heap) - before;
        let allowed = begun.elapsed().as_nanos() / Duration::from_millis(1).as_nanos();
        assert!(
            made <= COMERS && u128::from(made) <= allowed + 1,
            "{made} of {allowed}"
        );
    });
}

/// The same where the neighbour was there for longer than a mutator rests from having been single.
fn who_is_left_late_becomes_single_again<R: Unlocked>() {
    const LONG: Duration = Duration::from_millis(5);
    let heap = heap::<R>();
    let global = orphan(&heap);
    let gone = AtomicBool::new(false);
    heap.attach(|m| {
        thread::scope(|s| {
            s.spawn(|| {
                heap.attach(|m| {
                    let begun = Instant::now();
                    while begun.elapsed() < LONG {
                        m.safepoint();
                    }
                });
                gone.store(true, SeqCst);
            });
            while !gone.load(SeqCst) {
                m.safepoint();
            }
        });
        // It was asked to look when the other left, and there is nothing to wait for.
        let begun = Instant::now();
        while begun.elapsed() < LONG {
            m.safepoint();
        }
        let before = shared_changes(&heap);
        change(m, &global, 100);
        assert_eq!(shared_changes(&heap), before);
    });
}

/// Threads that are there one after another stop nobody.
fn who_has_gone_is_not_stopped<R: Unlocked>() {
    let heap = heap::<R>();
    for _ in 0..50 {
        heap.attach(|m| m.safepoint());
    }
    assert_eq!(stops(&heap), 0);
}

/// What somebody retired beside a neighbour that kept the epoch back is freed without a stop when
/// that has gone.
fn what_was_retired_beside_others_is_freed_alone<R: Unlocked>() {
    let heap = heap::<R>();
    let (there, over) = (AtomicBool::new(false), AtomicBool::new(false));
    heap.attach(|m| {
        thread::scope(|s| {
            s.spawn(|| {
                heap.attach(|m| {
                    m.safepoint();
                    there.store(true, SeqCst);
                    while !over.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                });
            });
            while !there.load(SeqCst) {
                m.safepoint();
            }
            m.frame(|m, [local]| {
                m.alloc_init(local, Flags::NONE, [], [1]).unwrap();
                show(m, local);
            });
            rest(m);
            rest(m);
            assert_eq!(live(&heap), 1, "it waits for the neighbour");
            over.store(true, SeqCst);
        });
        let (before, begun) = (stops(&heap), Instant::now());
        while live(&heap) > 0 {
            m.safepoint();
            assert!(begun.elapsed() < PATIENCE, "it is kept back");
        }
        assert_eq!(stops(&heap), before);
    });
}

/// What has, or had, weak references waits for grace periods, which pass where there is nobody to
/// wait for.
fn what_had_weak_references_dies_alone<R: Unlocked>() {
    let heap = heap::<R>();
    heap.attach(|m| {
        for _ in 0..1000 {
            m.frame(|m, [local]| {
                m.alloc_init(local, Flags::NONE, [], [1]).unwrap();
                drop(m.downgrade(m.get(local).unwrap()));
            });
            m.safepoint();
        }
        rest(m);
        rest(m);
        assert_eq!(live(&heap), 0);
        // And with what referred to it.
        let weak = m.frame(|m, [local, parent]| {
            m.alloc_init(local, Flags::NONE, [], [1]).unwrap();
            let weak = m.downgrade(m.get(local).unwrap());
            m.alloc_move(parent, Flags::NONE, [local], []).unwrap();
            weak
        });
        (0..5).for_each(|_| rest(m));
        assert!(m.upgrade(&weak).is_none());
        assert_eq!(live(&heap), 0);
    });
    assert_eq!(stops(&heap), 0);
}

/// What the owner counts is counted by the statistics as beside others.
#[cfg(feature = "count-statistics")]
fn own_changes_are_those_of_any_mutator<R: Unlocked>() {
    let changes = |single| {
        let builder = Heap::builder().cycle(Cycle::None).single_mutator(single);
        let heap: Heap<R> = builder.build_unlocked().unwrap();
        heap.attach(|m| {
            m.frame(|m, [first, second]| {
                m.alloc_init(first, Flags::NONE, [], [1]).unwrap();
                m.set(second, m.get(first));
            });
        });
        heap.statistics().bias.unwrap().own_changes.unwrap()
    };
    assert_eq!((changes(true), changes(false)), (3, 3));
}

/// A thread that unwinds out of its attachment leaves nobody single.
fn who_unwinds_is_single_no_more<R: Unlocked>() {
    let heap = heap::<R>();
    let global = orphan(&heap);
    let unwound = thread::scope(|s| {
        let thread = s.spawn(|| {
            heap.attach(|m| {
                change(m, &global, 10);
                std::panic::resume_unwind(Box::new(()));
            })
        });
        thread.join()
    });
    assert!(unwound.is_err());
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| heap.attach(|m| count(m, &global, &global, 1000)));
        }
    });
    heap.attach(|m| {
        m.verify();
        assert_eq!(m.count(m.open(&global)), 1);
    });
}

on_regimes!([biased: gc_rc::Biased, deferred: gc_rc::Deferred] [
    a_single_mutator_changes_nothing_by_an_atomic_operation,
    a_mutator_that_is_not_to_be_single_counts_as_beside_others,
    who_attaches_beside_a_single_mutator_loses_none_of_its_changes,
    who_was_single_waits_for_who_has_attached,
    who_is_left_becomes_single_again,
    what_died_beside_others_is_freed_by_who_is_left,
    who_stays_is_not_stopped_by_everybody_who_comes,
    who_is_left_late_becomes_single_again,
    who_has_gone_is_not_stopped,
    what_was_retired_beside_others_is_freed_alone,
    what_had_weak_references_dies_alone,
    who_unwinds_is_single_no_more,
]);
#[cfg(feature = "count-statistics")]
on_regimes!([counted: gc_rc::Biased] [own_changes_are_those_of_any_mutator]);
