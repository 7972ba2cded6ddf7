//! A heap's counters: as [`Statistics`] reports them, and as the heap keeps them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::block::BLOCK_COST;
use crate::object::HEADER_BYTES;

/// Counters of a heap, in one reading. Reading them waits for nothing.
///
/// ```
/// use gc_rc::{Heap, HeapFull, Shape};
///
/// let heap = Heap::builder().limit(1 << 20).build()?;
/// heap.attach(|m| {
///     m.frame(|m, [array]| {
///         m.alloc(array, Shape::new(100, 0))?;
///         Ok::<_, HeapFull>(())
///     })
/// })?;
/// let statistics = heap.statistics();
/// assert_eq!(statistics.allocated_objects, 1);
/// assert_eq!(statistics.allocated_payload_bytes, 800);
/// assert!(statistics.occupied_bytes <= statistics.limit_bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The limit on [`Self::occupied_bytes`], in bytes; 0 where the heap has none.
    pub limit_bytes: u64,
    /// Objects allocated since the heap was made.
    pub allocated_objects: u64,
    /// Payload bytes allocated since the heap was made (see
    /// [`Shape::payload_bytes`](crate::Shape::payload_bytes)).
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
    /// Times that a thread found the lock of an object held by another, and waited: zero but in the
    /// regime [`ObjectLock`](crate::ObjectLock). Waits that were so long that it gave its processor
    /// up are [events](crate::EventKind::LockWait), too.
    pub object_lock_waits: u64,
    /// How dead objects waited to be freed; `None` under the global lock, where they do not.
    pub reclamation: Option<ReclamationStatistics>,
    /// How counts of two parts were changed; `None` but in the regimes [`Biased`](crate::Biased)
    /// and [`Deferred`](crate::Deferred).
    pub bias: Option<BiasStatistics>,
    /// What was not counted; `None` but in the regime [`Deferred`](crate::Deferred).
    pub deferral: Option<DeferralStatistics>,
    /// Count operations; `None` in a build without the feature `count-statistics`.
    pub counts: Option<CountStatistics>,
}

/// What became of the dead in a regime without the global lock, where an object whose count falls
/// to zero is *retired*, to be freed when nobody can hold a reference any more that was read
/// before. Each mutator brings its share up to date when it attends to what it has retired: what
/// has come to zero since, at most 64 objects or those of 64 operations, is in none of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReclamationStatistics {
    /// Objects that were retired. One that must wait again, because somebody had a reference
    /// meanwhile, because it had weak references, or because its mutator has gone, counts again;
    /// what dies with another does not count.
    pub retired_objects: u64,
    /// Retired objects that wait now: what they keep alive is not among them.
    pub kept_objects: u64,
    /// Bytes of these, headers included.
    pub kept_bytes: u64,
    /// Objects that were freed after a grace period, with those that died with them; and in the
    /// regime [`Biased`](crate::Biased) those that need not wait for one, as no other thread has
    /// ever seen them. All others that were freed died in a stop.
    pub freed_objects: u64,
    /// Epochs that have begun: three make a grace period. Each stop begins three, and so does a
    /// mutator that is the only one when it frees what it has retired.
    pub epochs: u64,
    /// Times that all threads were stopped.
    pub stops: u64,
}

/// What became of counts in the regimes [`Biased`](crate::Biased) and
/// [`Deferred`](crate::Deferred), where the thread that made an
/// object changes its own part of the count, and everybody else another by atomic operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BiasStatistics {
    /// Changes of owners' parts; `None` in a build without the feature `count-statistics`.
    pub own_changes: Option<u64>,
    /// Changes by atomic operations: of the part of others, and of objects that have no owner any
    /// more.
    pub shared_changes: u64,
    /// Objects that were named to their owners, because somebody else let go of a reference that
    /// the owner has counted.
    pub named_objects: u64,
    /// Objects that lost their owners, whoever added their parts up, while threads ran: stops are
    /// not counted.
    pub merged_objects: u64,
}

/// What became of counts in the regime [`Deferred`](crate::Deferred).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeferralStatistics {
    /// References of locals that were not counted.
    pub uncounted: u64,
    /// Objects that are deferred.
    pub deferred_objects: u64,
    /// Objects whose deferral has begun.
    pub begun: u64,
    /// Times that a stop was made to begin or to end deferral.
    pub stops: u64,
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

/// What was counted apart from a heap's counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) objects: u64,
    pub(crate) payload: u64,
    pub(crate) freed_objects: u64,
    pub(crate) freed_payload: u64,
    pub(crate) lock_waits: u64,
    pub(crate) retired: u64,
    pub(crate) freed_after_grace: u64,
    /// How much there is now, and not to be added up.
    pub(crate) kept_objects: u64,
    pub(crate) kept_bytes: u64,
    pub(crate) kept_tracked: u64,
    pub(crate) own_changes: u64,
    pub(crate) shared_changes: u64,
    pub(crate) named: u64,
    pub(crate) merged: u64,
    pub(crate) spared: u64,
}

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
    lock_waits: AtomicU64,
    retired: AtomicU64,
    freed_after_grace: AtomicU64,
    own_changes: AtomicU64,
    shared_changes: AtomicU64,
    named: AtomicU64,
    merged: AtomicU64,
    spared: AtomicU64,
    pub(crate) counts: CountCounters,
}

impl Counters {
    pub(crate) fn new(limit: usize) -> Self {
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
            lock_waits: AtomicU64::new(0),
            retired: AtomicU64::new(0),
            freed_after_grace: AtomicU64::new(0),
            own_changes: AtomicU64::new(0),
            shared_changes: AtomicU64::new(0),
            named: AtomicU64::new(0),
            merged: AtomicU64::new(0),
            spared: AtomicU64::new(0),
            counts: CountCounters::default(),
        }
    }

    /// Counts what was counted elsewhere.
    pub(crate) fn add(&self, more: Tally) {
        let add = |counter: &AtomicU64, more| counter.store(counter.load(Relaxed) + more, Relaxed);
        add(&self.objects, more.objects);
        add(&self.payload, more.payload);
        add(&self.lock_waits, more.lock_waits);
        add(&self.retired, more.retired);
        add(&self.freed_after_grace, more.freed_after_grace);
        add(&self.own_changes, more.own_changes);
        add(&self.shared_changes, more.shared_changes);
        add(&self.named, more.named);
        add(&self.merged, more.merged);
        add(&self.spared, more.spared);
        self.freed(more.freed_objects, more.freed_payload);
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
    pub(crate) fn turned_over(&self) -> u64 {
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

    pub(crate) fn object_bytes(&self) -> u64 {
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
    pub(crate) fn set_metadata(&self, side: usize, tables: usize) {
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

    /// What there is, with what was counted elsewhere and not [added](Self::add) yet.
    pub(crate) fn read(&self, beside: Tally) -> Statistics {
        // Read in this order: what is freed has been allocated before.
        let freed_objects = self.freed_objects.load(Relaxed) + beside.freed_objects;
        let freed_payload_bytes = self.freed_payload.load(Relaxed) + beside.freed_payload;
        let allocated_objects = self.objects.load(Relaxed) + beside.objects;
        let allocated_payload_bytes = self.payload.load(Relaxed) + beside.payload;
        let objects = allocated_objects.saturating_sub(freed_objects);
        let object_bytes = objects * HEADER_BYTES as u64
            + allocated_payload_bytes.saturating_sub(freed_payload_bytes);
        let occupied = self.occupied.load(Relaxed) as u64;
        let metadata = (self.side.load(Relaxed) + self.tables.load(Relaxed)) as u64;
        Statistics {
            freed_objects,
            freed_payload_bytes,
            object_bytes,
            fragmentation_bytes: occupied.saturating_sub(metadata + object_bytes),
            limit_bytes: self.limit(),
            allocated_objects,
            allocated_payload_bytes,
            occupied_bytes: occupied,
            peak_occupied_bytes: self.peak.load(Relaxed) as u64,
            committed_bytes: occupied + self.spare.load(Relaxed) as u64,
            metadata_bytes: metadata,
            live_bytes: None,
            peak_scratch_bytes: self.scratch.load(Relaxed) as u64,
            collections: self.collections.load(Relaxed),
            object_lock_waits: self.lock_waits.load(Relaxed) + beside.lock_waits,
            reclamation: None,
            bias: None,
            deferral: None,
            counts: self.counts.read(),
        }
    }

    /// What was counted of the dead, with what was counted elsewhere.
    pub(crate) fn reclamation(&self, beside: Tally) -> ReclamationStatistics {
        ReclamationStatistics {
            retired_objects: self.retired.load(Relaxed) + beside.retired,
            freed_objects: self.freed_after_grace.load(Relaxed) + beside.freed_after_grace,
            ..ReclamationStatistics::default()
        }
    }

    /// Objects that were freed, as far as that was added.
    pub(crate) fn freed_objects(&self) -> u64 {
        self.freed_objects.load(Relaxed)
    }

    /// References of locals that were not counted, as far as that was added.
    pub(crate) fn spared(&self) -> u64 {
        self.spared.load(Relaxed)
    }

    /// What was counted of counts with two parts, with what was counted elsewhere.
    pub(crate) fn bias(&self, beside: Tally) -> BiasStatistics {
        let own = self.own_changes.load(Relaxed) + beside.own_changes;
        BiasStatistics {
            own_changes: cfg!(feature = "count-statistics").then_some(own),
            shared_changes: self.shared_changes.load(Relaxed) + beside.shared_changes,
            named_objects: self.named.load(Relaxed) + beside.named,
            merged_objects: self.merged.load(Relaxed) + beside.merged,
        }
    }
}
