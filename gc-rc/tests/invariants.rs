//! The invariants of counting and of cycle collection, each a test of its own, over every collector
//! and way of freeing.
//!
//! | invariant | test |
//! |---|---|
//! | when nothing is pending, every count equals its references | `every_count_equals_its_references` |
//! | subtraction stays within 0 and the count; nothing of it remains after a collection | `subtraction_stays_in_bounds_and_leaves_no_marks` |
//! | a full collection frees exactly what an independent walk calls unreachable | `a_full_collection_frees_exactly_the_unreachable` |
//! | a finalizer runs at most once, what it resurrects is intact, other garbage goes | `finalizers_run_once_and_resurrect_intact` |
//! | a weak reference never yields a dead object | `weak_references_never_yield_the_dead` |
//! | a chain of ten million nodes dies on a small stack | `a_chain_of_ten_million_dies_on_a_small_stack` |
//! | one holder of the lock; a forced drop lets another run; no lost wake-up | `the_lock_excludes` here, and the loom models of `src/gil.rs` |

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use gc_rc::{Cycle, Flags, Free, Gil, Heap, Local, Mutator, Shape, Weak};

mod random;

use random::Random;

/// Every combination of collector and way of freeing, with freed cells poisoned.
fn heaps() -> impl Iterator<Item = (String, Heap)> {
    let frees = [Free::Eager, Free::Lazy];
    let all = [Cycle::Generational, Cycle::BaconRajan]
        .into_iter()
        .flat_map(move |cycle| frees.map(|free| (cycle, free, false)))
        .chain([
            (Cycle::Generational, Free::Eager, true),
            (Cycle::BaconRajan, Free::Eager, true),
        ]);
    all.map(|(cycle, free, prefetch)| {
        let heap = Heap::builder()
            .cycle(cycle)
            .free(free)
            .prefetch(prefetch)
            // Small thresholds, so that the automatic collections take part.
            .thresholds([5, 2, 2])
            .possible_roots(20)
            .poison(true)
            .build();
        (
            format!("{cycle:?}, {free:?}, prefetch {prefetch}"),
            heap.unwrap(),
        )
    })
}

/// A graph on a heap and a model of it beside: slots of a table root some of the nodes.
struct Graph {
    random: Random,
    /// The fields of each node, by the number that is its word; removed when a collection must have
    /// freed it.
    fields: HashMap<u64, Vec<Option<u64>>>,
    roots: Vec<Option<u64>>,
    weak: HashMap<u64, Weak>,
    next: u64,
}

const SLOTS: usize = 24;

impl Graph {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            fields: HashMap::new(),
            roots: vec![None; SLOTS],
            weak: HashMap::new(),
            next: 0,
        }
    }

    /// Makes a node, moves references about, or drops some.
    fn step<'h>(&mut self, m: &mut Mutator<'h>, table: Local<'_, 'h>, node: Local<'_, 'h>) {
        let random = |bound| self.random.below(bound);
        match random(10) {
            0..4 => {
                // Small and large, of several size classes; some the collector must find apart.
                let refs = [1, 2, 2, 3, 40, 5000][random(6)];
                m.alloc(node, Shape::new(refs, 1)).unwrap();
                let object = m.get(node).unwrap();
                m.set_word(object, 0, self.next);
                let slot = random(SLOTS);
                m.store(m.get(table).unwrap(), slot, Some(object));
                self.weak.insert(self.next, m.downgrade(object));
                self.fields.insert(self.next, vec![None; refs as usize]);
                self.roots[slot] = Some(self.next);
                self.next += 1;
                m.set(node, None);
            }
            4..8 => {
                let (from, to) = (random(SLOTS), random(SLOTS));
                let Some(number) = self.roots[from] else {
                    return;
                };
                let fields = self.fields.get_mut(&number).unwrap();
                // A step along a field, or an edge from here to there.
                let field = random(fields.len().min(4));
                let table = m.get(table).unwrap();
                let object = m.load(table, from).unwrap();
                if random(3) == 0 {
                    m.store(table, to, m.load(object, field));
                    self.roots[to] = fields[field];
                } else {
                    m.store(object, field, m.load(table, to));
                    fields[field] = self.roots[to];
                }
            }
            _ => {
                let slot = random(SLOTS);
                m.store(m.get(table).unwrap(), slot, None);
                self.roots[slot] = None;
            }
        }
        m.safepoint();
    }

    /// What a walk from the roots of the model finds.
    fn reachable(&self) -> HashSet<u64> {
        let mut found = HashSet::new();
        let mut todo: Vec<_> = self.roots.iter().flatten().copied().collect();
        while let Some(number) = todo.pop() {
            if found.insert(number) {
                todo.extend(self.fields[&number].iter().flatten());
            }
        }
        found
    }
}

#[test]
fn every_count_equals_its_references() {
    for (name, heap) in heaps() {
        for seed in 1..5 {
            heap.attach(|m| {
                m.frame(|m, [table, node]| {
                    let mut graph = Graph::new(seed);
                    m.alloc(table, Shape::new(SLOTS as u32, 0)).unwrap();
                    for step in 0..2000 {
                        graph.step(m, table, node);
                        if step % 100 == 0 {
                            // Recounts every edge and root, and panics with a name if a count is
                            // off.
                            m.verify();
                        }
                    }
                });
                m.verify();
            });
        }
        assert!(heap.statistics().collections > 10, "{name}");
    }
}

#[test]
fn subtraction_stays_in_bounds_and_leaves_no_marks() {
    // The bounds themselves are asserted inside the collector, in a build with debug assertions;
    // what is left, by `verify`.
    for (_, heap) in heaps() {
        heap.attach(|m| {
            m.frame(|m, [star, fan]| {
                // In-edges from none to far beyond what a side byte holds, from below and above, in
                // garbage and in what lives.
                for fans in [0, 1, 61, 62, 63, 64, 124, 125, 126, 127, 186, 10_000] {
                    m.alloc(star, Shape::new(1, 0)).unwrap();
                    for _ in 0..fans {
                        m.alloc_init(fan, Flags::NONE, [fan, star], []).unwrap();
                    }
                    m.store(m.get(star).unwrap(), 0, m.get(fan));
                    m.collect();
                    // No carry, no side byte and no mark of the search is left.
                    m.verify();
                    if fans % 2 == 0 {
                        m.set(fan, None);
                    }
                    m.collect();
                    m.verify();
                    m.set(fan, None);
                }
            });
            m.collect();
            m.verify();
        });
        let statistics = heap.statistics();
        assert_eq!(statistics.occupied_bytes, statistics.metadata_bytes);
    }
}

#[test]
fn a_full_collection_frees_exactly_the_unreachable() {
    for (name, heap) in heaps() {
        for seed in 1..8 {
            heap.attach(|m| {
                m.frame(|m, [table, node]| {
                    let mut graph = Graph::new(seed);
                    m.alloc(table, Shape::new(SLOTS as u32, 0)).unwrap();
                    for _ in 0..20 {
                        for _ in 0..300 {
                            graph.step(m, table, node);
                        }
                        m.collect();
                        let reachable = graph.reachable();
                        for (number, weak) in &graph.weak {
                            let alive = m.upgrade(weak);
                            assert_eq!(
                                alive.is_some(),
                                reachable.contains(number),
                                "{name}: node {number}"
                            );
                            assert!(alive.is_none_or(|object| m.word(object, 0) == *number));
                        }
                        graph.fields.retain(|number, _| reachable.contains(number));
                        graph.weak.retain(|number, _| reachable.contains(number));
                        let statistics = heap.statistics();
                        let live = statistics.allocated_objects - statistics.freed_objects;
                        assert_eq!(live, reachable.len() as u64 + 1, "{name}");
                    }
                })
            });
        }
    }
}

/// The last reference goes before the first one of the cycle comes: the count was zero in between,
/// and no decrement left it above.
#[test]
fn a_cycle_closed_after_its_last_reference_went_is_found() {
    for (name, heap) in heaps() {
        heap.attach(|m| {
            m.frame(|m, [a]| {
                m.alloc(a, Shape::new(1, 0)).unwrap();
                let object = m.get(a).unwrap();
                let weak = m.downgrade(object);
                m.set(a, None);
                m.store(object, 0, Some(object));
                m.safepoint();
                assert!(m.upgrade(&weak).is_some(), "{name}");
                m.collect();
                assert!(
                    m.upgrade(&weak).is_none(),
                    "{name}: the cycle was not found"
                );
                m.verify();
            })
        });
    }
}

/// A local's reference is moved into what it leads to: no count falls.
#[test]
fn a_cycle_closed_by_a_move_is_found() {
    for (name, heap) in heaps() {
        heap.attach(|m| {
            m.frame(|m, [a]| {
                for refers in [true, false] {
                    m.alloc(a, Shape::new(1, 0)).unwrap();
                    let weak = m.downgrade(m.get(a).unwrap());
                    if refers {
                        m.alloc_move(a, Flags::NONE, [a], []).unwrap();
                    }
                    m.store_move(m.upgrade(&weak).unwrap(), 0, a);
                    assert!(m.get(a).is_none());
                    m.verify();
                    assert!(m.upgrade(&weak).is_some(), "{name}");
                    m.collect();
                    assert!(m.upgrade(&weak).is_none(), "{name}: {refers}");
                    m.verify();
                }
            })
        });
    }
}

#[test]
fn finalizers_run_once_and_resurrect_intact() {
    for (name, heap) in heaps() {
        heap.attach(|m| {
            m.frame(|m, [a, b, kept, due]| {
                // Rings of three, one node of each with a finalizer and one with a tail; beside
                // them rings without.
                const RINGS: u64 = 50;
                let mut tails = Vec::new();
                for number in 0..2 * RINGS {
                    let flags = if number < RINGS {
                        Flags::FINALIZE
                    } else {
                        Flags::NONE
                    };
                    m.alloc_init(a, flags, [a, a], [number]).unwrap();
                    let first = m.get(a).unwrap();
                    m.store(first, 0, None);
                    m.store(first, 1, None);
                    m.alloc_init(b, Flags::NONE, [], [1000 + number]).unwrap();
                    tails.push(m.downgrade(m.get(b).unwrap()));
                    m.alloc_init(b, Flags::NONE, [a, b], [number]).unwrap();
                    m.alloc_init(b, Flags::NONE, [b], [number]).unwrap();
                    m.store(m.get(a).unwrap(), 0, m.get(b));
                    m.set(a, None);
                    m.set(b, None);
                }
                m.collect();
                m.verify();
                // What no finalizer reaches is gone, and nothing else.
                for (number, tail) in tails.iter().enumerate() {
                    let is_kept = number < RINGS as usize;
                    assert_eq!(
                        tail.cleared_at().is_none(),
                        is_kept,
                        "{name}: tail {number}"
                    );
                }
                let mut seen = HashSet::new();
                while m.finalizable(due) {
                    let object = m.get(due).unwrap();
                    let number = m.word(object, 0);
                    assert!(number < RINGS && seen.insert(number), "{name}: {number}");
                    let third = m.load(object, 0).unwrap();
                    let second = m.load(third, 0).unwrap();
                    assert_eq!(
                        m.load(second, 0),
                        Some(object),
                        "{name}: the ring is broken"
                    );
                    let tail = m.load(second, 1).unwrap();
                    assert_eq!(m.word(tail, 0), 1000 + number);
                    if number % 2 == 0 {
                        m.alloc_init(kept, Flags::NONE, [kept, due], []).unwrap();
                    }
                    m.set(due, None);
                }
                assert_eq!(seen.len() as u64, RINGS, "{name}");
                m.collect();
                m.verify();
                for (number, tail) in tails.iter().enumerate().take(RINGS as usize) {
                    assert_eq!(tail.cleared_at().is_none(), number % 2 == 0, "{name}");
                }
                // The resurrected die for good, and silently.
                m.set(kept, None);
                m.collect();
                assert!(!m.finalizable(due), "{name}: a finalizer was due twice");
                assert!(
                    tails.iter().all(|tail| tail.cleared_at().is_some()),
                    "{name}"
                );
            });
            m.verify();
        });
    }
}

#[test]
fn weak_references_never_yield_the_dead() {
    for (name, heap) in heaps() {
        heap.attach(|m| {
            m.frame(|m, [table, node]| {
                let mut graph = Graph::new(77);
                m.alloc(table, Shape::new(SLOTS as u32, 0)).unwrap();
                for _ in 0..5000 {
                    graph.step(m, table, node);
                    // What is yielded has its word and is an object: poison would show. What is
                    // reachable is yielded.
                    for number in graph.next.saturating_sub(40)..graph.next {
                        match m.upgrade(&graph.weak[&number]) {
                            Some(object) => assert_eq!(m.word(object, 0), number, "{name}"),
                            None => assert!(!graph.roots.contains(&Some(number)), "{name}"),
                        }
                    }
                }
            })
        });
    }
}

#[test]
fn a_chain_of_ten_million_dies_on_a_small_stack() {
    const NODES: u64 = 10_000_000;
    for free in [Free::Eager, Free::Lazy] {
        let work = move || {
            let heap = Heap::builder()
                .cycle(Cycle::None)
                .free(free)
                .build()
                .unwrap();
            heap.attach(|m| {
                m.frame(|m, [list]| {
                    for number in 0..NODES {
                        m.alloc_move(list, Flags::NONE, [list], [number]).unwrap();
                    }
                });
                m.safepoint();
                if free == Free::Lazy {
                    // Nothing but the first few is gone before somebody needs memory.
                    assert!(heap.statistics().freed_objects < 1000);
                    m.collect();
                }
            });
            heap.statistics().freed_objects
        };
        let thread = thread::Builder::new().stack_size(256 << 10);
        assert_eq!(thread.spawn(work).unwrap().join().unwrap(), NODES);
    }
}

#[test]
fn the_lock_excludes() {
    for gil in [Gil::Cpython, Gil::Fair] {
        let heap = Heap::builder()
            .gil(gil)
            .switch_interval(Duration::from_micros(100))
            .build()
            .unwrap();
        let inside = AtomicBool::new(false);
        let turns = AtomicU64::new(0);
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    heap.attach(|m| {
                        // Until the lock has changed hands often by force.
                        while heap.lock_statistics().forced_switches < 20 {
                            assert!(!inside.swap(true, Ordering::Relaxed), "two holders");
                            turns.fetch_add(1, Ordering::Relaxed);
                            inside.store(false, Ordering::Relaxed);
                            m.safepoint();
                        }
                    })
                });
            }
        });
        let lock = heap.lock_statistics();
        assert!(lock.switches >= lock.forced_switches);
        assert!(lock.takes >= lock.switches && lock.takes >= lock.contended);
        assert!(lock.drop_requests >= lock.forced_switches);
        assert_eq!(lock.waits.iter().sum::<u64>(), lock.contended);
    }
}
