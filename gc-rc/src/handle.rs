//! Handles that may leave the thread: globals and weak references.
//!
//! A [`Global`] is a counted root. Cloning one is an atomic increment of its own clone count, not
//! of the object's: the object's count is plain and belongs to the holder of the global lock, and a
//! `Global` may be cloned and dropped anywhere, at any time, in a thread-local's destructor as well
//! as after the heap is gone. So the last clone to be dropped only *posts* its cell to the heap's
//! mailbox, a lock-free stack (Treiber 1986); the holder of the lock empties it when it next polls,
//! and takes the count back then.
//!
//! The mailbox outlives the heap. When the heap goes it closes the mailbox, and cells that are
//! posted afterwards just free themselves. Because cells are taken all at once and never one by
//! one, the stack has no ABA problem.
//!
//! A [`Weak`] shares one cell with all weak references to the same object; the heap finds it
//! through a table keyed by object, which is looked at only for objects whose header says that they
//! have an entry. When the object dies, the entry goes and the cell is emptied. Cloning and
//! dropping touch the cell's count only. An entry that no weak reference is left of goes when the
//! table would have to grow, and in collections of everything.
//!
//! # Memory
//!
//! Globals are linked through their cells, and so are the cleared weak references that await to be
//! asked for: neither list can outgrow what it lists, nor be refused memory. What is left to refuse
//! is a cell, or an entry of the table, when a handle is made: the error of that operation, which
//! changes nothing then.
//!
//! Rejected: a vector of globals and a queue of cleared references. A death clears references where
//! no error can be told, so the queue would have to be set aside for every weak reference that
//! might ever be cleared.
//!
//! # Invariants
//!
//! 1. A global's cell owns one count of its object from its making until it is taken out of the
//!    mailbox. It is linked into the heap's list of globals for exactly that time.
//! 2. A weak cell is empty, or its object has `HAS_WEAK` set and is the key of the cell's entry.
//!    Only the holder of the lock reads or writes what it points to.
//! 3. A weak cell is linked into the queue of cleared ones at most once, after it was emptied; the
//!    queue has a handle to it.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::Relaxed;

use crate::count::released;
use crate::full::{FullCause, HeapFull};
use crate::gil::RELEASE;
use crate::heap::{Inner, Locked};
use crate::object::{Object, tag};
use crate::primitive::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, Plain};
use crate::room;
use crate::shared::{Counted, Shared, try_box};
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
    /// `None` if the system has no memory for it.
    pub(crate) fn new() -> Option<Shared<Self>> {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        Shared::new(Self {
            id: NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            poll: AtomicU32::new(0),
            head: AtomicPtr::new(ptr::null_mut()),
        })
    }

    /// Leaves a cell, whose last clone is gone, for release.
    fn post(cell: NonNull<GlobalCell>) {
        let pointer = cell.as_ptr();
        // From the moment the cell is in the stack it belongs to the heap and may be freed, and
        // with the heap the mailbox: so the cell's share of the mailbox moves here first. SAFETY:
        // the last clone is gone: nobody else uses the cell, and it gives its share up this once.
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
                // Acquire: see `take`.
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

    /// Takes the stack of cells that were posted, and withdraws the request to do so.
    fn take(&self) -> *mut GlobalCell {
        // The bit goes first: whoever posts after the stack is taken sets it again. The exchange
        // releases, and a post acquires, so that the two changes of the bit happen in this order
        // also for a processor that reorders them; else the bit of a post could get lost, and with
        // it every later release.
        self.poll.fetch_and(!RELEASE, Ordering::Relaxed);
        self.head.swap(ptr::null_mut(), Ordering::AcqRel)
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
    mailbox: ManuallyDrop<Shared<Mailbox>>,
    clones: AtomicUsize,
    pub(crate) object: Object,
    /// The next cell in the mailbox.
    next: Plain<*mut GlobalCell>,
    /// The neighbours in the heap's list; protected by the lock.
    previous: Plain<*mut GlobalCell>,
    following: Plain<*mut GlobalCell>,
}

/// The globals of a heap: those made and not yet released, the newest first.
pub(crate) struct Globals {
    first: Plain<*mut GlobalCell>,
    len: Cell<usize>,
}

impl Globals {
    pub(crate) fn new() -> Self {
        Self {
            first: Plain::new(ptr::null_mut()),
            len: Cell::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// Links a new cell.
    fn link(&self, cell: Box<GlobalCell>) -> NonNull<GlobalCell> {
        let cell = Box::leak(cell);
        cell.following.set(self.first.get());
        let cell = NonNull::from(cell);
        // SAFETY: invariant 1: what is linked has not been freed.
        if let Some(second) = unsafe { self.first.get().as_ref() } {
            second.previous.set(cell.as_ptr());
        }
        self.first.set(cell.as_ptr());
        self.len.set(self.len.get() + 1);
        cell
    }

    /// Unlinks a cell of this heap.
    fn unlink(&self, cell: &GlobalCell) {
        let (previous, following) = (cell.previous.get(), cell.following.get());
        // SAFETY: invariant 1: what is linked has not been freed.
        let (before, after) = unsafe { (previous.as_ref(), following.as_ref()) };
        before
            .map_or(&self.first, |before| &before.following)
            .set(following);
        if let Some(after) = after {
            after.previous.set(previous);
        }
        self.len.set(self.len.get() - 1);
    }

    /// The objects of all globals.
    pub(crate) fn objects(&self) -> impl Iterator<Item = Object> {
        // SAFETY: invariant 1: what is linked has not been freed.
        let first = unsafe { self.first.get().as_ref() };
        std::iter::successors(first, |cell| {
            // SAFETY: as above.
            unsafe { cell.following.get().as_ref() }
        })
        .map(|cell| cell.object)
    }
}

/// A counted root that may be kept anywhere and dropped on any thread at any time.
///
/// Dropping the last clone only queues a release, which the next thread that polls while it holds
/// the heap's lock carries out; the object may die then. A `Global` does not keep its heap alive:
/// once the heap is gone, it is inert.
pub struct Global(NonNull<GlobalCell>);

// SAFETY: clones share the cell's atomic count and the immutable pointers beside it; the object is
// only touched by a mutator that opens the global, under the lock, and `next` and `index` only by
// whoever owns the cell by invariant 1.
unsafe impl Send for Global {}
// SAFETY: as above.
unsafe impl Sync for Global {}

impl Global {
    fn cell(&self) -> &GlobalCell {
        // SAFETY: the cell lives until its last clone is gone.
        unsafe { self.0.as_ref() }
    }

    /// Makes a root of `object`.
    pub(crate) fn new(locked: Locked<'_>, object: Object) -> Result<Self, HeapFull> {
        let global = Self::uncounted(locked, object)?;
        locked.retain(object);
        Ok(global)
    }

    /// Makes a root of `object`, whose reference the caller counts.
    #[inline(always)]
    pub(crate) fn uncounted(locked: Locked<'_>, object: Object) -> Result<Self, HeapFull> {
        let cell = try_box(GlobalCell {
            mailbox: ManuallyDrop::new(locked.inner.mailbox.clone()),
            clones: AtomicUsize::new(1),
            object,
            next: Plain::new(ptr::null_mut()),
            previous: Plain::new(ptr::null_mut()),
            following: Plain::new(ptr::null_mut()),
        });
        match cell {
            Ok(cell) => Ok(Self(locked.globals.link(cell))),
            Err(cell) => {
                drop(ManuallyDrop::into_inner(cell.mailbox));
                Err(no_memory::<GlobalCell>(locked))
            }
        }
    }

    /// The object, which this handle keeps alive.
    pub(crate) fn object(&self, locked: Locked<'_>) -> Object {
        self.object_of(locked.inner)
    }

    /// The object, of this heap.
    #[inline]
    pub(crate) fn object_of(&self, heap: &Inner) -> Object {
        let cell = self.cell();
        if !ptr::eq(cell.mailbox.address(), heap.mailbox.address()) {
            wrong_heap("global", cell.mailbox.id, heap);
        }
        cell.object
    }
}

/// The system has no memory for a handle's cell.
#[cold]
#[inline(never)]
fn no_memory<T>(locked: Locked<'_>) -> HeapFull {
    HeapFull {
        requested: size_of::<T>() as u64,
        limit: locked.inner.counters.limit(),
        cause: FullCause::System,
    }
}

#[cold]
#[inline(never)]
fn wrong_heap(what: &str, id: u64, heap: &Inner) -> ! {
    panic!(
        "gc-rc: a {what} of heap {id} was used on heap {}",
        heap.mailbox.id
    )
}

impl Clone for Global {
    fn clone(&self) -> Self {
        // As for `Arc`: a new clone needs no ordering, and so many clones that the count overflows
        // cannot be but forgotten ones.
        if self.cell().clones.fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
            std::process::abort();
        }
        Self(self.0)
    }
}

impl Drop for Global {
    fn drop(&mut self) {
        if self.cell().clones.fetch_sub(1, Ordering::Release) == 1 {
            // What was done through the other clones is done. A load, as `ThreadSanitizer` knows no
            // fences.
            self.cell().clones.load(Ordering::Acquire);
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
    /// Nanoseconds from the heap's origin until the object died, plus one; 0 before. Written before
    /// the object is cleared.
    died: AtomicU64,
    /// The next cell in the queue of cleared ones; protected by the lock.
    next: AtomicPtr<Counted<WeakCell>>,
}

impl WeakCell {
    /// Clears the cell of an object that died at `now`, in nanoseconds from the heap's origin.
    fn clear_at(&self, now: u64) {
        self.died.store(now + 1, Ordering::Relaxed);
        self.clear();
    }

    pub(crate) fn clear(&self) {
        // Release: see `Weak::cleared_at`.
        self.object.store(ptr::null_mut(), Ordering::Release);
    }

    /// The object, if the cell is not empty.
    #[inline]
    pub(crate) fn object(&self) -> Option<Object> {
        // Acquire: without the global lock another thread may have made it.
        Object::of_pointer(self.object.load(Ordering::Acquire))
    }
}

/// Weak references that were cleared and not yet asked for, in the order of death.
pub(crate) struct Cleared {
    first: Cell<*mut Counted<WeakCell>>,
    last: Cell<*mut Counted<WeakCell>>,
    len: Cell<usize>,
    /// The length at which the queue is next looked through for those that nobody has any more.
    crowded: Cell<usize>,
}

impl Cleared {
    const LEAST: usize = 8;

    pub(crate) fn new() -> Self {
        Self {
            first: Cell::new(ptr::null_mut()),
            last: Cell::new(ptr::null_mut()),
            len: Cell::new(0),
            crowded: Cell::new(Self::LEAST),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    fn push(&self, cell: Shared<WeakCell>) {
        if self.len.get() >= self.crowded.get() {
            // A client that never asks should not pay for ever.
            self.forget_unheld();
        }
        self.append(cell);
    }

    /// Forgets what only the queue still has, which is of no interest.
    fn forget_unheld(&self) {
        for _ in 0..self.len.get() {
            if let Some(cell) = self.pop()
                && cell.handles() > 1
            {
                self.append(cell);
            }
        }
        self.crowded.set((2 * self.len.get()).max(Self::LEAST));
    }

    fn append(&self, cell: Shared<WeakCell>) {
        cell.next.store(ptr::null_mut(), Ordering::Relaxed);
        let cell = cell.into_raw();
        // SAFETY: invariant 3: what is linked is alive.
        match unsafe { Shared::get(self.last.replace(cell)) } {
            Some(last) => last.next.store(cell, Ordering::Relaxed),
            None => self.first.set(cell),
        }
        self.len.set(self.len.get() + 1);
    }

    fn pop(&self) -> Option<Shared<WeakCell>> {
        // SAFETY: invariant 3: `append` made the pointer, and it leaves the queue here.
        let cell = unsafe { Shared::from_raw(self.first.get()) }?;
        let next = cell.next.load(Ordering::Relaxed);
        self.first.set(next);
        if next.is_null() {
            self.last.set(next);
        }
        self.len.set(self.len.get() - 1);
        Some(cell)
    }

    /// The next one.
    pub(crate) fn take(&self) -> Option<Weak> {
        self.pop().map(Weak)
    }
}

impl Drop for Cleared {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// A weak reference: it does not keep its object alive, and never yields a dead one. Two are equal
/// if they refer to the same object, also after its death.
#[derive(Clone)]
pub struct Weak(Shared<WeakCell>);

impl Weak {
    /// The weak reference to `object`.
    pub(crate) fn new(locked: Locked<'_>, object: Object) -> Result<Self, HeapFull> {
        let weak = Self::listed(locked, object, forget_weak)?;
        object.insert(tag::HAS_WEAK);
        Ok(weak)
    }

    /// The weak reference to `object`, whose tag the caller has say so. `forget` is called with
    /// objects that no weak reference is left to, and has their tags say that.
    #[inline(always)]
    pub(crate) fn listed(
        locked: Locked<'_>,
        object: Object,
        forget: impl Fn(Object),
    ) -> Result<Self, HeapFull> {
        if object.shared_head().load(Relaxed) & tag::HAS_WEAK != 0
            && let Some(cell) = locked.weak.borrow().get(&object)
        {
            return Ok(Self(cell.clone()));
        }
        let cell = locked.new_weak_cell(object, forget);
        cell.map(Self).ok_or_else(|| no_memory::<WeakCell>(locked))
    }

    /// The object, unless it is dead or about to be: one whose count is zero only awaits the next
    /// drain.
    pub(crate) fn object(&self, locked: Locked<'_>) -> Option<Object> {
        self.object_of(locked.inner)
            .filter(|object| object.count() > 0)
    }

    /// The object, of this heap, until the reference is cleared.
    #[inline]
    pub(crate) fn object_of(&self, heap: &Inner) -> Option<Object> {
        if self.0.heap != heap.mailbox.id {
            wrong_heap("weak reference", self.0.heap, heap);
        }
        self.0.object()
    }
}

impl Weak {
    /// When the object died: the time, in nanoseconds since the heap's
    /// [`origin`](crate::Heap::origin), at which this reference was cleared. `None` as long as it
    /// is not, and if the heap went before the object did. Reads two atomics; any thread may ask at
    /// any time.
    ///
    /// So a weak reference is a sentinel for the delay of reclamation: the program takes the time
    /// when it drops the last reference to an object, and the difference is how long the object was
    /// garbage that nobody had noticed.
    ///
    /// ```
    /// use gc_rc::{Heap, HeapFull, Shape};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [local]| {
    ///         m.alloc(local, Shape::new(0, 0))?;
    ///         let weak = m.downgrade(m.get(local).expect("just made"));
    ///         let dropped = heap.origin().elapsed().as_nanos() as u64;
    ///         m.set(local, None);
    ///         m.collect();
    ///         assert!(weak.cleared_at().is_some_and(|died| died >= dropped));
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        ptr::eq(self.0.address(), other.0.address())
    }
}

impl Eq for Weak {}

impl Hash for Weak {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.address().hash(state);
    }
}

impl fmt::Debug for Weak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weak")
            .field("heap", &self.0.heap)
            .finish_non_exhaustive()
    }
}

impl<W: Witness> Locked<'_, W> {
    /// Releases the globals in the mailbox. Objects may become pending.
    #[cold]
    #[inline(never)]
    pub(crate) fn release_globals(self) {
        self.take_globals(|object| {
            self.note(|| released(None, object));
            self.unrecorded().release(object);
        });
        self.unrecorded().account_metadata();
    }

    /// Empties the mailbox, and calls `release` with the objects of the globals in it.
    pub(crate) fn take_globals(self, mut release: impl FnMut(Object)) {
        let mut head = self.inner.mailbox.take();
        while !head.is_null() {
            // SAFETY: cells in the stack belong to the heap, that is, to the holder of its lock.
            // They were made by `Box`; the mailbox share was moved out by `post`.
            let cell = unsafe { Box::from_raw(head) };
            head = cell.next.get();
            self.globals.unlink(&cell);
            release(cell.object);
        }
    }
}

impl Locked<'_> {
    /// A cell for the first weak reference to `object`, with its entry in the table; `None` if the
    /// system has no memory.
    #[cold]
    #[inline(never)]
    fn new_weak_cell(self, object: Object, forget: impl Fn(Object)) -> Option<Shared<WeakCell>> {
        let mut table = self.weak.borrow_mut();
        if table.len() == table.capacity() {
            // Room for twice as many as are left, so that the table is looked through as seldom as
            // it grows.
            forget_unheld(&mut table, forget);
            let entries = table.len();
            if !room::set_aside(&mut *table, 2 * entries)
                && !room::set_aside(&mut *table, entries + 1)
            {
                return None;
            }
        }
        let entries = table.len();
        if !room::set_aside(&mut *table, entries + 1) {
            return None;
        }
        let cell = Shared::new(WeakCell {
            heap: self.inner.mailbox.id,
            object: AtomicPtr::new(object.raw()),
            died: AtomicU64::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
        })?;
        table.insert(object, cell.clone());
        Some(cell)
    }

    /// Forgets the objects that no weak reference is left to, and notices that nobody could ask
    /// for. Cost: a look at each.
    pub(crate) fn forget_unheld_weak(self) {
        forget_unheld(&mut self.weak.borrow_mut(), forget_weak);
        self.cleared.forget_unheld();
    }

    /// Clears the weak references to a dying object and queues them for
    /// [`cleared`](crate::Mutator::cleared), if anybody still has one.
    pub(crate) fn clear_weak(self, object: Object) {
        forget_weak(object);
        self.clear_weak_cell(object);
    }

    /// [`Self::clear_weak`] of an object whose tag says already that it has none.
    pub(crate) fn clear_weak_cell(self, object: Object) {
        let mut table = self.weak.borrow_mut();
        let Some(cell) = table.remove(&object) else {
            return;
        };
        if room::is_sparse(&*table, table.len()) {
            drop(table);
            self.account_metadata();
        }
        if cell.handles() == 1 {
            // Nobody has the cell, and nobody can get it.
            return;
        }
        let now = self.inner.recorder.since(std::time::Instant::now());
        cell.clear_at(now);
        self.cleared.push(cell);
    }
}

/// Removes the entries of which only the table has the cell, which nobody can get but from there.
fn forget_unheld(table: &mut HashMap<Object, Shared<WeakCell>>, forget: impl Fn(Object)) {
    table.retain(|object, cell| {
        let held = cell.handles() > 1;
        if !held {
            forget(*object);
        }
        held
    });
}

/// The object, which nobody else uses now, has no entry any more.
fn forget_weak(object: Object) {
    object.remove(tag::HAS_WEAK);
}

/// Models of what handles do without the lock, run under every interleaving:
/// `RUSTFLAGS="--cfg loom" cargo test -p gc-rc --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::thread;

    /// What nobody looks at.
    fn object() -> Object {
        // SAFETY: the models never use what it points to.
        unsafe { Object::from_raw(ptr::without_provenance_mut(16)) }
    }

    /// What stands for a number in a model's cell: the models link no lists.
    fn number(number: usize) -> *mut GlobalCell {
        ptr::without_provenance_mut(16 * number)
    }

    fn global(mailbox: &Shared<Mailbox>, index: usize) -> Global {
        let cell = Box::into_raw(Box::new(GlobalCell {
            mailbox: ManuallyDrop::new(mailbox.clone()),
            clones: AtomicUsize::new(1),
            object: object(),
            next: Plain::new(ptr::null_mut()),
            previous: Plain::new(number(index)),
            following: Plain::new(ptr::null_mut()),
        }));
        // SAFETY: a box is not null.
        Global(unsafe { NonNull::new_unchecked(cell) })
    }

    /// Frees what was posted, as the holder of the lock does when it polls; says which cells those
    /// were.
    fn poll(mailbox: &Mailbox) -> Vec<usize> {
        let mut indices = Vec::new();
        if mailbox.poll.load(Ordering::Relaxed) & RELEASE == 0 {
            return indices;
        }
        let mut head = mailbox.take();
        while !head.is_null() {
            // SAFETY: as in `release_globals`.
            let cell = unsafe { Box::from_raw(head) };
            head = cell.next.get();
            indices.push(cell.previous.get() as usize / 16);
        }
        indices
    }

    /// Whoever drops the last clone, the cell is freed after the others have looked at it, once.
    #[test]
    fn a_cell_is_freed_after_its_last_use() {
        loom::model(|| {
            let mailbox = Mailbox::new().unwrap();
            let one = global(&mailbox, 7);
            let two = one.clone();
            let users = [one, two].map(|global| {
                thread::spawn(move || {
                    assert_eq!(global.cell().previous.get(), number(7));
                    drop(global);
                })
            });
            let mut freed = poll(&mailbox);
            for user in users {
                user.join().unwrap();
            }
            freed.extend(poll(&mailbox));
            assert_eq!(freed, [7]);
            assert_eq!(mailbox.handles(), 1);
        });
    }

    /// Posted while the holder takes what was posted before: nothing is lost, and the request is
    /// there as long as something is to be taken.
    #[test]
    fn what_is_posted_is_taken_once() {
        loom::model(|| {
            let mailbox = Mailbox::new().unwrap();
            let posts = [1, 2].map(|index| {
                let global = global(&mailbox, index);
                thread::spawn(move || {
                    // A write that freeing must not overtake, as those of the holder who made the
                    // global are.
                    global.cell().previous.set(number(10 * index));
                    drop(global);
                })
            });
            let mut freed = poll(&mailbox);
            for post in posts {
                post.join().unwrap();
            }
            freed.extend(poll(&mailbox));
            freed.sort_unstable();
            assert_eq!(freed, [10, 20]);
            assert_eq!(mailbox.poll.load(Ordering::Relaxed) & RELEASE, 0);
            assert_eq!(mailbox.head.load(Ordering::Relaxed), ptr::null_mut());
        });
    }

    /// The heap goes while the last clone of a global is dropped: one of the two frees the cell.
    #[test]
    fn a_heap_that_goes_frees_what_was_posted() {
        loom::model(|| {
            let mailbox = Mailbox::new().unwrap();
            let users = [1, 2].map(|index| {
                let global = global(&mailbox, index);
                thread::spawn(move || {
                    global.cell().previous.set(ptr::null_mut());
                    drop(global);
                })
            });
            mailbox.close();
            for user in users {
                user.join().unwrap();
            }
            assert_eq!(mailbox.head.load(Ordering::Relaxed), CLOSED);
            assert_eq!(mailbox.handles(), 1);
        });
    }

    /// Who sees that a weak reference is cleared sees when, and all that was written before.
    #[test]
    fn a_cleared_reference_knows_when() {
        loom::model(|| {
            let weak = Weak(
                Shared::new(WeakCell {
                    heap: 0,
                    object: AtomicPtr::new(object().raw()),
                    died: AtomicU64::new(0),
                    next: AtomicPtr::new(ptr::null_mut()),
                })
                .unwrap(),
            );
            let died = {
                let weak = weak.clone();
                thread::spawn(move || weak.0.clear_at(41))
            };
            let seen = weak.0.object.load(Ordering::Relaxed).is_null();
            let at = weak.cleared_at();
            assert!(at == Some(41) || at.is_none() && !seen, "{at:?}");
            died.join().unwrap();
            assert_eq!(weak.cleared_at(), Some(41));
        });
    }
}
