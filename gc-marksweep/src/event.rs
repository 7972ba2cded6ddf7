//! What happened, with raw time-stamps. The heap measures nothing itself: whoever reads the events decides what a pause
//! is.
//!
//! Events go into a buffer that was allocated with the heap, so that recording one neither allocates nor waits for
//! anything but another recorder. When nobody takes them the buffer fills up, and further events are only counted.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// What happened between two readings.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    /// In the order in which they were recorded.
    pub events: Vec<Event>,
    /// Events that did not fit the buffer.
    pub lost: u64,
}

/// One event. Times are nanoseconds since the heap's [`origin`](crate::Heap::origin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The mutator it happened to, numbered from 0 in order of attachment, never reused.
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
    /// The mutator stood still for a stop: from its arrival at a safepoint, or its wish to leave a blocking region,
    /// until it ran again. For the mutator that collected: from its request until it had let the others go. A mutator that wakes so late that another
    /// stop has begun stays where it is, and its event runs on.
    Stopped {
        /// The stop's number, from 1.
        stop: u64,
    },
    /// A collection, from the request to stop until the mutators were let go. The pause it made ends when the last of
    /// them runs, which is when the last [`EventKind::Stopped`] of the same stop ends.
    Collection {
        /// The stop's number, from 1.
        stop: u64,
        /// When the last mutator had stopped.
        stopped: u64,
        /// When the roots had been scanned.
        rooted: u64,
        /// When marking was complete, weak references and finalizers included.
        marked: u64,
        /// Whether it looked only at what had been allocated since the last one.
        minor: bool,
        /// Bytes found live, headers and rounding included; of a minor collection: with all that had been found live
        /// before.
        live_bytes: u64,
    },
}

/// The buffer of one heap.
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
            log: Mutex::new(Self::empty(capacity)),
        }
    }

    fn empty(capacity: usize) -> EventLog {
        EventLog {
            events: Vec::with_capacity(capacity),
            lost: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, EventLog> {
        self.log
            .lock()
            .expect("no code that panics runs under this lock")
    }

    pub(crate) fn origin(&self) -> Instant {
        self.origin
    }

    /// Nanoseconds since the origin.
    pub(crate) fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    pub(crate) fn record(&self, event: Event) {
        let mut log = self.lock();
        if log.events.len() < self.capacity {
            log.events.push(event);
        } else {
            log.lost += 1;
        }
    }

    /// Removes and returns what was recorded.
    pub(crate) fn take(&self) -> EventLog {
        let empty = Self::empty(self.capacity);
        std::mem::replace(&mut *self.lock(), empty)
    }
}
