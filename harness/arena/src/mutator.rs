//! A thread attached to a heap: allocation, frames and accessors.
//!
//! Invariant: every [`Object`] in a [`Local`] or [`Ref`] branded `'h` belongs to the heap that made
//! the brand, and its memory is valid for as long as that mutator exists. It holds because an
//! object enters one only from this mutator's allocation, from a field of such an object, or from a
//! global or weak reference whose identity was checked.

use std::array;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bumpalo::Bump;

use crate::heap::{Attachment, FullCause, Global, HeapFull, Shared, Weak};
use crate::object::{Flags, Object, Shape};

/// What a mutator takes from the heap's budget at once, in bytes: small beside any limit worth
/// measuring, large enough for the shared counter not to show.
const GRANT: u64 = 1 << 20;

/// One mutator's memory; sizes and alignments are multiples of 8, which spares rounding.
pub(crate) type Arena = Bump<8>;

/// Invariant in `'h`.
type Brand<'h> = PhantomData<Cell<&'h ()>>;

/// A thread attached to a heap.
pub struct Mutator<'h> {
    /// Bytes granted and not yet used.
    remaining: u64,
    bump: Arena,
    /// Objects and bytes since the last account to the heap.
    objects: u64,
    granted: u64,
    identity: u64,
    /// Which arena of the heap `bump` is.
    arena: u32,
    shared: Arc<Shared>,
    brand: Brand<'h>,
    /// Neither `Send` nor `Sync`.
    thread_bound: PhantomData<*mut ()>,
}

/// An object seen by a mutator. Not a root: it ends at the next `&mut` operation, as it must on the
/// other heaps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ref<'m, 'h> {
    object: Object,
    mutator: PhantomData<&'m ()>,
    brand: Brand<'h>,
}

impl fmt::Debug for Ref<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ref").field(&self.object).finish()
    }
}

/// A slot of a [frame](Mutator::frame), on the native stack.
#[derive(Clone, Copy)]
pub struct Local<'f, 'h> {
    slot: &'f Cell<Option<Object>>,
    brand: Brand<'h>,
}

impl fmt::Debug for Local<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Local").field(&self.slot.get()).finish()
    }
}

impl<'m> Ref<'m, '_> {
    #[inline(always)]
    fn new(object: Object) -> Self {
        Self {
            object,
            mutator: PhantomData,
            brand: PhantomData,
        }
    }
}

/// The shape of an object made from arrays of `R` references and `W` words.
#[inline(always)]
const fn array_shape<const R: usize, const W: usize>(flags: Flags) -> Shape {
    const {
        assert!(R <= Shape::MAX_REFS as usize && W <= Shape::MAX_WORDS as usize);
    }
    Shape::new(R as u32, W as u32).with(flags)
}

impl<'h> Mutator<'h> {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (arena, bump, identity) = shared.check_out();
        Self {
            remaining: 0,
            bump,
            objects: 0,
            granted: 0,
            identity,
            arena,
            shared,
            brand: PhantomData,
            thread_bound: PhantomData,
        }
    }

    /// Makes an object of `shape`, fields null and words zero, and stores it in `into`.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` is then untouched.
    #[inline]
    pub fn alloc(&mut self, into: Local<'_, 'h>, shape: Shape) -> Result<(), HeapFull> {
        let refs = (0..shape.refs).map(|_| None);
        let words = (0..shape.words).map(|_| 0);
        // SAFETY: as many items as `shape` says.
        unsafe { self.make(into, shape, refs, words) }
    }

    /// Makes an object whose fields are copies of `refs` and whose words are `words`, and stores it
    /// in `into`.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` is then untouched.
    #[inline]
    pub fn alloc_init<const R: usize, const W: usize>(
        &mut self,
        into: Local<'_, 'h>,
        flags: Flags,
        refs: [Local<'_, 'h>; R],
        words: [u64; W],
    ) -> Result<(), HeapFull> {
        let shape = array_shape::<R, W>(flags);
        let refs = refs.into_iter().map(|local| local.slot.get());
        // SAFETY: as many items as `shape` says; `array_shape` let nothing through that the casts
        // would have cut.
        unsafe { self.make(into, shape, refs, words.into_iter()) }
    }

    /// As [`Mutator::alloc_init`], but moves the operands, left to right; all are null afterwards,
    /// then `into` is set.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` and the operands are then untouched.
    #[inline]
    pub fn alloc_move<const R: usize, const W: usize>(
        &mut self,
        into: Local<'_, 'h>,
        flags: Flags,
        refs: [Local<'_, 'h>; R],
        words: [u64; W],
    ) -> Result<(), HeapFull> {
        let shape = array_shape::<R, W>(flags);
        // `make` takes from the iterator only once the memory is there.
        let refs = refs.into_iter().map(|local| local.slot.take());
        // SAFETY: as in `alloc_init`.
        unsafe { self.make(into, shape, refs, words.into_iter()) }
    }

    /// Carves the object, fills it, and stores it in `into`.
    ///
    /// # Safety
    ///
    /// `refs` and `words` yield as many items as `shape` says.
    #[inline(always)]
    unsafe fn make(
        &mut self,
        into: Local<'_, 'h>,
        shape: Shape,
        refs: impl Iterator<Item = Option<Object>>,
        words: impl Iterator<Item = u64>,
    ) -> Result<(), HeapFull> {
        let size = shape.size();
        // For a shape known at compile time only the first comparison is left.
        if size > self.remaining || shape.refs > Shape::MAX_REFS || shape.words > Shape::MAX_WORDS {
            self.refill(shape)?;
        }
        let Ok(memory) = self.bump.try_alloc_layout(Object::layout(shape)) else {
            return Err(self.full(size, FullCause::System));
        };
        self.remaining -= size;
        self.objects += 1;
        // SAFETY: the memory is fresh, of the right size and alignment, and no other arena hands it
        // out; the shape is within the maxima, because `refill` fails for any other.
        into.slot.set(Some(unsafe {
            Object::initialise(memory, shape, refs, words)
        }));
        Ok(())
    }

    /// Gets at least the bytes that an object of `shape` needs from the heap's budget.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, shape: Shape) -> Result<(), HeapFull> {
        let size = shape.size();
        if shape.refs > Shape::MAX_REFS || shape.words > Shape::MAX_WORDS {
            return Err(self.full(size, FullCause::Limit));
        }
        let granted = self
            .shared
            .grant(size - self.remaining, GRANT)
            .ok_or_else(|| self.full(size, FullCause::Limit))?;
        self.granted += granted;
        self.remaining += granted;
        self.account(0);
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn full(&self, requested: u64, cause: FullCause) -> HeapFull {
        HeapFull {
            requested,
            limit: self.shared.limit_bytes(),
            cause,
        }
    }

    /// Tells the heap what was allocated since the last time, giving back `unused` bytes.
    fn account(&mut self, unused: u64) {
        // Objects are their payload and 8 bytes of header: one subtraction spares a counter on the
        // fast path.
        let used = self.granted - self.remaining;
        let objects = mem::take(&mut self.objects);
        self.granted = self.remaining;
        self.shared.account(unused, objects, used - 8 * objects);
    }

    /// Nothing is ever due here.
    #[inline(always)]
    pub fn safepoint(&mut self) {}

    /// Does nothing: this heap reclaims nothing.
    #[inline]
    pub fn collect(&mut self) {}

    /// Does nothing: there is no structure beside the objects to check.
    #[inline]
    pub fn verify(&mut self) {}

    /// Always `false`: nothing dies.
    #[inline]
    pub fn finalizable(&mut self, _into: Local<'_, 'h>) -> bool {
        false
    }

    /// Always `None`: nothing dies.
    #[inline]
    pub fn cleared(&mut self) -> Option<Weak> {
        None
    }

    /// Runs `f`, which may attach again or wait for other threads.
    #[inline]
    pub fn blocking<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let _detachment = Attachment::set(false);
        f()
    }

    /// Runs `f` with `N` fresh locals, all null.
    #[inline]
    pub fn frame<const N: usize, R>(
        &mut self,
        f: impl for<'f> FnOnce(&mut Self, [Local<'f, 'h>; N]) -> R,
    ) -> R {
        let slots: [Cell<Option<Object>>; N] = [const { Cell::new(None) }; N];
        f(
            self,
            array::from_fn(|index| Local {
                slot: &slots[index],
                brand: PhantomData,
            }),
        )
    }

    /// What the local holds.
    #[inline(always)]
    pub fn get(&self, local: Local<'_, 'h>) -> Option<Ref<'_, 'h>> {
        local.slot.get().map(Ref::new)
    }

    /// Makes the local hold `value`.
    #[inline(always)]
    pub fn set<'m>(&'m self, local: Local<'_, 'h>, value: Option<Ref<'m, 'h>>) {
        local.slot.set(value.map(|value| value.object));
    }

    /// Reads a reference field.
    ///
    /// # Panics
    ///
    /// If the object has no such field.
    #[inline]
    pub fn load<'m>(&'m self, object: Ref<'m, 'h>, field: usize) -> Option<Ref<'m, 'h>> {
        // SAFETY: by the module's invariant the object is valid while this mutator exists, which
        // `'m` does not exceed; the raw value comes from a field.
        unsafe { Object::from_raw(object.object.fields()[field].load(Ordering::Acquire)) }
            .map(Ref::new)
    }

    /// Writes a reference field.
    ///
    /// # Panics
    ///
    /// If the object has no such field.
    #[inline]
    pub fn store<'m>(&'m self, object: Ref<'m, 'h>, field: usize, value: Option<Ref<'m, 'h>>) {
        let raw = Object::to_raw(value.map(|value| value.object));
        // SAFETY: as in `load`.
        let fields = unsafe { object.object.fields() };
        fields[field].store(raw, Ordering::Release);
    }

    /// Reads a payload word.
    ///
    /// # Panics
    ///
    /// If the object has no such word.
    #[inline]
    pub fn word<'m>(&'m self, object: Ref<'m, 'h>, index: usize) -> u64 {
        // SAFETY: as in `load`.
        let words = unsafe { object.object.words() };
        words[index].load(Ordering::Relaxed)
    }

    /// Writes a payload word.
    ///
    /// # Panics
    ///
    /// If the object has no such word.
    #[inline]
    pub fn set_word<'m>(&'m self, object: Ref<'m, 'h>, index: usize, value: u64) {
        // SAFETY: as in `load`.
        let words = unsafe { object.object.words() };
        words[index].store(value, Ordering::Relaxed);
    }

    /// The shape the object was allocated with.
    #[inline]
    pub fn shape<'m>(&'m self, object: Ref<'m, 'h>) -> Shape {
        // SAFETY: as in `load`.
        unsafe { object.object.shape() }
    }

    /// A handle to the object that may leave the thread.
    #[inline]
    pub fn global<'m>(&'m self, object: Ref<'m, 'h>) -> Global {
        Global::new(self.identity, object.object)
    }

    /// The object of a global.
    ///
    /// # Panics
    ///
    /// If the global belongs to another heap, or was made before the last reset.
    #[inline]
    #[track_caller]
    pub fn open<'m>(&'m self, global: &'m Global) -> Ref<'m, 'h> {
        Ref::new(global.object(self.identity))
    }

    /// A weak reference to the object.
    #[inline]
    pub fn downgrade<'m>(&'m self, object: Ref<'m, 'h>) -> Weak {
        Weak::new(self.identity, object.object)
    }

    /// The object of a weak reference; never `None` here.
    ///
    /// # Panics
    ///
    /// If the weak reference belongs to another heap, or was made before the last reset.
    #[inline]
    #[track_caller]
    pub fn upgrade<'m>(&'m self, weak: &Weak) -> Option<Ref<'m, 'h>> {
        Some(Ref::new(weak.object(self.identity)))
    }
}

impl Drop for Mutator<'_> {
    fn drop(&mut self) {
        let unused = self.remaining;
        self.account(unused);
        self.shared.check_in(self.arena, mem::take(&mut self.bump));
    }
}

impl fmt::Debug for Mutator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutator")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
