//! Memory for objects: blocks of cells of one size class, and large objects apart.
//!
//! # Blocks
//!
//! A block is 64 KiB, aligned to its size, so that it is found from any cell by masking. Its first 4 KiB hold one **side byte** for
//! each granule of 16 bytes, which the cycle collector uses ([`crate::cycle`]); the side bytes that would describe these first 4 KiB
//! themselves describe nothing, and hold the block's header instead. Cells follow.
//!
//! Free cells of a class form one list through their headers, last in, first out, across blocks: a cell is reused while it
//! is hot, allocation is a pop and freeing a push, neither of which touches the block. A block is carved into cells a page at a time, so that
//! memory is not touched long before it is needed.
//!
//! A tree that is built bottom-up and then dropped frees its nodes in (mirrored) reverse of the order in which it was built, so
//! that the list hands the cells out again in address order: the list does not scramble the heap as one might fear.
//!
//! Rejected: a free list for each block, as mimalloc has. It bounds fragmentation better, but every free and every allocation would touch the block's header. Empty
//! blocks are found by a walk instead ([`Allocator::trim`]), at the limit and in explicit full collections only.
//!
//! # Large objects
//!
//! What does not fit half a block has a mapping of its own, which goes back to the system when the object dies. Its header is aligned
//! like a block's, so that side bytes are found by the same arithmetic. Large objects are listed in one vector
//! a generation, where they know their index.
//!
//! # Invariants
//!
//! 1. Every cell below a block's `end` has an initialised header; its tag names the block's class and says whether it is free.
//! 2. Free cells are exactly those on the list of their class.
//! 3. A block becomes spare only when none of its cells is an object *and* the lists of young and middle blocks do
//!    not name it.

use std::cell::{Cell, RefCell};
use std::mem::offset_of;
use std::ptr::NonNull;

use crate::heap::Counters;
use crate::object::{GRANULE, HEADER_BYTES, Object, link, linked, tag};
use crate::system;

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;
/// What the lists that can name a block take of the limit, for each block: four words, twice for their growth.
const LISTS_BYTES: usize = 64;
/// What a block takes of the limit.
pub(crate) const BLOCK_COST: usize = BLOCK_BYTES + LISTS_BYTES;
/// Where a block's cells begin: after its side bytes.
pub(crate) const FIRST_CELL: usize = BLOCK_BYTES / GRANULE;
/// Where a large object begins.
const LARGE_CELL: usize = 64;
/// Side bytes that one bit of a block's summary stands for: those of 1 KiB of cells.
pub(crate) const STRETCH: usize = 64;
/// Bytes that are carved into cells at a time.
const CARVE_BYTES: usize = 4 << 10;
/// Bytes that are asked of the system at a time.
const CHUNK_BYTES: usize = 4 << 20;
/// Alignment of chunks: that of huge pages on x86-64.
const CHUNK_ALIGN: usize = 2 << 20;

/// The list of large objects that are in no generation.
pub(crate) const UNTRACKED: usize = 3;
/// The class of large objects.
pub(crate) const LARGE: usize = 63;
const CLASSES: usize = 53;
/// Objects above have a mapping of their own.
pub(crate) const SMALL_BYTES: usize = 30720;

/// Bytes of a cell, by class: every multiple of 16 up to 512, four steps to the doubling up to 4 KiB, then fractions of a
/// block.
const CELL_BYTES: [u32; CLASSES] = {
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
        bytes[class] = (BLOCK_BYTES - FIRST_CELL) as u32 / fractions[class - 44] / 16 * 16;
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
    assert!(offset_of!(BlockHeader, large_side_byte) == LARGE_CELL / GRANULE);
    assert!(size_of::<BlockHeader>() <= LARGE_CELL);
    assert!(LARGE_CELL + HEADER_BYTES < FIRST_CELL);
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

/// Bytes that an object of `bytes` occupies.
pub(crate) const fn occupied_by(bytes: usize) -> usize {
    match class_of(bytes) {
        LARGE => (LARGE_CELL + bytes).next_multiple_of(BLOCK_BYTES),
        class => CELL_BYTES[class] as usize,
    }
}

/// The beginning of a block, and of a large object's mapping.
#[repr(C)]
struct BlockHeader {
    class: Cell<u8>,
    /// Large objects: the list it is in.
    generation: Cell<u8>,
    _unused: [u8; 2],
    /// The side byte of a large object, where the general arithmetic finds it.
    large_side_byte: Cell<u8>,
    /// During a trim: the block has no object.
    empty: Cell<bool>,
    /// Offset at which the cells that were carved so far end.
    end: Cell<u32>,
    /// Large objects: bytes of the mapping.
    bytes: Cell<usize>,
    /// Large objects: index in the list of their generation.
    index: Cell<usize>,
    /// Stretches of 64 side bytes that may have a young one. Not zero exactly if the block is in the collector's list of young blocks.
    young: Cell<u64>,
    /// The same for the middle generation.
    middle: Cell<u64>,
}

/// A block or a large object's mapping, of the heap whose lock the current thread holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block(NonNull<BlockHeader>);

impl Block {
    /// The block that holds `cell`.
    #[inline(always)]
    fn of(cell: Object) -> Self {
        let start = cell.raw().map_addr(|address| address & !(BLOCK_BYTES - 1));
        // SAFETY: a cell lies in the first 64 KiB of an aligned mapping or block, whose start is not address zero.
        Self(unsafe { NonNull::new_unchecked(start.cast()) })
    }

    fn header<'a>(self) -> &'a BlockHeader {
        // SAFETY: blocks are mapped as long as they are known, and their headers are all cells.
        unsafe { self.0.as_ref() }
    }

    /// # Safety
    ///
    /// `offset` is at most the block's size.
    unsafe fn at(self, offset: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.as_ptr().cast::<u8>().add(offset) }
    }

    pub(crate) fn class(self) -> usize {
        self.header().class.get() as usize
    }

    /// Makes an unused block one of `class`, with no cell carved.
    fn assign(self, class: usize) {
        self.header().class.set(class as u8);
        self.header().empty.set(false);
        self.header().end.set(FIRST_CELL as u32);
    }

    /// The cells carved so far, whether free or not.
    #[inline]
    pub(crate) fn cells(self) -> impl Iterator<Item = Object> {
        let (step, end) = (
            CELL_BYTES[self.class()] as usize,
            self.header().end.get() as usize,
        );
        (FIRST_CELL..end).step_by(step).map(move |offset| {
            // SAFETY: invariant 1: there is a cell, within the block.
            unsafe { Object::from_raw(self.at(offset)) }
        })
    }

    /// The side bytes of all granules that can hold cells.
    pub(crate) fn side_bytes<'a>(self) -> &'a [Cell<u8>] {
        let first = FIRST_CELL / GRANULE;
        // SAFETY: the first 4 KiB of a block are side bytes from index 256 on, cells all, and initialised to zero by the system.
        unsafe { std::slice::from_raw_parts(self.at(first).cast::<Cell<u8>>(), FIRST_CELL - first) }
    }

    /// The side bytes of a stretch.
    pub(crate) fn side_bytes_in<'a>(self, stretch: u32) -> &'a [Cell<u8>] {
        let first = FIRST_CELL / GRANULE;
        let start = stretch as usize * STRETCH - first;
        &self.side_bytes()[start..start + STRETCH]
    }

    /// The carved cells that begin in a stretch.
    #[inline(always)]
    pub(crate) fn cells_in(self, stretch: u32) -> impl DoubleEndedIterator<Item = Object> {
        let step = CELL_BYTES[self.class()] as usize;
        let start = stretch as usize * STRETCH * GRANULE;
        let end = (start + STRETCH * GRANULE).min(self.header().end.get() as usize);
        let first = (start - FIRST_CELL).div_ceil(step);
        let last = (end.max(FIRST_CELL) - FIRST_CELL).div_ceil(step);
        (first..last).map(move |index| {
            // SAFETY: invariant 1: the cell begins below `end`, so that it was carved.
            unsafe { Object::from_raw(self.at(FIRST_CELL + index * step)) }
        })
    }

    /// The stretches of 64 side bytes that can belong to cells carved so far, one bit each.
    pub(crate) fn stretches(self) -> u64 {
        let granules = (self.header().end.get() as usize).div_ceil(GRANULE);
        let end = granules.div_ceil(STRETCH);
        (u64::MAX >> (64 - end)) & (u64::MAX << (FIRST_CELL / GRANULE / STRETCH))
    }

    /// Which stretches may have young side bytes.
    pub(crate) fn young<'a>(self) -> &'a Cell<u64> {
        &self.header().young
    }

    /// Which stretches may have side bytes of the middle generation.
    pub(crate) fn middle<'a>(self) -> &'a Cell<u64> {
        &self.header().middle
    }

    /// The block of a cell, and the bit of its stretch.
    #[inline(always)]
    pub(crate) fn locate(cell: Object) -> (Self, u64) {
        (
            Self::of(cell),
            1 << (cell.address() % BLOCK_BYTES / (GRANULE * STRETCH)),
        )
    }
}

/// The side byte of a cell. [`crate::cycle`] says what it means.
#[inline(always)]
pub(crate) fn side_byte<'a>(cell: Object) -> &'a Cell<u8> {
    let byte = cell.raw().map_addr(|address| {
        let offset = address & (BLOCK_BYTES - 1);
        (address - offset) + offset / GRANULE
    });
    // SAFETY: cells begin within the first 64 KiB of a block or of a large object's mapping, whose first 4 KiB hold side bytes
    // (for a large object, the header's field that is asserted to lie there); all are cells.
    unsafe { &*byte.cast::<Cell<u8>>() }
}

/// What freed memory is filled with in a poisoning heap: as a reference it is misaligned, as a number conspicuous.
pub(crate) const POISON: u64 = 0xdead_beef_dead_beef;

/// The allocator's state.
pub(crate) struct Allocator {
    /// The lists that the inline path pops from, by class.
    free: [Cell<Option<Object>>; CLASSES],
    /// The lists that are used instead in a stressed or poisoning heap, so that every allocation takes the slow path.
    withheld: [Cell<Option<Object>>; CLASSES],
    guarded: bool,
    poison: bool,
    /// Bits that new cells are born with, beside their class.
    birth: u64,
    /// The block that is being carved, by class.
    carving: [Cell<Option<Block>>; CLASSES],
    blocks: RefCell<Vec<Block>>,
    spare: RefCell<Vec<Block>>,
    chunks: RefCell<Vec<NonNull<u8>>>,
    /// The part of the last chunk that was not yet made into blocks, as offset; [`CHUNK_BYTES`] if none.
    chunk_used: Cell<usize>,
    /// Large objects by generation; the last are the untracked ones ([`UNTRACKED`]).
    large: [RefCell<Vec<Object>>; 4],
}

impl Allocator {
    /// `listed` says that cells are born as if every buffer listed them, which keeps them out of the buffers for good.
    pub(crate) fn new(stress: bool, poison: bool, listed: bool) -> Self {
        Self {
            free: [const { Cell::new(None) }; CLASSES],
            withheld: [const { Cell::new(None) }; CLASSES],
            guarded: stress || poison,
            poison,
            birth: if listed {
                tag::FREE | tag::IN_YOUNG
            } else {
                tag::FREE
            },
            carving: [const { Cell::new(None) }; CLASSES],
            blocks: RefCell::default(),
            spare: RefCell::default(),
            chunks: RefCell::default(),
            chunk_used: Cell::new(CHUNK_BYTES),
            large: Default::default(),
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
        // SAFETY: invariant 2: cells on the list are free, and the head of a free cell is linked.
        list.set(unsafe { link(cell.head()) });
        Some(cell)
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

    /// The slow path for a small class: a free cell, from a list or newly carved; `None` at the limit.
    pub(crate) fn obtain(&self, class: usize, counters: &Counters) -> Option<Object> {
        let list = self.list(class);
        if list.get().is_none() && !self.carve(class) {
            let block = self.new_block(counters)?;
            block.assign(class);
            self.blocks.borrow_mut().push(block);
            self.carving[class].set(Some(block));
            self.carve(class);
        }
        let cell = Self::pop_from(list)?;
        if self.poison {
            self.check_poison(cell);
        }
        Some(cell)
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
            // SAFETY: the cell lies within the block, and its header is initialised in the next line.
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

    /// An unused block; `None` at the limit or if the system has no memory.
    fn new_block(&self, counters: &Counters) -> Option<Block> {
        if !counters.charge(BLOCK_COST) {
            return None;
        }
        if let Some(block) = self.spare.borrow_mut().pop() {
            return Some(block);
        }
        let mut chunks = self.chunks.borrow_mut();
        if self.chunk_used.get() == CHUNK_BYTES {
            let Some(chunk) = system::map(CHUNK_BYTES, CHUNK_ALIGN) else {
                counters.discharge(BLOCK_COST);
                return None;
            };
            system::prefer_huge_pages(chunk, CHUNK_BYTES);
            chunks.push(chunk);
            self.chunk_used.set(0);
        }
        let used = self.chunk_used.get();
        self.chunk_used.set(used + BLOCK_BYTES);
        counters.commit(BLOCK_COST);
        // SAFETY: `used` is below the chunk's size.
        chunks
            .last()
            .map(|chunk| Block(unsafe { chunk.add(used) }.cast()))
    }

    /// Memory for an object of `bytes` that is too large for a block, zeroed but for its head's tag; not yet listed.
    pub(crate) fn obtain_large(&self, bytes: usize, counters: &Counters) -> Option<Object> {
        let mapped = occupied_by(bytes);
        if !counters.charge(mapped) {
            return None;
        }
        let Some(start) = system::map(mapped, system::ALIGNMENT) else {
            counters.discharge(mapped);
            return None;
        };
        counters.commit(mapped);
        let block = Block(start.cast());
        block.header().class.set(LARGE as u8);
        block.header().bytes.set(mapped);
        // SAFETY: the mapping has room for the object, and zeroes are a header.
        let object = unsafe { Object::from_raw(block.at(LARGE_CELL)) };
        // Large objects have lists of their own.
        object.set_head(LARGE as u64 | tag::FREE | tag::IN_YOUNG);
        Some(object)
    }

    /// Lists a large object in a generation.
    pub(crate) fn list_large(&self, object: Object, generation: usize) {
        let mut list = self.large[generation].borrow_mut();
        let header = Block::of(object).header();
        header.index.set(list.len());
        header.generation.set(generation as u8);
        list.push(object);
    }

    fn unlist_large(&self, object: Object) {
        let header = Block::of(object).header();
        let index = header.index.get();
        let mut list = self.large[header.generation.get() as usize].borrow_mut();
        list.swap_remove(index);
        if let Some(&moved) = list.get(index) {
            Block::of(moved).header().index.set(index);
        }
    }

    /// Moves a large object to another generation.
    pub(crate) fn promote_large(&self, object: Object, generation: usize) {
        self.unlist_large(object);
        self.list_large(object, generation);
    }

    /// The large objects of a generation.
    pub(crate) fn large(&self, generation: usize) -> Vec<Object> {
        self.large[generation].borrow().clone()
    }

    /// All blocks in use.
    pub(crate) fn blocks(&self) -> std::cell::Ref<'_, Vec<Block>> {
        self.blocks.borrow()
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

    /// Gives a large object's memory back to the system.
    #[cold]
    #[inline(never)]
    pub(crate) fn free_large(&self, object: Object, counters: &Counters) {
        self.unlist_large(object);
        let block = Block::of(object);
        let bytes = block.header().bytes.get();
        // SAFETY: the mapping was made with these bytes; the object is dead, and no list names it.
        unsafe { system::unmap(block.0.cast(), bytes) };
        counters.discharge(bytes);
        counters.decommit(bytes);
    }

    /// The part of a free cell that is poisoned: all but the header.
    fn poisoned<'a>(&self, cell: Object) -> &'a [Cell<u64>] {
        let units = (CELL_BYTES[cell.class()] as usize - HEADER_BYTES) / 8;
        // SAFETY: the cell's class gives its size; a free cell's memory is mapped and belongs to nobody else.
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

    /// Makes blocks without objects spare, for any class to use. Walks every cell.
    ///
    /// The caller has made a full collection, so that nothing lists a cell (invariant 3).
    pub(crate) fn trim(&self, counters: &Counters) {
        let mut blocks = self.blocks.borrow_mut();
        for block in blocks.iter() {
            block
                .header()
                .empty
                .set(block.cells().all(|cell| cell.has(tag::FREE)));
        }
        if !blocks.iter().any(|block| block.header().empty.get()) {
            return;
        }
        for class in 0..CLASSES {
            self.carving[class].set(
                self.carving[class]
                    .get()
                    .filter(|block| !block.header().empty.get()),
            );
            // The list keeps its order without the cells of empty blocks: what stays is moved to a second list
            // and back.
            let list = self.list(class);
            let reversed = Cell::new(None);
            let transfer = |from: &Cell<Option<Object>>, to: &Cell<Option<Object>>| {
                while let Some(cell) = Self::pop_from(from) {
                    if !Block::of(cell).header().empty.get() {
                        cell.set_head(linked(to.get(), cell.head() & tag::ALL));
                        to.set(Some(cell));
                    }
                }
            };
            transfer(list, &reversed);
            transfer(&reversed, list);
        }
        let mut spare = self.spare.borrow_mut();
        blocks.retain(|&block| {
            let empty = block.header().empty.get();
            if empty {
                block.side_bytes().iter().for_each(|byte| byte.set(0));
                spare.push(block);
                counters.discharge(BLOCK_COST);
            }
            !empty
        });
    }

    /// The free cells of a class, hottest first.
    pub(crate) fn free_cells(&self, class: usize) -> impl Iterator<Item = Object> {
        // SAFETY: invariant 2: cells on the list are free, and the head of a free cell is linked.
        std::iter::successors(self.list(class).get(), |cell| unsafe { link(cell.head()) })
    }

    /// The number of size classes of blocks.
    pub(crate) const fn classes() -> usize {
        CLASSES
    }

    /// Bytes of side metadata in blocks and mappings, and in the lists of them.
    pub(crate) fn metadata(&self) -> usize {
        let large = self
            .large
            .iter()
            .map(|list| list.borrow().len())
            .sum::<usize>();
        self.blocks.borrow().len() * (FIRST_CELL + LISTS_BYTES) + large * LARGE_CELL
    }
}

impl Drop for Allocator {
    fn drop(&mut self) {
        for &object in self
            .large
            .iter()
            .flat_map(|list| list.take())
            .collect::<Vec<_>>()
            .iter()
        {
            let block = Block::of(object);
            // SAFETY: the heap is going away: nothing refers to its objects any more.
            unsafe { system::unmap(block.0.cast(), block.header().bytes.get()) };
        }
        for chunk in self.chunks.take() {
            // SAFETY: as above, for its blocks.
            unsafe { system::unmap(chunk, CHUNK_BYTES) };
        }
    }
}
