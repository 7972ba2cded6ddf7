//! Large objects: what does not fit half a block takes a run of whole blocks, within a chunk if it
//! can, else in a longer chunk of its own.
//!
//! They are listed in one vector a generation, where they know their index.

use std::cell::RefCell;

use crate::alloc::{LARGE, occupied_by};
use crate::block::{
    BLOCK_BYTES, BLOCK_METADATA, Block, CELL_BLOCKS, Chunk, FIRST_BLOCK, side_byte,
};
use crate::full::FullCause;
use crate::object::{Object, tag};
use crate::os;
use crate::room;
use crate::statistics::Counters;
use crate::supply::Supply;

/// The list of large objects that are in no generation.
pub(crate) const UNTRACKED: usize = 3;

/// The large objects of a heap.
#[derive(Default)]
pub(crate) struct LargeObjects {
    /// By generation; the last are the untracked ones ([`UNTRACKED`]).
    lists: [RefCell<Vec<Object>>; UNTRACKED + 1],
}

impl LargeObjects {
    /// Memory for an object of `bytes` that is too large for a cell, zeroed but for its head's tag,
    /// which gets the bits `birth`; not yet listed.
    pub(crate) fn obtain(
        &self,
        bytes: usize,
        birth: u64,
        supply: &Supply,
        counters: &Counters,
    ) -> Result<Object, FullCause> {
        let (blocks, cost) = (bytes.div_ceil(BLOCK_BYTES), occupied_by(bytes));
        if !counters.charge(cost) {
            return Err(FullCause::Limit);
        }
        let taken = if blocks <= CELL_BLOCKS {
            supply.take_run(blocks, counters)
        } else {
            let size = (FIRST_BLOCK + blocks) * BLOCK_BYTES;
            let chunk = Chunk::map(size, 0).or_else(|| {
                supply.age(counters, true);
                Chunk::map(size, 0)
            });
            supply.keep_within_bound(counters);
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
        object.set_head(LARGE as u64 | birth | tag::IN_YOUNG);
        Ok(object)
    }

    /// Frees an object, whose blocks become unused.
    #[cold]
    #[inline(never)]
    pub(crate) fn free(&self, object: Object, supply: &Supply, counters: &Counters) {
        self.unlist(object);
        side_byte(object).set(0);
        let block = Block::of(object);
        let blocks = block.header().blocks.get();
        let cost = Self::cost(object);
        if blocks <= CELL_BLOCKS {
            supply.give_run(block, blocks, counters, cost);
        } else {
            let chunk = block.chunk();
            let bytes = chunk.header().bytes.get();
            // SAFETY: the object had the chunk for itself; it is dead, and no list names it.
            unsafe {
                if !chunk.unmap() {
                    // The addresses are lost, the memory need not be.
                    os::discard(chunk.start(), bytes);
                }
            }
            counters.discharge(cost);
        }
    }

    /// Lists an object in a generation.
    pub(crate) fn list(&self, object: Object, generation: usize) {
        let mut list = self.lists[generation].borrow_mut();
        let header = Block::of(object).header();
        header.index.set(list.len());
        header.generation.set(generation as u8);
        list.push(object);
    }

    fn unlist(&self, object: Object) {
        let header = Block::of(object).header();
        let index = header.index.get();
        let mut list = self.lists[header.generation.get() as usize].borrow_mut();
        list.swap_remove(index);
        if let Some(&moved) = list.get(index) {
            Block::of(moved).header().index.set(index);
        }
    }

    /// Moves an object to another generation.
    pub(crate) fn promote(&self, object: Object, generation: usize) {
        self.unlist(object);
        self.list(object, generation);
    }

    /// Adds the objects of a generation to a list that has room for them.
    pub(crate) fn add_all(&self, generation: usize, to: &mut Vec<Object>) {
        to.extend_from_slice(&self.lists[generation].borrow());
    }

    /// The objects of a generation.
    pub(crate) fn of(&self, generation: usize) -> Vec<Object> {
        self.lists[generation].borrow().clone()
    }

    /// All objects, of any generation and of none.
    pub(crate) fn len(&self) -> usize {
        self.lists.iter().map(|list| list.borrow().len()).sum()
    }

    /// What an object takes of the limit.
    pub(crate) fn cost(object: Object) -> usize {
        Block::of(object).header().blocks.get() * BLOCK_BYTES + BLOCK_METADATA
    }

    /// Calls `f` with all objects of whose tags the bits `mask` are `bits`, until it returns false.
    /// It may free objects.
    pub(crate) fn each_tagged(&self, mask: u64, bits: u64, mut f: impl FnMut(Object) -> bool) {
        for list in &self.lists {
            // From the end: what is freed has its place taken by the last, which has been visited,
            // or is below.
            let mut rest = list.borrow().len();
            while rest > 0 {
                rest = (rest - 1).min(list.borrow().len());
                let object = { list.borrow().get(rest).copied() };
                if let Some(object) = object
                    && object.marks() & mask == bits
                    && !f(object)
                {
                    return;
                }
            }
        }
    }

    /// Sees to it that one more object can be listed, in any generation. Returns whether there was
    /// memory for that.
    pub(crate) fn set_aside(&self) -> bool {
        let objects = self.len();
        (self.lists.iter()).all(|list| room::set_aside(&mut *list.borrow_mut(), objects + 1))
    }

    /// Gives back room of the lists that is out of proportion.
    pub(crate) fn fit(&self) {
        let objects = self.len();
        for list in &self.lists {
            room::fit(&mut *list.borrow_mut(), objects);
        }
    }
}

impl Drop for LargeObjects {
    fn drop(&mut self) {
        for object in self.lists.iter().flat_map(RefCell::take) {
            let block = Block::of(object);
            if block.header().blocks.get() > CELL_BLOCKS {
                // SAFETY: the heap is going away: nothing refers to its objects any more.
                unsafe { block.chunk().unmap() };
            }
        }
    }
}
