//! A little of everything, on one thread and on several: small enough for an interpreter (Miri),
//! which sees what a processor forgives. Every operation of a mutator, with generations and
//! without.

use std::cell::Cell;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gc_marksweep::{Flags, Generations, Global, Heap, Local, Mutator, Shape, Weak};

/// xorshift64*.
struct Random(Cell<u64>);

impl Random {
    fn below(&self, bound: usize) -> usize {
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

/// The number of steps: an interpreter takes some ten thousand times as long.
const STEPS: usize = if cfg!(miri) { 40 } else { 4000 };

fn heap(generations: Generations, poison: bool) -> Heap {
    Heap::builder()
        .limit(if cfg!(miri) { 1 << 19 } else { 2 << 20 })
        .generations(generations)
        .nursery(64 << 10)
        .poison(poison)
        .marking_workers(2)
        .mark_stack_limit(0)
        .release_after(Some(Duration::ZERO))
        .build()
        .unwrap()
}

/// What a mutator keeps beside its locals.
#[derive(Default)]
struct Kept {
    globals: Vec<Global>,
    weaks: Vec<Weak>,
}

fn step<'h>(m: &mut Mutator<'h>, locals: [Local<'_, 'h>; 4], kept: &mut Kept, random: &Random) {
    let [a, b, c, d] = [(); 4].map(|()| locals[random.below(4)]);
    match random.below(14) {
        0 | 1 => {
            // Small, medium and large.
            let (refs, words) =
                [(0, 1), (1, 0), (2, 3), (40, 2), (3, 2000), (1200, 1)][random.below(6)];
            let flags = Flags {
                finalize: random.below(4) == 0,
                acyclic: random.below(4) == 0,
            };
            // A full heap is an answer.
            _ = m.alloc(a, Shape::new(refs, words).with(flags));
        }
        2 => _ = m.alloc_init(a, Flags::NONE, [b, c], [7]),
        3 => _ = m.alloc_move(a, Flags::FINALIZE, [b, b], [8, 9]),
        4 | 5 => {
            if let Some(object) = m.get(a)
                && m.shape(object).refs > 0
            {
                let field = random.below(m.shape(object).refs as usize);
                m.store(object, field, m.get(b));
                m.set(c, m.load(object, field));
            }
        }
        6 => {
            if let Some(object) = m.get(a)
                && m.shape(object).words > 0
            {
                let word = random.below(m.shape(object).words as usize);
                m.set_word(object, word, m.word(object, word) + 1);
            }
        }
        7 => m.set(a, None),
        8 => {
            if let Some(object) = m.get(a) {
                kept.globals.push(m.global(object));
                kept.weaks.push(m.downgrade(object));
            }
        }
        9 => {
            let Kept { globals, weaks } = kept;
            if !globals.is_empty() {
                let global = globals.swap_remove(random.below(globals.len()));
                m.set(a, Some(m.open(&global)));
                let clone = global.clone();
                drop(global);
                m.set(b, Some(m.open(&clone)));
            }
            if !weaks.is_empty() {
                let weak = weaks.swap_remove(random.below(weaks.len()));
                m.set(c, m.upgrade(&weak));
            }
        }
        10 => m.safepoint(),
        11 => m.blocking(thread::yield_now),
        12 => {
            _ = m.finalizable(d);
            while m.cleared().is_some() {}
            m.frame(|m, [inner]| m.set(inner, m.get(a)));
        }
        _ if random.below(4) == 0 => m.collect(),
        _ => {}
    }
}

fn mix(heap: &Heap, seed: u64, steps: usize) {
    let random = Random(Cell::new(2 * seed + 1));
    let mut kept = Kept::default();
    heap.attach(|m| {
        m.frame(|m, locals: [_; 4]| {
            for number in 0..steps {
                step(m, locals, &mut kept, &random);
                // It looks at every cell: an interpreter waits for the one at the end.
                if !cfg!(miri) && number % (steps / 2) == 0 {
                    m.verify();
                }
            }
        });
    });
}

#[test]
fn every_operation_with_every_setting() {
    for generations in [Generations::Off, Generations::On, Generations::Auto] {
        let heap = heap(generations, generations == Generations::On);
        mix(&heap, 5, STEPS);
        heap.attach(|m| {
            m.collect();
            m.verify();
        });
    }
}

#[test]
fn threads_share_a_heap() {
    for generations in [Generations::Off, Generations::On] {
        let heap = heap(generations, false);
        let (sender, receiver) = mpsc::channel::<(Global, Weak)>();
        thread::scope(|s| {
            for seed in 0..2 {
                let (heap, sender) = (&heap, sender.clone());
                s.spawn(move || {
                    mix(heap, seed, STEPS / 2);
                    // What is made here is read and dropped there, also after this thread has
                    // ended.
                    for number in 0..5 {
                        let sent = heap.attach(|m| {
                            m.frame(|m, [a, b]| {
                                m.alloc_init(a, Flags::NONE, [], [number]).unwrap();
                                m.alloc_init(b, Flags::NONE, [a], [number]).unwrap();
                                let object = m.get(b).unwrap();
                                (m.global(object), m.downgrade(object))
                            })
                        });
                        let clone = sent.0.clone();
                        sender.send(sent).unwrap();
                        drop(clone);
                    }
                });
            }
            drop(sender);
            let mut weaks = Vec::new();
            for (global, weak) in receiver {
                heap.attach(|m| {
                    let object = m.open(&global);
                    let child = m.load(object, 0).unwrap();
                    assert_eq!(m.word(child, 0), m.word(object, 0));
                    assert!(m.upgrade(&weak) == Some(object));
                });
                drop(global);
                weaks.push(weak);
            }
            heap.attach(|m| {
                m.collect();
                m.verify();
            });
            assert!(weaks.iter().all(|weak| weak.cleared_at().is_some()));
        });
    }
}

/// One thread publishes new objects in fields of a shared one, two others read them there: nothing
/// but the field orders what they do, and whoever sees an object sees it whole.
#[test]
fn an_object_that_is_seen_is_whole() {
    let rounds: u64 = if cfg!(miri) { 40 } else { 10_000 };
    let heap = heap(Generations::On, false);
    let table = heap.attach(|m| {
        m.frame(|m, [table]| {
            m.alloc(table, Shape::new(4, 1)).unwrap();
            m.global(m.get(table).unwrap())
        })
    });
    thread::scope(|s| {
        s.spawn(|| {
            heap.attach(|m| {
                m.frame(|m, [leaf, object]| {
                    for number in 0..rounds {
                        m.alloc_init(leaf, Flags::NONE, [], [number]).unwrap();
                        m.alloc(object, Shape::new(1, 2)).unwrap();
                        let new = m.get(object).unwrap();
                        m.set_word(new, 0, number);
                        m.set_word(new, 1, !number);
                        m.store(new, 0, m.get(leaf));
                        m.store(m.open(&table), number as usize % 4, Some(new));
                        m.safepoint();
                    }
                });
            });
        });
        for _ in 0..2 {
            s.spawn(|| {
                heap.attach(|m| {
                    for round in 0..rounds {
                        if let Some(object) = m.load(m.open(&table), round as usize % 4) {
                            let number = m.word(object, 0);
                            assert_eq!(m.word(object, 1), !number);
                            assert_eq!(m.shape(object), Shape::new(1, 2));
                            assert_eq!(m.word(m.load(object, 0).unwrap(), 0), number);
                        }
                        m.safepoint();
                    }
                });
            });
        }
    });
}

/// The heap goes before its handles do, and while another thread drops them.
#[test]
fn a_heap_goes_while_its_handles_are_dropped() {
    for _ in 0..if cfg!(miri) { 3 } else { 100 } {
        let heap = heap(Generations::Auto, false);
        let handles: Vec<_> = heap.attach(|m| {
            m.frame(|m, [a]| {
                let handle = |number: u64| {
                    m.alloc_init(a, Flags::NONE, [], [number]).unwrap();
                    let object = m.get(a).unwrap();
                    (
                        m.global(object),
                        m.global(object).clone(),
                        m.downgrade(object),
                    )
                };
                (0..4).map(handle).collect()
            })
        });
        thread::scope(|s| {
            s.spawn(move || drop(handles));
            drop(heap);
        });
    }
}
