//! The heap's address range and its side metadata: which granules are marked, and how much of each
//! block is live.
//!
//! ```text
//!   start                                     large
//!     | block 0 | block 1 | ...  | block n-1 |  runs of pages for large objects ...  |
//!     +---------+---------+------+-----------+---------------------------------------+
//!     marks: one bit for each 8-byte granule, in 64-bit words, at (address >> 9) * 8 + bias
//! ```
//!
//! A granule's *mark bit* is set if the last collection has found it to be part of a live object.
//! Marking sets the bits of all granules of a small object (of a large one: of its first), so that
//! extents are recorded when an object is found live, and never when it is allocated. A run of
//! clear bits in a block is a *hole*: free memory, found by counting zeros, without touching an
//! object. What lies in holes is either dead or has been allocated since, and so is unmarked.
//!
//! A major collection first clears the bits of the blocks in which anything is marked, and those of
//! large objects: 512 bytes for each block of 32 KiB, in proportion to what was live. A minor one
//! clears nothing: marks stick, and what is marked is old (Demers et al., POPL 1990).
//!
//! **Invariant.** Marks and live counts are written only while the world is stopped, by the
//! collector and the workers that help it, who are done before the world goes on. Mutators read
//! them between stops, and the handshake orders the two. A block whose live count is 0 has no mark.
//! Of a large object's marks the first bit alone is one; another bit of each word is the state of a
//! card (see [`crate::remember`]), which mutators set as they run. Whoever may run beside others
//! reads and changes these words whole, by atomic operations of one size: a mutator sets a card
//! while another asks for the mark in the same word, and atomic accesses of two sizes to one word
//! are outside of Rust's memory model where they race.
//!
//! A granule is as large as a field, so that objects lie without gaps. With 16 bytes the table is
//! half as long, and every other shape is padded, which costs eight times as much as it saves.
//!
//! # Why bits
//!
//! They are 1.6 % of the heap, and 10,000,000 nodes of 32 bytes have 5 MB of them, which the last
//! level of a cache holds; a byte for each granule is 12.5 %, and 40 MB. On an EPYC 9004 (a busy
//! virtual machine, processor time) a random graph of that size took 28 ns an object with bits and
//! 44 with bytes, on two workers 29 in all and 44; a tree 8.8 and 9.2; a list, where one object's
//! marks wait for the last one's, 4.6 and 3.9. What bytes are good for, and how it is done without:
//!
//! - Values that take turns: nothing need be cleared. Clearing bits takes a thousandth of the time
//!   of marking what they stand for.
//! - Workers that mark at the same time, without an atomic read-modify-write: with bits they must
//!   not lose one another's, and so have one for each object, to mark it to its end. In return each
//!   object is marked, scanned and counted exactly once, of whatever size it is, and nothing need
//!   be claimed beside. A worker that is alone uses plain loads and stores.
//! - How much of what is new survives a major collection is told by the old value: it is estimated
//!   now from a sample of blocks (see [`crate::survival`]), and costs the marker nothing.
//!
//! Rejected: a mark bit in the header (touches the object); a second bit at an object's last
//! granule instead of those between (Whippet's way; as many writes for small objects, and a hole
//! search that must step from object to object); a bit for the first granule alone (the same
//! search, which touches objects as well); a bitmap for each worker (to see what others have marked
//! it must look into theirs as well, and as many tables are no smaller than bytes).

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::object::{GRANULE, Object};
use crate::os::{HUGE_PAGE, Refused};
use crate::remember::CARD;
use crate::reservation::Reservation;
use crate::table::Table;

/// Bytes of a block, the unit in which mutators take memory from the heap.
pub(crate) const BLOCK: usize = 32 * 1024;
pub(crate) const GRANULES_PER_BLOCK: usize = BLOCK / GRANULE;
// The space begins at a multiple of both: see `MarkTable`.
const _: () = assert!(HUGE_PAGE.is_multiple_of(BLOCK));
/// Objects larger than this many bytes are *large*: they get pages of their own.
pub(crate) const LARGE: usize = 8 * 1024;
/// Granules whose bits are in one word of the table, and their bytes.
pub(crate) const GRANULES_PER_WORD: usize = u64::BITS as usize;
pub(crate) const BYTES_PER_WORD: usize = GRANULES_PER_WORD * GRANULE;
/// The words of a block.
pub(crate) const WORDS_PER_BLOCK: usize = BLOCK / BYTES_PER_WORD;
/// Bytes of side metadata for each block: its marks, its live count, and its entries in the
/// supply's tables.
pub(crate) const BLOCK_METADATA: usize = GRANULES_PER_BLOCK / 8 + 32;
/// Bytes of the heap for each byte of marks.
pub(crate) const BYTES_PER_MARK_BYTE: usize = 8 * GRANULE;
/// The most address space for large objects, in multiples of the limit: large runs do not move, so
/// a range exactly as long as the limit would fail to place some that fit by size. It is reserved
/// as objects need it.
const LARGE_SPACE_FACTOR: usize = 4;

/// A card is dirty if this bit of its first granule's word is set. Of a large object's words the
/// first has a mark, whose bit is another one.
const DIRTY: u64 = 1 << 32;
const _: () = assert!(CARD == BYTES_PER_WORD);

/// The marks of a block.
pub(crate) type BlockMarks = [u64; WORDS_PER_BLOCK];

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
            .checked_next_multiple_of(HUGE_PAGE)
            .ok_or_else(too_large)?;
        let room = limit
            .checked_mul(LARGE_SPACE_FACTOR)
            .and_then(|length| length.checked_add(large))
            .and_then(|room| room.checked_next_multiple_of(HUGE_PAGE))
            .ok_or_else(too_large)?;
        let objects = Reservation::new(large, room)?;
        let marks = marks_of(objects.length());
        let marks = Reservation::new(marks, marks_of(room)).map_err(|refused| Refused {
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
        let marked = self.marks.length().saturating_mul(BYTES_PER_MARK_BYTE);
        marked.min(self.objects.length()) - self.large
    }

    /// What [`Self::large_length`] may grow to.
    pub(crate) fn large_room(&self) -> usize {
        self.objects.room() - self.large
    }

    /// Reserves the large-object space up to `length` bytes at least; `false` if the system refuses
    /// or it would be more than [`Self::large_room`]. One thread at a time.
    pub(crate) fn grow_large(&self, length: usize) -> bool {
        let Some(length) = (self.large + length).checked_next_multiple_of(HUGE_PAGE) else {
            return false;
        };
        self.objects.grow(length) && self.marks.grow(marks_of(length))
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

    /// The word that holds the mark of the granule at an address.
    #[inline(always)]
    fn word(&self, address: usize) -> *mut u64 {
        let offset = address - self.start();
        (self.marks.start().cast::<u64>().as_ptr()).wrapping_add(offset / BYTES_PER_WORD)
    }

    /// The first address, which places are counted from.
    pub(crate) fn start(&self) -> usize {
        self.objects.start().addr().get()
    }

    /// Whether the last collection found the object live. Always false for one allocated since.
    #[inline]
    pub(crate) fn is_marked(&self, object: Object) -> bool {
        // SAFETY: an object lies in the space, so its mark in the side table.
        let marks = unsafe { AtomicU64::from_ptr(self.word(object.address())) };
        marks.load(Ordering::Relaxed) >> bit(object.address()) & 1 == 1
    }

    /// Whether every granule of a small object is marked.
    pub(crate) fn is_wholly_marked(&self, object: Object, size: usize) -> bool {
        let granules = (object.address()..object.address() + size).step_by(GRANULE);
        granules
            .map(|address| Object::from_raw(address as *mut _).expect("an object's address"))
            .all(|granule| self.is_marked(granule))
    }

    /// Number of granules of the block that are marked.
    pub(crate) fn count_marked(&self, block: BlockIndex) -> usize {
        count(self.block_marks(block))
    }

    /// Granules of the block that the last collection found live.
    pub(crate) fn live_granules(&self, block: BlockIndex) -> usize {
        // SAFETY: written only while the world is stopped.
        unsafe { *self.live_granules[block as usize].get() as usize }
    }

    /// Prepares a major collection: nothing is marked in the first `used` blocks.
    ///
    /// # Safety
    ///
    /// The world is stopped; no block after these has ever been used.
    pub(crate) unsafe fn begin_marking(&self, used: usize, arm: bool) -> MarkTable {
        for block in 0..used {
            let live = self.live_granules[block].get();
            let marks = self.word(self.block_start(block as BlockIndex).addr().get());
            // SAFETY: only the collector touches live counts and marks now; the words of a block
            // are consecutive.
            unsafe {
                if std::mem::take(&mut *live) > 0 {
                    marks.write_bytes(0, WORDS_PER_BLOCK);
                }
            }
        }
        self.table(arm)
    }

    /// Clears the mark of a large object: before a major collection.
    ///
    /// # Safety
    ///
    /// The world is stopped, the object is large, and its first card is clean.
    pub(crate) unsafe fn unmark_large(&self, object: Object) {
        // SAFETY: as in `is_marked`; nothing else is in the word.
        unsafe { self.word(object.address()).write(0) }
    }

    /// Prepares a minor collection: what is marked stays so.
    ///
    /// # Safety
    ///
    /// The world is stopped.
    pub(crate) unsafe fn continue_marking(&self, arm: bool) -> MarkTable {
        self.table(arm)
    }

    fn table(&self, arm: bool) -> MarkTable {
        let start = self.start();
        let live: *mut u32 = self.live_granules.as_ptr().cast_mut().cast();
        MarkTable {
            marks: self.word(start).wrapping_sub(start / BYTES_PER_WORD),
            live_granules: live.wrapping_sub(start / BLOCK),
            arm,
        }
    }

    /// The state of a card of a large object.
    ///
    /// # Safety
    ///
    /// The object is live and large, and has that many cards.
    #[inline(always)]
    pub(crate) unsafe fn card(&self, object: Object, index: usize) -> CardState<'_> {
        let word = self.word(object.address() + index * CARD);
        // SAFETY: within the large object's pages, so in the side table, where words that mutators
        // may be using are accessed by atomic operations alone.
        CardState(unsafe { AtomicU64::from_ptr(word) })
    }

    /// The marks of a block, as the last collection left them.
    pub(crate) fn block_marks(&self, block: BlockIndex) -> &BlockMarks {
        let first = self.word(self.block_start(block).addr().get());
        // SAFETY: a block's words are consecutive, and are written only while the world is stopped,
        // by the collector.
        unsafe { &*first.cast() }
    }
}

/// Bytes of the marks of so many bytes of heap, in whole huge pages.
fn marks_of(bytes: usize) -> usize {
    (bytes / BYTES_PER_MARK_BYTE).next_multiple_of(HUGE_PAGE)
}

/// Which bit of its word is the mark of the granule at an address.
#[inline(always)]
fn bit(address: usize) -> usize {
    address / GRANULE % GRANULES_PER_WORD
}

/// How many bits are set.
pub(crate) fn count(marks: &BlockMarks) -> usize {
    marks.iter().map(|word| word.count_ones() as usize).sum()
}

/// The state of a card of a large object (see [`crate::remember`]): dirty if something in it has
/// been written since the last collection.
#[derive(Clone, Copy)]
pub(crate) struct CardState<'a>(&'a AtomicU64);

impl CardState<'_> {
    #[inline(always)]
    pub(crate) fn is_clean(self) -> bool {
        self.0.load(Ordering::Relaxed) & DIRTY == 0
    }

    /// Makes the card dirty; says whether it was clean.
    #[inline(always)]
    pub(crate) fn soil(self) -> bool {
        self.0.fetch_or(DIRTY, Ordering::Relaxed) & DIRTY == 0
    }

    pub(crate) fn clean(self) {
        self.0.fetch_and(!DIRTY, Ordering::Relaxed);
    }
}

/// What the marker needs of the side metadata, as bare pointers that stay in registers, made so
/// that an address shifted right is an index into each.
///
/// While several workers mark, others may set other bits of the word in which a worker marks an
/// object: words are atomic, and changed by an atomic read-modify-write. Who is `alone` has no need
/// of that. Relaxed: what a worker writes is read when all are done.
#[derive(Clone, Copy)]
pub(crate) struct MarkTable {
    marks: *mut u64,
    live_granules: *mut u32,
    /// Whether stores into the objects it marks are to be remembered (see [`crate::remember`]).
    pub(crate) arm: bool,
}

// SAFETY: pointers into the side metadata of one heap; who uses them on another thread argues that
// the heap is still there and that the accesses do not conflict.
unsafe impl Send for MarkTable {}

impl MarkTable {
    /// The most granules that [`Self::mark`] marks.
    pub(crate) const COMMON: usize = 32;

    /// The word of an object's mark; for prefetching too.
    #[inline(always)]
    pub(crate) fn word(self, object: Object) -> *mut u64 {
        self.marks.wrapping_add(object.address() / BYTES_PER_WORD)
    }

    /// # Safety
    ///
    /// The world is stopped and `object` is live; it has granules in the word that many after its
    /// first.
    #[inline(always)]
    unsafe fn atomic<'a>(self, object: Object, word: usize) -> &'a AtomicU64 {
        // SAFETY: an object lies in the space, so the words of its granules in the side table;
        // until marking is over all accesses to them are atomic.
        unsafe { AtomicU64::from_ptr(self.word(object).wrapping_add(word)) }
    }

    /// No branch depends on the answer, so it may be asked before the word has arrived.
    ///
    /// # Safety
    ///
    /// The world is stopped and `object` is live.
    #[inline(always)]
    pub(crate) unsafe fn is_marked(self, object: Object) -> bool {
        // SAFETY: passed on.
        let marks = unsafe { self.atomic(object, 0) }.load(Ordering::Relaxed);
        marks >> bit(object.address()) & 1 == 1
    }

    /// Marks a small object of `granules`, at most [`Self::COMMON`], unless it is marked; says
    /// whether it was the caller who did: of several who try, one. If the caller is `alone`, counts
    /// it as live in its block.
    ///
    /// # Safety
    ///
    /// The world is stopped, `object` is live, and of that size; the caller is the only one that
    /// marks, if it says so.
    #[inline(always)]
    pub(crate) unsafe fn mark(self, object: Object, granules: usize, alone: bool) -> bool {
        debug_assert!((1..=Self::COMMON).contains(&granules));
        let bit = bit(object.address());
        let marks = (1 << granules) - 1;
        // SAFETY: passed on; a second word is the object's if the first does not hold all.
        unsafe {
            if !claim(self.atomic(object, 0), marks << bit, alone) {
                return false;
            }
            if bit + granules > GRANULES_PER_WORD {
                add(
                    self.atomic(object, 1),
                    marks >> (GRANULES_PER_WORD - bit),
                    alone,
                );
            }
            if alone {
                self.count(object, granules);
            }
        }
        true
    }

    /// As [`Self::mark`] for a small object of more granules than that.
    ///
    /// # Safety
    ///
    /// As there.
    pub(crate) unsafe fn mark_medium(self, object: Object, granules: usize, alone: bool) -> bool {
        debug_assert!(granules > Self::COMMON && granules <= LARGE / GRANULE);
        let bit = bit(object.address());
        // Of the words from the object's first on, the bits that are its own.
        let end = bit + granules;
        // SAFETY: passed on; the object has granules in all words up to its end.
        unsafe {
            let first = up_to(end.min(GRANULES_PER_WORD)) & !0 << bit;
            if !claim(self.atomic(object, 0), first, alone) {
                return false;
            }
            let mut word = 1;
            while (word + 1) * GRANULES_PER_WORD <= end {
                self.atomic(object, word).store(!0, Ordering::Relaxed);
                word += 1;
            }
            if word * GRANULES_PER_WORD < end {
                add(
                    self.atomic(object, word),
                    up_to(end % GRANULES_PER_WORD),
                    alone,
                );
            }
            if alone {
                self.count(object, granules);
            }
        }
        true
    }

    /// As [`Self::mark`] for a large object.
    ///
    /// # Safety
    ///
    /// As there.
    pub(crate) unsafe fn mark_large(self, object: Object, alone: bool) -> bool {
        // SAFETY: passed on.
        claim(unsafe { self.atomic(object, 0) }, 1, alone)
    }

    /// Counts the live granules of blocks anew, from their marks: after several workers have
    /// marked, who counted nothing.
    ///
    /// # Safety
    ///
    /// The world is stopped, `first` is the start of a block, at least `blocks` begin there, nobody
    /// marks, and nobody else counts these blocks.
    pub(crate) unsafe fn recount(self, first: usize, blocks: usize) {
        for start in (first..).step_by(BLOCK).take(blocks) {
            let marks = self.marks.wrapping_add(start / BYTES_PER_WORD);
            // SAFETY: the words of a block are consecutive, and nobody writes them now. The block
            // has a count, which is the caller's to write.
            unsafe {
                *(self.live_granules).wrapping_add(start / BLOCK) = count(&*marks.cast()) as u32;
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

/// The lowest `bits` of a word, of which there are that many.
fn up_to(bits: usize) -> u64 {
    u64::MAX >> (GRANULES_PER_WORD - bits)
}

/// Adds `marks`, all that an object has in its first word, unless they are there; says whether they
/// were not.
#[inline(always)]
fn claim(word: &AtomicU64, marks: u64, alone: bool) -> bool {
    let mut before = word.load(Ordering::Relaxed);
    loop {
        if before & marks != 0 {
            return false;
        }
        let after = before | marks;
        if alone {
            word.store(after, Ordering::Relaxed);
            return true;
        }
        match word.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => before = now,
        }
    }
}

/// Adds `marks` to a word.
#[inline(always)]
fn add(word: &AtomicU64, marks: u64, alone: bool) {
    if alone {
        word.store(word.load(Ordering::Relaxed) | marks, Ordering::Relaxed);
    } else {
        word.fetch_or(marks, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, AtomicUsize};
    use std::thread;

    /// Objects of all sizes, one behind the other, so that their marks share words. The threads
    /// wait for one another every few objects, or each would be done before the next has begun.
    #[test]
    fn workers_that_mark_together_lose_nothing_of_one_another() {
        const BLOCKS: usize = 2;
        const THREADS: usize = 2;
        const TOGETHER: usize = 4;
        let space = Space::new(BLOCKS * BLOCK).unwrap();
        let mut objects = Vec::new();
        for block in 0..BLOCKS as BlockIndex {
            let start = space.block_start(block).as_ptr();
            let mut granule = 0;
            for size in (1..80).cycle() {
                if granule + size > GRANULES_PER_BLOCK {
                    break;
                }
                let object = Object::from_raw(start.wrapping_add(granule * GRANULE).cast());
                objects.push((object.unwrap(), size));
                granule += size;
            }
        }
        for _ in 0..if cfg!(miri) { 1 } else { 40 } {
            // SAFETY: the test is alone.
            let table = unsafe { space.begin_marking(BLOCKS, false) };
            let scans: Vec<AtomicU32> = objects.iter().map(|_| AtomicU32::new(0)).collect();
            let arrived = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    let (objects, scans, arrived) = (&objects, &scans, &arrived);
                    scope.spawn(move || {
                        for (index, &(object, granules)) in objects.iter().enumerate() {
                            if index % TOGETHER == 0 {
                                let before = arrived.fetch_add(1, Ordering::Relaxed);
                                let all = (before / THREADS + 1) * THREADS;
                                let mut looks = 0;
                                while arrived.load(Ordering::Relaxed) < all {
                                    looks += 1;
                                    match looks % 10_000 {
                                        0 => thread::yield_now(),
                                        _ => std::hint::spin_loop(),
                                    }
                                }
                            }
                            // SAFETY: marking touches side metadata only.
                            let marked = unsafe {
                                if granules <= MarkTable::COMMON {
                                    table.mark(object, granules, false)
                                } else {
                                    table.mark_medium(object, granules, false)
                                }
                            };
                            scans[index].fetch_add(u32::from(marked), Ordering::Relaxed);
                        }
                    });
                }
            });
            // SAFETY: the others are done.
            unsafe { table.recount(space.start(), BLOCKS) };
            for (&(object, granules), scans) in objects.iter().zip(scans) {
                assert_eq!(scans.into_inner(), 1, "{object:?} of {granules} granules");
                assert!(space.is_wholly_marked(object, granules * GRANULE));
            }
            let live: usize = (0..BLOCKS as BlockIndex)
                .map(|block| space.live_granules(block))
                .sum();
            assert_eq!(live, objects.iter().map(|(_, granules)| granules).sum());
        }
    }

    /// A card's state and the object's mark are told apart, though they are in one word.
    #[test]
    fn cards_and_marks_of_a_large_object_do_not_mix() {
        let space = Space::new(1 << 20).unwrap();
        assert!(space.grow_large(1 << 20));
        let object = Object::from_raw(space.large_start().as_ptr().cast()).unwrap();
        // SAFETY: the test is alone, and all this touches side metadata only.
        unsafe {
            let table = space.begin_marking(0, false);
            for card in 0..4 {
                assert!(space.card(object, card).is_clean());
                assert!(space.card(object, card).soil() && !space.card(object, card).soil());
                assert!(!space.is_marked(object) && !table.is_marked(object));
            }
            (0..4).for_each(|card| space.card(object, card).clean());
            assert!(table.mark_large(object, true) && !table.mark_large(object, false));
            assert!(space.is_marked(object) && space.card(object, 0).is_clean());
            assert!(space.card(object, 0).soil() && space.is_marked(object));
            space.card(object, 0).clean();
            space.unmark_large(object);
            assert!(!space.is_marked(object) && table.mark_large(object, false));
        }
    }
}
