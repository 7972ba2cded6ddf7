//! In which order objects die, and what a program sees of it: CPython's order as far as it can be
//! had by asking, the queue of finalizers ([`Mutator::finalizable`]) and that of cleared weak
//! references ([`Mutator::cleared`]).
//!
//! * By its count: the finalizer, while weak references still yield the object; then the weak
//!   references; then the fields, from first to last.
//! * In a cycle: the weak references of all the garbage; then the finalizers; then, without what
//!   these keep, the rest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gc_rc::{
    BuildError, Cycle, Event, EventKind, Flags, Free, Gil, Heap, Listener, Local, Mutator, Shape,
    Weak,
};

fn strict(cycle: Cycle) -> Heap {
    Heap::builder().cycle(cycle).poison(true).build().unwrap()
}

fn cleared(m: &mut Mutator<'_>) -> Vec<Weak> {
    std::iter::from_fn(|| m.cleared()).collect()
}

/// The words of the objects whose finalizers are due, in their order; they die.
fn finalized<'h>(m: &mut Mutator<'h>, due: Local<'_, 'h>) -> Vec<u64> {
    let mut words = Vec::new();
    while m.finalizable(due) {
        words.push(m.word(m.get(due).unwrap(), 0));
        m.set(due, None);
    }
    words
}

#[test]
fn by_its_count_an_object_is_finalized_while_its_weak_references_yield_it() {
    let heap = strict(Cycle::Generational);
    heap.attach(|m| {
        m.frame(|m, [a, leaf, due]| {
            m.alloc_init(leaf, Flags::NONE, [], [2]).unwrap();
            m.alloc_init(a, Flags::FINALIZE, [leaf], [1]).unwrap();
            let weak = [a, leaf].map(|local| m.downgrade(m.get(local).unwrap()));
            m.set(leaf, None);
            m.set(a, None);
            m.safepoint();
            assert!(m.finalizable(due), "the finalizer is not due");
            assert_eq!(m.upgrade(&weak[0]), m.get(due));
            assert!(m.upgrade(&weak[1]).is_some(), "its fields are gone");
            assert!(
                cleared(m).is_empty(),
                "cleared before the finalizer has run"
            );
            m.set(due, None);
            // Its own weak references first, then what it referred to.
            assert_eq!(cleared(m), weak);
            m.verify();
        })
    });
}

#[test]
fn in_a_cycle_weak_references_are_cleared_before_finalizers_are_due() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan] {
        let heap = strict(cycle);
        heap.attach(|m| {
            m.frame(|m, [a, b, due]| {
                m.alloc_init(a, Flags::FINALIZE, [a], [1]).unwrap();
                m.alloc_init(b, Flags::NONE, [a], [2]).unwrap();
                m.store(m.get(a).unwrap(), 0, m.get(b));
                let weak = [a, b].map(|local| m.downgrade(m.get(local).unwrap()));
                m.set(a, None);
                m.set(b, None);
                m.collect();
                // Both, although the finalizer keeps both alive.
                let mut gone = cleared(m);
                gone.sort_by_key(|cleared| weak.iter().position(|weak| weak == cleared));
                assert_eq!(gone, weak);
                assert!(m.finalizable(due));
                assert!(weak.iter().all(|weak| m.upgrade(weak).is_none()));
                let object = m.get(due).unwrap();
                assert_eq!(m.load(m.load(object, 0).unwrap(), 0), Some(object));
                // A weak reference that is made now is a new one, and cleared when the object
                // really dies.
                let late = m.downgrade(object);
                assert!(late != weak[0] && late.cleared_at().is_none());
                m.set(due, None);
                m.collect();
                assert_eq!(cleared(m), [late]);
                assert!(!m.finalizable(due));
                m.verify();
            })
        });
    }
}

#[test]
fn deaths_come_parent_first_and_fields_from_first_to_last() {
    let heap = strict(Cycle::Generational);
    heap.attach(|m| {
        m.frame(|m, [a, b, c, due]| {
            // 1 -> (2 -> (3, 4), 5): each with a weak reference, none with a finalizer.
            m.alloc_init(b, Flags::NONE, [], [3]).unwrap();
            m.alloc_init(c, Flags::NONE, [], [4]).unwrap();
            let (third, fourth) = (
                m.downgrade(m.get(b).unwrap()),
                m.downgrade(m.get(c).unwrap()),
            );
            m.alloc_move(b, Flags::NONE, [b, c], [2]).unwrap();
            m.alloc_init(c, Flags::NONE, [], [5]).unwrap();
            let (second, fifth) = (
                m.downgrade(m.get(b).unwrap()),
                m.downgrade(m.get(c).unwrap()),
            );
            m.alloc_move(a, Flags::NONE, [b, c], [1]).unwrap();
            let first = m.downgrade(m.get(a).unwrap());
            m.set(a, None);
            assert_eq!(cleared(m), [first, second, third, fourth, fifth]);
            // The same with finalizers: each holds up what it refers to.
            m.alloc_init(b, Flags::FINALIZE, [], [3]).unwrap();
            m.alloc_init(c, Flags::FINALIZE, [], [4]).unwrap();
            m.alloc_move(b, Flags::FINALIZE, [b, c], [2]).unwrap();
            m.alloc_init(c, Flags::FINALIZE, [], [5]).unwrap();
            m.alloc_move(a, Flags::FINALIZE, [b, c], [1]).unwrap();
            m.set(a, None);
            assert_eq!(finalized(m, due), [1, 2, 5, 3, 4]);
            // And those dropped first are due first.
            for word in [1, 2, 3] {
                m.alloc_init(a, Flags::FINALIZE, [], [word]).unwrap();
            }
            m.set(a, None);
            assert_eq!(finalized(m, due), [1, 2, 3]);
        });
        m.verify();
    });
}

#[test]
fn a_finalizer_is_due_once_also_after_resurrection_into_a_cycle() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan] {
        for free in [Free::Eager, Free::Lazy] {
            let heap = Heap::builder()
                .cycle(cycle)
                .free(free)
                .poison(true)
                .build()
                .unwrap();
            heap.attach(|m| {
                m.frame(|m, [a, due]| {
                    m.alloc(a, Shape::new(1, 1).with(Flags::FINALIZE)).unwrap();
                    m.set(a, None);
                    assert!(m.finalizable(due));
                    // Resurrected as a ring of one, which only a collection finds.
                    let object = m.get(due).unwrap();
                    m.store(object, 0, Some(object));
                    let weak = m.downgrade(object);
                    m.set(due, None);
                    m.safepoint();
                    assert!(m.upgrade(&weak).is_some());
                    m.collect();
                    assert!(!m.finalizable(due), "{cycle:?}, {free:?}");
                    assert_eq!(cleared(m), [weak]);
                    m.verify();
                })
            });
            let statistics = heap.statistics();
            assert_eq!(statistics.allocated_objects, statistics.freed_objects);
        }
    }
}

#[test]
fn a_weak_reference_knows_when_its_object_died() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan] {
        let heap = strict(cycle);
        let now = || heap.origin().elapsed().as_nanos() as u64;
        heap.attach(|m| {
            m.frame(|m, [a]| {
                m.alloc(a, Shape::new(1, 0)).unwrap();
                let weak = m.downgrade(m.get(a).unwrap());
                assert_eq!(weak.cleared_at(), None);
                let before = now();
                m.set(a, None);
                m.safepoint();
                let died = weak.cleared_at().expect("dead by its count");
                assert!((before..=now()).contains(&died));
                // A ring floats until a collection.
                m.alloc(a, Shape::new(1, 0)).unwrap();
                let object = m.get(a).unwrap();
                m.store(object, 0, Some(object));
                let weak = m.downgrade(object);
                m.set(a, None);
                m.safepoint();
                assert_eq!(weak.cleared_at(), None);
                let before = now();
                m.collect();
                assert!((before..=now()).contains(&weak.cleared_at().unwrap()));
            })
        });
        // With the heap nothing dies that anybody noticed.
        let weak = heap.attach(|m| {
            m.frame(|m, [a]| {
                m.alloc(a, Shape::new(1, 0)).unwrap();
                let object = m.get(a).unwrap();
                m.store(object, 0, Some(object));
                m.downgrade(object)
            })
        });
        drop(heap);
        assert_eq!(weak.cleared_at(), None);
    }
}

#[test]
fn lazy_freeing_is_bounded_by_what_is_allocated() {
    let heap = Heap::builder()
        .free(Free::Lazy)
        .cycle(Cycle::None)
        .poison(true)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [list, a]| {
            const NODES: u64 = 10_000;
            for word in 0..NODES {
                m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
            }
            // A large array of references, too.
            m.alloc(a, Shape::new(20_000, 0)).unwrap();
            for field in 0..20_000 {
                m.store(m.get(a).unwrap(), field, m.get(list));
            }
            m.set(a, None);
            m.set(list, None);
            m.safepoint();
            m.verify();
            let mut last = heap.statistics();
            while heap.statistics().freed_objects < NODES + 1 {
                m.alloc(a, Shape::new(0, 2)).unwrap();
                m.set(a, None);
                let now = heap.statistics();
                let objects = now.freed_objects - last.freed_objects;
                assert!(objects <= 4, "{objects} objects were freed for one");
                assert!(
                    now.allocated_objects < 2 * NODES + 20_000,
                    "what is dead piles up"
                );
                last = now;
                if now.allocated_objects.is_multiple_of(1000) {
                    m.verify();
                }
            }
            // Finished on request.
            for word in 0..NODES {
                m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
            }
            m.set(list, None);
            m.set(a, None);
            m.collect();
            let statistics = heap.statistics();
            assert_eq!(statistics.freed_objects, statistics.allocated_objects);
            m.verify();
        })
    });
}

#[test]
fn the_limit_finishes_lazy_frees_before_it_fails() {
    for cycle in [Cycle::None, Cycle::Generational, Cycle::BaconRajan] {
        let heap = Heap::builder()
            .limit(4 << 20)
            .free(Free::Lazy)
            .cycle(cycle)
            .poison(true)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [list, large]| {
                for _ in 0..20 {
                    // More than half of the limit each time, dead at once.
                    for word in 0..70_000 {
                        m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
                    }
                    m.set(list, None);
                    m.alloc(large, Shape::new(0, 300_000)).unwrap();
                    m.verify();
                    m.set(large, None);
                }
                let full = m.alloc(large, Shape::new(0, 600_000)).unwrap_err();
                assert_eq!(full.limit, 4 << 20);
            })
        });
    }
}

#[test]
fn memory_goes_back_to_the_system() {
    // At once, because the time is zero; ageing is what `Builder::release_after` says.
    for cycle in [Cycle::None, Cycle::Generational, Cycle::BaconRajan] {
        let heap = Heap::builder()
            .cycle(cycle)
            .release_after(Some(Duration::ZERO))
            .poison(true)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [list, large]| {
                for round in 0..3 {
                    for word in 0..300_000 {
                        m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
                    }
                    m.alloc(large, Shape::new(0, 50_000)).unwrap();
                    assert_eq!(m.word(m.get(large).unwrap(), 49_999), 0, "round {round}");
                    m.set_word(m.get(large).unwrap(), 49_999, 1);
                    let peak = heap.statistics();
                    assert!(peak.committed_bytes > 9_000_000);
                    assert!(
                        peak.fragmentation_bytes < peak.occupied_bytes / 5,
                        "{peak:?}"
                    );
                    assert_eq!(
                        peak.object_bytes + peak.fragmentation_bytes + peak.metadata_bytes,
                        peak.occupied_bytes
                    );
                    m.set(list, None);
                    m.set(large, None);
                    m.collect();
                    m.verify();
                    let rest = heap.statistics();
                    assert_eq!(rest.object_bytes, 0);
                    assert!(rest.committed_bytes < 1_000_000, "{rest:?}");
                    assert_eq!(rest.occupied_bytes, rest.metadata_bytes);
                }
            })
        });
    }
}

#[test]
fn large_objects_share_mappings_and_come_zeroed() {
    let heap = Heap::builder().poison(true).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [table, a]| {
            m.alloc(table, Shape::new(64, 0)).unwrap();
            // Runs of one to nine blocks, freed in another order and taken again, and one that has
            // no room in any chunk.
            for round in 0..6 {
                for slot in 0..64 {
                    let words = 5_000 + 8_000 * ((slot as u32 * 7 + round) % 9);
                    m.alloc(a, Shape::new(1, words)).unwrap();
                    let object = m.get(a).unwrap();
                    assert!(
                        (0..words as usize)
                            .step_by(511)
                            .all(|index| m.word(object, index) == 0)
                    );
                    (0..words as usize)
                        .step_by(511)
                        .for_each(|index| m.set_word(object, index, u64::MAX));
                    m.store(
                        m.get(table).unwrap(),
                        (slot * 5 + round as usize) % 64,
                        Some(object),
                    );
                }
                m.verify();
                m.alloc(a, Shape::new(0, 1 << 20)).unwrap();
                assert_eq!(m.word(m.get(a).unwrap(), (1 << 20) - 1), 0);
                m.set(a, None);
                for slot in (0..64).filter(|slot| slot % 3 != 0) {
                    m.store(m.get(table).unwrap(), slot, None);
                }
                m.collect();
                m.verify();
            }
        })
    });
    // A mapping for each would be what the objects take, with an end left over; a chunk more than
    // that is room.
    let statistics = heap.statistics();
    assert!(statistics.committed_bytes < statistics.peak_occupied_bytes + (4 << 20));
}

/// Notes what it is told, and on which thread.
#[derive(Default)]
struct Notes(Mutex<Vec<(thread::ThreadId, Event)>>);

impl Listener for Notes {
    fn event(&self, event: &Event) {
        self.0
            .lock()
            .unwrap()
            .push((thread::current().id(), *event));
    }
}

#[test]
fn listeners_hear_every_event_on_its_thread() {
    let notes = Arc::new(Notes::default());
    let heap = Heap::builder()
        .listener(notes.clone())
        .event_capacity(1)
        .thresholds([50, 3, 3])
        .gil(Gil::Fair)
        .switch_interval(Duration::from_micros(100))
        .build()
        .unwrap();
    let told = AtomicU64::new(0);
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [a]| {
                        while heap.lock_statistics().forced_switches < 10 {
                            m.alloc_init(a, Flags::NONE, [a], [0]).unwrap();
                            m.safepoint();
                        }
                        m.collect();
                    })
                });
                // Detached: everything that happened here has been told.
                let me = thread::current().id();
                let notes = notes.0.lock().unwrap();
                let mine: Vec<_> = notes.iter().filter(|note| note.0 == me).collect();
                assert!(mine.iter().all(|note| note.1.mutator == mine[0].1.mutator));
                assert!(mine.iter().any(|note| matches!(
                    note.1.kind,
                    EventKind::Collection { generation: 2, .. }
                )));
                told.fetch_add(mine.len() as u64, Ordering::Relaxed);
            });
        }
    });
    // Also those that had no room in the buffer.
    let log = heap.take_events();
    assert_eq!(told.into_inner(), log.events.len() as u64 + log.lost);
}

struct Panicking(AtomicU64);

impl Listener for Panicking {
    fn event(&self, _: &Event) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("on purpose");
    }
}

/// Attaches to the heap it listens to.
#[derive(Default)]
struct Attaching(Mutex<Option<Heap>>, AtomicU64);

impl Listener for Attaching {
    fn event(&self, _: &Event) {
        let heap = self.0.lock().unwrap().clone();
        if let Some(heap) = heap {
            heap.attach(|m| m.collect());
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_listener_may_attach_and_a_panic_in_one_goes_no_further() {
    let (panicking, notes) = (
        Arc::new(Panicking(AtomicU64::new(0))),
        Arc::new(Notes::default()),
    );
    let attaching = Arc::new(Attaching::default());
    let heap = Heap::builder()
        .listener(panicking.clone())
        .listener(attaching.clone())
        .listener(notes.clone())
        .poison(true)
        .build()
        .unwrap();
    *attaching.0.lock().unwrap() = Some(heap.clone());
    heap.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(1, 0)).unwrap();
            for round in 1..=3 {
                m.collect();
                m.safepoint();
                assert_eq!(notes.0.lock().unwrap().len(), round);
                assert_eq!(attaching.1.load(Ordering::Relaxed), round as u64);
            }
            m.verify();
        })
    });
    assert_eq!(
        panicking.0.load(Ordering::Relaxed),
        1,
        "called again after a panic"
    );
    attaching.0.lock().unwrap().take();
}

#[test]
fn lock_times_are_kept_when_asked_for() {
    let heap = Heap::builder().lock_hold_times(true).build().unwrap();
    for _ in 0..10 {
        heap.attach(|m| m.blocking(|| ()));
    }
    let lock = heap.lock_statistics();
    assert_eq!((lock.takes, lock.contended), (20, 0));
    assert_eq!(lock.holds.iter().sum::<u64>(), 20);
    assert_eq!(
        lock.switches, 10,
        "one for each attachment, which is a mutator of its own"
    );
    let plain = Heap::new();
    plain.attach(|_| ());
    assert_eq!(plain.lock_statistics().holds, [0; gc_rc::TIME_BUCKETS]);
}

#[test]
fn configurations_that_make_no_heap_say_so() {
    let error = Heap::builder()
        .event_capacity(usize::MAX)
        .build()
        .unwrap_err();
    assert_eq!(error, BuildError::EventCapacity { events: usize::MAX });
    assert!(error.to_string().contains("smaller event capacity"));
    let error = Heap::builder().possible_roots(0).build().unwrap_err();
    assert_eq!(error, BuildError::NoPossibleRoots);
}

/// Count operations are counted in a build with the feature, and only there.
#[test]
fn count_operations_are_counted_with_the_feature() {
    let heap = Heap::new();
    heap.attach(|m| {
        m.frame(|m, [a, b]| {
            m.alloc(a, Shape::new(1, 0)).unwrap();
            m.set(b, m.get(a));
            m.set(a, None);
            m.set(b, None);
            m.safepoint();
        })
    });
    let counts = heap.statistics().counts;
    if cfg!(feature = "count-statistics") {
        let counts = counts.unwrap();
        assert_eq!(
            (counts.increments, counts.to_non_zero, counts.to_zero),
            (1, 1, 1)
        );
    } else {
        assert_eq!(counts, None);
    }
}

/// `count += 1` by several threads at once: what is lost when a hand-over of the lock can fall
/// between the read and the write, and that nothing is when it cannot. Each thread goes on for as
/// many forced switches as asked for, so that it meets that many switch intervals.
fn lost_updates(switch_in_between: bool) -> (u64, u64) {
    let heap = Heap::builder()
        .switch_interval(Duration::from_micros(200))
        .build()
        .unwrap();
    let counter = heap.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc_init(a, Flags::NONE, [], [0]).unwrap();
            m.global(m.get(a).unwrap())
        })
    });
    let done = AtomicU64::new(0);
    const THREADS: u64 = 3;
    thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                heap.attach(|m| {
                    while heap.lock_statistics().forced_switches < 20 * THREADS {
                        let count = m.word(m.open(&counter), 0);
                        if switch_in_between {
                            m.safepoint();
                        }
                        m.set_word(m.open(&counter), 0, count + 1);
                        done.fetch_add(1, Ordering::Relaxed);
                        m.safepoint();
                    }
                })
            });
        }
    });
    let count = heap.attach(|m| m.word(m.open(&counter), 0));
    (count, done.into_inner())
}

#[test]
fn updates_are_lost_if_a_safepoint_falls_between_read_and_write() {
    // Half of the hand-overs fall between; that none of 60 does has a probability of 2^-60.
    let (count, done) = lost_updates(true);
    assert!(count < done, "{count} of {done}: nothing was lost");
}

#[test]
fn no_update_is_lost_if_no_safepoint_falls_between_read_and_write() {
    let (count, done) = lost_updates(false);
    assert_eq!(count, done);
}
