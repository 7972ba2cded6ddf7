//! The heap as its threads share it: configuration, counters, and the proof that the lock is held.
//!
//! [`Inner`] has two halves. One is for everybody: the lock itself, the mailbox, atomic counters,
//! recorded events. The other, [`Protected`], belongs to whoever holds the lock; it is made of
//! cells, not of locks, and [`Locked`] is the only way to it. A `Locked` is made in one place (by a
//! mutator, whose thread holds the lock whenever safe code can reach the mutator), and everything
//! that works on the heap is a method of it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::alloc::{Allocator, BLOCK_BYTES, BLOCK_COST};
use crate::buffer::Buffer;
use crate::count::Free;
use crate::cycle::{Cycle, Scratch, bacon_rajan::PossibleRoots, generational::Generational};
use crate::event::{Event, EventKind, EventLog, Listener, Listeners, Recorder};
use crate::gil::{Gil, GlobalLock, Leave, LockStatistics, TELL};
use crate::handle::{Cleared, GlobalCell, Globals, Mailbox, WeakCell};
use crate::mutator::Attached;
use crate::object::{HEADER_BYTES, Object, Shape, tag};
use crate::overhead::{Overhead, OverheadLimit};
use crate::room::{self, List};
use crate::shared::{Counted, Shared};

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

/// Counters of a heap, in one reading. Reading them waits for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The limit on [`Self::occupied_bytes`], in bytes; 0 where the heap has none.
    pub limit_bytes: u64,
    /// Objects allocated since the heap was made.
    pub allocated_objects: u64,
    /// Payload bytes allocated since the heap was made (see [`Shape::payload_bytes`]).
    pub allocated_payload_bytes: u64,
    /// Objects freed since the heap was made, as of the end of the last drain or collection.
    pub freed_objects: u64,
    /// Payload bytes of these.
    pub freed_payload_bytes: u64,
    /// Bytes of all objects that have not been freed, garbage included: 16 for each header, and
    /// their payload.
    pub object_bytes: u64,
    /// Bytes of blocks in use that hold no object and no metadata: free cells, what rounding up to
    /// cells and blocks leaves over, and what was not carved into cells yet.
    /// [`Self::occupied_bytes`] is the sum of this, [`Self::object_bytes`] and
    /// [`Self::metadata_bytes`], as far as these are read at the same moment.
    pub fragmentation_bytes: u64,
    /// Bytes now counted against the limit: whole blocks in use, large objects, side metadata.
    /// Handles are metadata too, and are not refused at the limit: a program that makes globals or
    /// weak references without end exceeds it by their cells, and then no object can be allocated
    /// until it drops some.
    pub occupied_bytes: u64,
    /// The largest [`Self::occupied_bytes`] so far.
    pub peak_occupied_bytes: u64,
    /// Bytes now asked of the system and used at least once: [`Self::occupied_bytes`] and blocks
    /// kept for reuse. It is at most the limit, or [`Self::occupied_bytes`] where handles have
    /// exceeded that; and at most an eighth and 4 MiB more than the largest
    /// [`Self::occupied_bytes`] so far. With huge pages the system may back up to 2 MiB
    /// more for each 4 MiB that objects lie in.
    pub committed_bytes: u64,
    /// The part of [`Self::occupied_bytes`] that is side metadata. Brought up to date on slow
    /// paths, and by every collection: while weak references die it may be that of a moment ago.
    pub metadata_bytes: u64,
    /// Always `None`: counting does not trace, and does not know.
    pub live_bytes: Option<u64>,
    /// The most memory that a cycle collection took for itself, outside the heap and its limit: at
    /// most a few words for each object that it examined.
    pub peak_scratch_bytes: u64,
    /// Cycle collections so far, of any generation.
    pub collections: u64,
    /// Count operations; `None` in a build without the feature `count-statistics`.
    pub counts: Option<CountStatistics>,
}

/// How often references were counted, in a build with the feature `count-statistics`. Left out is
/// what needs no counting: the first reference to a new object, moves, and references between
/// objects that a cycle collection frees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountStatistics {
    /// Increments.
    pub increments: u64,
    /// Decrements that left references: the sum with [`Self::to_zero`] is all decrements.
    pub to_non_zero: u64,
    /// Decrements that left none.
    pub to_zero: u64,
}

/// The counters behind [`CountStatistics`], and nothing in a build without.
#[derive(Default)]
pub(crate) struct CountCounters {
    #[cfg(feature = "count-statistics")]
    counters: [AtomicU64; 3],
}

/// A count operation.
#[derive(Clone, Copy)]
pub(crate) enum CountOperation {
    Increment,
    ToNonZero,
    ToZero,
}

impl CountCounters {
    #[inline(always)]
    pub(crate) fn count(&self, operation: CountOperation) {
        #[cfg(feature = "count-statistics")]
        {
            let counter = &self.counters[operation as usize];
            counter.store(counter.load(Relaxed) + 1, Relaxed);
        }
        #[cfg(not(feature = "count-statistics"))]
        let _ = operation;
    }

    fn read(&self) -> Option<CountStatistics> {
        #[cfg(feature = "count-statistics")]
        {
            let read = |operation| self.counters[operation as usize].load(Relaxed);
            Some(CountStatistics {
                increments: read(CountOperation::Increment),
                to_non_zero: read(CountOperation::ToNonZero),
                to_zero: read(CountOperation::ToZero),
            })
        }
        #[cfg(not(feature = "count-statistics"))]
        None
    }
}

/// Bytes of unused memory that a heap may keep beyond an eighth of the largest size it had.
const COMMITTED_SLACK: usize = 4 << 20;

/// The counters behind [`Statistics`]. Only the holder of the lock writes them, with plain loads
/// and stores; anybody reads.
pub(crate) struct Counters {
    limit: usize,
    objects: AtomicU64,
    payload: AtomicU64,
    freed_objects: AtomicU64,
    freed_payload: AtomicU64,
    occupied: AtomicUsize,
    peak: AtomicUsize,
    /// Unused memory that is kept for reuse.
    spare: AtomicUsize,
    /// Buffers and tables: metadata outside of blocks.
    tables: AtomicUsize,
    /// Metadata within blocks.
    side: AtomicUsize,
    scratch: AtomicUsize,
    collections: AtomicU64,
    pub(crate) counts: CountCounters,
}

impl Counters {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            objects: AtomicU64::new(0),
            payload: AtomicU64::new(0),
            freed_objects: AtomicU64::new(0),
            freed_payload: AtomicU64::new(0),
            occupied: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            spare: AtomicUsize::new(0),
            tables: AtomicUsize::new(0),
            side: AtomicUsize::new(0),
            scratch: AtomicUsize::new(0),
            collections: AtomicU64::new(0),
            counts: CountCounters::default(),
        }
    }

    /// Counts an allocation.
    #[inline(always)]
    pub(crate) fn allocated(&self, payload_bytes: u64) {
        self.objects.store(self.objects.load(Relaxed) + 1, Relaxed);
        self.payload
            .store(self.payload.load(Relaxed) + payload_bytes, Relaxed);
    }

    /// Counts objects that were freed.
    #[inline(always)]
    pub(crate) fn freed(&self, objects: u64, payload_bytes: u64) {
        let add = |counter: &AtomicU64, more| counter.store(counter.load(Relaxed) + more, Relaxed);
        add(&self.freed_objects, objects);
        add(&self.freed_payload, payload_bytes);
    }

    /// Objects that were not freed, and their bytes, headers included.
    pub(crate) fn in_heap(&self) -> (u64, u64) {
        // Read in this order: what is freed has been allocated before.
        let freed = (
            self.freed_objects.load(Relaxed),
            self.freed_payload.load(Relaxed),
        );
        let objects = self.objects.load(Relaxed).saturating_sub(freed.0);
        let payload = self.payload.load(Relaxed).saturating_sub(freed.1);
        (objects, objects * HEADER_BYTES as u64 + payload)
    }

    /// Bytes of all objects that were ever made, headers included.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        let headers = self
            .objects
            .load(Relaxed)
            .saturating_mul(HEADER_BYTES as u64);
        headers.saturating_add(self.payload.load(Relaxed))
    }

    /// Bytes of objects that were made or freed.
    fn turned_over(&self) -> u64 {
        let headers = self
            .freed_objects
            .load(Relaxed)
            .saturating_mul(HEADER_BYTES as u64);
        let freed = headers.saturating_add(self.freed_payload.load(Relaxed));
        self.allocated_bytes().saturating_add(freed)
    }

    /// Bytes that may still be allocated below the limit, free cells of any class included. What is
    /// left over of the limit and too little for a block is good for nothing.
    pub(crate) fn room(&self) -> u64 {
        let metadata = self.side.load(Relaxed) + self.tables.load(Relaxed);
        let rest = self.limit.saturating_sub(self.occupied.load(Relaxed)) % BLOCK_COST;
        (self.limit as u64).saturating_sub(self.object_bytes() + (metadata + rest) as u64)
    }

    fn object_bytes(&self) -> u64 {
        self.in_heap().1
    }

    /// Takes `bytes` out of what the limit leaves, or says that they do not fit.
    pub(crate) fn charge(&self, bytes: usize) -> bool {
        let occupied = self.occupied.load(Relaxed).saturating_add(bytes);
        let fits = self.would_fit(bytes);
        if fits {
            self.occupied.store(occupied, Relaxed);
            self.peak
                .store(self.peak.load(Relaxed).max(occupied), Relaxed);
        }
        fits
    }

    /// Whether [`charge`](Self::charge) would take `bytes`.
    pub(crate) fn would_fit(&self, bytes: usize) -> bool {
        self.occupied.load(Relaxed).saturating_add(bytes) <= self.limit
    }

    pub(crate) fn discharge(&self, bytes: usize) {
        self.occupied
            .store(self.occupied.load(Relaxed) - bytes, Relaxed);
    }

    /// So many bytes are unused and kept for reuse.
    pub(crate) fn set_spare(&self, bytes: usize) {
        self.spare.store(bytes, Relaxed);
    }

    /// Bytes by which committed memory exceeds its bound: the limit, or [`COMMITTED_SLACK`] and an
    /// eighth more than was ever occupied. Objects are within both, so that giving back what is
    /// spare is enough; handles are not refused at the limit, and may exceed it by themselves.
    pub(crate) fn excess(&self) -> usize {
        let committed = self.occupied.load(Relaxed) + self.spare.load(Relaxed);
        let peak = self.peak.load(Relaxed);
        committed.saturating_sub(self.limit.min(peak + peak / 8 + COMMITTED_SLACK))
    }

    /// Brings the size of the metadata up to date. It is never refused: what it takes, the next
    /// block lacks.
    fn set_metadata(&self, side: usize, tables: usize) {
        let before = self.tables.swap(tables, Relaxed);
        let occupied = self.occupied.load(Relaxed) - before + tables;
        self.occupied.store(occupied, Relaxed);
        self.peak
            .store(self.peak.load(Relaxed).max(occupied), Relaxed);
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
        let object_bytes = self.object_bytes();
        let occupied = self.occupied.load(Relaxed) as u64;
        let metadata = (self.side.load(Relaxed) + self.tables.load(Relaxed)) as u64;
        Statistics {
            freed_objects: self.freed_objects.load(Relaxed),
            freed_payload_bytes: self.freed_payload.load(Relaxed),
            object_bytes,
            fragmentation_bytes: occupied.saturating_sub(metadata + object_bytes),
            limit_bytes: self.limit(),
            allocated_objects: self.objects.load(Relaxed),
            allocated_payload_bytes: self.payload.load(Relaxed),
            occupied_bytes: occupied,
            peak_occupied_bytes: self.peak.load(Relaxed) as u64,
            committed_bytes: occupied + self.spare.load(Relaxed) as u64,
            metadata_bytes: metadata,
            live_bytes: None,
            peak_scratch_bytes: self.scratch.load(Relaxed) as u64,
            collections: self.collections.load(Relaxed),
            counts: self.counts.read(),
        }
    }
}

/// What the lock protects.
pub(crate) struct Protected {
    /// Objects whose count fell to zero and that the next drain looks at again. See
    /// [`crate::count`].
    pub(crate) pending: Buffer,
    /// There are more pending objects than the list names.
    pub(crate) pending_unlisted: Cell<bool>,
    /// The first of the dead objects that a lazy heap has not freed yet; they are linked.
    pub(crate) dead: Cell<Option<Object>>,
    pub(crate) free: Free,
    pub(crate) cycle: Cycle,
    pub(crate) allocator: Allocator,
    pub(crate) generational: Generational,
    pub(crate) possible_roots: PossibleRoots,
    pub(crate) scratch: Scratch,
    /// The cell of each object that has weak references.
    pub(crate) weak: RefCell<HashMap<Object, Shared<WeakCell>>>,
    /// Weak references that were cleared and not yet asked for.
    pub(crate) cleared: Cleared,
    /// Objects whose finalizers are due; the queue owns a count of each.
    pub(crate) finalizable: RefCell<VecDeque<Object>>,
    /// Such objects that the queue has no room for.
    pub(crate) finalizable_unlisted: Cell<usize>,
    /// Every global that was not yet released.
    pub(crate) globals: Globals,
    /// The attached mutator that was the last to attach; they are linked.
    pub(crate) attached: Cell<*const Attached>,
    pub(crate) overhead: Overhead,
    /// A collection is going on.
    pub(crate) collecting: Cell<bool>,
    /// What had been turned over when unused memory was last looked at.
    tidied: Cell<u64>,
    /// When unused memory was last looked at.
    last_tidy: Cell<Option<Instant>>,
}

/// A heap's shared state.
pub(crate) struct Inner {
    pub(crate) counters: Counters,
    pub(crate) protected: Protected,
    pub(crate) mailbox: Shared<Mailbox>,
    pub(crate) lock: GlobalLock,
    pub(crate) recorder: Recorder,
    pub(crate) stress: bool,
    return_after: Duration,
    next_mutator: AtomicU32,
    /// Attached mutators and their threads' names, for the watchdog.
    names: Mutex<Vec<(u32, String)>>,
}

// SAFETY: `protected` is reached through `Locked` only, whose makers promise to hold the lock;
// passing the lock from one thread to the next orders their accesses. The objects and handles in it
// are plain memory, tied to no thread. All else is `Send` and `Sync` by itself.
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
        let mut copy = String::new();
        let name = thread.name().unwrap_or("without a name");
        // Without memory for it the watchdog gives a number only.
        let mut names = self.names();
        if copy.try_reserve_exact(name.len()).is_ok() && names.try_reserve(1).is_ok() {
            copy.push_str(name);
            names.push((me, copy));
        }
        me
    }

    pub(crate) fn resign(&self, me: u32) {
        let mut names = self.names();
        names.retain(|(id, _)| *id != me);
        let attached = names.len();
        room::fit(&mut *names, attached);
    }

    /// Takes the lock, and records the wait if there was one.
    pub(crate) fn take_lock(&self, me: u32, returning: bool) {
        let report = |holder: u32, waited: Duration| {
            let names = self.names();
            let name = names
                .iter()
                .find(|(id, _)| *id == holder)
                .map_or("a detached thread", |(_, name)| name);
            crate::system::complain(format_args!(
                "gc-rc: thread '{name}' (mutator {holder}) has kept the global lock for {} ms \
                 while others wait: it reached no safepoint, or waits for something outside of \
                 `blocking`",
                waited.as_millis()
            ));
        };
        if let Some(begun) = self.lock.take(me, &self.mailbox.poll, returning, report) {
            self.record(me, begun, EventKind::LockWait);
        }
    }

    /// Records what began at `from` and ends now. The current thread has the lock, as mutator `me`.
    pub(crate) fn record(&self, me: u32, from: Instant, kind: EventKind) {
        if self.recorder.record(me, from, kind) {
            self.mailbox
                .poll
                .fetch_or(TELL, crate::primitive::Ordering::Relaxed);
        }
    }

    /// Drops the lock, then tells the listeners what happened to mutator `me` while it had it. Does
    /// not unwind.
    pub(crate) fn drop_lock(&self, me: u32, leave: Leave) {
        let poll = &self.mailbox.poll;
        if poll.load(crate::primitive::Ordering::Relaxed) & TELL != 0 {
            poll.fetch_and(!TELL, crate::primitive::Ordering::Relaxed);
        }
        self.lock.drop(me, poll, leave);
        self.recorder.tell(me);
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

/// Unused memory is looked for when so much of the heap was allocated or freed since, as one part
/// of so many.
const TIDY_SHARE: u64 = 8;

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

    /// Returns memory that has been unused for long enough, if it is time to look for it again.
    /// Called where time does not matter, with the time.
    ///
    /// Finding empty blocks costs a walk over all cells: it is made only if a quarter of them may
    /// be free, and at most once in the time after which memory is returned. Where that time is
    /// short, the walk is paid for by what the program turns over.
    pub(crate) fn tidy(self, now: Instant) {
        let due = match self.last_tidy.get() {
            Some(last) => now.saturating_duration_since(last) >= self.inner.return_after,
            None => {
                self.last_tidy.set(Some(now));
                false
            }
        };
        let counters = &self.inner.counters;
        let turned_over = || counters.turned_over().saturating_sub(self.tidied.get());
        if due
            && !self.collecting.get()
            && turned_over() >= self.allocator.bytes_of_cells() as u64 / TIDY_SHARE
        {
            self.last_tidy.set(Some(now));
            self.tidied.set(counters.turned_over());
            self.reclaim(self.inner.return_after.is_zero());
        }
    }

    /// Makes blocks without objects unused if that may be worth the while, and returns those that
    /// have been for long enough, or `all`.
    #[cold]
    #[inline(never)]
    fn reclaim(self, all: bool) {
        let cells = self.allocator.bytes_of_cells() as u64;
        let small = self.inner.counters.object_bytes();
        if cells.saturating_sub(small) >= (cells / 4).max(1 << 20) {
            self.allocator.trim(&self.inner.counters);
        }
        self.forget_unheld_weak();
        self.allocator.age(&self.inner.counters, all);
        self.account_metadata();
    }

    /// After a full collection: makes all blocks without objects unused, and returns memory if it
    /// is time.
    pub(crate) fn trim(self) {
        self.forget_unheld_weak();
        self.allocator.trim(&self.inner.counters);
        if self.inner.return_after.is_zero() {
            self.allocator.age(&self.inner.counters, true);
        }
        self.account_metadata();
    }

    /// Gives back what lists and tables have too much of ([`crate::room`]), and brings their charge
    /// up to date. Cost: that of a few comparisons, and amortised O(1) for each element that went.
    pub(crate) fn account_metadata(self) {
        const TABLE_ENTRY: usize = size_of::<(Object, Shared<WeakCell>)>() + 1;
        const WEAK_CELL: usize = size_of::<Counted<WeakCell>>();
        let mut weak = self.weak.borrow_mut();
        let mut finalizable = self.finalizable.borrow_mut();
        if !self.collecting.get() {
            self.allocator.fit();
            let (blocks, large) = self.listable();
            self.generational.fit(blocks);
            self.scratch.fit(blocks, large);
            self.pending.fit();
            self.possible_roots.fit();
            let entries = (weak.len(), finalizable.len());
            room::fit(&mut *weak, entries.0);
            room::fit(&mut *finalizable, entries.1);
        }
        let side = self.allocator.metadata();
        let tables = size_of::<Object>()
            * (self.pending.capacity() + self.possible_roots.capacity() + finalizable.capacity())
            + weak.capacity() * TABLE_ENTRY
            + (weak.len() + self.cleared.len()) * WEAK_CELL
            + self.globals.len() * size_of::<GlobalCell>()
            + self.scratch.bytes();
        self.inner.counters.set_metadata(side, tables);
        self.allocator.keep_within_bound(&self.inner.counters);
    }

    /// Blocks in use, and large objects.
    pub(crate) fn listable(self) -> (usize, usize) {
        (
            self.allocator.blocks().len(),
            self.allocator.large_objects(),
        )
    }

    /// Sees to it that one more block, or one more large object, can be on every list that it may
    /// ever have to be on. Returns whether there was memory for that: what a collection needs is
    /// there before there is something to collect.
    pub(crate) fn set_aside(self) -> bool {
        let (blocks, large) = self.listable();
        self.allocator.set_aside()
            && self.generational.set_aside(blocks + 1)
            && self.scratch.set_aside(blocks + 1, large + 1)
    }

    /// [`Self::account_metadata`] if the list has become much shorter than it was.
    #[inline]
    pub(crate) fn account_if_sparse(self, list: &RefCell<impl List>) {
        let sparse = {
            let list = list.borrow();
            room::is_sparse(&*list, list.elements())
        };
        if sparse {
            self.account_metadata();
        }
    }
}

impl Deref for Locked<'_> {
    type Target = Protected;

    #[inline(always)]
    fn deref(&self) -> &Protected {
        &self.inner.protected
    }
}

/// A reference-counting heap: a handle to shared state, cheap to clone. The memory goes back to the
/// system with the last handle; finalizers of objects that are still there do not run.
#[derive(Clone)]
pub struct Heap {
    pub(crate) inner: Shared<Inner>,
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
        let built = Self::from_builder(&Builder::default());
        built.expect("the defaults are valid, and their event buffer is small")
    }

    fn from_builder(builder: &Builder) -> Result<Self, BuildError> {
        let capacity = builder.event_capacity;
        let recorder = Recorder::new(capacity, &builder.listeners)
            .ok_or(BuildError::EventCapacity { events: capacity })?;
        let no_memory = BuildError::NoMemory;
        let pending = Buffer::new(LEAST_PENDING).ok_or(no_memory)?;
        let mailbox = Mailbox::new().ok_or(no_memory)?;
        // Cells that are born listed are never listed again.
        let born = match builder.cycle {
            Cycle::Generational => tag::BUFFERED,
            Cycle::BaconRajan => tag::IN_YOUNG,
            Cycle::None => tag::BUFFERED | tag::IN_YOUNG,
        };
        let counters = Counters::new(builder.limit);
        let overhead = Overhead::new(builder.overhead_limit, counters.limit());
        let inner = Shared::new(Inner {
            counters,
            protected: Protected {
                pending,
                pending_unlisted: Cell::new(false),
                dead: Cell::new(None),
                free: builder.free,
                cycle: builder.cycle,
                allocator: Allocator::new(builder.stress, builder.poison, born),
                generational: Generational::new(
                    builder.cycle,
                    builder.thresholds,
                    builder.oldest_growth,
                    builder.prefetch,
                ),
                possible_roots: PossibleRoots::new(builder.possible_roots),
                scratch: Scratch::default(),
                overhead,
                tidied: Cell::new(0),
                last_tidy: Cell::new(None),
                weak: RefCell::default(),
                cleared: Cleared::new(),
                finalizable: RefCell::default(),
                finalizable_unlisted: Cell::new(0),
                globals: Globals::new(),
                attached: Cell::new(std::ptr::null()),
                collecting: Cell::new(false),
            },
            mailbox,
            lock: GlobalLock::new(
                builder.gil,
                builder.switch_interval,
                builder.watchdog,
                builder.lock_hold_times,
            ),
            recorder,
            stress: builder.stress,
            return_after: builder.return_after,
            next_mutator: AtomicU32::new(0),
            names: Mutex::default(),
        });
        Ok(Self {
            inner: inner.ok_or(no_memory)?,
        })
    }

    /// The heap's counters. Waits for nothing.
    pub fn statistics(&self) -> Statistics {
        self.inner.counters.read()
    }

    /// What happened at the global lock. Waits for nothing.
    pub fn lock_statistics(&self) -> LockStatistics {
        self.inner.lock.statistics()
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

/// Pending objects that always have room on their list: so that it is empty only if nothing is
/// pending.
const LEAST_PENDING: usize = 64;

/// A heap's configuration.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    limit: usize,
    overhead_limit: Option<OverheadLimit>,
    stress: bool,
    poison: bool,
    watchdog: Option<Duration>,
    event_capacity: usize,
    gil: Gil,
    switch_interval: Duration,
    cycle: Cycle,
    thresholds: [usize; 3],
    oldest_growth: usize,
    possible_roots: usize,
    free: Free,
    return_after: Duration,
    lock_hold_times: bool,
    prefetch: bool,
    listeners: Listeners,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            limit: usize::MAX,
            overhead_limit: Some(OverheadLimit::default()),
            stress: false,
            poison: false,
            watchdog: None,
            event_capacity: 1 << 14,
            gil: Gil::Cpython,
            switch_interval: Duration::from_millis(5),
            cycle: Cycle::Generational,
            thresholds: Builder::CPYTHON_3_13,
            oldest_growth: 25,
            possible_roots: 10_000,
            free: Free::Eager,
            return_after: Duration::from_secs(1),
            lock_hold_times: false,
            prefetch: false,
            listeners: Listeners::default(),
        }
    }
}

impl Builder {
    /// The thresholds of CPython 3.13, and of 3.14 from 3.14.5 on: the default.
    pub const CPYTHON_3_13: [usize; 3] = [2000, 10, 10];
    /// The thresholds of CPython 3.12 and before.
    pub const CPYTHON_3_12: [usize; 3] = [700, 10, 10];

    /// The limit in bytes on blocks, large objects and metadata; at least [`Heap::MINIMUM_LIMIT`].
    /// No limit by default.
    pub fn limit(self, bytes: usize) -> Self {
        Self {
            limit: bytes,
            ..self
        }
    }

    /// When a nearly full heap refuses allocations, with [`FullCause::Overhead`], although each
    /// would still find memory after one more collection; `None`: never. Default: 98 % of the time,
    /// 2 % of the limit (as HotSpot's `GCTimeLimit` and `GCHeapFreeLimit`). Without a
    /// [limit](Self::limit) it has no effect.
    ///
    /// A *strike* is a collection that an allocation makes at the limit, when since the last such
    /// one less than [`free_percent`](OverheadLimit::free_percent) of the limit was allocated and
    /// collections took at least [`time_percent`](OverheadLimit::time_percent) of the time. At the
    /// fifth in a row allocations are refused. From then on each attempt at the limit may make one
    /// collection, and succeeds again once that finds `free_percent` of the limit free.
    pub fn overhead_limit(self, limit: Option<OverheadLimit>) -> Self {
        Self {
            overhead_limit: limit,
            ..self
        }
    }

    /// Makes a full collection at every allocation: for tests. Off by default.
    pub fn stress(self, on: bool) -> Self {
        Self { stress: on, ..self }
    }

    /// Fills freed cells with a pattern, and checks it when they are reused and in
    /// [`Mutator::verify`](crate::Mutator::verify): for tests. Off by default.
    pub fn poison(self, on: bool) -> Self {
        Self { poison: on, ..self }
    }

    /// Has a line on stderr name the thread that holds the lock for longer than this while others
    /// wait, once for each time. Checked every switch interval. Off by default.
    pub fn watchdog(self, patience: Option<Duration>) -> Self {
        Self {
            watchdog: patience,
            ..self
        }
    }

    /// How many events are kept between two calls of [`Heap::take_events`] (48 bytes each,
    /// allocated at once, outside the limit); 16,384 by default.
    pub fn event_capacity(self, events: usize) -> Self {
        Self {
            event_capacity: events,
            ..self
        }
    }

    /// Adds a listener, which is told of every event. Each call adds one; they are told in the
    /// order in which they were added. None by default.
    pub fn listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listeners.add(listener);
        self
    }

    /// Measures how long the lock is held each time, for [`Heap::lock_statistics`]: two more
    /// readings of the clock for each tenure, which about doubles what a blocking region costs. Off
    /// by default.
    pub fn lock_hold_times(self, on: bool) -> Self {
        Self {
            lock_hold_times: on,
            ..self
        }
    }

    /// How threads share the lock; [`Gil::Cpython`] by default.
    pub fn gil(self, gil: Gil) -> Self {
        Self { gil, ..self }
    }

    /// How long a waiter leaves the holder in peace before it asks for the lock: above zero; 5 ms
    /// by default.
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

    /// When the generations are collected, youngest first: a generation is due when its count
    /// *exceeds* its threshold (see [`Cycle::Generational`]); a first threshold of zero means never
    /// but on request. 2000, 10, 10 by default.
    pub fn thresholds(self, thresholds: [usize; 3]) -> Self {
        Self { thresholds, ..self }
    }

    /// By how many per cent of what survived its last collection the oldest generation grows until
    /// it is due again; 25, CPython's rule, by default. With more, a growing heap is examined less
    /// often, and garbage in it stays longer: 100 lets it double, as tracing collectors do.
    pub fn oldest_growth(self, per_cent: usize) -> Self {
        Self {
            oldest_growth: per_cent,
            ..self
        }
    }

    /// Has every collection ask the cache for what objects refer to before it comes to them.
    /// Without it, a collection does so if it is not small and a sample of its candidates shows
    /// that they lie scattered or refer far and wide, where it pays: young collections of a graph
    /// of a million objects whose members are replaced at random take a third of the time. Where
    /// everything is in the cache, it costs up to a fifth. What is found is the same. Off by
    /// default.
    pub fn prefetch(self, on: bool) -> Self {
        Self {
            prefetch: on,
            ..self
        }
    }

    /// With [`Cycle::BaconRajan`], how many possible roots request a collection: at least one;
    /// 10,000 by default.
    ///
    /// The number goes up where collections examine much that is alive, so that the examinations
    /// stay in proportion to the program's decrements: to half of what survived the last automatic
    /// collection, and, while collections find little, to at most four times that. It comes down
    /// again with what survives, never below this. Collections that are asked for, or made at the
    /// limit, do not change it. A collection is also requested when there are twice the bytes of
    /// objects that survived the last one, and 64 more for each of these roots.
    pub fn possible_roots(self, roots: usize) -> Self {
        Self {
            possible_roots: roots,
            ..self
        }
    }

    /// When dead objects are freed; [`Free::Eager`] by default.
    pub fn free(self, free: Free) -> Self {
        Self { free, ..self }
    }

    /// How long memory stays unused until it goes back to the system; a second by default. Looked
    /// at when collections and long drains end, so that a heap at rest keeps what it has. At zero,
    /// [`Mutator::collect`](crate::Mutator::collect) returns all unused memory.
    pub fn return_after(self, time: Duration) -> Self {
        Self {
            return_after: time,
            ..self
        }
    }

    /// Makes the heap. No memory is touched before the first allocation.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if the limit is below [`Heap::MINIMUM_LIMIT`], the switch interval or the
    /// number of possible roots is zero, a percentage of the overhead limit is above 100, or there
    /// is no memory for as many events as asked for.
    pub fn build(self) -> Result<Heap, BuildError> {
        if self.limit < Heap::MINIMUM_LIMIT {
            return Err(BuildError::LimitTooSmall { limit: self.limit });
        }
        if self.switch_interval.is_zero() {
            return Err(BuildError::NoInterval);
        }
        if let Some(limit) = self.overhead_limit.filter(|limit| !limit.is_valid()) {
            return Err(BuildError::OverheadLimit { limit });
        }
        if self.possible_roots == 0 {
            return Err(BuildError::NoPossibleRoots);
        }
        Heap::from_builder(&self)
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
    /// There is no memory for a buffer of so many events.
    EventCapacity {
        /// The capacity that was asked for, in events.
        events: usize,
    },
    /// A percentage of the overhead limit is above 100.
    OverheadLimit {
        /// The overhead limit that was asked for.
        limit: OverheadLimit,
    },
    /// The number of possible roots is zero: every decrement would request a collection.
    NoPossibleRoots,
    /// The system has no memory for the heap's own state, a few kilobytes.
    NoMemory,
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
            Self::EventCapacity { events } => write!(
                f,
                "no memory for a buffer of {events} events of {} bytes each: choose a smaller \
                 event capacity",
                size_of::<Event>()
            ),
            Self::OverheadLimit { limit } => write!(
                f,
                "an overhead limit of {limit} is out of range: choose percentages from 0 to 100"
            ),
            Self::NoPossibleRoots => write!(
                f,
                "a collection at zero possible roots would never end: give at least 1 (10,000 is \
                 usual)"
            ),
            Self::NoMemory => write!(
                f,
                "the system has no memory for the heap's own state: give the process more memory"
            ),
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
