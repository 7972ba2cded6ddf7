//! When to look for cycles, and at which objects: the generations of CPython 3.13 (`gc_collect_generations` and
//! `gc_collect_main` in `Python/gc.c`).
//!
//! * The count of generation 0 goes up when a tracked object is allocated and down when one is freed, never below zero. When it
//!   exceeds its threshold, a collection is requested; it happens at the next safepoint, of the oldest generation whose count exceeds its threshold.
//! * The count of generation *g* + 1 goes up when *g* is collected; collecting *g* zeroes the counts of 0 to *g* and
//!   takes their objects along. Survivors join generation *g* + 1 (of the oldest: stay).
//! * The oldest is left alone while what has come to it since its last collection is less than a quarter of what survived
//!   that: without this, a growing heap would be collected a quadratic number of times.
//!
//! # Where the generations are
//!
//! CPython threads each generation on a doubly linked list through a 16-byte head of every object. Here an object's generation is two bits of its tag, and
//! only the young ones need to be found without a walk of the heap:
//!
//! 1. A small object of generation 0 is listed in the *young* buffer, one of generation 1 in the *middle* buffer.
//! 2. A *cell* is listed at most once in each: a bit of its tag for each buffer says that it is, and both stay as they are
//!    when the cell is freed and reused.
//! 3. Entries may be stale: those whose cell is free, or holds an object of another generation. They are skipped, and leave when the buffer is next
//!    emptied. No block goes back while a buffer lists a cell of it ([`crate::alloc`], invariant 3).
//! 4. Large objects are in no buffer, but in one vector for each generation.
//!
//! By (2) a program that frees and allocates in balance writes to no buffer at all: the cell it gets is listed already. Generation 2 is
//! not listed: it is only ever collected together with everything else, by walking the blocks in address order.
//! Objects without fields, and those whose client calls them acyclic, are untracked: in no generation.
//!
//! CPython also untracks tuples and dictionaries that turn out to hold nothing tracked; there are no such types here.

use std::cell::Cell;
use std::time::Instant;

use crate::alloc::side_byte;
use crate::buffer::Buffer;
use crate::cycle::{AbortOnUnwind, Candidates, Cycle};
use crate::event::EventKind;
use crate::gil::COLLECT;
use crate::heap::Locked;
use crate::object::{Object, tag};
use crate::primitive::Ordering;

/// The oldest generation.
pub(crate) const OLDEST: usize = 2;

/// The generations' state.
pub(crate) struct Generational {
    enabled: bool,
    thresholds: [usize; 3],
    /// The count of generation 0 that requests a collection.
    trigger: usize,
    counts: [Cell<usize>; 3],
    young: Buffer,
    middle: Buffer,
    /// Objects that survived the last full collection.
    long_lived_total: Cell<usize>,
    /// Objects that have come to the oldest generation since.
    long_lived_pending: Cell<usize>,
}

impl Generational {
    pub(crate) fn new(cycle: Cycle, thresholds: [usize; 3]) -> Self {
        let enabled = cycle == Cycle::Generational;
        let automatic = enabled && thresholds[0] > 0;
        Self {
            enabled,
            thresholds,
            trigger: if automatic {
                thresholds[0].saturating_add(1)
            } else {
                usize::MAX
            },
            counts: Default::default(),
            young: Buffer::default(),
            middle: Buffer::default(),
            long_lived_total: Cell::new(0),
            long_lived_pending: Cell::new(0),
        }
    }

    /// Whether there is a cycle collector at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// A tracked object is made in `cell`, whose head was `old`. Returns whether a collection is now due.
    #[inline(always)]
    pub(crate) fn allocated(&self, cell: Object, old: u64) -> bool {
        if old & tag::IN_YOUNG == 0 {
            self.young.push(cell);
        }
        let count = self.counts[0].get() + 1;
        self.counts[0].set(count);
        count == self.trigger
    }

    /// So many tracked objects were freed.
    #[inline(always)]
    pub(crate) fn freed(&self, objects: usize) {
        self.counts[0].set(self.counts[0].get().saturating_sub(objects));
    }

    /// The generation to collect, by CPython's rule.
    fn due(&self) -> Option<usize> {
        (0..=OLDEST).rev().find(|&generation| {
            self.counts[generation].get() > self.thresholds[generation]
                && (generation < OLDEST
                    || self.long_lived_pending.get() >= self.long_lived_total.get() / 4)
        })
    }

    /// Bytes of the buffers.
    pub(crate) fn metadata(&self) -> usize {
        8 * (self.young.capacity() + self.middle.capacity())
    }

    /// The cells that a buffer lists, for verification: of the young, of the middle generation.
    pub(crate) fn listed(&self) -> [Vec<Object>; 2] {
        [&self.young, &self.middle].map(|buffer| {
            (0..buffer.len())
                .filter_map(|index| buffer.get(index))
                .collect()
        })
    }
}

/// All tracked objects.
struct Everything<'a>(Locked<'a>);

impl Everything<'_> {
    fn set_side_bytes(&self, value: u8) {
        for block in self.0.allocator.blocks().iter() {
            block.side_bytes().iter().for_each(|byte| byte.set(value));
        }
        for generation in 0..=tag::UNTRACKED {
            for object in self.0.allocator.large(generation) {
                side_byte(object).set(value);
            }
        }
    }
}

fn is_tracked_object(cell: Object) -> bool {
    cell.head() & tag::FREE == 0 && cell.generation() != tag::UNTRACKED
}

impl Candidates for Everything<'_> {
    fn each(&self, mut f: impl FnMut(Object)) {
        for block in self.0.allocator.blocks().iter() {
            block
                .cells()
                .filter(|&cell| is_tracked_object(cell))
                .for_each(&mut f);
        }
        for generation in 0..tag::UNTRACKED {
            self.0
                .allocator
                .large(generation)
                .into_iter()
                .for_each(&mut f);
        }
    }

    fn each_unreached(&self, mut f: impl FnMut(Object)) {
        for block in self.0.allocator.blocks().iter() {
            block
                .cells_with_side_byte()
                .filter(|&cell| is_tracked_object(cell))
                .for_each(&mut f);
        }
        for generation in 0..tag::UNTRACKED {
            for object in self.0.allocator.large(generation) {
                if side_byte(object).get() != 0 {
                    f(object);
                }
            }
        }
    }
}

impl Locked<'_> {
    /// Asks for a collection at the next safepoint.
    #[cold]
    #[inline(never)]
    pub(crate) fn request_collection(self) {
        self.inner.mailbox.poll.fetch_or(COLLECT, Ordering::Relaxed);
    }

    /// Collects what is due, if a collection was requested.
    pub(crate) fn collect_if_requested(self) {
        let poll = &self.inner.mailbox.poll;
        if poll.load(Ordering::Relaxed) & COLLECT != 0 {
            poll.fetch_and(!COLLECT, Ordering::Relaxed);
            if let Some(generation) = self.generational.due() {
                self.collect(generation);
            }
        }
    }

    /// Collects a generation and all younger ones. Does nothing if the heap has no cycle collector.
    #[inline(never)]
    pub(crate) fn collect(self, generation: usize) {
        self.settle();
        let state = &self.generational;
        if !state.is_enabled() {
            return;
        }
        let begun = Instant::now();
        let guard = AbortOnUnwind;
        self.collecting.set(true);
        for younger in 0..=generation {
            state.counts[younger].set(0);
        }
        let (examined, unreachable) = if generation == OLDEST {
            self.collect_everything()
        } else {
            state.counts[generation + 1].set(state.counts[generation + 1].get() + 1);
            self.collect_young(generation)
        };
        self.collecting.set(false);
        drop(guard);
        self.inner.counters.collected();
        self.account_metadata();
        let kind = EventKind::Collection {
            generation: generation as u8,
            examined,
            unreachable,
        };
        self.inner.recorder.record(self.me, begun, kind);
    }

    /// Collects generations 0 to `generation`, at most 1. Returns how many objects were examined, and how many of them unreachable.
    fn collect_young(self, generation: usize) -> (u64, u64) {
        let state = &self.generational;
        // Oldest first, as CPython's lists are merged.
        let mut candidates = if generation == 1 {
            state.middle.take()
        } else {
            Vec::new()
        };
        keep_current(&mut candidates, tag::IN_MIDDLE, 1);
        let mut young = state.young.take();
        keep_current(&mut young, tag::IN_YOUNG, 0);
        if candidates.is_empty() {
            std::mem::swap(&mut candidates, &mut young);
        } else {
            candidates.append(&mut young);
        }
        for generation in 0..=generation as u64 {
            for object in self.allocator.large(generation) {
                side_byte(object).set(1);
                candidates.push(object);
            }
        }

        let examined = self.detect(candidates.as_slice());
        let mut trash = Vec::new();
        for &object in &candidates {
            if side_byte(object).get() != 0 {
                trash.push(object);
            } else {
                self.promote(object, generation as u64 + 1);
            }
        }
        let unreachable = trash.len() as u64;
        if generation == 1 {
            let pending = &state.long_lived_pending;
            pending.set(pending.get() + (examined - unreachable) as usize);
        }
        state.young.restore(candidates);
        if unreachable > 0 {
            for object in self.dispose(trash) {
                self.promote(object, generation as u64 + 1);
            }
        }
        (examined, unreachable)
    }

    /// Moves an object to generation 1 or 2.
    #[inline]
    fn promote(self, object: Object, generation: u64) {
        let head = object.head();
        if head & tag::CLASS == crate::alloc::LARGE as u64 {
            self.allocator.promote_large(object, generation);
            return;
        }
        let mut head = head & !tag::GENERATION | generation << tag::GENERATION_SHIFT;
        if generation == 1 && head & tag::IN_MIDDLE == 0 {
            head |= tag::IN_MIDDLE;
            self.generational.middle.push(object);
        }
        object.set_head(head);
    }

    /// Collects all generations. Returns as [`Locked::collect_young`].
    fn collect_everything(self) -> (u64, u64) {
        let state = &self.generational;
        let everything = Everything(self);
        everything.set_side_bytes(1);
        let examined = self.detect(&everything);
        let mut trash = Vec::new();
        everything.each_unreached(|object| trash.push(object));
        // Side bytes of free cells and untracked objects are of no interest any more.
        everything.set_side_bytes(0);
        trash.iter().for_each(|&object| side_byte(object).set(1));

        // Everything is old now; only what a buffer lists was not before.
        for (buffer, bit) in [
            (&state.young, tag::IN_YOUNG),
            (&state.middle, tag::IN_MIDDLE),
        ] {
            let mut index = 0;
            while let Some(cell) = buffer.get(index) {
                index += 1;
                cell.remove(bit);
                if is_tracked_object(cell) {
                    cell.set_generation(OLDEST as u64);
                }
            }
            buffer.clear();
        }
        for generation in 0..OLDEST as u64 {
            for object in self.allocator.large(generation) {
                self.allocator.promote_large(object, OLDEST as u64);
            }
        }
        let unreachable = trash.len() as u64;
        state.long_lived_pending.set(0);
        state
            .long_lived_total
            .set((examined - unreachable) as usize);
        if unreachable > 0 {
            self.dispose(trash);
        }
        (examined, unreachable)
    }
}

/// Removes stale entries from a buffer's contents, and puts the others under examination.
fn keep_current(cells: &mut Vec<Object>, bit: u64, generation: u64) {
    cells.retain(|&cell| {
        let head = cell.head();
        cell.set_head(head & !bit);
        let current = head & (tag::FREE | tag::GENERATION) == generation << tag::GENERATION_SHIFT;
        if current {
            side_byte(cell).set(1);
        }
        current
    });
}
