//! The heap as its threads share it: configuration, counters, and the proof that the lock is held.
//!
//! [`Inner`] has two halves. One is for everybody: the lock itself, the mailbox, atomic counters, recorded events. The other,
//! [`Protected`], belongs to whoever holds the lock; it is made of cells, not of locks, and [`Locked`] is the only way to it. A
//! `Locked` is made in one place (by a mutator, whose thread holds the lock whenever safe code can reach the mutator), and
//! everything that works on the heap is a method of it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::alloc::{Allocator, BLOCK_BYTES};
use crate::buffer::Buffer;
use crate::cycle::{Cycle, generational::Generational};
use crate::event::{EventLog, Recorder};
use crate::gil::{Gil, GlobalLock, Leave};
use crate::handle::{GlobalCell, Mailbox, Weak, WeakCell};
use crate::mutator::FrameHead;
use crate::object::{Object, Shape, tag};

/// An allocation did not fit below the heap's limit, even after an exhaustive collection. A value, never an abort:
/// the heap stays usable, and the same allocation may succeed once memory has been released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapFull {
    /// Bytes asked for, header and rounding included.
    pub requested: u64,
    /// The heap's limit in bytes; 0 where it has none and the system refused.
    pub limit: u64,
}

impl fmt::Display for HeapFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requested, limit } = self;
        if *limit == 0 {
            write!(
                f,
                "heap full: the system has no memory for {requested} bytes"
            )
        } else {
            write!(
                f,
                "heap full: {requested} bytes do not fit below the limit of {limit} bytes after an exhaustive collection"
            )
        }
    }
}

impl std::error::Error for HeapFull {}

/// Counters of a heap, in one reading. Reading them waits for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The limit on [`Self::occupied_bytes`], in bytes; 0 where the heap has none.
    pub limit_bytes: u64,
    /// Objects allocated since the heap was made.
    pub allocated_objects: u64,
    /// Payload bytes allocated since the heap was made (see [`Shape::payload_bytes`]).
    pub allocated_payload_bytes: u64,
    /// Bytes now counted against the limit: whole blocks in use, large objects, side metadata.
    pub occupied_bytes: u64,
    /// The largest [`Self::occupied_bytes`] so far.
    pub peak_occupied_bytes: u64,
    /// Bytes now asked of the system and used at least once: [`Self::occupied_bytes`] and blocks kept for reuse. With huge
    /// pages the system may back up to 2 MiB more.
    pub committed_bytes: u64,
    /// The part of [`Self::occupied_bytes`] that is side metadata. Brought up to date on slow paths.
    pub metadata_bytes: u64,
    /// Always `None`: counting does not trace, and does not know.
    pub live_bytes: Option<u64>,
    /// The most memory that a cycle collection took for itself, outside the heap and its limit: at most a few words for each object
    /// that it examined.
    pub peak_scratch_bytes: u64,
    /// Cycle collections so far, of any generation.
    pub collections: u64,
}

/// The counters behind [`Statistics`]. Only the holder of the lock writes them, with plain loads and stores; anybody reads.
pub(crate) struct Counters {
    limit: usize,
    objects: AtomicU64,
    payload: AtomicU64,
    occupied: AtomicUsize,
    peak: AtomicUsize,
    committed: AtomicUsize,
    /// Buffers and tables: metadata outside of blocks.
    tables: AtomicUsize,
    /// Metadata within blocks.
    side: AtomicUsize,
    scratch: AtomicUsize,
    collections: AtomicU64,
}

impl Counters {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            objects: AtomicU64::new(0),
            payload: AtomicU64::new(0),
            occupied: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            committed: AtomicUsize::new(0),
            tables: AtomicUsize::new(0),
            side: AtomicUsize::new(0),
            scratch: AtomicUsize::new(0),
            collections: AtomicU64::new(0),
        }
    }

    /// Counts an allocation.
    #[inline(always)]
    pub(crate) fn allocated(&self, payload_bytes: u64) {
        self.objects.store(self.objects.load(Relaxed) + 1, Relaxed);
        self.payload
            .store(self.payload.load(Relaxed) + payload_bytes, Relaxed);
    }

    /// Takes `bytes` out of what the limit leaves, or says that they do not fit.
    pub(crate) fn charge(&self, bytes: usize) -> bool {
        let occupied = self.occupied.load(Relaxed).saturating_add(bytes);
        let fits = occupied <= self.limit;
        if fits {
            self.occupied.store(occupied, Relaxed);
            self.peak
                .store(self.peak.load(Relaxed).max(occupied), Relaxed);
        }
        fits
    }

    pub(crate) fn discharge(&self, bytes: usize) {
        self.occupied
            .store(self.occupied.load(Relaxed) - bytes, Relaxed);
    }

    pub(crate) fn commit(&self, bytes: usize) {
        self.committed
            .store(self.committed.load(Relaxed) + bytes, Relaxed);
    }

    pub(crate) fn decommit(&self, bytes: usize) {
        self.committed
            .store(self.committed.load(Relaxed) - bytes, Relaxed);
    }

    /// Brings the size of the metadata up to date. It is never refused: what it takes, the next block lacks.
    fn set_metadata(&self, side: usize, tables: usize) {
        let before = self.tables.swap(tables, Relaxed);
        let occupied = self.occupied.load(Relaxed) - before + tables;
        self.occupied.store(occupied, Relaxed);
        self.peak
            .store(self.peak.load(Relaxed).max(occupied), Relaxed);
        self.committed
            .store(self.committed.load(Relaxed) - before + tables, Relaxed);
        self.side.store(side, Relaxed);
    }

    /// A collection took so many bytes of scratch memory.
    pub(crate) fn scratch(&self, bytes: usize) {
        self.scratch
            .store(self.scratch.load(Relaxed).max(bytes), Relaxed);
    }

    pub(crate) fn collected(&self) {
        self.collections
            .store(self.collections.load(Relaxed) + 1, Relaxed);
    }

    /// Whether `bytes` could ever fit.
    pub(crate) fn admits(&self, bytes: usize) -> bool {
        bytes <= self.limit
    }

    /// The limit as [`Statistics`] and [`HeapFull`] report it.
    pub(crate) fn limit(&self) -> u64 {
        if self.limit == usize::MAX {
            0
        } else {
            self.limit as u64
        }
    }

    /// Bytes of blocks and large objects in use.
    pub(crate) fn occupied_by_objects(&self) -> usize {
        self.occupied.load(Relaxed) - self.tables.load(Relaxed)
    }

    fn read(&self) -> Statistics {
        Statistics {
            limit_bytes: self.limit(),
            allocated_objects: self.objects.load(Relaxed),
            allocated_payload_bytes: self.payload.load(Relaxed),
            occupied_bytes: self.occupied.load(Relaxed) as u64,
            peak_occupied_bytes: self.peak.load(Relaxed) as u64,
            committed_bytes: self.committed.load(Relaxed) as u64,
            metadata_bytes: (self.side.load(Relaxed) + self.tables.load(Relaxed)) as u64,
            live_bytes: None,
            peak_scratch_bytes: self.scratch.load(Relaxed) as u64,
            collections: self.collections.load(Relaxed),
        }
    }
}

/// What the lock protects.
pub(crate) struct Protected {
    /// Objects whose count fell to zero and that the next drain looks at again. See [`crate::count`].
    pub(crate) pending: Buffer,
    pub(crate) allocator: Allocator,
    pub(crate) generational: Generational,
    /// The cell of each object that has weak references.
    pub(crate) weak: RefCell<HashMap<Object, Arc<WeakCell>>>,
    /// Weak references that were cleared and not yet asked for.
    pub(crate) cleared: RefCell<VecDeque<Weak>>,
    /// Objects whose finalizers are due; the queue owns a count of each.
    pub(crate) finalizable: RefCell<VecDeque<Object>>,
    /// Every global that was not yet released. Each knows its index.
    pub(crate) globals: RefCell<Vec<*mut GlobalCell>>,
    /// The newest frame of every attached mutator.
    pub(crate) frames: RefCell<Vec<*const Cell<*const FrameHead>>>,
    /// A collection is going on.
    pub(crate) collecting: Cell<bool>,
}

/// A heap's shared state.
pub(crate) struct Inner {
    pub(crate) counters: Counters,
    pub(crate) protected: Protected,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) lock: GlobalLock,
    pub(crate) recorder: Recorder,
    pub(crate) stress: bool,
    next_mutator: AtomicU32,
    /// Attached mutators and their threads' names, for the watchdog.
    names: Mutex<Vec<(u32, String)>>,
}

// SAFETY: `protected` is reached through `Locked` only, whose makers promise to hold the lock; passing the lock from one thread to the next
// orders their accesses. The objects and handles in it are plain memory, tied to no thread. All else is `Send` and `Sync`
// by itself.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Inner {
    fn names(&self) -> MutexGuard<'_, Vec<(u32, String)>> {
        self.names
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A new mutator's number.
    pub(crate) fn enrol(&self) -> u32 {
        let me = self.next_mutator.fetch_add(1, Relaxed);
        let thread = std::thread::current();
        let name = thread
            .name()
            .map_or_else(|| format!("{:?}", thread.id()), str::to_owned);
        self.names().push((me, name));
        me
    }

    pub(crate) fn resign(&self, me: u32) {
        self.names().retain(|(id, _)| *id != me);
    }

    /// Takes the lock, and records the wait if there was one.
    pub(crate) fn take_lock(&self, me: u32, returning: bool) {
        let report = |holder: u32, waited: Duration| {
            let names = self.names();
            let name = names
                .iter()
                .find(|(id, _)| *id == holder)
                .map_or("a detached thread", |(_, name)| name);
            crate::system::complain(format!(
                "gc-rc: thread '{name}' (mutator {holder}) has kept the global lock for {} ms while others wait: \
                 it reached no safepoint, or waits for something outside of `blocking`",
                waited.as_millis()
            ));
        };
        if let Some(begun) = self.lock.take(me, &self.mailbox.poll, returning, report) {
            self.recorder
                .record(me, begun, crate::event::EventKind::LockWait);
        }
    }

    pub(crate) fn drop_lock(&self, me: u32, leave: Leave) {
        self.lock.drop(me, &self.mailbox.poll, leave);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.mailbox.close();
        for (_, cell) in self.protected.weak.take() {
            cell.clear();
        }
    }
}

/// The proof that the current thread holds the heap's lock, as the mutator numbered `me`.
#[derive(Clone, Copy)]
pub(crate) struct Locked<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) me: u32,
}

impl<'a> Locked<'a> {
    /// # Safety
    ///
    /// The current thread holds the lock for as long as the result is used.
    #[inline(always)]
    pub(crate) unsafe fn new(inner: &'a Inner, me: u32) -> Self {
        Self { inner, me }
    }

    /// Brings the size of buffers and tables up to date.
    pub(crate) fn account_metadata(self) {
        const TABLE_ENTRY: usize = size_of::<(Object, Arc<WeakCell>)>() + 1;
        const WEAK_CELL: usize = 2 * size_of::<usize>() + size_of::<WeakCell>();
        let side = self.allocator.metadata();
        let weak = self.weak.borrow();
        let globals = self.globals.borrow();
        let tables = 8
            * (self.pending.capacity() + self.finalizable.borrow().capacity() + globals.capacity())
            + weak.capacity() * TABLE_ENTRY
            + weak.len() * WEAK_CELL
            + globals.len() * size_of::<GlobalCell>()
            + self.cleared.borrow().capacity() * size_of::<Weak>();
        self.inner.counters.set_metadata(side, tables);
    }
}

impl Deref for Locked<'_> {
    type Target = Protected;

    #[inline(always)]
    fn deref(&self) -> &Protected {
        &self.inner.protected
    }
}

/// A reference-counting heap: a handle to shared state, cheap to clone. The memory goes back to the system with the last
/// handle; finalizers of objects that are still there do not run.
#[derive(Clone)]
pub struct Heap {
    pub(crate) inner: Arc<Inner>,
}

impl Heap {
    /// The smallest limit that [`Builder::limit`] takes: a few blocks.
    pub const MINIMUM_LIMIT: usize = 4 * BLOCK_BYTES;

    /// Starts to configure a heap. Every setting has a default: see [`Builder`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A heap with every default.
    pub fn new() -> Self {
        Self::from_builder(&Builder::default())
    }

    fn from_builder(builder: &Builder) -> Self {
        // Cells that are born listed are never listed again.
        let born = match builder.cycle {
            Cycle::Generational => tag::BUFFERED,
            Cycle::None => tag::BUFFERED | tag::IN_YOUNG,
        };
        Self {
            inner: Arc::new(Inner {
                counters: Counters::new(builder.limit),
                protected: Protected {
                    pending: Buffer::default(),
                    allocator: Allocator::new(builder.stress, builder.poison, born),
                    generational: Generational::new(builder.cycle, builder.thresholds),
                    weak: RefCell::default(),
                    cleared: RefCell::default(),
                    finalizable: RefCell::default(),
                    globals: RefCell::default(),
                    frames: RefCell::default(),
                    collecting: Cell::new(false),
                },
                mailbox: Mailbox::new(),
                lock: GlobalLock::new(builder.gil, builder.switch_interval, builder.watchdog),
                recorder: Recorder::new(builder.event_capacity),
                stress: builder.stress,
                next_mutator: AtomicU32::new(0),
                names: Mutex::default(),
            }),
        }
    }

    /// The heap's counters. Waits for nothing.
    pub fn statistics(&self) -> Statistics {
        self.inner.counters.read()
    }

    /// The moment at which the time-stamps of [`Heap::take_events`] are zero.
    pub fn origin(&self) -> Instant {
        self.inner.recorder.origin()
    }

    /// Removes and returns what happened since the last call. Does not wait for the global lock.
    pub fn take_events(&self) -> EventLog {
        self.inner.recorder.take()
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap")
            .field("id", &self.inner.mailbox.id)
            .finish_non_exhaustive()
    }
}

/// A heap's configuration.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    limit: usize,
    stress: bool,
    poison: bool,
    watchdog: Option<Duration>,
    event_capacity: usize,
    gil: Gil,
    switch_interval: Duration,
    cycle: Cycle,
    thresholds: [usize; 3],
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            limit: usize::MAX,
            stress: false,
            poison: false,
            watchdog: None,
            event_capacity: 1 << 14,
            gil: Gil::Cpython,
            switch_interval: Duration::from_millis(5),
            cycle: Cycle::Generational,
            thresholds: [2000, 10, 10],
        }
    }
}

impl Builder {
    /// The limit in bytes on blocks, large objects and metadata; at least [`Heap::MINIMUM_LIMIT`]. No limit by default.
    pub fn limit(self, bytes: usize) -> Self {
        Self {
            limit: bytes,
            ..self
        }
    }

    /// Makes a full collection at every allocation: for tests. Off by default.
    pub fn stress(self, on: bool) -> Self {
        Self { stress: on, ..self }
    }

    /// Fills freed cells with a pattern, and checks it when they are reused and in [`Mutator::verify`](crate::Mutator::verify): for
    /// tests. Off by default.
    pub fn poison(self, on: bool) -> Self {
        Self { poison: on, ..self }
    }

    /// Has a line on stderr name the thread that holds the lock for longer than this while others wait, once for each time. Checked
    /// every switch interval. Off by default.
    pub fn watchdog(self, patience: Option<Duration>) -> Self {
        Self {
            watchdog: patience,
            ..self
        }
    }

    /// How many events are kept between two calls of [`Heap::take_events`] (48 bytes each, allocated at once, outside the limit); 16,384 by
    /// default.
    pub fn event_capacity(self, events: usize) -> Self {
        Self {
            event_capacity: events,
            ..self
        }
    }

    /// How threads share the lock; [`Gil::Cpython`] by default.
    pub fn gil(self, gil: Gil) -> Self {
        Self { gil, ..self }
    }

    /// How long a waiter leaves the holder in peace before it asks for the lock: above zero; 5 ms by default.
    pub fn switch_interval(self, interval: Duration) -> Self {
        Self {
            switch_interval: interval,
            ..self
        }
    }

    /// How cyclic garbage is found; [`Cycle::Generational`] by default.
    pub fn cycle(self, cycle: Cycle) -> Self {
        Self { cycle, ..self }
    }

    /// When the generations are collected, youngest first: a generation is due when its count *exceeds* its threshold (see
    /// [`Cycle::Generational`]); a first threshold of zero means never but on request. 2000, 10, 10 by default.
    pub fn thresholds(self, thresholds: [usize; 3]) -> Self {
        Self { thresholds, ..self }
    }

    /// Makes the heap. No memory is touched before the first allocation.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if the limit is below [`Heap::MINIMUM_LIMIT`] or the switch interval is zero.
    pub fn build(self) -> Result<Heap, BuildError> {
        if self.limit < Heap::MINIMUM_LIMIT {
            return Err(BuildError::LimitTooSmall { limit: self.limit });
        }
        if self.switch_interval.is_zero() {
            return Err(BuildError::NoInterval);
        }
        Ok(Heap::from_builder(&self))
    }
}

/// A configuration that makes no heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The limit is below [`Heap::MINIMUM_LIMIT`].
    LimitTooSmall {
        /// The limit that was asked for.
        limit: usize,
    },
    /// The switch interval is zero: waiters would ask without end.
    NoInterval,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitTooSmall { limit } => {
                write!(
                    f,
                    "a limit of {limit} bytes is too small: give at least {} bytes",
                    Heap::MINIMUM_LIMIT
                )
            }
            Self::NoInterval => write!(
                f,
                "a switch interval of zero is too short: give at least a nanosecond (5 ms is usual)"
            ),
        }
    }
}

impl std::error::Error for BuildError {}

/// Bytes that an object of `shape` takes from the limit, at least.
pub(crate) fn requested(shape: Shape) -> u64 {
    crate::alloc::occupied_by(shape.bytes()) as u64
}
