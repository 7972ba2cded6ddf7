//! Free cells of a mutator, and how an allocation gets memory where it has none.
//!
//! A mutator has two *magazines* for each size class, lists of free cells of a bounded length: it
//! takes from the one that is loaded, and gives to it, without asking anybody. The other one is
//! full or not there. If the loaded one is empty, it takes the full one; if it is full, it is put
//! in that one's place, and a full one that was there goes into the mutator's [`Depot`]. From there
//! comes the next one when neither has cells. So a mutator goes to a depot at most once in as many
//! allocations or deaths as a magazine has cells, however these alternate; and to hand a magazine
//! over is to store a pointer, whatever its cells are and wherever they lie. (Bonwick and Adams,
//! "Magazines and Vmem", USENIX 2001.)
//!
//! Whose depot has no magazine takes one from somebody else's, before new memory is asked for: a
//! thread that allocates what another frees lives on that, and a thread that is blocked strands no
//! more than its two. But threads that have nothing to do with one another keep to their own cells,
//! which are in their processor's cache. (With one depot for all, each got what the others had
//! freed last: two threads that made and dropped lists took twice as long.)
//!
//! **Invariant.** A cell is free exactly if it is on the list of its class in the heap's allocator,
//! in a depot, or in one seat; outside of a stopped world that has [handed over](Cells::hand_over)
//! all of them, the allocator's lists are not complete, and blocks without objects are not looked
//! for ([`Protected::lent`](crate::heap::Protected)). A magazine of a depot, and a full one of a
//! seat, has exactly as many cells as one can have.
//!
//! A heap that poisons or stresses keeps nothing in seats: every cell comes from the allocator,
//! which checks it.
//!
//! Rejected: one list for each class, of which a part is brought back to the allocator's when it is
//! long, and a part of that fetched: the parts must be counted off, cell by cell, most of which
//! another thread had last, under the mutex of the tables. Two threads that made and dropped lists
//! spent half of their time there.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use crate::alloc::{Allocator, CELL_BYTES, CLASSES, LARGE, occupied_by};
use crate::cycle::OLDEST;
use crate::full::{FullCause, HeapFull};
use crate::heap::Locked;
use crate::mutator::Mutator;
use crate::object::{Object, Shape, link, linked, tag};
use crate::primitive::{Mutex, lock};
use crate::regime::Unlocked;
use crate::unlocked::Seat;

/// Bytes of a magazine's cells, as long as it has no more than [`MOST_CELLS`].
const MAGAZINE_BYTES: usize = 16 << 10;
const MOST_CELLS: usize = 256;

/// Cells in a magazine of each class.
const MAGAZINE: [u32; CLASSES] = {
    let mut magazine = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let cells = MAGAZINE_BYTES / CELL_BYTES[class] as usize;
        magazine[class] = if cells > MOST_CELLS {
            MOST_CELLS as u32
        } else if cells == 0 {
            1
        } else {
            cells as u32
        };
        class += 1;
    }
    magazine
};

/// The cell after this one on a list.
fn next(cell: Object) -> Option<Object> {
    // SAFETY: the module's invariant: what is on a list is free, and the head of a free cell is
    // linked.
    unsafe { link(cell.head()) }
}

/// Puts a list that ends, which `first` begins, in front of the allocator's.
fn splice(class: usize, first: Option<Object>, allocator: &Allocator) {
    if let Some(first) = first {
        let cells = std::iter::successors(Some(first), |&cell| next(cell));
        allocator.splice(class, first, cells.last().unwrap_or(first));
    }
}

/// The free cells of one class that a mutator has.
struct Rack {
    /// The first cell of the loaded magazine, and for how many more it has room.
    first: Cell<Option<Object>>,
    room: Cell<u32>,
    /// The first cell of a full one.
    full: Cell<Option<Object>>,
}

/// The free cells of a mutator, by class.
pub(crate) struct Cells([Rack; CLASSES]);

impl Cells {
    pub(crate) fn new() -> Self {
        Self(MAGAZINE.map(|cells| Rack {
            first: Cell::new(None),
            room: Cell::new(cells),
            full: Cell::new(None),
        }))
    }

    /// The hottest free cell of a class, still with its old head, if the loaded magazine has one.
    #[inline(always)]
    pub(crate) fn pop(&self, class: usize) -> Option<Object> {
        let rack = &self.0[class];
        let cell = rack.first.get()?;
        rack.first.set(next(cell));
        rack.room.set(rack.room.get() + 1);
        Some(cell)
    }

    /// Frees a cell whose tag was `tag`, unless the loaded magazine is full: then returns false.
    #[inline(always)]
    #[must_use]
    fn push(&self, cell: Object, tag: u64) -> bool {
        let class = (tag & tag::CLASS) as usize;
        let rack = &self.0[class];
        let Some(room) = rack.room.get().checked_sub(1) else {
            return false;
        };
        cell.set_head(linked(rack.first.get(), tag & tag::OF_CELL | tag::FREE));
        rack.first.set(Some(cell));
        rack.room.set(room);
        true
    }

    /// Has an empty magazine loaded in place of a full one.
    fn unload(&self, class: usize, depot: &Depot) {
        let rack = &self.0[class];
        if let Some(full) = rack.full.replace(rack.first.take()) {
            depot.put(class, full);
        }
        rack.room.set(MAGAZINE[class]);
    }

    /// Loads a full magazine in place of an empty one.
    fn load(&self, class: usize, full: Object) {
        let rack = &self.0[class];
        debug_assert!(rack.first.get().is_none());
        rack.first.set(Some(full));
        rack.room.set(0);
    }

    /// The same with the one that the mutator has. Returns whether it has one.
    fn load_own(&self, class: usize) -> bool {
        let full = self.0[class].full.take();
        if let Some(full) = full {
            self.load(class, full);
        }
        full.is_some()
    }

    /// Gives all cells to the allocator.
    pub(crate) fn hand_over(&self, allocator: &Allocator) {
        for (class, rack) in self.0.iter().enumerate() {
            rack.room.set(MAGAZINE[class]);
            splice(class, rack.full.take(), allocator);
            splice(class, rack.first.take(), allocator);
        }
    }

    /// Fills an empty magazine from the allocator, as far as that has free cells.
    fn fill(&self, class: usize, allocator: &Allocator) {
        let rack = &self.0[class];
        while rack.room.get() > 0 {
            let Some(cell) = allocator.pop(class) else {
                return;
            };
            cell.set_head(linked(rack.first.get(), cell.head() & tag::ALL));
            rack.first.set(Some(cell));
            rack.room.set(rack.room.get() - 1);
        }
    }
}

/// Full magazines, by class: of a mutator, or of those that are gone. Whoever holds a lock of it
/// takes no other.
pub(crate) struct Depot([Shelf; CLASSES]);

/// The magazines of one class.
struct Shelf {
    /// Whether there are some, for those who only look.
    stocked: AtomicBool,
    /// The first cell of the topmost; the second unit of each such cell leads to the next one.
    top: Mutex<Option<Object>>,
}

impl Depot {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Shelf {
            stocked: AtomicBool::new(false),
            top: Mutex::new(None),
        }))
    }

    fn put(&self, class: usize, magazine: Object) {
        let shelf = &self.0[class];
        let mut top = lock(&shelf.top);
        magazine.set_below(*top);
        *top = Some(magazine);
        shelf.stocked.store(true, Relaxed);
    }

    fn take(&self, class: usize) -> Option<Object> {
        let shelf = &self.0[class];
        if !shelf.stocked.load(Relaxed) {
            return None;
        }
        let mut top = lock(&shelf.top);
        let magazine = (*top)?;
        // SAFETY: it was put here, and is a free cell still.
        *top = unsafe { magazine.below() };
        shelf.stocked.store(top.is_some(), Relaxed);
        Some(magazine)
    }

    /// Calls `f` with all magazines and their classes, which are nobody's then.
    fn empty(&self, mut f: impl FnMut(usize, Object)) {
        for class in 0..CLASSES {
            while let Some(magazine) = self.take(class) {
                f(class, magazine);
            }
        }
    }

    /// Gives all cells to the allocator.
    pub(crate) fn hand_over(&self, allocator: &Allocator) {
        self.empty(|class, magazine| splice(class, Some(magazine), allocator));
    }

    /// Gives all magazines to another depot.
    pub(crate) fn leave_to(&self, other: &Self) {
        self.empty(|class, magazine| other.put(class, magazine));
    }
}

impl<R: Unlocked> Mutator<'_, R> {
    /// Frees the cell of a dead object whose tag was `tag`.
    #[inline(always)]
    pub(super) fn free(&self, object: Object, tag: u64) {
        let class = (tag & tag::CLASS) as usize;
        if class == LARGE || self.inner.base.protected.allocator.is_guarded() {
            self.free_in_heap(object, tag);
        } else if !self.own.cells.push(object, tag) {
            self.free_beyond(object, tag);
        }
    }

    /// Frees a cell for which there is no room in the loaded magazine.
    #[cold]
    #[inline(never)]
    fn free_beyond(&self, object: Object, tag: u64) {
        let cells = &self.own.cells;
        cells.unload((tag & tag::CLASS) as usize, &self.own.depot);
        let pushed = cells.push(object, tag);
        debug_assert!(pushed, "an empty magazine is full");
    }

    #[cold]
    #[inline(never)]
    fn free_in_heap(&self, object: Object, tag: u64) {
        let tables = self.tables();
        // The cell is nobody else's, and so is the list.
        tables.proof().free::<true>(object, tag);
    }

    /// The slow path of an allocation: the ladder of [`crate::alloc`], with what other mutators
    /// have between its rungs.
    #[cold]
    #[inline(never)]
    pub(super) fn obtain(&self, class: usize, shape: Shape) -> Result<Object, HeapFull> {
        let base = &self.inner.base;
        if base.stress {
            self.stop(true, false, |locked| locked.collect(OLDEST, false));
        } else {
            if let Some(cell) = self.pop_of_full(class) {
                return Ok(cell);
            }
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
        self.stop(true, true, |locked| {
            // All that was retired is gone now, and somebody else may have collected.
            let obtained = self.obtain_within(locked, class, shape);
            obtained.or_else(|cause| {
                exhaust(locked, class, shape, cause)?;
                self.obtain_within(locked, class, shape)
            })
        })
        .map_err(full)
    }

    /// A cell of the full magazine, which is loaded.
    fn pop_of_full(&self, class: usize) -> Option<Object> {
        let cells = &self.own.cells;
        (class != LARGE && cells.load_own(class))
            .then(|| cells.pop(class))
            .flatten()
    }

    /// Loads a magazine of somebody else's depot. Returns whether there was one.
    fn load_of_others(&self, class: usize) -> bool {
        let mut found = None;
        (self.inner.handshake).each_member(|seat: &Seat| {
            if found.is_none() {
                found = seat.depot.take(class);
            }
        });
        if let Some(magazine) = found {
            self.own.cells.load(class, magazine);
        }
        found.is_some()
    }

    fn try_obtain(&self, class: usize, shape: Shape) -> Result<Object, FullCause> {
        if class == LARGE || self.inner.base.protected.allocator.is_guarded() {
            return self.obtain_within(self.tables().proof(), class, shape);
        }
        let cells = &self.own.cells;
        // What was retired may have been freed.
        if let Some(cell) = cells.pop(class).or_else(|| self.pop_of_full(class)) {
            return Ok(cell);
        }
        let (own, of_the_gone) = (&self.own.depot, &self.inner.depot);
        if let Some(magazine) = own.take(class).or_else(|| of_the_gone.take(class)) {
            cells.load(class, magazine);
        } else {
            let tables = self.tables();
            let locked = tables.proof();
            // The nearest first: what nobody has, what others have, new memory.
            if locked.allocator.has_free(class) || !self.load_of_others(class) {
                return self.obtain_within(locked, class, shape);
            }
        }
        Ok(cells.pop(class).expect("a full magazine has cells"))
    }

    /// A cell, with a magazine for the next allocations.
    fn obtain_within(
        &self,
        locked: Locked<'_>,
        class: usize,
        shape: Shape,
    ) -> Result<Object, FullCause> {
        let cell = locked.try_obtain(class, shape)?;
        if class != LARGE && !locked.allocator.is_guarded() {
            self.own.cells.fill(class, &locked.allocator);
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
