//! A thread's way into the heap: attaching, frames, allocation, access to objects.
//!
//! # The one rule
//!
//! **Nothing this mutator could have read since its last `&mut self` operation is reclaimed before
//! its next one.** Operations on `&Mutator` read and write; they never free, collect or switch
//! threads. Operations on `&mut Mutator` may do all three. A [`Ref`] borrows the mutator shared, so
//! that the borrow checker ends it before anything could invalidate it.
//!
//! # Invariants
//!
//! 1. While safe code can use a `Mutator` (that is, from `attach` to its end, but for the body of
//!    `blocking`, which borrows it), its thread holds the heap's lock. Hence [`Mutator::locked`].
//! 2. The collector reads a mutator's `frames` while its thread holds `&mut Mutator` somewhere up
//!    its stack (in `blocking`). `PhantomPinned` keeps that reference from promising otherwise, and
//!    the field is a `Cell`.
//! 3. A `Ref<'m, 'h>` is an object of the heap that `'h` brands, and stays one for `'m`: objects go
//!    by drains and collections only, which are `&mut` operations of mutators that hold the lock.

use std::cell::Cell;
use std::fmt;
use std::marker::{PhantomData, PhantomPinned};
use std::ptr;

use handshake::process::Resident;

use crate::alloc::{self, LARGE};
use crate::count::{self, release, retain};
use crate::cycle::OLDEST;
use crate::event::is_telling;
use crate::frame::{Brand, FrameHead, FrameRecord, Local};
use crate::full::HeapFull;
use crate::gil::{COLLECT, DROP, Leave, TELL};
use crate::handle::{Global, Weak};
use crate::heap::{Heap, Inner, Locked};
use crate::object::{Flags, HEADER_BYTES, ONE, Object, Shape, Slot, edges, is_tracked, tag};
use crate::primitive::Ordering;
use crate::regime::{GlobalLock, Regime};
use crate::step::{Place, Record, Step, Witness};

/// Bytes that a lazy heap frees for each byte that is allocated: more than one, so that what is
/// dead does not pile up.
const LAZY_RATE: usize = 2;

thread_local! {
    /// Whether this thread is attached to a heap and not inside `blocking`. Constant and without a
    /// destructor, so that it can be used in other thread-locals' destructors.
    pub(crate) static ATTACHED: Cell<bool> = const { Cell::new(false) };
}

/// # Panics
///
/// If this thread is attached, and not inside `blocking`.
pub(crate) fn assert_unattached() {
    assert!(
        !ATTACHED.get(),
        "gc-rc: this thread is already attached to a heap: attach a second time only inside \
         `blocking`"
    );
}

/// An object seen since the last `&mut` operation of the mutator. Not a root: it costs nothing to
/// copy, and it ends at the next `&mut` operation. `Option<Ref>` is one word.
#[repr(transparent)]
pub struct Ref<'m, 'h> {
    pub(crate) object: Object,
    borrow: PhantomData<&'m ()>,
    brand: Brand<'h>,
}

impl Clone for Ref<'_, '_> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for Ref<'_, '_> {}

impl PartialEq for Ref<'_, '_> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.object == other.object
    }
}

impl Eq for Ref<'_, '_> {}

impl fmt::Debug for Ref<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ref({:p})", self.object.raw())
    }
}

impl Ref<'_, '_> {
    #[inline(always)]
    pub(crate) fn new(object: Object) -> Self {
        Self {
            object,
            borrow: PhantomData,
            brand: PhantomData,
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn object(self) -> Object {
        self.object
    }
}

/// A thread attached to a heap. `'h` is invariant and made afresh by each [`Heap::attach`], so that
/// references and locals of one heap do not type-check on another.
///
/// Costs given are those of the fast path.
pub struct Mutator<'h, R: Regime = GlobalLock> {
    pub(crate) inner: &'h R::Inner,
    pub(crate) frames: Cell<*const FrameHead>,
    pub(crate) id: u32,
    /// What the regime has for each mutator.
    pub(crate) own: R::Own,
    pub(crate) brand: Brand<'h>,
    /// See invariant 2.
    pub(crate) _pinned: PhantomPinned,
}

impl Heap {
    /// Attaches the calling thread for the length of `f`: waits for the global lock, runs `f`, and
    /// gives the lock up.
    ///
    /// # Panics
    ///
    /// If the thread is already attached to a heap of this crate, unless it is inside
    /// [`Mutator::blocking`]. After a fork, if the heap lacks other threads: see the crate's
    /// documentation.
    ///
    /// ```
    /// let heap = gc_rc::Heap::builder().limit(1 << 20).build()?;
    /// let numbers = std::thread::scope(|s| {
    ///     [s.spawn(|| heap.attach(|m| m.number())), s.spawn(|| heap.attach(|m| m.number()))]
    ///         .map(|thread| thread.join().expect("it does not panic"))
    /// });
    /// assert_eq!(numbers[0].min(numbers[1]), 0);
    /// assert_eq!(numbers[0].max(numbers[1]), 1);
    /// # Ok::<(), gc_rc::BuildError>(())
    /// ```
    pub fn attach<R>(&self, f: impl for<'h> FnOnce(&mut Mutator<'h>) -> R) -> R {
        assert_unattached();
        let inner = &*self.inner;
        inner.enter();
        let id = inner.enrol();
        let mut mutator = Mutator {
            inner,
            frames: Cell::new(ptr::null()),
            id,
            own: (),
            brand: PhantomData,
            _pinned: PhantomPinned,
        };
        inner.take_lock(id, false);
        ATTACHED.set(true);
        let attached = Attached {
            inner,
            id,
            roots: Roots::new(),
        };
        let frames = &raw const mutator.frames;
        attached.roots.link(&attached.locked().attached, frames);
        f(&mut mutator)
        // `attached` detaches, also if `f` unwinds.
    }
}

/// Where the frames of an attached mutator are: linked with those of the others for as long as it
/// is attached, and not moved meanwhile. The links are protected as the heap's tables are.
pub(crate) struct Roots {
    frames: Cell<*const Cell<*const FrameHead>>,
    /// Those of the one that attached before.
    next: Cell<*const Roots>,
}

impl Roots {
    pub(crate) fn new() -> Self {
        Self {
            frames: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
        }
    }

    /// Links these, whose mutator has its frames at `frames`, with those at `first`.
    pub(crate) fn link(&self, first: &Cell<*const Roots>, frames: *const Cell<*const FrameHead>) {
        self.frames.set(frames);
        self.next.set(first.replace(self));
    }

    pub(crate) fn unlink(&self, first: &Cell<*const Roots>) {
        let me: *const Self = self;
        let mut link = first;
        while !ptr::eq(link.get(), me) {
            // SAFETY: what is linked is attached, and this mutator is.
            link = unsafe { &(*link.get()).next };
        }
        link.set(self.next.get());
    }

    /// Calls `f` with the slots of all attached mutators' frames; none of them runs but this one.
    pub(crate) fn each_slot(locked: Locked<'_>, mut f: impl FnMut(&Slot)) {
        // SAFETY: what is linked is attached, and nobody else runs.
        let newest = unsafe { locked.attached.get().as_ref() };
        std::iter::successors(newest, |attached| {
            // SAFETY: as above.
            unsafe { attached.next.get().as_ref() }
        })
        .for_each(|attached| {
            // SAFETY: an attached mutator's `frames` exist, and they head its frames; nobody else
            // runs.
            unsafe { FrameHead::each_slot((*attached.frames.get()).get(), &mut f) }
        });
    }
}

/// An attached mutator, for as long as it is: it lies on its thread's stack, is not moved, and
/// detaches on drop.
pub(crate) struct Attached {
    inner: *const Inner,
    id: u32,
    roots: Roots,
}

impl Attached {
    fn inner(&self) -> &Inner {
        // SAFETY: it was made from a reference that lasts as long as the mutator is attached.
        unsafe { &*self.inner }
    }

    fn locked(&self) -> Locked<'_> {
        // SAFETY: the thread has the lock from before this value is made until it is dropped, but
        // for the body of `blocking`, in which nobody reaches it.
        unsafe { Locked::new(self.inner(), self.id) }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let locked = self.locked();
        if !locked.inner.may_enter() {
            // Every other operation is refused for ever, so nobody comes to what stays linked.
            ATTACHED.set(false);
            return;
        }
        locked.settle();
        locked.clear_up_after_listener();
        locked.account_metadata();
        self.roots.unlink(&locked.inner.protected.attached);
        ATTACHED.set(false);
        self.inner().drop_lock(self.id, Leave::ForGood);
        self.inner().resign(self.id);
    }
}

impl<'h> Mutator<'h> {
    #[inline(always)]
    pub(crate) fn locked(&self) -> Locked<'h> {
        // SAFETY: invariant 1.
        unsafe { Locked::new(self.inner, self.id) }
    }

    /// What [events](crate::Event) call this mutator: mutators are numbered from 0 in order of
    /// attachment to their heap, and no number is used again.
    pub fn number(&self) -> u32 {
        self.id
    }

    // ---- may free, collect, or switch threads

    /// Makes an object of `shape`, fields null and words zero, and stores it in `into`.
    ///
    /// Never switches threads. Drains pending deaths; collects at the limit only.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` is then untouched. A shape larger than the limit fails at once, without
    /// a collection.
    ///
    /// ```
    /// use gc_rc::{Heap, HeapFull, Shape};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [array]| {
    ///         m.alloc(array, Shape::new(2, 1))?;
    ///         let object = m.get(array).expect("just made");
    ///         assert!(m.load(object, 1).is_none());
    ///         assert_eq!(m.word(object, 0), 0);
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn alloc(&mut self, into: Local<'_, 'h>, shape: Shape) -> Result<(), HeapFull> {
        let object = self.make(alloc::class_of(shape.bytes()), shape, 0)?;
        // The memory of a large object is zero from the start.
        if shape.bytes() <= alloc::SMALL_BYTES {
            // SAFETY: the cell was made for the shape.
            unsafe { object.zero(shape.refs as usize + shape.words as usize) };
        }
        self.put(into, object);
        Ok(())
    }

    /// Makes an object whose fields are copies of `refs` and whose words are `words`, and stores it
    /// in `into`, which may be one of the operands. Cheaper than [`Mutator::alloc`] and a store for
    /// each field: nothing is zeroed first.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` and the operands are then untouched.
    ///
    /// ```
    /// use gc_rc::{Flags, Heap, HeapFull};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [leaf, node]| {
    ///         m.alloc_init(leaf, Flags::NONE, [], [7])?;
    ///         m.alloc_init(node, Flags::NONE, [leaf, leaf], [8, 9])?;
    ///         let object = m.get(node).expect("just made");
    ///         assert_eq!(m.load(object, 1), m.get(leaf));
    ///         assert_eq!(m.word(object, 1), 9);
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn alloc_init<const R: usize, const W: usize>(
        &mut self,
        into: Local<'_, 'h>,
        flags: Flags,
        refs: [Local<'_, 'h>; R],
        words: [u64; W],
    ) -> Result<(), HeapFull> {
        self.make_from(into, flags, refs, words, |operand| {
            let value = operand.slot.get();
            if let Some(object) = value {
                count::retain_in_field(object, || self.locked());
            }
            value
        })
    }

    /// As [`Mutator::alloc_init`], but *moves* the operands: they are taken from left to right, so
    /// that a local named twice is null the second time, and all are null afterwards (then `into`
    /// is set). No counts are touched.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` and the operands are then untouched.
    ///
    /// ```
    /// use gc_rc::{Flags, Heap, HeapFull};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [list, item]| {
    ///         for number in 0..3 {
    ///             m.alloc_init(item, Flags::NONE, [], [number])?;
    ///             m.alloc_move(list, Flags::NONE, [item, list], [])?;
    ///             assert!(m.get(item).is_none());
    ///         }
    ///         let first = m.get(list).and_then(|pair| m.load(pair, 0));
    ///         assert_eq!(first.map(|item| m.word(item, 0)), Some(2));
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn alloc_move<const R: usize, const W: usize>(
        &mut self,
        into: Local<'_, 'h>,
        flags: Flags,
        refs: [Local<'_, 'h>; R],
        words: [u64; W],
    ) -> Result<(), HeapFull> {
        self.make_from(into, flags, refs, words, |operand| {
            let value = operand.slot.take();
            if let Some(object) = value {
                object.insert(edges::IN);
            }
            value
        })
    }

    /// Lets a collection or a hand-over of the lock happen, in this order, if one is due, and
    /// pending objects die. Otherwise two loads and a branch.
    #[inline(always)]
    pub fn safepoint(&mut self) {
        // The bits that other threads set, and the deaths that this one put off: kept apart,
        // because a death must not cost an atomic read-modify-write.
        let requests = self.inner.mailbox.poll.load(Ordering::Relaxed) as usize;
        if requests | self.locked().pending.len() != 0 {
            self.safepoint_slow();
        }
    }

    #[cold]
    #[inline(never)]
    fn safepoint_slow(&mut self) {
        self.locked().attend();
    }

    /// Frees all that is dead, collects all generations, or what possible roots reach, and makes
    /// blocks without objects available to all size classes. Without a cycle collector it leaves
    /// the collection out. Cost: proportional to the whole heap.
    pub fn collect(&mut self) {
        self.locked().collect_all();
    }

    /// [`Mutator::safepoint`], by the same code, which returns the steps it took. A collection
    /// examines all objects of its generations, also those that it would be
    /// [spared](crate::Builder::cycle_filter). Cost: that, and memory for each step: some 40 bytes
    /// for an object and for an edge that is looked at.
    #[cold]
    pub fn safepoint_recorded(&mut self) -> Vec<Step> {
        let record = Record::default();
        self.locked().recording(&record).attend();
        record.into_steps()
    }

    /// [`Mutator::collect`], by the same code, which returns the steps it took. Cost: as for
    /// [`Mutator::safepoint_recorded`].
    ///
    /// ```
    /// use gc_rc::{Heap, HeapFull, Shape, Step};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [kept]| {
    ///         m.alloc(kept, Shape::new(1, 0))?;
    ///         let steps = m.collect_recorded();
    ///         assert!(steps.iter().any(|step| matches!(step, Step::Began { .. })));
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cold]
    pub fn collect_recorded(&mut self) -> Vec<Step> {
        let record = Record::default();
        self.locked().recording(&record).collect_all();
        record.into_steps()
    }

    /// Checks the heap's invariants: recounts every reference, and walks every block, list and
    /// table.
    ///
    /// # Panics
    ///
    /// If one does not hold, naming it: that is a bug in this crate.
    ///
    /// ```
    /// let heap = gc_rc::Heap::builder().limit(1 << 20).poison(true).build()?;
    /// heap.attach(|m| m.verify());
    /// # Ok::<(), gc_rc::BuildError>(())
    /// ```
    pub fn verify(&mut self) {
        self.inner.enter();
        self.locked().settle();
        self.locked().verify();
    }

    /// Moves the next object whose finalizer is due into `into` and says whether there was one.
    ///
    /// Objects come in the order in which they died. Each is handed out at most once in its life;
    /// storing it somewhere reachable resurrects it. An object that died by its count was still
    /// visible to weak references until now, and stays so; one that died in a cycle is not.
    ///
    /// ```
    /// use gc_rc::{Flags, Heap, HeapFull};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [file, dead]| {
    ///         m.alloc_init(file, Flags::FINALIZE, [], [7])?;
    ///         m.set(file, None);
    ///         m.collect();
    ///         while m.finalizable(dead) {
    ///             let descriptor = m.get(dead).map(|file| m.word(file, 0));
    ///             assert_eq!(descriptor, Some(7)); // to be closed
    ///             m.set(dead, None);
    ///         }
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finalizable(&mut self, into: Local<'_, 'h>) -> bool {
        self.locked().settle();
        let locked = self.locked();
        let next = locked.finalizable.borrow_mut().pop_front();
        locked.account_if_sparse(&locked.finalizable);
        match next.or_else(|| locked.queue_unlisted_finalizers()) {
            // The local takes over the count of the queue.
            Some(object) => self.put(into, object),
            None => return false,
        }
        true
    }

    /// The next weak reference whose object has died since it was last asked for, in the order of
    /// death. Weak references that nobody else has any more may be left out.
    ///
    /// ```
    /// use gc_rc::{Heap, HeapFull, Shape};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [key]| {
    ///         m.alloc(key, Shape::new(0, 0))?;
    ///         let weak = m.downgrade(m.get(key).expect("just made"));
    ///         let mut table = std::collections::HashMap::from([(weak, "value")]);
    ///         m.set(key, None);
    ///         m.collect();
    ///         while let Some(weak) = m.cleared() {
    ///             table.remove(&weak);
    ///         }
    ///         assert!(table.is_empty());
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cleared(&mut self) -> Option<Weak> {
        self.locked().settle();
        self.locked().cleared.take()
    }

    /// Runs `f` without the global lock: other mutators run meanwhile. `f` may wait for other
    /// threads, and may attach to a heap, also to this one. Costs a drop and a take of the lock.
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let heap = gc_rc::Heap::builder().limit(1 << 20).build()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let shared = heap.clone();
    /// let waiter = std::thread::spawn(move || {
    ///     shared.attach(|m| m.blocking(|| receiver.recv()))
    /// });
    /// // The other may wait: it keeps nobody out.
    /// heap.attach(|m| m.collect());
    /// sender.send(()).expect("somebody receives");
    /// assert_eq!(waiter.join().expect("it does not panic"), Ok(()));
    /// # Ok::<(), gc_rc::BuildError>(())
    /// ```
    pub fn blocking<R>(&mut self, f: impl FnOnce() -> R) -> R {
        /// Takes the lock back, also before unwinding goes on.
        struct Return<'a> {
            inner: &'a Inner,
            id: u32,
        }
        impl Drop for Return<'_> {
            fn drop(&mut self) {
                if !self.inner.enter_unless_unwinding() {
                    // Unwinding goes on to where the mutator is given up.
                    return;
                }
                self.inner.take_lock(self.id, true);
                ATTACHED.set(true);
            }
        }

        self.inner.enter();
        self.settle();
        self.locked().clear_up_after_listener();
        ATTACHED.set(false);
        self.inner.drop_lock(self.id, Leave::ForNow);
        let _return = Return {
            inner: self.inner,
            id: self.id,
        };
        f()
    }

    /// Runs `f` with `N` fresh locals, all null, which last until it returns or unwinds.
    #[inline]
    pub fn frame<const N: usize, R>(
        &mut self,
        f: impl for<'f> FnOnce(&mut Self, [Local<'f, 'h>; N]) -> R,
    ) -> R {
        /// Releases the locals and unlinks the record. Only queues deaths: nothing is freed here,
        /// so it can run while unwinding.
        struct Guard<'a, 'h, const N: usize> {
            mutator: &'a mut Mutator<'h>,
            record: &'a FrameRecord<N>,
        }
        impl<const N: usize> Drop for Guard<'_, '_, N> {
            #[inline(always)]
            fn drop(&mut self) {
                for slot in &self.record.slots {
                    if let Some(object) = slot.get() {
                        release(object, || self.mutator.locked());
                    }
                }
                self.mutator.frames.set(self.record.head.previous);
            }
        }

        let record = FrameRecord {
            head: FrameHead {
                previous: self.frames.get(),
                len: N,
            },
            slots: [const { Cell::new(None) }; N],
        };
        self.frames.set((&raw const record).cast());
        let guard = Guard {
            mutator: self,
            record: &record,
        };
        let locals = std::array::from_fn(|index| Local {
            slot: &record.slots[index],
            brand: PhantomData,
        });
        f(guard.mutator, locals)
    }

    // ---- never free, collect or switch threads

    /// What the local holds. One load.
    #[inline(always)]
    pub fn get(&self, local: Local<'_, 'h>) -> Option<Ref<'_, 'h>> {
        local.slot.get().map(Ref::new)
    }

    /// Makes the local hold `value`. Counts the new reference and uncounts the old.
    #[inline]
    pub fn set<'m>(&'m self, local: Local<'_, 'h>, value: Option<Ref<'m, 'h>>) {
        self.assign(local.slot, value);
    }

    /// Reads a reference field. Touches no count.
    ///
    /// # Panics
    ///
    /// If the object has no such field.
    #[inline(always)]
    pub fn load<'m>(&'m self, object: Ref<'m, 'h>, field: usize) -> Option<Ref<'m, 'h>> {
        match object.object.fields().get(field) {
            Some(slot) => slot.get().map(Ref::new),
            None => no_such("field", field, object.object.refs()),
        }
    }

    /// Writes a reference field. Counts the new reference and uncounts the old.
    ///
    /// # Panics
    ///
    /// If the object has no such field.
    #[inline(always)]
    pub fn store<'m>(&'m self, object: Ref<'m, 'h>, field: usize, value: Option<Ref<'m, 'h>>) {
        match object.object.fields().get(field) {
            Some(slot) => {
                let value = value.map(|reference| reference.object);
                // The new reference first: the old value may be the same object.
                if let Some(value) = value {
                    count::retain_in_field_of(object.object, value, || self.locked());
                }
                self.replace(slot, value);
            }
            None => no_such("field", field, object.object.refs()),
        }
    }

    /// As [`Mutator::store`], but *moves* what a local holds into the field: the local is null
    /// afterwards. The moved reference's count is not touched.
    ///
    /// # Panics
    ///
    /// If the object has no such field; the local is then untouched.
    ///
    /// ```
    /// use gc_rc::{Flags, Heap, HeapFull, Shape};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [table, item]| {
    ///         m.alloc(table, Shape::new(1, 0))?;
    ///         m.alloc_init(item, Flags::NONE, [], [7])?;
    ///         m.store_move(m.get(table).expect("just made"), 0, item);
    ///         assert!(m.get(item).is_none());
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn store_move<'m>(&'m self, object: Ref<'m, 'h>, field: usize, from: Local<'_, 'h>) {
        match object.object.fields().get(field) {
            Some(slot) => {
                let value = from.slot.take();
                if let Some(value) = value {
                    count::move_into_field_of(object.object, value, || self.locked());
                }
                self.replace(slot, value);
            }
            None => no_such("field", field, object.object.refs()),
        }
    }

    /// Reads a payload word.
    ///
    /// # Panics
    ///
    /// If the object has no such word.
    #[inline(always)]
    pub fn word<'m>(&'m self, object: Ref<'m, 'h>, index: usize) -> u64 {
        match object.object.payload().get(index) {
            Some(word) => word.get(),
            None => no_such("word", index, object.object.words()),
        }
    }

    /// Writes a payload word.
    ///
    /// # Panics
    ///
    /// If the object has no such word.
    #[inline(always)]
    pub fn set_word<'m>(&'m self, object: Ref<'m, 'h>, index: usize, value: u64) {
        match object.object.payload().get(index) {
            Some(word) => word.set(value),
            None => no_such("word", index, object.object.words()),
        }
    }

    /// The shape the object was allocated with.
    #[inline]
    pub fn shape<'m>(&'m self, object: Ref<'m, 'h>) -> Shape {
        object.object.shape()
    }

    /// The object's reference count. Above `1 << 31` it does not fall any more, and the object is
    /// immortal.
    ///
    /// ```
    /// use gc_rc::{Heap, HeapFull, Shape};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [one, other]| {
    ///         m.alloc(one, Shape::new(0, 0))?;
    ///         m.set(other, m.get(one));
    ///         assert_eq!(m.get(one).map(|object| m.count(object)), Some(2));
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn count<'m>(&'m self, object: Ref<'m, 'h>) -> u32 {
        object.object.count()
    }

    /// Where the object lies: what [steps](Step) call it.
    #[inline]
    pub fn place<'m>(&'m self, object: Ref<'m, 'h>) -> Place {
        object.object.into()
    }

    /// The objects whose count has fallen to zero since the last drain, in that order: what the
    /// next `&mut` operation looks at, and frees unless a reference has come back. Cost:
    /// proportional to their number.
    pub fn pending(&self) -> Vec<Place> {
        let locked = self.locked();
        let listed = locked.pending.iter();
        let mut pending: Vec<Place> = listed.map(Place::from).collect();
        if locked.pending_unlisted.get() {
            // Those that the list had no room for, in no order.
            pending.clear();
            locked
                .allocator
                .each_tagged(true, tag::QUEUED, tag::QUEUED, |object| {
                    pending.push(object.into());
                    true
                });
        }
        pending
    }

    /// A new root for the object that may leave the thread. Allocates a small cell outside the
    /// heap.
    ///
    /// # Panics
    ///
    /// If the system has no memory for the cell. The heap is as before: [`Mutator::try_global`]
    /// says so in a value.
    pub fn global<'m>(&'m self, object: Ref<'m, 'h>) -> Global {
        self.try_global(object)
            .unwrap_or_else(|full| no_handle("global", full))
    }

    /// [`Mutator::global`], or why there is none.
    ///
    /// # Errors
    ///
    /// [`HeapFull`] if the system has no memory for the cell. The heap is as before.
    pub fn try_global<'m>(&'m self, object: Ref<'m, 'h>) -> Result<Global, HeapFull> {
        Global::new(self.locked(), object.object)
    }

    /// The object a global roots.
    ///
    /// # Panics
    ///
    /// If the global belongs to another heap.
    ///
    /// ```
    /// use gc_rc::{Flags, Heap, HeapFull};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [local]| {
    ///         m.alloc_init(local, Flags::NONE, [], [7])?;
    ///         let global = m.global(m.get(local).expect("just made"));
    ///         m.set(local, None);
    ///         m.collect();
    ///         assert_eq!(m.word(m.open(&global), 0), 7);
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open<'m>(&'m self, global: &'m Global) -> Ref<'m, 'h> {
        Ref::new(global.object(self.locked()))
    }

    /// A weak reference to the object. The first one to an object makes an entry in a table outside
    /// the heap.
    ///
    /// # Panics
    ///
    /// If the system has no memory for the entry. The heap is as before: [`Mutator::try_downgrade`]
    /// says so in a value.
    pub fn downgrade<'m>(&'m self, object: Ref<'m, 'h>) -> Weak {
        self.try_downgrade(object)
            .unwrap_or_else(|full| no_handle("weak reference", full))
    }

    /// [`Mutator::downgrade`], or why there is no weak reference.
    ///
    /// # Errors
    ///
    /// [`HeapFull`] if the system has no memory for the entry. The heap is as before.
    pub fn try_downgrade<'m>(&'m self, object: Ref<'m, 'h>) -> Result<Weak, HeapFull> {
        Weak::new(self.locked(), object.object)
    }

    /// The object of a weak reference, unless it has died; one whose last reference is gone counts
    /// as dead, although its fields could still be read through a [`Ref`] taken before.
    ///
    /// # Panics
    ///
    /// If the weak reference belongs to another heap.
    ///
    /// ```
    /// use gc_rc::{Heap, HeapFull, Shape};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [local]| {
    ///         m.alloc(local, Shape::new(0, 0))?;
    ///         let weak = m.downgrade(m.get(local).expect("just made"));
    ///         assert_eq!(m.upgrade(&weak), m.get(local));
    ///         m.set(local, None);
    ///         m.collect();
    ///         assert!(m.upgrade(&weak).is_none());
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn upgrade<'m>(&'m self, weak: &Weak) -> Option<Ref<'m, 'h>> {
        weak.object(self.locked()).map(Ref::new)
    }

    // ---- within

    /// Carries out all deferred work. Apart, so that it is compiled once and not for each closure.
    #[inline(never)]
    fn settle(&mut self) {
        self.locked().settle();
    }

    /// Puts a new object, which comes with one reference, into a local.
    #[inline(always)]
    fn put(&self, into: Local<'_, 'h>, object: Object) {
        if let Some(old) = into.slot.replace(Some(object)) {
            release(old, || self.locked());
        }
    }

    #[inline(always)]
    fn assign(&self, slot: &Slot, value: Option<Ref<'_, 'h>>) {
        let value = value.map(|reference| reference.object);
        // The new reference first: the old value may be the same object.
        if let Some(object) = value {
            retain(object, || self.locked());
        }
        self.replace(slot, value);
    }

    /// Puts `value`, with a reference that is counted already, in place of what the slot holds.
    #[inline(always)]
    fn replace(&self, slot: &Slot, value: Option<Object>) {
        if let Some(old) = slot.replace(value) {
            release(old, || self.locked());
        }
    }

    #[inline(always)]
    fn make_from<const R: usize, const W: usize>(
        &self,
        into: Local<'_, 'h>,
        flags: Flags,
        refs: [Local<'_, 'h>; R],
        words: [u64; W],
        take: impl Fn(Local<'_, 'h>) -> Option<Object>,
    ) -> Result<(), HeapFull> {
        const {
            assert!(
                R <= Shape::MAX_REFS as usize && W <= Shape::MAX_WORDS as usize,
                "more fields or words than a shape has"
            )
        };
        let class = const { alloc::class_of(HEADER_BYTES + 8 * (R + W)) };
        let object = self.make(
            class,
            Shape {
                refs: R as u32,
                words: W as u32,
                flags,
            },
            if R > 0 { edges::OUT } else { 0 },
        )?;
        for (index, operand) in refs.into_iter().enumerate() {
            // SAFETY: the cell was made for R fields and W words.
            unsafe { object.write_field(index, take(operand)) };
        }
        for (index, word) in words.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { object.write_word(R + index, word) };
        }
        self.put(into, object);
        Ok(())
    }

    /// A cell for a new object of `shape`, with its header written and one reference counted; the
    /// caller writes fields and words at once. `edges` are the bits of the head that say what it
    /// will refer to.
    #[inline(always)]
    fn make(&self, class: usize, shape: Shape, edges: u64) -> Result<Object, HeapFull> {
        let heap = &self.inner.protected;
        // Often one object has just died, whose cell is the one to take.
        if heap.has_dead() {
            let bytes = HEADER_BYTES + shape.payload_bytes() as usize;
            self.locked().drain(LAZY_RATE * bytes);
        }
        let cell = if class == LARGE {
            None
        } else {
            heap.allocator.pop(class)
        };
        let cell = match cell {
            Some(cell) => cell,
            None => self.locked().obtain(class, shape)?,
        };
        let old = cell.marks();
        let head = ONE | old & tag::OF_CELL | shape.flags.bits() | edges;
        if is_tracked(shape.refs as usize, shape.flags) {
            cell.initialise(head | tag::IN_YOUNG, shape.refs, shape.words);
            if heap.generational.allocated(cell, old) {
                self.locked().request_collection();
            }
        } else {
            cell.initialise(head | tag::UNTRACKED, shape.refs, shape.words);
            heap.generational.allocated_untracked();
        }
        if class == LARGE {
            self.locked().list_new_large(cell);
        }
        self.inner.counters.allocated(shape.payload_bytes());
        Ok(cell)
    }
}

impl<W: Witness> Locked<'_, W> {
    /// Does what is due at a safepoint.
    fn attend(self) {
        self.settle();
        let poll = &self.inner.mailbox.poll;
        if poll.load(Ordering::Relaxed) & COLLECT != 0 {
            self.collect_if_requested();
        }
        if poll.load(Ordering::Relaxed) & (DROP | TELL) != 0 {
            self.inner.enter();
            // Listeners may attach.
            ATTACHED.set(false);
            self.inner.drop_lock(self.me, Leave::ForNow);
            self.inner.take_lock(self.me, false);
            ATTACHED.set(true);
        }
    }

    /// Frees all that is dead, collects everything, and makes empty blocks available.
    pub(crate) fn collect_all(self) {
        self.free_all_dead();
        self.collect(OLDEST, true);
        self.free_all_dead();
        self.unrecorded().trim();
    }
}

impl Locked<'_> {
    /// Collects what a listener has made due, which would be another thread's event else, and be
    /// told of again.
    #[inline]
    fn clear_up_after_listener(self) {
        if self.inner.mailbox.poll.load(Ordering::Relaxed) & COLLECT != 0 && is_telling() {
            self.collect_if_requested();
        }
    }
}

#[cold]
#[inline(never)]
pub(crate) fn no_such(what: &str, index: usize, len: usize) -> ! {
    panic!("gc-rc: an object with {len} {what}s has no {what} {index}")
}

#[cold]
#[inline(never)]
pub(crate) fn no_handle(what: &str, full: HeapFull) -> ! {
    panic!("gc-rc: no {what}: {full}")
}
