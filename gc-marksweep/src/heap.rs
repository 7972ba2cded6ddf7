//! The heap: what all mutators share, how it is configured, and its counters.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::block::Space;
use crate::event::{Clock, Event, EventLog, Listener, Listeners, Recorder};
use crate::handle::Handles;
use crate::mark::{MAX_PREFETCH_DEPTH, MAX_WORKERS, Marker};
use crate::mutator::{Context, Mutator};
use crate::os::Refused;
use crate::overhead::{Overhead, OverheadLimit};
use crate::policy::{Generations, HeapSize, Policy};
use crate::process::{Home, is_held};
use crate::remember::Orphans;
use crate::safepoint::Handshake;
use crate::shared;
use crate::supply::{BLOCK_CHARGE, Supply};
use crate::workers::default_workers;

/// An allocation got no memory, even after an exhaustive collection. A value, never an abort: the
/// heap stays usable, and the same allocation may succeed once memory has been released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapFull {
    /// Bytes asked for, header and rounding included.
    pub requested: u64,
    /// The heap's limit in bytes.
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
    /// It fits below the heap's limit, but the system has no memory for it or for what the
    /// collector notes about it.
    System,
    /// It would fit, but only after one more of too many collections that free next to nothing.
    Overhead,
}

impl fmt::Display for HeapFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requested, limit, ..
        } = self;
        match self.cause {
            FullCause::Limit => write!(
                f,
                "heap full: {requested} bytes do not fit below the limit of {limit} bytes after \
                 an exhaustive collection: let go of objects, or choose a larger limit"
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

/// A heap cannot be made as asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The limit is below [`Builder::MINIMUM_LIMIT`].
    LimitTooSmall {
        /// The limit asked for, in bytes.
        limit: usize,
    },
    /// The prefetch depth is above [`Builder::MAX_PREFETCH_DEPTH`].
    PrefetchDepth {
        /// The depth asked for.
        depth: usize,
    },
    /// The nursery is below [`Builder::MINIMUM_NURSERY`].
    NurseryTooSmall {
        /// The nursery asked for, in bytes.
        nursery: usize,
    },
    /// The factor of [`HeapSize::Multiplier`] is not above 1.
    Multiplier {
        /// The factor asked for.
        factor: f64,
    },
    /// The factor of [`HeapSize::MemBalancer`] is not above 0.
    MemBalancer {
        /// The factor asked for.
        factor: f64,
    },
    /// There is no memory for a buffer of that many events.
    EventCapacity {
        /// The capacity asked for, in events.
        events: usize,
    },
    /// The number of marking workers is zero or above [`Builder::MAX_MARKING_WORKERS`].
    MarkingWorkers {
        /// The number asked for.
        workers: usize,
    },
    /// A percentage of the overhead limit is above 100.
    OverheadLimit {
        /// The overhead limit asked for.
        limit: OverheadLimit,
    },
    /// The system has no memory for what a heap has from the beginning, some 50 KiB.
    Memory,
    /// The system has no address space for the blocks and tables of a heap of that limit (see
    /// [`Builder::limit`]).
    AddressSpace {
        /// The limit asked for, in bytes.
        limit: usize,
        /// What the system was asked for, in bytes, and refused; `usize::MAX` if it is more than
        /// there can be.
        bytes: usize,
        /// What the system said.
        source: std::io::Error,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitTooSmall { limit } => write!(
                f,
                "a limit of {limit} bytes is too small for a mark-sweep heap: the least is {} \
                 bytes",
                Builder::MINIMUM_LIMIT
            ),
            Self::PrefetchDepth { depth } => write!(
                f,
                "a prefetch depth of {depth} is too large: the most is {}",
                Builder::MAX_PREFETCH_DEPTH
            ),
            Self::NurseryTooSmall { nursery } => write!(
                f,
                "a nursery of {nursery} bytes is too small: the least is {} bytes",
                Builder::MINIMUM_NURSERY
            ),
            Self::Multiplier { factor } => write!(
                f,
                "a heap of {factor} times its live objects leaves no room for new ones: choose a \
                 multiplier above 1"
            ),
            Self::MemBalancer { factor } => write!(
                f,
                "a mem-balancer factor of {factor} per MiB gives no heap size: choose one above 0"
            ),
            Self::EventCapacity { events } => write!(
                f,
                "no memory for a buffer of {events} events of {} bytes each: choose a smaller \
                 event capacity",
                size_of::<Event>()
            ),
            Self::MarkingWorkers { workers } => write!(
                f,
                "a heap cannot have {workers} marking workers: at least 1, at most {}",
                Builder::MAX_MARKING_WORKERS
            ),
            Self::OverheadLimit { limit } => write!(
                f,
                "an overhead limit of {limit} is out of range: choose percentages from 0 to 100"
            ),
            Self::Memory => write!(
                f,
                "the system has no memory for a heap: give the process more memory"
            ),
            Self::AddressSpace {
                limit,
                bytes: usize::MAX,
                ..
            } => write!(
                f,
                "no address space is large enough for a heap with a limit of {limit} bytes: \
                 choose a smaller limit"
            ),
            Self::AddressSpace {
                limit,
                bytes,
                source,
            } => write!(
                f,
                "no address space for a heap with a limit of {limit} bytes: {bytes} bytes were \
                 asked for ({source}): choose a smaller limit, or let the process have more \
                 address space (ulimit -v)"
            ),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::AddressSpace { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// How to make a [`Heap`]: see [`Heap::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    limit: usize,
    stress: bool,
    poison: bool,
    watchdog: Option<Duration>,
    event_capacity: usize,
    listeners: Listeners,
    prefetch_depth: usize,
    generations: Generations,
    nursery: usize,
    heap_size: HeapSize,
    release_after: Option<Duration>,
    marking_workers: Option<usize>,
    mark_stack_limit: usize,
    overhead_limit: Option<OverheadLimit>,
}

impl Builder {
    /// The smallest nursery, in bytes.
    pub const MINIMUM_NURSERY: usize = 1 << 16;
    /// The smallest limit, in bytes.
    pub const MINIMUM_LIMIT: usize = 8 * BLOCK_CHARGE;
    /// The largest prefetch depth, in objects.
    pub const MAX_PREFETCH_DEPTH: usize = MAX_PREFETCH_DEPTH;
    /// The most marking workers.
    pub const MAX_MARKING_WORKERS: usize = MAX_WORKERS;

    /// The limit in bytes on everything the heap uses: objects, headers, rounding, fragmentation,
    /// side metadata. Default: 64 MiB.
    ///
    /// Address space for so many bytes of blocks is reserved at once, rounded up to 16 MiB, with an
    /// eighth of that for mark bytes, and 1.4 % of the limit for tables: 1.14 times the limit, and
    /// no memory. For large objects (more than 8 KiB) it is reserved when they need it, a sixteenth
    /// of the limit at a time, at most 4.5 times the limit together, since what cannot move may
    /// need more room than it fills. Where the system refuses that, [`HeapFull`] says so.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Whether minor collections look at new objects only. Default: where that pays.
    pub fn generations(mut self, generations: Generations) -> Self {
        self.generations = generations;
        self
    }

    /// How many bytes are handed out between minor collections, at least [`Self::MINIMUM_NURSERY`];
    /// less where a major collection leaves less than twice as much. Default: 16 MiB.
    pub fn nursery(mut self, bytes: usize) -> Self {
        self.nursery = bytes;
        self
    }

    /// How much memory the heap occupies before it collects. Default: up to the limit.
    pub fn heap_size(mut self, heap_size: HeapSize) -> Self {
        self.heap_size = heap_size;
        self
    }

    /// For how long memory must have been free and not needed before a collection gives it back to
    /// the system; never if `None`. Default: 4 seconds.
    pub fn release_after(mut self, after: Option<Duration>) -> Self {
        self.release_after = after;
        self
    }

    /// Whether every allocation collects first, mostly minor collections if there are generations:
    /// slow, and the surest way to find a missing root. Default: no.
    pub fn stress(mut self, stress: bool) -> Self {
        self.stress = stress;
        self
    }

    /// Whether collections fill free memory with a pattern that no live object bears, so that a use
    /// after free is seen; not that of large objects (more than 8 KiB). Blocks given back to the
    /// system are filled too, and so take memory again. Default: no.
    pub fn poison(mut self, poison: bool) -> Self {
        self.poison = poison;
        self
    }

    /// After how long the threads that keep a stop waiting are named on standard error, in one line
    /// and once a stop. Default: never.
    pub fn watchdog(mut self, after: Option<Duration>) -> Self {
        self.watchdog = after;
        self
    }

    /// How many events are kept until somebody takes them. Default: 65,536 (4.5 MiB, untouched
    /// until used).
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events;
        self
    }

    /// Adds a listener, which is told of every event. Each call adds one; they are told in the
    /// order in which they were added. Default: none.
    pub fn listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listeners.add(listener);
        self
    }

    /// How many objects are prefetched ahead of the marker, at most [`Self::MAX_PREFETCH_DEPTH`]; 0
    /// turns prefetching off. Default: 16.
    pub fn prefetch_depth(mut self, objects: usize) -> Self {
        self.prefetch_depth = objects;
        self
    }

    /// How many threads mark, from 1 to [`Self::MAX_MARKING_WORKERS`], the one that collects
    /// included. The others are started when there is first enough to mark for them, sleep between
    /// collections, and end with the heap; if the system refuses a thread there are fewer. With 1
    /// there is none, and marking is free of atomic operations that would cost something. Default:
    /// the cores that the process may use.
    pub fn marking_workers(mut self, workers: usize) -> Self {
        self.marking_workers = Some(workers);
        self
    }

    /// The most bytes that each marking thread's stack may grow to; it is not counted against
    /// [`Self::limit`]. A collection that needs more than that, or more than the system gives,
    /// succeeds but takes longer: it looks through the marked objects of the whole heap for those
    /// it could not remember. A limit below 32 KiB is as one of 32 KiB. Default: none; a stack
    /// takes 8 bytes for each reference that has been seen and not yet followed.
    pub fn mark_stack_limit(mut self, bytes: usize) -> Self {
        self.mark_stack_limit = bytes;
        self
    }

    /// When a nearly full heap refuses allocations, with [`FullCause::Overhead`], although each
    /// would still find memory after one more collection; `None`: never. Default: 98 % of the time,
    /// 2 % of the limit (as HotSpot's `GCTimeLimit` and `GCHeapFreeLimit`).
    ///
    /// A *strike* is a collection of the whole heap that an allocation asks for at the limit, when
    /// since the last such one less than [`free_percent`](OverheadLimit::free_percent) of the limit
    /// was allocated and collections took at least [`time_percent`](OverheadLimit::time_percent) of
    /// the time. At the fifth in a row allocations are refused. From then on each attempt at the
    /// limit may make one collection, and succeeds again once that finds `free_percent` of the
    /// limit free.
    pub fn overhead_limit(mut self, limit: Option<OverheadLimit>) -> Self {
        self.overhead_limit = limit;
        self
    }

    /// Makes the heap. Address space is reserved (see [`Self::limit`]), memory is used when objects
    /// first need it.
    ///
    /// # Errors
    ///
    /// If a setting is out of range, or there is no memory for the buffer of events or no address
    /// space for the heap.
    pub fn build(self) -> Result<Heap, BuildError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);

        let limit = self.limit;
        if limit < Self::MINIMUM_LIMIT {
            return Err(BuildError::LimitTooSmall { limit });
        }
        if self.prefetch_depth > Self::MAX_PREFETCH_DEPTH {
            return Err(BuildError::PrefetchDepth {
                depth: self.prefetch_depth,
            });
        }
        if self.nursery < Self::MINIMUM_NURSERY {
            return Err(BuildError::NurseryTooSmall {
                nursery: self.nursery,
            });
        }
        if let Some(limit) = self.overhead_limit.filter(|limit| !limit.is_valid()) {
            return Err(BuildError::OverheadLimit { limit });
        }
        match self.heap_size {
            HeapSize::Multiplier(factor) if !(factor > 1.0 && factor.is_finite()) => {
                return Err(BuildError::Multiplier { factor });
            }
            HeapSize::MemBalancer(factor) if !(factor > 0.0 && factor.is_finite()) => {
                return Err(BuildError::MemBalancer { factor });
            }
            _ => {}
        }
        let policy = Policy::new(
            self.generations,
            self.heap_size,
            self.nursery,
            limit,
            self.stress,
        );
        let clock = Clock::new();
        let capacity = self.event_capacity;
        let events = Recorder::new(clock, capacity, self.listeners)
            .ok_or(BuildError::EventCapacity { events: capacity })?;
        let workers =
            (self.marking_workers).unwrap_or_else(|| default_workers(Self::MAX_MARKING_WORKERS));
        if !(1..=Self::MAX_MARKING_WORKERS).contains(&workers) {
            return Err(BuildError::MarkingWorkers { workers });
        }
        let refused = |refused: Refused| BuildError::AddressSpace {
            limit,
            bytes: refused.asked,
            source: refused.source,
        };
        let marker = Marker::new(self.prefetch_depth, workers, self.mark_stack_limit)
            .ok_or(BuildError::Memory)?;
        let space = Space::new(limit).map_err(refused)?;
        let supply = Supply::new(&space, limit, self.release_after).map_err(refused)?;
        let initial = policy.settings();
        supply.set_goal(initial.goal);
        supply.set_allowance(initial.allowance);
        let heap = shared::Shared::new(Shared {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            home: Home::here(),
            stress: self.stress,
            poison: self.poison,
            supply,
            space,
            policy,
            overhead: Mutex::new(Overhead::new(self.overhead_limit, limit as u64)),
            last_major: AtomicU64::new(0),
            last_finished: AtomicU64::new(0),
            orphans: Orphans::default(),
            handshake: Handshake::new(self.watchdog, clock).ok_or(BuildError::Memory)?,
            marker: Mutex::new(marker),
            handles: Handles::default(),
            events,
            counters: Counters::default(),
        });
        heap.map(Heap).ok_or(BuildError::Memory)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            limit: 64 << 20,
            stress: false,
            poison: false,
            watchdog: None,
            event_capacity: 1 << 16,
            listeners: Listeners::default(),
            prefetch_depth: 16,
            generations: Generations::default(),
            nursery: 16 << 20,
            heap_size: HeapSize::default(),
            release_after: Some(Duration::from_secs(4)),
            marking_workers: None,
            mark_stack_limit: usize::MAX,
            overhead_limit: Some(OverheadLimit::default()),
        }
    }
}

/// What all mutators of a heap share.
pub(crate) struct Shared {
    pub(crate) id: u64,
    /// The process whose threads use it.
    home: Home,
    pub(crate) stress: bool,
    pub(crate) poison: bool,
    pub(crate) space: Space,
    pub(crate) supply: Supply,
    pub(crate) policy: Policy,
    pub(crate) overhead: Mutex<Overhead>,
    /// The number of the last stop with a major collection.
    pub(crate) last_major: AtomicU64,
    /// When the last cycle was over.
    pub(crate) last_finished: AtomicU64,
    pub(crate) orphans: Orphans,
    pub(crate) handshake: Handshake<Context>,
    pub(crate) marker: Mutex<Marker>,
    pub(crate) handles: Handles,
    pub(crate) events: Recorder,
    pub(crate) counters: Counters,
}

impl Shared {
    /// Before whatever takes a lock or asks for a stop.
    ///
    /// # Panics
    ///
    /// If the process has been forked and the heap lacks other threads: see [`crate::process`].
    #[inline(always)]
    #[track_caller]
    pub(crate) fn enter(&self) {
        if !self.home.is_here() {
            self.enter_after_fork();
        }
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn enter_after_fork(&self) {
        if let Err(lacking) = self.move_here() {
            panic!(
                "this process was forked while {lacking}, and its mark-sweep heap cannot go on \
                 without that thread: fork when no other thread is attached"
            );
        }
    }

    /// Whether [`Self::enter`] lets the caller in.
    #[inline(always)]
    pub(crate) fn may_enter(&self) -> bool {
        self.home.is_here() || self.move_here().is_ok()
    }

    #[cold]
    fn move_here(&self) -> Result<(), String> {
        self.home.move_here(|| {
            self.handshake.look_after_fork()?;
            let held = self.supply.is_held()
                || self.handles.is_held()
                || self.events.is_held()
                || self.orphans.is_held()
                || self.policy.is_held()
                || is_held(&self.overhead)
                || is_held(&self.marker)
                || is_held(&self.counters.found);
            match held {
                true => Err("another thread was inside an operation on it".to_owned()),
                false => Ok(()),
            }
        })
    }
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

/// Counters of a heap, in one reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The limit on [`Self::occupied_bytes`].
    pub limit_bytes: u64,
    /// Objects allocated since the heap was made. A running mutator's part lags by what it
    /// allocated from its current hole, at most 2,048 objects; a detached mutator's part is exact.
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
    /// [`HeapSize`]).
    pub goal_bytes: u64,
    /// The part of [`Self::occupied_bytes`] that is side metadata: mark bytes and live counts.
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

/// A stop-the-world, non-moving mark-sweep heap: a handle, cheap to clone. The memory goes with the
/// last handle and the last attached mutator.
#[derive(Clone)]
pub struct Heap(pub(crate) shared::Shared<Shared>);

impl Heap {
    /// Starts the configuration of a heap.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Attaches the calling thread for the length of `f`. Waits out a collection that is in
    /// progress.
    ///
    /// # Panics
    ///
    /// If the thread is already attached to a mark-sweep heap, unless it is inside
    /// [`Mutator::blocking`]. After a fork, if the heap lacks other threads: see the crate's
    /// documentation. If more than 16 threads are attached and the system has no memory to note one
    /// more; the heap is as before then.
    pub fn attach<R>(&self, f: impl for<'h> FnOnce(&mut Mutator<'h>) -> R) -> R {
        Mutator::attach(self, f)
    }

    /// The heap's counters. Never waits for a mutator.
    pub fn statistics(&self) -> Statistics {
        let counters = &self.0.counters;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let usage = self.0.supply.usage();
        let (occupied, backed) = (usage.occupied as u64, usage.backed as u64);
        // A thread that a fork has left behind may hold the lock for ever.
        let found = if self.0.may_enter() {
            *counters.found()
        } else {
            None
        };
        let object_bytes = counters.object_bytes(found);
        let found = found.map(|(found, _)| found);
        let collector_bytes = load(&counters.collector_bytes);
        Statistics {
            limit_bytes: self.0.supply.limit() as u64,
            allocated_objects: load(&counters.objects),
            allocated_payload_bytes: 8 * load(&counters.payload_words),
            occupied_bytes: occupied,
            peak_occupied_bytes: usage.peak as u64,
            goal_bytes: usage.goal as u64,
            metadata_bytes: usage.metadata as u64,
            free_bytes: backed.saturating_sub(occupied),
            collector_bytes,
            committed_bytes: backed.max(occupied) + collector_bytes,
            last_collection: found,
            live_bytes: found.map(|found| found.live_bytes),
            object_bytes,
            collections: load(&counters.collections),
            minor_collections: load(&counters.minor_collections),
        }
    }

    /// The moment at which the time-stamps of [`Self::take_events`] are zero.
    pub fn origin(&self) -> Instant {
        self.0.events.origin()
    }

    /// Removes and returns what happened since the last call. Never waits for a mutator.
    ///
    /// # Panics
    ///
    /// After a fork, if the heap lacks other threads: see the crate's documentation.
    pub fn take_events(&self) -> EventLog {
        self.0.enter();
        self.0.events.take()
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap")
            .field("id", &self.0.id)
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}
