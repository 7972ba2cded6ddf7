//! Objects, locals, counting: what one thread sees.

use gc_rc::{BuildError, Cycle, Flags, FullCause, Heap, HeapFull, Shape};

const NODE: Shape = Shape::new(2, 1);

/// A heap on which a use after free or a wrong count does not go unnoticed.
fn strict() -> Heap {
    Heap::builder().poison(true).build().unwrap()
}

#[test]
fn objects_keep_what_is_written() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a, b]| {
            m.alloc(a, NODE).unwrap();
            m.alloc(b, Shape::new(0, 3).with(Flags::ACYCLIC)).unwrap();
            let (x, y) = (m.get(a).unwrap(), m.get(b).unwrap());
            assert_ne!(x, y);
            assert_eq!((m.load(x, 0), m.load(x, 1), m.word(x, 0)), (None, None, 0));
            m.store(x, 1, Some(y));
            m.set_word(y, 2, 42);
            assert_eq!(m.load(x, 1), Some(y));
            assert_eq!(m.word(m.load(x, 1).unwrap(), 2), 42);
            assert_eq!(m.shape(x), NODE);
            assert_eq!(m.shape(y), Shape::new(0, 3).with(Flags::ACYCLIC));
            m.verify();
        });
        m.verify();
    });
    let statistics = heap.statistics();
    assert_eq!(statistics.allocated_objects, 2);
    assert_eq!(statistics.allocated_payload_bytes, 8 * (3 + 3));
}

#[test]
fn every_size_is_laid_out() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [keep, a]| {
            for words in (0..700).chain((700..9000).step_by(37)).chain([100_000]) {
                m.alloc(a, Shape::new(3, words)).unwrap();
                let x = m.get(a).unwrap();
                assert!((0..3).all(|field| m.load(x, field).is_none()));
                assert!(
                    (0..words as usize).all(|index| m.word(x, index) == 0),
                    "{words} words are not zero"
                );
                (0..words as usize).for_each(|index| m.set_word(x, index, u64::MAX));
                m.store(x, 2, m.get(keep));
                if words % 3 == 0 {
                    m.set(keep, m.get(a));
                }
                m.safepoint();
            }
            m.set(a, None);
            m.verify();
            m.set(keep, None);
            m.collect();
            m.verify();
        });
    });
    // Everything is free: only tables may be left.
    let statistics = heap.statistics();
    assert_eq!(statistics.occupied_bytes, statistics.metadata_bytes);
}

#[test]
fn memory_is_reused_at_once() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a]| {
            for _ in 0..100_000 {
                m.alloc(a, Shape::new(1, 5)).unwrap();
            }
        })
    });
    assert!(heap.statistics().peak_occupied_bytes < 256 << 10);
}

#[test]
fn alloc_init_copies_and_alloc_move_takes() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a, b, c]| {
            m.alloc_init(a, Flags::NONE, [], [7]).unwrap();
            m.alloc_init(b, Flags::NONE, [a, a, c], [8]).unwrap();
            let x = m.get(b).unwrap();
            assert_eq!(
                (m.load(x, 0), m.load(x, 1), m.load(x, 2)),
                (m.get(a), m.get(a), None)
            );
            m.verify();
            // A local named twice is null the second time; all are null afterwards.
            m.alloc_move(c, Flags::NONE, [a, a, b], [9]).unwrap();
            assert_eq!((m.get(a), m.get(b)), (None, None));
            let x = m.get(c).unwrap();
            assert_eq!(m.word(m.load(x, 0).unwrap(), 0), 7);
            assert_eq!(m.load(x, 1), None);
            assert_eq!(m.word(m.load(x, 2).unwrap(), 0), 8);
            m.verify();
            // `into` may be an operand, in both forms.
            m.alloc_move(c, Flags::NONE, [c, c], [10]).unwrap();
            let x = m.get(c).unwrap();
            assert_eq!(m.word(x, 0), 10);
            assert_eq!(m.word(m.load(x, 0).unwrap(), 0), 9);
            assert_eq!(m.load(x, 1), None);
            m.alloc_init(c, Flags::NONE, [c, c], [11]).unwrap();
            let x = m.get(c).unwrap();
            assert_eq!(m.load(x, 0), m.load(x, 1));
            assert_eq!(m.word(m.load(x, 0).unwrap(), 0), 10);
            m.verify();
        });
        m.verify();
    });
}

#[test]
fn what_is_read_stays_until_the_next_exclusive_operation() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a, b]| {
            m.alloc_init(b, Flags::NONE, [], [1]).unwrap();
            m.alloc_move(a, Flags::NONE, [b], []).unwrap();
            let parent = m.get(a).unwrap();
            let child = m.load(parent, 0).unwrap();
            // The child's only reference goes, then the parent's.
            m.store(parent, 0, None);
            m.set(a, None);
            assert_eq!(m.word(child, 0), 1);
            assert_eq!(m.load(parent, 0), None);
            // It comes back to life: its count rises from zero.
            m.set(b, Some(child));
            m.safepoint();
            assert_eq!(m.word(m.get(b).unwrap(), 0), 1);
            m.verify();
        })
    });
}

/// The pending list names an object once, however often its count falls to zero, and a death that
/// is called off stays so.
#[test]
fn an_object_pending_twice_dies_once() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a, b, c]| {
            m.alloc_init(a, Flags::NONE, [], [5]).unwrap();
            let x = m.get(a).unwrap();
            for _ in 0..3 {
                m.set(a, None);
                m.set(a, Some(x));
            }
            m.set(a, None);
            m.safepoint();
            // Freed twice, the cell would now be handed out twice.
            m.alloc_init(a, Flags::NONE, [], [1]).unwrap();
            m.alloc_init(b, Flags::NONE, [], [2]).unwrap();
            assert_eq!(
                (m.word(m.get(a).unwrap(), 0), m.word(m.get(b).unwrap(), 0)),
                (1, 2)
            );
            m.verify();
            // Pending, and then the child of something that dies before it is looked at.
            m.alloc_init(c, Flags::NONE, [a], []).unwrap();
            let (parent, child) = (m.get(c).unwrap(), m.get(a).unwrap());
            m.store(parent, 0, None);
            m.set(a, None);
            m.store(parent, 0, Some(child));
            m.set(c, None);
            m.safepoint();
            m.verify();
            // The other order: the parent is pending first.
            m.alloc_init(a, Flags::NONE, [], [1]).unwrap();
            m.alloc_init(c, Flags::NONE, [a], []).unwrap();
            let (parent, child) = (m.get(c).unwrap(), m.get(a).unwrap());
            m.set(c, None);
            m.store(parent, 0, None);
            m.set(a, None);
            m.store(parent, 0, Some(child));
            m.safepoint();
            m.verify();
        })
    });
}

#[test]
fn a_long_list_dies_on_a_small_stack() {
    const NODES: u64 = 10_000_000;
    let work = || {
        let heap = Heap::new();
        heap.attach(|m| {
            m.frame(|m, [list]| {
                for number in 0..NODES {
                    m.alloc_move(list, Flags::NONE, [list], [number]).unwrap();
                    m.safepoint();
                }
                let full = m.frame(|m, [cursor]| {
                    m.set(cursor, m.get(list));
                    let mut nodes = 0;
                    while let Some(node) = m.get(cursor) {
                        nodes += 1;
                        m.set(cursor, m.load(node, 0));
                        m.safepoint();
                    }
                    nodes
                });
                assert_eq!(full, NODES);
                m.collect();
                let before = heap.statistics().occupied_bytes;
                m.set(list, None);
                m.collect();
                assert!(heap.statistics().occupied_bytes < before / 10);
            })
        });
    };
    std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn out_of_range_indices_panic() {
    let heap = strict();
    let panics = |f: &dyn Fn(&mut gc_rc::Mutator<'_>)| {
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| heap.attach(|m| f(m))));
        *result.unwrap_err().downcast::<String>().unwrap()
    };
    let message = panics(&|m| {
        m.frame(|m, [a]| {
            m.alloc(a, NODE).unwrap();
            m.load(m.get(a).unwrap(), 2);
        })
    });
    assert_eq!(message, "gc-rc: an object with 2 fields has no field 2");
    let message = panics(&|m| {
        m.frame(|m, [a]| {
            m.alloc(a, NODE).unwrap();
            m.set_word(m.get(a).unwrap(), 1, 0);
        })
    });
    assert_eq!(message, "gc-rc: an object with 1 words has no word 1");
    heap.attach(|m| m.verify());
}

#[test]
fn the_limit_is_a_value_and_work_goes_on() {
    let heap = Heap::builder().limit(8 << 20).poison(true).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [list, other]| {
            let mut nodes = 0;
            let full = loop {
                match m.alloc_init(list, Flags::NONE, [list], [nodes]) {
                    Ok(()) => nodes += 1,
                    Err(full) => break full,
                }
            };
            assert_eq!(
                full,
                HeapFull {
                    requested: 32,
                    limit: 8 << 20,
                    cause: FullCause::Limit,
                }
            );
            assert!(nodes > 200_000, "{nodes} nodes of 32 bytes fit 8 MiB");
            assert!(heap.statistics().peak_occupied_bytes <= 8 << 20);
            // Operands are untouched.
            assert_eq!(m.word(m.get(list).unwrap(), 0), nodes - 1);
            assert!(m.alloc_move(other, Flags::NONE, [list, list], []).is_err());
            assert_eq!(m.word(m.get(list).unwrap(), 0), nodes - 1);
            assert!(m.get(other).is_none());
            m.verify();
            // Memory of one size serves another once it is released.
            m.set(list, None);
            for _ in 0..100 {
                m.alloc(other, Shape::new(10, 1000)).unwrap();
                m.alloc_move(list, Flags::NONE, [list, other], []).unwrap();
            }
            m.verify();
        })
    });
}

#[test]
fn a_shape_larger_than_the_limit_fails_at_once() {
    let heap = Heap::builder().limit(8 << 20).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc(a, NODE).unwrap();
            let before = heap.statistics().collections;
            for shape in [
                Shape::new(1 << 20, 1),
                Shape::new(Shape::MAX_REFS, Shape::MAX_WORDS),
            ] {
                let full = m.alloc(a, shape).unwrap_err();
                assert!(full.requested > full.limit);
            }
            assert_eq!(
                heap.statistics().collections,
                before,
                "a hopeless request made a collection"
            );
            assert_eq!(m.shape(m.get(a).unwrap()), NODE);
        })
    });
}

#[test]
fn a_large_object_goes_back_to_the_system() {
    let heap = strict();
    heap.attach(|m| {
        m.frame(|m, [a, b]| {
            m.alloc(a, Shape::new(1_000_000, 0)).unwrap();
            m.alloc(b, Shape::new(0, 1)).unwrap();
            for field in 0..1_000_000 {
                m.store(m.get(a).unwrap(), field, m.get(b));
            }
            m.verify();
            assert!(heap.statistics().occupied_bytes > 8_000_000);
            m.set(a, None);
            m.safepoint();
            assert!(heap.statistics().occupied_bytes < 1_000_000);
            m.verify();
        })
    });
}

#[test]
fn stress_and_poison_agree_with_the_plain_heap() {
    for cycle in [Cycle::Generational, Cycle::None] {
        let heap = Heap::builder()
            .stress(true)
            .poison(true)
            .cycle(cycle)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [list, node]| {
                for number in 0..300 {
                    m.alloc(node, NODE).unwrap();
                    let x = m.get(node).unwrap();
                    m.set_word(x, 0, number);
                    m.store(x, 0, m.get(list));
                    m.store(x, 1, Some(x));
                    m.set(list, if number % 10 == 0 { None } else { Some(x) });
                    if number % 50 == 0 {
                        m.verify();
                    }
                }
                m.verify();
            })
        });
    }
}

#[test]
fn bad_configurations_say_what_is_wrong() {
    let error = Heap::builder().limit(1000).build().unwrap_err();
    assert_eq!(error, BuildError::LimitTooSmall { limit: 1000 });
    assert!(
        error.to_string().contains("1000") && error.to_string().contains("at least"),
        "{error}"
    );
    let error = Heap::builder()
        .switch_interval(std::time::Duration::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(error, BuildError::NoInterval);
}

/// What an allocation that fails says: why, and the way out, in one line.
#[test]
fn heap_full_says_why() {
    let message = |limit, cause| {
        let full = HeapFull {
            requested: 48,
            limit,
            cause,
        };
        let message = full.to_string();
        assert!(
            !message.contains('\n') && message.starts_with("heap full: "),
            "{message}"
        );
        assert!(
            message.contains(" 48 bytes") && message.contains("let go of objects"),
            "{message}"
        );
        message
    };
    assert!(message(1000, FullCause::Limit).contains("limit of 1000 bytes"));
    assert!(message(1000, FullCause::System).contains("system has no memory"));
    assert!(!message(0, FullCause::System).contains("limit"));
    assert!(message(1000, FullCause::Overhead).contains("switch the overhead limit off"));
}
