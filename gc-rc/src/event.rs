//! Raw time-stamped events: what a measuring program needs to know of waits, cascades and collections, and nothing
//! that is derived from them.
//!
//! Events go into a buffer that is allocated once; what does not fit is counted, not stored, so that recording never
//! allocates in the middle of what it records. The clock is read on slow paths only: for the lock when it was contended, for a
//! cycle collection always, and for a cascade of deaths once it has freed [`DRAIN_EVENT_MINIMUM`] objects.
//! That makes a bias, known and small: the many cascades below the minimum have no event, and an event's `from` is late by the time of the
//! first [`DRAIN_EVENT_MINIMUM`] objects (well below a microsecond).

use std::sync::Mutex;
use std::time::Instant;

/// Cascades that free fewer objects are not reported.
pub const DRAIN_EVENT_MINIMUM: u64 = 64;

/// What happened on a heap between two readings.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    /// In the order in which they ended.
    pub events: Vec<Event>,
    /// Events that did not fit the buffer: if not zero, counts and shares of time are lower bounds.
    pub lost: u64,
}

/// One event. Times are nanoseconds since the heap's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The mutator it happened to, numbered by the heap from 0 in order of attachment, never reused.
    pub mutator: u32,
    /// When it began.
    pub from: u64,
    /// When it ended.
    pub until: u64,
    /// What it was.
    pub kind: EventKind,
}

/// What kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A wait for the global lock.
    LockWait,
    /// A cascade of deaths that counts falling to zero set off: at least [`DRAIN_EVENT_MINIMUM`] objects freed in one go.
    Drain {
        /// Objects freed.
        objects: u64,
    },
    /// A cycle collection.
    Collection {
        /// The oldest generation it collected, from 0.
        generation: u8,
        /// Objects it examined.
        examined: u64,
        /// Objects it found unreachable.
        unreachable: u64,
    },
}

/// The buffer of a heap.
pub(crate) struct Recorder {
    origin: Instant,
    capacity: usize,
    log: Mutex<EventLog>,
}

impl Recorder {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            origin: Instant::now(),
            capacity,
            log: Mutex::new(EventLog {
                events: Vec::with_capacity(capacity),
                lost: 0,
            }),
        }
    }

    pub(crate) fn origin(&self) -> Instant {
        self.origin
    }

    /// Records what began at `from` and ends now.
    pub(crate) fn record(&self, mutator: u32, from: Instant, kind: EventKind) {
        let since = |at: Instant| at.saturating_duration_since(self.origin).as_nanos() as u64;
        let event = Event {
            mutator,
            from: since(from),
            until: since(Instant::now()),
            kind,
        };
        let mut log = self
            .log
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if log.events.len() < self.capacity {
            log.events.push(event);
        } else {
            log.lost += 1;
        }
    }

    /// Takes what was recorded. The buffer is exchanged for a new one that is made first, so that recorders wait for an exchange of
    /// pointers at most.
    pub(crate) fn take(&self) -> EventLog {
        let mut fresh = EventLog {
            events: Vec::with_capacity(self.capacity),
            lost: 0,
        };
        std::mem::swap(
            &mut *self
                .log
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
            &mut fresh,
        );
        fresh
    }
}
