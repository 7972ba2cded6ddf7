//! The synchronisation primitives of [`crate::gil`] and [`crate::handle`], from the standard
//! library or, under `cfg(loom)`, from loom, which runs a test under every interleaving of its
//! threads.
//!
//! Nothing else of the crate needs the shim: all other state is either protected by the global lock
//! or a single atomic that orders nothing.

use std::time::Duration;

#[cfg(loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(not(loom))]
pub(crate) use std::{
    cell::Cell as Plain,
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    },
};

/// A cell of ordinary memory that more than one thread uses, in an order that something else sees
/// to. Loom reports two accesses that nothing orders; and freeing the cell is an access.
#[cfg(loom)]
pub(crate) struct Plain<T>(loom::cell::UnsafeCell<T>);

#[cfg(loom)]
impl<T: Copy> Plain<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    pub(crate) fn get(&self) -> T {
        // SAFETY: loom checks that no write is concurrent.
        self.0.with(|value| unsafe { *value })
    }

    pub(crate) fn set(&self, value: T) {
        // SAFETY: loom checks that no other access is concurrent.
        self.0.with_mut(|place| unsafe { *place = value });
    }
}

#[cfg(loom)]
impl<T> Drop for Plain<T> {
    fn drop(&mut self) {
        self.0.with_mut(|_| ());
    }
}

/// Locks `mutex`. The state behind it is consistent whenever it is unlocked, so that a poisoned one
/// is as good as any: nothing that can panic runs while it is held.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits for a notification.
pub(crate) fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition
        .wait(guard)
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits for a notification for at most `limit` ([`Duration::MAX`]: for ever). Returns whether the
/// time ran out.
#[cfg(not(loom))]
pub(crate) fn wait_for<'a, T>(
    condition: &Condvar,
    _mutex: &'a Mutex<T>,
    guard: MutexGuard<'a, T>,
    limit: Duration,
) -> (MutexGuard<'a, T>, bool) {
    if limit == Duration::MAX {
        return (wait(condition, guard), false);
    }
    let (guard, result) = condition
        .wait_timeout(guard, limit)
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    (guard, result.timed_out())
}

/// Waits for a notification for at most `limit`. Loom has no clock: a limited wait is one that
/// always runs out, after every other thread has had the chance to run; an unlimited one ends by a
/// notification only, so that a lost wake-up is a deadlock that loom reports.
#[cfg(loom)]
pub(crate) fn wait_for<'a, T>(
    condition: &Condvar,
    mutex: &'a Mutex<T>,
    guard: MutexGuard<'a, T>,
    limit: Duration,
) -> (MutexGuard<'a, T>, bool) {
    if limit == Duration::MAX {
        return (wait(condition, guard), false);
    }
    drop(guard);
    loom::thread::yield_now();
    (lock(mutex), true)
}
