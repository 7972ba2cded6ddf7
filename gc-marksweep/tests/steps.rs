//! Recorded operations: the steps are those of the graph, and recording changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use gc_marksweep::{
    Builder, EventKind, Flags, Generations, Heap, Local, Mutator, Place, Ref, Shape, Statistics,
    Step,
};

/// The edges from each object that the roots reach.
fn reachable<'m, 'h>(m: &'m Mutator<'h>, roots: &[Ref<'m, 'h>]) -> BTreeMap<Place, Vec<Place>> {
    let mut found = BTreeMap::new();
    let mut waiting = roots.to_vec();
    while let Some(object) = waiting.pop() {
        let targets: Vec<_> = (0..m.shape(object).refs as usize)
            .filter_map(|field| m.load(object, field))
            .collect();
        let places = targets.iter().map(|&target| m.place(target)).collect();
        if found.insert(m.place(object), places).is_none() {
            waiting.extend(targets);
        }
    }
    found
}

fn marked(steps: &[Step]) -> Vec<Place> {
    (steps.iter())
        .filter_map(|step| match *step {
            Step::Marked { object, .. } => Some(object),
            _ => None,
        })
        .collect()
}

/// A graph of `objects`, with edges to and fro; every fifth object is not linked to by anything
/// before it.
fn graph<'h>(m: &mut Mutator<'h>, table: Local<'_, 'h>, objects: u32, fields: u32) {
    m.alloc(table, Shape::new(objects, 0)).unwrap();
    let mut random = 7_u64;
    let mut draw = move |below: u32| {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (random >> 33) as usize % below as usize
    };
    m.frame(|m, [object]| {
        for index in 0..objects {
            m.alloc(object, Shape::new(fields, 1)).unwrap();
            let (table, object) = (m.get(table).unwrap(), m.get(object).unwrap());
            m.set_word(object, 0, u64::from(index));
            m.store(table, index as usize, Some(object));
            for field in 0..fields as usize {
                let target = m.load(table, draw(objects));
                m.store(object, field, target);
                if let Some(target) = target {
                    m.store(target, field, Some(object));
                }
            }
        }
        // Then the table lets most of them go.
        for index in 0..objects as usize {
            if !index.is_multiple_of(50) {
                m.store(m.get(table).unwrap(), index, None);
            }
        }
    });
}

#[test]
fn what_is_reachable_is_marked_once_and_each_edge_is_followed() {
    // Workers and rings that an ordinary collection would use.
    let heap = Heap::builder()
        .marking_workers(2)
        .generations(Generations::Off)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [table, other]| {
            // The table is a large object, and scanned in pieces.
            graph(m, table, 3_000, 2);
            m.set(other, m.load(m.get(table).unwrap(), 0));
            let mut live = 0_usize;
            for collection in 0..3 {
                let edges = reachable(m, &[m.get(table).unwrap()]);
                let steps = m.collect_recorded();
                assert_eq!(steps[0], Step::Began { minor: false });
                let cleared = |step: &Step| match *step {
                    Step::Cleared { bytes, .. } => Some(bytes),
                    _ => None,
                };
                let cleared: usize = steps.iter().filter_map(cleared).sum();
                assert_eq!(cleared, if collection == 0 { 0 } else { live });
                let marked = marked(&steps);
                assert_eq!(BTreeSet::from_iter(&marked), edges.keys().collect());
                assert_eq!(marked.len(), edges.len());
                // Two roots, and every field of what is reachable.
                let mut followed = BTreeMap::<_, Vec<_>>::new();
                let mut roots = BTreeSet::new();
                for step in &steps {
                    match *step {
                        Step::Pushed {
                            from: Some(from),
                            to,
                        } => followed.entry(from).or_default().push(to),
                        Step::Pushed { from: None, to } => assert!(roots.insert(to)),
                        _ => {}
                    }
                }
                assert_eq!(
                    roots,
                    [table, other]
                        .map(|local| m.place(m.get(local).unwrap()))
                        .into()
                );
                for (object, targets) in &edges {
                    assert_eq!(followed.get(object).map_or(&[][..], Vec::as_slice), targets);
                }
                let all: usize = edges.values().map(Vec::len).sum();
                let met = steps
                    .iter()
                    .filter(|step| matches!(step, Step::Met { .. }))
                    .count();
                assert_eq!(met, 2 + all - edges.len());
                assert!(m.is_marked(m.get(other).unwrap()));

                // All but the table lie in blocks: a header, fields and a word each.
                live = (steps.iter())
                    .filter_map(|step| match *step {
                        Step::Block { live_bytes, .. } => Some(live_bytes),
                        _ => None,
                    })
                    .sum();
                assert_eq!(live, (edges.len() - 1) * 8 * (1 + 2 + 1));
            }
            m.verify();
        });
    });
}

#[test]
fn a_stack_that_is_too_small_leaves_nothing_out_of_the_record() {
    let heap = Heap::builder()
        .mark_stack_limit(0)
        .limit(64 << 20)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [table]| {
            graph(m, table, 500, 100);
            let edges = reachable(m, &[m.get(table).unwrap()]);
            let all: usize = edges.values().map(Vec::len).sum();
            let steps = m.collect_recorded();
            let pushed = |step: &&Step| matches!(step, Step::Pushed { .. });
            let pushed = steps.iter().filter(pushed).count();
            assert!(pushed > 1 + all, "nothing was scanned again");
            assert_eq!(
                BTreeSet::from_iter(marked(&steps)),
                edges.into_keys().collect()
            );
            m.verify();
        });
    });
}

#[test]
fn an_allocation_says_where_it_has_looked() {
    let heap = Heap::builder()
        .generations(Generations::Off)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [a, b, c, new]| {
            let shape = Shape::new(1, 2);
            let [first, second, third] = [a, b, c].map(|local| {
                let steps = m.alloc_recorded(local, shape).unwrap();
                let place = m.place(m.get(local).unwrap());
                let made = Step::Allocated {
                    object: place,
                    bytes: 32,
                };
                assert_eq!(steps.last(), Some(&made));
                place
            });
            m.set(b, None);
            m.collect();
            let steps = m.alloc_recorded(new, shape).unwrap();
            let swept = |from, bytes, live| Step::Swept { from, bytes, live };
            let expected = [
                swept(first, 32, true),
                swept(second, 32, false),
                Step::Hole {
                    from: second,
                    bytes: 32,
                },
                Step::Allocated {
                    object: second,
                    bytes: 32,
                },
            ];
            assert_eq!(steps, expected);
            assert_eq!(m.place(m.get(new).unwrap()), second);
            let new_object = m.get(new).unwrap();
            assert!(!m.is_marked(new_object), "allocation writes no marks");

            // The next goes on behind the third, and then there is room without a search.
            let steps = m.alloc_recorded(new, shape).unwrap();
            assert_eq!(steps[0], swept(third, 32, true));
            assert_eq!(m.alloc_recorded(new, shape).unwrap().len(), 1);

            // What is dead is not marked any more.
            m.set(a, None);
            m.collect();
            let steps = m.alloc_recorded(new, shape).unwrap();
            assert_eq!(steps[0], swept(first, 64, false));
            m.verify();
        });
    });
}

#[test]
fn an_allocation_that_collects_records_that_too() {
    let heap = Heap::builder()
        .limit(Builder::MINIMUM_LIMIT)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [list]| {
            let mut begun = 0;
            while begun < 300 {
                let steps = m.alloc_recorded(list, Shape::new(0, 100)).unwrap();
                // Minor ones clear nothing.
                let mut minor = false;
                for step in steps {
                    match step {
                        Step::Began { minor: is_minor } => {
                            minor = is_minor;
                            begun += 1;
                        }
                        Step::Cleared { .. } => assert!(!minor),
                        _ => {}
                    }
                }
            }
        });
    });
}

/// A program that drops most of what it makes, whose collections are recorded or not. Returns what
/// can be seen of the heap.
fn program(
    generations: Generations,
    recorded: bool,
) -> (Statistics, Vec<EventKind>, Vec<(usize, bool)>) {
    let heap = Heap::builder()
        .limit(4 << 20)
        .nursery(Builder::MINIMUM_NURSERY)
        .generations(generations)
        .marking_workers(1)
        .release_after(None)
        .build()
        .unwrap();
    let objects = heap.attach(|m| {
        m.frame(|m, [list, kept]| {
            for round in 0..40_000_u64 {
                if round.is_multiple_of(3) {
                    m.alloc_move(kept, Flags::NONE, [kept], [round]).unwrap();
                } else {
                    let shape = Shape::new(2, (round % 60) as u32);
                    match recorded {
                        true => drop(m.alloc_recorded(list, shape).unwrap()),
                        false => m.alloc(list, shape).unwrap(),
                    }
                    m.store(m.get(list).unwrap(), 0, m.get(kept));
                }
                if round.is_multiple_of(4_999) {
                    m.set(kept, None);
                    match recorded {
                        true => drop(m.collect_recorded()),
                        false => m.collect(),
                    }
                }
            }
            m.verify();
            let mut objects = Vec::new();
            let mut next = m.get(kept);
            while let Some(object) = next {
                objects.push((m.place(object).offset(), m.is_marked(object)));
                next = m.load(object, 0);
            }
            objects
        })
    });
    // What takes time, and memory in proportion to it, is left out.
    let kinds = (heap.take_events().events.into_iter())
        .map(|event| match event.kind {
            EventKind::Collection {
                stop,
                minor,
                explicit,
                live_bytes,
                object_bytes,
                ..
            } => EventKind::Collection {
                stop,
                stopped: 0,
                rooted: 0,
                marked: 0,
                minor,
                explicit,
                live_bytes,
                object_bytes,
                committed_bytes: 0,
                cpu_ns: 0,
            },
            kind => kind,
        })
        .filter(|kind| *kind != EventKind::Stall)
        .collect();
    (heap.statistics(), kinds, objects)
}

#[test]
fn recording_changes_nothing() {
    for generations in [Generations::Off, Generations::On] {
        let (statistics, events, objects) = program(generations, false);
        let recorded = program(generations, true);
        assert_eq!(recorded.0, statistics, "{generations:?}");
        assert_eq!(recorded.1, events, "{generations:?}");
        assert!(!objects.is_empty());
        assert_eq!(recorded.2, objects, "{generations:?}");
    }
}
