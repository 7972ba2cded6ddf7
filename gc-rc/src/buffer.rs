//! A growing list of cells that can be pushed to through a shared reference.

use std::cell::UnsafeCell;

use crate::object::Object;

/// A list of cells. Protected by the global lock, like all that is not atomic.
///
/// Invariant: no reference to the vector outlives the method that made it, and no method calls out while it has one; so there is
/// never more than one.
#[derive(Default)]
pub(crate) struct Buffer(UnsafeCell<Vec<Object>>);

impl Buffer {
    #[inline(always)]
    pub(crate) fn push(&self, cell: Object) {
        // SAFETY: the type's invariant.
        unsafe { (*self.0.get()).push(cell) }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: the type's invariant.
        unsafe { (*self.0.get()).len() }
    }

    pub(crate) fn capacity(&self) -> usize {
        // SAFETY: the type's invariant.
        unsafe { (*self.0.get()).capacity() }
    }

    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<Object> {
        // SAFETY: the type's invariant.
        unsafe { (&*self.0.get()).get(index).copied() }
    }

    /// Empties the list, and keeps memory for at most `room` cells.
    pub(crate) fn clear_to(&self, room: usize) {
        // SAFETY: the type's invariant.
        let vector = unsafe { &mut *self.0.get() };
        vector.clear();
        vector.shrink_to(room);
    }

    /// Empties the list. Memory is kept, unless it is out of proportion to what it was last used for.
    pub(crate) fn clear(&self) {
        // SAFETY: the type's invariant.
        let vector = unsafe { &mut *self.0.get() };
        let used = vector.len();
        vector.clear();
        let enough = used.max(1 << 10);
        if vector.capacity() > 4 * enough {
            vector.shrink_to(2 * enough);
        }
    }
}
