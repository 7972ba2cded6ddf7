//! What the heap keeps beside objects: it grows with a burst, and is given back after it.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use gc_rc::{Builder, Cycle, Flags, Free, Global, Heap, Local, Mutator, Shape, Weak};

const LIMIT: usize = 8 << 20;
/// What an empty heap of that limit may keep for itself: a little more than a hundredth.
const KEPT: u64 = 96 << 10;

/// Objects of a burst: their tables take a large part of the limit.
const BURST: u64 = 25_000;

fn heap(cycle: Cycle, free: Free) -> Heap {
    Heap::builder()
        .limit(LIMIT)
        .cycle(cycle)
        .free(free)
        // By the time nothing is returned, so that what is measured does not depend on it.
        .release_after(None)
        .build()
        .unwrap()
}

/// Works on for a while: fills a part of the heap with what does not die at once, and empties it.
fn work<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>, objects: u64) {
    for word in 0..objects {
        m.alloc_move(list, Flags::ACYCLIC, [list], [word]).unwrap();
    }
    m.set(list, None);
    m.safepoint();
}

/// A burst, and what ends it; what it made is gone afterwards. Returns the metadata at its height.
type Burst = for<'h> fn(&Heap, &mut Mutator<'h>) -> u64;

fn weak_references(heap: &Heap, m: &mut Mutator<'_>) -> u64 {
    m.frame(|m, [list]| {
        let mut kept: Vec<Weak> = Vec::new();
        for _ in 0..BURST {
            m.alloc_move(list, Flags::ACYCLIC, [list], []).unwrap();
            kept.push(m.downgrade(m.get(list).unwrap()));
        }
        m.collect();
        let height = heap.statistics().metadata_bytes;
        drop(kept);
        m.set(list, None);
        m.safepoint();
        height
    })
}

/// The references go and the objects stay, until the end.
fn weak_references_of_the_living(heap: &Heap, m: &mut Mutator<'_>) -> u64 {
    m.frame(|m, [list, a]| {
        for _ in 0..BURST / 2 {
            m.alloc_move(list, Flags::ACYCLIC, [list], []).unwrap();
            drop(m.downgrade(m.get(list).unwrap()));
        }
        // Whoever makes weak references again does not pay for those that are gone: the table was
        // looked through.
        let height = heap.statistics().metadata_bytes;
        for _ in 0..BURST / 2 {
            m.alloc(a, Shape::new(0, 0)).unwrap();
            drop(m.downgrade(m.get(a).unwrap()));
            m.set(a, None);
        }
        m.set(list, None);
        m.safepoint();
        height.max(heap.statistics().metadata_bytes)
    })
}

fn globals(heap: &Heap, m: &mut Mutator<'_>) -> u64 {
    m.frame(|m, [a]| {
        m.alloc(a, Shape::new(0, 0)).unwrap();
        let kept: Vec<Global> = (0..BURST).map(|_| m.global(m.get(a).unwrap())).collect();
        m.collect();
        let height = heap.statistics().metadata_bytes;
        drop(kept);
        m.safepoint();
        height
    })
}

fn due_finalizers(heap: &Heap, m: &mut Mutator<'_>) -> u64 {
    m.frame(|m, [due]| {
        let mut height = 0;
        for _ in 0..BURST {
            m.alloc(due, Shape::new(0, 0).with(Flags::FINALIZE))
                .unwrap();
        }
        m.set(due, None);
        while m.finalizable(due) {
            height = height.max(heap.statistics().metadata_bytes);
        }
        m.set(due, None);
        m.safepoint();
        height
    })
}

fn cleared_notices(heap: &Heap, m: &mut Mutator<'_>) -> u64 {
    m.frame(|m, [a]| {
        let mut kept = VecDeque::new();
        for _ in 0..BURST {
            m.alloc(a, Shape::new(0, 0)).unwrap();
            kept.push_back(m.downgrade(m.get(a).unwrap()));
        }
        m.set(a, None);
        m.collect();
        let height = heap.statistics().metadata_bytes;
        while let Some(weak) = m.cleared() {
            assert!(kept.pop_front() == Some(weak), "out of order");
        }
        assert!(kept.is_empty());
        height
    })
}

/// Nobody asks, and the references go. What is kept of them is given back when room is short.
fn notices_that_nobody_asks_for(heap: &Heap, m: &mut Mutator<'_>) -> u64 {
    m.frame(|m, [a]| {
        let mut kept = Vec::new();
        for _ in 0..BURST {
            m.alloc(a, Shape::new(0, 0)).unwrap();
            kept.push(m.downgrade(m.get(a).unwrap()));
        }
        m.set(a, None);
        m.safepoint();
        heap.statistics().metadata_bytes
    })
}

fn pending_deaths(heap: &Heap, m: &mut Mutator<'_>) -> u64 {
    const FIELDS: u32 = 60_000;
    m.frame(|m, [table, a]| {
        m.alloc(table, Shape::new(FIELDS, 0)).unwrap();
        for field in 0..FIELDS {
            m.alloc(a, Shape::new(0, 0)).unwrap();
            m.store(m.get(table).unwrap(), field as usize, m.get(a));
        }
        m.set(a, None);
        for field in 0..FIELDS {
            m.store(m.get(table).unwrap(), field as usize, None);
        }
        // While they are pending nothing is told; in the drain what they took is.
        m.set(table, None);
        m.safepoint();
        heap.statistics().peak_occupied_bytes
    })
}

fn possible_roots(heap: &Heap, m: &mut Mutator<'_>) -> u64 {
    m.frame(|m, [list, a]| {
        for _ in 0..BURST {
            m.alloc_init(list, Flags::NONE, [list], []).unwrap();
            // One reference of two goes.
            m.set(a, m.get(list));
            m.set(a, None);
        }
        let height = heap.statistics().metadata_bytes;
        m.set(list, None);
        m.safepoint();
        m.collect();
        height
    })
}

const UNASKED: &str = "notices that nobody asks for";

/// After each kind of burst a heap that is empty again has its room for objects again, whether it
/// was asked to collect or not.
#[test]
fn what_grew_with_a_burst_shrinks_after_it() {
    let bursts: [(&str, Burst); 8] = [
        ("weak references", weak_references),
        (
            "weak references of the living",
            weak_references_of_the_living,
        ),
        ("globals", globals),
        ("due finalizers", due_finalizers),
        ("cleared notices", cleared_notices),
        (UNASKED, notices_that_nobody_asks_for),
        ("pending deaths", pending_deaths),
        ("possible roots", possible_roots),
    ];
    for (cycle, free) in [
        (Cycle::Generational, Free::Eager),
        (Cycle::BaconRajan, Free::Eager),
        (Cycle::None, Free::Eager),
        (Cycle::Generational, Free::Lazy),
    ] {
        let fresh = heap(cycle, free).attach(|m| m.frame(|m, [list]| fill(m, list)));
        for (name, burst) in bursts {
            // A lazy heap has not freed yet what was dropped, unless it is asked to.
            for collect in [free == Free::Lazy, true] {
                let heap = heap(cycle, free);
                heap.attach(|m| {
                    let height = burst(&heap, m);
                    m.frame(|m, [list]| {
                        if collect {
                            m.collect();
                            let statistics = heap.statistics();
                            assert!(
                                statistics.occupied_bytes < KEPT,
                                "{name}, {cycle:?}: {statistics:?} after a height of {height}"
                            );
                        } else {
                            work(m, list, 5_000);
                        }
                        // Beside what blocks have, in proportion to their number.
                        let statistics = heap.statistics();
                        assert!(
                            name == UNASKED
                                || statistics.metadata_bytes < KEPT + statistics.occupied_bytes / 15,
                            "{name}, {cycle:?}, collected: {collect}: {statistics:?} after a height of {height}"
                        );
                        // Room for as many objects as in a new heap, but for a fiftieth.
                        let room = fill(m, list);
                        assert!(
                            room > fresh - fresh / 50,
                            "{name}, {cycle:?}, collected: {collect}: {room} objects, {fresh} in a new heap"
                        );
                        m.verify();
                    });
                });
            }
        }
    }
}

/// Fills the heap. Returns with how many objects.
fn fill<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>) -> u64 {
    let mut objects = 0;
    while m.alloc_move(list, Flags::ACYCLIC, [list], [0; 126]).is_ok() {
        objects += 1;
    }
    objects
}

/// A burst of small objects, and what goes on: as much is made as is dropped, so that no collection
/// is due. Returns the least share of the burst's height that is committed then, and how many
/// collections there were after it.
fn share_left_of_a_burst(builder: Builder, large: u32, deaths: u32) -> (f64, u64) {
    let heap = builder.release_after(Some(Duration::from_millis(1)));
    let heap = heap.limit(64 << 20).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [table, list, node]| {
            m.alloc(table, Shape::new(large, 0)).unwrap();
            let committed = || heap.statistics().committed_bytes as f64 - 8.0 * f64::from(large);
            for word in 0..200_000 {
                m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
                m.safepoint();
            }
            let (height, before) = (committed(), heap.statistics().collections);
            m.set(list, None);
            let mut least = 1.0_f64;
            for _ in 0..deaths / 2_000 {
                for _ in 0..2_000 {
                    m.alloc_init(node, Flags::NONE, [list], [0]).unwrap();
                    m.safepoint();
                }
                thread::sleep(Duration::from_millis(1));
                least = least.min(committed() / height);
                if least < 0.25 {
                    break;
                }
            }
            (least, heap.statistics().collections - before)
        })
    })
}

#[test]
fn what_a_burst_left_is_given_back() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan, Cycle::None] {
        for large in [0, 1 << 20] {
            let builder = Heap::builder().cycle(cycle);
            let (left, _) = share_left_of_a_burst(builder, large, 400_000);
            assert!(left < 0.25, "{cycle:?} beside {large} fields: {left:.2}");
        }
    }
}

/// "Never but on request" holds where memory is looked for, too.
#[test]
fn what_a_burst_left_is_given_back_without_a_collection() {
    for thresholds in [[0, 10, 10], [usize::MAX; 3]] {
        let builder = Heap::builder().thresholds(thresholds);
        let (left, collections) = share_left_of_a_burst(builder, 0, 400_000);
        assert!(
            left < 0.25 && collections == 0,
            "{thresholds:?}: {left:.2}, {collections}"
        );
    }
}

/// Objects of all sizes come and go in no order, so that blocks of cells lie between the runs of
/// large objects: at no time is more committed than the limit, and what is counted adds up.
#[test]
fn what_is_committed_stays_below_the_limit() {
    const SLOTS: usize = 256;
    for seed in 1..=2 {
        let mut state: u64 = seed;
        let mut random = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        let heap = Heap::builder()
            .limit(LIMIT)
            .release_after(None)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [table, a]| {
                m.alloc(table, Shape::new(SLOTS as u32, 0)).unwrap();
                let mut refused = 0;
                for turn in 0..20_000 {
                    // Most are small; of the large ones most have a few blocks, and some more than
                    // a chunk has.
                    let words = match random(64) {
                        0 => random(1 << 19),
                        1..4 => random(1 << 15),
                        _ => random(1 << 10),
                    };
                    // Fewer and fewer survive, and then more and more.
                    if random(20_000) < turn % 10_000 {
                        m.store(m.get(table).unwrap(), random(SLOTS as u64) as usize, None);
                    }
                    match m.alloc(a, Shape::new(0, words as u32)) {
                        Ok(()) => {
                            let slot = random(SLOTS as u64) as usize;
                            m.store(m.get(table).unwrap(), slot, m.get(a));
                        }
                        Err(_) => refused += 1,
                    }
                    let statistics = heap.statistics();
                    assert!(
                        statistics.occupied_bytes <= statistics.committed_bytes
                            && statistics.committed_bytes <= LIMIT as u64,
                        "seed {seed}, turn {turn}: {statistics:?}"
                    );
                }
                assert!(
                    (1..20_000).contains(&refused),
                    "{refused} objects did not fit"
                );
                m.verify();
            });
        });
    }
}
