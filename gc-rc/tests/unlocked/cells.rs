//! Free cells in magazines and depots: a cell is on one list, and what somebody else has of them
//! does not make a heap full.
//!
//! Poisoned heaps check each cell that they give out, but keep none in magazines. So it is the
//! words of objects that tell here: two objects in one cell would write to each other's.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use gc_rc::{Builder, Global, Heap, HeapFull, Mutator, Ref, Shape, Unlocked};

use super::{Random, in_bounded_time, live, push, rest};

on_regimes!(
    [atomic: gc_rc::Atomic, object_lock: gc_rc::ObjectLock, biased: gc_rc::Biased, deferred: gc_rc::Deferred]
    [
        cells_are_nobody_elses,
        cells_are_nobody_elses_in_a_small_heap,
        what_others_have_does_not_make_a_heap_full,
    ]
);

/// Words of objects, over all size classes and beyond.
const WORDS: [u32; 10] = [1, 2, 3, 4, 6, 10, 30, 100, 500, 1000];
/// Objects that a thread holds.
const SLOTS: usize = 200;
/// Objects on their way between threads.
const UNDERWAY: usize = 300;

/// What all threads of a test have in common.
struct Traffic<'a, R: Unlocked> {
    heap: &'a Heap<R>,
    /// Objects that one thread has made and another drops, with what their words are.
    underway: Mutex<Vec<(Global, Marks)>>,
}

/// What is in the words of an object: its mark, and numbers counted up from it.
#[derive(Clone, Copy)]
struct Marks {
    mark: u64,
    words: u32,
}

impl Marks {
    fn check<'m, 'h, R: Unlocked>(self, m: &'m Mutator<'h, R>, object: Ref<'m, 'h>) {
        for word in 0..self.words as usize {
            assert_eq!(m.word(object, word), self.mark + word as u64);
        }
    }
}

impl<R: Unlocked> Traffic<'_, R> {
    /// An attachment: makes objects of all sizes, drops its own and those of others, and looks at
    /// the words of each before.
    fn attach(&self, seed: u64, rounds: u64) {
        let random = Random::new(seed);
        self.heap.attach(|m| {
            m.frame(|m, [table, new]| {
                if m.alloc(table, Shape::new(SLOTS as u32, 0)).is_err() {
                    return;
                }
                let mut own = [None::<Marks>; SLOTS];
                for round in 0..rounds {
                    let marks = Marks {
                        mark: (seed << 40) | (round << 12),
                        words: WORDS[random.below(WORDS.len())],
                    };
                    if m.alloc(new, Shape::new(2, marks.words)).is_err() {
                        for (slot, marks) in own.iter_mut().enumerate().take(SLOTS / 2) {
                            m.store(m.get(table).unwrap(), slot, None);
                            *marks = None;
                        }
                        m.safepoint();
                        continue;
                    }
                    let object = m.get(new).unwrap();
                    for word in 0..marks.words as usize {
                        assert_eq!(m.word(object, word), 0);
                        m.set_word(object, word, marks.mark + word as u64);
                    }
                    if random.below(3) == 0 {
                        let global = m.global(object);
                        let mut underway = self.underway.lock().unwrap();
                        underway.push((global, marks));
                        if underway.len() > UNDERWAY {
                            underway.clear();
                        }
                    } else {
                        if random.below(4) == 0 {
                            m.store(object, 0, Some(object));
                        }
                        let slot = random.below(SLOTS);
                        if let Some(marks) = own[slot].replace(marks) {
                            marks.check(m, m.load(m.get(table).unwrap(), slot).unwrap());
                        }
                        m.store(m.get(table).unwrap(), slot, Some(object));
                    }
                    if random.below(3) == 0 {
                        let other = self.underway.lock().unwrap().pop();
                        if let Some((global, marks)) = other {
                            m.set(new, Some(m.open(&global)));
                            marks.check(m, m.get(new).unwrap());
                        }
                    }
                    match random.below(4000) {
                        0 => m.verify(),
                        1 => m.collect(),
                        2 => m.blocking(thread::yield_now),
                        _ => m.safepoint(),
                    }
                }
            });
        });
    }
}

/// Four threads, of which each attaches for long and for short.
fn have_threads_trade_cells<R: Unlocked>(builder: Builder) {
    // What is unused is looked for often.
    let builder = builder.release_after(Some(Duration::from_millis(2)));
    let heap = super::heap::<R>(builder);
    let traffic = Traffic {
        heap: &heap,
        underway: Mutex::default(),
    };
    let attachments: &[u64] = if cfg!(miri) {
        &[20, 100]
    } else {
        &[200, 20_000, 3000, 200, 10_000]
    };
    thread::scope(|s| {
        for thread in 0..4 {
            let traffic = &traffic;
            s.spawn(move || {
                for (seed, &rounds) in (1 + thread * 10..).zip(attachments) {
                    traffic.attach(seed, rounds);
                }
            });
        }
    });
    drop(traffic);
    heap.attach(|m| {
        m.collect();
        m.verify();
    });
    assert_eq!(live(&heap), 0);
}

fn cells_are_nobody_elses<R: Unlocked>() {
    have_threads_trade_cells::<R>(Heap::builder());
}

fn cells_are_nobody_elses_in_a_small_heap<R: Unlocked>() {
    have_threads_trade_cells::<R>(Heap::builder().limit(3 << 20).overhead_limit(None));
}

/// One thread has made and dropped most of a heap's cells, and goes on. Another finds room for as
/// much, of whatever size its objects are.
fn what_others_have_does_not_make_a_heap_full<R: Unlocked>() {
    const LIMIT: usize = 16 << 20;
    for words in [1, 3, 40] {
        let heap = super::heap::<R>(Heap::builder().limit(LIMIT));
        let (dropped, done) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|s| {
            s.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [list]| {
                        while heap.statistics().occupied_bytes < LIMIT as u64 / 16 * 13 {
                            push(m, list, 100);
                            m.safepoint();
                        }
                    });
                    rest(m);
                    dropped.store(1, SeqCst);
                    while done.load(SeqCst) == 0 {
                        m.safepoint();
                    }
                });
            });
            while dropped.load(SeqCst) == 0 {
                thread::yield_now();
            }
            let room = heap.attach(|m| {
                m.frame(|m, [list, object]| {
                    // A header, a field, words, and a unit of the regime's.
                    let bytes = 16 + 8 + 8 * words as usize + 8;
                    for _ in 0..LIMIT / 16 * 12 / bytes {
                        m.alloc(object, Shape::new(1, words))?;
                        m.store(m.get(object).unwrap(), 0, m.get(list));
                        m.set(list, m.get(object));
                        m.safepoint();
                    }
                    m.verify();
                    Ok::<_, HeapFull>(())
                })
            });
            done.store(1, SeqCst);
            room.unwrap();
        });
    }
}
