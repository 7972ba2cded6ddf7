//! Sweeping: finding the memory that marking did not reach.
//!
//! There is no sweep phase. Within a pause only the per-block counts of live granules are looked at
//! (in [`Supply::reclaim`](crate::supply::Supply::reclaim)): a block without any is free as a
//! whole, one with hardly a free granule is full, and neither is ever searched. The others are
//! swept by the mutator that allocates from them, hole by hole, when it needs the memory, which
//! then comes into its cache just before it is used (lazy sweeping: Hughes 1982; in Whippet's form:
//! the search for the next hole *is* the sweep).
//!
//! A block that nobody has asked for when the next collection begins is simply never swept: a sweep
//! changes nothing, so there is nothing to be done.

use std::ptr::NonNull;

use crate::block::{BlockIndex, BlockMarks, GRANULES_PER_BLOCK, GRANULES_PER_WORD, Space};
use crate::object::GRANULE;

/// A run of free granules in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) start: NonNull<u8>,
    /// In bytes.
    pub(crate) length: usize,
    /// The granule of the block after the hole.
    pub(crate) end: usize,
}

impl Space {
    /// The first hole of the block at or after `granule` of at least `minimum` bytes.
    pub(crate) fn next_hole(
        &self,
        block: BlockIndex,
        granule: usize,
        minimum: usize,
    ) -> Option<Hole> {
        let marks = self.block_marks(block);
        let mut from = granule;
        loop {
            from = find(marks, from, false)?;
            let end = find(marks, from, true).unwrap_or(GRANULES_PER_BLOCK);
            let length = (end - from) * GRANULE;
            if length >= minimum {
                // SAFETY: within the block.
                let start = unsafe { self.block_start(block).add(from * GRANULE) };
                return Some(Hole { start, length, end });
            }
            from = end;
        }
    }
}

/// The first granule at or after `from` that is marked, or that is not.
#[inline(always)]
fn find(marks: &BlockMarks, from: usize, marked: bool) -> Option<usize> {
    let unwanted = if marked { 0 } else { !0 };
    let mut index = from / GRANULES_PER_WORD;
    let mut wanted = (marks.get(index)? ^ unwanted) & !0 << (from % GRANULES_PER_WORD);
    while wanted == 0 {
        index += 1;
        wanted = marks.get(index)? ^ unwanted;
    }
    Some(index * GRANULES_PER_WORD + wanted.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::MarkTable;
    use crate::object::Object;

    fn object(space: &Space, granule: usize) -> Object {
        let address = space
            .block_start(0)
            .as_ptr()
            .wrapping_add(granule * GRANULE);
        Object::from_raw(address.cast()).unwrap()
    }

    unsafe fn mark(table: MarkTable, object: Object, granules: usize) {
        // SAFETY: passed on; the test is alone.
        unsafe {
            for first in [true, false] {
                let marked = if granules <= MarkTable::COMMON {
                    table.mark(object, granules, true)
                } else {
                    table.mark_medium(object, granules, true)
                };
                assert_eq!(marked, first);
            }
        }
    }

    /// Of one round's marks the next must find nothing.
    #[test]
    fn holes_are_the_runs_between_marked_objects() {
        let space = Space::new(1 << 20).unwrap();
        for round in 0..6 {
            // SAFETY: the test is alone.
            let table = unsafe { space.begin_marking(1, false) };
            let shift = round % 3;
            for (granule, granules) in [(shift, 2), (40, 1), (41, 7), (100, 16), (200, 300)] {
                // SAFETY: marking touches side metadata only.
                unsafe { mark(table, object(&space, granule), granules) };
            }
            let mut holes = Vec::new();
            let mut granule = 0;
            while let Some(hole) = space.next_hole(0, granule, GRANULE) {
                let start = (hole.start.addr().get() - space.block_start(0).addr().get()) / GRANULE;
                assert_eq!(start + hole.length / GRANULE, hole.end);
                holes.push((start, hole.end));
                granule = hole.end;
            }
            let mut expected = vec![
                (2 + shift, 40),
                (48, 100),
                (116, 200),
                (500, GRANULES_PER_BLOCK),
            ];
            if shift > 0 {
                expected.insert(0, (0, shift));
            }
            assert_eq!(holes, expected, "in round {round}");
            assert_eq!(space.live_granules(0), 2 + 1 + 7 + 16 + 300);
            assert_eq!(space.count_marked(0), 2 + 1 + 7 + 16 + 300);
        }
    }

    #[test]
    fn a_hole_too_small_is_skipped() {
        let space = Space::new(1 << 20).unwrap();
        // SAFETY: the test is alone.
        let table = unsafe { space.begin_marking(1, false) };
        // SAFETY: marking touches side metadata only.
        unsafe {
            mark(table, object(&space, 0), 1);
            mark(table, object(&space, 3), 1);
        }
        let hole = space.next_hole(0, 0, 48).unwrap();
        assert_eq!(hole.start.addr().get(), object(&space, 4).address());
    }
}
