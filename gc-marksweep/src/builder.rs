//! A heap's configuration: the table of its options, and how a heap is made of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, Listener, Listeners};
use crate::heap::{Heap, Inner};
use crate::mark::{MAX_PREFETCH_DEPTH, MAX_WORKERS};
use crate::options::{
    BuilderOption, OptionError, Text, options, or_off, parse_bytes, parse_percentages, words,
};
use crate::overhead::OverheadLimit;
use crate::policy::{Generations, Sizing};
use crate::supply::BLOCK_CHARGE;

options! {
    /// How to make a [`Heap`]: see [`Heap::builder`].
    Builder, BuildError {
        /// The limit in bytes on everything the heap uses: objects, headers, rounding,
        /// fragmentation, side metadata. Default: 64 MiB.
        ///
        /// Address space for so many bytes of blocks is reserved at once, with a sixty-fourth of
        /// that for marks, both rounded up to 2 MiB, and 1.4 % of the limit for tables: 1.03 times
        /// the limit, and no memory. For large objects (more than 8 KiB) it is reserved when they
        /// need it, a sixteenth of the limit at a time, at most 4.1 times the limit together, since
        /// what cannot move may need more room than it fills. Where the system refuses that,
        /// [`HeapFull`](crate::HeapFull) says so.
        limit(bytes: usize) as Size = "64M",
            "bytes that objects, holes and side metadata may take",
            (bytes < Self::MINIMUM_LIMIT).then_some(BuildError::LimitTooSmall { limit: bytes });

        /// How many objects are prefetched ahead of the marker, at most
        /// [`Self::MAX_PREFETCH_DEPTH`]; 0 turns prefetching off. Default: 16.
        prefetch_depth(depth: usize) in 0 to 64 = "16",
            "objects prefetched ahead of the marker; 0 for none",
            (depth > Self::MAX_PREFETCH_DEPTH).then_some(BuildError::PrefetchDepth { depth });

        /// How many threads mark, at most [`Self::MAX_MARKING_WORKERS`], the one that collects
        /// included. The others are started when there is first enough to mark for them, sleep
        /// between collections, and end with the heap; if the system refuses a thread there are
        /// fewer. With 1 there is none, and marking is free of atomic operations that would cost
        /// something. Default: 0, which stands for the cores that the process may use.
        marking_workers(workers: usize) in 0 to 64 = "0",
            "threads that mark, the one that collects included; 0 for one a core",
            (workers > Self::MAX_MARKING_WORKERS).then_some(BuildError::MarkingWorkers { workers });

        /// Whether minor collections look at new objects only. Default: where that pays.
        generations(generations: Generations) = "auto",
            "minor collections, which look at new objects only; auto: while they pay";

        /// How many bytes are handed out between minor collections, at least
        /// [`Self::MINIMUM_NURSERY`]; less where a major collection leaves less than twice as much.
        /// Default: 16 MiB.
        nursery(nursery: usize) as SizeOrAuto = "auto",
            "memory handed out between minor collections; auto: 16M",
            (nursery < Self::MINIMUM_NURSERY).then_some(BuildError::NurseryTooSmall { nursery });

        /// How much memory the heap occupies before it collects. Default: up to the limit, into
        /// which it grows.
        sizing(sizing: Sizing) = "fixed",
            "what may be occupied before a collection: the limit, twice what is live, \
             MemBalancer's square root (0.2/MiB)",
            sizing.refusal();

        /// For how long memory must have been free and not needed before a collection gives it back
        /// to the system; never if `None`. Default: 4 seconds.
        release_after(after: Option<Duration>) = "4s",
            "free memory not needed for this long is given back to the system";

        /// When a nearly full heap refuses allocations, with
        /// [`FullCause::Overhead`](crate::FullCause::Overhead), although each would still find
        /// memory after one more collection; `None`: never. Default: 98 % of the time, 2 % of the
        /// limit (as HotSpot's `GCTimeLimit` and `GCHeapFreeLimit`).
        ///
        /// A *strike* is a collection of the whole heap that an allocation asks for at the limit,
        /// when since the last such one less than [`free_percent`](OverheadLimit::free_percent) of
        /// the limit was allocated and collections took at least
        /// [`time_percent`](OverheadLimit::time_percent) of the time. At the fifth in a row
        /// allocations are refused. From then on each attempt at the limit may make one collection,
        /// and succeeds again once that finds `free_percent` of the limit free.
        overhead_limit(limit: Option<OverheadLimit>) = "98/2",
            "heap full where collections take TIME % and less than FREE % of the limit is \
             allocated between them",
            (limit.filter(|limit| !limit.is_valid()))
                .map(|limit| BuildError::OverheadLimit { limit });

        /// The most bytes that each marking thread's stack may grow to; it is not counted against
        /// [`Self::limit`]. A collection that needs more than that, or more than the system gives,
        /// succeeds but takes longer: it looks through the marked objects of the whole heap for
        /// those it could not remember. A limit below 32 KiB is as one of 32 KiB. Default: none; a
        /// stack takes 8 bytes for each reference that has been seen and not yet followed.
        mark_stack_limit(bytes: usize) as SizeOrOff = "off",
            "bytes that the stack of each marking thread may take";

        /// How many events are kept until somebody takes them. Default: 65,536 (4.5 MiB, untouched
        /// until used).
        event_capacity(events: usize) in 0 to 1_000_000_000 = "65536",
            "events kept between two readings";

        /// Whether every allocation collects first, mostly minor collections if there are
        /// generations: slow, and the surest way to find a missing root. Default: no.
        stress(stress: bool) = "off",
            "collect at every allocation (for tests)";

        /// Whether collections fill free memory with a pattern that no live object bears, so that a
        /// use after free is seen; not that of large objects (more than 8 KiB). Blocks given back
        /// to the system are filled too, and so take memory again. Default: no.
        poison(poison: bool) = "off",
            "fill freed memory with a pattern and check it (for tests)";

        /// After how long the threads that keep a stop waiting are named on standard error, in one
        /// line and once a stop. Default: never.
        watchdog(after: Option<Duration>) = "off",
            "names on standard error who keeps others waiting longer";
    }
    listeners: Listeners
}

/// A number of bytes.
struct Size;

impl Text<usize> for Size {
    const TAKES: &'static str = "a size, such as 64M";

    fn parse(text: &str) -> Option<usize> {
        parse_bytes(text)
    }
}

/// A number of bytes; `off` for no limit.
struct SizeOrOff;

impl Text<usize> for SizeOrOff {
    const TAKES: &'static str = "a size, such as 64M | off";

    fn parse(text: &str) -> Option<usize> {
        or_off(text, parse_bytes).map(|bytes| bytes.unwrap_or(usize::MAX))
    }
}

/// A number of bytes; `auto` for that of the default nursery.
struct SizeOrAuto;

impl Text<usize> for SizeOrAuto {
    const TAKES: &'static str = "a size, such as 64M | auto";

    fn parse(text: &str) -> Option<usize> {
        match text {
            "auto" => Some(16 << 20),
            _ => parse_bytes(text),
        }
    }
}

impl Text for Sizing {
    const TAKES: &'static str = "fixed | multiplier | mem-balancer";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "fixed" => Some(Self::Fixed),
            "multiplier" => Some(Self::Multiplier(2.0)),
            "mem-balancer" => Some(Self::MemBalancer(0.2)),
            _ => None,
        }
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

words!(Generations: "off" Off, "on" On, "auto" Auto);

impl Sizing {
    /// What is wrong with its factor, if anything is.
    fn refusal(self) -> Option<BuildError> {
        match self {
            Self::Multiplier(factor) if !(factor > 1.0 && factor.is_finite()) => {
                Some(BuildError::Multiplier { factor })
            }
            Self::MemBalancer(factor) if !(factor > 0.0 && factor.is_finite()) => {
                Some(BuildError::MemBalancer { factor })
            }
            _ => None,
        }
    }
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

    /// Adds a listener, which is told of every event. Each call adds one; they are told in the
    /// order in which they were added. Default: none.
    pub fn listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listeners.add(listener);
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
    /// The number of marking workers is above [`Builder::MAX_MARKING_WORKERS`].
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
                "a limit of {limit} bytes is too small: give at least {} bytes",
                Builder::MINIMUM_LIMIT
            ),
            Self::PrefetchDepth { depth } => write!(
                f,
                "a prefetch depth of {depth} is too large: the most is {}",
                Builder::MAX_PREFETCH_DEPTH
            ),
            Self::NurseryTooSmall { nursery } => write!(
                f,
                "a nursery of {nursery} bytes is too small: give at least {} bytes",
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
                "a heap cannot have {workers} marking workers: the most is {}",
                Builder::MAX_MARKING_WORKERS
            ),
            Self::OverheadLimit { limit } => write!(
                f,
                "an overhead limit of {limit} is out of range: choose percentages from 0 to 100"
            ),
            Self::Memory => write!(
                f,
                "the system has no memory for the heap's own state: give the process more memory"
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
