//! A heap's configuration.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, Listener, Listeners};
use crate::heap::{Heap, Inner};
use crate::mark::{MAX_PREFETCH_DEPTH, MAX_WORKERS};
use crate::overhead::OverheadLimit;
use crate::policy::{Generations, Sizing};
use crate::supply::BLOCK_CHARGE;

/// How to make a [`Heap`]: see [`Heap::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    pub(crate) limit: usize,
    pub(crate) stress: bool,
    pub(crate) poison: bool,
    pub(crate) watchdog: Option<Duration>,
    pub(crate) event_capacity: usize,
    pub(crate) listeners: Listeners,
    pub(crate) prefetch_depth: usize,
    pub(crate) generations: Generations,
    pub(crate) nursery: usize,
    pub(crate) sizing: Sizing,
    pub(crate) release_after: Option<Duration>,
    pub(crate) marking_workers: Option<usize>,
    pub(crate) mark_stack_limit: usize,
    pub(crate) overhead_limit: Option<OverheadLimit>,
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
    /// need more room than it fills. Where the system refuses that, [`HeapFull`](crate::HeapFull)
    /// says so.
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
    pub fn sizing(mut self, sizing: Sizing) -> Self {
        self.sizing = sizing;
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

    /// When a nearly full heap refuses allocations, with
    /// [`FullCause::Overhead`](crate::FullCause::Overhead), although each would still find memory
    /// after one more collection; `None`: never. Default: 98 % of the time, 2 % of the limit (as
    /// HotSpot's `GCTimeLimit` and `GCHeapFreeLimit`).
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
        self.check()?;
        Inner::new(self).map(Heap)
    }

    /// Whether every setting is in its range.
    fn check(&self) -> Result<(), BuildError> {
        let Self {
            limit,
            nursery,
            prefetch_depth: depth,
            ..
        } = *self;
        if limit < Self::MINIMUM_LIMIT {
            return Err(BuildError::LimitTooSmall { limit });
        }
        if depth > Self::MAX_PREFETCH_DEPTH {
            return Err(BuildError::PrefetchDepth { depth });
        }
        if nursery < Self::MINIMUM_NURSERY {
            return Err(BuildError::NurseryTooSmall { nursery });
        }
        if let Some(limit) = self.overhead_limit.filter(|limit| !limit.is_valid()) {
            return Err(BuildError::OverheadLimit { limit });
        }
        if let Some(workers) = self.marking_workers
            && !(1..=Self::MAX_MARKING_WORKERS).contains(&workers)
        {
            return Err(BuildError::MarkingWorkers { workers });
        }
        match self.sizing {
            Sizing::Multiplier(factor) if !(factor > 1.0 && factor.is_finite()) => {
                Err(BuildError::Multiplier { factor })
            }
            Sizing::MemBalancer(factor) if !(factor > 0.0 && factor.is_finite()) => {
                Err(BuildError::MemBalancer { factor })
            }
            _ => Ok(()),
        }
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
            sizing: Sizing::default(),
            release_after: Some(Duration::from_secs(4)),
            marking_workers: None,
            mark_stack_limit: usize::MAX,
            overhead_limit: Some(OverheadLimit::default()),
        }
    }
}

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
    /// The factor of [`Sizing::Multiplier`] is not above 1.
    Multiplier {
        /// The factor asked for.
        factor: f64,
    },
    /// The factor of [`Sizing::MemBalancer`] is not above 0.
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
