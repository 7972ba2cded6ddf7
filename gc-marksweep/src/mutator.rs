//! A thread's operations on the heap: frames, the allocation fast path, accessors.
//!
//! Operations on `&mut Mutator` may collect or wait for a collection; operations on `&Mutator` do
//! neither. A [`Ref`] borrows the mutator shared, so it is gone before anything could free its
//! object; that is the whole proof that reading through it is sound: what it names was reachable at
//! the last safepoint or has been allocated since, and nothing is freed before the next.
//!
//! # Aliasing
//!
//! A collector on another thread empties this mutator's buffer and walks its frames while a `&mut
//! Mutator` exists (in a blocking region, say). So [`Mutator`] is `!Unpin`, which keeps the
//! compiler from assuming that such a reference is the only way to the memory behind it; all that
//! the collector touches sits in [`Context`] behind cells; and the handshake orders the accesses.

use std::cell::Cell;
use std::fmt;
use std::marker::{PhantomData, PhantomPinned};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use handshake::process::Resident;

use crate::attach::Context;
use crate::block::LARGE;
use crate::collect::Collection;
use crate::frame::{Brand, Local, with_frame};
use crate::full::{FullCause, HeapFull};
use crate::handle::{Global, Weak};
use crate::heap::{Heap, Inner};
use crate::object::{Flags, Header, Object, Shape};
use crate::policy::Extent;
use crate::step::{Place, Places, Record, Step};

/// A thread attached to a heap, made by [`Heap::attach`].
pub struct Mutator<'h> {
    pub(crate) context: Context,
    /// Objects (high half) and payload words (low half) allocated since the last slow path, which
    /// comes after at most a block's worth of either.
    pub(crate) tally: Cell<u64>,
    pub(crate) heap: Heap,
    pub(crate) brand: Brand<'h>,
    pub(crate) _pinned: PhantomPinned,
}

// A panic cannot leave a mutator broken: every operation completes its change before anything of
// the client's runs.
impl UnwindSafe for Mutator<'_> {}
impl RefUnwindSafe for Mutator<'_> {}

/// An object seen since the mutator's last `&mut self` operation. Not a root: it costs nothing to
/// copy and ends at the next such operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ref<'m, 'h>(Object, PhantomData<&'m ()>, Brand<'h>);

impl fmt::Debug for Ref<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ref({:?})", self.0)
    }
}

impl Ref<'_, '_> {
    #[inline(always)]
    fn new(object: Object) -> Self {
        Self(object, PhantomData, PhantomData)
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn object(self) -> Object {
        self.0
    }
}

impl<'h> Mutator<'h> {
    #[inline(always)]
    pub(crate) fn shared(&self) -> &Inner {
        &self.heap.0
    }

    /// Counts an object in the tally.
    #[inline(always)]
    pub(crate) fn count(&self, payload_words: usize) {
        self.tally
            .set(self.tally.get() + (1 << 32) + payload_words as u64);
    }

    /// What [events](crate::Event) call this mutator: mutators are numbered from 0 in order of
    /// attachment to their heap, and no number is used again.
    pub fn number(&self) -> u32 {
        self.context.number
    }

    // ---- operations that may free, collect or stop

    /// Makes an object of `shape`, fields null and words zero, and stores it in `into`.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` is then untouched. A shape larger than the limit, or than
    /// [`Shape::MAX_WORDS`], fails at once.
    ///
    /// ```
    /// use gc_marksweep::{Heap, HeapFull, Shape};
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
    #[inline(always)]
    pub fn alloc(&mut self, into: Local<'_, 'h>, shape: Shape) -> Result<(), HeapFull> {
        let size = shape.size();
        let fields = shape.refs as usize + shape.words as usize;
        self.expect_finalizer(shape)?;
        let (memory, zeroed) = if size <= LARGE
            && let Some(memory) = self.context.buffer.bump(size)
        {
            self.count(fields);
            (memory, false)
        } else {
            self.alloc_slow(shape.refs, shape.words, shape.flags)?
        };
        // SAFETY: fresh memory of the object's size.
        let object = unsafe { Object::clear(memory, shape, zeroed) };
        self.finish(into, object, shape.flags);
        Ok(())
    }

    /// [`Mutator::alloc`], by the same code, which returns the steps it took: the search for a
    /// hole, if the current one does not do, and the collection, if there was one. Cost: that, and
    /// memory for each step, some 40 bytes.
    ///
    /// # Errors
    ///
    /// As for [`Mutator::alloc`]; the steps are then lost.
    #[cold]
    pub fn alloc_recorded(
        &mut self,
        into: Local<'_, 'h>,
        shape: Shape,
    ) -> Result<Vec<Step>, HeapFull> {
        let (allocated, record) = self.recorded(|m| m.alloc(into, shape));
        allocated?;
        let object = Object::from_raw(into.0.get());
        record.note(|places| {
            object.map(|object| Step::Allocated {
                object: places.of(object),
                bytes: shape.size(),
            })
        });
        Ok(record.into_steps())
    }

    /// Does `f`, whose steps are noted.
    fn recorded<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> (R, Record) {
        /// Takes the record away, also when `f` unwinds.
        struct Recording<'a, 'h>(&'a mut Mutator<'h>);
        impl Drop for Recording<'_, '_> {
            fn drop(&mut self) {
                self.0.context.recording.replace(None);
            }
        }

        let record = Record::new(&self.shared().space);
        self.context.recording.replace(Some(record));
        let recording = Recording(self);
        let result = f(recording.0);
        let record = recording.0.context.recording.replace(None);
        (result, record.expect("nobody else takes it"))
    }

    /// Makes an object whose fields are copies of `refs` and whose words are `words`, and stores it
    /// in `into`, which may be one of the operands. Nothing is written twice.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` and the operands are then untouched.
    ///
    /// ```
    /// use gc_marksweep::{Flags, Heap, HeapFull};
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
        let memory = self.memory::<R, W>(flags)?;
        // SAFETY: fresh memory of the object's size; what locals hold is live.
        let object =
            unsafe { Object::initialise(memory, flags, refs.map(|local| local.0.get()), words) };
        self.finish(into, object, flags);
        Ok(())
    }

    /// As [`Self::alloc_init`], but moves the operands: they are taken from left to right, so that
    /// a local named twice is null the second time, and all are null afterwards (then `into` is
    /// set).
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` and the operands are then untouched.
    ///
    /// ```
    /// use gc_marksweep::{Flags, Heap, HeapFull};
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
        let memory = self.memory::<R, W>(flags)?;
        // SAFETY: fresh memory of the object's size; what locals hold is live.
        let object =
            unsafe { Object::initialise(memory, flags, refs.map(|local| local.0.take()), words) };
        self.finish(into, object, flags);
        Ok(())
    }

    /// Memory for an object of `R` fields and `W` words.
    #[inline(always)]
    fn memory<const R: usize, const W: usize>(
        &mut self,
        flags: Flags,
    ) -> Result<NonNull<u8>, HeapFull> {
        // A shape that lost its high bits would get too little memory.
        let shape = const {
            assert!(R <= Shape::MAX_REFS as usize && W <= Shape::MAX_WORDS as usize);
            Shape::new(R as u32, W as u32)
        };
        self.expect_finalizer(shape.with(flags))?;
        if const { shape_is_small(R, W) }
            && let Some(memory) = self.context.buffer.bump(shape.size())
        {
            self.count(R + W);
            return Ok(memory);
        }
        self.alloc_slow(shape.refs, shape.words, flags)
            .map(|(memory, _)| memory)
    }

    /// Before the memory for an object of that shape: room for the note that it has a finalizer, if
    /// it has.
    #[inline(always)]
    fn expect_finalizer(&self, shape: Shape) -> Result<(), HeapFull> {
        if shape.flags.finalize {
            self.shared().enter();
            if !self.shared().handles.expect_finalizer() {
                return Err(self.no_memory(shape.size()));
            }
        }
        Ok(())
    }

    /// The system has no memory for `bytes` of notes, or for the notes about so many bytes.
    #[cold]
    fn no_memory(&self, bytes: usize) -> HeapFull {
        HeapFull {
            requested: bytes as u64,
            limit: self.shared().supply.limit() as u64,
            cause: FullCause::System,
        }
    }

    #[inline(always)]
    fn finish(&self, into: Local<'_, 'h>, object: Object, flags: Flags) {
        into.0.set(object.as_raw());
        if flags.finalize {
            self.shared().enter();
            self.shared().handles.add_finalizer(object);
        }
    }

    /// Lets a collection that another mutator has asked for happen: one relaxed load and a branch
    /// if there is none.
    #[inline(always)]
    pub fn safepoint(&mut self) {
        if self.context.party.armed() {
            self.park();
        }
    }

    /// Collects the whole heap. Everything that was unreachable when this was called is found to be
    /// so: of several mutators that ask at once, one collects for all.
    #[cold]
    pub fn collect(&mut self) {
        let shared = self.shared();
        shared.enter();
        let first = shared.handshake.next();
        // Somebody else's collection may have been a minor one.
        while shared.last_major.load(Ordering::Relaxed) < first {
            let target = shared.handshake.next();
            shared.collect(&self.context, target, Extent::Whole, None, || Some(()));
        }
    }

    /// [`Mutator::collect`], by the same code, which returns the steps it took; a collection of
    /// another mutator is never taken for this one. It marks on one thread, one edge at a time.
    /// Cost: that of the collection without the help of prefetching and of other threads, and
    /// memory for each step, some 40 bytes for an object and for an edge.
    ///
    /// ```
    /// use gc_marksweep::{Heap, HeapFull, Shape, Step};
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
        self.shared().enter();
        loop {
            let (collection, record) = self.recorded(|m| {
                let shared = m.shared();
                let target = shared.handshake.next();
                shared.collect(&m.context, target, Extent::Whole, None, || Some(()))
            });
            if let Collection::Done(_) = collection {
                return record.into_steps();
            }
        }
    }

    /// Checks the heap's invariants by a walk of its own over every reachable object, before and
    /// after a collection. Costs a collection and several times its time and memory.
    ///
    /// # Panics
    ///
    /// If an invariant does not hold, which is a bug in this crate.
    ///
    /// ```
    /// let heap = gc_marksweep::Heap::builder().limit(1 << 20).poison(true).build()?;
    /// heap.attach(|m| m.verify());
    /// # Ok::<(), gc_marksweep::BuildError>(())
    /// ```
    #[cold]
    pub fn verify(&mut self) {
        self.shared().enter();
        crate::verify::verify(self.shared(), &self.context);
    }

    /// Moves the next object whose finalizer is due into `into` and says whether there was one.
    /// Objects come in the order in which they were allocated within a collection, each at most
    /// once; an object reachable from one that is due may be due as well.
    ///
    /// ```
    /// use gc_marksweep::{Flags, Heap, HeapFull};
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
    #[inline]
    pub fn finalizable(&mut self, into: Local<'_, 'h>) -> bool {
        self.shared().enter();
        let object = self.shared().handles.next_finalizable();
        if let Some(object) = object {
            into.0.set(object.as_raw());
        }
        object.is_some()
    }

    /// The next weak reference that a collection has cleared and that has not been returned yet, if
    /// any: those of one collection in the order in which they were made. One of which no clone is
    /// left may be left out.
    ///
    /// ```
    /// use gc_marksweep::{Heap, HeapFull, Shape};
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
    #[inline]
    pub fn cleared(&mut self) -> Option<Weak> {
        self.shared().enter();
        self.shared().handles.next_cleared()
    }

    /// Runs `f` with `N` fresh locals, all null, which last until it returns or unwinds.
    #[inline(always)]
    pub fn frame<const N: usize, R>(
        &mut self,
        f: impl for<'f> FnOnce(&mut Self, [Local<'f, 'h>; N]) -> R,
    ) -> R {
        with_frame(self, |mutator| &mutator.context.frames, f)
    }

    // ---- operations that never free, collect or stop

    /// What the local holds.
    #[inline(always)]
    pub fn get(&self, local: Local<'_, 'h>) -> Option<Ref<'_, 'h>> {
        Object::from_raw(local.0.get()).map(Ref::new)
    }

    /// Makes the local hold `value`.
    #[inline(always)]
    pub fn set<'m>(&'m self, local: Local<'_, 'h>, value: Option<Ref<'m, 'h>>) {
        local.0.set(raw(value));
    }

    /// Reads a reference field.
    ///
    /// # Panics
    ///
    /// If the object has no such field.
    #[inline(always)]
    pub fn load<'m>(&'m self, object: Ref<'m, 'h>, field: usize) -> Option<Ref<'m, 'h>> {
        check_field(object, field);
        // SAFETY: the object is live as long as the reference is; the field is one of its own.
        unsafe { object.0.load(field) }.map(Ref::new)
    }

    /// Writes a reference field.
    ///
    /// # Panics
    ///
    /// If the object has no such field.
    #[inline(always)]
    pub fn store<'m>(&'m self, object: Ref<'m, 'h>, field: usize, value: Option<Ref<'m, 'h>>) {
        check_field(object, field);
        // SAFETY: the object is live as long as the reference is, and has the field.
        unsafe {
            if object.0.is_logging() && value.is_some() {
                (self.context.log).remember(&self.shared().space, object.0, field);
            }
        }
        // SAFETY: the object is live as long as the reference is; the field is one of its own.
        unsafe { object.0.field(field) }.store(raw(value), Ordering::Release);
    }

    /// As [`Mutator::store`], but *moves* what a local holds into the field: the local is null
    /// afterwards.
    ///
    /// # Panics
    ///
    /// If the object has no such field; the local is then untouched.
    ///
    /// ```
    /// use gc_marksweep::{Flags, Heap, HeapFull, Shape};
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
    #[inline(always)]
    pub fn store_move<'m>(&'m self, object: Ref<'m, 'h>, field: usize, from: Local<'_, 'h>) {
        self.store(object, field, self.get(from));
        from.0.take();
    }

    /// Reads a payload word.
    ///
    /// # Panics
    ///
    /// If the object has no such word.
    #[inline(always)]
    pub fn word<'m>(&'m self, object: Ref<'m, 'h>, index: usize) -> u64 {
        check_word(object, index);
        // SAFETY: the object is live as long as the reference is; the word is one of its own.
        unsafe { object.0.word(index) }.load(Ordering::Relaxed)
    }

    /// Writes a payload word.
    ///
    /// # Panics
    ///
    /// If the object has no such word.
    #[inline(always)]
    pub fn set_word<'m>(&'m self, object: Ref<'m, 'h>, index: usize, value: u64) {
        check_word(object, index);
        // SAFETY: the object is live as long as the reference is; the word is one of its own.
        unsafe { object.0.word(index) }.store(value, Ordering::Relaxed);
    }

    /// The shape the object was allocated with.
    #[inline(always)]
    pub fn shape<'m>(&'m self, object: Ref<'m, 'h>) -> Shape {
        header(object).shape()
    }

    /// Where the object lies: what [steps](Step) call it.
    #[inline]
    pub fn place<'m>(&'m self, object: Ref<'m, 'h>) -> Place {
        Places::in_space(&self.shared().space).of(object.0)
    }

    /// Whether the last collection has found the object live; `false` for one that has been
    /// allocated since.
    ///
    /// ```
    /// use gc_marksweep::{Heap, HeapFull, Shape};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [local]| {
    ///         m.alloc(local, Shape::new(0, 0))?;
    ///         assert_eq!(m.get(local).map(|object| m.is_marked(object)), Some(false));
    ///         m.collect();
    ///         assert_eq!(m.get(local).map(|object| m.is_marked(object)), Some(true));
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn is_marked<'m>(&'m self, object: Ref<'m, 'h>) -> bool {
        self.shared().space.is_marked(object.0)
    }

    /// A new root for the object that may leave the thread. Takes a lock for a moment.
    ///
    /// # Panics
    ///
    /// If the system has no memory for it. The heap is as before: [`Mutator::try_global`] says so
    /// in a value.
    pub fn global<'m>(&'m self, object: Ref<'m, 'h>) -> Global {
        self.try_global(object)
            .unwrap_or_else(|full| no_handle("global", full))
    }

    /// [`Mutator::global`], or why there is none.
    ///
    /// # Errors
    ///
    /// [`HeapFull`] if the system has no memory for it. The heap is as before.
    pub fn try_global<'m>(&'m self, object: Ref<'m, 'h>) -> Result<Global, HeapFull> {
        let shared = self.shared();
        shared.enter();
        (shared.handles.global(shared.id, object.0))
            .ok_or_else(|| self.no_memory(size_of::<usize>()))
    }

    /// The object a global roots.
    ///
    /// # Panics
    ///
    /// If the global belongs to another heap.
    ///
    /// ```
    /// use gc_marksweep::{Flags, Heap, HeapFull};
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
    #[inline]
    pub fn open<'m>(&'m self, global: &'m Global) -> Ref<'m, 'h> {
        Ref::new(global.object(self.shared().id))
    }

    /// A weak reference to the object. Takes a lock for a moment.
    ///
    /// # Panics
    ///
    /// If the system has no memory for it. The heap is as before: [`Mutator::try_downgrade`] says
    /// so in a value.
    pub fn downgrade<'m>(&'m self, object: Ref<'m, 'h>) -> Weak {
        self.try_downgrade(object)
            .unwrap_or_else(|full| no_handle("weak reference", full))
    }

    /// [`Mutator::downgrade`], or why there is no weak reference.
    ///
    /// # Errors
    ///
    /// [`HeapFull`] if the system has no memory for it. The heap is as before.
    pub fn try_downgrade<'m>(&'m self, object: Ref<'m, 'h>) -> Result<Weak, HeapFull> {
        let shared = self.shared();
        shared.enter();
        (shared.handles.downgrade(shared.id, object.0))
            .ok_or_else(|| self.no_memory(size_of::<usize>()))
    }

    /// The object of a weak reference, unless it has died.
    ///
    /// # Panics
    ///
    /// If the weak reference belongs to another heap.
    ///
    /// ```
    /// use gc_marksweep::{Heap, HeapFull, Shape};
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
    #[inline]
    pub fn upgrade<'m>(&'m self, weak: &Weak) -> Option<Ref<'m, 'h>> {
        weak.object(self.shared().id).map(Ref::new)
    }
}

const fn shape_is_small(refs: usize, words: usize) -> bool {
    refs + words <= LARGE / 8 && Shape::new(refs as u32, words as u32).size() <= LARGE
}

#[inline(always)]
fn header(object: Ref<'_, '_>) -> Header {
    // SAFETY: the object is live as long as the reference is.
    unsafe { object.0.header() }
}

#[inline(always)]
fn refs(object: Ref<'_, '_>) -> usize {
    // SAFETY: the object is live as long as the reference is.
    unsafe { object.0.refs() }
}

#[inline(always)]
fn raw(value: Option<Ref<'_, '_>>) -> *mut Header {
    value.map_or(std::ptr::null_mut(), |object| object.0.as_raw())
}

#[inline(always)]
fn check_field(object: Ref<'_, '_>, index: usize) {
    // The number is not handed on: it would have to be in a register, and not only compared.
    #[cold]
    #[inline(never)]
    fn no_such(object: Ref<'_, '_>, index: usize) -> ! {
        let len = refs(object);
        panic!("gc-marksweep: an object with {len} fields has no field {index}")
    }
    if index >= refs(object) {
        no_such(object, index);
    }
}

#[inline(always)]
fn check_word(object: Ref<'_, '_>, index: usize) {
    #[cold]
    #[inline(never)]
    fn no_such(object: Ref<'_, '_>, index: usize) -> ! {
        let len = header(object).words();
        panic!("gc-marksweep: an object with {len} words has no word {index}")
    }
    if index >= header(object).words() {
        no_such(object, index);
    }
}

#[cold]
#[inline(never)]
fn no_handle(what: &str, full: HeapFull) -> ! {
    panic!("gc-marksweep: no {what}: {full}")
}
