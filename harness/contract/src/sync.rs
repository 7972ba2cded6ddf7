//! Locks, conditions and queues for threads that are attached to a heap.
//!
//! # The deadlock they prevent
//!
//! A mutator that waits in a plain mutex still counts as running. If the holder of that mutex then
//! waits for *everybody*, neither goes on:
//!
//! * on gc-marksweep, A holds the mutex and allocates; the allocation needs a collection, which
//!   waits until every mutator has stopped; B sits in `Mutex::lock`, never polls, and never stops;
//! * on gc-rc, A holds the mutex and is made to hand the global lock over at a safepoint; B takes
//!   the global lock and sits in `Mutex::lock` with it; A waits for the global lock for ever.
//!
//! Everything here therefore *waits inside* [`Mutator::blocking`], where a thread counts as stopped
//! and holds no lock of the heap, and tries without waiting first, so that the uncontended case
//! costs one compare-and-swap. Once a wait is over, the thread may have to wait for the heap again
//! (for a stop to end, or for the global lock) *while it holds the lock*. That is safe: whoever it
//! waits for either does not need this lock, or is waiting for it inside `blocking`, or polls.
//!
//! Rule for clients: hold a [`Guard`] for as short as any lock, and never wait for another thread
//! while holding one except through [`Condition::wait`].
//!
//! A panic while a guard is held releases the lock; it does not poison it. A queue is consistent at
//! every point where a panic can happen.
//!
//! Rejected: a lock that polls while it spins (waiting threads would burn the cores the comparison
//! measures); parking in the heap itself (the heaps would have to know of locks).

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::heap::Mutator;

/// Mutual exclusion between mutators.
///
/// ```
/// use contract::heap::{Heap, Mutator};
/// use contract::sync::Lock;
///
/// fn twice<H: Heap>(heap: &H) -> u32 {
///     let total = Lock::new(0);
///     std::thread::scope(|scope| {
///         for _ in 0..2 {
///             scope.spawn(|| heap.attach(|m| *total.lock(m) += 21));
///         }
///     });
///     total.into_inner()
/// }
/// ```
#[derive(Debug, Default)]
pub struct Lock<T>(Mutex<T>);

/// The lock is held for as long as this lives.
#[must_use = "the lock is released at once if the guard is not kept"]
pub struct Guard<'l, T>(MutexGuard<'l, T>);

impl<T> Lock<T> {
    /// A free lock around `value`.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Takes the lock; waits inside [`Mutator::blocking`] if another thread has it. Not reentrant.
    pub fn lock<M: Mutator>(&self, mutator: &mut M) -> Guard<'_, T> {
        let inner = match self.0.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                mutator.blocking(|| self.0.lock().unwrap_or_else(PoisonError::into_inner))
            }
        };
        Guard(inner)
    }

    /// The value, once no thread can have the lock any more.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Lets mutators wait until another one has changed what a [`Lock`] protects.
#[derive(Debug, Default)]
pub struct Condition(Condvar);

impl Condition {
    /// A condition nobody waits for.
    pub const fn new() -> Self {
        Self(Condvar::new())
    }

    /// Releases the lock, waits inside [`Mutator::blocking`] until notified, and takes the lock
    /// again. May return without a notification: check what was waited for in a loop, or use
    /// [`Condition::wait_while`].
    pub fn wait<'l, T, M: Mutator>(&self, mutator: &mut M, guard: Guard<'l, T>) -> Guard<'l, T> {
        Guard(mutator.blocking(|| self.0.wait(guard.0).unwrap_or_else(PoisonError::into_inner)))
    }

    /// Waits for as long as `condition` holds.
    pub fn wait_while<'l, T, M: Mutator>(
        &self,
        mutator: &mut M,
        mut guard: Guard<'l, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Guard<'l, T> {
        while condition(&mut guard) {
            guard = self.wait(mutator, guard);
        }
        guard
    }

    /// Wakes one waiting thread, if there is one.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes every waiting thread.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A first-in, first-out queue between mutators which holds at most a given number of items.
///
/// To pass objects, pass their [globals](crate::heap::Heap::Global).
///
/// ```
/// use contract::heap::{Heap, Mutator};
/// use contract::sync::BoundedQueue;
///
/// fn sum<H: Heap>(heap: &H) -> u64 {
///     let queue = BoundedQueue::new(4);
///     std::thread::scope(|scope| {
///         scope.spawn(|| {
///             heap.attach(|m| {
///                 for item in 0..100 {
///                     queue.push(m, item).unwrap();
///                 }
///                 queue.close(m);
///             });
///         });
///         heap.attach(|m| {
///             let mut sum = 0;
///             while let Some(item) = queue.pop(m) {
///                 sum += item;
///             }
///             sum
///         })
///     })
/// }
/// ```
#[derive(Debug)]
pub struct BoundedQueue<T> {
    state: Lock<Queue<T>>,
    capacity: usize,
    not_empty: Condition,
    not_full: Condition,
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> BoundedQueue<T> {
    /// An empty, open queue for at most `capacity` items.
    ///
    /// # Panics
    ///
    /// If `capacity` is zero: nothing could ever be pushed.
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue needs room for at least one item");
        Self {
            state: Lock::new(Queue {
                items: VecDeque::with_capacity(capacity),
                closed: false,
            }),
            capacity,
            not_empty: Condition::new(),
            not_full: Condition::new(),
        }
    }

    /// Appends an item; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// The item, if the queue is closed (also while this waited).
    pub fn push<M: Mutator>(&self, mutator: &mut M, item: T) -> Result<(), T> {
        let guard = self.state.lock(mutator);
        let mut state = self.not_full.wait_while(mutator, guard, |queue| {
            queue.items.len() == self.capacity && !queue.closed
        });
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        drop(state);
        self.not_empty.notify_one();
        Ok(())
    }

    /// Removes the oldest item; waits while the queue is empty and open. `None` once it is closed
    /// and empty.
    pub fn pop<M: Mutator>(&self, mutator: &mut M) -> Option<T> {
        let guard = self.state.lock(mutator);
        let mut state = self.not_empty.wait_while(mutator, guard, |queue| {
            queue.items.is_empty() && !queue.closed
        });
        let item = state.items.pop_front()?;
        drop(state);
        self.not_full.notify_one();
        Some(item)
    }

    /// Refuses further items and wakes everybody; what is in the queue can still be popped.
    pub fn close<M: Mutator>(&self, mutator: &mut M) {
        self.state.lock(mutator).closed = true;
        self.not_empty.notify_all();
        self.not_full.notify_all();
    }
}
