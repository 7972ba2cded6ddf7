//! Which objects to examine, and when: the possible roots of Bacon and Rajan ("Concurrent Cycle Collection in Reference Counted
//! Systems", ECOOP 2001), collected synchronously.
//!
//! A garbage cycle comes to be in one way only: a reference to one of its objects is taken away and another remains. Every object to which
//! that happens is a *possible root*, and is buffered once. A collection examines what the possible roots reach, and
//! nothing else: it costs nothing for a heap whose structure is at rest, however large, and all of a heap that a
//! possible root reaches, however often it has been examined before. It is neither bounded nor linear in total, as the generational
//! collector's 25 % rule is; it wins where what changes is small and apart.
//!
//! The paper colours objects and subtracts in the counts themselves. Its three passes are here, with the
//! bookkeeping of [`crate::cycle`], so that counts are true at any time:
//!
//! * *mark grey*: everything that the possible roots reach becomes a candidate; the edges found on the way are subtracted in the side bytes.
//! * *scan*: the search for what something outside reaches ([`Locked::search`]).
//! * *collect white*: [`Locked::dispose`].
//!
//! None recurses: the grey objects are a queue, of one word each.
//!
//! # Where it differs from the paper
//!
//! * An increment does not clear an object's suspicion (the paper paints it black): increments cost nothing here, and the price is a candidate that
//!   need not have been one.
//! * A possible root that dies does not stay until the next collection. The buffer lists its *cell*: the mark survives freeing and
//!   reuse, and a cell that holds no tracked object when a collection comes by is left out.
//! * Objects without fields, and those whose client calls them acyclic, are green: never buffered, never entered.
//!
//! # When
//!
//! The paper collects when memory runs short or the buffer is full. Here a collection is requested when the buffer reaches a threshold, and happens at the next
//! safepoint. The threshold moves: a collection that finds nothing, or fewer objects than a hundredth of the base, doubles it, one that finds more halves it, down to
//! its base. Without that, a program that keeps touching one large live structure would examine
//! all of it every few thousand operations. PHP, the most widely used implementation (`gc_adjust_threshold` in `Zend/zend_gc.c`, since 7.3), adds and
//! subtracts its base instead, with which a walk along a list of ten million nodes still examined all of it 45 times, not 10.
//!
//! # Invariants
//!
//! 1. A cell has `BUFFERED` set exactly if the buffer names it; a large object, which is never reused, has the bit alone, and is found through the
//!    allocator's lists. So has a cell that there was no memory for in the buffer: then a walk over the heap finds it.
//! 2. Outside of a collection every object that lost a reference and has others, since it was last examined, has `BUFFERED` set, is pending, or is
//!    green. So nothing outside the buffer's reach is cyclic garbage.
//! 3. Outside of a collection all side bytes are zero.

use std::cell::Cell;

use crate::alloc::{LARGE, side_byte};
use crate::buffer::Buffer;
use crate::cycle::{
    Candidates, Popular, SMALL_COUNT, YOUNG, is_reached, is_tracked_object, subtracted,
};
use crate::heap::Locked;
use crate::object::{Object, tag};
use crate::step::{Step, Witness};

/// The buffer of possible roots.
pub(crate) struct PossibleRoots {
    cells: Buffer,
    /// Possible roots that the buffer does not name: large objects, and any that there was no memory for.
    unlisted: Cell<usize>,
    /// Cells are among them.
    overflowed: Cell<bool>,
    /// How many request a collection.
    threshold: Cell<usize>,
    base: usize,
}

impl PossibleRoots {
    pub(crate) fn new(threshold: usize) -> Self {
        Self {
            cells: Buffer::default(),
            unlisted: Cell::new(0),
            overflowed: Cell::new(false),
            threshold: Cell::new(threshold),
            base: threshold,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.cells.len() + self.unlisted.get()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.cells.capacity()
    }

    /// Gives back room that is out of proportion.
    pub(crate) fn fit(&self) {
        self.cells.fit();
    }

    /// Whether there are cells that are possible roots and that the buffer does not name.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.overflowed.get()
    }

    /// The cells of the buffer, for verification.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Object> {
        (0..self.cells.len()).filter_map(|index| self.cells.get(index))
    }

    fn adjust(&self, unreachable: usize) {
        let threshold = self.threshold.get();
        self.threshold
            .set(if unreachable < (self.base / 100).max(1) {
                threshold.saturating_mul(2)
            } else {
                (threshold / 2).max(self.base)
            });
    }
}

impl Locked<'_> {
    /// A decrement has left `object`, which is not listed and not green, at a count above zero.
    #[cold]
    #[inline(never)]
    pub(crate) fn buffer_possible_root(self, object: Object) {
        let roots = &self.possible_roots;
        object.insert(tag::BUFFERED);
        let large = object.class() == LARGE;
        if large || !roots.cells.push(object) {
            roots.unlisted.set(roots.unlisted.get() + 1);
            roots.overflowed.set(roots.overflowed.get() | !large);
        }
        if roots.len() >= roots.threshold.get() {
            self.request_collection();
        }
    }

    /// Whether enough possible roots are buffered for a collection.
    pub(crate) fn roots_are_due(self) -> bool {
        self.possible_roots.len() >= self.possible_roots.threshold.get()
    }

    /// Finds and disposes of the garbage that the possible roots reach. Returns how many objects were examined, and how many of them
    /// were unreachable.
    pub(crate) fn collect_possible_roots<W: Witness>(self, witness: W) -> (u64, u64) {
        witness.note(|| Step::Subtracting);
        let (grey, popular) = self.mark_grey(witness);
        let mut scratch = grey.capacity() + popular.scratch();
        popular.resolve(witness);
        let candidates = Candidates {
            blocks: Vec::new(),
            others: grey,
        };
        self.search(&candidates, &mut scratch, witness);
        let mut white = candidates.others;
        let examined = white.len() as u64;
        white.retain(|&object| {
            let reached = is_reached(side_byte(object).get());
            witness.note(|| {
                let object = object.into();
                if reached {
                    Step::Survived {
                        object,
                        generation: 0,
                    }
                } else {
                    Step::Unreachable { object }
                }
            });
            if reached {
                side_byte(object).set(0);
            }
            !reached
        });
        let unreachable = white.len();
        self.inner.counters.scratch(scratch * size_of::<Object>());
        if unreachable > 0 {
            for resurrected in self.dispose(white, witness) {
                side_byte(resurrected).set(0);
                witness.note(|| Step::Survived {
                    object: resurrected.into(),
                    generation: 0,
                });
            }
        }
        self.possible_roots.adjust(unreachable);
        (examined, unreachable as u64)
    }

    /// Empties the buffer, makes all that it reaches candidates, and subtracts the edges between them.
    fn mark_grey<W: Witness>(self, witness: W) -> (Vec<Object>, Popular) {
        let roots = &self.possible_roots;
        let mut grey = Vec::new();
        let enter = |object: Object, grey: &mut Vec<Object>| {
            object.remove(tag::BUFFERED);
            if is_tracked_object(object) {
                side_byte(object).set(YOUNG);
                grey.push(object);
            }
        };
        roots.cells().for_each(|cell| enter(cell, &mut grey));
        roots.cells.clear();
        if roots.unlisted.replace(0) > 0 {
            let cells = roots.overflowed.replace(false);
            self.allocator
                .each_tagged(cells, tag::BUFFERED, tag::BUFFERED, |object| {
                    enter(object, &mut grey);
                    true
                });
        }
        let mut popular = Popular::default();
        let mut next = 0;
        while let Some(&object) = grey.get(next) {
            next += 1;
            let count = object.head() >> 32;
            if count <= u64::from(SMALL_COUNT) {
                let byte = side_byte(object);
                byte.set(byte.get() + count as u8);
            } else {
                popular.objects.push(object);
            }
            witness.note(|| Step::Counted {
                object: object.into(),
                count: object.count(),
                balance: popular.balance(object),
            });
            for child in object.fields().iter().filter_map(Cell::get) {
                let byte = side_byte(child);
                match byte.get() {
                    // Not seen yet, or green.
                    0 if is_tracked_object(child) => {
                        byte.set(YOUNG - 1);
                        grey.push(child);
                    }
                    0 => {}
                    1 => byte.set(popular.carry(child)),
                    value => byte.set(value - 1),
                }
                witness.note(|| subtracted(object, child, byte.get(), &popular));
            }
        }
        (grey, popular)
    }
}
