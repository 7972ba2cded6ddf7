//! What heaps report while they run, in one vocabulary: the only input of every metric about
//! pauses.
//!
//! A collector emits raw time-stamped events of its own; its adapter translates them into these,
//! and only the modules beside this one turn them into metrics, so that every heap is judged by one
//! definition. Times are nanoseconds since the heap's [origin](crate::heap::Heap::origin).

use std::ops::Range;

/// What happened on a heap between two readings.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    /// In the order in which they ended, as far as threads can be ordered.
    pub events: Vec<Event>,
    /// Events that did not fit the heap's buffer: if not zero, counts and shares of time are lower
    /// bounds.
    pub lost: u64,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The mutator it happened to, numbered by the heap from 0 in order of attachment, never
    /// reused.
    pub mutator: u32,
    /// When it began, in nanoseconds.
    pub from: u64,
    /// When it ended, in nanoseconds.
    pub until: u64,
    /// What it was.
    pub kind: EventKind,
}

impl Event {
    /// From when to when it was.
    pub fn time(&self) -> Range<u64> {
        self.from..self.until
    }

    /// How long it was, in nanoseconds.
    pub fn length(&self) -> u64 {
        self.until.saturating_sub(self.from)
    }
}

/// What kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The mutator stood still for stop number `stop`: from its arrival at a safepoint (or its wish
    /// to leave a blocking region) until it ran again. The mutator that carried the collection out
    /// is included.
    Stopped {
        /// The stop's number, from 1.
        stop: u64,
    },
    /// The mutator was running when stop number `stop` was requested, at `from`, and had arrived at
    /// `until`: its time-to-safepoint. Not a pause: it ran meanwhile.
    Arrived {
        /// The stop's number, from 1.
        stop: u64,
    },
    /// A collection with every mutator stopped. `from` is the request, `until` the moment the
    /// mutators were let go: the pause it made ends with the last [`EventKind::Stopped`] of the
    /// same stop.
    Collection {
        /// The stop's number, from 1.
        stop: u64,
        /// When the last mutator had stopped.
        stopped: u64,
        /// When the roots had been scanned.
        rooted: u64,
        /// When marking was complete.
        marked: u64,
        /// Bytes found live; of a minor collection: with all that had been found live before.
        live_bytes: u64,
        /// What else the heap says.
        details: Details,
    },
    /// Every mutator was stopped, for a collection or for anything else, by a peer that does not
    /// say more. `from` is the request, `until` the moment the mutators were let go.
    Stop {
        /// The stop's number, from 1.
        stop: u64,
        /// When the last mutator had stopped.
        stopped: u64,
        /// Whether it was for a collection that the program asked for by name.
        explicit: bool,
    },
    /// A cycle collection by the holder of the global lock.
    CycleCollection {
        /// The oldest generation it collected, from 0.
        generation: u8,
        /// Objects it examined.
        examined: u64,
        /// Objects it found unreachable.
        unreachable: u64,
        /// Whether the program asked for it by name.
        explicit: bool,
    },
    /// A wait for the global lock; where every object has a lock, for one of these, of those waits
    /// that made the thread give its processor up.
    LockWait,
    /// A cascade of decrements: objects freed because a count fell to zero, one after another, in
    /// one go.
    Drain {
        /// Objects freed.
        objects: u64,
    },
    /// A stay in the allocation slow path beyond a refill of the allocation buffer, without a
    /// collection. Short ones are not reported.
    Stall,
    /// The mutator stood still until a collection that runs beside the mutators had freed memory
    /// for it, or had moved an object that it needed.
    CollectionWait,
    /// The mutator was there: from the wish to attach until it had detached. Everything else that
    /// happened to it lies within. A log without one is of a runtime that does not say.
    Attached,
    /// The mutator was in a blocking region and wanted nothing of the heap: until it wished to
    /// leave. Ones shorter than [`LEAST_PAUSE_NS`] are not reported.
    Blocked,
}

/// The least length of a pause in nanoseconds, on every heap. What is shorter is part of what an
/// operation costs; collectors do not report all of it.
pub const LEAST_PAUSE_NS: u64 = 10_000;

/// What not every heap says of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Whether it looked only at what had been allocated since the last one.
    pub minor: bool,
    /// Whether the program asked for it by name.
    pub explicit: bool,
    /// Processor time that it took, of all threads that took part, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Bytes of objects when it began, those that it was to find dead included.
    pub before_bytes: Option<u64>,
    /// Committed bytes when it had ended.
    pub committed_bytes: Option<u64>,
}

impl EventKind {
    /// What it is called in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped { .. } => "stopped",
            Self::Arrived { .. } => "arrived",
            Self::Collection { .. } => COLLECTION,
            Self::Stop { .. } => STOP,
            Self::CycleCollection { .. } => CYCLE_COLLECTION,
            Self::LockWait => "lock-wait",
            Self::Drain { .. } => DRAIN,
            Self::Stall => STALL,
            Self::CollectionWait => "collection-wait",
            Self::Attached => "attached",
            Self::Blocked => "blocked",
        }
    }

    /// Whether it is a time in which its mutator was stopped: waited for somebody, or did work on
    /// somebody else's behalf.
    pub fn is_pause(self) -> bool {
        matches!(
            self,
            Self::Stopped { .. }
                | Self::CycleCollection { .. }
                | Self::LockWait
                | Self::Drain { .. }
                | Self::Stall
                | Self::CollectionWait
        )
    }
}

/// [`EventKind::Collection`] in results.
pub const COLLECTION: &str = "collection";
/// [`EventKind::Stop`] in results.
pub const STOP: &str = "stop";
/// [`EventKind::CycleCollection`] in results.
pub const CYCLE_COLLECTION: &str = "cycle-collection";
/// [`EventKind::Drain`] in results.
pub const DRAIN: &str = "drain";
/// [`EventKind::Stall`] in results.
pub const STALL: &str = "stall";
/// Collections that the program asked for by name, in results: no pauses of the heap's.
pub const EXPLICIT: &str = "explicit";

/// What a collection looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Full,
    /// What had been allocated since the last one.
    Young,
    /// Cycles among the objects of some generations of a counting heap.
    Cycle,
}

impl Extent {
    /// What it is called in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Young => "young",
            Self::Cycle => "cycle",
        }
    }

    /// The one of this name.
    pub fn of(name: &str) -> Option<Self> {
        let mut all = [Self::Full, Self::Young, Self::Cycle].into_iter();
        all.find(|extent| extent.name() == name)
    }
}

/// A part of the pause that a stop makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the request until the last mutator has stopped.
    TimeToSafepoint,
    /// Then, until the roots have been scanned.
    Roots,
    /// Then, until marking is complete, weak references and finalizers included.
    Mark,
    /// Then, until the mutators are let go.
    Finish,
    /// All three, of a runtime that does not tell them apart.
    Stop,
    /// Then, until the last mutator runs.
    Resume,
}

impl Phase {
    /// In the order in which they happen.
    pub const ALL: [Self; 6] = [
        Self::TimeToSafepoint,
        Self::Roots,
        Self::Mark,
        Self::Finish,
        Self::Stop,
        Self::Resume,
    ];

    /// What it is called in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::TimeToSafepoint => "time-to-safepoint",
            Self::Roots => "roots",
            Self::Mark => "mark",
            Self::Finish => "finish",
            Self::Stop => STOP,
            Self::Resume => "resume",
        }
    }
}
