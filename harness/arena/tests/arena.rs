//! The arena through its public interface: limits, resets, handles and threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use arena::Heap;
use contract::heap::{Flags, FullCause, Heap as _, HeapFull, Mutator, Shape};

fn heap(limit: usize) -> Heap {
    Heap::new(Some(limit)).unwrap()
}

/// Whether `f` panics with a message that contains `part`.
fn panics_with(part: &str, f: impl FnOnce()) -> bool {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    let message = payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()));
    message.is_some_and(|message| message.contains(part))
}

#[test]
fn objects_keep_what_is_stored_in_them() {
    heap(1 << 20).attach(|m| {
        m.frame(|m, [a, b]| {
            let shape = Shape::new(3, 2).with(Flags::FINALIZE);
            m.alloc(a, shape).unwrap();
            m.alloc_init(b, Flags::ACYCLIC, [a], [7, 8]).unwrap();
            let (first, second) = (m.get(a).unwrap(), m.get(b).unwrap());
            assert_eq!(m.shape(first), shape);
            assert_eq!(m.shape(second), Shape::new(1, 2).with(Flags::ACYCLIC));
            assert_eq!(m.load(first, 2), None);
            assert_eq!((m.word(first, 1), m.word(second, 1)), (0, 8));
            m.store(first, 2, Some(second));
            m.set_word(first, 1, 9);
            assert_eq!(m.load(first, 2), Some(second));
            assert_eq!(m.load(second, 0), Some(first));
            assert_eq!(m.word(first, 1), 9);
        });
    });
}

#[test]
fn moved_operands_are_taken_left_to_right() {
    heap(1 << 20).attach(|m| {
        m.frame(|m, [a, b]| {
            m.alloc(a, Shape::new(0, 1)).unwrap();
            m.alloc_move(b, Flags::NONE, [a, a], []).unwrap();
            assert_eq!(m.get(a), None);
            let pair = m.get(b).unwrap();
            assert!(m.load(pair, 0).is_some() && m.load(pair, 1).is_none());
            m.alloc_move(b, Flags::NONE, [b], []).unwrap();
            let outer = m.get(b).unwrap();
            assert!(m.load(outer, 0).is_some());
        });
    });
}

#[test]
fn the_limit_is_exact_and_a_reset_makes_room() {
    let heap = heap(64 * 1024);
    for _ in 0..3 {
        let objects = heap.attach(|m| {
            m.frame(|m, [list]| {
                let mut objects = 0;
                loop {
                    let before = m.get(list).map(|list| m.word(list, 0));
                    match m.alloc_move(list, Flags::NONE, [list], [objects]) {
                        Ok(()) => objects += 1,
                        Err(HeapFull {
                            requested,
                            limit,
                            cause,
                        }) => {
                            assert_eq!(cause, FullCause::Limit);
                            assert_eq!((requested, limit), (24, 64 * 1024));
                            assert_eq!(m.get(list).map(|list| m.word(list, 0)), before);
                            return objects;
                        }
                    }
                }
            })
        });
        assert_eq!(objects, 64 * 1024 / 24);
        assert!(heap.statistics().peak_occupied_bytes <= 64 * 1024);
        heap.reset();
        assert_eq!(heap.statistics().occupied_bytes, 0);
    }
    let statistics = heap.statistics();
    assert_eq!(statistics.allocated_objects, 3 * (64 * 1024 / 24));
    assert_eq!(
        statistics.allocated_payload_bytes,
        16 * statistics.allocated_objects
    );
}

#[test]
fn shapes_beyond_the_maxima_or_the_limit_do_not_fit() {
    let unlimited = Heap::new(None).unwrap();
    for heap in [heap(1 << 20), unlimited] {
        heap.attach(|m| {
            m.frame(|m, [a]| {
                assert!(m.alloc(a, Shape::new(1 << 31, 0)).is_err());
                assert!(m.alloc(a, Shape::new(u32::MAX, u32::MAX)).is_err());
                assert_eq!(m.get(a), None);
                m.alloc(a, Shape::new(0, 1000)).unwrap();
            });
        });
    }
    heap(1 << 20)
        .attach(|m| m.frame(|m, [a]| assert!(m.alloc(a, Shape::new(1 << 20, 0)).is_err())));
    assert!(Heap::new(Some(1)).is_err());
}

#[test]
fn handles_are_void_after_a_reset_and_elsewhere() {
    let one = heap(1 << 20);
    let other = heap(1 << 20);
    let (global, weak) = one.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(0, 1)).unwrap();
            let object = m.get(a).unwrap();
            m.set_word(object, 0, 5);
            (m.global(object), m.downgrade(object))
        })
    });
    one.attach(|m| {
        assert_eq!(m.word(m.open(&global), 0), 5);
        assert_eq!(m.upgrade(&weak), Some(m.open(&global)));
    });
    assert!(panics_with("belongs to another heap", || {
        other.attach(|m| {
            m.open(&global);
        });
    }));
    one.reset();
    assert!(panics_with("before it was reset", || {
        one.attach(|m| {
            m.upgrade(&weak);
        });
    }));
}

#[test]
fn a_reset_under_a_mutator_is_refused() {
    let heap = heap(1 << 20);
    let same = heap.clone();
    assert!(panics_with("attached", || heap.attach(|m| m.blocking(|| same.reset()))));
    same.reset();
}

#[test]
fn attach_nests_only_inside_blocking() {
    let heap = heap(1 << 20);
    assert!(panics_with("already attached", || heap.attach(|_| heap.attach(|_| ()))));
    heap.attach(|m| m.blocking(|| heap.attach(|_| ())));
    // A panic in a blocking region leaves the thread attached.
    heap.attach(|m| {
        assert!(catch_unwind(AssertUnwindSafe(|| m.blocking(|| panic!("inside")))).is_err());
        assert!(panics_with("already attached", || heap.attach(|_| ())));
    });
}

#[test]
fn indices_out_of_range_panic() {
    heap(1 << 20).attach(|m| {
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(1, 1)).unwrap();
            let object = m.get(a).unwrap();
            assert!(panics_with("out of bounds", || m.store(object, 1, None)));
            assert!(panics_with("out of bounds", || {
                m.word(object, 1);
            }));
        });
    });
}

#[test]
fn objects_outlive_the_thread_that_made_them() {
    let heap = heap(8 << 20);
    let globals: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let heap = &heap;
                scope.spawn(move || {
                    heap.attach(|m| {
                        m.frame(|m, [list]| {
                            for value in 0..1000 {
                                m.alloc_move(list, Flags::NONE, [list], [number * 1000 + value])
                                    .unwrap();
                            }
                            m.global(m.get(list).unwrap())
                        })
                    })
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let sum = heap.attach(|m| {
        let mut sum = 0;
        for global in &globals {
            let mut node = Some(m.open(global));
            while let Some(inner) = node {
                sum += m.word(inner, 0);
                node = m.load(inner, 0);
            }
        }
        sum
    });
    assert_eq!(sum, (0..4000).sum::<u64>());
    assert_eq!(heap.statistics().allocated_objects, 4000);
}

/// The ends of the range, powers of two and what lies beside them: a heap that works within its
/// limit, or a clear error.
#[test]
fn any_limit_makes_a_heap_that_works_or_a_clear_error() {
    let powers = (0..usize::BITS)
        .flat_map(|bit| [-1, 0, 1].map(|beside| (1_usize << bit).wrapping_add_signed(beside)));
    for limit in powers.chain([0, usize::MAX, usize::MAX - 7, usize::MAX / 3]) {
        let heap = match Heap::new(Some(limit)) {
            Ok(heap) => heap,
            Err(error) => {
                assert!(
                    limit < 4096 && error.contains("give it at least"),
                    "{error}"
                );
                continue;
            }
        };
        let work = || {
            heap.attach(|m| {
                m.frame(|m, [list, large]| {
                    let mut full = None;
                    for word in 0..3_000 {
                        let small = m.alloc_move(list, Flags::NONE, [list], [word]);
                        full = full.or(small.err());
                    }
                    full.or(m.alloc(large, Shape::new(0, 10_000)).err())
                })
            })
        };
        for _ in 0..2 {
            let full = thread::scope(|scope| {
                [scope.spawn(work), scope.spawn(work)].map(|it| it.join().unwrap())
            });
            for full in full.into_iter().flatten() {
                assert!(
                    full.limit == limit as u64 && full.cause == FullCause::Limit,
                    "{full}"
                );
                assert!(limit < 4 << 20, "{full}"); // a grant is 1 MiB
            }
            assert!(heap.statistics().occupied_bytes <= limit as u64);
            heap.reset();
        }
    }
}
