//! How much of what is new survives a major collection, as [`crate::policy`] wants to know.
//!
//! A major collection clears the marks that tell new from old. So before it does, the marks of some
//! of the blocks that have been handed out since the last collection are copied: one of each
//! stretch of so many in the order in which they were taken, so that no phase of the program is
//! left out. What is marked there afterwards and was not before is new. The share of those blocks'
//! free memory that it takes is taken for that of all.
//!
//! Which one of a stretch differs from one to the next: a program that makes what stays and what
//! goes in turns, a block or a few of each, would be seen in one of its halves alone.
//!
//! Rejected: a second table (as much memory again as the marks, and as much to read); a bit in the
//! header that says that an object is old (marking writes to each survivor).

use crate::block::{BlockIndex, BlockMarks, GRANULES_PER_BLOCK, Space, count};
use crate::object::GRANULE;

/// The most blocks looked at.
const MOST: usize = 64;

/// The estimate of one heap, and the memory that it takes: 33 KiB.
pub(crate) struct Survival {
    /// Of each block that is looked at: its marks before.
    sample: Vec<(BlockIndex, BlockMarks)>,
    /// Granules that were not live in the blocks that have been handed out, and in those that are
    /// looked at.
    room: usize,
    room_in_sample: usize,
}

impl Survival {
    /// `None` if there is no memory for it.
    pub(crate) fn new() -> Option<Self> {
        let mut sample = Vec::new();
        sample.try_reserve_exact(MOST).ok()?;
        Some(Self {
            sample,
            room: 0,
            room_in_sample: 0,
        })
    }

    /// Takes the sample, when marks are about to be cleared. `for_each` calls what it is given with
    /// each block that has been handed out since the last collection. The world is stopped.
    pub(crate) fn begin(&mut self, space: &Space, for_each: impl Fn(&mut dyn FnMut(BlockIndex))) {
        let room = |block| GRANULES_PER_BLOCK - space.live_granules(block);
        let mut blocks = 0_usize;
        self.room = 0;
        for_each(&mut |block| {
            blocks += 1;
            self.room += room(block);
        });
        self.sample.clear();
        self.room_in_sample = 0;
        let apart = blocks.div_ceil(MOST);
        let mut index = 0;
        for_each(&mut |block| {
            if index % apart == place(index / apart, apart.min(blocks - index / apart * apart)) {
                self.sample.push((block, *space.block_marks(block)));
                self.room_in_sample += room(block);
            }
            index += 1;
        });
    }

    /// Bytes of small objects that had been allocated since the last collection and are marked. If
    /// there was no [beginning](Self::begin), 0.
    pub(crate) fn end(&mut self, space: &Space) -> usize {
        let mut survived = 0;
        for (block, before) in self.sample.drain(..) {
            let now = space.block_marks(block);
            let new: BlockMarks = std::array::from_fn(|word| now[word] & !before[word]);
            survived += count(&new);
        }
        let share = survived as f64 / self.room_in_sample.max(1) as f64;
        (share * self.room as f64) as usize * GRANULE
    }
}

/// Which of the blocks of a stretch, of which there are `length`, is looked at: the golden ratio's
/// multiples, which lie as evenly as can be and come back nowhere (Weyl's sequence).
fn place(stretch: usize, length: usize) -> usize {
    const GOLDEN: u32 = 0x9e37_79b9;
    let fraction = GOLDEN.wrapping_mul(stretch as u32).wrapping_add(1 << 31);
    ((u64::from(fraction) * length as u64) >> u32::BITS) as usize
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::object::Object;

    /// In each of so many blocks, 1000 granules are old, of which 400 die, and of what is new 300
    /// live, but for every third block, where none does.
    #[test]
    fn what_is_new_is_told_from_what_is_old() {
        let blocks: &[usize] = match cfg!(miri) {
            true => &[1],
            false => &[1, 2, 63, 64, 65, 500],
        };
        for &blocks in blocks {
            let space = Space::new(blocks * crate::block::BLOCK).unwrap();
            let mark = |table: crate::block::MarkTable, block, from, until| {
                for granule in from..until {
                    let start = space.block_start(block).as_ptr();
                    let object = Object::from_raw(start.wrapping_add(granule * GRANULE).cast());
                    // SAFETY: marking touches side metadata only, and the test is alone.
                    assert!(unsafe { table.mark(object.unwrap(), 1, true) });
                }
            };
            let all = |f: &mut dyn FnMut(BlockIndex)| (0..blocks as BlockIndex).for_each(f);
            let mut survival = Survival::new().unwrap();
            // SAFETY: the test is alone.
            let table = unsafe { space.begin_marking(blocks, false) };
            all(&mut |block| mark(table, block, 0, 1000));
            survival.begin(&space, all);
            // SAFETY: as above.
            let table = unsafe { space.begin_marking(blocks, false) };
            let mut expected = 0;
            all(&mut |block| {
                mark(table, block, 400, 1000);
                if block % 3 != 2 {
                    mark(table, block, 2000, 2300);
                    expected += 300 * GRANULE;
                }
            });
            let estimate = survival.end(&space);
            assert!(
                estimate.abs_diff(expected) <= expected / 8,
                "{estimate} for {expected} in {blocks} blocks"
            );
            assert_eq!(survival.end(&space), 0, "the sample is used up");
        }
    }

    /// What stays and what goes in turns, so many blocks of each.
    #[test]
    #[cfg_attr(miri, ignore = "marks many blocks")]
    fn turns_are_not_mistaken_for_one_half_of_them() {
        const BLOCKS: usize = 512;
        let space = Space::new(BLOCKS * crate::block::BLOCK).unwrap();
        let all = |f: &mut dyn FnMut(BlockIndex)| (0..BLOCKS as BlockIndex).for_each(f);
        let mut survival = Survival::new().unwrap();
        for turn in [1, 2, 4, 8, 16, 32] {
            // SAFETY: the test is alone.
            unsafe { space.begin_marking(BLOCKS, false) };
            survival.begin(&space, all);
            // SAFETY: as above.
            let table = unsafe { space.begin_marking(BLOCKS, false) };
            for block in (0..BLOCKS).filter(|block| block / turn % 2 == 0) {
                let start = space.block_start(block as BlockIndex).as_ptr();
                let object = Object::from_raw(start.cast()).unwrap();
                // SAFETY: marking touches side metadata only.
                assert!(unsafe { table.mark_medium(object, 1000, true) });
            }
            let expected = BLOCKS / 2 * 1000 * GRANULE;
            let estimate = survival.end(&space);
            assert!(
                estimate.abs_diff(expected) <= expected / 4,
                "{estimate} for {expected} in turns of {turn}"
            );
        }
    }
}
