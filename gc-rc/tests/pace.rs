//! How often the cycle collector looks, and at how much: in proportion to what the program does,
//! whatever it did before.
//!
//! Nothing here is timed. What is counted: collections, objects examined, objects and bytes in the
//! heap.

use gc_rc::{Cycle, EventKind, Flags, Free, Heap, Local, Mutator, Shape, Statistics};

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

const CYCLES: [Cycle; 2] = [Cycle::Generational, Cycle::BaconRajan];

/// Objects that automatic collections examined, and how many of these collections there were.
fn examined(heap: &Heap) -> (u64, u64) {
    let log = heap.take_events();
    assert_eq!(log.lost, 0);
    let examined = log.events.iter().filter_map(|event| match event.kind {
        EventKind::Collection { examined, .. } => Some(examined),
        _ => None,
    });
    examined.fold((0, 0), |(sum, number), examined| {
        (sum + examined, number + 1)
    })
}

fn objects(statistics: &Statistics) -> u64 {
    statistics.allocated_objects - statistics.freed_objects
}

/// Makes `number` objects that refer to themselves, and drops each. Returns the most objects that
/// there were.
fn rings(m: &mut Mutator<'_>, heap: &Heap, number: usize) -> u64 {
    m.frame(|m, [ring, null]| {
        let mut most = 0;
        for _ in 0..number {
            m.alloc_init(ring, Flags::NONE, [null], []).unwrap();
            let object = m.get(ring).unwrap();
            m.store(object, 0, Some(object));
            m.set(ring, None);
            m.safepoint();
            most = most.max(objects(&heap.statistics()));
        }
        most
    })
}

/// A list of `number` objects before what `list` holds.
fn list<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>, number: u64) {
    for word in 0..number {
        m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
        m.safepoint();
    }
}

/// Goes along a list with a local, so that every object in it loses a reference and keeps another.
fn walk<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>) {
    m.frame(|m, [at]| {
        m.set(at, m.get(list));
        while let Some(object) = m.get(at) {
            m.set(at, m.load(object, 0));
            m.safepoint();
        }
    });
}

#[test]
fn idle_collections_do_not_put_off_automatic_ones() {
    for cycle in CYCLES {
        let builder = Heap::builder().cycle(cycle).possible_roots(100);
        let heap = builder.thresholds([100, 10, 10]).build().unwrap();
        heap.attach(|m| {
            for _ in 0..40 {
                m.collect();
            }
            let before = heap.statistics().collections;
            let most = rings(m, &heap, 1000);
            assert!(most <= 110, "{cycle:?}: {most} rings were kept");
            let collections = heap.statistics().collections - before;
            assert!((9..=11).contains(&collections), "{cycle:?}: {collections}");
        });
    }
}

#[test]
fn collections_at_the_limit_do_not_put_off_automatic_ones() {
    for cycle in CYCLES {
        let builder = Heap::builder().cycle(cycle).possible_roots(100);
        let builder = builder
            .limit(gc_rc::Builder::MINIMUM_LIMIT)
            .overhead_limit(None);
        let heap = builder.thresholds([100, 10, 10]).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [full]| {
                let mut refused = 0;
                while refused < 40 {
                    if m.alloc_move(full, Flags::NONE, [full], [0]).is_err() {
                        refused += 1;
                    }
                }
            });
            m.safepoint();
            let most = rings(m, &heap, 1000);
            assert!(most <= 110, "{cycle:?}: {most} rings were kept");
        });
    }
}

/// Replaces entries of a table of `nodes` at random, each new one referring to two others, and
/// calls `each` after every operation.
fn churn(heap: &Heap, nodes: usize, operations: usize, mut each: impl FnMut()) {
    heap.attach(|m| {
        m.frame(|m, [table, new, left, right]| {
            m.alloc(table, Shape::new(nodes as u32, 0)).unwrap();
            let mut random = Random(7);
            for _ in 0..operations {
                let [i, j, k] = [(); 3].map(|()| random.below(nodes));
                let there = m.get(table).unwrap();
                m.set(left, m.load(there, j));
                m.set(right, m.load(there, k));
                m.alloc_move(new, Flags::NONE, [left, right], []).unwrap();
                let (table, node) = (m.get(table).unwrap(), m.get(new));
                if let Some(old) = m.load(table, i) {
                    // Every fourth is tied to its successor in a cycle.
                    if random.below(4) == 0 {
                        m.store(old, 0, node);
                        m.store(node.unwrap(), 1, Some(old));
                    } else {
                        m.store(old, 0, None);
                        m.store(old, 1, None);
                    }
                }
                m.store(table, i, node);
                m.set(new, None);
                m.safepoint();
                each();
            }
        });
    });
}

/// Where references lead from everything to everything, each collection of possible roots examines
/// all of it.
#[test]
fn examinations_stay_in_proportion_to_operations() {
    const NODES: usize = 5_000;
    const OPERATIONS: usize = 100_000;
    for cycle in CYCLES {
        let builder = Heap::builder().cycle(cycle).possible_roots(100);
        let heap = builder.thresholds([100, 10, 10]).build().unwrap();
        let mut most = 0;
        churn(&heap, NODES, OPERATIONS, || {
            most = most.max(objects(&heap.statistics()));
        });
        let (examined, collections) = examined(&heap);
        assert!(
            examined <= 4 * OPERATIONS as u64,
            "{cycle:?}: {examined} examined in {collections} collections"
        );
        assert!(collections >= 5, "{cycle:?}: {collections} collections");
        assert!(most <= 5 * NODES as u64, "{cycle:?}: {most} objects");
    }
}

/// Whether the cache is asked ahead depends on how a heap lies, and changes nothing of what is
/// found when.
#[test]
fn asking_the_cache_ahead_changes_nothing() {
    for cycle in CYCLES {
        let found = [false, true].map(|prefetch| {
            let heap = Heap::builder().cycle(cycle).prefetch(prefetch);
            let heap = heap.event_capacity(1 << 12).build().unwrap();
            churn(&heap, 100_000, 300_000, || ());
            heap.attach(|m| m.verify());
            let log = heap.take_events();
            let collections = log.events.into_iter().filter_map(|event| match event.kind {
                EventKind::Collection { .. } => Some(event.kind),
                _ => None,
            });
            (
                collections.collect::<Vec<_>>(),
                heap.statistics().freed_objects,
            )
        });
        assert!(found[0].0.len() >= 5, "{cycle:?}");
        assert_eq!(found[0], found[1], "{cycle:?}");
    }
}

/// Few possible roots may hold much garbage: the heap doubles at most.
#[test]
fn memory_stays_in_proportion_to_what_lives() {
    for free in [Free::Eager, Free::Lazy] {
        let heap = Heap::builder().cycle(Cycle::BaconRajan).free(free);
        let heap = heap.possible_roots(1000).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [live, first, last, null]| {
                list(m, live, 10_000);
                let room = 2 * heap.statistics().object_bytes + 64 * 1000;
                let mut most = 0;
                for _ in 0..300 {
                    m.alloc_init(first, Flags::NONE, [null], []).unwrap();
                    m.set(last, m.get(first));
                    for _ in 1..500 {
                        m.alloc_move(last, Flags::NONE, [last], []).unwrap();
                        m.safepoint();
                    }
                    m.store(m.get(first).unwrap(), 0, m.get(last));
                    m.set(first, None);
                    m.set(last, None);
                    m.safepoint();
                    most = most.max(heap.statistics().object_bytes);
                }
                // A ring more, and what a block takes.
                let room = room + 500 * 24 + (64 << 10);
                assert!(most <= room, "{free:?}: {most} bytes, room for {room}");
                let (examined, collections) = examined(&heap);
                assert!(collections >= 7, "{free:?}: {collections} collections");
                assert!(examined <= 2 * 310_000 + 20_000, "{free:?}: {examined}");
            });
        });
    }
}

/// A large structure that the program keeps touching is examined now and then at most; when it is
/// gone, so is its price.
#[test]
fn what_is_touched_is_paid_for_and_forgotten() {
    for free in [Free::Eager, Free::Lazy] {
        let heap = Heap::builder().cycle(Cycle::BaconRajan).free(free);
        let heap = heap.possible_roots(100).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [live]| {
                list(m, live, 20_000);
                for _ in 0..20 {
                    walk(m, live);
                }
                let (all, collections) = examined(&heap);
                assert!(
                    all <= 5 * 20_000,
                    "{free:?}: {all} in {collections} collections"
                );
                m.set(live, None);
                m.safepoint();
                // A lazy heap frees it by and by, and the first collection comes when there are
                // twice as many rings as then.
                rings(m, &heap, 40_000);
                let most = rings(m, &heap, 5_000);
                assert!(most <= 2 * 1024 + 10, "{free:?}: {most} rings were kept");
            });
        });
    }
}

/// What finalizers resurrect was examined in vain, and is paid for like what never was garbage.
#[test]
fn what_is_resurrected_is_paid_for() {
    const SIZE: u64 = 2_000;
    let heap = Heap::builder().cycle(Cycle::BaconRajan);
    let heap = heap.possible_roots(10).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [all, doomed]| {
            list(m, all, SIZE);
            let mut operations = 0;
            for _ in 0..20 {
                // A cycle with a finalizer holds the list alone, until the finalizer gives it back.
                m.alloc(doomed, Shape::new(2, 0).with(Flags::FINALIZE))
                    .unwrap();
                let object = m.get(doomed).unwrap();
                m.store(object, 0, Some(object));
                m.store(object, 1, m.get(all));
                m.set(all, None);
                m.set(doomed, None);
                while !m.finalizable(doomed) {
                    rings(m, &heap, 1);
                    operations += 1;
                }
                m.set(all, m.load(m.get(doomed).unwrap(), 1));
                m.set(doomed, None);
            }
            let (examined, _) = examined(&heap);
            assert!(
                examined <= 8 * operations + 2 * SIZE,
                "{examined} examined for {operations} operations"
            );
        });
    });
}

/// Looking for blocks without objects walks the heap: also where memory goes back at once, it is
/// not done at each burst of deaths.
#[test]
fn unused_memory_is_looked_for_in_proportion_to_what_is_turned_over() {
    let heap = Heap::builder().release_after(Some(std::time::Duration::ZERO));
    let heap = heap.cycle(Cycle::None).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [kept, other, burst]| {
            for _ in 0..100_000 {
                m.alloc_move(kept, Flags::NONE, [kept], [0]).unwrap();
                m.alloc_move(other, Flags::NONE, [other], [0]).unwrap();
            }
            // Half of every block is free, so that there might be some that are empty.
            m.set(other, None);
            m.safepoint();
            let committed = || heap.statistics().committed_bytes;
            let mut returned = 0;
            for _ in 0..100 {
                for _ in 0..70 {
                    m.alloc_move(burst, Flags::NONE, [burst], [0; 120]).unwrap();
                }
                let before = committed();
                m.set(burst, None);
                m.safepoint();
                returned += u64::from(committed() < before);
            }
            assert!((1..=25).contains(&returned), "{returned} times");
        });
    });
}
