//! How much room the heap's lists and tables have: growth that can be refused, and the one rule by
//! which they shrink.
//!
//! A list grows with a burst and must not keep the memory, which is charged against the limit, when
//! the burst is over. [`fit`] is the rule: a list of which less than a quarter is wanted is made
//! anew with room for twice what is wanted. So the elements that are moved are fewer than those
//! that went since it last grew or shrank, and both directions cost amortised O(1) for each element
//! that comes and goes. The rule is applied to all lists at once where their sizes are charged
//! ([`Locked::account_metadata`](crate::heap::Locked::account_metadata)), and where one has become
//! sparse.
//!
//! Rejected: shrinking where an element leaves a list (ten places, of which one is always
//! forgotten); `shrink_to`, which aborts the process if the system refuses the smaller copy.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Room that is not worth shrinking, in elements.
const LEAST: usize = 256;

/// A growing list or table.
pub(crate) trait List: Default {
    /// Its elements.
    fn elements(&self) -> usize;

    /// How many elements fit without a request for memory.
    fn room(&self) -> usize;

    /// Makes room for `more` elements beyond those that are there, and for some more, so that
    /// growth costs amortised O(1). Returns whether there is.
    fn reserve(&mut self, more: usize) -> bool;

    /// Moves all elements to `to`, which has room for them.
    fn move_to(&mut self, to: &mut Self);
}

impl<T> List for Vec<T> {
    fn elements(&self) -> usize {
        self.len()
    }

    fn room(&self) -> usize {
        self.capacity()
    }

    fn reserve(&mut self, more: usize) -> bool {
        self.try_reserve(more).is_ok()
    }

    fn move_to(&mut self, to: &mut Self) {
        to.append(self);
    }
}

impl<T> List for VecDeque<T> {
    fn elements(&self) -> usize {
        self.len()
    }

    fn room(&self) -> usize {
        self.capacity()
    }

    fn reserve(&mut self, more: usize) -> bool {
        self.try_reserve(more).is_ok()
    }

    fn move_to(&mut self, to: &mut Self) {
        to.append(self);
    }
}

impl<K: Eq + Hash, V> List for HashMap<K, V> {
    fn elements(&self) -> usize {
        self.len()
    }

    fn room(&self) -> usize {
        self.capacity()
    }

    fn reserve(&mut self, more: usize) -> bool {
        self.try_reserve(more).is_ok()
    }

    fn move_to(&mut self, to: &mut Self) {
        to.extend(self.drain());
    }
}

/// Whether [`fit`] would shrink a list that is to have room for `wanted` elements.
pub(crate) fn is_sparse(list: &impl List, wanted: usize) -> bool {
    let room = list.room();
    room > 2 * LEAST && wanted < room / 4
}

/// Shrinks a list that has much more room than the `wanted` elements need, its own or more, by the
/// module's rule. If the system has no memory for the smaller one it stays as it is.
pub(crate) fn fit(list: &mut impl List, wanted: usize) {
    if is_sparse(list, wanted) {
        make_anew(list, wanted);
    }
}

#[cold]
#[inline(never)]
fn make_anew<L: List>(list: &mut L, wanted: usize) {
    let mut smaller = L::default();
    if smaller.reserve((2 * wanted).max(list.elements()).max(LEAST)) {
        list.move_to(&mut smaller);
        *list = smaller;
    }
}

/// Sees to it that a list has room for `wanted` elements, those included that are there. Returns
/// whether it has.
#[inline]
pub(crate) fn set_aside(list: &mut impl List, wanted: usize) -> bool {
    list.room() >= wanted || list.reserve(wanted - list.elements())
}

/// Adds an element to a vector. Returns whether there was memory for it.
#[inline(always)]
pub(crate) fn push<T>(list: &mut Vec<T>, element: T) -> bool {
    // So that the push need not look again whether there is room.
    if list.len() < list.capacity() {
        list.push(element);
        return true;
    }
    push_and_grow(list, element)
}

#[cold]
#[inline(never)]
fn push_and_grow<T>(list: &mut Vec<T>, element: T) -> bool {
    let has_room = list.try_reserve(1).is_ok();
    if has_room {
        list.push(element);
    }
    has_room
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Moves stay below the number of elements that came and went, however a list's length goes up
    /// and down.
    fn shrinks_and_moves_little<L: List>(
        name: &str,
        add: impl Fn(&mut L, usize),
        take: impl Fn(&mut L, usize),
    ) {
        let mut list = L::default();
        let (mut operations, mut moved) = (0, 0);
        for peak in [100_000, 10, 3_000, 0, 50_000, 700, 699, 701, 0] {
            while list.elements() != peak {
                let number = list.elements();
                if number < peak {
                    add(&mut list, number);
                } else {
                    take(&mut list, number - 1);
                }
                operations += 1;
                let before = list.room();
                let elements = list.elements();
                fit(&mut list, elements);
                if list.room() != before {
                    moved += elements;
                }
                assert_eq!(list.elements(), elements, "{name}");
                assert!(
                    list.room() <= 4 * elements + 4 * LEAST,
                    "{name}: room for {} and only {elements} elements",
                    list.room()
                );
            }
        }
        assert!(
            moved < operations,
            "{name}: {moved} moves in {operations} operations"
        );
    }

    #[test]
    fn lists_shrink_by_one_rule_at_a_constant_cost() {
        shrinks_and_moves_little::<Vec<usize>>(
            "vector",
            |v, n| v.push(n),
            |v, _| {
                v.pop();
            },
        );
        shrinks_and_moves_little::<VecDeque<usize>>(
            "queue",
            |q, n| q.push_back(n),
            |q, _| {
                q.pop_front();
            },
        );
        shrinks_and_moves_little::<HashMap<usize, usize>>(
            "table",
            |t, n| {
                t.insert(n, n);
            },
            |t, n| {
                t.remove(&n);
            },
        );
    }

    #[test]
    fn what_is_set_aside_is_there() {
        let mut list = vec![1, 2, 3];
        assert!(set_aside(&mut list, 1000) && list.capacity() >= 1000);
        assert!(
            !set_aside(&mut list, usize::MAX),
            "refused, and not an abort"
        );
        fit(&mut list, 900);
        assert!(list.capacity() >= 1000, "what is wanted stays");
    }
}
