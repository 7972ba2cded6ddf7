//! Nearly full heaps: the overhead limit, with 0 % of the time, so that no clock decides.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use gc_marksweep::{
    BuildError, Flags, FullCause, Generations, Heap, HeapFull, Local, Mutator, OverheadLimit, Shape,
};

const MIB: usize = 1 << 20;
const GENERATIONS: [Generations; 3] = [Generations::Off, Generations::On, Generations::Auto];

fn heap(generations: Generations, limit: Option<OverheadLimit>) -> Heap {
    Heap::builder()
        .limit(2 * MIB)
        .generations(generations)
        .marking_workers(1)
        .overhead_limit(limit)
        .build()
        .unwrap()
}

fn limit(time_percent: u8, free_percent: u8) -> Option<OverheadLimit> {
    Some(OverheadLimit {
        time_percent,
        free_percent,
    })
}

/// Pushes nodes of 24 bytes in front of `list` until the heap is full.
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
}

/// Makes short-lived nodes until one is refused, at most `most`; how many there were.
fn churn<'h>(m: &mut Mutator<'h>, short: Local<'_, 'h>, most: u64) -> (u64, Option<HeapFull>) {
    for made in 0..most {
        if let Err(full) = m.alloc_init(short, Flags::NONE, [], [made; 2]) {
            return (made, Some(full));
        }
        m.set(short, None);
        m.safepoint();
    }
    (most, None)
}

fn majors(heap: &Heap) -> u64 {
    let statistics = heap.statistics();
    statistics.collections - statistics.minor_collections
}

/// With room for a few nodes there are a few collections of the whole heap; then one for each
/// further attempt at most; and room again for what is let go of. Minor collections, where they do,
/// cost next to nothing, and may go on.
#[test]
fn a_nearly_full_heap_is_refused_soon_and_recovers() {
    const MOST: u64 = 20_000;
    for generations in GENERATIONS {
        for room in [1, 20, 100] {
            let heap = heap(generations, limit(0, 2));
            heap.attach(|m| {
                m.frame(|m, [list, short]| {
                    let count = fill(m, list);
                    shorten(m, list, room);
                    m.collect();
                    let mut most = 15;
                    for attempt in 0..5 {
                        let before = majors(&heap);
                        let (made, full) = churn(m, short, MOST);
                        let majors = majors(&heap) - before;
                        let context =
                            format!("{generations:?}, {room}, {attempt}: {made}, {majors} majors");
                        assert!(majors <= most, "{context}");
                        match full {
                            Some(full) => {
                                assert_eq!(full.cause, FullCause::Overhead, "{context}");
                                assert_eq!((full.requested, full.limit), (24, 2 * MIB as u64));
                                most = 2;
                            }
                            None => assert!(generations != Generations::Off, "{context}"),
                        }
                    }
                    m.verify();
                    shorten(m, list, count / 4);
                    assert_eq!(
                        churn(m, short, MOST),
                        (MOST, None),
                        "{generations:?}, {room}"
                    );
                });
            });
        }
    }
}

#[test]
fn without_the_limit_nothing_is_refused() {
    for generations in GENERATIONS {
        for off in [None, limit(0, 0)] {
            let heap = heap(generations, off);
            heap.attach(|m| {
                m.frame(|m, [list, short]| {
                    fill(m, list);
                    shorten(m, list, 20);
                    let before = heap.statistics().collections;
                    assert_eq!(churn(m, short, 800), (800, None));
                    assert!(heap.statistics().collections - before > 30);
                });
            });
        }
    }
}

/// A tenth of the heap is free, or a little more than twice the 2 %.
#[test]
fn collections_that_yield_enough_are_no_strikes() {
    for generations in GENERATIONS {
        for (percent, nodes) in [(10, 200_000), (5, 100_000)] {
            let heap = heap(generations, limit(0, 2));
            heap.attach(|m| {
                m.frame(|m, [list, short]| {
                    let count = fill(m, list);
                    shorten(m, list, count * percent / 100);
                    m.collect();
                    let before = heap.statistics().collections;
                    assert_eq!(churn(m, short, nodes), (nodes, None), "{percent} %");
                    assert!(heap.statistics().collections - before > 20, "{percent} %");
                });
            });
        }
    }
}

/// It has room enough; what it asks for is more.
#[test]
fn an_object_that_does_not_fit_is_refused_for_that() {
    let heap = heap(Generations::Off, limit(0, 2));
    heap.attach(|m| {
        m.frame(|m, [list, large]| {
            let count = fill(m, list);
            shorten(m, list, count / 2);
            for _ in 0..20 {
                let full = m.alloc(large, Shape::new(0, 200_000)).unwrap_err();
                assert_eq!(full.cause, FullCause::Limit);
            }
            assert_eq!(churn(m, large, 100_000).1, None);
        });
    });
}

/// Each collection that one of them makes leaves the others without; and yet all are refused soon.
#[test]
fn several_mutators_in_a_nearly_full_heap_are_refused_soon() {
    const MUTATORS: usize = 4;
    let heap = heap(Generations::Off, limit(0, 2));
    heap.attach(|m| {
        m.frame(|m, [list]| {
            fill(m, list);
            shorten(m, list, 100);
            m.collect();
            let before = heap.statistics().collections;
            let barrier = Arc::new(Barrier::new(MUTATORS));
            let refused = AtomicU64::new(0);
            m.blocking(|| {
                thread::scope(|scope| {
                    for _ in 0..MUTATORS {
                        scope.spawn(|| {
                            heap.attach(|m| {
                                m.blocking(|| barrier.wait());
                                let (_, full) = m.frame(|m, [short]| churn(m, short, 1_000_000));
                                assert_eq!(full.unwrap().cause, FullCause::Overhead);
                                refused.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            });
            assert_eq!(refused.into_inner(), MUTATORS as u64);
            let collections = heap.statistics().collections - before;
            // Six that count, each with one more of each other mutator, and one for each that is
            // refused.
            assert!(
                collections <= 15 * (MUTATORS as u64 + 1),
                "{collections} collections"
            );
        });
    });
}

#[test]
fn percentages_above_a_hundred_are_refused_in_words() {
    for (time, free) in [(101, 2), (98, 101), (255, 255), (0, 255)] {
        let error = Heap::builder()
            .overhead_limit(limit(time, free))
            .build()
            .unwrap_err();
        assert!(matches!(error, BuildError::OverheadLimit { .. }));
        let text = error.to_string();
        assert!(
            text.contains(&format!("{time} % of the time and {free} %")),
            "{text}"
        );
    }
    for (time, free) in [(0, 0), (100, 100), (0, 100), (100, 0)] {
        let heap = heap(Generations::Auto, limit(time, free));
        heap.attach(|m| m.frame(|m, [short]| assert_eq!(churn(m, short, 10_000).1, None)));
    }
    assert_eq!(limit(98, 2), Some(OverheadLimit::default()));
}
