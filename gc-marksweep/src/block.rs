//! The heap's address range and its side metadata: which granules are marked, and how much of each
//! block is live.
//!
//! ```text
//!   start                                     large
//!     | block 0 | block 1 | ...  | block n-1 |  runs of pages for large objects ...  |
//!     +---------+---------+------+-----------+---------------------------------------+
//!     marks: one byte for each 8-byte granule, at (address >> 3) + bias
//! ```
//!
//! A *mark byte* says in which collection a granule was last found to be part of a live object: it
//! holds that collection's *mark value*. Marking writes the value into the bytes of all granules of
//! a small object (a large one: its first), so that extents are recorded when an object is found
//! live, and never when it is allocated. A run of other bytes in a block is a *hole*: free memory,
//! found by comparing bytes, without touching an object.
//!
//! Mark values rotate: each major collection uses the next one, so nothing is cleared between
//! collections, and an object allocated since is unmarked because whatever its bytes hold is not
//! the current value. All mark bytes are zeroed when the values run out (every 255th time), before
//! any value is used a second time. A minor collection goes on with the value of the one before:
//! marks stick, and what bears one is old (Demers et al., POPL 1990).
//!
//! **Invariant.** Mark bytes, live counts and the mark value are written only while the world is
//! stopped, by the collector and the workers that help it, who are done before the world goes on.
//! Mutators read them between stops, and the handshake orders the two. A large object's mark is its
//! first byte, and the second says which worker scans it; some of the others hold the state of its
//! cards, and are no marks (see [`crate::remember`]).
//!
//! A granule is as large as a field, so that objects lie without gaps. With 16 bytes the table is
//! half as long, and every other shape is padded: a node of two fields took 34 bytes with its marks
//! and not 27, which made `binary-trees` 10 to 25 % slower at the same limit; shapes that need no
//! padding, and take 4 % more memory now, showed no difference.
//!
//! Rejected: a mark bit in the header (touches the object; cannot rotate), an END bit at an
//! object's last granule (Whippet's way; as many writes for small objects, and a hole search that
//! must step from object to object), clearing marks before each collection.

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::object::{GRANULE, Object};
use crate::os::{HUGE_PAGE, Refused};
use crate::remember::CARD;
use crate::reservation::Reservation;
use crate::table::Table;

/// Bytes of a block, the unit in which mutators take memory from the heap.
pub(crate) const BLOCK: usize = 32 * 1024;
pub(crate) const GRANULES_PER_BLOCK: usize = BLOCK / GRANULE;
/// Objects larger than this many bytes are *large*: they get pages of their own.
pub(crate) const LARGE: usize = 8 * 1024;
/// Bytes of side metadata for each block: its mark bytes, its live count, and its entries in the
/// supply's tables.
pub(crate) const BLOCK_METADATA: usize = GRANULES_PER_BLOCK + 32;
/// The most address space for large objects, in multiples of the limit: large runs do not move, so
/// a range exactly as long as the limit would fail to place some that fit by size. It is reserved
/// as objects need it.
const LARGE_SPACE_FACTOR: usize = 4;

/// What the marks of take whole huge pages, in bytes: the unit in which address space is reserved.
const MARKED_TOGETHER: usize = HUGE_PAGE * GRANULE;

const LAST_MARK_VALUE: u8 = 255;

/// The index of a block.
pub(crate) type BlockIndex = u32;

/// The address range of one heap with its side metadata.
pub(crate) struct Space {
    objects: Reservation,
    marks: Reservation,
    live_granules: Table<UnsafeCell<u32>>,
    blocks: usize,
    /// Where the large-object space begins, in bytes from the start.
    large: usize,
    mark_value: AtomicU8,
}

// SAFETY: side metadata is written only while the world is stopped (the module's invariant).
unsafe impl Sync for Space {}

impl Space {
    /// A space with room for `limit` bytes of blocks and, apart from them, of large objects.
    /// Address space for the blocks is reserved now, with their marks; for large objects in
    /// [steps](Self::grow_large).
    pub(crate) fn new(limit: usize) -> Result<Self, Refused> {
        let too_large = Refused::too_large;
        let blocks = limit.div_ceil(BLOCK);
        if BlockIndex::try_from(blocks).is_err() {
            return Err(too_large());
        }
        let large = (blocks * BLOCK)
            .checked_next_multiple_of(MARKED_TOGETHER)
            .ok_or_else(too_large)?;
        let room = limit
            .checked_mul(LARGE_SPACE_FACTOR)
            .and_then(|length| length.checked_add(large))
            .and_then(|room| room.checked_next_multiple_of(MARKED_TOGETHER))
            .ok_or_else(too_large)?;
        let objects = Reservation::new(large, room)?;
        let marks = objects.length() / GRANULE;
        let marks = Reservation::new(marks, room / GRANULE).map_err(|refused| Refused {
            // Of both, as the one is of no use without the other.
            asked: objects.length().saturating_add(refused.asked),
            ..refused
        })?;
        Ok(Self {
            objects,
            marks,
            live_granules: Table::new(blocks)?,
            blocks,
            large,
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

    /// The block that an address lies in, if it is not in the large-object space or outside the
    /// heap.
    pub(crate) fn block_of(&self, address: usize) -> Option<BlockIndex> {
        let offset = address.checked_sub(self.objects.start().addr().get())?;
        let block = offset / BLOCK;
        (block < self.blocks).then_some(block as BlockIndex)
    }

    /// The first address of the large-object space.
    pub(crate) fn large_start(&self) -> NonNull<u8> {
        // SAFETY: the large-object space follows the blocks in the reservation, or will.
        unsafe { self.objects.start().add(self.large) }
    }

    /// Bytes of the large-object space that are reserved now.
    pub(crate) fn large_length(&self) -> usize {
        // Marks are reserved last.
        GRANULE * self.marks.length().min(self.objects.length() / GRANULE) - self.large
    }

    /// What [`Self::large_length`] may grow to.
    pub(crate) fn large_room(&self) -> usize {
        self.objects.room() - self.large
    }

    /// Reserves the large-object space up to `length` bytes at least; `false` if the system refuses
    /// or it would be more than [`Self::large_room`]. One thread at a time.
    pub(crate) fn grow_large(&self, length: usize) -> bool {
        let Some(length) = (self.large + length).checked_next_multiple_of(MARKED_TOGETHER) else {
            return false;
        };
        self.objects.grow(length) && self.marks.grow(length / GRANULE)
    }

    /// Gives pages of the large-object space back to the system.
    ///
    /// # Safety
    ///
    /// Whole pages at `offset` from [`Self::large_start`] that hold no object.
    pub(crate) unsafe fn release_large(&self, offset: usize, length: usize) {
        // SAFETY: passed on.
        unsafe { self.objects.discard(self.large + offset, length) }
    }

    /// Gives a block's pages back to the system.
    ///
    /// # Safety
    ///
    /// The block holds no object and is nobody's allocation buffer.
    pub(crate) unsafe fn release_block(&self, block: BlockIndex) {
        // SAFETY: passed on.
        unsafe { self.objects.discard(block as usize * BLOCK, BLOCK) }
    }

    /// The value that marks what the last collection found live. Never 0, which is what unused mark
    /// bytes hold.
    #[inline]
    pub(crate) fn mark_value(&self) -> u8 {
        self.mark_value.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn mark_byte(&self, address: usize) -> *mut u8 {
        let offset = address - self.objects.start().addr().get();
        self.marks.start().as_ptr().wrapping_add(offset / GRANULE)
    }

    /// The first address, which places are counted from.
    pub(crate) fn start(&self) -> usize {
        self.objects.start().addr().get()
    }

    /// Whether the last collection found the object live. Always false for one allocated since.
    pub(crate) fn is_marked(&self, object: Object) -> bool {
        self.mark_of(object) == self.mark_value()
    }

    /// What the object's mark byte holds: the value of the collection that last found it live. For
    /// one allocated since it is what a dead object there was marked with, or 0.
    pub(crate) fn mark_of(&self, object: Object) -> u8 {
        // SAFETY: an object lies in the space, so its mark byte in the side table.
        unsafe { self.mark_byte(object.address()).read() }
    }

    /// Whether every granule of a small object bears the current mark.
    pub(crate) fn is_wholly_marked(&self, object: Object, size: usize) -> bool {
        let first = self.mark_byte(object.address());
        // SAFETY: as in `mark_of`; the bytes of an object's granules are consecutive.
        (0..size / GRANULE).all(|i| unsafe { first.add(i).read() } == self.mark_value())
    }

    /// Number of granules of the block that bear the current mark.
    pub(crate) fn count_marked(&self, block: BlockIndex) -> usize {
        count_bytes(self.block_marks(block), self.mark_value())
    }

    /// Granules of the block that the last collection found live.
    pub(crate) fn live_granules(&self, block: BlockIndex) -> usize {
        // SAFETY: written only while the world is stopped.
        unsafe { *self.live_granules[block as usize].get() as usize }
    }

    /// Prepares a major collection: a fresh mark value, no live granules in the first `used`
    /// blocks.
    ///
    /// # Safety
    ///
    /// The world is stopped, and all cards are clean.
    pub(crate) unsafe fn begin_marking(&self, used: usize, arm: bool) -> MarkTable {
        for count in &self.live_granules[..used] {
            // SAFETY: only the collector touches live counts.
            unsafe { *count.get() = 0 };
        }
        let mut value = self.mark_value();
        if value == LAST_MARK_VALUE {
            // SAFETY: nobody reads marks while the world is stopped, no live object needs its old
            // mark in order to be found again, and no card is dirty. The side table reads as zero
            // afterwards.
            unsafe { self.marks.discard(0, self.marks.length()) };
            value = 0;
        }
        self.mark_value.store(value + 1, Ordering::Relaxed);
        // Before the first value there was none.
        let previous = if value == 0 { 1 } else { value };
        self.table(value + 1, previous, arm)
    }

    /// Prepares a minor collection: what is marked stays so.
    ///
    /// # Safety
    ///
    /// The world is stopped.
    pub(crate) unsafe fn continue_marking(&self, arm: bool) -> MarkTable {
        let value = self.mark_value();
        self.table(value, value, arm)
    }

    fn table(&self, value: u8, previous: u8, arm: bool) -> MarkTable {
        let start = self.objects.start().addr().get();
        let live: *mut u32 = self.live_granules.as_ptr().cast_mut().cast();
        MarkTable {
            marks: self.marks.start().as_ptr().wrapping_sub(start / GRANULE),
            live_granules: live.wrapping_sub(start / BLOCK),
            value,
            previous,
            arm,
        }
    }

    /// The state of a card of a large object: the third mark byte of the card. (The first two of
    /// the first card are the object's mark and its claim.)
    ///
    /// # Safety
    ///
    /// The object is live and large, and has that many cards.
    #[inline(always)]
    pub(crate) unsafe fn card(&self, object: Object, index: usize) -> CardState<'_> {
        let byte = self.mark_byte(object.address() + index * CARD + 2 * GRANULE);
        // SAFETY: within the large object's pages, so in the side table; these bytes are accessed
        // as cards only.
        CardState(unsafe { AtomicU8::from_ptr(byte) })
    }

    /// The mark bytes of a block, as the last collection left them.
    pub(crate) fn block_marks(&self, block: BlockIndex) -> &[u8] {
        let first = self.mark_byte(self.block_start(block).addr().get());
        // SAFETY: a block's mark bytes are consecutive, and are written only while the world is
        // stopped, by the collector.
        unsafe { std::slice::from_raw_parts(first, GRANULES_PER_BLOCK) }
    }
}

/// The state of a card of a large object (see [`crate::remember`]): dirty if something in it has
/// been written since the last collection.
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

/// What the marker needs of the side metadata, as bare pointers that stay in registers, made so
/// that an address shifted right is an index into each.
///
/// While several workers mark, they race: two may find the same object unmarked and mark it both,
/// with the same value. So a mark byte that another worker may touch is an [`AtomicU8`], read and
/// written Relaxed, with no read-modify-write; that the marking of an object twice is harmless is
/// argued in [`crate::mark`]. What is *not* harmless twice is [claimed](Self::claim).
#[derive(Clone, Copy)]
pub(crate) struct MarkTable {
    marks: *mut u8,
    live_granules: *mut u32,
    value: u8,
    /// What the last collection marked with, if it was another value.
    previous: u8,
    /// Whether stores into the objects it marks are to be remembered (see [`crate::remember`]).
    pub(crate) arm: bool,
}

// SAFETY: pointers into the side metadata of one heap; who uses them on another thread argues that
// the heap is still there and that the accesses do not conflict.
unsafe impl Send for MarkTable {}

impl MarkTable {
    /// The mark byte of an object's first granule; for prefetching too.
    #[inline(always)]
    pub(crate) fn byte(self, object: Object) -> *mut u8 {
        self.marks.wrapping_add(object.address() / GRANULE)
    }

    /// What it marks with.
    pub(crate) fn value(self) -> u8 {
        self.value
    }

    /// # Safety
    ///
    /// The world is stopped and `object` is live.
    #[inline(always)]
    unsafe fn atomic<'a>(self, object: Object, granule: usize) -> &'a AtomicU8 {
        // SAFETY: an object lies in the space, so the mark bytes of its granules in the side table;
        // while somebody else may touch them, all accesses are atomic.
        unsafe { AtomicU8::from_ptr(self.byte(object).wrapping_add(granule)) }
    }

    /// # Safety
    ///
    /// The world is stopped and `object` is live.
    #[inline(always)]
    pub(crate) unsafe fn is_marked(self, object: Object) -> bool {
        // SAFETY: passed on.
        unsafe { self.atomic(object, 0) }.load(Ordering::Relaxed) == self.value
    }

    /// Whether a small object of two granules or more, which is being marked, had been allocated
    /// since the last collection: if it is the caller who marks it, the second granule still bears
    /// what that has left. When the mark values have run out all look young.
    ///
    /// # Safety
    ///
    /// The world is stopped and `object` is live.
    #[inline(always)]
    pub(crate) unsafe fn is_young(self, object: Object) -> bool {
        // SAFETY: passed on.
        unsafe { self.atomic(object, 1) }.load(Ordering::Relaxed) != self.previous
    }

    /// Marks the first granule, which is the mark of the object; says whether it was unmarked. No
    /// branch depends on that, so it may be called before the byte has arrived. With others at work
    /// (not `alone`), several may be told so.
    ///
    /// # Safety
    ///
    /// The world is stopped and `object` is live.
    #[inline(always)]
    pub(crate) unsafe fn mark_first(self, object: Object, alone: bool) -> bool {
        // SAFETY: passed on.
        let byte = unsafe { self.atomic(object, 0) };
        let unmarked = byte.load(Ordering::Relaxed) != self.value;
        if alone {
            byte.store(self.value, Ordering::Relaxed);
        } else {
            // A store to a line that others read would take it away from them, also if it changed
            // nothing.
            let elsewhere = AtomicU8::new(0);
            let target = if unmarked { byte } else { &elsewhere };
            target.store(self.value, Ordering::Relaxed);
        }
        unmarked
    }

    /// Marks the rest of a small object of `granules`, at most [`Self::COMMON`], whose first is
    /// marked. If the caller is `alone`, counts it as live in its block.
    ///
    /// # Safety
    ///
    /// The world is stopped, `object` is live, and of that size; the caller is the only one that
    /// marks, if it says so, and has just marked the first granule.
    #[inline(always)]
    pub(crate) unsafe fn mark_rest(self, object: Object, granules: usize, alone: bool) {
        debug_assert!((1..=Self::COMMON).contains(&granules));
        let byte = self.byte(object);
        // SAFETY: the object's granules lie in one block, so their bytes in the side table;
        // overlapping writes cover 4 to 32 of them without a loop, and all stay within the object's
        // bytes. Wider writes than a byte only where nobody else marks.
        unsafe {
            if granules < 4 {
                let middle = self.atomic(object, granules / 2);
                middle.store(self.value, Ordering::Relaxed);
                let last = self.atomic(object, granules - 1);
                last.store(self.value, Ordering::Relaxed);
            } else if !alone {
                for granule in 1..granules {
                    (self.atomic(object, granule)).store(self.value, Ordering::Relaxed);
                }
            } else if granules < 8 {
                fill(byte, granules, [self.value; 4]);
            } else if granules < 16 {
                fill(byte, granules, [self.value; 8]);
            } else {
                fill(byte, granules, [self.value; 16]);
            }
            if alone {
                self.count(object, granules);
            }
        }
    }

    /// The most granules that [`Self::mark_rest`] marks.
    pub(crate) const COMMON: usize = 32;

    /// As [`Self::mark_rest`] for a small object of more granules than that. Others may be marking,
    /// but not this object: the caller has [claimed](Self::claim) it.
    ///
    /// # Safety
    ///
    /// As there.
    pub(crate) unsafe fn mark_rest_claimed(self, object: Object, granules: usize, alone: bool) {
        debug_assert!(granules > Self::COMMON && granules <= LARGE / GRANULE);
        // SAFETY: as in `mark_rest`. Others may still touch the first byte, to test it, and the
        // second, to claim it; nobody the rest.
        unsafe {
            (self.atomic(object, 1)).store(self.value, Ordering::Relaxed);
            (self.byte(object).add(2)).write_bytes(self.value, granules - 2);
            if alone {
                self.count(object, granules);
            }
        }
    }

    /// Whether the caller is the first in this collection to claim this object, of more than
    /// [`Self::COMMON`] granules: the one atomic exchange, for objects that are so much work to
    /// scan that it does not show. The claim is in the second mark byte, as the first tells others
    /// that there is nothing to do.
    ///
    /// # Safety
    ///
    /// The world is stopped, `object` is live, has that many granules, and was unmarked when the
    /// trace began.
    pub(crate) unsafe fn claim(self, object: Object) -> bool {
        // SAFETY: passed on. Relaxed: who claims an object writes only what is read when all
        // workers are done.
        unsafe { self.atomic(object, 1) }.swap(self.value, Ordering::Relaxed) != self.value
    }

    /// Counts the live granules of blocks anew, from their mark bytes: after several workers have
    /// marked, who counted nothing, as two of them may have marked the same object.
    ///
    /// # Safety
    ///
    /// The world is stopped, `first` is the start of a block, at least `blocks` begin there, nobody
    /// marks, and nobody else counts these blocks.
    pub(crate) unsafe fn recount(self, first: usize, blocks: usize) {
        for start in (first..).step_by(BLOCK).take(blocks) {
            let marks = self.marks.wrapping_add(start / GRANULE);
            // SAFETY: the mark bytes of a block are consecutive, and nobody writes them now.
            let marks = unsafe { std::slice::from_raw_parts(marks, GRANULES_PER_BLOCK) };
            // SAFETY: the block has a count, which is the caller's to write.
            unsafe {
                *(self.live_granules).wrapping_add(start / BLOCK) =
                    count_bytes(marks, self.value) as u32;
            }
        }
    }

    /// Counts granules as live in the object's block. The caller is the only one that marks.
    #[inline(always)]
    unsafe fn count(self, object: Object, granules: usize) {
        // SAFETY: a small object lies in a block, which has a count.
        unsafe {
            *(self.live_granules).wrapping_add(object.address() / BLOCK) += granules as u32;
        }
    }
}

/// How many of a block's mark bytes hold `value`. Summed in bytes, which the compiler turns into
/// vector comparisons and subtractions, for as long as those cannot overflow.
fn count_bytes(marks: &[u8], value: u8) -> usize {
    let count = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|&byte| u8::from(byte == value))
            .sum::<u8>()
    };
    marks
        .chunks(128)
        .map(|bytes| usize::from(count(bytes)))
        .sum()
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
