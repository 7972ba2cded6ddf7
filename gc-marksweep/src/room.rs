//! How much room the heap's lists have: growth that can be refused, and the one rule by which they
//! shrink.
//!
//! A list grows with a burst and must not keep the memory when the burst is over. [`fit`] is the
//! rule: a list of which less than a quarter is wanted is made anew with room for twice what is
//! wanted. So the elements that are moved are fewer than those that went since it last grew or
//! shrank, and both directions cost amortised O(1) for each element that comes and goes.
//! Collections apply it to what they have looked through.
//!
//! Rejected: `shrink_to`, which aborts the process if the system refuses the smaller copy.

/// Room that is not worth shrinking, in elements.
const LEAST: usize = 256;

/// Shrinks a list that has much more room than the `wanted` elements need, its own or more, by the
/// module's rule. If the system has no memory for the smaller one it stays as it is.
pub(crate) fn fit<T>(list: &mut Vec<T>, wanted: usize) {
    if list.capacity() > 2 * LEAST && wanted < list.capacity() / 4 {
        make_anew(list, wanted);
    }
}

#[cold]
#[inline(never)]
fn make_anew<T>(list: &mut Vec<T>, wanted: usize) {
    let mut smaller = Vec::new();
    let room = (2 * wanted).max(list.len()).max(LEAST);
    if smaller.try_reserve_exact(room).is_ok() {
        smaller.append(list);
        *list = smaller;
    }
}

/// Sees to it that a list has room for `wanted` elements, those included that are there. Returns
/// whether it has.
#[inline]
pub(crate) fn set_aside<T>(list: &mut Vec<T>, wanted: usize) -> bool {
    list.capacity() >= wanted || list.try_reserve(wanted - list.len()).is_ok()
}

/// Adds an element to a vector. Returns whether there was memory for it.
#[inline(always)]
pub(crate) fn push<T>(list: &mut Vec<T>, element: T) -> bool {
    if list.len() == list.capacity() && !grow(list) {
        return false;
    }
    list.push(element);
    true
}

#[cold]
#[inline(never)]
fn grow<T>(list: &mut Vec<T>) -> bool {
    list.try_reserve(1).is_ok()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Moves stay below the number of elements that came and went, however a list's length goes up
    /// and down.
    #[test]
    #[cfg_attr(miri, ignore = "some 300,000 operations")]
    fn lists_shrink_by_one_rule_at_a_constant_cost() {
        let mut list = Vec::new();
        let (mut operations, mut moved) = (0, 0);
        for peak in [100_000, 10, 3_000, 0, 50_000, 700, 699, 701, 0] {
            while list.len() != peak {
                if list.len() < peak {
                    list.push(list.len());
                } else {
                    list.pop();
                }
                operations += 1;
                let (room, length) = (list.capacity(), list.len());
                fit(&mut list, length);
                if list.capacity() != room {
                    moved += length;
                }
                assert_eq!(list.len(), length);
                assert!(list.capacity() <= 4 * length + 4 * LEAST);
            }
        }
        assert!(
            moved < operations,
            "{moved} moves in {operations} operations"
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
