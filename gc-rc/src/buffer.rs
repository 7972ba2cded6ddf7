//! A growing list of cells that can be pushed to through a shared reference.

use std::cell::UnsafeCell;

use crate::object::Object;
use crate::room;

/// A list of cells. Protected by the global lock, like all that is not atomic.
///
/// Invariant: no reference to the vector outlives the method that made it, and no method calls out
/// while it has one; so there is never more than one.
#[derive(Default)]
pub(crate) struct Buffer(UnsafeCell<Vec<Object>>);

impl Buffer {
    /// A list with room for `room` cells; `None` if the system has no memory for it. It never has
    /// less room.
    pub(crate) fn new(room: usize) -> Option<Self> {
        let mut vector = Vec::new();
        room::set_aside(&mut vector, room).then(|| Self(UnsafeCell::new(vector)))
    }

    /// Returns whether there was memory for it.
    #[inline(always)]
    #[must_use]
    pub(crate) fn push(&self, cell: Object) -> bool {
        // SAFETY: the type's invariant.
        room::push(unsafe { &mut *self.0.get() }, cell)
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

    /// Those that are on the list now. More may be pushed meanwhile; they are not among them.
    #[inline(always)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = Object> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Puts a cell in place of one that is on the list.
    #[inline(always)]
    pub(crate) fn set(&self, index: usize, cell: Object) {
        // SAFETY: the type's invariant.
        unsafe { (&mut *self.0.get())[index] = cell };
    }

    /// Removes all but the first ones.
    pub(crate) fn truncate(&self, cells: usize) {
        // SAFETY: the type's invariant.
        unsafe { (*self.0.get()).truncate(cells) };
    }

    /// Removes the first ones.
    pub(crate) fn remove_first(&self, cells: usize) {
        // SAFETY: the type's invariant.
        drop(unsafe { (*self.0.get()).drain(..cells) });
    }

    /// Empties the list, and keeps its memory: [`Self::fit`] is for that.
    pub(crate) fn clear(&self) {
        // SAFETY: the type's invariant.
        unsafe { (*self.0.get()).clear() }
    }

    /// Gives back room that is out of proportion.
    pub(crate) fn fit(&self) {
        // SAFETY: the type's invariant.
        let vector = unsafe { &mut *self.0.get() };
        room::fit(vector, vector.len());
    }
}
