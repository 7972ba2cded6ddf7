//! What goes wrong at an edge only: when a thread ends, at the size at which an object becomes
//! medium or large, at the border of a card or a block.
//!
//! Each test stands for a fault that was planted in the heap and that no other test noticed.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use gc_marksweep::{Flags, Generations, Global, Heap, Local, Mutator, Shape, Step};

/// The 8-byte fields and words of the largest object that is not large: 8 KiB with its header.
const LARGEST_SMALL: u32 = 8 * 1024 / 8 - 1;

/// A heap whose collections are made by hand, minor ones by [`minor`], and which writes over what
/// it frees.
fn heap(limit: usize) -> Heap {
    Heap::builder()
        .limit(limit)
        .generations(Generations::On)
        .nursery(64 << 10)
        .marking_workers(1)
        .poison(true)
        .build()
        .unwrap()
}

/// Allocates garbage until `count` more minor collections are over.
fn minor(m: &mut Mutator<'_>, heap: &Heap, count: u64) {
    let until = heap.statistics().minor_collections + count;
    m.frame(|m, [garbage]| {
        while heap.statistics().minor_collections < until {
            m.alloc(garbage, Shape::new(2, 8)).unwrap();
        }
    });
}

/// Makes an object with a word in `into`.
fn leaf<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, word: u64) {
    m.alloc_init(into, Flags::NONE, [], [word]).unwrap();
}

/// Runs `f` attached to the heap on a thread that ends afterwards.
fn on_a_thread(heap: &Heap, f: impl for<'h> Fn(&mut Mutator<'h>) + Sync) {
    thread::scope(|scope| {
        scope.spawn(|| heap.attach(|m| f(m)));
    });
}

// ---- a thread ends

/// Two threads in turn store into old objects and end before a collection: what they have
/// remembered, objects and cards of large ones, is looked through as if they were there still.
/// Nothing but these stores keeps what was stored.
#[test]
fn what_ended_threads_have_remembered_is_looked_through() {
    let heap = heap(8 << 20);
    heap.attach(|m| {
        m.frame(|m, [small, medium, large]| {
            let shapes = [(small, 4), (medium, 60), (large, 4000)];
            for (local, refs) in shapes {
                m.alloc(local, Shape::new(refs, 0)).unwrap();
            }
            m.collect();
            let globals = shapes.map(|(local, _)| m.global(m.get(local).unwrap()));
            for round in 0..3 {
                m.blocking(|| {
                    for number in 0..4 {
                        on_a_thread(&heap, |m| {
                            m.frame(|m, [young]| {
                                for (which, global) in globals.iter().enumerate() {
                                    let last = m.shape(m.open(global)).refs as usize - 1;
                                    // The fourth stores where the third has stored.
                                    let field = [0, last, last / 2, last / 2][number];
                                    leaf(m, young, (100 * round + 10 * number + which) as u64);
                                    m.store(m.open(global), field, m.get(young));
                                }
                            });
                        });
                    }
                });
                // Alone first; later rounds also find out whether what was remembered is forgotten
                // in time.
                if round == 1 {
                    m.verify();
                } else {
                    minor(m, &heap, 1 + round as u64);
                }
                for (which, global) in globals.iter().enumerate() {
                    let last = m.shape(m.open(global)).refs as usize - 1;
                    for (number, field) in [(0, 0), (1, last), (3, last / 2)] {
                        let target = m.load(m.open(global), field).unwrap();
                        let expected = (100 * round + 10 * number + which) as u64;
                        assert_eq!(m.word(target, 0), expected, "object {which}, field {field}");
                    }
                }
            }
            m.verify();
        });
    });
}

/// The same for a thread that ends while a collection waits for it, and one that stays and blocks.
#[test]
fn what_a_blocked_thread_has_remembered_is_looked_through() {
    let heap = heap(8 << 20);
    let (stored, collected) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    let share = |m: &mut Mutator<'_>| -> [Global; 2] {
        m.frame(|m, [small, large]| {
            m.alloc(small, Shape::new(4, 0)).unwrap();
            m.alloc(large, Shape::new(4000, 0)).unwrap();
            m.collect();
            [small, large].map(|local| m.global(m.get(local).unwrap()))
        })
    };
    let globals = heap.attach(share);
    thread::scope(|scope| {
        scope.spawn(|| {
            heap.attach(|m| {
                m.frame(|m, [young]| {
                    for global in &globals {
                        leaf(m, young, 5);
                        m.store(m.open(global), 3, m.get(young));
                    }
                });
                m.blocking(|| {
                    stored.wait();
                    collected.wait();
                });
            });
        });
        stored.wait();
        heap.attach(|m| {
            minor(m, &heap, 1);
            for global in &globals {
                let target = m.load(m.open(global), 3).unwrap();
                assert_eq!(m.word(target, 0), 5);
            }
        });
        collected.wait();
    });
    heap.attach(|m| m.verify());
}

/// Threads that come, allocate a little, and end: what is left of their memory serves the next,
/// small and medium objects alike, and what they have allocated is counted.
#[test]
fn memory_that_an_ended_thread_had_not_used_is_used_by_the_next() {
    const THREADS: u64 = 300;
    // With the header: small objects; medium ones, which have a hole of their own; one of either.
    for words in [&[3][..], &[40], &[3, 40]] {
        let heap = Heap::builder().limit(4 << 20).build().unwrap();
        for _ in 0..THREADS {
            on_a_thread(&heap, |m| {
                m.frame(|m, [a]| {
                    for &words in words {
                        m.alloc(a, Shape::new(0, words)).unwrap();
                    }
                });
            });
        }
        let statistics = heap.statistics();
        assert_eq!(statistics.collections, 0, "{words:?}");
        let bytes: u64 = words.iter().map(|words| 8 * (1 + u64::from(*words))).sum();
        let blocks = 2 * words.len() as u64 + THREADS * bytes / (32 << 10);
        assert!(
            statistics.occupied_bytes <= (blocks + 2) * (40 << 10),
            "{words:?}: {statistics:?}"
        );
        assert_eq!(statistics.allocated_objects, THREADS * words.len() as u64);
        assert_eq!(
            statistics.allocated_payload_bytes,
            THREADS * (bytes - 8 * words.len() as u64)
        );
        heap.attach(|m| {
            m.collect();
            m.verify();
        });
    }
}

/// The holes of a block that a thread had begun to search, and holes that were too small for it,
/// serve the next thread too.
#[test]
fn holes_that_an_ended_thread_had_not_used_are_used_by_the_next() {
    let heap = Heap::builder()
        .limit(1 << 20)
        .generations(Generations::Off)
        .poison(true)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [table, object]| {
            // All there is, and then every other one dies: holes of 64 bytes, everywhere.
            m.alloc(table, Shape::new(20_000, 0)).unwrap();
            let mut count = 0;
            while m.alloc(object, Shape::new(0, 7)).is_ok() {
                m.store(m.get(table).unwrap(), count, m.get(object));
                count += 1;
            }
            for index in (0..count).step_by(2) {
                m.store(m.get(table).unwrap(), index, None);
            }
            m.set(object, None);
            m.collect();
            let before = heap.statistics().collections;
            let made = AtomicU64::new(0);
            let kept = m.global(m.get(table).unwrap());
            m.blocking(|| {
                // Each thread takes a hole or two of a block and ends.
                while (made.load(Ordering::Relaxed) as usize) < count / 2 - 10 {
                    on_a_thread(&heap, |m| {
                        m.frame(|m, [object]| {
                            for _ in 0..3 {
                                let number = made.fetch_add(1, Ordering::Relaxed) as usize;
                                m.alloc(object, Shape::new(0, 7)).unwrap();
                                m.store(m.open(&kept), 2 * number, m.get(object));
                            }
                        });
                    });
                }
            });
            assert!(heap.statistics().collections <= before + 1);
            m.verify();
        });
    });
}

/// A collection finds out anew what is free: what ended threads had put back before, and blocks
/// whose holes were too small for somebody, are not handed out twice.
#[test]
fn what_was_put_back_before_a_collection_is_handed_out_once() {
    let heap = Heap::builder()
        .limit(2 << 20)
        .generations(Generations::Off)
        .poison(true)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [table, object]| {
            m.alloc(table, Shape::new(60_000, 0)).unwrap();
            let kept = m.global(m.get(table).unwrap());
            let mut count = 0;
            let fill = |m: &mut Mutator<'_>, count: &mut usize, number: usize, words: u32| {
                m.frame(|m, [object]| {
                    for _ in 0..number {
                        m.alloc(object, Shape::new(0, words)).unwrap();
                        m.set_word(m.get(object).unwrap(), 0, *count as u64);
                        m.store(m.open(&kept), *count, m.get(object));
                        *count += 1;
                    }
                });
            };
            // Holes of 64 bytes in a mebibyte of blocks.
            fill(m, &mut count, 16_000, 7);
            for index in (0..count).step_by(2) {
                m.store(m.open(&kept), index, None);
            }
            for _ in 0..3 {
                m.collect();
                // Too large for the holes, and not for a block: all of those are put aside.
                fill(m, &mut count, 300, 15);
                // A thread that has used a little of a block.
                m.blocking(|| {
                    on_a_thread(&heap, |m| {
                        m.frame(|m, [object]| m.alloc(object, Shape::new(0, 2)).unwrap());
                    });
                });
            }
            // The smallest objects fit everywhere.
            fill(m, &mut count, 8_000, 2);
            for index in 0..count {
                if let Some(object) = m.load(m.open(&kept), index) {
                    assert_eq!(
                        m.word(object, 0),
                        index as u64,
                        "object {index} was overwritten"
                    );
                }
            }
            m.set(object, None);
            m.verify();
        });
    });
}

/// What a thread has put on lists that all share is there for those who come after it.
#[test]
fn what_a_thread_leaves_behind_is_everybodys() {
    let heap = heap(8 << 20);
    let left: std::sync::Mutex<Vec<_>> = Default::default();
    for number in 0..4_u64 {
        on_a_thread(&heap, |m| {
            m.frame(|m, [kept, dead, due]| {
                leaf(m, kept, 10 + number);
                leaf(m, dead, 20 + number);
                m.alloc_init(due, Flags::FINALIZE, [], [number]).unwrap();
                let global = m.global(m.get(kept).unwrap());
                let weaks = [kept, dead, due].map(|local| m.downgrade(m.get(local).unwrap()));
                left.lock().unwrap().push((global, weaks));
            });
        });
    }
    let mut left = left.into_inner().unwrap();
    heap.attach(|m| {
        m.frame(|m, [due]| {
            minor(m, &heap, 1);
            m.verify();
            for number in 0..4 {
                assert!(m.finalizable(due));
                assert_eq!(m.word(m.get(due).unwrap(), 0), number);
            }
            assert!(!m.finalizable(due));
        });
        assert_eq!(std::iter::from_fn(|| m.cleared()).count(), 8);
        for (number, (global, weaks)) in left.iter().enumerate() {
            assert_eq!(m.word(m.open(global), 0), 10 + number as u64);
            assert!(
                m.upgrade(&weaks[0])
                    .is_some_and(|object| object == m.open(global))
            );
            assert!(m.upgrade(&weaks[1]).is_none() && m.upgrade(&weaks[2]).is_none());
        }
    });
    // A root ends with its last handle, on whatever thread: the next collection that is asked for
    // finds so.
    while let Some((global, weaks)) = left.pop() {
        let clone = global.clone();
        drop(global);
        heap.attach(|m| m.collect());
        assert!(weaks[0].cleared_at().is_none());
        thread::spawn(move || drop(clone)).join().unwrap();
        heap.attach(|m| m.collect());
        assert!(weaks[0].cleared_at().is_some());
    }
}

// ---- sizes

/// The units (fields and words) of objects around every size from which on they are treated in
/// another way: with the header, 256 bytes are still small, 32 granules are the most that is marked
/// at once, 8 KiB are not large yet; an array of 1,024 references is not looked through in pieces
/// yet; 512 bytes are a card, 32 KiB a block, 4 KiB a page.
fn edges() -> impl Iterator<Item = u32> {
    let header = 1;
    [
        32,
        33,
        64,
        512,
        1024,
        1025 + header,
        64 * 17,
        64 * 18,
        4096,
        4096 + 512,
    ]
    .into_iter()
    .flat_map(move |units| units - header - 1..=units - header + 1)
    .chain([0, 1, 2])
}

/// What only an old object refers to stays, from whichever field: the first, the last, and those at
/// the borders of cards.
#[test]
fn stores_into_old_objects_of_every_size_are_remembered() {
    let heap = heap(16 << 20);
    for units in edges().filter(|&units| units > 0) {
        for words in [0, 1] {
            let refs = units - words;
            if refs == 0 {
                continue;
            }
            heap.attach(|m| {
                m.frame(|m, [old, young, beside]| {
                    // Something before and behind it, to be damaged.
                    leaf(m, beside, 1);
                    m.alloc(old, Shape::new(refs, words)).unwrap();
                    m.alloc_init(beside, Flags::NONE, [beside], [2]).unwrap();
                    m.collect();
                    let last = refs as usize - 1;
                    let mut fields: Vec<_> = [0, 61, 62, 63, 64, 65, 126, 127, 128]
                        .into_iter()
                        .chain(last.saturating_sub(65)..=last)
                        .filter(|&field| field <= last)
                        .collect();
                    fields.dedup();
                    for round in 0..2 {
                        for &field in &fields {
                            leaf(m, young, round * 10_000 + field as u64);
                            m.store(m.get(old).unwrap(), field, m.get(young));
                        }
                        m.set(young, None);
                        if round == 0 {
                            // Whether all is remembered, and all that is to be marked is.
                            m.verify();
                        } else {
                            minor(m, &heap, 1);
                        }
                        for &field in &fields {
                            let target = m.load(m.get(old).unwrap(), field).unwrap();
                            assert_eq!(m.word(target, 0), round * 10_000 + field as u64);
                        }
                    }
                    assert_eq!(m.word(m.get(beside).unwrap(), 0), 2);
                    m.verify();
                });
            });
        }
    }
}

/// Memory that others have written to comes as nulls and zeroes, to the end and not beyond,
/// whatever the size.
#[test]
fn objects_of_every_size_begin_as_nulls_and_zeroes() {
    for generations in [Generations::Off, Generations::On] {
        let heap = Heap::builder()
            .limit(4 << 20)
            .generations(generations)
            .nursery(64 << 10)
            .poison(true)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [one, two, three]| {
                for units in edges() {
                    for refs in [0, units / 2, units] {
                        let words = units - refs;
                        for round in 0..3 {
                            for local in [one, two, three] {
                                m.alloc(local, Shape::new(refs, words)).unwrap();
                                let object = m.get(local).unwrap();
                                assert_eq!(m.shape(object), Shape::new(refs, words));
                                for field in 0..refs as usize {
                                    assert!(m.load(object, field).is_none(), "{units}: {field}");
                                    m.store(object, field, Some(object));
                                }
                                for word in 0..words as usize {
                                    assert_eq!(m.word(object, word), 0, "{units}: {word}");
                                    m.set_word(object, word, u64::MAX);
                                }
                            }
                            if round == 1 {
                                m.verify();
                            }
                            m.set(two, None);
                            m.collect();
                        }
                    }
                }
                m.verify();
            });
        });
    }
}

/// A heap holds as many objects of a size as fit, and not fewer by a block's, a page's or a
/// granule's worth at some edge.
#[test]
fn a_heap_is_full_when_it_is_full() {
    const LIMIT: usize = 64 * 33 * 1024;
    for units in [7, 31, 32, 511, 1022, 1023, 1024, 2047, 2048, 4095, 4096] {
        let heap = Heap::builder()
            .limit(LIMIT)
            .generations(Generations::Off)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [table, object]| {
                let mut count: usize = 0;
                // Kept in a list, through a field of each.
                while m.alloc(object, Shape::new(1, units - 1)).is_ok() {
                    m.store(m.get(object).unwrap(), 0, m.get(table));
                    m.set(table, m.get(object));
                    count += 1;
                }
                let size = 8 * (units as usize + 1);
                // A mark bit for each granule, and a little for each block.
                let fit = if units <= LARGEST_SMALL {
                    let per_block = (32 << 10) / size;
                    LIMIT / ((32 << 10) + (512 + 32)) * per_block
                } else {
                    let pages = size.div_ceil(4096);
                    LIMIT / (pages * (4096 + 64))
                };
                assert!(
                    (fit - 1..=fit).contains(&count),
                    "{count} objects of {size} bytes, not {fit}"
                );
                m.verify();
            });
        });
    }
}

/// A medium object that the current hole has no room for takes a whole free block: it searches no
/// others and gives up no hole, as long as there are free ones.
#[test]
fn medium_objects_search_no_holes_while_there_are_free_blocks() {
    let heap = Heap::builder()
        .limit(8 << 20)
        .generations(Generations::Off)
        .build()
        .unwrap();
    let searches = |m: &mut Mutator<'_>, words: u32| {
        m.frame(|m, [object]| {
            let steps = m.alloc_recorded(object, Shape::new(0, words)).unwrap();
            let is_search = |step: &&Step| matches!(step, Step::Swept { .. });
            steps.iter().filter(is_search).count()
        })
    };
    heap.attach(|m| {
        m.frame(|m, [table, object]| {
            // Holes of 64 bytes in every block of a mebibyte.
            m.alloc(table, Shape::new(16_000, 0)).unwrap();
            for index in 0..16_000 {
                m.alloc(object, Shape::new(0, 7)).unwrap();
                if index % 2 == 0 {
                    m.store(m.get(table).unwrap(), index, m.get(object));
                }
            }
            m.collect();
            assert!(searches(m, 7) > 0, "a small one takes a hole");
            for _ in 0..200 {
                assert_eq!(searches(m, 40), 0);
            }
            // What was a hole for small ones still is.
            assert!(searches(m, 7) <= 2, "the next hole of the same block");
            m.verify();
        });
    });
}

// ---- finalizers

/// What a finalizer brings back is as old as what survived, whatever its size: later stores into it
/// are remembered, minor collections keep it, and a major one finds it when it dies for good.
#[test]
fn what_a_finalizer_brings_back_grows_old_like_everything_else() {
    for units in [3, 40, LARGEST_SMALL, LARGEST_SMALL + 1, 10_000] {
        for by_minor in [false, true] {
            let heap = heap(8 << 20);
            heap.attach(|m| {
                m.frame(|m, [object, reached, due]| {
                    let shape = Shape::new(2, units - 2);
                    m.collect();
                    m.alloc(reached, shape).unwrap();
                    m.alloc(object, shape.with(Flags::FINALIZE)).unwrap();
                    m.store(m.get(object).unwrap(), 1, m.get(reached));
                    m.set(object, None);
                    m.set(reached, None);
                    if by_minor {
                        minor(m, &heap, 1);
                    } else {
                        m.collect();
                    }
                    assert!(m.finalizable(due), "{units}");
                    m.verify();
                    for round in 0..3 {
                        for holder in 0..2 {
                            leaf(m, object, round * 2 + holder);
                            let due = m.get(due).unwrap();
                            let holder = [due, m.load(due, 1).unwrap()][holder as usize];
                            m.store(holder, 0, m.get(object));
                        }
                        m.set(object, None);
                        minor(m, &heap, 1);
                        let due = m.get(due).unwrap();
                        let holders = [due, m.load(due, 1).unwrap()];
                        for (index, holder) in holders.into_iter().enumerate() {
                            let target = m.load(holder, 0).unwrap();
                            assert_eq!(m.word(target, 0), round * 2 + index as u64);
                        }
                    }
                    m.verify();
                    let weak = m.downgrade(m.get(due).unwrap());
                    m.set(due, None);
                    m.collect();
                    assert!(m.upgrade(&weak).is_none() && !m.finalizable(due));
                    assert_eq!(heap.statistics().live_bytes, Some(0), "{units}");
                    m.verify();
                });
            });
        }
    }
}

/// Weak references are equal if they are to the same object, while it lives and afterwards.
#[test]
fn weak_references_to_the_same_object_are_equal() {
    let heap = Heap::builder().build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [a, b]| {
            m.alloc(a, Shape::new(1, 1)).unwrap();
            m.alloc(b, Shape::new(1, 1)).unwrap();
            let place = m.place(m.get(a).unwrap());
            let one = m.downgrade(m.get(a).unwrap());
            let same = [m.downgrade(m.get(a).unwrap()), one.clone()];
            let other = m.downgrade(m.get(b).unwrap());
            let check = |when: &str| {
                let mut set = HashSet::from([one.clone()]);
                for same in &same {
                    assert!(one == *same && !set.insert(same.clone()), "{when}");
                }
                assert!(one != other && set.insert(other.clone()), "{when}");
            };
            check("alive");
            m.collect();
            check("old");
            let later = m.downgrade(m.get(a).unwrap());
            assert_eq!(later, one);
            m.set(a, None);
            m.collect();
            assert!(m.upgrade(&one).is_none());
            check("dead");
            assert_eq!(later, one);
            // What takes the dead object's place is another object.
            while {
                m.alloc(a, Shape::new(1, 1)).unwrap();
                m.place(m.get(a).unwrap()) != place
            } {}
            let next = m.downgrade(m.get(a).unwrap());
            assert!(next != one && next != later && next != other);
            assert_eq!(m.cleared(), Some(one.clone()));
        });
    });
}

/// What a client does wrong is told in a line that begins with the crate's name.
#[test]
fn misuse_is_told_in_words() {
    let message = |misuse: &dyn Fn()| {
        let panic = catch_unwind(AssertUnwindSafe(misuse)).unwrap_err();
        match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast::<&str>().unwrap().to_string(),
        }
    };
    let [one, two] = [(); 2].map(|()| Heap::builder().build().unwrap());
    let field = message(&|| {
        one.attach(|m| {
            m.frame(|m, [a]| {
                m.alloc(a, Shape::new(2, 1)).unwrap();
                m.load(m.get(a).unwrap(), 2);
            })
        })
    });
    assert_eq!(
        field,
        "gc-marksweep: an object with 2 fields has no field 2"
    );
    let word = message(&|| {
        one.attach(|m| {
            m.frame(|m, [a]| {
                m.alloc(a, Shape::new(2, 1)).unwrap();
                m.set_word(m.get(a).unwrap(), 1, 0);
            })
        })
    });
    assert_eq!(word, "gc-marksweep: an object with 1 words has no word 1");
    let (global, weak) = one.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(2, 1)).unwrap();
            let object = m.get(a).unwrap();
            (m.global(object), m.downgrade(object))
        })
    });
    let text = message(&|| two.attach(|m| _ = m.open(&global)));
    assert!(
        text.starts_with("gc-marksweep: a global of heap "),
        "{text}"
    );
    let text = message(&|| two.attach(|m| _ = m.upgrade(&weak)));
    assert!(
        text.starts_with("gc-marksweep: a weak reference of heap "),
        "{text}"
    );
    for second in [&one, &two] {
        assert_eq!(
            message(&|| one.attach(|_| second.attach(|_| ()))),
            "gc-marksweep: this thread is already attached to a heap: attach a second time only \
             inside `blocking`"
        );
    }
}
