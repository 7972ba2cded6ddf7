//! Handles that may leave the thread: globals and weak references.
//!
//! A [`Global`] is a counted root. Cloning one is an atomic increment of its own clone count, not of the object's: the object's count is plain and
//! belongs to the holder of the global lock, and a `Global` may be cloned and dropped anywhere, at any time, in a
//! thread-local's destructor as well as after the heap is gone. So the last clone to be dropped only *posts* its cell to the heap's
//! mailbox, a lock-free stack (Treiber 1986); the holder of the lock empties it when it next polls, and takes the count back then.
//!
//! The mailbox outlives the heap. When the heap goes it closes the mailbox, and cells that are posted afterwards just free themselves. Because
//! cells are taken all at once and never one by one, the stack has no ABA problem.
//!
//! A [`Weak`] shares one cell with all weak references to the same object; the heap finds it through a table keyed by
//! object, which is looked at only for objects whose header says that they have an entry. When the object dies, the
//! entry goes and the cell is emptied. Cloning and dropping touch the cell's `Arc` only.
//!
//! # Invariants
//!
//! 1. A global's cell owns one count of its object from its making until it is taken out of the mailbox. It is listed in the
//!    heap's table of globals for exactly that time, at the index it knows.
//! 2. A weak cell is empty, or its object has `HAS_WEAK` set and is the key of the cell's entry. Only the holder of
//!    the lock reads or writes what it points to.

use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

use crate::count::released;
use crate::gil::RELEASE;
use crate::heap::Locked;
use crate::object::{Object, tag};
use crate::primitive::AtomicU32;
use crate::step::Witness;

/// What others leave for the holder of the lock. Lives as long as any handle.
pub(crate) struct Mailbox {
    /// The heap's number, never reused.
    pub(crate) id: u64,
    /// Requests to the holder of the lock: bits of [`crate::gil`].
    pub(crate) poll: AtomicU32,
    /// The stack of cells to release; [`CLOSED`] once the heap is gone.
    head: AtomicPtr<GlobalCell>,
}

const CLOSED: *mut GlobalCell = ptr::without_provenance_mut(1);

impl Mailbox {
    pub(crate) fn new() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            poll: AtomicU32::new(0),
            head: AtomicPtr::new(ptr::null_mut()),
        })
    }

    /// Leaves a cell, whose last clone is gone, for release.
    fn post(cell: NonNull<GlobalCell>) {
        let pointer = cell.as_ptr();
        // From the moment the cell is in the stack it belongs to the heap and may be freed, and with the heap the
        // mailbox: so the cell's share of the mailbox moves here first.
        // SAFETY: the last clone is gone: nobody else uses the cell, and it gives its share up this once.
        let mailbox = unsafe { ptr::read(&raw const (*pointer).mailbox) };
        let mailbox = ManuallyDrop::into_inner(mailbox);
        let mut head = mailbox.head.load(Ordering::Relaxed);
        loop {
            if head == CLOSED {
                // SAFETY: as above; the cell was made by `Box`.
                drop(unsafe { Box::from_raw(pointer) });
                return;
            }
            // SAFETY: as above.
            unsafe { (*pointer).next.set(head) };
            match mailbox.head.compare_exchange_weak(
                head,
                pointer,
                // Acquire: see `release_globals`.
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        if head.is_null() {
            mailbox.poll.fetch_or(RELEASE, Ordering::Relaxed);
        }
    }

    /// Closes the mailbox for good, and frees what it holds.
    pub(crate) fn close(&self) {
        let mut head = self.head.swap(CLOSED, Ordering::Acquire);
        while !head.is_null() {
            // SAFETY: cells in the stack belong to the heap, which is going away.
            let cell = unsafe { Box::from_raw(head) };
            head = cell.next.get();
        }
    }
}

/// What the clones of a global share.
pub(crate) struct GlobalCell {
    /// Moved out when the cell is posted.
    mailbox: ManuallyDrop<Arc<Mailbox>>,
    clones: AtomicUsize,
    pub(crate) object: Object,
    /// The next cell in the mailbox.
    next: Cell<*mut GlobalCell>,
    /// Where the heap lists the cell; protected by the lock.
    pub(crate) index: Cell<usize>,
}

/// A counted root that may be kept anywhere and dropped on any thread at any time.
///
/// Dropping the last clone only queues a release, which the next thread that polls while it holds the heap's lock carries out; the
/// object may die then. A `Global` does not keep its heap alive: once the heap is gone, it is inert.
pub struct Global(NonNull<GlobalCell>);

// SAFETY: clones share the cell's atomic count and the immutable pointers beside it; the object is only touched by a mutator that opens
// the global, under the lock, and `next` and `index` only by whoever owns the cell by invariant 1.
unsafe impl Send for Global {}
// SAFETY: as above.
unsafe impl Sync for Global {}

impl Global {
    fn cell(&self) -> &GlobalCell {
        // SAFETY: the cell lives until its last clone is gone.
        unsafe { self.0.as_ref() }
    }

    /// Makes a root of `object`.
    pub(crate) fn new(locked: Locked<'_>, object: Object) -> Self {
        locked.retain(object);
        let mut globals = locked.globals.borrow_mut();
        let cell = Box::into_raw(Box::new(GlobalCell {
            mailbox: ManuallyDrop::new(locked.inner.mailbox.clone()),
            clones: AtomicUsize::new(1),
            object,
            next: Cell::new(ptr::null_mut()),
            index: Cell::new(globals.len()),
        }));
        globals.push(cell);
        // SAFETY: a box is not null.
        Self(unsafe { NonNull::new_unchecked(cell) })
    }

    /// The object, which this handle keeps alive.
    pub(crate) fn object(&self, locked: Locked<'_>) -> Object {
        let cell = self.cell();
        if !ptr::eq(
            Arc::as_ptr(&cell.mailbox),
            Arc::as_ptr(&locked.inner.mailbox),
        ) {
            wrong_heap("global", cell.mailbox.id, locked);
        }
        cell.object
    }
}

#[cold]
#[inline(never)]
fn wrong_heap(what: &str, id: u64, locked: Locked<'_>) -> ! {
    panic!(
        "gc-rc: a {what} of heap {id} was used on heap {}",
        locked.inner.mailbox.id
    )
}

impl Clone for Global {
    fn clone(&self) -> Self {
        // As for `Arc`: a new clone needs no ordering, and so many clones that the count overflows cannot be
        // but forgotten ones.
        if self.cell().clones.fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
            std::process::abort();
        }
        Self(self.0)
    }
}

impl Drop for Global {
    fn drop(&mut self) {
        if self.cell().clones.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            Mailbox::post(self.0);
        }
    }
}

impl fmt::Debug for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Global")
            .field("heap", &self.cell().mailbox.id)
            .finish_non_exhaustive()
    }
}

/// What weak references to one object share.
pub(crate) struct WeakCell {
    heap: u64,
    object: AtomicPtr<u8>,
    /// Nanoseconds from the heap's origin until the object died, plus one; 0 before. Written before the object is cleared.
    died: AtomicU64,
}

impl WeakCell {
    pub(crate) fn clear(&self) {
        // Release: see `Weak::cleared_at`.
        self.object.store(ptr::null_mut(), Ordering::Release);
    }

    /// The object, if the cell is not empty.
    pub(crate) fn object(&self, _locked: Locked<'_>) -> Option<Object> {
        let object = self.object.load(Ordering::Relaxed);
        if object.is_null() {
            return None;
        }
        // SAFETY: invariant 2: it is an object of this heap, whose lock the caller holds.
        Some(unsafe { Object::from_raw(object) })
    }
}

/// A weak reference: it does not keep its object alive, and never yields a dead one. Two are equal if they refer to
/// the same object, also after its death.
#[derive(Clone)]
pub struct Weak(Arc<WeakCell>);

impl Weak {
    /// The weak reference to `object`.
    pub(crate) fn new(locked: Locked<'_>, object: Object) -> Self {
        let mut table = locked.weak.borrow_mut();
        let cell = table.entry(object).or_insert_with(|| {
            object.insert(tag::HAS_WEAK);
            Arc::new(WeakCell {
                heap: locked.inner.mailbox.id,
                object: AtomicPtr::new(object.raw()),
                died: AtomicU64::new(0),
            })
        });
        Self(cell.clone())
    }

    /// The object, unless it is dead or about to be: one whose count is zero only awaits the next drain.
    pub(crate) fn object(&self, locked: Locked<'_>) -> Option<Object> {
        if self.0.heap != locked.inner.mailbox.id {
            wrong_heap("weak reference", self.0.heap, locked);
        }
        self.0.object(locked).filter(|object| object.count() > 0)
    }
}

impl Weak {
    /// When the object died: the time, in nanoseconds since the heap's [`origin`](crate::Heap::origin), at which this reference was cleared. `None` as
    /// long as it is not, and if the heap went before the object did. Reads two atomics; any thread may ask at any time.
    ///
    /// So a weak reference is a sentinel for the delay of reclamation: the program takes the time when it drops the last reference to an
    /// object, and the difference is how long the object was garbage that nobody had noticed.
    pub fn cleared_at(&self) -> Option<u64> {
        // Acquire: pairs with the release store that cleared it.
        if !self.0.object.load(Ordering::Acquire).is_null() {
            return None;
        }
        self.0.died.load(Ordering::Relaxed).checked_sub(1)
    }
}

impl PartialEq for Weak {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Weak {}

impl Hash for Weak {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Debug for Weak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weak")
            .field("heap", &self.0.heap)
            .finish_non_exhaustive()
    }
}

impl Locked<'_> {
    /// Releases the globals in the mailbox. Objects may become pending.
    #[cold]
    #[inline(never)]
    pub(crate) fn release_globals<W: Witness>(self, witness: W) {
        let mailbox = &self.inner.mailbox;
        // The bit goes first: whoever posts after the stack is taken sets it again. The exchange releases, and a post acquires, so that
        // the two changes of the bit happen in this order also for a processor that reorders them; else the bit of a post could
        // get lost, and with it every later release.
        mailbox
            .poll
            .fetch_and(!RELEASE, crate::primitive::Ordering::Relaxed);
        let mut head = mailbox.head.swap(ptr::null_mut(), Ordering::AcqRel);
        let mut globals = self.globals.borrow_mut();
        while !head.is_null() {
            // SAFETY: cells in the stack belong to the heap, that is, to the holder of its lock. They were made by `Box`; the mailbox
            // share was moved out by `post`.
            let cell = unsafe { Box::from_raw(head) };
            head = cell.next.get();
            let index = cell.index.get();
            globals.swap_remove(index);
            if let Some(&moved) = globals.get(index) {
                // SAFETY: invariant 1: listed cells have not been freed.
                unsafe { (*moved).index.set(index) };
            }
            witness.note(|| released(None, cell.object, cell.object.head()));
            self.release(cell.object);
        }
    }

    /// Clears the weak references to a dying object and queues them for [`cleared`](crate::Mutator::cleared), if anybody still has one.
    pub(crate) fn clear_weak(self, object: Object) {
        object.remove(tag::HAS_WEAK);
        let Some(cell) = self.weak.borrow_mut().remove(&object) else {
            return;
        };
        if Arc::strong_count(&cell) == 1 {
            // Nobody has the cell, and nobody can get it.
            return;
        }
        let now = self.inner.recorder.since(std::time::Instant::now());
        cell.died.store(now + 1, Ordering::Relaxed);
        cell.clear();
        let mut cleared = self.cleared.borrow_mut();
        if cleared.len() == cleared.capacity() {
            // A client that never asks should not pay for ever: what only the queue still has is of no interest.
            cleared.retain(|weak| Arc::strong_count(&weak.0) > 1);
            let room = cleared.len().max(8);
            cleared.reserve(room);
        }
        cleared.push_back(Weak(cell));
    }
}
