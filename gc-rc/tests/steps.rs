//! Recorded operations: the numbers are right, and recording changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use gc_rc::{Cycle, EventKind, Flags, Free, Heap, Local, Mutator, Place, Shape, Statistics, Step};

fn node<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, shape: Shape) -> Place {
    m.alloc(into, shape).unwrap();
    m.place(m.get(into).unwrap())
}

fn link<'h>(m: &Mutator<'h>, from: Local<'_, 'h>, field: usize, to: Local<'_, 'h>) {
    m.store(m.get(from).unwrap(), field, m.get(to));
}

fn freed(steps: &[Step]) -> Vec<Place> {
    (steps.iter())
        .filter_map(|step| match *step {
            Step::Freed { object } => Some(object),
            _ => None,
        })
        .collect()
}

#[test]
fn counts_and_pending_objects_can_be_looked_at() {
    let heap = Heap::builder().build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [a, b]| {
            node(m, a, Shape::new(2, 0));
            let inner = node(m, b, Shape::new(1, 0));
            link(m, a, 0, b);
            link(m, a, 1, b);
            let (outer_ref, inner_ref) = (m.get(a).unwrap(), m.get(b).unwrap());
            assert_eq!((m.count(outer_ref), m.count(inner_ref)), (1, 3));
            m.set(b, None);
            m.store(outer_ref, 0, None);
            assert_eq!((m.count(inner_ref), m.pending()), (1, vec![]));
            m.store(outer_ref, 1, None);
            assert_eq!((m.count(inner_ref), m.pending()), (0, vec![inner]));
            // It comes back, is not listed twice, and stays.
            m.store(outer_ref, 0, Some(inner_ref));
            m.store(outer_ref, 0, None);
            m.store(outer_ref, 0, Some(inner_ref));
            assert_eq!((m.count(inner_ref), m.pending()), (1, vec![inner]));
            let stays = Step::Drained {
                object: inner,
                count: 1,
            };
            assert_eq!(m.safepoint_recorded(), [stays]);
            assert_eq!((m.pending(), m.safepoint_recorded()), (vec![], vec![]));
        });
    });
}

#[test]
fn a_cascade_is_recorded_in_its_order() {
    let heap = Heap::builder().build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [a, b, c, shared]| {
            let places = [a, b, c, shared].map(|local| node(m, local, Shape::new(3, 0)));
            let [at, bt, ct, st] = places;
            link(m, a, 0, b);
            link(m, a, 1, c);
            link(m, b, 2, shared);
            link(m, a, 2, shared);
            let global = m.global(m.get(a).unwrap());
            [a, b, c].iter().for_each(|&local| m.set(local, None));
            assert_eq!(m.pending(), []);
            drop(global);
            let gone = |from, to, count| Step::Released { from, to, count };
            let free = |object| Step::Freed { object };
            let expected = [
                gone(None, at, 0),
                Step::Drained {
                    object: at,
                    count: 0,
                },
                gone(Some(at), st, 2),
                gone(Some(at), ct, 0),
                gone(Some(at), bt, 0),
                free(at),
                gone(Some(bt), st, 1),
                free(bt),
                free(ct),
            ];
            assert_eq!(m.safepoint_recorded(), expected);
            assert_eq!(m.count(m.get(shared).unwrap()), 1);
        });
    });
}

#[test]
fn what_a_lazy_heap_puts_off_is_recorded_when_it_is_done() {
    let heap = Heap::builder().free(Free::Lazy).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [a, b]| {
            let (at, bt) = (node(m, a, Shape::new(1, 0)), node(m, b, Shape::new(1, 0)));
            link(m, a, 0, b);
            m.set(b, None);
            m.set(a, None);
            let steps = m.safepoint_recorded();
            assert_eq!(steps[1..], [Step::Buried { object: at }]);
            let steps = m.collect_recorded();
            assert_eq!(freed(&steps), [at, bt]);
            m.verify();
        });
    });
}

/// Two rings, the first held by a local, and a table with more references to its first object than
/// a side byte holds; the second ring refers to that too. Returns the places of the first ring and
/// the table, and of the second ring, which is garbage.
fn rings<'h>(
    m: &mut Mutator<'h>,
    held: Local<'_, 'h>,
    table: Local<'_, 'h>,
) -> [BTreeSet<Place>; 2] {
    m.frame(|m, [first, last, next]| {
        let mut live = BTreeSet::from([node(m, table, Shape::new(300, 0))]);
        live.insert(node(m, held, Shape::new(2, 0)));
        m.set(last, m.get(held));
        for _ in 0..9 {
            live.insert(node(m, next, Shape::new(2, 0)));
            link(m, last, 0, next);
            m.set(last, m.get(next));
        }
        link(m, last, 0, held);
        for field in 0..300 {
            link(m, table, field, held);
        }
        let mut garbage = BTreeSet::from([node(m, first, Shape::new(2, 0))]);
        m.set(last, m.get(first));
        for _ in 0..9 {
            garbage.insert(node(m, next, Shape::new(2, 0)));
            link(m, last, 0, next);
            link(m, next, 1, held);
            m.set(last, m.get(next));
        }
        link(m, last, 0, first);
        [live, garbage]
    })
}

/// Of two passes: the balance of each object, and how many references were taken away from each.
fn balances(steps: &[Step]) -> BTreeMap<Place, (u32, u32, i64)> {
    let mut balances = BTreeMap::<Place, (u32, u32, i64)>::new();
    for step in steps {
        match *step {
            Step::Counted {
                object,
                count,
                balance,
            } => {
                let entry = balances.entry(object).or_default();
                (entry.0, entry.2) = (count, balance);
            }
            Step::Subtracted { to, balance, .. } => {
                let entry = balances.entry(to).or_default();
                entry.1 += 1;
                assert_eq!(balance, entry.2 - 1, "{step:?}");
                entry.2 = balance;
            }
            Step::Compared {
                object,
                count,
                balance,
            } => {
                let entry = balances.get_mut(&object).unwrap();
                assert_eq!(entry.0, count);
                entry.2 = balance;
            }
            Step::Searching => break,
            _ => {}
        }
    }
    balances
}

#[test]
fn counts_less_edges_are_what_comes_from_outside() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan] {
        let heap = Heap::builder().cycle(cycle).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [held, table]| {
                let [live, garbage] = rings(m, held, table);
                m.safepoint();
                let count = m.count(m.get(held).unwrap());
                assert_eq!(count, 1 + 1 + 300 + 9);
                let steps = m.collect_recorded();
                // In front is a pass in vain, or none.
                let two = steps.iter().position(|step| *step == Step::Subtracting).unwrap();
                let balances = balances(&steps[two..]);
                let [held_at, table_at] = [held, table].map(|local| m.place(m.get(local).unwrap()));
                for (&object, &(count, edges, balance)) in &balances {
                    assert_eq!(i64::from(count) - i64::from(edges), balance, "{cycle:?}");
                    let outside = match cycle {
                        // The table is no possible root: its references are from outside.
                        Cycle::BaconRajan => 301 * i64::from(object == held_at),
                        _ => i64::from(object == held_at || object == table_at),
                    };
                    assert_eq!(balance, outside, "{cycle:?}: {object:?}");
                }
                let all: i64 = balances.values().map(|&(count, ..)| i64::from(count)).sum();
                let within: i64 = balances.values().map(|&(_, edges, _)| i64::from(edges)).sum();
                assert_eq!(all - within, if cycle == Cycle::BaconRajan { 301 } else { 2 });

                assert_eq!(BTreeSet::from_iter(freed(&steps)), garbage, "{cycle:?}");
                let unreachable: BTreeSet<_> = (steps.iter())
                    .filter_map(|step| match *step {
                        Step::Unreachable { object } => Some(object),
                        _ => None,
                    })
                    .collect();
                assert_eq!(unreachable, garbage, "{cycle:?}");
                let survived = |step: &&Step| matches!(step, Step::Survived { object, .. } if live.contains(object));
                let end = Step::Ended {
                    examined: balances.len() as u64,
                    unreachable: 10,
                };
                assert_eq!(steps.iter().filter(survived).count(), balances.len() - 10);
                assert!(steps.contains(&end), "{cycle:?}");
                // Those that died had nine references to it.
                assert_eq!(m.count(m.get(held).unwrap()), 302);
                m.verify();
            });
        });
    }
}

#[test]
fn one_pass_that_succeeds_is_all_there_is() {
    let heap = Heap::builder().build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [list]| {
            for _ in 0..100 {
                m.alloc_move(list, Flags::NONE, [list], []).unwrap();
            }
            let steps = m.collect_recorded();
            assert!(steps.contains(&Step::OnePassEnded { succeeded: true }));
            assert!(!steps.contains(&Step::Subtracting));
            let presumed = |step: &&Step| matches!(step, Step::Presumed { .. });
            let reached = |step: &&Step| matches!(step, Step::Reached { .. });
            // The newest is the only one that the local holds, and comes first.
            assert_eq!(steps.iter().filter(presumed).count(), 1);
            assert_eq!(steps.iter().filter(reached).count(), 99);
            assert_eq!(freed(&steps), []);
        });
    });
}

#[test]
fn what_a_finalizer_keeps_is_recorded() {
    let heap = Heap::builder().build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [a, b, c]| {
            let shape = Shape::new(2, 0);
            let at = node(m, a, shape.with(Flags::FINALIZE));
            let (bt, ct) = (node(m, b, shape), node(m, c, shape));
            // The finalizer of a keeps b; nothing keeps c.
            link(m, a, 0, b);
            link(m, b, 0, a);
            link(m, c, 0, a);
            link(m, c, 1, c);
            let weak = m.downgrade(m.get(b).unwrap());
            [a, b, c].iter().for_each(|&local| m.set(local, None));
            let steps = m.collect_recorded();
            let due = Step::FinalizerDue {
                object: at,
                count: 3,
            };
            let cleared = steps
                .iter()
                .position(|step| *step == Step::WeakCleared { object: bt });
            let queued = steps.iter().position(|step| *step == due);
            assert!(cleared.unwrap() < queued.unwrap());
            assert_eq!(
                steps
                    .iter()
                    .filter(|step| **step == Step::Subtracting)
                    .count(),
                2
            );
            assert_eq!(freed(&steps), [ct]);
            for object in [at, bt] {
                let survived = Step::Survived {
                    object,
                    generation: 2,
                };
                assert!(steps.contains(&survived));
            }
            assert!(m.upgrade(&weak).is_none());
            assert!(m.finalizable(a));
        });
    });
}

/// A program that makes and drops cycles, shared structure and globals, and operations with or
/// without a record. Returns what can be seen of the heap.
fn program(
    builder: gc_rc::Builder,
    recorded: bool,
) -> (Statistics, Vec<EventKind>, Vec<u64>, usize) {
    let heap = builder.build().unwrap();
    let mut steps = 0;
    let words = heap.attach(|m| {
        let mut random = 1_u64;
        let mut draw = move |below: u64| {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (random >> 33) % below
        };
        let mut weaks = Vec::new();
        m.frame(|m, [table, one, two]| {
            m.alloc(table, Shape::new(64, 0)).unwrap();
            for round in 0..6_000_u64 {
                let flags = if draw(40) == 0 {
                    Flags::FINALIZE
                } else {
                    Flags::NONE
                };
                m.alloc(one, Shape::new(3, 1).with(flags)).unwrap();
                m.set_word(m.get(one).unwrap(), 0, round);
                let slot = draw(64) as usize;
                {
                    let (table, object) = (m.get(table).unwrap(), m.get(one).unwrap());
                    m.store(object, 0, m.load(table, draw(64) as usize));
                    m.store(object, 1, m.load(table, draw(64) as usize));
                    if let Some(other) = m.load(table, draw(64) as usize) {
                        m.store(other, 2, Some(object));
                    }
                    m.store(table, slot, if draw(3) == 0 { None } else { Some(object) });
                    if draw(20) == 0 {
                        weaks.push(m.downgrade(object));
                    }
                    if draw(30) == 0 {
                        drop(m.global(object));
                    }
                }
                let often = draw(10) == 0;
                match (recorded, round % 997 == 0, often) {
                    (true, true, _) => steps += m.collect_recorded().len(),
                    (false, true, _) => m.collect(),
                    (true, false, true) => steps += m.safepoint_recorded().len(),
                    (false, false, true) => m.safepoint(),
                    _ => {}
                }
                if m.finalizable(two) && draw(2) == 0 {
                    m.store(m.get(table).unwrap(), 0, m.get(two));
                }
            }
            m.set(one, None);
            m.set(two, None);
            m.verify();
            let table = m.get(table).unwrap();
            let entry = |field| Some(m.word(m.load(table, field)?, 0));
            let alive = weaks
                .iter()
                .map(|weak| u64::from(m.upgrade(weak).is_some()));
            (0..64).filter_map(entry).chain(alive).collect()
        })
    });
    let statistics = heap.statistics();
    let statistics = Statistics {
        // The room in hash tables depends on their random keys.
        occupied_bytes: statistics.occupied_bytes - statistics.metadata_bytes,
        peak_occupied_bytes: 0,
        committed_bytes: 0,
        metadata_bytes: 0,
        ..statistics
    };
    let kinds = heap
        .take_events()
        .events
        .iter()
        .map(|event| event.kind)
        .collect();
    (statistics, kinds, words, steps)
}

#[test]
fn recording_changes_nothing() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan, Cycle::None] {
        for free in [Free::Eager, Free::Lazy] {
            for prefetch in [false, true] {
                let builder = || {
                    let thresholds = [300, 3, 3];
                    Heap::builder()
                        .cycle(cycle)
                        .free(free)
                        .prefetch(prefetch)
                        .thresholds(thresholds)
                        .limit(64 << 20)
                };
                let (statistics, events, words, _) = program(builder(), false);
                let recorded = program(builder(), true);
                assert_eq!(recorded.0, statistics, "{cycle:?} {free:?}");
                assert_eq!(recorded.1, events, "{cycle:?} {free:?}");
                assert_eq!(recorded.2, words, "{cycle:?} {free:?}");
                assert!(recorded.3 > 500, "{cycle:?} {free:?}: {}", recorded.3);
                assert_eq!(cycle == Cycle::None, statistics.collections == 0);
            }
        }
    }
}
