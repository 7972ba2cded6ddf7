//! Chunks and blocks: where the memory for objects comes from, and the bytes beside them.
//!
//! Memory comes from the system in **chunks** of 4 MiB, aligned to their size, so that the chunk of
//! a cell is found by masking. A chunk is 64 **blocks** of 64 KiB. The first four hold no cells but
//! the chunk's **side table**: one byte for each granule of 16 bytes, which the cycle collector
//! uses ([`crate::cycle`]). The side bytes that would describe the side table itself describe
//! nothing, and hold the headers of the blocks instead.
//!
//! # Invariants
//!
//! 1. Every cell below a block's `end` has an initialised header; its tag names the block's class
//!    and says whether it is free.
//! 2. The side bytes of an unused block are zero, and in any block those at which no carved cell
//!    begins.
//! 3. A block that is not `touched` is zero throughout.
//!
//! Rejected: side bytes at the front of each block. Those of all blocks then fall into the same
//! sixteenth of a second-level cache's sets, of all the memory that a full collection touches at
//! random.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::alloc::CELL_BYTES;
use crate::object::{GRANULE, Object, prefetch};
use crate::os;
use crate::runs::Place;

/// Bytes of a chunk, and its alignment: also that of huge pages.
pub(crate) const CHUNK_BYTES: usize = 4 << 20;
/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;
/// Side bytes of a block.
pub(crate) const SIDE_BYTES: usize = BLOCK_BYTES / GRANULE;
/// Blocks of a chunk; its block numbers are bits of a word.
pub(crate) const BLOCKS: usize = CHUNK_BYTES / BLOCK_BYTES;
/// The first block with cells: those before are the side table.
pub(crate) const FIRST_BLOCK: usize = BLOCKS * SIDE_BYTES / BLOCK_BYTES;
/// The blocks of a chunk that can hold cells.
pub(crate) const ALL_BLOCKS: u64 = u64::MAX << FIRST_BLOCK;
/// How many these are.
pub(crate) const CELL_BLOCKS: usize = BLOCKS - FIRST_BLOCK;
/// What a block in use, or a large object, takes beside its cells: its side bytes, its header, and
/// its places in the lists that can name it (five words, twice for their growth).
pub(crate) const BLOCK_METADATA: usize = SIDE_BYTES + size_of::<BlockHeader>() + 80;
/// What a block takes of the limit.
pub(crate) const BLOCK_COST: usize = BLOCK_BYTES + BLOCK_METADATA;
/// Side bytes that one bit of a block's summary stands for: those of 1 KiB of cells.
pub(crate) const STRETCH: usize = 64;

const _: () = {
    assert!(BLOCKS == u64::BITS as usize && SIDE_BYTES / STRETCH == u64::BITS as usize);
    // The headers fit where the side bytes of the side table would be.
    assert!(BLOCKS * size_of::<BlockHeader>() <= FIRST_BLOCK * SIDE_BYTES);
    assert!(size_of::<ChunkHeader>() <= FIRST_BLOCK * size_of::<BlockHeader>());
};

/// A block's state.
#[repr(C, align(64))]
pub(crate) struct BlockHeader {
    pub(crate) class: Cell<u8>,
    /// Large objects: the list it is in.
    pub(crate) generation: Cell<u8>,
    /// During a trim: the block has no object.
    pub(crate) empty: Cell<bool>,
    /// Offset at which the cells that were carved so far end.
    pub(crate) end: Cell<u32>,
    /// Large objects: blocks of the run.
    pub(crate) blocks: Cell<usize>,
    /// Large objects: index in the list of their generation.
    pub(crate) index: Cell<usize>,
    /// Stretches of 64 side bytes that may have a young one. Not zero exactly if the block is in
    /// the collector's list of young blocks.
    young: Cell<u64>,
    /// The same for the middle generation.
    middle: Cell<u64>,
}

/// A chunk's state, in the place of the headers of its first blocks, which have no cells.
#[repr(C)]
pub(crate) struct ChunkHeader {
    /// Blocks that are unused.
    pub(crate) unused: Cell<u64>,
    /// Blocks that may have memory of the system.
    pub(crate) touched: Cell<u64>,
    /// Blocks that were unused when [`Supply::age`](crate::supply::Supply::age) was last called,
    /// and ever since.
    pub(crate) idle: Cell<u64>,
    /// Bytes of the mapping: more than those of a chunk if it was made for one object.
    pub(crate) bytes: Cell<usize>,
    /// Its places in the indexes of unused and of spare runs.
    pub(crate) places: [Place; 2],
}

/// A chunk of the heap whose lock the current thread holds.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Chunk(NonNull<ChunkHeader>);

impl Chunk {
    /// Maps a chunk, at the address `hint` if it is free; `None` if the system refuses.
    pub(crate) fn map(bytes: usize, hint: usize) -> Option<Self> {
        let start = os::map(bytes, CHUNK_BYTES, hint)?;
        os::prefer_huge_pages(start, bytes);
        let chunk = Self(start.cast());
        chunk.header().bytes.set(bytes);
        Some(chunk)
    }

    /// Returns whether the system did it.
    ///
    /// # Safety
    ///
    /// Nothing points into the chunk any more.
    pub(crate) unsafe fn unmap(self) -> bool {
        // SAFETY: the mapping was made with these bytes; the rest is the caller's promise.
        unsafe { os::unmap(self.0.cast(), self.header().bytes.get()) }
    }

    /// Where it begins.
    pub(crate) fn start(self) -> NonNull<u8> {
        self.0.cast()
    }

    pub(crate) fn header<'a>(self) -> &'a ChunkHeader {
        // SAFETY: chunks are mapped as long as they are known; their headers are all cells, for
        // which zeroes are fine.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn block(self, number: usize) -> Block {
        // SAFETY: the headers of a chunk's blocks lie at its start.
        Block(unsafe { self.0.cast::<BlockHeader>().add(number) })
    }

    /// Blocks that are unused and have memory of the system.
    pub(crate) fn spare(self) -> u64 {
        self.header().unused.get() & self.header().touched.get()
    }
}

/// A block, or the first one of a large object, of the heap whose lock the current thread holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block(NonNull<BlockHeader>);

impl Block {
    /// The block that holds `cell`.
    #[inline(always)]
    pub(crate) fn of(cell: Object) -> Self {
        let header = cell.raw().map_addr(|address| {
            let offset = address & (CHUNK_BYTES - 1);
            (address - offset) + offset / BLOCK_BYTES * size_of::<BlockHeader>()
        });
        // SAFETY: cells begin in one of the blocks of a chunk, whose headers lie at its start; that
        // is not address zero.
        Self(unsafe { NonNull::new_unchecked(header.cast()) })
    }

    pub(crate) fn header<'a>(self) -> &'a BlockHeader {
        // SAFETY: blocks are mapped as long as they are known, and their headers are all cells.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn chunk(self) -> Chunk {
        let start = self
            .0
            .as_ptr()
            .map_addr(|address| address & !(CHUNK_BYTES - 1));
        // SAFETY: chunks are not at address zero.
        Chunk(unsafe { NonNull::new_unchecked(start.cast()) })
    }

    /// The block's number in its chunk.
    #[inline(always)]
    pub(crate) fn number(self) -> usize {
        (self.0.as_ptr() as usize & (CHUNK_BYTES - 1)) / size_of::<BlockHeader>()
    }

    /// # Safety
    ///
    /// `offset` is at most the size of the block, or of the run of blocks.
    pub(crate) unsafe fn at(self, offset: usize) -> *mut u8 {
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

    /// Whether one more cell can be carved.
    pub(crate) fn has_room(self) -> bool {
        let end = self.header().end.get() as usize;
        BLOCK_BYTES - end >= CELL_BYTES[self.class()] as usize
    }

    /// Makes an unused block one of `class`, with no cell carved.
    pub(crate) fn assign(self, class: usize) {
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
                    // SAFETY: invariant 2: where the side byte is not zero a carved cell begins.
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{positive_bytes, side_byte};
    use crate::{Flags, Heap};

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
}
