//! A heap's counters: as [`Statistics`] reports them, and as the heap keeps them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Counters of a heap, in one reading.
///
/// ```
/// use gc_marksweep::{Heap, HeapFull, Shape};
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
    /// The limit on [`Self::occupied_bytes`].
    pub limit_bytes: u64,
    /// Objects allocated since the heap was made. A running mutator's part lags by what it has
    /// allocated from its current block, at most 4,096 objects; a detached mutator's part is exact.
    pub allocated_objects: u64,
    /// Payload bytes allocated since the heap was made: 8 for each field and word. Lags as the
    /// objects do.
    pub allocated_payload_bytes: u64,
    /// Bytes counted against the limit: blocks that are not wholly free, pages of large objects,
    /// side metadata.
    pub occupied_bytes: u64,
    /// The largest [`Self::occupied_bytes`] so far.
    pub peak_occupied_bytes: u64,
    /// What [`Self::occupied_bytes`] may reach before a collection: the limit, or less (see
    /// [`Sizing`](crate::Sizing)).
    pub goal_bytes: u64,
    /// The part of [`Self::occupied_bytes`] that is side metadata: marks and live counts.
    pub metadata_bytes: u64,
    /// Bytes that the system backs and nobody uses: blocks and page runs not yet given back, with
    /// their metadata.
    pub free_bytes: u64,
    /// Bytes of the collector's own memory, which are not counted against the limit, after the last
    /// collection: mark stacks, logs, lists of globals, of weak references, of objects with
    /// finalizers and of large ones.
    pub collector_bytes: u64,
    /// Bytes backed by the system: [`Self::occupied_bytes`], [`Self::free_bytes`] and
    /// [`Self::collector_bytes`].
    pub committed_bytes: u64,
    /// What the last collection found; `None` before the first.
    pub last_collection: Option<Found>,
    /// Bytes the last collection found live: [`Found::live_bytes`].
    pub live_bytes: Option<u64>,
    /// Bytes of objects that are live or not found dead yet: what the last collection found live,
    /// and what has been allocated since, which lags as the allocated objects do and leaves out
    /// what is lost in rounding up.
    pub object_bytes: u64,
    /// Collections so far.
    pub collections: u64,
    /// How many of them were minor ones.
    pub minor_collections: u64,
}

/// What a collection left of the heap: `occupied_bytes` is the sum of the other three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Bytes counted against the limit.
    pub occupied_bytes: u64,
    /// Bytes of live objects, headers and rounding included; dead old ones too, if it was a minor
    /// collection.
    pub live_bytes: u64,
    /// Side metadata of what is occupied.
    pub metadata_bytes: u64,
    /// Bytes of holes between live objects, and of the last pages of large ones.
    pub fragmentation_bytes: u64,
}

/// Counters that readers need not wait for. Mutators add to them on slow paths.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) mutators: AtomicU32,
    pub(crate) objects: AtomicU64,
    pub(crate) payload_words: AtomicU64,
    pub(crate) collections: AtomicU64,
    pub(crate) minor_collections: AtomicU64,
    /// What the last collection found, and [`Self::allocated_bytes`] at that time. Locked for a
    /// copy only.
    pub(crate) found: Mutex<Option<(Found, u64)>>,
    /// The memory of the collector itself: mark stacks, logs and lists.
    pub(crate) collector_bytes: AtomicU64,
}

impl Counters {
    /// Bytes of all objects allocated so far, without what is lost in rounding up. Lags as
    /// [`Statistics::allocated_objects`] does.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        let objects = self.objects.load(Ordering::Relaxed);
        8 * (objects + self.payload_words.load(Ordering::Relaxed))
    }

    /// Bytes of objects that are live or not found dead yet: see [`Statistics::object_bytes`].
    pub(crate) fn object_bytes(&self, found: Option<(Found, u64)>) -> u64 {
        let (live, allocated_before) = match found {
            Some((found, allocated)) => (found.live_bytes, allocated),
            None => (0, 0),
        };
        live + self.allocated_bytes() - allocated_before
    }

    pub(crate) fn found(&self) -> MutexGuard<'_, Option<(Found, u64)>> {
        self.found
            .lock()
            .expect("no code that panics runs under this lock")
    }
}
