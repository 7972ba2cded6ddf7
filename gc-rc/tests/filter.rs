//! The filter of cycle collections ([`Builder::cycle_filter`]) changes nothing that can be seen:
//! what is collected in which collection, in what order, and what is said of it.

use gc_rc::{Builder, Event, EventKind, Flags, Free, Global, Heap, Local, Mutator, Shape, Weak};

mod random;

use random::Random;

impl Random {
    fn pick<T: Copy>(&self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// What a program sees of its heap. Objects are named by their first word, in order of birth.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Collection {
        generation: u8,
        examined: u64,
        unreachable: u64,
        explicit: bool,
    },
    Due(u64),
    Cleared(u64),
    Upgraded(Option<u64>),
    /// Objects made and freed, and bytes of objects.
    Heap(u64, u64, u64),
}

const LOCALS: usize = 5;
/// Fields that scripts use; large objects have more.
const FIELDS: u32 = 3;

/// A script of random operations, which depends on its seed and on what it sees.
struct Script {
    random: Random,
    seen: Vec<Seen>,
    globals: Vec<Global>,
    weak: Vec<(Weak, u64)>,
    born: u64,
}

impl Script {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            seen: Vec::new(),
            globals: Vec::new(),
            weak: Vec::new(),
            born: 0,
        }
    }

    fn birth(&mut self) -> u64 {
        self.born += 1;
        self.born
    }

    /// Goes from a local along fields, into another local.
    fn walk<'h>(&self, m: &mut Mutator<'h>, from: Local<'_, 'h>, into: Local<'_, 'h>) {
        let mut object = m.get(from);
        for _ in 0..self.random.below(4) {
            let field = self.random.below(FIELDS as usize);
            let next = object
                .filter(|&object| field < m.shape(object).refs as usize)
                .and_then(|object| m.load(object, field));
            object = next.or(object);
        }
        m.set(into, object);
    }

    fn step<'h>(&mut self, m: &mut Mutator<'h>, locals: [Local<'_, 'h>; LOCALS]) {
        let [a, b, c] = [(); 3].map(|()| self.random.pick(&locals));
        match self.random.below(24) {
            0..4 => {
                let refs = self.random.pick(&[0, 1, 2, 2, 3, 3, 3, 9000]);
                let flags = self.random.pick(&[
                    Flags::NONE,
                    Flags::NONE,
                    Flags::NONE,
                    Flags::NONE,
                    Flags::FINALIZE,
                    Flags::ACYCLIC,
                ]);
                m.alloc(a, Shape::new(refs, 1).with(flags)).unwrap();
                m.set_word(m.get(a).unwrap(), 0, self.birth());
            }
            4 => {
                let flags = self.random.pick(&[Flags::NONE, Flags::FINALIZE]);
                m.alloc_init(a, flags, [b, c], [self.birth()]).unwrap();
            }
            5..7 => {
                let flags = self.random.pick(&[Flags::NONE, Flags::FINALIZE]);
                m.alloc_move(a, flags, [b, c], [self.birth()]).unwrap();
            }
            7..14 => {
                let (from, to) = (m.get(a), m.get(b).filter(|_| self.random.below(5) > 0));
                let field = self.random.below(FIELDS as usize);
                if let Some(from) = from.filter(|&from| field < m.shape(from).refs as usize) {
                    if self.random.below(3) == 0 {
                        m.store_move(from, field, b);
                    } else {
                        m.store(from, field, to);
                    }
                }
            }
            14..17 => self.walk(m, a, b),
            17 | 18 => m.set(a, None),
            19 => match m.get(a) {
                Some(object) if self.random.below(2) == 0 => self.globals.push(m.global(object)),
                _ if self.globals.is_empty() => {}
                _ => {
                    let index = self.random.below(self.globals.len());
                    if self.random.below(3) == 0 {
                        m.set(a, Some(m.open(&self.globals[index])));
                    } else {
                        self.globals.swap_remove(index);
                    }
                }
            },
            20 => match m.get(a) {
                Some(object) if self.random.below(2) == 0 => {
                    self.weak.push((m.downgrade(object), m.word(object, 0)));
                }
                _ if self.weak.is_empty() => {}
                _ => {
                    let index = self.random.below(self.weak.len());
                    let object = m.upgrade(&self.weak[index].0);
                    let seen = object.map(|object| m.word(object, 0));
                    m.set(a, object);
                    self.seen.push(Seen::Upgraded(seen));
                }
            },
            21 => {
                if m.finalizable(a) {
                    self.seen.push(Seen::Due(m.word(m.get(a).unwrap(), 0)));
                    if self.random.below(2) == 0 {
                        m.set(a, None);
                    }
                }
            }
            22 => {
                while let Some(weak) = m.cleared() {
                    let known = self.weak.iter().find(|(known, _)| *known == weak);
                    self.seen.push(Seen::Cleared(known.unwrap().1));
                }
            }
            _ if self.random.below(8) == 0 => m.collect(),
            // What a frame's end lets go.
            _ => m.frame(|m, [held]| {
                m.set(held, m.get(a));
                m.set(a, None);
                m.safepoint();
                m.set(b, m.get(held));
            }),
        }
        m.safepoint();
    }

    fn look(&mut self, heap: &Heap) {
        let collection = |event: Event| match event.kind {
            EventKind::Collection {
                generation,
                examined,
                unreachable,
                explicit,
            } => Some(Seen::Collection {
                generation,
                examined,
                unreachable,
                explicit,
            }),
            _ => None,
        };
        let events = heap.take_events().events;
        self.seen.extend(events.into_iter().filter_map(collection));
        let of = heap.statistics();
        self.seen.push(Seen::Heap(
            of.allocated_objects,
            of.freed_objects,
            of.object_bytes,
        ));
    }
}

/// What is seen of `steps` of a script.
fn play(builder: Builder, seed: u64, steps: usize) -> Vec<Seen> {
    let heap = builder.poison(true).build().unwrap();
    let mut script = Script::new(seed);
    heap.attach(|m| {
        m.frame(|m, locals: [_; LOCALS]| {
            for step in 0..steps {
                script.step(m, locals);
                script.look(&heap);
                if step % 64 == 0 {
                    // Names a cycle that no suspect is in.
                    m.verify();
                }
            }
        });
        script.globals.clear();
        m.collect();
        while m.cleared().is_some() {}
        m.verify();
    });
    script.look(&heap);
    script.seen
}

/// Plays a script with and without the filter. Returns how many objects were found unreachable, by
/// automatic collections of each generation.
fn compare(builder: &Builder, seed: u64, steps: usize) -> [u64; 3] {
    let seen = play(builder.clone().cycle_filter(true), seed, steps);
    let expected = play(builder.clone().cycle_filter(false), seed, steps);
    let differs = seen.iter().zip(&expected).position(|(a, b)| a != b);
    if let Some(index) = differs {
        panic!(
            "{builder:?}, seed {seed}: {:?} with the filter, {:?} without",
            seen[index], expected[index]
        );
    }
    assert_eq!(seen.len(), expected.len());
    let mut found = [0; 3];
    for seen in seen {
        if let Seen::Collection {
            generation,
            unreachable,
            explicit: false,
            ..
        } = seen
        {
            found[generation as usize] += unreachable;
        }
    }
    found
}

#[test]
fn it_changes_nothing_with_any_thresholds() {
    let mut found = [0; 3];
    for first in [0, 1, 2, 3, 5, 8, 13, 40] {
        for second in [0, 1, 3] {
            for third in [0, 2] {
                let builder = Heap::builder().thresholds([first, second, third]);
                for seed in 1..4 {
                    let more = compare(&builder, seed * 1000 + first as u64, 600);
                    found = std::array::from_fn(|index| found[index] + more[index]);
                }
            }
        }
    }
    // There was something to miss, in each generation.
    assert!(found.iter().all(|&objects| objects > 100), "{found:?}");
}

#[test]
fn it_changes_nothing_with_other_settings() {
    let builders = [
        Heap::builder().free(Free::Lazy),
        Heap::builder().stress(true),
        Heap::builder().prefetch(true),
        Heap::builder().oldest_growth(0),
        Heap::builder().oldest_growth(500),
        Heap::builder().free(Free::Lazy).oldest_growth(0),
    ];
    for builder in builders {
        for thresholds in [[3, 1, 1], [10, 2, 2]] {
            for seed in 1..12 {
                compare(&builder.clone().thresholds(thresholds), seed, 800);
            }
        }
    }
}

/// More objects than the filter ever looks at without counting the cost.
#[test]
fn it_changes_nothing_where_suspects_reach_much_or_little() {
    for seed in 1..3 {
        compare(&Heap::builder().thresholds([700, 10, 10]), seed, 20_000);
        compare(&Heap::builder().thresholds([200, 2, 2]), seed, 20_000);
    }
}

/// A heap of which everything is due at once, and only by request.
fn on_request() -> Heap {
    Heap::builder()
        .thresholds([0, 0, 0])
        .poison(true)
        .build()
        .unwrap()
}

/// Drops what locals hold, and expects the object of `weak` to be garbage that a collection finds.
fn expect_found<'h>(m: &mut Mutator<'h>, locals: &[Local<'_, 'h>], weak: &Weak, what: &str) {
    m.verify();
    locals.iter().for_each(|&local| m.set(local, None));
    m.safepoint();
    assert!(m.upgrade(weak).is_some(), "{what}: counting was enough");
    m.collect();
    assert!(m.upgrade(weak).is_none(), "{what}: not found");
    m.verify();
}

/// Every way in which the last edge of a cycle comes to be, and the last reference to it goes.
#[test]
fn cycles_are_found_however_they_were_closed() {
    let pair = Shape::new(2, 0);
    on_request().attach(|m| {
        m.frame(|m, [a, b, c]| {
            // To itself, and no field has ever referred to it.
            m.alloc(a, pair).unwrap();
            m.store(m.get(a).unwrap(), 1, m.get(a));
            let weak = m.downgrade(m.get(a).unwrap());
            expect_found(m, &[a, b], &weak, "itself");

            // Both new, by two stores.
            m.alloc(a, pair).unwrap();
            m.alloc(b, pair).unwrap();
            m.store(m.get(a).unwrap(), 0, m.get(b));
            m.store(m.get(b).unwrap(), 0, m.get(a));
            let weak = m.downgrade(m.get(a).unwrap());
            expect_found(m, &[a, b], &weak, "two stores");

            // Into what was moved, reached through what it was moved into: no count ever falls but
            // the last.
            m.alloc(a, pair).unwrap();
            m.alloc_move(b, Flags::NONE, [a], []).unwrap();
            let moved = m.load(m.get(b).unwrap(), 0).unwrap();
            m.store(moved, 0, m.get(b));
            let weak = m.downgrade(moved);
            expect_found(m, &[a, b], &weak, "a move");

            // Moved into what it refers to, and into itself: no count falls at all.
            m.alloc(a, pair).unwrap();
            m.alloc_move(b, Flags::NONE, [a], []).unwrap();
            let inner = m.load(m.get(b).unwrap(), 0).unwrap();
            let weak = m.downgrade(inner);
            m.store_move(inner, 0, b);
            expect_found(m, &[], &weak, "moved into what it refers to");
            m.alloc(a, pair).unwrap();
            let weak = m.downgrade(m.get(a).unwrap());
            m.store_move(m.get(a).unwrap(), 1, a);
            expect_found(m, &[], &weak, "moved into itself");

            // The same with a copy, and a local that takes its place.
            m.alloc(a, pair).unwrap();
            m.alloc_init(a, Flags::NONE, [a, b], []).unwrap();
            m.store(m.load(m.get(a).unwrap(), 0).unwrap(), 0, m.get(a));
            let weak = m.downgrade(m.get(a).unwrap());
            expect_found(m, &[a], &weak, "a copy");

            // By way of a large object, which is not in any block, and is new or old.
            for collects in [false, true] {
                m.alloc(a, Shape::new(20_000, 0)).unwrap();
                if collects {
                    m.collect();
                }
                m.alloc_init(b, Flags::NONE, [a], []).unwrap();
                m.store(m.get(a).unwrap(), 19_999, m.get(b));
                let weak = m.downgrade(m.get(b).unwrap());
                expect_found(m, &[a, b], &weak, "a large object");
            }

            // An edge that was there before, gone in between.
            m.alloc(a, pair).unwrap();
            m.alloc_init(b, Flags::NONE, [a], []).unwrap();
            m.store(m.get(b).unwrap(), 0, None);
            m.collect();
            m.store(m.get(a).unwrap(), 0, m.get(b));
            m.store(m.get(b).unwrap(), 0, m.get(a));
            let weak = m.downgrade(m.get(b).unwrap());
            expect_found(m, &[a, b], &weak, "an edge that came back");

            // A long way round, closed at its middle, and garbage that hangs on it by a tree.
            m.alloc(a, pair).unwrap();
            for _ in 0..10 {
                m.alloc_init(b, Flags::NONE, [c, c], []).unwrap();
                m.alloc_init(c, Flags::NONE, [b, c], []).unwrap();
            }
            let hanging = m.downgrade(m.get(b).unwrap());
            m.alloc_init(b, Flags::NONE, [a, c], []).unwrap();
            m.store(m.get(a).unwrap(), 0, m.get(b));
            let weak = m.downgrade(m.get(a).unwrap());
            expect_found(m, &[a, b, c], &weak, "a long way");
            assert!(m.upgrade(&hanging).is_none(), "what hangs on a cycle");
        });
    });
}

/// What was noted of an object stays when it grows old, and when everything around it goes.
#[test]
fn cycles_are_found_at_any_age() {
    let heap = Heap::builder().thresholds([10, 1, 1]).poison(true).build();
    let heap = heap.unwrap();
    heap.attach(|m| {
        m.frame(|m, [a, b, list]| {
            for age in 0..200 {
                m.alloc(a, Shape::new(1, 0)).unwrap();
                m.alloc_init(b, Flags::NONE, [a], []).unwrap();
                if age % 2 == 0 {
                    m.store(m.get(a).unwrap(), 0, m.get(b));
                }
                for _ in 0..age {
                    m.alloc_move(list, Flags::NONE, [list], []).unwrap();
                    m.safepoint();
                }
                m.store(m.get(a).unwrap(), 0, m.get(b));
                let weak = m.downgrade(m.get(a).unwrap());
                if age % 3 == 0 {
                    m.collect();
                }
                expect_found(m, &[a, b, list], &weak, "an old cycle");
            }
        });
    });
}

/// An object that its finalizer brings back has the fields that it had.
#[test]
fn cycles_of_the_resurrected_are_found() {
    for free in [Free::Eager, Free::Lazy] {
        for by_cascade in [false, true] {
            let heap = Heap::builder()
                .thresholds([0, 0, 0])
                .free(free)
                .poison(true);
            heap.build().unwrap().attach(|m| {
                m.frame(|m, [child, object, parent]| {
                    m.alloc(child, Shape::new(1, 0)).unwrap();
                    m.alloc_init(object, Flags::FINALIZE, [child], []).unwrap();
                    if by_cascade {
                        m.alloc_move(parent, Flags::NONE, [object], []).unwrap();
                    }
                    m.set(parent, None);
                    m.set(object, None);
                    m.collect();
                    assert!(m.finalizable(object));
                    // No store to a field of the object since it is back.
                    m.store(m.get(child).unwrap(), 0, m.get(object));
                    let weak = m.downgrade(m.get(child).unwrap());
                    expect_found(m, &[child, object], &weak, "resurrected");
                });
            });
        }
    }
}

/// Threads take part in one cycle.
#[test]
fn cycles_of_several_threads_are_found() {
    let heap = on_request();
    heap.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(1, 0)).unwrap();
            let weak = m.downgrade(m.get(a).unwrap());
            let global = m.global(m.get(a).unwrap());
            m.blocking(|| {
                std::thread::scope(|s| {
                    s.spawn(|| {
                        heap.attach(|m| {
                            m.frame(|m, [a, b]| {
                                m.set(a, Some(m.open(&global)));
                                m.alloc_move(b, Flags::NONE, [a], []).unwrap();
                                m.store(m.open(&global), 0, m.get(b));
                                m.collect();
                            });
                        });
                    });
                });
            });
            drop(global);
            expect_found(m, &[a], &weak, "two threads");
        });
    });
}

/// More edges to one object than its header counts during a collection.
#[test]
#[cfg_attr(miri, ignore = "makes half a million objects")]
fn edges_beyond_what_a_header_counts_are_counted() {
    const EDGES: u64 = 600_000;
    let heap = on_request();
    heap.attach(|m| {
        m.frame(|m, [star, fan]| {
            m.alloc(star, Shape::new(1, 0)).unwrap();
            for _ in 0..EDGES / 2 {
                m.alloc_init(fan, Flags::NONE, [fan, star, star], [])
                    .unwrap();
            }
            m.store(m.get(star).unwrap(), 0, m.get(fan));
            let weak = m.downgrade(m.get(star).unwrap());
            m.set(fan, None);
            m.collect();
            assert!(m.upgrade(&weak).is_some());
            expect_found(m, &[star], &weak, "a star");
        });
    });
    assert_eq!(heap.statistics().freed_objects, EDGES / 2 + 1);
}

/// Rings of all sizes, so that suspects reach little, much, and just as much as is too much.
#[test]
fn rings_are_found_whatever_their_size() {
    on_request().attach(|m| {
        m.frame(|m, [list, first, last]| {
            for _ in 0..500 {
                m.alloc_move(list, Flags::NONE, [list], []).unwrap();
            }
            for nodes in (1..400).chain([2000]) {
                m.alloc(first, Shape::new(1, 0)).unwrap();
                m.set(last, m.get(first));
                for _ in 1..nodes {
                    m.alloc_move(last, Flags::NONE, [last], []).unwrap();
                }
                m.store(m.get(first).unwrap(), 0, m.get(last));
                let weak = m.downgrade(m.get(first).unwrap());
                m.set(first, None);
                m.set(last, None);
                m.collect();
                assert!(m.upgrade(&weak).is_none(), "a ring of {nodes}");
            }
            m.verify();
        });
    });
}
