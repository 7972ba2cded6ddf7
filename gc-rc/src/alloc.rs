//! Memory for objects: cells of size classes, and how they are allocated and freed.
//!
//! Cells are carved out of blocks ([`crate::block`]), which come from the system and go back to it
//! ([`crate::supply`]). What does not fit half a block is a large object ([`crate::large`]).
//!
//! Free cells of a class form one list through their headers, last in, first out, across blocks: a
//! cell is reused while it is hot, allocation is a pop and freeing a push, neither of which touches
//! the block. A block is carved into cells a page at a time, so that memory is not touched long
//! before it is needed.
//!
//! A tree that is built bottom-up and then dropped frees its nodes in (mirrored) reverse of the
//! order in which it was built, so that the list hands the cells out again in address order: the
//! list does not scramble the heap as one might fear.
//!
//! Rejected: a free list for each block, as mimalloc has: it bounds fragmentation better, but every
//! free and every allocation would touch the block's header. Empty blocks are found by a walk
//! instead ([`Allocator::trim`]), which is not made often.
//!
//! # Invariants
//!
//! 1. Free cells are exactly those on the list of their class.
//! 2. A block becomes unused only when none of its cells is an object *and* no list of the cycle
//!    collector names it or one of its cells.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use crate::block::{BLOCK_BYTES, BLOCK_COST, BLOCK_METADATA, Block};
use crate::cycle::{Cycle, OLDEST};
use crate::full::{FullCause, HeapFull};
use crate::heap::Locked;
use crate::large::LargeObjects;
use crate::object::{GRANULE, HEADER_BYTES, Object, Shape, link, linked, tag};
use crate::overhead::{Exhaustive, Verdict};
use crate::room;
use crate::statistics::Counters;
use crate::supply::Supply;

/// Bytes that are carved into cells at a time.
const CARVE_BYTES: usize = 4 << 10;

/// The class of large objects.
pub(crate) const LARGE: usize = 63;
pub(crate) const CLASSES: usize = 53;
/// Free lists: one for each number that a tag has room for, so that no bounds are checked.
const LISTS: usize = tag::CLASS as usize + 1;
/// Objects above take whole blocks.
pub(crate) const SMALL_BYTES: usize = BLOCK_BYTES / 2;

/// Bytes of a cell, by class: every multiple of 16 up to 512, four steps to the doubling up to 4
/// KiB, then fractions of a block.
pub(crate) const CELL_BYTES: [u32; CLASSES] = {
    let mut bytes = [0; CLASSES];
    let mut class = 0;
    while class < 32 {
        bytes[class] = 16 * (class as u32 + 1);
        class += 1;
    }
    while class < 44 {
        let doubling = (class as u32 - 32) / 4;
        bytes[class] = (512 << doubling) + (128 << doubling) * ((class as u32 - 32) % 4 + 1);
        class += 1;
    }
    let fractions = [12, 10, 8, 7, 6, 5, 4, 3, 2];
    while class < CLASSES {
        bytes[class] = BLOCK_BYTES as u32 / fractions[class - 44] / 16 * 16;
        class += 1;
    }
    bytes
};

/// The class of a size in granules.
const CLASS_OF_GRANULES: [u8; SMALL_BYTES / GRANULE + 1] = {
    let mut classes = [0; SMALL_BYTES / GRANULE + 1];
    let (mut granules, mut class) = (0, 0);
    while granules < classes.len() {
        if granules * GRANULE > CELL_BYTES[class] as usize {
            class += 1;
        }
        classes[granules] = class as u8;
        granules += 1;
    }
    classes
};

const _: () = {
    assert!(CELL_BYTES[CLASSES - 1] as usize == SMALL_BYTES);
    assert!(CLASSES <= LARGE && LARGE as u64 <= tag::CLASS);
};

/// The size class for objects of so many bytes, header included.
#[inline(always)]
pub(crate) const fn class_of(bytes: usize) -> usize {
    if bytes <= SMALL_BYTES {
        CLASS_OF_GRANULES[bytes.div_ceil(GRANULE)] as usize
    } else {
        LARGE
    }
}

/// Bytes that an object of `bytes` takes of the limit; of a small one, its cell.
pub(crate) const fn occupied_by(bytes: usize) -> usize {
    match class_of(bytes) {
        LARGE => bytes.next_multiple_of(BLOCK_BYTES) + BLOCK_METADATA,
        class => CELL_BYTES[class] as usize,
    }
}

/// What freed memory is filled with in a poisoning heap: as a reference it is misaligned, as a
/// number conspicuous.
pub(crate) const POISON: u64 = 0xdead_beef_dead_beef;

/// The allocator's state.
pub(crate) struct Allocator {
    /// The lists that the inline path pops from, by class.
    free: [Cell<Option<Object>>; LISTS],
    /// The lists that are used instead in a stressed or poisoning heap, so that every allocation
    /// takes the slow path.
    withheld: [Cell<Option<Object>>; LISTS],
    guarded: bool,
    poison: bool,
    /// Bits that new cells are born with, beside their class.
    birth: u64,
    /// The block that is being carved, by class.
    carving: [Cell<Option<Block>>; CLASSES],
    /// Blocks of cells in use.
    blocks: RefCell<Vec<Block>>,
    /// Dropped before the supply, which has most of the blocks that it reads the headers of.
    pub(crate) large: LargeObjects,
    pub(crate) supply: Supply,
}

impl Allocator {
    /// Cells are born with the bits `born` in their tags.
    pub(crate) fn new(stress: bool, poison: bool, born: u64) -> Self {
        Self {
            free: [const { Cell::new(None) }; LISTS],
            withheld: [const { Cell::new(None) }; LISTS],
            guarded: stress || poison,
            poison,
            birth: tag::FREE | born,
            carving: [const { Cell::new(None) }; CLASSES],
            blocks: RefCell::default(),
            large: LargeObjects::default(),
            supply: Supply::new(),
        }
    }

    /// The inline path: the hottest free cell of a small class, still with its old head.
    #[inline(always)]
    pub(crate) fn pop(&self, class: usize) -> Option<Object> {
        Self::pop_from(&self.free[class])
    }

    #[inline(always)]
    fn pop_from(list: &Cell<Option<Object>>) -> Option<Object> {
        let cell = list.get()?;
        // SAFETY: invariant 1: cells on the list are free, and the head of a free cell is linked.
        list.set(unsafe { link(cell.head()) });
        Some(cell)
    }

    /// Whether there is a free cell on the list of the class.
    pub(crate) fn has_free(&self, class: usize) -> bool {
        self.free[class].get().is_some()
    }

    /// Whether cells go through the guarded lists.
    #[inline(always)]
    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded
    }

    fn list(&self, class: usize) -> &Cell<Option<Object>> {
        if self.guarded {
            &self.withheld[class]
        } else {
            &self.free[class]
        }
    }

    /// The slow path for a small class: a free cell, from a list or newly carved.
    pub(crate) fn obtain(&self, class: usize, counters: &Counters) -> Result<Object, FullCause> {
        let list = self.list(class);
        if list.get().is_none() && !self.carve(class) {
            let block = self.supply.new_block(counters)?;
            block.assign(class);
            self.blocks.borrow_mut().push(block);
            self.carving[class].set(Some(block));
            self.carve(class);
        }
        let cell = Self::pop_from(list).expect("carving a fresh block fills the list");
        if self.poison {
            self.check_poison(cell);
        }
        Ok(cell)
    }

    /// Whether the next cell of a small class takes a block more.
    pub(crate) fn needs_block(&self, class: usize) -> bool {
        let carving = self.carving[class].get();
        self.list(class).get().is_none() && !carving.is_some_and(Block::has_room)
    }

    /// Carves the next cells out of the class's current block, if it has room.
    fn carve(&self, class: usize) -> bool {
        let Some(block) = self.carving[class].get() else {
            return false;
        };
        let (step, start) = (
            CELL_BYTES[class] as usize,
            block.header().end.get() as usize,
        );
        let room = (BLOCK_BYTES - start) / step;
        if room == 0 {
            self.carving[class].set(None);
            return false;
        }
        let cells = room.min((CARVE_BYTES / step).max(1));
        let list = self.list(class);
        for index in (0..cells).rev() {
            // SAFETY: the cell lies within the block, and its header is initialised in the next
            // line.
            let cell = unsafe { Object::from_raw(block.at(start + index * step)) };
            cell.initialise(linked(list.get(), class as u64 | self.birth), 0, 0);
            list.set(Some(cell));
            if self.poison {
                self.fill_poison(cell);
            }
        }
        block.header().end.set((start + cells * step) as u32);
        true
    }

    /// Whether there is memory for an object of `bytes` and `class` below the limit, as long as the
    /// system has some.
    pub(crate) fn would_fit(&self, class: usize, bytes: usize, counters: &Counters) -> bool {
        if class == LARGE {
            return counters.would_fit(occupied_by(bytes));
        }
        let carving = self.carving[class].get().is_some_and(Block::has_room);
        carving || self.list(class).get().is_some() || counters.would_fit(BLOCK_COST)
    }

    /// Puts a chain of free cells, from `first` to `last`, in front of the list of their class.
    pub(crate) fn splice(&self, class: usize, first: Object, last: Object) {
        let list = self.list(class);
        last.set_head(linked(list.get(), last.head() & tag::ALL));
        list.set(Some(first));
    }

    /// All blocks in use.
    pub(crate) fn blocks(&self) -> std::cell::Ref<'_, Vec<Block>> {
        self.blocks.borrow()
    }

    /// Calls `f` with all large objects, and with `cells` all cells, whether objects or not, of
    /// whose tags the bits `mask` are `bits`, until it returns false. It may free cells and
    /// objects. Cost: a look at each.
    pub(crate) fn each_tagged(
        &self,
        cells: bool,
        mask: u64,
        bits: u64,
        mut f: impl FnMut(Object) -> bool,
    ) {
        let mut index = if cells { 0 } else { usize::MAX };
        while let Some(block) = { self.blocks.borrow().get(index).copied() } {
            index += 1;
            let is_one = |cell: &Object| cell.marks() & mask == bits;
            if !block.cells().filter(is_one).all(&mut f) {
                return;
            }
        }
        self.large.each_tagged(mask, bits, f);
    }

    /// Frees a small cell whose tag was `tag`.
    #[inline(always)]
    pub(crate) fn free_small<const GUARDED: bool>(&self, cell: Object, tag: u64) {
        let class = (tag & tag::CLASS) as usize;
        let list = if GUARDED {
            &self.withheld[class]
        } else {
            &self.free[class]
        };
        cell.set_head(linked(list.get(), tag & tag::OF_CELL | tag::FREE));
        list.set(Some(cell));
        if GUARDED && self.poison {
            self.fill_poison(cell);
        }
    }

    /// Memory for an object of `bytes` that is too large for a cell: [`LargeObjects::obtain`].
    pub(crate) fn obtain_large(
        &self,
        bytes: usize,
        counters: &Counters,
    ) -> Result<Object, FullCause> {
        (self.large).obtain(bytes, self.birth, &self.supply, counters)
    }

    /// The part of a free cell that is poisoned: all but the header.
    fn poisoned<'a>(&self, cell: Object) -> &'a [Cell<u64>] {
        let units = (CELL_BYTES[cell.class()] as usize - HEADER_BYTES) / 8;
        // SAFETY: the cell's class gives its size; a free cell's memory is mapped and belongs to
        // nobody else.
        unsafe { std::slice::from_raw_parts(cell.raw().add(HEADER_BYTES).cast(), units) }
    }

    fn fill_poison(&self, cell: Object) {
        self.poisoned(cell).iter().for_each(|unit| unit.set(POISON));
    }

    /// # Panics
    ///
    /// If somebody wrote to a free cell.
    pub(crate) fn check_poison(&self, cell: Object) {
        for (index, unit) in self.poisoned(cell).iter().enumerate() {
            assert!(
                unit.get() == POISON,
                "gc-rc: poison is gone from unit {index} of the free cell {cell:?}: {:#x}",
                unit.get()
            );
        }
    }

    /// Whether freed cells are filled.
    pub(crate) fn poisons(&self) -> bool {
        self.poison
    }

    /// Makes blocks without objects unused, for any class to take. Walks every cell. `unlist` has
    /// the lists of the generations forget those that are marked as empty then.
    pub(crate) fn trim(&self, counters: &Counters, unlist: impl FnOnce()) {
        let mut blocks = self.blocks.borrow_mut();
        for &block in blocks.iter() {
            let is_free = |cell: Object| {
                cell.marks() & (tag::FREE | tag::BUFFERED)
                    == self.birth & (tag::FREE | tag::BUFFERED)
            };
            block.header().empty.set(block.cells().all(is_free));
        }
        if !blocks.iter().any(|block| block.header().empty.get()) {
            return;
        }
        unlist();
        for class in 0..CLASSES {
            self.carving[class].set(
                self.carving[class]
                    .get()
                    .filter(|block| !block.header().empty.get()),
            );
            // The list keeps its order without the cells of empty blocks: what stays is moved to a
            // second list and back.
            let list = self.list(class);
            let reversed = Cell::new(None);
            let transfer = |from: &Cell<Option<Object>>, to: &Cell<Option<Object>>| {
                while let Some(cell) = Self::pop_from(from) {
                    if !Block::of(cell).header().empty.get() {
                        cell.set_head(linked(to.get(), cell.marks() & tag::ALL));
                        to.set(Some(cell));
                    }
                }
            };
            transfer(list, &reversed);
            transfer(&reversed, list);
        }
        // From the newest on, so that the chunk of the oldest, which lies lowest as a rule, is the
        // first to be taken from again.
        for block in blocks
            .iter()
            .rev()
            .filter(|block| block.header().empty.get())
        {
            block.young().set(0);
            block.middle().set(0);
            block.side_bytes().iter().for_each(|byte| byte.set(0));
            self.supply.give_run(*block, 1, counters, BLOCK_COST);
        }
        blocks.retain(|block| !block.header().empty.get());
    }

    /// Sees to it that one more block, or one more large object, can be listed. Returns whether
    /// there was memory for that.
    pub(crate) fn set_aside(&self) -> bool {
        let blocks = self.blocks.borrow().len();
        room::set_aside(&mut *self.blocks.borrow_mut(), blocks + 1) && self.large.set_aside()
    }

    /// Gives back room of lists that is out of proportion.
    pub(crate) fn fit(&self) {
        self.large.fit();
        let mut blocks = self.blocks.borrow_mut();
        let in_use = blocks.len();
        room::fit(&mut *blocks, in_use);
        self.supply.fit();
    }

    /// The free cells of a class, hottest first.
    pub(crate) fn free_cells(&self, class: usize) -> impl Iterator<Item = Object> {
        // SAFETY: invariant 1: cells on the list are free, and the head of a free cell is linked.
        std::iter::successors(self.list(class).get(), |cell| unsafe { link(cell.head()) })
    }

    /// The number of size classes of blocks.
    pub(crate) const fn classes() -> usize {
        CLASSES
    }

    /// Bytes of metadata of blocks and large objects in use.
    pub(crate) fn metadata(&self) -> usize {
        (self.blocks.borrow().len() + self.large.len()) * BLOCK_METADATA
    }

    /// Bytes of the blocks of cells in use, and what they count for against the limit.
    pub(crate) fn cells_in_use(&self) -> (usize, usize) {
        let blocks = self.blocks.borrow().len();
        (blocks * BLOCK_BYTES, blocks * BLOCK_COST)
    }
}

/// How an allocation gets its memory where no free cell is at hand.
impl Locked<'_> {
    /// The slow path of an allocation, a ladder: each rung costs more than the one before, and is
    /// taken only if that did not help.
    #[cold]
    #[inline(never)]
    pub(crate) fn obtain(self, class: usize, shape: Shape) -> Result<Object, HeapFull> {
        self.settle();
        if self.inner.stress {
            self.collect(OLDEST, false);
        }
        if self.cycle == Cycle::BaconRajan {
            // Here, because the heap grows here and nowhere else.
            self.consider_possible_roots();
        }
        // Memory that is free: a cell that is carved, a block, a run of blocks.
        let mut obtained = self.try_obtain(class, shape);
        // What is dead and a lazy heap has not freed yet: it costs no more than it would have.
        if obtained.is_err() && self.has_dead() {
            self.free_all_dead();
            obtained = self.try_obtain(class, shape);
        }
        let cause = match obtained {
            Ok(cell) => return Ok(cell),
            Err(cause) => cause,
        };
        let counters = &self.inner.counters;
        let full = |cause| HeapFull::new(shape, counters.limit(), cause);
        // What is larger than the limit fits after no collection.
        if !counters.admits(occupied_by(shape.bytes())) {
            return Err(full(FullCause::Limit));
        }
        // An exhaustive collection: cyclic garbage, all that dies of it, and the empty blocks of
        // other size classes.
        let begun = Instant::now();
        self.collect(OLDEST, false);
        self.free_all_dead();
        self.trim();
        (self.judge_exhaustive(begun, class, shape, cause)).map_err(full)?;
        self.try_obtain(class, shape).map_err(full)
    }

    /// Judges the exhaustive collection that began at `begun`, and was made because of `cause` for
    /// an object of `shape`. The error: it was one too many of those that free next to nothing.
    pub(crate) fn judge_exhaustive(
        self,
        begun: Instant,
        class: usize,
        shape: Shape,
        cause: FullCause,
    ) -> Result<(), FullCause> {
        if cause != FullCause::Limit {
            // Where the system has no memory, the heap is not nearly full.
            self.overhead.note_other(begun.elapsed());
            return Ok(());
        }
        let counters = &self.inner.counters;
        let fits = self.allocator.would_fit(class, shape.bytes(), counters);
        match self.judge_overhead(begun, fits) {
            Verdict::Refused if fits => Err(FullCause::Overhead),
            _ => Ok(()),
        }
    }

    fn judge_overhead(self, begun: Instant, fits: bool) -> Verdict {
        let recorder = &self.inner.recorder;
        let began = recorder.since(begun);
        let counters = &self.inner.counters;
        let collection = Exhaustive {
            began,
            took: recorder.since(Instant::now()) - began,
            allocated: counters.allocated_bytes(),
            room: counters.room(),
        };
        self.overhead.judge(collection, fits)
    }

    /// Memory that is free.
    pub(crate) fn try_obtain(self, class: usize, shape: Shape) -> Result<Object, FullCause> {
        let counters = &self.inner.counters;
        if (class == LARGE || self.allocator.needs_block(class)) && !self.set_aside() {
            return Err(FullCause::System);
        }
        self.account_metadata();
        if class == LARGE {
            self.allocator.obtain_large(shape.bytes(), counters)
        } else {
            self.allocator.obtain(class, counters)
        }
    }
}
