//! The heap's free memory, which all mutators share, and the account of what is used.
//!
//! Between two collections free blocks only go out. So the lists of them are arrays that are filled
//! in a pause, and taking a block is one compare-and-swap on an index: mutators do not meet on a
//! lock. What is rare, or waits for the system anyhow, is behind one: blocks that were never used
//! or have been given back, large objects, what a detached mutator has left over.
//!
//! What has been handed out since the last collection can be read off the arrays, above their tops.
//! All that is young lies there, so a minor collection rebuilds the supply from those blocks alone.
//!
//! # Invariants
//!
//! 1. A block is in at most one list, and in none while a mutator has it.
//! 2. `charged` counts every block that is not wholly free, every run of pages of a large object,
//!    and the side metadata of both; it never exceeds the limit. `backed` counts what is charged
//!    and what is free and backed by the system.
//! 3. Lists grow only while the world is stopped (but for those behind the lock).
//!
//! Rejected: one lock for everything (a mutator that allocates 32-byte objects takes a block every
//! 5 us); lists a mutator each, with stealing (blocks would have to be shared out before anyone
//! knows who allocates).

use std::ptr::NonNull;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use handshake::process::is_held;

use crate::ageing::Ageing;
use crate::block::{BLOCK, BLOCK_METADATA, BlockIndex, GRANULES_PER_BLOCK, Space};
use crate::full::FullCause;
use crate::large::{LargeObject, LargeSpace, Run, large_charge};
use crate::lists::{Blocks, Chain, Links, Stock};
use crate::object::{GRANULE, Object};
use crate::os::{PAGE, Refused};
use crate::policy::Extent;
use crate::survival::Survival;
use crate::table::Table;

/// What a block costs of the limit.
pub(crate) const BLOCK_CHARGE: usize = BLOCK + BLOCK_METADATA;

/// The heap's free memory, and the account of what is used.
pub(crate) struct Supply {
    /// Blocks with holes, none of them searched since the last pause.
    recyclable: Stock,
    /// Wholly free blocks that are backed by memory; the most recently used one is on top.
    free: Stock,
    /// How many entries [`Reserve::returned`] and [`Reserve::narrow`] have, so that finding none
    /// takes no lock.
    returned: AtomicUsize,
    narrow: AtomicUsize,
    reserve: Mutex<Reserve>,
    limit: usize,
    /// What [`Self::charged`] may not exceed: the limit, or less where the heap's size is to stay
    /// below it.
    goal: AtomicUsize,
    /// Bytes that may still be handed out before a collection is due.
    allowance: AtomicIsize,
    /// What that was when it was set.
    allowed: AtomicIsize,
    charged: AtomicUsize,
    peak: AtomicUsize,
    backed: AtomicUsize,
    large_pages: AtomicUsize,
}

/// The part of the supply that takes a lock: what is needed once for a detached mutator, a page
/// fault or a large object.
struct Reserve {
    links: Links,
    /// Blocks that mutators have not used up, because they detached or needed another, each with
    /// the granule its search goes on at.
    returned: Chain,
    /// Blocks in which there was no hole of the size that was needed, from the granule on.
    narrow: Chain,
    /// Blocks from this index on have never been used.
    fresh: BlockIndex,
    /// Wholly free blocks that have been given back to the system.
    released: Chain,
    /// Blocks that were fresh or released and have been handed out since the last pause.
    taken: Blocks,
    large: LargeSpace,
    /// Of each block: its live granules when it was last put into a list, and whether the system
    /// backs it, which is then 1.
    block_live: Table<u32>,
    block_backed: Table<u8>,
    /// Live granules of all blocks.
    live: usize,
    /// Bytes of the holes in recyclable blocks.
    holes: usize,
    /// Room for [`Supply::reclaim`], so that it allocates nothing inside a pause.
    scratch: Blocks,
    survival: Survival,
    ageing: Ageing,
}

/// What reclaiming found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reclaimed {
    /// Bytes of live objects, headers and rounding included.
    pub(crate) live: usize,
    /// Bytes counted against the limit.
    pub(crate) occupied: usize,
    /// The part of those in holes that can be handed out.
    pub(crate) holes: usize,
    /// Bytes of live objects that had been allocated since the last collection: an estimate, after
    /// [`Supply::sample_what_is_new`].
    pub(crate) survived: usize,
}

impl Reclaimed {
    /// Bytes that can be handed out before `goal` is reached.
    pub(crate) fn room(&self, goal: usize) -> usize {
        goal.saturating_sub(self.occupied) + self.holes
    }
}

/// The account of the heap's memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Counted against the limit: blocks that are not wholly free, page runs of large objects, the
    /// metadata of both.
    pub(crate) occupied: usize,
    pub(crate) peak: usize,
    /// The part of `occupied` that is metadata.
    pub(crate) metadata: usize,
    /// Backed by the system: `occupied`, and what is free and has not been given back.
    pub(crate) backed: usize,
    /// What `occupied` may reach before a collection.
    pub(crate) goal: usize,
}

/// Memory for a large object.
pub(crate) struct LargeMemory {
    pub(crate) start: NonNull<u8>,
    /// Whether it reads as zero.
    pub(crate) zeroed: bool,
}

impl Supply {
    /// Makes all tables, each as long as it can get: nothing here needs memory later, but the list
    /// of large objects.
    pub(crate) fn new(
        space: &Space,
        limit: usize,
        release_after: Option<Duration>,
    ) -> Result<Self, Refused> {
        let blocks = space.blocks();
        Ok(Self {
            recyclable: Stock::new(blocks)?,
            free: Stock::new(blocks)?,
            returned: AtomicUsize::new(0),
            narrow: AtomicUsize::new(0),
            reserve: Mutex::new(Reserve {
                links: Links::new(blocks)?,
                returned: Chain::default(),
                narrow: Chain::default(),
                fresh: 0,
                released: Chain::default(),
                taken: Blocks::new(blocks)?,
                large: LargeSpace::new(space)?,
                block_live: Table::new(blocks)?,
                block_backed: Table::new(blocks)?,
                live: 0,
                holes: 0,
                scratch: Blocks::new(blocks)?,
                survival: Survival::new().ok_or_else(Refused::no_memory)?,
                ageing: Ageing::new(release_after),
            }),
            limit,
            goal: AtomicUsize::new(limit),
            allowance: AtomicIsize::new(isize::MAX),
            allowed: AtomicIsize::new(isize::MAX),
            charged: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            backed: AtomicUsize::new(0),
            large_pages: AtomicUsize::new(0),
        })
    }

    /// After a fork: whether a thread that is not there holds the lock.
    pub(crate) fn is_held(&self) -> bool {
        is_held(&self.reserve)
    }

    fn reserve(&self) -> MutexGuard<'_, Reserve> {
        self.reserve
            .lock()
            .expect("no code that panics runs under this lock")
    }

    /// The limit in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Sets what may be occupied before a collection is due, at most the limit.
    pub(crate) fn set_goal(&self, bytes: usize) {
        self.goal.store(bytes.min(self.limit), Ordering::Relaxed);
    }

    /// Sets how many bytes may be handed out before a collection is due. The world is stopped.
    pub(crate) fn set_allowance(&self, bytes: usize) {
        let bytes = isize::try_from(bytes).unwrap_or(isize::MAX).max(1);
        self.allowance.store(bytes, Ordering::Relaxed);
        self.allowed.store(bytes, Ordering::Relaxed);
    }

    /// Bytes handed out since [`Self::set_allowance`].
    pub(crate) fn handed_out(&self) -> usize {
        let left = self.allowance.load(Ordering::Relaxed);
        (self.allowed.load(Ordering::Relaxed) - left) as usize
    }

    pub(crate) fn usage(&self) -> Usage {
        let occupied = self.charged.load(Ordering::Relaxed);
        let pages = self.large_pages.load(Ordering::Relaxed);
        let blocks = occupied.saturating_sub(large_charge(pages)) / BLOCK_CHARGE;
        Usage {
            occupied,
            peak: self.peak.load(Ordering::Relaxed),
            metadata: blocks * BLOCK_METADATA + large_charge(pages) - pages * PAGE,
            backed: self.backed.load(Ordering::Relaxed),
            goal: self.goal.load(Ordering::Relaxed),
        }
    }

    /// Whether `bytes` may be handed out before the next collection; if so, they count as handed
    /// out.
    fn allow(&self, bytes: usize) -> bool {
        // One that goes too far is no harm: the next finds nothing left.
        let allowed = self.allowance.load(Ordering::Relaxed) > 0;
        if allowed {
            self.allowance.fetch_sub(bytes as isize, Ordering::Relaxed);
        }
        allowed
    }

    /// Counts `bytes` against the goal, unless it would be exceeded.
    fn charge(&self, bytes: usize) -> bool {
        let goal = self.goal.load(Ordering::Relaxed);
        let charge = |charged| Some(charged + bytes).filter(|&charged| charged <= goal);
        let relaxed = Ordering::Relaxed;
        let Ok(charged) = self.charged.fetch_update(relaxed, relaxed, charge) else {
            return false;
        };
        self.peak.fetch_max(charged + bytes, Ordering::Relaxed);
        true
    }

    /// A block with holes that no mutator has had since the last pause.
    pub(crate) fn take_unsearched(&self, space: &Space) -> Option<BlockIndex> {
        if self.recyclable.len() == 0 || !self.allow(0) {
            return None;
        }
        let block = self.recyclable.take()?;
        self.allow(left_over(space, block, 0));
        Some(block)
    }

    /// A block that a mutator has put back, and the granule from which to search it.
    pub(crate) fn take_returned(&self, space: &Space) -> Option<(BlockIndex, usize)> {
        self.take_chained(space, &self.returned, |reserve| &mut reserve.returned)
    }

    /// The same of one that has been searched in vain, for an object that is not among the
    /// smallest.
    pub(crate) fn take_narrow(&self, space: &Space) -> Option<(BlockIndex, usize)> {
        self.take_chained(space, &self.narrow, |reserve| &mut reserve.narrow)
    }

    fn take_chained(
        &self,
        space: &Space,
        length: &AtomicUsize,
        chain: impl Fn(&mut Reserve) -> &mut Chain,
    ) -> Option<(BlockIndex, usize)> {
        if length.load(Ordering::Relaxed) == 0 || !self.allow(0) {
            return None;
        }
        let mut guard = self.reserve();
        let mut rest = *chain(&mut guard);
        let taken = guard.links.pop(&mut rest);
        *chain(&mut guard) = rest;
        length.store(rest.length, Ordering::Relaxed);
        let (block, granule) = taken?;
        self.allow(left_over(space, block, granule));
        taken
    }

    /// A wholly free block, if the goal allows one more.
    pub(crate) fn take_free(&self, space: &Space) -> Option<BlockIndex> {
        if !self.allow(0) || !self.charge(BLOCK_CHARGE) {
            return None;
        }
        let block = self.free.take().or_else(|| self.take_unbacked(space));
        if block.is_some() {
            self.allow(BLOCK);
        } else {
            self.charged.fetch_sub(BLOCK_CHARGE, Ordering::Relaxed);
        }
        block
    }

    /// A wholly free block that the system does not back.
    #[cold]
    fn take_unbacked(&self, space: &Space) -> Option<BlockIndex> {
        let mut guard = self.reserve();
        let reserve = &mut *guard;
        let block = match reserve.links.pop(&mut reserve.released) {
            Some((block, _)) => block,
            None if (reserve.fresh as usize) < space.blocks() => {
                reserve.fresh += 1;
                reserve.fresh - 1
            }
            None => return None,
        };
        reserve.block_backed[block as usize] = 1;
        reserve.taken.push(block);
        self.backed.fetch_add(BLOCK_CHARGE, Ordering::Relaxed);
        self.trim(space, reserve);
        Some(block)
    }

    /// Takes back a block whose memory from `granule` on has not been used. It no longer counts as
    /// handed out.
    pub(crate) fn put_back(&self, space: &Space, block: BlockIndex, granule: usize) {
        let mut guard = self.reserve();
        let reserve = &mut *guard;
        (reserve.links).push(&mut reserve.returned, block, granule);
        (self.returned).store(reserve.returned.length, Ordering::Relaxed);
        self.refund(space, block, granule);
    }

    /// Takes back a block that has been searched in vain, for an object that is not among the
    /// smallest, and has not been used from `granule` on.
    pub(crate) fn put_back_narrow(&self, space: &Space, block: BlockIndex, granule: usize) {
        let mut guard = self.reserve();
        let reserve = &mut *guard;
        (reserve.links).push(&mut reserve.narrow, block, granule);
        (self.narrow).store(reserve.narrow.length, Ordering::Relaxed);
        self.refund(space, block, granule);
    }

    fn refund(&self, space: &Space, block: BlockIndex, granule: usize) {
        let bytes = left_over(space, block, granule) as isize;
        // What was taken before the allowance was last set does not raise it.
        let allowed = self.allowed.load(Ordering::Relaxed);
        let refund = |left: isize| Some(left.saturating_add(bytes).min(allowed));
        let relaxed = Ordering::Relaxed;
        // The closure always has an answer.
        let _ = self.allowance.fetch_update(relaxed, relaxed, refund);
    }

    /// Memory for a large object of `size` bytes.
    ///
    /// # Errors
    ///
    /// When only a collection can help: the system has refused, or what may be occupied has been.
    pub(crate) fn take_large(&self, space: &Space, size: usize) -> Result<LargeMemory, FullCause> {
        let pages = size.div_ceil(PAGE);
        let charge = large_charge(pages);
        if !self.allow(0) || !self.charge(charge) {
            return Err(FullCause::Limit);
        }
        let mut guard = self.reserve();
        let reserve = &mut *guard;
        let run = match reserve.large.reserve_object() {
            true => self.take_run(space, &mut reserve.large, pages),
            false => Err(FullCause::System),
        };
        let run = run.inspect_err(|_| {
            self.charged.fetch_sub(charge, Ordering::Relaxed);
        })?;
        self.allow(pages * PAGE);
        self.large_pages.fetch_add(pages, Ordering::Relaxed);
        if !run.dirty {
            self.backed.fetch_add(charge, Ordering::Relaxed);
            self.trim(space, reserve);
        }
        // SAFETY: the run lies in the large-object space.
        let start = unsafe { space.large_start().add(run.page * PAGE) };
        let object = Object::from_raw(start.as_ptr().cast()).expect("heap addresses are not null");
        reserve.large.objects.push(LargeObject {
            object,
            page: run.page,
            pages,
            size,
        });
        Ok(LargeMemory {
            start,
            zeroed: !run.dirty,
        })
    }

    /// A run of pages, in address space that is reserved for it if need be.
    fn take_run(
        &self,
        space: &Space,
        large: &mut LargeSpace,
        pages: usize,
    ) -> Result<Run, FullCause> {
        if let Some(run) = large.take(pages) {
            return Ok(run);
        }
        // Address space is dear only where there is more of it than of what may be in it.
        let early = large.pages() < self.limit / PAGE;
        if early
            && large.grow(space, pages)
            && let Some(run) = large.take(pages)
        {
            return Ok(run);
        }
        // Runs of the two kinds that lie side by side are one when both are clean.
        self.release_large_runs(space, large, u64::MAX);
        if let Some(run) = large.take(pages) {
            return Ok(run);
        }
        if !large.grow(space, pages) {
            // At its most it is the limit's doing.
            let most = space.large_length() == space.large_room();
            return Err(if most {
                FullCause::Limit
            } else {
                FullCause::System
            });
        }
        large.take(pages).ok_or(FullCause::Limit)
    }

    /// Keeps what the system backs below the limit: free memory of one kind makes room for the
    /// other.
    fn trim(&self, space: &Space, reserve: &mut Reserve) {
        let too_much = || (self.backed.load(Ordering::Relaxed)).saturating_sub(self.limit);
        let pages = too_much().div_ceil(large_charge(1));
        if pages > 0 {
            let released = reserve.large.release_some(space, pages);
            (self.backed).fetch_sub(large_charge(released), Ordering::Relaxed);
        }
        while too_much() > 0 && self.release_free_block(space, reserve) {}
    }

    /// Gives the free block that would be used last back to the system.
    fn release_free_block(&self, space: &Space, reserve: &mut Reserve) -> bool {
        let Some(block) = self.free.take_first() else {
            return false;
        };
        // SAFETY: a free block holds no object, and this one is in no list any more.
        unsafe { space.release_block(block) };
        reserve.block_backed[block as usize] = 0;
        reserve.links.push(&mut reserve.released, block, 0);
        self.backed.fetch_sub(BLOCK_CHARGE, Ordering::Relaxed);
        true
    }

    /// Gives the free runs of the large-object space that were freed before `stage` back to the
    /// system.
    fn release_large_runs(&self, space: &Space, large: &mut LargeSpace, stage: u64) {
        let pages = large.release_before(space, stage);
        (self.backed).fetch_sub(large_charge(pages), Ordering::Relaxed);
    }

    /// Bytes of the list of large objects.
    pub(crate) fn footprint(&self) -> usize {
        self.reserve().large.objects.capacity() * size_of::<LargeObject>()
    }

    /// How many blocks have ever been used: those with a lower index.
    pub(crate) fn used_blocks(&self) -> usize {
        self.reserve().fresh as usize
    }

    /// Calls `f` with each block that has been handed out since the last pause. The world is
    /// stopped.
    pub(crate) fn for_each_handed_out(&self, mut f: impl FnMut(BlockIndex)) {
        self.recyclable.for_each_taken(&mut f);
        self.free.for_each_taken(&mut f);
        self.reserve().taken.iter().copied().for_each(f);
    }

    /// Before a major collection clears the marks: notes what it takes to say how much of what is
    /// new will have survived. The world is stopped.
    pub(crate) fn sample_what_is_new(&self, space: &Space) {
        let mut guard = self.reserve();
        let Reserve {
            survival, taken, ..
        } = &mut *guard;
        survival.begin(space, |f| {
            self.recyclable.for_each_taken(&mut *f);
            self.free.for_each_taken(&mut *f);
            taken.iter().copied().for_each(f);
        });
    }

    /// Rebuilds the supply from what marking found. Blocks with fewer than `minimum` free granules
    /// count as full and are not searched. After a minor collection only the blocks that have been
    /// handed out since the last one are looked at: nothing has died, been born or been found
    /// elsewhere.
    ///
    /// The world is stopped, marking is complete, and all buffers are retired.
    pub(crate) fn reclaim(&self, space: &Space, extent: Extent, minimum: usize) -> Reclaimed {
        let mut guard = self.reserve();
        let reserve = &mut *guard;
        reserve.ageing.note_unused(self.free.len());
        reserve.returned = Chain::default();
        reserve.narrow = Chain::default();
        self.returned.store(0, Ordering::Relaxed);
        self.narrow.store(0, Ordering::Relaxed);

        let survived = reserve.survival.end(space);
        let (freed_pages, large_survived) =
            (reserve.large).reclaim(space, extent, reserve.ageing.stage);
        let large_pages = self.large_pages.fetch_sub(freed_pages, Ordering::Relaxed) - freed_pages;
        // Every block that is looked at is counted again.
        let mut charged;

        let scratch = &mut reserve.scratch;
        scratch.clear();
        match extent {
            Extent::Whole => {
                self.recyclable.clear();
                self.free.clear();
                // Backwards, because the lists are used from their ends: the lowest addresses
                // first.
                (0..reserve.fresh)
                    .rev()
                    .for_each(|block| scratch.push(block));
                charged = large_charge(large_pages);
                reserve.block_live[..reserve.fresh as usize].fill(0);
                reserve.live = 0;
                reserve.holes = 0;
            }
            Extent::Young => {
                // In the order in which they were taken, so that the last, whose lines are in the
                // cache, is the next again.
                self.recyclable.for_each_taken(|block| {
                    reserve.holes -= free_bytes(reserve.block_live[block as usize]);
                    scratch.push(block);
                });
                self.free.for_each_taken(|block| scratch.push(block));
                reserve.taken.iter().for_each(|&block| scratch.push(block));
                charged = self.charged.load(Ordering::Relaxed)
                    - large_charge(freed_pages)
                    - scratch.len() * BLOCK_CHARGE;
                self.recyclable.settle();
                self.free.settle();
            }
        }
        reserve.taken.clear();
        for &index in scratch.iter() {
            let live = space.live_granules(index) as u32;
            let before = std::mem::replace(&mut reserve.block_live[index as usize], live);
            reserve.live += (live - before) as usize;
            if live > 0 {
                charged += BLOCK_CHARGE;
                if GRANULES_PER_BLOCK - live as usize >= minimum {
                    self.recyclable.push(index);
                    reserve.holes += free_bytes(live);
                }
            } else if reserve.block_backed[index as usize] == 1 {
                self.free.push(index);
            }
        }
        self.charged.store(charged, Ordering::Relaxed);
        Reclaimed {
            live: reserve.live * GRANULE + reserve.large.live,
            occupied: charged,
            holes: reserve.holes,
            survived: survived + large_survived,
        }
    }

    /// Gives memory that has not been needed for long back to the system. `now` is in nanoseconds
    /// since the heap was made. The world is stopped and the supply has just been rebuilt.
    pub(crate) fn age(&self, space: &Space, now: u64) {
        let mut guard = self.reserve();
        let reserve = &mut *guard;
        let Some(unused) = reserve.ageing.advance(now) else {
            return;
        };
        for _ in 0..unused {
            if !self.release_free_block(space, reserve) {
                break;
            }
        }
        // The world is stopped: what was taken at the bottom is not a mutator's.
        self.free.settle();
        let stage = (reserve.ageing.stage + 1).saturating_sub(Ageing::STAGES as u64);
        self.release_large_runs(space, &mut reserve.large, stage);
    }

    /// Calls `f` with each large object and the bytes of its run of pages.
    pub(crate) fn for_each_large(&self, mut f: impl FnMut(Object, usize)) {
        for run in &self.reserve().large.objects {
            f(run.object, run.pages * PAGE);
        }
    }
}

/// At most how many bytes a block has to hand out from a granule on; never more from a later one.
fn left_over(space: &Space, block: BlockIndex, granule: usize) -> usize {
    free_bytes(space.live_granules(block) as u32).min((GRANULES_PER_BLOCK - granule) * GRANULE)
}

/// Bytes of a block that are not live.
fn free_bytes(live_granules: u32) -> usize {
    (GRANULES_PER_BLOCK - live_granules as usize) * GRANULE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_blocks_and_their_metadata() {
        for more in [0, BLOCK_CHARGE / 2, BLOCK_CHARGE - 1] {
            let limit = 10 * BLOCK_CHARGE + more;
            let space = Space::new(limit).unwrap();
            let supply = Supply::new(&space, limit, None).unwrap();
            assert_eq!(std::iter::from_fn(|| supply.take_free(&space)).count(), 10);
            assert_eq!(supply.usage().occupied, 10 * BLOCK_CHARGE);
        }
    }

    /// As when it was taken in a pause, before the allowance was set anew.
    #[test]
    fn a_block_put_back_late_raises_no_allowance() {
        let space = Space::new(1 << 20).unwrap();
        let supply = Supply::new(&space, 1 << 20, None).unwrap();
        for allowance in [1 << 16, usize::MAX] {
            let block = supply.take_free(&space).unwrap();
            supply.set_allowance(allowance);
            supply.put_back(&space, block, 0);
            assert_eq!(supply.handed_out(), 0);
            assert!(supply.take_free(&space).is_some());
        }
    }

    /// A collection finds out anew which blocks have holes.
    #[test]
    fn what_was_put_back_before_a_collection_is_forgotten() {
        let limit = 1 << 20;
        let space = Space::new(limit).unwrap();
        let supply = Supply::new(&space, limit, None).unwrap();
        let [full, narrow] = [(); 2].map(|()| supply.take_free(&space).unwrap());
        supply.put_back(&space, full, 1);
        supply.put_back_narrow(&space, narrow, 0);
        supply.reclaim(&space, Extent::Whole, 1);
        let block = supply.take_free(&space).unwrap();
        supply.put_back(&space, block, 2);
        assert_eq!(supply.take_returned(&space), Some((block, 2)));
        assert_eq!(supply.take_returned(&space), None);
        assert_eq!(supply.take_narrow(&space), None);
    }

    #[test]
    fn backed_and_unbacked_runs_side_by_side_hold_one_large_object() {
        let limit = 1 << 20;
        let space = Space::new(limit).unwrap();
        let supply = Supply::new(&space, limit, None).unwrap();
        let start = {
            let large = &mut supply.reserve().large;
            assert!(large.grow(&space, 1));
            let pages = large.pages();
            assert!(large.take(pages - 16).is_some() && large.take(8).is_some());
            large.free(pages - 16, 8, 0);
            supply.backed.store(large_charge(8), Ordering::Relaxed);
            (pages - 16) * PAGE
        };
        let memory = supply.take_large(&space, 16 * PAGE).unwrap();
        let offset = memory.start.addr().get() - space.large_start().addr().get();
        assert_eq!(offset, start);
        assert!(memory.zeroed);
        assert_eq!(supply.usage().backed, large_charge(16));
    }
}
