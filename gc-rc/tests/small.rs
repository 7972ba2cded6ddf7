//! A little of everything, on one thread and on several: small enough for an interpreter (Miri),
//! which sees what a processor forgives. Every operation of a mutator, with every collector and way
//! of freeing.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gc_rc::{Cycle, Flags, Free, Gil, Global, Heap, Local, Mutator, Shape, Weak};

mod random;

use random::Random;

/// The number of steps: an interpreter takes some ten thousand times as long.
const STEPS: usize = if cfg!(miri) { 40 } else { 4000 };

/// Short, so that the lock changes hands often; but an interpreter takes twenty microseconds for a
/// few instructions, and would do nothing but wait in vain.
const SWITCH_INTERVAL: Duration = Duration::from_micros(if cfg!(miri) { 50_000 } else { 20 });

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
            // Small, of several classes, and large.
            let (refs, words) = [(0, 1), (1, 0), (2, 3), (40, 2), (3, 5000)][random.below(5)];
            let flags = Flags {
                finalize: random.below(4) == 0,
                acyclic: random.below(4) == 0,
            };
            m.alloc(a, Shape::new(refs, words).with(flags)).unwrap();
        }
        2 => m.alloc_init(a, Flags::NONE, [b, c], [7]).unwrap(),
        3 => m.alloc_move(a, Flags::FINALIZE, [b, b], [8, 9]).unwrap(),
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
    let random = Random::new(seed);
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
    for cycle in [Cycle::Generational, Cycle::BaconRajan, Cycle::None] {
        for (free, poison) in [(Free::Eager, false), (Free::Lazy, true)] {
            let heap = Heap::builder()
                .cycle(cycle)
                .free(free)
                .poison(poison)
                .thresholds([10, 2, 2])
                .possible_roots(10)
                .release_after(Some(Duration::ZERO))
                .build()
                .unwrap();
            mix(&heap, 5, STEPS);
            heap.attach(|m| {
                m.collect();
                m.verify();
            });
        }
    }
}

#[test]
fn threads_share_a_heap() {
    for gil in [Gil::Cpython, Gil::Fair] {
        let heap = Heap::builder()
            .gil(gil)
            .switch_interval(SWITCH_INTERVAL)
            .thresholds([20, 2, 2])
            .build()
            .unwrap();
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
                // Some by a thread that is not attached, some by the holder.
                if weaks.len() % 2 == 0 {
                    drop(global);
                } else {
                    heap.attach(|_| drop(global));
                }
                weaks.push(weak);
            }
            heap.attach(|m| m.verify());
            assert!(weaks.iter().all(|weak| weak.cleared_at().is_some()));
        });
    }
}

/// The heap goes before its handles do, and while another thread drops them.
#[test]
fn a_heap_goes_while_its_handles_are_dropped() {
    for _ in 0..if cfg!(miri) { 3 } else { 100 } {
        let heap = Heap::new();
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
