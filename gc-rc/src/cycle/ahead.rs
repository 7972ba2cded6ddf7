//! Asking the cache for what comes next.
//!
//! An examination of an object reads its header and fields, and a side byte for each reference.
//! Where objects lie as they were made, each of these is in the cache or next to what is, and an
//! examination takes 3 to 5 ns. In a heap whose objects were replaced at random for a while each of
//! them is a miss, and takes a hundred times as long: unless the misses overlap. So a walk over
//! *scattered* candidates asks for what it will need in stages, each [`IN_FLIGHT`] objects ahead of
//! the next: the header first, and then, once that can be read, what the fields lead to.
//!
//! Where candidates are *sparse*, few among the cells around them, to find them takes as long as to
//! examine them. They are found once, and listed; where they are many, of which most heaps have
//! some in every line of memory, a list would be one more thing to read.
//!
//! Both cost time where everything is in the cache already. So each collection of many blocks looks
//! at a sample of its candidates first: at how many of the cells in their stretches are candidates,
//! and at how far their references lead ([`Spread`]). The answer is a property of the heap alone,
//! so that a program collects alike each time it runs; what is found is the same either way.
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

/// How candidates lie in their blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spread {
    /// As they were made, one beside the other.
    Dense,
    /// Their references lead far.
    Far,
    /// They are few among the cells there.
    Sparse,
}

/// How the candidates in so many stretches of blocks lie.
pub(crate) fn spread_of(blocks: &[(Block, u64)]) -> Spread {
    if blocks.len() < FEW_BLOCKS {
        return Spread::Dense;
    }
    sample(blocks)
}

/// As [`spread_of`], however few the blocks are, for those who want to ask ahead in any case.
pub(crate) fn spread_if_asked(blocks: &[(Block, u64)]) -> Spread {
    match sample(blocks) {
        Spread::Dense => Spread::Far,
        other => other,
    }
}

fn sample(blocks: &[(Block, u64)]) -> Spread {
    let (mut cells, mut candidates) = (0, 0);
    let sample = blocks.iter().step_by((blocks.len() / SAMPLE).max(1));
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
    if 4 * candidates < cells {
        Spread::Sparse
    } else if far {
        Spread::Far
    } else {
        Spread::Dense
    }
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
    use crate::cycle::OLD;
    use crate::{Flags, Heap};

    /// How the objects of a heap lie after `number` of them were made, each of which refers to the
    /// one before it, or to one `far` away. One in `kept` is there.
    fn spread(number: u32, far: bool, kept: usize) -> Spread {
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
                for block in blocks.iter() {
                    for (index, cell) in block.cells().enumerate() {
                        if index % kept != 0 {
                            side_byte(cell).set(OLD);
                        }
                    }
                }
                let blocks = blocks.iter().map(|&block| (block, block.stretches()));
                spread_of(&blocks.collect::<Vec<_>>())
            })
        })
    }

    #[test]
    #[cfg_attr(miri, ignore = "makes 900,000 objects")]
    fn a_list_is_dense_and_a_shuffled_graph_leads_far() {
        assert_eq!(spread(300_000, false, 1), Spread::Dense);
        assert_eq!(spread(300_000, true, 1), Spread::Far);
        assert_eq!(spread(300_000, true, 5), Spread::Sparse);
        assert_eq!(spread(10_000, true, 5), Spread::Dense, "it fits a cache");
    }
}
