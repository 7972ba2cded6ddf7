//! Asking the cache for what comes next.
//!
//! An examination of an object reads its header and fields, and a side byte for each reference.
//! Where objects lie as they were made, each of these is in the cache or next to what is, and an
//! examination takes 3 to 5 ns. In a heap whose objects were replaced at random for a while each of
//! them is a miss, and takes a hundred times as long: unless the misses overlap. So a walk over
//! *scattered* candidates asks for what it will need in stages, each [`IN_FLIGHT`] objects ahead of
//! the next: the header first, and then, once that can be read, what the fields lead to.
//!
//! The same costs a fifth where everything is in the cache already. So each collection of many
//! blocks looks at a sample of its candidates first: at how many of the cells in their stretches
//! are candidates, and at how far their references lead. The answer is a property of the heap
//! alone, so that a program collects alike each time it runs; what is found is the same either way.
//!
//! Rejected: timing collections, and doing what was faster. On a machine that is shared it learns
//! from others' noise.

use std::cell::Cell;

use crate::block::{BLOCK_BYTES, Block, side_byte};
use crate::cycle::{bits, is_candidate, is_tracked_object};
use crate::object::{Object, prefetch};

/// How many objects a stage is ahead of the next.
pub(crate) const IN_FLIGHT: usize = 16;
/// With candidates in fewer blocks the caches hold what a collection needs, and sampling would take
/// longer than it saves.
pub(crate) const FEW_BLOCKS: usize = 64;
/// Objects, or blocks, that are looked at to decide.
pub(crate) const SAMPLE: usize = 32;
/// References that lead less far stay within what a walk has in the cache anyway.
const NEAR: usize = 4 * BLOCK_BYTES;
/// Fields of one object that are asked for: more would drive each other out.
const FIELDS: usize = 8;

/// Whether a quarter of what these objects refer to lies far from them.
pub(crate) fn lead_far(objects: impl Iterator<Item = Object>) -> bool {
    let (mut near, mut far) = (0, 0);
    for object in objects.filter(|&object| is_tracked_object(object)) {
        let fields = object.fields().iter().take(FIELDS);
        for child in fields.filter_map(Cell::get) {
            if object.address().abs_diff(child.address()) < NEAR {
                near += 1;
            } else {
                far += 1;
            }
        }
    }
    far > 0 && 3 * far >= near
}

/// Whether candidates in so many stretches of blocks are scattered: few among the cells there, or
/// their references lead far.
pub(crate) fn are_scattered(blocks: &[(Block, u64)]) -> bool {
    if blocks.len() < FEW_BLOCKS {
        return false;
    }
    let (mut cells, mut candidates) = (0, 0);
    let sample = blocks.iter().step_by(blocks.len() / SAMPLE);
    let far = lead_far(sample.flat_map(|&(block, stretches)| {
        let stretch = bits(stretches).next();
        let mut first = None;
        for cell in stretch
            .into_iter()
            .flat_map(|stretch| block.cells_in(stretch))
        {
            cells += 1;
            if is_candidate(side_byte(cell).get()) {
                candidates += 1;
                first = first.or(Some(cell));
            }
        }
        first
    }));
    far || 4 * candidates < cells
}

/// Asks for what the objects that follow `index` in a list will need: their side bytes and headers,
/// and what they refer to: the side bytes of that, and its headers too if `HEADERS`.
#[inline(always)]
pub(crate) fn ask_ahead<const HEADERS: bool>(objects: &[Object], index: usize) {
    if let Some(&object) = objects.get(index + 2 * IN_FLIGHT) {
        prefetch(side_byte(object).as_ptr());
        object.prefetch();
    }
    if let Some(&object) = objects.get(index + IN_FLIGHT) {
        ask_for_children::<HEADERS>(object);
    }
}

/// Asks for what a tracked object refers to.
#[inline(always)]
pub(crate) fn ask_for_children<const HEADERS: bool>(object: Object) {
    for child in object.fields().iter().take(FIELDS).filter_map(Cell::get) {
        prefetch(side_byte(child).as_ptr());
        if HEADERS {
            child.prefetch();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Flags, Heap};

    /// Whether the blocks of a heap are scattered after `number` objects were made, each of which
    /// refers to the one before it, or to one `far` away.
    fn scattered(number: u32, far: bool) -> bool {
        let heap = Heap::builder().thresholds([0, 0, 0]).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [table, last]| {
                m.alloc(table, crate::Shape::new(number, 0)).unwrap();
                for index in 0..number {
                    if far {
                        let other = (index as usize * 7_919) % number as usize;
                        let table = m.get(table).unwrap();
                        m.set(last, m.load(table, other));
                    }
                    m.alloc_init(last, Flags::NONE, [last], []).unwrap();
                    let table = m.get(table).unwrap();
                    m.store(table, index as usize, m.get(last));
                }
                let all = m.locked();
                let blocks = all.allocator.blocks();
                let blocks = blocks.iter().map(|&block| (block, block.stretches()));
                are_scattered(&blocks.collect::<Vec<_>>())
            })
        })
    }

    #[test]
    #[cfg_attr(miri, ignore = "makes 600,000 objects")]
    fn a_list_is_not_scattered_and_a_shuffled_graph_is() {
        assert!(!scattered(300_000, false));
        assert!(scattered(300_000, true));
        assert!(!scattered(10_000, true), "it fits a cache");
    }
}
