//! Which objects to examine, and when: the possible roots of Bacon and Rajan ("Concurrent Cycle
//! Collection in Reference Counted Systems", ECOOP 2001), collected synchronously.
//!
//! A garbage cycle comes to be in one way only: a reference to one of its objects is taken away and
//! another remains. Every object to which that happens is a *possible root*, and is buffered once.
//! A collection examines what the possible roots reach, and nothing else: it costs nothing for a
//! heap whose structure is at rest, however large, and all of a heap that a possible root reaches,
//! however often it has been examined before. It is neither bounded nor linear in total, as the
//! generational collector's 25 % rule is; it wins where what changes is small and apart.
//!
//! The paper colours objects and subtracts in the counts themselves. Its three passes are here,
//! with the bookkeeping of [`crate::cycle`], so that counts are true at any time:
//!
//! * *mark grey*: everything that the possible roots reach becomes a candidate; the edges found on
//!   the way are subtracted in the side bytes.
//! * *scan*: the search for what something outside reaches ([`Locked::search`]).
//! * *collect white*: [`Locked::dispose`].
//!
//! None recurses: the grey objects are a queue, of one word each. If there is no memory for that,
//! everything is examined ([`crate::cycle`]).
//!
//! The queue is known in advance, so that the cache can be asked for what comes next
//! ([`crate::cycle::ahead`]): otherwise a graph larger than the cache costs one miss after another.
//!
//! # Where it differs from the paper
//!
//! * An increment does not clear an object's suspicion (the paper paints it black): increments cost
//!   nothing here, and the price is a candidate that need not have been one.
//! * A possible root that dies does not stay until the next collection. The buffer lists its
//!   *cell*: the mark survives freeing and reuse, and a cell that holds no tracked object when a
//!   collection comes by is left out.
//! * Objects without fields, and those whose client calls them acyclic, are green: never buffered,
//!   never entered.
//!
//! # When
//!
//! The paper collects when memory runs short or the buffer is full. Here a collection is requested
//! in two cases, and happens at the next safepoint:
//!
//! * *The buffer has paid for it.* A collection costs what it examines. What of that is garbage was
//!   paid for when it was allocated; the rest, which survives, is paid for by possible roots: the
//!   threshold is half of what survived the last automatic collection, and never below its base. So
//!   `n` possible roots cause at most `2n` examinations of survivors, plus one last collection,
//!   however large the structure that they reach. A collection that finds little for what it costs
//!   (less than a sixteenth) doubles the price, up to [`LARGEST_PATIENCE`] times; one that finds
//!   more halves it again.
//! * *The heap has doubled.* When there are twice the bytes that survived the last collection, of
//!   whatever kind, plus what [`FLOOR_PER_ROOT`] allows, a collection comes even if possible roots
//!   are few. This bounds memory, whatever the threshold; the allocations pay for it, as they do in
//!   a tracing collector.
//!
//! Both follow a heap that shrinks: a threshold for a structure that is gone falls with the number
//! of objects ([`Locked::possible_roots_are_due`]). Collections that were asked for, or made at the
//! limit, say nothing about what automatic ones are worth, and do not change the threshold.
//!
//! Others adapt the number of roots by itself: PHP (`gc_adjust_threshold` in `Zend/zend_gc.c`,
//! since 7.3) adds or subtracts its base of 10,000 where a collection freed fewer or more than 100;
//! Nim (`collectCycles` in `lib/system/orc.nim`) multiplies by 3/2 where less than half of what it
//! touched was freed, and by 2/3 otherwise. The first examines a graph of a million objects, all
//! suspected, every few thousand operations, because 100 of them are always garbage; the second has
//! no bound above, so that what idle collections do to it a burst of garbage has to undo.
//!
//! # Invariants
//!
//! 1. A cell has `BUFFERED` set exactly if the buffer names it; a large object, which is never
//!    reused, has the bit alone, and is found through the allocator's lists. So has a cell that
//!    there was no memory for in the buffer: then a walk over the heap finds it.
//! 2. Outside of a collection every object that lost a reference and has others, since it was last
//!    examined, has `BUFFERED` set, is pending, or is green. So nothing outside the buffer's reach
//!    is cyclic garbage.
//! 3. Outside of a collection all side bytes are zero.

use std::cell::Cell;

use crate::alloc::LARGE;
use crate::block::side_byte;
use crate::buffer::Buffer;
use crate::cycle::ahead::{FEW_BLOCKS, IN_FLIGHT, SAMPLE, Spread, ask_ahead, lead_far, spread_of};
use crate::cycle::candidates::{Candidates, Trash};
use crate::cycle::detect::{Popular, subtracted};
use crate::cycle::{SMALL_COUNT, YOUNG, is_reached, is_tracked_object};
use crate::heap::Locked;
use crate::object::{Object, prefetch, tag};
use crate::room;
use crate::step::{Step, Witness};

/// How many times its price a collection that finds little may come to cost.
const LARGEST_PATIENCE: usize = 4;
/// Bytes that the heap may grow by, whatever survived, for each possible root of the base: those of
/// a small object.
const FLOOR_PER_ROOT: u64 = 64;
/// Whenever there are so many tracked objects more than there were at some time since, it is looked
/// whether a collection is due.
pub(crate) const LOOK: usize = 1 << 10;

/// The buffer of possible roots.
pub(crate) struct PossibleRoots {
    cells: Buffer,
    /// Possible roots that the buffer does not name: large objects, and any that there was no
    /// memory for.
    unlisted: Cell<usize>,
    /// Cells are among them.
    overflowed: Cell<bool>,
    /// How many request a collection.
    threshold: Cell<usize>,
    base: usize,
    /// Survivors of the last automatic collection.
    survivors: Cell<usize>,
    /// How many times its price a collection costs.
    patience: Cell<usize>,
    /// Bytes of objects that request a collection.
    growth: Cell<u64>,
}

impl PossibleRoots {
    pub(crate) fn new(threshold: usize) -> Self {
        let roots = Self {
            cells: Buffer::default(),
            unlisted: Cell::new(0),
            overflowed: Cell::new(false),
            threshold: Cell::new(threshold),
            base: threshold,
            survivors: Cell::new(0),
            patience: Cell::new(1),
            growth: Cell::new(0),
        };
        roots.growth.set(roots.room(0));
        roots
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

    /// Bytes of objects at which a heap of `bytes` is due.
    fn room(&self, bytes: u64) -> u64 {
        let floor = (self.base as u64).saturating_mul(FLOOR_PER_ROOT);
        bytes.saturating_mul(2).saturating_add(floor)
    }

    /// An automatic collection had so many survivors, and found so much.
    fn adjust(&self, survivors: usize, unreachable: usize) {
        let patience = self.patience.get();
        self.patience.set(if unreachable < survivors / 16 {
            (2 * patience).min(LARGEST_PATIENCE)
        } else {
            (patience / 2).max(1)
        });
        self.survivors.set(survivors);
        self.set_threshold();
    }

    fn set_threshold(&self) {
        let price = (self.survivors.get() / 2).saturating_mul(self.patience.get());
        self.threshold.set(price.max(self.base));
    }

    /// The heap has so many objects, of so many bytes: what was more is gone, and costs nothing any
    /// more.
    fn follow(&self, objects: u64, bytes: u64) {
        let objects = objects as usize;
        if objects < self.survivors.get() {
            self.survivors.set(objects);
            self.set_threshold();
        }
        self.growth.set(self.growth.get().min(self.room(bytes)));
    }
}

/// What the possible roots reach.
struct Grey {
    objects: Vec<Object>,
    /// Those among them with large counts.
    popular: Popular,
    /// Whether they are scattered ([`crate::cycle::ahead`]).
    scattered: bool,
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
            self.consider_possible_roots();
        }
    }

    /// Requests a collection if one is due.
    pub(crate) fn consider_possible_roots(self) {
        if self.possible_roots_are_due() {
            self.request_collection();
        }
    }

    /// Whether there are possible roots, and enough of them or of the heap for a collection.
    pub(crate) fn possible_roots_are_due(self) -> bool {
        let roots = &self.possible_roots;
        let (objects, bytes) = self.inner.counters.in_heap();
        self.generational.count_afresh();
        if roots.len() == 0 {
            // All that is there has survived.
            roots.growth.set(roots.room(bytes));
            return false;
        }
        roots.follow(objects, bytes);
        roots.len() >= roots.threshold.get() || bytes >= roots.growth.get()
    }
}

impl<W: Witness> Locked<'_, W> {
    /// Finds and disposes of the garbage that the possible roots reach. Returns how many objects
    /// were examined, and how many of them were unreachable.
    pub(crate) fn collect_possible_roots(self, automatic: bool) -> (u64, u64) {
        self.note(|| Step::Subtracting);
        let (examined, trash) = match self.mark_grey() {
            Some(grey) => self.divide_grey(grey),
            None => self.divide_all(),
        };
        let unreachable = trash.objects;
        let survivors = Cell::new(examined - unreachable);
        if unreachable > 0 {
            let survive = |object| {
                survivors.set(survivors.get() + 1);
                side_byte(object).set(0);
                self.note(|| Step::Survived {
                    object: object.into(),
                    generation: 0,
                });
            };
            self.dispose(trash, survive);
        } else {
            self.scratch.put_back(trash.among);
        }
        let roots = &self.possible_roots;
        if automatic {
            roots.adjust(survivors.get() as usize, unreachable as usize);
        }
        roots
            .growth
            .set(roots.room(self.inner.counters.in_heap().1));
        (examined, unreachable)
    }

    /// After subtraction, finds out which of the grey objects are unreachable. Returns how many
    /// there were.
    fn divide_grey(self, grey: Grey) -> (u64, Trash) {
        let Grey {
            objects: grey,
            popular,
            scattered,
        } = grey;
        let mut scratch = grey.capacity() + popular.scratch();
        let candidates = Candidates::one_by_one(grey, scattered);
        self.resolve(popular, &candidates);
        self.search(&candidates, &mut scratch);
        let scattered = candidates.scattered;
        let mut white = candidates.others;
        let examined = white.len();
        let mut next = 0;
        // In place, so that what comes next can be seen.
        let mut index = 0;
        while let Some(&object) = white.get(index) {
            if scattered && let Some(&later) = white.get(index + IN_FLIGHT) {
                prefetch(side_byte(later).as_ptr());
            }
            index += 1;

            let reached = is_reached(side_byte(object).get());
            self.note(|| {
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
            } else {
                white[next] = object;
                next += 1;
            }
        }
        white.truncate(next);
        self.inner.counters.scratch(scratch * size_of::<Object>());
        let mut trash = Trash::new(self.scratch.take());
        trash.objects = white.len() as u64;
        trash.listed = white;
        (examined as u64, trash)
    }

    /// Where there is no memory for what the possible roots reach: examines everything.
    #[cold]
    #[inline(never)]
    fn divide_all(self) -> (u64, Trash) {
        let mut candidates = self.scratch.take();
        for &block in self.allocator.blocks().iter() {
            let stretches = block.stretches();
            let mut any = false;
            block.each_cell::<true>(stretches, |cell, side| {
                cell.remove(tag::BUFFERED);
                let tracked = is_tracked_object(cell);
                any |= tracked;
                side.set(if tracked { YOUNG } else { 0 });
                true
            });
            if any {
                candidates.blocks.push((block, stretches));
            }
        }
        candidates
            .blocks
            .sort_unstable_by_key(|&(block, _)| std::cmp::Reverse(block));
        self.allocator.large.add_all(0, &mut candidates.others);
        for object in &candidates.others {
            object.remove(tag::BUFFERED);
        }
        candidates
            .others
            .retain(|&object| is_tracked_object(object));
        for &object in &candidates.others {
            side_byte(object).set(YOUNG);
        }
        let dense = spread_of(&candidates.blocks) == Spread::Dense;
        candidates.scattered = self.generational.prefetch || !dense;
        let examined = self.detect(&candidates);
        if W::RECORDS {
            self.note_survivors(&candidates, 0);
        }
        for &object in &candidates.others {
            if is_reached(side_byte(object).get()) {
                side_byte(object).set(0);
            }
        }
        let trash = self.divide(candidates, 0);
        if W::RECORDS {
            trash.each(|object| {
                self.note(|| Step::Unreachable {
                    object: object.into(),
                });
            });
        }
        (examined, trash)
    }

    /// Empties the buffer, makes all that it reaches candidates, and subtracts the edges between
    /// them. `None` if there is no memory for that: then nothing is known to be a possible root,
    /// and side bytes are as they may be.
    fn mark_grey(self) -> Option<Grey> {
        let roots = &self.possible_roots;
        let mut grey = Vec::new();
        let enter = |object: Object, grey: &mut Vec<Object>| {
            object.remove(tag::BUFFERED);
            if !is_tracked_object(object) {
                return true;
            }
            let listed = room::push(grey, object);
            side_byte(object).set(if listed { YOUNG } else { 0 });
            listed
        };
        let mut complete = roots.cells().all(|cell| enter(cell, &mut grey));
        roots.cells.clear();
        if roots.unlisted.replace(0) > 0 {
            let cells = roots.overflowed.replace(false);
            self.allocator
                .each_tagged(cells, tag::BUFFERED, tag::BUFFERED, |object| {
                    complete = complete && enter(object, &mut grey);
                    complete
                });
        }
        let step = (grey.len() / SAMPLE).max(1);
        let scattered = self.generational.prefetch
            || self.allocator.blocks().len() >= FEW_BLOCKS
                && lead_far(grey.iter().step_by(step).copied());
        let mut popular = Popular::default();
        let mut next = 0;
        while complete && let Some(&object) = grey.get(next) {
            if scattered {
                ask_ahead::<true>(&grey, next);
            }
            next += 1;
            let count = object.count();
            if count <= u32::from(SMALL_COUNT) {
                let byte = side_byte(object);
                byte.set(byte.get() + count as u8);
            } else {
                popular.add(object);
            }
            self.note(|| Step::Counted {
                object: object.into(),
                count: object.count(),
                balance: popular.balance(object),
            });
            for child in object.fields().iter().filter_map(Cell::get) {
                let byte = side_byte(child);
                match byte.get() {
                    // Not seen yet, or green.
                    0 if is_tracked_object(child) => {
                        if !room::push(&mut grey, child) {
                            complete = false;
                            break;
                        }
                        byte.set(YOUNG - 1);
                    }
                    0 => {}
                    1 => byte.set(popular.carry(child)),
                    value => byte.set(value - 1),
                }
                self.note(|| subtracted(object, child, byte.get(), &popular));
            }
        }
        if !complete {
            // Side bytes are of no account where everything is examined next.
            grey.iter().for_each(|object| object.set_carry(0));
            return None;
        }
        Some(Grey {
            objects: grey,
            popular,
            scattered,
        })
    }
}
