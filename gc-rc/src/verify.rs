//! Verification: an independent recount of everything.
//!
//! Nothing here uses what the operations rely on to be right: live objects are found by walking
//! every block, references by walking every object, frame and table, and each object's count is
//! compared with the references that were found. A message names the first thing that is wrong.
//! Cost: a hash table entry for each object.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use crate::alloc::{Allocator, LARGE};
use crate::block::{BLOCK_COST, Block, side_byte};
use crate::cycle::{Cycle, MIDDLE, OLD, YOUNG, is_tracked_object};
use crate::heap::Locked;
use crate::large::{LargeObjects, UNTRACKED};
use crate::mutator::Roots;
use crate::object::{Object, edges, is_tracked, link, tag};

impl Locked<'_> {
    /// # Panics
    ///
    /// If an invariant of the heap does not hold.
    pub(crate) fn verify(self) {
        assert!(
            !self.has_pending(),
            "gc-rc: verify: the pending list is not empty after a drain"
        );
        assert!(
            !self.collecting.get(),
            "gc-rc: verify: a collection is going on"
        );
        let (objects, free, dead) = self.survey();
        self.verify_free_lists(&free);
        self.verify_dead(&dead);
        self.verify_counts(&objects, &dead);
        self.verify_generations(&objects, &free);
        self.verify_possible_roots(&objects, &free, &dead);
        self.verify_edges(&objects);
        self.verify_tables(&objects);
        let large: usize = (0..=UNTRACKED)
            .flat_map(|generation| self.allocator.large.of(generation))
            .map(LargeObjects::cost)
            .sum();
        let blocks = self.allocator.blocks().len() * BLOCK_COST;
        let counted = self.inner.counters.occupied_by_objects();
        assert!(
            counted == blocks + large,
            "gc-rc: verify: {counted} bytes are counted as occupied, but blocks have {blocks} and \
             large objects {large}"
        );
    }

    /// All objects, with a zero for each, all free cells, and all that are dead and wait to be
    /// freed.
    fn survey(self) -> (HashMap<Object, u64>, HashSet<Object>, HashSet<Object>) {
        let (mut objects, mut free, mut dead) = (HashMap::new(), HashSet::new(), HashSet::new());
        for block in self.allocator.blocks().iter() {
            let in_use = |byte: &&Cell<u8>| byte.get() != 0;
            let all = block.side_bytes().iter().filter(in_use).count();
            let of_cells = block.cells().map(side_byte).filter(in_use).count();
            assert!(
                all == of_cells,
                "gc-rc: verify: a block has {all} side bytes in use, but {of_cells} of cells"
            );
            for cell in block.cells() {
                assert!(
                    cell.class() == block.class(),
                    "gc-rc: verify: {cell:?} has class {} in a block of class {}",
                    cell.class(),
                    block.class()
                );
                if cell.has(tag::FREE) {
                    free.insert(cell);
                } else if cell.has(tag::DEAD) {
                    dead.insert(cell);
                } else {
                    objects.insert(cell, 0);
                }
            }
        }
        for generation in 0..=UNTRACKED {
            for object in self.allocator.large.of(generation) {
                assert!(
                    object.class() == LARGE && !object.has(tag::FREE),
                    "gc-rc: verify: {object:?} is listed as a large object and is none: {:#x}",
                    object.head()
                );
                if object.has(tag::DEAD) {
                    dead.insert(object);
                    continue;
                }
                assert!(
                    side_byte(object).get()
                        == if self.generational.is_enabled() {
                            [YOUNG, MIDDLE, OLD, 0][generation]
                        } else {
                            0
                        },
                    "gc-rc: verify: the large object {object:?} is listed in generation \
                     {generation}, but its side byte is {:#x}",
                    side_byte(object).get()
                );
                objects.insert(object, 0);
            }
        }
        for &object in objects.keys() {
            assert!(
                !object.has(tag::QUEUED),
                "gc-rc: verify: {object:?} says it is pending, but nothing is"
            );
            assert!(
                object.carry() == 0,
                "gc-rc: verify: {object:?} is locked, or has a carry left from a collection"
            );
            assert!(
                object.class() == LARGE
                    || crate::alloc::class_of(object.shape().bytes()) == object.class(),
                "gc-rc: verify: {object:?} does not fit its cell"
            );
        }
        (objects, free, dead)
    }

    /// The dead are linked, each once.
    fn verify_dead(self, dead: &HashSet<Object>) {
        let mut linked = 0;
        let mut next = self.dead.get();
        while let Some(object) = next {
            assert!(
                dead.contains(&object) && linked < dead.len(),
                "gc-rc: verify: {object:?} waits to be freed and is not dead, or does so twice"
            );
            linked += 1;
            // SAFETY: dead objects have linked heads.
            next = unsafe { link(object.head()) };
        }
        assert!(
            linked == dead.len(),
            "gc-rc: verify: {} objects are dead, but {linked} wait to be freed",
            dead.len()
        );
    }

    /// The buffer of possible roots names every cell that says so, once; without the buffer every
    /// cell says so.
    fn verify_possible_roots(
        self,
        objects: &HashMap<Object, u64>,
        free: &HashSet<Object>,
        dead: &HashSet<Object>,
    ) {
        let all = || {
            objects
                .keys()
                .chain(free)
                .chain(dead)
                .filter(|cell| cell.class() != LARGE)
        };
        if self.cycle != Cycle::BaconRajan {
            for cell in all() {
                assert!(
                    cell.has(tag::BUFFERED),
                    "gc-rc: verify: {cell:?} could become a possible root, but nothing looks at \
                     them"
                );
            }
            return;
        }
        let mut listed = HashSet::new();
        for cell in self.possible_roots.cells() {
            assert!(
                cell.has(tag::BUFFERED) && listed.insert(cell),
                "gc-rc: verify: {cell:?} is buffered as a possible root twice, or does not say so"
            );
        }
        for cell in all() {
            assert!(
                cell.has(tag::BUFFERED) == listed.contains(cell)
                    || self.possible_roots.has_overflowed(),
                "gc-rc: verify: {cell:?} says it is buffered as a possible root, and is not"
            );
            assert!(
                side_byte(*cell).get() == 0,
                "gc-rc: verify: the side byte of {cell:?} is left from a collection"
            );
        }
    }

    fn verify_free_lists(self, free: &HashSet<Object>) {
        let mut listed = HashSet::new();
        for class in 0..Allocator::classes() {
            for cell in self.allocator.free_cells(class) {
                assert!(
                    free.contains(&cell),
                    "gc-rc: verify: {cell:?} is on a free list and not a free cell"
                );
                assert!(
                    cell.class() == class,
                    "gc-rc: verify: {cell:?} is on the free list of class {class}"
                );
                assert!(
                    listed.insert(cell),
                    "gc-rc: verify: {cell:?} is on a free list twice"
                );
                if self.allocator.poisons() {
                    self.allocator.check_poison(cell);
                }
            }
        }
        assert!(
            listed.len() == free.len(),
            "gc-rc: verify: {} cells are free, but {} are on free lists",
            free.len(),
            listed.len()
        );
    }

    /// Every count is the number of references: from fields, locals, globals, the queue of
    /// finalizers and the list of deferred objects.
    fn verify_counts(self, objects: &HashMap<Object, u64>, dead: &HashSet<Object>) {
        let mut found = objects.clone();
        let mut count = |object: Object, from: &dyn Fn() -> String| match found.get_mut(&object) {
            Some(references) => *references += 1,
            None => panic!(
                "gc-rc: verify: {} refers to {object:?}, which is not an object",
                from()
            ),
        };
        for &object in objects.keys().chain(dead) {
            for (index, field) in object.fields().iter().enumerate() {
                if let Some(child) = field.get() {
                    count(child, &|| format!("field {index} of {object:?}"));
                }
            }
        }
        Roots::each_slot(self, |slot| {
            if let Some(object) = slot.get() {
                count(object, &|| "a local".into());
            }
        });
        for &object in self.deferred.borrow().iter() {
            count(object, &|| "the list of deferred objects".into());
        }
        for object in self.globals.objects() {
            count(object, &|| "a global".into());
        }
        for &object in objects.keys().filter(|&&object| awaits_its_queue(object)) {
            count(object, &|| "the rest of the queue of finalizers".into());
        }
        for &object in self.finalizable.borrow().iter() {
            count(object, &|| "the queue of finalizers".into());
        }
        for (object, references) in found {
            assert!(
                object.is_immortal() || u64::from(object.references()) == references,
                "gc-rc: verify: the count of {object:?} is {}, but it has {references} references",
                object.references()
            );
            // Nothing is pending, so whatever nothing refers to must have been freed.
            assert!(
                references > 0 || object.is_immortal(),
                "gc-rc: verify: nothing refers to {object:?}, and it has not been freed"
            );
        }
    }

    fn verify_generations(self, objects: &HashMap<Object, u64>, free: &HashSet<Object>) {
        for &object in objects.keys() {
            let shape = object.shape();
            assert!(
                is_tracked(shape.refs as usize, shape.flags) != object.has(tag::UNTRACKED),
                "gc-rc: verify: {object:?} of {shape:?} has the tag {:#x}",
                object.marks() & tag::ALL
            );
        }
        if !self.generational.is_enabled() {
            return;
        }
        for &cell in objects
            .keys()
            .chain(free)
            .filter(|cell| cell.class() != LARGE)
        {
            let byte = side_byte(cell).get();
            assert!(
                [0, YOUNG, MIDDLE, OLD].contains(&byte),
                "gc-rc: verify: the side byte of {cell:?}, {byte:#x}, is left from a collection"
            );
            assert!(
                byte != 0 || !is_tracked_object(cell),
                "gc-rc: verify: the tracked object {cell:?} is in no generation"
            );
            assert!(
                cell.has(tag::IN_YOUNG) == (byte == YOUNG),
                "gc-rc: verify: {cell:?} and its side byte do not agree on whether it is young"
            );
            let (block, stretch) = Block::locate(cell);
            assert!(
                (byte != YOUNG || block.young().get() & stretch != 0)
                    && (byte != MIDDLE || block.middle().get() & stretch != 0),
                "gc-rc: verify: the block of {cell:?} does not list its generation, {byte:#x}"
            );
        }
        let [young, middle] = self.generational.listed();
        for (name, list, is_young) in [("young", young, true), ("middle", middle, false)] {
            let stretches = |block: Block| {
                if is_young {
                    block.young().get()
                } else {
                    block.middle().get()
                }
            };
            for &block in self.allocator.blocks().iter() {
                let times = list.iter().filter(|&&listed| listed == block).count();
                assert!(
                    times == (stretches(block) != 0) as usize,
                    "gc-rc: verify: a block is {times} times in the list of {name} blocks, and \
                     says it has {:#x}",
                    stretches(block)
                );
            }
            assert!(
                list.len() <= self.allocator.blocks().len(),
                "gc-rc: verify: the list of {name} blocks names one that is not in use"
            );
        }
    }

    /// Every edge is noted at both ends, and every cycle of tracked objects has a suspect: without
    /// those, objects can be taken away one by one to which nothing refers any more, until none is
    /// left.
    fn verify_edges(self, objects: &HashMap<Object, u64>) {
        let edges_of = |object: Object| object.fields().iter().filter_map(Cell::get);
        let in_cycles = |object: &Object| !object.has(tag::UNTRACKED | edges::SUSPECT);
        let mut references: HashMap<Object, u64> = objects
            .keys()
            .filter(|object| in_cycles(object))
            .map(|&object| (object, 0))
            .collect();
        for &object in objects.keys() {
            assert!(
                !object.has(edges::SUSPECT) || object.edges() & edges::OUT != 0,
                "gc-rc: verify: {object:?} is a suspect and has never referred to anything"
            );
            for child in edges_of(object) {
                assert!(
                    object.edges() & edges::OUT != 0 && child.edges() & edges::IN != 0,
                    "gc-rc: verify: {object:?} and {child:?} do not agree on the edge between them"
                );
                if in_cycles(&object)
                    && let Some(references) = references.get_mut(&child)
                {
                    *references += 1;
                }
            }
        }
        let mut free: Vec<Object> = references
            .iter()
            .filter_map(|(&object, &references)| (references == 0).then_some(object))
            .collect();
        while let Some(object) = free.pop() {
            references.remove(&object);
            for child in edges_of(object) {
                if let Some(references) = references.get_mut(&child) {
                    *references -= 1;
                    if *references == 0 {
                        free.push(child);
                    }
                }
            }
        }
        assert!(
            references.is_empty(),
            "gc-rc: verify: {} objects are in cycles without a suspect, or reached from such",
            references.len()
        );
        let suspects = objects.keys().any(|object| object.has(edges::SUSPECT));
        assert!(
            !suspects || self.generational.has_suspects.get(),
            "gc-rc: verify: there are suspects, but they are said to be none"
        );
    }

    fn verify_tables(self, objects: &HashMap<Object, u64>) {
        let weak = self.weak.borrow();
        for (object, cell) in weak.iter() {
            assert!(
                objects.contains_key(object),
                "gc-rc: verify: a weak cell is kept for {object:?}, which is not an object"
            );
            assert!(
                cell.object() == Some(*object),
                "gc-rc: verify: the weak cell of {object:?} refers to something else"
            );
        }
        for &object in objects.keys() {
            assert!(
                object.has(tag::HAS_WEAK) == weak.contains_key(&object),
                "gc-rc: verify: {object:?} and the table do not agree on whether it has weak \
                 references"
            );
        }
        let globals = self.globals.objects().count();
        assert!(
            globals == self.globals.len(),
            "gc-rc: verify: {globals} globals are linked, but they are said to be {}",
            self.globals.len()
        );
        let unlisted = objects.keys().filter(|&&object| awaits_its_queue(object));
        let (unlisted, said) = (unlisted.count(), self.finalizable_unlisted.get());
        assert!(
            unlisted == said,
            "gc-rc: verify: {unlisted} objects await the queue of finalizers, but they are said \
             to be {said}"
        );
        for &object in self.finalizable.borrow().iter() {
            assert!(
                object.has(tag::FINALIZED),
                "gc-rc: verify: {object:?} is queued for a finalizer and not marked so"
            );
        }
    }
}

/// Whether an object's finalizer is due, and the queue had no room for it.
fn awaits_its_queue(object: Object) -> bool {
    object.marks() & (tag::FINALIZE | tag::FINALIZED) == tag::FINALIZED
}
