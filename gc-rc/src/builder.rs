//! A heap's configuration.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::block::BLOCK_BYTES;
use crate::count::Free;
use crate::cycle::Cycle;
use crate::event::{Event, Listener, Listeners};
use crate::gil::Gil;
use crate::heap::Heap;
use crate::overhead::OverheadLimit;

/// A heap's configuration.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) limit: usize,
    pub(crate) overhead_limit: Option<OverheadLimit>,
    pub(crate) stress: bool,
    pub(crate) poison: bool,
    pub(crate) watchdog: Option<Duration>,
    pub(crate) event_capacity: usize,
    pub(crate) gil: Gil,
    pub(crate) switch_interval: Duration,
    pub(crate) cycle: Cycle,
    pub(crate) thresholds: [usize; 3],
    pub(crate) oldest_growth: usize,
    pub(crate) possible_roots: usize,
    pub(crate) free: Free,
    pub(crate) release_after: Option<Duration>,
    pub(crate) lock_hold_times: bool,
    pub(crate) prefetch: bool,
    pub(crate) listeners: Listeners,
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
            release_after: Some(Duration::from_secs(1)),
            lock_hold_times: false,
            prefetch: false,
            listeners: Listeners::default(),
        }
    }
}

impl Builder {
    /// The smallest limit that [`Self::limit`] takes: a few blocks.
    pub const MINIMUM_LIMIT: usize = 4 * BLOCK_BYTES;
    /// The thresholds of CPython 3.13, and of 3.14 from 3.14.5 on: the default.
    pub const CPYTHON_3_13: [usize; 3] = [2000, 10, 10];
    /// The thresholds of CPython 3.12 and before.
    pub const CPYTHON_3_12: [usize; 3] = [700, 10, 10];

    /// The limit in bytes on blocks, large objects and metadata; at least
    /// [`Builder::MINIMUM_LIMIT`]. No limit by default.
    pub fn limit(self, bytes: usize) -> Self {
        Self {
            limit: bytes,
            ..self
        }
    }

    /// When a nearly full heap refuses allocations, with
    /// [`FullCause::Overhead`](crate::FullCause::Overhead), although each would still find memory
    /// after one more collection; `None`: never. Default: 98 % of the time, 2 % of the limit (as
    /// HotSpot's `GCTimeLimit` and `GCHeapFreeLimit`). Without a [limit](Self::limit) it has no
    /// effect.
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

    /// For how long memory must have been unused before it is released to the system: zero for not
    /// at all, `None` for ever; a second by default. Looked at when collections and long drains
    /// end, so that a heap at rest keeps what it has. At zero,
    /// [`Mutator::collect`](crate::Mutator::collect) releases all unused memory.
    pub fn release_after(self, time: Option<Duration>) -> Self {
        Self {
            release_after: time,
            ..self
        }
    }

    /// Makes the heap. No memory is touched before the first allocation.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if the limit is below [`Builder::MINIMUM_LIMIT`], the switch interval or the
    /// number of possible roots is zero, a percentage of the overhead limit is above 100, or there
    /// is no memory for as many events as asked for.
    pub fn build(self) -> Result<Heap, BuildError> {
        if self.limit < Builder::MINIMUM_LIMIT {
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
    /// The limit is below [`Builder::MINIMUM_LIMIT`].
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
    Memory,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitTooSmall { limit } => {
                write!(
                    f,
                    "a limit of {limit} bytes is too small: give at least {} bytes",
                    Builder::MINIMUM_LIMIT
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
            Self::Memory => write!(
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
