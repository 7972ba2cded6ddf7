//! Free cells of a mutator, and how an allocation gets memory where it has none.
//!
//! A mutator has a list of free cells for each size class, as the heap has under the lock, and
//! takes from it and gives to it without asking anybody. It fetches a helping from the heap when a
//! list is empty, and brings one back when it has more than two.
//!
//! **Invariant.** A cell is free exactly if it is on the list of its class in the heap's allocator
//! or in one seat; outside of a stopped world that has [handed over](Cells::hand_over) all of them,
//! the allocator's lists are not complete, and blocks without objects are not looked for
//! ([`Protected::lent`](crate::heap::Protected)).
//!
//! A heap that poisons or stresses keeps nothing in seats: every cell comes from the allocator,
//! which checks it.

use std::cell::Cell;
use std::time::Instant;

use crate::alloc::{Allocator, CELL_BYTES, CLASSES, LARGE, occupied_by};
use crate::cycle::OLDEST;
use crate::full::{FullCause, HeapFull};
use crate::heap::Locked;
use crate::mutator::Mutator;
use crate::object::{Object, Shape, link, linked, tag};
use crate::regime::Unlocked;

/// Bytes of a helping of cells, as long as it has no more than [`HELPING_CELLS`]. So much that two
/// threads that make and drop long lists do not spend their time at the mutex of the tables: with a
/// quarter of it they took twice as long.
const HELPING_BYTES: usize = 16 << 10;
const HELPING_CELLS: usize = 256;

/// Cells in a helping of each class.
const HELPING: [u16; CLASSES] = {
    let mut helping = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let cells = HELPING_BYTES / CELL_BYTES[class] as usize;
        helping[class] = if cells > HELPING_CELLS {
            HELPING_CELLS as u16
        } else if cells == 0 {
            1
        } else {
            cells as u16
        };
        class += 1;
    }
    helping
};

/// The free cells of one class.
#[derive(Default)]
struct List {
    first: Cell<Option<Object>>,
    len: Cell<u32>,
}

/// The free cells of a mutator, by class.
pub(crate) struct Cells([List; CLASSES]);

impl Cells {
    pub(crate) fn new() -> Self {
        Self(
            [const {
                List {
                    first: Cell::new(None),
                    len: Cell::new(0),
                }
            }; CLASSES],
        )
    }

    /// The hottest free cell of a class, still with its old head.
    #[inline(always)]
    pub(crate) fn pop(&self, class: usize) -> Option<Object> {
        let list = &self.0[class];
        let cell = list.first.get()?;
        // SAFETY: the invariant: cells on the list are free, and the head of a free cell is linked.
        list.first.set(unsafe { link(cell.head()) });
        list.len.set(list.len.get() - 1);
        Some(cell)
    }

    /// Frees a cell whose tag was `tag`. Returns whether there are too many now.
    #[inline(always)]
    pub(crate) fn push(&self, cell: Object, tag: u64) -> bool {
        let class = (tag & tag::CLASS) as usize;
        let list = &self.0[class];
        cell.set_head(linked(list.first.get(), tag & tag::OF_CELL | tag::FREE));
        list.first.set(Some(cell));
        let len = list.len.get() + 1;
        list.len.set(len);
        len > 2 * u32::from(HELPING[class])
    }

    /// Gives the hottest cells of a class to the allocator, as many as are given.
    fn give_back(&self, class: usize, cells: u32, allocator: &Allocator) {
        let list = &self.0[class];
        let Some(first) = list.first.get().filter(|_| cells > 0) else {
            return;
        };
        // SAFETY: the invariant, as above.
        let next = |cell: Object| unsafe { link(cell.head()) };
        let mut last = first;
        let mut given = 1;
        while given < cells
            && let Some(cell) = next(last)
        {
            last = cell;
            given += 1;
        }
        list.first.set(next(last));
        list.len.set(list.len.get() - given);
        allocator.splice(class, first, last);
    }

    /// Gives all cells to the allocator.
    pub(crate) fn hand_over(&self, allocator: &Allocator) {
        for class in 0..CLASSES {
            self.give_back(class, u32::MAX, allocator);
        }
    }

    /// Takes a helping of a class from the allocator, if that has free cells.
    fn fetch(&self, class: usize, allocator: &Allocator) {
        let list = &self.0[class];
        for _ in 0..HELPING[class] {
            let Some(cell) = allocator.pop(class) else {
                return;
            };
            cell.set_head(linked(list.first.get(), cell.head() & tag::ALL));
            list.first.set(Some(cell));
            list.len.set(list.len.get() + 1);
        }
    }
}

impl<R: Unlocked> Mutator<'_, R> {
    /// Frees the cell of a dead object whose tag was `tag`.
    #[inline(always)]
    pub(super) fn free(&self, object: Object, tag: u64) {
        let class = (tag & tag::CLASS) as usize;
        if class == LARGE || self.inner.base.protected.allocator.is_guarded() {
            self.free_in_heap(object, tag);
        } else if self.own.cells.push(object, tag) {
            self.give_helping(class);
        }
    }

    #[cold]
    #[inline(never)]
    fn free_in_heap(&self, object: Object, tag: u64) {
        let tables = self.tables();
        // The cell is nobody else's, and so is the list.
        tables.proof().free::<true>(object, tag);
    }

    #[cold]
    #[inline(never)]
    fn give_helping(&self, class: usize) {
        let tables = self.tables();
        let allocator = &tables.proof().allocator;
        let cells = u32::from(HELPING[class]);
        self.own.cells.give_back(class, cells, allocator);
    }

    /// The slow path of an allocation: the ladder of [`crate::alloc`], with what other mutators
    /// have between its rungs.
    #[cold]
    #[inline(never)]
    pub(super) fn obtain(&self, class: usize, shape: Shape) -> Result<Object, HeapFull> {
        let base = &self.inner.base;
        if base.stress {
            self.stop(true, |locked| locked.collect(OLDEST, false));
        } else {
            self.attend_to_retired();
        }
        let obtained = self.try_obtain(class, shape);
        let full = |cause| HeapFull::new(shape, base.counters.limit(), cause);
        match obtained {
            Ok(cell) => return Ok(cell),
            // What is larger than the limit fits after no collection.
            Err(_) if !base.counters.admits(occupied_by(shape.bytes())) => {
                return Err(full(FullCause::Limit));
            }
            Err(_) => {}
        }
        self.stop(true, |locked| {
            // All that was retired is gone now, and somebody else may have collected.
            let obtained = self.obtain_within(locked, class, shape);
            obtained.or_else(|cause| {
                exhaust(locked, class, shape, cause)?;
                self.obtain_within(locked, class, shape)
            })
        })
        .map_err(full)
    }

    fn try_obtain(&self, class: usize, shape: Shape) -> Result<Object, FullCause> {
        if class != LARGE
            && let Some(cell) = self.own.cells.pop(class)
        {
            return Ok(cell);
        }
        let tables = self.tables();
        self.obtain_within(tables.proof(), class, shape)
    }

    /// A cell, with a helping for the next allocations.
    fn obtain_within(
        &self,
        locked: Locked<'_>,
        class: usize,
        shape: Shape,
    ) -> Result<Object, FullCause> {
        let cell = locked.try_obtain(class, shape)?;
        if class != LARGE && !locked.allocator.is_guarded() {
            self.own.cells.fetch(class, &locked.allocator);
        }
        Ok(cell)
    }
}

/// An exhaustive collection, in a stopped world: cyclic garbage, all that dies of it, and the empty
/// blocks of other size classes. The error: it was one too many of those that free next to nothing.
fn exhaust(
    locked: Locked<'_>,
    class: usize,
    shape: Shape,
    cause: FullCause,
) -> Result<(), FullCause> {
    let begun = Instant::now();
    locked.collect(OLDEST, false);
    locked.free_all_dead();
    locked.trim();
    locked.judge_exhaustive(begun, class, shape, cause)
}
