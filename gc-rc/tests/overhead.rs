//! Nearly full heaps: the overhead limit, with 0 % of the time, so that no clock decides.

use gc_rc::{
    BuildError, Cycle, Flags, Free, FullCause, Heap, HeapFull, Local, Mutator, OverheadLimit, Shape,
};

const MIB: usize = 1 << 20;
const CYCLES: [Cycle; 2] = [Cycle::Generational, Cycle::BaconRajan];

fn heap(cycle: Cycle, free: Free, limit: Option<OverheadLimit>) -> Heap {
    let builder = Heap::builder().limit(2 * MIB).cycle(cycle).free(free);
    builder.overhead_limit(limit).build().unwrap()
}

fn limit(time_percent: u8, free_percent: u8) -> Option<OverheadLimit> {
    Some(OverheadLimit {
        time_percent,
        free_percent,
    })
}

/// Pushes nodes of 32 bytes in front of `list` until the heap is full.
fn fill<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>) -> u64 {
    let mut count = 0;
    while m.alloc_move(list, Flags::NONE, [list], [count]).is_ok() {
        count += 1;
    }
    count
}

/// Lets go of the first `count` nodes.
fn shorten<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>, count: u64) {
    for _ in 0..count {
        m.set(list, m.load(m.get(list).unwrap(), 0));
    }
    m.safepoint();
}

/// Makes cyclic garbage of one node each, until one is refused, at most `most`; how many there
/// were.
fn rings(m: &mut Mutator<'_>, most: u64) -> (u64, Option<HeapFull>) {
    m.frame(|m, [ring, null]| {
        for made in 0..most {
            if let Err(full) = m.alloc_init(ring, Flags::NONE, [null], [made]) {
                return (made, Some(full));
            }
            let object = m.get(ring).unwrap();
            m.store(object, 0, Some(object));
            m.set(ring, None);
            m.safepoint();
        }
        (most, None)
    })
}

/// With room for a few nodes there are a few collections; then one for each further attempt; and
/// room again for what is let go of.
#[test]
fn a_nearly_full_heap_is_refused_soon_and_recovers() {
    const MOST: u64 = 20_000;
    for cycle in CYCLES {
        for free in [Free::Eager, Free::Lazy] {
            for room in [1, 20, 100] {
                let heap = heap(cycle, free, limit(0, 2));
                heap.attach(|m| {
                    m.frame(|m, [list]| {
                        let count = fill(m, list);
                        shorten(m, list, room);
                        m.collect();
                        let mut most = 15;
                        for attempt in 0..5 {
                            let before = heap.statistics().collections;
                            let (made, full) = rings(m, MOST);
                            let collections = heap.statistics().collections - before;
                            let context = format!(
                                "{cycle:?}, {free:?}, {room}, {attempt}: {made}, {collections}"
                            );
                            let full = full.expect(&context);
                            assert!(collections <= most, "{context}");
                            assert_eq!(full.cause, FullCause::Overhead, "{context}");
                            assert_eq!((full.requested, full.limit), (32, 2 * MIB as u64));
                            most = 2;
                        }
                        m.verify();
                        shorten(m, list, count / 4);
                        let context = format!("{cycle:?}, {free:?}, {room}");
                        assert_eq!(rings(m, MOST), (MOST, None), "{context}");
                    });
                });
            }
        }
    }
}

#[test]
fn without_the_limit_nothing_is_refused() {
    for cycle in CYCLES {
        for off in [None, limit(0, 0)] {
            let heap = heap(cycle, Free::Eager, off);
            heap.attach(|m| {
                m.frame(|m, [list]| {
                    fill(m, list);
                    shorten(m, list, 20);
                    let before = heap.statistics().collections;
                    assert_eq!(rings(m, 800), (800, None));
                    assert!(heap.statistics().collections - before > 30);
                });
            });
        }
    }
}

/// What dies by its count makes room without a collection, however little there is.
#[test]
fn counting_alone_is_never_judged() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan, Cycle::None] {
        for free in [Free::Eager, Free::Lazy] {
            let heap = heap(cycle, free, limit(0, 100));
            heap.attach(|m| {
                m.frame(|m, [list, short]| {
                    fill(m, list);
                    shorten(m, list, 20);
                    let before = heap.statistics().collections;
                    for number in 0..50_000 {
                        m.alloc_init(short, Flags::NONE, [short], [number]).unwrap();
                        if number % 10 == 0 {
                            m.set(short, None);
                        }
                        m.safepoint();
                    }
                    let collections = heap.statistics().collections - before;
                    assert!(collections < 50, "{cycle:?}, {free:?}: {collections}");
                });
            });
        }
    }
}

/// An allocation that does not fit is refused for that, and leaves the others alone.
#[test]
fn what_does_not_fit_is_the_limits_affair() {
    for cycle in CYCLES {
        let heap = heap(cycle, Free::Eager, limit(0, 100));
        heap.attach(|m| {
            m.frame(|m, [list, large]| {
                for _ in 0..20_000 {
                    m.alloc_move(list, Flags::NONE, [list], [0]).unwrap();
                }
                for attempt in 0..20 {
                    let full = m.alloc(large, Shape::new(0, 200_000)).unwrap_err();
                    assert_eq!(full.cause, FullCause::Limit, "{cycle:?}, {attempt}");
                }
                assert_eq!(rings(m, 1), (1, None));
                let full = m.frame(|m, [rest]| {
                    fill(m, rest);
                    m.alloc(large, Shape::new(0, 1)).unwrap_err()
                });
                assert_eq!(full.cause, FullCause::Limit, "{cycle:?}");
            });
        });
    }
}

/// A program that fills its heap, lets go of half, and fills it again is never refused but for what
/// does not fit.
#[test]
fn a_heap_that_breathes_is_not_refused() {
    for cycle in CYCLES {
        let heap = heap(cycle, Free::Eager, limit(0, 2));
        heap.attach(|m| {
            m.frame(|m, [list]| {
                for round in 0..30 {
                    let mut count = 0;
                    let full = loop {
                        match m.alloc_move(list, Flags::NONE, [list], [count]) {
                            Ok(()) => count += 1,
                            Err(full) => break full,
                        }
                    };
                    assert_eq!(full.cause, FullCause::Limit, "{cycle:?}, {round}");
                    shorten(m, list, 20_000);
                }
            });
        });
    }
}

#[test]
fn a_percentage_above_a_hundred_is_refused_in_words() {
    for wrong in [limit(101, 2), limit(98, 101), limit(255, 255)] {
        let error = Heap::builder().overhead_limit(wrong).build().unwrap_err();
        assert!(matches!(error, BuildError::OverheadLimit { .. }));
        assert!(error.to_string().contains("from 0 to 100"), "{error}");
    }
    for right in [limit(100, 100), limit(0, 0), None] {
        Heap::builder().overhead_limit(right).build().unwrap();
    }
}
