//! Frames: the roots on a mutator's native stack.
//!
//! A frame is a record on the native stack: a link to the frame before, and slots. A [`Local`] is a
//! reference to its slot, so that reading a local is one load. Each slot owns a count of what it
//! holds, as the fast locals of CPython do. [`Mutator::frame`](crate::Mutator::frame) takes a
//! closure, which makes it impossible for safe code to move or leak a record; a guard unlinks it,
//! also when the closure unwinds.
//!
//! In the regime [`Deferred`](crate::Deferred) a slot may hold a reference that is not counted: it
//! is *tagged* then ([`Object::tagged`]). A tagged object is good for nothing but to be put into a
//! slot of a frame and to be taken out again: whoever reads a slot takes the tag off first, or
//! knows that there is none, as in a stopped world and in every other regime.
//!
//! **Invariant.** A mutator's `frames` head the list of the records of all frames that are active,
//! each of which is on the stack of this mutator's thread, and whose records are only touched
//! through shared references once they are linked.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use crate::object::Slot;

/// An invariant lifetime that is made afresh for each attachment, so that what belongs to one heap
/// does not type-check on another.
pub(crate) type Brand<'h> = PhantomData<Cell<&'h ()>>;

/// What all frame records begin with.
#[repr(C)]
pub(crate) struct FrameHead {
    pub(crate) previous: *const FrameHead,
    pub(crate) len: usize,
}

/// A frame with its `N` slots.
#[repr(C)]
pub(crate) struct FrameRecord<const N: usize> {
    pub(crate) head: FrameHead,
    pub(crate) slots: [Slot; N],
}

impl FrameHead {
    /// Calls `f` with the slots of a mutator's frames, newest frame first.
    ///
    /// # Safety
    ///
    /// `frame` heads the frames of a mutator of a heap whose lock the current thread holds, for as
    /// long as this takes.
    pub(crate) unsafe fn each_slot(mut frame: *const FrameHead, mut f: impl FnMut(&Slot)) {
        while !frame.is_null() {
            // SAFETY: the invariant; the pointer was made from the whole record, so that it
            // reaches the slots, which follow the head without padding. Their owner does not run:
            // this thread has the lock.
            let slots = unsafe {
                let len = (*frame).len;
                std::slice::from_raw_parts(frame.add(1).cast::<Slot>(), len)
            };
            slots.iter().for_each(&mut f);
            // SAFETY: as above.
            frame = unsafe { (*frame).previous };
        }
    }
}

/// A slot of a frame: a root for as long as the frame lasts. It owns a count of what it holds.
pub struct Local<'f, 'h> {
    pub(crate) slot: &'f Slot,
    pub(crate) brand: Brand<'h>,
}

impl Clone for Local<'_, '_> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for Local<'_, '_> {}

impl fmt::Debug for Local<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Local({:p})", self.slot)
    }
}
