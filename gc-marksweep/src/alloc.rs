//! Where a mutator gets memory: its private [`Buffer`], filled from the [`Supply`] all share.
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
//! 2008). Only when no free block is left does it search those with holes. A block that has been
//! searched in vain, for an object of whatever size, is not searched again for any but the smallest
//! until the next collection.
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
use std::ptr::NonNull;
use std::time::Instant;

use crate::block::{BLOCK, BlockIndex, GRANULES_PER_BLOCK, LARGE, Space};
use crate::object::GRANULE;
use crate::step::{Places, Step, Witness};
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
    overflow_cursor: Cell<*mut u8>,
    overflow_end: Cell<*mut u8>,
    /// When the last [`Self::refill`] began to look through one block after another; `None` if the
    /// first that it took would do, as nearly always: then no clock is read.
    searching: Cell<Option<Instant>>,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Self {
            cursor: Cell::new(std::ptr::null_mut()),
            end: Cell::new(std::ptr::null_mut()),
            block: Cell::new(None),
            granule: Cell::new(0),
            overflow_cursor: Cell::new(std::ptr::null_mut()),
            overflow_end: Cell::new(std::ptr::null_mut()),
            searching: Cell::new(None),
        }
    }

    /// When the last refill began to look through several blocks, if it had to; asked once.
    pub(crate) fn take_searching(&self) -> Option<Instant> {
        self.searching.take()
    }

    /// `size` bytes from the current hole, if they fit: the fast path. `size` is a positive
    /// multiple of a granule.
    #[inline(always)]
    pub(crate) fn bump(&self, size: usize) -> Option<NonNull<u8>> {
        bump(&self.cursor, &self.end, size)
    }

    /// Bytes of the current hole.
    fn set_hole(&self, start: NonNull<u8>, length: usize) {
        self.cursor.set(start.as_ptr());
        self.end.set(start.as_ptr().wrapping_add(length));
    }

    /// `size` bytes, at most [`LARGE`], from the current hole, the block's next one, or a block of
    /// the supply; `None` when only a collection can help.
    pub(crate) fn refill<W: Witness>(
        &self,
        space: &Space,
        supply: &Supply,
        size: usize,
        witness: W,
    ) -> Option<NonNull<u8>> {
        debug_assert!(size <= LARGE);
        self.searching.set(None);
        if let Some(memory) = self.bump(size) {
            return Some(memory);
        }
        if size > MEDIUM {
            if let Some(memory) = bump(&self.overflow_cursor, &self.overflow_end, size) {
                return Some(memory);
            }
            if let Some(hole) = take_tail(space, supply, size) {
                witness.note(|places| taken(places, hole.start, hole.length));
                return self.overflow_to(space, supply, hole.start, hole.length, size);
            }
            if let Some(block) = supply.take_free(space) {
                let start = space.block_start(block);
                witness.note(|places| taken(places, start, BLOCK));
                return self.overflow_to(space, supply, start, BLOCK, size);
            }
            self.begin_search();
            while let Some(block) = supply.take_unsearched(space) {
                if let Some(hole) = space.next_hole(block, 0, size, witness) {
                    witness.note(|places| taken(places, hole.start, hole.length));
                    return self.overflow_to(space, supply, hole.start, hole.length, size);
                }
                supply.put_back_narrow(space, block);
            }
            return None;
        }
        let mut blocks = 0_usize;
        loop {
            if blocks == 2 {
                self.begin_search();
            }
            blocks += 1;
            if let Some(block) = self.block.get() {
                if let Some(hole) = space.next_hole(block, self.granule.get(), size, witness) {
                    self.granule.set(hole.end);
                    self.set_hole(hole.start, hole.length);
                    witness.note(|places| taken(places, hole.start, hole.length));
                    return self.bump(size);
                }
                self.forget();
            }
            if let Some((block, granule)) = supply.take_returned(space, size <= SMALLEST) {
                self.block.set(Some(block));
                self.granule.set(granule);
            } else if let Some(block) = supply.take_unsearched(space) {
                if size > SMALLEST && space.next_hole(block, 0, size, witness).is_none() {
                    supply.put_back_narrow(space, block);
                    continue;
                }
                self.block.set(Some(block));
                self.granule.set(0);
            } else {
                let block = supply.take_free(space)?;
                self.block.set(Some(block));
                self.granule.set(GRANULES_PER_BLOCK);
                let start = space.block_start(block);
                self.set_hole(start, BLOCK);
                witness.note(|places| taken(places, start, BLOCK));
                return self.bump(size);
            }
        }
    }

    /// Goes on in another overflow hole.
    fn overflow_to(
        &self,
        space: &Space,
        supply: &Supply,
        start: NonNull<u8>,
        length: usize,
        size: usize,
    ) -> Option<NonNull<u8>> {
        self.give_back_overflow(space, supply);
        self.overflow_cursor.set(start.as_ptr());
        self.overflow_end.set(start.as_ptr().wrapping_add(length));
        bump(&self.overflow_cursor, &self.overflow_end, size)
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

    /// Forgets all memory: a collection is about to find out anew what is free.
    pub(crate) fn retire(&self) {
        self.forget();
        self.overflow_cursor.set(std::ptr::null_mut());
        self.overflow_end.set(std::ptr::null_mut());
    }

    /// Puts what is left into the supply: the mutator detaches.
    pub(crate) fn give_back(&self, space: &Space, supply: &Supply) {
        if let Some(block) = self.block.get() {
            let left = self.end.get().addr() - self.cursor.get().addr();
            let granule = if left > 0 {
                (self.cursor.get().addr() - space.block_start(block).addr().get()) / GRANULE
            } else {
                self.granule.get()
            };
            supply.put_back(space, block, granule);
        }
        self.give_back_overflow(space, supply);
        self.retire();
    }

    /// Puts back the block of the overflow hole from where that is not used up; what lies before is
    /// lost until the next collection.
    fn give_back_overflow(&self, space: &Space, supply: &Supply) {
        let cursor = self.overflow_cursor.get().addr();
        if cursor < self.overflow_end.get().addr() {
            let block = space
                .block_of(cursor)
                .expect("an overflow hole lies in a block");
            supply.put_back(
                space,
                block,
                (cursor - space.block_start(block).addr().get()) / GRANULE,
            );
        }
    }
}

/// The unused end of a block that somebody has put back, if it has room for `size` bytes: else
/// threads that come, make one medium object and end would use up a block each.
fn take_tail(space: &Space, supply: &Supply, size: usize) -> Option<Hole> {
    let (block, granule) = supply.take_returned(space, false)?;
    // Without a hole the block is as good as used up.
    let hole = space.next_hole(block, granule, GRANULE, ())?;
    // All that is left of the block, so that no other hole of it is lost.
    let is_tail = hole.end == GRANULES_PER_BLOCK && hole.length == (hole.end - granule) * GRANULE;
    if is_tail && hole.length >= size {
        return Some(hole);
    }
    supply.put_back(space, block, granule);
    None
}

/// The step of taking a hole.
fn taken(places: Places, start: NonNull<u8>, bytes: usize) -> Step {
    Step::Hole {
        from: places.at(start.addr().get()),
        bytes,
    }
}

/// `size`, which is positive, bytes from the hole between `cursor` and `end`.
#[inline(always)]
fn bump(cursor: &Cell<*mut u8>, end: &Cell<*mut u8>, size: usize) -> Option<NonNull<u8>> {
    let start = cursor.get();
    if end.get().addr() - start.addr() >= size {
        cursor.set(start.wrapping_add(size));
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
        let first = Buffer::new();
        let one = first.refill(&space, &supply, 32, ()).unwrap();
        first.give_back(&space, &supply);
        let second = Buffer::new();
        let two = second.refill(&space, &supply, 32, ()).unwrap();
        assert_eq!(two.addr().get(), one.addr().get() + 32);
    }
}
