//! Where a mutator gets memory: its private [`Buffer`], which a [`Search`] fills from the
//! [`Supply`] that all share.
//!
//! A mutator bumps a cursor through a *hole*, a run of free granules in a block it owns until the
//! next collection. When the hole is used up it searches its block for the next one, which is the
//! sweep: lazy, private and without a lock. When the block is used up it takes another from the
//! supply: a block with holes first, then one that is wholly free (the most recently used first,
//! while it is in the cache), fresh address space last.
//!
//! A *medium* object (more than [`MEDIUM`] bytes) that misses the current hole goes to a second,
//! *overflow*, hole that is a whole free block, so that it neither gives up a hole that would serve
//! small objects for longer nor searches for one its size (Blackburn and McKinley, Immix, PLDI
//! 2008). Only when no free block is left does it search those with holes, one after the other.
//!
//! Both go through a block from its start to its end. A block that is given up before its end goes
//! back into the supply with what is left of it. One that has been searched in vain, for an object
//! of whatever size, is *narrow*: it is not searched again for any but the smallest until the next
//! collection.
//!
//! # Invariants
//!
//! 1. A block is in one mutator's buffer, or in one list of the supply, or full, or not yet used:
//!    never in two places. So two mutators never allocate from one hole.
//! 2. The bytes of a hole are dead: unmarked by the last collection, and not allocated since. A
//!    block put back into the supply between collections carries the granule from which that holds.
//!
//! Rejected: segregated free lists (a list pop and a metadata access for each object, no bump);
//! zeroing a hole when it is taken (an initialising allocation would write everything twice).

use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;
use std::time::Instant;

use crate::block::{BLOCK, BlockIndex, GRANULES_PER_BLOCK, LARGE, Space};
use crate::object::GRANULE;
use crate::step::{Recording, Step};
use crate::supply::Supply;
use crate::sweep::Hole;

/// Objects of more than this many bytes, and not large, are *medium*.
pub(crate) const MEDIUM: usize = 256;

/// Objects of at most this many bytes fit nearly every hole.
const SMALLEST: usize = 32;

/// A mutator's private source of memory. Filled by its owner; emptied by the collector while the
/// owner is stopped.
pub(crate) struct Buffer {
    cursor: Cell<*mut u8>,
    end: Cell<*mut u8>,
    /// The block the current hole lies in, and the granule after the hole: where the search goes
    /// on.
    block: Cell<Option<BlockIndex>>,
    granule: Cell<usize>,
    /// Whether that block is narrow.
    narrow: Cell<bool>,
    overflow_cursor: Cell<*mut u8>,
    overflow_end: Cell<*mut u8>,
    /// The same of the overflow hole.
    overflow_block: Cell<Option<BlockIndex>>,
    overflow_granule: Cell<usize>,
    /// When the last [`Search::refill`] began to look through one block after another; `None` if
    /// the first that it took would do, as nearly always: then no clock is read.
    searching: Cell<Option<Instant>>,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Self {
            cursor: Cell::new(std::ptr::null_mut()),
            end: Cell::new(std::ptr::null_mut()),
            block: Cell::new(None),
            granule: Cell::new(0),
            narrow: Cell::new(false),
            overflow_cursor: Cell::new(std::ptr::null_mut()),
            overflow_end: Cell::new(std::ptr::null_mut()),
            overflow_block: Cell::new(None),
            overflow_granule: Cell::new(0),
            searching: Cell::new(None),
        }
    }

    /// When the last refill began to look through several blocks, if it had to; asked once.
    pub(crate) fn take_searching(&self) -> Option<Instant> {
        self.searching.take()
    }

    /// `size` bytes from the current hole, if they fit: the fast path. `size` is a positive
    /// multiple of a granule, at most [`LARGE`].
    #[inline(always)]
    pub(crate) fn bump(&self, size: usize) -> Option<NonNull<u8>> {
        bump(&self.cursor, &self.end, size)
    }

    /// Bytes of the current hole.
    fn set_hole(&self, start: NonNull<u8>, length: usize) {
        self.cursor.set(start.as_ptr());
        self.end.set(start.as_ptr().wrapping_add(length));
    }

    #[cold]
    fn begin_search(&self) {
        self.searching.set(Some(Instant::now()));
    }

    fn forget(&self) {
        self.cursor.set(std::ptr::null_mut());
        self.end.set(std::ptr::null_mut());
        self.block.set(None);
    }

    /// Begins with another block, from `granule` on.
    fn set_block(&self, block: BlockIndex, granule: usize, narrow: bool) {
        self.block.set(Some(block));
        self.granule.set(granule);
        self.narrow.set(narrow);
    }

    /// Forgets all memory: a collection is about to find out anew what is free.
    pub(crate) fn retire(&self) {
        self.forget();
        self.overflow_cursor.set(std::ptr::null_mut());
        self.overflow_end.set(std::ptr::null_mut());
        self.overflow_block.set(None);
    }

    /// The block that the hole lies in, and from where it is not used up.
    fn left(&self, space: &Space) -> Option<(BlockIndex, usize)> {
        let (cursor, end) = (&self.cursor, &self.end);
        left(space, self.block.get()?, self.granule.get(), cursor, end)
    }

    /// The same of the overflow hole.
    fn overflow_left(&self, space: &Space) -> Option<(BlockIndex, usize)> {
        let (cursor, end) = (&self.overflow_cursor, &self.overflow_end);
        let granule = self.overflow_granule.get();
        left(space, self.overflow_block.get()?, granule, cursor, end)
    }

    /// Puts what is left into the supply: the mutator detaches.
    pub(crate) fn give_back(&self, space: &Space, supply: &Supply) {
        if let Some((block, granule)) = self.left(space) {
            if self.narrow.get() {
                supply.put_back_narrow(space, block, granule);
            } else {
                supply.put_back(space, block, granule);
            }
        }
        self.give_back_overflow(space, supply);
        self.retire();
    }

    /// Puts back the block of the overflow hole from where that is not used up; what lies before is
    /// lost until the next collection.
    fn give_back_overflow(&self, space: &Space, supply: &Supply) {
        if let Some((block, granule)) = self.overflow_left(space) {
            supply.put_back(space, block, granule);
        }
    }
}

/// A block, and the first granule of it that is neither used up nor searched: the cursor's, or
/// after a hole that is used up the one where the search goes on, `granule`.
fn left(
    space: &Space,
    block: BlockIndex,
    granule: usize,
    cursor: &Cell<*mut u8>,
    end: &Cell<*mut u8>,
) -> Option<(BlockIndex, usize)> {
    let cursor = cursor.get().addr();
    let first = if cursor < end.get().addr() {
        (cursor - space.block_start(block).addr().get()) / GRANULE
    } else {
        granule
    };
    (first < GRANULES_PER_BLOCK).then_some((block, first))
}

/// A mutator's search for memory beyond its current hole. Compiled once more for those whose steps
/// are noted.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a, const RECORDED: bool> {
    pub(crate) buffer: &'a Buffer,
    pub(crate) space: &'a Space,
    pub(crate) supply: &'a Supply,
    pub(crate) recording: &'a Recording,
}

impl<const RECORDED: bool> Search<'_, RECORDED> {
    /// `size` bytes, at most [`LARGE`], from the current hole, the block's next one, or a block of
    /// the supply; `None` when only a collection can help.
    #[inline(always)]
    pub(crate) fn refill(self, size: usize) -> Option<NonNull<u8>> {
        debug_assert!(size <= LARGE);
        self.buffer.searching.set(None);
        if let Some(memory) = self.buffer.bump(size) {
            return Some(memory);
        }
        if size > MEDIUM {
            self.refill_medium(size)
        } else {
            self.refill_small(size)
        }
    }

    /// From the overflow hole, or another one: the block's next one that is large enough, what is
    /// left of a block, a block that is free, the first that is large enough of a block with holes.
    #[inline(always)]
    fn refill_medium(self, size: usize) -> Option<NonNull<u8>> {
        let Self {
            buffer,
            space,
            supply,
            ..
        } = self;
        if let Some(memory) = bump(&buffer.overflow_cursor, &buffer.overflow_end, size) {
            return Some(memory);
        }
        if let Some(block) = buffer.overflow_block.get()
            && let Some(hole) = self.next_hole(block, buffer.overflow_granule.get(), size)
        {
            return self.overflow_to(block, hole, size);
        }
        if let Some((block, hole)) = self.take_tail(size) {
            buffer.give_back_overflow(space, supply);
            return self.overflow_to(block, hole, size);
        }
        if let Some(block) = supply.take_free(space) {
            let hole = Hole {
                start: space.block_start(block),
                length: BLOCK,
                end: GRANULES_PER_BLOCK,
            };
            buffer.give_back_overflow(space, supply);
            return self.overflow_to(block, hole, size);
        }
        buffer.begin_search();
        loop {
            let unsearched = supply.take_unsearched(space).map(|block| (block, 0));
            let (block, granule) = unsearched.or_else(|| supply.take_returned(space))?;
            if let Some(hole) = self.next_hole(block, granule, size) {
                buffer.give_back_overflow(space, supply);
                return self.overflow_to(block, hole, size);
            }
            supply.put_back_narrow(space, block, granule);
        }
    }

    /// From the block's next hole, or that of another block: one that was put back, one with holes,
    /// one that is free.
    #[inline(always)]
    fn refill_small(self, size: usize) -> Option<NonNull<u8>> {
        let Self {
            buffer,
            space,
            supply,
            ..
        } = self;
        let is_smallest = size <= SMALLEST;
        let mut blocks = 0_usize;
        loop {
            if blocks == 2 {
                buffer.begin_search();
            }
            blocks += 1;
            if let Some(memory) = self.go_on_in_block(size) {
                return Some(memory);
            }
            if buffer.block.get().is_some() {
                self.give_up_block(is_smallest);
            }
            if let Some((block, granule)) = supply.take_returned(space) {
                buffer.set_block(block, granule, false);
            } else if is_smallest && let Some((block, granule)) = supply.take_narrow(space) {
                buffer.set_block(block, granule, true);
            } else if let Some(block) = supply.take_unsearched(space) {
                if !is_smallest && self.next_hole(block, 0, size).is_none() {
                    supply.put_back_narrow(space, block, 0);
                    continue;
                }
                buffer.set_block(block, 0, false);
            } else {
                let block = supply.take_free(space)?;
                buffer.set_block(block, GRANULES_PER_BLOCK, false);
                let start = space.block_start(block);
                buffer.set_hole(start, BLOCK);
                self.note_taken(start, BLOCK);
                return buffer.bump(size);
            }
        }
    }

    /// From the next hole of the block that the current one lies in, if it has another that is
    /// large enough. If not, it is not searched again for an object of that size.
    #[inline(always)]
    pub(crate) fn go_on_in_block(self, size: usize) -> Option<NonNull<u8>> {
        let buffer = self.buffer;
        let block = buffer.block.get()?;
        if buffer.narrow.get() && size > SMALLEST {
            return None;
        }
        let Some(hole) = self.next_hole(block, buffer.granule.get(), size) else {
            if size > SMALLEST {
                buffer.narrow.set(true);
            } else {
                buffer.granule.set(GRANULES_PER_BLOCK);
            }
            return None;
        };
        buffer.granule.set(hole.end);
        buffer.set_hole(hole.start, hole.length);
        self.note_taken(hole.start, hole.length);
        buffer.bump(size)
    }

    /// Goes on without the block, which has no hole that is large enough: unless that was one of
    /// the smallest, others may do for those.
    #[inline(always)]
    fn give_up_block(self, smallest: bool) {
        let Self {
            buffer,
            space,
            supply,
            ..
        } = self;
        if !smallest
            && buffer.granule.get() < GRANULES_PER_BLOCK
            && let Some((block, granule)) = buffer.left(space)
        {
            supply.put_back_narrow(space, block, granule);
        }
        buffer.forget();
    }

    /// Goes on in another overflow hole.
    #[inline(always)]
    fn overflow_to(self, block: BlockIndex, hole: Hole, size: usize) -> Option<NonNull<u8>> {
        let Hole { start, length, end } = hole;
        self.note_taken(start, length);
        let buffer = self.buffer;
        buffer.overflow_block.set(Some(block));
        buffer.overflow_granule.set(end);
        buffer.overflow_cursor.set(start.as_ptr());
        (buffer.overflow_end).set(start.as_ptr().wrapping_add(length));
        bump(&buffer.overflow_cursor, &buffer.overflow_end, size)
    }

    /// The unused end of a block that somebody has put back, if it has room for `size` bytes: else
    /// threads that come, make one medium object and end would use up a block each.
    #[inline(always)]
    fn take_tail(self, size: usize) -> Option<(BlockIndex, Hole)> {
        let Self { space, supply, .. } = self;
        let (block, granule) = supply.take_returned(space)?;
        // Without a hole the block is as good as used up.
        let hole = space.next_hole(block, granule, GRANULE)?;
        // All that is left of the block, so that no other hole of it is lost.
        let is_tail =
            hole.end == GRANULES_PER_BLOCK && hole.length == (hole.end - granule) * GRANULE;
        if is_tail && hole.length >= size {
            return Some((block, hole));
        }
        supply.put_back(space, block, granule);
        None
    }

    /// The first hole of the block at or after `granule` of at least `minimum` bytes.
    #[inline(always)]
    fn next_hole(self, block: BlockIndex, granule: usize, minimum: usize) -> Option<Hole> {
        let hole = self.space.next_hole(block, granule, minimum);
        if RECORDED {
            let end = hole.map_or(GRANULES_PER_BLOCK, |hole| hole.end);
            note_searched(self.recording, self.space, block, granule..end);
        }
        hole
    }

    #[inline(always)]
    fn note_taken(self, start: NonNull<u8>, bytes: usize) {
        if RECORDED {
            self.recording.note(|places| Step::Hole {
                from: places.at(start.addr().get()),
                bytes,
            });
        }
    }
}

/// Notes the granules that a search has looked at, those that are marked and those that are not.
#[cold]
#[inline(never)]
fn note_searched(recording: &Recording, space: &Space, block: BlockIndex, granules: Range<usize>) {
    let start = space.block_start(block).addr().get();
    let mut from = granules.start;
    while from < granules.end {
        let hole = space.next_hole(block, from, GRANULE);
        let (begin, end) = hole.map_or((GRANULES_PER_BLOCK, GRANULES_PER_BLOCK), |hole| {
            (hole.end - hole.length / GRANULE, hole.end)
        });
        for (until, live) in [(begin, true), (end, false)] {
            let until = until.min(granules.end);
            if until > from {
                recording.note(|places| Step::Swept {
                    from: places.at(start + from * GRANULE),
                    bytes: (until - from) * GRANULE,
                    live,
                });
                from = until;
            }
        }
    }
}

/// `size` bytes, from 1 to [`LARGE`], from the hole between `cursor` and `end`.
#[inline(always)]
fn bump(cursor: &Cell<*mut u8>, end: &Cell<*mut u8>, size: usize) -> Option<NonNull<u8>> {
    let start = cursor.get();
    // Not how much is left: what is compared is what the cursor is set to.
    let next = start.wrapping_add(size);
    if next.addr() <= end.get().addr() {
        cursor.set(next);
        // SAFETY: both are null only together, and then nothing fits.
        Some(unsafe { NonNull::new_unchecked(start) })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detached_mutators_hole_is_used_again() {
        let space = Space::new(1 << 20).unwrap();
        let supply = Supply::new(&space, 1 << 20, None).unwrap();
        let [first, second] = [(); 2].map(|()| Buffer::new());
        let refill = |buffer| {
            let (space, supply) = (&space, &supply);
            let search = Search::<false> {
                buffer,
                space,
                supply,
                recording: &Recording::default(),
            };
            search.refill(32).unwrap()
        };
        let one = refill(&first);
        first.give_back(&space, &supply);
        let two = refill(&second);
        assert_eq!(two.addr().get(), one.addr().get() + 32);
    }
}
