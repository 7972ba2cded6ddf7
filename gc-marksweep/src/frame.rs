//! Frames: the roots on a mutator's native stack.
//!
//! A frame is a record in the stack frame of [`Mutator::frame`](crate::Mutator::frame), linked to
//! the one below it; a [`Local`] is a reference to one of its slots. Reading a local is one load,
//! with no index, no bounds check and no way through the mutator.
//!
//! **Invariant.** The list that starts at a mutator's `frames` consists of records that are all
//! still in place: a record is linked by [`with_frame`], which neither moves it nor returns,
//! normally or by unwinding, before it is unlinked; and safe code can neither leak nor reorder what
//! lives in somebody else's stack frame. From the moment it is linked a record is touched through
//! shared references only.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::object::{Header, Object};

/// An invariant lifetime that is made afresh for each attachment, so that what belongs to one
/// mutator does not type-check on another. Neither `Send` nor `Sync`.
pub(crate) type Brand<'h> = PhantomData<(Cell<&'h ()>, *mut ())>;

/// A root: the place that a [`Local`] names.
///
/// An atomic, although its owner and a collector never touch it at the same time: the compiler
/// merges neighbouring plain loads into one vector load, and one that reads two slots just written
/// separately cannot be forwarded from the store buffer. That stall alone was a third of the time
/// of binary-trees.
#[derive(Debug)]
pub(crate) struct Slot(AtomicPtr<Header>);

impl Slot {
    #[inline(always)]
    pub(crate) fn get(&self) -> *mut Header {
        self.0.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: *mut Header) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn take(&self) -> *mut Header {
        let value = self.get();
        self.set(std::ptr::null_mut());
        value
    }
}

/// A slot of a frame: a root for as long as the frame lasts. Copying it does not copy what it
/// holds.
#[derive(Clone, Copy)]
pub struct Local<'f, 'h>(pub(crate) &'f Slot, Brand<'h>);

impl fmt::Debug for Local<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Local({:#x})", self.0.get() as usize)
    }
}

/// A frame with its `N` slots.
#[repr(C)]
struct Record<const N: usize> {
    head: Head,
    slots: [Slot; N],
}

/// The part of a record whose form does not depend on the number of slots.
#[repr(C)]
pub(crate) struct Head {
    below: *const Head,
    slots: usize,
}

/// The innermost frame of a mutator.
pub(crate) struct Frames(Cell<*const Head>);

impl Frames {
    pub(crate) fn new() -> Self {
        Self(Cell::new(std::ptr::null()))
    }

    /// Calls `f` with every object that a local of a linked frame holds.
    ///
    /// # Safety
    ///
    /// The mutator that owns the frames is stopped, or is the caller.
    pub(crate) unsafe fn for_each(&self, mut f: impl FnMut(Object)) {
        let mut frame = self.0.get();
        while !frame.is_null() {
            // SAFETY: linked records are in place (the module's invariant). The pointer was made
            // from the whole record, so it may be used to reach the slots that follow the head.
            let slots = unsafe {
                let slots = frame.cast::<u8>().add(size_of::<Head>()).cast::<Slot>();
                std::slice::from_raw_parts(slots, (*frame).slots)
            };
            slots
                .iter()
                .filter_map(|slot| Object::from_raw(slot.get()))
                .for_each(&mut f);
            // SAFETY: as above.
            frame = unsafe { (*frame).below };
        }
    }
}

/// Runs `f` with `N` empty locals, linked into the frames that `frames` finds in `mutator`.
#[inline(always)]
pub(crate) fn with_frame<'h, M, const N: usize, R>(
    mutator: &mut M,
    frames: impl Fn(&M) -> &Frames,
    f: impl for<'f> FnOnce(&mut M, [Local<'f, 'h>; N]) -> R,
) -> R {
    /// Unlinks the frame, also when `f` unwinds.
    struct Unlink<'a, M, F: Fn(&M) -> &Frames> {
        mutator: &'a mut M,
        frames: F,
        below: *const Head,
    }
    impl<M, F: Fn(&M) -> &Frames> Drop for Unlink<'_, M, F> {
        #[inline(always)]
        fn drop(&mut self) {
            (self.frames)(self.mutator).0.set(self.below);
        }
    }

    let below = frames(mutator).0.get();
    let record = Record {
        head: Head { below, slots: N },
        slots: [const { Slot(AtomicPtr::new(std::ptr::null_mut())) }; N],
    };
    frames(mutator).0.set((&raw const record).cast::<Head>());
    let locals = std::array::from_fn(|index| Local(&record.slots[index], PhantomData));
    // Declared after the record, so dropped before it.
    let unlink = Unlink {
        mutator,
        frames,
        below,
    };
    f(unlink.mutator, locals)
}
