//! Weak references and finalizers, rule by rule: the rules are those of the module `handle`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use gc_marksweep::{EventKind, Flags, Heap, Local, Mutator, Weak};

fn on_heap(f: impl for<'h> FnOnce(&mut Mutator<'h>)) {
    let heap = Heap::builder().limit(4 << 20).poison(true).build().unwrap();
    heap.attach(f);
}

/// An object that can be finalized, with one field and a word.
fn finalizable<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, field: Local<'_, 'h>, word: u64) {
    m.alloc_init(into, Flags::FINALIZE, [field], [word])
        .unwrap();
}

fn weak<'h>(m: &Mutator<'h>, local: Local<'_, 'h>) -> Weak {
    m.downgrade(m.get(local).unwrap())
}

/// The words of the objects whose finalizers are due now, in the order in which they are handed
/// out.
fn due(m: &mut Mutator<'_>) -> Vec<u64> {
    m.frame(|m, [object]| {
        let mut words = Vec::new();
        while m.finalizable(object) {
            words.push(m.word(m.get(object).unwrap(), 0));
        }
        words
    })
}

/// Rule 1.
#[test]
fn a_finalizer_waits_until_it_is_asked_for() {
    on_heap(|m| {
        m.frame(|m, [a, none]| {
            finalizable(m, a, none, 7);
            m.set(a, None);
            assert_eq!(due(m), [], "no collection has found it yet");
            for _ in 0..5 {
                m.collect();
                m.verify();
            }
            assert_eq!(due(m), [7], "it was kept, with what it holds");
        });
    });
}

/// Rule 2.
#[test]
fn a_resurrected_object_is_not_finalized_again() {
    on_heap(|m| {
        m.frame(|m, [a, none]| {
            finalizable(m, a, none, 7);
            let weak = weak(m, a);
            m.set(a, None);
            m.collect();
            assert!(m.finalizable(a));
            for _ in 0..3 {
                m.collect();
                assert_eq!(m.word(m.get(a).unwrap(), 0), 7);
            }
            assert!(m.shape(m.get(a).unwrap()).flags.finalize);
            // It dies a second time, now for good.
            let second = m.downgrade(m.get(a).unwrap());
            m.set(a, None);
            m.collect();
            assert_eq!(due(m), []);
            assert!(m.upgrade(&weak).is_none() && m.upgrade(&second).is_none());
        });
    });
}

/// Rule 3.
#[test]
fn weak_references_are_cleared_before_finalizers_are_due() {
    on_heap(|m| {
        m.frame(|m, [inner, outer]| {
            m.alloc_init(inner, Flags::NONE, [], [1]).unwrap();
            finalizable(m, outer, inner, 2);
            let (to_outer, to_inner) = (weak(m, outer), weak(m, inner));
            m.set(inner, None);
            m.collect();
            assert!(m.upgrade(&to_outer).is_some() && m.upgrade(&to_inner).is_some());

            m.set(outer, None);
            m.collect();
            assert!(m.upgrade(&to_outer).is_none(), "cleared, its finalizer due");
            assert!(
                m.upgrade(&to_inner).is_none(),
                "reached by a due object only"
            );
            // In the order in which they were made.
            assert!(m.cleared().is_some_and(|cleared| cleared == to_outer));
            assert!(m.cleared().is_some_and(|cleared| cleared == to_inner));
            assert!(m.cleared().is_none());

            // Resurrection brings back the objects and not the weak references.
            assert!(m.finalizable(outer));
            assert_eq!(m.word(m.load(m.get(outer).unwrap(), 0).unwrap(), 0), 1);
            assert!(m.upgrade(&to_outer).is_none() && m.upgrade(&to_inner).is_none());
            let again = weak(m, outer);
            m.collect();
            assert!(m.upgrade(&again).is_some());
            assert!(m.upgrade(&to_outer).is_none());
        });
    });
}

/// Rule 4.
#[test]
fn what_a_due_object_reaches_is_kept_and_may_be_due_too() {
    on_heap(|m| {
        m.frame(|m, [list]| {
            for word in 0..10 {
                let flags = [Flags::FINALIZE, Flags::NONE][word as usize % 2];
                m.alloc_init(list, flags, [list], [word]).unwrap();
            }
            m.set(list, None);
            m.collect();
            // Each knows its successors, however many collections come in between.
            for expected in [0, 2, 4, 6, 8] {
                assert!(m.finalizable(list));
                for word in (0..=expected).rev() {
                    let node = m.get(list).unwrap();
                    assert_eq!(m.word(node, 0), word);
                    let next = m.load(node, 0);
                    m.set(list, next);
                }
                m.verify();
            }
            assert!(!m.finalizable(list));
        });
    });
}

/// A cycle of objects with finalizers has no order that would respect its references; all are due,
/// none is lost.
#[test]
fn finalizers_of_a_cycle_are_all_due() {
    on_heap(|m| {
        m.frame(|m, [first, last]| {
            finalizable(m, first, first, 0);
            m.set(last, m.get(first));
            for word in 1..5 {
                finalizable(m, last, last, word);
            }
            m.store(m.get(first).unwrap(), 0, m.get(last));
            m.set(first, None);
            m.set(last, None);
            m.collect();
            assert_eq!(due(m), [0, 1, 2, 3, 4]);
        });
    });
}

/// Rule 5, also where some had survived a collection before they died.
#[test]
fn finalizers_are_due_in_the_order_of_allocation() {
    on_heap(|m| {
        m.frame(|m, [kept, other, none]| {
            m.alloc(kept, gc_marksweep::Shape::new(20, 0)).unwrap();
            for word in 0..20 {
                finalizable(m, other, none, word);
                m.store(m.get(kept).unwrap(), word as usize, m.get(other));
                if word % 6 == 0 {
                    m.collect();
                }
            }
            m.set(other, None);
            for word in [5, 3, 4, 19] {
                m.store(m.get(kept).unwrap(), word, None);
            }
            m.collect();
            m.set(kept, None);
            m.collect();
            let rest = (0..20).filter(|word| ![3, 4, 5, 19].contains(word));
            let expected: Vec<_> = [3, 4, 5, 19].into_iter().chain(rest).collect();
            assert_eq!(due(m), expected, "those of an earlier collection first");
        });
    });
}

/// Rule 6: and not before, so that a program that asks late finds its objects whole.
#[test]
fn memory_goes_after_the_object_has_been_handed_out() {
    let heap = Heap::builder().limit(8 << 20).poison(true).build().unwrap();
    heap.attach(|m| {
        let live = || heap.statistics().live_bytes.unwrap();
        m.frame(|m, [a, none]| {
            for word in 0..1000 {
                finalizable(m, a, none, word);
            }
            m.set(a, None);
            m.collect();
            assert_eq!(live(), 1000 * 24);
            assert_eq!(due(m).len(), 1000);
            m.collect();
            assert_eq!(live(), 0);
        });
    });
}

/// Threads that ask at the same time get every object once.
#[test]
fn several_threads_share_the_finalizers() {
    const OBJECTS: u64 = 20_000;
    let heap = Heap::builder().limit(8 << 20).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [a, none]| {
            for word in 0..OBJECTS {
                finalizable(m, a, none, word);
            }
        });
        m.collect();
    });
    let (count, sum) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [object]| {
                        while m.finalizable(object) {
                            let word = m.word(m.get(object).unwrap(), 0);
                            sum.fetch_add(word, Ordering::Relaxed);
                            if count.fetch_add(1, Ordering::Relaxed) % 4096 == 0 {
                                m.collect();
                            }
                            m.safepoint();
                        }
                    });
                });
            });
        }
    });
    assert_eq!(count.into_inner(), OBJECTS);
    assert_eq!(sum.into_inner(), OBJECTS * (OBJECTS - 1) / 2);
}

/// The sentinel of a workload: the time is that of the collection that found the object dead, and
/// of no other.
#[test]
fn a_weak_reference_tells_when_its_object_was_found_dead() {
    let heap = Heap::builder().limit(4 << 20).build().unwrap();
    let now = || heap.origin().elapsed().as_nanos() as u64;
    heap.attach(|m| {
        m.frame(|m, [a, none]| {
            for finalize in [false, true] {
                if finalize {
                    finalizable(m, a, none, 1);
                } else {
                    m.alloc_init(a, Flags::NONE, [none], [1]).unwrap();
                }
                let sentinel = weak(m, a);
                m.collect();
                assert_eq!(sentinel.cleared_at(), None);
                m.set(a, None);
                let unreachable = now();
                assert_eq!(sentinel.cleared_at(), None);
                heap.take_events();
                m.collect();
                let found = sentinel.cleared_at().expect("found dead");
                let events = heap.take_events().events;
                let (rooted, marked) = events
                    .iter()
                    .find_map(|event| match event.kind {
                        EventKind::Collection { rooted, marked, .. } => Some((rooted, marked)),
                        _ => None,
                    })
                    .expect("a collection is an event");
                assert!(unreachable <= rooted && rooted <= found && found <= marked);
                m.collect();
                assert_eq!(sentinel.cleared_at(), Some(found));
                // Anybody may ask, on any thread.
                let (sentinel, clone) = (sentinel.clone(), sentinel);
                let elsewhere = m.blocking(|| thread::spawn(move || clone.cleared_at()).join());
                assert_eq!(elsewhere.unwrap(), sentinel.cleared_at());
            }
        });
    });
}

/// A heap that is gone clears nothing any more.
#[test]
fn a_sentinel_outlives_its_heap() {
    let heap = Heap::builder().limit(4 << 20).build().unwrap();
    let sentinel = heap.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc_init(a, Flags::NONE, [], [1]).unwrap();
            weak(m, a)
        })
    });
    drop(heap);
    assert_eq!(sentinel.cleared_at(), None);
}
