//! The mutator contract: what a workload may ask of a heap, and what it owes in return.
//!
//! A workload is written once, generic over [`Heap`], and runs on every heap of the comparison. The
//! contract is narrow on purpose: objects are a header, reference fields and 64-bit payload words;
//! there are no per-type tables and no destructors of the client's own. What is left is what the
//! comparison is about: who finds out that an object is dead, when, and what that costs the threads
//! that run.
//!
//! # The one rule
//!
//! **Nothing this mutator could have read since its last `&mut self` operation is reclaimed before
//! its next one.**
//!
//! Operations on `&Mutator` read and write fields: they never free, collect or switch threads.
//! Operations on `&mut Mutator` may do all three. A [`Mutator::Ref`] borrows the mutator shared, so
//! the borrow checker ends it before anything could invalidate it; holding one costs nothing at run
//! time. What must survive a `&mut` operation sits in a [`Mutator::Local`], a slot of a
//! [frame](Mutator::frame), or in a [`Heap::Global`].
//!
//! # Who owes what
//!
//! * A *workload* polls: between two `&mut` operations it visits at most a few thousand objects,
//!   then keeps its cursor in a local and calls [`Mutator::safepoint`]. One that does not makes
//!   every other thread wait, on both heaps. It waits (for locks, channels, joins, I/O) only inside
//!   [`Mutator::blocking`]; see [`crate::sync`].
//! * A *heap* keeps the rule above, whatever safe code does: threads, panics in any closure, leaked
//!   handles. An out-of-range field or word index panics. Running out of memory is a value,
//!   [`HeapFull`].
//! * Nobody's *unsafe code* relies on a generic `M: Mutator`: these traits are safe to implement
//!   wrongly.
//!
//! A mutator is branded with an invariant lifetime (`'h` of [`Heap::Mutator`]) that
//! [`Heap::attach`] makes afresh: a reference or local of one heap does not type-check on another.
//!
//! Rejected: associated types for `Global` and `Weak` on `Mutator` (they would inherit `'h`, and
//! generic code that stores them stops compiling); a root stack indexed through the mutator (twice
//! the cost of a frame record on the native stack); rooting every read (reads would cost more than
//! the collectors they compare).

use std::fmt;
use std::time::Instant;

use crate::event::EventLog;

/// The form of an object: its reference fields, its payload words, and what the heap must know
/// about it beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of reference fields, which come first.
    pub refs: u32,
    /// Number of 64-bit payload words.
    pub words: u32,
    /// Properties of the object.
    pub flags: Flags,
}

impl Shape {
    /// A plain object of `refs` reference fields and `words` payload words.
    pub const fn new(refs: u32, words: u32) -> Self {
        Self {
            refs,
            words,
            flags: Flags::NONE,
        }
    }

    /// The same shape with `flags` set.
    pub const fn with(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    /// Payload bytes: 8 for each field and word. What two heaps must agree on to have done the same
    /// work; headers, rounding and metadata are each heap's own.
    pub const fn payload_bytes(self) -> u64 {
        8 * (self.refs as u64 + self.words as u64)
    }
}

/// Properties of an object, fixed when it is allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// The object has a finalizer: once unreachable it is handed to [`Mutator::finalizable`], once.
    pub finalize: bool,
    /// The client promises that the object is never part of a cycle, so that a cycle collector need
    /// not track it. A broken promise leaks; it never corrupts.
    pub acyclic: bool,
}

impl Flags {
    /// No special property.
    pub const NONE: Self = Self {
        finalize: false,
        acyclic: false,
    };
    /// [`Flags::finalize`] alone.
    pub const FINALIZE: Self = Self {
        finalize: true,
        acyclic: false,
    };
    /// [`Flags::acyclic`] alone.
    pub const ACYCLIC: Self = Self {
        finalize: false,
        acyclic: true,
    };
}

/// An allocation got no memory, even after an exhaustive collection. A value, never an abort: the
/// heap stays usable, and the same allocation may succeed once memory has been released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapFull {
    /// Bytes asked for, header and rounding included.
    pub requested: u64,
    /// The heap's limit in bytes; 0 where it has none.
    pub limit: u64,
    /// Why there was no memory.
    pub cause: FullCause,
}

/// Why an allocation got no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FullCause {
    /// It does not fit below the heap's limit.
    Limit,
    /// It fits below the heap's limit, but the system has no memory for it, or for what the heap
    /// notes about it.
    System,
    /// It would fit, but only after one more of too many collections that free next to nothing.
    Overhead,
}

impl fmt::Display for HeapFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requested,
            limit,
            cause,
        } = self;
        match cause {
            FullCause::Limit => write!(
                f,
                "heap full: {requested} bytes do not fit below the limit of {limit} bytes after \
                 an exhaustive collection: let go of objects, or choose a larger limit"
            ),
            FullCause::System if *limit == 0 => write!(
                f,
                "heap full: the system has no memory for {requested} bytes: let go of objects, or \
                 give the process more memory"
            ),
            FullCause::System => write!(
                f,
                "heap full: the system has no memory for {requested} bytes, which fit below the \
                 limit of {limit} bytes: let go of objects, or give the process more memory"
            ),
            FullCause::Overhead => write!(
                f,
                "heap full: collections below the limit of {limit} bytes free next to nothing, \
                 and {requested} bytes would take one more: let go of objects, choose a larger \
                 limit, or switch the overhead limit off"
            ),
        }
    }
}

impl std::error::Error for HeapFull {}

/// Counters of a heap, in one reading. Reading them never waits for a lock that a mutator holds,
/// nor for a stop; a running mutator's part may lag by what it allocated since its last slow path,
/// a detached mutator's part is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The limit on [`Self::occupied_bytes`] plus metadata, in bytes; 0 where the heap has none.
    pub limit_bytes: u64,
    /// Objects allocated since the heap was made.
    pub allocated_objects: u64,
    /// Payload bytes allocated since the heap was made (see [`Shape::payload_bytes`]).
    pub allocated_payload_bytes: u64,
    /// Bytes now counted against the limit: objects (live, or dead and not yet reclaimed), headers,
    /// rounding, fragmentation and side metadata.
    pub occupied_bytes: u64,
    /// The largest [`Self::occupied_bytes`] so far.
    pub peak_occupied_bytes: u64,
    /// Bytes of address space now backed by the system for this heap, metadata included.
    pub committed_bytes: u64,
    /// The part of [`Self::occupied_bytes`] that is side metadata.
    pub metadata_bytes: u64,
    /// Bytes of live objects (headers and rounding included) that the last whole-heap trace found;
    /// `None` where none has happened, or the heap does not trace.
    pub live_bytes: Option<u64>,
    /// Collections so far: whole-heap traces or cycle collections of any generation.
    pub collections: u64,
    /// Bytes of all objects that have not been reclaimed, headers included, whether they can be
    /// reached or not; `None` where the heap does not know. It may lag as the allocated bytes do,
    /// and leave out rounding.
    pub object_bytes: Option<u64>,
    /// How many objects these are; `None` where the heap does not know, as one that only traces
    /// does not.
    pub objects: Option<u64>,
}

/// A heap: a handle to shared state, cheap to clone. The memory goes away with the last handle and
/// the last attached mutator.
pub trait Heap: Clone + Send + Sync + 'static {
    /// A thread's way into the heap. `'h` is invariant and made afresh by each [`Heap::attach`].
    type Mutator<'h>: Mutator<Heap = Self>;
    /// A counted root that may be kept anywhere and dropped on any thread at any time; dropping
    /// only queues a release. It does not keep its heap alive.
    type Global: Clone + Send + Sync + 'static;
    /// A weak reference: it does not keep its object alive, and never yields a dead one.
    type Weak: Clone + Send + Sync + 'static;

    /// Attaches the calling thread for the length of `f`.
    ///
    /// # Panics
    ///
    /// If the thread is already attached to a heap of the same kind, unless it is inside
    /// [`Mutator::blocking`].
    fn attach<R>(&self, f: impl for<'h> FnOnce(&mut Self::Mutator<'h>) -> R) -> R;

    /// The heap's counters; never waits.
    fn statistics(&self) -> Statistics;

    /// The moment at which the time-stamps of [`Heap::take_events`] are zero.
    fn origin(&self) -> Instant;

    /// Removes and returns what happened since the last call; never waits for a mutator.
    fn take_events(&self) -> EventLog;

    /// When the object of a weak reference was found dead, in nanoseconds since its heap's origin;
    /// `None` as long as it was not. On a counting heap that is when it was freed, on a tracing one
    /// when the marking that did not reach it was complete. Never waits; any thread may ask.
    ///
    /// So a weak reference is a sentinel for the delay of reclamation: see
    /// [`Sentinels`](crate::workload::Sentinels).
    fn cleared_at(weak: &Self::Weak) -> Option<u64>;
}

/// A thread attached to a heap. See the [module documentation](self) for the rule that divides
/// `&self` from `&mut self`.
///
/// Every operation is meant to be inlined; costs are those of the fast path.
pub trait Mutator: Sized {
    /// The heap it is attached to.
    type Heap: Heap;
    /// An object seen since the last `&mut self` operation. Not a root: it costs nothing to copy,
    /// and it ends at the next `&mut self` operation.
    type Ref<'m>: Copy + Eq
    where
        Self: 'm;
    /// A slot of a frame: a root for as long as the frame lasts.
    type Local<'f>: Copy;

    // ---- may free, collect, stop, or switch threads

    /// Makes an object of `shape`, fields null and words zero, and stores it in `into`.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` is then untouched. A shape larger than the limit fails at once.
    fn alloc(&mut self, into: Self::Local<'_>, shape: Shape) -> Result<(), HeapFull>;

    /// Makes an object whose fields are copies of `refs` and whose words are `words`, and stores it
    /// in `into`, which may be one of the operands. Cheaper than [`Mutator::alloc`] and a store per
    /// field: nothing is zeroed first, and no barrier is needed.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` and the operands are then untouched.
    fn alloc_init<const R: usize, const W: usize>(
        &mut self,
        into: Self::Local<'_>,
        flags: Flags,
        refs: [Self::Local<'_>; R],
        words: [u64; W],
    ) -> Result<(), HeapFull>;

    /// As [`Mutator::alloc_init`], but *moves* the operands: they are taken from left to right, so
    /// that a local named twice is null the second time, and all are null afterwards (then `into`
    /// is set). On a counting heap this saves an increment and a decrement per operand.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` and the operands are then untouched.
    fn alloc_move<const R: usize, const W: usize>(
        &mut self,
        into: Self::Local<'_>,
        flags: Flags,
        refs: [Self::Local<'_>; R],
        words: [u64; W],
    ) -> Result<(), HeapFull>;

    /// Lets a collection or a hand-over of the lock happen, if one is due: one relaxed load and a
    /// branch otherwise.
    fn safepoint(&mut self);

    /// Collects the whole heap now.
    fn collect(&mut self);

    /// Checks the heap's invariants by an independent walk of every object.
    ///
    /// # Panics
    ///
    /// If one does not hold: that is a bug in the heap.
    fn verify(&mut self);

    /// Moves the next object whose finalizer is due into `into` and says whether there was one.
    /// Each object is handed out at most once; storing it somewhere reachable resurrects it.
    fn finalizable(&mut self, into: Self::Local<'_>) -> bool;

    /// The next weak reference whose object has died since it was last asked for, if any.
    fn cleared(&mut self) -> Option<<Self::Heap as Heap>::Weak>;

    /// Runs `f` while this thread counts as stopped (and holds no lock of the heap): other mutators
    /// run, collect and switch meanwhile. `f` may wait for other threads, and may attach to a heap.
    fn blocking<R>(&mut self, f: impl FnOnce() -> R) -> R;

    /// Runs `f` with `N` fresh locals, all null, which last until it returns or unwinds.
    fn frame<const N: usize, R>(
        &mut self,
        f: impl for<'f> FnOnce(&mut Self, [Self::Local<'f>; N]) -> R,
    ) -> R;

    // ---- never free, collect or switch threads

    /// What the local holds.
    fn get(&self, local: Self::Local<'_>) -> Option<Self::Ref<'_>>;

    /// Makes the local hold `value`.
    fn set<'m>(&'m self, local: Self::Local<'_>, value: Option<Self::Ref<'m>>);

    /// Reads a reference field.
    ///
    /// # Panics
    ///
    /// If the object has no such field.
    fn load<'m>(&'m self, object: Self::Ref<'m>, field: usize) -> Option<Self::Ref<'m>>;

    /// Writes a reference field.
    ///
    /// # Panics
    ///
    /// If the object has no such field.
    fn store<'m>(&'m self, object: Self::Ref<'m>, field: usize, value: Option<Self::Ref<'m>>);

    /// As [`store`](Self::store), but *moves* what a local holds into the field: the local is null
    /// afterwards. For a reference that is not used again; a heap that counts touches no count of
    /// it.
    ///
    /// # Panics
    ///
    /// If the object has no such field; the local is then untouched.
    fn store_move<'m>(&'m self, object: Self::Ref<'m>, field: usize, from: Self::Local<'_>);

    /// Reads a payload word.
    ///
    /// # Panics
    ///
    /// If the object has no such word.
    fn word<'m>(&'m self, object: Self::Ref<'m>, index: usize) -> u64;

    /// Writes a payload word.
    ///
    /// # Panics
    ///
    /// If the object has no such word.
    fn set_word<'m>(&'m self, object: Self::Ref<'m>, index: usize, value: u64);

    /// The shape the object was allocated with.
    fn shape<'m>(&'m self, object: Self::Ref<'m>) -> Shape;

    /// A new root for the object that may leave the thread.
    fn global<'m>(&'m self, object: Self::Ref<'m>) -> <Self::Heap as Heap>::Global;

    /// The object a global roots.
    ///
    /// # Panics
    ///
    /// If the global belongs to another heap.
    fn open<'m>(&'m self, global: &'m <Self::Heap as Heap>::Global) -> Self::Ref<'m>;

    /// A weak reference to the object.
    fn downgrade<'m>(&'m self, object: Self::Ref<'m>) -> <Self::Heap as Heap>::Weak;

    /// The object of a weak reference, unless it has died.
    ///
    /// # Panics
    ///
    /// If the weak reference belongs to another heap.
    fn upgrade<'m>(&'m self, weak: &<Self::Heap as Heap>::Weak) -> Option<Self::Ref<'m>>;
}
