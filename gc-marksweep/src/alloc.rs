//! Where mutators get memory: a private [`Buffer`] each, filled from the [`Supply`] all share.
//!
//! A mutator bumps a cursor through a *hole*, a run of free granules in a block it owns until the next collection.
//! When the hole is used up it searches its block for the next one, which is the sweep: lazy, private and without a lock. When
//! the block is used up it takes another from the supply: a block with holes first, then one that is wholly
//! free (the most recently used first, while it is in the cache), fresh address space last.
//!
//! A *medium* object (more than [`MEDIUM`] bytes) that misses the current hole goes to a second, *overflow*, hole that is a whole free
//! block, so that it neither gives up a hole that would serve small objects for longer nor searches for one its size (Blackburn and McKinley, Immix, PLDI 2008). Only
//! when no free block is left does it search.
//!
//! A *large* object gets a run of pages, first fit by address.
//!
//! # Invariants
//!
//! 1. A block is in one mutator's buffer, or in one list of the supply, or full, or not yet used: never in two places. So two mutators never
//!    allocate from one hole.
//! 2. The bytes of a hole are dead: unmarked by the last collection, and not allocated since. A block put back
//!    into the supply between collections carries the granule from which that holds.
//! 3. `charged` counts every block that is not wholly free, every page run of a large object, and the side metadata of both;
//!    it never exceeds the limit.
//!
//! Rejected: segregated free lists (a list pop and a metadata access for each object, no bump); zeroing a hole when
//! it is taken (an initialising allocation would write everything twice).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::block::{BLOCK, BLOCK_METADATA, BlockIndex, GRANULES_PER_BLOCK, LARGE, Space};
use crate::object::{GRANULE, Object};
use crate::os::PAGE;

/// Objects of more than this many bytes, and not large, are *medium*.
pub(crate) const MEDIUM: usize = 256;

/// What a block costs of the limit.
pub(crate) const BLOCK_CHARGE: usize = BLOCK + BLOCK_METADATA;

/// A mutator's private source of memory. Filled by its owner; emptied by the collector while the owner is stopped.
pub(crate) struct Buffer {
    cursor: Cell<*mut u8>,
    end: Cell<*mut u8>,
    /// The block the current hole lies in, and the granule after the hole: where the search goes on.
    block: Cell<Option<BlockIndex>>,
    granule: Cell<usize>,
    overflow_cursor: Cell<*mut u8>,
    overflow_end: Cell<*mut u8>,
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
        }
    }

    /// `size` bytes from the current hole, if they fit: the fast path. `size` is a positive multiple of a granule.
    #[inline(always)]
    pub(crate) fn bump(&self, size: usize) -> Option<NonNull<u8>> {
        bump(&self.cursor, &self.end, size)
    }

    /// Bytes of the current hole.
    fn set_hole(&self, start: NonNull<u8>, length: usize) {
        self.cursor.set(start.as_ptr());
        self.end.set(start.as_ptr().wrapping_add(length));
    }

    /// `size` bytes, at most [`LARGE`], from the current hole, the block's next one, or a block of the supply; `None`
    /// when only a collection can help.
    pub(crate) fn refill(
        &self,
        space: &Space,
        supply: &Supply,
        size: usize,
    ) -> Option<NonNull<u8>> {
        debug_assert!(size <= LARGE);
        if let Some(memory) = self.bump(size) {
            return Some(memory);
        }
        if size > MEDIUM {
            if let Some(memory) = bump(&self.overflow_cursor, &self.overflow_end, size) {
                return Some(memory);
            }
            if let Some(block) = supply.take_free(space) {
                self.give_back_overflow(space, supply);
                let start = space.block_start(block).as_ptr();
                self.overflow_cursor.set(start);
                self.overflow_end.set(start.wrapping_add(BLOCK));
                return bump(&self.overflow_cursor, &self.overflow_end, size);
            }
        }
        loop {
            if let Some(block) = self.block.get() {
                if let Some(hole) = space.next_hole(block, self.granule.get(), size) {
                    self.granule.set(hole.end);
                    self.set_hole(hole.start, hole.length);
                    return self.bump(size);
                }
                self.forget();
            }
            if let Some((block, granule)) = supply.take_recyclable() {
                self.block.set(Some(block));
                self.granule.set(granule);
            } else {
                let block = supply.take_free(space)?;
                self.block.set(Some(block));
                self.granule.set(GRANULES_PER_BLOCK);
                self.set_hole(space.block_start(block), BLOCK);
                return self.bump(size);
            }
        }
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
            supply.put_back(block, granule);
        }
        self.give_back_overflow(space, supply);
        self.retire();
    }

    fn give_back_overflow(&self, space: &Space, supply: &Supply) {
        let cursor = self.overflow_cursor.get().addr();
        if cursor < self.overflow_end.get().addr() {
            let block = space
                .block_of(cursor)
                .expect("an overflow hole lies in a block");
            supply.put_back(
                block,
                (cursor - space.block_start(block).addr().get()) / GRANULE,
            );
        }
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

/// The heap's free memory, and the account of what is used.
pub(crate) struct Supply {
    state: Mutex<State>,
    usage: Usage,
    limit: usize,
}

/// A copy of the account for readers that must not wait. In bytes.
#[derive(Default)]
pub(crate) struct Usage {
    pub(crate) charged: AtomicUsize,
    pub(crate) peak: AtomicUsize,
    pub(crate) committed: AtomicUsize,
    pub(crate) metadata: AtomicUsize,
}

struct State {
    charged: usize,
    /// Bytes of blocks and page runs that have been touched and not released.
    committed: usize,
    metadata: usize,
    /// Blocks from this index on have never been used.
    fresh: BlockIndex,
    blocks: BlockIndex,
    /// Wholly free blocks that are backed by memory; the one to use next is last.
    free: Vec<BlockIndex>,
    /// Wholly free blocks that have been released to the system.
    released: Vec<BlockIndex>,
    /// Blocks with holes, each with the granule its search begins at; the one to use next is last.
    recyclable: Vec<(BlockIndex, usize)>,
    large: LargeSpace,
}

/// Memory for a large object.
pub(crate) struct LargeMemory {
    pub(crate) start: NonNull<u8>,
    /// Whether it reads as zero.
    pub(crate) zeroed: bool,
}

impl Supply {
    pub(crate) fn new(space: &Space, limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                charged: 0,
                committed: 0,
                metadata: 0,
                fresh: 0,
                blocks: space.blocks() as BlockIndex,
                free: Vec::with_capacity(space.blocks()),
                released: Vec::with_capacity(space.blocks()),
                recyclable: Vec::with_capacity(space.blocks()),
                large: LargeSpace::new(space.large_length() / PAGE),
            }),
            usage: Usage::default(),
            limit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code that panics runs under this lock")
    }

    /// The limit in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn usage(&self) -> &Usage {
        &self.usage
    }

    fn publish(&self, state: &State) {
        self.usage.charged.store(state.charged, Ordering::Relaxed);
        self.usage.peak.fetch_max(state.charged, Ordering::Relaxed);
        self.usage
            .committed
            .store(state.committed + state.metadata, Ordering::Relaxed);
        self.usage.metadata.store(state.metadata, Ordering::Relaxed);
    }

    fn take_recyclable(&self) -> Option<(BlockIndex, usize)> {
        self.lock().recyclable.pop()
    }

    /// A wholly free block, if the limit allows one more.
    fn take_free(&self, space: &Space) -> Option<BlockIndex> {
        let mut state = self.lock();
        if state.charged + BLOCK_CHARGE > self.limit {
            return None;
        }
        let block = match state.free.pop() {
            Some(block) => block,
            None => {
                let block = match state.released.pop() {
                    Some(block) => block,
                    None if state.fresh < state.blocks => {
                        state.fresh += 1;
                        state.fresh - 1
                    }
                    None => return None,
                };
                state.committed += BLOCK;
                block
            }
        };
        state.charged += BLOCK_CHARGE;
        state.metadata += BLOCK_METADATA;
        self.trim(space, &mut state);
        self.publish(&state);
        Some(block)
    }

    fn put_back(&self, block: BlockIndex, granule: usize) {
        if granule < GRANULES_PER_BLOCK {
            self.lock().recyclable.push((block, granule));
        }
    }

    /// Memory for a large object of `size` bytes; `None` when only a collection can help.
    pub(crate) fn take_large(&self, space: &Space, size: usize) -> Option<LargeMemory> {
        let pages = size.div_ceil(PAGE);
        let charge = large_charge(pages);
        let mut state = self.lock();
        if state.charged + charge > self.limit {
            return None;
        }
        let run = match state.large.take(pages) {
            Some(run) => run,
            // Runs of the two kinds that lie side by side are one when both are clean.
            None => {
                state.committed -= state.large.release_dirty(space);
                state.large.take(pages)?
            }
        };
        if !run.dirty {
            state.committed += pages * PAGE;
        }
        state.charged += charge;
        state.metadata += charge - pages * PAGE;
        self.trim(space, &mut state);
        self.publish(&state);
        // SAFETY: the run lies in the large-object space.
        let start = unsafe { space.large_start().add(run.page * PAGE) };
        let object = Object::from_raw(start.as_ptr().cast()).expect("heap addresses are not null");
        state.large.objects.push(LargeObject {
            object,
            page: run.page,
            pages,
        });
        Some(LargeMemory {
            start,
            zeroed: !run.dirty,
        })
    }

    /// Keeps what the system backs below the limit: free memory of one kind makes room for the other.
    fn trim(&self, space: &Space, state: &mut State) {
        if state.committed + state.metadata <= self.limit {
            return;
        }
        state.committed -= state.large.release_dirty(space);
        while state.committed + state.metadata > self.limit {
            // The first is the one that would be used last.
            if state.free.is_empty() {
                break;
            }
            let block = state.free.remove(0);
            // SAFETY: a block in the free list holds no object and is in no buffer.
            unsafe { space.release_block(block) };
            state.released.push(block);
            state.committed -= BLOCK;
        }
    }

    /// How many blocks have ever been used: those with a lower index.
    pub(crate) fn used_blocks(&self) -> usize {
        self.lock().fresh as usize
    }

    /// Rebuilds the supply from what marking found, and returns the bytes of small objects it found live. Blocks with fewer than `minimum` free granules count as full and are not searched.
    ///
    /// The world is stopped, marking is complete, and all buffers are retired.
    pub(crate) fn reclaim(&self, space: &Space, minimum: usize) -> usize {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.large.reclaim(space);
        let (runs, run_pages) = (state.large.objects.iter())
            .fold((0, 0), |(charge, pages), run| {
                (charge + large_charge(run.pages), pages + run.pages)
            });
        state.recyclable.clear();
        state.free.clear();
        let mut released: Vec<bool> = vec![false; state.fresh as usize];
        for &block in &state.released {
            released[block as usize] = true;
        }
        let (mut blocks, mut granules) = (0, 0);
        // Backwards, because the lists are used from their ends: the lowest addresses first.
        for block in (0..state.fresh).rev() {
            match space.live_granules(block) {
                0 if released[block as usize] => {}
                0 => state.free.push(block),
                live => {
                    blocks += 1;
                    granules += live;
                    if GRANULES_PER_BLOCK - live >= minimum {
                        state.recyclable.push((block, 0));
                    }
                }
            }
        }
        state.charged = blocks * BLOCK_CHARGE + runs;
        state.metadata = blocks * BLOCK_METADATA + runs - run_pages * PAGE;
        self.publish(state);
        granules * GRANULE
    }

    /// Calls `f` with each large object and the bytes of its run of pages.
    pub(crate) fn for_each_large(&self, mut f: impl FnMut(Object, usize)) {
        for run in &self.lock().large.objects {
            f(run.object, run.pages * PAGE);
        }
    }
}

/// What a run of pages costs of the limit: its pages, and a mark byte for each of their granules.
fn large_charge(pages: usize) -> usize {
    pages * PAGE + pages * PAGE / GRANULE
}

struct LargeObject {
    object: Object,
    page: usize,
    pages: usize,
}

/// A free run of pages.
#[derive(Clone, Copy)]
struct Run {
    page: usize,
    /// Whether an object has lain in it since it was last given back to the system.
    dirty: bool,
}

/// The large-object space: address-ordered first fit, free neighbours of one kind merged.
struct LargeSpace {
    /// First page -> number of pages, for free runs that read as zero and are not backed by memory.
    clean: BTreeMap<usize, usize>,
    /// The same for free runs that are backed by memory.
    dirty: BTreeMap<usize, usize>,
    objects: Vec<LargeObject>,
}

impl LargeSpace {
    fn new(pages: usize) -> Self {
        Self {
            clean: BTreeMap::from([(0, pages)]),
            dirty: BTreeMap::new(),
            objects: Vec::new(),
        }
    }

    /// A run of `pages`: one that is backed by memory if there is one that long.
    fn take(&mut self, pages: usize) -> Option<Run> {
        for (dirty, free) in [(true, &mut self.dirty), (false, &mut self.clean)] {
            if let Some((&page, &length)) = free.iter().find(|&(_, &length)| length >= pages) {
                free.remove(&page);
                if length > pages {
                    free.insert(page + pages, length - pages);
                }
                return Some(Run { page, dirty });
            }
        }
        None
    }

    /// Frees the objects that are not marked.
    fn reclaim(&mut self, space: &Space) {
        let dirty = &mut self.dirty;
        self.objects.retain(|run| {
            let live = space.is_marked(run.object);
            if !live {
                insert_merged(dirty, run.page, run.pages);
            }
            live
        });
    }

    /// Gives all free runs back to the system; returns how many bytes those were.
    fn release_dirty(&mut self, space: &Space) -> usize {
        let mut released = 0;
        while let Some((page, pages)) = self.dirty.pop_first() {
            // SAFETY: a free run holds no object.
            unsafe { space.release_large(page * PAGE, pages * PAGE) };
            insert_merged(&mut self.clean, page, pages);
            released += pages * PAGE;
        }
        released
    }
}

fn insert_merged(runs: &mut BTreeMap<usize, usize>, page: usize, pages: usize) {
    let (mut page, mut pages) = (page, pages);
    if let Some((&before, &length)) = runs.range(..page).next_back()
        && before + length == page
    {
        runs.remove(&before);
        page = before;
        pages += length;
    }
    if let Some(length) = runs.remove(&(page + pages)) {
        pages += length;
    }
    runs.insert(page, pages);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_runs_merge_with_their_neighbours() {
        let mut runs = BTreeMap::new();
        for page in [0, 4, 2, 6, 3, 5, 1] {
            insert_merged(&mut runs, page, 1);
        }
        assert_eq!(runs, BTreeMap::from([(0, 7)]));
    }

    #[test]
    fn the_limit_counts_blocks_and_their_metadata() {
        let limit = 10 * BLOCK_CHARGE + BLOCK_CHARGE / 2;
        let space = Space::new(limit).unwrap();
        let supply = Supply::new(&space, limit);
        assert_eq!(std::iter::from_fn(|| supply.take_free(&space)).count(), 10);
        assert_eq!(
            supply.usage().charged.load(Ordering::Relaxed),
            10 * BLOCK_CHARGE
        );
    }

    #[test]
    fn backed_and_unbacked_runs_side_by_side_hold_one_large_object() {
        let limit = 1 << 20;
        let space = Space::new(limit).unwrap();
        let supply = Supply::new(&space, limit);
        {
            let mut state = supply.lock();
            state.large.clean = BTreeMap::from([(8, 8)]);
            state.large.dirty = BTreeMap::from([(0, 8)]);
            state.committed = 8 * PAGE;
        }
        let memory = supply.take_large(&space, 16 * PAGE).unwrap();
        assert_eq!(memory.start, space.large_start());
        assert!(memory.zeroed);
        assert_eq!(supply.lock().committed, 16 * PAGE);
    }

    #[test]
    fn a_detached_mutators_hole_is_used_again() {
        let space = Space::new(1 << 20).unwrap();
        let supply = Supply::new(&space, 1 << 20);
        let first = Buffer::new();
        let one = first.refill(&space, &supply, 32).unwrap();
        first.give_back(&space, &supply);
        let second = Buffer::new();
        let two = second.refill(&space, &supply, 32).unwrap();
        assert_eq!(two.addr().get(), one.addr().get() + 32);
    }
}
