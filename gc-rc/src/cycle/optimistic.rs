//! One pass that shows that nothing is garbage, where nothing is.
//!
//! Most collections of most programs find nothing: what is unreachable and in no cycle has died by
//! its count. The two passes of [`crate::cycle`] are needed to tell garbage from what is not; that
//! there is *none* can be shown with one, in which each candidate is visited once, in any order:
//!
//! * A candidate that something visited before refers to is **reached**.
//! * Any other is **presumed a root**: its count is noted, and each edge to it that is found later
//!   takes one away. If none is left, the presumption was wrong, and the pass gives up. So does a
//!   root whose count is too large to note and that many edges lead to.
//!
//! If the pass comes to its end, each presumed root has more references than come from visited
//! objects that found it a root. Those that came before its visit would have reached it; so all
//! edges from candidates have been taken away, what is left comes from outside, and the presumption
//! was right. What was reached was reached from what was visited before, and so by induction from a
//! root: everything is alive. Conversely the first object of a garbage cycle that is visited is
//! presumed a root and loses its last reference before the pass ends, so that garbage is never
//! overlooked.
//!
//! The visits go from high addresses to low ones, because objects mostly refer to older ones, which
//! mostly lie lower: then nothing alive is presumed to be a root that is none. A live structure
//! that refers the other way (a queue that grows at its end, or what is made in cells that were
//! freed in the order of their addresses) makes the pass give up like garbage does, and is shown to
//! be alive by visits in the other direction. So each failure turns the direction. What time it
//! took was wasted; after a failure the pass is left out for a while, the longer the more failures
//! there were in a row ([`Confidence`]).
//!
//! What is gained: one visit instead of two for each object, no stack, and no edge is counted that
//! leads to what is known to be reached already.
//!
//! CPython always takes its two passes. What is found is the same.
//!
//! # The side byte during the pass
//!
//! | value | means |
//! |---|---|
//! | [`YOUNG`] | not visited |
//! | [`YOUNG`] + *n* | a presumed root with *n* references left, at most [`SMALL_COUNT`] |
//! | [`REACHED`] | reached, visited or not |
//! | any other | no candidate |

use std::cell::Cell;
use std::cmp::min;

use crate::block::side_byte;
use crate::cycle::candidates::Candidates;
use crate::cycle::{REACHED, SMALL_COUNT, YOUNG, clear_stale, is_candidate, is_tracked_object};
use crate::heap::Locked;
use crate::object::{Object, tag};
use crate::step::{Step, Witness};

/// How likely it is that the pass succeeds, for one generation.
#[derive(Default)]
pub(crate) struct Confidence {
    /// Collections for which the pass is still left out.
    left_out: Cell<u8>,
    /// For how many it was left out after the last failure; zero after a success.
    penalty: Cell<u8>,
    /// Whether to go from low addresses to high ones.
    pub(crate) rising: Cell<bool>,
}

impl Confidence {
    const LARGEST_PENALTY: u8 = 31;

    /// Whether to try now.
    pub(crate) fn is_enough(&self) -> bool {
        let left_out = self.left_out.get();
        self.left_out.set(left_out.saturating_sub(1));
        left_out == 0
    }

    /// The pass was tried.
    pub(crate) fn tried(&self, succeeded: bool) {
        let penalty = if succeeded {
            0
        } else {
            min(2 * self.penalty.get() + 1, Self::LARGEST_PENALTY)
        };
        self.penalty.set(penalty);
        self.left_out.set(penalty);
        self.rising.set(self.rising.get() == succeeded);
    }
}

/// Takes a reference away from a presumed root. Returns whether there are more.
#[cold]
#[inline(never)]
fn take(side: &Cell<u8>) -> bool {
    side.set(side.get() - 1);
    side.get() > YOUNG
}

impl<W: Witness> Locked<'_, W> {
    /// Visits a candidate: a stale side byte is cleared, and an object's edges are looked at.
    /// `listed` are the bits of the tag that say that the cell is listed as young. Returns `None`
    /// if the object takes a presumed root's last reference away, else whether it is one.
    #[inline(always)]
    fn visit(self, object: Object, side: &Cell<u8>, listed: u64) -> Option<bool> {
        let all = object.marks();
        let marks = all & (tag::FREE | tag::UNTRACKED | tag::DEAD | listed);
        if marks != 0 {
            if marks & !listed != 0 {
                clear_stale(object);
                return Some(false);
            }
            // Candidates leave the young; old objects are not written to.
            object.set_marks(all & !listed);
        }
        if side.get() == YOUNG {
            let mut count = object.count();
            if count > u32::from(SMALL_COUNT) {
                count = min(object.references(), u32::from(SMALL_COUNT));
            }
            side.set(YOUNG + count as u8);
            self.note(|| Step::Presumed {
                object: object.into(),
                balance: count as i64,
            });
        }
        for child in object.fields().iter().filter_map(Cell::get) {
            let side = side_byte(child);
            let value = side.get();
            side.set(if value == YOUNG { REACHED } else { value });
            self.note(|| {
                (value == YOUNG).then(|| Step::Reached {
                    from: object.into(),
                    to: child.into(),
                    back: false,
                })
            });
            if value.wrapping_sub(YOUNG + 1) < SMALL_COUNT {
                let more = take(side);
                self.note(|| Step::Subtracted {
                    from: object.into(),
                    to: child.into(),
                    balance: i64::from(side.get()) - i64::from(YOUNG),
                });
                if !more {
                    return None;
                }
            }
        }
        Some(true)
    }

    /// Whether all candidates are reachable, as far as one pass can tell, and how many there are:
    /// then their side bytes are above [`YOUNG`], and stale ones are cleared. Otherwise side bytes
    /// are as before.
    pub(crate) fn all_are_reached(self, candidates: &Candidates, rising: bool) -> Option<u64> {
        let listed = self.generational.listed_bits();
        self.note(|| Step::OnePass { rising });
        let mut examined = 0;
        // Large objects first: tables reach what would have to be presumed roots.
        let mut success = candidates.others.iter().try_fold(0, |sum, &object| {
            Some(sum + u64::from(self.visit(object, side_byte(object), listed)?))
        });
        if let Some(large) = success {
            let visit = |object, side: &Cell<u8>| {
                let visited = self.visit(object, side, listed);
                examined += u64::from(visited == Some(true));
                visited.is_some()
            };
            let finished = if rising {
                candidates.each_in_blocks::<true>(visit)
            } else {
                candidates.each_in_blocks::<false>(visit)
            };
            success = finished.then_some(large);
        }
        if success.is_none() {
            candidates.start_again();
        }
        self.note(|| Step::OnePassEnded {
            succeeded: success.is_some(),
        });
        success.map(|large| large + examined)
    }
}

impl Candidates {
    /// Makes all candidates unvisited.
    #[cold]
    fn start_again(&self) {
        let again = |side: &Cell<u8>| {
            side.set(if is_candidate(side.get()) {
                YOUNG
            } else {
                side.get()
            });
        };
        for &(block, stretches) in &self.blocks {
            for stretch in super::bits(stretches) {
                block.side_bytes_in(stretch).iter().for_each(again);
            }
        }
        for &object in &self.others {
            if is_tracked_object(object) {
                side_byte(object).set(YOUNG);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_penalised_more_and_more() {
        let confidence = Confidence::default();
        let mut gaps = Vec::new();
        for _ in 0..8 {
            let mut gap = 0;
            while !confidence.is_enough() {
                gap += 1;
            }
            gaps.push(gap);
            confidence.tried(false);
        }
        assert_eq!(gaps, [0, 1, 3, 7, 15, 31, 31, 31]);
        while !confidence.is_enough() {}
        assert!(!confidence.rising.get());
        confidence.tried(true);
        assert!(confidence.is_enough() && !confidence.rising.get());
        confidence.tried(false);
        assert!(!confidence.is_enough() && confidence.rising.get());
    }
}
