//! What a collection need not examine: what no store can have made part of a garbage cycle.
//!
//! A cycle of references is *closed* by the last of its edges to be made. The fields of a new
//! object do not close any, because nothing refers to that yet; so it was a store, `x.f = y`, and
//! at that moment a field referred to x and a field of y to something (or x is y). An object's head
//! remembers both, [`edges::IN`] and [`edges::OUT`], and a store that finds them makes one of the
//! two objects a **suspect** ([`edges::SUSPECT`]). None of this is taken back while the object
//! lives, whatever becomes of its edges, so:
//!
//! 1. *Every cycle of tracked objects has a suspect.*
//! 2. The garbage among the candidates has all its references from itself. So each of its objects
//!    can be traced back along references without an end, which is round a cycle of candidates:
//!    *all garbage is reachable from suspects among the candidates, by way of candidates*.
//! 3. What refers to garbage is garbage. So to divide what the suspects reach is to divide all, and
//!    every other candidate survives.
//!
//! How references from outside come and go (locals, globals, moves, resurrection) does not matter:
//! it is fields that make cycles. A tree that is built from its leaves or from its root on, a list,
//! a table of objects that refer to older ones: none of them makes a suspect. A structure with
//! references both ways makes many; where what they reach is more than a fraction of the
//! candidates, all are examined as if there was no filter.
//!
//! The filter changes no result: which objects are found in which collection, the order in which
//! they die, the number of objects that an event gives as examined, the generations and when they
//! are due are those of CPython, which examines everything. What remains to be done for a candidate
//! that is spared is to move it on: its side byte changes, and a young one's tag. If there is no
//! suspect in the whole heap, a full collection has nothing to do for objects of the oldest
//! generation, and does not come by them.
//!
//! Which of the two becomes the suspect: of a young and an older object the older one. A cycle of
//! both is garbage to no collection that does not examine the older one, and so young collections
//! do not start from there.
//!
//! Rejected: to look whether a member of a cycle lost a reference and kept another, as garbage
//! needs (possible roots, [`bacon_rajan`](super::bacon_rajan)): an object with a field and a local,
//! of which the local goes, is the most ordinary thing there is. A flag for each generation in
//! place of a mark in each object: one suspect would have all be examined. Clearing marks when
//! fields change: it takes a walk to know that no other field needs them.

use std::cell::Cell;

use crate::block::side_byte;
use crate::cycle::candidates::Candidates;
use crate::cycle::{OLDEST, SPARED, YOUNG, bits, clear_stale};
use crate::heap::Locked;
use crate::object::{Object, edges, tag};
use crate::room;

/// Where suspects reach more than one in so many of the candidates, all are examined.
const SHARE: usize = 4;
/// What suspects may reach at least: where all are so few, it does not matter.
const FEW: usize = 64;

impl Locked<'_> {
    /// A store from `from` to `to` may have closed a cycle.
    #[cold]
    #[inline(never)]
    pub(crate) fn suspect(self, from: Object, to: Object) {
        if (from.marks() | to.marks()) & tag::UNTRACKED != 0 {
            return;
        }
        let from_the_young = from.has(tag::IN_YOUNG) && !to.has(tag::IN_YOUNG);
        let older = if from_the_young { to } else { from };
        older.insert(edges::SUSPECT);
        self.generational.has_suspects.set(true);
    }

    /// Divides the candidates of a collection of `generation`, as
    /// [`detect`](Locked::detect) does, but looks at what suspects reach only: all else is
    /// [`SPARED`]. Returns how many candidates there are, or `None` if the suspects reach too many
    /// of them: then all have the side byte [`YOUNG`].
    pub(crate) fn detect_among_suspects(
        self,
        generation: usize,
        candidates: &Candidates,
    ) -> Option<u64> {
        let listed = self.generational.listed_bits();
        let mut reached = Vec::new();
        let (mut objects, mut suspects) = (0, 0);
        let mut spare = |object: Object, side: &Cell<u8>| {
            let marks = object.marks();
            if marks & (tag::FREE | tag::UNTRACKED | tag::DEAD) != 0 {
                clear_stale(object);
                return;
            }
            // Candidates leave the young; old objects are not written to.
            if marks & listed != 0 {
                object.set_marks(marks & !listed);
            }
            side.set(SPARED);
            objects += 1;
            if marks & edges::SUSPECT != 0 {
                suspects += 1;
                let _ = room::push(&mut reached, object);
            }
        };
        candidates.each_header(&mut spare);
        for &object in &candidates.others {
            spare(object, side_byte(object));
        }
        if generation == OLDEST {
            self.generational.has_suspects.set(suspects > 0);
        }
        let most = objects / SHARE + FEW;
        if suspects > reached.len() || !expand(&mut reached, most) {
            candidates.examine_all();
            return None;
        }
        if suspects > 0 {
            let reached = Candidates::one_by_one(reached, candidates.scattered);
            self.detect(&reached);
        }
        Some(objects as u64)
    }
}

/// Adds all that these objects reach and that is spared so far, and gives it the side byte
/// [`YOUNG`]. Returns false if that is more than `most`, or there is no memory for it.
fn expand(objects: &mut Vec<Object>, most: usize) -> bool {
    if objects.len() > most {
        return false;
    }
    objects
        .iter()
        .for_each(|&object| side_byte(object).set(YOUNG));
    let mut index = 0;
    while let Some(&object) = objects.get(index) {
        index += 1;
        for child in object.fields().iter().filter_map(Cell::get) {
            let side = side_byte(child);
            if side.get() == SPARED {
                side.set(YOUNG);
                if objects.len() == most || !room::push(objects, child) {
                    return false;
                }
            }
        }
    }
    true
}

impl Candidates {
    /// Takes it back that some are spared.
    fn examine_all(&self) {
        let examine = |side: &Cell<u8>| {
            side.set(if side.get() == SPARED {
                YOUNG
            } else {
                side.get()
            });
        };
        for &(block, stretches) in &self.blocks {
            for stretch in bits(stretches) {
                block.side_bytes_in(stretch).iter().for_each(examine);
            }
        }
        self.others
            .iter()
            .for_each(|&object| examine(side_byte(object)));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::{Flags, Heap, Local, Mutator, Shape};

    fn suspects<'h>(m: &Mutator<'h>) -> bool {
        m.locked().generational.has_suspects.get()
    }

    /// A tree of `depth`, each node of which is stored into its parent.
    fn grow<'h>(m: &mut Mutator<'h>, node: Local<'_, 'h>, depth: u32) {
        m.frame(|m, [child]| {
            for field in 0..2 * usize::from(depth > 0) {
                m.alloc(child, Shape::new(2, 0)).unwrap();
                m.store(m.get(node).unwrap(), field, m.get(child));
                grow(m, child, depth - 1);
            }
        });
    }

    #[test]
    fn what_closes_no_cycle_makes_no_suspect() {
        Heap::new().attach(|m| {
            m.frame(|m, [a, b, table]| {
                m.alloc(a, Shape::new(2, 0)).unwrap();
                grow(m, a, if cfg!(miri) { 3 } else { 6 });
                m.alloc(table, Shape::new(100, 0)).unwrap();
                for turn in 0..if cfg!(miri) { 100 } else { 1000 } {
                    // Both refer to what is older, and are referred to by the table.
                    m.alloc_init(b, Flags::NONE, [a, b], []).unwrap();
                    let table = m.get(table).unwrap();
                    m.store(table, turn % 100, m.get(b));
                    m.set(a, m.load(table, turn * 7 % 100));
                }
                assert!(!suspects(m));
            });
        });
    }

    #[test]
    fn suspects_are_forgotten_when_they_are_gone() {
        Heap::new().attach(|m| {
            m.frame(|m, [a, b]| {
                for _ in 0..if cfg!(miri) { 1 } else { 3 } {
                    m.alloc(a, Shape::new(1, 0)).unwrap();
                    m.alloc_init(b, Flags::NONE, [a], []).unwrap();
                    m.store(m.get(a).unwrap(), 0, m.get(b));
                    m.collect();
                    m.collect();
                    assert!(suspects(m));
                    m.set(a, None);
                    m.set(b, None);
                    m.collect();
                    m.collect();
                    assert!(!suspects(m));
                }
            });
        });
    }
}
