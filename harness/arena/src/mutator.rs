//! A thread attached to a heap: allocation, frames and accessors.
//!
//! Invariant: every [`Object`] in a [`Local`] or [`Ref`] branded `'h` belongs to the heap that made
//! the brand, and its memory is valid for as long as that mutator exists. It holds because an
//! object enters one only from this mutator's allocation, from a field of such an object, or from a
//! global or weak reference whose identity was checked.

use std::array;
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bumpalo::Bump;

use contract::heap::{Flags, FullCause, HeapFull, Shape};

use crate::heap::{Attachment, Global, Heap, Shared, Weak};
use crate::object::{self, Object};

/// What a mutator takes from the heap's budget at once, in bytes: small beside any limit worth
/// measuring, large enough for the shared counter not to show.
const GRANT: u64 = 1 << 20;

/// One mutator's memory; sizes and alignments are multiples of 8, which spares rounding.
pub(crate) type Arena = Bump<8>;

/// Invariant in `'h`.
type Brand<'h> = PhantomData<Cell<&'h ()>>;

/// A thread attached to a heap.
#[derive(Debug)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ref<'m, 'h> {
    object: Object,
    mutator: PhantomData<&'m ()>,
    brand: Brand<'h>,
}

/// A slot of a [frame](contract::heap::Mutator::frame), on the native stack.
#[derive(Clone, Copy, Debug)]
pub struct Local<'f, 'h> {
    slot: &'f Cell<Option<Object>>,
    brand: Brand<'h>,
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
        assert!(R <= u32::MAX as usize && W <= u32::MAX as usize);
        assert!(object::is_possible(Shape::new(R as u32, W as u32)));
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
        let size = object::size(shape);
        // For a shape known at compile time only the first comparison is left.
        if size > self.remaining || !object::is_possible(shape) {
            self.refill(shape)?;
        }
        let Ok(memory) = self.bump.try_alloc_layout(Object::layout(shape)) else {
            return Err(self.full(size, FullCause::System));
        };
        self.remaining -= size;
        self.objects += 1;
        // SAFETY: the memory is fresh, of the right size and alignment, and no other arena hands it
        // out; the shape is possible, because `refill` fails for any other.
        into.slot.set(Some(unsafe {
            Object::initialise(memory, shape, refs, words)
        }));
        Ok(())
    }

    /// Gets at least the bytes that an object of `shape` needs from the heap's budget.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, shape: Shape) -> Result<(), HeapFull> {
        let size = object::size(shape);
        if !object::is_possible(shape) {
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
}

impl<'h> contract::heap::Mutator for Mutator<'h> {
    type Heap = Heap;
    type Ref<'m>
        = Ref<'m, 'h>
    where
        'h: 'm;
    type Local<'f> = Local<'f, 'h>;

    #[inline]
    fn alloc(&mut self, into: Self::Local<'_>, shape: Shape) -> Result<(), HeapFull> {
        let refs = (0..shape.refs).map(|_| None);
        let words = (0..shape.words).map(|_| 0);
        // SAFETY: as many items as `shape` says.
        unsafe { self.make(into, shape, refs, words) }
    }

    #[inline]
    fn alloc_init<const R: usize, const W: usize>(
        &mut self,
        into: Self::Local<'_>,
        flags: Flags,
        refs: [Self::Local<'_>; R],
        words: [u64; W],
    ) -> Result<(), HeapFull> {
        let shape = array_shape::<R, W>(flags);
        let refs = refs.into_iter().map(|local| local.slot.get());
        // SAFETY: as many items as `shape` says; `array_shape` let nothing through that the casts
        // would have cut.
        unsafe { self.make(into, shape, refs, words.into_iter()) }
    }

    #[inline]
    fn alloc_move<const R: usize, const W: usize>(
        &mut self,
        into: Self::Local<'_>,
        flags: Flags,
        refs: [Self::Local<'_>; R],
        words: [u64; W],
    ) -> Result<(), HeapFull> {
        let shape = array_shape::<R, W>(flags);
        // `make` takes from the iterator only once the memory is there.
        let refs = refs.into_iter().map(|local| local.slot.take());
        // SAFETY: as in `alloc_init`.
        unsafe { self.make(into, shape, refs, words.into_iter()) }
    }

    #[inline(always)]
    fn safepoint(&mut self) {}

    #[inline]
    fn collect(&mut self) {}

    #[inline]
    fn verify(&mut self) {}

    #[inline]
    fn finalizable(&mut self, _into: Self::Local<'_>) -> bool {
        false
    }

    #[inline]
    fn cleared(&mut self) -> Option<Weak> {
        None
    }

    #[inline]
    fn blocking<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let _detachment = Attachment::set(false);
        f()
    }

    #[inline]
    fn frame<const N: usize, R>(
        &mut self,
        f: impl for<'f> FnOnce(&mut Self, [Self::Local<'f>; N]) -> R,
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

    #[inline(always)]
    fn get(&self, local: Self::Local<'_>) -> Option<Self::Ref<'_>> {
        local.slot.get().map(Ref::new)
    }

    #[inline(always)]
    fn set<'m>(&'m self, local: Self::Local<'_>, value: Option<Self::Ref<'m>>) {
        local.slot.set(value.map(|value| value.object));
    }

    #[inline]
    fn load<'m>(&'m self, object: Self::Ref<'m>, field: usize) -> Option<Self::Ref<'m>> {
        // SAFETY: by the module's invariant the object is valid while this mutator exists, which
        // `'m` does not exceed; the raw value comes from a field.
        unsafe { Object::from_raw(object.object.fields()[field].load(Ordering::Acquire)) }
            .map(Ref::new)
    }

    #[inline]
    fn store<'m>(&'m self, object: Self::Ref<'m>, field: usize, value: Option<Self::Ref<'m>>) {
        let raw = Object::to_raw(value.map(|value| value.object));
        // SAFETY: as in `load`.
        let fields = unsafe { object.object.fields() };
        fields[field].store(raw, Ordering::Release);
    }

    #[inline]
    fn store_move<'m>(&'m self, object: Self::Ref<'m>, field: usize, from: Self::Local<'_>) {
        self.store(object, field, self.get(from));
        from.slot.take();
    }

    #[inline]
    fn word<'m>(&'m self, object: Self::Ref<'m>, index: usize) -> u64 {
        // SAFETY: as in `load`.
        let words = unsafe { object.object.words() };
        words[index].load(Ordering::Relaxed)
    }

    #[inline]
    fn set_word<'m>(&'m self, object: Self::Ref<'m>, index: usize, value: u64) {
        // SAFETY: as in `load`.
        let words = unsafe { object.object.words() };
        words[index].store(value, Ordering::Relaxed);
    }

    #[inline]
    fn shape<'m>(&'m self, object: Self::Ref<'m>) -> Shape {
        // SAFETY: as in `load`.
        unsafe { object.object.shape() }
    }

    #[inline]
    fn global<'m>(&'m self, object: Self::Ref<'m>) -> Global {
        Global::new(self.identity, object.object)
    }

    #[inline]
    #[track_caller]
    fn open<'m>(&'m self, global: &'m Global) -> Self::Ref<'m> {
        Ref::new(global.object(self.identity))
    }

    #[inline]
    fn downgrade<'m>(&'m self, object: Self::Ref<'m>) -> Weak {
        Weak::new(self.identity, object.object)
    }

    #[inline]
    #[track_caller]
    fn upgrade<'m>(&'m self, weak: &Weak) -> Option<Self::Ref<'m>> {
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
