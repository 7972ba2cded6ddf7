//! The heap's address range and its side metadata: which granules are marked, and how much of each block is live.
//!
//! ```text
//!   start                                     large
//!     | block 0 | block 1 | ...  | block n-1 |  runs of pages for large objects ...  |
//!     +---------+---------+------+-----------+---------------------------------------+
//!     marks: one byte for each 16-byte granule, at (address >> 4) + bias
//! ```
//!
//! A *mark byte* says in which collection a granule was last found to be part of a live object: it holds that
//! collection's *mark value*. Marking writes the value into the bytes of all granules of a small object (a large one: its first), so
//! that extents are recorded when an object is found live, and never when it is allocated. A run of
//! other bytes in a block is a *hole*: free memory, found by comparing bytes, without touching an object.
//!
//! Mark values rotate: each major collection uses the next one, so nothing is cleared between collections, and an object
//! allocated since is unmarked because whatever its bytes hold is not the current value. All mark bytes are zeroed when
//! the values run out (every 255th time), before any value is used a second time. A minor collection goes on with the value of the one
//! before: marks stick, and what bears one is old (Demers et al., POPL 1990).
//!
//! **Invariant.** Mark bytes, live counts and the mark value are written only while the world is stopped, by the
//! collector. Mutators read them between stops, and the handshake orders the two. The mark bytes of a large object's
//! pages other than its first are not marks: they hold the state of its cards (see [`crate::remember`]).
//!
//! Rejected: a mark bit in the header (touches the object; cannot rotate), an END bit at an object's last granule
//! (Whippet's way; as many writes for small objects, and a hole search that must step from object to object), clearing
//! marks before each collection.

use std::cell::UnsafeCell;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::object::{GRANULE, Object};
use crate::os::{PAGE, Reservation};
use crate::remember::CARD;

/// Bytes of a block, the unit in which mutators take memory from the heap.
pub(crate) const BLOCK: usize = 32 * 1024;
pub(crate) const GRANULES_PER_BLOCK: usize = BLOCK / GRANULE;
/// Objects larger than this many bytes are *large*: they get pages of their own.
pub(crate) const LARGE: usize = 8 * 1024;
/// Bytes of side metadata for each block: its mark bytes, its live count, and its entries in the supply's tables.
pub(crate) const BLOCK_METADATA: usize = GRANULES_PER_BLOCK + 32;
/// Address space for large objects, in multiples of the limit: large runs do not move, so a range exactly as long as
/// the limit would fail to place some that fit by size.
const LARGE_SPACE_FACTOR: usize = 4;

const LAST_MARK_VALUE: u8 = 255;

/// The index of a block.
pub(crate) type BlockIndex = u32;

/// The address range of one heap with its side metadata.
pub(crate) struct Space {
    objects: Reservation,
    marks: Reservation,
    live_granules: Box<[UnsafeCell<u32>]>,
    blocks: usize,
    mark_value: AtomicU8,
}

// SAFETY: side metadata is written only while the world is stopped (the module's invariant).
unsafe impl Sync for Space {}

impl Space {
    /// A space with room for `limit` bytes of blocks and, apart from them, of large objects.
    pub(crate) fn new(limit: usize) -> io::Result<Self> {
        let too_large = || io::Error::from(io::ErrorKind::OutOfMemory);
        let blocks = limit.div_ceil(BLOCK);
        let large = limit
            .checked_mul(LARGE_SPACE_FACTOR)
            .and_then(|large| large.checked_next_multiple_of(BLOCK))
            .ok_or_else(too_large)?;
        let length = (blocks * BLOCK).checked_add(large).ok_or_else(too_large)?;
        if BlockIndex::try_from(blocks).is_err() {
            return Err(too_large());
        }
        // Zeroed by the system, so that the part of an enormous heap that is never used costs nothing.
        let live_granules = Box::into_raw(vec![0_u32; blocks].into_boxed_slice());
        // SAFETY: a cell has the layout of what is in it.
        let live_granules = unsafe { Box::from_raw(live_granules as *mut [UnsafeCell<u32>]) };
        Ok(Self {
            objects: Reservation::new(length)?,
            marks: Reservation::new((length / GRANULE).next_multiple_of(PAGE))?,
            live_granules,
            blocks,
            // No byte holds it yet: nothing is marked.
            mark_value: AtomicU8::new(1),
        })
    }

    /// The number of blocks there is address space for.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    pub(crate) fn block_start(&self, block: BlockIndex) -> NonNull<u8> {
        assert!((block as usize) < self.blocks);
        // SAFETY: within the reservation.
        unsafe { self.objects.start().add(block as usize * BLOCK) }
    }

    /// The block that an address lies in, if it is not in the large-object space or outside the heap.
    pub(crate) fn block_of(&self, address: usize) -> Option<BlockIndex> {
        let offset = address.checked_sub(self.objects.start().addr().get())?;
        let block = offset / BLOCK;
        (block < self.blocks).then_some(block as BlockIndex)
    }

    /// The first address of the large-object space.
    pub(crate) fn large_start(&self) -> NonNull<u8> {
        // SAFETY: the large-object space follows the blocks in the reservation.
        unsafe { self.objects.start().add(self.blocks * BLOCK) }
    }

    /// Bytes of the large-object space.
    pub(crate) fn large_length(&self) -> usize {
        self.objects.length() - self.blocks * BLOCK
    }

    /// Gives pages of the large-object space back to the system.
    ///
    /// # Safety
    ///
    /// Whole pages at `offset` from [`Self::large_start`] that hold no object.
    pub(crate) unsafe fn release_large(&self, offset: usize, length: usize) {
        // SAFETY: passed on.
        unsafe { self.objects.release(self.blocks * BLOCK + offset, length) }
    }

    /// Gives a block's pages back to the system.
    ///
    /// # Safety
    ///
    /// The block holds no object and is nobody's allocation buffer.
    pub(crate) unsafe fn release_block(&self, block: BlockIndex) {
        // SAFETY: passed on.
        unsafe { self.objects.release(block as usize * BLOCK, BLOCK) }
    }

    /// The value that marks what the last collection found live. Never 0, which is what unused mark bytes hold.
    #[inline]
    pub(crate) fn mark_value(&self) -> u8 {
        self.mark_value.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn mark_byte(&self, address: usize) -> *mut u8 {
        let offset = address - self.objects.start().addr().get();
        self.marks.start().as_ptr().wrapping_add(offset / GRANULE)
    }

    /// Whether the last collection found the object live. Always false for one allocated since.
    pub(crate) fn is_marked(&self, object: Object) -> bool {
        // SAFETY: an object lies in the space, so its mark byte in the side table.
        unsafe { self.mark_byte(object.address()).read() == self.mark_value() }
    }

    /// Whether every granule of a small object bears the current mark.
    pub(crate) fn is_wholly_marked(&self, object: Object, size: usize) -> bool {
        let first = self.mark_byte(object.address());
        // SAFETY: as in `is_marked`; the bytes of an object's granules are consecutive.
        (0..size / GRANULE).all(|i| unsafe { first.add(i).read() } == self.mark_value())
    }

    /// Number of granules of the block that bear the current mark.
    pub(crate) fn count_marked(&self, block: BlockIndex) -> usize {
        let value = self.mark_value();
        self.block_marks(block)
            .iter()
            .filter(|&&byte| byte == value)
            .count()
    }

    /// Granules of the block that the last collection found live.
    pub(crate) fn live_granules(&self, block: BlockIndex) -> usize {
        // SAFETY: written only while the world is stopped.
        unsafe { *self.live_granules[block as usize].get() as usize }
    }

    /// Prepares a major collection: a fresh mark value, no live granules in the first `used` blocks.
    ///
    /// # Safety
    ///
    /// The world is stopped, and all cards are clean.
    pub(crate) unsafe fn begin_marking(&self, used: usize) -> MarkTable {
        for count in &self.live_granules[..used] {
            // SAFETY: only the collector touches live counts.
            unsafe { *count.get() = 0 };
        }
        let mut value = self.mark_value();
        if value == LAST_MARK_VALUE {
            // SAFETY: nobody reads marks while the world is stopped, no live object needs its old mark in order
            // to be found again, and no card is dirty. The side table reads as zero afterwards.
            unsafe { self.marks.release(0, self.marks.length()) };
            value = 0;
        }
        self.mark_value.store(value + 1, Ordering::Relaxed);
        // Before the first value there was none.
        let previous = if value == 0 { 1 } else { value };
        self.table(value + 1, previous)
    }

    /// Prepares a minor collection: what is marked stays so.
    ///
    /// # Safety
    ///
    /// The world is stopped.
    pub(crate) unsafe fn continue_marking(&self) -> MarkTable {
        let value = self.mark_value();
        self.table(value, value)
    }

    fn table(&self, value: u8, previous: u8) -> MarkTable {
        MarkTable {
            start: self.objects.start().addr().get(),
            marks: self.marks.start().as_ptr(),
            live_granules: self.live_granules.as_ptr().cast_mut().cast(),
            value,
            previous,
        }
    }

    /// The state of a card of a large object: the second mark byte of the card. (The first byte of the first card is the object's
    /// mark.)
    ///
    /// # Safety
    ///
    /// The object is live and large, and has that many cards.
    #[inline(always)]
    pub(crate) unsafe fn card(&self, object: Object, index: usize) -> CardState<'_> {
        let byte = self.mark_byte(object.address() + index * CARD + GRANULE);
        // SAFETY: within the large object's pages, so in the side table; bytes other than an object's first are accessed
        // as cards only.
        CardState(unsafe { AtomicU8::from_ptr(byte) })
    }

    /// The mark bytes of a block, as the last collection left them.
    pub(crate) fn block_marks(&self, block: BlockIndex) -> &[u8] {
        let first = self.mark_byte(self.block_start(block).addr().get());
        // SAFETY: a block's mark bytes are consecutive, and are written only while the world is stopped, by the collector.
        unsafe { std::slice::from_raw_parts(first, GRANULES_PER_BLOCK) }
    }
}

/// What a mark byte says of a live object.
pub(crate) enum Unmarked {
    /// It is marked.
    No,
    /// It is not.
    Yes {
        /// Whether it has been allocated since the last collection, as far as the mark byte can tell: when the values have run
        /// out, all look young.
        is_young: bool,
    },
}

/// The state of a card of a large object (see [`crate::remember`]): dirty if something in it has been written since the last
/// collection.
#[derive(Clone, Copy)]
pub(crate) struct CardState<'a>(&'a AtomicU8);

impl CardState<'_> {
    #[inline(always)]
    pub(crate) fn is_clean(self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Makes the card dirty; says whether it was clean.
    #[inline(always)]
    pub(crate) fn soil(self) -> bool {
        self.0.swap(1, Ordering::Relaxed) == 0
    }

    pub(crate) fn clean(self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What the marker needs of the side metadata, as bare pointers that stay in registers.
#[derive(Clone, Copy)]
pub(crate) struct MarkTable {
    start: usize,
    marks: *mut u8,
    live_granules: *mut u32,
    value: u8,
    /// What the last collection marked with, if it was another value.
    previous: u8,
}

impl MarkTable {
    /// The mark byte of an object's first granule; for prefetching too.
    #[inline(always)]
    pub(crate) fn byte(&self, object: Object) -> *mut u8 {
        self.marks
            .wrapping_add((object.address() - self.start) / GRANULE)
    }

    /// # Safety
    ///
    /// The world is stopped and `object` is live.
    #[inline(always)]
    pub(crate) unsafe fn look_at(&self, object: Object) -> Unmarked {
        // SAFETY: an object lies in the space, so its mark byte in the side table.
        let byte = unsafe { self.byte(object).read() };
        if byte == self.value {
            Unmarked::No
        } else {
            Unmarked::Yes {
                is_young: byte != self.previous,
            }
        }
    }

    /// Marks a large object.
    ///
    /// # Safety
    ///
    /// The world is stopped and `object` is live and large.
    pub(crate) unsafe fn mark_large(&self, object: Object) {
        // SAFETY: as in `is_marked`.
        unsafe { self.byte(object).write(self.value) };
    }

    /// Marks a small object of `size` bytes and counts it as live in its block.
    ///
    /// # Safety
    ///
    /// The world is stopped, `object` is live, unmarked, and of that size.
    #[inline(always)]
    pub(crate) unsafe fn mark(&self, object: Object, size: usize) {
        let byte = self.byte(object);
        let granules = size / GRANULE;
        // SAFETY: a small object lies in one block, so the bytes of its granules are in the side table, and its block in the table of counts.
        // Overlapping writes cover 2 to 16 granules without a loop; all of them stay within the object's bytes.
        unsafe {
            match granules {
                1 => byte.write(self.value),
                2..4 => fill::<u16>(byte, granules, self.value as u16 * 0x0101),
                4..8 => fill::<u32>(byte, granules, self.value as u32 * 0x0101_0101),
                8..=16 => fill::<u64>(byte, granules, self.value as u64 * 0x0101_0101_0101_0101),
                _ => byte.write_bytes(self.value, granules),
            }
            *self
                .live_granules
                .add((object.address() - self.start) / BLOCK) += granules as u32;
        }
    }
}

/// Writes `pattern` at both ends of `count` bytes.
///
/// # Safety
///
/// The bytes are writable, and `count` is one to two times the size of `T`.
#[inline(always)]
unsafe fn fill<T: Copy>(bytes: *mut u8, count: usize, pattern: T) {
    // SAFETY: both writes lie within the `count` bytes.
    unsafe {
        bytes.cast::<T>().write_unaligned(pattern);
        bytes
            .add(count - size_of::<T>())
            .cast::<T>()
            .write_unaligned(pattern);
    }
}
