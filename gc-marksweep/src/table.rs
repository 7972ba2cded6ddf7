//! Arrays of zeroes that cost memory only where they are used.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::os::{Refused, map, unmap};

/// What [`Table`] can hold.
///
/// # Safety
///
/// Zeroes are a value, and nothing is to be dropped.
pub(crate) unsafe trait Zeroed {}
// SAFETY: zeroes are 0.
unsafe impl Zeroed for u8 {}
// SAFETY: as above.
unsafe impl Zeroed for u16 {}
// SAFETY: as above.
unsafe impl Zeroed for u32 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU32 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU64 {}
// SAFETY: a cell has the layout of what is in it.
unsafe impl<T: Zeroed> Zeroed for UnsafeCell<T> {}

/// An array of zeroes, backed when they are first touched: an enormous one of which little is used
/// costs little.
pub(crate) struct Table<T> {
    mapping: NonNull<T>,
    length: usize,
}

// SAFETY: owns its items.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Table<T> {}

impl<T: Zeroed> Table<T> {
    pub(crate) fn new(length: usize) -> Result<Self, Refused> {
        // Of no bytes there is no mapping.
        let asked = length
            .max(1)
            .checked_mul(size_of::<T>())
            .ok_or_else(Refused::too_large)?;
        let mapping = map(asked, 0).map_err(|source| Refused { asked, source })?;
        Ok(Self {
            mapping: mapping.cast(),
            length,
        })
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: a mapping of that many items, which zeroes are values of; aligned to a page.
        unsafe { std::slice::from_raw_parts(self.mapping.as_ptr(), self.length) }
    }
}

impl<T> DerefMut for Table<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.as_ptr(), self.length) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and its users are gone.
        unsafe { unmap(self.mapping.cast(), self.length.max(1) * size_of::<T>()) };
    }
}
