//! A heap's configuration: the table of its options, and how a heap is made of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::block::BLOCK_BYTES;
use crate::count::Free;
use crate::cycle::Cycle;
use crate::event::{Event, Listener, Listeners};
use crate::gil::Gil;
use crate::heap::Heap;
use crate::options::{
    BuilderOption, OptionError, Text, options, or_off, parse_bytes, parse_percentages, words,
};
use crate::overhead::OverheadLimit;
use crate::regime::Unlocked;

options! {
    /// How to make a [`Heap`]: see [`Heap::builder`].
    Builder, BuildError {
        /// The limit in bytes on blocks, large objects and metadata; at least
        /// [`Builder::MINIMUM_LIMIT`]. No limit by default.
        limit(bytes: usize) as SizeOrOff = "off",
            "bytes that blocks, large objects and metadata may take",
            (bytes < Self::MINIMUM_LIMIT).then_some(BuildError::LimitTooSmall { limit: bytes });

        /// How cyclic garbage is found; [`Cycle::Generational`] by default.
        cycle(cycle: Cycle) = "generational",
            "how garbage cycles are found: as CPython 3.13 does, from possible roots, or not at \
             all";

        /// When dead objects are freed; [`Free::Eager`] by default.
        free(free: Free) = "eager",
            "when the dead are freed: at once, or as much at a time as is allocated";

        /// When the generations are collected, youngest first: a generation is due when its count
        /// *exceeds* its threshold (see [`Cycle::Generational`]); a first threshold of zero means
        /// never but on request. 2000, 10, 10 by default.
        thresholds(thresholds: [usize; 3]) named "threshold" as FirstThreshold = "2000",
            "allocations beyond frees that make the youngest generation due";

        /// By how many per cent of what survived its last collection the oldest generation grows
        /// until it is due again; 25, CPython's rule, by default. With more, a growing heap is
        /// examined less often, and garbage in it stays longer: 100 lets it double, as tracing
        /// collectors do.
        oldest_growth(per_cent: usize) in 0 to 1_000_000 = "25",
            "growth in % after which the oldest generation is due";

        /// With [`Cycle::Generational`], spares collections the objects that no store can have made
        /// part of a garbage cycle: what is left to examine is what can be reached from where a
        /// store may have closed one, often nothing. What is found, when, and what events and
        /// statistics say of it is the same; off, every collection looks at every object of its
        /// generations, as CPython's do. On by default.
        cycle_filter(on: bool) = "on",
            "examine only what stores can have made part of a cycle (cycle=generational)";

        /// With [`Cycle::BaconRajan`], how many possible roots request a collection: at least one;
        /// 10,000 by default.
        ///
        /// The number goes up where collections examine much that is alive, so that the
        /// examinations stay in proportion to the program's decrements: to half of what survived
        /// the last automatic collection, and, while collections find little, to at most four times
        /// that. It comes down again with what survives, never below this. Collections that are
        /// asked for, or made at the limit, do not change it. A collection is also requested when
        /// there are twice the bytes of objects that survived the last one, and 64 more for each of
        /// these roots.
        possible_roots(roots: usize) in 1 to 1_000_000_000 = "10000",
            "possible roots that make a collection due (cycle=bacon-rajan)",
            (roots == 0).then_some(BuildError::NoPossibleRoots);

        /// Has every collection ask the cache for what objects refer to before it comes to them.
        /// Without it, a collection does so if it is not small and a sample of its candidates shows
        /// that they lie scattered or refer far and wide, where it pays: young collections of a
        /// graph of a million objects whose members are replaced at random take a third of the
        /// time. Where everything is in the cache, it costs up to a quarter. What is found is the
        /// same. Off by default.
        prefetch(on: bool) = "off",
            "prefetch in every collection, and not where objects are scattered only";

        /// How threads share the lock; [`Gil::Cpython`] by default.
        gil(gil: Gil) = "cpython",
            "who gets the global lock: as in CPython, or first come, first served";

        /// How long a waiter leaves the holder in peace before it asks for the lock: above zero; 5
        /// ms by default.
        switch_interval(interval: Duration) = "5ms",
            "how long a thread waits for the lock before it asks for it",
            interval.is_zero().then_some(BuildError::NoInterval);

        /// Measures how long the lock is held each time, for [`Heap::lock_statistics`]: two more
        /// readings of the clock for each tenure, which about doubles what a blocking region costs.
        /// Off by default.
        lock_hold_times(on: bool) = "off",
            "measure how long the global lock is held each time";

        /// When a nearly full heap refuses allocations, with
        /// [`FullCause::Overhead`](crate::FullCause::Overhead), although each would still find
        /// memory after one more collection; `None`: never. Default: 98 % of the time, 2 % of the
        /// limit (as HotSpot's `GCTimeLimit` and `GCHeapFreeLimit`). Without a [limit](Self::limit)
        /// it has no effect.
        ///
        /// A *strike* is a collection that an allocation makes at the limit, when since the last
        /// such one less than [`free_percent`](OverheadLimit::free_percent) of the limit was
        /// allocated and collections took at least [`time_percent`](OverheadLimit::time_percent) of
        /// the time. At the fifth in a row allocations are refused. From then on each attempt at
        /// the limit may make one collection, and succeeds again once that finds `free_percent` of
        /// the limit free.
        overhead_limit(limit: Option<OverheadLimit>) = "98/2",
            "heap full where collections take TIME % and less than FREE % of the limit is \
             allocated between them",
            (limit.filter(|limit| !limit.is_valid())).map(|limit| BuildError::OverheadLimit { limit });

        /// After how long memory that nobody uses is released to the system: at once if zero, never
        /// if `None`; a second by default. Looked at when collections and long drains end, and once
        /// in 8,192 deaths, so that a heap at rest keeps what it has. At zero,
        /// [`Mutator::collect`](crate::Mutator::collect) releases all unused memory.
        release_after(time: Option<Duration>) = "1s",
            "free memory not needed for this long is released to the system";

        /// In the regime [`Biased`](crate::Biased), and with deferral: has a mutator, while it is
        /// the only one that is attached, do without what only other threads would need: an
        /// exchange for each change of a field or a count, and waiting for grace periods. A thread
        /// that attaches then stops it once. Off, it pays for neighbours that it does not have, as
        /// a program of several threads does. On by default.
        single_mutator(on: bool) = "on",
            "no atomic operations while one thread is attached (regime=biased, deferred)";

        /// How many events are kept between two calls of [`Heap::take_events`] (48 bytes each,
        /// allocated at once, outside the limit); 16,384 by default.
        event_capacity(events: usize) in 0 to 1_000_000_000 = "16384",
            "events kept between two readings";

        /// Makes a full collection at every allocation: for tests. Off by default.
        stress(on: bool) = "off",
            "collect at every allocation (for tests)";

        /// Fills freed cells with a pattern, and checks it when they are reused and in
        /// [`Mutator::verify`](crate::Mutator::verify): for tests. Off by default.
        poison(on: bool) = "off",
            "fill freed memory with a pattern and check it (for tests)";

        /// Has a line on stderr name the thread that holds the lock for longer than this while
        /// others wait, once for each time. Checked every switch interval. Off by default.
        watchdog(patience: Option<Duration>) = "off",
            "names on standard error who keeps others waiting longer";
    }
    listeners: Listeners
}

/// A number of bytes; `off` for no limit.
struct SizeOrOff;

impl Text<usize> for SizeOrOff {
    const TAKES: &'static str = "a size, such as 64M | off";

    fn parse(text: &str) -> Option<usize> {
        or_off(text, parse_bytes).map(|bytes| bytes.unwrap_or(usize::MAX))
    }
}

/// The first threshold, with CPython's others.
struct FirstThreshold;

impl Text<[usize; 3]> for FirstThreshold {
    const TAKES: &'static str = "1 to 1000000000";

    fn parse(text: &str) -> Option<[usize; 3]> {
        let [_, second, third] = Builder::CPYTHON_3_13;
        let first = text.parse().ok()?;
        (1..=1_000_000_000)
            .contains(&first)
            .then_some([first, second, third])
    }
}

impl Text for Option<OverheadLimit> {
    const TAKES: &'static str = "two percentages, such as 98/2 | off";

    fn parse(text: &str) -> Option<Self> {
        let limit = |(time_percent, free_percent)| OverheadLimit {
            time_percent,
            free_percent,
        };
        or_off(text, |text| parse_percentages(text).map(limit))
    }
}

words!(Cycle: "generational" Generational, "bacon-rajan" BaconRajan, "none" None);
words!(Free: "eager" Eager, "lazy" Lazy);
words!(Gil: "cpython" Cpython, "fair" Fair);

impl Builder {
    /// The smallest limit, in bytes.
    pub const MINIMUM_LIMIT: usize = 4 * BLOCK_BYTES;
    /// The thresholds of CPython 3.13, and of 3.14 from 3.14.5 on: the default.
    pub const CPYTHON_3_13: [usize; 3] = [2000, 10, 10];
    /// The thresholds of CPython 3.12 and before.
    pub const CPYTHON_3_12: [usize; 3] = [700, 10, 10];

    /// Adds a listener, which is told of every event. Each call adds one; they are told in the
    /// order in which they were added. Default: none.
    pub fn listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listeners.add(listener);
        self
    }

    /// Makes the heap. No memory is touched before the first allocation.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if the limit is below [`Builder::MINIMUM_LIMIT`], the switch interval or the
    /// number of possible roots is zero, a percentage of the overhead limit is above 100, or there
    /// is no memory for as many events as asked for.
    pub fn build(self) -> Result<Heap, BuildError> {
        self.check()?;
        Heap::from_builder(&self)
    }

    /// Makes a heap of a regime without the global lock, such as [`Atomic`](crate::Atomic). What is
    /// said of the lock has no effect there ([`gil`](Self::gil),
    /// [`switch_interval`](Self::switch_interval), [`lock_hold_times`](Self::lock_hold_times)), and
    /// the [watchdog](Self::watchdog) names whom a stop waits for.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`]; and [`BuildError::NeedsLock`] for [`Cycle::BaconRajan`], which would
    /// list objects at decrements that several threads make at once, and for [`Free::Lazy`], which
    /// does what grace periods do.
    ///
    /// ```
    /// use gc_rc::{Atomic, BuildError, Cycle, Heap, ObjectLock};
    ///
    /// let heap: Heap<Atomic> = Heap::builder().build_unlocked()?;
    /// let other: Heap<ObjectLock> = Heap::builder().build_unlocked()?;
    /// let refused = Heap::builder().cycle(Cycle::BaconRajan).build_unlocked::<Atomic>();
    /// assert!(matches!(refused, Err(BuildError::NeedsLock { .. })));
    /// # Ok::<(), BuildError>(())
    /// ```
    pub fn build_unlocked<R: Unlocked>(self) -> Result<Heap<R>, BuildError> {
        self.check()?;
        if self.cycle == Cycle::BaconRajan {
            return Err(BuildError::NeedsLock {
                option: "cycle=bacon-rajan",
            });
        }
        if self.free == Free::Lazy {
            return Err(BuildError::NeedsLock {
                option: "free=lazy",
            });
        }
        Heap::unlocked(&self)
    }
}

/// A heap cannot be made as asked for.
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
    /// There is no memory for a buffer of that many events.
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
    /// The option exists under the global lock only.
    NeedsLock {
        /// The option, with its value.
        option: &'static str,
    },
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
            Self::NeedsLock { option } => write!(
                f,
                "{option} needs the global lock: leave it out, or choose that regime"
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
