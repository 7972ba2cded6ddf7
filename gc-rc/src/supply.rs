//! Blocks from the system and back to it.
//!
//! Chunks are indexed twice by their longest run ([`Runs`]): of *unused* blocks, and of *spare*
//! ones, unused blocks that have memory of the system. A run is taken from the chunk whose longest
//! is the shortest that will do (best fit), among the spare first.
//!
//! # Release
//!
//! A block that nothing uses is kept for a while: what has just been needed is soon needed again,
//! and memory that comes fresh from the system costs its first touch. [`Supply::age`] releases the
//! blocks that were unused the whole time since it was called before, and chunks without any block.
//!
//! Objects of many sizes leave holes that the next one does not fit, and a run that is fresh is
//! backed beside those that are spare. So whenever more is taken, spare blocks go back until
//! committed memory is within its bound ([`Counters::excess`]): the limit, and not much more than
//! was ever occupied. What that costs is in proportion to what is taken. Addresses are not bounded
//! by it: a chunk stays for as long as one of its blocks is in use.
//!
//! **Invariant.** `spare` is the number of all spare blocks, and the indexes know every chunk but
//! those of one object.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use crate::block::{ALL_BLOCKS, BLOCK_BYTES, BLOCK_COST, Block, CHUNK_BYTES, Chunk, SIDE_BYTES};
use crate::full::FullCause;
use crate::os;
use crate::room;
use crate::runs::{Runs, first_run, run};
use crate::statistics::Counters;

/// Bytes of free addresses that are looked for before the first chunk is mapped.
const CHUNKS_RANGE: usize = 16 << 30;

/// The chunks of a heap.
pub(crate) struct Supply {
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
}

impl Supply {
    pub(crate) fn new() -> Self {
        Self {
            chunks: RefCell::default(),
            hint: Cell::new(0),
            unused_runs: Runs::new(0),
            spare_runs: Runs::new(1),
            spare: Cell::new(0),
        }
    }

    /// An unused block.
    pub(crate) fn new_block(&self, counters: &Counters) -> Result<Block, FullCause> {
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
    pub(crate) fn take_run(&self, blocks: usize, counters: &Counters) -> Option<(Block, u64)> {
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
            self.hint.set(os::free_address(CHUNKS_RANGE, CHUNK_BYTES));
        }
        let chunk = Chunk::map(CHUNK_BYTES, self.hint.get()).or_else(|| {
            self.age(counters, true);
            Chunk::map(CHUNK_BYTES, 0)
        })?;
        self.hint.set(chunk.start().as_ptr() as usize + CHUNK_BYTES);
        chunk.header().unused.set(ALL_BLOCKS);
        self.chunks.borrow_mut().push(chunk);
        self.spare_changed(chunk, 0, counters);
        Some(chunk)
    }

    /// Makes blocks unused: none of their cells is an object, and no list of the cycle collector
    /// names them or one of these.
    pub(crate) fn give_run(&self, block: Block, blocks: usize, counters: &Counters, cost: usize) {
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
            os::discard(cells, blocks * BLOCK_BYTES) && {
                os::discard(side, blocks * SIDE_BYTES);
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

    /// Whether there are unused blocks whose memory is still there.
    pub(crate) fn has_spare_blocks(&self) -> bool {
        self.spare.get() > 0
    }

    /// Releases to the system the memory of blocks that have been unused since the last call but
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

    /// Gives back room of the list of chunks that is out of proportion.
    pub(crate) fn fit(&self) {
        let mut chunks = self.chunks.borrow_mut();
        let mapped = chunks.len();
        room::fit(&mut *chunks, mapped);
    }
}

impl Drop for Supply {
    fn drop(&mut self) {
        for chunk in self.chunks.take() {
            // SAFETY: the heap is going away: nothing refers to its objects any more.
            unsafe { chunk.unmap() };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::block::BLOCK_BYTES;
    use crate::{Cycle, Flags, Heap, Local, Mutator};

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
            .release_after(None)
            .poison(true)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [list]| {
                // In blocks, because tables outside of them come and go.
                let committed = || heap.statistics().committed_bytes / BLOCK_BYTES as u64;
                let age = |m: &Mutator<'_>| {
                    let locked = m.locked();
                    let supply = &locked.allocator.supply;
                    supply.age(&locked.inner.counters, false);
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
