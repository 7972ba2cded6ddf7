//! A shared value whose making can be refused: what `Arc` is to values whose making aborts the
//! process if the system has no memory.
//!
//! No weak counterpart, no exclusive access: a pointer to a count and the value, for the heap, its
//! handles and what its workers share.
//!
//! # Invariant
//!
//! The memory was allocated here, as a box allocates, and lives until the count of the [`Shared`]s
//! that point to it, those turned [into pointers](Shared::into_raw) included, is zero.

use std::alloc::{Layout, alloc};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::primitive::{AtomicUsize, Ordering};

/// A box of `value`, or the value itself if the system has no memory for it.
pub(crate) fn try_box<T>(value: T) -> Result<Box<T>, T> {
    const { assert!(size_of::<T>() > 0) };
    // SAFETY: the layout is not of size zero.
    let memory = unsafe { alloc(Layout::new::<T>()) }.cast::<T>();
    if memory.is_null() {
        return Err(value);
    }
    // SAFETY: the memory was just allocated, as a box of `T` is.
    unsafe {
        memory.write(value);
        Ok(Box::from_raw(memory))
    }
}

/// What the handles to one value point to.
pub(crate) struct Counted<T> {
    handles: AtomicUsize,
    value: T,
}

/// A handle to a shared value.
pub(crate) struct Shared<T>(NonNull<Counted<T>>, PhantomData<Counted<T>>);

// SAFETY: as for `Arc`: handles on several threads share the value, and the last of them drops it.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Shares `value`; `None` if the system has no memory for it.
    pub(crate) fn new(value: T) -> Option<Self> {
        let counted = try_box(Counted {
            handles: AtomicUsize::new(1),
            value,
        });
        let pointer = Box::into_raw(counted.ok()?);
        NonNull::new(pointer).map(|pointer| Self(pointer, PhantomData))
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: the invariant: this handle is counted.
        unsafe { self.0.as_ref() }
    }

    /// How many handles there are. Others may change that meanwhile, but for one: nobody makes a
    /// second handle of the last.
    pub(crate) fn handles(&self) -> usize {
        self.counted().handles.load(Ordering::Acquire)
    }

    /// The handle as a pointer, which stays counted.
    pub(crate) fn into_raw(self) -> *mut Counted<T> {
        let pointer = self.0.as_ptr();
        std::mem::forget(self);
        pointer
    }

    /// The value behind a pointer; `None` if that is null.
    ///
    /// # Safety
    ///
    /// The pointer is null, or was made by [`Self::into_raw`] and not used up for as long as the
    /// result is used.
    pub(crate) unsafe fn get<'a>(pointer: *mut Counted<T>) -> Option<&'a T> {
        // SAFETY: the invariant, and the caller's promise.
        unsafe { pointer.as_ref() }.map(|counted| &counted.value)
    }

    /// A handle of a pointer; `None` if that is null.
    ///
    /// # Safety
    ///
    /// The pointer is null, or was made by [`Self::into_raw`], of which this uses the result up.
    pub(crate) unsafe fn from_raw(pointer: *mut Counted<T>) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Self(pointer, PhantomData))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // As for `Arc`: a new handle needs no ordering, and so many that the count overflows cannot
        // be but forgotten ones.
        if self.counted().handles.fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
            std::process::abort();
        }
        Self(self.0, PhantomData)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Release: what was done through this handle is done before the value goes.
        if self.counted().handles.fetch_sub(1, Ordering::Release) == 1 {
            // A load, as `ThreadSanitizer` knows no fences.
            self.counted().handles.load(Ordering::Acquire);
            // SAFETY: the invariant: this was the last handle.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct Told<'a>(&'a AtomicUsize);

    impl Drop for Told<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_last_handle_drops_the_value_once() {
        let dropped = AtomicUsize::new(0);
        let shared = Shared::new(Told(&dropped)).unwrap();
        let raw = shared.clone().into_raw();
        std::thread::scope(|s| {
            for _ in 0..4 {
                let shared = shared.clone();
                s.spawn(move || drop(shared.clone()));
            }
        });
        assert_eq!(shared.handles(), 2);
        drop(shared);
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        // SAFETY: `into_raw` made it, and this is the only use.
        let last = unsafe { Shared::from_raw(raw) }.unwrap();
        assert_eq!(last.handles(), 1);
        drop(last);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert!(try_box(7).is_ok_and(|boxed| *boxed == 7));
    }
}

/// A model of the last handles, run under every interleaving: `RUSTFLAGS="--cfg loom" cargo test -p
/// gc-marksweep --lib --release`.
#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::thread;

    struct Value {
        cell: UnsafeCell<u32>,
    }

    // SAFETY: loom checks that accesses are ordered.
    unsafe impl Sync for Value {}

    /// Whoever is last, the value goes after all have used it: its end is an access that conflicts
    /// with every use.
    #[test]
    fn a_value_goes_after_its_last_use() {
        loom::model(|| {
            let shared = Shared::new(Value {
                cell: UnsafeCell::new(7),
            })
            .unwrap();
            let other = shared.clone();
            let user = thread::spawn(move || {
                // SAFETY: loom checks it.
                assert_eq!(other.cell.with(|value| unsafe { *value }), 7);
                drop(other);
            });
            // Alone, the holder of a handle may do what it likes.
            if shared.handles() == 1 {
                // SAFETY: loom checks it.
                shared.cell.with_mut(|value| unsafe { *value = 8 });
            }
            drop(shared);
            user.join().unwrap();
        });
    }
}
