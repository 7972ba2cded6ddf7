//! Memory for objects: blocks of cells of one size class, and large objects in runs of blocks.
//!
//! # Chunks and blocks
//!
//! Memory comes from the system in **chunks** of 4 MiB, aligned to their size, so that the chunk of
//! a cell is found by masking. A chunk is 64 **blocks** of 64 KiB. The first four hold no cells but
//! the chunk's **side table**: one byte for each granule of 16 bytes, which the cycle collector
//! uses ([`crate::cycle`]). The side bytes that would describe the side table itself describe
//! nothing, and hold the headers of the blocks instead.
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
//! Rejected: side bytes at the front of each block. Those of all blocks then fall into the same
//! sixteenth of a second-level cache's sets, of all the memory that a full collection touches at
//! random. A free list for each block, as mimalloc has: it bounds fragmentation better, but every
//! free and every allocation would touch the block's header. Empty blocks are found by a walk
//! instead ([`Allocator::trim`]), which is not made often.
//!
//! # Large objects
//!
//! What does not fit half a block takes a run of whole blocks, within a chunk if it can, else in a
//! longer chunk of its own. Large objects are listed in one vector a generation, where they know
//! their index.
//!
//! Chunks are indexed twice by their longest run ([`Runs`]): of *unused* blocks, and of *spare*
//! ones, unused blocks that have memory of the system. A run is taken from the chunk whose longest
//! is the shortest that will do (best fit), among the spare first, and found in constant time,
//! however many holes there are.
//!
//! # Giving memory back
//!
//! A block that nothing uses is kept for a while: what has just been needed is soon needed again,
//! and memory that comes fresh from the system costs its first touch. [`Allocator::age`] returns
//! the blocks that were unused the whole time since it was called before, and chunks without any
//! block.
//!
//! Objects of many sizes leave holes that the next one does not fit, and a run that is fresh is
//! backed beside those that are spare. So whenever more is taken, spare blocks go back until
//! committed memory is within its bound ([`Counters::excess`]): the limit, and not much more than
//! was ever occupied. What that costs is in proportion to what is taken. Addresses are not bounded
//! by it: a chunk stays for as long as one of its blocks is in use.
//!
//! # Invariants
//!
//! 1. Every cell below a block's `end` has an initialised header; its tag names the block's class
//!    and says whether it is free.
//! 2. Free cells are exactly those on the list of their class.
//! 3. A block becomes unused only when none of its cells is an object *and* no list of the cycle
//!    collector names it or one of its cells. The side bytes of an unused block are zero, and in
//!    any block those at which no carved cell begins.
//! 4. A block that is not `touched` is zero throughout.
//! 5. The indexes know the longest runs of every chunk but those of one object, and `spare` is the
//!    number of all spare blocks.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use crate::heap::{Counters, FullCause};
use crate::object::{GRANULE, HEADER_BYTES, Object, link, linked, prefetch, tag};
use crate::room;
use crate::system;

/// Bytes of a chunk, and its alignment: also that of huge pages.
pub(crate) const CHUNK_BYTES: usize = 4 << 20;
/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;
/// Side bytes of a block.
const SIDE_BYTES: usize = BLOCK_BYTES / GRANULE;
/// Blocks of a chunk; its block numbers are bits of a word.
const BLOCKS: usize = CHUNK_BYTES / BLOCK_BYTES;
/// The first block with cells: those before are the side table.
const FIRST_BLOCK: usize = BLOCKS * SIDE_BYTES / BLOCK_BYTES;
/// The blocks of a chunk that can hold cells.
const ALL_BLOCKS: u64 = u64::MAX << FIRST_BLOCK;
/// Bytes of free addresses that are looked for before the first chunk is mapped.
const CHUNKS_RANGE: usize = 16 << 30;
/// What a block in use, or a large object, takes beside its cells: its side bytes, its header, and
/// its places in the lists that can name it (five words, twice for their growth).
pub(crate) const BLOCK_METADATA: usize = SIDE_BYTES + size_of::<BlockHeader>() + 80;
/// What a block takes of the limit.
pub(crate) const BLOCK_COST: usize = BLOCK_BYTES + BLOCK_METADATA;
/// Side bytes that one bit of a block's summary stands for: those of 1 KiB of cells.
pub(crate) const STRETCH: usize = 64;
/// Bytes that are carved into cells at a time.
const CARVE_BYTES: usize = 4 << 10;

/// The list of large objects that are in no generation.
pub(crate) const UNTRACKED: usize = 3;
/// The class of large objects.
pub(crate) const LARGE: usize = 63;
const CLASSES: usize = 53;
/// Objects above take whole blocks.
pub(crate) const SMALL_BYTES: usize = BLOCK_BYTES / 2;

/// Bytes of a cell, by class: every multiple of 16 up to 512, four steps to the doubling up to 4
/// KiB, then fractions of a block.
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
    assert!(BLOCKS == u64::BITS as usize && SIDE_BYTES / STRETCH == u64::BITS as usize);
    // The headers fit where the side bytes of the side table would be.
    assert!(BLOCKS * size_of::<BlockHeader>() <= FIRST_BLOCK * SIDE_BYTES);
    assert!(size_of::<ChunkHeader>() <= FIRST_BLOCK * size_of::<BlockHeader>());
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

/// A block's state.
#[repr(C, align(64))]
struct BlockHeader {
    class: Cell<u8>,
    /// Large objects: the list it is in.
    generation: Cell<u8>,
    /// During a trim: the block has no object.
    empty: Cell<bool>,
    /// Offset at which the cells that were carved so far end.
    end: Cell<u32>,
    /// Large objects: blocks of the run.
    blocks: Cell<usize>,
    /// Large objects: index in the list of their generation.
    index: Cell<usize>,
    /// Stretches of 64 side bytes that may have a young one. Not zero exactly if the block is in
    /// the collector's list of young blocks.
    young: Cell<u64>,
    /// The same for the middle generation.
    middle: Cell<u64>,
}

/// A chunk's state, in the place of the headers of its first blocks, which have no cells.
#[repr(C)]
struct ChunkHeader {
    /// Blocks that are unused.
    unused: Cell<u64>,
    /// Blocks that may have memory of the system.
    touched: Cell<u64>,
    /// Blocks that were unused when [`Allocator::age`] was last called, and ever since.
    idle: Cell<u64>,
    /// Bytes of the mapping: more than those of a chunk if it was made for one object.
    bytes: Cell<usize>,
    /// Its places in the indexes of unused and of spare runs.
    places: [Place; 2],
}

/// A chunk's place in an index of runs.
#[repr(C)]
struct Place {
    /// Blocks of the longest run; zero: not listed.
    length: Cell<usize>,
    previous: Cell<Option<Chunk>>,
    next: Cell<Option<Chunk>>,
}

/// A chunk of the heap whose lock the current thread holds.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
struct Chunk(NonNull<ChunkHeader>);

impl Chunk {
    /// Maps a chunk, at the address `hint` if it is free; `None` if the system refuses.
    fn map(bytes: usize, hint: usize) -> Option<Self> {
        let start = system::map(bytes, CHUNK_BYTES, hint)?;
        system::prefer_huge_pages(start, bytes);
        let chunk = Self(start.cast());
        chunk.header().bytes.set(bytes);
        Some(chunk)
    }

    /// Returns whether the system did it.
    ///
    /// # Safety
    ///
    /// Nothing points into the chunk any more.
    unsafe fn unmap(self) -> bool {
        // SAFETY: the mapping was made with these bytes; the rest is the caller's promise.
        unsafe { system::unmap(self.0.cast(), self.header().bytes.get()) }
    }

    fn header<'a>(self) -> &'a ChunkHeader {
        // SAFETY: chunks are mapped as long as they are known; their headers are all cells, for
        // which zeroes are fine.
        unsafe { self.0.as_ref() }
    }

    fn block(self, number: usize) -> Block {
        // SAFETY: the headers of a chunk's blocks lie at its start.
        Block(unsafe { self.0.cast::<BlockHeader>().add(number) })
    }

    /// Blocks that are unused and have memory of the system.
    fn spare(self) -> u64 {
        self.header().unused.get() & self.header().touched.get()
    }
}

/// The number of the first of so many set bits in a row, the lowest ones.
fn first_run(bits: u64, length: usize) -> Option<usize> {
    // Bit n of `starts` stays set while the bits from n on are, for ever longer runs.
    let (mut starts, mut found) = (bits, 1);
    while found < length && starts != 0 {
        let step = found.min(length - found);
        starts &= starts >> step;
        found += step;
    }
    (starts != 0).then_some(starts.trailing_zeros() as usize)
}

/// How many set bits there are in a row, at most.
fn longest_run(mut bits: u64) -> usize {
    let mut length = 0;
    while bits != 0 {
        bits &= bits << 1;
        length += 1;
    }
    length
}

/// The chunks by the length of their longest run of some blocks: a list for each length.
struct Runs {
    /// Which of a chunk's places is for this index.
    place: usize,
    lists: [Cell<Option<Chunk>>; BLOCKS],
    /// The lengths of which there are chunks, a bit each.
    lengths: Cell<u64>,
}

impl Runs {
    fn new(place: usize) -> Self {
        Self {
            place,
            lists: [const { Cell::new(None) }; BLOCKS],
            lengths: Cell::new(0),
        }
    }

    fn place<'a>(&self, chunk: Chunk) -> &'a Place {
        &chunk.header().places[self.place]
    }

    /// The blocks of interest of a chunk are now those of `bits`.
    fn update(&self, chunk: Chunk, bits: u64) {
        let length = longest_run(bits);
        let place = self.place(chunk);
        let before = place.length.replace(length);
        if before == length {
            return;
        }
        if before > 0 {
            let (previous, next) = (place.previous.take(), place.next.take());
            match previous {
                Some(previous) => self.place(previous).next.set(next),
                None => self.lists[before].set(next),
            }
            if let Some(next) = next {
                self.place(next).previous.set(previous);
            }
            if self.lists[before].get().is_none() {
                self.lengths.set(self.lengths.get() & !(1 << before));
            }
        }
        if length > 0 {
            let next = self.lists[length].replace(Some(chunk));
            place.next.set(next);
            if let Some(next) = next {
                self.place(next).previous.set(Some(chunk));
            }
            self.lengths.set(self.lengths.get() | 1 << length);
        }
    }

    /// A chunk with a run of so many blocks, at most those of a chunk: one whose longest is not
    /// much longer.
    fn with(&self, blocks: usize) -> Option<Chunk> {
        let lengths = self.lengths.get() & u64::MAX << blocks;
        self.lists.get(lengths.trailing_zeros() as usize)?.get()
    }

    /// A chunk with the longest run there is, and its length.
    fn longest(&self) -> Option<(Chunk, usize)> {
        let length = self.lengths.get().checked_ilog2()? as usize;
        Some((self.lists[length].get()?, length))
    }
}

/// The bits of a run of blocks.
const fn run(first: usize, blocks: usize) -> u64 {
    (u64::MAX >> (BLOCKS - blocks)) << first
}

/// A block, or the first one of a large object, of the heap whose lock the current thread holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block(NonNull<BlockHeader>);

impl Block {
    /// The block that holds `cell`.
    #[inline(always)]
    fn of(cell: Object) -> Self {
        let header = cell.raw().map_addr(|address| {
            let offset = address & (CHUNK_BYTES - 1);
            (address - offset) + offset / BLOCK_BYTES * size_of::<BlockHeader>()
        });
        // SAFETY: cells begin in one of the blocks of a chunk, whose headers lie at its start; that
        // is not address zero.
        Self(unsafe { NonNull::new_unchecked(header.cast()) })
    }

    fn header<'a>(self) -> &'a BlockHeader {
        // SAFETY: blocks are mapped as long as they are known, and their headers are all cells.
        unsafe { self.0.as_ref() }
    }

    fn chunk(self) -> Chunk {
        let start = self
            .0
            .as_ptr()
            .map_addr(|address| address & !(CHUNK_BYTES - 1));
        // SAFETY: chunks are not at address zero.
        Chunk(unsafe { NonNull::new_unchecked(start.cast()) })
    }

    /// The block's number in its chunk.
    #[inline(always)]
    fn number(self) -> usize {
        (self.0.as_ptr() as usize & (CHUNK_BYTES - 1)) / size_of::<BlockHeader>()
    }

    /// # Safety
    ///
    /// `offset` is at most the size of the block, or of the run of blocks.
    unsafe fn at(self, offset: usize) -> *mut u8 {
        // SAFETY: the block lies in its chunk; the rest is the caller's promise.
        unsafe {
            self.chunk()
                .0
                .as_ptr()
                .cast::<u8>()
                .add(self.number() * BLOCK_BYTES + offset)
        }
    }

    pub(crate) fn class(self) -> usize {
        self.header().class.get() as usize
    }

    /// Makes an unused block one of `class`, with no cell carved.
    fn assign(self, class: usize) {
        self.header().class.set(class as u8);
        self.header().empty.set(false);
        self.header().end.set(0);
    }

    /// The cells carved so far, whether free or not.
    #[inline]
    pub(crate) fn cells(self) -> impl Iterator<Item = Object> {
        let (step, end) = (
            CELL_BYTES[self.class()] as usize,
            self.header().end.get() as usize,
        );
        (0..end).step_by(step).map(move |offset| {
            // SAFETY: invariant 1: there is a cell, within the block.
            unsafe { Object::from_raw(self.at(offset)) }
        })
    }

    /// The block's side bytes.
    #[inline(always)]
    pub(crate) fn side_bytes<'a>(self) -> &'a [Cell<u8>] {
        // SAFETY: the side table begins with the chunk; its bytes are cells all, and initialised to
        // zero by the system.
        unsafe {
            let table = self.chunk().0.as_ptr().cast::<Cell<u8>>();
            std::slice::from_raw_parts(table.add(self.number() * SIDE_BYTES), SIDE_BYTES)
        }
    }

    /// The side bytes of a stretch.
    #[inline(always)]
    pub(crate) fn side_bytes_in<'a>(self, stretch: u32) -> &'a [Cell<u8>] {
        &self.side_bytes()[stretch as usize * STRETCH..][..STRETCH]
    }

    /// The carved cells that begin in a stretch.
    pub(crate) fn cells_in(self, stretch: u32) -> impl Iterator<Item = Object> {
        let (step, cells) = self.cells_between(stretch, stretch);
        cells.step_by(step).map(move |offset| {
            // SAFETY: invariant 1: the cell begins below `end`, so that it was carved.
            unsafe { Object::from_raw(self.at(offset)) }
        })
    }

    /// Bytes of a cell, and the offsets of the carved cells that begin in the stretches from
    /// `first` to `last`.
    #[inline(always)]
    fn cells_between(self, first: u32, last: u32) -> (usize, std::ops::Range<usize>) {
        let step = CELL_BYTES[self.class()];
        let start = first * (STRETCH * GRANULE) as u32;
        let end = (last + 1) * (STRETCH * GRANULE) as u32;
        let cells = start.next_multiple_of(step)..end.min(self.header().end.get());
        (step as usize, cells.start as usize..cells.end as usize)
    }

    /// Calls `f` with the carved cells that begin in some stretches and their side bytes, by
    /// falling or by rising address, until it returns false. Returns whether it never did.
    #[inline(always)]
    pub(crate) fn each_cell<const RISING: bool>(
        self,
        stretches: u64,
        mut f: impl FnMut(Object, &Cell<u8>) -> bool,
    ) -> bool {
        let bytes = self.side_bytes();
        let mut rest = stretches;
        while rest != 0 {
            // A run of stretches at once.
            let (first, length) = if RISING {
                let first = rest.trailing_zeros();
                (first, (rest >> first).trailing_ones())
            } else {
                let last = 63 - rest.leading_zeros();
                let length = (rest << (63 - last)).leading_ones();
                (last + 1 - length, length)
            };
            rest &= !(u64::MAX >> (64 - length) << first);
            let (step, cells) = self.cells_between(first, first + length - 1);
            let end = cells.start + cells.len().div_ceil(step) * step;
            let mut offset = if RISING { cells.start } else { end };
            while if RISING {
                offset < end
            } else {
                offset > cells.start
            } {
                if !RISING {
                    offset -= step;
                }
                // SAFETY: invariant 1: the cell begins below `end`, so that it was carved.
                let cell = unsafe { Object::from_raw(self.at(offset)) };
                if !f(cell, &bytes[offset / GRANULE % SIDE_BYTES]) {
                    return false;
                }
                if RISING {
                    offset += step;
                }
            }
        }
        true
    }

    /// Calls `f` with the carved cells in some stretches whose side bytes are neither zero nor
    /// have the highest bit, by falling or by rising address, until it returns false. Returns
    /// whether it never did. `f` may clear side bytes of cells that are yet to come, but set none.
    ///
    /// Faster than [`each_cell`](Self::each_cell) where few are: it looks at eight side bytes at
    /// once.
    #[inline(always)]
    pub(crate) fn each_positive<const RISING: bool>(
        self,
        mut stretches: u64,
        mut f: impl FnMut(Object) -> bool,
    ) -> bool {
        const WORD: usize = size_of::<u64>();
        while let Some(stretch) = take_bit::<RISING>(&mut stretches) {
            let bytes = self.side_bytes_in(stretch);
            for number in 0..STRETCH / WORD {
                let word = if RISING {
                    number
                } else {
                    STRETCH / WORD - 1 - number
                };
                let bytes = &bytes[word * WORD..][..WORD];
                let mut positive = positive_bytes(std::array::from_fn(|byte| bytes[byte].get()));
                while let Some(bit) = take_bit::<RISING>(&mut positive) {
                    let byte = stretch as usize * STRETCH + word * WORD + bit as usize / 8;
                    // SAFETY: invariant 3: where the side byte is not zero a carved cell begins.
                    if !f(unsafe { Object::from_raw(self.at(byte * GRANULE)) }) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Asks the cache for the header, and for the side bytes of some stretches.
    #[inline(always)]
    pub(crate) fn prefetch(self, mut stretches: u64) {
        prefetch((&raw const *self.header()).cast());
        while let Some(stretch) = take_bit::<true>(&mut stretches) {
            prefetch(self.side_bytes_in(stretch).as_ptr().cast());
        }
    }

    /// The stretches of 64 side bytes that can belong to cells carved so far, one bit each.
    pub(crate) fn stretches(self) -> u64 {
        match (self.header().end.get() as usize).div_ceil(GRANULE * STRETCH) {
            0 => 0,
            end => u64::MAX >> (64 - end),
        }
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

/// Takes the lowest bit, or the highest, from those that are set.
#[inline(always)]
pub(crate) fn take_bit<const LOWEST: bool>(bits: &mut u64) -> Option<u32> {
    if *bits == 0 {
        return None;
    }
    let bit = if LOWEST {
        bits.trailing_zeros()
    } else {
        63 - bits.leading_zeros()
    };
    *bits &= !(1 << bit);
    Some(bit)
}

/// The highest bits of those bytes that are neither zero nor have that bit set, the first byte
/// lowest.
#[inline(always)]
fn positive_bytes(bytes: [u8; 8]) -> u64 {
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(bytes);
    // No sum leaves its byte.
    ((word & !HIGHEST) + !HIGHEST) & !word & HIGHEST
}

/// The side byte of a cell. [`crate::cycle`] says what it means.
#[inline(always)]
pub(crate) fn side_byte<'a>(cell: Object) -> &'a Cell<u8> {
    let byte = cell.raw().map_addr(|address| {
        let offset = address & (CHUNK_BYTES - 1);
        (address - offset) + offset / GRANULE
    });
    // SAFETY: cells begin within the first 4 MiB of a chunk, which begins with side bytes for
    // these; all are cells.
    unsafe { &*byte.cast::<Cell<u8>>() }
}

/// What freed memory is filled with in a poisoning heap: as a reference it is misaligned, as a
/// number conspicuous.
pub(crate) const POISON: u64 = 0xdead_beef_dead_beef;

/// The allocator's state.
pub(crate) struct Allocator {
    /// The lists that the inline path pops from, by class.
    free: [Cell<Option<Object>>; CLASSES],
    /// The lists that are used instead in a stressed or poisoning heap, so that every allocation
    /// takes the slow path.
    withheld: [Cell<Option<Object>>; CLASSES],
    guarded: bool,
    poison: bool,
    /// Bits that new cells are born with, beside their class.
    birth: u64,
    /// The block that is being carved, by class.
    carving: [Cell<Option<Block>>; CLASSES],
    /// Blocks of cells in use.
    blocks: RefCell<Vec<Block>>,
    /// Chunks, but for those of one object.
    chunks: RefCell<Vec<Chunk>>,
    /// Where the next chunk should lie: above the last one. Systems hand out addresses from the
    /// top, but the cycle collector is fastest if what is newer lies higher.
    hint: Cell<usize>,
    /// The chunks by their runs of unused blocks.
    unused_runs: Runs,
    /// The chunks by their runs of spare blocks.
    spare_runs: Runs,
    /// Spare blocks.
    spare: Cell<usize>,
    /// Large objects by generation; the last are the untracked ones ([`UNTRACKED`]).
    large: [RefCell<Vec<Object>>; 4],
}

impl Allocator {
    /// Cells are born with the bits `born` in their tags.
    pub(crate) fn new(stress: bool, poison: bool, born: u64) -> Self {
        Self {
            free: [const { Cell::new(None) }; CLASSES],
            withheld: [const { Cell::new(None) }; CLASSES],
            guarded: stress || poison,
            poison,
            birth: tag::FREE | born,
            carving: [const { Cell::new(None) }; CLASSES],
            blocks: RefCell::default(),
            chunks: RefCell::default(),
            hint: Cell::new(0),
            unused_runs: Runs::new(0),
            spare_runs: Runs::new(1),
            spare: Cell::new(0),
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

    /// The slow path for a small class: a free cell, from a list or newly carved.
    pub(crate) fn obtain(&self, class: usize, counters: &Counters) -> Result<Object, FullCause> {
        let list = self.list(class);
        if list.get().is_none() && !self.carve(class) {
            let block = self.new_block(counters)?;
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
        let has_room = |block: Block| {
            BLOCK_BYTES - block.header().end.get() as usize >= CELL_BYTES[class] as usize
        };
        self.list(class).get().is_none() && !self.carving[class].get().is_some_and(has_room)
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
        let carving = self.carving[class].get().is_some_and(|block| {
            BLOCK_BYTES - block.header().end.get() as usize >= CELL_BYTES[class] as usize
        });
        carving || self.list(class).get().is_some() || counters.would_fit(BLOCK_COST)
    }

    /// An unused block.
    fn new_block(&self, counters: &Counters) -> Result<Block, FullCause> {
        if !counters.charge(BLOCK_COST) {
            return Err(FullCause::Limit);
        }
        match self.take_run(1, counters) {
            Some((block, _)) => Ok(block),
            None => {
                counters.discharge(BLOCK_COST);
                Err(FullCause::System)
            }
        }
    }

    /// Takes so many unused blocks in a row, at most those of a chunk, which have been charged.
    /// Returns the first of them, and the bits of those that may not be zero; `None` if the system
    /// has no memory.
    fn take_run(&self, blocks: usize, counters: &Counters) -> Option<(Block, u64)> {
        // Blocks that have memory are better than others.
        let chunk = self
            .spare_runs
            .with(blocks)
            .or_else(|| self.unused_runs.with(blocks))
            .or_else(|| self.new_chunk(counters))?;
        let header = chunk.header();
        let first = first_run(chunk.spare(), blocks)
            .or_else(|| first_run(header.unused.get(), blocks))
            .expect("an index names a chunk for a run that it has");
        let run = run(first, blocks);
        let dirty = header.touched.get() & run;
        header.unused.set(header.unused.get() & !run);
        header.touched.set(header.touched.get() | run);
        header.idle.set(header.idle.get() & !run);
        self.spare_changed(chunk, -(dirty.count_ones() as isize), counters);
        self.keep_within_bound(counters);
        Some((chunk.block(first), dirty))
    }

    /// The blocks of a chunk came into use, or went out of it, or were given back; so many more are
    /// spare.
    fn spare_changed(&self, chunk: Chunk, more: isize, counters: &Counters) {
        self.unused_runs.update(chunk, chunk.header().unused.get());
        self.spare_runs.update(chunk, chunk.spare());
        let spare = self.spare.get().wrapping_add_signed(more);
        self.spare.set(spare);
        counters.set_spare(spare * BLOCK_COST);
    }

    /// Maps a chunk; `None` if the system refuses although it got back all that is unused.
    fn new_chunk(&self, counters: &Counters) -> Option<Chunk> {
        let chunks = self.chunks.borrow().len();
        if !room::set_aside(&mut *self.chunks.borrow_mut(), chunks + 1) {
            return None;
        }
        if self.hint.get() == 0 {
            self.hint
                .set(system::free_address(CHUNKS_RANGE, CHUNK_BYTES));
        }
        let chunk = Chunk::map(CHUNK_BYTES, self.hint.get()).or_else(|| {
            self.age(counters, true);
            Chunk::map(CHUNK_BYTES, 0)
        })?;
        self.hint.set(chunk.0.as_ptr() as usize + CHUNK_BYTES);
        chunk.header().unused.set(ALL_BLOCKS);
        self.chunks.borrow_mut().push(chunk);
        self.spare_changed(chunk, 0, counters);
        Some(chunk)
    }

    /// Makes blocks unused (invariant 3).
    fn give_run(&self, block: Block, blocks: usize, counters: &Counters, cost: usize) {
        let chunk = block.chunk();
        let header = chunk.header();
        header
            .unused
            .set(header.unused.get() | run(block.number(), blocks));
        counters.discharge(cost);
        self.spare_changed(chunk, blocks as isize, counters);
        // Spare blocks count with their side bytes, those of a large object but its first did not.
        self.keep_within_bound(counters);
    }

    /// Gives spare blocks back until no more memory is committed than may be, those in the longest
    /// runs first.
    pub(crate) fn keep_within_bound(&self, counters: &Counters) {
        let mut excess = counters.excess().div_ceil(BLOCK_COST);
        while excess > 0
            && let Some((chunk, length)) = self.spare_runs.longest()
            && let Some(first) = first_run(chunk.spare(), length)
        {
            let blocks = length.min(excess);
            if !self.give_back(chunk, first, blocks, counters) {
                return;
            }
            excess -= blocks;
        }
    }

    /// Gives the memory of some spare blocks of a chunk back to the system. Returns whether it took
    /// it.
    fn give_back(&self, chunk: Chunk, first: usize, blocks: usize, counters: &Counters) -> bool {
        let (header, block) = (chunk.header(), chunk.block(first));
        // SAFETY: the blocks are unused, and whoever takes them next expects zeroes; so it is with
        // their side bytes.
        let discarded = unsafe {
            let cells = NonNull::new_unchecked(block.at(0));
            let side = NonNull::new_unchecked(block.side_bytes().as_ptr() as *mut u8);
            system::discard(cells, blocks * BLOCK_BYTES) && {
                system::discard(side, blocks * SIDE_BYTES);
                true
            }
        };
        if discarded {
            header
                .touched
                .set(header.touched.get() & !run(first, blocks));
            self.spare_changed(chunk, -(blocks as isize), counters);
        }
        discarded
    }

    /// Memory for an object of `bytes` that is too large for a cell, zeroed but for its head's tag;
    /// not yet listed.
    pub(crate) fn obtain_large(
        &self,
        bytes: usize,
        counters: &Counters,
    ) -> Result<Object, FullCause> {
        let (blocks, cost) = (bytes.div_ceil(BLOCK_BYTES), occupied_by(bytes));
        if !counters.charge(cost) {
            return Err(FullCause::Limit);
        }
        let taken = if blocks <= BLOCKS - FIRST_BLOCK {
            self.take_run(blocks, counters)
        } else {
            let size = (FIRST_BLOCK + blocks) * BLOCK_BYTES;
            let chunk = Chunk::map(size, 0).or_else(|| {
                self.age(counters, true);
                Chunk::map(size, 0)
            });
            self.keep_within_bound(counters);
            chunk.map(|chunk| (chunk.block(FIRST_BLOCK), 0))
        };
        let Some((block, mut dirty)) = taken else {
            counters.discharge(cost);
            return Err(FullCause::System);
        };
        while dirty != 0 {
            let offset = (dirty.trailing_zeros() as usize - block.number()) * BLOCK_BYTES;
            dirty &= dirty - 1;
            // SAFETY: the block is one of the run, which nobody else uses.
            unsafe {
                block
                    .at(offset)
                    .write_bytes(0, BLOCK_BYTES.min(bytes - offset))
            };
        }
        block.header().class.set(LARGE as u8);
        block.header().blocks.set(blocks);
        // SAFETY: the run has room for the object, and zeroes are a header.
        let object = unsafe { Object::from_raw(block.at(0)) };
        // Large objects have lists of their own.
        let birth = self.birth | tag::IN_YOUNG;
        object.set_head(LARGE as u64 | birth);
        Ok(object)
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

    /// Adds the large objects of a generation to a list that has room for them.
    pub(crate) fn list_all_large(&self, generation: usize, to: &mut Vec<Object>) {
        to.extend_from_slice(&self.large[generation].borrow());
    }

    /// The large objects of a generation.
    pub(crate) fn large(&self, generation: usize) -> Vec<Object> {
        self.large[generation].borrow().clone()
    }

    /// What a large object takes of the limit.
    pub(crate) fn cost_of_large(&self, object: Object) -> usize {
        Block::of(object).header().blocks.get() * BLOCK_BYTES + BLOCK_METADATA
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
            let is_one = |cell: &Object| cell.head() & mask == bits;
            if !block.cells().filter(is_one).all(&mut f) {
                return;
            }
        }
        for list in &self.large {
            // From the end: what is freed has its place taken by the last, which has been visited,
            // or is below.
            let mut rest = list.borrow().len();
            while rest > 0 {
                rest = (rest - 1).min(list.borrow().len());
                let object = { list.borrow().get(rest).copied() };
                if let Some(object) = object
                    && object.head() & mask == bits
                    && !f(object)
                {
                    return;
                }
            }
        }
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

    /// Frees a large object, whose blocks become unused.
    #[cold]
    #[inline(never)]
    pub(crate) fn free_large(&self, object: Object, counters: &Counters) {
        self.unlist_large(object);
        side_byte(object).set(0);
        let block = Block::of(object);
        let blocks = block.header().blocks.get();
        let cost = self.cost_of_large(object);
        if blocks <= BLOCKS - FIRST_BLOCK {
            self.give_run(block, blocks, counters, cost);
        } else {
            // SAFETY: the object had the chunk for itself; it is dead, and no list names it.
            unsafe {
                let chunk = block.chunk();
                if !chunk.unmap() {
                    // The addresses are lost, the memory need not be.
                    system::discard(chunk.0.cast(), chunk.header().bytes.get());
                }
            }
            counters.discharge(cost);
        }
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

    /// Makes blocks without objects unused, for any class to take. Walks every cell.
    pub(crate) fn trim(&self, counters: &Counters) {
        let mut blocks = self.blocks.borrow_mut();
        for &block in blocks.iter() {
            // Cells that a list of the collector names are not as they were born.
            let unlisted = block.young().get() | block.middle().get() == 0;
            let is_free = |cell: Object| {
                cell.head() & (tag::FREE | tag::BUFFERED)
                    == self.birth & (tag::FREE | tag::BUFFERED)
            };
            let empty = unlisted && block.cells().all(is_free);
            block.header().empty.set(empty);
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
            // The list keeps its order without the cells of empty blocks: what stays is moved to a
            // second list and back.
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
        // From the newest on, so that the chunk of the oldest, which lies lowest as a rule, is the
        // first to be taken from again.
        for block in blocks
            .iter()
            .rev()
            .filter(|block| block.header().empty.get())
        {
            block.side_bytes().iter().for_each(|byte| byte.set(0));
            self.give_run(*block, 1, counters, BLOCK_COST);
        }
        blocks.retain(|block| !block.header().empty.get());
    }

    /// Returns to the system the memory of blocks that have been unused since the last call but
    /// one, and chunks without any; at once, if `all` is set.
    pub(crate) fn age(&self, counters: &Counters, all: bool) {
        if self.spare.get() == 0 && self.chunks.borrow().len() <= 1 {
            return;
        }
        self.chunks.borrow_mut().retain(|&chunk| {
            let header = chunk.header();
            let spare = chunk.spare();
            let mut old = if all {
                spare
            } else {
                spare & header.idle.get()
            };
            header.idle.set(spare);
            while old != 0 {
                let first = old.trailing_zeros() as usize;
                let blocks = (!(old >> first)).trailing_zeros() as usize;
                old &= !run(first, blocks);
                self.give_back(chunk, first, blocks, counters);
            }
            if header.unused.get() != ALL_BLOCKS || header.touched.get() != 0 {
                return true;
            }
            self.unused_runs.update(chunk, 0);
            // SAFETY: none of its blocks is used.
            let gone = unsafe { chunk.unmap() };
            if !gone {
                self.spare_changed(chunk, 0, counters);
            }
            !gone
        });
    }

    /// Sees to it that one more block, or one more large object, can be listed. Returns whether
    /// there was memory for that.
    pub(crate) fn set_aside(&self) -> bool {
        let blocks = self.blocks.borrow().len();
        let large = self.large_objects();
        room::set_aside(&mut *self.blocks.borrow_mut(), blocks + 1)
            && self
                .large
                .iter()
                .all(|list| room::set_aside(&mut *list.borrow_mut(), large + 1))
    }

    /// Gives back room of lists that is out of proportion.
    pub(crate) fn fit(&self) {
        let large = self.large_objects();
        for list in &self.large {
            room::fit(&mut *list.borrow_mut(), large);
        }
        let mut blocks = self.blocks.borrow_mut();
        let in_use = blocks.len();
        room::fit(&mut *blocks, in_use);
        let mut chunks = self.chunks.borrow_mut();
        let mapped = chunks.len();
        room::fit(&mut *chunks, mapped);
    }

    /// All large objects.
    pub(crate) fn large_objects(&self) -> usize {
        self.large.iter().map(|list| list.borrow().len()).sum()
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

    /// Bytes of metadata of blocks and large objects in use.
    pub(crate) fn metadata(&self) -> usize {
        (self.blocks.borrow().len() + self.large_objects()) * BLOCK_METADATA
    }

    /// Bytes of the blocks of cells in use.
    pub(crate) fn bytes_of_cells(&self) -> usize {
        self.blocks.borrow().len() * BLOCK_BYTES
    }
}

impl Drop for Allocator {
    fn drop(&mut self) {
        for object in self.large.iter().flat_map(RefCell::take) {
            let block = Block::of(object);
            if block.header().blocks.get() > BLOCKS - FIRST_BLOCK {
                // SAFETY: the heap is going away: nothing refers to its objects any more.
                unsafe { block.chunk().unmap() };
            }
        }
        for chunk in self.chunks.take() {
            // SAFETY: as above.
            unsafe { chunk.unmap() };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::{positive_bytes, side_byte};
    use crate::{Cycle, Flags, Heap, Local, Mutator};

    #[test]
    fn positive_bytes_are_told_from_their_neighbours() {
        // Every byte beside those that a carry or a borrow could come from.
        for byte in 0..=u8::MAX {
            for beside in [0, 1, 64, 127, 128, 129, 255] {
                for place in 0..8 {
                    let mut bytes = [beside; 8];
                    bytes[place] = byte;
                    let expected = (0..8)
                        .filter(|&place| bytes[place] as i8 > 0)
                        .fold(0, |mask, place| mask | 0x80 << (8 * place));
                    assert_eq!(positive_bytes(bytes), expected, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn positive_side_bytes_are_found_in_either_direction() {
        // Two blocks' cells and a part of a third's, of a size that no power of two divides.
        let heap = Heap::builder().thresholds([0, 0, 0]).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [list]| {
                for word in 0..if cfg!(miri) { 60 } else { 3_000 } {
                    m.alloc_move(list, Flags::NONE, [list, list], [word])
                        .unwrap();
                }
                let all = m.locked();
                for &block in all.allocator.blocks().iter() {
                    let before: Vec<u8> = block.cells().map(|cell| side_byte(cell).get()).collect();
                    for (index, cell) in block.cells().enumerate() {
                        side_byte(cell).set([0, 130, 1, 127, 255][index * index % 7 % 5]);
                    }
                    for stretches in [block.stretches(), 0x5555_5555_5555_5555 & block.stretches()]
                    {
                        let (mut one_by_one, mut rising, mut falling) = (vec![], vec![], vec![]);
                        block.each_cell::<true>(stretches, |cell, side| {
                            if side.get() as i8 > 0 {
                                one_by_one.push(cell);
                            }
                            true
                        });
                        block.each_positive::<true>(stretches, |cell| {
                            rising.push(cell);
                            true
                        });
                        block.each_positive::<false>(stretches, |cell| {
                            falling.push(cell);
                            true
                        });
                        assert!(!one_by_one.is_empty());
                        assert_eq!(rising, one_by_one);
                        falling.reverse();
                        assert_eq!(falling, one_by_one);
                    }
                    for (cell, before) in block.cells().zip(before) {
                        side_byte(cell).set(before);
                    }
                }
                m.verify();
            });
        });
    }

    fn fill<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>) {
        for word in 0..200_000 {
            m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
        }
    }

    /// What is unused is kept until it was unused the whole time between two looks, and what is
    /// taken again meanwhile is not returned.
    #[test]
    #[cfg_attr(miri, ignore = "makes 800,000 objects")]
    fn unused_blocks_go_back_when_they_have_aged() {
        let heap = Heap::builder()
            .cycle(Cycle::None)
            .return_after(Duration::MAX)
            .poison(true)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [list]| {
                // In blocks, because tables outside of them come and go.
                let committed = || heap.statistics().committed_bytes / super::BLOCK_BYTES as u64;
                let age = |m: &Mutator<'_>| {
                    let locked = m.locked();
                    locked.allocator.age(&locked.inner.counters, false);
                };
                fill(m, list);
                let full = committed();
                m.set(list, None);
                m.collect();
                age(m);
                assert_eq!(committed(), full, "returned at once");
                // Used in between: young again.
                fill(m, list);
                assert_eq!(committed(), full, "unused blocks were not taken");
                m.set(list, None);
                m.collect();
                age(m);
                assert_eq!(committed(), full);
                age(m);
                assert!(committed() < full / 20, "{} of {full}", committed());
                // What comes back is zero and carved afresh.
                fill(m, list);
                m.verify();
            })
        });
    }
}
